/*
 * pool_map.c - the Pool class and its map, which the article recommends for batches. Beside it, pool_map.py.
 *
 *   Python                                     here
 *   ----------------------------------------   ---------------------------------------------------------
 *   pool = Pool(2)                             pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 2))
 *   out = pool.map(count_primes, limits)       kin_map(pool, count_primes, limits, out, n)
 *   an exception in a task                     return kin_task_fail(task, "why"); the map's code tells
 *   which task?                                kin_map_args.errors: index, message, process, how it died
 *   pool.close(); pool.join()                  kin_pool_finish(pool, KIN_FOREVER)
 *   leaving `with`: pool.terminate()           kin_pool_free(pool)
 *
 * Workers are started once and take tasks until there are none left. Which worker does which task is not
 * said; results come in the order of the arguments all the same.
 */
#include <kin.h>

#include <stdio.h>
#include <stdlib.h>

/* How many primes lie below `limit`: some honest work. */
static int primes_below(int limit)
{
    int count = 0;
    for (int n = 2; n < limit; n++) {
        int d = 2;
        while (d * d <= n && n % d)
            d++;
        count += d * d > n;
    }
    return count;
}

/* A task gets one item of each array. The macro kin_map checks these types against the arrays'. */
static int count_primes(kin_task *task, const int *limit, int *count)
{
    if (*limit < 0)
        return kin_task_fail(task, "there are no numbers from 0 to %d", *limit);
    *count = primes_below(*limit);
    return 0;
}

static void die(const char *what)
{
    fprintf(stderr, "pool_map: %s: %s\n", what, kin_error_message());
    exit(1);
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        die("start");
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 2));
    if (!pool)
        die("pool");

    enum { TASKS = 10 };
    int limits[TASKS], counts[TASKS] = {0};
    for (int i = 0; i < TASKS; i++)
        limits[i] = 1000 * (i + 1);
    if (kin_map(pool, count_primes, limits, counts, TASKS))
        die("map");
    for (int i = 0; i < TASKS; i++)
        printf("%d primes below %d\n", counts[i], limits[i]);

    /* One task that fails. By default a map stops at the first failure, as in Python. */
    limits[3] = -4;
    if (kin_map(pool, count_primes, limits, counts, TASKS) == KIN_EFAILED)
        printf("the map failed\n");

    /*
     * kin_map is short for kin_pool_map, which takes more: here, to go on after failures, and to tell of each.
     * Python's map has no such thing; its twin catches the exception in the task.
     */
    kin_task_error errors[TASKS] = {0};
    size_t failures = 0;
    int error =
        kin_pool_map(pool, (kin_task_fn)count_primes,
                     KIN_MAP_ARGS(.in = limits, .in_size = sizeof *limits, .out = counts,
                                  .out_size = sizeof *counts, .count = TASKS, .on_failure = KIN_COLLECT,
                                  .errors = errors, .errors_capacity = TASKS, .failures = &failures));
    if (error && error != KIN_EFAILED)
        die("second map");
    for (size_t i = 0; i < failures; i++)
        printf("task %zu failed: %s\n", errors[i].index, errors[i].error.message);
    printf("the last task found %d primes\n", counts[TASKS - 1]);

    /* Let the workers end in order; free alone would do, and end them at once. */
    if (kin_pool_finish(pool, KIN_FOREVER))
        die("finish");
    kin_pool_free(pool);
    return 0;
}
