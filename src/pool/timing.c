/* pool/timing.c - see timing.h. */
#include "pool/timing.h"

#include "family/sealed.h"
#include "os/os.h"
#include "pool/post.h"

#define CPU_PERIOD 0.01 /* seconds: a worker may have several threads */
#define LEAST_PERIOD 0.001
#define BACKOFF_MAX 1e6

static double sooner(double one, double other)
{
    return one < other ? one : other;
}

static double age_of(const kin_result *record)
{
    uint64_t began = atomic_load_explicit(&record->began, memory_order_acquire), now = kin__os_now_ns();
    return began && now > began ? (double)(now - began) * 1e-9 : 0;
}

/* KIN_CAUSE_NONE, or the limit that the record is beyond. */
static int limit_hit(const struct kin__local *local, int worker, const kin_result *record, double *next)
{
    double age = age_of(record);
    if (record->time_limit > 0 && age >= record->time_limit)
        return KIN_CAUSE_TIME_LIMIT;
    if (record->time_limit > 0)
        *next = sooner(*next, record->time_limit - age);
    if (record->soft_time_limit > age)
        *next = sooner(*next, record->soft_time_limit - age);
    if (record->cpu_limit <= 0 || !local->posts[worker].taken || age <= 0)
        return KIN_CAUSE_NONE;
    double left = record->cpu_limit - kin__post_cpu_since(&local->posts[worker], record->cpu_began);
    if (left <= 0)
        return KIN_CAUSE_CPU_LIMIT;
    *next = sooner(*next, sooner(left, CPU_PERIOD));
    return KIN_CAUSE_NONE;
}

static void end_record(struct kin__local *local, int worker, uint64_t top, kin_result *record, uint64_t state,
                       int cause)
{
    bool again = record->attempts < record->retries && record->retry_on >> cause & 1;
    if (again || record->batch) {
        record->hit_at = record->at;
        atomic_store(&record->hit, (uint32_t)cause); /* its burial tries it again, or fails the item */
        kin__worker_doom(local, worker, top);
        return;
    }
    if (!kin__record_step(record, state, KIN__WORK_TO(KIN__WORK_FAILED, worker, cause)))
        return;
    kin__worker_doom(local, worker, top);
    kin__record_tell(record, NULL); /* pieces do not come here */
}

double kin__limits_look(struct kin__local *local, int worker, double next)
{
    struct kin__seat *seat = &local->pool->seats[worker];
    uint64_t top = atomic_load(&seat->task), ref = top;
    if (top && local->desk.least_limit > 0)
        next = sooner(next, local->desk.least_limit); /* what it runs next may have that limit */
    for (int depth = 0; ref && !(ref & KIN__DOOMED) && depth < INT16_MAX; depth++) {
        kin_result *record = kin__ref_record(ref);
        uint64_t state = kin__record_state(record);
        if (KIN__WORK(state) != KIN__WORK_RUNNING || KIN__WORK_SEAT(state) != (uint32_t)worker ||
            !kin__ref_is_of(ref, state))
            break;
        if (record->limited) {
            int cause = limit_hit(local, worker, record, &next);
            if (record->soft_time_limit > 0 && age_of(record) >= record->soft_time_limit)
                atomic_store_explicit(&seat->told, ref, memory_order_relaxed);
            if (cause)
                end_record(local, worker, top, record, state, cause);
        }
        ref = record->outer;
    }
    return next < LEAST_PERIOD ? LEAST_PERIOD : next;
}

bool kin__record_again(kin_result *common, int cause)
{
    kin_result *record = kin__own(common);
    if (record->attempts >= record->retries || !(record->retry_on >> cause & 1))
        return false;
    kin__record_clean_attempt(common);
    double wait = record->backoff;
    for (int i = 0; i < record->attempts && wait < BACKOFF_MAX; i++)
        wait *= 2;
    record->attempts++;
    record->due = kin__os_now_ns() + (uint64_t)(wait * 1e9);
    return true;
}

struct due {
    struct kin__local *local;
    uint64_t now;
    double next;
    bool some;
};

static void look_at(kin_result *record, void *arg)
{
    struct due *due = arg;
    uint64_t state = kin__record_state(record);
    if (KIN__WORK(state) != KIN__WORK_DELAYED)
        return;
    if (record->due > due->now) {
        due->some = true;
        due->next = sooner(due->next, (double)(record->due - due->now) * 1e-9);
        return;
    }
    if (!kin__record_step(record, state, KIN__WORK_QUEUED))
        return;
    if (record->owner) /* who waits for it runs it */
        kin__record_tell(record, NULL);
    else
        kin__desk_post(&due->local->desk, record, (state & KIN__WORK_GENERATION) | KIN__WORK_QUEUED,
                       (int)record->priority);
}

double kin__delayed_look(struct kin__local *local, double next)
{
    struct due due = {.local = local, .now = kin__os_now_ns(), .next = next};
    if (!atomic_exchange(&local->pool->delayed, 0))
        return next;
    kin__each_record(local->pool, look_at, &due);
    if (due.some)
        atomic_store(&local->pool->delayed, 1);
    return due.next < LEAST_PERIOD ? LEAST_PERIOD : due.next;
}
