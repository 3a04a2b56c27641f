/*
 * kin/array.h - a typed array in shared memory, with a lock or without.
 *
 * All that kin/value.h says of lock, deaths and threads holds of arrays, too. The items lie one after another at
 * kin_array_get_obj, as in any array of C. An index or a slice beyond the end is KIN_EINVAL, and nothing is copied.
 */
#ifndef KIN_ARRAY_H
#define KIN_ARRAY_H

#include "kin/api.h"
#include "kin/value.h"

KIN_BEGIN

typedef struct kin_array kin_array;

typedef kin_value_options kin_array_options;

#define KIN_ARRAY_OPTIONS(...) (&(kin_array_options){.size = sizeof(kin_array_options), ##__VA_ARGS__})

/*
 * A new array of `count` items of that type and of `bytes` bytes each (0: the type's): copies of those at `initial`
 * (NULL: zeros). It belongs to the family until it is freed. KIN_ARRAY(int, 10, NULL, NULL) is short for this.
 * NULL: as kin_value_new.
 */
KIN_API kin_array *kin_array_new(int type, size_t bytes, size_t count, const void *initial,
                                 const kin_array_options *options) KIN_CHECKED;

/* The items themselves; the lock; acquire and release it: as kin_value_get_obj and its like. */
KIN_API void *kin_array_get_obj(kin_array *array);
KIN_API void *kin_array_get_lock(kin_array *array);
KIN_API int kin_array_acquire(kin_array *array, double timeout) KIN_CHECKED;
KIN_API int kin_array_release(kin_array *array);

/* How many items there are; the bytes of one; their type. No array: 0, 0, a negative KIN_E code. */
KIN_API size_t kin_array_count(const kin_array *array);
KIN_API size_t kin_array_item_size(const kin_array *array);
KIN_API int kin_array_type(const kin_array *array);

/* Copy one item to `out`, or from `from`, of exactly its size: as kin_value_get and kin_value_set. */
KIN_API int kin_array_get(kin_array *array, size_t index, void *out, size_t bytes);
KIN_API int kin_array_set(kin_array *array, size_t index, const void *from, size_t bytes);

/* Items from `start` on, up to but without `stop`. */
typedef struct kin_slice {
    size_t start;
    size_t stop; /* KIN_END: the array's end */
} kin_slice;
#define KIN_END SIZE_MAX

/* Copy a slice out or in, all of it under the lock. `bytes` is the room at `out`; exactly the slice's bytes at `from`. */
KIN_API int kin_array_get_slice(kin_array *array, kin_slice slice, void *out, size_t bytes);
KIN_API int kin_array_set_slice(kin_array *array, kin_slice slice, const void *from, size_t bytes);

/* Add to one item: as kin_value_fetch_add. */
KIN_API int kin_array_fetch_add(kin_array *array, size_t index, int64_t delta, int64_t *before);
KIN_API int kin_array_fetch_add_double(kin_array *array, size_t index, double delta, double *before);

/*
 * Arrays of KIN_CHAR as strings, which end at the first NUL or at the array's end. get_string copies it to `out`, with a NUL;
 * its length goes to *length (unless NULL). set_string copies a string without its NUL, and a NUL if there is room.
 *
 * KIN_ETOOLARGE  it does not fit into `out` (*length tells how long it is), or into the array; nothing was copied
 * KIN_EINVAL     items of another type
 */
KIN_API int kin_array_get_string(kin_array *array, char *out, size_t room, size_t *length);
KIN_API int kin_array_set_string(kin_array *array, const char *string);

/* Free it, and its lock if that is its own. NULL does nothing. KIN_EBUSY: somebody alive holds its own lock. */
KIN_API int kin_array_free(kin_array *array);

/*
 * By the C type:
 *
 * KIN_ARRAY(type, count, initial, options)   kin_array *, by kin_array_new; `initial` is a const type *
 */
#ifndef __cplusplus
#define KIN_ARRAY(type, count, initial, options) \
    kin_array_new(KIN_TYPE_OF(type), sizeof(type), (count), 1 ? (initial) : (const type *)0, (options))
#endif

KIN_END_DECLS

#ifdef __cplusplus
template <class Type>
KIN_CHECKED inline kin_array *kin_array_of(size_t count, const Type *initial,
                                           const kin_array_options *options)
{
    return kin_array_new(kin_type_of(static_cast<const Type *>(nullptr)), sizeof(Type), count, initial,
                         options);
}
#define KIN_ARRAY(type, count, initial, options) kin_array_of<type>(count, initial, options)
#endif

#endif
