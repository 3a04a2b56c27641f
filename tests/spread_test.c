/* spread_test.c - how tasks are spread over workers: equal ones evenly, unequal ones as greedily as can be, and by their costs. */
#include "pool_common.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define WORKERS_MAX 8
#define TRIES 6 /* others may keep the CPUs busy: the best of some shows what kin does */

enum how { MAP, ASYNC, TASKS, WAYS };
static const char *const ways[] = {"kin_pool_map", "kin_pool_map_async", "kin_pool_apply_async"};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

struct plan {
    double seconds;
    bool burns; /* instead of sleeping */
};

struct trace {
    double began, took, cpu;
    int worker;
};

static double cpu_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int take_time(kin_task *task, const void *in, void *out)
{
    const struct plan *plan = in;
    struct trace *trace = out;
    double cpu = cpu_time();
    trace->began = now();
    trace->worker = kin_task_worker(task);
    struct timespec rest = {.tv_nsec = (long)(plan->seconds * 1e9)};
    while (!plan->burns && nanosleep(&rest, &rest) != 0)
        continue;
    while (plan->burns && now() < trace->began + plan->seconds)
        continue;
    trace->took = now() - trace->began;
    trace->cpu = cpu_time() - cpu;
    return 0;
}

static void apply_all(kin_pool *pool, const struct plan *plans, struct trace *traces, size_t count)
{
    kin_result **results = calloc(count, sizeof(kin_result *));
    ck_assert_ptr_nonnull(results);
    for (size_t i = 0; i < count; i++) {
        results[i] = kin_pool_apply_async(pool, take_time,
                                          KIN_APPLY_ARGS(.in = &plans[i], .in_size = sizeof *plans,
                                                         .out = &traces[i], .out_size = sizeof *traces));
        ck_assert_msg(results[i] != NULL, "%s", kin_error_message());
    }
    ck_assert_int_eq(kin_results_wait(results, count, KIN_WAIT_ALL, TOP, NULL), 0);
    for (size_t i = 0; i < count; i++)
        kin_result_free(results[i]);
    free(results);
}

/* Seconds from the first task's beginning to the last one's end. */
static double run(enum how how, kin_pool *pool, const struct plan *plans, struct trace *traces, size_t count,
                  const double *costs)
{
    const kin_map_args *args = KIN_MAP_ARGS(.in = plans, .in_size = sizeof *plans, .out = traces,
                                            .out_size = sizeof *traces, .count = count, .costs = costs);
    if (how == MAP)
        ck_assert_msg(kin_pool_map(pool, take_time, args) == 0, "%s", kin_error_message());
    if (how == TASKS)
        apply_all(pool, plans, traces, count);
    if (how == ASYNC) {
        kin_result *result = kin_pool_map_async(pool, take_time, args);
        ck_assert_msg(result != NULL, "%s", kin_error_message());
        ck_assert_int_eq(kin_result_wait(result, TOP), 0);
        ck_assert_int_eq(kin_result_successful(result), 1);
        kin_result_free(result);
    }
    double first = HUGE_VAL, last = 0;
    for (size_t i = 0; i < count; i++) {
        first = fmin(first, traces[i].began);
        last = fmax(last, traces[i].began + traces[i].took);
    }
    return last - first;
}

static struct trace *make_traces(size_t count)
{
    struct trace *traces = kin_calloc(count, sizeof *traces);
    ck_assert_ptr_nonnull(traces);
    return traces;
}

/* ---- equal ones ------------------------------------------------------------------------------ */

/* By how much of their mean the workers' counts differ. */
static double difference(const struct trace *traces, size_t count, int workers)
{
    size_t counts[WORKERS_MAX] = {0}, least = count, most = 0;
    for (size_t i = 0; i < count; i++)
        counts[traces[i].worker]++;
    for (int i = 0; i < workers; i++) {
        least = counts[i] < least ? counts[i] : least;
        most = counts[i] > most ? counts[i] : most;
    }
    return (double)(most - least) * workers / (double)count;
}

static void spread_equal(int workers, size_t count, bool burns)
{
    test_init();
    kin_pool *pool = new_pool(workers);
    struct plan *plans = calloc(count, sizeof *plans);
    struct trace *traces = make_traces(count);
    int judged = 0;
    for (size_t i = 0; i < count; i++)
        plans[i] = (struct plan){.seconds = 0.001, .burns = burns};
    for (enum how how = MAP; how < WAYS; how++) {
        double best = HUGE_VAL, cpus = 0;
        for (int i = 0; i < TRIES && best > 0.1; i++) {
            double wall = run(how, pool, plans, traces, count, NULL), cpu = 0;
            for (size_t k = 0; k < count; k++)
                cpu += traces[k].cpu;
            if (burns && cpu < 0.95 * wall * workers)
                cpus = fmax(cpus, cpu / wall); /* there was no free core for each */
            else
                best = fmin(best, difference(traces, count, workers));
        }
        if (isinf(best)) {
            printf("# %s: the machine had %.1f CPUs free, for %d workers: not judged\n", ways[how], cpus,
                   workers);
            continue;
        }
        judged++;
        printf("# %s: counts differ by %.1f %%\n", ways[how], 100 * best);
        ck_assert_msg(best <= 0.1, "%s: counts differ by %.1f %%", ways[how], 100 * best);
    }
    free(plans);
    kin_free(traces);
    end_pool(pool);
    if (!judged)
        test_skip("the machine had no free CPU for each worker");
}

static void equal_tasks_that_sleep_are_spread_evenly(void)
{
    spread_equal(4, 240, false);
}

static void equal_tasks_that_compute_are_spread_evenly(void)
{
    spread_equal(2, test_long() ? 1000 : 200, true);
}

/* ---- unequal ones ---------------------------------------------------------------------------- */

/* Each to the worker that is free first, in order: what takes how long. */
static double greedy(const struct trace *traces, size_t count, int workers)
{
    double free_at[WORKERS_MAX] = {0}, last = 0;
    for (size_t i = 0; i < count; i++) {
        int first = 0;
        for (int k = 1; k < workers; k++)
            first = free_at[k] < free_at[first] ? k : first;
        free_at[first] += traces[i].took;
        last = fmax(last, free_at[first]);
    }
    return last;
}

/* No order takes less. */
static double bound(const struct trace *traces, size_t count, int workers)
{
    double total = 0, longest = 0;
    for (size_t i = 0; i < count; i++) {
        total += traces[i].took;
        longest = fmax(longest, traces[i].took);
    }
    return fmax(total / workers, longest);
}

/* From 1 to 1,000 units, each power of ten as often as any other. */
static void draw_plans(struct plan *plans, size_t count, double unit, uint64_t seed)
{
    kin_random random;
    kin_random_start(&random, seed, 0);
    for (size_t i = 0; i < count; i++)
        plans[i] = (struct plan){.seconds = unit * pow(1000, kin_random_double(&random))};
}

static void spread_unequal(size_t count, double unit, bool by_cost, double most)
{
    enum { WORKERS = 4 };
    test_init();
    kin_pool *pool = new_pool(WORKERS);
    struct plan *plans = calloc(count, sizeof *plans);
    double *costs = calloc(count, sizeof *costs);
    struct trace *traces = make_traces(count);
    for (enum how how = MAP; how < (by_cost ? TASKS : WAYS); how++)
        for (uint64_t seed = 1; seed <= (test_long() ? 5u : 1u); seed++) {
            double best = HUGE_VAL;
            draw_plans(plans, count, unit, seed);
            for (size_t i = 0; i < count; i++)
                costs[i] = plans[i].seconds;
            for (int i = 0; i < TRIES && best > most; i++) {
                double wall = run(how, pool, plans, traces, count, by_cost ? costs : NULL);
                best = fmin(
                    best, wall / (by_cost ? bound(traces, count, WORKERS) : greedy(traces, count, WORKERS)));
            }
            printf("# %s: %.3f of %s\n", ways[how], best, by_cost ? "the lower bound" : "list scheduling");
            ck_assert_msg(best <= most, "%s takes %.3f", ways[how], best);
        }
    free(plans);
    free(costs);
    kin_free(traces);
    end_pool(pool);
}

static void unequal_tasks_take_as_long_as_greedy_scheduling(void)
{
    spread_unequal(120, 50e-6, false, 1.05);
}

static void many_unequal_tasks_take_as_long_as_greedy_scheduling(void)
{
    spread_unequal(4000, 3e-6, false, 1.05);
}

static void with_costs_unequal_tasks_take_four_thirds_at_most(void)
{
    spread_unequal(120, 50e-6, true, 4.0 / 3);
}

/* The longest comes last: begun in that order it alone keeps the map waiting. */
static void longest_task_at_the_end_is_begun_first_by_its_cost(void)
{
    enum { WORKERS = 4, COUNT = 13 };
    test_init();
    kin_pool *pool = new_pool(WORKERS);
    struct plan plans[COUNT];
    double costs[COUNT];
    struct trace *traces = make_traces(COUNT);
    for (int i = 0; i < COUNT; i++) {
        plans[i] = (struct plan){.seconds = i == COUNT - 1 ? 0.06 : 0.02};
        costs[i] = i == COUNT - 1 ? 3 : 1;
    }
    for (enum how how = MAP; how < TASKS; how++) {
        double without = HUGE_VAL, with = HUGE_VAL;
        for (int i = 0; i < TRIES && with > 4.0 / 3; i++) {
            without =
                fmin(without, run(how, pool, plans, traces, COUNT, NULL) / bound(traces, COUNT, WORKERS));
            with = fmin(with, run(how, pool, plans, traces, COUNT, costs) / bound(traces, COUNT, WORKERS));
        }
        printf("# %s: %.2f of the lower bound without costs, %.2f with\n", ways[how], without, with);
        ck_assert_double_gt(without, 4.0 / 3);
        ck_assert_double_le(with, 4.0 / 3);
    }
    kin_free(traces);
    end_pool(pool);
}

/* ---- costs ----------------------------------------------------------------------------------- */

struct order {
    _Atomic size_t next;
    size_t items[100];
};

static int note_order(kin_task *task, const void *in, void *out)
{
    struct order *order = kin_task_context(task);
    (void)in, (void)out;
    order->items[atomic_fetch_add(&order->next, 1)] = kin_task_index(task);
    return kin_task_index(task) == 7 && kin_task_attempt(task) == 0 ? kin_task_fail(task, "not yet") : 0;
}

static void check_order(const struct order *order, const size_t *expected, size_t count)
{
    ck_assert_uint_eq(order->next, count);
    for (size_t i = 0; i < count; i++)
        ck_assert_msg(order->items[i] == expected[i], "place %zu: item %zu, not %zu", i, order->items[i],
                      expected[i]);
}

/* One worker: the highest first, equal ones by index; what is tried again comes behind all. */
static void tasks_begin_in_the_order_of_their_costs(void)
{
    enum { COUNT = 9 };
    static const double costs[COUNT] = {1, 5, 2, 5, 0, 9, 2.5, 4, 1e300};
    static const size_t expected[COUNT + 1] = {8, 5, 1, 3, 7, 6, 2, 0, 4, 7};
    test_init();
    kin_pool *pool = new_pool(1);
    struct order *order = kin_calloc(1, sizeof *order);
    kin_map_args *args = KIN_MAP_ARGS(.count = COUNT, .context = order, .costs = costs, .retries = 1,
                                      .retry_on = 1u << KIN_CAUSE_RETURNED);
    ck_assert_msg(kin_pool_map(pool, note_order, args) == 0, "%s", kin_error_message());
    check_order(order, expected, COUNT + 1);
    memset(order, 0, sizeof *order);
    kin_result *first = kin_pool_apply_async(
        pool, take_time, /* all are submitted before the first of them begins */
        KIN_APPLY_ARGS(.in = &(struct plan){.seconds = 0.05}, .in_size = sizeof(struct plan),
                       .out_size = sizeof(struct trace)));
    kin_result *result = kin_pool_map_async(pool, note_order, args);
    ck_assert(first && result);
    ck_assert_int_eq(kin_result_get(result, NULL, 0, TOP), 0);
    check_order(order, expected, COUNT + 1);
    kin_result_free(first);
    kin_result_free(result);
    kin_free(order);
    end_pool(pool);
}

static void bad_costs_are_told(void)
{
    static const double bad[] = {-1, NAN, INFINITY};
    test_init();
    kin_pool *pool = new_pool(1);
    struct order *order = kin_calloc(1, sizeof *order);
    for (int i = 0; i < 3; i++) {
        double costs[3] = {1, 2, bad[i]};
        const kin_map_args *args = KIN_MAP_ARGS(.count = 3, .context = order, .costs = costs);
        ck_assert_int_eq(kin_pool_map(pool, note_order, args), KIN_EINVAL);
        ck_assert_msg(strstr(kin_error_message(), "the cost of item 2 is "), "%s", kin_error_message());
        ck_assert_ptr_null(kin_pool_map_async(pool, note_order, args));
        ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    }
    ck_assert_uint_eq(order->next, 0);
    kin_free(order);
    end_pool(pool);
}

static const struct test tests[] = {
    {"equal_tasks_that_sleep_are_spread_evenly", equal_tasks_that_sleep_are_spread_evenly, 40,
     TEST_EACH_METHOD},
    {"equal_tasks_that_compute_are_spread_evenly", equal_tasks_that_compute_are_spread_evenly, 60,
     TEST_NOT_VALGRIND},
    {"unequal_tasks_take_as_long_as_greedy_scheduling", unequal_tasks_take_as_long_as_greedy_scheduling, 100,
     TEST_NOT_VALGRIND | TEST_NOT_ASAN /* it is a matter of time */},
    {"many_unequal_tasks_take_as_long_as_greedy_scheduling",
     many_unequal_tasks_take_as_long_as_greedy_scheduling, 100,
     TEST_NOT_VALGRIND | TEST_NOT_ASAN /* likewise */},
    {"with_costs_unequal_tasks_take_four_thirds_at_most", with_costs_unequal_tasks_take_four_thirds_at_most,
     100, TEST_NOT_VALGRIND | TEST_NOT_ASAN /* likewise */},
    {"longest_task_at_the_end_is_begun_first_by_its_cost", longest_task_at_the_end_is_begun_first_by_its_cost,
     40, TEST_NOT_VALGRIND},
    {"tasks_begin_in_the_order_of_their_costs", tasks_begin_in_the_order_of_their_costs, 20,
     TEST_EACH_METHOD},
    {"bad_costs_are_told", bad_costs_are_told, 20, TEST_NOT_VALGRIND},
};
TEST_MAIN("spread", tests)
