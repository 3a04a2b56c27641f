/* message/address.h - addresses of listeners, as text and as the system has them. */
#ifndef KIN_MESSAGE_ADDRESS_H
#define KIN_MESSAGE_ADDRESS_H

#include "os/socket.h"

#define KIN__ADDRESS_MOST 300u /* bytes of one as text, with its end */

/* See kin/listener.h. KIN_EINVAL: it is none; KIN_ENOTFOUND: no such host. */
int kin__address_read(const char *text, bool listening, struct kin__os_address *out);

/* "tcp:127.0.0.1:4321", "unix:/run/x", "unix:@x". */
void kin__address_write(const struct kin__os_address *address, char out[KIN__ADDRESS_MOST]);

/* The path of a Unix socket; NULL: it has none. */
const char *kin__address_path(const struct kin__os_address *address);

/* As kin__os_listen, at a path; which may be left of a listener that has died (listener.c). */
int kin__listen_at_path(const struct kin__os_address *address, const char *path, mode_t mode, int backlog,
                        int *fd);

/* An abstract one that nobody else has. KIN_ESYSTEM. */
int kin__address_make_up(struct kin__os_address *out);

#endif
