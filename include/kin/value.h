/*
 * kin/value.h - a typed value in shared memory, with a lock or without.
 *
 * It lies in the family's heap: the pointer is valid in every member under every start method, and so is
 * kin_value_get_obj's, to the bare variable in it. Whoever needs no lock and no type takes a variable in the heap
 * (kin_raw_value), which is what RawValue is in Python.
 *
 * Lock     By default an rlock of its own; or one that is given, which may guard several things; or none. kin_value_get,
 *          _set and _fetch_add hold it meanwhile. For more than one step at a time, hold it around them, and use
 *          the variable directly:
 *              kin_value_acquire(value, KIN_FOREVER);
 *              *(int *)kin_value_get_obj(value) *= 2;
 *              kin_value_release(value);
 *          With a given plain lock that the thread holds already, get and set are KIN_EDEADLK (under an rlock they do).
 * Unlocked Get, set and fetch_add of 1, 2, 4 or 8 bytes are single atomic accesses; larger ones may be torn by others.
 * Death    Whoever dies in the middle leaves a basic type (any but KIN_BYTES) as it was before or after. When the
 *          owner of the lock ends while it holds it, the next one to acquire it is told by KIN_EOWNERDIED: get, set
 *          and fetch_add have then done what they were to do, and what the lock guards may want repair.
 * Threads  Any number of threads of any number of members, except in kin_value_free.
 * Errors   0 or a negative KIN_E code. NULL, a pointer to something else, or to an object that was freed, is KIN_EINVAL.
 */
#ifndef KIN_VALUE_H
#define KIN_VALUE_H

#include "kin/api.h"
#include "kin/heap.h"

KIN_BEGIN

/* Types of values and of arrays' items, by Python's codes (array, struct, ctypes): 'i' will do for KIN_INT. */
enum kin_type {
    KIN_BYTES = 0, /* a struct, or anything else: so many bytes */
    KIN_BOOL = '?',
    KIN_CHAR = 'c',
    KIN_WCHAR = 'u',
    KIN_SCHAR = 'b',
    KIN_UCHAR = 'B',
    KIN_SHORT = 'h',
    KIN_USHORT = 'H',
    KIN_INT = 'i',
    KIN_UINT = 'I',
    KIN_LONG = 'l',
    KIN_ULONG = 'L',
    KIN_LLONG = 'q',
    KIN_ULLONG = 'Q',
    KIN_FLOAT = 'f',
    KIN_DOUBLE = 'd',
    KIN_POINTER = 'P'
};

/* The bytes of a type; 0 for KIN_BYTES and for what is no type. */
KIN_API size_t kin_type_size(int type);

typedef struct kin_value kin_value;

typedef struct kin_value_options {
    size_t size;
    const char *name; /* copied, up to 23 bytes, for messages and reports; NULL: "" */
    void *
        lock; /* a kin_lock or kin_rlock that guards it, and is not freed before it; NULL: an rlock of its own */
    bool unlocked; /* no lock */
    double
        timeout; /* seconds that get, set and fetch_add wait for the lock, then KIN_ETIMEDOUT; 0: KIN_FOREVER */
} kin_value_options;

#define KIN_VALUE_OPTIONS(...) (&(kin_value_options){.size = sizeof(kin_value_options), ##__VA_ARGS__})

/*
 * A new value of that type and of `bytes` bytes (0: the type's), a copy of what is at `initial` (NULL: zeros). It
 * belongs to the family until it is freed. KIN_VALUE(int, 7, NULL) is short for this.
 * NULL: KIN_EINVAL (type, size, options; `lock` is none), KIN_ENOMEM, KIN_EMEMLIMIT, KIN_ENOINIT.
 */
KIN_API kin_value *kin_value_new(int type, size_t bytes, const void *initial,
                                 const kin_value_options *options) KIN_CHECKED;

/* The variable itself, which stays where it is until the value is freed; NULL: no value. */
KIN_API void *kin_value_get_obj(kin_value *value);

/* Its lock, a kin_rlock or what was given; NULL: it has none (KIN_EINVAL). */
KIN_API void *kin_value_get_lock(kin_value *value);

/* Acquire and release its lock: as kin_lock_acquire and kin_rlock_acquire. KIN_EINVAL: it has none. */
KIN_API int kin_value_acquire(kin_value *value, double timeout) KIN_CHECKED;
KIN_API int kin_value_release(kin_value *value);

/*
 * Copy the value to `out`, or from `from`, of exactly its size.
 *
 * KIN_EOWNERDIED  done; the last owner of the lock ended while it held it
 * KIN_ETIMEDOUT   not done: the lock was not free in time
 * KIN_EINVAL      another size
 */
KIN_API int kin_value_get(kin_value *value, void *out, size_t bytes);
KIN_API int kin_value_set(kin_value *value, const void *from, size_t bytes);

/*
 * Add to an integer (modulo its range), or to a float or double. What it was goes to *before (unless NULL), a KIN_ULLONG as
 * the int64_t of the same bits. As kin_value_get; KIN_EINVAL: another type.
 */
KIN_API int kin_value_fetch_add(kin_value *value, int64_t delta, int64_t *before);
KIN_API int kin_value_fetch_add_double(kin_value *value, double delta, double *before);

/* Its type (enum kin_type; negative: a KIN_E code) and its bytes (0: no value). */
KIN_API int kin_value_type(const kin_value *value);
KIN_API size_t kin_value_size(const kin_value *value);

/* Free it, and its lock if that is its own. NULL does nothing. KIN_EBUSY: somebody alive holds its own lock. */
KIN_API int kin_value_free(kin_value *value);

/*
 * A variable in the heap, a copy of `bytes` bytes at `initial` (NULL: zeros); or an array of `count` of them. To be
 * freed by kin_free. NULL: KIN_EINVAL, KIN_ENOMEM, KIN_EMEMLIMIT, KIN_ENOINIT.
 */
KIN_API void *kin_raw_value(size_t bytes, const void *initial) KIN_CHECKED KIN_FREED_BY(kin_free);
KIN_API void *kin_raw_array(size_t bytes, size_t count, const void *initial) KIN_CHECKED
    KIN_FREED_BY(kin_free);

/*
 * By the C type:
 *
 * KIN_TYPE_OF(type)                     its enum kin_type
 * KIN_VALUE(type, initial, options)     kin_value *, by kin_value_new
 * KIN_RAW_VALUE(type, initial)          type *, by kin_raw_value
 * KIN_RAW_ARRAY(type, count, initial)   type *, by kin_raw_array; `initial` is a const type *
 */
#ifndef __cplusplus
#define KIN_TYPE_OF(type) \
    _Generic((type *)0, _Bool *               \
             : KIN_BOOL, char *               \
             : KIN_CHAR, signed char *        \
             : KIN_SCHAR, unsigned char *     \
             : KIN_UCHAR, short *             \
             : KIN_SHORT, unsigned short *    \
             : KIN_USHORT, int *              \
             : KIN_INT, unsigned *            \
             : KIN_UINT, long *               \
             : KIN_LONG, unsigned long *      \
             : KIN_ULONG, long long *         \
             : KIN_LLONG, unsigned long long *\
             : KIN_ULLONG, float *            \
             : KIN_FLOAT, double *            \
             : KIN_DOUBLE, void **            \
             : KIN_POINTER, default           \
             : KIN_BYTES)
#define KIN_VALUE(type, initial, options) \
    kin_value_new(KIN_TYPE_OF(type), sizeof(type), (type[1]){initial}, (options))
#define KIN_RAW_VALUE(type, initial) ((type *)kin_raw_value(sizeof(type), (type[1]){initial}))
#define KIN_RAW_ARRAY(type, count, initial) \
    ((type *)kin_raw_array(sizeof(type), (count), 1 ? (initial) : (const type *)0))
#endif

KIN_END_DECLS

#ifdef __cplusplus
template <class Type> constexpr int kin_type_of(const Type *)
{
    return KIN_BYTES;
}
constexpr int kin_type_of(const bool *)
{
    return KIN_BOOL;
}
constexpr int kin_type_of(const char *)
{
    return KIN_CHAR;
}
constexpr int kin_type_of(const signed char *)
{
    return KIN_SCHAR;
}
constexpr int kin_type_of(const unsigned char *)
{
    return KIN_UCHAR;
}
constexpr int kin_type_of(const short *)
{
    return KIN_SHORT;
}
constexpr int kin_type_of(const unsigned short *)
{
    return KIN_USHORT;
}
constexpr int kin_type_of(const int *)
{
    return KIN_INT;
}
constexpr int kin_type_of(const unsigned *)
{
    return KIN_UINT;
}
constexpr int kin_type_of(const long *)
{
    return KIN_LONG;
}
constexpr int kin_type_of(const unsigned long *)
{
    return KIN_ULONG;
}
constexpr int kin_type_of(const long long *)
{
    return KIN_LLONG;
}
constexpr int kin_type_of(const unsigned long long *)
{
    return KIN_ULLONG;
}
constexpr int kin_type_of(const float *)
{
    return KIN_FLOAT;
}
constexpr int kin_type_of(const double *)
{
    return KIN_DOUBLE;
}
constexpr int kin_type_of(void *const *)
{
    return KIN_POINTER;
}
#define KIN_TYPE_OF(type) kin_type_of(static_cast<const type *>(nullptr))
template <class Type>
KIN_CHECKED inline kin_value *kin_value_of(const Type &initial, const kin_value_options *options)
{
    return kin_value_new(kin_type_of(&initial), sizeof initial, &initial, options);
}
template <class Type> KIN_CHECKED inline Type *kin_raw_value_of(const Type &initial)
{
    return static_cast<Type *>(kin_raw_value(sizeof initial, &initial));
}
template <class Type> KIN_CHECKED inline Type *kin_raw_array_of(size_t count, const Type *initial)
{
    return static_cast<Type *>(kin_raw_array(sizeof(Type), count, initial));
}
#define KIN_VALUE(type, initial, options) kin_value_of<type>(initial, options)
#define KIN_RAW_VALUE(type, initial) kin_raw_value_of<type>(initial)
#define KIN_RAW_ARRAY(type, count, initial) kin_raw_array_of<type>(count, initial)
#endif

#endif
