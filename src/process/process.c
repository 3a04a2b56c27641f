/* process/process.c - asking about processes and waiting for them; start.c starts them. */
#include "process/process_shared.h"

#include "base/failure.h"
#include "base/log.h"
#include "family/region.h"
#include "family/thread.h"
#include "kin/heap.h"
#include "os/os.h"
#include "process/children.h"
#include "process/output.h"
#include "process/printed.h"

#include <errno.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* A sleeper looks at the owner's life itself at least this often: the guardian dies too. */
#define LOOK_AGAIN 0.1
#define START_PATIENCE 1.0
#define OUTPUT_PATIENCE 1.0

int kin__process_check(const kin_process *process, const char *what)
{
    return kin__object_check(process, KIN__PROCESS_MAGIC, what);
}

/* Whether it is a child of ours, and has not been seen to end. Its pidfd, or -1, is not to be waited for without end: if the
 * program has closed it, it is of something else by now. */
static bool is_running_child(const kin_process *process, kin__id id, int *pidfd)
{
    kin__guardian_lock();
    const struct kin__child *child = kin__child_find(process);
    bool running = child && process->id == id && !child->watch.over;
    *pidfd = running ? child->watch.pidfd : -1;
    kin__guardian_unlock();
    return running;
}

bool kin__process_wait(kin_process *process, kin__id id, double timeout)
{
    double deadline = kin__os_deadline(timeout);
    for (;;) {
        double left = kin__os_left(deadline);
        int pidfd;
        is_running_child(process, id, &pidfd);
        if (pidfd >= 0) /* it says at once whether the child has ended: no need to look before */
            kin__os_pidfd_wait(pidfd, left < LOOK_AGAIN ? left : LOOK_AGAIN);
        if (kin__process_settle(process, id))
            return true;
        if (left <= 0)
            return false;
        if (pidfd < 0)
            kin__os_futex_wait(&process->ended, 0, left < LOOK_AGAIN ? left : LOOK_AGAIN);
    }
}

/* Whether what it prints is read by this process. */
static bool own_output(const kin_process *process, kin__id id)
{
    return atomic_load(&process->magic) == KIN__PROCESS_MAGIC && process->id == id && process->printed &&
           atomic_load(&process->starter) == kin__self_id();
}

int kin_process_join(kin_process *process, double timeout)
{
    int error = kin__process_check(process, "join");
    if (error)
        return error;
    if (!kin__os_timeout_ok(timeout))
        return kin__fail(KIN_EINVAL, "cannot wait for %g seconds", timeout);
    kin__id id = process->id;
    if (id == kin__self_id())
        return kin__fail(KIN_EINVAL, "process \"%s\" cannot join itself", process->name);
    double deadline = kin__os_deadline(timeout);
    struct kin__thread *thread = timeout > 0 && kin__thread_is_ours() ? kin__thread_mine : NULL;
    if (thread)
        kin__thread_waits_begin(thread, process, 0, kin__os_now_ns());
    bool ended = kin__process_wait(process, id, timeout);
    if (thread)
        kin__thread_waits_end(thread);
    if (!ended)
        return kin__fail(KIN_ETIMEDOUT, "process \"%s\" has not ended in time", process->name);
    if (own_output(process, id))
        kin__output_wait(id, deadline);
    return 0;
}

/* A pidfd of the moment for a member that is not our child; -1: it has ended, or (record set) an error. */
static int open_member(const kin_process *process, kin__id id, const char *what, int *error)
{
    *error = 0;
    double deadline = kin__os_deadline(START_PATIENCE);
    while (!atomic_load(&process->pid) && kin__member_find(id) && kin__os_left(deadline) > 0)
        sched_yield(); /* it is just being started */
    struct kin__member *member = kin__member_find(id);
    if (!member)
        return -1;
    int pidfd = kin__os_pidfd_open(atomic_load(&member->pid) ? atomic_load(&member->pid)
                                                             : atomic_load(&process->pid));
    if (pidfd < 0) {
        if (!kin__os_no_process(errno))
            *error = kin__fail_errno(KIN_ESYSTEM, errno, "could not %s process", what);
        return -1;
    }
    /* If it ended before, its number may be another's: that one started later. */
    if ((atomic_load(&member->pid) == 0 || kin__member_has_pid(member)) && kin__member_find(id))
        return pidfd;
    close(pidfd);
    return -1;
}

static int send(kin_process *process, int number, const char *what)
{
    int error = kin__process_check(process, what);
    if (error)
        return error;
    kin__id id = process->id;
    if (kin__process_settle(process, id))
        return 0;
    kin__guardian_lock();
    struct kin__child *child = kin__child_find(process);
    if (child)
        error = child->watch.over ? 0 : kin__guardian_signal(&child->watch, number);
    kin__guardian_unlock();
    if (child)
        return error;
    int pidfd = open_member(process, id, what, &error);
    if (pidfd < 0)
        return error;
    error = kin__os_pidfd_signal(pidfd, number);
    close(pidfd);
    return error;
}

int kin_process_terminate(kin_process *process)
{
    return send(process, SIGTERM, "terminate");
}

int kin_process_kill(kin_process *process)
{
    /* Only the starter may write: for others the object may go at any time. */
    if (process && kin__process_check(process, "kill") == 0 &&
        atomic_load(&process->starter) == kin__self_id())
        atomic_store(&process->killed, 1);
    return send(process, SIGKILL, "kill");
}

bool kin_process_is_alive(kin_process *process)
{
    return kin__process_check(process, "ask whether it is alive") == 0 &&
           !kin__process_settle(process, process->id);
}

int kin_process_pid(const kin_process *process)
{
    int error = kin__process_check(process, "ask for the pid");
    return error ? error : atomic_load(&process->pid);
}

const char *kin_process_name(const kin_process *process)
{
    return kin__process_check(process, "ask for the name") ? "" : process->name;
}

/* What was copied is the object's, if it is there still: with its starter it may have gone meanwhile. */
static int check_still(const kin_process *process, kin__id id, const char *what)
{
    atomic_thread_fence(memory_order_acquire);
    if (atomic_load(&process->magic) == KIN__PROCESS_MAGIC && process->id == id)
        return 0;
    return kin__fail(KIN_EINVAL, "cannot tell %s: the process was freed meanwhile", what);
}

int kin_process_end(kin_process *process, kin_end *out)
{
    int error = kin__process_check(process, "ask how it ended");
    if (error)
        return error;
    if (!out)
        return kin__fail(KIN_EINVAL, "cannot tell how process \"%s\" ended: no place to tell it",
                         process->name);
    memset(out, 0, sizeof *out);
    kin__id id = process->id;
    if (kin__process_settle(process, id))
        *out = process->end;
    return check_still(process, id, "how it ended");
}

/* One that ended with a code and no word of kin's may have said why all the same. */
static void tell_code(const kin_process *process, kin_error *out)
{
    if (out->code || process->end.how != KIN_END_EXITED || !process->end.exit_code || !process->printed ||
        process->printed->mode != KIN_OUTPUT_CAPTURE)
        return;
    kin__error_fill(out, KIN_EFAILED, "process \"%s\" (pid %d) ended with exit code %d", process->name,
                    (int)atomic_load(&process->pid), process->end.exit_code);
    out->pid = (int)atomic_load(&process->pid);
}

int kin_process_error(kin_process *process, kin_error *out)
{
    int error = kin__process_check(process, "ask for its failure");
    if (error)
        return error;
    if (!out)
        return kin__fail(KIN_EINVAL, "cannot tell the failure of process \"%s\": no place to tell it",
                         process->name);
    memset(out, 0, sizeof *out);
    kin__id id = process->id;
    if (kin__process_settle(process, id)) {
        if (own_output(process, id))
            kin__output_wait(id, kin__os_deadline(OUTPUT_PATIENCE));
        *out = process->error;
        out->message[sizeof out->message - 1] = '\0';
        tell_code(process, out);
        size_t length = strlen(out->message);
        kin__crash_where(process, out->message + length, sizeof out->message - length);
        length = strlen(out->message);
        if (out->code)
            kin__printed_last(process, out->message + length, sizeof out->message - length);
    }
    return check_still(process, id, "its failure");
}

int kin_process_backtrace(kin_process *process, char *buffer, size_t size)
{
    int error = kin__process_check(process, "ask for the backtrace");
    if (error)
        return error;
    if (!buffer || !size)
        return kin__fail(KIN_EINVAL, "cannot tell the backtrace of process \"%s\": no place to tell it",
                         process->name);
    *buffer = '\0';
    kin__id id = process->id;
    if (kin__process_settle(process, id))
        error = kin__crash_backtrace(process, buffer, size);
    return error ? error : check_still(process, id, "the backtrace");
}

int kin_process_sentinel(kin_process *process)
{
    int error = kin__process_check(process, "ask for the sentinel");
    if (error)
        return error;
    kin__guardian_lock();
    struct kin__child *child = kin__child_find(process);
    int pidfd = child ? kin__guardian_pidfd(&child->watch) : -1;
    int why = errno;
    kin__guardian_unlock();
    if (pidfd >= 0)
        return pidfd;
    if (!child)
        return kin__fail(KIN_EPERM, "process \"%s\" has its sentinel only where it was started",
                         process->name);
    return kin__fail_errno(KIN_ESYSTEM, why, "could not open the sentinel of process \"%s\" again",
                           process->name);
}

static void refuse_free(int code, const char *name, const char *why)
{
    kin__fail(code, "process \"%s\" cannot be freed: %s", name, why);
    kin_log(KIN_LOG_ERROR, "%s", kin_error_message());
}

/* Until the kernel has said that it has ended, and its status is collected: what it had may still be someone else's to
 * recover, or be recovered already. */
static void wait_for_death(kin_process *process)
{
    kin__id id = process->id;
    for (int pidfd; is_running_child(process, id, &pidfd); kin__process_settle(process, id))
        if (pidfd >= 0)
            kin__os_pidfd_wait(pidfd, LOOK_AGAIN);
        else
            kin__os_futex_wait(&process->ended, 0, LOOK_AGAIN);
}

void kin_process_free(kin_process *process)
{
    if (!process || kin__process_check(process, "free"))
        return;
    if (atomic_load(&process->starter) != kin__self_id()) {
        refuse_free(KIN_EPERM, process->name, "only the process that started it can do that");
        return;
    }
    kin__guardian_lock();
    struct kin__child *child = kin__child_find(process);
    bool pools = child && child->notify;
    kin__guardian_unlock();
    if (pools) {
        refuse_free(KIN_EPERM, process->name, "it is a worker of a pool");
        return;
    }
    if (kin_process_kill(process) == 0)
        wait_for_death(process);
    else
        kin_log(KIN_LOG_ERROR, "process \"%s\" goes on unwatched: %s", process->name, kin_error_message());
    if (process->printed)
        kin__output_drop(process->id);
    kin__guardian_lock();
    child = kin__child_find(process);
    if (child)
        kin__child_forget(child);
    kin__process_let_go(process);
    kin__guardian_unlock();
}
