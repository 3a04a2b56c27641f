/* kin_heap.c - kin's malloc as a contestant, and what taking back a dead member's memory takes. */
#include "mallocs.h"
#include "run_kin.h"
#include "work.h"

#include <kin.h>

#include <poll.h>
#include <string.h>
#include <unistd.h>

static size_t held(void)
{
    kin_heap_stats stats = {.size = sizeof stats};

    if (kin_heap_get_stats(&stats))
        bench_fail("%s", kin_error_message());
    return stats.used;
}

static const struct bench_malloc own = {kin_malloc, kin_free, held};

double kin_malloc_run(const struct bench_request *request)
{
    return bench_malloc_run(&own, request);
}

double kin_large_run(const struct bench_request *request)
{
    return bench_large_run(&own, request);
}

double kin_mixed_run(const struct bench_request *request)
{
    return bench_mixed_run(&own, request);
}

/* ---- malloc-64-remote ------------------------------------------------------------------------ */

void kin_remote_threads_open(const char *who)
{
    (void)who;
    bench_remote_threads_open(&own);
}

double kin_remote_threads_run(const struct bench_request *request)
{
    return bench_remote_threads_run(&own, request);
}

static struct bench_ring *ring;
static kin_process *server;

static int serve(void *arg)
{
    bench_ring_serve(arg, kin_free);
    return 0;
}

void kin_remote_open(const char *who)
{
    (void)who;
    ring = kin_aligned_alloc(128, sizeof *ring);
    if (!ring)
        bench_fail("%s", kin_error_message());
    memset(ring, 0, sizeof *ring);
    server = kin_process_start_shared(serve, ring, NULL);
    if (!server)
        bench_fail("%s", kin_error_message());
}

double kin_remote_run(const struct bench_request *request)
{
    return bench_remote_run(ring, &own, request);
}

void kin_remote_close(void)
{
    atomic_store(&ring->ended, 1);
    if (kin_process_join(server, KIN_FOREVER))
        bench_fail("%s", kin_error_message());
    kin_process_free(server);
    kin_free(ring);
}

/* ---- recovery -------------------------------------------------------------------------------- */

enum { ARENAS = 1000, BLOCKS = 10, BLOCK = 100 };

static int own_arenas(void *arg)
{
    _Atomic uint32_t *ready = arg;

    for (int i = 0; i < ARENAS; i++) {
        kin_arena *arena = kin_arena_new();

        for (int k = 0; k < BLOCKS; k++)
            if (!arena || !kin_arena_malloc(arena, BLOCK))
                return 1;
    }
    atomic_store(ready, 1);
    for (;;)
        pause();
}

/* Half of the heap in blocks of 1 KiB, half in large ones. They go with the process. */
void kin_recovery_open(const char *who)
{
    size_t bytes = strcmp(who, "kin-4gib") ? (size_t)40 << 20 : (size_t)4 << 30;

    while (held() < bytes) {
        bool full = !kin_malloc((size_t)1 << 20);

        for (int i = 0; i < 1024 && !full; i++)
            full = !kin_malloc(1024);
        if (full)
            bench_fail("%s", kin_error_message());
    }
}

/* From the moment the kernel tells its end to the moment all that it had is taken back. */
static double one_recovery(_Atomic uint32_t *ready)
{
    double start;
    struct pollfd ended = {.events = POLLIN};
    kin_process *process = kin_process_start_shared(own_arenas, ready, NULL);

    if (!process)
        bench_fail("%s", kin_error_message());
    ended.fd = kin_process_sentinel(process);
    while (!atomic_load(ready))
        if (poll(&ended, 1, 1) > 0)
            bench_fail("a member could not make its arenas");
    if (kin_process_kill(process))
        bench_fail("%s", kin_error_message());
    poll(&ended, 1, -1);
    start = bench_now();
    if (kin_process_join(process, KIN_FOREVER))
        bench_fail("%s", kin_error_message());
    start = bench_now() - start;
    kin_process_free(process);
    return start;
}

double kin_recovery_run(const struct bench_request *request)
{
    _Atomic uint32_t *ready = kin_malloc(sizeof *ready);
    kin_heap_stats before = {.size = sizeof before};
    kin_heap_stats after = before;
    double took = 0;

    if (!ready || kin_heap_get_stats(&before))
        bench_fail("%s", kin_error_message());
    for (size_t i = 0; i < request->repeats; i++) {
        atomic_store(ready, 0);
        took += one_recovery(ready);
    }
    if (kin_heap_get_stats(&after) || after.arenas != before.arenas)
        bench_fail("%zu arenas were not freed", after.arenas - before.arenas);
    kin_free(ready);
    return took;
}
