/* progress.h - the progress bar of a map, which also counts the deaths of workers. */
#ifndef DEMO_PROGRESS_H
#define DEMO_PROGRESS_H

#include "kin/progress.h"

/* A kin_progress_fn; `arg` is a size_t that takes the number of workers that died. */
int progress_show(const kin_progress *progress, void *arg);

#endif
