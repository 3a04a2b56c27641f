/*
 * heap_test.c - members allocate, free and hand blocks to each other while they are killed at random.
 *
 * Blocks go through a row of places, each taken and filled by one exchange: so a block has one owner at any
 * time, and each block says in a pattern of its own where it lies and how large it is. A block given out
 * twice, or freed under its owner, breaks a pattern or is refused by kin_free.
 */
#include "harness.h"
#include "storm/killer.h"

#include "family/heap.h"
#include "kin/arena.h"
#include "kin/heap.h"
#include "kin/process.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MEMBERS 3
#define PLACES 256
/* What a dying member may leave behind: the block that it took out of a place, and the one it was putting there. */
#define LOST_A_DEATH 2

struct block {
    uint64_t size;
    uint64_t head;
    /* ... and at its end: uint64_t tail; */
};

struct storm {
    struct block *_Atomic places[PLACES];
    _Atomic uint64_t rounds;
    _Atomic uint32_t broken;
    char what[200];
};

static uint64_t pattern(const struct block *block)
{
    return (uint64_t)(uintptr_t)block * UINT64_C(0x9e3779b97f4a7c15) + block->size;
}

static uint64_t *tail(struct block *block)
{
    return (uint64_t *)((char *)block + block->size - sizeof(uint64_t));
}

static void report(struct storm *storm, const char *what, size_t size)
{
    if (atomic_fetch_add(&storm->broken, 1) == 0)
        snprintf(storm->what, sizeof(storm->what), "a block of %zu bytes, in process %d: %s", size,
                 (int)getpid(), what);
}

static struct block *make(struct storm *storm, uint32_t *seed)
{
    static const uint32_t sizes[] = {32, 32, 48, 64, 200, 1000, 4000, 30000, 100000};
    size_t size = sizes[random_next(seed) % (sizeof(sizes) / sizeof(sizes[0]))];
    struct block *block = kin_malloc(size);
    if (!block) {
        report(storm, kin_error_message(), size);
        return NULL;
    }
    block->size = size;
    block->head = *tail(block) = pattern(block);
    return block;
}

static void destroy(struct storm *storm, struct block *block)
{
    if (block->head != pattern(block) || *tail(block) != pattern(block)) {
        report(storm, "a block's pattern is broken: it had two owners", block->size);
        return;
    }
    block->head = 0; /* whoever gets it twice will see that */
    size_t size = block->size;
    kin_error_clear();
    kin_free(block);
    if (kin_error_code())
        report(storm, kin_error_message(), size);
}

static void one_round(struct storm *storm, uint32_t *seed)
{
    uint32_t dice = random_next(seed);
    if (dice % 64 == 0) {
        kin_arena *arena = kin_arena_new();
        for (int i = 0; arena && i < 20; i++)
            if (!kin_arena_malloc(arena, 100))
                report(storm, kin_error_message(), 100);
        kin_arena_free(arena);
    }
    if (dice % 4096 == 1)
        kin_heap_trim(NULL);
    struct block *block = dice & 1 << 20 ? make(storm, seed) : NULL;
    block = atomic_exchange(&storm->places[(dice >> 8) % PLACES], block);
    if (block)
        destroy(storm, block);
    atomic_fetch_add_explicit(&storm->rounds, 1, memory_order_relaxed);
}

static int member(void *arg)
{
    struct storm *storm = arg;
    uint32_t seed = (uint32_t)getpid() * 2654435761u | 1;
    while (!atomic_load(&storm->broken))
        one_round(storm, &seed);
    return 1;
}

static int rest(void *arg)
{
    return arg == NULL;
}

static void keep_members_alive(kin_process **members, struct storm *storm)
{
    for (int i = 0; i < MEMBERS; i++) {
        if (members[i] && kin_process_is_alive(members[i]))
            continue;
        kin_process_free(members[i]);
        members[i] = kin_process_start_shared(member, storm, NULL);
        ck_assert_msg(members[i] != NULL, "%s", kin_error_message());
    }
}

static void blocks_have_one_owner_whoever_is_killed(void)
{
    struct killer *killer = killer_start(500, 4711);
    kin_process *members[MEMBERS] = {NULL};
    kin_heap_stats before = {.size = sizeof(before)}, after = before;
    uint32_t seed = 99, kills = test_long() ? 2000 : 100;
    test_init();
    kin_process *warm_up = kin_process_start_shared(rest, NULL, NULL); /* its object's span and the like */
    kin_process_free(warm_up);
    struct storm *storm = kin_calloc(1, sizeof(*storm));
    ck_assert_ptr_nonnull(storm);
    ck_assert_int_eq(kin_heap_get_stats(&before), 0);
    atomic_store(&killer->parent, getpid());
    while (atomic_load(&killer->kills) < kills && !atomic_load(&storm->broken)) {
        keep_members_alive(members, storm);
        for (int i = 0; i < 20; i++)
            one_round(storm, &seed);
    }
    uint32_t killed = killer_stop(killer);
    for (int i = 0; i < MEMBERS; i++)
        kin_process_free(members[i]);
    killed += MEMBERS;
    ck_assert_msg(!atomic_load(&storm->broken), "%s", storm->what);
    ck_assert_msg(kin__heap_check() == 0, "%s", kin_error_message());
    for (int i = 0; i < PLACES; i++)
        if (storm->places[i])
            destroy(storm, storm->places[i]);
    ck_assert_msg(!atomic_load(&storm->broken), "%s", storm->what);
    ck_assert_int_eq(kin_heap_get_stats(&after), 0);
    size_t left = after.small_blocks + after.large_blocks - before.small_blocks - before.large_blocks;
    printf("# %u deaths in %llu rounds, %zu blocks left behind, %llu possibly lost\n", killed,
           (unsigned long long)storm->rounds, left, (unsigned long long)after.possibly_lost);
    ck_assert_uint_le(left, (size_t)killed * LOST_A_DEATH);
    ck_assert_uint_le(after.possibly_lost, killed);
    ck_assert_uint_eq(after.arenas, before.arenas);
    ck_assert_msg(kin__heap_check() == 0, "%s", kin_error_message());
    kin_free(storm);
}

static const struct test tests[] = {
    {"blocks_have_one_owner_whoever_is_killed", blocks_have_one_owner_whoever_is_killed, 200, 0},
};
TEST_MAIN("storm_heap", tests)
