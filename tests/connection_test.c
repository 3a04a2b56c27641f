/* connection_test.c - kin/connection.h: pipes, and connections on streams. */
#include "connection_common.h"

#include <errno.h>
#include <fcntl.h>
#include <float.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "family/heap.h"
#include "message/transit.h"

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
    static const size_t sizes[] = {1, 32767, 32768, 65535, 65536, 65537, 300001, 5000000};
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

/* More than the 31 bits of a narrow length, and than one system call takes; its pages are the zero page but for a few bytes. */
#define HUGE_SIZE (((size_t)2 << 30) + 12345)

static bool memory_for(size_t bytes)
{
    return (size_t)sysconf(_SC_AVPHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE) > bytes;
}

static void messages_of_more_than_2_gib_come_whole(void)
{
    test_init();
    for (int kind = PIPE; kind <= STREAM; kind++) {
        if (!memory_for((kind == PIPE ? 3 : 2) * HUGE_SIZE))
            test_skip("too little memory is free");
        struct ends ends = pair((enum kind)kind);
        unsigned char *huge =
            mmap(NULL, HUGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        ck_assert_ptr_ne(huge, MAP_FAILED);
        for (size_t at = 0; at < HUGE_SIZE; at += HUGE_SIZE / 7)
            huge[at] = (unsigned char)(at >> 20 | 1);
        struct sender sender = {ends.own, huge, HUGE_SIZE};
        pthread_t thread;
        size_t size = 0;
        ck_assert_int_eq(pthread_create(&thread, NULL, send_in_thread, &sender), 0);
        unsigned char *got = malloc(HUGE_SIZE);
        ck_assert_int_eq(kin_connection_recv(ends.other, got, HUGE_SIZE, &size, TOP), 0);
        pthread_join(thread, NULL);
        ck_assert_uint_eq(size, HUGE_SIZE);
        ck_assert(memcmp(got, huge, HUGE_SIZE) == 0);
        free(got);
        munmap(huge, HUGE_SIZE);
        close_both(ends);
    }
}

/* ---- by reference ---------------------------------------------------------------------------- */

static void nothing_is_under_way(void)
{
    size_t bytes = 1;
    while (kin__transit_used(&bytes) > 0 &&
           test_time_left() > 1) { /* the kernel closes what was in sockets when it gets to it */
        kin__transit_sweep();
        usleep(1000);
    }
    ck_assert_uint_eq(kin__transit_used(&bytes), 0);
    ck_assert_uint_eq(bytes, 0);
    ck_assert_int_eq(kin__heap_check(), 0);
}

static size_t blocks_in_use(void)
{
    kin_heap_stats stats = {.size = sizeof stats};
    ck_assert_int_eq(kin_heap_get_stats(&stats), 0);
    return stats.large_blocks;
}

static void large_messages_go_as_blocks(void)
{
    kin_message message;
    size_t bytes;
    test_init();
    struct ends ends = pair(PIPE);
    unsigned char *large = malloc(MIB), *got = malloc(MIB);
    fill(large, MIB, 5);
    send_ok(ends.own, large, MIB);
    ck_assert_uint_eq(kin__transit_used(&bytes), 1);
    ck_assert_uint_eq(bytes, MIB);
    ck_assert_int_eq(kin_connection_recv(ends.other, got, MIB, NULL, TOP), 0);
    ck_assert_mem_eq(got, large, MIB);
    nothing_is_under_way();
    size_t before = blocks_in_use(); /* the table is one */
    void *block = kin_malloc(MIB);
    memcpy(block, large, MIB);
    ck_assert_int_eq(kin_connection_give(ends.own, block, MIB - 1, TOP), 0);
    ck_assert_int_eq(kin_connection_take(ends.other, &message, TOP), 0);
    ck_assert_ptr_eq(message.data, block);
    ck_assert_uint_eq(message.size, MIB - 1);
    kin_free(block);
    ck_assert_uint_eq(blocks_in_use(), before);
    free(large);
    free(got);
    close_both(ends);
}

static void given_block_stays_ones_own_if_it_cannot_be_sent(void)
{
    test_init();
    for (int kind = PIPE; kind <= STREAM; kind++) {
        struct ends ends = pair((enum kind)kind);
        ck_assert_int_eq(kin_connection_close(ends.other), 0);
        char *block = kin_malloc(MIB);
        memset(block, 1, MIB);
        ck_assert_int_eq(kin_connection_give(ends.own, block, MIB, TOP), KIN_ECLOSED);
        ck_assert_uint_ge(kin_usable_size(block), MIB);
        ck_assert_int_eq(kin_connection_give(ends.own, block, 2 * MIB, TOP), KIN_EINVAL);
        ck_assert_int_eq(kin_connection_give(ends.own, &ends, 1, TOP), KIN_ENOTSHARED);
        kin_free(block);
        char *small = kin_malloc(10);
        ck_assert_int_eq(kin_connection_give(ends.own, small, 10, TOP), KIN_ECLOSED);
        kin_free(small);
        nothing_is_under_way();
        ck_assert_int_eq(kin_connection_close(ends.own), 0);
    }
}

static void small_blocks_and_those_for_streams_are_given_too(void)
{
    test_init();
    for (int kind = PIPE; kind <= STREAM; kind++) {
        struct ends ends = pair((enum kind)kind);
        char *block = kin_strdup("hello");
        ck_assert_int_eq(kin_connection_give(ends.own, block, 5, TOP), 0);
        recv_text(ends.other, "hello");
        close_both(ends);
    }
}

static void blocks_in_a_pipe_go_with_it(void)
{
    test_init();
    struct ends ends = pair(PIPE);
    unsigned char *large = calloc(1, MIB);
    send_ok(ends.own, large, MIB); /* makes the table */
    ck_assert_int_eq(kin_connection_recv(ends.other, large, MIB, NULL, TOP), 0);
    size_t before = blocks_in_use();
    for (int i = 0; i < 5; i++)
        send_ok(ends.own, large, MIB);
    ck_assert_uint_eq(blocks_in_use(), before + 5);
    ck_assert_int_eq(kin_connection_recv(ends.other, large, 1, NULL, TOP), KIN_ETOOLARGE); /* one is held */
    close_both(ends);
    nothing_is_under_way();
    ck_assert_uint_eq(blocks_in_use(), before);
    free(large);
}

static void senders_wait_while_too_much_is_under_way(void)
{
    int sent[2] = {0}, error;
    test_init();
    struct ends ends[2] = {pair(PIPE), pair(PIPE)};
    unsigned char *large = calloc(1, MIB);
    for (int i = 0; i < 2; i++) { /* one pipe is in no other's way */
        while ((error = kin_connection_send(ends[i].own, large, i ? MIB : 70000, 0.02)) == 0)
            sent[i]++;
        ck_assert_int_eq(error, KIN_ETIMEDOUT);
    }
    ck_assert_int_eq(sent[0], KIN__TRANSIT_MESSAGES);
    ck_assert_int_eq(sent[1], 8);
    send_ok(ends[0].other, large, MIB); /* nor is one way in the other's */
    ck_assert_int_eq(kin_connection_recv(ends[0].own, large, MIB, NULL, 0), 0);
    for (int i = 0; i < 2; i++)
        for (int got = 0; got < sent[i]; got++)
            ck_assert_int_eq(kin_connection_recv(ends[i].other, large, MIB, NULL, 0), 0);
    nothing_is_under_way();
    free(large);
    close_both(ends[0]);
    close_both(ends[1]);
}

/* More than may be under way in the heap: the kernel's memory takes it. */
static void message_that_the_heap_has_no_room_for_goes_as_a_file(void)
{
    kin_heap_stats stats = {.size = sizeof stats};
    size_t size = 96 * MIB, bytes, got;
    ck_assert_int_eq(kin_init_with(&test_argc, &test_argv,
                                   KIN_INIT_OPTIONS(.heap_limit = 64 * MIB, .region_size = 512 * MIB)),
                     0);
    ck_assert_int_eq(kin_heap_get_stats(&stats), 0);
    struct ends ends = pair(PIPE);
    unsigned char *large = malloc(size), *back = malloc(size);
    fill(large, size, 9);
    send_ok(ends.own, large, size);
    ck_assert_uint_eq(kin__transit_used(&bytes), 0);
    ck_assert_int_eq(kin_connection_recv(ends.other, back, size, &got, TOP), 0);
    ck_assert_uint_eq(got, size);
    ck_assert_mem_eq(large, back, size);
    free(large);
    free(back);
    close_both(ends);
}

/* ---- descriptors ----------------------------------------------------------------------------- */

static void check_descriptors(struct ends ends)
{
    int fds[2], got = -1;
    char byte;
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    ck_assert_int_eq(kin_connection_recv_fd(ends.other, &got, 0), KIN_ETIMEDOUT);
    ck_assert_int_eq(kin_connection_send_fd(ends.own, fds[0], TOP), 0);
    send_ok(ends.own, "behind it", 9);
    ck_assert_int_eq(kin_connection_recv_fd(ends.other, &got, TOP), 0);
    ck_assert_int_ne(got, fds[0]);
    ck_assert_int_eq(fcntl(got, F_GETFD), FD_CLOEXEC);
    recv_text(ends.other, "behind it");
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    ck_assert_int_eq(read(got, &byte, 1), 1);
    ck_assert_int_eq(byte, 'x');
    close(got);
    close(fds[0]);
    close(fds[1]);
    ck_assert_int_eq(kin_connection_send_fd(ends.own, fds[0], TOP), KIN_EINVAL);
    ck_assert_int_eq(kin_connection_send_fd(ends.own, -1, TOP), KIN_EINVAL);
    ck_assert_int_eq(kin_connection_recv_fd(ends.other, NULL, 0), KIN_EINVAL);
}

static void descriptors_are_sent(void)
{
    both(check_descriptors);
}

static void kinds_are_not_taken_for_each_other(void)
{
    char buffer[8];
    int fd;
    test_init();
    struct ends ends = pair(PIPE);
    ck_assert_int_eq(kin_connection_send_fd(ends.own, 1, TOP), 0);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(kin_connection_recv(ends.other, buffer, sizeof buffer, NULL, TOP), KIN_EINVAL);
        ck_assert_str_eq(kin_error_message(), "cannot receive a message: what comes next is a descriptor");
        ck_assert_ptr_null(kin_connection_recv_connection(ends.other, TOP));
        ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    }
    ck_assert_int_eq(kin_connection_recv_fd(ends.other, &fd, TOP), 0);
    close(fd);
    send_ok(ends.own, "text", 4);
    ck_assert_int_eq(kin_connection_recv_fd(ends.other, &fd, TOP), KIN_EINVAL);
    recv_text(ends.other, "text");
    ck_assert_int_eq(kin_connection_send_fd(ends.own, 1, TOP),
                     0); /* nobody takes it: it goes with the connection */
    ck_assert_int_eq(kin_connection_recv(ends.other, buffer, sizeof buffer, NULL, TOP), KIN_EINVAL);
    close_both(ends);
    ends = pair(STREAM);
    send_ok(ends.own, "text", 4);
    ck_assert_int_eq(kin_connection_recv_fd(ends.other, &fd, TOP), KIN_EMISMATCH);
    close_both(ends);
}

static void connections_are_sent_through_connections(void)
{
    test_init();
    struct ends way = pair(PIPE), sent[2] = {pair(PIPE), pair(STREAM)};
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(kin_connection_send_connection(way.own, sent[i].other, TOP), 0);
        kin_connection *got = kin_connection_recv_connection(way.other, TOP);
        ck_assert_msg(got != NULL, "%s", kin_error_message());
        ck_assert_ptr_ne(got, sent[i].other);
        ck_assert_int_eq(kin_connection_close(sent[i].other), 0);
        send_ok(sent[i].own, "hello", 5);
        recv_text(got, "hello");
        send_ok(got, "hello", 5);
        recv_text(sent[i].own, "hello");
        ck_assert_int_eq(kin_connection_close(got), 0);
        ck_assert_int_eq(kin_connection_close(sent[i].own), 0);
    }
    kin_connection *ends[2];
    ck_assert_int_eq(kin_pipe(ends, false), 0);
    ck_assert_int_eq(kin_connection_send_connection(way.own, ends[0], TOP), 0);
    kin_connection *got = kin_connection_recv_connection(way.other, TOP);
    ck_assert(kin_connection_readable(got) && !kin_connection_writable(got));
    struct ends stream = pair(STREAM);
    ck_assert_int_eq(kin_connection_send_connection(stream.own, got, TOP), KIN_ENOTSUP);
    ck_assert_int_eq(kin_connection_send_connection(stream.own, stream.other, TOP), 0);
    ck_assert_int_eq(kin_connection_close(got), 0);
    got = kin_connection_recv_connection(stream.other, TOP);
    ck_assert_ptr_nonnull(got);
    ck_assert_int_eq(kin_connection_close(got), 0);
    ck_assert_int_eq(kin_connection_close(ends[0]), 0);
    ck_assert_int_eq(kin_connection_close(ends[1]), 0);
    close_both(stream);
    close_both(way);
}

static void *receive_one(void *arg)
{
    char buffer[10];
    return kin_connection_recv(arg, buffer, sizeof buffer, NULL, DBL_MAX) == 0 ? arg : NULL;
}

static void *send_two(void *arg)
{
    usleep(20000); /* so that both wait, most times */
    for (int i = 0; i < 2; i++)
        if (kin_connection_send(arg, "one", 3, TOP) != 0)
            return NULL;
    return arg;
}

/* No time_t has room for that deadline. */
static void time_limit_beyond_all_time_is_none(void)
{
    test_init();
    struct ends ends = pair(PIPE);
    pthread_t sender, receiver;
    void *sent, *received;
    ck_assert_int_eq(pthread_create(&sender, NULL, send_two, ends.own), 0);
    ck_assert_int_eq(pthread_create(&receiver, NULL, receive_one, ends.other), 0);
    ck_assert_msg(receive_one(ends.other) == ends.other, "%s", kin_error_message());
    ck_assert_int_eq(pthread_join(sender, &sent), 0);
    ck_assert_int_eq(pthread_join(receiver, &received), 0);
    ck_assert_ptr_eq(sent, ends.own);
    ck_assert_ptr_eq(received, ends.other);
    close_both(ends);
}

static const struct test tests[] = {
    {"time_limit_beyond_all_time_is_none", time_limit_beyond_all_time_is_none, 10, 0},
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
    {"messages_of_more_than_2_gib_come_whole", messages_of_more_than_2_gib_come_whole, 120,
     TEST_LONG_ONLY | TEST_NOT_VALGRIND | TEST_NOT_ASAN /* their copies of it */},
    {"large_messages_go_as_blocks", large_messages_go_as_blocks, 5, 0},
    {"given_block_stays_ones_own_if_it_cannot_be_sent", given_block_stays_ones_own_if_it_cannot_be_sent, 5,
     0},
    {"small_blocks_and_those_for_streams_are_given_too", small_blocks_and_those_for_streams_are_given_too, 5,
     0},
    {"blocks_in_a_pipe_go_with_it", blocks_in_a_pipe_go_with_it, 5, 0},
    {"senders_wait_while_too_much_is_under_way", senders_wait_while_too_much_is_under_way, 10, 0},
    {"message_that_the_heap_has_no_room_for_goes_as_a_file",
     message_that_the_heap_has_no_room_for_goes_as_a_file, 20, TEST_KEEPS_DESCRIPTORS /* kin_init's */},
    {"descriptors_are_sent", descriptors_are_sent, 5, 0},
    {"kinds_are_not_taken_for_each_other", kinds_are_not_taken_for_each_other, 5, 0},
    {"connections_are_sent_through_connections", connections_are_sent_through_connections, 5, 0},
};
TEST_MAIN("connection", tests)
