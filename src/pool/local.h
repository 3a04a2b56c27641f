/*
 * pool/local.h - the maker's private side of a pool: its workers' processes, and what it saw of them.
 */
#ifndef KIN_POOL_LOCAL_H
#define KIN_POOL_LOCAL_H

#include "pool/pool_shared.h"

#include <pthread.h>

struct kin__local;

/* The supervisor's knowledge of one seat. */
struct kin__post {
    struct kin__local *local;
    kin_process *process; /* NULL: nobody sits there */
    _Atomic bool ended;   /* set by whoever reaped it */
    /* time limit: what was seen, and since when */
    uint64_t seen_current;
    uint32_t seen_round;
    double seen_since;
    uint64_t killed_for; /* current when it was killed for its time; 0: it was not */
};

struct kin__local {
    struct kin__local *next;
    kin_pool *pool;
    pthread_mutex_t mutex; /* one map at a time */
    uint32_t round;
    int users;          /* threads in a call on this pool; under the mutex of the list */
    size_t deaths;      /* of this map */
    int unready_deaths; /* of workers, in a row in which none became ready */
    kin_arena *kept;    /* results nobody took */
    kin_limits limits;  /* of each worker */
    bool sealed;
    int output;                     /* as struct kin__printed has it */
    uint64_t seed;                  /* for maps that have none of their own */
    uint64_t maps;                  /* begun so far */
    kin_initializer_fn initializer; /* inline kind: run in this very process */
    kin_finalizer_fn finalizer;
    void *inline_state;
    struct kin__post posts[];
};

/* The private side of a pool made by this process, or NULL with the record set. It stays until it is released, though
 * another thread may be freeing the pool. */
struct kin__local *kin__local_hold(const kin_pool *pool, const char *what);
void kin__local_release(struct kin__local *local);

/* Start a worker in a seat; stop it and let go of it. */
int kin__post_start(struct kin__local *local, int worker);
void kin__post_clear(struct kin__local *local, int worker);

/* The inline kind's initializer and finalizer, in this process. */
int kin__inline_initialize(struct kin__local *local);
void kin__inline_finalize(struct kin__local *local);

/* Make a seat look at its doorbell. */
void kin__seat_ring(struct kin__seat *seat);

#endif
