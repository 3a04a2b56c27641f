/* process/limits.c - see limits.h. */
#include "process/limits.h"

#include "base/failure.h"
#include "family/thread.h"
#include "os/os.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#define LARGEST 0x1p62
#define CPU_TOLERANCE 0.02 /* seconds: /proc tells it in ticks */

/* ---- in the starter -------------------------------------------------------------------------- */

static uint64_t whole(double value)
{
    return (uint64_t)value;
}

static int check(const struct kin_limit *limit, const char *name, uint64_t most, const char *what)
{
    const double values[] = {limit->soft, limit->hard};
    for (size_t i = 0; i < 2; i++) {
        const char *which = i ? "hard" : "soft";
        if (!(values[i] >= 0) || values[i] > LARGEST)
            return kin__fail(
                KIN_EINVAL,
                "cannot start %s with a %s limit of %g for %s: a positive number, 0 for none, or "
                "KIN_LIMIT_ZERO",
                what, which, values[i], name);
        if (most != KIN__UNLIMITED && values[i] > (double)most)
            return kin__fail(
                KIN_EINVAL,
                "cannot start %s with a %s limit of %g for %s: this process may have %llu at most", what,
                which, values[i], name, (unsigned long long)most);
    }
    if (limit->hard > 0 && limit->soft > limit->hard)
        return kin__fail(KIN_EINVAL,
                         "cannot start %s with a soft limit of %g for %s: it is above the hard one, %g", what,
                         limit->soft, name, limit->hard);
    return 0;
}

static bool given(const struct kin_limit *limit)
{
    return limit->soft != 0 || limit->hard != 0; /* true of NaN */
}

bool kin__limits_given(const kin_limits *limits)
{
    return given(&limits->memory) || given(&limits->heap) || given(&limits->cpu_time) ||
           given(&limits->wall_time) || given(&limits->core) || given(&limits->files);
}

int kin__limits_check(const kin_limits *limits, const char *what)
{
    if (!kin__limits_given(limits))
        return 0;
    int error = check(&limits->memory, "private memory", kin__os_limit_most(KIN__RESOURCE_DATA), what);
    if (!error)
        error = check(&limits->heap, "the heap", KIN__UNLIMITED, what);
    if (!error)
        error = check(&limits->cpu_time, "CPU time", kin__os_limit_most(KIN__RESOURCE_CPU), what);
    if (!error)
        error = check(&limits->wall_time, "wall time", KIN__UNLIMITED, what);
    if (!error)
        error = check(&limits->core, "core dumps", kin__os_limit_most(KIN__RESOURCE_CORE), what);
    if (!error)
        error = check(&limits->files, "open files", kin__os_limit_most(KIN__RESOURCE_FILES), what);
    return error;
}

/* ---- in the process -------------------------------------------------------------------------- */

/* What a program does when it gets no memory mostly kills it. Errno still tells then why the last allocation
 * failed: no success resets it; and the thread's record does it for the heap. */
static void note_refusal(struct kin__limited *limited, int error_number, int error_code)
{
    int32_t refused = KIN_LIMIT_NONE;
    if (error_code == KIN_EMEMLIMIT && limited->limits.heap.hard > 0)
        refused = KIN_LIMIT_HEAP;
    else if (error_number == ENOMEM && given(&limited->limits.memory))
        refused = KIN_LIMIT_MEMORY;
    atomic_store(&limited->refused, refused);
}

/* Where the kernel has soft and hard as a pair. */
static int set_pair(enum kin__resource resource, const struct kin_limit *limit, uint64_t base)
{
    if (!given(limit))
        return 0;
    uint64_t hard = limit->hard > 0 ? base + whole(limit->hard) : KIN__UNLIMITED;
    uint64_t soft = limit->soft > 0 ? base + whole(limit->soft) : hard;
    return kin__os_limit(resource, soft, hard);
}

/* RLIMIT_CPU counts whole seconds, and whole ticks for parts of them: it was up to 17 % early with both cores loaded, and
 * such an end cannot be told from other kills. So a timer, which is exact; but as exec drops it, the kernel's own is the
 * net below, far enough down. */
static uint64_t net(double seconds)
{
    uint64_t whole = seconds > 0 ? (uint64_t)seconds : 0;
    return seconds > 0 ? 2 * (whole + (seconds > (double)whole)) + 1 : KIN__UNLIMITED;
}

static int set_cpu_time(const struct kin_limit *limit)
{
    int error = kin__os_limit(KIN__RESOURCE_CPU, net(limit->soft), net(limit->hard));
    if (!error && limit->soft > 0)
        error = kin__os_cpu_alarm(SIGXCPU, limit->soft, true);
    if (!error && limit->hard > 0)
        error = kin__os_cpu_alarm(SIGKILL, limit->hard, false);
    return error;
}

int kin__limits_apply(struct kin__limited *limited)
{
    const kin_limits *limits = &limited->limits;
    errno = 0; /* what it says at the end is then the program's doing */
    if (given(&limits->heap))
        kin__member_set_quota(limits->heap.soft > 0 ? whole(limits->heap.soft) : SIZE_MAX,
                              limits->heap.hard > 0 ? whole(limits->heap.hard) : SIZE_MAX);
    int error = set_pair(KIN__RESOURCE_CORE, &limits->core, 0);
    if (!error)
        error = set_pair(KIN__RESOURCE_FILES, &limits->files, 0);
    if (!error && given(&limits->cpu_time))
        error = set_cpu_time(&limits->cpu_time);
    if (!error && given(&limits->memory)) /* last: it counts from here */
        error = set_pair(KIN__RESOURCE_DATA, &limits->memory, kin__os_private_data());
    return error;
}

void kin__limits_exiting(struct kin__limited *limited)
{
    note_refusal(limited, errno, kin_error_code());
}

void kin__limits_crashed(struct kin__limited *limited, int error_number, int error_code)
{
    note_refusal(limited, error_number, error_code);
}

/* ---- wall time ------------------------------------------------------------------------------- */

int kin__limits_due(struct kin__limited *limited, double age, double *next)
{
    const struct kin_limit *wall = &limited->limits.wall_time;
    uint32_t sent = atomic_load(&limited->signals);
    int signal = 0;
    *next = 0;
    if (wall->hard > 0 && age >= wall->hard) {
        atomic_store(&limited->signals, KIN__SENT_KILL);
        return SIGKILL;
    }
    if (wall->soft > 0 && age >= wall->soft && sent == KIN__SENT_NONE) {
        atomic_store(&limited->signals, KIN__SENT_TERM);
        signal = SIGTERM;
    } else if (wall->soft > 0 && sent == KIN__SENT_NONE) {
        *next = wall->soft;
    }
    if (wall->hard > 0 && *next == 0)
        *next = wall->hard;
    return signal;
}

/* ---- after the end --------------------------------------------------------------------------- */

static bool by_wall_time(const struct kin__limited *limited, const kin_end *end)
{
    uint32_t sent = atomic_load(&limited->signals);
    if (sent == KIN__SENT_NONE)
        return false;
    return end->how != KIN_END_SIGNALED || end->signal == SIGTERM ||
           (end->signal == SIGKILL && sent == KIN__SENT_KILL);
}

static bool by_cpu_time(const struct kin__limited *limited, const kin_end *end)
{
    const struct kin_limit *cpu = &limited->limits.cpu_time;
    if (end->how != KIN_END_SIGNALED || !given(cpu))
        return false;
    return end->signal == SIGXCPU ||
           (end->signal == SIGKILL && cpu->hard > 0 && limited->cpu_used >= cpu->hard - CPU_TOLERANCE);
}

enum kin_limit_kind kin__limits_blame(const struct kin__limited *limited, const kin_end *end)
{
    if (!limited || (end->how == KIN_END_EXITED && end->exit_code == 0))
        return KIN_LIMIT_NONE;
    if (by_wall_time(limited, end))
        return KIN_LIMIT_WALL_TIME;
    if (by_cpu_time(limited, end))
        return KIN_LIMIT_CPU_TIME;
    return (enum kin_limit_kind)atomic_load(&limited->refused);
}

static double reached(const struct kin_limit *limit, bool hard)
{
    return (hard && limit->hard > 0) || limit->soft <= 0 ? limit->hard : limit->soft;
}

int kin__limits_story(const struct kin__limited *limited, const kin_end *end, char *text, size_t size)
{
    *text = '\0';
    bool killed = end->how == KIN_END_SIGNALED && end->signal == SIGKILL;
    switch (end->limit) {
    case KIN_LIMIT_MEMORY:
        snprintf(text, size, ", after its limit of %.1f MiB of private memory had refused it some",
                 reached(&limited->limits.memory, false) / 0x1p20);
        return KIN_EMEMLIMIT;
    case KIN_LIMIT_HEAP:
        snprintf(text, size, ", after it had been refused memory of the heap (its limit there: %.1f MiB)",
                 limited->limits.heap.hard / 0x1p20);
        return KIN_EMEMLIMIT;
    case KIN_LIMIT_CPU_TIME:
        snprintf(text, size, ", at its limit of %g s of CPU time",
                 reached(&limited->limits.cpu_time, killed));
        return KIN_ETIMELIMIT;
    case KIN_LIMIT_WALL_TIME:
        snprintf(text, size, ", at its limit of %g s of wall time",
                 reached(&limited->limits.wall_time, killed));
        return KIN_ETIMELIMIT;
    default:
        return 0;
    }
}
