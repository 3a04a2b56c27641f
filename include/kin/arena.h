/*
 * kin/arena.h - many blocks with one owner.
 *
 * Everything in an arena is freed at once, and handed over at once: a tree of a thousand nodes changes
 * hands, or goes, by one call, whole or not at all.
 *
 * Owner    The member that made it, until it is given away: to another member, or to the family.
 *          When the owning member ends, however it ends, the arena and all that is in it are freed;
 *          an arena of the family lives until some member frees it.
 * Threads  One thread at a time may use an arena. Different arenas are independent.
 * Death    An allocation that was under way when its maker died is in the arena or was never made.
 */
#ifndef KIN_ARENA_H
#define KIN_ARENA_H

#include "kin/api.h"

KIN_BEGIN

typedef struct kin_arena kin_arena;
struct kin_process;

/* Free the arena and all that is in it. NULL does nothing. */
KIN_API void kin_arena_free(kin_arena *arena);

/* An empty arena owned by the calling member. NULL: KIN_ENOMEM, KIN_EMEMLIMIT. */
KIN_API kin_arena *kin_arena_new(void) KIN_CHECKED KIN_FREED_BY(kin_arena_free);

/* `size` bytes aligned to 16, which live as long as the arena. They are not freed one by one. */
KIN_API void *kin_arena_malloc(kin_arena *arena, size_t size) KIN_CHECKED;

/* The same, zeroed; and a copy of a string. */
KIN_API void *kin_arena_calloc(kin_arena *arena, size_t count, size_t size) KIN_CHECKED;
KIN_API char *kin_arena_strdup(kin_arena *arena, const char *string) KIN_CHECKED;

/*
 * Hand the arena over to a process of the family, or, with NULL, to the family itself. Whoever dies
 * in the middle of it: the arena has either the old owner or the new one.
 *
 * KIN_EDIED  that process has ended; nothing changed
 */
KIN_API int kin_arena_give(kin_arena *arena, struct kin_process *to);

/* Make the calling member its owner: for one that finds an arena the family owns. */
KIN_API int kin_arena_take(kin_arena *arena);

/* Bytes handed out so far. */
KIN_API size_t kin_arena_bytes(const kin_arena *arena);

KIN_END_DECLS

#endif
