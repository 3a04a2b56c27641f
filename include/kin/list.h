/*
 * kin/list.h - a list that lies in shared memory: values that all members of the family read and write directly.
 *
 * As kin/dict.h, and what stands there of values, output, pointers, death, sealed members, threads and errors holds here too.
 *
 *     kin_list *log = kin_list_new(NULL);
 *     kin_any first;
 *     kin_list_append(log, KIN_ANY("started"));
 *     kin_list_pop(log, 0, &first);                       "started"; kin_any_clear(&first)
 *
 * Index    From 0; negative ones count from the end, -1 being the last. KIN_ENOTFOUND: there is no such item. Where a range is meant
 *          (slice, set_slice, index, insert), what is beyond the ends is cut off, as in Python.
 * Atomic   Each call as a whole: others see the list before it or after, and so does everybody after a death in it. Of get_many and
 *          slice each item is so; together they are of one moment if nobody changes the list meanwhile.
 * Costs    get, set, append, and pop and insert at both ends do not depend on the length. All else copies the list's words, of 8
 *          bytes an item.
 * Readers  (get, get_many, length) take no lock; everything else takes the list's one.
 * Copies   Who dies while it copies, repeats or slices leaves the new list behind.
 */
#ifndef KIN_LIST_H
#define KIN_LIST_H

#include "kin/any.h"
#include "kin/api.h"

KIN_BEGIN

typedef struct kin_list kin_list;

typedef struct kin_list_options {
    size_t size;
    const char *name; /* copied, up to 23 bytes, for messages and reports; NULL: "" */
    double timeout;   /* seconds that a call waits for one that changes the list; 0: KIN_FOREVER */
} kin_list_options;

#define KIN_LIST_OPTIONS(...) (&(kin_list_options){.size = sizeof(kin_list_options), ##__VA_ARGS__})

#define KIN_LIST_MAX ((size_t)1 << 31) /* items */

/* An empty list, which belongs to the family until it is freed. NULL: KIN_EINVAL, KIN_ENOMEM, KIN_ENOINIT. */
KIN_API kin_list *kin_list_new(const kin_list_options *options) KIN_CHECKED;

/* As kin_dict_free. */
KIN_API int kin_list_free(kin_list *list);

/* len(l); of no list, 0. */
KIN_API size_t kin_list_length(const kin_list *list);

/* l[index], to be cleared; or copied to a buffer, as by kin_dict_get_in. */
KIN_API int kin_list_get(const kin_list *list, int64_t index, kin_any *out) KIN_CHECKED;
KIN_API int kin_list_get_in(const kin_list *list, int64_t index, kin_any *out, void *buffer,
                            size_t capacity) KIN_CHECKED;

/* Up to `count` items from `index` on, each to be cleared; how many goes to *got. Of an index beyond the end there are none. */
KIN_API int kin_list_get_many(const kin_list *list, int64_t index, size_t count, kin_any *values,
                              size_t *got) KIN_CHECKED;

/* l[index] = value. */
KIN_API int kin_list_set(kin_list *list, int64_t index, kin_any value);

/* l.append(value); l.extend(values); l.insert(index, value). KIN_ELIMIT: more than KIN_LIST_MAX items. */
KIN_API int kin_list_append(kin_list *list, kin_any value);
KIN_API int kin_list_extend(kin_list *list, const kin_any *values, size_t count);
KIN_API int kin_list_insert(kin_list *list, int64_t index, kin_any value);

/* l.pop(index), to be cleared; NULL: it is not wanted. del l[index]. */
KIN_API int kin_list_pop(kin_list *list, int64_t index, kin_any *out);
KIN_API int kin_list_delete(kin_list *list, int64_t index);

/* l.remove(value): the first item that equals it. KIN_ENOTFOUND. */
KIN_API int kin_list_remove(kin_list *list, kin_any value);

/* l.index(value, start, stop): where the first is that equals it. KIN_ENOTFOUND. INT64_MAX as `stop`: up to the end. */
KIN_API int kin_list_index(kin_list *list, kin_any value, int64_t start, int64_t stop, size_t *out);

/* l.count(value); value in l. */
KIN_API int kin_list_count(kin_list *list, kin_any value, size_t *out);
KIN_API int kin_list_contains(kin_list *list, kin_any value, bool *out);

/* l[start:stop] = values. With count 0, del l[start:stop]. */
KIN_API int kin_list_set_slice(kin_list *list, int64_t start, int64_t stop, const kin_any *values,
                               size_t count);

/* l[start:stop:step], another list. `step` may be negative: then from start downwards to above stop. NULL: KIN_EINVAL (step of 0). */
KIN_API kin_list *kin_list_slice(const kin_list *list, int64_t start, int64_t stop, int64_t step) KIN_CHECKED;

/* l.copy(). */
KIN_API kin_list *kin_list_copy(const kin_list *list) KIN_CHECKED;

/* l *= times. */
KIN_API int kin_list_repeat(kin_list *list, size_t times);

/*
 * l.sort(), stable: numbers and bools by value, texts and bytes byte by byte. KIN_EINVAL, and nothing happens: there are items that
 * have no order among themselves.
 */
KIN_API int kin_list_sort(kin_list *list, bool descending);

/* l.reverse(); l.clear(). */
KIN_API int kin_list_reverse(kin_list *list);
KIN_API int kin_list_clear(kin_list *list);

/*
 * Wait until the list's item there is another than `seen`; or, with `seen` NULL, until there is one. What it is then goes to *out
 * (unless NULL); KIN_ENOTFOUND: it is gone; KIN_ETIMEDOUT.
 */
KIN_API int kin_list_wait_change(const kin_list *list, int64_t index, const kin_any *seen, kin_any *out,
                                 double timeout) KIN_CHECKED;

KIN_END_DECLS

#endif
