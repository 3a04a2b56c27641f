/*
 * pool/record.h - one piece of work as it lies in the pool's memory: a kin_result.
 *
 *   field            written by          rule                                 when the writer dies there
 *   --------------   -----------------   ----------------------------------   --------------------------------------
 *   magic            submitter           after all else but state, at the     its submitter is dead: see owner
 *                                        first use; 0 when it is freed
 *   state            see pool.md         one CAS a step                       as stored
 *   owner            submitter           seat + 1, 0: the pool's maker        a worker's are freed by who buries it
 *   all up to end    submitter           before state is QUEUED               FREE still: never seen
 *   place, lane      submitter; who      before the hint is in the lane       the maker: all is over. A worker's own
 *                    posts it again                                           records are freed with it
 *   wants            who waits           before it looks at state again       somebody is woken for nothing
 *   sleeper          a waiting task      the same; seat + 1                   the seat's next worker is woken
 *   began, pid,      claimer             after it is RUNNING                  RUNNING: its burial settles it
 *   worker, outer
 *   attempts         claimer, or who     before it is QUEUED or DELAYED       RUNNING: an attempt counts twice
 *                    buries              again
 *   memory           claimer             with the arena, in one transaction   its burial frees it
 *   failure          claimer, or who     before state is FAILED               RUNNING: its burial writes it again
 *                    buries
 *   wall, cpu, peak  claimer             before state is DONE, FAILED         not read
 *   cpu_began        claimer             before began                         not read
 *   due              claimer, or who     before state is DELAYED              RUNNING
 *                    buries
 *   hit, hit_at      warden              before it dooms the worker           the maker: all is over
 *   mark             claimer             before the item's status byte        memory of an item not done goes
 *   attempts, at     claimer             after the status byte                the byte tells that it was done
 *   looked           submitter           0 to 1                               a failure is told once too often
 *   asked            submitter           0 to 1                               it is not asked to end early
 *
 *   R1  a finished state is final until the submitter frees the record
 *   R2  RUNNING seat: the worker in that seat, and no other, runs it, or is dead and not buried
 *   R3  QUEUED: a hint is in a lane, or is in the hands of a living worker, or of a dead one that is not buried;
 *       or it was submitted by a task, which runs it itself when it waits for it
 *   R4  nobody writes a finished record but, where the state tells a cause, a worker on whose stack it is; such a
 *       one is freed when it no longer is
 *   R5  who waits for a finished record is told by who finished it, or by who buries that one
 */
#ifndef KIN_POOL_RECORD_H
#define KIN_POOL_RECORD_H

#include "family/arena.h"
#include "family/object.h"
#include "family/sealed.h"
#include "kin/result.h"
#include "process/function.h"

#include <stdatomic.h>

enum kin__work {
    KIN__WORK_FREE = 0,
    KIN__WORK_QUEUED = 1,
    KIN__WORK_DELAYED = 2,
    KIN__WORK_RUNNING = 3,
    KIN__WORK_DONE = 4, /* from here on: finished */
    KIN__WORK_FAILED = 5,
    KIN__WORK_CANCELED = 6
};

/*
 * The state word: generation << 32 | cause << 20 | seat << 8 | enum kin__work. Its low half is slept on. Of what
 * is finished a cause is told only where somebody else than its worker finished it: a cancel, or a limit; the seat
 * is then that of the worker, which may still be at it until it is dead.
 */
#define KIN__WORK(state) ((state)&0xffu)
#define KIN__WORK_SEAT(state) ((uint32_t)(state) >> 8 & 0xfffu)
#define KIN__WORK_CAUSE(state) ((int)((uint32_t)(state) >> 20))
#define KIN__WORK_TO(work, seat, cause) ((uint32_t)(work) | (uint32_t)(seat) << 8 | (uint32_t)(cause) << 20)
#define KIN__WORK_GENERATION 0xffffffff00000000u
#define KIN__WORK_NEXT 0x100000000u
static inline uint64_t kin__work_running(uint64_t state, uint32_t seat)
{
    return (state & KIN__WORK_GENERATION) | seat << 8 | KIN__WORK_RUNNING;
}

/* What is to be done when it is finished. */
enum kin__wants {
    KIN__WANTS_WAKE = 1,   /* somebody sleeps on the state */
    KIN__WANTS_CHIME = 2,  /* somebody waits for one of several: pool.chime */
    KIN__WANTS_WARDEN = 4, /* the pool's descriptor is to become readable */
};

#define KIN__INLINE 64u      /* bytes of input and of output that a record has room for */
#define KIN__SLAB_RECORDS 64 /* records are made by so many */

struct kin__failure {
    struct kin__failure *next;
    kin_task_error error;
};

struct kin__lane;
struct kin__batch;

struct kin_result {
    _Atomic uint32_t magic;
    uint32_t owner;
    _Atomic uint64_t state;
    _Atomic uint32_t wants;
    _Atomic uint32_t sleeper;
    struct kin__function function;
    const unsigned char *in;
    unsigned char *out;
    void *context; /* up to here: all that an empty task touches */
    kin_pool *pool;
    size_t out_size;
    size_t index; /* as kin_task_index tells it */
    uint64_t seed;
    double time_limit, soft_time_limit, cpu_limit; /* seconds; 0: none */
    size_t memory_limit;
    double backoff;
    int32_t retries;
    uint32_t retry_on;        /* 1 << enum kin_cause */
    struct kin__batch *batch; /* of a piece of many, or of all of them; NULL: a single task */
    size_t from, end_item;    /* a piece: its items, from this to the other less 1 */
    uint32_t call;            /* 1 + place among the desk's done functions; 0: none */
    bool limited;             /* by time of one kind or other: the warden may end it at any moment */
    bool measure;
    uint32_t priority;
    kin_result *older, *younger; /* the submitter's own: of what the same task has submitted */
    bool listed;                 /* the submitter's own: in the list of what waits for a place in a lane */
    kin_arena *room;             /* where input and output lie that are too large for the record */
    struct kin_result *next;     /* the submitter's own: free, or waiting for a place in a lane */
    uint64_t end;                /* of what the submitter writes */

    _Atomic(struct kin__lane *) lane;
    _Atomic uint64_t place;
    _Atomic uint64_t began; /* kin__os_now_ns; 0: not yet */
    uint64_t wall;          /* ns */
    uint64_t cpu_began;     /* ns of CPU time of the worker; 0: not measured */
    uint64_t cpu;           /* ns */
    size_t peak;            /* bytes */
    uint64_t due;           /* DELAYED: kin__os_now_ns */
    size_t at;              /* a piece: the item that is run, or is the next */
    size_t mark;            /* a piece: of memory, what belongs to items that are done */
    size_t hit_at;          /* where it was then */
    _Atomic uint32_t
        hit; /* enum kin_cause: the limit for which its worker is being killed, and it tried again */
    _Atomic uint64_t outer; /* a reference: what its worker runs it on top of; 0: nothing */
    kin_arena *memory;
    kin_arena *story; /* where the failure lies */
    struct kin__failure *_Atomic failure;
    _Atomic uint32_t asked; /* in a pool of threads: who cancels it wants it to come to its end by itself */
    int32_t pid;
    int32_t worker; /* -1: nobody */
    int32_t attempts;
    uint32_t looked;

    _Alignas(64) unsigned char inline_in[KIN__INLINE];
    unsigned char inline_out[KIN__INLINE];
} __attribute__((aligned(64)));

/*
 * Many items, cut into pieces, each of which is a record; and one more record, the whole, for all of them. (Of
 * kin_pool_imap each piece is a batch of its own; the whole holds them together, and is finished from the start.)
 *
 *   field     written by         rule                              when the writer dies there
 *   -------   ----------------   -------------------------------   -----------------------------------------------
 *   status    a piece's worker   after the item, one store         pending: its burial fails it, or it is run again
 *   stop      a piece's worker   0 to 1                            its burial sees the byte, and stops
 *   left      who finishes a     one less, after the piece's       one too many: so its burial sets recount
 *             piece              state
 *   recount   who buries         0 to 1: left is not to be         the maker: all is over
 *                                trusted
 *   failed    as stop
 *
 *   B1  the whole is finished by whoever finds all pieces finished: with left at 0, or recount set
 */
struct kin__batch {
    kin_result *whole;
    kin_result **pieces;
    size_t pieces_count;
    const unsigned char *in;
    unsigned char *out;
    size_t in_size, out_size;
    size_t base; /* index of the first item */
    unsigned char *status;
    bool is_for;
    bool stop_on_failure;
    bool uncounted; /* the whole is not finished by its pieces' ends */
    _Atomic uint32_t stop;
    _Atomic uint32_t failed;
    _Atomic uint32_t recount;
    _Atomic size_t left;
};

#define KIN__NO_SEAT 0xfffu /* of a whole: RUNNING in its pieces */

/* A piece has been finished. */
void kin__batch_count(struct kin__batch *batch);
/* Finish the whole, if all pieces are. */
void kin__batch_check(struct kin__batch *batch);

/* Records, one behind the other. Slabs are linked by one store, and never go before the pool. */
struct kin__slab {
    struct kin__slab *next;
    struct kin_result *records; /* KIN__SLAB_RECORDS */
};

static inline const kin_result *kin__common_record(const kin_result *record)
{
    return (const kin_result *)kin__common((uintptr_t)record);
}

/* A record and its generation in one word: a hint, and what seats say they run. */
#define KIN__REF_GENERATIONS 20
#define KIN__DOOMED ((uint64_t)1 << 63) /* its worker is about to be killed: pool/evict.c */
static inline uint64_t kin__ref(const kin_result *record, uint64_t state)
{
    uint64_t generation = state >> 32 & (((uint64_t)1 << KIN__REF_GENERATIONS) - 1);
    return (uint64_t)(uintptr_t)record >> 6 << KIN__REF_GENERATIONS | generation;
}
static inline kin_result *kin__ref_record(uint64_t ref)
{
    return (kin_result *)(uintptr_t)((ref & ~KIN__DOOMED) >> KIN__REF_GENERATIONS << 6);
}
static inline bool kin__ref_is_of(uint64_t ref, uint64_t state)
{
    uint64_t mask = ((uint64_t)1 << KIN__REF_GENERATIONS) - 1;
    return (ref & mask) == (state >> 32 & mask);
}

static inline uint64_t kin__record_state(const kin_result *record)
{
    return atomic_load_explicit(&record->state, memory_order_acquire);
}
static inline bool kin__work_finished(uint64_t state)
{
    return KIN__WORK(state) >= KIN__WORK_DONE;
}

/* One step of a record; false: somebody else was faster. `to` has no generation. */
static inline bool kin__record_step(kin_result *record, uint64_t from, uint32_t to)
{
    /* Sequentially consistent: partner is who writes `wants` and then looks at the state. */
    return atomic_compare_exchange_strong(&record->state, &from, (from & KIN__WORK_GENERATION) | to);
}

/* Tell those who want to know that a record has been finished. `batch` is what kin__record_counts said before the
 * step that finished it: after that the record may be another's already. */
void kin__record_tell(kin_result *record, struct kin__batch *batch);
struct kin__batch *kin__record_counts(const kin_result *record);

/* What it left is freed: all of it, or what an attempt that died has made. For who has the right to the record. */
void kin__record_clean(kin_result *record);
void kin__record_clean_attempt(kin_result *record);

/* A failure in an arena of the maker's; it is the record's from the start. NULL: no memory. */
struct kin__failure *kin__record_fails(kin_result *record, kin__id maker);

/* Memory that goes with what the record's task has made. */
void *kin__record_malloc(kin_result *record, kin__id maker, size_t size);

#endif
