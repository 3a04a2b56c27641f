/*
 * message/stream.c - messages through a stream socket, in the framing of Python's multiprocessing.connection.
 *
 * A receiver keeps how far it has got, so a call whose time is over in the middle of a message loses nothing: the next one goes on.
 * A sender cannot do so: the caller may reuse the message's bytes. So what was sent in part ends the sending.
 */
#include "message/connection_private.h"

#include "base/failure.h"
#include "os/os.h"

#include <endian.h>
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define WIDE 0xffffffffu /* -1: a length of 8 bytes follows */
#define CALL_MOST ((size_t)1 << 30)

/* ---- sending --------------------------------------------------------------------------------- */

/* The parts from byte `done` on. */
static size_t rest(const struct iovec *parts, size_t done, struct iovec *out)
{
    size_t count = 0;
    for (size_t i = 0; i < 2; i++) {
        if (done >= parts[i].iov_len) {
            done -= parts[i].iov_len;
            continue;
        }
        out[count] = (struct iovec){(char *)parts[i].iov_base + done, parts[i].iov_len - done};
        if (out[count].iov_len > CALL_MOST)
            out[count].iov_len = CALL_MOST;
        done = 0;
        count++;
    }
    return count;
}

static int send_all(kin_connection *connection, const struct iovec parts[2], double deadline)
{
    size_t done = 0, whole = parts[0].iov_len + parts[1].iov_len;
    int error = 0;
    while (done < whole && !error) {
        struct iovec left[2];
        ssize_t sent =
            kin__os_send(connection->handle.fd, left, rest(parts, done, left), NULL, 0, !isinf(deadline));
        if (sent > 0)
            done += (size_t)sent;
        else if (sent == -EAGAIN)
            error = kin__os_poll(connection->handle.fd, POLLOUT, deadline);
        else
            error = kin__connection_error((int)-sent, true);
    }
    if (!error)
        return 0;
    if (done)
        connection->broken = true;
    if (error == KIN_ETIMEDOUT && done)
        return kin__fail(KIN_ETIMEDOUT,
                         "%zu of %zu bytes of a message went out in time; no other can be sent", done, whole);
    return error == KIN_ETIMEDOUT ? kin__connection_late(true) : error;
}

int kin__stream_send(kin_connection *connection, const void *message, size_t size, double deadline)
{
    unsigned char head[12];
    uint32_t narrow = htobe32(size > INT32_MAX ? WIDE : (uint32_t)size);
    uint64_t wide = htobe64(size);
    if (connection->broken)
        return kin__fail(KIN_ECLOSED,
                         "cannot send through a connection: an earlier message went out in part only");
    memcpy(head, &narrow, sizeof narrow);
    memcpy(head + sizeof narrow, &wide, sizeof wide);
    struct iovec parts[2] = {{head, size > INT32_MAX ? sizeof head : sizeof narrow}, {(void *)message, size}};
    return send_all(connection, parts, deadline);
}

/* ---- receiving ------------------------------------------------------------------------------- */

/* Some bytes, at least one: 0 and *got. */
static int receive_some(kin_connection *connection, void *to, size_t most, double deadline, size_t *got)
{
    for (;;) {
        struct iovec part = {to, most > CALL_MOST ? CALL_MOST : most};
        ssize_t bytes = kin__os_recv(connection->handle.fd, &part, 1, NULL, NULL, NULL, !isinf(deadline));
        if (bytes > 0) {
            *got = (size_t)bytes;
            return 0;
        }
        bool begun = connection->in.head_got || connection->in.known;
        if (bytes == 0 || bytes == -ECONNRESET)
            return begun ? kin__fail(KIN_EDIED, "the other side ended in the middle of a message")
                         : kin__fail(KIN_ECLOSED, "no message will come: the other end is closed");
        if (bytes != -EAGAIN)
            return kin__connection_error((int)-bytes, false);
        int error = kin__os_poll(connection->handle.fd, POLLIN, deadline);
        if (error)
            return error == KIN_ETIMEDOUT ? kin__connection_late(false) : error;
    }
}

static int receive_head(kin_connection *connection, double deadline)
{
    struct kin__incoming *in = &connection->in;
    uint32_t narrow = 0;
    uint64_t wide;
    while (!in->known) {
        if (in->head_got >= sizeof narrow)
            memcpy(&narrow, in->head, sizeof narrow);
        size_t want = narrow == WIDE ? sizeof in->head : sizeof narrow, got = 0;
        if (in->head_got < want) {
            int error =
                receive_some(connection, in->head + in->head_got, want - in->head_got, deadline, &got);
            if (error)
                return error;
            in->head_got = (uint8_t)(in->head_got + got);
            continue;
        }
        memcpy(&wide, in->head + sizeof narrow, sizeof wide);
        in->size = narrow == WIDE ? be64toh(wide) : be32toh(narrow);
        in->known = true;
    }
    if (in->size > KIN_MESSAGE_MAX || (in->size > INT32_MAX && in->head_got == sizeof narrow))
        return kin__fail(
            KIN_EMISMATCH,
            "cannot receive from a connection: %02x%02x%02x%02x is no message's length; does the other "
            "side speak the protocol of kin and Python?",
            in->head[0], in->head[1], in->head[2], in->head[3]);
    return 0;
}

/* A call has to leave the message in the middle: keep what it has got, in->got bytes at `buffer` of which the first are kept. */
static void keep(struct kin__incoming *in, const unsigned char *buffer, size_t kept)
{
    if (in->got == kept)
        return;
    if (!in->kept)
        in->kept = malloc(in->size);
    if (in->kept)
        memcpy(in->kept + kept, buffer + kept, in->got - kept);
    else
        in->size = KIN_MESSAGE_MAX + 1; /* the rest of it makes no sense any more: nothing can be received */
}

static int receive_body(kin_connection *connection, unsigned char *buffer, double deadline)
{
    struct kin__incoming *in = &connection->in;
    size_t kept = in->got, got = 0;
    while (in->got < in->size) {
        int error = receive_some(connection, buffer + in->got, in->size - in->got, deadline, &got);
        if (error) {
            keep(in, buffer, kept);
            return error;
        }
        in->got += got;
    }
    if (kept)
        memcpy(buffer, in->kept, kept);
    return 0;
}

int kin__stream_recv(kin_connection *connection, struct kin__sink *sink, double deadline)
{
    struct kin__incoming *in = &connection->in;
    int error = receive_head(connection, deadline);
    if (error)
        return error;
    atomic_store(&connection->waiting, kin__self_id());
    error = kin__sink_open(sink, in->size);
    if (!error)
        error = receive_body(connection, sink->buffer, deadline);
    if (error) {
        /* Only what is at hand whole, or will not come, makes poll say so without a look. */
        if (error == KIN_ETIMEDOUT)
            atomic_store(&connection->waiting, 0);
        return error;
    }
    free(in->kept);
    *in = (struct kin__incoming){0};
    atomic_store(&connection->waiting, 0);
    return 0;
}
