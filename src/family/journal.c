/* family/journal.c - see journal.h. */
#include "family/journal.h"

#include "base/failure.h"
#include "family/sealed.h"
#include "os/os.h"

#include <string.h>

#define IS_32 1u
#define TRIES 30
#define PAUSES 4

void kin__journal_format(void)
{
    kin__lock_init(&kin__journal()->lock);
}

/* `where` is a common address: what a dead owner noted is undone in another member. */
static void store(uint64_t where, uint64_t value)
{
    where += (uint64_t)kin__alias;
    if (where & IS_32)
        __atomic_store_n((uint32_t *)(uintptr_t)(where - IS_32), (uint32_t)value, __ATOMIC_RELAXED);
    else
        __atomic_store_n((uint64_t *)(uintptr_t)where, value, __ATOMIC_RELAXED);
}

/* Dying in here does no harm: the next owner starts again from the same entries. */
static void undo(struct kin__journal *journal)
{
    for (uint32_t i = journal->count; i-- > 0;)
        store(journal->entry[i].where, journal->entry[i].old);
    kin__crash_fence();
    journal->count = 0;
}

/* Transactions take less than a microsecond, being woken from a sleep 25: so look a few times before. */
static bool acquire(struct kin__lock *lock, double deadline)
{
    for (int i = 0; i < TRIES; i++) {
        if (kin__lock_try(lock) != KIN_EBUSY)
            return true;
        for (int k = 0; k < PAUSES; k++)
            kin__os_pause();
    }
    return kin__lock_acquire_until(lock, deadline) != KIN_ETIMEDOUT;
}

bool kin__journal_begin_until(double deadline)
{
    struct kin__journal *journal = kin__journal();
    if (!acquire(&journal->lock, deadline))
        return false;
    if (journal->count) /* only a dead owner leaves it so */
        undo(journal);
    return true;
}

void kin__journal_begin(void)
{
    (void)kin__journal_begin_until(KIN_FOREVER);
}

static void change(uint64_t where, uint64_t old, uint64_t value)
{
    struct kin__journal *journal = kin__journal();
    if (old == value)
        return;
    uint32_t i = journal->count;
    if (i == KIN__JOURNAL_ENTRIES)
        kin__panic("a transaction has more than %u changes", KIN__JOURNAL_ENTRIES);
    journal->entry[i].where = where = kin__common(where);
    journal->entry[i].old = old;
    kin__crash_fence();
    journal->count = i + 1;
    kin__crash_fence();
    store(where, value);
}

void kin__journal_set(uint64_t *word, uint64_t value)
{
    change((uint64_t)(uintptr_t)word, *word, value);
}

void kin__journal_set32(uint32_t *word, uint32_t value)
{
    change((uint64_t)(uintptr_t)word | IS_32, *word, value);
}

void kin__journal_set_pointer(void *at, const void *value)
{
    uint64_t old;
    memcpy(&old, at, sizeof old);
    change((uint64_t)(uintptr_t)at, old, (uint64_t)(uintptr_t)value);
}

void kin__journal_commit(void)
{
    kin__crash_fence();
    kin__journal()->count = 0;
    kin__crash_fence();
}

void kin__journal_end(void)
{
    kin__journal_commit();
    kin__lock_release(&kin__journal()->lock);
}
