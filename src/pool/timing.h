/*
 * pool/timing.h - the warden's clock: limits of time, and attempts that wait.
 */
#ifndef KIN_POOL_TIMING_H
#define KIN_POOL_TIMING_H

#include "pool/local.h"

/* Look at what a worker runs: end what is beyond its limits. The moment, in seconds from now, to look again:
 * `next`, or sooner. Under the mutex of the posts. */
double kin__limits_look(struct kin__local *local, int worker, double next);

/* Post what has waited long enough. Likewise. Under the mutex of the desk. */
double kin__delayed_look(struct kin__local *local, double next);

/* Doom a worker, if it still runs `top`, and kill it. */
bool kin__worker_doom(struct kin__local *local, int worker, uint64_t top);

/* By who may write the record, which is RUNNING: whether it is to be tried again after a failure of that cause. If
 * so, it has been made ready for that, and is to become DELAYED. */
bool kin__record_again(kin_result *record, int cause);

#endif
