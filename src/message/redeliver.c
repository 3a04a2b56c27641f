/*
 * message/redeliver.c - queues that deliver again what a consumer had got and not finished when it died.
 *
 * What was got stays in the ring until it is done, with a word that says who has it: a third point, `floor`, stands where all
 * before it is done. So nothing is kept twice, what comes again comes in the order in which it was put, and a producer
 * needs room behind floor, not behind head.
 *
 *   word     written by            rule                                 when the writer dies there
 *   ------   -------------------   ----------------------------------   ---------------------------------------------
 *   state    under the get gate    name of the thread that has it,      before head: void, the message is new still;
 *                                  how often it was delivered, DONE     else as stored: it is a dead one's, to be
 *                                                                       delivered again, or it is done
 *   floor    under the get gate    past what is DONE                    mend.c: moved on
 *
 *   R1  floor to head there are whole records, each with a state: somebody's, or DONE
 *   R2  under no gate the record at floor is not DONE, unless floor is head
 */
#include "message/queue_shared.h"

#include "base/failure.h"
#include "family/checked.h"
#include "family/heap.h"
#include "family/journal.h"
#include "kin/heap.h"

#include <string.h>

#define DONE UINT64_C(1)
#define ONCE_SHIFT 13 /* bits 13 to 31 of a name are its user's */
#define ONCE (UINT64_C(1) << ONCE_SHIFT)
#define TIMES_MASK UINT64_C(0xffffe000)

static uint64_t name_in(uint64_t state)
{
    return state & ~(TIMES_MASK | DONE);
}

static unsigned times_in(uint64_t state)
{
    return (unsigned)((state & TIMES_MASK) >> ONCE_SHIFT);
}

static unsigned char *record_at(const kin_queue *queue, kin__point at)
{
    return queue->ring + ((uint64_t)kin__point_words(at) * 8 & (queue->bytes - 1));
}

static uint64_t head_of(const unsigned char *record)
{
    return *(const uint64_t *)record;
}

static bool is_skip(const unsigned char *record)
{
    return head_of(record) >> KIN__RECORD_SHIFT == KIN__SKIP;
}

static uint64_t *state_of(unsigned char *record)
{
    return (uint64_t *)(record + 8);
}

static kin__point after(const kin_queue *queue, kin__point at)
{
    const unsigned char *record = record_at(queue, at);
    return kin__point_after(at, !is_skip(record), kin__record_bytes(queue, head_of(record)));
}

/* Those that are had, from floor on: the first that `fits` says is it. */
static unsigned char *find(const kin_queue *queue, bool (*fits)(uint64_t state, uint64_t whose),
                           uint64_t whose)
{
    kin__point head = atomic_load(&queue->head);
    for (kin__point at = atomic_load(&queue->floor); at != head; at = after(queue, at)) {
        unsigned char *record = record_at(queue, at);
        if (!is_skip(record) && !(*state_of(record) & DONE) && fits(*state_of(record), whose))
            return record;
    }
    return NULL;
}

static bool is_abandoned(uint64_t state, uint64_t unused)
{
    (void)unused;
    return kin__name_gone(name_in(state));
}

static bool is_threads(uint64_t state, uint64_t name)
{
    return name_in(state) == name;
}

static bool is_members(uint64_t state, uint64_t id)
{
    return kin__thread_member(name_in(state)) == id;
}

static bool is_others(uint64_t state, uint64_t id)
{
    return kin__thread_member(name_in(state)) != id;
}

/* As long as no thread has ended and there is something new there is no need to look. */
static unsigned char *abandoned(kin_queue *queue)
{
    uint64_t ended = kin__peek(&kin__heap()->threads_left);
    atomic_thread_fence(memory_order_acquire); /* partner: retire() in family/thread.c */
    if (ended == queue->ended && atomic_load(&queue->head) != atomic_load(&queue->tail))
        return NULL;
    unsigned char *record = find(queue, is_abandoned, 0);
    if (!record)
        queue->ended = ended;
    return record;
}

bool kin__redeliver_pending(kin_queue *queue)
{
    queue->again = abandoned(queue);
    return queue->again != NULL;
}

bool kin__redeliver_others_have(const kin_queue *queue, kin__id me)
{
    return find(queue, is_others, me) != NULL;
}

/* ---- getting --------------------------------------------------------------------------------- */

static int refuse(size_t size, size_t capacity, bool exact)
{
    if (exact)
        return kin__fail(KIN_EINVAL, "the next message has %zu bytes, not %zu: it stays in the queue", size,
                         capacity);
    return kin__fail(KIN_ETOOLARGE,
                     "the next message has %zu bytes, the buffer only %zu: it stays in the queue", size,
                     capacity);
}

static bool is_arena(const unsigned char *record)
{
    return head_of(record) >> KIN__RECORD_SHIFT == KIN__ARENA;
}

/* The bytes of a message, and where they are; of an arena 0, and its address. */
static uint64_t contents(const unsigned char *record, const void **data)
{
    uint64_t head = head_of(record), word, size;
    *data = record + 16;
    if (head >> KIN__RECORD_SHIFT == KIN__INLINE)
        return head & KIN__RECORD_SIZE;
    memcpy(&word, record + 16, 8);
    memcpy(&size, record + 24, 8);
    *data = (const void *)(uintptr_t)word;
    return is_arena(record) ? 0 : size;
}

/* What comes next: what a dead one had, or what is new. */
struct next {
    unsigned char *record;
    bool again;
    kin__point at; /* of what is new */
};

/* It was looked for when the queue was found to have a message: who looks again may find another answer. */
static struct next next_of(kin_queue *queue)
{
    struct next next = {.record = queue->again};
    next.again = next.record != NULL;
    if (!next.again)
        next.record = kin__queue_next(queue, &next.at);
    return next;
}

/* It stays; others may have more luck. */
static int leave_it(kin_queue *queue, int error)
{
    kin__gate_release(&queue->get);
    kin__event_tell(&queue->items, 1);
    return error;
}

/* It is the thread's, by one store; the gate is released. */
static void hand_out(kin_queue *queue, const struct next *next, const struct kin__thread *thread)
{
    uint64_t times = next->again ? *state_of(next->record) & TIMES_MASK : 0;
    kin__crash_fence();
    kin__poke(state_of(next->record), thread->name | (times + ONCE > TIMES_MASK ? TIMES_MASK : times + ONCE));
    kin__crash_fence();
    if (!next->again)
        atomic_store_explicit(&queue->head, after(queue, next->at), memory_order_release);
    bool more = atomic_load_explicit(&queue->head, memory_order_relaxed) != queue->tail_seen;
    kin__gate_release(&queue->get);
    kin__event_tell(&queue->room, 1);
    if (more)
        kin__event_tell(&queue->items, 1);
}

/* Copied under the gate: a block goes when its message is done, which another thread of ours may say. */
int kin__redeliver_get(kin_queue *queue, void *buffer, size_t capacity, size_t *size, bool exact)
{
    struct next next = next_of(queue);
    const void *data;
    uint64_t bytes = contents(next.record, &data);
    if (is_arena(next.record))
        return leave_it(queue, kin__fail(KIN_EINVAL, "the next message is an arena: it can only be taken"));
    if (size)
        *size = bytes;
    if (bytes > capacity || (exact && bytes != capacity))
        return leave_it(queue, refuse(bytes, capacity, exact));
    if (bytes)
        memcpy(buffer, data, bytes);
    hand_out(queue, &next, kin__thread_mine);
    return 0;
}

/* A block of one's own with a copy in it; it goes with its thread until it is the user's, as in give.c. An arena cannot be copied:
 * it stays the queue's, and what is in it is lent. */
int kin__redeliver_take(kin_queue *queue, kin_message *out)
{
    struct next next = next_of(queue);
    const void *data;
    uint64_t bytes = contents(next.record, &data);
    *out = (kin_message){.size = bytes};
    if (is_arena(next.record)) {
        memcpy(&out->data, next.record + 24, 8);
        hand_out(queue, &next, kin__thread_mine);
        return 0;
    }
    bool checked = kin__checks_heap();
    out->data = checked ? kin_malloc(bytes) : kin__heap_open(bytes ? bytes : 1, NULL);
    if (!out->data)
        return leave_it(queue, kin_error_code());
    memcpy(out->data, data, bytes);
    hand_out(queue, &next, kin__thread_mine);
    if (!checked)
        kin__intend(kin__thread_mine, KIN__INTENT_LAST, out->data);
    return 0;
}

/* ---- finishing ------------------------------------------------------------------------------- */

/* Floor past one record, whose block or arena goes: as what goes out in get.c, and in give.c. */
static void pass_floor(kin_queue *queue, const unsigned char *record)
{
    kin__point floor = atomic_load(&queue->floor), next = after(queue, floor);
    uint64_t kind = head_of(record) >> KIN__RECORD_SHIFT;
    const void *block = NULL;
    bool ours = false, checked = kind == KIN__GIVEN && kin__checks_heap(); /* it has guards, and a history */
    if (kind == KIN__COPY || kind == KIN__GIVEN || kind == KIN__ARENA)
        contents(record, &block);
    queue->kept_at = floor;
    kin__crash_fence();
    if (kind == KIN__COPY || (kind == KIN__GIVEN && !checked))
        kin__poke(&queue->kept, (uint64_t)(uintptr_t)block);
    else if (kind == KIN__ARENA)
        ours = kin__arena_set_owner_and((kin_arena *)(uintptr_t)block, kin__self_id(), &queue->kept,
                                        (uint64_t)(uintptr_t)block | KIN__ARENA) == 0;
    kin__crash_fence();
    atomic_store_explicit(&queue->floor, next, memory_order_release); /* partner: the acquire in put.c */
    kin__crash_fence();
    if (queue->kept)
        kin__queue_mend_kept(queue);
    if (ours)
        kin_arena_free((kin_arena *)(uintptr_t)block);
    else if (checked)
        kin_free((void *)(uintptr_t)block);
}

/* Its taker had made it its own, and died before floor moved: it is gone. */
void kin__redeliver_pass_arena(kin_queue *queue)
{
    atomic_store(&queue->floor, after(queue, atomic_load(&queue->floor)));
}

void kin__redeliver_settle(kin_queue *queue)
{
    for (;;) {
        kin__point floor = atomic_load(&queue->floor);
        unsigned char *record = record_at(queue, floor);
        if (floor == atomic_load(&queue->head) || (!is_skip(record) && !(*state_of(record) & DONE)))
            return;
        pass_floor(queue, record);
    }
}

bool kin__redeliver_all_done(const kin_queue *queue)
{
    return kin__point_count(atomic_load(&queue->floor)) == kin__point_count(atomic_load(&queue->tail));
}

int kin__redeliver_done(kin_queue *queue, kin__id me)
{
    struct kin__thread *thread = kin__sync_thread();
    unsigned char *record = thread ? find(queue, is_threads, thread->name) : NULL;
    if (thread && !record)
        record = find(queue, is_members, me);
    if (record) {
        kin__poke(state_of(record), *state_of(record) | DONE);
        kin__crash_fence();
        kin__redeliver_settle(queue);
    }
    bool all = kin__redeliver_all_done(queue);
    kin__gate_release(&queue->get);
    if (!thread)
        return kin_error_code();
    if (!record)
        return kin__fail(KIN_EINVAL, "cannot finish a message: this process has got none that is unfinished");
    if (all)
        kin__event_tell(&queue->finished, INT32_MAX);
    if (atomic_load(&queue->closed)) /* perhaps nothing can come to them any more */
        kin__event_tell(&queue->items, INT32_MAX);
    return 0;
}

static unsigned deliveries(kin_queue *queue, kin__id me)
{
    struct kin__patience patience = {.timeout = kin__gate_patience};
    if (!queue->redeliver || kin__queue_get_gate(queue, me, &patience))
        return 0;
    unsigned times = 0;
    kin__point head = atomic_load(&queue->head);
    /* The one that it got last: what comes again is older than what it may have still. */
    for (kin__point at = atomic_load(&queue->floor); at != head; at = after(queue, at)) {
        unsigned char *record = record_at(queue, at);
        if (!is_skip(record) && !(*state_of(record) & DONE) &&
            is_threads(*state_of(record), kin__thread_mine->name))
            times = times_in(*state_of(record));
    }
    kin__gate_release(&queue->get);
    return times;
}

unsigned kin_queue_deliveries(kin_queue *queue)
{
    kin__id me = 0;
    unsigned times = 0;
    if (kin__queue_enter(queue, "ask how often a message was delivered", 0, &me) == 0) {
        times = deliveries(queue, me);
        kin__queue_leave(0);
    }
    return times;
}
