/*
 * corrupt_test.c - a storm of wild writes: members write garbage at random to what they may write, and die of it or not.
 * The others get errors, at most; no call of theirs takes longer than its deadline, and nothing is left.
 *
 * What a normal member may write is everything; so these here keep to what a program's own mistakes hit first: blocks that users
 * have. Sealed ones write anywhere.
 */
#include "harness.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "family/guard.h"
#include "family/heap.h"
#include "family/sealed.h"
#include "family/units.h"
#include "kin.h"

#define CALL_LIMIT 20.0 /* seconds that any call of a survivor may take, both CPUs loaded */
#define ITEMS 400
#define WRITES 40

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static uint64_t seeded(uint64_t number)
{
    uint64_t state = number * 0x9e3779b97f4a7c15u + 1;
    next_random(&state);
    return state;
}

/* Mostly where there is something: tables, the first units. */
static void *anywhere(uint64_t *state)
{
    const uint64_t starts[] = {0,
                               KIN__AT_THREADS,
                               KIN__AT_MEMBERS,
                               KIN__AT_HEAP,
                               kin__heap()->entries_at,
                               kin__heap()->descriptors_at,
                               kin__heap()->units_at,
                               kin__region->shelf};
    if (next_random(state) % 8 == 0)
        return (void *)(kin__region_base + next_random(state) % kin__region_size);
    uint64_t from = starts[next_random(state) % (sizeof starts / sizeof *starts)],
             near = next_random(state) % 4 ? 1 << 16 : 4 << 20;
    return (void *)(kin__region_base + from + next_random(state) % near);
}

static void scribble_anywhere(uint64_t *state)
{
    volatile unsigned char *at;
    do
        at = anywhere(state);
    while (kin__window_is_open((void *)at)); /* what it allocated itself it may write */
    size_t length = next_random(state) % 200 + 1;
    for (size_t i = 0; i < length; i++)
        at[i] = (unsigned char)next_random(state);
}

static int live_and_scribble(void *arg)
{
    uint64_t state = seeded(*(uint64_t *)arg);
    for (unsigned i = 0; i < next_random(&state) % 20; i++) {
        char *block = kin_malloc(next_random(&state) % 70000);
        child_assert(block != NULL);
        block[0] = 1;
        if (next_random(&state) % 2)
            kin_free(block);
    }
    scribble_anywhere(&state);
    return 0; /* never: it was shared memory of others */
}

static void all_is_well(void)
{
    ck_assert_msg(kin__heap_check() == 0, "%s", kin_error_message());
    void *block = kin_malloc(3000), *large = kin_malloc(300000);
    ck_assert(block && large);
    kin_free(block);
    kin_free(large);
}

static void sealed_processes_write_anywhere(void)
{
    test_init();
    all_is_well();
    kin_heap_stats before = {.size = sizeof before}, after = before;
    ck_assert_int_eq(kin_heap_get_stats(&before), 0);
    uint64_t count = test_long() ? 5000 : 150;
    for (uint64_t i = 0; i < count; i++) {
        kin_process *process =
            kin_process_start(live_and_scribble, &i, sizeof i,
                              KIN_PROCESS_OPTIONS(.sealed = true, .start_method = test_method()));
        ck_assert_msg(process != NULL, "%s", kin_error_message());
        ck_assert_int_eq(kin_process_join(process, CALL_LIMIT), 0);
        kin_end end;
        char text[256];
        ck_assert_int_eq(kin_process_end(process, &end), 0);
        ck_assert_msg(end.how == KIN_END_SIGNALED && end.signal == SIGSEGV &&
                          (end.fault == KIN_FAULT_SEALED || end.fault == KIN_FAULT_GUARD ||
                           end.fault == KIN_FAULT_FROZEN),
                      "process %d, fault %d: %s", (int)i, end.fault, kin_end_text(&end, text, sizeof text));
        kin_process_free(process);
        if (i % 25 == 0)
            all_is_well();
    }
    all_is_well();
    ck_assert_int_eq(kin_heap_get_stats(&after), 0);
    ck_assert_uint_eq(after.arenas, before.arenas);
    ck_assert_uint_eq(after.large_blocks, before.large_blocks);
}

static int count_up_or_scribble(kin_task *task, const uint64_t *in, uint64_t *out)
{
    uint64_t state = seeded(*in), *extra = kin_task_malloc(task, 100);
    if (!extra)
        return -1;
    *extra = *in;
    if (*in % 20 == 7)
        scribble_anywhere(&state);
    *out = *in + 1;
    return 0;
}

static void sealed_workers_write_anywhere(void)
{
    test_init();
    kin_pool *pool =
        kin_pool_new(KIN_POOL_OPTIONS(.workers = 2, .sealed = true, .start_method = test_method()));
    ck_assert_msg(pool != NULL, "%s", kin_error_message());
    uint64_t *in = kin_malloc(ITEMS * sizeof(*in)), *out = kin_malloc(ITEMS * sizeof(*out));
    unsigned maps = test_long() ? 100 : 4;
    for (unsigned map = 0; map < maps; map++) {
        size_t failures = 0;
        for (size_t i = 0; i < ITEMS; i++) {
            in[i] = (uint64_t)map * ITEMS + i;
            out[i] = 0;
        }
        int error = kin_pool_map(pool, (kin_task_fn)count_up_or_scribble,
                                 KIN_MAP_ARGS(.in = in, .in_size = sizeof(*in), .out = out, .count = ITEMS,
                                              .out_size = sizeof(*out), .on_failure = KIN_COLLECT,
                                              .failures = &failures));
        ck_assert_int_eq(error, KIN_EDIED);
        ck_assert_uint_eq(failures, ITEMS / 20);
        for (size_t i = 0; i < ITEMS; i++) {
            uint64_t item = (uint64_t)map * ITEMS + i;
            ck_assert_uint_eq(in[i], item);
            ck_assert_uint_eq(out[i], item % 20 == 7 ? 0 : item + 1);
        }
        all_is_well();
    }
    ck_assert_int_eq(kin_pool_finish(pool, CALL_LIMIT), 0);
    kin_pool_free(pool);
    kin_free(in);
    kin_free(out);
}

/* ---- what users have ---------------------------------------------------------------------------- */

#define BLOCKS 200

struct targets {
    uint64_t seed;
    char *block[BLOCKS];
    size_t size[BLOCKS];
};

static int scribble_over_blocks(void *arg)
{
    const struct targets *targets = arg;
    uint64_t state = seeded(targets->seed);
    for (int i = 0; i < WRITES; i++) {
        uint64_t which = next_random(&state) % BLOCKS;
        size_t from = next_random(&state) % targets->size[which];
        for (size_t at = from; at < targets->size[which]; at++)
            targets->block[which][at] = (char)next_random(&state);
        kin_free(kin_malloc(next_random(&state) % 5000));
    }
    if (next_random(&state) % 2)
        raise(SIGKILL);
    return 0;
}

/* What others have in the heap is theirs to be surprised by; the heap itself, kept away from it, is not. */
static void members_write_over_blocks(void)
{
    test_init();
    static struct targets targets;
    uint64_t state = seeded(1), count = test_long() ? 5000 : 150;
    for (size_t i = 0; i < BLOCKS; i++) {
        targets.size[i] = next_random(&state) % (i % 10 ? 3000 : 200000) + 1;
        targets.block[i] = kin_malloc(targets.size[i]);
        ck_assert_ptr_nonnull(targets.block[i]);
    }
    for (targets.seed = 0; targets.seed < count; targets.seed++) {
        kin_process *process = kin_process_start(scribble_over_blocks, &targets, sizeof targets,
                                                 KIN_PROCESS_OPTIONS(.start_method = test_method()));
        ck_assert_msg(process != NULL, "%s", kin_error_message());
        ck_assert_int_eq(kin_process_join(process, CALL_LIMIT), 0);
        kin_process_free(process);
        uint64_t which = next_random(&state) % BLOCKS;
        kin_free(targets.block[which]); /* and its bytes do not say where it goes */
        targets.block[which] = kin_malloc(targets.size[which]);
        ck_assert_ptr_nonnull(targets.block[which]);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        kin_free(targets.block[i]);
    all_is_well();
}

static const struct test tests[] = {
    {"sealed_processes_write_anywhere", sealed_processes_write_anywhere, 300, TEST_EACH_METHOD},
    {"sealed_workers_write_anywhere", sealed_workers_write_anywhere, 300, TEST_EACH_METHOD},
    {"members_write_over_blocks", members_write_over_blocks, 300, TEST_EACH_METHOD},
};
TEST_MAIN("storm_corrupt", tests)
