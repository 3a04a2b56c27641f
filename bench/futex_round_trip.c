/*
 * futex_round_trip.c - the least that two processes need to hand one word to and fro: one futex each way, on two
 * CPUs. Nobody spins, as both are to be found asleep.
 */
#include "run_c.h"
#include "work.h"

#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct table {
    _Alignas(128) _Atomic uint32_t serve;
    _Alignas(128) _Atomic uint32_t answer;
};

static struct table *table;
static pid_t partner;

/* Keep to the CPU number `index` of those that we may use. */
static void keep_to_cpu(int index)
{
    cpu_set_t all;
    cpu_set_t one;

    sched_getaffinity(0, sizeof all, &all);
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &all) && index-- == 0)
            CPU_SET(cpu, &one);
    if (CPU_COUNT(&one))
        sched_setaffinity(0, sizeof one, &one);
}

static void tell(_Atomic uint32_t *word, uint32_t value)
{
    atomic_store(word, value);
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static uint32_t await_change(_Atomic uint32_t *word, uint32_t seen)
{
    uint32_t value;

    while ((value = atomic_load(word)) == seen)
        syscall(SYS_futex, word, FUTEX_WAIT, seen, NULL, NULL, 0);
    return value;
}

static void serve(void)
{
    keep_to_cpu(1);
    for (uint32_t seen = 0;; tell(&table->answer, seen))
        seen = await_change(&table->serve, seen);
}

static double one_trip(void)
{
    uint32_t next = atomic_load(&table->serve) + 1;
    double start = bench_now();

    tell(&table->serve, next);
    await_change(&table->answer, next - 1);
    return bench_now() - start;
}

void futex_round_trip_open(const char *who)
{
    (void)who;
    table = mmap(NULL, sizeof *table, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (table == MAP_FAILED)
        bench_fail("no memory");
    partner = fork();
    if (partner < 0)
        bench_fail("no fork");
    if (partner == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve();
    }
    keep_to_cpu(0);
}

double futex_round_trip_run(const struct bench_request *request)
{
    return bench_round_trips(one_trip, request);
}

void futex_round_trip_close(void)
{
    kill(partner, SIGKILL);
    waitpid(partner, NULL, 0);
    munmap(table, sizeof *table);
}
