/*
 * cancel_test.c - threads that are cancelled (pthread_cancel) in calls about messages: at once, and at random moments. Each call is
 * done or not done, no lock stays held, no descriptor, name or block is left, and others go on.
 */
#include "connection_common.h"

#include "family/heap.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define KEY "a key"
#define LARGE (200u << 10) /* goes by reference, or in pieces */
#define CANCELS 60
#define LONG_CANCELS 2000

static struct ends ends;
static kin_queue *queue;
static kin_listener *listener;
static unsigned char *large;

/* ---- at once --------------------------------------------------------------------------------- */

static void must_be_cancelled(void *(*body)(void *), void *arg)
{
    pthread_t thread;
    void *result;
    ck_assert_int_eq(pthread_create(&thread, NULL, body, arg), 0);
    ck_assert_int_eq(pthread_join(thread, &result), 0);
    ck_assert_ptr_eq(result, PTHREAD_CANCELED);
}

static void *send_cancelled(void *arg)
{
    int *result = arg;
    pthread_cancel(pthread_self());
    *result = kin_connection_send(ends.own, "text", 4, TOP);
    pthread_testcancel();
    return NULL;
}

static void *receive_cancelled(void *arg)
{
    int *result = arg;
    char text[8];
    pthread_cancel(pthread_self());
    *result = kin_connection_recv(ends.other, text, sizeof text, NULL, TOP);
    if (*result == 0)
        *result = kin_connection_recv(ends.other, text, sizeof text, NULL, 0.01); /* it waits */
    pthread_testcancel();
    return NULL;
}

static void calls_are_done(enum kind kind)
{
    int result = 1;
    ends = pair(kind);
    for (int i = 0; i < 2; i++) {
        must_be_cancelled(send_cancelled, &result);
        ck_assert_int_eq(result, 0);
        must_be_cancelled(receive_cancelled, &result);
        ck_assert_int_eq(result, KIN_ETIMEDOUT);
    }
    send_ok(ends.own, "text", 4);
    recv_text(ends.other, "text");
    close_both(ends);
}

static void cancelled_thread_has_sent_and_received(void)
{
    test_init();
    calls_are_done(PIPE);
    calls_are_done(STREAM);
}

static void *accept_cancelled(void *arg)
{
    pthread_cancel(pthread_self());
    *(kin_connection **)arg = kin_listener_accept(listener, TOP);
    pthread_testcancel();
    return NULL;
}

static void *connect_cancelled(void *arg)
{
    pthread_cancel(pthread_self());
    *(kin_connection **)arg =
        kin_client(kin_listener_address(listener), KIN_CLIENT_OPTIONS(.key = KEY, .key_size = 5), TOP);
    pthread_testcancel();
    return NULL;
}

static void cancelled_threads_shake_hands(void)
{
    test_init();
    pthread_t thread;
    kin_connection *there = NULL, *here = NULL;
    listener = kin_listener_new(NULL, KIN_LISTENER_OPTIONS(.key = KEY, .key_size = 5));
    ck_assert_msg(listener != NULL, "%s", kin_error_message());
    ck_assert_int_eq(pthread_create(&thread, NULL, connect_cancelled, &there), 0);
    must_be_cancelled(accept_cancelled, &here);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert(there && here);
    send_ok(there, "text", 4);
    recv_text(here, "text");
    close_both((struct ends){there, here});
    ck_assert_int_eq(kin_listener_close(listener), 0);
}

static void *wait_cancelled(void *arg)
{
    int *result = arg;
    kin_waitable items[] = {{.object = ends.other}, {.object = queue}};
    pthread_cancel(pthread_self());
    *result = kin_wait(items, 2, NULL, 0.02);
    pthread_testcancel();
    return NULL;
}

static void cancelled_wait_comes_to_its_end(void)
{
    test_init();
    int result = 1;
    ends = pair(PIPE);
    queue = kin_queue_new(NULL);
    must_be_cancelled(wait_cancelled, &result);
    ck_assert_int_eq(result, KIN_ETIMEDOUT);
    close_both(ends);
    ck_assert_int_eq(kin_queue_free(queue), 0);
}

static void *share_cancelled(void *arg)
{
    const char *name = arg;
    pthread_cancel(pthread_self());
    kin_shared_memory_close(kin_shared_memory_create(name, 100, NULL));
    kin_shared_memory_close(kin_shared_memory_attach(name));
    kin_shared_memory_sweep(NULL);
    pthread_testcancel();
    return NULL;
}

static void cancelled_thread_leaves_no_segment_open(void)
{
    test_init();
    char name[40];
    snprintf(name, sizeof name, "kin_cancel_%d", getpid());
    must_be_cancelled(share_cancelled, name);
    kin_shared_memory_unlink(name); /* if the sweep has not */
}

/* ---- at random moments ------------------------------------------------------------------------- */

static _Atomic bool over;

/* A thread that is cancelled while it has something in its hands would lose that by its own fault: so it lets itself be
 * cancelled in the calls only. */
static void *use_everything(void *arg)
{
    unsigned char *bytes = arg;
    int before, any = 0; /* full, empty, too large: whatever comes of it */
    for (;;) {
        kin_message message = {0};
        kin_waitable items[] = {{.object = ends.other}, {.object = queue}};
        any |= kin_connection_send(ends.own, large, LARGE, 0.001);
        any |= kin_connection_send(ends.own, "text", 4, 0.001);
        any |= kin_connection_recv(ends.other, bytes, LARGE, NULL, 0.001);
        any |= kin_connection_poll(ends.other, 0.0001);
        any |= kin_wait(items, 2, NULL, 0.0001);
        any |= kin_queue_put(queue, large, LARGE, 0.001);
        any |= kin_queue_put(queue, "text", 4, 0.001);
        any |= kin_queue_get(queue, bytes, LARGE, NULL, 0.001);
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
        if (kin_connection_take(ends.other, &message, 0) == 0)
            kin_free(message.data);
        pthread_setcancelstate(before, NULL);
        pthread_testcancel();
    }
    return any ? arg : NULL;
}

static void use_until_it_is_over(void)
{
    while (!atomic_load(&over)) {
        unsigned char text[8];
        int sent = kin_connection_send(ends.own, "text", 4, 0.001);
        (void)sent; /* it may be full */
        if (kin_connection_recv(ends.other, text, sizeof text, NULL, 0.001) == KIN_ETOOLARGE) {
            kin_message message;
            if (kin_connection_take(ends.other, &message, 0) == 0)
                kin_free(message.data);
        }
    }
}

static void *be_other(void *arg)
{
    (void)arg;
    use_until_it_is_over();
    return NULL;
}

static void cancel_at_random(enum kind kind)
{
    static unsigned char bytes[2][LARGE];
    pthread_t other, threads[2];
    unsigned seed = (unsigned)kind + 1;
    ends = pair(kind);
    atomic_store(&over, false);
    ck_assert_int_eq(pthread_create(&other, NULL, be_other, NULL), 0);
    for (int i = 0; i < (test_long() ? LONG_CANCELS : CANCELS); i++) {
        for (int k = 0; k < 2; k++)
            ck_assert_int_eq(pthread_create(&threads[k], NULL, use_everything, bytes[k]), 0);
        seed = seed * 1103515245u + 12345u;
        usleep(seed >> 16 & 2047);
        for (int k = 0; k < 2; k++)
            pthread_cancel(threads[k]);
        for (int k = 0; k < 2; k++)
            pthread_join(threads[k], NULL);
    }
    atomic_store(&over, true);
    pthread_join(other, NULL);
    close_both(ends); /* KIN_EBUSY, if somebody were in a call still */
}

/* With the table of what is under way in pipes, which stays. */
static size_t large_blocks(void)
{
    kin_heap_stats stats = {.size = sizeof stats};
    static unsigned char bytes[LARGE];
    ends = pair(PIPE);
    send_ok(ends.own, large, LARGE);
    ck_assert_int_eq(kin_connection_recv(ends.other, bytes, LARGE, NULL, TOP), 0);
    close_both(ends);
    ck_assert_int_eq(kin_heap_get_stats(&stats), 0);
    return stats.large_blocks;
}

static void threads_are_cancelled_at_random(void)
{
    test_init();
    large = calloc(1, LARGE);
    size_t blocks = large_blocks();
    queue = kin_queue_new(KIN_QUEUE_OPTIONS(.maxsize = 4));
    cancel_at_random(PIPE);
    cancel_at_random(STREAM);
    ck_assert_int_eq(kin_queue_free(queue), 0);
    ck_assert_int_eq(kin__heap_check(), 0);
    ck_assert_uint_eq(large_blocks(), blocks);
    free(large);
}

static const struct test tests[] = {
    {"cancelled_thread_has_sent_and_received", cancelled_thread_has_sent_and_received, 20, 0},
    {"cancelled_threads_shake_hands", cancelled_threads_shake_hands, 20, 0},
    {"cancelled_wait_comes_to_its_end", cancelled_wait_comes_to_its_end, 20, 0},
    {"cancelled_thread_leaves_no_segment_open", cancelled_thread_leaves_no_segment_open, 20, 0},
    {"threads_are_cancelled_at_random", threads_are_cancelled_at_random, 120, 0},
};
TEST_MAIN("cancel", tests)
