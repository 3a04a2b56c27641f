/* many_test.c - many members at once, and many one after another. */
#include "cases/common.h"

#include "kin.h"

#include <stdlib.h>
#include <sys/resource.h>

struct board {
    _Atomic int here, may_end;
};

static int come_and_wait(void *arg)
{
    struct board *board = *(struct board **)arg;
    void *block = kin_malloc(1000);
    child_assert(block != NULL);
    atomic_fetch_add(&board->here, 1);
    while (!atomic_load(&board->may_end))
        usleep(20000);
    kin_free(block);
    return 0;
}

/* All at once, with one descriptor each; nothing of them is left. */
static void at_once(int wanted, size_t descriptors)
{
    test_init();
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = descriptors;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
    kin_heap_stats before = {.size = sizeof before}, after = {.size = sizeof after};
    kin_process **all = calloc((size_t)wanted, sizeof *all);
    struct board *board = kin_calloc(1, sizeof *board);
    size_t count, own = open_descriptors();
    ck_assert(all && board);
    kin_heap_get_stats(&before);
    for (int i = 0; i < wanted; i++)
        all[i] = start(come_and_wait, &board, sizeof board);
    for (; atomic_load(&board->here) < wanted; usleep(1000))
        ck_assert_msg(TOP > 0, "only %d of %d have come", atomic_load(&board->here), wanted);
    ck_assert_int_eq(kin_active_children(NULL, 0, &count), 0);
    ck_assert_uint_eq(count, (size_t)wanted);
    ck_assert_uint_le(open_descriptors(), own + (size_t)wanted + 4); /* the guardian's three, stdin's */
    atomic_store(&board->may_end, 1);
    for (int i = 0; i < wanted; i++)
        exits_with(all[i], 0);
    ck_assert_uint_le(open_descriptors(), own + 1); /* what children read as stdin is kept */
    free(all);
    kin_heap_get_stats(&after);
    ck_assert_uint_eq(after.small_blocks, before.small_blocks);
}

static void members_at_once(void)
{
    at_once(256, 256 + 40);
}

/* The usual limit, and nearly all the slots that a family has. */
static void thousand_members_at_once(void)
{
    at_once(1000, 1024);
}

static int do_nothing(void *arg)
{
    return arg != NULL;
}

static size_t resident_pages(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long resident = 0;
    ck_assert(file && fscanf(file, "%*u %lu", &resident) == 1);
    fclose(file);
    return resident;
}

/* 32,000 is more than the numbers that Linux has for processes as a rule. */
static void starts_one_after_another_do_not_grow(void)
{
    test_init();
    int rounds = test_long() ? 32000 : 1000;
    kin_heap_stats before = {.size = sizeof before}, after = {.size = sizeof after};
    size_t descriptors = 0, pages = 0;
    for (int i = 0; i < rounds; i++) {
        exits_with(start(do_nothing, NULL, 0), 0);
        if (i == 100) {
            kin_heap_get_stats(&before);
            descriptors = open_descriptors();
            pages = resident_pages();
        }
    }
    kin_heap_get_stats(&after);
    ck_assert_uint_eq(after.small_blocks, before.small_blocks);
    ck_assert_uint_eq(after.spans, before.spans);
    ck_assert_uint_eq(after.used, before.used);
    ck_assert_uint_eq(after.deaths, before.deaths);
    ck_assert_uint_eq(after.possibly_lost, before.possibly_lost);
    ck_assert_uint_eq(open_descriptors(), descriptors);
    ck_assert_msg(resident_pages() <= pages + 16, "%zu pages have become %zu", pages, resident_pages());
}

static const struct test tests[] = {
    {"members_at_once", members_at_once, 60, TEST_EACH_METHOD},
    {"thousand_members_at_once", thousand_members_at_once, 120, TEST_EACH_METHOD | TEST_LONG_ONLY},
    /* What AddressSanitizer keeps of freed memory grows. */
    {"starts_one_after_another_do_not_grow", starts_one_after_another_do_not_grow, 400,
     TEST_EACH_METHOD | TEST_NOT_ASAN},
};
TEST_MAIN("cases_many", tests)
