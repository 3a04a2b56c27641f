/* container/waits.c - what a report of waits (kin/waits.h) tells of those that wait at containers. */
#include "sync/waits.h"
#include "container/list_shared.h"
#include "container/table.h"

#include <stdio.h>

static bool at_shard(const struct kin__shard *shard, uint64_t word, struct kin__held *held)
{
    if (word == (uintptr_t)&shard->changed.signal) {
        snprintf(held->what, sizeof held->what, "a change");
        return true;
    }
    if (word != (uintptr_t)&shard->gate.sleepers.signal)
        return false;
    snprintf(held->what, sizeof held->what, "its turn to change it");
    held->member = atomic_load_explicit(&shard->gate.owner, memory_order_relaxed);
    return true;
}

static void of_table(const void *object, uint64_t word, struct kin__held *held)
{
    const struct kin__dict *table = object;
    for (uint32_t i = 0; i < table->stripes && i < KIN__STRIPES_MAX; i++)
        if (at_shard(&table->stripe[i].shard, word, held))
            return;
}

static void of_list(const void *object, uint64_t word, struct kin__held *held)
{
    at_shard(&((const kin_list *)object)->shard, word, held);
}

__attribute__((constructor)) static void set_up(void)
{
    kin__waits_register(KIN__DICT_MAGIC, of_table);
    kin__waits_register(KIN__SET_MAGIC, of_table);
    kin__waits_register(KIN__NAMESPACE_MAGIC, of_table);
    kin__waits_register(KIN__LIST_MAGIC, of_list);
}
