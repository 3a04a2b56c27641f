/*
 * process/output.h - the starter's side of what its children print: pipes, and a thread that empties them, the relay.
 *
 * A stream is the reading end of a pipe and what belongs to it, in the starter's private memory, on a list. Under the mutex, which is
 * never held during a read or write: the list and all words of streams. Only the relay takes streams off the list, and only it
 * reads and writes, so what it is at needs no lock. It is there as long as there are streams.
 *
 * With streams that are captured it never waits; the others' turn is put off as long as what they go to (a terminal that was
 * stopped, a pipe that nobody reads) would make it wait. The lock order: the guardian's mutex before this one.
 */
#ifndef KIN_PROCESS_OUTPUT_H
#define KIN_PROCESS_OUTPUT_H

#include "process/process_shared.h"

#include <stdbool.h>

/* What DEFAULT means; or an error for what is none of enum kin_output. */
int kin__output_check(int mode, const char *what);

/* Before the start: pipes for a process whose object has a `printed`, and the relay. */
int kin__output_open(struct kin_process *process);
/* The process is there (or not, after all): only it has the writing ends now. */
void kin__output_started(const struct kin_process *process);

/* The process has ended: what is in its pipes is the last. Under the guardian's mutex or not. */
void kin__output_ended(kin__id id);
/* Wait until all that a process, which has ended, had printed is told; false: not in time. */
bool kin__output_wait(kin__id id, double deadline);
/* The same of what all that are running have printed so far. */
bool kin__output_sync(double deadline);
/* Its object is about to be freed. */
void kin__output_drop(kin__id id);

/* At this process's normal end, when its children have ended. */
void kin__output_finish(void);

/* Whether the relay runs. */
bool kin__output_runs(void);

/* Around fork, and in the child. Where nothing is relayed these write nothing, which would be a page to fault in. */
void kin__output_before_fork(void);
void kin__output_after_fork(void);
void kin__output_forked(void);

#endif
