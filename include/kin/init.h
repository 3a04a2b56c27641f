/*
 * kin/init.h - joining the family.
 *
 * A family is the first process that calls kin_init and all its descendants. They share one region
 * of memory, mapped at the same address in each (kin/heap.h).
 *
 * KIN_CHECK=heap,pointers in the founder's environment makes the family look for mistakes: blocks of the
 * heap misused (kin/heap.h); private pointers in arguments of processes and in what maps work on, which
 * other processes see an old copy of, or nothing (logged as warnings).
 *
 * kin_init stands first in main. In a child of the spawn method it runs that child and never
 * returns, so what stands before it (and constructors) runs in every spawned child, and once only
 * under fork; under forkserver once more, in the template (kin/start_method.h).
 */
#ifndef KIN_INIT_H
#define KIN_INIT_H

#include "kin/api.h"

KIN_BEGIN

typedef struct kin_init_options {
    size_t size;
    size_t heap_limit;  /* bytes of shared memory the family may use; 0: KIN_HEAP_LIMIT in the
                           environment (bytes, or with K, M, G), else half of what is free or allowed */
    size_t region_size; /* bytes of address space to reserve; 0: KIN_REGION_SIZE, else 1 TiB or the
                           largest size that fits the process's limits */
    int start_method;   /* enum kin_start_method: the default for processes and pools */
} kin_init_options;

#define KIN_INIT_OPTIONS(...) (&(kin_init_options){.size = sizeof(kin_init_options), ##__VA_ARGS__})

/*
 * Make this process the founder of a family; in a spawned child, join the parent's and run.
 * A second call does nothing and returns 0. kin_init(NULL, NULL) will do for libraries and plug-ins.
 *
 * KIN_EINVAL     an option, or a variable in the environment, that cannot be understood
 * KIN_ENOMEM     no address space for the region, even of the smallest size
 * KIN_EMISMATCH  a spawned child runs another libkin or another program than its parent
 * KIN_ESYSTEM    a system call failed
 */
KIN_API int kin_init(int *argc, char ***argv) KIN_CHECKED;

/* The same with options, which count in the founder only. */
KIN_API int kin_init_with(int *argc, char ***argv, const kin_init_options *options) KIN_CHECKED;

/* "major.minor.patch" of the library in use. Needs no kin_init. */
KIN_API const char *kin_version(void);

KIN_END_DECLS

#endif
