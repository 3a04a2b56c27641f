/* message/client.c - connecting to a listener. See kin/listener.h. */
#include "kin/listener.h"

#include "base/failure.h"
#include "message/address.h"
#include "message/connection_private.h"
#include "message/handshake.h"
#include "os/os.h"
#include "sync/wait.h"

#include <poll.h>
#include <unistd.h>

static int shake_hands(int fd, const struct kin__key *key, const char *title, double deadline)
{
    struct kin__handshake shake;
    kin__handshake_begin(&shake, fd, false);
    for (;;) {
        int state = kin__handshake_go_on(&shake, key);
        if (state > 0) {
            state = kin__os_poll(fd, state == KIN__SHAKES_OUT ? POLLOUT : POLLIN, deadline);
            if (state == 0)
                continue;
        }
        if (state == KIN_ETIMEDOUT)
            return kin__fail(KIN_ETIMEDOUT, "%s has not shaken hands in time (is there a key?)", title);
        return state;
    }
}

kin_connection *kin_client(const char *address, const kin_client_options *given, double timeout)
{
    KIN__UNCANCELLED;
    kin_client_options options;
    struct kin__os_address to;
    struct kin__key key;
    int fd = -1;
    if (kin__options_read(&options, sizeof options, given, "client options") || kin__timeout_check(timeout) ||
        !kin__self_id() || kin__address_read(address, false, &to) ||
        kin__key_copy(options.key, options.key_size, options.no_md5, &key))
        return NULL;
    double deadline = kin__os_deadline(timeout);
    kin_connection *connection = NULL;
    if (kin__os_connect(&to, address, deadline, &fd) == 0) {
        if (to.storage.ss_family != AF_UNIX)
            kin__os_tcp_settle(fd);
        if (shake_hands(fd, &key, address, deadline) == 0)
            connection = kin__connection_new(fd, KIN__READS | KIN__WRITES);
        if (!connection)
            close(fd);
    }
    kin__key_free(&key);
    return connection;
}
