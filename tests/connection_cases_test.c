/*
 * connection_cases_test.c - what CPython's _TestConnection, _TestPoll, _TestListener, _TestListenerClient,
 * _TestPicklingConnections and OtherTest test, told again. tests/cpython/connection.tsv says which is which.
 */
#include "connection_common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "message/handshake.h"

/* What a child is given; it has no more of it than its argument names. */
struct given {
    kin_connection *connection;
    char address[100];
    bool dummies;
};

static kin_process *start(kin_process_fn fn, kin_connection *connection, const char *address)
{
    struct given given = {.connection = connection};
    snprintf(given.address, sizeof given.address, "%s", address ? address : "");
    kin_process *process =
        kin_process_start(fn, &given, sizeof given, KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    return process;
}

static void join(kin_process *process)
{
    kin_end end;
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    ck_assert_int_eq(kin_process_end(process, &end), 0);
    ck_assert_int_eq(end.exit_code, 0);
    kin_process_free(process);
}

/* An empty message is the end. */
static int echo(void *arg)
{
    const struct given *given = arg;
    kin_message message;
    while (kin_connection_take(given->connection, &message, 20) == 0 && message.size) {
        child_assert(kin_connection_send(given->connection, message.data, message.size, 20) == 0);
        kin_free(message.data);
    }
    kin_free(message.data);
    return 0;
}

/* ---- _TestConnection ------------------------------------------------------------------------- */

static void child_echoes_messages_small_and_big(void)
{
    double numbers[] = {0, 1.5, 2.5, 3.5}, back[10] = {0};
    size_t size, big = 16 * MIB;
    unsigned char *bytes = malloc(big);
    kin_message message;
    test_init();
    struct ends ends = pair(PIPE);
    kin_process *process = start(echo, ends.other, NULL);
    send_ok(ends.own, "hello", 5);
    recv_text(ends.own, "hello");
    send_ok(ends.own, numbers, sizeof numbers);
    ck_assert_int_eq(kin_connection_recv(ends.own, back, sizeof back, &size, TOP), 0);
    ck_assert_uint_eq(size, sizeof numbers);
    ck_assert_mem_eq(back, numbers, sizeof numbers);
    send_ok(ends.own, numbers, sizeof numbers); /* into a part of an array */
    ck_assert_int_eq(kin_connection_recv(ends.own, back + 3, sizeof back - 3 * sizeof *back, &size, TOP), 0);
    ck_assert_mem_eq(back + 3, numbers, sizeof numbers);
    send_ok(ends.own, "                                        ", 40);
    ck_assert_int_eq(kin_connection_recv(ends.own, back, 10, &size, TOP), KIN_ETOOLARGE);
    ck_assert_uint_eq(size, 40);
    ck_assert_int_eq(kin_connection_recv(ends.own, back, 40, &size, TOP), 0);
    ck_assert_int_eq(kin_connection_poll(ends.own, 0), KIN_ETIMEDOUT);
    ck_assert_int_eq(kin_connection_poll(ends.own, -1), KIN_EINVAL); /* Python takes that for 0 */
    ck_assert_int_eq(kin_connection_poll(ends.own, 0.05), KIN_ETIMEDOUT);
    send_ok(ends.own, "N", 1);
    ck_assert_int_eq(kin_connection_poll(ends.own, TOP), 0);
    recv_text(ends.own, "N");
    fill(bytes, big, 1);
    send_ok(ends.own, bytes, big);
    ck_assert_int_eq(kin_connection_take(ends.own, &message, TOP), 0);
    ck_assert_uint_eq(message.size, big);
    ck_assert_mem_eq(message.data, bytes, big);
    kin_free(message.data);
    send_ok(ends.own, "", 0);
    ck_assert_int_eq(kin_connection_close(ends.other), 0);
    join(process);
    ck_assert(kin_connection_readable(ends.own) && kin_connection_writable(ends.own));
    ck_assert_int_eq(kin_connection_recv(ends.own, back, sizeof back, NULL, TOP), KIN_ECLOSED);
    ck_assert_int_eq(kin_connection_take(ends.own, &message, TOP), KIN_ECLOSED);
    ck_assert_int_eq(kin_connection_close(ends.own), 0);
    free(bytes);
}

static void one_way_pipe_goes_one_way(void)
{
    kin_connection *ends[2];
    char byte;
    test_init();
    ck_assert_int_eq(kin_pipe(ends, false), 0);
    send_ok(ends[1], "1", 1);
    recv_text(ends[0], "1");
    ck_assert_int_eq(kin_connection_send(ends[0], "2", 1, TOP), KIN_EPERM);
    ck_assert_int_eq(kin_connection_recv(ends[1], &byte, 1, NULL, TOP), KIN_EPERM);
    ck_assert_int_eq(kin_connection_poll(ends[1], TOP), KIN_EPERM);
    ck_assert(kin_connection_readable(ends[0]) && !kin_connection_writable(ends[0]));
    ck_assert(!kin_connection_readable(ends[1]) && kin_connection_writable(ends[1]));
    ck_assert_int_eq(kin_connection_close(ends[0]), 0);
    ck_assert_int_eq(kin_connection_close(ends[1]), 0);
}

static void parent_closes_the_childs_end_right_after_the_start(void)
{
    test_init();
    struct ends ends = pair(PIPE);
    kin_process *process = start(echo, ends.other, NULL);
    ck_assert_int_eq(kin_connection_close(ends.other), 0);
    send_ok(ends.own, "hello", 5);
    recv_text(ends.own, "hello");
    send_ok(ends.own, "", 0);
    ck_assert_int_eq(kin_connection_close(ends.own), 0);
    join(process);
}

/* Python checks offset and size against the buffer's length, which C does not know; what cannot be is refused. */
static void any_part_of_a_buffer_can_be_sent(void)
{
    static const char text[] = "abcdefghijklmnopqrstuvwxyz";
    test_init();
    struct ends ends = pair(PIPE);
    send_ok(ends.own, text, 26);
    recv_text(ends.other, text);
    send_ok(ends.own, text + 5, 21);
    recv_text(ends.other, text + 5);
    send_ok(ends.own, text + 7, 8);
    recv_text(ends.other, "hijklmno");
    send_ok(ends.own, text + 26, 0);
    recv_text(ends.other, "");
    ck_assert_int_eq(kin_connection_send(ends.own, NULL, 1, 0), KIN_EINVAL);
    ck_assert_int_eq(kin_connection_send(ends.own, text, KIN_MESSAGE_MAX + 1, 0), KIN_ETOOLARGE);
    ck_assert_int_eq(kin_connection_send(ends.own, text, SIZE_MAX, 0), KIN_ETOOLARGE);
    close_both(ends);
}

static int write_into_what_comes(void *arg)
{
    const struct given *given = arg;
    int fd;
    if (*given->address == 'd') /* all numbers below 256 are taken */
        for (int i = 3; i < 256; i++)
            if (fcntl(i, F_GETFD) < 0)
                child_assert(dup2(kin_connection_fd(given->connection), i) == i);
    child_assert(kin_connection_recv_fd(given->connection, &fd, 20) == 0);
    child_assert(*given->address != 'd' || fd >= 256);
    child_assert(write(fd, "foo", 3) == 3);
    child_assert(close(fd) == 0);
    return 0;
}

static void transfer(const char *how, int number)
{
    char text[4] = "";
    test_init();
    struct ends ends = pair(PIPE);
    kin_process *process = start(write_into_what_comes, ends.other, how);
    FILE *file = tmpfile();
    int fd = fcntl(fileno(file), F_DUPFD_CLOEXEC, number);
    ck_assert_int_ge(fd, number);
    ck_assert_int_eq(kin_connection_send_fd(ends.own, fd, TOP), 0);
    ck_assert_int_eq(close(fd), 0);
    join(process);
    ck_assert_int_eq(pread(fileno(file), text, sizeof text, 0), 3);
    ck_assert_str_eq(text, "foo");
    fclose(file);
    close_both(ends);
}

static void child_writes_to_the_file_that_it_was_sent(void)
{
    transfer("", 3);
}

static void descriptors_beyond_255_are_sent_and_received(void)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur <= 300)
        test_skip("too few files may be open");
    transfer("dummies", 256);
}

static int send_bytes_only(void *arg)
{
    const struct given *given = arg;
    child_assert(write(kin_connection_fd(given->connection), "", 1) == 1);
    return 0;
}

static void missing_descriptor_is_told(void)
{
    int fd;
    test_init();
    for (int kind = PIPE; kind <= STREAM; kind++) {
        struct ends ends = pair((enum kind)kind);
        kin_process *process = start(send_bytes_only, ends.other, NULL);
        ck_assert_int_eq(kin_connection_recv_fd(ends.own, &fd, TOP), KIN_EMISMATCH);
        join(process);
        close_both(ends);
    }
}

static void closed_ends_say_so(void)
{
    char byte;
    test_init();
    struct ends ends = pair(PIPE);
    send_ok(ends.own, "1729", 4);
    recv_text(ends.other, "1729");
    close_both(ends);
    ck_assert_int_eq(kin_connection_recv(ends.own, &byte, 1, NULL, 0), KIN_EINVAL);
    ck_assert_int_eq(kin_connection_recv(ends.other, &byte, 1, NULL, 0), KIN_EINVAL);
}

/* ---- _TestPoll ------------------------------------------------------------------------------- */

static void empty_message_is_seen_by_poll(void)
{
    test_init();
    struct ends ends = pair(PIPE);
    ck_assert_int_eq(kin_connection_poll(ends.own, 0), KIN_ETIMEDOUT);
    send_ok(ends.other, "", 0);
    ck_assert_int_eq(kin_connection_poll(ends.own, 0), 0);
    ck_assert_int_eq(kin_connection_poll(ends.own, 0), 0);
    close_both(ends);
}

static const char *const strings[] = {"hello", "", "a", "b", "", "bye", "", "lop"};
#define STRINGS (sizeof strings / sizeof *strings)

static int send_strings(void *arg)
{
    const struct given *given = arg;
    for (size_t i = 0; i < STRINGS; i++) {
        usleep(10000);
        child_assert(kin_connection_send(given->connection, strings[i], strlen(strings[i]), 20) == 0);
    }
    return 0;
}

static void messages_that_come_slowly_are_polled_for(void)
{
    test_init();
    struct ends ends = pair(PIPE);
    kin_process *process = start(send_strings, ends.other, NULL);
    for (size_t i = 0; i < STRINGS; i++) {
        while (kin_connection_poll(ends.own, 0.01) != 0)
            ck_assert_int_eq(kin_error_code(), KIN_ETIMEDOUT);
        recv_text(ends.own, strings[i]);
    }
    join(process);
    close_both(ends);
}

static int poll_only(void *arg)
{
    const struct given *given = arg;
    child_assert(kin_connection_poll(given->connection, 20) == 0);
    return 0;
}

static void poll_takes_nothing_from_other_processes(void)
{
    kin_connection *ends[2];
    test_init();
    ck_assert_int_eq(kin_pipe(ends, false), 0);
    kin_process *process = start(poll_only, ends[0], NULL);
    send_ok(ends[1], "first", 5);
    send_ok(ends[1], "second", 6);
    ck_assert_int_eq(kin_connection_close(ends[1]), 0);
    join(process);
    recv_text(ends[0], "first");
    recv_text(ends[0], "second");
    ck_assert_int_eq(kin_connection_close(ends[0]), 0);
}

static int send_three(void *arg)
{
    const struct given *given = arg;
    child_assert(kin_connection_send(given->connection, "a", 1, 20) == 0);
    child_assert(kin_connection_send(given->connection, "b", 1, 20) == 0);
    child_assert(kin_connection_send(given->connection, "cd", 2, 20) == 0);
    return 0;
}

static void messages_are_not_merged(void)
{
    test_init();
    struct ends ends = pair(PIPE);
    ck_assert_int_eq(kin_connection_poll(ends.own, 0), KIN_ETIMEDOUT);
    ck_assert_int_eq(kin_connection_poll(ends.own, 0.01), KIN_ETIMEDOUT);
    kin_process *process = start(send_three, ends.other, NULL);
    recv_text(ends.own, "a");
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(kin_connection_poll(ends.own, TOP), 0);
    recv_text(ends.own, "b");
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(kin_connection_poll(ends.own, TOP), 0);
    ck_assert_int_eq(kin_connection_poll(ends.own, 0), 0);
    recv_text(ends.own, "cd");
    join(process);
    close_both(ends);
}

/* ---- _TestListener, _TestListenerClient ------------------------------------------------------ */

static const char *const families[] = {"127.0.0.1:0", "@kin-cases-*", "/tmp/kin-cases-*.sock", "[::1]:0"};
#define FAMILIES 4

static kin_listener *listen_at(const char *address)
{
    kin_listener *listener = kin_listener_new(own(address), KIN_LISTENER_OPTIONS(.no_key = true));
    ck_assert_msg(listener != NULL, "%s", kin_error_message());
    return listener;
}

static void address_in_use_is_told(void)
{
    test_init();
    for (int i = 0; i < FAMILIES; i++) {
        kin_listener *listener = listen_at(families[i]);
        ck_assert_ptr_null(
            kin_listener_new(kin_listener_address(listener), KIN_LISTENER_OPTIONS(.no_key = true)));
        ck_assert_int_eq(kin_error_code(), KIN_EBUSY);
        ck_assert_int_eq(kin_listener_close(listener), 0);
    }
}

static void listen_and_close(const char *address)
{
    kin_listener *listener = listen_at(address);
    kin_connection *client = kin_client(kin_listener_address(listener), NULL, TOP);
    ck_assert_ptr_nonnull(client);
    kin_connection *accepted = kin_listener_accept(listener, TOP);
    send_ok(client, "1729", 4);
    recv_text(accepted, "1729");
    ck_assert_int_eq(kin_connection_close(accepted), 0);
    ck_assert_int_eq(kin_connection_close(client), 0);
    ck_assert_int_eq(kin_listener_close(listener), 0);
    ck_assert_ptr_null(kin_listener_accept(listener, 0));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
}

static void closed_listener_says_so(void)
{
    test_init();
    listen_and_close(NULL);
}

static void abstract_addresses_work(void)
{
    test_init();
    listen_and_close("@something-*");
}

static int say_hello(void *arg)
{
    const struct given *given = arg;
    kin_connection *connection = kin_client(given->address, NULL, 20);
    child_assert(connection != NULL);
    child_assert(kin_connection_send(connection, "hello", 5, 20) == 0);
    child_assert(kin_connection_close(connection) == 0);
    return 0;
}

static void child_connects_by_each_family(void)
{
    test_init();
    for (int i = 0; i < FAMILIES; i++) {
        kin_listener *listener = listen_at(families[i]);
        kin_process *process = start(say_hello, NULL, kin_listener_address(listener));
        kin_connection *connection = kin_listener_accept(listener, TOP);
        ck_assert_ptr_nonnull(connection);
        recv_text(connection, "hello");
        join(process);
        ck_assert_int_eq(kin_connection_close(connection), 0);
        ck_assert_int_eq(kin_listener_close(listener), 0);
    }
}

static void client_that_is_gone_before_it_is_accepted_was_heard(void)
{
    test_init();
    kin_listener *listener = listen_at(NULL);
    join(start(say_hello, NULL, kin_listener_address(listener)));
    kin_connection *connection = kin_listener_accept(listener, TOP);
    ck_assert_ptr_nonnull(connection);
    recv_text(connection, "hello");
    ck_assert_int_eq(kin_connection_close(connection), 0);
    ck_assert_int_eq(kin_listener_close(listener), 0);
}

static void clients_can_poll(void)
{
    test_init();
    for (int i = 0; i < FAMILIES; i++) {
        kin_listener *listener = listen_at(families[i]);
        kin_connection *client = kin_client(kin_listener_address(listener), NULL, TOP);
        kin_connection *accepted = kin_listener_accept(listener, TOP);
        send_ok(accepted, "hello", 5);
        ck_assert_int_eq(kin_connection_poll(client, TOP), 0);
        ck_assert_int_eq(kin_connection_close(accepted), 0);
        ck_assert_int_eq(kin_connection_close(client), 0);
        ck_assert_int_eq(kin_listener_close(listener), 0);
    }
}

/* ---- _TestPicklingConnections ---------------------------------------------------------------- */

/* Accepts a client by each family, and sends the connection to its parent; a bare socket at last. */
static int accept_and_send(void *arg)
{
    const struct given *given = arg;
    for (int i = 0; i < FAMILIES; i++) {
        kin_listener *listener = kin_listener_new(own(families[i]), KIN_LISTENER_OPTIONS(.no_key = true));
        child_assert(listener != NULL);
        const char *address = kin_listener_address(listener);
        child_assert(kin_connection_send(given->connection, address, strlen(address) + 1, 20) == 0);
        kin_connection *accepted = kin_listener_accept(listener, 20);
        child_assert(accepted != NULL);
        if (i < FAMILIES - 1)
            child_assert(kin_connection_send_connection(given->connection, accepted, 20) == 0);
        else
            child_assert(kin_connection_send_fd(given->connection, kin_connection_fd(accepted), 20) == 0);
        child_assert(kin_connection_close(accepted) == 0);
        child_assert(kin_listener_close(listener) == 0);
    }
    char byte;
    child_assert(kin_connection_recv(given->connection, &byte, 1, NULL, 20) == 0);
    return 0;
}

/* Connects to each address that it is told, and says it there in capitals. */
static int connect_and_answer(void *arg)
{
    const struct given *given = arg;
    char address[100];
    while (kin_connection_recv(given->connection, address, sizeof address, NULL, 20) == 0 && *address) {
        kin_connection *client = kin_client(address, NULL, 20);
        child_assert(client != NULL);
        for (char *at = address; *at; at++)
            *at = (char)(*at >= 'a' && *at <= 'z' ? *at - 'a' + 'A' : *at);
        child_assert(kin_connection_send(client, address, strlen(address), 20) == 0);
        child_assert(kin_connection_close(client) == 0);
    }
    return 0;
}

static void connections_of_each_family_are_sent_between_processes(void)
{
    char address[100];
    test_init();
    struct ends to_listener = pair(PIPE), to_client = pair(PIPE);
    kin_process *listener = start(accept_and_send, to_listener.other, NULL);
    ck_assert_int_eq(kin_connection_close(to_listener.other), 0);
    kin_process *client = start(connect_and_answer, to_client.other, NULL);
    ck_assert_int_eq(kin_connection_close(to_client.other), 0);
    for (int i = 0; i < FAMILIES; i++) {
        kin_connection *sent;
        int fd;
        ck_assert_int_eq(kin_connection_recv(to_listener.own, address, sizeof address, NULL, TOP), 0);
        send_ok(to_client.own, address, strlen(address) + 1);
        if (i < FAMILIES - 1) {
            sent = kin_connection_recv_connection(to_listener.own, TOP);
        } else {
            ck_assert_int_eq(kin_connection_recv_fd(to_listener.own, &fd, TOP), 0);
            sent = kin_connection_from_fd(fd);
        }
        ck_assert_msg(sent != NULL, "%s", kin_error_message());
        for (char *at = address; *at; at++)
            *at = (char)(*at >= 'a' && *at <= 'z' ? *at - 'a' + 'A' : *at);
        recv_text(sent, address);
        ck_assert_int_eq(kin_connection_close(sent), 0);
    }
    send_ok(to_client.own, "", 1);
    send_ok(to_listener.own, "", 1);
    join(listener);
    join(client);
    ck_assert_int_eq(kin_connection_close(to_listener.own), 0);
    ck_assert_int_eq(kin_connection_close(to_client.own), 0);
}

static int use_both_ends(void *arg)
{
    const struct given *given = arg;
    char buffer[16];
    size_t size;
    kin_connection *writer = kin_connection_recv_connection(given->connection, 20);
    child_assert(writer && kin_connection_writable(writer) && !kin_connection_readable(writer));
    child_assert(kin_connection_send(writer, "all is well", 11, 20) == 0);
    child_assert(kin_connection_close(writer) == 0);
    kin_connection *reader = kin_connection_recv_connection(given->connection, 20);
    child_assert(reader && kin_connection_readable(reader) && !kin_connection_writable(reader));
    child_assert(kin_connection_recv(reader, buffer, 8, &size, 20) == 0);
    child_assert(kin_connection_close(reader) == 0);
    memcpy(buffer + size, buffer, size);
    child_assert(kin_connection_send(given->connection, buffer, 2 * size, 20) == 0);
    return 0;
}

static void ends_of_one_way_pipes_are_sent(void)
{
    kin_connection *ends[2];
    test_init();
    struct ends way = pair(PIPE);
    kin_process *process = start(use_both_ends, way.other, NULL);
    ck_assert_int_eq(kin_connection_close(way.other), 0);
    ck_assert_int_eq(kin_pipe(ends, false), 0);
    ck_assert_int_eq(kin_connection_send_connection(way.own, ends[1], TOP), 0);
    ck_assert_int_eq(kin_connection_close(ends[1]), 0);
    recv_text(ends[0], "all is well");
    ck_assert_int_eq(kin_connection_close(ends[0]), 0);
    ck_assert_int_eq(kin_pipe(ends, false), 0);
    ck_assert_int_eq(kin_connection_send_connection(way.own, ends[0], TOP), 0);
    ck_assert_int_eq(kin_connection_close(ends[0]), 0);
    send_ok(ends[1], "foobar", 6);
    ck_assert_int_eq(kin_connection_close(ends[1]), 0);
    recv_text(way.own, "foobarfoobar");
    join(process);
    ck_assert_int_eq(kin_connection_close(way.own), 0);
}

/* ---- OtherTest ------------------------------------------------------------------------------- */

/* One side of a handshake, whose other side says those frames. */
static int shake_hands_with(bool listener, const char *const *frames, size_t count)
{
    struct kin__key key;
    struct kin__handshake shake;
    int fds[2], state;
    ck_assert_int_eq(kin__key_copy("abc", 3, false, &key), 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    for (size_t i = 0; i < count; i++) {
        unsigned char head[4] = {0, 0, 0, (unsigned char)strlen(frames[i])};
        ck_assert_int_eq(write(fds[1], head, 4), 4);
        ck_assert_int_eq(write(fds[1], frames[i], head[3]), head[3]);
    }
    kin__handshake_begin(&shake, fds[0], listener);
    state = kin__handshake_go_on(&shake, &key);
    close(fds[0]);
    close(fds[1]);
    kin__key_free(&key);
    return state;
}

static void bogus_answer_to_a_challenge_is_refused(void)
{
    static const char *const frames[] = {"something bogus"};
    ck_assert_int_eq(shake_hands_with(true, frames, 1), KIN_EPERM);
}

static void bogus_verdict_on_an_answer_is_refused(void)
{
    static const char *const frames[] = {"#CHALLENGE#12345678901234567890", "something bogus"};
    static const char *const empty[] = {"#CHALLENGE#", "something bogus"}; /* as in the case itself */
    ck_assert_int_eq(shake_hands_with(false, frames, 2), KIN_EPERM);
    ck_assert_int_eq(shake_hands_with(false, empty, 2), KIN_EMISMATCH);
}

static const struct test tests[] = {
    {"child_echoes_messages_small_and_big", child_echoes_messages_small_and_big, 20, TEST_EACH_METHOD},
    {"one_way_pipe_goes_one_way", one_way_pipe_goes_one_way, 5, 0},
    {"parent_closes_the_childs_end_right_after_the_start", parent_closes_the_childs_end_right_after_the_start,
     10, TEST_EACH_METHOD},
    {"any_part_of_a_buffer_can_be_sent", any_part_of_a_buffer_can_be_sent, 5, 0},
    {"child_writes_to_the_file_that_it_was_sent", child_writes_to_the_file_that_it_was_sent, 10,
     TEST_EACH_METHOD},
    {"descriptors_beyond_255_are_sent_and_received", descriptors_beyond_255_are_sent_and_received, 10,
     TEST_EACH_METHOD},
    {"missing_descriptor_is_told", missing_descriptor_is_told, 10, TEST_EACH_METHOD},
    {"closed_ends_say_so", closed_ends_say_so, 5, 0},
    {"empty_message_is_seen_by_poll", empty_message_is_seen_by_poll, 5, 0},
    {"messages_that_come_slowly_are_polled_for", messages_that_come_slowly_are_polled_for, 10,
     TEST_EACH_METHOD},
    {"poll_takes_nothing_from_other_processes", poll_takes_nothing_from_other_processes, 10,
     TEST_EACH_METHOD},
    {"messages_are_not_merged", messages_are_not_merged, 10, TEST_EACH_METHOD},
    {"address_in_use_is_told", address_in_use_is_told, 5, 0},
    {"closed_listener_says_so", closed_listener_says_so, 5, 0},
    {"abstract_addresses_work", abstract_addresses_work, 5, 0},
    {"child_connects_by_each_family", child_connects_by_each_family, 20, TEST_EACH_METHOD},
    {"client_that_is_gone_before_it_is_accepted_was_heard",
     client_that_is_gone_before_it_is_accepted_was_heard, 10, TEST_EACH_METHOD},
    {"clients_can_poll", clients_can_poll, 5, 0},
    {"connections_of_each_family_are_sent_between_processes",
     connections_of_each_family_are_sent_between_processes, 20, TEST_EACH_METHOD},
    {"ends_of_one_way_pipes_are_sent", ends_of_one_way_pipes_are_sent, 10, TEST_EACH_METHOD},
    {"bogus_answer_to_a_challenge_is_refused", bogus_answer_to_a_challenge_is_refused, 5, 0},
    {"bogus_verdict_on_an_answer_is_refused", bogus_verdict_on_an_answer_is_refused, 5, 0},
};
TEST_MAIN("connection_cases", tests)
