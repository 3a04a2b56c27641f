/*
 * process/children.c - see children.h.
 *
 * The end of a child is settled by its starter, in this order, so that a death in between leaves the rest to
 * the next who asks:
 *   E1  collect the status (the kernel's, or what the child told before its _exit)
 *   E2  write end and error
 *   E3  recover the member: its slot is free, its memory taken back
 *   E4  ended = 1, wake
 */
#include "process/children.h"

#include "base/failure.h"
#include "base/log.h"
#include "kin/heap.h"
#include "os/os.h"
#include "process/limits.h"
#include "process/started.h"

#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECOVERY_PATIENCE 1.0 /* seconds */
#define REAP_PATIENCE 1.0

static void end_by_status(struct kin_process *process, int code, int status)
{
    kin_end *end = &process->end;
    memset(end, 0, sizeof *end);
    if (code == CLD_EXITED) {
        end->how = KIN_END_EXITED;
        end->exit_code = status;
    } else {
        end->how = KIN_END_SIGNALED;
        end->signal = status;
        end->core_dumped = code == CLD_DUMPED;
    }
}

/* Someone else collected the status: the child's own word, or nothing. */
static void end_by_word(struct kin_process *process)
{
    memset(&process->end, 0, sizeof process->end);
    if (atomic_load_explicit(&process->told, memory_order_acquire)) {
        process->end.how = KIN_END_EXITED;
        process->end.exit_code = process->told_code;
    } else {
        process->end.how = KIN_END_UNKNOWN;
    }
}

static void finish_end(struct kin_process *process)
{
    char how[96], limit[96] = "";
    int code = 0;
    process->end.limit = kin__limits_blame(process->limited, &process->end);
    if (process->end.limit)
        code = kin__limits_story(process->limited, &process->end, limit, sizeof limit);
    if (process->end.how != KIN_END_EXITED || (code && !process->error.code))
        kin__error_fill(&process->error, code ? code : KIN_EDIED, "process \"%s\" (pid %d) ended: %s%s",
                        process->name, (int)atomic_load(&process->pid),
                        kin_end_text(&process->end, how, sizeof how), limit);
    atomic_store_explicit(&process->ended, 1, memory_order_release);
    kin__os_futex_wake(&process->ended, INT_MAX);
}

/* The slot may not be free at once although the process is gone: someone else may be recovering it, and may
 * be stopped while at it. Then it is left to them, or to the next sweep. */
static void recover_surely(struct kin_process *process)
{
    struct kin__member *member = kin__member_find(process->id);
    if (member && kin__member_state(member) == KIN__STARTING) {
        kin__member_release(member); /* it died before it attached */
        return;
    }
    double deadline = kin__os_deadline(RECOVERY_PATIENCE);
    while (kin__member_recover(process->id) == KIN_EBUSY) {
        if (kin__os_left(deadline) <= 0) {
            kin_log(KIN_LOG_WARNING,
                    "what process \"%s\" had is being recovered by a process that does not get on",
                    process->name);
            if (member)
                member->process = NULL;
            return;
        }
        sched_yield();
    }
}

/* A debugger or tracer of the child is told of its end first; until it has listened, the kernel has no status for
 * us, although the pidfd says that the child has ended. */
static bool reap(int pidfd, int *code, int *status)
{
    bool gone;
    double deadline = kin__os_deadline(REAP_PATIENCE);
    while (!kin__os_reap(pidfd, code, status, &gone)) {
        if (gone || kin__os_left(deadline) <= 0)
            return false;
        sched_yield();
    }
    return true;
}

static void child_ended(struct kin__watch *watch)
{
    struct kin__child *child = (struct kin__child *)watch;
    struct kin_process *process = child->process;
    int code, status;
    bool settled = atomic_load_explicit(&process->ended, memory_order_acquire); /* by another who waited */
    if (process->limited && !settled)
        process->limited->cpu_used = kin__os_cpu_time(atomic_load(&process->pid));
    bool reaped = reap(watch->pidfd, &code, &status);
    if (reaped && !settled)
        end_by_status(process, code, status);
    else if (!settled)
        end_by_word(process);
    struct kin__member *member = kin__member_find(process->id);
    if (member && member->children)
        kin__guardian_expect_orphans();
    recover_surely(process);
    finish_end(process);
    if (child->notify)
        child->notify(child->notify_arg);
}

struct kin__child *kin__child_find(const struct kin_process *process)
{
    for (struct kin__watch *watch = kin__guardian_list; watch; watch = watch->next)
        if (((struct kin__child *)watch)->process == process)
            return (struct kin__child *)watch;
    return NULL;
}

/* A limit of wall time is near. */
static double wall_time(struct kin__watch *watch)
{
    struct kin__child *child = (struct kin__child *)watch;
    double next;
    int signal = kin__limits_due(child->process->limited, kin__os_now() - child->started, &next);
    if (signal && kin__os_pidfd_signal(watch->pidfd, signal) != 0)
        kin_log(KIN_LOG_WARNING, "process \"%s\" is at its limit of wall time: %s", child->process->name,
                kin_error_message());
    return next ? child->started + next : 0;
}

static int start_limits(struct kin__child *child)
{
    double next = 0;
    if (child->process->limited)
        kin__limits_due(child->process->limited, 0, &next);
    if (!next)
        return 0;
    child->started = kin__os_now();
    child->watch.alarm = wall_time;
    return kin__guardian_alarm(&child->watch, child->started + next);
}

int kin__child_add(struct kin_process *process, int pidfd)
{
    struct kin__child *child = calloc(1, sizeof *child);
    if (!child)
        return kin__fail(KIN_ENOMEM, "could not start process \"%s\": out of private memory", process->name);
    child->watch.pidfd = pidfd;
    child->watch.ended = child_ended;
    child->process = process;
    kin__guardian_add(&child->watch);
    int error = start_limits(child);
    if (error) {
        kin__guardian_remove(&child->watch);
        free(child);
    }
    return error;
}

void kin__child_forget(struct kin__child *child)
{
    kin__guardian_remove(&child->watch);
    close(child->watch.pidfd);
    free(child);
}

int kin__child_notify(struct kin_process *process, void (*notify)(void *arg), void *arg)
{
    pthread_mutex_lock(&kin__guardian_mutex);
    struct kin__child *child = kin__child_find(process);
    if (child) {
        child->notify = notify;
        child->notify_arg = arg;
        if (child->watch.over && notify)
            notify(arg);
    }
    pthread_mutex_unlock(&kin__guardian_mutex);
    return child ? 0 : kin__fail(KIN_EPERM, "process \"%s\" was not started here", process->name);
}

void kin__children_forked(void)
{
    struct kin__watch *watch = kin__guardian_list;
    kin__guardian_forked();
    while (watch) {
        struct kin__watch *next = watch->next;
        close(watch->pidfd);
        free(watch);
        watch = next;
    }
}

static bool settle_own(struct kin_process *process)
{
    pthread_mutex_lock(&kin__guardian_mutex);
    struct kin__child *child = kin__child_find(process);
    if (child)
        kin__guardian_check(&child->watch);
    pthread_mutex_unlock(&kin__guardian_mutex);
    return atomic_load_explicit(&process->ended, memory_order_acquire);
}

/* The starter may be busy elsewhere, with no guardian: until it collects the status, all may read it. If it
 * does so at the same time, both write the same. */
bool kin__process_settle(struct kin_process *process, bool impatient)
{
    if (atomic_load_explicit(&process->ended, memory_order_acquire))
        return true;
    kin__id starter = atomic_load(&process->starter);
    if (starter && starter == kin__self_id())
        return settle_own(process);
    int code, status;
    bool known = kin__os_zombie_status(atomic_load(&process->pid), &code, &status);
    if (known && process->limited)
        process->limited->cpu_used = kin__os_cpu_time(atomic_load(&process->pid));
    if (kin__member_recover(process->id) != 0)
        return false;
    if (known)
        end_by_status(process, code, status);
    else if (impatient || !starter || kin__member_recover(starter) == 0)
        end_by_word(process);
    else
        return false; /* the starter is at it */
    finish_end(process);
    return true;
}

/* The object of a member that its starter does not free any more: the last of the two who know it does. Each
 * says that it is gone by one atomic step, once. */
static bool last_holder(struct kin_process *process, uint32_t who)
{
    uint32_t both = KIN__MEMBER_GONE | KIN__STARTER_GONE;
    uint32_t before = atomic_fetch_or(&process->gone, who);
    return !(before & who) && ((before | who) & both) == both;
}

/* Under its life lock, after the slots it had claimed were freed. A child that is not to be found now will never
 * attach, or has been recovered; one that is may go on without its starter, and its own recovery frees the object. */
void kin__children_recover(struct kin__member *dead)
{
    kin__started_end(dead); /* first: it reads the object */
    while (dead->children) {
        struct kin_process *process = dead->children;
        dead->children = process->next;
        atomic_store(&process->starter, 0); /* before the step below: after it the object may be gone */
        if (!kin__member_find(process->id) || last_holder(process, KIN__STARTER_GONE))
            kin_free(process);
    }
    struct kin_process *own = dead->process;
    dead->process = NULL;
    if (own && last_holder(own, KIN__MEMBER_GONE))
        kin_free(own);
}
