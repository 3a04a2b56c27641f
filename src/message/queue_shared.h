/*
 * message/queue_shared.h - a queue as it lies in the heap.
 *
 * A ring of records between two gates, one for who puts and one for who gets, so that one of each work side by side. `tail`
 * and `head` are points: how many messages and how many words of 8 bytes went past, in one word, so that one store makes a
 * message visible, and one store takes it away.
 *
 *   field          written by            rule                                   when the writer dies there
 *   ------------   -------------------   ------------------------------------   ------------------------------------
 *   first fields   who made it           before anybody knows it                nobody knows it
 *   ring, bytes    who grows it          in one transaction, under both gates   undone
 *   closed         anybody               0 to 1, under the put gate             as stored
 *   put, get       see message/gate.h
 *   head_seen,     under their gate      older values of head, tail             older than need be
 *   tail_seen
 *   tail           under the put gate    one store, after the record            the message is in, or is not
 *   head           under the get gate    one store, after copying out           the message is out, or is not
 *   offered, from  under the put gate    a block or arena that goes in:         mend.c: it is in if tail has moved,
 *                                        before tail; 0 after                   else it goes
 *   kept, kept_at  under the get gate    one that goes out: before head;        mend.c: it is out if head has moved,
 *                                        0 after                                and goes; else it stays
 *   taking...      under the get gate    what `taken` will be: before head      mend.c: so it is, if head has moved
 *   consumers,     under the get gate    taken, done: one store. The rest in    as stored, or undone
 *   gone_done,                           one transaction, see joinable.c
 *   lost
 *   records        put gate              beyond tail: void
 *   events         see message/gate.h
 *   floor, ended   see redeliver.c
 *
 *   Q1  head to tail there are whole records, count(tail) - count(head) of them that are no SKIP
 *   Q2  a record is in one piece: where it would cross the ring's end a SKIP fills the rest
 *   Q3  offered == 0 but for the time of a put, kept == 0 and taking == 0 but for that of a get
 *   Q4  whoever acquires a gate from a dead member mends first; then Q1 to Q3 hold
 */
#ifndef KIN_MESSAGE_QUEUE_SHARED_H
#define KIN_MESSAGE_QUEUE_SHARED_H

#include "family/arena.h"
#include "family/span.h"
#include "kin/queue.h"
#include "message/gate.h"

#include <stdatomic.h>

#define KIN__RING_LEAST 16384u
#define KIN__RING_MOST ((uint64_t)1 << 33) /* half of what a point can tell apart would be 2^34 */
#define KIN__INLINE_MAX KIN__SMALL_MAX     /* bytes: blocks of more are large ones, which recovery needs */

/* The first word of a record: kind << 56 | size. INLINE: the message follows. Else two words: address and size, or root. */
enum kin__record {
    KIN__SKIP = 1,   /* size: bytes to the next record, this word included */
    KIN__INLINE = 2, /* size of the message */
    KIN__COPY = 3,   /* a block that the queue made */
    KIN__GIVEN = 4,  /* a block that a user gave */
    KIN__ARENA = 5
};
#define KIN__RECORD_SHIFT 56
#define KIN__RECORD_SIZE ((UINT64_C(1) << KIN__RECORD_SHIFT) - 1)
#define KIN__BY_REFERENCE 24u /* bytes of a record that is not inline */

/* A point: messages << 32 | words of 8 bytes, both modulo 2^32. */
typedef uint64_t kin__point;

static inline uint32_t kin__point_count(kin__point point)
{
    return (uint32_t)(point >> 32);
}

static inline uint32_t kin__point_words(kin__point point)
{
    return (uint32_t)point;
}

static inline kin__point kin__point_after(kin__point point, uint32_t messages, uint64_t bytes)
{
    return (uint64_t)(kin__point_count(point) + messages) << 32 | (uint32_t)(point + bytes / 8);
}

/* A member as a consumer of a joinable queue. Under the get gate. */
struct kin__consumer {
    kin__id id; /* 0: it is settled */
    uint32_t taken;
    uint32_t done;
};

/* A member as a producer, under the put gate. */
struct kin__producer {
    kin__id id;
    uint64_t done;
};

struct kin_queue {
    _Alignas(128) struct kin__sync sync;
    uint32_t joinable;  /* counts in `consumers` */
    uint32_t redeliver; /* see redeliver.c */
    uint32_t extra;     /* bytes of a record's state, between its head and what follows: 8 if redeliver */
    uint32_t maxsize;   /* 0: none */
    uint32_t wanted;    /* producers; 0: it doesn't close by itself */
    unsigned char *ring;
    uint64_t bytes; /* of the ring, a power of two */
    struct kin__consumer *consumers;
    struct kin__producer *producers;
    _Atomic uint32_t closed;

    _Alignas(128) struct kin__gate put;
    kin__point head_seen;
    kin__point floor_seen; /* what is before it may be written again */
    uint64_t offered;      /* address | enum kin__record */
    kin__point offered_at;
    uint32_t producers_top;
    uint32_t producers_gone; /* were done or dead when their slots were used again */

    _Alignas(128) _Atomic kin__point tail;

    _Alignas(128) struct kin__gate get;
    kin__point tail_seen;
    uint64_t kept;
    kin__point kept_at;
    uint32_t taking; /* slot of the consumer; 0: none */
    uint32_t taking_taken;
    kin__point taking_at;
    uint32_t consumers_top;
    _Atomic kin__point floor; /* with redeliver */
    uint64_t ended;           /* threads of the family, when it was last looked for what those had */
    unsigned char *again;     /* what was found then; for who has the gate since */
    uint32_t gone_done;       /* by members that are settled */
    uint32_t lost;            /* had by them, and not done */
    uint32_t told;            /* lost messages that a join has told of */

    _Alignas(128) _Atomic kin__point head;

    _Alignas(128) struct kin__event items;
    struct kin__event room;
    struct kin__event finished;

    _Alignas(128) unsigned char first_ring[];
};

/* NULL, or something else than a queue: an error that says so. */
int kin__queue_check(const kin_queue *queue, const char *what);
/* The same, and the timeout, and that we are a member that may write: our id goes to *me. From then on we are in a call of the
 * queue, until kin__queue_leave, which returns `error`. On an error we are not. */
int kin__queue_enter(const kin_queue *queue, const char *what, double timeout, kin__id *me);
static inline int kin__queue_leave(int error)
{
    kin__use_end(kin__thread_mine);
    return error;
}

/* Acquire a gate and mend what a dead owner left. 0, or an error with its record. */
int kin__queue_put_gate(kin_queue *queue, kin__id me, struct kin__patience *patience);
int kin__queue_get_gate(kin_queue *queue, kin__id me, struct kin__patience *patience);

/* mend.c, each under its gate. */
void kin__queue_mend_put(kin_queue *queue);
void kin__queue_mend_get(kin_queue *queue);
void kin__queue_mend_kept(kin_queue *queue);

/* put.c. What a record is made of. */
struct kin__parcel {
    enum kin__record kind;
    const void *data; /* INLINE: to copy; else the address */
    uint64_t size;    /* INLINE: bytes; else the second word */
};
/* Put a record in: 0, or an error with its record. */
int kin__queue_post(kin_queue *queue, const struct kin__parcel *parcel, kin__id me,
                    struct kin__patience *patience);

/* get.c. Wait until there is a message, under the get gate then. */
int kin__queue_await(kin_queue *queue, kin__id me, struct kin__patience *patience);
/* The next message's record, behind all SKIPs; *point is where it stands. There is one. */
unsigned char *kin__queue_next(kin_queue *queue, kin__point *point);

/* Head goes to a point `messages` further, the get gate is released, and others are told. */
void kin__queue_pass(kin_queue *queue, kin__point head, int messages);
/* The same for a message in a block, which goes with the calling thread from then on, until kin__heap_drop or
 * kin__heap_close; it is a large one. */
void kin__queue_pass_block(kin_queue *queue, kin__point after, void *block);
/* `kept` names the block, before head moves: who dies after that has it freed. */
void kin__queue_keep(kin_queue *queue, void *block);
/* The same for one that is copied out after that, and freed. */
void kin__queue_get_copy(kin_queue *queue, kin__point after, void *block, void *buffer, size_t size);

/* give.c. Free the next message; under both gates, for who frees the queue. */
void kin__queue_drop(kin_queue *queue);

/* queue.c. All that sleep look again. */
void kin__queue_wake_all(kin_queue *queue);

/* joinable.c, under the get gate. `begin` before head moves, `end` after. */
void kin__consumer_begin(kin_queue *queue, uint32_t messages);
void kin__consumer_end(kin_queue *queue);
struct kin__consumer *kin__consumer_of(kin_queue *queue, kin__id me);

/* redeliver.c, all under the get gate; kin__redeliver_get and _take, on a queue that has a message for us, and _done
 * release it. `exact`: of another size than the buffer's is KIN_EINVAL. */
bool kin__redeliver_pending(kin_queue *queue); /* ask before each get or take */
bool kin__redeliver_others_have(const kin_queue *queue, kin__id me);
int kin__redeliver_get(kin_queue *queue, void *buffer, size_t capacity, size_t *size, bool exact);
int kin__redeliver_take(kin_queue *queue, kin_message *out);
int kin__redeliver_done(kin_queue *queue, kin__id me);
void kin__redeliver_pass_arena(kin_queue *queue);
bool kin__redeliver_all_done(const kin_queue *queue);
void kin__redeliver_settle(kin_queue *queue); /* R2 */

/* producers.c, under the put gate. */
int kin__producer_note(kin_queue *queue, kin__id me);
/* Close it if all producers are done or dead. Under no gate. */
bool kin__producers_over(kin_queue *queue, kin__id me);

/* Bytes of a record, by its first word. */
static inline uint64_t kin__record_bytes(const kin_queue *queue, uint64_t head)
{
    uint64_t size = head & KIN__RECORD_SIZE;
    switch (head >> KIN__RECORD_SHIFT) {
    case KIN__SKIP:
        return size;
    case KIN__INLINE:
        return 8 + queue->extra + ((size + 7) & ~UINT64_C(7));
    default:
        return KIN__BY_REFERENCE + queue->extra;
    }
}

#endif
