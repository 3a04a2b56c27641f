/*
 * family/heap.h - the heap's own start-up and recovery; the user's side is kin/heap.h.
 *
 * Units of 64 KiB, in runs (family/units.h); runs cut into blocks of one size (family/span.h); arenas
 * (family/arena.h). All multi-word changes go through one journal (family/journal.h).
 */
#ifndef KIN_FAMILY_HEAP_H
#define KIN_FAMILY_HEAP_H

#include <stddef.h>

/* Lay the heap out in a new region, from KIN__AT_HEAP to its end. The memory is zero. */
int kin__heap_format(void);

/* Check every invariant of the heap, with all members at rest: 0, or KIN_EINVAL with the record telling
 * which one is broken and where. For tests. */
int kin__heap_check(void);

#endif
