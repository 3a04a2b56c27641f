/*
 * runner.h - the side of a contestant: a program that is told over its stdin what to run.
 *
 * Each contestant is a process of its own, so that one's threads, heap and mappings are not another's
 * burden (fork costs by them). The driver (main.c) starts `RUNNER SET WHO`; the runner prepares what is
 * not to be measured (a pool, say), writes `ready`, and then answers each line
 *
 *     run NAME COUNT LINKS REPEATS
 *
 * by `ok SECONDS` (or another figure), or by `error WHY` in which case it has ended. End of input is its order to leave.
 * run_mp.py speaks the same.
 */
#ifndef BENCH_RUNNER_H
#define BENCH_RUNNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What to do `repeats` times. */
struct bench_request {
    char name[40]; /* of the case, with its part: "map-8mib:first" */
    size_t count;
    uint32_t links;
    size_t repeats;
};

struct bench_contestant {
    const char *set; /* the cases it takes part in; "queue-*": all that begin so, see bench_set */
    const char *who;
    void (*open)(const char *who); /* or NULL */
    /* Returns the seconds that all repeats took together (or, for the kinds that say so, another figure). */
    double (*run)(const struct bench_request *request);
    void (*close)(void); /* or NULL */
};

/* The rest of main: `argv` is SET WHO. Returns the exit code. */
int bench_serve(int argc, char **argv, const struct bench_contestant *contestants, size_t count);

/* The set that it is about. */
extern const char *bench_set;

/* Answer `error WHY`, printf-like, and exit. */
void bench_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* The input and output of the cases metg-map and tasks-empty. */
#define BENCH_MOST_TASKS ((size_t)1 << 20)

/* Fill the input and clear the output, outside the measured time; after it, fail if a result is wrong. */
void bench_tasks_fill(uint32_t *in, uint64_t *out, const struct bench_request *request);
void bench_tasks_check(const uint64_t *out, const struct bench_request *request);

/* What is in use in start-fork-1gib. */
#define BENCH_GIBIBYTE ((size_t)1 << 30)

/* The arrays of map-8mib. */
#define BENCH_ARRAYS 64
#define BENCH_ARRAY_LENGTH ((size_t)1 << 20)

/* Fill array `index`, and check the sums of all of them. */
void bench_array_fill(double *numbers, size_t length, size_t index);
void bench_sums_check(const double *sums);

/*
 * The two forms of round-trip, for any way to have a task done: `round-trip-awake` one after the other;
 * `round-trip-asleep`, `queue-wake` each after a rest in which all go to sleep, which is not counted.
 */
double bench_round_trips(double (*one_trip)(void), const struct bench_request *request);

#ifdef __cplusplus
}
#endif

#endif
