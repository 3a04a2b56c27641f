/*
 * kin/shared_memory.h - shared memory by name, for strangers: programs of no common family.
 *
 * Members of a family have the heap (kin/heap.h). What lies here is bytes in a file of /dev/shm, under a name that any program
 * can attach to: SharedMemory of Python's multiprocessing does, and the reverse. It is mapped at another address in each
 * process: pointers in it are worth nothing, and objects of kin cannot lie in it. Needs no kin_init.
 *
 * Names    As in Python: up to 254 bytes, no "/" but at its beginning, which is the same name as without.
 * Size     Exactly as asked for, and there: memory is had when it is made, or attached to. Where /dev/shm or the machine
 *          is full that is an error then (KIN_ENOMEM), not a SIGBUS later.
 * Death    A name lives until it is unlinked; but one whose users have all closed it or died is swept: by the next kin
 *          program that starts, or that needs the name or the room. Users are told by locks on the file (fcntl(2), open file
 *          description locks) and, programs without kin, by whether the file is open (a lease). Swept is only
 *          what kin made, without `keep`, by the same user: such files have the sticky bit as a mark.
 * fork     A child has what its parent had attached, and counts as a user until it ends or execs. The handle is private
 *          memory: other processes attach by name.
 * Python   Before 3.13 (track=False) a Python program that attaches to a name unlinks it at its end, whoever made it:
 *          there, call multiprocessing.resource_tracker.unregister("/" + name, "shared_memory") after attaching.
 * Threads  Any, except in kin_shared_memory_close. One that is cancelled in a call (pthread_cancel) ends once the call has.
 * Errors   0 or a negative KIN_E code; constructors NULL. Nobody but the owner may truncate the file: that is SIGBUS for all.
 */
#ifndef KIN_SHARED_MEMORY_H
#define KIN_SHARED_MEMORY_H

#include "kin/api.h"

KIN_BEGIN

typedef struct kin_shared_memory kin_shared_memory;

typedef struct kin_shared_memory_options {
    size_t size;
    bool keep;     /* not swept: it stays until it is unlinked, or the machine stops */
    bool attach;   /* if the name is there, attach to it, whatever its size */
    unsigned mode; /* permissions of the file; 0: 0600, the same user's processes */
} kin_shared_memory_options;

#define KIN_SHARED_MEMORY_OPTIONS(...) \
    (&(kin_shared_memory_options){.size = sizeof(kin_shared_memory_options), ##__VA_ARGS__})

/*
 * Make `bytes` bytes, zeroed, under that name (NULL: one that nobody has) and attach to them. NULL:
 *
 * KIN_EBUSY   the name is taken, by users that live or by something that is not swept
 * KIN_EINVAL  a name that is none; 0 bytes; options
 * KIN_ENOMEM  /dev/shm, the machine, or a limit of this process has not so much
 * KIN_ESYSTEM there is no /dev/shm, or this process may not write there
 */
KIN_API kin_shared_memory *kin_shared_memory_create(const char *name, size_t bytes,
                                                    const kin_shared_memory_options *options) KIN_CHECKED;

/* Attach to what is there under that name. NULL: KIN_ENOTFOUND; KIN_EPERM; KIN_EINVAL; KIN_ENOMEM. */
KIN_API kin_shared_memory *kin_shared_memory_attach(const char *name) KIN_CHECKED;

/* Where it lies in this process; its bytes; its name, without "/"; whether this call made it. NULL: NULL, 0, NULL, false. */
KIN_API void *kin_shared_memory_buf(const kin_shared_memory *memory);
KIN_API size_t kin_shared_memory_size(const kin_shared_memory *memory);
KIN_API const char *kin_shared_memory_name(const kin_shared_memory *memory);
KIN_API bool kin_shared_memory_is_new(const kin_shared_memory *memory);

/* Detach, and free the handle; the name stays. NULL does nothing. */
KIN_API void kin_shared_memory_close(kin_shared_memory *memory);

/* Take the name away; who is attached stays so. KIN_ENOTFOUND: there is none; KIN_EPERM; KIN_EINVAL. */
KIN_API int kin_shared_memory_unlink(const char *name);

/* Sweep now. How many names that were goes to *swept (unless NULL). */
KIN_API int kin_shared_memory_sweep(size_t *swept);

KIN_END_DECLS

#endif
