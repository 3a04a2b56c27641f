/* message/broadcast_write.c - writing, and making room: see broadcast_shared.h. */
#include "message/broadcast_shared.h"

#include "base/failure.h"
#include "family/heap.h"
#include "family/journal.h"
#include "family/span.h"
#include "kin/heap.h"
#include "kin/queue.h"

#include <string.h>

#define LOOKS 20u /* as in put.c */
#define PAUSES 16
#define SOON 0.01 /* seconds */

struct parcel {
    uint64_t kind;
    const void *data; /* INLINE: to copy; else the block */
    uint64_t size;
};

static bool is_in_block(const struct parcel *parcel)
{
    return parcel->kind != KIN__SPREAD_INLINE;
}

static uint64_t word_of(const struct parcel *parcel)
{
    return parcel->kind << KIN__SPREAD_SHIFT | parcel->size;
}

/* With a SKIP, if it would cross the ring's end. */
static uint64_t needed(const kin_broadcast *broadcast, uint64_t tail, uint64_t bytes)
{
    uint64_t to_end = broadcast->bytes - (tail & (broadcast->bytes - 1));
    return bytes <= to_end ? bytes : to_end + bytes;
}

/* ---- room ------------------------------------------------------------------------------------ */

static bool counts(const struct kin_reader *reader)
{
    return atomic_load_explicit(&reader->owner, memory_order_acquire) &&
           !atomic_load_explicit(&reader->cut, memory_order_relaxed);
}

/* The least position of those that count; the tail, if none does. */
static uint64_t least_position(kin_broadcast *broadcast)
{
    uint64_t least = atomic_load_explicit(&broadcast->tail, memory_order_relaxed);
    for (uint32_t i = 0; i < broadcast->readers_most; i++) {
        const struct kin_reader *reader = &broadcast->readers[i];
        if (!counts(reader))
            continue;
        /* Acquire: who stands there has copied what is before. Partner: move() in broadcast_read.c. */
        uint64_t position = atomic_load_explicit(&reader->position, memory_order_acquire);
        if (position < least)
            least = position;
    }
    return broadcast->least_seen = least;
}

/* The oldest record may go: all that count have read it. */
static bool may_drop(kin_broadcast *broadcast)
{
    uint64_t floor = atomic_load_explicit(&broadcast->floor, memory_order_relaxed);
    return broadcast->slow == KIN_SLOW_DROP || broadcast->least_seen > floor ||
           least_position(broadcast) > floor;
}

/* Those that stand in the way and are dead do so no more; with CUT, nor do those that live. */
static bool clear_the_way(kin_broadcast *broadcast)
{
    uint64_t floor = atomic_load_explicit(&broadcast->floor, memory_order_relaxed);
    bool cleared = false;
    for (uint32_t i = 0; i < broadcast->readers_most; i++) {
        struct kin_reader *reader = &broadcast->readers[i];
        if (!counts(reader) || atomic_load(&reader->position) > floor)
            continue;
        if (kin__reader_gone(reader)) {
            cleared = true;
        } else if (broadcast->slow == KIN_SLOW_CUT) {
            atomic_store(&reader->cut, 1);
            cleared = true;
        }
    }
    return cleared;
}

static bool fits(const kin_broadcast *broadcast, uint64_t bytes, uint64_t in_block)
{
    uint64_t tail = atomic_load_explicit(&broadcast->tail, memory_order_relaxed);
    uint64_t floor = atomic_load_explicit(&broadcast->floor, memory_order_relaxed);
    return tail - floor + needed(broadcast, tail, bytes) <= broadcast->bytes &&
           (!in_block || !broadcast->held || broadcast->held + in_block <= broadcast->capacity);
}

/* Readers are at it, perhaps: then it pays to wait a little. */
static bool spin(kin_broadcast *broadcast)
{
    static _Thread_local struct kin__habit habit __attribute__((tls_model("initial-exec")));
    uint32_t most = kin__habit_looks(&habit, LOOKS), came = 0;
    for (uint32_t look = 1; look <= most && !came; look++) {
        for (int i = 0; i < PAUSES; i++)
            kin__os_pause();
        if (may_drop(broadcast))
            came = look;
    }
    kin__habit_learn(&habit, LOOKS, came);
    return came != 0;
}

/* Sleep without the gate until a reader has moved. */
static int await_readers(kin_broadcast *broadcast, struct kin__patience *patience)
{
    uint64_t floor = atomic_load_explicit(&broadcast->floor, memory_order_relaxed);
    kin__gate_release(&broadcast->gate);
    struct kin__nap nap = kin__event_prepare(&broadcast->room);
    for (uint32_t i = 0; i < broadcast->readers_most; i++) {
        const struct kin_reader *reader = &broadcast->readers[i];
        if (counts(reader) && atomic_load(&reader->position) <= floor) /* still in the way */
            return atomic_load(&broadcast->closed)
                       ? 0
                       : kin__event_sleep(&broadcast->room, broadcast, nap, kin__patience_deadline(patience));
    }
    return 0;
}

/* Under the gate; 0: there is room, under the gate still. Else it is released. */
static int make_room(kin_broadcast *broadcast, uint64_t bytes, uint64_t in_block, kin__id me,
                     struct kin__patience *patience)
{
    int error = 0;
    while (!error) {
        if (atomic_load_explicit(&broadcast->closed, memory_order_relaxed)) {
            error = kin__fail(KIN_ECLOSED, "cannot write to %s: it is closed", kin__title(broadcast).text);
        } else if (fits(broadcast, bytes, in_block)) {
            return 0;
        } else if (may_drop(broadcast)) {
            if (broadcast->held && !kin__heap_reach(kin__patience_grace(patience)))
                error = kin__heap_stopped();
            else
                kin__broadcast_drop(broadcast);
        } else if (clear_the_way(broadcast) || (patience->timeout > 0 && spin(broadcast))) {
            continue;
        } else if (patience->timeout <= 0) {
            error = kin__fail(KIN_ETIMEDOUT, "a reader of %s has not made room", kin__title(broadcast).text);
        } else {
            error = await_readers(broadcast, patience);
            if (error)
                return kin__fail(error, "a reader of %s has not made room for %g seconds",
                                 kin__title(broadcast).text, patience->timeout);
            error = kin__broadcast_gate(broadcast, me, patience);
            if (error)
                return error;
        }
    }
    kin__gate_release(&broadcast->gate);
    return error;
}

/* Blocks that all have read go at once: they are large. */
static void drop_what_is_read(kin_broadcast *broadcast)
{
    uint64_t tail = atomic_load_explicit(&broadcast->tail, memory_order_relaxed), floor;
    uint64_t least = broadcast->slow == KIN_SLOW_DROP ? 0 : least_position(broadcast);
    bool reached = false; /* else they go with a later write */
    while ((floor = atomic_load_explicit(&broadcast->floor, memory_order_relaxed)) < least && floor != tail &&
           (reached || (reached = kin__heap_reach(kin__os_deadline(SOON)))))
        kin__broadcast_drop(broadcast);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* A block changes hands in one transaction, from its maker to `offered`, which tells whoever finds us dead: see mend(). */
static int offer(kin_broadcast *broadcast, const struct parcel *parcel, uint64_t tail,
                 struct kin__patience *patience)
{
    broadcast->offered_at = tail;
    kin__crash_fence();
    if (parcel->kind != KIN__SPREAD_COPY)
        return 0;
    if (!kin__journal_begin_until(kin__patience_grace(patience)))
        return kin__heap_stopped();
    kin__journal_set(&kin__thread_mine->moved, 0);
    kin__journal_set(&broadcast->offered, (uint64_t)(uintptr_t)parcel->data | parcel->kind);
    kin__journal_end();
    return 0;
}

/* Write the record where there is room, and make it visible. */
static int publish(kin_broadcast *broadcast, const struct parcel *parcel, struct kin__patience *patience)
{
    uint64_t tail = atomic_load_explicit(&broadcast->tail, memory_order_relaxed), start = tail;
    uint64_t bytes = kin__spread_bytes(word_of(parcel));
    struct kin__spread_head *record = kin__spread_at(broadcast, tail);
    uint64_t skip = needed(broadcast, tail, bytes) - bytes;
    if (skip) {
        record->word = (uint64_t)KIN__SPREAD_SKIP << KIN__SPREAD_SHIFT | skip;
        tail += skip;
        record = kin__spread_at(broadcast, tail);
    }
    *record = (struct kin__spread_head){word_of(parcel), broadcast->sequence};
    if (!is_in_block(parcel) && parcel->size)
        memcpy(record + 1, parcel->data, parcel->size);
    else if (is_in_block(parcel))
        memcpy(record + 1, &parcel->data, 8);
    if (is_in_block(parcel)) {
        int error = offer(broadcast, parcel, start, patience);
        if (error)
            return error;
        broadcast->held += parcel->size;
    }
    broadcast->sequence++;
    kin__crash_fence();
    atomic_store_explicit(&broadcast->tail, tail + bytes,
                          memory_order_release); /* partner: broadcast_read.c */
    kin__crash_fence();
    kin__poke(&broadcast->offered, 0);
    return 0;
}

static int become_writer(kin_broadcast *broadcast, kin__id me)
{
    kin__id writer = atomic_load_explicit(&broadcast->writer, memory_order_relaxed);
    if (writer == me || (!writer && (atomic_compare_exchange_strong(&broadcast->writer, &writer, me))))
        return 0;
    return writer == me ? 0
                        : kin__fail(KIN_EPERM, "cannot write to %s: another process is its writer",
                                    kin__title(broadcast).text);
}

static int post(kin_broadcast *broadcast, const struct parcel *parcel, kin__id me,
                struct kin__patience *patience)
{
    int error = become_writer(broadcast, me);
    if (!error)
        error = kin__broadcast_gate(broadcast, me, patience);
    if (error)
        return error;
    if (broadcast->held)
        drop_what_is_read(broadcast);
    error = make_room(broadcast, kin__spread_bytes(word_of(parcel)), is_in_block(parcel) ? parcel->size : 0,
                      me, patience);
    if (error)
        return error;
    error = publish(broadcast, parcel, patience);
    kin__gate_release(&broadcast->gate);
    if (error)
        return error;
    kin__event_tell(&broadcast->items, INT32_MAX); /* partner: kin__event_prepare in broadcast_read.c */
    return 0;
}

/* As in put.c: filled before, the thread's `moved` block until it is offered. */
static int write_block(kin_broadcast *broadcast, const void *message, size_t size, kin__id me,
                       struct kin__patience *patience)
{
    void *block =
        kin__heap_make(size > KIN__SMALL_MAX ? size : KIN__SMALL_MAX + 1, kin__patience_grace(patience));
    if (!block)
        return kin_error_code();
    memcpy(block, message, size);
    int error = post(broadcast, &(struct parcel){KIN__SPREAD_COPY, block, size}, me, patience);
    if (error)
        kin__heap_unmake();
    return error;
}

int kin_broadcast_write(kin_broadcast *broadcast, const void *message, size_t size, double timeout)
{
    kin__id me = 0;
    int error = kin__broadcast_enter(broadcast, "write to a broadcast", timeout, &me);
    if (error)
        return error;
    struct kin__patience patience = {.timeout = timeout};
    if ((size && !message) || size > KIN_MESSAGE_MAX)
        error = kin__fail(KIN_EINVAL, "cannot write %zu bytes to %s: %s", size, kin__title(broadcast).text,
                          message ? "that is too much" : "the message is NULL");
    else if (size > KIN__SMALL_MAX || size > broadcast->bytes / 8)
        error = write_block(broadcast, message, size, me, &patience);
    else
        error = post(broadcast, &(struct parcel){KIN__SPREAD_INLINE, message, size}, me, &patience);
    return kin__broadcast_leave(error);
}

static int give(kin_broadcast *broadcast, void *block, size_t size, kin__id me, double timeout)
{
    if (!kin_is_shared(block))
        return kin__fail(KIN_ENOTSHARED, "cannot give %p to a broadcast: it is no memory of the shared heap",
                         block);
    size_t has = kin_usable_size(block);
    if (!has || size > has)
        return kin__fail(KIN_EINVAL, "cannot give %zu bytes at %p to a broadcast: %s", size, block,
                         has ? "the block is smaller" : "it is not a block in use");
    return post(broadcast, &(struct parcel){KIN__SPREAD_GIVEN, block, size}, me,
                &(struct kin__patience){.timeout = timeout});
}

int kin_broadcast_give(kin_broadcast *broadcast, void *block, size_t size, double timeout)
{
    kin__id me = 0;
    int error = kin__broadcast_enter(broadcast, "give a block to a broadcast", timeout, &me);
    return error ? error : kin__broadcast_leave(give(broadcast, block, size, me, timeout));
}
