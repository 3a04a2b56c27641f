/*
 * sync/typed.h - what a value and an array are: items of one type, and the lock that guards them.
 *
 *   field        written by        rule                              when the writer dies there
 *   ----------   ---------------   -------------------------------   ------------------------------------------
 *   own          see mutex.h
 *   data         who has the       items of 1, 2, 4, 8 bytes by      as stored; larger ones and slices half
 *                lock; anybody,    one store each                    copied: the lock's next owner is told
 *                without a lock
 *   all others   the maker         before the magic                  not an object yet
 *
 *   V1  mutex is NULL, or &own, or one that was given and outlives it
 */
#ifndef KIN_SYNC_TYPED_H
#define KIN_SYNC_TYPED_H

#include "kin/value.h"
#include "sync/mutex.h"

struct kin__typed {
    struct kin__sync sync;
    struct kin__mutex *mutex;
    uint64_t bytes; /* of one item */
    uint64_t count;
    double timeout;
    int32_t type;
    _Alignas(16) struct kin__mutex own; /* an object itself, so aligned as one */
    _Alignas(64) unsigned char data[];
};

struct kin__typed *kin__typed_new(enum kin__object_magic magic, int type, size_t bytes, size_t count,
                                  const void *initial, const kin_value_options *options);
int kin__typed_free(struct kin__typed *typed);
void *kin__typed_lock(struct kin__typed *typed);
int kin__typed_acquire(struct kin__typed *typed, double timeout);
int kin__typed_release(struct kin__typed *typed);

/* Under the lock, if there is one: `bytes` bytes from an item on, which are there. 0, KIN_EOWNERDIED: done. */
int kin__typed_read(struct kin__typed *typed, size_t index, void *out, size_t bytes);
int kin__typed_write(struct kin__typed *typed, size_t index, const void *from, size_t bytes);
int kin__typed_add(struct kin__typed *typed, size_t index, int64_t delta, int64_t *before);
int kin__typed_add_double(struct kin__typed *typed, size_t index, double delta, double *before);

/* The same for a call that changes them: KIN_EPERM in a sealed process. */
int kin__typed_begin_change(struct kin__typed *typed, int *told);

/* Around something else that is done with the items. *told: 0 or KIN_EOWNERDIED, which is what end returns. */
int kin__typed_begin(struct kin__typed *typed, int *told);
int kin__typed_end(struct kin__typed *typed, int told);

#endif
