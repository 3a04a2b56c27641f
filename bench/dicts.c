/* dicts.c - see dicts.h. */
#include "dicts.h"

#include "work.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static struct bench_dict dict;
static char keys[BENCH_DICT_KEYS][16];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void bench_dict_open(const struct bench_dict *given)
{
    dict = *given;
    for (unsigned i = 0; i < BENCH_DICT_KEYS; i++) {
        snprintf(keys[i], sizeof keys[i], "the key %u", i);
        dict.set(dict.object, keys[i], i);
    }
}

double bench_dict_run(const struct bench_request *request)
{
    uint32_t state = 12345;
    int64_t wrong = 0;
    bool sets = !strcmp(bench_set, "dict-set-direct");
    double start = now();
    for (size_t i = 0; i < request->repeats; i++) {
        state = state * 1664525u + 1013904223u;
        unsigned at = (state >> 8) % BENCH_DICT_KEYS;
        if (sets)
            dict.set(dict.object, keys[at], (int64_t)(i + at));
        else
            wrong |= dict.get(dict.object, keys[at]) ^ at;
    }
    double took = now() - start;
    if (wrong)
        bench_fail("a wrong value");
    return took;
}
