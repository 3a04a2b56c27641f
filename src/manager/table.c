/* manager/table.c - see table.h. */
#include "manager/table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define GONE UINT32_MAX
#define FIRST_ROOM 8u
#define ENTRIES_MAX (UINT32_MAX - 2u)

static uint64_t seed(void)
{
    static uint64_t value;
    if (!value && getrandom(&value, sizeof value, 0) != (ssize_t)sizeof value)
        value = (uint64_t)(uintptr_t)&value;
    return value |= 1;
}

static uint64_t mixed(uint64_t value)
{
    value ^= value >> 32;
    value *= 0xd6e8feb86659fd93u;
    value ^= value >> 32;
    value *= 0xd6e8feb86659fd93u;
    return value ^ value >> 32;
}

static uint64_t hash_of(const uint8_t *data, size_t size)
{
    uint64_t hash = seed() ^ size;
    for (; size >= 8; data += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, data, 8);
        hash = mixed(hash ^ word) + seed();
    }
    uint64_t word = 0;
    memcpy(&word, data, size);
    return mixed(hash ^ word);
}

static bool is_key(const struct kin__entry *entry, uint64_t hash, const uint8_t *key, size_t size)
{
    return entry->hash == hash && entry->number && entry->key.size == size &&
           memcmp(entry->key.data, key, size) == 0;
}

struct kin__entry *kin__table_find(const struct kin__table *table, const uint8_t *key, size_t size)
{
    if (!table->live)
        return NULL;
    uint64_t hash = hash_of(key, size);
    for (size_t i = hash & table->mask;; i = (i + 1) & table->mask) {
        uint32_t place = table->index[i];
        if (!place)
            return NULL;
        if (place != GONE && is_key(&table->entries[place - 1], hash, key, size))
            return &table->entries[place - 1];
    }
}

static void enter(struct kin__table *table, uint32_t place)
{
    size_t i = table->entries[place].hash & table->mask;
    while (table->index[i])
        i = (i + 1) & table->mask;
    table->index[i] = place + 1;
}

/* Room for one more: entries that are gone go, and the index, of twice as many places, is made anew. */
static bool make_room(struct kin__table *table)
{
    size_t room = table->live * 2 < FIRST_ROOM ? FIRST_ROOM : table->live * 2;
    if (room > ENTRIES_MAX)
        return false;
    size_t places = 16;
    while (places < room * 2)
        places *= 2;
    uint32_t *index = calloc(places, sizeof *index);
    struct kin__entry *entries = malloc(room * sizeof *entries);
    if (!index || !entries) {
        free(index);
        free(entries);
        return false;
    }
    size_t live = 0;
    for (size_t i = 0; i < table->used; i++)
        if (table->entries[i].number)
            entries[live++] = table->entries[i];
    free(table->index);
    free(table->entries);
    table->index = index;
    table->entries = entries;
    table->mask = places - 1;
    table->used = live;
    table->room = room;
    for (size_t i = 0; i < live; i++)
        enter(table, (uint32_t)i);
    return true;
}

struct kin__entry *kin__table_add(struct kin__table *table, struct kin__kept key)
{
    if (table->used == table->room && !make_room(table))
        return NULL;
    struct kin__entry *entry = &table->entries[table->used];
    *entry =
        (struct kin__entry){.hash = hash_of(key.data, key.size), .number = ++table->last_number, .key = key};
    enter(table, (uint32_t)table->used++);
    table->live++;
    return entry;
}

void kin__table_remove(struct kin__table *table, struct kin__entry *entry)
{
    uint32_t place = (uint32_t)(entry - table->entries) + 1;
    size_t i = entry->hash & table->mask;
    while (table->index[i] != place)
        i = (i + 1) & table->mask;
    table->index[i] = GONE;
    entry->number = 0;
    table->live--;
    if (table->live)
        return;
    /* So that a table that fills and empties does not search through what is gone. */
    if (table->mask >= 64) {
        uint64_t last = table->last_number;
        kin__table_free(table);
        table->last_number = last;
    } else {
        table->used = 0;
        memset(table->index, 0, (table->mask + 1) * sizeof *table->index);
    }
}

struct kin__entry *kin__table_from(const struct kin__table *table, uint64_t from)
{
    /* What is gone has no number, so halving goes by its neighbours: the first at or behind the middle that is there. */
    size_t low = 0, high = table->used;
    while (low < high) {
        size_t middle = low + (high - low) / 2, there = middle;
        while (there < high && !table->entries[there].number)
            there++;
        if (there == high)
            high = middle;
        else if (table->entries[there].number < from)
            low = there + 1;
        else
            high = middle;
    }
    while (low < table->used && !table->entries[low].number)
        low++;
    return low < table->used ? &table->entries[low] : NULL;
}

struct kin__entry *kin__table_last(const struct kin__table *table)
{
    size_t i = table->used;
    while (i && !table->entries[i - 1].number)
        i--;
    return i ? &table->entries[i - 1] : NULL;
}

void kin__table_free(struct kin__table *table)
{
    free(table->entries);
    free(table->index);
    *table = (struct kin__table){0};
}
