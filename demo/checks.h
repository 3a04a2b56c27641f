/* checks.h - what the demo expects of each part. */
#ifndef DEMO_CHECKS_H
#define DEMO_CHECKS_H

#include "story.h"

void checks_batch(struct story *story);
void checks_faults(struct story *story);
void checks_sweep(struct story *story);

#endif
