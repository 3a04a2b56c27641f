/* process/process.c - asking about processes and waiting for them; start.c starts them. */
#include "process/process_shared.h"

#include "base/failure.h"
#include "family/region.h"
#include "kin/heap.h"
#include "os/os.h"
#include "process/children.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A sleeper looks at the owner's life itself at least this often: the guardian dies too. */
#define LOOK_AGAIN 0.1
#define PATIENCE 10 /* looks */

int kin__process_check(const kin_process *process, const char *what)
{
    if (!process) {
        const char *story = kin_error_message();
        return kin__fail(KIN_EINVAL, "cannot %s: the process is NULL%s%s", what,
                         *story ? "; last failure: " : "", story);
    }
    if (!kin__region_holds(process) || process->magic != KIN__PROCESS_MAGIC)
        return kin__fail(KIN_EINVAL, "cannot %s: %p is not a process (freed?)", what, (const void *)process);
    return 0;
}

/* The pidfd of a child of ours, or -1. */
static int own_pidfd(kin_process *process)
{
    pthread_mutex_lock(&kin__guardian_mutex);
    struct kin__child *child = kin__child_find(process);
    int pidfd = child ? child->watch.pidfd : -1;
    pthread_mutex_unlock(&kin__guardian_mutex);
    return pidfd;
}

int kin_process_join(kin_process *process, double timeout)
{
    int error = kin__process_check(process, "join");
    if (error)
        return error;
    if (!kin__os_timeout_ok(timeout))
        return kin__fail(KIN_EINVAL, "cannot wait for %g seconds", timeout);
    if (process->id == kin__self_id())
        return kin__fail(KIN_EINVAL, "process \"%s\" cannot join itself", process->name);
    double deadline = kin__os_deadline(timeout);
    int pidfd = own_pidfd(process);
    for (int looks = 0; !kin__process_settle(process, looks > PATIENCE); looks++) {
        double left = kin__os_left(deadline);
        if (left <= 0)
            return kin__fail(KIN_ETIMEDOUT, "process \"%s\" has not ended in time", process->name);
        if (pidfd >= 0)
            kin__os_pidfd_wait(pidfd, left);
        else
            kin__os_futex_wait(&process->ended, 0, left < LOOK_AGAIN ? left : LOOK_AGAIN);
    }
    return 0;
}

/* To another member's process by a pidfd of the moment, which cannot come to mean another process once
 * its member was seen alive after it was opened. */
static int send(kin_process *process, int number, const char *what)
{
    int error = kin__process_check(process, what);
    if (error)
        return error;
    if (kin__process_settle(process, false))
        return 0;
    int pidfd = own_pidfd(process);
    if (pidfd >= 0)
        return kin__os_pidfd_signal(pidfd, number);
    pidfd = kin__os_pidfd_open(atomic_load(&process->pid));
    if (pidfd < 0)
        return errno == ESRCH ? 0 : kin__fail_errno(KIN_ESYSTEM, errno, "could not %s process", what);
    if (!kin__process_settle(process, false))
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
    return send(process, SIGKILL, "kill");
}

bool kin_process_is_alive(kin_process *process)
{
    return kin__process_check(process, "ask whether it is alive") == 0 &&
           !kin__process_settle(process, false);
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

int kin_process_end(kin_process *process, kin_end *out)
{
    int error = kin__process_check(process, "ask how it ended");
    if (error)
        return error;
    if (!out)
        return kin__fail(KIN_EINVAL, "cannot tell how process \"%s\" ended: no place to tell it",
                         process->name);
    memset(out, 0, sizeof *out);
    if (kin__process_settle(process, false))
        *out = process->end;
    return 0;
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
    if (kin__process_settle(process, false))
        *out = process->error;
    out->message[sizeof out->message - 1] = '\0';
    return 0;
}

int kin_process_sentinel(kin_process *process)
{
    int error = kin__process_check(process, "ask for the sentinel");
    if (error)
        return error;
    int pidfd = own_pidfd(process);
    return pidfd >= 0 ? pidfd
                      : kin__fail(KIN_EPERM, "process \"%s\" has its sentinel only where it was started",
                                  process->name);
}

/* Take it off this member's list: single stores, which a recovery after our death may find half-way without
 * harm (at worst the object stays on the list, and is freed from there). */
static void unlink_started(kin_process *process)
{
    struct kin__member *me = kin__self();
    for (kin_process **link = &me->children; *link; link = &(*link)->next)
        if (*link == process) {
            *link = process->next;
            return;
        }
}

void kin_process_free(kin_process *process)
{
    if (!process || kin__process_check(process, "free"))
        return;
    if (atomic_load(&process->starter) != kin__self_id()) {
        kin__fail(KIN_EPERM, "process \"%s\" can be freed only where it was started", process->name);
        return;
    }
    kin_process_kill(process);
    kin_process_join(process, KIN_FOREVER);
    pthread_mutex_lock(&kin__guardian_mutex);
    struct kin__child *child = kin__child_find(process);
    if (child)
        kin__child_forget(child);
    unlink_started(process);
    pthread_mutex_unlock(&kin__guardian_mutex);
    process->magic = 0;
    kin_free(process);
}

char *kin_end_text(const kin_end *end, char *buffer, size_t size)
{
    switch (end ? end->how : KIN_END_RUNNING) {
    case KIN_END_EXITED:
        snprintf(buffer, size, "exit code %d", end->exit_code);
        break;
    case KIN_END_SIGNALED: {
        const char *name = sigabbrev_np(end->signal);
        snprintf(buffer, size, "signal %d (%s%s)%s", end->signal, name ? "SIG" : "",
                 name ? name : "real-time", end->core_dumped ? ", core dumped" : "");
        break;
    }
    case KIN_END_UNKNOWN:
        snprintf(buffer, size, "unknown, reaped by the program");
        break;
    default:
        snprintf(buffer, size, "running");
    }
    return buffer;
}
