/* semaphore_test.c - kin/semaphore.h. What CPython's _TestSemaphore tests is marked so. */
#include "sync_common.h"

#include <string.h>

static struct world *world_with(int value, const kin_semaphore_options *options)
{
    struct world *world = new_world();
    world->semaphore = kin_semaphore_new(value, options);
    ck_assert_msg(world->semaphore != NULL, "%s", kin_error_message());
    return world;
}

static int take_and_give(void *arg)
{
    struct world *world = arg;
    child_assert(kin_semaphore_value(world->semaphore) == 2);
    child_assert(kin_semaphore_acquire(world->semaphore, KIN_FOREVER) == 0);
    child_assert(kin_semaphore_value(world->semaphore) == 1);
    child_assert(kin_semaphore_acquire(world->semaphore, KIN_FOREVER) == 0);
    child_assert(kin_semaphore_value(world->semaphore) == 0);
    child_assert(kin_semaphore_acquire(world->semaphore, 0) == KIN_ETIMEDOUT);
    child_assert(kin_semaphore_release(world->semaphore) == 0);
    child_assert(kin_semaphore_value(world->semaphore) == 1);
    child_assert(kin_semaphore_release(world->semaphore) == 0);
    child_assert(kin_semaphore_value(world->semaphore) == 2);
    return 0;
}

/* test_semaphore */
static void semaphore_counts(void)
{
    struct world *world = world_with(2, NULL);
    join(start(take_and_give, world));
    ck_assert_int_eq(kin_semaphore_release(world->semaphore), 0);
    ck_assert_int_eq(kin_semaphore_value(world->semaphore), 3);
    free_world(world);
}

/* test_bounded_semaphore */
static void bounded_semaphore_refuses_one_too_many(void)
{
    struct world *world = world_with(2, KIN_SEMAPHORE_OPTIONS(.bounded = true, .name = "two"));
    join(start(take_and_give, world));
    ck_assert_int_eq(kin_semaphore_release(world->semaphore), KIN_EINVAL);
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "semaphore \"two\""));
    free_world(world);
}

static int time_out(void *arg)
{
    struct world *world = arg;
    child_assert(kin_semaphore_acquire(world->semaphore, 0) == KIN_ETIMEDOUT);
    child_assert(kin_semaphore_acquire(world->semaphore, 0.05) == KIN_ETIMEDOUT);
    return 0;
}

/* test_timeout */
static void acquire_times_out(void)
{
    struct world *world = world_with(0, NULL);
    join(start(time_out, world));
    free_world(world);
}

#define TURNS 3000

static int consume(void *arg)
{
    struct world *world = arg;
    for (int i = 0; i < TURNS; i++)
        child_assert(kin_semaphore_acquire(world->semaphore, KIN_FOREVER) == 0);
    return 0;
}

static void each_signal_lets_one_go(void)
{
    struct world *world = world_with(0, NULL);
    kin_process *processes[3];
    for (int i = 0; i < 3; i++)
        processes[i] = start(consume, world);
    for (int i = 0; i < 3 * TURNS; i++) {
        ck_assert_int_eq(kin_semaphore_release(world->semaphore), 0);
        if (i % 500 == 0)
            usleep(1000);
    }
    for (int i = 0; i < 3; i++)
        join(processes[i]);
    ck_assert_int_eq(kin_semaphore_value(world->semaphore), 0);
    free_world(world);
}

static int use_a_permit(void *arg)
{
    struct world *world = arg;
    for (int i = 0; i < TURNS; i++) {
        child_assert(kin_semaphore_acquire(world->semaphore, KIN_FOREVER) == 0);
        child_assert(atomic_fetch_add(&world->value, 1) < 2);
        if (i % 100 == 0)
            usleep(10);
        atomic_fetch_sub(&world->value, 1);
        child_assert(kin_semaphore_release(world->semaphore) == 0);
    }
    return 0;
}

static void permits_bound_how_many_are_in(void)
{
    for (int owned = 0; owned < 2; owned++) {
        struct world *world = world_with(2, KIN_SEMAPHORE_OPTIONS(.owned = owned));
        kin_process *processes[4];
        for (int i = 0; i < 4; i++)
            processes[i] = start(use_a_permit, world);
        for (int i = 0; i < 4; i++)
            join(processes[i]);
        ck_assert_int_eq(kin_semaphore_value(world->semaphore), 2);
        free_world(world);
    }
}

static int take_and_hang(void *arg)
{
    struct world *world = arg;
    child_assert(kin_semaphore_acquire(world->semaphore, KIN_FOREVER) == 0);
    child_assert(kin_semaphore_acquire(world->semaphore, KIN_FOREVER) == 0);
    atomic_store(&world->step, 1);
    for (;;)
        pause();
}

static void owned_permits_of_the_dead_come_back(void)
{
    struct world *world = world_with(3, KIN_SEMAPHORE_OPTIONS(.owned = true));
    ck_assert_int_eq(kin_semaphore_acquire(world->semaphore, 0), 0);
    kin_process *process = start(take_and_hang, world);
    await(&world->step, 1);
    ck_assert_int_eq(kin_semaphore_value(world->semaphore), 0);
    ck_assert_int_eq(kin_semaphore_acquire(world->semaphore, 0), KIN_ETIMEDOUT);
    ck_assert_int_eq(kin_process_kill(process), 0);
    ck_assert_int_eq(kin_semaphore_acquire(world->semaphore, TOP), 0);
    ck_assert_int_eq(kin_semaphore_acquire(world->semaphore, TOP), 0);
    ck_assert_int_eq(kin_semaphore_acquire(world->semaphore, 0), KIN_ETIMEDOUT);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(kin_semaphore_release(world->semaphore), 0);
    ck_assert_int_eq(kin_semaphore_value(world->semaphore), 3);
    kin_process_free(process);
    free_world(world);
}

static void signals_of_the_dead_do_not(void)
{
    struct world *world = world_with(3, NULL);
    kin_process *process = start(take_and_hang, world);
    await(&world->step, 1);
    ck_assert_int_eq(kin_process_kill(process), 0);
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    ck_assert_int_eq(kin_semaphore_value(world->semaphore), 1);
    kin_process_free(process);
    free_world(world);
}

static int wait_once(void *arg)
{
    struct world *world = arg;
    atomic_fetch_add(&world->sleeping, 1);
    child_assert(kin_semaphore_acquire(world->semaphore, KIN_FOREVER) == 0);
    atomic_fetch_add(&world->awake, 1);
    return 0;
}

static void wake_given_to_the_dead_is_not_lost(void)
{
    for (int i = 0; i < 5; i++) {
        struct world *world = world_with(0, NULL);
        kin_process *dies = start(wait_once, world), *lives = start(wait_once, world);
        await(&world->sleeping, 2);
        ck_assert_int_eq(kin_process_kill(dies), 0);
        ck_assert_int_eq(kin_semaphore_release(world->semaphore), 0);
        kin_process_free(dies);
        ck_assert_int_eq(kin_semaphore_release(world->semaphore), 0);
        join(lives);
        ck_assert_int_le(kin_semaphore_value(world->semaphore), 1);
        free_world(world);
    }
}

static void misuse_is_told(void)
{
    struct world *world = world_with(1, KIN_SEMAPHORE_OPTIONS(.owned = true));
    ck_assert_ptr_null(kin_semaphore_new(-1, NULL));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    ck_assert_ptr_null(kin_semaphore_new(0, KIN_SEMAPHORE_OPTIONS(.owned = true)));
    ck_assert_int_eq(kin_semaphore_acquire(NULL, 0), KIN_EINVAL);
    ck_assert_int_eq(kin_semaphore_acquire(world->semaphore, -1), KIN_EINVAL);
    ck_assert_int_eq(kin_semaphore_release(world->semaphore), KIN_EPERM);
    ck_assert_int_eq(kin_semaphore_acquire(world->semaphore, 0), 0);
    ck_assert_int_eq(kin_semaphore_free(world->semaphore), KIN_EBUSY);
    ck_assert_int_eq(kin_semaphore_release(world->semaphore), 0);
    kin_semaphore *full = kin_semaphore_new(0x7fffffff, NULL);
    ck_assert_int_eq(kin_semaphore_release(full), KIN_ELIMIT);
    ck_assert_int_eq(kin_semaphore_value(full), 0x7fffffff);
    ck_assert_int_eq(kin_semaphore_free(full), 0);
    ck_assert_int_eq(kin_semaphore_release(full), KIN_EINVAL);
    free_world(world);
}

static const struct test tests[] = {
    {"semaphore_counts", semaphore_counts, 10, TEST_EACH_METHOD},
    {"bounded_semaphore_refuses_one_too_many", bounded_semaphore_refuses_one_too_many, 10, TEST_EACH_METHOD},
    {"acquire_times_out", acquire_times_out, 10, TEST_EACH_METHOD},
    {"each_signal_lets_one_go", each_signal_lets_one_go, 20, TEST_EACH_METHOD},
    {"permits_bound_how_many_are_in", permits_bound_how_many_are_in, 30, TEST_EACH_METHOD},
    {"owned_permits_of_the_dead_come_back", owned_permits_of_the_dead_come_back, 10, TEST_EACH_METHOD},
    {"signals_of_the_dead_do_not", signals_of_the_dead_do_not, 10, TEST_EACH_METHOD},
    {"wake_given_to_the_dead_is_not_lost", wake_given_to_the_dead_is_not_lost, 10, TEST_EACH_METHOD},
    {"misuse_is_told", misuse_is_told, 5, 0},
};
TEST_MAIN("semaphore", tests)
