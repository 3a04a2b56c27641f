/*
 * os/topology.c - see topology.h. Read from sysfs, which is where hwloc has it from on Linux: four small files a CPU, no library that
 * each fork would pay for, and no other opinion than the kernel's.
 */
#include "os/topology.h"

#include "base/failure.h"
#include "os/os.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CPUS_MAX 65536
#define CACHES_MAX 8
#define CACHES_LAST 3 /* the level that is looked for */

/* The first number of a file: "2-3,6" is a list whose first CPU is 2, which stands for all of it. */
static int first_number(const char *root, int cpu, const char *file)
{
    char path[300];
    int number = -1;
    snprintf(path, sizeof path, "%s/cpu%d/%s", root, cpu, file);
    FILE *stream = fopen(path, "re");
    if (!stream)
        return -1;
    if (fscanf(stream, "%d", &number) != 1)
        number = -1;
    fclose(stream);
    return number;
}

/* What stands for the last-level cache of a CPU: the first of those that share it; -1: it has none. */
static int cache_of(const char *root, int cpu)
{
    char file[64];
    for (int i = CACHES_MAX - 1; i >= 0; i--) {
        snprintf(file, sizeof file, "cache/index%d/level", i);
        if (first_number(root, cpu, file) != CACHES_LAST)
            continue;
        snprintf(file, sizeof file, "cache/index%d/shared_cpu_list", i);
        return first_number(root, cpu, file);
    }
    return -1;
}

static int core_of(const char *root, int cpu)
{
    int core = first_number(root, cpu, "topology/core_cpus_list");
    if (core < 0)
        core = first_number(root, cpu, "topology/thread_siblings_list"); /* its name before Linux 5.3 */
    return core < 0 ? cpu : core;
}

static int by_place(const void *left, const void *right)
{
    const struct kin__cpu *a = left, *b = right;
    int differ[] = {a->package - b->package, a->cache - b->cache, a->core - b->core, a->number - b->number};
    for (int i = 0; i < 4; i++)
        if (differ[i])
            return differ[i];
    return 0;
}

/* The system's numbers become ranks: that of the first group of a kind is 0, whatever it is called. */
static void rank(struct kin__cpu *cpus, size_t count)
{
    struct kin__cpu before = {0}, at = {0};
    for (size_t i = 0; i < count; i++) {
        struct kin__cpu here = cpus[i];
        if (i > 0) {
            bool package = here.package == before.package, cache = package && here.cache == before.cache;
            bool core = cache && here.core == before.core;
            at.thread = core ? at.thread + 1 : 0;
            at.core = core ? at.core : cache ? at.core + 1 : 0;
            at.cache = cache ? at.cache : package ? at.cache + 1 : 0;
            at.package += !package;
        }
        before = here;
        at.number = here.number;
        cpus[i] = at;
    }
}

void kin__os_topology(const char *root, struct kin__cpu *cpus, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        cpus[i].package = first_number(root, cpus[i].number, "topology/physical_package_id");
        cpus[i].cache = cache_of(root, cpus[i].number);
        cpus[i].core = core_of(root, cpus[i].number);
    }
    qsort(cpus, count, sizeof *cpus, by_place);
    rank(cpus, count);
}

size_t kin__os_cpus(struct kin__cpu *cpus, size_t room)
{
    size_t size = CPU_ALLOC_SIZE(CPUS_MAX), count = 0;
    cpu_set_t *set = CPU_ALLOC(CPUS_MAX);
    if (!set)
        return 0;
    if (sched_getaffinity(0, size, set) == 0)
        for (int cpu = 0; cpu < CPUS_MAX; cpu++)
            if (CPU_ISSET_S((size_t)cpu, size, set)) {
                if (count < room)
                    cpus[count] = (struct kin__cpu){.number = cpu};
                count++;
            }
    CPU_FREE(set);
    return count;
}

int kin__os_pin(const int *cpus, size_t count)
{
    size_t size = CPU_ALLOC_SIZE(CPUS_MAX);
    cpu_set_t *set = CPU_ALLOC(CPUS_MAX);
    if (!set)
        return kin__fail(KIN_ENOMEM, "could not pin a process to CPUs: out of private memory");
    CPU_ZERO_S(size, set);
    for (size_t i = 0; i < count; i++)
        if (cpus[i] >= 0 && cpus[i] < CPUS_MAX)
            CPU_SET_S((size_t)cpus[i], size, set);
    int all = kin__os_cpu_count();
    int error = sched_setaffinity(0, size, set) == 0 ? 0 : errno;
    CPU_FREE(set);
    if (error)
        return kin__fail_errno(error == EINVAL ? KIN_EINVAL : KIN_ESYSTEM, error,
                               "cannot pin a process to CPU %d", count ? cpus[0] : -1);
    kin__os_cpu_count_stays(all);
    return 0;
}
