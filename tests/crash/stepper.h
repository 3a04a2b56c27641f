/*
 * stepper.h - every instruction of an operation is a point where its process may die.
 *
 * A victim, forked by the tracer so that it shares the region, runs an operation under ptrace, one
 * instruction at a time. After each instruction the tracer compares a few areas of shared memory with what
 * they were; a *point* is where one of them changed, and also the entry to, the sleep in and the return from
 * a system call: there shared or kernel state is new, between two points a death makes no difference. The
 * tracer counts points, not instructions, so nothing rests on an operation taking the same steps each time.
 *
 * step_through() goes through all points of an operation, with a fresh victim for each, in four cases:
 *   STEP_KILL         kill the victim there
 *   STEP_OTHERS_KILL  let another member work on the same objects, then kill it
 *   STEP_OTHERS_GO    let another member work on the same objects, then let the victim go on and end (ABA)
 *   STEP_OTHERS_BEFORE  the same one instruction before the point: the victim has read what it rests on, and
 *                     has not yet changed anything. (How many instructions that is after the last point was
 *                     counted in a run without death; if it takes another way this time, no harm is done.)
 * and has a survivor check everything after each.
 *
 * Three processes: the tracer touches no lock and no object, so it can never hang; the survivor, forked from
 * it, does all that may hang (arranging, the others' work, recovery, checks) and is watched; the victim.
 *
 * Speed    14 us a step where tracer and victim share a core, 63 otherwise. The kernel keeps them together: to pin them to one made no
 *          difference (103 victims of 1,500 instructions: 5.3 s, and 5.1 s without, beside other load).
 */
#ifndef KIN_TESTS_STEPPER_H
#define KIN_TESTS_STEPPER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define STEP_AREAS_MAX 32

struct step_area {
    const volatile void *at;
    size_t size;
};

/* Whether this machine lets us: x86-64 (elsewhere a load-exclusive pair cannot be stepped through) and ptrace
 * allowed. `why` tells why not. */
bool step_possible(const char **why);

/* ---- one victim ------------------------------------------------------------------------------ */

enum step_stop {
    STEP_CHANGED = 1, /* an instruction changed an area */
    STEP_ENTRY,       /* at the entry of a system call */
    STEP_BLOCKED,     /* asleep in it */
    STEP_EXIT,        /* it is done */
    STEP_OVER,        /* the operation ended */
    STEP_PAUSED,      /* none of these: `pause_at` was reached */
    STEP_FAULT        /* it crashed, or does not end: see fault */
};

struct step_victim {
    pid_t pid;
    bool own_child;               /* started by step_begin: we are its parent too */
    bool in_syscall;              /* stopped at the entry, or asleep in it */
    bool asleep;                  /* was let into a system call and has not come out */
    long syscall_number;          /* of the last entry */
    uint64_t instruction;         /* address of the last one that was run */
    unsigned long steps;          /* so far */
    unsigned long pause_at;       /* stop after so many too (step_next: STEP_PAUSED); 0: do not */
    int deliver;                  /* a signal it is to get at the next step */
    const _Atomic uint32_t *over; /* the operation has ended once this is not 0 */
    struct step_area areas[STEP_AREAS_MAX];
    unsigned char *copies; /* of the areas, one behind the other */
    size_t area_count, changed_area, changed_offset;
    bool ends, ended; /* to end by itself, with any code, is the end of the operation; it has */
    char fault[160];
};

/*
 * Fork a victim: it calls prepare(world) at full speed and stops; run(world) is then for step_next(). If it is
 * let go on to its end, it calls after(world) and exits with 0.
 */
void step_begin(struct step_victim *victim, void (*prepare)(void *), void (*run)(void *),
                void (*after)(void *), void *world);

/* Stop a process that runs already. Its operation is over once *over is not 0. False: it has ended. */
bool step_seize(struct step_victim *victim, pid_t pid, const _Atomic uint32_t *over);

/* Compare these areas from now on. */
void step_watch(struct step_victim *victim, const struct step_area *areas, size_t count);

/* On to the next point. */
enum step_stop step_next(struct step_victim *victim);

/* Kill the victim where it stands and wait for its end (its parent can wait for it only after that). */
void step_kill(struct step_victim *victim);

/* Let it go on. One that step_begin made must end with 0 before `seconds` are over: otherwise it is killed,
 * `fault` tells what it did, and the answer is false. */
bool step_go_on(struct step_victim *victim, double seconds);

/* "store to area 1 + 0x18", for messages. */
void step_describe(const struct step_victim *victim, enum step_stop stop, char *text, size_t size);

/* Whether a process sleeps now (in a system call). */
bool step_asleep(pid_t pid);

/* ---- all points of an operation -------------------------------------------------------------- */

enum step_case { STEP_KILL, STEP_OTHERS_KILL, STEP_OTHERS_GO, STEP_OTHERS_BEFORE, STEP_CASES };

struct step_end {
    enum step_case which;
    pid_t pid; /* the victim's; it has ended and was waited for */
    bool died; /* it was killed; otherwise it went on to its end and exited with 0 */
};

/*
 * What each function gets is `world`, which lies in shared memory. Those marked + may be NULL. With `start`, the
 * victim is a process that is there already, instead of one that is forked for it: then prepare, run and after
 * are not used.
 */
struct step_operation {
    const char *name;
    void *world;
    bool (*start)(void *world, struct step_victim *victim); /* + tracer: step_seize it */
    bool ends; /* the operation is the victim's end: when it has ended by itself the operation is over */
    bool (*over)(void *world);    /* + tracer, where the victim sleeps: is that the end of the operation? */
    void (*arrange)(void *world); /* + survivor, before each victim */
    void (*prepare)(void *world); /* + victim, at full speed */
    void (*ready)(void *world);   /* + survivor, once the victim is prepared */
    void (*run)(void *world);     /*   victim, stepped */
    void (*after)(void *world);   /* + victim, at full speed, if it was let go on; it must exit(non-zero) or
                                       abort if things are wrong */
    /* Tracer, once the victim is prepared: fills up to STEP_AREAS_MAX areas, returns their number. */
    size_t (*watch)(void *world, struct step_area *areas);
    void (*others)(void *world); /* survivor, while the victim stands still. If it waits for the victim, it
                                    is left waiting until the victim is dead or has gone on. It is also called
                                    where the victim sleeps in a system call and is to be led past that */
    /* Survivor, after the victim's end: recover as a survivor would, check everything, use everything.
     * Returns NULL or what is wrong. */
    const char *(*check)(void *world, const struct step_end *end);
};

struct step_result {
    unsigned points; /* that the operation has, counted in a run without death */
    unsigned syscalls, sleeps;
    unsigned long steps;
    unsigned tried; /* victims, over all cases */
    bool failed;
    char fault[512]; /* which point, which case, what was wrong */
};

/*
 * Try all points, or `points_max` of them spread evenly, in all cases (0: all points). Stops at the first
 * fault. `patience` is how many seconds the survivor may take for each of its parts.
 */
struct step_result step_through(const struct step_operation *operation, unsigned points_max, double patience);

/* The same as an assertion; prints the number of points. */
void step_must_survive(const struct step_operation *operation, unsigned points_max);

#endif
