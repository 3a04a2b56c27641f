/*
 * family/units.h - the heap's memory in units of 64 KiB, and runs of them.
 *
 * Every unit belongs to exactly one run. A run's state stands in the entry of its first unit, and how far back
 * that is in the entry of its last, so that a run which becomes free finds its neighbours. Entries lie in a
 * table of their own, away from user bytes. All changes are the journal's.
 *
 *   area (from KIN__AT_HEAP)   holds
 *   ------------------------   ------------------------------------------------------------------
 *   struct kin__heap           the journal, counters, list heads
 *   units                      aligned to 64 KiB
 *   entries                    one for each unit and one beyond the last
 *   span descriptors           one for each unit (family/span.h)
 *
 * with a guard in front of the units and behind them (family/guard.h).
 *
 * Tables are sparse: an entry gets memory before its unit is first used, a descriptor before its unit first
 * heads a span.
 *
 *   kind     means                                          memory      found through
 *   ------   --------------------------------------------   ---------   ------------------------------
 *   INSIDE   not the first unit of a run                    -           `back`, if it is the last or in a span
 *   COLD     free                                           none        bins[0]
 *   WARM     free                                           all of it   bins[1]
 *   HELD     belongs to a thread for the moment             some        intent of that thread
 *   LARGE    one block                                      all of it   who has the pointer, or an intent
 *   SPAN     cut into blocks of one size                    all of it   its owner, partial list, or blocks
 *   EDGE     unit 0, and the entry beyond the last          none        -
 *
 *   field of an entry     written by   rule      when the writer dies there
 *   -------------------   ----------   -------   --------------------------
 *   all                   journal      lock      undone
 *   kind, back, length    also read without the lock, by who frees a block in use: then none of them changes
 *
 *   field of kin__heap    written by   rule                       when the writer dies there
 *   -------------------   ----------   ------------------------   -------------------------------
 *   journal               see journal.h
 *   units, offsets        founder      before the first child     -
 *   tabled                who needs    lock; only grows; after    memory is there, counted later
 *                         it           the memory is there
 *   all others            journal      lock                       undone
 *
 * Between transactions (kin__heap_check tests them):
 *   U1  runs follow each other without gap from unit 0 to the edge; the last unit of each leads to its first
 *   U2  no two free runs of one warmth are neighbours
 *   U3  bins hold exactly the free runs, each in the bin of its length and warmth; a bin's bit tells if it is empty
 *   U4  used = units in runs that are not COLD, warm = units in WARM runs; spans, large, large_units as counted
 *   U5  each HELD run is named by one thread's intent (with all members at rest: there is none)
 */
#ifndef KIN_FAMILY_UNITS_H
#define KIN_FAMILY_UNITS_H

#include "family/journal.h"

#define KIN__UNIT_BITS 16
#define KIN__UNIT ((size_t)1 << KIN__UNIT_BITS)
#define KIN__BINS 112u
#define KIN__CLASSES 40u /* of small blocks; family/span.h */
#define KIN__DESCRIPTOR_SIZE \
    1088u                      /* of a span; 17 cache lines: an odd number spreads over the cache's sets */
#define KIN__THREAD_SIZE 2048u /* of a thread slot; family/thread.h */

enum kin__unit_kind {
    KIN__UNIT_INSIDE = 0,
    KIN__UNIT_COLD,
    KIN__UNIT_WARM,
    KIN__UNIT_HELD,
    KIN__UNIT_LARGE,
    KIN__UNIT_SPAN,
    KIN__UNIT_EDGE
};

struct kin__unit {
    uint32_t kind;
    uint32_t length; /* of the run, in its first unit */
    uint32_t back;   /* units to the first of the run */
    uint32_t prev;   /* list neighbours: of a bin, or of a class's partial spans; circular */
    uint32_t next;
    uint32_t has_descriptor; /* its span descriptor has memory; stays true */
    uint32_t unused[2];
};

struct kin__heap {
    struct kin__journal journal; /* first: kin__journal() */
    uint64_t entries_at;         /* offsets from the region's start */
    uint64_t descriptors_at;
    uint64_t units_at;    /* of unit 0 */
    uint32_t units;       /* their number; that of the edge */
    uint32_t tabled;      /* entries below it have memory */
    uint32_t descriptors; /* that have memory */
    uint32_t used, warm;  /* units */
    uint32_t spans, large, large_units;
    uint32_t shelved;      /* units of books (family/shelf.h) */
    uint32_t threads_top;  /* thread slots below it were used at least once */
    uint32_t threads_free; /* first free one of these, 0: none */
    uint32_t arena_count;
    uint64_t family_arenas; /* address of the first arena that the family owns */
    uint64_t deaths, possibly_lost, last_lost;
    uint64_t threads_left;  /* slots that were given back so far, or taken back */
    uint32_t dirty;         /* 1: a run may be COLD and have content all the same: punching it failed */
    uint64_t bin_map[2][2]; /* [0]: cold, [1]: warm; bit set: the bin has runs */
    uint32_t bins[2][KIN__BINS];
    uint32_t partial[KIN__CLASSES]; /* unowned spans with free blocks, oldest first */
};

/*
 * This process's view of the areas, set when its first thread gets a slot. `bytes` is the part of the units
 * that entries are known to exist for: 0 before, and it only grows.
 */
struct kin__view {
    char *units;
    struct kin__unit *entries;
    char *descriptors;
    _Atomic uint64_t bytes;
};
extern struct kin__view kin__view;

static inline struct kin__heap *kin__heap(void)
{
    return kin__region_at(KIN__AT_HEAP);
}

static inline struct kin__unit *kin__unit_at(uint32_t unit)
{
    return &kin__view.entries[unit];
}

static inline char *kin__unit_address(uint32_t unit)
{
    return kin__view.units + ((size_t)unit << KIN__UNIT_BITS);
}

/* Lay out header and tables in a new region. */
int kin__units_format(void);
/* Set kin__view, and how far it reaches. */
void kin__units_attach(void);
/* Where a guard begins, and then units. */
#define KIN__HEADER_END (KIN__AT_HEAP + 0x10000u)

/*
 * In a transaction: make `length` free units, the first aligned to `alignment` of them, a run of `kind`. Its
 * number, or 0 if there is none such (*out_of says whether limit or address space). *cold: it has no memory yet.
 */
enum kin__out_of { KIN__OUT_OF_LIMIT = 1, KIN__OUT_OF_TIME, KIN__OUT_OF_SPACE, KIN__OUT_OF_MEMORY };
uint32_t kin__units_take(uint32_t length, uint32_t alignment, enum kin__unit_kind kind, bool *cold,
                         enum kin__out_of *out_of);

/* In a transaction: the run is free, and all of it has memory (warm), or none. */
void kin__units_give(uint32_t unit, bool warm);

/* In a transaction: cut the end of a run off, so that `length` is left. The end is a HELD run, its number the result. */
uint32_t kin__units_cut(uint32_t unit, uint32_t length);

/* In a transaction: the largest warm run becomes HELD. 0: there is none. */
uint32_t kin__units_take_warm(void);

/* Whether more is kept warm than is good. */
bool kin__units_excess(void);

/* Get memory for a run, or give it back. Outside of transactions: these are system calls. */
int kin__units_populate(uint32_t unit, uint32_t length);
int kin__units_punch(uint32_t unit, uint32_t length);

/* Bytes in use against the family's limit. */
size_t kin__heap_used_bytes(void);

/* Get memory for a piece of a table, once for all. */
int kin__table_populate(const void *start, size_t size);

/* List handling, in a transaction: circular lists through prev and next, oldest first. */
void kin__list_append(uint32_t *head, uint32_t unit);
void kin__list_remove(uint32_t *head, uint32_t unit);

/* The bin for free runs of this length (kin__heap_check). */
unsigned kin__units_bin(uint32_t length);

#endif
