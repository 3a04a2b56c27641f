/* process_races_test.c - kin/process.h, kin/init.h: what went wrong only when two things met, or something was closed,
 * stolen, blocked or used up. */
#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "family/member.h"
#include "kin.h"
#include "os/os.h"
#include "process/child.h"
#include "process/process_shared.h"

#define TOP (test_time_left() - 0.5)

static kin_process *start(kin_process_fn fn, void *shared)
{
    kin_process *process =
        kin_process_start_shared(fn, shared, KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    return process;
}

static int wait_for_signal(void *arg)
{
    (void)arg;
    for (;;)
        pause();
    return 0;
}

static int return_three(void *arg)
{
    (void)arg;
    return 3;
}

/* ---- objects whose starter dies ---- */

struct family {
    kin_process *_Atomic grandchild;
    _Atomic int pid;
};

static int start_a_sleeper(void *arg)
{
    struct family *family = arg;
    atomic_store(&family->grandchild, kin_process_start(wait_for_signal, NULL, 0, NULL));
    for (;;)
        pause();
    return 0;
}

static kin_process *grandchild_of(struct family *family)
{
    while (!atomic_load(&family->grandchild))
        usleep(1000);
    return atomic_load(&family->grandchild);
}

static _Atomic bool joining;

static void *join_it(void *process)
{
    atomic_store(&joining, true);
    return kin_process_join(process, TOP) == 0 ? process : NULL;
}

/* The object goes with the starter; whoever waits on it must neither hang nor write into what is there next. */
static void who_waits_for_an_orphan_touches_no_freed_object(void)
{
    test_init();
    struct family *family = kin_calloc(1, sizeof *family);
    kin_process *child = start(start_a_sleeper, family);
    kin_process *grandchild = grandchild_of(family);
    size_t size = kin_usable_size(grandchild), count = 0;
    static unsigned char *blocks[100000];
    pthread_t joiner;
    void *joined;
    ck_assert_int_eq(pthread_create(&joiner, NULL, join_it, grandchild), 0);
    while (!atomic_load(&joining))
        usleep(1000);
    usleep(30000);
    kin_process_kill(child);
    ck_assert_int_eq(kin_process_join(child, TOP), 0);
    for (bool again = false; !again && count < 20000; usleep(again ? 0 : 100))
        for (int i = 0; i < 100; i++, count++) {
            blocks[count] = kin_calloc(1, size);
            again |= blocks[count] == (unsigned char *)grandchild;
        }
    pthread_join(joiner, &joined);
    ck_assert_ptr_eq(joined, grandchild);
    usleep(150000);     /* a waiter looks each 0.1 s */
    size_t written = 0; /* an assertion a byte would take longer than all else */
    for (size_t i = 0; i < count; i++)
        for (size_t at = 0; at < size; at++)
            written += blocks[i][at] != 0;
    ck_assert_msg(written == 0, "%zu bytes of blocks were written by the waiter", written);
    kin_process_free(child);
}

static int start_one_that_is_reaped(void *arg)
{
    struct family *family = arg;
    signal(SIGCHLD, SIG_IGN);
    atomic_store(&family->grandchild, kin_process_start(return_three, NULL, 0, NULL));
    for (;;)
        pause();
    return 0;
}

static void kill_never_hits_a_process_with_the_same_number(void)
{
    test_init();
    struct family *family = kin_calloc(1, sizeof *family);
    kin_process *child = start(start_one_that_is_reaped, family);
    kin_process *grandchild = grandchild_of(family);
    pid_t pid = kin_process_pid(grandchild);
    while (kill(pid, 0) == 0)
        usleep(1000);
    usleep(50000); /* start times come in ticks of 10 ms, and are compared with some more */
    pid_t stranger = test_fork_as(pid);
    if (!stranger) {
        kin_process_free(child);
        test_skip("/proc/sys/kernel/ns_last_pid cannot be set: no way to have a number again");
    }
    ck_assert_int_eq(kin_process_kill(grandchild), 0);
    ck_assert(!kin_process_is_alive(grandchild));
    kin_end end;
    ck_assert_int_eq(kin_process_end(grandchild, &end), 0);
    ck_assert_int_eq(end.how, KIN_END_EXITED);
    ck_assert_int_eq(end.exit_code, 3);
    usleep(20000);
    ck_assert_int_eq(waitpid(stranger, NULL, WNOHANG), 0);
    kill(stranger, SIGKILL);
    waitpid(stranger, NULL, 0);
    kin_process_free(child);
}

static int work_with_an_arena(void *arg)
{
    return arg ? 0 : 1;
}

static void arena_given_to_one_that_dies_at_its_start_is_freed(void)
{
    test_init();
    kin_heap_stats stats = {.size = sizeof stats};
    for (int i = 0; i < 20; i++) {
        kin_arena *arena = kin_arena_new();
        ck_assert_ptr_nonnull(kin_arena_malloc(arena, 100));
        kin_process *process = start(work_with_an_arena, NULL);
        int given = kin_arena_give(arena, process);
        kin_process_kill(process);
        ck_assert_int_eq(kin_process_join(process, TOP), 0);
        if (given != 0)
            kin_arena_free(arena);
        kin_process_free(process);
        ck_assert_int_eq(kin_heap_get_stats(&stats), 0);
        ck_assert_uint_eq(stats.arenas, 0);
    }
}

/* ---- a tracer that does not listen ---- */

struct tracer {
    pid_t pid;
    int leave; /* written to */
};

/* It is told of the end of what it traces, before the starter, and does not collect that. */
static struct tracer trace(pid_t pid)
{
    int there[2], leave[2];
    char byte = 0;
    ck_assert_int_eq(pipe(there), 0);
    ck_assert_int_eq(pipe(leave), 0);
    struct tracer tracer = {.pid = fork(), .leave = leave[1]};
    if (tracer.pid == 0) {
        close(leave[1]);
        byte = ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0;
        _exit(write(there[1], &byte, 1) == 1 && read(leave[0], &byte, 1) == 0 ? 0 : 1);
    }
    ck_assert_int_eq(read(there[0], &byte, 1), 1);
    close(there[0]);
    close(there[1]);
    close(leave[0]);
    if (!byte)
        test_skip("processes cannot be traced here");
    return tracer;
}

static void let_tracer_go(struct tracer tracer)
{
    close(tracer.leave);
    ck_assert_int_eq(waitpid(tracer.pid, NULL, 0), tracer.pid);
}

static void assert_killed_and_not_collected(kin_process *process)
{
    kin_end end;
    kin_process_kill(process);
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    ck_assert_int_eq(kin_process_end(process, &end), 0);
    ck_assert_int_eq(end.how, KIN_END_SIGNALED);
    ck_assert_int_eq(end.signal, SIGKILL);
    ck_assert_int_eq(kin__os_process_state(kin_process_pid(process)), 'Z');
}

static void zombie_of_a_deaf_tracer_is_collected_later(void)
{
    test_init();
    kin_process *process = start(wait_for_signal, NULL);
    struct tracer tracer = trace(kin_process_pid(process));
    assert_killed_and_not_collected(process);
    ck_assert(!kin_process_is_alive(process));
    let_tracer_go(tracer);
    ck_assert(!kin_process_is_alive(process));
    ck_assert_int_eq(kin__os_process_state(kin_process_pid(process)), 0);
    kin_process_free(process);
}

static void zombie_whose_process_was_freed_is_collected_at_the_next_start(void)
{
    test_init();
    kin_process *process = start(wait_for_signal, NULL);
    pid_t pid = kin_process_pid(process);
    struct tracer tracer = trace(pid);
    assert_killed_and_not_collected(process);
    kin_process_free(process);
    let_tracer_go(tracer);
    ck_assert_int_eq(kin__os_process_state(pid), 'Z');
    process = start(return_three, NULL);
    ck_assert_int_eq(kin__os_process_state(pid), 0);
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    kin_process_free(process);
    size_t children;
    ck_assert_int_eq(kin_active_children(NULL, 0, &children), 0);
    ck_assert_uint_eq(children, 0);
}

/* Nobody asks, and nothing is started. */
static void zombie_of_a_deaf_tracer_is_collected_by_the_guardian(void)
{
    test_init();
    kin_process *others[2] = {start(wait_for_signal, NULL), start(wait_for_signal, NULL)};
    kin_process *process = start(wait_for_signal, NULL);
    pid_t pid = kin_process_pid(process);
    struct tracer tracer = trace(pid);
    assert_killed_and_not_collected(process);
    kin_process_free(process);
    let_tracer_go(tracer);
    while (kin__os_process_state(pid))
        usleep(1000);
    kin_process_free(others[0]);
    kin_process_free(others[1]);
}

/* ---- slots ---- */

static void plain_forks_that_ask_for_themselves_leave_no_slot(void)
{
    test_init();
    for (int i = 0; i < 1100; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(kin_current_process() ? 0 : 1);
        int status;
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_msg(status == 0, "fork %d could not join", i);
    }
    kin_process *process = start(return_three, NULL);
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    kin_process_free(process);
}

static int is_it_alive(void *arg)
{
    return kin_process_is_alive(arg) ? 3 : 4;
}

static void must_say(int code, kin_process *process)
{
    kin_process *other = start(is_it_alive, process);
    kin_end end;
    ck_assert_int_eq(kin_process_join(other, TOP), 0);
    ck_assert_int_eq(kin_process_end(other, &end), 0);
    ck_assert_int_eq(end.exit_code, code);
    kin_process_free(other);
}

/* The slot of a child that never attached is free before its starter tells the end: others are not to read an end
 * that is not there yet. */
static void who_is_not_the_starter_waits_until_the_end_is_told(void)
{
    test_init();
    kin_process *process = start(return_three, NULL);
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    atomic_store(&process->ended, 0);
    must_say(3, process);
    atomic_store(&process->ended, 1);
    must_say(4, process);
    kin_process_free(process);
}

/* ---- kin_init ---- */

static int init_again(void *arg)
{
    (void)arg;
    return kin_init(NULL, NULL) == 0 ? 3 : 4;
}

static void child_may_call_kin_init_again(void)
{
    test_init();
    kin_process *process = start(init_again, NULL);
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    kin_end end;
    kin_process_end(process, &end);
    ck_assert_int_eq(end.exit_code, 3);
    kin_process_free(process);
}

/* Libc keeps a list of those that a thread holds, and looks at it. */
static void use_a_robust_lock(void)
{
    pthread_mutexattr_t how;
    pthread_mutex_t mutex;
    ck_assert_int_eq(pthread_mutexattr_init(&how), 0);
    ck_assert_int_eq(pthread_mutexattr_setrobust(&how, PTHREAD_MUTEX_ROBUST), 0);
    ck_assert_int_eq(pthread_mutex_init(&mutex, &how), 0);
    ck_assert_int_eq(pthread_mutex_lock(&mutex), 0);
    ck_assert_int_eq(pthread_mutex_unlock(&mutex), 0);
    pthread_mutex_destroy(&mutex);
    pthread_mutexattr_destroy(&how);
}

static void init_that_failed_may_be_tried_again(void)
{
    ck_assert_int_lt(kin_init_with(&test_argc, &test_argv, KIN_INIT_OPTIONS(.heap_limit = 1)), 0);
    ck_assert_ptr_null(kin_malloc(10));
    ck_assert_int_eq(kin_error_code(), KIN_ENOINIT);
    use_a_robust_lock();
    ck_assert_int_lt(kin_init_with(&test_argc, &test_argv, KIN_INIT_OPTIONS(.start_method = 99)), 0);
    test_init();
    kin_process *process = start(return_three, NULL);
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    kin_process_free(process);
}

static int all_above_stderr(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int bad = 0;
    for (struct dirent *entry; directory && (entry = readdir(directory));)
        if (entry->d_name[0] != '.' && atoi(entry->d_name) <= 2 && atoi(entry->d_name) != dirfd(directory))
            bad++;
    return directory ? bad : -1;
}

/* What kin opens must not become the stdout of a program that was started without one. */
static void program_without_standard_streams(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        for (int fd = 0; fd <= 2; fd++)
            close(fd);
        if (kin_init(NULL, NULL) != 0)
            _exit(1);
        kin_process *two[2] = {kin_process_start(wait_for_signal, NULL, 0, NULL),
                               kin_process_start(wait_for_signal, NULL, 0, NULL)};
        int bad = !two[0] || !two[1] || all_above_stderr() != 0;
        kin_process_free(two[0]);
        kin_process_free(two[1]);
        _exit(bad ? 2 : 0);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}

static int read_stdin(void *arg)
{
    (void)arg;
    char byte;
    struct stat about, null;
    bool same =
        fstat(STDIN_FILENO, &about) == 0 && stat("/dev/null", &null) == 0 && about.st_rdev == null.st_rdev;
    return same && read(STDIN_FILENO, &byte, 1) == 0 ? 3 : 4;
}

static int end_of_reader(void)
{
    kin_end end;
    kin_process *process = start(read_stdin, NULL);
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    ck_assert_int_eq(kin_process_end(process, &end), 0);
    kin_process_free(process);
    return end.exit_code;
}

/* A program that closes what it does not know, and opens files of its own, hands none of them to children as stdin. */
static void stdin_is_null_whatever_the_program_closed(void)
{
    test_init();
    int ends[2];
    bool replaced[64] = {false}, any = false;
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    ck_assert_int_eq(write(ends[1], "x", 1), 1);
    ck_assert_int_eq(end_of_reader(), 3);
    for (int fd = 3; fd < 64; fd++) {
        char path[64], target[64] = "";
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (readlink(path, target, sizeof target - 1) > 0 && strcmp(target, "/dev/null") == 0)
            any = replaced[fd] = dup2(ends[0], fd) == fd;
    }
    ck_assert_msg(test_method() != KIN_START_FORK || any, "children's stdin is not kept");
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(end_of_reader(), 3);
    close(ends[0]);
    close(ends[1]);
    for (int fd = 3; fd < 64; fd++)
        if (replaced[fd])
            close(fd);
}

/* ---- another language's streams ---- */

static int start_by_fork(void *arg)
{
    (void)arg;
    kin_end end;
    kin_process *process =
        kin_process_start(return_three, NULL, 0, KIN_PROCESS_OPTIONS(.start_method = KIN_START_FORK));
    if (!process || kin_process_join(process, 10) || kin_process_end(process, &end))
        return 4;
    kin_process_free(process);
    return end.exit_code;
}

/* A program may load a library in C++ that has no use for std::cout, which then nobody has made. */
static void streams_that_nobody_has_made_are_not_flushed(void)
{
#if defined(__SANITIZE_ADDRESS__)
    test_skip("AddressSanitizer has to be loaded first, and has such streams anyway");
#endif
    setenv("LD_PRELOAD", "libstdc++.so.6", 1); /* for the new image */
    test_init();
    kin_end end;
    kin_process *process = start(start_by_fork, NULL);
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    ck_assert_int_eq(kin_process_end(process, &end), 0);
    char text[200];
    ck_assert_msg(end.how == KIN_END_EXITED && end.exit_code == 3, "%s",
                  kin_end_text(&end, text, sizeof text));
    kin_process_free(process);
}

/* ---- cancelled threads ---- */

static void *ask_cancelled(void *process)
{
    pthread_cancel(pthread_self());
    kin_process_is_alive(process); /* has points at which it may end, with a mutex held */
    pthread_testcancel();
    return NULL;
}

static void *start_cancelled(void *started)
{
    pthread_cancel(pthread_self());
    *(kin_process **)started =
        kin_process_start_shared(wait_for_signal, NULL, KIN_PROCESS_OPTIONS(.start_method = test_method()));
    pthread_testcancel();
    return NULL;
}

static void *log_cancelled(void *unused)
{
    pthread_cancel(pthread_self());
    kin_log(KIN_LOG_ERROR, "a thread that is about to end");
    pthread_testcancel();
    return unused;
}

static void *join_for_ever(void *process)
{
    int error = kin_process_join(process, KIN_FOREVER);
    ck_assert_int_eq(error, 0);
    return NULL;
}

static int sleep_while_preparing(void *arg)
{
    (void)arg;
    for (;;)
        pause();
    return 0;
}

static void *prepare_in_vain(void *unused)
{
    /* No assertion of Check's: a thread cancelled within one leaves its memory. */
    if (kin_forkserver_prepare(sleep_while_preparing, NULL, 0, 0.3) == KIN_ETIMEDOUT)
        pthread_testcancel();
    return unused;
}

static void must_be_cancelled(void *(*body)(void *), void *arg)
{
    pthread_t thread;
    void *result;
    ck_assert_int_eq(pthread_create(&thread, NULL, body, arg), 0);
    ck_assert_int_eq(pthread_join(thread, &result), 0);
    ck_assert_ptr_eq(result, PTHREAD_CANCELED);
}

/* In the midst of a call that takes longer; if it has not come to that, it is cancelled all the same. */
static void must_be_cancelled_in(void *(*body)(void *), void *arg)
{
    pthread_t thread;
    void *result;
    ck_assert_int_eq(pthread_create(&thread, NULL, body, arg), 0);
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    pthread_cancel(thread);
    ck_assert_int_eq(pthread_join(thread, &result), 0);
    ck_assert_ptr_eq(result, PTHREAD_CANCELED);
}

/* Neither a mutex nor a process that nobody knows. */
static void cancelled_thread_leaves_nothing_held(void)
{
    test_init();
    kin_log_set_level(KIN_LOG_ERROR); /* of a fork beside threads */
    kin_process *process = start(wait_for_signal, NULL), *started = NULL;
    must_be_cancelled(ask_cancelled, process);
    must_be_cancelled(start_cancelled, &started);
    ck_assert_ptr_nonnull(started);
    kin_process_free(process);
    kin_process_free(started);
    process = start(return_three, NULL);
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    kin_process_free(process);
}

static void thread_that_is_cancelled_while_it_logs_holds_up_no_other(void)
{
    must_be_cancelled(log_cancelled, NULL);
    kin_log(KIN_LOG_ERROR, "another one goes on");
}

static int print_a_line(void *arg)
{
    (void)arg;
    puts("a line");
    return 0;
}

/* A stdout that takes nothing more. Returns what it was. */
static int fill_stdout(int ends[2])
{
    static char bytes[4096];
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    fflush(stdout);
    int before = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    ck_assert_int_ge(before, 0);
    ck_assert_int_eq(dup2(ends[1], STDOUT_FILENO), STDOUT_FILENO);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    while (write(ends[1], bytes, sizeof bytes) > 0)
        continue;
    fcntl(ends[1], F_SETFL, 0);
    return before;
}

static void thread_that_is_cancelled_while_output_is_owed_holds_up_no_other(void)
{
    int ends[2];
    test_init();
    kin_log_set_level(KIN_LOG_ERROR);
    int before = fill_stdout(ends);
    kin_process *process =
        kin_process_start(print_a_line, NULL, 0,
                          KIN_PROCESS_OPTIONS(.start_method = test_method(), .output = KIN_OUTPUT_LINES));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    must_be_cancelled_in(join_for_ever, process);
    ck_assert_int_eq(dup2(before, STDOUT_FILENO), STDOUT_FILENO);
    close(before);
    close(ends[0]);
    close(ends[1]);
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    kin_process_free(process);
}

static void thread_that_is_cancelled_while_it_prepares_holds_up_no_start(void)
{
    test_init();
    kin_log_set_level(KIN_LOG_ERROR);
    must_be_cancelled_in(prepare_in_vain, NULL);
    kin_process *process = start(return_three, NULL);
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    kin_process_free(process);
}

static int fork_and_ask_for_the_parent(void *arg)
{
    (void)arg;
    pid_t pid = fork();
    if (pid == 0)
        _exit(kin_current_process() && !kin__child_is_orphan() ? 3 : 4);
    int status;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 5;
}

/* Its parent is the child, not the child's. */
static void plain_fork_of_a_child_is_no_orphan(void)
{
    test_init();
    kin_end end;
    kin_process *process = start(fork_and_ask_for_the_parent, NULL);
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    ck_assert_int_eq(kin_process_end(process, &end), 0);
    ck_assert_int_eq(end.exit_code, 3);
    kin_process_free(process);
}

/* ---- statuses and signals ---- */

static void collect_all(int number)
{
    (void)number;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        continue;
}

/* The program's handler may collect the child before its starter has a descriptor for it: no search for what is gone. */
static void collected_child_is_not_waited_for(void)
{
    test_init();
    signal(SIGCHLD, collect_all);
    double longest = 0;
    for (int i = 0; i < 300; i++) {
        kin_process *process = start(return_three, NULL);
        while (kin_process_is_alive(process)) {
            struct timespec from, to;
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
            int error = kin_process_join(process, 0.01);
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
            ck_assert(error == 0 || error == KIN_ETIMEDOUT);
            double took = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) * 1e-9;
            longest = took > longest ? took : longest;
        }
        kin_process_free(process);
    }
    ck_assert_msg(longest < 0.3, "a join of 10 ms took %g s of CPU", longest);
}

static void too_large_an_argument_is_refused(void)
{
    test_init();
    char byte = 0;
    ck_assert_ptr_null(kin_process_start(return_three, &byte, SIZE_MAX - 99, NULL));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
}

static bool is_zombie(pid_t pid)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* A member that waits for something of the dead may be the first to recover it, and tells its end. Only the starter can
 * collect its status: by a join, or when it lets go of the process. */
static void who_was_recovered_by_another_does_not_stay_a_zombie(void)
{
    test_init();
    for (int joined = 1; joined >= 0; joined--) {
        kin_process *process = start(wait_for_signal, NULL);
        kin__id id = process->id;
        while (kin__member_find(id) && kin__member_state(kin__member_find(id)) != KIN__ALIVE)
            usleep(1000);
        pid_t pid = kin_process_pid(process), other = fork();
        if (other == 0) {
            child_assert(kin__self() != NULL);
            kill(pid, SIGKILL);
            while (kin__member_recover(id) != 0)
                usleep(1000);
            _exit(0);
        }
        int status;
        kin_end end;
        ck_assert_int_eq(waitpid(other, &status, 0), other);
        ck_assert_int_eq(status, 0);
        ck_assert(is_zombie(pid)); /* with one child there is no guardian */
        if (joined) {
            ck_assert_int_eq(kin_process_join(process, 0), 0);
            ck_assert(!is_zombie(pid));
            ck_assert_int_eq(kin_process_end(process, &end), 0);
            ck_assert_int_eq(end.signal, SIGKILL);
        }
        kin_process_free(process);
        ck_assert(!is_zombie(pid));
    }
}

static const struct test tests[] = {
    {"who_was_recovered_by_another_does_not_stay_a_zombie",
     who_was_recovered_by_another_does_not_stay_a_zombie, 20, TEST_EACH_METHOD},
    {"who_waits_for_an_orphan_touches_no_freed_object", who_waits_for_an_orphan_touches_no_freed_object, 20,
     TEST_EACH_METHOD},
    {"kill_never_hits_a_process_with_the_same_number", kill_never_hits_a_process_with_the_same_number, 20,
     TEST_NOT_VALGRIND},
    {"zombie_of_a_deaf_tracer_is_collected_later", zombie_of_a_deaf_tracer_is_collected_later, 20,
     TEST_EACH_METHOD},
    {"zombie_whose_process_was_freed_is_collected_at_the_next_start",
     zombie_whose_process_was_freed_is_collected_at_the_next_start, 20, TEST_EACH_METHOD},
    {"zombie_of_a_deaf_tracer_is_collected_by_the_guardian",
     zombie_of_a_deaf_tracer_is_collected_by_the_guardian, 20, TEST_EACH_METHOD},
    {"arena_given_to_one_that_dies_at_its_start_is_freed", arena_given_to_one_that_dies_at_its_start_is_freed,
     20, TEST_EACH_METHOD},
    {"plain_forks_that_ask_for_themselves_leave_no_slot", plain_forks_that_ask_for_themselves_leave_no_slot,
     60, TEST_NOT_VALGRIND},
    {"who_is_not_the_starter_waits_until_the_end_is_told", who_is_not_the_starter_waits_until_the_end_is_told,
     20, TEST_EACH_METHOD},
    {"child_may_call_kin_init_again", child_may_call_kin_init_again, 10, TEST_EACH_METHOD},
    {"init_that_failed_may_be_tried_again", init_that_failed_may_be_tried_again, 10, TEST_EACH_METHOD},
    {"program_without_standard_streams", program_without_standard_streams, 20, TEST_NOT_VALGRIND},
    {"stdin_is_null_whatever_the_program_closed", stdin_is_null_whatever_the_program_closed, 20,
     TEST_EACH_METHOD | TEST_NOT_VALGRIND},
    {"streams_that_nobody_has_made_are_not_flushed", streams_that_nobody_has_made_are_not_flushed, 20,
     TEST_EACH_METHOD | TEST_NOT_VALGRIND},
    {"cancelled_thread_leaves_nothing_held", cancelled_thread_leaves_nothing_held, 20,
     TEST_EACH_METHOD | TEST_NOT_VALGRIND},
    {"thread_that_is_cancelled_while_it_logs_holds_up_no_other",
     thread_that_is_cancelled_while_it_logs_holds_up_no_other, 10, TEST_NOT_VALGRIND},
    {"thread_that_is_cancelled_while_output_is_owed_holds_up_no_other",
     thread_that_is_cancelled_while_output_is_owed_holds_up_no_other, 20,
     TEST_EACH_METHOD | TEST_NOT_VALGRIND},
    {"thread_that_is_cancelled_while_it_prepares_holds_up_no_start",
     thread_that_is_cancelled_while_it_prepares_holds_up_no_start, 20, TEST_BY_FORKSERVER},
    {"plain_fork_of_a_child_is_no_orphan", plain_fork_of_a_child_is_no_orphan, 20,
     TEST_EACH_METHOD | TEST_NOT_VALGRIND},
    {"collected_child_is_not_waited_for", collected_child_is_not_waited_for, 30, TEST_NOT_VALGRIND},
    {"too_large_an_argument_is_refused", too_large_an_argument_is_refused, 10, 0},
};
TEST_MAIN("process_races", tests)
