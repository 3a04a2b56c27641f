/* sync/wait.c - see wait.h. */
#include "sync/wait.h"

#include "base/failure.h"
#include "family/checked.h"
#include "family/heap.h"
#include "family/journal.h"
#include "family/sealed.h"
#include "kin/heap.h"
#include "kin/process.h"
#include "process/process_shared.h"
#include "sync/deaths.h"
#include "sync/mutex.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#define SPIN_TURNS 200u
#define LINE 64u
#define NOTE_WITHIN \
    0.01 /* seconds: what is ready already may be as late, while a member is stopped in the heap */
#define CALL_ENDS 0.1 /* seconds that an unfinished call may take to return, preempted perhaps */

double kin__look_again = 0.1;

bool kin__name_gone(uint64_t name)
{
    kin__id member = kin__thread_member(name);
    return !member || (member != kin__self_id() && kin__member_recover(member) == 0);
}

bool kin__sync_spin(unsigned *turns)
{
    static _Atomic int cpus; /* 0: not asked yet */
    int count = atomic_load_explicit(&cpus, memory_order_relaxed);
    if (!count)
        atomic_store_explicit(&cpus, count = kin__os_cpu_count(), memory_order_relaxed);
    if (count < 2 || ++*turns > SPIN_TURNS)
        return false;
    kin__os_pause();
    return true;
}

void kin__waits_begin(struct kin__thread *thread, const void *object, const _Atomic uint32_t *word)
{
    kin__thread_waits_begin(thread, object, (uintptr_t)word, kin__os_now_ns());
}

void kin__waits_end(struct kin__thread *thread)
{
    kin__thread_waits_end(thread);
}

/* One that has no slot yet gets one, but does not wait long for it: who has the heap's lock may be stopped. */
static struct kin__thread *thread_soon(void)
{
    if (kin__thread_is_ours())
        return kin__thread_mine;
    if (!kin__region || !kin__journal_begin_until(kin__os_deadline(NOTE_WITHIN)))
        return NULL;
    kin__journal_end();
    return kin__sync_thread();
}

struct kin__thread *kin__waits_note(enum kin__waits_for what, uint64_t which, double timeout)
{
    struct kin__thread *thread = timeout > 0 ? thread_soon() : NULL;
    if (thread)
        kin__thread_waits_begin(thread, (const void *)(uintptr_t)what, which, kin__os_now_ns());
    return thread;
}

void kin__waits_noted(struct kin__thread *thread)
{
    if (thread)
        kin__thread_waits_end(thread);
}

void kin__waits_sleep(const _Atomic uint32_t *word, uint32_t seen, double deadline)
{
    double left = kin__os_left(deadline);
    kin__os_futex_wait(word, seen, left < kin__look_again ? left : kin__look_again);
}

static bool is_in_call(const struct kin__thread *thread, uint64_t name, const void *object)
{
    return atomic_load_explicit(&thread->waits.call, memory_order_acquire) == (uintptr_t)object &&
           thread != kin__thread_mine && kin__peek(&thread->name) == name && !kin__name_gone(name);
}

int kin__waits_none(const void *object)
{
    double deadline = kin__os_deadline(CALL_ENDS);
    uint32_t top = kin__peek32(&kin__heap()->threads_top);
    for (uint32_t i = 1; i < top && i < KIN__THREADS_SPARE; i++) {
        const struct kin__thread *thread = kin__thread_at(i);
        uint64_t name = kin__peek(&thread->name);
        if (atomic_load(&thread->waits.object) == (uintptr_t)object && !kin__name_gone(name))
            return kin__fail(KIN_EBUSY, "cannot free %s: %s waits for it", kin__title(object).text,
                             kin__who(name).text);
        while (is_in_call(thread, name, object)) {
            if (kin__os_left(deadline) <= 0)
                return kin__fail(KIN_EBUSY, "cannot free %s: %s is in a call of it", kin__title(object).text,
                                 kin__who(name).text);
            sched_yield();
        }
    }
    return 0;
}

int kin__timeout_refuse(double timeout)
{
    return kin__fail(KIN_EINVAL, "cannot wait for %g seconds", timeout);
}

int kin__sync_refuse(const void *object, uint32_t magic, const char *what)
{
    int error = kin__object_check(object, magic, what);
    return error ? error : kin__sealed_refuse(what);
}

void *kin__sync_new(size_t size, const char *name)
{
    if (kin__sealed_refuse("make an object that others can use"))
        return NULL;
    size = (size + LINE - 1) / LINE * LINE;
    struct kin__sync *object = kin_aligned_alloc(LINE, size);
    if (!object)
        return NULL;
    memset(object, 0, size);
    if (name)
        strncpy(object->name, name, KIN__NAME_MAX - 1);
    return object;
}

void *kin__sync_publish(void *object, enum kin__object_magic magic)
{
    struct kin__object *head = object;
    atomic_store_explicit(&head->magic, magic, memory_order_release);
    return object;
}

/* As one: whoever dies in it leaves an object that can be freed, or nothing. */
void kin__sync_free_opened(void *object)
{
    struct kin__object *head = object;
    struct kin__thread *thread = kin__thread_mine;
    kin__journal_begin();
    kin__journal_set32((void *)&head->magic, 0);
    kin__heap_free_in(thread, object);
    kin__journal_end();
    kin__heap_free_finish(thread);
}

void kin__sync_free(void *object)
{
    struct kin__object *head = object;
    if (kin__sync_thread() && !kin__checks_heap()) {
        kin__sync_free_opened(object);
        return;
    }
    atomic_store(&head->magic, 0); /* checked blocks have guards, and a history */
    kin_free(object);
}

struct kin__title kin__title(const void *object)
{
    const struct kin__sync *sync = object;
    struct kin__title title;
    char name[KIN__NAME_MAX] = "";
    const char *kind = kin__object_kind(atomic_load(&sync->head.magic));
    memcpy(name, sync->name, KIN__NAME_MAX - 1);
    if (*name)
        snprintf(title.text, sizeof title.text, "%s \"%s\"", kind ? kind : "object", name);
    else
        snprintf(title.text, sizeof title.text, "%s %p", kind ? kind : "object", object);
    return title;
}

/* ---- deaths ---------------------------------------------------------------------------------- */

/* W2. The dead one's slots are nobody's by now, its own among them. */
static void wake_all(void)
{
    uint32_t top = kin__peek32(&kin__heap()->threads_top);
    for (uint32_t i = 1; i < top && i < KIN__THREADS_SPARE; i++) {
        struct kin__waits *waits = &kin__thread_at(i)->waits;
        if (atomic_load_explicit(&waits->object, memory_order_acquire)) {
            uint64_t word = atomic_load_explicit(&waits->word, memory_order_relaxed);
            if (kin__region_holds((const void *)(uintptr_t)word))
                kin__os_futex_wake((const _Atomic uint32_t *)(uintptr_t)word, INT_MAX);
        }
    }
}

/* A process that ended by itself has told so; all others are dead. */
static bool ended_by_itself(const struct kin__member *dead)
{
    return dead->process && atomic_load_explicit(&dead->process->told, memory_order_acquire);
}

/* While its slots are still its own. */
static int recover(struct kin__member *dead)
{
    kin__journal_begin(); /* undoes a transaction that was not true yet: that may concern the lists */
    for (uint32_t i = dead->threads; i; i = kin__thread_at(i)->next)
        kin__barriers_recover(kin__thread_at(i), !ended_by_itself(dead));
    kin__journal_end();
    for (uint32_t i = dead->threads; i; i = kin__thread_at(i)->next)
        kin__condition_recover(kin__thread_at(i));
    return 0;
}

/* In every process of the family, as any of them may have to recover others, also one that uses nothing of this floor. */
__attribute__((constructor)) static void set_up(void)
{
    kin__member_hooks(&(struct kin__member_hooks){.recover = recover, .released = wake_all});
}
