/* sync/value.c - see kin/value.h; how it works is in typed.h. A value is an array of one. */
#include "kin/value.h"

#include "base/failure.h"
#include "sync/typed.h"

#include <string.h>

static struct kin__typed *typed(const kin_value *value)
{
    return (struct kin__typed *)(uintptr_t)value;
}

static int check(const kin_value *value, const char *what)
{
    return kin__object_check(value, KIN__VALUE_MAGIC, what);
}

static int check_size(const kin_value *value, size_t bytes, const char *what)
{
    int error = check(value, what);
    if (error || bytes == typed(value)->bytes)
        return error;
    return kin__fail(KIN_EINVAL, "cannot %s %zu bytes: %s has %zu", what, bytes, kin__title(value).text,
                     (size_t)typed(value)->bytes);
}

kin_value *kin_value_new(int type, size_t bytes, const void *initial, const kin_value_options *options)
{
    return (kin_value *)kin__typed_new(KIN__VALUE_MAGIC, type, bytes, 1, initial, options);
}

void *kin_value_get_obj(kin_value *value)
{
    return check(value, "get the variable") ? NULL : typed(value)->data;
}

void *kin_value_get_lock(kin_value *value)
{
    return check(value, "get the lock") ? NULL : kin__typed_lock(typed(value));
}

int kin_value_acquire(kin_value *value, double timeout)
{
    int error = check(value, "acquire");
    return error ? error : kin__typed_acquire(typed(value), timeout);
}

int kin_value_release(kin_value *value)
{
    int error = check(value, "release");
    return error ? error : kin__typed_release(typed(value));
}

int kin_value_get(kin_value *value, void *out, size_t bytes)
{
    int error = check_size(value, bytes, "get");
    return error ? error : kin__typed_read(typed(value), 0, out, bytes);
}

int kin_value_set(kin_value *value, const void *from, size_t bytes)
{
    int error = check_size(value, bytes, "set");
    return error ? error : kin__typed_write(typed(value), 0, from, bytes);
}

int kin_value_fetch_add(kin_value *value, int64_t delta, int64_t *before)
{
    int error = check(value, "add");
    return error ? error : kin__typed_add(typed(value), 0, delta, before);
}

int kin_value_fetch_add_double(kin_value *value, double delta, double *before)
{
    int error = check(value, "add");
    return error ? error : kin__typed_add_double(typed(value), 0, delta, before);
}

int kin_value_type(const kin_value *value)
{
    int error = check(value, "ask for the type");
    return error ? error : typed(value)->type;
}

size_t kin_value_size(const kin_value *value)
{
    return check(value, "ask for the size") ? 0 : typed(value)->bytes;
}

int kin_value_free(kin_value *value)
{
    if (!value)
        return 0;
    int error = check(value, "free");
    return error ? error : kin__typed_free(typed(value));
}

/* ---- without lock and type ------------------------------------------------------------------- */

void *kin_raw_value(size_t bytes, const void *initial)
{
    return kin_raw_array(bytes, 1, initial);
}

void *kin_raw_array(size_t bytes, size_t count, const void *initial)
{
    if (!bytes) {
        kin__fail(KIN_EINVAL, "cannot make a value of 0 bytes");
        return NULL;
    }
    void *block = kin_calloc(count, bytes);
    if (block && initial && count)
        memcpy(block, initial, count * bytes);
    return block;
}
