/*
 * process/carried.h - handles (process/handle.h) that a child by spawn or forkserver is given.
 *
 * They are found by their addresses in its argument, and by the list in its options. Their descriptors reach a spawned child
 * under the numbers behind the region's, in order; a forkserver's through the socket that it has with who started it.
 *
 *   field            written by   rule                       when the writer dies there
 *   --------------   ----------   ------------------------   -------------------------------
 *   count, each      starter      before the child runs      the object goes with its starter
 */
#ifndef KIN_PROCESS_CARRIED_H
#define KIN_PROCESS_CARRIED_H

#include "process/handle.h"

#define KIN__CARRIED_MOST 250u
#define KIN__CARRIED_FROM 4 /* the first one's number in a spawned child */
#define KIN__NO_PLACE KIN__HANDLES

struct kin__carried_one {
    uint32_t place; /* of the handle; NO_PLACE: a bare descriptor */
    uint32_t magic, flags;
    int32_t fd; /* the starter's, while it starts */
};

struct kin__carried {
    uint32_t count;
    struct kin__carried_one each[];
};

/* What a start takes along; its handles are in use until kin__carrying_end. */
struct kin__carrying {
    uint32_t count;
    bool too_many;
    struct kin__carried_one each[KIN__CARRIED_MOST];
};

/* Those that aligned words among these bytes name. */
void kin__carrying_find(struct kin__carrying *carrying, const void *bytes, size_t size);
void kin__carrying_end(const struct kin__carrying *carrying);

static inline size_t kin__carried_size(uint32_t count)
{
    return count ? sizeof(struct kin__carried) + count * sizeof(struct kin__carried_one) : 0;
}

/* Copies of their descriptors, close-on-exec, under numbers that no child is to have. KIN_ESYSTEM. Under the fork's lock, until
 * they are closed: a fork meanwhile would have them. */
int kin__carried_copy(const struct kin__carried *carried, int copies[KIN__CARRIED_MOST]);

/* In the child: have them under the starter's addresses. KIN_EBUSY: a place is taken. */
int kin__carried_install(const struct kin__carried *carried, const int *fds);

#endif
