/* task_limits_test.c - limits of tasks: how soon they strike, how far a task gets beyond them, and that its neighbours are unharmed. */
#include "pool_common.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define SOON 0.02 /* seconds: the median, promised */
#define TRIES 4   /* others may keep the CPUs busy: the best of some shows what kin does */
#define MIB ((size_t)1 << 20)

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- a neighbour, beside whom all that happens ----------------------------------------------- */

struct neighbour {
    _Atomic int pid, over;
    kin_result *result;
};

static int live_beside(kin_task *task, const void *in, void *out)
{
    struct neighbour *its = kin_task_context(task);
    (void)in;
    atomic_store(&its->pid, (int)getpid());
    while (!atomic_load(&its->over))
        usleep(500);
    *(int *)out = kin_task_attempt(task) + 1;
    return getpid() == atomic_load(&its->pid) ? 0 : KIN_EFAILED;
}

static struct neighbour *move_in(kin_pool *pool)
{
    struct neighbour *its = kin_calloc(1, sizeof *its);
    ck_assert_ptr_nonnull(its);
    its->result =
        kin_pool_apply_async(pool, live_beside, KIN_APPLY_ARGS(.context = its, .out_size = sizeof(int)));
    ck_assert_ptr_nonnull(its->result);
    while (!atomic_load(&its->pid))
        usleep(500);
    return its;
}

static void is_unharmed(struct neighbour *its)
{
    int tries = 0;
    ck_assert_int_eq(kin_result_ready(its->result), 0);
    atomic_store(&its->over, 1);
    ck_assert_msg(kin_result_get(its->result, &tries, sizeof tries, TOP) == 0, "%s", kin_error_message());
    ck_assert_int_eq(tries, 1);
    kin_result_free(its->result);
    kin_free(its);
}

/* ---- time ------------------------------------------------------------------------------------- */

enum way { APPLY, MAP, ASYNC, WAYS };
static const char *const ways[] = {"kin_pool_apply", "kin_pool_map", "kin_pool_map_async"};

static int last_for_ever(kin_task *task, const void *in, void *out)
{
    (void)task, (void)in, (void)out;
    for (;;)
        pause();
    return 0;
}

/* Seconds from the limit to the caller's knowing of it. */
static double strike(enum way way, kin_pool *pool, double limit)
{
    double began = now();
    int error = KIN_EINVAL;
    if (way == APPLY) {
        error = kin_pool_apply(pool, last_for_ever, KIN_APPLY_ARGS(.time_limit = limit));
    } else if (way == MAP) {
        error = kin_pool_map(pool, last_for_ever, KIN_MAP_ARGS(.count = 1, .time_limit = limit));
    } else {
        kin_result *result =
            kin_pool_map_async(pool, last_for_ever, KIN_MAP_ARGS(.count = 1, .time_limit = limit));
        ck_assert_ptr_nonnull(result);
        error = kin_result_get(result, NULL, 0, TOP);
        kin_result_free(result);
    }
    double late = now() - began - limit;
    ck_assert_int_eq(error, KIN_ETIMELIMIT);
    ck_assert_double_ge(late, -0.001);
    return late;
}

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, by_value);
    return values[count / 2];
}

static void time_limits_strike_soon(void)
{
    enum { STRIKES = 9 };
    test_init();
    kin_pool *pool = new_pool(2);
    struct neighbour *its = move_in(pool);
    for (enum way way = APPLY; way < WAYS; way++) {
        struct machine_time before = machine_time();
        double best = 1e9, late[STRIKES];
        if (way == MAP) { /* it waits for all workers that a round has, and for the next one's start */
            is_unharmed(its);
            its = NULL;
        } else if (!its) {
            its = move_in(pool);
        }
        for (int i = 0; i < TRIES && best > SOON; i++) {
            for (int k = 0; k < STRIKES; k++)
                late[k] = strike(way, pool, 0.02 + 0.005 * k);
            double middle = median(late, STRIKES);
            best = middle < best ? middle : best;
        }
        printf("# %s tells %.1f ms after the limit\n", ways[way], best * 1e3);
        if (machine_was_busy(before))
            printf("# the machine was busy: not judged\n");
        else
            ck_assert_msg(best <= SOON, "%s tells %.1f ms after the limit", ways[way], best * 1e3);
    }
    is_unharmed(its);
    end_pool(pool);
}

/* ---- memory ------------------------------------------------------------------------------------ */

enum kind { PRIVATE, MAPPED, SHARED, KINDS };
static const char *const kinds[] = {"malloc", "mmap", "kin_task_malloc"};

struct meter {
    enum kind kind;
    _Atomic size_t reached[2]; /* bytes that are there, and written to; of each item */
};

/* Item 0 takes ever more; the other one lives beside it, and takes a little. */
static int grow(kin_task *task, const void *in, void *out)
{
    struct meter *meter = kin_task_context(task);
    size_t index = kin_task_index(task), most = index ? 4 * MIB : 1024 * MIB;
    const size_t step = meter->kind == SHARED ? 4096 : 65536;
    (void)in, (void)out;
    for (size_t got = 0; got < most; got += step) {
        char *block = meter->kind == PRIVATE ? malloc(step)
                      : meter->kind == SHARED
                          ? kin_task_malloc(task, step)
                          : mmap(NULL, step, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (!block || block == MAP_FAILED)
            // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it is to take all
            return kin_error_set(KIN_EMEMLIMIT, "no more after %zu MiB", got / MIB);
        memset(block, 1, step);
        atomic_fetch_add(&meter->reached[index], step);
    }
    return 0;
}

static void memory_limits_stop_a_task_before_a_tenth_beyond(void)
{
    const size_t limit = 48 * MIB;
    test_init();
    for (enum kind kind = PRIVATE; kind < KINDS; kind++)
        for (int single = 0; single < 2; single++) {
            kin_pool *pool = new_pool(2);
            struct neighbour *its = single ? move_in(pool) : NULL;
            struct meter *meter = kin_calloc(1, sizeof *meter);
            kin_task_error error;
            meter->kind = kind;
            if (single) {
                kin_result *result =
                    kin_pool_apply_async(pool, grow, KIN_APPLY_ARGS(.context = meter, .memory_limit = limit));
                ck_assert_ptr_nonnull(result);
                ck_assert_int_eq(kin_result_get(result, NULL, 0, TOP), KIN_EMEMLIMIT);
                ck_assert_int_eq(kin_result_error(result, &error), 0);
                kin_result_free(result);
                is_unharmed(its);
            } else {
                size_t failures;
                ck_assert_int_eq(
                    kin_pool_map(pool, grow,
                                 KIN_MAP_ARGS(.count = 2, .context = meter, .memory_limit = limit,
                                              .on_failure = KIN_COLLECT, .errors = &error,
                                              .errors_capacity = 1, .failures = &failures)),
                    KIN_EMEMLIMIT);
                ck_assert_uint_eq(failures, 1);
                ck_assert_uint_eq(meter->reached[1], 4 * MIB);
            }
            ck_assert_int_eq(error.cause, KIN_CAUSE_MEMORY_LIMIT);
            double part = (double)meter->reached[0] / (double)limit;
            printf("# %s, %s: stopped at %.1f %% of its limit\n", kinds[kind], single ? "a task" : "a map",
                   100 * part);
            ck_assert_msg(part <= 1.1 && part > 0.7, "stopped at %.1f %% of its limit", 100 * part);
            kin_free(meter);
            end_pool(pool);
        }
}

static const struct test tests[] = {
    {"time_limits_strike_soon", time_limits_strike_soon, 60, TEST_EACH_METHOD},
    {"memory_limits_stop_a_task_before_a_tenth_beyond", memory_limits_stop_a_task_before_a_tenth_beyond, 60,
     TEST_EACH_METHOD | TEST_NOT_ASAN /* it allocates by maps of its own */},
};
TEST_MAIN("task_limits", tests)
