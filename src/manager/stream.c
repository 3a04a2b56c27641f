/* manager/stream.c - see stream.h. */
#include "manager/stream.h"

#include "base/failure.h"
#include "os/os.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

bool kin__address_is_beyond(const struct kin__os_address *address)
{
    if (address->storage.ss_family == AF_UNIX)
        return false;
    if (address->storage.ss_family == AF_INET) {
        struct sockaddr_in four;
        memcpy(&four, &address->storage, sizeof four);
        return ntohl(four.sin_addr.s_addr) >> 24 != 127;
    }
    struct sockaddr_in6 six;
    memcpy(&six, &address->storage, sizeof six);
    bool mapped = IN6_IS_ADDR_V4MAPPED(&six.sin6_addr);
    return !IN6_IS_ADDR_LOOPBACK(&six.sin6_addr) && !(mapped && six.sin6_addr.s6_addr[12] == 127);
}

/* 0, KIN_ETIMEDOUT or KIN_ECLOSED; the record stays as it is. */
static int wait_for(int fd, short events, double deadline)
{
    int error = kin__os_poll(fd, events, deadline);
    return error == KIN_ETIMEDOUT || !error ? error : KIN_ECLOSED;
}

ssize_t kin__socket_send(struct kin__socket *stream, const void *data, size_t size)
{
    if (stream->tls)
        return kin__tls_send(stream->tls, data, size);
    struct iovec part = {(void *)(uintptr_t)data, size};
    return kin__os_send(stream->fd, &part, 1, NULL, 0, true);
}

ssize_t kin__socket_receive(struct kin__socket *stream, void *data, size_t size)
{
    if (stream->tls)
        return kin__tls_receive(stream->tls, data, size);
    struct iovec part = {data, size};
    return kin__os_recv(stream->fd, &part, 1, NULL, NULL, NULL, true);
}

short kin__socket_wants(const struct kin__socket *stream, short events)
{
    return stream->tls ? kin__tls_wants(stream->tls) : events;
}

bool kin__socket_pending(const struct kin__socket *stream)
{
    return stream->tls && kin__tls_pending(stream->tls);
}

int kin__socket_send_all(struct kin__socket *stream, const void *data, size_t size, double deadline)
{
    const char *at = data;
    while (size) {
        ssize_t sent = kin__socket_send(stream, at, size);
        if (sent == -EAGAIN) {
            int error = wait_for(stream->fd, kin__socket_wants(stream, POLLOUT), deadline);
            if (error)
                return error;
        } else if (sent < 0) {
            return KIN_ECLOSED;
        } else {
            at += sent;
            size -= (size_t)sent;
        }
    }
    return 0;
}

/* A plain socket is waited for by one call of the system where there is no deadline. */
ssize_t kin__socket_receive_some(struct kin__socket *stream, void *data, size_t size, double deadline)
{
    struct iovec part = {data, size};
    for (;;) {
        bool waits = !stream->tls && isinf(deadline);
        ssize_t got = waits ? kin__os_recv(stream->fd, &part, 1, NULL, NULL, NULL, false)
                            : kin__socket_receive(stream, data, size);
        if (got > 0)
            return got;
        if (got != -EAGAIN)
            return KIN_ECLOSED;
        int error = wait_for(stream->fd, kin__socket_wants(stream, POLLIN), deadline);
        if (error)
            return error;
    }
}

int kin__socket_receive_all(struct kin__socket *stream, void *data, size_t size, double deadline)
{
    char *at = data;
    while (size) {
        ssize_t got = kin__socket_receive_some(stream, at, size, deadline);
        if (got < 0)
            return (int)got;
        at += got;
        size -= (size_t)got;
    }
    return 0;
}

int kin__socket_shake_hands(struct kin__socket *stream, double deadline)
{
    for (;;) {
        int error = kin__tls_shake_hands(stream->tls);
        if (error == -EAGAIN)
            error = wait_for(stream->fd, kin__tls_wants(stream->tls), deadline);
        else if (error == -EPROTO)
            return kin__tls_untrusted(stream->tls) ? KIN_EPERM : KIN_EMISMATCH;
        else
            return error ? KIN_ECLOSED : 0;
        if (error)
            return error;
    }
}

void kin__socket_close(struct kin__socket *stream)
{
    kin__tls_free(stream->tls);
    stream->tls = NULL;
    close(stream->fd);
}
