/* closed_test.c - kin/process.h: the program closes descriptors that are not its own (closefrom), and opens files of its own under
 * the same numbers. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kin.h"
#include "os/os.h"
#include "process/process_shared.h"

#define TOP (test_time_left() - 0.5)
#define FDS 256
#define SOON 9.0 /* seconds: the guardian looks each half second */

/* ---- closing ---- */

static bool was_open[FDS]; /* before there was a family: Check's */
static int closed[FDS];
static size_t closed_count;

static void found_family(void)
{
    for (int fd = 0; fd < FDS; fd++)
        was_open[fd] = fcntl(fd, F_GETFD) >= 0;
    test_init();
}

/* As closefrom(3), but for what is Check's. */
static void close_all(void)
{
    closed_count = 0;
    for (int fd = 3; fd < FDS; fd++)
        if (!was_open[fd] && close(fd) == 0)
            closed[closed_count++] = fd;
}

/* Files of the program's under the numbers that were kin's; they must be there to the last, and as they were. */
enum kind { EVENTS, PIPE, PIDFD, EPOLL, KINDS };

static struct {
    int fds[KINDS], source[KINDS];
    ino_t inode[FDS];
    pid_t stranger;
} ours;

static pid_t fork_stranger(void)
{
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    ck_assert_int_gt(pid, 0);
    return pid;
}

/* Each number gets a file of the next kind: whichever of kin's it was, in some round it meets each. The epoll has in it what lies
 * under all other numbers, as a program's would. */
static void take_numbers(size_t round)
{
    int pipe_ends[2];
    ours.stranger = fork_stranger();
    ck_assert_int_eq(pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK), 0);
    int made[KINDS] = {[EVENTS] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                       [PIPE] = pipe_ends[1],
                       [PIDFD] = (int)syscall(SYS_pidfd_open, ours.stranger, 0),
                       [EPOLL] = epoll_create1(EPOLL_CLOEXEC)};
    int high[KINDS];
    int high_read = fcntl(pipe_ends[0], F_DUPFD_CLOEXEC, FDS);
    for (int i = 0; i < KINDS; i++) {
        high[i] = fcntl(made[i], F_DUPFD_CLOEXEC, FDS);
        ck_assert_int_ge(high[i], FDS);
        close(made[i]);
    }
    close(pipe_ends[0]);
    for (int i = 0; i < KINDS; i++)
        ours.source[i] = high[i];
    ours.fds[PIPE] = high_read;
    for (size_t i = 0; i < closed_count; i++)
        ck_assert_int_eq(dup3(high[(i + round) % KINDS], closed[i], O_CLOEXEC), closed[i]);
    for (size_t i = 0; i < closed_count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)closed[i]};
        if ((i + round) % KINDS != EPOLL)
            ck_assert_int_eq(epoll_ctl(high[EPOLL], EPOLL_CTL_ADD, closed[i], &event), 0);
    }
}

static bool same_file(int a, int b)
{
    return syscall(SYS_kcmp, getpid(), getpid(), 0 /* KCMP_FILE */, a, b) == 0;
}

static void assert_untouched(size_t round)
{
    char byte;
    uint64_t count;
    ck_assert_int_eq(waitpid(ours.stranger, NULL, WNOHANG), 0);
    ck_assert_int_eq(read(ours.fds[PIPE], &byte, 1), -1);
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_int_eq(read(ours.source[EVENTS], &count, sizeof count), -1);
    ck_assert_int_eq(errno, EAGAIN);
    for (size_t i = 0; i < closed_count; i++) {
        int kind = (int)((i + round) % KINDS);
        struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)closed[i]};
        ck_assert_msg(same_file(closed[i], ours.source[kind]), "descriptor %d is not the program's any more",
                      closed[i]);
        if (kind != EPOLL) /* it is there still */
            ck_assert_int_eq(epoll_ctl(ours.source[EPOLL], EPOLL_CTL_ADD, closed[i], &event), -1);
    }
    struct epoll_event event;
    ck_assert_int_eq(epoll_wait(ours.source[EPOLL], &event, 1, 0), 0);
}

static void give_numbers_back(void)
{
    for (size_t i = 0; i < closed_count; i++)
        close(closed[i]);
    for (int i = 0; i < KINDS; i++)
        close(ours.source[i]);
    close(ours.fds[PIPE]);
    kill(ours.stranger, SIGKILL);
    waitpid(ours.stranger, NULL, 0);
}

/* ---- children ---- */

static int wait_for_signal(void *arg)
{
    (void)arg;
    for (;;)
        pause();
    return 0;
}

static kin_process *start_with(kin_process_fn fn, void *shared, kin_process_options options)
{
    options.size = sizeof options;
    options.start_method = test_method();
    kin_process *process = kin_process_start_shared(fn, shared, &options);
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    return process;
}

static kin_process *start(kin_process_fn fn, void *shared)
{
    return start_with(fn, shared, (kin_process_options){0});
}

static bool is_readable(int fd)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};
    return poll(&one, 1, 0) == 1 && one.revents & POLLIN;
}

static void assert_died_of(kin_process *process, int number)
{
    kin_end end;
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    ck_assert_int_eq(kin_process_end(process, &end), 0);
    ck_assert_int_eq(end.how, KIN_END_SIGNALED);
    ck_assert_int_eq(end.signal, number);
}

static void all_calls_work(int children, size_t round, bool taken)
{
    kin_process *processes[3];
    for (int i = 0; i < children; i++)
        processes[i] = start(wait_for_signal, NULL);
    close_all();
    ck_assert_uint_gt(closed_count, 0);
    if (taken)
        take_numbers(round);
    for (int i = 0; i < children; i++) {
        kin_process *process = processes[i];
        ck_assert(kin_process_is_alive(process));
        ck_assert_int_eq(kin_process_join(process, 0), KIN_ETIMEDOUT);
        int sentinel = kin_process_sentinel(process);
        ck_assert_int_ge(sentinel, 0);
        ck_assert(!is_readable(sentinel));
        ck_assert_int_eq(i & 1 ? kin_process_terminate(process) : kin_process_kill(process), 0);
        assert_died_of(process, i & 1 ? SIGTERM : SIGKILL);
        ck_assert(is_readable(sentinel));
        ck_assert(!kin_process_is_alive(process));
        ck_assert_int_eq(kin_process_kill(process), 0);
        if (taken)
            assert_untouched(round);
    }
    for (int i = 0; i < children; i++)
        kin_process_free(processes[i]);
    if (taken) {
        assert_untouched(round);
        give_numbers_back();
    }
}

static void lone_child_is_killed_though_its_descriptor_was_closed(void)
{
    found_family();
    all_calls_work(1, 0, false);
}

static void children_are_killed_though_their_descriptors_were_closed(void)
{
    found_family();
    all_calls_work(3, 0, false);
}

/* Afterwards spawn is refused: a round in a process each. */
static void in_rounds(int children)
{
    for (size_t round = 0; round < KINDS; round++) {
        pid_t pid = fork();
        if (pid == 0) {
            found_family();
            all_calls_work(children, round, true);
            _exit(0);
        }
        int status;
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_msg(status == 0, "round %zu ended with status %#x", round, (unsigned)status);
    }
}

static void no_signal_goes_to_what_has_its_number(void)
{
    in_rounds(1);
}

static void no_descriptor_of_the_programs_is_written_to_closed_or_waited_for(void)
{
    in_rounds(3);
}

/* Who frees kills first: that too must find the process, and nobody else. */
static void freed_process_is_killed(void)
{
    found_family();
    kin_process *process = start(wait_for_signal, NULL), *other = start(wait_for_signal, NULL);
    int pid = kin_process_pid(process);
    close_all();
    take_numbers(2);
    kin_process_free(process);
    ck_assert(kill(pid, 0) < 0 && errno == ESRCH);
    ck_assert(kin_process_is_alive(other));
    kin_process_free(other);
    assert_untouched(2);
    give_numbers_back();
}

/* A process whose family has a daemon, which ends with it; the stranger has all of kin's numbers. */
static void end_with_a_daemon(int stranger, int tell)
{
    found_family();
    const kin_process *daemon = start_with(wait_for_signal, NULL, (kin_process_options){.daemon = true});
    int pid = kin_process_pid(daemon);
    was_open[tell] = was_open[stranger] = true;
    close_all();
    for (size_t i = 0; i < closed_count; i++)
        ck_assert_int_eq(dup3(stranger, closed[i], O_CLOEXEC), closed[i]);
    ck_assert_int_eq(write(tell, &pid, sizeof pid), sizeof pid);
    exit(0);
}

static void daemon_ends_with_its_parent_and_nobody_else(void)
{
    int ends[2], daemon, status;
    pid_t stranger = fork_stranger();
    int pidfd = (int)syscall(SYS_pidfd_open, stranger, 0);
    ck_assert_int_eq(pipe(ends), 0);
    pid_t parent = fork();
    if (parent == 0)
        end_with_a_daemon(pidfd, ends[1]);
    ck_assert_int_eq(read(ends[0], &daemon, sizeof daemon), sizeof daemon);
    ck_assert(waitpid(parent, &status, 0) == parent && status == 0);
    ck_assert(kill(daemon, 0) < 0 && errno == ESRCH);
    ck_assert_int_eq(waitpid(stranger, NULL, WNOHANG), 0);
    kill(stranger, SIGKILL);
    waitpid(stranger, NULL, 0);
    close(pidfd);
    close(ends[0]);
    close(ends[1]);
}

/* ---- the guardian ---- */

static void ends_are_noticed_by(double deadline, const kin_process *process)
{
    while (!atomic_load(&process->ended) && kin__os_now() < deadline)
        usleep(1000);
    ck_assert_msg(atomic_load(&process->ended), "nobody has noticed the end within %g s", SOON);
}

/* Nobody asks: it is told all the same. */
static void guardian_goes_on(void)
{
    found_family();
    kin_process *processes[4];
    for (int i = 0; i < 4; i++)
        processes[i] = start(wait_for_signal, NULL);
    for (int i = 0; i < 2; i++) { /* what it has opened again may be closed again */
        close_all();
        kill(kin_process_pid(processes[i]), SIGKILL);
        ends_are_noticed_by(kin__os_now() + SOON, processes[i]);
    }
    close_all();
    take_numbers(1);
    kill(kin_process_pid(processes[2]), SIGKILL);
    ends_are_noticed_by(kin__os_now() + SOON, processes[2]);
    assert_untouched(1);
    for (int i = 0; i < 4; i++)
        kin_process_free(processes[i]);
    assert_untouched(1);
    give_numbers_back();
}

static void limit_of_wall_time_is_kept(void)
{
    found_family();
    kin_process *process = start_with(
        wait_for_signal, NULL, (kin_process_options){.limits = {.wall_time = {.soft = 0.5, .hard = 5}}});
    close_all();
    kin_end end;
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    ck_assert_int_eq(kin_process_end(process, &end), 0);
    ck_assert_int_eq(end.signal, SIGTERM);
    ck_assert_int_eq(end.limit, KIN_LIMIT_WALL_TIME);
    kin_process_free(process);
}

/* ---- further children ---- */

static int return_three(void *arg)
{
    (void)arg;
    return 3;
}

static void start_works_by_fork_and_is_refused_by_others(void)
{
    found_family();
    kin_process_free(start(return_three, NULL));
    close_all();
    kin_process *process = kin_process_start(return_three, NULL, 0, NULL);
    if (test_method() == KIN_START_FORK) {
        kin_end end;
        ck_assert_msg(process != NULL, "%s", kin_error_message());
        ck_assert_int_eq(kin_process_join(process, TOP), 0);
        ck_assert_int_eq(kin_process_end(process, &end), 0);
        ck_assert_int_eq(end.exit_code, 3);
        kin_process_free(process);
    } else {
        ck_assert_ptr_null(process);
        ck_assert_int_eq(kin_error_code(), KIN_ESYSTEM);
        ck_assert_msg(strstr(kin_error_message(), "has closed kin's descriptor"), "%s", kin_error_message());
    }
}

static int close_and_start(void *arg)
{
    _Atomic int *pid = arg;
    kin_process *process =
        kin_process_start(wait_for_signal, NULL, 0, KIN_PROCESS_OPTIONS(.start_method = KIN_START_FORK));
    child_assert(process);
    for (int fd = 3; fd < FDS; fd++)
        close(fd);
    atomic_store(pid, kin_process_pid(process));
    child_assert(kin_process_kill(process) == 0);
    child_assert(kin_process_join(process, 20) == 0);
    kin_process_free(process);
    return 3;
}

static void member_closes_all_and_ends_in_order(void)
{
    found_family();
    _Atomic int *pid = kin_calloc(1, sizeof *pid);
    kin_process *process = start(close_and_start, (void *)pid);
    kin_end end;
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    ck_assert_int_eq(kin_process_end(process, &end), 0);
    ck_assert_int_eq(end.how, KIN_END_EXITED);
    ck_assert_int_eq(end.exit_code, 3);
    ck_assert(kill(*pid, 0) < 0 && errno == ESRCH);
    kin_process_free(process);
}

/* ---- output ---- */

struct talk {
    _Atomic uint32_t lines; /* that it is to print */
};

static int print_when_told(void *arg)
{
    struct talk *talk = arg;
    for (uint32_t printed = 0; printed < 3;) {
        uint32_t lines = atomic_load(&talk->lines);
        if (printed == lines)
            kin__os_futex_wait(&talk->lines, lines, 0.1);
        else
            printf("line %u\n", ++printed);
        fflush(stdout);
    }
    return 3;
}

static void print_one(struct talk *talk, kin_process *process)
{
    char wanted[32], output[256] = "";
    snprintf(wanted, sizeof wanted, "line %u\n", atomic_fetch_add(&talk->lines, 1) + 1);
    kin__os_futex_wake(&talk->lines, 1);
    while (!strstr(output, wanted) && test_time_left() > 1) {
        ck_assert_int_eq(kin_process_output(process, output, sizeof output, NULL), 0);
        usleep(1000);
    }
    ck_assert_msg(strstr(output, wanted) != NULL, "\"%s\" is not in \"%s\"", wanted, output);
}

/* Its pipe is opened again by way of the process. */
static void captured_output_is_not_lost(void)
{
    found_family();
    struct talk *talk = kin_calloc(1, sizeof *talk);
    kin_process *process =
        start_with(print_when_told, talk, (kin_process_options){.output = KIN_OUTPUT_CAPTURE});
    print_one(talk, process);
    close_all();
    take_numbers(0);
    print_one(talk, process);
    print_one(talk, process);
    kin_error story;
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    ck_assert_int_eq(kin_process_error(process, &story), 0);
    ck_assert_int_eq(story.code, KIN_EFAILED);
    ck_assert_msg(strstr(story.message, "line 3"), "%s", story.message);
    kin_process_free(process);
    assert_untouched(0);
    give_numbers_back();
}

static int print_much(void *unused)
{
    (void)unused;
    for (int i = 0; i < 1000; i++)
        puts("a line of some length, so that the relay has something to do");
    return 7;
}

/* One of kin's, the others stay: also one end of what has two. A signal of that (SIGPIPE) would end this process. */
static void any_one_of_them_may_be_closed(void)
{
    found_family();
    for (int round = 0; round < 16; round++) {
        kin_process *processes[2];
        processes[0] = start_with(print_much, NULL, (kin_process_options){.output = KIN_OUTPUT_CAPTURE});
        for (int fd = 3, nth = 0; fd < FDS && nth <= round; fd++)
            if (!was_open[fd] && fcntl(fd, F_GETFD) >= 0 && nth++ == round)
                close(fd);
        processes[1] = start_with(print_much, NULL, (kin_process_options){.output = KIN_OUTPUT_CAPTURE});
        for (int i = 0; i < 2; i++) {
            kin_end end;
            ck_assert_int_eq(kin_process_join(processes[i], TOP), 0);
            ck_assert_int_eq(kin_process_end(processes[i], &end), 0);
            ck_assert_int_eq(end.exit_code, 7);
            kin_process_free(processes[i]);
        }
    }
}

/* ---- pids that are used again ---- */

/* The descriptor is lost, the status collected by the program, and the number is another child's of the program. */
static void another_child_with_its_number_is_not_taken_for_it(void)
{
    found_family();
    kin_process *process = start(wait_for_signal, NULL);
    pid_t pid = kin_process_pid(process);
    usleep(50000); /* start times come in ticks of 10 ms, and are compared with some more */
    close_all();
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    pid_t stranger = test_fork_as(pid);
    if (!stranger) {
        kin_process_free(process);
        test_skip("/proc/sys/kernel/ns_last_pid cannot be set: no way to have a number again");
    }
    ck_assert_int_eq(kin_process_kill(process), 0);
    ck_assert(!kin_process_is_alive(process));
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    ck_assert(is_readable(kin_process_sentinel(process)));
    kin_process_free(process);
    usleep(20000);
    ck_assert_int_eq(waitpid(stranger, NULL, WNOHANG), 0);
    kill(stranger, SIGKILL);
    waitpid(stranger, NULL, 0);
}

/* ---- kernels whose pidfds have no inode of their own ---- */

static void refuse_fstatfs(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fstatfs, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof rules / sizeof *rules, .filter = rules};
    ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0), 0);
}

/* Then /proc tells whose they are; the inode, as if it were the same of all. */
static void pidfds_are_told_apart_by_proc(void)
{
    pid_t one = fork_stranger(), other = fork_stranger();
    int pidfd = kin__os_pidfd_of_child(one), second = kin__os_pidfd_of_child(other);
    int events = eventfd(0, EFD_CLOEXEC);
    struct kin__file file = kin__os_file_of(pidfd), second_file = kin__os_file_of(second),
                     events_file = kin__os_file_of(events);
    refuse_fstatfs();
    ck_assert(kin__os_pidfd_is(pidfd, &file, one));
    ck_assert(!kin__os_pidfd_is(second, &second_file, one));
    ck_assert(!kin__os_pidfd_is(events, &events_file, one));
    ck_assert(!kin__os_pidfd_is(-1, &file, one));
    kill(one, SIGKILL);
    kill(other, SIGKILL);
    ck_assert(waitpid(one, NULL, 0) == one && waitpid(other, NULL, 0) == other);
    ck_assert(!kin__os_pidfd_is(pidfd, &file, one));
    close(pidfd);
    close(second);
    close(events);
}

static const struct test tests[] = {
    {"lone_child_is_killed_though_its_descriptor_was_closed",
     lone_child_is_killed_though_its_descriptor_was_closed, 20, TEST_EACH_METHOD},
    {"children_are_killed_though_their_descriptors_were_closed",
     children_are_killed_though_their_descriptors_were_closed, 20, TEST_EACH_METHOD},
    {"no_signal_goes_to_what_has_its_number", no_signal_goes_to_what_has_its_number, 30, TEST_EACH_METHOD},
    {"no_descriptor_of_the_programs_is_written_to_closed_or_waited_for",
     no_descriptor_of_the_programs_is_written_to_closed_or_waited_for, 30, TEST_EACH_METHOD},
    {"freed_process_is_killed", freed_process_is_killed, 20, TEST_EACH_METHOD},
    {"daemon_ends_with_its_parent_and_nobody_else", daemon_ends_with_its_parent_and_nobody_else, 20,
     TEST_EACH_METHOD},
    {"guardian_goes_on", guardian_goes_on, 30, TEST_EACH_METHOD},
    {"limit_of_wall_time_is_kept", limit_of_wall_time_is_kept, 20, TEST_EACH_METHOD},
    {"start_works_by_fork_and_is_refused_by_others", start_works_by_fork_and_is_refused_by_others, 20,
     TEST_EACH_METHOD},
    {"member_closes_all_and_ends_in_order", member_closes_all_and_ends_in_order, 20, TEST_EACH_METHOD},
    {"captured_output_is_not_lost", captured_output_is_not_lost, 20, TEST_EACH_METHOD},
    {"any_one_of_them_may_be_closed", any_one_of_them_may_be_closed, 20, 0},
    {"another_child_with_its_number_is_not_taken_for_it", another_child_with_its_number_is_not_taken_for_it,
     20, TEST_NOT_VALGRIND},
    {"pidfds_are_told_apart_by_proc", pidfds_are_told_apart_by_proc, 10, TEST_NOT_VALGRIND},
};
TEST_MAIN("closed", tests)
