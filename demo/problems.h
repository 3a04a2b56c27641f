/* problems.h - the directory of MPS files, and the optima that are published for them. */
#ifndef DEMO_PROBLEMS_H
#define DEMO_PROBLEMS_H

#include <stdbool.h>
#include <stddef.h>

struct problem {
    char *name; /* the file's name without .mps or .mps.gz */
    char *path;
    long bytes;       /* of the file; -1: could not be asked */
    bool published;   /* whether `optimum` is known */
    double optimum;   /* as published */
    double tolerance; /* largest relative difference from it that counts as agreement */
};

/* Sorted by name. */
struct problems {
    struct problem *item;
    size_t count;
    size_t published; /* how many have a published optimum */
};

/* Read the directory and its optima.csv, if there is one. False: told on stderr. */
bool problems_load(struct problems *out, const char *directory);

void problems_free(struct problems *problems);

/* The problem of that name, or NULL. */
const struct problem *problems_find(const struct problems *problems, const char *name);

#endif
