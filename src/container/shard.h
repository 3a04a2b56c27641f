/*
 * container/shard.h - what is changed under one lock: a stripe of a dict, or a list.
 *
 * A change is one store to one word, of a `slot`. Everything that the change needs is made before, in blocks that the shard
 * names as spare; everything that goes with it is named as doomed. Whoever finds its owner dead sees from the word whether
 * the change is made, and frees the one or the other. So there is no state between old and new, and no block without a name.
 *
 *   field      written by    rule                                      when the writer dies there
 *   --------   -----------   ---------------------------------------   --------------------------------------------
 *   gate       see message/gate.h
 *   version    gate owner    one more before any block that readers    blocks may have been freed after it, none
 *                            may have seen is freed                    before
 *   count      gate owner    after the slot                            step.count, if the change is made
 *   changed    see message/gate.h
 *   step       gate owner    see below                                 kin__shard_mend
 *
 *   field of step   written by    rule
 *   -------------   -----------   -----------------------------------------------------------------------------
 *   spare           gate owner    made for the change; 0 after it
 *   doomed, batch   gate owner    go with the change. batch names a block of words, each of which may name a block
 *   to, count       gate owner    what *slot and the shard's count will be; before `slot`
 *   slot            gate owner    last before the change, 0 when all is done; *slot != to before the change
 *
 *   H1  nobody owns the gate: slot, spare, doomed and batch are 0
 *   H2  a dead one owned it: after kin__shard_mend, H1, and *slot was changed or not
 *
 * Readers take no lock. They note `version`, follow pointers, and look at it again before they follow the next, and when they
 * have copied what they wanted: as long as it is what it was, nothing that they have seen was freed.
 */
#ifndef KIN_CONTAINER_SHARD_H
#define KIN_CONTAINER_SHARD_H

#include "container/cell.h"
#include "family/heap.h"
#include "message/gate.h"

#include <limits.h>

struct kin__step {
    uint64_t slot;
    uint64_t to;
    uint64_t count;
    uint64_t spare[2];
    uint64_t doomed[2];
    uint64_t batch;
};

struct kin__batch {
    uint64_t count;
    uint64_t words[];
};

struct kin__shard {
    struct kin__gate gate;
    _Atomic uint64_t version;
    _Atomic uint64_t count;
    struct kin__event changed; /* somebody waits for a change */
    struct kin__step step;
};

/* A call that changes something: who makes it, and how long it may wait. */
struct kin__call {
    const void *object;
    const char *what;
    kin__id me;
    struct kin__patience patience;
};

/* 0, or an error with its record: not a member, or a sealed one. */
int kin__call_begin(struct kin__call *call, const void *object, double timeout, const char *what);

/* Acquire the gate, and mend what a dead owner left. 0; KIN_ETIMEDOUT. From then on we are in a call of the object (sync/wait.h),
 * until the release has done its last: who sees the change may free the object at once. */
int kin__shard_acquire(struct kin__shard *shard, struct kin__call *call);
/* As kin__shard_acquire, and KIN_EDIED if it was mended, for one that has more to mend. */
int kin__shard_acquire_told(struct kin__shard *shard, struct kin__call *call);

static inline void kin__shard_release(struct kin__shard *shard)
{
    kin__gate_release(&shard->gate);
    kin__use_end(kin__thread_mine);
}

/* The same after a change that somebody may wait for. */
static inline void kin__shard_release_changed(struct kin__shard *shard)
{
    kin__gate_release(&shard->gate);
    kin__event_tell(&shard->changed, INT_MAX);
    kin__use_end(kin__thread_mine);
}

/* Under the gate. A block named by *word (one of `spare`, `batch`, or one that the container mends itself). NULL: an error. */
static inline void *kin__shard_block(uint64_t *word, size_t size)
{
    void *block = kin__heap_open(size, word);
    if (block) {
        __atomic_store_n(word, (uint64_t)(uintptr_t)block, __ATOMIC_RELEASE);
        kin__heap_close();
    }
    return block;
}

/* The change: *slot = to. Spare blocks are in use, doomed ones are freed. */
void kin__shard_commit(struct kin__shard *shard, uint64_t *slot, uint64_t to, uint64_t count);

/* No change: spare blocks are freed. */
void kin__shard_abandon(struct kin__shard *shard);

/* What readers may have seen is about to be freed. */
static inline void kin__shard_free_begins(struct kin__shard *shard)
{
    uint64_t version = atomic_load_explicit(&shard->version, memory_order_relaxed);
    /* Release: partner is the acquire of readers that begin, who do not find any more what was unlinked before. */
    atomic_store_explicit(&shard->version, version + 1, memory_order_release);
    atomic_thread_fence(memory_order_release); /* partner: the acquire in kin__watch_holds */
}

/*
 * A value that is too large to be copied under the gate is copied before: until kin__value_word, or kin__value_drop, it is the
 * thread's (its `moved` block). `value` is NULL for all others.
 */
struct kin__value {
    struct kin__form form;
    struct kin__cell *block;
};
int kin__value_make(struct kin__value *value, const kin_any *any, const char *what);
void kin__value_drop(struct kin__value *value);

/* Under the gate: the word for a value, its block, if it needs one, named by *spare. 0: an error. */
uint64_t kin__value_word(struct kin__value *value, uint64_t *spare);

/* Under the gate: *cell becomes the value. 1: changed; 0: it was that before; negative: an error, nothing changed. */
int kin__shard_store(struct kin__shard *shard, uint64_t *cell, struct kin__value *value);

/* Whether H1 holds: NULL, or what is wrong. For tests. */
const char *kin__shard_check(const struct kin__shard *shard);

/* What was read, as 0 or an error with its record. */
int kin__got_error(enum kin__got got, const kin_any *out, const struct kin__outlet *outlet);

#endif
