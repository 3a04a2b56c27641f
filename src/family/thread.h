/*
 * family/thread.h - a slot in the region for each thread that uses the heap.
 *
 * It holds what a thread has under way, so that whoever recovers its member can finish or undo it; and what it
 * has taken for itself: at most one span of each size class (family/span.h), which only it allocates from.
 *
 *   field     written by    rule                               when the writer dies there
 *   -------   -----------   --------------------------------   ----------------------------------------
 *   owner     journal       0: the slot is free                undone
 *   next      journal       in the owner's list, or the free   undone
 *   intent    thread        one store; also by the journal     recovery does what it says, see below
 *   link      thread        before an OPEN, UNLINK intent      not read without these intents
 *   moved     thread        before the intent of freeing the   recovery frees it: nobody else knows it
 *                           old block; the new one of realloc
 *   arena     journal       an arena it has begun to free      recovery frees the rest
 *   late      thread, and   address and kind (LARGE, RUN) of   recovery gives it back; until `moved` or the intent,
 *             journal       what it could not give back in     which named it before, are cleared, it is told
 *                           time: see kin__heap_make           from `late`
 *   cache     thread        see family/span.h                  `span` is the journal's; the rest is void
 *   charged   thread        see kin__thread_set_quota          void
 *   quarantine              see family/checked.h
 *   name      who attaches  before owner, under the lock       as stored: no thread goes by that name
 *   waits     thread        see sync/wait.h                    its recovery clears it
 *
 * The intent is an address and, in the low bits, what is done with it. Recovery, acting as the dead thread:
 *
 *   NONE                                   nothing
 *   MALLOC   block is about to be, or      if it is allocated, free it: nobody else knows it
 *            just was, allocated
 *   OPEN     the same, until it is         free it unless *link is its address
 *            linked where `link` says
 *   LAST     block was returned            if it is still allocated, it may have stayed behind: count it
 *   FREE     block of a span is being      in a span of the thread's own: free it, if it still is allocated.
 *            freed; FREE_1: its R bit      Else: if the R bit has changed it is freed; if not, it can't be told
 *            was 1                         whether it is allocated again: leave and count it
 *   LARGE    large block is being freed    free it: this intent goes in the transaction that frees it
 *   RUN      run is being given memory     give it back without memory
 *            or losing it
 *   UNLINK   block is about to be, or      free it unless *link is its address
 *            is, taken out of *link, and
 *            is freed then
 *
 * T1  a member's list holds exactly the slots with that owner
 * T2  a free slot has no intent, moved block, arena, quarantine or span, and nothing late
 */
#ifndef KIN_FAMILY_THREAD_H
#define KIN_FAMILY_THREAD_H

#include "family/member.h"
#include "family/units.h"

#define KIN__THREADS_MAX 4096u

/* The last slots serve the recovery of members' arenas, one for each member slot: there is always one. */
#define KIN__THREADS_SPARE (KIN__THREADS_MAX - KIN__MEMBERS_MAX)

enum kin__intent {
    KIN__INTENT_NONE = 0,
    KIN__INTENT_MALLOC,
    KIN__INTENT_OPEN,
    KIN__INTENT_LAST,
    KIN__INTENT_FREE,
    KIN__INTENT_FREE_1,
    KIN__INTENT_LARGE,
    KIN__INTENT_RUN,
    KIN__INTENT_UNLINK
};
#define KIN__INTENT_MASK 15u /* blocks are aligned to 16 */

/* The thread's view of its span of one class; see kin__span_malloc. */
struct kin__cache {
    uint64_t mask;  /* free blocks among the 64 it is looking at */
    uint64_t *word; /* their word of the span's A bits */
    char *first;    /* the first of the 64 blocks */
    uint32_t span;  /* unit; 0: none */
    uint32_t had;   /* blocks that were free when it took the span */
};

/* What a thread waits for, on the sync floor: see sync/wait.h, which writes it. */
struct kin__waits {
    _Atomic uint64_t object;    /* its address; 0: it does not wait */
    _Atomic uint64_t word;      /* what it sleeps on */
    _Atomic uint64_t since;     /* kin__os_now_ns */
    _Atomic uint64_t call;      /* an object that it is in a call of, asleep or not; 0: none */
    _Atomic uint64_t condition; /* where it is a waiter, until it has returned; 0: nowhere */
    _Atomic uint64_t ticket;    /* its place in a condition's queue */
    _Atomic uint64_t note;      /* and what became of it there; also slept on */
};

struct kin__thread {
    uint64_t intent;
    uint64_t link;
    uint64_t moved;
    uint64_t arena;
    kin__id owner;
    uint32_t index;
    uint32_t next;
    int64_t charged; /* bytes allocated less bytes freed, without what lies in spans it holds now */
    int64_t quota;   /* INT64_MAX: none */
    uint64_t
        quarantine; /* under KIN_CHECK=heap: address of its freed blocks' list, 0: none (family/checked.h) */
    struct kin__cache cache[KIN__CLASSES];
    uint64_t name;
    uint64_t late;
    struct kin__waits waits __attribute__((aligned(64)));
} __attribute__((aligned(KIN__THREAD_SIZE)));

_Static_assert(sizeof(struct kin__thread) == KIN__THREAD_SIZE, "a thread slot");

/*
 * Each thread's name in owner words: generation of the slot << 32 | slot << 1, never 0 and never given twice, so that the
 * dead are told from their slot's next user. Bit 0 and bits 13 to 31 are the owner word's own.
 */
#define KIN__NAME_INDEX(name) (((uint32_t)(name)&0x1ffeu) >> 1)
#define KIN__NAME_NEXT 0x100000000u
_Static_assert(KIN__THREADS_MAX <= 0x1000u, "a name has room for the slot");

/* The member that the thread of that name belongs to; 0: that thread has ended. */
kin__id kin__thread_member(uint64_t name);

/* The calling thread's slot; in a child, after a fork, still that of the parent's thread: see kin__thread_is_ours. */
extern _Thread_local struct kin__thread *kin__thread_mine __attribute__((tls_model("initial-exec")));

/* The calling thread's slot, attached at its first use. NULL, with the record set, if there is none. */
struct kin__thread *kin__thread_self(void);

/* Whose it is: what kin__alive_page said when it was attached. `fast` is the same, or KIN__NO_TOKEN if its calls of the
 * heap are to take the slow way, where they are checked. */
#define KIN__NO_TOKEN UINT32_MAX
extern _Thread_local uint32_t kin__thread_token __attribute__((tls_model("initial-exec")));
extern _Thread_local uint32_t kin__thread_fast __attribute__((tls_model("initial-exec")));

static inline bool kin__thread_is_ours(void)
{
    return kin__thread_mine && __atomic_load_n(kin__alive_page, __ATOMIC_RELAXED) == kin__thread_token;
}

static inline bool kin__thread_is_fast(void)
{
    return kin__thread_mine && __atomic_load_n(kin__alive_page, __ATOMIC_RELAXED) == kin__thread_fast;
}

static inline void kin__intend(struct kin__thread *thread, enum kin__intent what, const void *block)
{
    kin__crash_fence();
    kin__poke(&thread->intent, (uint64_t)(uintptr_t)block | what);
    kin__crash_fence();
}

/* What the thread waits for, for who asks (kin/waits.h) and who wakes (sync/wait.h). `word`: address it sleeps on, or 0. */
static inline void kin__thread_waits_begin(struct kin__thread *thread, const void *object, uint64_t word,
                                           uint64_t since)
{
    atomic_store_explicit(&thread->waits.since, since, memory_order_relaxed);
    atomic_store_explicit(&thread->waits.word, word, memory_order_relaxed);
    atomic_store_explicit(&thread->waits.object, (uintptr_t)object, memory_order_release);
}

static inline void kin__thread_waits_end(struct kin__thread *thread)
{
    atomic_store_explicit(&thread->waits.object, 0, memory_order_release);
}

/* Give the calling thread's slot back: it ends, or its process does. */
void kin__thread_leave(void);

/* In a child, after fork: the slot this thread remembers is its parent's. Touches nothing shared. */
void kin__thread_forget(void);

/* Take back what the member's threads had: finish or undo what was under way, give up their spans, free
 * their slots. Idempotent; the caller holds the dead member's life lock. */
void kin__threads_recover(struct kin__member *dead);

/* The slot for the recovery of a dead member's arenas; finishes what an earlier recoverer had under way. */
struct kin__thread *kin__thread_spare(struct kin__member *dead);

struct kin__thread *kin__thread_at(uint32_t index);

/* Limit what the calling thread may allocate from now on beyond what it frees, in bytes (kin_malloc and
 * arenas then fail with KIN_EMEMLIMIT); SIZE_MAX: no limit. Checked when a span or large block is needed, so
 * up to a span of each size class may be had beyond it. */
void kin__thread_set_quota(size_t bytes);

/* The same for all threads of the calling process together, from its start on: beyond `soft` a warning is logged,
 * once; beyond `hard` allocations fail. For a process that has just begun. */
void kin__member_set_quota(size_t soft, size_t hard);

/* KIN_EMEMLIMIT if `bytes` more would be beyond the thread's or the member's quota. */
int kin__thread_may_have(const struct kin__thread *thread, size_t bytes);

#endif
