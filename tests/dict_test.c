/* dict_test.c - kin/dict.h. What CPython's class _TestContainers tests of dicts is marked so. */
#include "container_common.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEYS 40
#define LARGE 100000

static int64_t int_of(const kin_dict *dict, const char *key)
{
    int64_t value = INT64_MIN;
    int error = kin_dict_get_int(dict, kin_any_text(key), &value);
    ck_assert_msg(error == 0, "%s: %s", key, kin_error_message());
    return value;
}

/* Of one type and value. */
static bool same(const kin_any *a, const kin_any *b)
{
    if (a->type != b->type || a->size != b->size)
        return false;
    if (a->type == KIN_ANY_POINTER)
        return a->data == b->data;
    if (a->size)
        return memcmp(a->data, b->data, a->size) == 0;
    uint64_t real_a, real_b; /* bit for bit */
    memcpy(&real_a, &a->real, sizeof real_a);
    memcpy(&real_b, &b->real, sizeof real_b);
    return a->truth == b->truth && a->integer == b->integer && real_a == real_b;
}

static bool has(const kin_dict *dict, kin_any key)
{
    bool there;
    ck_assert_int_eq(kin_dict_contains(dict, key, &there), 0);
    return there;
}

/* ---- one process ------------------------------------------------------------------------------- */

static void value_of_each_type_comes_back(void)
{
    test_init();
    size_t before = blocks_in_use();
    kin_dict *dict = kin_dict_new(NULL);
    static unsigned char large[LARGE], out[LARGE];
    pattern(large, 1, LARGE);
    const kin_any values[] = {kin_any_null(),
                              kin_any_bool(true),
                              kin_any_bool(false),
                              kin_any_int(0),
                              kin_any_int(-1),
                              kin_any_int(INT64_MAX),
                              kin_any_int(INT64_MIN),
                              kin_any_int((INT64_C(1) << 59) - 1),
                              kin_any_int(INT64_C(1) << 59),
                              kin_any_int(-(INT64_C(1) << 59)),
                              kin_any_int(-(INT64_C(1) << 59) - 1),
                              kin_any_real(0.5),
                              kin_any_real(0.1),
                              kin_any_real(-0.0),
                              kin_any_real(INFINITY),
                              kin_any_real(NAN),
                              kin_any_text(""),
                              kin_any_text("seven77"),
                              kin_any_text("eight888"),
                              kin_any_bytes(NULL, 0),
                              kin_any_bytes("\0\1\2", 3),
                              kin_any_bytes(large, 8),
                              kin_any_bytes(large, 5000),
                              kin_any_bytes(large, LARGE),
                              kin_any_packed("\x83\1\2\3", 4),
                              kin_any_packed("\x88\1\2\3\4\5\6\7\x08", 9),
                              kin_any_pointer(dict),
                              kin_any_pointer((char *)dict + 1)};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        kin_any value;
        ck_assert_int_eq(kin_dict_set(dict, kin_any_int((int64_t)i), values[i]), 0);
        ck_assert_int_eq(kin_dict_get_in(dict, kin_any_int((int64_t)i), &value, out, sizeof out), 0);
        ck_assert_msg(same(&value, &values[i]), "value %zu", i);
        /* As a key, too; and one value after the other for one key. */
        ck_assert_int_eq(kin_dict_set(dict, values[i], kin_any_int((int64_t)i)), 0);
        int64_t number;
        ck_assert_int_eq(kin_dict_get_int(dict, values[i], &number), 0);
        ck_assert_int_eq(kin_dict_set(dict, kin_any_text("same"), values[i]), 0);
        ck_assert_int_eq(kin_dict_get_in(dict, kin_any_text("same"), &value, out, sizeof out), 0);
        ck_assert(same(&value, &values[i]));
    }
    ck_assert_int_eq(kin_dict_free(dict), 0);
    ck_assert_uint_eq(blocks_in_use(), before);
}

static void equal_keys_are_one_key(void)
{
    test_init();
    kin_dict *dict = kin_dict_new(NULL);
    const kin_any keys[] = {kin_any_int(1),
                            kin_any_real(0.5),
                            kin_any_bool(true),
                            kin_any_text("1"),
                            kin_any_bytes("1", 1),
                            kin_any_text("a key of more than a word"),
                            kin_any_bytes("a key of more than a word", 25)};
    const size_t count = sizeof keys / sizeof *keys;
    int64_t value;
    for (size_t i = 0; i < count; i++)
        ck_assert_int_eq(kin_dict_set(dict, keys[i], kin_any_int((int64_t)i)), 0);
    ck_assert_uint_eq(kin_dict_length(dict), count);
    for (size_t i = 0; i < count; i++) {
        ck_assert_int_eq(kin_dict_get_int(dict, keys[i], &value), 0);
        ck_assert_int_eq(value, (int64_t)i);
    }
    /* As in Python, d[1.0] is d[1]. */
    ck_assert_int_eq(kin_dict_set(dict, kin_any_real(1.0), kin_any_int(100)), 0);
    ck_assert_int_eq(kin_dict_get_int(dict, kin_any_int(1), &value), 0);
    ck_assert_int_eq(value, 100);
    ck_assert_uint_eq(kin_dict_length(dict), count);
    ck_assert_int_eq(kin_dict_free(dict), 0);
}

static void buffer_that_is_too_small_is_told(void)
{
    test_init();
    kin_dict *dict = kin_dict_new(KIN_DICT_OPTIONS(.name = "stock"));
    char buffer[32];
    kin_any value;
    const char *text = "a text of 20 letters";
    ck_assert_int_eq(kin_dict_set(dict, kin_any_text("k"), kin_any_text(text)), 0);
    ck_assert_int_eq(kin_dict_get_in(dict, kin_any_text("k"), &value, buffer, 20), KIN_ETOOLARGE);
    ck_assert_str_eq(kin_error_message(), "text of 20 bytes does not fit into 20");
    ck_assert_uint_eq(value.size, 20);
    ck_assert_int_eq(value.type, KIN_ANY_TEXT);
    ck_assert_int_eq(kin_dict_get_in(dict, kin_any_text("k"), &value, NULL, 20), KIN_EINVAL);
    ck_assert_int_eq(kin_dict_get_in(dict, kin_any_text("k"), &value, buffer, 21), 0);
    ck_assert_str_eq((const char *)value.data, text);
    ck_assert_int_eq(kin_dict_pop(dict, kin_any_text("k"), &value), 0);
    ck_assert_str_eq((const char *)value.data, text);
    kin_any_clear(&value);
    ck_assert_int_eq(kin_dict_free(dict), 0);
}

static void mistakes_are_told(void)
{
    test_init();
    int private = 0;
    bool done;
    kin_any value;
    kin_dict *dict = kin_dict_new(KIN_DICT_OPTIONS(.name = "stock"));
    kin_lock *lock = kin_lock_new(NULL);
    ck_assert_int_eq(kin_dict_set(NULL, kin_any_int(1), kin_any_int(1)), KIN_EINVAL);
    ck_assert_int_eq(kin_dict_set((kin_dict *)lock, kin_any_int(1), kin_any_int(1)), KIN_EINVAL);
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "lock"));
    ck_assert_int_eq(kin_dict_get_in(dict, kin_any_text("pears"), &value, NULL, 0), KIN_ENOTFOUND);
    ck_assert_str_eq(kin_error_message(),
                     "could not get a key of a dict: dict \"stock\" has no key \"pears\"");
    ck_assert_int_eq(kin_dict_delete(dict, kin_any_int(7)), KIN_ENOTFOUND);
    ck_assert_str_eq(kin_error_message(), "could not delete a key of a dict: dict \"stock\" has no key 7");
    ck_assert_int_eq(kin_dict_set(dict, kin_any_nothing(), kin_any_int(1)), KIN_EINVAL);
    ck_assert_int_eq(kin_dict_set(dict, kin_any_int(1), kin_any_nothing()), KIN_EINVAL);
    ck_assert_int_eq(kin_dict_set(dict, kin_any_bytes(NULL, 3), kin_any_int(1)), KIN_EINVAL);
    ck_assert_int_eq(kin_dict_set(dict, kin_any_int(1), kin_any_pointer(&private)), KIN_ENOTSHARED);
    ck_assert_int_eq(kin_dict_set(dict, (kin_any){.type = (kin_any_type)77}, kin_any_int(1)), KIN_EINVAL);
    ck_assert_int_eq(kin_dict_set(dict, kin_any_int(1), kin_any_bytes("", SIZE_MAX)), KIN_EINVAL);
    ck_assert_ptr_null(kin_dict_new(KIN_DICT_OPTIONS(.stripes = 3)));
    ck_assert_ptr_null(kin_dict_new(KIN_DICT_OPTIONS(.stripes = 512)));
    ck_assert_ptr_null(kin_dict_new(KIN_DICT_OPTIONS(.timeout = -1)));
    ck_assert_int_eq(kin_dict_wait_change(dict, kin_any_int(1), NULL, NULL, NAN), KIN_EINVAL);
    ck_assert_int_eq(kin_dict_set(dict, kin_any_int(1), kin_any_text("text")), 0);
    int64_t number;
    double real;
    ck_assert_int_eq(kin_dict_get_int(dict, kin_any_int(1), &number), KIN_EINVAL);
    ck_assert_str_eq(kin_error_message(), "cannot get a key of a dict as int: it is of type text");
    ck_assert_int_eq(kin_dict_get_real(dict, kin_any_int(1), &real), KIN_EINVAL);
    ck_assert_int_eq(kin_dict_add(dict, kin_any_int(1), kin_any_int(1), NULL), KIN_EINVAL);
    ck_assert_int_eq(kin_dict_set(dict, kin_any_int(1), kin_any_uint(UINT64_MAX)), 0);
    ck_assert_int_eq(kin_dict_add(dict, kin_any_int(1), kin_any_int(1), NULL), KIN_ELIMIT);
    ck_assert_int_eq(
        kin_dict_compare_and_set(dict, kin_any_int(1), kin_any_bytes(NULL, 2), kin_any_int(1), &done),
        KIN_EINVAL);
    ck_assert_uint_eq(kin_dict_length(dict), 1);
    ck_assert_uint_eq(kin_dict_length(NULL), 0);
    ck_assert_int_eq(kin_dict_contains(NULL, kin_any_int(1), &done), KIN_EINVAL);
    ck_assert_ptr_null(kin_dict_iterate((kin_dict *)lock));
    ck_assert_int_eq(kin_dict_next(NULL, NULL, NULL), KIN_EINVAL);
    ck_assert_int_eq(kin_dict_free((kin_dict *)lock), KIN_EINVAL);
    ck_assert_int_eq(kin_dict_free(NULL), 0);
    ck_assert_int_eq(kin_dict_free(dict), 0);
    ck_assert_int_eq(kin_dict_set(dict, kin_any_int(1), kin_any_int(1)), KIN_EINVAL);
    ck_assert_int_eq(kin_lock_free(lock), 0);
}

static void atomic_calls_do_what_they_say(void)
{
    test_init();
    kin_dict *dict = kin_dict_new(NULL);
    kin_any value;
    double real;
    bool done;
    ck_assert_int_eq(kin_dict_add(dict, kin_any_text("n"), kin_any_int(5), &value), 0);
    ck_assert_int_eq(value.integer, 5);
    ck_assert_int_eq(kin_dict_add(dict, kin_any_text("n"), kin_any_int(-7), &value), 0);
    ck_assert_int_eq(value.integer, -2);
    ck_assert_int_eq(kin_dict_add(dict, kin_any_text("x"), kin_any_real(0.1), NULL), 0);
    ck_assert_int_eq(kin_dict_add(dict, kin_any_text("x"), kin_any_real(0.2), &value), 0);
    ck_assert(value.type == KIN_ANY_REAL && value.real == 0.1 + 0.2);
    ck_assert_int_eq(kin_dict_add(dict, kin_any_text("x"), kin_any_int(1), &value), 0);
    ck_assert(value.real == 0.1 + 0.2 + 1);
    ck_assert_int_eq(kin_dict_get_real(dict, kin_any_text("n"), &real), 0);
    ck_assert(real == -2);
    ck_assert_int_eq(kin_dict_setdefault(dict, kin_any_text("n"), kin_any_int(9), &value), 0);
    ck_assert_int_eq(value.integer, -2);
    ck_assert_int_eq(kin_dict_setdefault(dict, kin_any_text("m"), kin_any_int(9), &value), 0);
    ck_assert_int_eq(value.integer, 9);
    ck_assert_int_eq(kin_dict_compare_and_set(dict, kin_any_text("m"), kin_any_int(8), kin_any_int(1), &done),
                     0);
    ck_assert(!done);
    ck_assert_int_eq(kin_dict_compare_and_set(dict, kin_any_text("m"), kin_any_real(9),
                                              kin_any_text("a long string"), &done),
                     0);
    ck_assert(done);
    ck_assert_int_eq(kin_dict_compare_and_set(dict, kin_any_text("m"), kin_any_text("a long string"),
                                              kin_any_nothing(), &done),
                     0);
    ck_assert(done && !has(dict, kin_any_text("m")));
    ck_assert_int_eq(
        kin_dict_compare_and_set(dict, kin_any_text("m"), kin_any_nothing(), kin_any_nothing(), &done), 0);
    ck_assert(done);
    ck_assert_int_eq(
        kin_dict_compare_and_set(dict, kin_any_text("m"), kin_any_nothing(), kin_any_int(1), &done), 0);
    ck_assert(done);
    ck_assert_int_eq(
        kin_dict_compare_and_set(dict, kin_any_text("m"), kin_any_nothing(), kin_any_int(2), &done), 0);
    ck_assert(!done && int_of(dict, "m") == 1);
    ck_assert_int_eq(kin_dict_free(dict), 0);
}

/* test_dict, test_dict_iter */
static int fill_letters(void *arg)
{
    kin_dict *dict = arg;
    for (int i = 65; i < 70; i++) {
        char letter = (char)i;
        child_assert(kin_dict_set(dict, kin_any_int(i), kin_any_text_of(&letter, 1)) == 0);
    }
    return 0;
}

static void dict_is_filled_by_another_process(void)
{
    test_init();
    kin_dict *dict = kin_dict_new(NULL);
    run_child(fill_letters, dict);
    kin_dict *copy = kin_dict_copy(dict);
    ck_assert_uint_eq(kin_dict_length(copy), 5);
    ck_assert_int_eq(kin_dict_delete(dict, kin_any_int(65)), 0);
    ck_assert(has(copy, kin_any_int(65)) && !has(dict, kin_any_int(65)));
    kin_dict_iterator *iterator = kin_dict_iterate(copy);
    kin_any key, value;
    for (int i = 65; i < 70; i++) {
        ck_assert_int_eq(kin_dict_next(iterator, &key, &value), 0);
        ck_assert_int_eq(key.integer, i);
        ck_assert_int_eq(*(const char *)value.data, i);
    }
    ck_assert_int_eq(kin_dict_next(iterator, &key, &value), KIN_ENOTFOUND);
    kin_dict_iterator_free(iterator);
    ck_assert_int_eq(kin_dict_free(copy), 0);
    ck_assert_int_eq(kin_dict_free(dict), 0);
}

/* test_dict_proxy_nested */
struct pets {
    kin_dict *pets, *water, *inventory;
};

static int feed(void *arg)
{
    kin_dict *inventory = arg;
    void *pets, *water;
    child_assert(kin_dict_get_pointer(inventory, kin_any_text("pets"), &pets) == 0);
    child_assert(kin_dict_get_pointer(inventory, kin_any_text("water"), &water) == 0);
    child_assert(kin_dict_set(water, kin_any_text("blowfish"), kin_any_int(100)) == 0);
    child_assert(kin_dict_set(pets, kin_any_text("blowfish"), kin_any_int(13)) == 0);
    return 0;
}

static void dicts_lie_in_dicts(void)
{
    test_init();
    kin_dict *pets = kin_dict_new(NULL), *water = kin_dict_new(NULL), *inventory = kin_dict_new(NULL);
    ck_assert_int_eq(kin_dict_set(pets, kin_any_text("ferrets"), kin_any_int(2)), 0);
    ck_assert_int_eq(kin_dict_set(inventory, kin_any_text("pets"), kin_any_pointer(pets)), 0);
    ck_assert_int_eq(kin_dict_set(inventory, kin_any_text("water"), kin_any_pointer(water)), 0);
    run_child(feed, inventory);
    ck_assert_int_eq(int_of(pets, "blowfish"), 13);
    ck_assert_int_eq(int_of(pets, "ferrets"), 2);
    ck_assert_int_eq(int_of(water, "blowfish"), 100);
    ck_assert_int_eq(kin_dict_free(inventory), 0);
    ck_assert_int_eq(kin_dict_free(pets), 0);
    ck_assert_int_eq(kin_dict_free(water), 0);
}

static void iterator_sees_what_stays_once_in_order(void)
{
    test_init();
    kin_dict *dict = kin_dict_new(NULL);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(kin_dict_set(dict, kin_any_int(i * 7919 % 1000), kin_any_int(i)), 0);
    kin_dict_iterator *iterator = kin_dict_iterate(dict);
    kin_any key, value;
    for (int i = 0; i < 1000; i += 2) /* each other one is gone, one of them is back; there are new ones */
        ck_assert_int_eq(kin_dict_delete(dict, kin_any_int(i * 7919 % 1000)), 0);
    ck_assert_int_eq(kin_dict_set(dict, kin_any_int(0), kin_any_int(-1)), 0);
    ck_assert_int_eq(kin_dict_set(dict, kin_any_int(1000), kin_any_int(-1)), 0);
    ck_assert_int_eq(
        kin_dict_set(dict, kin_any_int(7919 % 1000), kin_any_text("a value of more than a word")), 0);
    for (int i = 1; i < 1000; i += 2) {
        ck_assert_int_eq(kin_dict_next(iterator, &key, &value), 0);
        ck_assert_int_eq(key.integer, i * 7919 % 1000);
        ck_assert_int_eq(value.type, i == 1 ? KIN_ANY_TEXT : KIN_ANY_INT);
    }
    ck_assert_int_eq(kin_dict_next(iterator, NULL, NULL), KIN_ENOTFOUND);
    kin_dict_iterator_free(iterator);
    ck_assert_int_eq(kin_dict_free(dict), 0);
}

static void popitem_takes_the_last(void)
{
    test_init();
    kin_dict *dict = kin_dict_new(NULL);
    char name[64];
    kin_any key, value;
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "a name of some length %d", i);
        ck_assert_int_eq(kin_dict_set(dict, kin_any_text(name), kin_any_text(name)), 0);
    }
    for (int i = 99; i >= 0; i--) {
        snprintf(name, sizeof name, "a name of some length %d", i);
        ck_assert_int_eq(kin_dict_popitem(dict, &key, &value), 0);
        ck_assert_str_eq((const char *)key.data, name);
        ck_assert_str_eq((const char *)value.data, name);
        kin_any_clear(&key);
        kin_any_clear(&value);
    }
    ck_assert_int_eq(kin_dict_popitem(dict, &key, &value), KIN_ENOTFOUND);
    ck_assert_int_eq(kin_dict_free(dict), 0);
}

static void many_keys_are_set_and_got_at_once(void)
{
    test_init();
    kin_dict *dict = kin_dict_new(NULL);
    kin_any keys[KEYS + 1], values[KEYS + 1];
    char text[KEYS][16];
    bool found[KEYS + 1];
    for (int i = 0; i < KEYS; i++) {
        snprintf(text[i], sizeof text[i], "number %d", i);
        keys[i] = kin_any_int(i);
        values[i] = kin_any_text(text[i]);
    }
    ck_assert_int_eq(kin_dict_set_many(dict, keys, values, KEYS), 0);
    keys[KEYS] = kin_any_int(KEYS);
    ck_assert_int_eq(kin_dict_get_many(dict, keys, KEYS + 1, values, found), 0);
    for (int i = 0; i < KEYS; i++) {
        ck_assert_str_eq((const char *)values[i].data, text[i]);
        ck_assert(found[i]);
        kin_any_clear(&values[i]);
    }
    ck_assert(values[KEYS].type == KIN_ANY_NULL && !found[KEYS]);
    keys[1] = kin_any_nothing();
    ck_assert_int_eq(kin_dict_set_many(dict, keys, values, 3), KIN_EINVAL);
    ck_assert_int_eq(kin_dict_get_many(dict, keys, 3, values, NULL), KIN_EINVAL);
    ck_assert_int_eq(kin_dict_clear(dict), 0);
    ck_assert_uint_eq(kin_dict_length(dict), 0);
    ck_assert_int_eq(kin_dict_free(dict), 0);
}

/* ---- against a model --------------------------------------------------------------------------- */

/* The model: an array in order of insertion. Keys and values are patterns of a number, of a size that goes by it. */
struct model {
    uint32_t key[512], value[512];
    size_t count;
};

static size_t size_of(uint32_t number)
{
    return number % 97 == 0 ? 40000 : number % 5 == 0 ? number % 200 : number % 12;
}

static kin_any datum_of(uint32_t number, void *buffer)
{
    if (number % 3 == 0)
        return kin_any_int((int64_t)number * (number % 2 ? 1 : INT64_C(0x1000000000)));
    size_t size = size_of(number) + 4;
    pattern(buffer, number, size);
    memcpy(buffer, &number, 4);
    return kin_any_bytes(buffer, size);
}

static size_t place_of(const struct model *model, uint32_t key)
{
    size_t i = 0;
    while (i < model->count && model->key[i] != key)
        i++;
    return i;
}

static void take_out(struct model *model, size_t i)
{
    model->count--;
    memmove(model->key + i, model->key + i + 1, (model->count - i) * sizeof *model->key);
    memmove(model->value + i, model->value + i + 1, (model->count - i) * sizeof *model->value);
}

static unsigned char key_bytes[50000], value_bytes[50000], out_bytes[120000];

static void same_value(kin_any *got, uint32_t number)
{
    kin_any expected = datum_of(number, value_bytes);
    ck_assert_msg(same(got, &expected), "value %u", number);
    kin_any_clear(got); /* if it has memory */
}

static void same_items(const kin_dict *dict, const struct model *model)
{
    kin_dict_iterator *iterator = kin_dict_iterate(dict);
    kin_any key, value;
    ck_assert_uint_eq(kin_dict_length(dict), model->count);
    for (size_t i = 0; i < model->count; i++) {
        ck_assert_int_eq(kin_dict_next(iterator, &key, &value), 0);
        same_value(&key, model->key[i]);
        same_value(&value, model->value[i]);
    }
    ck_assert_int_eq(kin_dict_next(iterator, &key, &value), KIN_ENOTFOUND);
    kin_dict_iterator_free(iterator);
}

static void one_step(kin_dict *dict, struct model *model, uint64_t *state)
{
    uint32_t number = random_next(state) % 400, to = random_next(state) % 5000,
             what = random_next(state) % 100;
    kin_any key = datum_of(number, key_bytes), value, expected;
    size_t at = place_of(model, number), full = sizeof out_bytes;
    bool there = at < model->count, done;
    if (what < 40) {
        ck_assert_int_eq(kin_dict_set(dict, key, datum_of(to, value_bytes)), 0);
    } else if (what < 55) {
        int error = kin_dict_pop(dict, key, &value);
        ck_assert_int_eq(error, there ? 0 : KIN_ENOTFOUND);
        if (there)
            same_value(&value, model->value[at]);
    } else if (what < 65) {
        ck_assert_int_eq(kin_dict_delete(dict, key), there ? 0 : KIN_ENOTFOUND);
    } else if (what < 75) {
        ck_assert_int_eq(kin_dict_setdefault(dict, key, datum_of(to, value_bytes), &value), 0);
        same_value(&value, there ? model->value[at] : to);
    } else if (what < 85) {
        static unsigned char seen[50000];
        uint32_t guess = there && to % 2 ? model->value[at] : to;
        expected = datum_of(guess, seen);
        ck_assert_int_eq(kin_dict_compare_and_set(dict, key, expected, datum_of(to, value_bytes), &done), 0);
        ck_assert_int_eq(done, there && guess == model->value[at]);
    } else if (what < 98) {
        int error = kin_dict_get_in(dict, key, &value, out_bytes, full);
        ck_assert_int_eq(error, there ? 0 : KIN_ENOTFOUND);
        ck_assert_int_eq(has(dict, key), there);
        if (there)
            same_value(&value, model->value[at]);
    } else if (what == 98) {
        kin_any last;
        int error = kin_dict_popitem(dict, &last, &value);
        ck_assert_int_eq(error, model->count ? 0 : KIN_ENOTFOUND);
        if (model->count) {
            same_value(&last, model->key[model->count - 1]);
            same_value(&value, model->value[--model->count]);
        }
    } else if (to % 40 == 0) {
        ck_assert_int_eq(kin_dict_clear(dict), 0);
        model->count = 0;
    }
    if (there && ((what >= 40 && what < 65)))
        take_out(model, at);
    if (what < 40 || (what >= 65 && what < 75 && !there)) {
        model->count += !there;
        model->key[at] = number;
        model->value[at] = to;
    }
    if (what >= 75 && what < 85 && done)
        model->value[at] = to;
}

static void dict_is_what_a_simple_model_is(void)
{
    test_init();
    size_t before = blocks_in_use();
    static struct model model;
    unsigned rounds = test_long() ? 100 : 4, steps = 5000;
    for (uint64_t seed = 1; seed <= rounds; seed++) {
        uint64_t state = seed;
        kin_dict *dict = kin_dict_new(KIN_DICT_OPTIONS(.stripes = 1 << seed % 6));
        model.count = 0;
        for (unsigned i = 0; i < steps; i++) {
            one_step(dict, &model, &state);
            if (i % 500 == 0)
                same_items(dict, &model);
        }
        same_items(dict, &model);
        ck_assert_int_eq(kin_dict_free(dict), 0);
        ck_assert_uint_eq(blocks_in_use(), before);
    }
}

static void large_dict_keeps_all(void)
{
    test_init();
    size_t before = blocks_in_use();
    kin_dict *dict = kin_dict_new(NULL);
    const int many = test_long() ? 2000000 : 200000;
    int64_t value;
    bool good = true; /* an assertion each would take most of the time */
    for (int i = 0; i < many; i++)
        good &= kin_dict_set(dict, kin_any_int(i), kin_any_int(-i)) == 0;
    ck_assert_uint_eq(kin_dict_length(dict), (size_t)many);
    for (int i = 0; i < many; i++)
        good &= kin_dict_get_int(dict, kin_any_int(i), &value) == 0 && value == -i;
    for (int i = 0; i < many; i += 2)
        good &= kin_dict_delete(dict, kin_any_int(i)) == 0;
    for (int i = 0; i < many; i++)
        good &= has(dict, kin_any_int(i)) == (i % 2 == 1);
    ck_assert(good);
    ck_assert_int_eq(kin_dict_free(dict), 0);
    ck_assert_uint_eq(blocks_in_use(), before);
}

/* ---- several processes ------------------------------------------------------------------------- */

struct shared {
    kin_dict *dict;
    _Atomic uint32_t ready, stop, step;
    int rounds, children;
};

static int count_up(void *arg)
{
    struct shared *shared = arg;
    atomic_fetch_add(&shared->ready, 1);
    while (atomic_load(&shared->ready) < (uint32_t)shared->children)
        usleep(100);
    for (int i = 0; i < shared->rounds; i++)
        child_assert(kin_dict_add(shared->dict, kin_any_int(i % 7), kin_any_int(1), NULL) == 0);
    return 0;
}

static struct shared *new_shared(int children, int rounds)
{
    test_init();
    struct shared *shared = kin_calloc(1, sizeof *shared);
    ck_assert_ptr_nonnull(shared);
    shared->dict = kin_dict_new(NULL);
    ck_assert_ptr_nonnull(shared->dict);
    shared->children = children;
    shared->rounds = rounds;
    return shared;
}

static kin_process *start_child(kin_process_fn fn, struct shared *shared)
{
    kin_process *process =
        kin_process_start_shared(fn, shared, KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    return process;
}

static void free_shared(struct shared *shared)
{
    ck_assert_int_eq(kin_dict_free(shared->dict), 0);
    kin_free(shared);
}

static void additions_of_several_processes_are_all_there(void)
{
    struct shared *shared = new_shared(4, 5000);
    kin_process *children[4];
    for (int i = 0; i < 4; i++)
        children[i] = start_child(count_up, shared);
    for (int i = 0; i < 4; i++)
        join(children[i]);
    int64_t sum = 0;
    for (int i = 0; i < 7; i++) {
        int64_t value;
        ck_assert_int_eq(kin_dict_get_int(shared->dict, kin_any_int(i), &value), 0);
        sum += value;
    }
    ck_assert_int_eq(sum, 20000);
    free_shared(shared);
}

/* Values whose bytes tell whether they are of one piece, of all sizes, changed and removed all the time. */
static int change_all_the_time(void *arg)
{
    struct shared *shared = arg;
    static unsigned char bytes[40000];
    uint64_t state = (uint64_t)getpid();
    while (!atomic_load(&shared->stop)) {
        uint32_t number = random_next(&state), key = number % 16;
        size_t size = 8 + (number % 61 == 0 ? 39000 : number % 500);
        pattern(bytes, number, size);
        memcpy(bytes, &number, 4);
        if (number % 4 == 0)
            kin_dict_delete(shared->dict, kin_any_int(key));
        else
            child_assert(kin_dict_set(shared->dict, kin_any_int(key), kin_any_bytes(bytes, size)) == 0);
    }
    return 0;
}

static void whole(const kin_any *value)
{
    uint32_t number;
    memcpy(&number, value->data, 4);
    size_t size = 8 + (number % 61 == 0 ? 39000 : number % 500);
    bool same = value->size == size;
    for (size_t i = 4; same && i < size; i++)
        same = ((const unsigned char *)value->data)[i] == (unsigned char)(number * 31 + i * 7);
    ck_assert_msg(same, "a value of %zu bytes is torn", value->size);
}

static void reader_sees_whole_values_while_others_change_them(void)
{
    struct shared *shared = new_shared(2, 0);
    kin_process *children[2];
    int rounds = test_long() ? 300000 : 20000;
    for (int i = 0; i < 2; i++)
        children[i] = start_child(change_all_the_time, shared);
    for (int i = 0; i < rounds; i++) {
        kin_any value;
        int error = kin_dict_get_in(shared->dict, kin_any_int(i % 16), &value, out_bytes, sizeof out_bytes);
        if (error == 0)
            whole(&value);
        else
            ck_assert_int_eq(error, KIN_ENOTFOUND);
        if (i % 1000 == 0) {
            kin_dict_iterator *iterator = kin_dict_iterate(shared->dict);
            while (kin_dict_next(iterator, NULL, &value) == 0)
                whole(&value);
            kin_dict_iterator_free(iterator);
        }
    }
    atomic_store(&shared->stop, 1);
    for (int i = 0; i < 2; i++)
        join(children[i]);
    free_shared(shared);
}

static int answer(void *arg)
{
    struct shared *shared = arg;
    kin_any seen = {0};
    for (int i = 0; i < shared->rounds; i++) {
        kin_any now;
        child_assert(kin_dict_wait_change(shared->dict, kin_any_text("ping"), i ? &seen : NULL, &now,
                                          KIN_FOREVER) == 0);
        child_assert(now.integer == i);
        seen = now;
        child_assert(kin_dict_set(shared->dict, kin_any_text("pong"), kin_any_int(i)) == 0);
    }
    return 0;
}

static void change_of_a_key_is_waited_for(void)
{
    struct shared *shared = new_shared(1, 500);
    kin_any seen = {0}, now;
    kin_process *child = start_child(answer, shared);
    for (int i = 0; i < shared->rounds; i++) {
        ck_assert_int_eq(kin_dict_set(shared->dict, kin_any_text("ping"), kin_any_int(i)), 0);
        ck_assert_int_eq(
            kin_dict_wait_change(shared->dict, kin_any_text("pong"), i ? &seen : NULL, &now, TOP), 0);
        ck_assert_int_eq(now.integer, i);
        seen = now;
    }
    join(child);
    ck_assert_int_eq(kin_dict_wait_change(shared->dict, kin_any_text("pong"), &seen, &now, 0.01),
                     KIN_ETIMEDOUT);
    ck_assert_int_eq(kin_dict_delete(shared->dict, kin_any_text("pong")), 0);
    ck_assert_int_eq(kin_dict_wait_change(shared->dict, kin_any_text("pong"), &seen, &now, 0), KIN_ENOTFOUND);
    ck_assert_int_eq(now.type, KIN_ANY_NOTHING);
    free_shared(shared);
}

static int only_reads(void *arg)
{
    kin_dict *dict = arg;
    int64_t value;
    kin_any datum;
    bool there;
    child_assert(kin_dict_get_int(dict, kin_any_text("a"), &value) == 0 && value == 1);
    child_assert(kin_dict_length(dict) == 1 && kin_dict_contains(dict, kin_any_text("a"), &there) == 0 &&
                 there);
    child_assert(kin_dict_set(dict, kin_any_text("a"), kin_any_int(2)) == KIN_EPERM);
    child_assert(kin_dict_pop(dict, kin_any_text("a"), &datum) == KIN_EPERM);
    child_assert(kin_dict_add(dict, kin_any_text("a"), kin_any_int(1), NULL) == KIN_EPERM);
    child_assert(kin_dict_clear(dict) == KIN_EPERM);
    child_assert(kin_dict_free(dict) == KIN_EPERM);
    child_assert(kin_dict_wait_change(dict, kin_any_text("a"), NULL, NULL, 1) == KIN_EPERM);
    child_assert(!kin_dict_new(NULL) && kin_error_code() == KIN_EPERM);
    kin_dict_iterator *iterator = kin_dict_iterate(dict);
    child_assert(iterator && kin_dict_next(iterator, &datum, NULL) == 0);
    kin_dict_iterator_free(iterator);
    return 0;
}

static void sealed_member_reads_and_changes_nothing(void)
{
    test_init();
    kin_dict *dict = kin_dict_new(NULL);
    ck_assert_int_eq(kin_dict_set(dict, kin_any_text("a"), kin_any_int(1)), 0);
    kin_process *process = kin_process_start_shared(
        only_reads, dict, KIN_PROCESS_OPTIONS(.start_method = test_method(), .sealed = true));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    join(process);
    ck_assert_int_eq(int_of(dict, "a"), 1);
    ck_assert_int_eq(kin_dict_free(dict), 0);
}

static const struct test tests[] = {
    {"value_of_each_type_comes_back", value_of_each_type_comes_back, 10, 0},
    {"equal_keys_are_one_key", equal_keys_are_one_key, 10, 0},
    {"buffer_that_is_too_small_is_told", buffer_that_is_too_small_is_told, 10, 0},
    {"mistakes_are_told", mistakes_are_told, 10, 0},
    {"atomic_calls_do_what_they_say", atomic_calls_do_what_they_say, 10, 0},
    {"dict_is_filled_by_another_process", dict_is_filled_by_another_process, 10, TEST_EACH_METHOD},
    {"dicts_lie_in_dicts", dicts_lie_in_dicts, 10, TEST_EACH_METHOD},
    {"iterator_sees_what_stays_once_in_order", iterator_sees_what_stays_once_in_order, 10, 0},
    {"popitem_takes_the_last", popitem_takes_the_last, 10, 0},
    {"many_keys_are_set_and_got_at_once", many_keys_are_set_and_got_at_once, 10, 0},
    {"dict_is_what_a_simple_model_is", dict_is_what_a_simple_model_is, 120, 0},
    {"large_dict_keeps_all", large_dict_keeps_all, 60, 0},
    {"additions_of_several_processes_are_all_there", additions_of_several_processes_are_all_there, 20,
     TEST_EACH_METHOD},
    {"reader_sees_whole_values_while_others_change_them", reader_sees_whole_values_while_others_change_them,
     60, TEST_EACH_METHOD},
    {"change_of_a_key_is_waited_for", change_of_a_key_is_waited_for, 20, TEST_EACH_METHOD},
    {"sealed_member_reads_and_changes_nothing", sealed_member_reads_and_changes_nothing, 10,
     TEST_EACH_METHOD},
};
TEST_MAIN("dict", tests)
