/* manager/locks.h - Lock and RLock, as conditions use them too. */
#ifndef KIN_MANAGER_LOCKS_H
#define KIN_MANAGER_LOCKS_H

#include "manager/server.h"

/* Take it for the call, `depth` times, if that goes at once: 0, KIN__PARKED (it does not), KIN_ENOMEM. *orphaned: its last owner died
 * with it. */
int kin__owned_try(kin_call *call, struct kin__entity *lock, uint64_t depth, bool *orphaned);
/* Wait for it, in its own list. As a method's result. */
int kin__owned_acquire(kin_call *call, struct kin__entity *lock, double timeout);
int kin__owned_release(kin_call *call, struct kin__entity *lock);
/* Let it go, however often the caller has it: that goes to *depth. KIN_EPERM: he has not. */
int kin__owned_release_all(kin_call *call, struct kin__entity *lock, uint64_t *depth);
/* KIN_EPERM, KIN_EINVAL: the calling thread has it not. */
int kin__owned_check(const kin_call *call, struct kin__entity *lock);
bool kin__owned_is(const struct kin__entity *entity);

#endif
