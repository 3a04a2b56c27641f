/*
 * message/transit.h - blocks of the heap that are under way through pipes.
 *
 * A packet names a block by its slot in one table of the family, and carries a token: a descriptor of its own for the
 * region's file, with a lock (fcntl(2), F_OFD_SETLK) on a byte whose offset is the message's number. That lock lasts as long as
 * anyone has the token, the packet in a socket included; so the kernel knows whether a block can still be received,
 * wherever sender and receiver die, and whatever becomes of the socket. Who finds the lock gone frees the block.
 *
 *   field      written by       rule                                  when the writer dies there
 *   --------   --------------   -----------------------------------   ------------------------------------------------
 *   numbers    journal          only grows                            undone
 *   top        journal          no slot from here on was ever used    undone
 *   freed      who frees        one more, then wakes                  sleepers look again by themselves
 *   owner      journal          0 to a member: reserved; FAMILY to    undone; and see S2
 *                               a member: claimed
 *              its member       member to FAMILY: it may be           S3
 *                               received; member to 0: free
 *   number     journal          with owner, when it is reserved       undone
 *   size, pipe journal          the same                              undone
 *   block      owner's member   address after owner was taken, or     its OPEN intent and this word tell whose it is
 *                               0 before owner goes to 0              (family/thread.h)
 *
 *   S1  owner FAMILY: block is an address; it is received, or taken back, only by who has the token of that number
 *   S2  owner a member: nobody else touches the slot until that one is dead and recovered
 *   S3  owner a dead member, or FAMILY and no lock on the number: whoever sweeps frees what is there
 *
 * A sweeper of FAMILY claims the slot first, so a block is freed once. It cannot meet a receiver: that one has the token.
 */
#ifndef KIN_MESSAGE_TRANSIT_H
#define KIN_MESSAGE_TRANSIT_H

#include "kin/api.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KIN__TRANSIT_SLOTS 1024u
#define KIN__TRANSIT_MESSAGES \
    16u /* one way through one pipe, at a time; and bytes, but for one message: few, so */
#define KIN__TRANSIT_BYTES ((uint64_t)8 << 20) /* that blocks are used again while they are warm */

/* A block under way, for who sends it. */
struct kin__ticket {
    uint32_t slot;
    uint64_t number;
    int token;
};

/*
 * A slot for `size` bytes, and its token. It waits while too much is under way in that direction of that pipe, and never for
 * others. KIN_ETIMEDOUT; KIN_ENOTSUP: a message has to go another way (too much is under way in the family; the process is
 * sealed, has no descriptor of the region, or cannot open one).
 */
int kin__transit_reserve(uint32_t pipe, size_t size, double deadline, struct kin__ticket *out);

/* Fill it with a copy, or with a large block that goes from the caller to it; from then on it may be sent. KIN_ENOMEM, KIN_EMEMLIMIT: the
 * ticket is void. */
int kin__transit_copy(const struct kin__ticket *ticket, const void *data, size_t size);
void kin__transit_give(const struct kin__ticket *ticket, void *block);

/* It was sent; or was not, and a copy is freed, a given block is the caller's again. */
void kin__transit_sent(const struct kin__ticket *ticket);
void kin__transit_cancel(const struct kin__ticket *ticket, bool given);

/*
 * For who has received a packet and its token. The block is the calling thread's, as after kin__heap_open; and the
 * slot is free. NULL, with the record set: there is no such block.
 */
void *kin__transit_claim(uint32_t slot, uint64_t number, size_t size);
/* The same for a sealed process, which only reads it: valid until the token is closed. */
const void *kin__transit_look(uint32_t slot, uint64_t number, size_t size);

/* Free what nobody can receive any more. Repeatable, for any member at any time. */
void kin__transit_sweep(void);

/* In a process that makes pipes, or gets their ends: sweep whenever it recovers a member. */
void kin__transit_prepare(void);

/* Slots that are not free, and how many bytes they stand for. For tests. */
size_t kin__transit_used(size_t *bytes);

#endif
