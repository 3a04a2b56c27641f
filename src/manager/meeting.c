/* manager/meeting.c - Event and Barrier. Who waits is in list 0. */
#include "manager/server.h"

#include "base/failure.h"

#include <math.h>
#include <stdlib.h>

/* ---- Event ------------------------------------------------------------------------------------------ */

/* Its state is the pointer itself: NULL, or not. */
static void *const set_mark = (void *)1;

static int set(kin_call *call, struct kin__entity *entity)
{
    entity->state = set_mark;
    kin__entity_wake(call->server, entity, 0, true);
    return 0;
}

static int clear(kin_call *call, struct kin__entity *entity)
{
    (void)call;
    entity->state = NULL;
    return 0;
}

static int is_set(kin_call *call, struct kin__entity *entity)
{
    kin__put_bool(call->answer, entity->state);
    return 0;
}

static int wait_event(kin_call *call, struct kin__entity *entity)
{
    double timeout;
    int error = kin__arg_timeout(call, &timeout);
    if (error)
        return error;
    if (!entity->state)
        return kin__call_park(call, entity, 0, timeout);
    kin__put_bool(call->answer, true);
    return 0;
}

static const struct kin__kind_method event_methods[] = {
    {"set", set},
    {"clear", clear},
    {"is_set", is_set},
    {"wait", wait_event},
};

const struct kin__kind kin__kind_event = {
    .name = "Event",
    .methods = event_methods,
    .method_count = sizeof event_methods / sizeof *event_methods,
};

/* ---- Barrier ---------------------------------------------------------------------------------------- */

struct barrier {
    int64_t parties, waiting;
    uint32_t
        phase; /* who waits remembers the one he came in: when it is another he runs at once, before anybody else comes */
    double timeout; /* of who is not told one */
    bool broken;    /* until it is reset */
    bool passed;    /* how the last phase ended */
};

/* (parties, [timeout]) */
static int make_barrier(kin_call *call, struct kin__entity *entity)
{
    int64_t parties;
    double timeout;
    int error = kin__arg_int(call, "a number of parties", &parties);
    if (error || (error = kin__arg_timeout(call, &timeout)))
        return error;
    if (parties < 1 || parties > INT32_MAX)
        return kin__fail(KIN_EINVAL, "cannot make a barrier of %lld parties", (long long)parties);
    struct barrier *barrier = calloc(1, sizeof *barrier);
    if (!barrier)
        return kin__fail(KIN_ENOMEM, "cannot make a barrier: out of memory in the manager");
    barrier->parties = parties;
    barrier->timeout = timeout;
    barrier->phase = 1;
    entity->state = barrier;
    return 0;
}

static void end_barrier(struct kin_server *server, struct kin__entity *entity)
{
    (void)server;
    free(entity->state);
}

static void end_phase(struct kin_server *server, struct kin__entity *entity, bool passed)
{
    struct barrier *barrier = entity->state;
    barrier->phase += barrier->phase == UINT32_MAX ? 2 : 1; /* never 0, which is a call's state at first */
    barrier->waiting = 0;
    barrier->passed = passed;
    kin__entity_wake(server, entity, 0, true);
}

static int broken_barrier(void)
{
    return kin__fail(KIN_EBROKEN, "the barrier is broken");
}

/* wait(timeout): the place in which the party came, the last one 0. */
static int wait_barrier(kin_call *call, struct kin__entity *entity)
{
    struct barrier *barrier = entity->state;
    double timeout;
    int error = kin__arg_timeout(call, &timeout);
    if (error)
        return error;
    if (!call->state) {
        if (barrier->broken)
            return broken_barrier();
        int64_t place = barrier->parties - ++barrier->waiting;
        if (!place) {
            kin__put_int(call->answer, 0);
            end_phase(call->server, entity, true);
            return 0;
        }
        call->state = (uint64_t)barrier->phase << 32 | (uint64_t)place;
        error = kin__call_park(call, entity, 0, isinf(timeout) ? barrier->timeout : timeout);
        if (error != KIN_ETIMEDOUT)
            return error;
    } else if (barrier->phase != call->state >> 32) {
        if (!barrier->passed)
            return broken_barrier();
        kin__put_head(call->answer, KIN__UINT, (uint32_t)call->state);
        return 0;
    } else if (!call->expired) {
        return KIN__PARKED;
    }
    barrier->broken = true;
    end_phase(call->server, entity, false);
    return kin__fail(KIN_ETIMEDOUT, "not in time, so the barrier is broken");
}

static void break_it(struct kin_server *server, struct kin__entity *entity)
{
    struct barrier *barrier = entity->state;
    barrier->broken = true;
    end_phase(server, entity, false);
}

static int abort_barrier(kin_call *call, struct kin__entity *entity)
{
    break_it(call->server, entity);
    return 0;
}

/* A party is gone: the others would wait for ever. */
static void withdraw(kin_call *call, struct kin__entity *entity)
{
    const struct barrier *barrier = entity->state;
    if (barrier->phase == call->state >> 32)
        break_it(call->server, entity);
}

static int reset(kin_call *call, struct kin__entity *entity)
{
    struct barrier *barrier = entity->state;
    if (barrier->waiting)
        end_phase(call->server, entity, false);
    barrier->broken = false;
    return 0;
}

static int waiting(kin_call *call, struct kin__entity *entity)
{
    const struct barrier *barrier = entity->state;
    kin__put_int(call->answer, barrier->waiting);
    return 0;
}

static int parties(kin_call *call, struct kin__entity *entity)
{
    const struct barrier *barrier = entity->state;
    kin__put_int(call->answer, barrier->parties);
    return 0;
}

static int is_broken(kin_call *call, struct kin__entity *entity)
{
    const struct barrier *barrier = entity->state;
    kin__put_bool(call->answer, barrier->broken);
    return 0;
}

static const struct kin__kind_method barrier_methods[] = {
    {"wait", wait_barrier}, {"abort", abort_barrier}, {"reset", reset},
    {"waiting", waiting},   {"parties", parties},     {"broken", is_broken},
};

const struct kin__kind kin__kind_barrier = {
    .name = "Barrier",
    .make = make_barrier,
    .end = end_barrier,
    .withdraw = withdraw,
    .methods = barrier_methods,
    .method_count = sizeof barrier_methods / sizeof *barrier_methods,
};
