/*
 * pool/desk.h - where records are made and freed: the maker has one a pool, each worker one for what its tasks
 * submit.
 *
 * Private to its process; what it hands out lies in shared memory.
 */
#ifndef KIN_POOL_DESK_H
#define KIN_POOL_DESK_H

#include "kin/apply.h"
#include "pool/pool_shared.h"

#include <pthread.h>

/* A done function. In private memory, as functions are. */
struct kin__call {
    kin_done_fn done;
    void *arg;
    kin_result *record; /* NULL: a free place */
};

struct kin__desk {
    pthread_mutex_t mutex;            /* between threads of one process; never held while waiting */
    kin_pool *pool;                   /* where it may be written */
    uint32_t owner;                   /* as in records */
    struct kin__slab *_Atomic *slabs; /* in the pool, or in the seat */
    kin_arena **arena;                /* where slabs and cells lie; owned by the maker */
    struct kin__lane *lanes[KIN__PRIORITIES];
    kin_result *free;
    kin_result *leaving;  /* freed, but a worker that is to die may still write to them */
    struct kin__waiting { /* QUEUED, but there was no room in the lane: in order, of each priority */
        kin_result *first, **end;
    } waiting[KIN__PRIORITIES];
    struct kin__call *calls; /* done functions of what is not finished, or not told */
    size_t calls_count, calls_room;
    _Atomic double least_limit; /* seconds: the shortest limit of time that was ever asked for; 0: none */
    int fd;                     /* kin_pool_fd; -1: nobody has asked */
    bool dispatching;
    void (*fn)(void); /* the last one that was named */
    struct kin__function function;
    struct kin__function looked_up; /* and the last one whose name was looked up */
    char name[64];
};

/* For a pool's maker; for the worker in a seat, who finds what its predecessors left. */
void kin__desk_open(struct kin__desk *desk, kin_pool *pool);
void kin__desk_open_seat(struct kin__desk *desk, kin_pool *pool, int worker);

/* A record, still FREE. NULL: no memory. Under the mutex. */
kin_result *kin__desk_take(struct kin__desk *desk);
/* A record that is finished is FREE again, as soon as nobody writes to it any more. Under the mutex. */
void kin__desk_return(struct kin__desk *desk, kin_result *record);

/* Whether the worker that a record was taken from may still be at it. */
bool kin__desk_is_written(const struct kin__desk *desk, const kin_result *record);

/* Name a function, quickly if it is the last one again. Under the mutex. */
int kin__desk_name(struct kin__desk *desk, void (*fn)(void), struct kin__function *out);

/* The name of a record's function, quickly if it is the last one again. Under the mutex. */
const char *kin__desk_name_of(struct kin__desk *desk, const kin_result *record);

/* What the maker remembers of a record that is about to be QUEUED: its done function, its limits. Under the mutex. */
int kin__desk_note(struct kin__desk *desk, kin_result *record, const kin_apply_args *args);
/* And forgets. */
void kin__desk_forget(struct kin__desk *desk, kin_result *record);

/* It is QUEUED: let workers find it, and wake one. Under the mutex. */
void kin__desk_post(struct kin__desk *desk, kin_result *record, uint64_t state, int priority);

/* Post what has waited for room in the lanes. False: some waits on. Under the mutex. */
bool kin__desk_flush(struct kin__desk *desk);

/* Each record that a pool has, in whatever slab: f(record, arg). */
void kin__each_record(kin_pool *pool, void (*f)(kin_result *record, void *arg), void *arg);
void kin__each_record_of(struct kin__slab *slabs, void (*f)(kin_result *record, void *arg), void *arg);

#endif
