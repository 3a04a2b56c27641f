/*
 * kin/log.h - what kin and its users have to tell while running.
 *
 * Messages go to stderr, one whole line a message (`kin: [pid] level: text`), or to a callback.
 * KIN_LOG=debug|info|warning|error|off in the environment sets the level (default: warning).
 *
 * Threads  Any. The callback may be called by several threads at once.
 * Processes  Level and callback are per process; children start with their parent's level, and under
 *          fork with its callback.
 */
#ifndef KIN_LOG_H
#define KIN_LOG_H

#include "kin/api.h"

KIN_BEGIN

enum kin_log_level {
    KIN_LOG_DEBUG = 1,
    KIN_LOG_INFO = 2,
    KIN_LOG_WARNING = 3,
    KIN_LOG_ERROR = 4,
    KIN_LOG_OFF = 5
};

/* Called with a whole message without line end. It must not call kin functions other than kin_error_*. */
typedef void (*kin_log_fn)(int level, const char *message, void *arg);

/* Log one message, printf-like. */
KIN_API void kin_log(int level, const char *format, ...) KIN_PRINTF(2, 3);

/* Set the lowest level that is logged. KIN_EINVAL for an unknown level. */
KIN_API int kin_log_set_level(int level);
KIN_API int kin_log_level(void);

/* Send messages to `fn` instead of stderr; NULL: back to stderr. */
KIN_API void kin_log_set_callback(kin_log_fn fn, void *arg);

KIN_END_DECLS

#endif
