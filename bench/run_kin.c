/* run_kin.c - the runner of kin. */
#include "run_kin.h"
#include "dicts.h"
#include "mallocs.h"
#include "streams.h"
#include "syncs.h"

#include <kin.h>

#include <stdio.h>

int main(int argc, char **argv)
{
    static const struct bench_contestant contestants[] = {
        {"metg-map", "kin", kin_tasks_open, kin_tasks_run, kin_tasks_close},
        {"metg-map", "kin+limits", kin_tasks_open, kin_tasks_run, kin_tasks_close},
        {"tasks-empty", "kin", kin_tasks_open, kin_tasks_run, kin_tasks_close},
        {"tasks-empty", "kin+limits", kin_tasks_open, kin_tasks_run, kin_tasks_close},
        {"commands", "kin", kin_commands_open, kin_commands_run, kin_commands_close},
        {"metg-apply", "kin", kin_apply_open, kin_apply_run, kin_apply_close},
        {"tasks-apply", "kin", kin_apply_open, kin_apply_run, kin_apply_close},
        {"pool-start", "kin", NULL, kin_pool_start_run, NULL},
        {"map-8mib", "kin", kin_sums_open, kin_sums_run, kin_sums_close},
        {"hand-over", "kin", kin_hand_over_open, kin_hand_over_run, kin_hand_over_close},
        {"start-fork", "kin", NULL, kin_start_fork_run, NULL},
        {"start-fork-1gib", "kin", kin_start_fork_1gib_open, kin_start_fork_run, kin_start_fork_1gib_close},
        {"start-spawn", "kin", NULL, kin_start_spawn_run, NULL},
        {"start-forkserver", "kin", kin_start_forkserver_open, kin_start_forkserver_run, NULL},
        {"start-forkserver", "kin-spawn", NULL, kin_start_spawn_run, NULL},
        {"round-trip", "kin", kin_round_trip_open, kin_round_trip_run, kin_round_trip_close},
        {"malloc-64", "kin", NULL, kin_malloc_run, NULL},
        {"malloc-64-remote", "kin", kin_remote_threads_open, kin_remote_threads_run,
         bench_remote_threads_close},
        {"malloc-64-remote", "kin-processes", kin_remote_open, kin_remote_run, kin_remote_close},
        {"malloc-8mib", "kin", NULL, kin_large_run, NULL},
        {"malloc-mixed", "kin", NULL, kin_mixed_run, NULL},
        {"recovery", "kin", kin_recovery_open, kin_recovery_run, NULL},
        {"recovery", "kin-4gib", kin_recovery_open, kin_recovery_run, NULL},
        {"lock-*", "kin", kin_sync_open, bench_sync_run, bench_sync_close},
        {"lock-*", "kin-rlock", kin_sync_open, bench_sync_run, bench_sync_close},
        {"semaphore", "kin", kin_sync_open, bench_sync_run, bench_sync_close},
        {"semaphore", "kin-owned", kin_sync_open, bench_sync_run, bench_sync_close},
        {"wake", "kin", kin_sync_open, bench_sync_run, bench_sync_close},
        {"wake", "kin-signal", kin_sync_open, bench_sync_run, bench_sync_close},
        {"wake", "kin-event", kin_sync_open, bench_sync_run, bench_sync_close},
        {"manager-*", "kin", kin_manager_open, kin_manager_run, kin_manager_close},
        {"dict-*", "kin", kin_dict_open, kin_dict_run, NULL},
        {"queue-give", "kin", kin_echo_open, kin_echo_run, kin_echo_close},
        {"queue-wake", "kin", kin_echo_open, kin_echo_run, kin_echo_close},
        {"pipe-*", "kin", kin_pipe_open, bench_stream_run, bench_stream_close},
        {"pipe-*", "kin-stream", kin_pipe_open, bench_stream_run, bench_stream_close},
        {"queue-*", "kin", kin_stream_open, bench_stream_run, bench_stream_close},
        {"broadcast-*", "kin", kin_broadcast_open, bench_stream_run, bench_stream_close},
    };

    if (kin_init(&argc, &argv)) {
        printf("error %s\n", kin_error_message());
        return 1;
    }
    return bench_serve(argc, argv, contestants, sizeof contestants / sizeof *contestants);
}
