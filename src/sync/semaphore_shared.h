/* sync/semaphore_shared.h - a semaphore as it lies in the heap; what its fields mean is in semaphore.c. */
#ifndef KIN_SYNC_SEMAPHORE_SHARED_H
#define KIN_SYNC_SEMAPHORE_SHARED_H

#include "sync/wait.h"

struct kin_semaphore {
    struct kin__sync sync;
    _Atomic uint64_t word;
    uint64_t full;  /* signal: as word, with all permits that may be there */
    uint32_t owned; /* holders; 0: a signal */
    _Atomic uint64_t holder[];
};

#endif
