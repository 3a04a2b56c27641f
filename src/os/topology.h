/* os/topology.h - which CPUs lie near each other, and running on some of them only. */
#ifndef KIN_OS_TOPOLOGY_H
#define KIN_OS_TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>

/* Where a CPU lies: which package of the machine, which last-level cache of that package, which core of those that share the
 * cache, which thread of the core; each counted from 0 among those that are there. */
struct kin__cpu {
    int number, package, cache, core, thread;
};

/*
 * The CPUs of a list, sorted so that neighbours are near each other. `root` is /sys/devices/system/cpu, or a copy of it.
 * What it does not tell counts as the same for all. Sets the places from the numbers in `cpus`.
 */
void kin__os_topology(const char *root, struct kin__cpu *cpus, size_t count);
#define KIN__OS_TOPOLOGY "/sys/devices/system/cpu"

/* The CPUs that the calling thread may run on; how many there are, of which at most `room` are filled in. 0: unknown. */
size_t kin__os_cpus(struct kin__cpu *cpus, size_t room);

/* From here on the calling process, which has one thread, and what it starts runs on these only. KIN_EINVAL: not one of them can
 * be used; KIN_ESYSTEM. */
int kin__os_pin(const int *cpus, size_t count);

#endif
