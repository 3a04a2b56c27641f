/*
 * sync/event.c - see kin/event.h.
 *
 *   field   written by   rule                                     when the writer dies there
 *   -----   ----------   --------------------------------------   --------------------------
 *   word    all          CAS: times it was set << 2, SLEEPERS,    as stored; before the wake:
 *                        SET. A set clears SLEEPERS and wakes     W1, W2
 */
#include "kin/event.h"

#include "base/failure.h"
#include "sync/wait.h"

#include <limits.h>

#define SET 1u
#define SLEEPERS 2u
#define TIMES 4u

struct kin_event {
    struct kin__sync sync;
    _Atomic uint32_t word;
};

kin_event *kin_event_new(const kin_event_options *given)
{
    kin_event_options options;
    if (kin__options_read(&options, sizeof options, given, "event options"))
        return NULL;
    kin_event *event = kin__sync_new(sizeof *event, options.name);
    return event ? kin__sync_publish(event, KIN__EVENT_MAGIC) : NULL;
}

int kin_event_set(kin_event *event)
{
    int error = kin__sync_check(event, KIN__EVENT_MAGIC, "set");
    if (error)
        return error;
    uint32_t word = atomic_load(&event->word);
    do
        if (word & SET)
            return 0;
    while (!atomic_compare_exchange_weak(&event->word, &word, ((word + TIMES) & ~SLEEPERS) | SET));
    if (word & SLEEPERS)
        kin__os_futex_wake(&event->word, INT_MAX);
    return 0;
}

int kin_event_clear(kin_event *event)
{
    int error = kin__sync_check(event, KIN__EVENT_MAGIC, "clear");
    if (!error)
        atomic_fetch_and(&event->word, ~SET);
    return error;
}

bool kin_event_is_set(kin_event *event)
{
    return kin__object_check(event, KIN__EVENT_MAGIC, "ask whether it is set") == 0 &&
           atomic_load(&event->word) & SET;
}

static bool was_set(kin_event *event, uint32_t times, uint32_t *word)
{
    *word = atomic_load(&event->word);
    return *word & SET || (*word ^ times) & ~(SET | SLEEPERS);
}

static int sleep_for(kin_event *event, uint32_t times, double deadline)
{
    uint32_t word;
    while (!was_set(event, times, &word)) {
        if (kin__os_left(deadline) <= 0)
            return kin__fail(KIN_ETIMEDOUT, "%s was not set in time", kin__title(event).text);
        if (word & SLEEPERS || atomic_compare_exchange_strong(&event->word, &word, word | SLEEPERS))
            kin__waits_sleep(&event->word, word | SLEEPERS, deadline);
    }
    return 0;
}

int kin_event_wait(kin_event *event, double timeout)
{
    int error = kin__sync_check(event, KIN__EVENT_MAGIC, "wait");
    struct kin__thread *me;
    if (error || (error = kin__timeout_check(timeout)))
        return error;
    uint32_t word, times = atomic_load(&event->word);
    if (times & SET)
        return 0;
    if (!(me = kin__sync_thread()))
        return kin_error_code();
    for (unsigned turns = 0; timeout > 0 && kin__sync_spin(&turns);)
        if (was_set(event, times, &word))
            return 0;
    kin__waits_begin(me, event, &event->word);
    error = sleep_for(event, times, kin__os_deadline(timeout));
    kin__waits_end(me);
    return error;
}

int kin_event_free(kin_event *event)
{
    if (!event)
        return 0;
    int error = kin__sync_check(event, KIN__EVENT_MAGIC, "free");
    if (!error && !(error = kin__waits_none(event)))
        kin__sync_free(event);
    return error;
}
