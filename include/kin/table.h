/*
 * kin/table.h - a table of strings or records, built once, then read by all and written by nobody.
 *
 * What a dictionary or a list of strings is in Python, and costs there in each worker: here it lies in memory once, frozen
 * (kin/frozen.h), and is looked up in place, without locks and without copying. A kin_table is a pointer that is valid in every
 * member, may be the context of a map, go through a queue, or lie in the heap.
 *
 * Entries  A key and a value, both any bytes of any length (0 too); or, in a list, a value alone. They keep the order in which
 *          they were added. Values are aligned to 16, so records can be used as they lie; a NUL byte follows each key and value, so
 *          strings can be, too.
 * Death    A table belongs to the family: it lives until some member frees it. A builder goes with its process.
 * Threads  Any number may read. One at a time may use a builder, in the process that made it.
 * Memory   An entry takes key and value, rounded up to 16 bytes each, and 48 bytes or so. Builders have the hash in private memory.
 * Errors   NULL or a negative KIN_E code, as in kin/frozen.h.
 */
#ifndef KIN_TABLE_H
#define KIN_TABLE_H

#include "kin/api.h"

KIN_BEGIN

typedef struct kin_table kin_table;
typedef struct kin_table_builder kin_table_builder;

typedef struct kin_table_entry {
    const void *key; /* NULL in a list */
    size_t key_size;
    const void *value;
    size_t value_size;
    size_t index; /* 0 for the entry that was added first */
} kin_table_entry;

/* ---- building -------------------------------------------------------------------------------- */

/* An empty table with keys, or a list, to be added to. */
KIN_API kin_table_builder *kin_table_build(void) KIN_CHECKED;
KIN_API kin_table_builder *kin_table_build_list(void) KIN_CHECKED;

/*
 * Add an entry: copies of key and value. In a list `key` is NULL.
 *
 * KIN_EBUSY  the key is in the table already; nothing was added
 */
KIN_API int kin_table_add(kin_table_builder *builder, const void *key, size_t key_size, const void *value,
                          size_t value_size);

/* The same with strings. */
KIN_API int kin_table_add_string(kin_table_builder *builder, const char *key, const char *value);

/* The table is done, and the builder gone. NULL: an error; then the builder is as it was. */
KIN_API const kin_table *kin_table_seal(kin_table_builder *builder) KIN_CHECKED;

/* Give it up before it is sealed. NULL does nothing. */
KIN_API void kin_table_drop(kin_table_builder *builder);

/* ---- reading --------------------------------------------------------------------------------- */

/* How many entries there are; 0 for NULL. */
KIN_API size_t kin_table_count(const kin_table *table);

/* The entry with that key. KIN_ENOTFOUND (an outcome): there is none; KIN_EINVAL. */
KIN_API int kin_table_find(const kin_table *table, const void *key, size_t key_size, kin_table_entry *out);

/* The value of a string's entry, as a string, or NULL. */
KIN_API const char *kin_table_find_string(const kin_table *table, const char *key);

/*
 * The entry at an index, to go through them all:
 *
 *     for (size_t i = 0; kin_table_at(table, i, &entry) == 0; i++)
 *
 * KIN_ENOTFOUND (an outcome): there are no more.
 */
KIN_API int kin_table_at(const kin_table *table, size_t index, kin_table_entry *out);

/* Free a table; NULL does nothing. Nobody may read it any more. */
KIN_API void kin_table_free(const kin_table *table);

KIN_END_DECLS

#endif
