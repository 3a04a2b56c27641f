/*
 * family/guard.h - memory around the heap, and behind the family's tables, that nobody may touch.
 *
 * What writes past the heap's end, in front of it, or past the tables, faults, in the process that does it and in no other.
 * Overruns come from what a program writes, its blocks: so guards stand between those and the tables, none between tables.
 * Guards are holes in each member's map of the region: a fork copies each map that its process has, in 0.8 us here, so one
 * between any two tables made a start by 4 us dearer; and with PROT_NONE each guard would be one more. Nothing else comes to
 * lie there: Linux never takes addresses like these unless it is told to.
 *
 * A guard lies at the end of all that the tables may ever grow to: they get memory as they grow, but never move.
 */
#ifndef KIN_FAMILY_GUARD_H
#define KIN_FAMILY_GUARD_H

#include <stdint.h>

/* A part of the region that has guards on both sides; offsets. Between a part's end and its guard nothing lies. */
struct kin__part {
    const char *name; /* "tables" */
    uint64_t from, to;
};

#define KIN__PARTS 4u
#define KIN__PART_HEAP 1u

/* The parts in order, once the heap's header has been laid out. */
void kin__parts(struct kin__part out[KIN__PARTS]);

/* Cut the guards out of this process's map, and forbid it to write to the shelf: after it mapped the region, which is laid out. */
void kin__guards_set(void);

/* In a forked child: what the parent had forbidden itself in the heap is none of the child's business. */
void kin__guards_forked(void);

/* The part whose guard lies at an address, the nearer one where it lies between two; NULL: no guard does. */
const char *kin__guard_of(uintptr_t address);

#endif
