/* kin_arrays.c - large arrays in the heap: their sums by a pool, and what handing one over takes. */
#include "run_kin.h"
#include "work.h"

#include <kin.h>

#include <string.h>

static kin_pool *pool;

static kin_pool *new_pool(void)
{
    kin_pool *made = kin_pool_new(KIN_POOL_OPTIONS(.workers = 2));

    if (!made)
        bench_fail("%s", kin_error_message());
    return made;
}

static double *new_array(size_t length)
{
    double *numbers = kin_malloc(length * sizeof *numbers);

    if (!numbers)
        bench_fail("%s", kin_error_message());
    return numbers;
}

/* ---- map-8mib -------------------------------------------------------------------------------- */

static double *arrays[BENCH_ARRAYS];

static int sum(kin_task *task, double *const *numbers, double *result)
{
    (void)task;
    *result = bench_sum(*numbers, BENCH_ARRAY_LENGTH);
    return 0;
}

void kin_sums_open(const char *who)
{
    (void)who;
    for (size_t i = 0; i < BENCH_ARRAYS; i++) {
        arrays[i] = new_array(BENCH_ARRAY_LENGTH);
        bench_array_fill(arrays[i], BENCH_ARRAY_LENGTH, i);
    }
    pool = new_pool();
}

static double sums(kin_pool *by, size_t repeats)
{
    double result[BENCH_ARRAYS] = {0};
    double start = bench_now();
    double took;

    for (size_t repeat = 0; repeat < repeats; repeat++)
        if (kin_map(by, sum, arrays, result, BENCH_ARRAYS))
            bench_fail("%s", kin_error_message());
    took = bench_now() - start;
    bench_sums_check(result);
    return took;
}

double kin_sums_run(const struct bench_request *request)
{
    double took = 0;

    if (!strstr(request->name, ":first"))
        return sums(pool, request->repeats);
    for (size_t repeat = 0; repeat < request->repeats; repeat++) {
        kin_pool *fresh = new_pool();

        took += sums(fresh, 1);
        kin_pool_free(fresh);
    }
    return took;
}

void kin_sums_close(void)
{
    kin_pool_free(pool);
    for (size_t i = 0; i < BENCH_ARRAYS; i++)
        kin_free(arrays[i]);
}

/* ---- hand-over ------------------------------------------------------------------------------- */

#define MIB_LENGTH ((size_t)1 << 17)
#define PAGE_LENGTH ((size_t)512)

struct place {
    const double *numbers;
    size_t at;
};

static double *small; /* 8 MiB */
static double *large; /* 512 MiB */
static size_t next_page;

static int read_line(kin_task *task, const struct place *place, double *value)
{
    (void)task;
    *value = place->numbers[place->at];
    return 0;
}

void kin_hand_over_open(const char *who)
{
    (void)who;
    small = new_array(8 * MIB_LENGTH);
    large = new_array(512 * MIB_LENGTH);
    bench_array_fill(small, 8 * MIB_LENGTH, 7);
    bench_array_fill(large, 512 * MIB_LENGTH, 511);
    pool = new_pool();
}

/* A map of one item. Each reads a page further on, in both arrays alike (8 MiB has 2,048 of them). */
double kin_hand_over_run(const struct bench_request *request)
{
    const double *numbers = request->count == 8 ? small : large;
    double took = 0;

    for (size_t repeat = 0; repeat < request->repeats; repeat++) {
        struct place place = {numbers, next_page++ % 2048 * PAGE_LENGTH};
        double value = 0;
        double start = bench_now();

        if (kin_map(pool, read_line, &place, &value, 1))
            bench_fail("%s", kin_error_message());
        took += bench_now() - start;
        if (value != (double)request->count)
            bench_fail("wrong results");
    }
    return took;
}

void kin_hand_over_close(void)
{
    kin_pool_free(pool);
    kin_free(small);
    kin_free(large);
}
