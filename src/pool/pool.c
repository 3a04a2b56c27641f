/* pool/pool.c - making a pool, finishing and freeing it. */
#include "kin/pool.h"

#include "base/failure.h"
#include "base/in_child.h"
#include "base/log.h"
#include "family/sealed.h"
#include "os/os.h"
#include "pool/burial.h"
#include "pool/hand.h"
#include "pool/map.h"
#include "pool/placement.h"
#include "pool/post.h"
#include "process/limits.h"
#include "process/output.h"
#include "process/pointers.h"
#include "process/printed.h"
#include "process/start.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOCK_PERIOD 0.1 /* seconds */
#define IDLE_MAX 1e9    /* the same */
#define LEAVE_PERIOD_NS 200000
#define FREE_PATIENCE 5.0 /* seconds after which a task that is waited for is logged */

static pthread_mutex_t locals_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct kin__local *locals;

/* In a child after fork: those are copies of the parent's, which manages its pools itself. */
KIN__IN_CHILD static void forked(void)
{
    kin__mutex_forked(&locals_mutex);
    while (locals) {
        struct kin__local *next = locals->next;
        free(locals);
        locals = next;
    }
    kin__hand_forget(); /* it was forked by a task, and is no worker */
    kin__interrupt_forked();
}

static void set_up(void)
{
    kin__member_hooks(&(struct kin__member_hooks){.forked = forked});
    kin__interrupt_setup();
}

void kin__pool_setup(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_up);
}

int kin__pool_check(const kin_pool *pool, const char *what)
{
    return kin__object_check(pool, KIN__POOL_MAGIC, what);
}

int kin__pool_check_maker(const kin_pool *pool)
{
    return pool->magic != KIN__POOL_MAGIC || !kin__member_find(pool->maker)
               ? kin__fail(KIN_EDIED, "the process that made the pool has ended, and the pool with it")
               : 0;
}

struct kin__local *kin__local_hold(const kin_pool *pool, const char *what)
{
    if (kin__pool_check(pool, what))
        return NULL;
    const struct kin__hand *hand = kin__hand_here();
    if (hand && hand->pool == kin__own((void *)pool)) {
        kin__fail(KIN_EPERM, "cannot %s in a task of pool \"%s\": that is for who made it", what, pool->name);
        return NULL;
    }
    if (pool->maker != kin__self_id()) {
        kin__fail(KIN_EPERM, "cannot %s: pool \"%s\" belongs to the process that made it", what, pool->name);
        return NULL;
    }
    pthread_mutex_lock(&locals_mutex);
    struct kin__local *local = locals;
    while (local && local->pool != pool)
        local = local->next;
    if (local)
        local->users++;
    pthread_mutex_unlock(&locals_mutex);
    if (!local)
        kin__fail(KIN_EINVAL, "cannot %s: %p is not a pool (freed?)", what, (const void *)pool);
    return local;
}

void kin__local_release(struct kin__local *local)
{
    pthread_mutex_lock(&locals_mutex);
    local->users--;
    pthread_mutex_unlock(&locals_mutex);
}

static void enter(struct kin__local *local)
{
    pthread_mutex_lock(&locals_mutex);
    local->next = locals;
    locals = local;
    pthread_mutex_unlock(&locals_mutex);
}

/* Nobody finds it from here on. */
static void leave(struct kin__local *local)
{
    pthread_mutex_lock(&locals_mutex);
    for (struct kin__local **link = &locals; *link; link = &(*link)->next)
        if (*link == local) {
            *link = local->next;
            break;
        }
    pthread_mutex_unlock(&locals_mutex);
}

/* Who had found it before is on the way out. */
static void await_others(struct kin__local *local)
{
    for (bool others = true; others;) {
        pthread_mutex_lock(&locals_mutex);
        others = local->users > 1;
        pthread_mutex_unlock(&locals_mutex);
        if (others)
            nanosleep(&(struct timespec){.tv_nsec = LEAVE_PERIOD_NS}, NULL);
    }
}

double kin__pool_look_again = 1.0;

void kin__seat_ring(struct kin__seat *seat)
{
    if (!atomic_load(&seat->asleep)) /* sequentially consistent: partner in wait_for_call */
        return;
    atomic_fetch_add(&seat->bell, 1);
    kin__os_futex_wake(&seat->bell, INT_MAX);
}

int kin__refuse_threads(const char *what)
{
    return kin__fail(KIN_ENOTSUP,
                     "%s: what holds for a process does not hold for one of its threads; use a pool of kind "
                     "KIN_POOL_PROCESSES",
                     what);
}

static int check_for_threads(const kin_pool_options *options)
{
    if (kin__limits_given(&options->limits))
        return kin__refuse_threads("cannot set limits of worker threads");
    if (options->memory_ceiling)
        return kin__refuse_threads("cannot measure the memory of a worker thread (memory_ceiling)");
    if (options->sealed)
        return kin__refuse_threads("cannot seal worker threads");
    if (options->output != KIN_OUTPUT_DEFAULT && options->output != KIN_OUTPUT_PASS)
        return kin__refuse_threads("cannot tell apart what worker threads print");
    return 0;
}

static int read_options(const kin_pool_options *given, kin_pool_options *options)
{
    int error = kin__options_read(options, sizeof *options, given, "pool options");
    if (error)
        return error;
    if (options->workers < 0 || options->workers > KIN__WORKERS_MAX)
        return kin__fail(KIN_EINVAL, "cannot make a pool of %d workers: 1 to %d, or 0 for one a CPU",
                         options->workers, KIN__WORKERS_MAX);
    if (options->workers_max < 0 || options->workers_max > KIN__WORKERS_MAX ||
        (options->workers_max && options->workers > options->workers_max))
        return kin__fail(
            KIN_EINVAL,
            "cannot make a pool of %d workers that may be %d: workers_max is at least as many, up to "
            "%d, or 0 for no more",
            options->workers, options->workers_max, KIN__WORKERS_MAX);
    if (!(options->idle_time >= 0) || isinf(options->idle_time))
        return kin__fail(KIN_EINVAL, "cannot make a pool with an idle_time of %g s: positive, or 0 for none",
                         options->idle_time);
    if (options->kind < KIN_POOL_PROCESSES || options->kind > KIN_POOL_THREADS)
        return kin__fail(KIN_EINVAL, "cannot make a pool of kind %d: it is not one of enum kin_pool_kind",
                         options->kind);
    if (!kin__start_method_ok(options->start_method))
        return kin__fail(KIN_EINVAL,
                         "cannot start workers by method %d: it is not one of enum kin_start_method",
                         options->start_method);
    if (options->init_arg_size && !options->init_arg)
        return kin__fail(KIN_EINVAL, "cannot make a pool: init_arg is NULL, but init_arg_size is %zu",
                         options->init_arg_size);
    error = kin__limits_check(&options->limits, "workers");
    if (!error)
        error = kin__output_check(options->output, "workers");
    return !error && options->kind == KIN_POOL_THREADS ? check_for_threads(options) : error;
}

static int fill(kin_pool *pool, const kin_pool_options *options)
{
    static _Atomic unsigned numbers;
    int error = 0;
    bool remote = options->kind == KIN_POOL_PROCESSES;
    if (remote && options->initializer)
        error =
            kin__function_refer((void (*)(void))options->initializer, &pool->initializer, "the initializer");
    if (!error && remote && options->finalizer)
        error = kin__function_refer((void (*)(void))options->finalizer, &pool->finalizer, "the finalizer");
    if (!error && options->init_arg_size) {
        pool->init_arg = kin_arena_malloc(pool->arena, options->init_arg_size);
        if (!pool->init_arg)
            return kin_error_code();
        if (remote)
            kin__pointers_check("init_arg of pool", options->name ? options->name : "", options->init_arg,
                                options->init_arg_size, 1);
        memcpy(pool->init_arg, options->init_arg, options->init_arg_size);
    }
    pool->kind = options->kind;
    pool->tasks_per_worker = options->tasks_per_worker;
    pool->memory_ceiling = options->memory_ceiling;
    pool->idle_ns = (uint64_t)((options->idle_time < IDLE_MAX ? options->idle_time : IDLE_MAX) * 1e9);
    pool->start_method = kin__start_method(options->start_method);
    pool->maker = kin__self_id();
    pool->cpus = kin__os_cpu_count();
    if (options->name)
        snprintf(pool->name, sizeof pool->name, "%s", options->name);
    else
        snprintf(pool->name, sizeof pool->name, "pool-%u", atomic_fetch_add(&numbers, 1) + 1);
    if (!error)
        error = kin__place_workers(pool, options);
    pool->magic = KIN__POOL_MAGIC;
    return error;
}

/* The pool lies in an arena of its maker's: it goes when the maker dies. */
static kin_pool *make(const kin_pool_options *options)
{
    int workers = options->kind == KIN_POOL_INLINE ? 1
                  : options->workers               ? options->workers
                                                   : kin__place_budget();
    kin_arena *arena = kin_arena_new();
    if (!arena)
        return NULL;
    bool grows = options->kind != KIN_POOL_INLINE && options->workers_max;
    int seats = grows ? options->workers_max : workers;
    if (workers > seats)
        workers = seats;
    size_t size = sizeof(kin_pool) + (size_t)seats * sizeof(struct kin__seat) + _Alignof(kin_pool);
    unsigned char *at = kin_arena_calloc(arena, 1, size);
    kin_pool *pool = at ? (kin_pool *)(at + (-(uintptr_t)at & (_Alignof(kin_pool) - 1))) : NULL;
    if (pool) {
        pool->arena = arena;
        pool->workers = seats;
        atomic_store(&pool->wanted, workers);
        for (int i = workers; i < seats; i++)
            atomic_store(&pool->seats[i].retire, 1);
    }
    if (!pool || fill(pool, options) != 0) {
        kin_arena_free(arena);
        return NULL;
    }
    return pool;
}

/* A thread that maps while it maps (from a progress function) is told so. */
static void make_mutex(pthread_mutex_t *mutex)
{
    pthread_mutexattr_t how;
    pthread_mutexattr_init(&how);
    pthread_mutexattr_settype(&how, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(mutex, &how);
    pthread_mutexattr_destroy(&how);
}

kin_pool *kin_pool_new(const kin_pool_options *given)
{
    static _Atomic uint64_t pools;
    kin_pool_options options;
    if (read_options(given, &options) != 0 || !kin__self() || kin__sealed_refuse("make a pool"))
        return NULL;
    kin__pool_setup();
    kin_pool *pool = make(&options);
    if (!pool)
        return NULL;
    struct kin__local *local = calloc(1, sizeof *local + (size_t)pool->workers * sizeof(struct kin__post));
    if (!local) {
        kin_arena_free(pool->arena);
        kin__fail(KIN_ENOMEM, "could not make a pool: out of private memory");
        return NULL;
    }
    local->pool = pool;
    local->initializer = options.initializer;
    local->finalizer = options.finalizer;
    local->limits = options.limits;
    local->sealed = options.sealed;
    local->output = options.output;
    if (local->output == KIN_OUTPUT_DEFAULT)
        local->output =
            isatty(STDOUT_FILENO) || isatty(STDERR_FILENO) ? KIN__OUTPUT_TERMINAL : KIN_OUTPUT_PASS;
    local->seed = options.seed ? options.seed : atomic_fetch_add(&pools, 1) + 1;
    make_mutex(&local->mutex);
    pthread_mutex_init(&local->posts_mutex, NULL);
    kin__desk_open(&local->desk, pool);
    for (int i = 0; i < pool->workers; i++)
        local->posts[i].local = local;
    enter(local);
    for (int i = 0; pool->kind != KIN_POOL_INLINE && i < pool->wanted; i++)
        if (kin__post_start(local, i) != 0) {
            kin_error story;
            kin_error_get(&story);
            atomic_store(&pool->closed, 1); /* there is nothing to finish */
            kin_pool_free(pool);
            kin__fail_with(&story);
            return NULL;
        }
    return pool;
}

int kin_pool_workers(const kin_pool *pool)
{
    int error = kin__pool_check(pool, "count workers");
    return error ? error : atomic_load(&pool->wanted);
}

/* The right to the pool's workers. From a progress function, which runs in the middle of a map, nobody can have
 * it. */
static int lock_until(struct kin__local *local, double deadline)
{
    for (;;) {
        double left = kin__os_left(deadline);
        int error = kin__os_mutex_lock_for(&local->mutex,
                                           (uint64_t)((left < LOCK_PERIOD ? left : LOCK_PERIOD) * 1e9));
        if (!error)
            return 0;
        if (error == EDEADLK)
            return kin__fail(KIN_EBUSY, "pool \"%s\" is in the middle of a map, in this very thread",
                             local->pool->name);
        if (left <= 0)
            return kin__fail(KIN_ETIMEDOUT, "pool \"%s\" is still at work", local->pool->name);
    }
}

/* Each is to come to its end when it has nothing to do. */
static void tell_to_quit(kin_pool *pool)
{
    for (int i = 0; i < pool->workers; i++) {
        atomic_store(&pool->seats[i].quit, 1);
        /* A worker that is about to sleep on the doorbell must find it changed, or it sleeps for ever. */
        atomic_fetch_add(&pool->seats[i].doorbell, 1);
        kin__seat_ring(&pool->seats[i]);
    }
}

/* Another thread may free the pool meanwhile, and is not to wait for a finalizer that does not end. */
static int join_worker(struct kin__local *local, int worker, double deadline)
{
    for (;;) {
        double left = kin__os_left(deadline);
        int error = kin__post_join(local, worker, kin__os_deadline(left < LOCK_PERIOD ? left : LOCK_PERIOD));
        if (error != KIN_ETIMEDOUT || left <= LOCK_PERIOD)
            return error;
        if (atomic_load(&local->pool->canceled))
            return kin__fail(KIN_ECANCELED, "pool \"%s\" was freed while it was finished", local->pool->name);
    }
}

static int finish_workers(struct kin__local *local, double deadline)
{
    kin_pool *pool = local->pool;
    int first = 0;
    if (pool->kind == KIN_POOL_INLINE)
        kin__inline_finalize(local);
    tell_to_quit(pool);
    for (int i = 0; i < pool->workers; i++) {
        const struct kin__post *post = &local->posts[i];
        if (!post->taken)
            continue;
        int error = join_worker(local, i, deadline);
        if (error)
            return error;
        kin_end end;
        kin__post_end(post, &end);
        /* One killed while idle has failed nothing. */
        bool finalizing = atomic_load(&pool->seats[i].ready) == KIN__FINALIZING;
        if (!first && finalizing && end.how == KIN_END_SIGNALED) {
            kin_error story;
            kin__post_story(post, &story);
            first = kin__fail_with(&story);
        }
        kin__post_clear(local, i);
    }
    return first;
}

static int finish_held(struct kin__local *local, double timeout)
{
    if (!kin__os_timeout_ok(timeout))
        return kin__fail(KIN_EINVAL, "cannot wait for %g seconds", timeout);
    double deadline = kin__os_deadline(timeout);
    atomic_store(&local->pool->closed, 1);
    int error = lock_until(
        local, deadline); /* a map in another thread ends first; its caller hears of its failures */
    if (error)
        return error;
    int failed = kin__records_drain(local, deadline);
    if (failed != KIN_ETIMEDOUT) {
        kin_error story;
        kin_error_get(&story);
        kin__warden_stop(local);
        error = finish_workers(local, deadline);
        if (!error && failed)
            error = kin__fail_with(&story);
    }
    pthread_mutex_unlock(&local->mutex);
    return error ? error : failed;
}

int kin_pool_finish(kin_pool *pool, double timeout)
{
    struct kin__local *local = kin__local_hold(pool, "finish");
    if (!local)
        return kin_error_code();
    int error = finish_held(local, timeout);
    kin__local_release(local);
    return error;
}

/* Maps in other threads end early; not one in this thread, from whose progress function we are called. */
static int stop_maps(struct kin__local *local)
{
    kin_pool *pool = local->pool;
    int error = lock_until(local, kin__os_now());
    if (error == KIN_EBUSY)
        return error;
    if (!error)
        pthread_mutex_unlock(&local->mutex);
    leave(local);
    pthread_mutex_lock(&local->desk.mutex); /* nothing is submitted after this */
    atomic_store(&pool->closed, 1);
    pthread_mutex_unlock(&local->desk.mutex);
    kin__records_cancel(local);
    atomic_store(&pool->canceled, 1);
    atomic_store(&pool->stop, 1);
    atomic_fetch_add(&pool->event, 1);
    kin__os_futex_wake(&pool->event, INT_MAX);
    await_others(local);
    return 0;
}

/* Threads cannot be killed: what they run is waited for. */
static void await_threads(struct kin__local *local)
{
    kin_pool *pool = local->pool;
    double patience = kin__os_deadline(FREE_PATIENCE);
    tell_to_quit(pool);
    for (int i = 0; i < pool->workers; i++) {
        if (!local->posts[i].taken || kin__post_join(local, i, patience) == 0)
            continue;
        kin_log(
            KIN_LOG_WARNING,
            "pool \"%s\" is freed, and waits for the task that its thread %d runs: a thread cannot be ended",
            pool->name, i);
        kin__post_await(local, i);
    }
}

static void end_workers(struct kin__local *local)
{
    kin_pool *pool = local->pool;
    if (pool->kind == KIN_POOL_THREADS)
        await_threads(local);
    for (int i = 0; i < pool->workers; i++)
        kin__post_kill(&local->posts[i]); /* all first, so that they end side by side */
    for (int i = 0; i < pool->workers; i++) {
        kin__post_clear(local, i);
        kin_arena_free(pool->seats[i].results);
        kin_arena_free(pool->seats[i].notes);
    }
}

static void release(struct kin__local *local)
{
    kin_pool *pool = local->pool;
    if (stop_maps(local) != 0) {
        kin_log(KIN_LOG_ERROR, "cannot free: %s", kin_error_message());
        kin__local_release(local);
        return;
    }
    kin__warden_stop(local);
    end_workers(local);
    kin__records_free(local);
    kin_arena_free(local->kept);
    pthread_mutex_destroy(&local->mutex);
    free(local);
    pool->magic = 0;
    kin_arena_free(pool->arena);
}

void kin_pool_free(kin_pool *pool)
{
    struct kin__local *local = pool ? kin__local_hold(pool, "free") : NULL;
    if (!local)
        return;
    if (local->finalizer && pool->kind == KIN_POOL_PROCESSES && !atomic_load(&pool->closed))
        kin_log(KIN_LOG_WARNING,
                "pool \"%s\" was freed without kin_pool_finish: its workers end without their finalizer",
                pool->name);
    release(local);
}
