/* connection_children_test.c - kin/connection.h: connections that children are given, by each start method. */
#include "connection_common.h"

#include <fcntl.h>
#include <stdlib.h>

#include "message/transit.h"

struct given {
    kin_connection *mine, *parents;
    int method;
};

static kin_process *start_with(kin_process_fn fn, const void *arg, size_t size)
{
    kin_process *process =
        kin_process_start(fn, arg, size, KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    return process;
}

static void join(kin_process *process, int code)
{
    kin_end end;
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    ck_assert_int_eq(kin_process_end(process, &end), 0);
    ck_assert_int_eq(end.exit_code, code);
    kin_process_free(process);
}

/* Sends each message back with the first byte one higher, until the end. */
static int serve(void *arg)
{
    const struct given *given = arg;
    char buffer[100];
    size_t size;
    int error;
    if (given->parents)
        child_assert(kin_connection_close(given->parents) == 0);
    while ((error = kin_connection_recv(given->mine, buffer, sizeof buffer, &size, 10)) == 0) {
        buffer[0]++;
        child_assert(kin_connection_send(given->mine, buffer, size, 10) == 0);
    }
    child_assert(error == KIN_ECLOSED);
    return 0;
}

static void ask(kin_connection *connection)
{
    send_ok(connection, "a question", 10);
    recv_text(connection, "b question");
}

/* Forked, it has the parent's end too. */
static void child_has_what_its_argument_names(void)
{
    test_init();
    for (int kind = PIPE; kind <= STREAM; kind++) {
        struct ends ends = pair((enum kind)kind);
        struct given given = {.mine = ends.other,
                              .parents = test_method() == KIN_START_FORK ? ends.own : NULL};
        kin_process *process = start_with(serve, &given, sizeof given);
        ck_assert_int_eq(kin_connection_close(ends.other), 0);
        for (int i = 0; i < 100; i++)
            ask(ends.own);
        ck_assert_int_eq(kin_connection_close(ends.own), 0);
        join(process, 0);
    }
}

static void child_has_what_the_block_names_that_it_is_passed(void)
{
    test_init();
    struct ends ends = pair(PIPE);
    struct given *given = kin_calloc(1, sizeof *given);
    given->mine = ends.other;
    given->parents = test_method() == KIN_START_FORK ? ends.own : NULL;
    kin_process *process =
        kin_process_start_shared(serve, given, KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_ptr_nonnull(process);
    ck_assert_int_eq(kin_connection_close(ends.other), 0);
    ask(ends.own);
    ck_assert_int_eq(kin_connection_close(ends.own), 0);
    join(process, 0);
    kin_free(given);
}

static int serve_nested(void *arg)
{
    return serve(*(void **)arg);
}

static void child_has_what_its_options_list(void)
{
    test_init();
    struct ends ends = pair(PIPE);
    struct given *given = kin_calloc(1, sizeof *given);
    given->mine = ends.other;
    given->parents = test_method() == KIN_START_FORK ? ends.own : NULL;
    kin_process *process =
        kin_process_start(serve_nested, &given, sizeof given,
                          KIN_PROCESS_OPTIONS(.start_method = test_method(), .connections = &ends.other,
                                              .connection_count = 1));
    ck_assert_ptr_nonnull(process);
    ck_assert_int_eq(kin_connection_close(ends.other), 0);
    ask(ends.own);
    ck_assert_int_eq(kin_connection_close(ends.own), 0);
    join(process, 0);
    kin_free(given);
}

static int use_what_it_has_not(void *arg)
{
    kin_connection *connection = **(kin_connection ***)arg;
    child_assert(kin_connection_send(connection, "x", 1, 0) == KIN_EINVAL);
    child_assert(strstr(kin_error_message(), "this process has no connection"));
    child_assert(kin_connection_close(connection) == KIN_EINVAL);
    return 0;
}

static void connection_of_another_process_is_told(void)
{
    test_init();
    struct ends ends = pair(PIPE);
    kin_connection **nested = kin_malloc(sizeof *nested);
    *nested = ends.other;
    if (test_method() != KIN_START_FORK)
        join(start_with(use_what_it_has_not, &nested, sizeof nested), 0);
    kin_free(nested);
    close_both(ends);
}

static int hand_on(void *arg)
{
    const struct given *given = arg;
    struct given next = {.mine = given->mine};
    kin_process *process =
        kin_process_start(serve, &next, sizeof next, KIN_PROCESS_OPTIONS(.start_method = given->method));
    child_assert(process);
    child_assert(kin_connection_close(given->mine) == 0);
    child_assert(kin_process_join(process, 10) == 0);
    kin_process_free(process);
    return 0;
}

static void grandchild_has_it_too(void)
{
    test_init();
    struct ends ends = pair(PIPE);
    struct given given = {.mine = ends.other, .method = test_method()};
    kin_process *process = start_with(hand_on, &given, sizeof given);
    ck_assert_int_eq(kin_connection_close(ends.other), 0);
    ask(ends.own);
    if (test_method() == KIN_START_FORK) { /* it has our end as well, so no end would come */
        kin_process_kill(process);
        ck_assert_int_eq(kin_process_join(process, TOP), 0);
        kin_process_free(process);
    }
    ck_assert_int_eq(kin_connection_close(ends.own), 0);
    if (test_method() != KIN_START_FORK)
        join(process, 0);
}

static int sit(void *arg)
{
    const struct given *given = arg;
    child_assert(kin_connection_send(given->mine, "here", 4, 10) == 0);
    pause();
    return 0;
}

static void end_of_a_killed_child_is_told(void)
{
    char byte;
    test_init();
    for (int kind = PIPE; kind <= STREAM; kind++) {
        struct ends ends = pair((enum kind)kind);
        struct given given = {.mine = ends.other};
        kin_process *process = start_with(sit, &given, sizeof given);
        ck_assert_int_eq(kin_connection_close(ends.other), 0);
        recv_text(ends.own, "here");
        ck_assert_int_eq(kin_connection_recv(ends.own, &byte, 1, NULL, 0), KIN_ETIMEDOUT);
        kin_process_kill(process);
        ck_assert_int_eq(kin_connection_recv(ends.own, &byte, 1, NULL, TOP), KIN_ECLOSED);
        ck_assert_int_eq(kin_connection_close(ends.own), 0);
        ck_assert_int_eq(kin_process_join(process, TOP), 0);
        kin_process_free(process);
    }
}

#define CROWD 60

static int serve_all(void *arg)
{
    struct given *given = arg;
    for (int i = 0; i < CROWD; i++)
        child_assert(kin_connection_send(given[i].mine, "here", 4, 10) == 0);
    return 0;
}

static void child_has_many(void)
{
    struct given given[CROWD] = {0};
    struct ends ends[CROWD];
    test_init();
    for (int i = 0; i < CROWD; i++) {
        ends[i] = pair(PIPE);
        given[i].mine = ends[i].other;
    }
    join(start_with(serve_all, given, sizeof given), 0);
    for (int i = 0; i < CROWD; i++) {
        recv_text(ends[i].own, "here");
        close_both(ends[i]);
    }
    kin_connection **many = calloc(251, sizeof *many);
    kin_connection *pipe_ends[2];
    int count = 0;
    while (count < 250 && kin_pipe(pipe_ends, true) == 0) {
        many[count++] = pipe_ends[0];
        many[count++] = pipe_ends[1];
    }
    ck_assert_int_eq(kin_pipe(pipe_ends, true), 0);
    many[250] = pipe_ends[0];
    if (test_method() != KIN_START_FORK) {
        ck_assert_ptr_null(kin_process_start(serve_all, many, 251 * sizeof *many,
                                             KIN_PROCESS_OPTIONS(.start_method = test_method())));
        ck_assert_int_eq(kin_error_code(), KIN_ELIMIT);
    }
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(kin_connection_close(many[i]), 0);
    ck_assert_int_eq(kin_connection_close(pipe_ends[0]), 0);
    ck_assert_int_eq(kin_connection_close(pipe_ends[1]), 0);
    free(many);
}

#define LARGE 200000

/* It may only read the heap: what it is sent it copies, what it sends goes as a file. */
static int be_sealed(void *arg)
{
    const struct given *given = arg;
    static unsigned char bytes[LARGE], expected[LARGE];
    kin_message message;
    fill(expected, LARGE, 1);
    child_assert(kin_connection_recv(given->mine, bytes, LARGE, NULL, 10) == 0);
    child_assert(memcmp(bytes, expected, LARGE) == 0);
    child_assert(kin_connection_take(given->mine, &message, 10) == 0);
    child_assert(message.size == LARGE && memcmp(message.data, expected, LARGE) == 0);
    kin_free(message.data);
    child_assert(kin_connection_send(given->mine, bytes, LARGE, 10) == 0);
    return 0;
}

static void sealed_child_sends_and_receives(void)
{
    static unsigned char bytes[LARGE], back[LARGE];
    size_t under_way;
    test_init();
    struct ends ends = pair(PIPE);
    struct given given = {.mine = ends.other};
    kin_process *process = kin_process_start(
        be_sealed, &given, sizeof given, KIN_PROCESS_OPTIONS(.start_method = test_method(), .sealed = true));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    fill(bytes, LARGE, 1);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(kin_connection_send(ends.own, bytes, LARGE, TOP), 0);
    ck_assert_int_eq(kin_connection_recv(ends.own, back, LARGE, NULL, TOP), 0);
    ck_assert_mem_eq(bytes, back, LARGE);
    join(process, 0);
    close_both(ends);
    while (kin__transit_used(&under_way) > 0 && test_time_left() > 1) {
        kin__transit_sweep();
        usleep(1000);
    }
    ck_assert_uint_eq(kin__transit_used(&under_way), 0);
}

static int receive_nothing(void *arg)
{
    kin_connection *connection = *(kin_connection *const *)arg;
    char buffer[10];
    kin_waitable item = {.object = connection};
    child_assert(kin_connection_poll(connection, 0) == KIN_ETIMEDOUT);
    child_assert(kin_wait(&item, 1, NULL, 0) == KIN_ETIMEDOUT);
    child_assert(kin_connection_recv(connection, buffer, sizeof buffer, NULL, 0) == KIN_ETIMEDOUT);
    child_assert(kin_connection_close(connection) == 0);
    return 0;
}

static int count_open(void *arg)
{
    int count = 0;
    (void)arg;
    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* What is on its way meanwhile is the parent's alone. */
static void child_has_no_descriptor_of_a_message_under_way(void)
{
    static unsigned char bytes[LARGE];
    test_init();
    struct ends ends = pair(PIPE);
    kin_process *before = start_with(count_open, NULL, 0);
    kin_end end;
    ck_assert_int_eq(kin_process_join(before, TOP), 0);
    ck_assert_int_eq(kin_process_end(before, &end), 0);
    send_ok(ends.own, bytes, LARGE);
    ck_assert_int_eq(kin_connection_recv(ends.other, bytes, 5, NULL, TOP), KIN_ETOOLARGE);
    join(start_with(count_open, NULL, 0), end.exit_code);
    ck_assert_int_eq(kin_connection_recv(ends.other, bytes, LARGE, NULL, TOP), 0);
    kin_process_free(before);
    close_both(ends);
}

/* Small, and by reference. */
static void message_that_was_left_stays_with_who_left_it(void)
{
    static unsigned char bytes[LARGE], back[LARGE];
    test_init();
    for (size_t size = 10; size <= LARGE; size += LARGE - 10) {
        struct ends ends = pair(PIPE);
        fill(bytes, size, 1);
        send_ok(ends.own, bytes, size);
        ck_assert_int_eq(kin_connection_recv(ends.other, back, 5, NULL, TOP), KIN_ETOOLARGE);
        join(start_with(receive_nothing, &ends.other, sizeof ends.other), 0);
        ck_assert_int_eq(kin_connection_poll(ends.other, 0), 0);
        ck_assert_int_eq(kin_connection_recv(ends.other, back, size, NULL, TOP), 0);
        ck_assert_mem_eq(bytes, back, size);
        close_both(ends);
    }
}

struct many_given {
    kin_connection *mine[8];
};

static int receive_from_the_first(void *arg)
{
    const struct many_given *given = arg;
    char text[20];
    size_t size = 0;
    child_assert(kin_connection_recv(given->mine[0], text, sizeof text, &size, 10) == 0);
    child_assert(size == 14 && memcmp(text, "for the second", 14) == 0);
    return 0;
}

/* They go to the template in several messages: what had gone when a start failed must not come to the next child. */
static void child_has_none_of_those_whose_start_failed(void)
{
    struct ends ends[9];
    struct many_given given = {{NULL}};
    test_init();
    for (int i = 0; i < 9; i++)
        ends[i] = pair(PIPE);
    for (int i = 0; i < 8; i++) {
        given.mine[i] = ends[i].other;
        send_ok(ends[i].own, "for the first", 13);
    }
    send_ok(ends[8].own, "for the second", 14);
    int fd = kin_connection_fd(ends[6].other), copy = dup(fd);
    close(fd); /* as a program may by mistake */
    ck_assert_ptr_null(kin_process_start(receive_from_the_first, &given, sizeof given,
                                         KIN_PROCESS_OPTIONS(.start_method = test_method())));
    ck_assert_int_eq(kin_error_code(), KIN_ESYSTEM);
    ck_assert_int_eq(dup2(copy, fd), fd);
    close(copy);
    join(start_with(receive_from_the_first, &ends[8].other, sizeof ends[8].other), 0);
    for (int i = 0; i < 9; i++)
        close_both(ends[i]);
}

static const struct test tests[] = {
    {"child_has_what_its_argument_names", child_has_what_its_argument_names, 10, TEST_EACH_METHOD},
    {"child_has_what_the_block_names_that_it_is_passed", child_has_what_the_block_names_that_it_is_passed, 10,
     TEST_EACH_METHOD},
    {"child_has_what_its_options_list", child_has_what_its_options_list, 10, TEST_EACH_METHOD},
    {"connection_of_another_process_is_told", connection_of_another_process_is_told, 10, TEST_EACH_METHOD},
    {"grandchild_has_it_too", grandchild_has_it_too, 20, TEST_EACH_METHOD},
    {"end_of_a_killed_child_is_told", end_of_a_killed_child_is_told, 10, TEST_EACH_METHOD},
    {"child_has_many", child_has_many, 20, TEST_EACH_METHOD},
    {"child_has_no_descriptor_of_a_message_under_way", child_has_no_descriptor_of_a_message_under_way, 10,
     TEST_EACH_METHOD},
    {"message_that_was_left_stays_with_who_left_it", message_that_was_left_stays_with_who_left_it, 10,
     TEST_EACH_METHOD},
    {"child_has_none_of_those_whose_start_failed", child_has_none_of_those_whose_start_failed, 20,
     TEST_BY_FORKSERVER},
    {"sealed_child_sends_and_receives", sealed_child_sends_and_receives, 20, TEST_EACH_METHOD},
};
TEST_MAIN("connection_children", tests)
