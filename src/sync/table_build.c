/* sync/table_build.c - building a table; see table.h. */
#include "base/failure.h"
#include "base/hash.h"
#include "base/log.h"
#include "family/shelf.h"
#include "sync/table.h"

#include <stdlib.h>

#define LEAST_BOOK ((size_t)256 << 10)
#define LEAST_SLOTS 64u

/* The book that is being filled. */
struct page {
    char *at, *alias;
    size_t size, used;
};

struct kin_table_builder {
    kin__id maker;
    bool keyed;
    const char *table; /* its main book */
    struct page page;
    size_t total; /* bytes of closed books */
    uint64_t count, room, slots;
    uint64_t seed;
    const struct kin__record **index; /* private memory, until it is sealed; room of them */
    struct kin__slot *hash;
};

/* Open a book with room for at least `size` bytes. Each is as large as a quarter of all before, so there are few. */
static int open_page(kin_table_builder *builder, size_t size)
{
    size_t suits = builder->total / 4 > LEAST_BOOK ? builder->total / 4 : LEAST_BOOK;
    struct page page = {.size = size > suits ? size : suits};
    void *alias;
    page.at = kin__shelf_new(page.size, builder->table, &alias);
    if (!page.at && page.size > size) { /* less will do */
        page.size = size;
        page.at = kin__shelf_new(page.size, builder->table, &alias);
    }
    if (!page.at)
        return kin_error_code();
    page.alias = alias;
    if (builder->table) {
        kin__shelf_close(builder->page.at, builder->page.alias, builder->page.used);
        builder->total += builder->page.used;
    } else {
        builder->table = page.at;
    }
    builder->page = page;
    return 0;
}

/* `size` bytes aligned to 16 where they will be read; *alias is where they are written. NULL: an error. */
static void *reserve(kin_table_builder *builder, size_t size, void **alias)
{
    size_t needed = kin__table_round(size);
    if (needed < size || needed > SIZE_MAX / 2) {
        kin__fail(KIN_ENOMEM, "cannot add %zu bytes to a table", size);
        return NULL;
    }
    if (builder->page.size - builder->page.used < needed && open_page(builder, needed) != 0)
        return NULL;
    struct page *page = &builder->page;
    *alias = page->alias + page->used;
    void *at = page->at + page->used;
    page->used += needed;
    return at;
}

static kin_table_builder *start(bool keyed)
{
    kin_table_builder *builder = calloc(1, sizeof *builder);
    if (!builder) {
        kin__fail(KIN_ENOMEM, "could not make a builder of tables: out of private memory");
        return NULL;
    }
    builder->maker = kin__self_id();
    builder->keyed = keyed;
    void *alias;
    if (open_page(builder, sizeof(kin_table)) != 0 || !reserve(builder, sizeof(kin_table), &alias)) {
        free(builder);
        return NULL;
    }
    builder->seed = kin__region->nonce;
    return builder;
}

kin_table_builder *kin_table_build(void)
{
    return start(true);
}

kin_table_builder *kin_table_build_list(void)
{
    return start(false);
}

static int check(const kin_table_builder *builder, const char *what)
{
    if (!builder)
        return kin__fail(KIN_EINVAL, "cannot %s: the builder is NULL%s%s", what,
                         *kin_error_message() ? "; last failure: " : "", kin_error_message());
    if (builder->maker != kin__self_id())
        return kin__fail(KIN_EPERM, "cannot %s: the builder belongs to the process that made it", what);
    return 0;
}

static int grow_index(kin_table_builder *builder)
{
    if (builder->count < builder->room)
        return 0;
    uint64_t room = builder->room ? builder->room + builder->room / 2 : LEAST_SLOTS;
    const struct kin__record **larger = realloc(builder->index, room * sizeof *larger);
    if (!larger)
        return kin__fail(KIN_ENOMEM,
                         "could not add to a table: no private memory for an index of %llu entries",
                         (unsigned long long)room);
    builder->index = larger;
    builder->room = room;
    return 0;
}

/* Twice the slots, once two thirds of them are in use. The tags do not say where: the keys are hashed again. */
static int grow_hash(kin_table_builder *builder)
{
    if (!builder->keyed || (builder->count + 1) * 3 <= builder->slots * 2)
        return 0;
    uint64_t slots = builder->slots ? 2 * builder->slots : LEAST_SLOTS;
    struct kin__slot *larger = calloc(slots, sizeof *larger);
    if (!larger)
        return kin__fail(KIN_ENOMEM, "could not add to a table: no private memory for a hash of %llu slots",
                         (unsigned long long)slots);
    for (uint64_t i = 0; i < builder->slots; i++) {
        struct kin__slot slot = builder->hash[i];
        if (!slot.place)
            continue;
        const struct kin__record *record = builder->index[slot.place - 1];
        size_t at = kin__hash(builder->seed, record->bytes, record->key_size) & (slots - 1);
        while (larger[at].place)
            at = (at + 1) & (slots - 1);
        larger[at] = slot;
    }
    free(builder->hash);
    builder->hash = larger;
    builder->slots = slots;
    return 0;
}

static int add_record(kin_table_builder *builder, const void *key, size_t key_size, const void *value,
                      size_t value_size)
{
    size_t before = builder->keyed ? kin__table_round(key_size + 1) : 0;
    if (key_size > SIZE_MAX / 4 || value_size > SIZE_MAX / 4)
        return kin__fail(KIN_ENOMEM, "cannot add a key of %zu bytes and a value of %zu to a table", key_size,
                         value_size);
    void *alias;
    struct kin__record *at = reserve(builder, sizeof *at + before + value_size + 1, &alias);
    if (!at)
        return kin_error_code();
    struct kin__record *record = alias;
    record->key_size = key_size;
    record->value_size = value_size;
    if (key_size)
        memcpy(record->bytes, key, key_size);
    if (value_size)
        memcpy(record->bytes + before, value, value_size);
    builder->index[builder->count++] = at;
    return 0;
}

int kin_table_add(kin_table_builder *builder, const void *key, size_t key_size, const void *value,
                  size_t value_size)
{
    int error = check(builder, "add to a table");
    if (error)
        return error;
    if (!builder->keyed && (key || key_size))
        return kin__fail(KIN_EINVAL, "cannot add a key to a list");
    if ((!key && key_size) || (!value && value_size))
        return kin__fail(KIN_EINVAL, "cannot add to a table: %s is NULL, but its size is %zu",
                         !key && key_size ? "the key" : "the value",
                         !key && key_size ? key_size : value_size);
    if (builder->count >= UINT32_MAX - 1)
        return kin__fail(KIN_ELIMIT, "cannot add to a table: it has %llu entries",
                         (unsigned long long)builder->count);
    error = grow_index(builder);
    if (!error)
        error = grow_hash(builder);
    if (error || !builder->keyed)
        return error ? error : add_record(builder, NULL, 0, value, value_size);
    uint64_t hashed = kin__hash(builder->seed, key, key_size);
    size_t at = kin__table_slot(builder->hash, builder->slots, builder->index, hashed, key, key_size);
    if (builder->hash[at].place)
        return kin__fail(KIN_EBUSY, "the key \"%.*s\" is in the table already, as entry %u",
                         (int)(key_size < 60 ? key_size : 60), (const char *)key,
                         builder->hash[at].place - 1);
    error = add_record(builder, key, key_size, value, value_size);
    if (!error)
        builder->hash[at] =
            (struct kin__slot){.tag = (uint32_t)(hashed >> 32), .place = (uint32_t)builder->count};
    return error;
}

int kin_table_add_string(kin_table_builder *builder, const char *key, const char *value)
{
    if (!value)
        return kin__fail(KIN_EINVAL, "cannot add to a table: the value is NULL");
    return kin_table_add(builder, key, key ? strlen(key) : 0, value, strlen(value));
}

/* Index and hash behind the last record: the place for both, or NULL. */
static const void *copy_index(kin_table_builder *builder)
{
    size_t index = builder->count * sizeof *builder->index, hash = builder->slots * sizeof *builder->hash;
    void *alias;
    char *at = reserve(builder, kin__table_round(index) + hash, &alias);
    if (!at)
        return NULL;
    if (index)
        memcpy(alias, builder->index, index);
    if (hash)
        memcpy((char *)alias + kin__table_round(index), builder->hash, hash);
    return at;
}

/* The head goes in last, into the main book, whose alias may be gone by then: it is written through one of its own. */
static int write_head(kin_table_builder *builder, const kin_table *head)
{
    if (builder->page.at == builder->table) {
        memcpy(builder->page.alias, head, sizeof *head);
        return 0;
    }
    return kin__shelf_patch(builder->table, head, sizeof *head);
}

const kin_table *kin_table_seal(kin_table_builder *builder)
{
    if (check(builder, "seal a table") != 0 || (builder->keyed && grow_hash(builder) != 0))
        return NULL;
    const char *index = copy_index(builder);
    if (!index)
        return NULL;
    kin_table head = {
        .keyed = builder->keyed, .count = builder->count, .seed = builder->seed, .slots = builder->slots};
    head.index = (const void *)index;
    head.hash = (const void *)(index + kin__table_round(builder->count * sizeof *builder->index));
    atomic_init(&head.head.magic, KIN__TABLE_MAGIC);
    if (write_head(builder, &head) != 0)
        return NULL;
    const kin_table *table = (const void *)builder->table;
    kin__shelf_close(builder->page.at, builder->page.alias, builder->page.used);
    kin__shelf_seal(table);
    free(builder->index);
    free(builder->hash);
    free(builder);
    return table;
}

void kin_table_drop(kin_table_builder *builder)
{
    if (!builder)
        return;
    if (check(builder, "drop a builder of tables") != 0) {
        kin_log(KIN_LOG_ERROR, "%s", kin_error_message());
        return;
    }
    kin__shelf_close(builder->page.at, builder->page.alias, builder->page.used);
    kin__shelf_drop(builder->table);
    free(builder->index);
    free(builder->hash);
    free(builder);
}
