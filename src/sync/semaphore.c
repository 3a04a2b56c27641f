/*
 * sync/semaphore.c - see kin/semaphore.h.
 *
 * A signal's permits are a number. An owned one's are words, one each, that name who has it: nothing to count, so
 * nothing to put right, and a dead holder's word is taken over like a lock.
 *
 *   field      written by   rule                                        when the writer dies there
 *   --------   ----------   -----------------------------------------   ------------------------------------
 *   word       all          CAS. Signal: value << 1 | SLEEPERS.         as stored; before the wake: W1, W2
 *                           Owned: the same, but value means
 *                           nothing, and wraps
 *   holder[]   all          0: a permit that is there. CAS of 0, or     as stored; the next one to acquire
 *                           of a name that is gone, by who acquires;    takes it over
 *                           0 by its holder
 *   others     the maker    before the magic                            not an object yet
 *
 *   S1  signal: a release takes SLEEPERS away and wakes one. Who has slept does not know whether others still do: it sets
 *       SLEEPERS again as it takes its permit, or gives up, and wakes the next one if it leaves a permit behind. So
 *       nobody touches the word after its permit is there for others: whoever gets it may free the semaphore.
 *       (Changing the word after the wake is what glibc's sem_post once did, bug 12674.)
 *   S2  owned: who is to sleep sets SLEEPERS, then looks at all holders; who releases clears its holder, then looks for
 *       SLEEPERS: one of the two sees the other. All are woken, and set it again
 */
#include "kin/semaphore.h"

#include "base/failure.h"
#include "sync/mutex.h"
#include "sync/semaphore_shared.h"

#include <limits.h>

#define ONE 2u

static uint32_t value_of(uint64_t word)
{
    return (uint32_t)word >> 1;
}

kin_semaphore *kin_semaphore_new(int value, const kin_semaphore_options *given)
{
    kin_semaphore_options options;
    if (kin__options_read(&options, sizeof options, given, "semaphore options"))
        return NULL;
    if (value < 0 || (options.owned && (value < 1 || value > KIN_SEMAPHORE_OWNED_MAX))) {
        kin__fail(KIN_EINVAL, "cannot make a semaphore of %d permits: it must be %d to %d", value,
                  options.owned ? 1 : 0, options.owned ? KIN_SEMAPHORE_OWNED_MAX : INT_MAX);
        return NULL;
    }
    size_t holders = options.owned ? (size_t)value : 0;
    kin_semaphore *semaphore =
        kin__sync_new(sizeof *semaphore + holders * sizeof semaphore->holder[0], options.name);
    if (!semaphore)
        return NULL;
    semaphore->full = (uint64_t)(options.bounded ? value : INT_MAX) << 1;
    semaphore->owned = (uint32_t)holders;
    atomic_store(&semaphore->word, holders ? 0 : (uint64_t)value << 1);
    return kin__sync_publish(semaphore, holders ? KIN__OWNED_MAGIC : KIN__SEMAPHORE_MAGIC);
}

/* The kinds have a magic each, so that the fast way asks one question less. */
static uint32_t magic_of(const kin_semaphore *semaphore)
{
    return kin__object_is(semaphore, KIN__OWNED_MAGIC) ? KIN__OWNED_MAGIC : KIN__SEMAPHORE_MAGIC;
}

static int check(const kin_semaphore *semaphore, const char *what)
{
    return kin__sync_check(semaphore, magic_of(semaphore), what);
}

/* ---- signal ---------------------------------------------------------------------------------- */

/* `slept`: SLEEPERS, if others may sleep without that being said. *word is what it was. */
static inline bool take_one(kin_semaphore *semaphore, uint64_t slept, uint64_t *word)
{
    *word = atomic_load_explicit(&semaphore->word, memory_order_relaxed);
    while (*word >= ONE)
        if (atomic_compare_exchange_weak_explicit(&semaphore->word, word, (*word - ONE) | slept,
                                                  memory_order_acquire, memory_order_relaxed))
            return true;
    return false;
}

static __attribute__((noinline)) int refuse_release(const kin_semaphore *semaphore)
{
    return kin__fail(value_of(semaphore->full) == INT_MAX ? KIN_ELIMIT : KIN_EINVAL,
                     "cannot release %s: all %u permits are there", kin__title(semaphore).text,
                     value_of(semaphore->full));
}

/* It may be freed by now: only its address is used. */
static __attribute__((noinline)) int wake_one(const kin_semaphore *semaphore)
{
    kin__os_futex_wake(kin__low_half(&semaphore->word), 1);
    return 0;
}

static int release_signal(kin_semaphore *semaphore)
{
    uint64_t now, word = atomic_load_explicit(&semaphore->word, memory_order_relaxed);
    do {
        if (word >= semaphore->full)
            return refuse_release(semaphore);
        now = (word & ~(uint64_t)KIN__SLEEPERS) + ONE;
    } while (!atomic_compare_exchange_weak_explicit(&semaphore->word, &word, now, memory_order_release,
                                                    memory_order_relaxed));
    return __builtin_expect(word & KIN__SLEEPERS, 0) ? wake_one(semaphore) : 0;
}

/* ---- owned ----------------------------------------------------------------------------------- */

static bool take_holder(kin_semaphore *semaphore, uint64_t name, bool of_the_dead)
{
    uint32_t at = KIN__NAME_INDEX(name) % semaphore->owned;
    for (uint32_t i = 0; i < semaphore->owned; i++) {
        _Atomic uint64_t *holder = &semaphore->holder[at];
        uint64_t has = atomic_load(holder);
        if ((!has || (of_the_dead && kin__name_gone(has))) &&
            atomic_compare_exchange_strong(holder, &has, name))
            return true;
        at = at + 1 == semaphore->owned ? 0 : at + 1;
    }
    return false;
}

static int release_owned(kin_semaphore *semaphore)
{
    struct kin__thread *me = kin__sync_thread();
    if (!me)
        return kin_error_code();
    uint32_t at = KIN__NAME_INDEX(me->name) % semaphore->owned;
    for (uint32_t i = 0; i < semaphore->owned; i++) {
        if (atomic_load_explicit(&semaphore->holder[at], memory_order_relaxed) == me->name) {
            atomic_exchange(&semaphore->holder[at], 0); /* S2: before the look at word */
            uint64_t word = atomic_load(&semaphore->word);
            while (word & KIN__SLEEPERS)
                if (atomic_compare_exchange_weak(&semaphore->word, &word, word - KIN__SLEEPERS + ONE)) {
                    kin__os_futex_wake(kin__low_half(&semaphore->word), INT_MAX);
                    break;
                }
            return 0;
        }
        at = at + 1 == semaphore->owned ? 0 : at + 1;
    }
    return kin__fail(KIN_EPERM, "cannot release %s: this thread has none of its permits",
                     kin__title(semaphore).text);
}

/* ---- both ------------------------------------------------------------------------------------ */

static bool take(kin_semaphore *semaphore, const struct kin__thread *me, uint64_t slept, uint64_t *word)
{
    if (!semaphore->owned)
        return take_one(semaphore, slept, word);
    *word = atomic_load(&semaphore->word);
    return take_holder(semaphore, me->name, true);
}

static int sleep_for(kin_semaphore *semaphore, const struct kin__thread *me, double deadline)
{
    uint64_t word, slept = 0;
    while (!take(semaphore, me, slept, &word)) {
        bool late = kin__os_left(deadline) <= 0;
        if (late && (!slept || word & KIN__SLEEPERS))
            return KIN_ETIMEDOUT;
        if (!(word & KIN__SLEEPERS)) { /* and look again: S1, S2 */
            atomic_compare_exchange_strong(&semaphore->word, &word, word | KIN__SLEEPERS);
            continue;
        }
        slept = KIN__SLEEPERS;
        kin__waits_sleep(kin__low_half(&semaphore->word), (uint32_t)word, deadline);
    }
    if (!semaphore->owned && slept && value_of(word - ONE))
        wake_one(semaphore);
    return 0;
}

static int acquire_slowly(kin_semaphore *semaphore, struct kin__thread *me, double timeout)
{
    uint64_t word;
    for (unsigned turns = 0; timeout > 0 && kin__sync_spin(&turns);)
        if (semaphore->owned ? take_holder(semaphore, me->name, false) : take_one(semaphore, 0, &word))
            return 0;
    kin__waits_begin(me, semaphore, kin__low_half(&semaphore->word));
    int error = sleep_for(semaphore, me, kin__os_deadline(timeout));
    kin__waits_end(me);
    return error ? kin__fail(error, "could not acquire %s in time", kin__title(semaphore).text) : 0;
}

/* Out of the fast way's way, which then needs no registers saved: 3 of its 14 ns. */
static __attribute__((noinline)) int acquire_otherwise(kin_semaphore *semaphore, double timeout)
{
    int error = check(semaphore, "acquire");
    struct kin__thread *me;
    if (error || (error = kin__timeout_check(timeout)))
        return error;
    if (!(me = kin__sync_thread()))
        return kin_error_code();
    if (semaphore->owned && take_holder(semaphore, me->name, false))
        return 0;
    return acquire_slowly(semaphore, me, timeout);
}

int kin_semaphore_acquire(kin_semaphore *semaphore, double timeout)
{
    uint64_t word;
    if (kin__sync_is(semaphore, KIN__SEMAPHORE_MAGIC) && timeout >= 0 && take_one(semaphore, 0, &word))
        return 0;
    return acquire_otherwise(semaphore, timeout);
}

static __attribute__((noinline)) int release_otherwise(kin_semaphore *semaphore)
{
    int error = check(semaphore, "release");
    return error ? error : release_owned(semaphore);
}

int kin_semaphore_release(kin_semaphore *semaphore)
{
    if (kin__sync_is(semaphore, KIN__SEMAPHORE_MAGIC))
        return release_signal(semaphore);
    return release_otherwise(semaphore);
}

int kin_semaphore_value(kin_semaphore *semaphore)
{
    int error = kin__object_check(semaphore, magic_of(semaphore), "ask for the value");
    if (error)
        return error;
    int count = (int)value_of(atomic_load(&semaphore->word));
    if (semaphore->owned)
        count = 0;
    for (uint32_t i = 0; i < semaphore->owned; i++) {
        uint64_t has = atomic_load(&semaphore->holder[i]);
        count += !has || kin__name_gone(has);
    }
    return count;
}

int kin_semaphore_free(kin_semaphore *semaphore)
{
    if (!semaphore)
        return 0;
    int error = check(semaphore, "free");
    if (error)
        return error;
    for (uint32_t i = 0; i < semaphore->owned; i++) {
        uint64_t has = atomic_load(&semaphore->holder[i]);
        if (has && !kin__name_gone(has))
            return kin__fail(KIN_EBUSY, "cannot free %s: %s has a permit", kin__title(semaphore).text,
                             kin__who(has).text);
    }
    error = kin__waits_none(semaphore);
    if (!error)
        kin__sync_free(semaphore);
    return error;
}
