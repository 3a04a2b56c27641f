/*
 * value_test.c - values and arrays with a lock, at every point where who changes one may die: who comes next is told once of an
 * owner's death, and finds no half item but where it was told.
 */
#include "crash/heap_world.h"
#include "harness.h"

#include "family/thread.h"
#include "sync/typed.h"

#include "kin/array.h"
#include "kin/error.h"
#include "kin/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ITEMS 4
#define PATIENCE 5.0

struct wide {
    uint64_t words[ITEMS];
};

struct scene {
    uint64_t name;    /* the victim's */
    int64_t added;    /* by the survivor */
    unsigned written; /* what the survivor has written last */
    unsigned told;
    bool owned; /* by the victim when it died */
    kin_array *array;
};
static struct scene *scene;

static struct kin__typed *object_of(struct heap_world *world)
{
    return (struct kin__typed *)(uintptr_t)world->object;
}

static void found(void)
{
    heap_found_family();
    scene = mmap(NULL, sizeof *scene, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(scene, MAP_FAILED);
}

static void have(struct heap_world *world, void *object, size_t size)
{
    memset(scene, 0, sizeof *scene);
    world->object = object;
    world->object_size = sizeof(struct kin__typed) + size;
    if (!object)
        heap_wrong(world, "no object");
}

static void have_number(struct heap_world *world)
{
    have(world, kin_value_new(KIN_LLONG, 0, NULL, NULL), 8);
}

static void have_wide(struct heap_world *world)
{
    have(world, kin_value_new(KIN_BYTES, sizeof(struct wide), NULL, NULL), sizeof(struct wide));
}

static void have_array(struct heap_world *world)
{
    have(world, kin_array_new(KIN_ULLONG, 0, ITEMS, NULL, NULL), ITEMS * 8);
}

/* ---- victims --------------------------------------------------------------------------------- */

static void prepare(void *arg)
{
    heap_be_member(arg);
    scene->name = kin__thread_self()->name;
}

static bool is_done(int error)
{
    return error == 0;
}

static struct wide all(uint64_t word)
{
    struct wide wide;
    for (int i = 0; i < ITEMS; i++)
        wide.words[i] = word;
    return wide;
}

static void run_add(void *arg)
{
    heap_must(is_done(kin_value_fetch_add((kin_value *)object_of(arg), 1, NULL)));
}

static void run_set(void *arg)
{
    struct wide wide = all(1);
    heap_must(is_done(kin_value_set((kin_value *)object_of(arg), &wide, sizeof wide)));
}

static void run_set_slice(void *arg)
{
    struct wide wide = all(1);
    heap_must(
        is_done(kin_array_set_slice((kin_array *)object_of(arg), (kin_slice){0, ITEMS}, &wide, sizeof wide)));
}

static void run_new(void *arg)
{
    struct heap_world *world = arg;
    world->got = kin_array_new(KIN_ULLONG, 0, ITEMS, NULL, NULL);
    heap_must(world->got != NULL);
}

static void run_free(void *arg)
{
    (void)arg;
    heap_must(kin_array_free(scene->array) == 0);
}

/* ---- meanwhile, and after -------------------------------------------------------------------- */

/* An operation of the survivor: it may be told, once. False: it failed. */
static bool passed(struct heap_world *world, int error)
{
    if (error == KIN_EOWNERDIED)
        scene->told++;
    else if (error)
        heap_wrong(world, "the object cannot be used");
    return !error;
}

static void add_meanwhile(struct heap_world *world)
{
    passed(world, kin_value_fetch_add((kin_value *)object_of(world), 100, NULL));
    scene->added += 100;
}

static int read_wide(struct heap_world *world, struct wide *wide)
{
    struct kin__typed *object = object_of(world);
    return object->count == 1 && object->type == KIN_BYTES
               ? kin_value_get((kin_value *)object, wide, sizeof *wide)
               : kin_array_get_slice((kin_array *)object, (kin_slice){0, ITEMS}, wide, sizeof *wide);
}

static int write_wide(struct heap_world *world, uint64_t word)
{
    struct wide wide = all(word);
    struct kin__typed *object = object_of(world);
    return object->count == 1 && object->type == KIN_BYTES
               ? kin_value_set((kin_value *)object, &wide, sizeof wide)
               : kin_array_set_slice((kin_array *)object, (kin_slice){0, ITEMS}, &wide, sizeof wide);
}

/* All items are of one writer, but where an owner's death was told. */
static void look(struct heap_world *world)
{
    struct wide wide = {{0}}, should;
    if (!passed(world, read_wide(world, &wide)))
        return;
    should = all(wide.words[0]);
    if (memcmp(&wide, &should, sizeof wide) != 0 && !scene->told)
        heap_wrong(world, "half of it was written, and nobody was told");
}

static void look_and_write_meanwhile(struct heap_world *world)
{
    look(world);
    passed(world, write_wide(world, 2 + scene->written++));
    look(world);
}

static void told_rightly(struct heap_world *world, const struct step_end *end)
{
    if (scene->told > (end->died ? 1U : 0U) || (end->died && scene->owned && !scene->told))
        heap_wrong(world,
                   scene->told ? "an owner's death was told too often" : "an owner's death was not told");
}

/* Before anybody else acquires it. */
static void note_owner(struct heap_world *world)
{
    scene->owned = !scene->told && kin__mutex_owner(&object_of(world)->own) == scene->name;
}

static void number_is_right(struct heap_world *world, const struct step_end *end)
{
    int64_t now = 0;
    note_owner(world);
    passed(world, kin_value_fetch_add((kin_value *)object_of(world), 100, NULL));
    scene->added += 100;
    if (!passed(world, kin_value_get((kin_value *)object_of(world), &now, sizeof now)))
        heap_wrong(world, "it is told twice");
    if (now != scene->added + 1 && !(end->died && now == scene->added))
        heap_wrong(world, "the sum is wrong");
    told_rightly(world, end);
    if (kin_value_free((kin_value *)object_of(world)))
        heap_wrong(world, "it cannot be freed");
    world->object = NULL;
}

static void wide_is_right(struct heap_world *world, const struct step_end *end)
{
    note_owner(world);
    look(world);
    passed(world, write_wide(world, 99));
    look(world);
    told_rightly(world, end);
    if (kin_array_free((kin_array *)object_of(world)) && kin_value_free((kin_value *)object_of(world)))
        heap_wrong(world, "it cannot be freed");
    world->object = NULL;
}

static void have_one_to_free(struct heap_world *world)
{
    memset(scene, 0, sizeof *scene);
    scene->array = kin_array_new(KIN_ULLONG, 0, ITEMS, NULL, NULL);
    world->object = scene->array;
    world->object_size = sizeof(struct kin__typed);
}

/* If it is an array still it can be freed; if not, its block is free, or told as possibly lost. */
static void freed_or_not(struct heap_world *world, const struct step_end *end)
{
    if (kin_array_count(scene->array) == ITEMS && (!end->died || kin_array_free(scene->array)))
        heap_wrong(world, "it is there, and cannot be freed");
    world->object = NULL;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void add_survives(void)
{
    heap_survive((struct heap_plan){.name = "value_fetch_add",
                                    .size = 48,
                                    .found = found,
                                    .arrange = have_number,
                                    .prepare = prepare,
                                    .run = run_add,
                                    .work = add_meanwhile,
                                    .settle = number_is_right});
}

static void set_survives(void)
{
    heap_survive((struct heap_plan){.name = "value_set of 32 bytes",
                                    .size = 48,
                                    .found = found,
                                    .arrange = have_wide,
                                    .prepare = prepare,
                                    .run = run_set,
                                    .work = look_and_write_meanwhile,
                                    .settle = wide_is_right});
}

static void set_slice_survives(void)
{
    heap_survive((struct heap_plan){.name = "array_set_slice",
                                    .size = 48,
                                    .found = found,
                                    .arrange = have_array,
                                    .prepare = prepare,
                                    .run = run_set_slice,
                                    .work = look_and_write_meanwhile,
                                    .settle = wide_is_right});
}

static void new_survives(void)
{
    heap_survive((struct heap_plan){
        .name = "array_new", .size = 48, .found = found, .prepare = heap_be_member, .run = run_new});
}

static void free_survives(void)
{
    heap_survive((struct heap_plan){.name = "array_free",
                                    .size = 48,
                                    .found = found,
                                    .arrange = have_one_to_free,
                                    .prepare = heap_be_member,
                                    .run = run_free,
                                    .settle = freed_or_not});
}

static const struct test tests[] = {
    {"add_survives", add_survives, 600, 0},
    {"set_survives", set_survives, 600, 0},
    {"set_slice_survives", set_slice_survives, 600, 0},
    {"new_survives", new_survives, 600, 0},
    {"free_survives", free_survives, 600, 0},
};
TEST_MAIN("crash_value", tests)
