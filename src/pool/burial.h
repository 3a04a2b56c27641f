/*
 * pool/burial.h - what a dead worker leaves: its story, and what becomes of the records that it had to do with.
 */
#ifndef KIN_POOL_BURIAL_H
#define KIN_POOL_BURIAL_H

#include "pool/local.h"

/* What is known of a worker that died in a task. */
struct kin__death_facts {
    const char *what;           /* "task 37" */
    const kin_process *process; /* NULL: it was a thread */
    double time_limit;          /* it was killed for this; 0: it was not */
    double cpu_limit;           /* or for this */
    size_t memory_limit;        /* the task's, in bytes; 0: none */
    uint64_t data_ready;        /* private bytes that the worker had when it was ready */
};

/* Whether a task's limit of memory was the end of its worker. */
bool kin__died_of_memory_limit(const kin_process *process, size_t limit);

/* What a worker died of that was not killed for its time. */
int kin__death_cause(const kin_process *process, size_t memory_limit, const kin_end *end);

/* Fill in cause and error of `error`, whose `pid`, `end` and `attempts` are filled in. */
void kin__death_story(const struct kin__death_facts *facts, kin_task_error *error);

/* A pool whose workers cannot start says why instead of starting them for ever; one whose workers are being killed
 * from outside goes on. True: so it is, as this thread's record tells. */
bool kin__cannot_start(struct kin__local *local, int worker, const kin_end *end);

/* Settle all records that say they run in the seat of a worker that has ended. Under the mutex of the posts. */
void kin__records_bury(struct kin__local *local, int worker, const kin_end *end);

/* Cancel all that is not finished; wait until all is, and tell of a failure that nobody has looked at; free all. */
void kin__records_cancel(struct kin__local *local);
int kin__records_drain(struct kin__local *local, double deadline);
void kin__records_free(struct kin__local *local);

/* All that waits for a worker fails of this thread's record: there are none. */
void kin__records_break(struct kin__local *local);

#endif
