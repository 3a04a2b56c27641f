/*
 * overcommit_test.c - vm.overcommit_memory = 2, where memory that is promised must be there: a map of 1 TiB all the
 * same, and an error, no SIGBUS, when memory is out. It is a setting of the whole machine: it is changed for the
 * few moments that the founding of a family takes, and put back by a process of its own, whatever becomes of the test.
 * Other tests must not run meanwhile.
 */
#include "cases/common.h"

#include "kin.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>

#define VM "/proc/sys/vm/"
#define MIB ((size_t)1 << 20)
#define ROOM (256 * MIB) /* what all programs of the machine may have beyond what they have now */

static char mode[16], ratio[16];
static int hold[2]; /* when its last writer is gone, the settings are put back */
static pid_t keeper;

static bool set(const char *name, const char *text)
{
    int fd = open(name, O_WRONLY | O_CLOEXEC);
    bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return good;
}

static void get(const char *name, char *text, size_t size)
{
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, size - 1);
    ck_assert_msg(length > 0, "%s cannot be read", name);
    text[length] = '\0';
    close(fd);
}

static size_t committed_kib(void)
{
    FILE *file = fopen("/proc/meminfo", "re");
    char line[128];
    size_t kib = 0;
    while (file && !kib && fgets(line, sizeof line, file))
        if (sscanf(line, "Committed_AS: %zu kB", &kib) != 1)
            kib = 0;
    if (file)
        fclose(file);
    return kib;
}

static void keep(void)
{
    char byte;
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_IGN);
    setsid();
    close(hold[1]);
    ssize_t none = read(hold[0], &byte, 1);
    bool back = set(VM "overcommit_memory", mode);
    back &= set(VM "overcommit_ratio", ratio); /* which also ends the limit in KiB */
    _exit(none != 0 || !back);
}

static void change(void)
{
    char limit[32];
    get(VM "overcommit_memory", mode, sizeof mode);
    get(VM "overcommit_ratio", ratio, sizeof ratio);
    if (atoi(ratio) == 0)
        test_skip("the machine has an overcommit limit in KiB already");
    ck_assert_int_eq(pipe2(hold, O_CLOEXEC), 0);
    keeper = fork();
    if (keeper == 0)
        keep();
    close(hold[0]);
    snprintf(limit, sizeof limit, "%zu", committed_kib() + ROOM / 1024);
    if (!set(VM "overcommit_kbytes", limit) || !set(VM "overcommit_memory", "2")) {
        close(hold[1]);
        waitpid(keeper, NULL, 0);
        test_skip("the machine's overcommit mode cannot be set here");
    }
}

static void put_back(void)
{
    close(hold[1]);
    ended_well(keeper);
}

static int use_the_heap(void *arg)
{
    close(hold[1]);
    char *block = kin_malloc(MIB);
    child_assert(block != NULL);
    memset(block, 1, MIB);
    kin_free(block);
    return arg != NULL;
}

static void memory_ends_by_an_error_where_it_must_be_there(void)
{
    size_t got = 0;
    change();
    int error = kin_init_with(&test_argc, &test_argv, KIN_INIT_OPTIONS(.heap_limit = (size_t)1 << 40));
    if (error == 0) {
        kin_process *process = kin_process_start(use_the_heap, NULL, 0, NULL);
        error = process ? kin_process_join(process, TOP) : kin_error_code();
        kin_process_free(process);
    }
    char *block;
    for (; error == 0 && got < 4 * ROOM && (block = kin_malloc(16 * MIB)); got += 16 * MIB)
        memset(block, 1, 16 * MIB); /* no SIGBUS */
    int full = kin_error_code();
    put_back();
    ck_assert_int_eq(error, 0);
    ck_assert_int_eq(full, KIN_ENOMEM);
    ck_assert_uint_ge(got, 32 * MIB);
    ck_assert_uint_le(got, 2 * ROOM);
}

static const struct test tests[] = {
    /* The sanitizers reserve more memory than there is, and valgrind much. */
    {"memory_ends_by_an_error_where_it_must_be_there", memory_ends_by_an_error_where_it_must_be_there, 30,
     TEST_NOT_VALGRIND | TEST_NOT_ASAN | TEST_LONG_ONLY},
};
TEST_MAIN("cases_overcommit", tests)
