/*
 * harness.c - see harness.h.
 *
 * Three processes a test: the program itself lists the tests and prints TAP; Check forks a supervisor for
 * each; the supervisor forks the test. Check kills the process group of what it forked as soon as that
 * ends, so nothing can be left over there to be seen: it is the supervisor, below, that waits for the test
 * and looks.
 */
#include "harness.h"

#include "leftovers.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kin/api.h"
#include "kin/error.h"
#include "kin/init.h"
#include "kin/pool.h"
#include "kin/start_method.h"

/* Tests of the floors below "process" are linked without it. */
#pragma weak kin_init
#pragma weak kin_error_clear
#pragma weak kin_error_message
#pragma weak kin_forkserver_prepare

#define RUNNING "KIN_TEST_RUNNING" /* in the environment of a test and of all below it */
#define SKIPPED 77
#define NOT_A_CHILD 96
#define GRACE 1.0 /* seconds that descendants may take to end, and descriptors of a moment to be closed */

/* As KIN_START_METHOD names them. */
static const char *const methods[] = {
    [KIN_START_FORK] = "fork", [KIN_START_SPAWN] = "spawn", [KIN_START_FORKSERVER] = "forkserver"};

int test_argc;
char **test_argv;

/* ThreadSanitizer sees no race between processes, and its view of mutexes is not right in those that are forked. */
#ifdef __SANITIZE_THREAD__
#define ONE_PROCESS true
#else
#define ONE_PROCESS false
#endif

/* One run of one test. */
struct run {
    const struct test *test;
    int method;
    bool threads;
    char name[300];
};

static struct {
    const char *suite;
    struct run *runs;
    size_t count;
    bool long_form;
    /* in the test's own process */
    int method;
    bool threads;
    double deadline; /* a moment */
    struct descriptors before;
    /* shared by the three processes */
    char *skip_reason;
} the;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Check multiplies its own timeouts by the same variable. */
static double stretched(double seconds)
{
    const char *factor = getenv("CK_TIMEOUT_MULTIPLIER");
    double by = factor ? atof(factor) : 1;
    return seconds * (by > 0 ? by : 1);
}

/* ---- for tests ------------------------------------------------------------------------------- */

void test_init(void)
{
    ck_assert_msg(kin_init != NULL, "this test is not linked with the process floor");
    int err = kin_init(&test_argc, &test_argv);
    ck_assert_msg(err == 0, "kin_init: %d: %s", err, kin_error_message());
    if (the.method == KIN_START_FORKSERVER) {
        err = kin_forkserver_prepare(NULL, NULL, 0, test_time_left());
        if (err) /* it cannot be, here: that is told to whoever starts one */
            kin_error_clear();
    }
    leftovers_list_descriptors(&the.before);
}

void test_surroundings_changed(void)
{
    if (the.method != KIN_START_FORKSERVER)
        return;
    int err = kin_forkserver_prepare(NULL, NULL, 0, test_time_left());
    ck_assert_msg(err == 0, "forkserver: %d: %s", err, kin_error_message());
}

int test_kind(void)
{
    return the.threads ? KIN_POOL_THREADS : KIN_POOL_PROCESSES;
}

int test_method(void)
{
    return the.method;
}

bool test_long(void)
{
    return the.long_form;
}

bool test_under_valgrind(void)
{
    return under_valgrind();
}

double test_time_left(void)
{
    double left = the.deadline - now();
    return left > 0 ? left : 0;
}

pid_t test_fork_as(pid_t wanted)
{
    for (int i = 0; i < 1000; i++) {
        FILE *last = fopen("/proc/sys/kernel/ns_last_pid", "w");
        if (!last)
            return 0;
        fprintf(last, "%d", (int)wanted - 1);
        if (fclose(last) != 0)
            return 0;
        pid_t pid = fork();
        if (pid == 0)
            for (;;)
                pause();
        if (pid == wanted)
            return pid;
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    return 0;
}

void test_skip(const char *reason)
{
    snprintf(the.skip_reason, 4096, "%s", reason);
    exit(SKIPPED);
}

void test_child_failed(const char *file, int line, const char *condition)
{
    dprintf(STDERR_FILENO, "%s:%d: in process %d: not true: %s\n", file, line, (int)getpid(), condition);
    _exit(TEST_CHILD_FAILED);
}

/* Why a test cannot be run by the tool that this program runs under or is built with; NULL: it can. */
static const char *unfit(const struct test *test)
{
#ifdef __SANITIZE_ADDRESS__
    if (test->flags & TEST_NOT_ASAN)
        return "not under AddressSanitizer";
#endif
    if ((test->flags & (TEST_NOT_VALGRIND | TEST_EACH_METHOD | TEST_BY_FORKSERVER)) && under_valgrind())
        return "valgrind 3.19 has no pidfd_open";
    return NULL;
}

/* ---- the test's own process ------------------------------------------------------------------ */

static void set_up_process(const struct run *run)
{
    setpgid(0, 0);
    for (int sig = 1; sig < NSIG; sig++)
        if (sig != SIGKILL && sig != SIGSTOP)
            signal(sig, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);

    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null > STDIN_FILENO) {
        dup2(null, STDIN_FILENO);
        close(null);
    }
    dup2(STDERR_FILENO, STDOUT_FILENO); /* stdout is for TAP */
    leftovers_list_descriptors(&the.before);
    for (size_t i = 0; i < the.before.count; i++)
        if (the.before.at[i].fd > STDERR_FILENO)
            fcntl(the.before.at[i].fd, F_SETFD, FD_CLOEXEC);

    setenv(RUNNING, "1", 1);
    setenv("KIN_START_METHOD", methods[run->method], 1);
    the.method = run->method;
    the.threads = run->threads;
    the.deadline = now() + stretched(run->test->deadline);
}

/* Whether some stay: a thread of kin's own may have one for a moment, while it looks for what the dead had started. */
static bool descriptors_stay(struct report *report)
{
    for (double deadline = now() + stretched(GRACE);; usleep(5000)) {
        memset(report, 0, sizeof *report);
        if (leftovers_new_descriptors(&the.before, report) == 0)
            return false;
        if (now() > deadline)
            return true;
    }
}

_Noreturn static void run_test(const struct run *run, pid_t supervisor)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != supervisor)
        _exit(1);
    set_up_process(run);
    if (unfit(run->test))
        test_skip(unfit(run->test));
    run->test->body();
    static struct report report;
    if (!(run->test->flags & TEST_KEEPS_DESCRIPTORS) && descriptors_stay(&report))
        ck_abort_msg("left over:\n%s", report.text);
    exit(EXIT_SUCCESS); /* not _exit: what kin does at a normal end belongs to the test */
}

/* ---- the supervisor -------------------------------------------------------------------------- */

/* With KIN_TEST_BACKTRACE set and gdb there: where each thread of a hanging test is. */
static void print_backtrace(pid_t pid)
{
    if (!getenv("KIN_TEST_BACKTRACE"))
        return;
    char command[200];
    snprintf(command, sizeof command,
             "gdb -q -batch -p %d -ex 'thread apply all bt' >&2 2>/dev/null </dev/null", (int)pid);
    if (system(command) != 0)
        fprintf(stderr, "no backtrace: gdb failed\n");
}

/* What the end of the test's process says, if that is not simply success. */
static void judge_end(int status)
{
    if (WIFSIGNALED(status))
        ck_abort_msg("the test's process died of signal %d (%s)", WTERMSIG(status),
                     strsignal(WTERMSIG(status)));
    int code = WEXITSTATUS(status);
    if (code == EXIT_FAILURE || code == SKIPPED)
        _exit(code); /* 1: an assertion of Check, which has sent its message */
    if (code != 0)
        ck_abort_msg("the test's process ended with exit code %d", code);
}

/* What Check calls, in a process of its own. */
static void supervise(int index)
{
    const struct run *run = &the.runs[index];
    static struct report report;
    struct names before, after;
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    leftovers_isolate();
    leftovers_adopt();
    leftovers_list_names(&before);
    fflush(stdout);
    fflush(stderr);

    pid_t self = getpid(), pid = fork();
    if (pid == 0)
        run_test(run, self);
    ck_assert_msg(pid > 0, "fork: %s", strerror(errno));

    double deadline = stretched(run->test->deadline);
    if (!leftovers_wait(pid, deadline)) {
        leftovers_describe_processes(&report);
        print_backtrace(pid);
        static struct report unused;
        leftovers_end_processes(0, &unused);
        ck_abort_msg("not done after %g s:\n%s", deadline, report.text);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    int left_over = leftovers_end_processes(stretched(GRACE), &report);
    leftovers_list_names(&after);
    left_over += leftovers_new_names(&before, &after, &report);
    if (left_over && status != 0)
        fprintf(stderr, "left over by a test that failed:\n%s", report.text);
    judge_end(status);
    if (left_over)
        ck_abort_msg("left over:\n%s", report.text);
}

/* ---- the program ----------------------------------------------------------------------------- */

/* A failure's message may have several lines: comments in TAP. */
static void print_comment(const char *text)
{
    while (*text) {
        size_t length = strcspn(text, "\n");
        printf("#   %.*s\n", (int)length, text);
        text += length + (text[length] == '\n');
    }
}

/* Run one test by Check and print its line; whether it passed (or was skipped). */
static bool run_one(size_t index, int number)
{
    const struct run *run = &the.runs[index];
    TTest entry = {.name = run->name, .fn = supervise, .file = the.suite, .line = 0};
    TCase *tcase = tcase_create(run->name);
    Suite *suite = suite_create(the.suite);
    tcase_set_timeout(tcase, run->test->deadline + 20); /* the supervisor's own is the first to fire */
    tcase_add_loop_test(tcase, &entry, (int)index, (int)index + 1);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_FORK);

    the.skip_reason[0] = '\0';
    double began = now();
    srunner_run_all(runner, CK_SILENT);
    TestResult **results = srunner_results(runner);
    bool skipped = the.skip_reason[0] != '\0';
    bool passed = skipped || tr_rtype(results[0]) == CK_PASS;
    printf("%s %d - %s, %s%s%s\n", passed ? "ok" : "not ok", number, the.suite, run->name,
           skipped ? " # SKIP " : "", the.skip_reason);
    if (!passed) {
        printf("#   %s:%d, after %.2f s\n", tr_lfile(results[0]), tr_lno(results[0]), now() - began);
        print_comment(tr_msg(results[0]));
    }
    fflush(stdout);
    free(results);
    srunner_free(runner);
    return passed;
}

static void add_run_by_threads(const struct test *test)
{
    struct run *run = &the.runs[the.count++];
    run->test = test;
    run->method = KIN_START_FORK;
    run->threads = true;
    snprintf(run->name, sizeof run->name, "%s_(threads)", test->name);
}

/* `method` 0: it is not run once for each. */
static void add_run(const struct test *test, int method)
{
    struct run *run = &the.runs[the.count++];
    run->test = test;
    run->method = method ? method : KIN_START_FORK;
    snprintf(run->name, sizeof run->name, method ? "%s_(%s)" : "%s", test->name, methods[run->method]);
}

static void make_runs(const struct test *tests, size_t count)
{
    the.count = 0;
    the.runs = calloc(4 * count + 1, sizeof *the.runs);
    if (!the.runs)
        abort();
    for (size_t i = 0; i < count; i++) {
        if ((tests[i].flags & TEST_LONG_ONLY) && !the.long_form)
            continue;
        if (tests[i].flags & TEST_EACH_METHOD) {
            for (int method = KIN_START_FORK; method <= KIN_START_FORKSERVER && !ONE_PROCESS; method++)
                add_run(&tests[i], method);
            if (tests[i].flags & TEST_AND_THREADS)
                add_run_by_threads(&tests[i]);
        } else {
            add_run(&tests[i], 0);
            if (tests[i].flags & TEST_BY_FORKSERVER)
                the.runs[the.count - 1].method = KIN_START_FORKSERVER;
        }
    }
}

static int run_all(const char *only, int repeat)
{
    int number = 0, failed = 0;
    for (size_t i = 0; i < the.count; i++) {
        if (only && strcmp(only, the.runs[i].name) != 0 && strcmp(only, the.runs[i].test->name) != 0)
            continue;
        bool passed = true;
        for (int k = 0; k < repeat && passed; k++)
            passed = run_one(i, ++number);
        failed += !passed;
    }
    printf("1..%d\n", number);
    if (number == 0 && only)
        fprintf(stderr, "no test has the name %s; see --list\n", only);
    return failed || (number == 0 && only) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int usage(const char *program)
{
    fprintf(stderr, "usage: %s [--list] [--only NAME] [--repeat N] [--long]\n", program);
    return 2;
}

int test_main(int argc, char **argv, const char *suite, const struct test *tests, size_t count)
{
    test_argc = argc;
    test_argv = argv;
    if (getenv(RUNNING)) {
        if (kin_init && kin_init(&argc, &argv) == 0)
            fprintf(stderr, "this program was run below a test, but not as a spawned child\n");
        return NOT_A_CHILD;
    }
    const char *only = NULL;
    int repeat = 1;
    bool list = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--list") == 0)
            list = true;
        else if (strcmp(argv[i], "--long") == 0)
            the.long_form = true;
        else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc)
            only = argv[++i];
        else if (strcmp(argv[i], "--repeat") == 0 && i + 1 < argc)
            repeat = atoi(argv[++i]);
        else
            return usage(argv[0]);
    }
    the.suite = suite;
    the.skip_reason = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (the.skip_reason == MAP_FAILED)
        abort();
    make_runs(tests, count);
    if (list) {
        for (size_t i = 0; i < the.count; i++)
            puts(the.runs[i].name);
        return EXIT_SUCCESS;
    }
    int status = run_all(only, repeat);
    free(the.runs);
    return status;
}
