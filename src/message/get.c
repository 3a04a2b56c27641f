/* message/get.c - getting messages out: see message/queue_shared.h. */
#include "message/queue_shared.h"

#include "base/failure.h"
#include "family/arena.h"
#include "family/checked.h"
#include "family/heap.h"
#include "family/journal.h"
#include "kin/heap.h"

#include <math.h>
#include <string.h>

/* Looks at an empty queue before sleeping, and pauses between them: some 20 us in all. The pauses are long so that the
 * producer keeps the line that it writes: at 1 pause a look a message costs 31 ns, at 64 it costs 12. */
#define LOOKS 20
#define PAUSES 64
#define BATCH_BYTES 4096 /* of many, given free at once */

static unsigned char *record_at(const kin_queue *queue, kin__point point)
{
    return queue->ring + ((uint64_t)kin__point_words(point) * 8 & (queue->bytes - 1));
}

static inline uint64_t head_word(const unsigned char *record)
{
    return *(const uint64_t *)record;
}

unsigned char *kin__queue_next(kin_queue *queue, kin__point *point)
{
    kin__point at = atomic_load_explicit(&queue->head, memory_order_relaxed);
    unsigned char *record = record_at(queue, at);
    if (__builtin_expect(head_word(record) >> KIN__RECORD_SHIFT == KIN__SKIP, 0)) {
        at = kin__point_after(at, 0, kin__record_bytes(queue, head_word(record)));
        record = record_at(queue, at);
    }
    *point = at;
    return record;
}

/* Under the get gate. */
static inline bool has_message(kin_queue *queue)
{
    if (queue->redeliver && kin__redeliver_pending(queue))
        return true;
    kin__point head = atomic_load_explicit(&queue->head, memory_order_relaxed);
    if (head != queue->tail_seen)
        return true;
    /* Acquire: the records up to there are written. Partner: publish() in put.c. */
    queue->tail_seen = atomic_load_explicit(&queue->tail, memory_order_acquire);
    return head != queue->tail_seen;
}

/* ---- waiting --------------------------------------------------------------------------------- */

static bool is_empty(const kin_queue *queue)
{
    return atomic_load_explicit(&queue->tail, memory_order_relaxed) ==
           atomic_load_explicit(&queue->head, memory_order_relaxed);
}

/* Under no gate: until the queue looks different, or for a while. */
static bool spin(kin_queue *queue)
{
    static _Thread_local struct kin__habit habit __attribute__((tls_model("initial-exec")));
    uint32_t most = kin__habit_looks(&habit, LOOKS), came = 0;
    for (uint32_t look = 1; look <= most && !came; look++) {
        for (int i = 0; i < PAUSES; i++)
            kin__os_pause();
        if (!is_empty(queue))
            came = look;
    }
    kin__habit_learn(&habit, LOOKS, came);
    return came != 0;
}

static bool looks_different(kin_queue *queue, bool closed)
{
    return atomic_load(&queue->closed) != closed || atomic_load(&queue->tail) != atomic_load(&queue->head);
}

static int sleep_for_message(kin_queue *queue, kin__id me, bool closed, struct kin__patience *patience)
{
    if (queue->wanted && kin__producers_over(queue, me))
        return 0;
    struct kin__nap nap = kin__event_prepare(&queue->items);
    if (looks_different(queue, closed))
        return 0;
    int error = kin__event_sleep(&queue->items, queue, nap, kin__patience_deadline(patience));
    return error ? kin__fail(error, "the queue was empty for %g seconds", patience->timeout) : 0;
}

/* Woken, under the get gate. Others may sleep still, and a put that came before we say so did not wake them: so look at tail
 * once more, for kin__queue_pass. */
static void speak_for_others(kin_queue *queue)
{
    kin__event_prepare(&queue->items);
    queue->tail_seen = atomic_load_explicit(&queue->tail, memory_order_acquire);
}

int kin__queue_await(kin_queue *queue, kin__id me, struct kin__patience *patience)
{
    bool slept = false;
    for (;;) {
        int error = kin__queue_get_gate(queue, me, patience);
        if (error)
            return error;
        if (slept)
            speak_for_others(queue);
        if (has_message(queue))
            return 0;
        /* Closed is looked at first: nothing comes after it. */
        bool closed = atomic_load(&queue->closed), over = closed;
        if (closed && queue->redeliver)
            over = !kin__redeliver_others_have(queue, me); /* else they may die, and it comes to us */
        if (over && !has_message(queue))
            error = kin__fail(KIN_ECLOSED, "the queue is closed, and empty");
        kin__gate_release(&queue->get);
        if (!error && !over && patience->timeout <= 0) {
            if (queue->wanted && kin__producers_over(queue, me))
                continue;
            error = kin__fail(KIN_ETIMEDOUT, "the queue is empty");
        }
        slept = !error && !over && !spin(queue);
        if (slept)
            error = sleep_for_message(queue, me, closed, patience);
        if (error)
            return error;
    }
}

/* Head goes past `messages` records: they are out. */
static inline void move_head(kin_queue *queue, kin__point head, int messages)
{
    if (queue->joinable)
        kin__consumer_begin(queue, (uint32_t)messages);
    atomic_store_explicit(&queue->head, head, memory_order_release); /* partner: the acquire in has_room */
    kin__crash_fence();
}

/* The gate is released, and who waits for room is told. Whoever was woken for a message and leaves more behind passes the wake on. */
static inline void leave(kin_queue *queue, kin__point head, int messages)
{
    bool more = head != queue->tail_seen;
    if (queue->joinable)
        kin__consumer_end(queue);
    kin__gate_release(&queue->get);
    kin__event_tell(&queue->room, messages); /* partner: the barrier in put.c */
    if (more)
        kin__event_tell(&queue->items, 1);
}

void kin__queue_pass(kin_queue *queue, kin__point head, int messages)
{
    move_head(queue, head, messages);
    kin__poke(&queue->kept, 0);
    leave(queue, head, messages);
}

/* ---- one ------------------------------------------------------------------------------------- */

static int too_large(size_t size, size_t capacity)
{
    return kin__fail(KIN_ETOOLARGE,
                     "the next message has %zu bytes, the buffer only %zu: it stays in the queue", size,
                     capacity);
}

/*
 * The gate is released before the copy is made, so that large messages are copied side by side. `kept`, then an OPEN intent
 * which is linked as long as the block is the queue's: so it is freed once, by us, by our recovery or by mend.c.
 */
void kin__queue_keep(kin_queue *queue, void *block)
{
    queue->kept_at = atomic_load_explicit(&queue->head, memory_order_relaxed);
    kin__crash_fence();
    kin__poke(&queue->kept, (uint64_t)(uintptr_t)block);
    kin__crash_fence();
}

void kin__queue_pass_block(kin_queue *queue, kin__point after, void *block)
{
    struct kin__thread *thread = kin__thread_mine;
    kin__queue_keep(queue, block);
    thread->link = (uint64_t)(uintptr_t)&queue->kept;
    kin__intend(thread, KIN__INTENT_OPEN, block);
    kin__queue_pass(queue, after, 1); /* and kept = 0 */
}

void kin__queue_get_copy(kin_queue *queue, kin__point after, void *block, void *buffer, size_t size)
{
    kin__queue_pass_block(queue, after, block);
    memcpy(buffer, block, size);
    kin__heap_drop_soon(block);
}

/* What a user gave may be a small block, in another thread's span: that is nothing for an OPEN intent. So it is copied and freed under
 * the gate, while `kept` names it. */
static void get_small(kin_queue *queue, kin__point after, void *block, void *buffer, size_t size)
{
    struct kin__thread *thread = kin__thread_mine;
    kin__queue_keep(queue, block);
    move_head(queue, after, 1);
    memcpy(buffer, block, size);
    kin__journal_begin();
    kin__heap_free_in(thread, block);
    kin__journal_set(&queue->kept, 0);
    kin__journal_end();
    kin__heap_free_finish(thread);
    leave(queue, after, 1);
}

static int get_reference(kin_queue *queue, const unsigned char *record, kin__point at, void *buffer,
                         size_t capacity, size_t *size, struct kin__patience *patience)
{
    uint64_t word, second;
    memcpy(&word, record + 8, 8);
    memcpy(&second, record + 16, 8);
    enum kin__record kind = (enum kin__record)(head_word(record) >> KIN__RECORD_SHIFT);
    void *block = (void *)(uintptr_t)word;
    kin__point after = kin__point_after(at, 1, KIN__BY_REFERENCE);
    int error = 0;
    if (kind == KIN__ARENA)
        error = kin__fail(KIN_EINVAL, "the next message is an arena: it can only be taken");
    else if (second > capacity)
        error = too_large(second, capacity);
    if (size && kind != KIN__ARENA)
        *size = second;
    if (!error && (kin__thread_mine->late || kin__spot_of(block).kind == KIN__SPOT_SMALL) &&
        !kin__heap_reach(kin__patience_grace(patience)))
        error = kin__heap_stopped();
    if (error) {
        kin__gate_release(&queue->get);
        kin__event_tell(&queue->items, 1); /* another may have a larger buffer */
        return error;
    }
    if (kind == KIN__GIVEN && kin__checks_heap()) { /* it has guards, and a history */
        kin__queue_pass(queue, after, 1);
        memcpy(buffer, block, second);
        kin_free(block);
    } else if (kin__spot_of(block).kind == KIN__SPOT_SMALL) {
        get_small(queue, after, block, buffer, second);
    } else {
        kin__queue_get_copy(queue, after, block, buffer, second);
    }
    return 0;
}

static int get_one(kin_queue *queue, void *buffer, size_t capacity, size_t *size,
                   struct kin__patience *patience)
{
    if (queue->redeliver)
        return kin__redeliver_get(queue, buffer, capacity, size, false);
    kin__point at;
    const unsigned char *record = kin__queue_next(queue, &at);
    uint64_t head = head_word(record), bytes = head & KIN__RECORD_SIZE;
    if (head >> KIN__RECORD_SHIFT != KIN__INLINE)
        return get_reference(queue, record, at, buffer, capacity, size, patience);
    if (size)
        *size = bytes;
    if (bytes > capacity) {
        kin__gate_release(&queue->get);
        kin__event_tell(&queue->items, 1);
        return too_large(bytes, capacity);
    }
    if (bytes == 8)
        memcpy(buffer, record + 8, 8);
    else if (bytes)
        memcpy(buffer, record + 8, bytes);
    kin__queue_pass(queue, kin__point_after(at, 1, kin__record_bytes(queue, head)), 1);
    return 0;
}

int kin_queue_get(kin_queue *queue, void *buffer, size_t capacity, size_t *size, double timeout)
{
    kin__id me = 0;
    int error = kin__queue_enter(queue, "get from a queue", timeout, &me);
    if (error)
        return error;
    struct kin__patience patience = {.timeout = timeout};
    if (__builtin_expect(!buffer && capacity, 0))
        error = kin__fail(KIN_EINVAL, "cannot get from a queue: the buffer is NULL");
    else if (!(error = kin__queue_await(queue, me, &patience)))
        error = get_one(queue, buffer, capacity, size, &patience);
    return kin__queue_leave(error);
}

/* ---- many ------------------------------------------------------------------------------------ */

/* Inline messages of this size, under the get gate; how many go to *got, the point after them is returned. */
static kin__point get_batch(kin_queue *queue, unsigned char *messages, size_t size, size_t count, size_t *got)
{
    size_t n = 0, most = 1 + BATCH_BYTES / (8 + size);
    kin__point at = atomic_load_explicit(&queue->head, memory_order_relaxed);
    while (n < count && n < most && at != queue->tail_seen) {
        const unsigned char *record = record_at(queue, at);
        uint64_t head = head_word(record);
        if (head >> KIN__RECORD_SHIFT == KIN__SKIP) {
            at = kin__point_after(at, 0, kin__record_bytes(queue, head));
            continue;
        }
        if (head >> KIN__RECORD_SHIFT != KIN__INLINE || (head & KIN__RECORD_SIZE) != size)
            break;
        if (size == 8)
            memcpy(messages + n * 8, record + 8, 8);
        else if (size)
            memcpy(messages + n * size, record + 8, size);
        at = kin__point_after(at, 1, kin__record_bytes(queue, head));
        n++;
    }
    *got = n;
    return at;
}

static int get_some(kin_queue *queue, unsigned char *messages, size_t size, size_t count, kin__id me,
                    struct kin__patience *patience, size_t *got)
{
    int error = kin__queue_await(queue, me, patience);
    if (error)
        return error;
    *got = 1;
    if (queue->redeliver)
        return kin__redeliver_get(queue, messages, size, NULL, true);
    kin__point after = get_batch(queue, messages, size, count, got);
    if (*got) {
        kin__queue_pass(queue, after, (int)*got);
        return 0;
    }
    kin__point at;
    const unsigned char *record = kin__queue_next(queue, &at);
    uint64_t head = head_word(record), is = head & KIN__RECORD_SIZE, second;
    if (head >> KIN__RECORD_SHIFT != KIN__INLINE) {
        memcpy(&second, record + 16, 8);
        is = head >> KIN__RECORD_SHIFT == KIN__ARENA ? 0 : second;
    }
    if (head >> KIN__RECORD_SHIFT != KIN__INLINE && head >> KIN__RECORD_SHIFT != KIN__ARENA && is == size) {
        *got = 1;
        return get_reference(queue, record, at, messages, size, NULL, patience);
    }
    kin__gate_release(&queue->get);
    kin__event_tell(&queue->items, 1);
    return kin__fail(KIN_EINVAL, "the next message has %zu bytes, not %zu: it stays in the queue", (size_t)is,
                     size);
}

int kin_queue_get_many(kin_queue *queue, void *messages, size_t size, size_t count, size_t *done,
                       double timeout)
{
    kin__id me = 0;
    size_t out = 0, got = 0;
    if (done)
        *done = 0;
    int error = kin__queue_enter(queue, "get from a queue", timeout, &me);
    if (error)
        return error;
    if (count && (size > KIN_MESSAGE_MAX || (size && !messages)))
        error = kin__fail(KIN_EINVAL, "cannot get messages of %zu bytes from a queue: %s", size,
                          messages ? "there are none so large" : "the array is NULL");
    struct kin__patience patience = {.timeout = timeout};
    while (!error && out < count && !(out && is_empty(queue))) {
        unsigned char *to = (unsigned char *)messages + out * size;
        error = get_some(queue, to, size, count - out, me, &patience, &got);
        out += error ? 0 : got;
        patience = (struct kin__patience){.timeout = 0}; /* from the second on, only what is there */
    }
    if (done)
        *done = out;
    return kin__queue_leave(out ? 0 : error);
}
