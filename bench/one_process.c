/* one_process.c - the sums of map-8mib as they are made without any pool. */
#include "run_c.h"
#include "work.h"

#include <stdlib.h>

static double *arrays[BENCH_ARRAYS];

void one_process_open(const char *who)
{
    (void)who;
    for (size_t i = 0; i < BENCH_ARRAYS; i++) {
        arrays[i] = malloc(BENCH_ARRAY_LENGTH * sizeof *arrays[i]);
        if (!arrays[i])
            bench_fail("out of memory");
        bench_array_fill(arrays[i], BENCH_ARRAY_LENGTH, i);
    }
}

double one_process_run(const struct bench_request *request)
{
    double sums[BENCH_ARRAYS];
    double start = bench_now();
    double took;

    for (size_t repeat = 0; repeat < request->repeats; repeat++)
        for (size_t i = 0; i < BENCH_ARRAYS; i++)
            sums[i] = bench_sum(arrays[i], BENCH_ARRAY_LENGTH);
    took = bench_now() - start;
    bench_sums_check(sums);
    return took;
}

void one_process_close(void)
{
    for (size_t i = 0; i < BENCH_ARRAYS; i++)
        free(arrays[i]);
}
