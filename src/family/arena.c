/*
 * family/arena.c - see arena.h and kin/arena.h.
 *
 * A list of chunks, newest first, which are blocks of the heap. Small requests come from the first chunk; large
 * ones get a chunk of their own behind it.
 *
 *   field of an arena   written by   rule                             when the writer dies there
 *   -----------------   ----------   ------------------------------   --------------------------------------
 *   magic               maker        0: not an arena any more         made: not linked, so it is freed again
 *   owner, prev, next   journal      the owner's list                 undone
 *   chunks              journal                                       undone
 *   others              journal      bytes used in all chunks but     undone
 *                                    the first
 *
 *   field of a chunk    written by   rule                             when the writer dies there
 *   -----------------   ----------   ------------------------------   --------------------------------------
 *   next                journal      newest first                     undone
 *   size, before        maker        before it is linked              not linked: its intent frees it
 *   used                user         one store an allocation          as stored: made, or never made
 *
 *   A1  an owner's list holds exactly the arenas with that owner
 *   A2  others = sum of `used` of all chunks but the first; used <= size
 *   A3  `before` of a chunk is the arena's total when it was linked, and grows towards the list's head, but that
 *       of the first chunk may be below that of large ones behind it
 *
 * A member's list is closed when its arenas have been recovered, with its generation in the list's head
 * (an odd number, no address), so that nothing can be given to a member between that and the end of its slot.
 */
#include "family/arena.h"

#include "base/failure.h"
#include "base/log.h"
#include "family/checked.h"
#include "family/heap.h"
#include "family/hooks.h"
#include "family/sealed.h"
#include "family/span.h"
#include "kin/heap.h"

#include <string.h>

#define MAGIC UINT64_C(0x616e657261206e6b) /* "kn arena" */
#define CHUNK_LEAST ((size_t)512)
#define CHUNK_MOST ((size_t)64 << 10)
#define CHUNK_MOST_SEALED ((size_t)1 << 20) /* each is a map or two of the process */

struct kin_arena {
    uint64_t magic;
    kin__id owner;
    uint64_t prev, next; /* addresses; 0: the list ends */
    uint64_t chunks;
    uint64_t others;
};

struct chunk {
    uint64_t next;
    uint64_t size; /* of what follows */
    uint64_t used;
    uint64_t before;
};

static uint64_t word_of(const void *pointer)
{
    return (uint64_t)(uintptr_t)pointer;
}

static kin_arena *arena_at(uint64_t address)
{
    return (kin_arena *)(uintptr_t)address;
}

static struct chunk *chunk_at(uint64_t address)
{
    return (struct chunk *)(uintptr_t)address;
}

/* Where this process may write it. */
static kin_arena *own_arena(const kin_arena *arena)
{
    return kin__own(arena);
}

static struct chunk *own_chunk(const struct chunk *chunk)
{
    return kin__own(chunk);
}

int kin__arena_check(const kin_arena *arena, const char *what)
{
    if (!arena)
        return kin__fail(KIN_EINVAL, "cannot %s: it is NULL", what);
    if (!kin__region_holds(arena) || word_of(arena) & 15 || kin__peek(&arena->magic) != MAGIC)
        return kin__fail(KIN_EINVAL, "cannot %s: %p is not an arena, or was freed", what,
                         (const void *)arena);
    return 0;
}

/* ---- owners' lists --------------------------------------------------------------------------- */

/* By the generation that is asked for: the slot may be another's by now, whose list is open. */
static bool is_closed(const struct kin__member *member, kin__id owner)
{
    return member->arenas & 1 && member->arenas >> 1 == owner >> 32;
}

static void close_list(struct kin__member *member)
{
    kin__journal_set(&member->arenas, kin__member_id(member) >> 32 << 1 | 1);
}

/* Under the lock: the list of an owner; NULL if that is gone. */
static uint64_t *list_of(kin__id owner)
{
    if (owner == KIN__OWNER_FAMILY)
        return &kin__heap()->family_arenas;
    struct kin__member *member = kin__member_find(owner);
    if (!member || is_closed(member, owner))
        return NULL;
    if (member->arenas & 1) /* closed for the slot's last user */
        kin__journal_set(&member->arenas, 0);
    return &member->arenas;
}

/* In a transaction. */
static void list_add(kin_arena *arena, kin__id owner, uint64_t *list)
{
    kin__journal_set(&arena->owner, owner);
    kin__journal_set(&arena->prev, 0);
    kin__journal_set(&arena->next, *list);
    if (*list)
        kin__journal_set(&arena_at(*list)->prev, word_of(arena));
    kin__journal_set(list, word_of(arena));
}

/* In a transaction. The owner may be dead and not yet recovered; its slot is not reused before that. */
static void list_remove(kin_arena *arena)
{
    if (arena->next)
        kin__journal_set(&arena_at(arena->next)->prev, arena->prev);
    if (arena->prev)
        kin__journal_set(&arena_at(arena->prev)->next, arena->next);
    else if (arena->owner == KIN__OWNER_FAMILY)
        kin__journal_set(&kin__heap()->family_arenas, arena->next);
    else
        kin__journal_set(&kin__members()[(uint32_t)arena->owner].arenas, arena->next);
}

kin_arena *kin__arena_new_for(kin__id owner)
{
    return kin__arena_new_at(owner, NULL);
}

kin_arena *kin__arena_new_at(kin__id owner, kin_arena **at)
{
    kin_arena *arena = kin__heap_open(sizeof *arena, NULL);
    if (!arena)
        return NULL;
    *own_arena(arena) = (kin_arena){.magic = MAGIC};
    kin__journal_begin();
    uint64_t *list = list_of(owner);
    if (list) {
        list_add(arena, owner, list);
        kin__journal_set32(&kin__heap()->arena_count, kin__heap()->arena_count + 1);
        if (at)
            kin__journal_set_pointer(at, arena);
        kin__heap_close_in(kin__thread_mine);
    }
    kin__journal_end();
    if (list)
        return arena;
    own_arena(arena)->magic = 0;
    kin__heap_drop(arena);
    kin__fail(KIN_EDIED, "could not make an arena for a process: it has ended");
    return NULL;
}

kin_arena *kin_arena_new(void)
{
    kin__id me = kin__self_id();
    return me ? kin__arena_new_for(me) : NULL;
}

kin__id kin__arena_owner(const kin_arena *arena)
{
    return kin__peek(&arena->owner);
}

int kin__arena_set_owner(kin_arena *arena, kin__id owner)
{
    return kin__arena_set_owner_and(arena, owner, NULL, 0);
}

int kin__arena_set_owner_and(kin_arena *arena, kin__id owner, uint64_t *word, uint64_t value)
{
    kin__journal_begin();
    int error = kin__arena_check(arena, "hand an arena over"); /* again: under the lock */
    uint64_t *list = error ? NULL : list_of(owner);
    if (list) {
        list_remove(arena);
        list_add(arena, owner, list);
        if (word)
            kin__journal_set(word, value);
    }
    kin__journal_end();
    if (!error && !list)
        error = kin__fail(KIN_EDIED, "could not hand an arena over: the process has ended");
    return error;
}

/* The living member that is this process; the pointer is compared only. Its slot was claimed, and the top raised before that,
 * before anybody had the pointer. */
static kin__id member_of(const struct kin_process *process)
{
    struct kin__member *table = kin__members();
    for (uint32_t i = 1; i < kin__members_top(); i++) {
        uint32_t state = kin__member_state(&table[i]);
        if ((state == KIN__ALIVE || state == KIN__STARTING) && table[i].process == process)
            return kin__member_id(&table[i]);
    }
    return 0;
}

/* What a living sealed member can write stays its own, until it lets go of it. */
static int check_sealed(const kin_arena *arena, const char *what)
{
    kin__id owner = kin__arena_owner(arena);
    const struct kin__member *member = kin__member_find(owner);
    if (!member || !member->sealed || owner == kin__self_id())
        return 0;
    return kin__fail(KIN_EPERM, "cannot %s: arena %p belongs to a sealed process, which must give it away",
                     what, (const void *)arena);
}

int kin_arena_give(kin_arena *arena, struct kin_process *to)
{
    int error = kin__arena_check(arena, "give an arena away");
    if (error)
        return error;
    kin__id owner = to ? member_of(to) : KIN__OWNER_FAMILY;
    if (owner && (error = check_sealed(arena, "give it away")) != 0)
        return error;
    if (!owner)
        return kin__fail(KIN_EDIED, "could not give an arena away: the process has ended");
    kin__windows_close(arena);
    return kin__arena_set_owner(arena, owner);
}

int kin_arena_take(kin_arena *arena)
{
    int error = kin__arena_check(arena, "take an arena");
    if (!error)
        error = check_sealed(arena, "take it");
    kin__id me = error ? 0 : kin__self_id();
    if (!me)
        return kin_error_code();
    return kin__arena_set_owner(arena, me);
}

/* ---- allocating ------------------------------------------------------------------------------ */

static size_t total(const kin_arena *arena)
{
    return arena->others + (arena->chunks ? chunk_at(arena->chunks)->used : 0);
}

/* The size of a new first chunk, its header included; below 2 * needed: give it one of its own. */
static size_t next_chunk_size(const kin_arena *arena, size_t needed)
{
    size_t size = CHUNK_LEAST, most = kin__is_sealed() ? CHUNK_MOST_SEALED : CHUNK_MOST;
    if (arena->chunks)
        size = 2 * (sizeof(struct chunk) + chunk_at(arena->chunks)->size);
    while (size < 2 * needed && size < most)
        size *= 2;
    return size < most ? size : most;
}

/* Of a chunk in a sealed member: behind its header, to the page's end. */
static size_t closed_bytes(void)
{
    return kin__is_sealed() ? kin__sealed_page() - sizeof(struct chunk) : 0;
}

/* A chunk in which `size` bytes are used, linked. */
static void *grow(kin_arena *arena, size_t size)
{
    size_t closed = closed_bytes(), needed = sizeof(struct chunk) + closed + size;
    size_t whole = next_chunk_size(arena, needed);
    bool alone = whole < 2 * needed;
    if (alone)
        whole = needed;
    if (closed)
        whole =
            (whole + KIN__UNIT - 1) & ~(KIN__UNIT - 1); /* runs of units: nobody else has a block in them */
    struct chunk *chunk = kin__heap_open(whole, NULL);
    if (!chunk)
        return NULL;
    if (closed && kin__window_open(arena, chunk, whole) != 0) {
        kin__heap_drop(chunk);
        return NULL;
    }
    struct chunk *first = chunk_at(arena->chunks), *own = own_chunk(chunk);
    *own = (struct chunk){.size = whole - sizeof *chunk, .used = closed + size, .before = total(arena)};
    kin__journal_begin();
    if (first && alone) {
        own->next = first->next;
        kin__journal_set(&first->next, word_of(chunk));
        kin__journal_set(&arena->others, arena->others + own->used);
    } else {
        own->next = arena->chunks;
        kin__journal_set(&arena->chunks, word_of(chunk));
        if (first)
            kin__journal_set(&arena->others, arena->others + first->used);
    }
    kin__heap_close_in(kin__thread_mine);
    kin__journal_end();
    return (char *)(chunk + 1) + closed;
}

/* In the first chunk, which is the calling process's to write. NULL: there is no room. */
static void *bump(const kin_arena *arena, size_t size)
{
    struct chunk *chunk = chunk_at(arena->chunks);
    if (!chunk || (kin__is_sealed() && !kin__window_is_open(chunk)))
        return NULL;
    size_t used =
        chunk->used > closed_bytes() ? chunk->used : closed_bytes(); /* a rollback may have left none */
    if (chunk->size < used || chunk->size - used < size)
        return NULL;
    char *block = (char *)(chunk + 1) + used;
    kin__poke(&own_chunk(chunk)->used, used + size);
    return block;
}

void *kin_arena_malloc(kin_arena *arena, size_t size)
{
    if (kin__arena_check(arena, "allocate in an arena"))
        return NULL;
    if (size > kin__region_size) {
        kin__fail(KIN_ENOMEM, "cannot allocate %zu bytes in an arena: the region has %zu", size,
                  (size_t)kin__region_size);
        return NULL;
    }
    size = size ? (size + 15) & ~(size_t)15 : 16;
    void *block = bump(arena, size);
    return block ? block : grow(arena, size);
}

void *kin_arena_calloc(kin_arena *arena, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        kin__fail(KIN_EINVAL, "cannot allocate %zu times %zu bytes: the product overflows", count, size);
        return NULL;
    }
    void *block = kin_arena_malloc(arena, bytes);
    if (block)
        memset(block, 0, bytes);
    return block;
}

char *kin_arena_strdup(kin_arena *arena, const char *string)
{
    if (!string) {
        kin__fail(KIN_EINVAL, "cannot copy a string: it is NULL");
        return NULL;
    }
    size_t size = strlen(string) + 1;
    char *copy = kin_arena_malloc(arena, size);
    if (copy)
        memcpy(copy, string, size);
    return copy;
}

size_t kin_arena_bytes(const kin_arena *arena)
{
    return kin__arena_check(arena, "measure an arena") ? 0 : total(arena);
}

size_t kin__arena_mark(const kin_arena *arena)
{
    return total(arena);
}

/* ---- freeing --------------------------------------------------------------------------------- */

/* Unlink a chunk behind the first, and free it. */
static void free_other(struct kin__thread *thread, kin_arena *arena, struct chunk *ahead)
{
    struct chunk *chunk = chunk_at(ahead->next);
    kin__window_close(chunk);
    kin__checked_bury(own_chunk(chunk) + 1, chunk->size);
    kin__journal_begin();
    kin__journal_set(&ahead->next, chunk->next);
    kin__journal_set(&arena->others, arena->others - chunk->used);
    kin__heap_free_in(thread, chunk);
    kin__journal_end();
    kin__heap_free_finish(thread);
}

/* Unlink the first chunk, and free it. */
static void free_first(struct kin__thread *thread, kin_arena *arena)
{
    struct chunk *chunk = chunk_at(arena->chunks);
    struct chunk *second = chunk_at(chunk->next);
    kin__window_close(chunk);
    kin__checked_bury(own_chunk(chunk) + 1, chunk->size);
    kin__journal_begin();
    kin__journal_set(&arena->chunks, chunk->next);
    if (second)
        kin__journal_set(&arena->others, arena->others - second->used);
    kin__heap_free_in(thread, chunk);
    kin__journal_end();
    kin__heap_free_finish(thread);
}

/* What is left after the chunks linked after the mark have gone: how much of it was used then. */
static void set_used(kin_arena *arena, struct chunk *first, size_t mark)
{
    struct chunk *second = chunk_at(first->next);
    if (first->before < mark || arena->others <= mark) {
        kin__poke(&own_chunk(first)->used, mark - arena->others);
        return;
    }
    /* The first is newer than the mark; the one behind it was first then, and has been used since. */
    kin__journal_begin();
    kin__journal_set(&second->used, second->used - (arena->others - mark));
    kin__journal_set(&arena->others, mark);
    kin__journal_set(&first->used, 0);
    kin__journal_set(&first->before, mark);
    kin__journal_end();
}

/*
 * Chunks linked after the mark go. But the first, the largest of the common ones, stays for use again, so that an
 * arena which is filled and rolled back again and again comes to rest.
 */
void kin__arena_rollback(kin_arena *arena, size_t mark)
{
    struct kin__thread *thread = total(arena) == mark ? NULL : kin__thread_self();
    if (!thread)
        return;
    struct chunk *first = chunk_at(arena->chunks);
    while (first && first->before >= mark && first->size > CHUNK_MOST) {
        free_first(thread, arena);
        first = chunk_at(arena->chunks);
    }
    if (!first)
        return;
    for (struct chunk *ahead = first; ahead->next;) {
        if (chunk_at(ahead->next)->before >= mark)
            free_other(thread, arena, ahead);
        else
            ahead = chunk_at(ahead->next);
    }
    set_used(arena, first, mark);
}

/* The chunks of `from` go behind the first of `into`, which is in use. They were linked now, as marks see it. */
void kin__arena_merge(kin_arena *into, kin_arena *from)
{
    struct chunk *first = chunk_at(into->chunks), *last = NULL;
    uint64_t now = total(into), bytes = total(from);
    for (struct chunk *chunk = chunk_at(from->chunks); chunk; chunk = chunk_at(chunk->next)) {
        own_chunk(chunk)->before = now;
        last = chunk;
    }
    if (last) {
        kin__journal_begin();
        if (first) {
            kin__journal_set(&last->next, first->next);
            kin__journal_set(&first->next, from->chunks);
            kin__journal_set(&into->others, into->others + bytes);
        } else {
            kin__journal_set(&into->chunks, from->chunks);
            kin__journal_set(&into->others, from->others);
        }
        kin__journal_set(&from->chunks, 0);
        kin__journal_set(&from->others, 0);
        kin__journal_end();
    }
    kin_arena_free(from);
}

/* In a transaction: off its owner's list, it is the thread's to free, whoever acts as that thread. */
static void begin_free(struct kin__thread *thread, kin_arena *arena)
{
    list_remove(arena);
    kin__journal_set(&arena->magic, 0);
    kin__journal_set(&thread->arena, word_of(arena));
    kin__journal_set32(&kin__heap()->arena_count, kin__heap()->arena_count - 1);
}

void kin__arena_finish(struct kin__thread *thread)
{
    kin_arena *arena = arena_at(thread->arena);
    if (!arena)
        return;
    while (arena->chunks)
        free_first(thread, arena);
    kin__journal_begin();
    kin__journal_set(&thread->arena, 0);
    kin__heap_free_in(thread, arena);
    kin__journal_end();
    kin__heap_free_finish(thread);
}

static void free_and_clear(kin_arena *arena, kin_arena **at)
{
    struct kin__thread *thread = kin__thread_self();
    int error = thread ? 0 : kin_error_code();
    if (thread) {
        kin__journal_begin();
        error = kin__arena_check(arena, "free an arena"); /* of two that free it at once, one finds it gone */
        if (!error)
            error = check_sealed(arena, "free it");
        if (!error)
            begin_free(thread, arena);
        if (at)
            kin__journal_set_pointer(at, NULL);
        kin__journal_end();
    }
    if (error)
        kin_log(KIN_LOG_ERROR, "%s", kin_error_message());
    else
        kin__arena_finish(thread);
}

void kin_arena_free(kin_arena *arena)
{
    if (arena)
        free_and_clear(arena, NULL);
}

void kin__arena_free_at(kin_arena **at)
{
    if (*at)
        free_and_clear(*at, at);
}

void kin__arenas_recover(struct kin__member *dead)
{
    struct kin__thread *spare = dead->has_spare ? kin__thread_spare(dead) : NULL;
    for (;;) {
        kin__journal_begin();
        kin_arena *arena = dead->arenas & 1 ? NULL : arena_at(dead->arenas);
        if (!arena)
            close_list(dead);
        else if (spare)
            begin_free(spare, arena);
        kin__journal_end();
        if (!arena)
            return;
        if (spare)
            kin__arena_finish(spare);
        else
            spare =
                kin__thread_spare(dead); /* most members die without arenas: it is made when first needed */
    }
}

/* ---- for tests ------------------------------------------------------------------------------- */

static int check_chunks(const kin_arena *arena)
{
    uint64_t others = 0;
    uint32_t left = kin__heap()->units * 128; /* more are not possible, unless the list is a ring */
    for (uint64_t at = arena->chunks; at; at = chunk_at(at)->next) {
        if (left-- == 0)
            return kin__fail(KIN_EINVAL, "A: the chunks of arena %p lead back to one another",
                             (const void *)arena);
        const struct chunk *chunk = chunk_at(at);
        enum kin__spot_kind kind = kin__spot_of(chunk).kind;
        if (kind != KIN__SPOT_SMALL && kind != KIN__SPOT_LARGE)
            return kin__fail(KIN_EINVAL, "A: a chunk of arena %p is not in use", (const void *)arena);
        if (chunk->used > chunk->size)
            return kin__fail(KIN_EINVAL, "A2: a chunk of arena %p has %llu of %llu bytes used",
                             (const void *)arena, (unsigned long long)chunk->used,
                             (unsigned long long)chunk->size);
        if (at != arena->chunks)
            others += chunk->used;
    }
    if (others != arena->others)
        return kin__fail(KIN_EINVAL, "A2: arena %p: %llu bytes in other chunks, noted %llu",
                         (const void *)arena, (unsigned long long)others, (unsigned long long)arena->others);
    return 0;
}

static int check_list(kin__id owner, uint64_t first, uint32_t *left)
{
    uint64_t prev = 0;
    int error = 0;
    for (uint64_t at = first; !error && at; at = arena_at(at)->next) {
        const kin_arena *arena = arena_at(at);
        if (kin__spot_of(arena).kind != KIN__SPOT_SMALL || arena->magic != MAGIC || arena->owner != owner ||
            arena->prev != prev || (*left)-- == 0)
            return kin__fail(KIN_EINVAL, "A1: arena %p is in the list of owner %#llx", (const void *)arena,
                             (unsigned long long)owner);
        error = check_chunks(arena);
        prev = at;
    }
    return error;
}

int kin__arenas_check(void)
{
    struct kin__member *table = kin__members();
    uint32_t left = kin__heap()->arena_count;
    int error = check_list(KIN__OWNER_FAMILY, kin__heap()->family_arenas, &left);
    for (uint32_t i = 1; !error && i < kin__members_top(); i++) { /* arenas are given to claimed slots only */
        uint32_t state = kin__member_state(&table[i]);
        if (state == KIN__FREE && table[i].arenas && !(table[i].arenas & 1))
            return kin__fail(KIN_EINVAL, "A1: member slot %u is free and has arenas", i);
        if (!(table[i].arenas & 1))
            error = check_list(kin__member_id(&table[i]), table[i].arenas, &left);
    }
    if (!error && left)
        error = kin__fail(KIN_EINVAL, "A1: %u arenas are in no list", left);
    return error;
}
