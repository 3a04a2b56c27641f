/*
 * tree_test.c - a tree of members that allocate, hand arenas over, start and end children, while any of them is
 * killed at random.
 *
 * Blocks hang in places: put there, and taken away, in one transaction of the heap each, so that the test itself
 * loses none. What is left in the end beyond what hangs there is kin's loss: at most one block a death, and
 * counted. After each hundred kills the tree is felled and every invariant checked.
 */
#include "harness.h"
#include "storm/killer.h"

#include "family/arena.h"
#include "family/heap.h"
#include "family/hooks.h"
#include "family/units.h"

#include "kin/heap.h"
#include "kin/log.h"
#include "kin/process.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PLACES 128
#define ARENAS 32
#define DEPTH 3    /* of the tree below the root */
#define CHILDREN 3 /* that a member has at most */
#define KILLS_A_ROUND 100
#define FELLED_LIMIT 10.0 /* seconds until all that was the tree is recovered */
#define JOIN_LIMIT 20.0

struct tree {
    uint64_t places[PLACES];           /* the journal's; addresses of blocks */
    kin_arena *_Atomic arenas[ARENAS]; /* of the family while they are here */
    _Atomic uint64_t turns, starts, arenas_made;
    bool templates; /* some members start by forkserver */
    _Atomic uint32_t broken;
    char what[240];
};

struct member {
    struct tree *tree;
    int depth;
    uint32_t seed;
    kin_process *children[CHILDREN];
};

struct branch { /* what a child is told */
    struct tree *tree;
    int depth;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void broken(struct tree *tree, const char *what)
{
    if (atomic_fetch_add(&tree->broken, 1) == 0)
        snprintf(tree->what, sizeof(tree->what), "process %d: %s: %s", (int)getpid(), what,
                 kin_error_message());
}

/* ---- what a member does ----------------------------------------------------------------------- */

static uint64_t pattern(const uint64_t *block)
{
    return (uint64_t)(uintptr_t)block * UINT64_C(0x9e3779b97f4a7c15);
}

static void hang_up(struct member *me, uint64_t *place)
{
    static const uint32_t sizes[] = {16, 32, 48, 200, 1000, 5000, 30000, 100000};
    uint64_t *block =
        kin__heap_open(sizes[random_next(&me->seed) % (sizeof(sizes) / sizeof(sizes[0]))], NULL);
    if (!block) {
        broken(me->tree, "could not allocate");
        return;
    }
    *block = pattern(block);
    kin__journal_begin();
    bool room = *place == 0;
    if (room) {
        kin__journal_set(place, (uint64_t)(uintptr_t)block);
        kin__heap_close_in(kin__thread_mine);
    }
    kin__journal_end();
    if (!room) {
        kin_free(block);
        kin__heap_close();
    }
}

static void take_down(struct tree *tree, uint64_t *place)
{
    struct kin__thread *thread = kin__thread_self();
    if (!thread) {
        broken(tree, "could not use the heap");
        return;
    }
    kin__journal_begin();
    const uint64_t *block = (const uint64_t *)(uintptr_t)*place;
    if (block && *block != pattern(block))
        broken(tree, "a block has two owners");
    if (block) {
        kin__journal_set(place, 0);
        kin__heap_free_in(thread, block);
    }
    kin__journal_end();
    if (block)
        kin__heap_free_finish(thread);
}

/* A plain block of its own, for a moment. It has no other at that time, which a death would lose uncounted. */
static void use_block(struct member *me)
{
    uint64_t *block = kin_malloc(random_next(&me->seed) % 2000 + 8);
    if (!block) {
        broken(me->tree, "could not allocate");
        return;
    }
    *block = pattern(block);
    kin_free(block);
}

static void fill(struct member *me, kin_arena *arena)
{
    for (int i = 0; i < 10; i++)
        if (!kin_arena_malloc(arena, random_next(&me->seed) % 3000))
            broken(me->tree, "could not allocate in an arena");
}

/* Arenas go round: mine, the family's, the next one's. */
static void use_arena(struct member *me)
{
    kin_arena *_Atomic *place = &me->tree->arenas[random_next(&me->seed) % ARENAS];
    kin_arena *arena = atomic_exchange(place, NULL);
    if (!arena) {
        arena = kin_arena_new();
        atomic_fetch_add(&me->tree->arenas_made, 1);
    } else if (kin_arena_take(arena) != 0) {
        broken(me->tree, "could not take an arena");
        return;
    }
    if (!arena) {
        broken(me->tree, "could not make an arena");
        return;
    }
    fill(me, arena);
    if (random_next(&me->seed) % 2) {
        kin_arena_free(arena);
        return;
    }
    kin_process *child = me->children[random_next(&me->seed) % CHILDREN];
    if (child && random_next(&me->seed) % 2) { /* it goes with the child, or at once if the child is gone */
        if (kin_arena_give(arena, child) != 0)
            kin_arena_free(arena);
        return;
    }
    if (kin_arena_give(arena, NULL) != 0)
        broken(me->tree, "could not give an arena to the family");
    arena = atomic_exchange(place, arena);
    if (arena)
        kin_arena_free(arena);
}

static int grow(void *arg);

static void use_child(struct member *me)
{
    kin_process **child = &me->children[random_next(&me->seed) % CHILDREN];
    if (me->depth >= DEPTH)
        return;
    if (!*child) {
        struct branch branch = {me->tree, me->depth + 1};
        /* Not the root, whose template would stand when the tree is felled. */
        bool fresh = me->tree->templates && me->depth > 0 && random_next(&me->seed) % 2;
        *child = kin_process_start(
            grow, &branch, sizeof(branch),
            KIN_PROCESS_OPTIONS(.start_method = fresh ? KIN_START_FORKSERVER : KIN_START_FORK));
        atomic_fetch_add(&me->tree->starts, 1);
        if (!*child && !(fresh && kin_error_code() == KIN_EDIED)) /* its template was killed, as may be */
            broken(me->tree, "could not start a child");
        return;
    }
    if (random_next(&me->seed) % 2 == 0 && kin_process_is_alive(*child))
        return;
    if (random_next(&me->seed) % 2 == 0) {
        kin_process_terminate(*child);
        if (kin_process_join(*child, JOIN_LIMIT) != 0)
            broken(me->tree, "could not join a child");
    }
    kin_process_free(*child); /* kills it, if it is not gone */
    *child = NULL;
}

static void turn(struct member *me)
{
    uint32_t dice = random_next(&me->seed);
    uint64_t *place = &me->tree->places[(dice >> 8) % PLACES];
    atomic_fetch_add_explicit(&me->tree->turns, 1, memory_order_relaxed);
    if (dice % 64 == 0)
        use_child(me);
    else if (dice % 8 == 1)
        use_arena(me);
    else if (dice % 8 == 2)
        use_block(me);
    else if (dice % 2)
        hang_up(me, place);
    else
        take_down(me->tree, place);
}

/* A member's life; some end by themselves, one way or another. */
static int grow(void *arg)
{
    const struct branch *branch = arg;
    struct member me = {
        .tree = branch->tree, .depth = branch->depth, .seed = (uint32_t)getpid() * 2654435761u | 1};
    uint32_t turns = 200 + random_next(&me.seed) % 20000;
    for (uint32_t i = 0; i < turns && !atomic_load(&me.tree->broken); i++)
        turn(&me);
    switch (random_next(&me.seed) % 4) {
    case 0:
        _exit(1);
    case 1:
        exit(2);
    default:
        return 0; /* its children are joined */
    }
}

/* ---- the root --------------------------------------------------------------------------------- */

static uint32_t members(void)
{
    uint32_t count = 0;
    for (uint32_t i = 1; i < kin__members_top(); i++)
        count += kin__member_state(&kin__members()[i]) != KIN__FREE;
    return count;
}

static void fell(struct member *root)
{
    for (int i = 0; i < CHILDREN; i++) {
        kin_process_free(root->children[i]);
        root->children[i] = NULL;
    }
    for (double deadline = now() + FELLED_LIMIT; members() > 1; usleep(200)) {
        kin__members_sweep();
        ck_assert_msg(now() < deadline, "%u members are left of a tree that was felled", members() - 1);
    }
}

static kin_heap_stats stats_now(void)
{
    kin_heap_stats stats = {.size = sizeof(stats)};
    ck_assert_int_eq(kin_heap_get_stats(&stats), 0);
    return stats;
}

/* With all members gone. Arenas that somebody had taken out of their place and not yet taken are the family's. */
static void clear(struct tree *tree)
{
    memset((void *)tree->arenas, 0, sizeof(tree->arenas));
    while (kin__heap()->family_arenas)
        kin_arena_free((kin_arena *)(uintptr_t)kin__heap()->family_arenas);
    for (int i = 0; i < PLACES; i++)
        take_down(tree, &tree->places[i]);
}

static void judge(struct tree *tree, const kin_heap_stats *before)
{
    ck_assert_msg(!atomic_load(&tree->broken), "%s", tree->what);
    ck_assert_msg(kin__heap_check() == 0, "%s", kin_error_message());
    clear(tree);
    ck_assert_msg(!atomic_load(&tree->broken), "%s", tree->what);
    ck_assert_msg(kin__heap_check() == 0, "%s", kin_error_message());
    kin_heap_stats after = stats_now();
    size_t left = after.small_blocks + after.large_blocks - before->small_blocks - before->large_blocks;
    uint64_t lost = after.possibly_lost - before->possibly_lost;
    ck_assert_uint_eq(after.arenas, before->arenas);
    ck_assert_msg(left <= lost, "%zu blocks are left, %llu are counted as possibly lost", left,
                  (unsigned long long)lost);
    ck_assert_uint_le(lost, after.deaths - before->deaths);
}

static void storm(bool templates)
{
    struct killer *killer = killer_start(1000, 20261123);
    uint32_t kills = test_long() ? 10000 : 300;
    test_init();
    struct member root = {.tree = kin_calloc(1, sizeof(struct tree)), .seed = 4242};
    ck_assert_ptr_nonnull(root.tree);
    root.tree->templates = templates;
    root.children[0] =
        kin_process_start(grow, &(struct branch){root.tree, DEPTH}, sizeof(struct branch), NULL);
    fell(&root); /* its object's span and the like are there before it is counted */
    clear(root.tree);
    kin_heap_stats before = stats_now();
    atomic_store(&killer->deep, 1);
    atomic_store(&killer->parent, getpid());
    for (uint32_t done = 0; done < kills;) {
        done += KILLS_A_ROUND;
        atomic_store(&killer->stop_at, done);
        while (atomic_load(&killer->kills) < done && !atomic_load(&root.tree->broken))
            turn(&root);
        fell(&root);
        judge(root.tree, &before);
    }
    kin_heap_stats after = stats_now();
    printf("# %u kills, %llu deaths in all, %llu starts, %llu turns, %llu arenas; %llu blocks possibly lost, "
           "%zu are\n",
           killer_stop(killer), (unsigned long long)(after.deaths - before.deaths),
           (unsigned long long)root.tree->starts, (unsigned long long)root.tree->turns,
           (unsigned long long)root.tree->arenas_made,
           (unsigned long long)(after.possibly_lost - before.possibly_lost),
           after.small_blocks + after.large_blocks - before.small_blocks - before.large_blocks);
    kin_free(root.tree);
}

static void whoever_is_killed_the_tree_grows_again(void)
{
    storm(false);
}

static void templates_among_them_too(void)
{
    kin_log_set_level(KIN_LOG_ERROR);
    storm(true);
}

static const struct test tests[] = {
    {"whoever_is_killed_the_tree_grows_again", whoever_is_killed_the_tree_grows_again, 600, 0},
    {"templates_among_them_too", templates_among_them_too, 600, 0},
};
TEST_MAIN("storm_tree", tests)
