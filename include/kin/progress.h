/*
 * kin/progress.h - how far a map is.
 *
 * A progress function is called in the thread that called kin_pool_map, never on a hidden thread:
 * once at the start, then about ten times a second, and once at the end.
 */
#ifndef KIN_PROGRESS_H
#define KIN_PROGRESS_H

#include "kin/api.h"

KIN_BEGIN

typedef struct kin_progress {
    size_t size;
    size_t total;     /* tasks of this map */
    size_t done;      /* finished so far, failed ones included */
    size_t failed;    /* of these: failed */
    size_t deaths;    /* workers that died and were replaced */
    double elapsed;   /* seconds since the call */
    double remaining; /* estimate in seconds; negative: unknown yet */
    int workers;      /* workers alive */
    bool finished;    /* this is the last call */
    const char *name; /* the pool's name */
} kin_progress;

/* Return non-zero to cancel the map (KIN_ECANCELED). */
typedef int (*kin_progress_fn)(const kin_progress *progress, void *arg);

/*
 * A ready-made one: a bar with rate, failures and remaining time on stderr if that is a terminal, else
 * a plain line every ten seconds or so and one at the end. `arg` is not used.
 */
KIN_API int kin_progress_bar(const kin_progress *progress, void *arg);

KIN_END_DECLS

#endif
