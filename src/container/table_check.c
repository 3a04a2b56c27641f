/* container/table_check.c - the invariants of a table, with all members at rest: for tests. See table.h and shard.h. */
#include "container/table.h"

#include "base/failure.h"

#include <string.h>

static int broken(const struct kin__dict *table, uint32_t stripe, const char *what)
{
    return kin__fail(KIN_EINVAL, "stripe %u of %s: %s", stripe, kin__title(table).text, what);
}

const char *kin__shard_check(const struct kin__shard *shard)
{
    const struct kin__step *step = &shard->step;
    if (atomic_load(&shard->gate.owner))
        return "somebody has the gate";
    if (step->slot || step->spare[0] || step->spare[1] || step->doomed[0] || step->doomed[1] || step->batch)
        return "H1: a step is under way, and nobody is at it";
    return NULL;
}

static bool same_key(const struct kin__node *a, const struct kin__node *b)
{
    return a->key == b->key &&
           ((a->key & KIN__CELL_TAG) != KIN__CELL_LONG || memcmp(a->bytes, b->bytes, a->key >> 8) == 0);
}

/* Whether a mark is in the list, which begins with the stripe's first. */
static bool is_in_list(const struct kin__stripe *stripe, const struct kin__link *mark)
{
    const struct kin__link *link = &stripe->marks[0];
    while (link && link != mark)
        link = (const struct kin__link *)(uintptr_t)link->next;
    return link != NULL;
}

static const char *check_stripe(const struct kin__stripe *stripe)
{
    const char *wrong = kin__shard_check(&stripe->shard);
    uint32_t level = atomic_load(&stripe->level);
    uint64_t count = 0, last = 0;
    if (wrong)
        return wrong;
    for (uint64_t at = stripe->marks[0].next; at;) {
        const struct kin__link *link = (const struct kin__link *)(uintptr_t)at;
        const struct kin__node *node = (const struct kin__node *)link, *next;
        bool is_node = (link->hash & KIN__NODE_BITS) == KIN__NODE_BITS;
        if (link->hash < last)
            return "T1: the list is not in the order of hashes";
        last = link->hash;
        count += is_node;
        at = link->next;
        for (uint64_t more = at; is_node && more; more = next->link.next) {
            next = (const struct kin__node *)(uintptr_t)more;
            if (next->link.hash != link->hash)
                break;
            if (same_key(node, next))
                return "T1: a key is there twice";
        }
    }
    for (uint64_t bucket = 1; bucket < UINT64_C(1) << level; bucket++) {
        const struct kin__link *mark = kin__mark_at(stripe, bucket, level);
        if (kin__mark_is_ready(mark) && !is_in_list(stripe, mark))
            return "T1: a mark that is ready is not in the list";
    }
    return count == atomic_load(&stripe->shard.count) ? NULL : "T2: the count is wrong";
}

int kin__dict_check(const struct kin__dict *table)
{
    for (uint32_t i = 0; i < table->stripes; i++) {
        const char *wrong = check_stripe(&table->stripe[i]);
        if (wrong)
            return broken(table, i, wrong);
    }
    return 0;
}
