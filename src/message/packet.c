/*
 * message/packet.c - messages within the family, through SOCK_SEQPACKET: see connection_private.h.
 *
 * What is larger than a packet goes as a block of the heap, with a token that tells whether it can still be received (transit.h). Where
 * that cannot be, it goes in a memfd whose descriptor the packet carries: the kernel owns it while it is under way.
 */
#include "message/connection_private.h"

#include "base/failure.h"
#include "family/checked.h"
#include "family/heap.h"
#include "family/sealed.h"
#include "family/span.h"
#include "kin/heap.h"
#include "message/gate.h"
#include "message/transit.h"
#include "os/os.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FILES_MOST 16384 /* bytes of the socket's memory that are in use: some ten packets */

size_t kin__packet_most = KIN__PACKET_MOST;

/* ---- sending --------------------------------------------------------------------------------- */

/* A user may have only so many descriptors under way in sockets; nothing tells when there are fewer. */
static int pause_until(double deadline)
{
    if (kin__os_left(deadline) <= 0)
        return KIN_ETIMEDOUT;
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return 0;
}

static int send_packet(kin_connection *connection, const struct kin__packet *head, const void *data,
                       size_t size, int fd, double deadline)
{
    struct iovec parts[2] = {{(void *)head, sizeof *head}, {(void *)data, size}};
    for (;;) {
        ssize_t sent =
            kin__os_send(connection->handle.fd, parts, size ? 2 : 1, &fd, fd >= 0, !isinf(deadline));
        if (sent >= 0)
            return 0;
        if (sent ==
            -ECONNRESET) /* it was closed with messages of ours in it, told once; what else there is follows */
            continue;
        if (sent != -EAGAIN && sent != -ETOOMANYREFS)
            return kin__connection_error((int)-sent, true);
        int error =
            sent == -EAGAIN ? kin__os_poll(connection->handle.fd, POLLOUT, deadline) : pause_until(deadline);
        if (error)
            return error == KIN_ETIMEDOUT ? kin__connection_late(true) : error;
    }
}

/* Files are nothing to the socket, which would take some 200 of them whatever their size. */
static int await_few(const kin_connection *connection, double deadline)
{
    while (kin__os_unread(connection->handle.fd) > FILES_MOST) {
        int error = pause_until(deadline);
        if (error)
            return kin__connection_late(true);
    }
    return 0;
}

static int send_file(kin_connection *connection, const unsigned char *message, size_t size, double deadline)
{
    int fd, error = await_few(connection, deadline);
    if (!error)
        error = kin__os_memfd_new("kin-message", size, &fd);
    if (error)
        return error;
    kin__passing_note(fd);
    for (size_t done = 0; done < size && !error;) {
        ssize_t wrote = pwrite(fd, message + done, size - done, (off_t)done);
        if (wrote > 0)
            done += (size_t)wrote;
        else if (errno != EINTR)
            error = kin__fail_errno(KIN_ENOMEM, errno, "could not send a message of %zu bytes", size);
    }
    struct kin__packet head = {.kind = KIN__PACKET_FILE, .size = size};
    if (!error)
        error = send_packet(connection, &head, NULL, 0, fd, deadline);
    kin__passing_close(fd);
    return error;
}

/* A block that is in transit. */
static int send_block(kin_connection *connection, const struct kin__ticket *ticket, size_t size, bool given,
                      double deadline)
{
    struct kin__packet head = {
        .kind = KIN__PACKET_BLOCK, .slot = ticket->slot, .number = ticket->number, .size = size};
    int error = send_packet(connection, &head, NULL, 0, ticket->token, deadline);
    if (error)
        kin__transit_cancel(ticket, given);
    else
        kin__transit_sent(ticket);
    return error;
}

static int send_large(kin_connection *connection, const void *message, size_t size, double deadline)
{
    struct kin__ticket ticket;
    int error = kin__transit_reserve(connection->handle.flags >> KIN__WAY_SHIFT, size, deadline, &ticket);
    if (error == KIN_ETIMEDOUT)
        return kin__connection_late(true);
    if (!error)
        error = kin__transit_copy(&ticket, message, size);
    if (!error)
        return send_block(connection, &ticket, size, false, deadline);
    if (error == KIN_ENOTSUP || error == KIN_ENOMEM) /* as a file it needs nothing of the heap */
        return send_file(connection, message, size, deadline);
    return error;
}

int kin__packet_send(kin_connection *connection, const void *message, size_t size, double deadline)
{
    struct kin__packet head = {.kind = KIN__PACKET_BYTES};
    return size <= kin__packet_most ? send_packet(connection, &head, message, size, -1, deadline)
                                    : send_large(connection, message, size, deadline);
}

int kin__packet_give(kin_connection *connection, void *block, size_t size, double deadline)
{
    struct kin__ticket ticket;
    if (kin_usable_size(block) <= KIN__SMALL_MAX || kin__checks_heap() || size == 0 || kin__is_sealed())
        return KIN_ENOTSUP;
    int error = kin__transit_reserve(connection->handle.flags >> KIN__WAY_SHIFT, size, deadline, &ticket);
    if (error == KIN_ETIMEDOUT)
        return kin__connection_late(true);
    if (error)
        return error;
    kin__transit_give(&ticket, block);
    return send_block(connection, &ticket, size, true, deadline);
}

int kin__packet_send_fd(kin_connection *connection, const struct kin__packet *head, int fd, double deadline)
{
    return send_packet(connection, head, NULL, 0, fd, deadline);
}

/* ---- receiving ------------------------------------------------------------------------------- */

static void close_fds(struct kin__held *with)
{
    while (with->fd_count)
        kin__passing_close(with->fds[--with->fd_count]);
}

void kin__held_free(struct kin__held *held, bool own)
{
    if (held && own)
        close_fds(held);
    free(held);
}

/* The next packet, into head, buffer and spare: its length goes to *got. */
static int next_packet(kin_connection *connection, struct iovec parts[3], struct kin__held *with,
                       double deadline, size_t *got)
{
    for (;;) {
        bool cut;
        ssize_t bytes =
            kin__os_recv(connection->handle.fd, parts, 3, with->fds, &with->fd_count, &cut, !isinf(deadline));
        for (size_t i = 0; bytes > 0 && i < with->fd_count; i++)
            kin__passing_note(with->fds[i]);
        if (bytes >= (ssize_t)sizeof with->head && !cut && with->head.kind >= KIN__PACKET_BYTES &&
            with->head.kind <= KIN__PACKET_CONNECTION) {
            *got = (size_t)bytes - sizeof with->head;
            return 0;
        }
        if (bytes > 0) {
            close_fds(with);
            return kin__fail(KIN_EMISMATCH,
                             "cannot receive from a connection: what came is no message of kin");
        }
        if (bytes == 0)
            return kin__fail(KIN_ECLOSED, "no message will come: the other end is closed");
        if (bytes == -ECONNRESET) /* told once, before what is still to be received */
            continue;
        if (bytes != -EAGAIN)
            return kin__connection_error((int)-bytes, false);
        int error = kin__os_poll(connection->handle.fd, POLLIN, deadline);
        if (error)
            return error == KIN_ETIMEDOUT ? kin__connection_late(false) : error;
    }
}

/* Keep a packet whose bytes lie in buffer and spare. */
static int hold(kin_connection *connection, struct kin__held *with, const struct iovec parts[3])
{
    size_t first = with->size < parts[1].iov_len ? with->size : parts[1].iov_len;
    struct kin__held *held = malloc(sizeof *held + with->size);
    if (!held) {
        close_fds(with);
        return kin__fail(KIN_ENOMEM, "could not keep a message of %zu bytes: out of memory; it is lost",
                         with->size);
    }
    memcpy(held, with, sizeof *held);
    if (first)
        memcpy(held->data, parts[1].iov_base, first);
    memcpy(held->data + first, parts[2].iov_base, with->size - first);
    connection->held = held;
    atomic_store(&connection->waiting, kin__self_id());
    return 0;
}

/* Have one that waits here. 1: it was small, and lies in the sink's buffer already. */
static int fetch(kin_connection *connection, struct kin__sink *sink, double deadline)
{
    struct kin__held with = {.fd_count = 0};
    unsigned char spare[KIN__PACKET_MOST];
    size_t room = sink->block ? 0 : sink->capacity < KIN__PACKET_MOST ? sink->capacity : KIN__PACKET_MOST;
    struct iovec parts[3] = {
        {&with.head, sizeof with.head}, {sink->block ? NULL : sink->buffer, room}, {spare, sizeof spare}};
    int error = next_packet(connection, parts, &with, deadline, &with.size);
    if (error)
        return error;
    if (with.head.kind == KIN__PACKET_BYTES && with.size <= room && !sink->block) {
        close_fds(&with); /* nobody sends any with it */
        sink->size = with.size;
        return 1;
    }
    return hold(connection, &with, parts);
}

static int read_file(int fd, unsigned char *to, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(fd, to + done, size - done, (off_t)done);
        if (got > 0)
            done += (size_t)got;
        else if (got == 0 || errno != EINTR)
            return kin__fail_errno(KIN_EDAMAGED, got ? errno : EIO, "could not read a message of %zu bytes",
                                   size);
    }
    return 0;
}

static void let_go(kin_connection *connection)
{
    struct kin__held *held = connection->held;
    bool own = kin__connection_waiting(connection);
    connection->held = NULL; /* first: another thread may fork meanwhile */
    atomic_store(&connection->waiting, 0);
    kin__held_free(held, own);
}

/* What waits here. What a process forked with is its parent's, who still gets it. */
static struct kin__held *held_by(kin_connection *connection)
{
    if (connection->held && !kin__connection_waiting(connection))
        let_go(connection);
    return connection->held;
}

static const char *name_of(const struct kin__held *held)
{
    return held->head.kind == KIN__PACKET_FD           ? "descriptor"
           : held->head.kind == KIN__PACKET_CONNECTION ? "connection"
                                                       : "message";
}

/* Copied out of a block that is ours; or the block itself is what is wanted. */
static int claim_block(const struct kin__held *held, struct kin__sink *sink)
{
    sink->size = (size_t)held->head.size;
    if (!sink->block && sink->size > sink->capacity)
        return kin__sink_open(sink, held->head.size);
    void *block = kin__transit_claim(held->head.slot, held->head.number, sink->size);
    if (!block)
        return kin_error_code();
    if (sink->block) {
        sink->open = true;
        sink->buffer = block;
        return 0;
    }
    memcpy(sink->buffer, block, sink->size);
    kin__heap_drop(block);
    return 0;
}

/* Where the block cannot be had, it is looked at, and swept by others when its token is closed. */
static int look_at_block(const struct kin__held *held, struct kin__sink *sink)
{
    const void *block = kin__transit_look(held->head.slot, held->head.number, (size_t)held->head.size);
    if (!block)
        return kin_error_code();
    int error = kin__sink_open(sink, held->head.size);
    if (!error)
        memcpy(sink->buffer, block, sink->size);
    return error;
}

static int copy_block(const struct kin__held *held, struct kin__sink *sink, double deadline)
{
    if (!held->fd_count)
        return kin__fail(KIN_ELIMIT, "a message of %zu bytes is lost: this process has too many open files",
                         (size_t)held->head.size);
    if (kin__is_sealed() || (sink->block && kin__checks_heap()))
        return look_at_block(held, sink);
    if (!kin__thread_self())
        return kin_error_code();
    struct kin__patience patience = {.deadline = deadline};
    return kin__heap_reach(kin__patience_grace(&patience)) ? claim_block(held, sink) : kin__heap_stopped();
}

static int copy_file(const struct kin__held *held, struct kin__sink *sink)
{
    int error = kin__sink_open(sink, held->head.size);
    if (error)
        return error;
    return held->fd_count
               ? read_file(held->fds[0], sink->buffer, sink->size)
               : kin__fail(KIN_ELIMIT, "a message of %zu bytes is lost: this process has too many open files",
                           sink->size);
}

static int copy_bytes(const struct kin__held *held, struct kin__sink *sink)
{
    int error = kin__sink_open(sink, held->size);
    if (!error && sink->size)
        memcpy(sink->buffer, held->data, sink->size);
    return error;
}

/* What can be tried again stays. */
static int copy_out(kin_connection *connection, struct kin__sink *sink, double deadline)
{
    const struct kin__held *held = connection->held;
    int error;
    switch ((enum kin__packet_kind)held->head.kind) {
    case KIN__PACKET_BYTES:
        error = copy_bytes(held, sink);
        break;
    case KIN__PACKET_BLOCK:
        error = copy_block(held, sink, deadline);
        break;
    case KIN__PACKET_FILE:
        error = copy_file(held, sink);
        break;
    default:
        return kin__fail(KIN_EINVAL, "cannot receive a message: what comes next is a %s", name_of(held));
    }
    if (error != KIN_ETOOLARGE && error != KIN_ENOMEM && error != KIN_EMEMLIMIT && error != KIN_ETIMEDOUT)
        let_go(connection);
    return error;
}

int kin__packet_recv(kin_connection *connection, struct kin__sink *sink, double deadline)
{
    if (!held_by(connection)) {
        int error = fetch(connection, sink, deadline);
        if (error)
            return error == 1 ? 0 : error;
    }
    return connection->held ? copy_out(connection, sink, deadline) : kin_error_code();
}

int kin__packet_recv_fd(kin_connection *connection, enum kin__packet_kind kind, int *fd, uint32_t *flags,
                        double deadline)
{
    struct kin__sink none = {.block = true}; /* nothing is wanted in place */
    int error = held_by(connection) ? 0 : fetch(connection, &none, deadline);
    struct kin__held *held = connection->held;
    if (error || !held)
        return error;
    if (held->head.kind != kind)
        return kin__fail(KIN_EINVAL, "cannot receive a %s: what comes next is a %s",
                         kind == KIN__PACKET_FD ? "descriptor" : "connection", name_of(held));
    if (held->fd_count) {
        *fd = held->fds[0];
        kin__passing_forget(*fd);
        *flags = held->head.slot;
        held->fds[0] = held->fds[--held->fd_count]; /* more than one are none of kin's, and go */
    } else {
        error = kin__fail(KIN_ELIMIT, "a %s is lost: this process has too many open files", name_of(held));
    }
    let_go(connection);
    return error;
}
