/*
 * message/joinable.c - counting messages until they are done. See message/queue_shared.h.
 *
 * Nothing is counted twice, so nothing can part: what was put is told by tail; what was got, done and lost is noted for each
 * member slot, for all members together that had it, under the get gate. Unfinished is the difference.
 */
#include "message/queue_shared.h"

#include "base/failure.h"
#include "family/journal.h"

void kin__consumer_begin(kin_queue *queue, uint32_t messages)
{
    kin__id me = atomic_load_explicit(&queue->get.owner, memory_order_relaxed);
    struct kin__consumer *consumer = kin__consumer_of(queue, me);
    queue->taking_at = atomic_load_explicit(&queue->head, memory_order_relaxed);
    queue->taking_taken = consumer->taken + messages;
    kin__crash_fence();
    queue->taking = (uint32_t)me;
    kin__crash_fence();
}

void kin__consumer_end(kin_queue *queue)
{
    kin__crash_fence();
    queue->consumers[queue->taking].taken = queue->taking_taken;
    kin__crash_fence();
    queue->taking = 0;
}

/* What a dead member had got and not done is lost: the same figure, however often it is asked. */
static void settle(struct kin__consumer *consumer)
{
    consumer->lost = consumer->taken - consumer->done;
}

struct kin__consumer *kin__consumer_of(kin_queue *queue, kin__id me)
{
    uint32_t slot = (uint32_t)me;
    struct kin__consumer *consumer = &queue->consumers[slot];
    if (consumer->id != me) {
        settle(consumer); /* of the member that had the slot before */
        kin__crash_fence();
        consumer->id = me;
        if (slot >= queue->consumers_top)
            queue->consumers_top = slot + 1;
    }
    return consumer;
}

static bool is_dead(kin__id id)
{
    return id != kin__self_id() && (!kin__member_find(id) || kin__member_recover(id) == 0);
}

/* Messages put and neither done nor lost. With `settled`, those of the dead count as lost. */
static int32_t unfinished(kin_queue *queue, bool settled, uint32_t *lost)
{
    uint32_t over = 0;
    *lost = 0;
    for (uint32_t i = 0; i < queue->consumers_top; i++) {
        struct kin__consumer *consumer = &queue->consumers[i];
        if (settled && consumer->id && consumer->taken != consumer->done + consumer->lost &&
            is_dead(consumer->id))
            settle(consumer);
        over += consumer->done + consumer->lost;
        *lost += consumer->lost;
    }
    return (int32_t)(kin__point_count(atomic_load(&queue->tail)) - over);
}

static int check_joinable(const kin_queue *queue, const char *what)
{
    if (queue->consumers || queue->redeliver)
        return 0;
    return kin__fail(KIN_EINVAL, "cannot %s: the queue is not joinable (set .joinable in its options)", what);
}

int kin_queue_task_done(kin_queue *queue)
{
    kin__id me = 0;
    int error = kin__queue_enter(queue, "finish a message", 0, &me);
    if (!error)
        error = check_joinable(queue, "finish a message");
    if (error)
        return error;
    error = kin__queue_get_gate(queue, me, &(struct kin__patience){.timeout = KIN_FOREVER});
    if (error)
        return error;
    if (queue->redeliver)
        return kin__redeliver_done(queue, me);
    uint32_t lost;
    int32_t left = unfinished(queue, false, &lost);
    if (left > 0)
        kin__consumer_of(queue, me)->done++;
    kin__gate_release(&queue->get);
    if (left <= 0)
        return kin__fail(KIN_EINVAL, "kin_queue_task_done was called more often than there were messages");
    if (left == 1)
        kin__event_tell(&queue->finished, INT32_MAX);
    return 0;
}

/* Whether all is over; what nobody was told of before goes to *lost. */
static int look(kin_queue *queue, kin__id me, struct kin__patience *patience, bool *over, size_t *lost)
{
    int error = kin__queue_get_gate(queue, me, patience);
    if (error)
        return error;
    uint32_t all = 0;
    *over = queue->redeliver ? kin__redeliver_all_done(queue) : unfinished(queue, true, &all) <= 0;
    if (*over) {
        *lost = (uint32_t)(all - queue->told);
        queue->told = all;
    }
    kin__gate_release(&queue->get);
    return 0;
}

int kin_queue_join(kin_queue *queue, size_t *lost, double timeout)
{
    kin__id me = 0;
    size_t gone = 0;
    if (lost)
        *lost = 0;
    int error = kin__queue_enter(queue, "join a queue", timeout, &me);
    if (!error)
        error = check_joinable(queue, "join a queue");
    struct kin__patience patience = {.timeout = timeout};
    bool over = false;
    while (!error) {
        struct kin__nap nap = kin__event_prepare(&queue->finished);
        error = look(queue, me, &patience, &over, &gone);
        if (error || over)
            break;
        error = timeout > 0
                    ? kin__event_sleep(&queue->finished, queue, nap, kin__patience_deadline(&patience))
                    : KIN_ETIMEDOUT;
        if (error)
            error = kin__fail(error, "there are unfinished messages after %g seconds", timeout);
    }
    if (error || !gone)
        return error;
    if (lost)
        *lost = gone;
    return kin__fail(
        KIN_ELOST, "%zu messages were got by processes that died before they said kin_queue_task_done", gone);
}
