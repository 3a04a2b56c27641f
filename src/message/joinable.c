/*
 * message/joinable.c - counting messages until they are done. See message/queue_shared.h.
 *
 * What was put is told by tail, what was got by head. What each member has got and done is noted in its slot; when it has ended, it
 * is settled, in one transaction: what it did is added up, and what it had and nobody has done is lost. Unfinished is the difference.
 *
 * One member may say that a message is done which another one got. So the difference of a member may be less than 0; and no more
 * is lost than was got and neither done nor lost, by anybody.
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

/* Done by anybody. */
static uint32_t done_by_all(const kin_queue *queue)
{
    uint32_t done = queue->gone_done;
    for (uint32_t i = 0; i < queue->consumers_top; i++)
        done += queue->consumers[i].done;
    return done;
}

/* In a transaction: the slot is nobody's, of one that has ended. */
static void settle(kin_queue *queue, struct kin__consumer *consumer)
{
    int32_t had = (int32_t)(consumer->taken - consumer->done);
    int32_t most = (int32_t)(kin__point_count(atomic_load(&queue->head)) - done_by_all(queue) - queue->lost);
    int32_t lost = had < most ? had : most;
    if (lost > 0)
        kin__journal_set32(&queue->lost, queue->lost + (uint32_t)lost);
    kin__journal_set32(&queue->gone_done, queue->gone_done + consumer->done);
    kin__journal_set32(&consumer->taken, 0);
    kin__journal_set32(&consumer->done, 0);
    kin__journal_set(&consumer->id, 0);
}

struct kin__consumer *kin__consumer_of(kin_queue *queue, kin__id me)
{
    uint32_t slot = (uint32_t)me;
    struct kin__consumer *consumer = &queue->consumers[slot];
    if (consumer->id != me) {
        kin__journal_begin();
        if (consumer->id)
            settle(queue, consumer);
        kin__journal_set(&consumer->id, me);
        if (slot >= queue->consumers_top)
            kin__journal_set32(&queue->consumers_top, slot + 1);
        kin__journal_end();
    }
    return consumer;
}

static bool is_dead(kin__id id)
{
    return id != kin__self_id() && (!kin__member_find(id) || kin__member_recover(id) == 0);
}

/* Those that have got more than they have done, and have ended. */
static void settle_the_dead(kin_queue *queue)
{
    for (uint32_t i = 0; i < queue->consumers_top; i++) {
        struct kin__consumer *consumer = &queue->consumers[i];
        if (consumer->id && consumer->taken != consumer->done && is_dead(consumer->id)) {
            kin__journal_begin();
            settle(queue, consumer);
            kin__journal_end();
        }
    }
}

/* Messages put and neither done nor lost. */
static int32_t unfinished(const kin_queue *queue)
{
    return (int32_t)(kin__point_count(atomic_load(&queue->tail)) - done_by_all(queue) - queue->lost);
}

static int check_joinable(const kin_queue *queue, const char *what)
{
    if (queue->consumers || queue->redeliver)
        return 0;
    return kin__fail(KIN_EINVAL, "cannot %s: the queue is not joinable (set .joinable in its options)", what);
}

/* Under the get gate: one more is done. How many are left before that; 0 or less: there is none. */
static int32_t count_one(kin_queue *queue, kin__id me)
{
    struct kin__consumer *consumer = kin__consumer_of(queue, me);
    int32_t left = unfinished(queue);
    bool all_over = kin__point_count(atomic_load(&queue->head)) == done_by_all(queue) + queue->lost;
    if (all_over && queue->lost != queue->told) { /* it had been got by one that died, who had passed it on */
        kin__journal_begin();
        kin__journal_set32(&queue->lost, queue->lost - 1);
        kin__journal_set32(&consumer->done, consumer->done + 1);
        kin__journal_end();
        return left + 1;
    }
    if (left > 0)
        consumer->done++;
    return left;
}

static int task_done(kin_queue *queue, kin__id me)
{
    int error = check_joinable(queue, "finish a message");
    if (!error)
        error = kin__queue_get_gate(queue, me, &(struct kin__patience){.timeout = kin__gate_patience});
    if (error)
        return error;
    if (queue->redeliver)
        return kin__redeliver_done(queue, me);
    int32_t left = count_one(queue, me);
    kin__gate_release(&queue->get);
    if (left <= 0)
        return kin__fail(KIN_EINVAL, "kin_queue_task_done was called more often than there were messages");
    if (left == 1)
        kin__event_tell(&queue->finished, INT32_MAX);
    return 0;
}

int kin_queue_task_done(kin_queue *queue)
{
    kin__id me = 0;
    int error = kin__queue_enter(queue, "finish a message", 0, &me);
    return error ? error : kin__queue_leave(task_done(queue, me));
}

/* Whether all is over; what nobody was told of before goes to *lost. */
static int look(kin_queue *queue, kin__id me, struct kin__patience *patience, bool *over, size_t *lost)
{
    int error = kin__queue_get_gate(queue, me, patience);
    if (error)
        return error;
    if (!queue->redeliver)
        settle_the_dead(queue);
    *over = queue->redeliver ? kin__redeliver_all_done(queue) : unfinished(queue) <= 0;
    if (*over) {
        *lost = queue->lost - queue->told;
        queue->told = queue->lost;
    }
    kin__gate_release(&queue->get);
    return 0;
}

static int join(kin_queue *queue, kin__id me, size_t *lost, double timeout)
{
    int error = check_joinable(queue, "join a queue");
    struct kin__patience patience = {.timeout = timeout};
    bool over = false;
    while (!error) {
        struct kin__nap nap = kin__event_prepare(&queue->finished);
        error = look(queue, me, &patience, &over, lost);
        if (error || over)
            break;
        error = timeout > 0
                    ? kin__event_sleep(&queue->finished, queue, nap, kin__patience_deadline(&patience))
                    : KIN_ETIMEDOUT;
        if (error)
            error = kin__fail(error, "there are unfinished messages after %g seconds", timeout);
    }
    if (error || !*lost)
        return error;
    return kin__fail(KIN_ELOST,
                     "%zu messages were got by processes that died before they said kin_queue_task_done",
                     *lost);
}

int kin_queue_join(kin_queue *queue, size_t *lost, double timeout)
{
    kin__id me = 0;
    size_t gone = 0;
    int error = kin__queue_enter(queue, "join a queue", timeout, &me);
    if (!error)
        error = kin__queue_leave(join(queue, me, &gone, timeout));
    if (lost)
        *lost = gone;
    return error;
}
