/* pool/memory_limit.c - see memory_limit.h. */
#include "pool/memory_limit.h"

#include "family/thread.h"
#include "os/os.h"

#include <errno.h>

static size_t data_before; /* the soft limit that the worker has by itself */

void kin__memory_limit_begin(struct kin__seat *seat, size_t limit)
{
    if (limit == 0)
        return;
    errno = 0; /* what it says when a fatal signal comes is then this round's doing */
    data_before = kin__os_private_data_limit();
    if (seat->data_ready + limit < data_before)
        kin__os_limit_private_data(seat->data_ready + limit);
    kin__thread_set_quota(limit);
}

void kin__memory_limit_end(size_t limit)
{
    if (limit == 0)
        return;
    kin__thread_set_quota(SIZE_MAX);
    kin__os_limit_private_data(data_before);
}
