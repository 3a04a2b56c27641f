/*
 * kin/random.h - streams of random numbers that can be had again.
 *
 * A stream is named by two numbers, a seed and the stream's own, and is the same on every machine, in every process and in
 * every run. So each task of a map has a stream of its own, by its index (kin_task_random in kin/pool.h): its results do not
 * depend on which worker ran it, on how many there were, or on a death before.
 *
 * Numbers  Philox4x64-10, a counter-based generator (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3",
 *          SC'11): block n of a stream is a function of seed, stream and n. Key {seed, 0}, counter {n, 0, stream, 0}. So streams of
 *          one seed never overlap, whatever their numbers; each has 2^66 words of 64 bits. Not for cryptography.
 * Memory   A kin_random is a plain value without pointers: copy it to keep its state, put it into shared memory, send it.
 * Threads  One at a time may draw from one kin_random.
 * Errors   None; needs no kin_init.
 */
#ifndef KIN_RANDOM_H
#define KIN_RANDOM_H

#include "kin/api.h"

KIN_BEGIN

/* Its fields are for kin_random_start and kin_random_bits. */
typedef struct kin_random {
    uint64_t seed, stream;
    uint64_t block;    /* the next one */
    uint64_t words[4]; /* of the last one */
    uint64_t left;     /* words of these that have not been drawn */
} kin_random;

/* Begin a stream. Any seed and any number will do. */
KIN_API void kin_random_start(kin_random *random, uint64_t seed, uint64_t stream);

/* 64 random bits. */
KIN_API uint64_t kin_random_bits(kin_random *random);

/* An integer of 0 to bound-1, all with the same probability; for bound 0 any of 64 bits. */
KIN_API uint64_t kin_random_below(kin_random *random, uint64_t bound);

/* A number of [0, 1), a multiple of 2^-53. Never 1. */
KIN_API double kin_random_double(kin_random *random);

/* A number of the normal distribution with mean 0 and standard deviation 1. */
KIN_API double kin_random_normal(kin_random *random);

/* `size` random bytes, in whole words of the stream: the bytes of each word from its lowest one on. */
KIN_API void kin_random_bytes(kin_random *random, void *bytes, size_t size);

KIN_END_DECLS

#endif
