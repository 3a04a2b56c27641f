/* family/run.c - see run.h. */
#include "family/run.h"

#include "base/failure.h"
#include "family/heap.h"

static uint32_t unit_of_intent(const struct kin__thread *thread)
{
    char *address = (char *)(uintptr_t)(thread->intent & ~(uint64_t)KIN__INTENT_MASK);
    return (uint32_t)((size_t)(address - kin__view.units) >> KIN__UNIT_BITS);
}

static void intend_run(struct kin__thread *thread, uint32_t unit)
{
    kin__journal_set(&thread->intent, (uint64_t)(uintptr_t)kin__unit_address(unit) | KIN__INTENT_RUN);
}

bool kin__run_drop(struct kin__thread *thread)
{
    uint32_t unit = unit_of_intent(thread), length = kin__unit_at(unit)->length;
    bool punched = kin__units_punch(unit, length) == 0;
    bool warm =
        !punched && kin__units_populate(unit, length) == 0; /* what it lacks, after a death in a punch, say */
    kin__journal_begin();
    kin__units_give(unit, warm);
    if (!punched && !warm)
        kin__journal_set32(&kin__heap()->dirty, 1);
    kin__journal_set(&thread->intent, 0);
    kin__journal_end();
    return punched;
}

static size_t drop_largest(struct kin__thread *thread)
{
    kin__journal_begin();
    uint32_t unit = kin__units_take_warm();
    size_t size = 0;
    if (unit) {
        size = (size_t)kin__unit_at(unit)->length << KIN__UNIT_BITS;
        intend_run(thread, unit);
    }
    kin__journal_end();
    return unit && kin__run_drop(thread) ? size : 0;
}

void kin__run_trim_excess(struct kin__thread *thread)
{
    while (kin__units_excess() && drop_largest(thread))
        ;
}

size_t kin__run_trim(struct kin__thread *thread)
{
    /* Others may free meanwhile: stop when as much is gone as was there at first. */
    size_t most = (size_t)kin__peek32(&kin__heap()->warm) << KIN__UNIT_BITS, total = 0;
    while (total < most) {
        size_t size = drop_largest(thread);
        if (!size)
            break;
        total += size;
    }
    return total;
}

static void tell(enum kin__out_of out_of, size_t asked)
{
    if (out_of == KIN__OUT_OF_LIMIT)
        kin__fail(
            KIN_ENOMEM,
            "could not allocate %zu bytes of shared memory: the family uses %zu of its limit of %zu; raise "
            "KIN_HEAP_LIMIT or the heap_limit of kin_init_options",
            asked, kin__heap_used_bytes(), (size_t)kin__region->heap_limit);
    else if (out_of == KIN__OUT_OF_TIME)
        kin__heap_stopped();
    else if (out_of == KIN__OUT_OF_SPACE)
        kin__fail(KIN_ENOMEM,
                  "could not allocate %zu bytes of shared memory: there is no free range of that size in the "
                  "region of %zu; raise KIN_REGION_SIZE or the region_size of kin_init_options",
                  asked, (size_t)kin__region->size);
    /* else the system refused: the record says so already */
}

static uint32_t take(struct kin__thread *thread, uint32_t length, uint32_t alignment, bool *cold,
                     enum kin__out_of *out_of, double deadline)
{
    *out_of = KIN__OUT_OF_TIME;
    if (!kin__journal_begin_until(deadline))
        return 0;
    uint32_t unit = kin__units_take(length, alignment, KIN__UNIT_HELD, cold, out_of);
    if (unit)
        intend_run(thread, unit);
    kin__journal_end();
    return unit;
}

uint32_t kin__run_acquire(struct kin__thread *thread, uint32_t length, uint32_t alignment, size_t asked,
                          bool *zero)
{
    return kin__run_acquire_until(thread, length, alignment, asked, zero, KIN_FOREVER);
}

uint32_t kin__run_acquire_until(struct kin__thread *thread, uint32_t length, uint32_t alignment, size_t asked,
                                bool *zero, double deadline)
{
    enum kin__out_of out_of;
    bool cold;
    uint32_t unit = take(thread, length, alignment, &cold, &out_of, deadline);
    if (!unit && out_of != KIN__OUT_OF_TIME && kin__run_trim(thread))
        unit = take(thread, length, alignment, &cold, &out_of, deadline);
    if (!unit) {
        tell(out_of, asked);
        return 0;
    }
    if (cold && kin__units_populate(unit, length)) {
        kin__run_drop(thread);
        return 0;
    }
    *zero = cold && !kin__peek32(&kin__heap()->dirty);
    return unit;
}
