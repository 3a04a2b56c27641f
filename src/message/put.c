/* message/put.c - putting messages in: see message/queue_shared.h. */
#include "message/queue_shared.h"

#include "base/failure.h"
#include "family/heap.h"
#include "family/journal.h"
#include "kin/heap.h"

#include <string.h>

/* The ring's next lines are fetched for writing, so that this put's stores need not wait for the consumer's cache: its gate's
 * atomic operation waits for all of them. Measured: 53 ns a message without, 12.6 with. */
#define FETCH_AHEAD 512

#define BATCH_BYTES 4096   /* of many, made visible at once */
#define LOOKS_FOR_ROOM 32  /* before the ring grows or the producer sleeps: some 20 us in all */
#define PAUSES_FOR_ROOM 16 /* between looks */
#define RECORD(kind, size) ((uint64_t)(kind) << KIN__RECORD_SHIFT | (size))

static uint64_t offset_of(const kin_queue *queue, kin__point point)
{
    return (uint64_t)kin__point_words(point) * 8 & (queue->bytes - 1);
}

static uint64_t used_bytes(kin__point head, kin__point tail)
{
    return (uint64_t)(uint32_t)(kin__point_words(tail) - kin__point_words(head)) * 8;
}

/* Bytes that a record of `bytes` needs at `tail`: with a SKIP, if it would cross the end. */
static uint64_t needed(const kin_queue *queue, kin__point tail, uint64_t bytes)
{
    uint64_t to_end = queue->bytes - offset_of(queue, tail);
    return bytes <= to_end ? bytes : to_end + bytes;
}

static bool count_allows(const kin_queue *queue, kin__point head, kin__point tail)
{
    return !queue->maxsize || (uint32_t)(kin__point_count(tail) - kin__point_count(head)) < queue->maxsize;
}

static bool fits(const kin_queue *queue, kin__point head, kin__point tail, uint64_t bytes)
{
    return used_bytes(head, tail) + needed(queue, tail, bytes) <= queue->bytes;
}

static bool has_room(kin_queue *queue, kin__point tail, uint64_t bytes)
{
    kin__point past = queue->redeliver ? queue->floor_seen : queue->head_seen;
    if (count_allows(queue, queue->head_seen, tail) && fits(queue, past, tail, bytes))
        return true;
    /* Acquire: who took the records has copied them out. */
    past = queue->head_seen = atomic_load_explicit(&queue->head, memory_order_acquire);
    if (queue->redeliver)
        past = queue->floor_seen = atomic_load_explicit(&queue->floor, memory_order_acquire);
    return count_allows(queue, queue->head_seen, tail) && fits(queue, past, tail, bytes);
}

static inline uint64_t bytes_of(const kin_queue *queue, const struct kin__parcel *parcel)
{
    uint64_t bytes =
        parcel->kind == KIN__INLINE ? 8 + ((parcel->size + 7) & ~UINT64_C(7)) : KIN__BY_REFERENCE;
    return bytes + queue->extra;
}

/* Write a record at `tail`, which has room; returns the tail after it. */
static inline kin__point write_record(kin_queue *queue, kin__point tail, const struct kin__parcel *parcel)
{
    uint64_t offset = offset_of(queue, tail);
    uint64_t bytes = bytes_of(queue, parcel);
    if (bytes > queue->bytes - offset) {
        uint64_t rest = queue->bytes - offset;
        *(uint64_t *)(queue->ring + offset) = RECORD(KIN__SKIP, rest);
        tail = kin__point_after(tail, 0, rest);
        offset = 0;
    }
    unsigned char *at = queue->ring + offset;
    __builtin_prefetch(queue->ring + ((offset + FETCH_AHEAD) & (queue->bytes - 1)), 1, 3);
    unsigned char *data = at + 8 + queue->extra;
    if (parcel->kind == KIN__INLINE) {
        *(uint64_t *)at = RECORD(KIN__INLINE, parcel->size);
        if (parcel->size == 8) /* the compiler makes one instruction of it */
            memcpy(data, parcel->data, 8);
        else if (parcel->size)
            memcpy(data, parcel->data, parcel->size);
    } else {
        *(uint64_t *)at = RECORD(parcel->kind, 0);
        memcpy(data, &parcel->data, 8);
        memcpy(data + 8, &parcel->size, 8);
    }
    return kin__point_after(tail, 1, bytes);
}

/* ---- room ------------------------------------------------------------------------------------ */

/* Copy what lies between two points into a larger ring, where it stands at the same points. */
static void copy_ring(const kin_queue *queue, unsigned char *ring, uint64_t bytes, kin__point from,
                      kin__point to)
{
    uint64_t left = used_bytes(from, to), at = (uint64_t)kin__point_words(from) * 8;
    while (left) {
        uint64_t old = at & (queue->bytes - 1), piece = queue->bytes - old;
        if (piece > left)
            piece = left;
        memcpy(ring + (at & (bytes - 1)), queue->ring + old, piece);
        at += piece;
        left -= piece;
    }
}

/* A ring of twice the size, or more. Under the put gate; takes the other one too. */
static int grow(kin_queue *queue, uint64_t need, kin__id me, struct kin__patience *patience)
{
    uint64_t bytes = queue->bytes * 2;
    while (bytes < 2 * need)
        bytes *= 2;
    if (bytes > KIN__RING_MOST)
        return kin__fail(KIN_ELIMIT, "cannot put into a queue: its ring has %zu bytes", (size_t)queue->bytes);
    if (!kin__heap_reach(kin__patience_grace(patience)))
        return kin__heap_stopped();
    int error = kin__queue_get_gate(queue, me, patience);
    if (error)
        return error;
    unsigned char *ring = kin__heap_open(bytes, NULL);
    if (ring) {
        kin__point from = atomic_load(queue->redeliver ? &queue->floor : &queue->head);
        struct kin__thread *thread = kin__thread_mine;
        copy_ring(queue, ring, bytes, from, atomic_load(&queue->tail));
        const void *old = queue->ring == queue->first_ring ? NULL : queue->ring;
        kin__journal_begin();
        kin__journal_set_pointer(&queue->ring, ring);
        kin__journal_set(&queue->bytes, bytes);
        kin__heap_close_in(thread);
        if (old)
            kin__heap_free_in(thread, old);
        kin__journal_end();
        kin__heap_free_finish(thread);
    }
    kin__gate_release(&queue->get);
    return ring ? 0 : kin_error_code();
}

/* Under the put gate, which is released meanwhile. Consumers are at it if head moves: then it pays to wait a little. */
static bool spin_for_room(kin_queue *queue, kin__point tail, uint64_t bytes)
{
    static _Thread_local struct kin__habit habit __attribute__((tls_model("initial-exec")));
    uint32_t most = kin__habit_looks(&habit, LOOKS_FOR_ROOM), came = 0;
    for (uint32_t look = 1; look <= most && !came; look++) {
        if (has_room(queue, tail, bytes))
            came = look;
        for (int pause = 0; pause < PAUSES_FOR_ROOM && !came; pause++)
            kin__os_pause();
    }
    kin__habit_learn(&habit, LOOKS_FOR_ROOM, came);
    return came != 0;
}

/* Sleep until something was taken out, without the gate. */
static int await_room(kin_queue *queue, struct kin__patience *patience)
{
    kin__point head = queue->head_seen;
    kin__gate_release(&queue->put);
    struct kin__nap nap = kin__event_prepare(&queue->room);
    if (atomic_load(&queue->head) != head || atomic_load(&queue->closed))
        return 0;
    return kin__event_sleep(&queue->room, queue, nap, kin__patience_deadline(patience));
}

/* Woken, under the put gate. Others may sleep still, and a get that came before we say so did not wake them: wake one if
 * there is room for more than ours. */
static void speak_for_others(kin_queue *queue, kin__point tail)
{
    kin__event_prepare(&queue->room);
    queue->head_seen = atomic_load_explicit(&queue->head, memory_order_acquire);
    if ((uint32_t)(kin__point_count(tail) - kin__point_count(queue->head_seen)) + 1 < queue->maxsize)
        kin__event_wake(&queue->room, 1);
}

/* Under the put gate; 0: there is room at the tail, under the gate still. Else it is released. */
static int make_room(kin_queue *queue, uint64_t bytes, kin__id me, struct kin__patience *patience)
{
    int error = 0;
    for (;;) {
        if (atomic_load_explicit(&queue->closed, memory_order_relaxed)) {
            error = kin__fail(KIN_ECLOSED, "cannot put into a queue: it is closed");
            break;
        }
        kin__point tail = atomic_load_explicit(&queue->tail, memory_order_relaxed);
        if (has_room(queue, tail, bytes))
            break;
        if (patience->timeout > 0 && spin_for_room(queue, tail, bytes))
            break;
        if (count_allows(queue, queue->head_seen, tail)) {
            error = grow(queue, bytes, me, patience);
            if (error)
                break;
            continue;
        }
        if (patience->timeout <= 0) {
            error = kin__fail(KIN_ETIMEDOUT, "the queue is full");
            break;
        }
        error = await_room(queue, patience);
        if (error)
            return kin__fail(error, "the queue was full for %g seconds", patience->timeout);
        error = kin__queue_put_gate(queue, me, patience);
        if (error)
            return error;
        speak_for_others(queue, atomic_load_explicit(&queue->tail, memory_order_relaxed));
    }
    if (error)
        kin__gate_release(&queue->put);
    return error;
}

/* ---- one ------------------------------------------------------------------------------------- */

/* The record is in the ring: from the store of tail on, it is in the queue. */
static inline void publish(kin_queue *queue, kin__point tail)
{
    atomic_store_explicit(&queue->tail, tail, memory_order_release); /* partner: the acquire in get.c */
}

/*
 * What goes in by reference changes hands in one transaction: from its maker (`moved` of the thread, or the arena's owner)
 * to `offered`, which tells whoever finds us dead, see mend.c. What a user gives is nobody's but the family's before and after.
 */
static int offer(kin_queue *queue, const struct kin__parcel *parcel, kin__point tail,
                 struct kin__patience *patience)
{
    uint64_t word = (uint64_t)(uintptr_t)parcel->data | parcel->kind;
    queue->offered_at = tail;
    kin__crash_fence();
    if (parcel->kind == KIN__ARENA && !kin__heap_reach(kin__patience_grace(patience)))
        return kin__heap_stopped();
    if (parcel->kind == KIN__ARENA)
        return kin__arena_set_owner_and((kin_arena *)(uintptr_t)parcel->data, KIN__OWNER_FAMILY,
                                        &queue->offered, word);
    if (parcel->kind == KIN__COPY) {
        if (!kin__journal_begin_until(kin__patience_grace(patience)))
            return kin__heap_stopped();
        kin__journal_set(&kin__thread_mine->moved, 0);
        kin__journal_set(&queue->offered, word);
        kin__journal_end();
    }
    return 0;
}

int kin__queue_post(kin_queue *queue, const struct kin__parcel *parcel, kin__id me,
                    struct kin__patience *patience)
{
    int error = kin__queue_put_gate(queue, me, patience);
    if (error)
        return error;
    uint64_t bytes = bytes_of(queue, parcel);
    kin__point tail = atomic_load_explicit(&queue->tail, memory_order_relaxed);
    if (queue->wanted)
        error = kin__producer_note(queue, me);
    if (error) {
        kin__gate_release(&queue->put);
        return error;
    }
    if (__builtin_expect(
            atomic_load_explicit(&queue->closed, memory_order_relaxed) || !has_room(queue, tail, bytes), 0)) {
        error = make_room(queue, bytes, me, patience);
        if (error)
            return error;
        tail = atomic_load_explicit(&queue->tail, memory_order_relaxed);
    }
    if (parcel->kind != KIN__INLINE)
        error = offer(queue, parcel, tail, patience);
    if (!error)
        publish(queue, write_record(queue, tail, parcel));
    kin__crash_fence();
    if (parcel->kind != KIN__INLINE)
        kin__poke(&queue->offered, 0);
    kin__gate_release(&queue->put);
    kin__event_tell(&queue->items, 1); /* partner: the barrier in get.c */
    return error;
}

/* A large message goes in as a block, filled before the gate is taken. Until it is offered it is its thread's `moved` block, as in
 * a realloc: it goes with the thread. Blocks of that size are large ones, as recovery of `moved` wants it. */
static int put_block(kin_queue *queue, const void *message, size_t size, kin__id me,
                     struct kin__patience *patience)
{
    void *block = kin__heap_make(size, kin__patience_grace(patience));
    if (!block)
        return kin_error_code();
    memcpy(block, message, size);
    int error = kin__queue_post(queue, &(struct kin__parcel){KIN__COPY, block, size}, me, patience);
    if (error)
        kin__heap_unmake();
    return error;
}

static bool is_no_message(const void *message, size_t size)
{
    return size > KIN_MESSAGE_MAX || (size && !message);
}

static int refuse(const void *message, size_t size)
{
    if (!message)
        return kin__fail(KIN_EINVAL, "cannot put a message of %zu bytes into a queue: it is NULL", size);
    return kin__fail(KIN_EINVAL, "cannot put a message of %zu bytes into a queue: it can have up to %zu",
                     size, KIN_MESSAGE_MAX);
}

int kin_queue_put(kin_queue *queue, const void *message, size_t size, double timeout)
{
    kin__id me = 0;
    int error = kin__queue_enter(queue, "put into a queue", timeout, &me);
    if (error)
        return error;
    struct kin__patience patience = {.timeout = timeout};
    if (__builtin_expect(is_no_message(message, size), 0))
        error = refuse(message, size);
    else if (size > KIN__INLINE_MAX)
        error = put_block(queue, message, size, me, &patience);
    else
        error = kin__queue_post(queue, &(struct kin__parcel){KIN__INLINE, message, size}, me, &patience);
    return kin__queue_leave(error);
}

/* ---- many ------------------------------------------------------------------------------------ */

/* As many as there is room for, up to a batch. Under the put gate. */
static size_t put_batch(kin_queue *queue, const unsigned char *messages, size_t size, size_t count)
{
    kin__point tail = atomic_load_explicit(&queue->tail, memory_order_relaxed);
    uint64_t bytes = bytes_of(queue, &(struct kin__parcel){.kind = KIN__INLINE, .size = size});
    size_t most = 1 + BATCH_BYTES / bytes, put = 0;
    while (put < count && put < most && has_room(queue, tail, bytes)) {
        tail = write_record(queue, tail, &(struct kin__parcel){KIN__INLINE, messages + put * size, size});
        put++;
    }
    publish(queue, tail);
    return put;
}

static int put_some(kin_queue *queue, const unsigned char *messages, size_t size, size_t count, kin__id me,
                    struct kin__patience *patience, size_t *put)
{
    int error = kin__queue_put_gate(queue, me, patience);
    if (error)
        return error;
    if (queue->wanted && (error = kin__producer_note(queue, me))) {
        kin__gate_release(&queue->put);
        return error;
    }
    error = make_room(queue, bytes_of(queue, &(struct kin__parcel){.kind = KIN__INLINE, .size = size}), me,
                      patience);
    if (error)
        return error;
    *put = put_batch(queue, messages, size, count);
    kin__gate_release(&queue->put);
    kin__event_tell(&queue->items, (int)*put);
    return 0;
}

int kin_queue_put_many(kin_queue *queue, const void *messages, size_t size, size_t count, size_t *done,
                       double timeout)
{
    kin__id me = 0;
    size_t in = 0;
    if (done)
        *done = 0;
    int error = kin__queue_enter(queue, "put into a queue", timeout, &me);
    if (error)
        return error;
    if (count && is_no_message(messages, size))
        error = refuse(messages, size);
    struct kin__patience patience = {.timeout = timeout};
    while (!error && in < count) {
        const unsigned char *from = (const unsigned char *)messages + in * size;
        size_t put = 1;
        if (size > KIN__INLINE_MAX)
            error = put_block(queue, from, size, me, &patience);
        else
            error = put_some(queue, from, size, count - in, me, &patience, &put);
        in += error ? 0 : put;
    }
    if (done)
        *done = in;
    return kin__queue_leave(error);
}
