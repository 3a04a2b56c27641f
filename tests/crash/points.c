/* points.c - see points.h. */
#include "crash/points.h"

#include <stdlib.h>
#include <string.h>

static uint64_t mix(uint64_t key, uint64_t more)
{
    key = (key ^ more) * UINT64_C(0x9e3779b97f4a7c15);
    return key ^ (key >> 29);
}

/* Of addresses only what is the same in an image that was loaded elsewhere; of the offset not which byte of a word was the
 * first to differ, which depends on the value. */
static uint64_t key_of(const struct step_victim *victim, enum step_stop stop)
{
    uint64_t key = mix((uint64_t)stop, victim->instruction & 0xfff);
    if (stop == STEP_CHANGED)
        return mix(mix(key, victim->changed_area), victim->changed_offset / sizeof(uint64_t));
    return mix(key, (uint64_t)victim->syscall_number);
}

static unsigned add(struct points *points, uint64_t key)
{
    if (points->count == points->room) {
        points->room = points->room ? 2 * points->room : 256;
        points->at = realloc(points->at, points->room * sizeof(points->at[0]));
        if (!points->at)
            abort();
    }
    points->at[points->count] = (struct point){.key = key};
    return points->count++;
}

void points_begin_run(struct points *points)
{
    if (!points->count)
        add(points, 0);
    points->run++;
    points->last = 0;
}

unsigned points_meet(struct points *points, const struct step_victim *victim, enum step_stop stop,
                     unsigned long gap)
{
    uint64_t key = key_of(victim, stop);
    unsigned index = 1;
    while (index < points->count && (points->at[index].key != key || points->at[index].run == points->run))
        index++;
    if (index == points->count)
        add(points, key);
    points->at[points->last].next = index;
    points->at[points->last].gap = gap;
    points->at[index].run = points->run;
    points->last = index;
    return index;
}

void points_free(struct points *points)
{
    free(points->at);
    memset(points, 0, sizeof(*points));
}
