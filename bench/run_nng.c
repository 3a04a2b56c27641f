/* run_nng.c - messages over nng, ipc: a pull socket for each consumer, a push socket of each producer to each. */
#include "streams.h"

#include <nng/nng.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>

#include <stdio.h>
#include <string.h>

static nng_socket sockets[BENCH_MOST_SIDE];

/* In the abstract namespace: nothing to remove. */
static void name_of(char name[96], int index)
{
    char own[64];

    bench_stream_name(own, "nng", index);
    snprintf(name, 96, "abstract://%s", own);
}

static void check(int error)
{
    if (error)
        bench_fail("nng: %s", nng_strerror(error));
}

static void open_nothing(const struct bench_stream *stream)
{
    (void)stream;
}

static void begin(const struct bench_stream *stream, bool producer, int index)
{
    int depth = stream->depth > 1024 ? 1024 : (int)stream->depth;
    char name[96];

    if (!producer) {
        name_of(name, index);
        check(nng_pull0_open(&sockets[0]));
        nng_socket_set_int(sockets[0], NNG_OPT_RECVBUF, depth); /* where this version can */
        check(nng_socket_set_size(sockets[0], NNG_OPT_RECVMAXSZ, 0));
        check(nng_listen(sockets[0], name, NULL, 0));
        return;
    }
    for (int i = 0; i < stream->consumers; i++) {
        name_of(name, i);
        check(nng_push0_open(&sockets[i]));
        nng_socket_set_int(sockets[i], NNG_OPT_SENDBUF, depth);
        check(nng_dial(sockets[i], name, NULL, NNG_FLAG_NONBLOCK));
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
        check(nng_send(sockets[i % (size_t)stream->consumers], message, stream->size, 0));
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
        size_t size = stream->size;
        uint64_t number;

        check(nng_recv(sockets[0], message, &size, 0));
        memcpy(&number, message, sizeof number);
        sum += number;
    }
    return sum;
}

static const struct bench_transport transport = {open_nothing, begin, produce, consume, NULL};
static void open_stream(const char *who)
{
    (void)who;
    bench_stream_open(&transport);
}

int main(int argc, char **argv)
{
    static const struct bench_contestant contestant = {"queue-*", "nng", open_stream, bench_stream_run,
                                                       bench_stream_close};

    return bench_serve(argc, argv, &contestant, 1);
}
