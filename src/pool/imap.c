/*
 * pool/imap.c - kin_imap: a window of chunks, each a record that is used again and again.
 *
 * The window's memory and records hang on one more record, the holder, which never runs: so they go with it,
 * whether it is freed or the task dies that had made it.
 */
#include "kin/imap.h"

#include "base/failure.h"
#include "family/sealed.h"
#include "os/os.h"
#include "pool/hand.h"
#include "pool/submit.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW_PER_WORKER 64
#define WINDOW_MAX ((size_t)1 << 20)
#define SLICE 0.005 /* seconds: while results are waited for, a queue is looked at */

struct slot {
    kin_result *record;
    struct kin__batch *batch;
    unsigned char *in;
    size_t count; /* items */
    size_t given; /* of these: their results were given out */
};

struct kin_imap {
    kin_pool *pool;
    kin_imap_args args;
    void (*fn)(void);
    kin_apply_args each;
    kin_result *holder;
    struct slot *slots;
    size_t window;
    size_t *active; /* slots under way, in the order of the input */
    size_t active_count;
    size_t *idle;
    size_t idle_count;
    size_t drawn; /* items of the input so far */
    bool ended;   /* the input */
    int input_error;
    kin_error input_story;
    kin_task_error last;
    kin_result **waiting; /* for kin_results_wait */
};

static int check(const kin_imap_args *args)
{
    int inputs = (args->in || args->count) + (args->input != NULL) + (args->queue != NULL);
    if (inputs > 1)
        return kin__fail(KIN_EINVAL, "cannot map: give one input, an array, a function or a queue, not %d",
                         inputs);
    if (args->count && (!args->in || !args->in_size))
        return kin__fail(KIN_EINVAL, "cannot map over an array of %zu items: in is %s, in_size is %zu",
                         args->count, args->in ? "given" : "NULL", args->in_size);
    if ((args->input || args->queue) && !args->in_size)
        return kin__fail(KIN_EINVAL, "cannot map: in_size is 0");
    if (args->chunk > WINDOW_MAX || args->window > WINDOW_MAX)
        return kin__fail(KIN_EINVAL, "cannot map with a window of %zu chunks of %zu: both at most %zu",
                         args->window, args->chunk, WINDOW_MAX);
    return 0;
}

/* ---- making it ------------------------------------------------------------------------------- */

static bool make_slot(kin_imap *imap, struct kin__desk *desk, struct slot *slot)
{
    const kin_imap_args *args = &imap->args;
    kin_arena *room = imap->holder->room;
    struct kin__batch *shared = kin_arena_calloc(room, 1, sizeof *shared);
    unsigned char *in = kin_arena_calloc(room, args->chunk, args->in_size + 1);
    unsigned char *out = kin_arena_calloc(room, args->chunk, args->out_size + 1);
    unsigned char *status = kin_arena_calloc(room, args->chunk, 1);
    if (!shared || !in || !out || !status)
        return false;
    struct kin__batch *batch = kin__own(shared);
    batch->whole = imap->holder;
    batch->uncounted = true;
    batch->in = args->in_size ? in : NULL;
    batch->out = args->out_size ? out : NULL;
    batch->in_size = args->in_size;
    batch->out_size = args->out_size;
    batch->status = status;
    slot->batch = shared;
    slot->in = in;
    slot->record = kin__submit_make(desk, imap->fn, &imap->each, &(struct kin__piece){.batch = shared});
    return slot->record;
}

static bool make_window(kin_imap *imap, struct kin__desk *desk)
{
    imap->holder = kin__submit_make(desk, imap->fn, &imap->each, NULL);
    if (!imap->holder)
        return false;
    kin_result *holder = kin__own(imap->holder);
    kin__arena_new_at(desk->pool->maker, &holder->room);
    struct kin__batch *shared = holder->room ? kin_arena_calloc(holder->room, 1, sizeof *shared) : NULL;
    kin_result **records = shared ? kin_arena_calloc(holder->room, imap->window, sizeof *records) : NULL;
    if (!records)
        return false;
    struct kin__batch *batch = kin__own(shared);
    batch->whole = imap->holder;
    batch->pieces = records;
    for (size_t i = 0; i < imap->window; i++) {
        if (!make_slot(imap, desk, &imap->slots[i]))
            return false;
        ((kin_result **)kin__own(records))[i] = imap->slots[i].record;
        batch->pieces_count = i + 1;
    }
    holder->batch = shared;
    uint64_t state = (atomic_load(&holder->state) & KIN__WORK_GENERATION) + KIN__WORK_NEXT;
    atomic_store(&holder->state, state | KIN__WORK_DONE);
    if (desk->owner)
        kin__submit_enter_child(imap->holder);
    return true;
}

static void drop_window(kin_imap *imap, struct kin__desk *desk)
{
    kin_error story;
    kin_error_get(&story);
    for (size_t i = 0; i < imap->window; i++)
        if (imap->slots[i].record)
            kin__submit_drop(desk, imap->slots[i].record);
    if (imap->holder)
        kin__submit_drop(desk, imap->holder);
    kin__fail_with(&story);
}

static void release(kin_imap *imap)
{
    free(imap->slots);
    free(imap->active);
    free(imap->idle);
    free(imap->waiting);
    free(imap);
}

static int make(kin_imap *imap)
{
    struct kin__local *local;
    imap->slots = calloc(imap->window, sizeof *imap->slots);
    imap->active = calloc(imap->window, sizeof *imap->active);
    imap->idle = calloc(imap->window, sizeof *imap->idle);
    imap->waiting = calloc(imap->window, sizeof(kin_result *));
    if (!imap->slots || !imap->active || !imap->idle || !imap->waiting)
        return kin__fail(KIN_ENOMEM, "could not map: no private memory for a window of %zu", imap->window);
    for (size_t i = 0; i < imap->window; i++)
        imap->idle[imap->idle_count++] = i;
    struct kin__desk *desk = kin__submit_enter(imap->pool, &local);
    if (!desk)
        return kin_error_code();
    bool made = make_window(imap, desk);
    if (!made)
        drop_window(imap, desk);
    kin__submit_leave(desk, local);
    return made ? 0 : kin_error_code();
}

kin_imap *kin_pool_imap(kin_pool *pool, kin_task_fn fn, const kin_imap_args *given)
{
    kin_imap *imap = calloc(1, sizeof *imap);
    if (!imap) {
        kin__fail(KIN_ENOMEM, "could not map: out of private memory");
        return NULL;
    }
    imap->pool = pool;
    imap->fn = (void (*)(void))fn;
    int error = kin__pool_check(pool, "map");
    if (!error)
        error = kin__options_read(&imap->args, sizeof imap->args, given, "imap arguments");
    if (!error)
        error = check(&imap->args);
    if (!error) {
        kin_imap_args *args = &imap->args;
        imap->each = (kin_apply_args){KIN__EACH(args)};
        args->chunk = args->chunk ? args->chunk : 1;
        imap->window = pool->kind == KIN_POOL_INLINE ? 1
                       : args->window                ? args->window
                                                     : WINDOW_PER_WORKER * (size_t)pool->workers;
        imap->ended = !args->count && !args->input && !args->queue;
        error = kin__submit_check(pool, (const void *)fn, &imap->each);
    }
    if (!error)
        error = make(imap);
    if (!error)
        return imap;
    release(imap);
    return NULL;
}

/* ---- input ----------------------------------------------------------------------------------- */

static void end_input(kin_imap *imap, int error)
{
    imap->ended = true;
    imap->input_error = error;
    if (!error)
        return;
    kin_error_get(&imap->input_story);
    if (imap->input_story.code != error)
        kin__error_fill(&imap->input_story, error, "the input ended with error %d after %zu items", error,
                        imap->drawn);
}

/* 1: an item was drawn; 0: none now. */
static int draw(kin_imap *imap, unsigned char *in, double deadline)
{
    const kin_imap_args *args = &imap->args;
    int got = 1;
    if (args->queue) {
        size_t size;
        int error = kin_queue_get(args->queue, in, args->in_size, &size, kin__os_left(deadline));
        if (error == KIN_ETIMEDOUT)
            return 0;
        if (error)
            got = error == KIN_ECLOSED ? 0 : error;
        else
            memset(in + size, 0, args->in_size - size);
    } else if (args->input) {
        got = args->input(args->input_arg, in);
    } else if (imap->drawn < args->count) {
        memcpy(in, (const unsigned char *)args->in + imap->drawn * args->in_size, args->in_size);
    } else {
        got = 0;
    }
    if (got <= 0)
        end_input(imap, got);
    imap->drawn += got > 0;
    return got > 0;
}

/* Hand a chunk to the workers. */
static int submit(kin_imap *imap, size_t index)
{
    struct slot *slot = &imap->slots[index];
    struct kin__batch *batch = kin__own(slot->batch);
    struct kin__local *local;
    struct kin__desk *desk = kin__submit_enter(imap->pool, &local);
    if (!desk)
        return kin_error_code();
    batch->base = imap->drawn - slot->count;
    memset(kin__own(batch->status), KIN__PENDING, slot->count);
    if (batch->out)
        memset(kin__own(batch->out), 0, slot->count * batch->out_size);
    kin__submit_again(desk, slot->record, slot->count);
    if (local && imap->pool->kind == KIN_POOL_INLINE) {
        pthread_mutex_unlock(&desk->mutex);
        kin__submit_inline(local, slot->record);
        pthread_mutex_lock(&desk->mutex);
    }
    kin__submit_leave(desk, local);
    imap->active[imap->active_count++] = index;
    return 0;
}

/* Fill the window; wait for input until the deadline only if nothing is under way. */
static int refill(kin_imap *imap, double deadline)
{
    while (imap->idle_count && !imap->ended) {
        struct slot *slot = &imap->slots[imap->idle[imap->idle_count - 1]];
        unsigned char *in = kin__own(slot->in);
        double until = imap->active_count || slot->count ? kin__os_now() : deadline;
        while (slot->count < imap->args.chunk && !imap->ended &&
               draw(imap, in + slot->count * imap->args.in_size, until)) {
            slot->count++;
            until = kin__os_now();
        }
        if (!slot->count)
            return 0;
        slot->given = 0;
        int error = submit(imap, imap->idle[imap->idle_count - 1]);
        if (error)
            return error;
        imap->idle_count--;
    }
    return 0;
}

/* ---- results --------------------------------------------------------------------------------- */

/* Which of those under way has something to give, or is to be waited for; its place. */
static bool find_ready(const kin_imap *imap, size_t *place)
{
    size_t last = imap->args.unordered ? imap->active_count : 1;
    for (*place = 0; *place < last && *place < imap->active_count; ++*place)
        if (kin__work_finished(kin__record_state(imap->slots[imap->active[*place]].record)))
            return true;
    return false;
}

static int wait_for_one(kin_imap *imap, double deadline)
{
    bool draws = imap->args.queue && !imap->ended && imap->idle_count;
    double left = kin__os_left(deadline);
    if (draws && left > SLICE)
        left = SLICE;
    if (!imap->args.unordered)
        return kin_result_wait(imap->slots[imap->active[0]].record, left);
    for (size_t i = 0; i < imap->active_count; i++)
        imap->waiting[i] = imap->slots[imap->active[i]].record;
    return kin_results_wait(imap->waiting, imap->active_count, KIN_WAIT_FIRST, left, NULL);
}

static int tell_failure(kin_imap *imap, const struct slot *slot, size_t item)
{
    const struct kin__failure *failure = atomic_load_explicit(&slot->record->failure, memory_order_acquire);
    size_t index = slot->batch->base + item;
    bool failed = slot->batch->status[item] == KIN__FAILED;
    while (failed && failure && failure->error.index != index)
        failure = failure->next;
    memset(&imap->last, 0, sizeof imap->last);
    if (failure)
        imap->last = failure->error;
    else if (kin__result_fail(slot->record) != 0)
        kin_error_get(&imap->last.error);
    else
        kin__error_fill(&imap->last.error, KIN_EFAILED,
                        "item %zu failed; there was no memory left to note why", index);
    imap->last.index = index;
    return kin__fail_with(&imap->last.error);
}

static int give(kin_imap *imap, size_t place, void *out, size_t *index)
{
    size_t number = imap->active[place];
    struct slot *slot = &imap->slots[number];
    size_t item = slot->given++, size = slot->batch->out_size;
    bool done = slot->batch->status[item] == KIN__DONE;
    if (index)
        *index = slot->batch->base + item;
    if (out && size && done)
        memcpy(out, slot->batch->out + item * size, size);
    else if (out && size)
        memset(out, 0, size);
    int error = done ? 0 : tell_failure(imap, slot, item);
    if (slot->given == slot->count) {
        slot->count = 0;
        memmove(&imap->active[place], &imap->active[place + 1],
                (imap->active_count - place - 1) * sizeof(size_t));
        imap->active_count--;
        imap->idle[imap->idle_count++] = number;
    }
    return error;
}

int kin_imap_next(kin_imap *imap, void *out, size_t *index, double timeout)
{
    if (!imap)
        return kin__fail(KIN_EINVAL, "cannot get the next result: the imap is NULL");
    if (!kin__os_timeout_ok(timeout))
        return kin__fail(KIN_EINVAL, "cannot wait for %g seconds", timeout);
    double deadline = kin__os_deadline(timeout);
    for (;;) {
        size_t place;
        int error = refill(imap, deadline);
        if (error)
            return error;
        if (find_ready(imap, &place))
            return give(imap, place, out, index);
        if (!imap->active_count && imap->ended) {
            error = imap->input_error;
            imap->input_error = 0;
            return error ? kin__fail_with(&imap->input_story)
                         : kin__fail(KIN_ECLOSED, "all %zu results have been given", imap->drawn);
        }
        if (kin__os_left(deadline) <= 0)
            return kin__fail(KIN_ETIMEDOUT, "no result in time");
        error = imap->active_count ? wait_for_one(imap, deadline) : 0;
        if (error && error != KIN_ETIMEDOUT)
            return error;
    }
}

int kin_imap_error(const kin_imap *imap, kin_task_error *out)
{
    if (!imap || !out)
        return kin__fail(KIN_EINVAL, "cannot tell a failure: %s",
                         imap ? "no place for it" : "the imap is NULL");
    *out = imap->last;
    if (out->error.code && !out->function[0])
        kin__function_name(&imap->holder->function, out->function, sizeof out->function);
    return 0;
}

void kin_imap_free(kin_imap *imap)
{
    if (!imap)
        return;
    if (kin__pool_check(imap->pool, "free an imap") == 0) {
        for (size_t i = 0; i < imap->window; i++)
            kin__record_cancel(imap->slots[i].record);
        kin_result_free(imap->holder);
    }
    release(imap);
}
