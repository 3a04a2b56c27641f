/*
 * container/cell.h - a value in one word of shared memory, so that one store changes it.
 *
 * What is small lies in the word: integers of 60 bits, texts of 7 bytes, most reals that people write. All else lies in a block
 * of the heap that never changes, and the word is its address. One value has one form, so two of one type, of which one is small,
 * are the same exactly if their words are.
 *
 *   low 4 bits   the rest
 *   ----------   ---------------------------------------------------------------------
 *   BLOCK        address of a struct kin__cell; a word of 0: nothing
 *   INT          the number, of 60 bits
 *   REAL         the number's bits, of which the lowest 4 are 0
 *   SIMPLE       null, false, true
 *   TEXT ...     bits 4 to 7: how many bytes; bytes 1 to 7 of the word: they are it
 *   POINTER      an address, aligned to 16
 *   LONG         in keys only: size << 8 | type << 4, and the bytes stand in the node
 */
#ifndef KIN_CONTAINER_CELL_H
#define KIN_CONTAINER_CELL_H

#include "kin/any.h"

#include <stdatomic.h>

#define KIN__VALUE_MAX ((size_t)1 << 40) /* bytes; the heap's limit is met before */

enum kin__cell_tag {
    KIN__CELL_BLOCK = 0,
    KIN__CELL_INT,
    KIN__CELL_REAL,
    KIN__CELL_SIMPLE,
    KIN__CELL_TEXT,
    KIN__CELL_BYTES,
    KIN__CELL_PACKED,
    KIN__CELL_POINTER,
    KIN__CELL_LONG = 15
};
#define KIN__CELL_TAG UINT64_C(15)

/* A block behind a word; written before the word is, and never changed. */
struct kin__cell {
    uint32_t type;
    uint32_t unused;
    uint64_t size;
    unsigned char data[];
};

/* A value ready to go into a word. */
struct kin__form {
    uint64_t word; /* 0: it needs a block */
    kin_any_type type;
    size_t size;
    const void *data;
    uint64_t number; /* what data points to, where the number is not small */
};

/* 0, or KIN_EINVAL, KIN_ENOTSHARED: the value is none. `form` must stay where it is. */
int kin__form_make(struct kin__form *form, const kin_any *any, const char *what);
/* The same for a key: a real without a fraction is the integer, if that has 64 bits. */
int kin__form_make_key(struct kin__form *form, const kin_any *any, const char *what);

/* The word of a key: never 0. */
static inline uint64_t kin__form_key(const struct kin__form *form)
{
    return form->word ? form->word : (uint64_t)form->size << 8 | (uint64_t)form->type << 4 | KIN__CELL_LONG;
}

/* Fill a block of kin__form_bytes(form) bytes. */
static inline size_t kin__form_bytes(const struct kin__form *form)
{
    return sizeof(struct kin__cell) + form->size;
}
void kin__form_fill(const struct kin__form *form, struct kin__cell *block);

static inline bool kin__cell_is_block(uint64_t word)
{
    return word && (word & KIN__CELL_TAG) == KIN__CELL_BLOCK;
}

static inline const struct kin__cell *kin__cell_block(uint64_t word)
{
    return (const struct kin__cell *)(uintptr_t)word;
}

/* Whether a word, which nobody changes meanwhile, holds exactly this value; and whether one that is equal to it (kin/any.h). */
bool kin__cell_is(uint64_t word, const struct kin__form *form);
bool kin__cell_equals(uint64_t word, const struct kin__form *form);

/* Where data is copied to. */
struct kin__outlet {
    bool owned; /* memory of their own for each value: kin_any_clear frees it. Else: */
    unsigned char *buffer;
    size_t capacity;
    size_t used;
};

/*
 * Whether all that was read so far was in use. What a reader reads may be freed under it, which it finds out by the version of what it
 * reads from (container/shard.h).
 */
struct kin__version_watch {
    const _Atomic uint64_t *version; /* NULL: nobody frees meanwhile */
    uint64_t seen;
};
#define KIN__UNDER_GATE (&(const struct kin__version_watch){NULL, 0})

static inline bool kin__watch_holds(const struct kin__version_watch *watch)
{
    atomic_thread_fence(memory_order_acquire); /* partner: the release in kin__shard_free_begins */
    return !watch->version ||
           __builtin_expect(atomic_load_explicit(watch->version, memory_order_relaxed) == watch->seen, 1);
}

enum kin__got { KIN__GOT, KIN__GOT_TOO_LARGE, KIN__GOT_NO_MEMORY, KIN__GOT_STALE };

/* What a word holds, and that it holds still when all is copied. TOO_LARGE: out->size is set. `out` may be NULL. */
enum kin__got kin__cell_read(uint64_t word, kin_any *out, struct kin__outlet *outlet,
                             const struct kin__version_watch *watch);

/* The same of a value that has not gone into a word yet. */
enum kin__got kin__form_read(const struct kin__form *form, kin_any *out, struct kin__outlet *outlet);

/* The same for a key, which stands behind its word. */
enum kin__got kin__key_read(uint64_t word, const unsigned char *bytes, kin_any *out,
                            struct kin__outlet *outlet, const struct kin__version_watch *watch);

/* Whether the bytes are equal; they may be freed meanwhile. */
bool kin__bytes_equal(const void *shared, const void *bytes, size_t size);

/* "int", "text", ...; "unknown type". */
const char *kin__any_kind(kin_any_type type);

/* Whether both are of the same type and value; what is not a value is the same as nothing. And whether they are equal (kin/any.h). */
bool kin__any_same(const kin_any *a, const kin_any *b);
bool kin__any_equals(const kin_any *a, const kin_any *b);

/* Bytes that it takes in a buffer. */
size_t kin__any_bytes(const kin_any *any);

/* The order in which values are sorted: numbers, texts, and bytes among themselves. False: these two have none. */
bool kin__any_order(const kin_any *a, const kin_any *b, int *order);

/* The sum of two numbers, an integer if both are, else as C adds doubles: KIN_EINVAL, KIN_ELIMIT. */
int kin__any_add(const kin_any *a, const kin_any *b, kin_any *sum, const char *what);

/* Free what was read in vain. */
void kin__any_drop(kin_any *any);

#endif
