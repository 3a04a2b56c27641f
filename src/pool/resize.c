/*
 * pool/resize.c - more workers, or fewer, while the pool is at work.
 *
 * The seats are there from the start, as many as there may ever be workers. How many are to be taken is one word, and each
 * seat beyond it says so: its worker ends between two tasks. So there is no state in between: whoever takes or leaves a
 * seat looks at the word, and a maker that dies in the middle takes the pool with it.
 */
#include "base/failure.h"
#include "os/os.h"
#include "pool/local.h"

#include <limits.h>

static void set(struct kin__local *local, int workers)
{
    kin_pool *pool = local->pool;
    pthread_mutex_lock(&local->posts_mutex);
    atomic_store(&pool->wanted, workers);
    for (int i = 0; i < pool->workers; i++) {
        atomic_store(&pool->seats[i].retire, i >= workers); /* then who sleeps: partner in wait_for_call */
        if (i >= workers)
            kin__seat_ring(&pool->seats[i]);
    }
    pthread_mutex_unlock(&local->posts_mutex);
    atomic_fetch_add(&pool->event, 1); /* a map goes on with more */
    kin__os_futex_wake(&pool->event, INT_MAX);
    kin__call_warden(pool);
}

static int resize(struct kin__local *local, int workers)
{
    kin_pool *pool = local->pool;
    if (pool->kind == KIN_POOL_INLINE)
        return kin__fail(KIN_ENOTSUP, "pool \"%s\" is inline: it has no workers", pool->name);
    if (workers < 1 || workers > pool->workers)
        return kin__fail(KIN_EINVAL,
                         "cannot give pool \"%s\" %d workers: 1 to %d, as it was made (workers, workers_max)",
                         pool->name, workers, pool->workers);
    pthread_mutex_lock(&local->desk.mutex);
    int error = atomic_load(&pool->closed) ? kin__fail(KIN_ECLOSED, "pool \"%s\" is finished", pool->name)
                                           : kin__warden_start(local); /* it starts and buries them */
    pthread_mutex_unlock(&local->desk.mutex);
    if (!error)
        set(local, workers);
    return error;
}

int kin_pool_resize(kin_pool *pool, int workers)
{
    struct kin__local *local = kin__local_hold(pool, "resize");
    if (!local)
        return kin_error_code();
    int error = resize(local, workers);
    kin__local_release(local);
    return error;
}
