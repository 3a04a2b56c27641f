/* manager/own.c - see own.h, and the last part of kin/manager.h. */
#include "manager/own.h"

#include "base/failure.h"
#include "base/log.h"
#include "os/os.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

struct kin__text {
    struct kin__text *next;
    char text[];
};

struct kin__job {
    kin_call *call;
    struct kin__link link;
    struct kin__buffer answer;
    int error;
    kin_error record;
};

/* What the loop and the threads share, under the lock. */
struct kin__workers {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct kin__link jobs, done;
    bool stop;
    int doorbell, count;
    pthread_t thread[];
};

/* ---- registering --------------------------------------------------------------------------------- */

static void end_own(struct kin_server *server, struct kin__entity *entity)
{
    (void)server;
    if (entity->kind->own->destruct && entity->state)
        entity->kind->own->destruct(entity->state);
}

static int make_own(kin_call *call, struct kin__entity *entity)
{
    unsigned serial = kin__error_serial;
    struct kin__buffer nothing = {0}, *answer = call->answer;
    call->answer = &nothing; /* the answer is the proxy, whatever it returns */
    int error = entity->kind->own->construct(call, &entity->state);
    call->answer = answer;
    kin__buffer_free(&nothing);
    if (error > 0)
        error = kin__fail(KIN_EFAILED, "the constructor of %s returned %d", entity->kind->name, error);
    else if (error && serial == kin__error_serial)
        kin__fail(error, "the constructor of %s failed: %s", entity->kind->name, kin_strerror(error));
    return error;
}

static int check_type(const kin_manager_type *type)
{
    if (!type || type->size < sizeof(size_t) + sizeof(char *) || !type->name || !*type->name ||
        strlen(type->name) > 31)
        return kin__fail(KIN_EINVAL, "cannot register a type: it needs a name of up to 31 bytes");
    if (!type->construct)
        return kin__fail(KIN_EINVAL, "cannot register the type \"%s\": it has no constructor", type->name);
    for (size_t i = 0; i < type->method_count; i++) {
        const kin_method *method = &type->methods[i];
        if (!method->name || !*method->name || !method->function)
            return kin__fail(KIN_EINVAL,
                             "cannot register the type \"%s\": method %zu has no name, or no function",
                             type->name, i);
        for (size_t j = 0; j < i; j++)
            if (strcmp(method->name, type->methods[j].name) == 0)
                return kin__fail(KIN_EINVAL,
                                 "cannot register the type \"%s\": it has the method \"%s\" twice",
                                 type->name, method->name);
    }
    return 0;
}

int kin_server_register(kin_server *server, const kin_manager_type *type)
{
    if (!server || server->serving)
        return kin__fail(KIN_EINVAL, "cannot register a type: %s",
                         server ? "the server is serving already" : "no server");
    int error = check_type(type);
    if (error)
        return error;
    for (size_t i = 0; i < server->own_count; i++)
        if (strcmp(server->own[i].name, type->name) == 0)
            return kin__fail(KIN_EINVAL, "cannot register the type \"%s\": there is one of that name",
                             type->name);
    struct kin__kind *own = realloc(server->own, (server->own_count + 1) * sizeof *own);
    if (!own)
        return kin__fail(KIN_ENOMEM, "cannot register the type \"%s\": out of memory", type->name);
    server->own = own;
    own[server->own_count++] =
        (struct kin__kind){.name = type->name, .make = make_own, .end = end_own, .own = type};
    return 0;
}

/* ---- running --------------------------------------------------------------------------------------- */

/* The object it made, as the answer. Without a client that could refer to it, it goes. */
static int answer_made(kin_call *call, struct kin__buffer *answer)
{
    const struct kin__kind *kind = call->made.kind;
    call->made.kind = NULL;
    struct kin__entity *entity = kin__entity_new(call->server, kind);
    if (!entity) {
        if (kind->own->destruct)
            kind->own->destruct(call->made.object);
        return kin_error_code();
    }
    entity->state = call->made.object;
    int error = call->session ? kin__entity_hold_for(call->server, entity, KIN__HANDED_OUT, NULL) : 0;
    answer->size = 0;
    if (!error)
        kin__put_entity(call->server, answer, entity);
    kin__entity_drop(call->server, entity);
    return error;
}

static int run_method(kin_call *call, struct kin__entity *entity)
{
    const kin_method *method = &entity->kind->own->methods[call->method];
    unsigned serial = kin__error_serial;
    int error = method->function(call, entity->state);
    if (error > 0)
        error = kin__fail(KIN_EFAILED, "the method returned %d", error);
    else if (error && serial == kin__error_serial)
        kin__fail(error, "%s", kin_strerror(error));
    if (error && call->made.kind) {
        if (call->made.kind->own->destruct)
            call->made.kind->own->destruct(call->made.object);
        call->made.kind = NULL;
    }
    return error;
}

static void *work(void *arg)
{
    struct kin__workers *workers = arg;
    pthread_mutex_lock(&workers->lock);
    for (;;) {
        while (!workers->stop && kin__link_alone(&workers->jobs))
            pthread_cond_wait(&workers->more, &workers->lock);
        if (kin__link_alone(&workers->jobs))
            break;
        struct kin__job *job = KIN__OF(workers->jobs.next, struct kin__job, link);
        kin__link_remove(&job->link);
        pthread_mutex_unlock(&workers->lock);
        job->error = run_method(job->call, job->call->entity);
        kin_error_get(&job->record);
        pthread_mutex_lock(&workers->lock);
        kin__link_append(&workers->done, &job->link);
        uint64_t one = 1;
        (void)!write(workers->doorbell, &one, sizeof one);
    }
    pthread_mutex_unlock(&workers->lock);
    return NULL;
}

static bool start_threads(struct kin_server *server)
{
    struct kin__workers *workers =
        calloc(1, sizeof *workers + (size_t)server->thread_count * sizeof(pthread_t));
    if (!workers)
        return false;
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->more, NULL);
    kin__link_init(&workers->jobs);
    kin__link_init(&workers->done);
    workers->doorbell = server->doorbell;
    while (workers->count < server->thread_count &&
           kin__os_thread_start(&workers->thread[workers->count], work, workers) == 0)
        workers->count++;
    if (!workers->count) {
        free(workers);
        return false;
    }
    server->workers = workers;
    return true;
}

/* Hand it to a thread. */
static int hand_over(kin_call *given, struct kin__entity *entity)
{
    struct kin_server *server = given->server;
    if (!server->workers && !start_threads(server))
        return kin__fail(KIN_ESYSTEM, "cannot start a thread for a blocking method");
    struct kin__job *job = calloc(1, sizeof *job);
    kin_call *call = job ? kin__call_move(given) : NULL;
    if (!call) {
        free(job);
        return kin__fail(KIN_ENOMEM, "cannot run a blocking method: out of memory in the manager");
    }
    kin__link_remove(&call->wait);
    job->call = call;
    call->job = job;
    call->answer = &job->answer;
    entity->busy = true;
    pthread_mutex_lock(&server->workers->lock);
    kin__link_append(&server->workers->jobs, &job->link);
    pthread_cond_signal(&server->workers->more);
    pthread_mutex_unlock(&server->workers->lock);
    return KIN__PARKED;
}

int kin__own_run(kin_call *call, struct kin__entity *entity)
{
    if (entity->kind->own->methods[call->method].blocking)
        return hand_over(call, entity);
    struct kin__buffer answer = {0}, *whole = call->answer;
    call->answer = &answer;
    int error = run_method(call, entity);
    if (!error && call->made.kind)
        error = answer_made(call, &answer);
    call->answer = whole;
    if (!error) {
        kin__buffer_add(whole, answer.data, answer.size);
        whole->failed |= answer.failed;
    }
    kin__buffer_free(&answer);
    return error;
}

static void finish(struct kin_server *server, struct kin__job *job)
{
    kin_call *call = job->call;
    struct kin__entity *entity = call->entity;
    int error = job->error;
    if (error)
        kin__fail_with(&job->record);
    else if (call->made.kind)
        error = answer_made(call, &job->answer);
    if (!error && job->answer.failed)
        error = kin__fail(KIN_ENOMEM, "out of memory in the manager");
    entity->busy = false;
    call->job = NULL;
    kin__entity_wake(server, entity, 0, true);
    kin__call_finish(call, error, error ? NULL : &job->answer);
    kin__buffer_free(&job->answer);
    free(job);
    kin__calls_settle(server);
}

void kin__own_finished(struct kin_server *server)
{
    struct kin__workers *workers = server->workers;
    if (!workers)
        return;
    pthread_mutex_lock(&workers->lock);
    while (!kin__link_alone(&workers->done)) {
        struct kin__job *job = KIN__OF(workers->done.next, struct kin__job, link);
        kin__link_remove(&job->link);
        pthread_mutex_unlock(&workers->lock);
        finish(server, job);
        pthread_mutex_lock(&workers->lock);
    }
    pthread_mutex_unlock(&workers->lock);
}

void kin__own_stop(struct kin_server *server)
{
    struct kin__workers *workers = server->workers;
    if (!workers)
        return;
    pthread_mutex_lock(&workers->lock);
    workers->stop = true;
    pthread_cond_broadcast(&workers->more);
    pthread_mutex_unlock(&workers->lock);
    for (int i = 0; i < workers->count; i++)
        pthread_join(workers->thread[i], NULL);
    kin__own_finished(server);
    server->workers = NULL;
    pthread_cond_destroy(&workers->more);
    pthread_mutex_destroy(&workers->lock);
    free(workers);
}

/* ---- what methods call ------------------------------------------------------------------------------- */

size_t kin_call_count(const kin_call *call)
{
    size_t count = 0;
    if (!call)
        return 0;
    for (struct kin__reader reader = call->args; reader.at < reader.end && kin__skip(&reader); count++)
        ;
    return count;
}

static int argument(kin_call *call, size_t index, kin_any *out)
{
    struct kin__reader reader = call->args;
    for (size_t i = 0; i < index && reader.at < reader.end; i++)
        kin__skip(&reader);
    const uint8_t *item = reader.at;
    if (item == reader.end || !kin__skip(&reader))
        return kin__fail(KIN_EINVAL, "argument %zu is missing: there are %zu", index + 1,
                         kin_call_count(call));
    kin__item_view(item, (size_t)(reader.at - item), out);
    return 0;
}

int kin_call_any(kin_call *call, size_t index, kin_any *out)
{
    if (!call || !out)
        return kin__fail(KIN_EINVAL, "cannot read an argument: no call, or nowhere to put it");
    return argument(call, index, out);
}

int kin_call_int(kin_call *call, size_t index, int64_t *out)
{
    kin_any any = {0};
    int error = kin_call_any(call, index, &any);
    if (error)
        return error;
    if (any.type != KIN_ANY_INT)
        return kin__fail(KIN_EINVAL, "argument %zu is not an integer", index + 1);
    *out = any.integer;
    return 0;
}

int kin_call_real(kin_call *call, size_t index, double *out)
{
    kin_any any = {0};
    int error = kin_call_any(call, index, &any);
    if (error)
        return error;
    if (any.type != KIN_ANY_INT && any.type != KIN_ANY_REAL)
        return kin__fail(KIN_EINVAL, "argument %zu is not a number", index + 1);
    *out = any.type == KIN_ANY_INT ? (double)any.integer : any.real;
    return 0;
}

int kin_call_text(kin_call *call, size_t index, const char **out)
{
    kin_any any = {0};
    int error = kin_call_any(call, index, &any);
    if (error)
        return error;
    if (any.type != KIN_ANY_TEXT)
        return kin__fail(KIN_EINVAL, "argument %zu is not a text", index + 1);
    struct kin__text *text = malloc(sizeof *text + any.size + 1);
    if (!text)
        return kin__fail(KIN_ENOMEM, "cannot read argument %zu: out of memory in the manager", index + 1);
    memcpy(text->text, any.data, any.size);
    text->text[any.size] = '\0';
    text->next = call->texts;
    call->texts = text;
    *out = text->text;
    return 0;
}

void kin__own_free_texts(kin_call *call)
{
    while (call->texts) {
        struct kin__text *next = call->texts->next;
        free(call->texts);
        call->texts = next;
    }
}

int kin_call_return(kin_call *call, kin_any value)
{
    if (!call)
        return kin__fail(KIN_EINVAL, "cannot return a value: no call");
    call->answer->size = 0;
    return kin__put_any(call->answer, &value);
}

int kin_call_return_object(kin_call *call, const char *type, void *object)
{
    if (!call || !type || !object)
        return kin__fail(KIN_EINVAL, "cannot return an object: no call, type or object");
    if (!call->server)
        return kin__fail(KIN_ENOTSUP, "cannot return an object: the function runs in a Pool's worker");
    const struct kin__kind *kind = kin__kind_find(call->server, (const uint8_t *)type, strlen(type));
    if (!kind || !kind->own)
        return kin__fail(KIN_ENOTFOUND, "cannot return an object: no type \"%s\" is registered", type);
    call->made.kind = kind;
    call->made.object = object;
    return 0;
}
