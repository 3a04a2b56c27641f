/* manager/set.c - set: a table whose entries have keys only. */
#include "manager/server.h"

#include "base/failure.h"

#include <stdlib.h>

static struct kin__table *table_of(struct kin__entity *entity)
{
    return entity->state;
}

static int find(kin_call *call, struct kin__entity *entity, struct kin__reader *value,
                struct kin__entry **out)
{
    const uint8_t *data = NULL;
    size_t size = 0;
    int error = kin__arg_item(call, "a value", value);
    if (!error)
        error = kin__key(call->server, *value, &data, &size);
    *out = error ? NULL : kin__table_find(table_of(entity), data, size);
    return error;
}

static int add_one(struct kin_server *server, struct kin__entity *entity, struct kin__reader value,
                   bool *added)
{
    struct kin__kept kept;
    size_t size = 0;
    int error = kin__key(server, value, &value.at, &size);
    *added = false;
    if (error || kin__table_find(table_of(entity), value.at, size))
        return error;
    value.end = value.at + size;
    if ((error = kin__keep(server, value, &kept)))
        return error;
    if (!kin__table_add(table_of(entity), kept)) {
        kin__let_go(server, &kept);
        return kin__fail(KIN_ENOMEM, "cannot add to a set: out of memory in the manager");
    }
    *added = true;
    return 0;
}

/* add(value): whether it is new */
static int add(kin_call *call, struct kin__entity *entity)
{
    struct kin__reader value;
    bool added;
    int error = kin__arg_item(call, "a value", &value);
    if (!error && !(error = add_one(call->server, entity, value, &added)))
        kin__put_bool(call->answer, added);
    return error;
}

static int update(kin_call *call, struct kin__entity *entity)
{
    struct kin__reader items, value;
    bool added;
    int error = kin__arg_list(call, &items);
    while (!error && kin__list_next(&items, &value))
        error = add_one(call->server, entity, value, &added);
    return error;
}

static void drop(struct kin_server *server, struct kin__entity *entity, struct kin__entry *entry)
{
    struct kin__kept key = entry->key;
    kin__table_remove(table_of(entity), entry);
    kin__let_go(server, &key);
}

static int clear(kin_call *call, struct kin__entity *entity)
{
    struct kin__entry *last;
    while ((last = kin__table_last(table_of(entity))))
        drop(call->server, entity, last);
    return 0;
}

static void end_set(struct kin_server *server, struct kin__entity *entity)
{
    clear(&(kin_call){.server = server}, entity);
    kin__table_free(table_of(entity));
    free(entity->state);
}

static int make_set(kin_call *call, struct kin__entity *entity)
{
    entity->state = calloc(1, sizeof(struct kin__table));
    if (!entity->state)
        return kin__fail(KIN_ENOMEM, "cannot make a set: out of memory in the manager");
    int error = kin__arg_more(call) ? update(call, entity) : 0;
    if (error)
        end_set(call->server, entity);
    return error;
}

static int contains(kin_call *call, struct kin__entity *entity)
{
    struct kin__reader value;
    struct kin__entry *entry;
    int error = find(call, entity, &value, &entry);
    if (!error)
        kin__put_bool(call->answer, entry);
    return error;
}

/* discard(value): whether it was there */
static int discard(kin_call *call, struct kin__entity *entity)
{
    struct kin__reader value;
    struct kin__entry *entry;
    int error = find(call, entity, &value, &entry);
    if (error)
        return error;
    kin__put_bool(call->answer, entry);
    if (entry)
        drop(call->server, entity, entry);
    return 0;
}

static int remove_value(kin_call *call, struct kin__entity *entity)
{
    struct kin__reader value;
    struct kin__entry *entry;
    int error = find(call, entity, &value, &entry);
    if (error)
        return error;
    if (!entry)
        return kin__fail(KIN_ENOTFOUND, "the value is not in the set");
    drop(call->server, entity, entry);
    return 0;
}

static int pop(kin_call *call, struct kin__entity *entity)
{
    struct kin__entry *last = kin__table_last(table_of(entity));
    if (!last)
        return kin__fail(KIN_ENOTFOUND, "the set is empty");
    kin__buffer_add(call->answer, last->key.data, last->key.size);
    drop(call->server, entity, last);
    return 0;
}

static int length(kin_call *call, struct kin__entity *entity)
{
    kin__put_head(call->answer, KIN__UINT, table_of(entity)->live);
    return 0;
}

/* page(from, most): [next, value, ...], as dict's. */
static int page(kin_call *call, struct kin__entity *entity)
{
    int64_t from, most;
    const struct kin__table *table = table_of(entity);
    int error = kin__arg_page(call, &from, &most);
    if (error)
        return error;
    const struct kin__entry *entry = kin__table_from(table, (uint64_t)from);
    size_t first = entry ? (size_t)(entry - table->entries) : table->used, end = first;
    uint64_t count = 0;
    for (; end < table->used && count < (uint64_t)most; end++)
        count += table->entries[end].number != 0;
    while (end < table->used && !table->entries[end].number)
        end++;
    kin__put_head(call->answer, KIN__LIST, 1 + count);
    kin__put_head(call->answer, KIN__UINT, end < table->used ? table->entries[end].number : 0);
    for (size_t i = first; i < end; i++)
        if (table->entries[i].number)
            kin__buffer_add(call->answer, table->entries[i].key.data, table->entries[i].key.size);
    return 0;
}

static int copy(kin_call *call, struct kin__entity *entity)
{
    const struct kin__table *table = table_of(entity);
    kin__put_head(call->answer, KIN__LIST, table->live);
    for (size_t i = 0; i < table->used; i++)
        if (table->entries[i].number)
            kin__buffer_add(call->answer, table->entries[i].key.data, table->entries[i].key.size);
    return 0;
}

static const struct kin__kind_method methods[] = {
    {"add", add}, {"contains", contains}, {"discard", discard}, {"remove", remove_value}, {"length", length},
    {"pop", pop}, {"update", update},     {"page", page},       {"copy", copy},           {"clear", clear},
};

const struct kin__kind kin__kind_set = {
    .name = "set",
    .make = make_set,
    .end = end_set,
    .methods = methods,
    .method_count = sizeof methods / sizeof *methods,
};
