/*
 * manager/server.h - the server: one process, one loop, all of its state private to it.
 *
 * Calls   Each frame is a call, run to its end at once. A method that must wait parks its call in a list of the object, with a
 *         deadline; whatever changes the object wakes the list, and the first calls in it are run again, from their beginning, until
 *         one parks again. So who waits is a few hundred bytes, first come first served, and no method has two halves.
 * Who     A session is a client process; it has connections, one for each of its calls at a time. References, locks and permits
 *         belong to the session, and go with its last connection. A thread's number comes with the call.
 * Trust   Items of clients are checked once, when a frame comes in, before anything is done with them.
 */
#ifndef KIN_MANAGER_SERVER_H
#define KIN_MANAGER_SERVER_H

#include "kin/manager.h"
#include "manager/list.h"
#include "manager/stream.h"
#include "manager/table.h"
#include "manager/wire.h"
#include "message/gate.h"
#include "process/function.h"

#include <pthread.h>
#include <stdatomic.h>

#define KIN__PARKED 1 /* what a method returns that has parked its call */
#define KIN__WAITING_LISTS 3

/* ---- timers (timers.c) --------------------------------------------------------------------------- */

struct kin__timer {
    double at;
    size_t place; /* in the heap, plus 1; 0: it is not set */
    void (*fire)(struct kin_server *server, struct kin__timer *timer);
};

struct kin__timers {
    struct kin__timer **heap;
    size_t count, room;
};

/* KIN_ENOMEM, with the record. Infinity: it is not set, which is success. */
int kin__timer_set(struct kin__timers *timers, struct kin__timer *timer, double at);
void kin__timer_stop(struct kin__timers *timers, struct kin__timer *timer);
/* Fire what is due; seconds until the next, or infinity. */
double kin__timers_run(struct kin_server *server);

/* ---- objects --------------------------------------------------------------------------------------- */

struct kin__session;
struct kin__entity;

struct kin__kind_method {
    const char *name;
    int (*run)(kin_call *call, struct kin__entity *entity);
};

/* A type. Built-in ones have methods of kin__kind_method, own ones what was registered. */
struct kin__kind {
    const char *name;
    int (*make)(kin_call *call,
                struct kin__entity *entity); /* of the call's arguments; fails: nothing is left */
    void (*end)(struct kin_server *server, struct kin__entity *entity);
    /* The session is gone: what it holds of this object, as often as it is listed, is given back. */
    void (*abandon)(struct kin_server *server, struct kin__entity *entity, struct kin__session *session);
    /* The call, which was parked here, is withdrawn: its client is gone. NULL: nothing to do. */
    void (*withdraw)(kin_call *call, struct kin__entity *entity);
    const struct kin__kind_method *methods;
    size_t method_count;
    const kin_manager_type *own;
};

struct kin__entity {
    const struct kin__kind *kind;
    uint64_t id;       /* generation << 32 | place */
    size_t references; /* of sessions, containers, holds */
    struct kin__link waiting[KIN__WAITING_LISTS];
    unsigned
        wake; /* bits of lists that are to be woken: 1 << list; << 8: all in it, not the first ones only */
    struct kin__link dirty;
    bool busy; /* a method of it runs in a thread */
    void *state;
};

struct kin_call {
    struct kin_server *server;
    struct kin__connection *connection; /* NULL: it is gone, nobody waits for the answer */
    struct kin__session *session;
    struct kin__entity *entity;
    uint64_t number, thread;
    size_t method;                 /* its place in the kind's */
    struct kin__reader args, rest; /* all of them; those that have not been read */
    struct kin__buffer *answer;    /* one item is written there */
    bool objects;                  /* objects are among the arguments */
    /* Parked calls only. */
    bool parked, expired;
    uint64_t state; /* the method's own: 0 at first */
    uint8_t *copy;  /* of the arguments */
    struct kin__link wait, mine;
    struct kin__timer timer;
    /* Own types only (own.c). */
    struct kin__job *job; /* a thread is at it */
    /* Functions of Pools only (tasks.c). */
    kin_task *task;
    kin_manager *manager;
    struct kin__text *texts;
    struct {
        const struct kin__kind *kind; /* NULL: none */
        void *object;
    } made;
};

/* ---- sessions and connections -------------------------------------------------------------------- */

struct kin__session {
    uint8_t id[16];
    struct kin__link link;
    size_t connections;
    struct kin__table references; /* key: the object's id; value.size: how often */
    struct kin__entity **held;    /* what it holds, once for each lock and permit */
    size_t held_count, held_room;
    int pid; /* of a client on this machine; else 0 */
};

enum kin__stage { KIN__STAGE_TLS, KIN__STAGE_HELLO, KIN__STAGE_OPEN, KIN__STAGE_REFUSED };

struct kin__connection {
    struct kin__watch {
        void (*ready)(struct kin_server *server, struct kin__watch *watch, unsigned events);
    } watch, death;
    struct kin__socket stream;
    int pidfd;
    enum kin__stage stage;
    bool closing;    /* freed at the end of this turn */
    bool gone;       /* the client has ended it */
    unsigned events; /* that epoll tells */
    struct kin__session *session;
    struct kin__link link, calls;
    struct kin__buffer in, out;
    size_t sent; /* of out */
    uint8_t hello[KIN__HELLO_SIZE];
    char peer[64];
    int peer_pid;
    bool local;
    bool member;             /* a process of our own family */
    struct kin__timer timer; /* of the handshake */
    int slot;                /* near.h; -1: none */
    bool near_call;          /* the call in it is not answered yet */
};

/* A watch whose owner may end while events are looked at: it is NULL then, and the bell goes at the end of the turn. */
struct kin__bell {
    struct kin__watch watch;
    struct kin__bell *next;
    int fd;
    void *owner;
};

struct kin__named_function {
    const char *name;
    struct kin__function function;
};

struct kin__failures {
    char peer[64];
    unsigned count;
    double since;
};
#define KIN__FAILURES 64

struct kin_server {
    char name[24];
    char address[KIN_ADDRESS_MAX];
    char path[KIN_ADDRESS_MAX]; /* to be removed at the end; "" */
    uint8_t id[KIN__SERVER_ID];
    uint8_t *key;
    size_t key_size;
    struct kin__tls_context *tls; /* NULL: clients come without */
    size_t message_limit, memory_limit;
    size_t connection_limit, connection_count, connection_peak; /* since memory was given back last */
    int thread_count;
    int epoll, listener, doorbell;
    struct kin__watch listening, rung;
    _Atomic int stop;
    bool serving, ending;
    struct kin__link sessions, connections, closing, dirty, dropped, holds;
    uint64_t last_hold;
    bool dropping;
    struct kin__timers timers;
    struct kin__entity **entities;
    uint32_t entities_top, entities_room, entities_free; /* a free place holds the next one's, tagged */
    uint32_t *generations;
    size_t entity_count, reference_count, waiting_count, held_count, bytes;
    uint64_t call_count;
    struct kin__kind *own;
    size_t own_count;
    struct kin__named_function *functions;
    size_t function_count;
    kin_manager *manager; /* of which it is the server; NULL: it was not started by that */
    struct kin__bell *spent_bells;
    struct kin__failures failures[KIN__FAILURES];
    struct kin__workers *workers;
    struct kin__near *near; /* NULL: it has none */
    struct kin__connection **slots;
    unsigned slot_count;
    unsigned hot; /* the slot that was served last: looked at without its bit */
    struct kin__habit habit;
    struct kin__buffer scratch;
};

/* ---- server.c ---------------------------------------------------------------------------------------- */

/* Members of the family are served through that, too. KIN_ENOMEM. */
int kin__server_set_near(kin_server *server, struct kin__near *near);
int kin__server_watch(struct kin_server *server, int fd, struct kin__watch *watch, unsigned events);
/* A socket of the server's from now on: a child that this process forks closes it, as otherwise the socket's end would be the child's. */
void kin__server_own(int fd);
/* Stop watching, and close. A fork's copy would keep its place in epoll, if that were left to the close. */
void kin__server_close(struct kin_server *server, int fd);
/* NULL: KIN_ENOMEM, KIN_ESYSTEM. The descriptor stays who gave it. */
struct kin__bell *kin__bell_new(struct kin_server *server, int fd,
                                void (*ready)(struct kin_server *server, struct kin__watch *watch,
                                              unsigned events),
                                void *owner);
void kin__bell_end(struct kin_server *server, struct kin__bell *bell);

/* ---- connections.c ------------------------------------------------------------------------------------ */

int kin__connections_listen(struct kin_server *server, const kin_manager_options *options);
void kin__connection_close(struct kin_server *server, struct kin__connection *connection);
/* Send what is in `out`, or as much as goes. */
void kin__connection_flush(struct kin_server *server, struct kin__connection *connection);
/* Free those that were closed. */
void kin__connections_sweep(struct kin_server *server);
void kin__connections_stop(struct kin_server *server);

/* ---- calls.c ------------------------------------------------------------------------------------------ */

/* Run the call of a frame's body, and answer it into the connection's `out`, unless it parks. */
void kin__call_run(struct kin_server *server, struct kin__connection *connection,
                   const struct kin__frame *frame, const uint8_t *body);
/* Run what was woken, until there is nothing more. */
void kin__calls_settle(struct kin_server *server);
/* Those of a connection that is gone. */
void kin__calls_withdraw(struct kin_server *server, struct kin__connection *connection);
/* End all that wait, with KIN_ECLOSED. */
void kin__calls_end(struct kin_server *server);

/* In a method: wait in that list of that object, then be run again. KIN__PARKED; KIN_ETIMEDOUT, without a record of its own making,
 * if there is no time left; KIN_ENOMEM. */
int kin__call_park(kin_call *call, struct kin__entity *entity, unsigned list, double timeout);
/* The object has changed: the first calls of the list are run again, until one parks; or all. */
void kin__entity_wake(struct kin_server *server, struct kin__entity *entity, unsigned list, bool all);
/* The call, in memory of its own from now on, in no list: for who answers it later. NULL: KIN_ENOMEM. */
kin_call *kin__call_move(kin_call *call);
/* Answer one that was moved, and free it: `error` as a method returns it, or the item in `answer`, unless NULL. */
void kin__call_finish(kin_call *call, int error, const struct kin__buffer *answer);
struct kin__kind_method kin__call_method(const kin_call *call);

/* Arguments, in order. They fail with KIN_EINVAL and a record that tells which argument. */
int kin__arg_int(kin_call *call, const char *what, int64_t *out);
int kin__arg_bool(kin_call *call, const char *what, bool *out);
int kin__arg_span(kin_call *call, enum kin__major major, const char *what, const uint8_t **data,
                  size_t *size);
/* An item, as it stands. */
int kin__arg_item(kin_call *call, const char *what, struct kin__reader *out);
/* A list, of which `items` are the rest; and its next item, false: that was the last. */
int kin__arg_list(kin_call *call, struct kin__reader *items);
bool kin__list_next(struct kin__reader *items, struct kin__reader *item);
/* Arguments 2 and 3 of wait_change: a list of what has been seen, which `seen` begins with if `*given`, or of nothing;
 * and a timeout. */
int kin__arg_seen(kin_call *call, struct kin__reader *seen, bool *given, double *timeout);
/* Where a page of entries begins, and how many it may have at the most. */
int kin__arg_page(kin_call *call, int64_t *from, int64_t *most);
#define KIN__PAGE_MOST 100000
/* Seconds; null or missing: forever. */
int kin__arg_timeout(kin_call *call, double *out);
/* Whether there is one more, other than null; a null is passed over. */
bool kin__arg_more(kin_call *call);

/* ---- entities.c -------------------------------------------------------------------------------------- */

/* NULL: no memory (record set). It has one reference, the maker's. */
struct kin__entity *kin__entity_new(struct kin_server *server, const struct kin__kind *kind);
struct kin__entity *kin__entity_find(struct kin_server *server, uint64_t id);
void kin__entity_hold(struct kin_server *server, struct kin__entity *entity);
/* Drop a reference; with the last one it ends. */
void kin__entity_drop(struct kin_server *server, struct kin__entity *entity);
/* A reference of nobody's for some seconds; its number, unless NULL, for who comes for it before. KIN_ENOMEM. */
int kin__entity_hold_for(struct kin_server *server, struct kin__entity *entity, double seconds,
                         uint64_t *number);
/* It has done what it was for. 0: one of those without a number. */
void kin__hold_end(struct kin_server *server, struct kin__entity *entity, uint64_t number);
#define KIN__HANDED_OUT 10.0 /* seconds that who has been given an object has to refer to it */
void kin__entities_end(struct kin_server *server);

/* A session's references. KIN_ENOMEM; KIN_ENOTFOUND: it has none. */
int kin__session_refer(struct kin_server *server, struct kin__session *session, struct kin__entity *entity);
int kin__session_unrefer(struct kin_server *server, struct kin__session *session, struct kin__entity *entity);
struct kin__session *kin__session_get(struct kin_server *server, const uint8_t id[16], int pid);
void kin__session_leave(struct kin_server *server, struct kin__session *session);
/* It has a lock or permit of the object: noted, so that it is given back; and given back by itself. KIN_ENOMEM. */
int kin__session_take(struct kin_server *server, struct kin__session *session, struct kin__entity *entity);
void kin__session_give(struct kin_server *server, struct kin__session *session, struct kin__entity *entity);

/* Bytes more are kept, and are not any more. KIN_EMEMLIMIT: there would be too many. */
int kin__charge(struct kin_server *server, size_t bytes);
static inline void kin__discharge(struct kin_server *server, size_t bytes)
{
    server->bytes -= bytes;
}
/* Keep a copy of a checked item, counted, with the objects in it held; free it. KIN_ENOMEM, KIN_EMEMLIMIT, KIN_ENOTFOUND. */
int kin__keep(struct kin_server *server, struct kin__reader item, struct kin__kept *out);
void kin__let_go(struct kin_server *server, struct kin__kept *kept);
/* The same of what a client has been given: objects in it stay for a moment, so that he can refer to them. */
void kin__hand_out(struct kin_server *server, struct kin__kept *kept);
/* The same of a key, in its canonical form, which stays in server->scratch until the next one. */
int kin__key(struct kin_server *server, struct kin__reader item, const uint8_t **data, size_t *size);

/* Whether they are equal, as kin/any.h has it. KIN_ENOMEM. */
int kin__same_items(struct kin_server *server, struct kin__reader one, struct kin__reader other, bool *out);
struct kin__reader kin__kept_reader(const struct kin__kept *kept);
void kin__put_kept(struct kin__buffer *out, const struct kin__kept *kept);
/* The sum of two numbers, as an item. KIN_EINVAL, KIN_ELIMIT, KIN_ENOMEM. */
int kin__put_sum(struct kin__buffer *out, struct kin__reader one, struct kin__reader other);

/* An item that stands for the object. */
void kin__put_entity(struct kin_server *server, struct kin__buffer *buffer, const struct kin__entity *entity);
/* The object that an item stands for. NULL: none, or gone. */
struct kin__entity *kin__read_entity(struct kin_server *server, struct kin__reader *reader);

/* ---- kinds.c ----------------------------------------------------------------------------------------- */

const struct kin__kind *kin__kind_find(const struct kin_server *server, const uint8_t *name, size_t size);
/* Object 0: makes others, counts, ends the server. */
extern const struct kin__kind kin__kind_root;

extern const struct kin__kind kin__kind_dict, kin__kind_namespace, kin__kind_set, kin__kind_list,
    kin__kind_array, kin__kind_value, kin__kind_queue, kin__kind_joinable_queue, kin__kind_lock,
    kin__kind_rlock, kin__kind_semaphore, kin__kind_bounded_semaphore, kin__kind_condition, kin__kind_event,
    kin__kind_barrier, kin__kind_pool, kin__kind_async_result, kin__kind_iterator;

#endif
