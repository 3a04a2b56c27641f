/*
 * threads.c - threads against processes, on a job that computes and on one that waits. Beside it, threads.py.
 *
 * In Python, threads compute one at a time: for a CPU-bound job there are processes, for an I/O-bound one threads will do. In C both
 * kinds compute side by side; what processes are for is that a task may crash, be killed at its limit, or use a library that is not
 * thread-safe. The pool is the same but for one word. `threads times` tells how long each took here.
 */
#include <kin.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TASKS 8
#define WAITERS 10

static int count_primes(kin_task *task, const int *limit, int *count)
{
    (void)task;
    for (int n = 2; n < *limit; n++) {
        int divisor = 2;
        while (divisor * divisor <= n && n % divisor)
            divisor++;
        *count += divisor * divisor > n;
    }
    return 0;
}

static int await_answer(kin_task *task, const double *seconds, int *answer)
{
    (void)task;
    usleep((useconds_t)(*seconds * 1e6)); /* as of a server */
    *answer = 1;
    return 0;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static kin_pool *start(int kind, int workers)
{
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.kind = kind, .workers = workers));
    if (!pool) {
        fprintf(stderr, "threads: %s\n", kin_error_message());
        exit(1);
    }
    return pool;
}

static void end(kin_pool *pool, int error)
{
    if (error || kin_pool_finish(pool, KIN_FOREVER)) {
        fprintf(stderr, "threads: %s\n", kin_error_message());
        exit(1);
    }
    kin_pool_free(pool);
}

static double compute(const char *name, int kind, int workers)
{
    int limits[TASKS], counts[TASKS] = {0}, sum = 0;
    for (int i = 0; i < TASKS; i++)
        limits[i] = 20000 + 1000 * i;
    kin_pool *pool = start(kind, workers);
    double began = now();
    int error = kin_map(pool, count_primes, limits, counts, TASKS);
    double took = now() - began;
    end(pool, error);
    for (int i = 0; i < TASKS; i++)
        sum += counts[i];
    printf("CPU-bound, by %s: %d primes\n", name, sum);
    return took;
}

static double await_all(const char *name, int kind, int workers)
{
    double seconds[WAITERS];
    int answers[WAITERS] = {0}, sum = 0;
    for (int i = 0; i < WAITERS; i++)
        seconds[i] = 0.1;
    kin_pool *pool = start(kind, workers);
    double began = now();
    int error = kin_map(pool, await_answer, seconds, answers, WAITERS);
    double took = now() - began;
    end(pool, error);
    for (int i = 0; i < WAITERS; i++)
        sum += answers[i];
    printf("I/O-bound, by %s: %d answers, %s\n", name, sum, took < WAITERS * 0.1 ? "at once" : "one by one");
    return took;
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        return 1;
    double computing[] = {compute("one thread", KIN_POOL_THREADS, 1), compute("threads", KIN_POOL_THREADS, 0),
                          compute("processes", KIN_POOL_PROCESSES, 0)};
    double waiting[] = {await_all("one thread", KIN_POOL_THREADS, 1),
                        await_all("threads", KIN_POOL_THREADS, WAITERS),
                        await_all("processes", KIN_POOL_PROCESSES, WAITERS)};
    if (argc > 1 && strcmp(argv[1], "times") == 0)
        for (int i = 0; i < 3; i++)
            printf("%-10s  CPU-bound %.3f s, I/O-bound %.3f s\n",
                   (const char *[]){"one thread", "threads", "processes"}[i], computing[i], waiting[i]);
    return 0;
}
