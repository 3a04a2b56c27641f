/*
 * family/object.h - what every object in the heap begins with.
 *
 * The magic tells the kind, so that a stale, foreign or wrong pointer is an error and not a crash. It is stored last
 * when an object is made, and is zeroed first when it is freed.
 *
 *   field   written by   rule                          when the writer dies there
 *   -----   ----------   ---------------------------   -----------------------------------------
 *   magic   the maker    when all else is written      not an object yet, or no more: the block
 *           who frees    0, before the block is freed  may stay behind (kin/heap.h)
 */
#ifndef KIN_FAMILY_OBJECT_H
#define KIN_FAMILY_OBJECT_H

#include "family/region.h"

#include <stdatomic.h>
#include <stdint.h>

/* X(kind, magic, text) */
#define KIN__OBJECT_LIST(X)                  \
    X(PROCESS, 0x636f7270u, "process")       \
    X(POOL, 0x6c6f6f70u, "pool")             \
    X(LOCK, 0x6b636f6cu, "lock")             \
    X(RLOCK, 0x6b636c72u, "rlock")           \
    X(SEMAPHORE, 0x616d6573u, "semaphore")   \
    X(OWNED, 0x6e6e776fu, "semaphore")       \
    X(CONDITION, 0x646e6f63u, "condition")   \
    X(EVENT, 0x746e7665u, "event")           \
    X(BARRIER, 0x72726162u, "barrier")       \
    X(VALUE, 0x756c6176u, "value")           \
    X(ARRAY, 0x61727261u, "array")           \
    X(QUEUE, 0x65756575u, "queue")           \
    X(BROADCAST, 0x64637262u, "broadcast")   \
    X(READER, 0x64616572u, "reader")         \
    X(CONNECTION, 0x6e6e6f63u, "connection") \
    X(LISTENER, 0x6e74736cu, "listener")     \
    X(MANAGER, 0x67616e6du, "manager")       \
    X(PROXY, 0x786f7270u, "proxy")           \
    X(TABLE, 0x6c626174u, "table")           \
    X(RESULT, 0x746c7372u, "result")         \
    X(DICT, 0x74636964u, "dict")             \
    X(LIST, 0x7473696cu, "list")             \
    X(SET, 0x73746573u, "set")               \
    X(NAMESPACE, 0x73656d6eu, "namespace")

#define KIN__OBJECT_ENUM(kind, magic, text) KIN__##kind##_MAGIC = (magic),
enum kin__object_magic { KIN__OBJECT_LIST(KIN__OBJECT_ENUM) };
#undef KIN__OBJECT_ENUM

struct kin__object {
    _Atomic uint32_t magic;
};

/* "lock"; NULL: no kind of object. */
const char *kin__object_kind(uint32_t magic);

/* Sets the record: why `pointer` is not what it should be. KIN_EINVAL. */
int kin__object_refuse(const void *pointer, uint32_t magic, const char *what);

/* Of a pointer into the region. */
static inline bool kin__object_begins(const void *pointer, uint32_t magic)
{
    const struct kin__object *object = pointer;
    return ((uintptr_t)pointer & 15) == 0 &&
           atomic_load_explicit(&object->magic, memory_order_relaxed) == magic;
}

static inline bool kin__object_is(const void *pointer, uint32_t magic)
{
    return kin__region_holds(pointer) && kin__object_begins(pointer, magic);
}

/* 0, or KIN_EINVAL with the record set: "cannot <what>: ...". */
static inline int kin__object_check(const void *pointer, uint32_t magic, const char *what)
{
    return __builtin_expect(kin__object_is(pointer, magic), 1) ? 0 : kin__object_refuse(pointer, magic, what);
}

#endif
