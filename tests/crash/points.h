/*
 * points.h - the points of an operation known by what happens there, not by their number.
 *
 * An operation may take another way after a death: the span that the first victims made is there for the next ones, whose
 * points then have other numbers, or lie beyond the end. So each point is remembered by its instruction and what that changed
 * (and how often that had happened before in the run), with the cases in which it was tried.
 */
#ifndef KIN_TESTS_POINTS_H
#define KIN_TESTS_POINTS_H

#include "crash/stepper.h"

struct point {
    uint64_t key;
    unsigned long gap; /* instructions to the next point, as last seen; 0: it lies inside a system call */
    unsigned run;      /* last seen in */
    unsigned next;     /* index of the point that came next then; 0: none */
    bool tried[STEP_CASES];
};

struct points {
    struct point *at; /* the first stands for the beginning of each run */
    unsigned count, room, run, last;
};

void points_begin_run(struct points *points);

/* The victim has come to a point, `gap` instructions after the last one; its index. */
unsigned points_meet(struct points *points, const struct step_victim *victim, enum step_stop stop,
                     unsigned long gap);

void points_free(struct points *points);

#endif
