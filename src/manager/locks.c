/* manager/locks.c - Lock and RLock. Who waits is in list 0. */
#include "manager/locks.h"

#include "base/failure.h"

#include <stdlib.h>

struct lock {
    struct kin__session *owner; /* NULL: it is free */
    uint64_t thread, depth;
    bool orphaned; /* its last owner died with it */
};

static struct lock *lock_of(struct kin__entity *entity)
{
    return entity->state;
}

static bool is_recursive(const struct kin__entity *entity)
{
    return entity->kind == &kin__kind_rlock;
}

bool kin__owned_is(const struct kin__entity *entity)
{
    return entity->kind == &kin__kind_lock || entity->kind == &kin__kind_rlock;
}

static int make_lock(kin_call *call, struct kin__entity *entity)
{
    (void)call;
    entity->state = calloc(1, sizeof(struct lock));
    return entity->state ? 0 : kin__fail(KIN_ENOMEM, "cannot make a lock: out of memory in the manager");
}

static void end_lock(struct kin_server *server, struct kin__entity *entity)
{
    (void)server;
    free(entity->state);
}

static bool is_mine(const kin_call *call, const struct lock *lock)
{
    return lock->owner && lock->owner == call->session && lock->thread == call->thread;
}

int kin__owned_try(kin_call *call, struct kin__entity *entity, uint64_t depth, bool *orphaned)
{
    struct lock *lock = lock_of(entity);
    if (lock->owner && is_recursive(entity) && is_mine(call, lock)) {
        lock->depth += depth;
        return 0;
    }
    if (lock->owner)
        return KIN__PARKED;
    int error = kin__session_take(call->server, call->session, entity);
    if (error)
        return error;
    *orphaned = lock->orphaned;
    *lock = (struct lock){.owner = call->session, .thread = call->thread, .depth = depth};
    return 0;
}

int kin__owned_acquire(kin_call *call, struct kin__entity *entity, double timeout)
{
    bool orphaned = false;
    int error = kin__owned_try(call, entity, 1, &orphaned);
    if (error == KIN__PARKED)
        return kin__call_park(call, entity, 0, timeout);
    if (!error)
        kin__put_bool(call->answer, !orphaned);
    return error;
}

static void let_go(struct kin_server *server, struct kin__entity *entity)
{
    struct lock *lock = lock_of(entity);
    struct kin__session *owner = lock->owner;
    *lock = (struct lock){0};
    kin__entity_wake(server, entity, 0, false);
    kin__session_give(server, owner, entity);
}

static int refuse(const kin_call *call, const struct kin__entity *entity, const struct lock *lock)
{
    if (!lock->owner)
        return kin__fail(KIN_EINVAL, "the %s is not acquired", entity->kind->name);
    return kin__fail(KIN_EPERM, "the %s is acquired by another %s", entity->kind->name,
                     lock->owner == call->session ? "thread" : "process");
}

int kin__owned_check(const kin_call *call, struct kin__entity *entity)
{
    return is_mine(call, lock_of(entity)) ? 0 : refuse(call, entity, lock_of(entity));
}

int kin__owned_release(kin_call *call, struct kin__entity *entity)
{
    struct lock *lock = lock_of(entity);
    if (!lock->owner || (is_recursive(entity) && !is_mine(call, lock)))
        return refuse(call, entity, lock);
    if (--lock->depth == 0)
        let_go(call->server, entity);
    return 0;
}

int kin__owned_release_all(kin_call *call, struct kin__entity *entity, uint64_t *depth)
{
    struct lock *lock = lock_of(entity);
    if (!is_mine(call, lock))
        return refuse(call, entity, lock);
    *depth = lock->depth;
    let_go(call->server, entity);
    return 0;
}

static void abandon(struct kin_server *server, struct kin__entity *entity, struct kin__session *session)
{
    struct lock *lock = lock_of(entity);
    if (lock->owner != session)
        return;
    *lock = (struct lock){.orphaned = true};
    kin__entity_wake(server, entity, 0, false);
}

/* acquire(timeout): true; false: acquired, and its last owner died with it. */
static int acquire(kin_call *call, struct kin__entity *entity)
{
    double timeout;
    int error = kin__arg_timeout(call, &timeout);
    return error ? error : kin__owned_acquire(call, entity, timeout);
}

static int locked(kin_call *call, struct kin__entity *entity)
{
    kin__put_bool(call->answer, lock_of(entity)->owner);
    return 0;
}

static const struct kin__kind_method methods[] = {
    {"acquire", acquire},
    {"release", kin__owned_release},
    {"locked", locked},
};

const struct kin__kind kin__kind_lock = {
    .name = "Lock",
    .make = make_lock,
    .end = end_lock,
    .abandon = abandon,
    .methods = methods,
    .method_count = sizeof methods / sizeof *methods,
};

const struct kin__kind kin__kind_rlock = {
    .name = "RLock",
    .make = make_lock,
    .end = end_lock,
    .abandon = abandon,
    .methods = methods,
    .method_count = sizeof methods / sizeof *methods,
};
