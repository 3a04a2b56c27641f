/*
 * kin/set.h - a set that lies in shared memory: values, each once.
 *
 * A dict without values (kin/dict.h, whose rules hold here too).
 *
 *     kin_set *seen = kin_set_new(NULL);
 *     bool new;
 *     kin_set_add(seen, KIN_ANY("10.0.0.1"), &new);
 */
#ifndef KIN_SET_H
#define KIN_SET_H

#include "kin/any.h"
#include "kin/api.h"

KIN_BEGIN

typedef struct kin_set kin_set;

typedef struct kin_set_options {
    size_t size;
    const char *name; /* copied, up to 23 bytes, for messages and reports; NULL: "" */
    int stripes;      /* as in kin_dict_options */
    double timeout;   /* seconds that a call waits for one that changes the same stripe; 0: KIN_FOREVER */
} kin_set_options;

#define KIN_SET_OPTIONS(...) (&(kin_set_options){.size = sizeof(kin_set_options), ##__VA_ARGS__})

/* An empty set, which belongs to the family until it is freed. NULL: KIN_EINVAL, KIN_ENOMEM, KIN_ENOINIT. */
KIN_API kin_set *kin_set_new(const kin_set_options *options) KIN_CHECKED;

/* As kin_dict_free. */
KIN_API int kin_set_free(kin_set *set);

/* s.add(value). Whether it was not in before goes to *added, unless NULL: of several that add it, one is told so. */
KIN_API int kin_set_add(kin_set *set, kin_any value, bool *added);

/* s.remove(value): KIN_ENOTFOUND. s.discard(value): nothing happens if it is not in. */
KIN_API int kin_set_remove(kin_set *set, kin_any value);
KIN_API int kin_set_discard(kin_set *set, kin_any value);

/* s.pop(): the one that was added last, to be cleared. Looks through the whole set. KIN_ENOTFOUND: it is empty. */
KIN_API int kin_set_pop(kin_set *set, kin_any *out);

/* value in s; len(s), 0 of no set. */
KIN_API int kin_set_contains(const kin_set *set, kin_any value, bool *out);
KIN_API size_t kin_set_length(const kin_set *set);

/* s.update(values), one by one. s.clear(), one by one. s.copy(). */
KIN_API int kin_set_update(kin_set *set, const kin_any *values, size_t count);
KIN_API int kin_set_clear(kin_set *set);
KIN_API kin_set *kin_set_copy(const kin_set *set) KIN_CHECKED;

/* Go through it, as kin_dict_iterate; a value is valid until the next call. */
typedef struct kin_set_iterator kin_set_iterator;
KIN_API void kin_set_iterator_free(kin_set_iterator *iterator);
KIN_API kin_set_iterator *kin_set_iterate(const kin_set *set) KIN_CHECKED KIN_FREED_BY(kin_set_iterator_free);
KIN_API int kin_set_next(kin_set_iterator *iterator, kin_any *value) KIN_CHECKED;

KIN_END_DECLS

#endif
