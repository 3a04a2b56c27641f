/* progress.c - how a map goes: its bar, the deaths of workers, whether it came to its end. */
#include "progress.h"

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

int map_finish(kin_pool *pool)
{
    int err = kin_pool_finish(pool, 10);

    /* A worker that is killed on its way out takes nothing with it: the results are here. */
    return err == KIN_EDIED ? 0 : err;
}
