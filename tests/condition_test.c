/* condition_test.c - kin/condition.h. What CPython's _TestCondition tests is marked so. */
#include "sync_common.h"

#include <signal.h>
#include <time.h>

static struct world *world_with(bool plain_lock)
{
    struct world *world = new_world();
    if (plain_lock)
        world->lock = kin_lock_new(NULL);
    world->condition = kin_condition_new(world->lock, NULL);
    ck_assert_msg(world->condition != NULL, "%s", kin_error_message());
    return world;
}

static void lock_it(struct world *world)
{
    ck_assert_int_eq(kin_condition_acquire(world->condition, TOP), 0);
}

static void unlock_it(struct world *world)
{
    ck_assert_int_eq(kin_condition_release(world->condition), 0);
}

/* Once it says that it sleeps and the lock is free, it waits. */
static int wait_once(void *arg)
{
    struct world *world = arg;
    child_assert(kin_condition_acquire(world->condition, KIN_FOREVER) == 0);
    uint32_t number = atomic_fetch_add(&world->sleeping, 1);
    child_assert(kin_condition_wait(world->condition, KIN_FOREVER) == 0);
    world->order[atomic_fetch_add(&world->awake, 1)] = number;
    child_assert(kin_condition_release(world->condition) == 0);
    return 0;
}

static void *wait_in_thread(void *arg)
{
    wait_once(arg);
    return NULL;
}

static void notify(struct world *world, size_t count)
{
    lock_it(world);
    ck_assert_int_eq(kin_condition_notify(world->condition, count), 0);
    unlock_it(world);
}

/* That many, and no more: nobody is left who was notified and is on its way, as far as a moment tells. */
static void exactly(struct world *world, uint32_t count)
{
    await(&world->awake, count);
    usleep(2000);
    ck_assert_uint_eq(atomic_load(&world->awake), count);
}

/* test_notify */
static void notify_wakes_one(void)
{
    for (int plain = 0; plain < 2; plain++) {
        struct world *world = world_with(plain);
        kin_process *process = start(wait_once, world);
        pthread_t thread;
        ck_assert_int_eq(pthread_create(&thread, NULL, wait_in_thread, world), 0);
        await(&world->sleeping, 2);
        exactly(world, 0);
        notify(world, 1);
        exactly(world, 1);
        notify(world, 1);
        exactly(world, 2);
        notify(world, 1);
        join(process);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        free_world(world);
    }
}

static int time_out(void *arg)
{
    struct world *world = arg;
    child_assert(kin_condition_acquire(world->condition, KIN_FOREVER) == 0);
    child_assert(kin_condition_wait(world->condition, 0.05) == KIN_ETIMEDOUT);
    child_assert(kin_condition_wait(world->condition, 0) == KIN_ETIMEDOUT);
    child_assert(kin_condition_release(world->condition) == 0);
    return 0;
}

#define MANY 6

/* test_notify_all: those whose time was over do not count; test_timeout */
static void notify_all_wakes_all(void)
{
    struct world *world = world_with(false);
    kin_process *processes[MANY];
    for (int i = 0; i < MANY; i++)
        processes[i] = start(time_out, world);
    for (int i = 0; i < MANY; i++)
        join(processes[i]);
    for (int i = 0; i < MANY; i++)
        processes[i] = start(wait_once, world);
    await(&world->sleeping, MANY);
    exactly(world, 0);
    lock_it(world);
    ck_assert_int_eq(kin_condition_notify_all(world->condition), 0);
    unlock_it(world);
    for (int i = 0; i < MANY; i++)
        join(processes[i]);
    free_world(world);
}

/* test_notify_n */
static void notify_wakes_so_many(void)
{
    struct world *world = world_with(true);
    kin_process *processes[MANY];
    for (int i = 0; i < MANY; i++)
        processes[i] = start(wait_once, world);
    await(&world->sleeping, MANY);
    notify(world, 2);
    exactly(world, 2);
    notify(world, 3);
    exactly(world, 5);
    notify(world, 3);
    exactly(world, 6);
    for (int i = 0; i < MANY; i++)
        join(processes[i]);
    free_world(world);
}

static void who_waited_longest_is_first(void)
{
    struct world *world = world_with(true);
    kin_process *processes[MANY];
    for (uint32_t i = 0; i < MANY; i++) {
        processes[i] = start(wait_once, world);
        await(&world->sleeping, i + 1);
    }
    for (uint32_t i = 0; i < MANY; i++) {
        notify(world, 1);
        await(&world->awake, i + 1);
        ck_assert_uint_eq(world->order[i], i);
    }
    for (int i = 0; i < MANY; i++)
        join(processes[i]);
    free_world(world);
}

/* ---- wait_for -------------------------------------------------------------------------------- */

static bool is_zero(void *arg)
{
    return ((struct world *)arg)->value == 0;
}

static bool is_four(void *arg)
{
    return ((struct world *)arg)->value == 4;
}

static int wait_for_values(void *arg)
{
    struct world *world = arg;
    child_assert(kin_condition_acquire(world->condition, KIN_FOREVER) == 0);
    world->value = 0;
    child_assert(kin_condition_notify(world->condition, 1) == 0);
    child_assert(kin_condition_wait_for(world->condition, is_four, world, KIN_FOREVER) == 0);
    child_assert(world->value == 4);
    child_assert(kin_condition_release(world->condition) == 0);
    return 0;
}

/* test_waitfor */
static void wait_for_waits_until_it_is_true(void)
{
    struct world *world = world_with(false);
    world->value = -1;
    kin_process *process = start(wait_for_values, world);
    lock_it(world);
    ck_assert_int_eq(kin_condition_wait_for(world->condition, is_zero, world, TOP), 0);
    unlock_it(world);
    for (int i = 0; i < 4; i++) {
        lock_it(world);
        world->value++;
        ck_assert_int_eq(kin_condition_notify(world->condition, 1), 0);
        unlock_it(world);
    }
    join(process);
    free_world(world);
}

static int wait_for_four_in_vain(void *arg)
{
    struct world *world = arg;
    struct timespec before, after;
    child_assert(kin_condition_acquire(world->condition, KIN_FOREVER) == 0);
    atomic_store(&world->sleeping, 1);
    clock_gettime(CLOCK_MONOTONIC, &before);
    child_assert(kin_condition_wait_for(world->condition, is_four, world, 0.1) == KIN_ETIMEDOUT);
    clock_gettime(CLOCK_MONOTONIC, &after);
    child_assert((double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) * 1e-9 >=
                 0.1);
    child_assert(kin_condition_release(world->condition) == 0);
    return 0;
}

/* test_waitfor_timeout */
static void wait_for_times_out(void)
{
    struct world *world = world_with(false);
    kin_process *process = start(wait_for_four_in_vain, world);
    await(&world->sleeping, 1);
    for (int i = 0; i < 3; i++) {
        lock_it(world);
        atomic_fetch_add(&world->value, 1);
        ck_assert_int_eq(kin_condition_notify(world->condition, 1), 0);
        unlock_it(world);
    }
    join(process);
    world->value = 1;
    lock_it(world);
    ck_assert_int_eq(kin_condition_wait_for(world->condition, is_zero, world, 0.05), KIN_ETIMEDOUT);
    world->value = 0;
    ck_assert_int_eq(kin_condition_wait_for(world->condition, is_zero, world, 0), 0);
    unlock_it(world);
    free_world(world);
}

static int notify_it(void *arg)
{
    struct world *world = arg;
    child_assert(kin_condition_acquire(world->condition, KIN_FOREVER) == 0);
    child_assert(kin_condition_notify(world->condition, 1) == 0);
    child_assert(kin_condition_release(world->condition) == 0);
    return 0;
}

static int notify_and_interrupt(void *arg)
{
    struct world *world = arg;
    notify_it(arg);
    await(&world->step, 1);
    child_assert(kin_condition_acquire(world->condition, KIN_FOREVER) == 0); /* it waits again */
    child_assert(kin_condition_release(world->condition) == 0);
    child_assert(kill(world->rounds, SIGINT) == 0);
    await(&world->step, 2);
    return notify_it(arg);
}

static struct world *interrupted;

static void note_interrupt(int signal)
{
    (void)signal;
    atomic_store(&interrupted->step, 2);
}

/* test_wait_result. Its Ctrl-C is an exception there; here a handler runs, which does not end the wait. */
static void wait_tells_whether_it_was_notified(void)
{
    struct world *world = world_with(false);
    interrupted = world;
    world->rounds = getpid();
    signal(SIGINT, note_interrupt);
    lock_it(world);
    ck_assert_int_eq(kin_condition_acquire(world->condition, 0),
                     0); /* an rlock: given up entirely all the same */
    ck_assert_int_eq(kin_condition_wait(world->condition, 0), KIN_ETIMEDOUT);
    ck_assert_int_eq(kin_condition_wait(world->condition, 0.05), KIN_ETIMEDOUT);
    kin_process *process = start(notify_and_interrupt, world);
    ck_assert_int_eq(kin_condition_wait(world->condition, TOP), 0);
    atomic_store(&world->step, 1);
    ck_assert_int_eq(kin_condition_wait(world->condition, TOP), 0);
    ck_assert_uint_eq(atomic_load(&world->step), 2);
    unlock_it(world);
    unlock_it(world);
    ck_assert_int_eq(kin_condition_release(world->condition), KIN_EINVAL);
    join(process);
    free_world(world);
}

/* ---- deaths ---------------------------------------------------------------------------------- */

static void dead_waiters_count_as_nobody(void)
{
    struct world *world = world_with(true);
    kin_process *processes[MANY];
    for (uint32_t i = 0; i < MANY; i++) {
        processes[i] = start(wait_once, world);
        await(&world->sleeping, i + 1);
    }
    lock_it(world);
    unlock_it(world);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(kin_process_kill(processes[i]), 0);
        ck_assert_int_eq(kin_process_join(processes[i], TOP), 0);
        kin_process_free(processes[i]);
    }
    notify(world, 2);
    exactly(world, 2);
    ck_assert_uint_eq(world->order[0] + world->order[1], 3 + 4);
    notify(world, 1);
    for (int i = 3; i < MANY; i++)
        join(processes[i]);
    free_world(world);
}

/* Notified while the lock is held, so it cannot return; killed then. */
static void notification_of_the_dead_passes_on(void)
{
    struct world *world = world_with(true);
    kin_process *dies = start(wait_once, world);
    await(&world->sleeping, 1);
    kin_process *lives = start(wait_once, world);
    await(&world->sleeping, 2);
    lock_it(world);
    ck_assert_int_eq(kin_condition_notify(world->condition, 1), 0);
    ck_assert_int_eq(kin_process_kill(dies), 0);
    unlock_it(world);
    kin_process_free(dies);
    await(&world->awake, 1); /* it may have been the first one, which was quick */
    if (world->order[0] == 0)
        notify(world, 1);
    join(lives);
    free_world(world);
}

static int notify_and_hang(void *arg)
{
    struct world *world = arg;
    child_assert(kin_condition_acquire(world->condition, KIN_FOREVER) == 0);
    child_assert(kin_condition_notify(world->condition, 1) == 0);
    atomic_store(&world->step, 1);
    for (;;)
        pause();
}

static int kill_when_told(void *arg)
{
    struct world *world = arg;
    await(&world->step, 1);
    kill((pid_t)world->value, SIGKILL);
    return 0;
}

/* The notifier holds the lock when it dies. */
static void waiter_is_told_of_the_locks_dead_owner(void)
{
    struct world *world = world_with(false);
    lock_it(world);
    kin_process *dies = start(notify_and_hang, world);
    world->value = kin_process_pid(dies);
    kin_process *kills = start(kill_when_told, world);
    ck_assert_int_eq(kin_condition_wait(world->condition, TOP), KIN_EOWNERDIED);
    unlock_it(world);
    join(kills);
    kin_process_free(dies);
    free_world(world);
}

static void misuse_is_told(void)
{
    struct world *world = world_with(false);
    int here = 0;
    ck_assert_int_eq(kin_condition_wait(world->condition, 0), KIN_EPERM);
    ck_assert_int_eq(kin_condition_notify(world->condition, 1), KIN_EPERM);
    ck_assert_int_eq(kin_condition_wait(NULL, 0), KIN_EINVAL);
    ck_assert_ptr_null(kin_condition_new(&here, NULL));
    kin_lock *lock = kin_lock_new(NULL);
    kin_condition *orphan = kin_condition_new(lock, NULL);
    ck_assert_int_eq(kin_lock_free(lock), 0);
    ck_assert_int_eq(kin_condition_wait(orphan, 0), KIN_EINVAL);
    ck_assert_int_eq(kin_condition_notify_all(orphan), KIN_EINVAL);
    ck_assert_int_eq(kin_condition_acquire(orphan, 0), KIN_EINVAL);
    ck_assert_int_eq(kin_condition_free(orphan), 0);
    kin_error_clear();
    ck_assert_ptr_null(kin_condition_new(&here, NULL));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    lock_it(world);
    ck_assert_int_eq(kin_condition_wait(world->condition, -1), KIN_EINVAL);
    ck_assert_int_eq(kin_condition_wait_for(world->condition, NULL, NULL, 0), KIN_EINVAL);
    ck_assert_int_eq(kin_condition_free(world->condition), KIN_EBUSY);
    unlock_it(world);
    kin_process *process = start(wait_once, world);
    await(&world->sleeping, 1);
    lock_it(world);
    unlock_it(world);
    ck_assert_int_eq(kin_condition_free(world->condition), KIN_EBUSY);
    notify(world, 1);
    join(process);
    free_world(world);
}

static const struct test tests[] = {
    {"notify_wakes_one", notify_wakes_one, 10, TEST_EACH_METHOD},
    {"notify_all_wakes_all", notify_all_wakes_all, 10, TEST_EACH_METHOD},
    {"notify_wakes_so_many", notify_wakes_so_many, 10, TEST_EACH_METHOD},
    {"who_waited_longest_is_first", who_waited_longest_is_first, 10, TEST_EACH_METHOD},
    {"wait_for_waits_until_it_is_true", wait_for_waits_until_it_is_true, 10, TEST_EACH_METHOD},
    {"wait_for_times_out", wait_for_times_out, 10, TEST_EACH_METHOD},
    {"wait_tells_whether_it_was_notified", wait_tells_whether_it_was_notified, 10, TEST_EACH_METHOD},
    {"dead_waiters_count_as_nobody", dead_waiters_count_as_nobody, 10, TEST_EACH_METHOD},
    {"notification_of_the_dead_passes_on", notification_of_the_dead_passes_on, 10, TEST_EACH_METHOD},
    {"waiter_is_told_of_the_locks_dead_owner", waiter_is_told_of_the_locks_dead_owner, 10, TEST_EACH_METHOD},
    {"misuse_is_told", misuse_is_told, 10, TEST_NOT_VALGRIND},
};
TEST_MAIN("condition", tests)
