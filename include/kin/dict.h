/*
 * kin/dict.h - a dict that lies in shared memory: keys and values that all members of the family read and write directly.
 *
 * No server, no messages: a get is a look into shared memory. The pointer is valid in every member under every start
 * method, may be inherited, passed as an argument, put through a queue and kept in other containers.
 *
 *     kin_dict *stock = kin_dict_new(NULL);
 *     kin_any left;
 *     kin_dict_set(stock, KIN_ANY("apples"), KIN_ANY(3));
 *     kin_dict_add(stock, KIN_ANY("apples"), KIN_ANY(-1), &left);                left.integer is 2
 *
 * The calls are those of a dict in a manager (kin/proxy.h), so a program can change from the one to the other.
 *
 * Keys, values  Any kin_any (kin/any.h), copied in and out; values of any size. A pointer (kin_any_pointer) leads to memory that the
 *          family shares: a struct in the heap, another container, a queue; the dict neither counts nor frees what it leads to.
 *          Keys that are equal are one key; a real without a fraction is kept as the integer. Packed values are compared byte
 *          by byte; text is not looked into.
 * Output   What comes out may own private memory: kin_any_clear it. Those that end in _in copy into a buffer instead.
 * Order    By insertion, as in Python: a key that is set again keeps its place.
 * Readers  take no lock: they wait for nobody, alive, stopped or dead, unless others change the same part of the dict all
 *          the time (then they take the writers' lock after 100 tries).
 * Writers  of different keys seldom meet: each key belongs to one of the dict's stripes, each of which has a lock.
 * One key  A call that changes one key is atomic: others see it before or after. Calls for many keys, kin_dict_clear and iterators
 *          are so for each key, not as a whole.
 * Death    A member may be killed at any instruction of any call: nobody hangs, nothing is torn, and the key has its old or its
 *          new value. At most the block that the dead one had in its hand stays behind (kin/heap.h); of kin_dict_copy, the copy.
 *          A member that is stopped (SIGSTOP) in the middle of a call that changes something delays other changes of that
 *          stripe until their time is over (kin_dict_options.timeout, 0.1 s at least): KIN_ETIMEDOUT, nothing was changed.
 * Sealed   members read (get, contains, length, iterators); all else is KIN_EPERM.
 * Threads  Any number of threads of any number of members, but for kin_dict_free.
 * Errors   0 or a negative KIN_E code. KIN_ENOTFOUND: no such key. KIN_EINVAL: no dict, or a value that is none. KIN_ENOTSHARED: a
 *          pointer to private memory. KIN_ENOMEM, KIN_EMEMLIMIT: nothing was changed.
 */
#ifndef KIN_DICT_H
#define KIN_DICT_H

#include "kin/any.h"
#include "kin/api.h"

KIN_BEGIN

typedef struct kin_dict kin_dict;

typedef struct kin_dict_options {
    size_t size;
    const char *name; /* copied, up to 23 bytes, for messages and reports; NULL: "" */
    int stripes; /* that change independently of each other, a power of two up to 256, some 500 bytes each; 0: 16 */
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

/* d[key], to be cleared. */
KIN_API int kin_dict_get(const kin_dict *dict, kin_any key, kin_any *out) KIN_CHECKED;

/*
 * The same with what text, bytes and packed values point to copied to `buffer` of `capacity` bytes; a text's NUL needs room too.
 * KIN_ETOOLARGE: it does not fit, and out->size tells how much it is (without the NUL).
 */
KIN_API int kin_dict_get_in(const kin_dict *dict, kin_any key, kin_any *out, void *buffer,
                            size_t capacity) KIN_CHECKED;

/* The same by type; a value of another type is KIN_EINVAL. An integer will do for a real, if it is kept exactly. */
KIN_API int kin_dict_get_int(const kin_dict *dict, kin_any key, int64_t *out) KIN_CHECKED;
KIN_API int kin_dict_get_real(const kin_dict *dict, kin_any key, double *out) KIN_CHECKED;
KIN_API int kin_dict_get_pointer(const kin_dict *dict, kin_any key, void **out) KIN_CHECKED;

/* d[key] = value. */
KIN_API int kin_dict_set(kin_dict *dict, kin_any key, kin_any value);

/* del d[key]. */
KIN_API int kin_dict_delete(kin_dict *dict, kin_any key);

/* key in d. */
KIN_API int kin_dict_contains(const kin_dict *dict, kin_any key, bool *out);

/* len(d); of no dict, 0. */
KIN_API size_t kin_dict_length(const kin_dict *dict);

/* d.pop(key): its value goes to *out (NULL: it is not wanted). */
KIN_API int kin_dict_pop(kin_dict *dict, kin_any key, kin_any *out);

/*
 * d.popitem(): the entry that was inserted last; either may be NULL. Looks through the whole dict. KIN_ENOTFOUND: it is empty.
 */
KIN_API int kin_dict_popitem(kin_dict *dict, kin_any *key, kin_any *value);

/* d.setdefault(key, value): its value, or this one, which is set then, goes to *out (NULL: it is not wanted). */
KIN_API int kin_dict_setdefault(kin_dict *dict, kin_any key, kin_any value, kin_any *out);

/*
 * Add to the number that is there; no such key counts as 0. The sum goes to *out unless NULL. KIN_EINVAL: one of them is no
 * number; KIN_ELIMIT: it would be beyond 64 bits.
 */
KIN_API int kin_dict_add(kin_dict *dict, kin_any key, kin_any amount, kin_any *out);

/*
 * If the key's value equals `expected` (kin_any_nothing(): if there is no such key), set it to `value` (kin_any_nothing(): delete
 * it). Whether that was so goes to *done.
 */
KIN_API int kin_dict_compare_and_set(kin_dict *dict, kin_any key, kin_any expected, kin_any value,
                                     bool *done);

/* Many keys by one call. Values of keys that are not there are null, and *found (unless NULL) is false. */
KIN_API int kin_dict_get_many(const kin_dict *dict, const kin_any *keys, size_t count, kin_any *values,
                              bool *found) KIN_CHECKED;

/* d.update(), key by key in this order: after an error those before it are set. */
KIN_API int kin_dict_set_many(kin_dict *dict, const kin_any *keys, const kin_any *values, size_t count);

/* d.clear(), key by key. */
KIN_API int kin_dict_clear(kin_dict *dict);

/* d.copy(): another dict with what is there now, and the same options. NULL: as kin_dict_new, KIN_ETIMEDOUT. */
KIN_API kin_dict *kin_dict_copy(const kin_dict *dict) KIN_CHECKED;

/*
 * Wait until the key's value is another than `seen`; or, with `seen` NULL, until it is there. What it is then goes to *out (unless
 * NULL); KIN_ENOTFOUND: it is gone; KIN_ETIMEDOUT. A change there and back again may be missed.
 */
KIN_API int kin_dict_wait_change(const kin_dict *dict, kin_any key, const kin_any *seen, kin_any *out,
                                 double timeout) KIN_CHECKED;

/*
 * Go through a dict, in order of insertion, while others change it. It sees each key that was there when it was made and still
 * is when its turn comes, once, with the value that it has then; none that was inserted since. It is private to its process,
 * for one thread at a time, and takes 24 bytes of private memory a key.
 */
typedef struct kin_dict_iterator kin_dict_iterator;

KIN_API void kin_dict_iterator_free(kin_dict_iterator *iterator);
KIN_API kin_dict_iterator *kin_dict_iterate(const kin_dict *dict) KIN_CHECKED
    KIN_FREED_BY(kin_dict_iterator_free);

/* The next entry; both are valid until the next call, not to be cleared, and each may be NULL. KIN_ENOTFOUND: there are no more. */
KIN_API int kin_dict_next(kin_dict_iterator *iterator, kin_any *key, kin_any *value) KIN_CHECKED;

KIN_END_DECLS

#endif
