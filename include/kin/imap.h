/*
 * kin/imap.h - a map over input that comes bit by bit, results given out bit by bit; and a reduction.
 *
 * Of an endless input, or one of 10^9 items, only a window is there at a time: memory stays constant. Input is
 * drawn, and results are given, in kin_imap_next() alone: so the input's function runs in the caller's thread, and
 * nothing is under way beyond the window.
 *
 * Threads  A kin_imap belongs to one thread of the pool's maker, or to a task that runs in the pool.
 * Death    as with kin_map: the item that a worker dies in is tried again or fails; all others are done once.
 */
#ifndef KIN_IMAP_H
#define KIN_IMAP_H

#include "kin/pool.h"
#include "kin/queue.h"

KIN_BEGIN

typedef struct kin_imap kin_imap;

/* Write the next input, in_size bytes, to `in`. 1: done; 0: there is no more; negative: an error code that ends
 * the input. */
typedef int (*kin_input_fn)(void *arg, void *in);

typedef struct kin_imap_args {
    size_t size;
    const void *in; /* count items of in_size bytes; or */
    size_t count;
    kin_input_fn input; /* a function that gives them one by one; or */
    void *input_arg;
    kin_queue *queue; /* messages of at most in_size bytes (the rest is zero), until it is closed */
    size_t in_size;
    size_t out_size;
    void *context;  /* kin_task_context(): shared memory */
    bool unordered; /* results come as they are finished, not in the order of the input */
    size_t chunk; /* items that a worker takes at once; 0: 1. More make short tasks cheaper, and come later */
    size_t window; /* chunks under way at most; 0: 64 for each worker */
    uint64_t seed; /* of kin_task_random(), by the item's number in the input */
    /* as in kin_apply_args, for each item: */
    int priority;
    double time_limit, soft_time_limit, cpu_limit;
    size_t memory_limit;
    int retries;
    unsigned retry_on;
    double backoff;
} kin_imap_args;

#define KIN_IMAP_ARGS(...) (&(kin_imap_args){.size = sizeof(kin_imap_args), ##__VA_ARGS__})

/* End it: what is under way is canceled. Before kin_pool_free() of its pool. NULL does nothing. */
KIN_API void kin_imap_free(kin_imap *imap);

/* Nothing is drawn yet. NULL: errors as of kin_pool_apply_async(). */
KIN_API kin_imap *kin_pool_imap(kin_pool *pool, kin_task_fn fn, const kin_imap_args *args) KIN_CHECKED
    KIN_FREED_BY(kin_imap_free);

/*
 * The next result: `out_size` bytes to `out`, its number in the input to *index (either may be NULL).
 *
 * 0              it is there
 * KIN_ECLOSED    there are no more
 * KIN_ETIMEDOUT  none in time; nothing is lost
 * any other      this item has failed (its `out` is zeroed), or the input has, with the code its function gave; go
 * on for the
 *                next. kin_imap_error() tells all
 */
KIN_API int kin_imap_next(kin_imap *imap, void *out, size_t *index, double timeout) KIN_CHECKED;

/* The failure that kin_imap_next() returned last; code 0: none yet. */
KIN_API int kin_imap_error(const kin_imap *imap, kin_task_error *out);

/* Add `value` to `into`: bytes as tasks write them to `out`. In a worker, and in the caller. */
typedef void (*kin_combine_fn)(void *into, const void *value, void *context);

/*
 * Map and combine: out = out + fn(in[0]) + fn(in[1]) + ..., where + is `combine`; *out holds the start. Items are
 * combined in blocks of `chunk` in index order (0: 1/256 of them, at least 1), the first value of a block being
 * copied, and the blocks in index order: so the result is the same to the last bit with any number of workers, and
 * after deaths. Of the arguments it takes in, in_size, out, out_size, count, context, chunk, seed, time_limit (of
 * a block, as the other limits and retries), soft_time_limit, cpu_limit, memory_limit, retries, retry_on, backoff,
 * priority, progress.
 *
 * Errors as of kin_pool_map; on failure *out is as it was.
 */
KIN_API int kin_pool_reduce(kin_pool *pool, kin_task_fn fn, kin_combine_fn combine,
                            const kin_map_args *args) KIN_CHECKED;

KIN_END_DECLS

#endif
