/*
 * kin/process.h - processes as easy as threads.
 *
 * A kin_process lies in the family's heap: the pointer is valid in every member. Any member may ask
 * about a process or wait for it; the one that started it keeps its descriptor and collects its
 * status. The user's SIGCHLD handling is not touched, and nobody else's children are waited for.
 *
 * Lifetime  An object lives until its starter frees it. When the starter ends without having done so,
 *          the object goes as soon as the process has ended, too. Who is waiting for it then is
 *          told so; a pointer kept beyond that is stale (KIN_EINVAL).
 * Children  start with an empty signal mask, stdin from /dev/null, and default dispositions of signals 1 to 31 (but see
 *          Crashes); real-time signals keep those of the process that is copied: the parent, the template. What the
 *          parent had printed but not yet flushed is flushed before, by the parent. They end when their function
 *          returns (its value, 0 to 255, is the exit code), or by exit().
 * Death    When a member's parent dies, by whatever means, the member is ended too, unless it was
 *          started detached; and so on down. Whatever a member owned when it died is freed, and
 *          whoever waited for it is woken. It is told by a signal, SIGRTMAX - 1, which is kin's: a
 *          child that blocks or handles it itself, that has changed its user, or that a plain fork()
 *          made, is not ended (idle workers of pools notice all the same). A parent that execs lives. A
 *          child that execs is ended by that signal also when only the thread ends that started it.
 * Borders   A process started, or forked, into another pid namespace (unshare, setns) is refused: it ends with
 *          exit code 126 and KIN_EMISMATCH in kin_process_error; a plain fork's calls fail with it.
 * Programs  What a started process had started by itself, by system(), popen(), fork and exec, is killed when it
 *          ends, however it ends; not so what has opened a session of its own (setsid, daemon). They are told by
 *          a mark in RLIMIT_LOCKS (ulimit -x), which they inherit and Linux ignores: leave it alone. Process
 *          groups are left as they are, so Ctrl-C reaches all of them.
 * Ends     A normal exit of a process joins its children and ends its daemons (daemon = true), as in
 *          Python.
 * Crashes   Children have a handler for SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS and SIGTRAP. It notes what
 *          kin_process_end and kin_process_backtrace tell, then passes the signal on, to whoever handled it before (a
 *          spawned child's constructors may) or to its default: the process dies of it, with a core dump if there is to be one. The program
 *          may replace it. It runs on a stack of its own in the child's main thread, so that an overflow
 *          of the stack can be told; in other threads an overflow ends the process without a word, unless they
 *          call sigaltstack(2). Founders and plain forks have no such handlers.
 * Descriptors  A program may close what it has not opened itself (closefrom(3), close_range(2)), and have files of its own under
 *          the same numbers. kin looks whose a descriptor is before it uses it and closes none of the program's; those of its
 *          children it opens again, so that signals reach them and nobody else, joins return, ends and limits of wall time are
 *          noticed, at the latest half a second late, and output is read. From then on this process starts by
 *          fork only (KIN_ESYSTEM), and a sentinel has another number: ask for it again. What a dead child had printed
 *          and nobody had read yet is lost.
 * Threads  All calls may be made by any thread. One that is cancelled in a call (pthread_cancel) leaves nothing
 *          held, and no process that nobody knows: what it had started is among kin_active_children.
 */
#ifndef KIN_PROCESS_H
#define KIN_PROCESS_H

#include "kin/api.h"
#include "kin/error.h"
#include "kin/output.h"

KIN_BEGIN

typedef struct kin_process kin_process;

/* A process's body. The value it returns, 0 to 255, is the exit code. Static functions will do. */
typedef int (*kin_process_fn)(void *arg);

/*
 * A limit, soft and hard as with setrlimit(2): soft gives the process a chance, hard is the end of it. 0 is
 * none, KIN_LIMIT_ZERO a true zero (no core dump, say).
 *
 *   limit       unit      at soft                             at hard
 *   ---------   -------   ---------------------------------   -----------------------------------------------
 *   memory      bytes     allocations fail (ENOMEM)           what the process may raise soft to
 *   heap        bytes     one warning is logged               kin_malloc and arenas fail with KIN_EMEMLIMIT
 *   cpu_time    seconds   SIGXCPU, and again each second      SIGKILL
 *   wall_time   seconds   SIGTERM                             SIGKILL
 *   core        bytes     a core dump is cut, or not made     what the process may raise soft to
 *   files       number    open() fails (EMFILE)               what the process may raise soft to
 *
 * Where hard bounds soft (memory, core, files) a hard limit alone is both. Limits can only be lowered: one above
 * what the starter may set for itself is an error there. What the process starts in its turn has the same limits,
 * by the kernel, but for heap and wall_time.
 *
 *   memory     private memory (RLIMIT_DATA) beyond what the process has when its function begins; the stack of a
 *              further thread counts, 8 MiB as a rule
 *   heap       of the family's heap: what all its threads allocate less what they free, whoever has it by then.
 *              Looked at when a thread needs fresh memory: each may have up to a span a size class beyond it
 *   cpu_time   of all its threads, not of what it starts; a program that it execs or starts has about twice as
 *              much, in whole seconds (RLIMIT_CPU)
 *   wall_time  from its start on, kept by a thread of the member that started it, however busy that is, but not
 *              while it is stopped; a detached process whose starter is gone has none left
 */
struct kin_limit {
    double soft, hard;
};
#define KIN_LIMIT_ZERO 1e-9

typedef struct kin_limits {
    struct kin_limit memory;
    struct kin_limit heap;
    struct kin_limit cpu_time;
    struct kin_limit wall_time;
    struct kin_limit core;
    struct kin_limit files;
} kin_limits;

/* Which limit ended a process: kin_end.limit. */
enum kin_limit_kind {
    KIN_LIMIT_NONE = 0,
    KIN_LIMIT_MEMORY = 1,   /* it ended itself, or crashed, when private memory had been refused */
    KIN_LIMIT_HEAP = 2,     /* the same of memory of the heap */
    KIN_LIMIT_CPU_TIME = 3, /* it died of SIGXCPU or SIGKILL at its limit */
    KIN_LIMIT_WALL_TIME = 4 /* it died of the SIGTERM or SIGKILL it was sent */
};

typedef struct kin_process_options {
    size_t size;
    const char *name;  /* copied, up to 31 bytes; NULL: "process-N" */
    int start_method;  /* enum kin_start_method */
    bool daemon;       /* ended, not joined, when its parent exits */
    bool detached;     /* goes on when its parent dies; neither joined nor ended at the parent's exit */
    kin_limits limits; /* all zero: none but the starter's own */
    bool sealed;       /* it may read shared memory, and write only to its own arenas: see below */
    int output; /* enum kin_output: where goes what it prints (kin/output.h). A detached one's passes */
    struct kin_connection *const
        *connections; /* by spawn and forkserver: what it is to have of those that lie
                                                  neither in its argument nor in the block that is passed */
    size_t connection_count;
} kin_process_options;

/*
 * A sealed process is for code that scribbles before it crashes. A write of its own to any address of shared memory, but
 * those it allocated itself, ends it by SIGSEGV (KIN_FAULT_SEALED, or _GUARD) and hits nobody. What is different there:
 *
 *   kin_malloc, kin_calloc ...   memory of an arena of its own, which goes when it ends; kin_free, kin_realloc of blocks that it
 *                                did not allocate itself are refused (KIN_EPERM, logged)
 *   kin_arena_new, _malloc       take 64 KiB at least; kin_arena_give hands an arena over, after which it cannot write there.
 *                                Others cannot take or free an arena that it owns (KIN_EPERM)
 *   its argument                 is a private copy; what kin_process_start_shared passes may only be read
 *   starting processes, making pools    KIN_EPERM; locks cannot be used
 *   waiting for others           works, but it recovers nobody: that is left to who is not sealed
 *
 * What it forks is sealed too. It maps the region twice: under `ulimit -v` it may fail to start (exit code 126, with
 * a message on stderr). Its private memory is its own to overwrite, and with it what kin keeps there.
 */

#define KIN_PROCESS_OPTIONS(...) (&(kin_process_options){.size = sizeof(kin_process_options), ##__VA_ARGS__})

/* How a process ended. An exit code and a signal are never folded into one number. */
enum kin_end_how {
    KIN_END_RUNNING = 0,  /* it has not ended */
    KIN_END_EXITED = 1,   /* exit_code is valid */
    KIN_END_SIGNALED = 2, /* signal (and core_dumped) are valid */
    KIN_END_UNKNOWN = 3   /* it ended, but its status was collected by someone else (the program's
                             own waitpid, or SIGCHLD ignored) and it had no time to tell */
};

/* What the address of a SIGSEGV or SIGBUS points at. */
enum kin_fault {
    KIN_FAULT_NONE = 0,      /* no fault of memory, or the process could not tell */
    KIN_FAULT_NULL = 1,      /* a null pointer: the first 64 KiB, where nothing ever lies */
    KIN_FAULT_STACK = 2,     /* beyond the end of the thread's stack: it overflowed */
    KIN_FAULT_PRIVATE = 3,   /* private memory of another member, fault_pid: a pointer that leaked */
    KIN_FAULT_GUARD = 4,     /* a guard of the heap, or of the family's tables */
    KIN_FAULT_FREE = 5,      /* free memory of the heap */
    KIN_FAULT_UNUSED = 6,    /* the shared region, but no part of it that is in use */
    KIN_FAULT_SEALED = 7,    /* shared memory that the process may not write */
    KIN_FAULT_READ_ONLY = 8, /* its own memory that may be read only: constants, code */
    KIN_FAULT_NO_ACCESS = 9, /* its own memory that may not be touched, or is no code and was called */
    KIN_FAULT_NO_PAGE = 10,  /* mapped, but there is no memory: beyond a file's end, or memory had run out */
    KIN_FAULT_UNMAPPED = 11, /* nothing, in any member */
    KIN_FAULT_IMPOSSIBLE = 12, /* no address at all: the bits cannot be one, or are misaligned for the use */
    KIN_FAULT_FROZEN = 13      /* frozen data, which nobody may write (kin/frozen.h) */
};

typedef struct kin_end {
    int how; /* enum kin_end_how */
    int exit_code;
    int signal;
    bool core_dumped;
    int limit;          /* enum kin_limit_kind: the limit that ended it, as far as that can be told */
    bool out_of_memory; /* ended by SIGKILL, and its memory cgroup had counted one more OOM kill */
    int signal_code;    /* si_code, as sigaction(2) has it, of a signal that comes of a fault; else 0 */
    int fault;          /* enum kin_fault */
    int fault_pid;      /* PRIVATE: whose memory */
    int sender;         /* pid of who sent such a signal, if it was sent by another process; else 0 */
    void *
        fault_address; /* of SIGSEGV, SIGBUS: what was touched; of SIGFPE, SIGILL, SIGTRAP: the instruction */
    char fault_name[40]; /* what is mapped there: "stack", "heap", a file's name; whose guard page it is:
                            "members table"; "" if it has no name */
} kin_end;

/*
 * Release the object; a process that still runs is ended (SIGKILL) and waited for. NULL does nothing. By its starter
 * only, and not for workers of pools: else it is left alone and reported, as with kin_free().
 */
KIN_API void kin_process_free(kin_process *process);

/*
 * Start a process that runs fn(arg). `arg_size` bytes at `arg` are copied for the child, which sees
 * the copy (aligned to 16; NULL if arg_size is 0); the caller may reuse its bytes on return.
 *
 * KIN_EINVAL   no function, or `arg` NULL with a size; or the function cannot be named for a spawned
 *              child (it lies in no module: generated code); or a limit that cannot be
 * KIN_ENOINIT  kin_init was not called
 * KIN_ENOTSUP  spawn from a program whose main did not call kin_init
 * KIN_ELIMIT   too many members
 * KIN_ENOMEM, KIN_EMEMLIMIT  no memory for the object and the copy
 * KIN_ECLOSED  this process is ending
 * KIN_ESYSTEM, KIN_ENOTFOUND  fork or exec failed; the program's file has been replaced
 */
KIN_API kin_process *kin_process_start(kin_process_fn fn, const void *arg, size_t arg_size,
                                       const kin_process_options *options) KIN_CHECKED
    KIN_FREED_BY(kin_process_free);

/*
 * Start a process that runs fn(pointer), where the pointer leads into shared memory (or is NULL).
 * KIN_ENOTSHARED: it leads elsewhere (the caller's stack, say), where the child would see a copy.
 */
KIN_API kin_process *kin_process_start_shared(kin_process_fn fn, void *pointer,
                                              const kin_process_options *options) KIN_CHECKED
    KIN_FREED_BY(kin_process_free);

/*
 * Wait until it has ended and all it owned is recovered. 0 once it has (however it ended, see
 * kin_process_end), KIN_ETIMEDOUT if not in time; KIN_EINVAL for joining oneself.
 */
KIN_API int kin_process_join(kin_process *process, double timeout);

/* Send SIGTERM; SIGKILL. 0 also if it has ended already. Never hits another process by pid reuse. */
KIN_API int kin_process_terminate(kin_process *process);
KIN_API int kin_process_kill(kin_process *process);

KIN_API bool kin_process_is_alive(kin_process *process);
KIN_API int kin_process_pid(const kin_process *process);
KIN_API const char *kin_process_name(const kin_process *process);

/* How it ended; `how` is KIN_END_RUNNING while it has not. Never waits. */
KIN_API int kin_process_end(kin_process *process, kin_end *out);

/*
 * The failure it left: what kin_error_* held in its main thread when its function returned non-zero, or,
 * if it died, the sentence about that, with the functions it was in: KIN_EDIED, or KIN_ETIMELIMIT or KIN_EMEMLIMIT if
 * it was a limit. With KIN_OUTPUT_CAPTURE the last line that it printed is added, and an exit code other than 0 alone is
 * KIN_EFAILED. `code` 0: none.
 */
KIN_API int kin_process_error(kin_process *process, kin_error *out);

/*
 * A descriptor that becomes readable when the process has ended, for poll loops. It belongs to the
 * process object: do not close it. In the member that started it only; KIN_EPERM elsewhere. KIN_ESYSTEM: the
 * program has closed it, and it cannot be opened again now.
 */
KIN_API int kin_process_sentinel(kin_process *process);

/* The calling process; its parent in the family (NULL in the founder). Not to be freed. */
KIN_API kin_process *kin_current_process(void);
KIN_API kin_process *kin_parent_process(void);

/*
 * The children of the calling process that have not ended: up to `capacity` go to `out` (NULL if
 * capacity is 0), their number, which may be larger, to `count`.
 */
KIN_API int kin_active_children(kin_process **out, size_t capacity, size_t *count);

/*
 * CPUs this process may use: affinity and the cgroup's quota (v1 and v2), rounded up; at least 1. KIN_CPUS in the environment makes it
 * less: a pool's workers have it, so that they share the CPUs (kin_pool_options.threads).
 */
KIN_API int kin_cpu_count(void);

/*
 * Who called whom in the thread in which the process crashed: a line a frame, innermost first, with function,
 * file and line as far as they are known,
 *
 *     #0 solve_row at solver.c:57 (solver+0x11a9)
 *
 * NUL-terminated in `buffer`, cut after `size` bytes; 64 frames at most. "" if it has not ended, ended otherwise (by
 * exit or SIGKILL, say), or had no time to tell. Static functions are named too, unless they were stripped; files and
 * lines need debug information (cc -g) in the program, or in /usr/lib/debug, and libdw (Debian: libdw1) on the
 * machine; it is loaded for the time of the call. Any member may ask.
 */
KIN_API int kin_process_backtrace(kin_process *process, char *buffer, size_t size);

/*
 * A text for an end, in `buffer`, which is returned; 200 bytes will do.
 *
 *     exit code 3
 *     signal 9 (SIGKILL), out of memory
 *     signal 11 (SIGSEGV) at 0x7ffd5e1c: private memory of process 1234 (its stack)
 */
KIN_API char *kin_end_text(const kin_end *end, char *buffer, size_t size);

KIN_END_DECLS

#endif
