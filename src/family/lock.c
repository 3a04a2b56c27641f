/* family/lock.c - see lock.h; pthread_mutexattr_setrobust(3). */
#include "family/lock.h"

#include "base/failure.h"
#include "base/in_child.h"
#include "kin/api.h"
#include "os/os.h"

#include <errno.h>

#define LOOK_AGAIN_NS 50000000

void kin__lock_init(struct kin__lock *lock)
{
    pthread_mutexattr_t how;
    pthread_mutexattr_init(&how);
    pthread_mutexattr_setpshared(&how, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&how, PTHREAD_MUTEX_ROBUST);
    int error = pthread_mutex_init(&lock->mutex, &how);
    pthread_mutexattr_destroy(&how);
    if (error)
        kin__panic("robust mutexes are not supported here (error %d)", error);
}

/* kin marks a recovered lock usable at once: should the repairer die too, the next one is told again,
 * because it dies as an owner. */
static void make_usable(struct kin__lock *lock)
{
    pthread_mutex_consistent(&lock->mutex);
}

/*
 * A sleeper must look again by itself. It is woken by who releases the lock; but if the one that was woken is killed
 * before it has the lock, and another took it meanwhile without sleeping, that one's release wakes nobody: it does not
 * know that others sleep still. (The kernel passes the wake on only if it finds the lock free; kernel/futex/core.c,
 * handle_futex_death.) Found by tests/storm/tree_test.c: all slept, and the lock was free.
 */
static int lock_or_look_again(pthread_mutex_t *mutex, double deadline)
{
    for (;;) {
        double left = kin__os_left(deadline);
        uint64_t ns = left * 1e9 < LOOK_AGAIN_NS ? (uint64_t)(left * 1e9) : LOOK_AGAIN_NS;
        int error = kin__os_mutex_lock_for(mutex, ns);
        if (error != ETIMEDOUT || left <= 0)
            return error;
    }
}

bool kin__lock_acquire(struct kin__lock *lock)
{
    return kin__lock_acquire_until(lock, KIN_FOREVER) == KIN_EDIED;
}

int kin__lock_acquire_until(struct kin__lock *lock, double deadline)
{
    int error = lock_or_look_again(&lock->mutex, deadline);
    if (error == 0)
        return 0;
    if (error == ETIMEDOUT)
        return KIN_ETIMEDOUT;
    if (error != EOWNERDEAD)
        kin__panic("a lock of the family cannot be acquired (error %d)", error);
    make_usable(lock);
    return KIN_EDIED;
}

KIN__IN_CHILD int kin__lock_try(struct kin__lock *lock)
{
    int error = pthread_mutex_trylock(&lock->mutex);
    if (error == 0)
        return 0;
    if (error == EBUSY)
        return KIN_EBUSY;
    if (error != EOWNERDEAD)
        kin__panic("a lock of the family cannot be tried (error %d)", error);
    make_usable(lock);
    return KIN_EDIED;
}

void kin__lock_release(struct kin__lock *lock)
{
    int error = pthread_mutex_unlock(&lock->mutex);
    if (error)
        kin__panic("a lock of the family cannot be released (error %d)", error);
}
