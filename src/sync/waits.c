/*
 * sync/waits.c - see kin/waits.h.
 *
 * A deadlock is what is left of all that wait when everybody has gone whom somebody else may let go: one that waits for
 * something without holders, or with one that does not wait, or that is dead. A process that is waited for counts as held by all its
 * threads. A waiter needs one of the holders only, so it
 * stays as long as all of them are left. What is left is read once more: a wait that is the same both times (`since` tells
 * it from any other) lasted from the first look to the second, so all of them were there at once in between.
 */
#include "kin/waits.h"

#include "base/failure.h"
#include "family/heap.h"
#include "kin/barrier.h"
#include "kin/semaphore.h"
#include "process/process_shared.h"
#include "sync/mutex.h"
#include "sync/semaphore_shared.h"
#include "sync/waits.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KINDS_MAX 16u

struct wait {
    uint64_t name, object, word, since;
    kin__id member;
    uint32_t magic;
    struct kin__held held;
    bool stuck;
    int deadlock, next;
};

struct waits {
    size_t count;
    int32_t
        at[KIN__THREADS_SPARE]; /* of a slot, 0: it does not wait; else one more than the place in `wait` */
    struct wait wait[KIN__THREADS_SPARE];
};

static struct {
    uint32_t magic;
    kin__held_fn held;
} kinds[KINDS_MAX];

void kin__waits_register(uint32_t magic, kin__held_fn held)
{
    for (size_t i = 0; i < KINDS_MAX; i++)
        if (!kinds[i].magic || kinds[i].magic == magic) {
            kinds[i].magic = magic;
            kinds[i].held = held;
            return;
        }
    kin__panic("too many kinds of objects to wait for");
}

/* ---- reading --------------------------------------------------------------------------------- */

static void read_semaphore(const struct kin_semaphore *semaphore, struct kin__held *held)
{
    uint32_t permits = semaphore->owned <= KIN_SEMAPHORE_OWNED_MAX ? semaphore->owned : 0;
    for (uint32_t i = 0; i < permits; i++) {
        uint64_t name = atomic_load_explicit(&semaphore->holder[i], memory_order_relaxed);
        if (name && held->count++ < KIN__HOLDERS_MAX)
            held->name[held->count - 1] = name;
    }
}

/* A process goes on until its threads do not: those hold it. */
static void read_process(const struct kin_process *process, struct kin__held *held)
{
    kin__id id = process->id;
    uint32_t top = kin__peek32(&kin__heap()->threads_top);
    snprintf(held->what, sizeof held->what, "its end");
    held->titled = 1;
    memcpy(held->title, process->name, sizeof held->title - 1);
    held->member = id;
    for (uint32_t i = 1; id && i < top && i < KIN__THREADS_SPARE; i++) {
        const struct kin__thread *thread = kin__thread_at(i);
        if (kin__peek(&thread->owner) == id && held->count++ < KIN__HOLDERS_MAX)
            held->name[held->count - 1] = kin__peek(&thread->name);
    }
}

static void read_held(const struct wait *wait, struct kin__held *held)
{
    void *object = (void *)(uintptr_t)wait->object;
    memset(held, 0, sizeof *held);
    switch (wait->magic) {
    case KIN__LOCK_MAGIC:
    case KIN__RLOCK_MAGIC:
        held->name[0] = kin__mutex_owner(object);
        held->count = held->name[0] != 0;
        break;
    case KIN__SEMAPHORE_MAGIC:
    case KIN__OWNED_MAGIC:
        read_semaphore(object, held);
        break;
    case KIN__PROCESS_MAGIC:
        read_process(object, held);
        break;
    case KIN__CONDITION_MAGIC:
        snprintf(held->what, sizeof held->what, "a notification");
        break;
    case KIN__BARRIER_MAGIC:
        snprintf(held->what, sizeof held->what, "%d of %d have come", kin_barrier_waiting(object),
                 kin_barrier_parties(object));
        break;
    default:
        for (size_t i = 0; i < KINDS_MAX && kinds[i].magic; i++)
            if (kinds[i].magic == wait->magic)
                kinds[i].held(object, wait->word, held);
    }
}

/* What a call is noted to wait for in the kernel. */
static void read_note(uint64_t what, uint64_t which, struct kin__held *held)
{
    held->titled = 1;
    if (what == KIN__FOR_ONE_OF)
        snprintf(held->what, sizeof held->what, "one of %llu", (unsigned long long)which);
    else
        snprintf(held->what, sizeof held->what, "%s %llu",
                 what == KIN__FOR_MESSAGE   ? "a message, descriptor"
                 : what == KIN__FOR_SENDING ? "sending, descriptor"
                                            : "a client, descriptor",
                 (unsigned long long)which);
}

static bool is_note(uint64_t object)
{
    return object && object < KIN__FOR_END;
}

static const char *kind_of(const struct wait *wait)
{
    if (!is_note(wait->object))
        return kin__object_kind(wait->magic);
    return wait->object == KIN__FOR_ONE_OF   ? "several things"
           : wait->object == KIN__FOR_CLIENT ? "listener"
                                             : "connection";
}

/* What the thread in a slot waits for: false, if it does not, or not for something that is one object all the while. */
static bool read_wait(uint32_t index, struct wait *out)
{
    struct kin__thread *thread = kin__thread_at(index);
    memset(out, 0, sizeof *out);
    out->name = kin__peek(&thread->name);
    out->object = atomic_load_explicit(&thread->waits.object, memory_order_acquire);
    const struct kin__object *object = (const struct kin__object *)(uintptr_t)out->object;
    bool note = is_note(out->object);
    if (!note && (!object || !kin__region_holds(object) || out->object % 16))
        return false;
    out->word = atomic_load_explicit(&thread->waits.word, memory_order_relaxed);
    out->since = atomic_load_explicit(&thread->waits.since, memory_order_relaxed);
    out->magic = note ? 0 : atomic_load_explicit(&object->magic, memory_order_acquire);
    out->member = kin__thread_member(out->name);
    out->next = -1;
    if (!out->member || !kind_of(out))
        return false;
    if (note)
        read_note(out->object, out->word, &out->held);
    else
        read_held(out, &out->held);
    atomic_thread_fence(memory_order_acquire);
    return atomic_load(&thread->waits.object) == out->object &&
           atomic_load(&thread->waits.since) == out->since && kin__peek(&thread->name) == out->name;
}

static int pid_of(kin__id id)
{
    const struct kin__member *member = kin__member_find(id);
    return member ? (int)atomic_load(&member->pid) : 0;
}

static char state_of(int pid)
{
    return pid ? kin__os_process_state(pid) : '\0';
}

static bool is_alive(char state)
{
    return state && state != 'Z' && state != 'X';
}

/* ---- deadlocks ------------------------------------------------------------------------------- */

/* The wait of who goes by that name, if it is stuck too; -1. */
static int stuck_one(const struct waits *waits, uint64_t name)
{
    uint32_t index = KIN__NAME_INDEX(name);
    int at = index < KIN__THREADS_SPARE ? waits->at[index] - 1 : -1;
    return at >= 0 && waits->wait[at].name == name && waits->wait[at].stuck ? at : -1;
}

static bool may_go_on(const struct waits *waits, const struct wait *wait)
{
    if (!wait->held.count || wait->held.count > KIN__HOLDERS_MAX)
        return true;
    for (uint32_t i = 0; i < wait->held.count; i++)
        if (stuck_one(waits, wait->held.name[i]) < 0)
            return true;
    return false;
}

static size_t let_go(struct waits *waits)
{
    size_t left = 0;
    for (bool more = true; more;) {
        more = false;
        left = 0;
        for (size_t i = 0; i < waits->count; i++) {
            struct wait *wait = &waits->wait[i];
            if (wait->stuck && may_go_on(waits, wait)) {
                wait->stuck = false;
                more = true;
            }
            left += wait->stuck;
        }
    }
    return left;
}

static void look_again(struct waits *waits)
{
    for (size_t i = 0; i < waits->count; i++) {
        struct wait now, *wait = &waits->wait[i];
        if (wait->stuck)
            wait->stuck = read_wait(KIN__NAME_INDEX(wait->name), &now) && now.name == wait->name &&
                          now.object == wait->object && now.since == wait->since &&
                          memcmp(&now.held, &wait->held, sizeof now.held) == 0;
    }
}

/* From each that is stuck on to the first that holds what it waits for, until one is met again: those are a circle. */
static void number(struct waits *waits)
{
    int deadlocks = 0;
    for (size_t i = 0; i < waits->count; i++) {
        if (!waits->wait[i].stuck)
            continue;
        int at = (int)i;
        for (size_t steps = 0; steps < waits->count; steps++) /* certainly in the circle then */
            at = stuck_one(waits, waits->wait[at].held.name[0]);
        if (waits->wait[at].deadlock)
            continue;
        for (deadlocks++; !waits->wait[at].deadlock; at = waits->wait[at].next) {
            waits->wait[at].deadlock = deadlocks;
            waits->wait[at].next = stuck_one(waits, waits->wait[at].held.name[0]);
        }
    }
}

static struct waits *read_all(void)
{
    if (!kin__region) {
        kin__fail(KIN_ENOINIT, "cannot tell who waits: kin_init has not been called");
        return NULL;
    }
    struct waits *waits = calloc(1, sizeof *waits);
    if (!waits) {
        kin__fail(KIN_ENOMEM, "could not get memory to tell who waits");
        return NULL;
    }
    uint32_t top = kin__peek32(&kin__heap()->threads_top);
    for (uint32_t i = 1; i < top && i < KIN__THREADS_SPARE; i++)
        if (read_wait(i, &waits->wait[waits->count])) {
            struct wait *wait = &waits->wait[waits->count++];
            waits->at[i] = (int32_t)waits->count;
            wait->stuck = is_alive(state_of(pid_of(wait->member)));
        }
    if (let_go(waits)) {
        look_again(waits);
        if (let_go(waits))
            number(waits);
    }
    return waits;
}

/* ---- telling --------------------------------------------------------------------------------- */

static void name_process(kin__id id, char name[32])
{
    const struct kin__member *member = kin__member_find(id);
    const struct kin_process *process = member ? member->process : NULL;
    if (process && kin__region_holds(process) && atomic_load(&process->magic) == KIN__PROCESS_MAGIC &&
        process->id == id) {
        memcpy(name, process->name, 31);
        name[31] = '\0';
    }
}

static void tell(const struct wait *wait, uint64_t now, kin_waiter *out)
{
    memset(out, 0, sizeof *out);
    out->pid = pid_of(wait->member);
    out->thread = (int)KIN__NAME_INDEX(wait->name);
    name_process(wait->member, out->process);
    out->state = state_of(out->pid);
    snprintf(out->kind, sizeof out->kind, "%s", kind_of(wait));
    memcpy(out->what, wait->held.what, sizeof out->what);
    out->object = is_note(wait->object) ? NULL : (const void *)(uintptr_t)wait->object;
    if (wait->held.titled)
        memcpy(out->name, wait->held.title, sizeof out->name - 1);
    else if (out->object)
        memcpy(out->name, ((const struct kin__sync *)out->object)->name, sizeof out->name - 1);
    out->seconds = now > wait->since ? (double)(now - wait->since) / 1e9 : 0;
    out->holders = (int)wait->held.count;
    kin__id holder = wait->held.count ? kin__thread_member(wait->held.name[0]) : wait->held.member;
    if (holder) {
        out->holder_pid = pid_of(holder);
        out->holder_thread = (int)KIN__NAME_INDEX(wait->held.name[0]);
        name_process(holder, out->holder);
        out->holder_state = state_of(out->holder_pid);
    }
    out->stuck = wait->stuck;
    out->deadlock = wait->deadlock;
    out->next = wait->deadlock ? wait->next : -1;
}

int kin_waits_get(kin_waiter *out, size_t capacity, size_t *count)
{
    if (!count || (capacity && !out))
        return kin__fail(KIN_EINVAL, "cannot tell who waits: no place to tell it");
    struct waits *waits = read_all();
    if (!waits)
        return kin_error_code();
    uint64_t now = kin__os_now_ns();
    for (size_t i = 0; i < waits->count && i < capacity; i++)
        tell(&waits->wait[i], now, &out[i]);
    *count = waits->count;
    free(waits);
    return 0;
}

struct text {
    char text[4000];
    size_t length;
};

static void add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t room = sizeof text->text - text->length;
    int n = vsnprintf(text->text + text->length, room, format, args);
    va_end(args);
    if (n > 0)
        text->length += (size_t)n < room ? (size_t)n : room - 1;
}

static void add_who(struct text *text, const char *process, int pid, int thread, char state)
{
    add(text, "process \"%s\" (pid %d%s)", process, pid,
        state == 'T'      ? ", stopped"
        : is_alive(state) ? ""
                          : ", has ended");
    if (thread)
        add(text, ", thread %d", thread);
}

static void add_object(struct text *text, const kin_waiter *waiter)
{
    if (*waiter->name)
        add(text, "%s \"%s\"", waiter->kind, waiter->name);
    else if (!waiter->object)
        add(text, "%s", waiter->kind);
    else
        add(text, "%s %p", waiter->kind, waiter->object);
}

static int put_line(int fd, struct text *text)
{
    add(text, "\n");
    text->text[text->length - 1] = '\n'; /* also of a line that was cut */
    for (size_t done = 0; done < text->length;) {
        ssize_t n = write(fd, text->text + done, text->length - done);
        if (n < 0 && errno != EINTR)
            return kin__fail_errno(KIN_ESYSTEM, errno, "could not print who waits to descriptor %d", fd);
        done += n > 0 ? (size_t)n : 0;
    }
    text->length = 0;
    return 0;
}

static int print_one(int fd, const kin_waiter *waiter)
{
    struct text text = {.length = 0};
    add_who(&text, waiter->process, waiter->pid, waiter->thread, waiter->state);
    add(&text, ": for ");
    add_object(&text, waiter);
    if (*waiter->what)
        add(&text, " (%s)", waiter->what);
    if (waiter->holder_pid && strcmp(waiter->kind, "process") != 0) {
        add(&text, ", held by ");
        add_who(&text, waiter->holder, waiter->holder_pid, waiter->holder_thread, waiter->holder_state);
        if (waiter->holders > 1)
            add(&text, " and %d more", waiter->holders - 1);
    }
    add(&text, ", since %.1f s%s", waiter->seconds,
        waiter->stuck && !waiter->deadlock ? "; it waits for a deadlock" : "");
    return put_line(fd, &text);
}

/* From its first member on. */
static int print_deadlock(int fd, const kin_waiter *waiters, size_t first)
{
    struct text text = {.length = 0};
    add(&text, "deadlock %d: ", waiters[first].deadlock);
    size_t at = first;
    do {
        add_who(&text, waiters[at].process, waiters[at].pid, waiters[at].thread, waiters[at].state);
        add(&text, " -> ");
        add_object(&text, &waiters[at]);
        add(&text, " -> ");
        at = (size_t)waiters[at].next;
    } while (at != first && text.length < sizeof text.text - 1);
    add(&text, "the first");
    return put_line(fd, &text);
}

int kin_report_waits(int fd)
{
    size_t count = 0;
    kin_waiter *waiters = malloc(KIN__THREADS_SPARE * sizeof *waiters);
    if (!waiters)
        return kin__fail(KIN_ENOMEM, "could not get memory to tell who waits");
    int error = kin_waits_get(waiters, KIN__THREADS_SPARE, &count);
    struct text text = {.length = 0};
    if (!error) {
        add(&text, "%zu %s", count, count == 1 ? "thread waits" : "threads wait");
        error = put_line(fd, &text);
    }
    for (size_t i = 0; !error && i < count; i++)
        error = print_one(fd, &waiters[i]);
    int told = 0;
    for (size_t i = 0; !error && i < count; i++)
        if (waiters[i].deadlock > told) {
            told = waiters[i].deadlock;
            error = print_deadlock(fd, waiters, i);
        }
    free(waiters);
    return error;
}
