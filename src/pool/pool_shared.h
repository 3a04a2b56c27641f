/*
 * pool/pool_shared.h - a pool as it lies in the heap.
 *
 * One process, the maker, supervises: it writes the job, rings the workers' doorbells, waits, and deals with
 * deaths. Workers claim ranges of the job by an atomic add. Nothing about a claim needs to be remembered:
 * the truth is one status byte an item, written after the item. What a dead worker had claimed and not done
 * is what is still pending when all living workers have answered; it is then dealt out again.
 *
 *   seat field    written by    rule                                 when the worker dies there
 *   -----------   -----------   ----------------------------------   ------------------------------------
 *   doorbell      supervisor    round number, after the job; one     (not the worker's)
 *                               more after quit
 *   quit          supervisor    0 to 1, when no map runs             (not the worker's)
 *   asleep        worker        1 before sleeping, 0 after           the supervisor clears it
 *   answered      worker        the round, after its last item       not answered: the next worker works on,
 *                                                                    or the supervisor answers in its place
 *   ready         worker        after the initializer; before the    the supervisor clears it; FINALIZING:
 *                               finalizer                            it died in its finalizer
 *   current       worker        index + 1, before the item           pending: this item was being run
 *   done, failed  worker        after the status byte                one too low: for progress only
 *   mark          worker        before the status byte               results of an item not done stay in the
 *                                                                    arena, and go with it
 *   results       worker        one store of a whole arena           the maker's: freed with the map
 *   notes, first  worker        one store links a whole failure      status FAILED without one: told so
 *   printed       worker        before the item, if captured         what it printed since is this item's
 *
 *   status byte   worker        after the item, one store            pending: it is run again or fails
 *                 supervisor    when its worker is dead
 *
 *   P1  a status byte leaves PENDING once; DONE and FAILED are final
 *   P2  an item is run by at most one worker at a time: ranges of a round are disjoint, and a round begins
 *       only when every worker of the last one has answered or is dead
 *   P3  out of a DONE item is never written again (but by wild writes)
 */
#ifndef KIN_POOL_POOL_SHARED_H
#define KIN_POOL_POOL_SHARED_H

#include "family/arena.h"
#include "kin/pool.h"
#include "process/function.h"

#include <stdatomic.h>

#define KIN__WORKERS_MAX 512
#define KIN__WINDOW ((size_t)1 << 22) /* items of a job that are under way at once: bounds the status bytes */
#define KIN__SMALL_WINDOW 4096        /* items for which the pool keeps status bytes at hand */

enum { KIN__PENDING = 0, KIN__DONE = 1, KIN__FAILED = 2 };
#define KIN__STATUS(byte) ((byte)&3u)
#define KIN__ATTEMPTS(byte) ((byte) >> 2) /* how often it was tried before, while pending */
#define KIN__RETRIES_MAX 60

enum { KIN__NOT_READY = 0, KIN__READY = 1, KIN__CANNOT_WORK = 2, KIN__FINALIZING = 3 };

/* A failure as the worker noted it. */
struct kin__note {
    struct kin__note *next;
    size_t index; /* within the window */
    int result;
    int attempt;
    int pid;
    kin_error error;
    char *output; /* what the task had printed, KIN_TASK_OUTPUT bytes; NULL: not captured */
};

struct kin__seat {
    /* the supervisor's line */
    _Atomic uint32_t doorbell; /* futex */
    _Atomic uint32_t quit;
    /* the worker's lines */
    _Alignas(128) _Atomic uint32_t answered;
    _Atomic uint32_t asleep;
    _Atomic uint64_t current;
    _Atomic uint64_t done;
    _Atomic uint64_t failed;
    size_t mark;
    kin_arena *results;
    kin_arena *notes;
    struct kin__note *_Atomic first;
    uint64_t printed; /* bytes, by the worker, before the current item */
    _Atomic uint32_t ready;
    uint64_t data_ready; /* private bytes when it was ready */
    kin_error init_error;
};

/* One round of one window of a map. Written by the supervisor while no worker is at work. */
struct kin__job {
    struct kin__function function;
    bool is_for;
    const unsigned char *in;
    unsigned char *out;
    size_t in_size, out_size;
    size_t base;  /* index of the window's first item */
    size_t total; /* ranges are claimed from 0 to total */
    const uint32_t
        *list; /* NULL: a range means items; else places in this list of items to be dealt out again */
    unsigned char *status;
    void *context;
    size_t chunk;
    size_t memory_limit;
    uint64_t seed;  /* of the tasks' random numbers */
    int32_t chosen; /* how many seats take part */
    bool stop_on_failure;
};

struct kin_pool {
    uint32_t magic;
    int32_t workers;
    int32_t kind;
    int32_t start_method;
    kin__id maker;
    kin_arena *arena; /* the pool itself lies in it */
    char name[32];
    struct kin__function initializer;
    struct kin__function finalizer;
    void *init_arg;
    int32_t cpus;
    _Atomic uint32_t closed;
    _Atomic uint32_t canceled; /* it is being freed: a map under way is to end */

    struct kin__job job;
    _Alignas(128) _Atomic uint64_t next; /* claimed so far; on a line of its own */
    _Alignas(128) _Atomic uint32_t stop; /* no further item is to start */
    _Atomic uint32_t event;              /* futex: something happened that the supervisor wants to know */
    _Atomic uint32_t waiting;            /* whether it sleeps on it */
    unsigned char small_status[KIN__SMALL_WINDOW];
    _Alignas(128) struct kin__seat seats[];
};

/* NULL, freed, or no pool: an error that says so. */
int kin__pool_check(const kin_pool *pool, const char *what);

#endif
