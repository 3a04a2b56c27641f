/*
 * sync_world.h - what the crash tests of locks, semaphores, events, conditions and barriers share.
 *
 * Beside the victim there are *waiters*, threads of the survivor that sleep on the same object. Whatever becomes of the victim,
 * each of them goes on, has what it waited for once and nobody else has it too, and is told of an owner's death exactly
 * where there was one. Sleepers do not look again by themselves here (W1 of sync/wait.h), but where a test says so: so
 * without a death each wake has to arrive, and after one the recovery has to wake whoever needs it (W2).
 */
#ifndef KIN_TESTS_SYNC_WORLD_H
#define KIN_TESTS_SYNC_WORLD_H

#include "crash/stepper.h"
#include "family/thread.h"

#include "kin.h"

#include <pthread.h>

#define WAITERS_MAX 2
#define PATIENCE 5.0 /* seconds */

struct sync_world;

/* What a test tries; each part may be NULL. */
struct sync_plan {
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
    struct sync_plan plan;
    kin_lock *lock;
    kin_rlock *rlock;
    kin_semaphore *signal, *owned;
    kin_event *event;
    kin_condition *condition;
    kin_barrier *barrier;
    kin__id victim;
    struct kin__thread *slot; /* the victim's */
    /* for one victim */
    _Atomic uint32_t inside;   /* who has the lock is */
    _Atomic uint32_t told;     /* times that somebody was told of an owner's death */
    _Atomic int result;        /* of the victim's operation; 1: none yet */
    uint32_t held;             /* the survivor holds it */
    uint32_t given;            /* notifications, releases by the survivor */
    _Atomic uint32_t released; /* permits of the signal, by all that lived to tell */
    /* what was so when the victim died */
    uint64_t waited_at;
    bool was_notified, owned_lock, owned_rlock;
    char fault[200];
};

extern struct sync_world *world;

/* Private to the survivor. */
struct sync_waiter {
    pthread_t thread;
    int (*wait)(struct sync_world *);
    struct kin__thread *slot;
    _Atomic int tid;
    _Atomic bool done;
    bool used;
    int result;
};
extern struct sync_waiter waiters[WAITERS_MAX];

/* Note what is wrong; the first counts. */
void sync_wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));

bool sync_recovered(kin__id id);

/* Start a waiter; the second comes back when it sleeps. */
void sync_start_thread(int index, int (*wait)(struct sync_world *));
void sync_start_waiter(int index, int (*wait)(struct sync_world *));
bool sync_is_done(int index);

/* What it was told; with a fault noted if it hangs. */
int sync_end_waiter(int index);

/* Seconds, of a clock that only goes on. */
double sync_now(void);

enum { SYNC_NONE, SYNC_WAITING, SYNC_NOTIFIED }; /* as in condition.c */

unsigned sync_note_of(const struct kin__thread *slot);

/*
 * What the lock guards. With an acquire's result: nobody else is inside, unless he has died there; who finds that is told.
 */
void sync_enter(int result);
void sync_leave(int (*release)(struct sync_world *));

/* Parts of plans. */
int sync_release_lock(struct sync_world *w);
void sync_victim_has_lock(struct sync_world *w);
void sync_after_acquire(struct sync_world *w);
void sync_others_try_lock(struct sync_world *w);
void sync_told_rightly(bool died);
void sync_lock_is_usable(struct sync_world *w, bool died);

/* Found a family and try the operation at all its points. */
void sync_survive(struct sync_plan plan);

#endif
