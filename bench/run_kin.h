/* run_kin.h - kin as a contestant, a case a file. */
#ifndef BENCH_RUN_KIN_H
#define BENCH_RUN_KIN_H

#include "runner.h"

/* kin_tasks.c: metg-map, tasks-empty; "kin+limits" has a progress function and both limits on */
void kin_tasks_open(const char *who);
double kin_tasks_run(const struct bench_request *request);
void kin_tasks_close(void);

/* kin_apply.c: metg-apply, tasks-apply */
void kin_apply_open(const char *who);
double kin_apply_run(const struct bench_request *request);
void kin_apply_close(void);

/* kin_commands.c: commands */
void kin_commands_open(const char *who);
double kin_commands_run(const struct bench_request *request);
void kin_commands_close(void);

/* kin_start.c: pool-start, start-fork, start-fork-1gib, start-spawn, start-forkserver */
double kin_pool_start_run(const struct bench_request *request);
double kin_start_fork_run(const struct bench_request *request);
void kin_start_fork_1gib_open(const char *who);
void kin_start_fork_1gib_close(void);
double kin_start_spawn_run(const struct bench_request *request);
void kin_start_forkserver_open(const char *who);
double kin_start_forkserver_run(const struct bench_request *request);

/* kin_arrays.c: map-8mib, hand-over */
void kin_sums_open(const char *who);
double kin_sums_run(const struct bench_request *request);
void kin_sums_close(void);
void kin_hand_over_open(const char *who);
double kin_hand_over_run(const struct bench_request *request);
void kin_hand_over_close(void);

/* kin_heap.c: malloc-64, malloc-64-remote (threads, processes), malloc-8mib, malloc-mixed, recovery */
double kin_malloc_run(const struct bench_request *request);
void kin_remote_threads_open(const char *who);
double kin_remote_threads_run(const struct bench_request *request);
void kin_remote_open(const char *who);
double kin_remote_run(const struct bench_request *request);
void kin_remote_close(void);
double kin_large_run(const struct bench_request *request);
double kin_mixed_run(const struct bench_request *request);
void kin_recovery_open(const char *who);
double kin_recovery_run(const struct bench_request *request);

/* kin_streams.c: the queue cases (with streams.h); queue-give, queue-wake */
void kin_stream_open(const char *who);
void kin_broadcast_open(const char *who); /* the broadcast cases */

/* kin_pipes.c: the pipe cases, with streams.h */
void kin_pipe_open(const char *who);
void kin_echo_open(const char *who);
double kin_echo_run(const struct bench_request *request);
void kin_echo_close(void);

/* kin_syncs.c: the lock cases, semaphore, wake, with syncs.h */
void kin_sync_open(const char *who);

/* kin_manager.c: manager-call-near, manager-call-unix, manager-call-tcp, manager-batch */
void kin_manager_open(const char *who);
double kin_manager_run(const struct bench_request *request);
void kin_manager_close(void);

/* kin_dicts.c: dict-get-direct, dict-get-growing, dict-set-direct, with dicts.h */
void kin_dict_open(const char *who);
double kin_dict_run(const struct bench_request *request);

/* kin_round_trip.c */
void kin_round_trip_open(const char *who);
double kin_round_trip_run(const struct bench_request *request);
void kin_round_trip_close(void);

#endif
