/* story.h - one whole run of the demo, as the acts leave it for the report. */
#ifndef DEMO_STORY_H
#define DEMO_STORY_H

#include "batch.h"
#include "histogram.h"
#include "options.h"
#include "problems.h"
#include "sweep.h"
#include "verdict.h"

enum { STORY_RUNS = 3 };

struct story {
    struct options options;
    int workers;
    struct problems problems;
    struct verdict verdict;

    struct batch batch;    /* all cores */
    struct batch baseline; /* one worker; result NULL: not run */
    struct batch faults;   /* memory limit and kill; result NULL: not run */

    const struct problem *model; /* NULL: no sweep */
    struct sweep sweep;
    struct sweep_run run[STORY_RUNS];
    int runs;
    struct histogram histogram; /* total 0: no scenario has an optimum */
    double nominal;             /* optimum of the unperturbed scenario */
};

#endif
