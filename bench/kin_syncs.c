/* kin_syncs.c - kin's locks and semaphores. */
#include "run_kin.h"
#include "syncs.h"

#include <kin.h>

#include <string.h>

static void check(int error)
{
    if (error)
        bench_fail("%s", kin_error_message());
}

static void acquire_lock(void *object)
{
    check(kin_lock_acquire(object, KIN_FOREVER));
}

static void release_lock(void *object)
{
    check(kin_lock_release(object));
}

static void acquire_rlock(void *object)
{
    check(kin_rlock_acquire(object, KIN_FOREVER));
}

static void release_rlock(void *object)
{
    check(kin_rlock_release(object));
}

static void acquire_semaphore(void *object)
{
    check(kin_semaphore_acquire(object, KIN_FOREVER));
}

static void release_semaphore(void *object)
{
    check(kin_semaphore_release(object));
}

/* Event: nobody else clears it between its set and the look. */
static void acquire_event(void *object)
{
    check(kin_event_wait(object, KIN_FOREVER));
    check(kin_event_clear(object));
}

static void release_event(void *object)
{
    check(kin_event_set(object));
}

void kin_sync_open(const char *who)
{
    struct bench_sync sync = {acquire_semaphore, release_semaphore, NULL, true};

    if (!strcmp(who, "kin-owned"))
        sync.object = kin_semaphore_new(1, KIN_SEMAPHORE_OPTIONS(.owned = true));
    else if (!strcmp(who, "kin-signal") || !strcmp(bench_set, "semaphore"))
        sync.object = kin_semaphore_new(bench_sync_begins_empty() ? 0 : 1, NULL);
    else if (!strcmp(who, "kin-event"))
        sync = (struct bench_sync){acquire_event, release_event, kin_event_new(NULL), true};
    else if (!strcmp(who, "kin-rlock"))
        sync = (struct bench_sync){acquire_rlock, release_rlock, kin_rlock_new(NULL), false};
    else
        sync = (struct bench_sync){acquire_lock, release_lock, kin_lock_new(NULL), false};
    if (!sync.object)
        bench_fail("%s", kin_error_message());
    bench_sync_open(&sync);
}
