/* os/cpu.c - how many CPUs this process may use: its affinity, bounded by its cgroups' quotas. */
#include "os/os.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int by_affinity(void)
{
    for (int cpus = 1024; cpus <= 1 << 16; cpus *= 4) {
        size_t size = CPU_ALLOC_SIZE(cpus);
        cpu_set_t *set = CPU_ALLOC(cpus);
        if (!set)
            break;
        int count = sched_getaffinity(0, size, set) == 0 ? CPU_COUNT_S(size, set) : 0;
        CPU_FREE(set);
        if (count > 0)
            return count;
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

/* Two numbers, from one file ("quota period", cgroup v2) or from two (v1); false without a quota. */
static bool read_quota(const char *quota_path, const char *period_path, double *out)
{
    long long quota = 0, period = 0;
    FILE *file = fopen(quota_path, "re");
    if (!file)
        return false;
    int got = fscanf(file, "%lld %lld", &quota, &period);
    fclose(file);
    if (got == 1 && period_path) {
        file = fopen(period_path, "re");
        if (!file)
            return false;
        got += fscanf(file, "%lld", &period);
        fclose(file);
    }
    if (got != 2 || quota <= 0 || period <= 0)
        return false;
    *out = (double)quota / (double)period;
    return true;
}

/* The quota holds for a cgroup and all below it, so each level up to the root counts. */
static double least_quota(const char *root, char *path, const char *quota_name, const char *period_name)
{
    double least = -1;
    for (;;) {
        char quota[1024], period[1024];
        const char *below = strcmp(path, "/") == 0 ? "" : path;
        snprintf(quota, sizeof quota, "%s%s/%s", root, below, quota_name);
        snprintf(period, sizeof period, "%s%s/%s", root, below, period_name ? period_name : "");
        double here;
        if (read_quota(quota, period_name ? period : NULL, &here) && (least < 0 || here < least))
            least = here;
        char *slash = strrchr(path, '/');
        if (!slash || !*below)
            return least;
        *slash = '\0';
    }
}

static double by_quota(void)
{
    FILE *file = fopen("/proc/thread-self/cgroup", "re");
    if (!file)
        return -1;
    double least = -1;
    char line[512];
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = '\0';
        controllers++;
        double here = -1;
        if (*controllers == '\0')
            here = least_quota("/sys/fs/cgroup", path, "cpu.max", NULL);
        else if (strcmp(controllers, "cpu") == 0 || strstr(controllers, "cpu,"))
            here = least_quota("/sys/fs/cgroup/cpu", path, "cpu.cfs_quota_us", "cpu.cfs_period_us");
        if (here > 0 && (least < 0 || here < least))
            least = here;
    }
    fclose(file);
    return least;
}

static int stays;

void kin__os_cpu_count_stays(int count)
{
    stays = count;
}

int kin__os_cpu_count(void)
{
    if (stays)
        return stays;
    int count = by_affinity();
    double quota = by_quota();
    if (quota > 0 && quota < count) {
        int whole = (int)quota;
        count = quota > whole ? whole + 1 : whole;
    }
    return count < 1 ? 1 : count;
}
