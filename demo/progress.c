/* progress.c - the progress bar of a map, which also counts the deaths of workers. */
#include "progress.h"

int progress_show(const kin_progress *progress, void *arg)
{
    size_t *deaths = arg;

    *deaths = progress->deaths;
    return kin_progress_bar(progress, NULL);
}
