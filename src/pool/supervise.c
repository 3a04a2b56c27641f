/*
 * pool/supervise.c - the maker's part in a window: rounds, waiting, time limits.
 *
 * It sleeps on the pool's event, which the last worker of a round to answer, and whoever reaps a dead worker,
 * increment. It looks by itself at least every KIN__POOL_LOOK_OFTEN seconds, so that a lost guardian delays, but
 * never hangs.
 */
#include "pool/map.h"

#include "base/failure.h"
#include "os/os.h"
#include "pool/costs.h"
#include "pool/post.h"
#include "pool/waits.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SPIN 20e-6
#define TICKS_PER_LIMIT 20
#define TICK_LEAST 0.001
#define TICK_MOST 0.01 /* with a limit of time: so late at most, however long the limit */

void kin__map_stop(struct kin__map *map)
{
    map->stopping = true;
    atomic_store(&map->pool->stop, 1);
}

void kin__map_break(struct kin__map *map)
{
    if (!map->outcome) {
        kin_error_get(&map->story);
        map->outcome = map->story.code;
    }
    kin__map_stop(map);
}

static bool has_answered(const struct kin__map *map, int worker)
{
    return atomic_load(&map->pool->seats[worker].answered) == map->local->round;
}

static bool all_answered(const struct kin__map *map)
{
    for (int i = 0; i < map->pool->chosen; i++)
        if (!has_answered(map, i))
            return false;
    return true;
}

/* A round in which nothing is left to claim is over for those who are busy with records and have not come to it. */
static void withdraw(const struct kin__map *map)
{
    kin_pool *pool = map->pool;
    if (atomic_load(&pool->next) < pool->job.total && !atomic_load(&pool->stop))
        return;
    for (int i = 0; i < pool->chosen; i++)
        if (!has_answered(map, i) && kin__seat_take(&pool->seats[i], map->local->round))
            atomic_store(&pool->seats[i].answered, map->local->round);
}

/* Seconds of CPU time that the worker's current item has taken. */
static double cpu_used(const struct kin__map *map, int worker, uint64_t current)
{
    const struct kin__seat *seat = &map->pool->seats[worker];
    double used = kin__post_cpu_since(&map->local->posts[worker], atomic_load(&seat->cpu_began));
    return atomic_load(&seat->current) == current ? used
                                                  : 0; /* else it has moved on: that began is another's */
}

/* A worker whose current item has not changed for the limit is killed. The item may finish just then: what
 * dies with the worker is looked at when it is dead. */
static void check_limits(struct kin__map *map, int worker, double now)
{
    struct kin__post *post = &map->local->posts[worker];
    struct kin__seat *seat = &map->pool->seats[worker];
    uint64_t current = atomic_load(&seat->current);
    bool running =
        current && current <= map->window && KIN__STATUS(map->pool->job.status[current - 1]) == KIN__PENDING;
    if (!running || current != post->seen_current || post->seen_round != map->local->round) {
        post->seen_current = running ? current : 0;
        post->seen_round = map->local->round;
        post->seen_since = now;
        return;
    }
    if (!running || post->killed_for)
        return;
    int cause = KIN_CAUSE_NONE;
    if (map->args.time_limit > 0 && now - post->seen_since >= map->args.time_limit)
        cause = KIN_CAUSE_TIME_LIMIT;
    else if (map->args.cpu_limit > 0 && cpu_used(map, worker, current) >= map->args.cpu_limit)
        cause = KIN_CAUSE_CPU_LIMIT;
    if (!cause)
        return;
    post->killed_for = current;
    post->killed_cause = cause;
    kin__post_kill(post);
}

static void end_busy_workers(struct kin__map *map)
{
    for (int i = 0; i < map->pool->chosen; i++)
        if (map->local->posts[i].taken && !has_answered(map, i) &&
            atomic_load(&map->pool->seats[i].taken) == map->local->round)
            kin__post_kill(&map->local->posts[i]);
}

void kin__map_check_canceled(struct kin__map *map)
{
    if (map->outcome || !atomic_load(&map->pool->canceled))
        return;
    kin__fail(KIN_ECANCELED, "pool \"%s\" was freed during the map", map->pool->name);
    kin__map_break(map);
    end_busy_workers(map);
}

static void check_interrupt(struct kin__map *map)
{
    if (map->outcome || !map->catches_interrupt || !kin__interrupted())
        return;
    kin__fail(KIN_EINTR, "pool \"%s\" was interrupted (SIGINT)", map->pool->name);
    kin__map_break(map);
    end_busy_workers(map);
}

/* A worker that lives but cannot find the task's function fails the map, not the pool. */
static void check_able(struct kin__map *map, int worker)
{
    struct kin__seat *seat = &map->pool->seats[worker];
    uint32_t cannot = KIN__CANNOT_WORK;
    if (!map->local->posts[worker].taken ||
        !atomic_compare_exchange_strong(&seat->ready, &cannot, KIN__READY))
        return;
    kin__fail(seat->init_error.code, "worker %d of pool \"%s\" cannot work: %s", worker, map->pool->name,
              seat->init_error.message);
    kin__map_break(map);
}

/* Deaths, answers, limits. True while a worker is still at it. */
static bool look(struct kin__map *map, bool thoroughly)
{
    double now = map->limited ? kin__os_now() : 0;
    bool busy = false;
    check_interrupt(map);
    kin__map_check_canceled(map);
    withdraw(map);
    for (int i = 0; i < map->pool->chosen; i++) {
        struct kin__post *post = &map->local->posts[i];
        if (post->taken && thoroughly)
            kin__post_look(post);
        if (post->taken && atomic_load(&post->ended)) {
            pthread_mutex_lock(&map->local->posts_mutex);
            kin__handle_death(map, i);
            pthread_mutex_unlock(&map->local->posts_mutex);
        }
        if (!post->taken || has_answered(map, i)) {
            check_able(map, i);
            continue;
        }
        busy = true;
        if (map->limited)
            check_limits(map, i, now);
    }
    return busy;
}

static double tick(const struct kin__map *map)
{
    if (!map->limited)
        return KIN__POOL_LOOK_OFTEN;
    double time = map->args.time_limit, cpu = map->args.cpu_limit;
    double tick = (time > 0 && (cpu <= 0 || time < cpu) ? time : cpu) / TICKS_PER_LIMIT;
    return tick < TICK_LEAST ? TICK_LEAST : tick < TICK_MOST ? tick : TICK_MOST;
}

/* Only where a CPU is left for it: with all of them at work, spinning delays the work. */
static void spin(const struct kin__map *map)
{
    if (map->pool->chosen >= map->pool->cpus)
        return;
    double until = kin__os_now() + SPIN;
    while (!all_answered(map) && kin__os_now() < until) {
        for (int i = 0; i < 32; i++)
            kin__os_pause();
        withdraw(map);
    }
}

void kin__map_seats(struct kin__map *map, int count)
{
    struct kin__local *local = map->local;
    bool ended = false;
    pthread_mutex_lock(&local->posts_mutex);
    local->mapped = count;
    for (int i = 0; i < map->pool->workers && !count; i++)
        ended |= local->posts[i].taken && atomic_load(&local->posts[i].ended);
    pthread_mutex_unlock(&local->posts_mutex);
    if (ended)
        kin__call_warden(map->pool);
}

/* Workers that died between rounds fail nothing. */
static int man_seat(struct kin__map *map, int worker)
{
    struct kin__post *post = &map->local->posts[worker];
    struct kin__seat *seat = &map->pool->seats[worker];
    /* One that has died unnoticed will be noticed in the round: no system call for each seat here. */
    if (post->taken && !atomic_load(&post->ended))
        return 0;
    pthread_mutex_lock(&map->local->posts_mutex); /* the warden looks at all seats */
    if (post->taken)
        kin__bury(map, worker);
    int error = map->outcome;
    if (!error) {
        /* Whoever sat here may have died without an answer: the newcomer must not take up that round. */
        atomic_store(&seat->answered, atomic_load(&seat->doorbell));
        error = kin__post_start(map->local, worker);
    }
    pthread_mutex_unlock(&map->local->posts_mutex);
    return error;
}

static void ring_seat(const struct kin__map *map, int worker)
{
    struct kin__seat *seat = &map->pool->seats[worker];
    /* Publishes the job. Sequentially consistent: partner in wait_for_doorbell. */
    atomic_store(&seat->doorbell, map->local->round);
    kin__seat_ring(seat);
}

static int man_seats(struct kin__map *map)
{
    int error = 0;
    for (int i = 0; i < map->pool->chosen && !error; i++)
        error = man_seat(map, i);
    return error ? error : map->outcome;
}

static void ring_seats(struct kin__map *map)
{
    for (int i = 0; i < map->pool->chosen; i++)
        atomic_store_explicit(&map->pool->seats[i].current, 0, memory_order_relaxed);
    map->local->round++;
    for (int i = 0; i < map->pool->chosen; i++)
        ring_seat(map, i);
}

static int seats_for(const kin_pool *pool, size_t items)
{
    int wanted = atomic_load(&pool->wanted);
    return items < (size_t)wanted ? (int)items : wanted;
}

/* The pool has grown: there is room for more in the round that is under way. */
static void grow(struct kin__map *map)
{
    kin_pool *pool = map->pool;
    int before = pool->chosen, most = seats_for(pool, pool->job.total);
    if (most <= before || map->stopping || atomic_load(&pool->next) >= pool->job.total ||
        atomic_load(&pool->stop))
        return;
    kin__map_seats(map, most);
    for (int i = before; i < most; i++) {
        if (man_seat(map, i) != 0) {
            kin__map_break(map);
            return;
        }
        atomic_store_explicit(&pool->seats[i].current, 0, memory_order_relaxed);
        atomic_store(&pool->chosen, i + 1); /* before the bell: who answers looks at all */
        ring_seat(map, i);
    }
}

static void wait_for_round(struct kin__map *map)
{
    kin_pool *pool = map->pool;
    bool thoroughly = false;
    struct kin__thread *waits = NULL;
    spin(map);
    if (!all_answered(map)) {
        kin__map_catch_interrupt(map);
        waits = kin__pool_waits(pool, &pool->event, 0);
    }
    for (;;) {
        uint32_t seen = atomic_load(&pool->event);
        atomic_store(&pool->waiting, 1); /* before looking: partner in the worker's answer() */
        grow(map);
        if (!look(map, thoroughly))
            break;
        kin__map_progress(map, false);
        thoroughly = kin__os_futex_wait(&pool->event, seen, tick(map)) == KIN_ETIMEDOUT;
    }
    kin__pool_waits_end(waits);
    atomic_store(&pool->waiting, 0);
}

static void run_round(struct kin__map *map, const uint32_t *list, size_t total)
{
    kin_pool *pool = map->pool;
    pool->job.list = list;
    pool->job.total = total;
    atomic_store(&pool->chosen, seats_for(pool, total));
    atomic_store(&pool->next, 0);
    atomic_store(&pool->again, 0);
    map->undone = false;
    kin__map_seats(map, pool->chosen);
    if (man_seats(map) != 0) {
        kin__map_break(map);
        return;
    }
    ring_seats(map);
    wait_for_round(map);
    map->undone |= atomic_load(&pool->again) != 0;
    if (atomic_load(&pool->stop)) {
        /* By a worker, whose task failed; or by who cancels, since the last look: it left items undone. */
        map->stopping = true;
        kin__map_check_canceled(map);
    }
}

/* How often the pending items that are to be tried next were tried before: as rarely as any. */
static unsigned least_attempts(const struct kin__map *map)
{
    const unsigned char *status = map->pool->job.status;
    unsigned least = KIN__RETRIES_MAX;
    for (size_t i = 0; i < map->window && least; i++)
        if (KIN__STATUS(status[i]) == KIN__PENDING && KIN__ATTEMPTS(status[i]) < least)
            least = KIN__ATTEMPTS(status[i]);
    return least;
}

/* Longest first, if costs are known. */
static int put_in_order(const struct kin__map *map, uint32_t *items, size_t count)
{
    if (!map->args.costs || !count)
        return 0;
    struct kin__costly *list = malloc(count * sizeof *list);
    if (!list)
        return kin__fail(KIN_ENOMEM, "could not put %zu items in order: out of private memory", count);
    for (size_t i = 0; i < count; i++)
        list[i] = (struct kin__costly){.cost = map->args.costs[map->before + items[i]], .number = items[i]};
    kin__costs_sort(list, count);
    for (size_t i = 0; i < count; i++)
        items[i] = (uint32_t)list[i].number;
    free(list);
    return 0;
}

/* Items that are in no journal, that dead workers had claimed and not done, or that are to be tried again. With a back-off, those that
 * were tried less often; the others' turn comes when these are done, and their time counts from then. */
static size_t list_pending(struct kin__map *map, const uint32_t **list, unsigned *attempts)
{
    const unsigned char *status = map->pool->job.status;
    size_t count = 0;
    *attempts = map->args.backoff > 0 ? least_attempts(map) : KIN__RETRIES_MAX;
    for (size_t i = 0; i < map->window; i++)
        count += KIN__STATUS(status[i]) == KIN__PENDING;
    if (!count)
        return 0;
    uint32_t *found = kin_arena_malloc(map->scratch, count * sizeof *found);
    size_t at = 0;
    for (size_t i = 0; found && i < map->window; i++)
        if (KIN__STATUS(status[i]) == KIN__PENDING && KIN__ATTEMPTS(status[i]) <= *attempts)
            found[at++] = (uint32_t)i;
    if (!found || put_in_order(map, found, at) != 0) {
        kin__map_break(map);
        return 0;
    }
    *list = found;
    return at;
}

/* Before items are tried again. Workers that die meanwhile are replaced with the next round. */
void kin__map_back_off(struct kin__map *map, unsigned attempts)
{
    kin_pool *pool = map->pool;
    if (map->args.backoff <= 0 || !attempts)
        return;
    double until = kin__os_now() + ldexp(map->args.backoff, (int)attempts - 1);
    kin__map_catch_interrupt(map);
    for (;;) {
        uint32_t seen = atomic_load(&pool->event);
        check_interrupt(map);
        kin__map_check_canceled(map);
        double left = until - kin__os_now();
        if (map->stopping || left <= 0)
            return;
        kin__map_progress(map, false);
        kin__os_futex_wait(&pool->event, seen, left < KIN__POOL_LOOK_OFTEN ? left : KIN__POOL_LOOK_OFTEN);
    }
}

void kin__supervise(struct kin__map *map, bool partly)
{
    const uint32_t *list = NULL;
    unsigned attempts = 0;
    size_t total = partly || map->args.costs ? list_pending(map, &list, &attempts) : map->window;
    while (total && !map->stopping) {
        run_round(map, list, total);
        bool some_waited = list && map->args.backoff > 0; /* behind those of this round */
        total = (map->undone || some_waited) && !map->stopping ? list_pending(map, &list, &attempts) : 0;
        if (total)
            kin__map_back_off(map, attempts);
    }
}
