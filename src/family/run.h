/*
 * family/run.h - runs in the hands of a thread: while system calls get or return their memory, outside the lock,
 * a run is HELD and its thread's intent says RUN.
 */
#ifndef KIN_FAMILY_RUN_H
#define KIN_FAMILY_RUN_H

#include "family/thread.h"

/*
 * A HELD run of `length` units with memory, named by the thread's intent; *zero: it reads as zeros. Returns its
 * first unit; 0: KIN_ENOMEM, told in terms of the `asked` bytes. What is kept warm is given up first.
 */
uint32_t kin__run_acquire(struct kin__thread *thread, uint32_t length, uint32_t alignment, size_t asked,
                          bool *zero);

/* The same; or KIN_ETIMEDOUT, if the heap's lock is not to be had until the deadline. */
uint32_t kin__run_acquire_until(struct kin__thread *thread, uint32_t length, uint32_t alignment, size_t asked,
                                bool *zero, double deadline);

/* The run that the thread's intent names goes back, without memory. False: the system does not take that; the run is
 * kept warm if that can be. */
bool kin__run_drop(struct kin__thread *thread);

/* Give warm runs back to the system: what is too much; or all, and how many bytes that were. */
void kin__run_trim_excess(struct kin__thread *thread);
size_t kin__run_trim(struct kin__thread *thread);

#endif
