/* sync/deaths.h - what a dead member's recovery does for this floor. All repeatable. */
#ifndef KIN_SYNC_DEATHS_H
#define KIN_SYNC_DEATHS_H

#include "family/thread.h"

/* What that thread was notified of passes on to another; it waits no more. Before its slot is given back. */
void kin__condition_recover(struct kin__thread *dead);

/* Break the barriers that it waits at; with `parties`, also those that it went through last. In a transaction. */
void kin__barriers_recover(const struct kin__thread *dead, bool parties);

#endif
