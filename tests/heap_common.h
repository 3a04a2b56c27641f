/* heap_common.h - what the tests of the heap share: beginning, counting what is in use, checking. */
#ifndef KIN_TESTS_HEAP_COMMON_H
#define KIN_TESTS_HEAP_COMMON_H

#include "harness.h"

#include "family/heap.h"
#include "kin.h"

#include <string.h>

static inline void check_heap(void)
{
    ck_assert_msg(kin__heap_check() == 0, "%s", kin_error_message());
}

static inline kin_heap_stats stats(void)
{
    kin_heap_stats now = {.size = sizeof now};
    ck_assert_int_eq(kin_heap_get_stats(&now), 0);
    return now;
}

static size_t in_use_at_first; /* kin_init's own */

static inline void begin(void)
{
    test_init();
    in_use_at_first = stats().small_blocks;
}

static inline size_t in_use(void)
{
    kin_heap_stats now = stats();
    return now.small_blocks + now.large_blocks - in_use_at_first;
}

static inline bool all_are(const unsigned char *bytes, size_t size, unsigned char value)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != value)
            return false;
    return true;
}

static inline void expect_error(int code, const char *text)
{
    ck_assert_msg(kin_error_code() == code, "%s, not %s: %s", kin_error_name(kin_error_code()),
                  kin_error_name(code), kin_error_message());
    ck_assert_msg(strstr(kin_error_message(), text) != NULL, "no \"%s\" in: %s", text, kin_error_message());
}

#endif
