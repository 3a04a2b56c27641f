/*
 * family/recovery.c - taking back what a dead member owned. By anyone, repeatable, killable itself.
 *
 *   R1  take the life lock; whoever holds it is the one recoverer
 *   R2  ask the kernel whether the whole process has ended; if not, let go (whoever
 *       has collected its status knows)
 *   R3  slots that it had claimed for children are freed (children that have not attached will not)
 *   R4  upper floors take back theirs, or ask to be called later
 *   R5  what its threads had under way in the heap is finished or undone
 *   R6  its arenas are freed
 *   R7  upper floors say that it is gone
 *   R8  its slot is FREE: one store; then the life lock is released
 *   R9  upper floors wake who waits for it to be gone
 *
 * A recoverer that dies leaves the life lock to the next one, who begins at R2 again; but for R9, which only saves time. It is not part
 * of R7, as who is woken asks whether it is gone, and would sleep again if it were not.
 */
#include "base/failure.h"
#include "base/log.h"
#include "family/arena.h"
#include "family/hooks.h"
#include "family/member.h"
#include "family/sealed.h"
#include "family/shelf.h"
#include "family/thread.h"
#include "os/os.h"

#include <errno.h>
#include <unistd.h>

/* Whether a process that was there at that time has ended. */
static bool process_ended(pid_t pid, uint64_t was_there)
{
    int pidfd = kin__os_pidfd_open(pid);
    if (pidfd < 0)
        return kin__os_no_process(errno);
    bool ended = kin__os_pidfd_ended(pidfd) || kin__os_start_time(pid) > was_there + KIN__START_ROUNDING_NS;
    close(pidfd);
    return ended;
}

bool kin__member_has_pid(const struct kin__member *member)
{
    uint64_t attached = atomic_load_explicit(&member->attached, memory_order_relaxed);
    uint64_t started = kin__os_start_time(atomic_load_explicit(&member->pid, memory_order_relaxed));
    return started && (!attached || started <= attached + KIN__START_ROUNDING_NS);
}

static bool member_ended(const struct kin__member *member)
{
    uint64_t attached = atomic_load_explicit(&member->attached, memory_order_relaxed);
    return process_ended(atomic_load_explicit(&member->pid, memory_order_relaxed),
                         attached ? attached : UINT64_MAX - KIN__START_ROUNDING_NS);
}

/* A process that died while it joined has left nothing but its claim. If its number is in use again, the slot
 * stays taken until that process ends too. */
static void free_half_joined(struct kin__member *member)
{
    uint64_t state = atomic_load_explicit(&member->state, memory_order_acquire);
    if ((state & KIN__KIND) == KIN__JOINING &&
        process_ended((pid_t)KIN__WHO(state), UINT64_MAX - KIN__START_ROUNDING_NS))
        atomic_compare_exchange_strong(&member->state, &state, KIN__FREE | (state & KIN__GENERATION));
}

/*
 * The slot of a member that has not attached. It may own arenas, which others have given it: so it becomes CLAIMED,
 * with which no one can attach or be given more, its arenas are freed, and then the slot.
 */
static void free_claim(struct kin__member *member, uint64_t state)
{
    uint64_t claimed = (state & ~(uint64_t)KIN__KIND) | KIN__CLAIMED;
    if (!atomic_compare_exchange_strong(&member->state, &state, claimed))
        return; /* it has just attached */
    kin__arenas_recover(member);
    atomic_compare_exchange_strong(&member->state, &claimed, KIN__FREE | (state & KIN__GENERATION));
}

static void free_unborn(uint32_t starter)
{
    struct kin__member *table = kin__members();
    for (uint32_t i = 1; i < kin__members_top(); i++) {
        uint64_t state = atomic_load_explicit(&table[i].state, memory_order_acquire);
        uint64_t kind = state & KIN__KIND;
        if ((kind == KIN__CLAIMED || kind == KIN__STARTING) && KIN__WHO(state) == starter)
            free_claim(&table[i], state);
    }
}

/* R3 to R8, under the life lock. */
static int take_back(struct kin__member *dead)
{
    kin__id id = kin__member_id(dead);
    int pid = atomic_load(&dead->pid);
    free_unborn((uint32_t)id);
    for (size_t i = 0; i < kin__hooks_count; i++)
        if (kin__hooks[i].recover && kin__hooks[i].recover(dead) == KIN_EBUSY)
            return KIN_EBUSY;
    kin__shelf_recover(dead);
    kin__threads_recover(dead);
    kin__arenas_recover(dead);
    for (size_t i = 0; i < kin__hooks_count; i++)
        if (kin__hooks[i].recovered)
            kin__hooks[i].recovered(dead);
    kin__member_release(dead);
    kin_log(KIN_LOG_DEBUG, "recovered what process %d had", pid);
    return 0;
}

static void tell_released(void)
{
    for (size_t i = 0; i < kin__hooks_count; i++)
        if (kin__hooks[i].released)
            kin__hooks[i].released();
}

static int recover(kin__id id, bool collected)
{
    KIN__UNCANCELLED;
    if (kin__is_sealed()) /* what the dead had is not its to write: others will see to it */
        return kin__member_find(id) ? KIN_EBUSY : 0;
    struct kin__member *member = kin__member_find(id);
    if (!member)
        return 0;
    if (kin__member_state(member) != KIN__ALIVE)
        return KIN_EBUSY; /* not attached yet: its starter will know */
    if (kin__lock_try(&member->life) == KIN_EBUSY)
        return KIN_EBUSY;
    int error = 0;
    bool ours = kin__member_find(id) == member && kin__member_state(member) == KIN__ALIVE;
    if (ours) /* else someone was faster */
        error = collected || member_ended(member) ? take_back(member) : KIN_EBUSY;
    kin__lock_release(&member->life);
    if (ours && !error)
        tell_released();
    return error;
}

int kin__member_recover(kin__id id)
{
    return recover(id, false);
}

int kin__member_recover_collected(kin__id id)
{
    return recover(id, true);
}

void kin__member_release_unborn(struct kin__member *member)
{
    uint64_t state = atomic_load_explicit(&member->state, memory_order_acquire);
    if ((state & KIN__KIND) == KIN__CLAIMED || (state & KIN__KIND) == KIN__STARTING)
        free_claim(member, state);
}

int kin__members_sweep(void)
{
    KIN__UNCANCELLED;
    kin__id me = kin__self_id();
    struct kin__member *table = kin__members();
    int left = 0;
    for (uint32_t i = 1; i < kin__members_top(); i++) {
        free_half_joined(&table[i]);
        if (kin__member_state(&table[i]) != KIN__ALIVE)
            continue;
        kin__id id = kin__member_id(&table[i]);
        bool watched = atomic_load(&table[i].watched) && kin__member_find(table[i].parent);
        if (id != me && !watched && kin__member_recover(id) == KIN_EBUSY)
            left++;
    }
    return left;
}
