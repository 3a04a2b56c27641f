/* container/table_calls.h - the calls that dicts and namespaces share: each checks what it is given, for an object of that kind. */
#ifndef KIN_CONTAINER_TABLE_CALLS_H
#define KIN_CONTAINER_TABLE_CALLS_H

#include "container/table.h"

/* What kind of object it must be, and the call in words, for errors: "set a key of a dict". */
struct kin__kind {
    enum kin__object_magic magic;
    const char *what;
};

/* Where a value that is read goes. `value` may be NULL. */
struct kin__into {
    kin_any *value;
    struct kin__outlet outlet;
};
#define KIN__OWNED(value) ((struct kin__into){(value), {.owned = true}})

int kin__dict_get(const void *object, struct kin__kind kind, const kin_any *key, struct kin__into into);
int kin__dict_set(void *object, struct kin__kind kind, const kin_any *key, const kin_any *value);
int kin__dict_pop(void *object, struct kin__kind kind, const kin_any *key, struct kin__into into);
int kin__dict_add(void *object, struct kin__kind kind, const kin_any *key, const kin_any *delta,
                  kin_any *after);
int kin__dict_setdefault(void *object, struct kin__kind kind, const kin_any *key, const kin_any *value,
                         struct kin__into into);
int kin__dict_compare_and_set(void *object, struct kin__kind kind, const kin_any *key,
                              const kin_any *expected, const kin_any *value, bool *done);
int kin__dict_contains(const void *object, struct kin__kind kind, const kin_any *key, bool *out);
int kin__dict_wait_change(const void *object, struct kin__kind kind, const kin_any *key, const kin_any *seen,
                          kin_any *out, double timeout);
int kin__dict_clear_all(void *object, struct kin__kind kind);
struct kin__dict *kin__dict_copy(const void *object, struct kin__kind kind);

/* Going through it. */
struct kin__walk;
struct kin__walk *kin__walk_new(const void *object, struct kin__kind kind);
int kin__walk_next(struct kin__walk *walk, kin_any *key, kin_any *value);
void kin__walk_free(struct kin__walk *walk);

/* The last entry of a walk that is there still is taken out. KIN_ENOTFOUND: none is. */
int kin__dict_pop_last(void *object, struct kin__kind kind, kin_any *key, struct kin__into into);

/* KIN_ENOTFOUND, with a record that names the key. */
int kin__dict_absent(const void *table, const kin_any *key, const char *what);

#endif
