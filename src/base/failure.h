/* base/failure.h - how kin's own code records failures; the public side is kin/error.h. */
#ifndef KIN_BASE_FAILURE_H
#define KIN_BASE_FAILURE_H

#include "kin/error.h"

/* Counts the thread's failures: tells whether one was recorded since. */
extern _Thread_local unsigned kin__error_serial;

/* Fill the thread's record and return `code`. */
int kin__fail(int code, const char *format, ...) KIN_PRINTF(2, 3);

/* The same for a failed system call: remembers errno and appends its text after a colon. */
int kin__fail_errno(int code, int os_errno, const char *format, ...) KIN_PRINTF(3, 4);

/* Take over a record that came from elsewhere (another process, a worker); returns its code. */
int kin__fail_with(const kin_error *error);

/* Fill a record that is not the thread's. */
void kin__error_fill(kin_error *error, int code, const char *format, ...) KIN_PRINTF(3, 4);

/* A broken invariant of kin itself: say so and abort. Nothing from outside may ever lead here. */
_Noreturn void kin__panic(const char *format, ...) KIN_PRINTF(1, 2);

/*
 * Whether an options struct of the caller can be read as ours: its first field, the size, covers what
 * we know, or what it has beyond is zero. Fills `known` (of `known_size`) with it; NULL gives zeros.
 */
int kin__options_read(void *known, size_t known_size, const void *given, const char *what);

#endif
