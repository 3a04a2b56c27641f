/*
 * sync_test.c - locks, semaphores and events at every point where who uses them may die; see sync_world.h.
 */
#include "crash/sync_world.h"
#include "harness.h"

#include "sync/semaphore_shared.h"

#include <stdlib.h>
#include <unistd.h>

/* ---- locks ------------------------------------------------------------------------ */

static int release_rlock(struct sync_world *w)
{
    return kin_rlock_release(w->rlock);
}

static int use_lock(struct sync_world *w)
{
    int result = kin_lock_acquire(w->lock, KIN_FOREVER);
    sync_enter(result);
    sync_leave(sync_release_lock);
    return result;
}

static int use_rlock(struct sync_world *w)
{
    int result = kin_rlock_acquire(w->rlock, KIN_FOREVER);
    sync_enter(result);
    sync_leave(release_rlock);
    return result;
}

static void others_try_rlock(struct sync_world *w)
{
    if (kin_rlock_acquire(w->rlock, 0) == 0) {
        sync_enter(0);
        sync_leave(release_rlock);
    }
}

static void rlock_is_usable(struct sync_world *w, bool died)
{
    if (waiters[0].used)
        sync_end_waiter(0);
    sync_enter(kin_rlock_acquire(w->rlock, PATIENCE));
    sync_leave(release_rlock);
    if (kin_rlock_release(w->rlock) != KIN_EINVAL)
        sync_wrong("the rlock had to be released twice");
    sync_told_rightly(died);
}

static void hold_lock(struct sync_world *w)
{
    sync_enter(kin_lock_acquire(w->lock, 0));
    w->held = 1;
}

static void hold_and_be_waited_for(struct sync_world *w)
{
    hold_lock(w);
    sync_start_waiter(0, use_lock);
}

static void victim_has_rlock_twice(struct sync_world *w)
{
    sync_enter(kin_rlock_acquire(w->rlock, 0));
    if (kin_rlock_acquire(w->rlock, 0))
        abort();
}

static void wait_for_victims_lock(struct sync_world *w)
{
    (void)w;
    sync_start_waiter(0, use_lock);
    sync_start_waiter(1, use_lock);
}

static void wait_for_victims_rlock(struct sync_world *w)
{
    (void)w;
    sync_start_waiter(0, use_rlock);
}

static void run_acquire(struct sync_world *w)
{
    sync_enter(kin_lock_acquire(w->lock, KIN_FOREVER));
}

static void run_release(struct sync_world *w)
{
    (void)w;
    sync_leave(sync_release_lock);
}

static void run_rlock(struct sync_world *w)
{
    for (int i = 0; i < 2; i++) {
        int result = kin_rlock_acquire(w->rlock, KIN_FOREVER);
        if (i == 0)
            sync_enter(result);
    }
    if (kin_rlock_release(w->rlock))
        sync_wrong("an rlock that is held twice cannot be released");
    sync_leave(release_rlock);
}

static void run_rlock_release(struct sync_world *w)
{
    if (kin_rlock_release(w->rlock))
        sync_wrong("an rlock that is held twice cannot be released");
    sync_leave(release_rlock);
}

/* ---- semaphores ------------------------------------------------------------------------------------ */

static int take_signal(struct sync_world *w)
{
    return kin_semaphore_acquire(w->signal, KIN_FOREVER);
}

static int take_and_give_signal(struct sync_world *w)
{
    int result = kin_semaphore_acquire(w->signal, KIN_FOREVER);
    if (!result)
        result = kin_semaphore_release(w->signal);
    atomic_fetch_add(&w->released, result == 0);
    return result;
}

static void set_signal(uint32_t value)
{
    atomic_store(&world->signal->word, (uint64_t)value << 1);
}

static void signal_of_two(struct sync_world *w)
{
    (void)w;
    set_signal(2);
}

static void signal_of_none(struct sync_world *w)
{
    (void)w;
    set_signal(0);
}

static void signal_with_a_sleeper(struct sync_world *w)
{
    (void)w;
    set_signal(0);
    sync_start_waiter(0, take_signal);
}

static void run_signal_acquire(struct sync_world *w)
{
    atomic_store(&w->result, kin_semaphore_acquire(w->signal, KIN_FOREVER));
}

static void run_signal_release(struct sync_world *w)
{
    int result = kin_semaphore_release(w->signal);
    atomic_fetch_add(&w->released, result == 0);
    atomic_store(&w->result, result);
}

static void others_use_signal(struct sync_world *w)
{
    if (kin_semaphore_acquire(w->signal, 0) == 0 && kin_semaphore_release(w->signal))
        sync_wrong("a semaphore cannot be released: %s", kin_error_message());
}

static void give_signal(struct sync_world *w)
{
    if (kin_semaphore_release(w->signal))
        sync_wrong("a semaphore cannot be released: %s", kin_error_message());
    atomic_fetch_add(&w->released, 1);
}

/* If the victim sleeps, a waiter falls asleep behind it, so that it is the victim that is woken. One permit for the two. */
static void others_give_one_signal(struct sync_world *w)
{
    if (w->given++)
        return;
    if (!waiters[0].used)
        sync_start_waiter(0, take_and_give_signal);
    give_signal(w);
}

/* One that went on has taken one of the two. */
static void one_permit_was_taken(struct sync_world *w, bool died)
{
    int value = kin_semaphore_value(w->signal);
    if (value != 1 && !(died && value == 2))
        sync_wrong("of two permits, %d are there", value);
    if (!died && w->result != 0)
        sync_wrong("acquire told %d", w->result);
}

/* Every permit that was released is there, or has been taken by who was to have it; nobody sleeps while there is one. */
static void permits_are_taken(struct sync_world *w, bool died)
{
    others_give_one_signal(w);
    for (double deadline = sync_now() + PATIENCE; !sync_is_done(0) && kin_semaphore_value(w->signal) > 0;
         usleep(20))
        if (sync_now() > deadline) {
            sync_wrong("a waiter sleeps, and there is a permit");
            return;
        }
    bool takes = w->plan.run == run_signal_acquire;
    if (!sync_is_done(0) && !takes)
        sync_wrong("a permit was released, and the only one to wait does not have it");
    if (!sync_is_done(0)) /* the dead one had it */
        give_signal(w);
    if (sync_end_waiter(0))
        sync_wrong("the waiter has no permit");
    uint32_t released = atomic_load(&w->released),
             taken = released - (uint32_t)kin_semaphore_value(w->signal);
    bool untold = died && !takes; /* the dead one's release may have been done, and not told */
    if (taken != 1u + takes && !(died && taken == 1) && !(untold && taken + 1 == 1))
        sync_wrong("of %u that were released %u were taken", released, taken);
}

static int use_owned(struct sync_world *w)
{
    int result = kin_semaphore_acquire(w->owned, KIN_FOREVER);
    if (atomic_fetch_add(&w->inside, 1) > 0 && !w->plan.looks)
        sync_wrong("two have the one permit");
    atomic_fetch_sub(&w->inside, 1);
    return result ? result : kin_semaphore_release(w->owned);
}

static void hold_owned_and_be_waited_for(struct sync_world *w)
{
    if (kin_semaphore_acquire(w->owned, 0))
        sync_wrong("the permit cannot be had");
    w->held = 1;
    sync_start_waiter(0, use_owned);
}

static void victim_has_owned(struct sync_world *w)
{
    if (kin_semaphore_acquire(w->owned, 0))
        abort();
}

static void wait_for_victims_owned(struct sync_world *w)
{
    (void)w;
    sync_start_waiter(0, use_owned);
    sync_start_waiter(1, use_owned);
}

static void run_owned_acquire(struct sync_world *w)
{
    atomic_store(&w->result, kin_semaphore_acquire(w->owned, KIN_FOREVER));
}

static void run_owned_release(struct sync_world *w)
{
    atomic_store(&w->result, kin_semaphore_release(w->owned));
}

static void after_owned_acquire(struct sync_world *w)
{
    if (w->result || kin_semaphore_release(w->owned))
        _exit(3);
}

static void others_use_owned(struct sync_world *w)
{
    int result = w->held ? 0 : kin_semaphore_acquire(w->owned, 0);
    w->held = 0;
    if (result == 0 && kin_semaphore_release(w->owned))
        sync_wrong("a semaphore cannot be released: %s", kin_error_message());
}

static void permit_is_back(struct sync_world *w, bool died)
{
    (void)died;
    others_use_owned(w);
    for (int i = 0; i < WAITERS_MAX; i++)
        if (waiters[i].used && sync_end_waiter(i))
            sync_wrong("a waiter has no permit: %s", kin_error_message());
    if (kin_semaphore_value(w->owned) != 1)
        sync_wrong("the permit has not come back");
    if (kin_semaphore_acquire(w->owned, 0) || kin_semaphore_release(w->owned))
        sync_wrong("the permit that has come back cannot be had");
}

/* ---- events ---------------------------------------------------------------------------------------- */

static int await_event(struct sync_world *w)
{
    return kin_event_wait(w->event, KIN_FOREVER);
}

static void event_with_a_sleeper(struct sync_world *w)
{
    kin_event_clear(w->event);
    sync_start_waiter(0, await_event);
}

static void run_set_and_clear(struct sync_world *w)
{
    if (kin_event_set(w->event) == 0)
        atomic_store(&w->result, kin_event_clear(w->event));
}

static void run_event_wait(struct sync_world *w)
{
    atomic_store(&w->result, kin_event_wait(w->event, KIN_FOREVER));
}

static void others_set(struct sync_world *w)
{
    if (kin_event_set(w->event))
        sync_wrong("an event cannot be set: %s", kin_error_message());
}

static void others_look_at_event(struct sync_world *w)
{
    (void)kin_event_is_set(w->event);
}

/* Who waited when it was set goes on, also if it is cleared by now. */
static void waiter_of_event_goes_on(struct sync_world *w, bool died)
{
    if (died && w->plan.run == run_set_and_clear && !kin_event_is_set(w->event))
        others_set(w); /* before it was set, perhaps */
    if (w->plan.run == run_event_wait)
        others_set(w);
    if (sync_end_waiter(0))
        sync_wrong("who waits for an event that was set was told %s", kin_error_message());
    if (!died && w->result != 0)
        sync_wrong("the operation told %d", w->result);
}

/* ---- the tests ------------------------------------------------------------------------------------------- */

static void lock_is_acquired(void)
{
    sync_survive((struct sync_plan){.name = "lock acquire",
                                    .run = run_acquire,
                                    .after = sync_after_acquire,
                                    .others = sync_others_try_lock,
                                    .judge = sync_lock_is_usable});
}

static void lock_is_acquired_where_others_wait(void)
{
    sync_survive((struct sync_plan){.name = "lock acquire, contended",
                                    .have = hold_and_be_waited_for,
                                    .run = run_acquire,
                                    .after = sync_after_acquire,
                                    .others = sync_others_try_lock,
                                    .judge = sync_lock_is_usable});
}

static void lock_is_released(void)
{
    sync_survive((struct sync_plan){.name = "lock release",
                                    .prepare = sync_victim_has_lock,
                                    .run = run_release,
                                    .others = sync_others_try_lock,
                                    .judge = sync_lock_is_usable});
}

static void lock_is_released_where_others_wait(void)
{
    sync_survive((struct sync_plan){.name = "lock release, contended",
                                    .prepare = sync_victim_has_lock,
                                    .ready = wait_for_victims_lock,
                                    .run = run_release,
                                    .others = sync_others_try_lock,
                                    .judge = sync_lock_is_usable});
}

static void waiter_sees_the_owners_death_by_itself(void)
{
    sync_survive((struct sync_plan){.name = "lock release, nobody recovers",
                                    .prepare = sync_victim_has_lock,
                                    .ready = wait_for_victims_lock,
                                    .run = run_release,
                                    .others = sync_others_try_lock,
                                    .judge = sync_lock_is_usable,
                                    .looks = true});
}

static void rlock_is_acquired_and_released_twice(void)
{
    sync_survive((struct sync_plan){
        .name = "rlock", .run = run_rlock, .others = others_try_rlock, .judge = rlock_is_usable});
}

static void rlock_is_released_where_others_wait(void)
{
    sync_survive((struct sync_plan){.name = "rlock release, contended",
                                    .prepare = victim_has_rlock_twice,
                                    .ready = wait_for_victims_rlock,
                                    .run = run_rlock_release,
                                    .others = others_try_rlock,
                                    .judge = rlock_is_usable});
}

static void signal_is_taken(void)
{
    sync_survive((struct sync_plan){.name = "signal acquire",
                                    .have = signal_of_two,
                                    .run = run_signal_acquire,
                                    .others = others_use_signal,
                                    .judge = one_permit_was_taken});
}

static void signal_is_taken_where_others_wait(void)
{
    sync_survive((struct sync_plan){.name = "signal acquire, contended",
                                    .have = signal_of_none,
                                    .run = run_signal_acquire,
                                    .others = others_give_one_signal,
                                    .judge = permits_are_taken});
}

static void signal_is_given(void)
{
    sync_survive((struct sync_plan){.name = "signal release, with a sleeper",
                                    .have = signal_with_a_sleeper,
                                    .run = run_signal_release,
                                    .others = others_give_one_signal,
                                    .judge = permits_are_taken});
}

static void owned_permit_is_taken(void)
{
    sync_survive((struct sync_plan){.name = "owned acquire",
                                    .run = run_owned_acquire,
                                    .after = after_owned_acquire,
                                    .others = others_use_owned,
                                    .judge = permit_is_back});
}

static void owned_permit_is_taken_where_others_wait(void)
{
    sync_survive((struct sync_plan){.name = "owned acquire, contended",
                                    .have = hold_owned_and_be_waited_for,
                                    .run = run_owned_acquire,
                                    .after = after_owned_acquire,
                                    .others = others_use_owned,
                                    .judge = permit_is_back});
}

static void owned_permit_is_given_back(void)
{
    sync_survive((struct sync_plan){.name = "owned release, with sleepers",
                                    .prepare = victim_has_owned,
                                    .ready = wait_for_victims_owned,
                                    .run = run_owned_release,
                                    .others = others_use_owned,
                                    .judge = permit_is_back});
}

static void event_is_set_and_cleared(void)
{
    sync_survive((struct sync_plan){.name = "event set, clear, with a sleeper",
                                    .have = event_with_a_sleeper,
                                    .run = run_set_and_clear,
                                    .others = others_look_at_event,
                                    .judge = waiter_of_event_goes_on});
}

static void event_is_waited_for(void)
{
    sync_survive((struct sync_plan){.name = "event wait",
                                    .have = event_with_a_sleeper,
                                    .run = run_event_wait,
                                    .others = others_set,
                                    .judge = waiter_of_event_goes_on});
}

static const struct test tests[] = {
    {"lock_is_acquired", lock_is_acquired, 120, 0},
    {"lock_is_acquired_where_others_wait", lock_is_acquired_where_others_wait, 120, 0},
    {"lock_is_released", lock_is_released, 120, 0},
    {"lock_is_released_where_others_wait", lock_is_released_where_others_wait, 120, 0},
    {"waiter_sees_the_owners_death_by_itself", waiter_sees_the_owners_death_by_itself, 120, 0},
    {"rlock_is_acquired_and_released_twice", rlock_is_acquired_and_released_twice, 120, 0},
    {"rlock_is_released_where_others_wait", rlock_is_released_where_others_wait, 120, 0},
    {"signal_is_taken", signal_is_taken, 120, 0},
    {"signal_is_taken_where_others_wait", signal_is_taken_where_others_wait, 120, 0},
    {"signal_is_given", signal_is_given, 120, 0},
    {"owned_permit_is_taken", owned_permit_is_taken, 120, 0},
    {"owned_permit_is_taken_where_others_wait", owned_permit_is_taken_where_others_wait, 120, 0},
    {"owned_permit_is_given_back", owned_permit_is_given_back, 120, 0},
    {"event_is_set_and_cleared", event_is_set_and_cleared, 120, 0},
    {"event_is_waited_for", event_is_waited_for, 120, 0},
};
TEST_MAIN("crash_sync", tests)
