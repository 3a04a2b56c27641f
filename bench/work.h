/*
 * work.h - what every contestant has to do, the same machine code for all.
 *
 * Useful work is a chain of dependent multiply-adds whose length is known, not a wait for the clock:
 * a worker that was preempted has not worked. run_mp.py calls the same functions in bench_work.so.
 */
#ifndef BENCH_WORK_H
#define BENCH_WORK_H

#include <stddef.h>
#include <stdint.h>

#define BENCH_EXPORT __attribute__((visibility("default")))

/* `links` dependent multiply-adds. The value depends on `links` alone. */
BENCH_EXPORT uint64_t bench_work(uint32_t links);

/* The plain sum, in order: one addition waits for the one before, as a loop written down does. */
BENCH_EXPORT double bench_sum(const double *numbers, size_t count);

/* Monotonic seconds. */
BENCH_EXPORT double bench_now(void);

/* Seconds that one link takes now: the shortest of many short runs. Takes about 3 ms. */
double bench_calibrate(void);

#endif
