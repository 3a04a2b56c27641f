/* message/transit.c - see transit.h. */
#include "message/transit.h"

#include "base/failure.h"
#include "family/heap.h"
#include "family/journal.h"
#include "family/member.h"
#include "family/region.h"
#include "family/sealed.h"
#include "os/os.h"
#include "os/token.h"
#include "process/handle.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#define SHARE 4u        /* at most one part in so many of the heap's limit is under way */
#define LOOK_AGAIN 0.01 /* seconds */
#define SWEEP_EACH 32u  /* messages */

struct slot {
    uint64_t owner;
    uint64_t number;
    uint64_t block;
    uint64_t size;
    uint64_t pipe; /* and which way */
};

struct kin__transit {
    uint64_t numbers;
    _Atomic uint32_t freed;
    uint32_t top;
    struct slot slots[KIN__TRANSIT_SLOTS];
};

static struct kin__transit *table(void)
{
    return (struct kin__transit *)(uintptr_t)kin__peek(&kin__region->transit);
}

/* Made by the first that needs it, for good. */
static int make_table(void)
{
    if (table())
        return 0;
    struct kin__transit *made = kin__heap_open(sizeof *made, NULL);
    if (!made)
        return kin_error_code();
    memset(made, 0, sizeof *made);
    kin__journal_begin();
    bool first = kin__region->transit == 0;
    if (first) {
        kin__journal_set(&kin__region->transit, (uintptr_t)made);
        kin__heap_close_in(kin__thread_mine);
    }
    kin__journal_end();
    if (!first)
        kin__heap_drop(made);
    return 0;
}

/* ---- slots ----------------------------------------------------------------------------------- */

/* Release: what was done with the slot is done. Partner: the journal's lock, under which it is taken. */
static void set_owner(struct slot *slot, uint64_t owner)
{
    kin__crash_fence();
    __atomic_store_n(&slot->owner, owner, __ATOMIC_RELEASE);
    kin__crash_fence();
}

static void free_slot(struct slot *slot)
{
    struct kin__transit *transit = table();
    set_owner(slot, 0);
    atomic_fetch_add(&transit->freed, 1);
    kin__os_futex_wake(&transit->freed, INT_MAX);
}

/* Take it from an owner, if it is that one's still, for that number. */
static bool take_slot(struct slot *slot, uint64_t owner, uint64_t number)
{
    kin__journal_begin();
    bool ours = __atomic_load_n(&slot->owner, __ATOMIC_ACQUIRE) == owner && slot->number == number;
    if (ours)
        kin__journal_set(&slot->owner, kin__self_id());
    kin__journal_end();
    return ours;
}

/* The block of a slot that is ours goes to the calling thread, which frees it if it dies. */
static void *take_block(struct slot *slot)
{
    void *block = (void *)(uintptr_t)slot->block;
    kin__thread_mine->link = (uint64_t)(uintptr_t)&slot->block;
    kin__intend(kin__thread_mine, KIN__INTENT_OPEN, block);
    kin__poke(&slot->block, 0);
    kin__crash_fence();
    return block;
}

static void drop_slot(struct slot *slot)
{
    if (slot->block)
        kin__heap_drop(take_block(slot));
    free_slot(slot);
}

/* ---- sweeping -------------------------------------------------------------------------------- */

static void sweep_slot(struct slot *slot)
{
    uint64_t owner = kin__peek(&slot->owner), number = kin__peek(&slot->number);
    if (!owner || owner == kin__self_id())
        return;
    if (owner == KIN__OWNER_FAMILY ? kin__os_token_held(kin__region_fd, number)
                                   : kin__member_recover(owner) == KIN_EBUSY)
        return;
    if (take_slot(slot, owner, number))
        drop_slot(slot);
}

void kin__transit_sweep(void)
{
    struct kin__transit *transit = table();
    if (!transit || kin__is_sealed() || !kin__region_has_fd() || !kin__thread_self())
        return;
    for (uint32_t i = 0; i < kin__peek32(&transit->top); i++)
        sweep_slot(&transit->slots[i]);
}

void kin__transit_prepare(void)
{
    static atomic_flag done = ATOMIC_FLAG_INIT; /* forked children have the hooks too */
    if (!atomic_flag_test_and_set(&done))
        kin__member_hooks(&(struct kin__member_hooks){.released = kin__transit_sweep});
}

/* ---- sending --------------------------------------------------------------------------------- */

static struct slot *slot_of(const struct kin__ticket *ticket)
{
    return &table()->slots[ticket->slot];
}

enum room { ROOM, PIPE_IS_FULL, TABLE_IS_FULL };

/* In a transaction. */
static enum room find_free(const struct kin__transit *transit, uint32_t pipe, size_t size, uint32_t *found)
{
    uint64_t all = 0, own = 0, most = kin__region->heap_limit / SHARE;
    uint32_t messages = 0;
    *found = transit->top;
    for (uint32_t i = transit->top; i-- > 0;) {
        const struct slot *slot = &transit->slots[i];
        /* Acquire: who freed it is done with it. Partner: set_owner, which is not under the lock. */
        if (!__atomic_load_n(&slot->owner, __ATOMIC_ACQUIRE)) {
            *found = i;
            continue;
        }
        all += slot->size;
        if (slot->pipe == pipe) {
            own += slot->size;
            messages++;
        }
    }
    if (messages &&
        (messages >= KIN__TRANSIT_MESSAGES || size > KIN__TRANSIT_BYTES || own > KIN__TRANSIT_BYTES - size))
        return PIPE_IS_FULL;
    return *found == KIN__TRANSIT_SLOTS || size > most || all > most - size ? TABLE_IS_FULL : ROOM;
}

static enum room try_reserve(struct kin__transit *transit, uint32_t pipe, size_t size,
                             struct kin__ticket *out)
{
    kin__journal_begin();
    enum room room = find_free(transit, pipe, size, &out->slot);
    out->number = transit->numbers + 1;
    if (room == ROOM) {
        struct slot *slot = &transit->slots[out->slot];
        kin__journal_set(&transit->numbers, out->number);
        if (out->slot == transit->top)
            kin__journal_set32(&transit->top, out->slot + 1);
        kin__journal_set(&slot->number, out->number);
        kin__journal_set(&slot->size, size);
        kin__journal_set(&slot->pipe, pipe);
        kin__journal_set(&slot->owner, kin__self_id());
    }
    kin__journal_end();
    return room;
}

/* Where its lock is another's, who is stopped perhaps, the heap is done without. */
static bool reaches_heap(double deadline)
{
    double soon = kin__os_deadline(LOOK_AGAIN);
    return kin__heap_reach(deadline < soon ? deadline : soon);
}

int kin__transit_reserve(uint32_t pipe, size_t size, double deadline, struct kin__ticket *out)
{
    if (kin__is_sealed() || !kin__region_has_fd() || !kin__thread_self() || !reaches_heap(deadline) ||
        make_table() != 0)
        return KIN_ENOTSUP;
    struct kin__transit *transit = table();
    for (;;) {
        uint32_t seen = atomic_load(&transit->freed);
        enum room room = reaches_heap(deadline) ? try_reserve(transit, pipe, size, out) : TABLE_IS_FULL;
        if (room == ROOM)
            break;
        kin__transit_sweep();
        if (room == TABLE_IS_FULL)
            return KIN_ENOTSUP;
        double left = kin__os_left(deadline);
        if (left <= 0)
            return KIN_ETIMEDOUT;
        kin__os_futex_wait(&transit->freed, seen, left < LOOK_AGAIN ? left : LOOK_AGAIN);
    }
    kin__handles_before_fork();
    int error = kin__os_token_new(kin__region_fd, out->number, &out->token);
    if (!error)
        kin__passing_note(out->token);
    kin__handles_after_fork();
    if (error) {
        free_slot(slot_of(out));
        return KIN_ENOTSUP;
    }
    if (out->number % SWEEP_EACH == 0)
        kin__transit_sweep();
    return 0;
}

int kin__transit_copy(const struct kin__ticket *ticket, const void *data, size_t size)
{
    struct slot *slot = slot_of(ticket);
    void *block = kin__heap_open(size, &slot->block);
    if (!block) {
        kin__passing_close(ticket->token);
        free_slot(slot);
        return kin_error_code();
    }
    memcpy(block, data, size);
    kin__crash_fence();
    kin__poke(&slot->block, (uintptr_t)block); /* from here on it is the slot's */
    kin__heap_close();
    set_owner(slot, KIN__OWNER_FAMILY);
    return 0;
}

void kin__transit_give(const struct kin__ticket *ticket, void *block)
{
    struct slot *slot = slot_of(ticket);
    kin__crash_fence();
    kin__poke(&slot->block, (uintptr_t)block);
    set_owner(slot, KIN__OWNER_FAMILY);
}

void kin__transit_sent(const struct kin__ticket *ticket)
{
    kin__passing_close(ticket->token);
}

void kin__transit_cancel(const struct kin__ticket *ticket, bool given)
{
    struct slot *slot = slot_of(ticket);
    if (take_slot(slot, KIN__OWNER_FAMILY, ticket->number)) {
        if (given)
            kin__poke(&slot->block, 0);
        drop_slot(slot);
    }
    kin__passing_close(ticket->token);
}

/* ---- receiving ------------------------------------------------------------------------------- */

static int refuse(uint64_t number)
{
    return kin__fail(KIN_EMISMATCH, "cannot receive a message: its block, number %llu, is not there",
                     (unsigned long long)number);
}

static struct slot *find_slot(uint32_t index, uint64_t number, size_t size)
{
    struct kin__transit *transit = table();
    if (transit && index < kin__peek32(&transit->top)) {
        struct slot *slot = &transit->slots[index];
        if (kin__peek(&slot->number) == number && kin__peek(&slot->size) == size &&
            __atomic_load_n(&slot->owner, __ATOMIC_ACQUIRE) == KIN__OWNER_FAMILY) /* partner: set_owner */
            return slot;
    }
    refuse(number);
    return NULL;
}

void *kin__transit_claim(uint32_t index, uint64_t number, size_t size)
{
    struct slot *slot = find_slot(index, number, size);
    if (!slot)
        return NULL;
    if (!take_slot(slot, KIN__OWNER_FAMILY, number)) {
        refuse(number);
        return NULL;
    }
    void *block = take_block(slot);
    free_slot(slot);
    return block;
}

const void *kin__transit_look(uint32_t index, uint64_t number, size_t size)
{
    const struct slot *slot = find_slot(index, number, size);
    return slot ? (const void *)(uintptr_t)slot->block : NULL;
}

size_t kin__transit_used(size_t *bytes)
{
    const struct kin__transit *transit = table();
    size_t used = 0;
    *bytes = 0;
    for (uint32_t i = 0; transit && i < transit->top; i++)
        if (transit->slots[i].owner) {
            used++;
            *bytes += transit->slots[i].size;
        }
    return used;
}
