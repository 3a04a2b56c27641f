/*
 * family/checked.h - KIN_CHECK=heap: each block knows who made it and who freed it, and is looked at when it is
 * freed and when its memory is used again.
 *
 * A block of the user lies inside a plain block of the heap, its carrier:
 *
 *     carrier:  [record][zone][user's bytes][zone, to the carrier's end]
 *
 * The record lies right before the zone; where alignment leaves a gap before it, the carrier begins with a forward
 * to the user's bytes. Zones are filled with a pattern, and checked. A freed block is filled with another
 * one and rests in its thread's quarantine: its carrier stays allocated, until enough others have been freed. Then
 * the pattern is checked. In the process that freed it, the pages of a large one cannot be touched meanwhile.
 *
 *   field of a record   written by    rule                          when the writer dies there
 *   -----------------   -----------   ---------------------------   -------------------------------------
 *   magic               journal       MADE to FREED, with the       undone
 *                                     block's entry in a quarantine
 *   size, front, sum    maker         before the carrier's intent   recovery frees the carrier
 *                                     is closed
 *   made                maker         the same                      the same
 *   freed               who frees     before magic is FREED         overwritten by who frees it then
 *
 *   field of a thread   written by    rule                          when the writer dies there
 *   -----------------   -----------   ---------------------------   -------------------------------------
 *   quarantine          thread        a carrier, linked by one      recovery frees the blocks in it, and
 *                                     store; taken off by the       then itself
 *                                     journal
 *
 * What lies there may have been overwritten by anybody: it is believed only as far as it can be checked.
 * Arenas are not looked at this closely: their memory is filled when it is freed.
 */
#ifndef KIN_FAMILY_CHECKED_H
#define KIN_FAMILY_CHECKED_H

#include "family/region.h"
#include "family/thread.h"

/* Whether the family was founded with KIN_CHECK=heap. */
static inline bool kin__checks_heap(void)
{
    return kin__known.checks & KIN__CHECK_HEAP;
}

/* The calls of kin/heap.h, under KIN_CHECK=heap. `caller` is where the user's code goes on. */
void *kin__checked_malloc(struct kin__thread *thread, size_t size, size_t alignment, const void *caller);
void kin__checked_free(struct kin__thread *thread, void *block, const void *caller);
void *kin__checked_realloc(struct kin__thread *thread, void *block, size_t size, const void *caller);
size_t kin__checked_size(const void *block);

/* Check and free all that rests in the thread's quarantine. */
void kin__checked_drain(struct kin__thread *thread);

/* The process ends: the calling thread's, if it has one. */
void kin__checked_finish(void);

/* Memory of an arena that is about to be freed. */
void kin__checked_bury(void *bytes, size_t size);

#endif
