/* container/set.c - sets: tables whose values are all null. */
#include "kin/set.h"

#include "base/failure.h"
#include "container/table_calls.h"

#define KIND(text) ((struct kin__kind){KIN__SET_MAGIC, (text)})

static const kin_any null = {.type = KIN_ANY_NULL};

kin_set *kin_set_new(const kin_set_options *given)
{
    kin_set_options options;
    if (kin__options_read(&options, sizeof options, given, "set options"))
        return NULL;
    struct kin__dict_options table = {options.name, options.stripes, options.timeout};
    return (kin_set *)kin__dict_new(&table, KIN__SET_MAGIC, "make a set");
}

int kin_set_free(kin_set *set)
{
    if (!set)
        return 0;
    int error = kin__object_check(set, KIN__SET_MAGIC, "free a set");
    return error ? error : kin__dict_free((struct kin__dict *)set, "free a set");
}

int kin_set_add(kin_set *set, kin_any value, bool *added)
{
    static const kin_any nothing = {.type = KIN_ANY_NOTHING};
    bool was_new = false;
    int error = kin__dict_compare_and_set(set, KIND("add to a set"), &value, &nothing, &null, &was_new);
    if (added)
        *added = was_new;
    return error;
}

int kin_set_remove(kin_set *set, kin_any value)
{
    return kin__dict_pop(set, KIND("remove from a set"), &value, KIN__OWNED(NULL));
}

int kin_set_discard(kin_set *set, kin_any value)
{
    int error = kin_set_remove(set, value);
    return error == KIN_ENOTFOUND ? 0 : error;
}

int kin_set_pop(kin_set *set, kin_any *out)
{
    kin_any unused;
    return kin__dict_pop_last(set, KIND("pop from a set"), out, KIN__OWNED(&unused));
}

int kin_set_contains(const kin_set *set, kin_any value, bool *out)
{
    return kin__dict_contains(set, KIND("look into a set"), &value, out);
}

size_t kin_set_length(const kin_set *set)
{
    if (kin__object_check(set, KIN__SET_MAGIC, "ask for a set's length"))
        return 0;
    return kin__dict_length((const struct kin__dict *)set);
}

int kin_set_update(kin_set *set, const kin_any *values, size_t count)
{
    int error = kin__object_check(set, KIN__SET_MAGIC, "add to a set");
    if (count && !values)
        return kin__fail(KIN_EINVAL, "cannot add to a set: %zu values at NULL", count);
    for (size_t i = 0; !error && i < count; i++)
        error = kin_set_add(set, values[i], NULL);
    return error;
}

int kin_set_clear(kin_set *set)
{
    return kin__dict_clear_all(set, KIND("clear a set"));
}

kin_set *kin_set_copy(const kin_set *set)
{
    return (kin_set *)kin__dict_copy(set, KIND("copy a set"));
}

kin_set_iterator *kin_set_iterate(const kin_set *set)
{
    return (kin_set_iterator *)kin__walk_new(set, KIND("go through a set"));
}

int kin_set_next(kin_set_iterator *iterator, kin_any *value)
{
    if (!iterator)
        return kin__fail(KIN_EINVAL, "cannot go through a set: the iterator is NULL");
    return kin__walk_next((struct kin__walk *)iterator, value, NULL);
}

void kin_set_iterator_free(kin_set_iterator *iterator)
{
    kin__walk_free((struct kin__walk *)iterator);
}
