/*
 * process/children.c - see children.h.
 *
 * How a child ended is written by whoever recovers it, under its life lock, so there is one writer; what only the
 * starter can know, the kernel's status, it leaves in the object first:
 *   E1  the starter collects the status and tells it in the object
 *   E2  someone recovers the member: its memory is taken back
 *   E3  the recoverer writes end and error; ended = 1; wakes
 *   E4  the slot is free
 * Who finds the member dead and its status collected by the starter, but not yet told, lets the starter go on.
 */
#include "process/children.h"

#include "base/failure.h"
#include "base/in_child.h"
#include "base/log.h"
#include "family/heap.h"
#include "family/journal.h"
#include "os/os.h"
#include "process/child.h"
#include "process/forkserver.h"
#include "process/limits.h"
#include "process/output.h"
#include "process/started.h"

#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECOVERY_PATIENCE 1.0 /* seconds */
#define REAP_PATIENCE 1.0
#define REAP_YIELDS 100 /* mostly it is a matter of microseconds */
#define OOM_PERIOD 0.1  /* seconds: a kill that much before a start may be taken for one after it */

/* ---- out of memory ------------------------------------------------------------------------------ */

static _Atomic uint64_t oom_kills;  /* as last read, */
static _Atomic double oom_read;     /* then; 0: never */
static _Atomic uint64_t oom_blamed; /* kills up to this number were told as some child's end */

uint64_t kin__ooms_before(void)
{
    uint64_t kills;
    double now = kin__os_now(), read = atomic_load(&oom_read);
    if (read == 0 || now - read > OOM_PERIOD) {
        kin__os_oom_kills(&kills);
        atomic_store(&oom_kills, kills);
        atomic_store(&oom_read, now);
    }
    return atomic_load(&oom_kills);
}

/* Each kill that was counted since the process started explains one SIGKILL that kin did not send. */
static bool killed_by_oom(const struct kin_process *process)
{
    if (atomic_load(&process->killed))
        return false;
    uint64_t kills, blamed = atomic_load(&oom_blamed), first;
    if (!kin__os_oom_kills(&kills))
        return false;
    do {
        first = blamed > process->oom_before ? blamed : process->oom_before;
        if (kills <= first)
            return false;
    } while (!atomic_compare_exchange_weak(&oom_blamed, &blamed, first + 1));
    return true;
}

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
        end->out_of_memory = status == SIGKILL && killed_by_oom(process);
        kin__crash_tell(process, end);
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
        kin__crash_tell(process, &process->end);
    }
}

/* Under the life lock. KIN_EBUSY: its starter has the status and is about to tell it. */
static int find_end(const struct kin__member *dead, struct kin_process *process)
{
    int code, status;
    if (atomic_load(&process->known)) { /* to us, mostly: then there is no zombie to look at */
        end_by_status(process, process->code, process->status);
        return 0;
    }
    /* In this order: the pid may become another's in between. */
    if (kin__os_zombie_status(atomic_load(&dead->pid), &code, &status) && kin__member_has_pid(dead)) {
        end_by_status(process, code, status);
        if (process->limited)
            process->limited->cpu_used = kin__os_cpu_time(atomic_load(&dead->pid));
        return 0;
    }
    /* Whoever collected it did so before we looked. If that was the starter, it had said so before. */
    bool collecting = atomic_load(&process->collecting);
    if (atomic_load(&process->known))
        end_by_status(process, process->code, process->status);
    else if (collecting && kin__member_find(atomic_load(&process->starter)))
        return KIN_EBUSY;
    else
        end_by_word(process);
    return 0;
}

static void publish_end(struct kin_process *process)
{
    char how[256], limit[96] = "";
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
    if (member && kin__member_state(member) == KIN__STARTING) { /* it died before it attached */
        kin__member_release_unborn(member);
        if (atomic_load(&process->known))
            end_by_status(process, process->code, process->status);
        else
            end_by_word(process);
        if (process->end.how == KIN_END_EXITED && process->end.exit_code == KIN__REFUSED_EXIT)
            kin__error_fill(
                &process->error, KIN_EMISMATCH,
                "process \"%s\" (pid %d) could not join the family: it was started in another pid "
                "namespace, its program has been replaced, it could not be sealed, or its output not be "
                "redirected",
                process->name, (int)atomic_load(&process->pid));
        else if (process->end.how == KIN_END_EXITED && process->start_method == KIN_START_SPAWN)
            kin__error_fill(
                &process->error, KIN_ENOTSUP,
                "process \"%s\" (pid %d) ended with exit code %d before it came to kin_init: main must "
                "call that first",
                process->name, (int)atomic_load(&process->pid), process->end.exit_code);
        publish_end(process);
        return;
    }
    double deadline = kin__os_deadline(RECOVERY_PATIENCE);
    bool collected = atomic_load(&process->known);
    while ((collected ? kin__member_recover_collected(process->id) : kin__member_recover(process->id)) ==
           KIN_EBUSY) {
        if (kin__os_left(deadline) <= 0) {
            kin_log(KIN_LOG_WARNING,
                    "what process \"%s\" had is being recovered by a process that does not get on",
                    process->name);
            if (member)
                atomic_store(&member->watched, 0);
            return;
        }
        sched_yield();
    }
}

/* A debugger or tracer of the child is told of its end first; until it has listened, the kernel has no status for
 * us, although the pidfd says that the child has ended. */
static bool reap(int pidfd, int *code, int *status, bool *gone)
{
    double deadline = kin__os_deadline(REAP_PATIENCE);
    for (unsigned tries = 0; !kin__os_reap(pidfd, code, status, gone); tries++) {
        if (*gone || kin__os_left(deadline) <= 0)
            return false;
        if (tries < REAP_YIELDS)
            sched_yield();
        else
            usleep(1000);
    }
    return true;
}

static unsigned uncollected; /* children whose tracer does not listen: under the guardian's mutex */

/* How it ended has been told, as its zombie shows that too; but it is one until its status is collected. */
static void collect_late(struct kin__watch *watch)
{
    int code, status;
    bool gone = false;
    if (!kin__os_reap(kin__guardian_pidfd(watch), &code, &status, &gone) && !gone)
        return;
    watch->late = NULL;
    uncollected--;
    if (!((struct kin__child *)watch)->process)
        kin__child_forget((struct kin__child *)watch);
}

static void collect_uncollected(void)
{
    if (uncollected)
        kin__guardian_late();
}

static void child_ended(struct kin__watch *watch)
{
    struct kin__child *child = (struct kin__child *)watch;
    struct kin_process *process = child->process;
    int code, status;
    bool gone;
    if (process->limited && !atomic_load(&process->ended))
        process->limited->cpu_used = kin__os_cpu_time(atomic_load(&process->pid));
    atomic_store(&process->collecting, 1); /* before asking: partner in find_end */
    bool told = reap(watch->pidfd, &code, &status, &gone);
    if (!told && !gone) { /* its number is its own until then */
        watch->late = collect_late;
        uncollected++;
        told = kin__os_zombie_status(watch->pid, &code, &status);
    }
    if (told) {
        process->code = code;
        process->status = status;
        atomic_store(&process->known, 1);
    } else {
        atomic_store(&process->collecting, 0); /* nobody of ours has it */
    }
    struct kin__member *member = kin__member_find(process->id);
    if (member && member->children)
        kin__guardian_expect_orphans();
    if (process->printed)
        kin__output_ended(process->id);
    recover_surely(process);
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
    if (signal && kin__guardian_signal(watch, signal) != 0)
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

/* The only child needs no malloc: after a fork each page of private memory that is written first is a fault. */
static struct kin__child only;
static bool only_taken;

static struct kin__child *new_record(void)
{
    struct kin__child *child = only_taken ? malloc(sizeof *child) : &only;
    if (child == &only)
        only_taken = true;
    if (child)
        *child = (struct kin__child){0};
    return child;
}

static void drop_record(struct kin__child *child)
{
    if (child == &only)
        only_taken = false;
    else
        free(child);
}

int kin__child_add(struct kin_process *process, int pidfd, uint64_t born)
{
    struct kin__child *child = new_record();
    if (!child)
        return kin__fail(KIN_ENOMEM, "could not start process \"%s\": out of private memory", process->name);
    child->watch.pidfd = pidfd;
    child->watch.file = kin__os_file_of(pidfd);
    child->watch.pid = atomic_load(&process->pid);
    child->watch.born = born;
    child->watch.ended = child_ended;
    child->watch.quiet = process->server;
    child->process = process;
    collect_uncollected();
    kin__guardian_add(&child->watch);
    int error = start_limits(child);
    if (error) {
        kin__guardian_remove(&child->watch);
        drop_record(child);
    }
    return error;
}

void kin__child_forget(struct kin__child *child)
{
    if (child->watch.late) { /* until then the record stays */
        child->process = NULL;
        child->notify = NULL;
        child->watch.quiet = true;
        return;
    }
    kin__guardian_remove(&child->watch);
    kin__os_file_close(child->watch.pidfd, &child->watch.file);
    drop_record(child);
}

int kin__child_notify(struct kin_process *process, void (*notify)(void *arg), void *arg)
{
    kin__guardian_lock();
    struct kin__child *child = kin__child_find(process);
    if (child) {
        child->notify = notify;
        child->notify_arg = arg;
        if (child->watch.over && notify)
            notify(arg);
    }
    kin__guardian_unlock();
    return child ? 0 : kin__fail(KIN_EPERM, "process \"%s\" was not started here", process->name);
}

KIN__IN_CHILD void kin__children_forked(void)
{
    struct kin__watch *watch = kin__guardian_list;
    kin__guardian_forked();
    kin__output_forked();
    kin__forkserver_forked();
    while (watch) {
        struct kin__watch *next = watch->next;
        kin__os_file_close(watch->pidfd, &watch->file);
        drop_record((struct kin__child *)watch);
        watch = next;
    }
    if (uncollected) /* mostly not: a store would be a page to fault in and to copy */
        uncollected = 0;
}

/* Also where another member has recovered it, and so told its end, before: only the starter can collect its status, without
 * which it stays a zombie. */
static bool settle_own(struct kin_process *process)
{
    kin__guardian_lock();
    struct kin__child *child = kin__child_find(process);
    bool over = child && kin__guardian_check(&child->watch);
    collect_uncollected();
    kin__guardian_unlock();
    bool ended = atomic_load_explicit(&process->ended, memory_order_acquire);
    /* Over and not ended: who was recovering it did not get on. */
    return ended || !over ? ended : kin__member_recover(process->id) == 0;
}

/* Nothing is written here, as the object may be freed already. Freed only after its end, so that is told then. */
bool kin__process_settle(kin_process *process, kin__id id)
{
    if (atomic_load(&process->magic) != KIN__PROCESS_MAGIC || process->id != id)
        return true;
    if (atomic_load(&process->starter) == kin__self_id())
        return settle_own(process);
    if (atomic_load_explicit(&process->ended, memory_order_acquire))
        return true;
    /* One that never attached has gone before its starter tells its end; if that dies meanwhile, the object goes. */
    return kin__member_recover(id) == 0 &&
           (atomic_load_explicit(&process->ended, memory_order_acquire) ||
            atomic_load(&process->magic) != KIN__PROCESS_MAGIC || process->id != id);
}

/*
 * In a transaction: one of the two who know the object, its starter and the member, is gone; the last one frees it.
 * A thread of the caller's own, or the spare one of a recovery: whoever dies after it leaves the rest to that
 * thread's recovery.
 */
static void go(struct kin__thread *thread, struct kin_process *process, uint32_t who)
{
    uint32_t gone = process->gone | who;
    if (gone == (KIN__MEMBER_GONE | KIN__STARTER_GONE)) {
        kin__journal_set32((uint32_t *)&process->magic, 0);
        kin__heap_free_in(thread, process);
    } else {
        kin__journal_set32(&process->gone, gone);
    }
}

/* The same, off the list that `link` is a part of; NULL: it is on none. One whose member is not to be found will never
 * attach, or has been recovered. */
static void starter_goes(struct kin__thread *thread, struct kin_process *process, struct kin_process **link)
{
    if (link)
        kin__journal_set_pointer(link, process->next);
    kin__journal_set((uint64_t *)&process->starter, 0);
    uint32_t member = kin__member_find(process->id) ? 0 : KIN__MEMBER_GONE;
    go(thread, process, KIN__STARTER_GONE | member);
}

void kin__process_let_go(kin_process *process)
{
    struct kin__thread *thread = kin__thread_self();
    if (!thread) {
        kin_log(KIN_LOG_ERROR, "the object of a process stays: %s", kin_error_message());
        return;
    }
    struct kin_process **link = &kin__self()->children;
    while (*link && *link != process)
        link = &(*link)->next;
    kin__journal_begin();
    starter_goes(thread, process, *link ? link : NULL);
    kin__journal_end();
    kin__heap_free_finish(thread);
}

/* Under its life lock, after the slots it had claimed were freed: a child that is there still goes on without its
 * starter. */
int kin__children_recover(struct kin__member *dead)
{
    kin__started_end(dead); /* first: it reads the object */
    kin__journal_begin();   /* undoes a transaction that was not true yet: that may concern the list */
    kin__journal_end();
    struct kin__thread *spare = dead->children ? kin__thread_spare(dead) : NULL;
    while (dead->children) {
        kin__journal_begin();
        starter_goes(spare, dead->children, &dead->children);
        kin__journal_end();
        kin__heap_free_finish(spare);
    }
    if (dead->process && !atomic_load(&dead->process->ended))
        return find_end(dead, dead->process);
    return 0;
}

void kin__children_recovered(struct kin__member *dead)
{
    struct kin_process *own = dead->process;
    if (!own)
        return;
    if (!atomic_load(&own->ended))
        publish_end(own);
    struct kin__thread *spare = kin__thread_spare(dead);
    kin__journal_begin();
    kin__journal_set_pointer(&dead->process, NULL);
    go(spare, own, KIN__MEMBER_GONE);
    kin__journal_end();
    kin__heap_free_finish(spare);
}
