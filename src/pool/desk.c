/* pool/desk.c - see desk.h. */
#include "pool/desk.h"

#include "base/failure.h"
#include "family/sealed.h"
#include "pool/hand.h"
#include "pool/local.h"

#include <stdint.h>
#include <string.h>

static void put_on(kin_result **list, kin_result *record)
{
    ((kin_result *)kin__own(record))->next = *list;
    *list = record;
}

/* Whether it may still be on the stack of the worker that was evicted from it. */
// NOLINTNEXTLINE(misc-no-recursion): likewise
bool kin__desk_is_written(const struct kin__desk *desk, const kin_result *record)
{
    const struct kin__batch *batch = record->batch;
    if (batch && batch->whole == record) {
        for (size_t i = 0; i < batch->pieces_count; i++)
            if (kin__desk_is_written(desk, batch->pieces[i]))
                return true;
        return false;
    }
    uint64_t state = kin__record_state(record);
    /* A piece whose end was found out by another may still be being told of by its worker. */
    bool recounted = batch && atomic_load(&batch->recount);
    uint32_t seat = KIN__WORK_CAUSE(state) ? KIN__WORK_SEAT(state) : (uint32_t)record->worker;
    if ((!KIN__WORK_CAUSE(state) && !recounted) || seat >= (uint32_t)desk->pool->workers)
        return false;
    const _Atomic uint64_t *task = &desk->pool->seats[seat].task;
    uint64_t top = atomic_load(task), ref = top;
    for (int depth = 0; ref && depth < INT16_MAX; depth++, ref = kin__ref_record(ref)->outer)
        if ((ref & ~KIN__DOOMED) == kin__ref(record, state))
            return true;
    return atomic_load(task) != top; /* it has moved on: what was read may have been another's */
}

/* What a worker of this seat had left. */
static void adopt(kin_result *record, void *arg)
{
    struct kin__desk *desk = arg;
    if (record->batch && record->batch->whole && record->batch->whole != record)
        return; /* a piece goes with the whole */
    bool is_free = KIN__WORK(kin__record_state(record)) == KIN__WORK_FREE;
    put_on(is_free ? &desk->free : &desk->leaving, record);
}

void kin__desk_open(struct kin__desk *desk, kin_pool *pool)
{
    memset(desk, 0, sizeof *desk);
    pthread_mutex_init(&desk->mutex, NULL);
    kin_pool *own = kin__own(pool);
    desk->pool = own;
    desk->slabs = &own->slabs;
    desk->arena = &own->arena;
    for (int i = 0; i < KIN__PRIORITIES; i++)
        desk->lanes[i] = &pool->lanes[i];
    for (int i = 0; i < KIN__PRIORITIES; i++)
        desk->waiting[i].end = &desk->waiting[i].first;
    desk->fd = -1;
}

void kin__desk_open_seat(struct kin__desk *desk, kin_pool *pool, int worker)
{
    kin__desk_open(desk, pool);
    struct kin__seat *seat = &desk->pool->seats[worker];
    desk->owner = (uint32_t)worker + 1;
    desk->slabs = &seat->slabs;
    desk->arena = &seat->arena;
    for (int i = 0; i < KIN__PRIORITIES; i++)
        desk->lanes[i] = &pool->seats[worker].lane;
    kin__each_record_of(atomic_load(&seat->slabs), adopt, desk);
}

static int add_slab(struct kin__desk *desk)
{
    if (!*desk->arena)
        kin__arena_new_at(desk->pool->maker, desk->arena);
    if (!*desk->arena)
        return kin_error_code();
    const size_t align = _Alignof(kin_result);
    struct kin__slab *common =
        kin_arena_malloc(*desk->arena, sizeof *common + KIN__SLAB_RECORDS * sizeof(kin_result) + align);
    if (!common)
        return kin_error_code();
    struct kin__slab *slab = kin__own(common);
    uintptr_t first = ((uintptr_t)(common + 1) + align - 1) & ~(uintptr_t)(align - 1);
    slab->records = (kin_result *)first;
    memset(kin__own(slab->records), 0, KIN__SLAB_RECORDS * sizeof(kin_result));
    for (int i = KIN__SLAB_RECORDS - 1; i >= 0; i--) {
        kin_result *record = kin__own(&slab->records[i]);
        record->pool =
            (kin_pool *)kin__common((uintptr_t)desk->pool); /* for good: who has finished it still asks */
        put_on(&desk->free, &slab->records[i]);
    }
    slab->next = atomic_load_explicit(desk->slabs, memory_order_relaxed);
    /* Release: partner is the acquire in kin__each_record. */
    atomic_store_explicit(desk->slabs, common, memory_order_release);
    return 0;
}

// NOLINTNEXTLINE(misc-no-recursion): a whole frees its pieces, which have none
static void set_free(struct kin__desk *desk, kin_result *record)
{
    kin_result *own = kin__own(record);
    const struct kin__batch *batch = record->batch;
    if (batch && batch->whole == record)
        for (size_t i = 0; i < batch->pieces_count; i++)
            set_free(desk, batch->pieces[i]);
    kin__record_clean(record);
    atomic_store_explicit(&own->magic, 0, memory_order_relaxed);
    /* Nobody else writes a finished record's state. */
    atomic_store(&own->state, atomic_load(&own->state) & KIN__WORK_GENERATION);
    if (!own->listed) /* else kin__desk_flush comes by */
        put_on(&desk->free, record);
}

static void let_leave(struct kin__desk *desk)
{
    kin_result *record = desk->leaving;
    desk->leaving = NULL;
    while (record) {
        kin_result *next = record->next;
        if (kin__desk_is_written(desk, record))
            put_on(&desk->leaving, record);
        else
            set_free(desk, record);
        record = next;
    }
}

kin_result *kin__desk_take(struct kin__desk *desk)
{
    if (desk->leaving)
        let_leave(desk);
    if (!desk->free && add_slab(desk) != 0)
        return NULL;
    kin_result *record = desk->free;
    if (record)
        desk->free = record->next;
    return record;
}

void kin__desk_return(struct kin__desk *desk, kin_result *record)
{
    kin_result *own = kin__own(record);
    if (record->call)
        kin__desk_forget(desk, record);
    atomic_store_explicit(&own->magic, 0, memory_order_relaxed);
    if (kin__desk_is_written(desk, record) && !own->listed)
        put_on(&desk->leaving, record);
    else
        set_free(desk, record);
}

int kin__desk_name(struct kin__desk *desk, void (*fn)(void), struct kin__function *out)
{
    if (fn != desk->fn) {
        int error = kin__function_refer(fn, &desk->function, "the task's function");
        desk->fn = error ? NULL : fn;
        if (error)
            return error;
    }
    *out = desk->function;
    return 0;
}

const char *kin__desk_name_of(struct kin__desk *desk, const kin_result *record)
{
    if (memcmp(&desk->looked_up, &record->function, sizeof desk->looked_up) != 0)
        kin__function_name(&record->function, desk->name, sizeof desk->name);
    desk->looked_up = record->function;
    return desk->name;
}

void kin__desk_post(struct kin__desk *desk, kin_result *record, uint64_t state, int priority)
{
    struct kin__lane *lane = desk->lanes[priority];
    struct kin__waiting *waiting = &desk->waiting[priority];
    if (!waiting->first && kin__lane_open(lane, *desk->arena) == 0 && kin__lane_push(lane, record, state)) {
        if (desk->owner)
            atomic_fetch_add(&desk->pool->nested, 1);
        kin__wake_one(desk->pool, desk->owner != 0);
        if (atomic_load(&desk->pool->empty))
            kin__call_warden(desk->pool);
        return;
    }
    if (desk->owner)
        return; /* who waits for it runs it */
    kin__call_warden(desk->pool);
    kin_result *own = kin__own(record);
    own->next = NULL;
    own->listed = true;
    *waiting->end = record;
    waiting->end = &own->next;
}

static bool flush(struct kin__desk *desk, struct kin__waiting *waiting)
{
    kin_result *record = waiting->first;
    waiting->first = NULL;
    waiting->end = &waiting->first;
    while (record) {
        kin_result *next = record->next;
        uint64_t state = kin__record_state(record);
        ((kin_result *)kin__own(record))->listed = false;
        if (KIN__WORK(state) == KIN__WORK_QUEUED)
            kin__desk_post(desk, record, state, (int)record->priority);
        else if (KIN__WORK(state) == KIN__WORK_FREE)
            put_on(&desk->free, record);
        record = next;
    }
    return !waiting->first;
}

bool kin__desk_flush(struct kin__desk *desk)
{
    bool all = true;
    for (int i = 0; i < KIN__PRIORITIES; i++)
        all = flush(desk, &desk->waiting[i]) && all;
    return all;
}

void kin__each_record_of(struct kin__slab *slabs, void (*f)(kin_result *record, void *arg), void *arg)
{
    for (struct kin__slab *slab = slabs; slab; slab = slab->next)
        for (int i = 0; i < KIN__SLAB_RECORDS; i++)
            f(&slab->records[i], arg);
}

void kin__each_record(kin_pool *pool, void (*f)(kin_result *record, void *arg), void *arg)
{
    kin__each_record_of(atomic_load_explicit(&pool->slabs, memory_order_acquire), f, arg);
    for (int i = 0; i < pool->workers; i++)
        kin__each_record_of(atomic_load_explicit(&pool->seats[i].slabs, memory_order_acquire), f, arg);
}
