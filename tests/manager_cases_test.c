/* manager_cases_test.c - cases of CPython's tests of queues and sync, in their manager's variant, that manager_waits_test.c has not. */
#include "manager_common.h"

#include "os/os.h"

static kin_proxy *make_of(kin_manager *manager, const char *type, const kin_any *args, size_t count)
{
    kin_proxy *proxy = kin_proxy_new(manager, type, args, count);
    ck_assert_msg(proxy != NULL, "%s", kin_error_message());
    return proxy;
}

/* It fails in time, and not before it. */
#define TAKES(seconds, call)                                              \
    do {                                                                  \
        double began = kin__os_now();                                     \
        ck_assert_int_eq((call), KIN_ETIMEDOUT);                          \
        double took = kin__os_now() - began;                              \
        ck_assert_msg(took >= (seconds), "%s took %g s", #call, took);    \
        ck_assert_msg(took < (seconds) + 5, "%s took %g s", #call, took); \
    } while (0)

/* ---- Queue ------------------------------------------------------------------------------------------ */

struct turns {
    kin_manager *manager;
    kin_proxy *queue, *child_can_start, *parent_can_go_on;
};

static struct turns *new_turns(const kin_any *args, size_t count)
{
    kin_manager *manager = start_manager(NULL);
    struct turns *turns = kin_calloc(1, sizeof *turns);
    ck_assert_ptr_nonnull(turns);
    *turns = (struct turns){manager, make_of(manager, "Queue", args, count), make(manager, "Event"),
                            make(manager, "Event")};
    return turns;
}

static void free_turns(struct turns *turns)
{
    kin_proxy_free(turns->queue);
    kin_proxy_free(turns->child_can_start);
    kin_proxy_free(turns->parent_can_go_on);
    expect_nothing_left(turns->manager);
    kin_manager_free(turns->manager);
    kin_free(turns);
}

static int get_six(void *arg)
{
    struct turns *turns = arg;
    kin_any value;
    int error = kin_proxy_wait(turns->child_can_start, 30);
    for (int i = 0; i < 6 && !error; i++)
        error = kin_proxy_take(turns->queue, &value, 30);
    return error ? error : kin_proxy_event_set(turns->parent_can_go_on);
}

/* test_put, test_qsize */
static void put_waits_only_as_long_as_it_is_told(void)
{
    struct turns *turns = new_turns((kin_any[]){KIN_ANY(6)}, 1);
    kin_process *child = kin_process_start_shared(get_six, turns, NULL);
    size_t size;
    ck_assert(truth_of(turns->queue, "empty"));
    ck_assert(!truth_of(turns->queue, "full"));
    for (int i = 1; i <= 6; i++) {
        OK(kin_proxy_put(turns->queue, kin_any_int(i), i % 2 ? 0 : KIN_FOREVER));
        OK(kin_proxy_length(turns->queue, &size));
        ck_assert_uint_eq(size, (size_t)i);
    }
    ck_assert(!truth_of(turns->queue, "empty"));
    ck_assert(truth_of(turns->queue, "full"));
    TAKES(0, kin_proxy_put(turns->queue, KIN_ANY(7), 0));
    TAKES(0.05, kin_proxy_put(turns->queue, KIN_ANY(7), 0.05));
    OK(kin_proxy_event_set(turns->child_can_start));
    OK(kin_proxy_wait(turns->parent_can_go_on, test_time_left()));
    ck_assert(truth_of(turns->queue, "empty"));
    ck_assert(!truth_of(turns->queue, "full"));
    join_child(child);
    free_turns(turns);
}

static int put_four(void *arg)
{
    struct turns *turns = arg;
    int error = kin_proxy_wait(turns->child_can_start, 30);
    for (int i = 2; i <= 5 && !error; i++)
        error = kin_proxy_put(turns->queue, kin_any_int(i), 30);
    return error ? error : kin_proxy_event_set(turns->parent_can_go_on);
}

/* test_get, test_timeout */
static void get_waits_only_as_long_as_it_is_told(void)
{
    struct turns *turns = new_turns(NULL, 0);
    kin_process *child = kin_process_start_shared(put_four, turns, NULL);
    kin_any value;
    ck_assert(truth_of(turns->queue, "empty"));
    OK(kin_proxy_event_set(turns->child_can_start));
    OK(kin_proxy_wait(turns->parent_can_go_on, test_time_left()));
    ck_assert(!truth_of(turns->queue, "empty"));
    for (int i = 2; i <= 5; i++) {
        OK(kin_proxy_take(turns->queue, &value, i == 5 ? 0 : i == 4 ? 1 : KIN_FOREVER));
        ck_assert_int_eq(value.integer, i);
    }
    ck_assert(truth_of(turns->queue, "empty"));
    TAKES(0, kin_proxy_take(turns->queue, &value, 0));
    TAKES(0.2, kin_proxy_take(turns->queue, &value, 0.2));
    join_child(child);
    free_turns(turns);
}

static int put_ten_more(void *arg)
{
    struct turns *turns = arg;
    int error = 0;
    for (int i = 10; i < 20 && !error; i++)
        error = kin_proxy_put(turns->queue, kin_any_int(i), 30);
    return error;
}

/* test_fork */
static void child_puts_into_a_queue_that_its_parent_has_used(void)
{
    struct turns *turns = new_turns(NULL, 0);
    kin_any value;
    for (int i = 0; i < 10; i++)
        OK(kin_proxy_put(turns->queue, kin_any_int(i), 0));
    kin_process *child = kin_process_start_shared(put_ten_more, turns, NULL);
    for (int i = 0; i < 20; i++) {
        OK(kin_proxy_take(turns->queue, &value, test_time_left()));
        ck_assert_int_eq(value.integer, i);
    }
    TAKES(0, kin_proxy_take(turns->queue, &value, 0));
    join_child(child);
    free_turns(turns);
}

/* test_no_import_lock_contention: what stands before start-up */
static void manager_before_start_up_is_refused_and_hangs_nobody(void)
{
    ck_assert_ptr_null(kin_manager_start(NULL));
    ck_assert_int_eq(kin_error_code(), KIN_ENOINIT);
    kin_manager *manager = start_manager(NULL);
    kin_manager_free(manager);
}

/* ---- Condition ---------------------------------------------------------------------------------------- */

static int wait_shortly(void *arg)
{
    struct shared *shared = arg;
    int error = kin_proxy_acquire(shared->proxy, 30);
    child_assert(error == 0);
    error = kin_proxy_wait(shared->proxy, 0.05);
    child_assert(error == KIN_ETIMEDOUT);
    atomic_fetch_add(&shared->count, 1);
    error = kin_proxy_release(shared->proxy);
    child_assert(error == 0);
    return 0;
}

static int wait_long(void *arg)
{
    struct shared *shared = arg;
    int error = kin_proxy_acquire(shared->proxy, 30);
    child_assert(error == 0);
    error = kin_proxy_wait(shared->proxy, 30);
    child_assert(error == 0);
    atomic_fetch_add(&shared->step, 1);
    error = kin_proxy_release(shared->proxy);
    child_assert(error == 0);
    return 0;
}

/* test_notify_all, test_wait_result */
static void notify_all_wakes_those_that_have_not_given_up(void)
{
    struct shared *shared = new_shared();
    kin_process *children[6];
    shared->proxy = make(shared->manager, "Condition");
    for (int i = 0; i < 3; i++)
        children[i] = kin_process_start_shared(wait_shortly, shared, NULL);
    for (int i = 0; i < 3; i++)
        join_child(children[i]);
    ck_assert_int_eq(atomic_load(&shared->count), 3);
    for (int i = 0; i < 6; i++)
        children[i] = kin_process_start_shared(wait_long, shared, NULL);
    await_waiting(shared->manager, 6);
    OK(kin_proxy_acquire(shared->proxy, test_time_left()));
    OK(kin_proxy_notify_all(shared->proxy));
    OK(kin_proxy_release(shared->proxy));
    for (int i = 0; i < 6; i++)
        join_child(children[i]);
    ck_assert_int_eq(atomic_load(&shared->step), 6);
    kin_proxy_free(shared->proxy);
    expect_nothing_left(shared->manager);
    free_shared(shared);
}

/* wait_for, of Python: until the value is `wanted`, or the time is over. We have the lock. */
static int wait_until(struct shared *shared, int64_t wanted, double timeout)
{
    double deadline = kin__os_deadline(timeout);
    kin_any value;
    for (;;) {
        int error = kin_proxy_value(shared->other, &value);
        if (error || value.integer == wanted)
            return error;
        if ((error = kin_proxy_wait(shared->proxy, kin__os_left(deadline))))
            return error;
    }
}

static int count_to_four(void *arg)
{
    struct shared *shared = arg;
    int error = kin_proxy_acquire(shared->proxy, 30);
    child_assert(error == 0);
    error = kin_proxy_set_value(shared->other, kin_any_int(0));
    child_assert(error == 0);
    error = kin_proxy_notify(shared->proxy, 1);
    child_assert(error == 0);
    error = wait_until(shared, 4, 30);
    child_assert(error == 0);
    error = kin_proxy_release(shared->proxy);
    child_assert(error == 0);
    return 0;
}

/* test_waitfor, test_waitfor_timeout */
static void wait_for_waits_until_it_is_true_or_the_time_is_over(void)
{
    struct shared *shared = new_shared();
    shared->proxy = make(shared->manager, "Condition");
    shared->other = make_of(shared->manager, "Value", (kin_any[]){KIN_ANY("i"), KIN_ANY(-1)}, 2);
    kin_process *child = kin_process_start_shared(count_to_four, shared, NULL);
    OK(kin_proxy_acquire(shared->proxy, test_time_left()));
    OK(wait_until(shared, 0, test_time_left()));
    OK(kin_proxy_release(shared->proxy));
    for (int i = 1; i <= 4; i++) {
        OK(kin_proxy_acquire(shared->proxy, test_time_left()));
        OK(kin_proxy_set_value(shared->other, kin_any_int(i)));
        OK(kin_proxy_notify(shared->proxy, 1));
        OK(kin_proxy_release(shared->proxy));
    }
    join_child(child);
    OK(kin_proxy_acquire(shared->proxy, test_time_left()));
    TAKES(0.1, wait_until(shared, 7, 0.1));
    OK(kin_proxy_release(shared->proxy));
    kin_proxy_free(shared->proxy);
    kin_proxy_free(shared->other);
    expect_nothing_left(shared->manager);
    free_shared(shared);
}

/* ---- Barrier -------------------------------------------------------------------------------------------- */

static int wait_for_index(void *arg)
{
    struct shared *shared = arg;
    kin_any index;
    int error = kin_proxy_call(shared->proxy, "wait", NULL, 0, &index);
    child_assert(error == 0);
    atomic_fetch_or(&shared->count, 1 << index.integer);
    return 0;
}

/* test_wait_return */
static void each_party_has_an_index(void)
{
    struct shared *shared = new_shared();
    kin_process *children[5];
    shared->proxy = make_of(shared->manager, "Barrier", (kin_any[]){KIN_ANY(5)}, 1);
    for (int i = 0; i < 5; i++)
        children[i] = kin_process_start_shared(wait_for_index, shared, NULL);
    for (int i = 0; i < 5; i++)
        join_child(children[i]);
    ck_assert_int_eq(atomic_load(&shared->count), 31);
    kin_proxy_free(shared->proxy);
    expect_nothing_left(shared->manager);
    free_shared(shared);
}

/* test_single_thread */
static void barrier_for_one_lets_go_at_once(void)
{
    kin_manager *manager = start_manager(NULL);
    kin_proxy *barrier = make_of(manager, "Barrier", (kin_any[]){KIN_ANY(1)}, 1);
    for (int i = 0; i < 3; i++)
        OK(kin_proxy_wait(barrier, KIN_FOREVER));
    kin_proxy_free(barrier);
    expect_nothing_left(manager);
    kin_manager_free(manager);
}

static int be_broken_by_default(void *arg)
{
    struct shared *shared = arg;
    int error = kin_proxy_wait(shared->proxy, KIN_FOREVER);
    child_assert(error == KIN_ETIMEDOUT || error == KIN_EBROKEN);
    return 0;
}

/* test_default_timeout */
static void forever_is_what_the_barrier_says(void)
{
    struct shared *shared = new_shared();
    kin_process *children[3];
    shared->proxy = make_of(shared->manager, "Barrier", (kin_any[]){KIN_ANY(4), KIN_ANY(0.1)}, 2);
    for (int i = 0; i < 3; i++)
        children[i] = kin_process_start_shared(be_broken_by_default, shared, NULL);
    for (int i = 0; i < 3; i++)
        join_child(children[i]);
    ck_assert(truth_of(shared->proxy, "broken"));
    kin_proxy_free(shared->proxy);
    ck_assert_ptr_null(
        kin_proxy_new(shared->manager, "Barrier", (kin_any[]){kin_any_int(INT64_C(1) << 40)}, 1));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    expect_nothing_left(shared->manager);
    free_shared(shared);
}

static const struct test tests[] = {
    {"put_waits_only_as_long_as_it_is_told", put_waits_only_as_long_as_it_is_told, 20, TEST_EACH_METHOD},
    {"get_waits_only_as_long_as_it_is_told", get_waits_only_as_long_as_it_is_told, 20, TEST_EACH_METHOD},
    {"child_puts_into_a_queue_that_its_parent_has_used", child_puts_into_a_queue_that_its_parent_has_used, 20,
     TEST_EACH_METHOD},
    {"manager_before_start_up_is_refused_and_hangs_nobody",
     manager_before_start_up_is_refused_and_hangs_nobody, 20, TEST_NOT_VALGRIND},
    {"notify_all_wakes_those_that_have_not_given_up", notify_all_wakes_those_that_have_not_given_up, 20,
     TEST_EACH_METHOD},
    {"wait_for_waits_until_it_is_true_or_the_time_is_over",
     wait_for_waits_until_it_is_true_or_the_time_is_over, 20, TEST_EACH_METHOD},
    {"each_party_has_an_index", each_party_has_an_index, 20, TEST_EACH_METHOD},
    {"barrier_for_one_lets_go_at_once", barrier_for_one_lets_go_at_once, 20, TEST_EACH_METHOD},
    {"forever_is_what_the_barrier_says", forever_is_what_the_barrier_says, 20, TEST_EACH_METHOD},
};

TEST_MAIN("manager_cases", tests)
