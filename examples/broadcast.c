/*
 * broadcast.c - one writes, all readers get every message. multiprocessing has nothing like it; what this prints stands in
 * broadcast.expected.
 */
#include <kin.h>

#include <stdio.h>
#include <stdlib.h>

#define READERS 3
#define MESSAGES 1000

static void die(const char *what)
{
    fprintf(stderr, "broadcast: %s: %s\n", what, kin_error_message());
    exit(1);
}

struct job {
    kin_broadcast *news;
    kin_queue *sums; /* each reader first says that it is there, then what it has got */
};

static int reader(void *arg)
{
    struct job *job = arg;
    kin_reader *reader = kin_broadcast_join(job->news, KIN_FOREVER);
    long sum = 0;
    int number, error;
    if (!reader || kin_queue_put(job->sums, &sum, sizeof sum, KIN_FOREVER))
        return kin_error_code();
    while ((error = kin_reader_read(reader, &number, sizeof number, NULL, KIN_FOREVER)) == 0)
        sum += number;
    if (error != KIN_ECLOSED || (error = kin_reader_leave(reader)) != 0)
        return error;
    return kin_queue_put(job->sums, &sum, sizeof sum, KIN_FOREVER);
}

static long await_sum(kin_queue *sums)
{
    long sum;
    if (kin_queue_get(sums, &sum, sizeof sum, NULL, KIN_FOREVER))
        die("sum");
    return sum;
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        die("start");
    struct job job = {.news = kin_broadcast_new(NULL), .sums = kin_queue_new(NULL)};
    kin_process *processes[READERS];
    if (!job.news || !job.sums)
        die("memory");
    for (int i = 0; i < READERS; i++)
        if (!(processes[i] = kin_process_start(reader, &job, sizeof job, NULL)))
            die("process");
    for (int i = 0; i < READERS; i++)
        await_sum(job.sums);
    printf("%zu readers\n", kin_broadcast_readers(job.news));
    for (int i = 1; i <= MESSAGES; i++)
        if (kin_broadcast_write(job.news, &i, sizeof i, KIN_FOREVER))
            die("write");
    if (kin_broadcast_close(job.news))
        die("close");
    for (int i = 0; i < READERS; i++)
        printf("a reader got all: sum %ld\n", await_sum(job.sums));
    for (int i = 0; i < READERS; i++) {
        if (kin_process_join(processes[i], KIN_FOREVER))
            die("join");
        kin_process_free(processes[i]);
    }
    return kin_broadcast_free(job.news) || kin_queue_free(job.sums);
}
