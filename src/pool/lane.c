/* pool/lane.c - see lane.h. */
#include "pool/lane.h"

#include "family/sealed.h"

int kin__lane_open(struct kin__lane *lane, kin_arena *arena)
{
    if (atomic_load_explicit(&lane->cells, memory_order_relaxed))
        return 0;
    _Atomic uint64_t *cells = kin_arena_malloc(arena, KIN__LANE_CELLS * sizeof *cells);
    if (!cells)
        return kin_error_code();
    lane = kin__own(lane);
    lane->mask = KIN__LANE_CELLS - 1;
    /* Release: partner is the acquire of the tail in kin__lane_pop, as nothing is there before the first push. */
    atomic_store_explicit(&lane->cells, cells, memory_order_release);
    return 0;
}

bool kin__lane_push(struct kin__lane *common, kin_result *record, uint64_t state)
{
    struct kin__lane *lane = kin__own(common);
    uint64_t tail = atomic_load_explicit(&lane->tail, memory_order_relaxed);
    /* Acquire: partner is the CAS in kin__lane_pop; the cell was read before it. */
    if (tail - atomic_load_explicit(&lane->next, memory_order_acquire) > lane->mask)
        return false;
    kin_result *own = kin__own(record);
    atomic_store_explicit(&own->lane, common, memory_order_relaxed);
    atomic_store_explicit(&own->place, tail, memory_order_relaxed);
    _Atomic uint64_t *cells = kin__own(atomic_load_explicit(&lane->cells, memory_order_relaxed));
    atomic_store_explicit(&cells[tail & lane->mask], kin__ref(record, state), memory_order_relaxed);
    /* Sequentially consistent: partners are kin__lane_pop's acquire, and who falls asleep: it tells so, then looks
     * at tail; we write tail, then look who sleeps. */
    atomic_store(&lane->tail, tail + 1);
    return true;
}

uint64_t kin__lane_pop(struct kin__lane *lane)
{
    lane = kin__own(lane);
    /* Acquire, here and where the CAS fails: the tail is read after it, and so cannot be behind it. */
    uint64_t next = atomic_load_explicit(&lane->next, memory_order_acquire);
    for (;;) {
        if (next == atomic_load_explicit(&lane->tail, memory_order_acquire))
            return 0;
        const _Atomic uint64_t *cells = atomic_load_explicit(&lane->cells, memory_order_relaxed);
        uint64_t hint = atomic_load_explicit(&cells[next & lane->mask], memory_order_relaxed);
        if (atomic_compare_exchange_weak_explicit(&lane->next, &next, next + 1, memory_order_acq_rel,
                                                  memory_order_acquire))
            return hint;
    }
}
