/*
 * manager/batch.c - many calls by one journey: see kin/proxy.h.
 *
 * Sent and received at once, by poll: a server stops reading from who does not read his answers, so either alone could wait for ever.
 */
#include "kin/proxy.h"

#include "base/failure.h"
#include "manager/client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#define READ_ROOM 65536u

struct result {
    size_t at; /* its frame in `in`, plus 1; 0: there is none */
};

struct kin_batch {
    kin_manager *manager;
    struct kin__buffer out, in;
    size_t count, room;
    bool done; /* it was run: the next call begins a new one */
    struct result *results;
};

void kin_batch_free(kin_batch *batch)
{
    if (!batch)
        return;
    kin__buffer_free(&batch->out);
    kin__buffer_free(&batch->in);
    free(batch->results);
    free(batch);
}

kin_batch *kin_batch_new(kin_manager *manager)
{
    if (kin__object_check(manager, KIN__MANAGER_MAGIC, "make a batch of calls"))
        return NULL;
    kin_batch *batch = calloc(1, sizeof *batch);
    if (!batch)
        kin__fail(KIN_ENOMEM, "cannot make a batch of calls: out of memory");
    else
        batch->manager = manager;
    return batch;
}

static void begin_anew(kin_batch *batch)
{
    batch->out.size = batch->in.size = batch->count = 0;
    batch->out.failed = batch->in.failed = batch->done = false;
}

static int more_results(kin_batch *batch)
{
    if (batch->count < batch->room)
        return 0;
    size_t room = batch->room ? 2 * batch->room : 64;
    struct result *results = realloc(batch->results, room * sizeof *results);
    if (!results)
        return kin__fail(KIN_ENOMEM, "cannot add to a batch of calls: out of memory");
    batch->results = results;
    batch->room = room;
    return 0;
}

int kin_batch_add(kin_batch *batch, kin_proxy *proxy, const char *method, const kin_any *args, size_t count)
{
    if (!batch || !method || (count && !args))
        return kin__fail(KIN_EINVAL, "cannot add to a batch of calls: no %s",
                         !batch    ? "batch"
                         : !method ? "method is named"
                                   : "arguments at NULL");
    int error = kin__object_check(proxy, KIN__PROXY_MAGIC, "add to a batch of calls");
    if (error)
        return error;
    if (proxy->manager != batch->manager || proxy->number != batch->manager->number)
        return kin__fail(KIN_EINVAL, "cannot add to a batch of calls: the proxy is of another manager");
    if (batch->done)
        begin_anew(batch);
    if ((error = more_results(batch)))
        return error;
    struct kin__request request = {.object = proxy->object, .method = method};
    size_t at = kin__request_begin(&batch->out, &request, batch->count);
    for (size_t i = 0; i < count && !error; i++)
        error = kin__put_any(&batch->out, &args[i]);
    kin__frame_end(&batch->out, at);
    if (!error && batch->out.failed)
        error = kin__fail(KIN_ENOMEM, "cannot add to a batch of calls: out of memory");
    if (!error && batch->out.size - at - KIN__FRAME_HEAD > batch->manager->message_limit)
        error = kin__fail(KIN_ETOOLARGE, "cannot add a call of %zu bytes to a batch: the limit is %zu",
                          batch->out.size - at, batch->manager->message_limit);
    if (error) {
        batch->out.size = at;
        return error;
    }
    batch->results[batch->count++].at = 0;
    return 0;
}

/* Answers that are whole, from *read on. False: what came is none. */
static bool note_answers(kin_batch *batch, size_t *read, size_t *answered)
{
    struct kin__frame frame;
    while (batch->in.size - *read >= KIN__FRAME_HEAD) {
        if (!kin__frame_read(batch->in.data + *read, &frame) || frame.size > batch->manager->message_limit ||
            frame.number >= batch->count || batch->results[frame.number].at)
            return false;
        if (batch->in.size - *read - KIN__FRAME_HEAD < frame.size)
            break;
        batch->results[frame.number].at = *read + 1;
        *read += KIN__FRAME_HEAD + frame.size;
        ++*answered;
    }
    return true;
}

static int send_some(kin_batch *batch, struct kin__lane *lane, size_t *sent)
{
    ssize_t some = 1;
    while (some > 0 && *sent < batch->out.size) {
        some = kin__socket_send(&lane->stream, batch->out.data + *sent, batch->out.size - *sent);
        if (some < 0 && some != -EAGAIN)
            return kin__client_lost(lane->client);
        *sent += some > 0 ? (size_t)some : 0;
    }
    return 0;
}

/* What is there: *got, 0 if it is nothing. */
static int receive_some(kin_batch *batch, struct kin__lane *lane, size_t *got)
{
    uint8_t *room = kin__buffer_grow(&batch->in, READ_ROOM);
    if (!room)
        return kin__fail(KIN_ENOMEM, "cannot receive the answers to a batch of calls: out of memory");
    ssize_t some = kin__socket_receive(&lane->stream, room, batch->in.room - batch->in.size);
    if (some == 0 || (some < 0 && some != -EAGAIN))
        return kin__client_lost(lane->client);
    *got = some > 0 ? (size_t)some : 0;
    batch->in.size += *got;
    return 0;
}

static int too_late(const kin_batch *batch, size_t answered)
{
    return kin__fail(KIN_ETIMEDOUT, "manager \"%s\" has answered %zu of %zu calls in time",
                     batch->manager->sync.name, answered, batch->count);
}

static int exchange(kin_batch *batch, struct kin__lane *lane, double deadline)
{
    size_t sent = 0, read = 0, answered = 0, got = 0;
    while (answered < batch->count) {
        int error = send_some(batch, lane, &sent);
        if (!error)
            error = receive_some(batch, lane, &got);
        if (error)
            return error;
        if (!note_answers(batch, &read, &answered))
            return kin__fail(KIN_EMISMATCH, "manager \"%s\" sent what is no answer",
                             batch->manager->sync.name);
        short events = (short)(kin__socket_wants(&lane->stream, POLLIN) | POLLIN |
                               (sent < batch->out.size ? POLLOUT : 0));
        if (!got && (error = kin__os_poll(lane->stream.fd, events, deadline)))
            return error == KIN_ETIMEDOUT ? too_late(batch, answered) : kin__client_lost(lane->client);
    }
    return 0;
}

static int run(kin_batch *batch, double deadline)
{
    struct kin__connected *client;
    int error = kin__client(batch->manager, &client);
    if (error)
        return error;
    if (batch->done) /* the same ones again */
        for (size_t i = 0; i < batch->count; i++)
            batch->results[i].at = 0;
    batch->in.size = 0;
    struct kin__lane *lane = kin__lane_take(client, kin__os_left(deadline));
    if (!lane)
        return kin_error_code();
    error = exchange(batch, lane, deadline);
    batch->done = true;
    if (error)
        kin__lane_close(lane);
    else
        kin__lane_give(lane);
    return error;
}

int kin_batch_run(kin_batch *batch, double timeout)
{
    if (!batch)
        return kin__fail(KIN_EINVAL, "cannot run a batch of calls: there is none");
    int error = kin__timeout_check(timeout);
    if (error)
        return error;
    int before = kin__os_cancel_hold();
    error = run(batch, kin__os_deadline(timeout));
    kin__os_cancel_restore(&before);
    return error;
}

int kin_batch_result(kin_batch *batch, size_t index, kin_any *out)
{
    struct kin__connected *client;
    struct kin__frame frame;
    struct kin__reader answer;
    if (out)
        *out = (kin_any){0};
    if (!batch || index >= batch->count)
        return kin__fail(KIN_EINVAL, "cannot take result %zu of a batch: it has %zu calls", index,
                         batch ? batch->count : 0);
    if (!batch->results[index].at)
        return kin__fail(KIN_EINVAL, "cannot take result %zu of a batch: it was not answered", index);
    int error = kin__client(batch->manager, &client);
    if (error)
        return error;
    const uint8_t *at = batch->in.data + batch->results[index].at - 1;
    kin__frame_read(at, &frame);
    if ((error = kin__answer_read(client, &frame, at + KIN__FRAME_HEAD, &answer)))
        return error;
    return out ? kin__item_own(answer.at, (size_t)(answer.end - answer.at), out) : 0;
}
