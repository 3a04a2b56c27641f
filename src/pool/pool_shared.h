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
 *   retire        supervisor    0 or 1, as pool.wanted has it; the   (not the worker's)
 *                               worker ends between two tasks
 *   idled         worker        1 before it ends for want of work    not set: it is replaced at once
 *   asleep        worker        1 before sleeping, 0 after           the supervisor clears it
 *   bell          who rings     one more; what it sleeps on          (not the worker's)
 *   task          worker        a reference to the record that it    RUNNING in this seat: it died of it; else it had
 *                               is about to claim, or runs           not claimed, or had finished it
 *                 warden        DOOMED by CAS, before it kills       the maker: all is over
 *   told          warden        a reference: that record's task      the maker: all is over
 *                               is to come to its end
 *   depth         worker        records on its stack                 set to 0 with the next worker
 *   lane, slabs,  worker        of what its tasks submit; stay       the next worker goes on with them; who
 *   arena                       with the seat                        buries it clears what was submitted
 *   taken         worker        the round, by CAS, before it looks   not answered: as below
 *                               at the job
 *                 supervisor    the same, to withdraw a round that   (not the worker's)
 *                               is over from who is busy elsewhere
 *   answered      worker        the round, after its last item       not answered: the next worker works on,
 *                                                                    or the supervisor answers in its place
 *   ready         worker        after the initializer; before the    the supervisor clears it; FINALIZING:
 *                               finalizer                            it died in its finalizer
 *   current       worker        index + 1, before the item           pending: this item was being run
 *   cpu_began     worker        before `current`, where it counts    for the limit of CPU time only
 *   done, failed  worker        after the status byte                one too low: for progress only
 *   mark          worker        before the status byte               results of an item not done stay in the
 *                                                                    arena, and go with it
 *   results       worker        one store of a whole arena           the maker's: freed with the map
 *   notes, first  worker        one store links a whole failure      status FAILED without one: told so
 *   printed       worker        before the item, if captured         what it printed since is this item's
 *
 *   sleepers,     worker        its bit, before its last look for    its burial takes the bit away
 *   helpers                     work
 *   (of the pool) who wakes it  clears the bit, then rings           its burial rings who sleeps and is in neither
 *   again         worker        0 to 1, before the status byte of    its burial looks for pending items anyway
 *   (of the pool)               an item that is to be tried again
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

#include "kin/pool.h"
#include "pool/lane.h"

#include <stdatomic.h>

#define KIN__WORKERS_MAX 1000 /* there are 1,024 members' slots */
#define KIN__WORKER_WORDS ((KIN__WORKERS_MAX + 63) / 64)
#define KIN__WINDOW ((size_t)1 << 22) /* items of a job that are under way at once: bounds the status bytes */
#define KIN__SMALL_WINDOW 4096        /* items for which the pool keeps status bytes at hand */

enum { KIN__HIGH = 0, KIN__NORMAL = 1, KIN__LOW = 2, KIN__PRIORITIES = 3 };

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
    int cause; /* enum kin_cause */
    kin_error error;
    char *output; /* what the task had printed, KIN_TASK_OUTPUT bytes; NULL: not captured */
};

struct kin__seat {
    /* the supervisor's line */
    _Atomic uint32_t doorbell; /* futex */
    _Atomic uint32_t quit;
    _Atomic uint32_t retire;
    /* the worker's lines */
    _Alignas(128) _Atomic uint32_t answered;
    _Atomic uint32_t taken;
    _Atomic uint32_t asleep;
    _Atomic uint64_t current;
    _Atomic uint64_t cpu_began; /* ns of CPU time of the worker; of the current item, if that is limited */
    _Atomic uint64_t done;
    _Atomic uint64_t failed;
    size_t mark;
    kin_arena *results;
    kin_arena *notes;
    struct kin__note *_Atomic first;
    uint64_t printed; /* bytes, by the worker, before the current item */
    _Atomic uint32_t ready;
    _Atomic uint32_t idled;
    /* records, see pool/record.h */
    _Atomic uint32_t bell; /* futex */
    _Atomic uint64_t task;
    _Atomic uint64_t told;
    struct kin__slab *_Atomic slabs;
    kin_arena *arena;
    struct kin__lane lane;
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
    double soft_time_limit; /* seconds; 0: none */
    bool cpu_limited;
    int32_t retries;
    uint32_t retry_on; /* 1 << enum kin_cause */
    int32_t priority;  /* as the lanes have it: tasks of a lower one wait while there are items to claim */
    uint64_t seed;     /* of the tasks' random numbers */
    bool stop_on_failure;
    bool journaled;
};

struct kin_pool {
    uint32_t magic;
    int32_t workers;        /* seats: as many as there may ever be */
    _Atomic int32_t wanted; /* those from 0 on that are to be taken */
    int32_t kind;
    int32_t start_method;
    kin__id maker;
    kin_arena *arena; /* the pool itself lies in it */
    char name[32];
    struct kin__function initializer;
    struct kin__function finalizer;
    void *init_arg;
    int32_t cpus;
    uint64_t tasks_per_worker; /* 0: no end */
    uint64_t memory_ceiling;   /* bytes beyond data_ready; 0: none */
    uint64_t idle_ns;          /* after which a worker ends that has nothing to do; 0: never */
    int32_t threads;           /* that each worker may have (placement.h) */
    bool threads_asked;        /* the maker has said how many */
    bool capped;               /* workers are told */
    int *pins;                 /* CPUs, `threads` for each worker; NULL: they run where they like */
    _Atomic uint32_t closed;
    _Atomic uint32_t canceled; /* it is being freed: a map under way is to end */

    struct kin__job job;
    _Atomic int32_t chosen;              /* how many seats take part in the round */
    _Alignas(128) _Atomic uint64_t next; /* claimed so far; on a line of its own */
    _Alignas(128) _Atomic uint32_t stop; /* no further item is to start */
    _Atomic uint32_t again;              /* items of this round are to be tried again */
    _Atomic uint32_t event;              /* futex: something happened that the supervisor wants to know */
    _Atomic uint32_t waiting;            /* whether it sleeps on it */
    unsigned char small_status[KIN__SMALL_WINDOW];

    /* Records, see pool/record.h. Lanes are those of the maker. */
    struct kin__slab *_Atomic slabs;
    struct kin__lane lanes[KIN__PRIORITIES];
    _Alignas(
        128) _Atomic uint64_t sleepers[KIN__WORKER_WORDS]; /* a bit for each worker that has nothing to do;
                                                                       cleared by who wakes it */
    _Atomic uint64_t helpers[KIN__WORKER_WORDS];           /* the same for those that wait in a task */
    _Atomic uint32_t nested; /* counts what tasks have submitted: a reason to look at the seats' lanes */
    _Atomic uint32_t empty;  /* seats that wait for a worker until there is work */
    _Atomic uint32_t chime;  /* futex: counts ends that somebody waits for who waits for several */
    _Atomic uint32_t calls;  /* futex: the warden is to look */
    _Atomic uint32_t
        warden_rests; /* it found nothing to do and looks rarely: who submits with a limit of time calls it */
    _Atomic uint32_t warden_sleeps; /* whether it sleeps on it */
    _Atomic uint32_t delayed;       /* whether records may be DELAYED: set by who delays one */
    _Atomic uint32_t finished;      /* ends that the descriptor is to tell of */
    _Alignas(128) struct kin__seat seats[];
};

/* Take a round up, or withdraw it: true for one of the two. Rounds only grow. */
static inline bool kin__seat_take(struct kin__seat *seat, uint32_t round)
{
    uint32_t taken = atomic_load(&seat->taken);
    while ((int32_t)(taken - round) < 0)
        if (atomic_compare_exchange_weak(&seat->taken, &taken, round))
            return true;
    return false;
}

/* NULL, freed, or no pool: an error that says so. */
int kin__pool_check(const kin_pool *pool, const char *what);

/* For who waits for its records: it goes with its maker, and they with it. KIN_EDIED. */
int kin__pool_check_maker(const kin_pool *pool);

#endif
