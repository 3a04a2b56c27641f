/*
 * process/forkserver.c - see forkserver.h: first the template's side, then that of who has it.
 *
 * A template that has died is replaced by the next start. It may have died in the middle of one: then `pid` tells whether
 * the child was made, as the kernel stores it there before the child runs.
 */
#include "process/forkserver.h"

#include "base/failure.h"
#include "base/in_child.h"
#include "base/log.h"
#include "family/guardian.h"
#include "family/sealed.h"
#include "kin/start_method.h"
#include "os/os.h"
#include "os/socket.h"
#include "process/carried.h"
#include "process/child.h"
#include "process/start.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK_AGAIN 0.01      /* seconds between looks whether the template lives */
#define BARE_PATIENCE 60.0   /* for a template that prepares nothing */
#define ANSWER_PATIENCE 10.0 /* for one that is ready: beyond it, it is taken for stopped */
#define QUIT_PATIENCE 1.0
#define TRIES 3 /* templates that may die while they make one child */

/* What templates of this process do first. Never changed once it is pointed to. Forked children have it from their
 * parent, those of a template from the template. */
struct preparation {
    struct kin__function function;
    double patience;
    size_t arg_size;
    _Alignas(16) unsigned char arg[];
};

static struct preparation *_Atomic preparation;
static kin_process *template; /* by the mutex */
static int channel = -1;      /* by the mutex: to the template */
static struct kin__file channel_file;
static uint32_t parcels; /* by the mutex: the last number under which descriptors were sent there */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static struct preparation *new_preparation(const struct kin__function *function, const void *arg, size_t size,
                                           double patience)
{
    struct preparation *made = malloc(sizeof *made + size);
    if (!made) {
        kin__fail(KIN_ENOMEM, "could not prepare a forkserver: out of private memory");
        return NULL;
    }
    made->function = *function;
    made->patience = patience;
    made->arg_size = size;
    if (size)
        memcpy(made->arg, arg, size);
    return made;
}

/* ---- the template -------------------------------------------------------------------------------- */

static int prepare(struct kin__template *own)
{
    kin_process_fn fn;
    if (!own->prepare.module)
        return 0;
    if (kin__function_resolve(&own->prepare, (void (**)(void)) & fn) != 0)
        return 1;
    kin_error_clear();
    int code = fn(own->arg_size ? own->arg : NULL);
    if (code) {
        if (!kin_error_code())
            kin__fail(KIN_EFAILED, "its function returned %d", code);
        return code & 0xff ? code & 0xff : 1;
    }
    int threads = kin__os_thread_count();
    if (threads > 1) {
        kin__fail(KIN_ENOTSUP,
                  "its function has left %d thread%s running, which children would not have; prepare what "
                  "needs no threads, or use spawn",
                  threads - 1, threads == 2 ? "" : "s");
        return 1;
    }
    /* What children start by forkserver in their turn is prepared the same way. */
    atomic_store(&preparation, new_preparation(&own->prepare, own->arg, own->arg_size, own->patience));
    return 0;
}

/* Those of the child that is being made. The template's socket has its number for life: it is given it first. */
#define SOCKET KIN__CARRIED_FROM
static int *arrived; /* room for KIN__CARRIED_MOST; NULL: there were never any */

/* All of them, which were sent before the request: 0, or errno. What is left of a request that came to nothing goes. */
static int receive_arrivals(const struct kin__template *own)
{
    if (own->coming && !arrived && !(arrived = malloc(KIN__CARRIED_MOST * sizeof *arrived)))
        return ENOMEM;
    for (uint32_t got = 0; got < own->coming;) {
        int fds[KIN__OS_FDS_MOST];
        size_t count = 0;
        uint32_t parcel = 0;
        struct iovec part = {&parcel, sizeof parcel};
        ssize_t size = kin__os_recv(SOCKET, &part, 1, fds, &count, NULL, true);
        bool ours = size == sizeof parcel && parcel == own->parcel && count && got + count <= own->coming;
        for (size_t i = 0; i < count; i++)
            if (ours)
                arrived[got++] = fds[i];
            else
                close(fds[i]);
        if (size < 0 || (parcel == own->parcel && !ours)) {
            while (got)
                close(arrived[--got]);
            return size < 0 && size != -EAGAIN ? (int)-size : EMFILE;
        }
    }
    return 0;
}

void kin__forkserver_arrived(int *fds)
{
    memcpy(fds, arrived, KIN__CARRIED_MOST * sizeof *arrived);
}

static void make_child(struct kin__template *own)
{
    kin__id id = own->wanted;
    pid_t parent = kin__child_parent();
    sigset_t all, before;
    own->error = receive_arrivals(own);
    if (own->error)
        return;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* as at a fork: no handler of ours may run in the child */
    pid_t pid = kin__os_fork_sibling(&own->pid);
    if (pid == 0) {
        close(SOCKET);
        kin__child_run_cloned(id, parent);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    for (uint32_t i = 0; i < own->coming; i++)
        close(arrived[i]);
    own->error = pid < 0 ? -pid : 0;
}

/* The body of the template's process. */
static int serve(void *arg)
{
    struct kin__template *own = arg;
    signal(SIGINT, SIG_IGN); /* Ctrl-C is for the program, which may want more children */
    int code = kin__os_sibling_prepare() ? 1 : prepare(own);
    if (code)
        return code;
    kin__os_null_prepare();
    kin__flushed_all = true; /* children may flush all: nothing of ours is left */
    kin__os_flush_cxx();
    kin__os_flush_all();
    atomic_store_explicit(&own->ready, 1, memory_order_release);
    kin__os_futex_wake(&own->ready, INT_MAX);
    for (;;) {
        uint32_t answered = atomic_load_explicit(&own->answered, memory_order_relaxed);
        uint32_t asked = atomic_load_explicit(&own->asked, memory_order_acquire); /* pairs with ask() */
        if (atomic_load(&own->quit))
            return 0;
        if (asked == answered) {
            kin__os_futex_wait(&own->asked, asked, KIN_FOREVER); /* its parent's death ends it by a signal */
            continue;
        }
        make_child(own);
        atomic_store_explicit(&own->answered, asked, memory_order_release); /* pairs with ask() */
        kin__os_futex_wake(&own->answered, INT_MAX);
    }
}

/* ---- who has it ---------------------------------------------------------------------------------- */

static struct kin__template *words(const kin_process *process)
{
    return process->arg;
}

static bool has_ended(kin_process *process)
{
    return kin__process_settle(process, process->id);
}

/* It ends when it gets to it: between two children, not in the middle of one. */
static void ask_to_quit(const kin_process *process)
{
    struct kin__template *its = words(process);
    atomic_store(&its->quit, 1);
    atomic_fetch_add(&its->asked, 1);
    kin__os_futex_wake(&its->asked, INT_MAX);
}

static void drop(kin_process *process)
{
    if (!process)
        return;
    if (!has_ended(process)) {
        ask_to_quit(process);
        kin__process_wait(process, process->id, QUIT_PATIENCE);
    }
    kin_process_free(process);
}

static void close_channel(void)
{
    if (channel >= 0) {
        kin__os_file_close(channel, &channel_file);
        channel = -1;
    }
}

static kin_process *start_template(void)
{
    const struct preparation *first = atomic_load(&preparation);
    size_t size = first ? first->arg_size : 0;
    struct kin__template *begin = calloc(1, sizeof *begin + size);
    if (!begin) {
        kin__fail(KIN_ENOMEM, "could not start a forkserver: out of private memory");
        return NULL;
    }
    if (first) {
        begin->prepare = first->function;
        begin->patience = first->patience;
        begin->arg_size = size;
        memcpy(begin->arg, first->arg, size);
    }
    int ends[2];
    if (kin__os_socket_pair(true, ends) != 0) {
        free(begin);
        return NULL;
    }
    struct kin__start start = {
        .fn = serve,
        .arg = begin,
        .arg_size = sizeof *begin + size,
        .options = {.name = "forkserver", .start_method = KIN_START_SPAWN, .daemon = true},
        .server = true,
        .has_channel = true,
        .channel = ends[1],
    };
    kin_process *process = kin__process_start(&start);
    free(begin);
    close(ends[1]);
    if (process) {
        close_channel();
        channel = ends[0];
        channel_file = kin__os_file_of(channel);
    } else {
        close(ends[0]);
    }
    return process;
}

/* It ended before it was ready: its story is ours. */
static int tell_failure(kin_process *process)
{
    kin_error story = {0};
    kin_end how;
    char text[200];
    kin_process_error(process, &story);
    if (story.code)
        return kin__fail(story.code, "could not prepare a forkserver: %.400s", story.message);
    kin_process_end(process, &how);
    return kin__fail(KIN_EFAILED, "could not prepare a forkserver: it ended before it was ready, with %s",
                     kin_end_text(&how, text, sizeof text));
}

static int await_ready(kin_process *process, double patience)
{
    struct kin__template *its = words(process);
    double deadline = kin__os_deadline(patience);
    while (!atomic_load_explicit(&its->ready, memory_order_acquire)) {
        double left = kin__os_left(deadline);
        if (has_ended(process))
            return tell_failure(process);
        if (left <= 0)
            return kin__fail(KIN_ETIMEDOUT, "a forkserver (pid %d) was not ready after %g seconds",
                             kin_process_pid(process), patience);
        kin__os_futex_wait(&its->ready, 0, left < LOOK_AGAIN ? left : LOOK_AGAIN);
    }
    return 0;
}

/* Under the mutex. */
static int have_template(void)
{
    if (template && has_ended(template)) {
        kin_end how = {0};
        char text[200];
        kin_process_end(template, &how);
        kin_log(KIN_LOG_WARNING, "the forkserver (pid %d) has ended, %s; another one is started",
                kin_process_pid(template), kin_end_text(&how, text, sizeof text));
        kin_process_free(template);
        template = NULL;
    }
    if (template)
        return 0;
    kin_process *process = start_template();
    if (!process)
        return kin_error_code();
    const struct preparation *first = atomic_load(&preparation);
    int error = await_ready(process, first ? first->patience : BARE_PATIENCE);
    if (error) {
        kin_error why;
        kin_error_get(&why);
        kin_process_free(process);
        return kin__fail_with(&why);
    }
    template = process;
    return 0;
}

static void await_answer(kin_process *process, struct kin__template *its, uint32_t turn)
{
    double deadline = kin__os_deadline(ANSWER_PATIENCE);
    for (;;) {
        double left = kin__os_left(deadline); /* before the look: we may have been stopped ourselves */
        uint32_t answered =
            atomic_load_explicit(&its->answered, memory_order_acquire); /* pairs with serve() */
        if (answered == turn || has_ended(process))
            return;
        if (left <= 0)
            break;
        kin__os_futex_wait(&its->answered, answered, LOOK_AGAIN);
    }
    kin_log(KIN_LOG_WARNING, "the forkserver (pid %d) has not answered for %g seconds, and is killed",
            kin_process_pid(process), ANSWER_PATIENCE);
    kin_process_kill(process);
    kin__process_wait(process, process->id, KIN_FOREVER); /* SIGKILL is certain, stopped or not */
}

/* The descriptors of what the child is to have. KIN_EDIED: the template is dead. */
static int send_carried(const struct kin__carried *carried, uint32_t parcel)
{
    for (uint32_t sent = 0; sent < carried->count;) {
        int fds[KIN__OS_FDS_MOST];
        size_t count = 0;
        while (count < KIN__OS_FDS_MOST && sent + count < carried->count) {
            fds[count] = carried->each[sent + count].fd;
            count++;
        }
        struct iovec part = {&parcel, sizeof parcel};
        ssize_t size = kin__os_send(channel, &part, 1, fds, count, true);
        if (size == -EPIPE || size == -ECONNRESET)
            return KIN_EDIED;
        if (size < 0)
            return kin__fail_errno(KIN_ESYSTEM, (int)-size, "could not hand connections to a process");
        sent += (uint32_t)count;
    }
    return 0;
}

/* The child's pid; KIN_EDIED: the template is dead, and has made none; or an error. Under the mutex. */
static pid_t ask(kin_process *process, const struct kin__member *member)
{
    struct kin__template *its = words(process);
    uint32_t turn = atomic_load(&its->asked) + 1;
    its->wanted = kin__member_id(member);
    its->error = 0;
    its->coming = 0;
    if (member->process->carried) {
        int error = send_carried(member->process->carried, ++parcels);
        if (error && error != KIN_EDIED)
            return error;
        its->coming = member->process->carried->count; /* of a dead template its end is seen below */
        its->parcel = parcels;
    }
    atomic_store(&its->pid, 0);
    atomic_store_explicit(&its->asked, turn, memory_order_release); /* pairs with serve() */
    kin__os_futex_wake(&its->asked, 1);
    await_answer(process, its, turn);
    pid_t pid = atomic_load(&its->pid);
    if (pid > 0)
        return pid;
    if (atomic_load(&its->answered) == turn)
        return kin__fail_errno(KIN_ESYSTEM, its->error, "could not fork process \"%s\" from the forkserver",
                               member->process->name);
    return kin__fail(KIN_EDIED,
                     "could not start process \"%s\": its forkserver was killed %d times meanwhile",
                     member->process->name, TRIES);
}

pid_t kin__forkserver_member(struct kin__member *member)
{
    if (kin__child_alone())
        kin__os_flush_cxx();
    kin__os_flush_output();
    pid_t pid = KIN_EDIED;
    pthread_mutex_lock(&mutex);
    for (int tries = 0; pid == KIN_EDIED && tries < TRIES; tries++) {
        int error = have_template();
        if (error) {
            pid = error;
            break;
        }
        pid = ask(template, member);
    }
    pthread_mutex_unlock(&mutex);
    return pid;
}

void kin__forkserver_quit(void)
{
    if (pthread_mutex_trylock(&mutex) != 0)
        return; /* a thread waits for a template, perhaps for long: that one is killed, as daemons are in the end */
    if (template)
        ask_to_quit(template);
    close_channel();
    pthread_mutex_unlock(&mutex);
}

KIN__IN_CHILD void kin__forkserver_forked(void)
{
    kin__mutex_forked(&mutex);
    if (template) /* or the store would be a page to fault in and to copy */
        template = NULL;
    close_channel();
}

static int check_preparation(kin_process_fn fn, const void *arg, size_t arg_size, double timeout)
{
    if (!kin__self() || !kin_current_process())
        return kin_error_code();
    if (kin__sealed_refuse("prepare a forkserver"))
        return kin_error_code();
    if (arg_size && (!arg || !fn))
        return kin__fail(KIN_EINVAL, "cannot prepare a forkserver: %s, but the argument's size is %zu",
                         fn ? "its argument is NULL" : "there is no function", arg_size);
    if (arg_size > kin__region_size)
        return kin__fail(KIN_EINVAL, "cannot prepare a forkserver: an argument of %zu bytes cannot be copied",
                         arg_size);
    if (!kin__os_timeout_ok(timeout))
        return kin__fail(KIN_EINVAL, "cannot wait for %g seconds", timeout);
    return kin__spawn_possible();
}

static int prepare_template(kin_process_fn fn, const void *arg, size_t arg_size, double timeout)
{
    int error = check_preparation(fn, arg, arg_size, timeout);
    struct kin__function function = {0};
    if (!error && fn)
        error = kin__function_refer((void (*)(void))fn, &function, "the function that prepares a forkserver");
    if (error)
        return error;
    struct preparation *made = new_preparation(&function, arg, arg_size, timeout);
    if (!made)
        return KIN_ENOMEM;
    pthread_mutex_lock(&mutex);
    kin_process *before = template;
    struct preparation *earlier = atomic_exchange(&preparation, made);
    template = NULL;
    error = have_template();
    if (error) { /* all is as it was */
        template = before;
        atomic_store(&preparation, earlier);
    }
    pthread_mutex_unlock(&mutex);
    if (error) {
        free(made);
        return error;
    }
    drop(before);
    free(earlier);
    return 0;
}

/* A thread that is cancelled in it would leave the mutex locked. */
int kin_forkserver_prepare(kin_process_fn fn, const void *arg, size_t arg_size, double timeout)
{
    KIN__UNCANCELLED;
    return prepare_template(fn, arg, arg_size, timeout);
}
