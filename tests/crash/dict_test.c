/*
 * dict_test.c - dicts at every point where somebody who changes one may die.
 *
 * The survivor fills a dict of one stripe, the victim makes one call. After each end of a victim each key has its old or its new
 * value, the new one if the call returned; the table's invariants hold; all calls work; and heap_world.h counts the blocks: none
 * may be left.
 */
#include "container/table.h"
#include "crash/heap_world.h"
#include "harness.h"

#include <kin.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SIZE 48
#define PATIENCE 8.0
#define NOT_BACK 1000
#define MANY 64
#define FRESH 6000 /* more than the spans have that nodes and values lie in */
#define LARGE 40000
#define LONG_KEY "a key that does not fit into a word"

struct plan {
    const char *name;
    unsigned before;  /* keys 0, 1, ... that are there */
    kin_any key;      /* of the victim's call */
    kin_any old, new; /* its value before and after; nothing: it is not there */
    int (*run)(void);
    bool all;    /* all keys go */
    bool blocks; /* the other keys' values are blocks, too */
    bool slow;
};

struct scene {
    kin_dict *dict;
    volatile int result;
    volatile unsigned others;
};

static struct scene *scene; /* shared */
static const struct plan *plan;
static unsigned char large[LARGE];

static void fault(struct heap_world *world, const char *what)
{
    if (!world->fault) {
        snprintf(world->text, sizeof world->text, "%s", what);
        world->fault = world->text;
    }
}

/* ---- the victim's call ------------------------------------------------------------------------- */

static int run_set(void)
{
    return kin_dict_set(scene->dict, plan->key, plan->new);
}

static int run_delete(void)
{
    return kin_dict_delete(scene->dict, plan->key);
}

static int run_pop(void)
{
    kin_any out;
    int error = kin_dict_pop(scene->dict, plan->key, &out);
    if (!error)
        kin_any_clear(&out);
    return error;
}

static int run_popitem(void)
{
    return kin_dict_popitem(scene->dict, NULL, NULL);
}

/* While others put a key in and take the one that was there out: it is empty at no moment. */
static int run_popitem_beside_others(void)
{
    return run_popitem();
}

static int run_add(void)
{
    return kin_dict_add(scene->dict, plan->key, kin_any_int(1), NULL);
}

static int run_setdefault(void)
{
    return kin_dict_setdefault(scene->dict, plan->key, plan->new, NULL);
}

static int run_compare_and_set(void)
{
    bool done;
    int error = kin_dict_compare_and_set(scene->dict, plan->key, plan->old, plan->new, &done);
    return error ? error : done ? 0 : KIN_EFAILED;
}

static int run_clear(void)
{
    return kin_dict_clear(scene->dict);
}

static int run_free(void)
{
    return kin_dict_free(scene->dict);
}

static int run_wait(void)
{
    return kin_dict_wait_change(scene->dict, kin_any_text("others"), NULL, NULL, KIN_FOREVER);
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
    scene = mmap(NULL, sizeof *scene, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(scene, MAP_FAILED);
}

static kin_any value_of(unsigned i)
{
    return plan->blocks ? kin_any_bytes(large, 20 + i % 10) : kin_any_int((int)i);
}

static void must(int error)
{
    if (error)
        abort();
}

/* The nodes that were made first lie close together: the links and cells that the victim changes are among them. */
static void watch_nodes(struct heap_world *world)
{
    const struct kin__stripe *stripe = &((struct kin__dict *)scene->dict)->stripe[0];
    uintptr_t least = UINTPTR_MAX, most = 0;
    for (uint64_t at = stripe->marks[0].next; at; at = ((struct kin__link *)(uintptr_t)at)->next) {
        if ((((struct kin__link *)(uintptr_t)at)->hash & KIN__NODE_BITS) != KIN__NODE_BITS)
            continue;
        least = at < least ? at : least;
        most = at > most ? at : most;
    }
    world->also = (void *)least;
    world->also_size = most > least && most - least < 16384 ? most - least + sizeof(struct kin__node) : 64;
    if (!most)
        world->also = NULL;
}

static void arrange(struct heap_world *world)
{
    memset(scene, 0, sizeof *scene);
    scene->dict = kin_dict_new(KIN_DICT_OPTIONS(.stripes = 1));
    scene->result = NOT_BACK;
    if (!scene->dict)
        abort();
    ((struct kin__dict *)scene->dict)->seed = 4711; /* the same places each time */
    for (unsigned i = 0; i < plan->before; i++)
        must(kin_dict_set(scene->dict, kin_any_int((int)i), value_of(i)));
    if (plan->old.type != KIN_ANY_NOTHING)
        must(kin_dict_set(scene->dict, plan->key, plan->old));
    watch_nodes(world);
    world->object = scene->dict;
    world->object_size = sizeof(struct kin__dict) + sizeof(struct kin__stripe);
}

static bool same(const kin_any *value, const kin_any *expected)
{
    return expected->type == KIN_ANY_NOTHING ? value->type == KIN_ANY_NOTHING
                                             : kin__any_same(value, expected);
}

static kin_any now_at(struct heap_world *world, kin_any key)
{
    kin_any value = kin_any_nothing();
    int error = kin_dict_get(scene->dict, key, &value);
    if (error == KIN_ENOTFOUND)
        return kin_any_nothing();
    if (error)
        fault(world, kin_error_message());
    return value;
}

static void judge_key(struct heap_world *world)
{
    kin_any value = now_at(world, plan->key);
    bool is_new = same(&value, &plan->new), is_old = same(&value, &plan->old);
    if (!is_new && !is_old)
        fault(world, "the key has neither its old nor its new value");
    if (scene->result == 0 && !is_new)
        fault(world, "the call returned, and the key has its old value");
    kin_any_clear(&value);
}

static void judge_others(struct heap_world *world)
{
    for (unsigned i = 0; i < plan->before; i++) {
        kin_any value = now_at(world, kin_any_int((int)i)), expected = value_of(i);
        bool gone = value.type == KIN_ANY_NOTHING;
        bool goes = plan->all && (plan->run != run_popitem || i == plan->before - 1);
        if (!kin__any_same(&value, &expected) && !(gone && goes))
            fault(world, "another key has lost its value");
        if (goes && scene->result == 0 && !gone)
            fault(world, "the call returned, and a key is there still");
        kin_any_clear(&value);
    }
}

/* Other keys of the same stripe; and the one that run_wait waits for. What is there is read first, wherever the victim stands. */
static void work(struct heap_world *world)
{
    if (plan->run == run_free || plan->run == run_popitem)
        return;
    if (plan->run == run_popitem_beside_others) {
        if (kin_dict_set(scene->dict, kin_any_text("others"), kin_any_int(1)) != 0 ||
            (kin_dict_delete(scene->dict, kin_any_int(0)) != 0 && kin_error_code() != KIN_ENOTFOUND))
            fault(world, kin_error_message());
        return;
    }
    judge_others(world);
    char name[32];
    snprintf(name, sizeof name, "others %u", scene->others++);
    if (kin_dict_set(scene->dict, kin_any_text(name), kin_any_text("a value in a block of its own")) != 0 ||
        kin_dict_set(scene->dict, kin_any_text("others"), kin_any_int(1)) != 0)
        fault(world, kin_error_message());
    if (scene->others > 1 && kin_dict_delete(scene->dict, kin_any_text("others 0")) != 0 &&
        kin_error_code() != KIN_ENOTFOUND)
        fault(world, kin_error_message());
}

/* The length is that of what is there, before anybody else changes something. */
static void judge_length(struct heap_world *world)
{
    size_t count = 0;
    kin_dict_iterator *iterator = kin_dict_iterate(scene->dict);
    while (kin_dict_next(iterator, NULL, NULL) == 0)
        count++;
    kin_dict_iterator_free(iterator);
    if (kin_dict_length(scene->dict) != count)
        fault(world, "the length is not how many keys there are");
}

static void use(struct heap_world *world)
{
    for (int i = 0; i < MANY; i++)
        if (kin_dict_set(scene->dict, kin_any_int(i), kin_any_text("and one more value in a block")) != 0)
            fault(world, kin_error_message());
    if (kin__dict_check((struct kin__dict *)scene->dict) != 0)
        fault(world, kin_error_message());
    for (int i = 0; i < MANY; i += 2)
        if (kin_dict_delete(scene->dict, kin_any_int(i)) != 0)
            fault(world, kin_error_message());
    if (kin__dict_check((struct kin__dict *)scene->dict) != 0)
        fault(world, kin_error_message());
}

/* Blocks like those of nodes and values, with something else in them: what was freed and is in use still is torn by it. */
static void write_over_what_is_free(bool free)
{
    static void *blocks[FRESH];
    for (unsigned i = 0; i < FRESH; i++) {
        if (free) {
            kin_free(blocks[i]);
            continue;
        }
        size_t size = i % 2 ? 48 : 64 + i % 10 * 8;
        blocks[i] = kin_malloc(size);
        if (!blocks[i])
            abort();
        memset(blocks[i], 0xee, size);
    }
}

static void settle(struct heap_world *world, const struct step_end *end)
{
    bool freed = plan->run == run_free && scene->result == 0;
    if (!end->died && scene->result != 0) {
        snprintf(world->text, sizeof world->text, "the victim's call returned %d", scene->result);
        world->fault = world->text;
    }
    if (freed)
        return;
    if (plan->run == run_free) { /* it may be gone up to its last block, which is a block in hand */
        int error = kin_dict_free(scene->dict);
        if (error && error != KIN_EINVAL)
            fault(world, kin_error_message());
        return;
    }
    judge_length(world);
    if (kin_dict_set(scene->dict, kin_any_text("first"), kin_any_int(1)) !=
        0) /* whoever changes something mends */
        fault(world, kin_error_message());
    write_over_what_is_free(false);
    if (kin__dict_check((struct kin__dict *)scene->dict) != 0)
        fault(world, kin_error_message());
    if (plan->run != run_popitem && plan->run != run_wait && plan->run != run_popitem_beside_others)
        judge_key(world);
    judge_others(world);
    write_over_what_is_free(true);
    use(world);
    if (kin_dict_free(scene->dict) != 0)
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

#define NOTHING ((kin_any){.type = KIN_ANY_NOTHING})
#define INT(n) ((kin_any){.type = KIN_ANY_INT, .integer = (n), .natural = (n)})
#define TEXT(t) ((kin_any){.type = KIN_ANY_TEXT, .data = (t), .size = sizeof(t) - 1})
#define BYTES(n) ((kin_any){.type = KIN_ANY_BYTES, .data = large, .size = (n)})

/* ---- setting ----------------------------------------------------------------------------------- */

static void key_is_set_first(void)
{
    survive((struct plan){.name = "set, a new key",
                          .before = 3,
                          .key = TEXT("k"),
                          .old = NOTHING,
                          .new = INT(7),
                          .run = run_set});
}

static void long_key_and_block_are_set_first(void)
{
    survive((struct plan){.name = "set, a new long key with a block",
                          .before = 3,
                          .key = TEXT(LONG_KEY),
                          .old = NOTHING,
                          .new = TEXT("a value in a block"),
                          .run = run_set});
}

static void key_is_set_that_needs_more_buckets(void)
{
    survive((struct plan){.name = "set, the buckets are doubled",
                          .before = 16,
                          .key = TEXT("k"),
                          .old = NOTHING,
                          .new = INT(7),
                          .run = run_set});
}

static void word_is_set_over_a_word(void)
{
    survive((struct plan){.name = "set, a word over a word",
                          .before = 3,
                          .key = TEXT("k"),
                          .old = INT(1),
                          .new = INT(7),
                          .run = run_set});
}

static void block_is_set_over_a_word(void)
{
    survive((struct plan){.name = "set, a block over a word",
                          .before = 3,
                          .key = TEXT("k"),
                          .old = INT(1),
                          .new = BYTES(100),
                          .run = run_set});
}

static void block_is_set_over_a_block(void)
{
    survive((struct plan){.name = "set, a block over a block",
                          .before = 3,
                          .key = TEXT("k"),
                          .old = BYTES(90),
                          .new = BYTES(100),
                          .run = run_set});
}

static void word_is_set_over_a_block(void)
{
    survive((struct plan){.name = "set, a word over a block",
                          .before = 3,
                          .key = TEXT("k"),
                          .old = BYTES(90),
                          .new = INT(7),
                          .run = run_set});
}

static void large_value_is_set_first(void)
{
    survive((struct plan){.name = "set, a new key with a large value",
                          .before = 3,
                          .key = TEXT("k"),
                          .old = NOTHING,
                          .new = BYTES(LARGE),
                          .run = run_set,
                          .slow = true});
}

static void large_value_is_set_over_a_large_one(void)
{
    survive((struct plan){.name = "set, a large value over a large one",
                          .before = 3,
                          .key = TEXT("k"),
                          .old = BYTES(LARGE - 1),
                          .new = BYTES(LARGE),
                          .run = run_set,
                          .slow = true});
}

/* ---- the other calls --------------------------------------------------------------------------- */

static void key_is_deleted(void)
{
    survive((struct plan){
        .name = "delete", .before = 3, .key = TEXT("k"), .old = INT(1), .new = NOTHING, .run = run_delete});
}

static void key_with_a_block_is_popped(void)
{
    survive((struct plan){.name = "pop, a block",
                          .before = 3,
                          .key = TEXT(LONG_KEY),
                          .old = BYTES(100),
                          .new = NOTHING,
                          .run = run_pop});
}

static void last_item_is_popped(void)
{
    survive((struct plan){.name = "popitem",
                          .before = 4,
                          .key = TEXT("none"),
                          .old = NOTHING,
                          .new = NOTHING,
                          .run = run_popitem,
                          .blocks = true,
                          .all = true});
}

static void item_is_popped_while_others_change_which(void)
{
    survive((struct plan){.name = "popitem, beside others",
                          .before = 1,
                          .key = NOTHING,
                          .old = NOTHING,
                          .new = NOTHING,
                          .run = run_popitem_beside_others,
                          .all = true});
}

static void number_is_added_to(void)
{
    survive((struct plan){
        .name = "add", .before = 3, .key = TEXT("k"), .old = INT(41), .new = INT(42), .run = run_add});
}

static void number_is_added_to_first(void)
{
    survive((struct plan){.name = "add, a new key",
                          .before = 3,
                          .key = TEXT("k"),
                          .old = NOTHING,
                          .new = INT(1),
                          .run = run_add});
}

static void default_is_set(void)
{
    survive((struct plan){.name = "setdefault",
                          .before = 3,
                          .key = TEXT("k"),
                          .old = NOTHING,
                          .new = BYTES(100),
                          .run = run_setdefault});
}

static void value_is_compared_and_set(void)
{
    survive((struct plan){.name = "compare and set",
                          .before = 3,
                          .key = TEXT("k"),
                          .old = BYTES(90),
                          .new = BYTES(100),
                          .run = run_compare_and_set});
}

static void value_is_compared_and_deleted(void)
{
    survive((struct plan){.name = "compare and delete",
                          .before = 3,
                          .key = TEXT("k"),
                          .old = BYTES(90),
                          .new = NOTHING,
                          .run = run_compare_and_set});
}

static void dict_is_cleared(void)
{
    survive((struct plan){.name = "clear",
                          .before = 3,
                          .key = TEXT("k"),
                          .old = BYTES(90),
                          .new = NOTHING,
                          .run = run_clear,
                          .all = true,
                          .blocks = true});
}

static void dict_is_freed(void)
{
    survive((struct plan){.name = "free",
                          .before = 17,
                          .key = TEXT("k"),
                          .old = BYTES(90),
                          .new = NOTHING,
                          .run = run_free,
                          .all = true,
                          .slow = true});
}

static void change_is_waited_for(void)
{
    survive((struct plan){.name = "wait for a change",
                          .before = 3,
                          .key = TEXT("others"),
                          .old = NOTHING,
                          .new = INT(1),
                          .run = run_wait});
}

static const struct test tests[] = {
    {"key_is_set_first", key_is_set_first, 600, 0},
    {"long_key_and_block_are_set_first", long_key_and_block_are_set_first, 600, 0},
    {"key_is_set_that_needs_more_buckets", key_is_set_that_needs_more_buckets, 600, 0},
    {"word_is_set_over_a_word", word_is_set_over_a_word, 600, 0},
    {"block_is_set_over_a_word", block_is_set_over_a_word, 600, 0},
    {"block_is_set_over_a_block", block_is_set_over_a_block, 600, 0},
    {"word_is_set_over_a_block", word_is_set_over_a_block, 600, 0},
    {"large_value_is_set_first", large_value_is_set_first, 1200, 0},
    {"large_value_is_set_over_a_large_one", large_value_is_set_over_a_large_one, 1200, 0},
    {"key_is_deleted", key_is_deleted, 600, 0},
    {"key_with_a_block_is_popped", key_with_a_block_is_popped, 600, 0},
    {"last_item_is_popped", last_item_is_popped, 600, 0},
    {"item_is_popped_while_others_change_which", item_is_popped_while_others_change_which, 600, 0},
    {"number_is_added_to", number_is_added_to, 600, 0},
    {"number_is_added_to_first", number_is_added_to_first, 600, 0},
    {"default_is_set", default_is_set, 600, 0},
    {"value_is_compared_and_set", value_is_compared_and_set, 600, 0},
    {"value_is_compared_and_deleted", value_is_compared_and_deleted, 600, 0},
    {"dict_is_cleared", dict_is_cleared, 600, 0},
    {"dict_is_freed", dict_is_freed, 1200, 0},
    {"change_is_waited_for", change_is_waited_for, 600, 0},
};
TEST_MAIN("crash_dict", tests)
