/* sync/table.c - reading a table; see table.h. */
#include "sync/table.h"

#include "base/failure.h"
#include "base/hash.h"
#include "base/log.h"
#include "family/shelf.h"

size_t kin__table_slot(const struct kin__slot *hash, uint64_t slots, const struct kin__record *const *index,
                       uint64_t hashed, const void *key, size_t size)
{
    size_t at = hashed & (slots - 1);
    for (; hash[at].place; at = (at + 1) & (slots - 1)) {
        if (hash[at].tag != (uint32_t)(hashed >> 32))
            continue;
        const struct kin__record *record = index[hash[at].place - 1];
        if (record->key_size == size && (size == 0 || memcmp(record->bytes, key, size) == 0))
            break;
    }
    return at;
}

size_t kin_table_count(const kin_table *table)
{
    return table && kin__object_check(table, KIN__TABLE_MAGIC, "count entries") == 0 ? table->count : 0;
}

static void fill(const kin_table *table, size_t place, kin_table_entry *out)
{
    const struct kin__record *record = table->index[place];
    *out = (kin_table_entry){.key = table->keyed ? record->bytes : NULL,
                             .key_size = record->key_size,
                             .value = kin__record_value(record, table->keyed),
                             .value_size = record->value_size,
                             .index = place};
}

int kin_table_at(const kin_table *table, size_t index, kin_table_entry *out)
{
    int error = kin__object_check(table, KIN__TABLE_MAGIC, "read a table");
    if (error)
        return error;
    if (!out)
        return kin__fail(KIN_EINVAL, "cannot read a table: there is no place for the entry");
    if (index >= table->count)
        return kin__fail(KIN_ENOTFOUND, "the table has %llu entries", (unsigned long long)table->count);
    fill(table, index, out);
    return 0;
}

int kin_table_find(const kin_table *table, const void *key, size_t key_size, kin_table_entry *out)
{
    int error = kin__object_check(table, KIN__TABLE_MAGIC, "look a key up");
    if (error)
        return error;
    if (!table->keyed)
        return kin__fail(KIN_EINVAL, "cannot look a key up: the table is a list, which has none");
    if (!out || (!key && key_size))
        return kin__fail(KIN_EINVAL, "cannot look a key up: %s",
                         out ? "it is NULL" : "there is no place for the entry");
    size_t at = kin__table_slot(table->hash, table->slots, table->index,
                                kin__hash(table->seed, key, key_size), key, key_size);
    if (!table->hash[at].place)
        return kin__fail(KIN_ENOTFOUND, "the table has no such key");
    fill(table, table->hash[at].place - 1, out);
    return 0;
}

const char *kin_table_find_string(const kin_table *table, const char *key)
{
    kin_table_entry entry = {.value = NULL};
    if (!key) {
        kin__fail(KIN_EINVAL, "cannot look a key up: it is NULL");
        return NULL;
    }
    return kin_table_find(table, key, strlen(key), &entry) == 0 ? entry.value : NULL;
}

void kin_table_free(const kin_table *table)
{
    if (!table)
        return;
    if (kin__object_check(table, KIN__TABLE_MAGIC, "free a table") || kin__shelf_free(table, "free a table"))
        kin_log(KIN_LOG_ERROR, "%s", kin_error_message());
}
