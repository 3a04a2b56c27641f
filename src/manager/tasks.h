/*
 * manager/tasks.h - what goes from the server to a worker of a Pool, and what comes back.
 *
 * Both lie in memory that the pool has for the task (pool/record.h); both ends belong to one family. The worker's answer is written
 * in private memory first, as its length is not known, and is whole before the task counts as done.
 */
#ifndef KIN_MANAGER_TASKS_H
#define KIN_MANAGER_TASKS_H

#include "manager/server.h"

struct kin__task_in {
    struct kin__function function;
    kin_manager *manager; /* NULL: none that a worker could call */
    uint64_t size;        /* of the arguments, one item after the other */
    uint8_t args[];
};

#define KIN__TASK_HERE 48u

struct kin__task_out {
    uint64_t size;       /* of the one item that it returned */
    const uint8_t *data; /* memory of the task's; NULL: it is here */
    uint8_t here[KIN__TASK_HERE];
};

/* A kin_task_fn, and a kin_initializer_fn whose `arg` is a kin__task_in. */
int kin__worker_call(kin_task *task, const void *in, void *out);
int kin__worker_begin(void **state, const void *arg);

#endif
