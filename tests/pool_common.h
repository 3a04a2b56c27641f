/* pool_common.h - what tests of pools share. */
#ifndef KIN_TESTS_POOL_COMMON_H
#define KIN_TESTS_POOL_COMMON_H

#include "harness.h"

#include <kin.h>

#include <stdio.h>

#define TOP (test_time_left() - 0.5)

static inline kin_pool *new_pool(int workers)
{
    kin_pool *pool = kin_pool_new(
        KIN_POOL_OPTIONS(.workers = workers, .start_method = test_method(), .kind = test_kind()));
    ck_assert_msg(pool != NULL, "%s", kin_error_message());
    return pool;
}

/* What all CPUs have done so far; proc(5). */
struct machine_time {
    double idle, all;
};
static inline struct machine_time machine_time(void)
{
    struct machine_time out = {0};
    double ticks[8] = {0};
    FILE *file = fopen("/proc/stat", "re");
    if (!file)
        return out;
    // NOLINTNEXTLINE(cert-err34-c): the kernel writes numbers
    int got = fscanf(file, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &ticks[0], &ticks[1], &ticks[2], &ticks[3],
                     &ticks[4], &ticks[5], &ticks[6], &ticks[7]);
    fclose(file);
    for (int i = 0; i < got; i++)
        out.all += ticks[i];
    out.idle = ticks[3] + ticks[4];
    return out;
}

/* Others may keep the CPUs busy: whether there was hardly a free one since then, so that the clock tells nothing of kin. */
static inline bool machine_was_busy(struct machine_time since)
{
    struct machine_time now = machine_time();
    return now.all > since.all && now.idle - since.idle < 0.4 * (now.all - since.all);
}

/* All work is done, and the workers have ended. */
static inline void end_pool(kin_pool *pool)
{
    ck_assert_msg(kin_pool_finish(pool, TOP) == 0, "%s", kin_error_message());
    kin_pool_free(pool);
}

#endif
