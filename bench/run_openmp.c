/* run_openmp.c - the threads that kin's processes are measured against: schedule(dynamic, 1). */
#include "runner.h"
#include "work.h"

#include <stdlib.h>

static uint32_t *in;
static uint64_t *out;

static void open_team(const char *who)
{
    (void)who;
    in = malloc(BENCH_MOST_TASKS * sizeof *in);
    out = malloc(BENCH_MOST_TASKS * sizeof *out);
    if (!in || !out)
        bench_fail("out of memory");
}

static double run_team(const struct bench_request *request)
{
    double start;
    double took;

    bench_tasks_fill(in, out, request);
    start = bench_now();
    for (size_t repeat = 0; repeat < request->repeats; repeat++) {
#pragma omp parallel for schedule(dynamic, 1) num_threads(2)
        for (size_t i = 0; i < request->count; i++)
            out[i] = bench_work(in[i]);
    }
    took = bench_now() - start;
    bench_tasks_check(out, request);
    return took;
}

static void close_team(void)
{
    free(in);
    free(out);
}

int main(int argc, char **argv)
{
    static const struct bench_contestant contestants[] = {
        {"metg-map", "openmp", open_team, run_team, close_team},
        {"tasks-empty", "openmp", open_team, run_team, close_team},
    };

    return bench_serve(argc, argv, contestants, sizeof contestants / sizeof *contestants);
}
