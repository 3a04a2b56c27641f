/* manager/jobs.c - see jobs.h. Who waits for a job is in list 0. */
#include "manager/jobs.h"

#include "base/failure.h"
#include "family/region.h"
#include "kin/apply.h"

#include <stdio.h>
#include <stdlib.h>

#define BYTES_MOST ((size_t)32 << 20) /* of arguments under way in one Pool; one item may have more */

/* A failure, as long as its text. */
struct failure {
    int code, pid;
    char text[];
};

struct outcome {
    struct kin__job *job;
    kin_result *result; /* NULL: it has not begun, or is done */
    size_t bytes;       /* under way */
    struct kin__kept value;
    struct failure *failure;
    bool done;
};

struct kin__job {
    struct kin__entity *entity;
    struct kin__pool *pool;
    struct kin__entity *holder; /* the Pool's */
    struct kin__link link;      /* in the Pool's list, unless it is over */
    struct kin__function function;
    struct kin__kept items;
    struct kin__reader rest; /* those that have not begun */
    unsigned how;            /* enum kin__job_how */
    bool withdrawn;
    uint32_t count, begun, ended, taken;
    struct outcome *failed; /* the first that has; NULL: none */
    struct outcome *outcomes;
    uint32_t *order; /* in which they have ended */
};

static struct failure no_memory = {.code = KIN_ENOMEM};

#define EACH \
    (sizeof(struct outcome) + sizeof(uint32_t)) /* bytes that an item is charged for beside its own */

static struct kin__job *job_of(const struct kin__entity *entity)
{
    return entity->state;
}

/* ---- ends ------------------------------------------------------------------------------------------ */

static bool has_more(const struct kin__job *job)
{
    return job->begun < job->count && !job->withdrawn && !(job->how & KIN__JOB_STOPS && job->failed);
}

bool kin__job_ready(const struct kin__entity *entity)
{
    const struct kin__job *job = job_of(entity);
    return job->ended == job->count || (job->ended == job->begun && !has_more(job)) ||
           (job->how & KIN__JOB_STOPS && job->failed);
}

/* Whether it has become over: then it may be gone. */
static void look_for_end(struct kin__job *job)
{
    struct kin__pool *pool = job->pool;
    if (kin__link_alone(&job->link) || has_more(job) || job->ended < job->begun)
        return;
    kin__link_remove(&job->link);
    kin__let_go(pool->server, &job->items);
    if (kin__link_alone(&pool->jobs))
        kin__pool_idle(pool);
    kin__entity_drop(pool->server, job->entity);
}

/* An item is done. */
static void note_end(struct outcome *outcome)
{
    struct kin__job *job = outcome->job;
    struct kin__pool *pool = job->pool;
    outcome->done = true;
    job->order[job->ended++] = (uint32_t)(outcome - job->outcomes);
    if (outcome->failure && !job->failed)
        job->failed = outcome;
    kin__entity_wake(pool->server, job->entity, 0, true);
}

static void fail_with(struct outcome *outcome, const kin_error *error)
{
    size_t length = strnlen(error->message, sizeof error->message - 1);
    struct failure *failure = malloc(sizeof *failure + length + 1);
    if (!failure) {
        outcome->failure = &no_memory;
        return;
    }
    failure->code = error->code;
    failure->pid = error->pid;
    memcpy(failure->text, error->message, length);
    failure->text[length] = '\0';
    outcome->failure = failure;
}

static void fail_with_record(struct outcome *outcome)
{
    kin_error error;
    kin_error_get(&error);
    fail_with(outcome, &error);
}

/* The pool knows the function of kin's that runs all of them; who reads it, his own. */
static void name_function(const struct outcome *outcome, kin_task_error *error)
{
    char name[64], text[sizeof error->error.message];
    char *at = error->function[0] ? strstr(error->error.message, error->function) : NULL;
    kin__function_name(&outcome->job->function, name, sizeof name);
    if (!at || !name[0])
        return;
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - error->error.message), error->error.message, name,
             at + strlen(error->function));
    memcpy(error->error.message, text, sizeof text);
}

/* What it returned was written by a worker: it is copied, and checked when it is kept. */
static int keep_value(struct kin__pool *pool, kin_result *result, struct kin__kept *value)
{
    struct kin__task_out out;
    int error = kin_result_get(result, &out, sizeof out, 0);
    if (error)
        return error;
    if (out.size > pool->server->message_limit)
        return kin__fail(KIN_ETOOLARGE, "what the function returned has %zu bytes: the limit is %zu",
                         (size_t)out.size, pool->server->message_limit);
    const uint8_t *data = out.data ? out.data : out.here;
    if (out.data ? !kin__region_holds(data) || !kin__region_holds(data + out.size)
                 : out.size > sizeof out.here)
        return kin__fail(KIN_EDAMAGED, "what the function returned is not where it should be");
    return kin__keep(pool->server, (struct kin__reader){data, data + out.size}, value);
}

/* A done function, within kin_pool_dispatch. */
static void take(kin_result *result, void *arg)
{
    struct outcome *outcome = arg;
    struct kin__pool *pool = outcome->job->pool;
    kin_task_error error;
    if (kin_result_successful(result) == 1) {
        if (keep_value(pool, result, &outcome->value))
            fail_with_record(outcome);
    } else if (kin_result_error(result, &error) == 0) {
        name_function(outcome, &error);
        fail_with(outcome, &error.error);
    } else {
        fail_with_record(outcome);
    }
    kin_result_free(result);
    outcome->result = NULL;
    pool->under_way--;
    pool->bytes -= outcome->bytes;
    note_end(outcome);
    look_for_end(outcome->job);
}

/* ---- begun ------------------------------------------------------------------------------------------- */

/* The next item as arguments, one after the other. False: it is to be a list of them, and is none. */
static bool next_args(struct kin__job *job, struct kin__reader *args)
{
    struct kin__head head;
    if (!kin__list_next(&job->rest, args))
        return false;
    if (!(job->how & KIN__JOB_STAR))
        return true;
    if (!kin__read_head(args, &head) || head.major != KIN__LIST)
        return false;
    args->end -= head.info == 31;
    return true;
}

static int begin_item(struct kin__pool *pool, struct outcome *outcome)
{
    struct kin__job *job = outcome->job;
    struct kin__reader args = {0};
    struct kin__buffer in = {0};
    if (!next_args(job, &args))
        return kin__fail(KIN_EINVAL, "item %u is not a list of arguments",
                         (unsigned)(outcome - job->outcomes));
    struct kin__task_in head = {
        .function = job->function, .manager = pool->server->manager, .size = (uint64_t)(args.end - args.at)};
    kin__buffer_add(&in, &head, sizeof head);
    kin__buffer_add(&in, args.at, head.size);
    if (in.failed) {
        kin__buffer_free(&in);
        return kin__fail(KIN_ENOMEM, "cannot call a function of a Pool: out of memory in the manager");
    }
    outcome->bytes = in.size;
    outcome->result = kin_pool_apply_async(
        pool->pool, kin__worker_call,
        KIN_APPLY_ARGS(.in = in.data, .in_size = in.size, .out_size = sizeof(struct kin__task_out),
                       .index = (size_t)(outcome - job->outcomes), .done = take, .done_arg = outcome));
    kin__buffer_free(&in);
    if (!outcome->result)
        return kin_error_code();
    pool->under_way++;
    pool->bytes += outcome->bytes;
    return 0;
}

static bool has_room(const struct kin__pool *pool)
{
    return pool->under_way < pool->window && (pool->bytes < BYTES_MOST || !pool->under_way);
}

void kin__jobs_begin(struct kin__pool *pool)
{
    struct kin__link *next;
    for (struct kin__link *link = pool->jobs.next; link != &pool->jobs; link = next) {
        struct kin__job *job = KIN__OF(link, struct kin__job, link);
        next = link->next;
        while (has_more(job) && has_room(pool)) {
            struct outcome *outcome = &job->outcomes[job->begun++];
            if (begin_item(pool, outcome)) {
                fail_with_record(outcome);
                note_end(outcome);
            }
        }
        look_for_end(job);
        if (!has_room(pool))
            return;
    }
}

void kin__jobs_cancel(struct kin__pool *pool)
{
    while (!kin__link_alone(&pool->jobs)) {
        struct kin__job *job = KIN__OF(pool->jobs.next, struct kin__job, link);
        job->begun = job->count;
        for (uint32_t i = 0; i < job->count; i++) {
            struct outcome *outcome = &job->outcomes[i];
            if (outcome->done)
                continue;
            kin__fail(KIN_ECANCELED, "the Pool was terminated");
            fail_with_record(outcome);
            outcome->result = NULL; /* gone with the pool */
            note_end(outcome);
        }
        look_for_end(job);
    }
    pool->under_way = pool->bytes = 0;
}

void kin__job_withdraw(struct kin__entity *entity)
{
    job_of(entity)->withdrawn = true;
    look_for_end(job_of(entity));
}

/* ---- made and ended ------------------------------------------------------------------------------------ */

static void end_job(struct kin_server *server, struct kin__entity *entity)
{
    struct kin__job *job = job_of(entity);
    if (!job)
        return;
    kin__link_remove(&job->link);
    kin__let_go(server, &job->items);
    for (uint32_t i = 0; i < job->count; i++) {
        kin__let_go(server, &job->outcomes[i].value);
        if (job->outcomes[i].failure != &no_memory)
            free(job->outcomes[i].failure);
    }
    kin__discharge(server, job->count * EACH);
    kin__entity_drop(server, job->holder);
    free(job->outcomes);
    free(job->order);
    free(job);
    entity->state = NULL;
}

static bool count_items(struct kin__reader items, uint32_t *count)
{
    struct kin__head head;
    struct kin__reader item;
    uint64_t number = 0;
    if (!kin__read_head(&items, &head) || head.major != KIN__LIST)
        return false;
    while (kin__list_next(&items, &item))
        number++;
    *count = (uint32_t)number; /* each has a byte of a message, which has at most UINT32_MAX */
    return true;
}

static int fill(struct kin__job *job, struct kin__reader items)
{
    struct kin_server *server = job->pool->server;
    struct kin__head head;
    uint32_t count;
    if (!count_items(items, &count))
        return kin__fail(KIN_EINVAL, "the items are not a list");
    int error = kin__charge(server, count * EACH);
    if (error)
        return error;
    job->count = count; /* charged for: end_job undoes it */
    job->outcomes = calloc(count ? count : 1, sizeof *job->outcomes);
    job->order = malloc((count ? count : 1) * sizeof *job->order);
    if (!job->outcomes || !job->order) {
        kin__discharge(server, count * EACH);
        job->count = 0;
        return kin__fail(KIN_ENOMEM, "cannot ask a Pool for %u calls: out of memory in the manager", count);
    }
    for (uint32_t i = 0; i < count; i++)
        job->outcomes[i].job = job;
    if ((error = kin__keep(server, items, &job->items)))
        return error;
    job->rest = kin__kept_reader(&job->items);
    kin__read_head(&job->rest, &head);
    return 0;
}

int kin__job_new(struct kin__pool *pool, const struct kin__kind *kind, const struct kin__function *function,
                 struct kin__reader items, unsigned how, struct kin__entity **out)
{
    struct kin_server *server = pool->server;
    if (pool->closed)
        return kin__fail(KIN_ECLOSED, "the Pool is closed");
    struct kin__entity *entity = kin__entity_new(server, kind);
    if (!entity)
        return kin_error_code();
    struct kin__job *job = entity->state = calloc(1, sizeof *job);
    if (!job) {
        kin__entity_drop(server, entity);
        return kin__fail(KIN_ENOMEM, "cannot ask a Pool for a call: out of memory in the manager");
    }
    job->entity = entity;
    job->pool = pool;
    job->holder = pool->entity;
    job->function = *function;
    job->how = how;
    kin__link_init(&job->link);
    kin__entity_hold(server, pool->entity);
    int error = fill(job, items);
    if (error) {
        kin__entity_drop(server, entity);
        return error;
    }
    kin__entity_hold(server, entity); /* until it is over */
    kin__link_append(&pool->jobs, &job->link);
    kin__jobs_begin(pool);
    *out = entity;
    return 0;
}

/* ---- AsyncResult ----------------------------------------------------------------------------------------- */

static int fail_as(const struct outcome *outcome)
{
    kin_error error;
    const struct failure *failure = outcome->failure;
    if (failure == &no_memory)
        return kin__fail(failure->code, "the function failed, and there was no memory to note how");
    kin__error_fill(&error, failure->code, "%s", failure->text);
    error.pid = failure->pid;
    return kin__fail_with(&error);
}

int kin__job_answer(kin_call *call, struct kin__entity *entity)
{
    const struct kin__job *job = job_of(entity);
    if (job->failed)
        return fail_as(job->failed);
    if (job->ended < job->count)
        return kin__fail(KIN_ECANCELED, "it was withdrawn");
    if (!(job->how & KIN__JOB_ONE))
        kin__put_head(call->answer, KIN__LIST, job->count);
    for (uint32_t i = 0; i < job->count; i++)
        kin__put_kept(call->answer, &job->outcomes[i].value);
    return 0;
}

static int await(kin_call *call, struct kin__entity *entity, bool *there)
{
    double timeout;
    int error = kin__arg_timeout(call, &timeout);
    *there = kin__job_ready(entity);
    return error || *there ? error : kin__call_park(call, entity, 0, timeout);
}

static int get(kin_call *call, struct kin__entity *entity)
{
    bool there;
    int error = await(call, entity, &there);
    return error ? error : kin__job_answer(call, entity);
}

static int wait(kin_call *call, struct kin__entity *entity)
{
    bool there;
    return await(call, entity, &there);
}

static int ready(kin_call *call, struct kin__entity *entity)
{
    kin__put_bool(call->answer, kin__job_ready(entity));
    return 0;
}

static int successful(kin_call *call, struct kin__entity *entity)
{
    if (!kin__job_ready(entity))
        return kin__fail(KIN_EBUSY, "it is not ready");
    kin__put_bool(call->answer, !job_of(entity)->failed);
    return 0;
}

static const struct kin__kind_method result_methods[] = {
    {"get", get},
    {"wait", wait},
    {"ready", ready},
    {"successful", successful},
};

const struct kin__kind kin__kind_async_result = {
    .name = "AsyncResult",
    .end = end_job,
    .methods = result_methods,
    .method_count = sizeof result_methods / sizeof *result_methods,
};

/* ---- Iterator ---------------------------------------------------------------------------------------------- */

/* next(timeout) */
static int next(kin_call *call, struct kin__entity *entity)
{
    struct kin__job *job = job_of(entity);
    double timeout;
    int error = kin__arg_timeout(call, &timeout);
    if (error)
        return error;
    if (job->taken == job->count)
        return kin__fail(KIN_ECLOSED, "there are no more");
    bool unordered = job->how & KIN__JOB_UNORDERED;
    if (unordered ? job->taken == job->ended : !job->outcomes[job->taken].done)
        return kin__call_park(call, entity, 0, timeout);
    struct outcome *outcome = &job->outcomes[unordered ? job->order[job->taken] : job->taken];
    job->taken++;
    if (outcome->failure)
        return fail_as(outcome);
    kin__put_kept(call->answer, &outcome->value);
    kin__hand_out(call->server, &outcome->value);
    return 0;
}

static const struct kin__kind_method iterator_methods[] = {{"next", next}};

const struct kin__kind kin__kind_iterator = {
    .name = "Iterator",
    .end = end_job,
    .methods = iterator_methods,
    .method_count = 1,
};
