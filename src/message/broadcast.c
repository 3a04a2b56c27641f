/* message/broadcast.c - making, freeing and closing broadcasts, and what a dead writer left. See broadcast_shared.h. */
#include "message/broadcast_shared.h"

#include "base/failure.h"
#include "family/checked.h"
#include "family/heap.h"
#include "family/journal.h"
#include "family/sealed.h"
#include "kin/heap.h"
#include "kin/queue.h"
#include "process/process_shared.h"

#include <string.h>

#define CAPACITY ((size_t)1 << 20)
#define CAPACITY_LEAST 4096u
#define RING_MOST ((uint64_t)16 << 20) /* beyond that, what is large lies in blocks */
#define READERS 64
#define WORD_KIND UINT64_C(15) /* blocks are aligned to 16 */

int kin__broadcast_check(const kin_broadcast *broadcast, const char *what)
{
    return kin__object_check(broadcast, KIN__BROADCAST_MAGIC, what);
}

int kin__broadcast_enter(const kin_broadcast *broadcast, const char *what, double timeout, kin__id *me)
{
    int error = kin__sync_check(broadcast, KIN__BROADCAST_MAGIC, what);
    struct kin__thread *thread;
    if (error || (error = kin__timeout_check(timeout)) != 0)
        return error;
    if (!(thread = kin__sync_thread()))
        return kin_error_code();
    *me = thread->owner;
    kin__use_begin(thread, broadcast);
    return 0;
}

/* ---- mending --------------------------------------------------------------------------------- */

/* Free the block that a word names, and clear the word, as one. */
static void free_named(uint64_t *word)
{
    struct kin__thread *thread = kin__thread_mine;
    kin__journal_begin();
    kin__heap_free_in(thread, (void *)(uintptr_t)(*word & ~WORD_KIND));
    kin__journal_set(word, 0);
    kin__journal_end();
    kin__heap_free_finish(thread);
}

static uint64_t held_now(const kin_broadcast *broadcast)
{
    uint64_t held = 0, tail = atomic_load(&broadcast->tail);
    for (uint64_t at = atomic_load(&broadcast->floor); at != tail;) {
        uint64_t word = kin__spread_at(broadcast, at)->word;
        if (kin__spread_kind(word) == KIN__SPREAD_COPY || kin__spread_kind(word) == KIN__SPREAD_GIVEN)
            held += word & KIN__SPREAD_SIZE;
        at += kin__spread_bytes(word);
    }
    return held;
}

/* Each step may be repeated: who mends may die too. What a user gave and is not in is nobody's but the family's. */
static void mend(kin_broadcast *broadcast)
{
    bool in = atomic_load(&broadcast->tail) != broadcast->offered_at;
    if (broadcast->offered && !in && (broadcast->offered & WORD_KIND) == KIN__SPREAD_COPY)
        free_named(&broadcast->offered);
    kin__poke(&broadcast->offered, 0);
    if (broadcast->kept && atomic_load(&broadcast->floor) != broadcast->kept_at)
        free_named(&broadcast->kept);
    kin__poke(&broadcast->kept, 0);
    broadcast->held = held_now(broadcast);
}

int kin__broadcast_gate(kin_broadcast *broadcast, kin__id me, struct kin__patience *patience)
{
    int error = kin__gate_acquire(&broadcast->gate, broadcast, me, patience);
    if (error != KIN_EDIED)
        return error;
    mend(broadcast);
    return 0;
}

void kin__broadcast_drop(kin_broadcast *broadcast)
{
    uint64_t floor = atomic_load_explicit(&broadcast->floor, memory_order_relaxed), block = 0;
    const struct kin__spread_head *record = kin__spread_at(broadcast, floor);
    uint64_t word = record->word, kind = kin__spread_kind(word);
    if (kind == KIN__SPREAD_COPY || kind == KIN__SPREAD_GIVEN) {
        memcpy(&block, record + 1, 8);
        broadcast->held -= word & KIN__SPREAD_SIZE;
    }
    bool checked = kind == KIN__SPREAD_GIVEN && kin__checks_heap(); /* it has guards, and a history */
    if (block && !checked) {
        broadcast->kept_at = floor;
        kin__crash_fence();
        kin__poke(&broadcast->kept, block);
        kin__crash_fence();
    }
    if (kind != KIN__SPREAD_SKIP)
        kin__poke(&broadcast->gone, record->sequence + 1);
    kin__crash_fence();
    atomic_store_explicit(&broadcast->floor, floor + kin__spread_bytes(word), memory_order_relaxed);
    /* What is given free is written after that. Partner: the fence in untouched(), broadcast_read.c. */
    atomic_thread_fence(memory_order_seq_cst);
    if (block && !checked)
        free_named(&broadcast->kept);
    else if (checked)
        kin_free((void *)(uintptr_t)block);
}

/* ---- making, ending -------------------------------------------------------------------------- */

static int check_options(kin_broadcast_options *options)
{
    if (options->readers < 0 || options->readers > (int)KIN__THREADS_MAX)
        return kin__fail(KIN_EINVAL, "cannot make a broadcast for %d readers: at most %u", options->readers,
                         KIN__THREADS_MAX);
    if (options->slow > KIN_SLOW_CUT)
        return kin__fail(KIN_EINVAL, "cannot make a broadcast: .slow is %d", (int)options->slow);
    if (options->capacity > KIN_MESSAGE_MAX)
        return kin__fail(KIN_EINVAL, "cannot make a broadcast that keeps %zu bytes: at most %zu",
                         options->capacity, KIN_MESSAGE_MAX);
    if (!options->readers)
        options->readers = READERS;
    if (!options->capacity)
        options->capacity = CAPACITY;
    if (options->capacity < CAPACITY_LEAST)
        options->capacity = CAPACITY_LEAST;
    return 0;
}

kin_broadcast *kin_broadcast_new(const kin_broadcast_options *given)
{
    kin_broadcast_options options;
    if (kin__options_read(&options, sizeof options, given, "broadcast options") || check_options(&options) ||
        !kin__self_id() || kin__sealed_refuse("make a broadcast"))
        return NULL;
    uint64_t bytes = CAPACITY_LEAST;
    while (bytes < options.capacity && bytes < RING_MOST)
        bytes *= 2;
    size_t head = sizeof(kin_broadcast) + (size_t)options.readers * sizeof(struct kin_reader);
    kin_broadcast *broadcast = kin__heap_open_aligned(head + bytes, _Alignof(kin_broadcast), NULL);
    if (!broadcast)
        return NULL;
    memset(broadcast, 0, head);
    broadcast->slow = options.slow;
    broadcast->readers_most = (uint32_t)options.readers;
    broadcast->capacity = options.capacity;
    broadcast->bytes = bytes;
    broadcast->ring = (unsigned char *)broadcast + head;
    if (options.name)
        strncpy(broadcast->sync.name, options.name, KIN__NAME_MAX - 1);
    kin__sync_publish(broadcast, KIN__BROADCAST_MAGIC);
    kin__heap_close();
    return broadcast;
}

static bool any_reader(kin_broadcast *broadcast)
{
    for (uint32_t i = 0; i < broadcast->readers_most; i++)
        if (!kin__reader_gone(&broadcast->readers[i]))
            return true;
    return false;
}

static int free_it(kin_broadcast *broadcast, kin__id me)
{
    int error = kin__waits_none(broadcast);
    if (!error && kin__broadcast_gate(broadcast, me, &(struct kin__patience){.timeout = 0}))
        error = kin__fail(KIN_EBUSY, "cannot free %s: another process is in a call of it",
                          kin__title(broadcast).text);
    if (error)
        return error;
    if (any_reader(broadcast)) {
        kin__gate_release(&broadcast->gate);
        return kin__fail(KIN_EBUSY, "cannot free %s: it has readers", kin__title(broadcast).text);
    }
    atomic_store(&broadcast->closed, 1);
    while (atomic_load(&broadcast->floor) != atomic_load(&broadcast->tail))
        kin__broadcast_drop(broadcast);
    for (uint32_t i = 0; i < broadcast->readers_most; i++)
        atomic_store(&broadcast->readers[i].sync.head.magic, 0);
    kin__sync_free(broadcast);
    return 0;
}

int kin_broadcast_free(kin_broadcast *broadcast)
{
    kin__id me = 0;
    if (!broadcast)
        return 0;
    int error = kin__broadcast_enter(broadcast, "free a broadcast", 0, &me);
    return error ? error : kin__broadcast_leave(free_it(broadcast, me));
}

/* Under the gate, so that a reader that finds it closed has seen all that was written. */
int kin_broadcast_close(kin_broadcast *broadcast)
{
    kin__id me = 0;
    int error = kin__broadcast_enter(broadcast, "close a broadcast", 0, &me);
    if (error)
        return error;
    error = kin__broadcast_gate(broadcast, me, &(struct kin__patience){.timeout = kin__gate_patience});
    if (!error) {
        atomic_store(&broadcast->closed, 1);
        kin__gate_release(&broadcast->gate);
        kin__event_wake(&broadcast->items, INT32_MAX);
        kin__event_wake(&broadcast->room, INT32_MAX);
    }
    return kin__broadcast_leave(error);
}

int kin_broadcast_set_writer(kin_broadcast *broadcast, const kin_process *process)
{
    kin__id nobody = 0;
    int error = kin__sync_check(broadcast, KIN__BROADCAST_MAGIC, "name the writer of a broadcast");
    if (!error)
        error = kin__process_check(process, "make a process the writer of a broadcast");
    if (error || atomic_compare_exchange_strong(&broadcast->writer, &nobody, process->id) ||
        nobody == process->id)
        return error;
    return kin__fail(KIN_EPERM, "cannot name the writer of %s: it has one", kin__title(broadcast).text);
}

/* ---- for tests ------------------------------------------------------------------------------- */

const char *kin__broadcast_broken(const kin_broadcast *broadcast)
{
    uint64_t floor = atomic_load(&broadcast->floor), tail = atomic_load(&broadcast->tail), next = 0;
    if (floor > tail || tail > floor + broadcast->bytes)
        return "B1: floor, tail";
    for (uint32_t i = 0; i < broadcast->readers_most; i++) {
        const struct kin_reader *reader = &broadcast->readers[i];
        uint64_t position = atomic_load(&reader->position);
        if (!atomic_load(&reader->owner) || !kin__member_find(atomic_load(&reader->owner)))
            continue;
        if (position > tail ||
            (position < floor && broadcast->slow != KIN_SLOW_DROP && !atomic_load(&reader->cut)))
            return "B1: a reader's position";
    }
    for (uint64_t at = floor; at != tail;) {
        const struct kin__spread_head *record = kin__spread_at(broadcast, at);
        uint64_t size = kin__spread_bytes(record->word), kind = kin__spread_kind(record->word);
        if (kind < KIN__SPREAD_SKIP || kind > KIN__SPREAD_GIVEN || at + size > tail ||
            (at & (broadcast->bytes - 1)) + size > broadcast->bytes)
            return "B2: a record";
        if (kind != KIN__SPREAD_SKIP && record->sequence < next)
            return "B2: numbers";
        if (kind != KIN__SPREAD_SKIP)
            next = record->sequence + 1;
        at += size;
    }
    if (!atomic_load(&broadcast->gate.owner) &&
        (broadcast->offered || broadcast->kept || broadcast->held != held_now(broadcast)))
        return "B3";
    return NULL;
}
