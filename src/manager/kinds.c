/* manager/kinds.c - which types there are, and object 0, which makes the others. */
#include "manager/server.h"

#include "base/failure.h"
#include "manager/near.h"
#include "os/os.h"

#include <math.h>
#include <stdlib.h>

static const struct kin__kind *const built_in[] = {
    &kin__kind_dict,      &kin__kind_list,  &kin__kind_set,       &kin__kind_namespace,
    &kin__kind_value,     &kin__kind_array, &kin__kind_queue,     &kin__kind_joinable_queue,
    &kin__kind_lock,      &kin__kind_rlock, &kin__kind_semaphore, &kin__kind_bounded_semaphore,
    &kin__kind_condition, &kin__kind_event, &kin__kind_barrier,   &kin__kind_pool,
};

const struct kin__kind *kin__kind_find(const struct kin_server *server, const uint8_t *name, size_t size)
{
    for (size_t i = 0; i < server->own_count; i++)
        if (strlen(server->own[i].name) == size && memcmp(server->own[i].name, name, size) == 0)
            return &server->own[i];
    for (size_t i = 0; i < sizeof built_in / sizeof *built_in; i++)
        if (strlen(built_in[i]->name) == size && memcmp(built_in[i]->name, name, size) == 0)
            return built_in[i];
    return NULL;
}

/* create(type, arguments...): a reference of the session's. */
static int create(kin_call *call, struct kin__entity *root)
{
    (void)root;
    const uint8_t *name;
    size_t size;
    struct kin_server *server = call->server;
    int error = kin__arg_span(call, KIN__TEXT, "the name of a type", &name, &size);
    if (error)
        return error;
    call->args = call->rest; /* those of the constructor */
    const struct kin__kind *kind = kin__kind_find(server, name, size);
    if (!kind)
        return kin__fail(KIN_ENOTFOUND, "there is no type \"%.*s\"", (int)(size < 60 ? size : 60),
                         (const char *)name);
    struct kin__entity *entity = kin__entity_new(server, kind);
    if (!entity)
        return kin_error_code();
    if (!(error = kind->make ? kind->make(call, entity) : 0))
        error = kin__session_refer(server, call->session, entity);
    else
        entity->kind = &kin__kind_root; /* nothing of it is to be ended */
    if (!error)
        kin__put_entity(server, call->answer, entity);
    kin__entity_drop(server, entity);
    return error;
}

static int find(kin_call *call, struct kin__entity **out)
{
    int64_t id;
    int error = kin__arg_int(call, "an object's number", &id);
    if (error)
        return error;
    *out = kin__entity_find(call->server, (uint64_t)id);
    if (!*out || (*out)->kind == &kin__kind_root)
        return kin__fail(KIN_ENOTFOUND, "the object %#llx is gone: nobody had a reference any more",
                         (unsigned long long)id);
    return 0;
}

/* refer(object, [hold]): one more reference of the session's; the hold has done what it was for. */
static int refer(kin_call *call, struct kin__entity *root)
{
    (void)root;
    struct kin__entity *entity = NULL;
    int64_t hold = 0;
    int error = find(call, &entity);
    if (!error && kin__arg_more(call))
        error = kin__arg_int(call, "a hold's number", &hold);
    if (error || (error = kin__session_refer(call->server, call->session, entity)))
        return error;
    kin__hold_end(call->server, entity, (uint64_t)hold);
    kin__put_entity(call->server, call->answer, entity);
    return 0;
}

static int unrefer(kin_call *call, struct kin__entity *root)
{
    (void)root;
    struct kin__entity *entity = NULL;
    int error = find(call, &entity);
    return error ? error : kin__session_unrefer(call->server, call->session, entity);
}

/* hold(object, seconds): nobody's reference, for a while; its number, for who comes with it. */
static int keep_for(kin_call *call, struct kin__entity *root)
{
    (void)root;
    struct kin__entity *entity = NULL;
    double seconds;
    uint64_t number = 0;
    int error = find(call, &entity);
    if (error || (error = kin__arg_timeout(call, &seconds)))
        return error;
    if (isinf(seconds))
        return kin__fail(KIN_EINVAL, "cannot hold an object for ever: a token may be lost");
    if (!(error = kin__entity_hold_for(call->server, entity, seconds, &number)))
        kin__put_head(call->answer, KIN__UINT, number);
    return error;
}

/* counts(): in the order of kin_manager_counts. */
static int counts(kin_call *call, struct kin__entity *root)
{
    (void)root;
    struct kin_server *server = call->server;
    size_t clients = 0;
    for (const struct kin__link *link = server->sessions.next; link != &server->sessions; link = link->next)
        clients++;
    uint64_t all[] = {server->entity_count - 1, server->reference_count, clients,
                      server->waiting_count,    server->bytes,           server->held_count,
                      server->call_count};
    kin__put_head(call->answer, KIN__LIST, sizeof all / sizeof *all);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        kin__put_head(call->answer, KIN__UINT, all[i]);
    return 0;
}

static int shutdown_server(kin_call *call, struct kin__entity *root)
{
    (void)root;
    atomic_store(&call->server->stop, 1);
    return 0;
}

/* near(): the slot of shared memory that the connection has now, for members of the family; or null. */
static int near(kin_call *call, struct kin__entity *root)
{
    (void)root;
    int slot = kin__near_join(call->server, call->connection);
    if (slot >= 0)
        kin__put_int(call->answer, slot);
    return 0;
}

static int ping(kin_call *call, struct kin__entity *root)
{
    (void)call;
    (void)root;
    return 0;
}

static const struct kin__kind_method root_methods[] = {
    {"create", create}, {"refer", refer},   {"unrefer", unrefer},
    {"hold", keep_for}, {"counts", counts}, {"shutdown", shutdown_server},
    {"ping", ping},     {"near", near},
};

const struct kin__kind kin__kind_root = {
    .name = "manager",
    .methods = root_methods,
    .method_count = sizeof root_methods / sizeof *root_methods,
};
