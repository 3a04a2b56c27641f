/*
 * manager/table.h - what dicts, sets and Namespaces are: keys, values, and the order in which keys came.
 *
 * Entries stand in an array in the order they came, each with a number that only grows; an index of their places is hashed by key. So
 * a page of entries begins behind a number, and stays right whatever came and went meanwhile. Keys are canonical items
 * (wire.h); the hash has a random seed, as keys come from others.
 */
#ifndef KIN_MANAGER_TABLE_H
#define KIN_MANAGER_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An item that is kept: bytes of CBOR, allocated for it. */
struct kin__kept {
    uint8_t *data;
    uint32_t size;
    bool objects; /* objects of the server are in it, and held by it */
};

struct kin__entry {
    uint64_t hash;
    uint64_t number; /* 0: gone */
    struct kin__kept key, value;
};

struct kin__table {
    struct kin__entry *entries;
    size_t used, live, room; /* of entries: with those that are gone, without, allocated */
    uint32_t *index;         /* place + 1; 0: free; UINT32_MAX: gone */
    size_t mask;             /* of the index; 0: there is none */
    uint64_t last_number;
};

/* NULL: not there. Valid until the next kin__table_add. */
struct kin__entry *kin__table_find(const struct kin__table *table, const uint8_t *key, size_t size);
/* A new entry for a key that is not there, whose bytes become the table's; its value is empty. NULL: no memory. */
struct kin__entry *kin__table_add(struct kin__table *table, struct kin__kept key);
/* Key and value are the caller's to free, before. */
void kin__table_remove(struct kin__table *table, struct kin__entry *entry);
/* The first entry whose number is at least `from`; NULL: none. And the last. */
struct kin__entry *kin__table_from(const struct kin__table *table, uint64_t from);
struct kin__entry *kin__table_last(const struct kin__table *table);
/* Memory of the table itself. */
void kin__table_free(struct kin__table *table);

#endif
