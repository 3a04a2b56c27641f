/*
 * apply_test.c - single tasks, tasks of tasks and maps that are not waited for, while workers are killed at random.
 *
 * Each task's result is looked at: it succeeded exactly once, with the right value, or failed of the kill; with retries, none
 * fails. In the end the heap holds what it held before.
 */
#include "harness.h"
#include "storm/killer.h"

#include "kin/apply.h"
#include "kin/heap.h"
#include "kin/pool.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TASKS 400
#define WORKERS 3
#define NESTED 5 /* every so manieth task submits tasks itself */
#define CANCELED 11

struct tally {
    kin_pool *pool;
    _Atomic uint32_t begun[TASKS], ended[TASKS];
};

struct output {
    uint64_t value;
    uint64_t *text;
};

static uint64_t expected(uint64_t in)
{
    uint64_t x = in * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (int i = 0; i < 3000; i++) /* some 10 us */
        x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return x;
}

static int leaf(kin_task *task, const void *in, void *out)
{
    (void)task;
    *(uint64_t *)out = expected(*(const uint64_t *)in);
    return 0;
}

static int sum_of_leaves(kin_pool *pool, uint64_t in, uint64_t *out)
{
    kin_result *leaves[4];
    for (uint64_t i = 0; i < 4; i++) {
        uint64_t value = in + i;
        leaves[i] = kin_pool_apply_async(pool, leaf,
                                         KIN_APPLY_ARGS(.in = &value, .in_size = sizeof value,
                                                        .out_size = sizeof(uint64_t), .retries = 1000));
        if (!leaves[i])
            return kin_error_code();
    }
    for (int i = 0; i < 4; i++) {
        uint64_t value;
        int error = kin_result_get(leaves[i], &value, sizeof value, KIN_FOREVER);
        if (error)
            return error;
        *out += value;
    }
    return 0;
}

static int work(kin_task *task, const void *in, void *out)
{
    struct tally *tally = kin_task_context(task);
    size_t index = kin_task_index(task);
    struct output *to = out;
    uint64_t value = *(const uint64_t *)in;
    atomic_fetch_add_explicit(&tally->begun[index], 1, memory_order_relaxed);
    if (index % NESTED == 0) {
        int error = sum_of_leaves(tally->pool, value, &to->value);
        if (error)
            return error;
    } else {
        to->value = expected(value);
        to->text = kin_task_malloc(task, 40);
        if (!to->text)
            return kin_task_fail(task, "no memory");
        to->text[4] = to->value;
    }
    atomic_fetch_add_explicit(&tally->ended[index], 1, memory_order_relaxed);
    return 0;
}

static bool right(const struct output *out, size_t index, uint64_t in)
{
    if (index % NESTED == 0)
        return out->value == expected(in) + expected(in + 1) + expected(in + 2) + expected(in + 3);
    return out->value == expected(in) && out->text && out->text[4] == out->value;
}

struct storm {
    struct killer *killer;
    kin_pool *pool;
    struct tally *tally;
    kin_heap_stats before;
    uint64_t rounds, failed, canceled, begun;
};

static void heap_stats(kin_heap_stats *stats)
{
    *stats = (kin_heap_stats){.size = sizeof(*stats)};
    ck_assert_int_eq(kin_heap_get_stats(stats), 0);
}

static void judge(struct storm *storm, kin_result *result, size_t i, uint64_t in, int retries)
{
    struct output out = {0};
    int error = kin_result_get(result, &out, sizeof out, test_time_left() - 1);
    uint32_t begun = storm->tally->begun[i], ended = storm->tally->ended[i];
    storm->begun += begun;
    if (error == KIN_ECANCELED) {
        ck_assert_uint_eq(i % CANCELED, 0);
        storm->canceled++;
    } else if (error) {
        kin_task_error what;
        ck_assert_msg(error == KIN_EDIED && !retries, "task %zu: %s", i, kin_error_message());
        ck_assert_int_eq(kin_result_error(result, &what), 0);
        ck_assert_msg(what.end.how == KIN_END_SIGNALED && what.end.signal == 9, "%s", what.error.message);
        ck_assert_uint_eq(what.index, i);
        storm->failed++;
    } else {
        ck_assert_msg(right(&out, i, in), "task %zu is wrong: begun %u, ended %u times", i, begun, ended);
        ck_assert_uint_ge(ended, 1);
        ck_assert_msg(retries || i % CANCELED == 0 || begun == 1 || storm->canceled,
                      "task %zu was begun %u times", i, begun);
    }
    kin_result_free(result);
}

static void round_of_tasks(struct storm *storm, int retries)
{
    kin_result *results[TASKS];
    memset(storm->tally, 0, sizeof *storm->tally);
    storm->tally->pool = storm->pool;
    for (size_t i = 0; i < TASKS; i++) {
        uint64_t in = i + 7;
        results[i] = kin_pool_apply_async(
            storm->pool, work,
            KIN_APPLY_ARGS(.in = &in, .in_size = sizeof in, .out_size = sizeof(struct output), .index = i,
                           .context = storm->tally, .retries = retries, .priority = (int)(i % 3) - 1));
        ck_assert_msg(results[i] != NULL, "%s", kin_error_message());
    }
    for (size_t i = 0; i < TASKS; i += CANCELED)
        kin_result_cancel(results[i]);
    for (size_t i = 0; i < TASKS; i++)
        judge(storm, results[i], i, i + 7, retries);
    storm->rounds++;
}

static void run_storm(uint32_t seed, int retries, uint32_t kills)
{
    struct storm storm = {.killer = killer_start(test_method() == KIN_START_FORK ? 1500 : 6000, seed)};
    test_init();
    heap_stats(&storm.before);
    storm.tally = kin_calloc(1, sizeof(*storm.tally));
    ck_assert_ptr_nonnull(storm.tally);
    storm.pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = WORKERS, .start_method = test_method()));
    ck_assert_msg(storm.pool != NULL, "%s", kin_error_message());
    atomic_store(&storm.killer->stop_at, kills);
    atomic_store(&storm.killer->parent, getpid());
    while (atomic_load(&storm.killer->kills) < kills)
        round_of_tasks(&storm, retries);
    uint32_t killed = killer_stop(storm.killer);
    round_of_tasks(&storm, retries);
    int error = kin_pool_finish(storm.pool, test_time_left() - 1);
    ck_assert_msg(error == 0, "%s", kin_error_message());
    kin_pool_free(storm.pool);
    kin_free(storm.tally);
    kin_heap_stats after;
    heap_stats(&after);
    uint64_t lost = after.possibly_lost - storm.before.possibly_lost;
    printf(
        "# storm: %u kills, %llu tasks, %llu begun, %llu failed, %llu canceled, %llu blocks possibly lost\n",
        killed, (unsigned long long)storm.rounds * TASKS, (unsigned long long)storm.begun,
        (unsigned long long)storm.failed, (unsigned long long)storm.canceled, (unsigned long long)lost);
    ck_assert_uint_le(lost, killed);
    ck_assert_uint_eq(after.arenas, storm.before.arenas);
    ck_assert_uint_eq(after.large_blocks, storm.before.large_blocks);
    ck_assert_uint_le(after.small_blocks, storm.before.small_blocks + lost);
}

static void retried_tasks_all_succeed_whoever_is_killed(void)
{
    run_storm(4711, 1000000, test_long() ? 2000 : 40);
}

static void without_retries_only_tasks_of_the_dead_fail(void)
{
    run_storm(1147, 0, test_long() ? 2000 : 40);
}

static const struct test tests[] = {
    {"retried_tasks_all_succeed_whoever_is_killed", retried_tasks_all_succeed_whoever_is_killed, 300,
     TEST_EACH_METHOD},
    {"without_retries_only_tasks_of_the_dead_fail", without_retries_only_tasks_of_the_dead_fail, 300,
     TEST_EACH_METHOD},
};
TEST_MAIN("storm_apply", tests)
