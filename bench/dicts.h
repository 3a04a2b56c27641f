/*
 * dicts.h - dict-get-direct, dict-set-direct: a dict of 10,000 texts of 9 to 13 bytes and numbers, looked up and changed in an order
 * without a pattern.
 */
#ifndef BENCH_DICTS_H
#define BENCH_DICTS_H

#include "runner.h"

#define BENCH_DICT_KEYS 10000u

struct bench_dict {
    void *object;
    int64_t (*get)(void *object, const char *key); /* fails by itself */
    void (*set)(void *object, const char *key, int64_t value);
};

/* The rest of a contestant's open: makes the keys, and sets each to its number. Its run. */
void bench_dict_open(const struct bench_dict *dict);
double bench_dict_run(const struct bench_request *request);

#endif
