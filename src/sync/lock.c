/* sync/lock.c - see kin/lock.h; how it works is in mutex.h. */
#include "kin/lock.h"

#include "base/failure.h"
#include "sync/mutex.h"

#include <math.h>

struct kin_lock {
    struct kin__mutex mutex;
};

kin_lock *kin_lock_new(const kin_lock_options *given)
{
    kin_lock_options options;
    if (kin__options_read(&options, sizeof options, given, "lock options"))
        return NULL;
    kin_lock *lock = kin__sync_new(sizeof *lock, options.name);
    if (!lock)
        return NULL;
    lock->mutex.owner_checked = options.owner_checked;
    return kin__sync_publish(lock, KIN__LOCK_MAGIC);
}

static int acquire_slowly(kin_lock *lock, struct kin__thread *me, double timeout)
{
    /* Another may release it, but nobody who waits for that should wait holding a lock of its own. */
    if (isinf(timeout) && kin__mutex_owner(&lock->mutex) == me->name)
        return kin__fail(KIN_EDEADLK, "cannot acquire %s: this thread holds it, and would wait for itself",
                         kin__title(lock).text);
    return kin__mutex_wait(&lock->mutex, me, timeout);
}

int kin_lock_acquire(kin_lock *lock, double timeout)
{
    int error = kin__sync_check(lock, KIN__LOCK_MAGIC, "acquire");
    struct kin__thread *me;
    if (error || (error = kin__timeout_check(timeout)))
        return error;
    if (!(me = kin__sync_thread()))
        return kin_error_code();
    return kin__mutex_try(&lock->mutex, me) ? 0 : acquire_slowly(lock, me, timeout);
}

int kin_lock_release(kin_lock *lock)
{
    int error = kin__sync_check(lock, KIN__LOCK_MAGIC, "release");
    if (error)
        return error;
    if (lock->mutex.owner_checked) {
        struct kin__thread *me = kin__sync_thread();
        if (!me)
            return kin_error_code();
        uint64_t owner = kin__mutex_owner(&lock->mutex);
        if (owner != me->name)
            return kin__mutex_refuse_release(&lock->mutex, owner);
    }
    return kin__mutex_release(&lock->mutex) ? 0 : kin__mutex_refuse_release(&lock->mutex, 0);
}

bool kin_lock_is_locked(kin_lock *lock)
{
    return kin__object_check(lock, KIN__LOCK_MAGIC, "ask whether it is locked") == 0 &&
           kin__mutex_is_locked(&lock->mutex);
}

int kin_lock_free(kin_lock *lock)
{
    if (!lock)
        return 0;
    int error = kin__sync_check(lock, KIN__LOCK_MAGIC, "free");
    return error ? error : kin__mutex_free(&lock->mutex);
}
