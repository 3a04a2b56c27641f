/*
 * pool/worker.c - the loop of a worker: wait for the doorbell, claim and run, answer.
 *
 * Chunks adapt to the tasks: about CHUNK_NS of work each, so that a claim (a contended atomic add, some 20 to
 * 100 ns) costs next to nothing, and no worker sits on work others could do: a chunk at most doubles, and
 * near the end takes only a part of what is left (guided self-scheduling, Polychronopoulos and Kuck 1987).
 */
#include "pool/worker.h"
#include "pool/placement.h"

#include "base/failure.h"
#include "base/log.h"
#include "family/sealed.h"
#include "os/os.h"
#include "pool/hand.h"
#include "pool/local.h"
#include "pool/memory_limit.h"
#include "process/child.h"
#include "process/printed.h"
#include "process/process_shared.h"

#include <limits.h>
#include <unistd.h>

#define CHUNK_NS 50000.0
#define SPIN_NS 20000 /* less than the 25 us that waking a sleeper costs on most clouds */

/* Something to do: another round than `seen`, or a record. When it is time to quit the doorbell is rung too. */
static bool is_called(struct kin__hand *hand, uint32_t seen)
{
    return atomic_load(&hand->seat->doorbell) != seen || atomic_load(&hand->seat->retire) ||
           kin__hand_has_work(hand);
}

static bool spin(struct kin__hand *hand, uint32_t seen)
{
    uint64_t spin_until = kin__os_now_ns() + SPIN_NS;
    for (unsigned i = 1;; i++) {
        if (is_called(hand, seen))
            return true;
        kin__os_pause();
        if (i % 64 == 0 && kin__os_now_ns() >= spin_until)
            return false;
    }
}

/*
 * Sleep until there is something to do. Sequentially consistent with who rings: it writes the doorbell, or a
 * lane's tail, and then reads `asleep` or `sleepers`; one of the two sees the other's. What it sleeps on is
 * changed by nobody else. False: it has had nothing to do for so long that it is to end, and nobody counts on it.
 */
static bool wait_for_call(struct kin__hand *hand, uint32_t seen)
{
    struct kin__seat *seat = hand->seat;
    _Atomic uint64_t *sleepers = &hand->pool->sleepers[hand->number / 64];
    uint64_t bit = (uint64_t)1 << hand->number % 64;
    bool called = true;
    if (spin(hand, seen))
        return true;
    double until = hand->pool->idle_ns ? kin__os_deadline((double)hand->pool->idle_ns * 1e-9) : KIN_FOREVER;
    atomic_store(&seat->asleep, 1);
    for (;;) {
        uint32_t bell = atomic_load(&seat->bell);
        atomic_fetch_or(sleepers, bit);
        if (is_called(hand, seen))
            break;
        double left = kin__os_left(until);
        /* Who takes the bit away counts on this worker; after that, who finds no sleeper calls the warden, or a map finds its
         * seat empty. */
        if (left <= 0 && atomic_fetch_and(sleepers, ~bit) & bit) {
            called = is_called(hand, seen);
            break;
        }
        double most = kin__pool_look_again;
        kin__os_futex_wait(&seat->bell, bell, left > 0 && left < most ? left : most);
        if (kin__child_is_orphan())
            _exit(KIN__ORPHAN_EXIT); /* a task had blocked the signal that tells it */
    }
    atomic_fetch_and(sleepers, ~bit);
    atomic_store_explicit(&seat->asleep, 0, memory_order_relaxed);
    return called;
}

/* How many more tasks it is to do. */
static uint64_t tasks_left(const struct kin__hand *hand)
{
    uint64_t most = hand->pool->tasks_per_worker;
    if (hand->is_full || atomic_load_explicit(&hand->seat->retire, memory_order_relaxed))
        return 0;
    return !most ? UINT64_MAX : hand->tasks < most ? most - hand->tasks : 0;
}

/* After some tasks: a leak that has grown too large ends with its worker. */
static void weigh(struct kin__hand *hand)
{
    uint64_t ceiling = hand->pool->memory_ceiling;
    hand->is_full = ceiling && kin__os_private_data() > hand->seat->data_ready + ceiling;
}

static size_t next_chunk(const struct kin__hand *hand, size_t claimed)
{
    const struct kin__job *job = &hand->pool->job;
    if (job->chunk)
        return job->chunk;
    size_t left = claimed < job->total ? job->total - claimed : 0;
    size_t share = left / (2 * (size_t)hand->pool->chosen) + 1;
    size_t chunk = (size_t)hand->chunk;
    return chunk < share ? chunk : share;
}

static void adapt(struct kin__hand *hand, size_t items, uint64_t ns)
{
    double suits = CHUNK_NS / (((double)ns + 1) / (double)items);
    double most = hand->chunk * 2;
    hand->chunk = suits < 1 ? 1 : suits < most ? suits : most;
}

static void work(struct kin__hand *hand, struct kin_task *task, void (*function)(void))
{
    kin_pool *pool = hand->pool;
    struct kin__job *job = &pool->job;
    size_t claimed = 0;
    uint64_t before = kin__os_now_ns();
    hand->chunk = 1;
    while (tasks_left(hand)) {
        if (!job->memory_limit && kin__hand_work_above(hand, job->priority)) {
            weigh(hand);
            before = kin__os_now_ns();
            continue;
        }
        size_t chunk = next_chunk(hand, claimed);
        if (chunk > tasks_left(hand))
            chunk = tasks_left(hand);
        /* Relaxed: the job was published by the doorbell; only the number must be unique. */
        size_t from = atomic_fetch_add_explicit(&pool->next, chunk, memory_order_relaxed);
        if (from >= job->total)
            return;
        size_t to = job->total - from < chunk ? job->total : from + chunk;
        for (size_t at = from; at < to; at++) {
            if (atomic_load_explicit(&pool->stop, memory_order_relaxed))
                return;
            hand->tasks++;
            bool done = kin__task_run(task, function, job->list ? job->list[at] : at);
            if (!done && job->stop_on_failure)
                atomic_store_explicit(&pool->stop, 1, memory_order_relaxed);
        }
        claimed = to;
        weigh(hand);
        uint64_t now = kin__os_now_ns();
        adapt(hand, to - from, now - before);
        /* Maps and records of the same priority take turns. Under a limit of memory, which is the map's, records wait. */
        if (!job->memory_limit && kin__hand_has_work(hand) && kin__hand_work(hand, job->priority))
            now = kin__os_now_ns();
        before = now;
    }
}

/* Wake the supervisor if it sleeps and nobody else still works: each worker answers before it looks at the
 * others, so the last one sees that it is the last. Who has not taken the round up is not waited for: the supervisor
 * withdraws it. */
static void answer(struct kin__hand *hand, uint32_t round)
{
    kin_pool *pool = hand->pool;
    /* From here on the maker may do with them as it likes. */
    kin__windows_close(hand->seat->results);
    kin__windows_close(hand->seat->notes);
    atomic_store(&hand->seat->answered, round);
    for (int i = 0; i < pool->chosen; i++)
        if (atomic_load(&pool->seats[i].taken) == round && atomic_load(&pool->seats[i].answered) != round)
            return;
    atomic_fetch_add(&pool->event, 1);
    if (atomic_load(&pool->waiting))
        kin__os_futex_wake(&pool->event, INT_MAX);
}

/* Tell the supervisor, which fails the map with this story. */
static void cannot_work(struct kin__seat *seat, int error)
{
    kin_error_get(&seat->init_error);
    if (seat->init_error.code == 0)
        kin__error_fill(&seat->init_error, KIN_EFAILED, "the initializer returned %d", error);
    atomic_store_explicit(&seat->ready, KIN__CANNOT_WORK, memory_order_release);
}

static void do_round(struct kin__hand *hand)
{
    struct kin__job *job = &hand->pool->job;
    void (*function)(void);
    struct kin_task task = {.job = job,
                            .seat = hand->seat,
                            .pool = hand->pool,
                            .state = hand->state,
                            .worker = hand->number,
                            .captured = hand->captured,
                            .maker = hand->pool->maker};
    if (kin__function_resolve(&job->function, &function) != 0 || !kin__task_prepare(&task)) {
        cannot_work(hand->seat, 0);
        return;
    }
    hand->task = &task;
    kin__memory_limit_begin(hand->seat, job->memory_limit);
    work(hand, &task, function);
    kin__memory_limit_end(job->memory_limit);
    if (hand->pool->kind == KIN_POOL_PROCESSES)
        kin__os_flush_output(); /* who waits for the map may print next; and a pool that is freed kills its workers */
    hand->task = NULL;
    kin__task_end(&task);
}

static int initialize(struct kin__hand *hand, kin_initializer_fn initializer)
{
    if (initializer) {
        kin_error_clear();
        int error = initializer(&hand->state, hand->pool->init_arg);
        if (error) {
            cannot_work(hand->seat, error);
            return error;
        }
    }
    if (hand->pool->kind == KIN_POOL_PROCESSES)
        hand->seat->data_ready = kin__os_private_data();
    atomic_store_explicit(&hand->seat->ready, KIN__READY, memory_order_release);
    return 0;
}

static bool round_is_over(const struct kin__hand *hand)
{
    const kin_pool *pool = hand->pool;
    return atomic_load(&pool->next) >= pool->job.total || atomic_load(&pool->stop);
}

static void loop(struct kin__hand *hand)
{
    uint32_t seen = atomic_load(&hand->seat->answered);
    while (tasks_left(hand)) {
        if (!wait_for_call(hand, seen)) {
            atomic_store(&hand->seat->idled, 1);
            return;
        }
        uint32_t round = atomic_load_explicit(&hand->seat->doorbell, memory_order_acquire);
        if (atomic_load(&hand->seat->quit) || atomic_load(&hand->seat->retire))
            return;
        if (round != seen) {
            if (kin__seat_take(hand->seat, round)) {
                do_round(hand);
                if (!tasks_left(hand) && !round_is_over(hand))
                    return; /* whoever takes its place goes on */
                answer(hand, round);
            }
            seen = round;
        } else {
            if (kin__hand_work(hand, KIN__LOW))
                weigh(hand);
        }
    }
}

/* Its process's, if what it prints is captured. */
static const kin_process *captured(const kin_pool *pool)
{
    const kin_process *process = pool->kind == KIN_POOL_PROCESSES ? kin__self()->process : NULL;
    return process && process->printed && process->printed->mode == KIN_OUTPUT_CAPTURE ? process : NULL;
}

int kin__worker_run(kin_pool *pool, int worker, kin_initializer_fn initializer, kin_finalizer_fn finalizer)
{
    struct kin__hand hand = {.pool = kin__own(pool),
                             .chunk = 1,
                             .number = worker,
                             .pid = (int)getpid(),
                             .captured = captured(pool)};
    hand.seat = &hand.pool->seats[worker];
    int error = kin__place_myself(hand.pool, worker);
    if (error) {
        cannot_work(hand.seat, error);
        return 1;
    }
    if (initialize(&hand, initializer) != 0)
        return 1;
    kin__desk_open_seat(&hand.desk, pool, worker);
    kin__hand_mine = &hand;
    loop(&hand);
    kin__hand_mine = NULL;
    atomic_store_explicit(&hand.seat->ready, KIN__FINALIZING, memory_order_release);
    if (finalizer)
        finalizer(hand.state);
    return 0;
}

static int find(const struct kin__function *function, void (**out)(void))
{
    *out = NULL;
    return function->module ? kin__function_resolve(function, out) : 0;
}

int kin__worker_main(void *arg)
{
    const struct kin__worker_arg *given = arg;
    const kin_pool *pool = given->pool;
    void (*initializer)(void), (*finalizer)(void);
    kin__pool_setup();         /* by spawn, nothing has been set up yet */
    kin__os_be_killed_first(); /* a worker is replaced; its caller is not */
    kin_error_clear();
    int error = find(&pool->initializer, &initializer);
    if (!error)
        error = find(&pool->finalizer, &finalizer);
    if (error) {
        cannot_work(&((kin_pool *)kin__own(given->pool))->seats[given->worker], error);
        return 1;
    }
    return kin__worker_run(given->pool, given->worker, (kin_initializer_fn)initializer,
                           (kin_finalizer_fn)finalizer);
}
