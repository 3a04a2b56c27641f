/*
 * output_cases_test.c - what processes print when something else goes wrong: nobody reads, the starter dies, others
 * hold the pipe, descriptors or memory are short.
 */
#include "output_common.h"

#include "process/printed.h"
#include "process/process_shared.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static int open_descriptors(void)
{
    int count = 0;
    DIR *all = opendir("/proc/self/fd");
    child_assert(all != NULL);
    while (readdir(all))
        count++;
    closedir(all);
    return count;
}

static bool ends_within(pid_t pid, double seconds)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0)
        return errno == ESRCH;
    struct pollfd one = {.fd = pidfd, .events = POLLIN};
    bool ended = poll(&one, 1, (int)(seconds * 1000)) == 1;
    close(pidfd);
    return ended;
}

/* ---- nobody reads -------------------------------------------------------------------------------- */

struct counting {
    long lines;
    _Atomic long printed;
};

static int count_aloud(void *arg)
{
    struct counting *counting = *(struct counting **)arg;
    for (long i = 0; i < counting->lines; i++) {
        printf("line %ld\n", i);
        atomic_store(&counting->printed, i + 1);
    }
    return 0;
}

/* Reads a line after the other; they must be those of one who counts, behind the prefix. */
static void *read_lines(void *arg)
{
    FILE *from = fdopen(*(int *)arg, "r");
    char line[100];
    long expected = 0, number;
    while (fgets(line, sizeof line, from)) {
        if (sscanf(line, "[slow] line %ld", &number) != 1 || number != expected)
            break;
        expected++;
    }
    fclose(from);
    return (void *)expected;
}

static void who_prints_waits_while_nobody_reads(void)
{
    test_init();
    int ends[2];
    pthread_t reader;
    void *lines;
    char text[64];
    struct counting *slow = kin_calloc(1, sizeof *slow), *kept = kin_calloc(1, sizeof *kept);
    ck_assert(slow && kept && pipe2(ends, O_CLOEXEC) == 0);
    slow->lines = 50000;
    kept->lines = 50000;
    redirect_to(ends[1], ends[1]);
    close(ends[1]);
    kin_process *waits = start_printing(count_aloud, &slow, sizeof slow, "slow", KIN_OUTPUT_PREFIX);
    kin_process *goes_on = start_printing(count_aloud, &kept, sizeof kept, "kept", KIN_OUTPUT_CAPTURE);
    int captured = kin_process_join(goes_on, TOP); /* though the other's lines are in nobody's way out */
    int waiting = kin_process_join(waits, 0.2);
    bool bounded = atomic_load(&slow->printed) < slow->lines;
    ck_assert_int_eq(pthread_create(&reader, NULL, read_lines, &ends[0]), 0);
    int released = kin_process_join(waits, TOP);
    redirect_back(); /* the reader's end of file */
    test_surroundings_changed();
    pthread_join(reader, &lines);
    ck_assert_int_eq(kin_process_output(goes_on, text, 13, NULL), 0);
    kin_process_free(waits);
    kin_process_free(goes_on);
    kin_free(slow);
    kin_free(kept);
    ck_assert_str_eq(text, "line 49999\n");
    ck_assert_int_eq(captured, 0);
    ck_assert_int_eq(waiting, KIN_ETIMEDOUT);
    ck_assert(bounded);
    ck_assert_int_eq(released, 0);
    ck_assert_int_eq((long)lines, 50000);
}

#define LONG_LINE 20000

static int print_long_lines(void *arg)
{
    static char line[LONG_LINE + 1];
    memset(line, *(char *)arg, LONG_LINE);
    for (int i = 0; i < 30; i++)
        puts(line);
    return 0;
}

/* Slowly, so that the pipe is full again and again. How many lines were whole, of one letter. */
static void *read_long_lines(void *arg)
{
    FILE *from = fdopen(*(int *)arg, "r");
    static char line[LONG_LINE + 100];
    long whole = 0;
    while (fgets(line, sizeof line, from)) {
        usleep(300);
        if (strncmp(line, "[p] ", 4) == 0 && strspn(line + 4, (char[]){line[4], '\0'}) == LONG_LINE &&
            strcmp(line + 4 + LONG_LINE, "\n") == 0)
            whole++;
    }
    fclose(from);
    return (void *)whole;
}

static void long_lines_of_two_do_not_mix_in_a_pipe(void)
{
    test_init();
    int ends[2], error = 0;
    pthread_t reader;
    void *whole;
    kin_process *processes[2];
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    redirect_to(ends[1], ends[1]);
    close(ends[1]);
    for (int i = 0; i < 2; i++)
        processes[i] = start_printing(print_long_lines, i ? "b" : "a", 1, "p", KIN_OUTPUT_PREFIX);
    ck_assert_int_eq(pthread_create(&reader, NULL, read_long_lines, &ends[0]), 0);
    for (int i = 0; i < 2; i++)
        error |= kin_process_join(processes[i], TOP);
    redirect_back(); /* the reader's end of file */
    test_surroundings_changed();
    pthread_join(reader, &whole);
    for (int i = 0; i < 2; i++)
        kin_process_free(processes[i]);
    ck_assert_int_eq(error, 0);
    ck_assert_int_eq((long)whole, 60);
}

static _Atomic int warnings;

static void count_warnings(int level, const char *text, void *arg)
{
    (void)arg;
    if (level == KIN_LOG_WARNING && strstr(text, "what processes print is dropped"))
        atomic_fetch_add(&warnings, 1);
}

static void who_prints_goes_on_when_the_reader_has_gone(void)
{
    test_init();
    int ends[2];
    struct counting *counting = kin_calloc(1, sizeof *counting);
    ck_assert(counting && pipe2(ends, O_CLOEXEC) == 0);
    counting->lines = 20000;
    kin_log_set_callback(count_warnings, NULL);
    redirect_to(ends[1], ends[1]);
    close(ends[0]);
    close(ends[1]);
    kin_process *process = start_printing(count_aloud, &counting, sizeof counting, "p", KIN_OUTPUT_PREFIX);
    int error = kin_process_join(process, TOP);
    kin_end end;
    kin_process_end(process, &end);
    redirect_back();
    test_surroundings_changed();
    kin_process_free(process);
    ck_assert_int_eq(error, 0);
    ck_assert_int_eq(end.how, KIN_END_EXITED);
    ck_assert_int_eq(end.exit_code, 0);
    ck_assert_int_eq(atomic_load(&counting->printed), 20000);
    ck_assert_int_eq(atomic_load(&warnings), 1);
    kin_free(counting);
}

static void starter_without_streams(void)
{
    test_init();
    char text[64];
    struct counting *counting = kin_calloc(1, sizeof *counting);
    ck_assert_ptr_nonnull(counting);
    counting->lines = 3;
    kin_log_set_level(KIN_LOG_ERROR);
    int file = new_file();
    redirect_to(file, file);
    close(STDOUT_FILENO);
    close(STDERR_FILENO);
    test_surroundings_changed();
    kin_process *dropped = start_printing(count_aloud, &counting, sizeof counting, "p", KIN_OUTPUT_PREFIX);
    kin_process *kept = start_printing(count_aloud, &counting, sizeof counting, "q", KIN_OUTPUT_CAPTURE);
    int error = kin_process_join(dropped, TOP), other = kin_process_join(kept, TOP);
    redirect_back();
    test_surroundings_changed();
    ck_assert_int_eq(error, 0);
    ck_assert_int_eq(other, 0);
    ck_assert_int_eq(kin_process_output(kept, text, sizeof text, NULL), 0);
    ck_assert_str_eq(text, "line 0\nline 1\nline 2\n");
    kin_process_free(dropped);
    kin_process_free(kept);
    kin_free(counting);
    close(file);
}

/* ---- the starter dies ---------------------------------------------------------------------------- */

struct family {
    int output, method;
    _Atomic int printer, shell; /* pids */
};

/* Prints as fast as it can, while a shell that it has started says nothing. */
static int print_for_ever(void *arg)
{
    struct family *family = *(struct family **)arg;
    int ready[2];
    child_assert(pipe(ready) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ready[1], 9);
        execl("/bin/sh", "sh", "-c", "echo x >&9; exec sleep 1000 9>&-", (char *)NULL);
    }
    char byte;
    child_assert(read(ready[0], &byte, 1) == 1); /* so that it is a shell that has to end */
    atomic_store(&family->shell, (int)pid);
    atomic_store(&family->printer, (int)getpid());
    for (;;)
        printf("and on it goes\n");
}

static int start_printer(void *arg)
{
    struct family *family = *(struct family **)arg;
    kin_process *process =
        kin_process_start(print_for_ever, arg, sizeof family,
                          KIN_PROCESS_OPTIONS(.output = family->output, .start_method = family->method));
    child_assert(process != NULL);
    for (;;)
        pause();
}

static void members_of_a_dead_starter_end_in_order(void)
{
    test_init();
    for (int output = KIN_OUTPUT_LINES; output <= KIN_OUTPUT_CAPTURE; output++) {
        int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
        struct family *family = kin_calloc(1, sizeof *family);
        ck_assert_ptr_nonnull(family);
        family->output = output;
        family->method = test_method();
        redirect_to(nowhere, nowhere);
        kin_process *starter = start_printing(start_printer, &family, sizeof family, "s", KIN_OUTPUT_PASS);
        redirect_back();
        test_surroundings_changed();
        close(nowhere);
        while (!atomic_load(&family->printer) && kin_process_is_alive(starter) && test_time_left() > 1)
            usleep(200);
        ck_assert_int_ne(atomic_load(&family->printer), 0);
        usleep((useconds_t)(rand() % 3000));
        ck_assert_int_eq(kin_process_kill(starter), 0);
        ck_assert(ends_within(kin_process_pid(starter), TOP));
        bool printer = ends_within(atomic_load(&family->printer), 1);
        bool shell =
            ends_within(atomic_load(&family->shell), 1); /* by SIGPIPE the printer would have left it */
        ck_assert_int_eq(kin_process_join(starter, TOP), 0);
        kin_process_free(starter);
        kin_free(family);
        ck_assert(printer);
        ck_assert(shell);
    }
}

/* A relay that died in the middle of a turn. */
static void output_of_a_dead_starters_child_can_be_asked_for(void)
{
    test_init();
    char text[64];
    struct counting *counting = kin_calloc(1, sizeof *counting);
    ck_assert_ptr_nonnull(counting);
    counting->lines = 2;
    kin_process *process = start_printing(count_aloud, &counting, sizeof counting, "p", KIN_OUTPUT_CAPTURE);
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    atomic_fetch_add(&process->printed->turn, 1);
    double left = test_time_left();
    ck_assert_int_eq(kin_process_output(process, text, sizeof text, NULL), 0);
    ck_assert_str_eq(text, "line 0\nline 1\n");
    atomic_store(&process->printed->taken, UINT64_MAX / 2); /* nonsense is bounded */
    ck_assert_int_eq(kin_process_output(process, text, sizeof text, NULL), 0);
    ck_assert_double_le(left - test_time_left(), 1);
    kin_process_free(process);
    kin_free(counting);
}

/* ---- others hold the pipe ------------------------------------------------------------------------ */

static int leave_a_daemon(void *arg)
{
    _Atomic int *go = *(_Atomic int **)arg;
    printf("member\n");
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        atomic_store(go + 1, (int)getpid()); /* before that, it would end with the member */
        while (!atomic_load(go))
            usleep(1000);
        write(STDOUT_FILENO, "daemon\n", 7);
        atomic_store(go, 2);
        while (atomic_load(go) == 2)
            usleep(1000);
        _exit(0);
    }
    while (pid > 0 && !atomic_load(go + 1))
        usleep(1000);
    return pid > 0 ? 0 : 1;
}

static void who_has_a_session_of_its_own_is_not_waited_for(void)
{
    test_init();
    int file = new_file();
    _Atomic int *go = kin_calloc(2, sizeof *go);
    ck_assert_ptr_nonnull(go);
    redirect_to(file, file);
    kin_process *process = start_printing(leave_a_daemon, &go, sizeof go, "p", KIN_OUTPUT_PREFIX);
    int error = kin_process_join(process, TOP);
    kin_process_free(process);
    off_t then = lseek(file, 0, SEEK_END);
    atomic_store(go, 1);
    while (lseek(file, 0, SEEK_END) == then && test_time_left() > 1)
        usleep(1000);
    while (atomic_load(go) != 2)
        usleep(1000);
    int daemon = atomic_load(go + 1), with = open_descriptors();
    atomic_store(go, 3);
    redirect_back();
    test_surroundings_changed();
    char *text = text_of(file);
    ck_assert_int_eq(error, 0);
    ck_assert_int_eq(then, strlen("[p] member\n"));
    ck_assert_str_eq(text,
                     "[p] member\n[p] daemon\n"); /* it goes on being read, while the starter is there */
    free(text);
    ck_assert(ends_within(daemon, TOP));
    kin_free((void *)go);
    /* The relay sees the pipe's end, and with it goes the last descriptor. */
    int without = open_descriptors();
    for (; without >= with - 2 && test_time_left() > 2; without = open_descriptors())
        usleep(1000);
    ck_assert_int_lt(without, with - 2); /* and two that redirect_back has closed */
}

/* ---- what the process is left with --------------------------------------------------------------- */

static int tell_descriptors(void *arg)
{
    (void)arg;
    return open_descriptors();
}

/* Of the pipe it holds one end besides stdout and stderr. */
static void one_descriptor_is_all_it_has_more(void)
{
    test_init();
    int codes[2];
    kin_process *sibling = start_printing(tell_descriptors, NULL, 0, "s", KIN_OUTPUT_CAPTURE);
    for (int i = 0; i < 2; i++) {
        kin_end end;
        kin_process *process =
            start_printing(tell_descriptors, NULL, 0, "p", i ? KIN_OUTPUT_CAPTURE : KIN_OUTPUT_PASS);
        ck_assert_int_eq(kin_process_join(process, TOP), 0);
        ck_assert_int_eq(kin_process_end(process, &end), 0);
        codes[i] = end.exit_code;
        kin_process_free(process);
    }
    ck_assert_int_eq(kin_process_join(sibling, TOP), 0);
    kin_process_free(sibling);
    ck_assert_int_eq(codes[1], codes[0] + 1);
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void descriptors_that_run_out_are_told(void)
{
    test_init();
    struct rlimit before, few;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    kin_process *processes[64];
    int started = 0;
    few.rlim_cur = (rlim_t)open_descriptors() + 12;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    while (started < 64) {
        processes[started] = kin_process_start(
            nothing, NULL, 0,
            KIN_PROCESS_OPTIONS(.output = KIN_OUTPUT_CAPTURE, .start_method = test_method()));
        if (!processes[started])
            break;
        started++;
    }
    int code = kin_error_code();
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_int_lt(started, 64);
    ck_assert_int_eq(code, KIN_ESYSTEM);
    ck_assert_msg(strstr(kin_error_message(), "Too many open files") != NULL, "%s", kin_error_message());
    for (int i = 0; i < started; i++) {
        ck_assert_int_eq(kin_process_join(processes[i], TOP), 0);
        kin_process_free(processes[i]);
    }
}

static long resident_kib(void)
{
    FILE *statm = fopen("/proc/self/statm", "r");
    long size = 0, resident = 0;
    ck_assert(statm && fscanf(statm, "%ld %ld", &size, &resident) == 2);
    fclose(statm);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void much_output_needs_no_memory(void)
{
    test_init();
    struct counting *counting = kin_calloc(1, sizeof *counting);
    ck_assert_ptr_nonnull(counting);
    counting->lines = test_long() ? 4000000 : 200000;
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    for (int output = KIN_OUTPUT_PREFIX; output <= KIN_OUTPUT_CAPTURE; output++) {
        size_t printed = 0;
        char text[64];
        long before = resident_kib();
        redirect_to(nowhere, nowhere);
        kin_process *process = start_printing(count_aloud, &counting, sizeof counting, "p", output);
        int error = kin_process_join(process, TOP);
        redirect_back();
        test_surroundings_changed();
        long after = resident_kib();
        ck_assert_int_eq(error, 0);
        ck_assert_int_eq(kin_process_output(process, text, 15, &printed), 0);
        if (output == KIN_OUTPUT_CAPTURE) {
            ck_assert_uint_gt(printed, (size_t)counting->lines * 10);
            ck_assert_str_eq(text, test_long() ? "line 3999999\n" : "line 199999\n");
        }
        kin_process_free(process);
        ck_assert_int_lt(after - before, 2048);
    }
    close(nowhere);
    kin_free(counting);
}

static void one_after_another_nothing_grows(void)
{
    test_init();
    int rounds = test_long() ? 5000 : 300, descriptors = 0;
    long resident = 0;
    for (int i = 0; i < rounds; i++) {
        kin_process *process = start_printing(nothing, NULL, 0, "p", KIN_OUTPUT_CAPTURE);
        ck_assert_int_eq(kin_process_join(process, TOP), 0);
        kin_process_free(process);
        if (i == 20) {
            descriptors = open_descriptors();
            resident = resident_kib();
        }
    }
    ck_assert_int_eq(open_descriptors(), descriptors);
    ck_assert_int_lt(resident_kib() - resident, 1024);
}

/* ---- threads and forks --------------------------------------------------------------------------- */

static _Atomic int held;

/* Has text in a stream, and its lock. */
static void *hold_stdout(void *arg)
{
    flockfile(stdout);
    fputs("the thread's, ", stdout);
    atomic_store(&held, 1);
    while (atomic_load(&held) == 1)
        usleep(1000);
    fputs("and the rest\n", stdout);
    fflush(stdout);
    funlockfile(stdout);
    return arg;
}

static FILE *others;

static int print_to_both(void *arg)
{
    (void)arg;
    printf("child\n");
    if (others)
        fputs("child in another\n", others);
    return 0;
}

/* The parent cannot write it out before the fork; the child must not. */
static void what_a_thread_holds_is_not_printed_twice(void)
{
    test_init();
    kin_log_set_level(KIN_LOG_ERROR);
    for (int output = KIN_OUTPUT_PASS; output <= KIN_OUTPUT_LINES; output++) {
        pthread_t thread;
        int file = new_file(), other = new_file();
        others = fdopen(dup(other), "a");
        ck_assert_ptr_nonnull(others);
        fputs("parent in another\n", others);
        redirect_to(file, file);
        setvbuf(stdout, NULL, _IOFBF, BUFSIZ);
        atomic_store(&held, 0);
        ck_assert_int_eq(pthread_create(&thread, NULL, hold_stdout, NULL), 0);
        while (!atomic_load(&held))
            usleep(1000);
        kin_process *process = start_printing(print_to_both, NULL, 0, "p", output);
        int error = kin_process_join(process, TOP);
        atomic_store(&held, 2);
        pthread_join(thread, NULL);
        redirect_back();
        fclose(others);
        kin_process_free(process);
        char *text = text_of(file), *elsewhere = text_of(other);
        ck_assert_int_eq(error, 0);
        ck_assert_str_eq(text, "child\nthe thread's, and the rest\n");
        ck_assert_str_eq(elsewhere, "child in another\nparent in another\n");
        free(text);
        free(elsewhere);
    }
}

static int fork_and_print(void *arg)
{
    (void)arg;
    printf("before, ");
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        printf("from the fork, ");
        exit(0);
    }
    int status;
    child_assert(waitpid(pid, &status, 0) == pid);
    printf("after\n");
    return 0;
}

static void plain_forks_print_to_the_same(void)
{
    test_init();
    int file = new_file();
    redirect_to(file, file);
    kin_process *process = start_printing(fork_and_print, NULL, 0, "p", KIN_OUTPUT_PREFIX);
    int error = kin_process_join(process, TOP);
    redirect_back();
    kin_process_free(process);
    char *text = text_of(file);
    ck_assert_int_eq(error, 0);
    ck_assert_str_eq(text, "[p] before, from the fork, after\n");
    free(text);
}

/* The relay is at work while forks are made, by kin and by hand. */
static void forks_while_much_is_printed(void)
{
    test_init();
    int file = new_file();
    struct counting *counting = kin_calloc(1, sizeof *counting);
    ck_assert_ptr_nonnull(counting);
    counting->lines = 20000;
    redirect_to(file, file);
    kin_process *process = start_printing(count_aloud, &counting, sizeof counting, "p", KIN_OUTPUT_PREFIX);
    int error = 0;
    for (int i = 0; i < 50 && !error; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(kin_current_process() ? 0 : 1);
        int status;
        if (waitpid(pid, &status, 0) != pid || status != 0)
            error = 1;
        kin_process *other =
            start_printing(nothing, NULL, 0, "q", i % 2 ? KIN_OUTPUT_CAPTURE : KIN_OUTPUT_PASS);
        error = error ? error : kin_process_join(other, TOP);
        kin_process_free(other);
    }
    error = error ? error : kin_process_join(process, TOP);
    redirect_back();
    kin_process_free(process);
    kin_free(counting);
    char *text = text_of(file), *rest;
    ck_assert_int_eq(error, 0);
    long expected = 0, number;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), expected++)
        ck_assert_msg(sscanf(line, "[p] line %ld", &number) == 1 && number == expected, "%s", line);
    ck_assert_int_eq(expected, 20000);
    free(text);
}

/* ---- stdin --------------------------------------------------------------------------------------- */

static int read_stdin(void *arg)
{
    char byte;
    (void)arg;
    return read(STDIN_FILENO, &byte, 1) == 0 && fcntl(STDIN_FILENO, F_GETFD) == 0 ? 0 : 1;
}

static void without_dev_null_stdin_is_empty_all_the_same(void)
{
    if (geteuid() != 0)
        test_skip("only root can change its root");
    test_init();
    char empty[] = "/tmp/kin-empty-XXXXXX";
    int ends[2];
    ck_assert_ptr_nonnull(mkdtemp(empty));
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(write(ends[1], "secret", 6), 6);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[0], STDIN_FILENO);
        close(ends[0]);
        close(ends[1]);
        kin_end end = {0};
        child_assert(chroot(empty) == 0 && chdir("/") == 0);
        kin_process *process = kin_process_start(read_stdin, NULL, 0, NULL);
        child_assert(process && kin_process_join(process, 10) == 0 && kin_process_end(process, &end) == 0);
        kin_process_free(process);
        exit(end.exit_code);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    close(ends[0]);
    close(ends[1]);
    rmdir(empty);
    ck_assert_int_eq(status, 0);
}

/* ---- kills --------------------------------------------------------------------------------------- */

/* However many are killed in the middle of a line, what is printed are lines of one. */
static void lines_of_the_killed_are_whole(void)
{
    test_init();
    int rounds = test_long() ? 250 : 40;
    struct counting *counting = kin_calloc(1, sizeof *counting);
    ck_assert_ptr_nonnull(counting);
    counting->lines = 1000000000;
    for (int round = 0; round < rounds; round++) {
        int file = new_file();
        kin_process *processes[2];
        redirect_to(file, file);
        for (int i = 0; i < 2; i++)
            processes[i] =
                start_printing(count_aloud, &counting, sizeof counting, i ? "b" : "a", KIN_OUTPUT_PREFIX);
        usleep((useconds_t)(rand() % 4000));
        int error = 0;
        for (int i = 0; i < 2; i++)
            error |= kin_process_kill(processes[i]);
        for (int i = 0; i < 2; i++)
            error |= kin_process_join(processes[i], TOP);
        redirect_back();
        for (int i = 0; i < 2; i++)
            kin_process_free(processes[i]);
        ck_assert_int_eq(error, 0);
        char *text = text_of(file), *rest;
        long expected[2] = {0}, number;
        for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
            char who = 0, whole[64];
            ck_assert_msg(sscanf(line, "[%c] line %ld", &who, &number) == 2 && (who == 'a' || who == 'b'),
                          "%s", line);
            snprintf(whole, sizeof whole, "[%c] line %ld", who, expected[who - 'a']++);
            ck_assert_str_eq(line, whole);
        }
        free(text);
    }
    kin_free(counting);
}

static const struct test tests[] = {
    {"who_prints_waits_while_nobody_reads", who_prints_waits_while_nobody_reads, 30, TEST_EACH_METHOD},
    {"long_lines_of_two_do_not_mix_in_a_pipe", long_lines_of_two_do_not_mix_in_a_pipe, 30, TEST_EACH_METHOD},
    {"who_prints_goes_on_when_the_reader_has_gone", who_prints_goes_on_when_the_reader_has_gone, 30,
     TEST_EACH_METHOD},
    {"starter_without_streams", starter_without_streams, 20, TEST_EACH_METHOD},
    {"members_of_a_dead_starter_end_in_order", members_of_a_dead_starter_end_in_order, 30, TEST_EACH_METHOD},
    {"output_of_a_dead_starters_child_can_be_asked_for", output_of_a_dead_starters_child_can_be_asked_for, 20,
     TEST_EACH_METHOD},
    /* the daemon's pipe is closed by a thread, when it sees the daemon's end */
    {"who_has_a_session_of_its_own_is_not_waited_for", who_has_a_session_of_its_own_is_not_waited_for, 20,
     TEST_EACH_METHOD | TEST_KEEPS_DESCRIPTORS},
    {"one_descriptor_is_all_it_has_more", one_descriptor_is_all_it_has_more, 20, TEST_EACH_METHOD},
    {"descriptors_that_run_out_are_told", descriptors_that_run_out_are_told, 30, TEST_EACH_METHOD},
    {"much_output_needs_no_memory", much_output_needs_no_memory, 400, TEST_EACH_METHOD | TEST_NOT_ASAN},
    {"one_after_another_nothing_grows", one_after_another_nothing_grows, 400,
     TEST_EACH_METHOD | TEST_NOT_ASAN},
    {"what_a_thread_holds_is_not_printed_twice", what_a_thread_holds_is_not_printed_twice, 20,
     TEST_NOT_VALGRIND},
    {"plain_forks_print_to_the_same", plain_forks_print_to_the_same, 20, TEST_EACH_METHOD},
    {"forks_while_much_is_printed", forks_while_much_is_printed, 60, TEST_EACH_METHOD},
    /* AddressSanitizer's leak checker needs /proc. */
    {"without_dev_null_stdin_is_empty_all_the_same", without_dev_null_stdin_is_empty_all_the_same, 20,
     TEST_NOT_VALGRIND | TEST_NOT_ASAN},
    {"lines_of_the_killed_are_whole", lines_of_the_killed_are_whole, 400, TEST_EACH_METHOD},
};
TEST_MAIN("output, cases", tests)
