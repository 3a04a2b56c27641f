/* sync/describe.h - what a description tells of each kind of object (kin/describe.h). Reads only, takes no lock. */
#ifndef KIN_SYNC_DESCRIBE_H
#define KIN_SYNC_DESCRIBE_H

#include "family/object.h"

struct kin__description {
    char name[32];
    char how[120]; /* "": nothing is told */
};

typedef void (*kin__describe_fn)(const void *object, struct kin__description *out);

/* For objects of upper floors; by a constructor. */
void kin__describe_register(uint32_t magic, kin__describe_fn describe);

#endif
