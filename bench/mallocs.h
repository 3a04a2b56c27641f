/*
 * mallocs.h - the cases of malloc, for any malloc: each contestant gives its calls.
 */
#ifndef BENCH_MALLOCS_H
#define BENCH_MALLOCS_H

#include "runner.h"

#include <stdatomic.h>

struct bench_malloc {
    void *(*allocate)(size_t);
    void (*release)(void *);
    size_t (*held)(void); /* bytes of machine memory that it holds */
};

/* malloc-64: `malloc-64` pairs, `malloc-64:batch` 1,000 at a time. */
double bench_malloc_run(const struct bench_malloc *with, const struct bench_request *request);

/* malloc-8mib: allocate, write a line of each page, free; `malloc-8mib:faults` counts page faults instead. */
double bench_large_run(const struct bench_malloc *with, const struct bench_request *request);

/*
 * malloc-mixed: blocks of 16 bytes to 2 MiB come and go at random, with a mixture that changes, in one thread.
 * `malloc-mixed:held` gives the most memory that was held for each byte of the most that was in use, from the
 * contestant's start on: it would grow with each sample if fragmentation did.
 */
double bench_mixed_run(const struct bench_malloc *with, const struct bench_request *request);

/* malloc-64-remote: one thread allocates, another frees; blocks go through a ring, as whole as they are. */
#define BENCH_RING 1024
struct bench_ring {
    _Alignas(128) _Atomic size_t put;
    _Alignas(128) _Atomic size_t got;
    _Alignas(128) _Atomic uint32_t ended;
    _Alignas(128) char *slots[BENCH_RING];
};
/* The side that frees: until `ended`. */
void bench_ring_serve(struct bench_ring *ring, void (*release)(void *));
double bench_remote_run(struct bench_ring *ring, const struct bench_malloc *with,
                        const struct bench_request *request);
/* The same with a thread that serves a ring of its own. */
void bench_remote_threads_open(const struct bench_malloc *with);
double bench_remote_threads_run(const struct bench_malloc *with, const struct bench_request *request);
void bench_remote_threads_close(void);

#endif
