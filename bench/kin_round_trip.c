/* kin_round_trip.c - one task through an idle pool of one worker, and back. */
#include "run_kin.h"
#include "work.h"

#include <kin.h>

static kin_pool *pool;
static uint32_t *in;
static uint64_t *out;

static int work(kin_task *task, const uint32_t *links, uint64_t *value)
{
    (void)task;
    *value = bench_work(*links);
    return 0;
}

static double one_trip(void)
{
    double start = bench_now();

    if (kin_map(pool, work, in, out, 1))
        bench_fail("%s", kin_error_message());
    return bench_now() - start;
}

void kin_round_trip_open(const char *who)
{
    (void)who;
    pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 1));
    in = kin_calloc(1, sizeof *in);
    out = kin_calloc(1, sizeof *out);
    if (!pool || !in || !out)
        bench_fail("%s", kin_error_message());
}

double kin_round_trip_run(const struct bench_request *request)
{
    return bench_round_trips(one_trip, request);
}

void kin_round_trip_close(void)
{
    kin_pool_free(pool);
    kin_free(in);
    kin_free(out);
}
