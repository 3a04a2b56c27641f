/*
 * family/thread.h - a slot in the region for each thread that uses the heap.
 *
 * It holds what a thread has under way, so that whoever recovers its member can finish or undo it.
 */
#ifndef KIN_FAMILY_THREAD_H
#define KIN_FAMILY_THREAD_H

#include "family/member.h"

#define KIN__THREADS_MAX 4096u

struct kin__thread;

/* The calling thread's slot, attached at its first use. NULL, with the record set, if there is none. */
struct kin__thread *kin__thread_self(void);

/* In a child, after fork: the slot this thread remembers is its parent's. Touches nothing shared. */
void kin__thread_forget(void);

/* Take back what the member's threads had: finish or undo what was under way, give up their spans, free
 * their slots. Idempotent; the caller holds the dead member's life lock. */
void kin__threads_recover(struct kin__member *dead);

/* Limit what the calling thread may allocate from now on beyond what it frees, in bytes (kin_malloc and
 * arenas then fail with KIN_EMEMLIMIT); SIZE_MAX: no limit. Checked when a span or large block is needed, so
 * up to a span of each size class may be had beyond it. */
void kin__thread_set_quota(size_t bytes);

#endif
