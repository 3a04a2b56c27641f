/*
 * family/member.h - who belongs to the family.
 *
 * A slot a process. A member is named by its id: generation << 32 | slot index, never 0 and never
 * reused, so that an owner word tells the dead from their slot's next user.
 *
 * Life and death   A member's main thread holds its slot's life lock from attach to its end: whoever
 *          cannot take that lock knows, without a system call, that the member is alive. Whoever can take
 *          it asks the kernel whether all of the process has ended (other threads may run a few
 *          instructions longer, and a main thread may leave by pthread_exit). Recovery runs under the
 *          life lock, by anyone; if the recoverer dies, the next one begins again: every step may be
 *          repeated.
 *
 *   field        written by       rule                            when the writer dies there
 *   ----------   --------------   -----------------------------   ---------------------------------
 *   state        see below        one CAS a step; carries the     as stored; CLAIMED and STARTING name
 *                                 starter's slot index, JOINING   their starter, whose recovery frees;
 *                                 the member's own pid, all of    JOINING: kin__members_sweep frees
 *                                 them the generation, which a
 *                                 claim increments
 *   has_lock     who claims it    0 to 1, after life was made     CLAIMED: the next claim makes it again
 *   has_spare    its recoverer    0 to 1: its spare thread slot   the next recoverer makes it again
 *                                 has memory and may be in use
 *   life         main thread      robust                          this *is* the sign of death
 *   pid          parent, member   before ALIVE                    STARTING: as above
 *   attached     the starter      soon after the start; or the    0: whoever has the pid counts as the
 *                                 member itself, if JOINING       member
 *   parent       parent           before STARTING                 STARTING: as above
 *   threads      journal          heap lock                       replayed
 *   arenas       journal          heap lock                       replayed
 *   watched      who claims it    at the claim: its starter is    STARTING: as above
 *                                 told of its end; 0 by a starter
 *                                 that gives up
 *   sealed       who claims it    at the claim, or before         STARTING: as above
 *                                 STARTING (family/sealed.h)
 *   process      parent           before STARTING; the member     STARTING: as above
 *   children     the member       one store; list of processes    its recovery walks the list
 *                                 it started
 *
 *   FREE -> CLAIMED -> STARTING   who starts it
 *   STARTING -> ALIVE             the member itself
 *   FREE -> JOINING -> ALIVE      the founder; a child that a plain fork() made
 *   CLAIMED, STARTING -> FREE     the start failed, or recovery of the starter
 *   JOINING -> FREE               the process of that number has ended
 *   ALIVE -> FREE                 recovery, last step, under the life lock
 *
 *   M1  a slot that is not FREE has one starter, or one process that is joining by itself, or is ALIVE
 *   M2  an ALIVE member's id differs from all ids there were before
 *   M3  threads and arenas of a FREE slot are 0
 */
#ifndef KIN_FAMILY_MEMBER_H
#define KIN_FAMILY_MEMBER_H

#include "family/lock.h"
#include "kin/process.h"

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#define KIN__MEMBERS_MAX 1024u
#define KIN__OWNER_FAMILY 1u /* an owner word: nobody in particular, everybody */

typedef uint64_t kin__id; /* 0: nobody */

enum kin__member_state { KIN__FREE = 0, KIN__CLAIMED, KIN__STARTING, KIN__JOINING, KIN__ALIVE };

/* The state word: generation << 32 | starter's slot index, or own pid, << 8 | enum kin__member_state. */
#define KIN__KIND 0xffu
#define KIN__WHO_SHIFT 8
#define KIN__WHO(state) ((uint32_t)((state)&0xffffff00u) >> KIN__WHO_SHIFT)
#define KIN__GENERATION 0xffffffff00000000u
#define KIN__NEXT_GENERATION 0x100000000u

struct kin__member {
    _Atomic uint64_t state;
    _Atomic int32_t pid;
    uint32_t has_lock;
    uint32_t has_spare;
    _Atomic uint32_t watched;
    uint32_t sealed;
    uint32_t threads; /* first of its thread slots, 0: none (family/thread.h) */
    _Atomic uint64_t
        attached; /* ns since boot: a process with this pid that started later is another one; 0: not known */
    kin__id parent;
    uint64_t arenas; /* address of the first arena it owns, 0: none (family/arena.h) */
    struct kin_process *process;
    struct kin_process *children;
    struct kin__lock life;
} __attribute__((aligned(128)));

/*
 * A token of this process as a member, which no other has: so each thread can tell whether what it remembers is its
 * own process's, or came from a parent's thread that forked. Zero in a process that fork(), or whatever it was, has
 * just made: it must attach first.
 */
extern uint32_t *kin__alive_page;

/* This process's member; attaches a process that a plain fork() made. NULL before kin_init, or when all
 * slots are taken (record set). */
struct kin__member *kin__self(void);
kin__id kin__self_id(void); /* 0 where kin__self is NULL */
/* The same for signal handlers: attaches nobody, sets no record. */
struct kin__member *kin__self_if_attached(void);

/* The slot of an id, or NULL if that member is gone. */
struct kin__member *kin__member_find(kin__id id);
kin__id kin__member_id(const struct kin__member *member);
static inline enum kin__member_state kin__member_state(const struct kin__member *member)
{
    return atomic_load_explicit(&member->state, memory_order_acquire) & KIN__KIND;
}

/* Take a slot for a new member, as its starter: CLAIMED. KIN_ELIMIT, KIN_ENOINIT. */
int kin__member_claim(struct kin__member **out);
/* Everything about it is written: let the child take it. */
void kin__member_starting(struct kin__member *member);
/* The start failed; nothing happens to one that has attached. */
void kin__member_release_unborn(struct kin__member *member);
/* Recovery's last step: the slot is free. */
void kin__member_release(struct kin__member *member);
/* In the new process, by its main thread: become this member. KIN_EDIED: the starter died meanwhile. Nothing that
 * the starter wrote for it may be touched before: it may be freed already. */
int kin__member_attach(kin__id id);
/* The founder: claim, start and attach at once. */
int kin__member_found(void);
/* Founding failed: this process is no member, and its region goes. */
void kin__member_leave(void);

/* Whether the process that has the member's pid now is the member still, dead or alive. */
bool kin__member_has_pid(const struct kin__member *member);

/*
 * Take back all that a member owned and free its slot, if it has ended. 0: it is gone; KIN_EBUSY: it is not, or
 * someone else is at it. No record is set. Repeatable.
 */
int kin__member_recover(kin__id id);
/* The same of one whose status was collected: it has ended, the kernel need not be asked. */
int kin__member_recover_collected(kin__id id);

/* Recover members whose parent is gone (and plain forks, which no one watches); free the slots of processes that
 * died while they joined. Returns how many such members are still there: look again soon. */
int kin__members_sweep(void);

/*
 * Upper floors' parts, registered once per process image (NULL: none): `forked` runs in a child after fork,
 * before it is a member: what it inherited of private state is its parent's. `recover` runs for a dead
 * member under its life lock, before its memory is taken back, `recovered` when nothing but its slot is left.
 * Both must be repeatable. `recover` may say KIN_EBUSY: not yet, someone else is about to do it. `released` comes when its slot
 * is free and kin__member_find finds it no more: once, or not at all if the recoverer dies just then.
 */
struct kin__member_hooks {
    void (*forked)(void);
    int (*recover)(struct kin__member *dead);
    void (*recovered)(struct kin__member *dead);
    void (*released)(void);
};
void kin__member_hooks(const struct kin__member_hooks *hooks);

/* In a child after any fork, by pthread_atfork: for kernels that do not wipe the page. */
void kin__member_forked_plainly(void);

/* In a child after fork, once: forget what is the parent's, on all floors. */
void kin__member_forked(void);

#endif
