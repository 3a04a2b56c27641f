/* pool/submit.h - handing work to a pool, from its maker or out of a task. */
#ifndef KIN_POOL_SUBMIT_H
#define KIN_POOL_SUBMIT_H

#include "pool/local.h"

/*
 * Submit a record as `args` say: a single task, or, with a batch, a piece of it: its items `from` to `to` - 1.
 * Under the desk's mutex. NULL: the record of this thread tells why.
 */
struct kin__piece {
    struct kin__batch *batch;
    size_t from, to;
};
kin_result *kin__submit(struct kin__desk *desk, void (*fn)(void), const kin_apply_args *args,
                        const struct kin__piece *piece);

/* The two halves of it: the record is made, but not QUEUED yet; and it is, and workers find it. */
kin_result *kin__submit_make(struct kin__desk *desk, void (*fn)(void), const kin_apply_args *args,
                             const struct kin__piece *piece);
void kin__submit_post(struct kin__desk *desk, kin_result *record);
/* A piece that is finished, or was never posted: once more, from its first item on. */
void kin__submit_again(struct kin__desk *desk, kin_result *record, size_t items);
void kin__submit_drop(struct kin__desk *desk, kin_result *record);

/* The desk for a submission to a pool from this thread, its mutex held, a warden there; `local`, if not NULL, is
 * held until kin__submit_leave. NULL: the record tells why. */
struct kin__desk *kin__submit_enter(kin_pool *pool, struct kin__local **local);
void kin__submit_leave(struct kin__desk *desk, struct kin__local *local);

/* What kin_apply_args, kin_map_args and kin_imap_args say in the same words, as initializers of a kin_apply_args. */
#define KIN__EACH(args)                                                                               \
    .context = (args)->context, .seed = (args)->seed, .priority = (args)->priority,                   \
    .time_limit = (args)->time_limit, .soft_time_limit = (args)->soft_time_limit,                     \
    .cpu_limit = (args)->cpu_limit, .memory_limit = (args)->memory_limit, .retries = (args)->retries, \
    .retry_on = (args)->retry_on, .backoff = (args)->backoff

/* Causes of retries that are asked for, or meant where none is. */
unsigned kin__retry_on(unsigned asked);

/* Limits, retries and priority are as they can be; `what` is done, as in "cannot submit a task". */
int kin__submit_check_limits(const kin_pool *pool, const char *what, const kin_apply_args *args);

/* What is given as in kin_apply_args is as it can be; `pool` was checked. */
int kin__submit_check(const kin_pool *pool, const void *fn, const kin_apply_args *args);

/* In an inline pool: run what was submitted, here. */
void kin__submit_inline(struct kin__local *local, kin_result *record);

/* Cancel a record that is not finished; whoever runs it is to be killed. True: it was not, and is canceled. */
bool kin__record_cancel(kin_result *record);

/* Set the record of this thread to why a finished task has failed, if it has; its code. */
int kin__result_fail(const kin_result *result);

/* In a task: it is the task's, and goes with it. */
void kin__submit_enter_child(kin_result *record);

/* A result that is freed is nobody's child. */
void kin__submit_forget(kin_result *record);

#endif
