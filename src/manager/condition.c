/*
 * manager/condition.c - Condition: a lock, and who waits in list 0 until he is notified.
 *
 * A wait goes through phases, which its call remembers: it lets the lock go and parks here; a notification, or its timeout, moves it to
 * the lock's own list, where it waits like any other; when it has the lock it is answered.
 */
#include "manager/locks.h"

#include "base/failure.h"

#include <math.h>
#include <stdlib.h>

enum phase { BEGIN, WAITING, NOTIFIED, TOO_LATE };

#define PHASE(call) ((enum phase)((call)->state & 0xff))
#define DEPTH(call) ((call)->state >> 8)
#define STATE(phase, depth) ((uint64_t)(phase) | (uint64_t)(depth) << 8)

static struct kin__entity *lock_of(struct kin__entity *entity)
{
    return entity->state;
}

/* ([lock]): a Lock or RLock of this manager; without one it has an RLock of its own. */
static int make_condition(kin_call *call, struct kin__entity *entity)
{
    struct kin__entity *lock = NULL;
    if (kin__arg_more(call)) {
        lock = kin__read_entity(call->server, &call->rest);
        if (!lock || !kin__owned_is(lock))
            return kin__fail(KIN_EINVAL, "argument 1 is not a Lock or RLock of this manager");
        kin__entity_hold(call->server, lock);
    } else {
        if (!(lock = kin__entity_new(call->server, &kin__kind_rlock)))
            return kin_error_code();
        int error = kin__kind_rlock.make(call, lock);
        if (error) {
            lock->kind = &kin__kind_root;
            kin__entity_drop(call->server, lock);
            return error;
        }
    }
    entity->state = lock;
    return 0;
}

static void end_condition(struct kin_server *server, struct kin__entity *entity)
{
    kin__entity_drop(server, lock_of(entity));
}

static int acquire(kin_call *call, struct kin__entity *entity)
{
    double timeout;
    int error = kin__arg_timeout(call, &timeout);
    return error ? error : kin__owned_acquire(call, lock_of(entity), timeout);
}

static int release(kin_call *call, struct kin__entity *entity)
{
    return kin__owned_release(call, lock_of(entity));
}

static int begin(kin_call *call, struct kin__entity *entity)
{
    double timeout;
    uint64_t depth = 0;
    int error = kin__arg_timeout(call, &timeout);
    if (error)
        return error;
    if ((error = kin__owned_release_all(call, lock_of(entity), &depth)))
        return error;
    call->state = STATE(WAITING, depth);
    error = kin__call_park(call, entity, 0, timeout);
    if (error != KIN_ETIMEDOUT)
        return error;
    bool orphaned; /* no time at all: it takes the lock again at once, as nobody has run meanwhile */
    int again = kin__owned_try(call, lock_of(entity), depth, &orphaned);
    return again ? again : kin__fail(KIN_ETIMEDOUT, "not in time");
}

static int wait(kin_call *call, struct kin__entity *entity)
{
    bool orphaned = false;
    if (PHASE(call) == BEGIN)
        return begin(call, entity);
    if (PHASE(call) == WAITING) {
        if (!call->expired)
            return KIN__PARKED;
        call->expired = false; /* for the lock it waits without limit */
        call->state = STATE(TOO_LATE, DEPTH(call));
        kin__link_remove(&call->wait);
    }
    int error = kin__owned_try(call, lock_of(entity), DEPTH(call), &orphaned);
    if (error == KIN__PARKED)
        return kin__call_park(call, lock_of(entity), 0, (double)INFINITY);
    if (error)
        return error;
    if (PHASE(call) == TOO_LATE)
        return kin__fail(KIN_ETIMEDOUT, "not in time");
    kin__put_bool(call->answer, !orphaned);
    return 0;
}

static void notify_some(struct kin_server *server, struct kin__entity *entity, uint64_t count)
{
    struct kin__entity *lock = lock_of(entity);
    while (count-- && !kin__link_alone(&entity->waiting[0])) {
        kin_call *call = KIN__OF(entity->waiting[0].next, kin_call, wait);
        call->state = STATE(NOTIFIED, DEPTH(call));
        kin__timer_stop(&server->timers, &call->timer);
        kin__link_remove(&call->wait);
        kin__link_append(&lock->waiting[0], &call->wait);
    }
    kin__entity_wake(server, lock, 0, false);
}

/* notify([n]): one, or n of those that wait. */
static int notify(kin_call *call, struct kin__entity *entity)
{
    int64_t count = 1;
    int error = kin__arg_more(call) ? kin__arg_int(call, "a number of waiters", &count) : 0;
    if (!error && !(error = kin__owned_check(call, lock_of(entity))))
        notify_some(call->server, entity, count > 0 ? (uint64_t)count : 0);
    return error;
}

static int notify_all(kin_call *call, struct kin__entity *entity)
{
    int error = kin__owned_check(call, lock_of(entity));
    if (!error)
        notify_some(call->server, entity, UINT64_MAX);
    return error;
}

/* Who was notified and is gone before it had the lock: another one takes its place. */
static void withdraw(kin_call *call, struct kin__entity *entity)
{
    if (PHASE(call) == NOTIFIED)
        notify_some(call->server, entity, 1);
}

static const struct kin__kind_method methods[] = {
    {"acquire", acquire}, {"release", release},       {"wait", wait},
    {"notify", notify},   {"notify_all", notify_all},
};

const struct kin__kind kin__kind_condition = {
    .name = "Condition",
    .make = make_condition,
    .end = end_condition,
    .withdraw = withdraw,
    .methods = methods,
    .method_count = sizeof methods / sizeof *methods,
};
