/*
 * family/units.c - see units.h. Free runs lie in bins by length: one for each length up to 32, then four for
 * each doubling; a good fit is searched first among the warm ones.
 */
#include "family/units.h"

#include "base/failure.h"
#include "base/log.h"
#include "family/guard.h"
#include "family/sealed.h"
#include "os/os.h"

#include <string.h>

#define PAGE ((size_t)4096)
#define EXACT_BINS 32u
#define TRIES 16         /* runs looked at in a bin of mixed lengths */
#define TABLE_STEP 1024u /* entries that get memory at a time: 64 MiB of units */
#define KEEP_WARM ((size_t)64 << 20)
/* A signal makes fallocate undo what it has done so far: small pieces finish between two of them. */
#define POPULATE_STEP ((size_t)2 << 20)

_Static_assert(KIN__AT_HEAP + sizeof(struct kin__heap) <= KIN__HEADER_END, "room for the header");
_Static_assert(offsetof(struct kin__heap, journal) == 0, "kin__journal()");

struct kin__view kin__view;

/* ---- layout ---------------------------------------------------------------------------------- */

int kin__units_format(void)
{
    /* Three guards, and what is lost to alignment behind each and before the descriptors. */
    size_t left = kin__region->shelf - KIN__HEADER_END - 7 * KIN__GUARD;
    size_t units = left / (KIN__UNIT + sizeof(struct kin__unit) + KIN__DESCRIPTOR_SIZE);
    int error = kin__table_populate(kin__heap(), sizeof(struct kin__heap));
    if (error)
        return error;
    kin__journal_format();
    struct kin__heap *heap = kin__heap();
    heap->units = (uint32_t)units;
    /* Alignment is one of addresses: the base may be any page. */
    uint64_t base = kin__region->base;
    heap->units_at = kin__up(base + KIN__HEADER_END + KIN__GUARD, KIN__UNIT) - base;
    heap->entries_at = kin__up(heap->units_at + units * KIN__UNIT, KIN__GUARD) + KIN__GUARD;
    heap->descriptors_at = kin__up(heap->entries_at + (units + 1) * sizeof(struct kin__unit), KIN__GUARD);
    kin__guards_set();
    kin__units_attach();

    struct kin__unit *edge = kin__unit_at(heap->units);
    error = kin__table_populate(edge - 1, 2 * sizeof *edge);
    if (!error)
        error = kin__table_populate(kin__unit_at(0), TABLE_STEP * sizeof *edge);
    if (error)
        return error;
    heap->tabled = TABLE_STEP;
    heap->threads_top = 1;
    kin__unit_at(0)->kind = edge->kind = KIN__UNIT_EDGE;
    kin__unit_at(0)->length = edge->length = 1;
    kin__unit_at(1)->kind = KIN__UNIT_HELD;
    kin__unit_at(1)->length = heap->units - 1;
    edge[-1].back = heap->units - 2;
    kin__journal_begin();
    kin__units_give(1, false);
    kin__journal_set32(&heap->used, 0); /* it was never in use */
    kin__journal_end();
    kin__units_attach();
    return 0;
}

void kin__units_attach(void)
{
    struct kin__heap *heap = kin__heap();
    kin__view.units = (char *)kin__region_base + heap->units_at; /* what users see, sealed or not */
    kin__view.entries = kin__region_at(heap->entries_at);
    kin__view.descriptors = kin__region_at(heap->descriptors_at);
    /* Release: partner is the acquire in kin__unit_of. Acquire: partner is the release in table_covers. */
    uint64_t tabled = __atomic_load_n(&heap->tabled, __ATOMIC_ACQUIRE);
    if (tabled > heap->units)
        tabled = heap->units;
    atomic_store_explicit(&kin__view.bytes, tabled << KIN__UNIT_BITS, memory_order_release);
}

size_t kin__heap_used_bytes(void)
{
    const struct kin__heap *heap = kin__heap();
    size_t units = (size_t)kin__peek32(&heap->used) + kin__peek32(&heap->shelved),
           descriptors = kin__peek32(&heap->descriptors);
    size_t entries = kin__peek32(&heap->tabled), threads = kin__peek32(&heap->threads_top);
    return units * KIN__UNIT + 4 * PAGE + entries * sizeof(struct kin__unit) +
           descriptors * KIN__DESCRIPTOR_SIZE + threads * KIN__THREAD_SIZE;
}

/* ---- memory ---------------------------------------------------------------------------------- */

static size_t offset_of(const void *address)
{
    return kin__common((uintptr_t)address) - kin__region_base;
}

int kin__table_populate(const void *start, size_t size)
{
    size_t from = offset_of(start) / PAGE * PAGE;
    size_t to = (offset_of(start) + size + PAGE - 1) / PAGE * PAGE;
    return kin__region_populate(from, to - from);
}

int kin__units_populate(uint32_t unit, uint32_t length)
{
    size_t at = offset_of(kin__unit_address(unit)), left = (size_t)length << KIN__UNIT_BITS;
    while (left) {
        size_t piece = left < POPULATE_STEP ? left : POPULATE_STEP;
        int error = kin__region_populate(at, piece);
        if (error)
            return error;
        at += piece;
        left -= piece;
    }
    return 0;
}

int kin__units_punch(uint32_t unit, uint32_t length)
{
    size_t size = (size_t)length << KIN__UNIT_BITS;
    int error = kin__region_punch(offset_of(kin__unit_address(unit)), size);
    if (error)
        kin_log(KIN_LOG_WARNING, "%zu bytes of free shared memory stay in use: %s", size,
                kin_error_message());
    return error;
}

/* Entries up to and with `unit` get memory. Under the lock. */
static bool table_covers(uint32_t unit)
{
    struct kin__heap *heap = kin__heap();
    if (unit < heap->tabled)
        return true;
    uint32_t to = (unit / TABLE_STEP + 1) * TABLE_STEP;
    if (to > heap->units + 1)
        to = heap->units + 1;
    if (kin__table_populate(kin__unit_at(heap->tabled), (to - heap->tabled) * sizeof(struct kin__unit)))
        return false;
    /* Release: partner is the acquire in kin__units_attach. */
    __atomic_store_n(&heap->tabled, to, __ATOMIC_RELEASE);
    return true;
}

/* ---- lists and bins -------------------------------------------------------------------------- */

void kin__list_append(uint32_t *head, uint32_t unit)
{
    struct kin__unit *entry = kin__unit_at(unit);
    if (!*head) {
        kin__journal_set32(&entry->prev, unit);
        kin__journal_set32(&entry->next, unit);
        kin__journal_set32(head, unit);
        return;
    }
    struct kin__unit *first = kin__unit_at(*head);
    kin__journal_set32(&entry->prev, first->prev);
    kin__journal_set32(&entry->next, *head);
    kin__journal_set32(&kin__unit_at(first->prev)->next, unit);
    kin__journal_set32(&first->prev, unit);
}

void kin__list_remove(uint32_t *head, uint32_t unit)
{
    struct kin__unit *entry = kin__unit_at(unit);
    if (entry->next == unit) {
        kin__journal_set32(head, 0);
        return;
    }
    kin__journal_set32(&kin__unit_at(entry->prev)->next, entry->next);
    kin__journal_set32(&kin__unit_at(entry->next)->prev, entry->prev);
    if (*head == unit)
        kin__journal_set32(head, entry->next);
}

unsigned kin__units_bin(uint32_t length)
{
    if (length <= EXACT_BINS)
        return length - 1;
    unsigned log = 31u - (unsigned)__builtin_clz(length);
    return EXACT_BINS + (log - 5) * 4 + ((length >> (log - 2)) & 3);
}

static void bin_add(bool warm, uint32_t unit)
{
    struct kin__heap *heap = kin__heap();
    unsigned bin = kin__units_bin(kin__unit_at(unit)->length);
    kin__list_append(&heap->bins[warm][bin], unit);
    uint64_t *map = &heap->bin_map[warm][bin / 64];
    kin__journal_set(map, *map | UINT64_C(1) << bin % 64);
}

static void bin_remove(bool warm, uint32_t unit)
{
    struct kin__heap *heap = kin__heap();
    unsigned bin = kin__units_bin(kin__unit_at(unit)->length);
    kin__list_remove(&heap->bins[warm][bin], unit);
    if (heap->bins[warm][bin])
        return;
    uint64_t *map = &heap->bin_map[warm][bin / 64];
    kin__journal_set(map, *map & ~(UINT64_C(1) << bin % 64));
}

/* The shortest run of at least `length` among the first `tries` of a bin; 0: none of them. */
static uint32_t fit_in_bin(bool warm, unsigned bin, uint32_t length, uint32_t tries)
{
    uint32_t first = kin__heap()->bins[warm][bin], best = 0;
    uint32_t unit = first;
    for (uint32_t i = 0; unit && i < tries; i++) {
        uint32_t here = kin__unit_at(unit)->length;
        if (here >= length && (!best || here < kin__unit_at(best)->length))
            best = unit;
        unit = kin__unit_at(unit)->next;
        if (unit == first)
            break;
    }
    return best;
}

static uint32_t find(bool warm, uint32_t length)
{
    unsigned bin = kin__units_bin(length);
    uint32_t unit = fit_in_bin(warm, bin, length, TRIES);
    const uint64_t *map = kin__heap()->bin_map[warm];
    for (unsigned longer = bin + 1; !unit && longer < KIN__BINS; longer++) {
        uint64_t rest = map[longer / 64] >> longer % 64;
        if (!rest) {
            longer |= 63;
            continue;
        }
        longer += (unsigned)__builtin_ctzll(rest);
        unit = fit_in_bin(warm, longer, length, TRIES); /* all runs in there are long enough */
    }
    if (!unit && !warm) /* what fails here is an error: look at all of them */
        unit = fit_in_bin(warm, bin, length, UINT32_MAX);
    return unit;
}

/* ---- runs ------------------------------------------------------------------------------------ */

static void make_run(uint32_t unit, uint32_t length, enum kin__unit_kind kind)
{
    struct kin__unit *first = kin__unit_at(unit);
    kin__journal_set32(&first->kind, kind);
    kin__journal_set32(&first->length, length);
    kin__journal_set32(&first->back, 0);
    if (length > 1) {
        kin__journal_set32(&first[length - 1].kind, KIN__UNIT_INSIDE);
        kin__journal_set32(&first[length - 1].back, length - 1);
    }
}

static void forget_run(uint32_t unit)
{
    struct kin__unit *first = kin__unit_at(unit);
    bool span = first->kind == KIN__UNIT_SPAN; /* the only kind whose inner units lead back */
    for (uint32_t i = span ? 1 : first->length - 1; i < first->length; i++)
        kin__journal_set32(&first[i].back, 0);
    kin__journal_set32(&first->kind, KIN__UNIT_INSIDE);
}

static void add_free(uint32_t unit, uint32_t length, bool warm)
{
    make_run(unit, length, warm ? KIN__UNIT_WARM : KIN__UNIT_COLD);
    bin_add(warm, unit);
}

static void count(uint32_t *counter, int64_t change)
{
    kin__journal_set32(counter, (uint32_t)(*counter + change));
}

/* How many units of a run come before the first that is aligned. */
static uint32_t misaligned(uint32_t unit, uint32_t alignment)
{
    uint64_t number = (uint64_t)(uintptr_t)kin__unit_address(unit) >> KIN__UNIT_BITS;
    return (uint32_t)(-number & (alignment - 1));
}

uint32_t kin__units_take(uint32_t length, uint32_t alignment, enum kin__unit_kind kind, bool *cold,
                         enum kin__out_of *out_of)
{
    struct kin__heap *heap = kin__heap();
    *out_of = KIN__OUT_OF_SPACE;
    if (length >= heap->units || alignment >= heap->units)
        return 0;
    uint32_t needed = length + alignment - 1;
    bool warm = true;
    uint32_t unit = find(true, needed);
    if (!unit) {
        warm = false;
        unit = find(false, needed);
        if (!unit)
            return 0;
        if (kin__heap_used_bytes() + ((size_t)length << KIN__UNIT_BITS) > kin__region->heap_limit) {
            *out_of = KIN__OUT_OF_LIMIT;
            return 0;
        }
    }
    uint32_t have = kin__unit_at(unit)->length, before = misaligned(unit, alignment);
    if (!table_covers(unit + before + length)) {
        *out_of = KIN__OUT_OF_MEMORY;
        return 0;
    }
    bin_remove(warm, unit);
    if (before)
        add_free(unit, before, warm);
    if (have > before + length)
        add_free(unit + before + length, have - before - length, warm);
    make_run(unit + before, length, kind);
    count(warm ? &heap->warm : &heap->used, warm ? -(int64_t)length : (int64_t)length);
    *cold = !warm;
    return unit + before;
}

void kin__units_give(uint32_t unit, bool warm)
{
    struct kin__heap *heap = kin__heap();
    enum kin__unit_kind kind = warm ? KIN__UNIT_WARM : KIN__UNIT_COLD;
    uint32_t length = kin__unit_at(unit)->length, start = unit;
    count(warm ? &heap->warm : &heap->used, warm ? (int64_t)length : -(int64_t)length);
    forget_run(unit);

    uint32_t after = unit + length;
    uint32_t before = unit - 1 - kin__unit_at(unit - 1)->back;
    if (kin__unit_at(after)->kind == kind) {
        bin_remove(warm, after);
        length += kin__unit_at(after)->length;
        forget_run(after);
    }
    if (kin__unit_at(before)->kind == kind) {
        bin_remove(warm, before);
        length += start - before;
        start = before;
        forget_run(before);
    }
    add_free(start, length, warm);
}

uint32_t kin__units_cut(uint32_t unit, uint32_t length)
{
    uint32_t had = kin__unit_at(unit)->length;
    make_run(unit, length, kin__unit_at(unit)->kind);
    make_run(unit + length, had - length, KIN__UNIT_HELD);
    return unit + length;
}

uint32_t kin__units_take_warm(void)
{
    struct kin__heap *heap = kin__heap();
    const uint64_t *map = heap->bin_map[1];
    if (!map[0] && !map[1])
        return 0;
    unsigned bin =
        map[1] ? 127u - (unsigned)__builtin_clzll(map[1]) : 63u - (unsigned)__builtin_clzll(map[0]);
    uint32_t unit = heap->bins[1][bin];
    bin_remove(true, unit);
    make_run(unit, kin__unit_at(unit)->length, KIN__UNIT_HELD);
    count(&heap->warm, -(int64_t)kin__unit_at(unit)->length);
    return unit;
}

bool kin__units_excess(void)
{
    const struct kin__heap *heap = kin__heap();
    size_t used = (size_t)kin__peek32(&heap->used) << KIN__UNIT_BITS;
    size_t warm = (size_t)kin__peek32(&heap->warm) << KIN__UNIT_BITS;
    return warm > (used / 8 > KEEP_WARM ? used / 8 : KEEP_WARM);
}
