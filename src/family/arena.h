/* family/arena.h - arenas inside kin; the user's side is kin/arena.h. */
#ifndef KIN_FAMILY_ARENA_H
#define KIN_FAMILY_ARENA_H

#include "family/thread.h"
#include "kin/arena.h"

/* NULL, or something else than an arena: an error that says so. */
int kin__arena_check(const kin_arena *arena, const char *what);

/* The owner word: a member's id, or KIN__OWNER_FAMILY. */
kin__id kin__arena_owner(const kin_arena *arena);

/* An arena that belongs to `owner` from the start, though the caller allocates in it. */
kin_arena *kin__arena_new_for(kin__id owner);

/* The same, and its address in *at, a word of the region, in one transaction; free it, and *at is NULL, likewise. NULL there does
 * nothing. */
kin_arena *kin__arena_new_at(kin__id owner, kin_arena **at);
void kin__arena_free_at(kin_arena **at);

/* Hand it to `owner`, one store (the journal's). KIN_EDIED if that member is gone. */
int kin__arena_set_owner(kin_arena *arena, kin__id owner);
/* The same, and in the same transaction a word of the region. */
int kin__arena_set_owner_and(kin_arena *arena, kin__id owner, uint64_t *word, uint64_t value);

/* Bytes allocated so far, as a mark; and undo all allocations after a mark: a task that failed. */
size_t kin__arena_mark(const kin_arena *arena);
void kin__arena_rollback(kin_arena *arena, size_t mark);

/* Move all that is in `from` to `into` and free the empty `from`. */
void kin__arena_merge(kin_arena *into, kin_arena *from);

/* Free what a dead member owned. Idempotent; the caller holds its life lock. */
void kin__arenas_recover(struct kin__member *dead);

/* Free what is left of an arena that a thread, now dead, has begun to free. Repeatable. */
void kin__arena_finish(struct kin__thread *thread);

/* Whether the invariants of all arenas hold (kin__heap_check). Under the journal's lock. */
int kin__arenas_check(void);

#endif
