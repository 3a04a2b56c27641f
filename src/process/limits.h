/*
 * process/limits.h - limits of a process: checked by its starter, set by itself, told by who settles its end.
 *
 *   field     written by              rule                               when the writer dies there
 *   -------   ---------------------   --------------------------------   --------------------------------
 *   limits    starter                 before the child runs              not linked yet
 *   refused   the process; after a    before it tells its exit code;     not told: counts as no limit's doing
 *             crash, who settles      from its report (crash.h)
 *   signals   starter's guardian      before it sends the signal         at most told of a signal not sent:
 *                                                                        then it died of something else
 *   cpu_used  who settles             before it collects the status      whoever settles writes it again
 */
#ifndef KIN_PROCESS_LIMITS_H
#define KIN_PROCESS_LIMITS_H

#include "kin/process.h"

#include <stdatomic.h>

enum { KIN__SENT_NONE = 0, KIN__SENT_TERM = 1, KIN__SENT_KILL = 2 };

struct kin__limited {
    kin_limits limits;
    _Atomic int32_t refused; /* enum kin_limit_kind */
    _Atomic uint32_t signals;
    double cpu_used;
};

/* In the starter, before anything starts: whether such limits can be. `what` names the object in the error. */
int kin__limits_check(const kin_limits *limits, const char *what);
/* Whether there are any. */
bool kin__limits_given(const kin_limits *limits);

/* In the process itself, right before its function. */
int kin__limits_apply(struct kin__limited *limited);
/* The same, at an end with an exit code that is not 0: which limit it may be due to. */
void kin__limits_exiting(struct kin__limited *limited);

/* In who settles its end by a crash: what errno was then, and the code of the thread's record. */
void kin__limits_crashed(struct kin__limited *limited, int error_number, int error_code);

/* In the starter's guardian: a limit of wall time may be due, `age` seconds after the start. Gives the signal to be
 * sent, 0 for none, and in *next the age at which to ask again (0: never). */
int kin__limits_due(struct kin__limited *limited, double age, double *next);

/* Which limit an end is due to. */
enum kin_limit_kind kin__limits_blame(const struct kin__limited *limited, const kin_end *end);
/* " at its limit of 2 s of CPU time", and the code that goes with it; "" and 0 for none. */
int kin__limits_story(const struct kin__limited *limited, const kin_end *end, char *text, size_t size);

#endif
