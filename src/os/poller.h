/* os/poller.h - waiting for many descriptors at once, which stay registered (epoll). */
#ifndef KIN_OS_POLLER_H
#define KIN_OS_POLLER_H

#include <stddef.h>
#include <stdint.h>

/* Its descriptor, which is readable itself when one of those in it is ready; KIN_ESYSTEM. */
int kin__os_poller_new(int *out);

/* Tell `tag` when the descriptor can be read, or, with `out`, written. KIN_ESYSTEM. A descriptor must be removed before it is
 * closed: a copy of it in another process would keep it in. */
int kin__os_poller_add(int poller, int fd, uint32_t tag, int out);
int kin__os_poller_change(int poller, int fd, uint32_t tag, int out);
void kin__os_poller_remove(int poller, int fd);

/* The tags of up to `most` that are ready: how many; 0: none until the deadline, or a signal handler ran. */
size_t kin__os_poller_wait(int poller, uint32_t *tags, size_t most, double deadline);

/* What poll and epoll_wait take for `left` seconds: milliseconds, rounded up; -1 for no end. */
int kin__os_poll_limit(double left);

#endif
