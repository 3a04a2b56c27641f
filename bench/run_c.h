/* run_c.h - the peers that need nothing but the C library, one file each. */
#ifndef BENCH_RUN_C_H
#define BENCH_RUN_C_H

#include "runner.h"

/* forkpipe.c: a pool by hand */
void forkpipe_open(const char *who);
double forkpipe_run(const struct bench_request *request);
void forkpipe_close(void);

/* bare.c: processes by hand */
double bare_fork_run(const struct bench_request *request);
void bare_fork_1gib_open(const char *who);
void bare_fork_1gib_close(void);
double bare_spawn_run(const struct bench_request *request);

/* commands.c: commands by xargs, and by GNU parallel (run_parallel.c) */
void commands_open(const char *who);
double commands_run(const struct bench_request *request);

/* one_process.c: the sums without a pool */
void one_process_open(const char *who);
double one_process_run(const struct bench_request *request);
void one_process_close(void);

/* c_streams.c: the queue cases, with streams.h */
void c_stream_open(const char *who);
void c_broadcast_open(const char *who); /* the broadcast cases */

/* c_pipes.c: the pipe cases, with streams.h */
void c_pipe_open(const char *who);

/* c_syncs.c: the lock cases, semaphore, wake, with syncs.h */
void c_sync_open(const char *who);

/* futex_round_trip.c */
void futex_round_trip_open(const char *who);
double futex_round_trip_run(const struct bench_request *request);
void futex_round_trip_close(void);

/* c_ping.c: manager-call-near, manager-call-unix, manager-call-tcp */
void c_ping_open(const char *who);
double c_ping_run(const struct bench_request *request);
void c_ping_close(void);

#endif
