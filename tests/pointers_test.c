/*
 * pointers_test.c - KIN_CHECK=pointers: private pointers in what is handed to other processes are told.
 */
#include "harness.h"

#include "kin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char told[8192];
static int warnings;

static void listen(int level, const char *message, void *arg)
{
    (void)arg;
    size_t used = strlen(told);
    warnings += level == KIN_LOG_WARNING;
    snprintf(told + used, sizeof told - used, "%s\n", message);
}

static void begin(const char *checks)
{
    setenv("KIN_CHECK", checks, 1);
    test_init();
    kin_log_set_callback(listen, NULL);
}

static void expect(int count, const char *text)
{
    ck_assert_msg(warnings == count && strstr(told, text), "%d warnings, not %d with \"%s\": %s", warnings,
                  count, text, told);
    told[0] = '\0';
    warnings = 0;
}

struct item {
    uint64_t number;
    char text[8];
    const void *pointer;
};

static int nothing(void *arg)
{
    return arg == NULL;
}

static void start_with(const void *pointer)
{
    struct item item = {.number = 3, .text = "abcdefg", .pointer = pointer};
    kin_process *process =
        kin_process_start(nothing, &item, sizeof item, KIN_PROCESS_OPTIONS(.name = "worker"));
    ck_assert_ptr_nonnull(process);
    ck_assert_int_eq(kin_process_join(process, KIN_FOREVER), 0);
    kin_process_free(process);
}

static int variable = 4;
static int blank;

static void argument_of_a_process_is_searched(void)
{
    begin("pointers");
    int local;
    void *small = malloc(10), *large = malloc(1000000), *shared = kin_malloc(10);
    start_with(&local);
    expect(1, "the argument of process \"worker\", offset 16: ");
    start_with(&local);
    expect(1, "points to the caller's stack");
    start_with(small);
    expect(1, "points to the program's own heap (malloc)");
    start_with(large);
    expect(1, "points to private memory");
    start_with(&variable);
    expect(1, "points to variables of pointers_test");
    start_with(&blank);
    expect(1, "points to variables of pointers_test");
    start_with(shared);
    start_with(NULL);
    start_with("a constant");
    start_with((void *)(uintptr_t)nothing);
    expect(0, "");
    free(small);
    free(large);
    kin_free(shared);
}

static int look(kin_task *task, const struct item *item, int *out)
{
    (void)task;
    *out = item->pointer != NULL;
    return 0;
}

static void items_of_a_map_are_searched(void)
{
    begin("pointers,heap");
    enum { COUNT = 100 };
    static struct item in[COUNT];
    static int out[COUNT];
    int local;
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 1, .name = "p"));
    ck_assert_ptr_nonnull(pool);
    expect(0, "");
    struct item *shared = kin_calloc(COUNT, sizeof *shared);
    ck_assert_int_eq(kin_map(pool, look, in, out, COUNT), 0);
    expect(0, "");
    in[37].pointer = &local;
    shared[5].pointer = &local;
    ck_assert_int_eq(kin_map(pool, look, in, out, COUNT), 0);
    expect(1, "item 37 of in of a map over pool \"p\", offset 16: ");
    ck_assert_int_eq(kin_map(pool, look, shared, out, COUNT), 0);
    expect(1, "item 5 of in of a map");
    for (int i = 0; i < COUNT; i++)
        in[i].pointer = &variable;
    ck_assert_int_eq(kin_map(pool, look, in, out, COUNT), 0);
    expect(9, "92 more words");
    kin_pool_free(pool);
    kin_free(shared);
}

static int look_at_context(kin_task *task, size_t index, void *context)
{
    (void)task;
    return index != 0 || context == NULL;
}

static void copied_context_is_searched(void)
{
    begin("pointers");
    struct item context = {.pointer = &context};
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 1));
    ck_assert_int_eq(
        kin_pool_for(pool, look_at_context,
                     KIN_MAP_ARGS(.count = 1, .context = &context, .context_size = sizeof context)),
        0);
    expect(1, "context of a map over pool");
    kin_pool_free(pool);
    pool =
        kin_pool_new(KIN_POOL_OPTIONS(.workers = 1, .init_arg = &context, .init_arg_size = sizeof context));
    expect(1, "init_arg of pool \"\", offset 16");
    kin_pool_free(pool);
}

static void without_the_check_nothing_is_told(void)
{
    begin("heap");
    int local;
    start_with(&local);
    expect(0, "");
}

static const struct test tests[] = {
    /* AddressSanitizer has mappings and names of its own for these kinds of memory. */
    {"argument_of_a_process_is_searched", argument_of_a_process_is_searched, 10,
     TEST_NOT_VALGRIND | TEST_NOT_ASAN},
    {"items_of_a_map_are_searched", items_of_a_map_are_searched, 10, TEST_NOT_VALGRIND},
    {"copied_context_is_searched", copied_context_is_searched, 10, TEST_NOT_VALGRIND},
    {"without_the_check_nothing_is_told", without_the_check_nothing_is_told, 10, TEST_NOT_VALGRIND},
};
TEST_MAIN("pointers", tests)
