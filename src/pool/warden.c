/*
 * pool/warden.c - the thread that looks after a pool's records, from the first submission to the pool's end.
 *
 * It restarts workers and settles what the dead had to do with, ends workers whose records have been canceled, and
 * posts what found no room in a lane. It sleeps on pool.calls. Should a call be lost it looks by itself.
 *
 * Who is killed   A worker is killed for a record that was taken from it while it ran. It may be done with it at
 * any moment and
 *     go on to the next, which must not be hit. So the kill is announced: DOOMED, by CAS in the seat's `task`,
 *     while that still names what it ran. A worker that leaves a record which is no longer its own changes `task`
 *     by CAS, too: one of the two is first. The doomed wait for their end.
 */
#include "pool/burial.h"
#include "pool/post.h"
#include "pool/timing.h"

#include "base/failure.h"
#include "base/log.h"
#include "family/guardian.h"
#include "os/os.h"

#include <limits.h>
#include <sys/eventfd.h>

#define FLUSH_PERIOD 0.001 /* seconds: while records wait for room in a lane */
#define RETRY_PERIOD 0.1   /* where a worker could not be started */
#define STARTS_MAX \
    20 /* in a row that fail, with no worker there: what waits for one is failed, with the reason */

/* Something on the worker's stack has been taken from it. */
static bool is_evicted(int worker, uint64_t top)
{
    int depth = 0;
    for (uint64_t ref = top; ref && depth < INT16_MAX; depth++) {
        const kin_result *record = kin__ref_record(ref);
        uint64_t state = kin__record_state(record);
        if (KIN__WORK_CAUSE(state) && KIN__WORK_SEAT(state) == (uint32_t)worker && kin__ref_is_of(ref, state))
            return true;
        ref = record->outer;
    }
    return false;
}

bool kin__worker_doom(struct kin__local *local, int worker, uint64_t top)
{
    if (!atomic_compare_exchange_strong(&local->pool->seats[worker].task, &top, top | KIN__DOOMED))
        return false;
    kin__post_kill(&local->posts[worker]);
    return true;
}

static void evict(struct kin__local *local, int worker)
{
    kin_pool *pool = local->pool;
    uint64_t top = atomic_load(&pool->seats[worker].task);
    if (pool->kind == KIN_POOL_THREADS) /* it comes to its end by itself */
        return;
    if (!top || top & KIN__DOOMED || !is_evicted(worker, top))
        return;
    if (!kin__worker_doom(local, worker, top))
        kin__call_warden(pool); /* it has moved on, perhaps to what it ran that on top of */
}

static void bury(struct kin__local *local, int worker)
{
    struct kin__post *post = &local->posts[worker];
    kin_end end;
    kin__post_await(local, worker);
    kin__post_end(post, &end);
    kin__records_bury(local, worker, &end);
    uint32_t ready = atomic_load(&local->pool->seats[worker].ready);
    post->idle =
        (ready != KIN__READY && ready != KIN__FINALIZING) || atomic_load(&local->pool->seats[worker].idled);
    if (kin__cannot_start(local, worker, &end)) {
        kin__records_break(local);
        local->unready_deaths = 0;
    }
    kin_log(KIN_LOG_INFO, "worker %d of pool \"%s\" (pid %d) ended", worker, local->pool->name,
            kin__post_pid(post));
    kin__post_clear(local, worker);
}

struct search {
    size_t found;
};

static void is_waiting(kin_result *record, void *arg)
{
    uint64_t work = KIN__WORK(kin__record_state(record));
    ((struct search *)arg)->found += work == KIN__WORK_QUEUED || work == KIN__WORK_DELAYED;
}

static size_t count_waiting(struct kin__local *local)
{
    struct search search = {0};
    pthread_mutex_lock(&local->desk.mutex);
    kin__each_record_of(atomic_load(&local->pool->slabs), is_waiting, &search);
    pthread_mutex_unlock(&local->desk.mutex);
    return search.found;
}

static bool some_worker_lives(const struct kin__local *local)
{
    for (int i = 0; i < local->pool->workers; i++)
        if (local->posts[i].taken)
            return true;
    return false;
}

/* Nobody sits there, but should. */
static bool is_empty(const struct kin__local *local, int worker)
{
    return worker >= local->mapped && worker < atomic_load(&local->pool->wanted) &&
           !local->posts[worker].taken && !atomic_load(&local->pool->seats[worker].quit);
}

/* Workers that were not ready when they died, or had nothing to do, are replaced when there is work: one for each
 * piece of it. */
static double man_seats(struct kin__local *local, double next)
{
    kin_pool *pool = local->pool;
    uint32_t empty = 0;
    for (int i = 0; i < pool->workers; i++)
        empty += is_empty(local, i);
    /* Before looking for work: partner in kin__desk_post, which hands it over and then looks here. */
    atomic_store(&pool->empty, empty);
    size_t work = empty ? count_waiting(local) : 0;
    for (int i = 0; i < pool->workers && empty; i++) {
        struct kin__post *post = &local->posts[i];
        if (!is_empty(local, i) || (post->idle && !work))
            continue;
        work -= post->idle;
        atomic_store(&pool->seats[i].answered, atomic_load(&pool->seats[i].doorbell));
        if (kin__post_start(local, i) == 0) {
            local->failed_starts = 0;
            empty--;
            continue;
        }
        next = next < RETRY_PERIOD ? next : RETRY_PERIOD;
        if (some_worker_lives(local) ||
            (++local->failed_starts < STARTS_MAX && kin_error_code() != KIN_ECLOSED))
            continue;
        local->failed_starts = 0;
        post->idle = true;
        kin__records_break(local);
    }
    atomic_store(&pool->empty, empty);
    return next;
}

static double look(struct kin__local *local, bool thoroughly)
{
    kin_pool *pool = local->pool;
    double next = kin__pool_look_again, least = atomic_load(&local->desk.least_limit);
    for (int i = 0; i < KIN__PRIORITIES && least > 0; i++)
        if (!kin__lane_empty(&pool->lanes[i]) && least < next)
            next = least;
    for (int i = 0; i < pool->workers; i++) {
        struct kin__post *post = &local->posts[i];
        if (!post->taken || atomic_load(&pool->seats[i].quit))
            continue;
        if (thoroughly)
            kin__post_look(post);
        next = kin__limits_look(local, i, next);
        evict(local, i);
        if (i >= local->mapped && atomic_load(&post->ended))
            bury(local, i);
    }
    if (!atomic_load(&pool->closed) || count_waiting(local))
        next = man_seats(local, next);
    pthread_mutex_lock(&local->desk.mutex);
    next = kin__delayed_look(local, next);
    if (!kin__desk_flush(&local->desk))
        next = FLUSH_PERIOD;
    uint32_t finished = atomic_load(&pool->finished);
    if (local->desk.fd >= 0 && finished != local->warden.told)
        eventfd_write(local->desk.fd, 1);
    local->warden.told = finished;
    pthread_mutex_unlock(&local->desk.mutex);
    return next;
}

static void *watch(void *arg)
{
    struct kin__local *local = arg;
    kin_pool *pool = local->pool;
    const double rest = kin__pool_look_again; /* calls come for all that is known to happen */
    bool thoroughly = false;
    pthread_setname_np(pthread_self(), "kin-warden");
    while (!atomic_load(&local->warden.quits)) {
        uint32_t seen = atomic_load(&pool->calls);
        atomic_store(&pool->warden_rests, 1);
        pthread_mutex_lock(&local->posts_mutex);
        double next = look(local, thoroughly);
        pthread_mutex_unlock(&local->posts_mutex);
        if (next < rest)
            atomic_store(&pool->warden_rests, 0);
        atomic_store(&pool->warden_sleeps, 1); /* partner in kin__call_warden */
        thoroughly = kin__os_futex_wait(&pool->calls, seen, next) == KIN_ETIMEDOUT && next == rest;
        atomic_store(&pool->warden_sleeps, 0);
    }
    return NULL;
}

int kin__warden_start(struct kin__local *local)
{
    if (local->warden.runs)
        return 0;
    kin__own_threads_add(1);
    int error = kin__os_thread_start(&local->warden.thread, watch, local);
    if (error) {
        kin__own_threads_add(-1);
        return kin__fail_errno(KIN_ESYSTEM, error,
                               "could not start the thread that looks after the tasks of pool \"%s\"",
                               local->pool->name);
    }
    atomic_store(&local->warden.runs, true);
    return 0;
}

void kin__warden_stop(struct kin__local *local)
{
    if (!local->warden.runs)
        return;
    atomic_store(&local->warden.quits, true);
    kin__call_warden(local->pool);
    pthread_join(local->warden.thread, NULL);
    atomic_store(&local->warden.runs, false);
    kin__own_threads_add(-1);
}
