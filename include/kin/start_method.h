/*
 * kin/start_method.h - how children are started: fork, spawn, forkserver.
 *
 *                 fork                       spawn                        forkserver
 *   -----------   ------------------------   --------------------------   ---------------------------------
 *   the child     a copy of the caller       the program started afresh   a copy of a template, which is the
 *   is                                                                    program started afresh
 *   it has        all variables as they      what main sets before        the same, and what the function of
 *                 are now                    kin_init                     kin_forkserver_prepare has made
 *   before        not run again              runs in each child           runs in the template, once
 *   kin_init
 *   descriptors   all                        the standard streams only    the same, and what the template opened
 *   beside        a danger: what they        none                         none
 *   threads       hold stays locked
 *
 * All three take any function, arguments copied or shared, names, limits, sealed, daemon and detached; the caller is the
 * child's parent in every respect.
 *
 * Template  Each process that starts by forkserver has one of its own, its child, made at the first start or by
 *          kin_forkserver_prepare; kin_active_children does not list it. It has its starter's environment, working
 *          directory, limits and standard streams of that moment, and so have the children. It ignores SIGINT. It has one thread: a
 *          function that leaves threads behind cannot prepare one. Handlers of pthread_atfork(3), but for kin's, do not run
 *          in its children.
 * Death    The template ends with the process that has it, however that ends. One that is killed is replaced at the
 *          next start, or in the middle of one, with a warning in the log; its function runs again then. Children
 *          that it had made are not concerned.
 * Default   What the process has set here; else what its starter had set; else what the founder has in kin_init_options, or
 *          in KIN_START_METHOD; else fork. An option of a process or pool goes before all of these.
 * Threads  Any. The first fork in a process that runs threads of its own is told as a warning in the log.
 */
#ifndef KIN_START_METHOD_H
#define KIN_START_METHOD_H

#include "kin/api.h"
#include "kin/process.h"

KIN_BEGIN

/*
 * The default of the calling process, and of what it starts from now on (KIN_START_DEFAULT: the family's again).
 *
 * KIN_EINVAL   none of enum kin_start_method
 * KIN_ENOTSUP  spawn or forkserver, in a program whose main did not call kin_init(&argc, &argv)
 */
KIN_API int kin_set_start_method(int method);

/* What KIN_START_DEFAULT means here now; KIN_ENOINIT. */
KIN_API int kin_get_start_method(void);

/*
 * The methods that this program can use, the default first: up to `capacity` go to `out` (NULL if capacity is 0), their
 * number, which may be larger, to `count`.
 */
KIN_API int kin_all_start_methods(int *out, size_t capacity, size_t *count);

/* "fork", "spawn", "forkserver"; NULL: there is no such method. And back: KIN_EINVAL. Need no kin_init. */
KIN_API const char *kin_start_method_name(int method);
KIN_API int kin_start_method_by_name(const char *name);

/*
 * Start the calling process's template now, and run fn(arg) in it: what it loads into variables, libraries and private memory,
 * each child that is started by forkserver from then on has from its beginning, without copying it. `arg_size` bytes at
 * `arg` are copied. Waits up to `timeout` seconds for the function, which returns 0 if all went well; so does
 * a start that has to replace a template. Whoever starts by forkserver meanwhile, waits too.
 *
 * A second call makes another template, and ends the first; children go on. If it fails, the first stays. Without a function
 * (NULL) the new template has nothing but what main does before kin_init. Templates of forkserver's children, should they start
 * some of their own that way, run the same function; so do those of forked children; not those of spawned ones.
 *
 * KIN_ETIMEDOUT  the function was not done in time; it was ended
 * KIN_EFAILED    it returned another value than 0, and left no record of its own: that would be told, with its code
 * KIN_EDIED      it died
 * KIN_ENOTSUP    it left threads running; or main did not call kin_init(&argc, &argv); or the kernel lacks
 *                CONFIG_CHECKPOINT_RESTORE
 * KIN_EINVAL     an argument without function, or of a size without a pointer; a timeout that is none
 * KIN_EPERM      this process is sealed
 */
KIN_API int kin_forkserver_prepare(kin_process_fn fn, const void *arg, size_t arg_size,
                                   double timeout) KIN_CHECKED;

KIN_END_DECLS

#endif
