/*
 * trace.h - what tasks leave in the shared heap while they run.
 *
 * A task's output goes when its worker dies; what it wrote into the family's heap on the way stays.
 * So the demo can draw a killed task's bar in the timeline, and a killer process can see which
 * worker is in which task right now.
 */
#ifndef DEMO_TRACE_H
#define DEMO_TRACE_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>

#include "kin/pool.h"

/* One attempt at one task. */
struct stamp {
    double start; /* clock_now() at its start; 0: never started */
    double end;   /* 0: it never got there */
    int worker;
    int pid;
};

/* What one worker is doing now; on a cache line of its own. */
struct seat {
    alignas(64) _Atomic double since; /* start of the task it is in; 0: between tasks */
    _Atomic int pid;
    _Atomic int item;
    _Atomic int attempt;
};

/*
 *   field      written by       rule                          when the writer dies there
 *   --------   --------------   ---------------------------   -----------------------------------------
 *   finished   any task         atomic add at a task's end    the task counts when it is tried again
 *   seat[w]    the worker at w  since last in, first out      shows the task it died in until the
 *                                                             worker that takes its place starts one
 */
struct board {
    _Atomic size_t finished; /* tasks that got to their end */
    int seats;
    struct seat seat[];
};

/* Seconds on the monotonic clock, which is one clock for all processes. */
double clock_now(void);

/* A board for `workers` workers in the heap, to be freed with kin_free; NULL: no memory. */
struct board *board_new(int workers);

/* First and last thing in a task's function. */
void board_enter(struct board *board, const kin_task *task, struct stamp *stamp);
void board_leave(struct board *board, const kin_task *task, struct stamp *stamp);

#endif
