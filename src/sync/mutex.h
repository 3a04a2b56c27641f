/*
 * sync/mutex.h - what a lock and an rlock have in common: one word that names the owner.
 *
 *   field         written by   rule                                 when the writer dies there
 *   -----------   ----------   ----------------------------------   -----------------------------------------
 *   word          all          0: free. Else the owner's name,      the owner: the next one takes it over.
 *                              and bit 0 if somebody may sleep.     Who releases, before the wake: W1, W2
 *                              Acquired by CAS of a 0, or of a
 *                              name that is gone; released by
 *                              exchange with 0. ENDED: being freed
 *   depth         the owner    rlock: how often it was acquired     the next owner sets it to 1
 *                              less 1
 *   all others    the maker    before the magic                     not an object yet
 *
 *   L1  word names a living thread: no other has it. It names a dead one: exactly one gets it, and is told
 *   L2  somebody sleeps on word, and it is held: bit 0 is set, or a wake is on its way to one who will set it.
 *       Where that one dies, W1 and W2 repair it
 */
#ifndef KIN_SYNC_MUTEX_H
#define KIN_SYNC_MUTEX_H

#include "sync/wait.h"

#define KIN__SLEEPERS 1u
#define KIN__ENDED 0xfffe0000u /* no thread's name */

struct kin__mutex {
    struct kin__sync sync;
    _Atomic uint64_t word;
    uint32_t depth;
    uint32_t owner_checked;
};

static inline uint64_t kin__mutex_owner(const struct kin__mutex *mutex)
{
    return atomic_load_explicit(&mutex->word, memory_order_relaxed) & ~(uint64_t)KIN__SLEEPERS;
}

/* One CAS, if it is free. */
static inline bool kin__mutex_try(struct kin__mutex *mutex, const struct kin__thread *me)
{
    uint64_t free = 0;
    /* Acquire: partner is the release in kin__mutex_release. */
    return atomic_compare_exchange_strong_explicit(&mutex->word, &free, me->name, memory_order_acquire,
                                                   memory_order_relaxed);
}

/* Where that failed: 0, KIN_EOWNERDIED, or KIN_ETIMEDOUT, KIN_EINVAL (freed meanwhile). */
int kin__mutex_wait(struct kin__mutex *mutex, struct kin__thread *me, double timeout);

/* Whoever has it. What the word was: 0 if it was free. */
static inline uint64_t kin__mutex_release(struct kin__mutex *mutex)
{
    uint64_t was = atomic_exchange_explicit(&mutex->word, 0, memory_order_release);
    if (was & KIN__SLEEPERS)
        kin__os_futex_wake(kin__low_half(&mutex->word), 1);
    return was;
}

/* As kin_lock_acquire, or kin_rlock_acquire, whichever it is; and release. */
int kin__mutex_acquire(struct kin__mutex *mutex, double timeout);
int kin__mutex_release_checked(struct kin__mutex *mutex);

/* What a release by somebody who may not is told; `owner` is who was found to have it, 0: nobody. */
int kin__mutex_refuse_release(const struct kin__mutex *mutex, uint64_t owner);

/* Whether a living thread has it. */
bool kin__mutex_is_locked(const struct kin__mutex *mutex);

/* Free the object, unless it is in use (KIN_EBUSY) or a part of another (KIN_EINVAL). */
int kin__mutex_free(struct kin__mutex *mutex);

/* An rlock that is a part of another object, in memory that is zeroed: an object itself, but not to be freed. */
struct kin__mutex *kin__mutex_part(struct kin__mutex *mutex, const char *name);

/* As kin__mutex_free for such a part: nobody acquires it any more. */
int kin__mutex_end(struct kin__mutex *mutex);

/* "process "w3" (pid 1234)", or "another thread of this process". */
struct kin__who {
    char text[80];
};
struct kin__who kin__who(uint64_t name);

#endif
