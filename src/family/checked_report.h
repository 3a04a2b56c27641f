/* family/checked_report.h - the history of checked blocks, and how their misuse is told. */
#ifndef KIN_FAMILY_CHECKED_REPORT_H
#define KIN_FAMILY_CHECKED_REPORT_H

#include <stddef.h>
#include <stdint.h>

#define KIN__HISTORY_DEPTH 7u

/* A moment in a block's life. `depth` 0: it has not come. */
struct kin__history {
    int32_t pid;
    int32_t thread;
    uint64_t layout; /* kin__os_code_layout of that process: whether this one can name the addresses */
    uint32_t depth;
    uint32_t unused;
    uint64_t callers[KIN__HISTORY_DEPTH];
};

void kin__history_note(struct kin__history *history, const void *caller);

/*
 * Record KIN_EDAMAGED or KIN_EINVAL with the sentence and who made (and freed) the block; log it, with the callers of
 * each. NULL: not known.
 */
void kin__history_report(int code, const struct kin__history *made, const struct kin__history *freed,
                         const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
