/*
 * bench.h - the driver: what is measured, how, and what is made of it.
 *
 * All contestants of a case run in one invocation, in turn (A B C A B C ...), each in a process of its
 * own (peer.c, runner.h). Each row is the median over the rounds; ratios to kin are medians of the
 * rounds' ratios, so that what slows one whole round touches them little.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum { BENCH_MOST_ROUNDS = 15, BENCH_MOST_ENTRIES = 192 };

/* What a row says, and so how it is measured. */
enum bench_kind {
    BENCH_METG,         /* METG(50 %), us: smaller is better, as all times are */
    BENCH_TASKS,        /* tasks a second */
    BENCH_MESSAGES,     /* messages a second, measured alike */
    BENCH_GIGABYTES,    /* GB/s of `count` bytes a repeat */
    BENCH_MILLISECONDS, /* of one repeat */
    BENCH_MICROSECONDS,
    BENCH_NANOSECONDS,
    BENCH_FAULTS, /* page faults of one repeat */
    BENCH_RATIO   /* as the contestant tells it */
};

struct bench_entry {
    const char *only; /* the case, as ONLY= names it */
    const char *set;  /* entries of one set run in turn; those of one `who` share their process */
    const char *name; /* the record's case: that of `only`, or with a part, "map-8mib:first" */
    const char *who;
    const char *runner; /* the program */
    enum bench_kind kind;
    size_t count;   /* tasks; 0 with METG, TASKS: as many as fill the time of a run */
    size_t repeats; /* of a run; 0: as many as fill its time */
    double guess;   /* METG: seconds to begin the search at, on the long side */
    bool fresh;     /* each sample by a new process of the contestant: what it does first is measured */
};

/* What has been measured of an entry. */
struct bench_row {
    const struct bench_entry *entry;
    size_t rounds;
    double samples[BENCH_MOST_ROUNDS]; /* one a round; NAN: it gave none */
    bool warm;                         /* METG, TASKS: it has run once */
    double guess;                      /* METG: where the next search begins */
    double per_task;                   /* TASKS: seconds a task, to choose the number */
    char failed[160];                  /* why, or "" */
};

/* median(numerator / denominator, round by round) has to be at most or at least `limit`; of_who NULL: the median
 * of the numerator alone. */
struct bench_target {
    const char *text;
    const char *name;
    const char *who;
    const char *of_name;
    const char *of_who;
    bool at_least;
    double limit;
};

struct bench_options {
    bool quick;
    const char *only;   /* NULL: all */
    const char *json;   /* NULL: none */
    const char *python; /* the interpreter of mp.* */
    size_t rounds;      /* 0: 7, quick 1 */
};

/* cases.c: what there is to measure */
extern const struct bench_entry bench_entries[];
extern const size_t bench_entry_count;
extern const struct bench_target bench_targets[];
extern const size_t bench_target_count;
const char *bench_title(const char *name);
const char *bench_unit(enum bench_kind kind);

/* peer.c: whether the contestant's program was built: some need packages that may not be here */
bool bench_peer_exists(const struct bench_entry *entry);

/* a contestant's process */
struct bench_peer {
    const char *set;
    const char *who;
    pid_t pid;   /* 0: not running */
    bool broken; /* it failed once, and is not started again */
    int requests;
    int answers;
};
/* 0, or -1 with the reason in `why`. */
int bench_peer_start(struct bench_peer *peer, const struct bench_entry *entry, const char *python,
                     char why[160]);
int bench_peer_run(struct bench_peer *peer, const struct bench_entry *entry, size_t count, uint32_t links,
                   size_t repeats, double *seconds, char why[160]);
void bench_peer_end(struct bench_peer *peer);

/*
 * measure.c: one sample of a row; `link` is the seconds that one link of work takes now. 0; 1 if the machine
 * is too busy with other things to tell; -1 if the contestant failed, with the reason in the row.
 */
int bench_measure(struct bench_row *row, struct bench_peer *peer, double link, bool quick, double *value);

/* report.c: tables, targets, records */
void bench_report_rows(const struct bench_row *rows, size_t count);
void bench_report_targets(const struct bench_row *rows, size_t count);
int bench_report_json(const struct bench_row *rows, size_t count, const char *path);

#endif
