/* manager/client.c - see client.h. */
#include "manager/client.h"

#include "base/failure.h"
#include "base/in_child.h"
#include "manager/hello.h"
#include "manager/near.h"
#include "manager/stream.h"
#include "os/os.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define GRACE 5.0 /* seconds that an answer may come later than the method's own timeout */
#define READ_MOST 65536u
#define KEEP_MOST (256u << 10)

static pthread_mutex_t clients_lock = PTHREAD_MUTEX_INITIALIZER;
static struct kin__connected *clients;
static _Atomic uint32_t changes = 1; /* of the list, but for what is added */

/* What a thread found last, as long as nothing has gone. The manager's number tells it from another one in the same block. */
static _Thread_local struct {
    const kin_manager *manager;
    uint64_t number;
    struct kin__connected *client;
    uint32_t changes;
} found;

/* ---- connecting ------------------------------------------------------------------------------------ */

/* What a handshake has come to that was not done. */
static int refuse(const kin_manager *manager, const struct kin__socket *stream, int error, double time,
                  const char *when)
{
    switch (error) {
    case KIN_ETIMEDOUT:
        return kin__fail(
            KIN_ETIMEDOUT, "cannot connect to \"%s\": what listens there was silent for %g seconds%s",
            manager->address, time, stream->tls ? "" : ": it is no manager, or one that wants TLS");
    case KIN_EPERM:
        return kin__fail(
            error, "cannot connect to \"%s\": TLS: %s%s", manager->address, kin__tls_why(stream->tls),
            manager->tls.tls == KIN_TLS_KEY ? ": the manager has another key, or uses certificates" : "");
    case KIN_EMISMATCH:
        return kin__fail(error, "cannot connect to \"%s\": what listens there does not speak TLS 1.3: %s",
                         manager->address, kin__tls_why(stream->tls));
    default:
        return kin__fail(KIN_EDIED, "cannot connect to \"%s\": it closed the connection%s", manager->address,
                         when);
    }
}

/* A server that does not trust our certificate says so when we are done already, by an alert in place of its first message. */
static int await_hello(const kin_manager *manager, struct kin__socket *stream, struct kin__hello *out,
                       double time, double deadline)
{
    int error = kin__socket_receive_all(stream, out, sizeof *out, deadline);
    if (error && stream->tls && kin__tls_untrusted(stream->tls))
        error = KIN_EPERM;
    return error ? refuse(manager, stream, error, time, "") : 0;
}

static int greet(kin_manager *manager, const uint8_t id[16], struct kin__socket *stream, double time)
{
    struct kin__hello server, client, last;
    double deadline = kin__os_deadline(time);
    int error = stream->tls ? kin__socket_shake_hands(stream, deadline) : 0;
    if (error)
        return refuse(manager, stream, error, time, " within TLS's handshake");
    if ((error = await_hello(manager, stream, &server, time, deadline)))
        return error;
    if (!kin__hello_is(&server))
        return kin__fail(KIN_EMISMATCH, "cannot connect to \"%s\": what listens there is no manager",
                         manager->address);
    if (server.verdict)
        return kin__hello_verify(&server, &server, &server, manager->key, manager->key_size,
                                 manager->address);
    if (server.version[0] > KIN__WIRE_VERSION || server.version[1] < KIN__WIRE_VERSION)
        return kin__fail(KIN_EMISMATCH,
                         "cannot connect to \"%s\": it speaks versions %d to %d of the protocol, and we %d",
                         manager->address, server.version[0], server.version[1], KIN__WIRE_VERSION);
    if (!kin__hello_client(&client, &server, id, manager->key, manager->key_size))
        return kin_error_code();
    error = kin__socket_send_all(stream, &client, sizeof client, deadline);
    if (!error)
        error = kin__socket_receive_all(stream, &last, sizeof last, deadline);
    if (error)
        return refuse(manager, stream, error, time, "");
    error = kin__hello_verify(&server, &client, &last, manager->key, manager->key_size, manager->address);
    if (error)
        return error;
    static const uint8_t none[KIN__SERVER_ID];
    if (memcmp(manager->server, none, sizeof none) == 0)
        memcpy(manager->server, server.id, sizeof server.id);
    else if (memcmp(manager->server, server.id, sizeof server.id) != 0)
        return kin__fail(KIN_EDIED,
                         "manager \"%s\" has ended, and another one is at \"%s\" now: connect anew",
                         manager->sync.name, manager->address);
    return 0;
}

/* The host of an address "tcp:host:port", "[host]:port": what the server's certificate has to be for. */
static void host_of(const char *address, char out[KIN_ADDRESS_MAX])
{
    const char *start = strncmp(address, "tcp:", 4) == 0 ? address + 4 : address;
    const char *end = strrchr(start, ':');
    if (end && *start == '[' && end[-1] == ']')
        start++, end--;
    snprintf(out, KIN_ADDRESS_MAX, "%.*s", end && end > start ? (int)(end - start) : 0, start);
}

static int read_address(struct kin__connected *client, struct kin__os_address *address)
{
    const kin_manager *manager = client->manager;
    char host[KIN_ADDRESS_MAX];
    int error = kin__address_read(manager->address, false, address);
    if (error)
        return error;
    if (kin__address_is_beyond(address) && !manager->insecure && !manager->tls.tls)
        return kin__fail(
            KIN_EPERM,
            "cannot connect to \"%s\": that is beyond this machine, and TCP is not encrypted; set .tls, "
            "or .insecure to allow that",
            manager->address);
    if (!manager->tls.tls || client->tls)
        return 0;
    if (address->storage.ss_family == AF_UNIX)
        return kin__fail(KIN_EINVAL, "cannot connect to \"%s\" with TLS: it goes over TCP only",
                         manager->address);
    host_of(manager->address, host);
    return kin__tls_context_new(&manager->tls, manager->key, manager->key_size, false, host, &client->tls);
}

static int connect_client(struct kin__connected *client, double time, struct kin__socket *out)
{
    struct kin__os_address address;
    struct kin__socket stream = {.fd = -1};
    int error = read_address(client, &address);
    if (error)
        return error;
    const char *title = client->manager->address;
    if ((error = kin__os_connect(&address, title, kin__os_deadline(time), &stream.fd)))
        return error;
    if (address.storage.ss_family != AF_UNIX)
        kin__os_tcp_settle(stream.fd);
    if (client->tls && !(stream.tls = kin__tls_new(client->tls, stream.fd)))
        error = kin_error_code();
    if (!error)
        error = greet(client->manager, client->id, &stream, time);
    if (error)
        kin__socket_close(&stream);
    else
        *out = stream;
    return error;
}

/* It was there before: so now it is not any more. */
static int connect_again(struct kin__connected *client, double time, struct kin__socket *stream)
{
    int error = connect_client(client, time, stream);
    if (error == KIN_ENOTFOUND)
        return kin__client_lost(client);
    return error;
}

static int tell_lost(struct kin__connected *client)
{
    kin_manager *manager = client->manager;
    kin_end end;
    char text[200];
    if (manager->process && kin_process_join(manager->process, 0.2) == 0 &&
        kin_process_end(manager->process, &end) == 0)
        return kin__fail(KIN_EDIED, "manager \"%s\" has ended: its process %d: %s", manager->sync.name,
                         kin_process_pid(manager->process), kin_end_text(&end, text, sizeof text));
    return kin__fail(KIN_EDIED, "manager \"%s\" at \"%s\" has ended, or closed the connection",
                     manager->sync.name, manager->address);
}

int kin__client_lost(struct kin__connected *client)
{
    int before = kin__os_cancel_hold();
    int error = tell_lost(client);
    kin__os_cancel_restore(&before);
    return error;
}

static double connect_time(double limit)
{
    return limit < KIN__CONNECT_TIME ? limit : KIN__CONNECT_TIME;
}

static struct kin__lane *new_lane(struct kin__connected *client, double limit)
{
    struct kin__lane *lane = calloc(1, sizeof *lane);
    if (!lane) {
        kin__fail(KIN_ENOMEM, "cannot call a manager: out of memory");
        return NULL;
    }
    lane->client = client;
    if (connect_again(client, connect_time(limit), &lane->stream)) {
        free(lane);
        return NULL;
    }
    return lane;
}

void kin__lane_close(struct kin__lane *lane)
{
    if (!lane)
        return;
    int before = kin__os_cancel_hold();
    kin__socket_close(&lane->stream);
    kin__buffer_free(&lane->in);
    kin__buffer_free(&lane->out);
    free(lane);
    kin__os_cancel_restore(&before);
}

/* Of a call that is not told how long it may wait. */
static double plain_limit(const kin_manager *manager)
{
    return manager->call_limit > 0 ? manager->call_limit : KIN_FOREVER;
}

static struct kin__connected *new_client(kin_manager *manager)
{
    struct kin__connected *client = calloc(1, sizeof *client);
    if (!client) {
        kin__fail(KIN_ENOMEM, "cannot connect to a manager: out of memory");
        return NULL;
    }
    client->manager = manager;
    client->number = manager->number;
    pthread_mutex_init(&client->lock, NULL);
    if (!kin__random(client->id, sizeof client->id) ||
        !(client->home = new_lane(client, plain_limit(manager)))) {
        pthread_mutex_destroy(&client->lock);
        kin__tls_context_free(client->tls);
        free(client);
        return NULL;
    }
    return client;
}

static struct kin__connected *find(const kin_manager *manager)
{
    struct kin__connected *client = clients;
    while (client && (client->manager != manager || client->number != manager->number))
        client = client->next;
    return client;
}

static int look_up(kin_manager *manager, struct kin__connected **out)
{
    if (!kin__self())
        return kin_error_code();
    int before = kin__os_cancel_hold();
    pthread_mutex_lock(&clients_lock);
    struct kin__connected *client = find(manager);
    if (!client && (client = new_client(manager))) {
        client->next = clients;
        clients = client;
    }
    found.manager = manager;
    found.number = manager->number;
    found.client = client;
    found.changes = client ? atomic_load(&changes) : 0;
    pthread_mutex_unlock(&clients_lock);
    kin__os_cancel_restore(&before);
    *out = client;
    return client ? 0 : kin_error_code();
}

int kin__client(kin_manager *manager, struct kin__connected **out)
{
    int error = kin__object_check(manager, KIN__MANAGER_MAGIC, "call a manager");
    if (error)
        return error;
    /* In a child that a fork has just made the thread is not one of its process yet. */
    if (found.manager == manager && found.number == manager->number && kin__thread_is_ours() &&
        found.changes == atomic_load_explicit(&changes, memory_order_acquire)) {
        *out = found.client;
        return 0;
    }
    return look_up(manager, out);
}

static void free_client(struct kin__connected *client)
{
    atomic_fetch_add(&changes, 1);
    kin__lane_close(atomic_exchange(&client->warm, NULL));
    while (client->free_lanes) {
        struct kin__lane *lane = client->free_lanes;
        client->free_lanes = lane->next;
        kin__lane_close(lane);
    }
    kin__lane_close(client->home);
    kin__tls_context_free(client->tls);
    pthread_mutex_destroy(&client->lock);
    free(client);
}

void kin__client_leave(kin_manager *manager)
{
    pthread_mutex_lock(&clients_lock);
    for (struct kin__connected **at = &clients; *at; at = &(*at)->next)
        if ((*at)->manager == manager && (*at)->number == manager->number) {
            struct kin__connected *client = *at;
            *at = client->next;
            if (client->arena)
                kin_arena_free(client->arena);
            free_client(client);
            break;
        }
    pthread_mutex_unlock(&clients_lock);
}

/* In a child: connections are its parent's, so they are closed here; it makes its own. */
KIN__IN_CHILD static void forked(void)
{
    kin__mutex_forked(&clients_lock);
    while (clients) {
        struct kin__connected *client = clients;
        clients = client->next;
        free_client(client);
    }
}

__attribute__((constructor)) static void set_up(void)
{
    kin__member_hooks(&(struct kin__member_hooks){.forked = forked});
}

/* ---- calls --------------------------------------------------------------------------------------------- */

/* The last one that was given back is taken by one exchange; others stand in a list, under the lock. */
struct kin__lane *kin__lane_take(struct kin__connected *client, double limit)
{
    struct kin__lane *lane = atomic_exchange(&client->warm, NULL);
    if (lane)
        return lane;
    pthread_mutex_lock(&client->lock);
    lane = client->free_lanes;
    if (lane)
        client->free_lanes = lane->next;
    pthread_mutex_unlock(&client->lock);
    if (lane)
        return lane;
    int before = kin__os_cancel_hold();
    if ((lane = new_lane(client, limit)))
        kin__near_ask(lane, connect_time(limit));
    if (lane && lane->broken) {
        kin__lane_close(lane);
        lane = NULL;
    }
    kin__os_cancel_restore(&before);
    return lane;
}

void kin__lane_give(struct kin__lane *lane)
{
    struct kin__connected *client = lane->client;
    lane->in.size = lane->out.size = 0;
    lane->in.failed = lane->out.failed = false;
    if (lane->in.room > KEEP_MOST)
        kin__buffer_free(&lane->in);
    if (lane->out.room > KEEP_MOST)
        kin__buffer_free(&lane->out);
    lane = atomic_exchange(&client->warm, lane);
    if (!lane)
        return;
    pthread_mutex_lock(&client->lock);
    lane->next = client->free_lanes;
    client->free_lanes = lane;
    pthread_mutex_unlock(&client->lock);
}

static uint64_t thread_number(void)
{
    const struct kin__thread *thread = kin__sync_thread();
    return thread ? thread->name : 0;
}

size_t kin__request_begin(struct kin__buffer *out, const struct kin__request *request, uint64_t number)
{
    size_t at = kin__frame_begin(
        out, &(struct kin__frame){.kind = KIN__FRAME_CALL, .number = number, .thread = thread_number()});
    kin__put_head(out, KIN__UINT, request->object);
    kin__put_text(out, request->method);
    return at;
}

int kin__answer_read(struct kin__connected *client, const struct kin__frame *frame, const uint8_t *body,
                     struct kin__reader *answer)
{
    struct kin__reader reader = {body, body + frame->size};
    if (frame->kind == KIN__FRAME_ANSWER) {
        if (kin__check(&reader, NULL) || reader.at != reader.end)
            return kin__fail(KIN_EMISMATCH, "manager \"%s\" sent a malformed answer",
                             client->manager->sync.name);
        *answer = (struct kin__reader){body, reader.end};
        return 0;
    }
    int64_t code, pid;
    const uint8_t *text, *where;
    size_t text_size, where_size;
    if (frame->kind != KIN__FRAME_FAILURE || !kin__read_int(&reader, &code) || code >= 0 ||
        code < INT32_MIN || !kin__read_span(&reader, KIN__TEXT, &text, &text_size) ||
        !kin__read_span(&reader, KIN__TEXT, &where, &where_size) || !kin__read_int(&reader, &pid))
        return kin__fail(KIN_EMISMATCH, "manager \"%s\" sent a malformed answer", client->manager->sync.name);
    kin_error error;
    kin__error_fill(&error, (int)code, "%.*s of manager \"%s\": %.*s", (int)where_size, (const char *)where,
                    client->manager->sync.name, (int)text_size, (const char *)text);
    error.pid = (int)pid;
    return kin__fail_with(&error);
}

/* Some more of the answer. KIN_ECLOSED, KIN_ETIMEDOUT, KIN_ENOMEM, without a record. */
static int receive_some(struct kin__lane *lane, size_t more, double deadline)
{
    if (more < 4096)
        more = 4096;
    uint8_t *room = kin__buffer_grow(&lane->in, more < READ_MOST ? more : READ_MOST);
    if (!room)
        return KIN_ENOMEM;
    ssize_t got = kin__socket_receive_some(&lane->stream, room, lane->in.room - lane->in.size, deadline);
    lane->in.size += got > 0 ? (size_t)got : 0;
    return got > 0 ? 0 : (int)got;
}

static int exchange_by_socket(struct kin__lane *lane, double deadline, int error, struct kin__frame *frame)
{
    size_t whole = KIN__FRAME_HEAD;
    if (error == KIN__SEND_BY_SOCKET)
        error = kin__socket_send_all(&lane->stream, lane->out.data, lane->out.size, deadline);
    else if (error == KIN__COMES_BY_SOCKET)
        error = 0;
    while (!error && lane->in.size < whole) {
        error = receive_some(lane, whole - lane->in.size, deadline);
        if (!error && whole == KIN__FRAME_HEAD && lane->in.size >= whole) {
            if (!kin__frame_read(lane->in.data, frame) || frame->size > lane->client->manager->message_limit)
                return KIN_EMISMATCH;
            whole += frame->size;
        }
    }
    return error;
}

static int exchange(struct kin__lane *lane, double deadline, struct kin__frame *frame)
{
    int error = lane->near ? kin__near_call(lane, deadline) : KIN__SEND_BY_SOCKET;
    if (!error) /* the server's own bytes, whole */
        return kin__frame_read(lane->in.data, frame) && lane->in.size == KIN__FRAME_HEAD + frame->size
                   ? 0
                   : KIN_EMISMATCH;
    int before = kin__os_cancel_hold();
    error = exchange_by_socket(lane, deadline, error, frame);
    kin__os_cancel_restore(&before);
    return error;
}

int kin__lane_call(struct kin__lane *lane, double limit, struct kin__reader *answer)
{
    struct kin__frame frame = {0};
    const kin_manager *manager = lane->client->manager;
    if (lane->out.size - KIN__FRAME_HEAD > manager->message_limit)
        return kin__fail(KIN_ETOOLARGE, "cannot send a call of %zu bytes to manager \"%s\": the limit is %zu",
                         lane->out.size, manager->sync.name, manager->message_limit);
    int error = exchange(lane, kin__os_deadline(limit), &frame);
    switch (error) {
    case 0:
        return kin__answer_read(lane->client, &frame, lane->in.data + KIN__FRAME_HEAD, answer);
    case KIN_ENOMEM:
        kin__fail(error, "cannot receive an answer of manager \"%s\": out of memory", manager->sync.name);
        break;
    case KIN_EMISMATCH:
        kin__fail(error, "manager \"%s\" sent what is no answer, or one larger than %zu bytes",
                  manager->sync.name, manager->message_limit);
        break;
    case KIN_ETIMEDOUT:
        kin__fail(error, "manager \"%s\" has not answered in %g seconds: it is stopped, or busy",
                  manager->sync.name, limit);
        break;
    default:
        error = kin__client_lost(lane->client);
    }
    lane->broken = true;
    return error;
}

static double limit_of(const kin_manager *manager, const struct kin__request *request)
{
    if (request->limit > 0)
        return request->limit;
    return request->timeout != KIN__UNTIMED ? request->timeout + GRACE : plain_limit(manager);
}

int kin__client_call(kin_manager *manager, const struct kin__request *request, kin_any *out)
{
    struct kin__connected *client = NULL;
    struct kin__reader answer = {0};
    int error = kin__client(manager, &client);
    if (error || !client)
        return error;
    if (request->count && !request->args)
        return kin__fail(KIN_EINVAL, "cannot call %s: no arguments at NULL", request->method);
    double limit = limit_of(manager, request);
    struct kin__lane *lane = kin__lane_take(client, limit);
    if (!lane)
        return kin_error_code();
    size_t at = kin__request_begin(&lane->out, request, 0);
    for (size_t i = 0; i < request->count && !error; i++)
        error = kin__put_any(&lane->out, &request->args[i]);
    kin__frame_end(&lane->out, at);
    if (!error && lane->out.failed)
        error = kin__fail(KIN_ENOMEM, "cannot call %s: out of memory", request->method);
    if (!error)
        error = kin__lane_call(lane, limit, &answer);
    if (!error && out)
        error = kin__item_own(answer.at, (size_t)(answer.end - answer.at), out);
    if (lane->broken)
        kin__lane_close(lane);
    else
        kin__lane_give(lane);
    return error;
}
