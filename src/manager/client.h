/*
 * manager/client.h - a process's connections to a manager.
 *
 * A kin_manager lies in the heap and says where the server is; what is private to a process (sockets) hangs on a list of its own,
 * and is made at its first call. A call takes a connection for as long as it lasts, so threads do not wait for each other.
 *
 *   field       written by   rule                        when the writer dies there
 *   ---------   ----------   -------------------------   -----------------------------------------------
 *   all         the maker    before the magic            not an object yet; the block may stay behind
 *   server      the maker    at its first connection,    as all
 *                            before the magic
 *   sync.magic  the maker    0 when it is freed          as kin__object
 */
#ifndef KIN_MANAGER_CLIENT_H
#define KIN_MANAGER_CLIENT_H

#include "kin/arena.h"
#include "kin/manager.h"
#include "kin/proxy.h"
#include "manager/stream.h"
#include "manager/wire.h"
#include "message/gate.h"
#include "sync/wait.h"

#include <math.h>
#include <pthread.h>

#define KIN__CONNECT_TIME 10.0 /* seconds that a server has, until a connection is ready for calls */

struct kin_manager {
    struct kin__sync sync;
    uint64_t number; /* no other manager of this family has had it: the block may be used again */
    kin__id maker;
    struct kin__near *near; /* near.h; NULL: it was not started here */
    kin_process *process;   /* NULL: it was not started here */
    bool insecure;
    double call_limit; /* 0: none */
    struct kin__tls_names tls;
    size_t message_limit;
    uint8_t server[KIN__SERVER_ID];
    char address[KIN_ADDRESS_MAX];
    size_t key_size;
    uint8_t key[KIN_KEY_MOST];
};

/*
 *   field       written by   rule                                  when the writer dies there
 *   ---------   ----------   -----------------------------------   ----------------------------------------------
 *   all         the maker    before the magic; it lies in an       the arena goes with it
 *                            arena of the maker's
 */
struct kin_proxy {
    struct kin__sync sync; /* its name is the type's */
    kin_manager *manager;
    uint64_t number; /* the manager's */
    uint64_t object;
    kin__id maker;
    char type[32];
    size_t item_size;
    uint8_t item[80];       /* it as a value: head, list, server, number, type */
    struct kin_proxy *next; /* free ones of the maker */
};

struct kin__connected;

/* One connection, which a call has for itself. */
struct kin__lane {
    struct kin__lane *next;
    struct kin__connected *client;
    struct kin__socket stream;
    struct kin__near *near; /* NULL: it goes by its socket alone */
    unsigned slot;
    bool broken; /* what comes by it now would be of a call that was given up */
    struct kin__habit habit;
    struct kin__buffer in, out;
};

/* This process's side. */
struct kin__connected {
    struct kin__connected *next;
    kin_manager *manager;
    uint64_t number;
    uint8_t id[16];
    struct kin__tls_context *tls; /* NULL: none is wanted */
    int server_pid;
    pthread_mutex_t lock;
    struct kin__lane *_Atomic warm; /* a free one, or NULL */
    struct kin__lane *free_lanes;   /* all others */
    struct kin__lane *home;         /* never used: it keeps the session while no call is under way */
    uint64_t next_number;
    kin_arena *arena;
    struct kin_proxy *free_proxies;
};

/*
 * A cancelled thread (pthread_cancel) must leave no lock or lane taken: so cancellation waits from kin__os_cancel_hold to
 * kin__os_cancel_restore, around all that may be a point of cancellation (pthreads(7)). A call through shared memory has none as
 * long as both sides run.
 */

/* 0, with the client, connected; or an error. */
int kin__client(kin_manager *manager, struct kin__connected **out);
/* Say goodbye, close everything. */
void kin__client_leave(kin_manager *manager);

/* One for a call that may take `limit` seconds, as a new one has to connect first. */
struct kin__lane *kin__lane_take(struct kin__connected *client, double limit);
void kin__lane_give(struct kin__lane *lane);
void kin__lane_close(struct kin__lane *lane);

/* A call that is not told how long it may wait: the manager's call_limit holds. */
#define KIN__UNTIMED (-1.0)

struct kin__request {
    uint64_t object;
    const char *method;
    const kin_any *args;
    size_t count;
    double timeout; /* of the method: how long it may wait in the server; KIN__UNTIMED: it has none */
    double limit;   /* seconds until it is given up, whatever the server does; 0: as those two have it */
};

/* Begin a frame in the lane's `out`, with object and method; arguments are put behind. */
size_t kin__request_begin(struct kin__buffer *out, const struct kin__request *request, uint64_t number);
/* Send the one call that stands in lane->out, and get its answer within `limit` seconds: an item in lane->in, valid until the lane is
 * given back. */
int kin__lane_call(struct kin__lane *lane, double limit, struct kin__reader *answer);
/* What is in an answer's frame: 0 with the item; or the failure, as the record. */
int kin__answer_read(struct kin__connected *client, const struct kin__frame *frame, const uint8_t *body,
                     struct kin__reader *answer);

/* All of that. What the answer is goes to *out, unless NULL. */
int kin__client_call(kin_manager *manager, const struct kin__request *request, kin_any *out);
/* Such an answer that has to be a list: `items` are those after its head. KIN_EMISMATCH. */
int kin__client_list(const kin_any *answer, struct kin__reader *items);
/* The connection is gone: KIN_EDIED. */
int kin__client_lost(struct kin__connected *client);

/* proxy.c: one from an item that stands for an object, whose reference this process has by now. */
kin_proxy *kin__proxy_from(struct kin__connected *client, const uint8_t *item, size_t size);

#endif
