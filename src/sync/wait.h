/*
 * sync/wait.h - sleeping for something that a thread may take with it when it dies.
 *
 * Owner words name threads (family/thread.h). Whether that one is still there is looked up where it matters, by who
 * finds the word taken: nobody keeps lists of what is held. A sleeper cannot miss anything for good:
 *   W1  it looks again by itself every kin__look_again seconds: at the word, and whether the owner lives
 *   W2  before it sleeps it writes in its thread's slot what it sleeps on; whoever recovers a dead member wakes all that
 *       sleep, once the dead one's slots are free, and each looks again
 * So it does not matter where a releaser dies between its store and its wake, or whom a wake was given to.
 *
 *   field of waits   written by      rule                            when the writer dies there
 *   --------------   -------------   -----------------------------   ---------------------------------------------
 *   object           the thread      last before it sleeps; 0 when   it does not wait: its slot is nobody's, or
 *                                    it no longer does; or what      another's, who has cleared it
 *                                    kin__waits_note was told
 *   word, since      the thread      before object                   not read without it
 *   call             the thread      before anything that others     it is in no call
 *                                    can see of the call; 0 last
 *   condition,       the thread      see condition.c                 see condition.c
 *   ticket, note     and notifiers
 */
#ifndef KIN_SYNC_WAIT_H
#define KIN_SYNC_WAIT_H

#include "family/object.h"
#include "family/thread.h"
#include "os/os.h"

#define KIN__NAME_MAX 24u /* an object's, with its end */

/* The calling thread, for the fast ways. NULL: the record is set. */
static inline struct kin__thread *kin__sync_thread(void)
{
    return __builtin_expect(kin__thread_is_ours(), 1) ? kin__thread_mine : kin__thread_self();
}

/* Whether the thread of that name has ended; recovers its process, if that is what it takes. */
bool kin__name_gone(uint64_t name);

/*
 * A call that waits in the kernel, for something that is no object of the heap: `what` is one of these, and `which` a descriptor, or how
 * many things. From its beginning to its end, which is told what this returns. A call that does not wait is not noted.
 */
enum kin__waits_for {
    KIN__FOR_MESSAGE = 1,
    KIN__FOR_SENDING,
    KIN__FOR_CLIENT,
    KIN__FOR_ONE_OF,
    KIN__FOR_END /* what is less, is one of them */
};
struct kin__thread *kin__waits_note(enum kin__waits_for what, uint64_t which, double timeout);
void kin__waits_noted(struct kin__thread *thread);

/* Whether that pause would be worth while: not on a machine, or under an affinity, of one CPU. One turn, if so. */
bool kin__sync_spin(unsigned *turns);

/* A wait that begins to be a sleep; and its end. */
void kin__waits_begin(struct kin__thread *thread, const void *object, const _Atomic uint32_t *word);
void kin__waits_end(struct kin__thread *thread);

/* 0.1. Tests that prove W2, and that without a death no wake is lost at all, do without W1. */
extern double kin__look_again;

/* Sleep while *word == seen, until the deadline or the next look. Between those two. */
void kin__waits_sleep(const _Atomic uint32_t *word, uint32_t seen, double deadline);

/*
 * A call that still touches its object after others can see what it has done: they may free it at once. So it notes in its slot
 * that it is in the call, and who frees looks. No fence is needed: whoever may free has seen what was stored, with release, after
 * the note.
 */
static inline void kin__use_begin(struct kin__thread *me, const void *object)
{
    atomic_store_explicit(&me->waits.call, (uintptr_t)object, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
}

static inline void kin__use_end(struct kin__thread *me)
{
    atomic_store_explicit(&me->waits.call, 0, memory_order_release); /* partner: kin__waits_none */
}

/* KIN_EBUSY, with the record set, if a living thread waits for the object, which is about to be freed, or is in a call of it
 * that does not end in a moment. */
int kin__waits_none(const void *object);

/* The half of a 64-bit word that bits 0 to 31 are in. */
static inline const _Atomic uint32_t *kin__low_half(const _Atomic uint64_t *word)
{
    _Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "kin runs on little-endian machines");
    return (const _Atomic uint32_t *)word;
}

/* KIN_EINVAL for a timeout that is none. */
int kin__timeout_refuse(double timeout);
static inline int kin__timeout_check(double timeout)
{
    return __builtin_expect(timeout >= 0, 1) ? 0 : kin__timeout_refuse(timeout); /* NaN is not */
}

/* What each object of this floor begins with. */
struct kin__sync {
    struct kin__object head;
    uint32_t part; /* 1: it lies in another object, which frees it */
    char name[KIN__NAME_MAX];
};

/* As kin__object_check, for calls that write to the object: a sealed process, which cannot, is told KIN_EPERM. */
int kin__sync_refuse(const void *object, uint32_t magic, const char *what);
static inline bool kin__sync_is(const void *object, uint32_t magic)
{
    return kin__region_open(object) && kin__object_begins(object, magic);
}
static inline int kin__sync_check(const void *object, uint32_t magic, const char *what)
{
    return __builtin_expect(kin__sync_is(object, magic), 1) ? 0 : kin__sync_refuse(object, magic, what);
}

/* Memory for an object, zeroed but for its name, on cache lines of its own; from kin__sync_publish on it is one. */
void *kin__sync_new(size_t size, const char *name);
void *kin__sync_publish(void *object, enum kin__object_magic magic);

/* It is no object any more, and its memory is free. The second is for one that was made by kin__heap_open. */
void kin__sync_free(void *object);
void kin__sync_free_opened(void *object);

/* "lock \"name\"", or with its address, for messages. */
struct kin__title {
    char text[64];
};
struct kin__title kin__title(const void *object);

#endif
