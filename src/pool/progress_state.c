/*
 * pool/progress_state.c - what a worker is doing, for progress functions that ask.
 *
 * The seat says which item it is at. For how long, nobody notes, as that would cost each task a look at the clock: the supervisor
 * sees it change.
 */
#include "pool/map.h"

#include "base/failure.h"
#include "os/os.h"
#include "pool/post.h"

#include <stdlib.h>
#include <string.h>

/* What a seat was running when it was looked at last. */
struct kin__watched {
    uint64_t current; /* as in the seat; 0: nothing */
    size_t before;    /* of which window */
    double since;
};

/* The item of the window that a seat is at, plus one; 0: none. */
static uint64_t running(const struct kin__map *map, int worker)
{
    uint64_t current = atomic_load_explicit(&map->pool->seats[worker].current, memory_order_relaxed);
    if (current == 0 || current > map->window)
        return 0;
    return KIN__STATUS(__atomic_load_n(&map->pool->job.status[current - 1], __ATOMIC_RELAXED)) == KIN__PENDING
               ? current
               : 0;
}

void kin__watch_seats(struct kin__map *map, double now)
{
    if (!map->watched)
        map->watched = calloc((size_t)map->pool->workers, sizeof *map->watched);
    for (int i = 0; map->watched && i < map->pool->workers; i++) {
        struct kin__watched *watched = &map->watched[i];
        uint64_t current = running(map, i);
        if (current != watched->current || map->before != watched->before)
            *watched = (struct kin__watched){.current = current, .before = map->before, .since = now};
    }
}

void kin__watch_end(struct kin__map *map)
{
    free(map->watched);
    map->watched = NULL;
}

int kin_progress_worker(const kin_progress *progress, int worker, kin_progress_state *out)
{
    const struct kin__map *map = progress ? progress->map : NULL;
    if (!map || !out || out->size < sizeof out->size || out->size > sizeof *out * 16)
        return kin__fail(KIN_EINVAL, "cannot tell what a worker does: %s",
                         map ? "the size field of the result is not set" : "there is no map");
    if (worker < 0 || worker >= map->pool->workers)
        return kin__fail(KIN_EINVAL, "cannot tell what worker %d does: pool \"%s\" has %d", worker,
                         map->pool->name, map->pool->workers);
    const struct kin__seat *seat = &map->pool->seats[worker];
    const struct kin__post *post = &map->local->posts[worker];
    kin_progress_state state = {.size = out->size};
    pthread_mutex_lock(&map->local->posts_mutex); /* who takes no part in this map may be buried meanwhile */
    if (post->taken && !atomic_load(&post->ended))
        state.pid = kin__post_pid(post);
    pthread_mutex_unlock(&map->local->posts_mutex);
    state.done = atomic_load_explicit(&seat->done, memory_order_relaxed);
    state.failed = atomic_load_explicit(&seat->failed, memory_order_relaxed);
    uint64_t current = state.pid ? running(map, worker) : 0;
    if (current) {
        state.running = true;
        state.index = map->before + current - 1;
        if (map->watched && map->watched[worker].current == current)
            state.seconds = kin__os_now() - map->watched[worker].since;
    }
    size_t size = out->size < sizeof state ? out->size : sizeof state;
    memset(out, 0, state.size);
    memcpy(out, &state, size);
    return 0;
}
