/*
 * kin/broadcast.h - one writer, many readers, and each reader gets every message.
 *
 * A broadcast lies in the heap, and so do its readers: their pointers are valid in every member of the family. What is
 * written is kept until each reader has read it, up to .capacity; a reader begins with the next message that is written
 * after it has joined.
 *
 * Messages  Bytes, up to KIN_MESSAGE_MAX. Small ones are copied through a ring, large ones lie in a block of the heap, which all
 *           readers read and which goes when the last of them has passed it. kin_broadcast_give hands a block over
 *           without copying; kin_reader_look reads without copying.
 * Slow      What becomes of a reader that has not read when room is needed is said by .slow: the writer waits for it; or the
 *           reader misses the oldest messages; or it is cut off.
 * Order     That in which they were written.
 * Writer    The member that writes first, or that kin_broadcast_set_writer names. For others a write is KIN_EPERM.
 * Death     A reader that dies, at any instruction, has left: it keeps nobody waiting and nothing of the heap. When the
 *           writer dies, or closes the broadcast, readers get what was written, whole, and then KIN_ECLOSED. A member that
 *           is stopped (SIGSTOP) in the middle of a write or a join, or in the heap, delays others that write or join until their
 *           timeouts, kin_broadcast_close for 10 s (KIN_ETIMEDOUT); a stopped reader is a slow one.
 * Sealed    In a sealed process (kin/process.h) all is KIN_EPERM, but for kin_broadcast_readers and kin_reader_lost.
 * Threads   Any thread of any member may call anything at any time, but kin_broadcast_free; and a reader is used
 *           by one thread at a time, of the member that joined (others: KIN_EPERM).
 * Cost      A read takes no lock and changes nothing that other readers use.
 */
#ifndef KIN_BROADCAST_H
#define KIN_BROADCAST_H

#include "kin/api.h"
#include "kin/process.h"

KIN_BEGIN

typedef struct kin_broadcast kin_broadcast;
typedef struct kin_reader kin_reader;

typedef enum kin_slow {
    KIN_SLOW_WAIT, /* a write waits for the slowest reader, up to its timeout */
    KIN_SLOW_DROP, /* the reader misses the oldest: its next read is KIN_ELOST, once, and kin_reader_lost tells how many */
    KIN_SLOW_CUT /* the reader is cut off: all its reads are KIN_ELOST from then on; it may leave, and join anew */
} kin_slow;

typedef struct kin_broadcast_options {
    size_t size;
    /* Bytes of messages that are kept for slow readers; 0: 1 MiB. Those of up to 32 KiB and an eighth of the ring lie, with 16
     * bytes each for their heads, in a ring of the next power of two, of at most 16 MiB; larger ones, and what is given, count for
     * themselves: one larger than capacity is kept alone. */
    size_t capacity;
    int readers; /* the most at a time; 0: 64 */
    kin_slow slow;
    const char *name; /* copied, up to 23 bytes, for messages and reports; NULL: "" */
} kin_broadcast_options;

#define KIN_BROADCAST_OPTIONS(...) \
    (&(kin_broadcast_options){.size = sizeof(kin_broadcast_options), ##__VA_ARGS__})

/* It belongs to the family until it is freed. NULL: KIN_EINVAL, KIN_ENOINIT, KIN_ENOMEM. */
KIN_API kin_broadcast *kin_broadcast_new(const kin_broadcast_options *options) KIN_CHECKED;

/*
 * Free it, and all messages in it. KIN_EBUSY, and nothing happens, if a living member is its reader, or somebody is in a call of
 * it. NULL does nothing.
 */
KIN_API int kin_broadcast_free(kin_broadcast *broadcast);

/* That process is the writer: if it dies before it has written, readers are told. KIN_EPERM: there is a writer already. */
KIN_API int kin_broadcast_set_writer(kin_broadcast *broadcast, const kin_process *process);

/*
 * Write a copy of a message. It succeeds without readers, too. 0; KIN_ETIMEDOUT: a reader had not made room for `timeout`
 * seconds (KIN_SLOW_WAIT); KIN_ECLOSED; KIN_EPERM: another member is the writer; KIN_ENOMEM.
 */
KIN_API int kin_broadcast_write(kin_broadcast *broadcast, const void *message, size_t size,
                                double timeout) KIN_CHECKED;

/* Hand a block of the heap over, of which `size` bytes are the message. If it fails the block is still the caller's. As
 * kin_broadcast_write, and KIN_ENOTSHARED. */
KIN_API int kin_broadcast_give(kin_broadcast *broadcast, void *block, size_t size,
                               double timeout) KIN_CHECKED;

/* Nothing more can be written; readers get what there is. Any member may say so. Repeatable. */
KIN_API int kin_broadcast_close(kin_broadcast *broadcast);

/* How many readers there are now, of members that live. */
KIN_API size_t kin_broadcast_readers(kin_broadcast *broadcast);

/* A new reader, the calling member's. NULL: KIN_ELIMIT: .readers have joined; KIN_ETIMEDOUT: a writer stands still in the middle of
 * a write. */
KIN_API kin_reader *kin_broadcast_join(kin_broadcast *broadcast, double timeout) KIN_CHECKED;

/* It reads no more. NULL does nothing. */
KIN_API int kin_reader_leave(kin_reader *reader);

/*
 * Copy the next message out into `buffer` of `capacity` bytes; its size goes to *size unless NULL. 0; KIN_ETIMEDOUT: there was
 * none for `timeout` seconds (0: do not wait); KIN_ECLOSED: there is none, and none will come; KIN_ETOOLARGE: it is
 * larger, *size tells how large, and it is still the next; KIN_ELOST: see kin_slow.
 */
KIN_API int kin_reader_read(kin_reader *reader, void *buffer, size_t capacity, size_t *size,
                            double timeout) KIN_CHECKED;

/*
 * The same without copying: the message lies at *data, to be read only, until kin_reader_pass. For KIN_SLOW_WAIT; otherwise
 * KIN_EINVAL, as it could be overwritten. Looking again shows the same message.
 */
KIN_API int kin_reader_look(kin_reader *reader, const void **data, size_t *size, double timeout) KIN_CHECKED;
KIN_API int kin_reader_pass(kin_reader *reader);

/* How many messages it has missed so far. */
KIN_API size_t kin_reader_lost(const kin_reader *reader);

KIN_END_DECLS

#endif
