/*
 * forkpipe.c - a pool as one writes it by hand: two forked workers, a pipe to and from each, one task in
 * flight at each, the parent polls for who is done.
 */
#include "run_c.h"
#include "work.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKERS = 2 };

struct task {
    uint64_t index;
    uint32_t links;
};

struct result {
    uint64_t index;
    uint64_t value;
};

static struct {
    pid_t pid;
    int tasks;   /* written by the parent */
    int results; /* read by the parent */
} workers[WORKERS];

static uint32_t *in;
static uint64_t *out;

static void work_off(int tasks, int results)
{
    struct task task;

    while (read(tasks, &task, sizeof task) == (ssize_t)sizeof task) {
        struct result result = {task.index, bench_work(task.links)};

        if (write(results, &result, sizeof result) != (ssize_t)sizeof result)
            break;
    }
    _exit(0);
}

static void start_worker(int number)
{
    int tasks[2];
    int results[2];

    if (pipe(tasks) || pipe(results))
        bench_fail("no pipe");
    workers[number].pid = fork();
    if (workers[number].pid < 0)
        bench_fail("no fork");
    if (workers[number].pid == 0) {
        /* Ends that the other worker would hold open would keep it from seeing the end of its input. */
        for (int other = 0; other < number; other++) {
            close(workers[other].tasks);
            close(workers[other].results);
        }
        close(tasks[1]);
        close(results[0]);
        work_off(tasks[0], results[1]);
    }
    close(tasks[0]);
    close(results[1]);
    workers[number].tasks = tasks[1];
    workers[number].results = results[0];
}

void forkpipe_open(const char *who)
{
    (void)who;
    in = malloc(BENCH_MOST_TASKS * sizeof *in);
    out = malloc(BENCH_MOST_TASKS * sizeof *out);
    if (!in || !out)
        bench_fail("out of memory");
    for (int number = 0; number < WORKERS; number++)
        start_worker(number);
}

static void send_task(int number, size_t index)
{
    struct task task = {index, in[index]};

    if (write(workers[number].tasks, &task, sizeof task) != (ssize_t)sizeof task)
        bench_fail("a worker is gone");
}

static void map(size_t count)
{
    struct pollfd polls[WORKERS];
    size_t sent = 0;
    size_t done = 0;

    for (int number = 0; number < WORKERS; number++) {
        polls[number] = (struct pollfd){.fd = workers[number].results, .events = POLLIN};
        if (sent < count)
            send_task(number, sent++);
    }
    while (done < count) {
        if (poll(polls, WORKERS, -1) < 0)
            bench_fail("no poll");
        for (int number = 0; number < WORKERS; number++) {
            struct result result;

            if (!polls[number].revents)
                continue;
            if (read(workers[number].results, &result, sizeof result) != (ssize_t)sizeof result)
                bench_fail("a worker is gone");
            if (sent < count)
                send_task(number, sent++);
            out[result.index] = result.value;
            done++;
        }
    }
}

double forkpipe_run(const struct bench_request *request)
{
    double start;
    double took;

    bench_tasks_fill(in, out, request);
    start = bench_now();
    for (size_t repeat = 0; repeat < request->repeats; repeat++)
        map(request->count);
    took = bench_now() - start;
    bench_tasks_check(out, request);
    return took;
}

void forkpipe_close(void)
{
    for (int number = 0; number < WORKERS; number++) {
        close(workers[number].tasks);
        close(workers[number].results);
        waitpid(workers[number].pid, NULL, 0);
    }
    free(in);
    free(out);
}
