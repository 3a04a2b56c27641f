/* family/guardian.c - see guardian.h. One epoll of pidfds and an eventfd that says "the list has changed". */
#include "family/guardian.h"

#include "base/failure.h"
#include "base/in_child.h"
#include "base/log.h"
#include "family/member.h"
#include "os/os.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LOCK_PERIOD_NS 2000000
#define ORPHAN_PERIOD_MS 10
#define WAIT_MAX_MS 1000000
#define ORPHAN_GRACE 0.1
#define ORPHAN_PATIENCE 5.0 /* seconds; later sweeps find the rest */

struct kin__watch *kin__guardian_list;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int cancel_before; /* the cancel state of who holds the mutex */

static int epoll_fd = -1;
static int poke_fd = -1;
static pthread_t thread;
static _Atomic bool running;
static _Atomic bool stopping;
static _Atomic int others; /* threads of upper floors */
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

bool kin__guardian_check(struct kin__watch *watch)
{
    if (!watch->over && kin__os_pidfd_ended(watch->pidfd)) {
        watch->over = true;
        if (epoll_fd >= 0)
            epoll_ctl(epoll_fd, EPOLL_CTL_DEL, watch->pidfd, NULL);
        watch->ended(watch);
    }
    return watch->over;
}

/* Who stops the guardian holds the mutex while it waits for it: so never wait for the mutex without end. */
static bool lock_unless_stopping(void)
{
    while (!atomic_load(&stopping)) {
        struct timespec until = kin__os_moment_in(LOCK_PERIOD_NS);
        if (pthread_mutex_clocklock(&mutex, CLOCK_MONOTONIC, &until) == 0)
            return true;
    }
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
    double wait = orphans ? ORPHAN_PERIOD_MS : -1;
    if (alarm) {
        double left = (alarm - kin__os_now()) * 1e3;
        left = left < 0 ? 0 : left > WAIT_MAX_MS ? WAIT_MAX_MS : left + 1; /* whole ms: never too early */
        wait = wait < 0 || left < wait ? left : wait;
    }
    return (int)wait;
}

static void *guard(void *unused)
{
    (void)unused;
    pthread_setname_np(pthread_self(), "kin-guardian");
    while (!atomic_load(&stopping)) {
        struct epoll_event events[16];
        bool orphans = kin__os_now() < atomic_load(&orphans_until);
        int count = epoll_wait(epoll_fd, events, 16, patience_ms(orphans));
        if (count < 0 && errno != EINTR)
            return NULL; /* the descriptor is gone: the program closed what is not its own */
        eventfd_t pokes;
        eventfd_read(poke_fd, &pokes);
        if (count > 0)
            check_all(); /* which record is meant may have changed since: look at each under the mutex */
        double alarm = atomic_load(&next_alarm);
        if (alarm && alarm <= kin__os_now())
            ring_alarms();
        if (orphans && kin__members_sweep() == 0)
            atomic_store(&orphans_until, 0);
    }
    return NULL;
}

static int watch_in_epoll(struct kin__watch *watch)
{
    struct epoll_event event = {.events = EPOLLIN};
    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, watch->pidfd, &event);
}

static void close_descriptors(void)
{
    if (epoll_fd >= 0)
        close(epoll_fd);
    if (poke_fd >= 0)
        close(poke_fd);
    epoll_fd = poke_fd = -1;
}

static int open_descriptors(void)
{
    epoll_fd = kin__os_high(epoll_create1(EPOLL_CLOEXEC));
    poke_fd = kin__os_high(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    struct epoll_event event = {.events = EPOLLIN};
    if (epoll_fd >= 0 && poke_fd >= 0 && epoll_ctl(epoll_fd, EPOLL_CTL_ADD, poke_fd, &event) == 0)
        return 0;
    int error = errno;
    close_descriptors();
    return kin__fail_errno(KIN_ESYSTEM, error, "could not start watching child processes");
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
    eventfd_write(poke_fd, 1);
    pthread_join(thread, NULL);
    running = false;
    close_descriptors();
}

static bool needs_thread(void)
{
    const struct kin__watch *watch = kin__guardian_list;
    while (watch && watch->quiet)
        watch = watch->next;
    return watch;
}

int kin__guardian_start(void)
{
    if (running)
        return 0;
    if (open_descriptors() != 0)
        return KIN_ESYSTEM;
    for (struct kin__watch *watch = kin__guardian_list; watch; watch = watch->next)
        if (!watch->over)
            watch_in_epoll(watch);
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
    eventfd_write(poke_fd, 1);
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
        epoll_ctl(epoll_fd, EPOLL_CTL_DEL, watch->pidfd, NULL);
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
        eventfd_write(poke_fd, 1); /* it may be waiting without limit */
}

KIN__IN_CHILD void kin__guardian_forked(void)
{
    kin__mutex_forked(&mutex);
    kin__guardian_list = NULL;
    running = false;
    atomic_store(&others, 0);
    atomic_store(&orphans_until, 0);
    atomic_store(&next_alarm, 0);
    close_descriptors();
}
