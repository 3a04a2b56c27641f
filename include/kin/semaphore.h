/*
 * kin/semaphore.h - a number of permits; acquire takes one, release gives one.
 *
 * It lies in the family's heap: the pointer is valid in every member under every start method.
 *
 * Signal   By default nobody owns a permit: any thread of any member may release, also without having acquired. So it
 *          is a signal, too. What a dead member had taken does not come back.
 * Owned    With `owned` a permit belongs to the thread that acquired it, which alone may release it; when that thread or
 *          its process ends, the permit comes back by itself, and nobody is told.
 * Bounded  With `bounded`, as BoundedSemaphore in Python, or `owned` there are never more permits than at first.
 * Death    A member may die at any point of any call: others see it done or not done. A waiter that dies, even
 *          just when it was to get a permit, holds nobody up.
 * Threads  Any number of threads of any number of members.
 * Signals  A handler that runs meanwhile does not end a wait.
 * Errors   0 or a negative KIN_E code. NULL, a pointer to something else, or to an object that was freed, is KIN_EINVAL.
 */
#ifndef KIN_SEMAPHORE_H
#define KIN_SEMAPHORE_H

#include "kin/api.h"

KIN_BEGIN

typedef struct kin_semaphore kin_semaphore;

typedef struct kin_semaphore_options {
    size_t size;
    const char *name; /* copied, up to 23 bytes, for messages and reports; NULL: "" */
    bool bounded;     /* a release beyond the first value is an error */
    bool owned;       /* permits of the dead come back; at most KIN_SEMAPHORE_OWNED_MAX of them */
} kin_semaphore_options;

#define KIN_SEMAPHORE_OPTIONS(...) \
    (&(kin_semaphore_options){.size = sizeof(kin_semaphore_options), ##__VA_ARGS__})
#define KIN_SEMAPHORE_OWNED_MAX 4096

/*
 * A new one with `value` permits, 0 to 2^31 - 1. NULL: KIN_EINVAL, KIN_ENOMEM, KIN_EMEMLIMIT, KIN_ENOINIT.
 */
KIN_API kin_semaphore *kin_semaphore_new(int value, const kin_semaphore_options *options) KIN_CHECKED;

/* Take a permit; wait for one up to `timeout` seconds (0: not at all). KIN_ETIMEDOUT: none in time. */
KIN_API int kin_semaphore_acquire(kin_semaphore *semaphore, double timeout) KIN_CHECKED;

/*
 * Give a permit.
 *
 * KIN_EINVAL  bounded, and all are there already
 * KIN_EPERM   owned, and this thread has none
 * KIN_ELIMIT  2^31 - 1 permits are there
 */
KIN_API int kin_semaphore_release(kin_semaphore *semaphore);

/* Permits that are there now; or a negative KIN_E code. Of an owned one, those of the dead count. */
KIN_API int kin_semaphore_value(kin_semaphore *semaphore);

/* Free it. NULL does nothing. KIN_EBUSY: somebody waits for it, or, if it is owned, has a permit. */
KIN_API int kin_semaphore_free(kin_semaphore *semaphore);

KIN_END_DECLS

#endif
