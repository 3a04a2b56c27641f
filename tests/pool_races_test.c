/* pool_races_test.c - kin/pool.h: what went wrong only when two things met. */
#include "harness.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include "kin.h"

static kin_pool *new_pool(int workers)
{
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = workers, .start_method = test_method()));
    ck_assert_msg(pool != NULL, "%s", kin_error_message());
    return pool;
}

static int nap(kin_task *task, size_t index, void *context)
{
    (void)task, (void)index, (void)context;
    usleep(1000);
    return 0;
}

static void worker_that_was_interrupted_while_idle_is_replaced(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    kin_process *children[2];
    size_t count;
    ck_assert_int_eq(kin_active_children(children, 2, &count), 0);
    ck_assert_uint_eq(count, 2);
    ck_assert_int_eq(kill(kin_process_pid(children[0]), SIGINT), 0);
    ck_assert_int_eq(kin_process_join(children[0], KIN_FOREVER), 0);
    ck_assert_int_eq(kin_pool_for(pool, nap, KIN_MAP_ARGS(.count = 4)), 0);
    kin_pool_free(pool);
}

static int die_or_nap(kin_task *task, size_t index, void *both_begun)
{
    (void)task;
    atomic_fetch_add((_Atomic int *)both_begun, 1);
    while (atomic_load((_Atomic int *)both_begun) < 2)
        sched_yield();
    if (index == 0)
        raise(SIGKILL);
    usleep(20000);
    return 0;
}

/* The dead worker's seat stays empty, as nothing is left to be claimed: the last to answer must not leave the waking
 * to it. A supervisor that nobody wakes looks by itself every 0.1 s. */
static void last_answer_wakes_the_supervisor_though_a_seat_is_empty(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    _Atomic int *begun = kin_malloc(sizeof *begun);
    double fastest = 1e9;
    for (int i = 0; i < 20; i++) {
        atomic_store(begun, 0);
        size_t failures;
        struct timespec from, to;
        clock_gettime(CLOCK_MONOTONIC, &from);
        ck_assert_int_eq(kin_pool_for(pool, die_or_nap,
                                      KIN_MAP_ARGS(.count = 2, .chunk = 1, .context = begun,
                                                   .on_failure = KIN_COLLECT, .failures = &failures)),
                         KIN_EDIED);
        clock_gettime(CLOCK_MONOTONIC, &to);
        ck_assert_uint_eq(failures, 1);
        double seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) * 1e-9;
        fastest = seconds < fastest ? seconds : fastest;
    }
    ck_assert_double_lt(fastest, 0.1);
    kin_free((void *)begun);
    kin_pool_free(pool);
}

/* Workers spin for a moment, then sleep: they must not miss that they are to quit in between. */
static void finish_reaches_workers_about_to_sleep(void)
{
    test_init();
    for (int i = 0; i < (test_long() ? 4000 : 200); i++) {
        kin_pool *pool = new_pool(2);
        ck_assert_int_eq(kin_pool_for(pool, nap, KIN_MAP_ARGS(.count = 2, .chunk = 1)), 0);
        struct timespec until, now;
        clock_gettime(CLOCK_MONOTONIC, &until);
        for (until.tv_nsec += 200 * (i % 200); (clock_gettime(CLOCK_MONOTONIC, &now), 1);)
            if ((now.tv_sec - until.tv_sec) * 1000000000L + now.tv_nsec - until.tv_nsec >= 0)
                break;
        ck_assert_int_eq(kin_pool_finish(pool, KIN_FOREVER), 0);
        kin_pool_free(pool);
    }
}

static int count_runs(kin_task *task, size_t index, void *runs)
{
    (void)task, (void)index;
    usleep(100);
    atomic_fetch_add((_Atomic int *)runs, 1);
    return 0;
}

static void huge_chunk_is_one_chunk(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    _Atomic int *runs = kin_malloc(sizeof *runs);
    const size_t sizes[] = {SIZE_MAX, SIZE_MAX / 2 + 1, 1000};
    for (int i = 0; i < 30; i++) {
        atomic_store(runs, 0);
        ck_assert_int_eq(
            kin_pool_for(pool, count_runs, KIN_MAP_ARGS(.count = 10, .chunk = sizes[i % 3], .context = runs)),
            0);
        ck_assert_int_eq(atomic_load(runs), 10);
    }
    kin_free((void *)runs);
    kin_pool_free(pool);
}

static const struct test tests[] = {
    {"worker_that_was_interrupted_while_idle_is_replaced", worker_that_was_interrupted_while_idle_is_replaced,
     20, TEST_EACH_METHOD},
    {"last_answer_wakes_the_supervisor_though_a_seat_is_empty",
     last_answer_wakes_the_supervisor_though_a_seat_is_empty, 60, 0},
    {"finish_reaches_workers_about_to_sleep", finish_reaches_workers_about_to_sleep, 120, 0},
    {"huge_chunk_is_one_chunk", huge_chunk_is_one_chunk, 20, TEST_EACH_METHOD},
};
TEST_MAIN("pool_races", tests)
