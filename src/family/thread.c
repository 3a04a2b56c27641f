/* family/thread.c - see thread.h. */
#include "family/thread.h"

#include "base/failure.h"
#include "base/in_child.h"
#include "base/log.h"
#include "family/checked.h"
#include "family/heap.h"
#include "family/hooks.h"
#include "family/sealed.h"
#include "family/span.h"

#include <pthread.h>
#include <string.h>

_Static_assert(KIN__AT_THREADS + KIN__THREADS_MAX * KIN__THREAD_SIZE <= KIN__AT_MEMBERS,
               "room before what comes next");

_Thread_local struct kin__thread *kin__thread_mine;
_Thread_local uint32_t kin__thread_token, kin__thread_fast;

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static bool key_made;
static pthread_key_t key; /* its destructor gives the slot of an ending thread back */

/* The member's quota; private, as its own threads are the ones that ask. */
static struct {
    bool set;
    _Atomic bool warned;
    int64_t soft, hard;     /* INT64_MAX: none */
    _Atomic int64_t others; /* what threads that have ended had charged */
} quota;

static int64_t charged(const struct kin__thread *thread);

struct kin__thread *kin__thread_at(uint32_t index)
{
    return (struct kin__thread *)kin__region_at(KIN__AT_THREADS) + index;
}

/* ---- attach and leave ------------------------------------------------------------------------ */

static void thread_ends(void *slot)
{
    if (slot == kin__thread_mine)
        kin__thread_leave();
}

static void make_key(void)
{
    key_made = pthread_key_create(&key, thread_ends) == 0;
    if (!key_made)
        kin_log(KIN_LOG_WARNING, "threads that end keep their slots: no pthread key is left");
}

/* In a transaction: a free slot, or 0 with the record set. */
static uint32_t free_slot(void)
{
    struct kin__heap *heap = kin__heap();
    uint32_t index = heap->threads_free;
    if (index) {
        kin__journal_set32(&heap->threads_free, kin__thread_at(index)->next);
        return index;
    }
    index = heap->threads_top;
    if (index == KIN__THREADS_SPARE) {
        kin__fail(KIN_ELIMIT,
                  "cannot use the shared heap in this thread: %u threads of the family do already",
                  index - 1);
        return 0;
    }
    if (kin__table_populate(kin__thread_at(index), KIN__THREAD_SIZE))
        return 0;
    kin__journal_set32(&heap->threads_top, index + 1);
    return index;
}

static struct kin__thread *attach(struct kin__member *member)
{
    kin__journal_begin();
    uint32_t index = free_slot();
    struct kin__thread *thread = NULL;
    if (index) {
        thread = kin__thread_at(index);
        thread->index = index;
        thread->charged = 0;
        thread->quota = INT64_MAX;
        memset(&thread->waits, 0, offsetof(struct kin__waits, note)); /* notes are never given twice */
        kin__poke(&thread->name, (thread->name & ~(uint64_t)UINT32_MAX) + KIN__NAME_NEXT + (index << 1));
        memset(thread->cache, 0, sizeof thread->cache);
        atomic_thread_fence(memory_order_release); /* partner: the acquire of owner in kin__thread_member */
        kin__journal_set(&thread->owner, kin__member_id(member));
        kin__journal_set32(&thread->next, member->threads);
        kin__journal_set32(&member->threads, index);
    }
    kin__journal_end();
    return thread;
}

struct kin__thread *kin__thread_self(void)
{
    if (kin__thread_is_ours())
        return kin__thread_mine;
    struct kin__member *member = kin__self(); /* in a plain fork's child this calls kin__thread_forget */
    if (!member)
        return NULL;
    if (kin__thread_is_ours()) /* it recovered others, and needed the slot for that */
        return kin__thread_mine;
    if (!atomic_load_explicit(&kin__view.bytes, memory_order_acquire))
        kin__units_attach();
    kin__thread_token = __atomic_load_n(kin__alive_page, __ATOMIC_RELAXED);
    kin__thread_fast = kin__checks_heap() || kin__is_sealed() ? KIN__NO_TOKEN : kin__thread_token;
    kin__thread_mine = attach(member);
    if (kin__thread_mine) {
        pthread_once(&key_once, make_key);
        if (key_made)
            pthread_setspecific(key, kin__thread_mine);
    }
    return kin__thread_mine;
}

kin__id kin__thread_member(uint64_t name)
{
    const struct kin__thread *thread = kin__thread_at(KIN__NAME_INDEX(name));
    if (__atomic_load_n(&thread->name, __ATOMIC_ACQUIRE) != name)
        return 0;
    /* 0 may be seen before that is true: it is ending, in any case. */
    kin__id owner = __atomic_load_n(&thread->owner, __ATOMIC_ACQUIRE);
    return kin__peek(&thread->name) == name ? owner : 0; /* or else that was the slot's next user */
}

KIN__IN_CHILD void kin__thread_forget(void)
{
    kin__thread_mine = NULL;
    if (quota.set)
        memset(&quota, 0, sizeof quota);
}

static void unlink_slot(struct kin__member *member, struct kin__thread *thread)
{
    uint32_t *link = &member->threads;
    while (*link && *link != thread->index)
        link = &kin__thread_at(*link)->next;
    if (*link)
        kin__journal_set32(link, thread->next);
}

/* Give up the spans, one transaction each, and then the slot. */
static void retire(struct kin__member *member, struct kin__thread *thread, bool died)
{
    struct kin__heap *heap = kin__heap();
    kin__checked_drain(thread);
    kin__journal_begin();
    for (unsigned class = 0; class < KIN__CLASSES; class += 1) {
        kin__span_leave(thread, class);
        kin__journal_commit();
    }
    unlink_slot(member, thread);
    kin__journal_set(&thread->owner, 0);
    kin__journal_set(&thread->intent, 0);
    kin__journal_set32(&thread->next, heap->threads_free);
    kin__journal_set32(&heap->threads_free, thread->index);
    atomic_thread_fence(memory_order_release); /* partner: abandoned() in message/redeliver.c */
    kin__journal_set(&heap->threads_left, heap->threads_left + 1);
    if (died)
        kin__journal_set(&heap->deaths, heap->deaths + 1);
    kin__journal_end();
}

void kin__thread_leave(void)
{
    if (!kin__thread_is_ours())
        return;
    struct kin__thread *thread = kin__thread_mine;
    kin__thread_mine = NULL;
    /* It may have been cancelled in a call. What it was returning was returned, or is lost to whoever cancelled it. */
    if ((thread->intent & KIN__INTENT_MASK) == KIN__INTENT_LAST)
        kin__intend(thread, KIN__INTENT_NONE, NULL);
    kin__heap_finish(thread);
    kin__checked_drain(thread);
    int64_t had = charged(thread);
    retire(kin__self(), thread, false);
    if (quota.set) /* afterwards: a sum that counts it twice for a moment would refuse what is allowed */
        atomic_fetch_add(&quota.others, had);
}

/* ---- recovery -------------------------------------------------------------------------------- */

/* A span that a transaction took from its list, and gives back because it is undone, may have been freed in by one who
 * saw that it had an owner. It is at its list's head, or was taken by another since. */
static void settle_heads(void)
{
    const struct kin__heap *heap = kin__heap();
    kin__journal_begin();
    for (unsigned class = 0; class < KIN__CLASSES; class += 1)
        if (heap->partial[class]) {
            kin__span_settle(heap->partial[class]);
            kin__journal_commit();
        }
    kin__journal_end();
}

void kin__threads_recover(struct kin__member *dead)
{
    kin__units_attach();
    for (;;) {
        kin__journal_begin(); /* undoes a transaction that was not true yet: that may concern the list */
        uint32_t index = dead->threads;
        kin__journal_end();
        if (!index)
            break;
        struct kin__thread *thread = kin__thread_at(index);
        kin__heap_finish(thread);
        retire(dead, thread, true);
    }
    settle_heads();
}

struct kin__thread *kin__thread_spare(struct kin__member *dead)
{
    uint32_t index = KIN__THREADS_SPARE + (uint32_t)(dead - kin__members());
    struct kin__thread *thread = kin__thread_at(index);
    if (!dead->has_spare && kin__table_populate(thread, KIN__THREAD_SIZE))
        kin_log(KIN_LOG_WARNING, "recovering a process in short memory: %s", kin_error_message());
    dead->has_spare = 1;
    thread->index = index;
    kin__heap_finish(thread);
    return thread;
}

/* ---- quota ----------------------------------------------------------------------------------- */

static int64_t charged(const struct kin__thread *thread)
{
    int64_t bytes = thread->charged;
    for (unsigned class = 0; class < KIN__CLASSES; class += 1) {
        const struct kin__cache *cache = &thread->cache[class];
        if (cache->span)
            bytes += ((int64_t)cache->had - kin__span_free_blocks(kin__span_at(cache->span))) *
                     kin__classes[class].size;
    }
    return bytes;
}

void kin__thread_set_quota(size_t bytes)
{
    struct kin__thread *thread = kin__thread_self();
    if (!thread)
        return;
    int64_t now = charged(thread);
    thread->quota = bytes >= (size_t)(INT64_MAX - (now > 0 ? now : 0)) ? INT64_MAX : now + (int64_t)bytes;
}

void kin__member_set_quota(size_t soft, size_t hard)
{
    quota.soft = soft > INT64_MAX ? INT64_MAX : (int64_t)soft;
    quota.hard = hard > INT64_MAX ? INT64_MAX : (int64_t)hard;
    quota.set = true;
}

/* Other threads go on allocating meanwhile: a sum of numbers each of which was true a moment ago. The journal's
 * lock keeps the list as it is. */
static int64_t charged_to_member(void)
{
    int64_t sum = atomic_load(&quota.others);
    kin__journal_begin();
    for (uint32_t index = kin__self()->threads; index; index = kin__thread_at(index)->next)
        sum += charged(kin__thread_at(index));
    kin__journal_end();
    return sum;
}

static int member_may_have(size_t bytes)
{
    int64_t now = charged_to_member();
    int64_t left = quota.hard > now ? quota.hard - now : 0;
    if (quota.hard != INT64_MAX && bytes > (size_t)left)
        return kin__fail(
            KIN_EMEMLIMIT,
            "could not allocate %zu bytes of shared memory: the process's limit leaves %lld bytes", bytes,
            (long long)left);
    if (quota.soft != INT64_MAX && now + (int64_t)bytes > quota.soft && !atomic_exchange(&quota.warned, true))
        kin_log(KIN_LOG_WARNING,
                "this process has %.1f MiB of shared memory, beyond its soft limit of %.1f MiB",
                (double)(now + (int64_t)bytes) / 0x1p20, (double)quota.soft / 0x1p20);
    return 0;
}

int kin__thread_may_have(const struct kin__thread *thread, size_t bytes)
{
    if (quota.set && bytes < INT64_MAX / 2 && member_may_have(bytes))
        return KIN_EMEMLIMIT;
    if (thread->quota == INT64_MAX)
        return 0;
    int64_t now = charged(thread);
    if (now <= thread->quota && bytes <= (size_t)(thread->quota - now))
        return 0;
    return kin__fail(KIN_EMEMLIMIT,
                     "could not allocate %zu bytes of shared memory: the memory limit leaves %lld bytes",
                     bytes, (long long)(thread->quota > now ? thread->quota - now : 0));
}
