/*
 * syncs.h - locks and semaphores, any kind of them: the cases lock-uncontended, lock-contended, semaphore, wake.
 *
 * Two processes, the runner and a partner, which is started before anything is measured. In `wake` the partner sleeps in an
 * acquire, the runner releases; timed is from there to the partner's sign that it has it, for which the runner looks
 * without pause. A rest before each, which is not counted, lets it fall asleep.
 */
#ifndef BENCH_SYNCS_H
#define BENCH_SYNCS_H

#include "runner.h"

struct bench_sync {
    void (*acquire)(void *object);
    void (*release)(void *object);
    void *object; /* in memory that the partner shares */
    bool
        is_signal; /* who releases need not have acquired; it begins without a permit in `wake`, otherwise with one */
};

/* The rest of a contestant's open; its run and close. */
void bench_sync_open(const struct bench_sync *sync);
double bench_sync_run(const struct bench_request *request);
void bench_sync_close(void);

/* Whether the object is to begin without a permit. */
bool bench_sync_begins_empty(void);

#endif
