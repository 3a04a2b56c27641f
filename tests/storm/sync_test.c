/*
 * sync_test.c - members use locks, semaphores, conditions, events and barriers while they are killed at random.
 *
 * Each does one thing after the other at random, in such a way that nobody would ever wait long if nobody died: so
 * whoever waits long has been forgotten. What a death can leave behind is bounded by the number of deaths.
 */
#include "harness.h"
#include "storm/killer.h"

#include "family/heap.h"
#include "family/thread.h"
#include "sync/wait.h"

#include "kin.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define MEMBERS 4
#define PERMITS 2
#define LONG_WAIT 20.0 /* seconds; who is woken by looking by itself has waited for 0.1 */

struct storm {
    kin_lock *lock;
    kin_rlock *rlock;
    kin_semaphore *signal, *owned;
    kin_condition *condition;
    kin_event *event;
    kin_barrier *barrier;
    /* guarded by the lock */
    uint64_t first, second, done, told;
    /* by the rlock */
    uint64_t depths[2];
    /* by the condition's */
    uint64_t made, taken, items;
    _Atomic uint64_t inside[PERMITS]; /* who has a permit of the owned semaphore, by name */
    _Atomic uint64_t rounds, passed, broken_barriers;
    _Atomic uint32_t broken;
    char what[200];
};

static void report(struct storm *storm, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void report(struct storm *storm, const char *format, ...)
{
    if (atomic_fetch_add(&storm->broken, 1))
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(storm->what, sizeof(storm->what), format, args);
    va_end(args);
}

static bool succeeded(struct storm *storm, const char *what, int error)
{
    if (error)
        report(storm, "%s: %s", what, kin_error_message());
    return error == 0;
}

/* Sometimes one has it for long: others fall asleep, and deaths meet an owner. */
static void linger(void)
{
    static uint32_t seed;
    seed += (uint32_t)getpid() * 2 + 1;
    if (random_next(&seed) % 64 == 0)
        usleep(random_next(&seed) % 200);
}

static void use_lock(struct storm *storm)
{
    int error = kin_lock_acquire(storm->lock, LONG_WAIT);
    if (error == KIN_EOWNERDIED) {
        storm->told++;
        storm->second = storm->first;
    } else if (!succeeded(storm, "lock", error)) {
        return;
    }
    if (storm->first != storm->second)
        report(storm, "the lock's owner died, or another had it too, and nobody was told");
    storm->first++;
    linger();
    storm->second++;
    storm->done++;
    succeeded(storm, "release of the lock", kin_lock_release(storm->lock));
}

static void use_rlock(struct storm *storm)
{
    int error = kin_rlock_acquire(storm->rlock, LONG_WAIT);
    if (error == KIN_EOWNERDIED)
        storm->depths[0] = storm->depths[1] = 0;
    else if (!succeeded(storm, "rlock", error))
        return;
    if (storm->depths[0]++ || !succeeded(storm, "rlock again", kin_rlock_acquire(storm->rlock, 0)) ||
        storm->depths[1]++)
        report(storm, "two have the rlock");
    linger();
    storm->depths[1]--;
    succeeded(storm, "release of the rlock", kin_rlock_release(storm->rlock));
    storm->depths[0]--;
    succeeded(storm, "last release of the rlock", kin_rlock_release(storm->rlock));
}

/* It gives before it takes: there is always one for somebody. */
static void use_signal(struct storm *storm)
{
    succeeded(storm, "signal", kin_semaphore_release(storm->signal));
    succeeded(storm, "await a signal", kin_semaphore_acquire(storm->signal, LONG_WAIT));
}

static void use_owned(struct storm *storm)
{
    if (!succeeded(storm, "owned permit", kin_semaphore_acquire(storm->owned, LONG_WAIT)))
        return;
    uint64_t name = kin__thread_self()->name, had = 0;
    int place = -1;
    for (int i = 0; i < PERMITS && place < 0; i++) {
        had = atomic_load(&storm->inside[i]);
        if ((!had || kin__name_gone(had)) && atomic_compare_exchange_strong(&storm->inside[i], &had, name))
            place = i;
    }
    linger();
    if (place >= 0)
        atomic_store(&storm->inside[place], 0);
    else if (atomic_load(&storm->inside[0]) && atomic_load(&storm->inside[1]))
        report(storm, "more have a permit than there are");
    succeeded(storm, "release of a permit", kin_semaphore_release(storm->owned));
}

static bool is_there(void *arg)
{
    return ((struct storm *)arg)->items > 0;
}

/* Whoever has taken the condition's lock from a dead one. */
static bool repair(struct storm *storm, const char *what, int error)
{
    if (error != KIN_EOWNERDIED)
        return succeeded(storm, what, error);
    storm->items = storm->made - storm->taken;
    return true;
}

/* Make one, then take one: if it is there it was notified of, so who waits long was forgotten. */
static void use_condition(struct storm *storm)
{
    if (!repair(storm, "condition", kin_condition_acquire(storm->condition, LONG_WAIT)))
        return;
    storm->made++;
    storm->items++;
    linger();
    succeeded(storm, "notify", kin_condition_notify(storm->condition, 1));
    succeeded(storm, "release of the condition", kin_condition_release(storm->condition));
    if (!repair(storm, "condition", kin_condition_acquire(storm->condition, LONG_WAIT)))
        return;
    int error;
    while ((error = kin_condition_wait_for(storm->condition, is_there, storm, LONG_WAIT)) == KIN_EOWNERDIED) {
        repair(storm, "wait", error);
        /* A notifier may have died between its item and its notification, as it says: it is for us to give. */
        kin_condition_notify_all(storm->condition);
    }
    if (succeeded(storm, "wait", error)) {
        storm->taken++;
        storm->items--;
    }
    succeeded(storm, "release of the condition", kin_condition_release(storm->condition));
}

static void use_event(struct storm *storm)
{
    succeeded(storm, "event", kin_event_wait(storm->event, LONG_WAIT));
}

static void use_barrier(struct storm *storm)
{
    int error = kin_barrier_wait(storm->barrier, LONG_WAIT, NULL);
    if (error == KIN_EBROKEN) {
        atomic_fetch_add(&storm->broken_barriers, 1);
        succeeded(storm, "reset", kin_barrier_reset(storm->barrier));
    } else if (succeeded(storm, "barrier", error)) {
        atomic_fetch_add(&storm->passed, 1);
    }
}

static int member(void *arg)
{
    static void (*const uses[])(struct storm *) = {use_lock, use_rlock, use_signal, use_owned, use_condition};
    struct storm *storm = arg;
    uint32_t seed = (uint32_t)getpid() * 2654435761u | 1;
    while (!atomic_load(&storm->broken)) {
        uint32_t dice = random_next(&seed);
        if (dice % 64 == 0)
            use_event(storm);
        else
            uses[dice % (sizeof(uses) / sizeof(uses[0]))](storm);
        atomic_fetch_add_explicit(&storm->rounds, 1, memory_order_relaxed);
    }
    return 1;
}

static int party(void *arg)
{
    struct storm *storm = arg;
    while (!atomic_load(&storm->broken))
        use_barrier(storm);
    return 1;
}

static void keep_alive(kin_process **members, kin_process_fn fn, struct storm *storm)
{
    for (int i = 0; i < MEMBERS; i++) {
        if (members[i] && kin_process_is_alive(members[i]))
            continue;
        kin_process_free(members[i]);
        members[i] = kin_process_start_shared(fn, storm, NULL);
        ck_assert_msg(members[i] != NULL, "%s", kin_error_message());
    }
}

static struct storm *new_storm(void)
{
    test_init();
    struct storm *storm = kin_calloc(1, sizeof(*storm));
    ck_assert_ptr_nonnull(storm);
    storm->lock = kin_lock_new(NULL);
    storm->rlock = kin_rlock_new(NULL);
    storm->signal = kin_semaphore_new(0, NULL);
    storm->owned = kin_semaphore_new(PERMITS, KIN_SEMAPHORE_OPTIONS(.owned = true));
    storm->condition = kin_condition_new(NULL, NULL);
    storm->event = kin_event_new(NULL);
    storm->barrier = kin_barrier_new(2, NULL);
    ck_assert_msg(storm->lock && storm->rlock && storm->signal && storm->owned && storm->condition &&
                      storm->event && storm->barrier,
                  "%s", kin_error_message());
    return storm;
}

static void free_storm(struct storm *storm)
{
    ck_assert_int_eq(kin_lock_free(storm->lock), 0);
    ck_assert_int_eq(kin_rlock_free(storm->rlock), 0);
    ck_assert_int_eq(kin_semaphore_free(storm->signal), 0);
    ck_assert_int_eq(kin_semaphore_free(storm->owned), 0);
    ck_assert_int_eq(kin_condition_free(storm->condition), 0);
    ck_assert_int_eq(kin_event_free(storm->event), 0);
    ck_assert_int_eq(kin_barrier_free(storm->barrier), 0);
    kin_free(storm);
    ck_assert_msg(kin__heap_check() == 0, "%s", kin_error_message());
}

/* Until so many are dead; then all are. How many that was. */
static uint32_t kill_members(struct killer *killer, kin_process_fn fn, struct storm *storm, uint32_t kills)
{
    kin_process *members[MEMBERS] = {NULL};
    atomic_store(&killer->parent, getpid());
    while (atomic_load(&killer->kills) < kills && !atomic_load(&storm->broken)) {
        keep_alive(members, fn, storm);
        succeeded(storm, "set", kin_event_set(storm->event));
        succeeded(storm, "clear", kin_event_clear(storm->event));
        usleep(200);
    }
    uint32_t killed = killer_stop(killer) + MEMBERS;
    for (int i = 0; i < MEMBERS; i++)
        kin_process_free(members[i]);
    ck_assert_msg(!atomic_load(&storm->broken), "%s", storm->what);
    return killed;
}

static void nobody_is_forgotten_whoever_is_killed(void)
{
    struct killer *killer = killer_start(1000, 4712);
    struct storm *storm = new_storm();
    uint32_t killed = kill_members(killer, member, storm, test_long() ? 10000 : 500);
    use_lock(storm);
    use_rlock(storm);
    use_owned(storm);
    use_condition(storm);
    ck_assert_msg(!atomic_load(&storm->broken), "%s", storm->what);
    printf("# %u deaths in %llu rounds: %llu told of an owner's death, %llu items and %d signals left over\n",
           killed, (unsigned long long)storm->rounds, (unsigned long long)storm->told,
           (unsigned long long)storm->items, kin_semaphore_value(storm->signal));
    ck_assert_uint_eq(storm->first, storm->second);
    ck_assert_uint_le(storm->first - storm->done, killed);
    ck_assert_uint_le(storm->told, killed);
    ck_assert_uint_eq(storm->items, storm->made - storm->taken);
    ck_assert_uint_le(storm->items, killed);
    ck_assert_int_le(kin_semaphore_value(storm->signal), (int)killed);
    ck_assert_int_eq(kin_semaphore_value(storm->owned), PERMITS);
    free_storm(storm);
}

static void parties_are_told_whoever_is_killed(void)
{
    struct killer *killer = killer_start(2000, 4713);
    struct storm *storm = new_storm();
    uint32_t killed = kill_members(killer, party, storm, test_long() ? 2000 : 100);
    printf("# %u deaths: %llu times passed, %llu times told that it is broken\n", killed,
           (unsigned long long)storm->passed, (unsigned long long)storm->broken_barriers);
    ck_assert_uint_gt(storm->passed, 0);
    ck_assert_int_eq(kin_barrier_reset(storm->barrier), 0);
    free_storm(storm);
}

static const struct test tests[] = {
    {"nobody_is_forgotten_whoever_is_killed", nobody_is_forgotten_whoever_is_killed, 400, 0},
    {"parties_are_told_whoever_is_killed", parties_are_told_whoever_is_killed, 200, 0},
};
TEST_MAIN("storm_sync", tests)
