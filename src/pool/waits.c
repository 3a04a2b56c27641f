/* pool/waits.c - see waits.h. */
#include "pool/waits.h"

#include "family/sealed.h"
#include "os/os.h"
#include "sync/describe.h"
#include "sync/waits.h"

#include <stdio.h>
#include <string.h>

struct kin__thread *kin__pool_waits(const kin_pool *pool, const _Atomic uint32_t *word, uint64_t since)
{
    struct kin__thread *thread = kin__thread_is_ours() ? kin__thread_mine : NULL; /* else nobody knows it */
    if (thread)
        kin__thread_waits_begin(thread, (const void *)kin__common((uintptr_t)pool),
                                word ? kin__common((uintptr_t)word) : 0, since ? since : kin__os_now_ns());
    return thread;
}

static void of_pool(const void *object, uint64_t word, struct kin__held *held)
{
    const kin_pool *pool = object;
    const char *what = !word                             ? "all its tasks"
                       : word == (uintptr_t)&pool->event ? "the items of a map"
                       : word == (uintptr_t)&pool->chime ? "some of its results"
                                                         : "a result";
    snprintf(held->what, sizeof held->what, "%s", what);
    held->titled = 1;
    memcpy(held->title, pool->name, sizeof held->title - 1);
}

static void describe(const void *object, struct kin__description *out)
{
    const kin_pool *pool = object;
    int workers = atomic_load(&pool->wanted);
    memcpy(out->name, pool->name, sizeof out->name - 1);
    snprintf(out->how, sizeof out->how, "%d %s", workers, workers == 1 ? "worker" : "workers");
}

__attribute__((constructor)) static void set_up(void)
{
    kin__describe_register(KIN__POOL_MAGIC, describe);
    kin__waits_register(KIN__POOL_MAGIC, of_pool);
}
