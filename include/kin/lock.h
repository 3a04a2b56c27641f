/*
 * kin/lock.h - a lock that survives the death of whoever holds it.
 *
 * It lies in the family's heap, so a kin_lock pointer is valid in every member under every start method, and
 * may be stored in shared structures and handed on.
 *
 * Owner    The thread that acquired it. Any thread of any member may release it, as in Python, unless it was made
 *          owner_checked. To hand on permission from one process to another, a semaphore (kin/semaphore.h) says better
 *          what is meant: a lock goes back when its owner ends, a semaphore does not.
 * Death    When the owner ends while it holds the lock, its process by whatever means or only its thread, the next
 *          one to acquire it gets it, is told by KIN_EOWNERDIED, and should repair what the lock guards. The lock is
 *          as good as new. A waiter that dies, even just when it was to get the lock, holds nobody up.
 * Deadlock A thread that waits without limit for a lock which it holds itself is told KIN_EDEADLK. With a time
 *          limit it just waits that long. kin_report_waits() (kin/waits.h) finds deadlocks of several.
 * Order    Waiters get it in no particular order: who runs takes it before who has to be woken.
 * Threads  Any number of threads of any number of members.
 * Signals  A handler that runs meanwhile does not end a wait.
 * Errors   0 or a negative KIN_E code. KIN_ETIMEDOUT, KIN_EOWNERDIED are ordinary outcomes. NULL, a pointer to something
 *          else, or to an object that was freed, is KIN_EINVAL.
 * Cost     Acquire and release without contention: two atomic operations, no system call.
 */
#ifndef KIN_LOCK_H
#define KIN_LOCK_H

#include "kin/api.h"

KIN_BEGIN

typedef struct kin_lock kin_lock;

typedef struct kin_lock_options {
    size_t size;
    const char *name;   /* copied, up to 23 bytes, for messages and reports; NULL: "" */
    bool owner_checked; /* release by another thread than the owner is an error */
} kin_lock_options;

#define KIN_LOCK_OPTIONS(...) (&(kin_lock_options){.size = sizeof(kin_lock_options), ##__VA_ARGS__})

/*
 * A new lock, free. It belongs to the family until it is freed. NULL: KIN_ENOMEM, KIN_EMEMLIMIT, KIN_ENOINIT,
 * KIN_EINVAL (options).
 */
KIN_API kin_lock *kin_lock_new(const kin_lock_options *options) KIN_CHECKED;

/*
 * Acquire it; if another holds it, wait up to `timeout` seconds (0: not at all; KIN_FOREVER: without limit).
 *
 * 0               it is yours
 * KIN_EOWNERDIED  it is yours; its last owner ended while it held it
 * KIN_ETIMEDOUT   not in time
 * KIN_EDEADLK     you hold it already, and would have waited without limit
 */
KIN_API int kin_lock_acquire(kin_lock *lock, double timeout) KIN_CHECKED;

/*
 * Release it.
 *
 * KIN_EINVAL  nobody holds it
 * KIN_EPERM   another thread holds it, and it is owner_checked
 */
KIN_API int kin_lock_release(kin_lock *lock);

/* Whether somebody alive holds it now, you or another: in the next moment that may have changed. */
KIN_API bool kin_lock_is_locked(kin_lock *lock);

/* Free it. NULL does nothing. KIN_EBUSY: somebody alive holds it (you, perhaps), or waits for it; nothing was done. */
KIN_API int kin_lock_free(kin_lock *lock);

KIN_END_DECLS

#endif
