/* message/gate.c - see gate.h. The asymmetric fence: membarrier(2); Dice, Huang, Yang, "Asymmetric Dekker
 * Synchronization", 2001. */
#include "message/gate.h"

#include "base/failure.h"

#define LOOK_AT_ONCE 1e-3 /* where the kernel makes no barriers for us */

double kin__gate_patience = 10;

/* A dead owner's gate is ours by CAS from its id, if it is recovered: what it had under way in the heap is settled. */
static int take_over(struct kin__gate *gate, kin__id owner, kin__id me)
{
    if (owner == me || kin__member_recover(owner) == KIN_EBUSY)
        return KIN_EBUSY;
    return atomic_compare_exchange_strong(&gate->owner, &owner, me) ? KIN_EDIED : KIN_EBUSY;
}

static bool try(struct kin__gate *gate, kin__id me)
{
    kin__id nobody = 0;
    return atomic_load_explicit(&gate->owner, memory_order_relaxed) == 0 &&
           atomic_compare_exchange_strong_explicit(&gate->owner, &nobody, me, memory_order_acquire,
                                                   memory_order_relaxed);
}

static bool spin(struct kin__gate *gate, kin__id me)
{
    unsigned turns = 0;
    do
        if (try(gate, me))
            return true;
    while (kin__sync_spin(&turns));
    return false;
}

static int wait_for(struct kin__gate *gate, const void *object, kin__id me, double deadline)
{
    bool slept = false;
    for (;;) {
        if (spin(gate, me))
            break;
        kin__id owner = atomic_load(&gate->owner);
        if (owner && take_over(gate, owner, me) == KIN_EDIED)
            return KIN_EDIED;
        struct kin__nap nap = kin__event_prepare(&gate->sleepers);
        if (try(gate, me))
            break;
        if (kin__event_sleep(&gate->sleepers, object, nap, deadline))
            return KIN_ETIMEDOUT;
        slept = true;
    }
    if (slept)
        atomic_store(&gate->sleepers.asleep, 1); /* others may sleep still: our release wakes the next */
    return 0;
}

/* A gate is held for a moment, but its owner may have been preempted in it, which is nothing that a caller with no time
 * should be told of: "empty" or "full" would be wrong. So whoever needs a gate waits this long at least. */
#define GRACE 0.1

double kin__patience_grace(struct kin__patience *patience)
{
    double deadline = kin__patience_deadline(patience), grace = kin__os_deadline(GRACE);
    return deadline > grace ? deadline : grace;
}

int kin__gate_acquire(struct kin__gate *gate, const void *object, kin__id me, struct kin__patience *patience)
{
    kin__id nobody = 0;
    if (atomic_compare_exchange_strong_explicit(&gate->owner, &nobody, me, memory_order_acquire,
                                                memory_order_relaxed))
        return 0;
    int error = wait_for(gate, object, me, kin__patience_grace(patience));
    if (error == KIN_ETIMEDOUT)
        kin__fail(KIN_ETIMEDOUT, "%s was in use by another process for %g seconds (stopped?)",
                  kin__title(object).text, patience->timeout > GRACE ? patience->timeout : GRACE);
    return error;
}

struct kin__nap kin__event_prepare(struct kin__event *event)
{
    uint32_t seen = atomic_load(&event->signal);
    atomic_store(&event->asleep, 1);
    return (struct kin__nap){seen, kin__os_barrier()}; /* partner: kin__event_tell, which has no fence */
}

/* A wait is many naps. Reports are to tell since when it is one: nobody has woken anybody since, and the last nap has just
 * ended. */
#define JUST_NS 1000000
static _Thread_local struct {
    const struct kin__event *event;
    uint32_t seen;
    uint64_t since, ended;
} last;

static void begin(struct kin__thread *thread, const void *object, const struct kin__event *event,
                  uint32_t seen)
{
    bool same = last.event == event && last.seen == seen && kin__os_now_ns() - last.ended < JUST_NS;
    kin__waits_begin(thread, object, &event->signal);
    if (same)
        atomic_store_explicit(&thread->waits.since, last.since, memory_order_relaxed);
    else
        last.since = atomic_load_explicit(&thread->waits.since, memory_order_relaxed);
    last.event = event;
    last.seen = seen;
}

int kin__event_sleep(struct kin__event *event, const void *object, struct kin__nap nap, double deadline)
{
    double left = kin__os_left(deadline);
    struct kin__thread *thread = kin__sync_thread();
    if (left <= 0)
        return KIN_ETIMEDOUT;
    if (!nap.fenced || !thread) {
        kin__os_futex_wait(&event->signal, nap.seen, left < LOOK_AT_ONCE ? left : LOOK_AT_ONCE);
        return 0;
    }
    begin(thread, object, event, nap.seen);
    kin__waits_sleep(&event->signal, nap.seen, deadline);
    kin__waits_end(thread);
    last.ended = kin__os_now_ns();
    return 0;
}

void kin__event_wake(struct kin__event *event, int count)
{
    atomic_store(&event->asleep, 0);
    atomic_fetch_add(&event->signal, 1);
    kin__os_futex_wake(&event->signal, count);
}
