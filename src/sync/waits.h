/* sync/waits.h - what a report of waits asks of each kind of object (kin/waits.h). Reads only, takes no lock. */
#ifndef KIN_SYNC_WAITS_H
#define KIN_SYNC_WAITS_H

#include "family/thread.h"

#define KIN__HOLDERS_MAX 8u

struct kin__held {
    char what[32];
    char title[24];  /* its name, if `titled`; else it is where struct kin__sync has it */
    uint32_t count;  /* threads that hold it: some may be beyond the array */
    uint32_t titled; /* (no bytes between fields, as two looks are compared) */
    uint64_t name[KIN__HOLDERS_MAX];
    kin__id member; /* or a member that does */
};

/* Fill in what is known of one that sleeps on `word` of the object, which may be freed meanwhile: it is zeroed before. */
typedef void (*kin__held_fn)(const void *object, uint64_t word, struct kin__held *out);

/* For objects of upper floors; by a constructor. */
void kin__waits_register(uint32_t magic, kin__held_fn held);

#endif
