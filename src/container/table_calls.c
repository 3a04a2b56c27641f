/* container/table_calls.c - see table_calls.h. */
#include "container/table_calls.h"

#include "base/failure.h"

#include <stdio.h>
#include <stdlib.h>

#define FIRST_BUFFER 64
#define KEY_SHOWN 40 /* bytes of a key, in messages */

int kin__dict_absent(const void *table, const kin_datum *key, const char *what)
{
    if (key->type == KIN_DATUM_STRING)
        return kin__fail(KIN_ENOTFOUND, "could not %s: %s has no key \"%.*s\"", what, kin__title(table).text,
                         key->size < KEY_SHOWN ? (int)key->size : KEY_SHOWN, (const char *)key->data);
    if (key->type == KIN_DATUM_INT)
        return kin__fail(KIN_ENOTFOUND, "could not %s: %s has no key %lld", what, kin__title(table).text,
                         (long long)key->integer);
    return kin__fail(KIN_ENOTFOUND, "could not %s: %s has no such key of type %s", what,
                     kin__title(table).text, kin_datum_type_name(key->type));
}

static int check_buffer(const struct kin__into *into, const char *what)
{
    if (into->value && !into->buffer && into->capacity)
        return kin__fail(KIN_EINVAL, "cannot %s: a buffer of %zu bytes at NULL", what, into->capacity);
    return 0;
}

/* A call that reads: the place of its key. */
static int look_up(const void *object, struct kin__kind kind, const kin_datum *key, struct kin__place *place)
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

static int prepare(struct change *change, void *object, struct kin__kind kind, const kin_datum *key)
{
    int error = look_up(object, kind, key, &change->place);
    if (error)
        return error;
    change->table = object;
    return kin__call_begin(&change->call, object, change->table->timeout, kind.what);
}

static int enter(struct change *change)
{
    int error = kin__shard_acquire(&change->place.stripe->shard, &change->call);
    if (!error)
        change->found = kin__dict_find(&change->place);
    return error;
}

static int begin(struct change *change, void *object, struct kin__kind kind, const kin_datum *key)
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

static int read_found(const struct change *change, kin_datum *key, const struct kin__into *into)
{
    struct kin__outlet outlet = {into->buffer, into->capacity, 0};
    struct kin__watch nobody = {NULL, 0};
    struct kin__wanted wanted = {key, into->value, &outlet};
    enum kin__got got = kin__node_read(change->found.node, &wanted, &nobody);
    if (got == KIN__GOT)
        return 0;
    bool in_key = key && key->size && !key->data;
    return kin__got_error(got, in_key ? key : into->value, &outlet);
}

/* ---- reading ----------------------------------------------------------------------------------- */

int kin__dict_get(const void *object, struct kin__kind kind, const kin_datum *key, struct kin__into into)
{
    struct kin__place place;
    struct kin__outlet outlet = {into.buffer, into.capacity, 0};
    int error = look_up(object, kind, key, &place);
    if (!error)
        error = check_buffer(&into, kind.what);
    if (error)
        return error;
    error = kin__dict_read(object, &place, 0, &(struct kin__wanted){.value = into.value, .outlet = &outlet});
    if (error == KIN_ENOTFOUND)
        return kin__dict_absent(object, key, kind.what);
    return error == KIN_ETOOLARGE ? kin__got_error(KIN__GOT_TOO_LARGE, into.value, &outlet) : error;
}

bool kin__dict_contains(const void *object, struct kin__kind kind, const kin_datum *key)
{
    struct kin__place place;
    struct kin__outlet none = {0};
    return look_up(object, kind, key, &place) == 0 &&
           kin__dict_read(object, &place, 0, &(struct kin__wanted){.outlet = &none}) == 0;
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

int kin__dict_set(void *object, struct kin__kind kind, const kin_datum *key, const kin_datum *datum)
{
    struct change change;
    struct kin__value value;
    int error = prepare(&change, object, kind, key);
    if (!error)
        error = kin__value_make(&value, datum, kind.what);
    if (error)
        return error;
    error = enter(&change);
    if (!error)
        error = store(&change, &value);
    kin__value_drop(&value);
    return error;
}

int kin__dict_pop(void *object, struct kin__kind kind, const kin_datum *key, struct kin__into into)
{
    struct change change;
    int error = check_buffer(&into, kind.what);
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

static size_t bytes_of(const kin_datum *datum)
{
    bool has = datum->type >= KIN_DATUM_STRING && datum->type <= KIN_DATUM_CBOR;
    return has ? datum->size + (datum->type == KIN_DATUM_STRING) : 0;
}

static bool fits(const kin_datum *datum, const struct kin__into *into)
{
    return !into->value || bytes_of(datum) <= into->capacity;
}

int kin__dict_setdefault(void *object, struct kin__kind kind, const kin_datum *key, const kin_datum *datum,
                         struct kin__into into)
{
    struct change change;
    struct kin__value value;
    int error = check_buffer(&into, kind.what);
    if (!error)
        error = prepare(&change, object, kind, key);
    if (!error)
        error = kin__value_make(&value, datum, kind.what);
    if (error)
        return error;
    error = enter(&change);
    if (!error && !change.found.node && !fits(datum, &into)) {
        *into.value = (kin_datum){.type = datum->type, .size = datum->size};
        error = kin__got_error(KIN__GOT_TOO_LARGE, datum, &(struct kin__outlet){.capacity = into.capacity});
        leave(&change, error);
    } else if (!error && !change.found.node) {
        error = kin__dict_insert(change.table, &change.place, change.found, &value);
        change.found = kin__dict_find(&change.place);
        if (!error)
            read_found(&change, NULL, &into);
        error ? leave(&change, error) : leave_changed(&change);
    } else if (!error) {
        error = leave(&change, read_found(&change, NULL, &into));
    }
    kin__value_drop(&value);
    return error;
}

static int sum_of(const kin_datum *old, const kin_datum *delta, kin_datum *sum, const struct kin__kind *kind)
{
    *sum = *delta;
    if (old->type == KIN_DATUM_NOTHING)
        return 0;
    if (old->type != delta->type)
        return kin__fail(KIN_EINVAL, "cannot %s: it is of type %s, not %s", kind->what,
                         kin_datum_type_name(old->type), kin_datum_type_name(delta->type));
    if (delta->type == KIN_DATUM_DOUBLE)
        sum->real = old->real + delta->real;
    else if (__builtin_add_overflow(old->integer, delta->integer, &sum->integer))
        return kin__fail(KIN_ELIMIT, "cannot %s: %lld and %lld are beyond 64 bits", kind->what,
                         (long long)old->integer, (long long)delta->integer);
    return 0;
}

int kin__dict_add(void *object, struct kin__kind kind, const kin_datum *key, const kin_datum *delta,
                  kin_datum *after)
{
    struct change change;
    struct kin__value value;
    kin_datum old = kin_nothing(), sum;
    int error = begin(&change, object, kind, key);
    if (error)
        return error;
    if (change.found.node) {
        struct kin__outlet none = {0};
        struct kin__watch nobody = {NULL, 0};
        kin__cell_read(change.found.node->cell, &old, &none, &nobody);
    }
    error = sum_of(&old, delta, &sum, &kind);
    if (!error)
        error = kin__value_make(&value, &sum, kind.what);
    if (error)
        return leave(&change, error);
    error = store(&change, &value);
    if (!error && after)
        *after = sum;
    return error;
}

static bool is_expected(const struct change *change, const kin_datum *expected, const struct kin__form *form)
{
    if (expected->type == KIN_DATUM_NOTHING || !change->found.node)
        return expected->type == KIN_DATUM_NOTHING && !change->found.node;
    return kin__cell_equals(change->found.node->cell, form);
}

int kin__dict_compare_and_set(void *object, struct kin__kind kind, const kin_datum *key,
                              const kin_datum *expected, const kin_datum *datum, bool *done)
{
    struct change change;
    struct kin__form form = {0};
    struct kin__value value = {0};
    bool removes = datum->type == KIN_DATUM_NOTHING;
    int error = prepare(&change, object, kind, key);
    if (!error && expected->type != KIN_DATUM_NOTHING)
        error = kin__form_make(&form, expected, kind.what);
    if (!error && !removes)
        error = kin__value_make(&value, datum, kind.what);
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
static int read_entry(struct kin__walk *walk, const struct kin__entry *entry, kin_datum *key,
                      kin_datum *value)
{
    struct kin__place place = {.hash = entry->hash, .stripe = entry->stripe};
    for (;;) {
        kin_datum its_key = kin_nothing(), its_value = kin_nothing();
        struct kin__outlet outlet = {walk->buffer, walk->capacity, 0};
        struct kin__wanted wanted = {key ? &its_key : NULL, value ? &its_value : NULL, &outlet};
        int error = kin__dict_read(walk->table, &place, entry->ordinal, &wanted);
        if (error == KIN_ETOOLARGE) {
            error = widen(walk, bytes_of(&its_key) + bytes_of(&its_value));
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

int kin__walk_next(struct kin__walk *walk, kin_datum *key, kin_datum *value)
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

/* Where an entry of a walk is now, under its gate. */
static struct kin__found find_entry(const struct kin__entry *entry)
{
    struct kin__place place = {.hash = entry->hash, .stripe = entry->stripe};
    return kin__dict_find_ordinal(&place, entry->ordinal);
}

int kin__dict_pop_last(void *object, struct kin__kind kind, kin_datum *key, struct kin__into into)
{
    struct change change;
    struct kin__entry *entries = NULL;
    size_t count = 0;
    int error = kin__object_check(object, kind.magic, kind.what);
    if (!error)
        error = check_buffer(&into, kind.what);
    if (!error)
        error = kin__call_begin(&change.call, object, ((struct kin__dict *)object)->timeout, kind.what);
    if (!error)
        error = kin__dict_entries(object, &entries, &count);
    if (error)
        return error;
    change.table = object;
    bool popped = false;
    while (!error && !popped && count-- > 0) {
        change.place = (struct kin__place){.hash = entries[count].hash, .stripe = entries[count].stripe};
        error = kin__shard_acquire(&change.place.stripe->shard, &change.call);
        if (error)
            break;
        change.found = find_entry(&entries[count]);
        if (change.found.node)
            error = read_found(&change, key, &into);
        popped = change.found.node && !error;
        if (popped)
            kin__dict_remove(&change.place, change.found);
        popped ? leave_changed(&change) : leave(&change, error);
    }
    free(entries);
    if (!error && !popped)
        error = kin__fail(KIN_ENOTFOUND, "could not %s: %s is empty", kind.what, kin__title(object).text);
    return error;
}
