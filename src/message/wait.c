/*
 * message/wait.c - see kin/wait.h.
 *
 * Descriptors are waited for by ppoll(2), queues at the futex words of their events (gate.h). No system call of Linux 5.4
 * waits for both; so a thread of this process sleeps at the futexes and writes to an eventfd which the waiter polls too. All of it
 * is private to the process and goes with it: who puts into a queue knows nothing of it.
 *
 * Waking is one by one, and a wake may have been meant for another sleeper at the queue, who would get the message that this one
 * only looks at: so who leaves a queue passes the wake on, if there is something in it.
 */
#include "kin/wait.h"

#include "base/failure.h"
#include "kin/listener.h"
#include "message/connection_private.h"
#include "message/queue_shared.h"
#include "message/wait.h"
#include "os/os.h"
#include "process/process_shared.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define WORDS_MOST (KIN__OS_WORDS_MOST - 1) /* one is for the helper's end */
#define ON_STACK 16u

/* What an item comes down to. */
struct look {
    kin_queue *queue;                  /* or */
    const struct kin__wait_kind *kind; /* of what an upper floor has; or */
    const void *object;
    kin_connection *connection; /* in use meanwhile; and */
    int fd;                     /* -1: it is a queue, or of that kind */
    bool opened;                /* the descriptor is of this wait only */
};

struct waiting {
    kin_waitable *items;
    struct look *looks;
    struct pollfd *polls; /* one more than there are items */
    size_t count, queues; /* and what sleeps at words as they do */
    kin__id me;
};

static const struct kin__wait_kind *kinds[4];

void kin__wait_register(const struct kin__wait_kind *kind)
{
    size_t i = 0;
    while (kinds[i])
        i++;
    kinds[i] = kind;
}

/* ---- what an item is ------------------------------------------------------------------------- */

/* A process that is not our child has no descriptor here. It is ready if it ended before there was one. */
static int look_at_process(kin_process *process, struct look *look)
{
    if ((look->fd = kin_process_sentinel(process)) >= 0)
        return 0;
    int pid = kin_process_pid(process);
    int fd = pid > 0 ? kin__os_pidfd_open(pid) : -1;
    if (fd >= 0 && kin_process_is_alive(process)) { /* alive after that: the number is still its own */
        look->fd = fd;
        look->opened = true;
        return 0;
    }
    if (fd >= 0)
        close(fd);
    look->fd = kin__os_high(eventfd(1, EFD_CLOEXEC)); /* always ready */
    look->opened = true;
    return look->fd >= 0 ? 0 : kin__fail_errno(KIN_ESYSTEM, errno, "could not wait for a process");
}

static int look_at_connection(const kin_waitable *item, struct look *look)
{
    kin_connection *connection = (kin_connection *)item->object;
    int error = kin__connection_enter(connection, item->write ? KIN__WRITES : KIN__READS,
                                      item->write ? "send through" : "receive from", 0);
    if (error)
        return error;
    look->connection = connection;
    look->fd = connection->handle.fd;
    return 0;
}

static int look_at(struct waiting *waiting, const kin_waitable *item, struct look *look)
{
    const void *object = item->object;
    *look = (struct look){.fd = -1};
    if (!object) {
        look->fd = item->fd;
        return item->fd >= 0 ? 0 : kin__fail(KIN_EINVAL, "cannot wait for descriptor %d", item->fd);
    }
    if (kin__handle_area_holds(object)) {
        if (!kin__handle_is(object, KIN__LISTENER_MAGIC))
            return look_at_connection(item, look);
        look->fd = kin_listener_fd((kin_listener *)object);
        return look->fd >= 0 ? 0 : kin_error_code();
    }
    if (kin__object_is(object, KIN__PROCESS_MAGIC))
        return look_at_process((kin_process *)object, look);
    if (kin__object_is(object, KIN__QUEUE_MAGIC)) {
        int error = kin__sync_check(object, KIN__QUEUE_MAGIC, "wait for a queue"); /* that writes to it */
        if (error)
            return error;
        look->queue = (kin_queue *)object;
        waiting->queues++;
        return 0;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds && kinds[i]; i++)
        if (kin__object_is(object, kinds[i]->magic)) {
            look->kind = kinds[i];
            look->object = object;
            waiting->queues++;
            return 0;
        }
    return kin__fail(
        KIN_EINVAL,
        "cannot wait for %p: it is not a connection, listener, queue, process or result that this process "
        "has",
        object);
}

/* ---- looking --------------------------------------------------------------------------------- */

/* One that was freed meanwhile is ready: the call that follows tells so. */
static bool is_there(const kin_queue *queue)
{
    return kin__object_is(queue, KIN__QUEUE_MAGIC);
}

static bool queue_is_ready(kin_queue *queue, kin__id me)
{
    if (!is_there(queue) || !kin_queue_empty(queue) || kin_queue_closed(queue))
        return true;
    if (queue->wanted && kin__producers_over(queue, me))
        return true;
    struct kin__patience now = {.timeout = 0};
    if (!queue->redeliver || kin__queue_get_gate(queue, me, &now) != 0)
        return false;
    bool pending = kin__redeliver_pending(queue);
    kin__gate_release(&queue->get);
    return pending;
}

/* What has no descriptor. */
static bool is_ready(const struct waiting *waiting, const struct look *look)
{
    return look->queue ? queue_is_ready(look->queue, waiting->me)
                       : look->kind && look->kind->ready(look->object);
}

/* Fill in what is ready after a poll: how many. */
static size_t tell(struct waiting *waiting)
{
    size_t ready = 0;
    for (size_t i = 0; i < waiting->count; i++) {
        struct look *look = &waiting->looks[i];
        kin_waitable *item = &waiting->items[i];
        if (look->queue || look->kind)
            item->ready = is_ready(waiting, look);
        else
            item->ready = waiting->polls[i].revents != 0 ||
                          (look->connection && !item->write && kin__connection_waiting(look->connection));
        ready += item->ready;
    }
    return ready;
}

static int check_polls(const struct waiting *waiting)
{
    for (size_t i = 0; i < waiting->count; i++)
        if (waiting->polls[i].revents & POLLNVAL)
            return kin__fail(KIN_EINVAL,
                             "cannot wait for descriptor %d: this process has none of that number",
                             waiting->polls[i].fd);
    return 0;
}

/* What is ready now, without a wait. */
static int look_now(struct waiting *waiting, size_t *ready)
{
    int error = kin__os_poll_many(waiting->polls, waiting->count, 0);
    if (error && error != KIN_ETIMEDOUT)
        return error;
    error = check_polls(waiting);
    if (!error)
        *ready = tell(waiting);
    return error;
}

/* ---- sleeping at queues ---------------------------------------------------------------------- */

static bool any_queue_is_ready(const struct waiting *waiting)
{
    for (size_t i = 0; i < waiting->count; i++)
        if (is_ready(waiting, &waiting->looks[i]))
            return true;
    return false;
}

/* A thread's slot has room for one object that it waits for. */
static kin_queue *first_queue(const struct waiting *waiting)
{
    for (size_t i = 0; i < waiting->count; i++)
        if (waiting->looks[i].queue)
            return waiting->looks[i].queue;
    return NULL;
}

/* What this thread waits for: the first queue, as a member's death wakes who sleeps at it (W2 of sync/wait.h); or just how many. */
static struct kin__thread *note(const struct waiting *waiting)
{
    kin_queue *first = first_queue(waiting);
    if (!first) /* results alone, or nothing */
        return kin__waits_note(KIN__FOR_ONE_OF, waiting->count, KIN_FOREVER);
    struct kin__thread *thread = kin__sync_thread();
    if (thread)
        kin__waits_begin(thread, first, &first->items.signal);
    return thread;
}

/* Sleep until one of them may have something, the word `end` is no longer 0, the deadline is there, or for a while. */
static void sleep_at_queues(const struct waiting *waiting, const _Atomic uint32_t *end, double deadline)
{
    const _Atomic uint32_t *words[KIN__OS_WORDS_MOST];
    uint32_t seen[KIN__OS_WORDS_MOST];
    size_t count = 0;
    bool fenced = true;
    for (size_t i = 0; i < waiting->count && count < WORDS_MOST; i++) {
        const struct look *look = &waiting->looks[i];
        if (look->kind) {
            words[count] = look->kind->ask(look->object);
            seen[count] = atomic_load(words[count]);
            count++;
        }
        if (!look->queue || !is_there(look->queue))
            continue;
        struct kin__nap nap = kin__event_prepare(&look->queue->items);
        words[count] = &look->queue->items.signal;
        seen[count++] = nap.seen;
        fenced = fenced && nap.fenced;
    }
    if (end) {
        words[count] = end;
        seen[count++] = 0;
    }
    if (any_queue_is_ready(waiting))
        return;
    double left = kin__os_left(deadline),
           most = fenced && waiting->queues <= WORDS_MOST ? kin__look_again : 1e-3;
    kin__os_futex_wait_many(words, seen, count, left < most ? left : most);
}

static void leave_queues(const struct waiting *waiting)
{
    for (size_t i = 0; i < waiting->count; i++)
        if (waiting->looks[i].queue && queue_is_ready(waiting->looks[i].queue, waiting->me) &&
            is_there(waiting->looks[i].queue))
            kin__event_wake(&waiting->looks[i].queue->items, 1);
}

static int wait_for_queues(struct waiting *waiting, size_t *ready, double deadline)
{
    while (!(*ready = tell(waiting)) && kin__os_left(deadline) > 0)
        sleep_at_queues(waiting, NULL, deadline);
    leave_queues(waiting);
    return 0;
}

/* ---- both ------------------------------------------------------------------------------------ */

struct helper {
    const struct waiting *waiting;
    _Atomic uint32_t end;
    int bell;
};

static void *help(void *arg)
{
    struct helper *helper = arg;
    while (!atomic_load(&helper->end)) {
        if (any_queue_is_ready(helper->waiting)) {
            uint64_t one = 1;
            ssize_t rung = write(helper->bell, &one, sizeof one);
            (void)rung; /* it cannot be full */
            break;
        }
        struct kin__thread *waits = note(helper->waiting);
        sleep_at_queues(helper->waiting, &helper->end, KIN_FOREVER);
        kin__waits_noted(waits);
    }
    return NULL;
}

static int start_helper(struct helper *helper, pthread_t *thread)
{
    int error = kin__os_thread_start(thread, help, helper);
    return error ? kin__fail_errno(KIN_ESYSTEM, error,
                                   "could not start a thread to wait for queues and descriptors")
                 : 0;
}

static int wait_for_both(struct waiting *waiting, size_t *ready, double deadline)
{
    struct helper helper = {.waiting = waiting, .bell = kin__os_high(eventfd(0, EFD_CLOEXEC))};
    pthread_t thread;
    if (helper.bell < 0)
        return kin__fail_errno(KIN_ESYSTEM, errno, "could not wait for queues and descriptors");
    int error = start_helper(&helper, &thread);
    if (error) {
        close(helper.bell);
        return error;
    }
    waiting->polls[waiting->count] = (struct pollfd){.fd = helper.bell, .events = POLLIN};
    error = kin__os_poll_many(waiting->polls, waiting->count + 1, deadline);
    atomic_store(&helper.end, 1);
    kin__os_futex_wake(&helper.end, 1);
    pthread_join(thread, NULL);
    close(helper.bell);
    leave_queues(waiting);
    if (error && error != KIN_ETIMEDOUT)
        return error;
    *ready = tell(waiting);
    return 0;
}

/* A message that the bell was rung for may have been taken by another meanwhile: then it goes on. */
static int wait_until(struct waiting *waiting, size_t *ready, double deadline)
{
    int error = look_now(waiting, ready);
    if (error || *ready || kin__os_left(deadline) <= 0)
        return error;
    struct kin__thread *waits = waiting->queues == waiting->count
                                    ? note(waiting)
                                    : kin__waits_note(KIN__FOR_ONE_OF, waiting->count, KIN_FOREVER);
    while (!error && !*ready && kin__os_left(deadline) > 0) {
        if (waiting->queues == waiting->count && waiting->count)
            error = wait_for_queues(waiting, ready, deadline);
        else if (waiting->queues)
            error = wait_for_both(waiting, ready, deadline);
        else if ((error = kin__os_poll_many(waiting->polls, waiting->count, deadline)) == 0)
            *ready = tell(waiting);
    }
    kin__waits_noted(waits);
    return error;
}

static void let_go(const struct waiting *waiting, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (waiting->looks[i].connection)
            kin__handle_leave(waiting->looks[i].connection);
        if (waiting->looks[i].opened)
            close(waiting->looks[i].fd);
    }
}

static int wait_with(struct waiting *waiting, size_t *ready, double timeout)
{
    double deadline = kin__os_deadline(timeout);
    size_t known = 0;
    int error = 0;
    while (known < waiting->count && !error) {
        const kin_waitable *item = &waiting->items[known];
        error = look_at(waiting, item, &waiting->looks[known]);
        waiting->polls[known] =
            (struct pollfd){.fd = waiting->looks[known].fd, .events = item->write ? POLLOUT : POLLIN};
        known += !error;
    }
    kin_queue *first = !error ? first_queue(waiting) : NULL;
    struct kin__thread *thread = first ? kin__sync_thread() : NULL;
    if (thread)
        kin__use_begin(thread, first);
    if (!error)
        error = wait_until(waiting, ready, deadline);
    if (thread)
        kin__use_end(thread);
    let_go(waiting, known);
    if (error == KIN_ETIMEDOUT || (!error && !*ready))
        return kin__fail(KIN_ETIMEDOUT, "none of %zu became ready in time", waiting->count);
    return error;
}

int kin_wait(kin_waitable *items, size_t count, size_t *ready, double timeout)
{
    KIN__UNCANCELLED;
    struct look looks[ON_STACK];
    struct pollfd polls[ON_STACK + 1];
    struct waiting waiting = {
        .items = items, .looks = looks, .polls = polls, .count = count, .me = kin__self_id()};
    size_t found = 0;
    if (ready)
        *ready = 0;
    if (!waiting.me)
        return kin_error_code();
    if (count && !items)
        return kin__fail(KIN_EINVAL, "cannot wait for %zu things: they are NULL", count);
    int error = kin__timeout_check(timeout);
    if (error)
        return error;
    if (count > ON_STACK) {
        waiting.looks = calloc(count, sizeof *waiting.looks);
        waiting.polls = calloc(count + 1, sizeof *waiting.polls);
    }
    for (size_t i = 0; i < count; i++)
        items[i].ready = false;
    if (waiting.looks && waiting.polls)
        error = wait_with(&waiting, &found, timeout);
    else
        error = kin__fail(KIN_ENOMEM, "could not wait for %zu things: out of memory", count);
    if (count > ON_STACK) {
        free(waiting.looks);
        free(waiting.polls);
    }
    if (ready)
        *ready = found;
    return error;
}
