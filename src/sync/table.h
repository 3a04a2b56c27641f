/*
 * sync/table.h - a table as it lies on the shelf (family/shelf.h): written by its builder, then by nobody.
 *
 * Its main book begins with struct kin_table; records follow, and go on in parts. A record is its sizes, the key and a NUL byte,
 * rounded up to 16, the value and a NUL byte, rounded up to 16. The index has the address of each record in order; the hash, with
 * at most two thirds of its slots in use, leads from a key to a place in the index. It is
 * seeded, so that nobody can choose keys which all meet in one slot.
 */
#ifndef KIN_SYNC_TABLE_H
#define KIN_SYNC_TABLE_H

#include "family/object.h"
#include "kin/table.h"

#include <string.h>

struct kin__record {
    uint64_t key_size, value_size;
    char bytes[];
};

/* An open address: the upper half of the key's hash, and its place in the index plus one; 0: free. */
struct kin__slot {
    uint32_t tag, place;
};

struct kin_table {
    struct kin__object head;
    uint32_t keyed;
    uint64_t count;
    uint64_t seed;
    uint64_t slots; /* a power of two; 0 in a list */
    const struct kin__record *const *index;
    const struct kin__slot *hash;
};

static inline size_t kin__table_round(size_t size)
{
    return (size + 15) & ~(size_t)15;
}

static inline const void *kin__record_value(const struct kin__record *record, bool keyed)
{
    return record->bytes + (keyed ? kin__table_round(record->key_size + 1) : 0);
}

/* The slot with that key, or the free one where it would go. `index` is that of a table that may be under way. */
size_t kin__table_slot(const struct kin__slot *hash, uint64_t slots, const struct kin__record *const *index,
                       uint64_t hashed, const void *key, size_t size);

#endif
