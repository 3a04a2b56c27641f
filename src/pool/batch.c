/* pool/batch.c - kin_pool_map_async and kin_pool_for_async: many items, cut into records. */
#include "base/failure.h"
#include "base/random.h"
#include "family/sealed.h"
#include "kin/heap.h"
#include "pool/costs.h"
#include "pool/hand.h"
#include "pool/submit.h"
#include "process/pointers.h"

#include <stdlib.h>
#include <string.h>

#define SHARES 8         /* a piece takes so manieth part of what is left for each worker, */
#define SHARES_LEAST 512 /* and at most this part: few tasks, which may be long, are dealt out one by one */
#define PIECES_MAX ((size_t)1 << 20)

struct job {
    kin_pool *pool;
    struct kin__desk *desk;
    struct kin__local *local;
    void (*fn)(void);
    const kin_map_args *args;
    kin_apply_args each; /* what each record is submitted with */
    bool is_for;
    size_t *ends; /* of the pieces */
    size_t pieces;
    struct kin__costly *order; /* in which they are submitted; NULL: as they come */
};

static int check(const kin_pool *pool, const kin_map_args *args)
{
    static const char what[] = "cannot map asynchronously";
    const struct {
        const char *name;
        const void *array;
        size_t size;
    } arrays[] = {{"in", args->in, args->in_size}, {"out", args->out, args->out_size}};
    for (int i = 0; i < 2; i++) {
        if ((arrays[i].array && !arrays[i].size) || (i == 0 && arrays[i].size && !arrays[i].array))
            return kin__fail(KIN_EINVAL, "%s: %s is %s, but its item size is %zu", what, arrays[i].name,
                             arrays[i].array ? "given" : "NULL", arrays[i].size);
        if (arrays[i].size && args->count > SIZE_MAX / 2 / arrays[i].size)
            return kin__fail(KIN_EINVAL, "%s: %zu items of %zu bytes do not fit into memory", what,
                             args->count, arrays[i].size);
        size_t room = kin__region_holds(arrays[i].array) ? kin_usable_size(arrays[i].array) : 0;
        if (room && args->count * arrays[i].size > room)
            return kin__fail(KIN_EINVAL, "%s: %s has room for %zu items of %zu bytes, not for %zu", what,
                             arrays[i].name, room / arrays[i].size, arrays[i].size, args->count);
    }
    if (args->context_size || args->progress || args->errors || args->failures || args->results ||
        args->journal)
        return kin__fail(
            KIN_EINVAL,
            "%s: context_size, progress, errors, failures, results and journal are for kin_pool_map; see "
            "kin_result_failures and kin_result_take",
            what);
    if (args->on_failure != KIN_STOP && args->on_failure != KIN_COLLECT)
        return kin__fail(KIN_EINVAL, "%s: on_failure %d is not one of enum kin_on_failure", what,
                         args->on_failure);
    int error = kin__costs_check(args->costs, args->count);
    if (!error && pool->kind == KIN_POOL_PROCESSES)
        kin__pointers_check("in of a map over pool", pool->name, args->in, args->in_size, args->count);
    return error;
}

static void fill_each(struct job *job)
{
    const kin_map_args *args = job->args;
    job->each = (kin_apply_args){.in = args->in,
                                 .in_size = args->count * args->in_size,
                                 .out = args->out,
                                 .out_size = args->count * args->out_size,
                                 KIN__EACH(args),
                                 .done = args->done,
                                 .done_arg = args->done_arg};
    if (!args->count) {
        job->each.in = job->each.out = NULL;
        job->each.in_size = job->each.out_size = 0;
    }
}

/* Large pieces first, then ever smaller ones: who has got a long one is caught up with by the others (guided
 * self-scheduling). */
static int cut(struct job *job)
{
    size_t count = job->args->count, chunk = job->args->chunk, room = 0;
    size_t shares = SHARES * (size_t)atomic_load(&job->pool->wanted);
    shares = shares > SHARES_LEAST ? shares : SHARES_LEAST;
    if (chunk && count / chunk >= PIECES_MAX)
        chunk = count / PIECES_MAX + 1;
    for (size_t at = 0; at < count;) {
        size_t piece = chunk ? chunk : (count - at) / shares + 1;
        if (job->pieces == room) {
            room = room ? 2 * room : 64;
            size_t *ends = realloc(job->ends, room * sizeof *ends);
            if (!ends)
                return kin__fail(KIN_ENOMEM, "could not cut a map into pieces: out of private memory");
            job->ends = ends;
        }
        at = piece < count - at ? at + piece : count;
        job->ends[job->pieces++] = at;
    }
    return 0;
}

/* Pieces that take longest are submitted first. */
static int put_in_order(struct job *job)
{
    const double *costs = job->args->costs;
    if (!costs || !job->pieces)
        return 0;
    job->order = calloc(job->pieces, sizeof *job->order);
    if (!job->order)
        return kin__fail(KIN_ENOMEM, "could not put %zu pieces of a map in order: out of private memory",
                         job->pieces);
    for (size_t i = 0, item = 0; i < job->pieces; i++) {
        job->order[i].number = i;
        for (; item < job->ends[i]; item++)
            job->order[i].cost += costs[item];
    }
    kin__costs_sort(job->order, job->pieces);
    return 0;
}

static struct kin__batch *make_batch(struct job *job, kin_result *common)
{
    kin_result *whole = kin__own(common);
    const kin_map_args *args = job->args;
    if (!whole->room)
        kin__arena_new_at(job->desk->pool->maker, &whole->room);
    if (!whole->room)
        return NULL;
    struct kin__batch *shared = kin_arena_calloc(whole->room, 1, sizeof *shared);
    kin_result **pieces = kin_arena_calloc(whole->room, job->pieces + 1, sizeof(kin_result *));
    unsigned char *status = kin_arena_calloc(whole->room, 1, args->count + 1);
    if (!shared || !pieces || !status)
        return NULL;
    struct kin__batch *batch = kin__own(shared);
    batch->whole = common;
    batch->pieces = pieces;
    batch->in = whole->in;
    batch->out = whole->out;
    batch->in_size = args->in_size;
    batch->out_size = args->out_size;
    batch->status = status;
    batch->is_for = job->is_for;
    batch->stop_on_failure = args->on_failure == KIN_STOP;
    atomic_store(&batch->left, job->pieces);
    return shared;
}

/* All pieces, or none. */
static int make_pieces(struct job *job, struct kin__batch *shared)
{
    struct kin__batch *batch = kin__own(shared);
    kin_result **pieces = kin__own(batch->pieces);
    for (size_t i = 0; i < job->pieces; i++) {
        struct kin__piece piece = {.batch = shared, .from = i ? job->ends[i - 1] : 0, .to = job->ends[i]};
        pieces[i] = kin__submit_make(job->desk, job->fn, &job->each, &piece);
        if (!pieces[i]) {
            while (i > 0)
                kin__submit_drop(job->desk, pieces[--i]);
            return kin_error_code();
        }
    }
    batch->pieces_count = job->pieces;
    return 0;
}

static kin_result *submit(struct job *job)
{
    kin_result *common = kin__submit_make(job->desk, job->fn, &job->each, NULL);
    if (!common)
        return NULL;
    struct kin__batch *shared = make_batch(job, common);
    if (!shared || make_pieces(job, shared) != 0) {
        kin_error story;
        kin_error_get(&story);
        if (common->call)
            kin__desk_forget(job->desk, common);
        kin__submit_drop(job->desk, common);
        kin__fail_with(&story);
        return NULL;
    }
    kin_result *whole = kin__own(common);
    whole->batch = shared;
    uint64_t state = (atomic_load(&whole->state) & KIN__WORK_GENERATION) + KIN__WORK_NEXT;
    atomic_store(&whole->state, state | KIN__WORK_TO(KIN__WORK_RUNNING, KIN__NO_SEAT, 0));
    if (job->desk->owner)
        kin__submit_enter_child(common);
    for (size_t i = 0; i < job->pieces; i++)
        kin__submit_post(job->desk, shared->pieces[job->order ? job->order[i].number : i]);
    if (!job->pieces)
        kin__batch_check(shared);
    return common;
}

static void run_inline(struct job *job, kin_result *whole)
{
    pthread_mutex_unlock(&job->desk->mutex); /* tasks may submit others */
    for (size_t i = 0; i < job->pieces; i++)
        kin__submit_inline(job->local, whole->batch->pieces[i]);
    pthread_mutex_lock(&job->desk->mutex);
}

static kin_result *map_async(kin_pool *pool, void (*fn)(void), const kin_map_args *given, bool is_for)
{
    kin_map_args args;
    struct job job = {.pool = pool, .fn = fn, .args = &args, .is_for = is_for};
    if (kin__pool_check(pool, "map") != 0 ||
        kin__options_read(&args, sizeof args, given, "map arguments") != 0 || check(pool, &args) != 0)
        return NULL;
    fill_each(&job);
    kin_result *whole = NULL;
    if (kin__submit_check(pool, (const void *)fn, &job.each) == 0 && cut(&job) == 0 &&
        put_in_order(&job) == 0)
        job.desk = kin__submit_enter(pool, &job.local);
    if (job.desk) {
        whole = submit(&job);
        if (whole && job.local && pool->kind == KIN_POOL_INLINE)
            run_inline(&job, whole);
        kin__submit_leave(job.desk, job.local);
    }
    free(job.ends);
    free(job.order);
    return whole;
}

kin_result *kin_pool_map_async(kin_pool *pool, kin_task_fn fn, const kin_map_args *args)
{
    return map_async(pool, (void (*)(void))fn, args, false);
}

kin_result *kin_pool_for_async(kin_pool *pool, kin_for_fn fn, const kin_map_args *args)
{
    return map_async(pool, (void (*)(void))fn, args, true);
}
