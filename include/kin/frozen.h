/*
 * kin/frozen.h - data that is put once, read by all in place, and written by nobody.
 *
 * What all workers read (a model, a mesh, a dictionary) lies in memory once, however many they are, and no mistake of one of them
 * can change it for the others: the memory is mapped read-only in every process of the family, from its first moment on. A write
 * there ends its writer by SIGSEGV (KIN_FAULT_FROZEN), and hits nobody. Strings and records by key: kin/table.h.
 *
 * Making   Either copy what is there (kin_frozen_copy), or get room, fill it in place, and seal it.
 * Pointers Frozen data may contain pointers: to places in itself as all will see it (kin_frozen_at), and into the heap.
 * Death    Sealed data belongs to the family: it lives until some member frees it. What a process had not sealed goes with it.
 * Threads  Any, except that one at a time fills, seals or drops a kin_frozen, in the process that made it.
 * Limits   Each takes whole units of 64 KiB, counts against the family's heap_limit, and lies in a quarter of the region that is kept
 *          for this. There may be 1,023 at a time.
 * Errors   NULL or a negative KIN_E code. KIN_ENOMEM; KIN_ELIMIT; KIN_EPERM (a sealed process, kin/process.h); KIN_ENOINIT.
 */
#ifndef KIN_FROZEN_H
#define KIN_FROZEN_H

#include "kin/api.h"

KIN_BEGIN

/* Data that is being made: a handle in private memory, of the process that called kin_frozen_new. */
typedef struct kin_frozen kin_frozen;

/* A frozen copy of `size` bytes: a pointer that all members can read, aligned to 64 KiB. NULL: an error; KIN_EINVAL for size 0. */
KIN_API const void *kin_frozen_copy(const void *data, size_t size) KIN_CHECKED;

/* Room for `size` bytes, zeroed, to be filled and sealed. NULL: an error; KIN_EINVAL for size 0. */
KIN_API kin_frozen *kin_frozen_new(size_t size) KIN_CHECKED;

/* Where this process fills it, until it is sealed; its children, forked meanwhile, have no part of it. NULL for NULL. */
KIN_API void *kin_frozen_buf(const kin_frozen *frozen);

/* Where all will find it: for pointers inside. The bytes are there from the beginning, and may be read. NULL for NULL. */
KIN_API const void *kin_frozen_at(const kin_frozen *frozen);

/* Done: kin_frozen_buf is gone, and so is the handle. Returns kin_frozen_at. NULL: KIN_EINVAL; KIN_EPERM, another process's. */
KIN_API const void *kin_frozen_seal(kin_frozen *frozen) KIN_CHECKED;

/* Give it up before it is sealed. NULL does nothing. */
KIN_API void kin_frozen_drop(kin_frozen *frozen);

/*
 * Free sealed data; NULL does nothing. As with kin_free, nobody may read it any more. What is none (freed before, the inside of
 * one) is left alone and reported: logged, and kept in kin_error_message().
 */
KIN_API void kin_frozen_free(const void *data);

/* The bytes of sealed data, by the pointer to its start; 0 if it is none. */
KIN_API size_t kin_frozen_size(const void *data);

KIN_END_DECLS

#endif
