/*
 * pool/call.c - the task's function is called, and what comes of it noted, in a worker that has claimed a record.
 *
 * A piece's items are run one by one. `at` is the item under way, `status` tells whether it is over: between the
 * status byte and `at` an item is over that `at` still names. So whoever buries the worker knows what it died in,
 * as with maps.
 */
#include "pool/hand.h"
#include "pool/timing.h"

#include "base/failure.h"
#include "family/sealed.h"
#include "os/os.h"
#include "process/printed.h"

#include <stdlib.h>
#include <string.h>

static void note(const struct kin_task *task, int cause, int result, const kin_error *story)
{
    struct kin__failure *failure = kin__record_fails(task->record, task->maker);
    if (!failure)
        return; /* the state tells it all the same */
    failure->error.result = result;
    failure->error.cause = cause;
    failure->error.error = *story;
    if (!task->captured)
        return;
    char *message = failure->error.error.message;
    size_t length = strlen(message);
    kin__task_output(task, failure->error.output);
    kin__printed_quote(failure->error.output, message + length, sizeof failure->error.error.message - length);
}

/* An item, or a single task, has failed by itself. True: it is to be tried again. */
static bool fail_item(struct kin_task *task, int result, bool has_story)
{
    kin_result *record = kin__own(task->record);
    kin_error story; /* freeing may record failures of its own */
    if (has_story)
        kin_error_get(&story);
    else
        kin__error_fill(&story, KIN_EFAILED, "the task's function returned %d", result);
    int cause =
        record->memory_limit && story.code == KIN_EMEMLIMIT ? KIN_CAUSE_MEMORY_LIMIT : KIN_CAUSE_RETURNED;
    if (kin__record_again(task->record, cause))
        return true;
    kin__record_clean_attempt(task->record);
    note(task, cause, result, &story);
    return false;
}

/* Where its function writes: in a sealed worker not where the output goes. */
static bool place_out(struct kin_task *task, unsigned char *out, size_t size, void **where)
{
    *where = out;
    if (!out || !kin__is_sealed())
        return true;
    if (!task->out)
        task->out = malloc(size);
    if (task->out)
        memset(task->out, 0, size);
    *where = task->out;
    return task->out;
}

/* True: it was done. */
static bool call(struct kin_task *task, void (*function)(void), const void *in, unsigned char *out,
                 size_t size, int *result)
{
    const struct kin__batch *batch = task->record->batch;
    void *where;
    task->failed = task->draws = task->passes = false;
    if (task->captured)
        task->seat->printed = kin__printed_so_far(task->captured);
    if (!place_out(task, out, size, &where)) {
        *result = kin__fail(KIN_ENOMEM, "could not get %zu bytes of private memory for the output", size);
        return false;
    }
    if (batch && batch->is_for)
        *result = ((kin_for_fn)function)(task, task->index, task->record->context);
    else
        *result = ((kin_task_fn)function)(task, in, where);
    while (task->children)
        kin_result_free(task->children);
    bool done = *result == 0 && !task->failed;
    if (done && where != out)
        memcpy(kin__own(out), where, size);
    else if (!done && out)
        memset(kin__own(out), 0, size);
    return done;
}

static uint32_t call_one(struct kin_task *task, void (*function)(void))
{
    const kin_result *record = task->record;
    int result;
    unsigned serial = kin__error_serial;
    task->index = record->index;
    if (call(task, function, record->in, record->out, record->out_size, &result))
        return KIN__WORK_DONE;
    return fail_item(task, result, kin__error_serial != serial) ? KIN__WORK_DELAYED : KIN__WORK_FAILED;
}

/* Between two items: taken away, or to be killed for the last one's time, which is over. */
static bool is_mine(const struct kin_task *task, uint64_t state)
{
    if (atomic_load_explicit(&task->record->state, memory_order_relaxed) != state)
        return false;
    if (task->record->limited && atomic_load(&task->seat->task) & KIN__DOOMED)
        kin__await_death();
    return true;
}

static uint32_t call_piece(struct kin_task *task, void (*function)(void))
{
    kin_result *record = kin__own(task->record);
    struct kin__batch *batch = kin__own(record->batch);
    unsigned char *status = kin__own(batch->status);
    uint64_t state = kin__record_state(record);
    while (record->at < record->end_item && !atomic_load_explicit(&batch->stop, memory_order_relaxed) &&
           is_mine(task, state)) {
        size_t at = record->at;
        int result;
        unsigned serial = kin__error_serial;
        if (record->limited)
            atomic_store_explicit(&record->began, kin__os_now_ns(), memory_order_release);
        task->index = batch->base + at;
        task->attempt = record->attempts;
        const unsigned char *in = batch->in ? batch->in + at * batch->in_size : NULL;
        unsigned char *out = batch->out ? batch->out + at * batch->out_size : NULL;
        bool done = call(task, function, in, out, batch->out_size, &result);
        if (!done && fail_item(task, result, kin__error_serial != serial))
            return KIN__WORK_DELAYED;
        if (record->memory)
            record->mark = kin__arena_mark(record->memory);
        atomic_signal_fence(memory_order_seq_cst); /* output, memory and failure before the byte */
        status[at] = done ? KIN__DONE : KIN__FAILED;
        if (!done)
            atomic_store(&batch->failed, 1);
        if (!done && batch->stop_on_failure)
            atomic_store(&batch->stop, 1);
        record->attempts = 0;
        atomic_signal_fence(memory_order_seq_cst);
        record->at = at + 1;
    }
    return atomic_load_explicit(&record->failure, memory_order_relaxed) ? KIN__WORK_FAILED : KIN__WORK_DONE;
}

uint32_t kin__record_call(struct kin_task *task)
{
    void (*function)(void);
    int error = kin__function_resolve(&task->record->function, &function);
    uint32_t work = KIN__WORK_FAILED;
    if (error) {
        kin_error story;
        kin_error_get(&story);
        note(task, KIN_CAUSE_RETURNED, error, &story);
        if (task->record->batch)
            atomic_store(&((struct kin__batch *)kin__own(task->record->batch))->failed, 1);
    } else {
        work = task->record->batch ? call_piece(task, function) : call_one(task, function);
    }
    free(task->out);
    return work;
}
