/*
 * message/gate.h - the lock of one side of a queue, held for a few instructions, by whoever puts or gets.
 *
 * Not a kin_lock: its owner is a member, whose death the next one notices by itself and mends what it left; and releasing it is
 * a plain store. That is what makes a message cost 12 ns.
 *
 *   field      written by        rule                                    when the writer dies there
 *   --------   ---------------   -------------------------------------   -------------------------------------
 *   owner      who acquires,     CAS from 0, or from a dead member's     the next one finds that it is dead,
 *              releases          id; then 0                              recovered, and takes over by CAS
 *   sleepers   see kin__event    for those that wait for the gate
 *
 * G1  between acquire and release nobody else owns it; who took it over from a dead one has been told so
 *
 * Who releases, or tells an event, stores, then loads `asleep`; a sleeper stores `asleep`, then loads. So that the two cannot
 * miss each other without a fence in each release, the sleeper has the kernel make one on all CPUs (kin__os_barrier,
 * membarrier(2)). Where it can't, sleepers look again after a while; and all do when a member dies (sync/wait.h, W1 and W2).
 */
#ifndef KIN_MESSAGE_GATE_H
#define KIN_MESSAGE_GATE_H

#include "family/member.h"
#include "sync/wait.h"

#include <stdatomic.h>

/*
 * A word to sleep at: for messages, for room, for a gate. Who made it happen stores what sleepers look for, then calls
 * kin__event_tell; who waits calls kin__event_prepare, looks once more, then sleeps or goes on.
 *
 *   field    written by       rule                           when the writer dies there
 *   ------   --------------   ----------------------------   ----------------------------
 *   asleep   sleeper, waker   1 before sleeping, 0 before    others look again by themselves
 *                             waking
 *   signal   waker            one more before each wake      as stored
 *
 * Waking is one by one: the waker clears `asleep`, so who was woken must say for the others, which may sleep still, that
 * they do: prepare again, look again, and pass a wake on if more has come.
 */
struct kin__event {
    _Atomic uint32_t asleep;
    _Atomic uint32_t signal;
};

struct kin__nap {
    uint32_t seen;
    bool fenced; /* the kernel made a fence on all CPUs: nobody's tell can be missed */
};

struct kin__nap kin__event_prepare(struct kin__event *event);
/* 0: look again; KIN_ETIMEDOUT. No record is set. */
int kin__event_sleep(struct kin__event *event, const void *object, struct kin__nap nap, double deadline);
void kin__event_wake(struct kin__event *event, int count);

static inline void kin__event_tell(struct kin__event *event, int count)
{
    atomic_signal_fence(memory_order_seq_cst); /* the compiler's part of what the sleeper's barrier does */
    if (atomic_load_explicit(&event->asleep, memory_order_relaxed))
        kin__event_wake(event, count);
}

/*
 * How many looks it pays to take before sleeping, as a thread has learned it: few where the other side does not run meanwhile,
 * as on a busy machine. One time in KIN__TRIAL it looks as long as ever, or it would never learn that this has changed.
 */
struct kin__habit {
    uint32_t looks; /* 0: nothing learned yet */
    uint32_t waits;
};
#define KIN__TRIAL 16u

static inline uint32_t kin__habit_looks(struct kin__habit *habit, uint32_t most)
{
    return habit->looks == 0 || ++habit->waits % KIN__TRIAL == 0 ? most : habit->looks;
}

/* What was looked for came at that look; or at none, 0. */
static inline void kin__habit_learn(struct kin__habit *habit, uint32_t most, uint32_t came)
{
    uint32_t looks = habit->looks ? habit->looks : most;
    if (came)
        habit->looks = came > looks || 2 * looks > most ? most : 2 * looks;
    else
        habit->looks = looks > 1 ? looks / 2 : 1;
}

struct kin__gate {
    _Atomic kin__id owner;
    struct kin__event sleepers;
};

/* How long a call may still wait; the clock is only asked if it must. */
struct kin__patience {
    double timeout;
    double deadline; /* 0: not asked yet */
};

static inline double kin__patience_deadline(struct kin__patience *patience)
{
    if (patience->deadline == 0)
        patience->deadline = kin__os_deadline(patience->timeout);
    return patience->deadline;
}

/* What is held for a moment, by one who may be preempted in it, is waited for until then: 0.1 s at least. */
double kin__patience_grace(struct kin__patience *patience);

/* 10: how long calls without a timeout wait for a gate; its owner may be stopped. */
extern double kin__gate_patience;

/* Acquire it. 0; KIN_EDIED: acquired, from a dead one, and there may be something to mend; KIN_ETIMEDOUT, with its record. */
int kin__gate_acquire(struct kin__gate *gate, const void *object, kin__id me, struct kin__patience *patience);

static inline void kin__gate_release(struct kin__gate *gate)
{
    atomic_store_explicit(&gate->owner, 0, memory_order_release); /* partner: the CAS of who acquires next */
    kin__event_tell(&gate->sleepers, 1);
}

#endif
