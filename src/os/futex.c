/* os/futex.c - sleeping on a word of shared memory. futex(2), without PRIVATE: other processes wake us. */
#include "os/os.h"

#include "kin/error.h"

#include <errno.h>
#include <linux/futex.h>
#include <math.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

_Atomic uint64_t kin__os_waiting_calls;

int kin__os_futex_wait(const _Atomic uint32_t *word, uint32_t seen, double timeout)
{
    struct timespec limit, *at = NULL;
    if (!isinf(timeout)) {
        if (timeout > 1e6)
            timeout = 1e6; /* callers look again; keeps tv_sec in range */
        limit.tv_sec = (time_t)timeout;
        limit.tv_nsec = (long)((timeout - (double)limit.tv_sec) * 1e9);
        at = &limit;
    }
    kin__os_count_call();
    if (syscall(SYS_futex, word, FUTEX_WAIT, seen, at, NULL, 0) == 0 || errno == EAGAIN)
        return 0;
    if (errno == ETIMEDOUT)
        return KIN_ETIMEDOUT;
    return errno == EINTR ? KIN_EINTR : 0;
}

/* linux/futex.h of 5.16 and later; Debian 12's has it, others may not. */
#define FUTEX_32_BITS 2u
struct wait_one {
    uint64_t seen;
    uint64_t word;
    uint32_t flags;
    uint32_t reserved;
};
#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

int kin__os_futex_wait_many(const _Atomic uint32_t *const *words, const uint32_t *seen, size_t count,
                            double timeout)
{
    struct wait_one each[KIN__OS_WORDS_MOST];
    struct timespec limit, *at = NULL;
    if (count == 1)
        return kin__os_futex_wait(words[0], seen[0], timeout);
    for (size_t i = 0; i < count; i++)
        each[i] = (struct wait_one){seen[i], (uintptr_t)words[i], FUTEX_32_BITS, 0};
    if (!isinf(timeout)) {
        double until = kin__os_now() + (timeout > 1e6 ? 1e6 : timeout);
        limit.tv_sec = (time_t)until;
        limit.tv_nsec = (long)((until - (double)limit.tv_sec) * 1e9);
        at = &limit;
    }
    kin__os_count_call();
    if (syscall(SYS_futex_waitv, each, (unsigned)count, 0u, at, CLOCK_MONOTONIC) >= 0 || errno == EAGAIN)
        return 0;
    if (errno == ENOSYS || errno == EPERM) /* the latter of old filters */
        return kin__os_futex_wait(words[0], seen[0], timeout < 1e-3 ? timeout : 1e-3);
    if (errno == ETIMEDOUT)
        return KIN_ETIMEDOUT;
    return errno == EINTR ? KIN_EINTR : 0;
}

int kin__os_futex_wake(const _Atomic uint32_t *word, int count)
{
    kin__os_count_call();
    return (int)syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
}
