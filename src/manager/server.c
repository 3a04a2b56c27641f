/* manager/server.c - a server is made, serves, and ends: see server.h and kin/manager.h. */
#include "manager/server.h"

#include "base/failure.h"
#include "base/in_child.h"
#include "base/log.h"
#include "family/member.h"
#include "manager/hello.h"
#include "manager/near.h"
#include "manager/own.h"
#include "os/os.h"
#include "os/poller.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define EVENTS 64
#define MESSAGE_LIMIT ((size_t)64 << 20)
#define CONNECTION_LIMIT 4096u
#define THREADS 4

/* ---- descriptors ----------------------------------------------------------------------------------- */

#define OWNED_MOST 65536

static _Atomic uint64_t owned[OWNED_MOST / 64]; /* sockets of this process's servers */
/* There were never any: then a child need not look, which is three pages to fault in. (Not 0 at first: so it lies among the data
 * that a start touches anyway.) */
static _Atomic bool none_owned = true;

void kin__server_own(int fd)
{
    atomic_store(&none_owned, false);
    if (fd >= 0 && fd < OWNED_MOST)
        atomic_fetch_or(&owned[fd / 64], UINT64_C(1) << fd % 64);
}

static void disown(int fd)
{
    if (fd >= 0 && fd < OWNED_MOST)
        atomic_fetch_and(&owned[fd / 64], ~(UINT64_C(1) << fd % 64));
}

/* In a child, a Pool's worker for instance: servers are its parent's. What the number leads to may be another thing by now, if
 * the program had forked by itself. */
KIN__IN_CHILD static void forked(void)
{
    if (atomic_load(&none_owned))
        return;
    for (int word = 0; word < OWNED_MOST / 64; word++)
        for (uint64_t bits = atomic_exchange(&owned[word], 0); bits; bits &= bits - 1) {
            int fd = word * 64 + __builtin_ctzll(bits);
            struct stat status;
            if (fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode))
                close(fd);
        }
}

__attribute__((constructor)) static void set_up(void)
{
    kin__member_hooks(&(struct kin__member_hooks){.forked = forked});
}

void kin__server_close(struct kin_server *server, int fd)
{
    epoll_ctl(server->epoll, EPOLL_CTL_DEL, fd, NULL);
    disown(fd);
    close(fd);
}

struct kin__bell *kin__bell_new(struct kin_server *server, int fd,
                                void (*ready)(struct kin_server *server, struct kin__watch *watch,
                                              unsigned events),
                                void *owner)
{
    struct kin__bell *bell = malloc(sizeof *bell);
    if (!bell) {
        kin__fail(KIN_ENOMEM, "cannot watch a descriptor in the manager: out of memory");
        return NULL;
    }
    *bell = (struct kin__bell){.watch.ready = ready, .fd = fd, .owner = owner};
    if (kin__server_watch(server, fd, &bell->watch, EPOLLIN) == 0)
        return bell;
    free(bell);
    return NULL;
}

void kin__bell_end(struct kin_server *server, struct kin__bell *bell)
{
    epoll_ctl(server->epoll, EPOLL_CTL_DEL, bell->fd, NULL);
    bell->owner = NULL;
    bell->next = server->spent_bells;
    server->spent_bells = bell;
}

static void free_spent_bells(struct kin_server *server)
{
    while (server->spent_bells) {
        struct kin__bell *bell = server->spent_bells;
        server->spent_bells = bell->next;
        free(bell);
    }
}

int kin__server_watch(struct kin_server *server, int fd, struct kin__watch *watch, unsigned events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event) == 0)
        return 0;
    return kin__fail_errno(KIN_ESYSTEM, errno, "cannot watch a descriptor in the manager");
}

static void rung(struct kin_server *server, struct kin__watch *watch, unsigned events)
{
    (void)watch;
    (void)events;
    uint64_t count;
    (void)!read(server->doorbell, &count, sizeof count);
    kin__own_finished(server);
}

/* ---- made ------------------------------------------------------------------------------------------ */

static int read_options(struct kin_server *server, const kin_manager_options *options)
{
    const void *key = options->key;
    size_t size = options->key_size;
    if (key && size < KIN_KEY_LEAST)
        return kin__fail(KIN_EINVAL, "cannot use a key of %zu bytes: it must have %d at least", size,
                         KIN_KEY_LEAST);
    if (!key)
        return kin__fail(KIN_EINVAL, "cannot make a server without a key: its clients could not know it");
    if (!(server->key = malloc(size)))
        return kin__fail(KIN_ENOMEM, "cannot make a manager: out of memory");
    memcpy(server->key, key, size);
    server->key_size = size;
    if (options->address && strlen(options->address) >= sizeof server->address)
        return kin__fail(KIN_EINVAL, "cannot use the address \"%.60s...\": it is longer than %zu bytes",
                         options->address, sizeof server->address - 1);
    snprintf(server->name, sizeof server->name, "%s", options->name ? options->name : "manager");
    server->message_limit = options->message_limit ? options->message_limit : MESSAGE_LIMIT;
    if (server->message_limit > UINT32_MAX)
        server->message_limit = UINT32_MAX;
    server->memory_limit = options->memory_limit;
    server->thread_count = options->threads > 0 ? options->threads : THREADS;
    return kin__random(server->id, sizeof server->id) ? 0 : kin_error_code();
}

/* As many connections as were asked for, or as descriptors allow: two each. */
static void limit_connections(struct kin_server *server, int wanted)
{
    struct rlimit files;
    server->connection_limit = wanted > 0 ? (size_t)wanted : CONNECTION_LIMIT;
    if (getrlimit(RLIMIT_NOFILE, &files))
        return;
    rlim_t most = (rlim_t)server->connection_limit * 2 + 64;
    if (files.rlim_cur < most) {
        files.rlim_cur = most < files.rlim_max ? most : files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    if (files.rlim_cur < most)
        server->connection_limit = files.rlim_cur > 128 ? (files.rlim_cur - 64) / 2 : 32;
}

static int open_server(struct kin_server *server, const kin_manager_options *options)
{
    int error = read_options(server, options);
    if (error)
        return error;
    limit_connections(server, options->client_limit);
    server->epoll = kin__os_high(epoll_create1(EPOLL_CLOEXEC));
    server->doorbell = kin__os_high(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (server->epoll < 0 || server->doorbell < 0)
        return kin__fail_errno(KIN_ESYSTEM, errno, "cannot make a manager");
    server->rung.ready = rung;
    if ((error = kin__server_watch(server, server->doorbell, &server->rung, EPOLLIN)))
        return error;
    if (!kin__entity_new(server, &kin__kind_root)) /* the first one is object 0 */
        return kin_error_code();
    if (options->setup && (error = options->setup(server, options->setup_arg))) {
        if (kin_error_code() != error || error > 0)
            kin__fail(error < 0 ? error : KIN_EFAILED, "the manager's setup function returned %d", error);
        return error < 0 ? error : KIN_EFAILED;
    }
    return kin__connections_listen(server, options);
}

static void free_server(struct kin_server *server)
{
    server->ending = true;
    kin__connections_stop(server);
    kin__own_stop(server);
    while (server->timers.count) { /* holds, by now */
        struct kin__timer *timer = server->timers.heap[0];
        kin__timer_stop(&server->timers, timer);
        timer->fire(server, timer);
    }
    kin__entities_end(server);
    free_spent_bells(server);
    if (server->epoll >= 0)
        close(server->epoll);
    if (server->doorbell >= 0)
        close(server->doorbell);
    if (server->key)
        explicit_bzero(server->key, server->key_size);
    free(server->key);
    kin__tls_context_free(server->tls);
    free(server->own);
    free(server->functions);
    free(server->slots);
    free(server->timers.heap);
    kin__buffer_free(&server->scratch);
    free(server);
}

void kin_server_free(kin_server *server)
{
    if (server && server->serving)
        kin_log(KIN_LOG_ERROR, "kin_server_free of %s, which is serving: ignored", server->name);
    else if (server)
        free_server(server);
}

kin_server *kin_server_new(const kin_manager_options *given)
{
    kin_manager_options options;
    if (kin__options_read(&options, sizeof options, given, "manager options"))
        return NULL;
    struct kin_server *server = calloc(1, sizeof *server);
    if (!server) {
        kin__fail(KIN_ENOMEM, "cannot make a manager: out of memory");
        return NULL;
    }
    server->epoll = server->doorbell = server->listener = -1;
    kin__link_init(&server->sessions);
    kin__link_init(&server->connections);
    kin__link_init(&server->closing);
    kin__link_init(&server->dirty);
    kin__link_init(&server->dropped);
    kin__link_init(&server->holds);
    if (open_server(server, &options)) {
        kin_error error;
        kin_error_get(&error);
        free_server(server);
        kin__fail_with(&error);
        return NULL;
    }
    return server;
}

const char *kin_server_address(const kin_server *server)
{
    return server ? server->address : "";
}

/* ---- serves ------------------------------------------------------------------------------------------ */

void kin_server_stop(kin_server *server)
{
    uint64_t one = 1;
    if (!server)
        return;
    atomic_store(&server->stop, 1);
    (void)!write(server->doorbell, &one, sizeof one);
}

static int one_turn(struct kin_server *server)
{
    struct epoll_event events[EVENTS];
    double left = kin__timers_run(server);
    kin__connections_sweep(server);
    bool sleeps = kin__near_serve(server);
    if (left > kin__near_nap(server))
        left = kin__near_nap(server);
    int timeout = sleeps ? kin__os_poll_limit(left) : 0;
    int count = epoll_wait(server->epoll, events, EVENTS, timeout);
    kin__near_awake(server);
    if (count < 0 && errno != EINTR)
        return kin__fail_errno(KIN_ESYSTEM, errno, "the manager cannot wait for its clients");
    for (int i = 0; i < count; i++) {
        struct kin__watch *watch = events[i].data.ptr;
        watch->ready(server, watch, events[i].events);
    }
    kin__connections_sweep(server);
    free_spent_bells(server);
    return 0;
}

int kin__server_set_near(kin_server *server, struct kin__near *near)
{
    if (!(server->slots = calloc(KIN__NEAR_SLOTS, sizeof *server->slots)))
        return kin__fail(KIN_ENOMEM, "cannot make a manager: out of memory");
    server->near = near;
    return 0;
}

int kin_server_serve(kin_server *server)
{
    int error = 0;
    if (!server)
        return kin__fail(KIN_EINVAL, "cannot serve: no server");
    server->serving = true;
    while (!error && !atomic_load(&server->stop))
        error = one_turn(server);
    server->ending = true;
    kin__calls_end(server);
    kin__connections_stop(server);
    server->serving = false;
    return error;
}
