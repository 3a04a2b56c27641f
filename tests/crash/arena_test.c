/*
 * arena_test.c - arenas at every point where their user may die: made, allocated in, given away, taken, rolled
 * back, merged, freed. After each death an arena is its owner's, whole, or it is gone with all that was in it.
 */
#include "crash/heap_world.h"
#include "harness.h"

#include "family/arena.h"

#include "kin/error.h"

#include <stdlib.h>

#define SIZE 48
#define BLOCK 500

/* An arena with a few chunks. */
static kin_arena *filled(kin__id owner)
{
    kin_arena *arena = kin__arena_new_for(owner);
    for (int i = 0; i < 40; i++)
        if (!arena || !kin_arena_malloc(arena, BLOCK))
            abort();
    return arena;
}

/* ---- victims --------------------------------------------------------------------------------- */

static void have_arena(void *arg)
{
    struct heap_world *world = arg;
    heap_be_member(arg);
    world->arena = filled(world->victim);
}

static void have_two_arenas(void *arg)
{
    struct heap_world *world = arg;
    have_arena(arg);
    world->second = filled(world->victim);
}

static void run_new(void *arg)
{
    struct heap_world *world = arg;
    world->arena = kin_arena_new();
}

static void run_malloc(void *arg)
{
    struct heap_world *world = arg;
    for (int i = 0; i < 8; i++)
        if (!kin_arena_malloc(world->arena, 15000))
            abort();
}

static void run_give(void *arg)
{
    struct heap_world *world = arg;
    if (kin_arena_give(world->arena, NULL) != 0)
        abort();
}

static void run_give_to_survivor(void *arg)
{
    struct heap_world *world = arg;
    if (kin__arena_set_owner(world->arena, world->survivor) != 0)
        abort();
}

static void run_take(void *arg)
{
    struct heap_world *world = arg;
    if (kin_arena_take(world->arena) != 0)
        abort();
}

static void run_free(void *arg)
{
    struct heap_world *world = arg;
    kin_arena_free(world->arena);
}

static void run_roll_back(void *arg)
{
    struct heap_world *world = arg;
    kin__arena_rollback(world->arena, world->mark);
}

static void run_merge(void *arg)
{
    struct heap_world *world = arg;
    kin__arena_merge(world->arena, world->second);
}

/* ---- the survivor ---------------------------------------------------------------------------- */

static void name_survivor(struct heap_world *world)
{
    world->survivor = kin__self_id();
}

static void arena_of_family(struct heap_world *world)
{
    world->arena = filled(KIN__OWNER_FAMILY);
}

static void arena_of_survivor(struct heap_world *world)
{
    world->arena = filled(kin__self_id());
}

/* As a task that failed leaves the arena of its seat, which the pool's maker owns. */
static void arena_of_survivor_to_roll_back(struct heap_world *world)
{
    arena_of_survivor(world);
    world->mark = kin__arena_mark(world->arena);
    for (int i = 0; i < 10; i++)
        if (!kin_arena_malloc(world->arena, 15000))
            abort();
}

/* While the victim stands still: others change the same lists. */
static void make_and_free_arenas(struct heap_world *world)
{
    (void)world;
    kin_arena *first = filled(KIN__OWNER_FAMILY), *second = filled(KIN__OWNER_FAMILY);
    kin_arena_free(first);
    if (kin_arena_take(second) != 0)
        abort();
    kin_arena_free(second);
}

/* An arena that is there after the victim's end has another owner, and is whole; it is freed. */
static bool is_left(struct heap_world *world)
{
    kin_heap_stats stats = {.size = sizeof(stats)};
    if (kin_heap_get_stats(&stats) != 0 || stats.arenas > world->ground.arenas + 1)
        world->fault = "more than one arena is left";
    if (stats.arenas == world->ground.arenas)
        return false;
    kin__id owner = kin__arena_owner(world->arena);
    if (owner != KIN__OWNER_FAMILY && owner != kin__self_id())
        world->fault = "the arena that is left belongs to nobody who lives";
    if (kin_arena_bytes(world->arena) != 40 * ((BLOCK + 15) & ~(size_t)15))
        world->fault = "the arena that is left is not whole";
    kin_arena_free(world->arena);
    return true;
}

/* The victim gives it away, and then has no part in it. */
static void is_given_or_gone(struct heap_world *world, const struct step_end *end)
{
    if (!is_left(world) && !end->died)
        world->fault = "the arena was given away, and is gone";
}

/* The victim takes it, or frees it: then it goes, at the latest with the victim. */
static void is_gone_or_as_it_was(struct heap_world *world, const struct step_end *end)
{
    if (is_left(world) && !end->died)
        world->fault = "the arena of the victim is left";
}

/* If the victim died at it, the owner does it again. */
static void is_rolled_back(struct heap_world *world, const struct step_end *end)
{
    if (end->died)
        kin__arena_rollback(world->arena, world->mark);
    if (!is_left(world))
        world->fault = "the arena of the survivor is gone";
}

/* The victim's end, by itself or not, is the arena's. */
static void nothing_is_left(struct heap_world *world, const struct step_end *end)
{
    (void)end;
    kin_heap_stats stats = {.size = sizeof(stats)};
    if (kin_heap_get_stats(&stats) != 0 || stats.arenas != world->ground.arenas)
        world->fault = "an arena of the dead is left";
}

/* ---- the operations -------------------------------------------------------------------------- */

static void arena_is_made(void)
{
    heap_survive((struct heap_plan){.name = "arena new",
                                    .size = SIZE,
                                    .prepare = heap_be_member,
                                    .run = run_new,
                                    .settle = nothing_is_left});
}

static void arena_grows_by_a_chunk(void)
{
    heap_survive((struct heap_plan){.name = "arena malloc",
                                    .size = SIZE,
                                    .prepare = have_arena,
                                    .run = run_malloc,
                                    .settle = nothing_is_left});
}

static void arena_is_given_to_the_family(void)
{
    heap_survive((struct heap_plan){.name = "arena give",
                                    .size = SIZE,
                                    .prepare = have_arena,
                                    .run = run_give,
                                    .work = make_and_free_arenas,
                                    .settle = is_given_or_gone});
}

static void arena_is_given_to_a_member(void)
{
    heap_survive((struct heap_plan){.name = "arena give to a member",
                                    .size = SIZE,
                                    .arrange = name_survivor,
                                    .prepare = have_arena,
                                    .run = run_give_to_survivor,
                                    .work = make_and_free_arenas,
                                    .settle = is_given_or_gone});
}

static void arena_is_taken_from_the_family(void)
{
    heap_survive((struct heap_plan){.name = "arena take",
                                    .size = SIZE,
                                    .arrange = arena_of_family,
                                    .prepare = heap_be_member,
                                    .run = run_take,
                                    .work = make_and_free_arenas,
                                    .settle = is_gone_or_as_it_was});
}

static void arena_is_taken_from_a_member(void)
{
    heap_survive((struct heap_plan){.name = "arena take from a member",
                                    .size = SIZE,
                                    .arrange = arena_of_survivor,
                                    .prepare = heap_be_member,
                                    .run = run_take,
                                    .work = make_and_free_arenas,
                                    .settle = is_gone_or_as_it_was});
}

static void arena_is_freed(void)
{
    heap_survive((struct heap_plan){.name = "arena free",
                                    .size = SIZE,
                                    .prepare = have_arena,
                                    .run = run_free,
                                    .settle = nothing_is_left});
}

static void arena_of_the_family_is_freed(void)
{
    heap_survive((struct heap_plan){.name = "arena free, of the family",
                                    .size = SIZE,
                                    .arrange = arena_of_family,
                                    .prepare = heap_be_member,
                                    .run = run_free,
                                    .work = make_and_free_arenas,
                                    .settle = is_gone_or_as_it_was});
}

static void arena_is_rolled_back(void)
{
    heap_survive((struct heap_plan){.name = "arena rollback",
                                    .size = SIZE,
                                    .arrange = arena_of_survivor_to_roll_back,
                                    .prepare = heap_be_member,
                                    .run = run_roll_back,
                                    .settle = is_rolled_back});
}

static void arenas_are_merged(void)
{
    heap_survive((struct heap_plan){.name = "arena merge",
                                    .size = SIZE,
                                    .prepare = have_two_arenas,
                                    .run = run_merge,
                                    .settle = nothing_is_left});
}

static const struct test tests[] = {
    {"arena_is_made", arena_is_made, 600, 0},
    {"arena_grows_by_a_chunk", arena_grows_by_a_chunk, 600, 0},
    {"arena_is_given_to_the_family", arena_is_given_to_the_family, 600, 0},
    {"arena_is_given_to_a_member", arena_is_given_to_a_member, 600, 0},
    {"arena_is_taken_from_the_family", arena_is_taken_from_the_family, 600, 0},
    {"arena_is_taken_from_a_member", arena_is_taken_from_a_member, 600, 0},
    {"arena_is_freed", arena_is_freed, 600, 0},
    {"arena_of_the_family_is_freed", arena_of_the_family_is_freed, 600, 0},
    {"arena_is_rolled_back", arena_is_rolled_back, 600, 0},
    {"arenas_are_merged", arenas_are_merged, 600, 0},
};
TEST_MAIN("crash_arena", tests)
