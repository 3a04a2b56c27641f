/* syncs.c - see syncs.h. */
#include "syncs.h"
#include "work.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_WAKES = 1000 };

/* What both see. */
struct table {
    _Alignas(128) _Atomic uint64_t order; /* number << 32 | rounds to do */
    _Alignas(128) _Atomic uint64_t answer;
    _Alignas(128) uint64_t counter; /* guarded by the lock */
};

static struct bench_sync tool;
static struct table *table;
static pid_t partner;

bool bench_sync_begins_empty(void)
{
    return !strcmp(bench_set, "wake");
}

static void nap(long us)
{
    const struct timespec rest = {.tv_nsec = us * 1000};

    nanosleep(&rest, NULL);
}

static void rounds(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        tool.acquire(tool.object);
        table->counter++;
        tool.release(tool.object);
    }
}

static void obey(void)
{
    for (uint64_t seen = 0, order;; seen = order) {
        while ((order = atomic_load(&table->order)) == seen)
            sched_yield();
        if (bench_sync_begins_empty()) {
            tool.acquire(tool.object);
            atomic_store(&table->answer, order);
            if (!tool.is_signal)
                tool.release(tool.object);
        } else {
            rounds((uint32_t)order);
            atomic_store(&table->answer, order);
        }
    }
}

void bench_sync_open(const struct bench_sync *given)
{
    tool = *given;
    table = mmap(NULL, sizeof *table, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (table == MAP_FAILED)
        bench_fail("no memory");
    if (!strcmp(bench_set, "lock-uncontended") || !strcmp(bench_set, "semaphore"))
        return;
    partner = fork();
    if (partner < 0)
        bench_fail("no fork");
    if (partner == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        obey();
    }
}

static void await_answer(uint64_t order)
{
    while (atomic_load_explicit(&table->answer, memory_order_acquire) != order)
        continue;
}

static double one_wake(uint64_t order)
{
    double start;
    double end;

    if (!tool.is_signal)
        tool.acquire(tool.object);
    atomic_store(&table->order, order);
    nap(500);
    start = bench_now();
    tool.release(tool.object);
    await_answer(order);
    end = bench_now();
    nap(50); /* it has released what it took, and looks for the next order */
    return end - start;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

/* As if all had taken as long as the median: where other processes are about, a few take very long. */
static double wakes(uint64_t number, size_t repeats)
{
    double took[MOST_WAKES];
    size_t count = repeats < MOST_WAKES ? repeats : MOST_WAKES;

    for (size_t i = 0; i < count; i++)
        took[i] = one_wake((number + i) << 32);
    qsort(took, count, sizeof *took, compare);
    return took[count / 2] * (double)repeats;
}

double bench_sync_run(const struct bench_request *request)
{
    uint64_t number = (atomic_load(&table->order) >> 32) + 1;
    uint64_t counter = table->counter;
    double start = bench_now();
    double took;

    if (bench_sync_begins_empty())
        return wakes(number, request->repeats);
    if (!partner) {
        rounds(request->repeats);
        return bench_now() - start;
    }
    atomic_store(&table->order, number << 32 | (request->repeats / 2));
    rounds(request->repeats / 2);
    await_answer(number << 32 | (request->repeats / 2));
    took = bench_now() - start;
    if (table->counter != counter + request->repeats / 2 * 2)
        bench_fail("two had the lock at once");
    return took;
}

void bench_sync_close(void)
{
    if (partner) {
        kill(partner, SIGKILL);
        waitpid(partner, NULL, 0);
    }
    munmap(table, sizeof *table);
}
