/* thread_pool_test.c - what is different in pools of threads. Other tests of pools run over threads, too: TEST_EACH_KIND. */
#include "pool_common.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ThreadSanitizer's own view of mutexes is not right in a process that is forked while threads run. */
static void skip_forks_under_tsan(void)
{
#ifdef __SANITIZE_THREAD__
    test_skip("forks under ThreadSanitizer");
#endif
}

static kin_pool *new_threads(int workers)
{
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = workers, .kind = KIN_POOL_THREADS));
    ck_assert_msg(pool != NULL, "%s", kin_error_message());
    return pool;
}

static int same_process(kin_task *task, const int *in, int *out)
{
    (void)task;
    (void)in;
    *out = (int)getpid();
    return 0;
}

static void tasks_run_in_this_process_and_not_in_this_thread(void)
{
    enum { COUNT = 1000 };
    int in[COUNT], out[COUNT];
    test_init();
    kin_pool *pool = new_threads(2);
    memset(in, 0, sizeof in);
    ck_assert_int_eq(kin_map(pool, same_process, in, out, COUNT), 0);
    for (int i = 0; i < COUNT; i++)
        ck_assert_int_eq(out[i], (int)getpid());
    ck_assert_int_eq(kin_pool_workers(pool), 2);
    end_pool(pool);
}

struct counters {
    _Atomic int begun, ended, ran;
    _Atomic bool go;
};

static int count_one(kin_task *task, const void *in, void *out)
{
    struct counters *counters = kin_task_context(task);
    (void)in;
    *(int **)out = (int *)&counters->ran;
    atomic_fetch_add(&counters->ran, 1);
    return 0;
}

static void private_memory_is_used_in_place(void)
{
    static int here, *there;
    struct counters counters = {0};
    test_init();
    kin_pool *pool = new_threads(2);
    for (int i = 0; i < 10; i++) {
        int *out;
        kin_result *result = kin_pool_apply_async(
            pool, count_one, KIN_APPLY_ARGS(.context = &counters, .out = &there, .out_size = sizeof there));
        ck_assert_msg(result != NULL, "%s", kin_error_message());
        ck_assert_int_eq(kin_result_get(result, &out, sizeof out, TOP), 0);
        ck_assert_ptr_eq(out, &counters.ran);
        ck_assert_ptr_eq(there, &counters.ran);
        kin_result_free(result);
    }
    ck_assert_int_eq(counters.ran, 10);
    here = there == &here;
    end_pool(pool);
}

static int exit_thread(kin_task *task, const int *in, int *out)
{
    if (*in == 7 && kin_task_attempt(task) == 0)
        pthread_exit(NULL);
    *out = *in * *in;
    return 0;
}

static int exit_thread_untyped(kin_task *task, const void *in, void *out)
{
    return exit_thread(task, in, out);
}

static void pthread_exit_fails_its_task_alone(void)
{
    enum { COUNT = 20 };
    int in[COUNT], out[COUNT];
    kin_task_error errors[2];
    size_t failures;
    test_init();
    kin_pool *pool = new_threads(2);
    for (int i = 0; i < COUNT; i++)
        in[i] = i;
    kin_map_args args = {.size = sizeof args,
                         .in = in,
                         .in_size = sizeof *in,
                         .out = out,
                         .out_size = sizeof *out,
                         .count = COUNT,
                         .on_failure = KIN_COLLECT,
                         .errors = errors,
                         .errors_capacity = 2,
                         .failures = &failures};
    ck_assert_int_eq(kin_pool_map(pool, exit_thread_untyped, &args), KIN_EDIED);
    ck_assert_uint_eq(failures, 1);
    ck_assert_uint_eq(errors[0].index, 7);
    ck_assert_int_eq(errors[0].cause, KIN_CAUSE_EXITED);
    ck_assert_str_eq(errors[0].error.message,
                     "task 7 ended its worker, a thread, by pthread_exit() or the like: a "
                     "task returns, or fails by kin_task_fail");
    for (int i = 0; i < COUNT; i++)
        ck_assert_int_eq(out[i], i == 7 ? 0 : i * i);
    args.retries = 1;
    ck_assert_int_eq(kin_pool_map(pool, exit_thread_untyped, &args), 0);
    ck_assert_int_eq(out[7], 49);

    kin_task_error error;
    kin_result *result =
        kin_pool_apply_async(pool, exit_thread_untyped,
                             KIN_APPLY_ARGS(.in = &in[7], .in_size = sizeof *in, .out_size = sizeof *out));
    ck_assert_int_eq(kin_result_get(result, out, sizeof *out, TOP), KIN_EDIED);
    ck_assert_int_eq(kin_result_error(result, &error), 0);
    ck_assert_int_eq(error.cause, KIN_CAUSE_EXITED);
    ck_assert_int_eq(error.pid, (int)getpid());
    kin_result_free(result);
    result = kin_pool_apply_async(
        pool, exit_thread_untyped,
        KIN_APPLY_ARGS(.in = &in[7], .in_size = sizeof *in, .out_size = sizeof *out, .retries = 1));
    ck_assert_int_eq(kin_result_get(result, out, sizeof *out, TOP), 0);
    ck_assert_int_eq(out[0], 49);
    kin_result_free(result);
    end_pool(pool);
}

static int exit_in_initializer(void **state, const void *arg)
{
    (void)state;
    (void)arg;
    pthread_exit(NULL);
}

static void threads_that_end_before_they_are_ready_are_told(void)
{
    int in[1] = {0}, out[1];
    test_init();
    kin_pool *pool = kin_pool_new(
        KIN_POOL_OPTIONS(.workers = 1, .kind = KIN_POOL_THREADS, .initializer = exit_in_initializer));
    ck_assert_ptr_nonnull(pool);
    ck_assert_int_eq(kin_map(pool, same_process, in, out, 1), KIN_EDIED);
    ck_assert_ptr_nonnull(
        strstr(kin_error_message(), "die before they are ready: the thread was ended by pthread_exit()"));
    kin_pool_free(pool);
}

static void what_takes_a_process_is_refused(void)
{
    int in[1] = {0}, out[1];
    test_init();
    const kin_pool_options refused[] = {
        {.size = sizeof *refused, .kind = KIN_POOL_THREADS, .sealed = true},
        {.size = sizeof *refused, .kind = KIN_POOL_THREADS, .memory_ceiling = 1},
        {.size = sizeof *refused, .kind = KIN_POOL_THREADS, .output = KIN_OUTPUT_CAPTURE},
        {.size = sizeof *refused, .kind = KIN_POOL_THREADS, .limits = {.cpu_time = {.hard = 1}}},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        ck_assert_ptr_null(kin_pool_new(&refused[i]));
        ck_assert_int_eq(kin_error_code(), KIN_ENOTSUP);
        ck_assert_ptr_nonnull(strstr(kin_error_message(), "KIN_POOL_PROCESSES"));
    }
    kin_pool *pool = new_threads(1);
    kin_map_args args = {.size = sizeof args,
                         .in = in,
                         .in_size = sizeof *in,
                         .out = out,
                         .out_size = sizeof *out,
                         .count = 1};
    args.time_limit = 1;
    ck_assert_int_eq(kin_pool_map(pool, exit_thread_untyped, &args), KIN_ENOTSUP);
    ck_assert_ptr_null(kin_pool_map_async(pool, exit_thread_untyped, &args));
    ck_assert_int_eq(kin_error_code(), KIN_ENOTSUP);
    args.time_limit = 0;
    args.memory_limit = 1;
    ck_assert_int_eq(kin_pool_map(pool, exit_thread_untyped, &args), KIN_ENOTSUP);
    ck_assert_ptr_null(kin_pool_apply_async(pool, exit_thread_untyped, KIN_APPLY_ARGS(.cpu_limit = 1)));
    ck_assert_int_eq(kin_error_code(), KIN_ENOTSUP);
    end_pool(pool);
}

static int until_told(kin_task *task, const void *in, void *out)
{
    struct counters *counters = kin_task_context(task);
    (void)in;
    (void)out;
    atomic_fetch_add(&counters->begun, 1);
    while (!kin_task_stopping(task) && !atomic_load(&counters->go))
        sched_yield();
    atomic_fetch_add(&counters->ended, 1);
    return 0;
}

static void await_begun(struct counters *counters, int count)
{
    while (atomic_load(&counters->begun) < count && test_time_left() > 1)
        sched_yield();
    ck_assert_int_ge(atomic_load(&counters->begun), count);
}

static void running_task_is_told_and_goes_on(void)
{
    struct counters counters = {0};
    test_init();
    kin_pool *pool = new_threads(1);
    kin_result *runs = kin_pool_apply_async(pool, until_told, KIN_APPLY_ARGS(.context = &counters));
    kin_result *waits = kin_pool_apply_async(pool, until_told, KIN_APPLY_ARGS(.context = &counters));
    await_begun(&counters, 1);
    ck_assert_int_eq(kin_result_cancel(waits), 0);
    ck_assert_int_eq(kin_result_wait(waits, 0), 0);
    ck_assert_int_eq(kin_result_cancel(runs), KIN_ENOTSUP);
    ck_assert_int_eq(kin_result_get(runs, NULL, 0, TOP), 0); /* it came to its end */
    ck_assert_int_eq(counters.ended, 1);
    kin_result_free(runs);
    kin_result_free(waits);

    runs =
        kin_pool_apply_async(pool, until_told, KIN_APPLY_ARGS(.context = &counters, .soft_time_limit = 0.01));
    ck_assert_int_eq(kin_result_get(runs, NULL, 0, TOP), 0);
    kin_result_free(runs);
    end_pool(pool);
}

static void freeing_waits_for_what_runs(void)
{
    struct counters counters = {0};
    test_init();
    kin_pool *pool = new_threads(2);
    kin_result *runs = kin_pool_apply_async(pool, until_told, KIN_APPLY_ARGS(.context = &counters));
    await_begun(&counters, 1);
    kin_result_free(runs);
    ck_assert_int_eq(counters.ended, 1);
    for (int i = 0; i < 10; i++)
        ck_assert_ptr_nonnull(kin_pool_apply_async(pool, until_told, KIN_APPLY_ARGS(.context = &counters)));
    await_begun(&counters, 2);
    kin_pool_free(pool);
    ck_assert_int_eq(counters.begun, counters.ended);
}

static int map_many(kin_task *task, const void *in, void *out)
{
    return until_told(task, in, out);
}

static void canceled_map_begins_no_more_items(void)
{
    struct counters counters = {0};
    test_init();
    kin_pool *pool = new_threads(2);
    kin_result *all =
        kin_pool_map_async(pool, map_many, KIN_MAP_ARGS(.context = &counters, .count = 1000, .chunk = 100));
    ck_assert_msg(all != NULL, "%s", kin_error_message());
    await_begun(&counters, 2);
    ck_assert_int_eq(kin_result_cancel(all), 0);
    ck_assert_int_eq(kin_result_get(all, NULL, 0, TOP), KIN_ECANCELED);
    kin_result_free(all);
    ck_assert_int_eq(counters.begun, 2);
    ck_assert_int_eq(counters.ended, 2);
    end_pool(pool);
}

static int call_own_pool(kin_task *task, const void *in, void *out)
{
    kin_pool *pool = *(kin_pool *const *)in;
    int *codes = out;
    int item = 0, result;
    (void)task;
    codes[0] = kin_map(pool, same_process, &item, &result, 1);
    codes[1] = kin_pool_finish(pool, 0);
    codes[2] = kin_pool_fd(pool);
    kin_pool_free(pool);
    codes[3] = kin_error_code();
    return 0;
}

static void what_is_the_makers_is_refused_in_its_tasks(void)
{
    int codes[4];
    test_init();
    kin_pool *pool = new_threads(1);
    ck_assert_int_eq(kin_pool_apply(pool, call_own_pool,
                                    KIN_APPLY_ARGS(.in = &pool, .in_size = sizeof(void *), .out = codes,
                                                   .out_size = sizeof codes)),
                     0);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(codes[i], KIN_EPERM);
    end_pool(pool);
}

static int fork_and_use_pool(kin_task *task, const void *in, void *out)
{
    kin_pool *pool = *(kin_pool *const *)in;
    (void)task;
    int *status = out;
    pid_t pid = fork();
    if (pid == 0) {
        kin_result *result = kin_pool_apply_async(pool, until_told, NULL);
        _exit(!result && kin_error_code() == KIN_EPERM ? 0 : TEST_CHILD_FAILED);
    }
    return waitpid(pid, status, 0) == pid ? 0 : -1;
}

static void forked_process_has_no_part_in_the_pool(void)
{
    static const int kinds[] = {KIN_POOL_THREADS, KIN_POOL_PROCESSES};
    skip_forks_under_tsan();
    test_init();
    for (int i = 0; i < 2; i++) {
        int status[2] = {1, 1};
        kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 2, .kind = kinds[i]));
        ck_assert_ptr_nonnull(pool);
        ck_assert_int_eq(fork_and_use_pool(NULL, &pool, &status[0]), 0);
        kin_apply_args args = {.size = sizeof args,
                               .in = &pool,
                               .in_size = sizeof(void *),
                               .out = &status[1],
                               .out_size = sizeof status[1]};
        ck_assert_int_eq(kin_pool_apply(pool, fork_and_use_pool, &args), 0); /* by a task */
        ck_assert_int_eq(status[0], 0);
        ck_assert_int_eq(status[1], 0);
        end_pool(pool);
    }
}

static _Atomic int states, finals;

static int begin_state(void **state, const void *arg)
{
    *state = malloc(64);
    snprintf(*state, 64, "%s %d", (const char *)arg, atomic_fetch_add(&states, 1));
    return 0;
}

static void end_state(void *state)
{
    atomic_fetch_add(&finals, 1);
    free(state);
}

static void finalizers_run_also_when_the_pool_is_freed(void)
{
    test_init();
    for (int finish = 0; finish < 2; finish++) {
        states = finals = 0;
        kin_pool *pool =
            kin_pool_new(KIN_POOL_OPTIONS(.workers = 3, .kind = KIN_POOL_THREADS, .initializer = begin_state,
                                          .finalizer = end_state, .init_arg = "state", .init_arg_size = 6));
        ck_assert_ptr_nonnull(pool);
        if (finish)
            ck_assert_int_eq(kin_pool_finish(pool, TOP), 0);
        kin_pool_free(pool);
        ck_assert_int_eq(states, 3);
        ck_assert_int_eq(finals, 3);
    }
}

static int signals_are_blocked(kin_task *task, const int *in, int *out)
{
    sigset_t mask;
    (void)task;
    (void)in;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    *out = sigismember(&mask, SIGINT) && sigismember(&mask, SIGALRM) && !sigismember(&mask, SIGSEGV);
    return 0;
}

static void signals_are_for_the_programs_own_threads(void)
{
    int in[4] = {0}, out[4];
    test_init();
    kin_pool *pool = new_threads(2);
    ck_assert_int_eq(kin_map(pool, signals_are_blocked, in, out, 4), 0);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(out[i], 1);
    end_pool(pool);
}

static int make_pool(kin_task *task, const void *in, void *out)
{
    kin_pool *inner = kin_pool_new(KIN_POOL_OPTIONS(.kind = KIN_POOL_THREADS));
    (void)task;
    (void)in;
    if (!inner)
        return kin_error_code();
    *(int *)out = kin_pool_workers(inner);
    int error = kin_pool_finish(inner, 10);
    kin_pool_free(inner);
    return error;
}

static void pools_in_tasks_share_the_budget_of_their_thread(void)
{
    int workers;
    test_init();
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 2, .kind = KIN_POOL_THREADS, .threads = 3));
    ck_assert_msg(pool != NULL, "%s", kin_error_message());
    ck_assert_int_eq(
        kin_pool_apply(pool, make_pool, KIN_APPLY_ARGS(.out = &workers, .out_size = sizeof workers)), 0);
    ck_assert_int_eq(workers, 3);
    end_pool(pool);
    pool = new_threads(1000 < kin_cpu_count() ? 500 : kin_cpu_count());
    ck_assert_int_eq(
        kin_pool_apply(pool, make_pool, KIN_APPLY_ARGS(.out = &workers, .out_size = sizeof workers)), 0);
    ck_assert_int_eq(workers, 1);
    end_pool(pool);
}

static int burn(kin_task *task, const void *in, void *out)
{
    volatile unsigned sum = 0;
    (void)task;
    (void)in;
    (void)out;
    for (unsigned i = 0; i < 20000000; i++)
        sum += i;
    return sum == 0; /* it is not: a sum that somebody reads */
}

static void use_is_measured_of_the_thread(void)
{
    kin_usage usage[2];
    kin_result *results[2];
    test_init();
    kin_pool *pool = new_threads(2);
    for (int i = 0; i < 2; i++)
        results[i] = kin_pool_apply_async(pool, burn, KIN_APPLY_ARGS(.measure = true));
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(kin_result_get(results[i], NULL, 0, TOP), 0);
        ck_assert_int_eq(kin_result_usage(results[i], &usage[i]), 0);
        ck_assert(usage[i].cpu > 0);
        ck_assert(usage[i].cpu <= usage[i].wall * 1.2 + 0.001); /* not that of both */
        ck_assert_uint_eq(usage[i].peak_memory, 0);
        kin_result_free(results[i]);
    }
    end_pool(pool);
}

static int exit_program(kin_task *task, const void *in, void *out)
{
    (void)task;
    (void)in;
    (void)out;
    exit(23);
}

static void exit_in_a_task_ends_the_program(void)
{
    skip_forks_under_tsan();
    test_init();
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 2, .kind = KIN_POOL_THREADS));
        if (!pool || kin_pool_apply(pool, exit_program, NULL) == 0)
            _exit(TEST_CHILD_FAILED);
        _exit(TEST_CHILD_FAILED);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 23);
}

static void map_over_threads_is_interrupted(void)
{
    struct counters counters = {0};
    test_init();
    kin_pool *pool = new_threads(2);
    pid_t me = getpid(), pid = fork();
    if (pid == 0) {
        usleep(100000);
        kill(me, SIGINT);
        _exit(0);
    }
    ck_assert_int_eq(kin_pool_map(pool, map_many, KIN_MAP_ARGS(.context = &counters, .count = 100)),
                     KIN_EINTR);
    ck_assert_int_eq(counters.begun, counters.ended);
    ck_assert_int_le(counters.begun, 2);
    waitpid(pid, NULL, 0);
    counters.go = true;
    ck_assert_int_eq(kin_pool_map(pool, map_many, KIN_MAP_ARGS(.context = &counters, .count = 100)), 0);
    end_pool(pool);
}

static const struct test tests[] = {
    {"tasks_run_in_this_process_and_not_in_this_thread", tasks_run_in_this_process_and_not_in_this_thread, 10,
     0},
    {"private_memory_is_used_in_place", private_memory_is_used_in_place, 10, 0},
    {"pthread_exit_fails_its_task_alone", pthread_exit_fails_its_task_alone, 10, 0},
    {"threads_that_end_before_they_are_ready_are_told", threads_that_end_before_they_are_ready_are_told, 10,
     0},
    {"what_takes_a_process_is_refused", what_takes_a_process_is_refused, 10, 0},
    {"running_task_is_told_and_goes_on", running_task_is_told_and_goes_on, 10, 0},
    {"freeing_waits_for_what_runs", freeing_waits_for_what_runs, 10, 0},
    {"canceled_map_begins_no_more_items", canceled_map_begins_no_more_items, 10, 0},
    {"what_is_the_makers_is_refused_in_its_tasks", what_is_the_makers_is_refused_in_its_tasks, 10, 0},
    {"forked_process_has_no_part_in_the_pool", forked_process_has_no_part_in_the_pool, 10, 0},
    {"finalizers_run_also_when_the_pool_is_freed", finalizers_run_also_when_the_pool_is_freed, 10, 0},
    {"signals_are_for_the_programs_own_threads", signals_are_for_the_programs_own_threads, 10, 0},
    {"pools_in_tasks_share_the_budget_of_their_thread", pools_in_tasks_share_the_budget_of_their_thread, 10,
     0},
    {"use_is_measured_of_the_thread", use_is_measured_of_the_thread, 20, 0},
    {"exit_in_a_task_ends_the_program", exit_in_a_task_ends_the_program, 10, 0},
    {"map_over_threads_is_interrupted", map_over_threads_is_interrupted, 10, 0},
};
TEST_MAIN("thread_pool", tests)
