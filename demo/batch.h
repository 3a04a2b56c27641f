/*
 * batch.h - act one: a directory of problems, each a task.
 */
#ifndef DEMO_BATCH_H
#define DEMO_BATCH_H

#include "kin.h"
#include "lp.h"
#include "problems.h"
#include "trace.h"

struct killer;

/* What a task gives back. */
struct batch_result {
    enum lp_status status;
    int integers; /* columns that should be whole numbers and were not asked to */
    double optimum;
};

/* What a task leaves in the heap on the way, whether it comes back or not. */
struct batch_note {
    struct stamp stamp;
    int rows, columns, nonzeros; /* 0: not read yet */
    struct lp_words words;
};

/* How to run it. */
struct batch_plan {
    const char *title; /* on the progress bar */
    int workers;
    double time_limit;
    size_t memory_limit; /* bytes; 0: none */
    bool kill_one;       /* kill a worker in mid-run from another process */
};

/* One run. Arrays are by problem, in the order of problems->item. */
struct batch {
    struct batch_plan plan;
    struct batch_result *result;
    struct batch_note *note;
    struct kin_task_error *error; /* error.code 0: did not fail */
    size_t failures;
    double began, wall;
    size_t deaths;         /* workers that died and were replaced */
    struct killer *killer; /* with plan.kill_one: what it did */
};

/* Run it. 0 also when tasks failed; else a KIN_E code with its story. */
int batch_run(struct batch *out, const struct problems *problems, const struct batch_plan *plan);

void batch_free(struct batch *batch);

/* Relative difference of an optimum from the published one. */
double batch_difference(const struct problem *problem, const struct batch_result *result);

#endif
