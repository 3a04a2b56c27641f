/*
 * kin/proxy.h - what stands for an object in a manager.
 *
 *     kin_proxy *dict = kin_proxy_new(manager, "dict", NULL, 0);
 *     kin_any value;
 *     kin_proxy_set(dict, KIN_ANY("mill"), KIN_ANY(3));
 *     kin_proxy_get(dict, KIN_ANY("mill"), &value);                  value.integer is 3
 *     kin_proxy_call(dict, "add", (kin_any[]){KIN_ANY("mill"), KIN_ANY(1)}, 2, &value);
 *
 * Every method can be called by its name (kin_proxy_call); what is used most has a function of its own, for all types
 * that have the method, as in Python. docs/protocol.md lists types and methods.
 *
 * Reference  A proxy holds the object for this process: when all proxies and containers that hold it are gone, so is
 *            it.
 * Where      A proxy lies in shared memory and works in every member; it goes with the process that made it. Its token
 *            goes anywhere: through queues, as an argument, into files, to other machines. Who gets it makes a proxy of
 *            his own. After a fork the child's copies of the pointer work too.
 * Blocking   get, put, acquire, wait, join take a timeout. Who waits costs the server no thread. Signal handlers do not
 *            end a wait.
 * Stopped    A server that is stopped (SIGSTOP), or far and cut off, answers late or not at all: a call that has a timeout fails with
 *            KIN_ETIMEDOUT some seconds after it; others wait for as long as the manager's .call_limit says, for ever without
 *            one. What was to be done may be done later, all the same.
 * Threads    Any. A thread that is cancelled (pthread_cancel) in a call ends when the call does. What a lock's owner is, is a thread; another thread of the process may release a lock, but not an
 *            rlock.
 * Death      The server dies: KIN_EDIED. The caller dies while it waits: it gets nothing, and nothing is lost; between
 *            the server's answer and its receipt, what it was given (a message) is lost with it, a lock is given back.
 * Errors     0 or a negative KIN_E code. What a method reports has its code, its message, the method, and where it ran.
 */
#ifndef KIN_PROXY_H
#define KIN_PROXY_H

#include "kin/any.h"
#include "kin/manager.h"

KIN_BEGIN

typedef struct kin_proxy kin_proxy;

/* Let go. NULL does nothing. */
KIN_API void kin_proxy_free(kin_proxy *proxy);

/*
 * Make an object: "dict", "list", "set", "Namespace", "Value", "Array", "Queue", "JoinableQueue", "Lock", "RLock",
 * "Semaphore", "BoundedSemaphore", "Condition", "Event", "Barrier", "Pool", or a type that was registered. Arguments
 * are those of Python: Queue takes maxsize, Semaphore its value, Barrier its parties, Value the value, Array a list or
 * length, dict and list what they begin with. NULL: KIN_ENOTFOUND, there is no such type; KIN_EINVAL, arguments;
 * KIN_EDIED.
 */
KIN_API kin_proxy *kin_proxy_new(kin_manager *manager, const char *type, const kin_any *args,
                                 size_t count) KIN_CHECKED KIN_FREED_BY(kin_proxy_free);

/* Call a method. The answer goes to *out, to be cleared; unless NULL. KIN_ENOTFOUND: the type has no such method. */
KIN_API int kin_proxy_call(kin_proxy *proxy, const char *method, const kin_any *args, size_t count,
                           kin_any *out);

/* The type's name; the manager. */
KIN_API const char *kin_proxy_type(const kin_proxy *proxy);
KIN_API kin_manager *kin_proxy_manager(const kin_proxy *proxy);

/* ---- tokens ---------------------------------------------------------------------------------------- */

/* Plain bytes that stand for the object. */
typedef struct kin_token {
    char type[32];
    uint8_t server[16]; /* which server: another one at the same address refuses it */
    uint64_t object;
    uint64_t hold; /* 0: it is not held */
    char address[KIN_ADDRESS_MAX];
} kin_token;

/*
 * A token of it. For `hold` seconds the server keeps the object for whoever comes with the token, though this proxy may
 * be gone by then; 0: the sender keeps its own until the other has answered.
 */
KIN_API int kin_proxy_token(kin_proxy *proxy, double hold, kin_token *out);

/* A proxy from a token, for this process. KIN_ENOTFOUND: the object is gone; KIN_EMISMATCH: it is of another server. */
KIN_API kin_proxy *kin_proxy_open(kin_manager *manager, const kin_token *token) KIN_CHECKED
    KIN_FREED_BY(kin_proxy_free);

/* As a value, to be put into a dict, list or queue of the same manager, which then holds the object; and back. Who has
 * taken one out of a queue, where nobody else held it, has 10 seconds for that. */
/* (It points into the proxy, which must stay until the call is done.) */
KIN_API kin_any kin_any_object(const kin_proxy *proxy);
KIN_API kin_proxy *kin_proxy_of(kin_manager *manager, const kin_any *value) KIN_CHECKED
    KIN_FREED_BY(kin_proxy_free);

/* ---- dict, list, set, Namespace, Value, Array ------------------------------------------------------ */

KIN_API int kin_proxy_get(kin_proxy *proxy, kin_any key, kin_any *out); /* KIN_ENOTFOUND */
KIN_API int kin_proxy_set(kin_proxy *proxy, kin_any key, kin_any value);
KIN_API int kin_proxy_delete(kin_proxy *proxy, kin_any key); /* KIN_ENOTFOUND */
KIN_API int kin_proxy_contains(kin_proxy *proxy, kin_any key, bool *out);
KIN_API int kin_proxy_length(kin_proxy *proxy, size_t *out);
KIN_API int kin_proxy_append(kin_proxy *proxy, kin_any value);
KIN_API int kin_proxy_clear(kin_proxy *proxy);

/* A Value's. */
KIN_API int kin_proxy_value(kin_proxy *proxy, kin_any *out);
KIN_API int kin_proxy_set_value(kin_proxy *proxy, kin_any value);

/* Add to the number that is there (0, if there is none), at once; what it is then goes to *out unless NULL. */
KIN_API int kin_proxy_add(kin_proxy *proxy, kin_any key, kin_any amount, kin_any *out);
/* Set it if what is there equals `expected`: *done tells. */
KIN_API int kin_proxy_compare_and_set(kin_proxy *proxy, kin_any key, kin_any expected, kin_any value,
                                      bool *done);

/*
 * Entries page by page: zero a kin_page, then call until `count` is 0. Each entry that is there all the time comes
 * exactly once. Of dicts and Namespaces keys and values, of sets keys, of lists and Arrays values. kin_page_clear frees
 * what the last page has.
 */
typedef struct kin_page {
    uint64_t next; /* where the next page begins */
    size_t count;
    kin_any *keys, *values; /* `count` each; NULL where there are none */
    void *memory;
} kin_page;
KIN_API int kin_proxy_page(kin_proxy *proxy, size_t most, kin_page *page);
KIN_API void kin_page_clear(kin_page *page);

/* Many keys by one call. Values of keys that are not there are null, and *found (unless NULL) is false. */
KIN_API int kin_proxy_get_many(kin_proxy *proxy, const kin_any *keys, size_t count, kin_any *values,
                               bool *found);
KIN_API int kin_proxy_set_many(kin_proxy *proxy, const kin_any *keys, const kin_any *values, size_t count);

/*
 * Wait until the key's value is another than `seen`; or, with `seen` NULL, until it is there. What it is then goes to
 * *out; KIN_ENOTFOUND: it is gone; KIN_ETIMEDOUT.
 */
KIN_API int kin_proxy_wait_change(kin_proxy *proxy, kin_any key, const kin_any *seen, kin_any *out,
                                  double timeout);

/* ---- Queue, JoinableQueue --------------------------------------------------------------------------- */

KIN_API int kin_proxy_put(kin_proxy *proxy, kin_any value, double timeout); /* KIN_ETIMEDOUT: full */
KIN_API int kin_proxy_take(kin_proxy *proxy, kin_any *out, double timeout); /* KIN_ETIMEDOUT: empty */
KIN_API int kin_proxy_task_done(kin_proxy *proxy);
KIN_API int kin_proxy_join(kin_proxy *proxy, double timeout);

/* ---- Lock, RLock, Semaphore, Condition, Event, Barrier --------------------------------------------- */

/* KIN_EOWNERDIED: acquired, and its last owner died with it. KIN_ETIMEDOUT. */
KIN_API int kin_proxy_acquire(kin_proxy *proxy, double timeout);
KIN_API int kin_proxy_release(kin_proxy *proxy);
KIN_API int kin_proxy_wait(kin_proxy *proxy, double timeout); /* Condition, Event, Barrier (KIN_EBROKEN) */
KIN_API int kin_proxy_notify(kin_proxy *proxy, size_t count);
KIN_API int kin_proxy_notify_all(kin_proxy *proxy);
KIN_API int kin_proxy_event_set(kin_proxy *proxy);
KIN_API int kin_proxy_event_clear(kin_proxy *proxy);

/* ---- Pool, AsyncResult, Iterator --------------------------------------------------------------------- */

/*
 * A Pool of worker processes that the server starts: kin_proxy_new(manager, "Pool", args, count) with, as in Python, the number of
 * workers (none or null: as many as there are CPUs), an initializer, a list of its arguments, and how many tasks a worker does before
 * another takes its place. A function is one that the server has registered, by its name (KIN_ANY("square")), or any function
 * of this program or its libraries (kin_any_function(square)), for members of the server's family (KIN_EPERM for others).
 *
 * Order     Items are begun in the order of the calls, some for each worker ahead; results come as the method says.
 * Failures  A function's failure reaches who asked for its result, with code, message, and the worker's process; so does a worker's death
 *           (KIN_EDIED), which fails its item alone. A map ends with its first failure; what is under way by then goes on.
 * Death     A client that dies in apply or map: what has not begun of it is not begun. What it had asked for by apply_async and
 *           the like goes on to its end, as in Python. With the last reference the Pool goes, when all is done. The server's death ends the
 *           workers.
 */

/* A function as a value, for apply and its like. Null, with the error, for what is none: see kin_process_start. */
KIN_API kin_any kin_any_function(kin_call_fn function);

/* Call it with these arguments in a worker, and wait for what it returns. KIN_ECLOSED: the Pool is closed. */
KIN_API int kin_proxy_apply(kin_proxy *pool, kin_any function, const kin_any *args, size_t count,
                            kin_any *out);
/* The same, without waiting: an AsyncResult. kin_proxy_take waits for the value, kin_proxy_wait until it is there; methods "ready" and
 * "successful" ask. */
KIN_API kin_proxy *kin_proxy_apply_async(kin_proxy *pool, kin_any function, const kin_any *args,
                                         size_t count) KIN_CHECKED KIN_FREED_BY(kin_proxy_free);

/* Call it with each item, and wait for all: values go to out[0] to out[count - 1], to be cleared; if it fails, none. ("starmap", whose items
 * are lists of arguments, is called by its name.) */
KIN_API int kin_proxy_map(kin_proxy *pool, kin_any function, const kin_any *items, size_t count,
                          kin_any *out);
/* An AsyncResult whose value is a list: kin_proxy_take_all gives its items. */
KIN_API kin_proxy *kin_proxy_map_async(kin_proxy *pool, kin_any function, const kin_any *items,
                                       size_t count) KIN_CHECKED KIN_FREED_BY(kin_proxy_free);
KIN_API int kin_proxy_take_all(kin_proxy *result, kin_any *out, size_t count, double timeout);

/* An Iterator over what it returns for each item, in their order, or as they come; kin_proxy_next takes one after the other.
 * KIN_ECLOSED: there are no more; KIN_ETIMEDOUT; another code: that item has failed, and the next one is next. */
KIN_API kin_proxy *kin_proxy_imap(kin_proxy *pool, kin_any function, const kin_any *items, size_t count,
                                  bool unordered) KIN_CHECKED KIN_FREED_BY(kin_proxy_free);
KIN_API int kin_proxy_next(kin_proxy *iterator, kin_any *out, double timeout);

/* Nothing more is begun after what was asked for by now. Then kin_proxy_join waits until all is done and the workers have ended. */
KIN_API int kin_proxy_close(kin_proxy *pool);
/* Workers are killed; what is not done fails with KIN_ECANCELED. */
KIN_API int kin_proxy_terminate(kin_proxy *pool);

/* ---- many calls at once ------------------------------------------------------------------------------ */

/*
 * Calls that are sent together and answered in order, by one journey. Up to the moment of kin_batch_run nothing is
 * sent; args are copied.
 */
typedef struct kin_batch kin_batch;
KIN_API void kin_batch_free(kin_batch *batch);
KIN_API kin_batch *kin_batch_new(kin_manager *manager) KIN_CHECKED KIN_FREED_BY(kin_batch_free);
KIN_API int kin_batch_add(kin_batch *batch, kin_proxy *proxy, const char *method, const kin_any *args,
                          size_t count);
/*
 * Send them, and wait for all answers, up to `timeout` seconds. 0, though calls may have failed; KIN_ETIMEDOUT: those that were
 * answered have results, of the others it is not known whether they were made; KIN_EDIED, KIN_ENOMEM.
 */
KIN_API int kin_batch_run(kin_batch *batch, double timeout);
/* What became of one: its error; its answer goes to *out, to be cleared, unless NULL. Valid until the next
 * kin_batch_add. */
KIN_API int kin_batch_result(kin_batch *batch, size_t index, kin_any *out);

KIN_END_DECLS

#endif
