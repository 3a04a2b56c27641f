/* container/list_order.c - lists: what looks through them, or puts their items in another order. See list_shared.h. */
#include "container/list_shared.h"

#include "base/failure.h"

#include <stdlib.h>
#include <string.h>

#define ALL INT64_MAX

/* ---- a new array ------------------------------------------------------------------------------- */

/* Words [from, to) of the list, into an array. */
static void take(struct kin__array *array, uint64_t at, const struct kin__items *items, uint64_t from,
                 uint64_t to)
{
    if (to > from)
        memcpy(array->words + at, kin__item_at(items, from), (to - from) * sizeof(uint64_t));
}

/* Items [from, to) go with the old array: the shard's batch names them. */
static int drop(kin_list *list, const struct kin__items *items, uint64_t from, uint64_t to)
{
    if (to <= from)
        return 0;
    uint64_t count = to - from;
    struct kin__batch *batch =
        kin__shard_block(&list->shard.step.batch, sizeof *batch + count * sizeof(uint64_t));
    if (!batch)
        return kin_error_code();
    batch->count = count;
    memcpy(batch->words, kin__item_at(items, from), count * sizeof(uint64_t));
    return 0;
}

/* [start, stop) becomes `count` items that stand behind the last. */
static int replace(kin_list *list, struct kin__items *items, uint64_t start, uint64_t stop, uint64_t count)
{
    uint64_t length = items->length - (stop - start) + count;
    struct kin__array *array = kin__list_array(list, length);
    if (!array || drop(list, items, start, stop)) {
        int error = kin_error_code();
        kin__shard_abandon(&list->shard);
        kin__list_sweep(list);
        return error;
    }
    take(array, 0, items, 0, start);
    take(array, start, items, items->length, items->length + count);
    take(array, start + count, items, stop, items->length);
    kin__list_replace(list, array);
    return 0;
}

int kin__list_delete_at(kin_list *list, struct kin__items *items, uint64_t at)
{
    if (at == items->length - 1)
        kin__list_set_bounds(list, items, items->first, items->length - 1);
    else if (at == 0)
        kin__list_set_bounds(list, items, items->first + 1, items->length - 1);
    else
        return replace(list, items, at, at + 1, 0);
    return 0;
}

int kin_list_set_slice(kin_list *list, int64_t start, int64_t stop, const kin_any *values, size_t count)
{
    struct kin__call call;
    struct kin__items items;
    struct kin__value first;
    const char *what = "set a slice of a list";
    int error = kin__list_enter_to_write(list, values, count, what, &call, &items, &first);
    if (error)
        return error;
    uint64_t from = kin__list_clamp(start, items.length), to = kin__list_clamp(stop, items.length);
    if (to < from)
        to = from;
    if (count)
        error = kin__list_reserve(list, &items, count);
    if (!error)
        error = kin__list_write(list, &items, values, count, what, &first);
    if (!error && from == items.length && count)
        kin__list_set_bounds(list, &items, items.first, items.length + count);
    else if (!error && (count || to > from))
        error = replace(list, &items, from, to, count);
    error ? kin__list_leave(list, error) : kin__list_leave_changed(list);
    kin__value_drop(&first);
    return error;
}

int kin_list_insert(kin_list *list, int64_t index, kin_any value)
{
    return kin_list_set_slice(list, index, index, &value, 1);
}

int kin_list_reverse(kin_list *list)
{
    struct kin__call call;
    struct kin__items items;
    int error = kin__list_enter(list, "reverse a list", &call, &items);
    if (error)
        return error;
    if (items.length < 2)
        return kin__list_leave(list, 0);
    struct kin__array *array = kin__list_array(list, items.length);
    if (!array)
        return kin__list_leave(list, kin_error_code());
    for (uint64_t i = 0; i < items.length; i++)
        array->words[items.length - 1 - i] = *kin__item_at(&items, i);
    kin__list_replace(list, array);
    return kin__list_leave_changed(list);
}

/* ---- sorting ----------------------------------------------------------------------------------- */

struct key {
    uint64_t word;
    uint64_t index;
};

struct order {
    bool descending, failed;
    kin_any_type a, b; /* of two that have none */
};

/* An item as it is compared. A block's bytes are not copied: it stays while we have the gate; those of a word go to `small`. */
static kin_any view(uint64_t word, unsigned char small[8])
{
    kin_any value;
    struct kin__outlet outlet = {.buffer = small, .capacity = 8};
    if (kin__cell_read(word, &value, &outlet, KIN__UNDER_GATE) == KIN__GOT_TOO_LARGE)
        value.data = kin__cell_block(word)->data;
    return value;
}

static int compare(const void *a, const void *b, void *context)
{
    const struct key *one = a, *other = b;
    struct order *order = context;
    unsigned char small[2][8];
    kin_any x = view(one->word, small[0]), y = view(other->word, small[1]);
    int result = 0;
    if (!kin__any_order(&x, &y, &result)) {
        order->failed = true;
        order->a = x.type;
        order->b = y.type;
    }
    if (result)
        return order->descending ? -result : result;
    return one->index < other->index ? -1 : 1; /* stable, both ways */
}

static int sort_keys(struct key *keys, uint64_t count, bool descending, kin_list *list)
{
    struct order order = {.descending = descending};
    qsort_r(keys, count, sizeof *keys, compare, &order);
    if (!order.failed)
        return 0;
    return kin__fail(KIN_EINVAL, "cannot sort %s: %s and %s have no order", kin__title(list).text,
                     kin__any_kind(order.a), kin__any_kind(order.b));
}

int kin_list_sort(kin_list *list, bool descending)
{
    struct kin__call call;
    struct kin__items items;
    int error = kin__list_enter(list, "sort a list", &call, &items);
    if (error)
        return error;
    if (items.length < 2)
        return kin__list_leave(list, 0);
    struct key *keys = malloc(items.length * sizeof *keys);
    if (!keys)
        return kin__list_leave(list, kin__fail(KIN_ENOMEM, "cannot sort %llu items: no private memory",
                                               (unsigned long long)items.length));
    for (uint64_t i = 0; i < items.length; i++)
        keys[i] = (struct key){*kin__item_at(&items, i), i};
    error = sort_keys(keys, items.length, descending, list);
    struct kin__array *array = error ? NULL : kin__list_array(list, items.length);
    if (!error && !array)
        error = kin_error_code();
    for (uint64_t i = 0; array && i < items.length; i++)
        array->words[i] = keys[i].word;
    free(keys);
    if (error)
        return kin__list_leave(list, error);
    kin__list_replace(list, array);
    return kin__list_leave_changed(list);
}

/* ---- looking through --------------------------------------------------------------------------- */

/* Under the gate: the first in [from, to) that equals it, or `to`. */
static uint64_t find(const struct kin__items *items, const struct kin__form *form, uint64_t from, uint64_t to)
{
    while (from < to && !kin__cell_equals(*kin__item_at(items, from), form))
        from++;
    return from;
}

static int not_there(const kin_list *list, const char *what)
{
    return kin__fail(KIN_ENOTFOUND, "could not %s: %s has no such value", what, kin__title(list).text);
}

static int enter_with(kin_list *list, const kin_any *value, struct kin__form *form, const char *what,
                      struct kin__items *items)
{
    struct kin__call call;
    int error = kin__list_check_pointer(list, what);
    if (!error)
        error = kin__form_make(form, value, what);
    return error ? error : kin__list_enter(list, what, &call, items);
}

int kin_list_index(kin_list *list, kin_any value, int64_t start, int64_t stop, size_t *out)
{
    struct kin__items items;
    struct kin__form form;
    const char *what = "find a value in a list";
    int error = enter_with(list, &value, &form, what, &items);
    if (error)
        return error;
    uint64_t to = kin__list_clamp(stop, items.length);
    uint64_t at = find(&items, &form, kin__list_clamp(start, items.length), to);
    if (out)
        *out = at;
    return kin__list_leave(list, at < to ? 0 : not_there(list, what));
}

int kin_list_count(kin_list *list, kin_any value, size_t *out)
{
    struct kin__items items;
    struct kin__form form;
    size_t count = 0;
    int error = enter_with(list, &value, &form, "count a value in a list", &items);
    if (error)
        return error;
    for (uint64_t at = 0; (at = find(&items, &form, at, items.length)) < items.length; at++)
        count++;
    *out = count;
    return kin__list_leave(list, 0);
}

int kin_list_contains(kin_list *list, kin_any value, bool *out)
{
    size_t count = 0;
    *out = false;
    int error = kin_list_index(list, value, 0, ALL, &count);
    *out = error == 0;
    return error == KIN_ENOTFOUND ? 0 : error;
}

int kin_list_remove(kin_list *list, kin_any value)
{
    struct kin__items items;
    struct kin__form form;
    const char *what = "remove a value from a list";
    int error = enter_with(list, &value, &form, what, &items);
    if (error)
        return error;
    uint64_t at = find(&items, &form, 0, items.length);
    error = at < items.length ? kin__list_delete_at(list, &items, at) : not_there(list, what);
    return error ? kin__list_leave(list, error) : kin__list_leave_changed(list);
}

/* ---- copies ------------------------------------------------------------------------------------ */

static void drop_values(kin_any *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        kin__any_drop(&values[i]);
    free(values);
}

/* All items as values of our own. */
static int snapshot(const kin_list *list, kin_any **out, size_t *count)
{
    size_t room = kin_list_length(list), got = 0;
    kin_any *values = malloc((room + 1) * sizeof *values);
    if (!values)
        return kin__fail(KIN_ENOMEM, "cannot copy %zu items: no private memory", room);
    int error = kin_list_get_many(list, 0, room, values, &got);
    if (error)
        free(values);
    *out = error ? NULL : values;
    *count = got;
    return error;
}

/* The places of a slice, as in Python: how many, and the first. */
static size_t slice_of(int64_t *start, int64_t stop, int64_t step, size_t length)
{
    int64_t n = (int64_t)length, least = step < 0 ? -1 : 0, most = step < 0 ? n - 1 : n;
    int64_t from = *start < 0 ? *start + n : *start, to = stop < 0 ? stop + n : stop;
    from = from < least ? least : from > most ? most : from;
    to = to < least ? least : to > most ? most : to;
    *start = from;
    if (step > 0)
        return to > from ? (size_t)((to - from - 1) / step + 1) : 0;
    return from > to ? (size_t)((from - to - 1) / -step + 1) : 0;
}

kin_list *kin_list_slice(const kin_list *list, int64_t start, int64_t stop, int64_t step)
{
    kin_any *values = NULL;
    size_t count = 0;
    if (kin__list_check_pointer(list, "slice a list"))
        return NULL;
    if (step == 0 || step == INT64_MIN) {
        kin__fail(KIN_EINVAL, "cannot slice a list in steps of %lld", (long long)step);
        return NULL;
    }
    if (snapshot(list, &values, &count))
        return NULL;
    kin_list *slice = kin_list_new(KIN_LIST_OPTIONS(.name = list->sync.name, .timeout = list->timeout));
    size_t items = slice_of(&start, stop, step, count);
    kin_any *chosen = slice ? calloc(items ? items : 1, sizeof *chosen) : NULL;
    int error = KIN_ENOMEM;
    for (size_t i = 0; chosen && i < items; i++)
        chosen[i] = values[start + (int64_t)i * step];
    if (chosen)
        error = kin_list_extend(slice, chosen, items);
    else if (slice)
        kin__fail(KIN_ENOMEM, "cannot slice a list: no private memory for %zu items", items);
    free(chosen);
    drop_values(values, count);
    if (!error)
        return slice;
    kin_list_free(slice);
    return NULL;
}

kin_list *kin_list_copy(const kin_list *list)
{
    return kin_list_slice(list, 0, ALL, 1);
}

int kin_list_repeat(kin_list *list, size_t times)
{
    struct kin__call call;
    struct kin__items items;
    const char *what = "repeat a list";
    int error = kin__list_enter(list, what, &call, &items);
    if (error)
        return error;
    uint64_t length = items.length, more = 0;
    if (times == 0 && items.array)
        kin__list_set_bounds(list, &items, 0, 0);
    if (times < 2 || !length)
        return kin__list_leave_changed(list);
    if (__builtin_mul_overflow(length, (uint64_t)times - 1, &more))
        more = UINT64_MAX;
    kin_any *values = NULL;
    size_t count = 0;
    error = kin__list_reserve(list, &items, more);
    if (!error)
        error = snapshot(list, &values, &count); /* by a reader's way, which we are not in */
    for (uint64_t i = 1; !error && i < times; i++) {
        struct kin__items behind = {items.array, items.first, i * length};
        error = kin__list_write(list, &behind, values, length, what, NULL);
    }
    if (values)
        drop_values(values, count);
    if (error)
        return kin__list_leave(list, error);
    kin__list_set_bounds(list, &items, items.first, length + more);
    return kin__list_leave_changed(list);
}
