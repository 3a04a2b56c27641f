/*
 * process/child.c - see child.h.
 *
 * A parent's death is told by PR_SET_PDEATHSIG. The kernel sends it when the *thread* that made the child
 * ends, and again for each later stand-in of the same process, so the handler asks getppid(), which changes
 * only when the whole parent is gone (kernel/exit.c: real_parent is set before the signal is sent). No thread
 * and no descriptor is needed for it.
 */
#include "process/child.h"

#include "base/failure.h"
#include "base/in_child.h"
#include "base/log.h"
#include "family/checked.h"
#include "family/hooks.h"
#include "family/sealed.h"
#include "os/fatal.h"
#include "os/os.h"
#include "process/carried.h"
#include "process/children.h"
#include "process/forkserver.h"
#include "process/handle.h"
#include "process/limits.h"
#include "process/output.h"
#include "process/printed.h"
#include "process/start.h"
#include "process/started.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/single_threaded.h>
#include <unistd.h>

#define DAEMON_PATIENCE 1.0 /* seconds between SIGTERM and SIGKILL for daemons at exit */

bool kin__flushed_all;
uintptr_t kin__crash_bottom; /* beside these: in a child this page is written anyway */
static bool beside_threads,
    were_beside_threads; /* see kin__child_forked_beside_threads; and before the last fork */
_Atomic bool kin__exiting;
bool kin__start_warned;

static volatile pid_t expected_parent;
static int parent_died; /* the signal: SIGRTMAX - 1, asked for once, not in every child */

static void on_parent_death(int number)
{
    (void)number;
    if (expected_parent && getppid() != expected_parent) {
        kin__started_end_own();
        _exit(KIN__ORPHAN_EXIT);
    }
}

/* Before any fork, so that children have it from the start: each call in a child costs page faults. */
static void catch_parent_death(void)
{
    struct sigaction action = {.sa_handler = on_parent_death, .sa_flags = SA_RESTART};
    sigaction(parent_died, &action, NULL);
}

KIN__IN_CHILD static void watch_parent(pid_t parent)
{
    expected_parent = parent;
    if (!kin__os_handles(parent_died, on_parent_death))
        catch_parent_death(); /* the program had taken the signal for itself */
    if (!kin__os_parent_death_signal(parent_died, parent))
        _exit(KIN__ORPHAN_EXIT);
}

/* Other threads may start, join and free processes meanwhile: nothing is kept of the list from one to the next. */
static kin_process *next_to_end(kin__id *id)
{
    kin_process *found = NULL;
    kin__guardian_lock();
    for (struct kin__watch *watch = kin__guardian_list; watch && !found; watch = watch->next) {
        kin_process *process = ((struct kin__child *)watch)->process;
        if (!kin__guardian_check(watch) && !process->detached)
            found = process;
    }
    *id = found ? found->id : 0;
    kin__guardian_unlock();
    return found;
}

/* Most have none: then not even the clock is looked at, which would be a page to fault in. */
KIN__IN_CHILD static bool has_children(void)
{
    kin__guardian_lock();
    bool any = kin__guardian_list;
    kin__guardian_unlock();
    return any;
}

/* Of the daemons that are there still. */
static void signal_daemons(int number)
{
    kin__guardian_lock();
    for (struct kin__watch *watch = kin__guardian_list; watch; watch = watch->next) {
        const kin_process *process = ((struct kin__child *)watch)->process;
        if (!watch->over && process->daemon && !process->detached && (!process->server || number == SIGKILL))
            kin__guardian_signal(watch, number);
    }
    kin__guardian_unlock();
}

KIN__IN_CHILD static void end_children(void)
{
    kin__id id;
    atomic_store(&kin__exiting, true);
    if (!has_children()) {
        kin__output_finish();
        return;
    }
    kin__forkserver_quit(); /* it ends in order, not by the signal */
    signal_daemons(SIGTERM);
    double deadline = kin__os_deadline(DAEMON_PATIENCE);
    bool killed = false;
    for (kin_process *process; (process = next_to_end(&id));) {
        double left = kin__os_left(deadline);
        if (!process->daemon || killed)
            kin__process_wait(process, id, KIN_FOREVER);
        else if (!kin__process_wait(process, id, left)) {
            signal_daemons(SIGKILL);
            killed = true;
        }
    }
    kin__output_finish();
}

KIN__IN_CHILD static void tell_end(struct kin__member *me, int code)
{
    kin_process *process = kin__own(me->process);
    if (!process)
        return;
    if (code != 0 && !process->error.code)
        kin_error_get(&process->error);
    if (code != 0 && process->limited)
        kin__limits_exiting(kin__own(process->limited));
    process->told_code = code & 0xff;
    kin__started_note(process);
    /* Release: partner is the acquire in end_by_word. */
    atomic_store_explicit(&process->told, 1, memory_order_release);
}

void kin__at_exit(int status, void *unused)
{
    (void)unused;
    if (!kin__alive_page || !*kin__alive_page)
        return; /* a plain fork that never used kin: nothing is its own */
    struct kin__member *me = kin__self();
    if (!me)
        return;
    end_children();
    kin__checked_finish();
    tell_end(me, status);
}

bool kin__child_forked_beside_threads(void)
{
    return beside_threads;
}

KIN__IN_CHILD bool kin__child_alone(void)
{
    return __libc_single_threaded || kin__os_thread_count() == 1 + kin__own_threads();
}

/* What the child printed is written out; what its parent had printed it has dropped, or the parent written out. */
KIN__IN_CHILD static void flush_own(void)
{
    bool alone = kin__child_alone();
    if (alone && kin__flushed_all)
        kin__os_flush_cxx();
    if (alone)
        kin__os_flush_all();
    else
        kin__os_flush_output();
}

/* A sealed process may write to its copy of the argument, as others may. */
static void *argument_copy;

KIN__IN_CHILD static void *argument(kin_process *process)
{
    if (kin__is_sealed() && process->arg == process->data)
        argument_copy = malloc(process->arg_size);
    return argument_copy ? memcpy(argument_copy, process->data, process->arg_size) : process->arg;
}

KIN__IN_CHILD static int run(kin_process *process)
{
    kin_error_clear();
    kin_process_fn fn = process->fork_fn;
    kin__crash_bottom = (uintptr_t)__builtin_frame_address(0);
    int error = 0;
    if (process->start_method != KIN_START_FORK)
        error = kin__function_resolve(&process->function, (void (**)(void)) & fn);
    if (!error && process->limited)
        error = kin__limits_apply(process->limited);
    if (error) {
        fprintf(stderr, "kin: process \"%s\" %s\n", process->name, kin_error_message());
        return 127;
    }
    int code = fn(argument(process));
    if (argument_copy) /* or the call would be a page to fault in */
        free(argument_copy);
    argument_copy = NULL;
    return code;
}

/* Attach first: until then the object may go with a starter that dies. */
KIN__IN_CHILD static kin_process *become(kin__id id, pid_t parent)
{
    if (kin__members()[(uint32_t)id].sealed && kin__seal() != 0) {
        dprintf(STDERR_FILENO, "kin: [%d] error: %s\n", (int)getpid(), kin_error_message());
        _exit(KIN__REFUSED_EXIT);
    }
    if (kin__member_attach(id) != 0)
        _exit(KIN__ORPHAN_EXIT);
    kin_process *process = kin__self()->process;
    if (process->start_method == KIN_START_FORKSERVER) /* that of the template, which began earlier */
        ((kin_process *)kin__own(process))->session = getsid(0);
    if (!process->server) /* it wears what its starter wears: with that one ends what it has started */
        kin__started_mark(process);
    if (process->start_method != KIN_START_FORK)
        kin__start_method_begin(process->default_method);
    if (!process->detached)
        watch_parent(parent);
    atomic_store(&((kin_process *)kin__own(process))->pid,
                 atomic_load_explicit(&kin__self()->pid, memory_order_relaxed));
    if (!kin__printed_begin(process)) {
        dprintf(STDERR_FILENO, "kin: [%d] error: %s\n", (int)getpid(), kin_error_message());
        _exit(KIN__REFUSED_EXIT);
    }
    return process;
}

/* The handles that it was given: descriptors from KIN__CARRIED_FROM on, or those that have arrived at the template. */
KIN__IN_CHILD static void install_carried(const kin_process *process)
{
    int fds[KIN__CARRIED_MOST];
    const struct kin__carried *carried = process->carried;
    if (!carried)
        return;
    if (process->start_method == KIN_START_FORKSERVER)
        kin__forkserver_arrived(fds);
    for (uint32_t i = 0; i < carried->count && process->start_method == KIN_START_SPAWN; i++)
        fds[i] = KIN__CARRIED_FROM + (int)i;
    if (kin__carried_install(carried, fds) == 0)
        return;
    dprintf(STDERR_FILENO, "kin: [%d] error: %s\n", (int)getpid(), kin_error_message());
    _exit(KIN__REFUSED_EXIT);
}

KIN__IN_CHILD void kin__child_run_forked(kin__id id, pid_t parent)
{
    kin__os_drop_output();
    if (kin__flushed_all) /* its starter has looked: there were kin's own threads at most */
        beside_threads = were_beside_threads;
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    kin__os_reset_signals(kin__os_fatal_catch());
    kin__member_forked();
    if (kin__os_parent_is_hidden()) {
        dprintf(STDERR_FILENO,
                "kin: [%d] error: this process was started as a child, but in another pid namespace\n",
                (int)getpid());
        _exit(KIN__REFUSED_EXIT);
    }
    kin_process *process = become(id, parent);
    install_carried(process);
    kin__os_null_stdin();
    int code = run(process);
    struct kin__member *me = kin__self();
    end_children();
    kin__checked_finish();
    flush_own();
    tell_end(me, code);
    _exit(code & 0xff);
}

void kin__child_run_spawned(kin__id id, pid_t parent)
{
    kin_process *process = become(id, parent);
    install_carried(process);
    kin__os_fatal_catch_after_others();
    exit(run(process) & 0xff);
}

pid_t kin__child_parent(void)
{
    return expected_parent;
}

static void before_fork(void)
{
    kin__guardian_lock();
    kin__output_before_fork();
    kin__handles_before_fork();
    kin__os_modules_before_fork();
}

static void after_fork_in_parent(void)
{
    kin__os_modules_after_fork();
    kin__handles_after_fork();
    kin__output_after_fork();
    kin__guardian_unlock();
}

/* A plain fork's parent is not its parent's. */
KIN__IN_CHILD static void forked(void)
{
    expected_parent = 0;
    kin__children_forked();
}

KIN__IN_CHILD static void after_fork_in_child(void)
{
    /* The rest is done when the child first calls kin, or by kin__child_run_forked. */
    were_beside_threads = beside_threads;
    beside_threads |= !__libc_single_threaded;
    kin__guardian_unlock_in_child();
    kin__os_modules_forked();
    kin__handles_forked();
    kin__log_after_fork();
    kin__output_after_fork();
    kin__printed_forked();
    kin__init_forked();
    atomic_store(&kin__exiting, false);
    kin__start_warned = false;
    kin__member_forked_plainly();
}

void kin__child_run_cloned(kin__id id, pid_t parent)
{
    after_fork_in_child();
    kin__child_run_forked(id, parent);
}

bool kin__child_is_orphan(void)
{
    return expected_parent && getppid() != expected_parent;
}

void kin__child_setup(void)
{
    parent_died = SIGRTMAX - 1;
    catch_parent_death();
    kin__crash_prepare(parent_died);
    kin__member_hooks(&(struct kin__member_hooks){
        .forked = forked, .recover = kin__children_recover, .recovered = kin__children_recovered});
    kin__os_keep_module((uintptr_t)kin__at_exit); /* a plug-in's own copy of kin may be unloaded before */
    on_exit(kin__at_exit, NULL);
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}
