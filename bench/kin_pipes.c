/* kin_pipes.c - messages through a kin_pipe, and through kin's connections on streams (kin-stream): the cases pipe-1-1-SIZE. */
#include "run_kin.h"
#include "streams.h"

#include <kin.h>

#include <string.h>
#include <sys/socket.h>

static kin_connection *ends[2];

static void check(int error)
{
    if (error)
        bench_fail("%s", kin_error_message());
}

static void open_pipe(const struct bench_stream *stream)
{
    (void)stream;
    check(kin_pipe(ends, false));
}

static void open_stream(const struct bench_stream *stream)
{
    int fds[2];

    (void)stream;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) ||
        !(ends[0] = kin_connection_from_fd(fds[0])) || !(ends[1] = kin_connection_from_fd(fds[1])))
        bench_fail("no sockets");
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
        check(kin_connection_send(ends[1], message, stream->size, KIN_FOREVER));
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

        check(kin_connection_recv(ends[0], message, stream->size, NULL, KIN_FOREVER));
        memcpy(&number, message, sizeof number);
        sum += number;
    }
    return sum;
}

static void close_ends(const struct bench_stream *stream)
{
    (void)stream;
    kin_connection_close(ends[0]);
    kin_connection_close(ends[1]);
}

void kin_pipe_open(const char *who)
{
    static const struct bench_transport pipe_transport = {open_pipe, NULL, produce, consume, close_ends};
    static const struct bench_transport stream_transport = {open_stream, NULL, produce, consume, close_ends};

    bench_stream_open(!strcmp(who, "kin") ? &pipe_transport : &stream_transport);
}
