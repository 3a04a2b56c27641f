/* sync/array.c - see kin/array.h; how it works is in typed.h. */
#include "kin/array.h"

#include "base/failure.h"
#include "sync/typed.h"

#include <string.h>

static struct kin__typed *typed(const kin_array *array)
{
    return (struct kin__typed *)(uintptr_t)array;
}

static int check(const kin_array *array, const char *what)
{
    return kin__object_check(array, KIN__ARRAY_MAGIC, what);
}

static int check_index(const kin_array *array, size_t index, const char *what)
{
    int error = check(array, what);
    if (error || index < typed(array)->count)
        return error;
    return kin__fail(KIN_EINVAL, "cannot %s item %zu of %s: it has %zu", what, index, kin__title(array).text,
                     (size_t)typed(array)->count);
}

static int check_item(const kin_array *array, size_t index, size_t bytes, const char *what)
{
    int error = check_index(array, index, what);
    if (error || bytes == typed(array)->bytes)
        return error;
    return kin__fail(KIN_EINVAL, "cannot %s %zu bytes: an item of %s has %zu", what, bytes,
                     kin__title(array).text, (size_t)typed(array)->bytes);
}

kin_array *kin_array_new(int type, size_t bytes, size_t count, const void *initial,
                         const kin_array_options *options)
{
    return (kin_array *)kin__typed_new(KIN__ARRAY_MAGIC, type, bytes, count, initial, options);
}

void *kin_array_get_obj(kin_array *array)
{
    return check(array, "get the items") ? NULL : typed(array)->data;
}

void *kin_array_get_lock(kin_array *array)
{
    return check(array, "get the lock") ? NULL : kin__typed_lock(typed(array));
}

int kin_array_acquire(kin_array *array, double timeout)
{
    int error = check(array, "acquire");
    return error ? error : kin__typed_acquire(typed(array), timeout);
}

int kin_array_release(kin_array *array)
{
    int error = check(array, "release");
    return error ? error : kin__typed_release(typed(array));
}

size_t kin_array_count(const kin_array *array)
{
    return check(array, "count") ? 0 : typed(array)->count;
}

size_t kin_array_item_size(const kin_array *array)
{
    return check(array, "ask for the size") ? 0 : typed(array)->bytes;
}

int kin_array_type(const kin_array *array)
{
    int error = check(array, "ask for the type");
    return error ? error : typed(array)->type;
}

int kin_array_get(kin_array *array, size_t index, void *out, size_t bytes)
{
    int error = check_item(array, index, bytes, "get");
    return error ? error : kin__typed_read(typed(array), index, out, bytes);
}

int kin_array_set(kin_array *array, size_t index, const void *from, size_t bytes)
{
    int error = check_item(array, index, bytes, "set");
    return error ? error : kin__typed_write(typed(array), index, from, bytes);
}

/* ---- slices ---------------------------------------------------------------------------------- */

/* The bytes of a slice, and its end put in. */
static int check_slice(const kin_array *array, kin_slice slice, const char *what, size_t *bytes)
{
    int error = check(array, what);
    if (error)
        return error;
    size_t count = typed(array)->count, stop = slice.stop == KIN_END ? count : slice.stop;
    if (slice.start > stop || stop > count)
        return kin__fail(KIN_EINVAL, "cannot %s the slice from %zu to %zu of %s: it has %zu items", what,
                         slice.start, stop, kin__title(array).text, count);
    *bytes = (stop - slice.start) * typed(array)->bytes;
    return 0;
}

int kin_array_get_slice(kin_array *array, kin_slice slice, void *out, size_t bytes)
{
    size_t needed = 0;
    int error = check_slice(array, slice, "get", &needed);
    if (error)
        return error;
    if (needed > bytes)
        return kin__fail(KIN_EINVAL, "cannot get a slice of %zu bytes of %s: there is room for %zu", needed,
                         kin__title(array).text, bytes);
    return kin__typed_read(typed(array), slice.start, out, needed);
}

int kin_array_set_slice(kin_array *array, kin_slice slice, const void *from, size_t bytes)
{
    size_t needed = 0;
    int error = check_slice(array, slice, "set", &needed);
    if (error)
        return error;
    if (needed != bytes)
        return kin__fail(KIN_EINVAL, "cannot set a slice of %s, of %zu bytes, to %zu bytes",
                         kin__title(array).text, needed, bytes);
    return kin__typed_write(typed(array), slice.start, from, needed);
}

/* ---- adding ---------------------------------------------------------------------------------- */

int kin_array_fetch_add(kin_array *array, size_t index, int64_t delta, int64_t *before)
{
    int error = check_index(array, index, "add to");
    return error ? error : kin__typed_add(typed(array), index, delta, before);
}

int kin_array_fetch_add_double(kin_array *array, size_t index, double delta, double *before)
{
    int error = check_index(array, index, "add to");
    return error ? error : kin__typed_add_double(typed(array), index, delta, before);
}

/* ---- strings --------------------------------------------------------------------------------- */

static int check_string(const kin_array *array, const char *what)
{
    int error = check(array, what);
    if (error || typed(array)->type == KIN_CHAR)
        return error;
    return kin__fail(KIN_EINVAL, "cannot %s of %s: its items are no KIN_CHAR", what, kin__title(array).text);
}

int kin_array_get_string(kin_array *array, char *out, size_t room, size_t *length)
{
    int told, error = check_string(array, "get the string");
    if (error || (error = kin__typed_begin(typed(array), &told)))
        return error;
    const char *string = (const char *)typed(array)->data;
    size_t there = strnlen(string, typed(array)->count);
    bool fits = there < room;
    if (fits) {
        memcpy(out, string, there);
        out[there] = '\0';
    }
    if (length)
        *length = there;
    error = kin__typed_end(typed(array), told);
    return fits ? error
                : kin__fail(KIN_ETOOLARGE,
                            "cannot get the string of %s: it has %zu bytes, there is room for %zu",
                            kin__title(array).text, there, room);
}

int kin_array_set_string(kin_array *array, const char *string)
{
    int told, error = check_string(array, "set the string");
    if (error)
        return error;
    if (!string)
        return kin__fail(KIN_EINVAL, "cannot set the string of %s: it is NULL", kin__title(array).text);
    size_t length = strlen(string), count = typed(array)->count;
    if (length > count)
        return kin__fail(KIN_ETOOLARGE,
                         "cannot set the string of %s to one of %zu bytes: there is room for %zu",
                         kin__title(array).text, length, count);
    if ((error = kin__typed_begin_change(typed(array), &told)))
        return error;
    memcpy(typed(array)->data, string, length);
    if (length < count)
        typed(array)->data[length] = '\0';
    return kin__typed_end(typed(array), told);
}

int kin_array_free(kin_array *array)
{
    if (!array)
        return 0;
    int error = check(array, "free");
    return error ? error : kin__typed_free(typed(array));
}
