/*
 * map_test.c - a map goes on while its workers are killed at random, thousands of times.
 *
 * A killer (killer.h) kills children of the pool's process. Each item's result, the number of times it ran,
 * and the failures are looked at after every map, and in the end what the survivor still holds.
 */
#include "harness.h"
#include "storm/killer.h"

#include "kin/heap.h"
#include "kin/pool.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ITEMS 1500
#define WORKERS 3

struct output {
    uint64_t value;
    uint64_t *text; /* from the task's arena, every third item */
};

/* In the heap: how often each item was begun and ended. */
struct tally {
    _Atomic uint32_t begun[ITEMS], ended[ITEMS];
};

static uint64_t expected(uint64_t in)
{
    uint64_t x = in * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (int i = 0; i < 4000; i++) /* some 10 us, so that deaths hit tasks as well as what is between them */
        x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return x;
}

static int work(kin_task *task, const uint64_t *in, struct output *out)
{
    struct tally *tally = kin_task_context(task);
    size_t index = kin_task_index(task);
    atomic_fetch_add_explicit(&tally->begun[index], 1, memory_order_relaxed);
    out->value = expected(*in);
    out->text = NULL;
    if (index % 3 == 0) {
        out->text = kin_task_malloc(task, 40);
        if (!out->text)
            return kin_task_fail(task, "no memory");
        for (int i = 0; i < 5; i++)
            out->text[i] = out->value + (uint64_t)i;
    }
    atomic_fetch_add_explicit(&tally->ended[index], 1, memory_order_relaxed);
    return 0;
}

static bool right(const struct output *out, size_t index)
{
    if (out->value != expected(index + 7) || (index % 3 == 0) != (out->text != NULL))
        return false;
    for (uint64_t i = 0; out->text && i < 5; i++)
        if (out->text[i] != out->value + i)
            return false;
    return true;
}

static bool zeroed(const struct output *out)
{
    return out->value == 0 && out->text == NULL;
}

struct storm {
    struct killer *killer;
    kin_pool *pool;
    uint64_t *in;
    struct output *out;
    struct tally *tally;
    kin_task_error *errors;
    kin_heap_stats before;
    unsigned maps;
    uint64_t failed, begun;
};

static void heap_stats(kin_heap_stats *stats)
{
    *stats = (kin_heap_stats){.size = sizeof(*stats)};
    ck_assert_int_eq(kin_heap_get_stats(stats), 0);
}

/* `shared`: the arrays lie in the heap and are used in place. */
static struct storm new_storm(uint32_t seed, bool shared)
{
    static uint64_t private_in[ITEMS];
    static struct output private_out[ITEMS];
    static kin_task_error errors[ITEMS];
    struct storm storm = {.killer = killer_start(1500, seed), .errors = errors};
    test_init();
    heap_stats(&storm.before);
    storm.pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = WORKERS));
    storm.in = shared ? kin_malloc(sizeof(private_in)) : private_in;
    storm.out = shared ? kin_malloc(sizeof(private_out)) : private_out;
    storm.tally = kin_calloc(1, sizeof(*storm.tally));
    ck_assert_msg(storm.pool && storm.in && storm.out && storm.tally, "%s", kin_error_message());
    for (size_t i = 0; i < ITEMS; i++)
        storm.in[i] = i + 7;
    return storm;
}

/* One map, and its count: every item is right, or (without retries) told as failed and zeroed. */
static void map_once(struct storm *storm, int retries)
{
    size_t failures = 0;
    kin_arena *results = NULL;
    uint32_t kills = atomic_load(&storm->killer->kills);
    memset(storm->tally, 0, sizeof(*storm->tally));
    memset(storm->out, 0xee, ITEMS * sizeof(storm->out[0]));
    int error =
        kin_pool_map(storm->pool, (kin_task_fn)work,
                     KIN_MAP_ARGS(.in = storm->in, .in_size = sizeof(storm->in[0]), .out = storm->out,
                                  .out_size = sizeof(storm->out[0]), .count = ITEMS, .context = storm->tally,
                                  .retries = retries, .on_failure = KIN_COLLECT, .errors = storm->errors,
                                  .errors_capacity = ITEMS, .failures = &failures, .results = &results));
    kills = atomic_load(&storm->killer->kills) - kills + 1; /* one may be counted a moment late */
    ck_assert_msg(error == (failures ? KIN_EDIED : 0), "%s", kin_error_message());
    if (failures) /* a map that broke off has the same code */
        ck_assert_msg(strstr(kin_error_message(), "was running when its worker"), "%s", kin_error_message());
    ck_assert_uint_le(failures, retries ? 0 : kills);
    uint64_t begun = 0;
    size_t failure = 0;
    for (size_t i = 0; i < ITEMS; i++) {
        uint32_t item_begun = storm->tally->begun[i], item_ended = storm->tally->ended[i];
        begun += item_begun;
        if (failure < failures && storm->errors[failure].index == i) {
            const kin_task_error *what = &storm->errors[failure++];
            ck_assert_msg(zeroed(&storm->out[i]), "item %zu failed and was not zeroed", i);
            ck_assert_int_eq(what->error.code, KIN_EDIED);
            ck_assert_msg(what->end.how == KIN_END_SIGNALED && what->end.signal == 9, "%s",
                          what->error.message);
            ck_assert_uint_le(item_begun, 1);
            continue;
        }
        ck_assert_msg(
            right(&storm->out[i], i),
            "item %zu is wrong in map %u: begun %u, ended %u times, value %llx, text %p, %zu failures", i,
            storm->maps, item_begun, item_ended, (unsigned long long)storm->out[i].value,
            (void *)storm->out[i].text, failures);
        ck_assert_uint_ge(item_ended, 1);
        ck_assert_msg(retries || item_begun == 1, "item %zu was begun %u times", i, item_begun);
    }
    ck_assert_uint_eq(failure, failures);
    ck_assert_msg(begun <= ITEMS + kills, "%llu items begun with %u kills", (unsigned long long)begun, kills);
    kin_arena_free(results);
    storm->failed += failures;
    storm->begun += begun;
    storm->maps++;
}

/* The pool ends in order, and the heap holds what it held before. */
static void end_storm(struct storm *storm, bool shared)
{
    uint32_t kills = killer_stop(storm->killer);
    map_once(&(struct storm){.killer = &(struct killer){0},
                             .pool = storm->pool,
                             .in = storm->in,
                             .out = storm->out,
                             .tally = storm->tally,
                             .errors = storm->errors},
             0);
    ck_assert_msg(kin_pool_finish(storm->pool, test_time_left()) == 0, "%s", kin_error_message());
    kin_pool_free(storm->pool);
    kin_free(storm->tally);
    if (shared) {
        kin_free(storm->in);
        kin_free(storm->out);
    }
    kin_heap_stats after;
    heap_stats(&after);
    uint64_t lost = after.possibly_lost - storm->before.possibly_lost;
    long long again = (long long)(storm->begun + storm->failed) - (long long)storm->maps * ITEMS;
    printf("# storm: %u kills in %u maps of %d items, %lld items begun again, %llu failed, %llu blocks "
           "possibly lost\n",
           kills, storm->maps, ITEMS, again < 0 ? 0 : again, (unsigned long long)storm->failed,
           (unsigned long long)lost);
    ck_assert_uint_le(lost, kills);
    ck_assert_uint_eq(after.arenas, storm->before.arenas);
    ck_assert_uint_eq(after.large_blocks, storm->before.large_blocks);
    ck_assert_uint_le(after.small_blocks, storm->before.small_blocks + lost);
}

static void run_storm(uint32_t seed, bool shared, int retries, uint32_t kills)
{
    struct storm storm = new_storm(seed, shared);
    atomic_store(&storm.killer->stop_at, kills);
    atomic_store(&storm.killer->parent, getpid());
    while (atomic_load(&storm.killer->kills) < kills)
        map_once(&storm, retries);
    end_storm(&storm, shared);
}

static void retried_items_are_all_right_whoever_is_killed(void)
{
    run_storm(12345, true, 60, test_long() ? 2000 : 60);
}

static void without_retries_only_items_of_the_dead_fail(void)
{
    run_storm(54321, false, 0, test_long() ? 1000 : 60);
}

static const struct test tests[] = {
    {"retried_items_are_all_right_whoever_is_killed", retried_items_are_all_right_whoever_is_killed, 300, 0},
    {"without_retries_only_items_of_the_dead_fail", without_retries_only_items_of_the_dead_fail, 300, 0},
};
TEST_MAIN("storm_map", tests)
