/* base/in_child.h - for code that every forked child runs. */
#ifndef KIN_BASE_IN_CHILD_H
#define KIN_BASE_IN_CHILD_H

#include <pthread.h>

/*
 * A child has its parent's text, but no page tables for it: each 64 KiB of it that the child touches first is a page fault,
 * about 1 us. The linker puts these functions together, instead of where they happen to lie.
 */
#define KIN__IN_CHILD __attribute__((hot))

/*
 * In a child of a fork: a mutex that one of the parent's other threads may have held. One that was free is all zero, in glibc, and
 * is not written to: that would be a page to fault in and to copy.
 */
static inline void kin__mutex_forked(pthread_mutex_t *mutex)
{
    const unsigned long *word = (const unsigned long *)(const void *)mutex;
    unsigned long any = 0;
    for (size_t i = 0; i < sizeof *mutex / sizeof *word; i++)
        any |= word[i];
    if (any)
        *mutex = (pthread_mutex_t)
            PTHREAD_MUTEX_INITIALIZER; /* pthread_mutex_init would be a page of libc's text more */
}

#endif
