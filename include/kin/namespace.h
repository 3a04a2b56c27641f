/*
 * kin/namespace.h - a namespace that lies in shared memory: attributes with names, for a program's shared settings and counters.
 *
 * Manager().Namespace() without the server: a small dict (kin/dict.h, whose rules hold here too) whose keys are texts.
 *
 *     kin_namespace *state = kin_namespace_new(NULL);
 *     kin_namespace_set(state, "phase", KIN_ANY("warm-up"));
 *     kin_namespace_add(state, "steps", KIN_ANY(1), NULL);
 */
#ifndef KIN_NAMESPACE_H
#define KIN_NAMESPACE_H

#include "kin/any.h"
#include "kin/api.h"

KIN_BEGIN

typedef struct kin_namespace kin_namespace;

typedef struct kin_namespace_options {
    size_t size;
    const char *name; /* copied, up to 23 bytes, for messages and reports; NULL: "" */
    double timeout;   /* seconds that a call waits for one that changes an attribute; 0: KIN_FOREVER */
} kin_namespace_options;

#define KIN_NAMESPACE_OPTIONS(...) \
    (&(kin_namespace_options){.size = sizeof(kin_namespace_options), ##__VA_ARGS__})

/* One without attributes. NULL: KIN_EINVAL, KIN_ENOMEM, KIN_ENOINIT. */
KIN_API kin_namespace *kin_namespace_new(const kin_namespace_options *options) KIN_CHECKED;

/* As kin_dict_free. */
KIN_API int kin_namespace_free(kin_namespace *space);

/* n.name, to be cleared; n.name = value; del n.name. KIN_ENOTFOUND: it has no such attribute. */
KIN_API int kin_namespace_get(const kin_namespace *space, const char *name, kin_any *out) KIN_CHECKED;
KIN_API int kin_namespace_set(kin_namespace *space, const char *name, kin_any value);
KIN_API int kin_namespace_delete(kin_namespace *space, const char *name);

/* hasattr(n, name). */
KIN_API int kin_namespace_contains(const kin_namespace *space, const char *name, bool *out);

/* As kin_dict_add, kin_dict_compare_and_set, kin_dict_wait_change. */
KIN_API int kin_namespace_add(kin_namespace *space, const char *name, kin_any amount, kin_any *out);
KIN_API int kin_namespace_compare_and_set(kin_namespace *space, const char *name, kin_any expected,
                                          kin_any value, bool *done);
KIN_API int kin_namespace_wait_change(const kin_namespace *space, const char *name, const kin_any *seen,
                                      kin_any *out, double timeout) KIN_CHECKED;

/* Go through its attributes, as kin_dict_iterate; names are valid until the next call. */
typedef struct kin_namespace_iterator kin_namespace_iterator;
KIN_API void kin_namespace_iterator_free(kin_namespace_iterator *iterator);
KIN_API kin_namespace_iterator *kin_namespace_iterate(const kin_namespace *space) KIN_CHECKED
    KIN_FREED_BY(kin_namespace_iterator_free);
KIN_API int kin_namespace_next(kin_namespace_iterator *iterator, const char **name,
                               kin_any *value) KIN_CHECKED;

KIN_END_DECLS

#endif
