/*
 * container/list_shared.h - a list as it lies in the heap.
 *
 * A shard with one root: the array of the items' cells, and where in it the list begins and ends (`bounds`). Four kinds of change, each by
 * one store: an item (its cell), the bounds (append, extend, pop, insert at the ends, clear), and the root, to an array that was made anew
 * (everything else). New items are written outside of the bounds first. What lies there when nobody is in a call is 0.
 *
 *   field      written by     rule                                          when the writer dies there
 *   --------   ------------   -------------------------------------------   ---------------------------------------
 *   shard      see container/shard.h
 *   root       gate owner     one store, to a whole array; 0: empty         the old array, or the new one
 *   capacity   who makes it   before root
 *   bounds     gate owner     first << 32 | length: one store               old or new
 *   words      gate owner     within the bounds: see container/cell.h       old or new
 *                             outside: before bounds, or 0 after            kin__list_sweep frees what is there
 *
 *   L1  nobody has the gate: all words outside of the bounds are 0
 */
#ifndef KIN_CONTAINER_LIST_SHARED_H
#define KIN_CONTAINER_LIST_SHARED_H

#include "container/shard.h"
#include "kin/list.h"

struct kin__array {
    uint64_t capacity;
    uint64_t bounds;
    uint64_t words[];
};

struct kin_list {
    struct kin__sync sync;
    double timeout;
    _Alignas(64) struct kin__shard shard;
    uint64_t root;
};

/* A list under its gate, or as a reader sees it. */
struct kin__items {
    struct kin__array *array; /* NULL: empty */
    uint64_t first, length;
};

static inline struct kin__items kin__items_of(const kin_list *list)
{
    struct kin__items items = {0};
    /* Acquire: partners are the releases of who stored root, and bounds. */
    items.array = (struct kin__array *)(uintptr_t)__atomic_load_n(&list->root, __ATOMIC_ACQUIRE);
    if (items.array) {
        uint64_t bounds = __atomic_load_n(&items.array->bounds, __ATOMIC_ACQUIRE);
        items.first = bounds >> 32;
        items.length = (uint32_t)bounds;
    }
    return items;
}

static inline uint64_t *kin__item_at(const struct kin__items *items, uint64_t index)
{
    return &items->array->words[items->first + index];
}

int kin__list_check_pointer(const kin_list *list, const char *what);

/* Begin a call that changes the list: the gate is ours, and what a dead one left is mended. */
int kin__list_enter(kin_list *list, const char *what, struct kin__call *call, struct kin__items *items);
/* The same with values that are to be written: the first one is made before, so that a large one is not copied under the gate. It has to be
 * dropped in the end, but not after an error. */
int kin__list_enter_to_write(kin_list *list, const kin_any *values, uint64_t count, const char *what,
                             struct kin__call *call, struct kin__items *items, struct kin__value *first);
int kin__list_leave(kin_list *list, int error);
int kin__list_leave_changed(kin_list *list);

/* An index as it is meant, from 0. False, with a record: there is no such item. */
bool kin__list_index_of(const kin_list *list, const struct kin__items *items, int64_t index, const char *what,
                        uint64_t *at);
/* One of a range: cut off at the ends. */
uint64_t kin__list_clamp(int64_t index, uint64_t length);

/* Room for `more` items behind the last; the array may be another then. KIN_ENOMEM, KIN_ELIMIT. */
int kin__list_reserve(kin_list *list, struct kin__items *items, uint64_t more);

/* Write items behind the last, outside of the bounds; the first may be made already, else NULL. On an error there is nothing. */
int kin__list_write(kin_list *list, const struct kin__items *items, const kin_any *values, uint64_t count,
                    const char *what, struct kin__value *first);

/* The bounds are others, and what is outside of them is freed. */
void kin__list_set_bounds(kin_list *list, const struct kin__items *items, uint64_t first, uint64_t length);

/* Free what is outside of the bounds. */
void kin__list_sweep(kin_list *list);

/* An array for so many, which the shard names as spare; its words are to be filled. NULL: an error. */
struct kin__array *kin__list_array(kin_list *list, uint64_t length);
/* It becomes the list's, and the old one is freed; with what the shard's step names as doomed[1], or batch. */
void kin__list_replace(kin_list *list, struct kin__array *array);

/* Delete one item, under the gate. KIN_ENOMEM. */
int kin__list_delete_at(kin_list *list, struct kin__items *items, uint64_t at);

/* Whether L1 and H1 hold, with all members at rest; for tests. */
int kin__list_check(const kin_list *list);

#endif
