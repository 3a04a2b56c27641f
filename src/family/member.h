/*
 * family/member.h - who belongs to the family.
 *
 * A slot a process. A member is named by its id: generation << 32 | slot index, never 0 and never
 * reused, so that an owner word tells the dead from their slot's next user.
 *
 * Life and death   A member's main thread holds its slot's life lock from attach to its end: whoever
 *          can take that lock knows, without a system call, that the member is not alive; its pidfd
 *          then tells whether all of it has ended (other threads may run a few instructions longer).
 *          Recovery runs under the life lock: by anyone, and if the recoverer dies, by the next one.
 *
 *   field        written by       rule                            when the writer dies there
 *   ----------   --------------   -----------------------------   ---------------------------------
 *   state        see below        one store or CAS a step         as stored
 *   generation   who claims it    before state leaves FREE        slot is FREE: next claimer adds 1
 *   life         main thread      robust                          this *is* the sign of death
 *   pid, start   parent, member   before ALIVE                    STARTING: the parent's recovery frees
 *   parent       parent           before STARTING                 STARTING: as above
 *   threads      journal          heap lock                       replayed
 *   arenas       journal          heap lock                       replayed
 *   process      parent           before the child runs           STARTING: as above
 *
 *   FREE -> CLAIMED (who starts it, CAS) -> STARTING -> ALIVE (the member itself, CAS)
 *   CLAIMED, STARTING -> FREE   the start failed, or the starter died (recovery of the starter, CAS)
 *   ALIVE -> FREE               recovery, last step, under the life lock
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

enum kin__member_state { KIN__FREE = 0, KIN__CLAIMED, KIN__STARTING, KIN__ALIVE };

struct kin__member {
    _Atomic uint32_t state;
    uint32_t generation;
    _Atomic int32_t pid;
    uint32_t threads; /* first of its thread slots, 0: none (family/thread.h) */
    uint64_t start_time;
    kin__id parent;
    uint64_t arenas; /* address of the first arena it owns, 0: none (family/arena.h) */
    struct kin_process *process;
    struct kin__lock life;
} __attribute__((aligned(128)));

/* This process's member; attaches a process that a plain fork() made. NULL before kin_init, or when all
 * slots are taken (record set). */
struct kin__member *kin__self(void);
kin__id kin__self_id(void); /* 0 where kin__self is NULL */

/* The slot of an id, or NULL if that member is gone. */
struct kin__member *kin__member_find(kin__id id);
kin__id kin__member_id(const struct kin__member *member);

#endif
