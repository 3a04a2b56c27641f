/* apply_test.c - kin/apply.h and kin/result.h: one task at a time, what becomes of it, and what its worker's death does. */
#include "pool_common.h"

#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int square(kin_task *task, const void *in, void *out)
{
    (void)task;
    double value = *(const double *)in;
    *(double *)out = value * value;
    return 0;
}

static kin_result *submit_square(kin_pool *pool, double value)
{
    kin_result *result = kin_pool_apply_async(
        pool, square, KIN_APPLY_ARGS(.in = &value, .in_size = sizeof value, .out_size = sizeof value));
    ck_assert_msg(result != NULL, "%s", kin_error_message());
    return result;
}

static void check_square(kin_result *result, double value)
{
    double out = -1;
    ck_assert_msg(kin_result_get(result, &out, sizeof out, TOP) == 0, "%s", kin_error_message());
    ck_assert_double_eq(out, value * value);
}

static void apply_returns_what_the_task_wrote(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    for (int i = 0; i < 10; i++) {
        double in = i, out = -1;
        ck_assert_int_eq(kin_pool_apply(pool, square,
                                        KIN_APPLY_ARGS(.in = &in, .in_size = sizeof in, .out = &out,
                                                       .out_size = sizeof out)),
                         0);
        ck_assert_double_eq(out, in * in);
    }
    ck_assert_int_eq(kin_pool_finish(pool, TOP), 0);
    kin_pool_free(pool);
}

static void many_results_at_once(void)
{
    enum { MANY = 30000 }; /* more than there is room for in a lane */
    test_init();
    kin_pool *pool = new_pool(2);
    kin_result **results = malloc(MANY * sizeof(kin_result *));
    for (int i = 0; i < MANY; i++)
        results[i] = submit_square(pool, i);
    for (int i = 0; i < MANY; i++) {
        check_square(results[i], i);
        ck_assert(kin_result_ready(results[i]));
        ck_assert_int_eq(kin_result_successful(results[i]), 1);
        kin_result_free(results[i]);
    }
    free(results);
    ck_assert_int_eq(kin_pool_finish(pool, TOP), 0);
    kin_pool_free(pool);
}

struct gate {
    _Atomic uint32_t open, inside;
};

static void await(_Atomic uint32_t *word)
{
    while (!atomic_load(word))
        usleep(100);
}

static int wait_at(kin_task *task, const void *in, void *out)
{
    (void)in;
    struct gate *gate = kin_task_context(task);
    atomic_fetch_add(&gate->inside, 1);
    await(&gate->open);
    if (out)
        *(int *)out = 7;
    return 0;
}

static kin_result *submit_gate(kin_pool *pool, struct gate *gate)
{
    kin_result *result =
        kin_pool_apply_async(pool, wait_at, KIN_APPLY_ARGS(.context = gate, .out_size = sizeof(int)));
    ck_assert_msg(result != NULL, "%s", kin_error_message());
    return result;
}

static void result_is_not_ready_before_it_is(void)
{
    test_init();
    kin_pool *pool = new_pool(1);
    struct gate *gate = kin_calloc(1, sizeof *gate);
    kin_result *result = submit_gate(pool, gate);
    kin_task_error error;
    int out = 0;
    ck_assert(!kin_result_ready(result));
    ck_assert_int_eq(kin_result_successful(result), KIN_EBUSY);
    ck_assert_int_eq(kin_result_error(result, &error), KIN_EBUSY);
    ck_assert_int_eq(kin_result_wait(result, 0), KIN_ETIMEDOUT);
    ck_assert_int_eq(kin_result_get(result, &out, sizeof out, 0.05), KIN_ETIMEDOUT);
    ck_assert_ptr_null(kin_result_value(result));
    atomic_store(&gate->open, 1);
    ck_assert_int_eq(kin_result_wait(result, TOP), 0);
    ck_assert_int_eq(kin_result_wait(result, 0), 0);
    ck_assert_int_eq(kin_result_get(result, &out, sizeof out, 0), 0);
    ck_assert_int_eq(out, 7);
    ck_assert_int_eq(*(int *)kin_result_value(result), 7);
    kin_result_free(result);
    kin_free(gate);
    kin_pool_free(pool);
}

static int fail_it(kin_task *task, const void *in, void *out)
{
    memset(out, 0xff, sizeof(int));
    switch (*(const int *)in) {
    case 0:
        return kin_task_fail(task, "it is %d", 0);
    case 1:
        return 42;
    default:
        return kin_error_set(-1234, "a code of its own");
    }
}

static void failure_is_told_with_its_cause(void)
{
    static const struct {
        int code, result;
        const char *message;
    } expected[] = {{KIN_EFAILED, KIN_EFAILED, "it is 0"},
                    {KIN_EFAILED, 42, "the task's function returned 42"},
                    {-1234, -1234, "a code of its own"}};
    test_init();
    kin_pool *pool = new_pool(1);
    for (int i = 0; i < 3; i++) {
        kin_task_error error;
        int out;
        kin_result *result = kin_pool_apply_async(
            pool, fail_it, KIN_APPLY_ARGS(.in = &i, .in_size = sizeof i, .out_size = sizeof out));
        ck_assert_int_eq(kin_result_get(result, &out, sizeof out, TOP), expected[i].code);
        ck_assert_str_eq(kin_error_message(), expected[i].message);
        ck_assert_int_eq(kin_result_successful(result), 0);
        ck_assert_ptr_null(kin_result_value(result));
        ck_assert_int_eq(kin_result_error(result, &error), 0);
        ck_assert_int_eq(error.cause, KIN_CAUSE_RETURNED);
        ck_assert_int_eq(error.result, expected[i].result);
        ck_assert_int_eq(error.error.code, expected[i].code);
        ck_assert_str_eq(error.function, "fail_it");
        ck_assert_int_eq(error.worker, 0);
        ck_assert_int_eq(error.attempts, 1);
        ck_assert_int_eq(error.pid == getpid(), test_kind() == KIN_POOL_THREADS);
        kin_result_free(result);
    }
    ck_assert_int_eq(kin_pool_finish(pool, TOP), 0);
    kin_pool_free(pool);
}

static int die(kin_task *task, const void *in, void *out)
{
    (void)task, (void)out;
    int how = *(const int *)in;
    if (how < 0)
        _exit(-how);
    raise(how);
    return 0;
}

static void death_fails_its_task_alone(void)
{
    static const int how[] = {SIGKILL, SIGSEGV, SIGABRT, -3};
    test_init();
    kin_pool *pool = new_pool(2);
    for (int i = 0; i < 4; i++) {
        kin_result *before = submit_square(pool, 3);
        kin_result *dead =
            kin_pool_apply_async(pool, die, KIN_APPLY_ARGS(.in = &how[i], .in_size = sizeof(int)));
        kin_result *after = submit_square(pool, 4);
        kin_task_error error;
        ck_assert_int_eq(kin_result_get(dead, NULL, 0, TOP), KIN_EDIED);
        ck_assert_msg(strstr(kin_error_message(), "task die()"), "%s", kin_error_message());
        ck_assert_int_eq(kin_result_error(dead, &error), 0);
        ck_assert_int_eq(error.cause, how[i] < 0 ? KIN_CAUSE_EXITED : KIN_CAUSE_SIGNALED);
        ck_assert_int_eq(how[i] < 0 ? error.end.exit_code : error.end.signal, abs(how[i]));
        ck_assert_str_eq(error.function, "die");
        check_square(before, 3);
        check_square(after, 4);
        kin_result_free(before);
        kin_result_free(dead);
        kin_result_free(after);
    }
    ck_assert_int_eq(kin_pool_finish(pool, TOP), 0);
    kin_pool_free(pool);
}

static int sum_up(kin_task *task, const void *in, void *out)
{
    (void)task;
    const unsigned char *bytes = in;
    unsigned char *to = out;
    for (size_t i = 0; i < 100000; i++)
        to[i] = (unsigned char)(bytes[i] + 1);
    return 0;
}

static int draw(kin_task *task, const void *in, void *out)
{
    (void)in;
    *(uint64_t *)out = kin_random_bits(kin_task_random(task)) + kin_task_index(task);
    return 0;
}

static void random_numbers_go_by_seed_and_index(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    for (size_t i = 0; i < 20; i++) {
        uint64_t out;
        kin_random random;
        kin_random_start(&random, 77, i);
        ck_assert_int_eq(
            kin_pool_apply(pool, draw,
                           KIN_APPLY_ARGS(.out = &out, .out_size = sizeof out, .index = i, .seed = 77)),
            0);
        ck_assert_uint_eq(out, kin_random_bits(&random) + i);
    }
    kin_pool_free(pool);
}

static void large_input_and_output_go_through(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    unsigned char *in = malloc(100000), *out = malloc(100000), *shared = kin_malloc(100000);
    for (size_t i = 0; i < 100000; i++)
        in[i] = (unsigned char)(i * 7);
    kin_result *result =
        kin_pool_apply_async(pool, sum_up, KIN_APPLY_ARGS(.in = in, .in_size = 100000, .out_size = 100000));
    kin_result *in_place = kin_pool_apply_async(
        pool, sum_up, KIN_APPLY_ARGS(.in = in, .in_size = 100000, .out = shared, .out_size = 100000));
    memset(in, 0, 100000); /* it was copied */
    ck_assert_int_eq(kin_result_get(result, out, 100000, TOP), 0);
    ck_assert_int_eq(kin_result_wait(in_place, TOP), 0);
    for (size_t i = 0; i < 100000; i++)
        ck_assert(out[i] == (unsigned char)(i * 7 + 1) && shared[i] == out[i]);
    ck_assert_ptr_eq(kin_result_value(in_place), shared);
    ck_assert_int_eq(kin_result_get(result, out, 99, TOP), KIN_EINVAL);
    kin_result_free(result);
    kin_result_free(in_place);
    free(in);
    free(out);
    kin_free(shared);
    kin_pool_free(pool);
}

static int make_text(kin_task *task, const void *in, void *out)
{
    size_t length = *(const size_t *)in;
    char *text = kin_task_malloc(task, length + 1);
    if (!text)
        return KIN_ENOMEM;
    memset(text, 'x', length);
    text[length] = '\0';
    *(char **)out = text;
    return length == 13 ? kin_task_fail(task, "bad luck") : 0;
}

static void result_of_variable_size_is_taken(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    static const size_t lengths[] = {0, 1, 1000, 200000, 13};
    for (int i = 0; i < 5; i++) {
        kin_result *result = kin_pool_apply_async(
            pool, make_text,
            KIN_APPLY_ARGS(.in = &lengths[i], .in_size = sizeof(size_t), .out_size = sizeof(char *)));
        kin_arena *arena;
        char *text;
        bool fails = lengths[i] == 13;
        ck_assert_int_eq(kin_result_get(result, &text, sizeof text, TOP), fails ? KIN_EFAILED : 0);
        ck_assert_int_eq(kin_result_take(result, &arena), 0);
        kin_result_free(result);
        ck_assert(fails == (arena == NULL));
        if (!fails)
            ck_assert_uint_eq(strlen(text), lengths[i]);
        kin_arena_free(arena);
    }
    kin_pool_free(pool);
}

static void queued_task_is_canceled_and_never_starts(void)
{
    test_init();
    kin_pool *pool = new_pool(1);
    struct gate *gate = kin_calloc(2, sizeof *gate);
    kin_result *first = submit_gate(pool, &gate[0]), *second = submit_gate(pool, &gate[1]);
    await(&gate[0].inside);
    ck_assert_int_eq(kin_result_cancel(second), 0);
    ck_assert_int_eq(kin_result_cancel(second), 0);
    ck_assert(kin_result_ready(second));
    ck_assert_int_eq(kin_result_get(second, NULL, 0, 0), KIN_ECANCELED);
    atomic_store(&gate[0].open, 1);
    atomic_store(&gate[1].open, 1);
    ck_assert_int_eq(kin_result_wait(first, TOP), 0);
    ck_assert_int_eq(kin_result_cancel(first), KIN_EBUSY);
    kin_result_free(first);
    kin_result_free(second);
    kin_result *third = submit_square(pool, 2);
    check_square(third, 2);
    ck_assert_uint_eq(gate[1].inside, 0);
    kin_result_free(third);
    kin_free(gate);
    kin_pool_free(pool);
}

static void running_task_is_canceled_at_once(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    struct gate *gate = kin_calloc(1, sizeof *gate);
    for (int i = 0; i < 5; i++) {
        atomic_store(&gate->inside, 0);
        kin_result *stuck = submit_gate(pool, gate);
        await(&gate->inside);
        kin_usage usage;
        ck_assert_int_eq(kin_result_cancel(stuck), 0);
        ck_assert_int_eq(kin_result_get(stuck, NULL, 0, 0), KIN_ECANCELED);
        ck_assert_int_eq(kin_result_usage(stuck, &usage), 0);
        ck_assert_int_gt(usage.pid, 0);
        while (kill(usage.pid, 0) == 0)
            usleep(500); /* until its worker is gone, which the deadline of the test bounds */
        kin_result_free(stuck);
        kin_result *next = submit_square(pool, i);
        check_square(next, i);
        kin_result_free(next);
    }
    kin_free(gate);
    ck_assert_int_eq(kin_pool_finish(pool, TOP), 0);
    kin_pool_free(pool);
}

static int fibonacci(kin_task *task, const void *in, void *out)
{
    int n = *(const int *)in, *to = out, parts[2] = {0, 0};
    if (n < 2) {
        *to = n;
        return 0;
    }
    kin_pool *pool = kin_task_context(task);
    kin_result *results[2];
    for (int i = 0; i < 2; i++) {
        int less = n - 1 - i;
        results[i] = kin_pool_apply_async(
            pool, fibonacci,
            KIN_APPLY_ARGS(.in = &less, .in_size = sizeof less, .out_size = sizeof(int), .context = pool));
        if (!results[i])
            return kin_error_code();
    }
    for (int i = 0; i < 2; i++) {
        int error = kin_result_get(results[i], &parts[i], sizeof(int), KIN_FOREVER);
        if (error)
            return error;
        if (n % 2) /* what is not freed goes with the task */
            kin_result_free(results[i]);
    }
    *to = parts[0] + parts[1];
    return 0;
}

static void tasks_wait_for_tasks_on_one_worker(void)
{
    test_init();
    for (int workers = 1; workers <= 3; workers++) {
        kin_pool *pool = new_pool(workers);
        int n = 15, out = 0;
        ck_assert_int_eq(kin_pool_apply(pool, fibonacci,
                                        KIN_APPLY_ARGS(.in = &n, .in_size = sizeof n, .out = &out,
                                                       .out_size = sizeof out, .context = pool)),
                         0);
        ck_assert_int_eq(out, 610);
        ck_assert_int_eq(kin_pool_finish(pool, TOP), 0);
        kin_pool_free(pool);
    }
}

static double *numbers(size_t count)
{
    double *in = malloc(count * sizeof *in);
    for (size_t i = 0; i < count; i++)
        in[i] = (double)i;
    return in;
}

static int square_item(kin_task *task, const double *in, double *out)
{
    return square(task, in, out);
}

static void maps_and_tasks_take_turns(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    double *in = numbers(1000), *out = malloc(1000 * sizeof *out);
    struct gate *gate = kin_calloc(1, sizeof *gate);
    kin_result *stuck = submit_gate(pool, gate); /* one worker is busy: the map ends without it */
    await(&gate->inside);
    for (int i = 0; i < 200; i++) {
        kin_result *result = submit_square(pool, i);
        ck_assert_int_eq(kin_map(pool, square_item, in, out, 1000), 0);
        ck_assert_double_eq(out[999], 999.0 * 999);
        check_square(result, i);
        kin_result_free(result);
    }
    atomic_store(&gate->open, 1);
    ck_assert_int_eq(kin_result_wait(stuck, TOP), 0);
    kin_result_free(stuck);
    free(in);
    free(out);
    kin_free(gate);
    ck_assert_int_eq(kin_pool_finish(pool, TOP), 0);
    kin_pool_free(pool);
}

static void finish_waits_for_what_is_queued_and_tells_what_nobody_read(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    int zero = 0;
    double out;
    kin_result *result = submit_square(pool, 5);
    kin_result *fails = kin_pool_apply_async(
        pool, fail_it, KIN_APPLY_ARGS(.in = &zero, .in_size = sizeof zero, .out_size = 4));
    ck_assert_int_eq(kin_pool_finish(pool, TOP), KIN_EFAILED);
    ck_assert_str_eq(kin_error_message(), "it is 0");
    ck_assert(kin_result_ready(result) && kin_result_ready(fails));
    ck_assert_ptr_null(kin_pool_apply_async(pool, square, KIN_APPLY_ARGS(.out_size = 8)));
    ck_assert_int_eq(kin_error_code(), KIN_ECLOSED);
    ck_assert_int_eq(kin_result_get(result, &out, sizeof out, 0), 0);
    kin_result_free(result);
    kin_result_free(fails);
    kin_pool_free(pool);
}

static void pool_is_freed_with_tasks_under_way(void)
{
    test_init();
    struct gate *gate = kin_calloc(1, sizeof *gate);
    for (int i = 0; i < 10; i++) {
        kin_pool *pool = new_pool(2);
        for (int k = 0; k < 100; k++)
            submit_gate(pool, gate);
        if (i % 2)
            await(&gate->inside);
        kin_pool_free(pool);
    }
    kin_free(gate);
}

static void bad_calls_are_told(void)
{
    test_init();
    kin_pool *pool = new_pool(1);
    int private = 0;
    ck_assert_ptr_null(kin_pool_apply_async(NULL, square, NULL));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    ck_assert_ptr_null(kin_pool_apply_async(pool, NULL, NULL));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    ck_assert_ptr_null(kin_pool_apply_async(pool, square, KIN_APPLY_ARGS(.in = &private)));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    ck_assert_ptr_null(kin_pool_apply_async(pool, square, KIN_APPLY_ARGS(.context = &private)));
    ck_assert_int_eq(kin_error_code(), KIN_ENOTSHARED);
    ck_assert_ptr_null(
        kin_pool_apply_async(pool, square, KIN_APPLY_ARGS(.out = &private, .out_size = sizeof private)));
    ck_assert_int_eq(kin_error_code(), KIN_ENOTSHARED);
    kin_result *result = submit_square(pool, 1);
    ck_assert_int_eq(kin_result_wait(result, NAN), KIN_EINVAL);
    ck_assert_int_eq(kin_result_wait((kin_result *)pool, 0), KIN_EINVAL);
    ck_assert_msg(strstr(kin_error_message(), "not a result but a pool"), "%s", kin_error_message());
    ck_assert_int_eq(kin_result_wait(NULL, 0), KIN_EINVAL);
    kin_result_free(result);
    ck_assert(!kin_result_ready(result));
    kin_result_free(result);
    kin_result_free(NULL);
    kin_pool_free(pool);
}

static const struct test tests[] = {
    {"apply_returns_what_the_task_wrote", apply_returns_what_the_task_wrote, 20,
     TEST_EACH_METHOD | TEST_AND_THREADS},
    {"many_results_at_once", many_results_at_once, 20, TEST_NOT_VALGRIND},
    {"result_is_not_ready_before_it_is", result_is_not_ready_before_it_is, 20,
     TEST_EACH_METHOD | TEST_AND_THREADS},
    {"failure_is_told_with_its_cause", failure_is_told_with_its_cause, 20,
     TEST_EACH_METHOD | TEST_AND_THREADS},
    {"death_fails_its_task_alone", death_fails_its_task_alone, 20, TEST_EACH_METHOD},
    {"random_numbers_go_by_seed_and_index", random_numbers_go_by_seed_and_index, 20, TEST_NOT_VALGRIND},
    {"large_input_and_output_go_through", large_input_and_output_go_through, 20, TEST_NOT_VALGRIND},
    {"result_of_variable_size_is_taken", result_of_variable_size_is_taken, 20,
     TEST_EACH_METHOD | TEST_AND_THREADS},
    {"queued_task_is_canceled_and_never_starts", queued_task_is_canceled_and_never_starts, 20,
     TEST_EACH_METHOD | TEST_AND_THREADS},
    {"running_task_is_canceled_at_once", running_task_is_canceled_at_once, 20, TEST_EACH_METHOD},
    {"tasks_wait_for_tasks_on_one_worker", tasks_wait_for_tasks_on_one_worker, 20,
     TEST_EACH_METHOD | TEST_AND_THREADS},
    {"maps_and_tasks_take_turns", maps_and_tasks_take_turns, 20, TEST_NOT_VALGRIND},
    {"finish_waits_for_what_is_queued_and_tells_what_nobody_read",
     finish_waits_for_what_is_queued_and_tells_what_nobody_read, 20, TEST_EACH_METHOD | TEST_AND_THREADS},
    {"pool_is_freed_with_tasks_under_way", pool_is_freed_with_tasks_under_way, 20, TEST_EACH_METHOD},
    {"bad_calls_are_told", bad_calls_are_told, 20, TEST_NOT_VALGRIND},
};
TEST_MAIN("apply", tests)
