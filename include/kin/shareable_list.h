/*
 * kin/shareable_list.h - a list of plain values in shared memory by name, for strangers.
 *
 * It is Python's multiprocessing.shared_memory.ShareableList, byte for byte: a list that Python made is attached to here, and the
 * reverse. As in Python its length never changes, and each item has a slot, which is as large as its first value needs.
 * Members of a family have lists that grow (kin/list.h). Needs no kin_init.
 *
 *     kin_any values[] = {KIN_ANY("mill"), KIN_ANY(0.5), kin_any_bool(true), kin_any_null()};
 *     kin_shareable_list *list = kin_shareable_list_create("settings", values, 4, NULL);
 *     kin_shareable_list_set(list, 1, KIN_ANY(0.75));
 *
 * Values   null, bool, integer (64 bits, signed), real, text (UTF-8) and bytes, as kin/any.h has them. A slot takes 8 bytes, or for a
 *          text of n characters, or n bytes, 8 * (n / 8 + 1); more if the text's bytes need more, where Python cuts them off; 9999992 at
 *          most. Any value may be put into any slot, if it is not longer than that. As in Python, NUL bytes at the end of a text or of
 *          bytes are lost.
 * Index    From 0; negative ones count from the end, -1 being the last.
 * Memory   The name is a kin_shared_memory's: what kin/shared_memory.h says of names, of who sweeps them, of the room, and of Python's
 *          resource tracker holds here. Others find the list under its name whole, or not at all.
 * Lock     There is none, as in Python. An item of up to 8 bytes that keeps its type changes by one store; where the type changes, or more
 *          bytes, another who looks meanwhile may find the one without the other, or half of them.
 * Death    Who dies in kin_shareable_list_set leaves what another could have found meanwhile; no other item is touched. A text that
 *          was torn may be no UTF-8: get says KIN_EINVAL then. All else is as with kin_shared_memory.
 * Trust    The memory may be any program's: what is attached to is checked, and so is each item at each get.
 * Threads  Any, except in kin_shareable_list_close. The handle is private memory: other processes attach by name.
 * Errors   0 or a negative KIN_E code; constructors NULL.
 */
#ifndef KIN_SHAREABLE_LIST_H
#define KIN_SHAREABLE_LIST_H

#include "kin/any.h"
#include "kin/api.h"
#include "kin/shared_memory.h"

KIN_BEGIN

typedef struct kin_shareable_list kin_shareable_list;

/*
 * Make a list of those values under that name (NULL: one that nobody has), and attach to it. NULL: as kin_shared_memory_create, and
 *
 * KIN_EINVAL     a value that it cannot keep; the option `attach`, as there would be no telling whose values they are
 * KIN_ETOOLARGE  a text or bytes whose slot would have more than 9999992 bytes
 */
KIN_API kin_shareable_list *kin_shareable_list_create(const char *name, const kin_any *values, size_t count,
                                                      const kin_shared_memory_options *options) KIN_CHECKED;

/* Attach to what is there under that name. NULL: as kin_shared_memory_attach; KIN_EINVAL: it is no such list. */
KIN_API kin_shareable_list *kin_shareable_list_attach(const char *name) KIN_CHECKED;

/* Another list, of the values that this one has now; their slots are as a new list's. NULL: as create and get. */
KIN_API kin_shareable_list *kin_shareable_list_copy(const kin_shareable_list *list, const char *name,
                                                    const kin_shared_memory_options *options) KIN_CHECKED;

/* len(l); of no list, 0. */
KIN_API size_t kin_shareable_list_length(const kin_shareable_list *list);

/* l[index], to be cleared. KIN_ENOTFOUND: there is no such item; KIN_EINVAL: what is there is no value; KIN_ENOMEM. */
KIN_API int kin_shareable_list_get(const kin_shareable_list *list, int64_t index, kin_any *out) KIN_CHECKED;

/* l[index] = value. KIN_ENOTFOUND; KIN_ETOOLARGE: it is longer than the slot, and nothing happened; KIN_EINVAL: it is kept by no
 * such list. */
KIN_API int kin_shareable_list_set(kin_shareable_list *list, int64_t index, kin_any value);

/*
 * l.index(value): where the first is that equals it; KIN_ENOTFOUND. l.count(value). Equal is what Python calls so: true is 1, and 1.0 too;
 * a text equals no bytes; NaN nothing.
 */
KIN_API int kin_shareable_list_index(const kin_shareable_list *list, kin_any value, size_t *out);
KIN_API int kin_shareable_list_count(const kin_shareable_list *list, kin_any value, size_t *out);

/* l.format: the items' formats, in a row, as Python's struct has them: "q", "d", "xxxxxxx?", "xxxxxx?x", "8s". *size (unless NULL) tells
 * how many bytes it takes with its NUL; KIN_ETOOLARGE: more than `capacity`. */
KIN_API int kin_shareable_list_format(const kin_shareable_list *list, char *out, size_t capacity,
                                      size_t *size);

/* l.shm: the memory, which is the list's: its name, its size, its bytes. NULL: NULL. */
KIN_API const kin_shared_memory *kin_shareable_list_memory(const kin_shareable_list *list);

/* Detach, and free the handle; the name stays until kin_shared_memory_unlink. NULL does nothing. */
KIN_API void kin_shareable_list_close(kin_shareable_list *list);

KIN_END_DECLS

#endif
