/*
 * family/journal.h - one lock and an undo log: how several words change as one.
 *
 *     kin__journal_begin();
 *     kin__journal_set(&word, value);         any number of these
 *     kin__journal_end();                     from here on all of them are true
 *
 * A set stores at once, after it has noted the old value; so code inside a transaction simply reads what it
 * has written. The one store that makes the transaction true is that of `count` = 0. If its maker dies before
 * it, whoever takes the lock next puts the old values back: nothing happened.
 *
 * What follows from that: a word that is changed here may be read without the lock, but then it may be seen
 * before the transaction is true, and may go back. Each such reader says why it does not mind.
 *
 *   field     written by   rule                              when the writer dies there
 *   -------   ----------   -------------------------------   -----------------------------------------
 *   lock      all          robust mutex                      next owner undoes, see count
 *   count     owner        entries below it are valid        not 0: next owner undoes them, last first
 *   entry     owner        before count covers it            not covered: never looked at
 *
 * Order: a killed thread's stores, up to the instruction it died at, are all seen by who learns of the death
 * (through the kernel). So only the compiler has to be kept from moving them: signal fences.
 *
 * Between transactions: J1 count is 0.
 */
#ifndef KIN_FAMILY_JOURNAL_H
#define KIN_FAMILY_JOURNAL_H

#include "family/lock.h"
#include "family/region.h"

#include <stdatomic.h>

#define KIN__JOURNAL_ENTRIES \
    96u /* the largest transaction (an empty span goes back and joins both neighbours) has 50 */

struct kin__journal {
    struct kin__lock lock;
    uint32_t count;
    struct {
        uint64_t where; /* address; bit 0 set: a 32-bit word */
        uint64_t old;
    } entry[KIN__JOURNAL_ENTRIES];
};

/* The family's journal: the first thing in the heap's area. */
static inline struct kin__journal *kin__journal(void)
{
    return kin__region_at(KIN__AT_HEAP);
}

void kin__journal_format(void);

/* Acquire the lock; undo what a dead owner left. Not recursive. */
void kin__journal_begin(void);

/* The same; false: it was another's until the deadline (kin__os_deadline), who may be stopped (SIGSTOP). */
bool kin__journal_begin_until(double deadline);

/* Change a word of the region. */
void kin__journal_set(uint64_t *word, uint64_t value);
void kin__journal_set32(uint32_t *word, uint32_t value);
void kin__journal_set_pointer(void *at, const void *value); /* `at` is that of a pointer of any type */

/* Make the changes so far true, and go on under the lock; the same, and release it. */
void kin__journal_commit(void);
void kin__journal_end(void);

/* Words that are read without the lock while others write them. */
static inline uint32_t kin__peek32(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline uint64_t kin__peek(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline void kin__poke(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

/* What stands above it is done before what stands below, for whoever finds us dead in between. */
static inline void kin__crash_fence(void)
{
    atomic_signal_fence(memory_order_seq_cst);
}

#endif
