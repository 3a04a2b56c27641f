/* sync/typed.c - see typed.h. */
#include "sync/typed.h"

#include "base/failure.h"
#include "family/sealed.h"
#include "kin/lock.h"
#include "kin/rlock.h"

#include <string.h>
#include <wchar.h>

size_t kin_type_size(int type)
{
    switch (type) {
    case KIN_BOOL:
        return sizeof(bool);
    case KIN_CHAR:
    case KIN_SCHAR:
    case KIN_UCHAR:
        return 1;
    case KIN_WCHAR:
        return sizeof(wchar_t);
    case KIN_SHORT:
    case KIN_USHORT:
        return sizeof(short);
    case KIN_INT:
    case KIN_UINT:
        return sizeof(int);
    case KIN_LONG:
    case KIN_ULONG:
        return sizeof(long);
    case KIN_LLONG:
    case KIN_ULLONG:
        return sizeof(long long);
    case KIN_FLOAT:
        return sizeof(float);
    case KIN_DOUBLE:
        return sizeof(double);
    case KIN_POINTER:
        return sizeof(void *);
    default:
        return 0;
    }
}

/* ---- made, freed ----------------------------------------------------------------------------- */

/* The bytes of one item; 0, with the record set: it cannot be. */
static size_t item_size(int type, size_t bytes)
{
    size_t of_type = kin_type_size(type);
    if (type != KIN_BYTES && !of_type)
        kin__fail(KIN_EINVAL, "cannot make a value of type %d: use enum kin_type", type);
    else if (type != KIN_BYTES && bytes && bytes != of_type)
        kin__fail(KIN_EINVAL, "cannot make a value of type '%c' of %zu bytes: it has %zu", type, bytes,
                  of_type);
    else if (type == KIN_BYTES && !bytes)
        kin__fail(KIN_EINVAL, "cannot make a value of 0 bytes");
    else
        return type == KIN_BYTES ? bytes : of_type;
    return 0;
}

static int check_options(const kin_value_options *options)
{
    if (options->unlocked && options->lock)
        return kin__fail(KIN_EINVAL, "cannot make a value that is unlocked and has a lock");
    if (options->lock && !kin__object_is(options->lock, KIN__LOCK_MAGIC))
        return kin__object_check(options->lock, KIN__RLOCK_MAGIC, "use the lock");
    return kin__timeout_check(options->timeout);
}

struct kin__typed *kin__typed_new(enum kin__object_magic magic, int type, size_t bytes, size_t count,
                                  const void *initial, const kin_value_options *given)
{
    kin_value_options options;
    if (kin__options_read(&options, sizeof options, given, "value options") || check_options(&options))
        return NULL;
    size_t all;
    if (!(bytes = item_size(type, bytes)))
        return NULL;
    if (__builtin_mul_overflow(bytes, count, &all) || all > PTRDIFF_MAX - sizeof(struct kin__typed)) {
        kin__fail(KIN_EINVAL, "cannot make an array of %zu items of %zu bytes", count, bytes);
        return NULL;
    }
    struct kin__typed *typed = kin__sync_new(sizeof *typed + all, options.name);
    if (!typed)
        return NULL;
    typed->type = type;
    typed->bytes = bytes;
    typed->count = count;
    typed->timeout = options.timeout > 0 ? options.timeout : KIN_FOREVER;
    if (initial && all)
        memcpy(typed->data, initial, all);
    if (options.lock) {
        typed->mutex = options.lock;
    } else if (!options.unlocked) {
        typed->mutex = kin__mutex_part(&typed->own, options.name);
    }
    return kin__sync_publish(typed, magic);
}

int kin__typed_free(struct kin__typed *typed)
{
    int error = kin__sealed_refuse("free a value");
    if (!error && typed->mutex == &typed->own)
        error = kin__mutex_end(&typed->own);
    if (!error)
        kin__sync_free(typed);
    return error;
}

/* ---- the lock -------------------------------------------------------------------------------- */

void *kin__typed_lock(struct kin__typed *typed)
{
    if (!typed->mutex)
        kin__fail(KIN_EINVAL, "%s has no lock", kin__title(typed).text);
    return typed->mutex;
}

int kin__typed_acquire(struct kin__typed *typed, double timeout)
{
    return kin__typed_lock(typed) ? kin__mutex_acquire(typed->mutex, timeout) : KIN_EINVAL;
}

int kin__typed_release(struct kin__typed *typed)
{
    return kin__typed_lock(typed) ? kin__mutex_release_checked(typed->mutex) : KIN_EINVAL;
}

int kin__typed_begin(struct kin__typed *typed, int *told)
{
    *told = typed->mutex ? kin__mutex_acquire(typed->mutex, typed->timeout) : 0;
    return *told == KIN_EOWNERDIED ? 0 : *told;
}

int kin__typed_begin_change(struct kin__typed *typed, int *told)
{
    int error = kin__sealed_refuse("change a value");
    return error ? error : kin__typed_begin(typed, told);
}

int kin__typed_end(struct kin__typed *typed, int told)
{
    int error = typed->mutex ? kin__mutex_release_checked(typed->mutex) : 0;
    return error ? error : told;
}

/* ---- items ----------------------------------------------------------------------------------- */

/* One load or store where that can be: so nobody, the dead included, sees or leaves half an item. */
static void load(void *out, const void *item, size_t bytes)
{
    switch (bytes) {
    case 1:
        __atomic_load((const uint8_t *)item, (uint8_t *)out, __ATOMIC_SEQ_CST);
        return;
    case 2: {
        uint16_t now = __atomic_load_n((const uint16_t *)item, __ATOMIC_SEQ_CST);
        memcpy(out, &now, sizeof now);
        return;
    }
    case 4: {
        uint32_t now = __atomic_load_n((const uint32_t *)item, __ATOMIC_SEQ_CST);
        memcpy(out, &now, sizeof now);
        return;
    }
    case 8: {
        uint64_t now = __atomic_load_n((const uint64_t *)item, __ATOMIC_SEQ_CST);
        memcpy(out, &now, sizeof now);
        return;
    }
    default:
        memcpy(out, item, bytes);
    }
}

static void store(void *item, const void *from, size_t bytes)
{
    union {
        uint8_t of_1;
        uint16_t of_2;
        uint32_t of_4;
        uint64_t of_8;
    } now;
    if (bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8)
        memcpy(&now, from, bytes);
    if (bytes == 1)
        __atomic_store_n((uint8_t *)item, now.of_1, __ATOMIC_SEQ_CST);
    else if (bytes == 2)
        __atomic_store_n((uint16_t *)item, now.of_2, __ATOMIC_SEQ_CST);
    else if (bytes == 4)
        __atomic_store_n((uint32_t *)item, now.of_4, __ATOMIC_SEQ_CST);
    else if (bytes == 8)
        __atomic_store_n((uint64_t *)item, now.of_8, __ATOMIC_SEQ_CST);
    else
        memcpy(item, from, bytes);
}

static void *item_at(struct kin__typed *typed, size_t index)
{
    return typed->data + index * typed->bytes;
}

static int refuse_null(const struct kin__typed *typed, const char *what)
{
    return kin__fail(KIN_EINVAL, "cannot %s %s: the pointer is NULL", what, kin__title(typed).text);
}

int kin__typed_read(struct kin__typed *typed, size_t index, void *out, size_t bytes)
{
    if (!out && bytes)
        return refuse_null(typed, "get");
    int told, error = kin__typed_begin(typed, &told);
    if (error)
        return error;
    if (bytes && bytes == typed->bytes)
        load(out, item_at(typed, index), bytes);
    else if (bytes)
        memcpy(out, item_at(typed, index), bytes);
    return kin__typed_end(typed, told);
}

int kin__typed_write(struct kin__typed *typed, size_t index, const void *from, size_t bytes)
{
    if (!from && bytes)
        return refuse_null(typed, "set");
    int told, error = kin__typed_begin_change(typed, &told);
    if (error)
        return error;
    if (bytes && bytes == typed->bytes)
        store(item_at(typed, index), from, bytes);
    else if (bytes)
        memcpy(item_at(typed, index), from, bytes);
    return kin__typed_end(typed, told);
}

static int64_t add(struct kin__typed *typed, void *item, int64_t delta)
{
    switch (typed->type) {
    case KIN_CHAR:
        return __atomic_fetch_add((char *)item, (char)delta, __ATOMIC_SEQ_CST);
    case KIN_SCHAR:
        return __atomic_fetch_add((signed char *)item, (signed char)delta, __ATOMIC_SEQ_CST);
    case KIN_UCHAR:
        return __atomic_fetch_add((unsigned char *)item, (unsigned char)delta, __ATOMIC_SEQ_CST);
    case KIN_WCHAR:
        return __atomic_fetch_add((wchar_t *)item, (wchar_t)delta, __ATOMIC_SEQ_CST);
    case KIN_SHORT:
        return __atomic_fetch_add((short *)item, (short)delta, __ATOMIC_SEQ_CST);
    case KIN_USHORT:
        return __atomic_fetch_add((unsigned short *)item, (unsigned short)delta, __ATOMIC_SEQ_CST);
    case KIN_INT:
        return __atomic_fetch_add((int *)item, (int)delta, __ATOMIC_SEQ_CST);
    case KIN_UINT:
        return __atomic_fetch_add((unsigned *)item, (unsigned)delta, __ATOMIC_SEQ_CST);
    default: /* all others have 64 bits */
        return __atomic_fetch_add((int64_t *)item, delta, __ATOMIC_SEQ_CST);
    }
}
_Static_assert(sizeof(long) == sizeof(int64_t), "kin runs on 64-bit machines");

int kin__typed_add(struct kin__typed *typed, size_t index, int64_t delta, int64_t *before)
{
    switch (typed->type) {
    case KIN_BYTES:
    case KIN_BOOL:
    case KIN_POINTER:
    case KIN_FLOAT:
    case KIN_DOUBLE:
        return kin__fail(KIN_EINVAL, "cannot add to %s: it is not of an integer type",
                         kin__title(typed).text);
    default:
        break;
    }
    int told, error = kin__typed_begin_change(typed, &told);
    if (error)
        return error;
    int64_t was = add(typed, item_at(typed, index), delta);
    if (before)
        *before = was;
    return kin__typed_end(typed, told);
}

static double add_float(float *item, double delta)
{
    float now, was;
    __atomic_load(item, &was, __ATOMIC_SEQ_CST);
    do
        now = (float)(was + delta);
    while (!__atomic_compare_exchange(item, &was, &now, true, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    return was;
}

static double add_double(double *item, double delta)
{
    double now, was;
    __atomic_load(item, &was, __ATOMIC_SEQ_CST);
    do
        now = was + delta;
    while (!__atomic_compare_exchange(item, &was, &now, true, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    return was;
}

int kin__typed_add_double(struct kin__typed *typed, size_t index, double delta, double *before)
{
    if (typed->type != KIN_FLOAT && typed->type != KIN_DOUBLE)
        return kin__fail(KIN_EINVAL, "cannot add %g to %s: it is no float or double", delta,
                         kin__title(typed).text);
    int told, error = kin__typed_begin_change(typed, &told);
    if (error)
        return error;
    void *item = item_at(typed, index);
    double was = typed->type == KIN_FLOAT ? add_float(item, delta) : add_double(item, delta);
    if (before)
        *before = was;
    return kin__typed_end(typed, told);
}
