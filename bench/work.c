/* work.c - see work.h. */
#include "work.h"

#include <time.h>

uint64_t bench_work(uint32_t links)
{
    uint64_t x = 1;

    for (uint32_t i = 0; i < links; i++) {
        x = x * 6364136223846793005U + 1442695040888963407U;
        /* Keeps the compiler from folding several links into one. */
        __asm__("" : "+r"(x));
    }
    return x;
}

double bench_sum(const double *numbers, size_t count)
{
    double sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += numbers[i];
    return sum;
}

double bench_now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

double bench_calibrate(void)
{
    const uint32_t links = 100000;
    double best = 1;

    for (int run = 0; run < 25; run++) {
        double start = bench_now();
        uint64_t value = bench_work(links);
        double took = bench_now() - start;

        __asm__ volatile("" : : "r"(value));
        if (took < best)
            best = took;
    }
    return best / links;
}
