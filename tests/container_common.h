/* container_common.h - what the tests of dicts, lists, sets and namespaces share. */
#ifndef KIN_TESTS_CONTAINER_COMMON_H
#define KIN_TESTS_CONTAINER_COMMON_H

#include "sync_common.h"

#include <string.h>

/* Blocks that are in use in the family's heap. */
static inline size_t blocks_in_use(void)
{
    kin_heap_stats stats = {.size = sizeof stats};
    ck_assert_int_eq(kin_heap_get_stats(&stats), 0);
    return stats.small_blocks + stats.large_blocks;
}

/* A generator of its own, so that a seed tells the whole run. */
static inline uint32_t random_next(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33);
}

static inline void run_child(kin_process_fn fn, void *arg)
{
    kin_process *process =
        kin_process_start_shared(fn, arg, KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    join(process);
}

/* Bytes of a pattern, for values of any size. */
static inline void *pattern(void *buffer, uint32_t number, size_t size)
{
    unsigned char *bytes = buffer;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(number * 31 + i * 7);
    return buffer;
}

static inline bool is_pattern(const void *buffer, uint32_t number, size_t size)
{
    const unsigned char *bytes = buffer;
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != (unsigned char)(number * 31 + i * 7))
            return false;
    return true;
}

#endif
