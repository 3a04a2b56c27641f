/* map_async_test.c - many items under one result: pieces, failures, deaths, limits, cancel, nested. */
#include "pool_common.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static kin_result *map(kin_pool *pool, kin_task_fn fn, const kin_map_args *args)
{
    kin_result *result = kin_pool_map_async(pool, fn, args);
    ck_assert_msg(result != NULL, "%s", kin_error_message());
    return result;
}

static int square(kin_task *task, const void *in, void *out)
{
    uint64_t value = *(const uint64_t *)in;
    if (value != kin_task_index(task))
        return kin_task_fail(task, "index %zu", kin_task_index(task));
    *(uint64_t *)out = value * value;
    return 0;
}

static uint64_t *numbers(size_t count)
{
    uint64_t *in = malloc(count * sizeof *in + 1);
    for (size_t i = 0; i < count; i++)
        in[i] = i;
    return in;
}

static void each_item_is_done_once_and_in_its_place(void)
{
    static const size_t counts[] = {0, 1, 2, 17, 5000, 200000};
    test_init();
    kin_pool *pool = new_pool(2);
    for (int i = 0; i < 6; i++)
        for (size_t chunk = 0; chunk < 60; chunk += 50) {
            size_t count = counts[i], bytes = count * sizeof(uint64_t);
            uint64_t *in = numbers(count), *out = malloc(bytes + 1), *shared = kin_malloc(bytes + 8);
            kin_result *first =
                map(pool, square,
                    KIN_MAP_ARGS(.in = in, .in_size = 8, .out_size = 8, .count = count, .chunk = chunk));
            kin_result *second = map(pool, square,
                                     KIN_MAP_ARGS(.in = in, .in_size = 8, .out = shared, .out_size = 8,
                                                  .count = count, .chunk = chunk));
            memset(in, 0, bytes); /* it was copied */
            ck_assert_msg(kin_result_get(first, count ? out : NULL, bytes, TOP) == 0, "%s",
                          kin_error_message());
            ck_assert_int_eq(kin_result_wait(second, TOP), 0);
            ck_assert_int_eq(kin_result_successful(second), 1);
            for (size_t k = 0; k < count; k++)
                ck_assert_msg(out[k] == k * k && shared[k] == k * k, "%zu: %zu", k, (size_t)out[k]);
            kin_result_free(first);
            kin_result_free(second);
            free(in);
            free(out);
            kin_free(shared);
        }
    end_pool(pool);
}

static int trouble(kin_task *task, const void *in, void *out)
{
    uint64_t value = *(const uint64_t *)in;
    *(uint64_t *)out = value + 1;
    if (value % 100 == 7)
        return kin_task_fail(task, "item %zu", kin_task_index(task));
    if (value % 100 == 50)
        raise(SIGKILL);
    if (value % 100 == 60 && kin_task_attempt(task) == 0)
        _exit(1);
    return 0;
}

static void failures_are_told_in_order_and_the_rest_is_done(void)
{
    enum { COUNT = 400 };
    test_init();
    kin_pool *pool = new_pool(2);
    for (int retries = 0; retries < 2; retries++) {
        uint64_t *in = numbers(COUNT), out[COUNT];
        kin_task_error errors[20];
        size_t count;
        kin_result *result = map(pool, trouble,
                                 KIN_MAP_ARGS(.in = in, .in_size = 8, .out_size = 8, .count = COUNT,
                                              .on_failure = KIN_COLLECT, .retries = retries));
        ck_assert_int_eq(kin_result_get(result, out, sizeof out, TOP), KIN_EFAILED);
        ck_assert_str_eq(kin_error_message(), "item 7");
        ck_assert_int_eq(kin_result_failures(result, errors, 20, &count), 0);
        ck_assert_uint_eq(count, retries ? 8 : 12);
        size_t at = 0;
        for (size_t i = 0; i < COUNT; i++) {
            bool fails = i % 100 == 7, dies = i % 100 == 50, dies_once = i % 100 == 60;
            bool fine = !fails && !dies && !(dies_once && !retries);
            ck_assert_msg(out[i] == (fine ? i + 1 : 0), "out[%zu] is %zu", i, (size_t)out[i]);
            if (fine)
                continue;
            ck_assert_uint_eq(errors[at].index, i);
            ck_assert_int_eq(errors[at].cause, fails  ? KIN_CAUSE_RETURNED
                                               : dies ? KIN_CAUSE_SIGNALED
                                                      : KIN_CAUSE_EXITED);
            ck_assert_int_eq(errors[at].attempts, dies ? retries + 1 : 1);
            ck_assert_str_eq(errors[at].function, "trouble");
            at++;
        }
        kin_result_free(result);
        free(in);
    }
    end_pool(pool);
}

static int count_and_fail(kin_task *task, size_t index, void *context)
{
    atomic_fetch_add((_Atomic uint32_t *)context, 1);
    return index == 0 ? kin_task_fail(task, "the first") : (usleep(1000), 0);
}

static void first_failure_stops_the_rest(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    _Atomic uint32_t *count = kin_calloc(1, sizeof *count);
    kin_result *result =
        kin_pool_for_async(pool, count_and_fail, KIN_MAP_ARGS(.count = 10000, .context = count));
    ck_assert_ptr_nonnull(result);
    ck_assert_int_eq(kin_result_get(result, NULL, 0, TOP), KIN_EFAILED);
    ck_assert_uint_lt(*count, 1000);
    kin_result_free(result);
    kin_free((void *)count);
    end_pool(pool);
}

struct gate {
    _Atomic uint32_t open, inside;
};

static int wait_at(kin_task *task, size_t index, void *context)
{
    (void)task, (void)index;
    struct gate *gate = context;
    atomic_fetch_add(&gate->inside, 1);
    while (!atomic_load(&gate->open))
        usleep(100);
    return 0;
}

static void map_is_canceled_as_a_whole(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    for (int i = 0; i < 5; i++) {
        struct gate *gate = kin_calloc(1, sizeof *gate);
        kin_result *result = kin_pool_for_async(pool, wait_at, KIN_MAP_ARGS(.count = 100, .context = gate));
        while (atomic_load(&gate->inside) < 2)
            usleep(100);
        ck_assert(!kin_result_ready(result));
        ck_assert_int_eq(kin_result_cancel(result), 0);
        ck_assert_int_eq(kin_result_get(result, NULL, 0, 0), KIN_ECANCELED);
        kin_result_free(result); /* after which nobody is at work on it any more */
        ck_assert_uint_eq(gate->inside, 2);
        kin_free(gate);
    }
    end_pool(pool);
}

static int linger(kin_task *task, size_t index, void *context)
{
    (void)task, (void)context;
    usleep(index % 10 == 5 ? 20000000 : 1000);
    return 0;
}

static void time_limit_is_each_items(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    kin_task_error errors[4];
    size_t count;
    kin_result *result = kin_pool_for_async(
        pool, linger, KIN_MAP_ARGS(.count = 40, .time_limit = 0.1, .on_failure = KIN_COLLECT));
    ck_assert_int_eq(kin_result_get(result, NULL, 0, TOP), KIN_ETIMELIMIT);
    ck_assert_int_eq(kin_result_failures(result, errors, 4, &count), 0);
    ck_assert_uint_eq(count, 4);
    for (size_t i = 0; i < 4; i++) {
        ck_assert_uint_eq(errors[i].index, 10 * i + 5);
        ck_assert_int_eq(errors[i].cause, KIN_CAUSE_TIME_LIMIT);
    }
    kin_result_free(result);
    end_pool(pool);
}

static int make(kin_task *task, const void *in, void *out)
{
    uint64_t value = *(const uint64_t *)in, *made = kin_task_malloc(task, 64);
    if (!made)
        return KIN_ENOMEM;
    *made = value;
    *(uint64_t **)out = made;
    return value == 3 ? kin_task_fail(task, "no") : 0;
}

static void what_items_made_is_taken_together(void)
{
    enum { COUNT = 1000 };
    test_init();
    kin_pool *pool = new_pool(2);
    uint64_t *in = numbers(COUNT), *out[COUNT];
    kin_arena *arena;
    kin_result *result = map(pool, make,
                             KIN_MAP_ARGS(.in = in, .in_size = 8, .out_size = sizeof *out, .count = COUNT,
                                          .on_failure = KIN_COLLECT));
    ck_assert_int_eq(kin_result_get(result, out, sizeof out, TOP), KIN_EFAILED);
    ck_assert_int_eq(kin_result_take(result, &arena), 0);
    kin_result_free(result);
    ck_assert_uint_ge(kin_arena_bytes(arena), (COUNT - 1) * 64);
    ck_assert_uint_lt(kin_arena_bytes(arena), COUNT * 80);
    for (uint64_t i = 0; i < COUNT; i++)
        ck_assert(i == 3 ? out[i] == NULL : *out[i] == i);
    kin_arena_free(arena);
    free(in);
    end_pool(pool);
}

static int sum_below(kin_task *task, const void *in, void *out)
{
    uint64_t n = *(const uint64_t *)in, *parts = NULL, *values = numbers(n);
    kin_result *result = kin_pool_map_async(
        kin_task_context(task), square, KIN_MAP_ARGS(.in = values, .in_size = 8, .out_size = 8, .count = n));
    free(values);
    if (!result)
        return kin_error_code();
    int error = kin_result_wait(result, KIN_FOREVER);
    for (uint64_t i = 0; !error && (parts = kin_result_value(result)) && i < n; i++)
        *(uint64_t *)out += parts[i];
    return error;
}

static void tasks_map_within_tasks(void)
{
    enum { COUNT = 60 };
    test_init();
    for (int workers = 1; workers < 4; workers++) {
        kin_pool *pool = new_pool(workers);
        uint64_t *in = numbers(COUNT), out[COUNT], sum = 0;
        kin_result *result =
            map(pool, sum_below,
                KIN_MAP_ARGS(.in = in, .in_size = 8, .out_size = 8, .count = COUNT, .context = pool));
        ck_assert_msg(kin_result_get(result, out, sizeof out, TOP) == 0, "%s", kin_error_message());
        for (uint64_t i = 0; i < COUNT; i++) {
            ck_assert_uint_eq(out[i], sum);
            sum += i * i;
        }
        kin_result_free(result);
        free(in);
        end_pool(pool);
    }
}

static int square_and_count(kin_task *task, const void *in, void *out)
{
    atomic_fetch_add((_Atomic uint32_t *)kin_task_context(task), 1);
    return square(task, in, out);
}

static void workers_are_killed_at_random(void)
{
    enum { COUNT = 3000 };
    test_init();
    kin_pool *pool = new_pool(3);
    uint64_t *in = numbers(COUNT), *out = malloc(COUNT * 8);
    unsigned seed = 12345;
    _Atomic uint32_t *begun = kin_calloc(1, sizeof *begun);
    uint32_t before = 0;
    for (int round = 0; round < (test_long() ? 200 : 10); round++) {
        kin_result *result = map(pool, square_and_count,
                                 KIN_MAP_ARGS(.in = in, .in_size = 8, .out_size = 8, .count = COUNT,
                                              .retries = 50, .chunk = 7, .context = (void *)begun));
        while (!kin_result_ready(result)) {
            kin_process *children[8];
            size_t count;
            kin_active_children(children, 8, &count);
            /* Not before somebody has worked since: workers that never come to that are another matter. */
            if (count && count <= 8 && atomic_load(begun) != before)
                kill(kin_process_pid(children[(size_t)rand_r(&seed) % count]), SIGKILL);
            before = atomic_load(begun);
            usleep((useconds_t)(rand_r(&seed) % 2000));
        }
        ck_assert_msg(kin_result_get(result, out, COUNT * 8, TOP) == 0, "%s", kin_error_message());
        for (uint64_t i = 0; i < COUNT; i++)
            ck_assert_uint_eq(out[i], i * i);
        kin_result_free(result);
    }
    free(in);
    free(out);
    kin_free((void *)begun);
    end_pool(pool);
}

static const struct test tests[] = {
    {"each_item_is_done_once_and_in_its_place", each_item_is_done_once_and_in_its_place, 30,
     TEST_EACH_METHOD | TEST_AND_THREADS},
    {"failures_are_told_in_order_and_the_rest_is_done", failures_are_told_in_order_and_the_rest_is_done, 20,
     TEST_EACH_METHOD},
    {"first_failure_stops_the_rest", first_failure_stops_the_rest, 20, TEST_EACH_METHOD | TEST_AND_THREADS},
    {"map_is_canceled_as_a_whole", map_is_canceled_as_a_whole, 20, TEST_NOT_VALGRIND},
    {"time_limit_is_each_items", time_limit_is_each_items, 20, TEST_NOT_VALGRIND},
    {"what_items_made_is_taken_together", what_items_made_is_taken_together, 20,
     TEST_EACH_METHOD | TEST_AND_THREADS},
    {"tasks_map_within_tasks", tasks_map_within_tasks, 20, TEST_EACH_METHOD | TEST_AND_THREADS},
    {"workers_are_killed_at_random", workers_are_killed_at_random, 60, TEST_EACH_METHOD},
};
TEST_MAIN("map_async", tests)
