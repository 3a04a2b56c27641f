/*
 * kin/queue.h - queues between processes and threads, first in, first out.
 *
 * A queue lies in the heap: its pointer is valid in every member of the family under every start method, may be
 * inherited, passed as an argument, kept in shared structures and put through a queue. There is no feeder thread:
 * when put returns, the message is in the queue, and errors reach the caller.
 *
 * Messages  Bytes, up to KIN_MESSAGE_MAX of them; 0 bytes are a message too. put copies them in, get copies them
 *           out: up to 32 KiB through the queue's ring, larger ones in a block of the heap. give and take hand over:
 *           a block, or an arena with all that is in it, whatever its size, without copying. All four pairs of
 *           put or give with get or take work, but for arenas, which are only taken.
 * Python    Queue(maxsize) is kin_queue_new with .maxsize, JoinableQueue one with .joinable, SimpleQueue one without
 *           options: they are one type here. put_nowait and get_nowait are put and get with a timeout of 0. cancel_join_thread
 *           and join_thread have nothing to do.
 * Order     What one thread has put is got in that order. Sleeping consumers are woken one by one.
 * Death     A member may be killed at any instruction of any call: nobody hangs, nothing is torn, no message is got
 *           twice. A message is lost only in the hands of who died while it got it; one that was being put is in
 *           the queue whole, or not at all. Messages in the queue stay when their producer dies. A member that is
 *           stopped (SIGSTOP) in the middle of a put or get, or in the heap, delays others until their timeouts, by 0.1 s at
 *           least. Calls that take no timeout wait for it for 10 s, then they say KIN_ETIMEDOUT, and have done nothing. Without
 *           end, while one is stopped in the heap, wait: a thread's very first call; large messages of a process that has a
 *           limit of its heap; take and task_done of a queue that delivers again; and who was past its look at the heap's lock.
 * Taken     A block that was taken is like one of kin_malloc: it belongs to the family, and stays in the heap if its taker dies
 *           before it has freed it. Where consumers may die, give arenas: they go with their taker.
 * Sealed    A sealed process (kin/process.h) can ask how a queue is; all other calls are KIN_EPERM.
 * Signals   A handler that runs meanwhile does not end a wait.
 * Threads   Any thread of any member may call anything at any time, but for kin_queue_free.
 */
#ifndef KIN_QUEUE_H
#define KIN_QUEUE_H

#include "kin/api.h"
#include "kin/arena.h"
#include "kin/process.h"

KIN_BEGIN

typedef struct kin_queue kin_queue;

#define KIN_MESSAGE_MAX ((size_t)1 << 40) /* bytes; the heap's limit is met before */

typedef struct kin_queue_options {
    size_t size;
    size_t maxsize; /* messages; put waits when there are so many. 0: as many as the heap holds */
    bool joinable;  /* count messages until kin_queue_task_done: see there */
    int producers; /* how many members will put: when so many are done (kin_queue_done) or dead, the queue closes
                       by itself. 0: it does not */
    const char *name; /* copied, up to 23 bytes, for messages and reports; NULL: "" */
    bool redeliver;   /* joinable, and what a dead consumer had got and not finished is delivered again */
} kin_queue_options;

#define KIN_QUEUE_OPTIONS(...) (&(kin_queue_options){.size = sizeof(kin_queue_options), ##__VA_ARGS__})

/* An empty queue, which belongs to the family until it is freed. NULL: KIN_EINVAL, KIN_ENOINIT, KIN_ENOMEM. */
KIN_API kin_queue *kin_queue_new(const kin_queue_options *options) KIN_CHECKED;

/*
 * Free it and all that is in it: KIN_EBUSY, and nothing happens, if somebody waits in a call of it, or is in one and does not come
 * back within 0.1 s: so who has got the last message may free the queue, though its put has not returned yet. The
 * caller sees to it that nobody uses it afterwards; such a call fails with KIN_EINVAL as long as the memory is not used
 * again. NULL does nothing.
 */
KIN_API int kin_queue_free(kin_queue *queue);

/*
 * Copy a message in. 0; KIN_ETIMEDOUT: it was full for `timeout` seconds (0: do not wait); KIN_ECLOSED; KIN_ENOMEM: the
 * heap is full.
 */
KIN_API int kin_queue_put(kin_queue *queue, const void *message, size_t size, double timeout) KIN_CHECKED;

/*
 * Copy the next message out into `buffer` of `capacity` bytes; its size goes to *size unless NULL. 0; KIN_ETIMEDOUT: there
 * was none for `timeout` seconds; KIN_ECLOSED: there is none, and none will come; KIN_ETOOLARGE: it is larger than
 * the buffer, *size tells how large, and it stays in the queue; KIN_EINVAL: it is an arena, which stays too.
 */
KIN_API int kin_queue_get(kin_queue *queue, void *buffer, size_t capacity, size_t *size,
                          double timeout) KIN_CHECKED;

/*
 * `count` messages of `size` bytes each from an array, or into one: several at a time where there is room, so much faster
 * than one by one. Put waits until all are in; get waits for the first, then takes what is there, up to `count`.
 * How many it were goes to *done (unless NULL), on errors too. A message of another size ends a get before it; as the first it is
 * KIN_EINVAL.
 */
KIN_API int kin_queue_put_many(kin_queue *queue, const void *messages, size_t size, size_t count,
                               size_t *done, double timeout) KIN_CHECKED;
KIN_API int kin_queue_get_many(kin_queue *queue, void *messages, size_t size, size_t count, size_t *done,
                               double timeout) KIN_CHECKED;

/*
 * Hand a block of the heap over: `size` says how many bytes of it are the message. From then on it is the queue's, then its
 * taker's. If it fails the block is still the caller's. KIN_ENOTSHARED: it is no memory of the heap. An object of kin (a queue, a lock)
 * is no block: put its pointer, as bytes. That is not looked for, as its first bytes could be any program's data.
 */
KIN_API int kin_queue_give(kin_queue *queue, void *block, size_t size, double timeout) KIN_CHECKED;

/* Hand an arena over, with the pointer `root` into it for who takes it. If it fails the arena is still the caller's. */
KIN_API int kin_queue_give_arena(kin_queue *queue, kin_arena *arena, void *root, double timeout) KIN_CHECKED;

/* What was taken. */
typedef struct kin_message {
    void *data;       /* the block, the caller's to kin_free; or the root within the arena */
    size_t size;      /* bytes; 0 for an arena */
    kin_arena *arena; /* the caller's to free; NULL: a block */
} kin_message;

/* Take the next message without copying, if it is not a small one. As kin_queue_get, without a limit to its size. */
KIN_API int kin_queue_take(kin_queue *queue, kin_message *out, double timeout) KIN_CHECKED;

/* Nothing more can be put (KIN_ECLOSED); what is in the queue can still be got, then get says KIN_ECLOSED too. Repeatable. */
KIN_API int kin_queue_close(kin_queue *queue);

/* How it is at this moment; others may change it at the next. A NULL or wrong queue: 0 messages, empty, not full. */
KIN_API size_t kin_queue_size(const kin_queue *queue);
KIN_API bool kin_queue_empty(const kin_queue *queue);
KIN_API bool kin_queue_full(const kin_queue *queue);
KIN_API bool kin_queue_closed(const kin_queue *queue);

/*
 * Joinable queues. Each message that is put counts as unfinished until somebody says kin_queue_task_done for it
 * (once for each message; KIN_EINVAL if there were not so many). kin_queue_join waits until none is: 0; KIN_ETIMEDOUT;
 * KIN_ELOST: all that are left unfinished had been got by members that died, and *lost (unless NULL) tells how many; they count as
 * finished from then on. Another member than the one that got a message may say that it is done, even if that one is dead:
 * until a join has told that it is lost.
 */
KIN_API int kin_queue_task_done(kin_queue *queue);
KIN_API int kin_queue_join(kin_queue *queue, size_t *lost, double timeout) KIN_CHECKED;

/*
 * Queues with .redeliver. A message that was got is kept until it is done. Each kin_queue_task_done finishes the oldest that the
 * calling thread has got and not finished; if there is none, the oldest that its process has (KIN_EINVAL: none). When a
 * thread or process ends with some unfinished, others get them before all that is new, in the order in which they were put; so a
 * message may be delivered more than once, and never to two that live. kin_queue_get says KIN_ECLOSED only when all is done but what
 * the caller itself has. kin_queue_join waits until all is done, and never says KIN_ELOST. The message itself is kept until
 * it is done, so what is taken is a copy, the caller's to free; but an arena, which is lent: .data is its root, .arena is NULL, and what is
 * in it stays until kin_queue_task_done, and may have been changed by those who died over it. What is finished out of turn keeps its place in the ring until all before it is done.
 *
 * How often the message was delivered that the calling thread has got last and not finished: 1, or more if others died over
 * it. 0: it has none.
 */
KIN_API unsigned kin_queue_deliveries(kin_queue *queue);

/*
 * Queues with .producers: the calling member will put no more. A member counts as a producer from its first put on; one that
 * may die before can be named by who started it. When all .producers are done or dead, the queue closes.
 */
KIN_API int kin_queue_done(kin_queue *queue);
KIN_API int kin_queue_add_producer(kin_queue *queue, const kin_process *process);

KIN_END_DECLS

#endif
