/*
 * pool/local.h - the maker's private side of a pool: its workers' processes, and what it saw of them.
 */
#ifndef KIN_POOL_LOCAL_H
#define KIN_POOL_LOCAL_H

#include "pool/desk.h"

struct kin__local;

/* The supervisor's knowledge of one seat. */
struct kin__post {
    struct kin__local *local;
    _Atomic bool taken;     /* somebody sits there */
    kin_process *process;   /* NULL: it is a thread */
    pthread_t thread;       /* if it is one */
    _Atomic uint32_t ended; /* futex: set by whoever reaped it, or by a thread itself */
    bool idle;              /* nobody sits there until there is work: the last one died before it was ready */
    /* limits of time: what was seen, and since when */
    uint64_t seen_current;
    uint32_t seen_round;
    double seen_since;
    uint64_t killed_for; /* current when it was killed for its time; 0: it was not */
    int killed_cause;    /* of wall time or of CPU time */
};

/* The thread that looks after records: see warden.c. */
struct kin__warden {
    pthread_t thread;
    _Atomic bool runs; /* changed under the desk's mutex, or when the pool is closed */
    _Atomic bool quits;
    uint32_t told; /* of pool.finished: its own */
};

struct kin__local {
    struct kin__local *next;
    kin_pool *pool;
    pthread_mutex_t mutex; /* one map at a time */
    pthread_mutex_t
        posts_mutex; /* who starts, buries or kills a worker; held shortly, within the other one if both */
    int mapped; /* seats 0 to this less 1 take part in a map, which buries their workers; under posts_mutex */
    struct kin__desk desk;
    struct kin__warden warden;
    uint32_t round;
    int users;          /* threads in a call on this pool; under the mutex of the list */
    size_t deaths;      /* of this map */
    int failed_starts;  /* in a row; the warden's own */
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

/* Seconds after which who sleeps, the warden or a worker, looks by itself: a call may be lost with who was to make it. A map's
 * supervisor, and who waits for a result, look ten times as often. Tests make it long, so that a call that is lost where it
 * must not be is one for good. */
extern double kin__pool_look_again;
#define KIN__POOL_LOOK_OFTEN (0.1 * kin__pool_look_again)

/* What a process that has pools, or is a worker, needs once. */
void kin__pool_setup(void);

/* KIN_ENOTSUP: what a pool of threads was asked for takes processes. */
int kin__refuse_threads(const char *what);

/* warden.c: there is one from here on. Under the desk's mutex. And there is none. */
int kin__warden_start(struct kin__local *local);
void kin__warden_stop(struct kin__local *local);

/* The inline kind's initializer and finalizer, in this process. */
int kin__inline_initialize(struct kin__local *local);
void kin__inline_finalize(struct kin__local *local);

/* Make a seat look at its doorbell, and at the lanes, if its worker sleeps. */
void kin__seat_ring(struct kin__seat *seat);

/* Make the warden look. */
void kin__call_warden(kin_pool *pool);

#endif
