/* base/random.h - what kin/random.h rests on. */
#ifndef KIN_BASE_RANDOM_H
#define KIN_BASE_RANDOM_H

#include "kin/random.h"

/* One block of Philox4x64-10. */
void kin__philox(const uint64_t counter[4], const uint64_t key[2], uint64_t out[4]);

#endif
