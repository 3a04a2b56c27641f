/*
 * manager/jobs.h - what a Pool has been asked for: one function, and items that it is called with. AsyncResult and Iterator are jobs.
 *
 * A job has a reference to itself while something of it is to be begun or under way, so that it goes on without its client; and one to its
 * Pool for as long as it is.
 */
#ifndef KIN_MANAGER_JOBS_H
#define KIN_MANAGER_JOBS_H

#include "manager/tasks.h"

struct kin__job;

/* State of a Pool. */
struct kin__pool {
    struct kin_server *server;
    struct kin__entity *entity;
    struct kin__bell *bell; /* of kin_pool_fd */
    kin_pool *pool;         /* NULL: its workers have ended */
    struct kin__link jobs;  /* that are not over, oldest first */
    size_t under_way, bytes, window;
    bool closed;
    struct kin__timer timer; /* of the workers' end, which is looked for */
};

enum kin__job_how {
    KIN__JOB_ONE = 1,      /* its value is its one item's, not a list */
    KIN__JOB_STAR = 2,     /* items are lists of arguments */
    KIN__JOB_STOPS = 4,    /* its first failure is the whole's */
    KIN__JOB_UNORDERED = 8 /* results are taken as they come */
};

/* A job of the Pool's, begun as far as may be: the caller has a reference. `items` is one list. */
int kin__job_new(struct kin__pool *pool, const struct kin__kind *kind, const struct kin__function *function,
                 struct kin__reader items, unsigned how, struct kin__entity **out);
bool kin__job_ready(const struct kin__entity *entity);
/* Of one that is ready: its value goes to the answer, or its failure is the record. */
int kin__job_answer(kin_call *call, struct kin__entity *entity);
/* Nothing more of it is begun. */
void kin__job_withdraw(struct kin__entity *entity);

/* Begin items as long as there is room. */
void kin__jobs_begin(struct kin__pool *pool);
/* The workers are gone: what is not done has failed. */
void kin__jobs_cancel(struct kin__pool *pool);
/* pool.c: the last job is over. */
void kin__pool_idle(struct kin__pool *pool);

#endif
