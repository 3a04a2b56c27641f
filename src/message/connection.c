/* message/connection.c - connections: making, closing, and what both kinds of them do alike. See connection_private.h. */
#include "message/connection_private.h"

#include "base/failure.h"
#include "family/checked.h"
#include "family/heap.h"
#include "family/member.h"
#include "family/sealed.h"
#include "kin/heap.h"
#include "message/address.h"
#include "message/transit.h"
#include "os/os.h"
#include "sync/wait.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- making and closing ---------------------------------------------------------------------- */

kin_connection *kin__connection_new(int fd, uint32_t flags)
{
    struct kin__handle *handle = kin__handle_new(fd, flags);
    return handle ? kin__handle_publish(handle, KIN__CONNECTION_MAGIC) : NULL;
}

int kin_pipe(kin_connection *ends[2], bool duplex)
{
    KIN__UNCANCELLED;
    int fds[2];
    if (!ends)
        return kin__fail(KIN_EINVAL, "cannot make a pipe: there is no place for its ends");
    ends[0] = ends[1] = NULL;
    if (!kin__self_id())
        return kin_error_code();
    kin__transit_prepare();
    int error = kin__os_socket_pair(true, fds);
    if (error)
        return error;
    uint32_t pipe = atomic_fetch_add((_Atomic uint32_t *)kin__own(&kin__region->handles), 1)
                    << KIN__PIPE_SHIFT;
    uint32_t first = pipe | KIN__PACKETS | KIN__READS | (duplex ? KIN__WRITES : 0);
    uint32_t second = pipe | KIN__SECOND | KIN__PACKETS | KIN__WRITES | (duplex ? KIN__READS : 0);
    ends[0] = kin__connection_new(fds[0], first);
    if (ends[0])
        ends[1] = kin__connection_new(fds[1], second);
    if (ends[1]) {
        if (!duplex)
            kin__os_shut(fds[1], true);
        return 0;
    }
    kin_error why;
    kin_error_get(&why);
    if (!ends[0])
        close(fds[0]);
    kin_connection_close(ends[0]);
    close(fds[1]);
    ends[0] = NULL;
    return kin__fail_with(&why);
}

kin_connection *kin_connection_from_fd(int fd)
{
    int family, type;
    struct kin__os_address peer;
    if (!kin__os_socket_is(fd, &family, &type) || type != SOCK_STREAM || !kin__os_socket_peer(fd, &peer)) {
        kin__fail(KIN_EINVAL,
                  "cannot make a connection of descriptor %d: it is not a stream socket that is connected",
                  fd);
        return NULL;
    }
    return kin__connection_new(fd, KIN__READS | KIN__WRITES);
}

int kin_connection_close(kin_connection *connection)
{
    KIN__UNCANCELLED;
    int fd;
    if (!connection)
        return 0;
    int error = kin__handle_enter(connection, KIN__CONNECTION_MAGIC, "close a connection");
    if (error)
        return error;
    struct kin__held *held = connection->held;
    bool own = kin__connection_waiting(connection);
    unsigned char *kept = connection->in.kept;
    error = kin__handle_free(connection, "close a connection", &fd);
    if (error) {
        kin__handle_leave(connection);
        return error;
    }
    kin__held_free(held, own);
    free(kept);
    close(fd);
    kin__transit_sweep(); /* what was under way in it, if we were the last that could receive it */
    return 0;
}

/* ---- what calls begin and end with ----------------------------------------------------------- */

int kin__connection_enter(const kin_connection *connection, uint32_t flag, const char *what, double timeout)
{
    int error = kin__handle_enter(connection, KIN__CONNECTION_MAGIC, what);
    if (error)
        return error;
    if (flag && !(connection->handle.flags & flag))
        error = kin__fail(KIN_EPERM, "cannot %s a connection: this end only %s", what,
                          flag == KIN__WRITES ? "receives" : "sends");
    if (!error)
        error = kin__timeout_check(timeout);
    if (error)
        kin__handle_leave(connection);
    return error;
}

int kin__connection_late(bool send)
{
    return kin__fail(KIN_ETIMEDOUT,
                     send ? "could not send a message in time" : "no message has come in time");
}

int kin__connection_lock(kin_connection *connection, bool send, double deadline)
{
    return kin__handle_lock(&connection->handle, send, deadline) ? 0 : kin__connection_late(send);
}

void kin__connection_unlock(kin_connection *connection, bool send)
{
    pthread_mutex_unlock(&connection->handle.locks[send]);
}

int kin__connection_error(int error, bool send)
{
    const char *what = send ? "send through" : "receive from";
    switch (error) {
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN:
    case ESHUTDOWN:
        return kin__fail(KIN_ECLOSED, "cannot %s a connection: its other end is closed", what);
    case ETIMEDOUT: /* TCP: the peer does not answer any more */
    case EHOSTUNREACH:
    case ENETUNREACH:
        return kin__fail_errno(KIN_ECLOSED, error, "cannot %s a connection: its other end is gone", what);
    case ENOMEM:
    case ENOBUFS:
        return kin__fail_errno(KIN_ENOMEM, error, "could not %s a connection", what);
    default:
        return kin__fail_errno(KIN_ESYSTEM, error, "could not %s a connection", what);
    }
}

int kin__sink_open(struct kin__sink *sink, uint64_t size)
{
    sink->size = (size_t)size;
    if (sink->block) {
        /* The user frees it by kin_free, which in these two cases knows only what kin_malloc made. */
        sink->open = !kin__checks_heap() && !kin__is_sealed();
        size_t bytes = size ? (size_t)size : 1;
        sink->buffer = sink->open ? kin__heap_open(bytes, NULL) : kin_malloc(bytes);
        return sink->buffer ? 0 : kin_error_code();
    }
    if (size > sink->capacity)
        return kin__fail(KIN_ETOOLARGE, "a message of %zu bytes does not fit into a buffer of %zu",
                         (size_t)size, sink->capacity);
    return 0;
}

void kin__sink_hand_out(struct kin__sink *sink)
{
    if (sink->open)
        kin__intend(kin__thread_mine, KIN__INTENT_LAST, sink->buffer);
}

void kin__sink_drop(struct kin__sink *sink)
{
    if (!sink->block || !sink->buffer)
        return;
    if (sink->open)
        kin__heap_drop(sink->buffer);
    else
        kin_free(sink->buffer);
    sink->buffer = NULL;
}

/* ---- sending and receiving ------------------------------------------------------------------- */

int kin_connection_send(kin_connection *connection, const void *message, size_t size, double timeout)
{
    KIN__UNCANCELLED;
    int error = kin__connection_enter(connection, KIN__WRITES, "send through", timeout);
    if (error)
        return error;
    double deadline = kin__os_deadline(timeout);
    struct kin__thread *waits = kin__waits_note(KIN__FOR_SENDING, (uint64_t)connection->handle.fd, timeout);
    if (size && !message)
        error = kin__fail(KIN_EINVAL, "cannot send a message: it is NULL, but its size is %zu", size);
    else if (size > KIN_MESSAGE_MAX)
        error = kin__fail(KIN_ETOOLARGE, "cannot send a message of %zu bytes: at most %zu", size,
                          KIN_MESSAGE_MAX);
    else if (connection->handle.flags & KIN__PACKETS)
        error = kin__packet_send(connection, message, size, deadline);
    else if ((error = kin__connection_lock(connection, true, deadline)) == 0) {
        error = kin__stream_send(connection, message, size, deadline);
        kin__connection_unlock(connection, true);
    }
    kin__waits_noted(waits);
    kin__handle_leave(connection);
    return error;
}

int kin_connection_give(kin_connection *connection, void *block, size_t size, double timeout)
{
    KIN__UNCANCELLED;
    if (!kin_is_shared(block))
        return kin__fail(KIN_ENOTSHARED, "cannot give %p to a connection: it is no memory of the shared heap",
                         block);
    size_t has = kin_usable_size(block);
    if (!has || size > has)
        return kin__fail(KIN_EINVAL, "cannot give %zu bytes at %p to a connection: %s", size, block,
                         has ? "the block is smaller" : "it is not a block in use");
    int error = kin__connection_enter(connection, KIN__WRITES, "send through", timeout);
    if (error)
        return error;
    double deadline = kin__os_deadline(timeout);
    struct kin__thread *waits = kin__waits_note(KIN__FOR_SENDING, (uint64_t)connection->handle.fd, timeout);
    error = connection->handle.flags & KIN__PACKETS ? kin__packet_give(connection, block, size, deadline)
                                                    : KIN_ENOTSUP;
    kin__waits_noted(waits);
    kin__handle_leave(connection);
    if (error != KIN_ENOTSUP)
        return error;
    error = kin_connection_send(connection, block, size, kin__os_left(deadline));
    if (!error)
        kin_free(block);
    return error;
}

static int receive(kin_connection *connection, struct kin__sink *sink, double timeout)
{
    KIN__UNCANCELLED;
    int error = kin__connection_enter(connection, KIN__READS, "receive from", timeout);
    if (error)
        return error;
    double deadline = kin__os_deadline(timeout);
    struct kin__thread *waits = kin__waits_note(KIN__FOR_MESSAGE, (uint64_t)connection->handle.fd, timeout);
    error = kin__connection_lock(connection, false, deadline);
    if (!error) {
        error = connection->handle.flags & KIN__PACKETS ? kin__packet_recv(connection, sink, deadline)
                                                        : kin__stream_recv(connection, sink, deadline);
        kin__connection_unlock(connection, false);
    }
    kin__waits_noted(waits);
    kin__handle_leave(connection);
    return error;
}

int kin_connection_recv(kin_connection *connection, void *buffer, size_t capacity, size_t *size,
                        double timeout)
{
    if (capacity && !buffer)
        return kin__fail(KIN_EINVAL, "cannot receive: the buffer is NULL, but its size is %zu", capacity);
    struct kin__sink sink = {.buffer = buffer, .capacity = capacity};
    int error = receive(connection, &sink, timeout);
    if (size && (!error || error == KIN_ETOOLARGE))
        *size = sink.size;
    return error;
}

int kin_connection_take(kin_connection *connection, kin_message *out, double timeout)
{
    if (!out)
        return kin__fail(KIN_EINVAL, "cannot take a message: there is no place for it");
    if (!kin__thread_self())
        return kin_error_code();
    struct kin__sink sink = {.block = true};
    int error = receive(connection, &sink, timeout);
    if (error) {
        kin__sink_drop(&sink);
        return error;
    }
    kin__sink_hand_out(&sink);
    *out = (kin_message){.data = sink.buffer, .size = sink.size};
    return 0;
}

int kin_connection_poll(kin_connection *connection, double timeout)
{
    KIN__UNCANCELLED;
    int error = kin__connection_enter(connection, KIN__READS, "receive from", timeout);
    if (error)
        return error;
    struct kin__thread *waits = kin__waits_note(KIN__FOR_MESSAGE, (uint64_t)connection->handle.fd, timeout);
    if (!kin__connection_waiting(connection))
        error = kin__os_poll(connection->handle.fd, POLLIN, kin__os_deadline(timeout));
    kin__waits_noted(waits);
    if (error == KIN_ETIMEDOUT)
        kin__connection_late(false);
    kin__handle_leave(connection);
    return error;
}

/* ---- asking ---------------------------------------------------------------------------------- */

int kin_connection_fd(const kin_connection *connection)
{
    if (kin__handle_enter(connection, KIN__CONNECTION_MAGIC, "ask for a connection's descriptor") != 0)
        return -1;
    int fd = connection->handle.fd;
    kin__handle_leave(connection);
    return fd;
}

static bool goes(const kin_connection *connection, uint32_t flag)
{
    if (kin__handle_enter(connection, KIN__CONNECTION_MAGIC, "ask which ways a connection goes") != 0)
        return false;
    bool it_does = (connection->handle.flags & flag) != 0;
    kin__handle_leave(connection);
    return it_does;
}

bool kin_connection_readable(const kin_connection *connection)
{
    return goes(connection, KIN__READS);
}

bool kin_connection_writable(const kin_connection *connection)
{
    return goes(connection, KIN__WRITES);
}

void kin__connection_peer(int fd, char *out, size_t size)
{
    struct kin__os_address peer;
    char text[KIN__ADDRESS_MOST];
    pid_t pid;
    uid_t uid;
    if (!kin__os_socket_peer(fd, &peer))
        snprintf(out, size, "nobody");
    else if (peer.storage.ss_family == AF_UNIX && kin__os_peer(fd, &pid, &uid))
        snprintf(out, size, "pid %d, uid %u", (int)pid, (unsigned)uid);
    else {
        kin__address_write(&peer, text);
        snprintf(out, size, "%s", text);
    }
}

char *kin_connection_peer(const kin_connection *connection, char *buffer, size_t size)
{
    if (!buffer || !size)
        return buffer;
    buffer[0] = '\0';
    if (kin__handle_enter(connection, KIN__CONNECTION_MAGIC, "ask for a connection's peer") != 0)
        return buffer;
    kin__connection_peer(connection->handle.fd, buffer, size);
    kin__handle_leave(connection);
    return buffer;
}
