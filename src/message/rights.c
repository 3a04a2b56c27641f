/*
 * message/rights.c - descriptors, and connections, sent through connections.
 *
 * Through a stream they go as Python's multiprocessing.reduction sends them: one byte, how many, with the descriptors beside it
 * (SCM_RIGHTS). Nothing in the stream tells that one comes; both sides have to know.
 */
#include "message/connection_private.h"

#include "base/failure.h"
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <unistd.h>

/* ---- sending --------------------------------------------------------------------------------- */

static int send_byte(kin_connection *connection, int fd, double deadline)
{
    unsigned char one = 1;
    struct iovec part = {&one, 1};
    int family, type;
    if (!kin__os_socket_is(connection->handle.fd, &family, &type) || family != AF_UNIX)
        return kin__fail(KIN_ENOTSUP,
                         "cannot send a descriptor through TCP: it means nothing on another machine");
    if (connection->broken)
        return kin__fail(KIN_ECLOSED,
                         "cannot send through a connection: an earlier message went out in part only");
    for (;;) {
        ssize_t sent = kin__os_send(connection->handle.fd, &part, 1, &fd, 1, !isinf(deadline));
        if (sent > 0)
            return 0;
        if (sent != -EAGAIN)
            return kin__connection_error((int)-sent, true);
        int error = kin__os_poll(connection->handle.fd, POLLOUT, deadline);
        if (error)
            return error == KIN_ETIMEDOUT ? kin__connection_late(true) : error;
    }
}

static int send_right(kin_connection *connection, const struct kin__packet *head, int fd, double timeout)
{
    KIN__UNCANCELLED;
    int error = kin__connection_enter(connection, KIN__WRITES, "send through", timeout);
    if (error)
        return error;
    double deadline = kin__os_deadline(timeout);
    if (fd < 0 || fcntl(fd, F_GETFD) < 0)
        error = kin__fail(KIN_EINVAL, "cannot send descriptor %d: this process has none of that number", fd);
    else if (connection->handle.flags & KIN__PACKETS)
        error = kin__packet_send_fd(connection, head, fd, deadline);
    else if (head->kind == KIN__PACKET_CONNECTION && head->slot & KIN__PACKETS)
        error = kin__fail(KIN_ENOTSUP,
                          "cannot send a pipe's end through a stream: it goes through pipes only, as its "
                          "messages lie in the family's memory");
    else if ((error = kin__connection_lock(connection, true, deadline)) == 0) {
        error = send_byte(connection, fd, deadline);
        kin__connection_unlock(connection, true);
    }
    kin__handle_leave(connection);
    return error;
}

int kin_connection_send_fd(kin_connection *connection, int fd, double timeout)
{
    struct kin__packet head = {.kind = KIN__PACKET_FD};
    return send_right(connection, &head, fd, timeout);
}

int kin_connection_send_connection(kin_connection *connection, const kin_connection *sent, double timeout)
{
    int error = kin__handle_enter(sent, KIN__CONNECTION_MAGIC, "send a connection");
    if (error)
        return error;
    struct kin__packet head = {.kind = KIN__PACKET_CONNECTION, .slot = sent->handle.flags};
    error = send_right(connection, &head, sent->handle.fd, timeout);
    kin__handle_leave(sent);
    return error;
}

/* ---- receiving ------------------------------------------------------------------------------- */

static int receive_byte(kin_connection *connection, int *fd, double deadline)
{
    if (connection->in.head_got || connection->in.known)
        return kin__fail(KIN_EINVAL,
                         "cannot receive a descriptor: a message has come in part, or is too large; receive "
                         "that first");
    for (;;) {
        unsigned char one;
        size_t count = 0;
        int fds[KIN__OS_FDS_MOST];
        struct iovec part = {&one, 1};
        ssize_t got = kin__os_recv(connection->handle.fd, &part, 1, fds, &count, NULL, !isinf(deadline));
        if (got == 0 || got == -ECONNRESET)
            return kin__fail(KIN_ECLOSED, "no descriptor will come: the other end is closed");
        if (got > 0) {
            for (size_t i = 1; i < count; i++)
                close(fds[i]);
            *fd = count ? fds[0] : -1;
            return count ? 0
                         : kin__fail(KIN_EMISMATCH,
                                     "no descriptor has come, but a byte %02x: the other side sends "
                                     "something else, or too many files are open here",
                                     one);
        }
        if (got != -EAGAIN)
            return kin__connection_error((int)-got, false);
        int error = kin__os_poll(connection->handle.fd, POLLIN, deadline);
        if (error)
            return error == KIN_ETIMEDOUT ? kin__connection_late(false) : error;
    }
}

static int receive_right(kin_connection *connection, enum kin__packet_kind kind, int *fd, uint32_t *flags,
                         double timeout)
{
    KIN__UNCANCELLED;
    int error = kin__connection_enter(connection, KIN__READS, "receive from", timeout);
    if (error)
        return error;
    double deadline = kin__os_deadline(timeout);
    error = kin__connection_lock(connection, false, deadline);
    if (!error) {
        *flags = KIN__READS | KIN__WRITES;
        error = connection->handle.flags & KIN__PACKETS
                    ? kin__packet_recv_fd(connection, kind, fd, flags, deadline)
                    : receive_byte(connection, fd, deadline);
        kin__connection_unlock(connection, false);
    }
    kin__handle_leave(connection);
    return error;
}

int kin_connection_recv_fd(kin_connection *connection, int *fd, double timeout)
{
    uint32_t flags;
    if (!fd)
        return kin__fail(KIN_EINVAL, "cannot receive a descriptor: there is no place for it");
    *fd = -1;
    return receive_right(connection, KIN__PACKET_FD, fd, &flags, timeout);
}

kin_connection *kin_connection_recv_connection(kin_connection *connection, double timeout)
{
    KIN__UNCANCELLED;
    uint32_t flags = 0;
    int fd = -1;
    if (receive_right(connection, KIN__PACKET_CONNECTION, &fd, &flags, timeout) != 0)
        return NULL;
    kin_connection *got = flags & KIN__PACKETS ? kin__connection_new(fd, flags) : kin_connection_from_fd(fd);
    if (!got)
        close(fd);
    return got;
}
