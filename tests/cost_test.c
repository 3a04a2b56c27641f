/*
 * cost_test.c - kin/process.h: what a start by fork costs, in figures that do not depend on the machine's load.
 *
 * Page faults and system calls, of the starter and the child together, from the start to the join. A change that makes either
 * dearer fails here, and not only in the bench: raise a bound only with a reason, and the bench's figures.
 */
#include "harness.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/ptrace.h>

#include "kin.h"

#define STARTS 200
#define TRACED 10
#define FAULTS_MORE 7.5 /* than a bare fork; measured: 4 to 6, by where the loader has put things */
#define CALLS_MOST 58u  /* measured: 56, most of them dispositions of signals */

static int return_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void start_and_join(void)
{
    kin_process *process =
        kin_process_start(return_nothing, NULL, 0, KIN_PROCESS_OPTIONS(.start_method = KIN_START_FORK));
    if (!process || kin_process_join(process, 20) != 0)
        _exit(9);
    kin_process_free(process);
}

static void fork_and_wait(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    if (waitpid(pid, NULL, 0) != pid)
        _exit(9);
}

/* ---- page faults ---- */

static double faults(void)
{
    struct rusage own, children;
    getrusage(RUSAGE_SELF, &own);
    getrusage(RUSAGE_CHILDREN, &children);
    return (double)(own.ru_minflt + children.ru_minflt);
}

/* The mean of many, after some that make what stays. */
static double faults_of(void (*once)(void))
{
    for (int i = 0; i < 10; i++)
        once();
    double before = faults();
    for (int i = 0; i < STARTS; i++)
        once();
    return (faults() - before) / STARTS;
}

static void start_by_fork_touches_few_pages(void)
{
    test_init();
    double bare = faults_of(fork_and_wait), kin = faults_of(start_and_join);
    printf("# page faults a start: %.1f, of a bare fork: %.1f\n", kin, bare);
    ck_assert_msg(kin <= bare + FAULTS_MORE, "%.1f page faults a start, %.1f a bare fork", kin, bare);
}

/* ---- system calls ---- */

#define MARK_FD 1000000 /* closing it does nothing, and can be seen from outside */

static void be_traced(void (*once)(void))
{
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        _exit(8);
    raise(SIGSTOP);
    if (once == start_and_join)
        test_init();
    for (int i = 0; i < TRACED + 3; i++) {
        close(MARK_FD);
        once();
    }
    close(MARK_FD);
    _exit(0);
}

/* What has its number by the tracer's speed: a status is asked for until the tracer has been told of the end. */
static bool counts(const struct ptrace_syscall_info *call)
{
    return call->op == PTRACE_SYSCALL_INFO_ENTRY && call->entry.nr != SYS_waitid &&
           call->entry.nr != SYS_sched_yield;
}

struct tally {
    unsigned marks, now, least;
};

static void count_call(pid_t pid, struct tally *tally)
{
    struct ptrace_syscall_info call = {0};
    if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof call, &call) <= 0 || !counts(&call))
        return;
    if (call.entry.nr != SYS_close || call.entry.args[0] != MARK_FD) {
        tally->now++;
        return;
    }
    if (tally->marks++ > 3 && tally->now < tally->least)
        tally->least = tally->now;
    tally->now = 0;
}

/* The system calls of the cheapest of some. */
static unsigned calls_of(void (*once)(void))
{
    struct tally tally = {.least = UINT_MAX};
    int status;
    pid_t tracee = fork();
    if (tracee == 0)
        be_traced(once);
    if (waitpid(tracee, &status, 0) != tracee || !WIFSTOPPED(status))
        test_skip("processes cannot be traced here");
    ck_assert_int_eq(
        ptrace(PTRACE_SETOPTIONS, tracee, NULL,
               PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEVFORK),
        0);
    ptrace(PTRACE_SYSCALL, tracee, NULL, NULL);
    for (pid_t pid; (pid = waitpid(-1, &status, __WALL)) > 0;) {
        if (!WIFSTOPPED(status)) {
            if (pid == tracee)
                break;
            continue;
        }
        int number = WSTOPSIG(status);
        if (number == (SIGTRAP | 0x80))
            count_call(pid, &tally);
        bool ptraces = number == (SIGTRAP | 0x80) || number == SIGTRAP || number == SIGSTOP;
        ptrace(PTRACE_SYSCALL, pid, NULL, ptraces ? 0L : (long)number);
    }
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the traced program ended with %#x",
                  (unsigned)status);
    ck_assert_uint_eq(tally.marks, TRACED + 4);
    return tally.least;
}

static void start_by_fork_makes_few_system_calls(void)
{
    unsigned bare = calls_of(fork_and_wait), kin = calls_of(start_and_join);
    printf("# system calls a start: %u, of a bare fork: %u\n", kin, bare);
    ck_assert_msg(kin <= CALLS_MOST, "%u system calls a start; there were %u", kin, CALLS_MOST);
}

static const struct test tests[] = {
    {"start_by_fork_touches_few_pages", start_by_fork_touches_few_pages, 30, TEST_NOT_VALGRIND},
    {"start_by_fork_makes_few_system_calls", start_by_fork_makes_few_system_calls, 30, TEST_NOT_VALGRIND},
};
TEST_MAIN("cost", tests)
