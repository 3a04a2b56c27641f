/* message/queue.c - making, closing and freeing queues, and asking about them. See message/queue_shared.h. */
#include "message/queue_shared.h"

#include "base/failure.h"
#include "family/heap.h"
#include "family/journal.h"
#include "family/region.h"
#include "family/sealed.h"
#include "kin/heap.h"

#include <string.h>

int kin__queue_check(const kin_queue *queue, const char *what)
{
    return kin__object_check(queue, KIN__QUEUE_MAGIC, what);
}

int kin__queue_enter(const kin_queue *queue, const char *what, double timeout, kin__id *me)
{
    int error = kin__sync_check(queue, KIN__QUEUE_MAGIC, what);
    struct kin__thread *thread;
    if (error || (error = kin__timeout_check(timeout)) != 0)
        return error;
    if (!(thread = kin__sync_thread()))
        return kin_error_code();
    *me = thread->owner;
    kin__use_begin(thread, queue);
    return 0;
}

int kin__queue_put_gate(kin_queue *queue, kin__id me, struct kin__patience *patience)
{
    int error = kin__gate_acquire(&queue->put, queue, me, patience);
    if (error == KIN_EDIED)
        kin__queue_mend_put(queue);
    return error == KIN_EDIED ? 0 : error;
}

int kin__queue_get_gate(kin_queue *queue, kin__id me, struct kin__patience *patience)
{
    int error = kin__gate_acquire(&queue->get, queue, me, patience);
    if (error == KIN_EDIED)
        kin__queue_mend_get(queue);
    return error == KIN_EDIED ? 0 : error;
}

/* ---- making ---------------------------------------------------------------------------------- */

static int check_options(const kin_queue_options *options)
{
    if (options->maxsize > INT32_MAX)
        return kin__fail(KIN_EINVAL, "cannot make a queue for %zu messages: at most %d, or 0 for no bound",
                         options->maxsize, INT32_MAX);
    if (options->producers < 0 || options->producers > (int)KIN__MEMBERS_MAX)
        return kin__fail(KIN_EINVAL, "cannot make a queue for %d producers: a family has up to %u members",
                         options->producers, KIN__MEMBERS_MAX);
    return 0;
}

kin_queue *kin_queue_new(const kin_queue_options *given)
{
    kin_queue_options options;
    if (kin__options_read(&options, sizeof options, given, "queue options") || check_options(&options) ||
        !kin__self_id() || kin__sealed_refuse("make a queue"))
        return NULL;
    size_t consumers =
        options.joinable && !options.redeliver ? KIN__MEMBERS_MAX * sizeof(struct kin__consumer) : 0;
    size_t producers = options.producers ? KIN__MEMBERS_MAX * sizeof(struct kin__producer) : 0;
    size_t size = sizeof(kin_queue) + KIN__RING_LEAST + consumers + producers;
    kin_queue *queue = kin__heap_open_aligned(size, _Alignof(kin_queue), NULL);
    if (!queue)
        return NULL;
    memset(queue, 0, sizeof *queue);
    queue->ring = queue->first_ring;
    queue->bytes = KIN__RING_LEAST;
    queue->maxsize = (uint32_t)options.maxsize;
    queue->wanted = (uint32_t)options.producers;
    unsigned char *tables = queue->first_ring + KIN__RING_LEAST;
    memset(tables, 0, consumers + producers);
    if (consumers)
        queue->consumers = (struct kin__consumer *)tables;
    if (producers)
        queue->producers = (struct kin__producer *)(tables + consumers);
    queue->joinable = consumers != 0;
    queue->redeliver = options.redeliver;
    queue->extra = options.redeliver ? 8 : 0;
    if (options.name)
        strncpy(queue->sync.name, options.name, KIN__NAME_MAX - 1);
    kin__sync_publish(queue, KIN__QUEUE_MAGIC);
    kin__heap_close();
    return queue;
}

/* ---- ending ---------------------------------------------------------------------------------- */

void kin__queue_wake_all(kin_queue *queue)
{
    kin__event_wake(&queue->items, INT32_MAX);
    kin__event_wake(&queue->room, INT32_MAX);
}

int kin_queue_close(kin_queue *queue)
{
    kin__id me = 0;
    int error = kin__queue_enter(queue, "close a queue", 0, &me);
    if (error)
        return error;
    error = kin__queue_put_gate(queue, me, &(struct kin__patience){.timeout = kin__gate_patience});
    if (!error) {
        atomic_store(&queue->closed, 1);
        kin__gate_release(&queue->put);
        kin__queue_wake_all(queue);
    }
    return kin__queue_leave(error);
}

/* Both gates are ours, or neither. */
static int hold_both(kin_queue *queue, kin__id me)
{
    struct kin__patience now = {.timeout = 0};
    if (kin__queue_put_gate(queue, me, &now) == 0) {
        if (kin__queue_get_gate(queue, me, &now) == 0)
            return 0;
        kin__gate_release(&queue->put);
    }
    return kin__fail(KIN_EBUSY, "cannot free a queue: another process is in a call of it");
}

static void free_contents(kin_queue *queue)
{
    if (queue->redeliver) {
        atomic_store(&queue->head, atomic_load(&queue->floor));
        queue->redeliver = 0;
    }
    while (atomic_load(&queue->head) != atomic_load(&queue->tail))
        kin__queue_drop(queue);
}

/* It is empty. Should we die afterwards, the queue itself is left, and can be freed. */
static void free_ring(kin_queue *queue)
{
    struct kin__thread *thread = kin__thread_mine;
    const void *ring = queue->ring;
    kin__journal_begin();
    kin__journal_set_pointer(&queue->ring, queue->first_ring);
    kin__journal_set(&queue->bytes, KIN__RING_LEAST);
    kin__heap_free_in(thread, ring);
    kin__journal_end();
    kin__heap_free_finish(thread);
}

int kin_queue_free(kin_queue *queue)
{
    kin__id me = 0;
    if (!queue)
        return 0;
    int error = kin__queue_enter(queue, "free a queue", 0, &me);
    if (error)
        return error;
    error = kin__waits_none(queue);
    if (!error)
        error = hold_both(queue, me);
    if (error)
        return kin__queue_leave(error);
    atomic_store(&queue->closed, 1);
    free_contents(queue);
    if (queue->ring != queue->first_ring)
        free_ring(queue);
    kin__sync_free(queue);
    return kin__queue_leave(0);
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* Head first: it cannot be past the tail that is read after it. */
size_t kin_queue_size(const kin_queue *queue)
{
    if (kin__queue_check(queue, "ask for a queue's size"))
        return 0;
    kin__point head = atomic_load(&queue->head), tail = atomic_load(&queue->tail);
    uint32_t count = kin__point_count(tail) - kin__point_count(head);
    return queue->maxsize && count > queue->maxsize ? queue->maxsize : count;
}

bool kin_queue_empty(const kin_queue *queue)
{
    return kin_queue_size(queue) == 0;
}

bool kin_queue_full(const kin_queue *queue)
{
    if (kin__queue_check(queue, "ask whether a queue is full"))
        return false;
    return queue->maxsize && kin_queue_size(queue) >= queue->maxsize;
}

bool kin_queue_closed(const kin_queue *queue)
{
    return kin__queue_check(queue, "ask whether a queue is closed") == 0 && atomic_load(&queue->closed);
}
