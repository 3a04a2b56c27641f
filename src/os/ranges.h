/* os/ranges.h - which addresses are this process's own, that is, other processes see a copy there or nothing. */
#ifndef KIN_OS_RANGES_H
#define KIN_OS_RANGES_H

#include <stddef.h>
#include <stdint.h>

enum kin__os_range_kind {
    KIN__OS_RANGE_STACK, /* the main thread's */
    KIN__OS_RANGE_HEAP,  /* malloc's, from brk */
    KIN__OS_RANGE_DATA,  /* variables of the program or a library */
    KIN__OS_RANGE_OTHER  /* large blocks of malloc, stacks of threads, ... */
};

struct kin__os_range {
    uintptr_t start, end;
    enum kin__os_range_kind kind;
    char file[40]; /* DATA: whose */
};

/* The private mappings that can be written, by address; *out is for free(). Their number; 0 if the kernel's list cannot be
 * read, or memory is short. */
size_t kin__os_private_ranges(struct kin__os_range **out);

#endif
