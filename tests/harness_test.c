/*
 * harness_test.c - does the harness see what it promises to see? Runs harness_victims (its path is in
 * KIN_TEST_VICTIMS) and reads what it says.
 */
#include "harness.h"

#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/wait.h>

static char output[20000];

/* Run one victim; its exit code. `output` has what it printed. */
static int run_victim(const char *options)
{
    char command[1000];
    const char *program = getenv("KIN_TEST_VICTIMS");
    if (!program)
        test_skip("KIN_TEST_VICTIMS does not say where harness_victims is");
    snprintf(command, sizeof command, "exec env -u KIN_TEST_RUNNING '%s' %s 2>&1", program, options);
    FILE *pipe = popen(command, "re");
    ck_assert_ptr_nonnull(pipe);
    size_t n = fread(output, 1, sizeof output - 1, pipe);
    output[n] = '\0';
    int status = pclose(pipe);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void expect_failure(const char *name, const char *text)
{
    char options[100], line[100];
    snprintf(options, sizeof options, "--only %s", name);
    int code = run_victim(options);
    ck_assert_msg(code == 1, "exit code %d:\n%s", code, output);
    snprintf(line, sizeof line, "not ok 1 - victims, %s\n", name);
    ck_assert_msg(strstr(output, line) != NULL, "no \"%s\" in:\n%s", line, output);
    ck_assert_msg(strstr(output, text) != NULL, "no \"%s\" in:\n%s", text, output);
}

static void expect_success(const char *name, const char *text)
{
    char options[100];
    snprintf(options, sizeof options, "--only %s", name);
    int code = run_victim(options);
    ck_assert_msg(code == 0, "exit code %d:\n%s", code, output);
    ck_assert_msg(strstr(output, text) != NULL, "no \"%s\" in:\n%s", text, output);
}

static void good_test_passes(void)
{
    expect_success("good", "ok 1 - victims, good\n");
}

static void skipped_test_says_why(void)
{
    expect_success("skipped", "ok 1 - victims, skipped # SKIP there is nothing to do\n");
}

static void false_assertion_fails_with_its_text(void)
{
    expect_failure("false_assertion", "1 + 1 == 2, 3 == 3");
}

static void false_assertion_in_child_is_told(void)
{
    expect_failure("false_assertion_in_child", "not true: 1 + 1 == 3");
}

static void exit_code_is_told(void)
{
    expect_failure("exit_code", "exit code 3");
}

static void crash_is_told(void)
{
    expect_failure("crash", "died of signal 11");
}

static void hang_ends_at_its_deadline_and_processes_are_described(void)
{
    expect_failure("hang", "not done after 0.3 s");
    const char *first = strstr(output, "state S");
    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_nonnull(strstr(first + 1, "state S"));
}

static void leftover_child_is_found(void)
{
    expect_failure("child", "left over");
}

static void leftover_stopped_child_is_found(void)
{
    expect_failure("stopped_child", "state T");
}

static void child_that_ends_by_itself_is_no_leftover(void)
{
    expect_success("child_that_ends_by_itself", "ok 1");
}

static void leftover_daemon_grandchild_is_found(void)
{
    expect_failure("daemon_grandchild", "left over");
}

static void leftover_holder_of_region_is_named(void)
{
    expect_failure("child_holding_region", "with the region mapped");
}

static void open_descriptor_is_found(void)
{
    expect_failure("descriptor", "/dev/zero");
}

static void file_in_dev_shm_is_found(void)
{
    expect_failure("file_in_dev_shm", "/dev/shm/kin-harness-victim");
    remove("/dev/shm/kin-harness-victim"); /* here only where tests may not have a /dev/shm of their own */
}

static void system_v_segment_is_found(void)
{
    expect_failure("system_v_segment", "System V shm");
    const char *id = strstr(output, " id ");
    ck_assert_ptr_nonnull(id);
    shmctl(atoi(id + 4), IPC_RMID, NULL); /* the same */
}

static void message_queue_is_found(void)
{
    int code = run_victim("--only message_queue");
    if (strstr(output, "# SKIP"))
        test_skip("this kernel has no message queues");
    mq_unlink("/kin-harness-victim"); /* the same */
    if (code == 0)
        test_skip("only root, or who has /dev/mqueue mounted, can list message queues");
    ck_assert_int_eq(code, 1);
    ck_assert_ptr_nonnull(strstr(output, "POSIX message queue /kin-harness-victim"));
}

static void leftover_of_failed_test_is_told_too(void)
{
    expect_failure("crash_with_child", "died of signal 6");
    ck_assert_ptr_nonnull(strstr(output, "left over by a test that failed"));
}

static void repeat_stops_at_first_failure(void)
{
    int code = run_victim("--only false_assertion --repeat 5");
    ck_assert_int_eq(code, 1);
    ck_assert_ptr_nonnull(strstr(output, "1..1\n"));
    code = run_victim("--only good --repeat 5");
    ck_assert_int_eq(code, 0);
    ck_assert_ptr_nonnull(strstr(output, "1..5\n"));
}

static void unknown_name_is_an_error(void)
{
    ck_assert_int_eq(run_victim("--only no_such_test"), 1);
    ck_assert_int_eq(run_victim("--no-such-option"), 2);
}

static const struct test tests[] = {
    {"good_test_passes", good_test_passes, 20, 0},
    {"skipped_test_says_why", skipped_test_says_why, 20, 0},
    {"false_assertion_fails_with_its_text", false_assertion_fails_with_its_text, 20, 0},
    {"false_assertion_in_child_is_told", false_assertion_in_child_is_told, 20, 0},
    {"exit_code_is_told", exit_code_is_told, 20, 0},
    {"crash_is_told", crash_is_told, 20, 0},
    {"hang_ends_at_its_deadline_and_processes_are_described",
     hang_ends_at_its_deadline_and_processes_are_described, 20, 0},
    {"leftover_child_is_found", leftover_child_is_found, 20, 0},
    {"leftover_stopped_child_is_found", leftover_stopped_child_is_found, 20, 0},
    {"child_that_ends_by_itself_is_no_leftover", child_that_ends_by_itself_is_no_leftover, 20, 0},
    {"leftover_daemon_grandchild_is_found", leftover_daemon_grandchild_is_found, 20, 0},
    {"leftover_holder_of_region_is_named", leftover_holder_of_region_is_named, 20, 0},
    {"open_descriptor_is_found", open_descriptor_is_found, 20, 0},
    {"file_in_dev_shm_is_found", file_in_dev_shm_is_found, 20, 0},
    {"system_v_segment_is_found", system_v_segment_is_found, 20, 0},
    {"message_queue_is_found", message_queue_is_found, 20, 0},
    {"leftover_of_failed_test_is_told_too", leftover_of_failed_test_is_told_too, 20, 0},
    {"repeat_stops_at_first_failure", repeat_stops_at_first_failure, 20, 0},
    {"unknown_name_is_an_error", unknown_name_is_an_error, 20, 0},
};
TEST_MAIN("harness", tests)
