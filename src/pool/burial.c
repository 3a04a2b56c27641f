/*
 * pool/burial.c - what becomes of the records that a dead worker had to do with. See burial.h.
 *
 * All are looked at, once a death: what says RUNNING in its seat died with it; what is QUEUED and has no hint any
 * more gets another; what its tasks had submitted is canceled. Which of those on its stack is to blame: the
 * innermost.
 */
#include "pool/burial.h"

#include "base/failure.h"
#include "os/os.h"
#include "pool/hand.h"
#include "pool/submit.h"
#include "pool/timing.h"
#include "pool/waits.h"
#include "process/printed.h"
#include "process/process_shared.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DRAIN_PERIOD 0.1
#define STACK_MAX 256 /* records on one worker's stack whose order is told */

struct burial {
    struct kin__local *local;
    int worker;
    const kin_end *end;
    int pid;
    uint64_t task; /* what the seat said */
    kin_result *found[STACK_MAX];
    int count;
};

static void find(kin_result *record, void *arg)
{
    struct burial *burial = arg;
    uint64_t state = kin__record_state(record);
    if (KIN__WORK(state) == KIN__WORK_RUNNING && KIN__WORK_SEAT(state) == (uint32_t)burial->worker &&
        burial->count < STACK_MAX)
        burial->found[burial->count++] = record;
}

static bool is_under_another(const struct burial *burial, const kin_result *record)
{
    for (int i = 0; i < burial->count; i++)
        if (kin__ref_record(burial->found[i]->outer) == record)
            return true;
    return false;
}

/* The innermost, which it died of; NULL: nothing on the stack is to blame, as it was killed for something else. */
static kin_result *find_culprit(const struct burial *burial)
{
    for (int i = 0; i < burial->count; i++)
        if (atomic_load(&burial->found[i]->hit) && burial->found[i]->hit_at == burial->found[i]->at)
            return burial->found[i];
    if (burial->task & KIN__DOOMED)
        return NULL;
    for (int i = 0; i < burial->count; i++)
        if (kin__ref_record(burial->task) == burial->found[i])
            return burial->found[i];
    for (int i = 0; i < burial->count; i++) /* it had been about to claim another, or had just finished it */
        if (!is_under_another(burial, burial->found[i]))
            return burial->found[i];
    return NULL;
}

static void tell(const struct burial *burial, kin_result *record, bool culprit, int hit)
{
    struct kin__failure *failure = kin__record_fails(record, burial->local->pool->maker);
    if (!failure)
        return; /* the state tells it all the same */
    kin_task_error *error = &failure->error;
    const kin_process *process = burial->local->posts[burial->worker].process;
    char what[80], how[200];
    error->end = *burial->end;
    snprintf(error->function, sizeof error->function, "%s", kin__desk_name_of(&burial->local->desk, record));
    if (record->batch)
        snprintf(what, sizeof what, "task %zu", error->index);
    else
        snprintf(what, sizeof what, error->function[0] ? "task %s()" : "the task", error->function);
    if (process && process->printed) {
        uint64_t taken;
        kin__printed_tail(process, burial->local->pool->seats[burial->worker].printed, error->output,
                          sizeof error->output, &taken);
    }
    if (culprit) {
        kin__death_story(
            &(struct kin__death_facts){.what = what,
                                       .process = process,
                                       .memory_limit = record->memory_limit,
                                       .time_limit = hit == KIN_CAUSE_TIME_LIMIT ? record->time_limit : 0,
                                       .cpu_limit = hit == KIN_CAUSE_CPU_LIMIT ? record->cpu_limit : 0,
                                       .data_ready = burial->local->pool->seats[burial->worker].data_ready},
            error);
        return;
    }
    kin_end_text(burial->end, how, sizeof how);
    error->cause = KIN_CAUSE_SIGNALED;
    kin__error_fill(
        &error->error, KIN_EDIED,
        "%s was waiting for others when its worker (pid %d) died of %s in a task that it ran meanwhile", what,
        error->pid, how);
}

static void post(struct burial *burial, kin_result *record, uint64_t state)
{
    if (!kin__record_step(record, state, KIN__WORK_QUEUED))
        return;
    if (record->owner) /* its submitter waits for it, and runs it itself */
        kin__record_tell(record, NULL);
    else
        kin__desk_post(&burial->local->desk, record, (state & KIN__WORK_GENERATION) | KIN__WORK_QUEUED,
                       (int)record->priority);
}

/* The item that it died in has failed, unless it had just been done; the rest of the piece goes on. */
static void fail_item(struct burial *burial, kin_result *record, uint64_t state, bool culprit, int hit)
{
    struct kin__batch *batch = record->batch, *counted = kin__record_counts(record);
    size_t at = record->at;
    if (at < record->end_item) {
        if (batch->status[at] == KIN__PENDING) {
            tell(burial, record, culprit, hit);
            if (batch->out)
                memset(batch->out + at * batch->out_size, 0, batch->out_size);
            batch->status[at] = KIN__FAILED;
        }
        if (batch->status[at] == KIN__FAILED) { /* perhaps it died before it could say so */
            atomic_store(&batch->failed, 1);
            if (batch->stop_on_failure)
                atomic_store(&batch->stop, 1);
        }
        record->attempts = 0;
        record->at = at + 1;
    }
    if (record->at < record->end_item && !atomic_load(&batch->stop))
        post(burial, record, state);
    else if (kin__record_step(record, state,
                              atomic_load(&record->failure) ? KIN__WORK_FAILED : KIN__WORK_DONE))
        kin__record_tell(record, counted);
}

static bool had_finished_item(const kin_result *record)
{
    return record->batch && record->at < record->end_item &&
           record->batch->status[record->at] != KIN__PENDING;
}

static void settle(struct burial *burial, kin_result *record, const kin_result *culprit)
{
    struct kin__batch *batch = kin__record_counts(record);
    uint64_t state = kin__record_state(record);
    bool innocent = !culprit; /* killed for another's sake: free to try again */
    int hit = (int)atomic_exchange(&record->hit, 0);
    if (record->batch && record->hit_at != record->at)
        hit = 0; /* it was for an item that ended before its worker could be doomed */
    if (had_finished_item(record)) {
        kin__record_clean_attempt(record);
        fail_item(burial, record, state, false, 0);
        return;
    }
    const kin_process *process = burial->local->posts[burial->worker].process;
    int cause = hit ? hit : kin__death_cause(process, record->memory_limit, burial->end);
    if (!innocent && kin__record_again(record, cause)) {
        kin__record_step(record, state, KIN__WORK_DELAYED); /* the warden is told at the end of the burial */
        return;
    }
    kin__record_clean_attempt(record);
    if (innocent) {
        post(burial, record, state);
        return;
    }
    if (record->batch) {
        fail_item(burial, record, state, record == culprit, hit);
        return;
    }
    tell(burial, record, record == culprit, hit);
    if (kin__record_step(record, state, KIN__WORK_FAILED))
        kin__record_tell(record, batch);
}

/* What was submitted by the maker and has lost its hint with the dead. The others' submitters need none. */
static void post_again(kin_result *record, void *arg)
{
    struct burial *burial = arg;
    uint64_t state = kin__record_state(record);
    struct kin__lane *lane = atomic_load(&record->lane);
    if (KIN__WORK(state) == KIN__WORK_QUEUED && !record->owner && !record->listed && lane &&
        (int64_t)(atomic_load(&record->place) - atomic_load(&lane->next)) < 0)
        kin__desk_post(&burial->local->desk, record, state, (int)record->priority);
}

/* The dead one may have finished a piece and not counted it. */
static void recount(kin_result *record, void *arg)
{
    (void)arg;
    struct kin__batch *batch = record->batch;
    uint64_t state = kin__record_state(record);
    if (KIN__WORK(state) != KIN__WORK_RUNNING || !batch || batch->whole != record)
        return;
    atomic_store(&batch->recount, 1);
    kin__batch_check(batch);
}

/* What the dead one had finished, and perhaps told nobody of. */
static void tell_again(kin_result *record, void *arg)
{
    const struct burial *burial = arg;
    const struct kin__batch *batch = record->batch;
    bool its = record->pid == burial->pid || (batch && batch->whole == record);
    if (its && atomic_load(&record->wants) | atomic_load(&record->sleeper) &&
        kin__work_finished(kin__record_state(record)))
        kin__record_tell(record, NULL);
}

static void cancel(kin_result *record, void *arg)
{
    (void)arg;
    uint64_t state = kin__record_state(record);
    if (KIN__WORK(state) != KIN__WORK_FREE)
        kin__record_cancel(record);
}

/* A call on the dead, and one that it was about to make, reach nobody: who sleeps and is in neither set was to be rung; and instead of
 * the dead, another. */
static void call_others(kin_pool *pool, int worker)
{
    for (int i = 0; i < pool->workers; i++) {
        uint64_t bit = (uint64_t)1 << i % 64;
        if (i != worker &&
            !((atomic_load(&pool->sleepers[i / 64]) | atomic_load(&pool->helpers[i / 64])) & bit))
            kin__seat_ring(&pool->seats[i]);
    }
    kin__wake_one(pool, true);
}

void kin__records_bury(struct kin__local *local, int worker, const kin_end *end)
{
    kin_pool *pool = local->pool;
    struct kin__seat *seat = &pool->seats[worker];
    struct burial burial = {.local = local,
                            .worker = worker,
                            .end = end,
                            .pid = kin_process_pid(local->posts[worker].process),
                            .task = atomic_load(&seat->task)};
    uint64_t others = ~((uint64_t)1 << worker % 64);
    atomic_fetch_and(&pool->sleepers[worker / 64], others); /* nobody is to call on who is no more */
    atomic_fetch_and(&pool->helpers[worker / 64], others);
    if (!local->warden.runs)
        return; /* there are no records */
    pthread_mutex_lock(&local->desk.mutex);
    kin__each_record_of(atomic_load(&seat->slabs), cancel, NULL);
    kin__each_record(pool, find, &burial);
    const kin_result *culprit = find_culprit(&burial);
    for (int i = 0; i < burial.count; i++)
        if (burial.found[i])
            settle(&burial, burial.found[i], culprit);
    kin__each_record_of(atomic_load(&pool->slabs), post_again, &burial);
    kin__each_record(pool, recount, NULL);
    if (pool->kind !=
        KIN_POOL_THREADS) /* a thread ends in a task's function, if not in order: what it has finished it has told */
        kin__each_record(pool, tell_again, &burial);
    atomic_store(&pool->delayed, 1); /* it may have died before it could say so */
    kin__call_warden(pool);
    atomic_store(&seat->task, 0);
    pthread_mutex_unlock(&local->desk.mutex);
    call_others(pool, worker);
}

static void break_one(kin_result *record, void *arg)
{
    const kin_error *story = arg;
    struct kin__batch *batch = kin__record_counts(record);
    uint64_t state = kin__record_state(record);
    if (KIN__WORK(state) != KIN__WORK_QUEUED && KIN__WORK(state) != KIN__WORK_DELAYED)
        return;
    struct kin__failure *failure = kin__record_fails(record, record->pool->maker);
    if (record->batch)
        atomic_store(&record->batch->failed, 1);
    if (failure) {
        failure->error.attempts--;
        failure->error.cause = KIN_CAUSE_WORKERS;
        failure->error.error = *story;
    }
    if (kin__record_step(record, state, KIN__WORK_FAILED))
        kin__record_tell(record, batch);
}

void kin__records_cancel(struct kin__local *local)
{
    if (local->pool->kind == KIN_POOL_INLINE)
        return;
    pthread_mutex_lock(&local->desk.mutex);
    kin__each_record(local->pool, cancel, NULL);
    pthread_mutex_unlock(&local->desk.mutex);
}

static void free_all(kin_result *record, void *arg)
{
    (void)arg;
    if (KIN__WORK(kin__record_state(record)) != KIN__WORK_FREE)
        kin__record_clean(record);
    atomic_store(&record->magic, 0);
}

void kin__records_free(struct kin__local *local)
{
    kin_pool *pool = local->pool;
    kin__each_record(pool, free_all, NULL);
    for (int i = 0; i < pool->workers; i++)
        kin_arena_free(pool->seats[i].arena);
    if (local->desk.fd >= 0)
        close(local->desk.fd);
    free(local->desk.calls);
    pthread_mutex_destroy(&local->desk.mutex);
}

struct unfinished {
    kin_result *record; /* one that is not finished */
    kin_result *failed; /* one that has failed, and nobody knows */
};

static void look_at(kin_result *record, void *arg)
{
    struct unfinished *unfinished = arg;
    uint64_t state = kin__record_state(record);
    if (KIN__WORK(state) == KIN__WORK_FREE)
        return;
    if (!kin__work_finished(state))
        unfinished->record = record;
    else if (KIN__WORK(state) == KIN__WORK_FAILED && !record->looked)
        unfinished->failed = record;
}

static int drain(struct kin__local *local, double deadline)
{
    for (;;) {
        struct unfinished unfinished = {0};
        pthread_mutex_lock(&local->desk.mutex);
        kin__each_record_of(atomic_load(&local->pool->slabs), look_at, &unfinished);
        kin_result *record = unfinished.record;
        uint64_t state = record ? kin__record_state(record) : 0;
        if (record)
            atomic_fetch_or(&record->wants, KIN__WANTS_WAKE); /* it may be another's by then: no harm */
        pthread_mutex_unlock(&local->desk.mutex);
        double left = kin__os_left(deadline);
        if (!record)
            return unfinished.failed ? kin__result_fail(unfinished.failed) : 0;
        if (left <= 0)
            return kin__fail(KIN_ETIMEDOUT, "pool \"%s\" still has tasks to do", local->pool->name);
        if (!kin__work_finished(state))
            kin__os_futex_wait((const _Atomic uint32_t *)&record->state, (uint32_t)state,
                               left < DRAIN_PERIOD ? left : DRAIN_PERIOD);
    }
}

int kin__records_drain(struct kin__local *local, double deadline)
{
    struct kin__thread *waits = kin__pool_waits(local->pool, NULL, 0);
    int error = drain(local, deadline);
    kin__pool_waits_end(waits);
    return error;
}

void kin__records_break(struct kin__local *local)
{
    kin_error story;
    kin_error_get(&story);
    if (!local->warden.runs)
        return;
    pthread_mutex_lock(&local->desk.mutex);
    kin__each_record_of(atomic_load(&local->pool->slabs), break_one, &story);
    pthread_mutex_unlock(&local->desk.mutex);
}
