/* futures_wait_test.c - cases of CPython's test_concurrent_futures: wait, as_completed (tests/cpython/futures.tsv). */
#include "futures_common.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define WORKERS_MOST 4

/* ---- results in the states that Python's tests make by hand ---------------------------------- */

enum state { SUCCESSFUL, FAILED, CANCELED, STATES };

struct examples {
    kin_pool *pool;
    _Atomic int *word; /* what waits for it ends when it is set */
    kin_result *in_state[STATES];
};

/* It has not begun, as all workers are busy then: what a thread runs cannot be ended. */
static void cancel_one(struct examples *made, int workers)
{
    kin_result *busy[WORKERS_MOST];
    for (int i = 0; i < workers; i++)
        busy[i] = submit(made->pool, wait_for_word, KIN_APPLY_ARGS(.context = (void *)made->word));
    made->in_state[CANCELED] =
        submit(made->pool, wait_for_word, KIN_APPLY_ARGS(.context = (void *)made->word));
    ck_assert_int_eq(kin_result_cancel(made->in_state[CANCELED]), 0);
    atomic_store(made->word, 1);
    ck_assert_int_eq(kin_results_wait(busy, (size_t)workers, KIN_WAIT_ALL, TOP, NULL), 0);
    free_results(busy, (size_t)workers);
    atomic_store(made->word, 0);
}

static struct examples make_examples(int workers)
{
    struct examples made;
    test_init();
    made.pool = new_pool(workers);
    made.word = kin_calloc(1, sizeof *made.word);
    ck_assert_ptr_nonnull(made.word);
    made.in_state[SUCCESSFUL] = submit_product(made.pool, 6, 7);
    made.in_state[FAILED] = submit(made.pool, divide_by_zero, NULL);
    cancel_one(&made, workers);
    ck_assert_int_eq(kin_results_wait(made.in_state, STATES, KIN_WAIT_ALL, TOP, NULL), 0);
    return made;
}

static kin_result *submit_waiting(const struct examples *examples, bool fails)
{
    return submit(
        examples->pool, wait_for_word,
        KIN_APPLY_ARGS(.context = (void *)examples->word, .in = fails ? "" : NULL, .in_size = fails));
}

static void drop_examples(struct examples *examples)
{
    atomic_store(examples->word, 1);
    free_results(examples->in_state, STATES);
    end_pool(examples->pool);
    kin_free((void *)examples->word);
}

/* ---- wait ------------------------------------------------------------------------------------ */

static void result_that_stands_twice_is_waited_for(void)
{
    struct examples examples = make_examples(2);
    kin_result *slow = submit_sleep(examples.pool, A_WHILE), *twice[] = {slow, slow};
    ck_assert_int_eq(kin_results_wait(twice, 2, KIN_WAIT_ALL, TOP, NULL), 0);
    ck_assert(kin_result_ready(slow));
    kin_result_free(slow);
    drop_examples(&examples);
}

static void first_is_the_one_that_has_finished(void)
{
    struct examples examples = make_examples(2);
    size_t which;
    kin_result *results[] = {submit_waiting(&examples, false), submit_product(examples.pool, 21, 2)};
    ck_assert_int_eq(kin_results_wait(results, 2, KIN_WAIT_FIRST, TOP, &which), 0);
    ck_assert_uint_eq(which, 1);
    ck_assert(kin_result_ready(results[1]) && !kin_result_ready(results[0]));
    atomic_store(examples.word, 1); /* a thread cannot be ended */
    free_results(results, 2);
    drop_examples(&examples);
}

static void first_of_some_that_had_finished_is_there_at_once(void)
{
    struct examples examples = make_examples(2);
    size_t which;
    kin_result *results[] = {submit_waiting(&examples, false), examples.in_state[CANCELED],
                             examples.in_state[SUCCESSFUL]};
    ck_assert_int_eq(kin_results_wait(results, 3, KIN_WAIT_FIRST, 0, &which), 0);
    ck_assert_uint_eq(which, 1);
    ck_assert(!kin_result_ready(results[0]) && kin_result_ready(results[2]));
    atomic_store(examples.word, 1); /* a thread cannot be ended */
    kin_result_free(results[0]);
    drop_examples(&examples);
}

static void first_failure_ends_the_wait(void)
{
    struct examples examples = make_examples(3);
    size_t which;
    kin_result *results[] = {submit_product(examples.pool, 2, 21), submit_waiting(&examples, false), NULL};
    double a_while = A_WHILE;
    ck_assert_int_eq(kin_results_wait(results, 2, KIN_WAIT_FIRST_FAILURE, a_while, &which), KIN_ETIMEDOUT);
    results[2] = submit(examples.pool, divide_by_zero, NULL);
    ck_assert_int_eq(kin_results_wait(results, 3, KIN_WAIT_FIRST_FAILURE, TOP, &which), 0);
    ck_assert_uint_eq(which, 2);
    ck_assert(kin_result_ready(results[0]) && !kin_result_ready(results[1]));
    atomic_store(examples.word, 1); /* a thread cannot be ended */
    free_results(results, 3);
    drop_examples(&examples);
}

/* A cancel counts: in Python it does not, as there no task that has begun can be canceled. */
static void first_failure_among_some_that_had_finished(void)
{
    struct examples examples = make_examples(2);
    size_t which;
    kin_result *results[] = {examples.in_state[SUCCESSFUL], submit_waiting(&examples, false),
                             submit(examples.pool, divide_by_zero, NULL), NULL};
    ck_assert_int_eq(kin_results_wait(results, 4, KIN_WAIT_FIRST_FAILURE, TOP, &which), 0);
    ck_assert_uint_eq(which, 2);
    ck_assert(!kin_result_ready(results[1]));
    results[3] = examples.in_state[CANCELED];
    ck_assert_int_eq(kin_results_wait(results + 3, 1, KIN_WAIT_FIRST_FAILURE, 0, &which), 0);
    ck_assert_uint_eq(which, 0);
    atomic_store(examples.word, 1); /* a thread cannot be ended */
    free_results(results + 1, 2);
    drop_examples(&examples);
}

static void failure_of_before_ends_the_wait_at_once(void)
{
    struct examples examples = make_examples(2);
    size_t which;
    kin_result *results[] = {submit_waiting(&examples, false), examples.in_state[FAILED]};
    ck_assert_int_eq(kin_results_wait(results, 2, KIN_WAIT_FIRST_FAILURE, 0, &which), 0);
    ck_assert_uint_eq(which, 1);
    ck_assert(!kin_result_ready(results[0]));
    atomic_store(examples.word, 1); /* a thread cannot be ended */
    kin_result_free(results[0]);
    drop_examples(&examples);
}

static void all_have_finished_however(void)
{
    struct examples examples = make_examples(2);
    kin_result *results[] = {examples.in_state[SUCCESSFUL], examples.in_state[CANCELED],
                             examples.in_state[FAILED], submit(examples.pool, divide_by_zero, NULL),
                             submit_product(examples.pool, 2, 21)};
    ck_assert_int_eq(kin_results_wait(results, 5, KIN_WAIT_ALL, TOP, NULL), 0);
    for (int i = 0; i < 5; i++)
        ck_assert(kin_result_ready(results[i]));
    free_results(results + 3, 2);
    drop_examples(&examples);
}

static void wait_in_vain_says_how_many_are_missing(void)
{
    struct examples examples = make_examples(2);
    kin_result *results[] = {examples.in_state[CANCELED],      examples.in_state[FAILED],
                             examples.in_state[SUCCESSFUL],    submit_product(examples.pool, 6, 7),
                             submit_waiting(&examples, false), submit_waiting(&examples, false)};
    ck_assert_int_eq(kin_result_wait(results[3], TOP), 0);
    ck_assert_int_eq(kin_results_wait(results, 6, KIN_WAIT_ALL, A_WHILE, NULL), KIN_ETIMEDOUT);
    ck_assert_str_eq(kin_error_message(), "2 of 6 tasks have not finished in time");
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(kin_result_ready(results[i]), i < 4);
    atomic_store(examples.word, 1); /* a thread cannot be ended */
    free_results(results + 3, 3);
    drop_examples(&examples);
}

static void many_end_together_while_all_are_waited_for(void)
{
    enum { TASKS = 100 };
    struct examples examples = make_examples(3);
    kin_result *results[TASKS];
    for (int round = 0; round < 3; round++) {
        atomic_store(examples.word, 0);
        for (int i = 0; i < TASKS; i++)
            results[i] = submit_waiting(&examples, false);
        atomic_store(examples.word, 1);
        ck_assert_int_eq(kin_results_wait(results, TASKS, KIN_WAIT_ALL, TOP, NULL), 0);
        free_results(results, TASKS);
    }
    drop_examples(&examples);
}

/* ---- as they are completed ------------------------------------------------------------------- */

/* Take out of the array, one after the other, what has finished; how many. */
static size_t take_completed(kin_result **results, size_t count, double timeout, int *error)
{
    size_t taken = 0, which;
    while ((*error = kin_results_wait(results, count, KIN_WAIT_FIRST, timeout, &which)) == 0) {
        ck_assert(kin_result_ready(results[which]));
        results[which] = NULL;
        taken++;
    }
    return taken;
}

static void results_come_as_they_are_completed(void)
{
    struct examples examples = make_examples(2);
    int error;
    kin_result *mine[] = {submit_product(examples.pool, 2, 21), submit_product(examples.pool, 7, 6)};
    kin_result *results[] = {examples.in_state[CANCELED], examples.in_state[FAILED],
                             examples.in_state[SUCCESSFUL], mine[0], mine[1]};
    ck_assert_uint_eq(take_completed(results, 5, TOP, &error), 5);
    ck_assert_int_eq(error, KIN_ENOTFOUND);
    free_results(mine, 2);
    drop_examples(&examples);
}

static void without_time_those_come_that_had_finished(void)
{
    struct examples examples = make_examples(2);
    int error;
    kin_result *mine = submit_waiting(&examples, false);
    kin_result *results[] = {examples.in_state[CANCELED], examples.in_state[FAILED], mine,
                             examples.in_state[SUCCESSFUL]};
    ck_assert_uint_eq(take_completed(results, 4, 0, &error), 3);
    ck_assert_int_eq(error, KIN_ETIMEDOUT);
    ck_assert_ptr_eq(results[2], mine);
    ck_assert_str_eq(kin_error_message(), "1 of 1 tasks have not finished in time");
    atomic_store(examples.word, 1); /* a thread cannot be ended */
    kin_result_free(mine);
    drop_examples(&examples);
}

/* Its places in the array are completed one by one; who frees a result takes it out everywhere. */
static void result_that_stands_three_times_is_completed_in_each_place(void)
{
    struct examples examples = make_examples(1);
    int error;
    kin_result *mine = submit_sleep(examples.pool, A_WHILE), *results[] = {mine, mine, mine};
    ck_assert_uint_eq(take_completed(results, 3, TOP, &error), 3);
    ck_assert_int_eq(error, KIN_ENOTFOUND);
    kin_result_free(mine);
    drop_examples(&examples);
}

static int make_a_megabyte(kin_task *task, const void *in, void *out)
{
    (void)in, (void)out;
    return kin_task_malloc(task, 1 << 20) ? 0 : KIN_ENOMEM;
}

static void what_was_completed_can_be_freed_at_once(void)
{
    enum { TASKS = 10 };
    struct examples examples = make_examples(2);
    kin_result *results[TASKS];
    kin_heap_stats before = {.size = sizeof before}, after = {.size = sizeof after};
    size_t which;
    ck_assert_int_eq(kin_heap_get_stats(&before), 0);
    for (int i = 0; i < TASKS; i++)
        results[i] = submit(examples.pool, make_a_megabyte, NULL);
    ck_assert_int_eq(kin_results_wait(results, TASKS, KIN_WAIT_ALL, TOP, NULL), 0);
    for (int i = TASKS - 1; i >= 0; i--) {
        ck_assert_int_eq(kin_results_wait(results, TASKS, KIN_WAIT_FIRST, TOP, &which), 0);
        kin_result_free(results[which]);
        results[which] = NULL;
        ck_assert_int_eq(kin_heap_get_stats(&after), 0);
        ck_assert_uint_lt(after.large_bytes, before.large_bytes + ((size_t)i + 1) * (1 << 20));
    }
    ck_assert_uint_eq(after.large_bytes, before.large_bytes);
    drop_examples(&examples);
}

static const struct test tests[] = {
    {"result_that_stands_twice_is_waited_for", result_that_stands_twice_is_waited_for, 20,
     TEST_EACH_METHOD | TEST_AND_THREADS},
    {"first_is_the_one_that_has_finished", first_is_the_one_that_has_finished, 20,
     TEST_EACH_METHOD | TEST_AND_THREADS},
    {"first_of_some_that_had_finished_is_there_at_once", first_of_some_that_had_finished_is_there_at_once, 20,
     TEST_EACH_METHOD | TEST_AND_THREADS},
    {"first_failure_ends_the_wait", first_failure_ends_the_wait, 20, TEST_EACH_METHOD | TEST_AND_THREADS},
    {"first_failure_among_some_that_had_finished", first_failure_among_some_that_had_finished, 20,
     TEST_EACH_METHOD | TEST_AND_THREADS},
    {"failure_of_before_ends_the_wait_at_once", failure_of_before_ends_the_wait_at_once, 20,
     TEST_EACH_METHOD | TEST_AND_THREADS},
    {"all_have_finished_however", all_have_finished_however, 20, TEST_EACH_METHOD | TEST_AND_THREADS},
    {"wait_in_vain_says_how_many_are_missing", wait_in_vain_says_how_many_are_missing, 20,
     TEST_EACH_METHOD | TEST_AND_THREADS},
    {"many_end_together_while_all_are_waited_for", many_end_together_while_all_are_waited_for, 20,
     TEST_EACH_METHOD | TEST_AND_THREADS},
    {"results_come_as_they_are_completed", results_come_as_they_are_completed, 20,
     TEST_EACH_METHOD | TEST_AND_THREADS},
    {"without_time_those_come_that_had_finished", without_time_those_come_that_had_finished, 20,
     TEST_EACH_METHOD | TEST_AND_THREADS},
    {"result_that_stands_three_times_is_completed_in_each_place",
     result_that_stands_three_times_is_completed_in_each_place, 20, TEST_EACH_METHOD | TEST_AND_THREADS},
    {"what_was_completed_can_be_freed_at_once", what_was_completed_can_be_freed_at_once, 20,
     TEST_EACH_METHOD | TEST_AND_THREADS},
};

TEST_MAIN("futures_wait", tests)
