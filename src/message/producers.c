/* message/producers.c - a queue that closes when all its producers are done, or dead. See message/queue_shared.h. */
#include "message/queue_shared.h"

#include "base/failure.h"
#include "family/journal.h"
#include "process/process_shared.h"

static bool is_dead(kin__id id)
{
    return id != kin__self_id() && (!kin__member_find(id) || kin__member_recover(id) == 0);
}

/* Those that are done or dead, under the put gate. */
static uint32_t over(const kin_queue *queue)
{
    uint32_t count = queue->producers_gone;
    for (uint32_t i = 0; i < queue->producers_top; i++) {
        const struct kin__producer *producer = &queue->producers[i];
        count += producer->id && (producer->done || is_dead(producer->id));
    }
    return count;
}

static uint32_t known(const kin_queue *queue)
{
    uint32_t count = queue->producers_gone;
    for (uint32_t i = 0; i < queue->producers_top; i++)
        count += queue->producers[i].id != 0;
    return count;
}

static int add(kin_queue *queue, kin__id id)
{
    uint32_t slot = (uint32_t)id;
    struct kin__producer *producer = &queue->producers[slot];
    if (known(queue) >= queue->wanted)
        return kin__fail(KIN_ELIMIT, "cannot put into a queue: it has its %u producers already (.producers)",
                         queue->wanted);
    if (producer->id && !is_dead(producer->id)) { /* then who is to be added is, and had that slot before */
        queue->producers_gone++;
        return 0;
    }
    kin__journal_begin();
    if (producer->id) /* a member that had the slot before, and is dead */
        kin__journal_set32(&queue->producers_gone, queue->producers_gone + 1);
    kin__journal_set(&producer->id, id);
    kin__journal_set(&producer->done, 0);
    if (slot >= queue->producers_top)
        kin__journal_set32(&queue->producers_top, slot + 1);
    kin__journal_end();
    return 0;
}

int kin__producer_note(kin_queue *queue, kin__id me)
{
    const struct kin__producer *producer = &queue->producers[(uint32_t)me];
    if (producer->id != me)
        return add(queue, me);
    if (producer->done)
        return kin__fail(KIN_ECLOSED, "cannot put into a queue: this process has said kin_queue_done");
    return 0;
}

/* Under the put gate, which is released. */
static bool close_if_over(kin_queue *queue)
{
    bool all = over(queue) >= queue->wanted;
    if (all)
        atomic_store(&queue->closed, 1);
    kin__gate_release(&queue->put);
    if (all)
        kin__queue_wake_all(queue);
    return all;
}

bool kin__producers_over(kin_queue *queue, kin__id me)
{
    struct kin__patience now = {.timeout = 0};
    if (kin__queue_put_gate(queue, me, &now))
        return false; /* somebody is putting */
    return close_if_over(queue);
}

static int enter(kin_queue *queue, const char *what, kin__id *me)
{
    int error = kin__queue_enter(queue, what, 0, me);
    if (error)
        return error;
    if (!queue->wanted)
        error = kin__fail(KIN_EINVAL,
                          "cannot %s: the queue does not count its producers (set .producers in its options)",
                          what);
    else
        error = kin__queue_put_gate(queue, *me, &(struct kin__patience){.timeout = kin__gate_patience});
    return error ? kin__queue_leave(error) : 0;
}

int kin_queue_done(kin_queue *queue)
{
    kin__id me = 0;
    int error = enter(queue, "say that a producer is done", &me);
    if (error)
        return error;
    struct kin__producer *producer = &queue->producers[(uint32_t)me];
    if (producer->id != me)
        error = add(queue, me);
    if (error) {
        kin__gate_release(&queue->put);
        return kin__queue_leave(error);
    }
    producer->done = 1;
    close_if_over(queue);
    return kin__queue_leave(0);
}

int kin_queue_add_producer(kin_queue *queue, const kin_process *process)
{
    kin__id me = 0;
    int error = kin__process_check(process, "make a process a producer");
    kin__id id = error ? 0 : process->id;
    if (!error)
        error = enter(queue, "add a producer", &me);
    if (error)
        return error;
    if (queue->producers[(uint32_t)id].id != id)
        error = add(queue, id);
    kin__gate_release(&queue->put);
    return kin__queue_leave(error);
}
