/*
 * task_test.c - a worker of a pool at every point where it may die: woken, claiming, in an item, finishing it,
 * answering; of a map, of single tasks, of a map that is not waited for, and of what a task itself submits.
 *
 * Four processes: the tracer (the test), which steps the victim, a worker; the pool's owner, which maps; the
 * pool's other worker, which stands at a gate in its first item until it is told to go on: that is the "others
 * work" of the stepper; and the stepper's survivor, which gives the owner its orders and judges.
 *
 * Who sleeps in a pool looks by itself once a second whether it was called; here it does not, so that a call that is lost is one
 * for good.
 */
#include "crash/stepper.h"
#include "harness.h"

#include "family/heap.h"
#include "pool/local.h"

#include "kin/apply.h"
#include "kin/error.h"
#include "kin/heap.h"
#include "kin/pool.h"
#include "kin/process.h"

#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define ITEMS 5
#define SHORT_POINTS 12
#define PATIENCE 10.0 /* seconds for the owner's map, once the victim is dead or gone on */
#define NEVER 600.0
#define OTHERS_LIMIT 0.05 /* seconds for the other worker to do all it can */

struct output {
    uint64_t value;
    uint64_t *text;
};

/* What a test tries. */
struct plan {
    const char *name;
    uint32_t items;
    int retries;
    size_t chunk;
    bool wake;   /* the victim begins asleep; otherwise in an item, which it finishes */
    bool memory; /* tasks use their arenas */
    int fails;   /* the item that fails by itself; 0: none */
    bool stop;   /* a failure stops the map */
    bool again;  /* it is tried again, and does not fail then */
    enum { MAP, TASKS, PIECES } how;
    bool nested;         /* the victim's items submit tasks and wait for them */
    bool polls;          /* the owner waits for the pool's descriptor, and for nothing else */
    uint32_t stop_after; /* over when the victim has begun so many items */
};

struct scene {
    struct plan plan;
    kin_pool *pool;
    int to_owner, from_owner;
    int32_t pids[2]; /* of the workers, by number */
    _Atomic uint32_t met;
    /* for one map */
    _Atomic uint32_t gate, hold, baited, waiting, over;
    _Atomic int32_t victim_worker;
    _Atomic uint32_t victim_begun;
    _Atomic uint32_t begun[ITEMS], ended[ITEMS];
    size_t failures;
    char fault[240];
};

static struct scene *scene;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void __attribute__((format(printf, 1, 2))) wrong(const char *format, ...)
{
    if (scene->fault[0])
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(scene->fault, sizeof(scene->fault), format, args);
    va_end(args);
}

/* ---- in the workers -------------------------------------------------------------------------- */

/* Both workers take part, so both are there and ready, and it is known who sits where. */
static int meet(kin_task *task, size_t index, void *context)
{
    (void)index, (void)context;
    scene->pids[kin_task_worker(task)] = (int32_t)getpid();
    atomic_fetch_add(&scene->met, 1);
    for (double deadline = now() + PATIENCE; atomic_load(&scene->met) < 2 && now() < deadline;)
        usleep(50);
    return 0;
}

/* Hold the victim where the tracer wants to have it, and the other worker at the gate. */
static void stand(int worker)
{
    if (!atomic_exchange(&scene->baited, 1)) {
        atomic_store(&scene->victim_worker, worker);
        atomic_store(&scene->waiting, 1);
        while (atomic_load(&scene->hold))
            ;
    } else if (worker == atomic_load(&scene->victim_worker)) {
        if (atomic_fetch_add(&scene->victim_begun, 1) + 1 == scene->plan.stop_after)
            atomic_store(&scene->over, 1);
    } else {
        while (!atomic_load(&scene->gate))
            usleep(50);
    }
}

static int halve(kin_task *task, const void *in, void *out)
{
    (void)task;
    *(uint64_t *)out = *(const uint64_t *)in / 2;
    return 0;
}

/* By a task of the task's own. */
static uint64_t half(uint64_t in)
{
    uint64_t out = 0;
    kin_result *result = kin_pool_apply_async(
        scene->pool, halve,
        KIN_APPLY_ARGS(.in = &in, .in_size = sizeof in, .out_size = sizeof out, .retries = 10));
    if (!result || kin_result_get(result, &out, sizeof out, KIN_FOREVER) != 0)
        wrong("a task of a task failed: %s", kin_error_message());
    if (in % 2) /* others go with the task */
        kin_result_free(result);
    return out;
}

static int work(kin_task *task, const uint64_t *in, struct output *out)
{
    size_t index = kin_task_index(task);
    if (scene->plan.how == MAP && KIN__STATUS(scene->pool->job.status[index]) != KIN__PENDING)
        wrong("item %zu is begun though it was finished", index);
    atomic_fetch_add(&scene->begun[index], 1);
    stand(kin_task_worker(task));
    out->value = scene->plan.nested ? half(*in) + half(*in + 2) : *in + 1;
    out->text = NULL;
    if (scene->plan.memory) {
        out->text = kin_task_malloc(task, 4 * sizeof(uint64_t));
        for (uint64_t i = 0; out->text && i < 4; i++)
            out->text[i] = *in + i;
    }
    atomic_fetch_add(&scene->ended[index], 1);
    bool fails = scene->plan.fails && (size_t)scene->plan.fails == index &&
                 (!scene->plan.again || kin_task_attempt(task) == 0);
    return fails ? kin_task_fail(task, "it is to fail") : 0;
}

/* ---- the pool's owner ------------------------------------------------------------------------ */

static bool right(const struct output *out, uint64_t in)
{
    uint64_t value = scene->plan.nested ? in / 2 + in / 2 + 1 : in + 1;
    if (out->value != value || (out->text != NULL) != scene->plan.memory)
        return false;
    for (uint64_t i = 0; out->text && i < 4; i++)
        if (out->text[i] != in + i)
            return false;
    return true;
}

static void judge_item(size_t i, uint64_t in, const struct output *out, const kin_task_error *failure)
{
    bool tried_again = scene->plan.again && (size_t)scene->plan.fails == i;
    bool fails = scene->plan.fails && (size_t)scene->plan.fails == i && !tried_again;
    uint32_t begun = scene->begun[i];
    if (!failure && scene->plan.stop && !begun) {
        if (out->value || out->text)
            wrong("item %zu was not begun, and its output is not zero", i);
    } else if (!failure) {
        if (fails)
            wrong("item %zu, which fails, is not told as failed", i);
        else if (!right(out, in))
            wrong("item %zu is not failed and its result is wrong", i);
        if (scene->ended[i] < 1)
            wrong("item %zu is told as done, and did not end", i);
    } else {
        if (out->value || out->text)
            wrong("item %zu failed, and its output is not zero", i);
        if (failure->error.code == KIN_EDIED && (failure->end.signal != 9 || scene->plan.retries))
            wrong("item %zu: %s", i, failure->error.message);
        else if (failure->error.code != KIN_EDIED && !fails)
            wrong("item %zu failed by itself: %s", i, failure->error.message);
    }
    if (begun > (scene->plan.retries ? 2u : 1u) + tried_again)
        wrong("item %zu was begun %u times", i, begun);
}

static unsigned causes(void)
{
    return scene->plan.again ? 1u << KIN_CAUSE_RETURNED | 1u << KIN_CAUSE_SIGNALED : 0;
}

static void count_done(kin_result *result, void *arg)
{
    (void)result;
    ++*(uint32_t *)arg;
}

/* Nothing but the descriptor tells of ends. */
static bool poll_till_done(const uint32_t *done)
{
    struct pollfd poller = {.fd = kin_pool_fd(scene->pool), .events = POLLIN};
    for (double deadline = now() + PATIENCE; *done < scene->plan.items;) {
        if (poll(&poller, 1, (int)((deadline - now()) * 1e3)) != 1)
            return false;
        child_assert(kin_pool_dispatch(scene->pool, NULL) == 0);
    }
    return true;
}

/* The same items as tasks, each for itself. */
static int apply_all(const uint64_t *in, struct output *out, kin_task_error *errors, kin_arena **arenas)
{
    kin_result *results[ITEMS] = {NULL};
    int error = 0;
    uint32_t done = 0;
    for (size_t i = 0; i < scene->plan.items; i++) {
        results[i] = kin_pool_apply_async(
            scene->pool, (kin_task_fn)work,
            KIN_APPLY_ARGS(.in = &in[i], .in_size = sizeof in[i], .index = i, .out_size = sizeof *out,
                           .retries = scene->plan.retries, .retry_on = causes(),
                           .done = scene->plan.polls ? count_done : NULL, .done_arg = &done));
        child_assert(results[i]);
    }
    if (scene->plan.polls && !poll_till_done(&done))
        wrong("the descriptor tells of %u ends of %u", done, scene->plan.items);
    for (size_t i = 0; i < scene->plan.items; i++) {
        memset(&out[i], 0, sizeof out[i]);
        int failed = kin_result_get(results[i], &out[i], sizeof out[i], PATIENCE);
        if (failed == KIN_ETIMEDOUT) {
            wrong("task %zu does not end", i);
            break;
        }
        if (failed)
            kin_result_error(results[i], &errors[scene->failures++]);
        error = error ? error : failed;
        kin_result_take(results[i], &arenas[i]);
        kin_result_free(results[i]);
    }
    return error;
}

/* And as a map that is not waited for. */
static int map_async(const uint64_t *in, struct output *out, kin_task_error *errors, kin_arena **arenas)
{
    kin_result *result = kin_pool_map_async(
        scene->pool, (kin_task_fn)work,
        KIN_MAP_ARGS(.in = in, .in_size = sizeof(in[0]), .out_size = sizeof *out, .count = scene->plan.items,
                     .retries = scene->plan.retries, .retry_on = causes(), .chunk = scene->plan.chunk,
                     .on_failure = scene->plan.stop ? KIN_STOP : KIN_COLLECT));
    child_assert(result);
    int error = kin_result_get(result, out, scene->plan.items * sizeof *out, PATIENCE);
    if (error == KIN_ETIMEDOUT)
        wrong("the map does not end");
    else
        kin_result_failures(result, errors, ITEMS, &scene->failures);
    kin_result_take(result, arenas);
    kin_result_free(result);
    return error;
}

static int map(const uint64_t *in, struct output *out, kin_task_error *errors, kin_arena **arenas)
{
    return kin_pool_map(
        scene->pool, (kin_task_fn)work,
        KIN_MAP_ARGS(.in = in, .in_size = sizeof(in[0]), .out = out, .out_size = sizeof(out[0]),
                     .count = scene->plan.items, .retries = scene->plan.retries, .retry_on = causes(),
                     .chunk = scene->plan.chunk, .on_failure = scene->plan.stop ? KIN_STOP : KIN_COLLECT,
                     .errors = errors, .errors_capacity = ITEMS, .failures = &scene->failures,
                     .results = arenas));
}

/* One map, judged as far as can be told without knowing whether the victim died. */
static void map_and_judge(void)
{
    static uint64_t in[ITEMS] = {11, 22, 33, 44, 55};
    struct output *out = kin_malloc(ITEMS * sizeof(*out));
    static kin_task_error errors[ITEMS];
    kin_arena *results[ITEMS] = {NULL};
    memset(out, 0x77, ITEMS * sizeof(*out));
    scene->failures = 0;
    int error = scene->plan.how == MAP     ? map(in, out, errors, results)
                : scene->plan.how == TASKS ? apply_all(in, out, errors, results)
                                           : map_async(in, out, errors, results);
    if ((error != 0) != (scene->failures != 0))
        wrong("the map returned %d with %zu failures: %s", error, scene->failures, kin_error_message());
    if (scene->failures > 1u + (scene->plan.fails != 0))
        wrong("%zu items failed of one death", scene->failures);
    size_t failure = 0;
    uint32_t begun = 0;
    for (size_t i = 0; i < scene->plan.items; i++) {
        bool failed = failure < scene->failures && errors[failure].index == i;
        judge_item(i, in[i], &out[i], failed ? &errors[failure++] : NULL);
        begun += scene->begun[i];
    }
    if (failure != scene->failures)
        wrong("%zu failures, of which %zu are told", scene->failures, failure);
    if (begun > scene->plan.items + 1 + scene->plan.again)
        wrong("%u items were begun, of %u, with one death", begun, scene->plan.items);
    for (int i = 0; i < ITEMS; i++)
        kin_arena_free(results[i]);
    kin_free(out);
}

static int meet_in_a_task(kin_task *task, const void *in, void *out)
{
    (void)in, (void)out;
    return meet(task, 0, NULL);
}

/* By tasks where tasks are tried: a worker that nobody knows to be asleep is not woken for one. */
static bool workers_meet(void)
{
    kin_result *results[2] = {NULL};
    bool well = true;
    if (scene->plan.how == MAP)
        return kin_pool_for(scene->pool, meet, KIN_MAP_ARGS(.count = 2, .chunk = 1)) == 0;
    for (int i = 0; i < 2; i++)
        results[i] = kin_pool_apply_async(scene->pool, meet_in_a_task, KIN_APPLY_ARGS(.retries = 10));
    for (int i = 0; i < 2; i++) {
        well = well && kin_result_get(results[i], NULL, 0, 2 * PATIENCE) == 0;
        kin_result_free(results[i]);
    }
    return well && atomic_load(&scene->met) >= 2;
}

static int own_pool(void *arg)
{
    int *pipes = arg;
    uint64_t one = 1, half_of_one;
    scene->pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 2, .start_method = KIN_START_FORK));
    child_assert(scene->pool);
    if (scene->plan.how != MAP) /* its memory is there to be watched */
        child_assert(kin_pool_apply(scene->pool, halve,
                                    KIN_APPLY_ARGS(.in = &one, .in_size = sizeof one, .out = &half_of_one,
                                                   .out_size = sizeof half_of_one)) == 0);
    for (char order; read(pipes[0], &order, 1) == 1 && order != 'q';) {
        atomic_store(&scene->met, 0);
        if (order == 'w' && !workers_meet())
            wrong("the workers do not meet: %s", kin_error_message());
        if (order == 'm')
            map_and_judge();
        child_assert(write(pipes[1], &order, 1) == 1);
    }
    child_assert(kin_pool_finish(scene->pool, PATIENCE) == 0);
    kin_pool_free(scene->pool);
    return 0;
}

/* ---- parts of the operation ------------------------------------------------------------------ */

static void tell_owner(char order)
{
    if (write(scene->to_owner, &order, 1) != 1)
        abort();
}

static bool owner_answered(double seconds)
{
    char answer;
    struct pollfd from = {.fd = scene->from_owner, .events = POLLIN};
    return poll(&from, 1, (int)(seconds * 1e3)) == 1 && read(scene->from_owner, &answer, 1) == 1;
}

static void arrange(void *arg)
{
    (void)arg;
    tell_owner('w');
    if (!owner_answered(PATIENCE))
        wrong("the pool's owner does not answer");
    scene->waiting = scene->over = scene->victim_begun = 0;
    scene->gate = scene->plan.polls; /* so that nobody's end comes after the victim's */
    scene->hold = 1;
    scene->baited = scene->plan.wake;
    scene->victim_worker = 0;
    memset((void *)scene->begun, 0, sizeof(scene->begun));
    memset((void *)scene->ended, 0, sizeof(scene->ended));
}

static bool until(bool (*holds)(void))
{
    for (double deadline = now() + PATIENCE; !holds(); usleep(50))
        if (now() > deadline)
            return false;
    return true;
}

static bool victim_sleeps(void)
{
    return step_asleep(scene->pids[0]);
}

static bool victim_stands(void)
{
    unsigned begun = 0;
    for (int i = 0; i < ITEMS; i++)
        begun += atomic_load(&scene->begun[i]);
    return atomic_load(&scene->waiting) && begun == 2;
}

static bool start_victim(void *arg, struct step_victim *victim)
{
    (void)arg;
    if (scene->plan.wake && !until(victim_sleeps))
        return false;
    if (!scene->plan.wake) {
        tell_owner('m');
        if (!until(victim_stands))
            return false;
    }
    pid_t pid = scene->pids[atomic_load(&scene->victim_worker)];
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof(one), &one); /* 14 us a step, instead of 63 */
    sched_setaffinity(pid, sizeof(one), &one);
    if (!step_seize(victim, pid, &scene->over))
        return false;
    atomic_store(&scene->hold, 0);
    if (scene->plan.wake)
        tell_owner('m');
    return true;
}

/* The doorbell is where a worker sleeps when it has answered. */
static bool victim_is_idle(void *arg)
{
    (void)arg;
    const struct kin__seat *seat = &scene->pool->seats[scene->victim_worker];
    if (scene->plan.how != MAP)
        return !atomic_load(&seat->task) && kin__lane_empty(&scene->pool->lanes[KIN__NORMAL]);
    return atomic_load(&seat->answered) == atomic_load(&seat->doorbell);
}

static size_t watch(void *arg, struct step_area *areas)
{
    (void)arg;
    kin_pool *pool = scene->pool;
    areas[0] = (struct step_area){&pool->job, sizeof(pool->job)};
    areas[1] = (struct step_area){&pool->next, sizeof(pool->next)};
    areas[2] = (struct step_area){(const void *)&pool->stop, 4 * sizeof(uint32_t)};
    areas[3] = (struct step_area){pool->small_status, 64};
    areas[4] = (struct step_area){pool->seats, 2 * sizeof(pool->seats[0])};
    areas[5] = (struct step_area){(const void *)scene->begun, 2 * sizeof(scene->begun)};
    if (scene->plan.how == MAP)
        return 6;
    areas[6] = (struct step_area){pool->lanes, sizeof pool->lanes};
    areas[7] = (struct step_area){atomic_load(&pool->slabs)->records, (ITEMS + 3) * sizeof(kin_result)};
    areas[8] = (struct step_area){(const void *)&pool->nested, 8 * sizeof(uint32_t)};
    return 9;
}

/* Let the other worker do all that it can: until it sleeps. No sleep of our own: that would look like waiting. */
static void let_others_work(void *arg)
{
    (void)arg;
    pid_t other = scene->pids[1 - scene->victim_worker];
    atomic_store(&scene->gate, 1);
    for (double deadline = now() + OTHERS_LIMIT; now() < deadline && !step_asleep(other);)
        sched_yield();
}

/* One that died before it failed, too. */
static bool failure_stops_map(void)
{
    unsigned char status = *(volatile unsigned char *)&scene->pool->job.status[scene->plan.fails];
    return KIN__STATUS(status) != KIN__FAILED || atomic_load(&scene->pool->stop);
}

/* All but the one that the dead may have claimed and not begun. */
static bool rest_is_begun(void)
{
    unsigned begun = 0;
    for (uint32_t i = 0; i < scene->plan.items; i++)
        begun += atomic_load(&scene->begun[i]) > 0;
    return begun + 1 >= scene->plan.items;
}

static const char *check(void *arg, const struct step_end *end)
{
    (void)arg;
    /* With the other worker at its gate, a dead victim's successor works in its arena. */
    if (scene->plan.memory && scene->plan.how == MAP && !until(rest_is_begun))
        wrong("nobody goes on with the items of the dead");
    /* The other worker stands at its gate still: it has no part in this. */
    if (scene->plan.stop && !until(failure_stops_map))
        wrong("an item has failed, and the map is not stopped");
    atomic_store(&scene->gate, 1);
    if (!owner_answered(PATIENCE))
        return "the map does not end";
    size_t expected = scene->plan.fails && !scene->plan.again ? 1 : 0;
    if (!end->died && scene->failures != expected)
        wrong("nobody died, and %zu items failed", scene->failures);
    return scene->fault[0] ? scene->fault : NULL;
}

/* ---- the tests ------------------------------------------------------------------------------- */

static void survive(struct plan plan)
{
    const char *why;
    if (!step_possible(&why))
        test_skip(why);
    int orders[2], answers[2];
    scene = mmap(NULL, sizeof(*scene), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_msg(scene != MAP_FAILED && pipe(orders) == 0 && pipe(answers) == 0, "no room");
    scene->plan = plan;
    scene->to_owner = orders[1];
    scene->from_owner = answers[0];
    kin__pool_look_again = NEVER;
    test_init();
    int pipes[2] = {orders[0], answers[1]};
    kin_process *owner = kin_process_start(own_pool, pipes, sizeof(pipes), NULL);
    ck_assert_ptr_nonnull(owner);
    struct step_operation operation = {.name = plan.name,
                                       .world = scene,
                                       .arrange = arrange,
                                       .start = start_victim,
                                       .over = victim_is_idle,
                                       .watch = watch,
                                       .others = let_others_work,
                                       .check = check};
    step_must_survive(&operation, test_long() ? 0 : SHORT_POINTS);
    kin_end end;
    tell_owner('q');
    ck_assert_int_eq(kin_process_join(owner, PATIENCE), 0);
    ck_assert_int_eq(kin_process_end(owner, &end), 0);
    ck_assert_msg(end.how == KIN_END_EXITED && end.exit_code == 0, "the pool's owner failed");
    kin_process_free(owner);
    ck_assert_msg(kin__heap_check() == 0, "%s", kin_error_message());
    for (int i = 0; i < 2; i++) {
        close(orders[i]);
        close(answers[i]);
    }
}

static void woken_worker_claims(void)
{
    survive((struct plan){
        .name = "wake and claim", .items = 5, .chunk = 1, .wake = true, .retries = 1, .stop_after = 2});
}

static void item_is_finished_and_the_next_claimed(void)
{
    survive((struct plan){.name = "finish, claim, run, finish", .items = 5, .chunk = 1, .stop_after = 2});
}

static void item_is_finished_and_the_next_claimed_with_retries(void)
{
    survive((struct plan){.name = "finish, claim, run, finish; with retries",
                          .items = 5,
                          .chunk = 1,
                          .retries = 1,
                          .stop_after = 2});
}

static void rest_of_a_dead_workers_chunk_is_done_by_others(void)
{
    survive((struct plan){.name = "inside a chunk", .items = 5, .chunk = 2, .stop_after = 2});
}

static void tasks_memory_goes_with_the_task(void)
{
    survive((struct plan){
        .name = "finish with memory", .items = 5, .chunk = 1, .memory = true, .retries = 1, .stop_after = 2});
}

static void failing_item_fails_once(void)
{
    survive((struct plan){.name = "finish of a failing item",
                          .items = 5,
                          .chunk = 1,
                          .fails = 2,
                          .memory = true,
                          .retries = 1,
                          .stop_after = 2});
}

static void failing_item_is_tried_again(void)
{
    survive((struct plan){.name = "finish of an item that is tried again",
                          .items = 5,
                          .chunk = 1,
                          .fails = 2,
                          .again = true,
                          .memory = true,
                          .retries = 2,
                          .stop_after = 2});
}

static void failing_task_is_tried_again(void)
{
    survive((struct plan){.name = "finish of a task that is tried again",
                          .how = TASKS,
                          .items = 5,
                          .fails = 2,
                          .again = true,
                          .memory = true,
                          .retries = 2,
                          .stop_after = 2});
}

static void end_of_a_task_is_told_by_the_descriptor(void)
{
    survive((struct plan){.name = "finish a task that is polled for",
                          .how = TASKS,
                          .items = 2,
                          .polls = true,
                          .retries = 1,
                          .stop_after = 99});
}

static void failing_item_stops_the_map(void)
{
    survive((struct plan){.name = "finish of a failing item, which stops the map",
                          .items = 5,
                          .chunk = 1,
                          .fails = 2,
                          .stop = true,
                          .stop_after = 2});
}

static void last_item_is_finished_and_answered(void)
{
    survive((struct plan){.name = "finish the last item, answer", .items = 2, .chunk = 1, .stop_after = 99});
}

static void woken_worker_claims_a_task(void)
{
    survive((struct plan){.name = "wake and claim a task",
                          .how = TASKS,
                          .items = 5,
                          .wake = true,
                          .retries = 1,
                          .stop_after = 2});
}

static void task_is_finished_and_the_next_claimed(void)
{
    survive((struct plan){
        .name = "finish a task, claim, run, finish", .how = TASKS, .items = 5, .stop_after = 2});
}

static void task_is_finished_with_memory_and_retries(void)
{
    survive((struct plan){.name = "finish a task with memory",
                          .how = TASKS,
                          .items = 5,
                          .memory = true,
                          .retries = 1,
                          .stop_after = 2});
}

static void failing_task_fails_once(void)
{
    survive((struct plan){.name = "finish of a failing task",
                          .how = TASKS,
                          .items = 5,
                          .fails = 2,
                          .memory = true,
                          .retries = 1,
                          .stop_after = 2});
}

static void last_task_is_finished_and_the_worker_rests(void)
{
    survive((struct plan){.name = "finish the last task, rest", .how = TASKS, .items = 2, .stop_after = 99});
}

static void piece_goes_on_behind_the_item_of_the_dead(void)
{
    survive((struct plan){
        .name = "inside a piece", .how = PIECES, .items = 5, .chunk = 2, .memory = true, .stop_after = 2});
}

static void piece_fails_an_item(void)
{
    survive((struct plan){.name = "an item of a piece fails",
                          .how = PIECES,
                          .items = 5,
                          .chunk = 2,
                          .fails = 2,
                          .memory = true,
                          .retries = 1,
                          .stop_after = 2});
}

static void last_piece_finishes_the_whole(void)
{
    survive((struct plan){.name = "finish the last piece, and the whole",
                          .how = PIECES,
                          .items = 2,
                          .chunk = 1,
                          .stop_after = 99});
}

static void task_submits_a_task_and_runs_it(void)
{
    survive((struct plan){.name = "submit in a task, claim, run, get, free",
                          .how = TASKS,
                          .items = 5,
                          .nested = true,
                          .retries = 1,
                          .stop_after = 2});
}

static const struct test tests[] = {
    {"woken_worker_claims_a_task", woken_worker_claims_a_task, 120, 0},
    {"task_is_finished_and_the_next_claimed", task_is_finished_and_the_next_claimed, 120, 0},
    {"task_is_finished_with_memory_and_retries", task_is_finished_with_memory_and_retries, 240, 0},
    {"failing_task_fails_once", failing_task_fails_once, 240, 0},
    {"last_task_is_finished_and_the_worker_rests", last_task_is_finished_and_the_worker_rests, 120, 0},
    {"piece_goes_on_behind_the_item_of_the_dead", piece_goes_on_behind_the_item_of_the_dead, 240, 0},
    {"piece_fails_an_item", piece_fails_an_item, 240, 0},
    {"last_piece_finishes_the_whole", last_piece_finishes_the_whole, 120, 0},
    {"task_submits_a_task_and_runs_it", task_submits_a_task_and_runs_it, 240, 0},
    {"woken_worker_claims", woken_worker_claims, 120, 0},
    {"item_is_finished_and_the_next_claimed", item_is_finished_and_the_next_claimed, 120, 0},
    {"item_is_finished_and_the_next_claimed_with_retries", item_is_finished_and_the_next_claimed_with_retries,
     120, 0},
    {"rest_of_a_dead_workers_chunk_is_done_by_others", rest_of_a_dead_workers_chunk_is_done_by_others, 120,
     0},
    {"tasks_memory_goes_with_the_task", tasks_memory_goes_with_the_task, 240, 0},
    {"failing_item_fails_once", failing_item_fails_once, 240, 0},
    {"failing_item_is_tried_again", failing_item_is_tried_again, 240, 0},
    {"failing_task_is_tried_again", failing_task_is_tried_again, 240, 0},
    {"end_of_a_task_is_told_by_the_descriptor", end_of_a_task_is_told_by_the_descriptor, 240, 0},
    {"failing_item_stops_the_map", failing_item_stops_the_map, 120, 0},
    {"last_item_is_finished_and_answered", last_item_is_finished_and_answered, 120, 0},
};
TEST_MAIN("crash_task", tests)
