/*
 * condition_test.c - conditions and barriers at every point where who uses them may die; see sync_world.h.
 */
#include "crash/sync_world.h"
#include "harness.h"

#include <unistd.h>

#define CONDITION_SIZE 512

/* ---- conditions -------------------------------------------------------------------------------------- */

static int wait_for_notification(struct sync_world *w)
{
    sync_enter(kin_condition_acquire(w->condition, KIN_FOREVER));
    atomic_store(&w->inside, 0);
    int result = kin_condition_wait(w->condition, KIN_FOREVER);
    sync_enter(result);
    sync_leave(sync_release_lock);
    return result;
}

static bool waits_at_condition(const struct sync_waiter *waiter)
{
    return waiter->used && sync_note_of(waiter->slot) == SYNC_WAITING;
}

static void two_wait(struct sync_world *w)
{
    (void)w;
    sync_start_waiter(0, wait_for_notification);
    sync_start_waiter(1, wait_for_notification);
}

/* Behind the victim, which has the lock. */
static void one_is_to_wait_too(struct sync_world *w)
{
    (void)w;
    sync_start_waiter(0, wait_for_notification);
}

static void run_wait(struct sync_world *w)
{
    atomic_store(&w->inside, 0);
    int result = kin_condition_wait(w->condition, KIN_FOREVER);
    sync_enter(result);
    atomic_store(&w->result, result);
}

static void run_timed_wait(struct sync_world *w)
{
    atomic_store(&w->inside, 0);
    int result = kin_condition_wait(w->condition, 0);
    sync_enter(result == KIN_ETIMEDOUT ? 0 : result);
    atomic_store(&w->result, result);
}

static void run_notify(struct sync_world *w)
{
    if (kin_condition_notify(w->condition, 1))
        sync_wrong("notify failed: %s", kin_error_message());
    sync_leave(sync_release_lock);
}

static void run_notify_all(struct sync_world *w)
{
    if (kin_condition_notify_all(w->condition))
        sync_wrong("notify failed: %s", kin_error_message());
    sync_leave(sync_release_lock);
}

/* One notification, once the waiter waits too, behind the victim: while that has the lock, when it goes on or is dead. */
static void others_notify_one(struct sync_world *w)
{
    for (double deadline = sync_now() + PATIENCE; !w->given && sync_now() < deadline; usleep(200)) {
        int result = kin_condition_acquire(w->condition, 0);
        if (result == KIN_ETIMEDOUT)
            continue;
        sync_enter(result);
        if (waits_at_condition(&waiters[0])) {
            w->given = 1;
            if (kin_condition_notify(w->condition, 1))
                sync_wrong("notify failed: %s", kin_error_message());
        }
        sync_leave(sync_release_lock);
    }
}

/* Both have waited: one that does no longer was notified, whether it is on its way still or has ended. */
static uint32_t notified(void)
{
    uint32_t count = 0;
    for (int i = 0; i < WAITERS_MAX; i++)
        count += waiters[i].used && !waits_at_condition(&waiters[i]);
    return count;
}

static void notify_the_rest(struct sync_world *w)
{
    /* A waiter that had not begun to wait when the victim died does so now. */
    for (double deadline = sync_now() + PATIENCE;; usleep(20)) {
        bool all = true;
        for (int i = 0; i < WAITERS_MAX; i++)
            all = all && (!waiters[i].used || sync_is_done(i));
        if (all)
            break;
        if (sync_now() > deadline) {
            sync_wrong("a waiter hangs at a condition, or at its lock");
            return;
        }
        sync_enter(kin_condition_acquire(w->condition, PATIENCE));
        if (kin_condition_notify_all(w->condition))
            sync_wrong("notify failed: %s", kin_error_message());
        sync_leave(sync_release_lock);
    }
}

static void condition_is_empty(struct sync_world *w, bool died)
{
    for (int i = 0; i < WAITERS_MAX; i++)
        if (waiters[i].used)
            sync_end_waiter(i);
    sync_lock_is_usable(w, died);
    const uint64_t *words = (const uint64_t *)(const void *)w->condition;
    for (size_t i = 6; i < CONDITION_SIZE / 8 && i < 6 + KIN__THREADS_SPARE / 64; i++)
        if (words[i])
            sync_wrong("somebody is left at the condition: word %zu is %#llx", i,
                       (unsigned long long)words[i]);
}

/* The notification is the waiter's if the victim died before it had the lock again, or with the notification in its note. */
static void notification_is_not_lost(struct sync_world *w, bool died)
{
    if (died && w->given && (w->was_notified || !w->owned_lock)) {
        for (double deadline = sync_now() + PATIENCE; !sync_is_done(0); usleep(20))
            if (sync_now() > deadline) {
                sync_wrong("a notification is lost with who had it");
                return;
            }
    } else if (died && !w->given && sync_is_done(0)) {
        sync_wrong("a waiter was notified by nobody");
    } else if (!died && w->given && w->plan.run == run_wait && w->result != 0) {
        sync_wrong("who waited longest was not notified");
    }
    notify_the_rest(w);
    condition_is_empty(w, died);
}

static void one_or_none_is_notified(struct sync_world *w, bool died)
{
    uint32_t count = notified(), most = w->plan.run == run_notify ? 1 : 2;
    if (count > most || (!died && count != most))
        sync_wrong("%u were notified, of %u", count, most);
    notify_the_rest(w);
    condition_is_empty(w, died);
}

/* ---- barriers ------------------------------------------------------------------------------------------ */

static int wait_at_barrier(struct sync_world *w)
{
    return kin_barrier_wait(w->barrier, KIN_FOREVER, NULL);
}

static void whole_barrier(struct sync_world *w)
{
    if (kin_barrier_reset(w->barrier) || kin_barrier_waiting(w->barrier) != 0)
        sync_wrong("the barrier cannot be reset");
}

static void two_wait_at_barrier(struct sync_world *w)
{
    whole_barrier(w);
    sync_start_waiter(0, wait_at_barrier);
    sync_start_waiter(1, wait_at_barrier);
}

static void one_waits_at_barrier(struct sync_world *w)
{
    whole_barrier(w);
    sync_start_waiter(0, wait_at_barrier);
}

static void run_barrier(struct sync_world *w)
{
    atomic_store(&w->result, kin_barrier_wait(w->barrier, KIN_FOREVER, NULL));
}

static void run_abort(struct sync_world *w)
{
    atomic_store(&w->result, kin_barrier_abort(w->barrier));
}

static void run_reset(struct sync_world *w)
{
    atomic_store(&w->result, kin_barrier_reset(w->barrier));
}

/* The third party. */
static void others_come(struct sync_world *w)
{
    if (w->given++ == 0)
        sync_start_thread(1, wait_at_barrier);
}

static void others_look_at_barrier(struct sync_world *w)
{
    (void)kin_barrier_is_broken(w->barrier);
    (void)kin_barrier_waiting(w->barrier);
}

/* All or none have passed; nobody waits for the dead. */
static void barrier_is_passed_or_broken(struct sync_world *w, bool died)
{
    if (w->plan.looks) {
        /* Had it come, others look after it. If not, they don't know it: its recovery breaks the barrier. */
        if (died && kin_barrier_waiting(w->barrier) <= 1 + (int)w->given && !sync_recovered(w->victim))
            sync_wrong("the victim cannot be recovered");
        others_come(w);
    }
    if (died && w->waited_at != (uintptr_t)w->barrier &&
        kin_barrier_waiting(w->barrier) <= 2) /* it had not come */
        kin_barrier_abort(w->barrier);
    int first = sync_end_waiter(0), second = sync_end_waiter(1);
    if (first != second)
        sync_wrong("of two parties one was told %d, the other %d", first, second);
    if (first != 0 && first != KIN_EBROKEN)
        sync_wrong("a party was told %d", first);
    if (!died && (first || w->result))
        sync_wrong("nobody died, and the parties were told %d and %d", first, w->result);
    if (first && !kin_barrier_is_broken(w->barrier))
        sync_wrong("the barrier is broken for some, and whole for others");
    whole_barrier(w);
}

static void barrier_is_broken_once(struct sync_world *w, bool died)
{
    bool done = died && !kin_barrier_is_broken(w->barrier) && kin_barrier_waiting(w->barrier) == 1;
    if (done && kin_barrier_abort(w->barrier))
        sync_wrong("abort failed");
    if (sync_end_waiter(0) != KIN_EBROKEN)
        sync_wrong("a party of a broken barrier was told %d", waiters[0].result);
    if (w->plan.run == run_abort && !kin_barrier_is_broken(w->barrier))
        sync_wrong("the barrier is whole after an abort");
    if (!died && w->plan.run == run_reset && kin_barrier_is_broken(w->barrier))
        sync_wrong("the barrier is broken after a reset");
    whole_barrier(w);
}

/* ---- the tests ---------------------------------------------------------------------------------- */

static void condition_is_waited_for(void)
{
    sync_survive((struct sync_plan){.name = "condition wait",
                                    .prepare = sync_victim_has_lock,
                                    .ready = one_is_to_wait_too,
                                    .run = run_wait,
                                    .after = sync_after_acquire,
                                    .others = others_notify_one,
                                    .judge = notification_is_not_lost});
}

static void condition_is_waited_for_in_vain(void)
{
    sync_survive((struct sync_plan){.name = "condition wait, times out",
                                    .prepare = sync_victim_has_lock,
                                    .ready = one_is_to_wait_too,
                                    .run = run_timed_wait,
                                    .after = sync_after_acquire,
                                    .others = others_notify_one,
                                    .judge = notification_is_not_lost});
}

static void condition_is_notified(void)
{
    sync_survive((struct sync_plan){.name = "condition notify, release",
                                    .have = two_wait,
                                    .prepare = sync_victim_has_lock,
                                    .run = run_notify,
                                    .others = sync_others_try_lock,
                                    .judge = one_or_none_is_notified});
}

static void all_of_a_condition_are_notified(void)
{
    sync_survive((struct sync_plan){.name = "condition notify_all, release",
                                    .have = two_wait,
                                    .prepare = sync_victim_has_lock,
                                    .run = run_notify_all,
                                    .others = sync_others_try_lock,
                                    .judge = one_or_none_is_notified});
}

static void last_party_comes_to_a_barrier(void)
{
    sync_survive((struct sync_plan){.name = "barrier wait, last to come",
                                    .have = two_wait_at_barrier,
                                    .run = run_barrier,
                                    .others = others_look_at_barrier,
                                    .judge = barrier_is_passed_or_broken});
}

static void party_waits_at_a_barrier(void)
{
    sync_survive((struct sync_plan){.name = "barrier wait, second to come",
                                    .have = one_waits_at_barrier,
                                    .run = run_barrier,
                                    .others = others_come,
                                    .judge = barrier_is_passed_or_broken,
                                    .looks = true});
}

static void barrier_is_aborted(void)
{
    sync_survive((struct sync_plan){.name = "barrier abort",
                                    .have = one_waits_at_barrier,
                                    .run = run_abort,
                                    .others = others_look_at_barrier,
                                    .judge = barrier_is_broken_once});
}

static void barrier_is_reset(void)
{
    sync_survive((struct sync_plan){.name = "barrier reset",
                                    .have = one_waits_at_barrier,
                                    .run = run_reset,
                                    .others = others_look_at_barrier,
                                    .judge = barrier_is_broken_once});
}

static const struct test tests[] = {
    {"condition_is_waited_for", condition_is_waited_for, 120, 0},
    {"condition_is_waited_for_in_vain", condition_is_waited_for_in_vain, 120, 0},
    {"condition_is_notified", condition_is_notified, 120, 0},
    {"all_of_a_condition_are_notified", all_of_a_condition_are_notified, 120, 0},
    {"last_party_comes_to_a_barrier", last_party_comes_to_a_barrier, 120, 0},
    {"party_waits_at_a_barrier", party_waits_at_a_barrier, 120, 0},
    {"barrier_is_aborted", barrier_is_aborted, 120, 0},
    {"barrier_is_reset", barrier_is_reset, 120, 0},
};
TEST_MAIN("crash_condition", tests)
