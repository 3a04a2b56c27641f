/*
 * pool/memory_limit.h - a limit on what a task may use, in the worker.
 *
 * Private memory by RLIMIT_DATA (RLIMIT_AS cannot serve: the region's map alone exceeds it), shared memory
 * by the thread's quota. Beyond it allocations fail, and what a program does then mostly kills it. The report of
 * its crash (process/crash.h) says what errno was then, which tells a death by the limit from others: no success
 * resets it.
 */
#ifndef KIN_POOL_MEMORY_LIMIT_H
#define KIN_POOL_MEMORY_LIMIT_H

#include "pool/pool_shared.h"

/* Around a round; `limit` 0 does nothing. What the worker kept from earlier tasks counts. */
void kin__memory_limit_begin(struct kin__seat *seat, size_t limit);
void kin__memory_limit_end(size_t limit);

#endif
