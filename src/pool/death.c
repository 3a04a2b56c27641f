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
#include "process/crash.h"
#include "process/limits.h"
#include "process/output.h"
#include "process/printed.h"
#include "process/process_shared.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define UNREADY_DEATHS_MAX 3
#define OUTPUT_PATIENCE 1.0  /* seconds */
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

/* In *used what it had then, in bytes. */
static bool by_memory_limit(const struct kin__map *map, int worker, double *used)
{
    struct kin__crash report;
    if (!map->args.memory_limit || !kin__crash_read(map->local->posts[worker].process, 0, &report) ||
        report.error_number != ENOMEM)
        return false;
    uint64_t before = map->pool->seats[worker].data_ready;
    *used = report.private_data > before ? (double)(report.private_data - before) : 0;
    return true;
}

static void tell_memory(const struct kin__map *map, double used, kin_task_error *error, const char *how)
{
    kin__error_fill(
        &error->error, KIN_EMEMLIMIT,
        "task %zu could not get memory: it used %.1f MiB of its limit of %.1f MiB when its worker (pid %d) "
        "died of %s",
        map->before + error->index, used / 0x1p20, (double)map->args.memory_limit / 0x1p20, error->pid, how);
}

static void tell_story(struct kin__map *map, int worker, kin_task_error *error)
{
    const struct kin__post *post = &map->local->posts[worker];
    size_t index = map->before + error->index;
    char how[200], limit[96] = "", where[240];
    double used;
    kin_end_text(&error->end, how, sizeof how);
    int code = kin__limits_story(post->process->limited, &error->end, limit, sizeof limit);
    if (post->killed_for)
        kin__error_fill(&error->error, KIN_ETIMELIMIT,
                        "task %zu ran longer than its limit of %g s: its worker (pid %d) was killed", index,
                        map->args.time_limit, error->pid);
    else if (by_memory_limit(map, worker, &used))
        tell_memory(map, used, error, how);
    else if (error->end.how == KIN_END_EXITED && !code)
        kin__error_fill(&error->error, KIN_EDIED,
                        "task %zu ended its worker (pid %d) with exit code %d, by exit() or the like: a task "
                        "returns, or fails by kin_task_fail",
                        index, error->pid, error->end.exit_code);
    else
        kin__error_fill(&error->error, code ? code : KIN_EDIED,
                        "task %zu was running when its worker (pid %d) died of %s%s%s%s", index, error->pid,
                        how, limit, kin__crash_where(post->process, where, sizeof where),
                        error->attempts > 1 ? "; it was the last of its attempts" : "");
}

static void tell_output(const struct kin__map *map, int worker, kin_task_error *error)
{
    const kin_process *process = map->local->posts[worker].process;
    uint64_t taken;
    size_t length = strlen(error->error.message);
    if (!process->printed)
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
        error->pid = kin_process_pid(post->process);
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

static void decide_item(struct kin__map *map, int worker, size_t index, const kin_end *end)
{
    struct kin__post *post = &map->local->posts[worker];
    unsigned char *status = &map->pool->job.status[index];
    double used;
    unsigned attempts = KIN__ATTEMPTS(*status);
    if (map->outcome)
        return; /* interrupted or broken off: it was not given its chance */
    if (post->killed_for && post->killed_for != index + 1)
        return; /* the one that took too long had just finished: this one is innocent, and free to try again */
    if (!post->killed_for && !by_memory_limit(map, worker, &used) && attempts < (unsigned)map->args.retries) {
        *status = (unsigned char)(KIN__PENDING | (attempts + 1) << 2);
        return;
    }
    fail_item(map, worker, index, end);
}

static bool some_worker_is_ready(const struct kin__map *map)
{
    for (int i = 0; i < map->pool->workers; i++)
        if (map->local->posts[i].process && atomic_load(&map->pool->seats[i].ready) == KIN__READY)
            return true;
    return false;
}

/* A pool whose workers cannot start says why instead of starting them for ever; one whose workers are being killed
 * from outside goes on. */
static void check_start(struct kin__map *map, int worker, const kin_end *end)
{
    struct kin__seat *seat = &map->pool->seats[worker];
    struct kin__local *local = map->local;
    uint32_t ready = atomic_load_explicit(&seat->ready, memory_order_acquire);
    bool killed = end->how == KIN_END_SIGNALED && end->signal == SIGKILL;
    if (ready == KIN__CANNOT_WORK) {
        kin__fail(seat->init_error.code, "worker %d of pool \"%s\" cannot work: %s", worker, map->pool->name,
                  seat->init_error.message);
        kin__map_break(map);
    } else if (some_worker_is_ready(map)) { /* this one before it died, or another */
        local->unready_deaths = 0;
    } else if (++local->unready_deaths >= (killed ? UNREADY_KILLS_MAX : UNREADY_DEATHS_MAX)) {
        kin_error story;
        kin_process_error(local->posts[worker].process, &story);
        kin__fail(KIN_EDIED, "workers of pool \"%s\" die before they are ready: %s", map->pool->name,
                  story.message);
        kin__map_break(map);
    }
}

/* Not by kin_process_join, which waits until a terminal has taken what it printed. What is captured waits for nobody. */
static void await_end(const struct kin__map *map, int worker)
{
    kin_process *process = map->local->posts[worker].process;
    kin__process_wait(process, process->id, KIN_FOREVER);
    if (map->local->output == KIN_OUTPUT_CAPTURE)
        kin__output_wait(process->id, kin__os_deadline(OUTPUT_PATIENCE));
}

void kin__bury(struct kin__map *map, int worker)
{
    kin_pool *pool = map->pool;
    struct kin__seat *seat = &pool->seats[worker];
    struct kin__post *post = &map->local->posts[worker];
    kin_end end;
    await_end(map, worker);
    kin_process_end(post->process, &end);
    map->local->deaths++;
    map->undone = true;
    check_start(map, worker, &end);
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
            kin_process_pid(post->process));
    kin__post_clear(map->local, worker);
}

/* Ctrl-C reaches workers too; in the default disposition they die of it. One that has begun nothing in this round may
 * have died before it. */
static void check_interrupted(struct kin__map *map, int worker)
{
    kin_end end;
    if (!atomic_load(&map->pool->seats[worker].current))
        return;
    await_end(map, worker);
    kin_process_end(map->local->posts[worker].process, &end);
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
    bool more = atomic_load(&pool->next) < pool->job.total;
    if (more && !map->stopping && kin__post_start(map->local, worker) == 0)
        return;
    if (more && !map->stopping)
        kin__map_break(map);
    /* Nobody will answer from here. One who answered meanwhile may have left the last word to this seat, so the
     * supervisor looks again: partner in the worker's answer(). */
    atomic_store(&seat->answered, atomic_load(&seat->doorbell));
    atomic_fetch_add(&pool->event, 1);
}
