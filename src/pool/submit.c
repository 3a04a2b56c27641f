/* pool/submit.c - kin/apply.h, and the cancel. */
#include "pool/submit.h"

#include "base/failure.h"
#include "family/sealed.h"
#include "kin/apply.h"
#include "os/os.h"
#include "pool/hand.h"
#include "pool/local.h"
#include "process/pointers.h"
#include "process/start.h"

#include <math.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ON_DEATH (1u << KIN_CAUSE_EXITED | 1u << KIN_CAUSE_SIGNALED | 1u << KIN_CAUSE_OUT_OF_MEMORY)
#define RETRIABLE                                                                                   \
    (ON_DEATH | 1u << KIN_CAUSE_RETURNED | 1u << KIN_CAUSE_TIME_LIMIT | 1u << KIN_CAUSE_CPU_LIMIT | \
     1u << KIN_CAUSE_MEMORY_LIMIT)

static int check_shared(const char *which, const void *pointer)
{
    if (!pointer || kin__region_holds(pointer))
        return 0;
    return kin__fail(
        KIN_ENOTSHARED,
        "cannot submit a task with %s %p: it lies in private memory (%s), of which workers would see an "
        "old copy; use kin_malloc",
        which, pointer, kin__where(pointer));
}

static int check_limit(const char *what, const char *which, double limit)
{
    if (limit >= 0 && !isinf(limit))
        return 0;
    return kin__fail(KIN_EINVAL, "cannot %s with a %s of %g s: positive, or 0 for none", what, which, limit);
}

unsigned kin__retry_on(unsigned asked)
{
    return asked ? asked : ON_DEATH;
}

int kin__submit_check_limits(const kin_pool *pool, const char *what, const kin_apply_args *args)
{
    int error = check_limit(what, "time limit", args->time_limit);
    if (!error)
        error = check_limit(what, "soft time limit", args->soft_time_limit);
    if (!error)
        error = check_limit(what, "limit of CPU time", args->cpu_limit);
    if (!error)
        error = check_limit(what, "back-off", args->backoff);
    if (error)
        return error;
    if (args->retries < 0)
        return kin__fail(KIN_EINVAL, "cannot %s with %d retries", what, args->retries);
    if (args->retry_on & ~RETRIABLE)
        return kin__fail(KIN_EINVAL, "cannot %s that is tried again on causes %#x: it may be on %#x", what,
                         args->retry_on, RETRIABLE);
    if (args->priority < -1 || args->priority > 1)
        return kin__fail(KIN_EINVAL, "cannot %s with priority %d: it is -1, 0 or 1", what, args->priority);
    if (pool->kind == KIN_POOL_THREADS && (args->time_limit > 0 || args->cpu_limit > 0 || args->memory_limit))
        return kin__refuse_threads("threads have no limits of time, CPU time or memory");
    return 0;
}

int kin__submit_check(const kin_pool *pool, const void *fn, const kin_apply_args *args)
{
    if (!fn)
        return kin__fail(KIN_EINVAL, "cannot submit a task without a function");
    if (!args->in != !args->in_size)
        return kin__fail(KIN_EINVAL, "cannot submit a task: in is %s, but in_size is %zu",
                         args->in ? "given" : "NULL", args->in_size);
    if (args->out && !args->out_size)
        return kin__fail(KIN_EINVAL, "cannot submit a task: out is given, but out_size is 0");
    int bad = kin__submit_check_limits(pool, "submit a task", args);
    if (bad)
        return bad;
    if (pool->kind != KIN_POOL_PROCESSES)
        return 0;
    int error = check_shared("context", args->context);
    return error ? error : check_shared("out", args->out);
}

/* Where input and output lie: with the caller, in the record, or in an arena of the record's. */
static int place_data(kin_result *record, kin__id maker, const kin_apply_args *args, bool remote)
{
    bool copies = args->in && remote && !kin__region_holds(args->in);
    size_t in_room = copies && args->in_size > KIN__INLINE ? args->in_size : 0;
    size_t out_room = !args->out && args->out_size > KIN__INLINE ? args->out_size : 0;
    record->in = args->in;
    record->out = args->out ? args->out : args->out_size ? record->inline_out : NULL;
    if (in_room || out_room) {
        kin__arena_new_at(maker, &record->room);
        if (!record->room)
            return kin_error_code();
    }
    if (out_room) {
        record->out = kin_arena_malloc(record->room, out_room);
        if (!record->out)
            return kin_error_code();
    }
    if (copies) {
        unsigned char *copy = in_room ? kin_arena_malloc(record->room, in_room) : record->inline_in;
        if (!copy)
            return kin_error_code();
        memcpy(kin__own(copy), args->in, args->in_size);
        record->in = copy;
    }
    if (record->out)
        memset(kin__own(record->out), 0, args->out_size);
    return 0;
}

static void set_limits(kin_result *record, const kin_apply_args *args)
{
    record->time_limit = args->time_limit;
    record->soft_time_limit = args->soft_time_limit;
    record->cpu_limit = args->cpu_limit;
    record->limited = args->time_limit > 0 || args->soft_time_limit > 0 || args->cpu_limit > 0;
    record->memory_limit = args->memory_limit;
    record->retries = args->retries;
    record->retry_on = kin__retry_on(args->retry_on);
    record->backoff = args->backoff;
    record->measure = args->measure;
    record->cpu_began = record->cpu = 0;
    record->peak = 0;
    record->call = 0;
    atomic_store_explicit(&record->hit, 0, memory_order_relaxed);
}

static int fill(struct kin__desk *desk, kin_result *common, void (*fn)(void), const kin_apply_args *args,
                const struct kin__piece *piece)
{
    kin_result *record = kin__own(common);
    const kin_pool *pool = desk->pool;
    record->owner = desk->owner;
    atomic_store_explicit(&record->asked, 0, memory_order_relaxed);
    atomic_store_explicit(&record->wants, 0, memory_order_relaxed);
    atomic_store_explicit(&record->sleeper, 0, memory_order_relaxed);
    record->context = args->context;
    record->out_size = args->out_size;
    record->index = args->index;
    record->seed = args->seed;
    record->priority = (uint32_t)(KIN__NORMAL - args->priority);
    set_limits(record, args);
    atomic_store_explicit(&record->began, 0, memory_order_relaxed);
    record->wall = 0;
    atomic_store_explicit(&record->outer, 0, memory_order_relaxed);
    record->pid = 0;
    record->worker = -1;
    record->attempts = 0;
    record->looked = 0;
    record->older = record->younger = NULL;
    record->batch = piece ? piece->batch : NULL;
    record->from = record->at = piece ? piece->from : 0;
    record->end_item = piece ? piece->to : 0;
    record->mark = 0;
    int error = kin__desk_name(desk, fn, &record->function);
    if (piece)
        record->in = record->out = NULL;
    else if (!error)
        error = place_data(record, pool->maker, args, pool->kind != KIN_POOL_INLINE);
    /* Addresses in the record are told as all see them. */
    if (record->in == record->inline_in)
        record->in = common->inline_in;
    if (record->out == record->inline_out)
        record->out = common->inline_out;
    if (error)
        kin__record_clean(common);
    else
        atomic_store_explicit(&record->magic, KIN__RESULT_MAGIC, memory_order_relaxed);
    return error;
}

void kin__submit_enter_child(kin_result *common)
{
    const struct kin__hand *hand = kin__hand_here();
    struct kin_task *task = hand ? hand->task : NULL;
    if (!task)
        return;
    ((kin_result *)kin__own(common))->older = task->children;
    if (task->children)
        ((kin_result *)kin__own(task->children))->younger = common;
    task->children = common;
}

void kin__submit_forget(kin_result *common)
{
    kin_result *record = kin__own(common);
    const struct kin__hand *hand = kin__hand_here();
    if (record->younger)
        ((kin_result *)kin__own(record->younger))->older = record->older;
    else if (hand)
        for (struct kin_task *task = hand->task; task; task = task->before)
            if (task->children == common)
                task->children = record->older;
    if (record->older)
        ((kin_result *)kin__own(record->older))->younger = record->younger;
}

static uint64_t queue(kin_result *common)
{
    kin_result *record = kin__own(common);
    uint64_t state = (atomic_load_explicit(&record->state, memory_order_relaxed) & KIN__WORK_GENERATION) +
                     KIN__WORK_NEXT + KIN__WORK_QUEUED;
    /* Release: partner is the acquire of who follows a hint. */
    atomic_store_explicit(&record->state, state, memory_order_release);
    return state;
}

kin_result *kin__submit_make(struct kin__desk *desk, void (*fn)(void), const kin_apply_args *args,
                             const struct kin__piece *piece)
{
    kin_result *record = kin__desk_take(desk);
    if (!record)
        return NULL;
    int error = fill(desk, record, fn, args, piece);
    if (!error && !desk->owner && !piece)
        error = kin__desk_note(desk, record, args);
    if (!error)
        return record;
    kin__submit_drop(desk, record);
    return NULL;
}

void kin__submit_drop(struct kin__desk *desk, kin_result *common)
{
    kin_result *record = kin__own(common);
    kin__record_clean(common);
    atomic_store_explicit(&record->magic, 0, memory_order_relaxed);
    record->next = desk->free;
    desk->free = common;
}

void kin__submit_post(struct kin__desk *desk, kin_result *record)
{
    bool limited = record->limited;
    uint64_t state = queue(record);
    if (desk->pool->kind == KIN_POOL_INLINE)
        return;
    kin__desk_post(desk, record, state, (int)record->priority);
    if (limited && atomic_load(&desk->pool->warden_rests)) /* partner: it says so, then looks at the lanes */
        kin__call_warden(desk->pool);
}

void kin__submit_again(struct kin__desk *desk, kin_result *common, size_t items)
{
    kin_result *record = kin__own(common);
    struct kin__batch *batch = record->batch;
    record->batch = NULL;
    kin__record_clean_attempt(common);
    record->batch = batch;
    atomic_store_explicit(&record->asked, 0, memory_order_relaxed);
    atomic_store_explicit(&record->wants, 0, memory_order_relaxed);
    atomic_store_explicit(&record->sleeper, 0, memory_order_relaxed);
    atomic_store_explicit(&record->began, 0, memory_order_relaxed);
    record->worker = -1;
    record->attempts = 0;
    record->from = record->at = record->mark = 0;
    record->end_item = items;
    kin__submit_post(desk, common);
}

kin_result *kin__submit(struct kin__desk *desk, void (*fn)(void), const kin_apply_args *args,
                        const struct kin__piece *piece)
{
    kin_result *record = kin__submit_make(desk, fn, args, piece);
    if (!record)
        return NULL;
    kin__submit_post(desk, record);
    if (desk->owner)
        kin__submit_enter_child(record);
    return record;
}

static void sleep_until(uint64_t due)
{
    for (uint64_t now; (now = kin__os_now_ns()) < due;)
        nanosleep(&(struct timespec){.tv_sec = (time_t)((due - now) / 1000000000),
                                     .tv_nsec = (long)((due - now) % 1000000000)},
                  NULL);
}

void kin__submit_inline(struct kin__local *local, kin_result *record)
{
    kin_pool *pool = local->pool;
    struct kin__hand hand = {
        .pool = pool, .seat = &pool->seats[0], .state = local->inline_state, .pid = (int)getpid()};
    kin__hand_run(&hand, record);
    while (KIN__WORK(kin__record_state(record)) == KIN__WORK_DELAYED) { /* there is no warden */
        sleep_until(record->due);
        kin__record_step(record, kin__record_state(record), KIN__WORK_QUEUED);
        kin__hand_run(&hand, record);
    }
}

struct kin__desk *kin__submit_enter(kin_pool *pool, struct kin__local **local)
{
    struct kin__hand *hand = kin__hand_here();
    *local = NULL;
    if (hand && hand->pool == kin__own(pool)) {
        pthread_mutex_lock(&hand->desk.mutex);
        return &hand->desk;
    }
    *local = kin__local_hold(pool, "submit a task");
    if (!*local)
        return NULL;
    struct kin__desk *desk = &(*local)->desk;
    int error = 0;
    pthread_mutex_lock(&desk->mutex);
    if (atomic_load(&pool->closed))
        error = kin__fail(KIN_ECLOSED, "pool \"%s\" is finished", pool->name);
    else if (pool->kind == KIN_POOL_INLINE)
        error = atomic_load(&pool->seats[0].ready) == KIN__READY ? 0 : kin__inline_initialize(*local);
    else if (!(*local)->warden.runs)
        error = kin__warden_start(*local);
    if (!error)
        return desk;
    kin__submit_leave(desk, *local);
    return NULL;
}

void kin__submit_leave(struct kin__desk *desk, struct kin__local *local)
{
    pthread_mutex_unlock(&desk->mutex);
    if (local)
        kin__local_release(local);
}

static kin_result *apply(kin_pool *pool, kin_task_fn fn, const kin_apply_args *args)
{
    struct kin__local *local;
    if (kin__pool_check(pool, "submit a task") != 0 || kin__submit_check(pool, (const void *)fn, args) != 0)
        return NULL;
    if (pool->kind == KIN_POOL_PROCESSES)
        kin__pointers_check("in of a task for pool", pool->name, args->in, args->in_size, 1);
    struct kin__desk *desk = kin__submit_enter(pool, &local);
    if (!desk)
        return NULL;
    kin_result *record = kin__submit(desk, (void (*)(void))fn, args, NULL);
    if (record && local && pool->kind == KIN_POOL_INLINE) {
        pthread_mutex_unlock(&desk->mutex); /* the task may submit others */
        kin__submit_inline(local, record);
        pthread_mutex_lock(&desk->mutex);
    }
    kin__submit_leave(desk, local);
    return record;
}

kin_result *kin_pool_apply_async(kin_pool *pool, kin_task_fn fn, const kin_apply_args *given)
{
    kin_apply_args args;
    if (kin__options_read(&args, sizeof args, given, "apply arguments") != 0)
        return NULL;
    return apply(pool, fn, &args);
}

int kin_pool_apply(kin_pool *pool, kin_task_fn fn, const kin_apply_args *given)
{
    kin_apply_args args;
    int error = kin__options_read(&args, sizeof args, given, "apply arguments");
    if (error)
        return error;
    void *out = args.out;
    if (!out && args.out_size)
        return kin__fail(KIN_EINVAL, "cannot apply: out is NULL, but out_size is %zu", args.out_size);
    if (!kin__region_holds(out))
        args.out = NULL;
    kin_result *result = apply(pool, fn, &args);
    if (!result)
        return kin_error_code();
    error = kin_result_get(result, args.out ? NULL : out, args.out ? 0 : args.out_size, KIN_FOREVER);
    kin_result_free(result);
    return error;
}

static bool cancel(kin_result *common)
{
    kin_result *record = kin__own(common);
    struct kin__batch *batch = kin__record_counts(record);
    uint64_t state = atomic_load(&record->state);
    while (!kin__work_finished(state)) {
        uint32_t seat = KIN__WORK(state) == KIN__WORK_RUNNING ? KIN__WORK_SEAT(state) : KIN__NO_SEAT;
        if (kin__record_step(record, state, KIN__WORK_TO(KIN__WORK_CANCELED, seat, KIN_CAUSE_CANCELED))) {
            if (seat != KIN__NO_SEAT)
                kin__call_warden(kin__own(record->pool));
            kin__record_tell(record, batch);
            return true;
        }
        state = atomic_load(&record->state);
    }
    return false;
}

bool kin__record_cancel(kin_result *record)
{
    struct kin__batch *batch = record->batch;
    /* Pieces are counted by their workers until these have moved on, though the whole is finished by then. */
    if (batch && batch->whole == record)
        atomic_store(&((struct kin__batch *)kin__own(batch))->recount, 1);
    bool canceled = cancel(record); /* the whole first: its pieces' end would finish it */
    if (canceled && batch && batch->whole == record) {
        atomic_store(&((struct kin__batch *)kin__own(batch))->stop, 1);
        for (size_t i = 0; i < batch->pieces_count; i++)
            cancel(batch->pieces[i]);
    }
    return canceled;
}
