/* process/start.c - starting processes: fork here, spawn in spawn.c, forkserver in forkserver.c. */
#include "process/start.h"

#include "base/failure.h"
#include "base/in_child.h"
#include "family/heap.h"
#include "family/hooks.h"
#include "family/journal.h"
#include "family/sealed.h"
#include "kin/heap.h"
#include "os/os.h"
#include "process/carried.h"
#include "process/child.h"
#include "process/children.h"
#include "process/forkserver.h"
#include "process/limits.h"
#include "process/output.h"
#include "process/pointers.h"
#include "process/printed.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHARED_MOST ((size_t)1 << 20) /* bytes of a block that are searched for connections */

/* What the child may flush at its end must be empty when it begins, or it is printed twice. */
static void flush_before_fork(void)
{
    kin__flushed_all = kin__child_alone();
    if (kin__flushed_all) {
        kin__os_flush_cxx();
        kin__os_flush_all();
    } else
        kin__os_flush_output();
    if (!kin__flushed_all)
        kin__start_method_warn();
}

KIN__IN_CHILD static pid_t fork_member(struct kin__member *member)
{
    flush_before_fork();
    kin__os_null_prepare();
    kin__id id = kin__member_id(member);
    pid_t parent = getpid();
    const struct kin__printed *printed = member->process->printed;
    int streams[2] = {-1, -1};
    if (printed)
        memcpy(streams, printed->write_fd, sizeof streams);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* the parent's handlers must not run in the child */
    pid_t pid = fork();
    if (pid == 0) {
        if (printed)
            kin__printed_redirect(streams);
        kin__child_run_forked(id, parent);
    }
    int error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pid < 0)
        return kin__fail_errno(KIN_ESYSTEM, error, "could not fork process \"%s\"", member->process->name);
    return pid;
}

/* Connections that the child is to have. Under fork it has all of them. */
static int find_carried(const struct kin__start *start, struct kin__carrying *carrying)
{
    size_t size = start->shared ? kin_usable_size(start->shared) : 0;
    carrying->count = 0;
    carrying->too_many = false;
    if (start->has_channel)
        carrying->each[carrying->count++] =
            (struct kin__carried_one){.place = KIN__NO_PLACE, .fd = start->channel};
    if (start->shared)
        kin__carrying_find(carrying, start->shared, size < SHARED_MOST ? size : SHARED_MOST);
    else
        kin__carrying_find(carrying, start->arg, start->arg_size);
    kin__carrying_find(carrying, start->options.connections,
                       start->options.connection_count * sizeof *start->options.connections);
    if (!carrying->too_many)
        return 0;
    kin__carrying_end(carrying);
    return kin__fail(KIN_ELIMIT, "cannot start a process with more than %u connections", KIN__CARRIED_MOST);
}

static kin_process *make_object(const struct kin__start *start, int method,
                                const struct kin__carrying *carrying)
{
    static _Atomic unsigned numbers;
    size_t copied = start->shared ? 0 : start->arg_size;
    bool limited = kin__limits_given(&start->options.limits);
    size_t limits_at = (copied + 63) & ~(size_t)63;
    size_t crash_at = limits_at + (limited ? (sizeof(struct kin__limited) + 63) & ~(size_t)63 : 0);
    size_t printed_at = crash_at + ((sizeof(struct kin__crash) + 63) & ~(size_t)63);
    size_t printed = kin__printed_size(start->options.output);
    size_t carried_at = printed_at + ((printed + 63) & ~(size_t)63),
           carried = kin__carried_size(carrying ? carrying->count : 0);
    kin_process *process = kin__heap_open(sizeof *process + carried_at + carried, NULL);
    if (!process)
        return NULL;
    memset(process, 0, sizeof *process);
    process->crash = (struct kin__crash *)(void *)(process->data + crash_at);
    atomic_store(&process->crash->state, KIN__CRASH_NONE); /* all else in it counts only with another state */
    process->oom_before = kin__ooms_before();
    process->start_method = method;
    process->server = start->server;
    process->default_method = kin__start_method_set();
    process->session = start->server ? 0 : getsid(0);
    process->daemon = start->options.daemon;
    process->detached = start->options.detached;
    if (start->options.name)
        snprintf(process->name, sizeof process->name, "%s", start->options.name);
    else
        snprintf(process->name, sizeof process->name, "process-%u", atomic_fetch_add(&numbers, 1) + 1);
    process->fork_fn = start->fn;
    process->arg_size = copied;
    if (start->shared) {
        process->arg = start->shared;
    } else if (copied) {
        kin__pointers_check("the argument of process", process->name, start->arg, copied, 1);
        memcpy(process->data, start->arg, copied);
        process->arg = process->data;
    }
    if (limited) {
        process->limited = (struct kin__limited *)(void *)(process->data + limits_at);
        memset(process->limited, 0, sizeof *process->limited);
        process->limited->limits = start->options.limits;
    }
    if (printed) {
        process->printed = (struct kin__printed *)(void *)(process->data + printed_at);
        memset(process->printed, 0, sizeof *process->printed);
        process->printed->mode = start->options.output;
    }
    if (carried) {
        process->carried = (struct kin__carried *)(void *)(process->data + carried_at);
        process->carried->count = carrying->count;
        memcpy(process->carried->each, carrying->each, carrying->count * sizeof *carrying->each);
    }
    process->magic = KIN__PROCESS_MAGIC;
    if (method != KIN_START_FORK &&
        kin__function_refer((void (*)(void))start->fn, &process->function, "a process's body") != 0) {
        kin__heap_drop(process);
        return NULL;
    }
    return process;
}

/* From here on the starter's recovery finds it on its list; until now its intent frees it. */
static void link_object(struct kin__member *me, kin_process *process)
{
    kin__guardian_lock();
    process->next = me->children;
    kin__journal_begin();
    kin__journal_set_pointer(&me->children, process);
    kin__heap_close_in(kin__thread_mine);
    kin__journal_end();
    kin__guardian_unlock();
}

static int cannot_watch(const kin_process *process, int error)
{
    bool absent =
        error == ENOSYS || error == EPERM; /* old filters say EPERM to calls that they do not know */
    return kin__fail_errno(
        KIN_ESYSTEM, error, "could not watch process \"%s\"%s", process->name,
        absent ? ", as pidfd_open (Linux 5.3) is not to be had here: is there a seccomp filter?" : "");
}

static int launch(kin_process *process, struct kin__member *member)
{
    int failed = process->printed ? kin__output_open(process) : 0;
    if (failed)
        return failed;
    pid_t pid = process->start_method == KIN_START_SPAWN        ? kin__spawn_member(member)
                : process->start_method == KIN_START_FORKSERVER ? kin__forkserver_member(member)
                                                                : fork_member(member);
    if (process->printed)
        kin__output_started(process);
    if (pid < 0)
        return (int)pid;
    uint64_t born = kin__os_since_boot_ns();
    atomic_store_explicit(&member->attached, born, memory_order_relaxed);
    int32_t unset = 0; /* the child writes the same */
    atomic_compare_exchange_strong(&process->pid, &unset, (int32_t)pid);
    kin__guardian_lock();
    int pidfd = kin__os_pidfd_of_child(pid);
    int error = pidfd < 0 ? cannot_watch(process, errno) : kin__child_add(process, pidfd, born);
    kin__guardian_unlock();
    if (error) {
        kin__os_kill_child(pid);
        kin__member_recover(process->id);
        if (pidfd >= 0)
            close(pidfd);
    }
    return error;
}

static kin_process *start_member(const struct kin__start *start, struct kin__member *me, int method,
                                 const struct kin__carrying *carrying)
{
    struct kin__member *member;
    if (kin__member_claim(&member) != 0)
        return NULL;
    kin_process *process = make_object(start, method, carrying);
    if (!process) {
        kin__member_release_unborn(member);
        return NULL;
    }
    process->id = kin__member_id(member);
    atomic_store(&process->starter, kin__member_id(me));
    link_object(me, process);
    member->sealed = start->options.sealed;
    member->process = process;
    kin__member_starting(member);
    if (launch(process, member) == 0)
        return process;
    if (process->printed)
        kin__output_drop(process->id);
    if (kin__member_find(process->id))
        kin__member_release_unborn(member);
    kin__guardian_lock();
    kin__process_let_go(process);
    kin__guardian_unlock();
    return NULL;
}

/* In a frame of its own: its 4 KiB would be a page of the stack that a fork's parent writes to again, and so copies. */
static __attribute__((noinline)) kin_process *start_carrying(const struct kin__start *start,
                                                             struct kin__member *me, int method)
{
    struct kin__carrying carrying;
    if (find_carried(start, &carrying) != 0)
        return NULL;
    kin_process *process = start_member(start, me, method, &carrying);
    kin__carrying_end(&carrying);
    return process;
}

static kin_process *start_process(const struct kin__start *start)
{
    struct kin__member *me = kin__self();
    if (!me || !kin_current_process()) /* children may ask for their parent */
        return NULL;
    if (kin__sealed_refuse("start a process"))
        return NULL;
    if (atomic_load(&kin__exiting)) {
        kin__fail(KIN_ECLOSED, "cannot start a process: this one is ending");
        return NULL;
    }
    int method = kin__start_method(start->options.start_method);
    if (!kin__start_method_ok(method)) {
        kin__fail(KIN_EINVAL, "cannot start a process by method %d: it is not one of enum kin_start_method",
                  method);
        return NULL;
    }
    if (method != KIN_START_FORK && kin__spawn_possible() != 0)
        return NULL;
    if (kin__limits_check(&start->options.limits, "a process") != 0)
        return NULL;
    return method == KIN_START_FORK ? start_member(start, me, method, NULL)
                                    : start_carrying(start, me, method);
}

/* A thread that is cancelled in it would leave a slot, or a child that nobody watches. */
kin_process *kin__process_start(const struct kin__start *start)
{
    KIN__UNCANCELLED;
    return start_process(start);
}

static int read_start(struct kin__start *start, kin_process_fn fn, const kin_process_options *options)
{
    memset(start, 0, sizeof *start);
    if (!fn)
        return kin__fail(KIN_EINVAL, "cannot start a process without a function");
    start->fn = fn;
    int error = kin__options_read(&start->options, sizeof start->options, options, "process options");
    if (!error)
        error = kin__output_check(start->options.output, "a process");
    if (!error && start->options.detached && start->options.output > KIN_OUTPUT_PASS)
        error = kin__fail(KIN_EINVAL,
                          "cannot start a detached process with output %d: it outlives who would read that; "
                          "let it pass, or have its function open a file of its own",
                          start->options.output);
    return error;
}

kin_process *kin_process_start(kin_process_fn fn, const void *arg, size_t arg_size,
                               const kin_process_options *options)
{
    struct kin__start start;
    if (read_start(&start, fn, options) != 0)
        return NULL;
    if (arg_size && !arg) {
        kin__fail(KIN_EINVAL, "cannot start a process: its argument is NULL, but its size is %zu", arg_size);
        return NULL;
    }
    if (arg_size > kin__region_size) {
        kin__fail(KIN_EINVAL, "cannot start a process: an argument of %zu bytes cannot be copied", arg_size);
        return NULL;
    }
    start.arg = arg;
    start.arg_size = arg_size;
    return kin__process_start(&start);
}

kin_process *kin_process_start_shared(kin_process_fn fn, void *pointer, const kin_process_options *options)
{
    struct kin__start start;
    if (read_start(&start, fn, options) != 0)
        return NULL;
    if (pointer && !kin__region_holds(pointer)) {
        kin__fail(
            KIN_ENOTSHARED,
            "cannot start a process with %p: it lies in private memory (%s), of which the child would see a "
            "copy; use kin_malloc, or kin_process_start, which copies",
            pointer, kin__where(pointer));
        return NULL;
    }
    start.shared = pointer;
    return kin__process_start(&start);
}
