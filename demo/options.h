/* options.h - the command line of kin-demo. */
#ifndef DEMO_OPTIONS_H
#define DEMO_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct options {
    const char *directory;
    const char *report; /* NULL: none */
    const char *model;  /* the sweep's problem */
    bool model_given;   /* asked for by name, so that its absence is an error */
    int workers;        /* 0: one for each CPU */
    double time_limit;  /* seconds for each problem of the batch */
    size_t memory_limit_mib;
    size_t scenarios;
    double perturbation; /* relative, at most */
    uint64_t seed;
    int kills; /* workers killed during the third sweep */
    bool faults;
    bool sweep;
    bool baseline; /* run the batch with one worker too, for the speed-up */
};

enum { OPTIONS_GO = -1 };

/* OPTIONS_GO, or the exit code the program ends with (0 after --help, 2 for a wrong command line). */
int options_parse(int argc, char **argv, struct options *out);

#endif
