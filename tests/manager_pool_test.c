/* manager_pool_test.c - Pools of managers. CPython's cases of _TestPool, in their manager's variant, are told here; which is where, tests/cpython
 * says. */
#include "manager_common.h"

#include "os/os.h"

#include <signal.h>

/* ---- functions of workers ---------------------------------------------------------------------------- */

/* (number, [seconds]) */
static int square(kin_call *call)
{
    int64_t number = 0;
    double seconds = 0;
    int error = kin_call_int(call, 0, &number);
    if (!error && kin_call_count(call) > 1)
        error = kin_call_real(call, 1, &seconds);
    if (error)
        return error;
    if (seconds > 0)
        poll(NULL, 0, (int)(seconds * 1e3));
    return kin_call_return(call, kin_any_int(number * number));
}

static int multiply(kin_call *call)
{
    int64_t one, other;
    int error = kin_call_int(call, 0, &one);
    if (!error)
        error = kin_call_int(call, 1, &other);
    return error ? error : kin_call_return(call, kin_any_int(one * other));
}

static int give_back(kin_call *call)
{
    kin_any value;
    int error = kin_call_any(call, 0, &value);
    return error ? error : kin_call_return(call, value);
}

static int tell_pid(kin_call *call)
{
    return kin_call_return(call, kin_any_int(getpid()));
}

/* (number): fails if it is odd */
static int even_only(kin_call *call)
{
    int64_t number;
    int error = kin_call_int(call, 0, &number);
    if (!error && number % 2)
        error = kin_error_set(-2001, "%d is odd", (int)number);
    return error ? error : kin_call_return(call, kin_any_int(number));
}

/* (number): dies if it is 3 */
static int die_at_three(kin_call *call)
{
    int64_t number;
    int error = kin_call_int(call, 0, &number);
    if (!error && number == 3)
        raise(SIGKILL);
    return error ? error : kin_call_return(call, kin_any_int(number));
}

/* (dict, key): adds 1 there, by a proxy */
static int add_there(kin_call *call)
{
    kin_any dict, key;
    kin_manager *manager = kin_call_manager(call);
    int error = kin_call_any(call, 0, &dict);
    if (!error)
        error = kin_call_any(call, 1, &key);
    kin_proxy *proxy = error ? NULL : kin_proxy_of(manager, &dict);
    if (!proxy)
        return error ? error : kin_error_code();
    error = kin_proxy_add(proxy, key, kin_any_int(1), NULL);
    kin_proxy_free(proxy);
    return error;
}

/* (list): hangs, after having said so there */
static int hang(kin_call *call)
{
    kin_any list;
    int error = kin_call_any(call, 0, &list);
    kin_proxy *proxy = error ? NULL : kin_proxy_of(kin_call_manager(call), &list);
    if (!proxy)
        return error ? error : kin_error_code();
    error = kin_proxy_append(proxy, kin_any_int(getpid()));
    if (error)
        return error;
    for (;;)
        pause();
}

static int set_state(kin_call *call)
{
    int64_t number;
    int error = kin_call_int(call, 0, &number);
    if (!error)
        *kin_call_state(call) = (void *)(intptr_t)number; /* NOLINT(performance-no-int-to-ptr) */
    return error;
}

static int tell_state(kin_call *call)
{
    return kin_call_return(call, kin_any_int((intptr_t)*kin_call_state(call)));
}

static int cannot_begin(kin_call *call)
{
    (void)call;
    return kin_error_set(-2002, "no licence");
}

/* ---- helpers ----------------------------------------------------------------------------------------- */

static kin_proxy *new_pool(kin_manager *manager, int workers)
{
    kin_proxy *pool = kin_proxy_new(manager, "Pool", (kin_any[]){kin_any_int(workers)}, 1);
    ck_assert_msg(pool != NULL, "%s", kin_error_message());
    return pool;
}

static void finish_pool(kin_proxy *pool)
{
    OK(kin_proxy_close(pool));
    OK(kin_proxy_join(pool, test_time_left()));
    kin_proxy_free(pool);
}

static void numbers(kin_any *items, int count)
{
    for (int i = 0; i < count; i++)
        items[i] = kin_any_int(i);
}

static void expect_squares(kin_any *values, int count)
{
    for (int i = 0; i < count; i++) {
        ck_assert_int_eq(values[i].type, KIN_ANY_INT);
        ck_assert_int_eq(values[i].integer, (int64_t)i * i);
    }
}

#define PROXY(call) proxy_of((call), #call)
static kin_proxy *proxy_of(kin_proxy *proxy, const char *what)
{
    ck_assert_msg(proxy != NULL, "%s: %s", what, kin_error_message());
    return proxy;
}

/* ---- apply ------------------------------------------------------------------------------------------- */

/* test_apply, test_async */
static void apply_runs_in_a_worker(void)
{
    kin_manager *manager = start_manager(NULL);
    kin_proxy *pool = new_pool(manager, 2);
    kin_any value;
    for (int i = 0; i < 20; i++) {
        OK(kin_proxy_apply(pool, kin_any_function(square), (kin_any[]){kin_any_int(i)}, 1, &value));
        ck_assert_int_eq(value.integer, (int64_t)i * i);
    }
    OK(kin_proxy_apply(pool, kin_any_function(tell_pid), NULL, 0, &value));
    ck_assert_int_ne(value.integer, getpid());
    ck_assert_int_ne(value.integer, kin_process_pid(kin_manager_process(manager)));
    kin_proxy *result = PROXY(
        kin_proxy_apply_async(pool, kin_any_function(square), (kin_any[]){KIN_ANY(7), KIN_ANY(0.1)}, 2));
    ck_assert_str_eq(kin_proxy_type(result), "AsyncResult");
    for (int i = 0; i < 2; i++) { /* as often as one likes */
        OK(kin_proxy_take(result, &value, test_time_left()));
        ck_assert_int_eq(value.integer, 49);
    }
    kin_proxy_free(result);
    finish_pool(pool);
    expect_nothing_left(manager);
    kin_manager_free(manager);
}

/* test_async_timeout */
static void result_is_not_ready_before_it_is(void)
{
    kin_manager *manager = start_manager(NULL);
    kin_proxy *pool = new_pool(manager, 1), *list = make(manager, "list");
    kin_any value;
    size_t length = 0;
    kin_proxy *hung =
        PROXY(kin_proxy_apply_async(pool, kin_any_function(hang), (kin_any[]){kin_any_object(list)}, 1));
    kin_proxy *behind =
        PROXY(kin_proxy_apply_async(pool, kin_any_function(square), (kin_any[]){KIN_ANY(6)}, 1));
    while (!length)
        OK(kin_proxy_length(list, &length));
    ck_assert(!truth_of(behind, "ready"));
    FAILS(KIN_EBUSY, "it is not ready", kin_proxy_call(behind, "successful", NULL, 0, NULL));
    FAILS(KIN_ETIMEDOUT, "AsyncResult.get", kin_proxy_take(behind, &value, 0.03));
    FAILS(KIN_ETIMEDOUT, "AsyncResult.wait", kin_proxy_wait(behind, 0.03));
    OK(kin_proxy_get(list, KIN_ANY(0), &value));
    ck_assert_int_eq(kill((pid_t)value.integer, SIGKILL), 0);
    FAILS(KIN_EDIED, "task hang()", kin_proxy_take(hung, &value, test_time_left()));
    OK(kin_proxy_wait(behind, test_time_left()));
    ck_assert(truth_of(behind, "ready"));
    ck_assert(truth_of(behind, "successful"));
    ck_assert(!truth_of(hung, "successful"));
    OK(kin_proxy_take(behind, &value, 0));
    ck_assert_int_eq(value.integer, 36);
    kin_proxy_free(hung);
    kin_proxy_free(behind);
    kin_proxy_free(list);
    finish_pool(pool);
    expect_nothing_left(manager);
    kin_manager_free(manager);
}

/* test_wrapped_exception, test_traceback */
static void failure_is_told_with_where_it_happened(void)
{
    kin_manager *manager = start_manager(NULL);
    kin_proxy *pool = new_pool(manager, 1);
    kin_any value;
    kin_error error;
    OK(kin_proxy_apply(pool, kin_any_function(tell_pid), NULL, 0, &value));
    int pid = (int)value.integer;
    FAILS(-2001, "Pool.apply of manager \"manager\": 7 is odd",
          kin_proxy_apply(pool, kin_any_function(even_only), (kin_any[]){KIN_ANY(7)}, 1, &value));
    kin_error_get(&error);
    ck_assert_int_eq(error.pid, pid);
    FAILS(KIN_EINVAL, "argument 1 is not an integer",
          kin_proxy_apply(pool, kin_any_function(square), (kin_any[]){KIN_ANY("x")}, 1, &value));
    FAILS(KIN_EDIED, "task die_at_three()",
          kin_proxy_apply(pool, kin_any_function(die_at_three), (kin_any[]){KIN_ANY(3)}, 1, &value));
    OK(kin_proxy_apply(pool, kin_any_function(die_at_three), (kin_any[]){KIN_ANY(4)}, 1, &value));
    ck_assert_int_eq(value.integer, 4);
    finish_pool(pool);
    expect_nothing_left(manager);
    kin_manager_free(manager);
}

/* ---- map --------------------------------------------------------------------------------------------- */

/* test_map, test_map_async, test_starmap, test_starmap_async, test_map_chunksize, test_release_task_refs */
static void maps_give_their_values_in_order(void)
{
    kin_manager *manager = start_manager(NULL);
    kin_proxy *pool = new_pool(manager, 3);
    kin_any items[300], values[300], answer;
    uint8_t pairs[1 + 20 * 3] = {0x94};
    numbers(items, 300);
    OK(kin_proxy_map(pool, kin_any_function(square), items, 10, values));
    expect_squares(values, 10);
    OK(kin_proxy_map(pool, kin_any_function(square), items, 300, values));
    expect_squares(values, 300);
    kin_proxy *result = PROXY(kin_proxy_map_async(pool, kin_any_function(square), items, 300));
    OK(kin_proxy_take_all(result, values, 300, test_time_left()));
    expect_squares(values, 300);
    kin_proxy_free(result);
    for (int i = 0; i < 20; i++)
        memcpy(pairs + 1 + i * 3, (uint8_t[]){0x82, (uint8_t)i, (uint8_t)(20 - i)}, 3);
    kin_any star[] = {kin_any_function(multiply), kin_any_packed(pairs, sizeof pairs)};
    OK(kin_proxy_call(pool, "starmap", star, 2, &answer));
    ck_assert_int_eq(answer.type, KIN_ANY_PACKED);
    ck_assert_mem_eq((const uint8_t *)answer.data + 1, "\x00\x13\x18\x24\x18\x33", 6); /* 0, 19, 36, 51 */
    kin_any first = answer;
    OK(kin_proxy_call(pool, "starmap_async", star, 2, &answer));
    result = PROXY(kin_proxy_of(manager, &answer));
    kin_any_clear(&answer);
    OK(kin_proxy_take(result, &answer, test_time_left()));
    ck_assert(kin_any_equal(answer, first));
    kin_any_clear(&answer);
    kin_any_clear(&first);
    kin_proxy_free(result);
    star[1] = kin_any_packed("\x81\x07", 2);
    FAILS(KIN_EINVAL, "item 0 is not a list of arguments", kin_proxy_call(pool, "starmap", star, 2, &answer));
    finish_pool(pool);
    expect_nothing_left(manager);
    kin_manager_free(manager);
}

/* test_map_no_failfast, _TestPoolWorkerErrors */
static void map_ends_with_its_first_failure_and_the_pool_goes_on(void)
{
    kin_manager *manager = start_manager(NULL);
    kin_proxy *pool = new_pool(manager, 2);
    kin_any items[500], values[500];
    numbers(items, 500);
    FAILS(-2001, "is odd", kin_proxy_map(pool, kin_any_function(even_only), items, 500, values));
    ck_assert_int_eq(values[0].type, KIN_ANY_NULL);
    kin_proxy *result = PROXY(kin_proxy_map_async(pool, kin_any_function(even_only), items, 500));
    ck_assert_int_eq(kin_proxy_take_all(result, values, 500, test_time_left()), -2001);
    ck_assert(!truth_of(result, "successful"));
    kin_proxy_free(result);
    OK(kin_proxy_map(pool, kin_any_function(square), items, 500, values));
    expect_squares(values, 500);
    finish_pool(pool);
    expect_nothing_left(manager);
    kin_manager_free(manager);
}

/* test_empty_iterable, test_map_chunksize */
static void empty_input_is_no_error(void)
{
    kin_manager *manager = start_manager(NULL);
    kin_proxy *pool = new_pool(manager, 1);
    kin_any value;
    OK(kin_proxy_map(pool, kin_any_function(square), NULL, 0, NULL));
    kin_proxy *result = PROXY(kin_proxy_map_async(pool, kin_any_function(square), NULL, 0));
    OK(kin_proxy_take_all(result, NULL, 0, 0));
    kin_proxy_free(result);
    for (int unordered = 0; unordered < 2; unordered++) {
        kin_proxy *iterator = PROXY(kin_proxy_imap(pool, kin_any_function(square), NULL, 0, unordered));
        FAILS(KIN_ECLOSED, "there are no more", kin_proxy_next(iterator, &value, 0));
        kin_proxy_free(iterator);
    }
    finish_pool(pool);
    expect_nothing_left(manager);
    kin_manager_free(manager);
}

/* test_map_unplicklable */
static void arguments_that_cannot_be_sent_are_refused(void)
{
    kin_manager *manager = start_manager(NULL);
    kin_proxy *pool = new_pool(manager, 1);
    kin_any items[10], values[10];
    for (int i = 0; i < 10; i++)
        items[i] = i == 7 ? kin_any_text("\xff\xfe") : kin_any_int(i);
    FAILS(KIN_EINVAL, "it is no UTF-8", kin_proxy_map(pool, kin_any_function(give_back), items, 10, values));
    items[7] = kin_any_int(7);
    OK(kin_proxy_map(pool, kin_any_function(give_back), items, 10, values));
    ck_assert_int_eq(values[9].integer, 9);
    finish_pool(pool);
    expect_nothing_left(manager);
    kin_manager_free(manager);
}

/* ---- imap -------------------------------------------------------------------------------------------- */

/* test_imap */
static void imap_gives_results_in_order(void)
{
    kin_manager *manager = start_manager(NULL);
    kin_proxy *pool = new_pool(manager, 2);
    kin_any items[1000], value;
    numbers(items, 1000);
    kin_proxy *iterator = PROXY(kin_proxy_imap(pool, kin_any_function(square), items, 1000, false));
    for (int i = 0; i < 1000; i++) {
        OK(kin_proxy_next(iterator, &value, test_time_left()));
        ck_assert_int_eq(value.integer, (int64_t)i * i);
    }
    FAILS(KIN_ECLOSED, "there are no more", kin_proxy_next(iterator, &value, 0));
    kin_proxy_free(iterator);
    iterator = PROXY(kin_proxy_imap(pool, kin_any_function(die_at_three), items, 7, false));
    for (int i = 0; i < 7; i++) {
        int error = kin_proxy_next(iterator, &value, test_time_left());
        ck_assert_int_eq(error, i == 3 ? KIN_EDIED : 0);
        ck_assert(i == 3 || value.integer == i);
    }
    ck_assert_int_eq(kin_proxy_next(iterator, &value, 0), KIN_ECLOSED);
    kin_proxy_free(iterator);
    finish_pool(pool);
    expect_nothing_left(manager);
    kin_manager_free(manager);
}

/* test_imap_unordered */
static void imap_unordered_gives_each_once(void)
{
    kin_manager *manager = start_manager(NULL);
    kin_proxy *pool = new_pool(manager, 2), *list = make(manager, "list");
    kin_any items[1000], value;
    bool seen[1000] = {false};
    numbers(items, 1000);
    kin_proxy *iterator = PROXY(kin_proxy_imap(pool, kin_any_function(give_back), items, 1000, true));
    for (int i = 0; i < 1000; i++) {
        OK(kin_proxy_next(iterator, &value, test_time_left()));
        ck_assert(value.integer >= 0 && value.integer < 1000 && !seen[value.integer]);
        seen[value.integer] = true;
    }
    ck_assert_int_eq(kin_proxy_next(iterator, &value, 0), KIN_ECLOSED);
    kin_proxy_free(iterator);
    kin_proxy *hung =
        PROXY(/* one worker of two is at this meanwhile */
              kin_proxy_apply_async(pool, kin_any_function(hang), (kin_any[]){kin_any_object(list)}, 1));
    iterator = PROXY(kin_proxy_imap(pool, kin_any_function(give_back), items, 3, true));
    for (int i = 0; i < 3; i++)
        OK(kin_proxy_next(iterator, &value, test_time_left()));
    kin_proxy_free(iterator);
    kin_proxy_free(hung);
    OK(kin_proxy_terminate(pool));
    OK(kin_proxy_join(pool, test_time_left()));
    kin_proxy_free(pool);
    kin_proxy_free(list);
    expect_nothing_left(manager);
    kin_manager_free(manager);
}

/* ---- the Pool's life ------------------------------------------------------------------------------------ */

/* test_make_pool, test_context, test_pool_maxtasksperchild_invalid */
static void pool_is_made_and_closed(void)
{
    kin_manager *manager = start_manager(NULL);
    kin_any value;
    for (int i = -1; i < 1; i++) {
        ck_assert_ptr_null(kin_proxy_new(manager, "Pool", (kin_any[]){kin_any_int(i)}, 1));
        ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    }
    ck_assert_ptr_null(kin_proxy_new(
        manager, "Pool", (kin_any[]){KIN_ANY(1), kin_any_null(), kin_any_null(), KIN_ANY(-1)}, 4));
    kin_proxy *pool = make(manager, "Pool");
    FAILS(KIN_EINVAL, "the Pool is open", kin_proxy_join(pool, 0));
    kin_proxy *result = PROXY(
        kin_proxy_apply_async(pool, kin_any_function(square), (kin_any[]){KIN_ANY(5), KIN_ANY(0.05)}, 2));
    OK(kin_proxy_close(pool));
    FAILS(KIN_ECLOSED, "the Pool is closed",
          kin_proxy_apply(pool, kin_any_function(square), (kin_any[]){KIN_ANY(5)}, 1, &value));
    OK(kin_proxy_join(pool, test_time_left()));
    OK(kin_proxy_take(result, &value, 0)); /* it was done before */
    ck_assert_int_eq(value.integer, 25);
    OK(kin_proxy_join(pool, 0));
    OK(kin_proxy_close(pool));
    OK(kin_proxy_terminate(pool));
    kin_proxy_free(result);
    kin_proxy_free(pool);
    expect_nothing_left(manager);
    kin_manager_free(manager);
}

static int apply_and_wait(void *arg)
{
    struct shared *shared = arg;
    kin_any value;
    int error = kin_proxy_apply(shared->proxy, kin_any_function(hang),
                                (kin_any[]){kin_any_object(shared->other)}, 1, &value);
    child_assert(error == KIN_ECANCELED);
    return 0;
}

/* test_terminate */
static void terminate_ends_what_is_under_way(void)
{
    struct shared *shared = new_shared();
    kin_any items[2000], value;
    size_t length = 0;
    shared->proxy = new_pool(shared->manager, 2);
    shared->other = make(shared->manager, "list");
    kin_process *child = kin_process_start_shared(apply_and_wait, shared, NULL);
    while (!length)
        OK(kin_proxy_length(shared->other, &length));
    numbers(items, 2000);
    kin_proxy *result = PROXY(kin_proxy_map_async(shared->proxy, kin_any_function(square), items, 2000));
    kin_proxy *hung = PROXY(kin_proxy_apply_async(shared->proxy, kin_any_function(hang),
                                                  (kin_any[]){kin_any_object(shared->other)}, 1));
    double began = kin__os_now();
    OK(kin_proxy_terminate(shared->proxy));
    OK(kin_proxy_join(shared->proxy, test_time_left()));
    ck_assert_double_lt(kin__os_now() - began, 2);
    join_child(child);
    FAILS(KIN_ECANCELED, "the Pool was terminated", kin_proxy_take(hung, &value, 0));
    int error = kin_proxy_wait(result, 0);
    ck_assert_int_eq(error, 0);
    kin_proxy_free(hung);
    kin_proxy_free(result);
    kin_proxy_free(shared->proxy);
    kin_proxy_free(shared->other);
    expect_nothing_left(shared->manager);
    free_shared(shared);
}

/* _TestPoolWorkerLifetime.test_pool_worker_lifetime, test_pool_worker_lifetime_early_close; TestInitializers.test_pool_initializer */
static void workers_are_made_ready_and_replaced(void)
{
    kin_manager *manager = start_manager(NULL);
    kin_any value,
        args[] = {KIN_ANY(1), kin_any_function(set_state), kin_any_packed("\x81\x18\x2a", 3), KIN_ANY(3)};
    kin_proxy *pool = PROXY(kin_proxy_new(manager, "Pool", args, 4));
    int64_t pids[7];
    for (int i = 0; i < 7; i++) {
        OK(kin_proxy_apply(pool, kin_any_function(tell_pid), NULL, 0, &value));
        pids[i] = value.integer;
    }
    ck_assert_int_eq(pids[0], pids[2]);
    ck_assert_int_ne(pids[2], pids[3]);
    ck_assert_int_eq(pids[3], pids[5]);
    ck_assert_int_ne(pids[5], pids[6]);
    OK(kin_proxy_apply(pool, kin_any_function(tell_state), NULL, 0, &value));
    ck_assert_int_eq(value.integer, 42);
    finish_pool(pool);
    args[1] = kin_any_function(cannot_begin);
    args[2] = kin_any_null();
    pool = PROXY(kin_proxy_new(manager, "Pool", args, 2));
    FAILS(-2002, "no licence", kin_proxy_apply(pool, kin_any_function(tell_pid), NULL, 0, &value));
    kin_proxy_free(pool); /* open: it goes all the same */
    expect_nothing_left(manager);
    kin_manager_free(manager);
}

/* ---- who may what ------------------------------------------------------------------------------------------ */

static int add_by_proxy_in_child(void *arg)
{
    struct shared *shared = arg;
    kin_any items[30];
    for (int i = 0; i < 30; i++)
        items[i] = kin_any_int(i % 3);
    for (int i = 0; i < 30; i++) {
        int error = kin_proxy_apply(shared->proxy, kin_any_function(add_there),
                                    (kin_any[]){kin_any_object(shared->other), items[i]}, 2, NULL);
        child_assert(error == 0);
    }
    return 0;
}

/* test_map_async_callbacks: Python's callbacks run in the server and change a list of it; here functions do that by proxies. */
static void objects_go_to_workers(void)
{
    struct shared *shared = new_shared();
    kin_any value;
    shared->proxy = new_pool(shared->manager, 2);
    shared->other = make(shared->manager, "dict");
    run_child(add_by_proxy_in_child, shared);
    for (int i = 0; i < 3; i++) {
        OK(kin_proxy_get(shared->other, kin_any_int(i), &value));
        ck_assert_int_eq(value.integer, 10);
    }
    kin_proxy_free(shared->other);
    finish_pool(shared->proxy);
    expect_nothing_left(shared->manager);
    free_shared(shared);
}

static int register_square(kin_server *server, void *arg)
{
    (void)arg;
    int error = kin_server_register_function(server, "square", square);
    if (error)
        return error;
    return kin_server_register_function(server, "square", square) == KIN_EINVAL
               ? kin_server_register_function(server, "even_only", even_only)
               : -1;
}

static void functions_are_called_by_their_registered_names(void)
{
    kin_manager *manager = start_manager(KIN_MANAGER_OPTIONS(.setup = register_square));
    kin_proxy *pool = new_pool(manager, 1);
    kin_any items[100], values[100], value;
    numbers(items, 100);
    OK(kin_proxy_map(pool, KIN_ANY("square"), items, 100, values));
    expect_squares(values, 100);
    FAILS(-2001, "7 is odd", kin_proxy_apply(pool, KIN_ANY("even_only"), (kin_any[]){KIN_ANY(7)}, 1, &value));
    FAILS(KIN_ENOTFOUND, "no function \"system\" is registered",
          kin_proxy_apply(pool, KIN_ANY("system"), (kin_any[]){KIN_ANY("id")}, 1, &value));
    FAILS(KIN_EINVAL, "neither a name nor one of the family",
          kin_proxy_apply(pool, KIN_ANY(7), (kin_any[]){KIN_ANY(7)}, 1, &value));
    finish_pool(pool);
    expect_nothing_left(manager);
    kin_manager_free(manager);
}

static int dict_of_functions(kin_call *call)
{
    (void)call;
    return 0;
}

static void functions_that_lead_nowhere_are_refused(void)
{
    kin_manager *manager = start_manager(NULL);
    kin_proxy *pool = new_pool(manager, 1), *dict = make(manager, "dict");
    kin_any value, wrong = kin_any_function(square);
    ck_assert_int_eq(wrong.type, KIN_ANY_FUNCTION);
    wrong.integer = 400; /* no such module */
    FAILS(KIN_EINVAL, "", kin_proxy_apply(pool, wrong, NULL, 0, &value));
    wrong = kin_any_function(square);
    wrong.natural = UINT64_C(1) << 40;
    FAILS(KIN_EINVAL, "", kin_proxy_apply(pool, wrong, NULL, 0, &value));
    kin_any nothing = kin_any_function(NULL);
    ck_assert_int_eq(nothing.type, KIN_ANY_NULL);
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    OK(kin_proxy_apply(pool, kin_any_function(dict_of_functions), NULL, 0, &value));
    ck_assert_int_eq(value.type, KIN_ANY_NULL);
    OK(kin_proxy_set(dict, KIN_ANY("f"), kin_any_function(square))); /* a value like any other there */
    kin_proxy_free(dict);
    finish_pool(pool);
    expect_nothing_left(manager);
    kin_manager_free(manager);
}

/* ---- deaths ------------------------------------------------------------------------------------------------ */

/* (list): says that it has begun there, and waits until the first item is 1 */
static int begin_and_wait(kin_call *call)
{
    kin_any list, first = {0};
    int error = kin_call_any(call, 0, &list);
    kin_proxy *proxy = error ? NULL : kin_proxy_of(kin_call_manager(call), &list);
    if (!proxy)
        return error ? error : kin_error_code();
    error = kin_proxy_append(proxy, kin_any_int(getpid()));
    while (!error && first.integer != 1) {
        poll(NULL, 0, 1);
        error = kin_proxy_get(proxy, kin_any_int(0), &first);
    }
    kin_proxy_free(proxy);
    return error;
}

static int map_and_wait(void *arg)
{
    struct shared *shared = arg;
    kin_any items[100];
    for (int i = 0; i < 100; i++)
        items[i] = kin_any_object(shared->other);
    return kin_proxy_map(shared->proxy, kin_any_function(begin_and_wait), items, 100, NULL);
}

static void dead_clients_maps_are_begun_no_further(void)
{
    struct shared *shared = new_shared();
    size_t length = 0;
    shared->proxy = new_pool(shared->manager, 1);
    shared->other = make(shared->manager, "list");
    OK(kin_proxy_append(shared->other, KIN_ANY(0)));
    kin_process *child = kin_process_start_shared(map_and_wait, shared, NULL);
    while (length < 2)
        OK(kin_proxy_length(shared->other, &length));
    OK(kin_process_kill(child));
    kin_process_free(child);
    await_waiting(shared->manager, 0);
    OK(kin_proxy_set(shared->other, KIN_ANY(0), KIN_ANY(1)));
    OK(kin_proxy_close(shared->proxy));
    OK(kin_proxy_join(shared->proxy, test_time_left()));
    OK(kin_proxy_length(shared->other, &length));
    ck_assert_uint_le(length, 20); /* what was under way when it died */
    kin_proxy_free(shared->proxy);
    kin_proxy_free(shared->other);
    expect_nothing_left(shared->manager);
    free_shared(shared);
}

/* Or waits for who is to collect its status. */
static bool is_there(pid_t pid)
{
    char path[64], state = 'Z';
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    int found = fscanf(file, "%*d (%*[^)]) %c", &state);
    fclose(file);
    return found == 1 && state != 'Z';
}

static void workers_end_with_the_server(void)
{
    kin_manager *manager = start_manager(NULL);
    kin_proxy *pool = new_pool(manager, 1), *list = make(manager, "list");
    kin_any value;
    size_t length = 0;
    kin_proxy *hung =
        PROXY(kin_proxy_apply_async(pool, kin_any_function(hang), (kin_any[]){kin_any_object(list)}, 1));
    while (!length)
        OK(kin_proxy_length(list, &length));
    OK(kin_proxy_get(list, KIN_ANY(0), &value));
    pid_t worker = (pid_t)value.integer;
    OK(kin_process_kill(kin_manager_process(manager)));
    FAILS(KIN_EDIED, "has ended", kin_proxy_take(hung, &value, 5));
    while (is_there(worker) && test_time_left() > 1)
        poll(NULL, 0, 1);
    ck_assert(!is_there(worker));
    kin_manager_free(manager);
}

static const struct test tests[] = {
    {"apply_runs_in_a_worker", apply_runs_in_a_worker, 20, TEST_EACH_METHOD},
    {"result_is_not_ready_before_it_is", result_is_not_ready_before_it_is, 20, TEST_EACH_METHOD},
    {"failure_is_told_with_where_it_happened", failure_is_told_with_where_it_happened, 20, TEST_EACH_METHOD},
    {"maps_give_their_values_in_order", maps_give_their_values_in_order, 20, TEST_EACH_METHOD},
    {"map_ends_with_its_first_failure_and_the_pool_goes_on",
     map_ends_with_its_first_failure_and_the_pool_goes_on, 20, TEST_EACH_METHOD},
    {"empty_input_is_no_error", empty_input_is_no_error, 20, TEST_EACH_METHOD},
    {"arguments_that_cannot_be_sent_are_refused", arguments_that_cannot_be_sent_are_refused, 20,
     TEST_EACH_METHOD},
    {"imap_gives_results_in_order", imap_gives_results_in_order, 20, TEST_EACH_METHOD},
    {"imap_unordered_gives_each_once", imap_unordered_gives_each_once, 20, TEST_EACH_METHOD},
    {"pool_is_made_and_closed", pool_is_made_and_closed, 20, TEST_EACH_METHOD},
    {"terminate_ends_what_is_under_way", terminate_ends_what_is_under_way, 20, TEST_EACH_METHOD},
    {"workers_are_made_ready_and_replaced", workers_are_made_ready_and_replaced, 20, TEST_EACH_METHOD},
    {"objects_go_to_workers", objects_go_to_workers, 20, TEST_EACH_METHOD},
    {"functions_are_called_by_their_registered_names", functions_are_called_by_their_registered_names, 20,
     TEST_EACH_METHOD},
    {"functions_that_lead_nowhere_are_refused", functions_that_lead_nowhere_are_refused, 20,
     TEST_NOT_VALGRIND},
    {"dead_clients_maps_are_begun_no_further", dead_clients_maps_are_begun_no_further, 20, TEST_EACH_METHOD},
    {"workers_end_with_the_server", workers_end_with_the_server, 20, TEST_EACH_METHOD},
};

TEST_MAIN("manager_pool", tests)
