/*
 * kin/heap.h - the heap that the whole family shares.
 *
 * A pointer into it is valid, and means the same bytes, in every member.
 *
 * Ownership  A block belongs to the family: it lives until some member frees it, whoever made it and
 *          whether or not the maker still lives. Memory that is to go with a member or a task, or
 *          that is to be handed over whole, lies in an arena (kin/arena.h).
 * Threads  Any number of threads of any number of members; any member may free any block.
 * Death    A member may die at any point of any call: each block stays free or allocated. At most the
 *          one block that was being returned to (or freed by) each dying thread stays behind;
 *          kin_heap_stats counts these. A member that is stopped (SIGSTOP, a debugger) in the middle of
 *          a call delays calls of others that need a span or a large block, until it goes on or dies.
 * Limits   The family's use is bounded (kin_init_options.heap_limit): beyond it calls fail with
 *          KIN_ENOMEM; they never end in SIGBUS or wake the OOM killer by themselves.
 * Checks   With KIN_CHECK=heap in the founder's environment each block is looked at when it is freed, and
 *          when its memory is used again: double frees, wrong pointers, writes before and beyond a block
 *          and after its free are logged, and recorded (KIN_EINVAL, KIN_EDAMAGED), with the callers that
 *          made and freed it. Blocks then take some 300 bytes more and rest a while after they were
 *          freed, which the statistics count as in use. Arenas' contents are not checked.
 * Errors   NULL, and kin_error_code(): KIN_ENOMEM, KIN_EMEMLIMIT (a task's or member's own limit),
 *          KIN_EINVAL, KIN_ENOINIT, KIN_ELIMIT (the family's slots for threads or processes are all in
 *          use).
 */
#ifndef KIN_HEAP_H
#define KIN_HEAP_H

#include "kin/api.h"

KIN_BEGIN

/*
 * Free a block; NULL does nothing. What is not a block of the heap in use (freed before, foreign,
 * or not its start) is left alone and reported: logged, and kept in kin_error_message(). Two that free
 * one block at the same moment may both succeed, and free what was allocated there in between.
 */
KIN_API void kin_free(void *block);

/*
 * Change a block's size, moving it if need be. NULL as `block` allocates; size 0 gives a unique
 * pointer (it does not free). On failure the block is untouched.
 */
KIN_API void *kin_realloc(void *block, size_t size) KIN_CHECKED KIN_FREED_BY(kin_free);

#define KIN_HEAP_BLOCK KIN_FREED_BY(kin_free) KIN_FREED_BY(kin_realloc)

/*
 * A block of at least `size` bytes, aligned to 16. Size 0 gives a unique pointer. Contents undefined.
 * Blocks of more than 32 KiB take whole units of 64 KiB, also against limits.
 */
KIN_API void *kin_malloc(size_t size) KIN_CHECKED KIN_HEAP_BLOCK;

/* `count` times `size` bytes, zeroed. KIN_EINVAL if the product overflows. */
KIN_API void *kin_calloc(size_t count, size_t size) KIN_CHECKED KIN_HEAP_BLOCK;

/* `size` bytes aligned to `alignment`, a power of two of at most 1 GiB. */
KIN_API void *kin_aligned_alloc(size_t alignment, size_t size) KIN_CHECKED KIN_HEAP_BLOCK;

/* A copy of a NUL-terminated string. */
KIN_API char *kin_strdup(const char *string) KIN_CHECKED KIN_HEAP_BLOCK;

/* The bytes that may be used at `block`, at least what was asked for; 0 if it is not a block in use. */
KIN_API size_t kin_usable_size(const void *block);

/* Whether the pointer lies in memory that the family shares. True of any address in the region. */
KIN_API bool kin_is_shared(const void *pointer);

typedef struct kin_heap_stats {
    size_t size;
    size_t limit;           /* bytes that the family may use */
    size_t used;            /* bytes of machine memory held: blocks, caches, tables, warm free runs */
    size_t warm;            /* of these: free, kept for reuse */
    size_t large_blocks;    /* large blocks in use */
    size_t large_bytes;     /* bytes in them */
    size_t spans;           /* spans cut into small blocks */
    size_t small_blocks;    /* small blocks in use (counted by a walk) */
    size_t small_bytes;     /* bytes in them */
    size_t arenas;          /* arenas alive */
    uint64_t deaths;        /* threads of members that died and were recovered */
    uint64_t possibly_lost; /* blocks that may have stayed behind, at most one a death */
    uint64_t last_lost;     /* the address of the last of these, 0: none */
} kin_heap_stats;

/*
 * Fill `out`, whose `size` field must be set. The counts are a snapshot; with other members at work,
 * they need not fit each other exactly. Walks all spans, and stops others that need one meanwhile: for
 * diagnosis and tests.
 */
KIN_API int kin_heap_get_stats(kin_heap_stats *out);

/* Give free memory that is kept for reuse back to the system. The number of bytes goes to `out` unless NULL. */
KIN_API int kin_heap_trim(size_t *out);

KIN_END_DECLS

#endif
