/* commands.c - many short commands, two at a time, by a program that is made for that: xargs, GNU parallel. */
#include "run_c.h"
#include "work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *line;

void commands_open(const char *who)
{
    line = !strcmp(who, "xargs") ? "seq %zu | xargs -P 2 -n 1 true"
                                 : "seq %zu | parallel --will-cite -j 2 -n 1 true";
}

double commands_run(const struct bench_request *request)
{
    char command[128];
    double start;

    snprintf(command, sizeof command, line, request->repeats);
    start = bench_now();
    if (system(command) != 0) /* NOLINT: a line of our own */
        bench_fail("failed: %s", command);
    return bench_now() - start;
}
