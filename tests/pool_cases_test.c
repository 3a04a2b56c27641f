/* pool_cases_test.c - cases of CPython's _TestPool that the other tests of the pool do not tell (tests/cpython/pool.tsv). */
#include "pool_common.h"

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct pair {
    int x, y;
};

static int multiply(kin_task *task, const struct pair *in, int *out)
{
    (void)task;
    *out = in->x * in->y;
    return 0;
}

static int multiply_untyped(kin_task *task, const void *in, void *out)
{
    return multiply(task, in, out);
}

static void several_arguments_are_a_struct(void)
{
    enum { COUNT = 100 };
    test_init();
    kin_pool *pool = new_pool(2);
    struct pair in[COUNT];
    int out[COUNT], later[COUNT];
    for (int i = 0; i < COUNT; i++)
        in[i] = (struct pair){i, i + 1};
    ck_assert_int_eq(kin_map(pool, multiply, in, out, COUNT), 0);
    kin_result *result = kin_pool_map_async(
        pool, multiply_untyped,
        KIN_MAP_ARGS(.in = in, .in_size = sizeof *in, .out_size = sizeof *out, .count = COUNT));
    ck_assert_int_eq(kin_result_get(result, later, sizeof later, TOP), 0);
    for (int i = 0; i < COUNT; i++)
        ck_assert(out[i] == i * (i + 1) && later[i] == out[i]);
    kin_result_free(result);
    end_pool(pool);
}

static void empty_input_is_no_error(void)
{
    test_init();
    kin_pool *pool = new_pool(1);
    struct pair in;
    int out;
    ck_assert_int_eq(kin_map(pool, multiply, &in, &out, 0), 0);
    kin_result *result = kin_pool_map_async(
        pool, multiply_untyped,
        KIN_MAP_ARGS(.in = &in, .in_size = sizeof in, .out_size = sizeof out, .chunk = 50));
    ck_assert_ptr_nonnull(result);
    ck_assert(kin_result_ready(result));
    ck_assert_int_eq(kin_result_successful(result), 1);
    kin_result_free(result);
    for (int unordered = 0; unordered < 2; unordered++) {
        kin_imap *imap = kin_pool_imap(
            pool, multiply_untyped,
            KIN_IMAP_ARGS(.in = &in, .in_size = sizeof in, .out_size = sizeof out, .unordered = unordered));
        ck_assert_msg(imap != NULL, "%s", kin_error_message());
        ck_assert_int_eq(kin_imap_next(imap, &out, NULL, TOP), KIN_ECLOSED);
        kin_imap_free(imap);
    }
    end_pool(pool);
}

static int draw_ten(void *arg, void *in)
{
    int *count = arg;
    *(struct pair *)in = (struct pair){*count, 2};
    return ++*count > 10 ? kin_error_set(-1600, "the source is broken") : 1;
}

static void input_that_fails_is_told_after_the_results(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    for (int unordered = 0; unordered < 2; unordered++) {
        int drawn = 0, sum = 0, out, error;
        kin_imap *imap = kin_pool_imap(pool, multiply_untyped,
                                       KIN_IMAP_ARGS(.input = draw_ten, .input_arg = &drawn,
                                                     .in_size = sizeof(struct pair), .out_size = sizeof out,
                                                     .unordered = unordered, .chunk = 3));
        ck_assert_ptr_nonnull(imap);
        while ((error = kin_imap_next(imap, &out, NULL, TOP)) == 0)
            sum += out;
        ck_assert_int_eq(error, -1600);
        ck_assert_str_eq(kin_error_message(), "the source is broken");
        ck_assert_int_eq(sum, 90);
        kin_imap_free(imap);
    }
    end_pool(pool);
}

static void what_tasks_were_given_is_released_with_their_results(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    kin_heap_stats stats[2] = {{.size = sizeof(kin_heap_stats)}, {.size = sizeof(kin_heap_stats)}};
    char *bytes = calloc(1, 5000);
    for (int round = 0; round < 2; round++) {
        kin_result *results[100];
        for (int i = 0; i < 100; i++)
            results[i] = kin_pool_apply_async(pool, multiply_untyped,
                                              KIN_APPLY_ARGS(.in = bytes, .in_size = 5000, .out_size = 5000));
        for (int i = 0; i < 100; i++) {
            ck_assert_int_eq(kin_result_wait(results[i], TOP), 0);
            kin_result_free(results[i]);
        }
        ck_assert_int_eq(kin_heap_get_stats(&stats[round]), 0);
    }
    ck_assert_uint_eq(stats[0].arenas, stats[1].arenas);
    ck_assert_uint_eq(stats[0].large_bytes, stats[1].large_bytes);
    ck_assert_uint_eq(stats[0].small_blocks, stats[1].small_blocks);
    free(bytes);
    end_pool(pool);
}

static void pool_that_cannot_be_started_leaves_no_process(void)
{
    test_init();
    struct rlimit limit, before;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    kin_pool *small = new_pool(1); /* what the start method needs is there */
    int next = dup(0);
    close(next);
    limit = before;
    limit.rlim_cur = (rlim_t)next + 6;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    kin_pool *pool =
        kin_pool_new(KIN_POOL_OPTIONS(.workers = 30, .start_method = test_method(), .kind = test_kind()));
    int code = kin_error_code();
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_ptr_null(pool);
    ck_assert_int_ne(code, 0);
    kin_process *children[8];
    size_t count;
    ck_assert_int_eq(kin_active_children(children, 8, &count), 0);
    ck_assert_uint_eq(count, 1);
    end_pool(small);
}

static int warnings;

static void count_warning(int level, const char *message, void *arg)
{
    (void)arg;
    warnings += level == KIN_LOG_WARNING && strstr(message, "freed without kin_pool_finish") != NULL;
}

static void do_nothing(void *state)
{
    (void)state;
}

static void pool_that_was_not_finished_is_warned_of(void)
{
    test_init();
    kin_log_set_callback(count_warning, NULL);
    kin_pool_free(kin_pool_new(KIN_POOL_OPTIONS(.workers = 1, .start_method = test_method(),
                                                .kind = test_kind(), .finalizer = do_nothing)));
    kin_log_set_callback(NULL, NULL);
    ck_assert_int_eq(warnings, 1);
}

static void pool_of_no_workers_is_refused(void)
{
    test_init();
    static const int counts[] = {-1, -2, 100000};
    for (int i = 0; i < 3; i++) {
        ck_assert_ptr_null(kin_pool_new(
            KIN_POOL_OPTIONS(.workers = counts[i], .start_method = test_method(), .kind = test_kind())));
        ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    }
}

static const struct test tests[] = {
    {"several_arguments_are_a_struct", several_arguments_are_a_struct, 20,
     TEST_EACH_METHOD | TEST_AND_THREADS},
    {"empty_input_is_no_error", empty_input_is_no_error, 20, TEST_EACH_METHOD | TEST_AND_THREADS},
    {"input_that_fails_is_told_after_the_results", input_that_fails_is_told_after_the_results, 20,
     TEST_EACH_METHOD | TEST_AND_THREADS},
    {"what_tasks_were_given_is_released_with_their_results",
     what_tasks_were_given_is_released_with_their_results, 20, TEST_EACH_METHOD | TEST_AND_THREADS},
    {"pool_that_cannot_be_started_leaves_no_process", pool_that_cannot_be_started_leaves_no_process, 20,
     TEST_EACH_METHOD},
    {"pool_that_was_not_finished_is_warned_of", pool_that_was_not_finished_is_warned_of, 20,
     TEST_EACH_METHOD},
    {"pool_of_no_workers_is_refused", pool_of_no_workers_is_refused, 20, TEST_EACH_METHOD | TEST_AND_THREADS},
};
TEST_MAIN("pool_cases", tests)
