/*
 * kin/barrier.h - a number of parties wait for each other, then all go on; again and again.
 *
 * It lies in the family's heap: the pointer is valid in every member under every start method.
 *
 * Broken   A barrier breaks when a party gives up waiting (its timeout), when the action fails, by kin_barrier_abort(),
 *          and when a party dies. All that wait, or will, are told KIN_EBROKEN, until kin_barrier_reset().
 * Death    A party is who waits now, or went through last time. The death of its process, by a signal, a crash or
 *          _exit(), breaks the barrier; not so a normal end (exit(), or its function returned) while it did not wait, nor
 *          that of a thread. Who has never waited is not known: give the first wait a timeout. A plain fork's end counts as
 *          a death.
 * Threads  Any number of threads of any number of members.
 * Signals  A handler that runs meanwhile does not end a wait.
 * Errors   0 or a negative KIN_E code. NULL, a pointer to something else, or to an object that was freed, is KIN_EINVAL.
 */
#ifndef KIN_BARRIER_H
#define KIN_BARRIER_H

#include "kin/api.h"

KIN_BEGIN

typedef struct kin_barrier kin_barrier;

/* Run by one of the parties, when all have come and before any goes on. Not 0: it has failed. */
typedef int (*kin_barrier_action)(void *arg);

typedef struct kin_barrier_options {
    size_t size;
    const char *name; /* copied, up to 23 bytes, for messages and reports; NULL: "" */
    kin_barrier_action action;
    void *action_arg; /* in shared memory, or NULL */
    double timeout;   /* what KIN_FOREVER means in kin_barrier_wait; 0: without limit */
} kin_barrier_options;

#define KIN_BARRIER_OPTIONS(...) (&(kin_barrier_options){.size = sizeof(kin_barrier_options), ##__VA_ARGS__})
#define KIN_BARRIER_PARTIES_MAX 3000

/*
 * A new one for that many parties, 1 to KIN_BARRIER_PARTIES_MAX. NULL: KIN_EINVAL, KIN_ENOTSHARED (action_arg), KIN_ENOMEM,
 * KIN_EMEMLIMIT, KIN_ENOINIT.
 */
KIN_API kin_barrier *kin_barrier_new(int parties, const kin_barrier_options *options) KIN_CHECKED;

/*
 * Wait until all parties do. Which of them one was, 0 for the first to come, goes to `index` unless NULL.
 *
 * KIN_ETIMEDOUT  not in time; the barrier is broken now
 * KIN_EBROKEN    it is broken, or was, or was reset meanwhile
 * KIN_EFAILED    the action failed here; the barrier is broken now
 */
KIN_API int kin_barrier_wait(kin_barrier *barrier, double timeout, int *index) KIN_CHECKED;

/* Make it empty and whole; who waits is told KIN_EBROKEN. */
KIN_API int kin_barrier_reset(kin_barrier *barrier);

/* Break it. */
KIN_API int kin_barrier_abort(kin_barrier *barrier);

KIN_API bool kin_barrier_is_broken(kin_barrier *barrier);
/* How many parties it is for, and how many of them wait; or a negative KIN_E code. */
KIN_API int kin_barrier_parties(kin_barrier *barrier);
KIN_API int kin_barrier_waiting(kin_barrier *barrier);

/* Free it. NULL does nothing. KIN_EBUSY: somebody waits. */
KIN_API int kin_barrier_free(kin_barrier *barrier);

KIN_END_DECLS

#endif
