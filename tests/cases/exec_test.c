/*
 * exec_test.c - a member that execs. It keeps its pid, its start time and its parent's descriptor for it, but loses
 * its locks and its memory: it is not dead, and ends as the program that it has become.
 */
#include "cases/common.h"

#include "kin.h"

#include <signal.h>
#include <stdlib.h>

struct board {
    _Atomic int pid, armed;
    const char *_Atomic script;
};

/* The member, with an arena and a block under way, becomes a shell. */
static int become_shell(void *arg)
{
    struct board *board = *(struct board **)arg;
    kin_arena *arena = kin_arena_new();
    child_assert(arena && kin_arena_malloc(arena, 100000));
    atomic_store(&board->pid, (int)getpid());
    execl("/bin/sh", "sh", "-c", board->script, (char *)NULL);
    return 99;
}

static struct board *board_with(const char *script)
{
    struct board *board = kin_calloc(1, sizeof *board);
    child_assert(board != NULL);
    board->script = kin_strdup(script);
    return board;
}

static bool runs_a_shell(int pid)
{
    char path[64], text[32] = "";
    snprintf(path, sizeof path, "/proc/%d/comm", pid);
    FILE *file = fopen(path, "re");
    bool shell = file && fgets(text, sizeof text, file) && strcmp(text, "sh\n") == 0;
    if (file)
        fclose(file);
    return shell;
}

static void wait_for_shell(struct board *board)
{
    int pid = wait_for(&board->pid);
    for (; !runs_a_shell(pid); usleep(500))
        ck_assert_msg(TOP > 0, "it does not exec");
}

static size_t arenas(void)
{
    kin_heap_stats stats = {.size = sizeof stats};
    ck_assert_int_eq(kin_heap_get_stats(&stats), 0);
    return stats.arenas;
}

static void exit_code_of_the_program_is_the_members(void)
{
    test_init();
    struct board *board = board_with("exit 42");
    exits_with(start(become_shell, &board, sizeof board), 42);
    ck_assert_uint_eq(arenas(), 0);
}

static int do_nothing(void *arg)
{
    return arg != NULL;
}

/* Its life lock is free, but it lives: nothing of it is taken back before it ends. */
static void it_lives_until_the_program_ends(void)
{
    test_init();
    struct board *board = board_with("while :; do sleep 1000; done");
    kin_process *process = start(become_shell, &board, sizeof board);
    wait_for_shell(board);
    for (int i = 0; i < 5; i++)
        exits_with(start(do_nothing, NULL, 0), 0);
    ck_assert(kin_process_is_alive(process));
    ck_assert_int_eq(kin_process_join(process, 0.15), KIN_ETIMEDOUT); /* a waiter looks each 0.1 s */
    ck_assert_uint_eq(arenas(), 1);
    ck_assert_int_eq(kin_process_terminate(process), 0);
    ck_assert_int_eq(finish(process).signal, SIGTERM);
    ck_assert_uint_eq(arenas(), 0);
}

static void the_program_sees_nothing_of_the_family(void)
{
    test_init();
    struct board *board =
        board_with("if ls -l /proc/$$/fd | grep -q 'memfd\\|pidfd\\|eventfd'; then exit 3; fi\n"
                   "if grep -q memfd:kin /proc/$$/maps; then exit 4; fi\n"
                   "if env | grep -q KIN_CHILD; then exit 5; fi");
    kin_process *other = start(become_shell, &(struct board *){board_with("sleep 1000")}, sizeof board);
    exits_with(start(become_shell, &board, sizeof board), 0);
    kin_process_free(other);
}

static int start_shell_and_wait(void *arg)
{
    struct board *board = *(struct board **)arg;
    kin_process *shell = kin_process_start(become_shell, &board, sizeof board, NULL);
    child_assert(shell != NULL);
    atomic_store(&board->armed, 1);
    for (;;)
        pause();
    return 0;
}

static void the_program_ends_with_the_members_parent(void)
{
    test_init();
    struct board *board = board_with("while :; do sleep 1000; done");
    kin_process *parent = start(start_shell_and_wait, &board, sizeof board);
    wait_for_shell(board);
    int pid = wait_for(&board->pid);
    kin_process_kill(parent);
    ck_assert_int_eq(finish(parent).signal, SIGKILL);
    wait_until_gone(pid);
}

/* Its own children live on, as it lives (kin/process.h, Death); they end with it. */
static int start_child_and_exec(void *arg)
{
    struct board *board = *(struct board **)arg;
    struct board *below = board_with("while :; do sleep 1000; done");
    kin_process *shell = kin_process_start(become_shell, &below, sizeof below, NULL);
    child_assert(shell != NULL);
    while (!atomic_load(&below->pid))
        usleep(500);
    atomic_store(&board->armed, atomic_load(&below->pid));
    return become_shell(arg);
}

static void children_of_one_that_execs_end_with_the_program(void)
{
    test_init();
    struct board *board = board_with("while :; do sleep 1000; done");
    kin_process *process = start(start_child_and_exec, &board, sizeof board);
    wait_for_shell(board);
    int below = wait_for(&board->armed);
    ck_assert(!is_gone(below));
    kin_process_kill(process);
    finish(process);
    wait_until_gone(below);
}

static const struct test tests[] = {
    {"exit_code_of_the_program_is_the_members", exit_code_of_the_program_is_the_members, 10,
     TEST_EACH_METHOD},
    {"it_lives_until_the_program_ends", it_lives_until_the_program_ends, 10, TEST_EACH_METHOD},
    {"the_program_sees_nothing_of_the_family", the_program_sees_nothing_of_the_family, 10, TEST_EACH_METHOD},
    {"the_program_ends_with_the_members_parent", the_program_ends_with_the_members_parent, 10,
     TEST_EACH_METHOD},
    {"children_of_one_that_execs_end_with_the_program", children_of_one_that_execs_end_with_the_program, 10,
     TEST_EACH_METHOD},
};
TEST_MAIN("cases_exec", tests)
