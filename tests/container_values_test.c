/* container_values_test.c - values in containers where it is close: sums, equality and order at the ends of what a word holds, and
 * what happens where there is no private memory. */
#include "container_common.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define TWO_63 (UINT64_C(1) << 63)
#define KIB ((size_t)1024)
#define MIB (KIB * KIB)

static void is_int(const kin_any *value, int64_t expected)
{
    ck_assert_int_eq(value->type, KIN_ANY_INT);
    ck_assert_int_eq(value->integer, expected);
}

static void is_uint(const kin_any *value, uint64_t expected)
{
    ck_assert_int_eq(value->type, KIN_ANY_UINT);
    ck_assert_uint_eq(value->natural, expected);
}

static void is_real(const kin_any *value, double expected)
{
    ck_assert_int_eq(value->type, KIN_ANY_REAL);
    ck_assert(value->real == expected);
}

/* ---- numbers ----------------------------------------------------------------------------------- */

static kin_any sum_of(kin_dict *dict, kin_any a, kin_any b)
{
    kin_any sum;
    ck_assert_int_eq(kin_dict_set(dict, kin_any_text("sum"), a), 0);
    ck_assert_msg(kin_dict_add(dict, kin_any_text("sum"), b, &sum) == 0, "%s", kin_error_message());
    return sum;
}

static void sums_are_exact_as_far_as_64_bits_go(void)
{
    test_init();
    kin_dict *dict = kin_dict_new(NULL);
    kin_any sum = sum_of(dict, kin_any_int(INT64_MAX), kin_any_int(1));
    is_uint(&sum, TWO_63);
    sum = sum_of(dict, kin_any_uint(TWO_63), kin_any_int(-1));
    is_int(&sum, INT64_MAX);
    sum = sum_of(dict, kin_any_uint(UINT64_MAX), kin_any_int(INT64_MIN));
    is_int(&sum, INT64_MAX);
    sum = sum_of(dict, kin_any_int(INT64_MIN), kin_any_int(0));
    is_int(&sum, INT64_MIN);
    /* One whose type is the larger one's, though it is small. */
    sum = sum_of(dict, kin_any_int(-3), (kin_any){.type = KIN_ANY_UINT, .natural = 5});
    is_int(&sum, 2);
    const struct {
        kin_any a, b;
    } beyond[] = {{kin_any_uint(UINT64_MAX), kin_any_int(1)},
                  {kin_any_uint(TWO_63), kin_any_uint(TWO_63)},
                  {kin_any_int(INT64_MIN), kin_any_int(-1)}};
    for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++) {
        ck_assert_int_eq(kin_dict_set(dict, kin_any_text("n"), beyond[i].a), 0);
        ck_assert_int_eq(kin_dict_add(dict, kin_any_text("n"), beyond[i].b, NULL), KIN_ELIMIT);
    }
    ck_assert_int_eq(kin_dict_free(dict), 0);
}

static void reals_are_added_as_by_c(void)
{
    test_init();
    kin_dict *dict = kin_dict_new(NULL);
    /* More than half of the last place: a sum that is rounded to more bits first comes out as 1. */
    volatile double one = 1, little = 0x1.0000000000001p-53, large = 1e300;
    kin_any sum = sum_of(dict, kin_any_real(one), kin_any_real(little));
    is_real(&sum, one + little);
    ck_assert(sum.real > 1);
    sum = sum_of(dict, kin_any_real(large), kin_any_real(large));
    is_real(&sum, large + large);
    sum = sum_of(dict, kin_any_int((INT64_C(1) << 53) + 1), kin_any_real(0.5));
    is_real(&sum, (double)((INT64_C(1) << 53) + 1) + 0.5);
    ck_assert_int_eq(kin_dict_free(dict), 0);
}

static void real_key_is_the_integer_it_equals(void)
{
    test_init();
    kin_dict *dict = kin_dict_new(NULL);
    int64_t value;
    ck_assert_int_eq(kin_dict_set(dict, kin_any_real(0x1p63), kin_any_int(1)), 0);
    ck_assert_int_eq(kin_dict_get_int(dict, kin_any_uint(TWO_63), &value), 0);
    ck_assert_int_eq(kin_dict_set(dict, kin_any_real(-0x1p63), kin_any_int(2)), 0);
    ck_assert_int_eq(kin_dict_get_int(dict, kin_any_int(INT64_MIN), &value), 0);
    ck_assert_int_eq(kin_dict_set(dict, kin_any_real(-0.0), kin_any_int(3)), 0);
    ck_assert_int_eq(kin_dict_get_int(dict, kin_any_int(0), &value), 0);
    ck_assert_int_eq(kin_dict_set(dict, kin_any_real(0x1p64), kin_any_int(4)), 0);
    ck_assert_int_eq(kin_dict_get_int(dict, kin_any_real(0x1p64), &value), 0);
    ck_assert_int_eq(value, 4);
    ck_assert_uint_eq(kin_dict_length(dict), 4);
    ck_assert_int_eq(kin_dict_free(dict), 0);
}

static void value_that_equals_what_was_seen_is_no_change(void)
{
    test_init();
    kin_dict *dict = kin_dict_new(NULL);
    kin_list *list = kin_list_new(NULL);
    kin_any seen = kin_any_real(2), value, other = kin_any_real(2.5), nothing = kin_any_nothing();
    ck_assert_int_eq(kin_dict_set(dict, kin_any_int(1), kin_any_int(2)), 0);
    ck_assert_int_eq(kin_list_append(list, kin_any_int(2)), 0);
    ck_assert_int_eq(kin_dict_wait_change(dict, kin_any_int(1), &seen, &value, 0), KIN_ETIMEDOUT);
    ck_assert_int_eq(kin_list_wait_change(list, 0, &seen, &value, 0), KIN_ETIMEDOUT);
    ck_assert_int_eq(kin_dict_wait_change(dict, kin_any_int(1), &other, &value, 0), 0);
    is_int(&value, 2);
    ck_assert_int_eq(kin_list_wait_change(list, 0, &other, &value, 0), 0);
    is_int(&value, 2);
    ck_assert_int_eq(kin_dict_wait_change(dict, kin_any_int(1), &nothing, &value, 0), KIN_EINVAL);
    ck_assert_int_eq(kin_list_wait_change(list, 0, &nothing, &value, 0), KIN_EINVAL);
    ck_assert_int_eq(kin_list_free(list), 0);
    ck_assert_int_eq(kin_dict_free(dict), 0);
}

static void object_of_no_bytes_is_no_value(void)
{
    test_init();
    kin_dict *dict = kin_dict_new(NULL);
    kin_any object = {.type = KIN_ANY_OBJECT};
    ck_assert_int_eq(kin_dict_set(dict, object, kin_any_int(1)), KIN_EINVAL);
    ck_assert_int_eq(kin_dict_set(dict, kin_any_int(1), object), KIN_EINVAL);
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "an object of 0 bytes"));
    ck_assert_int_eq(kin_dict_free(dict), 0);
}

/* ---- emptiness --------------------------------------------------------------------------------- */

struct race {
    kin_set *set;
    _Atomic int next, failed;
    int rounds;
};

/* Each puts one in before it takes one out: at no moment is there none for it. */
static void *add_and_pop(void *arg)
{
    struct race *race = arg;
    for (int i = 0; i < race->rounds; i++) {
        kin_any value;
        if (kin_set_add(race->set, kin_any_int(atomic_fetch_add(&race->next, 1)), NULL) ||
            kin_set_pop(race->set, &value))
            atomic_fetch_add(&race->failed, 1);
    }
    return NULL;
}

static void set_is_only_empty_if_it_is(void)
{
    test_init();
    pthread_t threads[4];
    struct race race = {.set = kin_set_new(NULL), .rounds = 20000};
    kin_any value;
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, add_and_pop, &race), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(atomic_load(&race.failed), 0);
    ck_assert_uint_eq(kin_set_length(race.set), 0);
    ck_assert_int_eq(kin_set_pop(race.set, &value), KIN_ENOTFOUND);
    ck_assert_int_eq(kin_set_free(race.set), 0);
}

/* ---- where there is no private memory ---------------------------------------------------------- */

/* Bytes of private data that this process has now. */
static size_t data_now(void)
{
    char line[256];
    size_t kib = 0;
    FILE *status = fopen("/proc/self/status", "re");
    while (status && fgets(line, sizeof line, status))
        if (sscanf(line, "VmData: %zu kB", &kib) == 1)
            break;
    if (status)
        fclose(status);
    return kib * KIB;
}

static void limit_data(size_t more)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_DATA, &limit), 0);
    limit.rlim_cur = more == SIZE_MAX ? limit.rlim_max : data_now() + more;
    ck_assert_int_eq(setrlimit(RLIMIT_DATA, &limit), 0);
}

static void default_is_not_set_for_who_cannot_be_given_it(void)
{
    if (test_under_valgrind())
        test_skip("valgrind has its own memory");
    test_init();
    kin_dict *dict = kin_dict_new(NULL);
    char *large = mmap(NULL, 16 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(large, MAP_FAILED);
    kin_any out;
    bool there;
    limit_data(MIB);
    int error = kin_dict_setdefault(dict, kin_any_int(1), kin_any_bytes(large, 16 * MIB), &out);
    limit_data(SIZE_MAX);
    ck_assert_int_eq(error, KIN_ENOMEM);
    ck_assert_int_eq(kin_dict_contains(dict, kin_any_int(1), &there), 0);
    ck_assert(!there);
    ck_assert_int_eq(kin_dict_setdefault(dict, kin_any_int(1), kin_any_bytes(large, 16 * MIB), &out), 0);
    ck_assert_uint_eq(out.size, 16 * MIB);
    kin_any_clear(&out);
    munmap(large, 16 * MIB);
    ck_assert_int_eq(kin_dict_free(dict), 0);
}

#define ITEMS 60000

static bool is_sorted(const kin_list *list)
{
    static kin_any values[ITEMS];
    size_t got;
    bool sorted = true;
    ck_assert_int_eq(kin_list_get_many(list, 0, ITEMS, values, &got), 0);
    ck_assert_uint_eq(got, ITEMS);
    for (size_t i = 1; i < ITEMS; i++)
        sorted = sorted && strcmp(values[i - 1].data, values[i].data) < 0;
    for (size_t i = 0; i < ITEMS; i++)
        kin_any_clear(&values[i]);
    return sorted;
}

/* The C library sorts in another way where it gets no memory for the usual one. */
static void list_is_sorted_with_much_memory_or_little(void)
{
    if (test_under_valgrind())
        test_skip("valgrind has its own memory");
    test_init();
    unsigned failed = 0, sorted = 0;
    for (size_t more = MIB / 2; more <= 10 * MIB; more += MIB / 2) {
        kin_list *list = kin_list_new(NULL);
        for (uint32_t i = 0; i < ITEMS; i++) {
            char text[8];
            snprintf(text, sizeof text, "%07u", (i * 7919u + 13) % ITEMS);
            ck_assert_int_eq(kin_list_append(list, kin_any_text(text)), 0);
        }
        limit_data(more);
        int error = kin_list_sort(list, false);
        limit_data(SIZE_MAX);
        ck_assert(error == 0 || error == KIN_ENOMEM);
        ck_assert(error || is_sorted(list));
        failed += error != 0;
        sorted += error == 0;
        ck_assert_int_eq(kin_list_free(list), 0);
    }
    ck_assert(failed && sorted);
}

static const struct test tests[] = {
    {"sums_are_exact_as_far_as_64_bits_go", sums_are_exact_as_far_as_64_bits_go, 10, 0},
    {"reals_are_added_as_by_c", reals_are_added_as_by_c, 10, 0},
    {"real_key_is_the_integer_it_equals", real_key_is_the_integer_it_equals, 10, 0},
    {"value_that_equals_what_was_seen_is_no_change", value_that_equals_what_was_seen_is_no_change, 10, 0},
    {"object_of_no_bytes_is_no_value", object_of_no_bytes_is_no_value, 10, 0},
    {"set_is_only_empty_if_it_is", set_is_only_empty_if_it_is, 60, 0},
    /* AddressSanitizer's malloc ends the program where there is no memory. */
    {"default_is_not_set_for_who_cannot_be_given_it", default_is_not_set_for_who_cannot_be_given_it, 20,
     TEST_NOT_ASAN},
    {"list_is_sorted_with_much_memory_or_little", list_is_sorted_with_much_memory_or_little, 60,
     TEST_NOT_ASAN},
};
TEST_MAIN("container_values", tests)
