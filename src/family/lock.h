/*
 * family/lock.h - a lock in the region that survives its owner's death.
 *
 * pthread's process-shared robust mutex: when an owner dies, the kernel hands it on and the next owner
 * is told, repairs what the lock guards, and goes on.
 */
#ifndef KIN_FAMILY_LOCK_H
#define KIN_FAMILY_LOCK_H

#include <pthread.h>
#include <stdbool.h>

struct kin__lock {
    pthread_mutex_t mutex;
};

void kin__lock_init(struct kin__lock *lock);

/* Returns true if the last owner died holding it: the caller must repair what it guards (the lock
 * itself is usable again at once). */
bool kin__lock_acquire(struct kin__lock *lock);

/* 0: acquired; KIN_EDIED: acquired, and the last owner died; KIN_ETIMEDOUT: not until the deadline (kin__os_deadline). No record is set. */
int kin__lock_acquire_until(struct kin__lock *lock, double deadline);

/* 0: acquired; KIN_EDIED: acquired, and the last owner died; KIN_EBUSY. No record is set. */
int kin__lock_try(struct kin__lock *lock);

void kin__lock_release(struct kin__lock *lock);

#endif
