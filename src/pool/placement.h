/*
 * pool/placement.h - which CPUs a pool's workers run on, and how many threads each may have.
 *
 * A pool has a budget of CPUs, what kin_cpu_count() says to its maker. Each worker gets an equal share, at least one, and is told so
 * by KIN_CPUS in its environment: kin_cpu_count() there says the share, so a pool within a task divides it on; what the worker starts
 * inherits it. Libraries with threads of their own are told the same in their ways.
 */
#ifndef KIN_POOL_PLACEMENT_H
#define KIN_POOL_PLACEMENT_H

#include "os/topology.h"
#include "pool/pool_shared.h"

/* Decide for a pool that is being made: pool->threads, and pool->pins (`threads` CPUs for each worker) if it pins. */
int kin__place_workers(kin_pool *pool, const kin_pool_options *options);

/* How many CPUs pools that are made here share among their workers: in a task that a thread runs, that thread's share. */
int kin__place_budget(void);

/* In the maker, by the thread that is about to start a worker. */
void kin__place_before_start(const kin_pool *pool);

/* In a worker that has just begun. */
int kin__place_myself(const kin_pool *pool, int worker);

/* The order of CPUs for workers of `threads` each; for tests. `cpus` are sorted as by kin__os_topology; `order` has room for
 * count / threads (at least 1) groups of `threads`. How many groups there are. */
size_t kin__place_order(int pin, const struct kin__cpu *cpus, size_t count, size_t threads, int *order);

#endif
