/* message/digest.c - see digest.h. */
#include "message/digest.h"

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define BLOCK 64u

struct state {
    enum kin__digest kind;
    uint32_t words[8];
    uint64_t size;
    size_t filled; /* of block */
    unsigned char block[BLOCK];
};

static uint32_t left(uint32_t x, unsigned by)
{
    return x << by | x >> (32 - by);
}

/* ---- MD5 ------------------------------------------------------------------------------------- */

/* 2^32 times abs(sin(i + 1)), as RFC 1321 gives them. */
static const uint32_t sines[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391};

static void md5_block(struct state *state)
{
    static const unsigned char turns[4][4] = {
        {7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
    uint32_t in[16], a = state->words[0], b = state->words[1], c = state->words[2], d = state->words[3];
    memcpy(in, state->block, sizeof in);
    for (unsigned i = 0; i < 64; i++) {
        unsigned round = i / 16, at;
        uint32_t mix;
        if (round == 0) {
            mix = (b & c) | (~b & d);
            at = i;
        } else if (round == 1) {
            mix = (d & b) | (~d & c);
            at = 5 * i + 1;
        } else if (round == 2) {
            mix = b ^ c ^ d;
            at = 3 * i + 5;
        } else {
            mix = c ^ (b | ~d);
            at = 7 * i;
        }
        mix += a + sines[i] + le32toh(in[at % 16]);
        a = d;
        d = c;
        c = b;
        b += left(mix, turns[round][i % 4]);
    }
    state->words[0] += a;
    state->words[1] += b;
    state->words[2] += c;
    state->words[3] += d;
}

/* ---- SHA-256 --------------------------------------------------------------------------------- */

/* The first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t roots[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t right(uint32_t x, unsigned by)
{
    return x >> by | x << (32 - by);
}

static void sha256_block(struct state *state)
{
    uint32_t in[64], v[8];
    memcpy(in, state->block, BLOCK);
    memcpy(v, state->words, sizeof v);
    for (unsigned i = 0; i < 64; i++) {
        if (i < 16) {
            in[i] = be32toh(in[i]);
        } else {
            uint32_t x = in[i - 15], y = in[i - 2];
            in[i] = in[i - 16] + in[i - 7] + (right(x, 7) ^ right(x, 18) ^ x >> 3) +
                    (right(y, 17) ^ right(y, 19) ^ y >> 10);
        }
        uint32_t one = v[7] + (right(v[4], 6) ^ right(v[4], 11) ^ right(v[4], 25)) +
                       ((v[4] & v[5]) ^ (~v[4] & v[6])) + roots[i] + in[i];
        uint32_t two = (right(v[0], 2) ^ right(v[0], 13) ^ right(v[0], 22)) +
                       ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += one;
        v[0] = one + two;
    }
    for (unsigned i = 0; i < 8; i++)
        state->words[i] += v[i];
}

/* ---- both ------------------------------------------------------------------------------------ */

static void begin(struct state *state, enum kin__digest kind)
{
    static const uint32_t md5[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    static const uint32_t sha256[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memset(state, 0, sizeof *state);
    state->kind = kind;
    if (kind == KIN__MD5)
        memcpy(state->words, md5, sizeof md5);
    else
        memcpy(state->words, sha256, sizeof sha256);
}

static void add(struct state *state, const void *data, size_t size)
{
    const unsigned char *from = data;
    state->size += size;
    while (size) {
        size_t part = BLOCK - state->filled < size ? BLOCK - state->filled : size;
        memcpy(state->block + state->filled, from, part);
        state->filled += part;
        from += part;
        size -= part;
        if (state->filled < BLOCK)
            return;
        if (state->kind == KIN__MD5)
            md5_block(state);
        else
            sha256_block(state);
        state->filled = 0;
    }
}

size_t kin__digest_size(enum kin__digest kind)
{
    return kind == KIN__MD5 ? 16 : 32;
}

static void end(struct state *state, unsigned char out[KIN__DIGEST_MOST])
{
    static const unsigned char padding[BLOCK] = {0x80};
    uint64_t bits = state->size * 8;
    bits = state->kind == KIN__MD5 ? htole64(bits) : htobe64(bits);
    add(state, padding, state->filled < 56 ? 56 - state->filled : 120 - state->filled);
    add(state, &bits, sizeof bits);
    for (size_t i = 0; i < kin__digest_size(state->kind) / 4; i++) {
        uint32_t word = state->kind == KIN__MD5 ? htole32(state->words[i]) : htobe32(state->words[i]);
        memcpy(out + 4 * i, &word, sizeof word);
    }
}

void kin__digest(enum kin__digest kind, const void *data, size_t size, unsigned char out[KIN__DIGEST_MOST])
{
    struct state state;
    begin(&state, kind);
    add(&state, data, size);
    end(&state, out);
}

void kin__hmac(enum kin__digest kind, const void *key, size_t key_size, const void *data, size_t size,
               unsigned char out[KIN__DIGEST_MOST])
{
    struct state state;
    unsigned char pad[BLOCK] = {0}, inner[KIN__DIGEST_MOST];
    if (key_size > BLOCK)
        kin__digest(kind, key, key_size, pad);
    else if (key_size)
        memcpy(pad, key, key_size);
    for (size_t i = 0; i < BLOCK; i++)
        pad[i] ^= 0x36;
    begin(&state, kind);
    add(&state, pad, sizeof pad);
    add(&state, data, size);
    end(&state, inner);
    for (size_t i = 0; i < BLOCK; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    begin(&state, kind);
    add(&state, pad, sizeof pad);
    add(&state, inner, kin__digest_size(kind));
    end(&state, out);
    explicit_bzero(pad, sizeof pad);
    explicit_bzero(&state, sizeof state);
}

bool kin__digest_equal(const unsigned char *one, const unsigned char *other, size_t size)
{
    volatile unsigned char differ = 0;
    for (size_t i = 0; i < size; i++)
        differ |= one[i] ^ other[i];
    return differ == 0;
}
