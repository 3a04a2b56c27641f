/* message/give.c - handing blocks and arenas over, without copying. See message/queue_shared.h. */
#include "message/queue_shared.h"

#include "base/failure.h"
#include "family/arena.h"
#include "family/checked.h"
#include "family/heap.h"
#include "family/journal.h"
#include "kin/heap.h"

#include <string.h>

static int give(kin_queue *queue, void *block, size_t size, kin__id me, double timeout)
{
    if (!kin_is_shared(block))
        return kin__fail(KIN_ENOTSHARED, "cannot give %p to a queue: it is no memory of the shared heap",
                         block);
    size_t has = kin_usable_size(block);
    if (!has || size > has)
        return kin__fail(KIN_EINVAL, "cannot give %zu bytes at %p to a queue: %s", size, block,
                         has ? "the block is smaller" : "it is not a block in use");
    return kin__queue_post(queue, &(struct kin__parcel){KIN__GIVEN, block, size}, me,
                           &(struct kin__patience){.timeout = timeout});
}

int kin_queue_give(kin_queue *queue, void *block, size_t size, double timeout)
{
    kin__id me = 0;
    int error = kin__queue_enter(queue, "give a block to a queue", timeout, &me);
    return error ? error : kin__queue_leave(give(queue, block, size, me, timeout));
}

static int give_arena(kin_queue *queue, kin_arena *arena, void *root, kin__id me, double timeout)
{
    int error = kin__arena_check(arena, "give an arena to a queue");
    if (error)
        return error;
    if (kin__arena_owner(arena) != me)
        return kin__fail(KIN_EPERM, "cannot give an arena to a queue: it belongs to another");
    return kin__queue_post(queue, &(struct kin__parcel){KIN__ARENA, arena, (uint64_t)(uintptr_t)root}, me,
                           &(struct kin__patience){.timeout = timeout});
}

int kin_queue_give_arena(kin_queue *queue, kin_arena *arena, void *root, double timeout)
{
    kin__id me = 0;
    int error = kin__queue_enter(queue, "give an arena to a queue", timeout, &me);
    return error ? error : kin__queue_leave(give_arena(queue, arena, root, me, timeout));
}

/* ---- taking ---------------------------------------------------------------------------------- */

static void read_reference(const kin_queue *queue, const unsigned char *record, uint64_t *word,
                           uint64_t *second)
{
    memcpy(word, record + 8 + queue->extra, 8);
    memcpy(second, record + 16 + queue->extra, 8);
}

/* Ours in one transaction with `kept`; then out by the store of head. If we die between, it goes: mend.c passes over it. It counts
 * as ours from before that, or nobody would be done with it. */
static int take_arena(kin_queue *queue, uint64_t word)
{
    if (queue->joinable)
        kin__consumer_begin(queue, 1);
    queue->kept_at = atomic_load_explicit(&queue->head, memory_order_relaxed);
    kin__crash_fence();
    return kin__arena_set_owner_and((kin_arena *)(uintptr_t)word, kin__self_id(), &queue->kept,
                                    word | KIN__ARENA);
}

/* From now on it is the user's, as after kin_malloc; until here it goes with its thread. */
static void hand_out(const void *block)
{
    kin__intend(kin__thread_mine, KIN__INTENT_LAST, block);
}

/* The user will free it by kin_free, which under KIN_CHECK=heap knows only blocks that kin_malloc made. */
static int take_copy(kin_queue *queue, kin__point after, uint64_t word, uint64_t size, void **out)
{
    void *block = (void *)(uintptr_t)word;
    if (!kin__checks_heap()) {
        kin__queue_pass_block(queue, after, block);
        *out = block;
        hand_out(block);
        return 0;
    }
    *out = kin_malloc(size);
    if (!*out) {
        kin__gate_release(&queue->get);
        kin__event_tell(&queue->items, 1);
        return kin_error_code();
    }
    kin__queue_get_copy(queue, after, block, *out, size);
    return 0;
}

static int take_inline(kin_queue *queue, kin__point after, const unsigned char *record, kin_message *out)
{
    out->size = *(const uint64_t *)record & KIN__RECORD_SIZE;
    bool checked = kin__checks_heap();
    out->data = checked ? kin_malloc(out->size) : kin__heap_open(out->size ? out->size : 1, NULL);
    if (!out->data) {
        kin__gate_release(&queue->get);
        kin__event_tell(&queue->items, 1);
        return kin_error_code();
    }
    memcpy(out->data, record + 8, out->size);
    kin__queue_pass(queue, after, 1);
    if (!checked)
        hand_out(out->data);
    return 0;
}

static int take(kin_queue *queue, kin_message *out, kin__id me, double timeout)
{
    struct kin__patience patience = {.timeout = timeout};
    if (!out)
        return kin__fail(KIN_EINVAL, "cannot take from a queue: no place for the message");
    int error = kin__queue_await(queue, me, &patience);
    if (error)
        return error;
    if (queue->redeliver)
        return kin__redeliver_take(queue, out);
    *out = (kin_message){0};
    kin__point at;
    const unsigned char *record = kin__queue_next(queue, &at);
    uint64_t head = *(const uint64_t *)record, word = 0, second = 0;
    kin__point after = kin__point_after(at, 1, kin__record_bytes(queue, head));
    enum kin__record kind = (enum kin__record)(head >> KIN__RECORD_SHIFT);
    if (kind != KIN__INLINE)
        read_reference(queue, record, &word, &second);
    if (kind == KIN__ARENA && !kin__heap_reach(kin__patience_grace(&patience)))
        error = kin__heap_stopped();
    if (kind == KIN__ARENA && (error || (error = take_arena(queue, word)) != 0)) {
        queue->taking = 0;
        kin__gate_release(&queue->get);
        kin__event_tell(&queue->items, 1);
        return error;
    }
    if (kind == KIN__INLINE)
        return take_inline(queue, after, record, out);
    if (kind == KIN__ARENA) {
        *out = (kin_message){.data = (void *)(uintptr_t)second, .arena = (kin_arena *)(uintptr_t)word};
        kin__queue_pass(queue, after, 1);
        return 0;
    }
    out->size = second;
    if (kind == KIN__COPY)
        return take_copy(queue, after, word, second, &out->data);
    out->data = (void *)(uintptr_t)word;
    kin__queue_pass(queue, after, 1);
    return 0;
}

int kin_queue_take(kin_queue *queue, kin_message *out, double timeout)
{
    kin__id me = 0;
    int error = kin__queue_enter(queue, "take from a queue", timeout, &me);
    return error ? error : kin__queue_leave(take(queue, out, me, timeout));
}

/* ---- dropping -------------------------------------------------------------------------------- */

void kin__queue_drop(kin_queue *queue)
{
    kin__point at;
    const unsigned char *record = kin__queue_next(queue, &at);
    uint64_t head = *(const uint64_t *)record, word = 0, second = 0;
    enum kin__record kind = (enum kin__record)(head >> KIN__RECORD_SHIFT);
    if (kind != KIN__INLINE)
        read_reference(queue, record, &word, &second);
    bool ours = kind == KIN__ARENA && take_arena(queue, word) == 0;
    bool checked = kind == KIN__GIVEN && kin__checks_heap(), freed = kind == KIN__COPY || kind == KIN__GIVEN;
    if (freed && !checked) {
        queue->kept_at = atomic_load(&queue->head);
        kin__crash_fence();
        kin__poke(&queue->kept, word);
        kin__crash_fence();
    }
    atomic_store(&queue->head, kin__point_after(at, 1, kin__record_bytes(queue, head)));
    kin__crash_fence();
    if (freed && !checked)
        kin__queue_mend_get(queue); /* as if who moved head had died: the block is freed once */
    kin__poke(&queue->kept, 0);
    if (ours)
        kin_arena_free((kin_arena *)(uintptr_t)word);
    else if (checked)
        kin_free((void *)(uintptr_t)word);
}
