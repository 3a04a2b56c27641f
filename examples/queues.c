/*
 * queues.c - a parent and its children pass messages. Beside it, queues.py.
 *
 * Two writers, one reader: the queue is a pointer, which is handed to each of them.
 */
#include <kin.h>

#include <stdio.h>
#include <stdlib.h>

#define MESSAGES 1000

static void die(const char *what)
{
    fprintf(stderr, "queues: %s: %s\n", what, kin_error_message());
    exit(1);
}

struct job {
    kin_queue *numbers, *sums;
};

static int writer(void *arg)
{
    struct job *job = arg;
    for (int i = 1; i <= MESSAGES; i++)
        if (kin_queue_put(job->numbers, &i, sizeof i, KIN_FOREVER))
            return kin_error_code();
    return kin_queue_done(job->numbers); /* when both have said so, the queue closes */
}

static int reader(void *arg)
{
    struct job *job = arg;
    long sum = 0;
    int number, error;
    while ((error = kin_queue_get(job->numbers, &number, sizeof number, NULL, KIN_FOREVER)) == 0)
        sum += number;
    if (error != KIN_ECLOSED)
        return error;
    return kin_queue_put(job->sums, &sum, sizeof sum, KIN_FOREVER);
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        die("start");
    struct job job = {
        .numbers = kin_queue_new(KIN_QUEUE_OPTIONS(.maxsize = 100, .producers = 2)),
        .sums = kin_queue_new(NULL),
    };
    if (!job.numbers || !job.sums)
        die("queues");
    kin_process_fn bodies[] = {writer, writer, reader};
    kin_process *processes[3];
    for (int i = 0; i < 3; i++)
        if (!(processes[i] = kin_process_start(bodies[i], &job, sizeof job, NULL)))
            die("process");
    long sum;
    if (kin_queue_get(job.sums, &sum, sizeof sum, NULL, KIN_FOREVER))
        die("sum");
    printf("2 writers, %d messages each, sum %ld\n", MESSAGES, sum);
    for (int i = 0; i < 3; i++) {
        if (kin_process_join(processes[i], KIN_FOREVER))
            die("join");
        kin_process_free(processes[i]);
    }
    printf("left in the queue: %zu\n", kin_queue_size(job.numbers));
    return kin_queue_free(job.numbers) || kin_queue_free(job.sums);
}
