/*
 * pool/death.c - what becomes of a dead worker's item.
 *
 * The seat tells which item the worker had begun; the status byte whether it finished it. So exactly one item is
 * concerned, or none; everything else it had claimed is dealt out again.
 */
#include "pool/map.h"

#include "base/failure.h"
#include "base/log.h"
#include "os/os.h"
#include "pool/burial.h"
#include "pool/post.h"
#include "process/printed.h"
#include "process/process_shared.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNREADY_DEATHS_MAX 3
#define UNREADY_KILLS_MAX 20 /* the same by SIGKILL, which is rarely the initializer's doing */

/* The last item that a dead worker began in this round, in *index. For one that had answered there is none: what
 * `current` says then is of a round that is over, and the status bytes may be another window's already. */
static bool last_item(const struct kin__map *map, int worker, size_t *index)
{
    const struct kin__seat *seat = &map->pool->seats[worker];
    uint64_t current = atomic_load(&seat->current);
    if (!current || current > map->window || atomic_load(&seat->doorbell) != map->local->round ||
        atomic_load(&seat->answered) == map->local->round)
        return false;
    *index = current - 1;
    return true;
}

static bool killed_of(const struct kin__post *post, int cause)
{
    return post->killed_for && post->killed_cause == cause;
}

static void tell_story(struct kin__map *map, int worker, kin_task_error *error)
{
    const struct kin__post *post = &map->local->posts[worker];
    char what[32];
    snprintf(what, sizeof what, "task %zu", map->before + error->index);
    kin__death_story(
        &(struct kin__death_facts){
            .what = what,
            .process = post->process,
            .time_limit = killed_of(post, KIN_CAUSE_TIME_LIMIT) ? map->args.time_limit : 0,
            .cpu_limit = killed_of(post, KIN_CAUSE_CPU_LIMIT) ? map->args.cpu_limit : 0,
            .memory_limit = map->args.memory_limit,
            .data_ready = map->pool->seats[worker].data_ready},
        error);
}

static void tell_output(const struct kin__map *map, int worker, kin_task_error *error)
{
    const kin_process *process = map->local->posts[worker].process;
    uint64_t taken;
    size_t length = strlen(error->error.message);
    if (!process || !process->printed)
        return;
    kin__printed_tail(process, map->pool->seats[worker].printed, error->output, sizeof error->output, &taken);
    kin__printed_quote(error->output, error->error.message + length, sizeof error->error.message - length);
}

static void fail_item(struct kin__map *map, int worker, size_t index, const kin_end *end)
{
    struct kin__post *post = &map->local->posts[worker];
    unsigned char *status = &map->pool->job.status[index];
    struct kin__death *death = calloc(1, sizeof *death);
    if (death) {
        kin_task_error *error = &death->error;
        error->index = index;
        error->worker = worker;
        error->pid = kin__post_pid(post);
        error->attempts = (int)KIN__ATTEMPTS(*status) + 1;
        error->end = *end;
        error->seconds = post->seen_current == index + 1 ? kin__os_now() - post->seen_since : 0;
        tell_story(map, worker, error);
        tell_output(map, worker, error);
        death->next = map->deaths;
        map->deaths = death;
    }
    *status = KIN__FAILED;
    map->failures++;
    if (map->args.on_failure == KIN_STOP)
        kin__map_stop(map);
}

/* To be tried again, by one who finds the output as the first one did. */
static void set_back(struct kin__map *map, size_t index, unsigned attempts)
{
    const struct kin__job *job = &map->pool->job;
    if (job->out)
        memset(job->out + index * job->out_size, 0, job->out_size);
    job->status[index] = (unsigned char)(KIN__PENDING | attempts << 2);
}

static void decide_item(struct kin__map *map, int worker, size_t index, const kin_end *end)
{
    struct kin__post *post = &map->local->posts[worker];
    unsigned char *status = &map->pool->job.status[index];
    unsigned attempts = KIN__ATTEMPTS(*status);
    if (map->outcome)
        return; /* interrupted or broken off: it was not given its chance */
    if (post->killed_for && post->killed_for != index + 1) {
        set_back(map, index,
                 attempts); /* the one that took too long had just finished: this one is innocent */
        return;
    }
    int cause =
        post->killed_for ? post->killed_cause : kin__death_cause(post->process, map->args.memory_limit, end);
    if (attempts < (unsigned)map->args.retries && map->pool->job.retry_on >> cause & 1)
        set_back(map, index, attempts + 1);
    else
        fail_item(map, worker, index, end);
}

static bool some_worker_is_ready(const struct kin__local *local)
{
    for (int i = 0; i < local->pool->workers; i++)
        if (local->posts[i].taken && atomic_load(&local->pool->seats[i].ready) == KIN__READY)
            return true;
    return false;
}

bool kin__cannot_start(struct kin__local *local, int worker, const kin_end *end)
{
    kin_pool *pool = local->pool;
    struct kin__seat *seat = &pool->seats[worker];
    uint32_t ready = atomic_load_explicit(&seat->ready, memory_order_acquire);
    bool killed = end->how == KIN_END_SIGNALED && end->signal == SIGKILL;
    if (ready == KIN__CANNOT_WORK) {
        kin__fail(seat->init_error.code, "worker %d of pool \"%s\" cannot work: %s", worker, pool->name,
                  seat->init_error.message);
        return true;
    }
    if (ready == KIN__FINALIZING || some_worker_is_ready(local)) { /* this one before it died, or another */
        local->unready_deaths = 0;
        return false;
    }
    if (++local->unready_deaths < (killed ? UNREADY_KILLS_MAX : UNREADY_DEATHS_MAX))
        return false;
    kin_error story;
    kin__post_story(&local->posts[worker], &story);
    kin__fail(KIN_EDIED, "workers of pool \"%s\" die before they are ready: %s", pool->name, story.message);
    return true;
}

void kin__bury(struct kin__map *map, int worker)
{
    kin_pool *pool = map->pool;
    struct kin__seat *seat = &pool->seats[worker];
    struct kin__post *post = &map->local->posts[worker];
    kin_end end;
    kin__post_await(map->local, worker);
    kin__post_end(post, &end);
    bool orderly =
        end.how == KIN_END_EXITED && atomic_load(&seat->ready) == KIN__FINALIZING; /* tasks_per_worker */
    map->local->deaths += !orderly;
    map->undone = true;
    kin__records_bury(map->local, worker, &end);
    if (kin__cannot_start(map->local, worker, &end)) {
        kin__map_break(map);
        kin__records_break(map->local);
    }
    size_t index;
    if (last_item(map, worker, &index)) {
        unsigned status = KIN__STATUS(pool->job.status[index]);
        if (status == KIN__PENDING)
            decide_item(map, worker, index, &end);
        else if (status == KIN__FAILED && pool->job.stop_on_failure)
            kin__map_stop(map); /* it may have died before it could say so */
    }
    if (seat->results)
        kin__arena_rollback(seat->results, seat->mark);
    kin_log(KIN_LOG_INFO, "worker %d of pool \"%s\" (pid %d) ended and is replaced", worker, pool->name,
            kin__post_pid(post));
    kin__post_clear(map->local, worker);
}

/* Ctrl-C reaches workers too; in the default disposition they die of it. One that has begun nothing in this round may
 * have died before it. */
static void check_interrupted(struct kin__map *map, int worker)
{
    kin_end end;
    if (!atomic_load(&map->pool->seats[worker].current))
        return;
    kin__post_await(map->local, worker);
    kin__post_end(&map->local->posts[worker], &end);
    if (end.how != KIN_END_SIGNALED || end.signal != SIGINT || map->outcome)
        return;
    kin__fail(KIN_EINTR, "pool \"%s\" was interrupted: its worker %d died of SIGINT", map->pool->name,
              worker);
    kin__map_break(map);
}

void kin__handle_death(struct kin__map *map, int worker)
{
    kin_pool *pool = map->pool;
    struct kin__seat *seat = &pool->seats[worker];
    check_interrupted(map, worker);
    kin__bury(map, worker);
    bool more = atomic_load(&pool->next) < pool->job.total && worker < atomic_load(&pool->wanted);
    if (more && !map->stopping && kin__post_start(map->local, worker) == 0)
        return;
    if (more && !map->stopping)
        kin__map_break(map);
    /* Nobody will answer from here. One who answered meanwhile may have left the last word to this seat, so the
     * supervisor looks again: partner in the worker's answer(). */
    atomic_store(&seat->answered, atomic_load(&seat->doorbell));
    atomic_fetch_add(&pool->event, 1);
}
