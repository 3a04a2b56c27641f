/* container/dict.c - dicts: kin/dict.h on container/table.h. */
#include "container/table_calls.h"

#include "base/failure.h"
#include "kin/dict.h"

#define KIND(text) ((struct kin__kind){KIN__DICT_MAGIC, (text)})
#define INTO(value, buffer, capacity) ((struct kin__into){(value), (buffer), (capacity)})

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
    int error = kin__object_check(dict, KIN__DICT_MAGIC, "free a dict");
    return error ? error : kin__dict_free((struct kin__dict *)dict, "free a dict");
}

/* ---- one key ----------------------------------------------------------------------------------- */

int kin_dict_set(kin_dict *dict, kin_datum key, kin_datum value)
{
    return kin__dict_set(dict, KIND("set a key of a dict"), &key, &value);
}

int kin_dict_get(const kin_dict *dict, kin_datum key, kin_datum *value, void *buffer, size_t capacity)
{
    return kin__dict_get(dict, KIND("get a key of a dict"), &key, INTO(value, buffer, capacity));
}

static int other_type(const kin_datum *value, const char *wanted)
{
    return kin__fail(KIN_EINVAL, "cannot get a key of a dict as %s: it is of type %s", wanted,
                     kin_datum_type_name(value->type));
}

/* A value that needs no buffer: of one that does, only the type is of interest. */
static int get_scalar(const kin_dict *dict, const kin_datum *key, kin_datum *value)
{
    *value = kin_nothing();
    int error = kin__dict_get(dict, KIND("get a key of a dict"), key, INTO(value, NULL, 0));
    return error == KIN_ETOOLARGE ? 0 : error;
}

int kin_dict_get_int(const kin_dict *dict, kin_datum key, int64_t *out)
{
    kin_datum value;
    int error = get_scalar(dict, &key, &value);
    if (error)
        return error;
    if (value.type != KIN_DATUM_INT)
        return other_type(&value, "int");
    *out = value.integer;
    return 0;
}

int kin_dict_get_double(const kin_dict *dict, kin_datum key, double *out)
{
    kin_datum value;
    int error = get_scalar(dict, &key, &value);
    if (error)
        return error;
    bool exact = value.type == KIN_DATUM_INT && value.integer >= -(INT64_C(1) << 53) &&
                 value.integer <= INT64_C(1) << 53;
    if (value.type != KIN_DATUM_DOUBLE && !exact)
        return other_type(&value, "double");
    *out = exact ? (double)value.integer : value.real;
    return 0;
}

int kin_dict_get_pointer(const kin_dict *dict, kin_datum key, void **out)
{
    kin_datum value;
    int error = get_scalar(dict, &key, &value);
    if (error)
        return error;
    if (value.type != KIN_DATUM_POINTER)
        return other_type(&value, "pointer");
    *out = value.pointer;
    return 0;
}

int kin_dict_get_string(const kin_dict *dict, kin_datum key, char *buffer, size_t capacity)
{
    kin_datum value = kin_nothing();
    int error = kin__dict_get(dict, KIND("get a key of a dict"), &key, INTO(&value, buffer, capacity));
    if (error && error != KIN_ETOOLARGE)
        return error;
    return value.type == KIN_DATUM_STRING ? error : other_type(&value, "string");
}

bool kin_dict_contains(const kin_dict *dict, kin_datum key)
{
    return kin__dict_contains(dict, KIND("look for a key of a dict"), &key);
}

size_t kin_dict_size(const kin_dict *dict)
{
    if (kin__object_check(dict, KIN__DICT_MAGIC, "ask for a dict's size"))
        return 0;
    return kin__dict_size((const struct kin__dict *)dict);
}

int kin_dict_remove(kin_dict *dict, kin_datum key)
{
    return kin__dict_pop(dict, KIND("remove a key of a dict"), &key, INTO(NULL, NULL, 0));
}

int kin_dict_pop(kin_dict *dict, kin_datum key, kin_datum *value, void *buffer, size_t capacity)
{
    return kin__dict_pop(dict, KIND("pop a key of a dict"), &key, INTO(value, buffer, capacity));
}

int kin_dict_popitem(kin_dict *dict, kin_datum *key, kin_datum *value, void *buffer, size_t capacity)
{
    return kin__dict_pop_last(dict, KIND("pop an item of a dict"), key, INTO(value, buffer, capacity));
}

int kin_dict_setdefault(kin_dict *dict, kin_datum key, kin_datum value, kin_datum *out, void *buffer,
                        size_t capacity)
{
    return kin__dict_setdefault(dict, KIND("set a key of a dict"), &key, &value, INTO(out, buffer, capacity));
}

int kin_dict_add(kin_dict *dict, kin_datum key, int64_t delta, int64_t *after)
{
    kin_datum by = kin_int(delta), sum;
    int error = kin__dict_add(dict, KIND("add to a key of a dict"), &key, &by, &sum);
    if (!error && after)
        *after = sum.integer;
    return error;
}

int kin_dict_add_double(kin_dict *dict, kin_datum key, double delta, double *after)
{
    kin_datum by = kin_double(delta), sum;
    int error = kin__dict_add(dict, KIND("add to a key of a dict"), &key, &by, &sum);
    if (!error && after)
        *after = sum.real;
    return error;
}

int kin_dict_compare_and_set(kin_dict *dict, kin_datum key, kin_datum expected, kin_datum value, bool *done)
{
    return kin__dict_compare_and_set(dict, KIND("set a key of a dict"), &key, &expected, &value, done);
}

int kin_dict_wait(const kin_dict *dict, kin_datum key, kin_datum seen, kin_datum *now, void *buffer,
                  size_t capacity, double timeout)
{
    const char *what = "wait for a key of a dict";
    struct kin__place place;
    int error = kin__object_check(dict, KIN__DICT_MAGIC, what);
    if (!error)
        error = kin__place_make(&place, (const struct kin__dict *)dict, &key, what);
    if (error)
        return error;
    return kin__dict_wait((struct kin__dict *)dict, &place, &seen, now, buffer, capacity, timeout);
}

/* ---- many keys --------------------------------------------------------------------------------- */

int kin_dict_update_many(kin_dict *dict, const kin_datum *keys, const kin_datum *values, size_t count,
                         size_t *done)
{
    int error = kin__object_check(dict, KIN__DICT_MAGIC, "update a dict");
    size_t i = 0;
    if (count && (!keys || !values))
        return kin__fail(KIN_EINVAL, "cannot update a dict: %zu %s at NULL", count, keys ? "values" : "keys");
    for (; !error && i < count; i += !error)
        error = kin_dict_set(dict, keys[i], values[i]);
    if (done)
        *done = i;
    return error;
}

int kin_dict_get_many(const kin_dict *dict, const kin_datum *keys, kin_datum *values, size_t count,
                      void *buffer, size_t capacity, size_t *done)
{
    const char *what = "get keys of a dict";
    int error = kin__object_check(dict, KIN__DICT_MAGIC, what);
    struct kin__outlet outlet = {buffer, capacity, 0};
    size_t i = 0;
    if (count && (!keys || !values))
        return kin__fail(KIN_EINVAL, "cannot %s: %zu %s at NULL", what, count, keys ? "values" : "keys");
    if (capacity && !buffer)
        return kin__fail(KIN_EINVAL, "cannot %s: a buffer of %zu bytes at NULL", what, capacity);
    for (; !error && i < count; i += !error) {
        struct kin__place place;
        error = kin__place_make(&place, (const struct kin__dict *)dict, &keys[i], what);
        if (error)
            break;
        error = kin__dict_read((const struct kin__dict *)dict, &place, 0,
                               &(struct kin__wanted){.value = &values[i], .outlet = &outlet});
        if (error == KIN_ENOTFOUND) {
            values[i] = kin_nothing();
            error = 0;
        } else if (error == KIN_ETOOLARGE) {
            kin__got_error(KIN__GOT_TOO_LARGE, &values[i], &outlet);
        }
    }
    if (done)
        *done = i;
    return error;
}

int kin_dict_clear(kin_dict *dict)
{
    struct kin__call call;
    int error = kin__object_check(dict, KIN__DICT_MAGIC, "clear a dict");
    if (!error)
        error = kin__call_begin(&call, dict, ((struct kin__dict *)dict)->timeout, "clear a dict");
    return error ? error : kin__dict_clear((struct kin__dict *)dict, &call);
}

/* ---- all of them ------------------------------------------------------------------------------- */

kin_dict_iterator *kin_dict_iterate(const kin_dict *dict)
{
    return (kin_dict_iterator *)kin__walk_new(dict, KIND("go through a dict"));
}

int kin_dict_next(kin_dict_iterator *iterator, kin_datum *key, kin_datum *value)
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
    const struct kin__dict *table = (const struct kin__dict *)dict;
    kin_dict_iterator *iterator = kin_dict_iterate(dict);
    if (!iterator)
        return NULL;
    kin_dict *copy = kin_dict_new(KIN_DICT_OPTIONS(.name = table->sync.name, .stripes = (int)table->stripes,
                                                   .timeout = table->timeout));
    kin_datum key, value;
    int error = copy ? 0 : kin_error_code();
    while (!error && (error = kin_dict_next(iterator, &key, &value)) == 0)
        error = kin_dict_set(copy, key, value);
    kin_dict_iterator_free(iterator);
    if (error == KIN_ENOTFOUND)
        return copy;
    kin_dict_free(copy);
    return NULL;
}
