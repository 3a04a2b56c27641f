/*
 * kin/listener.h - connections between processes that are no relatives, on one machine or several.
 *
 * A listener waits at an address; a client connects to it. Both give a kin_connection (kin/connection.h).
 *
 * Addresses  "/run/solver.sock", "unix:solver.sock"     a Unix socket, by its path
 *            "@solver", "unix:@solver"                  a Unix socket in Linux's abstract namespace: no file
 *            "10.0.0.7:4321", "tcp:node7:4321"          TCP, version 4 or as the name resolves
 *            "[::1]:4321", "tcp:[::]:4321"              TCP, version 6. Port 0: any that is free
 * Keys       With a key each side proves to the other that it has the same one, before any message; the key
 *            itself is not sent. This is the handshake of Python's multiprocessing.connection: Listener and Client of
 *            Python 3.8 and later accept kin's, and the reverse, with HMAC-SHA256 where both know it (Python 3.12),
 *            else HMAC-MD5. The key is the only secret: who can listen in on TCP reads the messages, and may change
 *            them. Across networks that are not yours use a tunnel.
 * Who may    Without a key, at a Unix socket, only processes of the same user, and root, unless .any_user. TCP
 *            without a key is refused unless .no_key says that anyone may connect; keys for TCP have 8 bytes at
 *            least.
 * Death      A path whose listener died is taken over by the next one that listens there. A peer that connects and
 *            is silent does not keep accept from others: up to 64 shake hands at a time, each within .patience
 *            seconds.
 * Children   A listener is inherited by fork only; any number of processes may accept from it.
 * Threads    Any thread may call anything at any time; kin_listener_close says KIN_EBUSY while others are in a call.
 *            One that is cancelled in a call (pthread_cancel) ends once the call has: nothing is left half done or held.
 */
#ifndef KIN_LISTENER_H
#define KIN_LISTENER_H

#include "kin/connection.h"

KIN_BEGIN

typedef struct kin_listener kin_listener;

typedef struct kin_listener_options {
    size_t size;
    const void *key; /* copied; NULL: none */
    size_t key_size; /* bytes */
    int backlog;     /* connections that may wait for accept; 0: 128, as far as the system allows */
    double patience; /* seconds that a peer has for the handshake; 0: 10 */
    bool any_user; /* Unix: not only this user's processes. A path gets mode 0777 less the umask, not 0600 */
    bool no_key;   /* TCP without a key */
    bool no_md5;   /* refuse peers that answer by HMAC-MD5, as Python before 3.12 does */
} kin_listener_options;

#define KIN_LISTENER_OPTIONS(...) \
    (&(kin_listener_options){.size = sizeof(kin_listener_options), ##__VA_ARGS__})

/*
 * Listen at an address; NULL: at an abstract one that is made up. NULL: KIN_EINVAL, the address or the key;
 * KIN_EBUSY, somebody listens there; KIN_ENOTFOUND, no such host; KIN_ESYSTEM, KIN_ENOMEM, KIN_ENOINIT, KIN_ELIMIT.
 */
KIN_API kin_listener *kin_listener_new(const char *address, const kin_listener_options *options) KIN_CHECKED;

/*
 * The next connection whose handshake is done. NULL: KIN_ETIMEDOUT, none within `timeout` seconds; KIN_EPERM, a peer
 * had another key, or none, or was not allowed: it is gone, and others can be accepted; KIN_ESYSTEM.
 */
KIN_API kin_connection *kin_listener_accept(kin_listener *listener, double timeout) KIN_CHECKED;

/* Stop listening; a path is removed. Connections stay. KIN_EBUSY: another thread is in a call of it. NULL does
 * nothing. */
KIN_API int kin_listener_close(kin_listener *listener);

/* Where it listens, as clients are to be told: with the port it got, "tcp:127.0.0.1:40123". Valid until it is
 * closed; "" if it is none. */
KIN_API const char *kin_listener_address(const kin_listener *listener);

/* For poll(2) and event loops: readable when accept may have something to do. -1: it is none. Another one in each
 * process. */
KIN_API int kin_listener_fd(kin_listener *listener);

typedef struct kin_client_options {
    size_t size;
    const void *key; /* NULL: none */
    size_t key_size; /* bytes */
    bool no_md5;     /* refuse listeners that answer by HMAC-MD5, as Python before 3.12 does */
} kin_client_options;

#define KIN_CLIENT_OPTIONS(...) (&(kin_client_options){.size = sizeof(kin_client_options), ##__VA_ARGS__})

/*
 * Connect to a listener, and shake hands if there is a key, all within `timeout` seconds. NULL: KIN_ENOTFOUND,
 * nobody listens there, or no such host; KIN_ETIMEDOUT; KIN_EPERM, the keys differ; KIN_ECLOSED, it hung up;
 * KIN_EMISMATCH, it speaks another protocol, or one of both has no key; KIN_EINVAL; KIN_ESYSTEM.
 */
KIN_API kin_connection *kin_client(const char *address, const kin_client_options *options,
                                   double timeout) KIN_CHECKED;

KIN_END_DECLS

#endif
