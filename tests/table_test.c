/* table_test.c - kin/table.h: tables and lists of strings and records, built once and read by all. */
#include "harness.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "family/heap.h"
#include "kin.h"

#define TOP (test_time_left() - 0.5)

static void all_is_well(void)
{
    ck_assert_msg(kin__heap_check() == 0, "%s", kin_error_message());
}

static size_t used(void)
{
    kin_heap_stats stats = {.size = sizeof stats};
    ck_assert_int_eq(kin_heap_get_stats(&stats), 0);
    return stats.used;
}

static void strings_are_found_by_key(void)
{
    test_init();
    size_t before = used();
    kin_table_builder *builder = kin_table_build();
    ck_assert_msg(builder != NULL, "%s", kin_error_message());
    ck_assert_int_eq(kin_table_add_string(builder, "one", "eins"), 0);
    ck_assert_int_eq(kin_table_add_string(builder, "two", "zwei"), 0);
    ck_assert_int_eq(kin_table_add_string(builder, "", "nichts"), 0);
    ck_assert_int_eq(kin_table_add_string(builder, "nothing", ""), 0);
    ck_assert_int_eq(kin_table_add_string(builder, "two", "deux"), KIN_EBUSY);
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "\"two\" is in the table already, as entry 1"));
    const kin_table *table = kin_table_seal(builder);
    ck_assert_msg(table != NULL, "%s", kin_error_message());
    ck_assert_uint_eq(kin_table_count(table), 4);
    ck_assert_str_eq(kin_table_find_string(table, "one"), "eins");
    ck_assert_str_eq(kin_table_find_string(table, "two"), "zwei");
    ck_assert_str_eq(kin_table_find_string(table, ""), "nichts");
    ck_assert_str_eq(kin_table_find_string(table, "nothing"), "");
    ck_assert_ptr_null(kin_table_find_string(table, "three"));
    ck_assert_int_eq(kin_error_code(), KIN_ENOTFOUND);
    kin_table_entry entry;
    ck_assert_int_eq(kin_table_at(table, 1, &entry), 0);
    ck_assert_str_eq(entry.key, "two");
    ck_assert_uint_eq(entry.key_size, 3);
    ck_assert_uint_eq(entry.index, 1);
    ck_assert_int_eq(kin_table_at(table, 4, &entry), KIN_ENOTFOUND);
    kin_table_free(table);
    ck_assert_uint_eq(used(), before);
    all_is_well();
}

static void empty_ones_are_tables(void)
{
    test_init();
    kin_table_entry entry;
    for (int list = 0; list < 2; list++) {
        const kin_table *table = kin_table_seal(list ? kin_table_build_list() : kin_table_build());
        ck_assert_msg(table != NULL, "%s", kin_error_message());
        ck_assert_uint_eq(kin_table_count(table), 0);
        ck_assert_int_eq(kin_table_at(table, 0, &entry), KIN_ENOTFOUND);
        ck_assert_int_eq(kin_table_find(table, "x", 1, &entry), list ? KIN_EINVAL : KIN_ENOTFOUND);
        kin_table_free(table);
    }
    kin_table_drop(kin_table_build());
    kin_table_drop(NULL);
    kin_table_free(NULL);
    all_is_well();
}

struct record {
    uint64_t number;
    double square;
    char padding[3];
};

/* Number i and its square, by a key of i % 40 + 1 bytes. */
static size_t make_key(uint64_t i, char *key)
{
    memset(key, 'k', 48);
    memcpy(key, &i, sizeof i);
    return sizeof i + i % 33;
}

static const kin_table *squares(uint64_t count)
{
    kin_table_builder *builder = kin_table_build();
    ck_assert_msg(builder != NULL, "%s", kin_error_message());
    for (uint64_t i = 0; i < count; i++) {
        char key[48];
        size_t size = make_key(i, key);
        struct record record = {.number = i, .square = (double)i * (double)i};
        ck_assert_msg(kin_table_add(builder, key, size, &record, sizeof record) == 0, "%s",
                      kin_error_message());
        if (i % 100 == 99) /* what is there stays out */
            ck_assert_int_eq(kin_table_add(builder, key, size, &record, sizeof record), KIN_EBUSY);
    }
    const kin_table *table = kin_table_seal(builder);
    ck_assert_msg(table != NULL, "%s", kin_error_message());
    return table;
}

static int look_up(kin_task *task, size_t i, const kin_table *table)
{
    char key[48];
    kin_table_entry entry;
    size_t size = make_key(i, key);
    if (kin_table_find(table, key, size, &entry) != 0)
        return kin_task_fail(task, "%zu is not found", i);
    const struct record *record = entry.value;
    if (entry.index != i || entry.key_size != size || memcmp(entry.key, key, size) != 0 ||
        (uintptr_t)record % 16 || entry.value_size != sizeof *record || record->number != i ||
        record->square != (double)i * (double)i)
        return kin_task_fail(task, "%zu is another", i);
    if (kin_table_find(table, key, size + 1, &entry) != KIN_ENOTFOUND)
        return kin_task_fail(task, "a key that is not there is found");
    return 0;
}

static void records_are_read_by_workers(void)
{
    test_init();
    uint64_t count = test_long() ? 1000000 : 100000;
    size_t before = used();
    const kin_table *table = squares(count);
    size_t bytes = used() - before;
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 2, .start_method = test_method()));
    ck_assert_msg(kin_for(pool, look_up, table, count) == 0, "%s", kin_error_message());
    kin_pool_free(pool);
    kin_table_entry entry;
    uint64_t seen = 0;
    for (size_t i = 0; kin_table_at(table, i, &entry) == 0; i++)
        seen += ((const struct record *)entry.value)->number == i;
    ck_assert_uint_eq(seen, count);
    /* Keys of 8 to 40 bytes and a NUL, records of 24 bytes and a NUL, rounded up to 16; and the overhead that the header tells. */
    ck_assert_uint_lt(bytes, count * (32 + 32 + 48 + 8) + ((size_t)1 << 20));
    before = used();
    kin_table_free(table);
    ck_assert_uint_eq(used(), before - bytes);
    all_is_well();
}

static void list_keeps_its_order(void)
{
    test_init();
    kin_table_builder *builder = kin_table_build_list();
    ck_assert_int_eq(kin_table_add(builder, "key", 3, "value", 5), KIN_EINVAL);
    ck_assert_int_eq(kin_table_add(builder, NULL, 0, NULL, 5), KIN_EINVAL);
    char text[100];
    for (int i = 0; i < 50000; i++) {
        snprintf(text, sizeof text, "path/to/file-%d.png", i);
        ck_assert_int_eq(kin_table_add_string(builder, NULL, text), 0);
    }
    const kin_table *table = kin_table_seal(builder);
    kin_table_entry entry;
    for (int i = 0; i < 50000; i++) {
        snprintf(text, sizeof text, "path/to/file-%d.png", i);
        ck_assert_int_eq(kin_table_at(table, (size_t)i, &entry), 0);
        ck_assert_ptr_null(entry.key);
        ck_assert_str_eq(entry.value, text);
        ck_assert_uint_eq(entry.value_size, strlen(text));
    }
    kin_table_free(table);
    all_is_well();
}

/* One larger than all the books so far, and small ones after it. */
static void large_values_fit(void)
{
    test_init();
    size_t before = used(), size = ((size_t)5 << 20) + 3;
    char *large = malloc(size);
    memset(large, 7, size);
    kin_table_builder *builder = kin_table_build();
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(kin_table_add(builder, &i, sizeof i, large, size - (size_t)i), 0);
        ck_assert_int_eq(kin_table_add(builder, "small", 5 - (size_t)i, "x", 1), 0);
    }
    const kin_table *table = kin_table_seal(builder);
    kin_table_entry entry;
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(kin_table_find(table, &i, sizeof i, &entry), 0);
        ck_assert_uint_eq(entry.value_size, size - (size_t)i);
        ck_assert_mem_eq(entry.value, large, size - (size_t)i);
        ck_assert_int_eq(kin_table_find(table, "small", 5 - (size_t)i, &entry), 0);
    }
    free(large);
    kin_table_free(table);
    ck_assert_uint_eq(used(), before);
    all_is_well();
}

static void too_much_leaves_the_builder_as_it_was(void)
{
    kin_init_options options = {.size = sizeof options, .heap_limit = (size_t)16 << 20};
    ck_assert_int_eq(kin_init_with(&test_argc, &test_argv, &options), 0);
    static char value[1 << 20];
    kin_table_builder *builder = kin_table_build();
    void *ballast = kin_malloc(1 << 20);
    int i = 0;
    while (kin_table_add(builder, &i, sizeof i, value, sizeof value) == 0)
        i++;
    while (kin_table_add(builder, &i, sizeof i, value, 1000) == 0) /* the last book, to its end */
        i++;
    ck_assert_int_eq(kin_error_code(), KIN_ENOMEM);
    ck_assert_int_gt(i, 8);
    ck_assert_ptr_null(kin_table_seal(builder)); /* there is no room for the index either */
    ck_assert_int_eq(kin_error_code(), KIN_ENOMEM);
    kin_free(ballast);
    const kin_table *table = kin_table_seal(builder);
    ck_assert_msg(table != NULL, "%s", kin_error_message());
    ck_assert_uint_eq(kin_table_count(table), (size_t)i);
    kin_table_entry entry;
    while (i-- > 0)
        ck_assert_int_eq(kin_table_find(table, &i, sizeof i, &entry), 0);
    kin_table_free(table);
    all_is_well();
}

static int dies_while_it_builds(void *arg)
{
    (void)arg;
    kin_table_builder *builder = kin_table_build();
    static char value[100000];
    for (int i = 0; i < 100; i++)
        child_assert(kin_table_add(builder, &i, sizeof i, value, sizeof value) == 0);
    kill(getpid(), SIGKILL);
    return 0;
}

static void builders_go_with_their_process(void)
{
    test_init();
    size_t before = used();
    kin_process *process =
        kin_process_start(dies_while_it_builds, NULL, 0, KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    kin_end end;
    ck_assert_int_eq(kin_process_end(process, &end), 0);
    ck_assert_int_eq(end.signal, SIGKILL);
    kin_process_free(process);
    ck_assert_uint_lt(used(), before + ((size_t)1 << 20));
    all_is_well();
}

static void what_is_no_table_is_refused(void)
{
    test_init();
    const kin_table *table = squares(10);
    kin_table_free(table);
    kin_table_entry entry;
    ck_assert_int_eq(kin_table_at(table, 0, &entry), KIN_EINVAL);
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "is not a table (freed?)"));
    void *block = kin_calloc(1, 1000);
    ck_assert_int_eq(kin_table_find(block, "x", 1, &entry), KIN_EINVAL);
    ck_assert_int_eq(kin_table_find(NULL, "x", 1, &entry), KIN_EINVAL);
    ck_assert_ptr_null(kin_table_find_string(NULL, "x"));
    ck_assert_uint_eq(kin_table_count(NULL), 0);
    kin_error_clear();
    kin_table_free(block);
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    ck_assert_int_eq(kin_table_add(NULL, "x", 1, "y", 1), KIN_EINVAL);
    ck_assert_ptr_null(kin_table_seal(NULL));
    kin_free(block);
    table = squares(10);
    ck_assert_int_eq(kin_table_find(table, NULL, 1, &entry), KIN_EINVAL);
    ck_assert_int_eq(kin_table_find(table, "x", 1, NULL), KIN_EINVAL);
    ck_assert_int_eq(kin_table_at(table, 0, NULL), KIN_EINVAL);
    ck_assert_ptr_null(kin_table_find_string(table, NULL));
    kin_table_free(table);
}

static const struct test tests[] = {
    {"strings_are_found_by_key", strings_are_found_by_key, 5, 0},
    {"empty_ones_are_tables", empty_ones_are_tables, 5, 0},
    {"records_are_read_by_workers", records_are_read_by_workers, 60, TEST_EACH_METHOD},
    {"list_keeps_its_order", list_keeps_its_order, 10, 0},
    {"large_values_fit", large_values_fit, 10, 0},
    {"too_much_leaves_the_builder_as_it_was", too_much_leaves_the_builder_as_it_was, 10, 0},
    {"builders_go_with_their_process", builders_go_with_their_process, 20, TEST_EACH_METHOD},
    {"what_is_no_table_is_refused", what_is_no_table_is_refused, 5, 0},
};
TEST_MAIN("table", tests)
