/*
 * family/span.h - runs cut into blocks of one size.
 *
 * Sizes go in 16-byte steps to 128, then in four steps for each doubling up to 32 KiB. A span has two bitmaps:
 *
 *     block i is allocated if, and only if, A[i] != R[i]
 *
 * The span's owner alone allocates and writes A, by plain stores; all others free by flipping R, atomically.
 * So each malloc and free is one store, a block is free or allocated at every instruction, and the owner finds
 * what others have freed without any list of it. Bits beyond the last block stay allocated (A 1, R 0).
 *
 * A span that its owner finds full loses it. Whoever frees a block in a span without owner puts it on its
 * class's list, from where threads take it, or gives it back when the whole of it is free.
 *
 *   field     written by     rule                             when the writer dies there
 *   -------   ------------   ------------------------------   ------------------------------------------
 *   owner     journal        a thread's index; 0: none        undone
 *   listed    journal        on its class's partial list      undone
 *   class     who makes it   while the run is HELD            HELD: the run is given back
 *   a, r      who makes it   the same                         the same
 *   a         owner          one store a block                as stored; see the owner's intent
 *   r         all others     atomic flip                      as stored; see the flipper's intent
 *
 * The race between the owner that leaves a span (owner = 0, then it looks for free blocks) and one that frees
 * in it (flips R, then looks whether it has an owner): both have a full barrier in between, so at least one
 * of them sees the other, and acts under the lock, where it looks again.
 *
 *   S1  a span's owner is a thread in use, whose cache names the span; each span in a cache has that owner
 *   S2  listed is 1 exactly for the spans on partial lists; these have no owner
 *   S3  a span without owner, when no free in it is under way: is listed if it has a free block, and not all of
 *       its blocks are free
 *   S4  bits beyond the last block are A 1, R 0
 */
#ifndef KIN_FAMILY_SPAN_H
#define KIN_FAMILY_SPAN_H

#include "family/thread.h"

#define KIN__SMALL_MAX 32768u
#define KIN__SPAN_WORDS 64u

struct kin__span {
    uint32_t owner;
    uint32_t listed;
    uint32_t class;
    uint32_t unused[13];
    uint64_t a[KIN__SPAN_WORDS]; /* A and R lie on cache lines of their own: they have different writers */
    uint64_t r[KIN__SPAN_WORDS];
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct kin__span) == KIN__DESCRIPTOR_SIZE, "a descriptor");

struct kin__class {
    uint32_t size;
    uint32_t units;  /* of a span */
    uint32_t blocks; /* in a span */
    uint32_t words;
    uint64_t reciprocal; /* 2^40 / size, rounded up: exact for offsets in a span */
};
extern const struct kin__class kin__classes[KIN__CLASSES];

/* The smallest class for a size of at most KIN__SMALL_MAX. */
static inline unsigned kin__class_of(size_t size)
{
    size_t last = size - (size != 0);
    if (last < 128)
        return (unsigned)(last >> 4);
    unsigned log = 63u - (unsigned)__builtin_clzll(last);
    return (log - 7) * 4 + 8 + (unsigned)((last >> (log - 2)) & 3);
}

static inline struct kin__span *kin__span_at(uint32_t unit)
{
    return (struct kin__span *)(kin__view.descriptors + (size_t)unit * KIN__DESCRIPTOR_SIZE);
}

/* Where a pointer leads. */
enum kin__spot_kind {
    KIN__SPOT_SMALL,  /* a block of a span, in use */
    KIN__SPOT_LARGE,  /* a large block */
    KIN__SPOT_FREE,   /* a block of a span, or a run, that is free */
    KIN__SPOT_INSIDE, /* not the start of a block */
    KIN__SPOT_FOREIGN /* not in the heap */
};
struct kin__spot {
    enum kin__spot_kind kind;
    uint32_t unit; /* first of the run */
    uint32_t word; /* small: where its bits are */
    uint64_t bit;
    struct kin__span *span;
};
/* Looked up without the lock: stable if the block is in use and nobody frees it meanwhile. */
struct kin__spot kin__spot_of(const void *pointer);

/* Allocate the `mask`'s lowest block; only with mask != 0. The intent becomes `then`. */
static inline void *kin__cache_pop(struct kin__thread *thread, unsigned class, enum kin__intent then)
{
    struct kin__cache *cache = &thread->cache[class];
    unsigned bit = (unsigned)__builtin_ctzll(cache->mask);
    char *block = cache->first + (size_t)bit * kin__classes[class].size;
    kin__intend(thread, KIN__INTENT_MALLOC, block);
    cache->mask &= cache->mask - 1;
    kin__poke(cache->word, *cache->word ^ UINT64_C(1) << bit);
    kin__intend(thread, then, block);
    return block;
}

/* Allocate a block when the mask is empty. NULL: KIN_ENOMEM, KIN_EMEMLIMIT. */
void *kin__span_malloc(struct kin__thread *thread, unsigned class, enum kin__intent then);

/* Free a block that is in use, in a span of the thread's own. */
static inline void kin__span_free_own(struct kin__thread *thread, struct kin__span *span, uint32_t word,
                                      uint64_t bit)
{
    struct kin__cache *cache = &thread->cache[span->class];
    uint64_t *a = &span->a[word];
    kin__poke(a, *a ^ bit);
    if (a == cache->word)
        cache->mask |= bit;
}

/* The same in any other; the intent, FREE or FREE_1, must be set. False: it was free already. */
bool kin__span_free_other(struct kin__thread *thread, const struct kin__spot *spot);

/* In a transaction: a span without owner is listed, or given back, if that is due. Others are left alone. */
void kin__span_settle(uint32_t unit);

/* Give up the thread's span of a class. In a transaction. */
void kin__span_leave(struct kin__thread *thread, unsigned class);

/* Free blocks in it, now. */
uint32_t kin__span_free_blocks(const struct kin__span *span);

#endif
