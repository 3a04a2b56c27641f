/* heap_world.c - see heap_world.h. */
#include "crash/heap_world.h"
#include "harness.h"

#include "family/heap.h"
#include "family/journal.h"
#include "family/region.h"
#include "family/span.h"
#include "family/thread.h"
#include "family/units.h"

#include "kin/error.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define WATCHED_UNITS 40
#define WATCHED_MEMBERS 10
#define RECOVERY_LIMIT 5.0       /* seconds */
#define DRIFT ((size_t)16 << 20) /* bytes by which the heap may grow over all deaths of one operation */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void heap_found_family(void)
{
    ck_assert_msg(kin__region_new(0, (size_t)512 << 20) == 0 && kin__heap_format() == 0 &&
                      kin__member_found() == 0,
                  "%s", kin_error_message());
    kin_free(kin_malloc(16)); /* the tracer looks at the heap's tables: it needs its view of them */
}

struct heap_world *heap_new_world(void)
{
    struct heap_world *world =
        mmap(NULL, sizeof(*world), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(world, MAP_FAILED);
    return world;
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static void note_fault(struct heap_world *world, const char *what)
{
    if (!world->fault) {
        snprintf(world->text, sizeof(world->text), "%s", what);
        world->fault = world->text;
    }
}

/* The pattern of a block: its first and last word (of at most one page) say where it is. */
static void mark(void *block, size_t size)
{
    uint64_t *words = block;
    size_t last = (size > 4096 ? 4096 : size) / sizeof(uint64_t) - 1;
    words[0] = words[last] = (uint64_t)(uintptr_t)block * UINT64_C(0x9e3779b97f4a7c15);
}

static bool marked(const void *block, size_t size)
{
    const uint64_t *words = block;
    size_t last = (size > 4096 ? 4096 : size) / sizeof(uint64_t) - 1;
    uint64_t pattern = (uint64_t)(uintptr_t)block * UINT64_C(0x9e3779b97f4a7c15);
    return words[0] == pattern && words[last] == pattern;
}

void heap_wrong(struct heap_world *world, const char *what)
{
    if (world->fault)
        return;
    snprintf(world->text, sizeof world->text, "%s: %.150s", what, kin_error_message());
    world->fault = world->text;
}

bool heap_has_mark_of(const void *block, const void *was)
{
    return *(const uint64_t *)block == (uint64_t)(uintptr_t)was * UINT64_C(0x9e3779b97f4a7c15);
}

void *heap_new_block(struct heap_world *world, size_t size)
{
    void *block = kin_malloc(size);
    if (!block)
        note_fault(world, kin_error_message());
    else
        mark(block, size);
    return block;
}

static void free_surely(struct heap_world *world, void *block)
{
    kin_error_clear();
    kin_free(block);
    if (kin_error_code())
        note_fault(world, kin_error_message());
}

void heap_free_block(struct heap_world *world, void *block, size_t size)
{
    if (!block)
        return;
    if (!marked(block, size))
        note_fault(world, "a block was written by somebody else: it was given out twice");
    free_surely(world, block);
}

static uint32_t unit_of(const void *block)
{
    return kin__spot_of(block).unit;
}

void heap_hold_full_span(struct heap_world *world)
{
    static void *blocks[HELD_MAX];
    const uint32_t whole = kin__classes[kin__class_of(world->size)].blocks;
    uint32_t count = 0, first = 0; /* blocks; the first of the span that is filled now */
    while (count < HELD_MAX && (blocks[count] = heap_new_block(world, world->size)) != NULL) {
        if (unit_of(blocks[count]) != unit_of(blocks[first])) {
            if (count - first == whole)
                break; /* it is full, and left behind */
            first = count;
        }
        count++;
    }
    if (count == HELD_MAX || count - first != whole)
        note_fault(world, "no span can be filled");
    for (uint32_t i = 0; i <= count && i < HELD_MAX; i++) {
        if (i >= first && i < count && world->held_count < HELD_MAX)
            world->held[world->held_count++] = blocks[i];
        else
            heap_free_block(world, blocks[i], world->size);
    }
}

void heap_fill_own_span(struct heap_world *world)
{
    const void *block;
    do
        block = world->held[world->held_count++] = heap_new_block(world, world->size);
    while (world->held_count < HELD_MAX && kin__span_free_blocks(kin__spot_of(block).span));
}

/* ---- parts of the operations ------------------------------------------------------------------ */

static kin_heap_stats stats_now(struct heap_world *world)
{
    kin_heap_stats stats = {.size = sizeof(stats)};
    if (kin_heap_get_stats(&stats) != 0)
        note_fault(world, kin_error_message());
    return stats;
}

static uint32_t members_taken(void)
{
    const struct kin__member *table = kin__region_at(KIN__AT_MEMBERS);
    uint32_t taken = 0;
    for (uint32_t i = 0; i < KIN__MEMBERS_MAX; i++)
        taken += kin__member_state(&table[i]) != KIN__FREE;
    return taken;
}

void heap_arrange(void *arg)
{
    struct heap_world *world = arg;
    if (!world->founded) {
        free_surely(world,
                    kin_malloc(world->size)); /* the survivor's own slot and span are not the victims' */
        if (world->settle_in)
            world->settle_in(world);
        world->ground = stats_now(world);
        world->members = members_taken();
        world->founded = true;
    }
    world->victim = 0;
    world->got = world->given = NULL;
    world->arena = world->second = NULL;
    world->object = NULL;
    world->release = 0;
    world->dead = 0;
    if (world->arrange)
        world->arrange(world);
    world->base = stats_now(world);
}

void heap_hold_journal(void *arg)
{
    struct heap_world *world = arg;
    kin__journal_begin();
    world->journal_held = true;
}

static void release_journal(struct heap_world *world)
{
    if (world->journal_held) {
        world->journal_held = false;
        kin__journal_end();
    }
}

static size_t size_of_others(const struct heap_world *world)
{
    return world->others_size ? world->others_size : world->size;
}

void heap_others(void *arg)
{
    struct heap_world *world = arg;
    release_journal(world);
    if (world->others_may_free && world->held_count)
        heap_free_block(world, world->held[--world->held_count], world->size);
    for (int i = 0; i < 3 && world->others_count < OTHERS_MAX; i++)
        world->others[world->others_count++] = heap_new_block(world, size_of_others(world));
    heap_free_block(world, world->others[--world->others_count], size_of_others(world));
    if (world->work)
        world->work(world);
}

static void add(struct step_area *areas, size_t *count, const volatile void *at, size_t size)
{
    if (*count < STEP_AREAS_MAX)
        areas[(*count)++] = (struct step_area){at, size};
}

/* The heap's header and journal, the first units and their spans, the slots of all threads and members. */
size_t heap_watch(void *arg, struct step_area *areas)
{
    struct heap_world *world = arg;
    const struct kin__heap *heap = kin__heap();
    size_t count = 0;
    const char *base = kin__region_at(0);
    add(areas, &count, heap, sizeof(*heap));
    add(areas, &count, kin__unit_at(0), WATCHED_UNITS * sizeof(struct kin__unit));
    add(areas, &count, base + KIN__AT_THREADS, (size_t)(heap->threads_top + 1) * KIN__THREAD_SIZE);
    add(areas, &count, base + KIN__AT_MEMBERS, WATCHED_MEMBERS * sizeof(struct kin__member));
    add(areas, &count, base + heap->descriptors_at, (size_t)WATCHED_UNITS * KIN__DESCRIPTOR_SIZE);
    add(areas, &count, &world->got, sizeof(world->got));
    add(areas, &count, &world->arena, sizeof(world->arena));
    add(areas, &count, &world->second, sizeof(world->second));
    if (world->arena)
        add(areas, &count, world->arena, 256);
    if (world->second)
        add(areas, &count, world->second, 256);
    if (world->object)
        add(areas, &count, world->object, world->object_size);
    if (world->also)
        add(areas, &count, world->also, world->also_size);
    return count;
}

/* ---- the judgement ---------------------------------------------------------------------------- */

/* As any survivor would, whether or not it knows who died; children of the dead take a moment to end. */
static bool recovered(struct heap_world *world)
{
    world->release = 1;
    for (double deadline = now() + RECOVERY_LIMIT; now() < deadline; usleep(100)) {
        bool gone = !world->dead || kin__member_recover(world->dead) == 0;
        if (world->victim && kin__member_recover(world->victim) != 0)
            gone = false;
        if (gone && members_taken() > world->members)
            kin__members_sweep();
        if (gone && members_taken() == world->members)
            return true;
    }
    return false;
}

static bool with_others(const struct heap_world *world, const void *block)
{
    for (uint32_t i = 0; i < world->others_count; i++)
        if (world->others[i] == block)
            return true;
    return false;
}

static size_t blocks(const kin_heap_stats *stats)
{
    return stats->small_blocks + stats->large_blocks;
}

/* Count the blocks; one more than known may be there if the victim died, and then statistics must name it. */
static void account(struct heap_world *world, const struct step_end *end)
{
    kin_heap_stats stats = stats_now(world);
    uint64_t lost = stats.possibly_lost - world->base.possibly_lost;
    size_t known = world->held_count + world->others_count + (world->got != NULL);
    if (world->given == world->got)
        world->given = NULL; /* where it was, by realloc */
    if (world->given && kin_usable_size(world->given) && !with_others(world, world->given)) {
        if (!end->died)
            note_fault(world, "the victim's free returned, and the block is not free");
        known++;
    } else {
        world->given = NULL;
    }
    size_t there = blocks(&stats) - blocks(&world->ground);
    if (there == known + 1 && end->died && lost && stats.last_lost) {
        free_surely(world, (void *)(uintptr_t)stats.last_lost);
    } else if (there != known) {
        snprintf(world->text, sizeof(world->text), "%zu blocks are in use, %zu are known, %llu possibly lost",
                 there, known, (unsigned long long)lost);
        world->fault = world->text;
    }
    uint64_t deaths = 1 + (world->dead != 0) + world->others_dead; /* whoever ends without a word counts */
    if (lost > deaths)
        note_fault(world, "more than one block a death is told as possibly lost");
    if (stats.deaths > world->base.deaths + deaths)
        note_fault(world, "one death was counted more than once");
}

/* Give everything back, and use the heap: nothing may overlap, and nothing be left. */
static void use_and_clear(struct heap_world *world)
{
    void *fresh[OTHERS_MAX];
    for (int i = 0; i < OTHERS_MAX; i++)
        fresh[i] = heap_new_block(world, world->size);
    if (world->got)
        free_surely(world, world->got);
    heap_free_block(world, world->given, world->size);
    while (world->others_count)
        heap_free_block(world, world->others[--world->others_count], size_of_others(world));
    while (world->held_count)
        heap_free_block(world, world->held[--world->held_count], world->size);
    for (int i = 0; i < OTHERS_MAX; i++)
        heap_free_block(world, fresh[i], world->size);
}

const char *heap_check(void *arg, const struct step_end *end)
{
    struct heap_world *world = arg;
    release_journal(world);
    if (world->fault)
        return world->fault;
    if (!recovered(world))
        return "the slot of the victim, or of its child, cannot be recovered";
    if (kin__heap_check() != 0)
        return kin_error_message();
    if (world->settle)
        world->settle(world, end);
    account(world, end);
    use_and_clear(world);
    if (kin__heap_check() != 0)
        return kin_error_message();
    kin_heap_stats stats = stats_now(world);
    if (blocks(&stats) != blocks(&world->ground))
        note_fault(world, "blocks are left though all were freed");
    if (stats.arenas != world->ground.arenas)
        note_fault(world, "an arena is left");
    if (stats.used - stats.warm > world->ground.used - world->ground.warm + DRIFT)
        note_fault(world, "the heap holds more and more memory");
    return world->fault;
}

void heap_after(void *arg)
{
    struct heap_world *world = arg;
    void *block = kin_malloc(world->size);
    if (!block || block == world->got)
        _exit(3);
    mark(block, world->size);
    kin_error_clear();
    kin_free(block);
    if (kin_error_code())
        _exit(4);
}

/* ---- operations ------------------------------------------------------------------------------ */

void heap_be_member(void *arg)
{
    struct heap_world *world = arg;
    kin_free(kin_malloc(16));
    world->victim = kin__self_id();
}

void heap_survive(struct heap_plan plan)
{
    const char *why;
    if (!step_possible(&why))
        test_skip(why);
    if (plan.found)
        plan.found();
    else
        heap_found_family();
    struct heap_world *world = heap_new_world();
    world->others_dead = plan.others_dead;
    world->size = plan.size;
    world->new_size = plan.new_size;
    world->arrange = plan.arrange;
    world->settle = plan.settle;
    world->work = plan.work;
    world->settle_in = plan.settle_in;
    world->others_size = plan.others_size;
    world->others_may_free = plan.others_may_free;
    struct step_operation operation = {.name = plan.name,
                                       .world = world,
                                       .arrange = heap_arrange,
                                       .prepare = plan.prepare,
                                       .ready = plan.ready,
                                       .run = plan.run,
                                       .after = plan.after ? plan.after : heap_after,
                                       .start = plan.start,
                                       .ends = plan.ends,
                                       .watch = heap_watch,
                                       .others = heap_others,
                                       .check = heap_check};
    step_must_survive(&operation, test_long() ? plan.long_points : plan.points ? plan.points : SHORT_POINTS);
}
