/* progress.h - how a map goes: its bar, the deaths of workers, whether it came to its end. */
#ifndef DEMO_PROGRESS_H
#define DEMO_PROGRESS_H

#include <stdbool.h>

#include "kin/pool.h"

/* A kin_progress_fn; `arg` is a size_t that takes the number of workers that died. */
int progress_show(const kin_progress *progress, void *arg);

/* Whether a map that returned `err` came to its end, with or without failed tasks. */
bool map_came_through(int err);

/* Let the workers of a pool end in order. 0 or a KIN_E code with its story. */
int map_finish(kin_pool *pool);

#endif
