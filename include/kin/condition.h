/*
 * kin/condition.h - wait for a change of what a lock guards.
 *
 * It lies in the family's heap: the pointer is valid in every member under every start method.
 *
 * Lock     Each condition goes with a lock or an rlock, several may share one. Who waits or notifies must hold it. Waiting
 *          gives it up, an rlock entirely, and has it back before it returns, whatever it returns.
 * Order    Who has waited longest is notified first.
 * Death    A waiter is never lost: if one that was notified dies before it has returned, another is notified in its
 *          stead. The dead count as nobody: notify(2) notifies two that live. If a notifier dies in it, fewer
 *          may have been notified, and the lock's next owner is told. If whoever hands a dead one's notification on
 *          dies in that as well, two may be notified: look at what you wait for, as always.
 * Threads  Any number of threads of any number of members.
 * Signals  A handler that runs meanwhile does not end a wait.
 * Errors   0 or a negative KIN_E code. NULL, a pointer to something else, or to an object that was freed, is KIN_EINVAL.
 *          KIN_EPERM: this thread does not hold the lock.
 */
#ifndef KIN_CONDITION_H
#define KIN_CONDITION_H

#include "kin/api.h"

KIN_BEGIN

typedef struct kin_condition kin_condition;

typedef struct kin_condition_options {
    size_t size;
    const char *name; /* copied, up to 23 bytes, for messages and reports; NULL: "" */
} kin_condition_options;

#define KIN_CONDITION_OPTIONS(...) \
    (&(kin_condition_options){.size = sizeof(kin_condition_options), ##__VA_ARGS__})

/*
 * A new one for that lock, a kin_lock or kin_rlock, which must not be freed before it; NULL: an rlock of its own.
 * NULL: KIN_EINVAL (no lock; options), KIN_ENOMEM, KIN_EMEMLIMIT, KIN_ENOINIT.
 */
KIN_API kin_condition *kin_condition_new(void *lock, const kin_condition_options *options) KIN_CHECKED;

/* Acquire and release its lock: as kin_lock_acquire and kin_rlock_acquire. */
KIN_API int kin_condition_acquire(kin_condition *condition, double timeout) KIN_CHECKED;
KIN_API int kin_condition_release(kin_condition *condition);

/*
 * Give up the lock, wait up to `timeout` seconds for a notification, and have the lock back, however long that takes.
 *
 * 0               notified
 * KIN_ETIMEDOUT   not in time
 * KIN_EOWNERDIED  either of these, and the lock's last owner ended while it held it
 */
KIN_API int kin_condition_wait(kin_condition *condition, double timeout) KIN_CHECKED;

/*
 * Wait until predicate(arg) is true; it is called with the lock held, before the first wait and after each.
 *
 * 0               it is true
 * KIN_ETIMEDOUT   not in time
 * KIN_EOWNERDIED  as above; it has not been called since
 */
KIN_API int kin_condition_wait_for(kin_condition *condition, bool (*predicate)(void *arg), void *arg,
                                   double timeout) KIN_CHECKED;

/* Notify up to `count` that wait, or all. */
KIN_API int kin_condition_notify(kin_condition *condition, size_t count);
KIN_API int kin_condition_notify_all(kin_condition *condition);

/* Free it, and its lock if that is its own. NULL does nothing. KIN_EBUSY: somebody waits, or holds its own lock. */
KIN_API int kin_condition_free(kin_condition *condition);

KIN_END_DECLS

#endif
