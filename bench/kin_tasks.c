/* kin_tasks.c - many small tasks: kin_map over arrays in the heap, without limits and with them. */
#include "run_kin.h"
#include "work.h"

#include <kin.h>

#include <string.h>

static kin_pool *pool;
static uint32_t *in;
static uint64_t *out;
static bool limits;

static int work(kin_task *task, const uint32_t *links, uint64_t *value)
{
    (void)task;
    *value = bench_work(*links);
    return 0;
}

static int work_untyped(kin_task *task, const void *links, void *value)
{
    return work(task, links, value);
}

static int watch(const kin_progress *progress, void *arg)
{
    *(size_t *)arg = progress->done;
    return 0;
}

static int map_with_limits(size_t count)
{
    size_t done = 0;
    int err = kin_pool_map(pool, work_untyped,
                           KIN_MAP_ARGS(.in = in, .in_size = sizeof *in, .out = out, .out_size = sizeof *out,
                                        .count = count, .time_limit = 60, .memory_limit = (size_t)1 << 30,
                                        .progress = watch, .progress_arg = &done));

    if (!err && done != count)
        bench_fail("the last progress told of %zu of %zu tasks", done, count);
    return err;
}

void kin_tasks_open(const char *who)
{
    limits = !strcmp(who, "kin+limits");
    pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 2));
    in = kin_malloc(BENCH_MOST_TASKS * sizeof *in);
    out = kin_malloc(BENCH_MOST_TASKS * sizeof *out);
    if (!pool || !in || !out)
        bench_fail("%s", kin_error_message());
}

double kin_tasks_run(const struct bench_request *request)
{
    double start;
    double took;

    bench_tasks_fill(in, out, request);
    start = bench_now();
    for (size_t repeat = 0; repeat < request->repeats; repeat++)
        if (limits ? map_with_limits(request->count) : kin_map(pool, work, in, out, request->count))
            bench_fail("%s", kin_error_message());
    took = bench_now() - start;
    bench_tasks_check(out, request);
    return took;
}

void kin_tasks_close(void)
{
    kin_pool_free(pool);
    kin_free(in);
    kin_free(out);
}
