/*
 * family/sealed.h - members that cannot write to the family's memory, but for their own arenas.
 *
 * A sealed member maps the region twice. At the address that all share it may only be read, so a stray write through any
 * pointer of the family faults, in its writer alone. The other map, the alias, lies at a random address that no shared
 * memory tells; kin's own code writes there. So:
 *
 *   kin__region, kin__region_at() and what is computed from them (tables, slots)   lie in the alias
 *   kin__region_base, addresses that users see or that lie in shared memory        are the common ones
 *   kin__own(pointer)                                                              leads from these to the alias
 *
 * In members that are not sealed the two are the same. The journal notes common addresses and stores through the alias.
 *
 * Windows   The chunks of the arenas that a sealed member allocates in are runs of the heap which nobody else has a block in. All
 *           but their first page, where kin's own words lie, is opened for it at the common address, until the arena is
 *           handed on or freed.
 *
 * What is here is private to the process, and set before it becomes a member.
 */
#ifndef KIN_FAMILY_SEALED_H
#define KIN_FAMILY_SEALED_H

#include "family/region.h"

/* Where this process may write what lies at a common address. */
static inline void *kin__own(const void *common)
{
    return kin__region_holds(common) ? (char *)common + kin__alias : (char *)common;
}

/* The common address of what lies in either map. */
static inline uintptr_t kin__common(uintptr_t address)
{
    return address - kin__region_base - (uintptr_t)kin__alias < kin__region_size
               ? address - (uintptr_t)kin__alias
               : address;
}

/* Become sealed, for good. For a process that is no member yet. KIN_ENOMEM, KIN_ESYSTEM: it is not. */
int kin__seal(void);

/* In a child of a sealed process: it is sealed too, and what its parent could write is not its own. */
void kin__sealed_forked(void);

/* KIN_EPERM, if the process is sealed: it cannot `what`. */
int kin__sealed_refuse(const char *what);

/* Bytes in front of a chunk's user's memory that are kept closed: a page. */
size_t kin__sealed_page(void);

/* Let the user write to whole pages of a chunk that belongs to `arena`; forbid one chunk, or all of an arena, again. Each
 * but the first does nothing in members that are not sealed. */
int kin__window_open(const void *arena, const void *chunk, size_t size);
bool kin__window_is_open(const void *chunk);
void kin__window_close(const void *chunk);
void kin__windows_close(const void *arena);

/* kin_malloc and its like in a sealed member: from an arena that it owns. Blocks carry their size in front of them; what
 * overwrites that harms this process only. */
void *kin__sealed_malloc(size_t size, size_t alignment);
void kin__sealed_free(void *block);
void *kin__sealed_realloc(void *block, size_t size);
size_t kin__sealed_size(const void *block);
void kin__sealed_heap_forked(void);

#endif
