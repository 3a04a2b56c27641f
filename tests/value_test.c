/* value_test.c - kin/value.h and kin/array.h. What CPython's classes test is marked so. */
#include "sync_common.h"

#include <stdio.h>
#include <string.h>

/* ---- CPython, _TestValue --------------------------------------------------------------------- */

static const int from_i = 4343, to_i = 24234;
static const double from_d = 3.625, to_d = -4.25;
static const short from_h = -232, to_h = 234;
static const long long from_q = 1LL << 33, to_q = 1LL << 34;
static const char from_c = 'x', to_c = 'y';

struct kind {
    int type;
    const void *from, *to;
};
static const struct kind kinds[] = {{'i', &from_i, &to_i},
                                    {'d', &from_d, &to_d},
                                    {'h', &from_h, &to_h},
                                    {'q', &from_q, &to_q},
                                    {'c', &from_c, &to_c}};
#define KINDS (sizeof kinds / sizeof *kinds)

struct five {
    kin_value *values[KINDS];
    void *raw[KINDS];
};

static int set_all(void *arg)
{
    struct five *five = arg;
    for (size_t i = 0; i < KINDS; i++) {
        child_assert(kin_value_set(five->values[i], kinds[i].to, kin_type_size(kinds[i].type)) == 0);
        memcpy(five->raw[i], kinds[i].to, kin_type_size(kinds[i].type));
    }
    return 0;
}

static void run(kin_process_fn fn, void *arg)
{
    kin_process *process =
        kin_process_start_shared(fn, arg, KIN_PROCESS_OPTIONS(.start_method = test_method(), .daemon = true));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    join(process);
}

static void holds(const struct five *five, size_t i, const void *expected)
{
    unsigned char now[8];
    size_t bytes = kin_type_size(kinds[i].type);
    ck_assert_int_eq(kin_value_get(five->values[i], now, bytes), 0);
    ck_assert_mem_eq(now, expected, bytes);
    ck_assert_mem_eq(five->raw[i], expected, bytes);
}

/* test_value, test_rawvalue */
static void values_of_five_types_are_shared(void)
{
    test_init();
    struct five *five = kin_calloc(1, sizeof *five);
    ck_assert_ptr_nonnull(five);
    for (size_t i = 0; i < KINDS; i++) {
        five->values[i] = kin_value_new(kinds[i].type, 0, kinds[i].from, NULL);
        five->raw[i] = kin_raw_value(kin_type_size(kinds[i].type), kinds[i].from);
        ck_assert_msg(five->values[i] && five->raw[i], "%s", kin_error_message());
        ck_assert_int_eq(kin_value_type(five->values[i]), kinds[i].type);
        holds(five, i, kinds[i].from);
    }
    run(set_all, five);
    for (size_t i = 0; i < KINDS; i++) {
        holds(five, i, kinds[i].to);
        ck_assert_int_eq(kin_value_free(five->values[i]), 0);
        kin_free(five->raw[i]);
    }
    kin_free(five);
}

/* test_getobj_getlock */
static void value_has_the_lock_that_it_was_given(void)
{
    test_init();
    kin_value *own = kin_value_new('i', 0, &from_i, NULL);
    ck_assert_ptr_nonnull(kin_value_get_lock(own));
    ck_assert_int_eq(*(int *)kin_value_get_obj(own), from_i);
    ck_assert_int_eq(kin_rlock_free(kin_value_get_lock(own)), KIN_EINVAL);
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "a part of what it guards"));

    kin_lock *lock = kin_lock_new(NULL);
    kin_value *given = kin_value_new('i', 0, &from_i, KIN_VALUE_OPTIONS(.lock = lock));
    ck_assert_ptr_eq(kin_value_get_lock(given), lock);
    ck_assert_int_eq(*(int *)kin_value_get_obj(given), from_i);

    kin_value *without = kin_value_new('i', 0, &from_i, KIN_VALUE_OPTIONS(.unlocked = true));
    ck_assert_ptr_null(kin_value_get_lock(without));
    ck_assert_int_eq(kin_value_acquire(without, 0), KIN_EINVAL);
    ck_assert_int_eq(*(int *)kin_value_get_obj(without), from_i);
    int here;
    ck_assert_ptr_null(kin_value_new('i', 0, &from_i, KIN_VALUE_OPTIONS(.lock = &here)));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);

    ck_assert_int_eq(kin_value_free(own), 0);
    ck_assert_int_eq(kin_value_free(given), 0);
    ck_assert_int_eq(kin_value_free(without), 0);
    ck_assert_int_eq(kin_lock_free(lock), 0);
}

/* ---- CPython, _TestArray --------------------------------------------------------------------- */

struct arrays {
    kin_array *array;
    int *raw;
};

static void sum_up(int *items, size_t count)
{
    for (size_t i = 1; i < count; i++)
        items[i] += items[i - 1];
}

static int sum_up_both(void *arg)
{
    const struct arrays *arrays = arg;
    for (size_t i = 1; i < kin_array_count(arrays->array); i++) {
        int before;
        child_assert(kin_array_get(arrays->array, i - 1, &before, sizeof before) == 0);
        child_assert(kin_array_fetch_add(arrays->array, i, before, NULL) == 0);
    }
    sum_up(arrays->raw, 10);
    return 0;
}

/* test_array, test_rawarray */
static void array_is_shared_and_sliced(void)
{
    test_init();
    int items[10] = {680, 626, 934, 821, 150, 233, 548, 982, 714, 831}, out[10] = {0};
    struct arrays *arrays = kin_calloc(1, sizeof *arrays);
    arrays->array = KIN_ARRAY(int, 10, items, NULL);
    arrays->raw = KIN_RAW_ARRAY(int, 10, items);
    ck_assert_uint_eq(kin_array_count(arrays->array), 10);
    ck_assert_int_eq(kin_array_get(arrays->array, 3, out, sizeof *out), 0);
    ck_assert_int_eq(out[0], 821);
    ck_assert_int_eq(kin_array_get_slice(arrays->array, (kin_slice){2, 7}, out, sizeof out), 0);
    ck_assert_int_eq(memcmp(out, items + 2, 5 * sizeof(int)), 0);
    const int new[4] = {1, 2, 3, 4};
    ck_assert_int_eq(kin_array_set_slice(arrays->array, (kin_slice){4, 8}, new, sizeof new), 0);
    memcpy(items + 4, new, sizeof new);
    memcpy(arrays->raw + 4, new, sizeof new);
    ck_assert_int_eq(kin_array_get_slice(arrays->array, (kin_slice){0, KIN_END}, out, sizeof out), 0);
    ck_assert_mem_eq(out, items, sizeof items);
    sum_up(items, 10);
    run(sum_up_both, arrays);
    ck_assert_mem_eq(kin_array_get_obj(arrays->array), items, sizeof items);
    ck_assert_mem_eq(arrays->raw, items, sizeof items);
    ck_assert_int_eq(kin_array_free(arrays->array), 0);
    kin_free(arrays->raw);
    kin_free(arrays);
}

/* test_array_from_size: three times, in memory that has been used */
static void array_from_size_is_zeroed(void)
{
    test_init();
    static const int zeros[10];
    for (int turn = 0; turn < 3; turn++) {
        kin_array *array = KIN_ARRAY(int, 10, NULL, NULL);
        ck_assert_uint_eq(kin_array_count(array), 10);
        ck_assert_mem_eq(kin_array_get_obj(array), zeros, sizeof zeros);
        int numbers[10], out[10];
        for (int i = 0; i < 10; i++)
            numbers[i] = i;
        ck_assert_int_eq(kin_array_set_slice(array, (kin_slice){0, KIN_END}, numbers, sizeof numbers), 0);
        ck_assert_int_eq(kin_array_get_slice(array, (kin_slice){0, KIN_END}, out, sizeof out), 0);
        ck_assert_mem_eq(out, numbers, sizeof out);
        ck_assert_int_eq(kin_array_free(array), 0);
    }
}

/* test_getobj_getlock_obj */
static void array_has_the_lock_that_it_was_given(void)
{
    test_init();
    const int items[3] = {0, 1, 2};
    kin_array *own = KIN_ARRAY(int, 3, items, NULL);
    ck_assert_ptr_nonnull(kin_array_get_lock(own));
    ck_assert_int_eq(memcmp(kin_array_get_obj(own), items, sizeof items), 0);
    kin_rlock *lock = kin_rlock_new(NULL);
    kin_array *given = KIN_ARRAY(int, 3, items, KIN_ARRAY_OPTIONS(.lock = lock));
    ck_assert_ptr_eq(kin_array_get_lock(given), lock);
    kin_array *without = KIN_ARRAY(int, 3, items, KIN_ARRAY_OPTIONS(.unlocked = true));
    ck_assert_ptr_null(kin_array_get_lock(without));
    int here;
    ck_assert_ptr_null(KIN_ARRAY(int, 3, items, KIN_ARRAY_OPTIONS(.lock = &here)));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    ck_assert_int_eq(kin_array_free(own), 0);
    ck_assert_int_eq(kin_array_free(given), 0);
    ck_assert_int_eq(kin_array_free(without), 0);
    ck_assert_int_eq(kin_rlock_free(lock), 0);
}

/* ---- CPython, _TestSharedCTypes -------------------------------------------------------------- */

struct foo {
    int x;
    double y;
    long long z;
};

struct shared {
    kin_value *x, *y, *z, *foo;
    kin_array *array, *string;
};

static int double_all(void *arg)
{
    const struct shared *all = arg;
    int x;
    long long z;
    child_assert(kin_value_get(all->x, &x, sizeof x) == 0 && kin_value_get(all->z, &z, sizeof z) == 0);
    x *= 2;
    z *= 2;
    child_assert(kin_value_set(all->x, &x, sizeof x) == 0 && kin_value_set(all->z, &z, sizeof z) == 0);
    child_assert(kin_value_fetch_add_double(all->y, 1.0 / 3, NULL) == 0);
    struct foo *foo = kin_value_get_obj(all->foo);
    foo->x *= 2;
    foo->y *= 2;
    for (size_t i = 0; i < kin_array_count(all->array); i++)
        child_assert(kin_array_fetch_add_double(all->array, i, (double)i, NULL) == 0);
    char text[32], twice[64];
    child_assert(kin_array_get_string(all->string, text, sizeof text, NULL) == 0);
    snprintf(twice, sizeof twice, "%s%s", text, text);
    child_assert(kin_array_set_string(all->string, twice) == 0);
    return 0;
}

static void share_all(bool unlocked)
{
    test_init();
    const kin_value_options *how = KIN_VALUE_OPTIONS(.unlocked = unlocked);
    struct shared *all = kin_calloc(1, sizeof *all);
    double numbers[10], out[10];
    for (int i = 0; i < 10; i++)
        numbers[i] = i;
    all->x = KIN_VALUE(int, 7, how);
    all->y = KIN_VALUE(double, 1.0 / 3, how);
    all->z = KIN_VALUE(long long, 1LL << 33, how);
    all->foo = KIN_VALUE(struct foo, ((struct foo){.x = 3, .y = 2}), how);
    all->array = KIN_ARRAY(double, 10, numbers, how);
    all->string = KIN_ARRAY(char, 20, NULL, how);
    ck_assert_int_eq(kin_array_set_string(all->string, "hello"), 0);
    run(double_all, all);
    ck_assert_int_eq(*(int *)kin_value_get_obj(all->x), 14);
    ck_assert_double_eq_tol(*(double *)kin_value_get_obj(all->y), 2.0 / 3, 1e-9);
    ck_assert_int_eq(*(long long *)kin_value_get_obj(all->z), 1LL << 34);
    struct foo foo;
    ck_assert_int_eq(kin_value_get(all->foo, &foo, sizeof foo), 0);
    ck_assert_int_eq(foo.x, 6);
    ck_assert_double_eq_tol(foo.y, 4, 1e-9);
    ck_assert_int_eq(kin_array_get_slice(all->array, (kin_slice){0, KIN_END}, out, sizeof out), 0);
    for (int i = 0; i < 10; i++)
        ck_assert_double_eq_tol(out[i], 2 * i, 1e-9);
    char text[32];
    ck_assert_int_eq(kin_array_get_string(all->string, text, sizeof text, NULL), 0);
    ck_assert_str_eq(text, "hellohello");
    ck_assert_int_eq(kin_value_free(all->x), 0);
    ck_assert_int_eq(kin_value_free(all->y), 0);
    ck_assert_int_eq(kin_value_free(all->z), 0);
    ck_assert_int_eq(kin_value_free(all->foo), 0);
    ck_assert_int_eq(kin_array_free(all->array), 0);
    ck_assert_int_eq(kin_array_free(all->string), 0);
    kin_free(all);
}

/* test_sharedctypes */
static void all_kinds_are_shared_without_a_lock(void)
{
    share_all(true);
}

/* test_synchronize */
static void all_kinds_are_shared_with_a_lock(void)
{
    share_all(false);
}

/* test_copy */
static void copy_is_another(void)
{
    test_init();
    struct foo *foo = KIN_RAW_VALUE(struct foo, ((struct foo){2, 5.0, 1LL << 33}));
    struct foo *bar = kin_raw_value(sizeof *bar, foo);
    memset(foo, 0, sizeof *foo);
    ck_assert_int_eq(bar->x, 2);
    ck_assert_double_eq_tol(bar->y, 5, 1e-9);
    ck_assert_int_eq(bar->z, 1LL << 33);
    kin_free(foo);
    kin_free(bar);
}

/* ---- beyond ---------------------------------------------------------------------------------- */

#define TURNS 2000

struct counters {
    kin_value *locked, *unlocked, *sum;
    kin_array *array;
    _Atomic uint32_t held;
};

static int count_up(void *arg)
{
    struct counters *counters = arg;
    for (int i = 0; i < TURNS; i++) {
        child_assert(kin_value_fetch_add(counters->locked, 1, NULL) == 0);
        child_assert(kin_value_acquire(counters->locked, KIN_FOREVER) == 0);
        ++*(int *)kin_value_get_obj(counters->locked);
        child_assert(kin_value_fetch_add(counters->locked, 1, NULL) == 0); /* an rlock: held twice */
        child_assert(kin_value_release(counters->locked) == 0);
        child_assert(kin_value_fetch_add(counters->unlocked, 1, NULL) == 0);
        child_assert(kin_value_fetch_add_double(counters->sum, 0.5, NULL) == 0);
        child_assert(kin_array_fetch_add(counters->array, (size_t)i % 7, -1, NULL) == 0);
    }
    return 0;
}

static void nothing_that_is_added_gets_lost(void)
{
    test_init();
    struct counters *counters = kin_calloc(1, sizeof *counters);
    counters->locked = KIN_VALUE(int, 0, NULL);
    counters->unlocked = KIN_VALUE(short, 0, KIN_VALUE_OPTIONS(.unlocked = true));
    counters->sum = KIN_VALUE(double, 0, KIN_VALUE_OPTIONS(.unlocked = true));
    counters->array = KIN_ARRAY(long, 7, NULL, NULL);
    kin_process *processes[3];
    for (int i = 0; i < 3; i++)
        processes[i] =
            kin_process_start_shared(count_up, counters, KIN_PROCESS_OPTIONS(.start_method = test_method()));
    for (int i = 0; i < 3; i++)
        join(processes[i]);
    ck_assert_int_eq(*(int *)kin_value_get_obj(counters->locked), 9 * TURNS);
    ck_assert_int_eq(*(short *)kin_value_get_obj(counters->unlocked), 3 * TURNS);
    ck_assert_double_eq_tol(*(double *)kin_value_get_obj(counters->sum), 1.5 * TURNS, 1e-9);
    long sum = 0;
    for (size_t i = 0; i < 7; i++)
        sum += ((long *)kin_array_get_obj(counters->array))[i];
    ck_assert_int_eq(sum, -3 * TURNS);
    ck_assert_int_eq(kin_value_free(counters->locked), 0);
    ck_assert_int_eq(kin_value_free(counters->unlocked), 0);
    ck_assert_int_eq(kin_value_free(counters->sum), 0);
    ck_assert_int_eq(kin_array_free(counters->array), 0);
    kin_free(counters);
}

static int hold(void *arg)
{
    struct counters *counters = arg;
    child_assert(kin_value_acquire(counters->locked, KIN_FOREVER) == 0);
    atomic_store(&counters->held, 1);
    pause();
    return 0;
}

static void death_of_who_holds_it_is_told_once(void)
{
    test_init();
    struct counters *counters = kin_calloc(1, sizeof *counters);
    counters->locked = KIN_VALUE(int, 5, KIN_VALUE_OPTIONS(.name = "kept", .timeout = 0.05));
    kin_process *process =
        kin_process_start_shared(hold, counters, KIN_PROCESS_OPTIONS(.start_method = test_method()));
    await(&counters->held, 1);
    int now = 0;
    ck_assert_int_eq(kin_value_get(counters->locked, &now, sizeof now), KIN_ETIMEDOUT);
    ck_assert_int_eq(kin_value_free(counters->locked), KIN_EBUSY);
    ck_assert_int_eq(kin_process_kill(process), 0);
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    kin_process_free(process);
    ck_assert_int_eq(kin_value_get(counters->locked, &now, sizeof now), KIN_EOWNERDIED);
    ck_assert_int_eq(now, 5);
    ck_assert_int_eq(kin_value_set(counters->locked, &now, sizeof now), 0);
    ck_assert_int_eq(kin_value_free(counters->locked), 0);
    kin_free(counters);
}

static void added_number_wraps_as_its_type_does(void)
{
    test_init();
    int64_t before;
    kin_value *byte = KIN_VALUE(unsigned char, 250, NULL);
    ck_assert_int_eq(kin_value_fetch_add(byte, 10, &before), 0);
    ck_assert_int_eq(before, 250);
    ck_assert_uint_eq(*(unsigned char *)kin_value_get_obj(byte), 4);
    kin_value *flag = KIN_VALUE(bool, true, NULL);
    ck_assert_int_eq(kin_value_type(flag), KIN_BOOL);
    ck_assert_int_eq(kin_value_fetch_add(flag, 1, NULL), KIN_EINVAL);
    ck_assert_int_eq(kin_value_fetch_add_double(byte, 1, NULL), KIN_EINVAL);
    kin_value *real = KIN_VALUE(float, 0.5f, NULL);
    double was;
    ck_assert_int_eq(kin_value_fetch_add_double(real, 0.25, &was), 0);
    ck_assert_double_eq_tol(was, 0.5, 1e-9);
    ck_assert_int_eq(kin_value_free(byte), 0);
    ck_assert_int_eq(kin_value_free(flag), 0);
    ck_assert_int_eq(kin_value_free(real), 0);
}

static void misuse_is_told(void)
{
    test_init();
    int number = 1;
    char text[4];
    size_t length;
    ck_assert_int_eq(kin_value_get(NULL, &number, sizeof number), KIN_EINVAL);
    ck_assert_ptr_null(kin_value_new('z', 0, NULL, NULL));
    ck_assert_ptr_null(kin_value_new('i', 8, NULL, NULL));
    ck_assert_ptr_null(kin_value_new(KIN_BYTES, 0, NULL, NULL));
    ck_assert_ptr_null(kin_array_new('i', 0, SIZE_MAX / 2, NULL, NULL));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    kin_lock *lock = kin_lock_new(NULL);
    ck_assert_ptr_null(kin_value_new('i', 0, NULL, KIN_VALUE_OPTIONS(.lock = lock, .unlocked = true)));
    kin_value *value = KIN_VALUE(int, 1, KIN_VALUE_OPTIONS(.lock = lock));
    ck_assert_int_eq(kin_value_get(value, &number, 8), KIN_EINVAL);
    ck_assert_int_eq(kin_value_acquire(value, 0), 0);
    ck_assert_int_eq(kin_value_get(value, &number, sizeof number), KIN_EDEADLK);
    ck_assert_int_eq(kin_value_release(value), 0);
    kin_array *array = KIN_ARRAY(char, 8, NULL, KIN_ARRAY_OPTIONS(.name = "word"));
    ck_assert_int_eq(kin_array_count((kin_array *)value), 0);
    ck_assert_int_eq(kin_array_get(array, 8, text, 1), KIN_EINVAL);
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "item 8 of array \"word\": it has 8"));
    ck_assert_int_eq(kin_array_get_slice(array, (kin_slice){4, 9}, text, sizeof text), KIN_EINVAL);
    ck_assert_int_eq(kin_array_get_slice(array, (kin_slice){5, 4}, text, sizeof text), KIN_EINVAL);
    ck_assert_int_eq(kin_array_get_slice(array, (kin_slice){0, 5}, text, sizeof text), KIN_EINVAL);
    ck_assert_int_eq(kin_array_set_slice(array, (kin_slice){0, 3}, text, sizeof text), KIN_EINVAL);
    ck_assert_int_eq(kin_array_set_string(array, "too long!"), KIN_ETOOLARGE);
    ck_assert_int_eq(kin_array_set_string(array, "12345678"), 0);
    ck_assert_int_eq(kin_array_get_string(array, text, sizeof text, &length), KIN_ETOOLARGE);
    ck_assert_uint_eq(length, 8);
    ck_assert_int_eq(kin_array_free(array), 0);
    ck_assert_int_eq(kin_array_free(array), KIN_EINVAL);
    ck_assert_int_eq(kin_value_free(value), 0);
    ck_assert_int_eq(kin_value_free(NULL), 0);
    ck_assert_int_eq(kin_lock_free(lock), 0);
}

static const struct test tests[] = {
    {"values_of_five_types_are_shared", values_of_five_types_are_shared, 10, TEST_EACH_METHOD},
    {"value_has_the_lock_that_it_was_given", value_has_the_lock_that_it_was_given, 5, 0},
    {"array_is_shared_and_sliced", array_is_shared_and_sliced, 10, TEST_EACH_METHOD},
    {"array_from_size_is_zeroed", array_from_size_is_zeroed, 5, 0},
    {"array_has_the_lock_that_it_was_given", array_has_the_lock_that_it_was_given, 5, 0},
    {"all_kinds_are_shared_without_a_lock", all_kinds_are_shared_without_a_lock, 10, TEST_EACH_METHOD},
    {"all_kinds_are_shared_with_a_lock", all_kinds_are_shared_with_a_lock, 10, TEST_EACH_METHOD},
    {"copy_is_another", copy_is_another, 5, 0},
    {"nothing_that_is_added_gets_lost", nothing_that_is_added_gets_lost, 20, TEST_EACH_METHOD},
    {"death_of_who_holds_it_is_told_once", death_of_who_holds_it_is_told_once, 10, TEST_EACH_METHOD},
    {"added_number_wraps_as_its_type_does", added_number_wraps_as_its_type_does, 5, 0},
    {"misuse_is_told", misuse_is_told, 5, 0},
};
TEST_MAIN("value", tests)
