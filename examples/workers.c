/*
 * workers.c - which worker runs what. Beside it, workers.py.
 *
 * Workers are made once and loop over tasks. Who is idle takes the next one: three sleeping tasks keep three workers busy; of
 * two workers each runs some, two at a time; very fast tasks may all be run by one, before another has woken.
 */
#include <kin.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int sleep_a_while(kin_task *task, const void *in, void *out)
{
    (void)task, (void)out;
    usleep(*(const useconds_t *)in);
    return 0;
}

static void die(const char *what)
{
    fprintf(stderr, "workers: %s: %s\n", what, kin_error_message());
    exit(1);
}

/* Run `tasks` of them, and count the processes that they ran in. */
static int count_processes(kin_pool *pool, int tasks, useconds_t microseconds)
{
    kin_result *results[10];
    int pids[10], used = 0;
    for (int i = 0; i < tasks; i++) {
        results[i] = kin_pool_apply_async(
            pool, sleep_a_while, KIN_APPLY_ARGS(.in = &microseconds, .in_size = sizeof microseconds));
        if (!results[i])
            die("submit");
    }
    if (kin_results_wait(results, (size_t)tasks, KIN_WAIT_ALL, KIN_FOREVER, NULL))
        die("wait");
    for (int i = 0; i < tasks; i++) {
        kin_usage usage;
        int seen = 0;
        kin_result_usage(results[i], &usage);
        pids[i] = usage.pid;
        for (int k = 0; k < i; k++)
            seen |= pids[k] == pids[i];
        used += !seen;
        kin_result_free(results[i]);
    }
    return used;
}

static int processes_used(int workers, int tasks, useconds_t microseconds)
{
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = workers));
    if (!pool)
        die("pool");
    while (count_processes(pool, workers, 50000) < workers)
        ; /* until all of them are up */
    int used = count_processes(pool, tasks, microseconds);
    if (kin_pool_finish(pool, KIN_FOREVER))
        die("finish");
    kin_pool_free(pool);
    return used;
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        die("start");
    printf("3 sleeping tasks on 3 workers: %d processes\n", processes_used(3, 3, 500000));
    printf("3 sleeping tasks on 2 workers: %d processes\n", processes_used(2, 3, 500000));
    int used = processes_used(3, 10, 0);
    printf("10 fast tasks on 3 workers: %s\n", used >= 1 && used <= 3 ? "1 to 3 processes" : "a wonder");
    return 0;
}
