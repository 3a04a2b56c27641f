/* manager_waits_test.c - the types of managers that are waited for. What CPython's cases test, in their manager's variant, is marked. */
#include "manager_common.h"

#include <pthread.h>

static kin_proxy *make_of(kin_manager *manager, const char *type, int number)
{
    kin_proxy *proxy = kin_proxy_new(manager, type, (kin_any[]){kin_any_int(number)}, 1);
    ck_assert_msg(proxy != NULL, "%s", kin_error_message());
    return proxy;
}

static int64_t number_of(kin_proxy *proxy, const char *method)
{
    kin_any value;
    OK(kin_proxy_call(proxy, method, NULL, 0, &value));
    ck_assert_int_eq(value.type, KIN_ANY_INT);
    return value.integer;
}

/* ---- Queue ------------------------------------------------------------------------------------------ */

static int put_numbers(void *arg)
{
    struct shared *shared = arg;
    for (int i = 0; i < 200; i++) {
        int error = kin_proxy_put(shared->proxy, kin_any_int(i), 30);
        child_assert(error == 0);
    }
    return 0;
}

/* test_put, test_get, test_fork, test_qsize, test_timeout */
static void queue_passes_messages_in_order(void)
{
    struct shared *shared = new_shared();
    kin_any value;
    size_t size;
    shared->proxy = make_of(shared->manager, "Queue", 3);
    ck_assert(truth_of(shared->proxy, "empty"));
    for (int i = 0; i < 3; i++)
        OK(kin_proxy_put(shared->proxy, KIN_ANY(i), 0));
    ck_assert(truth_of(shared->proxy, "full"));
    OK(kin_proxy_length(shared->proxy, &size));
    ck_assert_uint_eq(size, 3);
    FAILS(KIN_ETIMEDOUT, "Queue.put", kin_proxy_put(shared->proxy, KIN_ANY(3), 0));
    FAILS(KIN_ETIMEDOUT, "not in time", kin_proxy_put(shared->proxy, KIN_ANY(3), 0.02));
    for (int i = 0; i < 3; i++) {
        OK(kin_proxy_take(shared->proxy, &value, 0));
        ck_assert_int_eq(value.integer, i);
    }
    FAILS(KIN_ETIMEDOUT, "Queue.get", kin_proxy_take(shared->proxy, &value, 0));
    FAILS(KIN_ETIMEDOUT, "not in time", kin_proxy_take(shared->proxy, &value, 0.02));
    kin_process *child = kin_process_start_shared(put_numbers, shared, NULL);
    for (int i = 0; i < 200; i++) {
        OK(kin_proxy_take(shared->proxy, &value, test_time_left()));
        ck_assert_int_eq(value.integer, i);
    }
    join_child(child);
    kin_proxy_free(shared->proxy);
    expect_nothing_left(shared->manager);
    free_shared(shared);
}

static int consume(void *arg)
{
    struct shared *shared = arg;
    for (;;) {
        kin_any value;
        int error = kin_proxy_take(shared->proxy, &value, 30);
        child_assert(error == 0);
        atomic_fetch_add(&shared->count, (int)value.integer);
        error = kin_proxy_task_done(shared->proxy);
        child_assert(error == 0);
        if (value.type == KIN_ANY_NULL)
            return 0;
    }
}

/* test_task_done */
static void join_waits_until_all_is_done(void)
{
    struct shared *shared = new_shared();
    kin_process *children[3];
    shared->proxy = make(shared->manager, "JoinableQueue");
    for (int i = 0; i < 3; i++)
        children[i] = kin_process_start_shared(consume, shared, NULL);
    for (int i = 0; i < 30; i++)
        OK(kin_proxy_put(shared->proxy, KIN_ANY(i), 0));
    OK(kin_proxy_join(shared->proxy, test_time_left()));
    ck_assert_int_eq(atomic_load(&shared->count), 435);
    for (int i = 0; i < 3; i++)
        OK(kin_proxy_put(shared->proxy, kin_any_null(), 0));
    for (int i = 0; i < 3; i++)
        join_child(children[i]);
    FAILS(KIN_EINVAL, "more often than there were messages", kin_proxy_task_done(shared->proxy));
    kin_proxy_free(shared->proxy);
    expect_nothing_left(shared->manager);
    free_shared(shared);
}

static int take_and_hang(void *arg)
{
    struct shared *shared = arg;
    kin_any value;
    int error = kin_proxy_take(shared->proxy, &value, 30);
    child_assert(error == 0);
    atomic_store(&shared->step, 1);
    for (;;)
        pause();
}

static void join_is_told_what_died_with_its_consumer(void)
{
    struct shared *shared = new_shared();
    shared->proxy = make(shared->manager, "JoinableQueue");
    kin_process *child = kin_process_start_shared(take_and_hang, shared, NULL);
    OK(kin_proxy_put(shared->proxy, KIN_ANY(1), 0));
    await_step(shared, 1);
    FAILS(KIN_ETIMEDOUT, "not in time", kin_proxy_join(shared->proxy, 0.02));
    OK(kin_process_kill(child));
    FAILS(KIN_ELOST, "1 messages were lost", kin_proxy_join(shared->proxy, test_time_left()));
    OK(kin_proxy_join(shared->proxy, 0));
    kin_process_free(child);
    kin_proxy_free(shared->proxy);
    expect_nothing_left(shared->manager);
    free_shared(shared);
}

static int wait_for_message(void *arg)
{
    struct shared *shared = arg;
    kin_any value;
    return kin_proxy_take(shared->proxy, &value, KIN_FOREVER);
}

static void message_does_not_go_to_the_dead(void)
{
    struct shared *shared = new_shared();
    kin_process *children[4];
    kin_any value;
    shared->proxy = make(shared->manager, "Queue");
    for (int i = 0; i < 4; i++)
        children[i] = kin_process_start_shared(wait_for_message, shared, NULL);
    await_waiting(shared->manager, 4);
    for (int i = 0; i < 4; i++) {
        OK(kin_process_kill(children[i]));
        kin_process_free(children[i]); /* waits for its end */
    }
    await_waiting(shared->manager, 0);
    OK(kin_proxy_put(shared->proxy, KIN_ANY(7), 0));
    OK(kin_proxy_take(shared->proxy, &value, 0));
    ck_assert_int_eq(value.integer, 7);
    kin_proxy_free(shared->proxy);
    expect_nothing_left(shared->manager);
    free_shared(shared);
}

/* ---- Lock, RLock, Semaphore ---------------------------------------------------------------------------- */

static int add_under_lock(void *arg)
{
    struct shared *shared = arg;
    for (int i = 0; i < 50; i++) {
        int error = kin_proxy_acquire(shared->proxy, 30);
        child_assert(error == 0);
        int count = atomic_load(&shared->count);
        child_assert(atomic_fetch_add(&shared->step, 1) == 0);
        atomic_store(&shared->count, count + 1);
        atomic_fetch_sub(&shared->step, 1);
        error = kin_proxy_release(shared->proxy);
        child_assert(error == 0);
    }
    return 0;
}

/* _TestLock.test_lock, test_lock_context */
static void lock_is_held_by_one_at_a_time(void)
{
    struct shared *shared = new_shared();
    kin_process *children[3];
    shared->proxy = make(shared->manager, "Lock");
    OK(kin_proxy_acquire(shared->proxy, 0));
    FAILS(KIN_ETIMEDOUT, "not in time", kin_proxy_acquire(shared->proxy, 0));
    ck_assert(truth_of(shared->proxy, "locked"));
    OK(kin_proxy_release(shared->proxy));
    FAILS(KIN_EINVAL, "the Lock is not acquired", kin_proxy_release(shared->proxy));
    for (int i = 0; i < 3; i++)
        children[i] = kin_process_start_shared(add_under_lock, shared, NULL);
    for (int i = 0; i < 3; i++)
        join_child(children[i]);
    ck_assert_int_eq(atomic_load(&shared->count), 150);
    kin_proxy_free(shared->proxy);
    expect_nothing_left(shared->manager);
    free_shared(shared);
}

static int release_by_other(void *arg)
{
    struct shared *shared = arg;
    int error = kin_proxy_release(shared->other);
    child_assert(error == KIN_EPERM && strstr(kin_error_message(), "acquired by another process"));
    error = kin_proxy_acquire(shared->other, 0);
    child_assert(error == KIN_ETIMEDOUT);
    return 0;
}

/* _TestLock.test_rlock */
static void rlock_is_released_as_often_as_acquired(void)
{
    struct shared *shared = new_shared();
    shared->other = make(shared->manager, "RLock");
    for (int i = 0; i < 3; i++)
        OK(kin_proxy_acquire(shared->other, 0));
    run_child(release_by_other, shared);
    for (int i = 0; i < 3; i++)
        OK(kin_proxy_release(shared->other));
    FAILS(KIN_EINVAL, "the RLock is not acquired", kin_proxy_release(shared->other));
    kin_proxy_free(shared->other);
    expect_nothing_left(shared->manager);
    free_shared(shared);
}

static int hold_all(void *arg)
{
    struct shared *shared = arg;
    int error = kin_proxy_acquire(shared->proxy, 30);
    child_assert(error == 0);
    for (int i = 0; i < 2; i++) {
        error = kin_proxy_acquire(shared->other, 30);
        child_assert(error == 0);
    }
    atomic_store(&shared->step, 1);
    for (;;)
        pause();
}

static void dead_clients_locks_and_permits_are_given_back(void)
{
    struct shared *shared = new_shared();
    shared->proxy = make(shared->manager, "Lock");
    shared->other = make_of(shared->manager, "Semaphore", 2);
    kin_process *child = kin_process_start_shared(hold_all, shared, NULL);
    await_step(shared, 1);
    FAILS(KIN_ETIMEDOUT, "not in time", kin_proxy_acquire(shared->proxy, 0));
    FAILS(KIN_ETIMEDOUT, "not in time", kin_proxy_acquire(shared->other, 0));
    OK(kin_process_kill(child));
    FAILS(KIN_EOWNERDIED, "its last owner died", kin_proxy_acquire(shared->proxy, test_time_left()));
    OK(kin_proxy_release(shared->proxy));
    OK(kin_proxy_acquire(shared->proxy, 0)); /* told once */
    OK(kin_proxy_release(shared->proxy));
    OK(kin_proxy_acquire(shared->other, test_time_left()));
    OK(kin_proxy_acquire(shared->other, test_time_left()));
    FAILS(KIN_ETIMEDOUT, "not in time", kin_proxy_acquire(shared->other, 0));
    OK(kin_proxy_call(shared->other, "release", (kin_any[]){KIN_ANY(2)}, 1, NULL));
    kin_process_free(child);
    kin_proxy_free(shared->proxy);
    kin_proxy_free(shared->other);
    expect_nothing_left(shared->manager);
    free_shared(shared);
}

/* _TestSemaphore.test_semaphore, test_bounded_semaphore, test_timeout */
static void semaphore_counts(void)
{
    kin_manager *manager = start_manager(NULL);
    kin_proxy *semaphore = make_of(manager, "Semaphore", 2);
    OK(kin_proxy_acquire(semaphore, 0));
    ck_assert_int_eq(number_of(semaphore, "value"), 1);
    OK(kin_proxy_acquire(semaphore, 0));
    FAILS(KIN_ETIMEDOUT, "not in time", kin_proxy_acquire(semaphore, 0));
    FAILS(KIN_ETIMEDOUT, "not in time", kin_proxy_acquire(semaphore, 0.03));
    OK(kin_proxy_release(semaphore));
    OK(kin_proxy_release(semaphore));
    OK(kin_proxy_release(semaphore));
    ck_assert_int_eq(number_of(semaphore, "value"), 3);
    kin_proxy_free(semaphore);
    semaphore = make_of(manager, "BoundedSemaphore", 2);
    FAILS(KIN_EINVAL, "cannot release 1 permits: 2 of at most 2 are there", kin_proxy_release(semaphore));
    OK(kin_proxy_acquire(semaphore, 0));
    OK(kin_proxy_release(semaphore));
    kin_proxy_free(semaphore);
    expect_nothing_left(manager);
    kin_manager_free(manager);
}

/* ---- Condition, Event, Barrier ------------------------------------------------------------------------- */

static int wait_to_be_notified(void *arg)
{
    struct shared *shared = arg;
    int error = kin_proxy_acquire(shared->proxy, 30);
    child_assert(error == 0);
    error = kin_proxy_wait(shared->proxy, 30);
    child_assert(error == 0);
    atomic_fetch_add(&shared->count, 1);
    error = kin_proxy_release(shared->proxy);
    child_assert(error == 0);
    return 0;
}

static void await_count(struct shared *shared, int count)
{
    while (atomic_load(&shared->count) < count && test_time_left() > 1)
        poll(NULL, 0, 1);
    ck_assert_int_eq(atomic_load(&shared->count), count);
}

/* _TestCondition.test_notify, test_notify_n, test_notify_all, test_timeout, test_waitfor */
static void condition_wakes_as_many_as_are_notified(void)
{
    struct shared *shared = new_shared();
    kin_process *children[6];
    shared->proxy = make(shared->manager, "Condition");
    FAILS(KIN_EINVAL, "not acquired", kin_proxy_notify(shared->proxy, 1));
    FAILS(KIN_EINVAL, "not acquired", kin_proxy_wait(shared->proxy, 1));
    OK(kin_proxy_acquire(shared->proxy, 0));
    FAILS(KIN_ETIMEDOUT, "not in time", kin_proxy_wait(shared->proxy, 0));
    FAILS(KIN_ETIMEDOUT, "not in time", kin_proxy_wait(shared->proxy, 0.03));
    OK(kin_proxy_release(shared->proxy)); /* it has the lock after a timeout, too */
    for (int i = 0; i < 6; i++)
        children[i] = kin_process_start_shared(wait_to_be_notified, shared, NULL);
    await_waiting(shared->manager, 6);
    OK(kin_proxy_acquire(shared->proxy, test_time_left()));
    OK(kin_proxy_notify(shared->proxy, 1));
    ck_assert_int_eq(atomic_load(&shared->count), 0); /* we have the lock */
    OK(kin_proxy_release(shared->proxy));
    await_count(shared, 1);
    await_waiting(shared->manager, 5);
    OK(kin_proxy_acquire(shared->proxy, test_time_left()));
    OK(kin_proxy_notify(shared->proxy, 2));
    OK(kin_proxy_release(shared->proxy));
    await_count(shared, 3);
    OK(kin_proxy_acquire(shared->proxy, test_time_left()));
    OK(kin_proxy_notify_all(shared->proxy));
    OK(kin_proxy_release(shared->proxy));
    for (int i = 0; i < 6; i++)
        join_child(children[i]);
    kin_proxy_free(shared->proxy);
    expect_nothing_left(shared->manager);
    free_shared(shared);
}

static void notification_of_the_dead_goes_to_another(void)
{
    struct shared *shared = new_shared();
    shared->proxy = make(shared->manager, "Condition");
    kin_process *first = kin_process_start_shared(wait_to_be_notified, shared, NULL);
    await_waiting(shared->manager, 1);
    kin_process *second = kin_process_start_shared(wait_to_be_notified, shared, NULL);
    await_waiting(shared->manager, 2);
    OK(kin_proxy_acquire(shared->proxy, test_time_left()));
    OK(kin_proxy_notify(shared->proxy, 1)); /* the first's, who cannot have the lock yet */
    OK(kin_process_kill(first));
    kin_process_free(first);
    await_waiting(shared->manager, 1);
    OK(kin_proxy_release(shared->proxy));
    join_child(second);
    kin_proxy_free(shared->proxy);
    expect_nothing_left(shared->manager);
    free_shared(shared);
}

static int wait_for_event(void *arg)
{
    struct shared *shared = arg;
    int error = kin_proxy_wait(shared->proxy, 30);
    child_assert(error == 0);
    return 0;
}

/* _TestEvent.test_event */
static void event_lets_all_go(void)
{
    struct shared *shared = new_shared();
    kin_process *children[3];
    shared->proxy = make(shared->manager, "Event");
    ck_assert(!truth_of(shared->proxy, "is_set"));
    FAILS(KIN_ETIMEDOUT, "not in time", kin_proxy_wait(shared->proxy, 0));
    FAILS(KIN_ETIMEDOUT, "not in time", kin_proxy_wait(shared->proxy, 0.02));
    for (int i = 0; i < 3; i++)
        children[i] = kin_process_start_shared(wait_for_event, shared, NULL);
    await_waiting(shared->manager, 3);
    OK(kin_proxy_event_set(shared->proxy));
    OK(kin_proxy_event_clear(shared->proxy)); /* who waited goes all the same */
    for (int i = 0; i < 3; i++)
        join_child(children[i]);
    ck_assert(!truth_of(shared->proxy, "is_set"));
    kin_proxy_free(shared->proxy);
    expect_nothing_left(shared->manager);
    free_shared(shared);
}

static int pass_barrier(void *arg)
{
    struct shared *shared = arg;
    for (int i = 0; i < 10; i++) {
        kin_any place;
        int error = kin_proxy_call(shared->proxy, "wait", NULL, 0, &place);
        child_assert(error == 0 && place.integer >= 0 && place.integer < 3);
        if (place.integer == 0)
            atomic_fetch_add(&shared->count, 1);
    }
    return 0;
}

static int wait_at_barrier(void *arg)
{
    struct shared *shared = arg;
    int error = kin_proxy_wait(shared->proxy, 30);
    child_assert(error == KIN_EBROKEN);
    return 0;
}

/* _TestBarrier */
static void barrier_is_passed_together(void)
{
    struct shared *shared = new_shared();
    kin_process *children[3];
    shared->proxy = make_of(shared->manager, "Barrier", 3);
    ck_assert_int_eq(number_of(shared->proxy, "parties"), 3);
    for (int i = 0; i < 3; i++)
        children[i] = kin_process_start_shared(pass_barrier, shared, NULL);
    for (int i = 0; i < 3; i++)
        join_child(children[i]);
    ck_assert_int_eq(atomic_load(&shared->count), 10);
    ck_assert_int_eq(number_of(shared->proxy, "waiting"), 0);
    kin_proxy_free(shared->proxy);
    expect_nothing_left(shared->manager);
    free_shared(shared);
}

static void wait_for_two(struct shared *shared, kin_process *children[2])
{
    for (int i = 0; i < 2; i++)
        children[i] = kin_process_start_shared(wait_at_barrier, shared, NULL);
    await_waiting(shared->manager, 2);
}

/* _TestBarrier.test_abort, test_reset, test_abort_and_reset, test_timeout */
static void barrier_breaks_for_all(void)
{
    struct shared *shared = new_shared();
    kin_process *children[2];
    shared->proxy = make_of(shared->manager, "Barrier", 3);
    wait_for_two(shared, children);
    OK(kin_proxy_call(shared->proxy, "abort", NULL, 0, NULL));
    join_child(children[0]);
    join_child(children[1]);
    ck_assert(truth_of(shared->proxy, "broken"));
    FAILS(KIN_EBROKEN, "the barrier is broken", kin_proxy_wait(shared->proxy, 1));
    OK(kin_proxy_call(shared->proxy, "reset", NULL, 0, NULL));
    ck_assert(!truth_of(shared->proxy, "broken"));
    wait_for_two(shared, children);
    OK(kin_proxy_call(shared->proxy, "reset", NULL, 0, NULL));
    join_child(children[0]);
    join_child(children[1]);
    ck_assert(!truth_of(shared->proxy, "broken"));
    FAILS(KIN_ETIMEDOUT, "so the barrier is broken", kin_proxy_wait(shared->proxy, 0.02));
    ck_assert(truth_of(shared->proxy, "broken"));
    OK(kin_proxy_call(shared->proxy, "reset", NULL, 0, NULL));
    wait_for_two(shared, children);
    OK(kin_process_kill(children[0])); /* a party dies */
    join_child(children[1]);
    kin_process_free(children[0]);
    ck_assert(truth_of(shared->proxy, "broken"));
    kin_proxy_free(shared->proxy);
    expect_nothing_left(shared->manager);
    free_shared(shared);
}

/* ---- threads, many ----------------------------------------------------------------------------------------- */

static void threads_of_a_process_wait_side_by_side(void)
{
    threads_take_side_by_side(20);
}

static void *wait_for_the_end(void *arg)
{
    kin_any value;
    int error = kin_proxy_take(arg, &value, KIN_FOREVER);
    return error == KIN_ECLOSED || error == KIN_EDIED ? arg : NULL;
}

static void shutdown_ends_who_waits(void)
{
    kin_manager *manager = start_manager(NULL);
    kin_proxy *queue = make(manager, "Queue");
    pthread_t thread;
    void *result;
    ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_the_end, queue), 0);
    await_waiting(manager, 1);
    OK(kin_manager_shutdown(manager, test_time_left()));
    pthread_join(thread, &result);
    ck_assert_ptr_nonnull(result);
    OK(kin_manager_shutdown(manager, 1));
    FAILS(KIN_EDIED, "exit code 0", kin_proxy_put(queue, KIN_ANY(1), 0));
    kin_proxy_free(queue);
    kin_manager_free(manager);
}

static void death_of_the_server_ends_who_waits(void)
{
    kin_manager *manager = start_manager(NULL);
    kin_proxy *queue = make(manager, "Queue");
    pthread_t thread;
    void *result;
    ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_the_end, queue), 0);
    await_waiting(manager, 1);
    OK(kin_process_kill(kin_manager_process(manager)));
    pthread_join(thread, &result);
    ck_assert_ptr_nonnull(result);
    kin_proxy_free(queue);
    kin_manager_free(manager);
}

/* ---- thousands ---------------------------------------------------------------------------------- */

#define THOUSANDS 5000

struct crowd {
    kin_manager *manager;
    kin_proxy *queue;
    kin_batch *batch;
};

static void *wait_by_thousands(void *arg)
{
    struct crowd *crowd = arg;
    return kin_batch_run(crowd->batch, test_time_left()) ? NULL : crowd;
}

static int threads_of(kin_process *process)
{
    char path[64], line[256];
    int threads = 0;
    snprintf(path, sizeof path, "/proc/%d/status", kin_process_pid(process));
    FILE *status = fopen(path, "re");
    while (status && fgets(line, sizeof line, status))
        if (sscanf(line, "Threads: %d", &threads) == 1)
            break;
    if (status)
        fclose(status);
    return threads;
}

/* Each call waits in the server, at the cost of what it is kept in; they are served in the order in which they came. */
static void thousands_wait_and_cost_no_thread(void)
{
    struct crowd crowd = {.manager = start_manager(NULL)};
    crowd.queue = make(crowd.manager, "Queue");
    crowd.batch = kin_batch_new(crowd.manager);
    ck_assert_ptr_nonnull(crowd.batch);
    int before = threads_of(kin_manager_process(crowd.manager));
    pthread_t thread;
    void *well;
    for (int i = 0; i < THOUSANDS; i++)
        OK(kin_batch_add(crowd.batch, crowd.queue, "get", NULL, 0));
    ck_assert_int_eq(pthread_create(&thread, NULL, wait_by_thousands, &crowd), 0);
    await_waiting(crowd.manager, THOUSANDS);
    ck_assert_int_eq(threads_of(kin_manager_process(crowd.manager)), before);
    for (int i = 0; i < THOUSANDS; i++)
        OK(kin_proxy_put(crowd.queue, kin_any_int(i), 0));
    pthread_join(thread, &well);
    ck_assert_ptr_nonnull(well);
    for (size_t i = 0; i < THOUSANDS; i++) {
        kin_any value;
        OK(kin_batch_result(crowd.batch, i, &value));
        ck_assert_int_eq(value.integer, (int64_t)i);
    }
    kin_batch_free(crowd.batch);
    kin_proxy_free(crowd.queue);
    expect_nothing_left(crowd.manager);
    kin_manager_free(crowd.manager);
}

static const struct test tests[] = {
    {"thousands_wait_and_cost_no_thread", thousands_wait_and_cost_no_thread, 30, TEST_NOT_VALGRIND},
    {"queue_passes_messages_in_order", queue_passes_messages_in_order, 20, TEST_EACH_METHOD},
    {"join_waits_until_all_is_done", join_waits_until_all_is_done, 20, TEST_EACH_METHOD},
    {"join_is_told_what_died_with_its_consumer", join_is_told_what_died_with_its_consumer, 20,
     TEST_EACH_METHOD},
    {"message_does_not_go_to_the_dead", message_does_not_go_to_the_dead, 20, TEST_NOT_VALGRIND},
    {"lock_is_held_by_one_at_a_time", lock_is_held_by_one_at_a_time, 20, TEST_EACH_METHOD},
    {"rlock_is_released_as_often_as_acquired", rlock_is_released_as_often_as_acquired, 20, TEST_EACH_METHOD},
    {"dead_clients_locks_and_permits_are_given_back", dead_clients_locks_and_permits_are_given_back, 20,
     TEST_EACH_METHOD},
    {"semaphore_counts", semaphore_counts, 20, TEST_EACH_METHOD},
    {"condition_wakes_as_many_as_are_notified", condition_wakes_as_many_as_are_notified, 20,
     TEST_EACH_METHOD},
    {"notification_of_the_dead_goes_to_another", notification_of_the_dead_goes_to_another, 20,
     TEST_NOT_VALGRIND},
    {"event_lets_all_go", event_lets_all_go, 20, TEST_EACH_METHOD},
    {"barrier_is_passed_together", barrier_is_passed_together, 20, TEST_EACH_METHOD},
    {"barrier_breaks_for_all", barrier_breaks_for_all, 20, TEST_EACH_METHOD},
    {"threads_of_a_process_wait_side_by_side", threads_of_a_process_wait_side_by_side, 20, TEST_NOT_VALGRIND},
    {"shutdown_ends_who_waits", shutdown_ends_who_waits, 20, TEST_NOT_VALGRIND},
    {"death_of_the_server_ends_who_waits", death_of_the_server_ends_who_waits, 20, TEST_NOT_VALGRIND},
};

TEST_MAIN("manager_waits", tests)
