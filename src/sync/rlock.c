/* sync/rlock.c - see kin/rlock.h; how it works is in mutex.h. */
#include "kin/rlock.h"

#include "base/failure.h"
#include "sync/mutex.h"

#include <limits.h>

struct kin_rlock {
    struct kin__mutex mutex;
};

kin_rlock *kin_rlock_new(const kin_rlock_options *given)
{
    kin_rlock_options options;
    if (kin__options_read(&options, sizeof options, given, "rlock options"))
        return NULL;
    kin_rlock *lock = kin__sync_new(sizeof *lock, options.name);
    if (!lock)
        return NULL;
    lock->mutex.owner_checked = true;
    return kin__sync_publish(lock, KIN__RLOCK_MAGIC);
}

int kin_rlock_acquire(kin_rlock *lock, double timeout)
{
    int error = kin__sync_check(lock, KIN__RLOCK_MAGIC, "acquire");
    struct kin__thread *me;
    if (error || (error = kin__timeout_check(timeout)))
        return error;
    if (!(me = kin__sync_thread()))
        return kin_error_code();
    struct kin__mutex *mutex = &lock->mutex;
    if (kin__mutex_owner(mutex) == me->name) {
        if (mutex->depth == INT_MAX)
            return kin__fail(KIN_ELIMIT, "cannot acquire %s: it is held 2^31 times", kin__title(lock).text);
        mutex->depth++;
        return 0;
    }
    if (!kin__mutex_try(mutex, me))
        error = kin__mutex_wait(mutex, me, timeout);
    if (!error || error == KIN_EOWNERDIED)
        mutex->depth = 0;
    return error;
}

int kin_rlock_release(kin_rlock *lock)
{
    int error = kin__sync_check(lock, KIN__RLOCK_MAGIC, "release");
    struct kin__thread *me;
    if (error)
        return error;
    if (!(me = kin__sync_thread()))
        return kin_error_code();
    uint64_t owner = kin__mutex_owner(&lock->mutex);
    if (owner != me->name)
        return kin__mutex_refuse_release(&lock->mutex, owner);
    if (lock->mutex.depth)
        lock->mutex.depth--;
    else
        kin__mutex_release(&lock->mutex);
    return 0;
}

bool kin_rlock_is_locked(kin_rlock *lock)
{
    return kin__object_check(lock, KIN__RLOCK_MAGIC, "ask whether it is locked") == 0 &&
           kin__mutex_is_locked(&lock->mutex);
}

int kin_rlock_free(kin_rlock *lock)
{
    if (!lock)
        return 0;
    int error = kin__sync_check(lock, KIN__RLOCK_MAGIC, "free");
    return error ? error : kin__mutex_free(&lock->mutex);
}
