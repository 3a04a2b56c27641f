/*
 * pool/map.h - one call of kin_pool_map, in the caller's private memory.
 *
 * A map is cut into windows of at most KIN__WINDOW items (bounding the status bytes), a window is worked on
 * in rounds: the first deals out all items, each later one what dead workers left undone.
 */
#ifndef KIN_POOL_MAP_H
#define KIN_POOL_MAP_H

#include "pool/local.h"

/* A failure that the supervisor saw: a worker's death in an item. */
struct kin__death {
    struct kin__death *next;
    kin_task_error error; /* index is within the window */
};

struct kin__map {
    struct kin__local *local;
    kin_pool *pool;
    kin_map_args args;
    void (*function)(void);
    kin_arena *scratch; /* status bytes, copies of private arrays, lists: goes with the map */
    size_t window;      /* items of the window under way */
    size_t before;      /* items of windows that are over */
    size_t finished;    /* of these: done or failed */
    size_t failures;
    size_t unasked;             /* takes their number if the caller does not want it */
    struct kin__death *deaths;  /* of this window */
    struct kin__resume *resume; /* NULL: no journal (resume.c) */
    size_t resumed;             /* items of the window that were in it */
    bool undone;                /* items may be pending although the round is over */
    bool limited;               /* by wall time or by CPU time: the supervisor looks often */
    bool stopping;
    bool catches_interrupt;
    int outcome; /* 0, or why the map as a whole ended early; `story` tells */
    kin_error story;
    kin_error first; /* the failure with the lowest index so far; code 0: none */
    double started;
    struct kin__watched *watched; /* of each seat, for progress functions that ask (progress_state.c) */
    size_t resumed_before;        /* items from the journal in windows that are over */
    double next_progress;
    char name[64]; /* of the function, when it was looked up */
};

/* supervise.c: run the window that the pool's job describes, until each item is done or failed, or the map
 * is stopping. Sets outcome where the map cannot go on. `partly`: some are done already. */
void kin__supervise(struct kin__map *map, bool partly);

/* So many seats take part from here on: their dead are the map's to bury. 0: the map is over. */
void kin__map_seats(struct kin__map *map, int count);

/* Before items are tried again that were tried so often: the map's back-off. */
void kin__map_back_off(struct kin__map *map, unsigned attempts);

/* End the map early: no further item starts. */
void kin__map_stop(struct kin__map *map);
/* The same because of an error that is the map's, not an item's: the thread's record. */
void kin__map_break(struct kin__map *map);

/* End the map if another thread is freeing the pool. */
void kin__map_check_canceled(struct kin__map *map);

/* death.c: a worker has ended. Decide what becomes of its item, if it had one, and empty its seat. */
void kin__bury(struct kin__map *map, int worker);
/* The same, and seat another if there is work left in the round. */
void kin__handle_death(struct kin__map *map, int worker);

/* collect.c: after a window: failures to the caller's array, outputs of what was not done zeroed. */
void kin__collect_window(struct kin__map *map);
/* After the map: results to the caller or the pool. */
void kin__collect_results(struct kin__map *map);

/* inline.c: run the window in the caller. */
void kin__run_inline(struct kin__map *map);

/* progress_state.c: what the seats are running, seen at each look; given up at the map's end. */
void kin__watch_seats(struct kin__map *map, double now);
void kin__watch_end(struct kin__map *map);

/* Tell the progress function, if it is time or `last`. */
void kin__map_progress(struct kin__map *map, bool last);

/* From here to its end, SIGINT ends the map and not the program. */
void kin__map_catch_interrupt(struct kin__map *map);

/* interrupt.c: catch SIGINT during a map, unless the program has a handler of its own. */
void kin__interrupt_begin(_Atomic uint32_t *event);
void kin__interrupt_end(_Atomic uint32_t *event);
void kin__interrupt_setup(void);
void kin__interrupt_forked(void);
bool kin__interrupted(void);

#endif
