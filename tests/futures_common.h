/* futures_common.h - tasks and results of the tests that tell CPython's test_concurrent_futures again. */
#ifndef KIN_TESTS_FUTURES_COMMON_H
#define KIN_TESTS_FUTURES_COMMON_H

#include "pool_common.h"

#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#define A_WHILE 0.1

static inline int multiply_two(kin_task *task, const void *in, void *out)
{
    (void)task;
    const int *pair = in;
    *(int *)out = pair[0] * pair[1];
    return 0;
}

static inline int sleep_for(kin_task *task, const void *in, void *out)
{
    (void)task, (void)out;
    double seconds = *(const double *)in;
    struct timespec rest = {.tv_sec = (time_t)seconds,
                            .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    while (nanosleep(&rest, &rest) != 0)
        continue;
    return 0;
}

static inline int divide_by_zero(kin_task *task, const void *in, void *out)
{
    (void)in, (void)out;
    return kin_task_fail(task, "division by zero");
}

/* Until the word that is the task's context is set: what runs as long as a test wants it. */
static inline int wait_for_word(kin_task *task, const void *in, void *out)
{
    (void)out;
    const _Atomic int *word = kin_task_context(task);
    while (!atomic_load(word))
        usleep(500);
    return in ? kin_task_fail(task, "it was asked to") : 0;
}

static inline kin_result *submit(kin_pool *pool, kin_task_fn fn, const kin_apply_args *args)
{
    kin_result *result = kin_pool_apply_async(pool, fn, args);
    ck_assert_msg(result != NULL, "%s", kin_error_message());
    return result;
}

static inline kin_result *submit_product(kin_pool *pool, int x, int y)
{
    return submit(pool, multiply_two,
                  KIN_APPLY_ARGS(.in = ((int[]){x, y}), .in_size = 2 * sizeof(int), .out_size = sizeof(int)));
}

static inline kin_result *submit_sleep(kin_pool *pool, double seconds)
{
    return submit(pool, sleep_for, KIN_APPLY_ARGS(.in = &seconds, .in_size = sizeof seconds));
}

static inline void free_results(kin_result **results, size_t count)
{
    for (size_t i = 0; i < count; i++)
        kin_result_free(results[i]);
}

#endif
