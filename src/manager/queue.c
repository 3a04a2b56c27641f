/*
 * manager/queue.c - Queue and JoinableQueue. Who gets waits in list 0, who puts in list 1, who joins in list 2.
 *
 * A JoinableQueue notes who has got a message and not said task_done, so that a join is told of what died with its consumer.
 */
#include "manager/server.h"

#include "base/failure.h"

#include <stdlib.h>

#define GETTERS 0u
#define PUTTERS 1u
#define JOINERS 2u

struct message {
    struct message *next;
    struct kin__kept kept;
};

struct queue {
    struct message *first, **end;
    size_t size, most; /* 0: no bound */
    uint64_t unfinished, lost;
};

static struct queue *queue_of(struct kin__entity *entity)
{
    return entity->state;
}

static bool notes_who(const struct kin__entity *entity)
{
    return entity->kind == &kin__kind_joinable_queue;
}

static int make_queue(kin_call *call, struct kin__entity *entity)
{
    int64_t most = 0;
    int error = kin__arg_more(call) ? kin__arg_int(call, "a number of messages", &most) : 0;
    if (error)
        return error;
    struct queue *queue = calloc(1, sizeof *queue);
    if (!queue)
        return kin__fail(KIN_ENOMEM, "cannot make a queue: out of memory in the manager");
    queue->end = &queue->first;
    queue->most = most > 0 ? (size_t)most : 0;
    entity->state = queue;
    return 0;
}

static void take_out(struct kin_server *server, struct queue *queue, bool handed_out)
{
    struct message *first = queue->first;
    queue->first = first->next;
    if (!queue->first)
        queue->end = &queue->first;
    queue->size--;
    if (handed_out)
        kin__hand_out(server, &first->kept);
    else
        kin__let_go(server, &first->kept);
    free(first);
}

static void end_queue(struct kin_server *server, struct kin__entity *entity)
{
    while (queue_of(entity)->first)
        take_out(server, queue_of(entity), false);
    free(entity->state);
}

static int append(struct kin_server *server, struct kin__entity *entity, struct kin__reader value)
{
    struct queue *queue = queue_of(entity);
    struct message *message = malloc(sizeof *message);
    if (!message)
        return kin__fail(KIN_ENOMEM, "cannot put: out of memory in the manager");
    int error = kin__keep(server, value, &message->kept);
    if (error) {
        free(message);
        return error;
    }
    message->next = NULL;
    *queue->end = message;
    queue->end = &message->next;
    queue->size++;
    queue->unfinished++;
    kin__entity_wake(server, entity, GETTERS, false);
    return 0;
}

static bool is_full(const struct queue *queue)
{
    return queue->most && queue->size >= queue->most;
}

/* put(value, timeout) */
static int put(kin_call *call, struct kin__entity *entity)
{
    struct kin__reader value;
    double timeout;
    int error = kin__arg_item(call, "a value", &value);
    if (error || (error = kin__arg_timeout(call, &timeout)))
        return error;
    if (is_full(queue_of(entity)))
        return kin__call_park(call, entity, PUTTERS, timeout);
    return append(call->server, entity, value);
}

/* put_many([value, ...]): all of them, or as many as there is room for: how many. */
static int put_many(kin_call *call, struct kin__entity *entity)
{
    struct kin__reader items;
    struct kin__head head;
    uint64_t count = 0;
    int error = kin__arg_item(call, "a list", &items);
    if (error)
        return error;
    if (!kin__read_head(&items, &head) || head.major != KIN__LIST)
        return kin__fail(KIN_EINVAL, "argument 1 is not a list");
    struct kin__reader value;
    for (; !is_full(queue_of(entity)) && kin__list_next(&items, &value); count++) {
        if ((error = append(call->server, entity, value)))
            return error;
    }
    kin__put_head(call->answer, KIN__UINT, count);
    return 0;
}

/* The first message goes to the answer, and to the caller. */
static int hand_out(kin_call *call, struct kin__entity *entity)
{
    struct queue *queue = queue_of(entity);
    int error = notes_who(entity) ? kin__session_take(call->server, call->session, entity) : 0;
    if (error)
        return error;
    kin__buffer_add(call->answer, queue->first->kept.data, queue->first->kept.size);
    take_out(call->server, queue, true);
    kin__entity_wake(call->server, entity, PUTTERS, false);
    return 0;
}

/* get(timeout) */
static int get(kin_call *call, struct kin__entity *entity)
{
    double timeout;
    int error = kin__arg_timeout(call, &timeout);
    if (error)
        return error;
    if (!queue_of(entity)->first)
        return kin__call_park(call, entity, GETTERS, timeout);
    return hand_out(call, entity);
}

/* get_many(most, timeout): waits for the first, then takes what is there. */
static int get_many(kin_call *call, struct kin__entity *entity)
{
    int64_t most;
    double timeout;
    int error = kin__arg_int(call, "a number of messages", &most);
    if (error || (error = kin__arg_timeout(call, &timeout)))
        return error;
    if (most < 1)
        return kin__fail(KIN_EINVAL, "cannot get %lld messages", (long long)most);
    if (!queue_of(entity)->first)
        return kin__call_park(call, entity, GETTERS, timeout);
    kin__buffer_add(call->answer, "\x9f", 1);
    for (; queue_of(entity)->first && most && !error; most--)
        error = hand_out(call, entity);
    kin__buffer_add(call->answer, "\xff", 1);
    return error;
}

static int finish_one(struct kin_server *server, struct kin__entity *entity)
{
    struct queue *queue = queue_of(entity);
    if (!queue->unfinished)
        return kin__fail(KIN_EINVAL, "task_done was called more often than there were messages");
    if (--queue->unfinished == 0)
        kin__entity_wake(server, entity, JOINERS, true);
    return 0;
}

static int task_done(kin_call *call, struct kin__entity *entity)
{
    int error = finish_one(call->server, entity);
    if (!error && notes_who(entity))
        kin__session_give(call->server, call->session, entity);
    return error;
}

/* A consumer is gone with a message that it had not finished. */
static void abandon(struct kin_server *server, struct kin__entity *entity, struct kin__session *session)
{
    (void)session;
    if (queue_of(entity)->unfinished) {
        queue_of(entity)->lost++;
        finish_one(server, entity);
    }
}

static int join(kin_call *call, struct kin__entity *entity)
{
    double timeout;
    struct queue *queue = queue_of(entity);
    int error = kin__arg_timeout(call, &timeout);
    if (error)
        return error;
    if (queue->unfinished)
        return kin__call_park(call, entity, JOINERS, timeout);
    if (queue->lost) {
        unsigned long long lost = queue->lost;
        queue->lost = 0;
        return kin__fail(KIN_ELOST, "%llu messages were lost with clients that had got them", lost);
    }
    return 0;
}

static int size(kin_call *call, struct kin__entity *entity)
{
    kin__put_head(call->answer, KIN__UINT, queue_of(entity)->size);
    return 0;
}

static int empty(kin_call *call, struct kin__entity *entity)
{
    kin__put_bool(call->answer, !queue_of(entity)->first);
    return 0;
}

static int full(kin_call *call, struct kin__entity *entity)
{
    kin__put_bool(call->answer, is_full(queue_of(entity)));
    return 0;
}

static const struct kin__kind_method methods[] = {
    {"get", get},
    {"put", put},
    {"get_many", get_many},
    {"put_many", put_many},
    {"task_done", task_done},
    {"join", join},
    {"length", size},
    {"empty", empty},
    {"full", full},
};

const struct kin__kind kin__kind_queue = {
    .name = "Queue",
    .make = make_queue,
    .end = end_queue,
    .methods = methods,
    .method_count = sizeof methods / sizeof *methods,
};

const struct kin__kind kin__kind_joinable_queue = {
    .name = "JoinableQueue",
    .make = make_queue,
    .end = end_queue,
    .abandon = abandon,
    .methods = methods,
    .method_count = sizeof methods / sizeof *methods,
};
