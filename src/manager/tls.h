/*
 * manager/tls.h - TLS 1.3 over a socket, for both ends of a manager's connections.
 *
 * OpenSSL does it (openssl.h); it reads and writes through two functions of ours, which never block and raise no signal. So its
 * calls can be made from the server's loop as well as by a client that waits with a deadline.
 *
 * By key, both sides prove in TLS's own handshake that they have the pre-shared key that is derived from the manager's; it is with
 * ephemeral keys (psk_dhe_ke), so a key that gets known later opens nothing that was recorded. By certificates, the client checks
 * the server's. The manager's handshake (hello.h) follows inside in both cases. No tickets, no resumption, no early data: nothing
 * can be replayed.
 */
#ifndef KIN_MANAGER_TLS_H
#define KIN_MANAGER_TLS_H

#include "kin/manager.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define KIN__TLS_PATH 256

/* What the options said, as it stands in a manager, for processes that connect later. */
struct kin__tls_names {
    enum kin_tls tls;
    bool client_certificates;
    char certificate[KIN__TLS_PATH], private_key[KIN__TLS_PATH], authority[KIN__TLS_PATH];
    char host[KIN_ADDRESS_MAX];
};

/* KIN_EINVAL: too long, or not of that kind; KIN_ENOTSUP: there is no OpenSSL. */
int kin__tls_names_read(const kin_manager_options *options, struct kin__tls_names *out);

struct kin__tls_context;
struct kin__tls;

/* What all connections of a client, or of a server, have in common. The host is whose name a client wants in the server's
 * certificate. KIN_EINVAL: something is missing, or a file cannot be used; KIN_ENOTSUP: no OpenSSL; KIN_ENOMEM. */
int kin__tls_context_new(const struct kin__tls_names *names, const void *key, size_t key_size, bool server,
                         const char *host, struct kin__tls_context **out);
void kin__tls_context_free(struct kin__tls_context *context);

/* NULL: no memory, with the record. The descriptor stays the caller's, who closes it after kin__tls_free, which sends nothing. */
struct kin__tls *kin__tls_new(struct kin__tls_context *context, int fd);
void kin__tls_free(struct kin__tls *tls);

/* Go on with the handshake: 0, it is done; -EAGAIN; -ECONNRESET: the other end closed; -EPROTO: it failed. */
int kin__tls_shake_hands(struct kin__tls *tls);
/* As send and recv that do not block: how much; 0, at the end; or one of the above. */
ssize_t kin__tls_send(struct kin__tls *tls, const void *data, size_t size);
ssize_t kin__tls_receive(struct kin__tls *tls, void *data, size_t size);

/* POLLOUT: the last call came to -EAGAIN for want of room in the socket, also one that was to receive; else POLLIN. */
short kin__tls_wants(const struct kin__tls *tls);
/* Whether some that has come is not received yet, so that the socket would be waited for in vain. */
bool kin__tls_pending(const struct kin__tls *tls);
/* After -EPROTO: why; and whether it was a matter of who is trusted, by this end or, as it says, by the other. */
const char *kin__tls_why(const struct kin__tls *tls);
bool kin__tls_untrusted(const struct kin__tls *tls);

#endif
