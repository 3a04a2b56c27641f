/* base/hash.c - words of eight bytes, each multiplied in, both halves of the product kept: as wyhash and its kin do it. */
#include "base/hash.h"

#include <string.h>

static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t kin__hash(uint64_t seed, const void *data, size_t size)
{
    const unsigned char *at = data;
    uint64_t hash = seed ^ (size * 0x9e3779b97f4a7c15u), word;
    for (; size >= sizeof word; size -= sizeof word, at += sizeof word) {
        memcpy(&word, at, sizeof word);
        hash = mix(hash ^ word, 0xd6e8feb86659fd93u);
    }
    word = 0;
    if (size)
        memcpy(&word, at, size);
    return mix(hash ^ word ^ 0xa0761d6478bd642fu, 0xe7037ed1a0b428dbu);
}
