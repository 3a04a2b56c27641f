/* pool/result.c - kin/result.h. */
#include "kin/result.h"

#include "base/failure.h"
#include "family/sealed.h"
#include "os/os.h"
#include "pool/hand.h"
#include "pool/local.h"
#include "pool/submit.h"
#include "pool/waits.h"

#include <string.h>
#include <time.h>

#define SPIN 20e-6
#define SPIN_TURNS 32
#define WRITERS_PATIENCE 1.0
#define WRITERS_PERIOD_NS 100000

static int check(const kin_result *result, const char *what)
{
    return kin__object_check(result, KIN__RESULT_MAGIC, what);
}

static int check_finished(const kin_result *result, const char *what, uint64_t *state)
{
    int error = check(result, what);
    if (error)
        return error;
    *state = kin__record_state(result);
    return kin__work_finished(*state)
               ? 0
               : kin__fail(KIN_EBUSY, "cannot %s: the task of pool \"%s\" has not finished", what,
                           result->pool->name);
}

bool kin_result_ready(const kin_result *result)
{
    return check(result, "ask a result whether it is ready") == 0 &&
           kin__work_finished(kin__record_state(result));
}

int kin_result_successful(const kin_result *result)
{
    uint64_t state;
    int error = check_finished(result, "ask a result whether it succeeded", &state);
    return error ? error : KIN__WORK(state) == KIN__WORK_DONE;
}

/* ---- waiting --------------------------------------------------------------------------------- */

/* Only where a CPU is left for it. */
static bool spin(const kin_result *result, double deadline)
{
    if (atomic_load(&result->pool->wanted) >= result->pool->cpus)
        return false;
    double now = kin__os_now(), until = deadline < now + SPIN ? deadline : now + SPIN;
    while (kin__os_now() < until)
        for (int i = 0; i < SPIN_TURNS; i++) {
            if (kin__work_finished(kin__record_state(result)))
                return true;
            kin__os_pause();
        }
    return false;
}

static int sleep_for(kin_result *record, double deadline)
{
    /* Before the state: partner in kin__record_tell. */
    atomic_fetch_or(&record->wants, KIN__WANTS_WAKE);
    for (;;) {
        uint64_t state = atomic_load(&record->state);
        double left = kin__os_left(deadline);
        if (kin__work_finished(state))
            return 0;
        if (left <= 0)
            return KIN_ETIMEDOUT;
        if (kin__os_futex_wait((const _Atomic uint32_t *)&record->state, (uint32_t)state,
                               left < KIN__POOL_LOOK_OFTEN ? left : KIN__POOL_LOOK_OFTEN) == KIN_ETIMEDOUT) {
            int error = kin__pool_check_maker(record->pool);
            if (error)
                return error;
        }
    }
}

static int sleep_until(kin_result *result, double deadline)
{
    kin_result *record = kin__own(result);
    if (deadline <= kin__os_now())
        return KIN_ETIMEDOUT;
    if (spin(result, deadline))
        return 0;
    struct kin__thread *waits = kin__pool_waits(record->pool, (const _Atomic uint32_t *)&record->state, 0);
    int error = sleep_for(record, deadline);
    kin__pool_waits_end(waits);
    return error;
}

static int await(kin_result *result, double deadline)
{
    struct kin__hand *hand = kin__hand_here();
    if (hand && hand->pool == kin__own(result->pool))
        return kin__hand_await(hand, result, deadline);
    if (result->pool->maker != kin__self_id())
        return sleep_until(result, deadline);
    struct kin__local *local = kin__local_hold(result->pool, "wait for a result");
    if (!local)
        return kin_error_code();
    int error = sleep_until(result, deadline);
    kin__local_release(local);
    return error;
}

int kin_result_wait(kin_result *result, double timeout)
{
    int error = check(result, "wait for a result");
    if (error)
        return error;
    if (!kin__os_timeout_ok(timeout))
        return kin__fail(KIN_EINVAL, "cannot wait for %g seconds", timeout);
    if (kin__work_finished(kin__record_state(result)))
        return 0;
    error = await(result, kin__os_deadline(timeout));
    return error == KIN_ETIMEDOUT ? kin__fail(KIN_ETIMEDOUT, "the task has not finished in time") : error;
}

/* ---- what came of it ------------------------------------------------------------------------- */

static void tell_eviction(const kin_result *result, uint64_t state, kin_task_error *out)
{
    out->index = result->index;
    out->cause = KIN__WORK_CAUSE(state);
    out->worker = result->worker;
    out->pid = result->pid;
    out->attempts = result->attempts + (result->worker >= 0);
    if (out->cause == KIN_CAUSE_TIME_LIMIT)
        kin__error_fill(&out->error, KIN_ETIMELIMIT,
                        "the task ran longer than its limit of %g s: its worker (pid %d) was killed",
                        result->time_limit, result->pid);
    else if (out->cause == KIN_CAUSE_CPU_LIMIT)
        kin__error_fill(
            &out->error, KIN_ETIMELIMIT,
            "the task took more than its limit of %g s of CPU time: its worker (pid %d) was killed",
            result->cpu_limit, result->pid);
    else
        kin__error_fill(&out->error, KIN_ECANCELED, "the task was canceled%s",
                        result->worker < 0 ? " before it had begun" : "");
}

static const struct kin__failure *failures_of(const kin_result *record)
{
    return atomic_load_explicit(&record->failure, memory_order_acquire);
}

/* Of all items of a map: the failure with the lowest index that is `least` or more. */
static const struct kin__failure *next_failure(const struct kin__batch *batch, size_t least)
{
    const struct kin__failure *found = NULL;
    for (size_t i = 0; i < batch->pieces_count; i++) {
        if (batch->pieces[i]->end_item + batch->base <= least)
            continue;
        for (const struct kin__failure *failure = failures_of(batch->pieces[i]); failure;
             failure = failure->next)
            if (failure->error.index >= least && (!found || failure->error.index < found->error.index))
                found = failure;
        if (found)
            break; /* pieces are in index order */
    }
    return found;
}

static void tell(const kin_result *result, uint64_t state, kin_task_error *out)
{
    memset(out, 0, sizeof *out);
    out->worker = -1;
    if (KIN__WORK(state) == KIN__WORK_DONE)
        return;
    const struct kin__failure *failure = result->batch ? next_failure(result->batch, 0) : failures_of(result);
    if (KIN__WORK_CAUSE(state))
        tell_eviction(result, state, out);
    else if (failure)
        *out = failure->error;
    else
        kin__error_fill(&out->error, KIN_EFAILED, "the task failed; there was no memory left to note why");
}

static void name(const kin_result *result, kin_task_error *error)
{
    if (error->error.code && !error->function[0])
        kin__function_name(&result->function, error->function, sizeof error->function);
}

int kin_result_failures(const kin_result *result, kin_task_error *out, size_t capacity, size_t *count)
{
    uint64_t state;
    int error = check_finished(result, "ask for a map's failures", &state);
    if (error)
        return error;
    if (!count || (capacity && !out))
        return kin__fail(KIN_EINVAL, "cannot tell a map's failures: no place for the %s",
                         count ? "list" : "count");
    *count = 0;
    ((kin_result *)kin__own(result))->looked = 1;
    if (!result->batch) {
        if (KIN__WORK(state) != KIN__WORK_DONE && (*count)++ < capacity)
            kin_result_error(result, out);
        return 0;
    }
    const struct kin__failure *failure;
    for (size_t least = 0; (failure = next_failure(result->batch, least)) != NULL;
         least = failure->error.index + 1) {
        if (*count < capacity) {
            out[*count] = failure->error;
            name(result, &out[*count]);
        }
        ++*count;
    }
    return 0;
}

int kin_result_error(const kin_result *result, kin_task_error *out)
{
    uint64_t state;
    int error = check_finished(result, "ask for a result's failure", &state);
    if (error)
        return error;
    if (!out)
        return kin__fail(KIN_EINVAL, "cannot tell a result's failure: no place for it");
    tell(result, state, out);
    ((kin_result *)kin__own(result))->looked = 1;
    name(result, out);
    return 0;
}

int kin__result_fail(const kin_result *result)
{
    kin_task_error error;
    tell(result, kin__record_state(result), &error);
    ((kin_result *)kin__own(result))->looked = 1;
    return error.error.code ? kin__fail_with(&error.error) : 0;
}

int kin_result_get(kin_result *result, void *out, size_t size, double timeout)
{
    int error = check(result, "get a result");
    if (error)
        return error;
    if (size != (out ? result->out_size : 0))
        return kin__fail(KIN_EINVAL,
                         "cannot get a result into %zu bytes: the task was submitted with out_size %zu", size,
                         result->out_size);
    error = kin_result_wait(result, timeout);
    if (error)
        return error;
    uint64_t state = kin__record_state(result);
    bool done = KIN__WORK(state) == KIN__WORK_DONE;
    if (size && (done || result->batch)) /* of many, those that failed are zeroed */
        memcpy(out, result->out, size);
    return done ? 0 : kin__result_fail(result);
}

void *kin_result_value(kin_result *result)
{
    uint64_t state;
    if (check_finished(result, "look at a result's value", &state) != 0)
        return NULL;
    if (KIN__WORK(state) != KIN__WORK_DONE && !result->batch) {
        kin__result_fail(result);
        return NULL;
    }
    return result->out;
}

int kin_result_usage(const kin_result *result, kin_usage *out)
{
    uint64_t state;
    int error = check_finished(result, "ask what a result took", &state);
    if (error)
        return error;
    if (!out)
        return kin__fail(KIN_EINVAL, "cannot tell what a result took: no place for it");
    *out = (kin_usage){.worker = result->worker,
                       .pid = result->pid,
                       .attempts = result->attempts + (result->worker >= 0),
                       .peak_memory = result->peak,
                       .cpu = (double)result->cpu * 1e-9,
                       .wall = (double)result->wall * 1e-9};
    return 0;
}

/* ---- the submitter's ------------------------------------------------------------------------- */

/* The desk that a result comes from; `local` is to be released, if there is one. NULL: not this process's, or
 * task's. */
static struct kin__desk *desk_of(const kin_result *result, const char *what, struct kin__local **local)
{
    struct kin__hand *hand = kin__hand_here();
    *local = NULL;
    if (hand && hand->pool == kin__own(result->pool)) {
        if (result->owner == hand->desk.owner)
            return &hand->desk;
    } else if (!result->owner) {
        *local = kin__local_hold(result->pool, what);
        return *local ? &(*local)->desk : NULL;
    }
    kin__fail(KIN_EPERM, "cannot %s: it belongs to who submitted the task", what);
    return NULL;
}

static void release(struct kin__local *local)
{
    if (local)
        kin__local_release(local);
}

/* What the pieces' tasks have made becomes the whole's. */
static void gather(kin_result *whole)
{
    struct kin__batch *batch = whole->batch;
    for (size_t i = 0; batch && i < batch->pieces_count; i++) {
        kin_result *piece = kin__own(batch->pieces[i]);
        kin_arena *memory = piece->memory;
        piece->memory = NULL;
        if (memory && whole->memory)
            kin__arena_merge(whole->memory, memory);
        else if (memory)
            whole->memory = memory;
    }
}

int kin_result_take(kin_result *result, kin_arena **out)
{
    uint64_t state;
    struct kin__local *local;
    int error = check_finished(result, "take what a task has made", &state);
    if (error)
        return error;
    if (!out)
        return kin__fail(KIN_EINVAL, "cannot take what a task has made: no place for it");
    struct kin__desk *desk = desk_of(result, "take what a task has made", &local);
    if (!desk)
        return kin_error_code();
    kin_result *record = kin__own(result);
    gather(record);
    kin_arena *memory =
        KIN__WORK(state) == KIN__WORK_DONE || record->batch ? record->memory : NULL; /* else it is empty */
    if (memory && desk->owner)
        error = kin_arena_take(memory);
    if (!error && memory)
        record->memory = NULL;
    *out = error ? NULL : memory;
    release(local);
    return error;
}

/* A thread cannot be killed: a task that it runs is asked to come to its end. Of a map its items are, and no other
 * begins. */
static bool is_asked(kin_result *result)
{
    bool runs = KIN__WORK(kin__record_state(result)) == KIN__WORK_RUNNING;
    if (!runs || result->batch || ((const kin_pool *)kin__own(result->pool))->kind != KIN_POOL_THREADS)
        return false;
    atomic_store(&result->asked, 1);
    return true;
}

int kin_result_cancel(kin_result *result)
{
    struct kin__local *local;
    int error = check(result, "cancel a task");
    if (error)
        return error;
    struct kin__desk *desk = desk_of(result, "cancel a task", &local);
    if (!desk)
        return kin_error_code();
    bool canceled = !is_asked(result) && kin__record_cancel(result);
    uint64_t state = kin__record_state(result);
    release(local);
    if (!canceled && KIN__WORK(state) == KIN__WORK_RUNNING)
        return kin__refuse_threads(
            "cannot end a task that a thread runs; it has been told (kin_task_stopping)");
    if (canceled || KIN__WORK(state) == KIN__WORK_CANCELED)
        return 0;
    return kin__fail(KIN_EBUSY, "cannot cancel the task: it has finished before");
}

/* Who was at work on it when it was canceled is about to be killed: a moment, so that the caller's memory is left
 * alone from here on. A thread comes to the task's end. */
static void await_writers(const struct kin__desk *desk, const kin_result *result)
{
    bool by_thread = desk->pool->kind == KIN_POOL_THREADS;
    double deadline = kin__os_deadline(by_thread ? KIN_FOREVER : WRITERS_PATIENCE);
    while (kin__desk_is_written(desk, result) && kin__os_left(deadline) > 0)
        nanosleep(&(struct timespec){.tv_nsec = WRITERS_PERIOD_NS}, NULL);
}

static bool is_under_way_here(const kin_result *result)
{
    const struct kin__hand *hand = kin__hand_here();
    if (!hand || hand->pool->kind != KIN_POOL_THREADS || hand->pool != kin__own(result->pool))
        return false;
    for (const struct kin_task *task = hand->task; task; task = task->before)
        if (task->record == result)
            return true;
    return false;
}

void kin_result_free(kin_result *result)
{
    struct kin__local *local;
    if (!result || check(result, "free a result") != 0)
        return;
    if (is_under_way_here(result)) {
        kin__fail(KIN_EBUSY, "cannot free the result of a task that this very thread runs");
        return;
    }
    struct kin__desk *desk = desk_of(result, "free a result", &local);
    if (!desk)
        return;
    kin__record_cancel(result);
    await_writers(desk, result);
    pthread_mutex_lock(&desk->mutex);
    kin__submit_forget(result);
    kin__desk_return(desk, result);
    pthread_mutex_unlock(&desk->mutex);
    release(local);
}
