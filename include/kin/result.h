/*
 * kin/result.h - what becomes of work that was handed to a pool: wait for it, get it, cancel it.
 *
 * A result is made by kin_pool_apply_async() (kin/apply.h) and belongs to whoever called that, until
 * kin_result_free(). It lies in the pool's memory: kin_pool_free() and the end of the pool's maker take it along.
 *
 * Order    QUEUED, then RUNNING, then finished: successful, failed or canceled. A finish is final, and comes once:
 *          if a task ends while another thread cancels it, one of the two is too late and sees what the other did.
 * Threads  Any number may ask and wait; one may free, when no other uses the result.
 * Members  The pointer is valid in each member. Any may ask and wait; who called apply may cancel and free
 *          (KIN_EPERM).
 * Waiting  in a task: a task that waits for another one which has not begun runs it itself, and meanwhile tasks
 *          that others have submitted; so tasks may wait for tasks, however few workers there are.
 * Death    If a worker dies, what it ran is tried again or fails (kin_apply_args.retries); waiters are told. What
 *          a task had submitted is canceled when that task's worker dies.
 * Errors   as in kin/error.h. That a task failed is told by its own code.
 */
#ifndef KIN_RESULT_H
#define KIN_RESULT_H

#include "kin/arena.h"
#include "kin/pool.h"

KIN_BEGIN

typedef struct kin_result kin_result;

/* Release it. Work that has not finished is canceled first. NULL does nothing. */
KIN_API void kin_result_free(kin_result *result);

/* Whether it is finished. False also for what is no result (kin_error_code() tells). */
KIN_API bool kin_result_ready(const kin_result *result);

/* Whether it finished without failure: 1 or 0; KIN_EBUSY: it is not finished yet. */
KIN_API int kin_result_successful(const kin_result *result);

/* Wait until it is finished, however. 0; KIN_ETIMEDOUT. */
KIN_API int kin_result_wait(kin_result *result, double timeout) KIN_CHECKED;

/*
 * Wait, then copy what the task wrote to its `out`: `size` must be the out_size it was submitted with; `out` may
 * be NULL with size 0. May be called again.
 *
 * KIN_ETIMEDOUT   not finished in time; nothing is lost
 * KIN_EFAILED, KIN_EDIED, KIN_ETIMELIMIT, KIN_EMEMLIMIT, KIN_ECANCELED, the code that the task returned
 *                 it has failed: see kin_result_error()
 */
KIN_API int kin_result_get(kin_result *result, void *out, size_t size, double timeout) KIN_CHECKED;

/* The task's `out` in place, in shared memory, until the result is freed. NULL: not finished, failed (but of a
 * map, whose failed items are zeroed), or no out. */
KIN_API void *kin_result_value(kin_result *result);

/*
 * Take over the memory that the task made with kin_task_malloc(): an arena which the calling process then owns, in
 * *out; NULL if it made none. Otherwise it goes with the result. KIN_EBUSY: not finished.
 */
KIN_API int kin_result_take(kin_result *result, kin_arena **out);

/* Why it failed. `error.code` 0: it did not. KIN_EBUSY: not finished. */
KIN_API int kin_result_error(const kin_result *result, kin_task_error *out);

/*
 * All failures of a map's items, in index order: up to `capacity` go to `out`, their number to *count. Of a single
 * task: its failure, if it has failed. KIN_EBUSY: not finished.
 */
KIN_API int kin_result_failures(const kin_result *result, kin_task_error *out, size_t capacity,
                                size_t *count);

/* What it took, of the attempt that finished it. KIN_EBUSY: not finished. */
typedef struct kin_usage {
    double wall; /* seconds from its start to its end */
    double
        cpu; /* seconds of CPU time of all threads of the worker meanwhile; with kin_apply_args.measure, else 0 */
    size_t
        peak_memory; /* bytes of memory that it had at its peak beyond what its worker had at its start; likewise */
    int worker; /* the place of who ran it; -1: nobody */
    int pid;
    int attempts;
} kin_usage;
KIN_API int kin_result_usage(const kin_result *result, kin_usage *out);

/*
 * Cancel: what is queued never starts; what runs is ended, by SIGKILL to its worker, at once, and the worker
 * replaced. 0: it is canceled, and finished with KIN_ECANCELED. KIN_EBUSY: it had finished before, as it says.
 * KIN_ENOTSUP: it runs in a thread (KIN_POOL_THREADS), which cannot be killed; it has been told, and goes on.
 */
KIN_API int kin_result_cancel(kin_result *result);

enum kin_wait_for {
    KIN_WAIT_ALL = 0,
    KIN_WAIT_FIRST = 1,        /* any one */
    KIN_WAIT_FIRST_FAILURE = 2 /* one that has failed or was canceled; or all */
};

/*
 * Wait for several. With FIRST and FIRST_FAILURE the place of the one that it ended for goes to *which (the first
 * such in the array; `count`, if none has failed); `which` may be NULL. Those that are NULL in the array count as
 * none at all: so who takes one out at a time gets them as they are completed.
 *
 * 0; KIN_ETIMEDOUT; KIN_ENOTFOUND: FIRST of none
 */
KIN_API int kin_results_wait(kin_result *const *results, size_t count, int wait_for, double timeout,
                             size_t *which) KIN_CHECKED;

KIN_END_DECLS

#endif
