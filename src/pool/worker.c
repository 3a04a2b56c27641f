/*
 * pool/worker.c - the loop of a worker: wait for the doorbell, claim and run, answer.
 *
 * Chunks adapt to the tasks: about CHUNK_NS of work each, so that a claim (a contended atomic add, some 20 to
 * 100 ns) costs next to nothing, and no worker sits on work others could do: a chunk at most doubles, and
 * near the end takes only a part of what is left (guided self-scheduling, Polychronopoulos and Kuck 1987).
 */
#include "pool/worker.h"

#include "base/failure.h"
#include "base/log.h"
#include "family/sealed.h"
#include "os/os.h"
#include "pool/memory_limit.h"
#include "pool/task.h"
#include "process/child.h"
#include "process/printed.h"
#include "process/process_shared.h"

#include <limits.h>
#include <unistd.h>

#define CHUNK_NS 50000.0
#define ORPHAN_PERIOD 1.0 /* seconds */

#define SPIN_NS 20000 /* less than the 25 us that waking a sleeper costs on most clouds */

struct worker {
    kin_pool *pool;
    struct kin__seat *seat;
    struct kin_task task;
    double chunk; /* what the last job's tasks suggest; starts at 1 with each job */
};

/* Sleep until the doorbell tells another round than `seen`; when it is time to quit it is rung too. */
static uint32_t wait_for_doorbell(struct kin__seat *seat, uint32_t seen)
{
    uint64_t spin_until = kin__os_now_ns() + SPIN_NS;
    for (unsigned i = 1;; i++) {
        uint32_t round = atomic_load_explicit(&seat->doorbell, memory_order_acquire);
        if (round != seen)
            return round;
        kin__os_pause();
        if (i % 64 == 0 && kin__os_now_ns() >= spin_until)
            break;
    }
    uint32_t round;
    /* Sequentially consistent with the supervisor's: it writes the doorbell, then reads `asleep`; one of the two
     * sees the other's. */
    atomic_store(&seat->asleep, 1);
    while ((round = atomic_load(&seat->doorbell)) == seen) {
        kin__os_futex_wait(&seat->doorbell, seen, ORPHAN_PERIOD);
        if (kin__child_is_orphan())
            _exit(KIN__ORPHAN_EXIT); /* a task had blocked the signal that tells it */
    }
    atomic_store_explicit(&seat->asleep, 0, memory_order_relaxed);
    return round;
}

static size_t next_chunk(const struct worker *worker, size_t claimed)
{
    const struct kin__job *job = &worker->pool->job;
    if (job->chunk)
        return job->chunk;
    size_t left = claimed < job->total ? job->total - claimed : 0;
    size_t share = left / (2 * (size_t)job->chosen) + 1;
    size_t chunk = (size_t)worker->chunk;
    return chunk < share ? chunk : share;
}

static void adapt(struct worker *worker, size_t items, uint64_t ns)
{
    double suits = CHUNK_NS / (((double)ns + 1) / (double)items);
    double most = worker->chunk * 2;
    worker->chunk = suits < 1 ? 1 : suits < most ? suits : most;
}

static void work(struct worker *worker, void (*function)(void))
{
    kin_pool *pool = worker->pool;
    struct kin__job *job = &pool->job;
    size_t claimed = 0;
    uint64_t before = kin__os_now_ns();
    worker->chunk = 1;
    for (;;) {
        size_t chunk = next_chunk(worker, claimed);
        /* Relaxed: the job was published by the doorbell; only the number must be unique. */
        size_t from = atomic_fetch_add_explicit(&pool->next, chunk, memory_order_relaxed);
        if (from >= job->total)
            return;
        size_t to = job->total - from < chunk ? job->total : from + chunk;
        for (size_t at = from; at < to; at++) {
            if (atomic_load_explicit(&pool->stop, memory_order_relaxed))
                return;
            bool done = kin__task_run(&worker->task, function, job->list ? job->list[at] : at);
            if (!done && job->stop_on_failure)
                atomic_store_explicit(&pool->stop, 1, memory_order_relaxed);
        }
        claimed = to;
        uint64_t now = kin__os_now_ns();
        adapt(worker, to - from, now - before);
        before = now;
    }
}

/* Wake the supervisor if it sleeps and nobody else still works: each worker answers before it looks at the
 * others, so the last one sees that it is the last. */
static void answer(struct worker *worker, uint32_t round)
{
    kin_pool *pool = worker->pool;
    /* From here on the maker may do with them as it likes. */
    kin__windows_close(worker->seat->results);
    kin__windows_close(worker->seat->notes);
    atomic_store(&worker->seat->answered, round);
    for (int i = 0; i < pool->job.chosen; i++)
        if (atomic_load(&pool->seats[i].doorbell) == round && atomic_load(&pool->seats[i].answered) != round)
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

static void do_round(struct worker *worker)
{
    struct kin__job *job = &worker->pool->job;
    void (*function)(void);
    worker->task.job = job;
    if (kin__function_resolve(&job->function, &function) != 0) {
        cannot_work(worker->seat, 0);
        return;
    }
    if (!kin__task_prepare(&worker->task)) {
        cannot_work(worker->seat, 0);
        return;
    }
    kin__memory_limit_begin(worker->seat, job->memory_limit);
    work(worker, function);
    kin__memory_limit_end(job->memory_limit);
    kin__os_flush_output(); /* who waits for the map may print next; and a pool that is freed kills its workers */
}

static int initialize(struct worker *worker)
{
    kin_pool *pool = worker->pool;
    void (*function)(void);
    int error = 0;
    if (pool->initializer.module) {
        kin_error_clear();
        error = kin__function_resolve(&pool->initializer, &function);
        if (!error)
            error = ((kin_initializer_fn)function)(&worker->task.state, pool->init_arg);
    }
    if (error) {
        cannot_work(worker->seat, error);
        return error;
    }
    worker->seat->data_ready = kin__os_private_data();
    atomic_store_explicit(&worker->seat->ready, KIN__READY, memory_order_release);
    return 0;
}

static void finalize(struct worker *worker)
{
    void (*function)(void);
    if (worker->pool->finalizer.module && kin__function_resolve(&worker->pool->finalizer, &function) == 0)
        ((kin_finalizer_fn)function)(worker->task.state);
}

int kin__worker_main(void *arg)
{
    const struct kin__worker_arg *given = arg;
    struct worker worker = {.pool = kin__own(given->pool), .chunk = 1};
    worker.seat = &worker.pool->seats[given->worker];
    worker.task.seat = worker.seat;
    worker.task.worker = given->worker;
    worker.task.maker = worker.pool->maker;
    const kin_process *process = kin__self()->process;
    if (process->printed && process->printed->mode == KIN_OUTPUT_CAPTURE)
        worker.task.captured = process;
    kin__os_be_killed_first(); /* a worker is replaced; its caller is not */
    if (initialize(&worker) != 0)
        return 1;
    uint32_t seen = atomic_load(&worker.seat->answered);
    for (;;) {
        uint32_t round = wait_for_doorbell(worker.seat, seen);
        if (atomic_load(&worker.seat->quit))
            break;
        do_round(&worker);
        answer(&worker, round);
        seen = round;
    }
    atomic_store_explicit(&worker.seat->ready, KIN__FINALIZING, memory_order_release);
    finalize(&worker);
    return 0;
}
