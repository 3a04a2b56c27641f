/*
 * message/listener.c - see kin/listener.h.
 *
 * Peers that have connected shake hands side by side (handshake.h), each with a deadline; one epoll descriptor stands for them
 * and for those who have not been accepted yet. All of that is private to a process: a child by fork begins
 * with the socket alone. A silent peer costs a place; when all are taken the oldest goes.
 */
#include "kin/listener.h"

#include "base/failure.h"
#include "base/log.h"
#include "message/address.h"
#include "message/connection_private.h"
#include "message/handshake.h"
#include "os/os.h"
#include "os/poller.h"
#include "sync/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG 128
#define PATIENCE 10.0
#define KEY_LEAST 8u /* bytes, for TCP */
#define PEERS 64u
#define SOCKET PEERS /* the tag of the listening socket */
#define NAMING_PATIENCE 5.0

struct peer {
    bool here;
    double deadline;
    struct kin__handshake shake;
    char name[KIN__ADDRESS_MOST];
};

struct details {
    struct kin__key key;
    struct kin__os_address address;
    char text[KIN__ADDRESS_MOST];
    double patience;
    int backlog;
    bool any_user;
    pid_t maker; /* who removes the path */
    ino_t inode; /* of the path */
    pid_t owner; /* whose the rest is */
    int poller;
    struct peer *peers; /* PEERS of them */
};

struct kin_listener {
    struct kin__handle handle;
    struct details *details;
};

/* ---- listening ------------------------------------------------------------------------------- */

static bool nobody_listens(const struct kin__os_address *address)
{
    int fd;
    kin_error before;
    kin_error_get(&before);
    int error = kin__os_connect(address, "", kin__os_deadline(0), &fd);
    int cause = 0;
    if (error == KIN_ENOTFOUND) {
        kin_error why;
        kin_error_get(&why);
        cause = why.os_errno;
    }
    if (!error)
        close(fd);
    kin__fail_with(&before);
    return cause == ECONNREFUSED;
}

/* The directory of a path, locked, so that two who find a name unused do not remove each other's; -1: it cannot be. */
static int lock_directory(const char *path)
{
    char directory[KIN__ADDRESS_MOST];
    const char *slash = strrchr(path, '/');
    snprintf(directory, sizeof directory, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    double deadline = kin__os_deadline(NAMING_PATIENCE);
    while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK || kin__os_left(deadline) <= 0) {
            close(fd);
            return -1;
        }
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return fd;
}

int kin__listen_at_path(const struct kin__os_address *address, const char *path, mode_t mode, int backlog,
                        int *fd)
{
    int directory = lock_directory(path);
    int error = kin__os_listen(address, mode, backlog, fd);
    struct stat there;
    if (error == KIN_EBUSY && directory >= 0 && lstat(path, &there) == 0 && S_ISSOCK(there.st_mode) &&
        nobody_listens(address) && unlink(path) == 0)
        error = kin__os_listen(address, mode, backlog, fd);
    if (directory >= 0)
        close(directory);
    return error;
}

static int check_key(const kin_listener_options *options, bool tcp)
{
    if (!tcp)
        return 0;
    if (!options->key && !options->no_key)
        return kin__fail(
            KIN_EINVAL,
            "cannot listen by TCP without a key: anyone who reaches the port could connect (.no_key = "
            "true, if that is meant)");
    if (options->key && options->key_size < KEY_LEAST)
        return kin__fail(KIN_EINVAL,
                         "cannot listen by TCP with a key of %zu bytes: it can be guessed; take %u at least",
                         options->key_size, KEY_LEAST);
    return 0;
}

static int check_options(const kin_listener_options *options)
{
    if (options->backlog < 0)
        return kin__fail(KIN_EINVAL, "cannot listen with a backlog of %d", options->backlog);
    return options->patience == 0 ? 0 : kin__timeout_check(options->patience);
}

static void free_details(struct details *details)
{
    if (!details)
        return;
    kin__key_free(&details->key);
    free(details->peers);
    free(details);
}

/* All but the socket. */
static struct details *new_details(const char *address, const kin_listener_options *options)
{
    struct details *made = calloc(1, sizeof *made);
    if (!made || !(made->peers = calloc(PEERS, sizeof *made->peers))) {
        free(made);
        kin__fail(KIN_ENOMEM, "could not make a listener: out of memory");
        return NULL;
    }
    made->patience = options->patience > 0 ? options->patience : PATIENCE;
    made->backlog = options->backlog ? options->backlog : BACKLOG;
    made->any_user = options->any_user;
    int error =
        address ? kin__address_read(address, true, &made->address) : kin__address_make_up(&made->address);
    if (!error)
        error = check_key(options, made->address.storage.ss_family != AF_UNIX);
    if (!error)
        error = kin__key_copy(options->key, options->key_size, options->no_md5, &made->key);
    if (!error)
        return made;
    free_details(made);
    return NULL;
}

static int start(struct details *details, const char *title, int *fd)
{
    const char *path = kin__address_path(&details->address);
    mode_t mode = details->any_user ? 0777 : 0600;
    int error = path ? kin__listen_at_path(&details->address, path, mode, details->backlog, fd)
                     : kin__os_listen(&details->address, 0, details->backlog, fd);
    if (error) {
        kin_error why;
        kin_error_get(&why);
        return kin__fail(error, "could not listen at \"%.200s\": %s", title,
                         error == KIN_EBUSY ? "somebody listens there" : strerror(why.os_errno));
    }
    struct stat there;
    kin__os_socket_name(*fd, &details->address);
    kin__address_write(&details->address, details->text);
    details->maker = getpid();
    if (path && lstat(path, &there) == 0)
        details->inode = there.st_ino;
    return 0;
}

static void remove_path(const struct details *details)
{
    const char *path = kin__address_path(&details->address);
    struct stat there;
    if (path && details->maker == getpid() && lstat(path, &there) == 0 && there.st_ino == details->inode)
        unlink(path);
}

kin_listener *kin_listener_new(const char *address, const kin_listener_options *given)
{
    KIN__UNCANCELLED;
    kin_listener_options options;
    int fd = -1;
    if (kin__options_read(&options, sizeof options, given, "listener options") || check_options(&options) ||
        !kin__self_id())
        return NULL;
    struct details *details = new_details(address, &options);
    if (!details || start(details, address ? address : "a made-up address", &fd) != 0) {
        free_details(details);
        return NULL;
    }
    kin_listener *listener = (kin_listener *)kin__handle_new(fd, 0);
    if (listener) {
        listener->details = details;
        return kin__handle_publish(&listener->handle, KIN__LISTENER_MAGIC);
    }
    remove_path(details);
    close(fd);
    free_details(details);
    return NULL;
}

/* ---- peers ----------------------------------------------------------------------------------- */

static void drop_peer(struct details *details, struct peer *peer)
{
    kin__os_poller_remove(details->poller, peer->shake.fd);
    close(peer->shake.fd);
    peer->here = false;
}

/* What was accepted by the process that this one is a child of is not its own. */
static int own(kin_listener *listener)
{
    struct details *details = listener->details;
    if (details->owner == getpid())
        return 0;
    for (unsigned i = 0; i < PEERS && details->owner; i++)
        if (details->peers[i].here) {
            close(details->peers[i].shake.fd);
            details->peers[i].here = false;
        }
    if (details->owner)
        close(details->poller);
    details->owner = 0;
    int error = kin__os_poller_new(&details->poller);
    if (error)
        return error;
    error = kin__os_poller_add(details->poller, listener->handle.fd, SOCKET, 0);
    if (error)
        close(details->poller);
    else
        details->owner = getpid();
    return error;
}

static kin_connection *connected(int fd)
{
    kin_connection *connection = kin__connection_new(fd, KIN__READS | KIN__WRITES);
    if (!connection)
        close(fd);
    return connection;
}

/* A peer's handshake, as far as it goes: *out when it is done; KIN_EPERM: it is refused. */
static int go_on(struct details *details, struct peer *peer, kin_connection **out)
{
    int state = kin__handshake_go_on(&peer->shake, &details->key);
    if (state > 0)
        return kin__os_poller_change(details->poller, peer->shake.fd, (uint32_t)(peer - details->peers),
                                     state == KIN__SHAKES_OUT);
    if (state == 0) {
        kin__os_poller_remove(details->poller, peer->shake.fd);
        peer->here = false;
        *out = connected(peer->shake.fd);
        return *out ? 0 : kin_error_code();
    }
    kin_error why;
    kin_error_get(&why);
    drop_peer(details, peer);
    if (state == KIN_EPERM || state == KIN_EMISMATCH)
        return kin__fail(KIN_EPERM, "refused %s: %.300s", peer->name, why.message);
    kin_log(KIN_LOG_INFO, "a peer, %s, has gone: %s", peer->name, why.message);
    return 0;
}

static struct peer *place(struct details *details)
{
    struct peer *oldest = details->peers;
    for (struct peer *peer = details->peers; peer < details->peers + PEERS; peer++) {
        if (!peer->here)
            return peer;
        if (peer->deadline < oldest->deadline)
            oldest = peer;
    }
    kin_log(KIN_LOG_WARNING, "%s is dropped: %u others shake hands", oldest->name, PEERS);
    drop_peer(details, oldest);
    return oldest;
}

static void drop_late(struct details *details)
{
    for (struct peer *peer = details->peers; peer < details->peers + PEERS; peer++)
        if (peer->here && kin__os_left(peer->deadline) <= 0) {
            kin_log(KIN_LOG_WARNING, "%s is dropped: it has not shaken hands within %g seconds", peer->name,
                    details->patience);
            drop_peer(details, peer);
        }
}

static double next_deadline(const struct details *details, double deadline)
{
    for (const struct peer *peer = details->peers; peer < details->peers + PEERS; peer++)
        if (peer->here && peer->deadline < deadline)
            deadline = peer->deadline;
    return deadline;
}

/* Whether this one may connect at all. */
static int admit(const struct details *details, int fd, const char *name)
{
    pid_t pid;
    uid_t uid;
    if (details->any_user || details->key.bytes || details->address.storage.ss_family != AF_UNIX ||
        !kin__os_peer(fd, &pid, &uid) || uid == geteuid() || uid == 0)
        return 0;
    return kin__fail(KIN_EPERM, "refused %s: it is of another user, and there is no key", name);
}

static int accept_one(kin_listener *listener, kin_connection **out)
{
    struct details *details = listener->details;
    struct kin__os_address from;
    int fd = kin__os_accept(listener->handle.fd, &from);
    if (fd == -EAGAIN)
        return 0;
    if (fd < 0)
        return kin__fail_errno(KIN_ESYSTEM, -fd, "could not accept at %s", details->text);
    struct peer *peer = place(details);
    kin__connection_peer(fd, peer->name, sizeof peer->name);
    int error = admit(details, fd, peer->name);
    if (error) {
        close(fd);
        return error;
    }
    if (details->address.storage.ss_family != AF_UNIX)
        kin__os_tcp_settle(fd);
    if (!details->key.bytes) {
        *out = connected(fd);
        return *out ? 0 : kin_error_code();
    }
    kin__handshake_begin(&peer->shake, fd, true);
    peer->deadline = kin__os_deadline(details->patience);
    error = kin__os_poller_add(details->poller, fd, (uint32_t)(peer - details->peers), 0);
    if (error) {
        close(fd);
        return error;
    }
    peer->here = true;
    return go_on(details, peer, out);
}

static int accept_until(kin_listener *listener, double deadline, kin_connection **out)
{
    struct details *details = listener->details;
    uint32_t ready[PEERS + 1];
    int error = own(listener);
    while (!error && !*out) {
        drop_late(details);
        size_t count =
            kin__os_poller_wait(details->poller, ready, PEERS + 1, next_deadline(details, deadline));
        for (size_t i = 0; i < count && !error && !*out; i++)
            if (ready[i] == SOCKET)
                error = accept_one(listener, out);
            else if (details->peers[ready[i]].here)
                error = go_on(details, &details->peers[ready[i]], out);
        if (!count && !*out && kin__os_left(deadline) <= 0) {
            drop_late(details); /* those whose time ended with ours */
            return kin__fail(KIN_ETIMEDOUT, "nobody has connected to %s in time", details->text);
        }
    }
    return error;
}

kin_connection *kin_listener_accept(kin_listener *listener, double timeout)
{
    KIN__UNCANCELLED;
    kin_connection *out = NULL;
    if (kin__handle_enter(listener, KIN__LISTENER_MAGIC, "accept from a listener") != 0)
        return NULL;
    double deadline = kin__os_deadline(timeout);
    struct kin__thread *waits = kin__waits_note(KIN__FOR_CLIENT, (uint64_t)listener->handle.fd, timeout);
    if (kin__timeout_check(timeout) == 0 && kin__handle_lock(&listener->handle, 0, deadline)) {
        accept_until(listener, deadline, &out);
        pthread_mutex_unlock(&listener->handle.locks[0]);
    } else if (timeout >= 0) {
        kin__fail(KIN_ETIMEDOUT, "nobody has connected to %s in time", listener->details->text);
    }
    kin__waits_noted(waits);
    kin__handle_leave(listener);
    return out;
}

/* ---- asking and closing ---------------------------------------------------------------------- */

int kin_listener_close(kin_listener *listener)
{
    KIN__UNCANCELLED;
    int fd;
    if (!listener)
        return 0;
    int error = kin__handle_enter(listener, KIN__LISTENER_MAGIC, "close a listener");
    if (error)
        return error;
    struct details *details = listener->details;
    error = kin__handle_free(listener, "close a listener", &fd);
    if (error) {
        kin__handle_leave(listener);
        return error;
    }
    for (unsigned i = 0; i < PEERS && details->owner; i++)
        if (details->peers[i].here)
            close(details->peers[i].shake.fd);
    if (details->owner)
        close(details->poller);
    remove_path(details); /* while it still listens: what takes its place is not removed */
    close(fd);
    free_details(details);
    return 0;
}

const char *kin_listener_address(const kin_listener *listener)
{
    if (kin__handle_enter(listener, KIN__LISTENER_MAGIC, "ask for a listener's address") != 0)
        return "";
    const char *text = listener->details->text;
    kin__handle_leave(listener);
    return text;
}

int kin_listener_fd(kin_listener *listener)
{
    KIN__UNCANCELLED;
    if (kin__handle_enter(listener, KIN__LISTENER_MAGIC, "ask for a listener's descriptor") != 0)
        return -1;
    pthread_mutex_lock(&listener->handle.locks[0]);
    int fd = own(listener) == 0 ? listener->details->poller : -1;
    pthread_mutex_unlock(&listener->handle.locks[0]);
    kin__handle_leave(listener);
    return fd;
}
