/*
 * sync/mutex.c - see mutex.h. The slow ways.
 *
 * Who has slept does not know whether others still do, so it takes the word with bit 0 set; a wake too many is the price
 * of no count that the dead would leave wrong. (Drepper, "Futexes are tricky", mutex 2.)
 */
#include "sync/mutex.h"

#include "base/failure.h"
#include "kin/lock.h"
#include "kin/rlock.h"
#include "process/process_shared.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Turns of a spin. Each look takes the line away from who has the lock, and may well get the lock after each release: then the
 * line goes to and fro. Two processes that do nothing else take 38 ns at 1, 14 to 28 at 4, 8 to 10 from 16 on; a pthread robust mutex
 * takes 31. */
#define LOOK_EVERY 16u

struct kin__who kin__who(uint64_t name)
{
    struct kin__who who;
    kin__id id = kin__thread_member(name);
    const struct kin__member *member = kin__member_find(id);
    if (!member)
        snprintf(who.text, sizeof who.text, "a thread that has ended");
    else if (id == kin__self_id())
        snprintf(who.text, sizeof who.text, "%s of this process",
                 kin__thread_is_ours() && kin__thread_mine->name == name ? "this thread" : "another thread");
    else
        snprintf(who.text, sizeof who.text, "process \"%.31s\" (pid %d)",
                 member->process ? member->process->name : "", (int)atomic_load(&member->pid));
    return who;
}

static bool take(struct kin__mutex *mutex, uint64_t *word, uint64_t value)
{
    return atomic_compare_exchange_strong_explicit(&mutex->word, word, value, memory_order_acquire,
                                                   memory_order_relaxed);
}

/* Somebody sleeps, perhaps, and the wake that was to say so has come to us, who give up. */
static void hand_on(struct kin__mutex *mutex)
{
    uint64_t word = atomic_load_explicit(&mutex->word, memory_order_relaxed);
    while (word && !(word & KIN__SLEEPERS))
        if (atomic_compare_exchange_weak_explicit(&mutex->word, &word, word | KIN__SLEEPERS,
                                                  memory_order_relaxed, memory_order_relaxed))
            return;
    if (!word)
        kin__os_futex_wake(kin__low_half(&mutex->word), 1);
}

/* True: it is ours, or that is not to be; *result tells. */
static bool look(struct kin__mutex *mutex, struct kin__thread *me, uint64_t slept, uint64_t *word,
                 int *result)
{
    for (;;) {
        *word = atomic_load_explicit(&mutex->word, memory_order_relaxed);
        uint64_t owner = *word & ~(uint64_t)KIN__SLEEPERS;
        if (owner == KIN__ENDED) {
            *result = kin__fail(KIN_EINVAL, "could not acquire %p: it was freed meanwhile", (void *)mutex);
            return true;
        }
        if (owner && !kin__name_gone(owner))
            return false;
        /* L1: one of those who see it dead. */
        if (take(mutex, word, me->name | slept | (*word & KIN__SLEEPERS))) {
            *result = owner ? KIN_EOWNERDIED : 0;
            return true;
        }
    }
}

static int sleep_for(struct kin__mutex *mutex, struct kin__thread *me, double deadline)
{
    int result = KIN_ETIMEDOUT;
    uint64_t word, slept = 0;
    while (!look(mutex, me, slept, &word, &result)) {
        if (kin__os_left(deadline) <= 0) {
            if (slept)
                hand_on(mutex);
            return KIN_ETIMEDOUT;
        }
        if (!(word & KIN__SLEEPERS) && !take(mutex, &word, word | KIN__SLEEPERS))
            continue;
        slept = KIN__SLEEPERS;
        kin__waits_sleep(kin__low_half(&mutex->word), (uint32_t)word | KIN__SLEEPERS, deadline);
    }
    return result;
}

int kin__mutex_wait(struct kin__mutex *mutex, struct kin__thread *me, double timeout)
{
    if (timeout > 0)
        for (unsigned turns = 0; kin__sync_spin(&turns);)
            if (turns % LOOK_EVERY == 0 && !atomic_load_explicit(&mutex->word, memory_order_relaxed) &&
                kin__mutex_try(mutex, me))
                return 0;
    uint64_t word;
    int result = KIN_ETIMEDOUT;
    if (timeout == 0)
        look(mutex, me, 0, &word, &result);
    else {
        kin__waits_begin(me, mutex, kin__low_half(&mutex->word));
        result = sleep_for(mutex, me, kin__os_deadline(timeout));
        kin__waits_end(me);
    }
    if (result == KIN_ETIMEDOUT)
        kin__fail(result, "could not acquire %s in time", kin__title(mutex).text);
    if (result == KIN_EOWNERDIED)
        kin__fail(result, "%s was held by one that has ended", kin__title(mutex).text);
    return result;
}

static bool is_rlock(const struct kin__mutex *mutex)
{
    return atomic_load_explicit(&mutex->sync.head.magic, memory_order_relaxed) == KIN__RLOCK_MAGIC;
}

int kin__mutex_acquire(struct kin__mutex *mutex, double timeout)
{
    return is_rlock(mutex) ? kin_rlock_acquire((kin_rlock *)mutex, timeout)
                           : kin_lock_acquire((kin_lock *)mutex, timeout);
}

int kin__mutex_release_checked(struct kin__mutex *mutex)
{
    return is_rlock(mutex) ? kin_rlock_release((kin_rlock *)mutex) : kin_lock_release((kin_lock *)mutex);
}

int kin__mutex_refuse_release(const struct kin__mutex *mutex, uint64_t owner)
{
    if (!owner)
        return kin__fail(KIN_EINVAL, "cannot release %s: nobody holds it", kin__title(mutex).text);
    return kin__fail(KIN_EPERM, "cannot release %s: it is held by %s", kin__title(mutex).text,
                     kin__who(owner).text);
}

bool kin__mutex_is_locked(const struct kin__mutex *mutex)
{
    uint64_t owner = kin__mutex_owner(mutex);
    return owner && !kin__name_gone(owner);
}

struct kin__mutex *kin__mutex_part(struct kin__mutex *mutex, const char *name)
{
    if (name)
        strncpy(mutex->sync.name, name, KIN__NAME_MAX - 1);
    mutex->sync.part = 1;
    mutex->owner_checked = true;
    return kin__sync_publish(mutex, KIN__RLOCK_MAGIC);
}

int kin__mutex_end(struct kin__mutex *mutex)
{
    uint64_t word = atomic_load(&mutex->word);
    do {
        uint64_t owner = word & ~(uint64_t)KIN__SLEEPERS;
        if (owner && !kin__name_gone(owner))
            return kin__fail(KIN_EBUSY, "cannot free %s: it is held by %s", kin__title(mutex).text,
                             kin__who(owner).text);
        int error =
            kin__waits_none(mutex); /* for a wake that is on its way, or for the death of the owner to show */
        if (error)
            return error;
    } while (!atomic_compare_exchange_strong(&mutex->word, &word, KIN__ENDED));
    atomic_store(&mutex->sync.head.magic, 0);
    return 0;
}

int kin__mutex_free(struct kin__mutex *mutex)
{
    if (mutex->sync.part)
        return kin__fail(KIN_EINVAL, "cannot free %s: it is a part of what it guards, and goes with that",
                         kin__title(mutex).text);
    int error = kin__mutex_end(mutex);
    if (!error)
        kin__sync_free(mutex);
    return error;
}
