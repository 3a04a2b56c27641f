/* manager_types_test.c - the types of managers that keep values. What CPython's cases test is marked so. */
#include "manager_common.h"

#include "manager/client.h"

static int64_t int_of(kin_proxy *proxy, const char *method, const kin_any *args, size_t count)
{
    kin_any value;
    OK(kin_proxy_call(proxy, method, args, count, &value));
    ck_assert_msg(value.type == KIN_ANY_INT, "%s has answered type %d", method, value.type);
    return value.integer;
}

static void expect_items(kin_proxy *proxy, const char *expected)
{
    kin_page page = {0};
    char text[400] = "";
    do {
        OK(kin_proxy_page(proxy, 2, &page));
        for (size_t i = 0; i < page.count; i++) {
            const kin_any *all = page.values ? page.values : page.keys, *any = all ? &all[i] : NULL;
            ck_assert_ptr_nonnull(any);
            if (!any)
                return;
            size_t at = strlen(text);
            if (page.keys && page.values)
                at += (size_t)snprintf(text + at, sizeof text - at, "%s=", (const char *)page.keys[i].data);
            if (any->type == KIN_ANY_TEXT)
                snprintf(text + at, sizeof text - at, "%s ", (const char *)any->data);
            else
                snprintf(text + at, sizeof text - at, "%d ", (int)any->integer);
        }
    } while (page.count);
    kin_page_clear(&page);
    ck_assert_str_eq(text, expected);
}

/* A packed list of small numbers. */
static kin_any numbers(uint8_t *buffer, int count, int first)
{
    buffer[0] = (uint8_t)(0x80 | count);
    for (int i = 0; i < count; i++)
        buffer[1 + i] = (uint8_t)(first + i);
    return kin_any_packed(buffer, (size_t)count + 1);
}

/* test_list */
static void list_is_worked_on_like_one_of_python(void)
{
    kin_manager *manager = start_manager(NULL);
    uint8_t buffer[30];
    kin_any args[] = {numbers(buffer, 10, 0)}, value;
    kin_proxy *list = kin_proxy_new(manager, "list", args, 1), *other = make(manager, "list");
    ck_assert_ptr_nonnull(list);
    bool there;
    expect_items(list, "0 1 2 3 4 5 6 7 8 9 ");
    args[0] = numbers(buffer, 5, 1);
    OK(kin_proxy_call(other, "extend", args, 1, NULL));
    expect_items(other, "1 2 3 4 5 ");
    OK(kin_proxy_get(other, KIN_ANY(2), &value));
    ck_assert_int_eq(value.integer, 3);
    OK(kin_proxy_get(other, KIN_ANY(-1), &value));
    ck_assert_int_eq(value.integer, 5);
    OK(kin_proxy_call(list, "slice", (kin_any[]){KIN_ANY(2), KIN_ANY(-5)}, 2, &value));
    ck_assert(kin_any_equal(value, numbers(buffer, 3, 2)));
    kin_any_clear(&value);
    OK(kin_proxy_append(other, KIN_ANY(6)));
    OK(kin_proxy_call(other, "insert", (kin_any[]){KIN_ANY(0), KIN_ANY(9)}, 2, NULL));
    expect_items(other, "9 1 2 3 4 5 6 ");
    ck_assert_int_eq(int_of(other, "pop", NULL, 0), 6);
    ck_assert_int_eq(int_of(other, "pop", (kin_any[]){KIN_ANY(0)}, 1), 9);
    ck_assert_int_eq(int_of(other, "index", (kin_any[]){KIN_ANY(4)}, 1), 3);
    ck_assert_int_eq(int_of(other, "count", (kin_any[]){KIN_ANY(4.0)}, 1), 1);
    ck_assert_int_eq(int_of(other, "add", (kin_any[]){KIN_ANY(0), KIN_ANY(10)}, 2), 11);
    OK(kin_proxy_contains(other, KIN_ANY(11), &there));
    ck_assert(there);
    OK(kin_proxy_call(other, "remove", (kin_any[]){KIN_ANY(11)}, 1, NULL));
    FAILS(KIN_ENOTFOUND, "not in the list",
          kin_proxy_call(other, "remove", (kin_any[]){KIN_ANY(11)}, 1, NULL));
    OK(kin_proxy_call(other, "reverse", NULL, 0, NULL));
    expect_items(other, "5 4 3 2 ");
    OK(kin_proxy_set(other, KIN_ANY(0), KIN_ANY(-3)));
    OK(kin_proxy_call(other, "sort", NULL, 0, NULL));
    expect_items(other, "-3 2 3 4 ");
    OK(kin_proxy_append(other, KIN_ANY("x")));
    FAILS(KIN_EINVAL, "cannot sort", kin_proxy_call(other, "sort", NULL, 0, NULL));
    FAILS(KIN_ENOTFOUND, "there is no index 99: the list has 5 items",
          kin_proxy_get(other, KIN_ANY(99), &value));
    OK(kin_proxy_clear(other));
    FAILS(KIN_ENOTFOUND, "the list is empty", kin_proxy_call(other, "pop", NULL, 0, NULL));
    expect_items(other, "");
    kin_proxy_free(list);
    kin_proxy_free(other);
    expect_nothing_left(manager);
    kin_manager_free(manager);
}

/* Doubles do not tell these apart. */
static void numbers_are_sorted_exactly(void)
{
    const kin_any sorted[] = {kin_any_bool(false),          kin_any_real(0.5),
                              kin_any_bool(true),           kin_any_int((INT64_C(1) << 53) - 1),
                              kin_any_real(0x1p53),         kin_any_int((INT64_C(1) << 53) + 1),
                              kin_any_uint(UINT64_MAX - 2), kin_any_uint(UINT64_MAX - 1),
                              kin_any_uint(UINT64_MAX)};
    const size_t count = sizeof sorted / sizeof *sorted;
    kin_manager *manager = start_manager(NULL);
    kin_proxy *list = make(manager, "list");
    for (size_t i = 0; i < count; i++)
        OK(kin_proxy_append(list, sorted[i * 5 % count]));
    OK(kin_proxy_call(list, "sort", NULL, 0, NULL));
    for (size_t i = 0; i < count; i++) {
        kin_any value, index = kin_any_int((int64_t)i);
        OK(kin_proxy_call(list, "get", &index, 1, &value));
        ck_assert_msg(kin_any_equal(value, sorted[i]), "item %zu", i);
    }
    kin_proxy_free(list);
    kin_manager_free(manager);
}

static void set_has_each_value_once(void)
{
    kin_manager *manager = start_manager(NULL);
    kin_proxy *set = make(manager, "set");
    kin_any value;
    OK(kin_proxy_call(set, "add", (kin_any[]){KIN_ANY("a")}, 1, &value));
    ck_assert(value.truth);
    OK(kin_proxy_call(set, "add", (kin_any[]){KIN_ANY("a")}, 1, &value));
    ck_assert(!value.truth);
    uint8_t buffer[30];
    OK(kin_proxy_call(set, "update", (kin_any[]){numbers(buffer, 3, 1)}, 1, NULL));
    OK(kin_proxy_call(set, "add", (kin_any[]){KIN_ANY(2.0)}, 1, &value)); /* 2 */
    ck_assert(!value.truth);
    expect_items(set, "a 1 2 3 ");
    OK(kin_proxy_call(set, "discard", (kin_any[]){KIN_ANY(1)}, 1, &value));
    ck_assert(value.truth);
    OK(kin_proxy_call(set, "discard", (kin_any[]){KIN_ANY(1)}, 1, &value));
    ck_assert(!value.truth);
    FAILS(KIN_ENOTFOUND, "not in the set", kin_proxy_call(set, "remove", (kin_any[]){KIN_ANY(1)}, 1, NULL));
    ck_assert_int_eq(int_of(set, "pop", NULL, 0), 3);
    expect_items(set, "a 2 ");
    kin_proxy_free(set);
    expect_nothing_left(manager);
    kin_manager_free(manager);
}

/* test_namespace */
static void namespace_has_names(void)
{
    kin_manager *manager = start_manager(NULL);
    kin_proxy *names = make(manager, "Namespace");
    kin_any value;
    bool there;
    OK(kin_proxy_set(names, KIN_ANY("name"), KIN_ANY("Bob")));
    OK(kin_proxy_set(names, KIN_ANY("job"), KIN_ANY("Builder")));
    OK(kin_proxy_set(names, KIN_ANY("_hidden"), KIN_ANY("hidden")));
    expect_items(names, "name=Bob job=Builder _hidden=hidden ");
    OK(kin_proxy_delete(names, KIN_ANY("job")));
    FAILS(KIN_ENOTFOUND, "Namespace.get", kin_proxy_get(names, KIN_ANY("job"), &value));
    OK(kin_proxy_contains(names, KIN_ANY("name"), &there));
    ck_assert(there);
    FAILS(KIN_EINVAL, "a name must be a text", kin_proxy_set(names, KIN_ANY(1), KIN_ANY(1)));
    kin_proxy_free(names);
    expect_nothing_left(manager);
    kin_manager_free(manager);
}

/* TestSyncManagerTypes.test_value, test_array */
static int change_value_and_array(void *arg)
{
    struct shared *shared = arg;
    kin_any value;
    int error = kin_proxy_value(shared->proxy, &value);
    child_assert(error == 0 && value.integer == 42);
    error = kin_proxy_set_value(shared->proxy, kin_any_int(43));
    child_assert(error == 0);
    error = kin_proxy_get(shared->other, kin_any_int(2), &value);
    child_assert(error == 0 && value.integer == 2);
    error = kin_proxy_set(shared->other, kin_any_int(2), kin_any_real(2.5));
    child_assert(error == 0);
    return 0;
}

static void value_and_array_are_changed_by_another_process(void)
{
    struct shared *shared = new_shared();
    uint8_t buffer[30];
    kin_any value;
    shared->proxy = kin_proxy_new(shared->manager, "Value", (kin_any[]){KIN_ANY("i"), KIN_ANY(42)}, 2);
    shared->other =
        kin_proxy_new(shared->manager, "Array", (kin_any[]){KIN_ANY("d"), numbers(buffer, 5, 0)}, 2);
    ck_assert(shared->proxy && shared->other);
    run_child(change_value_and_array, shared);
    OK(kin_proxy_value(shared->proxy, &value));
    ck_assert_int_eq(value.integer, 43);
    ck_assert_int_eq(int_of(shared->proxy, "add", (kin_any[]){KIN_ANY(7)}, 1), 50);
    OK(kin_proxy_get(shared->other, KIN_ANY(2), &value));
    ck_assert(value.real == 2.5);
    FAILS(KIN_ENOTFOUND, "Array has no method \"append\"", kin_proxy_append(shared->other, KIN_ANY(1)));
    kin_proxy_free(shared->other);
    shared->other = kin_proxy_new(shared->manager, "Array", (kin_any[]){KIN_ANY(3)}, 1);
    expect_items(shared->other, "0 0 0 ");
    kin_proxy_free(shared->proxy);
    kin_proxy_free(shared->other);
    expect_nothing_left(shared->manager);
    free_shared(shared);
}

/* TestSyncManagerTypes.test_list, test_dict, test_namespace */
static int change_containers(void *arg)
{
    struct shared *shared = arg;
    kin_any value;
    int error = kin_proxy_append(shared->proxy, kin_any_int(5));
    child_assert(error == 0);
    error = kin_proxy_set(shared->other, kin_any_text("k"), kin_any_text("v"));
    child_assert(error == 0);
    error = kin_proxy_get(shared->other, kin_any_text("k"), &value);
    child_assert(error == 0 && strcmp(value.data, "v") == 0);
    kin_any_clear(&value);
    return 0;
}

static void containers_are_changed_by_another_process(void)
{
    struct shared *shared = new_shared();
    shared->proxy = make(shared->manager, "list");
    shared->other = make(shared->manager, "dict");
    run_child(change_containers, shared);
    expect_items(shared->proxy, "5 ");
    expect_items(shared->other, "k=v ");
    kin_proxy_free(shared->proxy);
    kin_proxy_free(shared->other);
    expect_nothing_left(shared->manager);
    free_shared(shared);
}

/* test_list_proxy_in_list, test_dict_proxy_nested, test_nested_queue */
static void objects_lie_in_objects(void)
{
    kin_manager *manager = start_manager(NULL);
    kin_proxy *outer = make(manager, "list"), *inner = make(manager, "dict"), *queue = make(manager, "Queue");
    kin_any value;
    kin_manager_counts counts;
    OK(kin_proxy_append(outer, kin_any_object(inner)));
    OK(kin_proxy_set(inner, KIN_ANY("q"), kin_any_object(queue)));
    OK(kin_proxy_put(queue, KIN_ANY("deep"), 0));
    kin_proxy_free(inner); /* outer keeps it */
    kin_proxy_free(queue);
    OK(kin_manager_counts_get(manager, &counts));
    ck_assert_uint_eq(counts.objects, 3);
    ck_assert_uint_eq(counts.references, 1);
    OK(kin_proxy_get(outer, KIN_ANY(0), &value));
    ck_assert_int_eq(value.type, KIN_ANY_OBJECT);
    inner = kin_proxy_of(manager, &value);
    ck_assert_msg(inner != NULL, "%s", kin_error_message());
    ck_assert_str_eq(kin_proxy_type(inner), "dict");
    kin_any_clear(&value);
    OK(kin_proxy_get(inner, KIN_ANY("q"), &value));
    queue = kin_proxy_of(manager, &value);
    kin_any_clear(&value);
    OK(kin_proxy_take(queue, &value, 0));
    ck_assert_str_eq(value.data, "deep");
    kin_any_clear(&value);
    OK(kin_proxy_put(queue, kin_any_object(inner), 0)); /* nobody else holds it then */
    OK(kin_proxy_clear(outer));
    kin_proxy_free(inner);
    OK(kin_proxy_take(queue, &value, 0));
    inner = kin_proxy_of(manager, &value);
    ck_assert_msg(inner != NULL, "%s", kin_error_message());
    kin_any_clear(&value);
    OK(kin_proxy_clear(inner));
    kin_proxy_free(inner);
    kin_proxy_free(queue);
    kin_proxy_free(outer);
    expect_nothing_left(manager);
    kin_manager_free(manager);
}

/* It holds itself, and lets go of that in the middle of a method. */
static void list_that_holds_itself_may_let_go(void)
{
    kin_manager *manager = start_manager(NULL);
    for (int i = 0; i < 3; i++) {
        kin_proxy *list = make(manager, "list");
        kin_token token;
        kin_any answer, number, object = kin_any_object(list);
        OK(kin_proxy_append(list, object));
        OK(kin_proxy_append(list, KIN_ANY("more")));
        OK(kin_proxy_token(list, 0, &token));
        kin_batch *batch = kin_batch_new(manager);
        number = kin_any_uint(token.object);
        list->object = 0; /* what a client may send: the call, then a number that he has no reference of */
        OK(kin_batch_add(batch, list, "unrefer", &number, 1));
        list->object = token.object;
        kin_any args[] = {KIN_ANY(0), KIN_ANY(7)};
        static const char *const methods[] = {"clear", "delete", "set"};
        OK(kin_batch_add(batch, list, methods[i], args, (size_t)i));
        OK(kin_batch_run(batch, test_time_left()));
        OK(kin_batch_result(batch, 1, &answer));
        kin_any_clear(&answer);
        kin_batch_free(batch);
        kin_proxy_free(list); /* refused: it has no reference any more */
        expect_nothing_left(manager);
    }
    kin_manager_free(manager);
}

static int use_token(void *arg)
{
    struct shared *shared = arg;
    kin_proxy *dict = kin_proxy_open(shared->manager, &shared->token);
    child_assert(dict != NULL);
    int error = kin_proxy_set(dict, kin_any_text("from"), kin_any_text("child"));
    child_assert(error == 0);
    return 0;
}

static void tokens_go_anywhere(void)
{
    struct shared *shared = new_shared();
    kin_queue *queue = kin_queue_new(NULL);
    kin_proxy *dict = make(shared->manager, "dict");
    kin_any value;
    kin_token token;
    OK(kin_proxy_token(dict, 0, &token));
    OK(kin_queue_put(queue, &token, sizeof token, 0)); /* a queue of the family */
    OK(kin_queue_get(queue, &shared->token, sizeof token, NULL, 0));
    run_child(use_token, shared);
    OK(kin_proxy_get(dict, KIN_ANY("from"), &value));
    ck_assert_str_eq(value.data, "child");
    kin_any_clear(&value);
    OK(kin_proxy_token(dict, 30, &token)); /* held for whoever comes with it */
    kin_proxy_free(dict);
    dict = kin_proxy_open(shared->manager, &token);
    ck_assert_msg(dict != NULL, "%s", kin_error_message());
    OK(kin_proxy_get(dict, KIN_ANY("from"), &value));
    kin_any_clear(&value);
    OK(kin_proxy_token(dict, 0.05, &token));
    kin_proxy_free(dict);
    expect_nothing_left(shared->manager); /* the 30 s end with the token being used */
    ck_assert_ptr_null(kin_proxy_open(shared->manager, &token));
    ck_assert_int_eq(kin_error_code(), KIN_ENOTFOUND);
    token.server[0] ^= 1;
    ck_assert_ptr_null(kin_proxy_open(shared->manager, &token));
    ck_assert_int_eq(kin_error_code(), KIN_EMISMATCH);
    OK(kin_queue_free(queue));
    free_shared(shared);
}

static int wait_for_change(void *arg)
{
    struct shared *shared = arg;
    kin_any value, seen = kin_any_int(1);
    atomic_fetch_add(&shared->step, 1);
    int error = kin_proxy_wait_change(shared->proxy, kin_any_text("key"), &seen, &value, 30);
    child_assert(error == 0 && value.integer == 2);
    return 0;
}

static void change_of_a_key_is_waited_for(void)
{
    struct shared *shared = new_shared();
    kin_any value, one = KIN_ANY(1);
    shared->proxy = make(shared->manager, "dict");
    FAILS(KIN_ETIMEDOUT, "not in time",
          kin_proxy_wait_change(shared->proxy, KIN_ANY("key"), NULL, &value, 0.02));
    OK(kin_proxy_set(shared->proxy, KIN_ANY("key"), one));
    OK(kin_proxy_wait_change(shared->proxy, KIN_ANY("key"), NULL, &value, 0));
    FAILS(KIN_ETIMEDOUT, "not in time",
          kin_proxy_wait_change(shared->proxy, KIN_ANY("key"), &one, &value, 0.02));
    kin_process *child = kin_process_start_shared(wait_for_change, shared, NULL);
    await_waiting(shared->manager, 1);
    OK(kin_proxy_set(shared->proxy, KIN_ANY("other"), KIN_ANY(5)));
    OK(kin_proxy_set(shared->proxy, KIN_ANY("key"), KIN_ANY(2)));
    join_child(child);
    kin_proxy_free(shared->proxy);
    expect_nothing_left(shared->manager);
    free_shared(shared);
}

static void batches_go_and_come_together(void)
{
    kin_manager *manager = start_manager(NULL);
    kin_proxy *dict = make(manager, "dict");
    kin_batch *batch = kin_batch_new(manager);
    kin_any value;
    static char large[20000];
    memset(large, 'x', sizeof large);
    ck_assert_ptr_nonnull(batch);
    for (int i = 0; i < 1000; i++)
        OK(kin_batch_add(batch, dict, "set", (kin_any[]){KIN_ANY(i), kin_any_text_of(large, sizeof large)},
                         2));
    OK(kin_batch_run(batch, test_time_left()));
    for (int i = 0; i < 1000; i++)
        OK(kin_batch_result(batch, (size_t)i, NULL));
    for (int i = 0; i < 1001; i++)
        OK(kin_batch_add(batch, dict, "get", (kin_any[]){KIN_ANY(i)}, 1));
    OK(kin_batch_run(batch, test_time_left())); /* 20 MB come back */
    for (int i = 0; i < 1000; i++) {
        OK(kin_batch_result(batch, (size_t)i, &value));
        ck_assert_uint_eq(value.size, sizeof large);
        kin_any_clear(&value);
    }
    FAILS(KIN_ENOTFOUND, "there is no key 1000", kin_batch_result(batch, 1000, &value));
    FAILS(KIN_EINVAL, "has 1001 calls", kin_batch_result(batch, 1001, &value));
    kin_batch_free(batch);
    kin_proxy_free(dict);
    expect_nothing_left(manager);
    kin_manager_free(manager);
}

static void memory_is_bounded(void)
{
    kin_manager *manager =
        start_manager(KIN_MANAGER_OPTIONS(.memory_limit = 100000, .message_limit = 1000000));
    kin_proxy *list = make(manager, "list");
    static char large[2000000];
    memset(large, 'x', sizeof large);
    int error = 0, count = 0;
    while (!error && count++ < 1000)
        error = kin_proxy_append(list, kin_any_bytes(large, 1000));
    ck_assert_int_eq(error, KIN_EMEMLIMIT);
    ck_assert_int_gt(count, 80);
    FAILS(KIN_ETOOLARGE, "the limit is 1000000", kin_proxy_append(list, kin_any_bytes(large, sizeof large)));
    OK(kin_proxy_clear(list));
    OK(kin_proxy_append(list, kin_any_bytes(large, 1000)));
    kin_proxy_free(list);
    expect_nothing_left(manager);
    kin_manager_free(manager);
}

static const struct test tests[] = {
    {"list_is_worked_on_like_one_of_python", list_is_worked_on_like_one_of_python, 10, TEST_EACH_METHOD},
    {"numbers_are_sorted_exactly", numbers_are_sorted_exactly, 10, TEST_NOT_VALGRIND},
    {"set_has_each_value_once", set_has_each_value_once, 10, TEST_NOT_VALGRIND},
    {"namespace_has_names", namespace_has_names, 10, TEST_EACH_METHOD},
    {"value_and_array_are_changed_by_another_process", value_and_array_are_changed_by_another_process, 10,
     TEST_EACH_METHOD},
    {"containers_are_changed_by_another_process", containers_are_changed_by_another_process, 10,
     TEST_EACH_METHOD},
    {"objects_lie_in_objects", objects_lie_in_objects, 10, TEST_EACH_METHOD},
    {"list_that_holds_itself_may_let_go", list_that_holds_itself_may_let_go, 10, TEST_NOT_VALGRIND},
    {"tokens_go_anywhere", tokens_go_anywhere, 10, TEST_EACH_METHOD},
    {"change_of_a_key_is_waited_for", change_of_a_key_is_waited_for, 10, TEST_EACH_METHOD},
    {"batches_go_and_come_together", batches_go_and_come_together, 20, TEST_NOT_VALGRIND},
    {"memory_is_bounded", memory_is_bounded, 10, TEST_NOT_VALGRIND},
};

TEST_MAIN("manager_types", tests)
