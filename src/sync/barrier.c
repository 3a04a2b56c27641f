/*
 * sync/barrier.c - see kin/barrier.h.
 *
 * One word, changed by CAS: SLEEPERS, BROKEN, the phase, how many have come in it, and how the last phases ended, so that who
 * wakes up late still learns how its own did. Who does so later than that (it was stopped, and others took its place) learns
 * it if there was no reset since: otherwise it is told that it was broken.
 *
 *   bits of state   what
 *   -------------   --------------------------------------------------------------------------------
 *   0, 1            BROKEN, SLEEPERS
 *   8 to 31         phase; the low half is what is slept on
 *   32 to 43        parties that have come. All of them: the last one runs the action
 *   44 to 55        for each of the last 12 phases, latest first: 1 if it was reset
 *   56 to 63        resets so far
 *
 *   field         written by   rule                               when the writer dies there
 *   -----------   ----------   --------------------------------   -----------------------------------------
 *   state         all          CAS                                as stored; before the wake: W1, W2
 *   party[][]     a party      after it has come, in the phase's  not there yet: but its slot says that it waits
 *                              half; with the phase's tag         here, which it did before it came
 *   next          journal      in the family's list               undone
 *   others        the maker    before the magic                   not an object yet
 *
 *   B1  a dead party breaks it: its recovery, which whoever waits starts if nobody else does, finds the party in its
 *       slot, or in this phase's half or the one before
 */
#include "kin/barrier.h"

#include "base/failure.h"
#include "kin/heap.h"
#include "process/function.h"
#include "sync/deaths.h"
#include "sync/mutex.h"

#include <limits.h>
#include <math.h>

#define BROKEN UINT64_C(1)
#define SLEEPERS UINT64_C(2)
#define PHASE_SHIFT 8
#define PHASE_MASK 0xffffffu
#define COUNT_ONE (UINT64_C(1) << 32)
#define COUNT_MASK 0xfffu
#define HISTORY_SHIFT 44
#define HISTORY_PHASES 12u
#define HISTORY_MASK 0xfffu
#define RESETS_SHIFT 56
#define TAG_SHIFT 13
#define TAG_MASK 0x7ffffu

struct kin_barrier {
    struct kin__sync sync;
    _Atomic uint64_t state;
    uint32_t parties;
    double timeout; /* 0: none */
    struct kin__function action;
    void *action_arg;
    struct kin_barrier *next;
    _Atomic uint64_t
        party[]; /* of even phases, then of odd ones: name, and the phase's tag in its free bits */
};

static uint32_t phase_of(uint64_t state)
{
    return (uint32_t)state >> PHASE_SHIFT;
}

static uint32_t count_of(uint64_t state)
{
    return (uint32_t)(state >> 32) & COUNT_MASK;
}

/* A new phase; `reset` is how this one ended. */
static uint64_t next_phase(uint64_t state, bool reset)
{
    uint64_t history = (state >> HISTORY_SHIFT << 1 | reset) & HISTORY_MASK;
    uint64_t resets = (state >> RESETS_SHIFT) + reset;
    return resets << RESETS_SHIFT | history << HISTORY_SHIFT |
           (uint64_t)((phase_of(state) + 1) & PHASE_MASK) << PHASE_SHIFT;
}

static _Atomic uint64_t *party_at(kin_barrier *barrier, uint32_t phase, uint32_t index)
{
    return &barrier->party[(phase & 1) * barrier->parties + index];
}

/* Its name, if it came in that phase. */
static uint64_t party_of(kin_barrier *barrier, uint32_t phase, uint32_t index)
{
    uint64_t entry = atomic_load(party_at(barrier, phase, index));
    uint64_t tag = (uint64_t)(phase & TAG_MASK) << TAG_SHIFT, mask = (uint64_t)TAG_MASK << TAG_SHIFT;
    return (entry & mask) == tag ? entry & ~mask : 0;
}

static void wake(kin_barrier *barrier, uint64_t was)
{
    if (was & SLEEPERS)
        kin__os_futex_wake(kin__low_half(&barrier->state), INT_MAX);
}

static void break_it(kin_barrier *barrier)
{
    uint64_t state = atomic_load(&barrier->state);
    while (!(state & BROKEN))
        if (atomic_compare_exchange_weak(&barrier->state, &state, (state | BROKEN) & ~SLEEPERS)) {
            wake(barrier, state);
            return;
        }
}

/* ---- made, freed ------------------------------------------------------------------------------ */

static kin_barrier *make(int parties, const kin_barrier_options *options)
{
    struct kin__function action = {0};
    if (parties < 1 || parties > KIN_BARRIER_PARTIES_MAX) {
        kin__fail(KIN_EINVAL, "cannot make a barrier for %d parties: it must be 1 to %d", parties,
                  KIN_BARRIER_PARTIES_MAX);
        return NULL;
    }
    if (kin__timeout_check(options->timeout))
        return NULL;
    if (options->action &&
        kin__function_refer((void (*)(void))options->action, &action, "the barrier's action"))
        return NULL;
    if (options->action_arg && !kin_is_shared(options->action_arg)) {
        kin__fail(KIN_ENOTSHARED, "cannot make a barrier: its action's argument %p is private memory",
                  options->action_arg);
        return NULL;
    }
    kin_barrier *barrier =
        kin__sync_new(sizeof *barrier + 2 * (size_t)parties * sizeof barrier->party[0], options->name);
    if (!barrier)
        return NULL;
    barrier->parties = (uint32_t)parties;
    barrier->timeout = options->timeout;
    barrier->action = action;
    barrier->action_arg = options->action_arg;
    atomic_store(&barrier->state, UINT64_C(2) << PHASE_SHIFT); /* zeros are of no phase near */
    return kin__sync_publish(barrier, KIN__BARRIER_MAGIC);
}

kin_barrier *kin_barrier_new(int parties, const kin_barrier_options *given)
{
    kin_barrier_options options;
    if (kin__options_read(&options, sizeof options, given, "barrier options"))
        return NULL;
    kin_barrier *barrier = make(parties, &options);
    if (!barrier)
        return NULL;
    kin__journal_begin();
    kin__journal_set_pointer(&barrier->next, (void *)(uintptr_t)kin__region->barriers);
    kin__journal_set(&kin__region->barriers, (uintptr_t)barrier);
    kin__journal_end();
    return barrier;
}

int kin_barrier_free(kin_barrier *barrier)
{
    if (!barrier)
        return 0;
    int error = kin__sync_check(barrier, KIN__BARRIER_MAGIC, "free");
    if (error || (error = kin__waits_none(barrier)))
        return error;
    kin__journal_begin();
    uint64_t *link = &kin__region->barriers;
    while (*link && *link != (uintptr_t)barrier)
        link = (uint64_t *)&((kin_barrier *)(uintptr_t)*link)->next;
    if (*link)
        kin__journal_set(link, (uintptr_t)barrier->next);
    kin__journal_end();
    kin__sync_free(barrier);
    return 0;
}

/* ---- deaths ---------------------------------------------------------------------------------- */

static bool was_party(kin_barrier *barrier, uint64_t name)
{
    uint32_t phase = phase_of(atomic_load(&barrier->state));
    for (uint32_t i = 0; i < barrier->parties; i++)
        if (party_of(barrier, phase, i) == name || party_of(barrier, (phase - 1) & PHASE_MASK, i) == name)
            return true;
    return false;
}

void kin__barriers_recover(const struct kin__thread *dead, bool parties)
{
    for (uint64_t at = kin__region->barriers; at;) {
        kin_barrier *barrier = (kin_barrier *)(uintptr_t)at;
        if (!kin__object_is(barrier, KIN__BARRIER_MAGIC))
            return; /* freed by kin_free: what follows cannot be known */
        if (atomic_load(&dead->waits.object) == at || (parties && was_party(barrier, dead->name)))
            break_it(barrier);
        at = (uintptr_t)barrier->next;
    }
}

/* Nobody else may notice a death: ask after each party. Whoever recovers one breaks the barrier. */
static void look_after_parties(kin_barrier *barrier, uint32_t phase)
{
    for (uint32_t i = 0; i < barrier->parties; i++) {
        uint64_t now = party_of(barrier, phase, i), before = party_of(barrier, (phase - 1) & PHASE_MASK, i);
        if (now)
            kin__name_gone(now);
        if (before)
            kin__name_gone(before);
    }
}

/* ---- waiting --------------------------------------------------------------------------------- */

static int tell_broken(const kin_barrier *barrier)
{
    return kin__fail(KIN_EBROKEN, "%s is broken", kin__title(barrier).text);
}

/* How the phase that was `came`'s, and is over, ended. */
static int outcome(const kin_barrier *barrier, uint64_t state, uint64_t came)
{
    uint32_t ago = (phase_of(state) - phase_of(came)) & PHASE_MASK;
    bool reset = ago > HISTORY_PHASES ? state >> RESETS_SHIFT != came >> RESETS_SHIFT
                                      : state >> HISTORY_SHIFT >> (ago - 1) & 1;
    return reset ? tell_broken(barrier) : 0;
}

/* One look later. KIN_ETIMEDOUT: the deadline is there. */
static int sleep_once(kin_barrier *barrier, uint64_t state, double deadline)
{
    if (kin__os_left(deadline) <= 0)
        return KIN_ETIMEDOUT;
    look_after_parties(barrier, phase_of(state));
    if (state & SLEEPERS || atomic_compare_exchange_strong(&barrier->state, &state, state | SLEEPERS))
        kin__waits_sleep(kin__low_half(&barrier->state), (uint32_t)(state | SLEEPERS), deadline);
    return 0;
}

/* Come: *state is what one finds then, *index which one is. */
static int come(kin_barrier *barrier, double deadline, uint64_t *state, uint32_t *index)
{
    for (;;) {
        *state = atomic_load(&barrier->state);
        if (*state & BROKEN)
            return tell_broken(barrier);
        *index = count_of(*state);
        if (*index == barrier->parties) { /* one too many: the next phase is soon */
            if (sleep_once(barrier, *state, deadline))
                return kin__fail(KIN_ETIMEDOUT, "%s was not free in time", kin__title(barrier).text);
        } else if (atomic_compare_exchange_weak(&barrier->state, state, *state + COUNT_ONE)) {
            return 0;
        }
    }
}

static int act(kin_barrier *barrier)
{
    void (*fn)(void) = NULL;
    if (!barrier->action.module)
        return 0;
    int error = kin__function_resolve(&barrier->action, &fn);
    if (error)
        return error;
    int failed = ((kin_barrier_action)fn)(barrier->action_arg);
    return failed ? kin__fail(KIN_EFAILED, "the action of %s returned %d", kin__title(barrier).text, failed)
                  : 0;
}

/* The last one to come lets all go. */
static int let_go(kin_barrier *barrier, uint64_t came)
{
    int error = act(barrier);
    if (error) {
        break_it(barrier);
        return error;
    }
    uint64_t state = atomic_load(&barrier->state);
    do {
        if (phase_of(state) != phase_of(came))
            return outcome(barrier, state, came);
        if (state & BROKEN)
            return tell_broken(barrier);
    } while (!atomic_compare_exchange_weak(&barrier->state, &state, next_phase(state, false)));
    wake(barrier, state);
    return 0;
}

static int await_others(kin_barrier *barrier, uint64_t came, double deadline)
{
    unsigned turns = 0;
    for (;;) {
        uint64_t state = atomic_load(&barrier->state);
        if (phase_of(state) != phase_of(came))
            return outcome(barrier, state, came);
        if (state & BROKEN)
            return tell_broken(barrier);
        if (kin__sync_spin(&turns) || !sleep_once(barrier, state, deadline))
            continue;
        if (atomic_compare_exchange_strong(&barrier->state, &state, (state | BROKEN) & ~SLEEPERS)) {
            wake(barrier, state);
            return kin__fail(KIN_ETIMEDOUT, "not all of the %u parties of %s came in time", barrier->parties,
                             kin__title(barrier).text);
        }
    }
}

int kin_barrier_wait(kin_barrier *barrier, double timeout, int *index)
{
    int error = kin__sync_check(barrier, KIN__BARRIER_MAGIC, "wait");
    struct kin__thread *me;
    if (error || (error = kin__timeout_check(timeout)))
        return error;
    if (!(me = kin__sync_thread()))
        return kin_error_code();
    if (isinf(timeout) && barrier->timeout > 0)
        timeout = barrier->timeout;
    double deadline = kin__os_deadline(timeout);
    uint64_t state;
    uint32_t place = 0;
    kin__waits_begin(me, barrier, kin__low_half(&barrier->state)); /* B1: before it comes */
    error = come(barrier, deadline, &state, &place);
    if (!error) {
        uint32_t phase = phase_of(state);
        atomic_store(party_at(barrier, phase, place), me->name | (uint64_t)(phase & TAG_MASK) << TAG_SHIFT);
        error =
            place + 1 == barrier->parties ? let_go(barrier, state) : await_others(barrier, state, deadline);
    }
    kin__waits_end(me);
    if (!error && index)
        *index = (int)place;
    return error;
}

/* ---- the rest -------------------------------------------------------------------------------- */

int kin_barrier_reset(kin_barrier *barrier)
{
    int error = kin__sync_check(barrier, KIN__BARRIER_MAGIC, "reset");
    if (error)
        return error;
    uint64_t state = atomic_load(&barrier->state);
    while (!atomic_compare_exchange_weak(&barrier->state, &state, next_phase(state, true)))
        continue;
    wake(barrier, state | SLEEPERS); /* a break had cleared it, and may not have woken all yet */
    return 0;
}

int kin_barrier_abort(kin_barrier *barrier)
{
    int error = kin__sync_check(barrier, KIN__BARRIER_MAGIC, "abort");
    if (!error)
        break_it(barrier);
    return error;
}

bool kin_barrier_is_broken(kin_barrier *barrier)
{
    return kin__object_check(barrier, KIN__BARRIER_MAGIC, "ask whether it is broken") == 0 &&
           atomic_load(&barrier->state) & BROKEN;
}

int kin_barrier_parties(kin_barrier *barrier)
{
    int error = kin__object_check(barrier, KIN__BARRIER_MAGIC, "ask for the parties");
    return error ? error : (int)barrier->parties;
}

int kin_barrier_waiting(kin_barrier *barrier)
{
    int error = kin__object_check(barrier, KIN__BARRIER_MAGIC, "ask who waits");
    if (error)
        return error;
    uint64_t state = atomic_load(&barrier->state);
    return state & BROKEN ? 0 : (int)count_of(state);
}
