/*
 * kin/waits.h - who waits for what, since when, who holds it, and who waits for each other.
 *
 * For a program that hangs, and for tools. It tells of the threads of all members that sleep in a call of kin for a lock, rlock,
 * semaphore, condition, event, barrier, queue or broadcast; for a process to end (kin_process_join); for results of a pool, the items of
 * a map, or a pool to finish; for a message at a connection, or room in it, or a client at a listener; and in kin_wait. A worker
 * that has nothing to do waits for nobody.
 *
 * Truth    Others go on meanwhile, so each line was true a moment ago. Deadlocks are looked at twice, and told if they
 *          were the same both times.
 * Death    It takes no lock and waits for nobody: members may be stopped, hang or die at any point.
 * Deadlock A set of threads each of which waits for something that only others of the set can release: locks, rlocks,
 *          owned semaphores; a process that is joined counts as held by all its threads that use kin. One that waits with a time limit is counted too; when its time is up the deadlock ends.
 *          (Plain locks can be released by any thread; a program that does so may not be stuck after all.)
 * Errors   KIN_ENOINIT; KIN_ENOMEM, of private memory; KIN_ESYSTEM, of a write.
 */
#ifndef KIN_WAITS_H
#define KIN_WAITS_H

#include "kin/api.h"

KIN_BEGIN

/* One that waits. */
typedef struct kin_waiter {
    int pid;
    int thread;       /* a number that no other thread of the family has now */
    char process[32]; /* the process's name */
    char state;       /* as /proc has it: 'S' sleeps, 'T' is stopped, 'Z' has ended; 0: is gone */
    char kind[15];    /* of what it waits for: "lock" */
    char what[32];    /* what about it: "", "a message", "3 of 5 have come", "a result" */
    char name[24];    /* its name */
    const void
        *object;    /* its address; NULL: it is private to the process (a connection), or several things */
    double seconds; /* it has waited so long */
    int holders;    /* how many threads hold it; 0: nobody does, or it is not held */
    int holder_pid; /* the first of them: its process, 0: none; its thread, 0: not known */
    int holder_thread;
    char holder[32];
    char holder_state;
    bool stuck;   /* it waits for a deadlock to end */
    int deadlock; /* it is in that one, from 1 on; 0: in none */
    int next;     /* in a deadlock: the number, from 0 on, of who holds what it waits for; else -1 */
    uint64_t reserved[4];
} kin_waiter;

/* Up to `capacity` of those that wait go to `out`; how many there are goes to *count, which may be more. */
KIN_API int kin_waits_get(kin_waiter *out, size_t capacity, size_t *count);

/*
 * Print them to a descriptor, a line each, then the deadlocks:
 *
 *     2 threads wait
 *     process "a" (pid 71), thread 2: for lock "x", held by process "b" (pid 72), thread 3, since 5.0 s
 *     process "b" (pid 72), thread 3: for lock "y", held by process "a" (pid 71), thread 2, since 5.0 s
 *     deadlock 1: process "a" (pid 71), thread 2 -> lock "x" -> process "b" (pid 72), thread 3 -> lock "y" -> the first
 */
KIN_API int kin_report_waits(int fd);

KIN_END_DECLS

#endif
