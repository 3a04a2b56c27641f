/* scale_test.c - many tasks through one pool, many workers, many pools: memory and time do not grow, and nothing is left. */
#include "pool_common.h"

#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- many tasks ------------------------------------------------------------------------------ */

#define BATCH 10000
#define LARGE 500 /* bytes: more than a record has room for */

enum kind { PLAIN, FAILS, LARGE_OUTPUT, HAS_MEMORY, HAS_CHILD, KINDS = 16 };

struct input {
    kin_pool *pool;
    uint64_t number;
};

static enum kind kind_of(uint64_t number)
{
    return number % KINDS < HAS_CHILD + 1 ? (enum kind)(number % KINDS) : PLAIN;
}

static int leaf(kin_task *task, const void *in, void *out)
{
    (void)task;
    *(uint64_t *)out = *(const uint64_t *)in + 1;
    return 0;
}

static int work(kin_task *task, const void *in, void *out)
{
    const struct input *input = in;
    uint64_t *value = out, *memory;
    switch (kind_of(input->number)) {
    case FAILS:
        return kin_task_fail(task, "number %ju", (uintmax_t)input->number);
    case HAS_MEMORY:
        memory = kin_task_malloc(task, 100);
        if (!memory)
            return KIN_ENOMEM;
        *memory = input->number;
        break;
    case HAS_CHILD:
        return kin_pool_apply(input->pool, leaf,
                              KIN_APPLY_ARGS(.in = &input->number, .in_size = sizeof input->number,
                                             .out = value, .out_size = sizeof *value));
    default:
        break;
    }
    *value = input->number + 1;
    return 0;
}

static void check_result(kin_result *result, uint64_t number)
{
    if (kind_of(number) == FAILS) {
        ck_assert_int_eq(kin_result_successful(result), 0);
        return;
    }
    const uint64_t *value = kin_result_value(result);
    ck_assert_msg(value && *value == number + 1, "task %ju", (uintmax_t)number);
}

/* Seconds that a batch takes. */
static double run_batch(kin_pool *pool, uint64_t first)
{
    static kin_result *results[BATCH];
    double began = now();
    for (size_t i = 0; i < BATCH; i++) {
        struct input input = {.pool = pool, .number = first + i};
        results[i] = kin_pool_apply_async(
            pool, work,
            KIN_APPLY_ARGS(.in = &input, .in_size = sizeof input,
                           .out_size = kind_of(first + i) == LARGE_OUTPUT ? LARGE : sizeof(uint64_t)));
        ck_assert_msg(results[i] != NULL, "%s", kin_error_message());
    }
    ck_assert_int_eq(kin_results_wait(results, BATCH, KIN_WAIT_ALL, TOP, NULL), 0);
    for (size_t i = 0; i < BATCH; i++) {
        check_result(results[i], first + i);
        kin_result_free(results[i]);
    }
    return now() - began;
}

struct memory {
    uint64_t private_bytes;
    kin_heap_stats heap;
};

static uint64_t private_bytes(void)
{
    unsigned long size, resident, shared;
    FILE *file = fopen("/proc/self/statm", "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "%lu %lu %lu", &size, &resident, &shared), 3);
    fclose(file);
    return (resident - shared) * 4096;
}

static struct memory memory_used(void)
{
    struct memory used = {.private_bytes = private_bytes(), .heap = {.size = sizeof used.heap}};
    ck_assert_int_eq(kin_heap_get_stats(&used.heap), 0);
    return used;
}

static void has_not_grown(const struct memory *before)
{
    struct memory after = memory_used();
    ck_assert_uint_le(after.private_bytes, before->private_bytes + (1 << 20));
    ck_assert_uint_le(after.heap.arenas, before->heap.arenas);
    ck_assert_uint_le(after.heap.small_blocks, before->heap.small_blocks + 64);
    ck_assert_uint_le(after.heap.large_bytes, before->heap.large_bytes);
    ck_assert_uint_le(after.heap.used - after.heap.warm, before->heap.used - before->heap.warm + (1 << 20));
}

/* Others may keep the CPUs busy: the fastest batches of the beginning and of the end are compared. */
static void many_tasks_take_constant_memory_and_time(void)
{
    enum { SHORT = 30, LONG = 1000, PART = 10 };
    const int batches = test_long() ? LONG : SHORT;
    test_init();
    kin_pool *pool = new_pool(2);
    struct memory before = {0};
    double first = HUGE_VAL, last = HUGE_VAL;
    run_batch(pool, 0); /* the pool's memory is there */
    for (int i = 0; i < batches; i++) {
        if (i == batches / PART)
            before = memory_used();
        double seconds = run_batch(pool, (uint64_t)i * BATCH);
        if (i < batches / 3)
            first = fmin(first, seconds);
        if (i >= batches - batches / 3)
            last = fmin(last, seconds);
    }
    has_not_grown(&before);
    printf("# %d tasks: %.0f ns each at first, %.0f ns in the end\n", batches * BATCH, first / BATCH * 1e9,
           last / BATCH * 1e9);
    ck_assert_msg(last <= first * 1.3, "%g s a batch at first, %g s in the end", first, last);
    end_pool(pool);
}

/* ---- many workers ---------------------------------------------------------------------------- */

static int square(kin_task *task, const uint64_t *in, uint64_t *out)
{
    (void)task;
    *out = *in * *in;
    return 0;
}

static int square_once(kin_task *task, const void *in, void *out)
{
    uint64_t number = *(const uint64_t *)in;
    if (number % 1000 == 7 && kin_task_attempt(task) == 0)
        raise(SIGKILL);
    *(uint64_t *)out = number * number;
    return 0;
}

static int meet(kin_task *task, size_t index, _Atomic int *met)
{
    (void)task, (void)index;
    atomic_fetch_add(met, 1);
    while (atomic_load(met) < 256)
        usleep(1000);
    return 0;
}

static void check_squares(const uint64_t *out, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ck_assert_msg(out[i] == i * i, "item %zu", i);
}

static void work_goes_right_with_256_workers(void)
{
    enum { WORKERS = 256, ITEMS = 20000, TASKS = 4000 };
    static uint64_t in[ITEMS], out[ITEMS];
    static kin_result *results[TASKS];
    test_init();
    kin_pool *pool = new_pool(WORKERS);
    _Atomic int *met = kin_calloc(1, sizeof *met);
    for (size_t i = 0; i < ITEMS; i++)
        in[i] = i;
    ck_assert_msg(kin_for(pool, meet, met, WORKERS) == 0, "%s", kin_error_message()); /* all at once */
    ck_assert_int_eq(kin_map(pool, square, in, out, ITEMS), 0);
    check_squares(out, ITEMS);
    memset(out, 0, sizeof out);
    kin_map_args *args = KIN_MAP_ARGS(.in = in, .in_size = sizeof *in, .out = out, .out_size = sizeof *out,
                                      .count = ITEMS, .retries = 3);
    ck_assert_msg(kin_pool_map(pool, square_once, args) == 0, "%s", kin_error_message());
    check_squares(out, ITEMS);
    for (size_t i = 0; i < TASKS; i++) {
        results[i] = kin_pool_apply_async(
            pool, square_once,
            KIN_APPLY_ARGS(.in = &in[i], .in_size = sizeof *in, .out_size = sizeof *out, .retries = 3));
        ck_assert_msg(results[i] != NULL, "%s", kin_error_message());
    }
    for (size_t i = 0; i < TASKS; i++) {
        ck_assert_msg(kin_result_get(results[i], &out[i], sizeof *out, TOP) == 0, "%s", kin_error_message());
        kin_result_free(results[i]);
    }
    check_squares(out, TASKS);
    args->out = NULL;
    kin_result *result = kin_pool_map_async(pool, square_once, args);
    ck_assert_msg(result && kin_result_get(result, out, sizeof out, TOP) == 0, "%s", kin_error_message());
    check_squares(out, ITEMS);
    kin_result_free(result);
    kin_free((void *)met);
    end_pool(pool);
}

/* ---- many pools ------------------------------------------------------------------------------- */

static int count_children(void)
{
    size_t count;
    ck_assert_int_eq(kin_active_children(NULL, 0, &count), 0);
    return (int)count;
}

/* More workers than a shell's limit of descriptors may allow. */
static void allow_descriptors(rlim_t count)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < count)
        limit.rlim_cur = limit.rlim_max != RLIM_INFINITY && limit.rlim_max < count ? limit.rlim_max : count;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void pools_of_1000_workers_come_and_go(void)
{
    enum { WORKERS = 1000 };
    static uint64_t in[WORKERS], out[WORKERS];
    const int rounds = test_long() ? 100 : 2;
    allow_descriptors(2048);
    test_init();
    struct memory before = {0};
    double first = HUGE_VAL, last = HUGE_VAL;
    for (size_t i = 0; i < WORKERS; i++)
        in[i] = i;
    for (int i = 0; i < rounds; i++) {
        double began = now();
        kin_pool *pool = new_pool(WORKERS);
        ck_assert_int_eq(kin_map(pool, square, in, out, WORKERS), 0);
        check_squares(out, WORKERS);
        if (i % 2) {
            ck_assert_msg(kin_pool_finish(pool, TOP) == 0, "%s", kin_error_message());
            ck_assert_int_eq(count_children(), 0);
        }
        kin_pool_free(pool);
        ck_assert_int_eq(count_children(), 0);
        double seconds = now() - began;
        if (i < 1 + rounds / 3)
            first = fmin(first, seconds);
        last = i >= rounds - rounds / 3 - 1 ? fmin(last, seconds) : last;
        if (i == 0)
            before = memory_used();
        else
            has_not_grown(&before);
    }
    printf("# %d pools of %d workers: %.2f s each at first, %.2f s in the end\n", rounds, WORKERS, first,
           last);
    end_pool(new_pool(1));
}

static const struct test tests[] = {
    {"many_tasks_take_constant_memory_and_time", many_tasks_take_constant_memory_and_time, 300,
     TEST_NOT_VALGRIND | TEST_NOT_ASAN /* it keeps what is freed */},
    {"work_goes_right_with_256_workers", work_goes_right_with_256_workers, 120, TEST_EACH_METHOD},
    {"pools_of_1000_workers_come_and_go", pools_of_1000_workers_come_and_go, 900,
     TEST_NOT_VALGRIND | TEST_NOT_ASAN /* each worker would be too large */},
};
TEST_MAIN("scale", tests)
