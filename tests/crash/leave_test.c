/*
 * leave_test.c - a worker that leaves its seat, at every point where it may die: because the pool is to have fewer
 * (kin_pool_resize), for want of work (idle_time), or as its task is canceled, at every point of it. And a pool's maker, while it
 * resizes. And one that submits, and so wakes the other.
 *
 * Processes as in task_test.c: the tracer, the pool's owner, the victim, the other worker, the survivor. Who sleeps in a pool looks
 * by itself once a second whether it was called; here it does not, so that a call that is lost is one for good.
 */
#include "crash/heap_world.h"
#include "crash/stepper.h"
#include "harness.h"

#include "family/heap.h"
#include "pool/local.h"

#include "kin/apply.h"
#include "kin/error.h"
#include "kin/pool.h"
#include "kin/process.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define POINTS 10         /* in the short form */
#define PATIENCE 10.0     /* seconds for what is to happen */
#define OTHERS_LIMIT 0.05 /* seconds for the other worker to do all it can */
#define NEVER 600.0
#define IDLE_TIME 0.1
#define SUBMITTED_MAX 4
#define ITEMS 4
#define TRIES 20

/* What a test tries. */
struct plan {
    const char *name;
    enum {
        ASLEEP,
        IN_A_TASK,
        IN_A_MAP,
        IDLE,
        CANCELED,
        SUBMITS
    } how; /* where it is told to go, or what makes it */
};

struct scene {
    struct plan plan;
    kin_pool *pool;
    int to_owner, from_owner;
    int32_t pids[2]; /* of the workers, by number */
    _Atomic uint32_t met;
    _Atomic uint32_t resize_to; /* for the owner's thread that resizes; 0: done */
    /* for one victim */
    _Atomic uint32_t gate, hold, standing, over;
    _Atomic uint32_t begun, finals;
    int victim;     /* its seat */
    uint64_t in;    /* the input of its task */
    double idle_at; /* not before that is it without work for long enough */
    bool submitted; /* by the others */
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

static bool until(bool (*holds)(void))
{
    for (double deadline = now() + PATIENCE; !holds(); usleep(50))
        if (now() > deadline)
            return false;
    return true;
}

static int workers_of(const struct plan *plan)
{
    return plan->how == IDLE ? 1 : 2;
}

/* And there is to be one less then. */
static bool goes(const struct plan *plan)
{
    return plan->how == ASLEEP || plan->how == IN_A_TASK || plan->how == IN_A_MAP;
}

static pid_t victim_pid(void)
{
    return scene->pids[scene->victim];
}

/* ---- in the workers -------------------------------------------------------------------------- */

/* All workers take part, so all are there and ready, and it is known who sits where. */
static int meet(kin_task *task, const void *in, void *out)
{
    (void)in, (void)out;
    scene->pids[kin_task_worker(task)] = (int32_t)getpid();
    atomic_fetch_add(&scene->met, 1);
    for (double deadline = now() + PATIENCE;
         atomic_load(&scene->met) < (uint32_t)workers_of(&scene->plan) && now() < deadline;)
        usleep(50);
    return 0;
}

static int add_one(kin_task *task, const void *in, void *out)
{
    (void)task;
    *(uint64_t *)out = *(const uint64_t *)in + 1;
    return 0;
}

static void stand_still(const uint64_t *in)
{
    scene->in = *in;
    atomic_store(&scene->standing, 1);
    while (atomic_load(&scene->hold))
        ;
}

/* The victim stands where the tracer wants to have it, the other at the gate. */
static int stand(kin_task *task, const void *in, void *out)
{
    bool is_victim = kin_task_worker(task) == scene->victim;
    if (is_victim && atomic_load(&scene->hold)) {
        stand_still(in);
    } else if (!is_victim) {
        atomic_fetch_add(&scene->begun, 1);
        while (!atomic_load(&scene->gate))
            usleep(50);
    }
    return add_one(task, in, out);
}

/* Whoever has it is the victim; the other sleeps, and is woken. */
static int stand_and_submit(kin_task *task, const void *in, void *out)
{
    if (atomic_load(&scene->hold)) {
        scene->victim = kin_task_worker(task);
        stand_still(in);
    }
    return kin_pool_apply(scene->pool, add_one,
                          KIN_APPLY_ARGS(.in = in, .in_size = sizeof(uint64_t), .out = out,
                                         .out_size = sizeof(uint64_t), .retries = 3));
}

static void count_final(void *state)
{
    (void)state;
    atomic_fetch_add(&scene->finals, 1);
}

/* ---- the pool's owner ------------------------------------------------------------------------ */

struct submitted {
    kin_result *results[SUBMITTED_MAX];
    uint64_t in[SUBMITTED_MAX];
    int count;
};

static void submit(struct submitted *submitted, kin_task_fn fn)
{
    int i = submitted->count++;
    child_assert(i < SUBMITTED_MAX);
    submitted->in[i] = (uint64_t)i * 100;
    submitted->results[i] =
        kin_pool_apply_async(scene->pool, fn,
                             KIN_APPLY_ARGS(.in = &submitted->in[i], .in_size = sizeof(uint64_t),
                                            .out_size = sizeof(uint64_t), .retries = 3));
    child_assert(submitted->results[i]);
}

static void collect(struct submitted *submitted)
{
    for (int i = 0; i < submitted->count; i++) {
        uint64_t out = 0;
        if (!submitted->results[i])
            continue;
        int error = kin_result_get(submitted->results[i], &out, sizeof out, PATIENCE);
        if (error == KIN_ETIMEDOUT)
            wrong("task %d does not end", i);
        else if (error || out != submitted->in[i] + 1)
            wrong("task %d gives %lu: %s", i, (unsigned long)out, kin_error_message());
        kin_result_free(submitted->results[i]);
    }
    submitted->count = 0;
}

/* The victim's task is canceled, or has just finished; it is freed at once, and its place used again. */
static void cancel(struct submitted *submitted)
{
    uint64_t out = 0;
    int i = (int)(scene->in / 100);
    kin_result *result = submitted->results[i];
    int error = kin_result_cancel(result), what = kin_result_get(result, &out, sizeof out, PATIENCE);
    if (error ? error != KIN_EBUSY || what || out != scene->in + 1 : what != KIN_ECANCELED)
        wrong("cancel says %d, and the task then %d, %lu", error, what, (unsigned long)out);
    kin_result_free(result);
    submitted->results[i] = NULL;
    submit(submitted, add_one);
    submit(submitted, add_one);
}

static void have_all_meet(void)
{
    struct submitted both = {.count = 0};
    if (kin_pool_resize(scene->pool, workers_of(&scene->plan)) != 0)
        wrong("could not resize: %s", kin_error_message());
    atomic_store(&scene->met, 0);
    for (int i = 0; i < workers_of(&scene->plan); i++)
        submit(&both, meet);
    for (int i = 0; i < both.count; i++) {
        uint64_t out;
        if (kin_result_get(both.results[i], &out, sizeof out, PATIENCE) != 0)
            wrong("the workers do not meet: %s", kin_error_message());
        kin_result_free(both.results[i]);
    }
    if (atomic_load(&scene->met) != (uint32_t)workers_of(&scene->plan))
        wrong("%u workers meet, of %d", atomic_load(&scene->met), workers_of(&scene->plan));
}

/* All of the pool's owner's children are workers. */
static size_t workers_there(void)
{
    kin_process *children[8];
    size_t count = 0;
    child_assert(kin_active_children(children, 8, &count) == 0);
    return count;
}

static void one_remains(void)
{
    size_t there = 0;
    for (double deadline = now() + PATIENCE; (there = workers_there()) != 1 && now() < deadline;)
        usleep(200);
    if (there != 1)
        wrong("%zu workers are there, and the pool is to have 1", there);
}

static void map_all(void)
{
    uint64_t in[ITEMS], out[ITEMS];
    for (uint64_t i = 0; i < ITEMS; i++)
        in[i] = i * 10;
    if (kin_pool_map(scene->pool, stand,
                     KIN_MAP_ARGS(.in = in, .in_size = sizeof *in, .out = out, .out_size = sizeof *out,
                                  .count = ITEMS, .chunk = 1, .retries = 3)) != 0)
        wrong("the map failed: %s", kin_error_message());
    for (uint64_t i = 0; i < ITEMS; i++)
        if (out[i] != in[i] + 1)
            wrong("item %lu gives %lu", (unsigned long)i, (unsigned long)out[i]);
}

/* While the owner maps, too. */
static void *resize_when_told(void *arg)
{
    (void)arg;
    for (uint32_t workers;; usleep(100)) {
        workers = atomic_load(&scene->resize_to);
        if (!workers)
            continue;
        if (kin_pool_resize(scene->pool, (int)workers) != 0)
            wrong("could not resize: %s", kin_error_message());
        atomic_store(&scene->resize_to, 0);
    }
    return NULL;
}

static int own_pool(void *arg)
{
    const int *pipes = arg;
    pthread_t resizer;
    struct submitted submitted = {.count = 0};
    double idle_time = scene->plan.how == IDLE ? IDLE_TIME : 0;
    scene->pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = workers_of(&scene->plan), .idle_time = idle_time,
                                                .start_method = KIN_START_FORK, .finalizer = count_final));
    child_assert(scene->pool);
    child_assert(pthread_create(&resizer, NULL, resize_when_told, NULL) == 0);
    for (char order; read(pipes[0], &order, 1) == 1 && order != 'q';) {
        if (order == 'w') /* all are to be there, with nothing to do */
            have_all_meet();
        if (order == 's') /* something is to do */
            submit(&submitted, add_one);
        if (order == 'h')
            for (int i = 0; i < 2; i++)
                submit(&submitted, stand);
        if (order == 'n')
            submit(&submitted, stand_and_submit);
        if (order == 'x')
            cancel(&submitted);
        if (order == 'm')
            map_all();
        if (order == 'c') {
            collect(&submitted);
            if (goes(&scene->plan))
                one_remains();
            submit(&submitted, add_one); /* it serves */
            collect(&submitted);
            if (scene->plan.how == SUBMITS) /* nobody sleeps whom nobody knows to be asleep */
                have_all_meet();
        }
        child_assert((order != 'w' && order != 'c') || write(pipes[1], &order, 1) == 1);
    }
    child_assert(kin_pool_finish(scene->pool, PATIENCE) == 0);
    kin_pool_free(scene->pool);
    _exit(0); /* with the thread that resizes */
}

/* ---- parts of the operation ------------------------------------------------------------------ */

static void tell_owner(char order)
{
    if (write(scene->to_owner, &order, 1) != 1)
        abort();
}

static bool owner_answered(void)
{
    char answer;
    struct pollfd from = {.fd = scene->from_owner, .events = POLLIN};
    return poll(&from, 1, (int)(3 * PATIENCE * 1e3)) == 1 && read(scene->from_owner, &answer, 1) == 1;
}

static void have_workers(void)
{
    tell_owner('w');
    if (!owner_answered())
        wrong("the pool's owner does not answer");
    scene->finals = scene->begun = scene->standing = scene->gate = 0;
    scene->submitted = false;
}

static void arrange(void *arg)
{
    (void)arg;
    scene->hold = 1;
    scene->victim = workers_of(&scene->plan) - 1;
    have_workers();
}

static bool sleeps(int worker)
{
    return atomic_load(&scene->pool->sleepers[0]) >> worker & 1 && step_asleep(scene->pids[worker]);
}

static bool victim_sleeps(void)
{
    return sleeps(scene->victim);
}

/* It in its task or item, the other in another. */
static bool both_stand(void)
{
    return atomic_load(&scene->standing) && atomic_load(&scene->begun);
}

static bool it_stands_and_the_other_sleeps(void)
{
    return atomic_load(&scene->standing) && sleeps(1 - scene->victim);
}

static bool is_to_go(void)
{
    return !atomic_load(&scene->resize_to);
}

static bool seize(struct step_victim *out)
{
    pid_t pid = victim_pid();
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof one, &one); /* 14 us a step, instead of 63 */
    sched_setaffinity(pid, sizeof one, &one);
    return step_seize(out, pid, &scene->over);
}

/* Before it has been without work for so long that it goes. */
static bool start_idle(struct step_victim *out)
{
    for (int i = 0; i < TRIES; i++) {
        if (until(victim_sleeps)) {
            scene->idle_at = now() + 0.9 * IDLE_TIME;
            if (seize(out))
                return true;
        }
        have_workers();
    }
    return false;
}

static bool start_victim(void *arg, struct step_victim *out)
{
    (void)arg;
    if (scene->plan.how == IDLE)
        return start_idle(out);
    static const struct {
        char order;
        bool (*stands)(void);
    } starts[] = {[ASLEEP] = {0, victim_sleeps},
                  [IN_A_TASK] = {'h', both_stand},
                  [IN_A_MAP] = {'m', both_stand},
                  [CANCELED] = {'h', both_stand},
                  [SUBMITS] = {'n', it_stands_and_the_other_sleeps}};
    if (starts[scene->plan.how].order)
        tell_owner(starts[scene->plan.how].order);
    if (!until(starts[scene->plan.how].stands) || !seize(out))
        return false;
    if (goes(&scene->plan))
        atomic_store(&scene->resize_to, 1);
    bool told = until(is_to_go);
    atomic_store(&scene->hold, 0);
    return told;
}

/* One that is not told to go is through when it has nothing to do. */
static bool victim_is_idle(void *arg)
{
    (void)arg;
    const kin_pool *pool = scene->pool;
    return !goes(&scene->plan) && scene->plan.how != IDLE && !atomic_load(&pool->seats[scene->victim].task) &&
           kin__lane_empty(&pool->lanes[KIN__NORMAL]);
}

static size_t watch(void *arg, struct step_area *areas)
{
    (void)arg;
    kin_pool *pool = scene->pool;
    areas[0] = (struct step_area){&pool->job, sizeof(pool->job)};
    areas[1] = (struct step_area){&pool->next, sizeof(pool->next)};
    areas[2] = (struct step_area){(const void *)&pool->stop, 4 * sizeof(uint32_t)};
    areas[3] = (struct step_area){pool->small_status, 64};
    areas[4] = (struct step_area){pool->seats, (size_t)workers_of(&scene->plan) * sizeof(pool->seats[0])};
    areas[5] = (struct step_area){(const void *)&scene->finals, sizeof(scene->finals)};
    areas[6] = (struct step_area){pool->lanes, sizeof pool->lanes};
    areas[7] = (struct step_area){atomic_load(&pool->slabs)->records, 8 * sizeof(kin_result)};
    areas[8] = (struct step_area){(const void *)pool->sleepers, sizeof pool->sleepers + sizeof pool->helpers};
    areas[9] = (struct step_area){(const void *)&pool->nested, 8 * sizeof(uint32_t)};
    return 10;
}

/* Something is to do, and the other worker does what it can; or the task is canceled. One without work is left alone until it goes. */
static void let_others_work(void *arg)
{
    (void)arg;
    bool too_soon = scene->plan.how == IDLE && now() < scene->idle_at;
    if (!scene->submitted && !too_soon) {
        scene->submitted = true;
        atomic_store(&scene->gate, 1);
        tell_owner(scene->plan.how == CANCELED ? 'x' : 's');
    }
    if (scene->plan.how == IDLE)
        return;
    for (double deadline = now() + OTHERS_LIMIT; now() < deadline && !step_asleep(scene->pids[0]);)
        sched_yield();
}

static bool it_has_ended_in_order(void)
{
    return atomic_load(&scene->finals) == 1;
}

static const char *check(void *arg, const struct step_end *end)
{
    (void)arg;
    atomic_store(&scene->gate, 1);
    tell_owner('c');
    if (!owner_answered())
        return "the pool's owner does not come to its end";
    if (goes(&scene->plan) && !end->died && !until(it_has_ended_in_order))
        wrong("the finalizer ran %u times", scene->finals);
    if (goes(&scene->plan) && scene->finals > 1)
        wrong("the finalizer ran %u times, for one worker that went", scene->finals);
    return scene->fault[0] ? scene->fault : NULL;
}

/* ---- workers --------------------------------------------------------------------------------- */

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
                                       .ends = goes(&plan) || plan.how == IDLE,
                                       .over = victim_is_idle,
                                       .arrange = arrange,
                                       .start = start_victim,
                                       .watch = watch,
                                       .others = let_others_work,
                                       .check = check};
    step_must_survive(&operation, test_long() ? 0 : POINTS);
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

static void worker_that_sleeps_leaves_its_seat(void)
{
    survive((struct plan){.name = "woken, leave", .how = ASLEEP});
}

static void worker_leaves_its_seat_after_its_task(void)
{
    survive((struct plan){.name = "finish a task, leave", .how = IN_A_TASK});
}

static void worker_leaves_its_seat_in_the_middle_of_a_map(void)
{
    survive((struct plan){.name = "finish an item, leave", .how = IN_A_MAP});
}

static void worker_without_work_leaves_its_seat(void)
{
    survive((struct plan){.name = "sleep, leave for want of work", .how = IDLE});
}

static void task_is_canceled_at_any_point(void)
{
    survive((struct plan){.name = "finish a task that is canceled", .how = CANCELED});
}

static void worker_that_wakes_another_leaves_nobody_asleep(void)
{
    survive((struct plan){.name = "submit in a task, wake another", .how = SUBMITS});
}

/* ---- a maker that resizes --------------------------------------------------------------------- */

static int resize_from, resize_to;

static void found_family(void)
{
    test_init();
    kin_free(kin_malloc(16)); /* the tracer looks at the heap's tables: it needs its view of them */
    scene = mmap(NULL, sizeof(*scene), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(scene, MAP_FAILED);
    scene->plan.how = ASLEEP;
}

static void settle_in(struct heap_world *world)
{
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 2, .start_method = KIN_START_FORK));
    if (!pool || kin_pool_finish(pool, PATIENCE) != 0)
        heap_wrong(world, "others cannot have a pool");
    kin_pool_free(pool);
}

static void make_pool(void *arg)
{
    struct heap_world *world = arg;
    heap_be_member(world);
    scene->pool = kin_pool_new(
        KIN_POOL_OPTIONS(.workers = resize_from, .workers_max = 2, .start_method = KIN_START_FORK));
    heap_must(scene->pool != NULL);
    uint64_t in = 1, out = 0;
    heap_must(kin_pool_apply(
                  scene->pool, add_one,
                  KIN_APPLY_ARGS(.in = &in, .in_size = sizeof in, .out = &out, .out_size = sizeof out)) == 0);
    world->object = scene->pool;
    world->object_size = sizeof(kin_pool) + 2 * sizeof(struct kin__seat);
}

static void run_resize(void *arg)
{
    (void)arg;
    heap_must(kin_pool_resize(scene->pool, resize_to) == 0);
}

/* It has as many as it is to have, and they serve. */
static void use_pool_after(void *arg)
{
    heap_must(kin_pool_workers(scene->pool) == resize_to);
    heap_must(resize_to != 1 || (one_remains(), !scene->fault[0]));
    have_all_meet();
    if (scene->fault[0]) {
        fprintf(stderr, "%s\n", scene->fault);
        _exit(5);
    }
    heap_must(kin_pool_finish(scene->pool, PATIENCE) == 0);
    kin_pool_free(scene->pool);
    heap_after(arg);
}

static void resize(const char *name, int from, int to)
{
    resize_from = from;
    resize_to = to;
    heap_survive((struct heap_plan){.name = name,
                                    .size = 48,
                                    .found = found_family,
                                    .settle_in = settle_in,
                                    .prepare = make_pool,
                                    .run = run_resize,
                                    .after = use_pool_after,
                                    .others_dead = 3,
                                    .points = POINTS});
}

static void maker_gives_its_pool_more_workers(void)
{
    resize("resize from 1 to 2", 1, 2);
}

static void maker_gives_its_pool_fewer_workers(void)
{
    resize("resize from 2 to 1", 2, 1);
}

static const struct test tests[] = {
    {"worker_that_sleeps_leaves_its_seat", worker_that_sleeps_leaves_its_seat, 240, 0},
    {"worker_leaves_its_seat_after_its_task", worker_leaves_its_seat_after_its_task, 240, 0},
    {"worker_leaves_its_seat_in_the_middle_of_a_map", worker_leaves_its_seat_in_the_middle_of_a_map, 240, 0},
    {"worker_without_work_leaves_its_seat", worker_without_work_leaves_its_seat, 600, 0},
    {"task_is_canceled_at_any_point", task_is_canceled_at_any_point, 240, 0},
    {"worker_that_wakes_another_leaves_nobody_asleep", worker_that_wakes_another_leaves_nobody_asleep, 240,
     0},
    {"maker_gives_its_pool_more_workers", maker_gives_its_pool_more_workers, 240, 0},
    {"maker_gives_its_pool_fewer_workers", maker_gives_its_pool_fewer_workers, 240, 0},
};
TEST_MAIN("crash_leave", tests)
