/* c_pipes.c - messages through what a kin_pipe stands on: a pair of sockets, of packets or of a stream with a length before
 * each message; and pipe(2), with the same. The cases pipe-1-1-SIZE. */
#include "run_c.h"
#include "streams.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PACKET_MOST = 65536 }; /* what a socket takes at once by default is some 200 KiB */

static int fds[2];
static bool packets;

static void open_sockets(const struct bench_stream *stream)
{
    packets = stream->size <= PACKET_MOST;
    if (socketpair(AF_UNIX, packets ? SOCK_SEQPACKET : SOCK_STREAM, 0, fds))
        bench_fail("no sockets: %s", strerror(errno));
}

static void open_pipe(const struct bench_stream *stream)
{
    (void)stream;
    if (pipe(fds))
        bench_fail("no pipe: %s", strerror(errno));
}

static void write_all(const char *message, size_t size)
{
    uint32_t length = htonl((uint32_t)size);
    size_t whole = size + sizeof length;

    for (size_t done = 0; done < whole;) {
        struct iovec parts[2] = {{&length, sizeof length}, {(char *)message, size}};
        ssize_t written;

        if (done >= sizeof length)
            written = write(fds[1], message + done - sizeof length, whole - done);
        else
            written = writev(fds[1], parts, 2);
        if (written < 0)
            bench_fail("no write: %s", strerror(errno));
        done += (size_t)written;
    }
}

static void read_all(char *to, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = read(fds[0], to + done, size - done);

        if (got <= 0)
            bench_fail("no read: %s", strerror(errno));
        done += (size_t)got;
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
        if (!packets)
            write_all(message, stream->size);
        else if (send(fds[1], message, stream->size, 0) != (ssize_t)stream->size)
            bench_fail("no send: %s", strerror(errno));
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
        uint32_t length;

        if (packets) {
            if (recv(fds[0], message, stream->size, 0) != (ssize_t)stream->size)
                bench_fail("no receive: %s", strerror(errno));
        } else {
            read_all((char *)&length, sizeof length);
            read_all(message, ntohl(length));
        }
        memcpy(&number, message, sizeof number);
        sum += number;
    }
    return sum;
}

static void close_fds(const struct bench_stream *stream)
{
    (void)stream;
    close(fds[0]);
    close(fds[1]);
}

void c_pipe_open(const char *who)
{
    static const struct bench_transport sockets = {open_sockets, NULL, produce, consume, close_fds};
    static const struct bench_transport pipes = {open_pipe, NULL, produce, consume, close_fds};

    bench_stream_open(!strcmp(who, "socketpair") ? &sockets : &pipes);
}
