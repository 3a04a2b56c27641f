/* os/time.c - the monotonic clock. */
#include "os/os.h"

#include <math.h>
#include <time.h>

uint64_t kin__os_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t kin__os_since_boot_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

double kin__os_now(void)
{
    return (double)kin__os_now_ns() * 1e-9;
}

double kin__os_deadline(double timeout)
{
    return isinf(timeout) ? timeout : kin__os_now() + timeout;
}

double kin__os_left(double deadline)
{
    if (isinf(deadline))
        return deadline;
    double left = deadline - kin__os_now();
    return left > 0 ? left : 0;
}

struct timespec kin__os_moment_in(uint64_t ns)
{
    uint64_t then = kin__os_now_ns() + ns;
    return (struct timespec){.tv_sec = (time_t)(then / 1000000000), .tv_nsec = (long)(then % 1000000000)};
}

bool kin__os_timeout_ok(double timeout)
{
    return timeout >= 0; /* false for NaN too */
}
