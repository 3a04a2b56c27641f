/* process/children.h - this process's record of each process it started: pidfd, object, and its end. */
#ifndef KIN_PROCESS_CHILDREN_H
#define KIN_PROCESS_CHILDREN_H

#include "family/guardian.h"
#include "process/process_shared.h"

struct kin__child {
    struct kin__watch watch;     /* first: the guardian hands it back */
    struct kin_process *process; /* NULL: only its status is to be collected yet */
    void (*notify)(void *arg);   /* called after the end is settled, under the guardian's mutex; or NULL */
    void *notify_arg;
    double started; /* kin__os_now() */
};

/* All under the guardian's mutex. */
struct kin__child *kin__child_find(const struct kin_process *process);
/* `born`: it was there then, by kin__os_since_boot_ns(). */
int kin__child_add(struct kin_process *process, int pidfd, uint64_t born);
void kin__child_forget(struct kin__child *child); /* closes the pidfd; the object stays */

/* Called when the process has ended, once: for the pool, which replaces workers. Never from a fork. */
int kin__child_notify(struct kin_process *process, void (*notify)(void *arg), void *arg);

/* How many processes the kernel had killed for want of memory: told to each process before it starts. */
uint64_t kin__ooms_before(void);

/* In a child after fork. */
void kin__children_forked(void);

/* Parts of a dead member's recovery: let go of the processes it started and find out how it ended; tell it. */
int kin__children_recover(struct kin__member *dead);
void kin__children_recovered(struct kin__member *dead);

#endif
