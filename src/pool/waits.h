/* pool/waits.h - who waits for a pool, for reports (kin/waits.h). */
#ifndef KIN_POOL_WAITS_H
#define KIN_POOL_WAITS_H

#include "family/thread.h"
#include "pool/pool_shared.h"

/*
 * This thread waits for the pool from now on, or from `since` on (kin__os_now_ns), until kin__pool_waits_end. `word`: what it sleeps
 * on, which tells for what: the pool's event, its chime, or a record's state; NULL: until all is done.
 */
struct kin__thread *kin__pool_waits(const kin_pool *pool, const _Atomic uint32_t *word, uint64_t since);

static inline void kin__pool_waits_end(struct kin__thread *thread)
{
    if (thread)
        kin__thread_waits_end(thread);
}

#endif
