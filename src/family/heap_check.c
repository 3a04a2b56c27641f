/*
 * family/heap_check.c - whether all invariants of the heap hold, for the tests. Numbers as in the headers:
 * J journal.h, U units.h, S span.h, T thread.h, A arena.c, B shelf.h.
 */
#include "base/failure.h"
#include "family/arena.h"
#include "family/heap.h"
#include "family/hooks.h"
#include "family/shelf.h"
#include "family/span.h"

#define BROKEN(...) kin__fail(KIN_EINVAL, __VA_ARGS__)

struct seen {
    uint32_t free[2], used, warm, spans, large, large_units, listed, owned;
};

/* ---- runs ------------------------------------------------------------------------------------ */

static int check_span(uint32_t unit, struct seen *seen)
{
    const struct kin__span *span = kin__span_at(unit);
    if (span->class >= KIN__CLASSES)
        return BROKEN("S: span %u has class %u", unit, span->class);
    const struct kin__class *class = &kin__classes[span->class];
    if (kin__unit_at(unit)->length != class->units)
        return BROKEN("S: span %u of %u-byte blocks has %u units", unit, class->size,
                      kin__unit_at(unit)->length);
    for (uint32_t i = 0; i < class->units; i++)
        if (kin__unit_at(unit)[i].back != i)
            return BROKEN("U1: unit %u of span %u does not lead to its start", i, unit);
    uint64_t extra = class->words * 64 - class->blocks;
    uint64_t beyond = extra ? ~UINT64_C(0) << (64 - extra) : 0;
    if ((span->a[class->words - 1] & beyond) != beyond || span->r[class->words - 1] & beyond)
        return BROKEN("S4: bits beyond the last block of span %u", unit);
    uint32_t free = kin__span_free_blocks(span);
    if (span->owner == 0 && (free == class->blocks || (free != 0) != (span->listed != 0)))
        return BROKEN("S3: span %u has no owner, %u of %u blocks free, listed %u", unit, free, class->blocks,
                      span->listed);
    if (span->owner && span->listed)
        return BROKEN("S2: span %u is listed and has owner %u", unit, span->owner);
    if (span->owner) {
        const struct kin__thread *thread = kin__thread_at(span->owner);
        if (span->owner >= kin__heap()->threads_top || !thread->owner ||
            thread->cache[span->class].span != unit)
            return BROKEN("S1: span %u has owner %u, which does not know it", unit, span->owner);
    }
    seen->spans++;
    seen->owned += span->owner != 0;
    seen->listed += span->listed != 0;
    return 0;
}

static int check_run(uint32_t unit, uint32_t last_kind, struct seen *seen)
{
    const struct kin__unit *entry = kin__unit_at(unit);
    uint32_t length = entry->length;
    if (length == 0 || length > kin__heap()->units - unit)
        return BROKEN("U1: the run at %u has length %u", unit, length);
    if (entry->back != 0 || entry[length - 1].back != length - 1)
        return BROKEN("U1: the last unit of the run at %u does not lead to its start", unit);
    bool warm = entry->kind == KIN__UNIT_WARM, free = warm || entry->kind == KIN__UNIT_COLD;
    if (free && entry->kind == last_kind)
        return BROKEN("U2: the free runs before and at %u are neighbours", unit);
    seen->used += entry->kind == KIN__UNIT_COLD ? 0 : length;
    seen->warm += warm ? length : 0;
    seen->free[warm] += free;
    if (free)
        return 0;
    if (entry->kind == KIN__UNIT_HELD)
        return BROKEN("U5: the run at %u is held by nobody", unit);
    if (entry->kind == KIN__UNIT_SPAN)
        return check_span(unit, seen);
    if (entry->kind != KIN__UNIT_LARGE)
        return BROKEN("U1: the run at %u is of kind %u", unit, entry->kind);
    for (uint32_t i = 1; i < length; i++)
        if (entry[i].kind != KIN__UNIT_INSIDE)
            return BROKEN("U1: unit %u of the large block at %u is of kind %u", i, unit, entry[i].kind);
    seen->large++;
    seen->large_units += length;
    return 0;
}

/* Descriptors that have memory are counted as used; units beyond the table have none. */
static int check_descriptors(void)
{
    const struct kin__heap *heap = kin__heap();
    uint32_t count = 0, tabled = heap->tabled < heap->units ? heap->tabled : heap->units;
    for (uint32_t unit = 1; unit < tabled; unit++)
        count += kin__unit_at(unit)->has_descriptor;
    if (count != heap->descriptors)
        return BROKEN("U4: %u descriptors have memory, noted %u", count, heap->descriptors);
    return 0;
}

static int check_runs(struct seen *seen)
{
    const struct kin__heap *heap = kin__heap();
    uint32_t last_kind = KIN__UNIT_EDGE, unit = 1;
    while (unit < heap->units) {
        int error = check_run(unit, last_kind, seen);
        if (error)
            return error;
        last_kind = kin__unit_at(unit)->kind;
        unit += kin__unit_at(unit)->length;
    }
    if (unit != heap->units || kin__unit_at(unit)->kind != KIN__UNIT_EDGE ||
        kin__unit_at(0)->kind != KIN__UNIT_EDGE)
        return BROKEN("U1: the runs do not end at the edge");
    if (seen->used != heap->used || seen->warm != heap->warm || seen->spans != heap->spans ||
        seen->large != heap->large || seen->large_units != heap->large_units)
        return BROKEN("U4: counted used %u warm %u spans %u large %u (%u units), noted %u %u %u %u (%u)",
                      seen->used, seen->warm, seen->spans, seen->large, seen->large_units, heap->used,
                      heap->warm, heap->spans, heap->large, heap->large_units);
    return check_descriptors();
}

/* ---- lists ----------------------------------------------------------------------------------- */

static int check_bin(bool warm, unsigned bin, uint32_t *count)
{
    const struct kin__heap *heap = kin__heap();
    uint32_t first = heap->bins[warm][bin], unit = first;
    bool bit = heap->bin_map[warm][bin / 64] >> bin % 64 & 1;
    if (bit != (first != 0))
        return BROKEN("U3: the bit of bin %u", bin);
    while (unit) {
        const struct kin__unit *entry = kin__unit_at(unit);
        if (entry->kind != (warm ? KIN__UNIT_WARM : KIN__UNIT_COLD) || kin__units_bin(entry->length) != bin)
            return BROKEN("U3: bin %u holds run %u of kind %u and length %u", bin, unit, entry->kind,
                          entry->length);
        if (kin__unit_at(entry->next)->prev != unit || (*count)-- == 0)
            return BROKEN("U3: the list of bin %u is torn at %u", bin, unit);
        unit = entry->next == first ? 0 : entry->next;
    }
    return 0;
}

static int check_partial(unsigned class, struct seen *seen)
{
    uint32_t first = kin__heap()->partial[class], unit = first;
    while (unit) {
        const struct kin__unit *entry = kin__unit_at(unit);
        const struct kin__span *span = kin__span_at(unit);
        if (entry->kind != KIN__UNIT_SPAN || span->class != class || !span->listed)
            return BROKEN("S2: unit %u is on the list of class %u", unit, class);
        if (kin__unit_at(entry->next)->prev != unit || seen->listed-- == 0)
            return BROKEN("S2: the list of class %u is torn at %u", class, unit);
        unit = entry->next == first ? 0 : entry->next;
    }
    return 0;
}

static int check_lists(struct seen *seen)
{
    int error = 0;
    for (unsigned bin = 0; !error && bin < 2 * KIN__BINS; bin++)
        error = check_bin(bin % 2, bin / 2, &seen->free[bin % 2]);
    for (unsigned class = 0; !error && class < KIN__CLASSES; class += 1)
        error = check_partial(class, seen);
    if (!error && (seen->free[0] || seen->free[1]))
        error = BROKEN("U3: %u cold and %u warm runs are in no bin", seen->free[0], seen->free[1]);
    if (!error && seen->listed)
        error = BROKEN("S2: %u spans say they are listed, and are not", seen->listed);
    return error;
}

/* ---- threads --------------------------------------------------------------------------------- */

static int check_thread(uint32_t index, struct seen *seen)
{
    const struct kin__thread *thread = kin__thread_at(index);
    unsigned what = thread->intent & KIN__INTENT_MASK;
    if (thread->arena || thread->moved || (what != KIN__INTENT_NONE && what != KIN__INTENT_LAST))
        return BROKEN("T: thread %u, at rest, has intent %u, arena %#llx and moved block %#llx", index, what,
                      (unsigned long long)thread->arena, (unsigned long long)thread->moved);
    if (thread->index != index)
        return BROKEN("T: thread %u says that it is %u", index, thread->index);
    if (!thread->owner && thread->late)
        return BROKEN("T2: thread %u is free and has something late: %#llx", index,
                      (unsigned long long)thread->late);
    if (!thread->owner && thread->quarantine)
        return BROKEN("T2: thread %u is free and has a quarantine", index);
    if (!thread->owner && what != KIN__INTENT_NONE)
        return BROKEN("T2: thread %u is free and has intent %u", index, what);
    for (unsigned class = 0; class < KIN__CLASSES; class += 1) {
        uint32_t unit = thread->cache[class].span;
        if (unit && (!thread->owner || kin__unit_at(unit)->kind != KIN__UNIT_SPAN ||
                     kin__span_at(unit)->owner != index || seen->owned-- == 0))
            return BROKEN("S1: thread %u has span %u, which is not its own", index, unit);
    }
    return 0;
}

static int check_list_of(kin__id owner, uint32_t first, uint32_t *left)
{
    for (uint32_t index = first; index; index = kin__thread_at(index)->next)
        if (kin__thread_at(index)->owner != owner || (*left)-- == 0)
            return BROKEN("T1: thread %u is in the list of owner %#llx", index, (unsigned long long)owner);
    return 0;
}

static int check_threads(struct seen *seen)
{
    const struct kin__heap *heap = kin__heap();
    struct kin__member *table = kin__members();
    uint32_t left = heap->threads_top - 1;
    int error = 0;
    for (uint32_t i = 1; !error && i < heap->threads_top; i++)
        error = check_thread(i, seen);
    for (uint32_t i = 0; !error && i < kin__members_top(); i++)
        if (kin__thread_at(KIN__THREADS_SPARE + i)->intent || kin__thread_at(KIN__THREADS_SPARE + i)->arena)
            error = BROKEN("T: the slot for recovering member %u, at rest, has something under way", i);
    if (!error && seen->owned)
        error = BROKEN("S1: %u spans are in no thread's cache", seen->owned);
    for (uint32_t i = 1; !error && i < kin__members_top(); i++) {
        if (kin__member_state(&table[i]) == KIN__FREE && table[i].threads)
            error = BROKEN("T1: member slot %u is free and has threads", i);
        if (!error && table[i].threads)
            error = check_list_of(kin__member_id(&table[i]), table[i].threads, &left);
    }
    if (!error)
        error = check_list_of(0, heap->threads_free, &left);
    if (!error && left)
        error = BROKEN("T1: %u thread slots are in no list", left);
    return error;
}

int kin__heap_check(void)
{
    if (!kin__thread_self())
        return kin_error_code();
    struct seen seen = {0};
    kin__journal_begin();
    int error = kin__journal()->count ? BROKEN("J1: a transaction is under way") : 0;
    if (!error)
        error = check_runs(&seen);
    if (!error)
        error = check_lists(&seen);
    if (!error)
        error = check_threads(&seen);
    if (!error)
        error = kin__arenas_check();
    if (!error)
        error = kin__shelf_check();
    kin__journal_end();
    return error;
}
