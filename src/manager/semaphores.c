/* manager/semaphores.c - Semaphore and BoundedSemaphore. Who waits is in list 0. Permits have holders, and come back when those die;
 * not so those of a signal, which one process gives and another takes. */
#include "manager/server.h"

#include "base/failure.h"

#include <stdlib.h>

struct semaphore {
    int64_t value, most; /* most 0: no bound */
    bool signal;
    struct kin__session **holders; /* one for each permit that is out, oldest first */
    size_t count, room;
};

static struct semaphore *semaphore_of(struct kin__entity *entity)
{
    return entity->state;
}

/* (value, [signal]) */
static int make_semaphore(kin_call *call, struct kin__entity *entity)
{
    int64_t value = 1;
    bool signal = false;
    int error = kin__arg_more(call) ? kin__arg_int(call, "a number of permits", &value) : 0;
    if (!error && kin__arg_more(call))
        error = kin__arg_bool(call, "true or false", &signal);
    if (error)
        return error;
    if (value < 0)
        return kin__fail(KIN_EINVAL, "cannot make a semaphore of %lld permits", (long long)value);
    struct semaphore *semaphore = calloc(1, sizeof *semaphore);
    if (!semaphore)
        return kin__fail(KIN_ENOMEM, "cannot make a semaphore: out of memory in the manager");
    semaphore->value = value;
    semaphore->most = entity->kind == &kin__kind_bounded_semaphore ? value : 0;
    semaphore->signal = signal;
    entity->state = semaphore;
    return 0;
}

static void end_semaphore(struct kin_server *server, struct kin__entity *entity)
{
    (void)server;
    free(semaphore_of(entity)->holders);
    free(entity->state);
}

static int note_holder(kin_call *call, struct kin__entity *entity)
{
    struct semaphore *semaphore = semaphore_of(entity);
    if (semaphore->signal)
        return 0;
    if (semaphore->count == semaphore->room) {
        size_t room = semaphore->room ? 2 * semaphore->room : 4;
        struct kin__session **holders = realloc(semaphore->holders, room * sizeof(struct kin__session *));
        if (!holders)
            return kin__fail(KIN_ENOMEM, "cannot note who has the permit: out of memory in the manager");
        semaphore->holders = holders;
        semaphore->room = room;
    }
    int error = kin__session_take(call->server, call->session, entity);
    if (!error)
        semaphore->holders[semaphore->count++] = call->session;
    return error;
}

/* A permit of that session's, or the oldest one that is out. NULL: none is. */
static struct kin__session *forget_holder(struct semaphore *semaphore, const struct kin__session *session)
{
    size_t i = 0;
    if (!semaphore->count)
        return NULL;
    while (i < semaphore->count && semaphore->holders[i] != session)
        i++;
    if (i == semaphore->count)
        i = 0;
    struct kin__session *holder = semaphore->holders[i];
    memmove(semaphore->holders + i, semaphore->holders + i + 1,
            (semaphore->count - i - 1) * sizeof(struct kin__session *));
    semaphore->count--;
    return holder;
}

static int acquire(kin_call *call, struct kin__entity *entity)
{
    double timeout;
    struct semaphore *semaphore = semaphore_of(entity);
    int error = kin__arg_timeout(call, &timeout);
    if (error)
        return error;
    if (!semaphore->value)
        return kin__call_park(call, entity, 0, timeout);
    if ((error = note_holder(call, entity)))
        return error;
    semaphore->value--;
    if (semaphore->value)
        kin__entity_wake(call->server, entity, 0, false);
    kin__put_bool(call->answer, true);
    return 0;
}

/* release([n]) */
static int release(kin_call *call, struct kin__entity *entity)
{
    struct semaphore *semaphore = semaphore_of(entity);
    int64_t count = 1;
    int error = kin__arg_more(call) ? kin__arg_int(call, "a number of permits", &count) : 0;
    if (error)
        return error;
    int64_t most = semaphore->most ? semaphore->most : INT64_MAX;
    if (count < 1 || count > most - semaphore->value)
        return kin__fail(KIN_EINVAL, "cannot release %lld permits: %lld of at most %lld are there",
                         (long long)count, (long long)semaphore->value, (long long)most);
    for (int64_t i = 0; i < count && semaphore->count; i++) {
        struct kin__session *holder = forget_holder(semaphore, call->session);
        kin__session_give(call->server, holder, entity);
    }
    semaphore->value += count;
    kin__entity_wake(call->server, entity, 0, false);
    return 0;
}

static void abandon(struct kin_server *server, struct kin__entity *entity, struct kin__session *session)
{
    struct semaphore *semaphore = semaphore_of(entity);
    forget_holder(semaphore, session);
    semaphore->value++;
    kin__entity_wake(server, entity, 0, false);
}

static int value(kin_call *call, struct kin__entity *entity)
{
    kin__put_int(call->answer, semaphore_of(entity)->value);
    return 0;
}

static const struct kin__kind_method methods[] = {
    {"acquire", acquire},
    {"release", release},
    {"value", value},
};

const struct kin__kind kin__kind_semaphore = {
    .name = "Semaphore",
    .make = make_semaphore,
    .end = end_semaphore,
    .abandon = abandon,
    .methods = methods,
    .method_count = sizeof methods / sizeof *methods,
};

const struct kin__kind kin__kind_bounded_semaphore = {
    .name = "BoundedSemaphore",
    .make = make_semaphore,
    .end = end_semaphore,
    .abandon = abandon,
    .methods = methods,
    .method_count = sizeof methods / sizeof *methods,
};
