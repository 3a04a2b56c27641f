/* kin_apply.c - many small tasks, submitted one by one: kin_pool_apply_async, then each result is got. */
#include "run_kin.h"
#include "work.h"

#include <kin.h>

#include <stdlib.h>

static kin_pool *pool;
static uint32_t *in;
static uint64_t *out;
static kin_result **results;

static int work(kin_task *task, const void *links, void *value)
{
    (void)task;
    *(uint64_t *)value = bench_work(*(const uint32_t *)links);
    return 0;
}

void kin_apply_open(const char *who)
{
    (void)who;
    pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 2));
    in = malloc(BENCH_MOST_TASKS * sizeof *in);
    out = malloc(BENCH_MOST_TASKS * sizeof *out);
    results = malloc(BENCH_MOST_TASKS * sizeof(kin_result *));
    if (!pool || !in || !out || !results)
        bench_fail("%s", kin_error_message());
}

static void apply_each(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        results[i] = kin_pool_apply_async(
            pool, work, KIN_APPLY_ARGS(.in = &in[i], .in_size = sizeof *in, .out_size = sizeof *out));
        if (!results[i])
            bench_fail("%s", kin_error_message());
    }
    for (size_t i = 0; i < count; i++) {
        if (kin_result_get(results[i], &out[i], sizeof *out, KIN_FOREVER))
            bench_fail("%s", kin_error_message());
        kin_result_free(results[i]);
    }
}

double kin_apply_run(const struct bench_request *request)
{
    bench_tasks_fill(in, out, request);
    double start = bench_now();
    for (size_t repeat = 0; repeat < request->repeats; repeat++)
        apply_each(request->count);
    double took = bench_now() - start;
    bench_tasks_check(out, request);
    return took;
}

void kin_apply_close(void)
{
    kin_pool_free(pool);
    free(in);
    free(out);
    free(results);
}
