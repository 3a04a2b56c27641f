/*
 * os/fatal.h - the signals by which a program dies of its own doing, caught on their way.
 *
 * A handler may look at the death, then passes the signal on: to whoever had it before, else to its default, so
 * that the process ends by the very signal, with a core dump if there is to be one. Signals are blocked in the handler:
 * if it crashes itself, the kernel ends the process at once.
 *
 * Catching is a few raw system calls and no page fault (see os/raw.h): it is done in every child.
 */
#ifndef KIN_OS_FATAL_H
#define KIN_OS_FATAL_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef void (*kin__os_fatal_fn)(int number, siginfo_t *info, void *context);

/* Once a process image: what is to be called, and on which stack. How a handler returns is the C library's secret:
 * `like` is a signal for which it has installed one. */
void kin__os_fatal_prepare(kin__os_fatal_fn handler, void *stack, size_t size, int like);

/* In a child: catch them, on that stack (the calling thread's only). Those that are caught (KIN__SIGNAL_BIT): their
 * dispositions need not be reset before. */
uint64_t kin__os_fatal_catch(void);
/* The same where others may have handlers, and a stack, already. */
void kin__os_fatal_catch_after_others(void);

/* In the handler. */
bool kin__os_fatal_has_earlier(int number); /* somebody had a handler for it before */
void kin__os_fatal_pass(int number, siginfo_t *info);
void kin__os_fatal_wait(void); /* 10 ms */

#endif
