/* pool_test.c - kin/pool.h: maps, failures, deaths, limits, state, results, progress. */
#include "pool_common.h"

#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double *numbers(size_t count)
{
    double *in = malloc(count * sizeof *in);
    for (size_t i = 0; i < count; i++)
        in[i] = (double)i;
    return in;
}

static int square(kin_task *task, const double *in, double *out)
{
    (void)task;
    *out = *in * *in;
    return 0;
}

static void check_squares(const double *out, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ck_assert_msg(out[i] == (double)i * (double)i, "out[%zu] is %g", i, out[i]);
}

static void map_over_private_arrays(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    const size_t counts[] = {1, 2, 3, 100, 4096, 4097, 100000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        double *in = numbers(counts[i]), *out = malloc(counts[i] * sizeof *out);
        ck_assert_int_eq(kin_map(pool, square, in, out, counts[i]), 0);
        check_squares(out, counts[i]);
        free(in);
        free(out);
    }
    ck_assert_int_eq(kin_pool_finish(pool, TOP), 0);
    kin_pool_free(pool);
}

static void map_over_shared_arrays_copies_nothing(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    double *out = kin_malloc(1000 * sizeof *out), *in = kin_malloc(1000 * sizeof *in);
    for (int i = 0; i < 1000; i++)
        in[i] = i;
    ck_assert_int_eq(kin_map(pool, square, in, out, 1000), 0);
    check_squares(out, 1000);
    kin_free(in);
    kin_free(out);
    kin_pool_free(pool);
}

static int add_index(kin_task *task, size_t index, _Atomic uint64_t *sum)
{
    (void)task;
    atomic_fetch_add_explicit(sum, index, memory_order_relaxed);
    return 0;
}

static void for_runs_each_index_once_over_windows(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    _Atomic uint64_t *sum = kin_calloc(1, sizeof *sum);
    uint64_t count = ((uint64_t)1 << 22) + 12345; /* more than one window */
    ck_assert_int_eq(kin_for(pool, add_index, sum, count), 0);
    ck_assert_uint_eq(*sum, count * (count - 1) / 2);
    kin_free((void *)sum);
    kin_pool_free(pool);
}

static void empty_map_succeeds(void)
{
    test_init();
    kin_pool *pool = new_pool(1);
    double none[1];
    ck_assert_int_eq(kin_map(pool, square, none, none, 0), 0);
    kin_pool_free(pool);
}

static int fail_on_multiples_of_ten(kin_task *task, const double *in, double *out)
{
    *out = 1;
    if ((int)*in % 10 == 0)
        return kin_task_fail(task, "%d is a multiple of ten", (int)*in);
    return 0;
}

static void failures_are_collected_in_order(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    double *in = numbers(100), out[100];
    kin_task_error errors[4];
    size_t failures;
    int code = kin_pool_map(pool, (kin_task_fn)fail_on_multiples_of_ten,
                            KIN_MAP_ARGS(.in = in, .in_size = 8, .out = out, .out_size = 8, .count = 100,
                                         .on_failure = KIN_COLLECT, .errors = errors, .errors_capacity = 4,
                                         .failures = &failures));
    ck_assert_int_eq(code, KIN_EFAILED);
    ck_assert_str_eq(kin_error_message(), "0 is a multiple of ten");
    ck_assert_uint_eq(failures, 10);
    for (size_t i = 0; i < 4; i++) {
        ck_assert_uint_eq(errors[i].index, i * 10);
        ck_assert_int_eq(errors[i].error.code, KIN_EFAILED);
        ck_assert_int_eq(errors[i].attempts, 1);
        ck_assert_int_eq(errors[i].end.how, KIN_END_RUNNING);
        ck_assert_int_gt(errors[i].pid, 0);
    }
    ck_assert_ptr_nonnull(strstr(errors[3].error.message, "30 is"));
    for (int i = 0; i < 100; i++)
        ck_assert(out[i] == (i % 10 ? 1 : 0));
    free(in);
    kin_pool_free(pool);
}

static int fail_at_five(kin_task *task, size_t index, _Atomic int *begun)
{
    (void)task;
    atomic_fetch_add(begun, 1);
    return index == 5 ? 42 : 0;
}

static void first_failure_stops_the_map(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    _Atomic int *begun = kin_calloc(1, sizeof *begun);
    ck_assert_int_eq(kin_for(pool, fail_at_five, begun, 10000000), KIN_EFAILED);
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "returned 42"));
    ck_assert_int_lt(*begun, 10000000);
    *begun = 0;
    ck_assert_int_eq(kin_for(pool, fail_at_five, begun, 5), 0);
    ck_assert_int_eq(*begun, 5);
    kin_free((void *)begun);
    kin_pool_free(pool);
}

static int own_code(kin_task *task, size_t index, void *context)
{
    (void)task, (void)index, (void)context;
    return kin_error_set(-2000, "my own code");
}

static void own_error_codes_arrive(void)
{
    test_init();
    kin_pool *pool = new_pool(1);
    ck_assert_int_eq(kin_pool_for(pool, own_code, KIN_MAP_ARGS(.count = 1)), -2000);
    ck_assert_str_eq(kin_error_message(), "my own code");
    kin_pool_free(pool);
}

/* ---- deaths ---- */

static int die_at_37(kin_task *task, const double *in, double *out)
{
    *out = *in + 1;
    if (kin_task_index(task) == 37)
        raise(SIGSEGV);
    return 0;
}

static void a_death_fails_only_its_own_item(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    double *in = numbers(1000), *out = kin_malloc(1000 * sizeof *out);
    kin_task_error error;
    size_t failures;
    int code = kin_pool_map(pool, (kin_task_fn)die_at_37,
                            KIN_MAP_ARGS(.in = in, .in_size = 8, .out = out, .out_size = 8, .count = 1000,
                                         .on_failure = KIN_COLLECT, .errors = &error, .errors_capacity = 1,
                                         .failures = &failures));
    ck_assert_int_eq(code, KIN_EDIED);
    ck_assert_uint_eq(failures, 1);
    ck_assert_uint_eq(error.index, 37);
    ck_assert_int_eq(error.end.how, KIN_END_SIGNALED);
    ck_assert_int_eq(error.end.signal, SIGSEGV);
    ck_assert_ptr_nonnull(strstr(error.error.message, "SIGSEGV"));
    for (int i = 0; i < 1000; i++)
        ck_assert(out[i] == (i == 37 ? 0 : i + 1));
    ck_assert_int_eq(kin_map(pool, square, in, out, 1000), 0);
    check_squares(out, 1000);
    free(in);
    kin_free(out);
    kin_pool_free(pool);
}

static int exit_in_task(kin_task *task, size_t index, void *context)
{
    (void)task, (void)context;
    if (index == 3)
        exit(4);
    return 0;
}

static void exit_in_a_task_fails_it(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    kin_task_error error;
    ck_assert_int_eq(kin_pool_for(pool, exit_in_task,
                                  KIN_MAP_ARGS(.count = 10, .on_failure = KIN_COLLECT, .errors = &error,
                                               .errors_capacity = 1)),
                     KIN_EDIED);
    ck_assert_uint_eq(error.index, 3);
    ck_assert_int_eq(error.end.how, KIN_END_EXITED);
    ck_assert_int_eq(error.end.exit_code, 4);
    kin_pool_free(pool);
}

static int die_twice(kin_task *task, size_t index, _Atomic int *seen)
{
    if (index == 7) {
        child_assert(kin_task_attempt(task) == atomic_fetch_add(seen, 1));
        if (kin_task_attempt(task) < 2)
            raise(SIGKILL);
    }
    return 0;
}

static void a_death_is_retried(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    _Atomic int *seen = kin_calloc(1, sizeof *seen);
    ck_assert_int_eq(kin_pool_for(pool, (kin_for_fn)die_twice,
                                  KIN_MAP_ARGS(.count = 20, .context = (void *)seen, .retries = 2)),
                     0);
    ck_assert_int_eq(*seen, 3);
    *seen = 0;
    kin_task_error error;
    ck_assert_int_eq(
        kin_pool_for(pool, (kin_for_fn)die_twice,
                     KIN_MAP_ARGS(.count = 20, .context = (void *)seen, .retries = 1,
                                  .on_failure = KIN_COLLECT, .errors = &error, .errors_capacity = 1)),
        KIN_EDIED);
    ck_assert_uint_eq(error.index, 7);
    ck_assert_int_eq(error.attempts, 2);
    kin_free((void *)seen);
    kin_pool_free(pool);
}

static int kill_between_maps(kin_task *task, size_t index, _Atomic int *pids)
{
    (void)index;
    atomic_store(&pids[kin_task_worker(task)], (int)getpid());
    struct timespec nap = {.tv_nsec = 5000000};
    nanosleep(&nap, NULL);
    return 0;
}

static void idle_workers_that_die_are_replaced(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    _Atomic int *pids = kin_calloc(2, sizeof *pids);
    for (int round = 0; round < 5; round++) {
        pids[0] = pids[1] = 0;
        /* The last round's signal may hit a worker that has begun an item of this one. */
        ck_assert_int_eq(kin_pool_for(pool, (kin_for_fn)kill_between_maps,
                                      KIN_MAP_ARGS(.count = 8, .context = (void *)pids, .retries = 2)),
                         0);
        for (int i = 0; i < 2; i++)
            if (pids[i])
                kill(pids[i], SIGKILL);
    }
    ck_assert_int_eq(kin_pool_for(pool, (kin_for_fn)kill_between_maps,
                                  KIN_MAP_ARGS(.count = 8, .context = (void *)pids, .retries = 2)),
                     0);
    kin_free((void *)pids);
    kin_pool_free(pool);
}

/* ---- limits ---- */

static int hang_at_two(kin_task *task, size_t index, void *context)
{
    (void)task, (void)context;
    if (index == 2)
        for (;;)
            pause();
    return 0;
}

static void time_limit_kills_only_that_task(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    kin_task_error error;
    size_t failures;
    ck_assert_int_eq(
        kin_pool_for(pool, hang_at_two,
                     KIN_MAP_ARGS(.count = 1000, .time_limit = 0.2, .on_failure = KIN_COLLECT, .retries = 3,
                                  .errors = &error, .errors_capacity = 1, .failures = &failures)),
        KIN_ETIMELIMIT);
    ck_assert_uint_eq(failures, 1);
    ck_assert_uint_eq(error.index, 2);
    ck_assert_int_eq(error.end.signal, SIGKILL);
    ck_assert(error.seconds >= 0.2);
    kin_pool_free(pool);
}

static int allocate(kin_task *task, const size_t *bytes, char *out)
{
    (void)task;
    char *block = malloc(*bytes);
    if (!block)
        abort();
    memset(block, 1, *bytes);
    *out = block[*bytes / 2];
    free(block);
    return 0;
}

static void memory_limit_holds(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    size_t in[4] = {1 << 20, 100 << 20, 2 << 20, 3 << 20};
    char out[4];
    kin_task_error error;
    size_t failures;
    ck_assert_int_eq(
        kin_pool_map(pool, (kin_task_fn)allocate,
                     KIN_MAP_ARGS(.in = in, .in_size = sizeof *in, .out = out, .out_size = 1, .count = 4,
                                  .memory_limit = (size_t)20 << 20, .on_failure = KIN_COLLECT,
                                  .errors = &error, .errors_capacity = 1, .failures = &failures)),
        KIN_EMEMLIMIT);
    ck_assert_uint_eq(failures, 1);
    ck_assert_uint_eq(error.index, 1);
    ck_assert_int_eq(error.end.signal, SIGABRT);
    ck_assert_int_eq(kin_map(pool, allocate, in, out, 4), 0);
    kin_pool_free(pool);
}

static int allocate_shared(kin_task *task, size_t index, void *context)
{
    (void)context;
    void *block = kin_task_malloc(task, index == 1 ? (size_t)100 << 20 : 1000);
    return block ? 0 : kin_error_code();
}

static void memory_limit_holds_for_the_shared_heap(void)
{
    test_init();
    kin_pool *pool = new_pool(1);
    kin_task_error error;
    ck_assert_int_eq(
        kin_pool_for(pool, allocate_shared,
                     KIN_MAP_ARGS(.count = 3, .memory_limit = (size_t)20 << 20, .on_failure = KIN_COLLECT,
                                  .errors = &error, .errors_capacity = 1)),
        KIN_EMEMLIMIT);
    ck_assert_uint_eq(error.index, 1);
    kin_pool_free(pool);
}

/* ---- state, context, results ---- */

static int make_state(void **state, const void *arg)
{
    int *counter = malloc(sizeof *counter);
    *counter = *(const int *)arg;
    *state = counter;
    return 0;
}

static int finalized_fd = -1;

static void drop_state(void *state)
{
    ssize_t written = write(finalized_fd, state, sizeof(int));
    (void)written;
    free(state);
}

static int use_state(kin_task *task, size_t index, void *context)
{
    (void)index, (void)context;
    int *counter = kin_task_state(task);
    return counter && (*counter)++ >= 100 ? 0 : 1;
}

static void workers_have_state_of_their_own(void)
{
    test_init();
    int ends[2], from = 100, sum = 0, value, last = 0;
    ck_assert_int_eq(pipe(ends), 0);
    finalized_fd = ends[1];
    kin_pool *pool =
        kin_pool_new(KIN_POOL_OPTIONS(.workers = 2, .initializer = make_state, .finalizer = drop_state,
                                      .init_arg = &from, .init_arg_size = sizeof from));
    ck_assert_int_eq(kin_pool_for(pool, use_state, KIN_MAP_ARGS(.count = 1000)), 0);
    ck_assert_int_eq(kin_pool_finish(pool, TOP), 0);
    kin_pool_free(pool);
    close(ends[1]);
    for (; read(ends[0], &value, sizeof value) == (ssize_t)sizeof value; last++)
        sum += value - 100;
    ck_assert_int_eq(last, 2);
    ck_assert_int_eq(sum, 1000);
    close(ends[0]);
}

static int failing_initializer(void **state, const void *arg)
{
    (void)state, (void)arg;
    return kin_error_set(KIN_EFAILED, "no licence for the solver");
}

static int dying_initializer(void **state, const void *arg)
{
    (void)state, (void)arg;
    raise(SIGKILL);
    return 0;
}

static void pool_that_cannot_start_says_why(void)
{
    test_init();
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 2, .initializer = failing_initializer,
                                                   .start_method = test_method(), .kind = test_kind()));
    ck_assert_int_eq(kin_pool_for(pool, hang_at_two, KIN_MAP_ARGS(.count = 10)), KIN_EFAILED);
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "no licence for the solver"));
    kin_pool_free(pool);
    pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 2, .initializer = dying_initializer,
                                         .start_method = test_method(), .kind = test_kind()));
    ck_assert_int_eq(kin_pool_for(pool, hang_at_two, KIN_MAP_ARGS(.count = 10)), KIN_EDIED);
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "before they are ready"));
    kin_pool_free(pool);
}

static int read_context(kin_task *task, size_t index, void *context)
{
    (void)index;
    child_assert(kin_task_context(task) == context);
    return *(const int *)context == 99 ? 0 : 1;
}

static void context_is_shared_or_copied_or_refused(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    int on_stack = 99, *shared = kin_malloc(sizeof *shared);
    *shared = 99;
    ck_assert_int_eq(kin_pool_for(pool, read_context, KIN_MAP_ARGS(.count = 5, .context = shared)), 0);
    ck_assert_int_eq(kin_pool_for(pool, read_context, KIN_MAP_ARGS(.count = 5, .context = &on_stack)),
                     KIN_ENOTSHARED);
    ck_assert_int_eq(
        kin_pool_for(pool, read_context,
                     KIN_MAP_ARGS(.count = 5, .context = &on_stack, .context_size = sizeof on_stack)),
        0);
    kin_free(shared);
    kin_pool_free(pool);
}

struct text {
    char *words;
};

static int say_number(kin_task *task, const double *in, struct text *out)
{
    size_t length = (size_t)*in;
    out->words = kin_task_malloc(task, length + 1);
    if (!out->words)
        return kin_error_code();
    memset(out->words, 'a' + (int)length % 26, length);
    out->words[length] = '\0';
    if (length % 7 == 3)
        return kin_task_fail(task, "seven");
    if (length == 50 && kin_task_attempt(task) == 0)
        raise(SIGKILL);
    return 0;
}

static void results_of_variable_size_come_back(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    double *in = numbers(200);
    struct text out[200];
    kin_arena *results;
    size_t failures;
    kin_heap_stats before = {.size = sizeof before}, after = {.size = sizeof after};
    kin_heap_get_stats(&before);
    ck_assert_int_eq(kin_pool_map(pool, (kin_task_fn)say_number,
                                  KIN_MAP_ARGS(.in = in, .in_size = 8, .out = out, .out_size = sizeof *out,
                                               .count = 200, .on_failure = KIN_COLLECT, .retries = 1,
                                               .results = &results, .failures = &failures)),
                     KIN_EFAILED);
    ck_assert_uint_eq(failures, 29);
    ck_assert_ptr_nonnull(results);
    for (size_t i = 0; i < 200; i++) {
        if (i % 7 == 3) {
            ck_assert_ptr_null(out[i].words);
            continue;
        }
        ck_assert(kin_is_shared(out[i].words));
        ck_assert_uint_eq(strlen(out[i].words), i);
        for (size_t j = 0; j < i; j++)
            ck_assert_int_eq(out[i].words[j], 'a' + (int)i % 26);
    }
    kin_arena_free(results);
    kin_heap_get_stats(&after);
    ck_assert_uint_eq(after.arenas, before.arenas);
    free(in);
    kin_pool_free(pool);
}

/* ---- progress, cancel, interrupt ---- */

static int nap(kin_task *task, size_t index, void *context)
{
    (void)task, (void)index, (void)context;
    struct timespec time = {.tv_nsec = 10000000};
    nanosleep(&time, NULL);
    return 0;
}

struct watched {
    int calls;
    bool finished;
    size_t last;
    int cancel_at;
};

static int watch(const kin_progress *progress, void *arg)
{
    struct watched *watched = arg;
    watched->calls++;
    ck_assert_uint_ge(progress->done, watched->last);
    watched->last = progress->done;
    watched->finished = progress->finished;
    ck_assert_uint_eq(progress->total, 60);
    return watched->cancel_at && watched->calls >= watched->cancel_at;
}

static void progress_is_told_in_the_caller(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    struct watched watched = {0};
    ck_assert_int_eq(
        kin_pool_for(pool, nap, KIN_MAP_ARGS(.count = 60, .progress = watch, .progress_arg = &watched)), 0);
    ck_assert(watched.finished);
    ck_assert_uint_eq(watched.last, 60);
    ck_assert_int_ge(watched.calls, 3);
    watched = (struct watched){.cancel_at = 2};
    ck_assert_int_eq(
        kin_pool_for(pool, nap, KIN_MAP_ARGS(.count = 60, .progress = watch, .progress_arg = &watched)),
        KIN_ECANCELED);
    ck_assert_uint_lt(watched.last, 60);
    ck_assert_int_eq(kin_pool_for(pool, nap, KIN_MAP_ARGS(.count = 4)), 0);
    kin_pool_free(pool);
}

static int interrupt_us(const kin_progress *progress, void *arg)
{
    (void)arg;
    if (!progress->finished && progress->elapsed > 0.05)
        raise(SIGINT);
    return 0;
}

static int hang(kin_task *task, size_t index, void *context)
{
    (void)task, (void)index, (void)context;
    for (;;)
        pause();
    return 0;
}

static void interrupt_ends_the_map_and_the_workers(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    ck_assert_int_eq(kin_pool_for(pool, hang, KIN_MAP_ARGS(.count = 10, .progress = interrupt_us)),
                     KIN_EINTR);
    size_t count;
    kin_active_children(NULL, 0, &count);
    ck_assert_uint_eq(count, 0);
    struct sigaction action;
    sigaction(SIGINT, NULL, &action);
    ck_assert(action.sa_handler == SIG_DFL);
    ck_assert_int_eq(kin_pool_for(pool, nap, KIN_MAP_ARGS(.count = 4)), 0);
    kin_pool_free(pool);
}

/* ---- kinds, misuse, ends ---- */

static void inline_pool_runs_in_the_caller(void)
{
    test_init();
    int from = 100;
    finalized_fd = -1;
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.kind = KIN_POOL_INLINE, .initializer = make_state,
                                                   .finalizer = drop_state, .init_arg = &from,
                                                   .init_arg_size = sizeof from));
    ck_assert_ptr_nonnull(pool);
    double *in = numbers(100), out[100];
    ck_assert_int_eq(kin_map(pool, square, in, out, 100), 0);
    check_squares(out, 100);
    ck_assert_int_eq(kin_pool_for(pool, use_state, KIN_MAP_ARGS(.count = 10)), 0);
    ck_assert_int_eq(kin_map(pool, fail_on_multiples_of_ten, in, out, 100), KIN_EFAILED);
    ck_assert_int_eq(kin_pool_finish(pool, 1), 0);
    kin_pool_free(pool);
    free(in);
}

static void misuse_is_told(void)
{
    test_init();
    kin_pool *pool = new_pool(1);
    double in[2] = {0}, out[2];
    ck_assert_ptr_null(kin_pool_new(KIN_POOL_OPTIONS(.workers = -1)));
    ck_assert_ptr_null(kin_pool_new(KIN_POOL_OPTIONS(.kind = 7)));
    ck_assert_ptr_null(kin_pool_new(KIN_POOL_OPTIONS(.init_arg_size = 7)));
    ck_assert_int_eq(kin_pool_map(NULL, (kin_task_fn)square, NULL), KIN_EINVAL);
    ck_assert_int_eq(kin_pool_map((kin_pool *)in, (kin_task_fn)square, NULL), KIN_EINVAL);
    ck_assert_int_eq(kin_pool_map(pool, NULL, KIN_MAP_ARGS(.count = 2)), KIN_EINVAL);
    ck_assert_int_eq(kin_pool_map(pool, (kin_task_fn)square, KIN_MAP_ARGS(.in = in, .count = 2)), KIN_EINVAL);
    ck_assert_int_eq(kin_pool_map(pool, (kin_task_fn)square, KIN_MAP_ARGS(.in_size = 8, .count = 2)),
                     KIN_EINVAL);
    ck_assert_int_eq(kin_pool_for(pool, nap, KIN_MAP_ARGS(.count = 2, .time_limit = -1)), KIN_EINVAL);
    ck_assert_int_eq(kin_pool_for(pool, nap, KIN_MAP_ARGS(.count = 2, .time_limit = NAN)), KIN_EINVAL);
    ck_assert_int_eq(kin_pool_for(pool, nap, KIN_MAP_ARGS(.count = 2, .retries = 1000)), KIN_EINVAL);
    ck_assert_int_eq(kin_pool_for(pool, nap, KIN_MAP_ARGS(.count = 2, .on_failure = 5)), KIN_EINVAL);
    ck_assert_int_eq(kin_pool_for(pool, nap, KIN_MAP_ARGS(.count = 2, .errors_capacity = 5)), KIN_EINVAL);
    kin_map_args wrong = {.size = 3};
    ck_assert_int_eq(kin_pool_for(pool, nap, &wrong), KIN_EINVAL);
    ck_assert_int_eq(kin_map(pool, square, in, out, 2), 0);
    ck_assert_int_eq(kin_pool_finish(pool, TOP), 0);
    ck_assert_int_eq(kin_map(pool, square, in, out, 2), KIN_ECLOSED);
    kin_pool_free(pool);
    ck_assert_int_eq(kin_map(pool, square, in, out, 2), KIN_EINVAL);
    kin_pool_free(NULL);
}

static int map_again(const kin_progress *progress, void *pool)
{
    if (!progress->finished)
        ck_assert_int_eq(kin_pool_for(pool, nap, KIN_MAP_ARGS(.count = 1)), KIN_EBUSY);
    return 0;
}

static int map_in_task(kin_task *task, size_t index, void *pool)
{
    (void)task, (void)index;
    return kin_pool_for(pool, nap, KIN_MAP_ARGS(.count = 1)) == KIN_EPERM ? 0 : 1;
}

static void map_within_a_map_of_the_same_pool_is_refused(void)
{
    test_init();
    kin_pool *pool = new_pool(1);
    ck_assert_int_eq(
        kin_pool_for(pool, nap, KIN_MAP_ARGS(.count = 1, .progress = map_again, .progress_arg = pool)), 0);
    ck_assert_int_eq(kin_pool_for(pool, map_in_task, KIN_MAP_ARGS(.count = 1, .context = pool)), 0);
    kin_pool_free(pool);
}

static int nested(kin_task *task, size_t index, void *context)
{
    (void)task, (void)index, (void)context;
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 2));
    if (!pool)
        return kin_error_code();
    double *in = numbers(10), out[10];
    int error = kin_map(pool, square, in, out, 10);
    free(in);
    kin_pool_free(pool);
    return error ? error : out[9] == 81 ? 0 : 1;
}

static void workers_may_have_pools_of_their_own(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    ck_assert_int_eq(kin_pool_for(pool, nested, KIN_MAP_ARGS(.count = 4)), 0);
    kin_pool_free(pool);
}

static void pool_leaves_nothing_in_the_heap(void)
{
    test_init();
    double *in = numbers(10000), *out = malloc(10000 * sizeof *out);
    kin_heap_stats before = {.size = sizeof before}, after = {.size = sizeof after};
    for (int i = 0; i < 4; i++) {
        kin_pool *pool = new_pool(2);
        ck_assert_int_eq(kin_map(pool, square, in, out, 10000), 0);
        kin_pool_free(pool);
        if (i == 0)
            kin_heap_get_stats(&before);
    }
    kin_heap_get_stats(&after);
    ck_assert_uint_eq(after.small_blocks, before.small_blocks);
    ck_assert_uint_eq(after.large_blocks, before.large_blocks);
    ck_assert_uint_eq(after.arenas, before.arenas);
    free(in);
    free(out);
}

static const struct test tests[] = {
    {"map_over_private_arrays", map_over_private_arrays, 20, TEST_EACH_METHOD | TEST_AND_THREADS},
    {"map_over_shared_arrays_copies_nothing", map_over_shared_arrays_copies_nothing, 10,
     TEST_EACH_METHOD | TEST_AND_THREADS},
    {"for_runs_each_index_once_over_windows", for_runs_each_index_once_over_windows, 60, 0},
    {"empty_map_succeeds", empty_map_succeeds, 5, 0},
    {"failures_are_collected_in_order", failures_are_collected_in_order, 10,
     TEST_EACH_METHOD | TEST_AND_THREADS},
    {"first_failure_stops_the_map", first_failure_stops_the_map, 20, TEST_EACH_METHOD | TEST_AND_THREADS},
    {"own_error_codes_arrive", own_error_codes_arrive, 5, TEST_EACH_METHOD | TEST_AND_THREADS},
    {"a_death_fails_only_its_own_item", a_death_fails_only_its_own_item, 10, TEST_EACH_METHOD},
    {"exit_in_a_task_fails_it", exit_in_a_task_fails_it, 10, TEST_EACH_METHOD},
    {"a_death_is_retried", a_death_is_retried, 10, TEST_EACH_METHOD},
    {"idle_workers_that_die_are_replaced", idle_workers_that_die_are_replaced, 10, TEST_EACH_METHOD},
    {"time_limit_kills_only_that_task", time_limit_kills_only_that_task, 20, TEST_EACH_METHOD},
    {"memory_limit_holds", memory_limit_holds, 10,
     TEST_EACH_METHOD | TEST_NOT_ASAN}, /* the sanitizer ends a process that gets no memory itself */
    {"memory_limit_holds_for_the_shared_heap", memory_limit_holds_for_the_shared_heap, 10, TEST_EACH_METHOD},
    {"workers_have_state_of_their_own", workers_have_state_of_their_own, 10, 0},
    {"pool_that_cannot_start_says_why", pool_that_cannot_start_says_why, 10, TEST_EACH_METHOD},
    {"context_is_shared_or_copied_or_refused", context_is_shared_or_copied_or_refused, 10, TEST_EACH_METHOD},
    {"results_of_variable_size_come_back", results_of_variable_size_come_back, 10, TEST_EACH_METHOD},
    {"progress_is_told_in_the_caller", progress_is_told_in_the_caller, 20,
     TEST_EACH_METHOD | TEST_AND_THREADS},
    {"interrupt_ends_the_map_and_the_workers", interrupt_ends_the_map_and_the_workers, 10, TEST_EACH_METHOD},
    {"inline_pool_runs_in_the_caller", inline_pool_runs_in_the_caller, 10, 0},
    {"misuse_is_told", misuse_is_told, 10, 0},
    {"map_within_a_map_of_the_same_pool_is_refused", map_within_a_map_of_the_same_pool_is_refused, 10, 0},
    {"workers_may_have_pools_of_their_own", workers_may_have_pools_of_their_own, 20,
     TEST_EACH_METHOD | TEST_AND_THREADS},
    {"pool_leaves_nothing_in_the_heap", pool_leaves_nothing_in_the_heap, 20,
     TEST_EACH_METHOD | TEST_AND_THREADS},
};

TEST_MAIN("pool", tests)
