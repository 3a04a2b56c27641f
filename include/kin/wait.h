/*
 * kin/wait.h - waiting for several things at once: connections, listeners, queues, processes, results, descriptors.
 *
 *     kin_waitable for_what[] = {{.object = queue}, {.object = worker}, {.fd = STDIN_FILENO}};
 *     size_t ready;
 *     if (kin_wait(for_what, 3, &ready, 10) == 0 && for_what[0].ready) ...
 *
 *     object           ready when
 *     --------------   -------------------------------------------------------------------------
 *     kin_connection   there is something to receive, or its end; with .write: something can be sent
 *     kin_listener     kin_listener_accept may have something to do
 *     kin_queue        there is a message to get, or it is closed
 *     kin_process      it has ended
 *     kin_result       it is finished, or never will be as its pool's maker has ended (a task that waits for one which has
 *                      not begun runs it itself, as in kin_result_wait)
 *     NULL             the descriptor .fd can be read, or is at its end; with .write: can be written. So pools can
 *                      be waited for by their descriptors, and whatever else has one
 *
 * That something is ready is true at that moment; another thread or process may be faster, so what follows is best
 * called with a timeout of 0. Nothing is taken from what is waited for.
 *
 * Python    multiprocessing.connection.wait, for more than connections, sockets and sentinels.
 * Death     A process that dies makes its own kin_process ready, and the other ends of its connections. A message
 *           that a queue's producer has put is noticed within 0.1 seconds even if it was killed before it could wake
 *           anybody.
 * Ends      A queue that is waited for is in use: to free it is KIN_EBUSY, if it is the first of the queues among the items.
 *           Another one that is freed meanwhile counts as ready.
 * Sealed    In a sealed process (kin/process.h) to wait for a queue is KIN_EPERM.
 * Threads   Any thread may wait for anything. While it waits for queues and descriptors at once, a thread of kin's
 *           stands by it, with all signals blocked. One that is cancelled meanwhile (pthread_cancel) ends once the wait has.
 * Signals   A handler that runs meanwhile does not end a wait.
 */
#ifndef KIN_WAIT_H
#define KIN_WAIT_H

#include "kin/api.h"

KIN_BEGIN

typedef struct kin_waitable {
    const void *object; /* NULL: fd */
    int fd;
    bool write; /* until it can be written, not read */
    bool ready; /* out */
} kin_waitable;

/*
 * Wait until one is ready, up to `timeout` seconds; which are, the items tell, and how many goes to *ready (unless
 * NULL). 0; KIN_ETIMEDOUT: none. KIN_EINVAL: an item is none of these, or `items` is NULL with a count; with nothing
 * to wait for it is KIN_ETIMEDOUT when the time is over. KIN_EPERM: a connection does not go that way. KIN_ENOMEM,
 * KIN_ESYSTEM.
 */
KIN_API int kin_wait(kin_waitable *items, size_t count, size_t *ready, double timeout) KIN_CHECKED;

KIN_END_DECLS

#endif
