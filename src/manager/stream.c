/* manager/stream.c - see stream.h. */
#include "manager/stream.h"

#include "base/failure.h"
#include "os/os.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>

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

int kin__socket_send(int fd, const void *data, size_t size, double deadline)
{
    const char *at = data;
    while (size) {
        struct iovec part = {(void *)(uintptr_t)at, size};
        ssize_t sent = kin__os_send(fd, &part, 1, NULL, 0, true);
        if (sent == -EAGAIN) {
            int error = wait_for(fd, POLLOUT, deadline);
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

int kin__socket_receive(int fd, void *data, size_t size, double deadline)
{
    char *at = data;
    while (size) {
        struct iovec part = {at, size};
        ssize_t got = kin__os_recv(fd, &part, 1, NULL, NULL, NULL, true);
        if (got == -EAGAIN) {
            int error = wait_for(fd, POLLIN, deadline);
            if (error)
                return error;
        } else if (got <= 0) {
            return KIN_ECLOSED;
        } else {
            at += got;
            size -= (size_t)got;
        }
    }
    return 0;
}
