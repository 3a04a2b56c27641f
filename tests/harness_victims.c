/*
 * harness_victims.c - tests that are bad on purpose, for harness_test.c: each must fail, and for the reason
 * that its name says.
 */
#include "harness.h"

#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void good(void)
{
    ck_assert_int_eq(1 + 1, 2);
}

static void skipped(void)
{
    test_skip("there is nothing to do");
}

static void false_assertion(void)
{
    ck_assert_int_eq(1 + 1, 3);
}

static void false_assertion_in_child(void)
{
    pid_t pid = fork();
    int status;
    if (pid == 0)
        child_assert(1 + 1 == 3);
    waitpid(pid, &status, 0);
    ck_assert_int_eq(WEXITSTATUS(status), TEST_CHILD_FAILED);
    ck_assert_msg(0, "the child failed as it should");
}

static void exit_code(void)
{
    exit(3);
}

static void crash(void)
{
    raise(SIGSEGV);
}

static void hang(void)
{
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    waitpid(pid, NULL, 0);
}

static void child(void)
{
    if (fork() == 0)
        for (;;)
            pause();
}

static void stopped_child(void)
{
    if (fork() == 0)
        raise(SIGSTOP);
}

static void child_that_ends_by_itself(void)
{
    if (fork() == 0) {
        usleep(100 * 1000);
        _exit(0);
    }
}

static void daemon_grandchild(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        if (fork() == 0) {
            setsid();
            for (;;)
                pause();
        }
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

static void child_holding_region(void)
{
    int fd = memfd_create("kin-victim", MFD_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, 4096), 0);
    void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ck_assert_ptr_ne(map, MAP_FAILED);
    close(fd);
    child();
}

static void descriptor(void)
{
    ck_assert_int_ge(open("/dev/zero", O_RDONLY | O_CLOEXEC), 0);
}

static void file_in_dev_shm(void)
{
    int fd = open("/dev/shm/kin-harness-victim", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void system_v_segment(void)
{
    ck_assert_int_ge(shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600), 0);
}

static void message_queue(void)
{
    mqd_t queue = mq_open("/kin-harness-victim", O_CREAT | O_RDWR, 0600, NULL);
    if (queue < 0)
        test_skip("this kernel has no message queues");
    mq_close(queue);
}

static void crash_with_child(void)
{
    child();
    abort();
}

static const struct test tests[] = {
    {"good", good, 10, 0},
    {"skipped", skipped, 10, 0},
    {"false_assertion", false_assertion, 10, 0},
    {"false_assertion_in_child", false_assertion_in_child, 10, 0},
    {"exit_code", exit_code, 10, 0},
    {"crash", crash, 10, 0},
    {"hang", hang, 0.3, 0},
    {"child", child, 10, 0},
    {"stopped_child", stopped_child, 10, 0},
    {"child_that_ends_by_itself", child_that_ends_by_itself, 10, 0},
    {"daemon_grandchild", daemon_grandchild, 10, 0},
    {"child_holding_region", child_holding_region, 10, 0},
    {"descriptor", descriptor, 10, 0},
    {"file_in_dev_shm", file_in_dev_shm, 10, 0},
    {"system_v_segment", system_v_segment, 10, 0},
    {"message_queue", message_queue, 10, 0},
    {"crash_with_child", crash_with_child, 10, 0},
};
TEST_MAIN("victims", tests)
