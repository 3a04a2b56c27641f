/*
 * message/mend.c - what a member left half done in a queue when it died under a gate. See message/queue_shared.h.
 *
 * When a gate is taken over, recovery of its dead owner is complete: what it had under way in the heap is finished or undone,
 * its arenas are freed. Each step here may be repeated: who mends may die too.
 */
#include "base/failure.h"
#include "family/arena.h"
#include "family/heap.h"
#include "family/journal.h"
#include "message/queue_shared.h"

#define WORD_KIND UINT64_C(15) /* blocks and arenas are aligned to 16 */

static void *block_of(uint64_t word)
{
    return (void *)(uintptr_t)(word & ~WORD_KIND);
}

/* Free the block that a word names, and clear the word, as one. */
static void free_named(uint64_t *word)
{
    struct kin__thread *thread = kin__thread_self();
    if (!thread)
        return; /* no slot is left: the next one mends it */
    kin__journal_begin();
    kin__heap_free_in(thread, block_of(*word));
    kin__journal_set(word, 0);
    kin__journal_end();
    kin__heap_free_finish(thread);
}

/* Published: the queue has it. Not: it was in its maker's hands and goes with it. */
void kin__queue_mend_put(kin_queue *queue)
{
    if (!queue->offered)
        return;
    bool in = atomic_load(&queue->tail) != queue->offered_at;
    kin_arena *arena = block_of(queue->offered);
    if (in)
        kin__poke(&queue->offered, 0);
    else if ((queue->offered & WORD_KIND) == KIN__COPY)
        free_named(&queue->offered);
    else if (kin__arena_set_owner_and(arena, kin__self_id(), &queue->offered, 0) == 0)
        kin_arena_free(arena); /* ours: should we die in it, recovery frees it */
}

void kin__queue_mend_kept(kin_queue *queue)
{
    bool out = atomic_load(queue->redeliver ? &queue->floor : &queue->head) != queue->kept_at;
    bool arena = (queue->kept & WORD_KIND) == KIN__ARENA;
    if (out && !arena) {
        free_named(&queue->kept);
        return;
    }
    /* A block that is not out is in the queue still. An arena is gone with its taker, in or out. */
    if (!out && arena && queue->redeliver) {
        kin__redeliver_pass_arena(queue);
        kin__crash_fence();
    } else if (!out && arena) {
        kin__point at;
        kin__queue_next(queue, &at);
        atomic_store(&queue->head, kin__point_after(at, 1, KIN__BY_REFERENCE + queue->extra));
        kin__crash_fence();
    }
    kin__poke(&queue->kept, 0);
}

void kin__queue_mend_get(kin_queue *queue)
{
    if (queue->kept)
        kin__queue_mend_kept(queue); /* first: it may move head over an arena */
    kin__crash_fence();
    if (queue->taking) {
        if (atomic_load(&queue->head) != queue->taking_at)
            queue->consumers[queue->taking].taken = queue->taking_taken;
        kin__crash_fence();
        queue->taking = 0;
    }
    if (queue->redeliver)
        kin__redeliver_settle(queue);
}
