/* manager_stopped_test.c - servers that do not answer, and threads that are cancelled while they wait for an answer. */
#include "manager_common.h"

#include "manager/hello.h"
#include "manager/stream.h"
#include "os/os.h"

#include <fcntl.h>
#include <signal.h>

static void stop(kin_manager *manager)
{
    ck_assert_int_eq(kill(kin_process_pid(kin_manager_process(manager)), SIGSTOP), 0);
}

static void go_on(kin_manager *manager)
{
    ck_assert_int_eq(kill(kin_process_pid(kin_manager_process(manager)), SIGCONT), 0);
}

static void calls_to_a_stopped_server_come_back_in_time(void)
{
    kin_manager *manager = start_manager(KIN_MANAGER_OPTIONS(.call_limit = 0.2));
    kin_proxy *dict = make(manager, "dict");
    kin_batch *batch = kin_batch_new(manager);
    kin_any value;
    stop(manager);
    double began = kin__os_now();
    for (int i = 0; i < 2; i++) /* the second one has to connect first */
        ck_assert_int_eq(kin_proxy_set(dict, KIN_ANY("x"), KIN_ANY(1)), KIN_ETIMEDOUT);
    ck_assert_int_eq(kin_proxy_call(dict, "length", NULL, 0, NULL), KIN_ETIMEDOUT);
    for (int i = 0; i < 2; i++)
        OK(kin_batch_add(batch, dict, "length", NULL, 0));
    ck_assert_int_eq(kin_batch_run(batch, 0.2), KIN_ETIMEDOUT);
    ck_assert_int_eq(kin_batch_result(batch, 0, NULL), KIN_EINVAL);
    ck_assert_double_lt(kin__os_now() - began, 5);
    go_on(manager);
    int error = KIN_ETIMEDOUT;
    while (error == KIN_ETIMEDOUT && test_time_left() > 1)
        error = kin_proxy_set(dict, KIN_ANY("x"), KIN_ANY(2));
    OK(error);
    OK(kin_proxy_get(dict, KIN_ANY("x"), &value));
    ck_assert_int_eq(value.integer, 2); /* what came late came before */
    do
        error = kin_batch_run(batch, 1);
    while (error == KIN_ETIMEDOUT && test_time_left() > 1);
    OK(error);
    OK(kin_batch_result(batch, 1, &value));
    ck_assert_int_eq(value.integer, 1);
    kin_batch_free(batch);
    kin_proxy_free(dict);
    expect_nothing_left(manager);
    kin_manager_free(manager);
}

static void batch_that_waits_has_a_limit(void)
{
    kin_manager *manager = start_manager(NULL);
    kin_proxy *queue = make(manager, "Queue");
    kin_batch *batch = kin_batch_new(manager);
    OK(kin_batch_add(batch, queue, "length", NULL, 0));
    OK(kin_batch_add(batch, queue, "get", NULL, 0));
    FAILS(KIN_ETIMEDOUT, "answered 1 of 2 calls", kin_batch_run(batch, 0.1));
    OK(kin_batch_result(batch, 0, NULL));
    FAILS(KIN_EINVAL, "was not answered", kin_batch_result(batch, 1, NULL));
    FAILS(KIN_EINVAL, "", kin_batch_run(batch, -1));
    await_waiting(manager, 0); /* the get was withdrawn */
    kin_batch_free(batch);
    kin_proxy_free(queue);
    expect_nothing_left(manager);
    kin_manager_free(manager);
}

static void stopped_server_is_killed_in_time(void)
{
    kin_manager *manager = start_manager(NULL);
    stop(manager);
    double began = kin__os_now();
    FAILS(KIN_ETIMEDOUT, "was killed", kin_manager_shutdown(manager, 0.2));
    ck_assert_double_lt(kin__os_now() - began, 4);
    kin_manager_free(manager);
}

/* Says hello, and nothing after that. */
static void *half_a_server(void *arg)
{
    int listener = *(int *)arg, fd = accept(listener, NULL, NULL);
    struct kin__hello hello;
    static const uint8_t id[16] = {7};
    char byte;
    kin__hello_server(&hello, id);
    kin__socket_send_all(&(struct kin__socket){.fd = fd}, &hello, sizeof hello, kin__os_deadline(5));
    while (recv(fd, &byte, 1, 0) > 0)
        ;
    close(fd);
    return arg;
}

static void silence_after_the_hello_is_told_as_such(void)
{
    test_init();
    struct kin__os_address address;
    char text[KIN__ADDRESS_MOST];
    int listener;
    pthread_t thread;
    OK(kin__address_make_up(&address));
    OK(kin__os_listen(&address, 0, 5, &listener));
    fcntl(listener, F_SETFL, 0);
    kin__os_socket_name(listener, &address);
    kin__address_write(&address, text);
    ck_assert_int_eq(pthread_create(&thread, NULL, half_a_server, &listener), 0);
    ck_assert_ptr_null(
        kin_manager_connect(KIN_MANAGER_OPTIONS(.key = "a key that nobody knows", .key_size = 20,
                                                .address = text, .call_limit = 0.2)));
    ck_assert_int_eq(kin_error_code(), KIN_ETIMEDOUT);
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "silent for 0.2 seconds"));
    pthread_join(thread, NULL);
    close(listener);
}

/* ---- cancelled threads ------------------------------------------------------------------------------- */

static void *call_cancelled(void *arg)
{
    struct shared *shared = arg;
    kin_any value;
    pthread_cancel(pthread_self());
    kin_proxy_set(shared->proxy, KIN_ANY("x"), KIN_ANY(1));
    kin_proxy_get(shared->proxy, KIN_ANY("x"), &value);
    kin_proxy_free(kin_proxy_new(shared->manager, "list", NULL, 0));
    pthread_testcancel();
    return NULL;
}

static void cancel_one(struct shared *shared)
{
    pthread_t thread;
    void *result;
    child_assert(pthread_create(&thread, NULL, call_cancelled, shared) == 0);
    child_assert(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
}

/* Its first call connects, and is cancelled. */
static int cancel_in_child(void *arg)
{
    struct shared *shared = arg;
    for (int i = 0; i < 20; i++) {
        cancel_one(shared);
        int error = kin_proxy_set(shared->proxy, kin_any_text("y"), kin_any_int(i));
        child_assert(error == 0);
    }
    return 0;
}

static void *take_for_ever(void *arg)
{
    struct shared *shared = arg;
    kin_any value;
    kin_proxy_take(shared->other, &value, 20);
    return NULL;
}

static void cancelled_threads_leave_nothing_held(void)
{
    struct shared *shared = new_shared();
    kin_any value;
    shared->proxy = make(shared->manager, "dict");
    shared->other = make(shared->manager, "Queue");
    run_child(cancel_in_child, shared);
    for (int i = 0; i < 20; i++)
        cancel_one(shared);
    pthread_t thread;
    void *result;
    ck_assert_int_eq(pthread_create(&thread, NULL, take_for_ever, shared), 0);
    await_waiting(shared->manager, 1);
    pthread_cancel(thread); /* it ends when its call does */
    OK(kin_proxy_put(shared->other, KIN_ANY(1), 0));
    pthread_join(thread, &result);
    FAILS(KIN_ETIMEDOUT, "not in time", kin_proxy_take(shared->other, &value, 0)); /* it has got it */
    kin_proxy_free(shared->proxy);
    kin_proxy_free(shared->other);
    expect_nothing_left(shared->manager);
    free_shared(shared);
}

static const struct test tests[] = {
    {"calls_to_a_stopped_server_come_back_in_time", calls_to_a_stopped_server_come_back_in_time, 20,
     TEST_NOT_VALGRIND},
    {"batch_that_waits_has_a_limit", batch_that_waits_has_a_limit, 10, TEST_NOT_VALGRIND},
    {"stopped_server_is_killed_in_time", stopped_server_is_killed_in_time, 10, TEST_NOT_VALGRIND},
    {"silence_after_the_hello_is_told_as_such", silence_after_the_hello_is_told_as_such, 10,
     TEST_NOT_VALGRIND},
    {"cancelled_threads_leave_nothing_held", cancelled_threads_leave_nothing_held, 20, TEST_EACH_METHOD},
};

TEST_MAIN("manager_stopped", tests)
