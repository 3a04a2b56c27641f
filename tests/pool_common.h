/* pool_common.h - what tests of pools share. */
#ifndef KIN_TESTS_POOL_COMMON_H
#define KIN_TESTS_POOL_COMMON_H

#include "harness.h"

#include <kin.h>

#define TOP (test_time_left() - 0.5)

static inline kin_pool *new_pool(int workers)
{
    kin_pool *pool = kin_pool_new(
        KIN_POOL_OPTIONS(.workers = workers, .start_method = test_method(), .kind = test_kind()));
    ck_assert_msg(pool != NULL, "%s", kin_error_message());
    return pool;
}

/* All work is done, and the workers have ended. */
static inline void end_pool(kin_pool *pool)
{
    ck_assert_msg(kin_pool_finish(pool, TOP) == 0, "%s", kin_error_message());
    kin_pool_free(pool);
}

#endif
