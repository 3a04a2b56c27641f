/*
 * measure.c - one sample of a row.
 *
 * METG(50 %) is the shortest task g at which two workers spend half of their time on useful work:
 * count x g / (2 x seconds) >= 0.5. A run of `count` tasks of length g also tells what each task cost
 * a worker beside its work, o = 2 x seconds / count - g; were o the same for all lengths, METG would be
 * o. So the search steps from a long task straight to o, until it has a length that passes and one that
 * does not, and then halves the distance.
 */
#include "bench.h"
#include "runner.h"

#include <math.h>
#include <string.h>

enum { MOST_STEPS = 16 };

/* If tasks as long as this don't keep two workers half busy, others have the machine. */
static const double longest = 0.01;

struct search {
    double passed;            /* the shortest length that passed; 0: none yet */
    double passed_efficiency; /* and how well */
    double failed;            /* the longest that did not */
    double failed_efficiency;
};

/* Seconds that one run should fill. */
static double fill(bool quick)
{
    return quick ? 0.02 : 0.1;
}

static size_t at_least_one(double number)
{
    return number < 1 ? 1 : (size_t)number;
}

/* Choose count (unless the entry has one) and repeats so that `tasks` tasks are done. */
static void split(const struct bench_entry *entry, double tasks, size_t *count, size_t *repeats)
{
    *count = entry->count;
    if (!*count)
        *count = at_least_one(tasks < (double)BENCH_MOST_TASKS ? tasks : (double)BENCH_MOST_TASKS);
    *repeats = at_least_one(tasks / (double)*count + 0.5);
}

static double next_length(const struct search *search, double length, double overhead)
{
    double shortest = length / 100;

    if (search->passed > 0 && search->failed > 0)
        return sqrt(search->passed * search->failed);
    if (search->passed > 0)
        return overhead > length * 0.95 ? length * 0.9 : overhead < shortest ? shortest : overhead * 0.95;
    return overhead < length * 1.05 ? length * 1.1 : overhead > length * 100 ? length * 100 : overhead * 1.05;
}

/* Where the efficiency is one half, between the two, on a log scale. */
static double crossing(const struct search *search)
{
    double share;

    if (search->failed <= 0)
        return search->passed;
    if (search->passed <= search->failed) /* noise: both happened at about this length */
        return sqrt(search->passed * search->failed);
    share = (0.5 - search->failed_efficiency) / (search->passed_efficiency - search->failed_efficiency);
    return search->failed * pow(search->passed / search->failed, share);
}

static int measure_metg(struct bench_row *row, struct bench_peer *peer, double link, bool quick,
                        double *value)
{
    const struct bench_entry *entry = row->entry;
    struct search search = {0};
    double length = row->guess;

    for (int step = 0; step < MOST_STEPS; step++) {
        size_t links = at_least_one(length / link + 0.5);
        double efficiency;
        double seconds;
        size_t count;
        size_t repeats;

        length = (double)links * link;
        split(entry, fill(quick) / length, &count, &repeats);
        if (bench_peer_run(peer, entry, count, (uint32_t)links, repeats, &seconds, row->failed))
            return -1;
        efficiency = (double)count * (double)repeats * length / (2 * seconds);
        if (efficiency >= 0.5 && (search.passed <= 0 || length < search.passed)) {
            search.passed = length;
            search.passed_efficiency = efficiency;
        } else if (efficiency < 0.5 && length > search.failed) {
            search.failed = length;
            search.failed_efficiency = efficiency;
        }
        if (search.passed > 0 && search.failed > 0 && search.passed < search.failed * 1.1)
            break;
        if (search.passed > 0 && search.failed > 0 && search.passed - search.failed < 1.5 * link)
            break;
        if (search.passed > 0 && links == 1)
            break;
        if (search.passed <= 0 && length >= longest)
            break;
        length = next_length(&search, length, 2 * seconds / ((double)count * (double)repeats) - length);
        if (length > longest)
            length = longest;
    }
    if (search.passed <= 0)
        return 1;
    *value = crossing(&search) * 1e6;
    row->guess = crossing(&search) * 1.05;
    return 0;
}

static int measure_tasks(struct bench_row *row, struct bench_peer *peer, bool quick, double *value)
{
    double enough = fill(quick);

    if (row->per_task <= 0)
        row->per_task = enough / 1000;
    /* The first time, grow the number until it fills the time at least in part. */
    for (;;) {
        size_t count;
        size_t repeats;
        double seconds;
        double tasks;

        split(row->entry, enough / row->per_task, &count, &repeats);
        if (bench_peer_run(peer, row->entry, count, 0, repeats, &seconds, row->failed))
            return -1;
        tasks = (double)count * (double)repeats;
        *value = tasks / seconds;
        if (seconds > enough / 4) {
            /* Half way, as a contestant with two speeds would go to and fro. */
            row->per_task = sqrt(row->per_task * seconds / tasks);
            return 0;
        }
        row->per_task /= seconds > enough / 40 ? enough / seconds : 10;
    }
}

int bench_measure(struct bench_row *row, struct bench_peer *peer, double link, bool quick, double *value)
{
    static const double scales[] = {[BENCH_MILLISECONDS] = 1e3,
                                    [BENCH_MICROSECONDS] = 1e6,
                                    [BENCH_NANOSECONDS] = 1e9,
                                    [BENCH_FAULTS] = 1};
    const struct bench_entry *entry = row->entry;
    size_t repeats = quick ? (entry->repeats + 9) / 10 : entry->repeats;
    double seconds;

    if (entry->kind == BENCH_METG || entry->kind == BENCH_TASKS || entry->kind == BENCH_MESSAGES) {
        /* Threads may start only now, and pages be touched for the first time. */
        if (!row->warm &&
            bench_peer_run(peer, entry, entry->count ? entry->count : 1000, 1, 1, &seconds, row->failed))
            return -1;
        row->warm = true;
        return entry->kind == BENCH_METG ? measure_metg(row, peer, link, quick, value)
                                         : measure_tasks(row, peer, quick, value);
    }
    if (bench_peer_run(peer, entry, entry->count, 0, repeats, &seconds, row->failed))
        return -1;
    if (entry->kind == BENCH_GIGABYTES)
        *value = (double)entry->count * (double)repeats / seconds * 1e-9;
    else if (entry->kind == BENCH_RATIO)
        *value = seconds;
    else
        *value = seconds / (double)repeats * scales[entry->kind];
    return 0;
}
