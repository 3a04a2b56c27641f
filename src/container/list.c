/* container/list.c - lists: making, reading, and changes at the ends. See list_shared.h. */
#include "container/list_shared.h"

#include "base/failure.h"
#include "family/sealed.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 6 /* with its head, 64 bytes */
#define TRIES 100

int kin__list_check_pointer(const kin_list *list, const char *what)
{
    return kin__object_check(list, KIN__LIST_MAGIC, what);
}

kin_list *kin_list_new(const kin_list_options *given)
{
    kin_list_options options;
    struct kin__call call;
    if (kin__options_read(&options, sizeof options, given, "list options") ||
        kin__timeout_check(options.timeout) || kin__call_begin(&call, NULL, 0, "make a list"))
        return NULL;
    kin_list *list = kin__heap_open_aligned(sizeof *list, _Alignof(kin_list), NULL);
    if (!list)
        return NULL;
    memset(list, 0, sizeof *list);
    list->timeout = options.timeout > 0 ? options.timeout : KIN_FOREVER;
    if (options.name)
        strncpy(list->sync.name, options.name, KIN__NAME_MAX - 1);
    kin__sync_publish(list, KIN__LIST_MAGIC);
    kin__heap_close();
    return list;
}

/* ---- the gate ---------------------------------------------------------------------------------- */

void kin__list_sweep(kin_list *list)
{
    struct kin__items items = kin__items_of(list);
    for (uint64_t i = 0; items.array && i < items.array->capacity; i++) {
        if (i == items.first && items.length) {
            i += items.length - 1;
            continue;
        }
        uint64_t *word = &items.array->words[i];
        if (kin__cell_is_block(*word))
            kin__heap_free_at(word);
        else
            kin__poke(word, 0);
    }
}

static int acquire(kin_list *list, struct kin__call *call, struct kin__items *items)
{
    int error = kin__shard_acquire_told(&list->shard, call);
    if (error == KIN_EDIED) {
        kin__shard_free_begins(&list->shard);
        kin__list_sweep(list);
        error = 0;
    }
    if (!error)
        *items = kin__items_of(list);
    return error;
}

static int begin(kin_list *list, struct kin__call *call, const char *what)
{
    int error = kin__list_check_pointer(list, what);
    return error ? error : kin__call_begin(call, list, list->timeout, what);
}

int kin__list_enter(kin_list *list, const char *what, struct kin__call *call, struct kin__items *items)
{
    int error = begin(list, call, what);
    return error ? error : acquire(list, call, items);
}

int kin__list_enter_to_write(kin_list *list, const kin_any *values, uint64_t count, const char *what,
                             struct kin__call *call, struct kin__items *items, struct kin__value *first)
{
    *first = (struct kin__value){0};
    *items = (struct kin__items){0};
    if (count && !values)
        return kin__fail(KIN_EINVAL, "cannot %s: %llu values at NULL", what, (unsigned long long)count);
    int error = begin(list, call, what);
    if (!error && count)
        error = kin__value_make(first, &values[0], what);
    if (!error && (error = acquire(list, call, items)))
        kin__value_drop(first);
    return error;
}

int kin__list_leave(kin_list *list, int error)
{
    kin__shard_release(&list->shard);
    return error;
}

int kin__list_leave_changed(kin_list *list)
{
    kin__shard_release_changed(&list->shard);
    return 0;
}

bool kin__list_index_of(const kin_list *list, const struct kin__items *items, int64_t index, const char *what,
                        uint64_t *at)
{
    int64_t from_start = index < 0 ? index + (int64_t)items->length : index;
    *at = (uint64_t)from_start;
    if (from_start >= 0 && *at < items->length)
        return true;
    kin__fail(KIN_ENOTFOUND, "could not %s: %s has no item %lld, only %llu", what, kin__title(list).text,
              (long long)index, (unsigned long long)items->length);
    return false;
}

uint64_t kin__list_clamp(int64_t index, uint64_t length)
{
    if (index < 0)
        index += (int64_t)length;
    return index < 0 ? 0 : (uint64_t)index > length ? length : (uint64_t)index;
}

/* ---- reading ----------------------------------------------------------------------------------- */

/* One try, for one item. KIN_ENOTFOUND without a record. */
static int look(const kin_list *list, int64_t index, kin_any *out, struct kin__outlet *outlet,
                const struct kin__version_watch *watch, enum kin__got *got)
{
    struct kin__items items = kin__items_of(list);
    int64_t at = index < 0 ? index + (int64_t)items.length : index;
    *got = KIN__GOT_STALE;
    if (!kin__watch_holds(watch))
        return 0;
    *got = KIN__GOT;
    if (at < 0 || (uint64_t)at >= items.length)
        return KIN_ENOTFOUND;
    /* Acquire: partner is the release of who stored it. 0: it was popped since. */
    uint64_t word = __atomic_load_n(kin__item_at(&items, (uint64_t)at), __ATOMIC_ACQUIRE);
    *got = word ? kin__cell_read(word, out, outlet, watch) : KIN__GOT_STALE;
    return 0;
}

/* KIN_ENOTFOUND without a record, all else with. */
static int read_item(const kin_list *list, int64_t index, kin_any *out, struct kin__outlet *outlet)
{
    enum kin__got got = KIN__GOT_STALE;
    int error = 0;
    size_t used = outlet->used;
    for (unsigned tries = 0; got == KIN__GOT_STALE && (tries < TRIES || kin__is_sealed()); tries++) {
        const _Atomic uint64_t *version = &list->shard.version;
        struct kin__version_watch watch = {version, atomic_load_explicit(version, memory_order_acquire)};
        outlet->used = used;
        error = look(list, index, out, outlet, &watch, &got);
    }
    if (got == KIN__GOT_STALE) {
        struct kin__call call;
        struct kin__items items;
        outlet->used = used;
        error = kin__list_enter((kin_list *)(uintptr_t)list, "read an item of a list", &call, &items);
        if (error)
            return error;
        error = look(list, index, out, outlet, KIN__UNDER_GATE, &got);
        kin__list_leave((kin_list *)(uintptr_t)list, 0);
    }
    return error ? error : kin__got_error(got, out, outlet);
}

static int get(const kin_list *list, int64_t index, kin_any *out, struct kin__outlet *outlet)
{
    int error = kin__list_check_pointer(list, "get an item of a list");
    if (error)
        return error;
    error = read_item(list, index, out, outlet);
    if (error == KIN_ENOTFOUND) {
        struct kin__items none = {NULL, 0, kin_list_length(list)};
        uint64_t at;
        if (kin__list_index_of(list, &none, index, "get an item of a list", &at))
            kin__fail(KIN_ENOTFOUND, "could not get an item of a list: it had no item %lld",
                      (long long)index);
    }
    return error;
}

int kin_list_get(const kin_list *list, int64_t index, kin_any *out)
{
    return get(list, index, out, &(struct kin__outlet){.owned = true});
}

int kin_list_get_in(const kin_list *list, int64_t index, kin_any *out, void *buffer, size_t capacity)
{
    if (!buffer && capacity)
        return kin__fail(KIN_EINVAL, "cannot get an item of a list: a buffer of %zu bytes at NULL", capacity);
    return get(list, index, out, &(struct kin__outlet){.buffer = buffer, .capacity = capacity});
}

size_t kin_list_length(const kin_list *list)
{
    if (kin__list_check_pointer(list, "ask for a list's length"))
        return 0;
    for (;;) {
        const _Atomic uint64_t *version = &list->shard.version;
        struct kin__version_watch watch = {version, atomic_load_explicit(version, memory_order_acquire)};
        struct kin__items items = kin__items_of(list);
        if (kin__watch_holds(&watch))
            return items.length;
    }
}

int kin_list_get_many(const kin_list *list, int64_t index, size_t count, kin_any *values, size_t *got)
{
    size_t done = 0;
    int error = kin__list_check_pointer(list, "get items of a list");
    if (count && !values)
        return kin__fail(KIN_EINVAL, "cannot get items of a list: %zu values at NULL", count);
    uint64_t length = error ? 0 : kin_list_length(list), from = kin__list_clamp(index, length);
    while (!error && done < count) {
        error = read_item(list, (int64_t)(from + done), &values[done], &(struct kin__outlet){.owned = true});
        done += !error;
    }
    if (got)
        *got = done;
    if (!error || error == KIN_ENOTFOUND)
        return 0;
    while (done-- > 0)
        kin__any_drop(&values[done]);
    return error;
}

int kin_list_wait_change(const kin_list *list, int64_t index, const kin_any *seen, kin_any *out,
                         double timeout)
{
    struct kin__call call;
    struct kin__form form;
    const char *what = "wait for an item of a list";
    int error = kin__list_check_pointer(list, what);
    if (!error)
        error = kin__timeout_check(timeout);
    if (!error && seen)
        error = kin__form_make(&form, seen, what);
    if (!error)
        error = kin__call_begin(&call, list, timeout, what);
    if (error)
        return error;
    struct kin__event *event = (struct kin__event *)(uintptr_t)&list->shard.changed;
    struct kin__nap nap = {0};
    for (bool prepared = false;; prepared = true) {
        kin_any now = {.type = KIN_ANY_NOTHING};
        error = read_item(list, index, &now, &(struct kin__outlet){.owned = true});
        bool changed = error == KIN_ENOTFOUND ? seen != NULL : !seen || !kin__any_equals(&now, seen);
        if ((error && error != KIN_ENOTFOUND) || changed) {
            if (out)
                *out = now;
            else
                kin__any_drop(&now);
            return error == KIN_ENOTFOUND ? kin__fail(error, "the item is gone") : error;
        }
        kin__any_drop(&now);
        if (prepared && kin__event_sleep(event, list, nap, kin__patience_deadline(&call.patience)))
            return kin__fail(KIN_ETIMEDOUT, "it has not changed for %g seconds", timeout);
        nap = kin__event_prepare(event);
    }
}

/* ---- arrays ------------------------------------------------------------------------------------ */

struct kin__array *kin__list_array(kin_list *list, uint64_t length)
{
    uint64_t capacity = FIRST_CAPACITY;
    while (capacity < length)
        capacity = 2 * capacity + 2; /* so that head and words fill a size of the heap */
    struct kin__array *array =
        kin__shard_block(&list->shard.step.spare[0], sizeof *array + capacity * sizeof(uint64_t));
    if (!array)
        return NULL;
    array->capacity = capacity;
    array->bounds = length;
    memset(array->words + length, 0, (capacity - length) * sizeof(uint64_t));
    return array;
}

void kin__list_replace(kin_list *list, struct kin__array *array)
{
    list->shard.step.doomed[0] = list->root;
    kin__shard_commit(&list->shard, &list->root, (uint64_t)(uintptr_t)array, 0);
}

int kin__list_reserve(kin_list *list, struct kin__items *items, uint64_t more)
{
    uint64_t length = items->length;
    if (more > KIN_LIST_MAX || length + more > KIN_LIST_MAX)
        return kin__fail(KIN_ELIMIT, "cannot add %llu items to %s: it has %llu, and can have %zu",
                         (unsigned long long)more, kin__title(list).text, (unsigned long long)length,
                         KIN_LIST_MAX);
    if (items->array && items->first + length + more <= items->array->capacity)
        return 0;
    /* Where items are popped in front, room for more of them, so that they are not moved each time. */
    uint64_t spare = items->first ? length / 2 : 0;
    struct kin__array *array = kin__list_array(list, length + more + spare);
    if (!array)
        return kin_error_code();
    if (length)
        memcpy(array->words, kin__item_at(items, 0), length * sizeof(uint64_t));
    memset(array->words + length, 0, (more + spare) * sizeof(uint64_t));
    array->bounds = length;
    kin__list_replace(list, array);
    *items = kin__items_of(list);
    return 0;
}

int kin__list_write(kin_list *list, const struct kin__items *items, const kin_any *values, uint64_t count,
                    const char *what, struct kin__value *first)
{
    int error = 0;
    for (uint64_t i = 0; i < count && !error; i++) {
        struct kin__value made, *value = i == 0 && first ? first : &made;
        uint64_t *at = kin__item_at(items, items->length + i), word = 0;
        if (value == &made)
            error = kin__value_make(value, &values[i], what);
        if (!error) {
            word = kin__value_word(value, at);
            error = word ? 0 : kin_error_code();
        }
        if (!error)
            __atomic_store_n(at, word, __ATOMIC_RELEASE);
    }
    if (error)
        kin__list_sweep(list);
    return error;
}

void kin__list_set_bounds(kin_list *list, const struct kin__items *items, uint64_t first, uint64_t length)
{
    kin__crash_fence();
    /* Release: partner is the acquire of readers, who find the words written. */
    __atomic_store_n(&items->array->bounds, first << 32 | length, __ATOMIC_RELEASE);
    kin__crash_fence();
    if (first != items->first || length < items->length)
        kin__shard_free_begins(&list->shard);
    for (uint64_t i = items->first; i < items->first + items->length; i++) {
        if (i == first && length) {
            i += length - 1;
            continue;
        }
        uint64_t *word = &items->array->words[i];
        if (kin__cell_is_block(*word))
            kin__heap_free_at(word);
        else
            kin__poke(word, 0);
    }
}

/* ---- at the ends ------------------------------------------------------------------------------- */

static int append(kin_list *list, const kin_any *values, size_t count, const char *what)
{
    struct kin__call call;
    struct kin__items items;
    struct kin__value first;
    int error = kin__list_enter_to_write(list, values, count, what, &call, &items, &first);
    if (error)
        return error;
    error = kin__list_reserve(list, &items, count);
    if (!error)
        error = kin__list_write(list, &items, values, count, what, &first);
    if (!error && count)
        kin__list_set_bounds(list, &items, items.first, items.length + count);
    error ? kin__list_leave(list, error) : kin__list_leave_changed(list);
    kin__value_drop(&first);
    return error;
}

int kin_list_append(kin_list *list, kin_any value)
{
    return append(list, &value, 1, "append to a list");
}

int kin_list_extend(kin_list *list, const kin_any *values, size_t count)
{
    return append(list, values, count, "extend a list");
}

int kin_list_set(kin_list *list, int64_t index, kin_any any)
{
    struct kin__call call;
    struct kin__items items;
    struct kin__value value;
    uint64_t at;
    const char *what = "set an item of a list";
    int error = kin__list_enter_to_write(list, &any, 1, what, &call, &items, &value);
    if (error)
        return error;
    if (!kin__list_index_of(list, &items, index, what, &at)) {
        error = kin__list_leave(list, KIN_ENOTFOUND);
    } else {
        int stored = kin__shard_store(&list->shard, kin__item_at(&items, at), &value);
        error = stored > 0 ? kin__list_leave_changed(list) : kin__list_leave(list, stored);
    }
    kin__value_drop(&value);
    return error;
}

int kin_list_pop(kin_list *list, int64_t index, kin_any *out)
{
    struct kin__call call;
    struct kin__items items;
    uint64_t at;
    const char *what = "pop an item of a list";
    struct kin__outlet owned = {.owned = true};
    int error = kin__list_enter(list, what, &call, &items);
    if (error)
        return error;
    if (!kin__list_index_of(list, &items, index, what, &at))
        return kin__list_leave(list, KIN_ENOTFOUND);
    enum kin__got got = kin__cell_read(*kin__item_at(&items, at), out, &owned, KIN__UNDER_GATE);
    error = kin__got_error(got, out, &owned);
    if (!error)
        error = kin__list_delete_at(list, &items, at);
    if (!error)
        return kin__list_leave_changed(list);
    kin__any_drop(out);
    return kin__list_leave(list, error);
}

int kin_list_delete(kin_list *list, int64_t index)
{
    return kin_list_pop(list, index, NULL);
}

int kin_list_clear(kin_list *list)
{
    struct kin__call call;
    struct kin__items items;
    int error = kin__list_enter(list, "clear a list", &call, &items);
    if (error)
        return error;
    if (items.array)
        kin__list_set_bounds(list, &items, 0, 0);
    return kin__list_leave_changed(list);
}

int kin_list_free(kin_list *list)
{
    struct kin__call call;
    struct kin__items items;
    if (!list)
        return 0;
    int error = kin__list_check_pointer(list, "free a list");
    if (!error)
        error = kin__call_begin(&call, list, 0, "free a list");
    if (!error)
        error = kin__waits_none(list);
    if (!error)
        error = kin__shard_acquire_told(&list->shard, &call);
    if (error == KIN_ETIMEDOUT)
        return kin__fail(KIN_EBUSY, "cannot free %s: another process is in a call of it",
                         kin__title(list).text);
    if (error && error != KIN_EDIED)
        return error;
    kin__list_sweep(list);
    items = kin__items_of(list);
    if (items.array) {
        kin__list_set_bounds(list, &items, 0, 0);
        kin__list_replace(list, NULL);
    }
    kin__sync_free_opened(list);
    kin__use_end(kin__thread_mine);
    return 0;
}

int kin__list_check(const kin_list *list)
{
    const char *wrong = kin__shard_check(&list->shard);
    struct kin__items items = kin__items_of(list);
    if (items.array && items.first + items.length > items.array->capacity)
        wrong = "L1: the bounds are beyond the array";
    for (uint64_t i = 0; !wrong && items.array && i < items.array->capacity; i++) {
        bool within = i >= items.first && i < items.first + items.length;
        if (!within && items.array->words[i])
            wrong = "L1: there is something outside of the bounds";
        if (within && !items.array->words[i])
            wrong = "L1: an item is nothing";
    }
    return wrong ? kin__fail(KIN_EINVAL, "%s: %s", kin__title(list).text, wrong) : 0;
}
