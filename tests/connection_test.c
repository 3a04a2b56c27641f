/* connection_test.c - kin/connection.h: pipes, and connections on streams. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kin.h"

#define TOP (test_time_left() - 0.5)
#define MIB ((size_t)1 << 20)

struct ends {
    kin_connection *own, *other;
};

enum kind { PIPE, STREAM };

static struct ends pair(enum kind kind)
{
    kin_connection *ends[2];
    int fds[2];
    if (kind == PIPE) {
        ck_assert_msg(kin_pipe(ends, true) == 0, "%s", kin_error_message());
    } else {
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        for (int i = 0; i < 2; i++)
            ck_assert_ptr_nonnull(ends[i] = kin_connection_from_fd(fds[i]));
    }
    return (struct ends){ends[0], ends[1]};
}

static void close_both(struct ends ends)
{
    ck_assert_int_eq(kin_connection_close(ends.own), 0);
    ck_assert_int_eq(kin_connection_close(ends.other), 0);
}

static void send_ok(kin_connection *connection, const void *data, size_t size)
{
    ck_assert_msg(kin_connection_send(connection, data, size, TOP) == 0, "%s", kin_error_message());
}

static void recv_text(kin_connection *connection, const char *text)
{
    char buffer[64];
    size_t size;
    ck_assert_msg(kin_connection_recv(connection, buffer, sizeof buffer, &size, TOP) == 0, "%s",
                  kin_error_message());
    ck_assert_uint_eq(size, strlen(text));
    ck_assert_mem_eq(buffer, text, size);
}

static void fill(unsigned char *bytes, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)((i * 2654435761u >> 13) + seed);
}

/* A body for both kinds. */
static void both(void (*body)(struct ends))
{
    test_init();
    for (int kind = PIPE; kind <= STREAM; kind++) {
        struct ends ends = pair((enum kind)kind);
        body(ends);
        close_both(ends);
    }
}

static void check_order(struct ends ends)
{
    send_ok(ends.own, "one", 3);
    send_ok(ends.own, "", 0);
    send_ok(ends.own, "three", 5);
    recv_text(ends.other, "one");
    recv_text(ends.other, "");
    recv_text(ends.other, "three");
    send_ok(ends.other, "back", 4);
    recv_text(ends.own, "back");
}

static void messages_come_whole_and_in_order(void)
{
    both(check_order);
}

/* Around what a packet holds, and what a stream's call takes. */
struct sender {
    kin_connection *connection;
    const unsigned char *bytes;
    size_t size;
};

static void *send_in_thread(void *arg)
{
    struct sender *sender = arg;
    send_ok(sender->connection, sender->bytes, sender->size);
    return NULL;
}

static void check_sizes(struct ends ends)
{
    static const size_t sizes[] = {1, 32767, 32768, 32769, 65536, 300001, 5000000};
    unsigned char *bytes = malloc(5000000), *got = malloc(5000000);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        fill(bytes, sizes[i], (unsigned)i);
        struct sender sender = {ends.own, bytes, sizes[i]};
        pthread_t thread;
        size_t size = 0;
        ck_assert_int_eq(pthread_create(&thread, NULL, send_in_thread, &sender), 0);
        if (i % 2) {
            ck_assert_int_eq(kin_connection_recv(ends.other, got, 5000000, &size, TOP), 0);
            ck_assert_mem_eq(got, bytes, sizes[i]);
        } else {
            kin_message message;
            ck_assert_int_eq(kin_connection_take(ends.other, &message, TOP), 0);
            size = message.size;
            ck_assert_ptr_null(message.arena);
            ck_assert_mem_eq(message.data, bytes, sizes[i]);
            kin_free(message.data);
        }
        ck_assert_uint_eq(size, sizes[i]);
        pthread_join(thread, NULL);
    }
    free(bytes);
    free(got);
}

static void messages_of_any_size_come_whole(void)
{
    both(check_sizes);
}

static void check_short(struct ends ends)
{
    char small[4];
    size_t size = 0;
    send_ok(ends.own, "a longer message", 16);
    send_ok(ends.own, "next", 4);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(kin_connection_recv(ends.other, small, sizeof small, &size, TOP), KIN_ETOOLARGE);
        ck_assert_uint_eq(size, 16);
        ck_assert_str_eq(kin_error_message(), "a message of 16 bytes does not fit into a buffer of 4");
        ck_assert_int_eq(kin_connection_poll(ends.other, 0), 0);
    }
    recv_text(ends.other, "a longer message");
    recv_text(ends.other, "next");
    ck_assert_int_eq(kin_connection_poll(ends.other, 0), KIN_ETIMEDOUT);
    unsigned char *large = malloc(MIB), *got = malloc(MIB);
    fill(large, MIB, 3);
    struct sender sender = {ends.own, large, MIB};
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, send_in_thread, &sender), 0);
    ck_assert_int_eq(kin_connection_recv(ends.other, NULL, 0, &size, TOP), KIN_ETOOLARGE);
    ck_assert_uint_eq(size, MIB);
    ck_assert_int_eq(kin_connection_recv(ends.other, got, MIB, &size, TOP), 0);
    ck_assert_mem_eq(large, got, MIB);
    pthread_join(thread, NULL);
    free(large);
    free(got);
}

static void buffer_that_is_too_small_tells_the_size_and_keeps_the_message(void)
{
    both(check_short);
}

static void check_end(struct ends ends)
{
    char buffer[8];
    send_ok(ends.other, "last", 4);
    ck_assert_int_eq(kin_connection_close(ends.other), 0);
    recv_text(ends.own, "last");
    ck_assert_int_eq(kin_connection_poll(ends.own, 0), 0);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(kin_connection_recv(ends.own, buffer, sizeof buffer, NULL, TOP), KIN_ECLOSED);
        ck_assert_int_eq(kin_connection_send(ends.own, "x", 1, TOP), KIN_ECLOSED);
        ck_assert_str_eq(kin_error_message(), "cannot send through a connection: its other end is closed");
    }
    ck_assert_int_eq(kin_connection_close(ends.own), 0);
}

static void end_is_told_after_the_last_message(void)
{
    test_init();
    check_end(pair(PIPE));
    check_end(pair(STREAM));
}

/* The kernel says ECONNRESET then, and what is to be received must not be lost for it. */
static void check_unread(struct ends ends)
{
    char buffer[8];
    send_ok(ends.own, "unread", 6);
    send_ok(ends.other, "answer", 6);
    ck_assert_int_eq(kin_connection_close(ends.other), 0);
    recv_text(ends.own, "answer");
    ck_assert_int_eq(kin_connection_recv(ends.own, buffer, sizeof buffer, NULL, TOP), KIN_ECLOSED);
    ck_assert_int_eq(kin_connection_close(ends.own), 0);
    (void)buffer;
}

static void end_closed_with_messages_unread_has_sent_what_it_sent(void)
{
    test_init();
    check_unread(pair(PIPE));
    check_unread(pair(STREAM));
}

static void check_late(struct ends ends)
{
    char buffer[8];
    unsigned char *block = calloc(1, 32000);
    int error = 0;
    ck_assert_int_eq(kin_connection_recv(ends.own, buffer, sizeof buffer, NULL, 0), KIN_ETIMEDOUT);
    ck_assert_int_eq(kin_connection_recv(ends.own, buffer, sizeof buffer, NULL, 0.01), KIN_ETIMEDOUT);
    ck_assert_int_eq(kin_connection_poll(ends.own, 0.01), KIN_ETIMEDOUT);
    ck_assert_int_eq(kin_connection_recv(ends.own, buffer, sizeof buffer, NULL, -1), KIN_EINVAL);
    size_t sent = 0, got = 0;
    while ((error = kin_connection_send(ends.own, block, 32000, 0.01)) == 0)
        sent++;
    ck_assert_int_eq(error, KIN_ETIMEDOUT);
    ck_assert_uint_gt(sent, 1);
    while (kin_connection_recv(ends.other, block, 32000, NULL, 0) == 0)
        got++;
    ck_assert_uint_eq(got, sent);
    free(block);
}

static void waits_end_when_their_time_is_over(void)
{
    both(check_late);
}

static void bad_calls_are_errors(void)
{
    char buffer[4];
    int fds[2];
    kin_connection *ends[2];
    ck_assert_int_eq(kin_pipe(ends, true), KIN_ENOINIT);
    test_init();
    ck_assert_int_eq(kin_pipe(NULL, true), KIN_EINVAL);
    ck_assert_int_eq(kin_connection_send(NULL, "x", 1, 0), KIN_EINVAL);
    kin_queue *queue = kin_queue_new(NULL);
    ck_assert_int_eq(kin_connection_send((kin_connection *)(void *)queue, "x", 1, 0), KIN_EINVAL);
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "is not a connection but a queue"));
    kin_queue_free(queue);
    ck_assert_int_eq(kin_pipe(ends, false), 0);
    ck_assert(kin_connection_readable(ends[0]) && !kin_connection_writable(ends[0]));
    ck_assert(!kin_connection_readable(ends[1]) && kin_connection_writable(ends[1]));
    ck_assert_int_eq(kin_connection_send(ends[0], "x", 1, 0), KIN_EPERM);
    ck_assert_int_eq(kin_connection_recv(ends[1], buffer, 4, NULL, 0), KIN_EPERM);
    ck_assert_str_eq(kin_error_message(), "cannot receive from a connection: this end only sends");
    ck_assert_int_eq(kin_connection_poll(ends[1], 0), KIN_EPERM);
    ck_assert_int_eq(kin_connection_send(ends[1], NULL, 1, 0), KIN_EINVAL);
    ck_assert_int_eq(kin_connection_recv(ends[0], NULL, 1, NULL, 0), KIN_EINVAL);
    send_ok(ends[1], "abc", 3);
    recv_text(ends[0], "abc");
    ck_assert_int_eq(kin_connection_close(ends[0]), 0);
    ck_assert_int_eq(kin_connection_close(ends[0]), KIN_EINVAL);
    ck_assert_int_eq(kin_connection_recv(ends[0], buffer, 4, NULL, 0), KIN_EINVAL);
    ck_assert_int_eq(kin_connection_fd(ends[0]), -1);
    ck_assert_int_eq(kin_connection_close(ends[1]), 0);
    ck_assert_int_eq(kin_connection_close(NULL), 0);
    ck_assert_ptr_null(kin_connection_from_fd(-1));
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_ptr_null(kin_connection_from_fd(fds[0]));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    close(fds[0]);
    close(fds[1]);
}

/* Raw bytes into a stream, as a peer that is broken, malicious or dead would leave them. */
static void raw(const void *bytes, size_t size, bool end, int expected)
{
    int fds[2];
    char buffer[64];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    kin_connection *connection = kin_connection_from_fd(fds[0]);
    ck_assert_int_eq(write(fds[1], bytes, size), (ssize_t)size);
    if (end)
        close(fds[1]);
    ck_assert_int_eq(kin_connection_recv(connection, buffer, sizeof buffer, NULL, 0.05), expected);
    ck_assert_int_eq(kin_connection_recv(connection, buffer, sizeof buffer, NULL, 0), expected);
    if (!end)
        close(fds[1]);
    ck_assert_int_eq(kin_connection_close(connection), 0);
}

static void streams_that_are_no_messages_are_told(void)
{
    test_init();
    raw("\0\0\0\5abc", 7, true, KIN_EDIED);
    raw("\0\0", 2, true, KIN_EDIED);
    raw("", 0, true, KIN_ECLOSED);
    raw("\0\0\0\5abc", 7, false, KIN_ETIMEDOUT);
    raw("\xff\xff\xff\xff\0\0", 6, false, KIN_ETIMEDOUT);
    raw("\xff\xff\xff\xfe....", 8, false, KIN_EMISMATCH);
    raw("HTTP/1.1 200", 12, false, KIN_ETOOLARGE); /* a length of 1.2 GB, as it happens */
    raw("\xff\xff\xff\xff\xff\0\0\0\0\0\0\0", 12, false, KIN_EMISMATCH);
    raw("\xff\xff\xff\xff\0\0\0\0\0\0\0\x41", 12, false, KIN_ETOOLARGE);
}

/* Each byte comes alone, and after each a call has run out of time. */
static void message_that_comes_in_pieces_is_put_together(void)
{
    static const char bytes[] = "\0\0\0\4abcd\xff\xff\xff\xff\0\0\0\0\0\0\0\2xy";
    char buffer[8];
    size_t size;
    int fds[2];
    test_init();
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    kin_connection *connection = kin_connection_from_fd(fds[0]);
    for (size_t i = 0; i < sizeof bytes - 1; i++) {
        bool last = i == 7 || i == sizeof bytes - 2;
        ck_assert_int_eq(write(fds[1], bytes + i, 1), 1);
        memset(buffer, 0, sizeof buffer);
        ck_assert_int_eq(kin_connection_recv(connection, buffer, sizeof buffer, &size, 0),
                         last ? 0 : KIN_ETIMEDOUT);
        if (last)
            ck_assert_mem_eq(buffer, size == 4 ? "abcd" : "xy", size);
    }
    close(fds[1]);
    ck_assert_int_eq(kin_connection_close(connection), 0);
}

static void stream_that_was_sent_in_part_takes_no_more(void)
{
    test_init();
    struct ends ends = pair(STREAM);
    unsigned char *large = calloc(1, 4 * MIB);
    ck_assert_int_eq(kin_connection_send(ends.own, large, 4 * MIB, 0.02), KIN_ETIMEDOUT);
    ck_assert_int_eq(kin_connection_send(ends.own, "x", 1, 0), KIN_ECLOSED);
    free(large);
    close_both(ends);
}

/* ---- threads --------------------------------------------------------------------------------- */

#define THREADS 3
#define ROUNDS 2000

struct crowd {
    struct ends ends;
    _Atomic unsigned next, sum, got;
};

static void *crowd_send(void *arg)
{
    struct crowd *crowd = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned number = atomic_fetch_add(&crowd->next, 1);
        send_ok(crowd->ends.own, &number, sizeof number);
    }
    return NULL;
}

static void *crowd_recv(void *arg)
{
    struct crowd *crowd = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned number;
        size_t size;
        ck_assert_int_eq(kin_connection_recv(crowd->ends.other, &number, sizeof number, &size, TOP), 0);
        ck_assert_uint_eq(size, sizeof number);
        atomic_fetch_add(&crowd->sum, number);
        atomic_fetch_add(&crowd->got, 1);
    }
    return NULL;
}

static void check_threads(struct ends ends)
{
    struct crowd crowd = {.ends = ends};
    pthread_t threads[2 * THREADS];
    for (int i = 0; i < 2 * THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, i % 2 ? crowd_send : crowd_recv, &crowd), 0);
    for (int i = 0; i < 2 * THREADS; i++)
        pthread_join(threads[i], NULL);
    unsigned all = THREADS * ROUNDS;
    ck_assert_uint_eq(crowd.got, all);
    ck_assert_uint_eq(crowd.sum, all * (all - 1) / 2);
}

static void threads_share_both_ends(void)
{
    both(check_threads);
}

struct waiter {
    kin_connection *connection;
    _Atomic int thread;
};

static void *wait_for_one(void *arg)
{
    char buffer[4];
    struct waiter *waiter = arg;
    atomic_store(&waiter->thread, gettid());
    ck_assert_int_eq(kin_connection_recv(waiter->connection, buffer, sizeof buffer, NULL, KIN_FOREVER), 0);
    return NULL;
}

static void await_sleep(const struct waiter *waiter)
{
    char path[64], text[256] = "";
    do {
        snprintf(path, sizeof path, "/proc/self/task/%d/stat", atomic_load(&waiter->thread));
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
        text[length < 0 ? 0 : length] = '\0';
        close(fd);
    } while (!strstr(text, ") S "));
}

static void connection_in_use_is_not_closed(void)
{
    test_init();
    struct ends ends = pair(PIPE);
    struct waiter waiter = {.connection = ends.own};
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_one, &waiter), 0);
    while (!atomic_load(&waiter.thread))
        usleep(100);
    await_sleep(&waiter);
    ck_assert_int_eq(kin_connection_close(ends.own), KIN_EBUSY);
    ck_assert_int_eq(kin_connection_recv(ends.own, NULL, 0, NULL, 0), KIN_ETIMEDOUT);
    send_ok(ends.other, "x", 1);
    pthread_join(thread, NULL);
    close_both(ends);
}

static void nothing(int number)
{
    (void)number;
}

static void *interrupt(void *arg)
{
    for (int i = 0; i < 20; i++) {
        usleep(1000);
        pthread_kill(*(pthread_t *)arg, SIGUSR1);
    }
    return NULL;
}

static void signals_do_not_end_a_wait(void)
{
    char buffer[4];
    test_init();
    struct ends ends = pair(PIPE);
    pthread_t thread, self = pthread_self();
    signal(SIGUSR1, nothing);
    ck_assert_int_eq(pthread_create(&thread, NULL, interrupt, &self), 0);
    ck_assert_int_eq(kin_connection_recv(ends.own, buffer, sizeof buffer, NULL, 0.1), KIN_ETIMEDOUT);
    pthread_join(thread, NULL);
    close_both(ends);
}

/* ---- children -------------------------------------------------------------------------------- */

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

static const struct test tests[] = {
    {"messages_come_whole_and_in_order", messages_come_whole_and_in_order, 5, 0},
    {"messages_of_any_size_come_whole", messages_of_any_size_come_whole, 20, 0},
    {"buffer_that_is_too_small_tells_the_size_and_keeps_the_message",
     buffer_that_is_too_small_tells_the_size_and_keeps_the_message, 5, 0},
    {"end_is_told_after_the_last_message", end_is_told_after_the_last_message, 5, 0},
    {"end_closed_with_messages_unread_has_sent_what_it_sent",
     end_closed_with_messages_unread_has_sent_what_it_sent, 5, 0},
    {"waits_end_when_their_time_is_over", waits_end_when_their_time_is_over, 5, 0},
    {"bad_calls_are_errors", bad_calls_are_errors, 5, 0},
    {"streams_that_are_no_messages_are_told", streams_that_are_no_messages_are_told, 5, 0},
    {"message_that_comes_in_pieces_is_put_together", message_that_comes_in_pieces_is_put_together, 5, 0},
    {"stream_that_was_sent_in_part_takes_no_more", stream_that_was_sent_in_part_takes_no_more, 5, 0},
    {"threads_share_both_ends", threads_share_both_ends, 20, 0},
    {"connection_in_use_is_not_closed", connection_in_use_is_not_closed, 5, 0},
    {"signals_do_not_end_a_wait", signals_do_not_end_a_wait, 5, 0},
    {"child_has_what_its_argument_names", child_has_what_its_argument_names, 10, TEST_EACH_METHOD},
    {"child_has_what_the_block_names_that_it_is_passed", child_has_what_the_block_names_that_it_is_passed, 10,
     TEST_EACH_METHOD},
    {"child_has_what_its_options_list", child_has_what_its_options_list, 10, TEST_EACH_METHOD},
    {"connection_of_another_process_is_told", connection_of_another_process_is_told, 10, TEST_EACH_METHOD},
    {"grandchild_has_it_too", grandchild_has_it_too, 20, TEST_EACH_METHOD},
    {"end_of_a_killed_child_is_told", end_of_a_killed_child_is_told, 10, TEST_EACH_METHOD},
    {"child_has_many", child_has_many, 20, TEST_EACH_METHOD},
};
TEST_MAIN("connection", tests)
