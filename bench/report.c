/* report.c - what came out: tables, targets, records. */
#include "bench.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct summary {
    size_t count; /* 0: the rest means nothing */
    double median;
    double least;
    double most;
};

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Of the samples that are there. */
static struct summary summarize(const double *samples, size_t rounds)
{
    double sorted[BENCH_MOST_ROUNDS];
    size_t count = 0;

    for (size_t i = 0; i < rounds; i++)
        if (!isnan(samples[i]))
            sorted[count++] = samples[i];
    if (!count)
        return (struct summary){0};
    qsort(sorted, count, sizeof *sorted, compare);
    return (struct summary){count, (sorted[(count - 1) / 2] + sorted[count / 2]) / 2, sorted[0],
                            sorted[count - 1]};
}

/* The median; negative: there is none. */
static double median(const struct bench_row *row)
{
    struct summary summary = {0};

    if (row)
        summary = summarize(row->samples, row->rounds);
    return summary.count ? summary.median : -1;
}

/* The row of `name` and `who` if it has been measured. */
static const struct bench_row *find(const struct bench_row *rows, size_t count, const char *name,
                                    const char *who)
{
    for (size_t i = 0; i < count; i++)
        if (rows[i].rounds && !strcmp(rows[i].entry->name, name) && !strcmp(rows[i].entry->who, who))
            return &rows[i];
    return NULL;
}

/* Median of the ratios, round by round; negative: there is none. */
static double ratio(const struct bench_row *row, const struct bench_row *to)
{
    double ratios[BENCH_MOST_ROUNDS];
    struct summary summary;
    size_t rounds;

    if (!row || !to)
        return -1;
    rounds = row->rounds < to->rounds ? row->rounds : to->rounds;
    for (size_t i = 0; i < rounds; i++)
        ratios[i] = row->samples[i] / to->samples[i];
    summary = summarize(ratios, rounds);
    return summary.count ? summary.median : -1;
}

/* Three to four digits, without an exponent. */
static const char *number(double value, char text[32])
{
    int decimals = value >= 1000 ? 0 : value >= 100 ? 1 : value >= 10 ? 2 : value >= 1 ? 3 : 4;

    if (value >= 1e6)
        snprintf(text, 32, "%.2f M", value / 1e6);
    else
        snprintf(text, 32, "%.*f", decimals, value);
    return text;
}

static void print_row(const struct bench_row *row, const struct bench_row *kin)
{
    struct summary summary;
    char texts[4][32];
    double to_kin = ratio(row, kin);

    if (row->failed[0])
        printf("  %-16s failed: %s\n", row->entry->who, row->failed);
    summary = summarize(row->samples, row->rounds);
    if (!summary.count)
        return;
    printf("  %-16s %10s %10s %10s  %-8s %10s\n", row->entry->who, number(summary.median, texts[0]),
           number(summary.least, texts[1]), number(summary.most, texts[2]), bench_unit(row->entry->kind),
           to_kin < 0 ? "-" : number(to_kin, texts[3]));
}

/* Whether an earlier row has this name, whose table has been printed then. */
static bool printed(const struct bench_row *rows, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (!strcmp(rows[i].entry->name, rows[index].entry->name))
            return true;
    return false;
}

void bench_report_rows(const struct bench_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *name = rows[i].entry->name;

        if (printed(rows, i))
            continue;
        printf("\n%s: %s\n", name, bench_title(name));
        printf("  %-16s %10s %10s %10s  %-8s %10s\n", "who", "median", "min", "max", "unit", "x kin");
        for (size_t j = i; j < count; j++)
            if (!strcmp(rows[j].entry->name, name))
                print_row(&rows[j], find(rows, count, name, "kin"));
    }
}

void bench_report_targets(const struct bench_row *rows, size_t count)
{
    bool any = false;

    for (size_t i = 0; i < bench_target_count; i++) {
        const struct bench_target *target = &bench_targets[i];
        const struct bench_row *row = find(rows, count, target->name, target->who);
        double measured =
            target->of_who ? ratio(row, find(rows, count, target->of_name, target->of_who)) : median(row);
        char texts[2][32];

        if (measured < 0)
            continue;
        if (!any)
            printf("\ntargets (for information: they hold for an idle machine)\n"
                   "  %-52s %9s %10s\n",
                   "ratio", "measured", "target");
        any = true;
        printf("  %-52s %9s  %s %-6s  %s\n", target->text, number(measured, texts[0]),
               target->at_least ? ">=" : "<=", number(target->limit, texts[1]),
               (target->at_least ? measured >= target->limit : measured <= target->limit) ? "met" : "MISSED");
    }
}

int bench_report_json(const struct bench_row *rows, size_t count, const char *path)
{
    FILE *file = fopen(path, "w");
    const char *separator = "";

    if (!file) {
        fprintf(stderr, "bench: could not write \"%s\": %s\n", path, strerror(errno));
        return -1;
    }
    fprintf(file, "[");
    for (size_t i = 0; i < count; i++) {
        const struct bench_entry *entry = rows[i].entry;
        struct summary summary;

        summary = summarize(rows[i].samples, rows[i].rounds);
        if (!summary.count)
            continue;
        fprintf(file,
                "%s\n  {\"case\": \"%s\", \"who\": \"%s\", \"value\": %.6g, \"unit\": \"%s\", "
                "\"repetitions\": %zu, \"min\": %.6g, \"max\": %.6g}",
                separator, entry->name, entry->who, summary.median, bench_unit(entry->kind), summary.count,
                summary.least, summary.most);
        separator = ",";
    }
    fprintf(file, "\n]\n");
    if (fclose(file)) {
        fprintf(stderr, "bench: could not write \"%s\": %s\n", path, strerror(errno));
        return -1;
    }
    return 0;
}
