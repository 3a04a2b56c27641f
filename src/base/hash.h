/* base/hash.h - 64 bits of any bytes: for hash tables, and to find damage. Not against who forges on purpose. */
#ifndef KIN_BASE_HASH_H
#define KIN_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* The same on every machine of the same byte order. */
uint64_t kin__hash(uint64_t seed, const void *data, size_t size);

#endif
