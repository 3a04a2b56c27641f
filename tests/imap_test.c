/* imap_test.c - kin/imap.h: lazy input, bounded windows, order, failures, deaths; the reduction. */
#include "pool_common.h"

#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static kin_imap *imap_over(kin_pool *pool, kin_task_fn fn, const kin_imap_args *args)
{
    kin_imap *imap = kin_pool_imap(pool, fn, args);
    ck_assert_msg(imap != NULL, "%s", kin_error_message());
    return imap;
}

static int square(kin_task *task, const void *in, void *out)
{
    uint64_t value = *(const uint64_t *)in;
    if (value != kin_task_index(task))
        return kin_task_fail(task, "index %zu", kin_task_index(task));
    *(uint64_t *)out = value * value;
    return 0;
}

struct source {
    uint64_t next, end, given;
    int error;
};

static int draw(void *arg, void *in)
{
    struct source *source = arg;
    if (source->next == source->end)
        return source->error;
    ck_assert_uint_le(source->next - source->given, 40); /* a window of 4 chunks of at most 10 */
    *(uint64_t *)in = source->next++;
    return 1;
}

static void results_come_in_order_from_a_bounded_window(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    for (size_t chunk = 1; chunk <= 10; chunk += 9) {
        struct source source = {.end = 2003};
        kin_imap *imap = imap_over(pool, square,
                                   KIN_IMAP_ARGS(.input = draw, .input_arg = &source, .in_size = 8,
                                                 .out_size = 8, .window = 4, .chunk = chunk));
        for (uint64_t i = 0; i < 2003; i++) {
            uint64_t out;
            size_t index;
            ck_assert_msg(kin_imap_next(imap, &out, &index, TOP) == 0, "%s", kin_error_message());
            ck_assert_uint_eq(index, i);
            ck_assert_uint_eq(out, i * i);
            source.given = i + 1;
        }
        ck_assert_int_eq(kin_imap_next(imap, NULL, NULL, TOP), KIN_ECLOSED);
        ck_assert_int_eq(kin_imap_next(imap, NULL, NULL, TOP), KIN_ECLOSED);
        kin_imap_free(imap);
    }
    end_pool(pool);
}

static int slow_first(kin_task *task, const void *in, void *out)
{
    uint64_t value = *(const uint64_t *)in;
    (void)task;
    if (value == 0)
        usleep(200000);
    *(uint64_t *)out = value;
    return 0;
}

static void unordered_results_come_as_they_are_finished(void)
{
    enum { COUNT = 100 };
    test_init();
    kin_pool *pool = new_pool(2);
    uint64_t in[COUNT];
    bool seen[COUNT] = {false};
    size_t at_zero = 0;
    for (uint64_t i = 0; i < COUNT; i++)
        in[i] = i;
    kin_imap *imap =
        imap_over(pool, slow_first,
                  KIN_IMAP_ARGS(.in = in, .in_size = 8, .count = COUNT, .out_size = 8, .unordered = true));
    for (size_t i = 0; i < COUNT; i++) {
        uint64_t out;
        size_t index;
        ck_assert_int_eq(kin_imap_next(imap, &out, &index, TOP), 0);
        ck_assert_uint_eq(out, index);
        ck_assert(!seen[index]);
        seen[index] = true;
        if (index == 0)
            at_zero = i;
    }
    ck_assert_uint_gt(at_zero, 50);
    ck_assert_int_eq(kin_imap_next(imap, NULL, NULL, 0), KIN_ECLOSED);
    kin_imap_free(imap);
    end_pool(pool);
}

static int trouble(kin_task *task, const void *in, void *out)
{
    uint64_t value = *(const uint64_t *)in;
    *(uint64_t *)out = value + 1;
    if (value % 10 == 3)
        return kin_task_fail(task, "item %zu", kin_task_index(task));
    if (value % 10 == 7)
        raise(SIGKILL);
    return 0;
}

static void failed_items_are_told_and_the_rest_goes_on(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    for (size_t chunk = 1; chunk < 6; chunk += 4) {
        struct source source = {.end = 40, .error = -1500};
        kin_imap *imap = imap_over(pool, trouble,
                                   KIN_IMAP_ARGS(.input = draw, .input_arg = &source, .in_size = 8,
                                                 .out_size = 8, .window = 4, .chunk = chunk));
        for (uint64_t i = 0; i < 40; i++) {
            uint64_t out = 99;
            size_t index;
            kin_task_error error;
            int code = kin_imap_next(imap, &out, &index, TOP);
            source.given = i + 1;
            ck_assert_uint_eq(index, i);
            ck_assert_int_eq(code, i % 10 == 3 ? KIN_EFAILED : i % 10 == 7 ? KIN_EDIED : 0);
            ck_assert_uint_eq(out, code ? 0 : i + 1);
            if (!code)
                continue;
            ck_assert_int_eq(kin_imap_error(imap, &error), 0);
            ck_assert_uint_eq(error.index, i);
            ck_assert_str_eq(error.function, "trouble");
            ck_assert_int_eq(error.cause, code == KIN_EDIED ? KIN_CAUSE_SIGNALED : KIN_CAUSE_RETURNED);
        }
        ck_assert_int_eq(kin_imap_next(imap, NULL, NULL, TOP), -1500); /* the input's */
        ck_assert_int_eq(kin_imap_next(imap, NULL, NULL, TOP), KIN_ECLOSED);
        kin_imap_free(imap);
    }
    end_pool(pool);
}

static int feed(void *arg)
{
    kin_queue *queue = arg;
    for (uint64_t i = 0; i < 500; i++) {
        if (i % 100 == 99)
            usleep(20000);
        child_assert(kin_queue_put(queue, &i, sizeof i, KIN_FOREVER) == 0);
    }
    child_assert(kin_queue_close(queue) == 0);
    return 0;
}

static void input_comes_from_a_queue_until_it_is_closed(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    kin_queue *queue = kin_queue_new(NULL);
    kin_imap *imap = imap_over(pool, square, KIN_IMAP_ARGS(.queue = queue, .in_size = 8, .out_size = 8));
    uint64_t out;
    ck_assert_int_eq(kin_imap_next(imap, &out, NULL, 0.02), KIN_ETIMEDOUT);
    kin_process *feeder =
        kin_process_start_shared(feed, queue, KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_ptr_nonnull(feeder);
    for (uint64_t i = 0; i < 500; i++) {
        ck_assert_msg(kin_imap_next(imap, &out, NULL, TOP) == 0, "%s", kin_error_message());
        ck_assert_uint_eq(out, i * i);
    }
    ck_assert_int_eq(kin_imap_next(imap, &out, NULL, TOP), KIN_ECLOSED);
    kin_imap_free(imap);
    ck_assert_int_eq(kin_process_join(feeder, TOP), 0);
    kin_process_free(feeder);
    kin_queue_free(queue);
    end_pool(pool);
}

static int endless(void *arg, void *in)
{
    *(uint64_t *)in = (*(uint64_t *)arg)++;
    return 1;
}

static void endless_input_takes_constant_memory(void)
{
    uint64_t rounds = test_long() ? 10000000 : 100000, next = 0;
    test_init();
    kin_pool *pool = new_pool(2);
    kin_heap_stats before = {.size = sizeof before}, after = {.size = sizeof after};
    kin_imap *imap = imap_over(
        pool, square,
        KIN_IMAP_ARGS(.input = endless, .input_arg = &next, .in_size = 8, .out_size = 8, .chunk = 16));
    for (uint64_t i = 0; i < rounds; i++) {
        uint64_t out;
        if (i == rounds / 10)
            ck_assert_int_eq(kin_heap_get_stats(&before), 0);
        ck_assert_msg(kin_imap_next(imap, &out, NULL, TOP) == 0, "%s", kin_error_message());
        ck_assert_uint_eq(out, i * i);
    }
    ck_assert_int_eq(kin_heap_get_stats(&after), 0);
    ck_assert_uint_eq(after.arenas, before.arenas);
    ck_assert_uint_eq(after.large_bytes, before.large_bytes);
    ck_assert_uint_le(after.small_bytes, before.small_bytes + 10000);
    kin_imap_free(imap); /* with much under way */
    end_pool(pool);
}

static int draw_unbounded(void *arg, void *in)
{
    struct source *source = arg;
    if (source->next == source->end)
        return 0;
    *(uint64_t *)in = source->next++;
    return 1;
}

static int sum_squares(kin_task *task, const void *in, void *out)
{
    struct source source = {.end = *(const uint64_t *)in};
    kin_imap *imap = kin_pool_imap(kin_task_context(task), square,
                                   KIN_IMAP_ARGS(.input = draw_unbounded, .input_arg = &source, .in_size = 8,
                                                 .out_size = 8, .unordered = true, .window = 4));
    uint64_t value;
    int error = 0;
    while (imap && (error = kin_imap_next(imap, &value, NULL, KIN_FOREVER)) == 0)
        *(uint64_t *)out += value;
    kin_imap_free(imap);
    return error == KIN_ECLOSED ? 0 : kin_error_code();
}

static void tasks_iterate_within_tasks(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    uint64_t in[20];
    for (uint64_t i = 0; i < 20; i++)
        in[i] = i;
    kin_imap *imap =
        imap_over(pool, sum_squares,
                  KIN_IMAP_ARGS(.in = in, .in_size = 8, .count = 20, .out_size = 8, .context = pool));
    for (uint64_t i = 0, sum = 0; i < 20; i++) {
        uint64_t out;
        ck_assert_msg(kin_imap_next(imap, &out, NULL, TOP) == 0, "%s", kin_error_message());
        ck_assert_uint_eq(out, sum);
        sum += i * i;
    }
    kin_imap_free(imap);
    end_pool(pool);
}

/* ---- the reduction ------------------------------------------------------------------------- */

static int root(kin_task *task, const void *in, void *out)
{
    double value = *(const double *)in;
    if (value < 0)
        return kin_task_fail(task, "item %zu is %g", kin_task_index(task), value);
    if (kin_task_context(task) && kin_task_index(task) == 777 && kin_task_attempt(task) == 0)
        raise(SIGKILL);
    *(double *)out = sqrt(value) + kin_random_double(kin_task_random(task));
    return 0;
}

static uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void add(void *into, const void *value, void *context)
{
    (void)context;
    *(double *)into += *(const double *)value;
}

static void reduction_repeats_to_the_last_bit(void)
{
    enum { COUNT = 10000 };
    test_init();
    double *in = malloc(COUNT * sizeof *in), first = 0;
    char *dies = kin_calloc(1, 1);
    for (int i = 0; i < COUNT; i++)
        in[i] = i * 1.1;
    for (int workers = 1; workers <= 4; workers++)
        for (int kind = KIN_POOL_PROCESSES; kind <= KIN_POOL_INLINE; kind++) {
            double sum = 0.5;
            bool with_death = kind == KIN_POOL_PROCESSES && workers > 2;
            kin_pool *pool = kin_pool_new(
                KIN_POOL_OPTIONS(.workers = workers, .kind = kind, .start_method = test_method()));
            ck_assert_ptr_nonnull(pool);
            ck_assert_msg(kin_pool_reduce(pool, root, add,
                                          KIN_MAP_ARGS(.in = in, .in_size = sizeof *in, .out = &sum,
                                                       .out_size = sizeof sum, .count = COUNT, .seed = 5,
                                                       .context = with_death ? dies : NULL, .retries = 1)) ==
                              0,
                          "%s", kin_error_message());
            if (first == 0)
                first = sum;
            ck_assert_double_gt(sum, 1000);
            ck_assert_uint_eq(bits_of(sum), bits_of(first));
            end_pool(pool);
        }
    double plain = 0.5, block = 0;
    for (size_t i = 0; i < COUNT; i++) { /* blocks of 40: 10000 / 256, rounded up */
        kin_random random;
        kin_random_start(&random, 5, i);
        double value = sqrt(in[i]) + kin_random_double(&random);
        block = i % 40 ? block + value : value;
        if (i % 40 == 39 || i == COUNT - 1)
            plain += block;
    }
    ck_assert_uint_eq(bits_of(plain), bits_of(first));
    kin_pool *pool = new_pool(2);
    double sum = 7;
    in[4321] = -1;
    ck_assert_int_eq(kin_pool_reduce(pool, root, add,
                                     KIN_MAP_ARGS(.in = in, .in_size = sizeof *in, .out = &sum,
                                                  .out_size = sizeof sum, .count = COUNT)),
                     KIN_EFAILED);
    ck_assert_str_eq(kin_error_message(), "item 4321 is -1");
    ck_assert_double_eq(sum, 7);
    ck_assert_int_eq(kin_pool_reduce(pool, root, add, KIN_MAP_ARGS(.out = &sum, .out_size = sizeof sum)), 0);
    ck_assert_double_eq(sum, 7);
    end_pool(pool);
    free(in);
    kin_free(dies);
}

static void bad_calls_are_told(void)
{
    test_init();
    kin_pool *pool = new_pool(1);
    uint64_t in = 1;
    ck_assert_ptr_null(kin_pool_imap(pool, square, KIN_IMAP_ARGS(.in = &in, .count = 1)));
    ck_assert_ptr_null(kin_pool_imap(pool, NULL, KIN_IMAP_ARGS(.in = &in, .in_size = 8, .count = 1)));
    ck_assert_ptr_null(
        kin_pool_imap(pool, square, KIN_IMAP_ARGS(.in = &in, .in_size = 8, .count = 1, .input = endless)));
    ck_assert_ptr_null(kin_pool_imap(pool, square, KIN_IMAP_ARGS(.input = endless)));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    ck_assert_int_eq(kin_imap_next(NULL, NULL, NULL, 0), KIN_EINVAL);
    kin_imap *imap = imap_over(pool, square, NULL);
    ck_assert_int_eq(kin_imap_next(imap, NULL, NULL, NAN), KIN_EINVAL);
    ck_assert_int_eq(kin_imap_next(imap, NULL, NULL, 0), KIN_ECLOSED);
    kin_imap_free(imap);
    kin_imap_free(NULL);
    ck_assert_int_eq(kin_pool_reduce(pool, root, NULL, KIN_MAP_ARGS(.count = 1)), KIN_EINVAL);
    end_pool(pool);
}

static const struct test tests[] = {
    {"results_come_in_order_from_a_bounded_window", results_come_in_order_from_a_bounded_window, 20,
     TEST_EACH_METHOD | TEST_AND_THREADS},
    {"unordered_results_come_as_they_are_finished", unordered_results_come_as_they_are_finished, 20,
     TEST_EACH_METHOD | TEST_AND_THREADS},
    {"failed_items_are_told_and_the_rest_goes_on", failed_items_are_told_and_the_rest_goes_on, 20,
     TEST_EACH_METHOD},
    {"input_comes_from_a_queue_until_it_is_closed", input_comes_from_a_queue_until_it_is_closed, 20,
     TEST_EACH_METHOD | TEST_AND_THREADS},
    {"endless_input_takes_constant_memory", endless_input_takes_constant_memory, 120, TEST_NOT_VALGRIND},
    {"tasks_iterate_within_tasks", tasks_iterate_within_tasks, 20, TEST_EACH_METHOD | TEST_AND_THREADS},
    {"reduction_repeats_to_the_last_bit", reduction_repeats_to_the_last_bit, 30, TEST_NOT_VALGRIND},
    {"bad_calls_are_told", bad_calls_are_told, 20, TEST_NOT_VALGRIND},
};
TEST_MAIN("imap", tests)
