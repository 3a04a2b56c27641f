/* family/member.c - slots of the family: claim, attach, find. Recovery is in recovery.c. */
#include "family/member.h"

#include "base/failure.h"
#include "base/in_child.h"
#include "base/log.h"
#include "family/guard.h"
#include "family/hooks.h"
#include "family/region.h"
#include "family/sealed.h"
#include "family/thread.h"
#include "os/os.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

_Static_assert(KIN__AT_MEMBERS + sizeof(struct kin__member) * KIN__MEMBERS_MAX <= KIN__AT_HEAP,
               "room before what comes next");

uint32_t *kin__alive_page;
static bool wiped; /* by the kernel in each child */
static struct kin__member *self;

struct kin__member_hooks kin__hooks[KIN__HOOKS_MAX];
size_t kin__hooks_count;

#define TOKEN_SHIFT 12
_Static_assert(KIN__MEMBERS_MAX < 1u << TOKEN_SHIFT,
               "a token has room for the index, and is not KIN__NO_TOKEN");

#define LIFE_YIELDS 100
#define LIFE_PAUSE_NS 1000000

void kin__member_hooks(const struct kin__member_hooks *hooks)
{
    if (kin__hooks_count == KIN__HOOKS_MAX)
        kin__panic("no room for more than %d floors", KIN__HOOKS_MAX);
    kin__hooks[kin__hooks_count++] = *hooks;
}

KIN__IN_CHILD void kin__member_forked(void)
{
    self = NULL;
    kin__log_after_fork();
    kin__thread_forget();
    kin__guards_forked();
    kin__sealed_forked();
    for (size_t i = 0; i < kin__hooks_count; i++)
        if (kin__hooks[i].forked)
            kin__hooks[i].forked();
}

KIN__IN_CHILD void kin__member_forked_plainly(void)
{
    if (kin__alive_page && !wiped)
        memset(kin__alive_page, 0, 2 * sizeof *kin__alive_page);
}

KIN__IN_CHILD kin__id kin__member_id(const struct kin__member *member)
{
    uint64_t index = (uint64_t)(member - kin__members());
    uint64_t state = atomic_load_explicit(&member->state, memory_order_relaxed);
    return (state & KIN__GENERATION) | index;
}

struct kin__member *kin__member_find(kin__id id)
{
    uint32_t index = (uint32_t)id;
    if (!kin__region || index == 0 || index >= KIN__MEMBERS_MAX)
        return NULL;
    struct kin__member *member = &kin__members()[index];
    uint64_t state = atomic_load_explicit(&member->state, memory_order_acquire);
    uint64_t kind = state & KIN__KIND;
    if ((state ^ id) & KIN__GENERATION || (kind != KIN__ALIVE && kind != KIN__STARTING))
        return NULL;
    return member;
}

/* Before the claim: who walks the table up to the top misses no claimed slot. */
static void raise_top(uint32_t top)
{
    uint32_t now = atomic_load_explicit(&kin__region->members_top, memory_order_relaxed);
    while (now < top && !atomic_compare_exchange_weak(&kin__region->members_top, &now, top))
        continue;
}

/* Take a slot: its state becomes `claim`, which names whose it is, in the slot's next generation. */
static int claim_as(uint64_t claim, struct kin__member **out)
{
    struct kin__member *table = kin__members();
    for (uint32_t i = 1; i < KIN__MEMBERS_MAX; i++) {
        struct kin__member *member = &table[i];
        uint64_t free = atomic_load_explicit(&member->state, memory_order_relaxed);
        if ((free & KIN__KIND) != KIN__FREE)
            continue;
        raise_top(i + 1);
        uint64_t generation = (free & KIN__GENERATION) + KIN__NEXT_GENERATION;
        if (!atomic_compare_exchange_strong_explicit(&member->state, &free, generation | claim,
                                                     memory_order_acq_rel, memory_order_relaxed))
            continue;
        if (!member->has_lock) {
            kin__lock_init(&member->life);
            member->has_lock = 1;
        }
        atomic_store_explicit(&member->pid, 0, memory_order_relaxed);
        member->attached = 0;
        member->watched = 0;
        member->sealed = kin__is_sealed(); /* so is its child; one that is not may start those that are */
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
    uint64_t claim = KIN__CLAIMED | (uint64_t)(me - kin__members()) << KIN__WHO_SHIFT;
    int error = claim_as(claim, out);
    if (error && kin__members_sweep() >= 0)
        error = claim_as(claim, out);
    if (!error) {
        (*out)->parent = kin__member_id(me);
        (*out)->watched = 1;
    }
    return error;
}

void kin__member_starting(struct kin__member *member)
{
    uint64_t claimed = atomic_load_explicit(&member->state, memory_order_relaxed);
    /* Release: partner is the child's acquire in kin__member_attach. */
    atomic_store_explicit(&member->state, KIN__STARTING | (claimed & ~(uint64_t)KIN__KIND),
                          memory_order_release);
}

void kin__member_release(struct kin__member *member)
{
    uint64_t state = atomic_load_explicit(&member->state, memory_order_relaxed);
    atomic_store_explicit(&member->state, KIN__FREE | (state & KIN__GENERATION), memory_order_release);
}

/* Whether the slot is still meant for the process `id`; in *state as it stands. */
KIN__IN_CHILD static bool awaits(const struct kin__member *member, kin__id id, uint64_t *state)
{
    *state = atomic_load_explicit(&member->state, memory_order_acquire);
    uint64_t kind = *state & KIN__KIND;
    return !((*state ^ id) & KIN__GENERATION) && (kind == KIN__STARTING || kind == KIN__JOINING);
}

/* A recoverer of the slot's last user may still be about to release the lock, and may be stopped there. Never
 * wait for a lock whose slot has become someone else's meanwhile: that one lives. */
KIN__IN_CHILD static bool take_life(struct kin__member *member, kin__id id, uint64_t *state)
{
    for (int tries = 0; awaits(member, id, state); tries++) {
        if (kin__lock_try(&member->life) != KIN_EBUSY)
            return true;
        if (tries < LIFE_YIELDS)
            sched_yield();
        else
            nanosleep(&(struct timespec){.tv_nsec = LIFE_PAUSE_NS}, NULL);
    }
    return false;
}

KIN__IN_CHILD int kin__member_attach(kin__id id)
{
    struct kin__member *member = &kin__members()[(uint32_t)id];
    uint64_t state;
    if (!kin__alive_page)
        kin__alive_page = kin__os_wiped_page(&wiped);
    if (!kin__alive_page)
        return kin__fail(KIN_ENOMEM, "could not get a page of private memory");
    /* Before ALIVE: once others may ask whether we live, the lock must say so. */
    if (!take_life(member, id, &state))
        return kin__fail(KIN_EDIED, "cannot join the family: whoever started this process has died");
    atomic_store_explicit(&member->pid, (int32_t)getpid(), memory_order_relaxed);
    if (!atomic_compare_exchange_strong_explicit(&member->state, &state, KIN__ALIVE | (id & KIN__GENERATION),
                                                 memory_order_acq_rel, memory_order_relaxed)) {
        kin__lock_release(&member->life);
        return kin__fail(KIN_EDIED, "cannot join the family: whoever started this process has died");
    }
    self = member;
    uint32_t token = (uint32_t)(id >> 32) << TOKEN_SHIFT | (uint32_t)id; /* the slot's index is never 0 */
    atomic_store_explicit((_Atomic uint32_t *)kin__alive_page, token, memory_order_release);
    return 0;
}

/* Become a member without anybody having started us as one. Pids have 22 bits (PID_MAX_LIMIT in the kernel). */
static int join(kin__id parent)
{
    struct kin__member *member;
    int error = claim_as(KIN__JOINING | (uint64_t)getpid() << KIN__WHO_SHIFT, &member);
    if (error)
        return error;
    member->parent = parent;
    member->attached = kin__os_since_boot_ns();
    return kin__member_attach(kin__member_id(member));
}

int kin__member_found(void)
{
    return join(0);
}

void kin__member_leave(void)
{
    if (self) /* libc has a list of such locks, which must not lead into memory that is gone */
        kin__lock_release(&self->life);
    if (kin__alive_page)
        memset(kin__alive_page, 0, 2 * sizeof *kin__alive_page);
    self = NULL;
    kin__thread_forget();
    atomic_store(&kin__view.bytes, 0);
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
    if (kin__region_reaches() == 0 && join(parent) == 0) {
        /* Nobody may be there to recover plain forks that died: so that their slots do not fill the table, those
         * that come late do it. */
        if ((uint32_t)kin__member_id(self) > KIN__MEMBERS_MAX / 2)
            kin__members_sweep();
        return self;
    }
    atomic_store(&alive[1], 0);
    return NULL;
}

KIN__IN_CHILD struct kin__member *kin__self(void)
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

struct kin__member *kin__self_if_attached(void)
{
    bool attached = kin__region && kin__alive_page &&
                    atomic_load_explicit((_Atomic uint32_t *)kin__alive_page, memory_order_acquire);
    return attached ? self : NULL;
}

kin__id kin__self_id(void)
{
    struct kin__member *me = kin__self();
    return me ? kin__member_id(me) : 0;
}
