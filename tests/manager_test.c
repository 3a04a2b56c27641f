/* manager_test.c - kin/manager.h and kin/proxy.h: a server is started, used, and ends. */
#include "manager_common.h"

#include "manager/near.h"

#include <pthread.h>
#include <stdlib.h>

static void dict_keeps_what_is_set(void)
{
    kin_manager *manager = start_manager(NULL);
    kin_proxy *dict = make(manager, "dict");
    kin_any value;
    bool there;
    size_t length;
    OK(kin_proxy_set(dict, KIN_ANY("mill"), KIN_ANY(3)));
    OK(kin_proxy_set(dict, KIN_ANY(7), KIN_ANY("seven")));
    OK(kin_proxy_set(dict, KIN_ANY(2.5), KIN_ANY(true)));
    OK(kin_proxy_get(dict, KIN_ANY("mill"), &value));
    ck_assert_int_eq(value.type, KIN_ANY_INT);
    ck_assert_int_eq(value.integer, 3);
    OK(kin_proxy_get(dict, KIN_ANY(7.0), &value)); /* 7.0 is 7 */
    ck_assert_int_eq(value.type, KIN_ANY_TEXT);
    ck_assert_str_eq(value.data, "seven");
    kin_any_clear(&value);
    OK(kin_proxy_set(dict, kin_any_uint(UINT64_C(1) << 63), KIN_ANY(63)));
    OK(kin_proxy_get(dict, KIN_ANY(0x1p63), &value));
    ck_assert_int_eq(value.integer, 63);
    OK(kin_proxy_delete(dict, KIN_ANY(0x1p63)));
    FAILS(KIN_ENOTFOUND, "there is no key \"lathe\"", kin_proxy_get(dict, KIN_ANY("lathe"), &value));
    OK(kin_proxy_contains(dict, KIN_ANY(2.5), &there));
    ck_assert(there);
    OK(kin_proxy_length(dict, &length));
    ck_assert_uint_eq(length, 3);
    OK(kin_proxy_delete(dict, KIN_ANY(2.5)));
    FAILS(KIN_ENOTFOUND, "dict.delete", kin_proxy_delete(dict, KIN_ANY(2.5)));
    OK(kin_proxy_clear(dict));
    OK(kin_proxy_length(dict, &length));
    ck_assert_uint_eq(length, 0);
    kin_proxy_free(dict);
    expect_nothing_left(manager);
    kin_manager_free(manager);
}

static void pages_have_each_entry_once_whatever_changes(void)
{
    kin_manager *manager = start_manager(NULL);
    kin_proxy *dict = make(manager, "dict");
    bool seen[1000] = {false};
    kin_page page = {0};
    size_t pages = 0;
    for (int i = 0; i < 1000; i++)
        OK(kin_proxy_set(dict, KIN_ANY(i), KIN_ANY(i * i)));
    do {
        OK(kin_proxy_page(dict, 64, &page));
        for (size_t i = 0; i < page.count; i++) {
            int64_t key = page.keys[i].integer;
            if (key < 1000) {
                ck_assert(!seen[key]);
                seen[key] = true;
                ck_assert_int_eq(page.values[i].integer, key * key);
            }
        }
        pages++;
        for (int i = 0; i < 20; i++) { /* odd ones go, others come */
            kin_proxy_delete(dict, KIN_ANY((int)(pages * 40 + (size_t)i * 2) % 1000 | 1));
            OK(kin_proxy_set(dict, KIN_ANY((int)(1000 + pages * 20 + (size_t)i)), KIN_ANY("late")));
        }
    } while (page.count && pages < 1000);
    ck_assert_uint_lt(pages, 1000);
    kin_page_clear(&page);
    for (int i = 0; i < 1000; i += 2)
        ck_assert_msg(seen[i], "%d was not seen", i);
    kin_proxy_free(dict);
    kin_manager_free(manager);
}

static void operations_on_a_key_are_whole(void)
{
    kin_manager *manager = start_manager(NULL);
    kin_proxy *dict = make(manager, "dict");
    kin_any value;
    bool done;
    OK(kin_proxy_add(dict, KIN_ANY("n"), KIN_ANY(5), &value));
    ck_assert_int_eq(value.integer, 5);
    OK(kin_proxy_add(dict, KIN_ANY("n"), KIN_ANY(-7), &value));
    ck_assert_int_eq(value.integer, -2);
    OK(kin_proxy_add(dict, KIN_ANY("n"), KIN_ANY(0.5), &value));
    ck_assert(value.real == -1.5);
    FAILS(KIN_EINVAL, "text is no number", kin_proxy_add(dict, KIN_ANY("n"), KIN_ANY("x"), NULL));
    OK(kin_proxy_set(dict, KIN_ANY("n"), KIN_ANY((long)INT64_MAX)));
    OK(kin_proxy_add(dict, KIN_ANY("n"), KIN_ANY(1), &value));
    ck_assert(value.type == KIN_ANY_UINT && value.natural == UINT64_C(1) << 63);
    OK(kin_proxy_set(dict, KIN_ANY("n"), kin_any_uint(UINT64_MAX)));
    FAILS(KIN_ELIMIT, "beyond 64 bits", kin_proxy_add(dict, KIN_ANY("n"), KIN_ANY(1), NULL));
    OK(kin_proxy_compare_and_set(dict, KIN_ANY("c"), kin_any_null(), KIN_ANY(1), &done));
    ck_assert(done);
    OK(kin_proxy_compare_and_set(dict, KIN_ANY("c"), KIN_ANY(2), KIN_ANY(3), &done));
    ck_assert(!done);
    OK(kin_proxy_compare_and_set(dict, KIN_ANY("c"), KIN_ANY(1.0), KIN_ANY(3), &done));
    ck_assert(done);
    OK(kin_proxy_call(dict, "setdefault", (kin_any[]){KIN_ANY("c"), KIN_ANY(9)}, 2, &value));
    ck_assert_int_eq(value.integer, 3);
    OK(kin_proxy_call(dict, "pop", (kin_any[]){KIN_ANY("c")}, 1, &value));
    ck_assert_int_eq(value.integer, 3);
    FAILS(KIN_ENOTFOUND, "there is no key \"c\"",
          kin_proxy_call(dict, "pop", (kin_any[]){KIN_ANY("c")}, 1, &value));
    OK(kin_proxy_call(dict, "pop", (kin_any[]){KIN_ANY("c"), KIN_ANY("other")}, 2, &value));
    ck_assert_str_eq(value.data, "other");
    kin_any_clear(&value);
    kin_proxy_free(dict);
    kin_manager_free(manager);
}

static void many_keys_go_by_one_call(void)
{
    kin_manager *manager = start_manager(NULL);
    kin_proxy *dict = make(manager, "dict");
    kin_any keys[100], values[100];
    bool found[100];
    for (int i = 0; i < 100; i++) {
        keys[i] = KIN_ANY(i);
        values[i] = KIN_ANY(i * 10);
    }
    OK(kin_proxy_set_many(dict, keys, values, 50));
    OK(kin_proxy_get_many(dict, keys, 100, values, found));
    for (int i = 0; i < 100; i++) {
        ck_assert(found[i] == (i < 50));
        ck_assert_int_eq(values[i].type, i < 50 ? KIN_ANY_INT : KIN_ANY_NULL);
        ck_assert_int_eq(values[i].integer, i < 50 ? i * 10 : 0);
    }
    kin_proxy_free(dict);
    kin_manager_free(manager);
}

static int set_and_see(void *arg)
{
    kin_manager *manager = arg;
    kin_proxy *dict = kin_proxy_new(manager, "dict", NULL, 0);
    kin_any value;
    child_assert(dict != NULL);
    child_assert(kin_proxy_set(dict, KIN_ANY("pid"), kin_any_int(kin_process_pid(kin_current_process()))) ==
                 0);
    child_assert(kin_proxy_get(dict, KIN_ANY("pid"), &value) == 0);
    child_assert(value.integer == kin_process_pid(kin_current_process()));
    return 0; /* without freeing anything */
}

static void members_use_the_same_manager_and_leave_nothing(void)
{
    kin_manager *manager = start_manager(NULL);
    kin_process *children[4];
    for (int i = 0; i < 4; i++)
        ck_assert_ptr_nonnull(children[i] = kin_process_start_shared(set_and_see, manager, NULL));
    for (int i = 0; i < 4; i++) {
        OK(kin_process_join(children[i], test_time_left()));
        kin_end end;
        OK(kin_process_end(children[i], &end));
        ck_assert_int_eq(end.exit_code, 0);
        kin_process_free(children[i]);
    }
    expect_nothing_left(manager);
    kin_manager_free(manager);
}

static int use_and_hang(void *arg)
{
    struct shared *shared = arg;
    kin_proxy *dict = kin_proxy_new(shared->manager, "dict", NULL, 0);
    child_assert(dict != NULL);
    int error = kin_proxy_set(dict, KIN_ANY("x"), KIN_ANY(1));
    child_assert(error == 0);
    atomic_store(&shared->step, 1);
    for (;;)
        pause();
}

static void dead_clients_references_are_dropped(void)
{
    struct shared *shared = new_shared();
    kin_process *child = kin_process_start_shared(use_and_hang, shared, NULL);
    ck_assert_ptr_nonnull(child);
    await_step(shared, 1);
    kin_manager_counts counts;
    OK(kin_manager_counts_get(shared->manager, &counts));
    ck_assert_uint_eq(counts.objects, 1);
    ck_assert_uint_eq(counts.references, 1);
    ck_assert_uint_eq(counts.clients, 2);
    OK(kin_process_kill(child));
    kin_process_free(child);
    expect_nothing_left(shared->manager);
    free_shared(shared);
}

static void server_death_is_told_at_once(void)
{
    kin_manager *manager = start_manager(NULL);
    kin_proxy *dict = make(manager, "dict");
    OK(kin_proxy_set(dict, KIN_ANY("a"), KIN_ANY(1)));
    OK(kin_process_kill(kin_manager_process(manager)));
    FAILS(KIN_EDIED, "has ended", kin_proxy_set(dict, KIN_ANY("a"), KIN_ANY(2)));
    FAILS(KIN_EDIED, "SIGKILL", kin_proxy_set(dict, KIN_ANY("a"), KIN_ANY(2)));
    ck_assert_ptr_null(kin_proxy_new(manager, "dict", NULL, 0));
    kin_proxy_free(dict);
    kin_manager_free(manager);
    manager = start_manager(NULL); /* another one */
    dict = make(manager, "dict");
    OK(kin_proxy_set(dict, KIN_ANY("a"), KIN_ANY(2)));
    kin_proxy_free(dict);
    kin_manager_free(manager);
}

/* Calls go through shared memory, answers that are too large for it come by the socket, and are more than it holds. */
static void large_answers_reach_members(void)
{
    kin_manager *manager = start_manager(NULL);
    kin_proxy *dict = make(manager, "dict");
    size_t size = 30000000;
    uint8_t *large = malloc(size);
    kin_any value;
    memset(large, 'x', size);
    for (int i = 0; i < 3; i++) {
        OK(kin_proxy_set(dict, KIN_ANY(i), kin_any_bytes(large, size)));
        OK(kin_proxy_get(dict, KIN_ANY(i), &value));
        ck_assert_uint_eq(value.size, size);
        ck_assert_mem_eq(value.data, large, size);
        kin_any_clear(&value);
    }
    free(large);
    kin_proxy_free(dict);
    expect_nothing_left(manager);
    kin_manager_free(manager);
}

static void mistakes_are_told(void)
{
    kin_manager *manager = start_manager(NULL);
    kin_proxy *dict = make(manager, "dict");
    kin_any value;
    ck_assert_ptr_null(kin_proxy_new(manager, "dick", NULL, 0));
    ck_assert_int_eq(kin_error_code(), KIN_ENOTFOUND);
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "there is no type \"dick\""));
    FAILS(KIN_ENOTFOUND, "dict has no method \"fly\"", kin_proxy_call(dict, "fly", NULL, 0, &value));
    FAILS(KIN_EINVAL, "argument 1 is missing", kin_proxy_call(dict, "get", NULL, 0, &value));
    FAILS(KIN_EINVAL, "no UTF-8", kin_proxy_set(dict, kin_any_text("\xff"), KIN_ANY(1)));
    FAILS(KIN_EINVAL, "not one CBOR item", kin_proxy_set(dict, KIN_ANY("a"), kin_any_packed("\x82\x01", 2)));
    FAILS(KIN_EINVAL, "cannot call", kin_proxy_call(NULL, "get", NULL, 0, &value));
    ck_assert_ptr_null(kin_manager_start(KIN_MANAGER_OPTIONS(.key = "short", .key_size = 5)));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    ck_assert_ptr_null(kin_manager_start(KIN_MANAGER_OPTIONS(.address = "nonsense")));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    ck_assert_ptr_null(kin_manager_start(KIN_MANAGER_OPTIONS(.address = "0.0.0.0:0")));
    ck_assert_int_eq(kin_error_code(), KIN_EPERM);
    ck_assert_ptr_null(kin_manager_start(KIN_MANAGER_OPTIONS(.address = kin_manager_address(manager))));
    ck_assert_int_eq(kin_error_code(), KIN_EBUSY);
    kin_proxy_free(dict);
    kin_manager_free(manager);
}

static void values_of_all_types_come_back(void)
{
    kin_manager *manager = start_manager(NULL);
    kin_proxy *dict = make(manager, "dict");
    static char large[300000];
    memset(large, 'x', sizeof large);
    kin_any all[] = {kin_any_null(),
                     KIN_ANY(true),
                     KIN_ANY(-1),
                     KIN_ANY((long)INT64_MIN),
                     KIN_ANY(UINT64_MAX),
                     KIN_ANY(0.1),
                     KIN_ANY(1e300),
                     KIN_ANY(-0.5f),
                     KIN_ANY("grün"),
                     KIN_ANY(""),
                     kin_any_bytes("a\0b", 3),
                     kin_any_text_of(large, sizeof large),
                     kin_any_packed("\x83\x01\x61\x61\xf6", 5)};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        kin_any value;
        OK(kin_proxy_set(dict, all[i], all[i]));
        OK(kin_proxy_get(dict, all[i], &value));
        ck_assert_int_eq(value.type, all[i].type);
        ck_assert_msg(kin_any_equal(value, all[i]), "value %zu", i);
        kin_any_clear(&value);
    }
    kin_proxy_free(dict);
    expect_nothing_left(manager);
    kin_manager_free(manager);
}

/* ---- through shared memory ------------------------------------------------------------------------ */

static int call_from_sealed(void *arg)
{
    struct shared *shared = arg;
    kin_any value;
    int error = kin_proxy_get(shared->proxy, kin_any_text("x"), &value);
    child_assert(error == 0 && value.integer == 5);
    return 0;
}

static void sealed_members_call_by_the_socket(void)
{
    struct shared *shared = new_shared();
    shared->proxy = make(shared->manager, "dict");
    OK(kin_proxy_set(shared->proxy, KIN_ANY("x"), KIN_ANY(5)));
    join_child(kin_process_start_shared(call_from_sealed, shared, KIN_PROCESS_OPTIONS(.sealed = true)));
    kin_proxy_free(shared->proxy);
    free_shared(shared);
}

static void more_threads_than_slots_call_all_the_same(void)
{
    threads_take_side_by_side(150);
}

static void scribble_in_a_slot_hits_its_client_only(void)
{
    kin_manager *manager = start_manager(NULL);
    kin_proxy *dict = make(manager, "dict");
    struct kin__near *near = manager->near;
    OK(kin_proxy_set(dict, KIN_ANY("x"), KIN_ANY(5)));
    for (unsigned i = 0; i < KIN__NEAR_SLOTS;
         i++) { /* what is no frame, in slots that have a client, and that have none */
        memset(near->slot[i].data, (int)i, 100);
        near->slot[i].size = i % 3 ? 100 : UINT32_MAX;
        atomic_store(&near->slot[i].turn, KIN__TURN_CALL);
        atomic_fetch_or(&near->pending[i / 64], UINT64_C(1) << i % 64);
    }
    int error = kin_proxy_set(dict, KIN_ANY("x"), KIN_ANY(6));
    ck_assert(error == KIN_EDIED || !error);
    OK(kin_proxy_set(dict, KIN_ANY("x"), KIN_ANY(7)));
    OK(kin_proxy_set(dict, KIN_ANY("x"), KIN_ANY(8)));
    kin_proxy_free(dict);
    kin_manager_free(manager);
}

static const struct test tests[] = {
    {"dict_keeps_what_is_set", dict_keeps_what_is_set, 10, TEST_EACH_METHOD},
    {"pages_have_each_entry_once_whatever_changes", pages_have_each_entry_once_whatever_changes, 20,
     TEST_NOT_VALGRIND},
    {"operations_on_a_key_are_whole", operations_on_a_key_are_whole, 10, TEST_NOT_VALGRIND},
    {"many_keys_go_by_one_call", many_keys_go_by_one_call, 10, TEST_NOT_VALGRIND},
    {"values_of_all_types_come_back", values_of_all_types_come_back, 10, TEST_NOT_VALGRIND},
    {"members_use_the_same_manager_and_leave_nothing", members_use_the_same_manager_and_leave_nothing, 20,
     TEST_EACH_METHOD},
    {"dead_clients_references_are_dropped", dead_clients_references_are_dropped, 20, TEST_EACH_METHOD},
    {"server_death_is_told_at_once", server_death_is_told_at_once, 20, TEST_NOT_VALGRIND},
    {"sealed_members_call_by_the_socket", sealed_members_call_by_the_socket, 10, TEST_EACH_METHOD},
    {"more_threads_than_slots_call_all_the_same", more_threads_than_slots_call_all_the_same, 20,
     TEST_NOT_VALGRIND},
    {"scribble_in_a_slot_hits_its_client_only", scribble_in_a_slot_hits_its_client_only, 10,
     TEST_NOT_VALGRIND},
    {"large_answers_reach_members", large_answers_reach_members, 20, TEST_EACH_METHOD},
    {"mistakes_are_told", mistakes_are_told, 10, TEST_NOT_VALGRIND},
};

TEST_MAIN("manager", tests)
