/*
 * kin/manager.h - a server process that owns objects, and the connection of this family to one.
 *
 * Objects (dicts, lists, queues, locks, ..., types of one's own) live in a server; others work on them through proxies
 * (kin/proxy.h): this process, others of its family, other programs on this machine, other machines, programs in Python
 * (clients/python). The server is one process with one loop: no call waits for another, and who waits in a call (get on
 * an empty queue, acquire) costs no thread.
 *
 * Where     A kin_manager lies in the heap: the pointer is valid in every member. Each process that uses it connects by
 *           itself, at its first call; members of the family then talk through shared memory.
 * Key       Both sides prove that they have it, without sending it (HMAC-SHA256 over fresh random numbers of both
 *           sides). Without .key kin_manager_start makes one, which only the family knows.
 * Death     A client that dies, or closes: its references are dropped, its locks and permits given back, its calls
 *           withdrawn. The server dies: all calls fail with KIN_EDIED at once; objects are gone. The one who started it
 *           dies: it ends, as any member does.
 * Trust     Nothing received is executed or used as an address; sizes, counts and depth are bounded. Who has the key
 *           may do to the objects what they please.
 * Threads   Any, but for kin_manager_free.
 */
#ifndef KIN_MANAGER_H
#define KIN_MANAGER_H

#include "kin/any.h"
#include "kin/api.h"
#include "kin/pool.h"
#include "kin/process.h"

KIN_BEGIN

typedef struct kin_manager kin_manager;
typedef struct kin_server kin_server;
struct kin_proxy;

#define KIN_KEY_LEAST 16 /* bytes of a key, at least */
#define KIN_KEY_MOST 256
#define KIN_ADDRESS_MAX 128

/* How TCP is encrypted: TLS 1.3 and nothing older, by OpenSSL 3 (libssl.so.3), which is loaded when it is first needed. */
enum kin_tls {
    KIN_TLS_OFF = 0,
    KIN_TLS_KEY =
        1, /* both sides prove to have the manager's key, as a pre-shared one: no files are needed */
    KIN_TLS_CERTIFICATES =
        2 /* the server shows a certificate, and its clients check it; then the key, as ever */
};

typedef struct kin_manager_options {
    size_t size;
    const char *name; /* copied, up to 23 bytes, for messages; NULL: "manager" */
    /*
     * Where it is to be reached, one of
     *     NULL             a name on this machine that nobody else has, and that goes with the server
     *     "@name"          an abstract Unix socket, "unix:@name"
     *     "/run/x.sock"    a Unix socket in the file system, "unix:x.sock"; it is removed at the end
     *     "host:port"      TCP, v4 or v6 ("[::1]:5000"); port 0 takes a free one, kin_manager_address tells which
     */
    const char *address;
    const void
        *key; /* key_size bytes, from KIN_KEY_LEAST to KIN_KEY_MOST; NULL: kin_manager_start makes one */
    size_t key_size;
    int start_method; /* enum kin_start_method, of the server's process */
    /*
     * Called in the server's process before it is reached: registers types (kin_server_register). `setup_arg` leads
     * into shared memory, or is NULL. What it returns other than 0 fails the start.
     */
    int (*setup)(kin_server *server, void *setup_arg);
    void *setup_arg;
    bool insecure;        /* allow TCP without encryption (.tls) beyond this machine */
    size_t message_limit; /* bytes of one call or answer; 0: 64 MiB */
    size_t
        /* bytes of all that clients keep in the server: beyond it calls fail with KIN_EMEMLIMIT; 0: none */
        memory_limit;
    int client_limit; /* connections at once; 0: 4096, or what open files (ulimit -n) allow */
    int threads;      /* for blocking methods of one's own types; 0: 4 */
    /*
     * enum kin_tls, of server and clients alike, at a TCP address. Files are in PEM format, their paths up to 255 bytes, and are
     * read by each process that connects, and by the server once, at its start; a private key must not be encrypted.
     */
    int tls;
    const char *
        certificate; /* the server's, with those that lead to its authority; or the client's, if it has one */
    const char *private_key; /* what belongs to it */
    const char
        *authority; /* certificates that are trusted: the client's, for the server; with client_certificates
                                the server's, for clients. No others are, those of the system neither */
    bool client_certificates; /* server: who has none of that authority is refused */
    const char
        *tls_host; /* client: whose name or number the server's certificate must have; NULL: the address's */
    /*
     * Client: seconds that a call may take which has no timeout of its own, kin_proxy_call too, whatever its method waits for. Then it
     * fails with KIN_ETIMEDOUT: the server is stopped, say. 0: it waits until it is answered, or the server is dead.
     */
    double call_limit;
} kin_manager_options;

#define KIN_MANAGER_OPTIONS(...) (&(kin_manager_options){.size = sizeof(kin_manager_options), ##__VA_ARGS__})

/*
 * Let go of it, and with it of all proxies that this process has of it. Started by this process: the server is ended
 * too, gently first (5 s); members that wait in a call are told (KIN_ECLOSED, KIN_EDIED), and waited for, up to a
 * second: memory that one who is stopped still looks at is left behind. NULL does nothing.
 */
KIN_API void kin_manager_free(kin_manager *manager);

/*
 * Start a server in a process of its own, and wait until it can be reached.
 *
 * KIN_EINVAL   an address that is none, a key that is too short, files of .tls that cannot be used
 * KIN_EPERM    TCP beyond this machine without .tls or .insecure
 * KIN_EBUSY    the address is in use
 * KIN_ENOTSUP  .tls, and there is no OpenSSL 3
 * KIN_ESYSTEM, KIN_ENOMEM, KIN_ELIMIT, and what `setup` returned
 */
KIN_API kin_manager *kin_manager_start(const kin_manager_options *options) KIN_CHECKED
    KIN_FREED_BY(kin_manager_free);

/*
 * Connect to one that runs: only name, address, key, insecure, message_limit, call_limit and what is for TLS are looked at.
 *
 * KIN_ENOTFOUND  nobody listens there
 * KIN_EPERM      the key is wrong: it, or ours, could not be proven; a certificate is not trusted, by us or by the
 *                server; TCP beyond this machine without .tls or .insecure
 * KIN_EMISMATCH  what listens there speaks another protocol, or another version, or no TLS 1.3
 * KIN_EDIED      the connection was closed before it was made: with TLS also since there are too many, or since too
 *                many failures came from here
 * KIN_ETIMEDOUT  nothing was said there for 10 seconds, or .call_limit: a server that wants TLS waits for us
 * KIN_ENOTSUP    .tls, and there is no OpenSSL 3
 */
KIN_API kin_manager *kin_manager_connect(const kin_manager_options *options) KIN_CHECKED
    KIN_FREED_BY(kin_manager_free);

/*
 * End the server: it takes no new calls, answers what it is at, ends calls that wait with KIN_ECLOSED, frees all
 * objects. After `timeout` seconds, if we started it, it is killed. 0 also if it has ended already; KIN_ETIMEDOUT: it
 * had to be killed.
 */
KIN_API int kin_manager_shutdown(kin_manager *manager, double timeout);

/* Where it is reached, for other programs; valid as long as the manager. */
KIN_API const char *kin_manager_address(const kin_manager *manager);

/* The server's process, if it was started by kin_manager_start; NULL otherwise. */
KIN_API kin_process *kin_manager_process(const kin_manager *manager);

/* What it holds, for tests and people: whatever the server counts. */
typedef struct kin_manager_counts {
    size_t objects;    /* alive */
    size_t references; /* that clients hold */
    size_t clients;    /* processes that are connected, this one too */
    size_t waiting;    /* calls that wait in the server */
    size_t bytes;      /* that objects keep */
    size_t held;       /* locks and permits that clients have */
    size_t calls;      /* answered so far */
} kin_manager_counts;
KIN_API int kin_manager_counts_get(kin_manager *manager, kin_manager_counts *out);

/* ---- a server in this process ---------------------------------------------------------------------- */

/* Free a server that is not serving. NULL does nothing. */
KIN_API void kin_server_free(kin_server *server);

/* A server that is reached from now on, and answers in kin_server_serve. `setup` is called at once. Errors as
 * kin_manager_start. */
KIN_API kin_server *kin_server_new(const kin_manager_options *options) KIN_CHECKED
    KIN_FREED_BY(kin_server_free);

KIN_API const char *kin_server_address(const kin_server *server);

/* Answer calls in the calling thread, until kin_server_stop, or until a client calls kin_manager_shutdown. 0, or an
 * error. */
KIN_API int kin_server_serve(kin_server *server);

/* From another thread, or a signal handler: kin_server_serve returns soon. */
KIN_API void kin_server_stop(kin_server *server);

/* ---- types of one's own ---------------------------------------------------------------------------- */

/* A call that is being answered: valid until the method returns. */
typedef struct kin_call kin_call;

typedef struct kin_method {
    const char *name;
    int (*function)(kin_call *call, void *object);
    bool
        blocking; /* it may take long: it runs in one of the server's threads, one method of an object at a time */
} kin_method;

typedef struct kin_manager_type {
    size_t size; /* sizeof(kin_manager_type) */
    const char *name;
    /* Make an object of the call's arguments: it goes to *object. 0, or an error as of a method. */
    int (*construct)(kin_call *call, void **object);
    void (*destruct)(void *object); /* when the last reference is gone; NULL: nothing to do */
    const kin_method *methods;
    size_t method_count;
} kin_manager_type;

#define KIN_MANAGER_TYPE(...) (&(kin_manager_type){.size = sizeof(kin_manager_type), ##__VA_ARGS__})

/*
 * Clients may make objects of that type, by its name, from now on; names of built-in types may be taken over. The type
 * and what it leads to must stay. Before the server serves, or within `setup`. KIN_EINVAL: no name, no constructor, a
 * method twice.
 */
KIN_API int kin_server_register(kin_server *server, const kin_manager_type *type);

/* Within a constructor or method: the number of arguments; one of them, which must be of that type (KIN_EINVAL, which
 * tells which). */
KIN_API size_t kin_call_count(const kin_call *call);
KIN_API int kin_call_any(kin_call *call, size_t index,
                         kin_any *out) KIN_CHECKED; /* valid as long as the call */
KIN_API int kin_call_int(kin_call *call, size_t index, int64_t *out) KIN_CHECKED;
KIN_API int kin_call_real(kin_call *call, size_t index, double *out) KIN_CHECKED;
KIN_API int kin_call_text(kin_call *call, size_t index, const char **out) KIN_CHECKED;

/*
 * What the caller gets: a value (null, if nothing is returned); or a proxy of a new object of a type that is
 * registered. The object is the server's from then on, to be destructed at its end. A method fails by returning a
 * negative code, as kin_error_set gives it: the caller gets code and message, with the method's name and the server's
 * process.
 */
KIN_API int kin_call_return(kin_call *call, kin_any value);
KIN_API int kin_call_return_object(kin_call *call, const char *type, void *object);

/* ---- functions for Pools ----------------------------------------------------------------------------- */

/*
 * What workers of a Pool run (kin/proxy.h): it reads arguments from the call and returns a value to it, as a method does,
 * and fails likewise; but in a process of its own, whose death fails this call alone.
 */
typedef int (*kin_call_fn)(kin_call *call);

/*
 * Clients may have workers of Pools run that function, by its name, from now on. Members of the server's family may name any function by
 * itself (kin_any_function); who is none may make Pools only if some function is registered. The name must stay. Before the server
 * serves, or within `setup`. KIN_EINVAL: no name, no function, a name twice; KIN_ENOINIT: no kin_init.
 */
KIN_API int kin_server_register_function(kin_server *server, const char *name, kin_call_fn function);

/* Within such a function: the task that runs it (kin/pool.h: kin_task_stopping, kin_task_random, ...); else NULL. */
KIN_API kin_task *kin_call_task(const kin_call *call);
/* Within such a function: a word of the worker's, NULL at first, which a Pool's initializer sets; else NULL. */
KIN_API void **kin_call_state(const kin_call *call);
/* The manager, if it was started by kin_manager_start, with which objects among the arguments are opened (kin_proxy_of) from within
 * functions of Pools; NULL in methods, where a call to one's own server would wait for itself. */
KIN_API kin_manager *kin_call_manager(const kin_call *call);

KIN_END_DECLS

#endif
