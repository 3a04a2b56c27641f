/*
 * os/socket.h - sockets, and descriptors that travel through them.
 *
 * Calls that move bytes return how many, or -errno; they set no record, as most of their failures are outcomes. No call
 * raises SIGPIPE. A signal handler that runs meanwhile ends none. Descriptors are close-on-exec, and above stderr.
 */
#ifndef KIN_OS_SOCKET_H
#define KIN_OS_SOCKET_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#define KIN__OS_FDS_MOST 4 /* that come with one message */

struct kin__os_address {
    struct sockaddr_storage storage;
    socklen_t length;
};

/* Two sockets connected to each other; of packets (whole or not at all, kept apart) or of a stream. KIN_ESYSTEM. */
int kin__os_socket_pair(bool packets, int out[2]);

/* For `events` of poll(2), or an end: 0; KIN_ETIMEDOUT; KIN_ESYSTEM with the record set. */
int kin__os_poll(int fd, short events, double deadline);

/* The same for several, and their revents; KIN_ETIMEDOUT: all are 0. Of a number that is no descriptor's POLLNVAL tells. */
int kin__os_poll_many(struct pollfd *polls, size_t count, double deadline);

/* Send the parts, with descriptors; at once, or not at all: -EAGAIN. */
ssize_t kin__os_send(int fd, const struct iovec *parts, size_t count, const int *fds, size_t fd_count,
                     bool at_once);

/* Receive into the parts. At most KIN__OS_FDS_MOST descriptors come with it, *fd_count of them (NULL: none is wanted, they are
 * closed). *cut: a packet was longer than the parts. */
ssize_t kin__os_recv(int fd, struct iovec *parts, size_t count, int *fds, size_t *fd_count, bool *cut,
                     bool at_once);

/* Bytes of the socket's memory that hold what it has sent and nobody has received; 0: not known. */
size_t kin__os_unread(int fd);

/* Only in one direction from now on: what is sent the other way is refused. */
void kin__os_shut(int fd, bool reading);

/* A stream socket that is connected, or bound and listening. KIN_ESYSTEM; listen: KIN_EBUSY, the address is in use. A path gets
 * `mode`, less the umask. */
int kin__os_listen(const struct kin__os_address *address, mode_t mode, int backlog, int *out);
/* KIN_ETIMEDOUT; KIN_ENOTFOUND: nobody listens there. Records tell the cause, with `title` as the address's name. */
int kin__os_connect(const struct kin__os_address *address, const char *title, double deadline, int *out);
/* The next that has connected: its descriptor, or -errno (EAGAIN: none). Does not wait if the socket does not. */
int kin__os_accept(int fd, struct kin__os_address *peer);

/* Its own address; that of the socket it is connected to, false: it is not; the type and family of a socket that the program has. False: it is no socket. */
bool kin__os_socket_name(int fd, struct kin__os_address *out);
bool kin__os_socket_peer(int fd, struct kin__os_address *out);
bool kin__os_socket_is(int fd, int *family, int *type);

/* Who is at the other end of a Unix socket. False: not known. */
bool kin__os_peer(int fd, pid_t *pid, uid_t *uid);

/* For connections between machines: no delays, and a peer that is gone without a word is noticed within some minutes. */
void kin__os_tcp_settle(int fd);

#endif
