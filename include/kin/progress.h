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
    size_t resumed;   /* of the done: taken from the map's journal (kin/journal.h) */
    double rate;      /* tasks a second, without these; 0: unknown yet */
    int seats;        /* workers' places: kin_progress_worker knows of 0 to seats-1 */
    const void *map;  /* for kin_progress_worker */
} kin_progress;

/* What a worker is doing. */
typedef struct kin_progress_state {
    size_t size;
    int pid;        /* 0: there is none in this place for the moment */
    bool running;   /* a task of this map; else it waits for one, or starts */
    size_t index;   /* that task */
    double seconds; /* it has run for, to a tenth of a second or so */
    size_t
        done; /* tasks of this map that were run in this place, or of its last 4 million; failed ones included */
    size_t failed;
} kin_progress_state;

/* Ask for a worker, within a progress function. `out->size` must be set. KIN_EINVAL. */
KIN_API int kin_progress_worker(const kin_progress *progress, int worker, kin_progress_state *out);

/* Return non-zero to cancel the map (KIN_ECANCELED). */
typedef int (*kin_progress_fn)(const kin_progress *progress, void *arg);

/*
 * A ready-made one: a bar with rate, failures and remaining time on stderr if that is a terminal, else
 * a plain line every ten seconds or so and one at the end. `arg` is NULL or a kin_progress_options.
 */
typedef struct kin_progress_options {
    size_t size;
    bool off; /* say nothing: for a program's --quiet */
    bool
        workers; /* tell what workers are doing too, those first that have been at a task for longest: as many as there
                            is room for in the bar, each with its process in plain lines */
    double plain_period; /* seconds between plain lines; 0: 10 */
} kin_progress_options;

#define KIN_PROGRESS_OPTIONS(...) \
    (&(kin_progress_options){.size = sizeof(kin_progress_options), ##__VA_ARGS__})

KIN_API int kin_progress_bar(const kin_progress *progress, void *arg);

KIN_END_DECLS

#endif
