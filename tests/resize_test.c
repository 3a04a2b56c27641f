/* resize_test.c - pools that grow and shrink: when told, for want of work, and a fresh worker for each task. */
#include "pool_common.h"

#include "pool/local.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct counters {
    _Atomic int begun, states, finals, failed;
    _Atomic int of_worker[64];
    _Atomic bool go;
};

static kin_pool *new_pool_of(int workers, int most, double idle_time)
{
    kin_pool *pool =
        kin_pool_new(KIN_POOL_OPTIONS(.workers = workers, .workers_max = most, .idle_time = idle_time,
                                      .start_method = test_method(), .kind = test_kind()));
    ck_assert_msg(pool != NULL, "%s", kin_error_message());
    return pool;
}

static int hold(kin_task *task, const void *in, void *out)
{
    struct counters *counters = kin_task_context(task);
    (void)in;
    (void)out;
    atomic_fetch_add(&counters->of_worker[kin_task_worker(task)], 1);
    atomic_fetch_add(&counters->begun, 1);
    while (!atomic_load(&counters->go) && !kin_task_stopping(task))
        usleep(200);
    return 0;
}

static void await_number(const _Atomic int *number, int value)
{
    while (atomic_load(number) != value && test_time_left() > 0.5)
        usleep(500);
    ck_assert_int_eq(atomic_load(number), value);
}

static void pool_takes_as_many_tasks_as_it_is_told(void)
{
    test_init();
    struct counters *counters = kin_calloc(1, sizeof *counters);
    kin_pool *pool = new_pool_of(1, 4, 0);
    kin_result *results[6];
    for (int i = 0; i < 6; i++)
        results[i] = kin_pool_apply_async(pool, hold, KIN_APPLY_ARGS(.context = counters));
    await_number(&counters->begun, 1);
    ck_assert_int_eq(kin_pool_workers(pool), 1);
    ck_assert_int_eq(kin_pool_resize(pool, 3), 0);
    ck_assert_int_eq(kin_pool_workers(pool), 3);
    await_number(&counters->begun, 3);
    ck_assert_int_eq(kin_pool_resize(pool, 4), 0);
    await_number(&counters->begun, 4);
    ck_assert_int_eq(kin_pool_resize(pool, 1), 0); /* each ends when its task is over */
    counters->go = true;
    for (int i = 0; i < 6; i++) {
        ck_assert_msg(kin_result_get(results[i], NULL, 0, TOP) == 0, "%s", kin_error_message());
        kin_result_free(results[i]);
    }
    ck_assert_int_eq(counters->begun, 6);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(kin_pool_apply(pool, hold, KIN_APPLY_ARGS(.context = counters)), 0);
    ck_assert_int_ge(counters->of_worker[0], 1);
    end_pool(pool);
    kin_free(counters);
}

static int note_worker(kin_task *task, size_t index, void *context)
{
    struct counters *counters = context;
    (void)index;
    atomic_fetch_add(&counters->of_worker[kin_task_worker(task)], 1);
    usleep(1000);
    return 0;
}

struct resizing {
    kin_pool *pool;
    struct counters *counters;
    int told;
};

/* In the middle of the map: more, and then fewer. */
static int resize_it(const kin_progress *progress, void *arg)
{
    struct resizing *resizing = arg;
    if (resizing->told == 0 && progress->done > 10) {
        resizing->told = 1;
        return kin_pool_resize(resizing->pool, 4);
    }
    bool all = true;
    for (int i = 1; i < 4; i++)
        all = all && atomic_load(&resizing->counters->of_worker[i]) > 10;
    if (resizing->told == 1 && all) {
        resizing->told = 2;
        return kin_pool_resize(resizing->pool, 1);
    }
    return 0;
}

static void map_under_way_gets_more_workers_and_fewer(void)
{
    enum { COUNT = 1200 };
    test_init();
    struct counters *counters = kin_calloc(1, sizeof *counters);
    kin_pool *pool = new_pool_of(1, 4, 0);
    struct resizing resizing = {.pool = pool, .counters = counters};
    kin_map_args args = {.size = sizeof args,
                         .context = counters,
                         .count = COUNT,
                         .progress = resize_it,
                         .progress_arg = &resizing};
    ck_assert_msg(kin_pool_for(pool, note_worker, &args) == 0, "%s", kin_error_message());
    ck_assert_int_eq(resizing.told, 2);
    int sum = 0;
    for (int i = 0; i < 4; i++) {
        ck_assert_int_gt(counters->of_worker[i], 0);
        sum += counters->of_worker[i];
    }
    ck_assert_int_eq(sum, COUNT); /* each once: those that left were between two items */
    ck_assert_int_eq(kin_pool_workers(pool), 1);
    end_pool(pool);
    kin_free(counters);
}

static int count_state(void **state, const void *arg)
{
    struct counters *counters = *(struct counters *const *)arg;
    *state = counters;
    atomic_fetch_add(&counters->states, 1);
    return 0;
}

static void count_final(void *state)
{
    atomic_fetch_add(&((struct counters *)state)->finals, 1);
}

static int nothing(kin_task *task, const void *in, void *out)
{
    (void)task;
    (void)in;
    (void)out;
    return 0;
}

static int nothing_for(kin_task *task, size_t index, void *context)
{
    (void)index;
    return nothing(task, NULL, context);
}

static void idle_workers_end_and_come_back(void)
{
    test_init();
    struct counters *counters = kin_calloc(1, sizeof *counters);
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 2, .idle_time = 0.05,
                                                   .start_method = test_method(), .kind = test_kind(),
                                                   .initializer = count_state, .finalizer = count_final,
                                                   .init_arg = &counters, .init_arg_size = sizeof counters));
    ck_assert_ptr_nonnull(pool);
    for (int round = 0; round < 3; round++) {
        int before = counters->states;
        ck_assert_int_eq(kin_pool_apply(pool, nothing, NULL), 0);
        ck_assert_int_gt(counters->states, round ? before : 0);
        while (counters->finals != counters->states && test_time_left() > 0.5)
            usleep(1000);
        ck_assert_int_eq(counters->finals, counters->states); /* all have ended, in order */
        int ended = counters->states;
        usleep(150000); /* three times as long, and none has come back by itself */
        ck_assert_int_eq(counters->states, ended);
        ck_assert_int_eq(kin_pool_workers(pool), 2);
        ck_assert_int_eq(kin_pool_for(pool, nothing_for, KIN_MAP_ARGS(.count = 100)), 0);
        while (counters->finals != counters->states && test_time_left() > 0.5)
            usleep(1000);
    }
    end_pool(pool);
    kin_free(counters);
}

static void workers_too_many_end_at_once(void)
{
    kin__pool_look_again = 600; /* who is not called sleeps for good */
    test_init();
    struct counters *counters = kin_calloc(1, sizeof *counters);
    kin_pool *pool =
        kin_pool_new(KIN_POOL_OPTIONS(.workers = 3, .start_method = test_method(), .kind = test_kind(),
                                      .initializer = count_state, .finalizer = count_final,
                                      .init_arg = &counters, .init_arg_size = sizeof counters));
    ck_assert_ptr_nonnull(pool);
    await_number(&counters->states, 3);
    usleep(100000); /* they sleep */
    ck_assert_int_eq(kin_pool_resize(pool, 1), 0);
    await_number(&counters->finals, 2);
    ck_assert_int_eq(kin_pool_resize(pool, 3), 0);
    await_number(&counters->states, 5);
    end_pool(pool);
    ck_assert_int_eq(counters->finals, 5);
    kin_free(counters);
}

/* Whoever submits just as the workers go finds one all the same. */
static void submissions_meet_workers_that_are_about_to_go(void)
{
    int rounds = test_long() ? 3000 : 150;
    test_init();
    kin_pool *pool = new_pool_of(2, 2, 0.002);
    for (int i = 0; i < rounds; i++) {
        struct timespec pause = {.tv_nsec = 1700000 + (i * 7919L) % 600000};
        nanosleep(&pause, NULL);
        if (i % 3) {
            ck_assert_msg(kin_pool_apply(pool, nothing, NULL) == 0, "%s", kin_error_message());
        } else {
            ck_assert_msg(kin_pool_for(pool, nothing_for, KIN_MAP_ARGS(.count = 3)) == 0, "%s",
                          kin_error_message());
        }
    }
    end_pool(pool);
}

static int tell_pid(kin_task *task, const void *in, void *out)
{
    (void)task;
    (void)in;
    *(int *)out = (int)getpid();
    return 0;
}

static void each_task_has_a_process_of_its_own(void)
{
    enum { COUNT = 20 };
    int pids[2 * COUNT];
    char in[COUNT] = {0};
    test_init();
    kin_pool *pool =
        kin_pool_new(KIN_POOL_OPTIONS(.workers = 2, .tasks_per_worker = 1, .start_method = test_method()));
    ck_assert_ptr_nonnull(pool);
    for (int i = 0; i < COUNT; i++)
        ck_assert_int_eq(
            kin_pool_apply(pool, tell_pid, KIN_APPLY_ARGS(.out = &pids[i], .out_size = sizeof *pids)), 0);
    ck_assert_int_eq(kin_pool_map(pool, tell_pid,
                                  KIN_MAP_ARGS(.in = in, .in_size = 1, .out = pids + COUNT,
                                               .out_size = sizeof *pids, .count = COUNT)),
                     0);
    for (int i = 0; i < 2 * COUNT; i++)
        for (int j = 0; j < i; j++)
            ck_assert_int_ne(pids[i], pids[j]);
    end_pool(pool);
}

static void wrong_numbers_are_refused(void)
{
    test_init();
    ck_assert_ptr_null(kin_pool_new(KIN_POOL_OPTIONS(.workers = 3, .workers_max = 2)));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    ck_assert_ptr_null(kin_pool_new(KIN_POOL_OPTIONS(.workers = 3, .workers_max = -1)));
    ck_assert_ptr_null(kin_pool_new(KIN_POOL_OPTIONS(.workers = 3, .idle_time = -1)));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    kin_pool *pool = new_pool_of(2, 3, 0);
    ck_assert_int_eq(kin_pool_resize(pool, 0), KIN_EINVAL);
    ck_assert_int_eq(kin_pool_resize(pool, 4), KIN_EINVAL);
    ck_assert_int_eq(kin_pool_workers(pool), 2);
    ck_assert_int_eq(kin_pool_finish(pool, TOP), 0);
    ck_assert_int_eq(kin_pool_resize(pool, 1), KIN_ECLOSED);
    kin_pool_free(pool);
    pool = kin_pool_new(KIN_POOL_OPTIONS(.kind = KIN_POOL_INLINE));
    ck_assert_int_eq(kin_pool_resize(pool, 1), KIN_ENOTSUP);
    end_pool(pool);
}

static int square(kin_task *task, const void *in, void *out)
{
    (void)task;
    usleep(200);
    *(int *)out = *(const int *)in * *(const int *)in;
    return 0;
}

struct storm {
    kin_pool *pool;
    _Atomic bool over;
    _Atomic int resizes, kills;
};

/* A worker that takes long to start is to come to some work before it is struck or sent away. */
static useconds_t pause_of(useconds_t microseconds)
{
    return test_method() == KIN_START_SPAWN ? 6 * microseconds : microseconds;
}

static void *resize_at_random(void *arg)
{
    struct storm *storm = arg;
    unsigned seed = 7;
    while (!atomic_load(&storm->over)) {
        if (kin_pool_resize(storm->pool, 1 + rand_r(&seed) % 4) == 0)
            atomic_fetch_add(&storm->resizes, 1);
        usleep(pause_of((useconds_t)(rand_r(&seed) % 4000)));
    }
    return NULL;
}

/* Of those that are there; none, if they are threads. */
static void *kill_at_random(void *arg)
{
    struct storm *storm = arg;
    unsigned seed = 11;
    while (!atomic_load(&storm->over) && test_kind() == KIN_POOL_PROCESSES) {
        kin_process *children[16];
        size_t count = 0;
        usleep(pause_of(15000));
        if (kin_active_children(children, 16, &count) != 0 || !count)
            continue;
        kin_process_kill(children[(size_t)rand_r(&seed) % (count < 16 ? count : 16)]);
        atomic_fetch_add(&storm->kills, 1);
    }
    return NULL;
}

static void storm_of_resizes_and_kills(void)
{
    int count = test_long() ? 40000 : 3000, maps = test_long() ? 30 : 4;
    test_init();
    struct storm storm = {.pool = new_pool_of(2, 4, 0.01)};
    pthread_t threads[2];
    pthread_create(&threads[0], NULL, resize_at_random, &storm);
    pthread_create(&threads[1], NULL, kill_at_random, &storm);
    kin_result **results = calloc((size_t)count, sizeof(kin_result *));
    int *in = kin_calloc((size_t)count, sizeof *in), *out = kin_calloc((size_t)count, sizeof *out);
    for (int i = 0; i < count; i++) {
        in[i] = i % 1000;
        results[i] = kin_pool_apply_async(
            storm.pool, square,
            KIN_APPLY_ARGS(.in = &in[i], .in_size = sizeof *in, .out_size = sizeof *out, .retries = 100));
        ck_assert_msg(results[i] != NULL, "%s", kin_error_message());
    }
    for (int k = 0; k < maps; k++) {
        kin_map_args args = {.size = sizeof args,
                             .in = in,
                             .in_size = sizeof *in,
                             .out = out,
                             .out_size = sizeof *out,
                             .count = 1000,
                             .retries = 60};
        ck_assert_msg(kin_pool_map(storm.pool, square, &args) == 0, "%s", kin_error_message());
        for (int i = 0; i < 1000; i++)
            ck_assert_int_eq(out[i], in[i] * in[i]);
    }
    for (int i = 0; i < count; i++) {
        int value;
        ck_assert_msg(kin_result_get(results[i], &value, sizeof value, TOP) == 0, "%s", kin_error_message());
        ck_assert_int_eq(value, in[i] * in[i]);
        kin_result_free(results[i]);
    }
    storm.over = true;
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    ck_assert_int_gt(storm.resizes, 10);
    end_pool(storm.pool);
    free(results);
    kin_free(in);
    kin_free(out);
}

/* A maker of a pool, which it resizes all the time. */
static int resize_for_ever(void *arg)
{
    _Atomic int *ready = *(_Atomic int **)arg;
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 2, .workers_max = 4, .idle_time = 0.005,
                                                   .start_method = test_method(), .kind = test_kind()));
    child_assert(pool != NULL);
    atomic_store(ready, 1);
    for (unsigned i = 0;; i++) {
        child_assert(kin_pool_resize(pool, 1 + (int)(i * 7 % 4)) == 0);
        if (i % 2)
            child_assert(kin_pool_apply(pool, nothing, NULL) == 0);
        else
            child_assert(kin_pool_for(pool, nothing_for, KIN_MAP_ARGS(.count = 4)) == 0);
    }
}

/* The harness looks that no worker is left; here, that no memory is. */
static void maker_that_is_killed_while_it_resizes_leaves_nothing(void)
{
    int rounds = test_long() ? 300 : 12;
    test_init();
    _Atomic int *ready = kin_calloc(1, sizeof *ready);
    kin_heap_stats before = {.size = sizeof before}, after = {.size = sizeof after};
    for (int i = 0; i < rounds; i++) {
        *ready = 0;
        kin_process *maker = kin_process_start(resize_for_ever, &ready, sizeof(void *), NULL);
        ck_assert_msg(maker != NULL, "%s", kin_error_message());
        await_number(ready, 1);
        usleep((useconds_t)(i * 3701 % 20000));
        ck_assert_int_eq(kin_process_kill(maker), 0);
        ck_assert_int_eq(kin_process_join(maker, TOP), 0);
        kin_process_free(maker);
        if (i == 0)
            ck_assert_int_eq(kin_heap_get_stats(&before), 0);
    }
    ck_assert_int_eq(kin_heap_get_stats(&after), 0);
    while (after.arenas > before.arenas && test_time_left() > 1) { /* its workers are on their way out */
        usleep(10000);
        ck_assert_int_eq(kin_heap_get_stats(&after), 0);
    }
    ck_assert_uint_le(after.arenas, before.arenas);
    kin_free(ready);
}

#define EACH (TEST_EACH_METHOD | TEST_AND_THREADS)
static const struct test tests[] = {
    {"pool_takes_as_many_tasks_as_it_is_told", pool_takes_as_many_tasks_as_it_is_told, 20, EACH},
    {"map_under_way_gets_more_workers_and_fewer", map_under_way_gets_more_workers_and_fewer, 60, EACH},
    {"idle_workers_end_and_come_back", idle_workers_end_and_come_back, 20, EACH},
    {"workers_too_many_end_at_once", workers_too_many_end_at_once, 20, EACH},
    {"submissions_meet_workers_that_are_about_to_go", submissions_meet_workers_that_are_about_to_go, 60,
     EACH},
    {"each_task_has_a_process_of_its_own", each_task_has_a_process_of_its_own, 20, TEST_EACH_METHOD},
    {"wrong_numbers_are_refused", wrong_numbers_are_refused, 10, EACH},
    {"maker_that_is_killed_while_it_resizes_leaves_nothing",
     maker_that_is_killed_while_it_resizes_leaves_nothing, 60, TEST_EACH_METHOD},
    {"storm_of_resizes_and_kills", storm_of_resizes_and_kills, 120, TEST_AND_THREADS | TEST_EACH_METHOD},
};
TEST_MAIN("resize", tests)
