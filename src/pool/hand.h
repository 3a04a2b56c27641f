/*
 * pool/hand.h - a worker at work: what it knows of itself, in its private memory.
 */
#ifndef KIN_POOL_HAND_H
#define KIN_POOL_HAND_H

#include "family/member.h"
#include "pool/desk.h"
#include "pool/task.h"

struct kin__hand {
    kin_pool *pool; /* where it may write */
    struct kin__seat *seat;
    int number;
    int pid;
    const kin_process *captured; /* its process, if what it prints is captured; or NULL */
    void *state;                 /* the initializer's */
    bool is_full;                /* it has more memory than it is to have */
    uint64_t tasks;              /* that it has begun */
    double chunk;                /* of maps: what the last job's tasks suggest; starts at 1 with each job */
    struct kin_task *task;       /* the innermost of those it runs; NULL: none */
    int depth;                   /* records on its stack */
    uint32_t nested_seen;        /* of pool.nested, when it last found nothing */
    struct kin__desk desk;       /* for what its tasks submit */
};

/* This thread's, if it is a worker. */
extern _Thread_local struct kin__hand *kin__hand_mine;

/* The same, but for a process that a task has forked and that is no worker, whether it has used kin yet or not. */
static inline struct kin__hand *kin__hand_here(void)
{
    return kin__hand_mine && __atomic_load_n(kin__alive_page, __ATOMIC_RELAXED) ? kin__hand_mine : NULL;
}

/* This thread is none, or no more. */
static inline void kin__hand_forget(void)
{
    kin__hand_mine = NULL;
}

/* Whether there may be a record to claim. */
bool kin__hand_has_work(struct kin__hand *hand);

/* Claim a record and run it: of what tasks have submitted, and of the maker's of priority KIN__HIGH to `least`. False: there
 * is none. */
#define KIN__NESTED (-1) /* none of the maker's */
bool kin__hand_work(struct kin__hand *hand, int least);

/* The same, of the maker's alone that are of a higher priority than this. */
bool kin__hand_work_above(struct kin__hand *hand, int priority);

/* Claim this very record, if it waits, and run it. */
bool kin__hand_run(struct kin__hand *hand, kin_result *record);

/* Run what a task's record tells: one item, or those of a piece. What it becomes. */
uint32_t kin__record_call(struct kin_task *task);

/* This worker is about to be killed: see warden.c. Nothing that it does is wanted any more. */
_Noreturn void kin__await_death(void);

/* Wake one worker that has nothing to do, if there is one; for what a task has submitted, also one that waits in a
 * task. */
void kin__wake_one(kin_pool *pool, bool nested);

/* In a task: wait until the record is finished, and work meanwhile. 0, KIN_ETIMEDOUT. */
int kin__hand_await(struct kin__hand *hand, kin_result *record, double deadline);

#endif
