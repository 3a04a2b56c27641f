/* message/waits.c - what a report of waits (kin/waits.h) tells of those that wait at queues and broadcasts. */
#include "sync/waits.h"
#include "message/broadcast_shared.h"
#include "message/queue_shared.h"
#include "sync/describe.h"

#include <stdio.h>
#include <string.h>

static void tell(struct kin__held *held, const char *what)
{
    snprintf(held->what, sizeof held->what, "%s", what);
}

static bool at_gate(const struct kin__gate *gate, uint64_t word, struct kin__held *held)
{
    if (word != (uintptr_t)&gate->sleepers.signal)
        return false;
    held->member = atomic_load_explicit(&gate->owner, memory_order_relaxed);
    return true;
}

static void of_queue(const void *object, uint64_t word, struct kin__held *held)
{
    const struct kin_queue *queue = object;
    if (word == (uintptr_t)&queue->items.signal)
        tell(held, "a message");
    else if (word == (uintptr_t)&queue->room.signal)
        tell(held, "room");
    else if (word == (uintptr_t)&queue->finished.signal)
        tell(held, "all to be done");
    else if (at_gate(&queue->put, word, held))
        tell(held, "its turn to put");
    else if (at_gate(&queue->get, word, held))
        tell(held, "its turn to get");
}

static void of_broadcast(const void *object, uint64_t word, struct kin__held *held)
{
    const struct kin_broadcast *broadcast = object;
    if (word == (uintptr_t)&broadcast->items.signal)
        tell(held, "a message");
    else if (word == (uintptr_t)&broadcast->room.signal)
        tell(held, "room");
    else if (at_gate(&broadcast->gate, word, held))
        tell(held, "its turn to write");
}

static void describe_queue(const void *object, struct kin__description *out)
{
    const kin_queue *queue = object;
    size_t count = kin_queue_size(queue);
    memcpy(out->name, queue->sync.name, KIN__NAME_MAX - 1);
    snprintf(out->how, sizeof out->how, "%zu %s%s", count, count == 1 ? "message" : "messages",
             kin_queue_closed(queue) ? ", closed" : "");
}

static void describe_broadcast(const void *object, struct kin__description *out)
{
    const kin_broadcast *broadcast = object;
    uint32_t count = 0;
    uint32_t most = broadcast->readers_most < KIN__MEMBERS_MAX ? broadcast->readers_most
                                                               : KIN__MEMBERS_MAX; /* freed meanwhile? */
    for (uint32_t i = 0; i < most; i++)
        count += atomic_load(&broadcast->readers[i].owner) != 0;
    memcpy(out->name, broadcast->sync.name, KIN__NAME_MAX - 1);
    snprintf(out->how, sizeof out->how, "%u %s%s", count, count == 1 ? "reader" : "readers",
             atomic_load(&broadcast->closed) ? ", closed" : "");
}

__attribute__((constructor)) static void set_up(void)
{
    kin__describe_register(KIN__QUEUE_MAGIC, describe_queue);
    kin__describe_register(KIN__BROADCAST_MAGIC, describe_broadcast);
    kin__waits_register(KIN__QUEUE_MAGIC, of_queue);
    kin__waits_register(KIN__BROADCAST_MAGIC, of_broadcast);
}
