/*
 * pool/lane.h - a ring of hints at records that wait for a worker: one producer, any number of consumers.
 *
 *   field   written by   rule                             when the writer dies there
 *   -----   ----------   ------------------------------   -----------------------------------------------
 *   tail    producer     after the cell, one store        hint not there; the producer's death takes its records
 *   along next    consumers    CAS of one more                  the hint is lost: who buries the consumer posts it
 *   again cells   producer     while tail - next <= mask        as tail
 *
 *   N1  next <= tail <= next + capacity (counters run free)
 */
#ifndef KIN_POOL_LANE_H
#define KIN_POOL_LANE_H

#include "pool/record.h"

#define KIN__LANE_CELLS 8192u /* hints; what more there is waits with its submitter */

struct kin__lane {
    _Alignas(128) _Atomic uint64_t tail;
    _Alignas(128) _Atomic uint64_t next;
    _Alignas(128) uint64_t mask;
    _Atomic uint64_t *_Atomic cells; /* NULL: never used */
};

/* Make room, once, in an arena of the producer's. */
int kin__lane_open(struct kin__lane *lane, kin_arena *arena);

/* By the producer: false, it is full. */
bool kin__lane_push(struct kin__lane *lane, kin_result *record, uint64_t state);

/* 0: it is empty. */
uint64_t kin__lane_pop(struct kin__lane *lane);

static inline bool kin__lane_empty(const struct kin__lane *lane)
{
    /* Sequentially consistent: partner in kin__lane_push. */
    return atomic_load(&lane->next) == atomic_load(&lane->tail);
}

#endif
