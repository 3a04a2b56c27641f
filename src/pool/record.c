/* pool/record.c - see record.h: what is common to all who have to do with a record. */
#include "pool/record.h"

#include "base/failure.h"
#include "family/sealed.h"
#include "os/os.h"
#include "pool/local.h"

#include <limits.h>
#include <string.h>

void kin__batch_check(struct kin__batch *batch)
{
    kin_result *whole = kin__own(batch->whole);
    for (size_t i = 0; i < batch->pieces_count; i++)
        if (!kin__work_finished(atomic_load(&batch->pieces[i]->state)))
            return;
    uint64_t state = kin__record_state(whole);
    if (!kin__work_finished(state) &&
        kin__record_step(whole, state, atomic_load(&batch->failed) ? KIN__WORK_FAILED : KIN__WORK_DONE))
        kin__record_tell(whole, NULL);
}

void kin__batch_count(struct kin__batch *common)
{
    struct kin__batch *batch = kin__own(common);
    /* Before the count, after which the batch may be gone: who sets it later than we look sees that our piece is
     * finished. */
    bool recount = atomic_load(&batch->recount);
    if (atomic_fetch_sub(&batch->left, 1) == 1 || recount)
        kin__batch_check(batch);
}

struct kin__batch *kin__record_counts(const kin_result *record)
{
    struct kin__batch *batch = record->batch;
    return batch && !batch->uncounted && batch->whole != kin__common_record(record) ? batch : NULL;
}

void kin__record_tell(kin_result *record, struct kin__batch *batch)
{
    kin_pool *pool = kin__own(record->pool);
    if (batch)
        kin__batch_count(batch);
    uint32_t wants = atomic_load(&record->wants); /* partner: see kin__record_step */
    uint32_t sleeper = atomic_load(&record->sleeper);
    if (wants & KIN__WANTS_WAKE)
        kin__os_futex_wake((const _Atomic uint32_t *)&record->state, INT_MAX);
    if (sleeper && sleeper <= (uint32_t)pool->workers)
        kin__seat_ring(&pool->seats[sleeper - 1]);
    if (wants & KIN__WANTS_CHIME) {
        atomic_fetch_add(&pool->chime, 1);
        kin__os_futex_wake(&pool->chime, INT_MAX);
    }
    if (wants & KIN__WANTS_WARDEN) {
        atomic_fetch_add(&pool->finished, 1);
        kin__call_warden(pool);
    }
}

void kin__call_warden(kin_pool *pool)
{
    atomic_fetch_add(&pool->calls, 1);
    if (atomic_load(&pool->warden_sleeps)) /* partner: it says so, then looks at `calls` */
        kin__os_futex_wake(&pool->calls, INT_MAX);
}

/* Whoever tries it next finds its output as the first one did. */
static void clean_item(const struct kin__batch *batch, size_t at, size_t end)
{
    if (at < end && batch->out && batch->status[at] == KIN__PENDING)
        memset(kin__own(batch->out + at * batch->out_size), 0, batch->out_size);
}

void kin__record_clean_attempt(kin_result *common)
{
    kin_result *record = kin__own(common);
    atomic_store_explicit(&record->outer, 0, memory_order_relaxed);
    if (record->memory) /* of a piece, what was done is kept */
        kin__arena_rollback(record->memory, record->batch ? record->mark : 0);
    if (record->batch) {
        clean_item(kin__own(record->batch), record->at, record->end_item);
        return;
    }
    atomic_store_explicit(&record->failure, NULL, memory_order_relaxed);
    if (record->out)
        memset(kin__own(record->out), 0, record->out_size);
}

void kin__record_clean(kin_result *common)
{
    kin_result *record = kin__own(common);
    record->out = NULL; /* what the caller gave is theirs */
    record->batch = NULL;
    atomic_store_explicit(&record->failure, NULL, memory_order_relaxed);
    kin__arena_free_at(&record->memory);
    kin__arena_free_at(&record->story);
    kin__arena_free_at(&record->room);
}

void *kin__record_malloc(kin_result *record, kin__id maker, size_t size)
{
    if (!record->memory)
        kin__arena_new_at(maker, &record->memory);
    return record->memory ? kin_arena_malloc(record->memory, size) : NULL;
}

struct kin__failure *kin__record_fails(kin_result *record, kin__id maker)
{
    record = kin__own(record);
    if (!record->story)
        kin__arena_new_at(maker, &record->story);
    struct kin__failure *common = record->story ? kin_arena_malloc(record->story, sizeof *common) : NULL;
    if (!common)
        return NULL;
    struct kin__failure *failure = kin__own(common);
    memset(failure, 0, sizeof *failure);
    failure->error.index = record->batch ? record->batch->base + record->at : record->index;
    failure->next = atomic_load_explicit(&record->failure, memory_order_relaxed);
    failure->error.worker = record->worker;
    failure->error.pid = record->pid;
    failure->error.attempts = record->attempts + 1;
    /* Release: partner is the acquire of who reads it, after the state. */
    atomic_store_explicit(&record->failure, common, memory_order_release);
    return failure;
}
