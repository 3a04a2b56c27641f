/* namespace_test.c - kin/namespace.h and kin/set.h. What CPython's class _TestContainers tests is marked so. */
#include "container_common.h"

#include <stdio.h>
#include <string.h>

static bool is_text(const kin_namespace *space, const char *name, const char *expected)
{
    kin_any value;
    bool same = kin_namespace_get(space, name, &value) == 0 && value.type == KIN_ANY_TEXT &&
                strcmp(value.data, expected) == 0;
    kin_any_clear(&value);
    return same;
}

/* test_namespace */
static int set_attributes(void *arg)
{
    kin_namespace *space = arg;
    child_assert(kin_namespace_set(space, "name", kin_any_text("Bob")) == 0);
    child_assert(kin_namespace_set(space, "job", kin_any_text("Builder")) == 0);
    child_assert(kin_namespace_set(space, "_hidden", kin_any_text("hidden")) == 0);
    return 0;
}

static void attributes_are_shared(void)
{
    test_init();
    kin_namespace *space = kin_namespace_new(KIN_NAMESPACE_OPTIONS(.name = "who"));
    bool has;
    run_child(set_attributes, space);
    ck_assert(is_text(space, "name", "Bob") && is_text(space, "job", "Builder"));
    ck_assert_int_eq(kin_namespace_delete(space, "job"), 0);
    ck_assert_int_eq(kin_namespace_contains(space, "name", &has), 0);
    ck_assert(has);
    ck_assert_int_eq(kin_namespace_contains(space, "job", &has), 0);
    ck_assert(!has);
    const char *name;
    kin_any value;
    kin_namespace_iterator *iterator = kin_namespace_iterate(space);
    ck_assert_int_eq(kin_namespace_next(iterator, &name, &value), 0);
    ck_assert_str_eq(name, "name");
    ck_assert_str_eq((const char *)value.data, "Bob");
    ck_assert_int_eq(kin_namespace_next(iterator, &name, NULL), 0);
    ck_assert_str_eq(name, "_hidden");
    ck_assert_int_eq(kin_namespace_next(iterator, &name, &value), KIN_ENOTFOUND);
    kin_namespace_iterator_free(iterator);
    ck_assert_int_eq(kin_namespace_free(space), 0);
}

static int count_steps(void *arg)
{
    for (int i = 0; i < 1000; i++)
        child_assert(kin_namespace_add(arg, "steps", kin_any_int(1), NULL) == 0);
    child_assert(kin_namespace_set(arg, "phase", kin_any_text("done")) == 0);
    return 0;
}

static void attributes_are_counted_and_waited_for(void)
{
    test_init();
    kin_namespace *space = kin_namespace_new(NULL);
    kin_any value, was = kin_any_text("warm-up");
    bool done;
    ck_assert_int_eq(kin_namespace_set(space, "phase", was), 0);
    kin_process *child =
        kin_process_start_shared(count_steps, space, KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_int_eq(kin_namespace_wait_change(space, "phase", &was, &value, TOP), 0);
    ck_assert_str_eq((const char *)value.data, "done");
    kin_any_clear(&value);
    join(child);
    ck_assert_int_eq(kin_namespace_get(space, "steps", &value), 0);
    ck_assert_int_eq(value.integer, 1000);
    ck_assert_int_eq(kin_namespace_compare_and_set(space, "steps", value, kin_any_int(0), &done), 0);
    ck_assert(done);
    ck_assert_int_eq(kin_namespace_free(space), 0);
}

static void mistakes_are_told(void)
{
    test_init();
    kin_namespace *space = kin_namespace_new(KIN_NAMESPACE_OPTIONS(.name = "state"));
    kin_set *set = kin_set_new(NULL);
    kin_any value;
    bool has;
    ck_assert_int_eq(kin_namespace_get(space, "phase", &value), KIN_ENOTFOUND);
    ck_assert_str_eq(kin_error_message(),
                     "could not get an attribute: namespace \"state\" has no key \"phase\"");
    ck_assert_int_eq(kin_namespace_set(space, NULL, kin_any_int(1)), KIN_EINVAL);
    ck_assert_int_eq(kin_namespace_set((kin_namespace *)set, "a", kin_any_int(1)), KIN_EINVAL);
    ck_assert_int_eq(kin_namespace_contains(NULL, "a", &has), KIN_EINVAL);
    ck_assert_int_eq(kin_namespace_next(NULL, NULL, NULL), KIN_EINVAL);
    ck_assert_int_eq(kin_set_add((kin_set *)space, kin_any_int(1), NULL), KIN_EINVAL);
    ck_assert_int_eq(kin_set_add(set, kin_any_nothing(), NULL), KIN_EINVAL);
    ck_assert_int_eq(kin_set_update(set, NULL, 1), KIN_EINVAL);
    ck_assert_int_eq(kin_set_pop(set, &value), KIN_ENOTFOUND);
    ck_assert_int_eq(kin_set_next(NULL, NULL), KIN_EINVAL);
    ck_assert_int_eq(kin_set_free((kin_set *)space), KIN_EINVAL);
    ck_assert_int_eq(kin_set_free(NULL), 0);
    ck_assert_int_eq(kin_namespace_free(NULL), 0);
    ck_assert_int_eq(kin_set_free(set), 0);
    ck_assert_int_eq(kin_namespace_free(space), 0);
}

/* ---- sets -------------------------------------------------------------------------------------- */

struct claims {
    kin_set *set;
    _Atomic uint32_t won;
};

/* Each number is won by one of the processes. */
static int claim(void *arg)
{
    struct claims *claims = arg;
    for (int i = 0; i < 2000; i++) {
        bool added;
        child_assert(kin_set_add(claims->set, kin_any_int(i), &added) == 0);
        atomic_fetch_add(&claims->won, added);
    }
    return 0;
}

static void one_of_several_is_told_that_it_added(void)
{
    test_init();
    struct claims *claims = kin_calloc(1, sizeof *claims);
    claims->set = kin_set_new(NULL);
    kin_process *children[3];
    for (int i = 0; i < 3; i++)
        children[i] =
            kin_process_start_shared(claim, claims, KIN_PROCESS_OPTIONS(.start_method = test_method()));
    for (int i = 0; i < 3; i++)
        join(children[i]);
    ck_assert_uint_eq(atomic_load(&claims->won), 2000);
    ck_assert_uint_eq(kin_set_length(claims->set), 2000);
    ck_assert_int_eq(kin_set_free(claims->set), 0);
    kin_free(claims);
}

static void set_holds_each_value_once(void)
{
    test_init();
    size_t before = blocks_in_use();
    kin_set *set = kin_set_new(KIN_SET_OPTIONS(.stripes = 2));
    kin_any value;
    bool there;
    const kin_any values[] = {kin_any_int(1), kin_any_text("a member of some length"), kin_any_real(1.0),
                              kin_any_int(1), kin_any_text("a member of some length")};
    ck_assert_int_eq(kin_set_update(set, values, 5), 0);
    ck_assert_uint_eq(kin_set_length(set), 2);
    ck_assert_int_eq(kin_set_contains(set, kin_any_text("a member of some length"), &there), 0);
    ck_assert(there);
    ck_assert_int_eq(kin_set_discard(set, kin_any_int(5)), 0);
    ck_assert_int_eq(kin_set_remove(set, kin_any_int(5)), KIN_ENOTFOUND);
    kin_set *copy = kin_set_copy(set);
    ck_assert_int_eq(kin_set_remove(set, kin_any_int(1)), 0);
    ck_assert_int_eq(kin_set_pop(copy, &value), 0);
    ck_assert_str_eq((const char *)value.data, "a member of some length");
    kin_any_clear(&value);
    kin_set_iterator *iterator = kin_set_iterate(copy);
    ck_assert_int_eq(kin_set_next(iterator, &value), 0);
    ck_assert_int_eq(value.integer, 1);
    ck_assert_int_eq(kin_set_next(iterator, &value), KIN_ENOTFOUND);
    kin_set_iterator_free(iterator);
    ck_assert_int_eq(kin_set_clear(copy), 0);
    ck_assert_uint_eq(kin_set_length(copy), 0);
    ck_assert_int_eq(kin_set_free(copy), 0);
    ck_assert_int_eq(kin_set_free(set), 0);
    ck_assert_uint_eq(blocks_in_use(), before);
}

/* test_nested_queue */
static int put_into_queues(void *arg)
{
    void *list, *queue;
    kin_any value;
    int number = 456;
    child_assert(kin_dict_get_pointer(arg, kin_any_text("list"), &list) == 0);
    child_assert(kin_list_get(list, 0, &value) == 0);
    child_assert(kin_queue_put((kin_queue *)(uintptr_t)value.data, &(int){123}, sizeof(int), 0) == 0);
    child_assert(kin_dict_get_pointer(arg, kin_any_int(0), &queue) == 0);
    child_assert(kin_queue_put(queue, &number, sizeof number, 0) == 0);
    return 0;
}

static void queues_lie_in_lists_and_dicts(void)
{
    test_init();
    kin_list *list = kin_list_new(NULL);
    kin_dict *dict = kin_dict_new(NULL);
    kin_queue *first = kin_queue_new(NULL), *second = kin_queue_new(NULL);
    int number;
    ck_assert_int_eq(kin_list_append(list, kin_any_pointer(first)), 0);
    ck_assert_int_eq(kin_dict_set(dict, kin_any_int(0), kin_any_pointer(second)), 0);
    ck_assert_int_eq(kin_dict_set(dict, kin_any_text("list"), kin_any_pointer(list)), 0);
    run_child(put_into_queues, dict);
    ck_assert_int_eq(kin_queue_get(first, &number, sizeof number, NULL, 0), 0);
    ck_assert_int_eq(number, 123);
    ck_assert_int_eq(kin_queue_get(second, &number, sizeof number, NULL, 0), 0);
    ck_assert_int_eq(number, 456);
    ck_assert_int_eq(kin_list_free(list), 0);
    ck_assert_int_eq(kin_dict_free(dict), 0);
    ck_assert_int_eq(kin_queue_free(first), 0);
    ck_assert_int_eq(kin_queue_free(second), 0);
}

static const struct test tests[] = {
    {"attributes_are_shared", attributes_are_shared, 10, TEST_EACH_METHOD},
    {"attributes_are_counted_and_waited_for", attributes_are_counted_and_waited_for, 10, TEST_EACH_METHOD},
    {"mistakes_are_told", mistakes_are_told, 10, 0},
    {"one_of_several_is_told_that_it_added", one_of_several_is_told_that_it_added, 20, TEST_EACH_METHOD},
    {"set_holds_each_value_once", set_holds_each_value_once, 10, 0},
    {"queues_lie_in_lists_and_dicts", queues_lie_in_lists_and_dicts, 10, TEST_EACH_METHOD},
};
TEST_MAIN("namespace", tests)
