/* verdict.h - what is expected of a run, and whether it held. */
#ifndef DEMO_VERDICT_H
#define DEMO_VERDICT_H

#include <stdbool.h>
#include <stddef.h>

#include "kin/api.h"

struct expectation {
    bool held;
    char text[256];
};

struct verdict {
    struct expectation *item;
    size_t count;
    size_t failed;
};

/* Record an expectation, printf-like. Returns `held`. */
bool verdict_expect(struct verdict *verdict, bool held, const char *format, ...) KIN_PRINTF(3, 4);

/* Print what did not hold, or that all did. */
void verdict_print(const struct verdict *verdict);

void verdict_free(struct verdict *verdict);

#endif
