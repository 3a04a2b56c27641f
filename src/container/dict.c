/* container/dict.c - dicts: kin/dict.h on container/table.h. */
#include "kin/dict.h"

#include "base/failure.h"
#include "container/table_calls.h"

#define KIND(text) ((struct kin__kind){KIN__DICT_MAGIC, (text)})

static int check(const kin_dict *dict, const char *what)
{
    return kin__object_check(dict, KIN__DICT_MAGIC, what);
}

kin_dict *kin_dict_new(const kin_dict_options *given)
{
    kin_dict_options options;
    if (kin__options_read(&options, sizeof options, given, "dict options"))
        return NULL;
    struct kin__dict_options table = {options.name, options.stripes, options.timeout};
    return (kin_dict *)kin__dict_new(&table, KIN__DICT_MAGIC, "make a dict");
}

int kin_dict_free(kin_dict *dict)
{
    if (!dict)
        return 0;
    int error = check(dict, "free a dict");
    return error ? error : kin__dict_free((struct kin__dict *)dict, "free a dict");
}

/* ---- one key ----------------------------------------------------------------------------------- */

int kin_dict_get(const kin_dict *dict, kin_any key, kin_any *out)
{
    return kin__dict_get(dict, KIND("get a key of a dict"), &key, KIN__OWNED(out));
}

int kin_dict_get_in(const kin_dict *dict, kin_any key, kin_any *out, void *buffer, size_t capacity)
{
    struct kin__into into = {out, {.buffer = buffer, .capacity = capacity}};
    return kin__dict_get(dict, KIND("get a key of a dict"), &key, into);
}

static int other_type(const kin_any *value, const char *wanted)
{
    return kin__fail(KIN_EINVAL, "cannot get a key of a dict as %s: it is of type %s", wanted,
                     kin__any_kind(value->type));
}

/* A value that needs no room: of one that does, only the type is of interest. */
static int get_scalar(const kin_dict *dict, const kin_any *key, kin_any *value)
{
    struct kin__into into = {value, {.capacity = 0}};
    int error = kin__dict_get(dict, KIND("get a key of a dict"), key, into);
    return error == KIN_ETOOLARGE ? 0 : error;
}

int kin_dict_get_int(const kin_dict *dict, kin_any key, int64_t *out)
{
    kin_any value = {0};
    int error = get_scalar(dict, &key, &value);
    if (error)
        return error;
    if (value.type != KIN_ANY_INT)
        return other_type(&value, "int");
    *out = value.integer;
    return 0;
}

#define EXACT (INT64_C(1) << 53)

int kin_dict_get_real(const kin_dict *dict, kin_any key, double *out)
{
    kin_any value = {0};
    int error = get_scalar(dict, &key, &value);
    if (error)
        return error;
    bool exact = value.type == KIN_ANY_INT && value.integer >= -EXACT && value.integer <= EXACT;
    if (value.type != KIN_ANY_REAL && !exact)
        return other_type(&value, "real");
    *out = exact ? (double)value.integer : value.real;
    return 0;
}

int kin_dict_get_pointer(const kin_dict *dict, kin_any key, void **out)
{
    kin_any value = {0};
    int error = get_scalar(dict, &key, &value);
    if (error)
        return error;
    if (value.type != KIN_ANY_POINTER)
        return other_type(&value, "pointer");
    *out = (void *)(uintptr_t)value.data;
    return 0;
}

int kin_dict_set(kin_dict *dict, kin_any key, kin_any value)
{
    return kin__dict_set(dict, KIND("set a key of a dict"), &key, &value);
}

int kin_dict_delete(kin_dict *dict, kin_any key)
{
    return kin__dict_pop(dict, KIND("delete a key of a dict"), &key, KIN__OWNED(NULL));
}

int kin_dict_contains(const kin_dict *dict, kin_any key, bool *out)
{
    return kin__dict_contains(dict, KIND("look for a key of a dict"), &key, out);
}

size_t kin_dict_length(const kin_dict *dict)
{
    return check(dict, "ask for a dict's length") ? 0 : kin__dict_length((const struct kin__dict *)dict);
}

int kin_dict_pop(kin_dict *dict, kin_any key, kin_any *out)
{
    return kin__dict_pop(dict, KIND("pop a key of a dict"), &key, KIN__OWNED(out));
}

int kin_dict_popitem(kin_dict *dict, kin_any *key, kin_any *value)
{
    return kin__dict_pop_last(dict, KIND("pop an item of a dict"), key, KIN__OWNED(value));
}

int kin_dict_setdefault(kin_dict *dict, kin_any key, kin_any value, kin_any *out)
{
    return kin__dict_setdefault(dict, KIND("set a key of a dict"), &key, &value, KIN__OWNED(out));
}

int kin_dict_add(kin_dict *dict, kin_any key, kin_any amount, kin_any *out)
{
    return kin__dict_add(dict, KIND("add to a key of a dict"), &key, &amount, out);
}

int kin_dict_compare_and_set(kin_dict *dict, kin_any key, kin_any expected, kin_any value, bool *done)
{
    return kin__dict_compare_and_set(dict, KIND("set a key of a dict"), &key, &expected, &value, done);
}

int kin_dict_wait_change(const kin_dict *dict, kin_any key, const kin_any *seen, kin_any *out, double timeout)
{
    return kin__dict_wait_change(dict, KIND("wait for a key of a dict"), &key, seen, out, timeout);
}

/* ---- many keys --------------------------------------------------------------------------------- */

int kin_dict_set_many(kin_dict *dict, const kin_any *keys, const kin_any *values, size_t count)
{
    int error = check(dict, "set keys of a dict");
    if (count && (!keys || !values))
        return kin__fail(KIN_EINVAL, "cannot set keys of a dict: %zu %s at NULL", count,
                         keys ? "values" : "keys");
    for (size_t i = 0; !error && i < count; i++)
        error = kin_dict_set(dict, keys[i], values[i]);
    return error;
}

int kin_dict_get_many(const kin_dict *dict, const kin_any *keys, size_t count, kin_any *values, bool *found)
{
    int error = check(dict, "get keys of a dict");
    size_t i = 0;
    if (count && (!keys || !values))
        return kin__fail(KIN_EINVAL, "cannot get keys of a dict: %zu %s at NULL", count,
                         keys ? "values" : "keys");
    for (; !error && i < count; i++) {
        error = kin_dict_get(dict, keys[i], &values[i]);
        if (error && error != KIN_ENOTFOUND)
            break;
        if (found)
            found[i] = error == 0;
        if (error)
            values[i] = (kin_any){.type = KIN_ANY_NULL};
        error = 0;
    }
    while (error && i-- > 0)
        kin__any_drop(&values[i]);
    return error;
}

int kin_dict_clear(kin_dict *dict)
{
    return kin__dict_clear_all(dict, KIND("clear a dict"));
}

/* ---- all of them ------------------------------------------------------------------------------- */

kin_dict_iterator *kin_dict_iterate(const kin_dict *dict)
{
    return (kin_dict_iterator *)kin__walk_new(dict, KIND("go through a dict"));
}

int kin_dict_next(kin_dict_iterator *iterator, kin_any *key, kin_any *value)
{
    if (!iterator)
        return kin__fail(KIN_EINVAL, "cannot go through a dict: the iterator is NULL");
    return kin__walk_next((struct kin__walk *)iterator, key, value);
}

void kin_dict_iterator_free(kin_dict_iterator *iterator)
{
    kin__walk_free((struct kin__walk *)iterator);
}

kin_dict *kin_dict_copy(const kin_dict *dict)
{
    return (kin_dict *)kin__dict_copy(dict, KIND("copy a dict"));
}
