/*
 * process/handle.h - what a process has by a descriptor, under an address that is the same in its children.
 *
 * A connection is a descriptor, and each process has its own descriptors; so it cannot lie in shared memory. A handle
 * lies in private memory, in an area of the same address in each member, below the region. By fork a child has it as
 * it has all else of its parent; by spawn and forkserver it is given a copy at the same place, and the descriptor with
 * it, if its argument names the handle. When a process ends, however it ends, the kernel closes what it had: nothing
 * is to be recovered.
 *
 * Places are handed out by a number of the family (kin__region.handles), so that one process's handle does not lie
 * where another process has one, until KIN__HANDLES of them were made: a pointer that went to a process which does not
 * have the handle is found out.
 *
 *   field    written by          rule
 *   ------   -----------------   ----------------------------------------------------------------------------------
 *   magic    who makes, frees    last when it is made; 0 before it is freed
 *   flags    who makes it        the kind's own; a child has the same
 *   fd       who makes it        -1: none
 *   users    any thread          calls under way; CLOSING is added by who frees it, when there are none
 *   next     under the mutex     list of those in use
 *   locks    any thread          for the kind; free again in a child after fork, whatever threads its parent had
 */
#ifndef KIN_PROCESS_HANDLE_H
#define KIN_PROCESS_HANDLE_H

#include "family/object.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KIN__HANDLES 16384u
#define KIN__HANDLE_SIZE 256u
#define KIN__HANDLES_AREA ((size_t)KIN__HANDLES * KIN__HANDLE_SIZE)

struct kin__handle {
    struct kin__object head;
    uint32_t flags;
    int32_t fd;
    _Atomic int32_t users;
    struct kin__handle *next;
    pthread_mutex_t locks[2];
};

/* A new handle, in use by the caller: who publishes it lets go of it. NULL: KIN_ENOINIT, KIN_ELIMIT, KIN_ENOMEM. */
struct kin__handle *kin__handle_new(int fd, uint32_t flags);
/* It is one from here on, and the caller lets go of it. */
void *kin__handle_publish(struct kin__handle *handle, enum kin__object_magic magic);

/* 0, and the caller uses it until kin__handle_leave; KIN_EINVAL, "cannot <what>: ...". */
int kin__handle_enter(const void *pointer, uint32_t magic, const char *what);
void kin__handle_leave(const void *pointer);

/* Forget it; the descriptor is the caller's to close, and goes to *fd. KIN_EBUSY: another thread uses it. By who uses it
 * itself; on errors it uses it still. */
int kin__handle_free(void *pointer, const char *what, int *fd);

/* Take one of its locks; false: not until the deadline. */
bool kin__handle_lock(struct kin__handle *handle, unsigned which, double deadline);

/* Whether it is a handle of that kind in this process. */
bool kin__handle_is(const void *pointer, uint32_t magic);
/* Whether an address lies where handles do, of this process or others. */
bool kin__handle_area_holds(const void *pointer);

/* Whether this process has any; where one lies among the places, and the reverse. */
bool kin__handles_any(void);
uint32_t kin__handle_place(const void *pointer);
void *kin__handle_at(uint32_t place);
/* One that comes from another process, at its place there. KIN_EBUSY: it is taken here. */
int kin__handle_put(uint32_t place, enum kin__object_magic magic, uint32_t flags, int fd);

/* A descriptor that lies here for a moment, on its way: a child that is forked meanwhile closes its copy. Until it is closed, or
 * forgotten as it is the user's now. */
void kin__passing_note(int fd);
void kin__passing_forget(int fd);
void kin__passing_close(int fd);

/* Around a fork. Between the first two no other thread of this process forks. */
void kin__handles_before_fork(void);
void kin__handles_after_fork(void);
void kin__handles_forked(void);

#endif
