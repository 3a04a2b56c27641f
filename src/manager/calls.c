/* manager/calls.c - calls are run, park, are run again, and are answered: see server.h. */
#include "manager/server.h"

#include "base/failure.h"
#include "manager/own.h"
#include "os/os.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ALL 8 /* bits of struct kin__entity.wake */

/* ---- answers ------------------------------------------------------------------------------------- */

struct kin__kind_method kin__call_method(const kin_call *call)
{
    const struct kin__kind *kind = call->entity->kind;
    if (kind->own)
        return (struct kin__kind_method){kind->own->methods[call->method].name, kin__own_run};
    return kind->methods[call->method];
}

static void put_failure(kin_call *call, struct kin__buffer *out, int error, const char *method)
{
    char where[96];
    kin_error record;
    kin_error_get(&record);
    if (call->entity)
        snprintf(where, sizeof where, "%s.%s", call->entity->kind->name, method);
    else
        snprintf(where, sizeof where, "%s", method);
    if (record.code != error)
        snprintf(record.message, sizeof record.message, "%s", kin_strerror(error));
    kin__put_int(out, error);
    kin__put_text(out, record.message);
    kin__put_text(out, where);
    kin__put_int(out, record.code == error ? record.pid : getpid());
}

/* Into the connection's `out`, from `at` on, where the frame has been begun. */
static void end_answer(kin_call *call, struct kin__buffer *out, size_t at, int error, const char *method)
{
    if (out->failed) {
        out->failed = false;
        error = kin__fail(KIN_ENOMEM, "out of memory in the manager");
    } else if (!error && out->size - at - KIN__FRAME_HEAD > call->server->message_limit) {
        error = kin__fail(KIN_ETOOLARGE, "the answer of %zu bytes is larger than %zu: ask for pages",
                          out->size - at - KIN__FRAME_HEAD, call->server->message_limit);
    }
    if (error) {
        out->size = at;
        kin__frame_begin(out, &(struct kin__frame){.kind = KIN__FRAME_FAILURE, .number = call->number});
        put_failure(call, out, error, method);
    } else if (out->size == at + KIN__FRAME_HEAD) {
        kin__put_null(out);
    }
    kin__frame_end(out, at);
    if (out->failed) /* not even that: the client must not wait for ever */
        kin__connection_close(call->server, call->connection);
    call->server->call_count++;
}

static size_t begin_answer(const kin_call *call, struct kin__buffer *out)
{
    return kin__frame_begin(out, &(struct kin__frame){.kind = KIN__FRAME_ANSWER, .number = call->number});
}

/* ---- running ------------------------------------------------------------------------------------- */

static int refuse_body(const char *what)
{
    return kin__fail(KIN_EINVAL, "malformed call: %s", what);
}

static int find_method(kin_call *call, const uint8_t *name, size_t size)
{
    const struct kin__kind *kind = call->entity->kind;
    size_t count = kind->own ? kind->own->method_count : kind->method_count;
    /* Else strncmp would end at the NUL, and what is looked at next be no part of `known`. */
    bool is_name = !memchr(name, 0, size);
    for (size_t i = 0; is_name && i < count; i++) {
        const char *known = kind->own ? kind->own->methods[i].name : kind->methods[i].name;
        if (strncmp(known, (const char *)name, size) == 0 && !known[size]) {
            call->method = i;
            return 0;
        }
    }
    return kin__fail(KIN_ENOTFOUND, "%s has no method \"%.*s\"", kind->name, (int)(size < 60 ? size : 60),
                     (const char *)name);
}

static int read_body(kin_call *call, struct kin__reader body, const char **method)
{
    uint64_t id;
    const uint8_t *name;
    size_t size;
    if (!kin__read_uint(&body, &id) || !kin__read_span(&body, KIN__TEXT, &name, &size))
        return refuse_body("it must begin with an object's number and a method's name");
    call->args = call->rest = body;
    while (body.at < body.end) {
        int error = kin__check(&body, &call->objects);
        if (error == KIN_ELIMIT)
            return kin__fail(KIN_ELIMIT, "malformed call: more than %u lists and maps in one another",
                             KIN__DEPTH_MAX);
        if (error)
            return refuse_body("an argument is no CBOR item");
    }
    if (!(call->entity = kin__entity_find(call->server, id)))
        return kin__fail(KIN_ENOTFOUND, "the object %#llx is gone: nobody had a reference any more",
                         (unsigned long long)id);
    int error = find_method(call, name, size);
    if (!error)
        *method = kin__call_method(call).name;
    return error;
}

void kin__call_run(struct kin_server *server, struct kin__connection *connection,
                   const struct kin__frame *frame, const uint8_t *body)
{
    kin_call call = {
        .server = server,
        .connection = connection,
        .session = connection->session,
        .number = frame->number,
        .thread = frame->thread,
        .answer = &connection->out,
    };
    const char *method = "call";
    size_t at = begin_answer(&call, &connection->out);
    int error = server->ending ? kin__fail(KIN_ECLOSED, "the manager is shutting down")
                               : read_body(&call, (struct kin__reader){body, body + frame->size}, &method);
    struct kin__entity *entity = call.entity;
    if (entity) /* its method may let go of the last that holds it: a list that has been in itself, for instance */
        kin__entity_hold(server, entity);
    if (!error && entity)
        error = entity->busy ? kin__call_park(&call, entity, 0, (double)INFINITY)
                             : kin__call_method(&call).run(&call, entity);
    if (error == KIN__PARKED)
        connection->out.size = at;
    else
        end_answer(&call, &connection->out, at, error, method);
    kin__own_free_texts(&call);
    if (entity)
        kin__entity_drop(server, entity);
    if (!kin__link_alone(&server->dirty))
        kin__calls_settle(server);
}

/* ---- parking ------------------------------------------------------------------------------------- */

static void fire(struct kin_server *server, struct kin__timer *timer);

kin_call *kin__call_move(kin_call *call)
{
    if (call->parked)
        return call;
    size_t size = (size_t)(call->args.end - call->args.at);
    kin_call *parked = malloc(sizeof *parked + size);
    if (!parked) {
        kin__fail(KIN_ENOMEM, "cannot wait in the manager: out of memory");
        return NULL;
    }
    *parked = *call;
    call->texts = NULL;
    parked->parked = true;
    parked->copy = (uint8_t *)(parked + 1);
    memcpy(parked->copy, call->args.at, size);
    parked->args = parked->rest = (struct kin__reader){parked->copy, parked->copy + size};
    parked->answer = NULL;
    parked->timer = (struct kin__timer){.fire = fire};
    kin__link_init(&parked->wait);
    kin__link_append(&call->connection->calls, &parked->mine);
    kin__entity_hold(call->server, call->entity);
    call->server->waiting_count++;
    return parked;
}

static void free_parked(kin_call *call)
{
    struct kin_server *server = call->server;
    kin__own_free_texts(call);
    kin__timer_stop(&server->timers, &call->timer);
    kin__link_remove(&call->wait);
    kin__link_remove(&call->mine);
    server->waiting_count--;
    kin__entity_drop(server, call->entity);
    free(call);
}

int kin__call_park(kin_call *call, struct kin__entity *entity, unsigned list, double timeout)
{
    if (call->expired || timeout <= 0)
        return kin__fail(KIN_ETIMEDOUT, "not in time");
    if (!call->parked) {
        kin_call *parked = kin__call_move(call);
        if (!parked)
            return KIN_ENOMEM;
        if (kin__timer_set(&call->server->timers, &parked->timer, kin__os_now() + timeout)) {
            free_parked(parked);
            return KIN_ENOMEM;
        }
        call = parked;
    }
    if (kin__link_alone(&call->wait)) /* else it keeps its place */
        kin__link_append(&entity->waiting[list], &call->wait);
    return KIN__PARKED;
}

static void answer_parked(kin_call *call, struct kin__buffer *out, size_t at, int error)
{
    struct kin_server *server = call->server;
    struct kin__connection *connection = call->connection;
    end_answer(call, out, at, error, kin__call_method(call).name);
    free_parked(call);
    if (!connection->closing)
        kin__connection_flush(server, connection);
}

void kin__call_finish(kin_call *call, int error, const struct kin__buffer *answer)
{
    if (!call->connection) {
        free_parked(call);
        return;
    }
    struct kin__buffer *out = &call->connection->out;
    size_t at = begin_answer(call, out);
    if (answer)
        kin__buffer_add(out, answer->data, answer->size);
    answer_parked(call, out, at, error);
}

/* Whether it parked again. */
static bool run_again(kin_call *call)
{
    struct kin__connection *connection = call->connection;
    struct kin__buffer *out = &connection->out;
    size_t at = begin_answer(call, out);
    call->answer = out;
    call->rest = call->args;
    int error = call->entity->busy ? KIN__PARKED : kin__call_method(call).run(call, call->entity);
    if (error == KIN__PARKED) {
        out->size = at;
        return true;
    }
    answer_parked(call, out, at, error);
    return false;
}

static void fire(struct kin_server *server, struct kin__timer *timer)
{
    kin_call *call = KIN__OF(timer, kin_call, timer);
    call->expired = true;
    run_again(call);
    kin__calls_settle(server);
}

void kin__entity_wake(struct kin_server *server, struct kin__entity *entity, unsigned list, bool all)
{
    if (kin__link_alone(&entity->waiting[list]))
        return;
    entity->wake |= 1u << list | (all ? 1u << (list + ALL) : 0);
    if (kin__link_alone(&entity->dirty)) {
        kin__entity_hold(server, entity);
        kin__link_append(&server->dirty, &entity->dirty);
    }
}

static void wake_list(struct kin__entity *entity, unsigned list, bool all)
{
    struct kin__link *head = &entity->waiting[list], *link = head->next;
    while (link != head) {
        struct kin__link *next = link->next;
        kin_call *call = KIN__OF(link, kin_call, wait);
        /* Who is known to be gone, and is about to be withdrawn, gets nothing. */
        if (!call->connection->closing && run_again(call) && !all)
            return;
        link = next;
    }
}

void kin__calls_settle(struct kin_server *server)
{
    while (!kin__link_alone(&server->dirty)) {
        struct kin__entity *entity = KIN__OF(server->dirty.next, struct kin__entity, dirty);
        unsigned wake = entity->wake;
        entity->wake = 0;
        kin__link_remove(&entity->dirty);
        for (unsigned list = 0; list < KIN__WAITING_LISTS; list++)
            if (wake & 1u << list)
                wake_list(entity, list, wake & 1u << (list + ALL));
        kin__entity_drop(server, entity);
    }
}

void kin__calls_withdraw(struct kin_server *server, struct kin__connection *connection)
{
    while (!kin__link_alone(&connection->calls)) {
        kin_call *call = KIN__OF(connection->calls.next, kin_call, mine);
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): freeing one takes it out of the list */
        call->connection = NULL;
        call->session = NULL;
        kin__link_remove(&call->mine);
        if (call->job) /* a thread is at it: it is freed when that has finished */
            continue;
        kin__link_remove(&call->wait);
        if (call->entity->kind->withdraw)
            call->entity->kind->withdraw(call, call->entity);
        free_parked(call);
    }
    kin__calls_settle(server);
}

void kin__calls_end(struct kin_server *server)
{
    for (struct kin__link *link = server->connections.next; link != &server->connections; link = link->next) {
        struct kin__connection *connection = KIN__OF(link, struct kin__connection, link);
        struct kin__link *next;
        for (struct kin__link *mine = connection->calls.next; mine != &connection->calls; mine = next) {
            kin_call *call = KIN__OF(mine, kin_call, mine);
            next = mine->next;
            if (!call->job)
                kin__call_finish(call, kin__fail(KIN_ECLOSED, "the manager is shutting down"), NULL);
        }
    }
}

/* ---- arguments ----------------------------------------------------------------------------------- */

static size_t arg_number(const kin_call *call)
{
    size_t number = 1;
    for (struct kin__reader reader = call->args; reader.at < call->rest.at; number++)
        if (!kin__skip(&reader))
            break;
    return number;
}

static int refuse_arg(const kin_call *call, const char *what)
{
    if (call->rest.at == call->rest.end)
        return kin__fail(KIN_EINVAL, "argument %zu is missing: it is to be %s", arg_number(call), what);
    return kin__fail(KIN_EINVAL, "argument %zu is not %s", arg_number(call), what);
}

int kin__arg_int(kin_call *call, const char *what, int64_t *out)
{
    return kin__read_int(&call->rest, out) ? 0 : refuse_arg(call, what);
}

int kin__arg_bool(kin_call *call, const char *what, bool *out)
{
    return kin__read_bool(&call->rest, out) ? 0 : refuse_arg(call, what);
}

int kin__arg_span(kin_call *call, enum kin__major major, const char *what, const uint8_t **data, size_t *size)
{
    return kin__read_span(&call->rest, major, data, size) ? 0 : refuse_arg(call, what);
}

int kin__arg_item(kin_call *call, const char *what, struct kin__reader *out)
{
    const uint8_t *at = call->rest.at;
    if (!kin__skip(&call->rest))
        return refuse_arg(call, what);
    *out = (struct kin__reader){at, call->rest.at};
    return 0;
}

bool kin__arg_more(kin_call *call)
{
    return call->rest.at < call->rest.end && !kin__read_null(&call->rest);
}

int kin__arg_list(kin_call *call, struct kin__reader *items)
{
    struct kin__head head;
    int error = kin__arg_item(call, "a list", items);
    if (!error && (!kin__read_head(items, &head) || head.major != KIN__LIST))
        error = kin__fail(KIN_EINVAL, "the argument is not a list");
    return error;
}

bool kin__list_next(struct kin__reader *items, struct kin__reader *item)
{
    if (items->at >= items->end || *items->at == 0xff)
        return false;
    *item = *items;
    kin__skip(items);
    item->end = items->at;
    return true;
}

int kin__arg_seen(kin_call *call, struct kin__reader *seen, bool *given, double *timeout)
{
    struct kin__head head;
    int error = kin__arg_item(call, "a list", seen);
    if (error || (error = kin__arg_timeout(call, timeout)))
        return error;
    if (!kin__read_head(seen, &head) || head.major != KIN__LIST || head.info == 31 || head.argument > 1)
        return kin__fail(KIN_EINVAL, "argument 2 is not a list of one value, or none");
    *given = head.argument;
    return 0;
}

int kin__arg_page(kin_call *call, int64_t *from, int64_t *most)
{
    int error = kin__arg_int(call, "where to begin", from);
    if (!error)
        error = kin__arg_int(call, "a number of entries", most);
    if (!error && (*from < 0 || *most < 1 || *most > KIN__PAGE_MOST))
        error = kin__fail(KIN_EINVAL, "cannot give pages of %lld entries from %lld on: 1 to %d",
                          (long long)*most, (long long)*from, KIN__PAGE_MOST);
    return error;
}

int kin__arg_timeout(kin_call *call, double *out)
{
    *out = (double)INFINITY;
    if (!kin__arg_more(call))
        return 0;
    if (!kin__read_number(&call->rest, out) || isnan(*out))
        return refuse_arg(call, "a number of seconds");
    if (*out < 0)
        *out = 0;
    return 0;
}
