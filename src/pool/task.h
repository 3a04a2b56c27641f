/* pool/task.h - the running task, in the worker's (or inline: the caller's) private memory. */
#ifndef KIN_POOL_TASK_H
#define KIN_POOL_TASK_H

#include "pool/pool_shared.h"

struct kin_task {
    struct kin__job *job;      /* of a map's item, or */
    struct kin_result *record; /* the record that is run; NULL: a map's */
    uint64_t ref;              /* to it; 0 */
    struct kin__seat *seat;
    kin_pool *pool; /* of a map's item: where it may be written */
    size_t index;   /* within the window */
    bool passes;    /* for another item, see kin__task_as */
    size_t passes_index;
    void *passes_context;
    void *state;
    struct kin_task *before; /* what it runs on top of */
    kin_result *children;    /* results of what it has submitted and not freed */
    int worker;
    int attempt;
    uint64_t began; /* of a map's item whose time is limited softly: kin__os_now_ns */
    kin__id maker;
    bool failed;                 /* kin_task_fail was called */
    bool allocated;              /* kin_task_malloc was called */
    const kin_process *captured; /* the worker's process, if what it prints is captured */
    bool draws;                  /* kin_task_random was called */
    kin_random random;
    void *out; /* in a sealed worker: an item's output until it is done */
};

/* A round begins: `job` is set. False: no memory, the record tells. */
bool kin__task_prepare(struct kin_task *task);
/* And ends. */
void kin__task_end(struct kin_task *task);

/* The last that a task has printed, if that is captured. */
void kin__task_output(const struct kin_task *task, char output[KIN_TASK_OUTPUT]);

/* Let a task pass for item `index` of a larger whole, with that context. */
void kin__task_as(struct kin_task *task, size_t index, void *context);
bool kin__task_has_failed(const struct kin_task *task);

/* Run item `index` of the job: function, status byte, note. False if it has failed, and is not to be tried again. */
bool kin__task_run(struct kin_task *task, void (*function)(void), size_t index);

#endif
