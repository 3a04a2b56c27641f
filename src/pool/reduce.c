/*
 * pool/reduce.c - kin_pool_reduce: a map over blocks of items, whose number does not depend on that of the workers.
 *
 * The floating-point sum of many numbers depends on the order; here it is that of the items within a block, and of
 * the blocks.
 */
#include "kin/imap.h"

#include "base/failure.h"
#include "family/sealed.h"
#include "kin/heap.h"
#include "pool/submit.h"
#include "pool/task.h"
#include "process/pointers.h"

#include <stdlib.h>
#include <string.h>

#define BLOCKS 256

/* What the workers see. */
struct reduction {
    struct kin__function fn, combine;
    void (*own_fn)(void), (*own_combine)(void); /* the maker's, for an inline pool */
    bool remote;
    const unsigned char *in;
    size_t in_size, out_size, count, block;
    void *context;
};

static int functions(const struct reduction *reduction, kin_task_fn *fn, kin_combine_fn *combine)
{
    void (*found[2])(void) = {reduction->own_fn, reduction->own_combine};
    int error = reduction->remote ? kin__function_resolve(&reduction->fn, &found[0]) : 0;
    if (!error && reduction->remote)
        error = kin__function_resolve(&reduction->combine, &found[1]);
    *fn = (kin_task_fn)found[0];
    *combine = (kin_combine_fn)found[1];
    return error;
}

static int reduce_items(kin_task *task, const struct reduction *reduction, kin_task_fn fn,
                        kin_combine_fn combine, size_t block, void *out, void *value)
{
    size_t from = block * reduction->block, left = reduction->count - from;
    size_t to = from + (left < reduction->block ? left : reduction->block);
    for (size_t i = from; i < to; i++) {
        const void *in = reduction->in ? reduction->in + i * reduction->in_size : NULL;
        void *target = i == from ? out : memset(value, 0, reduction->out_size);
        kin__task_as(task, i, reduction->context);
        int result = fn(task, in, target);
        if (result != 0 || kin__task_has_failed(task))
            return result;
        if (i > from)
            combine(out, value, reduction->context);
    }
    return 0;
}

static int reduce_block(kin_task *task, const void *in, void *out)
{
    const struct reduction *reduction = kin_task_context(task);
    kin_task_fn fn;
    kin_combine_fn combine;
    (void)in;
    int error = functions(reduction, &fn, &combine);
    if (error)
        return error;
    void *value = malloc(reduction->out_size);
    if (!value)
        return kin__fail(KIN_ENOMEM, "could not get %zu bytes of private memory for a value",
                         reduction->out_size);
    size_t block = kin_task_index(task);
    error = reduce_items(task, reduction, fn, combine, block, out, value);
    kin__task_as(task, block, (void *)reduction);
    free(value);
    return error;
}

static int check(const kin_pool *pool, kin_task_fn fn, kin_combine_fn combine, const kin_map_args *args)
{
    if (!fn || !combine)
        return kin__fail(KIN_EINVAL, "cannot reduce without a function %s",
                         fn ? "that combines" : "of the task");
    if (!args->out || !args->out_size)
        return kin__fail(KIN_EINVAL, "cannot reduce: out is %s, and out_size %zu",
                         args->out ? "given" : "NULL", args->out_size);
    if (!args->in != !args->in_size)
        return kin__fail(KIN_EINVAL, "cannot reduce: in is %s, but its item size is %zu",
                         args->in ? "given" : "NULL", args->in_size);
    if (args->in_size && args->count > SIZE_MAX / args->in_size)
        return kin__fail(KIN_EINVAL, "cannot reduce: %zu items of %zu bytes do not fit into memory",
                         args->count, args->in_size);
    if (pool->kind == KIN_POOL_PROCESSES && args->context && !kin__region_holds(args->context))
        return kin__fail(KIN_ENOTSHARED, "cannot reduce with context %p: it lies in private memory",
                         args->context);
    return 0;
}

static int run(kin_pool *pool, const struct reduction *reduction, const kin_map_args *given)
{
    size_t blocks = (given->count + reduction->block - 1) / reduction->block;
    unsigned char *values = kin_calloc(blocks, given->out_size);
    struct reduction shared = *reduction; /* no function pointer lies in shared memory */
    void *copy = NULL;
    if (given->in && reduction->remote && !kin__region_holds(given->in)) {
        shared.in = copy = kin_malloc(given->count * given->in_size);
        if (copy)
            memcpy(copy, given->in, given->count * given->in_size);
    }
    if (reduction->remote)
        shared.own_fn = shared.own_combine = NULL;
    int error = values && (shared.in || !given->in) ? 0 : kin_error_code();
    if (!error) {
        kin_map_args args = {.size = sizeof args,
                             .out = values,
                             .out_size = given->out_size,
                             .count = blocks,
                             KIN__EACH(given),
                             .progress = given->progress,
                             .progress_arg = given->progress_arg};
        args.context = &shared;
        args.context_size = sizeof shared;
        error = kin_pool_map(pool, reduce_block, &args);
    }
    for (size_t i = 0; i < blocks && !error; i++)
        ((kin_combine_fn)reduction->own_combine)(given->out, values + i * given->out_size, given->context);
    kin_free(values);
    kin_free(copy);
    return error;
}

int kin_pool_reduce(kin_pool *pool, kin_task_fn fn, kin_combine_fn combine, const kin_map_args *given)
{
    kin_map_args args = {0};
    int error = kin__pool_check(pool, "reduce");
    if (!error)
        error = kin__options_read(&args, sizeof args, given, "map arguments");
    if (!error)
        error = check(pool, fn, combine, &args);
    if (error || !args.count)
        return error;
    struct reduction reduction = {.own_fn = (void (*)(void))fn,
                                  .own_combine = (void (*)(void))combine,
                                  .remote = pool->kind == KIN_POOL_PROCESSES,
                                  .in = args.in,
                                  .in_size = args.in_size,
                                  .out_size = args.out_size,
                                  .count = args.count,
                                  .block = args.chunk ? args.chunk : (args.count + BLOCKS - 1) / BLOCKS,
                                  .context = args.context};
    if (reduction.remote) {
        error = kin__function_refer((void (*)(void))fn, &reduction.fn, "the task's function");
        if (!error)
            error = kin__function_refer((void (*)(void))combine, &reduction.combine,
                                        "the function that combines");
    }
    return error ? error : run(pool, &reduction, &args);
}
