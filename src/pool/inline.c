/* pool/inline.c - a window run in the caller, item by item: for debuggers, and to compare. */
#include "pool/map.h"
#include "pool/task.h"

#include "base/failure.h"

static void run_item(struct kin__map *map, struct kin_task *task, size_t index)
{
    const unsigned char *status = &map->pool->job.status[index];
    while (!map->stopping && KIN__STATUS(*status) == KIN__PENDING) {
        kin__map_back_off(map, KIN__ATTEMPTS(*status));
        if (!map->stopping && !kin__task_run(task, map->function, index) && map->args.on_failure == KIN_STOP)
            kin__map_stop(map);
    }
}

void kin__run_inline(struct kin__map *map)
{
    kin_pool *pool = map->pool;
    struct kin__seat *seat = &pool->seats[0];
    pool->chosen = 1;
    if (atomic_load(&seat->ready) != KIN__READY && kin__inline_initialize(map->local) != 0) {
        kin__map_break(map);
        return;
    }
    struct kin_task task = {.job = &pool->job,
                            .seat = seat,
                            .pool = pool,
                            .state = map->local->inline_state,
                            .maker = pool->maker};
    for (size_t i = 0; i < map->window && !map->stopping; i++) {
        if (KIN__STATUS(pool->job.status[i]) != KIN__PENDING) /* it is in the journal */
            continue;
        run_item(map, &task, i);
        kin__map_progress(map, false);
        kin__map_check_canceled(map);
        if (kin__interrupted() && !map->outcome) {
            kin__fail(KIN_EINTR, "pool \"%s\" was interrupted (SIGINT)", pool->name);
            kin__map_break(map);
        }
    }
}

int kin__inline_initialize(struct kin__local *local)
{
    kin_pool *pool = local->pool;
    if (local->initializer) {
        unsigned serial = kin__error_serial;
        int error = local->initializer(&local->inline_state, pool->init_arg);
        if (error)
            return kin__error_serial != serial ? kin_error_code()
                                               : kin__fail(KIN_EFAILED, "the initializer returned %d", error);
    }
    atomic_store(&pool->seats[0].ready, KIN__READY);
    return 0;
}

void kin__inline_finalize(struct kin__local *local)
{
    if (atomic_load(&local->pool->seats[0].ready) == KIN__READY && local->finalizer)
        local->finalizer(local->inline_state);
    atomic_store(&local->pool->seats[0].ready, KIN__NOT_READY);
}
