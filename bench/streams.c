/* streams.c - see streams.h. */
#include "streams.h"
#include "work.h"

#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 2 * BENCH_MOST_SIDE };

/* What the runner tells its processes, in memory that all share. */
struct control {
    _Atomic uint32_t round;
    _Atomic uint32_t running; /* processes that are not done; before the first round: that are not ready */
    size_t each_sends;
    size_t each_gets;
    bool many;
    pid_t runner;
    uint64_t sums[BENCH_MOST_SIDE];
    double ends[MOST];
};

static struct bench_stream stream;
static const struct bench_transport *transport;
static struct control *control;
static pid_t pids[MOST];

static void sleep_at(_Atomic uint32_t *word, uint32_t seen)
{
    const struct timespec second = {.tv_sec = 1};

    syscall(SYS_futex, word, FUTEX_WAIT, seen, &second, NULL, 0);
}

static void wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, MOST, NULL, NULL, 0);
}

void *bench_messages(const struct bench_stream *of, size_t count)
{
    void *memory = calloc(count, of->size);

    if (!memory)
        bench_fail("no memory");
    memset(memory, 0, count * of->size);
    return memory;
}

void bench_stream_name(char name[64], const char *prefix, int index)
{
    snprintf(name, 64, "%s-kin-bench-%d-%d", prefix, (int)control->runner, index);
}

/* "queue-2-2-1kib" */
static void parse(const char *set)
{
    char unit[8] = "";
    unsigned size = 0;

    if (sscanf(set, "%*[a-z]-%d-%d-%u%7s", &stream.producers, &stream.consumers, &size, unit) < 3 ||
        stream.producers > BENCH_MOST_SIDE || stream.consumers > BENCH_MOST_SIDE)
        bench_fail("not understood: %s", set);
    stream.size = (size_t)size << (!strcmp(unit, "kib") ? 10 : !strcmp(unit, "mib") ? 20 : 0);
    stream.to_all = !strncmp(set, "broadcast-", strlen("broadcast-"));
    stream.depth = stream.size > 65536 ? 16 : 1024;
}

static void be_done(void)
{
    if (atomic_fetch_sub(&control->running, 1) == 1)
        wake(&control->running);
}

static _Noreturn void serve(int index)
{
    bool producer = index < stream.producers;
    int number = producer ? index : index - stream.producers;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (transport->begin)
        transport->begin(&stream, producer, number);
    be_done();
    for (uint32_t round = 0;; round++) {
        while (atomic_load(&control->round) == round)
            sleep_at(&control->round, round);
        if (producer)
            transport->produce(&stream, number, (uint64_t)number * control->each_sends, control->each_sends,
                               control->many);
        else
            control->sums[number] = transport->consume(&stream, number, control->each_gets, control->many);
        control->ends[index] = bench_now();
        be_done();
    }
}

static void await_processes(void)
{
    uint32_t running;

    while ((running = atomic_load(&control->running)) != 0) {
        sleep_at(&control->running, running);
        for (int i = 0; i < stream.producers + stream.consumers; i++)
            if (waitpid(pids[i], NULL, WNOHANG) == pids[i])
                bench_fail("a process has died");
    }
}

void bench_stream_open(const struct bench_transport *of)
{
    transport = of;
    parse(bench_set);
    control = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (control == MAP_FAILED)
        bench_fail("no memory");
    control->runner = getpid();
    atomic_store(&control->running, (uint32_t)(stream.producers + stream.consumers));
    transport->open(&stream);
    for (int i = 0; i < stream.producers + stream.consumers; i++) {
        pids[i] = fork();
        if (pids[i] < 0)
            bench_fail("no fork");
        if (pids[i] == 0)
            serve(i);
    }
    await_processes();
}

double bench_stream_run(const struct bench_request *request)
{
    size_t sides = (size_t)stream.producers * (size_t)stream.consumers;
    size_t wanted = request->count * request->repeats, count = (wanted + sides - 1) / sides * sides;
    int processes = stream.producers + stream.consumers;
    uint64_t sum = 0;
    double start, end = 0;

    control->each_sends = count / (size_t)stream.producers;
    control->each_gets = stream.to_all ? count : count / (size_t)stream.consumers;
    control->many = strstr(request->name, "-many-") != NULL;
    atomic_store(&control->running, (uint32_t)processes);
    start = bench_now();
    atomic_fetch_add(&control->round, 1);
    wake(&control->round);
    await_processes();
    for (int i = 0; i < processes; i++)
        end = control->ends[i] > end ? control->ends[i] : end;
    for (int i = 0; i < stream.consumers; i++)
        sum += control->sums[i];
    if (sum != (uint64_t)count * (count - 1) / 2 * (stream.to_all ? (unsigned)stream.consumers : 1))
        bench_fail("messages were lost, or came twice");
    return (end - start) * (double)wanted / (double)count;
}

void bench_stream_close(void)
{
    for (int i = 0; i < stream.producers + stream.consumers; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    if (transport->close)
        transport->close(&stream);
    munmap(control, sizeof *control);
}
