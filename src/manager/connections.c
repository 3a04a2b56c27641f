/* manager/connections.c - clients come, say who they are, send frames, and go: see server.h. */
#include "manager/server.h"

#include "base/failure.h"
#include "base/log.h"
#include "family/hooks.h"
#include "manager/hello.h"
#include "manager/near.h"
#include "os/os.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define BACKLOG 1024
#define HELLO_TIME 10.0        /* seconds for a handshake */
#define READ_MOST 65536u       /* bytes by one call of the system */
#define OUT_MOST (4u << 20)    /* who reads so little of his answers is not read from */
#define KEEP_MOST (256u << 10) /* memory of buffers that connections keep */
#define FAILURES_MOST 8u       /* of one address, within */
#define TRIM_LEAST 64u         /* connections that were there at once */
#define FAILURES_TIME 60.0     /* seconds: then nobody there is let in for as long */

/* ---- failures ------------------------------------------------------------------------------------ */

/* The address without its port: who is to be kept out. Processes of this machine count as one. */
static void who(const struct kin__connection *connection, char out[64])
{
    const char *colon = connection->local ? NULL : strrchr(connection->peer, ':');
    snprintf(out, 64, "%.*s", colon ? (int)(colon - connection->peer) : 63,
             colon ? connection->peer : "this machine");
}

static struct kin__failures *failures_of(struct kin_server *server, const char *peer, bool make)
{
    struct kin__failures *oldest = server->failures;
    for (size_t i = 0; i < KIN__FAILURES; i++) {
        struct kin__failures *one = &server->failures[i];
        if (one->count && strcmp(one->peer, peer) == 0) {
            if (kin__os_now() - one->since > FAILURES_TIME)
                one->count = 0;
            return one;
        }
        if (!one->count || (oldest->count && one->since < oldest->since))
            oldest = one;
    }
    if (!make)
        return NULL;
    *oldest = (struct kin__failures){.since = kin__os_now()};
    snprintf(oldest->peer, sizeof oldest->peer, "%s", peer);
    return oldest;
}

static bool is_kept_out(struct kin_server *server, const struct kin__connection *connection)
{
    char peer[64];
    who(connection, peer);
    const struct kin__failures *failures = failures_of(server, peer, false);
    return failures && failures->count >= FAILURES_MOST;
}

static void count_failure(struct kin_server *server, const struct kin__connection *connection,
                          const char *why)
{
    char peer[64];
    who(connection, peer);
    struct kin__failures *failures = failures_of(server, peer, true);
    failures->count++;
    failures->since = kin__os_now();
    kin_log(KIN_LOG_WARNING, "%s refused a client of %s%s: %s", server->name, peer,
            failures->count == FAILURES_MOST ? ", as it will do all of there for a minute" : "", why);
}

/* ---- the end of one -------------------------------------------------------------------------------- */

void kin__connection_close(struct kin_server *server, struct kin__connection *connection)
{
    if (connection->closing)
        return;
    connection->closing = true;
    kin__link_remove(&connection->link);
    kin__link_append(&server->closing, &connection->link);
}

static void end_connection(struct kin_server *server, struct kin__connection *connection)
{
    kin__timer_stop(&server->timers, &connection->timer);
    kin__link_remove(&connection->link);
    kin__near_leave(server, connection);
    kin__calls_withdraw(server, connection);
    if (connection->session)
        kin__session_leave(server, connection->session);
    shutdown(connection->stream.fd, SHUT_RDWR); /* told to the other end, even if a child has a copy */
    kin__tls_free(connection->stream.tls);
    kin__server_close(server, connection->stream.fd);
    if (connection->pidfd >= 0)
        kin__server_close(server, connection->pidfd);
    kin__buffer_free(&connection->in);
    kin__buffer_free(&connection->out);
    server->connection_count--;
    free(connection);
}

/* Most of many have gone: what malloc keeps of theirs is given back. A program that serves by itself has its own ideas of that. */
static void trim(struct kin_server *server)
{
    if (!server->manager || server->connection_peak < TRIM_LEAST ||
        server->connection_count >= server->connection_peak / 4)
        return;
    server->connection_peak = server->connection_count;
    kin__os_trim();
}

/* Ending one may close others. */
void kin__connections_sweep(struct kin_server *server)
{
    if (kin__link_alone(&server->closing))
        return;
    while (!kin__link_alone(&server->closing))
        end_connection(server, KIN__OF(server->closing.next, struct kin__connection, link));
    trim(server);
}

/* ---- writing --------------------------------------------------------------------------------------- */

/* Room is waited for if there is something to send. Who does not read what he has asked for is asked nothing more. */
static void watch_for(struct kin_server *server, struct kin__connection *connection)
{
    size_t left = connection->out.size - connection->sent;
    unsigned events = (left < OUT_MOST ? EPOLLIN : 0u) | (left ? EPOLLOUT : 0u);
    if (connection->stream.tls && kin__tls_wants(connection->stream.tls) == POLLOUT)
        events |= EPOLLOUT;
    if (connection->events == events)
        return;
    connection->events = events;
    struct epoll_event event = {.events = events, .data.ptr = &connection->watch};
    if (epoll_ctl(server->epoll, EPOLL_CTL_MOD, connection->stream.fd, &event))
        kin__connection_close(server, connection);
}

void kin__connection_flush(struct kin_server *server, struct kin__connection *connection)
{
    struct kin__buffer *out = &connection->out;
    if (connection->near_call && out->size) {
        kin__near_answer(server, connection);
        return;
    }
    while (connection->sent < out->size && !connection->closing) {
        ssize_t sent =
            kin__socket_send(&connection->stream, out->data + connection->sent, out->size - connection->sent);
        if (sent == -EAGAIN)
            break;
        if (sent < 0)
            kin__connection_close(server, connection);
        else
            connection->sent += (size_t)sent;
    }
    if (connection->sent == out->size) {
        out->size = connection->sent = 0;
        if (out->room > KEEP_MOST)
            kin__buffer_free(out);
    }
    if (!connection->closing)
        watch_for(server, connection);
}

/* ---- the handshake ----------------------------------------------------------------------------------- */

static void say(struct kin_server *server, struct kin__connection *connection, const struct kin__hello *hello)
{
    kin__buffer_add(&connection->out, hello, sizeof *hello);
    kin__connection_flush(server, connection);
}

/* TLS's part of it. Only what breaks its rules counts as a failure: that one comes and goes again is no attempt. */
static void shake_hands(struct kin_server *server, struct kin__connection *connection)
{
    struct kin__hello hello;
    int error = kin__tls_shake_hands(connection->stream.tls);
    if (error == -EAGAIN) {
        watch_for(server, connection);
        return;
    }
    if (error) {
        if (error == -EPROTO)
            count_failure(server, connection, kin__tls_why(connection->stream.tls));
        kin__connection_close(server, connection);
        return;
    }
    connection->stage = KIN__STAGE_HELLO;
    memcpy(&hello, connection->hello, sizeof hello);
    say(server, connection, &hello);
}

static void judge(struct kin_server *server, struct kin__connection *connection)
{
    struct kin__hello client, own, last;
    memcpy(&client, connection->in.data, sizeof client);
    memcpy(&own, connection->hello, sizeof own);
    enum kin__verdict verdict = kin__hello_judge(&own, &client, server->key, server->key_size, &last);
    if (verdict == KIN__VERDICT_KEY)
        count_failure(server, connection, "wrong key");
    else if (verdict)
        kin_log(KIN_LOG_WARNING, "%s refused a client: it speaks another protocol", server->name);
    if (!verdict)
        connection->session = kin__session_get(server, client.id, connection->peer_pid);
    say(server, connection, &last);
    if (!connection->session) {
        kin__connection_close(server, connection);
        return;
    }
    connection->stage = KIN__STAGE_OPEN;
    kin__timer_stop(&server->timers, &connection->timer);
}

static void too_late(struct kin_server *server, struct kin__timer *timer)
{
    kin__connection_close(server, KIN__OF(timer, struct kin__connection, timer));
}

/* ---- reading ----------------------------------------------------------------------------------------- */

/* Frames that are whole. False: what came is none. */
static bool run_frames(struct kin_server *server, struct kin__connection *connection, size_t *used)
{
    const struct kin__buffer *in = &connection->in;
    struct kin__frame frame;
    while (!connection->closing && in->size - *used >= KIN__FRAME_HEAD &&
           connection->out.size - connection->sent < OUT_MOST) {
        if (!kin__frame_read(in->data + *used, &frame) || frame.size > server->message_limit)
            return false;
        if (frame.kind == KIN__FRAME_BYE) {
            connection->gone = true;
            kin__connection_close(server, connection);
            return true;
        }
        if (frame.kind == KIN__FRAME_RING && !frame.size) {
            *used += KIN__FRAME_HEAD;
            continue;
        }
        if (frame.kind != KIN__FRAME_CALL)
            return false;
        if (in->size - *used - KIN__FRAME_HEAD < frame.size)
            return true;
        kin__call_run(server, connection, &frame, in->data + *used + KIN__FRAME_HEAD);
        *used += KIN__FRAME_HEAD + frame.size;
        if (connection->out.size - connection->sent >= OUT_MOST)
            kin__connection_flush(server, connection);
    }
    return true;
}

static void take_in(struct kin_server *server, struct kin__connection *connection)
{
    struct kin__buffer *in = &connection->in;
    size_t used = 0;
    if (connection->stage == KIN__STAGE_HELLO) {
        if (in->size < KIN__HELLO_SIZE)
            return;
        judge(server, connection);
        used = KIN__HELLO_SIZE;
    }
    if (connection->stage == KIN__STAGE_OPEN && !run_frames(server, connection, &used)) {
        kin_log(KIN_LOG_WARNING,
                "%s closed a connection of %s: what it sent is no frame of this protocol, or larger than %zu",
                server->name, connection->peer, server->message_limit);
        kin__connection_close(server, connection);
        return;
    }
    if (used && used < in->size)
        memmove(in->data, in->data + used, in->size - used);
    in->size -= used;
    if (!in->size && in->room > KEEP_MOST)
        kin__buffer_free(in);
    if (connection->out.size && !connection->closing)
        kin__connection_flush(server, connection);
}

/* How much to ask for: what is missing of a frame that has begun, or a piece. A size that is only claimed gets no memory at once. */
static size_t wanted(const struct kin__connection *connection)
{
    const struct kin__buffer *in = &connection->in;
    struct kin__frame frame;
    if (connection->stage == KIN__STAGE_HELLO)
        return KIN__HELLO_SIZE - in->size;
    if (in->size >= KIN__FRAME_HEAD && kin__frame_read(in->data, &frame)) {
        size_t whole = KIN__FRAME_HEAD + (size_t)frame.size;
        if (whole > in->size + READ_MOST)
            return whole - in->size < in->size + READ_MOST ? whole - in->size : in->size + READ_MOST;
    }
    return in->room - in->size > 4096 ? in->room - in->size : 4096;
}

/* False: there is nothing more for now. */
static bool receive(struct kin_server *server, struct kin__connection *connection)
{
    struct kin__buffer *in = &connection->in;
    uint8_t *room = kin__buffer_grow(in, wanted(connection));
    if (!room) {
        kin__connection_close(server, connection);
        return false;
    }
    ssize_t got = kin__socket_receive(&connection->stream, room, in->room - in->size);
    if (got == -EAGAIN)
        return false;
    if (got > 0) {
        in->size += (size_t)got;
        take_in(server, connection);
    } else {
        connection->gone = true;
        kin__connection_close(server, connection);
    }
    return !connection->closing;
}

static void ready(struct kin_server *server, struct kin__watch *watch, unsigned events)
{
    struct kin__connection *connection = KIN__OF(watch, struct kin__connection, watch);
    if (connection->closing)
        return;
    if (connection->stage == KIN__STAGE_TLS) {
        shake_hands(server, connection);
        return;
    }
    if (events & EPOLLOUT) {
        kin__connection_flush(server, connection);
        if (!connection->closing && connection->in.size) /* calls that had to wait for that */
            take_in(server, connection);
    }
    /* Of what OpenSSL has taken from the socket epoll does not know; and it may have waited for room to go on receiving. */
    bool more = events & (EPOLLIN | EPOLLHUP | EPOLLERR) || connection->stream.tls;
    while (more && !connection->closing)
        more = receive(server, connection) && kin__socket_pending(&connection->stream);
    if (connection->stream.tls && !connection->closing)
        watch_for(server, connection);
}

/* A child that it forked may have the connection still: but what it was is dead. */
static void client_died(struct kin_server *server, struct kin__watch *watch, unsigned events)
{
    (void)events;
    struct kin__connection *connection = KIN__OF(watch, struct kin__connection, death);
    connection->gone = true;
    kin__connection_close(server, connection);
}

/* ---- coming ------------------------------------------------------------------------------------------ */

/* Who is to come with TLS is not told why: that would cost a handshake. */
static void turn_away(const struct kin_server *server, int fd, enum kin__verdict verdict)
{
    struct kin__hello last;
    kin__hello_refuse(verdict, &last);
    if (!server->tls)
        (void)!send(fd, &last, sizeof last, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
}

/* Of our own family, and of the same user: it may name any function of ours. */
static bool is_member(pid_t pid, uid_t user)
{
    if (!pid || user != geteuid() || !kin__self())
        return false;
    const struct kin__member *table = kin__members();
    for (uint32_t i = 1; i < KIN__MEMBERS_MAX; i++)
        if (kin__member_state(&table[i]) == KIN__ALIVE && atomic_load(&table[i].pid) == pid)
            return true;
    return false;
}

static struct kin__connection *new_connection(int fd, const struct kin__os_address *peer)
{
    struct kin__connection *connection = calloc(1, sizeof *connection);
    if (!connection)
        return NULL;
    connection->stream.fd = fd;
    connection->stage = KIN__STAGE_HELLO;
    connection->pidfd = -1;
    connection->slot = -1;
    connection->watch.ready = ready;
    connection->death.ready = client_died;
    connection->timer.fire = too_late;
    kin__link_init(&connection->link);
    kin__link_init(&connection->calls);
    connection->local = peer->storage.ss_family == AF_UNIX;
    if (connection->local) {
        pid_t pid = 0;
        uid_t user = 0;
        connection->member = kin__os_peer(fd, &pid, &user) && is_member(pid, user);
        connection->peer_pid = pid;
        snprintf(connection->peer, sizeof connection->peer, "process %d", pid);
    } else {
        char text[KIN__ADDRESS_MOST];
        kin__address_write(peer, text);
        snprintf(connection->peer, sizeof connection->peer, "%.63s", text);
        kin__os_tcp_settle(fd);
    }
    return connection;
}

static void welcome(struct kin_server *server, int fd, const struct kin__os_address *peer)
{
    struct kin__connection *connection = new_connection(fd, peer);
    struct kin__hello hello;
    if (!connection || is_kept_out(server, connection) || !kin__hello_server(&hello, server->id) ||
        (server->tls && !(connection->stream.tls = kin__tls_new(server->tls, fd)))) {
        turn_away(server, fd, connection ? KIN__VERDICT_LATER : KIN__VERDICT_FULL);
        free(connection);
        return;
    }
    if (server->tls)
        connection->stage = KIN__STAGE_TLS;
    if (++server->connection_count > server->connection_peak)
        server->connection_peak = server->connection_count;
    connection->events = EPOLLIN;
    kin__link_append(&server->connections, &connection->link);
    kin__server_own(fd);
    memcpy(connection->hello, &hello, sizeof hello);
    if (kin__server_watch(server, fd, &connection->watch, EPOLLIN) ||
        kin__timer_set(&server->timers, &connection->timer, kin__os_now() + HELLO_TIME)) {
        kin__connection_close(server, connection);
        return;
    }
    if (connection->local && connection->peer_pid)
        connection->pidfd = kin__os_pidfd_open(connection->peer_pid);
    if (connection->pidfd >= 0 && kin__server_watch(server, connection->pidfd, &connection->death, EPOLLIN)) {
        close(connection->pidfd); /* its end is told by the socket alone, then */
        connection->pidfd = -1;
    }
    if (!server->tls)
        say(server, connection, &hello);
}

static void come(struct kin_server *server, struct kin__watch *watch, unsigned events)
{
    (void)watch;
    (void)events;
    for (int i = 0; i < 64; i++) { /* then others are looked at */
        struct kin__os_address peer;
        int fd = kin__os_accept(server->listener, &peer);
        if (fd < 0)
            return;
        if (server->connection_count >= server->connection_limit)
            turn_away(server, fd, KIN__VERDICT_FULL);
        else
            welcome(server, fd, &peer);
    }
}

int kin__connections_listen(struct kin_server *server, const kin_manager_options *options)
{
    struct kin__os_address address;
    char text[KIN__ADDRESS_MOST];
    int error = options->address ? kin__address_read(options->address, true, &address)
                                 : kin__address_make_up(&address);
    if (error)
        return error;
    struct kin__tls_names names;
    if ((error = kin__tls_names_read(options, &names)))
        return error;
    if (names.tls && address.storage.ss_family == AF_UNIX)
        return kin__fail(KIN_EINVAL, "cannot listen at \"%s\" with TLS: it goes over TCP only",
                         options->address ? options->address : "");
    if (names.tls &&
        (error = kin__tls_context_new(&names, server->key, server->key_size, true, NULL, &server->tls)))
        return error;
    if (kin__address_is_beyond(&address) && !options->insecure && !names.tls)
        return kin__fail(
            KIN_EPERM,
            "cannot listen at \"%s\": it may be reached from other machines, and TCP is not encrypted; "
            "set .tls, or .insecure to allow that",
            options->address);
    const char *path = kin__address_path(&address);
    error = path ? kin__listen_at_path(&address, path, 0600, BACKLOG, &server->listener)
                 : kin__os_listen(&address, 0, BACKLOG, &server->listener);
    if (error)
        return error;
    kin__server_own(server->listener);
    kin__os_socket_name(server->listener, &address);
    kin__address_write(&address, text);
    snprintf(server->address, sizeof server->address, "%.*s", (int)sizeof server->address - 1, text);
    snprintf(server->path, sizeof server->path, "%.*s", (int)sizeof server->path - 1, path ? path : "");
    server->listening.ready = come;
    return kin__server_watch(server, server->listener, &server->listening, EPOLLIN);
}

void kin__connections_stop(struct kin_server *server)
{
    if (server->listener >= 0)
        kin__server_close(server, server->listener);
    server->listener = -1;
    if (server->path[0])
        unlink(server->path);
    while (!kin__link_alone(&server->connections))
        kin__connection_close(server, KIN__OF(server->connections.next, struct kin__connection, link));
    kin__connections_sweep(server);
}
