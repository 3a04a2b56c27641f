/* sync/shared_memory.h - named memory that has something in it from the moment it has its name. */
#ifndef KIN_SYNC_SHARED_MEMORY_H
#define KIN_SYNC_SHARED_MEMORY_H

#include "kin/shared_memory.h"
#include "os/segment.h"

/* As kin_shared_memory_create. What is attached to instead is not filled. */
kin_shared_memory *kin__shared_memory_create(const char *name, size_t bytes,
                                             const kin_shared_memory_options *options, kin__segment_fill fill,
                                             const void *arg) KIN_CHECKED;

#endif
