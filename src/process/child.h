/* process/child.h - what runs in a new process between its making and its function, and after it. */
#ifndef KIN_PROCESS_CHILD_H
#define KIN_PROCESS_CHILD_H

#include "process/process_shared.h"

#define KIN__ORPHAN_EXIT (128 + 15) /* as if by SIGTERM */

#define KIN__REFUSED_EXIT 126 /* it could not join the family, and has said why */

/* In a process that fork made: become the member, run the function, end. */
_Noreturn void kin__child_run_forked(kin__id id, pid_t parent);

/* In a process that kin__os_fork_sibling made, by the template of `parent`: the same. */
_Noreturn void kin__child_run_cloned(kin__id id, pid_t parent);

/* In main of a spawned one: the same; ends by exit(), as the image is its own. */
_Noreturn void kin__child_run_spawned(kin__id id, pid_t parent);

/* Normal end of any member: join children, end daemons, tell the exit code. Registered with on_exit. */
void kin__at_exit(int status, void *unused);

/* Whether the last flush before a fork covered C++ streams too: only then may the child flush those, of which it cannot
 * drop what its parent had printed. */
extern bool kin__flushed_all;

/* Once this process is ending it starts no others. */
extern _Atomic bool kin__exiting;

/* It has been told that a fork beside threads is a danger. (Beside the others: in a child this page is written anyway.) */
extern bool kin__start_warned;

/* Whether this process, or one that it was forked from, was forked while threads of the program's may have been in the loader or the
 * like: locks of libc's may be held in it for ever. */
bool kin__child_forked_beside_threads(void);

/* Whether the program has no threads but the calling one. */
bool kin__child_alone(void);

/* The pid of who started this process; 0: nobody, or it was started detached. */
pid_t kin__child_parent(void);

/* Whether the parent of a started process that is not detached is gone: for those who sleep with signals blocked. */
bool kin__child_is_orphan(void);

/* At start-up: the hooks, on_exit and pthread_atfork. Once a process image. */
void kin__child_setup(void);

#endif
