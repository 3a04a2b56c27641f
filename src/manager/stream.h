/* manager/stream.h - addresses and sockets of managers: what os/socket.h and message/address.h leave to be done. */
#ifndef KIN_MANAGER_STREAM_H
#define KIN_MANAGER_STREAM_H

#include "manager/tls.h"
#include "message/address.h"

/* Whether it may be reached from, or leads to, another machine. */
bool kin__address_is_beyond(const struct kin__os_address *address);

/* A connection's two ends: a socket, by itself or with TLS over it. */
struct kin__socket {
    int fd;
    struct kin__tls *tls; /* NULL: none */
};

/* At once: how much; 0 of receive, at the end; -EAGAIN; or another negative number, and it is over. */
ssize_t kin__socket_send(struct kin__socket *stream, const void *data, size_t size);
ssize_t kin__socket_receive(struct kin__socket *stream, void *data, size_t size);
/* After -EAGAIN of something that waits for `events`: what the socket is to be polled for. */
short kin__socket_wants(const struct kin__socket *stream, short events);
/* Whether there is more to be received, of which poll does not know. */
bool kin__socket_pending(const struct kin__socket *stream);

/* Send or receive exactly that much, before the deadline. KIN_ECLOSED: the other end is closed; KIN_ETIMEDOUT. Without a record. */
int kin__socket_send_all(struct kin__socket *stream, const void *data, size_t size, double deadline);
/* Receive something: how much. */
ssize_t kin__socket_receive_some(struct kin__socket *stream, void *data, size_t size, double deadline);
int kin__socket_receive_all(struct kin__socket *stream, void *data, size_t size, double deadline);
/* The same for TLS's handshake, and KIN_EPERM, KIN_EMISMATCH: kin__tls_why says more. */
int kin__socket_shake_hands(struct kin__socket *stream, double deadline);
/* Its end is not told. */
void kin__socket_close(struct kin__socket *stream);

#endif
