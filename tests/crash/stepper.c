/*
 * stepper.c - one victim under ptrace; see stepper.h.
 *
 * An instruction is looked at before it is run: a `syscall` is entered by PTRACE_SYSCALL, which stops at the
 * entry and at the exit; all others are run by PTRACE_SINGLESTEP. (Single-stepping a `syscall` would run all
 * of it at once.)
 */
#include "stepper.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STEPS_MAX 3000000ul /* an operation of more does not end */
#define SLEEP_LIMIT 10.0    /* seconds in a system call */
#define STOP_OF_SYSCALL (SIGTRAP | 0x80)

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

#if defined(__x86_64__)

#include <stddef.h>

static uint64_t instruction_of(pid_t pid)
{
    return (uint64_t)ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user_regs_struct, rip), 0);
}

static long syscall_of(pid_t pid)
{
    return ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user_regs_struct, orig_rax), 0);
}

static bool is_syscall(pid_t pid, uint64_t instruction)
{
    long text = ptrace(PTRACE_PEEKTEXT, pid, (void *)instruction, 0);
    return (text & 0xffff) == 0x050f;
}

static const char *const no_machine = NULL;

#else

/* A load-exclusive / store-exclusive pair never succeeds under single-stepping, so these are never used. */
static uint64_t instruction_of(pid_t pid)
{
    return (uint64_t)pid;
}

static long syscall_of(pid_t pid)
{
    return pid;
}

static bool is_syscall(pid_t pid, uint64_t instruction)
{
    return pid && instruction;
}

static const char *const no_machine = "single-stepping is for x86-64 only";

#endif

bool step_possible(const char **why)
{
    *why = no_machine;
    if (no_machine)
        return false;
    pid_t child = fork();
    if (child == 0)
        _exit(ptrace(PTRACE_TRACEME, 0, 0, 0) ? 1 : 0);
    int status = 1;
    if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0) {
        *why = "ptrace is not allowed here";
        return false;
    }
    return true;
}

/* 'S' is asleep; 0: no such process. */
static char state_of(pid_t pid)
{
    char path[64], text[512];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t got = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (got <= 0)
        return 0;
    text[got] = 0;
    const char *end = strrchr(text, ')');
    return end && end[1] == ' ' ? end[2] : 0;
}

bool step_asleep(pid_t pid)
{
    return state_of(pid) == 'S';
}

/* Nothing to do for a moment: the others share our CPU. */
static void give_way(unsigned *turns)
{
    if ((*turns)++ < 50)
        sched_yield();
    else
        usleep(100);
}

static enum step_stop __attribute__((format(printf, 2, 3)))
fault(struct step_victim *victim, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(victim->fault, sizeof(victim->fault), format, arguments);
    va_end(arguments);
    return STEP_FAULT;
}

/* Make sense of what waitpid told. 0: a stop that means nothing; otherwise SIGTRAP, STOP_OF_SYSCALL, or
 * STEP_OVER or STEP_FAULT, negated. */
static int read_status(struct step_victim *victim, int status)
{
    if (WIFEXITED(status) || WIFSIGNALED(status)) {
        victim->pid = 0;
        victim->ended = victim->ends && WIFEXITED(status);
        if (victim->ended)
            return -STEP_OVER;
        if (WIFEXITED(status))
            fault(victim, "the victim exited with %d in mid-operation", WEXITSTATUS(status));
        else
            fault(victim, "the victim died of signal %d, which we did not send", WTERMSIG(status));
        return -STEP_FAULT;
    }
    int signal = WSTOPSIG(status);
    if (signal == STOP_OF_SYSCALL || (signal == SIGTRAP && status >> 16 == 0))
        return signal;
    switch (signal) {
    case SIGSEGV:
    case SIGBUS:
    case SIGABRT:
    case SIGILL:
    case SIGFPE:
        fault(victim, "the victim crashed by itself, signal %d", signal);
        return -STEP_FAULT;
    case SIGSTOP: /* how it began; nobody else stops it */
    case SIGTRAP: /* an event */
        return 0;
    default:
        victim->deliver = signal;
        return 0;
    }
}

/* Run the victim until it stops by itself. */
static int resume(struct step_victim *victim, enum __ptrace_request how)
{
    for (;;) {
        int status, signal = victim->deliver;
        victim->deliver = 0;
        if (ptrace(how, victim->pid, 0, (void *)(intptr_t)signal) && errno != ESRCH) {
            fault(victim, "ptrace failed, errno %d", errno);
            return -STEP_FAULT;
        }
        if (waitpid(victim->pid, &status, __WALL) != victim->pid) {
            fault(victim, "the victim cannot be waited for, errno %d", errno);
            return -STEP_FAULT;
        }
        int stop = read_status(victim, status);
        if (stop)
            return stop;
    }
}

/* Whether an area changed since the last time. */
static bool compare(struct step_victim *victim)
{
    bool changed = false;
    unsigned char *copy = victim->copies;
    for (size_t i = 0; i < victim->area_count; i++) {
        const void *area = (const void *)(uintptr_t)victim->areas[i].at;
        size_t size = victim->areas[i].size;
        if (memcmp(area, copy, size) != 0) {
            size_t at = 0;
            while (copy[at] == ((const unsigned char *)area)[at])
                at++;
            victim->changed_area = i;
            victim->changed_offset = at;
            memcpy(copy, area, size);
            changed = true;
        }
        copy += size;
    }
    return changed;
}

void step_watch(struct step_victim *victim, const struct step_area *areas, size_t count)
{
    size_t total = 1;
    for (size_t i = 0; i < count; i++)
        total += areas[i].size;
    free(victim->copies);
    victim->copies = calloc(1, total);
    if (!victim->copies)
        abort();
    memcpy(victim->areas, areas, count * sizeof(areas[0]));
    victim->area_count = count;
    compare(victim);
}

void step_begin(struct step_victim *victim, void (*prepare)(void *), void (*run)(void *),
                void (*after)(void *), void *world)
{
    static _Atomic uint32_t *over;
    if (!over) {
        over = mmap(NULL, sizeof(*over), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (over == MAP_FAILED)
            abort();
    }
    *over = 0;
    *victim = (struct step_victim){.own_child = true, .over = over};
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (prepare)
            prepare(world);
        if (ptrace(PTRACE_TRACEME, 0, 0, 0))
            _exit(1);
        /* Not raise(): that has system calls behind this one. Not kill(): another thread may take that signal, and all but this
         * one stop for good. */
        syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGSTOP);
        run(world);
        atomic_store(over, 1);
        if (after)
            after(world);
        _exit(0);
    }
    victim->pid = child;
    int status;
    if (child < 0 || waitpid(child, &status, __WALL) != child) {
        victim->pid = 0;
        fault(victim, "no victim, errno %d", errno);
        return;
    }
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGSTOP) {
        read_status(victim, status);
        if (!victim->fault[0])
            fault(victim, "the victim was stopped by signal %d while it prepared", WSTOPSIG(status));
        return;
    }
    ptrace(PTRACE_SETOPTIONS, child, 0, (void *)(intptr_t)(PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD));
}

bool step_seize(struct step_victim *victim, pid_t pid, const _Atomic uint32_t *over)
{
    *victim = (struct step_victim){.pid = pid, .over = over};
    int status;
    if (ptrace(PTRACE_SEIZE, pid, 0, (void *)(intptr_t)PTRACE_O_TRACESYSGOOD) ||
        ptrace(PTRACE_INTERRUPT, pid, 0, 0) || waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status)) {
        victim->pid = 0;
        return false;
    }
    return true;
}

/* Inside a system call, until it is done. */
static enum step_stop await_exit(struct step_victim *victim)
{
    double deadline = now() + SLEEP_LIMIT;
    unsigned turns = 0;
    for (;;) {
        int status;
        pid_t got = waitpid(victim->pid, &status, __WALL | WNOHANG);
        if (got == victim->pid) {
            int stop = read_status(victim, status);
            if (stop < 0)
                return (enum step_stop) - stop;
            if (stop) {
                victim->in_syscall = victim->asleep = false;
                compare(victim);
                return STEP_EXIT;
            }
            int signal = victim->deliver;
            victim->deliver = 0;
            ptrace(PTRACE_SYSCALL, victim->pid, 0, (void *)(intptr_t)signal);
        }
        if (!victim->asleep && step_asleep(victim->pid)) {
            victim->asleep = true;
            return STEP_BLOCKED;
        }
        if (now() > deadline)
            return fault(victim, "the victim sleeps for ever in system call %ld", victim->syscall_number);
        give_way(&turns);
    }
}

static enum step_stop enter_syscall(struct step_victim *victim)
{
    victim->steps++;
    int stop = resume(victim, PTRACE_SYSCALL);
    if (stop < 0)
        return (enum step_stop) - stop;
    victim->in_syscall = true;
    victim->syscall_number = syscall_of(victim->pid);
    return STEP_ENTRY;
}

enum step_stop step_next(struct step_victim *victim)
{
    if (!victim->pid || victim->fault[0])
        return STEP_FAULT;
    if (victim->in_syscall) {
        if (!victim->asleep && ptrace(PTRACE_SYSCALL, victim->pid, 0, 0))
            return fault(victim, "ptrace failed, errno %d", errno);
        return await_exit(victim);
    }
    while (victim->steps < STEPS_MAX) {
        if (atomic_load(victim->over))
            return STEP_OVER;
        if (victim->pause_at && victim->steps >= victim->pause_at)
            return STEP_PAUSED;
        victim->instruction = instruction_of(victim->pid);
        if (is_syscall(victim->pid, victim->instruction))
            return enter_syscall(victim);
        victim->steps++;
        int stop = resume(victim, PTRACE_SINGLESTEP);
        if (stop < 0)
            return (enum step_stop) - stop;
        if (compare(victim))
            return STEP_CHANGED;
    }
    return fault(victim, "the operation does not end within %lu instructions", STEPS_MAX);
}

/* Nothing of it is left. */
static void release(struct step_victim *victim)
{
    free(victim->copies);
    victim->copies = NULL;
    victim->area_count = 0;
    victim->pid = 0;
}

void step_kill(struct step_victim *victim)
{
    if (victim->pid) {
        kill(victim->pid, SIGKILL);
        int status;
        while (waitpid(victim->pid, &status, __WALL) == victim->pid)
            if (WIFEXITED(status) || WIFSIGNALED(status))
                break;
    }
    release(victim);
}

bool step_go_on(struct step_victim *victim, double seconds)
{
    double deadline = now() + seconds;
    int status;
    if (victim->pid && victim->asleep &&
        !victim->own_child) { /* it may sleep on, but can only be let go standing */
        ptrace(PTRACE_INTERRUPT, victim->pid, 0, 0);
        if (waitpid(victim->pid, &status, __WALL) == victim->pid)
            victim->asleep = false;
    }
    if (victim->pid && victim->asleep && await_exit(victim) == STEP_FAULT) {
        step_kill(victim);
        return false;
    }
    if (!victim->pid) {
        release(victim);
        return victim->ended;
    }
    bool killed = ptrace(PTRACE_DETACH, victim->pid, 0, (void *)(intptr_t)victim->deliver) && errno == ESRCH;
    if (!victim->own_child) {
        /* By others: its parent can wait for it only after us. */
        for (unsigned turns = 0;
             killed && now() < deadline && waitpid(victim->pid, &status, __WALL | WNOHANG) == 0;)
            give_way(&turns);
        release(victim);
        return true;
    }
    for (unsigned turns = 0;; give_way(&turns)) {
        if (waitpid(victim->pid, &status, WNOHANG) == victim->pid) {
            release(victim);
            if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
                return true;
            if (WIFEXITED(status))
                fault(victim, "the victim, let go on, exited with %d", WEXITSTATUS(status));
            else
                fault(victim, "the victim, let go on, died of signal %d", WTERMSIG(status));
            return false;
        }
        if (now() > deadline) {
            step_kill(victim);
            fault(victim, "the victim, let go on, did not end in %ld ms", (long)(seconds * 1e3));
            return false;
        }
    }
}

void step_describe(const struct step_victim *victim, enum step_stop stop, char *text, size_t size)
{
    switch (stop) {
    case STEP_CHANGED:
        snprintf(text, size, "store to area %zu + %#zx", victim->changed_area, victim->changed_offset);
        break;
    case STEP_ENTRY:
    case STEP_BLOCKED:
    case STEP_EXIT:
        snprintf(text, size, "%s system call %ld",
                 stop == STEP_ENTRY     ? "entry to"
                 : stop == STEP_BLOCKED ? "asleep in"
                                        : "exit from",
                 victim->syscall_number);
        break;
    case STEP_OVER:
        snprintf(text, size, "end of the operation");
        break;
    case STEP_PAUSED:
        snprintf(text, size, "after %lu instructions", victim->steps);
        break;
    case STEP_FAULT:
        snprintf(text, size, "%s", victim->fault);
        break;
    }
}
