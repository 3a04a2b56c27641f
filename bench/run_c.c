/* run_c.c - the runner of the peers that need nothing but the C library. */
#include "run_c.h"
#include "mallocs.h"
#include "streams.h"
#include "syncs.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static size_t glibc_held(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.arena + info.hblkhd;
}

static const struct bench_malloc glibc = {malloc, free, glibc_held};

static double glibc_run(const struct bench_request *request)
{
    return bench_malloc_run(&glibc, request);
}

static double glibc_large_run(const struct bench_request *request)
{
    return bench_large_run(&glibc, request);
}

static double glibc_mixed_run(const struct bench_request *request)
{
    return bench_mixed_run(&glibc, request);
}

static void glibc_remote_open(const char *who)
{
    (void)who;
    bench_remote_threads_open(&glibc);
}

static double glibc_remote_run(const struct bench_request *request)
{
    return bench_remote_threads_run(&glibc, request);
}

int main(int argc, char **argv)
{
    static const struct bench_contestant contestants[] = {
        {"metg-map", "forkpipe", forkpipe_open, forkpipe_run, forkpipe_close},
        {"tasks-empty", "forkpipe", forkpipe_open, forkpipe_run, forkpipe_close},
        {"metg-apply", "forkpipe", forkpipe_open, forkpipe_run, forkpipe_close},
        {"tasks-apply", "forkpipe", forkpipe_open, forkpipe_run, forkpipe_close},
        {"commands", "xargs", commands_open, commands_run, NULL},
        {"map-8mib", "one-process", one_process_open, one_process_run, one_process_close},
        {"start-fork", "bare", NULL, bare_fork_run, NULL},
        {"start-fork-1gib", "bare", NULL, bare_fork_run, NULL},
        {"start-fork-1gib", "bare-1gib", bare_fork_1gib_open, bare_fork_run, bare_fork_1gib_close},
        {"start-spawn", "posix_spawn", NULL, bare_spawn_run, NULL},
        {"start-forkserver", "posix_spawn", NULL, bare_spawn_run, NULL},
        {"round-trip", "futex", futex_round_trip_open, futex_round_trip_run, futex_round_trip_close},
        {"queue-wake", "futex", futex_round_trip_open, futex_round_trip_run, futex_round_trip_close},
        {"pipe-*", "socketpair", c_pipe_open, bench_stream_run, bench_stream_close},
        {"pipe-*", "pipe", c_pipe_open, bench_stream_run, bench_stream_close},
        {"queue-*", "pipe", c_stream_open, bench_stream_run, bench_stream_close},
        {"broadcast-*", "pipe", c_broadcast_open, bench_stream_run, bench_stream_close},
        {"queue-*", "mqueue", c_stream_open, bench_stream_run, bench_stream_close},
        {"queue-*", "ring", c_stream_open, bench_stream_run, bench_stream_close},
        {"lock-*", "pthread-robust", c_sync_open, bench_sync_run, bench_sync_close},
        {"semaphore", "sem_t", c_sync_open, bench_sync_run, bench_sync_close},
        {"wake", "pthread-robust", c_sync_open, bench_sync_run, bench_sync_close},
        {"wake", "sem_t", c_sync_open, bench_sync_run, bench_sync_close},
        {"wake", "futex", c_sync_open, bench_sync_run, bench_sync_close},
        {"manager-*", "ping-pong", c_ping_open, c_ping_run, c_ping_close},
        {"manager-*", "socket", c_ping_open, c_ping_run, c_ping_close},
        {"malloc-64", "glibc", NULL, glibc_run, NULL},
        {"malloc-64-remote", "glibc", glibc_remote_open, glibc_remote_run, bench_remote_threads_close},
        {"malloc-8mib", "glibc", NULL, glibc_large_run, NULL},
        {"malloc-mixed", "glibc", NULL, glibc_mixed_run, NULL},
    };

    if (argc == 2 && !strcmp(argv[1], "nothing"))
        return 0;
    return bench_serve(argc, argv, contestants, sizeof contestants / sizeof *contestants);
}
