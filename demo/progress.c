/* progress.c - how a map goes: its bar, the deaths of workers, whether it came to its end. */
#include "progress.h"

#include "kin/error.h"

int progress_show(const kin_progress *progress, void *arg)
{
    size_t *deaths = arg;

    *deaths = progress->deaths;
    return kin_progress_bar(progress, NULL);
}

bool map_came_through(int err)
{
    return err == 0 || err == KIN_EFAILED || err == KIN_EDIED || err == KIN_ETIMELIMIT ||
           err == KIN_EMEMLIMIT;
}
