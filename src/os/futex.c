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

int kin__os_futex_wake(const _Atomic uint32_t *word, int count)
{
    kin__os_count_call();
    return (int)syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
}
