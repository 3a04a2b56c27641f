/*
 * family/region.h - the memory that all members share, and where things lie in it.
 *
 * One sparse memfd, mapped MAP_SHARED at one address in every member, so that a pointer into it means
 * the same everywhere. It has no name; it goes when its last member goes.
 *
 *   offset          what                          defined in
 *   0               struct kin__region            here
 *   KIN__AT_BOOKS   books on the shelf            family/shelf.h
 *   KIN__AT_MODULES modules functions lie in      process/function.h
 *   KIN__AT_THREADS thread slots                  family/thread.h
 *   KIN__AT_MEMBERS member slots                  family/member.h
 *   KIN__AT_HEAP    the heap: units, their tables family/units.h
 *   shelf           what nobody may write         family/shelf.h
 *
 * What each child touches first, its member slot and the first units, lies within the same 2 MiB: a child by fork has no page
 * tables for the region, and each one that it needs costs 2 to 3 us here, which is a virtual machine.
 *
 * In front of the units, behind them, and behind the shelf lies a guard of KIN__GUARD bytes at least (family/guard.h).
 *
 *   field         written by   rule                          when the writer dies there
 *   -----------   ----------   ---------------------------   ------------------------------------
 *   members_top   claimers     only grows; CAS               as stored
 *   barriers      journal      lock                          undone
 *   transit       journal      0 to an address, once        undone (message/transit.h)
 *   handles       any          only grows                    a number is passed over (process/handle.h)
 *   all others    founder      before the first child        no family yet: the memory goes with it
 */
#ifndef KIN_FAMILY_REGION_H
#define KIN_FAMILY_REGION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KIN__REGION_MAGIC 0x6e6f69676572696bull /* "kiregion" */
#define KIN__LAYOUT 4                           /* of everything in the region; children must agree */

#define KIN__GUARD 0x10000u /* a page of the largest kind */
#define KIN__AT_MODULES 0x10000u
#define KIN__AT_THREADS 0x310000u
#define KIN__AT_MEMBERS 0xc00000u
#define KIN__AT_HEAP 0xc50000u
#define KIN__REGION_LEAST ((size_t)256 << 20)

enum kin__checks { KIN__CHECK_HEAP = 1, KIN__CHECK_POINTERS = 2 };

struct kin__region {
    uint64_t magic;
    uint32_t layout;
    int32_t start_method; /* the family's default */
    uint64_t base;
    uint64_t size;
    uint64_t nonce;               /* random: a spawned child proves that it was meant to come here */
    uint64_t heap_limit;          /* bytes the heap may use */
    uint64_t pid_namespace;       /* inode: members of another one cannot be watched, and are refused */
    char version[16];             /* of the founder's libkin */
    _Atomic uint32_t members_top; /* no slot from here on was ever claimed */
    uint64_t transit;             /* address of what is under way through pipes, 0: none yet */
    uint64_t barriers;            /* address of the first, 0: none (sync/barrier.c) */
    uint64_t shelf;               /* offset of the shelf (family/shelf.h) */
    uint32_t checks;              /* enum kin__checks: what KIN_CHECK asked for */
    _Atomic uint32_t handles;     /* the next one's number */
};

/* This process's view; NULL before kin_init. */
extern struct kin__region *kin__region;
extern int kin__region_fd;

/* What stands in it for good, for what each forked child asks: a look at the region itself would be a page fault. */
extern struct kin__known {
    uint64_t nonce;
    uint32_t checks;
} kin__known;

/* The founder: what KIN_CHECK asked for. */
void kin__region_set_checks(uint32_t checks);

/* An area of the region. */
static inline void *kin__region_at(size_t offset)
{
    return (char *)kin__region + offset;
}

/* An offset, or an address, at the next multiple. */
static inline uint64_t kin__up(uint64_t offset, uint64_t multiple)
{
    return (offset + multiple - 1) / multiple * multiple;
}

/* Hidden in so many words: the compiler's option means definitions only, and each use would load an address first. */
#define KIN__HIDDEN __attribute__((visibility("hidden")))

/* Whether an address lies in the region. One comparison; false before kin_init. */
extern KIN__HIDDEN uintptr_t kin__region_base, kin__region_size;
static inline bool kin__region_holds(const void *pointer)
{
    return (uintptr_t)pointer - kin__region_base < kin__region_size;
}

/*
 * Get machine memory for a range, or give it back. By the descriptor, if that is still the family's: a program may have
 * closed all it does not know (closefrom), and opened files of its own under the same number.
 */
int kin__region_populate(size_t offset, size_t size);
int kin__region_punch(size_t offset, size_t size);

/* Whether the descriptor still is the family's. */
bool kin__region_has_fd(void);

/* Make a region: `size` 0 takes the largest that fits, 1 TiB at most. */
int kin__region_new(size_t size, size_t heap_limit);

/* Founding the family failed: let go of the region. */
void kin__region_leave(void);

/* 0 if this process sees the family's processes under their numbers; KIN_EMISMATCH: it is in another pid namespace. */
int kin__region_reaches(void);

/* Map an existing one from its descriptor, at `base`, in a spawned child; checks what it finds. */
int kin__region_attach(int fd, uint64_t base, uint64_t size, uint64_t nonce);

/* The same, and this process may write there under that address: the region's size, or 0 where it is sealed. */
extern KIN__HIDDEN uintptr_t kin__open_size;
static inline bool kin__region_open(const void *pointer)
{
    return (uintptr_t)pointer - kin__region_base < kin__open_size;
}

/* family/sealed.h: from the common addresses to the alias; 0: this process is not sealed. */
extern KIN__HIDDEN intptr_t kin__alias;

static inline bool kin__is_sealed(void)
{
    return kin__alias != 0;
}

#endif
