/*
 * os/maps.h - what is mapped in a process, read in a way that a signal handler may use: raw system calls, the
 * caller's memory, no locks.
 */
#ifndef KIN_OS_MAPS_H
#define KIN_OS_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define KIN__MAP_NAME 512

struct kin__os_map {
    uintptr_t start, end;
    uint64_t offset; /* in the file */
    uint64_t inode;  /* 0: no file */
    int protection;  /* PROT_READ and its like */
    bool shared;
    bool cut;                 /* the name is longer */
    char name[KIN__MAP_NAME]; /* a file's path, "[stack]", "[heap]", or "" */
};

/* False: that was enough. */
typedef bool (*kin__os_map_fn)(const struct kin__os_map *map, void *arg);

/* Look at all of a process's maps, lowest first; pid 0: the calling process. False: they cannot be read. */
bool kin__os_maps_walk(pid_t pid, kin__os_map_fn look, void *arg);

#endif
