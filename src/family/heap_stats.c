/* family/heap_stats.c - what the heap holds, told by a walk over its runs; giving back what it keeps. */
#include "base/failure.h"
#include "family/heap.h"
#include "family/run.h"
#include "family/span.h"
#include "kin/heap.h"

#include <string.h>

static void count_span(uint32_t unit, kin_heap_stats *stats)
{
    const struct kin__span *span = kin__span_at(unit);
    const struct kin__class *class = &kin__classes[span->class];
    size_t blocks = class->blocks - kin__span_free_blocks(span);
    stats->small_blocks += blocks;
    stats->small_bytes += blocks * class->size;
}

static void count_all(kin_heap_stats *stats)
{
    const struct kin__heap *heap = kin__heap();
    kin__journal_begin();
    stats->limit = kin__region->heap_limit;
    stats->used = kin__heap_used_bytes();
    stats->warm = (size_t)heap->warm << KIN__UNIT_BITS;
    stats->large_blocks = heap->large;
    stats->large_bytes = (size_t)heap->large_units << KIN__UNIT_BITS;
    stats->spans = heap->spans;
    stats->arenas = heap->arena_count;
    stats->deaths = heap->deaths;
    stats->possibly_lost = heap->possibly_lost;
    stats->last_lost = heap->last_lost;
    for (uint32_t unit = 1; unit < heap->units; unit += kin__unit_at(unit)->length)
        if (kin__unit_at(unit)->kind == KIN__UNIT_SPAN)
            count_span(unit, stats);
    kin__journal_end();
}

int kin_heap_get_stats(kin_heap_stats *out)
{
    if (!out || out->size < sizeof out->size || out->size > sizeof(kin_heap_stats) * 16)
        return kin__fail(KIN_EINVAL, "cannot tell heap statistics: the size field of the result is not set");
    if (!kin__thread_self())
        return kin_error_code();
    kin_heap_stats stats = {.size = out->size};
    count_all(&stats);
    size_t size = out->size < sizeof stats ? out->size : sizeof stats;
    memset(out, 0, stats.size); /* a newer caller's fields, which we do not know */
    memcpy(out, &stats, size);
    return 0;
}

int kin_heap_trim(size_t *out)
{
    struct kin__thread *thread = kin__thread_self();
    if (!thread)
        return kin_error_code();
    size_t bytes = kin__run_trim(thread);
    if (out)
        *out = bytes;
    return 0;
}
