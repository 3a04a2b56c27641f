/*
 * sync/condition.c - see kin/condition.h.
 *
 * There is no queue that a death could tear. A waiter's place is its own thread slot: which condition, a ticket, and a *note*
 * of what became of it; the condition has a bit for each slot that may hold a waiter. Who notifies looks through
 * those for the lowest ticket, and changes its note by one CAS.
 *
 *   note: number of the wait << 2 | state           changed by
 *   -----------------------------------------       ----------------------------------------------------
 *   NONE -> WAITING      in a new number            the waiter, holding the lock
 *   WAITING -> NOTIFIED                             who notifies, or passes on
 *   WAITING -> NONE      not in time                the waiter; its recovery
 *   NOTIFIED -> NONE     it has the lock again      the waiter; its recovery, after it has passed it on
 *
 *   field        written by      rule                                when the writer dies there
 *   ----------   -------------   ---------------------------------   -----------------------------------
 *   tickets      waiters         fetch_add                           a number is left out
 *   waiting[i]   thread slot i   1 after the note says WAITING,      its recovery clears it
 *                                0 before the slot's condition is 0
 *   own          see mutex.h
 *   others       the maker       before the magic                    not an object yet
 *   waits.condition, .ticket     before the note says WAITING        read only where the note says so
 *
 *   C1  a living waiter with WAITING has its bit, or is about to set it before it gives up the lock
 *   C2  a notification is with exactly one note until its owner has returned, dead ones' until they are recovered
 *       (passed on twice if the recoverer dies between the two stores)
 */
#include "kin/condition.h"

#include "base/failure.h"
#include "sync/deaths.h"
#include "sync/mutex.h"

enum note { NOTE_NONE, NOTE_WAITING, NOTE_NOTIFIED };
#define NOTE_STATE 3u
#define NOTE_NEXT 4u
#define WORDS (KIN__THREADS_SPARE / 64)

struct kin_condition {
    struct kin__sync sync;
    struct kin__mutex *mutex;
    _Atomic uint64_t tickets;
    _Atomic uint64_t waiting[WORDS];
    /* An rlock of its own, an object itself. In the same block, so that no death leaves one of the two. */
    _Alignas(16) struct kin__mutex own;
};

kin_condition *kin_condition_new(void *lock, const kin_condition_options *given)
{
    kin_condition_options options;
    if (kin__options_read(&options, sizeof options, given, "condition options"))
        return NULL;
    if (lock && !kin__object_is(lock, KIN__LOCK_MAGIC) &&
        kin__object_check(lock, KIN__RLOCK_MAGIC, "use the lock"))
        return NULL;
    kin_condition *condition = kin__sync_new(sizeof *condition, options.name);
    if (!condition)
        return NULL;
    condition->mutex = lock ? lock : kin__mutex_part(&condition->own, options.name);
    return kin__sync_publish(condition, KIN__CONDITION_MAGIC);
}

int kin_condition_acquire(kin_condition *condition, double timeout)
{
    int error = kin__sync_check(condition, KIN__CONDITION_MAGIC, "acquire");
    return error ? error : kin__mutex_acquire(condition->mutex, timeout);
}

int kin_condition_release(kin_condition *condition)
{
    int error = kin__sync_check(condition, KIN__CONDITION_MAGIC, "release");
    return error ? error : kin__mutex_release_checked(condition->mutex);
}

/* A condition, and a thread that holds its lock. */
static int check_held(kin_condition *condition, const char *what, struct kin__thread **me)
{
    int error = kin__sync_check(condition, KIN__CONDITION_MAGIC, what);
    if (error)
        return error;
    if (!kin__object_is(condition->mutex, KIN__LOCK_MAGIC) && /* a user may free it too soon */
        (error = kin__sync_check(condition->mutex, KIN__RLOCK_MAGIC, what)))
        return error;
    if (!(*me = kin__sync_thread()))
        return kin_error_code();
    if (kin__mutex_owner(condition->mutex) != (*me)->name)
        return kin__fail(KIN_EPERM, "cannot %s: this thread does not hold the lock of %s", what,
                         kin__title(condition).text);
    return 0;
}

/* ---- waiting --------------------------------------------------------------------------------- */

static void enter(kin_condition *condition, struct kin__thread *me, uint64_t note)
{
    struct kin__waits *waits = &me->waits;
    atomic_store(&waits->condition, (uintptr_t)condition);
    atomic_store(&waits->ticket, atomic_fetch_add(&condition->tickets, 1));
    atomic_store(&waits->note, note | NOTE_WAITING);
    atomic_fetch_or(&condition->waiting[me->index / 64], UINT64_C(1) << me->index % 64);
}

static void leave(kin_condition *condition, struct kin__thread *thread)
{
    uint64_t note = atomic_load(&thread->waits.note);
    atomic_store(&thread->waits.note, note & ~(uint64_t)NOTE_STATE);
    atomic_fetch_and(&condition->waiting[thread->index / 64], ~(UINT64_C(1) << thread->index % 64));
    atomic_store(&thread->waits.condition, 0);
}

/* 0: notified. */
static int await_note(kin_condition *condition, struct kin__thread *me, uint64_t note, double deadline)
{
    struct kin__waits *waits = &me->waits;
    uint64_t waiting = note | NOTE_WAITING;
    int error = 0;
    for (unsigned turns = 0; atomic_load(&waits->note) == waiting && kin__sync_spin(&turns);)
        continue;
    kin__waits_begin(me, condition, kin__low_half(&waits->note));
    while (!error && atomic_load(&waits->note) == waiting) {
        uint64_t seen = waiting;
        if (kin__os_left(deadline) > 0)
            kin__waits_sleep(kin__low_half(&waits->note), (uint32_t)waiting, deadline);
        else if (atomic_compare_exchange_strong(&waits->note, &seen, note | NOTE_NONE))
            error = KIN_ETIMEDOUT;
    }
    kin__waits_end(me);
    return error;
}

int kin_condition_wait(kin_condition *condition, double timeout)
{
    struct kin__thread *me;
    int error = check_held(condition, "wait", &me);
    if (error || (error = kin__timeout_check(timeout)))
        return error;
    struct kin__mutex *mutex = condition->mutex;
    double deadline = kin__os_deadline(timeout);
    uint64_t note = (atomic_load(&me->waits.note) & ~(uint64_t)NOTE_STATE) + NOTE_NEXT;
    uint32_t depth = mutex->depth;
    enter(condition, me, note);
    kin__mutex_release(mutex);
    int outcome = await_note(condition, me, note, deadline);
    error = kin__mutex_try(mutex, me) ? 0 : kin__mutex_wait(mutex, me, KIN_FOREVER);
    if (!error || error == KIN_EOWNERDIED)
        mutex->depth = depth;
    leave(condition, me); /* C2: until here, whoever recovers us passes it on */
    if (!error && outcome)
        kin__fail(outcome, "%s was not notified in time", kin__title(condition).text);
    return error ? error : outcome;
}

int kin_condition_wait_for(kin_condition *condition, bool (*predicate)(void *arg), void *arg, double timeout)
{
    struct kin__thread *me;
    int error = check_held(condition, "wait", &me);
    if (error || (error = kin__timeout_check(timeout)))
        return error;
    if (!predicate)
        return kin__fail(KIN_EINVAL, "cannot wait for %s: no predicate", kin__title(condition).text);
    double deadline = kin__os_deadline(timeout);
    while (!predicate(arg)) {
        if (error)
            return error;
        error = kin_condition_wait(condition, kin__os_left(deadline));
        if (error && error != KIN_ETIMEDOUT)
            return error;
    }
    return 0;
}

/* ---- notifying ------------------------------------------------------------------------------- */

/* The thread in that slot, if it waits for this condition; and its note as it was then. */
static struct kin__thread *waiter_in(kin_condition *condition, uint32_t index, uint64_t *note)
{
    struct kin__thread *thread = kin__thread_at(index);
    *note = atomic_load(&thread->waits.note);
    bool here =
        (*note & NOTE_STATE) == NOTE_WAITING && atomic_load(&thread->waits.condition) == (uintptr_t)condition;
    return here ? thread : NULL;
}

static struct kin__thread *first_waiter(kin_condition *condition, uint64_t *note)
{
    struct kin__thread *first = NULL;
    uint64_t lowest = UINT64_MAX;
    for (uint32_t word = 0; word < WORDS; word++)
        for (uint64_t bits = atomic_load(&condition->waiting[word]); bits; bits &= bits - 1) {
            uint64_t its;
            struct kin__thread *thread =
                waiter_in(condition, word * 64 + (uint32_t)__builtin_ctzll(bits), &its);
            uint64_t ticket = thread ? atomic_load(&thread->waits.ticket) : UINT64_MAX;
            if (ticket < lowest) {
                lowest = ticket;
                first = thread;
                *note = its;
            }
        }
    return first;
}

/* Who waits with that note is notified, unless it has ended, or its note is another one by now. `look`: whether it lives.
 * What a dead one is given its recovery passes on. */
static bool notify_thread(struct kin__thread *thread, uint64_t note, bool look)
{
    uint64_t number = note & ~(uint64_t)NOTE_STATE;
    if (look && kin__name_gone(kin__peek(&thread->name))) {
        /* Its recovery has changed the note; if not, that was a thread that ended in mid-wait: nobody recovers it. */
        atomic_compare_exchange_strong(&thread->waits.note, &note, number | NOTE_NONE);
        return false;
    }
    if (!atomic_compare_exchange_strong(&thread->waits.note, &note, number | NOTE_NOTIFIED))
        return false;
    kin__os_futex_wake(kin__low_half(&thread->waits.note), 1);
    return true;
}

/* False: nobody waits. */
static bool notify_one(kin_condition *condition, bool look)
{
    uint64_t note;
    for (struct kin__thread *thread; (thread = first_waiter(condition, &note));)
        if (notify_thread(thread, note, look))
            return true;
    return false;
}

int kin_condition_notify(kin_condition *condition, size_t count)
{
    struct kin__thread *me;
    int error = check_held(condition, "notify", &me);
    while (!error && count > 0 && notify_one(condition, true))
        count--;
    return error;
}

/* In one pass, as they need no order. Whose note changes meanwhile waits no more: nobody begins to, we hold the lock. */
int kin_condition_notify_all(kin_condition *condition)
{
    struct kin__thread *me;
    int error = check_held(condition, "notify", &me);
    for (uint32_t word = 0; !error && word < WORDS; word++)
        for (uint64_t bits = atomic_load(&condition->waiting[word]); bits; bits &= bits - 1) {
            uint64_t note;
            struct kin__thread *thread =
                waiter_in(condition, word * 64 + (uint32_t)__builtin_ctzll(bits), &note);
            if (thread)
                notify_thread(thread, note, true);
        }
    return error;
}

/* ---- deaths, end ----------------------------------------------------------------------------- */

void kin__condition_recover(struct kin__thread *dead)
{
    kin_condition *condition = (kin_condition *)(uintptr_t)atomic_load(&dead->waits.condition);
    if (!condition || !kin__object_is(condition, KIN__CONDITION_MAGIC))
        return;
    uint64_t note = atomic_load(&dead->waits.note);
    while ((note & NOTE_STATE) == NOTE_WAITING)
        if (atomic_compare_exchange_weak(&dead->waits.note, &note, note & ~(uint64_t)NOTE_STATE))
            note &= ~(uint64_t)NOTE_STATE;
    if ((note & NOTE_STATE) == NOTE_NOTIFIED)
        notify_one(condition, false);
    leave(condition, dead);
}

int kin_condition_free(kin_condition *condition)
{
    if (!condition)
        return 0;
    int error = kin__sync_check(condition, KIN__CONDITION_MAGIC, "free");
    for (uint32_t i = 0; !error && i < WORDS * 64; i++) {
        if (!(atomic_load(&condition->waiting[i / 64]) >> i % 64 & 1))
            continue;
        struct kin__thread *thread = kin__thread_at(i);
        uint64_t name = kin__peek(&thread->name);
        if (atomic_load(&thread->waits.condition) == (uintptr_t)condition && !kin__name_gone(name))
            error = kin__fail(KIN_EBUSY, "cannot free %s: %s waits for it", kin__title(condition).text,
                              kin__who(name).text);
    }
    if (!error && condition->mutex == &condition->own)
        error = kin__mutex_end(&condition->own);
    if (!error)
        kin__sync_free(condition);
    return error;
}
