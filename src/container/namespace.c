/* container/namespace.c - namespaces: tables of one stripe whose keys are texts. */
#include "kin/namespace.h"

#include "base/failure.h"
#include "container/table_calls.h"

#include <string.h>

#define KIND(text) ((struct kin__kind){KIN__NAMESPACE_MAGIC, (text)})

/* NULL is told as a value that is none. */
static kin_any name_of(const char *name)
{
    if (!name)
        return (kin_any){.type = KIN_ANY_NOTHING};
    return (kin_any){.type = KIN_ANY_TEXT, .data = name, .size = strlen(name)};
}

kin_namespace *kin_namespace_new(const kin_namespace_options *given)
{
    kin_namespace_options options;
    if (kin__options_read(&options, sizeof options, given, "namespace options"))
        return NULL;
    struct kin__dict_options table = {options.name, 1, options.timeout};
    return (kin_namespace *)kin__dict_new(&table, KIN__NAMESPACE_MAGIC, "make a namespace");
}

int kin_namespace_free(kin_namespace *space)
{
    if (!space)
        return 0;
    int error = kin__object_check(space, KIN__NAMESPACE_MAGIC, "free a namespace");
    return error ? error : kin__dict_free((struct kin__dict *)space, "free a namespace");
}

int kin_namespace_get(const kin_namespace *space, const char *name, kin_any *out)
{
    kin_any key = name_of(name);
    return kin__dict_get(space, KIND("get an attribute"), &key, KIN__OWNED(out));
}

int kin_namespace_set(kin_namespace *space, const char *name, kin_any value)
{
    kin_any key = name_of(name);
    return kin__dict_set(space, KIND("set an attribute"), &key, &value);
}

int kin_namespace_delete(kin_namespace *space, const char *name)
{
    kin_any key = name_of(name);
    return kin__dict_pop(space, KIND("delete an attribute"), &key, KIN__OWNED(NULL));
}

int kin_namespace_contains(const kin_namespace *space, const char *name, bool *out)
{
    kin_any key = name_of(name);
    return kin__dict_contains(space, KIND("look for an attribute"), &key, out);
}

int kin_namespace_add(kin_namespace *space, const char *name, kin_any amount, kin_any *out)
{
    kin_any key = name_of(name);
    return kin__dict_add(space, KIND("add to an attribute"), &key, &amount, out);
}

int kin_namespace_compare_and_set(kin_namespace *space, const char *name, kin_any expected, kin_any value,
                                  bool *done)
{
    kin_any key = name_of(name);
    return kin__dict_compare_and_set(space, KIND("set an attribute"), &key, &expected, &value, done);
}

int kin_namespace_wait_change(const kin_namespace *space, const char *name, const kin_any *seen, kin_any *out,
                              double timeout)
{
    kin_any key = name_of(name);
    return kin__dict_wait_change(space, KIND("wait for an attribute"), &key, seen, out, timeout);
}

kin_namespace_iterator *kin_namespace_iterate(const kin_namespace *space)
{
    return (kin_namespace_iterator *)kin__walk_new(space, KIND("go through a namespace"));
}

int kin_namespace_next(kin_namespace_iterator *iterator, const char **name, kin_any *value)
{
    kin_any key;
    if (!iterator)
        return kin__fail(KIN_EINVAL, "cannot go through a namespace: the iterator is NULL");
    int error = kin__walk_next((struct kin__walk *)iterator, &key, value);
    if (!error && name)
        *name = key.data; /* texts end with a NUL */
    return error;
}

void kin_namespace_iterator_free(kin_namespace_iterator *iterator)
{
    kin__walk_free((struct kin__walk *)iterator);
}
