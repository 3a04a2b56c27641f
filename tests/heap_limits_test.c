/* heap_limits_test.c - the heap's limits: what the family, and what a thread, may use; memory given back; counts. */
#include "heap_common.h"

#include "family/region.h"
#include "family/span.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static size_t machine_memory(void)
{
    struct stat about;
    ck_assert_int_eq(fstat(kin__region_fd, &about), 0);
    return (size_t)about.st_blocks * 512;
}

static void init_with_limit(size_t limit)
{
    kin_init_options options = {.size = sizeof options, .heap_limit = limit};
    ck_assert_msg(kin_init_with(&test_argc, &test_argv, &options) == 0, "%s", kin_error_message());
}

static void limit_is_an_error_and_what_is_freed_serves_again(void)
{
    init_with_limit(64 << 20);
    void *block[200];
    int count = 0;
    while (count < 200 && (block[count] = kin_malloc(1 << 20)))
        memset(block[count++], 1, 1 << 20);
    expect_error(KIN_ENOMEM, "KIN_HEAP_LIMIT");
    expect_error(KIN_ENOMEM, "67108864");
    ck_assert_int_ge(count, 60);
    ck_assert_uint_le(machine_memory(), (64 << 20) + (1 << 20));
    check_heap();
    void *small[40];
    for (int i = 0; i < 40; i++) /* each from another span: the rest is soon gone */
        small[i] = kin_malloc(kin__classes[i].size);
    for (int i = 0; i < count; i += 2)
        kin_free(block[i]);
    /* In pieces of 1 MiB, but memory is memory: they are given back to make room for a larger one. */
    void *larger = kin_malloc(20 << 20);
    ck_assert_msg(larger != NULL, "%s", kin_error_message());
    memset(larger, 1, 20 << 20);
    check_heap();
    kin_free(larger);
    for (int i = 0; i < 40; i++)
        kin_free(small[i]);
    for (int i = 1; i < count; i += 2)
        kin_free(block[i]);
    check_heap();
    ck_assert_ptr_null(kin_malloc((size_t)1 << 50));
    expect_error(KIN_ENOMEM, "the region has");
    ck_assert_ptr_null(kin_malloc(SIZE_MAX));
}

static void small_blocks_meet_the_limit_too(void)
{
    init_with_limit(16 << 20);
    void *list = NULL;
    size_t count = 0;
    for (void **block; (block = kin_malloc(1000)); count++) {
        *block = list;
        list = block;
    }
    expect_error(KIN_ENOMEM, "limit");
    ck_assert_uint_ge(count, 14000);
    check_heap();
    while (list) {
        void *next = *(void **)list;
        kin_free(list);
        list = next;
    }
    check_heap();
    void *block = kin_malloc(12 << 20);
    ck_assert_msg(block != NULL, "%s", kin_error_message());
}

/* But for the last quarter, where frozen data lies (family/shelf.h). */
static void region_of_the_least_size_is_used_whole(void)
{
    kin_init_options options = {.size = sizeof options, .region_size = KIN__REGION_LEAST};
    ck_assert_int_eq(kin_init_with(&test_argc, &test_argv, &options), 0);
    char *half = kin_malloc(80 << 20), *rest = kin_malloc(80 << 20);
    ck_assert(half && rest);
    ck_assert_ptr_null(kin_malloc(80 << 20));
    expect_error(KIN_ENOMEM, "KIN_REGION_SIZE");
    check_heap();
    half[0] = half[(80 << 20) - 1] = rest[(80 << 20) - 1] = 1;
    kin_free(half);
    kin_free(rest);
    char *most = kin_malloc(170 << 20);
    ck_assert_msg(most != NULL, "%s", kin_error_message());
    most[(170 << 20) - 1] = 1;
    check_heap();
    kin_free(most);
}

/* As much as there is room for beside the shelf in the region of 256 MiB that is used under valgrind (scripts/check). */
#define LARGE ((size_t)100 << 20)

static void large_memory_goes_back_to_the_system(void)
{
    begin();
    size_t before = machine_memory();
    char *block = kin_malloc(LARGE);
    ck_assert_ptr_nonnull(block);
    ck_assert_uint_ge(machine_memory(), before + LARGE);
    kin_free(block);
    ck_assert_uint_le(machine_memory(), before + ((size_t)2 << 20));
    block = kin_malloc(8 << 20);
    memset(block, 1, 8 << 20);
    kin_free(block);
    ck_assert_uint_ge(stats().warm, 8 << 20);
    size_t bytes;
    ck_assert_int_eq(kin_heap_trim(&bytes), 0);
    ck_assert_uint_ge(bytes, 8 << 20);
    ck_assert_uint_eq(stats().warm, 0);
    ck_assert_uint_le(machine_memory(), before + ((size_t)2 << 20));
    ck_assert_int_eq(kin_heap_trim(&bytes), 0);
    ck_assert_uint_eq(bytes, 0);
    check_heap();
}

static void statistics_tell_what_is_there(void)
{
    begin();
    kin_heap_stats empty = stats();
    ck_assert_uint_gt(empty.used, 0);
    ck_assert_uint_gt(empty.limit, empty.used);
    void *small = kin_malloc(100), *large = kin_malloc(100000);
    kin_arena *arena = kin_arena_new();
    kin_heap_stats now = stats();
    ck_assert_uint_eq(now.size, sizeof now);
    ck_assert_uint_eq(now.large_blocks, 1);
    ck_assert_uint_eq(now.large_bytes, 2 * KIN__UNIT);
    ck_assert_uint_eq(now.small_blocks, empty.small_blocks + 2);
    ck_assert_uint_eq(now.small_bytes, empty.small_bytes + 112 + 48);
    ck_assert_uint_ge(now.spans, 2);
    ck_assert_uint_eq(now.arenas, 1);
    ck_assert_uint_ge(now.used, empty.used + 2 * KIN__UNIT);
    ck_assert_uint_eq(now.deaths, 0);
    kin_arena_free(arena);
    kin_free(small);
    kin_free(large);

    struct {
        size_t size, limit, used;
    } older = {.size = sizeof older};
    ck_assert_int_eq(kin_heap_get_stats((kin_heap_stats *)&older), 0);
    ck_assert_uint_eq(older.size, sizeof older);
    ck_assert_uint_eq(older.limit, now.limit);
    kin_heap_stats bad = {0};
    ck_assert_int_eq(kin_heap_get_stats(&bad), KIN_EINVAL);
    ck_assert_int_eq(kin_heap_get_stats(NULL), KIN_EINVAL);
}

static void quota_limits_one_thread(void)
{
    begin();
    void *before = kin_malloc(1000);
    kin__thread_set_quota(1 << 20);
    ck_assert_ptr_null(kin_malloc(2 << 20));
    expect_error(KIN_EMEMLIMIT, "memory limit");
    void *list = NULL;
    size_t count = 0;
    for (void **block; (block = kin_malloc(1000)); count++) {
        *block = list;
        list = block;
    }
    ck_assert_int_eq(kin_error_code(), KIN_EMEMLIMIT);
    ck_assert_uint_ge(count * 1024, (1 << 20) - 65536);
    ck_assert_uint_le(count * 1024, (1 << 20) + 65536);
    while (list) {
        void *next = *(void **)list;
        kin_free(list);
        list = next;
    }
    for (int i = 0; i < 100; i++) { /* what is freed counts no longer */
        void *block = kin_malloc(900000);
        ck_assert_msg(block != NULL, "%s", kin_error_message());
        kin_free(block);
    }
    kin__thread_set_quota(SIZE_MAX);
    void *block = kin_malloc(2 << 20);
    ck_assert_ptr_nonnull(block);
    kin_free(block);
    kin_free(before);
}

static const struct test tests[] = {
    {"limit_is_an_error_and_what_is_freed_serves_again", limit_is_an_error_and_what_is_freed_serves_again, 10,
     0},
    {"small_blocks_meet_the_limit_too", small_blocks_meet_the_limit_too, 10, 0},
    {"region_of_the_least_size_is_used_whole", region_of_the_least_size_is_used_whole, 20, 0},
    {"large_memory_goes_back_to_the_system", large_memory_goes_back_to_the_system, 10, 0},
    {"statistics_tell_what_is_there", statistics_tell_what_is_there, 5, 0},
    {"quota_limits_one_thread", quota_limits_one_thread, 10, 0},
};

TEST_MAIN("heap_limits", tests)
