/*
 * message/broadcast_read.c - joining, reading, leaving: see broadcast_shared.h.
 *
 * With DROP and CUT what is read may be overwritten meanwhile. So it is copied first, then it is looked whether floor still
 * stands before it, and otherwise it counts for nothing (Boehm, "Can seqlocks get along with programming language
 * memory models?", 2012). A block that was freed meanwhile is memory still, if of something else.
 */
#include "message/broadcast_shared.h"

#include "base/failure.h"
#include "family/journal.h"

#include <string.h>

#define LOOKS 20u /* as in get.c */
#define PAUSES 64

bool kin__reader_gone(kin_reader *reader)
{
    kin__id owner = atomic_load(&reader->owner);
    if (!owner)
        return true;
    if (owner == kin__self_id() || (kin__member_find(owner) && kin__member_recover(owner) != 0))
        return false;
    if (!kin__is_sealed())
        atomic_compare_exchange_strong(&reader->owner, &owner, 0);
    return true;
}

size_t kin_broadcast_readers(kin_broadcast *broadcast)
{
    size_t count = 0;
    if (kin__broadcast_check(broadcast, "count a broadcast's readers"))
        return 0;
    for (uint32_t i = 0; i < broadcast->readers_most; i++)
        count += !kin__reader_gone(&broadcast->readers[i]);
    return count;
}

/* ---- joining, leaving ------------------------------------------------------------------------ */

static kin_reader *free_slot(kin_broadcast *broadcast)
{
    for (int dead = 0; dead < 2; dead++)
        for (uint32_t i = 0; i < broadcast->readers_most; i++)
            if (dead ? kin__reader_gone(&broadcast->readers[i]) : !atomic_load(&broadcast->readers[i].owner))
                return &broadcast->readers[i];
    kin__fail(KIN_ELIMIT, "cannot join %s: it has its %u readers already (.readers)",
              kin__title(broadcast).text, broadcast->readers_most);
    return NULL;
}

kin_reader *kin_broadcast_join(kin_broadcast *broadcast, double timeout)
{
    kin__id me = 0;
    struct kin__patience patience = {.timeout = timeout};
    if (kin__broadcast_enter(broadcast, "join a broadcast", timeout, &me))
        return NULL;
    if (kin__broadcast_gate(broadcast, me, &patience)) {
        kin__broadcast_leave(0);
        return NULL;
    }
    kin_reader *reader = free_slot(broadcast);
    if (reader) {
        memcpy(reader->sync.name, broadcast->sync.name, KIN__NAME_MAX);
        reader->broadcast = broadcast;
        reader->sequence = broadcast->sequence;
        reader->lost = 0;
        atomic_store(&reader->cut, 0);
        atomic_store(&reader->position, atomic_load(&broadcast->tail));
        atomic_store(&reader->owner, me);
        kin__sync_publish(reader, KIN__READER_MAGIC);
    }
    kin__gate_release(&broadcast->gate);
    kin__broadcast_leave(0);
    return reader;
}

/* A reader of ours: the position of one whose member has ended, or has another to use it, keeps nothing from being written
 * over. */
static int check_reader(const kin_reader *reader, const char *what)
{
    int error = kin__sync_check(reader, KIN__READER_MAGIC, what);
    if (error)
        return error;
    const struct kin__thread *thread = kin__sync_thread();
    if (!thread)
        return kin_error_code();
    if (atomic_load_explicit(&reader->owner, memory_order_relaxed) == thread->owner)
        return 0;
    return kin__fail(KIN_EPERM, "cannot %s: the reader of %s belongs to the process that joined", what,
                     kin__title(reader).text);
}

int kin_reader_leave(kin_reader *reader)
{
    if (!reader)
        return 0;
    int error = check_reader(reader, "leave a broadcast");
    if (error)
        return error;
    kin_broadcast *broadcast = reader->broadcast;
    kin__use_begin(kin__thread_mine, broadcast); /* from the second store on it may be freed */
    atomic_store(&reader->sync.head.magic, 0);
    atomic_store(&reader->owner, 0);
    kin__event_tell(&broadcast->room, INT32_MAX);
    return kin__broadcast_leave(0);
}

size_t kin_reader_lost(const kin_reader *reader)
{
    return kin__object_check(reader, KIN__READER_MAGIC, "ask what a reader missed") ? 0 : reader->lost;
}

/* ---- waiting --------------------------------------------------------------------------------- */

static bool is_empty(const kin_reader *reader)
{
    /* Acquire: what is before tail is written. Partner: publish() in broadcast_write.c. */
    return atomic_load_explicit(&reader->broadcast->tail, memory_order_acquire) ==
           atomic_load_explicit(&reader->position, memory_order_relaxed);
}

static bool spin(const kin_reader *reader)
{
    static _Thread_local struct kin__habit habit __attribute__((tls_model("initial-exec")));
    uint32_t most = kin__habit_looks(&habit, LOOKS), came = 0;
    for (uint32_t look = 1; look <= most && !came; look++) {
        for (int i = 0; i < PAUSES; i++)
            kin__os_pause();
        if (!is_empty(reader))
            came = look;
    }
    kin__habit_learn(&habit, LOOKS, came);
    return came != 0;
}

/* Nothing comes any more: it is closed, or its writer is dead. */
static bool is_over(const kin_broadcast *broadcast)
{
    kin__id writer = atomic_load(&broadcast->writer);
    return atomic_load(&broadcast->closed) ||
           (writer && writer != kin__self_id() &&
            (!kin__member_find(writer) || kin__member_recover(writer) == 0));
}

static int cut_off(const kin_reader *reader)
{
    return kin__fail(KIN_ELOST, "this reader of %s was too slow, and is cut off",
                     kin__title(reader->broadcast).text);
}

/* Numbers are missing before this one. */
static int tell_missed(kin_reader *reader, uint64_t sequence)
{
    uint64_t missed = sequence - reader->sequence;
    reader->lost += missed;
    reader->sequence = sequence;
    return kin__fail(KIN_ELOST, "this reader of %s was too slow, and has missed %zu messages",
                     kin__title(reader->broadcast).text, (size_t)missed);
}

static int await(kin_reader *reader, struct kin__patience *patience)
{
    kin_broadcast *broadcast = reader->broadcast;
    while (is_empty(reader)) {
        if (patience->timeout > 0 && spin(reader))
            break;
        struct kin__nap nap = {0};
        if (patience->timeout > 0)
            nap = kin__event_prepare(&broadcast->items);
        bool over = is_over(broadcast); /* before the last look: what was written before it counts */
        if (!is_empty(reader))
            break;
        if (over && kin__peek(&broadcast->gone) > reader->sequence)
            return tell_missed(reader, kin__peek(&broadcast->gone));
        if (over)
            return kin__fail(KIN_ECLOSED, "%s is closed, and all is read", kin__title(broadcast).text);
        if (patience->timeout <= 0)
            return kin__fail(KIN_ETIMEDOUT, "there is nothing new in %s", kin__title(broadcast).text);
        if (kin__event_sleep(&broadcast->items, broadcast, nap, kin__patience_deadline(patience)))
            return kin__fail(KIN_ETIMEDOUT, "there was nothing new in %s for %g seconds",
                             kin__title(broadcast).text, patience->timeout);
    }
    return 0;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* What was read so far was still there. */
static bool untouched(const kin_reader *reader)
{
    if (reader->broadcast->slow == KIN_SLOW_WAIT)
        return true;
    atomic_thread_fence(memory_order_seq_cst); /* partner: that in kin__broadcast_drop */
    return atomic_load_explicit(&reader->broadcast->floor, memory_order_relaxed) <=
           atomic_load_explicit(&reader->position, memory_order_relaxed);
}

static void move(kin_reader *reader, uint64_t position)
{
    /* Release: it has been copied. Partner: least_position() in broadcast_write.c. */
    atomic_store_explicit(&reader->position, position, memory_order_release);
    kin__event_tell(&reader->broadcast->room,
                    INT32_MAX); /* partner: kin__event_prepare in broadcast_write.c */
}

/* The next message: where it lies, and where it ends. */
struct found {
    struct kin__spread_head head;
    const void *data;
    uint64_t end;
};

static int find(kin_reader *reader, struct kin__patience *patience, struct found *found)
{
    kin_broadcast *broadcast = reader->broadcast;
    for (;;) {
        if (atomic_load_explicit(&reader->cut, memory_order_relaxed))
            return cut_off(reader);
        int error = await(reader, patience);
        if (error)
            return error;
        uint64_t position = atomic_load_explicit(&reader->position, memory_order_relaxed), block = 0;
        const struct kin__spread_head *record = kin__spread_at(broadcast, position);
        found->head.word = record->word;
        uint64_t kind = kin__spread_kind(found->head.word);
        found->data = record + 1;
        if (kind != KIN__SPREAD_SKIP)
            found->head.sequence = record->sequence;
        if (kind == KIN__SPREAD_COPY || kind == KIN__SPREAD_GIVEN) {
            memcpy(&block, record + 1, 8);
            found->data = (const void *)(uintptr_t)block;
        }
        if (!untouched(reader)) { /* on to the oldest that is kept */
            move(reader, atomic_load(&broadcast->floor));
            continue;
        }
        found->end = position + kin__spread_bytes(found->head.word);
        if (kind == KIN__SPREAD_SKIP)
            move(reader, found->end);
        else
            return found->head.sequence > reader->sequence ? tell_missed(reader, found->head.sequence) : 0;
    }
}

static void pass(kin_reader *reader, const struct found *found)
{
    reader->sequence = found->head.sequence + 1;
    move(reader, found->end);
}

int kin_reader_read(kin_reader *reader, void *buffer, size_t capacity, size_t *size, double timeout)
{
    int error = check_reader(reader, "read from a broadcast");
    if (error || (error = kin__timeout_check(timeout)) != 0)
        return error;
    if (!buffer && capacity)
        return kin__fail(KIN_EINVAL, "cannot read from %s: the buffer is NULL", kin__title(reader).text);
    struct kin__patience patience = {.timeout = timeout};
    struct found found = {0};
    do {
        error = find(reader, &patience, &found);
        if (error)
            return error;
        uint64_t bytes = found.head.word & KIN__SPREAD_SIZE;
        if (size)
            *size = bytes;
        if (bytes > capacity)
            return kin__fail(KIN_ETOOLARGE, "the next message has %zu bytes, the buffer only %zu",
                             (size_t)bytes, capacity);
        if (bytes)
            memcpy(buffer, found.data, bytes);
    } while (!untouched(reader));
    pass(reader, &found);
    return 0;
}

int kin_reader_look(kin_reader *reader, const void **data, size_t *size, double timeout)
{
    int error = check_reader(reader, "look at a broadcast");
    if (error || (error = kin__timeout_check(timeout)) != 0)
        return error;
    if (!data || reader->broadcast->slow != KIN_SLOW_WAIT)
        return kin__fail(KIN_EINVAL, "cannot look at %s without copying: %s", kin__title(reader).text,
                         data ? "it does not wait for slow readers" : "no place for the answer");
    struct kin__patience patience = {.timeout = timeout};
    struct found found = {0};
    error = find(reader, &patience, &found);
    if (error)
        return error;
    *data = found.data;
    if (size)
        *size = found.head.word & KIN__SPREAD_SIZE;
    return 0;
}

int kin_reader_pass(kin_reader *reader)
{
    int error = check_reader(reader, "pass a message");
    struct found found = {0};
    if (!error)
        error = find(reader, &(struct kin__patience){.timeout = 0}, &found);
    if (error)
        return error;
    pass(reader, &found);
    return 0;
}
