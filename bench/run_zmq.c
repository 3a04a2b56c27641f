/*
 * run_zmq.c - messages over ZeroMQ, ipc: a PULL socket for each consumer, a PUSH socket of each producer to each; and broadcasts: an XPUB
 * socket of the writer, which waits for slow readers, a SUB socket of each reader.
 */
#include "streams.h"

#include <stdio.h>
#include <string.h>
#include <zmq.h>

static void *sockets[BENCH_MOST_SIDE];

/* In the abstract namespace: nothing to remove. */
static void name_of(char name[96], int index)
{
    char own[64];

    bench_stream_name(own, "zmq", index);
    snprintf(name, 96, "ipc://@%s", own);
}

static void check(int result)
{
    if (result < 0)
        bench_fail("ZeroMQ: %s", zmq_strerror(zmq_errno()));
}

static void open_nothing(const struct bench_stream *stream)
{
    (void)stream;
}

static void *new_socket(void *context, int type, const struct bench_stream *stream)
{
    void *socket = zmq_socket(context, type);
    int depth = (int)stream->depth;

    if (!socket)
        bench_fail("ZeroMQ: %s", zmq_strerror(zmq_errno()));
    check(zmq_setsockopt(socket, type == ZMQ_PUSH ? ZMQ_SNDHWM : ZMQ_RCVHWM, &depth, sizeof depth));
    return socket;
}

static void begin(const struct bench_stream *stream, bool producer, int index)
{
    void *context = zmq_ctx_new();
    char name[96];

    if (!producer) {
        name_of(name, index);
        sockets[0] = new_socket(context, ZMQ_PULL, stream);
        check(zmq_bind(sockets[0], name));
        return;
    }
    for (int i = 0; i < stream->consumers; i++) {
        name_of(name, i);
        sockets[i] = new_socket(context, ZMQ_PUSH, stream);
        check(zmq_connect(sockets[i], name));
    }
}

static void produce(const struct bench_stream *stream, int index, uint64_t first, size_t count, bool many)
{
    static char *message;

    (void)index;
    (void)many;
    message = message ? message : bench_messages(stream, 1);
    for (size_t i = 0; i < count; i++) {
        uint64_t number = first + i;

        memcpy(message, &number, sizeof number);
        check(zmq_send(sockets[i % (size_t)stream->consumers], message, stream->size, 0));
    }
}

static uint64_t consume(const struct bench_stream *stream, int index, size_t count, bool many)
{
    static char *message;
    uint64_t sum = 0;

    (void)index;
    (void)many;
    message = message ? message : bench_messages(stream, 1);
    for (size_t i = 0; i < count; i++) {
        uint64_t number;

        check(zmq_recv(sockets[0], message, stream->size, 0));
        memcpy(&number, message, sizeof number);
        sum += number;
    }
    return sum;
}

static const struct bench_transport transport = {open_nothing, begin, produce, consume, NULL};

/* ---- broadcasts ------------------------------------------------------------------------------ */

/* Who subscribes late misses what was sent before: so the writer waits for the readers' subscriptions, one message each. */
static void begin_broadcast(const struct bench_stream *stream, bool producer, int index)
{
    void *context = zmq_ctx_new();
    int depth = (int)stream->depth, wait = 1;
    char name[96], subscription[8];

    (void)index;
    name_of(name, 0);
    sockets[0] = zmq_socket(context, producer ? ZMQ_XPUB : ZMQ_SUB);
    if (!sockets[0])
        bench_fail("ZeroMQ: %s", zmq_strerror(zmq_errno()));
    check(zmq_setsockopt(sockets[0], producer ? ZMQ_SNDHWM : ZMQ_RCVHWM, &depth, sizeof depth));
    if (!producer) {
        check(zmq_setsockopt(sockets[0], ZMQ_SUBSCRIBE, "", 0));
        check(zmq_connect(sockets[0], name));
        return;
    }
    check(zmq_setsockopt(sockets[0], ZMQ_XPUB_NODROP, &wait, sizeof wait));
    check(zmq_setsockopt(sockets[0], ZMQ_XPUB_VERBOSE, &wait,
                         sizeof wait)); /* each reader's, though they are the same */
    check(zmq_bind(sockets[0], name));
    for (int i = 0; i < stream->consumers; i++)
        check(zmq_recv(sockets[0], subscription, sizeof subscription, 0));
}

static void write_all(const struct bench_stream *stream, int index, uint64_t first, size_t count, bool many)
{
    static char *message;

    (void)index;
    (void)many;
    message = message ? message : bench_messages(stream, 1);
    for (size_t i = 0; i < count; i++) {
        uint64_t number = first + i;

        memcpy(message, &number, sizeof number);
        check(zmq_send(sockets[0], message, stream->size, 0));
    }
}

static const struct bench_transport broadcasts = {open_nothing, begin_broadcast, write_all, consume, NULL};

static void open_broadcast(const char *who)
{
    (void)who;
    bench_stream_open(&broadcasts);
}

static void open_stream(const char *who)
{
    (void)who;
    bench_stream_open(&transport);
}

int main(int argc, char **argv)
{
    static const struct bench_contestant contestants[] = {
        {"queue-*", "zmq", open_stream, bench_stream_run, bench_stream_close},
        {"broadcast-*", "zmq", open_broadcast, bench_stream_run, bench_stream_close},
    };

    return bench_serve(argc, argv, contestants, sizeof contestants / sizeof *contestants);
}
