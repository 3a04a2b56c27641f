/*
 * kin/apply.h - one task at a time to a pool, in this process or out of a running task.
 *
 * kin_map (kin/pool.h) is the shortest and fastest way for arrays. These calls are for work that comes one by one,
 * and for several jobs in one pool at a time: each submission makes a result of its own (kin/result.h).
 *
 * Order    Tasks of one priority begin in the order in which they were submitted. Maps and tasks take turns.
 * Threads  Any thread of the pool's maker, and tasks that run in the pool. Other processes may not (KIN_EPERM).
 * Memory   `in` is copied, up to its size, when it lies in private memory; in the heap it is used in place and
 *          must stay as it is until the result is ready. Pointers inside are the user's affair, as with maps.
 * Limits   Any number of tasks may wait for a worker; each takes some 400 bytes until its result is freed.
 */
#ifndef KIN_APPLY_H
#define KIN_APPLY_H

#include "kin/pool.h"
#include "kin/result.h"

KIN_BEGIN

typedef struct kin_apply_args {
    size_t size;
    const void *in; /* what the task gets, in_size bytes */
    size_t in_size;
    size_t out_size; /* bytes that the task may write to its `out`: zeroed before */
    void *out;       /* where in the heap; NULL: in the result */
    void *context;   /* kin_task_context(): shared memory */
    size_t index;    /* kin_task_index(), and the number of its stream of random numbers */
    uint64_t seed;   /* of kin_task_random() */
} kin_apply_args;

#define KIN_APPLY_ARGS(...) (&(kin_apply_args){.size = sizeof(kin_apply_args), ##__VA_ARGS__})

/*
 * Submit a task and return at once. NULL args: nothing in, nothing out.
 *
 * NULL: KIN_EINVAL, KIN_ENOTSHARED (`out` or `context` is private memory), KIN_ECLOSED (the pool was finished),
 * KIN_EPERM, KIN_ENOMEM,
 * KIN_EMEMLIMIT, KIN_ESYSTEM
 */
KIN_API kin_result *kin_pool_apply_async(kin_pool *pool, kin_task_fn fn,
                                         const kin_apply_args *args) KIN_CHECKED
    KIN_FREED_BY(kin_result_free);

/*
 * The same, and wait for it: what the task wrote is in `out`, out_size bytes, in whatever memory. Errors as those
 * of both apply_async and kin_result_get().
 */
KIN_API int kin_pool_apply(kin_pool *pool, kin_task_fn fn, const kin_apply_args *args) KIN_CHECKED;

KIN_END_DECLS

#endif
