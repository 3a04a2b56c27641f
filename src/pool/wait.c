/* pool/wait.c - waiting for several results. */
#include "message/wait.h"
#include "base/failure.h"
#include "family/sealed.h"
#include "os/os.h"
#include "pool/hand.h"
#include "pool/local.h"
#include "pool/waits.h"

#define MIXED_PERIOD 0.001 /* where results are of several pools, which wake by several words */

struct wait {
    kin_result *const *results;
    size_t count;
    int how;
    size_t first;   /* all before it are finished, and none is what is waited for */
    kin_pool *pool; /* the first one's */
    bool mixed;
};

static int check(struct wait *wait)
{
    size_t given = 0;
    if (wait->count && !wait->results)
        return kin__fail(KIN_EINVAL, "cannot wait for %zu results: the array is NULL", wait->count);
    if (wait->how != KIN_WAIT_ALL && wait->how != KIN_WAIT_FIRST && wait->how != KIN_WAIT_FIRST_FAILURE)
        return kin__fail(KIN_EINVAL, "cannot wait for results: %d is not one of enum kin_wait_for",
                         wait->how);
    for (size_t i = 0; i < wait->count; i++) {
        const kin_result *result = wait->results[i];
        if (!result)
            continue;
        if (kin__object_check(result, KIN__RESULT_MAGIC, "wait for results") != 0)
            return KIN_EINVAL;
        if (!given++)
            wait->pool = kin__own(result->pool);
        wait->mixed |= kin__own(result->pool) != wait->pool;
    }
    if (!given && wait->how == KIN_WAIT_FIRST)
        return kin__fail(KIN_ENOTFOUND, "cannot wait for the first of no results");
    return 0;
}

/* Whether the wait is over; for which. */
static bool is_over(struct wait *wait, size_t *which)
{
    bool all = true;
    for (size_t i = wait->first; i < wait->count; i++) {
        if (!wait->results[i])
            continue;
        uint64_t state = atomic_load(&wait->results[i]->state);
        bool finished = kin__work_finished(state);
        if (finished && (wait->how == KIN_WAIT_FIRST ||
                         (wait->how == KIN_WAIT_FIRST_FAILURE && KIN__WORK(state) != KIN__WORK_DONE))) {
            *which = i;
            return true;
        }
        if (!finished && all) {
            wait->first = i;
            all = false;
            if (wait->how == KIN_WAIT_ALL)
                return false;
        }
    }
    *which = wait->count;
    return all;
}

static void want(const struct wait *wait)
{
    for (size_t i = wait->first; i < wait->count; i++)
        if (wait->results[i])
            atomic_fetch_or(&((kin_result *)kin__own(wait->results[i]))->wants, KIN__WANTS_CHIME);
}

static int sleep_for(struct wait *wait, double deadline, size_t *which)
{
    double most = wait->mixed ? MIXED_PERIOD : KIN__POOL_LOOK_OFTEN;
    want(wait); /* before the states: partner in kin__record_tell */
    for (;;) {
        uint32_t seen = wait->pool ? atomic_load(&wait->pool->chime) : 0;
        if (is_over(wait, which))
            return 0;
        double left = kin__os_left(deadline);
        if (left <= 0)
            return KIN_ETIMEDOUT;
        kin__os_futex_wait(&wait->pool->chime, seen, left < most ? left : most);
        int error = kin__pool_check_maker(wait->pool);
        if (error)
            return error;
    }
}

/* In a task: run those that wait, one by one. */
static int work_for(struct wait *wait, struct kin__hand *hand, double deadline, size_t *which)
{
    while (!is_over(wait, which)) {
        bool worked = false;
        for (size_t i = wait->first; i < wait->count && !worked; i++)
            worked = wait->results[i] && kin__hand_run(hand, wait->results[i]);
        double left = kin__os_left(deadline);
        if (!worked && left <= 0)
            return KIN_ETIMEDOUT;
        for (size_t i = wait->first; i < wait->count && !worked; i++)
            if (wait->results[i] && !kin__work_finished(kin__record_state(wait->results[i]))) {
                /* For a short time, as it may be another one that is finished first. */
                double soon = kin__os_deadline(left < MIXED_PERIOD ? left : MIXED_PERIOD);
                kin__hand_await(hand, wait->results[i], wait->how == KIN_WAIT_ALL ? deadline : soon);
                worked = true;
            }
    }
    return 0;
}

/* Time is up; unless the last has finished just now. */
static int tell_in_vain(struct wait *wait, size_t *which)
{
    size_t given = 0, missing = 0;
    for (size_t i = 0; i < wait->count; i++) {
        given += wait->results[i] != NULL;
        missing += wait->results[i] && !kin__work_finished(kin__record_state(wait->results[i]));
    }
    if (!missing && is_over(wait, which))
        return 0;
    return kin__fail(KIN_ETIMEDOUT, "%zu of %zu tasks have not finished in time", missing, given);
}

int kin_results_wait(kin_result *const *results, size_t count, int wait_for, double timeout, size_t *which)
{
    struct wait wait = {.results = results, .count = count, .how = wait_for};
    size_t unasked;
    int error = check(&wait);
    if (error)
        return error;
    if (!kin__os_timeout_ok(timeout))
        return kin__fail(KIN_EINVAL, "cannot wait for %g seconds", timeout);
    if (!which)
        which = &unasked;
    if (is_over(&wait, which) || !wait.pool)
        return 0;
    double deadline = kin__os_deadline(timeout);
    struct kin__hand *hand = kin__hand_here();
    if (hand && !wait.mixed && hand->pool == wait.pool) {
        error = work_for(&wait, hand, deadline, which);
    } else {
        struct kin__local *local = NULL;
        if (wait.pool->maker == kin__self_id() && !wait.mixed) {
            local = kin__local_hold((kin_pool *)kin__common((uintptr_t)wait.pool), "wait for results");
            if (!local)
                return kin_error_code();
        }
        struct kin__thread *waits = kin__pool_waits(wait.pool, &wait.pool->chime, 0);
        error = sleep_for(&wait, deadline, which);
        kin__pool_waits_end(waits);
        if (local)
            kin__local_release(local);
    }
    return error == KIN_ETIMEDOUT ? tell_in_vain(&wait, which) : error;
}

/* ---- kin_wait -------------------------------------------------------------------------------- */

/* Nothing becomes of it when its maker has ended. In a task: one that has not begun is run. */
static bool is_ready(const void *object)
{
    kin_result *result = (kin_result *)object;
    struct kin__hand *hand = kin__hand_here();
    if (!kin__object_is(result, KIN__RESULT_MAGIC) || kin__work_finished(kin__record_state(result)) ||
        kin__pool_check_maker(result->pool) != 0)
        return true;
    return hand && hand->pool == kin__own(result->pool) && kin__hand_run(hand, result) &&
           kin__work_finished(kin__record_state(result));
}

static const _Atomic uint32_t *ask(const void *object)
{
    kin_result *result = kin__own(object);
    atomic_fetch_or(&result->wants, KIN__WANTS_CHIME); /* partner in kin__record_tell */
    return &((kin_pool *)kin__own(result->pool))->chime;
}

__attribute__((constructor)) static void set_up(void)
{
    static const struct kin__wait_kind results = {KIN__RESULT_MAGIC, is_ready, ask};
    kin__wait_register(&results);
}
