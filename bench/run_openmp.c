/*
 * run_openmp.c - the threads that kin's processes are measured against: schedule(dynamic, 1).
 *
 * `openmp-array` does what a map does: each result goes to its place in an array, where neighbours,
 * which different threads write, share cache lines. `openmp` is spared that: it adds the results up,
 * so that the threads share nothing but OpenMP's own counter. It is the harder one to match.
 */
#include "runner.h"
#include "work.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

static uint32_t *in;
static uint64_t *out;
static bool to_array;

static void open_team(const char *who)
{
    to_array = !strcmp(who, "openmp-array");
    in = malloc(BENCH_MOST_TASKS * sizeof *in);
    out = malloc(BENCH_MOST_TASKS * sizeof *out);
    if (!in || !out)
        bench_fail("out of memory");
}

static void fill_array(size_t count)
{
#pragma omp parallel for schedule(dynamic, 1) num_threads(2)
    for (size_t i = 0; i < count; i++)
        out[i] = bench_work(in[i]);
}

static uint64_t add_up(size_t count)
{
    uint64_t total = 0;

#pragma omp parallel for schedule(dynamic, 1) num_threads(2) reduction(+ : total)
    for (size_t i = 0; i < count; i++)
        total += bench_work(in[i]);
    return total;
}

static double run_team(const struct bench_request *request)
{
    uint64_t total = 0;
    double start;
    double took;

    bench_tasks_fill(in, out, request);
    start = bench_now();
    for (size_t repeat = 0; repeat < request->repeats; repeat++) {
        if (to_array)
            fill_array(request->count);
        else
            total = add_up(request->count);
    }
    took = bench_now() - start;
    if (to_array)
        bench_tasks_check(out, request);
    else if (total != request->count * bench_work(request->links))
        bench_fail("wrong results");
    return took;
}

static void close_team(void)
{
    free(in);
    free(out);
}

static uint64_t trip_result;

/* One task by the other thread of a team of two: what the loop above does for each of its tasks, for one. */
static double one_trip(void)
{
    double start = bench_now();

#pragma omp parallel num_threads(2)
    {
        if (omp_get_thread_num() == 1)
            trip_result += bench_work(0);
    }
    return bench_now() - start;
}

static double run_round_trip(const struct bench_request *request)
{
    return bench_round_trips(one_trip, request);
}

int main(int argc, char **argv)
{
    static const struct bench_contestant contestants[] = {
        {"metg-map", "openmp", open_team, run_team, close_team},
        {"metg-map", "openmp-array", open_team, run_team, close_team},
        {"tasks-empty", "openmp", open_team, run_team, close_team},
        {"tasks-empty", "openmp-array", open_team, run_team, close_team},
        {"round-trip", "openmp", NULL, run_round_trip, NULL},
    };

    return bench_serve(argc, argv, contestants, sizeof contestants / sizeof *contestants);
}
