/*
 * family/heap.h - the heap's own start-up and recovery; the user's side is kin/heap.h.
 *
 * Units of 64 KiB, in runs (family/units.h); runs cut into blocks of one size (family/span.h); arenas
 * (family/arena.h). All multi-word changes go through one journal (family/journal.h).
 *
 * What may be read or written of it in a transaction of others: an object's words, by kin__journal_set; so
 * several blocks can be linked, or unlinked and freed, as one.
 */
#ifndef KIN_FAMILY_HEAP_H
#define KIN_FAMILY_HEAP_H

#include "family/thread.h"

/* Lay the heap out in a new region, from KIN__AT_HEAP to its end. The memory is zero. */
int kin__heap_format(void);

/* Check every invariant of the heap, with all members at rest: 0, or KIN_EINVAL with the record telling
 * which one is broken and where. For tests. */
int kin__heap_check(void);

/*
 * A block that goes if its maker dies before kin__heap_close(), unless it is linked by then. `word` is where
 * its address will be stored: nobody else may change that word before the close. NULL: a transaction of the
 * maker links it, and closes in the same by kin__heap_close_in(). Between the two a thread makes no other call
 * of the heap.
 */
void *kin__heap_open(size_t size, uint64_t *word);
void *kin__heap_open_aligned(size_t size, size_t alignment, uint64_t *word);
void *kin__heap_open_zeroed(size_t size, uint64_t *word);
void kin__heap_close(void);
void kin__heap_close_in(struct kin__thread *thread);

/* Give an open block up. */
void kin__heap_drop(void *block);

/*
 * Free a block that a transaction unlinks: kin__heap_free_in within it, kin__heap_free_finish right after it.
 * Whoever dies in between, recovery frees the block.
 */
void kin__heap_free_in(struct kin__thread *thread, const void *block);
void kin__heap_free_finish(struct kin__thread *thread);

/*
 * Free the block whose address is in `word`, which becomes 0, as one: whoever dies in between, the word names a block in
 * use or none, and no block is left. Nobody else may change the word meanwhile. Without a transaction, for small blocks.
 */
void kin__heap_free_at(uint64_t *word);

/*
 * For calls with a deadline (kin__os_deadline): who holds the heap's lock may be stopped (SIGSTOP), and kin_malloc would wait for it.
 * What a thread cannot give back soon is *late*: it counts as in use, and goes with the thread's next call of these, with the thread, or
 * with its recovery. So a thread has one such thing at most.
 *
 * kin__heap_reach     whether the lock is to be had by then; what was late is given back. No record is set
 * kin__heap_make      a block of more than KIN__SMALL_MAX bytes, which is the thread's `moved` block: it goes with the thread, until a
 *                     transaction of the caller clears that. NULL: as kin_malloc, or KIN_ETIMEDOUT
 * kin__heap_unmake    free it: soon, or late
 * kin__heap_drop_soon as kin__heap_drop, for such a block. kin__heap_reach was true in this call
 * kin__heap_stopped   KIN_ETIMEDOUT, with a record that tells why
 */
bool kin__heap_reach(double deadline);
void *kin__heap_make(size_t size, double deadline);
void kin__heap_unmake(void);
void kin__heap_drop_soon(void *block);
int kin__heap_stopped(void);

/* Finish or undo what a dead thread had under way; repeatable. */
void kin__heap_finish(struct kin__thread *thread);

/* Allocation as a given thread. `then` is the intent left behind: LAST or OPEN. */
void *kin__heap_malloc(struct kin__thread *thread, size_t size, size_t alignment, enum kin__intent then,
                       bool *zero);

#endif
