/*
 * kin/rlock.h - a lock that its owner may acquire again.
 *
 * All that kin/lock.h says holds here, but for: it always has an owner, a thread of a member, which alone may release it,
 * and which must release it as often as it has acquired it. What a dead owner had acquired several times the next one gets
 * once.
 */
#ifndef KIN_RLOCK_H
#define KIN_RLOCK_H

#include "kin/api.h"

KIN_BEGIN

typedef struct kin_rlock kin_rlock;

typedef struct kin_rlock_options {
    size_t size;
    const char *name; /* copied, up to 23 bytes, for messages and reports; NULL: "" */
} kin_rlock_options;

#define KIN_RLOCK_OPTIONS(...) (&(kin_rlock_options){.size = sizeof(kin_rlock_options), ##__VA_ARGS__})

/* A new one, free. NULL: KIN_ENOMEM, KIN_EMEMLIMIT, KIN_ENOINIT, KIN_EINVAL (options). */
KIN_API kin_rlock *kin_rlock_new(const kin_rlock_options *options) KIN_CHECKED;

/*
 * Acquire it, at once if you hold it already; if another does, wait up to `timeout` seconds.
 *
 * 0               it is yours, once more
 * KIN_EOWNERDIED  it is yours; its last owner ended while it held it
 * KIN_ETIMEDOUT   not in time
 * KIN_ELIMIT      acquired 2^31 times
 */
KIN_API int kin_rlock_acquire(kin_rlock *lock, double timeout) KIN_CHECKED;

/* Release it once. KIN_EINVAL: nobody holds it; KIN_EPERM: another thread does. */
KIN_API int kin_rlock_release(kin_rlock *lock);

/* Whether somebody alive holds it now, you or another: in the next moment that may have changed. */
KIN_API bool kin_rlock_is_locked(kin_rlock *lock);

/* Free it. NULL does nothing. KIN_EBUSY: somebody alive holds it (you, perhaps), or waits for it; nothing was done. */
KIN_API int kin_rlock_free(kin_rlock *lock);

KIN_END_DECLS

#endif
