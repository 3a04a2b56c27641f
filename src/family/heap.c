/* family/heap.c - allocating and freeing: the public calls, and what recovery makes of a dead thread's intent. */
#include "family/heap.h"

#include "base/failure.h"
#include "base/log.h"
#include "family/arena.h"
#include "family/checked.h"
#include "family/run.h"
#include "family/sealed.h"
#include "family/span.h"
#include "kin/heap.h"
#include "os/os.h"

#include <string.h>

#define ALIGNMENT_MAX ((size_t)1 << 30)
#define CALLER __builtin_return_address(0)

int kin__heap_format(void)
{
    return kin__units_format();
}

/* ---- allocating ------------------------------------------------------------------------------ */

/* Units for a large block, as a run with memory that the thread's intent names; 0: the record is set. */
static uint32_t acquire_large(struct kin__thread *thread, size_t size, size_t alignment, uint32_t *length,
                              bool *zero, double deadline)
{
    if (size > kin__region->size) {
        kin__fail(KIN_ENOMEM, "cannot allocate %zu bytes of shared memory: the region has %zu", size,
                  (size_t)kin__region->size);
        return 0;
    }
    *length = (uint32_t)((size + KIN__UNIT - 1) >> KIN__UNIT_BITS);
    uint32_t apart = alignment > KIN__UNIT ? (uint32_t)(alignment >> KIN__UNIT_BITS) : 1;
    if (kin__thread_may_have(thread, (size_t)*length << KIN__UNIT_BITS))
        return 0;
    return kin__run_acquire_until(thread, *length, apart, size, zero, deadline);
}

/* In a transaction. */
static void make_large(struct kin__thread *thread, uint32_t unit, uint32_t length)
{
    struct kin__heap *heap = kin__heap();
    kin__journal_set32(&kin__unit_at(unit)->kind, KIN__UNIT_LARGE);
    kin__journal_set32(&heap->large, heap->large + 1);
    kin__journal_set32(&heap->large_units, heap->large_units + length);
    thread->charged += (int64_t)length << KIN__UNIT_BITS;
}

static void *malloc_large(struct kin__thread *thread, size_t size, size_t alignment, enum kin__intent then,
                          bool *zero)
{
    if (thread->late)
        (void)kin__heap_reach(0);
    uint32_t length, unit = acquire_large(thread, size, alignment, &length, zero, KIN_FOREVER);
    if (!unit)
        return NULL;
    char *block = kin__unit_address(unit);
    kin__journal_begin();
    make_large(thread, unit, length);
    kin__journal_set(&thread->intent, (uint64_t)(uintptr_t)block | then);
    kin__journal_end();
    return block;
}

/* The class whose blocks have this size and alignment: spans begin at units, so blocks of a multiple of the
 * alignment are aligned. Powers of two are among the sizes. */
static unsigned aligned_class(size_t size, size_t alignment)
{
    unsigned class = kin__class_of(size > alignment ? size : alignment);
    while (kin__classes[class].size & (alignment - 1))
        class += 1;
    return class;
}

void *kin__heap_malloc(struct kin__thread *thread, size_t size, size_t alignment, enum kin__intent then,
                       bool *zero)
{
    *zero = false;
    if (size > KIN__SMALL_MAX || alignment > KIN__SMALL_MAX)
        return malloc_large(thread, size ? size : 1, alignment, then, zero);
    unsigned class = aligned_class(size, alignment);
    if (thread->cache[class].mask)
        return kin__cache_pop(thread, class, then);
    return kin__span_malloc(thread, class, then);
}

/* For the user; `caller` is where its code goes on. */
static void *allocate(size_t size, size_t alignment, const void *caller, bool *zero)
{
    struct kin__thread *thread = kin__thread_self();
    *zero = false;
    if (!thread)
        return NULL;
    if (kin__is_sealed())
        return kin__sealed_malloc(size, alignment);
    if (kin__checks_heap())
        return kin__checked_malloc(thread, size, alignment, caller);
    return kin__heap_malloc(thread, size, alignment, KIN__INTENT_LAST, zero);
}

static __attribute__((noinline)) void *malloc_slow(size_t size, const void *caller)
{
    bool zero;
    return allocate(size, 16, caller, &zero);
}

void *kin_malloc(size_t size)
{
    if (size <= KIN__SMALL_MAX && kin__thread_is_fast()) {
        unsigned class = kin__class_of(size);
        if (kin__thread_mine->cache[class].mask)
            return kin__cache_pop(kin__thread_mine, class, KIN__INTENT_LAST);
    }
    return malloc_slow(size, CALLER);
}

void *kin__heap_open(size_t size, uint64_t *word)
{
    return kin__heap_open_aligned(size, 16, word);
}

static void *open_block(size_t size, size_t alignment, uint64_t *word, bool *zero)
{
    struct kin__thread *thread = kin__thread_self();
    if (!thread)
        return NULL;
    thread->link = (uint64_t)(uintptr_t)word;
    return kin__heap_malloc(thread, size, alignment, KIN__INTENT_OPEN, zero);
}

void *kin__heap_open_aligned(size_t size, size_t alignment, uint64_t *word)
{
    bool zero;
    return open_block(size, alignment, word, &zero);
}

void *kin__heap_open_zeroed(size_t size, uint64_t *word)
{
    bool zero;
    void *block = open_block(size, 16, word, &zero);
    if (block && !zero)
        memset(block, 0, size);
    return block;
}

void kin__heap_close(void)
{
    kin__intend(kin__thread_mine, KIN__INTENT_NONE, NULL);
}

void kin__heap_close_in(struct kin__thread *thread)
{
    kin__journal_set(&thread->intent, 0);
}

/* ---- freeing --------------------------------------------------------------------------------- */

static uint64_t free_intent(const struct kin__spot *spot, const void *block)
{
    uint64_t r = __atomic_load_n(&spot->span->r[spot->word], __ATOMIC_RELAXED);
    return (uint64_t)(uintptr_t)block | (r & spot->bit ? KIN__INTENT_FREE_1 : KIN__INTENT_FREE);
}

/* In a transaction. False: it isn't a large block any more. */
static bool give_large(struct kin__thread *thread, uint32_t unit)
{
    struct kin__heap *heap = kin__heap();
    struct kin__unit *entry = kin__unit_at(unit);
    if (entry->kind != KIN__UNIT_LARGE)
        return false;
    kin__journal_set32(&heap->large, heap->large - 1);
    kin__journal_set32(&heap->large_units, heap->large_units - entry->length);
    thread->charged -= (int64_t)entry->length << KIN__UNIT_BITS;
    kin__units_give(unit, true);
    return true;
}

/* Freed and intent gone as one, so a LARGE intent that is left means that it is not freed yet. */
static bool free_large(struct kin__thread *thread, uint32_t unit)
{
    kin__journal_begin();
    bool given = give_large(thread, unit);
    kin__journal_set(&thread->intent, 0);
    kin__journal_end();
    if (kin__units_excess())
        kin__run_trim_excess(thread);
    return given;
}

/* ---- with a deadline -------------------------------------------------------------------------- */

#define SOON \
    0.01 /* seconds: what is held for some hundred nanoseconds is free by then, or its owner is stopped */
#define ADDRESS(word) ((word) & ~(uint64_t)KIN__INTENT_MASK)

int kin__heap_stopped(void)
{
    return kin__fail(KIN_ETIMEDOUT, "the shared heap was in use by another process all the while (stopped?)");
}

/* In a transaction, which ends in it. */
static void give_late_back(struct kin__thread *thread)
{
    uint64_t late = thread->late;
    bool run = (late & KIN__INTENT_MASK) == KIN__INTENT_RUN;
    if (run)
        kin__journal_set(&thread->intent, late);
    else if (late)
        give_large(thread, kin__spot_of((void *)(uintptr_t)ADDRESS(late)).unit);
    kin__journal_set(&thread->late, 0);
    kin__journal_end();
    if (run)
        kin__run_drop(thread);
}

/* Named by `late` before it is no more by what named it so far: recovery knows that they are one. */
static void be_late(struct kin__thread *thread, uint64_t address, enum kin__intent what)
{
    kin__poke(&thread->late, address | what);
    kin__crash_fence();
}

/* There is room for one late thing only. */
static bool begin_soon(const struct kin__thread *thread)
{
    return kin__journal_begin_until(thread->late ? KIN_FOREVER : kin__os_deadline(SOON));
}

bool kin__heap_reach(double deadline)
{
    if (!kin__journal_begin_until(deadline))
        return false;
    give_late_back(kin__thread_mine);
    return true;
}

void *kin__heap_make(size_t size, double deadline)
{
    struct kin__thread *thread = kin__thread_self();
    uint32_t length;
    bool zero;
    if (!thread)
        return NULL;
    if (thread->late && !kin__heap_reach(deadline)) {
        kin__heap_stopped();
        return NULL;
    }
    uint32_t unit = acquire_large(thread, size, 16, &length, &zero, deadline);
    if (!unit)
        return NULL;
    uint64_t block = (uint64_t)(uintptr_t)kin__unit_address(unit);
    if (!kin__journal_begin_until(deadline)) {
        be_late(thread, block, KIN__INTENT_RUN);
        kin__intend(thread, KIN__INTENT_NONE, NULL);
        kin__heap_stopped();
        return NULL;
    }
    make_large(thread, unit, length);
    kin__journal_set(&thread->moved, block);
    kin__journal_set(&thread->intent, 0);
    kin__journal_end();
    return (void *)(uintptr_t)block;
}

void kin__heap_unmake(void)
{
    struct kin__thread *thread = kin__thread_mine;
    if (!begin_soon(thread)) {
        be_late(thread, thread->moved, KIN__INTENT_LARGE);
        kin__poke(&thread->moved, 0);
        return;
    }
    give_large(thread, kin__spot_of((void *)(uintptr_t)thread->moved).unit);
    kin__journal_set(&thread->moved, 0);
    kin__journal_end();
    if (kin__units_excess())
        kin__run_trim_excess(thread);
}

void kin__heap_drop_soon(void *block)
{
    struct kin__thread *thread = kin__thread_mine;
    if (!begin_soon(thread)) {
        be_late(thread, (uint64_t)(uintptr_t)block, KIN__INTENT_LARGE);
        kin__heap_close();
        return;
    }
    give_large(thread, kin__spot_of(block).unit);
    kin__journal_set(&thread->intent, 0);
    kin__journal_end();
    if (kin__units_excess())
        kin__run_trim_excess(thread);
}

static void refuse(const void *block, enum kin__spot_kind kind)
{
    const char *why = kind == KIN__SPOT_FREE     ? "it is free already"
                      : kind == KIN__SPOT_INSIDE ? "it is not the start of a block"
                      : kin__region_holds(block) ? "it is not memory of the shared heap"
                                                 : "it is not memory of the shared heap; what malloc made "
                                                   "is for free()";
    kin__fail(KIN_EINVAL, "cannot free %p: %s", block, why);
    kin_log(KIN_LOG_ERROR, "%s", kin_error_message());
}

static void free_any(struct kin__thread *thread, void *block)
{
    struct kin__spot spot = kin__spot_of(block);
    bool done = false;
    if (spot.kind == KIN__SPOT_SMALL && kin__peek32(&spot.span->owner) == thread->index) {
        kin__span_free_own(thread, spot.span, spot.word, spot.bit);
        done = true;
    } else if (spot.kind == KIN__SPOT_SMALL) {
        kin__intend(thread, KIN__INTENT_NONE, (void *)(uintptr_t)free_intent(&spot, block));
        done = kin__span_free_other(thread, &spot);
        spot.kind = KIN__SPOT_FREE;
    } else if (spot.kind == KIN__SPOT_LARGE) {
        kin__intend(thread, KIN__INTENT_LARGE, block);
        done = free_large(thread, spot.unit);
        spot.kind = KIN__SPOT_FREE;
    }
    if (!done)
        refuse(block, spot.kind);
}

static __attribute__((noinline)) void free_slow(void *block, const void *caller)
{
    struct kin__thread *thread = kin__thread_self();
    if (!thread)
        kin_log(KIN_LOG_ERROR, "cannot free %p: %s", block, kin_error_message());
    else if (kin__is_sealed())
        kin__sealed_free(block);
    else if (kin__checks_heap())
        kin__checked_free(thread, block, caller);
    else
        free_any(thread, block);
}

void kin__heap_drop(void *block)
{
    free_any(kin__thread_mine, block);
    kin__heap_close();
}

/* The common case inline: a block in the first unit of a span of this thread. */
void kin_free(void *block)
{
    if (!block)
        return;
    uint64_t offset = (uint64_t)((uintptr_t)block - (uintptr_t)kin__view.units);
    if (offset < atomic_load_explicit(&kin__view.bytes, memory_order_acquire) && kin__thread_is_fast()) {
        uint32_t unit = (uint32_t)(offset >> KIN__UNIT_BITS);
        struct kin__span *span = kin__span_at(unit);
        if (kin__peek32(&kin__unit_at(unit)->kind) == KIN__UNIT_SPAN &&
            kin__peek32(&span->owner) == kin__thread_mine->index) {
            const struct kin__class *class = &kin__classes[span->class];
            uint64_t within = offset & (KIN__UNIT - 1), index = (within * class->reciprocal) >> 40;
            uint32_t word = (uint32_t)index / 64;
            uint64_t bit = UINT64_C(1) << index % 64;
            if (index * class->size == within && index < class->blocks &&
                ((span->a[word] ^ kin__peek(&span->r[word])) & bit)) {
                kin__span_free_own(kin__thread_mine, span, word, bit);
                return;
            }
        }
    }
    free_slow(block, CALLER);
}

void kin__heap_free_in(struct kin__thread *thread, const void *block)
{
    struct kin__spot spot = kin__spot_of(block);
    if (spot.kind == KIN__SPOT_LARGE)
        give_large(thread, spot.unit);
    else if (spot.kind == KIN__SPOT_SMALL)
        kin__journal_set(&thread->intent, free_intent(&spot, block));
    else
        refuse(block, spot.kind);
}

void kin__heap_free_finish(struct kin__thread *thread)
{
    unsigned what = thread->intent & KIN__INTENT_MASK;
    if (what == KIN__INTENT_FREE || what == KIN__INTENT_FREE_1) {
        const void *block = (void *)(uintptr_t)(thread->intent & ~(uint64_t)KIN__INTENT_MASK);
        struct kin__spot spot = kin__spot_of(block);
        if (spot.kind == KIN__SPOT_SMALL && kin__peek32(&spot.span->owner) == thread->index)
            kin__span_free_own(thread, spot.span, spot.word, spot.bit);
        else if (spot.kind == KIN__SPOT_SMALL)
            kin__span_free_other(thread, &spot);
        kin__intend(thread, KIN__INTENT_NONE, NULL);
    }
    if (kin__units_excess())
        kin__run_trim_excess(thread);
}

void kin__heap_free_at(uint64_t *word)
{
    struct kin__thread *thread = kin__thread_mine;
    void *block = (void *)(uintptr_t)kin__peek(word);
    thread->link = (uint64_t)(uintptr_t)word;
    kin__intend(thread, KIN__INTENT_UNLINK, block);
    kin__poke(word, 0);
    kin__crash_fence();
    free_any(thread, block);
    kin__intend(thread, KIN__INTENT_NONE, NULL);
}

/* ---- recovery -------------------------------------------------------------------------------- */

static void may_be_lost(struct kin__thread *thread, const void *block)
{
    struct kin__heap *heap = kin__heap();
    kin__journal_begin();
    kin__journal_set(&heap->possibly_lost, heap->possibly_lost + 1);
    kin__journal_set(&heap->last_lost, (uint64_t)(uintptr_t)block);
    kin__journal_set(&thread->intent, 0);
    kin__journal_end();
}

static void settle(const struct kin__spot *spot)
{
    if (!spot->span)
        return;
    kin__journal_begin();
    kin__span_settle(spot->unit);
    kin__journal_end();
}

/* A block that only the dead thread can have allocated or freed: in its own span, or large. */
static void free_own(struct kin__thread *thread, const struct kin__spot *spot)
{
    if (spot->kind == KIN__SPOT_SMALL)
        kin__span_free_own(thread, spot->span, spot->word, spot->bit);
    else if (spot->kind == KIN__SPOT_LARGE)
        free_large(thread, spot->unit);
}

/* A large block may lie there: then the one that was freed is long gone, with its span. */
static void finish_free(struct kin__thread *thread, const struct kin__spot *spot, const void *block,
                        bool r_was)
{
    if (spot->kind != KIN__SPOT_SMALL)
        settle(spot);
    else if (kin__peek32(&spot->span->owner) == thread->index)
        free_own(thread, spot);
    else if (!(spot->span->r[spot->word] & spot->bit) == !r_was)
        may_be_lost(thread, block); /* not flipped yet; or flipped, allocated again and freed by another */
    else
        settle(spot);
}

/* A block that is in no word any more. One in another's span may be freed by now, and its intent has become FREE then. */
static void free_unlinked(struct kin__thread *thread, const struct kin__spot *spot, const void *block)
{
    if (spot->kind == KIN__SPOT_SMALL && kin__peek32(&spot->span->owner) != thread->index) {
        kin__intend(thread, KIN__INTENT_NONE, (void *)(uintptr_t)free_intent(spot, block));
        kin__span_free_other(thread, spot);
    } else {
        free_own(thread, spot);
    }
}

/* What realloc had made and not returned. While the old block is being freed this block has no intent of its own. */
static void drop_moved(struct kin__thread *thread)
{
    if (!thread->moved)
        return;
    struct kin__spot spot = kin__spot_of((void *)(uintptr_t)thread->moved);
    if (spot.kind == KIN__SPOT_SMALL)
        kin__span_free_own(thread, spot.span, spot.word, spot.bit);
    kin__journal_begin();
    if (spot.kind == KIN__SPOT_LARGE)
        give_large(thread, spot.unit); /* as one with the next: afterwards it may be someone else's */
    kin__journal_set(&thread->moved, 0);
    kin__journal_end();
}

/* An intent for the block of realloc would free or count it once more. */
static void forget_intent_for_moved(struct kin__thread *thread)
{
    if (thread->moved && (thread->intent & ~(uint64_t)KIN__INTENT_MASK) == thread->moved)
        kin__intend(thread, KIN__INTENT_NONE, NULL);
}

/* What is late has one name, and so it is given back once. */
static void forget_others_for_late(struct kin__thread *thread)
{
    if (thread->late && thread->moved == ADDRESS(thread->late))
        kin__poke(&thread->moved, 0);
    if (thread->late && ADDRESS(thread->intent) == ADDRESS(thread->late))
        kin__intend(thread, KIN__INTENT_NONE, NULL);
}

void kin__heap_finish(struct kin__thread *thread)
{
    kin__journal_begin(); /* its last transaction is undone, if it was not true yet: that may concern the intent */
    kin__journal_end();
    forget_others_for_late(thread);
    forget_intent_for_moved(thread);
    const void *block = (void *)(uintptr_t)(thread->intent & ~(uint64_t)KIN__INTENT_MASK);
    struct kin__spot spot = kin__spot_of(block);
    switch ((enum kin__intent)(thread->intent & KIN__INTENT_MASK)) {
    case KIN__INTENT_NONE:
        break;
    case KIN__INTENT_MALLOC:
        free_own(thread, &spot);
        break;
    case KIN__INTENT_OPEN:
        if (!thread->link || *(uint64_t *)(uintptr_t)thread->link != (uint64_t)(uintptr_t)block)
            free_own(thread, &spot);
        break;
    case KIN__INTENT_LAST:
        if (spot.kind == KIN__SPOT_SMALL || spot.kind == KIN__SPOT_LARGE)
            may_be_lost(thread, block);
        break;
    case KIN__INTENT_FREE:
    case KIN__INTENT_FREE_1:
        finish_free(thread, &spot, block, (thread->intent & KIN__INTENT_MASK) == KIN__INTENT_FREE_1);
        break;
    case KIN__INTENT_LARGE:
        free_own(thread, &spot);
        break;
    case KIN__INTENT_RUN:
        kin__run_drop(thread);
        break;
    case KIN__INTENT_UNLINK:
        if (*(uint64_t *)(uintptr_t)thread->link != (uint64_t)(uintptr_t)block)
            free_unlinked(thread, &spot, block);
        break;
    }
    kin__intend(thread, KIN__INTENT_NONE, NULL);
    drop_moved(thread);
    if (thread->late) {
        kin__journal_begin();
        give_late_back(thread);
    }
    kin__arena_finish(thread);
}

/* ---- the other public calls ------------------------------------------------------------------ */

static size_t usable(const struct kin__spot *spot)
{
    if (spot->kind == KIN__SPOT_SMALL)
        return kin__classes[spot->span->class].size;
    if (spot->kind == KIN__SPOT_LARGE)
        return (size_t)kin__peek32(&kin__unit_at(spot->unit)->length) << KIN__UNIT_BITS;
    return 0;
}

size_t kin_usable_size(const void *block)
{
    if (!block || !kin__thread_self())
        return 0;
    if (kin__is_sealed())
        return kin__sealed_size(block);
    if (kin__checks_heap())
        return kin__checked_size(block);
    struct kin__spot spot = kin__spot_of(block);
    return usable(&spot);
}

bool kin_is_shared(const void *pointer)
{
    return kin__region_holds(pointer);
}

void *kin_calloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        kin__fail(KIN_EINVAL, "cannot allocate %zu times %zu bytes: the product overflows", count, size);
        return NULL;
    }
    bool zero;
    void *block = allocate(bytes, 16, CALLER, &zero);
    if (block && !zero)
        memset(block, 0, bytes);
    return block;
}

void *kin_aligned_alloc(size_t alignment, size_t size)
{
    if (alignment == 0 || (alignment & (alignment - 1)) || alignment > ALIGNMENT_MAX) {
        kin__fail(KIN_EINVAL, "cannot align to %zu: it is not a power of two of at most 1 GiB", alignment);
        return NULL;
    }
    bool zero;
    return allocate(size, alignment < 16 ? 16 : alignment, CALLER, &zero);
}

char *kin_strdup(const char *string)
{
    if (!string) {
        kin__fail(KIN_EINVAL, "cannot copy a string: it is NULL");
        return NULL;
    }
    size_t size = strlen(string) + 1;
    bool zero;
    char *copy = allocate(size, 16, CALLER, &zero);
    if (copy)
        memcpy(copy, string, size);
    return copy;
}

/* Cut a large block's end off and free it, as one. */
static void shrink_large(struct kin__thread *thread, uint32_t unit, uint32_t length)
{
    struct kin__heap *heap = kin__heap();
    kin__journal_begin();
    uint32_t cut = kin__unit_at(unit)->length - length;
    kin__units_give(kin__units_cut(unit, length), true);
    kin__journal_set32(&heap->large_units, heap->large_units - cut);
    kin__journal_end();
    thread->charged -= (int64_t)cut << KIN__UNIT_BITS;
    if (kin__units_excess())
        kin__run_trim_excess(thread);
}

/* Whether the block can stay where it is: it fits, and would not fit in half of it. */
static bool resize_in_place(struct kin__thread *thread, const struct kin__spot *spot, size_t size)
{
    size_t has = usable(spot);
    if (size > has)
        return false;
    if (spot->kind == KIN__SPOT_LARGE && size > KIN__SMALL_MAX) {
        uint32_t length = (uint32_t)((size + KIN__UNIT - 1) >> KIN__UNIT_BITS);
        if (length < has >> KIN__UNIT_BITS)
            shrink_large(thread, spot->unit, length);
        return true;
    }
    return has <= 128 || size > has / 2;
}

/* Who dies before the new block is returned has the old one alone, or, once that is being freed, none. */
static void *move(struct kin__thread *thread, void *block, size_t has, size_t size)
{
    bool zero;
    thread->link = 0;
    void *moved = kin__heap_malloc(thread, size, 16, KIN__INTENT_OPEN, &zero);
    if (!moved)
        return NULL;
    memcpy(moved, block, has < size ? has : size);
    kin__crash_fence();
    kin__poke(&thread->moved, (uint64_t)(uintptr_t)moved);
    kin__crash_fence();
    kin_free(block);
    kin__intend(thread, KIN__INTENT_LAST, moved);
    kin__poke(&thread->moved, 0);
    return moved;
}

void *kin_realloc(void *block, size_t size)
{
    if (!block)
        return kin_malloc(size);
    struct kin__thread *thread = kin__thread_self();
    if (!thread)
        return NULL;
    if (kin__is_sealed())
        return kin__sealed_realloc(block, size);
    if (kin__checks_heap())
        return kin__checked_realloc(thread, block, size, CALLER);
    struct kin__spot spot = kin__spot_of(block);
    size_t has = usable(&spot);
    if (has == 0) {
        kin__fail(KIN_EINVAL, "cannot change the size of %p: it is not a block of the shared heap in use",
                  block);
        return NULL;
    }
    if (resize_in_place(thread, &spot, size))
        return block;
    kin_error before;
    if (size <= has)
        kin_error_get(&before);
    void *moved = move(thread, block, has, size);
    if (moved || size > has)
        return moved;
    kin__fail_with(&before); /* a smaller one always fits where it is: nothing failed */
    return block;
}
