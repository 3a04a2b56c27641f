/* process_test.c - kin/process.h and kin/init.h: start, join, end, orphans, plain forks. */
#include "harness.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kin.h"

#define TOP (test_time_left() - 0.5)

static kin_process *start(kin_process_fn fn, const void *arg, size_t size)
{
    kin_process *process =
        kin_process_start(fn, arg, size, KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    return process;
}

static kin_end join(kin_process *process)
{
    kin_end end;
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    ck_assert_int_eq(kin_process_end(process, &end), 0);
    return end;
}

static int return_its_argument(void *arg)
{
    return *(int *)arg;
}

static void exit_code_is_what_the_function_returned(void)
{
    test_init();
    for (int code = 0; code < 256; code += 51) {
        kin_process *process = start(return_its_argument, &code, sizeof code);
        kin_end end = join(process);
        ck_assert_int_eq(end.how, KIN_END_EXITED);
        ck_assert_int_eq(end.exit_code, code);
        kin_process_free(process);
    }
}

static int check_argument(void *arg)
{
    const char *text = arg;
    child_assert(((uintptr_t)arg & 15) == 0);
    child_assert(strcmp(text, "a copy") == 0);
    return 0;
}

static void argument_is_copied(void)
{
    test_init();
    char text[] = "a copy";
    kin_process *process = start(check_argument, text, sizeof text);
    memset(text, 'x', sizeof text - 1);
    ck_assert_int_eq(join(process).exit_code, 0);
    kin_process_free(process);
}

static int write_shared(void *arg)
{
    memcpy(arg, "from the child", sizeof "from the child");
    return 0;
}

static void shared_argument_is_the_same_memory(void)
{
    test_init();
    char *text = kin_calloc(1, 64);
    kin_process *process =
        kin_process_start_shared(write_shared, text, KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    ck_assert_int_eq(join(process).exit_code, 0);
    ck_assert_str_eq(text, "from the child");
    kin_process_free(process);
    kin_free(text);
}

static void private_pointer_is_refused(void)
{
    test_init();
    char on_stack[8] = "";
    ck_assert_ptr_null(kin_process_start_shared(write_shared, on_stack, NULL));
    ck_assert_int_eq(kin_error_code(), KIN_ENOTSHARED);
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "the caller's stack"));
    char *private = malloc(8);
    ck_assert_ptr_null(kin_process_start_shared(write_shared, private, NULL));
    ck_assert_int_eq(kin_error_code(), KIN_ENOTSHARED);
    free(private);
}

static void misuse_is_told(void)
{
    test_init();
    int code = 0;
    kin_end end;
    ck_assert_ptr_null(kin_process_start(NULL, NULL, 0, NULL));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    ck_assert_ptr_null(kin_process_start(return_its_argument, NULL, 4, NULL));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    ck_assert_ptr_null(
        kin_process_start(return_its_argument, &code, 4, KIN_PROCESS_OPTIONS(.start_method = 9)));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    ck_assert_int_eq(kin_process_join(NULL, 1), KIN_EINVAL);
    ck_assert_int_eq(kin_process_kill((kin_process *)&code), KIN_EINVAL);
    ck_assert_int_eq(kin_process_join(kin_current_process(), 1), KIN_EINVAL);
    kin_process *process = start(return_its_argument, &code, sizeof code);
    ck_assert_int_eq(kin_process_join(process, -1), KIN_EINVAL);
    ck_assert_int_eq(kin_process_join(process, NAN), KIN_EINVAL);
    ck_assert_int_eq(kin_process_end(process, NULL), KIN_EINVAL);
    join(process);
    kin_process_free(process);
    ck_assert_int_eq(kin_process_end(process, &end), KIN_EINVAL);
    kin_process_free(NULL);
}

static int die_of_signal(void *arg)
{
    raise(*(int *)arg);
    return 0;
}

static void signal_is_told_apart_from_exit_code(void)
{
    test_init();
    const int signals[] = {SIGKILL, SIGTERM, SIGUSR1};
    for (size_t i = 0; i < 3; i++) {
        kin_process *process = start(die_of_signal, &signals[i], sizeof signals[i]);
        kin_end end = join(process);
        ck_assert_int_eq(end.how, KIN_END_SIGNALED);
        ck_assert_int_eq(end.signal, signals[i]);
        ck_assert_int_eq(end.exit_code, 0);
        kin_error story;
        ck_assert_int_eq(kin_process_error(process, &story), 0);
        ck_assert_int_eq(story.code, KIN_EDIED);
        kin_process_free(process);
    }
    char text[64];
    ck_assert_str_eq(kin_end_text(&(kin_end){.how = KIN_END_SIGNALED, .signal = 9}, text, sizeof text),
                     "signal 9 (SIGKILL)");
}

static int fail_with_story(void *arg)
{
    return -kin_error_set(-1234, "no fuel in tank %d", *(int *)arg) & 0x7f;
}

static void failure_record_crosses_whole(void)
{
    test_init();
    int tank = 7;
    kin_process *process = start(fail_with_story, &tank, sizeof tank);
    ck_assert_int_ne(join(process).exit_code, 0);
    kin_error story;
    kin_process_error(process, &story);
    ck_assert_int_eq(story.code, -1234);
    ck_assert_str_eq(story.message, "no fuel in tank 7");
    ck_assert_int_eq(story.pid, kin_process_pid(process));
    kin_process_free(process);
}

static int sleep_long(void *arg)
{
    (void)arg;
    for (;;)
        pause();
    return 0;
}

static void join_times_out_and_terminate_ends(void)
{
    test_init();
    kin_process *process = start(sleep_long, NULL, 0);
    ck_assert(kin_process_is_alive(process));
    ck_assert_int_eq(kin_process_join(process, 0), KIN_ETIMEDOUT);
    ck_assert_int_eq(kin_process_join(process, 0.01), KIN_ETIMEDOUT);
    kin_end end;
    ck_assert_int_eq(kin_process_end(process, &end), 0);
    ck_assert_int_eq(end.how, KIN_END_RUNNING);
    ck_assert_int_eq(kin_process_terminate(process), 0);
    ck_assert_int_eq(join(process).signal, SIGTERM);
    ck_assert(!kin_process_is_alive(process));
    ck_assert_int_eq(kin_process_kill(process), 0);
    kin_process_free(process);
}

static void sentinel_becomes_readable(void)
{
    test_init();
    kin_process *process = start(sleep_long, NULL, 0);
    struct pollfd wait = {.fd = kin_process_sentinel(process), .events = POLLIN};
    ck_assert_int_ge(wait.fd, 0);
    ck_assert_int_eq(poll(&wait, 1, 0), 0);
    kin_process_kill(process);
    ck_assert_int_eq(poll(&wait, 1, (int)(TOP * 1000)), 1);
    join(process);
    kin_process_free(process);
}

static void free_ends_what_runs(void)
{
    test_init();
    kin_process *process = start(sleep_long, NULL, 0);
    int pid = kin_process_pid(process);
    kin_process_free(process);
    ck_assert_int_eq(kill(pid, 0), -1);
    ck_assert_int_eq(errno, ESRCH);
}

static int check_identity(void *arg)
{
    int parent = *(int *)arg;
    child_assert(kin_process_pid(kin_current_process()) == (int)getpid());
    child_assert(strcmp(kin_process_name(kin_current_process()), "Ada") == 0);
    child_assert(kin_process_pid(kin_parent_process()) == parent);
    return 0;
}

static void names_pids_and_children_are_known(void)
{
    test_init();
    int parent = (int)getpid();
    ck_assert_ptr_null(kin_parent_process());
    ck_assert_int_eq(kin_process_pid(kin_current_process()), parent);
    kin_process *process =
        kin_process_start(check_identity, &parent, sizeof parent,
                          KIN_PROCESS_OPTIONS(.name = "Ada", .start_method = test_method()));
    ck_assert_ptr_nonnull(process);
    ck_assert_int_eq(join(process).exit_code, 0);
    kin_process *two[2] = {start(sleep_long, NULL, 0), start(sleep_long, NULL, 0)};
    kin_process *found[4];
    size_t count;
    ck_assert_int_eq(kin_active_children(found, 4, &count), 0);
    ck_assert_uint_eq(count, 2);
    ck_assert_int_eq(kin_active_children(NULL, 0, &count), 0);
    ck_assert_uint_eq(count, 2);
    kin_process_free(two[0]);
    kin_process_free(two[1]);
    ck_assert_int_eq(kin_active_children(NULL, 0, &count), 0);
    ck_assert_uint_eq(count, 0);
    kin_process_free(process);
}

static int check_signals(void *arg)
{
    (void)arg;
    struct sigaction action;
    sigset_t mask;
    sigaction(SIGUSR1, NULL, &action);
    child_assert(action.sa_handler == SIG_DFL);
    sigaction(SIGRTMIN, NULL, &action);
    child_assert((action.sa_handler == SIG_DFL) == (test_method() != KIN_START_FORK));
    sigprocmask(SIG_BLOCK, NULL, &mask);
    child_assert(!sigismember(&mask, SIGUSR2) && !sigismember(&mask, SIGRTMIN));
    char byte;
    child_assert(read(0, &byte, 1) == 0);
    return 0;
}

static void ignore(int number)
{
    (void)number;
}

static void children_start_with_default_signals_and_no_stdin(void)
{
    test_init();
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    sigaddset(&mask, SIGRTMIN);
    signal(SIGUSR1, ignore);
    signal(SIGRTMIN, ignore);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    kin_process *process = start(check_signals, NULL, 0);
    ck_assert_int_eq(join(process).exit_code, 0);
    kin_process_free(process);
    struct sigaction action;
    sigaction(SIGUSR1, NULL, &action);
    ck_assert(action.sa_handler == ignore);
}

static void stolen_status_is_still_the_childs_word(void)
{
    test_init();
    signal(SIGCHLD, SIG_IGN);
    int code = 7;
    kin_process *process = start(return_its_argument, &code, sizeof code);
    kin_end end = join(process);
    ck_assert_int_eq(end.how, KIN_END_EXITED);
    ck_assert_int_eq(end.exit_code, 7);
    kin_process_free(process);
    process = start(sleep_long, NULL, 0);
    kin_process_kill(process);
    ck_assert_int_eq(join(process).how, KIN_END_UNKNOWN);
    kin_process_free(process);
}

static void users_children_are_left_to_the_user(void)
{
    test_init();
    pid_t mine = fork();
    if (mine == 0)
        _exit(3);
    int code = 0, status;
    kin_process *process = start(return_its_argument, &code, sizeof code);
    join(process);
    kin_process_free(process);
    ck_assert_int_eq(waitpid(mine, &status, 0), mine);
    ck_assert_int_eq(WEXITSTATUS(status), 3);
}

/* ---- trees ---- */

struct tree {
    _Atomic int child, grandchild;
    int method;
};

static int grandchild_main(void *arg)
{
    struct tree *tree = arg;
    atomic_store(&tree->grandchild, (int)getpid());
    return sleep_long(NULL);
}

static int child_with_grandchild(void *arg)
{
    struct tree *tree = arg;
    kin_process *below =
        kin_process_start_shared(grandchild_main, tree, KIN_PROCESS_OPTIONS(.start_method = tree->method));
    child_assert(below != NULL);
    while (!atomic_load(&tree->grandchild))
        usleep(1000);
    atomic_store(&tree->child, (int)getpid());
    return sleep_long(NULL);
}

static bool gone(int pid)
{
    char path[64], text[256];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return true;
    bool zombie = fgets(text, sizeof text, file) && strstr(text, ") Z ");
    fclose(file);
    return zombie;
}

static void wait_gone(int pid)
{
    while (!gone(pid)) {
        ck_assert_msg(TOP > 0, "process %d is still there", pid);
        usleep(1000);
    }
}

static void grandchildren_end_with_their_parent(void)
{
    test_init();
    struct tree *tree = kin_calloc(1, sizeof *tree);
    tree->method = test_method();
    kin_process *child = kin_process_start_shared(child_with_grandchild, tree,
                                                  KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_ptr_nonnull(child);
    while (!atomic_load(&tree->child))
        usleep(1000);
    kin_process_kill(child);
    join(child);
    wait_gone(atomic_load(&tree->grandchild));
    kin_process_free(child);
    kin_free(tree);
}

static void *start_in_thread(void *arg)
{
    return kin_process_start_shared(grandchild_main, arg, KIN_PROCESS_OPTIONS(.start_method = test_method()));
}

static void child_outlives_the_thread_that_started_it(void)
{
    test_init();
    struct tree *tree = kin_calloc(1, sizeof *tree);
    pthread_t thread;
    void *child;
    pthread_create(&thread, NULL, start_in_thread, tree);
    pthread_join(thread, &child);
    ck_assert_ptr_nonnull(child);
    while (!atomic_load(&tree->grandchild))
        usleep(1000);
    ck_assert_int_eq(kin_process_join(child, 0.1), KIN_ETIMEDOUT);
    kin_process_free(child);
    kin_free(tree);
}

static int start_child_in_thread_and_die(void *arg)
{
    pthread_t thread;
    pthread_create(&thread, NULL, start_in_thread, arg);
    pthread_join(thread, NULL);
    while (!atomic_load(&((struct tree *)arg)->grandchild))
        usleep(1000);
    raise(SIGKILL);
    return 0;
}

static void child_of_an_ended_thread_ends_with_its_parent(void)
{
    test_init();
    struct tree *tree = kin_calloc(1, sizeof *tree);
    kin_process *child = kin_process_start_shared(start_child_in_thread_and_die, tree,
                                                  KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_int_eq(join(child).signal, SIGKILL);
    wait_gone(atomic_load(&tree->grandchild));
    kin_process_free(child);
    kin_free(tree);
}

static int die_by_kill(void *arg)
{
    (void)arg;
    raise(SIGKILL);
    return 0;
}

struct siblings {
    kin_process *first;
};

static int join_sibling(void *arg)
{
    kin_end end;
    kin_process *sibling = ((struct siblings *)arg)->first;
    child_assert(kin_process_join(sibling, 8) == 0);
    child_assert(kin_process_end(sibling, &end) == 0);
    child_assert(end.how == KIN_END_SIGNALED && end.signal == SIGKILL);
    return 0;
}

/* Nobody is in kin in the parent, and with its first child dead before the second starts no guardian runs. */
static void a_sibling_can_join_while_the_parent_is_busy(void)
{
    test_init();
    struct siblings siblings = {.first = start(die_by_kill, NULL, 0)};
    wait_gone(kin_process_pid(siblings.first));
    int pid = fork();
    if (pid == 0)
        _exit(join_sibling(&siblings));
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    kin_process *second = start(join_sibling, &siblings, sizeof siblings);
    ck_assert_int_eq(join(second).exit_code, 0);
    ck_assert_int_eq(join(siblings.first).signal, SIGKILL);
    kin_process_free(siblings.first);
    kin_process_free(second);
}

/* ---- what the dead owned ---- */

static int hold_memory(void *arg)
{
    _Atomic int *ready = arg;
    for (int i = 0; i < 50; i++) {
        kin_arena *arena = kin_arena_new();
        child_assert(arena != NULL);
        for (int j = 0; j < 100; j++)
            child_assert(kin_arena_malloc(arena, 1000) != NULL);
    }
    atomic_store(ready, 1);
    return sleep_long(NULL);
}

static void arenas_of_the_dead_are_freed(void)
{
    test_init();
    _Atomic int *ready = kin_calloc(1, sizeof *ready);
    kin_heap_stats before = {.size = sizeof before}, after = {.size = sizeof after};
    ck_assert_int_eq(kin_heap_get_stats(&before), 0);
    kin_process *child =
        kin_process_start_shared(hold_memory, ready, KIN_PROCESS_OPTIONS(.start_method = test_method()));
    while (!atomic_load(ready))
        usleep(1000);
    kin_process_kill(child);
    join(child);
    kin_process_free(child);
    ck_assert_int_eq(kin_heap_get_stats(&after), 0);
    ck_assert_uint_eq(after.arenas, before.arenas);
    ck_assert_uint_le(after.small_blocks, before.small_blocks + 1);
    ck_assert_uint_eq(after.large_blocks, before.large_blocks);
    kin_free((void *)ready);
}

/* ---- plain forks ---- */

static void plain_fork_is_a_member_of_its_own(void)
{
    test_init();
    char *text = kin_strdup("parent");
    pid_t pid = fork();
    if (pid == 0) {
        child_assert(kin_process_pid(kin_current_process()) == (int)getpid());
        char *mine = kin_malloc(64);
        child_assert(mine != NULL);
        kin_free(text);
        int code = 5;
        kin_process *child = kin_process_start(return_its_argument, &code, sizeof code, NULL);
        child_assert(child && kin_process_join(child, 5) == 0);
        kin_process_free(child);
        kin_free(mine);
        exit(0);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    char *again = kin_malloc(64);
    ck_assert_ptr_nonnull(again);
    kin_free(again);
}

/* ---- output ---- */

static int print_in_child(void *arg)
{
    printf("child %s", (const char *)arg);
    return 0;
}

static void output_is_printed_once_and_not_lost(void)
{
    test_init();
    char path[] = "/tmp/kin-output-XXXXXX";
    int fd = mkstemp(path), saved = dup(STDOUT_FILENO);
    fflush(stdout);
    dup2(fd, STDOUT_FILENO);
    test_surroundings_changed();
    printf("parent ");
    kin_process *process = start(print_in_child, "text", 5);
    join(process);
    kin_process_free(process);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    char text[64] = "";
    ck_assert_int_gt(pread(fd, text, sizeof text - 1, 0), 0);
    close(fd);
    unlink(path);
    ck_assert_str_eq(text, "parent child text");
}

/* ---- ends of the founder ---- */

static void write_int(int fd, int value)
{
    ssize_t written = write(fd, &value, sizeof value);
    (void)written;
}

static int tell_pid_and_sleep(void *arg)
{
    write_int(*(int *)arg, (int)getpid());
    return sleep_long(NULL);
}

static int sleep_a_little(void *arg)
{
    /* A dying parent's threads end one by one, and the signal that tells may come for each: sleep it all. */
    struct timespec rest = {.tv_nsec = 100000000};
    while (nanosleep(&rest, &rest) != 0)
        continue;
    write_int(*(int *)arg, 77);
    return 0;
}

/* A founder of its own, which ends in `how`; what it started writes to the pipe. */
static pid_t founder(int write_end, void (*how)(void))
{
    pid_t pid = fork();
    if (pid)
        return pid;
    test_init();
    if (!kin_process_start(tell_pid_and_sleep, &write_end, sizeof write_end,
                           KIN_PROCESS_OPTIONS(.daemon = true)))
        _exit(9);
    if (!kin_process_start(sleep_a_little, &write_end, sizeof write_end, NULL))
        _exit(9);
    how();
    _exit(8);
}

static void by_exit(void)
{
    exit(0);
}

static void by_kill(void)
{
    usleep(20000);
    raise(SIGKILL);
}

static void exit_joins_children_and_ends_daemons(void)
{
    int ends[2], daemon = 0, word = 0, status;
    ck_assert_int_eq(pipe(ends), 0);
    pid_t pid = founder(ends[1], by_exit);
    close(ends[1]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    for (int value; read(ends[0], &value, sizeof value) == (ssize_t)sizeof value;)
        *(value == 77 ? &word : &daemon) = value;
    ck_assert_int_eq(word, 77);
    if (daemon)
        ck_assert(gone(daemon));
    close(ends[0]);
}

static void all_end_when_the_founder_is_killed(void)
{
    int ends[2], status, value;
    ck_assert_int_eq(pipe(ends), 0);
    pid_t pid = founder(ends[1], by_kill);
    close(ends[1]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status));
    /* End of file: nobody who could write is left. */
    struct pollfd wait = {.fd = ends[0], .events = POLLIN};
    while (poll(&wait, 1, (int)(TOP * 1000)) == 1 && read(ends[0], &value, sizeof value) > 0)
        ck_assert_int_ne(value, 77);
    ck_assert(wait.revents & (POLLHUP | POLLIN));
    close(ends[0]);
}

static void before_init_everything_says_so(void)
{
    ck_assert_ptr_null(kin_malloc(10));
    ck_assert_int_eq(kin_error_code(), KIN_ENOINIT);
    ck_assert_ptr_null(kin_process_start(sleep_long, NULL, 0, NULL));
    ck_assert_int_eq(kin_error_code(), KIN_ENOINIT);
    ck_assert_ptr_null(kin_pool_new(NULL));
    ck_assert_int_eq(kin_error_code(), KIN_ENOINIT);
    ck_assert(!kin_is_shared(&test_argc));
}

static void spawn_needs_kin_init_with_arguments(void)
{
    ck_assert_int_eq(kin_init(NULL, NULL), 0);
    ck_assert_ptr_null(
        kin_process_start(sleep_long, NULL, 0, KIN_PROCESS_OPTIONS(.start_method = KIN_START_SPAWN)));
    ck_assert_int_eq(kin_error_code(), KIN_ENOTSUP);
}

static void environment_is_checked(void)
{
    setenv("KIN_HEAP_LIMIT", "lots", 1);
    ck_assert_int_eq(kin_init(NULL, NULL), KIN_EINVAL);
    setenv("KIN_HEAP_LIMIT", "64M", 1);
    setenv("KIN_START_METHOD", "teleport", 1);
    ck_assert_int_eq(kin_init(NULL, NULL), KIN_EINVAL);
    unsetenv("KIN_START_METHOD");
    ck_assert_int_eq(kin_init(NULL, NULL), 0);
    kin_heap_stats stats = {.size = sizeof stats};
    ck_assert_int_eq(kin_heap_get_stats(&stats), 0);
    ck_assert_uint_eq(stats.limit, (size_t)64 << 20);
}

static void cpu_count_is_at_least_one(void)
{
    ck_assert_int_ge(kin_cpu_count(), 1);
}

static const struct test tests[] = {
    {"before_init_everything_says_so", before_init_everything_says_so, 5, 0},
    {"spawn_needs_kin_init_with_arguments", spawn_needs_kin_init_with_arguments, 5, TEST_KEEPS_DESCRIPTORS},
    {"environment_is_checked", environment_is_checked, 5, TEST_KEEPS_DESCRIPTORS},
    {"cpu_count_is_at_least_one", cpu_count_is_at_least_one, 5, 0},
    {"exit_code_is_what_the_function_returned", exit_code_is_what_the_function_returned, 10,
     TEST_EACH_METHOD},
    {"argument_is_copied", argument_is_copied, 10, TEST_EACH_METHOD},
    {"shared_argument_is_the_same_memory", shared_argument_is_the_same_memory, 10, TEST_EACH_METHOD},
    {"private_pointer_is_refused", private_pointer_is_refused, 5,
     TEST_NOT_ASAN}, /* which keeps locals off the stack */
    {"misuse_is_told", misuse_is_told, 10, TEST_NOT_VALGRIND},
    {"signal_is_told_apart_from_exit_code", signal_is_told_apart_from_exit_code, 10, TEST_EACH_METHOD},
    {"failure_record_crosses_whole", failure_record_crosses_whole, 10, TEST_EACH_METHOD},
    {"join_times_out_and_terminate_ends", join_times_out_and_terminate_ends, 10, TEST_EACH_METHOD},
    {"sentinel_becomes_readable", sentinel_becomes_readable, 10, TEST_EACH_METHOD},
    {"free_ends_what_runs", free_ends_what_runs, 10, TEST_EACH_METHOD},
    {"names_pids_and_children_are_known", names_pids_and_children_are_known, 10, TEST_EACH_METHOD},
    {"children_start_with_default_signals_and_no_stdin", children_start_with_default_signals_and_no_stdin, 10,
     TEST_EACH_METHOD},
    {"stolen_status_is_still_the_childs_word", stolen_status_is_still_the_childs_word, 10, TEST_EACH_METHOD},
    {"users_children_are_left_to_the_user", users_children_are_left_to_the_user, 10, TEST_NOT_VALGRIND},
    {"grandchildren_end_with_their_parent", grandchildren_end_with_their_parent, 10, TEST_EACH_METHOD},
    {"child_outlives_the_thread_that_started_it", child_outlives_the_thread_that_started_it, 10,
     TEST_EACH_METHOD},
    {"child_of_an_ended_thread_ends_with_its_parent", child_of_an_ended_thread_ends_with_its_parent, 10,
     TEST_EACH_METHOD},
    {"a_sibling_can_join_while_the_parent_is_busy", a_sibling_can_join_while_the_parent_is_busy, 10,
     TEST_EACH_METHOD},
    {"arenas_of_the_dead_are_freed", arenas_of_the_dead_are_freed, 10, TEST_EACH_METHOD},
    {"plain_fork_is_a_member_of_its_own", plain_fork_is_a_member_of_its_own, 10, TEST_NOT_VALGRIND},
    {"output_is_printed_once_and_not_lost", output_is_printed_once_and_not_lost, 10, TEST_EACH_METHOD},
    {"exit_joins_children_and_ends_daemons", exit_joins_children_and_ends_daemons, 10, TEST_NOT_VALGRIND},
    {"all_end_when_the_founder_is_killed", all_end_when_the_founder_is_killed, 10, TEST_NOT_VALGRIND},
};

TEST_MAIN("process", tests)
