/*
 * kin/output.h - where goes what processes print.
 *
 * What a process started by kin prints, by whatever means (stdio, C++ streams, write(2), programs that it runs), goes
 * where its starter's output goes; or, by the option `output` of processes and pools, through pipes that a thread of
 * the starter reads.
 *
 * Lost     Whatever has left the process is told, however that ends. What it still holds itself is written out when its
 *          function returns, by exit(), and by a crash. _exit() and SIGKILL (SIGTERM too, unless it is handled) lose what
 *          stdio holds: with LINES, PREFIX and CAPTURE, where stdout is line-buffered, the last half line at most. Nothing is
 *          printed twice: what the starter had printed is its own to write.
 * Order    Lines of one process in its order, if stdout and stderr lead to the same place (or are captured); else each
 *          of them for itself. kin_process_join() returns when what the process had printed is told, and maps of a pool
 *          when what their tasks had printed is. A half line is told when the rest comes, or the process ends.
 * Whole    A line of up to 64 KiB is written at once and never mixes with others' lines, a longer one is cut. A progress bar
 *          (kin/progress.h) is taken away before and drawn again behind. Bytes are passed as they are, zeros too.
 * Waiting  The pipes are bounded: if nobody takes the starter's output, processes that print wait, as any program does
 *          before a pipe; captured ones never do for long. If it can not be written at all, it is dropped, and that logged
 *          once.
 * Death    A process whose starter dies ends (kin/process.h), and what it had printed and the starter had not yet passed on
 *          is lost. A starter that execs another program takes nobody's output any more.
 * Threads  All calls may be made by any thread.
 */
#ifndef KIN_OUTPUT_H
#define KIN_OUTPUT_H

#include "kin/api.h"

KIN_BEGIN

enum kin_output {
    KIN_OUTPUT_DEFAULT =
        0, /* PASS; for a pool's workers LINES of what would go to a terminal, where a bar may be */
    KIN_OUTPUT_PASS = 1,   /* the starter's streams themselves: no cost, no pipe; lines of several may mix */
    KIN_OUTPUT_LINES = 2,  /* whole lines, as they are */
    KIN_OUTPUT_PREFIX = 3, /* whole lines, each behind "[name] " */
    KIN_OUTPUT_CAPTURE = 4 /* not printed: the last lines are kept, 8 KiB, and told with a failure */
};

struct kin_process;

/*
 * What a process with KIN_OUTPUT_CAPTURE printed last, on stdout and stderr: the end of it, up to size - 1 bytes,
 * NUL-terminated in `buffer`; if it was cut, from the beginning of a line on, where there is one. "" if it printed nothing, or
 * is not captured. Bytes in all since it started, those told included, go to `printed` (NULL: not asked). Also while it
 * runs, also in other members; in its starter all is told once it has been joined.
 */
KIN_API int kin_process_output(struct kin_process *process, char *buffer, size_t size, size_t *printed);

KIN_END_DECLS

#endif
