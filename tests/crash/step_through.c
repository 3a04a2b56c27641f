/*
 * step_through.c - all points of an operation, four cases each; see stepper.h.
 *
 * The survivor is one process for the whole of step_through(), so that what it caches from one death to the
 * next is under test too. It reads one-letter commands from a pipe and answers with one letter.
 */
#include "stepper.h"

#include "crash/points.h"

#include <check.h>
#include <dlfcn.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *const case_names[STEP_CASES] = {"killed", "killed after others had worked",
                                                   "let go on after others had worked",
                                                   "let go on after others had worked just before it"};

/* Bounds what an operation costs that takes a new way each time. */
#define VICTIMS_PER_POINT 3
#define VICTIMS_MORE 50

struct shared {
    struct step_end end;
    char fault[256];
};

struct survivor {
    pid_t pid;
    int to, from;
    bool waiting; /* was sent a command and has not answered */
    struct shared *shared;
};

struct through {
    const struct step_operation *operation;
    struct survivor survivor;
    struct step_victim victim;
    struct step_result result;
    double patience;
    struct points points;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- the survivor ---------------------------------------------------------------------------- */

static _Noreturn void survive(const struct step_operation *operation, struct shared *shared, int from, int to)
{
    char command;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (read(from, &command, 1) == 1) {
        const char *fault = NULL;
        if (command == 'a' && operation->arrange)
            operation->arrange(operation->world);
        if (command == 'r' && operation->ready)
            operation->ready(operation->world);
        if (command == 'o')
            operation->others(operation->world);
        if (command == 'c')
            fault = operation->check(operation->world, &shared->end);
        snprintf(shared->fault, sizeof(shared->fault), "%s", fault ? fault : "");
        if (write(to, &command, 1) != 1)
            break;
    }
    _exit(0);
}

static void start_survivor(struct through *t)
{
    struct survivor *survivor = &t->survivor;
    int there[2], back[2];
    survivor->shared =
        mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (survivor->shared == MAP_FAILED || pipe(there) || pipe(back) || (survivor->pid = fork()) < 0)
        abort();
    if (survivor->pid == 0) {
        close(there[1]);
        close(back[0]);
        survive(t->operation, survivor->shared, there[0], back[1]);
    }
    close(there[0]);
    close(back[1]);
    survivor->to = there[1];
    survivor->from = back[0];
}

static void end_survivor(struct survivor *survivor)
{
    close(survivor->to);
    close(survivor->from);
    if (survivor->waiting)
        kill(survivor->pid, SIGKILL);
    waitpid(survivor->pid, NULL, 0);
    munmap(survivor->shared, sizeof(struct shared));
}

static bool answered(struct survivor *survivor, int ms)
{
    struct pollfd poll_from = {.fd = survivor->from, .events = POLLIN};
    if (!survivor->waiting)
        return true;
    if (poll(&poll_from, 1, ms) != 1)
        return false;
    char answer;
    if (read(survivor->from, &answer, 1) != 1)
        snprintf(survivor->shared->fault, sizeof(survivor->shared->fault), "the survivor crashed");
    survivor->waiting = false;
    return true;
}

/* Give a command; true once it is done, false if the survivor sleeps in it and may_wait says that it may. */
static bool command(struct through *t, char letter, bool may_wait)
{
    struct survivor *survivor = &t->survivor;
    survivor->shared->fault[0] = 0;
    survivor->waiting = true;
    if (write(survivor->to, &letter, 1) != 1) {
        snprintf(survivor->shared->fault, sizeof(survivor->shared->fault), "the survivor is gone");
        survivor->waiting = false;
        return true;
    }
    for (double deadline = now() + t->patience;;) {
        if (answered(survivor, 1))
            return true;
        /* It answers before it sleeps on its pipe, so if it sleeps and has not answered, it waits in there. */
        if (may_wait && step_asleep(survivor->pid) && !answered(survivor, 0))
            return false;
        if (now() > deadline) {
            snprintf(survivor->shared->fault, sizeof(survivor->shared->fault), "the survivor hangs (%s)",
                     letter == 'c'   ? "recovering, checking and using the objects"
                     : letter == 'o' ? "working while the victim stands still"
                                     : "arranging");
            return true;
        }
    }
}

/* Wait until the others' work is done: the victim is dead or gone, nothing may hold it up. */
static void settle(struct through *t)
{
    double left = t->patience;
    for (double deadline = now() + left; left > 0; left = deadline - now())
        if (answered(&t->survivor, (int)(left * 1e3) + 1))
            return;
    snprintf(t->survivor.shared->fault, sizeof(t->survivor.shared->fault),
             "the survivor's work still waits for the victim, which is gone");
}

/* ---- one victim ------------------------------------------------------------------------------ */

/* Where an instruction stands, by the debugging information if binutils are there. Only asked at a fault. */
static void locate(uint64_t instruction, char *text, size_t size)
{
    Dl_info info;
    snprintf(text, size, "%#lx", (unsigned long)instruction);
    if (!dladdr((void *)(uintptr_t)instruction, &info) || !info.dli_fname)
        return;
    char line[400];
    snprintf(line, sizeof(line), "addr2line -s -f -p -i -e '%s' %#lx 2>/dev/null", info.dli_fname,
             (unsigned long)(instruction - (uint64_t)(uintptr_t)info.dli_fbase));
    FILE *out = popen(line, "r");
    if (!out)
        return;
    if (fgets(line, sizeof(line), out)) {
        line[strcspn(line, "\n")] = 0;
        snprintf(text, size, "%.150s", line);
    }
    pclose(out);
}

static void failed(struct through *t, enum step_case which, unsigned point, enum step_stop stop,
                   const char *what)
{
    char where[160], by[160];
    if (t->result.failed)
        return;
    step_describe(&t->victim, stop, where, sizeof(where));
    locate(t->victim.instruction, by, sizeof(by));
    t->result.failed = true;
    snprintf(t->result.fault, sizeof(t->result.fault), "%s, %s at point %u (%s, by %s): %s",
             t->operation->name, case_names[which], point, where, by, what);
}

static bool survivor_failed(struct through *t, enum step_case which, unsigned point, enum step_stop stop)
{
    if (!t->survivor.shared->fault[0])
        return false;
    failed(t, which, point, stop, t->survivor.shared->fault);
    return true;
}

/* A prepared victim at the first instruction of the operation. */
static bool begin(struct through *t, enum step_case which)
{
    const struct step_operation *operation = t->operation;
    command(t, 'a', false);
    if (survivor_failed(t, which, 0, STEP_OVER))
        return false;
    if (operation->start) {
        if (!operation->start(operation->world, &t->victim) && !t->victim.fault[0])
            snprintf(t->victim.fault, sizeof(t->victim.fault), "the victim cannot be had");
    } else {
        step_begin(&t->victim, operation->prepare, operation->run, operation->after, operation->world);
    }
    if (t->victim.fault[0]) {
        failed(t, which, 0, STEP_FAULT, t->victim.fault);
        return false;
    }
    t->victim.ends = operation->ends;
    if (operation->ready)
        command(t, 'r', false);
    if (survivor_failed(t, which, 0, STEP_OVER)) {
        step_kill(&t->victim);
        return false;
    }
    struct step_area areas[STEP_AREAS_MAX];
    size_t count = operation->watch(operation->world, areas);
    step_watch(&t->victim, areas, count);
    return true;
}

/* Whether the victim is to be stopped there: at the first point not tried in this case, after `*skip` of them. */
static bool is_wanted(struct through *t, unsigned index, enum step_case which, unsigned *skip)
{
    struct point *point = &t->points.at[index];
    if (point->tried[which])
        return false;
    point->tried[which] = true;
    return (*skip)-- == 0;
}

/* How many instructions on to stop before the next point, if that is wanted; where it lies is known from an earlier run. A point
 * inside a system call has no instruction of its own. -1: go on to the point. */
static long pause_before(struct through *t, unsigned *skip)
{
    const struct point *here = &t->points.at[t->points.last];
    if (!here->next || !is_wanted(t, here->next, STEP_OTHERS_BEFORE, skip) || here->gap == 0)
        return -1;
    return (long)here->gap - 1;
}

/*
 * Step to the point wanted, or to the instruction before it; `skip` NULL: none is. Returns what is there, STEP_OVER if the
 * operation ends before. A victim asleep is led past by the others. Counts the points seen in *seen.
 */
static enum step_stop advance(struct through *t, enum step_case which, unsigned *skip, unsigned *seen)
{
    points_begin_run(&t->points);
    for (*seen = 0;;) {
        unsigned long steps = t->victim.steps;
        long pause = skip && which == STEP_OTHERS_BEFORE ? pause_before(t, skip) : -1;
        if (pause == 0)
            return STEP_PAUSED;
        t->victim.pause_at = pause > 0 ? steps + (unsigned long)pause : 0;
        enum step_stop stop = step_next(&t->victim);
        if (stop == STEP_OVER || stop == STEP_FAULT || stop == STEP_PAUSED)
            return stop;
        unsigned index = points_meet(&t->points, &t->victim, stop, t->victim.steps - steps);
        ++*seen;
        if (skip && which != STEP_OTHERS_BEFORE && is_wanted(t, index, which, skip))
            return stop;
        if (stop == STEP_ENTRY)
            t->result.syscalls++;
        if (stop == STEP_BLOCKED && t->operation->over && t->operation->over(t->operation->world))
            return STEP_OVER;
        if (stop == STEP_BLOCKED) {
            t->result.sleeps++;
            command(t, 'o', true);
            if (!t->survivor.waiting && t->survivor.shared->fault[0])
                return stop;
        }
    }
}

/* The victim stands at the point: do the case, then let the survivor judge. */
static void finish(struct through *t, enum step_case which, unsigned point, enum step_stop stop)
{
    struct step_end *end = &t->survivor.shared->end;
    *end = (struct step_end){
        .which = which, .pid = t->victim.pid, .died = which == STEP_KILL || which == STEP_OTHERS_KILL};
    t->result.tried++;
    if (which != STEP_KILL && stop != STEP_OVER && !t->survivor.waiting)
        command(t, 'o', true);
    if (!t->survivor.waiting && survivor_failed(t, which, point, stop)) {
        step_kill(&t->victim);
        return;
    }
    if (end->died)
        step_kill(&t->victim);
    else if (!step_go_on(&t->victim, t->patience)) {
        failed(t, which, point, stop, t->victim.fault);
        return;
    }
    settle(t);
    if (survivor_failed(t, which, point, stop))
        return;
    command(t, 'c', false);
    survivor_failed(t, which, point, stop);
}

/* One victim to one point of one case. False: the operation ended before, or a fault was found. */
static bool try_point(struct through *t, enum step_case which, unsigned *skip, unsigned *seen)
{
    if (!begin(t, which))
        return false;
    enum step_stop stop = advance(t, which, skip, seen);
    if (stop == STEP_FAULT) {
        failed(t, which, *seen, stop, t->victim.fault);
        step_kill(&t->victim);
        return false;
    }
    bool over = stop == STEP_OVER;
    finish(t, over ? STEP_OTHERS_GO : which, *seen + (stop == STEP_PAUSED), stop);
    return !over && !t->result.failed;
}

/* A victim for each `stride`-th of the points, until two have come to the end without meeting one that was not tried: an
 * operation may take one of two ways in turn. */
static void try_case(struct through *t, enum step_case which, unsigned stride)
{
    unsigned seen, skip = (unsigned)which * stride / STEP_CASES, fruitless = 0;
    for (unsigned left = VICTIMS_PER_POINT * t->result.points + VICTIMS_MORE; left > 0; left--) {
        if (!try_point(t, which, &skip, &seen) && (t->result.failed || ++fruitless == 2))
            return;
        skip = stride - 1;
    }
}

struct step_result step_through(const struct step_operation *operation, unsigned points_max, double patience)
{
    struct through t = {.operation = operation, .patience = patience};
    fflush(NULL);
    start_survivor(&t);
    try_point(&t, STEP_OTHERS_GO, NULL, &t.result.points);
    t.result.steps = t.victim.steps;
    unsigned syscalls = t.result.syscalls, sleeps = t.result.sleeps, points = t.result.points;
    unsigned stride = points_max && points > points_max ? (points + points_max - 1) / points_max : 1;
    for (int which = STEP_KILL; which < STEP_CASES && !t.result.failed; which++)
        try_case(&t, (enum step_case)which, stride);
    t.result.syscalls = syscalls;
    t.result.sleeps = sleeps;
    end_survivor(&t.survivor);
    points_free(&t.points);
    return t.result;
}

void step_must_survive(const struct step_operation *operation, unsigned points_max)
{
    struct step_result result = step_through(operation, points_max, 10.0);
    printf("# %s: %u points (%u system calls, %u sleeps) in %lu instructions, %u victims\n", operation->name,
           result.points, result.syscalls, result.sleeps, result.steps, result.tried);
    fflush(stdout);
    ck_assert_msg(!result.failed, "%s", result.fault);
}
