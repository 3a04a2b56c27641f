/* failure.h - how a task failed, in a word and in a sentence. */
#ifndef DEMO_FAILURE_H
#define DEMO_FAILURE_H

#include "batch.h"

enum failure_kind {
    FAILURE_NONE = 0,
    FAILURE_TIME,   /* cut at the wall-time limit */
    FAILURE_MEMORY, /* ended at the memory limit */
    FAILURE_KILLED, /* by SIGKILL from somebody else */
    FAILURE_DIED,   /* of any other cause */
    FAILURE_OWN     /* it said so itself: a bad file */
};

enum failure_kind failure_kind(const struct batch *batch, size_t problem);

/* "time limit", ...: for a column of a table. */
const char *failure_word(enum failure_kind kind);

/* Who died of what, in which task, with GLPK's last words. Returns `buffer`. */
char *failure_story(const struct batch *batch, size_t problem, char *buffer, size_t size);

#endif
