/*
 * busy_program.c - a queue whose sides are both busy, for busy_test to trace: two threads, one puts, one gets, and neither ever finds
 * it full or empty. Between the lines that it writes to stderr it must make no system call; then it sleeps a few times, and
 * tells how many calls the os floor has counted.
 */
#include "os/os.h"

#include <kin.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define COUNT 300000
#define BEFORE 4000 /* messages in it from the beginning */
#define LEAST 500   /* who gets waits for so many, without a call of the queue */

static kin_queue *queue;
static _Atomic int go, done;

static int put(uint64_t number)
{
    return kin_queue_put(queue, &number, sizeof number, KIN_FOREVER);
}

static void *produce(void *arg)
{
    if (put(0)) /* this thread's first call is over */
        return NULL;
    done = 1;
    while (!go)
        kin__os_pause();
    for (uint64_t i = 1; i < COUNT; i++) {
        while (kin_queue_size(queue) > BEFORE)
            kin__os_pause();
        if (put(i))
            return NULL;
    }
    done = 2;
    while (done != 3) /* the end of a thread is system calls: not while they are looked for */
        kin__os_pause();
    return arg;
}

static void say(const char *text)
{
    if (write(2, text, strlen(text)) < 0)
        _exit(3);
}

int main(int argc, char **argv)
{
    pthread_t thread;
    uint64_t number, calls;
    if (kin_init(&argc, &argv) || !(queue = kin_queue_new(NULL)))
        return 1;
    for (int i = 0; i < 2 * BEFORE; i++) /* the ring is as large as it has to be, and all of it was touched */
        if (put(0))
            return 1;
    for (int i = 0; i < BEFORE; i++)
        if (kin_queue_get(queue, &number, sizeof number, NULL, 0))
            return 1;
    if (pthread_create(&thread, NULL, produce, queue))
        return 1;
    while (!done)
        kin__os_pause();
    say("busy begins\n");
    calls = kin__os_waiting_calls;
    go = 1;
    for (int i = 0; i < COUNT; i++) {
        while (done != 2 && kin_queue_size(queue) < LEAST)
            kin__os_pause();
        if (kin_queue_get(queue, &number, sizeof number, NULL, 0))
            return 1;
    }
    while (done != 2)
        kin__os_pause();
    calls = kin__os_waiting_calls - calls;
    say("busy ends\n");
    printf("busy: %llu calls\n", (unsigned long long)calls);
    while (kin_queue_get(queue, &number, sizeof number, NULL, 0) == 0)
        ;
    fflush(stdout);
    say("sleep begins\n");
    calls = kin__os_waiting_calls;
    for (int i = 0; i < 10; i++)
        if (kin_queue_get(queue, &number, sizeof number, NULL, 0.002) != KIN_ETIMEDOUT)
            return 1;
    calls = kin__os_waiting_calls - calls;
    say("sleep ends\n");
    printf("sleep: %llu calls\n", (unsigned long long)calls);
    done = 3;
    if (pthread_join(thread, NULL))
        return 1;
    return kin_queue_free(queue) ? 1 : 0;
}
