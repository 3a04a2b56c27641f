/*
 * message/connection_private.h - a connection, in private memory at the same address in children (process/handle.h).
 *
 * Two kinds. Streams speak Python's protocol: a length of 4 bytes, big-endian, or -1 and a length of 8, then
 * the bytes. Packets go between members of a family: SOCK_SEQPACKET keeps messages apart and takes each as one piece, so
 * any number of processes may use one end at once, and a message is there whole or not at all wherever its sender dies. A packet
 * is a head and up to PACKET_MOST bytes; what is larger comes by reference.
 *
 *   field        by               what
 *   ----------   --------------   ---------------------------------------------------------------------------
 *   held         receive lock     packets: one that was received and could not be handed out
 *   in           receive lock     streams: how far the message that is coming in has got
 *   waiting      receive lock     id of the process: held, or a stream's length has been read; looked at without the lock.
 *                                 Another's id: held is that of the parent, who forked
 *   broken       send lock        streams: a message was sent in part, so no other can be
 */
#ifndef KIN_MESSAGE_CONNECTION_PRIVATE_H
#define KIN_MESSAGE_CONNECTION_PRIVATE_H

#include "family/member.h"
#include "kin/connection.h"
#include "os/socket.h"
#include "process/handle.h"

#include <assert.h>

/* And, from KIN__WAY_SHIFT on, of a pipe's end: which pipe's, and which one. */
enum kin__connection_flags { KIN__PACKETS = 1, KIN__READS = 2, KIN__WRITES = 4, KIN__SECOND = 8 };
#define KIN__WAY_SHIFT 3
#define KIN__PIPE_SHIFT 4

/* Bytes of a packet; messages of more than kin__packet_most go by reference, which costs some 8 us beside two copies, as much as the
 * kernel's copies of so many. Tests take less. */
#define KIN__PACKET_MOST 65536u
extern size_t kin__packet_most;

enum kin__packet_kind {
    KIN__PACKET_BYTES = 1,
    KIN__PACKET_BLOCK, /* in the heap; the descriptor is its token */
    KIN__PACKET_FILE,  /* in the descriptor's file */
    KIN__PACKET_FD,
    KIN__PACKET_CONNECTION
};

struct kin__packet {
    uint8_t kind;
    uint8_t zero[3];
    uint32_t slot;   /* BLOCK: see transit.h; CONNECTION: its flags */
    uint64_t number; /* BLOCK */
    uint64_t size;   /* BLOCK, FILE: bytes in it */
};

/* A packet that waits here: its head, its descriptors, its bytes. */
struct kin__held {
    struct kin__packet head;
    size_t size;
    int fds[KIN__OS_FDS_MOST];
    size_t fd_count;
    unsigned char data[];
};

struct kin__incoming {
    unsigned char head[12];
    uint8_t head_got;
    bool known;          /* head is complete, size is valid */
    uint64_t size, got;  /* bytes */
    unsigned char *kept; /* the first `got` bytes, if a call had to leave it; malloc'ed */
};

struct kin_connection {
    struct kin__handle handle;
    struct kin__held *held;
    struct kin__incoming in;
    _Atomic kin__id waiting;
    bool broken;
};
static_assert(sizeof(struct kin_connection) <= KIN__HANDLE_SIZE, "it has to fit");

/* A connection on a descriptor, which it takes. NULL: the record is set, the descriptor is still the caller's. */
kin_connection *kin__connection_new(int fd, uint32_t flags);

/* Begin a call: 0, until kin__handle_leave. `flag` is the way it must go, 0: any; `what` for messages, "send through". */
int kin__connection_enter(const kin_connection *connection, uint32_t flag, const char *what, double timeout);

/* One of the two locks, until the deadline. KIN_ETIMEDOUT. */
int kin__connection_lock(kin_connection *connection, bool send, double deadline);
void kin__connection_unlock(kin_connection *connection, bool send);

/* Who is at the other end of a connected socket, as kin_connection_peer has it. */
void kin__connection_peer(int fd, char *out, size_t size);

/* What a system call's failure, errno, means on a connection: a KIN_E code, with the record set. */
int kin__connection_error(int error, bool send);

/* Where a message goes: to the user's buffer, or to a block that is made when the size is known. */
struct kin__sink {
    void *buffer;
    size_t capacity;
    bool block;  /* a block of the heap */
    bool open;   /* it goes if this thread dies, until kin__sink_hand_out */
    size_t size; /* out */
};
/* Memory for `size` bytes: KIN_ETOOLARGE, KIN_ENOMEM. */
int kin__sink_open(struct kin__sink *sink, uint64_t size);
/* It is the user's; or it came to nothing. */
void kin__sink_hand_out(struct kin__sink *sink);
void kin__sink_drop(struct kin__sink *sink);

/* Under the lock of its way. Streams: */
int kin__stream_send(kin_connection *connection, const void *message, size_t size, double deadline);
int kin__stream_recv(kin_connection *connection, struct kin__sink *sink, double deadline);
/* Packets; sending needs no lock. */
int kin__packet_send(kin_connection *connection, const void *message, size_t size, double deadline);
/* Without copying; KIN_ENOTSUP: that cannot be, copy it. On errors the block is still the caller's. */
int kin__packet_give(kin_connection *connection, void *block, size_t size, double deadline);
int kin__packet_recv(kin_connection *connection, struct kin__sink *sink, double deadline);

/* Descriptors and connections as packets. */
int kin__packet_send_fd(kin_connection *connection, const struct kin__packet *head, int fd, double deadline);
int kin__packet_recv_fd(kin_connection *connection, enum kin__packet_kind kind, int *fd, uint32_t *flags,
                        double deadline);

/* There is something to receive, or to be told, that poll(2) does not see. */
static inline bool kin__connection_waiting(kin_connection *connection)
{
    kin__id whose = atomic_load(&connection->waiting);
    return whose && whose == kin__self_id();
}

/* The time is over; for all waits of a connection. */
int kin__connection_late(bool send);

/* Let a packet go, with what it has: in a child that has but a copy of it, its descriptors are closed already. */
void kin__held_free(struct kin__held *held, bool own);

#endif
