/*
 * family/recovery.c - taking back what a dead member owned. By anyone, repeatable, killable itself.
 *
 *   R1  take the life lock; whoever holds it is the one recoverer
 *   R2  ask the kernel whether the whole process has ended; if not, let go
 *   R3  slots that it had claimed for children are freed (children that have not attached will not)
 *   R4  upper floors take back theirs
 *   R5  what its threads had under way in the heap is finished or undone
 *   R6  its arenas are freed
 *   R7  its slot is FREE: one store; then the life lock is released
 *
 * A recoverer that dies leaves the life lock to the next one, who begins at R2 again.
 */
#include "base/failure.h"
#include "base/log.h"
#include "family/arena.h"
#include "family/hooks.h"
#include "family/member.h"
#include "family/thread.h"
#include "os/os.h"

#include <errno.h>
#include <unistd.h>

#define ROUNDING_NS 20000000u /* start times come in ticks of 10 ms */

/* Whether a process that was there at that time has ended. */
static bool process_ended(pid_t pid, uint64_t was_there)
{
    int pidfd = kin__os_pidfd_open(pid);
    if (pidfd < 0)
        return errno == ESRCH || errno == EINVAL;
    bool ended = kin__os_pidfd_ended(pidfd) || kin__os_start_time(pid) > was_there + ROUNDING_NS;
    close(pidfd);
    return ended;
}

static bool member_ended(const struct kin__member *member)
{
    uint64_t attached = atomic_load_explicit(&member->attached, memory_order_relaxed);
    return process_ended(atomic_load_explicit(&member->pid, memory_order_relaxed),
                         attached ? attached : UINT64_MAX - ROUNDING_NS);
}

/* A process that died while it joined has left nothing but its claim. If its number is in use again, the slot
 * stays taken until that process ends too. */
static void free_half_joined(struct kin__member *member)
{
    uint64_t state = atomic_load_explicit(&member->state, memory_order_acquire);
    if ((state & KIN__KIND) == KIN__JOINING &&
        process_ended((pid_t)KIN__WHO(state), UINT64_MAX - ROUNDING_NS))
        atomic_compare_exchange_strong(&member->state, &state, KIN__FREE | (state & KIN__GENERATION));
}

static void free_unborn(uint32_t starter)
{
    struct kin__member *table = kin__members();
    for (uint32_t i = 1; i < kin__members_top(); i++) {
        uint64_t state = atomic_load_explicit(&table[i].state, memory_order_acquire);
        uint64_t kind = state & KIN__KIND;
        if ((kind == KIN__CLAIMED || kind == KIN__STARTING) && KIN__WHO(state) == starter)
            atomic_compare_exchange_strong(&table[i].state, &state, KIN__FREE | (state & KIN__GENERATION));
    }
}

int kin__member_recover(kin__id id)
{
    struct kin__member *member = kin__member_find(id);
    if (!member)
        return 0;
    if (kin__member_state(member) != KIN__ALIVE)
        return KIN_EBUSY; /* not attached yet: its starter will know */
    if (kin__lock_try(&member->life) == KIN_EBUSY)
        return KIN_EBUSY;
    if (kin__member_find(id) != member || kin__member_state(member) != KIN__ALIVE) {
        kin__lock_release(&member->life); /* someone else was faster */
        return 0;
    }
    if (!member_ended(member)) {
        kin__lock_release(&member->life);
        return KIN_EBUSY;
    }
    free_unborn((uint32_t)id);
    for (size_t i = 0; i < KIN__HOOKS_MAX && kin__hooks.recover[i]; i++)
        kin__hooks.recover[i](member);
    kin__threads_recover(member);
    kin__arenas_recover(member);
    kin__member_release(member);
    kin__lock_release(&member->life);
    kin_log(KIN_LOG_DEBUG, "recovered what process %d had", (int)atomic_load(&member->pid));
    return 0;
}

int kin__members_sweep(void)
{
    kin__id me = kin__self_id();
    struct kin__member *table = kin__members();
    int left = 0;
    for (uint32_t i = 1; i < kin__members_top(); i++) {
        free_half_joined(&table[i]);
        if (kin__member_state(&table[i]) != KIN__ALIVE)
            continue;
        kin__id id = kin__member_id(&table[i]);
        bool watched = table[i].process && kin__member_find(table[i].parent);
        if (id != me && !watched && kin__member_recover(id) == KIN_EBUSY)
            left++;
    }
    return left;
}
