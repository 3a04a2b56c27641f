/* sync/describe.c - see kin/describe.h and describe.h. */
#include "kin/describe.h"

#include "base/failure.h"
#include "family/heap.h"
#include "family/span.h"
#include "kin/barrier.h"
#include "kin/event.h"
#include "kin/semaphore.h"
#include "process/process_shared.h"
#include "sync/describe.h"
#include "sync/mutex.h"

#include <stdio.h>
#include <string.h>

#define KINDS_MAX 16u

static struct {
    uint32_t magic;
    kin__describe_fn describe;
} kinds[KINDS_MAX];

void kin__describe_register(uint32_t magic, kin__describe_fn describe)
{
    for (size_t i = 0; i < KINDS_MAX; i++)
        if (!kinds[i].magic || kinds[i].magic == magic) {
            kinds[i].magic = magic;
            kinds[i].describe = describe;
            return;
        }
    kin__panic("too many kinds of objects to describe");
}

static void of_mutex(const struct kin__mutex *mutex, struct kin__description *out)
{
    uint64_t owner = kin__mutex_owner(mutex);
    if (owner)
        snprintf(out->how, sizeof out->how, "held by %s", kin__who(owner).text);
    else
        snprintf(out->how, sizeof out->how, "free");
}

static void of_condition(const void *condition, struct kin__description *out)
{
    uint32_t top = kin__peek32(&kin__heap()->threads_top), count = 0;
    for (uint32_t i = 1; i < top && i < KIN__THREADS_SPARE; i++)
        count += atomic_load(&kin__thread_at(i)->waits.condition) == (uintptr_t)condition;
    snprintf(out->how, sizeof out->how, "%u %s", count, count == 1 ? "waits" : "wait");
}

static void of_barrier(kin_barrier *barrier, struct kin__description *out)
{
    if (kin_barrier_is_broken(barrier))
        snprintf(out->how, sizeof out->how, "broken");
    else
        snprintf(out->how, sizeof out->how, "%d of %d have come", kin_barrier_waiting(barrier),
                 kin_barrier_parties(barrier));
}

static void of_process(const struct kin_process *process, struct kin__description *out)
{
    memcpy(out->name, process->name, sizeof out->name - 1);
    snprintf(out->how, sizeof out->how, "pid %d%s", (int)atomic_load(&process->pid),
             atomic_load(&process->ended) ? ", has ended" : "");
}

/* What begins with a struct kin__sync has its name there. */
static void of_any(void *object, uint32_t magic, struct kin__description *out)
{
    if (magic == KIN__PROCESS_MAGIC) {
        of_process(object, out);
        return;
    }
    for (size_t i = 0; i < KINDS_MAX && kinds[i].magic; i++)
        if (kinds[i].magic == magic) {
            kinds[i].describe(object, out);
            return;
        }
    switch (magic) {
    case KIN__LOCK_MAGIC:
    case KIN__RLOCK_MAGIC:
        of_mutex(object, out);
        break;
    case KIN__SEMAPHORE_MAGIC:
    case KIN__OWNED_MAGIC:
        snprintf(out->how, sizeof out->how, "value %d", kin_semaphore_value(object));
        break;
    case KIN__EVENT_MAGIC:
        snprintf(out->how, sizeof out->how, "%s", kin_event_is_set(object) ? "set" : "unset");
        break;
    case KIN__CONDITION_MAGIC:
        of_condition(object, out);
        break;
    case KIN__BARRIER_MAGIC:
        of_barrier(object, out);
        break;
    case KIN__VALUE_MAGIC:
    case KIN__ARRAY_MAGIC:
    case KIN__READER_MAGIC:
    case KIN__DICT_MAGIC:
    case KIN__LIST_MAGIC:
    case KIN__SET_MAGIC:
    case KIN__NAMESPACE_MAGIC:
    case KIN__MANAGER_MAGIC:
    case KIN__PROXY_MAGIC:
        break;
    default:
        return;
    }
    memcpy(out->name, ((const struct kin__sync *)object)->name, KIN__NAME_MAX - 1);
}

/* What is not may have no memory, or be a guard. An object may be a part of another: then it lies in a block. */
static bool is_in_use(const void *pointer)
{
    enum kin__spot_kind kind = kin__spot_of(pointer).kind;
    return (kind == KIN__SPOT_SMALL || kind == KIN__SPOT_LARGE || kind == KIN__SPOT_INSIDE) &&
           (uintptr_t)pointer % 16 == 0;
}

char *kin_describe(const void *pointer, char *text, size_t size)
{
    void *object = (void *)(uintptr_t)pointer;
    struct kin__description about = {.name = ""};
    const char *kind = NULL;
    uint32_t magic = 0;
    if (!text || !size)
        return text;
    if (kin__region && is_in_use(object)) {
        magic = atomic_load_explicit(&((const struct kin__object *)object)->magic, memory_order_acquire);
        kind = kin__object_kind(magic);
    }
    if (!kind) {
        snprintf(text, size, "%p, which is no object of the heap", object);
        return text;
    }
    of_any(object, magic, &about);
    if (*about.name)
        snprintf(text, size, "%s \"%s\" at %p%s%s", kind, about.name, object, *about.how ? ", " : "",
                 about.how);
    else
        snprintf(text, size, "%s at %p%s%s", kind, object, *about.how ? ", " : "", about.how);
    return text;
}
