/*
 * base/random.c - Philox4x64-10, and what is drawn from it.
 *
 * Written from the paper (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC'11, section 4.3): ten
 * rounds of two multiplications, whose high halves are mixed with key and counter, while the key is bumped by Weyl constants
 * (the golden ratio, the square root of 3 less 1).
 *
 * All results are those of IEEE arithmetic in the order written here; a compiler that fuses multiplications and additions could
 * change the last bit, so the build forbids it (-ffp-contract=off).
 */
#include "base/random.h"

#include <math.h>
#include <string.h>

#define ROUNDS 10

static uint64_t multiply(uint64_t a, uint64_t b, uint64_t *high)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    *high = (uint64_t)(product >> 64);
    return (uint64_t)product;
}

void kin__philox(const uint64_t counter[4], const uint64_t key[2], uint64_t out[4])
{
    uint64_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint64_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t high0, high1;
        uint64_t low0 = multiply(0xd2e7470ee14c6c93u, c0, &high0);
        uint64_t low1 = multiply(0xca5a826395121157u, c2, &high1);
        c0 = high1 ^ c1 ^ k0;
        c1 = low1;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 += 0x9e3779b97f4a7c15u;
        k1 += 0xbb67ae8584caa73bu;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

void kin_random_start(kin_random *random, uint64_t seed, uint64_t stream)
{
    *random = (kin_random){.seed = seed, .stream = stream};
}

static void next_block(kin_random *random)
{
    kin__philox((uint64_t[]){random->block++, 0, random->stream, 0}, (uint64_t[]){random->seed, 0},
                random->words);
    random->left = 4;
}

uint64_t kin_random_bits(kin_random *random)
{
    if (random->left - 1 >= 4) /* 0; or more than there are, if somebody wrote over it */
        next_block(random);
    return random->words[4 - random->left--];
}

/*
 * The high half of a product with the bound; what would make some results likelier than others is drawn again (Lemire: "Fast
 * random integer generation in an interval", 2019). Hardly ever more than one draw and one multiplication.
 */
uint64_t kin_random_below(kin_random *random, uint64_t bound)
{
    if (bound == 0)
        return kin_random_bits(random);
    uint64_t result;
    uint64_t low = multiply(kin_random_bits(random), bound, &result);
    if (low < bound) {
        uint64_t surplus = -bound % bound; /* 2^64 modulo bound */
        while (low < surplus)
            low = multiply(kin_random_bits(random), bound, &result);
    }
    return result;
}

double kin_random_double(kin_random *random)
{
    return (double)(kin_random_bits(random) >> 11) * 0x1p-53;
}

/*
 * Of a number of (0, 1], to 1 or 2 units of the last place: by the series of 2 atanh((m - 1) / (m + 1)), whose argument is at most
 * 0.172. libm's would be the only call of that library, whose five mappings each fork would copy (6 us of some 100).
 */
static double logarithm(double u)
{
    int exponent;
    double m = frexp(u, &exponent), sum = 0;
    if (m < 0.70710678118654752) {
        m *= 2;
        exponent--;
    }
    double s = (m - 1) / (m + 1);
    for (int power = 21; power > 0; power -= 2)
        sum = sum * s * s + 1.0 / power;
    return exponent * 0.69314718055994531 + 2 * s * sum;
}

/*
 * The ratio of two uniform numbers, if they fall into the normal curve's region (Kinderman and Monahan, 1977), with Leva's bounds
 * ("A fast normal random number generator", 1992), so that a logarithm is needed for one number in a hundred. It only decides
 * between taking and drawing again: what is taken is a quotient.
 */
double kin_random_normal(kin_random *random)
{
    for (;;) {
        double u = 1 - kin_random_double(random); /* of (0, 1] */
        double v = 1.7156 * (kin_random_double(random) - 0.5);
        double x = u - 0.449871, y = fabs(v) + 0.386595;
        double q = x * x + y * (0.19600 * y - 0.25472 * x);
        if (q < 0.27597 || (q <= 0.27846 && v * v <= -4 * logarithm(u) * u * u))
            return v / u;
    }
}

void kin_random_bytes(kin_random *random, void *bytes, size_t size)
{
    unsigned char *at = bytes;
    while (size) {
        uint64_t word = kin_random_bits(random);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        word = __builtin_bswap64(word);
#endif
        size_t some = size < sizeof word ? size : sizeof word;
        memcpy(at, &word, some);
        at += some;
        size -= some;
    }
}
