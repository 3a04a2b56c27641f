/* limits_test.c - the limits of kin_process_options and kin_pool_options. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "kin.h"

#define TOP (test_time_left() - 0.5)
#define MIB ((size_t)1 << 20)
#define BOTH(value)                      \
    {                                    \
        .soft = (value), .hard = (value) \
    }

static kin_process *start(kin_process_fn fn, kin_limits limits)
{
    kin_process *process =
        kin_process_start(fn, NULL, 0, KIN_PROCESS_OPTIONS(.start_method = test_method(), .limits = limits));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    return process;
}

/* Start, join, and how it ended; the story goes to `story` unless NULL. */
static kin_end run(kin_process_fn fn, kin_limits limits, kin_error *story)
{
    kin_process *process = start(fn, limits);
    kin_end end;
    kin_error error;
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    ck_assert_int_eq(kin_process_end(process, &end), 0);
    ck_assert_int_eq(kin_process_error(process, story ? story : &error), 0);
    kin_process_free(process);
    return end;
}

static void assert_story(const kin_error *story, int code, const char *part)
{
    ck_assert_msg(story->code == code && strstr(story->message, part), "%s: %s", kin_error_name(story->code),
                  story->message);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* MiB until malloc has no more. */
static size_t eat(size_t most)
{
    size_t eaten = 0;
    while (eaten < most) {
        char *block = malloc(MIB);
        if (!block)
            break;
        *(volatile char *)block = 1;
        eaten++; /* NOLINT(clang-analyzer-unix.Malloc): it is to stay */
    }
    return eaten;
}

static int eat_and_abort(void *arg)
{
    (void)arg;
    size_t eaten = eat(200);
    child_assert(eaten >= 20 && eaten <= 32);
    abort();
}

static int eat_and_give_up(void *arg)
{
    (void)arg;
    child_assert(eat(200) <= 32);
    return 3;
}

static int eat_and_go_on(void *arg)
{
    (void)arg;
    child_assert(eat(200) <= 32);
    return 0;
}

static int eat_little_and_abort(void *arg)
{
    (void)arg;
    child_assert(eat(5) == 5);
    abort();
}

static void private_memory_is_refused_and_what_comes_of_it_told(void)
{
    test_init();
    kin_limits limits = {.memory = {.hard = 32.0 * MIB}};
    kin_error story;
    kin_end end = run(eat_and_abort, limits, &story);
    ck_assert_int_eq(end.how, KIN_END_SIGNALED);
    ck_assert_int_eq(end.signal, SIGABRT);
    ck_assert_int_eq(end.limit, KIN_LIMIT_MEMORY);
    assert_story(&story, KIN_EMEMLIMIT, "32.0 MiB");
    end = run(eat_and_give_up, limits, &story);
    ck_assert_int_eq(end.exit_code, 3);
    ck_assert_int_eq(end.limit, KIN_LIMIT_MEMORY);
    assert_story(&story, KIN_EMEMLIMIT, "exit code 3");
    end = run(eat_and_go_on, limits, &story);
    ck_assert_int_eq(end.exit_code, 0);
    ck_assert_int_eq(end.limit, KIN_LIMIT_NONE);
    ck_assert_int_eq(story.code, 0);
    end = run(eat_little_and_abort, limits, &story);
    ck_assert_int_eq(end.limit, KIN_LIMIT_NONE);
    ck_assert_int_eq(story.code, KIN_EDIED);
}

static int raise_own_memory(void *arg)
{
    (void)arg;
    child_assert(eat(200) <= 32);
    struct rlimit now;
    child_assert(getrlimit(RLIMIT_DATA, &now) == 0);
    child_assert(now.rlim_max - now.rlim_cur == 32 * MIB);
    now.rlim_cur = now.rlim_max;
    child_assert(setrlimit(RLIMIT_DATA, &now) == 0);
    child_assert(eat(200) >= 30);
    return 0;
}

static void soft_memory_limit_may_be_raised_to_the_hard_one(void)
{
    test_init();
    kin_limits limits = {.memory = {.soft = 32.0 * MIB, .hard = 64.0 * MIB}};
    ck_assert_int_eq(run(raise_own_memory, limits, NULL).exit_code, 0);
}

/* ---- heap ------------------------------------------------------------------------------------ */

static void *allocate(void *size)
{
    return kin_malloc(*(size_t *)size);
}

static int quota_counts_all_threads(void *arg)
{
    (void)arg;
    size_t size = 3 * MIB;
    void *block[3];
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        child_assert(pthread_create(&thread, NULL, allocate, &size) == 0);
        child_assert(pthread_join(thread, &block[i]) == 0);
    }
    child_assert(block[0] && block[1] && !block[2]);
    child_assert(!kin_malloc(3 * MIB));
    child_assert(kin_error_code() == KIN_EMEMLIMIT);
    kin_free(block[0]); /* made by a thread that has ended, freed by this one */
    block[0] = kin_malloc(3 * MIB);
    child_assert(block[0]);
    kin_free(block[0]);
    kin_free(block[1]);
    size_t small = 0;
    while (kin_malloc(1000))
        small += 1000;
    child_assert(small > 7 * MIB && small < 9 * MIB);
    return kin_error_code() == KIN_EMEMLIMIT;
}

static int dies_for_want_of_heap(void *arg)
{
    (void)arg;
    if (!kin_malloc(20 * MIB))
        abort();
    return 0;
}

static void heap_quota_holds_over_all_threads_of_a_process(void)
{
    test_init();
    kin_limits limits = {.heap = {.hard = 8.0 * MIB}};
    kin_error story;
    kin_end end = run(quota_counts_all_threads, limits, &story);
    ck_assert_int_eq(end.exit_code, 1);
    ck_assert_int_eq(end.limit, KIN_LIMIT_HEAP);
    ck_assert_int_eq(story.code, KIN_EMEMLIMIT);
    end = run(dies_for_want_of_heap, limits, &story);
    ck_assert_int_eq(end.signal, SIGABRT);
    ck_assert_int_eq(end.limit, KIN_LIMIT_HEAP);
    assert_story(&story, KIN_EMEMLIMIT, "8.0 MiB");
}

static void note_warning(int level, const char *message, void *arg)
{
    child_assert(level == KIN_LOG_WARNING && strstr(message, "soft limit of 4.0 MiB"));
    ++*(int *)arg;
}

static int is_warned_once(void *arg)
{
    (void)arg;
    int warnings = 0;
    kin_log_set_callback(note_warning, &warnings);
    child_assert(kin_malloc(2 * MIB) && warnings == 0);
    child_assert(kin_malloc(3 * MIB) && warnings == 1);
    child_assert(kin_malloc(2 * MIB) && warnings == 1);
    kin_log_set_callback(NULL, NULL);
    return 0;
}

static void soft_heap_limit_warns_once(void)
{
    test_init();
    ck_assert_int_eq(run(is_warned_once, (kin_limits){.heap = {.soft = 4.0 * MIB}}, NULL).exit_code, 0);
}

/* A limit is the process's, not its children's. */
static int child_of_limited_has_no_quota(void *arg)
{
    (void)arg;
    kin_process *child = kin_process_start(dies_for_want_of_heap, NULL, 0, NULL);
    child_assert(child && kin_process_join(child, KIN_FOREVER) == 0);
    kin_end end;
    kin_process_end(child, &end);
    return end.exit_code;
}

static void heap_quota_is_not_inherited(void)
{
    test_init();
    kin_end end = run(child_of_limited_has_no_quota, (kin_limits){.heap = {.hard = 8.0 * MIB}}, NULL);
    ck_assert_int_eq(end.how, KIN_END_EXITED);
    ck_assert_int_eq(end.exit_code, 0);
}

/* ---- time ------------------------------------------------------------------------------------ */

static int spin(void *arg)
{
    (void)arg;
    for (volatile unsigned i = 0;; i++)
        continue;
    return 0;
}

static int spin_deaf(void *arg)
{
    signal(SIGXCPU, SIG_IGN);
    return spin(arg);
}

static void cpu_time_ends_by_signal_then_by_force(void)
{
    test_init();
    kin_error story;
    kin_process *soft = start(spin, (kin_limits){.cpu_time = {.soft = 0.3, .hard = 20}});
    kin_end end = run(spin_deaf, (kin_limits){.cpu_time = {.soft = 0.2, .hard = 0.5}}, &story);
    ck_assert_int_eq(end.signal, SIGKILL);
    ck_assert_int_eq(end.limit, KIN_LIMIT_CPU_TIME);
    assert_story(&story, KIN_ETIMELIMIT, "0.5 s of CPU time");
    ck_assert_int_eq(kin_process_join(soft, TOP), 0);
    kin_process_end(soft, &end);
    kin_process_error(soft, &story);
    ck_assert_int_eq(end.signal, SIGXCPU);
    ck_assert_int_eq(end.limit, KIN_LIMIT_CPU_TIME);
    assert_story(&story, KIN_ETIMELIMIT, "0.3 s of CPU time");
    kin_process_free(soft);
}

static int sleep_long(void *arg)
{
    (void)arg;
    for (;;)
        pause();
    return 0;
}

static int sleep_deaf(void *arg)
{
    signal(SIGTERM, SIG_IGN);
    return sleep_long(arg);
}

static void take_the_hint(int number)
{
    (void)number;
    _exit(5);
}

static int sleep_until_told(void *arg)
{
    signal(SIGTERM, take_the_hint);
    return sleep_long(arg);
}

static void wall_time_ends_by_signal_then_by_force(void)
{
    test_init();
    kin_error story;
    kin_end end = run(sleep_long, (kin_limits){.wall_time = {.soft = 0.05, .hard = 60}}, &story);
    ck_assert_int_eq(end.signal, SIGTERM);
    ck_assert_int_eq(end.limit, KIN_LIMIT_WALL_TIME);
    assert_story(&story, KIN_ETIMELIMIT, "0.05 s of wall time");
    /* On a busy machine it may get the signal before it is deaf: then later. */
    double soft = 0.05;
    end = run(sleep_deaf, (kin_limits){.wall_time = {.soft = soft, .hard = soft * 10}}, &story);
    for (; end.signal == SIGTERM && soft < 3; soft *= 2)
        end = run(sleep_deaf, (kin_limits){.wall_time = {.soft = soft * 2, .hard = soft * 20}}, &story);
    ck_assert_int_eq(end.signal, SIGKILL);
    ck_assert_int_eq(end.limit, KIN_LIMIT_WALL_TIME);
    char told[40];
    snprintf(told, sizeof told, "%g s of wall time", soft * 10);
    assert_story(&story, KIN_ETIMELIMIT, told);
    end = run(sleep_long, (kin_limits){.wall_time = {.hard = KIN_LIMIT_ZERO}}, &story);
    ck_assert_int_eq(end.signal, SIGKILL);
    ck_assert_int_eq(end.limit, KIN_LIMIT_WALL_TIME);
    /* However slow the machine: the handler is there, or the default has the same signal. */
    end = run(sleep_until_told, (kin_limits){.wall_time = {.soft = 0.5}}, &story);
    ck_assert_int_eq(end.limit, KIN_LIMIT_WALL_TIME);
    ck_assert_int_eq(story.code, KIN_ETIMELIMIT);
    ck_assert(end.how == KIN_END_EXITED ? end.exit_code == 5 : end.signal == SIGTERM);
}

/* The sentinel is only looked at: nobody of the program's threads calls kin. */
static void wall_time_is_kept_while_the_starter_is_busy(void)
{
    test_init();
    kin_process *process = start(sleep_long, (kin_limits){.wall_time = {.hard = 0.1}});
    struct pollfd end = {.fd = kin_process_sentinel(process), .events = POLLIN};
    ck_assert_int_eq(poll(&end, 1, (int)(TOP * 1000)), 1);
    kin_process_free(process);
}

static void earlier_of_two_alarms_is_not_late(void)
{
    test_init();
    kin_process *late = start(sleep_long, (kin_limits){.wall_time = {.hard = 1000}});
    kin_process *early = start(sleep_long, (kin_limits){.wall_time = {.hard = 0.05}});
    ck_assert_int_eq(kin_process_join(early, TOP), 0);
    ck_assert(kin_process_is_alive(late));
    kin_process_free(early);
    kin_process_free(late);
}

static void other_deaths_are_not_blamed_on_limits(void)
{
    test_init();
    kin_limits limits = {.memory = BOTH(1e9),
                         .heap = BOTH(1e9),
                         .cpu_time = BOTH(1000),
                         .wall_time = BOTH(1000),
                         .files = BOTH(100)};
    const int signals[] = {SIGKILL, SIGTERM, SIGABRT};
    for (size_t i = 0; i < 3; i++) {
        kin_process *process = start(sleep_long, limits);
        kill(kin_process_pid(process), signals[i]);
        ck_assert_int_eq(kin_process_join(process, TOP), 0);
        kin_end end;
        kin_error story;
        kin_process_end(process, &end);
        kin_process_error(process, &story);
        ck_assert_int_eq(end.signal, signals[i]);
        ck_assert_int_eq(end.limit, KIN_LIMIT_NONE);
        ck_assert_int_eq(story.code, KIN_EDIED);
        kin_process_free(process);
    }
}

/* ---- files and cores ------------------------------------------------------------------------- */

static int open_all(void *arg)
{
    (void)arg;
    struct rlimit core, files;
    child_assert(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0 && core.rlim_max == 0);
    child_assert(getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur == 20 && files.rlim_max == 40);
    int first = open("/dev/null", O_RDONLY | O_CLOEXEC), last = first, fd = first;
    while (fd >= 0 && fd < 100) {
        last = fd;
        fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    int error = errno;
    /* LeakSanitizer wants descriptors at the end */
    child_assert(close_range((unsigned)first, (unsigned)last, 0) == 0);
    return error == EMFILE ? 0 : 1;
}

static void open_files_and_core_dumps_are_limited(void)
{
    test_init();
    kin_limits limits = {.core = {.hard = KIN_LIMIT_ZERO}, .files = {.soft = 20, .hard = 40}};
    kin_end end = run(open_all, limits, NULL);
    ck_assert_int_eq(end.how, KIN_END_EXITED);
    ck_assert_int_eq(end.exit_code, 0);
}

/* ---- what cannot be -------------------------------------------------------------------------- */

static void assert_refused(kin_limits limits, const char *part)
{
    ck_assert_ptr_null(kin_process_start(
        sleep_long, NULL, 0, KIN_PROCESS_OPTIONS(.start_method = test_method(), .limits = limits)));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    ck_assert_msg(strstr(kin_error_message(), part) != NULL, "%s", kin_error_message());
    ck_assert_ptr_null(kin_pool_new(KIN_POOL_OPTIONS(.workers = 1, .limits = limits)));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
}

static void impossible_limits_are_refused_before_the_start(void)
{
    test_init();
    assert_refused((kin_limits){.memory = {.soft = -1}}, "private memory");
    assert_refused((kin_limits){.heap = {.hard = NAN}}, "the heap");
    assert_refused((kin_limits){.wall_time = {.hard = INFINITY}}, "wall time");
    assert_refused((kin_limits){.cpu_time = {.soft = 3, .hard = 2}}, "soft limit of 3");
    assert_refused((kin_limits){.core = {.soft = 1e300}}, "core dumps");
    struct rlimit files;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
    assert_refused((kin_limits){.files = {.hard = (double)files.rlim_max + 1}}, "open files");
    size_t children;
    ck_assert_int_eq(kin_active_children(NULL, 0, &children), 0);
    ck_assert_int_eq(children, 0);
}

/* ---- pools ----------------------------------------------------------------------------------- */

static int hang_at_two(kin_task *task, size_t index, void *context)
{
    (void)task;
    (void)context;
    if (index == 2)
        for (;;)
            pause();
    return 0;
}

static void worker_at_its_wall_time_fails_its_task_and_is_replaced(void)
{
    test_init();
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 2, .start_method = test_method(),
                                                   .limits = {.wall_time = {.hard = 0.5}}));
    ck_assert_ptr_nonnull(pool);
    kin_task_error error = {0};
    size_t failures;
    kin_map_args args = {.size = sizeof args,
                         .count = 6,
                         .retries = 1,
                         .on_failure = KIN_COLLECT,
                         .errors = &error,
                         .errors_capacity = 1,
                         .failures = &failures};
    ck_assert_int_eq(kin_pool_for(pool, hang_at_two, &args), KIN_ETIMELIMIT);
    ck_assert_int_eq(failures, 1);
    ck_assert_int_eq(error.index, 2);
    ck_assert_int_eq(error.attempts, 2);
    ck_assert_int_eq(error.end.limit, KIN_LIMIT_WALL_TIME);
    assert_story(&error.error, KIN_ETIMELIMIT, "0.5 s of wall time");
    kin_pool_free(pool);
}

static int note_limit(kin_task *task, size_t index, void *context)
{
    (void)task;
    struct rlimit now;
    child_assert(getrlimit(RLIMIT_DATA, &now) == 0);
    ((rlim_t *)context)[index] = now.rlim_cur;
    return 0;
}

/* A task's own limit holds where it is the lower one, for the time of its map. */
static void limits_of_tasks_do_not_lift_those_of_workers(void)
{
    test_init();
    rlim_t *seen = kin_calloc(4, sizeof *seen);
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 1, .start_method = test_method(),
                                                   .limits = {.memory = BOTH(64.0 * MIB)}));
    ck_assert_ptr_nonnull(pool);
    const size_t limits[] = {0, 1000 * MIB, 8 * MIB, 0};
    for (int i = 0; i < 4; i++) {
        kin_map_args args = {.size = sizeof args, .count = 1, .context = seen + i, .memory_limit = limits[i]};
        ck_assert_int_eq(kin_pool_for(pool, note_limit, &args), 0);
    }
    ck_assert_uint_eq(seen[1], seen[0]);
    ck_assert_uint_lt(seen[2], seen[0]);
    ck_assert_uint_eq(seen[3], seen[0]);
    kin_pool_free(pool);
    kin_free(seen);
}

static const struct test tests[] = {
    /* AddressSanitizer's malloc ends the process when there is no memory */
    {"private_memory_is_refused_and_what_comes_of_it_told",
     private_memory_is_refused_and_what_comes_of_it_told, 20, TEST_EACH_METHOD | TEST_NOT_ASAN},
    {"soft_memory_limit_may_be_raised_to_the_hard_one", soft_memory_limit_may_be_raised_to_the_hard_one, 20,
     TEST_EACH_METHOD | TEST_NOT_ASAN},
    {"heap_quota_holds_over_all_threads_of_a_process", heap_quota_holds_over_all_threads_of_a_process, 20,
     TEST_EACH_METHOD},
    {"soft_heap_limit_warns_once", soft_heap_limit_warns_once, 20, TEST_EACH_METHOD},
    {"heap_quota_is_not_inherited", heap_quota_is_not_inherited, 20, TEST_EACH_METHOD},
    {"cpu_time_ends_by_signal_then_by_force", cpu_time_ends_by_signal_then_by_force, 60, TEST_EACH_METHOD},
    {"wall_time_ends_by_signal_then_by_force", wall_time_ends_by_signal_then_by_force, 30, TEST_EACH_METHOD},
    {"wall_time_is_kept_while_the_starter_is_busy", wall_time_is_kept_while_the_starter_is_busy, 20,
     TEST_EACH_METHOD},
    {"earlier_of_two_alarms_is_not_late", earlier_of_two_alarms_is_not_late, 20, TEST_EACH_METHOD},
    {"other_deaths_are_not_blamed_on_limits", other_deaths_are_not_blamed_on_limits, 20, TEST_EACH_METHOD},
    {"open_files_and_core_dumps_are_limited", open_files_and_core_dumps_are_limited, 20, TEST_EACH_METHOD},
    {"impossible_limits_are_refused_before_the_start", impossible_limits_are_refused_before_the_start, 20,
     TEST_EACH_METHOD},
    {"worker_at_its_wall_time_fails_its_task_and_is_replaced",
     worker_at_its_wall_time_fails_its_task_and_is_replaced, 30, TEST_EACH_METHOD},
    /* AddressSanitizer maps memory of its own for each start */
    {"limits_of_tasks_do_not_lift_those_of_workers", limits_of_tasks_do_not_lift_those_of_workers, 20,
     TEST_EACH_METHOD | TEST_NOT_ASAN},
};
TEST_MAIN("limits", tests)
