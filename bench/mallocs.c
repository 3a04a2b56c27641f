/* mallocs.c - see mallocs.h. */
#include "mallocs.h"
#include "work.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>

/* A block that nobody writes to need not be allocated at all, a compiler may think. */
static char *allocate(const struct bench_malloc *with, size_t size)
{
    char *block = with->allocate(size);

    if (!block)
        bench_fail("out of memory");
    *(volatile char *)block = 1;
    return block;
}

/* ---- malloc-64 ------------------------------------------------------------------------------- */

double bench_malloc_run(const struct bench_malloc *with, const struct bench_request *request)
{
    enum { BATCH = 1000 };
    static void *blocks[BATCH];
    size_t at_once = strstr(request->name, ":batch") ? BATCH : 1;
    double start = bench_now();

    for (size_t done = 0; done < request->repeats; done += at_once) {
        for (size_t i = 0; i < at_once; i++)
            blocks[i] = allocate(with, 64);
        for (size_t i = 0; i < at_once; i++)
            with->release(blocks[i]);
    }
    return bench_now() - start;
}

/* ---- malloc-8mib ----------------------------------------------------------------------------- */

static double faults(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_minflt + usage.ru_majflt);
}

double bench_large_run(const struct bench_malloc *with, const struct bench_request *request)
{
    enum { PAGE = 4096 };
    const size_t size = (size_t)8 << 20;
    double faults_before = faults();
    double start = bench_now();

    for (size_t i = 0; i < request->repeats; i++) {
        char *block = allocate(with, size);

        for (size_t at = 0; at < size; at += PAGE)
            *(volatile char *)(block + at) = 1;
        with->release(block);
    }
    return strstr(request->name, ":faults") ? faults() - faults_before : bench_now() - start;
}

/* ---- malloc-mixed ---------------------------------------------------------------------------- */

#define PLACES 16384
#define PHASE 200000    /* operations with one mixture */
#define LOOK_EVERY 5000 /* operations between two looks at what is held */

static struct {
    char *block[PLACES];
    size_t size[PLACES];
    uint64_t dice;
    size_t operations;
    size_t live;
    size_t most_live;
    size_t most_held;
} mixed = {.dice = 1};

static uint32_t roll(uint32_t sides)
{
    mixed.dice = mixed.dice * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((mixed.dice >> 33) % sides);
}

/* The largest size in each of 16 parts of the blocks; the mixture of a phase turns two of them. */
static size_t some_size(void)
{
    static const size_t largest[4][16] = {
        {32, 32, 64, 64, 64, 128, 128, 256, 256, 512, 512, 1024, 2048, 4096, 16384, 65536},
        {48, 48, 48, 48, 96, 96, 96, 96, 400, 400, 400, 400, 3000, 3000, 3000, 40000},
        {64, 64, 64, 64, 64, 64, 64, 64, 1500, 1500, 1500, 9000, 9000, 9000, 30000, 100000},
        {16, 24, 40, 56, 72, 88, 104, 120, 200, 300, 600, 1200, 2400, 4800, 20000, 150000},
    };
    uint32_t dice = roll(4096);

    if (dice == 0)
        return 1 + roll(2 << 20);
    return 1 + roll((uint32_t)largest[mixed.operations / PHASE % 4][dice % 16]);
}

static void one_operation(const struct bench_malloc *with)
{
    uint32_t place = roll(PLACES);
    size_t size;

    mixed.operations++;
    if (mixed.block[place]) {
        with->release(mixed.block[place]);
        mixed.block[place] = NULL;
        mixed.live -= mixed.size[place];
        return;
    }
    size = some_size();
    mixed.block[place] = allocate(with, size);
    *(volatile char *)(mixed.block[place] + size - 1) = 1;
    mixed.size[place] = size;
    mixed.live += size;
    if (mixed.live > mixed.most_live)
        mixed.most_live = mixed.live;
}

double bench_mixed_run(const struct bench_malloc *with, const struct bench_request *request)
{
    bool look = strstr(request->name, ":held") != NULL;
    double start = bench_now();

    for (size_t i = 0; i < request->repeats; i++) {
        one_operation(with);
        if (look && i % LOOK_EVERY == 0) {
            size_t held = with->held();

            if (held > mixed.most_held)
                mixed.most_held = held;
        }
    }
    return look ? (double)mixed.most_held / (double)mixed.most_live : bench_now() - start;
}

/* ---- malloc-64-remote ------------------------------------------------------------------------ */

/* Wait for the other side to move `word` away from `seen`, or for the end. */
static size_t await_move(const struct bench_ring *ring, const _Atomic size_t *word, size_t seen)
{
    size_t now;

    for (unsigned i = 1; (now = atomic_load_explicit(word, memory_order_acquire)) == seen; i++) {
        if (atomic_load_explicit(&ring->ended, memory_order_relaxed))
            break;
        if (i % 256 == 0)
            sched_yield();
    }
    return now;
}

void bench_ring_serve(struct bench_ring *ring, void (*release)(void *))
{
    size_t got = atomic_load(&ring->got);

    for (;;) {
        size_t put = await_move(ring, &ring->put, got);

        if (put == got)
            return;
        while (got != put) {
            char *block = ring->slots[got % BENCH_RING];

            *(volatile char *)block += 1;
            release(block);
            atomic_store_explicit(&ring->got, ++got, memory_order_release);
        }
    }
}

double bench_remote_run(struct bench_ring *ring, const struct bench_malloc *with,
                        const struct bench_request *request)
{
    size_t put = atomic_load(&ring->put);
    size_t got = put;
    double start = bench_now();

    for (size_t i = 0; i < request->repeats; i++) {
        char *block = allocate(with, 64);

        if (put - got == BENCH_RING)
            got = await_move(ring, &ring->got, got);
        ring->slots[put % BENCH_RING] = block;
        atomic_store_explicit(&ring->put, ++put, memory_order_release);
    }
    while (got != put)
        got = await_move(ring, &ring->got, got);
    return bench_now() - start;
}

static struct bench_ring private_ring;
static pthread_t server;

static void *serve(void *with)
{
    bench_ring_serve(&private_ring, ((const struct bench_malloc *)with)->release);
    return NULL;
}

void bench_remote_threads_open(const struct bench_malloc *with)
{
    if (pthread_create(&server, NULL, serve, (void *)with))
        bench_fail("no thread");
}

double bench_remote_threads_run(const struct bench_malloc *with, const struct bench_request *request)
{
    return bench_remote_run(&private_ring, with, request);
}

void bench_remote_threads_close(void)
{
    atomic_store(&private_ring.ended, 1);
    pthread_join(server, NULL);
}
