/*
 * family/guardian.c - see guardian.h. One epoll of pidfds, and an end of a pipe which says "the list has changed".
 *
 * That end can always be written to, but is armed for one event by who pokes: nothing is ever written, so that nothing can go
 * into a file of the program's. It has an inode of its own, unlike an eventfd, and an epoll that has it in it is kin's. So both can be
 * told from what the program may have under their numbers. The other end stays open: without it the first would
 * be at an error, which cannot be disarmed.
 */
#include "family/guardian.h"

#include "base/failure.h"
#include "base/in_child.h"
#include "base/log.h"
#include "family/member.h"
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define LOCK_PERIOD_NS 2000000
#define ORPHAN_PERIOD_MS 10
#define PERIOD_MS 500 /* how long lost descriptors of the thread may stay unnoticed */
#define NAP_NS 50000000
#define ORPHAN_GRACE 0.1
#define ORPHAN_PATIENCE 5.0 /* seconds; later sweeps find the rest */

struct kin__watch *kin__guardian_list;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int cancel_before; /* the cancel state of who holds the mutex */

static int epoll_fd = -1; /* while the thread runs, written by it alone, under the mutex */
static int poke_fd = -1, poke_other = -1;
static struct kin__file poke_file;
static pthread_t thread;
static _Atomic bool running;
static _Atomic bool stopping;
static _Atomic bool renewed; /* pidfds were: they are not in the epoll */
static _Atomic int others;   /* threads of upper floors */
static _Atomic double orphans_until;
static _Atomic double next_alarm; /* 0: none */

KIN__IN_CHILD void kin__guardian_lock(void)
{
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    pthread_mutex_lock(&mutex);
    cancel_before = before;
}

KIN__IN_CHILD void kin__guardian_unlock(void)
{
    int before = cancel_before;
    pthread_mutex_unlock(&mutex);
    pthread_setcancelstate(before, NULL);
}

KIN__IN_CHILD void kin__guardian_unlock_in_child(void)
{
    kin__mutex_forked(&mutex);
    pthread_setcancelstate(cancel_before, NULL);
}

/* ---- descriptors --------------------------------------------------------------------------------- */

/* Whether the epoll is kin's: it has the pipe's end in it. */
static bool epoll_is_ours(void)
{
    struct epoll_event nothing = {.events = EPOLLONESHOT};
    if (epoll_fd < 0 || !kin__os_file_is(poke_fd, &poke_file))
        return false;
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, poke_fd, &nothing) == 0) {
        epoll_ctl(epoll_fd, EPOLL_CTL_DEL, poke_fd, NULL); /* of the program's */
        return false;
    }
    return errno == EEXIST;
}

static void poke(void)
{
    struct epoll_event event = {.events = EPOLLOUT | EPOLLONESHOT};
    if (kin__os_file_is(poke_fd, &poke_file)) /* in another epoll it is not found */
        epoll_ctl(epoll_fd, EPOLL_CTL_MOD, poke_fd, &event);
}

KIN__IN_CHILD static void close_descriptors(void)
{
    if (epoll_fd < 0 && poke_fd < 0)
        return;
    if (epoll_is_ours())
        close(epoll_fd);
    kin__os_file_close(poke_fd, &poke_file);
    kin__os_file_close(poke_other, &poke_file);
    epoll_fd = poke_fd = poke_other = -1;
}

static void watch_in_epoll(struct kin__watch *watch)
{
    struct epoll_event event = {.events = EPOLLIN};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, watch->pidfd, &event);
}

/* With the children that are to be watched in it. */
static int open_descriptors(void)
{
    int ends[2] = {-1, -1};
    struct epoll_event event = {.events = EPOLLONESHOT};
    epoll_fd = kin__os_high(epoll_create1(EPOLL_CLOEXEC));
    if (epoll_fd >= 0 && pipe2(ends, O_CLOEXEC) == 0) {
        poke_file = kin__os_file_of(ends[0]); /* the same of both */
        poke_other = kin__os_high(ends[0]);
        poke_fd = kin__os_high(ends[1]);
    }
    if (poke_fd >= 0 && poke_other >= 0 && epoll_ctl(epoll_fd, EPOLL_CTL_ADD, poke_fd, &event) == 0) {
        for (struct kin__watch *watch = kin__guardian_list; watch; watch = watch->next)
            if (!watch->over)
                watch_in_epoll(watch);
        return 0;
    }
    int error = errno;
    if (epoll_fd >= 0)
        close(epoll_fd);
    epoll_fd = -1;
    close_descriptors();
    return kin__fail_errno(KIN_ESYSTEM, error, "could not start watching child processes");
}

/* The program may have its child's sentinel in an epoll of its own, under our number. */
static void unwatch_in_epoll(const struct kin__watch *watch)
{
    if (epoll_fd >= 0 && kin__os_file_is(watch->pidfd, &watch->file) && epoll_is_ours())
        epoll_ctl(epoll_fd, EPOLL_CTL_DEL, watch->pidfd, NULL);
}

/* Its descriptor is lost. What has its number by now is the program's. */
static int renew(struct kin__watch *watch)
{
    int pidfd = kin__os_pidfd_again(watch->pid, watch->born);
    int error = errno;
    watch->pidfd = pidfd;
    watch->file = kin__os_file_of(pidfd);
    kin_log(KIN_LOG_DEBUG, "the program has closed the descriptor of process %d: %s", (int)watch->pid,
            pidfd < 0 ? "it cannot be opened again now" : "it was opened again");
    if (pidfd >= 0) {
        atomic_store(&renewed, true);
        poke();
    }
    errno = error;
    return pidfd;
}

int kin__guardian_pidfd(struct kin__watch *watch)
{
    return kin__os_pidfd_is(watch->pidfd, &watch->file, watch->pid) ? watch->pidfd : renew(watch);
}

int kin__guardian_signal(struct kin__watch *watch, int signal)
{
    int pidfd = kin__guardian_pidfd(watch);
    if (pidfd < 0)
        return kin__fail_errno(
            KIN_ESYSTEM, errno,
            "could not send signal %d to process %d, whose descriptor the program has closed", signal,
            (int)watch->pid);
    return kin__os_pidfd_ended(pidfd) ? 0 : kin__os_pidfd_signal(pidfd, signal);
}

static bool has_ended(struct kin__watch *watch)
{
    bool ended = kin__os_pidfd_ended(watch->pidfd);
    return kin__os_pidfd_is(watch->pidfd, &watch->file, watch->pid) ? ended
                                                                    : kin__os_pidfd_ended(renew(watch));
}

bool kin__guardian_check(struct kin__watch *watch)
{
    if (!watch->over && has_ended(watch)) {
        watch->over = true;
        unwatch_in_epoll(watch);
        watch->ended(watch);
    }
    return watch->over;
}

void kin__guardian_late(void)
{
    for (struct kin__watch *watch = kin__guardian_list, *next; watch; watch = next) {
        next = watch->next;
        if (watch->late)
            watch->late(watch);
    }
}

/* ---- the thread ---------------------------------------------------------------------------------- */

/* Who stops the guardian holds the mutex while it waits for it: so never wait for the mutex without end. */
static bool lock_unless_stopping(void)
{
    while (!atomic_load(&stopping))
        if (kin__os_mutex_lock_for(&mutex, LOCK_PERIOD_NS) == 0)
            return true;
    return false;
}

static void check_all(void)
{
    if (!lock_unless_stopping())
        return;
    for (struct kin__watch *watch = kin__guardian_list, *next; watch; watch = next) {
        next = watch->next;
        kin__guardian_check(watch);
    }
    pthread_mutex_unlock(&mutex);
}

static void ring_alarms(void)
{
    if (!lock_unless_stopping())
        return;
    double now = kin__os_now(), next = 0;
    for (struct kin__watch *watch = kin__guardian_list; watch; watch = watch->next) {
        if (watch->alarm_at && watch->alarm_at <= now && !kin__guardian_check(watch))
            watch->alarm_at = watch->alarm(watch);
        if (watch->alarm_at && !watch->over && (!next || watch->alarm_at < next))
            next = watch->alarm_at;
    }
    atomic_store(&next_alarm, next);
    pthread_mutex_unlock(&mutex);
}

static int patience_ms(bool orphans)
{
    double alarm = atomic_load(&next_alarm);
    double wait = orphans ? ORPHAN_PERIOD_MS : PERIOD_MS;
    if (alarm) {
        double left = (alarm - kin__os_now()) * 1e3;
        left = left < 0 ? 0 : left + 1; /* whole ms: never too early */
        wait = left < wait ? left : wait;
    }
    return (int)wait;
}

/* What the program may have closed is made anew. Pidfds too are in another epoll then: one that was lost may live on in
 * children's copies, and could not be taken out of this one. */
static void look_after_descriptors(void)
{
    if (!lock_unless_stopping())
        return;
    for (struct kin__watch *watch = kin__guardian_list; watch; watch = watch->next)
        if (!watch->over)
            kin__guardian_pidfd(watch);
    kin__guardian_late();
    if (atomic_exchange(&renewed, false) || !epoll_is_ours()) {
        close_descriptors();
        (void)open_descriptors(); /* else it naps, and tries again */
    }
    pthread_mutex_unlock(&mutex);
}

/* None are to be had: then the children are looked at one by one. */
static int nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
    return 1;
}

static bool needs_thread(void)
{
    const struct kin__watch *watch = kin__guardian_list;
    while (watch && watch->quiet)
        watch = watch->next;
    return watch;
}

/* The orphans are gone, and perhaps nobody is left to watch: who removed the last child did not wait for them. True: it is no
 * thread of kin's any more. */
static bool leave(void)
{
    if (!lock_unless_stopping())
        return false;
    bool idle = !needs_thread() && kin__os_now() >= atomic_load(&orphans_until);
    if (idle) {
        close_descriptors();
        pthread_detach(thread);
        atomic_store(&running, false);
    }
    pthread_mutex_unlock(&mutex);
    return idle;
}

static void *guard(void *unused)
{
    (void)unused;
    pthread_setname_np(pthread_self(), "kin-guardian");
    double look_at = kin__os_now() + PERIOD_MS / 1e3;
    while (!atomic_load(&stopping)) {
        struct epoll_event events[16];
        double until = atomic_load(&orphans_until);
        bool orphans = kin__os_now() < until;
        if (atomic_load(&renewed) || kin__os_now() >= look_at || !epoll_is_ours()) {
            look_after_descriptors();
            look_at = kin__os_now() + PERIOD_MS / 1e3;
        }
        int count = epoll_fd < 0 ? nap() : epoll_wait(epoll_fd, events, 16, patience_ms(orphans));
        if (count > 0)
            check_all(); /* which record is meant may have changed since: look at each under the mutex */
        double alarm = atomic_load(&next_alarm);
        if (alarm && alarm <= kin__os_now())
            ring_alarms();
        if (!orphans)
            continue;
        if (kin__members_sweep() == 0) /* unless more are expected since */
            atomic_compare_exchange_strong(&orphans_until, &until, 0);
        if (kin__os_now() >= atomic_load(&orphans_until) && leave())
            return NULL;
    }
    return NULL;
}

/* With the last child its work is done: neither thread nor descriptors stay. Orphans are dying: give them the
 * moment that takes. */
static void stop(void)
{
    if (!running || pthread_equal(thread, pthread_self()))
        return;
    double deadline = kin__os_deadline(ORPHAN_GRACE);
    while (kin__os_now() < atomic_load(&orphans_until) && kin__members_sweep() > 0) {
        if (kin__os_left(deadline) <= 0)
            return;    /* the thread looks after them */
        sched_yield(); /* they need the CPU to die */
    }
    atomic_store(&orphans_until, 0);
    atomic_store(&stopping, true);
    poke(); /* if that is lost: within PERIOD_MS */
    pthread_join(thread, NULL);
    running = false;
    close_descriptors();
}

int kin__guardian_start(void)
{
    if (running)
        return 0;
    if (open_descriptors() != 0)
        return KIN_ESYSTEM;
    atomic_store(&stopping, false);
    int error = kin__os_thread_start(&thread, guard, NULL);
    if (error) {
        close_descriptors();
        return kin__fail_errno(KIN_ESYSTEM, error, "could not start the guardian thread");
    }
    running = true;
    return 0;
}

int kin__guardian_alarm(struct kin__watch *watch, double at)
{
    int error = kin__guardian_start();
    if (error)
        return error;
    watch->alarm_at = at;
    double next = atomic_load(&next_alarm);
    if (!next || at < next)
        atomic_store(&next_alarm, at);
    poke();
    return 0;
}

void kin__guardian_add(struct kin__watch *watch)
{
    watch->over = false;
    watch->next = kin__guardian_list;
    watch->link = &kin__guardian_list;
    if (watch->next)
        watch->next->link = &watch->next;
    kin__guardian_list = watch;
    if (running)
        watch_in_epoll(watch);
    int alive = 0;
    for (struct kin__watch *other = kin__guardian_list; other; other = other->next)
        alive += !other->over && !other->quiet;
    if (alive > 1 && !running && kin__guardian_start() < 0)
        kin_log(KIN_LOG_WARNING, "%s; ends of children are noticed when someone waits", kin_error_message());
}

void kin__guardian_remove(struct kin__watch *watch)
{
    if (running && !watch->over)
        unwatch_in_epoll(watch);
    *watch->link = watch->next;
    if (watch->next)
        watch->next->link = watch->link;
    if (!watch->quiet && !needs_thread())
        stop();
}

int kin__own_threads(void)
{
    return running + atomic_load(&others);
}

void kin__own_threads_add(int change)
{
    atomic_fetch_add(&others, change);
}

void kin__guardian_expect_orphans(void)
{
    atomic_store(&orphans_until, kin__os_now() + ORPHAN_PATIENCE);
    if (kin__guardian_start() == 0)
        poke();
}

KIN__IN_CHILD void kin__guardian_forked(void)
{
    kin__mutex_forked(&mutex);
    kin__guardian_list = NULL;
    running = false;
    atomic_store(&others, 0);
    atomic_store(&orphans_until, 0);
    atomic_store(&next_alarm, 0);
    atomic_store(&renewed, false);
    close_descriptors();
}
