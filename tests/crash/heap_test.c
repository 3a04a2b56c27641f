/*
 * heap_test.c - malloc, free and their kin at every point where the caller may die.
 *
 * Each operation is arranged so that it takes the path it is named for; heap_world.h judges the rest.
 */
#include "crash/heap_world.h"
#include "harness.h"

#include "family/journal.h"
#include "family/region.h"
#include "family/thread.h"
#include "family/units.h"

#include "kin/error.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define SMALL 48
#define MIDDLE 4096 /* 16 blocks in a unit, or a few more */
#define LARGE ((size_t)300000)
#define LEAST_LARGE ((size_t)33000)

/* ---- victims --------------------------------------------------------------------------------- */

/* The same, and the span that the operation is to find is the victim's own. */
static void be_member_with_span(void *arg)
{
    struct heap_world *world = arg;
    heap_be_member(arg);
    void *first = kin_malloc(world->size), *second = kin_malloc(world->size);
    kin_free(second);
    kin_free(first); /* the next to be allocated; what the slot remembers as the last is the second */
}

static void be_member_with_block(void *arg)
{
    struct heap_world *world = arg;
    heap_be_member(arg);
    world->given = heap_new_block(world, world->size);
}

static void be_member_with_full_span(void *arg)
{
    heap_be_member(arg);
    heap_fill_own_span(arg);
}

static void run_malloc(void *arg)
{
    struct heap_world *world = arg;
    world->got = kin_malloc(world->size);
}

static void run_free(void *arg)
{
    struct heap_world *world = arg;
    kin_free(world->given);
}

static void run_realloc(void *arg)
{
    struct heap_world *world = arg;
    world->got = kin_realloc(world->given, world->new_size);
}

static void run_leave(void *arg)
{
    (void)arg;
    kin__thread_leave();
}

static void run_first_malloc(void *arg)
{
    struct heap_world *world = arg;
    world->victim = kin__self_id();
    world->got = kin_malloc(world->size);
}

/* ---- what the survivor arranges -------------------------------------------------------------- */

static void no_warm_memory(struct heap_world *world)
{
    (void)world;
    if (kin_heap_trim(NULL) != 0)
        abort();
}

static void warm_memory(struct heap_world *world)
{
    (void)world;
    kin_free(kin_malloc(2 * LARGE));
}

/* A span that nobody owns, with one free block. */
static void partial_span(struct heap_world *world)
{
    heap_hold_full_span(world);
    heap_free_block(world, world->held[--world->held_count], world->size);
}

static void block_of_survivor(struct heap_world *world)
{
    world->given = heap_new_block(world, world->size);
}

/* The survivor's own span, full: the block that the victim frees is the next that the survivor gets. */
static void block_of_survivors_full_span(struct heap_world *world)
{
    heap_fill_own_span(world);
    world->given = world->held[--world->held_count];
}

/* A span that nobody owns, full: who frees a block of it has to list it. */
static void block_of_full_span(struct heap_world *world)
{
    heap_hold_full_span(world);
    world->given = world->held[--world->held_count];
}

/* A span that nobody owns with one block left; or with two, the other of which the others will free. */
static void last_block_of_span(struct heap_world *world)
{
    block_of_full_span(world);
    while (world->held_count)
        heap_free_block(world, world->held[--world->held_count], world->size);
}

/* The same, and it is the span's first: a large block of the others can come to lie at the same address. */
static void last_and_first_block_of_span(struct heap_world *world)
{
    heap_hold_full_span(world);
    while (world->held_count > 1)
        heap_free_block(world, world->held[--world->held_count], world->size);
    world->given = world->held[--world->held_count];
}

static void last_two_blocks_of_span(struct heap_world *world)
{
    block_of_full_span(world);
    while (world->held_count > 1)
        heap_free_block(world, world->held[--world->held_count], world->size);
}

/* ---- realloc --------------------------------------------------------------------------------- */

static void be_member_with_block_to_change(void *arg)
{
    struct heap_world *world = arg;
    be_member_with_block(arg);
    world->was = world->given;
}

static void change_block_of_survivor(struct heap_world *world)
{
    block_of_survivor(world);
    world->was = world->given;
}

/* Whoever lives on has the block with what was in it, in one place or the other. */
static void contents_are_there(struct heap_world *world, const struct step_end *end)
{
    if (!end->died && !world->got)
        world->fault = "the victim's realloc failed";
    if (world->got && !heap_has_mark_of(world->got, world->was))
        world->fault = "realloc lost what was in the block";
    if (world->got && kin_usable_size(world->got) < world->new_size)
        world->fault = "realloc returned a block that is too small";
}

/* ---- recovery -------------------------------------------------------------------------------- */

/* Somebody dies with a span, an arena, a block that was just returned and a transaction that is half done. */
static void die_in_the_midst(struct heap_world *world)
{
    bool cold;
    enum kin__out_of out_of;
    world->dead = kin__self_id();
    world->arena = kin_arena_new();
    for (int i = 0; i < 10; i++)
        world->held[world->held_count++] = heap_new_block(world, world->size);
    if (!world->arena || !kin_arena_malloc(world->arena, 5000))
        abort();
    kin__journal_begin();
    if (!kin__units_take(2, 1, KIN__UNIT_HELD, &cold, &out_of))
        abort();
    kill(getpid(), SIGKILL);
}

static void somebody_dead(struct heap_world *world)
{
    pid_t pid = fork();
    if (pid == 0)
        die_in_the_midst(world);
    int status;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        abort();
}

static void run_recovery(void *arg)
{
    struct heap_world *world = arg;
    kin__member_recover(world->dead);
}

/* ---- the operations -------------------------------------------------------------------------- */

static void malloc_from_own_span(void)
{
    heap_survive((struct heap_plan){
        .name = "malloc from own span", .size = SMALL, .prepare = be_member_with_span, .run = run_malloc});
}

static void malloc_from_new_span(void)
{
    heap_survive((struct heap_plan){.name = "malloc from new span, warm memory",
                                    .size = MIDDLE,
                                    .arrange = warm_memory,
                                    .prepare = heap_be_member,
                                    .run = run_malloc});
}

static void malloc_from_new_span_of_cold_memory(void)
{
    heap_survive((struct heap_plan){.name = "malloc from new span, cold memory",
                                    .size = MIDDLE,
                                    .arrange = no_warm_memory,
                                    .prepare = heap_be_member,
                                    .run = run_malloc});
}

static void malloc_from_partial_span(void)
{
    heap_survive((struct heap_plan){.name = "malloc from partial span",
                                    .size = MIDDLE,
                                    .arrange = partial_span,
                                    .prepare = heap_be_member,
                                    .run = run_malloc,
                                    .others_may_free = true});
}

static void malloc_when_own_span_is_full(void)
{
    heap_survive((struct heap_plan){.name = "malloc when own span is full",
                                    .size = MIDDLE,
                                    .prepare = be_member_with_full_span,
                                    .run = run_malloc});
}

static void malloc_large(void)
{
    heap_survive((struct heap_plan){.name = "malloc large, warm memory",
                                    .size = LARGE,
                                    .arrange = warm_memory,
                                    .prepare = heap_be_member,
                                    .run = run_malloc});
}

static void malloc_large_of_cold_memory(void)
{
    heap_survive((struct heap_plan){.name = "malloc large, cold memory",
                                    .size = LARGE,
                                    .arrange = no_warm_memory,
                                    .prepare = heap_be_member,
                                    .run = run_malloc});
}

static void first_malloc_of_a_process(void)
{
    heap_survive(
        (struct heap_plan){.name = "first malloc of a process", .size = SMALL, .run = run_first_malloc});
}

static void free_to_own_span(void)
{
    heap_survive((struct heap_plan){
        .name = "free to own span", .size = SMALL, .prepare = be_member_with_block, .run = run_free});
}

static void free_to_span_of_another(void)
{
    heap_survive((struct heap_plan){.name = "free to another's span",
                                    .size = SMALL,
                                    .arrange = block_of_survivor,
                                    .prepare = heap_be_member,
                                    .run = run_free});
}

static void free_to_full_span_of_another(void)
{
    heap_survive((struct heap_plan){.name = "free to another's full span",
                                    .size = MIDDLE,
                                    .arrange = block_of_survivors_full_span,
                                    .prepare = heap_be_member,
                                    .run = run_free});
}

static void free_to_full_span_of_nobody(void)
{
    heap_survive((struct heap_plan){.name = "free to full span of nobody",
                                    .size = MIDDLE,
                                    .arrange = block_of_full_span,
                                    .prepare = heap_be_member,
                                    .run = run_free,
                                    .others_may_free = true});
}

static void free_of_last_block_of_span(void)
{
    heap_survive((struct heap_plan){.name = "free of a span's last block",
                                    .size = MIDDLE,
                                    .arrange = last_block_of_span,
                                    .prepare = heap_be_member,
                                    .run = run_free});
}

static void free_of_last_block_whose_memory_becomes_large(void)
{
    heap_survive((struct heap_plan){.name = "free of a span's last block, then large",
                                    .size = MIDDLE,
                                    .arrange = last_and_first_block_of_span,
                                    .prepare = heap_be_member,
                                    .run = run_free,
                                    .others_size = 40000});
}

static void free_of_last_but_one_block_of_span(void)
{
    heap_survive((struct heap_plan){.name = "free of a span's last but one block",
                                    .size = MIDDLE,
                                    .arrange = last_two_blocks_of_span,
                                    .prepare = heap_be_member,
                                    .run = run_free,
                                    .others_may_free = true});
}

static void free_large(void)
{
    heap_survive((struct heap_plan){.name = "free large",
                                    .size = LARGE,
                                    .arrange = block_of_survivor,
                                    .prepare = heap_be_member,
                                    .run = run_free});
}

static void free_that_waits_for_the_journal(void)
{
    heap_survive((struct heap_plan){.name = "free that waits for the journal",
                                    .size = MIDDLE,
                                    .arrange = block_of_full_span,
                                    .prepare = heap_be_member,
                                    .ready = heap_hold_journal,
                                    .run = run_free});
}

static void realloc_in_place(void)
{
    heap_survive((struct heap_plan){.name = "realloc in place",
                                    .size = MIDDLE,
                                    .new_size = MIDDLE - 1000,
                                    .prepare = be_member_with_block_to_change,
                                    .run = run_realloc,
                                    .settle = contents_are_there});
}

static void realloc_grows(void)
{
    heap_survive((struct heap_plan){.name = "realloc, growing",
                                    .size = SMALL,
                                    .new_size = 4 * SMALL,
                                    .prepare = be_member_with_block_to_change,
                                    .run = run_realloc,
                                    .settle = contents_are_there,
                                    .points = 10});
}

static void realloc_shrinks(void)
{
    heap_survive((struct heap_plan){.name = "realloc, shrinking",
                                    .size = 10 * SMALL,
                                    .new_size = SMALL,
                                    .prepare = be_member_with_block_to_change,
                                    .run = run_realloc,
                                    .settle = contents_are_there,
                                    .points = 10});
}

static void realloc_of_block_of_another(void)
{
    heap_survive((struct heap_plan){.name = "realloc of another's block",
                                    .size = SMALL,
                                    .new_size = 4 * SMALL,
                                    .arrange = change_block_of_survivor,
                                    .prepare = heap_be_member,
                                    .run = run_realloc,
                                    .settle = contents_are_there});
}

static void realloc_of_small_to_large(void)
{
    heap_survive((struct heap_plan){.name = "realloc, small to large",
                                    .size = 10 * SMALL,
                                    .new_size = LARGE,
                                    .arrange = change_block_of_survivor,
                                    .prepare = heap_be_member,
                                    .run = run_realloc,
                                    .settle = contents_are_there});
}

static void realloc_of_large_to_small(void)
{
    heap_survive((struct heap_plan){.name = "realloc, large to small",
                                    .size = LARGE,
                                    .new_size = 10 * SMALL,
                                    .arrange = change_block_of_survivor,
                                    .prepare = heap_be_member,
                                    .run = run_realloc,
                                    .settle = contents_are_there});
}

static void realloc_cuts_large(void)
{
    heap_survive((struct heap_plan){.name = "realloc, large cut in place",
                                    .size = LARGE,
                                    .new_size = LARGE / 2,
                                    .arrange = change_block_of_survivor,
                                    .prepare = heap_be_member,
                                    .run = run_realloc,
                                    .settle = contents_are_there});
}

static void realloc_grows_large(void)
{
    heap_survive((struct heap_plan){.name = "realloc, large growing",
                                    .size = LEAST_LARGE,
                                    .new_size = 3 * LEAST_LARGE,
                                    .arrange = change_block_of_survivor,
                                    .prepare = heap_be_member,
                                    .run = run_realloc,
                                    .settle = contents_are_there});
}

static void thread_leaves(void)
{
    heap_survive((struct heap_plan){.name = "thread leaves the heap",
                                    .size = MIDDLE,
                                    .prepare = be_member_with_span,
                                    .run = run_leave,
                                    .points = 6});
}

static void recovery_by_one_who_dies_too(void)
{
    heap_survive((struct heap_plan){.name = "recovery",
                                    .size = SMALL,
                                    .arrange = somebody_dead,
                                    .prepare = heap_be_member,
                                    .run = run_recovery,
                                    .points = 6});
}

/* Nobody watches plain forks; the table of members must not fill with those that are dead. */
static void slots_of_dead_plain_forks_are_used_again(void)
{
    heap_found_family();
    for (unsigned i = 0; i < KIN__MEMBERS_MAX + 100; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            void *block = kin_malloc(100);
            kin_free(block);
            _exit(block ? 0 : 1);
        }
        int status = 1;
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_msg(status == 0, "plain fork %u is no member", i);
    }
}

static const struct test tests[] = {
    {"malloc_from_own_span", malloc_from_own_span, 300, 0},
    {"malloc_from_new_span", malloc_from_new_span, 600, 0},
    {"malloc_from_new_span_of_cold_memory", malloc_from_new_span_of_cold_memory, 600, 0},
    {"malloc_from_partial_span", malloc_from_partial_span, 600, 0},
    {"malloc_when_own_span_is_full", malloc_when_own_span_is_full, 600, 0},
    {"malloc_large", malloc_large, 600, 0},
    {"malloc_large_of_cold_memory", malloc_large_of_cold_memory, 600, 0},
    {"first_malloc_of_a_process", first_malloc_of_a_process, 300, 0},
    {"free_to_own_span", free_to_own_span, 300, 0},
    {"free_to_span_of_another", free_to_span_of_another, 300, 0},
    {"free_to_full_span_of_another", free_to_full_span_of_another, 300, 0},
    {"free_to_full_span_of_nobody", free_to_full_span_of_nobody, 600, 0},
    {"free_of_last_block_of_span", free_of_last_block_of_span, 600, 0},
    {"free_of_last_block_whose_memory_becomes_large", free_of_last_block_whose_memory_becomes_large, 600, 0},
    {"free_of_last_but_one_block_of_span", free_of_last_but_one_block_of_span, 600, 0},
    {"free_large", free_large, 600, 0},
    {"free_that_waits_for_the_journal", free_that_waits_for_the_journal, 600, 0},
    {"slots_of_dead_plain_forks_are_used_again", slots_of_dead_plain_forks_are_used_again, 300, 0},
    {"realloc_in_place", realloc_in_place, 300, 0},
    {"realloc_grows", realloc_grows, 600, 0},
    {"realloc_shrinks", realloc_shrinks, 600, 0},
    {"realloc_of_block_of_another", realloc_of_block_of_another, 600, 0},
    {"realloc_of_small_to_large", realloc_of_small_to_large, 600, 0},
    {"realloc_of_large_to_small", realloc_of_large_to_small, 600, 0},
    {"realloc_cuts_large", realloc_cuts_large, 600, 0},
    {"realloc_grows_large", realloc_grows_large, 900, TEST_LONG_ONLY}, /* it copies 64 KiB, a byte a step */
    {"thread_leaves", thread_leaves, 600, 0},
    {"recovery_by_one_who_dies_too", recovery_by_one_who_dies_too, 300, 0},
};
TEST_MAIN("crash_heap", tests)
