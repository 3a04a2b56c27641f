/* manager/tasks.c - a worker of a Pool runs what it was sent: see tasks.h. */
#include "manager/tasks.h"

#include "base/failure.h"
#include "manager/own.h"

static void *worker_state; /* kin_call_state: a worker is a process of its own */

static int run(const struct kin__task_in *in, kin_task *task, struct kin__buffer *answer)
{
    void (*function)(void);
    struct kin__reader args = {in->args, in->args + in->size};
    kin_call call = {.args = args, .rest = args, .answer = answer, .task = task, .manager = in->manager};
    int error = kin__function_resolve(&in->function, &function);
    if (error)
        return error;
    error = ((kin_call_fn)function)(&call);
    kin__own_free_texts(&call);
    if (!error && !answer->size)
        kin__put_null(answer);
    return !error && answer->failed ? kin__fail(KIN_ENOMEM, "cannot return a value: out of memory") : error;
}

static int hand_in(kin_task *task, const struct kin__buffer *answer, struct kin__task_out *out)
{
    uint8_t *to = out->here;
    if (answer->size > sizeof out->here) {
        out->data = to = kin_task_malloc(task, answer->size);
        if (!to)
            return kin_error_code();
    }
    memcpy(to, answer->data, answer->size);
    out->size = answer->size;
    return 0;
}

int kin__worker_call(kin_task *task, const void *in, void *out)
{
    struct kin__buffer answer = {0};
    int error = run(in, task, &answer);
    if (!error)
        error = hand_in(task, &answer, out);
    kin__buffer_free(&answer);
    return error;
}

int kin__worker_begin(void **state, const void *arg)
{
    struct kin__buffer answer = {0};
    int error = run(arg, NULL, &answer);
    kin__buffer_free(&answer);
    *state = NULL;
    return error;
}

kin_task *kin_call_task(const kin_call *call)
{
    return call ? call->task : NULL;
}

void **kin_call_state(const kin_call *call)
{
    return call && !call->server ? &worker_state : NULL;
}

kin_manager *kin_call_manager(const kin_call *call)
{
    return call && !call->server ? call->manager : NULL;
}
