/* os/limits.c - what the kernel limits for a process: setrlimit(2). */
#include "os/os.h"

#include "base/failure.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>

static const struct {
    __rlimit_resource_t number;
    const char *name;
} resources[] = {
    [KIN__RESOURCE_DATA] = {RLIMIT_DATA, "private memory"},
    [KIN__RESOURCE_CPU] = {RLIMIT_CPU, "CPU time"},
    [KIN__RESOURCE_CORE] = {RLIMIT_CORE, "core dumps"},
    [KIN__RESOURCE_FILES] = {RLIMIT_NOFILE, "open files"},
};

uint64_t kin__os_limit_most(enum kin__resource resource)
{
    struct rlimit64 now;
    if (getrlimit64(resources[resource].number, &now) < 0 || now.rlim_max == RLIM64_INFINITY)
        return KIN__UNLIMITED;
    return now.rlim_max;
}

int kin__os_limit(enum kin__resource resource, uint64_t soft, uint64_t hard)
{
    struct rlimit64 limit;
    if (getrlimit64(resources[resource].number, &limit) < 0)
        return kin__fail_errno(KIN_ESYSTEM, errno, "could not read the limit of %s",
                               resources[resource].name);
    if (hard != KIN__UNLIMITED && hard < limit.rlim_max)
        limit.rlim_max = hard;
    if (soft != KIN__UNLIMITED)
        limit.rlim_cur = soft;
    if (limit.rlim_cur > limit.rlim_max)
        limit.rlim_cur = limit.rlim_max;
    if (setrlimit64(resources[resource].number, &limit) < 0)
        return kin__fail_errno(KIN_ESYSTEM, errno, "could not set the limit of %s to %llu, %llu at most",
                               resources[resource].name, (unsigned long long)limit.rlim_cur,
                               (unsigned long long)limit.rlim_max);
    return 0;
}

int kin__os_cpu_alarm(int signal, double seconds, bool again)
{
    timer_t timer;
    struct sigevent how = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = signal};
    struct itimerspec when = {.it_value.tv_sec = (time_t)seconds, .it_interval.tv_sec = again};
    when.it_value.tv_nsec = (long)((seconds - (double)when.it_value.tv_sec) * 1e9);
    if (when.it_value.tv_sec == 0 && when.it_value.tv_nsec == 0)
        when.it_value.tv_nsec = 1; /* zero would be no timer */
    if (timer_create(CLOCK_PROCESS_CPUTIME_ID, &how, &timer) < 0 || timer_settime(timer, 0, &when, NULL) < 0)
        return kin__fail_errno(KIN_ESYSTEM, errno, "could not set a timer of CPU time");
    return 0;
}
