/*
 * family/shelf.h - memory that every member may read and none may write.
 *
 * The shelf is the last part of the region. Every member has it mapped read-only from its first moment on, so a stray write
 * there faults in the process that makes it and in no other. A book is a run of whole units of 64 KiB on it. Its maker
 * writes it through a map of that book alone, at another address, which its children do not have; when it is done the map is
 * gone, and nobody can write the book any more. So there is nothing to tell the others, and nothing that a member could
 * have missed. What is made of several books has a main one, which carries the state and the owner of all.
 *
 *   field of a book   written by   rule                              when the writer dies there
 *   ---------------   ----------   -------------------------------   ------------------------------------------
 *   all               journal      lock                              undone
 *   its memory        the maker    MAKING                            its recovery frees the book
 *                     who frees    FREEING: it is given back         its recovery gives it back, again
 *
 *   FREE -> MAKING, PART    in a transaction that enters it
 *   MAKING -> SEALED        its maker: it is the family's, one store
 *   MAKING -> FREEING       its maker, or its recovery
 *   SEALED -> FREEING       whoever frees it
 *   FREEING, PART -> FREE   in a transaction that takes it out, parts first
 *
 * Between transactions (kin__shelf_check tests them):
 *   B1  the list from book 0 on has exactly the books that are not FREE, by place, without overlap, on the shelf
 *   B2  kin__heap.shelved is the sum of their units
 *   B3  a PART's main book is neither FREE nor a PART
 *   B4  a book that is MAKING or FREEING names the member that is at it (with all members at rest: there is none)
 */
#ifndef KIN_FAMILY_SHELF_H
#define KIN_FAMILY_SHELF_H

#include "family/member.h"
#include "family/units.h"

#define KIN__BOOKS 1024u /* entry 0 is the list's head */
#define KIN__AT_BOOKS 0x4000u

enum kin__book_state {
    KIN__BOOK_FREE = 0,
    KIN__BOOK_MAKING,
    KIN__BOOK_SEALED,
    KIN__BOOK_FREEING,
    KIN__BOOK_PART
};

struct kin__book {
    kin__id owner;  /* who makes or frees it */
    uint64_t size;  /* bytes of it that are meant */
    uint32_t first; /* unit of the shelf */
    uint32_t units;
    uint32_t next; /* the next one by place; 0: none */
    uint32_t state;
    uint32_t main; /* its number; a PART: that of its main book */
};

/* How much of a region is heap; the rest is shelf. A multiple of KIN__UNIT less than `size`. */
size_t kin__shelf_offset(size_t size);

/* Forbid this process to write there: after it has mapped the region. */
void kin__shelf_protect(void);

/* Whether an address lies on the shelf. */
bool kin__shelf_holds(const void *address);

/*
 * A new book of `size` bytes (not 0), with memory that reads as zeros, which is the calling member's; or a part of one that it
 * makes. Where all will read it, and in *alias where this process may write it. NULL: KIN_ENOMEM, KIN_ELIMIT, KIN_EPERM (a
 * sealed process), KIN_ESYSTEM.
 */
void *kin__shelf_new(size_t size, const void *part_of, void **alias);

/* Its first `size` bytes are written, the rest is given back, and the alias is gone. */
void kin__shelf_close(const void *book, void *alias, size_t size);

/* Write to the beginning of one that is being made, once it is closed. */
int kin__shelf_patch(const void *book, const void *data, size_t size);

/* All of it is closed, its parts too: from here on it is the family's. */
void kin__shelf_seal(const void *book);

/* Give up one that is being made, closed, and its parts. */
void kin__shelf_drop(const void *book);

/* Give a sealed one back. KIN_EINVAL: there is none at that address; KIN_EPERM. `what`: "free frozen data". */
int kin__shelf_free(const void *book, const char *what);

/* The bytes of the sealed book at that address; 0: there is none. */
size_t kin__shelf_size(const void *book);

/* Give back what a dead member was making or freeing. Repeatable; the caller holds its life lock. */
void kin__shelf_recover(struct kin__member *dead);

/* Whether B1 to B4 hold. Under the journal's lock. */
int kin__shelf_check(void);

#endif
