/* list_test.c - kin/list.h. What CPython's class _TestContainers tests of lists is marked so. */
#include "container/list_shared.h"
#include "container_common.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 600

static int64_t item(const kin_list *list, int64_t index)
{
    kin_any value = {0};
    int error = kin_list_get(list, index, &value);
    ck_assert_msg(error == 0 && value.type == KIN_ANY_INT, "item %lld: %s", (long long)index,
                  kin_error_message());
    return value.integer;
}

/* Whether it holds these integers. */
static void holds(const kin_list *list, const int64_t *expected, size_t count)
{
    ck_assert_uint_eq(kin_list_length(list), count);
    for (size_t i = 0; i < count; i++)
        ck_assert_int_eq(item(list, (int64_t)i), expected[i]);
    ck_assert_int_eq(kin__list_check(list), 0);
}
#define HOLDS(list, ...) \
    holds((list), (const int64_t[]){__VA_ARGS__}, sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

static kin_list *range(int64_t from, int64_t to)
{
    kin_list *list = kin_list_new(NULL);
    ck_assert_ptr_nonnull(list);
    for (int64_t i = from; i < to; i++)
        ck_assert_int_eq(kin_list_append(list, kin_any_int(i)), 0);
    return list;
}

/* test_list, test_list_proxy_in_list */
static int work_on_a_list(void *arg)
{
    kin_list *outer = arg;
    kin_any value;
    child_assert(kin_list_get(outer, 0, &value) == 0 && value.type == KIN_ANY_POINTER);
    child_assert(kin_list_append((kin_list *)(uintptr_t)value.data, kin_any_text("hello")) == 0);
    return 0;
}

static void list_does_what_pythons_does(void)
{
    test_init();
    kin_list *a = range(0, 10), *b = kin_list_new(NULL), *outer = kin_list_new(NULL);
    HOLDS(a, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    ck_assert_uint_eq(kin_list_length(b), 0);
    kin_any five[5];
    for (int i = 0; i < 5; i++)
        five[i] = kin_any_int(i);
    ck_assert_int_eq(kin_list_extend(b, five, 5), 0);
    HOLDS(b, 0, 1, 2, 3, 4);
    ck_assert_int_eq(item(b, 2), 2);
    kin_list *slice = kin_list_slice(b, 2, 10, 1);
    HOLDS(slice, 2, 3, 4);
    ck_assert_int_eq(kin_list_free(slice), 0);
    ck_assert_int_eq(kin_list_repeat(b, 2), 0);
    HOLDS(b, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4);
    kin_list *sum = kin_list_copy(b);
    ck_assert_int_eq(kin_list_extend(sum, (kin_any[]){kin_any_int(5), kin_any_int(6)}, 2), 0);
    HOLDS(sum, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5, 6);
    HOLDS(a, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    ck_assert_int_eq(kin_list_append(outer, kin_any_pointer(a)), 0);
    ck_assert_int_eq(kin_list_append(outer, kin_any_pointer(b)), 0);
    run_child(work_on_a_list, outer);
    kin_any value;
    ck_assert_uint_eq(kin_list_length(a), 11);
    ck_assert_int_eq(kin_list_get(a, -1, &value), 0);
    ck_assert_str_eq((const char *)value.data, "hello");
    kin_any_clear(&value);
    kin_list *all[] = {a, b, outer, sum};
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(kin_list_free(all[i]), 0);
}

/* test_list_iter */
static int fill_with_numbers(void *arg)
{
    for (int i = 0; i < 10; i++)
        child_assert(kin_list_append(arg, kin_any_int(i)) == 0);
    return 0;
}

static void list_is_gone_through(void)
{
    test_init();
    kin_list *list = kin_list_new(NULL);
    run_child(fill_with_numbers, list);
    kin_any value;
    int64_t i = 0;
    while (kin_list_get(list, i, &value) == 0)
        ck_assert_int_eq(value.integer, i++);
    ck_assert_int_eq(i, 10);
    kin_any values[4];
    size_t got;
    for (i = 0; kin_list_get_many(list, i, 4, values, &got) == 0 && got; i += (int64_t)got)
        for (size_t k = 0; k < got; k++)
            ck_assert_int_eq(values[k].integer, i + (int64_t)k);
    ck_assert_int_eq(i, 10);
    ck_assert_int_eq(kin_list_free(list), 0);
}

static void items_are_inserted_and_deleted_anywhere(void)
{
    test_init();
    size_t before = blocks_in_use();
    kin_list *list = range(0, 3);
    ck_assert_int_eq(kin_list_insert(list, 1, kin_any_int(10)), 0);
    ck_assert_int_eq(kin_list_insert(list, 0, kin_any_int(11)), 0);
    ck_assert_int_eq(kin_list_insert(list, 100, kin_any_int(12)), 0);
    ck_assert_int_eq(kin_list_insert(list, -1, kin_any_int(13)), 0);
    HOLDS(list, 11, 0, 10, 1, 2, 13, 12);
    ck_assert_int_eq(kin_list_delete(list, 2), 0);
    ck_assert_int_eq(kin_list_delete(list, -1), 0);
    ck_assert_int_eq(kin_list_delete(list, 0), 0);
    HOLDS(list, 0, 1, 2, 13);
    ck_assert_int_eq(kin_list_delete(list, 4), KIN_ENOTFOUND);
    ck_assert_int_eq(kin_list_delete(list, -5), KIN_ENOTFOUND);
    ck_assert_int_eq(kin_list_set_slice(list, 1, 3, (kin_any[]){kin_any_int(7)}, 1), 0);
    HOLDS(list, 0, 7, 13);
    ck_assert_int_eq(kin_list_set_slice(list, 0, 2, NULL, 0), 0);
    HOLDS(list, 13);
    ck_assert_int_eq(kin_list_set_slice(
                         list, 5, 2, (kin_any[]){kin_any_int(1), kin_any_text("long enough for a block")}, 2),
                     0);
    ck_assert_uint_eq(kin_list_length(list), 3);
    ck_assert_int_eq(kin_list_clear(list), 0);
    ck_assert_uint_eq(kin_list_length(list), 0);
    ck_assert_int_eq(kin_list_free(list), 0);
    ck_assert_uint_eq(blocks_in_use(), before);
}

static void values_are_looked_for(void)
{
    test_init();
    kin_list *list = kin_list_new(NULL);
    size_t at;
    bool there;
    const char *long_text = "a text that lies in a block";
    const kin_any values[] = {kin_any_int(1),     kin_any_text("1"),      kin_any_real(1.0),
                              kin_any_bool(true), kin_any_null(),         kin_any_text(long_text),
                              kin_any_real(0.1),  kin_any_text(long_text)};
    ck_assert_int_eq(kin_list_extend(list, values, 8), 0);
    ck_assert_int_eq(kin_list_index(list, kin_any_text(long_text), 0, INT64_MAX, &at), 0);
    ck_assert_uint_eq(at, 5);
    ck_assert_int_eq(kin_list_index(list, kin_any_text(long_text), 6, INT64_MAX, &at), 0);
    ck_assert_uint_eq(at, 7);
    ck_assert_int_eq(kin_list_index(list, kin_any_text(long_text), 6, 7, &at), KIN_ENOTFOUND);
    ck_assert_int_eq(kin_list_count(list, kin_any_real(1.0), &at), 0); /* 1 equals it, true does not */
    ck_assert_uint_eq(at, 2);
    ck_assert_int_eq(kin_list_contains(list, kin_any_null(), &there), 0);
    ck_assert(there);
    ck_assert_int_eq(kin_list_remove(list, kin_any_text(long_text)), 0);
    ck_assert_int_eq(kin_list_index(list, kin_any_text(long_text), 0, INT64_MAX, &at), 0);
    ck_assert_uint_eq(at, 6);
    ck_assert_int_eq(kin_list_remove(list, kin_any_text(long_text)), 0);
    ck_assert_int_eq(kin_list_remove(list, kin_any_text(long_text)), KIN_ENOTFOUND);
    ck_assert_int_eq(kin_list_contains(list, kin_any_text(long_text), &there), 0);
    ck_assert(!there);
    ck_assert_int_eq(kin_list_free(list), 0);
}

static void list_is_sorted_and_reversed(void)
{
    test_init();
    size_t before = blocks_in_use();
    kin_list *list = kin_list_new(NULL), *texts = kin_list_new(NULL);
    const kin_any numbers[] = {kin_any_int(5),         kin_any_real(4.5),  kin_any_int(-1),
                               kin_any_int(INT64_MAX), kin_any_real(-1.0), kin_any_bool(true)};
    ck_assert_int_eq(kin_list_extend(list, numbers, 6), 0);
    ck_assert_int_eq(kin_list_sort(list, false), 0);
    kin_any value;
    ck_assert_int_eq(item(list, 0), -1); /* stable: it stood before -1.0 */
    ck_assert_int_eq(kin_list_get(list, 1, &value), 0);
    ck_assert(value.type == KIN_ANY_REAL && value.real == -1.0);
    ck_assert_int_eq(item(list, 5), INT64_MAX);
    ck_assert_int_eq(kin_list_sort(list, true), 0);
    ck_assert_int_eq(item(list, 0), INT64_MAX);
    ck_assert_int_eq(item(list, 4), -1); /* and so it is downwards */
    ck_assert_int_eq(kin_list_append(list, kin_any_text("x")), 0);
    ck_assert_int_eq(kin_list_sort(list, false), KIN_EINVAL);
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "have no order"));
    const char *words[] = {"pear", "apple", "a quite long text in a block", "fig", ""};
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(kin_list_append(texts, kin_any_text(words[i])), 0);
    ck_assert_int_eq(kin_list_sort(texts, false), 0);
    ck_assert_int_eq(kin_list_reverse(texts), 0);
    const char *expected[] = {"pear", "fig", "apple", "a quite long text in a block", ""};
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(kin_list_get(texts, i, &value), 0);
        ck_assert_str_eq((const char *)value.data, expected[i]);
        kin_any_clear(&value);
    }
    ck_assert_int_eq(kin_list_free(list), 0);
    ck_assert_int_eq(kin_list_free(texts), 0);
    ck_assert_uint_eq(blocks_in_use(), before);
}

static void slices_are_pythons(void)
{
    test_init();
    kin_list *list = range(0, 6);
    static const struct {
        int64_t start, stop, step, expected[6];
        size_t count;
    } cases[] = {{0, INT64_MAX, 1, {0, 1, 2, 3, 4, 5}, 6},
                 {1, -1, 2, {1, 3}, 2},
                 {-2, INT64_MAX, 1, {4, 5}, 2},
                 {5, 1, -2, {5, 3}, 2},
                 {5, -100, -1, {5, 4, 3, 2, 1, 0}, 6},
                 {3, 3, 1, {0}, 0},
                 {4, 2, 1, {0}, 0},
                 {100, 200, 1, {0}, 0},
                 {-100, 2, 1, {0, 1}, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kin_list *slice = kin_list_slice(list, cases[i].start, cases[i].stop, cases[i].step);
        ck_assert_ptr_nonnull(slice);
        holds(slice, cases[i].expected, cases[i].count);
        ck_assert_int_eq(kin_list_free(slice), 0);
    }
    ck_assert_ptr_null(kin_list_slice(list, 0, 1, 0));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    ck_assert_int_eq(kin_list_free(list), 0);
}

static void mistakes_are_told(void)
{
    test_init();
    kin_list *list = kin_list_new(KIN_LIST_OPTIONS(.name = "log"));
    kin_dict *dict = kin_dict_new(NULL);
    kin_any value;
    char buffer[8];
    int on_stack = 0;
    ck_assert_int_eq(kin_list_append(NULL, kin_any_int(1)), KIN_EINVAL);
    ck_assert_int_eq(kin_list_append((kin_list *)dict, kin_any_int(1)), KIN_EINVAL);
    ck_assert_int_eq(kin_list_get(list, 0, &value), KIN_ENOTFOUND);
    ck_assert_str_eq(kin_error_message(),
                     "could not get an item of a list: list \"log\" has no item 0, only 0");
    ck_assert_int_eq(kin_list_set(list, 0, kin_any_int(1)), KIN_ENOTFOUND);
    ck_assert_int_eq(kin_list_pop(list, -1, &value), KIN_ENOTFOUND);
    ck_assert_int_eq(kin_list_append(list, kin_any_nothing()), KIN_EINVAL);
    ck_assert_int_eq(kin_list_append(list, kin_any_pointer(&on_stack)), KIN_ENOTSHARED);
    ck_assert_int_eq(
        kin_list_extend(list, (kin_any[]){kin_any_text("one that lies in a block"), kin_any_nothing()}, 2),
        KIN_EINVAL);
    ck_assert_uint_eq(kin_list_length(list), 0);
    ck_assert_int_eq(kin__list_check(list), 0);
    ck_assert_int_eq(kin_list_extend(list, NULL, 1), KIN_EINVAL);
    ck_assert_int_eq(kin_list_append(list, kin_any_text("twelve bytes")), 0);
    ck_assert_int_eq(kin_list_get_in(list, 0, &value, buffer, sizeof buffer), KIN_ETOOLARGE);
    ck_assert_uint_eq(value.size, 12);
    ck_assert_int_eq(kin_list_repeat(list, SIZE_MAX), KIN_ELIMIT);
    ck_assert_int_eq(kin_list_wait_change(list, 0, NULL, NULL, -1), KIN_EINVAL);
    ck_assert_ptr_null(kin_list_new(KIN_LIST_OPTIONS(.timeout = NAN)));
    ck_assert_ptr_null(kin_list_copy((kin_list *)dict));
    ck_assert_int_eq(kin_list_free((kin_list *)dict), KIN_EINVAL);
    ck_assert_int_eq(kin_list_free(NULL), 0);
    ck_assert_int_eq(kin_list_free(list), 0);
    ck_assert_int_eq(kin_list_append(list, kin_any_int(1)), KIN_EINVAL);
    ck_assert_int_eq(kin_dict_free(dict), 0);
}

/* ---- against a model --------------------------------------------------------------------------- */

struct model {
    uint32_t item[MOST];
    size_t count;
};

static unsigned char bytes[50000];

/* A value that tells its number, in a word or in a block, small or large. */
static kin_any value_of(uint32_t number)
{
    if (number % 3)
        return kin_any_int((int64_t)number * (number % 3 == 1 ? 1 : INT64_C(0x1000000000)));
    size_t size = 4 + (number % 331 == 0 ? 40000 : number % 60);
    pattern(bytes, number, size);
    memcpy(bytes, &number, 4);
    return kin_any_bytes(bytes, size);
}

static bool is_value(kin_any *value, uint32_t number)
{
    kin_any expected = value_of(number);
    bool same = value->type == expected.type && value->size == expected.size &&
                (value->size ? memcmp(value->data, expected.data, value->size) == 0
                             : value->integer == expected.integer);
    kin_any_clear(value);
    return same;
}

static void splice(struct model *model, size_t at, size_t out, const uint32_t *in, size_t count)
{
    memmove(model->item + at + count, model->item + at + out, (model->count - at - out) * sizeof *in);
    if (count)
        memcpy(model->item + at, in, count * sizeof *in);
    model->count += count - out;
}

static void same_items(const kin_list *list, const struct model *model)
{
    ck_assert_uint_eq(kin_list_length(list), model->count);
    ck_assert_msg(kin__list_check(list) == 0, "%s", kin_error_message());
    for (size_t i = 0; i < model->count; i++) {
        kin_any value;
        ck_assert_int_eq(kin_list_get(list, (int64_t)i, &value), 0);
        ck_assert_msg(is_value(&value, model->item[i]), "item %zu", i);
    }
}

static void one_step(kin_list *list, struct model *model, uint64_t *state)
{
    uint32_t what = random_next(state) % 100, number = random_next(state) % 3000, many[3];
    size_t count = model->count, at = count ? random_next(state) % count : 0;
    kin_any value;
    if (what < 20 && count < MOST - 4) {
        ck_assert_int_eq(kin_list_append(list, value_of(number)), 0);
        splice(model, count, 0, &number, 1);
    } else if (what < 30 && count < MOST - 4) {
        ck_assert_int_eq(kin_list_insert(list, (int64_t)at, value_of(number)), 0);
        splice(model, at, 0, &number, 1);
    } else if (what < 40) {
        ck_assert_int_eq(kin_list_set(list, (int64_t)at, value_of(number)), count ? 0 : KIN_ENOTFOUND);
        if (count)
            model->item[at] = number;
    } else if (what < 65) {
        at = what < 48 ? 0 : what < 56 ? count - 1 : at; /* at the ends, mostly */
        int error = kin_list_pop(list, what >= 48 && what < 56 ? -1 : (int64_t)at, &value);
        ck_assert_int_eq(error, count ? 0 : KIN_ENOTFOUND);
        if (count) {
            ck_assert(is_value(&value, model->item[at]));
            splice(model, at, 1, NULL, 0);
        }
    } else if (what < 75 && count < MOST - 4) {
        static unsigned char copies[3][50000];
        kin_any values[3];
        for (int i = 0; i < 3; i++) {
            many[i] = (number + (uint32_t)i * 1009) % 3000;
            values[i] = value_of(many[i]);
            if (values[i].size) {
                memcpy(copies[i], values[i].data, values[i].size);
                values[i].data = copies[i];
            }
        }
        size_t to = at + random_next(state) % 4, in = random_next(state) % 4;
        to = to > count ? count : to;
        ck_assert_int_eq(kin_list_set_slice(list, (int64_t)at, (int64_t)to, values, in), 0);
        splice(model, at, to - at, many, in);
    } else if (what < 80) {
        ck_assert_int_eq(kin_list_reverse(list), 0);
        for (size_t i = 0; i < count / 2; i++) {
            uint32_t other = model->item[i];
            model->item[i] = model->item[count - 1 - i];
            model->item[count - 1 - i] = other;
        }
    } else if (what < 90) {
        size_t found, first = 0;
        while (first < count && model->item[first] != number % 50)
            first++;
        int error = kin_list_index(list, value_of(number % 50), 0, INT64_MAX, &found);
        ck_assert_int_eq(error, first < count ? 0 : KIN_ENOTFOUND);
        ck_assert(first == count || found == first);
    } else if (what == 90 && number % 10 == 0) {
        ck_assert_int_eq(kin_list_clear(list), 0);
        model->count = 0;
    }
}

static void list_is_what_a_simple_model_is(void)
{
    test_init();
    size_t before = blocks_in_use();
    static struct model model;
    unsigned rounds = test_long() ? 100 : 5;
    for (uint64_t seed = 1; seed <= rounds; seed++) {
        uint64_t state = seed;
        kin_list *list = kin_list_new(NULL);
        model.count = 0;
        for (unsigned i = 0; i < 5000; i++) {
            one_step(list, &model, &state);
            if (i % 250 == 0)
                same_items(list, &model);
        }
        same_items(list, &model);
        ck_assert_int_eq(kin_list_free(list), 0);
        ck_assert_uint_eq(blocks_in_use(), before);
    }
}

/* ---- several processes ------------------------------------------------------------------------- */

struct shared {
    kin_list *list;
    _Atomic uint32_t stop, next;
    int rounds;
};

static int append_numbers(void *arg)
{
    struct shared *shared = arg;
    uint32_t mine = atomic_fetch_add(&shared->next, 1);
    for (int i = 0; i < shared->rounds; i++)
        child_assert(kin_list_append(shared->list, kin_any_int((int64_t)mine << 32 | i)) == 0);
    return 0;
}

static struct shared *new_shared(int rounds)
{
    test_init();
    struct shared *shared = kin_calloc(1, sizeof *shared);
    ck_assert_ptr_nonnull(shared);
    shared->list = kin_list_new(NULL);
    ck_assert_ptr_nonnull(shared->list);
    shared->rounds = rounds;
    return shared;
}

static void appends_of_several_processes_are_all_there_in_order(void)
{
    struct shared *shared = new_shared(3000);
    kin_process *children[3];
    int64_t last[3] = {-1, -1, -1};
    for (int i = 0; i < 3; i++)
        children[i] = kin_process_start_shared(append_numbers, shared,
                                               KIN_PROCESS_OPTIONS(.start_method = test_method()));
    for (int i = 0; i < 3; i++)
        join(children[i]);
    ck_assert_uint_eq(kin_list_length(shared->list), 9000);
    bool ordered = true;
    for (int64_t i = 0; i < 9000; i++) {
        kin_any value;
        ordered &= kin_list_get(shared->list, i, &value) == 0 &&
                   last[value.integer >> 32] + 1 == (uint32_t)value.integer;
        last[value.integer >> 32] = (uint32_t)value.integer;
    }
    ck_assert(ordered);
    ck_assert_int_eq(kin_list_free(shared->list), 0);
    kin_free(shared);
}

/* Items of which each tells its bytes, put in and taken out at all places. */
static int change_all_the_time(void *arg)
{
    struct shared *shared = arg;
    uint64_t state = (uint64_t)getpid();
    while (!atomic_load(&shared->stop)) {
        uint32_t what = random_next(&state) % 8, number = random_next(&state) % 3000;
        size_t length = kin_list_length(shared->list);
        int64_t at = (int64_t)(random_next(&state) % (length + 1));
        if (what < 4 && length < 200)
            child_assert(kin_list_insert(shared->list,
                                         what == 3 ? at
                                         : what    ? INT64_MAX
                                                   : 0,
                                         value_of(number)) == 0);
        else if (what == 4)
            child_assert(kin_list_reverse(shared->list) == 0);
        else if (what == 5)
            kin_list_set(shared->list, at, value_of(number));
        else
            kin_list_delete(shared->list, what == 6 ? 0 : at);
    }
    return 0;
}

static void reader_sees_whole_items_while_others_change_them(void)
{
    struct shared *shared = new_shared(0);
    kin_process *children[2];
    int rounds = test_long() ? 300000 : 20000;
    for (int i = 0; i < 2; i++)
        children[i] = kin_process_start_shared(change_all_the_time, shared,
                                               KIN_PROCESS_OPTIONS(.start_method = test_method()));
    bool whole = true;
    for (int i = 0; i < rounds && whole; i++) {
        kin_any value;
        uint32_t number;
        if (kin_list_get(shared->list, i % 50, &value))
            continue;
        if (value.type == KIN_ANY_BYTES) {
            memcpy(&number, value.data, 4);
            whole = is_value(&value, number);
        } else {
            whole = value.type == KIN_ANY_INT;
        }
    }
    ck_assert(whole);
    atomic_store(&shared->stop, 1);
    for (int i = 0; i < 2; i++)
        join(children[i]);
    ck_assert_int_eq(kin__list_check(shared->list), 0);
    ck_assert_int_eq(kin_list_free(shared->list), 0);
    kin_free(shared);
}

static int append_later(void *arg)
{
    struct shared *shared = arg;
    usleep(2000);
    child_assert(kin_list_append(shared->list, kin_any_text("here")) == 0);
    return 0;
}

static void item_is_waited_for(void)
{
    struct shared *shared = new_shared(0);
    kin_any value;
    kin_process *child =
        kin_process_start_shared(append_later, shared, KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_int_eq(kin_list_wait_change(shared->list, 0, NULL, &value, TOP), 0);
    ck_assert_str_eq((const char *)value.data, "here");
    ck_assert_int_eq(kin_list_wait_change(shared->list, 0, &value, NULL, 0.01), KIN_ETIMEDOUT);
    join(child);
    ck_assert_int_eq(kin_list_delete(shared->list, 0), 0);
    ck_assert_int_eq(kin_list_wait_change(shared->list, 0, &value, NULL, 0), KIN_ENOTFOUND);
    kin_any_clear(&value);
    ck_assert_int_eq(kin_list_free(shared->list), 0);
    kin_free(shared);
}

static int only_reads(void *arg)
{
    kin_list *list = arg;
    kin_any value;
    child_assert(kin_list_get(list, 0, &value) == 0 && value.integer == 1);
    child_assert(kin_list_length(list) == 1);
    child_assert(kin_list_append(list, kin_any_int(2)) == KIN_EPERM);
    child_assert(kin_list_pop(list, 0, NULL) == KIN_EPERM);
    child_assert(kin_list_sort(list, false) == KIN_EPERM);
    child_assert(kin_list_set(list, 0, kin_any_int(2)) == KIN_EPERM);
    child_assert(kin_list_free(list) == KIN_EPERM);
    child_assert(!kin_list_new(NULL) && kin_error_code() == KIN_EPERM);
    return 0;
}

static void sealed_member_reads_and_changes_nothing(void)
{
    test_init();
    kin_list *list = kin_list_new(NULL);
    ck_assert_int_eq(kin_list_append(list, kin_any_int(1)), 0);
    kin_process *process = kin_process_start_shared(
        only_reads, list, KIN_PROCESS_OPTIONS(.start_method = test_method(), .sealed = true));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    join(process);
    ck_assert_int_eq(kin_list_free(list), 0);
}

static const struct test tests[] = {
    {"list_does_what_pythons_does", list_does_what_pythons_does, 10, TEST_EACH_METHOD},
    {"list_is_gone_through", list_is_gone_through, 10, TEST_EACH_METHOD},
    {"items_are_inserted_and_deleted_anywhere", items_are_inserted_and_deleted_anywhere, 10, 0},
    {"values_are_looked_for", values_are_looked_for, 10, 0},
    {"list_is_sorted_and_reversed", list_is_sorted_and_reversed, 10, 0},
    {"slices_are_pythons", slices_are_pythons, 10, 0},
    {"mistakes_are_told", mistakes_are_told, 10, 0},
    {"list_is_what_a_simple_model_is", list_is_what_a_simple_model_is, 120, 0},
    {"appends_of_several_processes_are_all_there_in_order",
     appends_of_several_processes_are_all_there_in_order, 20, TEST_EACH_METHOD},
    {"reader_sees_whole_items_while_others_change_them", reader_sees_whole_items_while_others_change_them, 60,
     TEST_EACH_METHOD},
    {"item_is_waited_for", item_is_waited_for, 20, TEST_EACH_METHOD},
    {"sealed_member_reads_and_changes_nothing", sealed_member_reads_and_changes_nothing, 10,
     TEST_EACH_METHOD},
};
TEST_MAIN("list", tests)
