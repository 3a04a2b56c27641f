/* nested_test.c - a member starts, or becomes, a program that uses kin itself: that founds a family of its own, which
 * shares nothing with the first, and ends with the member. */
#include "cases/common.h"

#include "kin.h"

#include <signal.h>
#include <stdlib.h>

static const char *program(void)
{
    const char *directory = getenv("KIN_TEST_CASES");
    if (!directory)
        test_skip("KIN_TEST_CASES does not tell where the programs are");
    static char path[400];
    snprintf(path, sizeof path, "%s/cases_nested_program", directory);
    return path;
}

struct board {
    char command[500];
    _Atomic int founder, child;
};

static struct board *board_for(const char *argument)
{
    struct board *board = kin_calloc(1, sizeof *board);
    ck_assert_ptr_nonnull(board);
    snprintf(board->command, sizeof board->command, "exec %s %s >/dev/null", program(), argument);
    return board;
}

static int run(void *arg)
{
    const struct board *board = *(struct board **)arg;
    int status = system(board->command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}

static int become(void *arg)
{
    const struct board *board = *(struct board **)arg;
    execl("/bin/sh", "sh", "-c", board->command, (char *)NULL);
    return 99;
}

static size_t members(void)
{
    size_t count;
    ck_assert_int_eq(kin_active_children(NULL, 0, &count), 0);
    return count;
}

static void member_runs_a_program_with_a_family_of_its_own(void)
{
    test_init();
    struct board *board = board_for("");
    exits_with(start(run, &board, sizeof board), 0);
    ck_assert_uint_eq(members(), 0);
}

static void founder_runs_one_too(void)
{
    test_init();
    struct board *board = board_for("");
    ck_assert_int_eq(run(&board), 0);
    ck_assert_uint_eq(members(), 0);
}

static void member_becomes_the_founder_of_another_family(void)
{
    test_init();
    struct board *board = board_for("");
    exits_with(start(become, &board, sizeof board), 0);
    ck_assert_uint_eq(members(), 0);
}

static int run_one_that_stays(void *arg)
{
    struct board *board = *(struct board **)arg;
    *strstr(board->command, " >/dev/null") = '\0';
    FILE *output = popen(board->command, "r");
    int founder, child;
    child_assert(output && fscanf(output, "%d %d", &founder, &child) == 2);
    atomic_store(&board->child, child);
    atomic_store(&board->founder, founder);
    for (;;)
        pause();
    return 0;
}

static void nested_family_ends_with_the_member(void)
{
    test_init();
    struct board *board = board_for("stay");
    kin_process *process = start(run_one_that_stays, &board, sizeof board);
    int founder = wait_for(&board->founder), child = board->child;
    ck_assert(!is_gone(founder) && !is_gone(child));
    kin_process_kill(process);
    ck_assert_int_eq(finish(process).signal, SIGKILL);
    wait_until_gone(founder);
    wait_until_gone(child);
}

/* A spawned child whose main does not call kin_init starts nobody, and its starter learns why. */
static void kin_init_forgotten_is_told_and_makes_no_chain(void)
{
    char command[500], text[500] = "";
    snprintf(command, sizeof command, "%s forget 2>&1", program());
    FILE *output = popen(command, "re");
    ck_assert_ptr_nonnull(output);
    size_t length = fread(text, 1, sizeof text - 1, output);
    ck_assert_uint_gt(length, 0);
    ck_assert_int_eq(pclose(output), 0);
    ck_assert_msg(strstr(text, "kin_init has not been called") != NULL, "%s", text);
    ck_assert_msg(strstr(text, "5 1 process") != NULL, "%s", text);
    ck_assert_msg(strstr(text, "before it came to kin_init") != NULL, "%s", text);
}

static const struct test tests[] = {
    {"kin_init_forgotten_is_told_and_makes_no_chain", kin_init_forgotten_is_told_and_makes_no_chain, 20,
     TEST_NOT_VALGRIND},
    {"member_runs_a_program_with_a_family_of_its_own", member_runs_a_program_with_a_family_of_its_own, 20,
     TEST_EACH_METHOD},
    {"founder_runs_one_too", founder_runs_one_too, 20, TEST_EACH_METHOD},
    {"member_becomes_the_founder_of_another_family", member_becomes_the_founder_of_another_family, 20,
     TEST_EACH_METHOD},
    {"nested_family_ends_with_the_member", nested_family_ends_with_the_member, 20, TEST_EACH_METHOD},
};
TEST_MAIN("cases_nested", tests)
