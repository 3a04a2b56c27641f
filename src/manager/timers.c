/* manager/timers.c - a heap of moments: see server.h. */
#include "manager/server.h"

#include "base/failure.h"
#include "os/os.h"

#include <math.h>
#include <stdlib.h>

static void put(struct kin__timers *timers, size_t place, struct kin__timer *timer)
{
    timers->heap[place - 1] = timer;
    timer->place = place;
}

static void rise(struct kin__timers *timers, size_t place, struct kin__timer *timer)
{
    while (place > 1 && timers->heap[place / 2 - 1]->at > timer->at) {
        put(timers, place, timers->heap[place / 2 - 1]);
        place /= 2;
    }
    put(timers, place, timer);
}

static void sink(struct kin__timers *timers, size_t place, struct kin__timer *timer)
{
    for (;;) {
        size_t child = place * 2;
        if (child > timers->count)
            break;
        if (child < timers->count && timers->heap[child]->at < timers->heap[child - 1]->at)
            child++;
        if (timers->heap[child - 1]->at >= timer->at)
            break;
        put(timers, place, timers->heap[child - 1]);
        place = child;
    }
    put(timers, place, timer);
}

int kin__timer_set(struct kin__timers *timers, struct kin__timer *timer, double at)
{
    kin__timer_stop(timers, timer);
    if (isinf(at))
        return 0;
    if (timers->count == timers->room) {
        size_t room = timers->room ? timers->room * 2 : 64;
        struct kin__timer **heap = realloc(timers->heap, room * sizeof *heap);
        if (!heap)
            return kin__fail(KIN_ENOMEM, "cannot wait in the manager: out of memory");
        timers->heap = heap;
        timers->room = room;
    }
    timer->at = at;
    rise(timers, ++timers->count, timer);
    return 0;
}

void kin__timer_stop(struct kin__timers *timers, struct kin__timer *timer)
{
    size_t place = timer->place;
    if (!place)
        return;
    timer->place = 0;
    struct kin__timer *last = timers->heap[--timers->count];
    if (last == timer)
        return;
    if (place > 1 && timers->heap[place / 2 - 1]->at > last->at)
        rise(timers, place, last);
    else
        sink(timers, place, last);
}

double kin__timers_run(struct kin_server *server)
{
    struct kin__timers *timers = &server->timers;
    while (timers->count) {
        struct kin__timer *first = timers->heap[0];
        double left = first->at - kin__os_now();
        if (left > 0)
            return left;
        kin__timer_stop(timers, first);
        first->fire(server, first);
    }
    return (double)INFINITY;
}
