/* family/lock.c - see lock.h; pthread_mutexattr_setrobust(3). */
#include "family/lock.h"

#include "base/failure.h"

#include <errno.h>

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

bool kin__lock_acquire(struct kin__lock *lock)
{
    int error = pthread_mutex_lock(&lock->mutex);
    if (error == 0)
        return false;
    if (error != EOWNERDEAD)
        kin__panic("a lock of the family cannot be acquired (error %d)", error);
    make_usable(lock);
    return true;
}

int kin__lock_try(struct kin__lock *lock)
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
