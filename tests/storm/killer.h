/*
 * killer.h - a process that kills children of another one, or descendants, at random moments.
 *
 * It is no member of the family: it finds its victims in /proc, so that it hits those that have not yet
 * attached as well as those at work. A pidfd is opened and the parent looked at again before each kill, so that
 * a number in use again hits nobody else.
 */
#ifndef KIN_TESTS_KILLER_H
#define KIN_TESTS_KILLER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct killer {
    _Atomic int32_t parent;   /* whose children die; 0: nobody's, wait */
    _Atomic uint32_t kills;   /* so far */
    _Atomic uint32_t stop_at; /* no more after so many */
    _Atomic uint32_t deep;    /* not 0: grandchildren and their children too */
    uint32_t gap_us;          /* between two kills: 0 to twice this */
    pid_t pid;                /* the killer's own */
};

/* Start one, before kin_init (it must not share the region). It is idle until `parent` is set. */
struct killer *killer_start(uint32_t gap_us, uint32_t seed);

/* No more kills after this; the number of kills. */
uint32_t killer_stop(struct killer *killer);

/* The living children of a process, by any of its threads: up to `capacity` go to `out`; how many there are. */
size_t children_of(pid_t parent, pid_t *out, size_t capacity);

/* Kill a descendant of `above` or, as its parents may have died, of the caller: nobody who has got its number since. */
bool kill_below(pid_t above, pid_t pid);

/* xorshift: enough for choosing victims. */
static inline uint32_t random_next(uint32_t *state)
{
    uint32_t x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

#endif
