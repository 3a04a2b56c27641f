/*
 * segment_test.c - named shared memory at every point where who makes, attaches to, unlinks or sweeps a name may die. After each
 * death the name is not there, or is whole; it is never taken from who still uses it; and what nobody uses any more a sweep takes away.
 */
#include "crash/heap_world.h"
#include "harness.h"

#include "kin/error.h"
#include "kin/shareable_list.h"
#include "kin/shared_memory.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BYTES 5000

/* Shared: what the survivor has done while the victim stood still. */
struct scene {
    char name[40];
    bool attached; /* it has a name that must stay */
    bool renewed;  /* it has taken the name away and made another */
};
static struct scene *scene;
static kin_shared_memory *mine; /* the survivor's */

static void found(void)
{
    heap_found_family();
    scene = mmap(NULL, sizeof *scene, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(scene, MAP_FAILED);
    snprintf(scene->name, sizeof scene->name, "kin_crash_segment_%d", getpid());
}

static kin_shared_memory *make(unsigned char with)
{
    kin_shared_memory *memory = kin_shared_memory_create(scene->name, BYTES, NULL);
    if (memory)
        memset(kin_shared_memory_buf(memory), with, BYTES);
    return memory;
}

static void nobody_has_it(struct heap_world *world)
{
    (void)world;
    scene->attached = scene->renewed = false;
    mine = NULL;
}

static void survivor_has_it(struct heap_world *world)
{
    nobody_has_it(world);
    mine = make(1);
    scene->attached = mine != NULL;
    if (!mine)
        heap_wrong(world, "could not make the memory");
}

/* Its users have ended: whoever sweeps takes it away. */
static void it_is_left_behind(struct heap_world *world)
{
    survivor_has_it(world);
    kin_shared_memory_close(mine);
    nobody_has_it(world);
}

/* ---- victims --------------------------------------------------------------------------------- */

static void run_create(void *arg)
{
    (void)arg;
    heap_must(kin_shared_memory_create(scene->name, BYTES, KIN_SHARED_MEMORY_OPTIONS(.attach = true)) !=
              NULL);
}

static void run_attach(void *arg)
{
    (void)arg;
    heap_must(kin_shared_memory_attach(scene->name) != NULL);
}

static void run_unlink(void *arg)
{
    (void)arg;
    int error = kin_shared_memory_unlink(scene->name);
    heap_must(!error || scene->renewed || error == KIN_ENOTFOUND);
}

static void run_sweep(void *arg)
{
    (void)arg;
    heap_must(kin_shared_memory_sweep(NULL) == 0);
}

static const kin_any values[] = {{.type = KIN_ANY_TEXT, .data = "oldvalue and more", .size = 17},
                                 {.type = KIN_ANY_INT, .integer = 5},
                                 {.type = KIN_ANY_REAL, .real = 0.5}};
static const kin_any seven = {.type = KIN_ANY_INT, .integer = 7};
static kin_shareable_list *list; /* the survivor's */

static void run_create_list(void *arg)
{
    (void)arg;
    heap_must(kin_shareable_list_create(scene->name, values, 3, NULL) != NULL ||
              kin_error_code() == KIN_EBUSY);
}

static void run_set_item(void *arg)
{
    (void)arg;
    heap_must(kin_shareable_list_set(list, 0, seven) == 0);
}

/* ---- meanwhile ------------------------------------------------------------------------------- */

static void attach_meanwhile(struct heap_world *world)
{
    if (mine)
        return;
    mine = kin_shared_memory_attach(scene->name);
    scene->attached = mine != NULL;
    if (mine && kin_shared_memory_size(mine) != BYTES)
        heap_wrong(world, "who attaches finds half of it");
    if (!mine && kin_error_code() != KIN_ENOTFOUND && kin_error_code() != KIN_EBUSY)
        heap_wrong(world, "could not attach meanwhile");
}

static void sweep_meanwhile(struct heap_world *world)
{
    if (kin_shared_memory_sweep(NULL))
        heap_wrong(world, "could not sweep meanwhile");
}

static bool has_integer(const kin_shareable_list *of, int64_t index, int64_t expected)
{
    kin_any value = {0};
    return kin_shareable_list_get(of, index, &value) == 0 && value.type == KIN_ANY_INT &&
           value.integer == expected;
}

/* Whole, from the first moment that it has its name. */
static void find_list_meanwhile(struct heap_world *world)
{
    kin_shareable_list *found = kin_shareable_list_attach(scene->name);
    kin_any text = {0};
    if (!found) {
        if (kin_error_code() != KIN_ENOTFOUND && kin_error_code() != KIN_EBUSY)
            heap_wrong(world, "could not attach meanwhile");
        return;
    }
    if (kin_shareable_list_length(found) != 3 || kin_shareable_list_get(found, 0, &text) ||
        text.type != KIN_ANY_TEXT || text.size != 17 || memcmp(text.data, values[0].data, 17) != 0 ||
        !has_integer(found, 1, 5))
        heap_wrong(world, "who attaches finds half of a list");
    free(text.memory);
    kin_shareable_list_close(found);
}

/* Another item, of a list whose first one is being set. */
static void set_another_meanwhile(struct heap_world *world)
{
    if (kin_shareable_list_set(list, 2, seven))
        heap_wrong(world, "could not set another item meanwhile");
}

/* The name becomes another memory's. */
static void renew_meanwhile(struct heap_world *world)
{
    if (scene->renewed)
        return;
    if (kin_shared_memory_unlink(scene->name))
        return; /* the victim is at it */
    kin_shared_memory_close(mine);
    mine = make(2);
    scene->renewed = mine != NULL;
    if (!mine)
        heap_wrong(world, "could not make another memory of the name");
}

/* ---- judgement ------------------------------------------------------------------------------- */

static bool anything_is_left(void)
{
    DIR *directory = opendir("/dev/shm");
    bool left = false;
    for (const struct dirent *entry; directory && (entry = readdir(directory));)
        left = left || strcmp(entry->d_name, scene->name) == 0 ||
               (strncmp(entry->d_name, ".kin-", 5) == 0 && kin_shared_memory_unlink(entry->d_name) == 0);
    if (directory)
        closedir(directory);
    return left;
}

static void end_segment(struct heap_world *world)
{
    kin_shared_memory_close(mine);
    mine = NULL;
    if (kin_shared_memory_sweep(NULL))
        heap_wrong(world, "could not sweep");
    if (anything_is_left())
        heap_wrong(world, "something is left that nobody uses");
    kin_shared_memory *again = make(3);
    if (!again || kin_shared_memory_unlink(scene->name))
        heap_wrong(world, "the name cannot be used again");
    kin_shared_memory_close(again);
}

/* Whole, with what the survivor wrote; or, where it may, not there. */
static void look(struct heap_world *world, unsigned char with, bool may_be_gone)
{
    kin_shared_memory *there = kin_shared_memory_attach(scene->name);
    if (!there && (!may_be_gone || kin_error_code() != KIN_ENOTFOUND))
        heap_wrong(world, "it is not there");
    if (there) {
        const unsigned char *bytes = kin_shared_memory_buf(there);
        if (kin_shared_memory_size(there) != BYTES || bytes[0] != with || bytes[BYTES - 1] != with)
            heap_wrong(world, "it is not whole");
    }
    kin_shared_memory_close(there);
}

static void made_or_not(struct heap_world *world, const struct step_end *end)
{
    (void)end; /* one that went on has ended, too: the name may have been swept since */
    look(world, 0, !scene->attached);
    end_segment(world);
}

static void survivors_is_there(struct heap_world *world, const struct step_end *end)
{
    (void)end;
    look(world, 1, false);
    end_segment(world);
}

/* One that goes on takes away what has the name then. */
static void unlinked_or_not(struct heap_world *world, const struct step_end *end)
{
    look(world, scene->renewed ? 2 : 1, !scene->renewed || !end->died);
    if (!end->died && !scene->renewed && kin_shared_memory_unlink(scene->name) != KIN_ENOTFOUND)
        heap_wrong(world, "it was not unlinked");
    end_segment(world);
}

static void swept_or_used(struct heap_world *world, const struct step_end *end)
{
    (void)end;
    look(world, 1, !scene->attached);
    end_segment(world);
}

static void list_made_or_not(struct heap_world *world, const struct step_end *end)
{
    (void)end;
    find_list_meanwhile(world);
    end_segment(world);
}

/* Before there are victims: so that it lies at the same address in all. */
static void found_with_a_list(void)
{
    found();
    list = kin_shareable_list_create(scene->name, values, 3, NULL);
    ck_assert_msg(list != NULL, "%s", kin_error_message());
}

static void list_is_as_it_was(struct heap_world *world)
{
    nobody_has_it(world);
    for (int i = 0; i < 3; i++)
        if (kin_shareable_list_set(list, i, values[i]))
            heap_wrong(world, "could not set an item");
    world->object = kin_shared_memory_buf(kin_shareable_list_memory(list));
    world->object_size = kin_shared_memory_size(kin_shareable_list_memory(list));
}

/* The item may be of the one type with the other's bytes; no other item is touched, and it can be set anew. */
static void item_set_or_not(struct heap_world *world, const struct step_end *end)
{
    kin_any value = {0};
    if (kin_shareable_list_get(list, 0, &value))
        heap_wrong(world, "could not get the item");
    free(value.memory);
    if (!end->died && !has_integer(list, 0, 7))
        heap_wrong(world, "the item was not set");
    if (!has_integer(list, 1, 5) || kin_shareable_list_set(list, 0, values[1]) || !has_integer(list, 0, 5))
        heap_wrong(world, "the list is not as it should be");
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void create_survives(void)
{
    heap_survive(
        (struct heap_plan){.name = "shared_memory_create",
                           .size = 48,
                           .found = found,
                           .arrange = nobody_has_it,
                           .prepare = heap_be_member,
                           .run = run_create,
                           .work = attach_meanwhile,
                           .settle = made_or_not,
                           .points = 3,
                           .long_points = 25}); /* a long way to each: what memory there is, is text */
}

static void attach_survives(void)
{
    heap_survive((struct heap_plan){.name = "shared_memory_attach",
                                    .size = 48,
                                    .found = found,
                                    .arrange = survivor_has_it,
                                    .prepare = heap_be_member,
                                    .run = run_attach,
                                    .work = sweep_meanwhile,
                                    .settle = survivors_is_there});
}

static void unlink_survives(void)
{
    heap_survive((struct heap_plan){.name = "shared_memory_unlink",
                                    .size = 48,
                                    .found = found,
                                    .arrange = survivor_has_it,
                                    .prepare = heap_be_member,
                                    .run = run_unlink,
                                    .work = renew_meanwhile,
                                    .settle = unlinked_or_not});
}

static void sweep_survives(void)
{
    heap_survive((struct heap_plan){.name = "shared_memory_sweep",
                                    .size = 48,
                                    .found = found,
                                    .arrange = it_is_left_behind,
                                    .prepare = heap_be_member,
                                    .run = run_sweep,
                                    .work = attach_meanwhile,
                                    .settle = swept_or_used});
}

static void create_of_a_list_survives(void)
{
    heap_survive((struct heap_plan){.name = "shareable_list_create",
                                    .size = 48,
                                    .found = found,
                                    .arrange = nobody_has_it,
                                    .prepare = heap_be_member,
                                    .run = run_create_list,
                                    .work = find_list_meanwhile,
                                    .settle = list_made_or_not,
                                    .points = 3,
                                    .long_points = 25});
}

static void set_of_a_lists_item_survives(void)
{
    heap_survive((struct heap_plan){.name = "shareable_list_set",
                                    .size = 48,
                                    .found = found_with_a_list,
                                    .arrange = list_is_as_it_was,
                                    .prepare = heap_be_member,
                                    .run = run_set_item,
                                    .work = set_another_meanwhile,
                                    .settle = item_set_or_not});
    ck_assert_int_eq(kin_shared_memory_unlink(scene->name), 0);
    kin_shareable_list_close(list);
}

static const struct test tests[] = {
    {"create_survives", create_survives, 600, 0},
    {"attach_survives", attach_survives, 600, 0},
    {"unlink_survives", unlink_survives, 600, 0},
    {"sweep_survives", sweep_survives, 600, 0},
    {"create_of_a_list_survives", create_of_a_list_survives, 600, 0},
    {"set_of_a_lists_item_survives", set_of_a_lists_item_survives, 600, 0},
};
TEST_MAIN("crash_segment", tests)
