/*
 * heap_threads_test.c - many threads of one process in the heap: for ThreadSanitizer, which sees no race between
 * processes.
 */
#include "harness.h"

#include "family/arena.h"
#include "family/heap.h"
#include "kin.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

static void check_heap(void)
{
    ck_assert_msg(kin__heap_check() == 0, "%s", kin_error_message());
}

static size_t in_use_at_first; /* kin_init's own */

static size_t blocks_in_use(void)
{
    kin_heap_stats now = {.size = sizeof now};
    ck_assert_int_eq(kin_heap_get_stats(&now), 0);
    return now.small_blocks + now.large_blocks - in_use_at_first;
}

static void begin(void)
{
    test_init();
    in_use_at_first = blocks_in_use();
}

static uint32_t roll(uint64_t *dice, uint32_t sides)
{
    *dice = *dice * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((*dice >> 33) % sides);
}

enum { SLOTS = 256, THREADS = 4 };
static unsigned char *_Atomic slot[SLOTS];
static kin_arena *_Atomic arenas[SLOTS];

static void run(void *(*body)(void *))
{
    pthread_t thread[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, body, (void *)(i + 1)), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failed;
        pthread_join(thread[i], &failed);
        ck_assert_ptr_null(failed);
    }
}

/* What others made is read and freed here: blocks must be handed on with all that was written to them. */
static void *swap_blocks(void *arg)
{
    uint64_t dice = (uintptr_t)arg;
    for (int i = 0; i < 20000; i++) {
        size_t size = 16 + (roll(&dice, 50) ? roll(&dice, 400) : roll(&dice, 100000));
        unsigned char *mine = kin_malloc(size);
        if (!mine)
            return arg;
        memset(mine, (int)(size & 255), size);
        memcpy(mine, &size, sizeof size);
        unsigned char *theirs = atomic_exchange(&slot[roll(&dice, SLOTS)], mine);
        if (!theirs)
            continue;
        memcpy(&size, theirs, sizeof size);
        if (theirs[size - 1] != (size & 255))
            return arg;
        if (roll(&dice, 8) == 0)
            theirs = kin_realloc(theirs, roll(&dice, 1000));
        kin_free(theirs);
    }
    return NULL;
}

static void threads_free_each_others_blocks(void)
{
    begin();
    for (int round = 0; round < 3; round++) /* threads end and begin between them */
        run(swap_blocks);
    for (int i = 0; i < SLOTS; i++)
        kin_free(atomic_exchange(&slot[i], NULL));
    check_heap();
    ck_assert_uint_eq(blocks_in_use(), 0);
}

static void *swap_arenas(void *arg)
{
    uint64_t dice = (uintptr_t)arg;
    for (int i = 0; i < 2000; i++) {
        kin_arena *mine = kin_arena_new();
        for (uint32_t count = roll(&dice, 20); mine && count > 0; count--) {
            size_t size = 1 + roll(&dice, 3000);
            memset(kin_arena_malloc(mine, size), 1, size);
        }
        if (!mine || kin_arena_give(mine, NULL))
            return arg;
        kin_arena *theirs = atomic_exchange(&arenas[roll(&dice, SLOTS)], mine);
        if (theirs && kin_arena_take(theirs))
            return arg;
        kin_arena_free(theirs);
    }
    return NULL;
}

static void threads_hand_arenas_on(void)
{
    begin();
    run(swap_arenas);
    for (int i = 0; i < SLOTS; i++)
        kin_arena_free(atomic_exchange(&arenas[i], NULL));
    check_heap();
    ck_assert_uint_eq(blocks_in_use(), 0);
}

static void *leave_blocks(void *arg)
{
    unsigned char *_Atomic *mine = &slot[((uintptr_t)arg - 1) * (SLOTS / THREADS)];
    for (int i = 0; i < SLOTS / THREADS; i++)
        mine[i] = kin_malloc(100);
    return NULL;
}

static void ended_threads_give_their_spans_and_slots_back(void)
{
    begin();
    for (int round = 0; round < 20; round++) {
        run(leave_blocks);
        for (int i = 0; i < SLOTS; i++)
            kin_free(atomic_exchange(&slot[i], NULL));
    }
    check_heap();
    ck_assert_uint_eq(blocks_in_use(), 0);
    ck_assert_uint_le(kin__heap()->threads_top, 2 * THREADS);
    kin_heap_stats now = {.size = sizeof now};
    kin_heap_get_stats(&now);
    ck_assert_uint_eq(now.deaths, 0);
    ck_assert_uint_eq(now.possibly_lost, 0);
}

/* Others trim, walk and check while the blocks change hands. */
static void *disturb(void *arg)
{
    for (int i = 0; i < 100; i++) {
        kin_heap_stats now = {.size = sizeof now};
        if (kin_heap_get_stats(&now) || kin_heap_trim(NULL))
            return arg;
    }
    return NULL;
}

static void *mixed(void *arg)
{
    return (uintptr_t)arg == 1 ? disturb(arg) : swap_blocks(arg);
}

static void trimming_and_statistics_disturb_nobody(void)
{
    begin();
    run(mixed);
    for (int i = 0; i < SLOTS; i++)
        kin_free(atomic_exchange(&slot[i], NULL));
    check_heap();
    ck_assert_uint_eq(blocks_in_use(), 0);
}

static const struct test tests[] = {
    {"threads_free_each_others_blocks", threads_free_each_others_blocks, 20, 0},
    {"threads_hand_arenas_on", threads_hand_arenas_on, 20, 0},
    {"ended_threads_give_their_spans_and_slots_back", ended_threads_give_their_spans_and_slots_back, 20, 0},
    {"trimming_and_statistics_disturb_nobody", trimming_and_statistics_disturb_nobody, 20, 0},
};
TEST_MAIN("heap_threads", tests)
