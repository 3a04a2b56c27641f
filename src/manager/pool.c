/*
 * manager/pool.c - Pool: a kin_pool of the server's, whose results come into the loop by its descriptor.
 *
 * Functions are named by those who may: members of the family by a reference (process/function.h), everyone by the names that the
 * server's program has registered. So nothing that came from outside is called that the program did not offer.
 * Who waits in apply and map is in the list of his job, who joins in list 1 of the Pool.
 */
#include "manager/jobs.h"

#include "base/failure.h"
#include "kin/apply.h"

#include <math.h>
#include <stdlib.h>

#define AHEAD 16u /* items that are begun for each worker: more than it does between two turns of the loop */
#define END_PERIOD 0.005 /* seconds between looks whether workers have ended */
#define JOINERS 1u

static struct kin__pool *pool_of(const struct kin__entity *entity)
{
    return entity->state;
}

/* ---- functions ------------------------------------------------------------------------------------- */

int kin_server_register_function(kin_server *server, const char *name, kin_call_fn function)
{
    struct kin__function reference;
    if (!server || server->serving || !name || !*name)
        return kin__fail(KIN_EINVAL, "cannot register a function: %s",
                         !server           ? "no server"
                         : server->serving ? "the server is serving already"
                                           : "it has no name");
    for (size_t i = 0; i < server->function_count; i++)
        if (strcmp(server->functions[i].name, name) == 0)
            return kin__fail(KIN_EINVAL, "cannot register the function \"%s\": there is one of that name",
                             name);
    int error = kin__function_refer((void (*)(void))function, &reference, "the function for Pools");
    if (error)
        return error;
    struct kin__named_function *functions =
        realloc(server->functions, (server->function_count + 1) * sizeof *functions);
    if (!functions)
        return kin__fail(KIN_ENOMEM, "cannot register the function \"%s\": out of memory", name);
    server->functions = functions;
    functions[server->function_count++] = (struct kin__named_function){.name = name, .function = reference};
    return 0;
}

static int find_function(const kin_call *call, struct kin__reader item, struct kin__function *out)
{
    const struct kin_server *server = call->server;
    const uint8_t *name;
    size_t size;
    if (!kin__read_span(&item, KIN__TEXT, &name, &size))
        return KIN_EINVAL;
    for (size_t i = 0; i < server->function_count; i++)
        if (strlen(server->functions[i].name) == size && memcmp(server->functions[i].name, name, size) == 0) {
            *out = server->functions[i].function;
            return 0;
        }
    return kin__fail(KIN_ENOTFOUND, "no function \"%.*s\" is registered", (int)(size < 60 ? size : 60),
                     (const char *)name);
}

/* A worker looks whether it leads anywhere. */
static bool read_reference(struct kin__reader item, struct kin__function *out)
{
    struct kin__head head;
    uint64_t module, offset;
    if (!kin__read_head(&item, &head) || head.major != KIN__TAG || head.argument != KIN__FUNCTION_TAG ||
        !kin__read_head(&item, &head) || head.major != KIN__LIST || head.info == 31 || head.argument != 2 ||
        !kin__read_uint(&item, &module) || !kin__read_uint(&item, &offset) || module > UINT32_MAX)
        return false;
    *out = (struct kin__function){.module = (uint32_t)module, .offset = offset};
    return true;
}

static int arg_function(kin_call *call, struct kin__function *out)
{
    struct kin__reader item;
    int error = kin__arg_item(call, "a function", &item);
    if (error)
        return error;
    if (read_reference(item, out))
        return call->connection->member
                   ? 0
                   : kin__fail(KIN_EPERM, "only members of the server's own family may name functions that "
                                          "are not registered");
    error = find_function(call, item, out);
    return error == KIN_EINVAL ? kin__fail(error, "the function is neither a name nor one of the family")
                               : error;
}

/* ---- made ------------------------------------------------------------------------------------------ */

static struct kin__task_in *new_initializer(kin_call *call, size_t *size)
{
    struct kin__function function;
    struct kin__reader args = {0};
    struct kin__head head;
    if (arg_function(call, &function))
        return NULL;
    if (kin__arg_more(call)) {
        if (kin__arg_item(call, "a list of arguments", &args))
            return NULL;
        if (!kin__read_head(&args, &head) || head.major != KIN__LIST) {
            kin__fail(KIN_EINVAL, "the initializer's arguments are not a list");
            return NULL;
        }
        args.end -= head.info == 31;
    }
    size_t bytes = (size_t)(args.end - args.at);
    *size = sizeof(struct kin__task_in) + bytes;
    struct kin__task_in *in = calloc(1, *size);
    if (!in) {
        kin__fail(KIN_ENOMEM, "cannot make a Pool: out of memory in the manager");
        return NULL;
    }
    in->function = function;
    in->manager = call->server->manager;
    in->size = bytes;
    if (bytes)
        memcpy(in->args, args.at, bytes);
    return in;
}

static void rung(struct kin_server *server, struct kin__watch *watch, unsigned events)
{
    struct kin__bell *bell = KIN__OF(watch, struct kin__bell, watch);
    struct kin__pool *pool = bell->owner;
    (void)events;
    if (!pool || !pool->pool)
        return;
    kin__entity_hold(server, pool->entity); /* the last job that is done may be all that holds it */
    kin_pool_dispatch(pool->pool, NULL);
    kin__jobs_begin(pool);
    kin__entity_drop(server, pool->entity);
    kin__calls_settle(server);
}

static void end_workers(struct kin__pool *pool)
{
    kin__timer_stop(&pool->server->timers, &pool->timer);
    if (pool->bell)
        kin__bell_end(pool->server, pool->bell);
    pool->bell = NULL;
    kin_pool_free(pool->pool);
    pool->pool = NULL;
    kin__entity_wake(pool->server, pool->entity, JOINERS, true);
}

static void look_for_end(struct kin_server *server, struct kin__timer *timer)
{
    struct kin__pool *pool = KIN__OF(timer, struct kin__pool, timer);
    if (kin_pool_finish(pool->pool, 0) == KIN_ETIMEDOUT &&
        kin__timer_set(&server->timers, timer, kin__os_now() + END_PERIOD) == 0)
        return;
    end_workers(pool);
    kin__calls_settle(server);
}

static int start(struct kin__pool *pool, const kin_pool_options *options)
{
    if (!(pool->pool = kin_pool_new(options)))
        return kin_error_code();
    pool->window = AHEAD * (size_t)kin_pool_workers(pool->pool);
    int fd = kin_pool_fd(pool->pool);
    if (fd < 0)
        return fd;
    pool->bell = kin__bell_new(pool->server, fd, rung, pool);
    return pool->bell ? 0 : kin_error_code();
}

static void end_pool(struct kin_server *server, struct kin__entity *entity)
{
    struct kin__pool *pool = pool_of(entity);
    (void)server;
    if (pool->pool)
        end_workers(pool);
    kin__jobs_cancel(pool); /* at the server's end; else there are none */
    free(pool);
}

/* ([workers], [initializer], [its arguments], [tasks per worker]) */
static int make_pool(kin_call *call, struct kin__entity *entity)
{
    kin_pool_options options = {.size = sizeof options, .name = "manager's"};
    struct kin__task_in *initializer = NULL;
    int64_t workers = 0, tasks = 0;
    int error = 0;
    if (!call->connection->member && !call->server->function_count)
        return kin__fail(KIN_EPERM, "there is no function for Pools: none is registered");
    bool given = kin__arg_more(call);
    if (given)
        error = kin__arg_int(call, "a number of workers", &workers);
    if (!error && given && (workers < 1 || workers > INT32_MAX))
        error = kin__fail(KIN_EINVAL, "cannot make a Pool of %lld workers", (long long)workers);
    if (!error && kin__arg_more(call)) {
        initializer = new_initializer(call, &options.init_arg_size);
        error = initializer ? 0 : kin_error_code();
    } else if (!error && kin__arg_more(call)) {
        error = kin__fail(KIN_EINVAL, "arguments of an initializer are given, but no initializer");
    }
    if (!error && kin__arg_more(call))
        error = kin__arg_int(call, "a number of tasks", &tasks);
    if (!error && tasks < 0)
        error =
            kin__fail(KIN_EINVAL, "cannot make a Pool whose workers end after %lld tasks", (long long)tasks);
    options.workers = (int)workers;
    options.tasks_per_worker = (size_t)tasks;
    options.init_arg = initializer;
    options.initializer = initializer ? kin__worker_begin : NULL;
    struct kin__pool *pool = error ? NULL : calloc(1, sizeof *pool);
    if (!error && !pool)
        error = kin__fail(KIN_ENOMEM, "cannot make a Pool: out of memory in the manager");
    if (pool) {
        *pool = (struct kin__pool){.server = call->server, .entity = entity, .timer.fire = look_for_end};
        kin__link_init(&pool->jobs);
        entity->state = pool;
        if ((error = start(pool, &options))) {
            kin_error why;
            kin_error_get(&why);
            kin_pool_free(pool->pool);
            free(pool);
            kin__fail_with(&why);
        }
    }
    free(initializer);
    return error;
}

/* ---- asked ----------------------------------------------------------------------------------------- */

/* What is asked for, as a job: of `apply` the rest of the arguments are one item. */
static int new_job(kin_call *call, struct kin__entity *entity, const struct kin__kind *kind, unsigned how,
                   struct kin__entity **out)
{
    struct kin__function function;
    struct kin__reader items;
    struct kin__buffer one = {0};
    int error = arg_function(call, &function);
    if (error)
        return error;
    if (how & KIN__JOB_ONE) {
        uint64_t count = 0;
        for (struct kin__reader rest = call->rest; rest.at < rest.end && kin__skip(&rest);)
            count++;
        kin__put_head(&one, KIN__LIST, 1);
        kin__put_head(&one, KIN__LIST, count);
        kin__buffer_add(&one, call->rest.at, (size_t)(call->rest.end - call->rest.at));
        if (one.failed)
            error = kin__fail(KIN_ENOMEM, "cannot ask a Pool for a call: out of memory in the manager");
        items = (struct kin__reader){one.data, one.data + one.size};
    } else {
        error = kin__arg_item(call, "a list of items", &items);
    }
    if (!error)
        error = kin__job_new(pool_of(entity), kind, &function, items, how, out);
    kin__buffer_free(&one);
    return error;
}

/* The call has a reference to its job, whose number it remembers, from here to its answer. */
static int await_job(kin_call *call, struct kin__entity *entity, unsigned how)
{
    struct kin_server *server = call->server;
    struct kin__entity *job = call->state ? kin__entity_find(server, call->state) : NULL;
    int error = job ? 0 : new_job(call, entity, &kin__kind_async_result, how, &job);
    if (error)
        return error;
    call->state = job->id;
    if (kin__job_ready(job))
        error = kin__job_answer(call, job);
    else if ((error = kin__call_park(call, job, 0, (double)INFINITY)) == KIN__PARKED)
        return error;
    kin__job_withdraw(job);
    kin__entity_drop(server, job);
    return error;
}

/* Its client is gone: what has not begun for him is not begun. */
static void withdraw(kin_call *call, struct kin__entity *entity)
{
    struct kin__entity *job = call->state ? kin__entity_find(call->server, call->state) : NULL;
    (void)entity;
    if (!job)
        return;
    kin__job_withdraw(job);
    kin__entity_drop(call->server, job);
}

static int apply(kin_call *call, struct kin__entity *entity)
{
    return await_job(call, entity, KIN__JOB_ONE | KIN__JOB_STAR | KIN__JOB_STOPS);
}

static int map(kin_call *call, struct kin__entity *entity)
{
    return await_job(call, entity, KIN__JOB_STOPS);
}

static int starmap(kin_call *call, struct kin__entity *entity)
{
    return await_job(call, entity, KIN__JOB_STAR | KIN__JOB_STOPS);
}

/* The answer is the job. */
static int answer_job(kin_call *call, struct kin__entity *entity, const struct kin__kind *kind, unsigned how)
{
    struct kin__entity *job;
    int error = new_job(call, entity, kind, how, &job);
    if (error)
        return error;
    error = kin__entity_hold_for(call->server, job, KIN__HANDED_OUT, NULL);
    if (!error)
        kin__put_entity(call->server, call->answer, job);
    kin__entity_drop(call->server, job);
    return error;
}

static int apply_async(kin_call *call, struct kin__entity *entity)
{
    return answer_job(call, entity, &kin__kind_async_result, KIN__JOB_ONE | KIN__JOB_STAR | KIN__JOB_STOPS);
}

static int map_async(kin_call *call, struct kin__entity *entity)
{
    return answer_job(call, entity, &kin__kind_async_result, KIN__JOB_STOPS);
}

static int starmap_async(kin_call *call, struct kin__entity *entity)
{
    return answer_job(call, entity, &kin__kind_async_result, KIN__JOB_STAR | KIN__JOB_STOPS);
}

static int imap(kin_call *call, struct kin__entity *entity)
{
    return answer_job(call, entity, &kin__kind_iterator, 0);
}

static int imap_unordered(kin_call *call, struct kin__entity *entity)
{
    return answer_job(call, entity, &kin__kind_iterator, KIN__JOB_UNORDERED);
}

/* ---- ended ------------------------------------------------------------------------------------------- */

void kin__pool_idle(struct kin__pool *pool)
{
    if (pool->closed && pool->pool && !pool->timer.place)
        kin__timer_set(&pool->server->timers, &pool->timer, kin__os_now());
}

static int close_pool(kin_call *call, struct kin__entity *entity)
{
    struct kin__pool *pool = pool_of(entity);
    (void)call;
    pool->closed = true;
    if (kin__link_alone(&pool->jobs))
        kin__pool_idle(pool);
    return 0;
}

static int terminate(kin_call *call, struct kin__entity *entity)
{
    struct kin__pool *pool = pool_of(entity);
    (void)call;
    pool->closed = true;
    if (pool->pool)
        end_workers(pool);
    kin__jobs_cancel(pool);
    return 0;
}

/* join(timeout) */
static int join(kin_call *call, struct kin__entity *entity)
{
    const struct kin__pool *pool = pool_of(entity);
    double timeout;
    int error = kin__arg_timeout(call, &timeout);
    if (error)
        return error;
    if (!pool->closed)
        return kin__fail(KIN_EINVAL, "the Pool is open: close or terminate it first");
    return pool->pool ? kin__call_park(call, entity, JOINERS, timeout) : 0;
}

static const struct kin__kind_method methods[] = {
    {"apply", apply},      {"apply_async", apply_async},
    {"map", map},          {"map_async", map_async},
    {"starmap", starmap},  {"starmap_async", starmap_async},
    {"imap", imap},        {"imap_unordered", imap_unordered},
    {"close", close_pool}, {"terminate", terminate},
    {"join", join},
};

const struct kin__kind kin__kind_pool = {
    .name = "Pool",
    .make = make_pool,
    .end = end_pool,
    .withdraw = withdraw,
    .methods = methods,
    .method_count = sizeof methods / sizeof *methods,
};
