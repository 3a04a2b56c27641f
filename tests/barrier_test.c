/* barrier_test.c - kin/barrier.h. What CPython's _TestBarrier tests is marked so. */
#include "sync_common.h"

#include <signal.h>

#define PARTIES 4

static struct world *world_for(int parties, const kin_barrier_options *options)
{
    struct world *world = new_world();
    world->barrier = kin_barrier_new(parties, options);
    ck_assert_msg(world->barrier != NULL, "%s", kin_error_message());
    return world;
}

/* All parties but the test itself. */
static void start_others(kin_process_fn fn, struct world *world, kin_process **processes)
{
    for (int i = 1; i < PARTIES; i++)
        processes[i] = start(fn, world);
}

static void join_others(kin_process **processes)
{
    for (int i = 1; i < PARTIES; i++)
        join(processes[i]);
}

static void await_waiting(struct world *world, int count)
{
    while (kin_barrier_waiting(world->barrier) < count)
        usleep(200);
}

static int pass(void *arg)
{
    struct world *world = arg;
    for (int i = 0; i < world->rounds; i++) {
        child_assert(atomic_load(&world->awake) >= (uint32_t)(i * PARTIES));
        child_assert(atomic_load(&world->awake) < (uint32_t)((i + 1) * PARTIES));
        atomic_fetch_add(&world->sleeping, 1);
        child_assert(kin_barrier_wait(world->barrier, KIN_FOREVER, NULL) == 0);
        child_assert(atomic_load(&world->sleeping) >= (uint32_t)((i + 1) * PARTIES));
        atomic_fetch_add(&world->awake, 1);
        child_assert(kin_barrier_wait(world->barrier, KIN_FOREVER, NULL) == 0);
    }
    return 0;
}

static void pass_rounds(int rounds)
{
    struct world *world = world_for(PARTIES, NULL);
    kin_process *processes[PARTIES];
    world->rounds = rounds;
    start_others(pass, world, processes);
    pass(world);
    join_others(processes);
    ck_assert_int_eq(kin_barrier_waiting(world->barrier), 0);
    ck_assert_int_eq(kin_barrier_parties(world->barrier), PARTIES);
    ck_assert(!kin_barrier_is_broken(world->barrier));
    free_world(world);
}

/* test_barrier */
static void all_wait_for_each_other(void)
{
    pass_rounds(1);
}

/* test_barrier_10, test_thousand */
static void again_and_again(void)
{
    pass_rounds(10);
    pass_rounds(test_long() ? 5000 : 500);
}

static int note_index(void *arg)
{
    struct world *world = arg;
    int index = -1;
    child_assert(kin_barrier_wait(world->barrier, KIN_FOREVER, &index) == 0);
    child_assert(index >= 0 && index < PARTIES);
    atomic_fetch_add(&world->value, 1 << (4 * index));
    return 0;
}

/* test_wait_return */
static void each_party_has_an_index(void)
{
    struct world *world = world_for(PARTIES, NULL);
    kin_process *processes[PARTIES];
    start_others(note_index, world, processes);
    note_index(world);
    join_others(processes);
    ck_assert_int_eq(world->value, 0x1111);
    free_world(world);
}

static int count_action(void *arg)
{
    struct world *world = arg;
    world->step++;
    return 0;
}

static int see_action(void *arg)
{
    struct world *world = arg;
    child_assert(kin_barrier_wait(world->barrier, KIN_FOREVER, NULL) == 0);
    child_assert(atomic_load(&world->step) == 1);
    return 0;
}

/* test_action */
static void action_is_done_once_before_any_goes_on(void)
{
    struct world *world = new_world();
    world->barrier =
        kin_barrier_new(PARTIES, KIN_BARRIER_OPTIONS(.action = count_action, .action_arg = world));
    ck_assert_msg(world->barrier != NULL, "%s", kin_error_message());
    kin_process *processes[PARTIES];
    start_others(see_action, world, processes);
    see_action(world);
    join_others(processes);
    free_world(world);
}

static int refuse(void *arg)
{
    (void)arg;
    return 7;
}

static int be_broken(void *arg)
{
    struct world *world = arg;
    int result = kin_barrier_wait(world->barrier, KIN_FOREVER, NULL);
    child_assert(result == KIN_EBROKEN || result == KIN_EFAILED);
    atomic_fetch_add(&world->failed, result == KIN_EFAILED);
    return 0;
}

static void failing_action_breaks_it(void)
{
    struct world *world = world_for(PARTIES, KIN_BARRIER_OPTIONS(.action = refuse));
    kin_process *processes[PARTIES];
    start_others(be_broken, world, processes);
    be_broken(world);
    join_others(processes);
    ck_assert_uint_eq(world->failed, 1);
    ck_assert(kin_barrier_is_broken(world->barrier));
    free_world(world);
}

/* test_abort */
static void abort_breaks_it(void)
{
    struct world *world = world_for(PARTIES, NULL);
    kin_process *processes[PARTIES];
    start_others(be_broken, world, processes);
    await_waiting(world, PARTIES - 1);
    ck_assert_int_eq(kin_barrier_abort(world->barrier), 0);
    join_others(processes);
    ck_assert(kin_barrier_is_broken(world->barrier));
    ck_assert_int_eq(kin_barrier_wait(world->barrier, 0, NULL), KIN_EBROKEN);
    free_world(world);
}

static int be_reset_then_pass(void *arg)
{
    struct world *world = arg;
    child_assert(kin_barrier_wait(world->barrier, KIN_FOREVER, NULL) == KIN_EBROKEN);
    await(&world->step, 1);
    child_assert(kin_barrier_wait(world->barrier, KIN_FOREVER, NULL) == 0);
    return 0;
}

/* test_reset, test_abort_and_reset */
static void reset_makes_it_whole(void)
{
    for (int aborted = 0; aborted < 2; aborted++) {
        struct world *world = world_for(PARTIES, NULL);
        kin_process *processes[PARTIES];
        start_others(be_reset_then_pass, world, processes);
        await_waiting(world, PARTIES - 1);
        if (aborted)
            ck_assert_int_eq(kin_barrier_abort(world->barrier), 0);
        ck_assert_int_eq(kin_barrier_reset(world->barrier), 0);
        ck_assert(!kin_barrier_is_broken(world->barrier));
        atomic_store(&world->step, 1);
        ck_assert_int_eq(kin_barrier_wait(world->barrier, TOP, NULL), 0);
        join_others(processes);
        free_world(world);
    }
}

/* test_timeout */
static void timeout_breaks_it(void)
{
    struct world *world = world_for(PARTIES, NULL);
    kin_process *processes[] = {start(be_broken, world), start(be_broken, world)};
    await_waiting(world, 2);
    ck_assert_int_eq(kin_barrier_wait(world->barrier, 0.05, NULL), KIN_ETIMEDOUT);
    join(processes[0]);
    join(processes[1]);
    ck_assert(kin_barrier_is_broken(world->barrier));
    free_world(world);
}

static int time_out_or_break(void *arg)
{
    struct world *world = arg;
    int result = kin_barrier_wait(world->barrier, KIN_FOREVER, NULL);
    child_assert(result == KIN_ETIMEDOUT || result == KIN_EBROKEN);
    atomic_fetch_add(&world->failed, result == KIN_ETIMEDOUT);
    return 0;
}

/* test_default_timeout */
static void forever_is_what_the_barrier_says(void)
{
    struct world *world = world_for(PARTIES, KIN_BARRIER_OPTIONS(.timeout = 0.05));
    kin_process *processes[PARTIES];
    for (int i = 2; i < PARTIES; i++)
        processes[i] = start(time_out_or_break, world);
    time_out_or_break(world);
    for (int i = 2; i < PARTIES; i++)
        join(processes[i]);
    ck_assert(kin_barrier_is_broken(world->barrier));
    ck_assert_uint_eq(world->failed, 1);
    ck_assert_int_eq(kin_barrier_wait(world->barrier, KIN_FOREVER, NULL), KIN_EBROKEN);
    free_world(world);
}

/* test_single_thread */
static void barrier_for_one_lets_go_at_once(void)
{
    struct world *world = world_for(1, NULL);
    ck_assert_int_eq(kin_barrier_wait(world->barrier, 0, NULL), 0);
    ck_assert_int_eq(kin_barrier_wait(world->barrier, KIN_FOREVER, NULL), 0);
    free_world(world);
}

/* ---- deaths ---------------------------------------------------------------------------------- */

static void party_that_dies_waiting_breaks_it(void)
{
    struct world *world = world_for(PARTIES, NULL);
    kin_process *processes[PARTIES];
    start_others(be_broken, world, processes);
    await_waiting(world, PARTIES - 1);
    ck_assert_int_eq(kin_process_kill(processes[1]), 0);
    for (int i = 2; i < PARTIES; i++)
        join(processes[i]);
    ck_assert_int_eq(kin_barrier_wait(world->barrier, TOP, NULL), KIN_EBROKEN);
    kin_process_free(processes[1]);
    ck_assert_int_eq(kin_barrier_reset(world->barrier), 0);
    free_world(world);
}

static int pass_once_then_die(void *arg)
{
    struct world *world = arg;
    child_assert(kin_barrier_wait(world->barrier, KIN_FOREVER, NULL) == 0);
    raise(SIGKILL);
    return 0;
}

/* One child: there is no guardian, so who waits must notice. */
static void party_that_dies_at_work_breaks_it(void)
{
    struct world *world = world_for(2, NULL);
    kin_process *process = start(pass_once_then_die, world);
    ck_assert_int_eq(kin_barrier_wait(world->barrier, TOP, NULL), 0);
    ck_assert_int_eq(kin_barrier_wait(world->barrier, TOP, NULL), KIN_EBROKEN);
    kin_process_free(process);
    free_world(world);
}

static int pass_once(void *arg)
{
    struct world *world = arg;
    child_assert(kin_barrier_wait(world->barrier, KIN_FOREVER, NULL) == 0);
    return 0;
}

static void party_that_ends_does_not(void)
{
    struct world *world = world_for(2, NULL);
    for (int i = 0; i < 3; i++) {
        kin_process *process = start(pass_once, world);
        ck_assert_int_eq(kin_barrier_wait(world->barrier, TOP, NULL), 0);
        join(process);
    }
    ck_assert(!kin_barrier_is_broken(world->barrier));
    free_world(world);
}

static int count_phases(void *arg)
{
    struct world *world = arg;
    while (kin_barrier_wait(world->barrier, KIN_FOREVER, NULL) == 0)
        atomic_fetch_add(&world->awake, 1);
    return 0;
}

static int wait_and_note(void *arg)
{
    struct world *world = arg;
    world->value = kin_barrier_wait(world->barrier, KIN_FOREVER, NULL);
    atomic_store(&world->step, 1);
    await(&world->step, 2); /* it does not end while it is stopped: LeakSanitizer cannot bear that */
    return 0;
}

/* It comes, is stopped, and two others pass many phases without it: its own has ended well. */
static void who_wakes_up_late_learns_how_its_phase_ended(void)
{
    for (int broken = 0; broken < 2; broken++) {
        struct world *world = world_for(2, NULL);
        kin_process *late = start(wait_and_note, world);
        await_waiting(world, 1);
        ck_assert_int_eq(kill(kin_process_pid(late), SIGSTOP), 0);
        if (broken)
            ck_assert_int_eq(kin_barrier_reset(world->barrier), 0);
        else
            ck_assert_int_eq(kin_barrier_wait(world->barrier, TOP, NULL), 0);
        kin_process *others[2] = {start(count_phases, world), start(count_phases, world)};
        await(&world->awake, 100);
        ck_assert_int_eq(kill(kin_process_pid(late), SIGCONT), 0);
        await(&world->step, 1);
        atomic_store(&world->step, 2);
        ck_assert_int_eq(world->value, broken ? KIN_EBROKEN : 0);
        ck_assert_int_eq(kin_barrier_abort(world->barrier), 0);
        for (int i = 0; i < 2; i++)
            join(others[i]);
        join(late);
        free_world(world);
    }
}

static void misuse_is_told(void)
{
    struct world *world = world_for(2, NULL);
    int here = 0;
    ck_assert_ptr_null(kin_barrier_new(0, NULL));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    ck_assert_ptr_null(kin_barrier_new(2, KIN_BARRIER_OPTIONS(.action = refuse, .action_arg = &here)));
    ck_assert_int_eq(kin_error_code(), KIN_ENOTSHARED);
    ck_assert_int_eq(kin_barrier_wait(NULL, 0, NULL), KIN_EINVAL);
    ck_assert_int_eq(kin_barrier_wait(world->barrier, -1, NULL), KIN_EINVAL);
    kin_process *process = start(pass_once, world);
    await_waiting(world, 1);
    ck_assert_int_eq(kin_barrier_free(world->barrier), KIN_EBUSY);
    ck_assert_int_eq(kin_barrier_wait(world->barrier, TOP, NULL), 0);
    join(process);
    free_world(world);
}

static const struct test tests[] = {
    {"all_wait_for_each_other", all_wait_for_each_other, 10, TEST_EACH_METHOD},
    {"again_and_again", again_and_again, 60, TEST_EACH_METHOD},
    {"each_party_has_an_index", each_party_has_an_index, 10, TEST_EACH_METHOD},
    {"action_is_done_once_before_any_goes_on", action_is_done_once_before_any_goes_on, 10, TEST_EACH_METHOD},
    {"failing_action_breaks_it", failing_action_breaks_it, 10, TEST_EACH_METHOD},
    {"abort_breaks_it", abort_breaks_it, 10, TEST_EACH_METHOD},
    {"reset_makes_it_whole", reset_makes_it_whole, 10, TEST_EACH_METHOD},
    {"timeout_breaks_it", timeout_breaks_it, 10, TEST_EACH_METHOD},
    {"forever_is_what_the_barrier_says", forever_is_what_the_barrier_says, 10, TEST_EACH_METHOD},
    {"barrier_for_one_lets_go_at_once", barrier_for_one_lets_go_at_once, 5, 0},
    {"party_that_dies_waiting_breaks_it", party_that_dies_waiting_breaks_it, 10, TEST_EACH_METHOD},
    {"party_that_dies_at_work_breaks_it", party_that_dies_at_work_breaks_it, 10, TEST_EACH_METHOD},
    {"party_that_ends_does_not", party_that_ends_does_not, 10, TEST_EACH_METHOD},
    {"who_wakes_up_late_learns_how_its_phase_ended", who_wakes_up_late_learns_how_its_phase_ended, 20,
     TEST_EACH_METHOD},
    {"misuse_is_told", misuse_is_told, 10, TEST_NOT_VALGRIND},
};
TEST_MAIN("barrier", tests)
