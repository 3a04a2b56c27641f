/*
 * os/segment.h - named shared memory: files in /dev/shm, and who still uses them.
 *
 *   what of the file   changed by          rule                                  when the writer dies there
 *   ----------------   -----------------   -----------------------------------   -------------------------------
 *   name               who makes it        one link(2), when all else is done    not there, or whole
 *                      who unlinks         under NAMING, of the file that was    gone, or there: swept later
 *                                          locked
 *   sticky bit         who makes it        before the name: may be swept         the file has no name yet
 *   lock on USERS      each user           shared, for as long as it is open     the kernel lets go of it
 *
 *   N1  a file under its name has its full size, memory for it, and what its maker wanted in it
 *   N2  only who holds NAMING of a file takes its name away, after a look that the name is still this file's; so none takes
 *       away another's (other programs may, by unlink(2))
 *   N3  swept is what nobody holds USERS of, and nobody else has open: told by a write lease, which the kernel gives to
 *       the only one that has the file open. Who attaches locks USERS, then looks whether the file still has its name
 *
 * All locks are tried, never waited for: their holder may be stopped.
 */
#ifndef KIN_OS_SEGMENT_H
#define KIN_OS_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>

#define KIN__SEGMENT_NAME_MAX 254u

struct kin__segment {
    int fd; /* holds the lock */
    void *at;
    size_t size;
};

/* Writes what is to lie in it when it gets its name, to zeros; NULL: those stay. */
typedef void (*kin__segment_fill)(void *at, const void *arg);

/* KIN_EBUSY: the name is taken. Names are checked already. */
int kin__segment_create(const char *name, size_t size, unsigned mode, bool keep, kin__segment_fill fill,
                        const void *arg, struct kin__segment *out);
int kin__segment_attach(const char *name, struct kin__segment *out);
void kin__segment_close(const struct kin__segment *segment);
int kin__segment_unlink(const char *name);

/* All names that nobody uses any more. How many those were. No record is set. */
size_t kin__segments_sweep(void);

#endif
