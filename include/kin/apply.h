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

/* A result is finished. It may be freed here. */
typedef void (*kin_done_fn)(kin_result *result, void *arg);

typedef struct kin_apply_args {
    size_t size;
    const void *in; /* what the task gets, in_size bytes */
    size_t in_size;
    size_t out_size; /* bytes that the task may write to its `out`: zeroed before */
    void *out;       /* where in the heap; NULL: in the result */
    void *context;   /* kin_task_context(): shared memory */
    size_t index;    /* kin_task_index(), and the number of its stream of random numbers */
    uint64_t seed;   /* of kin_task_random() */
    int priority;    /* 1: before others that wait; 0; -1: after them. Maps have one, too */
    /* Limits of each attempt; 0: none. Time counts while the task waits for others, too. */
    double time_limit;      /* seconds; beyond it the worker is killed, at once, and the task has failed */
    double soft_time_limit; /* seconds after which kin_task_stopping() is true */
    double cpu_limit;       /* seconds of CPU time of all threads of the worker */
    size_t
        memory_limit; /* as kin_map_args has it. A task that is run while another one waits has that one's */
    int retries;      /* how often it is tried again after a failure */
    unsigned
        retry_on; /* of which cause: 1u << enum kin_cause, several or-ed; 0: EXITED, SIGNALED, OUT_OF_MEMORY */
    double backoff;   /* seconds before the first retry; twice as many before each further one */
    bool measure;     /* fill in all of kin_usage: some 30 us a task */
    kin_done_fn done; /* called by kin_pool_dispatch() when it is finished; for the pool's maker */
    void *done_arg;
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

/*
 * A map that is not waited for: kin_pool_map() in kin/pool.h with a result instead. Its items are cut into pieces,
 * large ones first (of 1/512 of what is left at most), `chunk` items each if that is given. Of the arguments it takes all but context_size, progress,
 * errors, failures and results, for which there are kin_result_failures() and kin_result_take(). `in` in private
 * memory is copied; `out` lies in the heap, or is NULL, with out_size given: then it is in the result
 * (kin_result_get() of count * out_size bytes). The result has failed if an item has; with KIN_STOP the other
 * items are then canceled, and zeroed like failed ones.
 */
KIN_API kin_result *kin_pool_map_async(kin_pool *pool, kin_task_fn fn, const kin_map_args *args) KIN_CHECKED
    KIN_FREED_BY(kin_result_free);
KIN_API kin_result *kin_pool_for_async(kin_pool *pool, kin_for_fn fn, const kin_map_args *args) KIN_CHECKED
    KIN_FREED_BY(kin_result_free);

/*
 * Call the done functions of what has finished since the last time, in this thread; never on another, hidden one.
 * How many there were goes to *count, unless it is NULL. For the pool's maker. In a done function: KIN_EBUSY.
 */
KIN_API int kin_pool_dispatch(kin_pool *pool, size_t *count);

/*
 * A descriptor that is readable, for poll() and the like, when kin_pool_dispatch() has something to do; from the
 * first call on also when other tasks have finished that were submitted after it. kin_pool_dispatch() makes it
 * unreadable again. It belongs to the pool: do not read or close it. Negative: an error, as for
 * kin_pool_apply_async().
 */
KIN_API int kin_pool_fd(kin_pool *pool);

KIN_END_DECLS

#endif
