/*
 * kin/connection.h - messages between two ends: pipes, and connections that come of listeners (kin/listener.h).
 *
 * A connection moves whole messages, in the order in which they were sent. It stands on a socket, so the kernel
 * knows who has it: when the last process that has one end closes it or dies, however it dies, the other end is told.
 *
 * Messages  Bytes, of any size up to KIN_MESSAGE_MAX; 0 bytes are a message too.
 * Python    Pipe is kin_pipe; send_bytes, recv_bytes and recv_bytes_into are kin_connection_send and _recv.
 *           Connections of kin/listener.h speak the protocol of Python's multiprocessing.connection, byte for byte,
 *           and so do those that kin_connection_from_fd makes of stream sockets. Objects go as bytes: see kin/pack.h.
 * Children  By fork a child has all connections of its parent. By spawn and forkserver it has those whose pointers
 *           lie in its argument (in the bytes that are copied, or in the block that is passed, not what these point
 *           to), or in .connections of its options. There they have the same addresses. Each process closes what it
 *           does not use: the other end is told only when nobody has this one any more, as with all pipes. A message
 *           that a call has looked at and left (KIN_ETOOLARGE, KIN_EINVAL) stays with the process that did.
 *           To a process that runs already a connection is sent: kin_connection_send_connection. The pointer alone
 *           means nothing there.
 * Death     A message is received whole or not at all. Through a pipe that is so whoever uses its ends, several
 *           processes at the same one too, and whoever is killed in the middle: the kernel takes each as one piece.
 *           Connections of kin/listener.h are streams: two processes must not send, or receive, at the same end of
 *           one at a time; who is killed in the middle of a large message ends the connection, and the other side is
 *           told (KIN_EDIED).
 * Threads   Any thread may call anything at any time; kin_connection_close says KIN_EBUSY while others are in a call.
 *           One that is cancelled in a call (pthread_cancel) ends once the call has: nothing is left half done or held.
 * Signals   A handler that runs meanwhile does not end a wait. SIGPIPE is not raised.
 */
#ifndef KIN_CONNECTION_H
#define KIN_CONNECTION_H

#include "kin/api.h"
#include "kin/queue.h"

KIN_BEGIN

typedef struct kin_connection kin_connection;

/*
 * Two ends connected to each other, in ends[0] and ends[1]. Not duplex: the first only receives, the second only
 * sends. KIN_ENOINIT, KIN_ESYSTEM (too many descriptors), KIN_ENOMEM, KIN_ELIMIT (a process has 16,384 connections
 * at most).
 */
KIN_API int kin_pipe(kin_connection *ends[2], bool duplex) KIN_CHECKED;

/*
 * A connection on a stream socket that the program has connected: the descriptor is the connection's from then on.
 * Its other side speaks the protocol of Python's multiprocessing.connection. NULL: KIN_EINVAL, it is no such socket,
 * and still the caller's.
 */
KIN_API kin_connection *kin_connection_from_fd(int fd) KIN_CHECKED;

/*
 * Close this process's own. KIN_EBUSY: another thread is in a call of it, and it is still there. NULL does nothing.
 * What was sent can still be received by the other end, which then is told that there is no more.
 */
KIN_API int kin_connection_close(kin_connection *connection);

/*
 * Send a copy of `size` bytes. It waits for room: how much is under way at a time is up to the kernel (some 200
 * KiB). 0; KIN_ETIMEDOUT: there was none for `timeout` seconds; KIN_ECLOSED: the other end is closed; KIN_ETOOLARGE;
 * KIN_EPERM: this end only receives. Of a stream, a large message may be under way in part when the time is over:
 * then it is KIN_ETIMEDOUT too, and the connection is good for receiving only (KIN_ECLOSED).
 */
KIN_API int kin_connection_send(kin_connection *connection, const void *message, size_t size,
                                double timeout) KIN_CHECKED;

/*
 * Hand a block of the heap over: the first `size` bytes of it are the message. From then on it is its receiver's,
 * who gets it by kin_connection_take as it is, without a copy, whatever its size. If it fails the block is still the
 * caller's. Small blocks, and all that goes through streams, are copied and freed. KIN_ENOTSHARED: it is no memory
 * of the heap.
 */
KIN_API int kin_connection_give(kin_connection *connection, void *block, size_t size,
                                double timeout) KIN_CHECKED;

/*
 * Receive the next message into `buffer` of `capacity` bytes; its size goes to *size unless NULL. 0; KIN_ETIMEDOUT:
 * there was none (whole) in time, and nothing is lost; KIN_ECLOSED: the other end is closed, and there is none;
 * KIN_ETOOLARGE: it is larger than the buffer, *size tells how large, and it stays the next one here; KIN_EDIED: the
 * other side ended in the middle of it; KIN_EMISMATCH: what comes is no message, the other side speaks another
 * protocol; KIN_EPERM: this end only sends; KIN_EINVAL: what comes next is a descriptor or a connection, which stays.
 */
KIN_API int kin_connection_recv(kin_connection *connection, void *buffer, size_t capacity, size_t *size,
                                double timeout) KIN_CHECKED;

/*
 * The same without a limit to its size: out->data is a block of the heap, the caller's to kin_free. A large message
 * from a pipe is the sender's copy itself, without another one.
 */
KIN_API int kin_connection_take(kin_connection *connection, kin_message *out, double timeout) KIN_CHECKED;

/*
 * Send an open descriptor: the other side gets one of its own for the same file. And receive it, close-on-exec: 0; as
 * kin_connection_recv; KIN_EINVAL: what comes next is something else, which stays. KIN_ENOTSUP: TCP. Through a
 * stream it goes as Python's multiprocessing.reduction.send_handle and recv_handle do it: there nothing tells that a
 * descriptor comes, and both sides have to know it (KIN_EMISMATCH: what came was none).
 */
KIN_API int kin_connection_send_fd(kin_connection *connection, int fd, double timeout) KIN_CHECKED;
KIN_API int kin_connection_recv_fd(kin_connection *connection, int *fd, double timeout) KIN_CHECKED;

/*
 * Send a connection: the other side gets one of its own for the same end, the caller keeps its own until it closes
 * it. A pipe's ends go through pipes only (KIN_ENOTSUP), as they are of use within the family only. NULL: as
 * kin_connection_recv_fd.
 */
KIN_API int kin_connection_send_connection(kin_connection *connection, const kin_connection *sent,
                                           double timeout) KIN_CHECKED;
KIN_API kin_connection *kin_connection_recv_connection(kin_connection *connection,
                                                       double timeout) KIN_CHECKED;

/* Whether there is something to receive, or the end, within `timeout` seconds: 0; KIN_ETIMEDOUT. */
KIN_API int kin_connection_poll(kin_connection *connection, double timeout) KIN_CHECKED;

/*
 * For poll(2) and event loops: readable when kin_connection_poll would say so, but for a message that a call has
 * looked at and left (KIN_ETOOLARGE, KIN_EINVAL): receive that first. It belongs to the connection: do not close it.
 * -1: it is none.
 */
KIN_API int kin_connection_fd(const kin_connection *connection);

/* Which ways it goes. */
KIN_API bool kin_connection_readable(const kin_connection *connection);
KIN_API bool kin_connection_writable(const kin_connection *connection);

/* Who is at the other end, for messages: "pid 71, uid 1000", "tcp:10.0.0.7:41002". Cut to `size` bytes with the end;
 * `buffer` is returned. A pipe's other end may be with several, and others than at first: who made it is named. */
KIN_API char *kin_connection_peer(const kin_connection *connection, char *buffer, size_t size);

KIN_END_DECLS

#endif
