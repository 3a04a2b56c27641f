/*
 * kin/dict.h - a dict that lies in shared memory: keys and values that all members of the family read and write directly.
 *
 * No server, no messages: a get is a look into shared memory. The pointer is valid in every member under every start
 * method, may be inherited, passed as an argument, put through a queue and kept in other containers.
 *
 *     kin_dict *stock = kin_dict_new(NULL);
 *     int64_t left;
 *     kin_dict_set(stock, kin_string("apples"), kin_int(3));
 *     kin_dict_add(stock, kin_string("apples"), -1, &left);
 *
 * Keys, values  Any kin_datum (kin/datum.h), copied in and out. Values may be of any size and of different types.
 * Output   A value that is read comes as a kin_datum. What strings, bytes and CBOR items point to is copied to `buffer` of
 *          `capacity` bytes; a string gets a NUL behind it, which needs room too. KIN_ETOOLARGE: it does not fit, nothing was
 *          changed, and size tells what is needed (without the NUL). NULL and 0 will do for all other types.
 * Order    By insertion, as in Python: a key that is set again keeps its place.
 * Readers  take no lock: they wait for nobody, alive, stopped or dead, unless others change the same part of the dict all
 *          the time (then they take the writers' lock after 100 tries).
 * Writers  of different keys seldom meet: each key belongs to one of the dict's stripes, each of which has a lock.
 * One key  A call that changes one key is atomic: others see it before or after. Calls for many keys, kin_dict_clear and iterators
 *          are so for each key, not as a whole.
 * Death    A member may be killed at any instruction of any call: nobody hangs, nothing is torn, and the key has its old or its
 *          new value. At most the block that the dead one had in its hand stays behind (kin/heap.h). A member that is stopped
 *          (SIGSTOP) in the middle of a call that changes something delays other changes of that stripe until their
 *          time is over (kin_dict_options.timeout, 0.1 s at least): KIN_ETIMEDOUT, nothing was changed.
 * Sealed   members read (get, size, contains, iterators); all else is KIN_EPERM.
 * Threads  Any number of threads of any number of members, but for kin_dict_free.
 * Errors   0 or a negative KIN_E code. KIN_ENOTFOUND: no such key. KIN_EINVAL: no dict, or a datum that is none. KIN_ENOTSHARED: a
 *          pointer to private memory. KIN_ENOMEM, KIN_EMEMLIMIT: nothing was changed.
 */
#ifndef KIN_DICT_H
#define KIN_DICT_H

#include "kin/api.h"
#include "kin/datum.h"

KIN_BEGIN

typedef struct kin_dict kin_dict;

typedef struct kin_dict_options {
    size_t size;
    const char *name; /* copied, up to 23 bytes, for messages and reports; NULL: "" */
    int stripes; /* that change independently of each other, a power of two up to 256, some 450 bytes each; 0: 16 */
    double timeout; /* seconds that a call waits for one that changes the same stripe; 0: KIN_FOREVER */
} kin_dict_options;

#define KIN_DICT_OPTIONS(...) (&(kin_dict_options){.size = sizeof(kin_dict_options), ##__VA_ARGS__})

/* An empty dict, which belongs to the family until it is freed. NULL: KIN_EINVAL, KIN_ENOMEM, KIN_ENOINIT. */
KIN_API kin_dict *kin_dict_new(const kin_dict_options *options) KIN_CHECKED;

/*
 * Free it with all that it holds (what its pointers lead to stays). KIN_EBUSY, and nothing happens, if somebody is in the middle
 * of a change, or waits for one. Nobody may use it afterwards; such a call fails with KIN_EINVAL as long as the
 * memory is not used again. NULL does nothing.
 */
KIN_API int kin_dict_free(kin_dict *dict);

/* d[key] = value. */
KIN_API int kin_dict_set(kin_dict *dict, kin_datum key, kin_datum value);

/* d[key], see Output above. */
KIN_API int kin_dict_get(const kin_dict *dict, kin_datum key, kin_datum *value, void *buffer,
                         size_t capacity) KIN_CHECKED;

/* The same by type; a value of another type is KIN_EINVAL. An integer will do for a double, if it is kept exactly. */
KIN_API int kin_dict_get_int(const kin_dict *dict, kin_datum key, int64_t *out) KIN_CHECKED;
KIN_API int kin_dict_get_double(const kin_dict *dict, kin_datum key, double *out) KIN_CHECKED;
KIN_API int kin_dict_get_pointer(const kin_dict *dict, kin_datum key, void **out) KIN_CHECKED;
KIN_API int kin_dict_get_string(const kin_dict *dict, kin_datum key, char *buffer,
                                size_t capacity) KIN_CHECKED;

/* key in d. A wrong dict or key: false. */
KIN_API bool kin_dict_contains(const kin_dict *dict, kin_datum key);

/* len(d). */
KIN_API size_t kin_dict_size(const kin_dict *dict);

/* del d[key]. */
KIN_API int kin_dict_remove(kin_dict *dict, kin_datum key);

/* d.pop(key): its value goes to *value as in kin_dict_get (NULL: it is not wanted). */
KIN_API int kin_dict_pop(kin_dict *dict, kin_datum key, kin_datum *value, void *buffer,
                         size_t capacity) KIN_CHECKED;

/*
 * d.popitem(): the entry that was inserted last. Key and value are copied to `buffer` one behind the other. Looks through the
 * whole dict. KIN_ENOTFOUND: it is empty.
 */
KIN_API int kin_dict_popitem(kin_dict *dict, kin_datum *key, kin_datum *value, void *buffer,
                             size_t capacity) KIN_CHECKED;

/* d.setdefault(key, value): its value, or this one, which is set then, goes to *out as in kin_dict_get (NULL: not wanted). */
KIN_API int kin_dict_setdefault(kin_dict *dict, kin_datum key, kin_datum value, kin_datum *out, void *buffer,
                                size_t capacity);

/*
 * Add to an integer, or to a double; no such key counts as 0. The sum goes to *after unless NULL. KIN_EINVAL: it is of another
 * type; KIN_ELIMIT: it would overflow.
 */
KIN_API int kin_dict_add(kin_dict *dict, kin_datum key, int64_t delta, int64_t *after);
KIN_API int kin_dict_add_double(kin_dict *dict, kin_datum key, double delta, double *after);

/*
 * If the key has the value `expected` (kin_nothing(): if there is no such key), set it to `value` (kin_nothing(): remove it).
 * Whether that was so goes to *done.
 */
KIN_API int kin_dict_compare_and_set(kin_dict *dict, kin_datum key, kin_datum expected, kin_datum value,
                                     bool *done) KIN_CHECKED;

/*
 * d.update(): `count` keys and values, in this order. On an error those before it are set, and *done (unless NULL) tells how
 * many they are.
 */
KIN_API int kin_dict_update_many(kin_dict *dict, const kin_datum *keys, const kin_datum *values, size_t count,
                                 size_t *done) KIN_CHECKED;

/*
 * The values of `count` keys; kin_nothing() for those that are not there. What they point to lies in `buffer`, one behind the other.
 * KIN_ETOOLARGE: those that fit are there, *done (unless NULL) tells how many, and the next one's size what it takes.
 */
KIN_API int kin_dict_get_many(const kin_dict *dict, const kin_datum *keys, kin_datum *values, size_t count,
                              void *buffer, size_t capacity, size_t *done) KIN_CHECKED;

/* d.clear(), key by key. */
KIN_API int kin_dict_clear(kin_dict *dict);

/* d.copy(): another dict with what is there now, and the same options. NULL: as kin_dict_new, KIN_ETIMEDOUT. */
KIN_API kin_dict *kin_dict_copy(const kin_dict *dict) KIN_CHECKED;

/*
 * Wait until the value of a key is another than `seen` (kin_nothing(): that there is none); then *now is what it is, as in
 * kin_dict_get, or kin_nothing() if the key is gone. A change there and back again may be missed.
 *
 * KIN_ETIMEDOUT  it was `seen` for `timeout` seconds
 */
KIN_API int kin_dict_wait(const kin_dict *dict, kin_datum key, kin_datum seen, kin_datum *now, void *buffer,
                          size_t capacity, double timeout) KIN_CHECKED;

/*
 * Go through a dict, in order of insertion, while others change it. It sees each key that was there when it was made and still
 * is when its turn comes, once, with the value that it has then; none that was inserted since. It is private to its process,
 * for one thread at a time, and takes 24 bytes of private memory a key.
 */
typedef struct kin_dict_iterator kin_dict_iterator;

KIN_API void kin_dict_iterator_free(kin_dict_iterator *iterator);
KIN_API kin_dict_iterator *kin_dict_iterate(const kin_dict *dict) KIN_CHECKED
    KIN_FREED_BY(kin_dict_iterator_free);

/* The next entry; both are valid until the next call, and each may be NULL. KIN_ENOTFOUND: there are no more. */
KIN_API int kin_dict_next(kin_dict_iterator *iterator, kin_datum *key, kin_datum *value) KIN_CHECKED;

KIN_END_DECLS

#endif
