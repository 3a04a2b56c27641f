/* run_kin.c - the runner of kin. */
#include "run_kin.h"

#include <kin.h>

#include <stdio.h>

static double kin_malloc_run(const struct bench_request *request)
{
    return bench_malloc_run(kin_malloc, kin_free, request);
}

int main(int argc, char **argv)
{
    static const struct bench_contestant contestants[] = {
        {"metg-map", "kin", kin_tasks_open, kin_tasks_run, kin_tasks_close},
        {"metg-map", "kin+limits", kin_tasks_open, kin_tasks_run, kin_tasks_close},
        {"tasks-empty", "kin", kin_tasks_open, kin_tasks_run, kin_tasks_close},
        {"tasks-empty", "kin+limits", kin_tasks_open, kin_tasks_run, kin_tasks_close},
        {"pool-start", "kin", NULL, kin_pool_start_run, NULL},
        {"map-8mib", "kin", kin_sums_open, kin_sums_run, kin_sums_close},
        {"hand-over", "kin", kin_hand_over_open, kin_hand_over_run, kin_hand_over_close},
        {"start-fork", "kin", NULL, kin_start_fork_run, NULL},
        {"start-spawn", "kin", NULL, kin_start_spawn_run, NULL},
        {"round-trip", "kin", kin_round_trip_open, kin_round_trip_run, kin_round_trip_close},
        {"malloc-64", "kin", NULL, kin_malloc_run, NULL},
    };

    if (kin_init(&argc, &argv)) {
        printf("error %s\n", kin_error_message());
        return 1;
    }
    return bench_serve(argc, argv, contestants, sizeof contestants / sizeof *contestants);
}
