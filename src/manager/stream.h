/* manager/stream.h - addresses and sockets of managers: what os/socket.h and message/address.h leave to be done. */
#ifndef KIN_MANAGER_STREAM_H
#define KIN_MANAGER_STREAM_H

#include "message/address.h"

/* Whether it may be reached from, or leads to, another machine. */
bool kin__address_is_beyond(const struct kin__os_address *address);

/* Send or receive exactly that much, before the deadline. KIN_ECLOSED: the other end is closed; KIN_ETIMEDOUT. Without a record. */
int kin__socket_send(int fd, const void *data, size_t size, double deadline);
int kin__socket_receive(int fd, void *data, size_t size, double deadline);

#endif
