/*
 * joinable.c - hand work out, and wait until all of it is done. Beside it, joinable.py.
 *
 * Each message counts until somebody has said kin_queue_task_done for it. Unlike Python's, this queue closes: the workers end
 * because nothing more will come.
 */
#include <kin.h>

#include <stdio.h>
#include <stdlib.h>

#define WORKERS 2
#define TASKS 100

static void die(const char *what)
{
    fprintf(stderr, "joinable: %s: %s\n", what, kin_error_message());
    exit(1);
}

struct job {
    kin_queue *tasks;
    long *squares;
};

static int worker(void *arg)
{
    struct job *job = arg;
    int number, error;
    while ((error = kin_queue_get(job->tasks, &number, sizeof number, NULL, KIN_FOREVER)) == 0) {
        job->squares[number] = (long)number * number;
        if (kin_queue_task_done(job->tasks))
            return kin_error_code();
    }
    return error == KIN_ECLOSED ? 0 : error;
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        die("start");
    struct job job = {
        .tasks = kin_queue_new(KIN_QUEUE_OPTIONS(.joinable = true)),
        .squares = kin_calloc(TASKS, sizeof(long)),
    };
    if (!job.tasks || !job.squares)
        die("memory");
    kin_process *workers[WORKERS];
    for (int i = 0; i < WORKERS; i++)
        if (!(workers[i] = kin_process_start(worker, &job, sizeof job, NULL)))
            die("process");
    for (int i = 0; i < TASKS; i++)
        if (kin_queue_put(job.tasks, &i, sizeof i, KIN_FOREVER))
            die("put");
    if (kin_queue_join(job.tasks, NULL, KIN_FOREVER))
        die("join");
    long sum = 0;
    for (int i = 0; i < TASKS; i++)
        sum += job.squares[i];
    printf("all %d tasks are done, the sum of the squares is %ld\n", TASKS, sum);
    if (kin_queue_close(job.tasks))
        die("close");
    for (int i = 0; i < WORKERS; i++) {
        if (kin_process_join(workers[i], KIN_FOREVER))
            die("end");
        kin_process_free(workers[i]);
    }
    printf("workers have ended\n");
    kin_free(job.squares);
    return kin_queue_free(job.tasks);
}
