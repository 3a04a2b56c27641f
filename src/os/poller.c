/* os/poller.c - see poller.h. */
#include "os/poller.h"

#include "base/failure.h"
#include "os/os.h"

#include <errno.h>
#include <math.h>
#include <sys/epoll.h>

#define EVENTS_MOST 64u

int kin__os_poller_new(int *out)
{
    int fd = kin__os_high(epoll_create1(EPOLL_CLOEXEC));
    if (fd < 0)
        return kin__fail_errno(KIN_ESYSTEM, errno, "could not make an epoll descriptor");
    *out = fd;
    return 0;
}

static int control(int poller, int how, int fd, uint32_t tag, int out)
{
    struct epoll_event event = {.events = out ? EPOLLOUT : EPOLLIN, .data = {.u32 = tag}};
    if (epoll_ctl(poller, how, fd, &event) == 0)
        return 0;
    return kin__fail_errno(KIN_ESYSTEM, errno, "could not wait for descriptor %d", fd);
}

int kin__os_poller_add(int poller, int fd, uint32_t tag, int out)
{
    return control(poller, EPOLL_CTL_ADD, fd, tag, out);
}

int kin__os_poller_change(int poller, int fd, uint32_t tag, int out)
{
    return control(poller, EPOLL_CTL_MOD, fd, tag, out);
}

void kin__os_poller_remove(int poller, int fd)
{
    epoll_ctl(poller, EPOLL_CTL_DEL, fd, NULL);
}

int kin__os_poll_limit(double left)
{
    if (isinf(left))
        return -1;
    if (left > 1e6)
        return 1000000000;
    int whole = (int)(left * 1e3);
    return whole + (left * 1e3 > whole);
}

size_t kin__os_poller_wait(int poller, uint32_t *tags, size_t most, double deadline)
{
    struct epoll_event events[EVENTS_MOST];
    int count = epoll_wait(poller, events, (int)(most < EVENTS_MOST ? most : EVENTS_MOST),
                           kin__os_poll_limit(kin__os_left(deadline)));
    for (int i = 0; i < count; i++)
        tags[i] = events[i].data.u32;
    return count > 0 ? (size_t)count : 0;
}
