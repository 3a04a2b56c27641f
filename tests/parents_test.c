/* parents_test.c - kin/process.h: what becomes of children, daemons and others, when their parent ends, by each means and
 * under each start method. */
#include "harness.h"

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kin.h"
#include "os/os.h"

#define TOP (test_time_left() - 0.5)
#define PROMISED 0.1
#define TRIES 3

enum means { RETURN, EXIT, EARLY_EXIT, ABORT, TERM, KILL };
enum child { WORKER, DAEMON, GRANDCHILD, CHILDREN };

struct board {
    int method;
    enum means means;
    _Atomic int pid[CHILDREN];
    _Atomic int may_end; /* the parent */
    _Atomic int worked;
};

static struct board *board;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void stand(struct board *its, enum child which)
{
    atomic_store(&its->pid[which], (int)getpid());
}

static int stay(void *arg)
{
    stand(arg, GRANDCHILD);
    for (;;)
        pause();
    return 0;
}

static kin_process *start(kin_process_fn fn, struct board *its, bool daemon)
{
    kin_process *process =
        kin_process_start_shared(fn, its, KIN_PROCESS_OPTIONS(.start_method = its->method, .daemon = daemon));
    child_assert(process != NULL);
    return process;
}

/* A moment's work after the parent was told to end. */
static int work(void *arg)
{
    struct board *its = arg;
    stand(its, WORKER);
    while (!atomic_load(&its->may_end))
        usleep(500);
    if (its->means != RETURN && its->means != EXIT)
        for (;;)
            pause();
    struct timespec rest = {.tv_nsec = 50000000};
    while (nanosleep(&rest, &rest) != 0)
        continue;
    atomic_store(&its->worked, 1);
    return 0;
}

static int serve(void *arg)
{
    struct board *its = arg;
    start(stay, its, true);
    stand(its, DAEMON);
    for (;;)
        pause();
    return 0;
}

static int parent(void *arg)
{
    struct board *its = arg;
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    start(work, its, false);
    start(serve, its, true);
    while (!atomic_load(&its->may_end))
        usleep(500);
    switch (its->means) {
    case RETURN:
        return 3;
    case EXIT:
        exit(3);
    case EARLY_EXIT:
        _exit(3);
    case ABORT:
        abort();
    case TERM:
        kill(getpid(), SIGTERM);
        break;
    case KILL:
        kill(getpid(), SIGKILL);
        break;
    }
    for (;;)
        pause();
}

static bool ends_until(int pidfd, double deadline)
{
    struct pollfd one = {.fd = pidfd, .events = POLLIN};
    double left = deadline - now();
    return poll(&one, 1, left > 0 ? (int)(left * 1e3) + 1 : 0) == 1;
}

/* Let a parent end; seconds from its end to that of the last of its descendants. */
static double let_end(enum means means)
{
    int pidfds[CHILDREN];
    kin_end end;
    board = kin_calloc(1, sizeof *board);
    ck_assert_ptr_nonnull(board);
    board->method = test_method();
    board->means = means;
    kin_process *process = start(parent, board, false);
    for (int i = 0; i < CHILDREN; i++) {
        while (!atomic_load(&board->pid[i])) {
            ck_assert_msg(TOP > 0, "child %d does not come", i);
            usleep(500);
        }
        pidfds[i] = (int)syscall(SYS_pidfd_open, atomic_load(&board->pid[i]), 0);
        ck_assert_int_ge(pidfds[i], 0);
    }
    struct pollfd sentinel = {.fd = kin_process_sentinel(process), .events = POLLIN};
    atomic_store(&board->may_end, 1);
    ck_assert_int_eq(poll(&sentinel, 1, (int)(TOP * 1e3)), 1);
    double gone = now();
    for (int i = 0; i < CHILDREN; i++) {
        ck_assert_msg(ends_until(pidfds[i], gone + TOP), "child %d outlives its parent", i);
        close(pidfds[i]);
    }
    double seconds = now() - gone;
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    kin_process_end(process, &end);
    if (means == RETURN || means == EXIT || means == EARLY_EXIT)
        ck_assert(end.how == KIN_END_EXITED && end.exit_code == 3);
    else
        ck_assert(end.how == KIN_END_SIGNALED && end.signal == (means == ABORT  ? SIGABRT
                                                                : means == TERM ? SIGTERM
                                                                                : SIGKILL));
    ck_assert_int_eq(atomic_load(&board->worked), means == RETURN || means == EXIT);
    kin_process_free(process);
    kin_free(board);
    return seconds;
}

/* Others may keep the CPUs busy just then: the fastest of some tries shows what kin does by itself. */
static void parent_ends(enum means means)
{
    double best = 1e9;
    test_init();
    for (int i = 0; i < TRIES; i++) {
        double seconds = let_end(means);
        best = seconds < best ? seconds : best;
    }
    printf("# the last of its descendants after %.1f ms\n", best * 1e3);
    ck_assert_msg(best <= PROMISED, "%g s", best);
}

static void return_joins_children_and_ends_daemons(void)
{
    parent_ends(RETURN);
}

static void exit_joins_children_and_ends_daemons(void)
{
    parent_ends(EXIT);
}

static void all_end_with_a_parent_gone_by_early_exit(void)
{
    parent_ends(EARLY_EXIT);
}

static void all_end_with_a_parent_gone_by_abort(void)
{
    parent_ends(ABORT);
}

static void all_end_with_a_parent_gone_by_sigterm(void)
{
    parent_ends(TERM);
}

static void all_end_with_a_parent_gone_by_sigkill(void)
{
    parent_ends(KILL);
}

/* ---- who looks after orphans ---- */

/* It blocks the signal by which it is told of its parent's death, and so lives on. */
static int stay_deaf(void *arg)
{
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, SIGRTMAX - 1);
    sigprocmask(SIG_BLOCK, &one, NULL);
    return stay(arg);
}

static int have_a_deaf_child(void *arg)
{
    start(stay_deaf, arg, false);
    for (;;)
        pause();
    return 0;
}

static void thread_that_looks_after_orphans_ends_with_them(void)
{
    test_init();
    board = kin_calloc(1, sizeof *board);
    board->method = test_method();
    kin_process *child = start(have_a_deaf_child, board, false);
    while (!atomic_load(&board->pid[GRANDCHILD]) && TOP > 0)
        usleep(1000);
    kin_process_kill(child);
    ck_assert_int_eq(kin_process_join(child, TOP), 0);
    kin_process_free(child); /* the last one: but the thread is needed still */
    ck_assert_int_eq(kin__os_thread_count(), 2);
    kill(atomic_load(&board->pid[GRANDCHILD]), SIGKILL);
    while (kin__os_thread_count() > 1 && TOP > 0)
        usleep(1000);
    ck_assert_int_eq(kin__os_thread_count(), 1);
}

static const struct test tests[] = {
    {"return_joins_children_and_ends_daemons", return_joins_children_and_ends_daemons, 40, TEST_EACH_METHOD},
    {"exit_joins_children_and_ends_daemons", exit_joins_children_and_ends_daemons, 40, TEST_EACH_METHOD},
    {"all_end_with_a_parent_gone_by_early_exit", all_end_with_a_parent_gone_by_early_exit, 40,
     TEST_EACH_METHOD},
    {"all_end_with_a_parent_gone_by_abort", all_end_with_a_parent_gone_by_abort, 40, TEST_EACH_METHOD},
    {"all_end_with_a_parent_gone_by_sigterm", all_end_with_a_parent_gone_by_sigterm, 40, TEST_EACH_METHOD},
    {"all_end_with_a_parent_gone_by_sigkill", all_end_with_a_parent_gone_by_sigkill, 40, TEST_EACH_METHOD},
    {"thread_that_looks_after_orphans_ends_with_them", thread_that_looks_after_orphans_ends_with_them, 20,
     TEST_EACH_METHOD},
};
TEST_MAIN("parents", tests)
