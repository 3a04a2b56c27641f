/*
 * failures.c - tasks that fail, crash or take too long, and a map that goes on. Without a twin: when a worker
 * of a multiprocessing.Pool is killed, its map waits for ever.
 *
 * A worker that dies takes nobody with it: its task has failed, or is tried again, a new worker takes its
 * place, and all other results are kept.
 */
#include <kin.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TASKS = 10 };

static int work(kin_task *task, const int *in, int *out)
{
    switch (*in) {
    case 3: /* it knows that it has failed */
        return kin_task_fail(task, "%d is not my number", *in);
    case 5: /* it crashes, but only the first time: attempts are counted from 0 */
        if (kin_task_attempt(task) == 0)
            raise(SIGKILL);
        break;
    case 7: /* it hangs */
        sleep(3600);
        break;
    default:
        break;
    }
    *out = *in * *in;
    return 0;
}

static void die(const char *what)
{
    fprintf(stderr, "failures: %s: %s\n", what, kin_error_message());
    exit(1);
}

/* What became of a task that failed. */
static void tell(const kin_task_error *error)
{
    char how[64];
    if (error->end.how == KIN_END_RUNNING) /* its worker lived */
        printf("task %zu failed: %s\n", error->index, error->error.message);
    else if (error->error.code == KIN_ETIMELIMIT)
        printf("task %zu took too long, and its worker was killed\n", error->index);
    else
        printf("task %zu died: %s\n", error->index, kin_end_text(&error->end, how, sizeof how));
}

/* One map over all tasks, of which some fail; `retries` is how often a task whose worker died is tried again. */
static void run(kin_pool *pool, int retries)
{
    int in[TASKS], out[TASKS] = {0};
    kin_task_error errors[TASKS] = {0};
    size_t failures = 0;
    for (int i = 0; i < TASKS; i++)
        in[i] = i;

    printf("retries: %d\n", retries);
    int error = kin_pool_map(pool, (kin_task_fn)work,
                             KIN_MAP_ARGS(.in = in, .in_size = sizeof *in, .out = out,
                                          .out_size = sizeof *out, .count = TASKS, .on_failure = KIN_COLLECT,
                                          .time_limit = 1, .retries = retries, .errors = errors,
                                          .errors_capacity = TASKS, .failures = &failures));
    if (error && failures == 0) /* the map itself could not be done */
        die("map");
    for (size_t i = 0; i < failures; i++)
        tell(&errors[i]);
    printf("%zu tasks are done, the last one gives %d\n", TASKS - failures, out[TASKS - 1]);
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        die("start");
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 2));
    if (!pool)
        die("pool");
    run(pool, 0);
    run(pool, 1);
    kin_pool_free(pool);
    return 0;
}
