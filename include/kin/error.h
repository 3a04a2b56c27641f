/*
 * kin/error.h - error codes, and the story of a thread's last failure.
 *
 * A function that fails returns one of these codes (all negative) and leaves a record in the calling
 * thread: code, errno, the process it happened in and a message that says what failed, on which
 * object, why, and what to do. Outcomes that are part of normal work (KIN_ETIMEDOUT, KIN_ECLOSED)
 * leave a record too, but a cheap one. A record crosses processes whole: see kin_process_error() and
 * kin_task_error.
 *
 * Threads  One record a thread. Success leaves the record as it is.
 */
#ifndef KIN_ERROR_H
#define KIN_ERROR_H

#include "kin/api.h"

KIN_BEGIN

/* X(name, value, text): the one list of codes. Values never change. */
#define KIN_ERROR_LIST(X)                                       \
    X(KIN_EINVAL, -1, "invalid argument")                       \
    X(KIN_ENOMEM, -2, "out of memory")                          \
    X(KIN_ESYSTEM, -3, "a system call failed")                  \
    X(KIN_ETIMEDOUT, -4, "timed out")                           \
    X(KIN_EINTR, -5, "interrupted")                             \
    X(KIN_EBUSY, -6, "in use")                                  \
    X(KIN_ECLOSED, -7, "closed")                                \
    X(KIN_ELIMIT, -8, "a limit of kin is reached")              \
    X(KIN_ENOINIT, -9, "kin_init has not been called")          \
    X(KIN_ENOTSHARED, -10, "memory is not shared")              \
    X(KIN_EPERM, -11, "not allowed in this process")            \
    X(KIN_EMISMATCH, -12, "programs or versions do not match")  \
    X(KIN_EDIED, -13, "a process died")                         \
    X(KIN_EFAILED, -14, "a task or process reported a failure") \
    X(KIN_ETIMELIMIT, -15, "time limit exceeded")               \
    X(KIN_EMEMLIMIT, -16, "memory limit exceeded")              \
    X(KIN_ECANCELED, -17, "canceled")                           \
    X(KIN_ENOTSUP, -18, "not supported here")                   \
    X(KIN_ENOTFOUND, -19, "not found")                          \
    X(KIN_EDAMAGED, -20, "memory was damaged")                  \
    X(KIN_EOWNERDIED, -21, "acquired, and its last owner died") \
    X(KIN_EBROKEN, -22, "the barrier is broken")                \
    X(KIN_EDEADLK, -23, "would wait for itself")                \
    X(KIN_ETOOLARGE, -24, "the message is too large")           \
    X(KIN_ELOST, -25, "messages were lost with who had got them")

#define KIN_ERROR_ENUM(name, value, text) name = (value),
enum kin_error_value { KIN_OK = 0, KIN_ERROR_LIST(KIN_ERROR_ENUM) };
#undef KIN_ERROR_ENUM

/* A failure as a value: plain bytes, so it can be copied, stored and sent anywhere. */
typedef struct kin_error {
    int code;          /* a KIN_E code; 0: no failure */
    int os_errno;      /* errno where a system call was the cause, else 0 */
    int pid;           /* the process in which it happened */
    int reserved;      /* 0 */
    char message[496]; /* NUL-terminated, lower case, no full stop; cut at the end if too long */
} kin_error;

/* The calling thread's last failure: its code (0 if it never had one). */
KIN_API int kin_error_code(void);

/* Its message; "" if there was none. Valid until this thread's next failure. */
KIN_API const char *kin_error_message(void);

/* Copy the whole record to `out`. */
KIN_API void kin_error_get(kin_error *out);

/*
 * Set this thread's record, printf-like, and return `code`: for tasks, process functions and
 * libraries on top of kin that report failures the same way. `code` must be negative; codes below
 * -1000 are for programs' own use.
 */
KIN_API int kin_error_set(int code, const char *format, ...) KIN_PRINTF(2, 3);

/* Forget this thread's record. */
KIN_API void kin_error_clear(void);

/* A short text for a code, never NULL ("unknown error -77" for unknown ones). Static storage, or per thread. */
KIN_API const char *kin_strerror(int code);

/* The code's name as written in C ("KIN_EINVAL"), or NULL for an unknown code. */
KIN_API const char *kin_error_name(int code);

KIN_END_DECLS

#endif
