/* backtrace_test.c - what a dying process notes of itself: kin_process_backtrace, process/crash.h. */
#include "ends_common.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "process/process_shared.h"

/* ---- backtraces ---- */

static void static_functions_are_named_with_file_and_line(void)
{
    test_init();
    struct story story;
    int *where = NULL;
    tell(touch_it, &where, sizeof where, &story);
    ck_assert_int_eq(strncmp(story.backtrace, "#0 touch ", 9), 0);
    ck_assert_ptr_nonnull(strstr(story.backtrace, "\n#1 touch_it "));
    ck_assert_ptr_nonnull(strstr(story.backtrace, "(backtrace_test+0x"));
    ck_assert_ptr_nonnull(strstr(story.error.message, ", in touch"));
    ck_assert_ptr_nonnull(strstr(story.error.message, ", called from touch_it"));
    ck_assert_ptr_null(strstr(story.backtrace, "kin_process_start")); /* that is the parent's affair */
#ifdef KIN_HAVE_LIBDW
    ck_assert_ptr_nonnull(strstr(story.error.message, ", in touch (ends_common.h:"));
    ck_assert_ptr_nonnull(strstr(story.backtrace, "ends_common.h:"));
#endif
    kin_process *process = start(touch_it, &where, sizeof where);
    char little[12];
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    ck_assert_int_eq(kin_process_backtrace(process, little, sizeof little), 0);
    ck_assert_int_eq(strncmp(little, "#0 touch ", 9), 0);
    ck_assert_uint_eq(strlen(little), sizeof little - 1);
    ck_assert_int_eq(kin_process_backtrace(process, NULL, 0), KIN_EINVAL);
    ck_assert_int_eq(kin_process_backtrace(NULL, little, sizeof little), KIN_EINVAL);
    kin_process_free(process);
}

KEPT static int crash_in_library(void *arg)
{
    (void)arg;
    char path[4096];
    snprintf(path, sizeof path, "%s/ends_plugin.so", getenv("KIN_TEST_ENDS"));
    void *library = dlopen(path, RTLD_NOW);
    child_assert(library != NULL);
    int (*crash)(int *) = (int (*)(int *))dlsym(library, "crash_in_plugin");
    child_assert(crash != NULL);
    return crash(NULL) + 1;
}

/* Which the parent does not even have loaded. */
static void functions_of_libraries_are_named(void)
{
    test_init();
    struct story story;
    tell(crash_in_library, NULL, 0, &story);
    says(&story, SIGSEGV, KIN_FAULT_NULL, "a null pointer");
    names(&story, "deep_in_plugin");
    names(&story, "crash_in_plugin");
    names(&story, "crash_in_library");
    ck_assert_ptr_nonnull(strstr(story.backtrace, "(ends_plugin.so+0x"));
}

static void a_crash_under_the_loaders_lock_is_told(void)
{
    test_init();
    struct story story;
    setenv("KIN_TEST_CRASH_WHILE_LOADING", "1", 1);
    test_surroundings_changed();
    tell(crash_in_library, NULL, 0, &story);
    says(&story, SIGSEGV, KIN_FAULT_NONE, "signal 11");
    names(&story, "crash_while_loading");
    names(&story, "crash_in_library");
}

static void *do_nothing(void *arg)
{
    return arg;
}

/* The list of free chunks leads to nowhere, which malloc finds out with its lock held. */
KEPT NOT_LOOKED_AT static int crash_in_malloc(void *arg)
{
    (void)arg;
    pthread_t thread;
    pthread_create(&thread, NULL, do_nothing, NULL); /* from now on malloc takes its lock */
    pthread_join(thread, NULL);
    static void *volatile kept[3]; /* volatile: the compiler is not to see what is done here */
    kept[0] = malloc(3000);
    kept[1] = malloc(3000);
    free(kept[0]);
    ((void *volatile *)kept[0])[1] = (void *)0x1000; /* NOLINT(clang-analyzer-unix.Malloc): what is tested */
    kept[2] = malloc(5000);
    return kept[2] != NULL;
}

static void a_crash_under_mallocs_lock_is_told(void)
{
    test_init();
    struct story story;
    tell(crash_in_malloc, NULL, 0, &story);
    ck_assert_int_eq(story.end.how, KIN_END_SIGNALED);
    ck_assert(story.end.signal == SIGSEGV || story.end.signal == SIGABRT);
    names(&story, "crash_in_malloc");
}

KEPT static void *touch_in_thread(void *arg)
{
    return touch(arg) ? arg : NULL;
}

static int crash_in_thread(void *arg)
{
    int count = *(int *)arg;
    pthread_t threads[8];
    for (int i = 0; i < count; i++)
        pthread_create(&threads[i], NULL, touch_in_thread, NULL);
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

static void a_crash_of_another_thread_is_told(void)
{
    test_init();
    struct story story;
    int count = 1;
    tell(crash_in_thread, &count, sizeof count, &story);
    says(&story, SIGSEGV, KIN_FAULT_NULL, "a null pointer");
    names(&story, "touch");
    names(&story, "touch_in_thread");
}

static void of_threads_that_crash_at_once_one_is_told_whole(void)
{
    test_init();
    int count = 8;
    for (int round = 0; round < (test_long() ? 500 : 20); round++) {
        struct story story;
        tell(crash_in_thread, &count, sizeof count, &story);
        says(&story, SIGSEGV, KIN_FAULT_NULL, "a null pointer");
        names(&story, "touch_in_thread");
    }
}

/* ---- the handler itself ---- */

static int crash_in_the_handler(void *arg)
{
    (void)arg;
    void *report = (void *)((uintptr_t)kin_current_process()->crash & ~(uintptr_t)4095);
    child_assert(mprotect(report, 8192, PROT_NONE) == 0);
    raise(SIGABRT);
    return 0;
}

static void a_crash_in_the_handler_ends_too(void)
{
    test_init();
    struct story story;
    tell(crash_in_the_handler, NULL, 0, &story);
    says(&story, SIGSEGV, KIN_FAULT_NONE, "signal 11");
    ck_assert_str_eq(story.backtrace, "");
}

/* As if another thread had begun a report, and does not get on. */
static int crash_behind_another(void *arg)
{
    (void)arg;
    atomic_store(&kin_current_process()->crash->state, KIN__CRASH_WRITING);
    return touch(nowhere) + 1;
}

static void a_report_that_is_never_finished_is_not_waited_for(void)
{
    test_init();
    struct story story;
    tell(crash_behind_another, NULL, 0, &story);
    says(&story, SIGSEGV, KIN_FAULT_NONE, "signal 11");
    ck_assert_str_eq(story.backtrace, "");
}

/* Killed at any moment around its crash: all of it is told, or only what the kernel says. */
static void killed_in_the_handler_it_tells_no_garbage(void)
{
    test_init();
    int crashed = 0, killed = 0, rounds = test_long() ? 3000 : 150;
    unsigned seed = 1;
    for (int round = 0; round < rounds; round++) {
        struct story story;
        int *_Atomic *where = kin_calloc(1, sizeof *where);
        kin_process *process = start_waiting(where);
        atomic_store(where, (int *)16);
        struct timespec pause = {.tv_nsec = rand_r(&seed) % 1200000};
        nanosleep(&pause, NULL);
        kin_process_kill(process);
        finish(process, &story);
        if (story.end.signal == SIGKILL) {
            killed++;
            says(&story, SIGKILL, KIN_FAULT_NONE, "signal 9 (SIGKILL)");
            ck_assert_str_eq(story.backtrace, "");
        } else {
            crashed++;
            says(&story, SIGSEGV, KIN_FAULT_NULL, "at 0x10: a null pointer");
            names(&story, "touch");
            names(&story, "touch_when_told");
        }
        kin_free((void *)where);
    }
    printf("# %d crashed, %d were killed before\n", crashed, killed);
}

static void a_scribbled_report_does_no_harm(void)
{
    test_init();
    char text[8192];
    kin_error error;
    int *where = NULL;
    kin_process *process = start(touch_it, &where, sizeof where);
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    struct kin__crash *report = process->crash, whole = *report;
    memset(report, 0xff, sizeof *report);
    ck_assert_int_eq(kin_process_backtrace(process, text, sizeof text), 0);
    ck_assert_str_eq(text, "");
    ck_assert_int_eq(kin_process_error(process, &error), 0);
    memset(report, 0x7f, sizeof *report);
    report->signal = SIGSEGV;
    atomic_store(&report->state, KIN__CRASH_FACTS);
    ck_assert_int_eq(kin_process_backtrace(process, text, sizeof text), 0);
    ck_assert_int_eq(kin_process_error(process, &error), 0);
    *report = whole;
    atomic_store(&report->state, KIN__CRASH_WRITING);
    ck_assert_int_eq(kin_process_backtrace(process, text, sizeof text), 0);
    ck_assert_str_eq(text, "");
    process->crash = (struct kin__crash *)16;
    ck_assert_int_eq(kin_process_backtrace(process, text, sizeof text), 0);
    ck_assert_str_eq(text, "");
    kin_process_free(process);
}

/* ---- handlers of others ---- */

static void leave(int number)
{
    (void)number;
    _exit(5);
}

/* Before kin_init, in each image: a library's handler. */
__attribute__((constructor)) static void handle_early(void)
{
    if (getenv("KIN_TEST_EARLIER"))
        signal(SIGSEGV, leave);
}

static void an_earlier_handler_gets_the_signal(void)
{
    test_init();
    struct story story;
    int *where = NULL;
    setenv("KIN_TEST_EARLIER", "1", 1);
    kin_process *process = kin_process_start(touch_it, (void *)&where, sizeof where,
                                             KIN_PROCESS_OPTIONS(.start_method = KIN_START_SPAWN));
    ck_assert_ptr_nonnull(process);
    finish(process, &story);
    ck_assert_int_eq(story.end.how, KIN_END_EXITED);
    ck_assert_int_eq(story.end.exit_code, 5);
    ck_assert_str_eq(story.backtrace, "");
}

static int crash_with_own_handler(void *arg)
{
    signal(SIGSEGV, leave);
    return touch_it(arg);
}

static void a_later_handler_has_it_alone(void)
{
    test_init();
    struct story story;
    int *where = NULL;
    tell(crash_with_own_handler, &where, sizeof where, &story);
    ck_assert_int_eq(story.end.how, KIN_END_EXITED);
    ck_assert_int_eq(story.end.exit_code, 5);
}

/* A process that a child makes by itself is no member, and says nothing in its name. */
static int children_of_its_own_crash(void *arg)
{
    (void)arg;
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(touch(nowhere));
    child_assert(waitpid(pid, &status, 0) == pid);
    child_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    pid = vfork(); /* NOLINT(clang-analyzer-security.insecureAPI.vfork): that it is one is the point */
    if (pid == 0) {
        touch(nowhere); /* NOLINT(clang-analyzer-unix.Vfork): it does not come back */
        _exit(0);
    }
    child_assert(waitpid(pid, &status, 0) == pid);
    child_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    child_assert(atomic_load(&kin_current_process()->crash->state) == KIN__CRASH_NONE);
    return 3;
}

static void crashes_of_a_childs_own_forks_are_not_its_own(void)
{
    test_init();
    struct story story;
    tell(children_of_its_own_crash, NULL, 0, &story);
    ck_assert_msg(story.end.how == KIN_END_EXITED, "%s", story.text);
    ck_assert_int_eq(story.end.exit_code, 3);
}

/* ---- the pool ---- */

static int crash_at_three(kin_task *task, const int *in, int *out)
{
    (void)task;
    *out = *in == 3 ? touch(nowhere) : *in;
    return 0;
}

static void a_task_that_crashes_says_where(void)
{
    test_init();
    int in[6] = {0, 1, 2, 3, 4, 5}, out[6];
    kin_task_error error;
    size_t failures = 0;
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 2, .start_method = test_method()));
    ck_assert_ptr_nonnull(pool);
    int result = kin_pool_map(pool, (kin_task_fn)crash_at_three,
                              KIN_MAP_ARGS(.in = in, .in_size = sizeof *in, .out = out,
                                           .out_size = sizeof *out, .count = 6, .on_failure = KIN_COLLECT,
                                           .errors = &error, .errors_capacity = 1, .failures = &failures));
    ck_assert_int_eq(result, KIN_EDIED);
    ck_assert_uint_eq(failures, 1);
    ck_assert_int_eq(error.end.signal, SIGSEGV);
    ck_assert_int_eq(error.end.fault, KIN_FAULT_NULL);
    ck_assert_msg(strstr(error.error.message, "at 0x0: a null pointer, in touch"), "%s", error.error.message);
    ck_assert_msg(strstr(error.error.message, "called from crash_at_three"), "%s", error.error.message);
    kin_pool_free(pool);
}

/* Not under AddressSanitizer: its malloc is another one; it watches vfork. */
static const struct test tests[] = {
    {"static_functions_are_named_with_file_and_line", static_functions_are_named_with_file_and_line, 10,
     TEST_EACH_METHOD},
    {"functions_of_libraries_are_named", functions_of_libraries_are_named, 10, TEST_EACH_METHOD},
    {"a_crash_under_the_loaders_lock_is_told", a_crash_under_the_loaders_lock_is_told, 10, TEST_EACH_METHOD},
    {"a_crash_under_mallocs_lock_is_told", a_crash_under_mallocs_lock_is_told, 10,
     TEST_EACH_METHOD | TEST_NOT_ASAN},
    {"a_crash_of_another_thread_is_told", a_crash_of_another_thread_is_told, 10, TEST_EACH_METHOD},
    {"of_threads_that_crash_at_once_one_is_told_whole", of_threads_that_crash_at_once_one_is_told_whole, 120,
     TEST_EACH_METHOD},
    {"a_crash_in_the_handler_ends_too", a_crash_in_the_handler_ends_too, 10, TEST_EACH_METHOD},
    {"a_report_that_is_never_finished_is_not_waited_for", a_report_that_is_never_finished_is_not_waited_for,
     20, TEST_EACH_METHOD},
    {"killed_in_the_handler_it_tells_no_garbage", killed_in_the_handler_it_tells_no_garbage, 120,
     TEST_EACH_METHOD},
    {"a_scribbled_report_does_no_harm", a_scribbled_report_does_no_harm, 10, TEST_EACH_METHOD},
    {"an_earlier_handler_gets_the_signal", an_earlier_handler_gets_the_signal, 10, TEST_NOT_VALGRIND},
    {"a_later_handler_has_it_alone", a_later_handler_has_it_alone, 10, TEST_EACH_METHOD},
    {"crashes_of_a_childs_own_forks_are_not_its_own", crashes_of_a_childs_own_forks_are_not_its_own, 10,
     TEST_EACH_METHOD | TEST_NOT_ASAN},
    {"a_task_that_crashes_says_where", a_task_that_crashes_says_where, 20, TEST_EACH_METHOD},
};

TEST_MAIN("backtrace", tests)
