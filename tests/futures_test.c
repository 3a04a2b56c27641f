/* futures_test.c - cases of CPython's test_concurrent_futures: shutdown, deadlock (tests/cpython/futures.tsv). */
#include "futures_common.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- shutdown -------------------------------------------------------------------------------- */

static void nothing_is_taken_up_after_finish(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    int in[2] = {2, 5}, out;
    ck_assert_int_eq(kin_pool_finish(pool, TOP), 0);
    ck_assert_ptr_null(kin_pool_apply_async(pool, divide_by_zero, NULL));
    ck_assert_int_eq(kin_error_code(), KIN_ECLOSED);
    ck_assert_ptr_null(kin_pool_map_async(pool, divide_by_zero, KIN_MAP_ARGS(.count = 3)));
    ck_assert_int_eq(kin_error_code(), KIN_ECLOSED);
    ck_assert_ptr_null(
        kin_pool_imap(pool, multiply_two, KIN_IMAP_ARGS(.in = in, .in_size = sizeof in, .count = 1)));
    ck_assert_int_eq(kin_error_code(), KIN_ECLOSED);
    ck_assert_int_eq(kin_pool_map(pool, multiply_two,
                                  KIN_MAP_ARGS(.in = in, .in_size = sizeof in, .out = &out,
                                               .out_size = sizeof out, .count = 1)),
                     KIN_ECLOSED);
    kin_pool_free(pool);
}

static void finish_waits_for_many_that_sleep(void)
{
    enum { TASKS = 50 };
    test_init();
    kin_pool *pool = new_pool(5);
    kin_result *results[TASKS];
    for (int i = 0; i < TASKS; i++)
        results[i] = submit_sleep(pool, 0.02);
    ck_assert_int_eq(kin_pool_finish(pool, TOP), 0);
    for (int i = 0; i < TASKS; i++)
        ck_assert_int_eq(kin_result_get(results[i], NULL, 0, 0), 0);
    kin_pool_free(pool);
}

static void what_waits_is_canceled_and_what_runs_is_finished(void)
{
    enum { TASKS = 50, WORKERS = 5, RUNNING = 10 };
    test_init();
    kin_pool *pool = new_pool(WORKERS);
    kin_result *results[TASKS];
    for (int i = 0; i < TASKS; i++)
        results[i] = submit_sleep(pool, A_WHILE);
    for (int i = TASKS - 1; i >= RUNNING; i--) /* they begin in the order of their submission */
        ck_assert_int_eq(kin_result_cancel(results[i]), 0);
    ck_assert_int_eq(kin_pool_finish(pool, TOP), 0);
    for (int i = 0; i < TASKS; i++)
        ck_assert_int_eq(kin_result_get(results[i], NULL, 0, 0), i < RUNNING ? 0 : KIN_ECANCELED);
    kin_pool_free(pool);
}

static int take_permit(kin_task *task, const void *in, void *out)
{
    (void)in, (void)out;
    return kin_semaphore_acquire(kin_task_context(task), KIN_FOREVER);
}

static int children(void)
{
    size_t count = 0;
    ck_assert_int_eq(kin_active_children(NULL, 0, &count), 0);
    return (int)count;
}

static void workers_have_ended_after_finish(void)
{
    test_init();
    kin_pool *pool = new_pool(3);
    kin_semaphore *permits = kin_semaphore_new(0, NULL);
    kin_result *results[3];
    for (int i = 0; i < 3; i++)
        results[i] = submit(pool, take_permit, KIN_APPLY_ARGS(.context = permits));
    ck_assert_int_eq(children(), test_kind() == KIN_POOL_THREADS ? 0 : 3);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(kin_semaphore_release(permits), 0);
    ck_assert_int_eq(kin_pool_finish(pool, TOP), 0);
    ck_assert_int_eq(children(), 0);
    free_results(results, 3);
    kin_pool_free(pool);
    ck_assert_int_eq(kin_semaphore_free(permits), 0);
}

static int absolute(kin_task *task, const int *in, int *out)
{
    (void)task;
    *out = abs(*in);
    return 0;
}

static int absolute_untyped(kin_task *task, const void *in, void *out)
{
    return absolute(task, in, out);
}

static void what_a_map_gave_is_there_when_the_pool_has_gone(void)
{
    test_init();
    kin_pool *pool = new_pool(5);
    int in[10], out[10];
    for (int i = 0; i < 10; i++)
        in[i] = i - 5;
    ck_assert_int_eq(kin_map(pool, absolute, in, out, 10), 0);
    kin_pool_free(pool);
    ck_assert_int_eq(children(), 0);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(out[i], abs(in[i]));
}

static void pool_that_is_closed_without_waiting_does_all(void)
{
    test_init();
    kin_pool *pool = new_pool(5);
    int in[10], out[10], error;
    for (int i = 0; i < 10; i++)
        in[i] = i - 5;
    kin_result *result = kin_pool_map_async(
        pool, absolute_untyped,
        KIN_MAP_ARGS(.in = in, .in_size = sizeof *in, .out_size = sizeof *out, .count = 10));
    ck_assert_ptr_nonnull(result);
    error = kin_pool_finish(pool, 0);
    ck_assert(error == 0 || error == KIN_ETIMEDOUT);
    ck_assert_ptr_null(kin_pool_apply_async(pool, divide_by_zero, NULL));
    ck_assert_int_eq(kin_result_get(result, out, sizeof out, TOP), 0);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(out[i], abs(in[i]));
    ck_assert_int_eq(kin_pool_finish(pool, TOP), 0);
    ck_assert_int_eq(children(), 0);
    kin_pool_free(pool);
}

static int tell_name(kin_task *task, const void *in, void *out)
{
    (void)in;
    snprintf(out, 32, "%s %d", kin_process_name(kin_current_process()), kin_task_worker(task));
    return 0;
}

static void name_of_a_worker(const char *pools_name, char *name, int *worker)
{
    kin_pool *pool =
        kin_pool_new(KIN_POOL_OPTIONS(.workers = 2, .start_method = test_method(), .name = pools_name));
    ck_assert_ptr_nonnull(pool);
    ck_assert_int_eq(kin_pool_apply(pool, tell_name, KIN_APPLY_ARGS(.out = name, .out_size = 32)), 0);
    char *blank = strchr(name, ' ');
    ck_assert_ptr_nonnull(blank);
    *blank = '\0';
    *worker = blank[1] - '0';
    end_pool(pool);
}

static void workers_have_the_pools_name(void)
{
    char name[32], expected[32];
    int worker;
    test_init();
    name_of_a_worker("special", name, &worker);
    snprintf(expected, sizeof expected, "special/%d", worker);
    ck_assert_str_eq(name, expected);
}

static void workers_of_a_pool_without_name_have_one(void)
{
    char name[32], expected[32];
    int worker;
    test_init();
    name_of_a_worker(NULL, name, &worker);
    snprintf(expected, sizeof expected, "pool-1/%d", worker);
    ck_assert_str_eq(name, expected);
}

/* ---- the program's end ----------------------------------------------------------------------- */

/* A program of its own: a plain fork that founds a family. What it prints goes to `text`; its exit code. */
static int run_program(void (*body)(void), char *text, size_t size)
{
    int pipes[2], status;
    size_t length = 0;
    ck_assert_int_eq(pipe(pipes), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        dup2(pipes[1], STDOUT_FILENO);
        close(pipes[0]);
        close(pipes[1]);
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        body();
        exit(3);
    }
    close(pipes[1]);
    for (ssize_t got; (got = read(pipes[0], text + length, size - 1 - length)) > 0;)
        length += (size_t)got;
    text[length] = '\0';
    close(pipes[0]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int sleep_and_print(kin_task *task, const void *in, void *out)
{
    int error = sleep_for(task, in, out);
    if (puts("apple") < 0 || fflush(stdout) != 0)
        return KIN_ESYSTEM;
    return error;
}

static kin_pool *program_pool;
static double program_pause;

static void submit_apple(void)
{
    test_init();
    program_pool = new_pool(3);
    submit(program_pool, sleep_and_print,
           KIN_APPLY_ARGS(.in = &program_pause, .in_size = sizeof program_pause));
}

static void end_after_finish(void)
{
    submit_apple();
    if (kin_pool_finish(program_pool, TOP) != 0)
        exit(4);
}

/* As with multiprocessing.Pool, tasks end with the program unless it waits for them; and it does not hang. */
static void end_of_a_program_waits_for_tasks_if_it_finishes_its_pool(void)
{
    char text[100];
    program_pause = A_WHILE;
    ck_assert_int_eq(run_program(end_after_finish, text, sizeof text), 3);
    ck_assert_str_eq(text, "apple\n");
    program_pause = 1000;
    ck_assert_int_eq(run_program(submit_apple, text, sizeof text), 3);
    ck_assert_str_eq(text, "");
}

static void end_after_finish_in_vain(void)
{
    submit_apple();
    if (kin_pool_finish(program_pool, 0) != KIN_ETIMEDOUT)
        exit(4);
}

static void program_ends_amid_tasks_of_a_pool_that_was_closed(void)
{
    char text[100];
    program_pause = 1000;
    ck_assert_int_eq(run_program(end_after_finish_in_vain, text, sizeof text), 3);
    ck_assert_str_eq(text, "");
}

static void end_after_cancel(void)
{
    kin_result *results[20];
    test_init();
    program_pool = new_pool(1);
    for (int i = 0; i < 20; i++)
        results[i] = submit(program_pool, sleep_and_print,
                            KIN_APPLY_ARGS(.in = &program_pause, .in_size = sizeof program_pause));
    for (int i = 19; i > 0; i--)
        if (kin_result_cancel(results[i]) != 0)
            exit(4);
    if (kin_pool_finish(program_pool, 0) != KIN_ETIMEDOUT || kin_result_wait(results[0], TOP) != 0)
        exit(5);
}

static void program_ends_behind_the_task_that_was_not_canceled(void)
{
    char text[100];
    program_pause = A_WHILE;
    ck_assert_int_eq(run_program(end_after_cancel, text, sizeof text), 3);
    ck_assert_str_eq(text, "apple\n");
}

static void submit_at_the_end(void)
{
    kin_result *result = kin_pool_apply_async(program_pool, divide_by_zero, NULL);
    int error = result ? kin_result_get(result, NULL, 0, TOP) : kin_error_code();
    printf("%s\n", error == KIN_ECLOSED ? "closed" : error ? kin_error_message() : "done");
    fflush(stdout);
}

/* The handler is registered first, so it runs last: kin's own end has come by then. */
static void submit_in_a_handler(void)
{
    int in[2] = {6, 7}, out = 0;
    atexit(submit_at_the_end);
    test_init();
    program_pool = new_pool(2);
    if (kin_pool_apply(program_pool, multiply_two,
                       KIN_APPLY_ARGS(.in = in, .in_size = sizeof in, .out = &out, .out_size = sizeof out)) !=
            0 ||
        out != 42)
        exit(4);
}

static void task_at_the_programs_end_is_refused(void)
{
    char text[400];
    ck_assert_int_eq(run_program(submit_in_a_handler, text, sizeof text), 3);
    ck_assert_str_eq(text, "closed\n");
}

/* ---- deadlock -------------------------------------------------------------------------------- */

enum fate { CRASH, EXIT, ERROR };

static int meet(enum fate fate, kin_task *task)
{
    if (fate == CRASH)
        raise(SIGSEGV);
    if (fate == EXIT)
        _exit(1);
    return kin_task_fail(task, "it was asked to");
}

struct plan {
    enum fate fate;
    double delay;
};

static int meet_fate(kin_task *task, const void *in, void *out)
{
    const struct plan *plan = in;
    (void)out;
    sleep_for(task, &plan->delay, NULL);
    return meet(plan->fate, task);
}

/* In the midst of its input, which lies in the heap: what it has read by then is lost with it. */
static int meet_fate_while_it_reads(kin_task *task, const void *in, void *out)
{
    const struct plan *plans = in;
    (void)out;
    for (size_t i = 0; i < 1000; i++)
        if (plans[i].delay > 0)
            return meet(plans[i].fate, task);
    return 0;
}

/* When half of its result is written. */
static int meet_fate_while_it_writes(kin_task *task, const void *in, void *out)
{
    memset(out, 1, 500);
    if (!kin_task_malloc(task, 100))
        return KIN_ENOMEM;
    return meet(((const struct plan *)in)->fate, task);
}

static int code_of(enum fate fate)
{
    return fate == ERROR ? KIN_EFAILED : KIN_EDIED;
}

static int cause_of(enum fate fate)
{
    return fate == CRASH ? KIN_CAUSE_SIGNALED : fate == EXIT ? KIN_CAUSE_EXITED : KIN_CAUSE_RETURNED;
}

/* It fails with its cause, and the pool goes on, and ends. */
static void check_fails(kin_task_fn fn, enum fate fate, const kin_apply_args *args)
{
    kin_pool *pool = new_pool(2);
    kin_task_error error;
    kin_result *result = submit(pool, fn, args), *other = submit_product(pool, 6, 7);
    char bytes[1000];
    ck_assert_int_eq(kin_result_get(result, args->out_size ? bytes : NULL, args->out_size, TOP),
                     code_of(fate));
    ck_assert_int_eq(kin_result_error(result, &error), 0);
    ck_assert_int_eq(error.cause, cause_of(fate));
    ck_assert_ptr_null(kin_result_value(result));
    ck_assert_int_eq(kin_result_wait(other, TOP), 0);
    ck_assert_int_eq(*(int *)kin_result_value(other), 42);
    kin_result_free(result);
    kin_result_free(other);
    end_pool(pool);
}

static void function_that(enum fate fate)
{
    struct plan plan = {.fate = fate};
    test_init();
    check_fails(meet_fate, fate, KIN_APPLY_ARGS(.in = &plan, .in_size = sizeof plan));
}

static void crash_in_a_task_fails_it_and_the_pool_goes_on(void)
{
    function_that(CRASH);
}

static void exit_in_a_task_fails_it_and_the_pool_goes_on(void)
{
    function_that(EXIT);
}

static void error_in_a_task_fails_it_and_the_pool_goes_on(void)
{
    function_that(ERROR);
}

static void reader_that(enum fate fate)
{
    test_init();
    struct plan *plans = kin_calloc(1000, sizeof *plans);
    ck_assert_ptr_nonnull(plans);
    plans[700] = (struct plan){.fate = fate, .delay = 1};
    check_fails(meet_fate_while_it_reads, fate, KIN_APPLY_ARGS(.in = plans, .in_size = 1000 * sizeof *plans));
    kin_free(plans);
}

static void crash_while_input_is_read_fails_the_task(void)
{
    reader_that(CRASH);
}

static void exit_while_input_is_read_fails_the_task(void)
{
    reader_that(EXIT);
}

static void error_while_input_is_read_fails_the_task(void)
{
    reader_that(ERROR);
}

static void writer_that(enum fate fate)
{
    struct plan plan = {.fate = fate};
    test_init();
    check_fails(meet_fate_while_it_writes, fate,
                KIN_APPLY_ARGS(.in = &plan, .in_size = sizeof plan, .out_size = 1000));
}

static void crash_while_a_result_is_written_fails_the_task(void)
{
    writer_that(CRASH);
}

static void exit_while_a_result_is_written_fails_the_task(void)
{
    writer_that(EXIT);
}

static void error_while_a_result_is_written_fails_the_task(void)
{
    writer_that(ERROR);
}

static void input_that_cannot_go_over_is_told_to_the_submitter(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    int private_word = 0, in[2] = {6, 7}, out;
    ck_assert_ptr_null(kin_pool_apply_async(pool, divide_by_zero, KIN_APPLY_ARGS(.context = &private_word)));
    ck_assert_int_eq(kin_error_code(), KIN_ENOTSHARED);
    ck_assert_int_eq(
        kin_pool_apply(pool, multiply_two,
                       KIN_APPLY_ARGS(.in = in, .in_size = sizeof in, .out = &out, .out_size = sizeof out)),
        0);
    ck_assert_int_eq(out, 42);
    end_pool(pool);
}

static void finish_after_input_that_cannot_go_over_leaves_nothing(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    int private_word = 0;
    kin_result *result = submit_product(pool, 6, 7);
    ck_assert_int_eq(kin_result_wait(result, TOP), 0);
    ck_assert_ptr_null(kin_pool_apply_async(pool, divide_by_zero, KIN_APPLY_ARGS(.context = &private_word)));
    ck_assert_int_eq(kin_error_code(), KIN_ENOTSHARED);
    int error = kin_pool_finish(pool, 0);
    ck_assert(error == 0 || error == KIN_ETIMEDOUT);
    ck_assert_int_eq(kin_pool_finish(pool, TOP), 0);
    ck_assert_int_eq(children(), 0);
    kin_pool_free(pool);
}

static void crash_behind_a_finish_is_told_by_it(void)
{
    struct plan plan = {.fate = CRASH, .delay = A_WHILE};
    test_init();
    kin_pool *pool = new_pool(2);
    kin_result *result = submit(pool, meet_fate, KIN_APPLY_ARGS(.in = &plan, .in_size = sizeof plan));
    ck_assert_int_eq(kin_pool_finish(pool, TOP), KIN_EDIED);
    ck_assert_int_eq(kin_result_get(result, NULL, 0, 0), KIN_EDIED);
    ck_assert_int_eq(children(), 0);
    kin_pool_free(pool);
}

static void note(kin_result *result, void *arg)
{
    int value = 0;
    if (kin_result_get(result, &value, sizeof value, 0) == 0)
        *(int *)arg += value; /* an error here would be the caller's own: it goes on */
    kin_result_free(result);
}

static int submit_noted(kin_pool *pool, kin_done_fn done, void *arg)
{
    int in[2] = {6, 7};
    return kin_pool_apply_async(pool, multiply_two,
                                KIN_APPLY_ARGS(.in = in, .in_size = sizeof in, .out_size = sizeof(int),
                                               .done = done, .done_arg = arg)) != NULL;
}

/* What looks at results runs in the caller: what it does wrong is the caller's, and no thread of the pool's ends of it. */
static void result_that_is_looked_at_wrongly_hurts_the_looker_alone(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    int sum = 0;
    double wrong;
    kin_result *result = submit_product(pool, 6, 7);
    ck_assert_int_eq(kin_result_get(result, &wrong, sizeof wrong, TOP), KIN_EINVAL);
    ck_assert_int_eq(kin_result_get(result, &sum, sizeof sum, TOP), 0);
    kin_result_free(result);
    ck_assert(submit_noted(pool, note, &sum));
    while (sum != 84)
        ck_assert_int_eq(kin_pool_dispatch(pool, NULL), 0);
    end_pool(pool);
}

static void exit_here(kin_result *result, void *arg)
{
    (void)result, (void)arg;
    exit(5);
}

static void exit_in_a_done_function(void)
{
    test_init();
    program_pool = new_pool(2);
    program_pause = 1000;
    submit(program_pool, sleep_and_print,
           KIN_APPLY_ARGS(.in = &program_pause, .in_size = sizeof program_pause));
    if (!submit_noted(program_pool, exit_here, NULL))
        exit(4);
    while (kin_pool_dispatch(program_pool, NULL) == 0)
        usleep(500);
}

static void exit_while_a_result_is_looked_at_ends_the_program(void)
{
    char text[100];
    ck_assert_int_eq(run_program(exit_in_a_done_function, text, sizeof text), 5);
    ck_assert_str_eq(text, "");
}

static const struct test tests[] = {
    {"nothing_is_taken_up_after_finish", nothing_is_taken_up_after_finish, 20,
     TEST_EACH_METHOD | TEST_AND_THREADS},
    {"finish_waits_for_many_that_sleep", finish_waits_for_many_that_sleep, 20,
     TEST_EACH_METHOD | TEST_AND_THREADS},
    {"what_waits_is_canceled_and_what_runs_is_finished", what_waits_is_canceled_and_what_runs_is_finished, 20,
     TEST_EACH_METHOD},
    {"workers_have_ended_after_finish", workers_have_ended_after_finish, 20,
     TEST_EACH_METHOD | TEST_AND_THREADS},
    {"what_a_map_gave_is_there_when_the_pool_has_gone", what_a_map_gave_is_there_when_the_pool_has_gone, 20,
     TEST_EACH_METHOD | TEST_AND_THREADS},
    {"pool_that_is_closed_without_waiting_does_all", pool_that_is_closed_without_waiting_does_all, 20,
     TEST_EACH_METHOD | TEST_AND_THREADS},
    {"workers_have_the_pools_name", workers_have_the_pools_name, 20, TEST_EACH_METHOD},
    {"workers_of_a_pool_without_name_have_one", workers_of_a_pool_without_name_have_one, 20,
     TEST_EACH_METHOD},
    {"end_of_a_program_waits_for_tasks_if_it_finishes_its_pool",
     end_of_a_program_waits_for_tasks_if_it_finishes_its_pool, 20, TEST_EACH_METHOD},
    {"program_ends_amid_tasks_of_a_pool_that_was_closed", program_ends_amid_tasks_of_a_pool_that_was_closed,
     20, TEST_EACH_METHOD},
    {"program_ends_behind_the_task_that_was_not_canceled", program_ends_behind_the_task_that_was_not_canceled,
     20, TEST_EACH_METHOD},
    {"task_at_the_programs_end_is_refused", task_at_the_programs_end_is_refused, 20, TEST_EACH_METHOD},
    {"crash_in_a_task_fails_it_and_the_pool_goes_on", crash_in_a_task_fails_it_and_the_pool_goes_on, 20,
     TEST_EACH_METHOD},
    {"exit_in_a_task_fails_it_and_the_pool_goes_on", exit_in_a_task_fails_it_and_the_pool_goes_on, 20,
     TEST_EACH_METHOD},
    {"error_in_a_task_fails_it_and_the_pool_goes_on", error_in_a_task_fails_it_and_the_pool_goes_on, 20,
     TEST_EACH_METHOD | TEST_AND_THREADS},
    {"crash_while_input_is_read_fails_the_task", crash_while_input_is_read_fails_the_task, 20,
     TEST_EACH_METHOD},
    {"exit_while_input_is_read_fails_the_task", exit_while_input_is_read_fails_the_task, 20,
     TEST_EACH_METHOD},
    {"error_while_input_is_read_fails_the_task", error_while_input_is_read_fails_the_task, 20,
     TEST_EACH_METHOD | TEST_AND_THREADS},
    {"crash_while_a_result_is_written_fails_the_task", crash_while_a_result_is_written_fails_the_task, 20,
     TEST_EACH_METHOD},
    {"exit_while_a_result_is_written_fails_the_task", exit_while_a_result_is_written_fails_the_task, 20,
     TEST_EACH_METHOD},
    {"error_while_a_result_is_written_fails_the_task", error_while_a_result_is_written_fails_the_task, 20,
     TEST_EACH_METHOD | TEST_AND_THREADS},
    {"input_that_cannot_go_over_is_told_to_the_submitter", input_that_cannot_go_over_is_told_to_the_submitter,
     20, TEST_EACH_METHOD},
    {"finish_after_input_that_cannot_go_over_leaves_nothing",
     finish_after_input_that_cannot_go_over_leaves_nothing, 20, TEST_EACH_METHOD},
    {"crash_behind_a_finish_is_told_by_it", crash_behind_a_finish_is_told_by_it, 20, TEST_EACH_METHOD},
    {"result_that_is_looked_at_wrongly_hurts_the_looker_alone",
     result_that_is_looked_at_wrongly_hurts_the_looker_alone, 20, TEST_EACH_METHOD | TEST_AND_THREADS},
    {"exit_while_a_result_is_looked_at_ends_the_program", exit_while_a_result_is_looked_at_ends_the_program,
     20, TEST_EACH_METHOD},
};

TEST_MAIN("futures", tests)
