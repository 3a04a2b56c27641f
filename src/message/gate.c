/* message/gate.c - see gate.h. The asymmetric fence: membarrier(2); Dice, Huang, Yang, "Asymmetric Dekker
 * Synchronization", 2001. */
#include "message/gate.h"

#include "kin/error.h"

#define SPINS 200         /* about 2 us */
#define LOOK_AT_ONCE 1e-3 /* where the kernel makes no barriers for us */

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
    for (int i = 0; i < SPINS; i++) {
        if (try(gate, me))
            return true;
        kin__os_pause();
    }
    return false;
}

static int sleep_at(const void *object, const _Atomic uint32_t *signal, uint32_t seen, bool fenced,
                    double deadline)
{
    double left = kin__os_left(deadline);
    struct kin__thread *thread = kin__sync_thread();
    if (left <= 0)
        return KIN_ETIMEDOUT;
    if (!fenced || !thread) {
        kin__os_futex_wait(signal, seen, left < LOOK_AT_ONCE ? left : LOOK_AT_ONCE);
        return 0;
    }
    kin__waits_begin(thread, object, signal);
    kin__waits_sleep(signal, seen, deadline);
    kin__waits_end(thread);
    return 0;
}

int kin__gate_wait(struct kin__gate *gate, const void *object, kin__id me, double deadline)
{
    bool slept = false;
    for (;;) {
        if (spin(gate, me))
            break;
        kin__id owner = atomic_load(&gate->owner);
        if (owner && take_over(gate, owner, me) == KIN_EDIED)
            return KIN_EDIED;
        uint32_t seen = atomic_load(&gate->signal);
        atomic_store(&gate->asleep, 1);
        bool fenced = kin__os_barrier(); /* partner: kin__gate_release, which has no fence */
        if (try(gate, me))
            break;
        if (sleep_at(object, &gate->signal, seen, fenced, deadline))
            return KIN_ETIMEDOUT;
        slept = true;
    }
    if (slept)
        atomic_store(&gate->asleep, 1); /* others may sleep still: our release wakes the next */
    return 0;
}

void kin__gate_wake(struct kin__gate *gate)
{
    atomic_store(&gate->asleep, 0);
    atomic_fetch_add(&gate->signal, 1);
    kin__os_futex_wake(&gate->signal, 1);
}

uint32_t kin__event_prepare(struct kin__event *event)
{
    uint32_t seen = atomic_load(&event->signal);
    atomic_store(&event->asleep, 1);
    return seen;
}

int kin__event_sleep(struct kin__event *event, const void *object, uint32_t seen, double deadline)
{
    return sleep_at(object, &event->signal, seen, true, deadline);
}

void kin__event_wake(struct kin__event *event, int count)
{
    atomic_store(&event->asleep, 0);
    atomic_fetch_add(&event->signal, 1);
    kin__os_futex_wake(&event->signal, count);
}
