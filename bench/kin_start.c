/* kin_start.c - what it takes until a pool works, and for a process to come and go. */
#include "run_kin.h"
#include "work.h"

#include <kin.h>

#include <string.h>

static int work(kin_task *task, const uint32_t *links, uint64_t *value)
{
    (void)task;
    *value = bench_work(*links);
    return 0;
}

/* A new pool to its first results; its end is not measured. */
double kin_pool_start_run(const struct bench_request *request)
{
    uint32_t in[2] = {0, 0};
    double took = 0;

    for (size_t i = 0; i < request->repeats; i++) {
        uint64_t out[2] = {0, 0};
        double start = bench_now();
        kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 2, .start_method = KIN_START_FORK));

        if (!pool || kin_map(pool, work, in, out, 2))
            bench_fail("%s", kin_error_message());
        took += bench_now() - start;
        if (out[0] != bench_work(0) || out[1] != out[0])
            bench_fail("wrong results");
        if (kin_pool_finish(pool, KIN_FOREVER))
            bench_fail("%s", kin_error_message());
        kin_pool_free(pool);
    }
    return took;
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static double start_and_join(size_t repeats, int method)
{
    double start = bench_now();

    for (size_t i = 0; i < repeats; i++) {
        kin_process *process =
            kin_process_start(nothing, NULL, 0, KIN_PROCESS_OPTIONS(.start_method = method));
        kin_end end;

        if (!process || kin_process_join(process, KIN_FOREVER) || kin_process_end(process, &end))
            bench_fail("%s", kin_error_message());
        if (end.how != KIN_END_EXITED || end.exit_code != 0)
            bench_fail("the child failed");
        kin_process_free(process);
    }
    return bench_now() - start;
}

double kin_start_fork_run(const struct bench_request *request)
{
    return start_and_join(request->repeats, KIN_START_FORK);
}

static void *gibibyte; /* in the family's heap */

void kin_start_fork_1gib_open(const char *who)
{
    (void)who;
    gibibyte = kin_malloc(BENCH_GIBIBYTE);
    if (!gibibyte)
        bench_fail("%s", kin_error_message());
    memset(gibibyte, 1, BENCH_GIBIBYTE);
}

void kin_start_fork_1gib_close(void)
{
    kin_free(gibibyte);
}

double kin_start_spawn_run(const struct bench_request *request)
{
    return start_and_join(request->repeats, KIN_START_SPAWN);
}

/* The template is there, as it is from the second start on. */
void kin_start_forkserver_open(const char *who)
{
    (void)who;
    if (kin_forkserver_prepare(NULL, NULL, 0, KIN_FOREVER))
        bench_fail("%s", kin_error_message());
}

double kin_start_forkserver_run(const struct bench_request *request)
{
    return start_and_join(request->repeats, KIN_START_FORKSERVER);
}
