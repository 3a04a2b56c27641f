/* container/table_calls.c - see table_calls.h. */
#include "container/table_calls.h"

#include "base/failure.h"

#include <stdio.h>
#include <stdlib.h>

#define FIRST_BUFFER 64
#define KEY_SHOWN 40 /* bytes of a key, in messages */

int kin__dict_absent(const void *table, const kin_any *key, const char *what)
{
    if (key->type == KIN_ANY_TEXT)
        return kin__fail(KIN_ENOTFOUND, "could not %s: %s has no key \"%.*s\"", what, kin__title(table).text,
                         key->size < KEY_SHOWN ? (int)key->size : KEY_SHOWN, (const char *)key->data);
    if (key->type == KIN_ANY_INT)
        return kin__fail(KIN_ENOTFOUND, "could not %s: %s has no key %lld", what, kin__title(table).text,
                         (long long)key->integer);
    return kin__fail(KIN_ENOTFOUND, "could not %s: %s has no such key of type %s", what,
                     kin__title(table).text, kin__any_kind(key->type));
}

static int check_into(const struct kin__into *into, const char *what)
{
    if (into->value && !into->outlet.buffer && into->outlet.capacity)
        return kin__fail(KIN_EINVAL, "cannot %s: a buffer of %zu bytes at NULL", what, into->outlet.capacity);
    return 0;
}

/* A call that reads: the place of its key. */
static int look_up(const void *object, struct kin__kind kind, const kin_any *key, struct kin__place *place)
{
    int error = kin__object_check(object, kind.magic, kind.what);
    return error ? error : kin__place_make(place, object, key, kind.what);
}

/* One that changes: the stripe's gate is ours. */
struct change {
    struct kin__dict *table;
    struct kin__call call;
    struct kin__place place;
    struct kin__found found;
};

static int prepare(struct change *change, void *object, struct kin__kind kind, const kin_any *key)
{
    int error = look_up(object, kind, key, &change->place);
    if (error)
        return error;
    change->table = object;
    double timeout = change->table ? change->table->timeout : 0; /* it is one: for the analyzer */
    return kin__call_begin(&change->call, object, timeout, kind.what);
}

static int enter(struct change *change)
{
    int error = kin__shard_acquire(&change->place.stripe->shard, &change->call);
    if (!error)
        change->found = kin__dict_find(&change->place);
    return error;
}

static int begin(struct change *change, void *object, struct kin__kind kind, const kin_any *key)
{
    int error = prepare(change, object, kind, key);
    return error ? error : enter(change);
}

static int leave(struct change *change, int result)
{
    kin__shard_release(&change->place.stripe->shard);
    return result;
}

static int leave_changed(struct change *change)
{
    kin__shard_release_changed(&change->place.stripe->shard);
    return 0;
}

static int read_found(const struct change *change, kin_any *key, struct kin__into *into)
{
    struct kin__wanted wanted = {key, into->value, &into->outlet};
    enum kin__got got = kin__node_read(change->found.node, &wanted, KIN__UNDER_GATE);
    bool in_key = key && kin__any_bytes(key) && !key->data;
    return kin__got_error(got, in_key ? key : into->value, &into->outlet);
}

/* ---- reading ----------------------------------------------------------------------------------- */

int kin__dict_get(const void *object, struct kin__kind kind, const kin_any *key, struct kin__into into)
{
    struct kin__place place;
    int error = look_up(object, kind, key, &place);
    if (!error)
        error = check_into(&into, kind.what);
    if (error)
        return error;
    error =
        kin__dict_read(object, &place, 0, &(struct kin__wanted){.value = into.value, .outlet = &into.outlet});
    if (error == KIN_ENOTFOUND)
        return kin__dict_absent(object, key, kind.what);
    if (error == KIN_ETOOLARGE || (error == KIN_ENOMEM && into.outlet.owned))
        kin__got_error(error == KIN_ENOMEM ? KIN__GOT_NO_MEMORY : KIN__GOT_TOO_LARGE, into.value,
                       &into.outlet);
    return error;
}

int kin__dict_contains(const void *object, struct kin__kind kind, const kin_any *key, bool *out)
{
    struct kin__place place;
    struct kin__outlet none = {0};
    *out = false;
    int error = look_up(object, kind, key, &place);
    if (!error)
        error = kin__dict_read(object, &place, 0, &(struct kin__wanted){.outlet = &none});
    *out = error == 0;
    return error == KIN_ENOTFOUND ? 0 : error;
}

int kin__dict_wait_change(const void *object, struct kin__kind kind, const kin_any *key, const kin_any *seen,
                          kin_any *out, double timeout)
{
    struct kin__place place;
    int error = look_up(object, kind, key, &place);
    return error ? error : kin__dict_wait((struct kin__dict *)(uintptr_t)object, &place, seen, out, timeout);
}

/* ---- changing ---------------------------------------------------------------------------------- */

/* Under the gate; it becomes the value. Released in any case. */
static int store(struct change *change, struct kin__value *value)
{
    struct kin__shard *shard = &change->place.stripe->shard;
    if (!change->found.node) {
        int error = kin__dict_insert(change->table, &change->place, change->found, value);
        return error ? leave(change, error) : leave_changed(change);
    }
    int stored = kin__shard_store(shard, &change->found.node->cell, value);
    return stored > 0 ? leave_changed(change) : leave(change, stored);
}

int kin__dict_set(void *object, struct kin__kind kind, const kin_any *key, const kin_any *any)
{
    struct change change;
    struct kin__value value;
    int error = prepare(&change, object, kind, key);
    if (!error)
        error = kin__value_make(&value, any, kind.what);
    if (error)
        return error;
    error = enter(&change);
    if (!error)
        error = store(&change, &value);
    kin__value_drop(&value);
    return error;
}

int kin__dict_pop(void *object, struct kin__kind kind, const kin_any *key, struct kin__into into)
{
    struct change change;
    int error = check_into(&into, kind.what);
    if (!error)
        error = begin(&change, object, kind, key);
    if (error)
        return error;
    if (!change.found.node)
        return leave(&change, kin__dict_absent(object, key, kind.what));
    error = read_found(&change, NULL, &into);
    if (error)
        return leave(&change, error);
    kin__dict_remove(&change.place, change.found);
    return leave_changed(&change);
}

/* Under the gate; released in any case. What the caller gets is copied first: should that fail, nothing is set. */
static int insert_default(struct change *change, struct kin__value *value, struct kin__into *into)
{
    enum kin__got got = kin__form_read(&value->form, into->value, &into->outlet);
    int error = kin__got_error(got, into->value, &into->outlet);
    if (!error)
        error = kin__dict_insert(change->table, &change->place, change->found, value);
    if (!error)
        return leave_changed(change);
    kin__any_drop(into->value);
    return leave(change, error);
}

int kin__dict_setdefault(void *object, struct kin__kind kind, const kin_any *key, const kin_any *any,
                         struct kin__into into)
{
    struct change change;
    struct kin__value value;
    int error = check_into(&into, kind.what);
    if (!error)
        error = prepare(&change, object, kind, key);
    if (!error)
        error = kin__value_make(&value, any, kind.what);
    if (error)
        return error;
    error = enter(&change);
    if (!error)
        error = change.found.node ? leave(&change, read_found(&change, NULL, &into))
                                  : insert_default(&change, &value, &into);
    kin__value_drop(&value);
    return error;
}

int kin__dict_add(void *object, struct kin__kind kind, const kin_any *key, const kin_any *amount,
                  kin_any *out)
{
    struct change change;
    struct kin__value value;
    kin_any old = {.type = KIN_ANY_INT}, sum;
    int error = begin(&change, object, kind, key);
    if (error)
        return error;
    struct kin__outlet none = {0}; /* numbers need no room */
    if (change.found.node)
        kin__cell_read(change.found.node->cell, &old, &none, KIN__UNDER_GATE);
    error = kin__any_add(&old, amount, &sum, kind.what);
    if (!error)
        error = kin__value_make(&value, &sum, kind.what);
    if (error)
        return leave(&change, error);
    error = store(&change, &value);
    if (!error && out)
        *out = sum;
    return error;
}

static bool is_expected(const struct change *change, const kin_any *expected, const struct kin__form *form)
{
    if (expected->type == KIN_ANY_NOTHING || !change->found.node)
        return expected->type == KIN_ANY_NOTHING && !change->found.node;
    return kin__cell_equals(change->found.node->cell, form);
}

int kin__dict_compare_and_set(void *object, struct kin__kind kind, const kin_any *key,
                              const kin_any *expected, const kin_any *any, bool *done)
{
    struct change change;
    struct kin__form form = {0};
    struct kin__value value = {0};
    bool removes = any->type == KIN_ANY_NOTHING;
    int error = prepare(&change, object, kind, key);
    if (!error && expected->type != KIN_ANY_NOTHING)
        error = kin__form_make(&form, expected, kind.what);
    if (!error && !removes)
        error = kin__value_make(&value, any, kind.what);
    if (error)
        return error;
    error = enter(&change);
    bool is = !error && is_expected(&change, expected, &form);
    if (!error && (!is || (removes && !change.found.node)))
        leave(&change, 0);
    else if (!error && removes) {
        kin__dict_remove(&change.place, change.found);
        leave_changed(&change);
    } else if (!error)
        error = store(&change, &value);
    kin__value_drop(&value);
    if (!error && done)
        *done = is;
    return error;
}

/* ---- going through it -------------------------------------------------------------------------- */

struct kin__walk {
    const struct kin__dict *table;
    struct kin__kind kind;
    struct kin__entry *entries;
    size_t count, next;
    unsigned char *buffer; /* of the last key and value */
    size_t capacity;
};

struct kin__walk *kin__walk_new(const void *object, struct kin__kind kind)
{
    if (kin__object_check(object, kind.magic, kind.what))
        return NULL;
    struct kin__walk *walk = calloc(1, sizeof *walk);
    if (!walk) {
        kin__fail(KIN_ENOMEM, "could not %s: no private memory", kind.what);
        return NULL;
    }
    walk->table = object;
    walk->kind = kind;
    if (kin__dict_entries(object, &walk->entries, &walk->count) == 0)
        return walk;
    free(walk);
    return NULL;
}

void kin__walk_free(struct kin__walk *walk)
{
    if (!walk)
        return;
    free(walk->entries);
    free(walk->buffer);
    free(walk);
}

static int widen(struct kin__walk *walk, size_t needs)
{
    size_t capacity = walk->capacity * 2 > needs ? walk->capacity * 2 : needs + FIRST_BUFFER;
    unsigned char *buffer = realloc(walk->buffer, capacity);
    if (!buffer)
        return kin__fail(KIN_ENOMEM, "could not %s: no private memory for %zu bytes", walk->kind.what,
                         capacity);
    walk->buffer = buffer;
    walk->capacity = capacity;
    return 0;
}

/* An entry as it is now; KIN_ENOTFOUND: it is gone. */
static int read_entry(struct kin__walk *walk, const struct kin__entry *entry, kin_any *key, kin_any *value)
{
    struct kin__place place = {.hash = entry->hash, .stripe = entry->stripe};
    for (;;) {
        kin_any its_key = kin_any_nothing(), its_value = kin_any_nothing();
        struct kin__outlet outlet = {false, walk->buffer, walk->capacity, 0};
        struct kin__wanted wanted = {key ? &its_key : NULL, value ? &its_value : NULL, &outlet};
        int error = kin__dict_read(walk->table, &place, entry->ordinal, &wanted);
        if (error == KIN_ETOOLARGE) {
            error = widen(walk, kin__any_bytes(&its_key) + kin__any_bytes(&its_value));
            if (error)
                return error;
            continue;
        }
        if (!error && key)
            *key = its_key;
        if (!error && value)
            *value = its_value;
        return error;
    }
}

int kin__walk_next(struct kin__walk *walk, kin_any *key, kin_any *value)
{
    int error = kin__object_check(walk->table, walk->kind.magic, walk->kind.what);
    while (!error && walk->next < walk->count) {
        error = read_entry(walk, &walk->entries[walk->next++], key, value);
        if (error != KIN_ENOTFOUND)
            return error;
        error = 0;
    }
    return error ? error : kin__fail(KIN_ENOTFOUND, "there are no more entries");
}

/* ---- the last entry ---------------------------------------------------------------------------- */

/* Take the entry out, if it is there still. */
static int pop_entry(struct change *change, const struct kin__entry *entry, kin_any *key,
                     struct kin__into *into, bool *popped)
{
    change->place = (struct kin__place){.hash = entry->hash, .stripe = entry->stripe};
    int error = kin__shard_acquire(&change->place.stripe->shard, &change->call);
    if (error)
        return error;
    change->found = kin__dict_find_ordinal(&change->place, entry->ordinal);
    if (!change->found.node)
        return leave(change, 0);
    error = read_found(change, key, into);
    if (error)
        return leave(change, error);
    kin__dict_remove(&change->place, change->found);
    *popped = true;
    return leave_changed(change);
}

/* The last of those that are there now; *popped: one was. */
static int pop_one(struct change *change, kin_any *key, struct kin__into *into, bool *popped)
{
    struct kin__entry *entries = NULL;
    size_t count = 0;
    int error = kin__dict_entries(change->table, &entries, &count);
    while (!error && !*popped && count-- > 0)
        error = pop_entry(change, &entries[count], key, into, popped);
    free(entries);
    return error;
}

int kin__dict_pop_last(void *object, struct kin__kind kind, kin_any *key, struct kin__into into)
{
    struct change change = {.table = object};
    bool popped = false, empty = false;
    int error = kin__object_check(object, kind.magic, kind.what);
    if (!error)
        error = check_into(&into, kind.what);
    if (!error)
        error = kin__call_begin(&change.call, object, ((struct kin__dict *)object)->timeout, kind.what);
    while (!error && !popped && !empty) { /* others may pop all that was there, and put in more */
        error = pop_one(&change, key, &into, &popped);
        if (!error && !popped)
            error = kin__dict_is_empty(object, &change.call, &empty);
    }
    if (empty)
        error = kin__fail(KIN_ENOTFOUND, "could not %s: %s is empty", kind.what, kin__title(object).text);
    return error;
}

/* ---- all of them ------------------------------------------------------------------------------- */

int kin__dict_clear_all(void *object, struct kin__kind kind)
{
    struct kin__call call;
    int error = kin__object_check(object, kind.magic, kind.what);
    if (!error)
        error = kin__call_begin(&call, object, ((struct kin__dict *)object)->timeout, kind.what);
    return error ? error : kin__dict_clear(object, &call);
}

struct kin__dict *kin__dict_copy(const void *object, struct kin__kind kind)
{
    const struct kin__dict *table = object;
    struct kin__walk *walk = kin__walk_new(object, kind);
    if (!walk)
        return NULL;
    struct kin__dict_options options = {table->sync.name, (int)table->stripes, table->timeout};
    struct kin__dict *copy = kin__dict_new(&options, kind.magic, kind.what);
    kin_any key, value;
    int error = copy ? 0 : kin_error_code();
    while (!error && (error = kin__walk_next(walk, &key, &value)) == 0)
        error = kin__dict_set(copy, kind, &key, &value);
    kin__walk_free(walk);
    if (error == KIN_ENOTFOUND)
        return copy;
    if (copy)
        kin__dict_free(copy, kind.what);
    return NULL;
}
