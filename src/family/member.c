/* family/member.c - slots of the family: claim, attach, find. Recovery is in recovery.c. */
#include "family/member.h"

#include "base/failure.h"
#include "base/log.h"
#include "family/hooks.h"
#include "family/region.h"
#include "family/thread.h"
#include "os/os.h"

#include <errno.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(struct kin__member) * KIN__MEMBERS_MAX <= KIN__AT_THREADS - KIN__AT_MEMBERS, "room");

uint32_t *kin__alive_page;
static struct kin__member *self;

struct kin__hooks kin__hooks;

void kin__member_hooks(void (*forked)(void), void (*recover)(struct kin__member *dead))
{
    size_t i = 0, j = 0;
    while (i < KIN__HOOKS_MAX && kin__hooks.forked[i])
        i++;
    while (j < KIN__HOOKS_MAX && kin__hooks.recover[j])
        j++;
    if (i == KIN__HOOKS_MAX || j == KIN__HOOKS_MAX)
        kin__panic("no room for more than %d floors", KIN__HOOKS_MAX);
    kin__hooks.forked[i] = forked;
    kin__hooks.recover[j] = recover;
}

void kin__member_forked(void)
{
    self = NULL;
    kin__log_after_fork();
    kin__thread_forget();
    for (size_t i = 0; i < KIN__HOOKS_MAX && kin__hooks.forked[i]; i++)
        kin__hooks.forked[i]();
}

kin__id kin__member_id(const struct kin__member *member)
{
    uint64_t index = (uint64_t)(member - kin__members());
    return (uint64_t)member->generation << 32 | index;
}

struct kin__member *kin__member_find(kin__id id)
{
    uint32_t index = (uint32_t)id;
    if (!kin__region || index == 0 || index >= KIN__MEMBERS_MAX)
        return NULL;
    struct kin__member *member = &kin__members()[index];
    uint32_t state = kin__member_state(member);
    if (state != KIN__ALIVE && state != KIN__STARTING)
        return NULL;
    return member->generation == id >> 32 ? member : NULL;
}

/* Before the claim: who walks the table up to the top misses no claimed slot. */
static void raise_top(uint32_t top)
{
    uint32_t now = atomic_load_explicit(&kin__region->members_top, memory_order_relaxed);
    while (now < top && !atomic_compare_exchange_weak(&kin__region->members_top, &now, top))
        continue;
}

/* Take a slot: its state becomes `claim`, which names whose it is. */
static int claim_as(uint32_t claim, struct kin__member **out)
{
    struct kin__member *table = kin__members();
    for (uint32_t i = 1; i < KIN__MEMBERS_MAX; i++) {
        uint32_t free = KIN__FREE;
        if (atomic_load_explicit(&table[i].state, memory_order_relaxed) != KIN__FREE)
            continue;
        raise_top(i + 1);
        if (!atomic_compare_exchange_strong_explicit(&table[i].state, &free, claim, memory_order_acq_rel,
                                                     memory_order_relaxed))
            continue;
        struct kin__member *member = &table[i];
        if (member->generation == 0)
            kin__lock_init(&member->life);
        member->generation++;
        atomic_store_explicit(&member->pid, 0, memory_order_relaxed);
        member->attached = 0;
        member->process = NULL;
        member->children = NULL;
        *out = member;
        return 0;
    }
    return kin__fail(KIN_ELIMIT, "could not start a process: the family has its %u members already",
                     KIN__MEMBERS_MAX - 1);
}

int kin__member_claim(struct kin__member **out)
{
    struct kin__member *me = kin__self();
    if (!me)
        return kin_error_code();
    uint32_t claim = KIN__CLAIMED | (uint32_t)(me - kin__members()) << 8;
    int error = claim_as(claim, out);
    if (error && kin__members_sweep() >= 0)
        error = claim_as(claim, out);
    if (!error)
        (*out)->parent = kin__member_id(me);
    return error;
}

void kin__member_starting(struct kin__member *member)
{
    uint32_t claimed = atomic_load_explicit(&member->state, memory_order_relaxed);
    /* Release: partner is the child's acquire in kin__member_attach. */
    atomic_store_explicit(&member->state, KIN__STARTING | (claimed & ~0xffu), memory_order_release);
}

void kin__member_release(struct kin__member *member)
{
    atomic_store_explicit(&member->state, KIN__FREE, memory_order_release);
}

int kin__member_attach(struct kin__member *member)
{
    uint32_t state = atomic_load_explicit(&member->state, memory_order_acquire);
    if ((state & 0xff) != KIN__STARTING && (state & 0xff) != KIN__JOINING)
        return kin__fail(KIN_EDIED, "cannot join the family: whoever started this process has died");
    if (!kin__alive_page)
        kin__alive_page = kin__os_wiped_page();
    if (!kin__alive_page)
        return kin__fail(KIN_ENOMEM, "could not get a page of private memory");
    /* Before ALIVE: once others may ask whether we live, the lock must say so. A recoverer of the slot's
     * last user may still be about to release it. */
    kin__lock_acquire(&member->life);
    atomic_store_explicit(&member->pid, (int32_t)getpid(), memory_order_relaxed);
    if (!atomic_compare_exchange_strong_explicit(&member->state, &state, KIN__ALIVE, memory_order_acq_rel,
                                                 memory_order_relaxed)) {
        kin__lock_release(&member->life);
        return kin__fail(KIN_EDIED, "cannot join the family: whoever started this process has died");
    }
    self = member;
    atomic_store_explicit((_Atomic uint32_t *)kin__alive_page, 1, memory_order_release);
    return 0;
}

/* Become a member without anybody having started us as one. Pids have 22 bits (PID_MAX_LIMIT in the kernel). */
static int join(kin__id parent)
{
    struct kin__member *member;
    int error = claim_as(KIN__JOINING | (uint32_t)getpid() << 8, &member);
    if (error)
        return error;
    member->parent = parent;
    member->attached = kin__os_since_boot_ns();
    return kin__member_attach(member);
}

int kin__member_found(void)
{
    return join(0);
}

/* A plain fork's child: its first call of kin brings it here, possibly from several threads at once. The page
 * was wiped, so its second word serves as a fresh lock. */
static struct kin__member *attach_plain_fork(void)
{
    _Atomic uint32_t *alive = (_Atomic uint32_t *)kin__alive_page;
    uint32_t unclaimed = 0;
    if (!atomic_compare_exchange_strong(&alive[1], &unclaimed, 1)) {
        while (!atomic_load_explicit(&alive[0], memory_order_acquire) && atomic_load(&alive[1]))
            sched_yield();
        return atomic_load(&alive[0]) ? self : kin__self();
    }
    kin__id parent = self ? kin__member_id(self) : 0;
    kin__member_forked();
    if (join(parent) == 0) {
        /* Nobody may be there to recover plain forks that died: so that their slots do not fill the table, those
         * that come late do it. */
        if ((uint32_t)kin__member_id(self) > KIN__MEMBERS_MAX / 2)
            kin__members_sweep();
        return self;
    }
    atomic_store(&alive[1], 0);
    return NULL;
}

struct kin__member *kin__self(void)
{
    if (!kin__region) {
        kin__fail(KIN_ENOINIT, "kin_init has not been called: call it first in main");
        return NULL;
    }
    if (kin__alive_page && atomic_load_explicit((_Atomic uint32_t *)kin__alive_page, memory_order_acquire))
        return self;
    if (!kin__alive_page)
        return NULL; /* still in kin_init */
    return attach_plain_fork();
}

kin__id kin__self_id(void)
{
    struct kin__member *me = kin__self();
    return me ? kin__member_id(me) : 0;
}
