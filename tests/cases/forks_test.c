/* forks_test.c - processes that the user makes beside kin: _Fork, vfork, posix_spawn; and numbers that mean another
 * process: reused ones, and those of another pid namespace. */
#include "cases/common.h"

#include "kin.h"

#include "family/member.h"

#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/mman.h>

extern char **environ;

static int do_nothing(void *arg)
{
    return arg != NULL;
}

static int sleep_for_ever(void *arg)
{
    (void)arg;
    for (;;)
        pause();
    return 0;
}

/* With two children alive there is a guardian thread, whose lock and list the fork copies. */
static void fork_beside_a_guardian(pid_t (*by)(void))
{
    test_init();
    kin_process *two[] = {start(sleep_for_ever, NULL, 0), start(sleep_for_ever, NULL, 0)};
    for (int i = 0; i < 50; i++) {
        pid_t pid = by();
        if (pid == 0) {
            size_t count = 9;
            child_assert(kin_active_children(NULL, 0, &count) == 0 && count == 0);
            kin_process *mine[2];
            for (int j = 0; j < 2; j++)
                child_assert((mine[j] = kin_process_start(do_nothing, NULL, 0, NULL)));
            for (int j = 0; j < 2; j++) {
                child_assert(kin_process_join(mine[j], 10) == 0);
                kin_process_free(mine[j]);
            }
            kin_free(kin_malloc(100000));
            _exit(0);
        }
        ended_well(pid);
        ck_assert(kin_process_is_alive(two[0]) && kin_process_is_alive(two[1]));
    }
    kin_process_free(two[0]);
    kin_process_free(two[1]);
}

static void plain_forks_have_children_of_their_own(void)
{
    fork_beside_a_guardian(fork);
}

static void forks_without_handlers_have_children_of_their_own(void)
{
    fork_beside_a_guardian(_Fork);
}

/* What vfork makes runs in its parent's memory: it is not a member, and its end is not its parent's. */
static void vfork_leaves_its_parent_a_member(void)
{
    test_init();
    char *volatile block = kin_malloc(64);
    for (int i = 0; i < 100; i++) {
        pid_t pid = vfork(); /* NOLINT(clang-analyzer-security.insecureAPI.vfork): what is tested */
        if (pid == 0) {
            if (i % 2 == 0)
                _exit(0);
            execl("/bin/true", "true", (char *)NULL);
            _exit(1);
        }
        ended_well(pid);
        exits_with(start(do_nothing, NULL, 0), 0);
    }
    kin_free(block);
    ck_assert_int_eq(kin_process_pid(kin_current_process()), (int)getpid());
}

static void programs_by_posix_spawn_and_system_are_none_of_the_family(void)
{
    test_init();
    kin_process *process = start(sleep_for_ever, NULL, 0);
    static char shell[] = "sh", option[] = "-c",
                script[] = "! env | grep KIN_CHILD && ! ls -l /proc/$$/fd | grep memfd";
    char *const argv[] = {shell, option, script, NULL};
    for (int i = 0; i < 5; i++) {
        pid_t pid;
        ck_assert_int_eq(posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ), 0);
        ended_well(pid);
        ck_assert_int_eq(system("exit 3"), 3 << 8);
    }
    size_t count;
    ck_assert_int_eq(kin_active_children(NULL, 0, &count), 0);
    ck_assert_uint_eq(count, 1);
    kin_process_free(process);
}

/* ---- numbers ---- */

/* Make a process with this number; 0: not possible here. */
static pid_t fork_as(pid_t wanted)
{
    for (int i = 0; i < 1000; i++) {
        FILE *last = fopen("/proc/sys/kernel/ns_last_pid", "we");
        if (!last)
            return 0;
        fprintf(last, "%d", (int)wanted - 1);
        if (fclose(last) != 0)
            return 0;
        pid_t pid = _Fork();
        if (pid == 0)
            sleep_for_ever(NULL);
        if (pid == wanted)
            return pid;
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    return 0;
}

static size_t arenas(void)
{
    kin_heap_stats stats = {.size = sizeof stats};
    ck_assert_int_eq(kin_heap_get_stats(&stats), 0);
    return stats.arenas;
}

/* A plain fork, which nobody watches, has died, and a stranger has its number before anyone has looked. */
static void what_the_dead_owned_is_taken_back_though_its_number_lives(void)
{
    test_init();
    int ready[2];
    ck_assert_int_eq(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        child_assert(kin_arena_malloc(kin_arena_new(), 1000) && write(ready[1], "", 1) == 1);
        sleep_for_ever(NULL);
    }
    char byte;
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    ck_assert_uint_eq(arenas(), 1);
    usleep(50000); /* start times come in ticks of 10 ms, and are compared with some more */
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    pid_t stranger = fork_as(pid);
    if (!stranger)
        test_skip("/proc/sys/kernel/ns_last_pid cannot be set: no way to have a number again");
    kin__members_sweep();
    ck_assert_uint_eq(arenas(), 0);
    ck_assert(!is_gone(stranger));
    kill(stranger, SIGKILL);
    waitpid(stranger, NULL, 0);
}

static void enter_pid_namespace(void)
{
    if (unshare(CLONE_NEWPID) != 0)
        test_skip("no pid namespace may be made here");
}

/* A child that is refused; the parent is told, and goes on. */
static void process_started_in_another_pid_namespace_is_refused(void)
{
    test_init();
    exits_with(start(do_nothing, NULL, 0), 0);
    enter_pid_namespace();
    if (test_method() == KIN_START_FORKSERVER) { /* the template that was there stayed where it was */
        ck_assert_int_eq(kin_forkserver_prepare(NULL, NULL, 0, TOP), KIN_EMISMATCH);
        exits_with(start(do_nothing, NULL, 0), 0);
        return;
    }
    kin_process *process = start(do_nothing, NULL, 0);
    kin_error story;
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    ck_assert_int_eq(kin_process_error(process, &story), 0);
    ck_assert_int_eq(story.code, KIN_EMISMATCH);
    ck_assert_ptr_nonnull(strstr(story.message, "pid namespace"));
    exits_with(process, 126);
    kin_free(kin_malloc(100000));
}

static void plain_fork_in_another_pid_namespace_is_refused(void)
{
    test_init();
    enter_pid_namespace();
    pid_t pid = fork();
    if (pid == 0) {
        child_assert(kin_malloc(64) == NULL && kin_error_code() == KIN_EMISMATCH);
        child_assert(strstr(kin_error_message(), "pid namespace") != NULL);
        child_assert(kin_process_start(do_nothing, NULL, 0, NULL) == NULL);
        child_assert(kin_current_process() == NULL);
        pid_t below = fork(); /* whose parent is in the same namespace */
        if (below == 0) {
            child_assert(kin_malloc(64) == NULL && kin_error_code() == KIN_EMISMATCH);
            exit(0);
        }
        int status;
        child_assert(waitpid(below, &status, 0) == below && status == 0);
        exit(0);
    }
    ended_well(pid);
    kin_free(kin_malloc(64));
}

static const struct test tests[] = {
    {"plain_forks_have_children_of_their_own", plain_forks_have_children_of_their_own, 20, TEST_NOT_VALGRIND},
    {"forks_without_handlers_have_children_of_their_own", forks_without_handlers_have_children_of_their_own,
     20, TEST_NOT_VALGRIND},
    {"vfork_leaves_its_parent_a_member", vfork_leaves_its_parent_a_member, 20, TEST_EACH_METHOD},
    {"programs_by_posix_spawn_and_system_are_none_of_the_family",
     programs_by_posix_spawn_and_system_are_none_of_the_family, 20, TEST_EACH_METHOD},
    {"what_the_dead_owned_is_taken_back_though_its_number_lives",
     what_the_dead_owned_is_taken_back_though_its_number_lives, 20, TEST_NOT_VALGRIND},
    /* LeakSanitizer starts a thread, which cannot be after unshare(CLONE_NEWPID). */
    {"process_started_in_another_pid_namespace_is_refused",
     process_started_in_another_pid_namespace_is_refused, 10, TEST_EACH_METHOD | TEST_NOT_ASAN},
    {"plain_fork_in_another_pid_namespace_is_refused", plain_fork_in_another_pid_namespace_is_refused, 10,
     TEST_NOT_VALGRIND | TEST_NOT_ASAN},
};
TEST_MAIN("cases_forks", tests)
