/*
 * kin/journal.h - a map that is run again does only what is missing.
 *
 * With kin_map_args.journal, the name of a file, a map writes down what is done: which items, and their `out`. Run again with the same
 * file, after a kill, a crash, Ctrl-C or a stop at a failure, it takes those from there and does the others: what failed is tried
 * again. When all is done the file stays, and the map returns at once with all results, until somebody deletes it.
 *
 * When     Some 0.1 s after an item is done, by the process that called the map, so workers have no part in it. What was done in the
 *          last 0.1 s before a kill of everything is done again. Against a failure of the machine itself the file is brought to the
 *          disk at the end of the map only: what is lost then is done again, too.
 * Job      A file belongs to one job: number and size of items, their bytes (`in`), the map's seed, and context_size bytes of
 *          context; or, if kin_map_args.job names it, that name in place of the bytes (for inputs with pointers in them, which differ
 *          in each run). Another job's file is refused. The function does not count: it may have been mended meanwhile.
 *          Without a seed, random numbers (kin_task_random) follow from the job: the rest is done with those it would have had.
 * Damage   Each record has a check sum. What was torn at the file's end is cut off; what is no journal is never written to.
 * Outputs  must be plain bytes: what a task gets by kin_task_malloc does not outlive the family, and is refused (KIN_ENOTSUP).
 * Others   One map at a time has a file (flock): KIN_EBUSY.
 */
#ifndef KIN_JOURNAL_H
#define KIN_JOURNAL_H

#include "kin/api.h"

KIN_BEGIN

typedef struct kin_journal_info {
    size_t size;
    uint64_t total;   /* items of the job */
    uint64_t done;    /* of these: in the journal */
    uint64_t in_size; /* bytes of an item, and of its output */
    uint64_t out_size;
    uint64_t bytes; /* of the file that are whole */
    uint64_t torn;  /* behind them */
} kin_journal_info;

/*
 * What a journal says, without changing it. `out->size` must be set. Needs no kin_init.
 *
 * KIN_ENOTFOUND  there is no such file
 * KIN_EINVAL     it is no journal
 * KIN_ESYSTEM    it cannot be read
 */
KIN_API int kin_journal_read(const char *path, kin_journal_info *out) KIN_CHECKED;

KIN_END_DECLS

#endif
