/*
 * list_test.c - lists at every point where somebody who changes one may die.
 *
 * The survivor fills a list, the victim makes one call. After each end of a victim the list is what it was or what the call makes of it, the
 * latter if the call returned; its invariants hold; all calls work; and heap_world.h counts the blocks: none may be left.
 */
#include "container/list_shared.h"
#include "crash/heap_world.h"
#include "harness.h"

#include <kin.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SIZE 48
#define NOT_BACK 1000
#define MOST 64
#define LARGE 40000
#define BLOCK "an item that does not fit into a word, number %u"

struct plan {
    const char *name;
    unsigned before;      /* items 0, 1, ...: each other one is a block */
    unsigned popped;      /* so many more, that were in front */
    unsigned after[MOST]; /* what they are then */
    unsigned count;
    int (*run)(void);
    bool slow;
};

struct scene {
    kin_list *list;
    volatile int result;
};

static struct scene *scene; /* shared */
static const struct plan *plan;
static char texts[MOST][LARGE + 64];

static void fault(struct heap_world *world, const char *what)
{
    if (!world->fault) {
        snprintf(world->text, sizeof world->text, "%s", what);
        world->fault = world->text;
    }
}

/* Number 40 is a large one. It is written once, and not in victims: each byte is a step. */
static kin_any value_of(unsigned number)
{
    if (number % 2)
        return kin_any_int((int)number);
    if (texts[number][0])
        return kin_any_text(texts[number]);
    snprintf(texts[number], sizeof texts[number], BLOCK, number);
    if (number == 40)
        memset(texts[number] + strlen(texts[number]), 'x', LARGE);
    return kin_any_text(texts[number]);
}

/* ---- the victim's call ------------------------------------------------------------------------- */

static int run_append(void)
{
    return kin_list_append(scene->list, value_of(plan->after[plan->count - 1]));
}

static int run_extend(void)
{
    kin_any more[3];
    for (unsigned i = 0; i < 3; i++)
        more[i] = value_of(plan->after[plan->count - 3 + i]);
    return kin_list_extend(scene->list, more, 3);
}

static int run_set(void)
{
    return kin_list_set(scene->list, 2, value_of(plan->after[2]));
}

static int run_insert(void)
{
    return kin_list_insert(scene->list, 1, value_of(plan->after[1]));
}

static int run_pop_last(void)
{
    return kin_list_pop(scene->list, -1, NULL);
}

static int run_pop_first(void)
{
    return kin_list_pop(scene->list, 0, NULL);
}

static int run_delete(void)
{
    return kin_list_delete(scene->list, 2);
}

static int run_set_slice(void)
{
    return kin_list_set_slice(scene->list, 1, 4, (kin_any[]){value_of(30), value_of(32)}, 2);
}

static int run_reverse(void)
{
    return kin_list_reverse(scene->list);
}

static int run_sort(void)
{
    return kin_list_sort(scene->list, true);
}

static int run_remove(void)
{
    return kin_list_remove(scene->list, value_of(2));
}

static int run_repeat(void)
{
    return kin_list_repeat(scene->list, 2);
}

static int run_clear(void)
{
    return kin_list_clear(scene->list);
}

static int run_free(void)
{
    return kin_list_free(scene->list);
}

/* It has spans of its own already: their points are crash_heap's. */
static void prepare(void *world)
{
    heap_be_member(world);
    for (size_t size = 16; size <= 256; size += 16)
        kin_free(kin_malloc(size));
}

static void run(void *world)
{
    (void)world;
    scene->result = plan->run();
}

/* ---- around it --------------------------------------------------------------------------------- */

static void found(void)
{
    test_init();
    kin_free(kin_malloc(16));
    value_of(40);
    scene = mmap(NULL, sizeof *scene, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(scene, MAP_FAILED);
}

static void must(int error)
{
    if (error)
        abort();
}

static void arrange(struct heap_world *world)
{
    memset(scene, 0, sizeof *scene);
    scene->list = kin_list_new(NULL);
    scene->result = NOT_BACK;
    if (!scene->list)
        abort();
    for (unsigned i = 0; i < plan->popped + plan->before; i++)
        must(kin_list_append(scene->list, value_of(plan->run == run_sort ? 2 * i
                                                   : i < plan->popped    ? 1
                                                                         : i - plan->popped)));
    for (unsigned i = 0; i < plan->popped; i++)
        must(kin_list_pop(scene->list, 0, NULL));
    world->object = scene->list;
    world->object_size = sizeof *scene->list;
    struct kin__items items = kin__items_of(scene->list);
    world->also = items.array;
    world->also_size = items.array ? sizeof *items.array + items.array->capacity * sizeof(uint64_t) : 0;
}

static void work(struct heap_world *world)
{
    if (plan->run == run_free)
        return;
    if (kin_list_append(scene->list, kin_any_text("one more that is in a block")) != 0 ||
        kin_list_pop(scene->list, -1, NULL) != 0)
        fault(world, kin_error_message());
}

static bool holds(const unsigned *numbers, unsigned count)
{
    if (kin_list_length(scene->list) != count)
        return false;
    bool same = true;
    for (unsigned i = 0; i < count && same; i++) {
        kin_any value, expected = value_of(numbers[i]);
        same = kin_list_get(scene->list, (int)i, &value) == 0 && kin__any_same(&value, &expected);
        kin_any_clear(&value);
    }
    return same;
}

static void use(struct heap_world *world)
{
    for (unsigned i = 0; i < 20; i++)
        if (kin_list_insert(scene->list, i, value_of(i)) != 0)
            fault(world, kin_error_message());
    for (unsigned i = 0; i < 20; i++)
        if (kin_list_delete(scene->list, i % 2 ? 0 : -1) != 0)
            fault(world, kin_error_message());
    if (kin__list_check(scene->list) != 0)
        fault(world, kin_error_message());
}

static void settle(struct heap_world *world, const struct step_end *end)
{
    unsigned before[MOST] = {0};
    for (unsigned i = 0; i < plan->before; i++)
        before[i] = plan->run == run_sort ? 2 * i : i;
    if (!end->died && scene->result != 0) {
        snprintf(world->text, sizeof world->text, "the victim's call returned %d", scene->result);
        world->fault = world->text;
    }
    if (plan->run == run_free) {
        int error = scene->result == 0 ? 0 : kin_list_free(scene->list);
        if (error && error != KIN_EINVAL) /* it may be gone up to its last block, which is a block in hand */
            fault(world, kin_error_message());
        return;
    }
    size_t none; /* whoever takes the gate mends */
    if (kin_list_count(scene->list, kin_any_null(), &none) != 0)
        fault(world, kin_error_message());
    if (kin__list_check(scene->list) != 0)
        fault(world, kin_error_message());
    bool is_new = holds(plan->after, plan->count), is_old = holds(before, plan->before);
    if (!is_new && !is_old)
        fault(world, "the list is neither what it was nor what it was to be");
    if (scene->result == 0 && !is_new)
        fault(world, "the call returned, and the list is what it was");
    use(world);
    if (kin_list_free(scene->list) != 0)
        fault(world, kin_error_message());
}

static void survive(struct plan what)
{
    static struct plan kept;
    kept = what;
    plan = &kept;
    heap_survive((struct heap_plan){.name = what.name,
                                    .size = SIZE,
                                    .found = found,
                                    .arrange = arrange,
                                    .prepare = prepare,
                                    .run = run,
                                    .work = work,
                                    .settle = settle,
                                    .points = what.slow ? 3 : 4,
                                    .long_points = what.slow ? 80 : 0});
}

static void first_item_is_appended(void)
{
    survive((struct plan){.name = "append, the first", .after = {2}, .count = 1, .run = run_append});
}

static void block_is_appended(void)
{
    survive((struct plan){
        .name = "append, a block", .before = 3, .after = {0, 1, 2, 4}, .count = 4, .run = run_append});
}

static void item_is_appended_that_needs_more_room(void)
{
    survive((struct plan){.name = "append, the array grows",
                          .before = 6,
                          .after = {0, 1, 2, 3, 4, 5, 8},
                          .count = 7,
                          .run = run_append});
}

static void item_is_appended_behind_popped_ones(void)
{
    survive((struct plan){.name = "append, behind what was popped",
                          .before = 4,
                          .popped = 2,
                          .after = {0, 1, 2, 3, 8},
                          .count = 5,
                          .run = run_append});
}

static void large_item_is_appended(void)
{
    survive((struct plan){.name = "append, a large one",
                          .before = 3,
                          .after = {0, 1, 2, 40},
                          .count = 4,
                          .run = run_append,
                          .slow = true});
}

static void list_is_extended(void)
{
    survive((struct plan){
        .name = "extend", .before = 2, .after = {0, 1, 4, 5, 6}, .count = 5, .run = run_extend});
}

static void item_is_set(void)
{
    survive((struct plan){.name = "set", .before = 4, .after = {0, 1, 8, 3}, .count = 4, .run = run_set});
}

static void item_is_inserted(void)
{
    survive((struct plan){
        .name = "insert", .before = 4, .after = {0, 8, 1, 2, 3}, .count = 5, .run = run_insert});
}

static void last_item_is_popped(void)
{
    survive((struct plan){
        .name = "pop, the last", .before = 3, .after = {0, 1}, .count = 2, .run = run_pop_last});
}

static void first_item_is_popped(void)
{
    survive((struct plan){
        .name = "pop, the first", .before = 3, .after = {1, 2}, .count = 2, .run = run_pop_first});
}

static void item_in_the_middle_is_deleted(void)
{
    survive((struct plan){
        .name = "delete, in the middle", .before = 5, .after = {0, 1, 3, 4}, .count = 4, .run = run_delete});
}

static void slice_is_set(void)
{
    survive((struct plan){
        .name = "set a slice", .before = 5, .after = {0, 30, 32, 4}, .count = 4, .run = run_set_slice});
}

static void list_is_reversed(void)
{
    survive(
        (struct plan){.name = "reverse", .before = 4, .after = {3, 2, 1, 0}, .count = 4, .run = run_reverse});
}

static void list_is_sorted(void)
{
    survive((struct plan){.name = "sort", .before = 4, .after = {6, 4, 2, 0}, .count = 4, .run = run_sort});
}

static void value_is_removed(void)
{
    survive((struct plan){.name = "remove", .before = 4, .after = {0, 1, 3}, .count = 3, .run = run_remove});
}

static void list_is_repeated(void)
{
    survive((struct plan){.name = "repeat",
                          .before = 3,
                          .after = {0, 1, 2, 0, 1, 2},
                          .count = 6,
                          .run = run_repeat,
                          .slow = true});
}

static void list_is_cleared(void)
{
    survive((struct plan){.name = "clear", .before = 5, .count = 0, .run = run_clear});
}

static void list_is_freed(void)
{
    survive((struct plan){.name = "free", .before = 5, .count = 0, .run = run_free});
}

static const struct test tests[] = {
    {"first_item_is_appended", first_item_is_appended, 600, 0},
    {"block_is_appended", block_is_appended, 600, 0},
    {"item_is_appended_that_needs_more_room", item_is_appended_that_needs_more_room, 600, 0},
    {"item_is_appended_behind_popped_ones", item_is_appended_behind_popped_ones, 600, 0},
    {"large_item_is_appended", large_item_is_appended, 1200, 0},
    {"list_is_extended", list_is_extended, 600, 0},
    {"item_is_set", item_is_set, 600, 0},
    {"item_is_inserted", item_is_inserted, 600, 0},
    {"last_item_is_popped", last_item_is_popped, 600, 0},
    {"first_item_is_popped", first_item_is_popped, 600, 0},
    {"item_in_the_middle_is_deleted", item_in_the_middle_is_deleted, 600, 0},
    {"slice_is_set", slice_is_set, 600, 0},
    {"list_is_reversed", list_is_reversed, 600, 0},
    {"list_is_sorted", list_is_sorted, 600, 0},
    {"value_is_removed", value_is_removed, 600, 0},
    {"list_is_repeated", list_is_repeated, 600, 0},
    {"list_is_cleared", list_is_cleared, 600, 0},
    {"list_is_freed", list_is_freed, 600, 0},
};
TEST_MAIN("crash_list", tests)
