/*
 * process/started.h - what a member has started by itself, outside kin, ends with it.
 *
 * Each started member wears a mark that whatever it starts inherits (os/started.c); whoever recovers the dead member, or
 * the member itself when its parent has died, kills all who wear it. Those that are members are not among them:
 * they have marks of their own.
 */
#ifndef KIN_PROCESS_STARTED_H
#define KIN_PROCESS_STARTED_H

#include "process/process_shared.h"

/* In a new member. */
void kin__started_mark(const kin_process *process);

/* In a member that is about to end because its parent has died; async-signal-safe. */
void kin__started_end_own(void);

/* In a member at its normal end: note whether it may have started anything. */
void kin__started_note(kin_process *process);

/* A member is dead: end what it had started. Repeatable. */
void kin__started_end(const struct kin__member *dead);

#endif
