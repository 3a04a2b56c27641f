/*
 * manager/near.h - calls between members of a family, through shared memory.
 *
 * A connection of a member has a slot: a mailbox for one call and then its answer, since a connection has one call at a time. The
 * socket stays: it tells each side of the other's death, rings for a server that sleeps, and carries what is too large for a slot.
 *
 * The server copies what it finds, and checks the copy. Slots belong to the manager, not to who uses them: so nobody writes into
 * memory that has become another's.
 *
 *   field     written by       rule                                      when the writer dies there
 *   -------   --------------   ---------------------------------------   --------------------------------------------------
 *   pending   client           its slot's bit, after the slot's turn     not set: the server never sees the call. Its end is
 *             server           0, before it looks at the slots           told by the socket, and the slot is given to another
 *   asleep    server           1 before it sleeps, then looks again      the server is dead: nobody is answered any more
 *             client           0 by who rings                            before it rang: the next that comes finds 0, and
 *                                                                        does not ring: so the server sleeps for NAP at most
 *   turn      client           CALL, after data and size; ASLEEP, by     as stored
 *                              CAS from CALL, before it sleeps
 *             server           ANSWERED, by an exchange                  before the wake: the sleeper looks again (sync/wait.h)
 *   size      whose turn it    before turn                               not read
 *   data      is
 *
 *   N1  a slot has one connection from the server's answer to "near" until it has seen that one's end
 *   N2  turn is CALL or ASLEEP exactly while the server has the call
 */
#ifndef KIN_MANAGER_NEAR_H
#define KIN_MANAGER_NEAR_H

#include "manager/client.h"
#include "manager/server.h"

#define KIN__NEAR_SLOTS 128u
#define KIN__NEAR_ROOM 4032u /* bytes of a frame */

enum kin__turn { KIN__TURN_NOBODY = 0, KIN__TURN_CALL, KIN__TURN_ASLEEP, KIN__TURN_ANSWERED };

struct kin__slot {
    _Atomic uint32_t turn;
    uint32_t size; /* 0, of an answer: it comes by the socket */
    uint8_t data[KIN__NEAR_ROOM] __attribute__((aligned(8)));
} __attribute__((aligned(64)));

struct kin__near {
    _Atomic uint64_t pending[KIN__NEAR_SLOTS / 64] __attribute__((aligned(128)));
    _Atomic uint32_t asleep __attribute__((aligned(128)));
    struct kin__slot slot[KIN__NEAR_SLOTS] __attribute__((aligned(128)));
};

/* ---- the server's side --------------------------------------------------------------------------- */

/* A slot for the connection: its index, or -1. */
int kin__near_join(struct kin_server *server, struct kin__connection *connection);
void kin__near_leave(struct kin_server *server, struct kin__connection *connection);
/* What is in the connection's `out` is the answer to the call in its slot. */
void kin__near_answer(struct kin_server *server, struct kin__connection *connection);
/* Serve calls, looking for more for as long as that has paid. True: epoll may sleep now, and has to be followed by
 * kin__near_awake. */
bool kin__near_serve(struct kin_server *server);
void kin__near_awake(struct kin_server *server);
/* The longest sleep that is allowed, see `asleep`. */
double kin__near_nap(const struct kin_server *server);

/* ---- the client's side --------------------------------------------------------------------------- */

/* Ask for a slot, for `limit` seconds: without one the lane goes by its socket alone. Unanswered, the lane is broken. */
void kin__near_ask(struct kin__lane *lane, double limit);
/* Send what is in lane->out through the slot, and wait. 0: the answer is in lane->in; KIN__SEND_BY_SOCKET, KIN__COMES_BY_SOCKET: the call
 * has to go, or the answer comes, by the socket; KIN_ECLOSED, KIN_ETIMEDOUT, KIN_ENOMEM, without a record. */
#define KIN__SEND_BY_SOCKET 1
#define KIN__COMES_BY_SOCKET 2
int kin__near_call(struct kin__lane *lane, double deadline);

#endif
