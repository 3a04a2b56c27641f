/* manager/dict.c - dict and Namespace. Who waits for a key's change is in waiting list 0. */
#include "manager/server.h"

#include "base/failure.h"

#include <math.h>
#include <stdlib.h>

#define CHANGES 0u

struct dict {
    struct kin__table table;
};

static struct kin__table *table_of(struct kin__entity *entity)
{
    return &((struct dict *)entity->state)->table;
}

static int key_missing(struct kin__reader key)
{
    kin_any any;
    kin__item_view(key.at, (size_t)(key.end - key.at), &any);
    if (any.type == KIN_ANY_TEXT)
        return kin__fail(KIN_ENOTFOUND, "there is no key \"%.*s\"", (int)(any.size < 80 ? any.size : 80),
                         (const char *)any.data);
    if (any.type == KIN_ANY_INT)
        return kin__fail(KIN_ENOTFOUND, "there is no key %lld", (long long)any.integer);
    return kin__fail(KIN_ENOTFOUND, "there is no such key");
}

/* The argument that is a key; its entry, or NULL. */
static int find(kin_call *call, struct kin__entity *entity, struct kin__reader *key, struct kin__entry **out)
{
    const uint8_t *data;
    size_t size;
    int error = kin__arg_item(call, "a key", key);
    if (!error && entity->kind == &kin__kind_namespace && *key->at >> 5 != KIN__TEXT)
        error = kin__fail(KIN_EINVAL, "a name must be a text");
    if (!error)
        error = kin__key(call->server, *key, &data, &size);
    if (!error)
        *out = kin__table_find(table_of(entity), data, size);
    return error;
}

/* ---- changing -------------------------------------------------------------------------------------- */

/* A new entry. NULL: the record is set. */
static struct kin__entry *add_key(struct kin_server *server, struct kin__entity *entity,
                                  struct kin__reader key)
{
    struct kin__kept name;
    struct kin__reader canonical;
    size_t size;
    if (kin__key(server, key, &canonical.at, &size))
        return NULL;
    canonical.end = canonical.at + size;
    if (kin__keep(server, canonical, &name))
        return NULL;
    struct kin__entry *entry = kin__table_add(table_of(entity), name);
    if (!entry) {
        kin__let_go(server, &name);
        kin__fail(KIN_ENOMEM, "cannot add a key: out of memory in the manager");
    }
    return entry;
}

/* The value goes to the key: to its entry, or a new one. */
static int store(struct kin_server *server, struct kin__entity *entity, struct kin__reader key,
                 struct kin__entry *entry, struct kin__reader value)
{
    struct kin__kept kept;
    int error = kin__keep(server, value, &kept);
    if (error)
        return error;
    if (!entry && !(entry = add_key(server, entity, key))) {
        kin__let_go(server, &kept);
        return kin_error_code();
    }
    struct kin__kept old = entry->value;
    entry->value = kept;
    kin__let_go(server, &old);
    kin__entity_wake(server, entity, CHANGES, true);
    return 0;
}

static void remove_entry(struct kin_server *server, struct kin__entity *entity, struct kin__entry *entry,
                         bool handed_out)
{
    struct kin__kept key = entry->key, value = entry->value;
    kin__table_remove(table_of(entity), entry);
    kin__let_go(server, &key);
    if (handed_out)
        kin__hand_out(server, &value);
    else
        kin__let_go(server, &value);
    kin__entity_wake(server, entity, CHANGES, true);
}

static void drop(struct kin_server *server, struct kin__entity *entity, struct kin__entry *entry)
{
    remove_entry(server, entity, entry, false);
}

static int set(kin_call *call, struct kin__entity *entity)
{
    struct kin__reader key, value;
    struct kin__entry *entry;
    int error = find(call, entity, &key, &entry);
    if (!error && !(error = kin__arg_item(call, "a value", &value)))
        error = store(call->server, entity, key, entry, value);
    return error;
}

/* set_many([key, value, key, value, ...]), or a map. */
static int set_many(kin_call *call, struct kin__entity *entity)
{
    struct kin__reader items;
    struct kin__head head;
    int error = kin__arg_item(call, "a list of keys and values, or a map", &items);
    if (error)
        return error;
    if (!kin__read_head(&items, &head) || (head.major != KIN__LIST && head.major != KIN__MAP))
        return kin__fail(KIN_EINVAL, "argument 1 is not a list of keys and values, or a map");
    kin_call each = *call;
    each.args = each.rest = items;
    while (!error && each.rest.at < each.rest.end && *each.rest.at != 0xff)
        error = set(&each, entity);
    return error;
}

static int make_dict(kin_call *call, struct kin__entity *entity)
{
    struct dict *dict = calloc(1, sizeof *dict);
    if (!dict)
        return kin__fail(KIN_ENOMEM, "cannot make a %s: out of memory in the manager", entity->kind->name);
    entity->state = dict;
    int error = kin__arg_more(call) ? set_many(call, entity) : 0;
    if (error)
        entity->kind->end(call->server, entity);
    return error;
}

static void empty(struct kin_server *server, struct kin__entity *entity)
{
    struct kin__entry *last;
    while ((last = kin__table_last(table_of(entity))))
        drop(server, entity, last);
}

static void end_dict(struct kin_server *server, struct kin__entity *entity)
{
    empty(server, entity);
    kin__table_free(table_of(entity));
    free(entity->state);
}

static int delete (kin_call *call, struct kin__entity *entity)
{
    struct kin__reader key;
    struct kin__entry *entry;
    int error = find(call, entity, &key, &entry);
    if (error)
        return error;
    if (!entry)
        return key_missing(key);
    drop(call->server, entity, entry);
    return 0;
}

static int clear(kin_call *call, struct kin__entity *entity)
{
    empty(call->server, entity);
    return 0;
}

/* ---- looking ----------------------------------------------------------------------------------------- */

static int get(kin_call *call, struct kin__entity *entity)
{
    struct kin__reader key;
    struct kin__entry *entry;
    int error = find(call, entity, &key, &entry);
    if (error)
        return error;
    if (!entry)
        return key_missing(key);
    kin__put_kept(call->answer, &entry->value);
    return 0;
}

/* get_or(key, other): the value; or other, or null, if there is none. */
static int get_or(kin_call *call, struct kin__entity *entity)
{
    struct kin__reader key, other;
    struct kin__entry *entry;
    int error = find(call, entity, &key, &entry);
    if (error)
        return error;
    if (entry)
        kin__put_kept(call->answer, &entry->value);
    else if (call->rest.at < call->rest.end && !(error = kin__arg_item(call, "a value", &other)))
        kin__buffer_add(call->answer, other.at, (size_t)(other.end - other.at));
    return error;
}

/* get_many([key, ...]): [found, value, found, value, ...] */
static int get_many(kin_call *call, struct kin__entity *entity)
{
    struct kin__reader items;
    struct kin__head head;
    int error = kin__arg_item(call, "a list of keys", &items);
    if (error)
        return error;
    if (!kin__read_head(&items, &head) || head.major != KIN__LIST)
        return kin__fail(KIN_EINVAL, "argument 1 is not a list of keys");
    kin_call each = *call;
    each.args = each.rest = items;
    kin__buffer_add(call->answer, "\x9f", 1); /* an open list: a count could only be believed */
    while (!error && each.rest.at < each.rest.end && *each.rest.at != 0xff) {
        struct kin__reader key;
        struct kin__entry *entry;
        if ((error = find(&each, entity, &key, &entry)))
            break;
        kin__put_bool(call->answer, entry);
        if (entry)
            kin__put_kept(call->answer, &entry->value);
        else
            kin__put_null(call->answer);
    }
    kin__buffer_add(call->answer, "\xff", 1);
    return error;
}

static int contains(kin_call *call, struct kin__entity *entity)
{
    struct kin__reader key;
    struct kin__entry *entry;
    int error = find(call, entity, &key, &entry);
    if (!error)
        kin__put_bool(call->answer, entry);
    return error;
}

static int length(kin_call *call, struct kin__entity *entity)
{
    kin__put_head(call->answer, KIN__UINT, table_of(entity)->live);
    return 0;
}

/* page(from, most): [next, key, value, ...]; what comes with the next page begins at `next`, 0: that was the last. */
static int page(kin_call *call, struct kin__entity *entity)
{
    int64_t from, most;
    int error = kin__arg_page(call, &from, &most);
    if (error)
        return error;
    struct kin__entry *last = kin__table_last(table_of(entity)),
                      *entry = kin__table_from(table_of(entity), (uint64_t)from);
    struct kin__entry *end = entry;
    int64_t count = 0;
    for (; last && end && end <= last && count < most; end++)
        count += end->number != 0;
    while (last && end && end <= last && !end->number)
        end++;
    bool more = entry && end <= last;
    kin__put_head(call->answer, KIN__LIST, 1 + 2 * (uint64_t)count);
    kin__put_head(call->answer, KIN__UINT, more ? end->number : 0);
    for (; count; entry++)
        if (entry->number) {
            kin__put_kept(call->answer, &entry->key);
            kin__put_kept(call->answer, &entry->value);
            count--;
        }
    return 0;
}

static int copy(kin_call *call, struct kin__entity *entity)
{
    const struct kin__table *table = table_of(entity);
    kin__put_head(call->answer, KIN__MAP, table->live);
    for (size_t i = 0; i < table->used; i++)
        if (table->entries[i].number) {
            kin__put_kept(call->answer, &table->entries[i].key);
            kin__put_kept(call->answer, &table->entries[i].value);
        }
    return 0;
}

/* ---- both at once ------------------------------------------------------------------------------------ */

/* pop(key[, other]) */
static int pop(kin_call *call, struct kin__entity *entity)
{
    struct kin__reader key, other;
    struct kin__entry *entry;
    int error = find(call, entity, &key, &entry);
    if (error)
        return error;
    if (entry) {
        kin__put_kept(call->answer, &entry->value);
        remove_entry(call->server, entity, entry, true);
    } else if (call->rest.at == call->rest.end) {
        error = key_missing(key);
    } else if (!(error = kin__arg_item(call, "a value", &other))) {
        kin__buffer_add(call->answer, other.at, (size_t)(other.end - other.at));
    }
    return error;
}

/* popitem(): [key, value], the last that came */
static int popitem(kin_call *call, struct kin__entity *entity)
{
    struct kin__entry *last = kin__table_last(table_of(entity));
    if (!last)
        return kin__fail(KIN_ENOTFOUND, "it is empty");
    kin__put_head(call->answer, KIN__LIST, 2);
    kin__put_kept(call->answer, &last->key);
    kin__put_kept(call->answer, &last->value);
    remove_entry(call->server, entity, last, true);
    return 0;
}

static int setdefault(kin_call *call, struct kin__entity *entity)
{
    struct kin__reader key, value;
    struct kin__entry *entry;
    int error = find(call, entity, &key, &entry);
    if (error || (error = kin__arg_item(call, "a value", &value)))
        return error;
    if (entry)
        kin__put_kept(call->answer, &entry->value);
    else if (!(error = store(call->server, entity, key, NULL, value)))
        kin__buffer_add(call->answer, value.at, (size_t)(value.end - value.at));
    return error;
}

static int add(kin_call *call, struct kin__entity *entity)
{
    struct kin__reader key, amount;
    struct kin__entry *entry;
    int error = find(call, entity, &key, &entry);
    if (error || (error = kin__arg_item(call, "a number", &amount)))
        return error;
    static const uint8_t zero = 0;
    struct kin__buffer sum = {0};
    error = kin__put_sum(
        &sum, entry ? kin__kept_reader(&entry->value) : (struct kin__reader){&zero, &zero + 1}, amount);
    if (!error && !(error = store(call->server, entity, key, entry,
                                  (struct kin__reader){sum.data, sum.data + sum.size})))
        kin__buffer_add(call->answer, sum.data, sum.size);
    kin__buffer_free(&sum);
    return error;
}

/* compare_and_set(key, expected, value): whether it was set. A key that is not there is expected as null. */
static int compare_and_set(kin_call *call, struct kin__entity *entity)
{
    struct kin__reader key, expected, value;
    struct kin__entry *entry;
    bool same = false;
    int error = find(call, entity, &key, &entry);
    if (error || (error = kin__arg_item(call, "a value", &expected)) ||
        (error = kin__arg_item(call, "a value", &value)))
        return error;
    if (entry)
        error = kin__same_items(call->server, kin__kept_reader(&entry->value), expected, &same);
    else
        same = kin__read_null(&expected);
    if (!error && same)
        error = store(call->server, entity, key, entry, value);
    if (!error)
        kin__put_bool(call->answer, same);
    return error;
}

/* wait_change(key, [seen] or [], timeout): its value, when that is not `seen`. */
static int wait_change(kin_call *call, struct kin__entity *entity)
{
    struct kin__reader key, seen;
    struct kin__entry *entry;
    double timeout;
    bool given, same = false;
    int error = find(call, entity, &key, &entry);
    if (error || (error = kin__arg_seen(call, &seen, &given, &timeout)))
        return error;
    if (!entry && given)
        return key_missing(key);
    if (entry && given &&
        (error = kin__same_items(call->server, kin__kept_reader(&entry->value), seen, &same)))
        return error;
    if (!entry || same)
        return kin__call_park(call, entity, CHANGES, timeout);
    kin__put_kept(call->answer, &entry->value);
    return 0;
}

static const struct kin__kind_method methods[] = {
    {"get", get},
    {"set", set},
    {"add", add},
    {"contains", contains},
    {"delete", delete},
    {"length", length},
    {"get_or", get_or},
    {"get_many", get_many},
    {"set_many", set_many},
    {"page", page},
    {"copy", copy},
    {"pop", pop},
    {"popitem", popitem},
    {"setdefault", setdefault},
    {"compare_and_set", compare_and_set},
    {"wait_change", wait_change},
    {"clear", clear},
};

const struct kin__kind kin__kind_dict = {
    .name = "dict",
    .make = make_dict,
    .end = end_dict,
    .methods = methods,
    .method_count = sizeof methods / sizeof *methods,
};

const struct kin__kind kin__kind_namespace = {
    .name = "Namespace",
    .make = make_dict,
    .end = end_dict,
    .methods = methods,
    .method_count = sizeof methods / sizeof *methods,
};
