/*
 * message/broadcast_shared.h - a broadcast as it lies in the heap.
 *
 * A ring of records, written under a gate and read without. Positions are bytes since the beginning, which never wrap: `floor`,
 * where what is kept begins, and `tail`, where it ends; each reader has one of its own. So a message's count of readers that
 * have not read it need not be kept: it is how many positions stand before it; and a dead reader's position just does not
 * count.
 *
 *   field          written by             rule                                   when the writer dies there
 *   ------------   --------------------   ------------------------------------   ------------------------------------
 *   first fields   who made it            before the magic                       not an object yet
 *   closed         under the gate         0 to 1                                 as stored
 *   writer         who writes first       CAS from 0                             readers: closed, once all is read
 *   gate           see message/gate.h     who writes, joins or frees
 *   tail           under the gate         one store, after the record            the message is in, or is not
 *   floor          under the gate         one store, before what it gives free   the record is out, or is not
 *                                         is written again, or its block freed
 *   sequence       under the gate         number of the next message, before     that number is left out
 *                                         tail
 *   offered, from  under the gate         a block that goes in: before tail; 0   in if tail has moved, else it goes
 *                                         after
 *   kept, kept_at  under the gate         a block that goes out: before floor;   freed if floor has moved, else it stays
 *                                         0 after
 *   held           under the gate         bytes in blocks between the two        made anew by who mends
 *   gone           under the gate         number after the last that floor       not read, but where all is read
 *                                         passes, before floor
 *   least_seen     under the gate         an older value of the least position   older than need be
 *   events         see message/gate.h
 *
 * A reader's slot:
 *   owner          under the gate; 0 by   last when it joins: from then on its   0: free. Dead: free, once somebody needs the slot
 *                  the reader             position counts; first when it leaves  or its position is in the way
 *   position       the reader             forward, after it has copied           does not count
 *   sequence,      the reader             with position                          void
 *   lost
 *   cut            under the gate         0 to 1, before floor passes position   as stored
 *
 *   B1  floor <= tail <= floor + bytes; floor <= position <= tail of each reader that counts, but with DROP
 *   B2  floor to tail there are whole records, in one piece each, numbered upwards
 *   B3  with nobody in the gate offered == 0 and kept == 0, and held is the sum of the blocks between floor and tail
 */
#ifndef KIN_MESSAGE_BROADCAST_SHARED_H
#define KIN_MESSAGE_BROADCAST_SHARED_H

#include "kin/broadcast.h"
#include "message/gate.h"

#include <stdatomic.h>

/* kind << 56 | size: as in queues, but SKIP counts the bytes to the ring's end. */
enum kin__spread { KIN__SPREAD_SKIP = 1, KIN__SPREAD_INLINE, KIN__SPREAD_COPY, KIN__SPREAD_GIVEN };
#define KIN__SPREAD_SHIFT 56
#define KIN__SPREAD_SIZE ((UINT64_C(1) << KIN__SPREAD_SHIFT) - 1)

/* What a record begins with; then the message, or the address of its block. A SKIP has only the first word. */
struct kin__spread_head {
    uint64_t word;
    uint64_t sequence;
};

struct kin_reader {
    _Alignas(128) struct kin__sync sync;
    struct kin_broadcast *broadcast;
    _Atomic kin__id owner;
    _Atomic uint32_t cut;
    uint64_t sequence; /* of the message that it reads next */
    uint64_t lost;
    _Atomic uint64_t position;
};

struct kin_broadcast {
    _Alignas(128) struct kin__sync sync;
    kin_slow slow;
    uint32_t readers_most;
    uint64_t capacity;
    uint64_t bytes; /* of the ring, a power of two */
    unsigned char *ring;
    _Atomic uint32_t closed;
    _Atomic kin__id writer;

    _Alignas(128) struct kin__gate gate;
    uint64_t sequence;
    uint64_t offered; /* address | enum kin__spread */
    uint64_t offered_at;
    uint64_t kept;
    uint64_t kept_at;
    uint64_t held;
    uint64_t least_seen;
    uint64_t gone;

    _Alignas(128) _Atomic uint64_t tail;
    _Atomic uint64_t floor;

    _Alignas(128) struct kin__event items;
    struct kin__event room;

    struct kin_reader readers[];
};

static inline struct kin__spread_head *kin__spread_at(const kin_broadcast *broadcast, uint64_t position)
{
    return (struct kin__spread_head *)(broadcast->ring + (position & (broadcast->bytes - 1)));
}

static inline uint64_t kin__spread_kind(uint64_t word)
{
    return word >> KIN__SPREAD_SHIFT;
}

/* Bytes of a record, by its first word. */
static inline uint64_t kin__spread_bytes(uint64_t word)
{
    uint64_t size = word & KIN__SPREAD_SIZE;
    switch (kin__spread_kind(word)) {
    case KIN__SPREAD_SKIP:
        return size;
    case KIN__SPREAD_INLINE:
        return sizeof(struct kin__spread_head) + ((size + 7) & ~UINT64_C(7));
    default:
        return sizeof(struct kin__spread_head) + 8;
    }
}

int kin__broadcast_check(const kin_broadcast *broadcast, const char *what);
/* As kin__queue_enter, and kin__queue_leave. */
int kin__broadcast_enter(const kin_broadcast *broadcast, const char *what, double timeout, kin__id *me);
static inline int kin__broadcast_leave(int error)
{
    kin__use_end(kin__thread_mine);
    return error;
}

/* Take the gate, and mend what a dead owner left. */
int kin__broadcast_gate(kin_broadcast *broadcast, kin__id me, struct kin__patience *patience);

/* Under the gate: the oldest record goes, with its block. */
void kin__broadcast_drop(kin_broadcast *broadcast);

/* Whether the reader's member is dead: then its slot is free. */
bool kin__reader_gone(kin_reader *reader);

/* With nobody in a call: NULL, or which invariant is broken. For tests. */
const char *kin__broadcast_broken(const kin_broadcast *broadcast);

#endif
