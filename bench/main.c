/*
 * main.c - kin and its peers side by side: `bench [--only CASE] [--quick] [--json FILE]`.
 *
 * The exit code is 0 if everything ran. How fast it ran never decides it.
 */
#include "bench.h"
#include "work.h"

#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* What the machine did besides: seconds of all CPUs since it started. */
struct machine {
    double wall;
    double busy;
    double stolen;
};

static struct machine look_at_machine(void)
{
    struct machine machine = {.wall = bench_now()};
    FILE *file = fopen("/proc/stat", "r");
    double tick = (double)sysconf(_SC_CLK_TCK);
    double t[8];

    if (!file)
        return machine;
    if (fscanf(file, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &t[0], &t[1], &t[2], &t[3], &t[4], &t[5], &t[6],
               &t[7]) == 8) {
        machine.busy = (t[0] + t[1] + t[2] + t[5] + t[6]) / tick;
        machine.stolen = t[7] / tick;
    }
    fclose(file);
    return machine;
}

static double own_seconds(int who)
{
    struct rusage usage;

    getrusage(who, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

static void tell_of_machine(const struct machine *before)
{
    struct machine after = look_at_machine();
    double wall = after.wall - before->wall;
    double others = after.busy - before->busy - own_seconds(RUSAGE_SELF) - own_seconds(RUSAGE_CHILDREN);

    printf("\n%.0f s; other processes took %.1f %% of a core, %.1f %% was stolen\n", wall,
           (others > 0 ? others : 0) / wall * 100, (after.stolen - before->stolen) / wall * 100);
}

/* The process of the row's contestant, started if need be; NULL: it does not run. */
static struct bench_peer *peer_of(struct bench_row *row, struct bench_peer *peers, size_t *count,
                                  const char *python)
{
    struct bench_peer *peer = NULL;

    for (size_t i = 0; i < *count && !peer; i++)
        if (!strcmp(peers[i].set, row->entry->set) && !strcmp(peers[i].who, row->entry->who))
            peer = &peers[i];
    if (!peer) {
        peer = &peers[(*count)++];
        *peer = (struct bench_peer){.set = row->entry->set, .who = row->entry->who};
    }
    if (peer->broken) {
        snprintf(row->failed, sizeof row->failed, "it failed before");
        return NULL;
    }
    if (row->entry->fresh)
        bench_peer_end(peer);
    if (!peer->pid)
        peer->broken = bench_peer_start(peer, row->entry, python, row->failed) != 0;
    return peer->broken ? NULL : peer;
}

/* One after the other, each once. `keep`: as a round that counts. */
static void run_round(struct bench_row *rows, size_t count, struct bench_peer *peers, size_t *peer_count,
                      const struct bench_options *options, bool keep)
{
    /* Threads and workers of the one before may still be spinning before they go to sleep. */
    const struct timespec settle = {.tv_nsec = 10000000};
    double link = bench_calibrate();

    for (size_t i = 0; i < count; i++) {
        struct bench_peer *peer;
        double value;
        int err;

        if (rows[i].failed[0])
            continue;
        peer = peer_of(&rows[i], peers, peer_count, options->python);
        if (!peer)
            continue;
        nanosleep(&settle, NULL);
        err = bench_measure(&rows[i], peer, link, options->quick, &value);
        if (err < 0) {
            peer->broken = true;
            bench_peer_end(peer);
        }
        if (err > 0)
            fprintf(stderr, "bench: %s: no figure for %s this time: the machine is too busy\n",
                    rows[i].entry->name, rows[i].entry->who);
        if (keep)
            rows[i].samples[rows[i].rounds++] = err ? NAN : value;
    }
}

/* Seconds after which a set begins no further round, so that a case fits into a minute on a slow machine too. */
enum { ENOUGH = 40 };

/* All rounds of the entries of one set, which begin at `rows`. */
static void run_set(struct bench_row *rows, size_t count, const struct bench_options *options)
{
    struct bench_peer peers[BENCH_MOST_ENTRIES] = {0};
    size_t peer_count = 0;
    size_t rounds = options->rounds ? options->rounds : options->quick ? 1 : 7;
    double start = bench_now();

    /* The first round wakes everyone up: fresh memory, first guesses. */
    if (!options->quick)
        run_round(rows, count, peers, &peer_count, options, false);
    for (size_t round = 0; round < rounds && (!round || bench_now() - start < ENOUGH); round++)
        run_round(rows, count, peers, &peer_count, options, true);
    for (size_t i = 0; i < peer_count; i++)
        bench_peer_end(&peers[i]);
}

/* The rows of the cases that were asked for; 0: there is no such case. */
static size_t choose(struct bench_row *rows, const char *only)
{
    size_t count = 0;

    for (size_t i = 0; i < bench_entry_count; i++) {
        const struct bench_entry *entry = &bench_entries[i];

        if ((!only || !strcmp(only, entry->only) || !strcmp(only, entry->set) ||
             !strcmp(only, entry->name)) &&
            bench_peer_exists(entry))
            rows[count++] = (struct bench_row){.entry = entry, .guess = entry->guess};
    }
    return count;
}

static void usage(FILE *to)
{
    const char *last = "";

    fprintf(to, "usage: bench [--only CASE] [--quick] [--rounds N] [--json FILE] [--python PROGRAM]\n"
                "cases:");
    for (size_t i = 0; i < bench_entry_count; i++) {
        if (strcmp(last, bench_entries[i].only) != 0)
            fprintf(to, " %s", bench_entries[i].only);
        last = bench_entries[i].only;
    }
    fprintf(to, "\n");
}

static int parse(int argc, char **argv, struct bench_options *options)
{
    static const struct option names[] = {
        {"only", required_argument, NULL, 'o'},
        {"quick", no_argument, NULL, 'q'},
        {"json", required_argument, NULL, 'j'},
        {"rounds", required_argument, NULL, 'r'},
        {"python", required_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (option) {
        case 'o':
            options->only = optarg;
            break;
        case 'q':
            options->quick = true;
            break;
        case 'j':
            options->json = optarg;
            break;
        case 'p':
            options->python = optarg;
            break;
        case 'r':
            options->rounds = strtoul(optarg, NULL, 10);
            if (options->rounds < 1 || options->rounds > BENCH_MOST_ROUNDS) {
                fprintf(stderr, "bench: rounds are 1 to %d\n", BENCH_MOST_ROUNDS);
                return 2;
            }
            break;
        case 'h':
            usage(stdout);
            exit(0);
        default:
            usage(stderr);
            return 2;
        }
    }
    if (optind < argc) {
        usage(stderr);
        return 2;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct bench_options options = {.python = "/usr/bin/python3"};
    struct bench_row rows[BENCH_MOST_ENTRIES];
    struct machine before = look_at_machine();
    size_t count;
    int result = parse(argc, argv, &options);

    if (result)
        return result;
    count = choose(rows, options.only);
    if (!count) {
        fprintf(stderr, "bench: no case \"%s\"\n", options.only);
        usage(stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    for (size_t begin = 0, end; begin < count; begin = end) {
        for (end = begin + 1; end < count && !strcmp(rows[end].entry->set, rows[begin].entry->set); end++)
            ;
        fprintf(stderr, "bench: %s ...\n", rows[begin].entry->set);
        run_set(&rows[begin], end - begin, &options);
    }
    bench_report_rows(rows, count);
    bench_report_targets(rows, count);
    tell_of_machine(&before);
    if (options.json && bench_report_json(rows, count, options.json))
        result = 1;
    for (size_t i = 0; i < count; i++)
        if (rows[i].failed[0])
            result = 1;
    return result;
}
