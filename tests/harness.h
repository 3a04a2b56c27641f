/*
 * harness.h - what every test program is made of: Check below, a table of tests above.
 *
 *     #include "harness.h"
 *
 *     static void freed_block_is_used_again(void)
 *     {
 *         test_init();                                   (if it needs a family)
 *         void *block = kin_malloc(64);
 *         ck_assert_ptr_nonnull(block);
 *         ...
 *     }
 *
 *     static const struct test tests[] = {
 *         {"freed_block_is_used_again", freed_block_is_used_again, 5},
 *         {"child_sees_what_parent_wrote", child_sees_what_parent_wrote, 5, TEST_EACH_METHOD},
 *     };
 *     TEST_MAIN("heap", tests)
 *
 * Processes  Check forks a supervisor for each test, which forks the test itself: so each founds a family
 *          of its own, in a process group of its own, with stdin from /dev/null and stdout to stderr.
 * Leftovers  The supervisor is the subreaper of all that the test starts. When the test has ended it
 *          fails it for any descendant that does not end by itself within a second (daemons too), for any
 *          file in /dev/shm and any System V or POSIX IPC object left. As root each test has
 *          an IPC namespace and a /dev/shm of its own, so tests in parallel do not see each other. The
 *          test's own process is checked for descriptors that are open at its end and were not at its start.
 * Deadline Seconds for one test. CK_TIMEOUT_MULTIPLIER multiplies it (sanitizers, valgrind). A test past
 *          its deadline fails, and what each of its processes was doing is printed.
 * Spawn    A spawned child runs this same program again, so the main of TEST_MAIN comes to it first: it
 *          sees by the environment that it runs below a test and calls kin_init, which runs the child.
 * Command line  --list, --only NAME (as listed), --repeat N (until the first failure), --long.
 */
#ifndef KIN_TESTS_HARNESS_H
#define KIN_TESTS_HARNESS_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>

/* Tests make mistakes on purpose that gcc would tell. */
#if defined(__GNUC__) && __GNUC__ >= 12 && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuse-after-free"
#pragma GCC diagnostic ignored "-Wfree-nonheap-object"
#pragma GCC diagnostic ignored "-Wmismatched-dealloc"
#endif

enum test_flags {
    TEST_EACH_METHOD = 1,       /* run it under fork, under spawn and under forkserver: see test_method() */
    TEST_KEEPS_DESCRIPTORS = 2, /* descriptors are not counted (say why at the table's entry) */
    TEST_LONG_ONLY = 4,         /* run with --long only */
    TEST_NOT_VALGRIND = 8,      /* skipped under valgrind: 3.19 has no pidfd_open, so it starts no children.
                                   TEST_EACH_METHOD implies it */
    TEST_BY_FORKSERVER = 32,    /* run it under forkserver alone. Implies TEST_NOT_VALGRIND too */
    TEST_AND_THREADS = 64, /* beside TEST_EACH_METHOD: also with a pool of threads, see test_kind(); under
                                   ThreadSanitizer only with that */
    TEST_NOT_ASAN = 16     /* skipped under AddressSanitizer (say why at the table's entry) */
};

struct test {
    const char *name; /* a sentence in snake_case */
    void (*body)(void);
    double deadline; /* seconds */
    unsigned flags;  /* enum test_flags */
};

/*
 * Found a family: kin_init with the program's arguments, which must succeed; under forkserver, with its template made
 * ready. The descriptors that this opens do not count as left over. (A test may call kin_init itself, with test_argc and test_argv.)
 */
void test_init(void);
extern int test_argc;
extern char **test_argv;

/* The start method (enum kin_start_method) that a test with TEST_EACH_METHOD is to use; it is also what
 * KIN_START_METHOD says meanwhile, so that the default will do. Otherwise KIN_START_FORK. */
int test_method(void);

/* The kind of pool (enum kin_pool_kind) that a test with TEST_AND_THREADS is to use: processes, but in its run of that name. */
int test_kind(void);

/* Under forkserver, children have the streams, environment, directory and limits that the template was started with: call
 * this after a change of them. It does nothing under other methods. */
void test_surroundings_changed(void);

/* Whether this is the long form (`make check-long`): more rounds, larger sizes. */
bool test_long(void);

/* Whether this runs under valgrind, some 50 times slower: fewer rounds then, of what takes seconds otherwise. */
bool test_under_valgrind(void);

/* Seconds left until this test's deadline: the timeout for waits inside it. */
double test_time_left(void);

/* End the test as skipped. */
/* Make a process with this number, which goes on until it is killed; 0: not possible here. */
pid_t test_fork_as(pid_t wanted);

void test_skip(const char *reason) __attribute__((noreturn));

/*
 * An assertion for children of a test, however they were started: ck_assert works in the test's own
 * process and what it forks, this also in spawned children. Prints and ends the process with
 * TEST_CHILD_FAILED, which the parent has to look at.
 */
#define TEST_CHILD_FAILED 97
#define child_assert(condition)                                \
    do {                                                       \
        if (!(condition))                                      \
            test_child_failed(__FILE__, __LINE__, #condition); \
    } while (0)
void test_child_failed(const char *file, int line, const char *condition) __attribute__((noreturn));

int test_main(int argc, char **argv, const char *suite, const struct test *tests, size_t count);

#define TEST_MAIN(suite, tests)                                                         \
    int main(int argc, char **argv)                                                     \
    {                                                                                   \
        return test_main(argc, argv, suite, tests, sizeof(tests) / sizeof((tests)[0])); \
    }

#endif
