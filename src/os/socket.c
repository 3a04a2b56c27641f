/* os/socket.c - see socket.h. */
#include "os/socket.h"

#include "base/failure.h"
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

int kin__os_socket_pair(bool packets, int out[2])
{
    if (socketpair(AF_UNIX, (packets ? SOCK_SEQPACKET : SOCK_STREAM) | SOCK_CLOEXEC, 0, out) < 0)
        return kin__fail_errno(KIN_ESYSTEM, errno, "could not make a pair of sockets");
    out[0] = kin__os_high(out[0]);
    out[1] = kin__os_high(out[1]);
    if (out[0] >= 0 && out[1] >= 0)
        return 0;
    int error = errno;
    for (int i = 0; i < 2; i++)
        if (out[i] >= 0)
            close(out[i]);
    return kin__fail_errno(KIN_ESYSTEM, error, "could not make a pair of sockets");
}

int kin__os_poll_many(struct pollfd *polls, size_t count, double deadline)
{
    for (;;) {
        struct timespec limit, *at = NULL;
        double left = kin__os_left(deadline);
        if (!isinf(left)) {
            left = left > 1e6 ? 1e6 : left;
            limit.tv_sec = (time_t)left;
            limit.tv_nsec = (long)((left - (double)limit.tv_sec) * 1e9);
            at = &limit;
        }
        int ready = ppoll(polls, count, at, NULL);
        if (ready > 0)
            return 0;
        if (ready == 0 && kin__os_left(deadline) <= 0)
            return KIN_ETIMEDOUT;
        if (ready < 0 && errno != EINTR)
            return kin__fail_errno(KIN_ESYSTEM, errno, "could not wait for %zu descriptors", count);
    }
}

int kin__os_poll(int fd, short events, double deadline)
{
    struct pollfd one = {.fd = fd, .events = events};
    int error = kin__os_poll_many(&one, 1, deadline);
    return !error && one.revents & POLLNVAL
               ? kin__fail_errno(KIN_ESYSTEM, EBADF, "could not wait for descriptor %d", fd)
               : error;
}

union control {
    struct cmsghdr head;
    char room[CMSG_SPACE(KIN__OS_FDS_MOST * sizeof(int))];
};

ssize_t kin__os_send(int fd, const struct iovec *parts, size_t count, const int *fds, size_t fd_count,
                     bool at_once)
{
    union control control;
    struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = count};
    if (fd_count) {
        memset(&control, 0, sizeof control);
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(head), fds, fd_count * sizeof(int));
    }
    for (;;) {
        ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | (at_once ? MSG_DONTWAIT : 0));
        if (sent >= 0 || errno != EINTR)
            return sent >= 0 ? sent : -errno;
    }
}

/* Take the descriptors out; those that nobody wants are closed. */
static void take_fds(struct msghdr *message, int *fds, size_t *fd_count)
{
    size_t taken = 0;
    for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head; head = CMSG_NXTHDR(message, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(head) + i * sizeof fd, sizeof fd);
            if (fds && taken < KIN__OS_FDS_MOST)
                fds[taken++] = kin__os_high(fd);
            else
                close(fd);
        }
    }
    if (fd_count)
        *fd_count = taken;
}

ssize_t kin__os_recv(int fd, struct iovec *parts, size_t count, int *fds, size_t *fd_count, bool *cut,
                     bool at_once)
{
    union control control;
    struct msghdr message;
    for (;;) {
        message = (struct msghdr){.msg_iov = parts, .msg_iovlen = count};
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        ssize_t got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | (at_once ? MSG_DONTWAIT : 0));
        if (got >= 0) {
            take_fds(&message, fds, fd_count);
            if (cut)
                *cut = (message.msg_flags & MSG_TRUNC) != 0;
            return got;
        }
        if (errno != EINTR)
            return -errno;
    }
}

size_t kin__os_unread(int fd)
{
    int bytes = 0;
    return ioctl(fd, SIOCOUTQ, &bytes) == 0 && bytes > 0 ? (size_t)bytes : 0;
}

void kin__os_shut(int fd, bool reading)
{
    shutdown(fd, reading ? SHUT_RD : SHUT_WR);
}

/* ---- addresses ------------------------------------------------------------------------------- */

int kin__os_listen(const struct kin__os_address *address, mode_t mode, int backlog, int *out)
{
    int on = 1, family = address->storage.ss_family;
    int fd = kin__os_high(socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (fd < 0)
        return kin__fail_errno(KIN_ESYSTEM, errno, "could not make a socket");
    if (family !=
        AF_UNIX) /* as Python does on Unix: what is left of earlier connections is in nobody's way */
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    else
        fchmod(fd, mode); /* before it is bound: the path has it from the start (net/unix/af_unix.c) */
    if (bind(fd, (const struct sockaddr *)&address->storage, address->length) < 0 ||
        listen(fd, backlog) < 0) {
        int error = errno;
        close(fd);
        return kin__fail_errno(error == EADDRINUSE ? KIN_EBUSY : KIN_ESYSTEM, error, "could not listen");
    }
    *out = fd;
    return 0;
}

/* A connection that was begun is made, or has failed: 0, or errno. */
static int connection_error(int fd)
{
    int error = 0;
    socklen_t length = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0 ? errno : error;
}

/* A Unix socket whose listener's queue is full says EAGAIN, and cannot be waited for by poll. */
static int connect_until(int fd, const struct kin__os_address *address, double deadline)
{
    for (;;) {
        if (connect(fd, (const struct sockaddr *)&address->storage, address->length) == 0 || errno == EISCONN)
            return 0;
        if (errno == EINPROGRESS || errno == EALREADY) {
            int error = kin__os_poll(fd, POLLOUT, deadline);
            return error == KIN_ETIMEDOUT ? ETIMEDOUT : error ? EIO : connection_error(fd);
        }
        if (errno == EAGAIN) {
            double left = kin__os_left(deadline);
            if (left <= 0)
                return ETIMEDOUT;
            struct timespec pause = {.tv_nsec = left < 0.002 ? (long)(left * 1e9) : 2000000};
            nanosleep(&pause, NULL);
        } else if (errno != EINTR) {
            return errno;
        }
    }
}

int kin__os_connect(const struct kin__os_address *address, const char *title, double deadline, int *out)
{
    int fd = kin__os_high(socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (fd < 0)
        return kin__fail_errno(KIN_ESYSTEM, errno, "could not make a socket");
    int error = connect_until(fd, address, deadline);
    if (!error) {
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
        *out = fd;
        return 0;
    }
    close(fd);
    if (error == ETIMEDOUT)
        return kin__fail(KIN_ETIMEDOUT, "could not connect to %s in time", title);
    bool nobody = error == ECONNREFUSED || error == ENOENT;
    return kin__fail_errno(nobody ? KIN_ENOTFOUND : KIN_ESYSTEM, error, "could not connect to %s%s", title,
                           nobody ? ": nobody listens there" : "");
}

int kin__os_accept(int fd, struct kin__os_address *peer)
{
    for (;;) {
        peer->length = sizeof peer->storage;
        int made = accept4(fd, (struct sockaddr *)&peer->storage, &peer->length, SOCK_CLOEXEC);
        if (made >= 0)
            made = kin__os_high(made);
        if (made >= 0)
            return made;
        /* What these mean is that one peer has gone already. */
        if (errno != EINTR && errno != ECONNABORTED && errno != EPROTO)
            return -errno;
    }
}

bool kin__os_socket_name(int fd, struct kin__os_address *out)
{
    out->length = sizeof out->storage;
    return getsockname(fd, (struct sockaddr *)&out->storage, &out->length) == 0;
}

bool kin__os_socket_peer(int fd, struct kin__os_address *out)
{
    out->length = sizeof out->storage;
    return getpeername(fd, (struct sockaddr *)&out->storage, &out->length) == 0;
}

bool kin__os_socket_is(int fd, int *family, int *type)
{
    socklen_t length = sizeof *type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, type, &length) < 0)
        return false;
    length = sizeof *family;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, family, &length) == 0;
}

bool kin__os_peer(int fd, pid_t *pid, uid_t *uid)
{
    struct ucred who;
    socklen_t length = sizeof who;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &length) < 0)
        return false;
    *pid = who.pid;
    *uid = who.uid;
    return true;
}

void kin__os_tcp_settle(int fd)
{
    int on = 1, idle = 60, between = 15, probes = 4;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &between, sizeof between);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}
