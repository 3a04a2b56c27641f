/* pool/map.c - kin_pool_map and kin_pool_for: arguments, windows, copies of private arrays. */
#include "pool/map.h"

#include "base/failure.h"
#include "base/random.h"
#include "family/region.h"
#include "kin/heap.h"
#include "os/os.h"
#include "pool/costs.h"
#include "pool/resume.h"
#include "pool/submit.h"
#include "process/output.h"
#include "process/pointers.h"
#include "process/start.h"

#include <errno.h>
#include <string.h>

#define PROGRESS_PERIOD 0.1
#define OUTPUT_PATIENCE 2.0 /* beyond it, a terminal that was stopped holds them */

static int check_array(const char *which, const void *array, size_t size, size_t count, size_t room)
{
    if (!array != !size)
        return kin__fail(KIN_EINVAL, "cannot map: %s is %s, but its item size is %zu", which,
                         array ? "given" : "NULL", size);
    if (size && count > SIZE_MAX / size)
        return kin__fail(KIN_EINVAL, "cannot map: %zu items of %zu bytes do not fit into memory", count,
                         size);
    if (kin__region_holds(array))
        room = kin_usable_size(array); /* 0: it lies in an arena, or in the middle of a block */
    if (room && size * count > room)
        return kin__fail(KIN_EINVAL, "cannot map: %s has room for %zu items of %zu bytes, not for %zu", which,
                         room / size, size, count);
    return 0;
}

static int check_limits(const kin_pool *pool, const kin_map_args *args)
{
    int error = kin__submit_check_limits(pool, "map", &(kin_apply_args){KIN__EACH(args)});
    if (error)
        return error;
    if (args->done)
        return kin__fail(KIN_EINVAL, "cannot map with a done function: it is for kin_pool_map_async");
    if (args->retries > KIN__RETRIES_MAX)
        return kin__fail(KIN_EINVAL, "cannot map with %d retries: 0 to %d", args->retries, KIN__RETRIES_MAX);
    if (args->on_failure != KIN_STOP && args->on_failure != KIN_COLLECT)
        return kin__fail(KIN_EINVAL, "cannot map: on_failure %d is not one of enum kin_on_failure",
                         args->on_failure);
    if (args->errors_capacity && !args->errors)
        return kin__fail(KIN_EINVAL, "cannot map: errors is NULL, but errors_capacity is %zu",
                         args->errors_capacity);
    if (args->context_size && !args->context)
        return kin__fail(KIN_EINVAL, "cannot map: context is NULL, but context_size is %zu",
                         args->context_size);
    return 0;
}

static int check_context(const kin_pool *pool, const kin_map_args *args)
{
    if (!args->context || args->context_size || pool->kind != KIN_POOL_PROCESSES ||
        kin__region_holds(args->context))
        return 0;
    return kin__fail(
        KIN_ENOTSHARED,
        "cannot map with context %p: it lies in private memory (%s), of which workers would see an old "
        "copy; use kin_malloc, or give context_size to have it copied",
        args->context, kin__where(args->context));
}

static int check_args(const kin_pool *pool, void (*function)(void), const kin_map_args *args)
{
    if (!function)
        return kin__fail(KIN_EINVAL, "cannot map without a function");
    int error = check_array("in", args->in, args->in_size, args->count, args->in_room);
    if (!error)
        error = check_array("out", args->out, args->out_size, args->count, args->out_room);
    if (!error)
        error = check_limits(pool, args);
    if (!error)
        error = kin__costs_check(args->costs, args->count);
    return error ? error : check_context(pool, args);
}

/* What workers can see of `array`: itself if it is shared, else a copy (or, without `copy`, room). */
static void *shared_view(struct kin__map *map, const void *array, size_t bytes, bool copy)
{
    if (!array || kin__region_holds(array) || map->pool->kind != KIN_POOL_PROCESSES)
        return (void *)array;
    void *view = kin_arena_malloc(map->scratch, bytes ? bytes : 1);
    if (view && copy)
        memcpy(view, array, bytes);
    else if (view)
        memset(view, 0, bytes);
    return view;
}

/* Each map's tasks draw other numbers, unless it is given the seed of another. */
static uint64_t seed_of(const struct kin__map *map)
{
    struct kin__local *local = map->local;
    uint64_t number = ++local->maps;
    if (map->args.seed)
        return map->args.seed;
    uint64_t block[4];
    kin__philox((uint64_t[]){number, 0, 0, 1}, (uint64_t[]){local->seed, 0},
                block); /* no block of a kin_random */
    return block[0];
}

static int prepare_job(struct kin__map *map, bool is_for)
{
    struct kin__job *job = &map->pool->job;
    const kin_map_args *args = &map->args;
    memset(job, 0, sizeof *job);
    int error = kin__function_refer(map->function, &job->function, "the task's function");
    if (error && map->pool->kind != KIN_POOL_INLINE) /* which calls it as it is: the name only is not known */
        return error;
    map->limited = args->time_limit > 0 || args->cpu_limit > 0;
    job->soft_time_limit = args->soft_time_limit;
    job->cpu_limited = args->cpu_limit > 0;
    job->retries = args->retries;
    job->retry_on = kin__retry_on(args->retry_on);
    job->priority = KIN__NORMAL - args->priority;
    job->is_for = is_for;
    job->in_size = args->in_size;
    job->out_size = args->out_size;
    job->chunk = args->chunk < KIN__WINDOW ? args->chunk : KIN__WINDOW; /* so that `next` cannot wrap */
    job->memory_limit = args->memory_limit;
    job->seed = seed_of(map);
    job->stop_on_failure = args->on_failure == KIN_STOP;
    job->context = args->context;
    if (args->context_size) {
        job->context = shared_view(map, args->context, args->context_size, true);
        if (!job->context)
            return kin_error_code();
    }
    size_t window = args->count < KIN__WINDOW ? args->count : KIN__WINDOW;
    job->status =
        window <= KIN__SMALL_WINDOW ? map->pool->small_status : kin_arena_malloc(map->scratch, window);
    return job->status ? 0 : kin_error_code();
}

/* Room for one window's copies, used for each in turn. */
struct views {
    unsigned char *in, *out;
};

static int make_views(struct kin__map *map, struct views *views)
{
    const kin_map_args *args = &map->args;
    size_t window = args->count < KIN__WINDOW ? args->count : KIN__WINDOW;
    views->in = shared_view(map, args->in, window * args->in_size, true);
    views->out = shared_view(map, args->out, window * args->out_size, false);
    return (args->in && !views->in) || (args->out && !views->out) ? kin_error_code() : 0;
}

static void reset_counters(struct kin__map *map)
{
    for (int i = 0; i < map->pool->workers; i++) {
        atomic_store(&map->pool->seats[i].done, 0);
        atomic_store(&map->pool->seats[i].failed, 0);
    }
}

static void open_window(struct kin__map *map, const struct views *views)
{
    struct kin__job *job = &map->pool->job;
    const kin_map_args *args = &map->args;
    size_t left = args->count - map->before;
    map->window = left < KIN__WINDOW ? left : KIN__WINDOW;
    job->base = map->before;
    memset(job->status, KIN__PENDING, map->window);
    if (args->in) {
        bool copied = views->in != (const unsigned char *)args->in;
        const unsigned char *from = (const unsigned char *)args->in + map->before * args->in_size;
        if (copied && map->before)
            memcpy(views->in, from, map->window * args->in_size);
        job->in = copied ? views->in : from;
    }
    if (args->out) {
        bool copied = views->out != (unsigned char *)args->out;
        if (copied && map->before)
            memset(views->out, 0, map->window * args->out_size);
        job->out = copied ? views->out : (unsigned char *)args->out + map->before * args->out_size;
    }
    reset_counters(map);
}

static void close_window(struct kin__map *map)
{
    struct kin__job *job = &map->pool->job;
    kin__resume_save(map, true);
    kin__collect_window(map);
    unsigned char *out = (unsigned char *)map->args.out;
    if (out && job->out != out + map->before * map->args.out_size)
        memcpy(out + map->before * map->args.out_size, job->out, map->window * map->args.out_size);
    map->before += map->window;
    map->window = 0;
    map->resumed_before += map->resumed;
    map->resumed = 0;
}

static void run_windows(struct kin__map *map, const struct views *views)
{
    atomic_store(&map->pool->stop, 0);
    while (map->before < map->args.count && !map->stopping) {
        open_window(map, views);
        bool partly = kin__resume_window(map);
        if (map->pool->kind == KIN_POOL_INLINE)
            kin__run_inline(map);
        else
            kin__supervise(map, partly);
        close_window(map);
    }
    size_t rest = map->args.count - map->before;
    if (rest && map->args.out)
        memset((unsigned char *)map->args.out + map->before * map->args.out_size, 0,
               rest * map->args.out_size);
}

void kin__map_catch_interrupt(struct kin__map *map)
{
    if (!map->catches_interrupt)
        kin__interrupt_begin(&map->pool->event);
    map->catches_interrupt = true;
}

static void check_pointers(const kin_pool *pool, const kin_map_args *args)
{
    if (pool->kind != KIN_POOL_PROCESSES)
        return;
    kin__pointers_check("in of a map over pool", pool->name, args->in, args->in_size, args->count);
    if (args->context_size)
        kin__pointers_check("context of a map over pool", pool->name, args->context, args->context_size, 1);
}

static int map_locked(struct kin__map *map, bool is_for)
{
    struct views views = {0};
    map->started = kin__os_now();
    map->local->deaths = 0;
    map->scratch = kin_arena_new();
    if (!map->scratch)
        return kin_error_code();
    int error = prepare_job(map, is_for);
    if (!error)
        error = make_views(map, &views);
    if (!error)
        error = kin__resume_open(map);
    if (!error) {
        reset_counters(map);
        check_pointers(map->pool, &map->args);
        if (map->args.progress ||
            map->pool->kind == KIN_POOL_INLINE) /* the program's code may take its time */
            kin__map_catch_interrupt(map);
        kin__map_progress(map, false);
        run_windows(map, &views);
        kin__map_seats(map, 0);
        if (kin__output_runs()) /* lines of its tasks above the last bar */
            kin__output_sync(kin__os_deadline(OUTPUT_PATIENCE));
        kin__map_progress(map, true);
        kin__watch_end(map);
        if (map->catches_interrupt)
            kin__interrupt_end(&map->pool->event);
        kin__collect_results(map);
        error = kin__resume_close(map); /* told if nothing else is wrong */
    }
    kin_arena_free(map->scratch);
    if (map->outcome)
        return kin__fail_with(&map->story);
    return map->first.code ? kin__fail_with(&map->first) : error;
}

static int check_open(const kin_pool *pool)
{
    return atomic_load(&pool->closed) ? kin__fail(KIN_ECLOSED, "pool \"%s\" is finished", pool->name) : 0;
}

static int map_held(struct kin__map *map, const kin_map_args *given, bool is_for)
{
    kin_pool *pool = map->pool;
    int error = kin__options_read(&map->args, sizeof map->args, given, "map arguments");
    if (!error)
        error = check_args(pool, map->function, &map->args);
    if (error)
        return error;
    if (!map->args.failures)
        map->args.failures = &map->unasked;
    *map->args.failures = 0;
    if (map->args.results)
        *map->args.results = NULL;
    if (map->args.count == 0)
        return check_open(pool);
    if (pthread_mutex_lock(&map->local->mutex) == EDEADLK)
        return kin__fail(KIN_EBUSY, "pool \"%s\" is in the middle of a map, in this very thread", pool->name);
    error = check_open(pool); /* it may have been finished while we waited for another map */
    if (!error)
        error = map_locked(map, is_for);
    pthread_mutex_unlock(&map->local->mutex);
    return error;
}

static int map_over(kin_pool *pool, void (*function)(void), const kin_map_args *given, bool is_for)
{
    struct kin__map map = {.function = function, .pool = pool};
    map.local = kin__local_hold(pool, "map");
    if (!map.local)
        return kin_error_code();
    int error = map_held(&map, given, is_for);
    kin__local_release(map.local);
    return error;
}

int kin_pool_map(kin_pool *pool, kin_task_fn fn, const kin_map_args *args)
{
    return map_over(pool, (void (*)(void))fn, args, false);
}

int kin_pool_for(kin_pool *pool, kin_for_fn fn, const kin_map_args *args)
{
    return map_over(pool, (void (*)(void))fn, args, true);
}

/* What is done of the window under way. */
static void count_window(const struct kin__map *map, kin_progress *progress)
{
    progress->resumed += map->resumed;
    progress->done += map->resumed;
    progress->failed = *map->args.failures;
    for (int i = 0; i < map->pool->workers; i++) {
        progress->done += atomic_load_explicit(&map->pool->seats[i].done, memory_order_relaxed);
        progress->failed += atomic_load_explicit(&map->pool->seats[i].failed, memory_order_relaxed);
    }
    for (const struct kin__death *death = map->deaths; death; death = death->next) {
        progress->done++;
        progress->failed++;
    }
}

void kin__map_progress(struct kin__map *map, bool last)
{
    kin__resume_save(map, false);
    if (!map->args.progress)
        return;
    double now = kin__os_now();
    if (!last && now < map->next_progress)
        return;
    map->next_progress = now + PROGRESS_PERIOD;
    kin__watch_seats(map, now);
    kin_progress progress = {.size = sizeof progress,
                             .total = map->args.count,
                             .done = map->finished,
                             .failed = map->failures,
                             .deaths = map->local->deaths,
                             .elapsed = now - map->started,
                             .remaining = -1,
                             .finished = last,
                             .name = map->pool->name,
                             .resumed = map->resumed_before,
                             .seats = atomic_load(&map->pool->wanted),
                             .map = map};
    if (!last)
        count_window(map, &progress);
    if (progress.done > progress.total)
        progress.done = progress.total;
    for (int i = 0; i < map->pool->workers; i++)
        progress.workers += map->local->posts[i].taken && !atomic_load(&map->local->posts[i].ended);
    if (progress.done > progress.resumed && progress.elapsed > 0)
        progress.rate = (double)(progress.done - progress.resumed) / progress.elapsed;
    if (progress.rate > 0)
        progress.remaining = (double)(progress.total - progress.done) / progress.rate;
    if (map->args.progress(&progress, map->args.progress_arg) != 0 && !last && !map->stopping) {
        kin__fail(KIN_ECANCELED, "the map over pool \"%s\" was canceled by its progress function",
                  map->pool->name);
        kin__map_break(map);
    }
}
