/*
 * family/guardian.h - noticing at once that a child has ended, whoever is or is not waiting.
 *
 * A thread, but only when it is needed: with one child at a time, whoever joins it notices by
 * itself, and an idle extra thread makes every fork dearer (86 to 148 us). It is started with the second
 * living child and ends with the last. All signals are blocked in it. No SIGCHLD handler is taken and nobody else's
 * children are waited for: it polls the pidfds of those it was told of.
 *
 * A program may close what it does not know (closefrom), and have files of its own under the same numbers. What belongs to kin is
 * looked at before it is used or closed, and opened again if it is lost: a pidfd by pid and start time, as soon as somebody
 * asks about the child; the thread's own descriptors, in whose wait nothing of that is noticed, within half a second.
 */
#ifndef KIN_FAMILY_GUARDIAN_H
#define KIN_FAMILY_GUARDIAN_H

#include "os/os.h"

#include <stdbool.h>

/* A child to watch, part of the watcher's own record of it. Private to the process. */
struct kin__watch {
    int pidfd;             /* -1: lost, and could not be opened again */
    struct kin__file file; /* that it is of */
    int32_t pid;
    uint64_t born; /* it was there then: kin__os_since_boot_ns() */
    bool over;     /* `ended` was called */
    bool quiet;    /* no reason for the thread: nobody waits for its end but who asks */
    void (*ended)(struct kin__watch *watch); /* called once, under the mutex below */
    void (*late)(struct kin__watch
                     *watch); /* then called now and then, if there is still something to do; it may remove
                                                the record. NULL: there is not */
    double (*alarm)(
        struct kin__watch *watch); /* called at `alarm_at`; returns the next such moment, 0: none */
    double alarm_at;               /* by kin__os_now(); 0: none */
    struct kin__watch *next, **link;
};

/*
 * The mutex guards the list and all records in it; it is held during `ended`, that is, while a child is being reaped and
 * recovered. Who holds it calls much that is a point where a thread may be cancelled (pthreads(7)): that waits meanwhile.
 */
void kin__guardian_lock(void);
void kin__guardian_unlock(void);

/* In the child of a fork that was made with the mutex held. */
void kin__guardian_unlock_in_child(void);

/* The living children, for walks under the mutex. */
extern struct kin__watch *kin__guardian_list;

/* With the mutex held: add; remove (the record may then be freed); call `ended` if the child has ended. */
void kin__guardian_add(struct kin__watch *watch);
void kin__guardian_remove(struct kin__watch *watch);
bool kin__guardian_check(struct kin__watch *watch);

/* With the mutex held: its pidfd, opened again if it was lost; -1: that could not be done (errno tells). Send it a signal: 0, also if
 * it has ended; KIN_ESYSTEM. */
int kin__guardian_pidfd(struct kin__watch *watch);
int kin__guardian_signal(struct kin__watch *watch, int signal);

/* With the mutex held: call `late` of all that have it. */
void kin__guardian_late(void);

/* With the mutex held: have the record's `alarm` called at that moment, which needs the thread. */
int kin__guardian_alarm(struct kin__watch *watch, double at);

/* Start the thread now (a pool does, as nobody may be waiting). With the mutex held. */
int kin__guardian_start(void);

/* Threads of this process that are kin's, not the program's: the guardian's, if it runs, and those that upper floors tell of. */
int kin__own_threads(void);
void kin__own_threads_add(int change);

/* A member that had children died: look after the orphans until they are gone. With the mutex held. */
void kin__guardian_expect_orphans(void);

/* In a child after fork: the thread, its descriptors and the list are the parent's. */
void kin__guardian_forked(void);

#endif
