/* started_test.c - what a member had started by itself (a shell, a solver, a plain fork) ends with it. */
#include "harness.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kin.h"

#define TOP (test_time_left() - 0.5)

/* How a member starts something, and how it ends then. */
enum { BY_POPEN, IN_BACKGROUND, BY_FORK, BY_SYSTEM, WAYS };
enum { RETURN, EXIT, CRASH, SLEEP, ENDS };

struct board { /* in shared memory */
    int way, end;
    _Atomic int solver; /* pid */
    _Atomic int member; /* of a member's member */
};

static int pidfd_of(pid_t pid)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    ck_assert_msg(pidfd >= 0, "process %d: %s", (int)pid, strerror(errno));
    return pidfd;
}

static bool ended(int pidfd, double seconds)
{
    struct pollfd one = {.fd = pidfd, .events = POLLIN};
    return poll(&one, 1, (int)(seconds * 1000)) == 1;
}

static void read_pid(const char *command, struct board *board)
{
    FILE *shell = popen(command, "r");
    int pid = 0;
    child_assert(shell && fscanf(shell, "%d", &pid) == 1 && pid > 0);
    atomic_store(&board->solver, pid);
}

static void start_by_fork(struct board *board)
{
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    child_assert(pid > 0);
    atomic_store(&board->solver, pid);
}

/* The shell replaces itself: its pid is the solver's; and the member is blocked in system() meanwhile. */
static void start_by_system(struct board *board)
{
    char command[200];
    int pipe_fds[2];
    child_assert(pipe(pipe_fds) == 0);
    snprintf(command, sizeof command, "echo $$ >&%d; exec sleep 1000", pipe_fds[1]);
    pid_t reader = fork();
    if (reader == 0) {
        char text[32] = "";
        ssize_t length = read(pipe_fds[0], text, sizeof text - 1);
        atomic_store(&board->solver, length > 0 ? atoi(text) : -1);
        _exit(0);
    }
    child_assert(system(command) != 0); /* does not come back but by a signal */
}

static int member(void *arg)
{
    struct board *board = *(struct board **)arg;
    switch (board->way) {
    case BY_POPEN:
        read_pid("echo $$; exec sleep 1000", board);
        break;
    case IN_BACKGROUND:
        read_pid("sleep 1000 </dev/null >/dev/null 2>&1 & echo $!; exec true", board);
        break;
    case BY_FORK:
        start_by_fork(board);
        break;
    default:
        start_by_system(board);
    }
    switch (board->end) {
    case EXIT:
        exit(2);
    case CRASH:
        abort();
    case SLEEP:
        for (;;)
            pause();
    default:
        return 1;
    }
}

static struct board *new_board(int way, int end)
{
    struct board *board = kin_calloc(1, sizeof *board);
    ck_assert_ptr_nonnull(board);
    board->way = way;
    board->end = end;
    return board;
}

static kin_process *start(kin_process_fn fn, struct board *board)
{
    kin_process *process =
        kin_process_start(fn, &board, sizeof board, KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    return process;
}

static int wait_for(const _Atomic int *pid)
{
    while (!atomic_load(pid) && test_time_left() > 0)
        usleep(500);
    ck_assert_int_gt(atomic_load(pid), 0);
    return atomic_load(pid);
}

static void assert_no_strangers(void)
{
    int found = waitpid(-1, NULL, WNOHANG);
    if (test_method() == KIN_START_FORKSERVER) { /* there is the template, which lives */
        ck_assert_int_eq(found, 0);
        return;
    }
    ck_assert_int_eq(found, -1);
    ck_assert_int_eq(errno, ECHILD);
}

static void what_it_started_ends_with_a_killed_member(void)
{
    test_init();
    for (int way = 0; way < WAYS; way++) {
        struct board *board = new_board(way, SLEEP);
        kin_process *process = start(member, board);
        int solver = pidfd_of(wait_for(&board->solver));
        ck_assert(!ended(solver, 0));
        ck_assert_int_eq(kin_process_kill(process), 0);
        ck_assert_int_eq(kin_process_join(process, TOP), 0);
        ck_assert_msg(ended(solver, TOP), "started in way %d", way);
        assert_no_strangers();
        close(solver);
        kin_process_free(process);
        kin_free(board);
    }
}

static void what_it_started_ends_however_the_member_ends(void)
{
    test_init();
    for (int end = 0; end < SLEEP; end++)
        for (int way = 0; way < BY_SYSTEM; way++) {
            struct board *board = new_board(way, end);
            kin_process *process = start(member, board);
            ck_assert_int_eq(kin_process_join(process, TOP), 0);
            int solver = (int)syscall(SYS_pidfd_open, atomic_load(&board->solver), 0);
            ck_assert_msg(solver < 0 || ended(solver, TOP), "started in way %d, ended in way %d", way, end);
            if (solver >= 0)
                close(solver);
            assert_no_strangers();
            kin_process_free(process);
            kin_free(board);
        }
}

/* A pool's supervisor and a second child have a guardian: nobody need call kin. */
static void what_it_started_ends_while_the_starter_is_busy(void)
{
    test_init();
    struct board *board = new_board(BY_POPEN, SLEEP), *other = new_board(BY_POPEN, SLEEP);
    kin_process *process = start(member, board), *bystander = start(member, other);
    int solver = pidfd_of(wait_for(&board->solver)), bystanders = pidfd_of(wait_for(&other->solver));
    kill(kin_process_pid(process), SIGKILL);
    ck_assert(ended(solver, TOP));
    ck_assert(!ended(bystanders, 0));
    ck_assert(kin_process_is_alive(bystander));
    kin_process_free(bystander);
    ck_assert(ended(bystanders, TOP));
    kin_process_free(process);
    close(solver);
    close(bystanders);
    kin_free(board);
    kin_free(other);
}

static int start_another(void *arg)
{
    struct board *board = *(struct board **)arg;
    kin_process *process = kin_process_start(member, &board, sizeof board, NULL);
    child_assert(process != NULL);
    atomic_store(&board->member, kin_process_pid(process));
    for (;;)
        pause();
    return 0;
}

/* The orphan itself ends what it had started. */
static void what_an_orphan_started_ends_with_it(void)
{
    test_init();
    for (int way = 0; way < WAYS; way++) {
        struct board *board = new_board(way, SLEEP);
        kin_process *process = start(start_another, board);
        int orphan = pidfd_of(wait_for(&board->member)), solver = pidfd_of(wait_for(&board->solver));
        kill(kin_process_pid(process), SIGKILL);
        ck_assert_msg(ended(orphan, TOP) && ended(solver, TOP), "started in way %d", way);
        close(orphan);
        close(solver);
        kin_process_free(process);
        kin_free(board);
    }
}

static int start_in_own_session(void *arg)
{
    read_pid("setsid sh -c 'echo $$; exec sleep 1000 >/dev/null'", *(struct board **)arg);
    return 0;
}

static void what_opened_a_session_of_its_own_stays(void)
{
    test_init();
    struct board *board = new_board(0, 0);
    kin_process *process = start(start_in_own_session, board);
    int solver = pidfd_of(wait_for(&board->solver));
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    ck_assert(!ended(solver, 0));
    kill(atomic_load(&board->solver), SIGKILL);
    ck_assert(ended(solver, TOP));
    close(solver);
    kin_process_free(process);
    kin_free(board);
}

/* So Ctrl-C reaches all of them. */
static void process_group_and_session_stay_the_terminals(void)
{
    test_init();
    struct board *board = new_board(BY_POPEN, SLEEP);
    kin_process *process = start(member, board);
    int solver = wait_for(&board->solver);
    ck_assert_int_eq(getpgid(solver), getpgrp());
    ck_assert_int_eq(getsid(solver), getsid(0));
    ck_assert_int_eq(getpgid(kin_process_pid(process)), getpgrp());
    kin_process_free(process);
    kin_free(board);
}

static int call_solver(kin_task *task, size_t index, void *context)
{
    (void)index;
    struct board *board = context;
    if (kin_task_attempt(task) == 0)
        start_by_system(board);
    return 0;
}

static void solver_of_a_task_past_its_time_ends(void)
{
    test_init();
    struct board *board = new_board(0, 0);
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 1, .start_method = test_method()));
    ck_assert_ptr_nonnull(pool);
    kin_map_args args = {.size = sizeof args, .count = 1, .context = board, .time_limit = 0.5};
    ck_assert_int_eq(kin_pool_for(pool, call_solver, &args), KIN_ETIMELIMIT);
    int solver = atomic_load(&board->solver);
    if (solver > 0) { /* else the machine was too slow to start it in time */
        int pidfd = (int)syscall(SYS_pidfd_open, solver, 0);
        ck_assert(pidfd < 0 || ended(pidfd, TOP));
        if (pidfd >= 0)
            close(pidfd);
    }
    kin_pool_free(pool);
    kin_free(board);
}

static int breed(void *arg)
{
    struct board *board = *(struct board **)arg;
    read_pid("echo $$; while :; do sleep 0.001 & done", board);
    for (;;)
        pause();
    return 0;
}

/* The harness finds whoever is left. */
static void what_forks_all_the_time_is_ended_too(void)
{
    test_init();
    struct board *board = new_board(0, 0);
    kin_process *process = start(breed, board);
    int shell = pidfd_of(wait_for(&board->solver));
    kin_process_free(process);
    ck_assert(ended(shell, TOP));
    close(shell);
    kin_free(board);
}

/* It leaves no child, and ends at once: the solver is its grandchild. */
static int start_and_go(void *arg)
{
    struct board *board = *(struct board **)arg;
    if (board->way)
        signal(SIGCHLD, SIG_IGN);
    pid_t between = fork();
    if (between == 0) {
        pid_t solver = fork();
        if (solver == 0)
            for (;;)
                pause();
        atomic_store(&board->solver, solver);
        _exit(0);
    }
    child_assert(between > 0);
    while (waitpid(between, NULL, 0) < 0 && errno == EINTR)
        continue;
    return 0;
}

static void what_a_member_of_a_moment_started_ends_with_it(void)
{
    test_init();
    for (int way = 0; way < 2; way++) {
        struct board *board = new_board(way, RETURN);
        kin_process *process = start(start_and_go, board);
        ck_assert_int_eq(kin_process_join(process, TOP), 0);
        int solver = atomic_load(&board->solver);
        ck_assert_int_gt(solver, 0);
        int pidfd = (int)syscall(SYS_pidfd_open, solver, 0);
        ck_assert_msg(pidfd < 0 || ended(pidfd, TOP), "started in way %d", way);
        if (pidfd >= 0)
            close(pidfd);
        kin_process_free(process);
        kin_free(board);
    }
}

/* The next process id is one more. False: only root may, or there is no such file. */
static bool set_last_id(int id)
{
    FILE *file = fopen("/proc/sys/kernel/ns_last_pid", "w");
    bool set = file && fprintf(file, "%d", id) > 0;
    return file && fclose(file) == 0 && set;
}

/* Its solver's id is far off, and after it ids have come round: the last one given is a little above the member's. */
static int start_and_let_ids_come_round(void *arg)
{
    struct board *board = *(struct board **)arg;
    set_last_id((getpid() + 9000) % 30000 + 500);
    start_by_fork(board);
    usleep(150000); /* older than what needs no other look */
    set_last_id(getpid() + 20);
    atomic_store(&board->member, getpid());
    for (;;)
        pause();
    return 0;
}

static void what_it_started_ends_though_ids_have_come_round(void)
{
    test_init();
    if (!set_last_id(getpid()))
        return;
    struct board *board = new_board(BY_FORK, SLEEP);
    kin_process *process = start(start_and_let_ids_come_round, board);
    wait_for(&board->member);
    int solver = pidfd_of(wait_for(&board->solver));
    ck_assert_int_eq(kin_process_kill(process), 0);
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    ck_assert(ended(solver, TOP));
    close(solver);
    kin_process_free(process);
    kin_free(board);
}

static const struct test tests[] = {
    {"what_it_started_ends_with_a_killed_member", what_it_started_ends_with_a_killed_member, 30,
     TEST_EACH_METHOD},
    {"what_it_started_ends_however_the_member_ends", what_it_started_ends_however_the_member_ends, 30,
     TEST_EACH_METHOD},
    {"what_it_started_ends_while_the_starter_is_busy", what_it_started_ends_while_the_starter_is_busy, 30,
     TEST_EACH_METHOD},
    {"what_an_orphan_started_ends_with_it", what_an_orphan_started_ends_with_it, 30, TEST_EACH_METHOD},
    {"what_opened_a_session_of_its_own_stays", what_opened_a_session_of_its_own_stays, 30, TEST_EACH_METHOD},
    {"process_group_and_session_stay_the_terminals", process_group_and_session_stay_the_terminals, 30,
     TEST_EACH_METHOD},
    {"solver_of_a_task_past_its_time_ends", solver_of_a_task_past_its_time_ends, 30, TEST_EACH_METHOD},
    {"what_a_member_of_a_moment_started_ends_with_it", what_a_member_of_a_moment_started_ends_with_it, 30,
     TEST_EACH_METHOD},
    {"what_it_started_ends_though_ids_have_come_round", what_it_started_ends_though_ids_have_come_round, 30,
     TEST_NOT_VALGRIND},
    {"what_forks_all_the_time_is_ended_too", what_forks_all_the_time_is_ended_too, 30, TEST_EACH_METHOD},
};
TEST_MAIN("started", tests)
