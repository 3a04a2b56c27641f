/* manager/list.c - list and Array, an Array being a list that keeps its length. Who waits for a change is in list 0. */
#include "manager/server.h"

#include "base/failure.h"
#include "container/cell.h"

#include <stdlib.h>

#define CHANGES 0u
#define ARRAY_MOST ((int64_t)1 << 28)

struct list {
    struct kin__kept *items;
    size_t count, room;
};

static struct list *list_of(struct kin__entity *entity)
{
    return entity->state;
}

static void changed(struct kin_server *server, struct kin__entity *entity)
{
    kin__entity_wake(server, entity, CHANGES, true);
}

/* ---- places -------------------------------------------------------------------------------------------- */

/* The argument that is an index, from the end if it is negative. Up to `most`, which may be the length. */
static int index_arg(kin_call *call, struct kin__entity *entity, bool end_too, size_t *out)
{
    int64_t index, count = (int64_t)list_of(entity)->count;
    int error = kin__arg_int(call, "an index", &index);
    if (error)
        return error;
    int64_t place = index < 0 ? index + count : index;
    if (place < 0 || place >= count + end_too)
        return kin__fail(KIN_ENOTFOUND, "there is no index %lld: the %s has %lld items", (long long)index,
                         entity->kind->name, (long long)count);
    *out = (size_t)place;
    return 0;
}

static int insert_at(struct kin_server *server, struct list *list, size_t place, struct kin__reader value)
{
    struct kin__kept kept;
    if (list->count == list->room) {
        size_t room = list->room ? 2 * list->room : 8;
        struct kin__kept *items = realloc(list->items, room * sizeof *items);
        if (!items)
            return kin__fail(KIN_ENOMEM, "cannot add to a list: out of memory in the manager");
        list->items = items;
        list->room = room;
    }
    int error = kin__keep(server, value, &kept);
    if (error)
        return error;
    memmove(list->items + place + 1, list->items + place, (list->count - place) * sizeof *list->items);
    list->items[place] = kept;
    list->count++;
    return 0;
}

/* What was there is the caller's to let go. */
static struct kin__kept take_at(struct list *list, size_t place)
{
    struct kin__kept kept = list->items[place];
    list->count--;
    memmove(list->items + place, list->items + place + 1, (list->count - place) * sizeof *list->items);
    return kept;
}

/* Each item of the argument, which is a list, goes to the end. */
static int append_all(kin_call *call, struct list *list)
{
    struct kin__reader items, value;
    int error = kin__arg_list(call, &items);
    while (!error && kin__list_next(&items, &value))
        error = insert_at(call->server, list, list->count, value);
    return error;
}

static void empty(struct kin_server *server, struct list *list)
{
    while (list->count) {
        struct kin__kept last = list->items[--list->count];
        kin__let_go(server, &last);
    }
}

static void end_list(struct kin_server *server, struct kin__entity *entity)
{
    empty(server, list_of(entity));
    free(list_of(entity)->items);
    free(entity->state);
}

static int make_list(kin_call *call, struct kin__entity *entity)
{
    entity->state = calloc(1, sizeof(struct list));
    if (!entity->state)
        return kin__fail(KIN_ENOMEM, "cannot make a list: out of memory in the manager");
    int error = kin__arg_more(call) ? append_all(call, list_of(entity)) : 0;
    if (error)
        end_list(call->server, entity);
    return error;
}

/* ([type code], list or length); the type code is looked at by nobody, as in Python. */
static int make_array(kin_call *call, struct kin__entity *entity)
{
    static const uint8_t zero = 0;
    const uint8_t *code;
    size_t size;
    int64_t length = 0;
    kin__read_span(&call->rest, KIN__TEXT, &code, &size);
    if (!kin__read_int(&call->rest, &length))
        return make_list(call, entity);
    if (length < 0 || length > ARRAY_MOST)
        return kin__fail(KIN_EINVAL, "cannot make an Array of %lld items", (long long)length);
    int error = make_list(call, entity);
    bool made = !error;
    for (; !error && length; length--)
        error = insert_at(call->server, list_of(entity), list_of(entity)->count,
                          (struct kin__reader){&zero, &zero + 1});
    if (error && made)
        end_list(call->server, entity);
    return error;
}

/* ---- methods ------------------------------------------------------------------------------------------- */

static int get(kin_call *call, struct kin__entity *entity)
{
    size_t place = 0;
    int error = index_arg(call, entity, false, &place);
    if (!error)
        kin__put_kept(call->answer, &list_of(entity)->items[place]);
    return error;
}

static int replace(kin_call *call, struct kin__entity *entity, size_t place, struct kin__reader value)
{
    struct kin__kept kept, *item = &list_of(entity)->items[place], old = *item;
    int error = kin__keep(call->server, value, &kept);
    if (error)
        return error;
    *item = kept;
    kin__let_go(call->server, &old);
    changed(call->server, entity);
    return 0;
}

static int set(kin_call *call, struct kin__entity *entity)
{
    size_t place = 0;
    struct kin__reader value;
    int error = index_arg(call, entity, false, &place);
    if (error || (error = kin__arg_item(call, "a value", &value)))
        return error;
    return replace(call, entity, place, value);
}

static int add(kin_call *call, struct kin__entity *entity)
{
    size_t place = 0;
    struct kin__reader amount;
    struct kin__buffer sum = {0};
    int error = index_arg(call, entity, false, &place);
    if (error || (error = kin__arg_item(call, "a number", &amount)))
        return error;
    error = kin__put_sum(&sum, kin__kept_reader(&list_of(entity)->items[place]), amount);
    if (!error &&
        !(error = replace(call, entity, place, (struct kin__reader){sum.data, sum.data + sum.size})))
        kin__buffer_add(call->answer, sum.data, sum.size);
    kin__buffer_free(&sum);
    return error;
}

static int compare_and_set(kin_call *call, struct kin__entity *entity)
{
    size_t place = 0;
    struct kin__reader expected, value;
    bool same = false;
    int error = index_arg(call, entity, false, &place);
    if (error || (error = kin__arg_item(call, "a value", &expected)) ||
        (error = kin__arg_item(call, "a value", &value)) ||
        (error = kin__same_items(call->server, kin__kept_reader(&list_of(entity)->items[place]), expected,
                                 &same)))
        return error;
    if (same)
        error = replace(call, entity, place, value);
    kin__put_bool(call->answer, same);
    return error;
}

/* wait_change(index, [seen], timeout) */
static int wait_change(kin_call *call, struct kin__entity *entity)
{
    size_t place = 0;
    struct kin__reader seen;
    double timeout;
    bool given, same = false;
    int error = index_arg(call, entity, false, &place);
    if (error || (error = kin__arg_seen(call, &seen, &given, &timeout)))
        return error;
    const struct kin__kept *item = &list_of(entity)->items[place];
    if (given && (error = kin__same_items(call->server, kin__kept_reader(item), seen, &same)))
        return error;
    if (same)
        return kin__call_park(call, entity, CHANGES, timeout);
    kin__put_kept(call->answer, item);
    return 0;
}

static int length(kin_call *call, struct kin__entity *entity)
{
    kin__put_head(call->answer, KIN__UINT, list_of(entity)->count);
    return 0;
}

static int append(kin_call *call, struct kin__entity *entity)
{
    struct kin__reader value;
    int error = kin__arg_item(call, "a value", &value);
    return error ? error : insert_at(call->server, list_of(entity), list_of(entity)->count, value);
}

static int extend(kin_call *call, struct kin__entity *entity)
{
    return append_all(call, list_of(entity));
}

/* insert(index, value): an index beyond is the end, as in Python. */
static int insert(kin_call *call, struct kin__entity *entity)
{
    int64_t index, count = (int64_t)list_of(entity)->count;
    struct kin__reader value;
    int error = kin__arg_int(call, "an index", &index);
    if (error || (error = kin__arg_item(call, "a value", &value)))
        return error;
    index = index < 0 ? index + count : index;
    index = index < 0 ? 0 : index > count ? count : index;
    error = insert_at(call->server, list_of(entity), (size_t)index, value);
    changed(call->server, entity);
    return error;
}

static int delete (kin_call *call, struct kin__entity *entity)
{
    size_t place = 0;
    int error = index_arg(call, entity, false, &place);
    if (error)
        return error;
    struct kin__kept old = take_at(list_of(entity), place);
    kin__let_go(call->server, &old);
    changed(call->server, entity);
    return 0;
}

/* pop([index]): the last one */
static int pop(kin_call *call, struct kin__entity *entity)
{
    size_t place = list_of(entity)->count - 1;
    if (!list_of(entity)->count)
        return kin__fail(KIN_ENOTFOUND, "the list is empty");
    int error = kin__arg_more(call) ? index_arg(call, entity, false, &place) : 0;
    if (error)
        return error;
    struct kin__kept old = take_at(list_of(entity), place);
    kin__put_kept(call->answer, &old);
    kin__hand_out(call->server, &old);
    changed(call->server, entity);
    return 0;
}

/* The first item, from `place` on, that equals the argument. */
static int find(kin_call *call, struct kin__entity *entity, struct kin__reader value, size_t *place,
                bool *found)
{
    int error = 0;
    *found = false;
    for (; *place < list_of(entity)->count; ++*place) {
        error =
            kin__same_items(call->server, kin__kept_reader(&list_of(entity)->items[*place]), value, found);
        if (error || *found)
            break;
    }
    return error;
}

static int index_of(kin_call *call, struct kin__entity *entity)
{
    struct kin__reader value;
    size_t place = 0;
    bool found;
    int error = kin__arg_item(call, "a value", &value);
    if (error || (error = find(call, entity, value, &place, &found)))
        return error;
    if (!found)
        return kin__fail(KIN_ENOTFOUND, "the value is not in the %s", entity->kind->name);
    kin__put_head(call->answer, KIN__UINT, place);
    return 0;
}

static int contains(kin_call *call, struct kin__entity *entity)
{
    struct kin__reader value;
    size_t place = 0;
    bool found;
    int error = kin__arg_item(call, "a value", &value);
    if (error || (error = find(call, entity, value, &place, &found)))
        return error;
    kin__put_bool(call->answer, found);
    return 0;
}

static int count_of(kin_call *call, struct kin__entity *entity)
{
    struct kin__reader value;
    uint64_t count = 0;
    bool found = true;
    int error = kin__arg_item(call, "a value", &value);
    for (size_t place = 0; !error && found; place++) {
        error = find(call, entity, value, &place, &found);
        count += found;
    }
    if (!error)
        kin__put_head(call->answer, KIN__UINT, count);
    return error;
}

static int remove_value(kin_call *call, struct kin__entity *entity)
{
    struct kin__reader value;
    size_t place = 0;
    bool found;
    int error = kin__arg_item(call, "a value", &value);
    if (error || (error = find(call, entity, value, &place, &found)))
        return error;
    if (!found)
        return kin__fail(KIN_ENOTFOUND, "the value is not in the list");
    struct kin__kept old = take_at(list_of(entity), place);
    kin__let_go(call->server, &old);
    changed(call->server, entity);
    return 0;
}

static int clear(kin_call *call, struct kin__entity *entity)
{
    empty(call->server, list_of(entity));
    changed(call->server, entity);
    return 0;
}

static int reverse(kin_call *call, struct kin__entity *entity)
{
    struct list *list = list_of(entity);
    for (size_t i = 0; i < list->count / 2; i++) {
        struct kin__kept one = list->items[i];
        list->items[i] = list->items[list->count - 1 - i];
        list->items[list->count - 1 - i] = one;
    }
    changed(call->server, entity);
    return 0;
}

/* ---- order ------------------------------------------------------------------------------------------------- */

/* Who sorts has seen that all are of one sort. */
static int compare(const struct kin__kept *one, const struct kin__kept *other)
{
    kin_any a, b;
    int order = 0;
    kin__item_view(one->data, one->size, &a);
    kin__item_view(other->data, other->size, &b);
    kin__any_order(&a, &b, &order);
    return order;
}

static int sort_of(const struct kin__kept *kept)
{
    kin_any any;
    kin__item_view(kept->data, kept->size, &any);
    switch (any.type) {
    case KIN_ANY_BOOL:
    case KIN_ANY_INT:
    case KIN_ANY_UINT:
    case KIN_ANY_REAL:
        return 1;
    case KIN_ANY_TEXT:
        return 2;
    case KIN_ANY_BYTES:
        return 3;
    default:
        return 0;
    }
}

/* A merge: items that are equal keep their order, as in Python. */
static void merge_sort(struct kin__kept *items, struct kin__kept *room, size_t count)
{
    if (count < 2)
        return;
    size_t half = count / 2, i = 0, j = half;
    merge_sort(items, room, half);
    merge_sort(items + half, room, count - half);
    memcpy(room, items, count * sizeof *items);
    for (size_t k = 0; k < count; k++)
        items[k] = j == count || (i < half && compare(&room[i], &room[j]) <= 0) ? room[i++] : room[j++];
}

static int sort(kin_call *call, struct kin__entity *entity)
{
    struct list *list = list_of(entity);
    for (size_t i = 0; i < list->count; i++)
        if (!sort_of(&list->items[i]) || sort_of(&list->items[i]) != sort_of(&list->items[0]))
            return kin__fail(KIN_EINVAL,
                             "cannot sort: not all items are numbers, nor all texts, nor all bytes");
    struct kin__kept *room = malloc((list->count + 1) * sizeof *room);
    if (!room)
        return kin__fail(KIN_ENOMEM, "cannot sort: out of memory in the manager");
    merge_sort(list->items, room, list->count);
    free(room);
    changed(call->server, entity);
    return 0;
}

/* ---- many -------------------------------------------------------------------------------------------------- */

static void put_range(kin_call *call, const struct list *list, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        kin__put_kept(call->answer, &list->items[i]);
}

/* page(from, most): [next, value, ...] */
static int page(kin_call *call, struct kin__entity *entity)
{
    int64_t from, most;
    const struct list *list = list_of(entity);
    int error = kin__arg_page(call, &from, &most);
    if (error)
        return error;
    size_t first = (size_t)from < list->count ? (size_t)from : list->count;
    size_t end = (size_t)most < list->count - first ? first + (size_t)most : list->count;
    kin__put_head(call->answer, KIN__LIST, 1 + end - first);
    kin__put_head(call->answer, KIN__UINT, end < list->count ? end : 0);
    put_range(call, list, first, end);
    return 0;
}

/* slice(from, to): as Python's [from:to] */
static int slice(kin_call *call, struct kin__entity *entity)
{
    int64_t from, to, count = (int64_t)list_of(entity)->count;
    int error = kin__arg_int(call, "where to begin", &from);
    if (error || (error = kin__arg_int(call, "where to end", &to)))
        return error;
    from = from < 0 ? from + count : from;
    to = to < 0 ? to + count : to;
    from = from < 0 ? 0 : from > count ? count : from;
    to = to < from ? from : to > count ? count : to;
    kin__put_head(call->answer, KIN__LIST, (uint64_t)(to - from));
    put_range(call, list_of(entity), (size_t)from, (size_t)to);
    return 0;
}

static int copy(kin_call *call, struct kin__entity *entity)
{
    kin__put_head(call->answer, KIN__LIST, list_of(entity)->count);
    put_range(call, list_of(entity), 0, list_of(entity)->count);
    return 0;
}

/* What Arrays have comes first. */
static const struct kin__kind_method methods[] = {
    {"get", get},
    {"set", set},
    {"add", add},
    {"length", length},
    {"compare_and_set", compare_and_set},
    {"wait_change", wait_change},
    {"page", page},
    {"slice", slice},
    {"copy", copy},
    {"index", index_of},
    {"count", count_of},
    {"contains", contains},
    {"reverse", reverse},
    {"sort", sort},
    {"append", append},
    {"extend", extend},
    {"insert", insert},
    {"delete", delete},
    {"pop", pop},
    {"remove", remove_value},
    {"clear", clear},
};
#define OF_ARRAYS 14

const struct kin__kind kin__kind_list = {
    .name = "list",
    .make = make_list,
    .end = end_list,
    .methods = methods,
    .method_count = sizeof methods / sizeof *methods,
};

const struct kin__kind kin__kind_array = {
    .name = "Array",
    .make = make_array,
    .end = end_list,
    .methods = methods,
    .method_count = OF_ARRAYS,
};
