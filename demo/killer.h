/*
 * killer.h - kill -9 from outside.
 *
 * A process of its own, which watches the board in the shared heap for workers that are in the middle
 * of a task and sends them SIGKILL: no call of kin, nothing agreed with the victim or the pool.
 */
#ifndef DEMO_KILLER_H
#define DEMO_KILLER_H

#include "trace.h"

struct kill_note {
    double when; /* clock_now() */
    int pid;
    int worker;
    int item; /* the task it was seen in */
    int attempt;
};

struct killer; /* in the heap */

/*
 * Start killing: `kills` workers, the k-th when k * `spacing` more tasks have been finished, each of
 * them `after` seconds or more into its task. NULL: could not be started.
 */
struct killer *killer_start(struct board *board, int kills, size_t spacing, double after);

/* Stop killing, and wait for the killer to end. NULL does nothing. */
void killer_stop(struct killer *killer);

/* What it did. NULL killed nobody. */
int killer_count(const struct killer *killer);
const struct kill_note *killer_note(const struct killer *killer, int k);

void killer_free(struct killer *killer);

#endif
