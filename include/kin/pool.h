/*
 * kin/pool.h - a pool of worker processes, or threads.
 *
 * Workers are started once and loop over tasks. A worker that dies, of whatever cause, fails (or has
 * retried) only the task it was in, and is replaced; the map it took part in goes on.
 *
 * Threads  Any thread of the process that made the pool may map over it; maps run one after another.
 *          Other processes may not (KIN_EPERM).
 * Memory   Arrays in the heap (kin/heap.h) are used in place. Arrays in private memory are copied once
 *          each way. Pointers *inside* items are the user's: they must lead into the heap, or (fork
 *          only) to what existed unchanged since kin_pool_new.
 * Output   What tasks have printed by then is told when a map returns, also what stdio held of it (kin/output.h).
 * Ctrl-C   During a map, SIGINT ends the call with KIN_EINTR and the workers with it (new ones are
 *          started by the next map), unless the program has a handler of its own, which stays.
 */
#ifndef KIN_POOL_H
#define KIN_POOL_H

#include "kin/api.h"
#include "kin/arena.h"
#include "kin/error.h"
#include "kin/process.h"
#include "kin/progress.h"
#include "kin/random.h"

KIN_BEGIN

typedef struct kin_pool kin_pool;
struct kin_result;

/* ---- tasks: what a task's function sees ------------------------------------------------------ */

/* The running task; valid until its function returns. */
typedef struct kin_task kin_task;

/*
 * A task of a map: `in` and `out` are this item's. 0: done. Anything else fails the task: a negative
 * KIN_E code with the story kin_error_set() or kin_task_fail() left, or any other value.
 */
typedef int (*kin_task_fn)(kin_task *task, const void *in, void *out);

/* A task of a loop over an index. */
typedef int (*kin_for_fn)(kin_task *task, size_t index, void *context);

KIN_API size_t kin_task_index(const kin_task *task);
KIN_API void *kin_task_context(const kin_task *task);
/* What the pool's initializer made in this worker; NULL without one. */
KIN_API void *kin_task_state(const kin_task *task);
/* 0, 1, ...: which worker's place this is. A replaced worker's successor has its number. */
KIN_API int kin_task_worker(const kin_task *task);
/* 0 the first time, 1 when it is retried after a death, ... */
KIN_API int kin_task_attempt(const kin_task *task);

/*
 * This task's own stream of random numbers (kin/random.h), from its beginning: stream kin_task_index() of the
 * map's seed. So results are the same with any number of workers, and a task that is tried again draws the same
 * numbers again. Valid as long as the task. A pool made inside a task is to get its seed from here, or its tasks
 * draw the same numbers in each.
 */
KIN_API kin_random *kin_task_random(kin_task *task);

/*
 * Whether the task is to come to its end by itself: its soft_time_limit is over, it has been canceled, or its map
 * has been stopped. For long tasks to look at now and then; a few ns.
 */
KIN_API bool kin_task_stopping(const kin_task *task);

/*
 * Shared memory (aligned to 16) that goes with this task: if the task fails or dies, so does the
 * memory; if it succeeds, it belongs to the caller's results (kin_map_args.results). This is how a
 * task gives back a result of variable size: allocate it here and put the pointer into *out.
 */
KIN_API void *kin_task_malloc(kin_task *task, size_t size) KIN_CHECKED;

/* Say why the task fails; returns KIN_EFAILED, so that `return kin_task_fail(task, "...")` reads well. */
KIN_API int kin_task_fail(kin_task *task, const char *format, ...) KIN_PRINTF(2, 3);

/* ---- the pool -------------------------------------------------------------------------------- */

/*
 * Run in each worker before its first task: leave the worker's state in *state. Non-zero: the worker
 * cannot work (its error record is told by the map that needed it). `arg` is a copy of init_arg.
 */
typedef int (*kin_initializer_fn)(void **state, const void *arg);
/* Run in each worker at its orderly end. */
typedef void (*kin_finalizer_fn)(void *state);

enum kin_pool_kind {
    KIN_POOL_PROCESSES = 0, /* worker processes */
    KIN_POOL_INLINE = 1,    /* tasks run in the caller, one by one: for debugging. No limits hold. */
    KIN_POOL_THREADS = 2    /* worker threads of this process, as multiprocessing.pool.ThreadPool has them */
};

/*
 * Pools of threads take the same calls, and do the same, but for what a process alone can have:
 *
 *   crashes    a task that crashes, or calls exit(), ends the program. pthread_exit() in a task ends its worker: the task fails
 *              (KIN_CAUSE_EXITED) or is tried again, and the worker is replaced, without its finalizer
 *   limits     of time, CPU time and memory, memory_ceiling, sealed, output that is told apart: KIN_ENOTSUP, of the call
 *              that asks for them. soft_time_limit holds
 *   cancel     what is queued never starts; a task that runs goes on: kin_result_cancel() tells it (kin_task_stopping()) and is
 *              KIN_ENOTSUP. Of a map no further item starts. kin_result_free() and kin_pool_free() wait until what runs has come
 *              to its end; so does a map that SIGINT ends
 *   memory     tasks may have private memory as `context` and `out`, and maps use private arrays in place, without a copy; so
 *              a task that writes to a `context` of context_size writes to the caller's. kin_usage.peak_memory is 0
 *   finalizer  runs also when the pool is freed without kin_pool_finish(), as nobody else gives back what a thread holds
 *   signals    from outside are blocked in the threads; the program's own threads get them
 *   fork       a process that is forked while the pool lives has none of its threads, and none of the pool (KIN_EPERM); that
 *              the threads may have held locks is told, as of other threads (kin/process.h: start method forkserver)
 *   threads    the option is what pools that are made in tasks share, and what OpenMP may have; others are told nothing
 *
 * start_method is of no account. In a task, calls on its own pool that are its maker's alone are KIN_EPERM, as in a process.
 */

/* Which CPUs workers run on. */
enum kin_pin {
    KIN_PIN_NONE = 0, /* any: the system moves them */
    KIN_PIN_COMPACT =
        1, /* worker after worker to the nearest CPU: threads of a core first, then cores that share a cache */
    KIN_PIN_SPREAD =
        2, /* worker after worker to the farthest: packages in turn, then caches, cores, and last threads of a core */
    KIN_PIN_EXPLICIT = 3 /* by the pool's list of CPUs */
};
#define KIN_THREADS_ANY (-1)

typedef struct kin_pool_options {
    size_t size;
    int workers;      /* up to 1000; 0: kin_cpu_count() */
    int kind;         /* enum kin_pool_kind */
    int start_method; /* enum kin_start_method */
    const char *name; /* copied, up to 31 bytes; NULL: "pool-N" */
    kin_initializer_fn initializer;
    kin_finalizer_fn finalizer;
    const void *init_arg; /* copied */
    size_t init_arg_size;
    kin_limits limits; /* of each worker, for as long as it lives (kin/process.h); for limits of each task
                          see kin_map_args. The inline kind takes none */
    bool sealed; /* workers are sealed processes (kin/process.h): tasks may write to their item's `out`, which
                          is a copy until they succeed, and to what kin_task_malloc gives. The inline kind is not */
    int output; /* enum kin_output: where goes what tasks print (kin/output.h); DEFAULT: where it would go to a terminal
                          it comes in whole lines. The inline kind prints as its process does */
    uint64_t
        seed; /* of its maps' random numbers; 0: the number of the pool, 1 for the first this process makes */
    int threads; /* that each worker may have; 0: its share of kin_cpu_count(), at least 1. Workers are told by KIN_CPUS (so
                    kin_cpu_count() there says it, and pools within tasks share it), OMP_NUM_THREADS,
                    OPENBLAS_NUM_THREADS, MKL_NUM_THREADS and their like, where these do not say less already, unless a number is
                    given here; libraries that a forked worker finds loaded are told by their functions. KIN_THREADS_ANY:
                    workers are told nothing, as in multiprocessing */
    int pin; /* enum kin_pin: each worker runs on `threads` CPUs, from its start on, and what it starts too */
    const int *
        cpus; /* KIN_PIN_EXPLICIT: worker 0 gets the first `threads` of these, and so on, from the front again */
    size_t
        cpu_count; /* at the end of the list. A CPU that is not there or not allowed: maps tell that no worker can work */
    size_t
        tasks_per_worker; /* after so many tasks a worker ends in order, and another takes its place (maxtasksperchild); 0:
                                never. The inline kind's does not */
    size_t
        memory_ceiling; /* bytes: a worker that has more private memory than this after a task, beyond what it had when it was
                              ready, ends in order, and another takes its place: for libraries that leak. 0: none */
    int workers_max; /* as many as kin_pool_resize() may ask for; 0: `workers`. Each takes some 2 KiB from the start */
    double
        idle_time; /* seconds after which a worker that has nothing to do ends in order; when there is something, another
                         takes its place, by itself. 0: never */
} kin_pool_options;

#define KIN_POOL_OPTIONS(...) (&(kin_pool_options){.size = sizeof(kin_pool_options), ##__VA_ARGS__})

/*
 * End the workers at once and release everything, results not taken included. A map in another thread ends with
 * KIN_ECANCELED; from a progress function of the pool's own map it is refused, and logged. NULL does nothing.
 */
KIN_API void kin_pool_free(kin_pool *pool);

/* A pool with its workers started. NULL: KIN_EINVAL, KIN_ENOINIT, KIN_ENOMEM, KIN_ELIMIT, KIN_ESYSTEM. */
KIN_API kin_pool *kin_pool_new(const kin_pool_options *options) KIN_CHECKED KIN_FREED_BY(kin_pool_free);

/* Workers of the pool, as it was made or resized. With idle_time fewer may be there. */
KIN_API int kin_pool_workers(const kin_pool *pool);

/*
 * Give the pool more workers, or fewer, from 1 to the workers_max it was made with; it may be at work. Returns at once: new
 * ones are started, and take part in the map under way too; those with the highest numbers end in order, each when the
 * task that it runs is over. What a worker may have (kin_pool_options.threads) stays. Any thread of the maker.
 *
 * KIN_EINVAL, KIN_ECLOSED, KIN_EPERM, KIN_ESYSTEM; KIN_ENOTSUP: the inline kind
 */
KIN_API int kin_pool_resize(kin_pool *pool, int workers) KIN_CHECKED;

/*
 * Close the pool, let running work end, run the finalizers and wait up to `timeout` seconds for all
 * of it. 0; KIN_ETIMEDOUT (call again, or free); KIN_EBUSY from the pool's own progress function; KIN_EDIED if a
 * worker died in its finalizer: the first failure that nobody has looked at yet, as those of maps are returned by
 * their calls; KIN_ECANCELED: another thread frees the pool.
 */
KIN_API int kin_pool_finish(kin_pool *pool, double timeout) KIN_CHECKED;

/* ---- map ------------------------------------------------------------------------------------- */

/* Bytes of what a failed task had printed that are told with it. */
#define KIN_TASK_OUTPUT 512

/* What a task failed of. */
enum kin_cause {
    KIN_CAUSE_NONE = 0,
    KIN_CAUSE_RETURNED = 1,      /* it returned something else than 0, or called kin_task_fail() */
    KIN_CAUSE_EXITED = 2,        /* it ended its worker by exit() or the like */
    KIN_CAUSE_SIGNALED = 3,      /* its worker died of a signal */
    KIN_CAUSE_OUT_OF_MEMORY = 4, /* the same, by the kernel, as the machine's memory had run out */
    KIN_CAUSE_TIME_LIMIT = 5,
    KIN_CAUSE_CPU_LIMIT = 6,
    KIN_CAUSE_MEMORY_LIMIT = 7,
    KIN_CAUSE_CANCELED = 8,
    KIN_CAUSE_WORKERS = 9 /* no worker can be started, or be made ready */
};

/* What a failed task left behind. */
typedef struct kin_task_error {
    size_t index;      /* which item */
    int worker;        /* which worker's place */
    int pid;           /* which process */
    int attempts;      /* how often it was tried */
    int result;        /* what the function returned, if it did */
    kin_end end;       /* how the worker died of it; KIN_END_RUNNING if it did not */
    double seconds;    /* how long the last attempt ran, to about the length of a tick (limits only) */
    kin_error error;   /* code (KIN_EFAILED, KIN_EDIED, KIN_ETIMELIMIT, KIN_EMEMLIMIT, ...) and story */
    int cause;         /* enum kin_cause */
    char function[64]; /* the name of the task's function, "" if it is not known */
    char output[KIN_TASK_OUTPUT]; /* with KIN_OUTPUT_CAPTURE: the last that it printed; "" if nothing */
} kin_task_error;

enum kin_on_failure {
    KIN_STOP = 0,   /* stop at the first failure: no further task starts, running ones end */
    KIN_COLLECT = 1 /* do all tasks, collect the failures */
};

typedef struct kin_map_args {
    size_t size;
    const void *in; /* count items of in_size bytes; NULL with in_size 0: tasks get NULL */
    size_t in_size;
    void *out; /* count items of out_size bytes; NULL with out_size 0: tasks get NULL */
    size_t out_size;
    size_t count;
    void *context;       /* kin_task_context(): shared memory, or NULL; or with context_size private */
    size_t context_size; /* memory that is copied for the time of the map. Changes are not copied back */
    double time_limit;   /* seconds of wall time for each task; 0: none. Beyond it the worker is killed */
    size_t memory_limit; /* bytes a task may use beyond what its worker used when ready; 0: none */
    int retries;         /* how often a task is tried again, up to 60 times, of causes in `retry_on` */
    int on_failure;      /* enum kin_on_failure */
    size_t chunk;        /* items claimed at once; 0: adapts to the tasks' length */
    kin_progress_fn progress;
    void *progress_arg;
    kin_task_error *errors; /* room for errors_capacity failures, filled in index order; or NULL */
    size_t errors_capacity;
    size_t *failures;    /* how many tasks failed; or NULL */
    kin_arena **results; /* takes the memory tasks made with kin_task_malloc: an arena the caller owns
                            (NULL stored if there was none). Without it the pool keeps it until
                            kin_pool_free */
    size_t
        in_room; /* bytes that there are at `in`, and at `out`, as far as the caller knows (0 and SIZE_MAX: it */
    size_t out_room; /* does not): a map that would go beyond is refused. kin_map fills them in */
    uint64_t
        seed;     /* of its tasks' random numbers (kin_task_random); 0: made of the pool's seed and the number
                        of this map among the pool's, so each map draws others, and each run of the program the same */
    int priority; /* 1, 0, -1: among what else the pool has to do (kin_apply_args): workers begin no task
                               of a lower one while there are items to begin; those of the same one take turns */
    double soft_time_limit; /* seconds after which kin_task_stopping() is true, for each task; 0: none */
    double
        cpu_limit; /* seconds of CPU time of all threads of the worker, for each task; 0: none. Beyond it it
                               is killed */
    unsigned
        retry_on;   /* causes of which a task is tried again: 1u << enum kin_cause, several or-ed; 0: EXITED,
                          SIGNALED, OUT_OF_MEMORY. It finds its `out` zeroed, and runs when others have begun */
    double backoff; /* seconds at least before the first retry; twice as many before each further one */
    /* For kin_pool_map_async (kin/apply.h) alone: */
    void (*done)(struct kin_result *result, void *arg);
    void *done_arg;
    const char
        *journal; /* a file: what is done is written there, and not done again (kin/journal.h); NULL: none */
    const char *job; /* names the job in it, in place of the bytes of `in` and context; or NULL */
    size_t *resumed; /* how many items were in it; or NULL */
    const double *
        costs; /* count numbers, 0 or more: how long each task takes, in any unit. Those that take longest are begun first, so that
                            none is begun late that keeps the map waiting: at most 4/3 of the best possible time, if the costs are
                            true. NULL: in index order. (Among 4 million items at a time. The inline kind takes no notice.) */
} kin_map_args;

#define KIN_MAP_ARGS(...) (&(kin_map_args){.size = sizeof(kin_map_args), ##__VA_ARGS__})

/*
 * Run fn over all items and wait. 0: all succeeded. A block of the heap, given as `in` or `out`, must have room
 * for all items (KIN_EINVAL). Failed items' `out` is zeroed, others' is kept.
 * Items that were not started because of KIN_STOP, a cancel or an interrupt are zeroed too and do not
 * count as failures.
 *
 * KIN_EFAILED, KIN_EDIED, KIN_ETIMELIMIT, KIN_EMEMLIMIT
 *                 tasks failed: the code of the failure with the lowest index among those seen
 * KIN_ECANCELED   the progress function said so
 * KIN_EINTR       Ctrl-C
 * KIN_ECLOSED     the pool was finished
 * KIN_ENOTSHARED  `context` is private memory
 * KIN_EMISMATCH, KIN_EBUSY, KIN_EINVAL, KIN_ESYSTEM
 *                 the journal is another job's, another map's for the moment, or none; or it could not be written (then the
 *                 outputs are there all the same)
 * KIN_EPERM       not the process that made the pool
 */
KIN_API int kin_pool_map(kin_pool *pool, kin_task_fn fn, const kin_map_args *args) KIN_CHECKED;

/* The same over the indices 0 to count-1 (in, out unused); `context` as in kin_map_args. */
KIN_API int kin_pool_for(kin_pool *pool, kin_for_fn fn, const kin_map_args *args) KIN_CHECKED;

/*
 * kin_map(pool, fn, in, out, count)      arrays in, out; int fn(kin_task *, const IN *, OUT *)
 * kin_for(pool, fn, context, count)      int fn(kin_task *, size_t index, CONTEXT *)
 *
 * Types are checked at compile time against the arrays: gcc and clang warn in C (gcc 14 and clang 16 err) and err
 * in C++. `void *` arrays do not compile: their items have no size.
 */
#ifndef __cplusplus
#define kin_map(pool, fn, in_array, out_array, item_count)                                             \
    kin_pool_map((pool),                                                                               \
                 (kin_task_fn)KIN_TYPED(                                                               \
                     (fn), (kin_task *, const __typeof__(*(in_array)) *, __typeof__(*(out_array)) *)), \
                 &(kin_map_args){.size = sizeof(kin_map_args),                                         \
                                 .in = (in_array),                                                     \
                                 .in_size = KIN_ITEM_SIZE(in_array),                                   \
                                 .out = (out_array),                                                   \
                                 .out_size = KIN_ITEM_SIZE(out_array),                                 \
                                 .count = (item_count),                                                \
                                 .in_room = KIN_ROOM(in_array),                                        \
                                 .out_room = KIN_ROOM(out_array)})
#define kin_for(pool, fn, shared_context, item_count)                                                   \
    kin_pool_for((pool), (kin_for_fn)KIN_TYPED((fn), (kin_task *, size_t, __typeof__(shared_context))), \
                 &(kin_map_args){.size = sizeof(kin_map_args),                                          \
                                 .context = (void *)(shared_context),                                   \
                                 .count = (item_count)})
/* `fn`, as a function of these parameters: compilers tell the type it has and the one it should have. */
#define KIN_TYPED(fn, parameters) (((struct { int(*task) parameters; }){fn}).task)
/* What the compiler knows of an array's size in bytes: always of one that is named as such, with optimisation of
 * more. */
#define KIN_ROOM(array) __builtin_object_size((array), 0)
/* sizeof one item; an array of void has none and is refused (a negative array size). */
#define KIN_ITEM_SIZE(array)                                                            \
    (sizeof(char[__builtin_types_compatible_p(__typeof__(*(array)), void) ||            \
                         __builtin_types_compatible_p(__typeof__(*(array)), const void) \
                     ? -1                                                               \
                     : 1]) *                                                            \
     sizeof(*(array)))
#endif

KIN_END_DECLS

#ifdef __cplusplus
template <class In, class Out>
KIN_CHECKED inline int kin_map(kin_pool *pool, int (*fn)(kin_task *, const In *, Out *), const In *in,
                               Out *out, size_t count)
{
    kin_map_args args = {};
    args.size = sizeof args;
    args.in = in;
    args.in_size = sizeof(In);
    args.out = out;
    args.out_size = sizeof(Out);
    args.count = count;
    args.in_room = __builtin_object_size(in, 0);
    args.out_room = __builtin_object_size(out, 0);
    return kin_pool_map(pool, reinterpret_cast<kin_task_fn>(fn), &args);
}
template <class Context>
KIN_CHECKED inline int kin_for(kin_pool *pool, int (*fn)(kin_task *, size_t, Context *), Context *context,
                               size_t count)
{
    kin_map_args args = {};
    args.size = sizeof args;
    args.context = context;
    args.count = count;
    return kin_pool_for(pool, reinterpret_cast<kin_for_fn>(fn), &args);
}
#endif

#endif
