/* sync_world.c - see sync_world.h. */
#include "crash/sync_world.h"
#include "crash/heap_world.h"
#include "harness.h"

#include "family/heap.h"
#include "sync/mutex.h"

#include <check.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define POINTS 25 /* of the short form */

struct sync_world *world;
struct sync_waiter waiters[WAITERS_MAX];

void sync_wrong(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (!world->fault[0])
        vsnprintf(world->fault, sizeof(world->fault), format, args);
    va_end(args);
}

double sync_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

bool sync_recovered(kin__id id)
{
    for (double deadline = sync_now() + PATIENCE; sync_now() < deadline; usleep(50))
        if (kin__member_recover(id) == 0)
            return true;
    return false;
}

/* ---- waiters ----------------------------------------------------------------------------------- */

static void *wait_in_thread(void *arg)
{
    struct sync_waiter *waiter = arg;
    waiter->slot = kin__thread_self();
    atomic_store(&waiter->tid, (int)syscall(SYS_gettid));
    waiter->result = waiter->wait(world);
    atomic_store(&waiter->done, true);
    return NULL;
}

static bool sleeps(struct sync_waiter *waiter)
{
    char path[64], text[300] = "";
    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", atomic_load(&waiter->tid));
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    text[fread(text, 1, sizeof(text) - 1, file)] = 0;
    fclose(file);
    const char *end = strrchr(text, ')');
    return end && strncmp(end, ") S", 3) == 0 && atomic_load(&waiter->slot->waits.object) != 0;
}

void sync_start_thread(int index, int (*wait)(struct sync_world *))
{
    struct sync_waiter *waiter = &waiters[index];
    *waiter = (struct sync_waiter){.wait = wait, .used = true};
    if (pthread_create(&waiter->thread, NULL, wait_in_thread, waiter))
        abort();
}

/* Start one, and come back when it sleeps in its wait. */
void sync_start_waiter(int index, int (*wait)(struct sync_world *))
{
    struct sync_waiter *waiter = &waiters[index];
    sync_start_thread(index, wait);
    for (double deadline = sync_now() + PATIENCE; !atomic_load(&waiter->tid) || !sleeps(waiter); usleep(20))
        if (sync_now() > deadline || atomic_load(&waiter->done)) {
            sync_wrong("a waiter does not begin to wait");
            return;
        }
}

bool sync_is_done(int index)
{
    return atomic_load(&waiters[index].done);
}

/* What it was told; with a fault noted if it hangs. */
int sync_end_waiter(int index)
{
    struct sync_waiter *waiter = &waiters[index];
    for (double deadline = sync_now() + PATIENCE; !atomic_load(&waiter->done); usleep(20))
        if (sync_now() > deadline) {
            sync_wrong("a waiter hangs");
            return KIN_ETIMEDOUT;
        }
    if (waiter->used)
        pthread_join(waiter->thread, NULL);
    waiter->used = false;
    return waiter->result;
}

/* ---- what the lock guards ------------------------------------------------------------------------ */

/* With an acquire's result. Nobody else is inside, unless he has died there; who finds that is told. */
void sync_enter(int result)
{
    if (result == KIN_EOWNERDIED) {
        atomic_fetch_add(&world->told, 1);
        atomic_store(&world->inside, 0);
    } else if (result != 0) {
        sync_wrong("the lock could not be had: %s", kin_error_message());
        return;
    }
    if (atomic_exchange(&world->inside, 1))
        sync_wrong("two have the lock, or its owner died and the next one was not told");
}

void sync_leave(int (*release)(struct sync_world *))
{
    atomic_store(&world->inside, 0);
    if (release(world) != 0)
        sync_wrong("the lock could not be released: %s", kin_error_message());
}

int sync_release_lock(struct sync_world *w)
{
    return kin_lock_release(w->lock);
}

static uint64_t owner_of(const void *lock)
{
    return kin__mutex_owner(lock);
}

/* While the victim stands still: nobody waits for it, as nobody would wake who does. */
void sync_others_try_lock(struct sync_world *w)
{
    if (w->held) {
        w->held = 0;
        sync_leave(sync_release_lock);
    } else if (kin_lock_acquire(w->lock, 0) == 0) {
        sync_enter(0);
        sync_leave(sync_release_lock);
    }
}

/* Once if the victim was the owner when it died. */
void sync_told_rightly(bool died)
{
    if (world->told > died)
        sync_wrong("%u were told of an owner's death", world->told);
    if (died && (world->owned_lock || world->owned_rlock) && !world->told)
        sync_wrong("nobody was told of an owner's death");
}

void sync_lock_is_usable(struct sync_world *w, bool died)
{
    if (w->held)
        sync_others_try_lock(w);
    for (int i = 0; i < WAITERS_MAX; i++)
        if (waiters[i].used)
            sync_end_waiter(i);
    sync_enter(kin_lock_acquire(w->lock, PATIENCE));
    sync_leave(sync_release_lock);
    sync_told_rightly(died);
    if (kin_lock_is_locked(w->lock))
        sync_wrong("the lock stays held");
}

void sync_victim_has_lock(struct sync_world *w)
{
    sync_enter(kin_lock_acquire(w->lock, 0));
}

void sync_after_acquire(struct sync_world *w)
{
    (void)w;
    sync_leave(sync_release_lock);
}

unsigned sync_note_of(const struct kin__thread *slot)
{
    return (unsigned)atomic_load(&slot->waits.note) & 3u;
}

/* ---- parts of the operation ------------------------------------------------------------------------------ */

static void arrange(void *arg)
{
    struct sync_world *w = arg;
    kin_free(kin_malloc(16));
    atomic_store(&w->inside, 0);
    atomic_store(&w->told, 0);
    atomic_store(&w->released, 0);
    w->held = w->given = 0;
    atomic_store(&w->result, 1);
    w->victim = 0;
    if (w->plan.have)
        w->plan.have(w);
}

static void prepare(void *arg)
{
    struct sync_world *w = arg;
    w->slot = kin__thread_self();
    w->victim = kin__self_id();
    if (!w->slot)
        abort();
    kin_error_clear(); /* its record touches its memory */
    if (w->plan.prepare)
        w->plan.prepare(w);
}

static void ready(void *arg)
{
    struct sync_world *w = arg;
    if (w->plan.ready)
        w->plan.ready(w);
}

static void run(void *arg)
{
    struct sync_world *w = arg;
    w->plan.run(w);
}

static void after(void *arg)
{
    struct sync_world *w = arg;
    if (w->plan.after)
        w->plan.after(w);
}

static void others(void *arg)
{
    struct sync_world *w = arg;
    w->plan.others(w);
}

static size_t watch(void *arg, struct step_area *areas)
{
    struct sync_world *w = arg;
    areas[0] = (struct step_area){w->lock, 64};
    areas[1] = (struct step_area){w->rlock, 64};
    areas[2] = (struct step_area){w->signal, 64};
    areas[3] = (struct step_area){w->owned, 64};
    areas[4] = (struct step_area){w->event, 64};
    areas[5] = (struct step_area){w->condition, 128};
    areas[6] = (struct step_area){w->barrier, 192};
    areas[7] = (struct step_area){&w->slot->waits, sizeof(w->slot->waits)};
    areas[8] = (struct step_area){(const void *)&w->inside, 3 * sizeof(uint32_t)};
    return 9;
}

/* Without a death, waiters go on without any recovery, too. */
static const char *check(void *arg, const struct step_end *end)
{
    struct sync_world *w = arg;
    w->waited_at = atomic_load(&w->slot->waits.object);
    w->was_notified = sync_note_of(w->slot) == SYNC_NOTIFIED;
    w->owned_lock = owner_of(w->lock) == w->slot->name;
    w->owned_rlock = owner_of(w->rlock) == w->slot->name;
    if (end->died && !w->plan.looks && !sync_recovered(w->victim))
        return "the victim cannot be recovered";
    w->plan.judge(w, end->died);
    if (!sync_recovered(w->victim))
        return "the victim cannot be recovered";
    for (int i = 0; i < WAITERS_MAX; i++)
        if (waiters[i].used)
            sync_end_waiter(i);
    if (kin__heap_check() != 0)
        return kin_error_message();
    return w->fault[0] ? w->fault : NULL;
}

static void make_objects(void)
{
    world->lock = kin_lock_new(NULL);
    world->rlock = kin_rlock_new(NULL);
    world->signal = kin_semaphore_new(0, NULL);
    world->owned = kin_semaphore_new(1, KIN_SEMAPHORE_OPTIONS(.owned = true));
    world->event = kin_event_new(NULL);
    world->condition = kin_condition_new(world->lock, NULL);
    world->barrier = kin_barrier_new(3, NULL);
    ck_assert_msg(world->lock && world->rlock && world->signal && world->owned && world->event &&
                      world->condition && world->barrier,
                  "%s", kin_error_message());
}

void sync_survive(struct sync_plan plan)
{
    const char *why;
    if (!step_possible(&why))
        test_skip(why);
    heap_found_family();
    world = mmap(NULL, sizeof(*world), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(world, MAP_FAILED);
    world->plan = plan;
    make_objects();
    unsigned turns = 0;
    kin__sync_spin(&turns); /* the number of CPUs is asked for once */
    if (!plan.looks)
        kin__look_again = INFINITY;
    struct step_operation operation = {.name = plan.name,
                                       .world = world,
                                       .arrange = arrange,
                                       .prepare = prepare,
                                       .ready = ready,
                                       .run = run,
                                       .after = after,
                                       .watch = watch,
                                       .others = others,
                                       .check = check};
    step_must_survive(&operation, test_long() ? 0 : POINTS);
}
