/*
 * sweep.h - act two: one model, thousands of scenarios.
 *
 * The model is a glp_prob: thousands of small blocks behind an opaque handle, which nobody can write
 * down and send. So each worker builds its own once (worker-local state), and what crosses is small
 * and plain: a scenario's key and a basis.
 */
#ifndef DEMO_SWEEP_H
#define DEMO_SWEEP_H

#include "kin.h"
#include "lp.h"
#include "trace.h"

struct killer;

/* Which variables are basic, which sit at which bound: rows first, then columns (GLPK's GLP_BS, ...). */
struct basis {
    int rows, columns;
    unsigned char status[];
};

/* A task's input: all that its result depends on, besides the model's file. */
struct scenario {
    uint64_t key;              /* of its random numbers, which are a function of key and place only */
    double size;               /* of the changes, relative; 0: the model as it is */
    const struct basis *start; /* in the heap */
};

struct scenario_result {
    double optimum;
    int status; /* enum lp_status */
    int iterations;
    const struct basis *basis; /* in the heap, from kin_task_malloc */
};

/* The three runs differ in this only. */
struct sweep_plan {
    char title[40];
    int workers;
    int kills;
};

/* What all runs share. */
struct sweep {
    const char *model; /* path, in the heap */
    size_t count;
    struct scenario *scenario; /* in the heap; number 0 is unperturbed */
    kin_arena *start_arena;    /* holds the basis they start from */
    int rows, columns;
};

/* Attempts at one scenario that leave a stamp; more than this many overwrite the last. */
enum { SWEEP_ATTEMPTS = 4 };

struct sweep_run {
    struct sweep_plan plan;
    struct scenario_result *result; /* in the heap */
    struct stamp *stamp;            /* in the heap; SWEEP_ATTEMPTS for each scenario */
    kin_arena *arena;               /* the bases */
    size_t failures, deaths;
    kin_error failure; /* the first one */
    struct killer *killer;
    double began, wall;
    uint64_t digest;
};

/* Solve the model as it is, in a worker, and lay out the scenarios. 0 or a KIN_E code with its story. */
int sweep_prepare(struct sweep *out, const char *path, size_t count, double size, uint64_t seed);
void sweep_free(struct sweep *sweep);

/* One run over all scenarios. 0 also if some failed. */
int sweep_run(struct sweep_run *out, const struct sweep *sweep, const struct sweep_plan *plan);
void sweep_run_free(struct sweep_run *run);

/* The first scenario whose result differs in any bit between two runs; `count` if none does. */
size_t sweep_first_difference(const struct sweep_run *a, const struct sweep_run *b, size_t count);

/* How many different bases are optimal for some scenario. */
size_t sweep_distinct_bases(const struct sweep_run *run, size_t count);

#endif
