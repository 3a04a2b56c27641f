/* map_options_test.c - kin_pool_map: retries by cause, back-off, limits, priorities, and what its failures tell. */
#include "pool_common.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ITEMS = 12, FAILS_AT = 5 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void burn(double seconds)
{
    for (double until = now() + seconds; now() < until;)
        ;
}

struct out {
    int attempt;
    int garbage;
};

struct notes {
    int cause;
    uint32_t succeeds_at; /* attempt */
    _Atomic uint32_t tries[ITEMS];
    double at[8]; /* of the item that fails */
    _Atomic uint32_t dirty;
};

/* Item FAILS_AT fails as the notes say until the attempt that is to succeed; each leaves its output half written. */
static int fail_until(kin_task *task, const void *in, void *out)
{
    struct notes *notes = kin_task_context(task);
    struct out *mine = out;
    size_t index = kin_task_index(task);
    uint32_t before = atomic_fetch_add(&notes->tries[index], 1);
    (void)in;
    if (mine->attempt || mine->garbage)
        atomic_fetch_add(&notes->dirty, 1);
    mine->attempt = kin_task_attempt(task) + 1;
    if (index != FAILS_AT)
        return 0;
    notes->at[before] = now();
    if (before == notes->succeeds_at)
        return 0;
    mine->garbage = 1;
    switch (notes->cause) {
    case KIN_CAUSE_SIGNALED:
        raise(SIGKILL);
        break;
    case KIN_CAUSE_EXITED:
        _exit(3);
    case KIN_CAUSE_TIME_LIMIT:
        usleep(30000000);
        break;
    case KIN_CAUSE_CPU_LIMIT:
        burn(30);
        break;
    case KIN_CAUSE_MEMORY_LIMIT:
        return kin_error_set(KIN_EMEMLIMIT, "no more of it");
    default:
        break;
    }
    return kin_task_fail(task, "not yet");
}

static void check_failure(int cause, kin_pool *pool, kin_map_args *args, struct notes *notes)
{
    kin_task_error error;
    size_t failures = 0;
    struct out *out = args->out;
    memset(out, 0, ITEMS * sizeof *out);
    memset(notes, 0, sizeof *notes);
    notes->cause = cause;
    notes->succeeds_at = 7;
    args->errors = &error;
    args->errors_capacity = 1;
    args->failures = &failures;
    args->on_failure = KIN_COLLECT;
    int code = kin_pool_map(pool, fail_until, args);
    ck_assert_int_ne(code, 0);
    ck_assert_uint_eq(failures, 1);
    ck_assert_uint_eq(error.index, FAILS_AT);
    ck_assert_int_eq(error.cause, cause);
    ck_assert_str_eq(error.function, "fail_until");
    ck_assert_int_eq(error.error.code, code);
    ck_assert_uint_eq(notes->tries[FAILS_AT], (unsigned)error.attempts);
    ck_assert(out[FAILS_AT].attempt == 0 && out[FAILS_AT].garbage == 0);
    args->errors = NULL;
    args->errors_capacity = 0;
    args->failures = NULL;
}

static void check_cause(int cause, kin_pool *pool, struct out *out, struct notes *notes)
{
    const bool ends_worker = cause != KIN_CAUSE_RETURNED && cause != KIN_CAUSE_MEMORY_LIMIT;
    kin_map_args *args =
        KIN_MAP_ARGS(.out = out, .out_size = sizeof *out, .count = ITEMS, .context = notes, .retries = 2,
                     .retry_on = 1u << cause, .backoff = 0.02, .memory_limit = (size_t)64 << 20);
    if (cause == KIN_CAUSE_TIME_LIMIT)
        args->time_limit = 0.1;
    if (cause == KIN_CAUSE_CPU_LIMIT)
        args->cpu_limit = 0.05;
    memset(out, 0, ITEMS * sizeof *out);
    memset(notes, 0, sizeof *notes);
    notes->cause = cause;
    notes->succeeds_at = 2;
    ck_assert_msg(kin_pool_map(pool, fail_until, args) == 0, "cause %d: %s", cause, kin_error_message());
    ck_assert_uint_eq(notes->tries[FAILS_AT], 3);
    ck_assert_uint_eq(notes->dirty, 0);
    for (int i = 0; i < ITEMS; i++) {
        ck_assert_int_eq(out[i].attempt, i == FAILS_AT ? 3 : 1);
        ck_assert_int_eq(out[i].garbage, 0);
        ck_assert(i == FAILS_AT || ends_worker || notes->tries[i] == 1);
    }
    ck_assert_double_ge(notes->at[1] - notes->at[0], 0.02);
    ck_assert_double_ge(notes->at[2] - notes->at[1], 0.04);
    check_failure(cause, pool, args, notes); /* it is tried as often as was said */
    ck_assert_uint_eq(notes->tries[FAILS_AT], 3);
    args->retry_on = cause == KIN_CAUSE_EXITED ? 1u << KIN_CAUSE_SIGNALED : 1u << KIN_CAUSE_EXITED;
    check_failure(cause, pool, args, notes); /* another cause than those it is tried again for */
    ck_assert_uint_eq(notes->tries[FAILS_AT], 1);
}

static const int causes[] = {KIN_CAUSE_RETURNED,   KIN_CAUSE_SIGNALED,  KIN_CAUSE_EXITED,
                             KIN_CAUSE_TIME_LIMIT, KIN_CAUSE_CPU_LIMIT, KIN_CAUSE_MEMORY_LIMIT};

static void try_causes(kin_pool *pool)
{
    ck_assert_msg(pool != NULL, "%s", kin_error_message());
    struct notes *notes = kin_malloc(sizeof *notes);
    struct out *out = kin_calloc(ITEMS, sizeof *out);
    ck_assert(notes && out);
    for (size_t i = 0; i < sizeof causes / sizeof *causes; i++)
        check_cause(causes[i], pool, out, notes);
    kin_free(out);
    kin_free(notes);
    end_pool(pool);
}

static void retries_go_by_cause_and_back_off(void)
{
    test_init();
    try_causes(new_pool(2));
}

static int fail_twice_sealed(kin_task *task, const void *in, void *out)
{
    int *mine = out;
    (void)in;
    if (*mine)
        return kin_error_set(-1700, "the output is not zeroed");
    *mine = kin_task_attempt(task) + 1;
    if (kin_task_index(task) % 3 || kin_task_attempt(task) == 2)
        return 0;
    if (kin_task_attempt(task))
        raise(SIGKILL);
    return kin_task_fail(task, "not yet");
}

static void sealed_workers_try_again(void)
{
    test_init();
    kin_pool *pool =
        kin_pool_new(KIN_POOL_OPTIONS(.workers = 2, .start_method = test_method(), .sealed = true));
    int out[ITEMS];
    ck_assert_ptr_nonnull(pool);
    int error = kin_pool_map(pool, fail_twice_sealed,
                             KIN_MAP_ARGS(.out = out, .out_size = sizeof *out, .count = ITEMS, .retries = 2,
                                          .retry_on = 1u << KIN_CAUSE_RETURNED | 1u << KIN_CAUSE_SIGNALED));
    ck_assert_msg(error == 0, "%s", kin_error_message());
    for (int i = 0; i < ITEMS; i++)
        ck_assert_int_eq(out[i], i % 3 ? 1 : 3);
    end_pool(pool);
}

/* A piece of a map that is not waited for: the output of an attempt that died is zeroed, too. */
static void items_of_an_asynchronous_map_find_their_output_zeroed(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    kin_result *result =
        kin_pool_map_async(pool, fail_twice_sealed,
                           KIN_MAP_ARGS(.out_size = sizeof(int), .count = ITEMS, .retries = 2,
                                        .retry_on = 1u << KIN_CAUSE_RETURNED | 1u << KIN_CAUSE_SIGNALED));
    int out[ITEMS];
    ck_assert_ptr_nonnull(result);
    ck_assert_msg(kin_result_get(result, out, sizeof out, TOP) == 0, "%s", kin_error_message());
    for (int i = 0; i < ITEMS; i++)
        ck_assert_int_eq(out[i], i % 3 ? 1 : 3);
    kin_result_free(result);
    end_pool(pool);
}

/* ---- in the caller --------------------------------------------------------------------------- */

static void inline_tasks_are_tried_again(void)
{
    test_init();
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.kind = KIN_POOL_INLINE));
    struct notes *notes = kin_calloc(1, sizeof *notes);
    struct out out[ITEMS] = {{0}};
    kin_map_args *args = KIN_MAP_ARGS(.out = out, .out_size = sizeof *out, .count = ITEMS, .context = notes,
                                      .retries = 2, .retry_on = 1u << KIN_CAUSE_RETURNED, .backoff = 0.02);
    notes->succeeds_at = 2;
    ck_assert_msg(kin_pool_map(pool, fail_until, args) == 0, "%s", kin_error_message());
    ck_assert_int_eq(out[FAILS_AT].attempt, 3);
    ck_assert_double_ge(notes->at[2] - notes->at[0], 0.06);
    check_failure(KIN_CAUSE_RETURNED, pool, args, notes);
    memset(notes, 0, sizeof *notes);
    notes->succeeds_at = 2;
    struct out one;
    kin_apply_args *single =
        KIN_APPLY_ARGS(.index = FAILS_AT, .context = notes, .out = &one, .out_size = sizeof one, .retries = 2,
                       .retry_on = 1u << KIN_CAUSE_RETURNED, .backoff = 0.02);
    ck_assert_msg(kin_pool_apply(pool, fail_until, single) == 0, "%s", kin_error_message());
    ck_assert_uint_eq(notes->tries[FAILS_AT], 3);
    ck_assert_double_ge(notes->at[2] - notes->at[0], 0.06);
    kin_free(notes);
    end_pool(pool);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static int work_till_told(kin_task *task, const void *in, void *out)
{
    (void)in;
    double began = now();
    while (!kin_task_stopping(task) && now() - began < 20)
        usleep(1000);
    *(double *)out = now() - began;
    return 0;
}

static void soft_limit_tells_each_task(void)
{
    enum { COUNT = 4 };
    test_init();
    kin_pool *pool = new_pool(2);
    double took[COUNT];
    ck_assert_int_eq(kin_pool_map(pool, work_till_told,
                                  KIN_MAP_ARGS(.out = took, .out_size = sizeof *took, .count = COUNT,
                                               .soft_time_limit = 0.05)),
                     0);
    for (int i = 0; i < COUNT; i++) {
        ck_assert_double_ge(took[i], 0.05);
        ck_assert_double_lt(took[i], 10);
    }
    end_pool(pool);
}

static int sleep_or_burn(kin_task *task, const void *in, void *out)
{
    (void)in, (void)out;
    if (kin_task_index(task) == FAILS_AT)
        burn(30);
    usleep(150000);
    return 0;
}

static void cpu_limit_hits_who_computes_and_not_who_sleeps(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    kin_task_error error;
    size_t failures;
    int code = kin_pool_map(pool, sleep_or_burn,
                            KIN_MAP_ARGS(.count = FAILS_AT + 1, .cpu_limit = 0.1, .on_failure = KIN_COLLECT,
                                         .errors = &error, .errors_capacity = 1, .failures = &failures));
    ck_assert_int_eq(code, KIN_ETIMELIMIT);
    ck_assert_uint_eq(failures, 1);
    ck_assert_uint_eq(error.index, FAILS_AT);
    ck_assert_int_eq(error.cause, KIN_CAUSE_CPU_LIMIT);
    ck_assert_msg(strstr(error.error.message, "more than its limit of 0.1 s of CPU time"), "%s",
                  error.error.message);
    end_pool(pool);
}

/* ---- priorities ------------------------------------------------------------------------------ */

struct order {
    kin_pool *pool;
    kin_result *result; /* of the task that is submitted in the midst of the map */
    _Atomic uint32_t next;
    char text[ITEMS + 2];
    _Atomic int submitted;
    int priority;
};

static void sign(struct order *order, char letter)
{
    order->text[atomic_fetch_add(&order->next, 1)] = letter;
}

static int sign_task(kin_task *task, const void *in, void *out)
{
    (void)in, (void)out;
    sign(kin_task_context(task), 't');
    return 0;
}

static int sign_item(kin_task *task, const void *in, void *out)
{
    struct order *order = kin_task_context(task);
    (void)in, (void)out;
    sign(order, 'm');
    if (kin_task_index(task) == 2) {
        atomic_store(&order->submitted, 1);
        while (atomic_load(&order->submitted) != 2)
            usleep(200);
    }
    return 0;
}

static int submit_when_told(const kin_progress *progress, void *arg)
{
    struct order *order = arg;
    (void)progress;
    if (atomic_load(&order->submitted) == 1) {
        order->result = kin_pool_apply_async(order->pool, sign_task,
                                             KIN_APPLY_ARGS(.context = order, .priority = order->priority));
        ck_assert_ptr_nonnull(order->result);
        atomic_store(&order->submitted, 2);
    }
    return 0;
}

/* One worker; while it runs item 2 of 12 a task is submitted. */
static void check_order(int of_map, int of_task, const char *expected)
{
    struct order *order = kin_calloc(1, sizeof *order);
    order->pool = new_pool(1);
    order->priority = of_task;
    ck_assert_int_eq(
        kin_pool_map(order->pool, sign_item,
                     KIN_MAP_ARGS(.count = ITEMS, .context = order, .chunk = 1, .priority = of_map,
                                  .progress = submit_when_told, .progress_arg = order)),
        0);
    ck_assert_int_eq(kin_result_get(order->result, NULL, 0, TOP), 0);
    ck_assert_msg(strncmp(order->text, expected, strlen(expected)) == 0, "map %d, task %d: %s", of_map,
                  of_task, order->text);
    kin_result_free(order->result);
    end_pool(order->pool);
    kin_free(order);
}

static void tasks_of_lower_priority_wait_for_a_map(void)
{
    test_init();
    check_order(0, 1, "mmmtmmmmmmmmm");
    check_order(0, 0, "mmmtmmmmmmmmm");
    check_order(-1, 0, "mmmtmmmmmmmmm");
    check_order(0, -1, "mmmmmmmmmmmmt");
    check_order(1, 0, "mmmmmmmmmmmmt");
    check_order(1, 1, "mmmtmmmmmmmmm");
}

static void map_of_low_priority_begins_behind_tasks(void)
{
    test_init();
    struct order *order = kin_calloc(1, sizeof *order);
    kin_pool *pool = new_pool(1);
    kin_result *results[4];
    for (int i = 0; i < 4; i++) {
        results[i] = kin_pool_apply_async(pool, sign_task, KIN_APPLY_ARGS(.context = order));
        ck_assert_ptr_nonnull(results[i]);
    }
    atomic_store(&order->submitted, 2);
    ck_assert_int_eq(
        kin_pool_map(pool, sign_item, KIN_MAP_ARGS(.count = 2, .context = order, .chunk = 1, .priority = -1)),
        0);
    ck_assert_str_eq(order->text, "ttttmm");
    for (int i = 0; i < 4; i++)
        kin_result_free(results[i]);
    end_pool(pool);
    kin_free(order);
}

/* ---- the rest -------------------------------------------------------------------------------- */

static int note_progress(const kin_progress *progress, void *arg)
{
    ck_assert_uint_le(progress->done, progress->total);
    *(kin_progress *)arg = *progress;
    return 0;
}

static int fail_first(kin_task *task, const void *in, void *out)
{
    (void)in, (void)out;
    return kin_task_attempt(task) == 0 ? kin_task_fail(task, "not yet") : 0;
}

static void progress_counts_a_task_once(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    kin_progress last;
    ck_assert_int_eq(
        kin_pool_map(pool, fail_first,
                     KIN_MAP_ARGS(.count = 1000, .retries = 1, .retry_on = 1u << KIN_CAUSE_RETURNED,
                                  .progress = note_progress, .progress_arg = &last)),
        0);
    ck_assert_uint_eq(last.done, 1000);
    ck_assert_uint_eq(last.failed, 0);
    end_pool(pool);
}

static int one(kin_task *task, const void *in, void *out)
{
    (void)in;
    *(double *)out = 1;
    return fail_first(task, NULL, NULL);
}

static void add(void *into, const void *value, void *context)
{
    (void)context;
    *(double *)into += *(const double *)value;
}

static void reduction_is_tried_again_by_blocks(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    double sum = 0;
    ck_assert_int_eq(
        kin_pool_reduce(pool, one, add,
                        KIN_MAP_ARGS(.out = &sum, .out_size = sizeof sum, .count = 1000, .chunk = 100,
                                     .retries = 1, .retry_on = 1u << KIN_CAUSE_RETURNED)),
        0);
    ck_assert_double_eq(sum, 1000);
    end_pool(pool);
}

static void ignore_result(kin_result *result, void *arg)
{
    (void)result, (void)arg;
}

static void bad_options_are_told(void)
{
    test_init();
    kin_pool *pool = new_pool(1);
    const struct {
        kin_map_args *args;
        const char *text;
    } cases[] = {
        {KIN_MAP_ARGS(.count = 1, .time_limit = -1), "cannot map with a time limit of -1 s"},
        {KIN_MAP_ARGS(.count = 1, .soft_time_limit = -2), "cannot map with a soft time limit of -2 s"},
        {KIN_MAP_ARGS(.count = 1, .cpu_limit = -3), "cannot map with a limit of CPU time of -3 s"},
        {KIN_MAP_ARGS(.count = 1, .backoff = -4), "cannot map with a back-off of -4 s"},
        {KIN_MAP_ARGS(.count = 1, .retries = -1), "cannot map with -1 retries"},
        {KIN_MAP_ARGS(.count = 1, .retries = 61), "cannot map with 61 retries: 0 to 60"},
        {KIN_MAP_ARGS(.count = 1, .retry_on = 1u << KIN_CAUSE_CANCELED), "tried again on causes 0x100"},
        {KIN_MAP_ARGS(.count = 1, .priority = 2), "cannot map with priority 2: it is -1, 0 or 1"},
        {KIN_MAP_ARGS(.count = 1, .done = ignore_result), "cannot map with a done function"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_int_eq(kin_pool_map(pool, fail_first, cases[i].args), KIN_EINVAL);
        ck_assert_msg(strstr(kin_error_message(), cases[i].text), "%s", kin_error_message());
    }
    end_pool(pool);
}

static const struct test tests[] = {
    {"retries_go_by_cause_and_back_off", retries_go_by_cause_and_back_off, 40, TEST_EACH_METHOD},
    {"sealed_workers_try_again", sealed_workers_try_again, 20, TEST_EACH_METHOD},
    {"items_of_an_asynchronous_map_find_their_output_zeroed",
     items_of_an_asynchronous_map_find_their_output_zeroed, 20, TEST_EACH_METHOD},
    {"inline_tasks_are_tried_again", inline_tasks_are_tried_again, 20, 0},
    {"soft_limit_tells_each_task", soft_limit_tells_each_task, 20, TEST_EACH_METHOD},
    {"cpu_limit_hits_who_computes_and_not_who_sleeps", cpu_limit_hits_who_computes_and_not_who_sleeps, 20,
     TEST_EACH_METHOD},
    {"tasks_of_lower_priority_wait_for_a_map", tasks_of_lower_priority_wait_for_a_map, 20, TEST_NOT_VALGRIND},
    {"map_of_low_priority_begins_behind_tasks", map_of_low_priority_begins_behind_tasks, 20,
     TEST_EACH_METHOD},
    {"progress_counts_a_task_once", progress_counts_a_task_once, 20, TEST_NOT_VALGRIND},
    {"reduction_is_tried_again_by_blocks", reduction_is_tried_again_by_blocks, 20, TEST_NOT_VALGRIND},
    {"bad_options_are_told", bad_options_are_told, 20, TEST_NOT_VALGRIND},
};
TEST_MAIN("map_options", tests)
