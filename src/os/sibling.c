/*
 * os/sibling.c - fork for one's own parent: clone(2) with CLONE_PARENT.
 *
 * The parent of the new process is the caller's parent, which can wait for it and is told of its end as of any child. Libc
 * has no such fork, and in a child made behind its back it keeps two things of the caller's:
 *   - the thread's id, which robust and recursive mutexes, raise and pthread_kill go by. Libc's fork has the kernel write it
 *     anew; so does this. Where it lies the kernel knows (PR_GET_TID_ADDRESS).
 *   - the list of robust locks that the thread holds, which the kernel goes through at its end. It is empty in the child,
 *     and has to be registered again; the kernel tells where it lies too (get_robust_list(2), linux/futex.h).
 * Locks of libc's own are free if the caller has one thread. Handlers of pthread_atfork do not run.
 */
#include "os/os.h"

#include "base/failure.h"
#include "os/raw.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>

static struct {
    pid_t *thread_id;
    struct robust_list_head *robust;
    size_t robust_size;
} libc;

int kin__os_sibling_prepare(void)
{
    long error = kin__raw(SYS_prctl, PR_GET_TID_ADDRESS, (long)&libc.thread_id, 0, 0, 0);
    if (!error)
        error = kin__raw(SYS_get_robust_list, 0, (long)&libc.robust, (long)&libc.robust_size, 0, 0);
    if (!error && (!libc.thread_id || *libc.thread_id != kin__os_thread_id() || !libc.robust))
        error = -ENOSYS; /* not as we know libc */
    if (error)
        return kin__fail_errno(
            KIN_ENOTSUP, (int)-error,
            "cannot fork for another process: this kernel, its filter or this libc does not tell where "
            "a thread's id lies (it must be built with CONFIG_CHECKPOINT_RESTORE)");
    return 0;
}

pid_t kin__os_fork_sibling(_Atomic int32_t *pid)
{
    const long flags =
        CLONE_PARENT | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD;
#if defined(__x86_64__)
    long made = kin__raw(SYS_clone, flags, 0, (long)pid, (long)libc.thread_id, 0);
#else /* the last two the other way round */
    long made = kin__raw(SYS_clone, flags, 0, (long)pid, 0, (long)libc.thread_id);
#endif
    if (made == 0) {
        libc.robust->list.next = &libc.robust->list;
        libc.robust->list_op_pending = NULL;
        kin__raw(SYS_set_robust_list, (long)libc.robust, (long)libc.robust_size, 0, 0, 0);
    }
    return (pid_t)made;
}
