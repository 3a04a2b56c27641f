/*
 * pool/hand.c - claiming records and running them, in a worker.
 *
 * A record is run on top of what the worker runs already, if that waits. So the references that seat.task and the
 * records' `outer` hold are a chain from the innermost to the outermost.
 */
#include "pool/hand.h"

#include "base/failure.h"
#include "family/sealed.h"
#include "os/os.h"
#include "pool/local.h"
#include "pool/memory_limit.h"
#include "pool/timing.h"
#include "pool/waits.h"
#include "process/child.h"
#include "process/printed.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#define DOOMED_PERIOD 0.1 /* seconds */
#define DEPTH_TO_HELP \
    16 /* with so many tasks on the stack a wait takes up no others than what it waits for */

_Thread_local struct kin__hand *kin__hand_mine;

static bool wake_of(kin_pool *pool, _Atomic uint64_t *set)
{
    for (int word = 0; word * 64 < pool->workers; word++) {
        uint64_t sleepers;
        while ((sleepers = atomic_load(&set[word])) != 0) { /* partner: see kin__lane_push */
            uint64_t bit = sleepers & -sleepers;
            if (!(atomic_fetch_and(&set[word], ~bit) & bit))
                continue;
            struct kin__seat *seat = &pool->seats[word * 64 + __builtin_ctzll(bit)];
            atomic_fetch_add(&seat->bell, 1);
            kin__os_futex_wake(&seat->bell, INT_MAX);
            return true;
        }
    }
    return false;
}

void kin__wake_one(kin_pool *pool, bool nested)
{
    pool = kin__own(pool);
    if (!wake_of(pool, pool->sleepers) && nested)
        wake_of(pool, pool->helpers);
}

static bool own_lanes_have(const struct kin__hand *hand)
{
    const kin_pool *pool = hand->pool;
    for (int i = 0; i < KIN__PRIORITIES; i++)
        if (!kin__lane_empty(&pool->lanes[i]))
            return true;
    return !kin__lane_empty(&hand->seat->lane);
}

bool kin__hand_has_work(struct kin__hand *hand)
{
    return own_lanes_have(hand) || atomic_load(&hand->pool->nested) != hand->nested_seen;
}

/* ---- one record ------------------------------------------------------------------------------ */

void kin__await_death(void)
{
    static const _Atomic uint32_t never;
    for (;;) {
        kin__os_futex_wait(&never, 0, DOOMED_PERIOD);
        if (kin__child_is_orphan())
            _exit(KIN__ORPHAN_EXIT);
    }
}

/* The record is over, one way or other: what the seat runs is what it ran before. */
static void leave(struct kin__hand *hand, uint64_t ref, uint64_t outer, bool unwatched)
{
    if (unwatched && !outer) {
        atomic_store_explicit(&hand->seat->task, 0, memory_order_release);
        return;
    }
    if (!atomic_compare_exchange_strong(&hand->seat->task, &ref, outer) && (ref & KIN__DOOMED))
        kin__await_death();
}

/* What it takes beyond the time, for who asks for it, or limits it. What memory a thread has cannot be told. */
static void measure_begin(const struct kin__hand *hand, kin_result *record)
{
    record->cpu_began = 0;
    if (record->measure && hand->pool->kind == KIN_POOL_THREADS) {
        record->cpu_began = kin__os_thread_cpu_time_ns();
        return;
    }
    if (record->measure)
        record->peak = kin__os_resident_reset();
    if (record->measure || record->cpu_limit > 0)
        record->cpu_began = kin__os_cpu_time_ns(0);
}

static void measure_end(const struct kin__hand *hand, kin_result *record)
{
    if (!record->measure)
        return;
    if (hand->pool->kind == KIN_POOL_THREADS) {
        record->cpu = kin__os_thread_cpu_time_ns() - record->cpu_began;
        return;
    }
    size_t peak = kin__os_resident_peak();
    record->cpu = kin__os_cpu_time_ns(0) - record->cpu_began;
    record->peak = peak > record->peak ? peak - record->peak : 0;
}

/* It is RUNNING here. */
static void run(struct kin__hand *hand, kin_result *common, uint64_t running, uint64_t outer)
{
    kin_result *record = kin__own(common);
    struct kin_task task = {.record = common,
                            .ref = kin__ref(common, running),
                            .seat = hand->seat,
                            .state = hand->state,
                            .worker = hand->number,
                            .attempt = record->attempts,
                            .before = hand->task,
                            .captured = hand->captured,
                            .maker = hand->pool->maker};
    uint64_t printed_before = hand->seat->printed;
    hand->task = &task;
    hand->tasks++;
    hand->depth++;
    record->pid = hand->pid;
    record->worker = hand->number;
    measure_begin(hand, record);
    if (hand->depth == 1)
        kin__memory_limit_begin(hand->seat, record->memory_limit);
    uint64_t began = kin__os_now_ns();
    atomic_store_explicit(&record->began, began, memory_order_release);
    uint32_t work = kin__record_call(&task);
    record->wall = kin__os_now_ns() - began;
    if (hand->depth == 1)
        kin__memory_limit_end(record->memory_limit);
    measure_end(hand, record);
    kin__windows_close(record->memory);
    if (hand->pool->kind == KIN_POOL_PROCESSES)
        kin__os_flush_output(); /* who waits for it may print next */
    hand->seat->printed = printed_before;
    hand->depth--;
    hand->task = task.before;
    bool limited = record->limited;
    struct kin__batch *batch = kin__record_counts(record);
    bool mine = kin__record_step(record, running, work);
    if (mine && work == KIN__WORK_DELAYED) {
        atomic_store(&hand->pool->delayed, 1);
        kin__call_warden(hand->pool);
    } else if (mine) {
        kin__record_tell(record, batch);
    }
    leave(hand, task.ref, outer, mine && !limited);
}

static bool claim_and_run(struct kin__hand *hand, kin_result *common, uint64_t state)
{
    kin_result *record = kin__own(common);
    uint64_t outer = hand->task ? hand->task->ref : 0, before = outer;
    uint64_t running = kin__work_running(state, (uint32_t)hand->number);
    uint64_t ref = kin__ref(common, state);
    /* Before the claim: who buries this worker looks at what it may have claimed. A doomed one goes no further; one
     * that runs nothing is not doomed. */
    if (!outer)
        atomic_store_explicit(&hand->seat->task, ref, memory_order_relaxed);
    else if (!atomic_compare_exchange_strong(&hand->seat->task, &before, ref))
        kin__await_death();
    if (!atomic_compare_exchange_strong(&record->state, &state, running)) {
        leave(hand, ref, outer, false);
        return false;
    }
    atomic_store_explicit(&record->outer, outer, memory_order_relaxed);
    run(hand, common, running, outer);
    return true;
}

static bool follow(struct kin__hand *hand, uint64_t hint)
{
    kin_result *record = kin__ref_record(hint);
    uint64_t state = kin__record_state(record);
    return KIN__WORK(state) == KIN__WORK_QUEUED && kin__ref_is_of(hint, state) &&
           claim_and_run(hand, record, state);
}

/* ---- which ----------------------------------------------------------------------------------- */

static bool work_in(struct kin__hand *hand, struct kin__lane *lane)
{
    uint64_t hint;
    while ((hint = kin__lane_pop(lane)) != 0)
        if (follow(hand, hint))
            return true;
    return false;
}

/* What the tasks of others have submitted. */
static bool work_for_others(struct kin__hand *hand)
{
    kin_pool *pool = hand->pool;
    uint32_t nested = atomic_load(&pool->nested);
    if (nested == hand->nested_seen)
        return false;
    for (int i = 1; i < pool->workers; i++)
        if (work_in(hand, &pool->seats[(hand->number + i) % pool->workers].lane))
            return true;
    hand->nested_seen = nested;
    return false;
}

static bool work_in_lanes(struct kin__hand *hand, int from, int to)
{
    for (int i = from; i <= to; i++)
        if (work_in(hand, &hand->pool->lanes[i]))
            return true;
    return false;
}

bool kin__hand_work(struct kin__hand *hand, int least)
{
    if (least >= KIN__HIGH && work_in(hand, &hand->pool->lanes[KIN__HIGH]))
        return true;
    return work_in(hand, &hand->seat->lane) || work_for_others(hand) ||
           work_in_lanes(hand, KIN__HIGH + 1, least);
}

bool kin__hand_work_above(struct kin__hand *hand, int priority)
{
    return work_in_lanes(hand, KIN__HIGH, priority - 1);
}

bool kin__hand_run(struct kin__hand *hand, kin_result *record)
{
    uint64_t state = kin__record_state(record);
    return KIN__WORK(state) == KIN__WORK_QUEUED && claim_and_run(hand, record, state);
}

/* ---- waiting --------------------------------------------------------------------------------- */

static bool help(struct kin__hand *hand, kin_result *record)
{
    const struct kin__batch *batch = record->batch;
    for (size_t i = 0; batch && batch->whole == record && i < batch->pieces_count; i++)
        if (kin__hand_run(hand, batch->pieces[i]))
            return true;
    return kin__hand_run(hand, record) || (hand->depth < DEPTH_TO_HELP && kin__hand_work(hand, KIN__NESTED));
}

/* Like wait_for_call in worker.c, but for an end, or for what tasks submit. */
static void sleep_till_called(struct kin__hand *hand, kin_result *record, double seconds, uint64_t since)
{
    struct kin__thread *waits = kin__pool_waits(hand->pool, (const _Atomic uint32_t *)&record->state, since);
    struct kin__seat *seat = hand->seat;
    _Atomic uint64_t *helpers = &hand->pool->helpers[hand->number / 64];
    uint64_t bit = (uint64_t)1 << hand->number % 64;
    atomic_store(&seat->asleep, 1);
    uint32_t bell = atomic_load(&seat->bell);
    atomic_store(&record->sleeper, (uint32_t)hand->number + 1);
    if (hand->depth < DEPTH_TO_HELP)
        atomic_fetch_or(helpers, bit);
    uint32_t work = KIN__WORK(atomic_load(&record->state)); /* after `sleeper`: partner in kin__record_tell */
    if (work < KIN__WORK_DONE && work != KIN__WORK_QUEUED &&
        atomic_load(&hand->pool->nested) == hand->nested_seen)
        kin__os_futex_wait(&seat->bell, bell, seconds);
    atomic_fetch_and(helpers, ~bit);
    atomic_store_explicit(&seat->asleep, 0, memory_order_relaxed);
    kin__pool_waits_end(waits);
}

int kin__hand_await(struct kin__hand *hand, kin_result *common, double deadline)
{
    kin_result *record = kin__own(common);
    uint64_t since = kin__os_now_ns();
    while (!kin__work_finished(atomic_load(&record->state))) {
        double left = kin__os_left(deadline);
        if (left <= 0)
            return KIN_ETIMEDOUT;
        if (help(hand, common))
            continue;
        if (hand->depth >= DEPTH_TO_HELP)
            hand->nested_seen = atomic_load(&hand->pool->nested);
        sleep_till_called(hand, record, left < KIN__POOL_LOOK_OFTEN ? left : KIN__POOL_LOOK_OFTEN, since);
        if (kin__child_is_orphan())
            _exit(KIN__ORPHAN_EXIT);
    }
    return 0;
}
