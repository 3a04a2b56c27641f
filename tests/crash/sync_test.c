/*
 * sync_test.c - locks, semaphores, events, conditions and barriers at every point where who uses them may die.
 *
 * Beside the victim there are *waiters*, threads of the survivor that sleep on the same object. Whatever becomes of the victim,
 * each of them goes on, has what it waited for once and nobody else has it too, and is told of an owner's death exactly
 * where there was one. Sleepers do not look again by themselves here (W1 of sync/wait.h), but where a test says so: so
 * without a death each wake has to arrive, and after one the recovery has to wake whoever needs it (W2).
 */
#include "crash/heap_world.h"
#include "crash/stepper.h"
#include "harness.h"

#include "family/heap.h"
#include "family/thread.h"
#include "sync/mutex.h"
#include "sync/semaphore_shared.h"

#include "kin/barrier.h"
#include "kin/condition.h"
#include "kin/error.h"
#include "kin/event.h"
#include "kin/lock.h"
#include "kin/rlock.h"
#include "kin/semaphore.h"

#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WAITERS_MAX 2
#define PATIENCE 5.0 /* seconds */
#define POINTS 25    /* of the short form */
#define CONDITION_SIZE 512

struct sync_world;

/* What a test tries; each part may be NULL. */
struct plan {
    const char *name;
    void (*have)(struct sync_world *);    /* survivor, before each victim */
    void (*prepare)(struct sync_world *); /* victim, before it is stepped */
    void (*ready)(struct sync_world *);   /* survivor, once the victim is prepared */
    void (*run)(struct sync_world *);     /* victim */
    void (*after)(struct sync_world *);   /* victim, if it goes on */
    void (*others)(struct sync_world *);  /* survivor */
    void (*judge)(struct sync_world *, bool died);
    bool looks; /* W1 is on, and nobody recovers the victim first */
};

struct sync_world {
    struct plan plan;
    kin_lock *lock;
    kin_rlock *rlock;
    kin_semaphore *signal, *owned;
    kin_event *event;
    kin_condition *condition;
    kin_barrier *barrier;
    kin__id victim;
    struct kin__thread *slot; /* the victim's */
    /* for one victim */
    _Atomic uint32_t inside; /* who has the lock is */
    _Atomic uint32_t told;   /* times that somebody was told of an owner's death */
    _Atomic int result;      /* of the victim's operation; 1: none yet */
    uint32_t held;           /* the survivor holds it */
    uint32_t given;          /* notifications, releases by the survivor */
    /* what was so when the victim died */
    uint64_t waited_at;
    bool was_notified, owned_lock, owned_rlock;
    char fault[200];
};

static struct sync_world *world;

static void wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void wrong(const char *format, ...)
{
    if (world->fault[0])
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(world->fault, sizeof(world->fault), format, args);
    va_end(args);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static bool recovered(kin__id id)
{
    for (double deadline = now() + PATIENCE; now() < deadline; usleep(50))
        if (kin__member_recover(id) == 0)
            return true;
    return false;
}

/* ---- waiters ----------------------------------------------------------------------------------- */

/* Private to the survivor. */
static struct waiter {
    pthread_t thread;
    int (*wait)(struct sync_world *);
    struct kin__thread *slot;
    _Atomic int tid;
    _Atomic bool done;
    bool used;
    int result;
} waiters[WAITERS_MAX];

static void *wait_in_thread(void *arg)
{
    struct waiter *waiter = arg;
    waiter->slot = kin__thread_self();
    atomic_store(&waiter->tid, (int)syscall(SYS_gettid));
    waiter->result = waiter->wait(world);
    atomic_store(&waiter->done, true);
    return NULL;
}

static bool sleeps(struct waiter *waiter)
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

static void start_thread(int index, int (*wait)(struct sync_world *))
{
    struct waiter *waiter = &waiters[index];
    *waiter = (struct waiter){.wait = wait, .used = true};
    if (pthread_create(&waiter->thread, NULL, wait_in_thread, waiter))
        abort();
}

/* Start one, and come back when it sleeps in its wait. */
static void start_waiter(int index, int (*wait)(struct sync_world *))
{
    struct waiter *waiter = &waiters[index];
    start_thread(index, wait);
    for (double deadline = now() + PATIENCE; !atomic_load(&waiter->tid) || !sleeps(waiter); usleep(20))
        if (now() > deadline || atomic_load(&waiter->done)) {
            wrong("a waiter does not begin to wait");
            return;
        }
}

static bool is_done(int index)
{
    return atomic_load(&waiters[index].done);
}

/* What it was told; with a fault noted if it hangs. */
static int end_waiter(int index)
{
    struct waiter *waiter = &waiters[index];
    for (double deadline = now() + PATIENCE; !atomic_load(&waiter->done); usleep(20))
        if (now() > deadline) {
            wrong("a waiter hangs");
            return KIN_ETIMEDOUT;
        }
    if (waiter->used)
        pthread_join(waiter->thread, NULL);
    waiter->used = false;
    return waiter->result;
}

/* ---- what the lock guards ------------------------------------------------------------------------ */

/* With an acquire's result. Nobody else is inside, unless he has died there; who finds that is told. */
static void enter(int result)
{
    if (result == KIN_EOWNERDIED) {
        atomic_fetch_add(&world->told, 1);
        atomic_store(&world->inside, 0);
    } else if (result != 0) {
        wrong("the lock could not be had: %s", kin_error_message());
        return;
    }
    if (atomic_exchange(&world->inside, 1))
        wrong("two have the lock, or its owner died and the next one was not told");
}

static void leave(int (*release)(struct sync_world *))
{
    atomic_store(&world->inside, 0);
    if (release(world) != 0)
        wrong("the lock could not be released: %s", kin_error_message());
}

static int release_lock(struct sync_world *w)
{
    return kin_lock_release(w->lock);
}

static int release_rlock(struct sync_world *w)
{
    return kin_rlock_release(w->rlock);
}

static int use_lock(struct sync_world *w)
{
    int result = kin_lock_acquire(w->lock, KIN_FOREVER);
    enter(result);
    leave(release_lock);
    return result;
}

static int use_rlock(struct sync_world *w)
{
    int result = kin_rlock_acquire(w->rlock, KIN_FOREVER);
    enter(result);
    leave(release_rlock);
    return result;
}

/* While the victim stands still: nobody waits for it, as nobody would wake who does. */
static void others_try_lock(struct sync_world *w)
{
    if (w->held) {
        w->held = 0;
        leave(release_lock);
    } else if (kin_lock_acquire(w->lock, 0) == 0) {
        enter(0);
        leave(release_lock);
    }
}

static void others_try_rlock(struct sync_world *w)
{
    if (kin_rlock_acquire(w->rlock, 0) == 0) {
        enter(0);
        leave(release_rlock);
    }
}

static uint64_t owner_of(const void *lock)
{
    return kin__mutex_owner(lock);
}

/* Once if the victim was the owner when it died. */
static void told_rightly(bool died)
{
    if (world->told > died)
        wrong("%u were told of an owner's death", world->told);
    if (died && (world->owned_lock || world->owned_rlock) && !world->told)
        wrong("nobody was told of an owner's death");
}

static void lock_is_usable(struct sync_world *w, bool died)
{
    if (w->held)
        others_try_lock(w);
    for (int i = 0; i < WAITERS_MAX; i++)
        if (waiters[i].used)
            end_waiter(i);
    enter(kin_lock_acquire(w->lock, PATIENCE));
    leave(release_lock);
    told_rightly(died);
    if (kin_lock_is_locked(w->lock))
        wrong("the lock stays held");
}

static void rlock_is_usable(struct sync_world *w, bool died)
{
    if (waiters[0].used)
        end_waiter(0);
    enter(kin_rlock_acquire(w->rlock, PATIENCE));
    leave(release_rlock);
    if (kin_rlock_release(w->rlock) != KIN_EINVAL)
        wrong("the rlock had to be released twice");
    told_rightly(died);
}

static void hold_lock(struct sync_world *w)
{
    enter(kin_lock_acquire(w->lock, 0));
    w->held = 1;
}

static void hold_and_be_waited_for(struct sync_world *w)
{
    hold_lock(w);
    start_waiter(0, use_lock);
}

static void victim_has_lock(struct sync_world *w)
{
    enter(kin_lock_acquire(w->lock, 0));
}

static void victim_has_rlock_twice(struct sync_world *w)
{
    enter(kin_rlock_acquire(w->rlock, 0));
    if (kin_rlock_acquire(w->rlock, 0))
        abort();
}

static void wait_for_victims_lock(struct sync_world *w)
{
    (void)w;
    start_waiter(0, use_lock);
    start_waiter(1, use_lock);
}

static void wait_for_victims_rlock(struct sync_world *w)
{
    (void)w;
    start_waiter(0, use_rlock);
}

static void run_acquire(struct sync_world *w)
{
    enter(kin_lock_acquire(w->lock, KIN_FOREVER));
}

static void run_release(struct sync_world *w)
{
    (void)w;
    leave(release_lock);
}

static void after_acquire(struct sync_world *w)
{
    (void)w;
    leave(release_lock);
}

static void run_rlock(struct sync_world *w)
{
    for (int i = 0; i < 2; i++) {
        int result = kin_rlock_acquire(w->rlock, KIN_FOREVER);
        if (i == 0)
            enter(result);
    }
    if (kin_rlock_release(w->rlock))
        wrong("an rlock that is held twice cannot be released");
    leave(release_rlock);
}

static void run_rlock_release(struct sync_world *w)
{
    if (kin_rlock_release(w->rlock))
        wrong("an rlock that is held twice cannot be released");
    leave(release_rlock);
}

/* ---- semaphores ------------------------------------------------------------------------------------ */

static int take_signal(struct sync_world *w)
{
    return kin_semaphore_acquire(w->signal, KIN_FOREVER);
}

static int take_and_give_signal(struct sync_world *w)
{
    int result = kin_semaphore_acquire(w->signal, KIN_FOREVER);
    return result ? result : kin_semaphore_release(w->signal);
}

static void set_signal(uint32_t value)
{
    atomic_store(&world->signal->word, (uint64_t)value << 1);
}

static void signal_of_two(struct sync_world *w)
{
    (void)w;
    set_signal(2);
}

static void signal_of_none(struct sync_world *w)
{
    (void)w;
    set_signal(0);
}

static void signal_with_a_sleeper(struct sync_world *w)
{
    (void)w;
    set_signal(0);
    start_waiter(0, take_signal);
}

static void run_signal_acquire(struct sync_world *w)
{
    atomic_store(&w->result, kin_semaphore_acquire(w->signal, KIN_FOREVER));
}

static void run_signal_release(struct sync_world *w)
{
    atomic_store(&w->result, kin_semaphore_release(w->signal));
}

static void others_use_signal(struct sync_world *w)
{
    if (kin_semaphore_acquire(w->signal, 0) == 0 && kin_semaphore_release(w->signal))
        wrong("a semaphore cannot be released: %s", kin_error_message());
}

static void give_signal(struct sync_world *w)
{
    if (kin_semaphore_release(w->signal))
        wrong("a semaphore cannot be released: %s", kin_error_message());
}

/* If the victim sleeps, a waiter falls asleep behind it, so that it is the victim that is woken. One permit for the two. */
static void others_give_one_signal(struct sync_world *w)
{
    if (w->given++)
        return;
    if (!waiters[0].used)
        start_waiter(0, take_and_give_signal);
    give_signal(w);
}

static uint32_t releases(void)
{
    return (uint32_t)(atomic_load(&world->signal->word) >> 32);
}

/* One that went on has taken one of the two. */
static void one_permit_was_taken(struct sync_world *w, bool died)
{
    int value = kin_semaphore_value(w->signal);
    if (value != 1 && !(died && value == 2))
        wrong("of two permits, %d are there", value);
    if (!died && w->result != 0)
        wrong("acquire told %d", w->result);
}

/* Every permit that was released is there, or has been taken by who was to have it; nobody sleeps while there is one. */
static void permits_are_taken(struct sync_world *w, bool died)
{
    others_give_one_signal(w);
    for (double deadline = now() + PATIENCE; !is_done(0) && kin_semaphore_value(w->signal) > 0; usleep(20))
        if (now() > deadline) {
            wrong("a waiter sleeps, and there is a permit");
            return;
        }
    bool takes = w->plan.run == run_signal_acquire;
    if (!is_done(0) && !takes)
        wrong("a permit was released, and the only one to wait does not have it");
    if (!is_done(0)) /* the dead one had it */
        give_signal(w);
    if (end_waiter(0))
        wrong("the waiter has no permit");
    uint32_t taken = releases() - (uint32_t)kin_semaphore_value(w->signal);
    if (taken != 1u + takes && !(died && taken == 1))
        wrong("of %u that were released %u were taken", releases(), taken);
}

static int use_owned(struct sync_world *w)
{
    int result = kin_semaphore_acquire(w->owned, KIN_FOREVER);
    if (atomic_fetch_add(&w->inside, 1) > 0 && !w->plan.looks)
        wrong("two have the one permit");
    atomic_fetch_sub(&w->inside, 1);
    return result ? result : kin_semaphore_release(w->owned);
}

static void hold_owned_and_be_waited_for(struct sync_world *w)
{
    if (kin_semaphore_acquire(w->owned, 0))
        wrong("the permit cannot be had");
    w->held = 1;
    start_waiter(0, use_owned);
}

static void victim_has_owned(struct sync_world *w)
{
    if (kin_semaphore_acquire(w->owned, 0))
        abort();
}

static void wait_for_victims_owned(struct sync_world *w)
{
    (void)w;
    start_waiter(0, use_owned);
    start_waiter(1, use_owned);
}

static void run_owned_acquire(struct sync_world *w)
{
    atomic_store(&w->result, kin_semaphore_acquire(w->owned, KIN_FOREVER));
}

static void run_owned_release(struct sync_world *w)
{
    atomic_store(&w->result, kin_semaphore_release(w->owned));
}

static void after_owned_acquire(struct sync_world *w)
{
    if (w->result || kin_semaphore_release(w->owned))
        _exit(3);
}

static void others_use_owned(struct sync_world *w)
{
    int result = w->held ? 0 : kin_semaphore_acquire(w->owned, 0);
    w->held = 0;
    if (result == 0 && kin_semaphore_release(w->owned))
        wrong("a semaphore cannot be released: %s", kin_error_message());
}

static void permit_is_back(struct sync_world *w, bool died)
{
    (void)died;
    others_use_owned(w);
    for (int i = 0; i < WAITERS_MAX; i++)
        if (waiters[i].used && end_waiter(i))
            wrong("a waiter has no permit: %s", kin_error_message());
    if (kin_semaphore_value(w->owned) != 1)
        wrong("the permit has not come back");
    if (kin_semaphore_acquire(w->owned, 0) || kin_semaphore_release(w->owned))
        wrong("the permit that has come back cannot be had");
}

/* ---- events ---------------------------------------------------------------------------------------- */

static int await_event(struct sync_world *w)
{
    return kin_event_wait(w->event, KIN_FOREVER);
}

static void event_with_a_sleeper(struct sync_world *w)
{
    kin_event_clear(w->event);
    start_waiter(0, await_event);
}

static void run_set_and_clear(struct sync_world *w)
{
    if (kin_event_set(w->event) == 0)
        atomic_store(&w->result, kin_event_clear(w->event));
}

static void run_event_wait(struct sync_world *w)
{
    atomic_store(&w->result, kin_event_wait(w->event, KIN_FOREVER));
}

static void others_set(struct sync_world *w)
{
    if (kin_event_set(w->event))
        wrong("an event cannot be set: %s", kin_error_message());
}

static void others_look_at_event(struct sync_world *w)
{
    (void)kin_event_is_set(w->event);
}

/* Who waited when it was set goes on, also if it is cleared by now. */
static void waiter_of_event_goes_on(struct sync_world *w, bool died)
{
    if (died && w->plan.run == run_set_and_clear && !kin_event_is_set(w->event))
        others_set(w); /* before it was set, perhaps */
    if (w->plan.run == run_event_wait)
        others_set(w);
    if (end_waiter(0))
        wrong("who waits for an event that was set was told %s", kin_error_message());
    if (!died && w->result != 0)
        wrong("the operation told %d", w->result);
}

/* ---- conditions -------------------------------------------------------------------------------------- */

enum { NOTE_NONE, NOTE_WAITING, NOTE_NOTIFIED }; /* as in condition.c */

static unsigned note_of(const struct kin__thread *slot)
{
    return (unsigned)atomic_load(&slot->waits.note) & 3u;
}

static int wait_for_notification(struct sync_world *w)
{
    enter(kin_condition_acquire(w->condition, KIN_FOREVER));
    atomic_store(&w->inside, 0);
    int result = kin_condition_wait(w->condition, KIN_FOREVER);
    enter(result);
    leave(release_lock);
    return result;
}

static bool waits_at_condition(const struct waiter *waiter)
{
    return waiter->used && note_of(waiter->slot) == NOTE_WAITING;
}

static void two_wait(struct sync_world *w)
{
    (void)w;
    start_waiter(0, wait_for_notification);
    start_waiter(1, wait_for_notification);
}

/* Behind the victim, which has the lock. */
static void one_is_to_wait_too(struct sync_world *w)
{
    (void)w;
    start_waiter(0, wait_for_notification);
}

static void run_wait(struct sync_world *w)
{
    atomic_store(&w->inside, 0);
    int result = kin_condition_wait(w->condition, KIN_FOREVER);
    enter(result);
    atomic_store(&w->result, result);
}

static void run_timed_wait(struct sync_world *w)
{
    atomic_store(&w->inside, 0);
    int result = kin_condition_wait(w->condition, 0);
    enter(result == KIN_ETIMEDOUT ? 0 : result);
    atomic_store(&w->result, result);
}

static void run_notify(struct sync_world *w)
{
    if (kin_condition_notify(w->condition, 1))
        wrong("notify failed: %s", kin_error_message());
    leave(release_lock);
}

static void run_notify_all(struct sync_world *w)
{
    if (kin_condition_notify_all(w->condition))
        wrong("notify failed: %s", kin_error_message());
    leave(release_lock);
}

/* One notification, once the waiter waits too, behind the victim: while that has the lock, when it goes on or is dead. */
static void others_notify_one(struct sync_world *w)
{
    for (double deadline = now() + PATIENCE; !w->given && now() < deadline; usleep(200)) {
        int result = kin_condition_acquire(w->condition, 0);
        if (result == KIN_ETIMEDOUT)
            continue;
        enter(result);
        if (waits_at_condition(&waiters[0])) {
            w->given = 1;
            if (kin_condition_notify(w->condition, 1))
                wrong("notify failed: %s", kin_error_message());
        }
        leave(release_lock);
    }
}

static uint32_t notified(void)
{
    uint32_t count = 0;
    for (int i = 0; i < WAITERS_MAX; i++)
        count += waiters[i].used && (is_done(i) || note_of(waiters[i].slot) == NOTE_NOTIFIED);
    return count;
}

static void notify_the_rest(struct sync_world *w)
{
    /* A waiter that had not begun to wait when the victim died does so now. */
    for (double deadline = now() + PATIENCE;; usleep(20)) {
        bool all = true;
        for (int i = 0; i < WAITERS_MAX; i++)
            all = all && (!waiters[i].used || is_done(i));
        if (all)
            break;
        if (now() > deadline) {
            wrong("a waiter hangs at a condition, or at its lock");
            return;
        }
        enter(kin_condition_acquire(w->condition, PATIENCE));
        if (kin_condition_notify_all(w->condition))
            wrong("notify failed: %s", kin_error_message());
        leave(release_lock);
    }
}

static void condition_is_empty(struct sync_world *w, bool died)
{
    for (int i = 0; i < WAITERS_MAX; i++)
        if (waiters[i].used)
            end_waiter(i);
    lock_is_usable(w, died);
    const uint64_t *words = (const uint64_t *)(const void *)w->condition;
    for (size_t i = 7; i < CONDITION_SIZE / 8 && i < 7 + KIN__THREADS_SPARE / 64; i++)
        if (words[i])
            wrong("somebody is left at the condition: word %zu is %#llx", i, (unsigned long long)words[i]);
}

/* The notification is the waiter's if the victim died before it had the lock again, or with the notification in its note. */
static void notification_is_not_lost(struct sync_world *w, bool died)
{
    if (died && w->given && (w->was_notified || !w->owned_lock)) {
        for (double deadline = now() + PATIENCE; !is_done(0); usleep(20))
            if (now() > deadline) {
                wrong("a notification is lost with who had it");
                return;
            }
    } else if (died && !w->given && is_done(0)) {
        wrong("a waiter was notified by nobody");
    } else if (!died && w->given && w->plan.run == run_wait && w->result != 0) {
        wrong("who waited longest was not notified");
    }
    notify_the_rest(w);
    condition_is_empty(w, died);
}

static void one_or_none_is_notified(struct sync_world *w, bool died)
{
    uint32_t count = notified(), most = w->plan.run == run_notify ? 1 : 2;
    if (count > most || (!died && count != most))
        wrong("%u were notified, of %u", count, most);
    notify_the_rest(w);
    condition_is_empty(w, died);
}

/* ---- barriers ------------------------------------------------------------------------------------------ */

static int wait_at_barrier(struct sync_world *w)
{
    return kin_barrier_wait(w->barrier, KIN_FOREVER, NULL);
}

static void whole_barrier(struct sync_world *w)
{
    if (kin_barrier_reset(w->barrier) || kin_barrier_waiting(w->barrier) != 0)
        wrong("the barrier cannot be reset");
}

static void two_wait_at_barrier(struct sync_world *w)
{
    whole_barrier(w);
    start_waiter(0, wait_at_barrier);
    start_waiter(1, wait_at_barrier);
}

static void one_waits_at_barrier(struct sync_world *w)
{
    whole_barrier(w);
    start_waiter(0, wait_at_barrier);
}

static void run_barrier(struct sync_world *w)
{
    atomic_store(&w->result, kin_barrier_wait(w->barrier, KIN_FOREVER, NULL));
}

static void run_abort(struct sync_world *w)
{
    atomic_store(&w->result, kin_barrier_abort(w->barrier));
}

static void run_reset(struct sync_world *w)
{
    atomic_store(&w->result, kin_barrier_reset(w->barrier));
}

/* The third party. */
static void others_come(struct sync_world *w)
{
    if (w->given++ == 0)
        start_thread(1, wait_at_barrier);
}

static void others_look_at_barrier(struct sync_world *w)
{
    (void)kin_barrier_is_broken(w->barrier);
    (void)kin_barrier_waiting(w->barrier);
}

/* All or none have passed; nobody waits for the dead. */
static void barrier_is_passed_or_broken(struct sync_world *w, bool died)
{
    if (w->plan.looks) {
        /* Had it come, others look after it. If not, they don't know it: its recovery breaks the barrier. */
        if (died && kin_barrier_waiting(w->barrier) <= 1 + (int)w->given && !recovered(w->victim))
            wrong("the victim cannot be recovered");
        others_come(w);
    }
    if (died && w->waited_at != (uintptr_t)w->barrier &&
        kin_barrier_waiting(w->barrier) <= 2) /* it had not come */
        kin_barrier_abort(w->barrier);
    int first = end_waiter(0), second = end_waiter(1);
    if (first != second)
        wrong("of two parties one was told %d, the other %d", first, second);
    if (first != 0 && first != KIN_EBROKEN)
        wrong("a party was told %d", first);
    if (!died && (first || w->result))
        wrong("nobody died, and the parties were told %d and %d", first, w->result);
    if (first && !kin_barrier_is_broken(w->barrier))
        wrong("the barrier is broken for some, and whole for others");
    whole_barrier(w);
}

static void barrier_is_broken_once(struct sync_world *w, bool died)
{
    bool done = died && !kin_barrier_is_broken(w->barrier) && kin_barrier_waiting(w->barrier) == 1;
    if (done && kin_barrier_abort(w->barrier))
        wrong("abort failed");
    if (end_waiter(0) != KIN_EBROKEN)
        wrong("a party of a broken barrier was told %d", waiters[0].result);
    if (w->plan.run == run_abort && !kin_barrier_is_broken(w->barrier))
        wrong("the barrier is whole after an abort");
    if (!died && w->plan.run == run_reset && kin_barrier_is_broken(w->barrier))
        wrong("the barrier is broken after a reset");
    whole_barrier(w);
}

/* ---- parts of the operation ------------------------------------------------------------------------------ */

static void arrange(void *arg)
{
    struct sync_world *w = arg;
    kin_free(kin_malloc(16));
    w->inside = w->told = w->held = w->given = 0;
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
    w->was_notified = note_of(w->slot) == NOTE_NOTIFIED;
    w->owned_lock = owner_of(w->lock) == w->slot->name;
    w->owned_rlock = owner_of(w->rlock) == w->slot->name;
    if (end->died && !w->plan.looks && !recovered(w->victim))
        return "the victim cannot be recovered";
    w->plan.judge(w, end->died);
    if (!recovered(w->victim))
        return "the victim cannot be recovered";
    for (int i = 0; i < WAITERS_MAX; i++)
        if (waiters[i].used)
            end_waiter(i);
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

static void survive(struct plan plan)
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

/* ---- the tests ------------------------------------------------------------------------------------------- */

static void lock_is_acquired(void)
{
    survive((struct plan){.name = "lock acquire",
                          .run = run_acquire,
                          .after = after_acquire,
                          .others = others_try_lock,
                          .judge = lock_is_usable});
}

static void lock_is_acquired_where_others_wait(void)
{
    survive((struct plan){.name = "lock acquire, contended",
                          .have = hold_and_be_waited_for,
                          .run = run_acquire,
                          .after = after_acquire,
                          .others = others_try_lock,
                          .judge = lock_is_usable});
}

static void lock_is_released(void)
{
    survive((struct plan){.name = "lock release",
                          .prepare = victim_has_lock,
                          .run = run_release,
                          .others = others_try_lock,
                          .judge = lock_is_usable});
}

static void lock_is_released_where_others_wait(void)
{
    survive((struct plan){.name = "lock release, contended",
                          .prepare = victim_has_lock,
                          .ready = wait_for_victims_lock,
                          .run = run_release,
                          .others = others_try_lock,
                          .judge = lock_is_usable});
}

static void waiter_sees_the_owners_death_by_itself(void)
{
    survive((struct plan){.name = "lock release, nobody recovers",
                          .prepare = victim_has_lock,
                          .ready = wait_for_victims_lock,
                          .run = run_release,
                          .others = others_try_lock,
                          .judge = lock_is_usable,
                          .looks = true});
}

static void rlock_is_acquired_and_released_twice(void)
{
    survive((struct plan){
        .name = "rlock", .run = run_rlock, .others = others_try_rlock, .judge = rlock_is_usable});
}

static void rlock_is_released_where_others_wait(void)
{
    survive((struct plan){.name = "rlock release, contended",
                          .prepare = victim_has_rlock_twice,
                          .ready = wait_for_victims_rlock,
                          .run = run_rlock_release,
                          .others = others_try_rlock,
                          .judge = rlock_is_usable});
}

static void signal_is_taken(void)
{
    survive((struct plan){.name = "signal acquire",
                          .have = signal_of_two,
                          .run = run_signal_acquire,
                          .others = others_use_signal,
                          .judge = one_permit_was_taken});
}

static void signal_is_taken_where_others_wait(void)
{
    survive((struct plan){.name = "signal acquire, contended",
                          .have = signal_of_none,
                          .run = run_signal_acquire,
                          .others = others_give_one_signal,
                          .judge = permits_are_taken});
}

static void signal_is_given(void)
{
    survive((struct plan){.name = "signal release, with a sleeper",
                          .have = signal_with_a_sleeper,
                          .run = run_signal_release,
                          .others = others_give_one_signal,
                          .judge = permits_are_taken});
}

static void owned_permit_is_taken(void)
{
    survive((struct plan){.name = "owned acquire",
                          .run = run_owned_acquire,
                          .after = after_owned_acquire,
                          .others = others_use_owned,
                          .judge = permit_is_back});
}

static void owned_permit_is_taken_where_others_wait(void)
{
    survive((struct plan){.name = "owned acquire, contended",
                          .have = hold_owned_and_be_waited_for,
                          .run = run_owned_acquire,
                          .after = after_owned_acquire,
                          .others = others_use_owned,
                          .judge = permit_is_back});
}

static void owned_permit_is_given_back(void)
{
    survive((struct plan){.name = "owned release, with sleepers",
                          .prepare = victim_has_owned,
                          .ready = wait_for_victims_owned,
                          .run = run_owned_release,
                          .others = others_use_owned,
                          .judge = permit_is_back});
}

static void event_is_set_and_cleared(void)
{
    survive((struct plan){.name = "event set, clear, with a sleeper",
                          .have = event_with_a_sleeper,
                          .run = run_set_and_clear,
                          .others = others_look_at_event,
                          .judge = waiter_of_event_goes_on});
}

static void event_is_waited_for(void)
{
    survive((struct plan){.name = "event wait",
                          .have = event_with_a_sleeper,
                          .run = run_event_wait,
                          .others = others_set,
                          .judge = waiter_of_event_goes_on});
}

static void condition_is_waited_for(void)
{
    survive((struct plan){.name = "condition wait",
                          .prepare = victim_has_lock,
                          .ready = one_is_to_wait_too,
                          .run = run_wait,
                          .after = after_acquire,
                          .others = others_notify_one,
                          .judge = notification_is_not_lost});
}

static void condition_is_waited_for_in_vain(void)
{
    survive((struct plan){.name = "condition wait, times out",
                          .prepare = victim_has_lock,
                          .ready = one_is_to_wait_too,
                          .run = run_timed_wait,
                          .after = after_acquire,
                          .others = others_notify_one,
                          .judge = notification_is_not_lost});
}

static void condition_is_notified(void)
{
    survive((struct plan){.name = "condition notify, release",
                          .have = two_wait,
                          .prepare = victim_has_lock,
                          .run = run_notify,
                          .others = others_try_lock,
                          .judge = one_or_none_is_notified});
}

static void all_of_a_condition_are_notified(void)
{
    survive((struct plan){.name = "condition notify_all, release",
                          .have = two_wait,
                          .prepare = victim_has_lock,
                          .run = run_notify_all,
                          .others = others_try_lock,
                          .judge = one_or_none_is_notified});
}

static void last_party_comes_to_a_barrier(void)
{
    survive((struct plan){.name = "barrier wait, last to come",
                          .have = two_wait_at_barrier,
                          .run = run_barrier,
                          .others = others_look_at_barrier,
                          .judge = barrier_is_passed_or_broken});
}

static void party_waits_at_a_barrier(void)
{
    survive((struct plan){.name = "barrier wait, second to come",
                          .have = one_waits_at_barrier,
                          .run = run_barrier,
                          .others = others_come,
                          .judge = barrier_is_passed_or_broken,
                          .looks = true});
}

static void barrier_is_aborted(void)
{
    survive((struct plan){.name = "barrier abort",
                          .have = one_waits_at_barrier,
                          .run = run_abort,
                          .others = others_look_at_barrier,
                          .judge = barrier_is_broken_once});
}

static void barrier_is_reset(void)
{
    survive((struct plan){.name = "barrier reset",
                          .have = one_waits_at_barrier,
                          .run = run_reset,
                          .others = others_look_at_barrier,
                          .judge = barrier_is_broken_once});
}

static const struct test tests[] = {
    {"lock_is_acquired", lock_is_acquired, 120, 0},
    {"lock_is_acquired_where_others_wait", lock_is_acquired_where_others_wait, 120, 0},
    {"lock_is_released", lock_is_released, 120, 0},
    {"lock_is_released_where_others_wait", lock_is_released_where_others_wait, 120, 0},
    {"waiter_sees_the_owners_death_by_itself", waiter_sees_the_owners_death_by_itself, 120, 0},
    {"rlock_is_acquired_and_released_twice", rlock_is_acquired_and_released_twice, 120, 0},
    {"rlock_is_released_where_others_wait", rlock_is_released_where_others_wait, 120, 0},
    {"signal_is_taken", signal_is_taken, 120, 0},
    {"signal_is_taken_where_others_wait", signal_is_taken_where_others_wait, 120, 0},
    {"signal_is_given", signal_is_given, 120, 0},
    {"owned_permit_is_taken", owned_permit_is_taken, 120, 0},
    {"owned_permit_is_taken_where_others_wait", owned_permit_is_taken_where_others_wait, 120, 0},
    {"owned_permit_is_given_back", owned_permit_is_given_back, 120, 0},
    {"event_is_set_and_cleared", event_is_set_and_cleared, 120, 0},
    {"event_is_waited_for", event_is_waited_for, 120, 0},
    {"condition_is_waited_for", condition_is_waited_for, 120, 0},
    {"condition_is_waited_for_in_vain", condition_is_waited_for_in_vain, 120, 0},
    {"condition_is_notified", condition_is_notified, 120, 0},
    {"all_of_a_condition_are_notified", all_of_a_condition_are_notified, 120, 0},
    {"last_party_comes_to_a_barrier", last_party_comes_to_a_barrier, 120, 0},
    {"party_waits_at_a_barrier", party_waits_at_a_barrier, 120, 0},
    {"barrier_is_aborted", barrier_is_aborted, 120, 0},
    {"barrier_is_reset", barrier_is_reset, 120, 0},
};
TEST_MAIN("crash_sync", tests)
