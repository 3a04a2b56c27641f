/* family/checked.c - see checked.h. */
#include "family/checked.h"

#include "base/failure.h"
#include "base/in_child.h"
#include "family/checked_report.h"
#include "family/heap.h"
#include "family/span.h"
#include "os/os.h"

#include <string.h>

#define MADE UINT64_C(0x6d6164652d2d6b6e)
#define FREED UINT64_C(0x66726565642d6b6e)
#define FORWARD UINT64_C(0x666f727764206b6e)
#define ZONE_BYTE 0xfd  /* around a block */
#define NEW_BYTE 0xcd   /* in a new one */
#define FREED_BYTE 0xdd /* in a freed one */
#define AHEAD ((size_t)256)
#define BEHIND ((size_t)32) /* at least */
#define PAGE ((uintptr_t)4096)
#define REST_MOST 1000u /* blocks in a quarantine */
#define REST_BYTES ((uint64_t)16 << 20)

struct record {
    uint64_t magic; /* MADE or FREED, with its own address mixed in */
    uint64_t size;
    uint64_t front; /* the carrier */
    uint64_t sum;
    struct kin__history made, freed;
};
_Static_assert(sizeof(struct record) + 16 <= AHEAD, "record and zone");

/* A thread's freed blocks, a ring. All words are the journal's. */
struct quarantine {
    uint64_t bytes; /* of the carriers */
    uint32_t first, count;
    uint64_t carrier[REST_MOST + 1];
};

static uint64_t word_of(const void *pointer)
{
    return (uint64_t)(uintptr_t)pointer;
}

static uint64_t sum_of(const struct record *record)
{
    return (record->size * UINT64_C(0x9e3779b97f4a7c15) ^ record->front) + word_of(record);
}

static unsigned char *user_of(struct record *record)
{
    return (unsigned char *)record + AHEAD;
}

static struct record *record_of(void *user)
{
    return (struct record *)((char *)user - AHEAD);
}

/* ---- finding --------------------------------------------------------------------------------- */

struct carrier {
    enum kin__spot_kind kind;
    uint32_t unit;
    char *front; /* NULL: no block of the heap is or was there */
    size_t length;
};

/* The block of the heap that the pointer leads into, in use or not. */
static struct carrier carrier_of(const void *pointer)
{
    struct carrier found = {.kind = kin__spot_of(pointer).kind}; /* looks whether the heap has grown, too */
    uint64_t offset = word_of(pointer) - word_of(kin__view.units);
    if (found.kind == KIN__SPOT_FOREIGN)
        return found;
    uint32_t unit = (uint32_t)(offset >> KIN__UNIT_BITS);
    while (kin__peek32(&kin__unit_at(unit)->kind) == KIN__UNIT_INSIDE)
        unit--;
    uint32_t kind = kin__peek32(&kin__unit_at(unit)->kind);
    found.unit = unit;
    found.kind = KIN__SPOT_FREE;
    if (kind == KIN__UNIT_LARGE) {
        found.kind = KIN__SPOT_LARGE;
        found.front = kin__unit_address(unit);
        found.length = (size_t)kin__unit_at(unit)->length << KIN__UNIT_BITS;
    } else if (kind == KIN__UNIT_SPAN) {
        const struct kin__class *class = &kin__classes[kin__span_at(unit)->class];
        offset -= (uint64_t)unit << KIN__UNIT_BITS;
        found.front = kin__unit_address(unit) + ((offset * class->reciprocal) >> 40) * class->size;
        found.length = class->size;
        found.kind = kin__spot_of(found.front).kind;
    }
    return found;
}

/* The record in a carrier, if it can be believed. */
static struct record *record_in(const struct carrier *carrier)
{
    if (!carrier->front)
        return NULL;
    const uint64_t *words = (const uint64_t *)(const void *)carrier->front;
    struct record *record = (struct record *)(void *)carrier->front;
    if (words[0] == (FORWARD ^ word_of(carrier->front))) {
        if (words[1] - word_of(carrier->front) > carrier->length ||
            words[1] - word_of(carrier->front) < AHEAD || words[1] % 16)
            return NULL;
        record = record_of((void *)(uintptr_t)words[1]);
    }
    uint64_t magic = record->magic ^ word_of(record);
    bool good = (magic == MADE || magic == FREED) && record->sum == sum_of(record) &&
                record->front == word_of(carrier->front) &&
                record->size <= carrier->length - (size_t)((char *)user_of(record) - carrier->front);
    return good ? record : NULL;
}

static bool is_made(const struct record *record)
{
    return kin__peek(&record->magic) == (MADE ^ word_of(record));
}

/* ---- patterns -------------------------------------------------------------------------------- */

/* Bytes from the first to the last that differ from the pattern; 0: none do. */
static size_t changed(const unsigned char *bytes, size_t size, unsigned char pattern, size_t *first)
{
    size_t from = 0, to = size;
    while (from < to && bytes[from] == pattern)
        from++;
    while (to > from && bytes[to - 1] == pattern)
        to--;
    *first = from;
    return to - from;
}

static void make_zones(struct record *record, const struct carrier *carrier)
{
    unsigned char *zone = (unsigned char *)(record + 1), *user = user_of(record);
    memset(zone, ZONE_BYTE, (size_t)(user - zone));
    memset(user + record->size, ZONE_BYTE,
           (size_t)((unsigned char *)carrier->front + carrier->length - user) - record->size);
}

/* Whether both zones are whole; if not, it is told, and they are made anew. */
static void check_zones(struct record *record, const struct carrier *carrier)
{
    unsigned char *zone = (unsigned char *)(record + 1), *user = user_of(record);
    const unsigned char *end = (unsigned char *)carrier->front + carrier->length;
    const struct kin__history *freed = is_made(record) ? NULL : &record->freed;
    size_t first, count = changed(zone, (size_t)(user - zone), ZONE_BYTE, &first);
    if (count)
        kin__history_report(
            KIN_EDAMAGED, &record->made, freed,
            "the block of %zu bytes at %p was written to before its start: %zu bytes from offset %td",
            (size_t)record->size, (void *)user, count, zone + first - user);
    size_t behind = changed(user + record->size, (size_t)(end - user) - record->size, ZONE_BYTE, &first);
    if (behind)
        kin__history_report(
            KIN_EDAMAGED, &record->made, freed,
            "the block of %zu bytes at %p was written to beyond its end: %zu bytes from offset %zu",
            (size_t)record->size, (void *)user, behind, (size_t)record->size + first);
    if (count || behind)
        make_zones(record, carrier);
}

static void check_freed(const struct record *record)
{
    const unsigned char *user = (const unsigned char *)record + AHEAD;
    size_t first, count = changed(user, record->size, FREED_BYTE, &first);
    if (count)
        kin__history_report(
            KIN_EDAMAGED, &record->made, &record->freed,
            "the block of %zu bytes at %p was written to after it was freed: %zu bytes from offset %zu",
            (size_t)record->size, (const void *)user, count, first);
}

/* The whole pages of a large block's own bytes: nobody in this process may touch them, or everybody may again. */
static void forbid(struct record *record, const struct carrier *carrier, bool forbidden)
{
    uintptr_t from = ((uintptr_t)user_of(record) + PAGE - 1) & ~(PAGE - 1);
    uintptr_t to = ((uintptr_t)user_of(record) + record->size) & ~(PAGE - 1);
    if (carrier->kind == KIN__SPOT_LARGE && from < to)
        kin__os_protect((void *)from, to - from, forbidden ? KIN__OS_NONE : KIN__OS_WRITE);
}

/* ---- quarantine ------------------------------------------------------------------------------ */

static struct quarantine *quarantine_of(struct kin__thread *thread)
{
    if (!thread->quarantine) {
        struct quarantine *made = kin__heap_open(sizeof *made, &thread->quarantine);
        if (!made)
            return NULL;
        made->bytes = 0;
        made->first = made->count = 0;
        kin__poke(&thread->quarantine, word_of(made));
        kin__heap_close();
    }
    return (struct quarantine *)(uintptr_t)thread->quarantine;
}

/* In a transaction. */
static void rest(struct quarantine *quarantine, const struct carrier *carrier)
{
    kin__journal_set(&quarantine->carrier[(quarantine->first + quarantine->count) % (REST_MOST + 1)],
                     word_of(carrier->front));
    kin__journal_set32(&quarantine->count, quarantine->count + 1);
    kin__journal_set(&quarantine->bytes, quarantine->bytes + carrier->length);
}

/* Check the block that has rested longest, and free it. */
static void let_go(struct kin__thread *thread, struct quarantine *quarantine)
{
    struct carrier carrier = carrier_of((void *)(uintptr_t)quarantine->carrier[quarantine->first]);
    struct record *record = record_in(&carrier);
    if (record) {
        forbid(record, &carrier, false);
        check_freed(record);
        check_zones(record, &carrier);
    } else {
        kin__history_report(
            KIN_EDAMAGED, NULL, NULL,
            "what is kept about a block that was freed was overwritten: at %p, before a block of up to %zu "
            "bytes",
            (void *)carrier.front, carrier.length - AHEAD);
    }
    kin__journal_begin();
    kin__journal_set32(&quarantine->first, (quarantine->first + 1) % (REST_MOST + 1));
    kin__journal_set32(&quarantine->count, quarantine->count - 1);
    kin__journal_set(&quarantine->bytes, quarantine->bytes - carrier.length);
    kin__heap_free_in(thread, carrier.front);
    kin__journal_end();
    kin__heap_free_finish(thread);
}

void kin__checked_drain(struct kin__thread *thread)
{
    struct quarantine *quarantine = (struct quarantine *)(uintptr_t)thread->quarantine;
    if (!quarantine)
        return;
    while (quarantine->count)
        let_go(thread, quarantine);
    kin__journal_begin();
    kin__journal_set(&thread->quarantine, 0);
    kin__heap_free_in(thread, quarantine);
    kin__journal_end();
    kin__heap_free_finish(thread);
}

KIN__IN_CHILD void kin__checked_finish(void)
{
    if (kin__checks_heap() && kin__thread_is_ours())
        kin__checked_drain(kin__thread_mine);
}

/* ---- the calls ------------------------------------------------------------------------------- */

static void *get_carrier(struct kin__thread *thread, size_t size, size_t alignment)
{
    bool zero;
    thread->link = 0;
    return kin__heap_malloc(thread, size, alignment, KIN__INTENT_OPEN, &zero);
}

void *kin__checked_malloc(struct kin__thread *thread, size_t size, size_t alignment, const void *caller)
{
    size_t ahead = alignment > AHEAD ? alignment : AHEAD;
    size_t whole = size > kin__region_size ? size : size + ahead + BEHIND; /* too large: let it say so */
    char *front = get_carrier(thread, whole, alignment);
    if (!front && kin_error_code() == KIN_ENOMEM && thread->quarantine) {
        kin__checked_drain(thread);
        front = get_carrier(thread, whole, alignment);
    }
    if (!front)
        return NULL;
    unsigned char *user = (unsigned char *)front + ahead;
    struct record *record = record_of(user);
    uint64_t *words = (uint64_t *)(void *)front;
    if (ahead > AHEAD) {
        words[0] = FORWARD ^ word_of(front);
        words[1] = word_of(user);
    }
    record->size = size;
    record->front = word_of(front);
    record->sum = sum_of(record);
    kin__history_note(&record->made, caller);
    record->freed.depth = 0;
    record->magic = MADE ^ word_of(record);
    struct carrier carrier = carrier_of(front);
    make_zones(record, &carrier);
    memset(user, NEW_BYTE, size);
    kin__intend(thread, KIN__INTENT_LAST, front);
    return user;
}

static void refuse(const char *what, const void *block)
{
    struct carrier carrier = carrier_of(block);
    struct record *record = record_in(&carrier);
    const char *user = record ? (const char *)user_of(record) : NULL;
    if (!carrier.front)
        kin__history_report(KIN_EINVAL, NULL, NULL, "cannot %s %p: %s", what, block,
                            carrier.kind == KIN__SPOT_FOREIGN ? "it is not memory of the shared heap"
                                                              : "it is free already");
    else if (!record && carrier.kind == KIN__SPOT_FREE)
        kin__history_report(KIN_EINVAL, NULL, NULL, "cannot %s %p: it is free already", what, block);
    else if (!record)
        kin__history_report(
            KIN_EINVAL, NULL, NULL,
            "cannot %s %p: it is not the start of a block, or what is kept before the block was "
            "overwritten",
            what, block);
    else if (user != block)
        kin__history_report(
            KIN_EINVAL, &record->made, record->freed.depth ? &record->freed : NULL,
            "cannot %s %p: it is not the start of a block, but at offset %td of one of %zu bytes", what,
            block, (const char *)block - user, (size_t)record->size);
    else
        kin__history_report(KIN_EINVAL, &record->made, &record->freed,
                            "cannot %s %p: it is free already, a block of %zu bytes", what, block,
                            (size_t)record->size);
}

/* The record of a block in use; NULL, and `what` is refused. */
static struct record *require(const char *what, const void *block, struct carrier *carrier)
{
    *carrier = carrier_of(block);
    struct record *record = record_in(carrier);
    if (record && user_of(record) == block && is_made(record) && carrier->kind != KIN__SPOT_FREE)
        return record;
    refuse(what, block);
    return NULL;
}

void kin__checked_free(struct kin__thread *thread, void *block, const void *caller)
{
    struct carrier carrier;
    struct record *record = require("free", block, &carrier);
    if (!record)
        return;
    check_zones(record, &carrier);
    struct quarantine *quarantine = quarantine_of(thread);
    kin__history_note(&record->freed, caller);
    memset(block, FREED_BYTE, record->size);
    kin__journal_begin();
    bool first = is_made(record); /* of two that free it at once, one finds it freed */
    if (first) {
        kin__journal_set(&record->magic, FREED ^ word_of(record));
        if (quarantine)
            rest(quarantine, &carrier);
        else
            kin__heap_free_in(thread, carrier.front);
    }
    kin__journal_end();
    if (!first)
        refuse("free", block);
    else if (!quarantine)
        kin__heap_free_finish(thread);
    else
        forbid(record, &carrier, true);
    while (quarantine && quarantine->count > 1 &&
           (quarantine->count > REST_MOST || quarantine->bytes > REST_BYTES))
        let_go(thread, quarantine);
}

void *kin__checked_realloc(struct kin__thread *thread, void *block, size_t size, const void *caller)
{
    struct carrier carrier;
    struct record *record = require("change the size of", block, &carrier);
    if (!record)
        return NULL;
    quarantine_of(thread); /* so that the free allocates nothing: the new block's span stays this thread's */
    void *moved = kin__checked_malloc(thread, size, 16, caller);
    if (!moved)
        return NULL;
    memcpy(moved, block, size < record->size ? size : record->size);
    uint64_t front = record_of(moved)->front;
    kin__crash_fence();
    kin__poke(&thread->moved, front);
    kin__crash_fence();
    kin__checked_free(thread, block, caller);
    kin__intend(thread, KIN__INTENT_LAST, (void *)(uintptr_t)front);
    kin__poke(&thread->moved, 0);
    return moved;
}

size_t kin__checked_size(const void *block)
{
    struct carrier carrier = carrier_of(block);
    struct record *record = record_in(&carrier);
    bool in_use = record && user_of(record) == block && is_made(record) && carrier.kind != KIN__SPOT_FREE;
    return in_use ? record->size : 0;
}

void kin__checked_bury(void *bytes, size_t size)
{
    if (kin__checks_heap())
        memset(bytes, FREED_BYTE, size);
}
