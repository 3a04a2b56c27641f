/* pool/post.c - see post.h. */
#include "pool/post.h"

#include "base/failure.h"
#include "family/guardian.h"
#include "os/os.h"
#include "pool/hand.h"
#include "pool/placement.h"
#include "pool/worker.h"
#include "process/children.h"
#include "process/output.h"
#include "process/start.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define OUTPUT_PATIENCE 1.0 /* seconds */
#define LOOK_AGAIN 0.1

/* Called when a worker has ended, by whichever thread reaped it, or by itself. */
static void worker_ended(void *arg)
{
    struct kin__post *post = arg;
    kin_pool *pool = post->local->pool;
    atomic_store(&post->ended, 1);
    kin__os_futex_wake(&post->ended, INT_MAX);
    atomic_fetch_add(&pool->event, 1);
    kin__os_futex_wake(&pool->event, INT_MAX);
    kin__call_warden(pool);
}

/* ---- threads --------------------------------------------------------------------------------- */

/* Its last act, also when a task has called pthread_exit(): what it has to do with is settled by who buries it. */
static void thread_ended(void *arg)
{
    kin__hand_forget();
    worker_ended(arg);
}

static void *thread_main(void *arg)
{
    struct kin__post *post = arg;
    struct kin__local *local = post->local;
    int worker = (int)(post - local->posts);
    char name[16];
    snprintf(name, sizeof name, "%.10s/%u", local->pool->name, (unsigned)worker % 1000);
    pthread_setname_np(pthread_self(), name);
    pthread_cleanup_push(thread_ended, post);
    kin__worker_run(local->pool, worker, local->initializer, local->finalizer);
    pthread_cleanup_pop(1);
    return NULL;
}

/* Signals from outside are for the program's own threads; those of its faults reach it anywhere. */
static int start_thread(struct kin__local *local, struct kin__post *post)
{
    int error = kin__os_user_thread_start(&post->thread, thread_main, post);
    if (error)
        return kin__fail_errno(KIN_ESYSTEM, error, "could not start a thread for pool \"%s\"",
                               local->pool->name);
    post->taken = true;
    return 0;
}

/* ---- processes ------------------------------------------------------------------------------- */

static int start_process(struct kin__local *local, int worker)
{
    kin_pool *pool = local->pool;
    struct kin__post *post = &local->posts[worker];
    char name[32];
    snprintf(name, sizeof name, "%.20s/%d", pool->name, worker);
    struct kin__worker_arg arg = {.pool = pool, .worker = worker};
    struct kin__start start = {.fn = kin__worker_main,
                               .arg = &arg,
                               .arg_size = sizeof arg,
                               .options = {.name = name,
                                           .start_method = pool->start_method,
                                           .daemon = true,
                                           .limits = local->limits,
                                           .sealed = local->sealed,
                                           .output = local->output}};
    kin__place_before_start(pool);
    post->process = kin__process_start(&start);
    if (!post->process)
        return kin_error_code();
    post->taken = true;
    int error = kin__child_notify(post->process, worker_ended, post);
    kin__guardian_lock(); /* it ended with the last worker before this one, and would not begin for a single one */
    if (!error)
        error = kin__guardian_start();
    kin__guardian_unlock();
    return error;
}

/* ---- either ---------------------------------------------------------------------------------- */

int kin__post_start(struct kin__local *local, int worker)
{
    kin_pool *pool = local->pool;
    struct kin__post *post = &local->posts[worker];
    struct kin__seat *seat = &pool->seats[worker];
    atomic_store(&seat->asleep, 0);
    atomic_store(&seat->ready, KIN__NOT_READY);
    atomic_store(&seat->idled, 0);
    atomic_store(&seat->current, 0);
    atomic_store(&seat->taken, atomic_load(&seat->doorbell) - 1);
    atomic_store(&seat->task, 0);
    atomic_store(&seat->told, 0);
    post->killed_for = 0;
    post->seen_current = 0;
    post->idle = false;
    atomic_store(&post->ended, 0);
    return pool->kind == KIN_POOL_THREADS ? start_thread(local, post) : start_process(local, worker);
}

void kin__post_clear(struct kin__local *local, int worker)
{
    struct kin__post *post = &local->posts[worker];
    if (!post->taken)
        return;
    if (post->process) {
        kin__child_notify(post->process, NULL, NULL);
        kin_process_free(post->process);
    } else {
        pthread_join(post->thread, NULL);
    }
    post->process = NULL;
    post->taken = false;
}

void kin__post_kill(struct kin__post *post)
{
    if (post->process)
        kin_process_kill(post->process);
}

void kin__post_look(struct kin__post *post)
{
    if (post->process)
        kin_process_is_alive(post->process); /* settles it if not; `ended` follows */
}

static bool thread_has_ended(struct kin__post *post, double deadline)
{
    while (!atomic_load(&post->ended)) {
        double left = kin__os_left(deadline);
        if (left <= 0)
            return false;
        kin__os_futex_wait(&post->ended, 0, left < LOOK_AGAIN ? left : LOOK_AGAIN);
    }
    return true;
}

/* Not by kin_process_join, which waits until a terminal has taken what it printed. What is captured waits for
 * nobody. */
void kin__post_await(struct kin__local *local, int worker)
{
    struct kin__post *post = &local->posts[worker];
    if (!post->process) {
        thread_has_ended(post, KIN_FOREVER);
        return;
    }
    kin__process_wait(post->process, post->process->id, KIN_FOREVER);
    if (local->output == KIN_OUTPUT_CAPTURE)
        kin__output_wait(post->process->id, kin__os_deadline(OUTPUT_PATIENCE));
}

int kin__post_join(struct kin__local *local, int worker, double deadline)
{
    struct kin__post *post = &local->posts[worker];
    if (post->process)
        return kin_process_join(post->process, kin__os_left(deadline));
    return thread_has_ended(post, deadline)
               ? 0
               : kin__fail(KIN_ETIMEDOUT, "thread %d of pool \"%s\" is still at work", worker,
                           local->pool->name);
}

void kin__post_end(const struct kin__post *post, kin_end *end)
{
    *end = (kin_end){.how = KIN_END_EXITED};
    if (post->process)
        kin_process_end(post->process, end);
}

void kin__post_story(const struct kin__post *post, kin_error *story)
{
    if (post->process)
        kin_process_error(post->process, story);
    else
        kin__error_fill(story, KIN_EDIED, "the thread was ended by pthread_exit() or pthread_cancel()");
}

int kin__post_pid(const struct kin__post *post)
{
    return post->process ? kin_process_pid(post->process) : (int)getpid();
}

double kin__post_cpu_since(const struct kin__post *post, uint64_t began_ns)
{
    uint64_t now = kin__os_cpu_time_ns(kin__post_pid(post));
    return now > began_ns ? (double)(now - began_ns) * 1e-9 : 0;
}
