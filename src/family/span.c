/* family/span.c - see span.h. */
#include "family/span.h"

#include "family/run.h"
#include "os/os.h"

#include <string.h>

#define UNITS(size) ((size) <= 8192 ? 1u : (size) <= 16384 ? 2u : 4u)
#define BLOCKS(size) (UNITS(size) * 65536u / (size))
#define CLASS(size)                                                  \
    {                                                                \
        (size), UNITS(size), BLOCKS(size), (BLOCKS(size) + 63) / 64, \
            ((UINT64_C(1) << 40) + (size)-1) / (size)                \
    }
#define DOUBLING(from) \
    CLASS((from) + (from) / 4), CLASS((from) + (from) / 2), CLASS((from) / 4 * 7), CLASS(2 * (from))

const struct kin__class kin__classes[KIN__CLASSES] = {
    CLASS(16),      CLASS(32),      CLASS(48),      CLASS(64),      CLASS(80),     CLASS(96),
    CLASS(112),     CLASS(128),     DOUBLING(128),  DOUBLING(256),  DOUBLING(512), DOUBLING(1024),
    DOUBLING(2048), DOUBLING(4096), DOUBLING(8192), DOUBLING(16384)};

/* The bits of a word that are beyond the last block. */
static uint64_t beyond(const struct kin__class *class, uint32_t word)
{
    uint32_t blocks = class->blocks - word * 64;
    return blocks >= 64 ? 0 : ~UINT64_C(0) << blocks;
}

/* Acquire: partner is the flip in kin__span_free_other, by who has used the block before us. */
static uint64_t allocated(const struct kin__span *span, uint32_t word)
{
    return kin__peek(&span->a[word]) ^ __atomic_load_n(&span->r[word], __ATOMIC_ACQUIRE);
}

uint32_t kin__span_free_blocks(const struct kin__span *span)
{
    uint32_t count = 0;
    for (uint32_t word = 0; word < kin__classes[span->class].words; word++)
        count += (uint32_t)__builtin_popcountll(~allocated(span, word));
    return count;
}

/* ---- looking up ------------------------------------------------------------------------------ */

static struct kin__spot look(uint64_t offset)
{
    struct kin__spot spot = {.kind = KIN__SPOT_INSIDE};
    uint32_t unit = (uint32_t)(offset >> KIN__UNIT_BITS);
    const struct kin__unit *entry = kin__unit_at(unit);
    uint32_t kind = kin__peek32(&entry->kind);
    if (kind == KIN__UNIT_INSIDE) {
        uint32_t back = kin__peek32(&entry->back);
        if (back > unit) /* being changed under us: no block in use */
            return spot;
        unit -= back;
        kind = kin__peek32(&kin__unit_at(unit)->kind);
        if (kind == KIN__UNIT_LARGE || kind == KIN__UNIT_INSIDE)
            return spot;
    }
    spot.unit = unit;
    offset -= (uint64_t)unit << KIN__UNIT_BITS;
    if (kind == KIN__UNIT_LARGE)
        spot.kind = offset == 0 ? KIN__SPOT_LARGE : KIN__SPOT_INSIDE;
    else if (kind == KIN__UNIT_EDGE)
        spot.kind = KIN__SPOT_FOREIGN;
    else if (kind != KIN__UNIT_SPAN)
        spot.kind = KIN__SPOT_FREE;
    if (kind != KIN__UNIT_SPAN)
        return spot;

    spot.span = kin__span_at(unit);
    const struct kin__class *class = &kin__classes[spot.span->class];
    uint64_t index = (offset * class->reciprocal) >> 40;
    if (index * class->size != offset || index >= class->blocks)
        return spot;
    spot.word = (uint32_t)index / 64;
    spot.bit = UINT64_C(1) << index % 64;
    spot.kind = allocated(spot.span, spot.word) & spot.bit ? KIN__SPOT_SMALL : KIN__SPOT_FREE;
    return spot;
}

struct kin__spot kin__spot_of(const void *pointer)
{
    uint64_t offset = (uint64_t)((uintptr_t)pointer - (uintptr_t)kin__view.units);
    if (offset >= atomic_load_explicit(&kin__view.bytes, memory_order_acquire) && kin__region_holds(pointer))
        kin__units_attach(); /* the heap may have grown since */
    if (offset >= atomic_load_explicit(&kin__view.bytes, memory_order_acquire))
        return (struct kin__spot){.kind = KIN__SPOT_FOREIGN};
    return look(offset);
}

/* ---- spans without owner --------------------------------------------------------------------- */

void kin__span_settle(uint32_t unit)
{
    struct kin__heap *heap = kin__heap();
    struct kin__span *span = kin__span_at(unit);
    if (kin__unit_at(unit)->kind != KIN__UNIT_SPAN || span->owner)
        return;
    atomic_thread_fence(memory_order_seq_cst); /* partner: the flip in kin__span_free_other */
    uint32_t free = kin__span_free_blocks(span);
    bool list = free && free < kin__classes[span->class].blocks;
    if (list && !span->listed)
        kin__list_append(&heap->partial[span->class], unit);
    else if (!list && span->listed)
        kin__list_remove(&heap->partial[span->class], unit);
    kin__journal_set32(&span->listed, list);
    if (free && !list) {
        kin__journal_set32(&heap->spans, heap->spans - 1);
        kin__units_give(unit, true);
    }
}

bool kin__span_free_other(struct kin__thread *thread, const struct kin__spot *spot)
{
    struct kin__span *span = spot->span;
    const struct kin__class *class = &kin__classes[span->class];
    /* Read before the flip: from then on the owner may allocate the block again. */
    uint64_t a = kin__peek(&span->a[spot->word]);
    /* Release: partner is the acquire in allocated(). Sequentially consistent: see the race in span.h. */
    uint64_t before = __atomic_fetch_xor(&span->r[spot->word], spot->bit, __ATOMIC_SEQ_CST);
    if (((before ^ a) & spot->bit) == 0) {
        __atomic_fetch_xor(&span->r[spot->word], spot->bit, __ATOMIC_SEQ_CST);
        kin__intend(thread, KIN__INTENT_NONE, NULL);
        return false;
    }
    kin__os_fence_after_rmw(); /* of two that free the last blocks, in two words, one sees both flips */
    thread->charged -= class->size;
    bool due = false;
    if (__atomic_load_n(&span->owner, __ATOMIC_SEQ_CST) == 0) {
        due = !kin__peek32(&span->listed);
        for (uint32_t i = 0; !due; i++) { /* is all of it free? This word is the likeliest not to be */
            uint32_t word = (spot->word + i) % class->words;
            if (allocated(span, word) != beyond(class, word))
                break;
            due = i + 1 == class->words;
        }
    }
    /* The span may be another by now, or none: settling does what is due whatever it is. */
    if (due) {
        kin__journal_begin();
        kin__span_settle(spot->unit);
        kin__journal_end();
    }
    kin__intend(thread, KIN__INTENT_NONE, NULL);
    if (due && kin__units_excess())
        kin__run_trim_excess(thread);
    return true;
}

/* ---- the thread's own spans ------------------------------------------------------------------ */

void kin__span_leave(struct kin__thread *thread, unsigned class)
{
    struct kin__cache *cache = &thread->cache[class];
    uint32_t unit = cache->span;
    if (!unit)
        return;
    struct kin__span *span = kin__span_at(unit);
    thread->charged += ((int64_t)cache->had - kin__span_free_blocks(span)) * kin__classes[class].size;
    cache->mask = 0;
    kin__journal_set32(&span->owner, 0);
    kin__journal_set32(&cache->span, 0);
    kin__span_settle(unit);
}

/* In a transaction: the span becomes the thread's. */
static void own(struct kin__thread *thread, unsigned class, uint32_t unit)
{
    kin__journal_set32(&kin__span_at(unit)->owner, thread->index);
    kin__journal_set32(&thread->cache[class].span, unit);
}

static void start_cache(struct kin__thread *thread, unsigned class)
{
    struct kin__cache *cache = &thread->cache[class];
    struct kin__span *span = kin__span_at(cache->span);
    cache->mask = 0;
    cache->word = &span->a[kin__classes[class].words - 1]; /* the search begins after it */
    cache->had = kin__span_free_blocks(span);
}

/* Find the next 64 blocks of its span with a free one among them. */
static bool next_word(struct kin__thread *thread, unsigned class)
{
    struct kin__cache *cache = &thread->cache[class];
    if (!cache->span)
        return false;
    struct kin__span *span = kin__span_at(cache->span);
    uint32_t words = kin__classes[class].words, word = (uint32_t)(cache->word - span->a);
    for (uint32_t i = 0; i < words; i++) {
        word = word + 1 == words ? 0 : word + 1;
        uint64_t free = ~allocated(span, word);
        if (free) {
            cache->mask = free;
            cache->word = &span->a[word];
            cache->first = kin__unit_address(cache->span) + (size_t)word * 64 * kin__classes[class].size;
            return true;
        }
    }
    return false;
}

static int get_descriptor(struct kin__thread *thread, uint32_t unit)
{
    if (kin__unit_at(unit)->has_descriptor)
        return 0;
    int error = kin__table_populate(kin__span_at(unit), KIN__DESCRIPTOR_SIZE);
    if (error)
        kin__run_drop(thread);
    return error;
}

static int make_span(struct kin__thread *thread, unsigned class)
{
    const struct kin__class *about = &kin__classes[class];
    bool zero;
    uint32_t unit = kin__run_acquire(thread, about->units, 1, about->size, &zero);
    if (!unit)
        return kin_error_code();
    int error = get_descriptor(thread, unit);
    if (error)
        return error;
    struct kin__span *span = kin__span_at(unit);
    __atomic_store_n(&span->owner, 0, __ATOMIC_RELAXED); /* who freed in the last span here may still look */
    __atomic_store_n(&span->listed, 0, __ATOMIC_RELAXED);
    span->class = class;
    for (uint32_t word = 0; word < about->words; word++) {
        kin__poke(&span->a[word], beyond(about, word));
        kin__poke(&span->r[word], 0);
    }
    struct kin__heap *heap = kin__heap();
    struct kin__unit *entry = kin__unit_at(unit);
    kin__journal_begin();
    kin__journal_set32(&entry->kind, KIN__UNIT_SPAN);
    for (uint32_t i = 1; i < about->units; i++)
        kin__journal_set32(&entry[i].back, i);
    kin__journal_set32(&heap->descriptors, heap->descriptors + !entry->has_descriptor);
    kin__journal_set32(&entry->has_descriptor, 1);
    kin__journal_set32(&heap->spans, heap->spans + 1);
    own(thread, class, unit);
    kin__journal_set(&thread->intent, 0);
    kin__journal_end();
    return 0;
}

static int change_span(struct kin__thread *thread, unsigned class)
{
    struct kin__heap *heap = kin__heap();
    int error = kin__thread_may_have(thread, kin__classes[class].size);
    if (error)
        return error;
    kin__journal_begin();
    kin__span_leave(thread, class);
    uint32_t unit = heap->partial[class];
    if (unit) {
        kin__list_remove(&heap->partial[class], unit);
        kin__journal_set32(&kin__span_at(unit)->listed, 0);
        own(thread, class, unit);
    }
    kin__journal_end();
    if (!unit)
        error = make_span(thread, class);
    if (!error)
        start_cache(thread, class);
    return error;
}

void *kin__span_malloc(struct kin__thread *thread, unsigned class, enum kin__intent then)
{
    while (!next_word(thread, class))
        if (change_span(thread, class))
            return NULL;
    return kin__cache_pop(thread, class, then);
}
