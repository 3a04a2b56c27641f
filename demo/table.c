/* table.c - the batch in the terminal. */
#include "table.h"

#include <ctype.h>
#include <stdio.h>

#include "failure.h"

/* Names and stories hold bytes from outside: none of them may steer the terminal. */
static void print_clean(const char *text)
{
    for (; *text; text++)
        putchar(iscntrl((unsigned char)*text) ? '?' : *text);
}

static void print_line(const struct batch *batch, const struct problem *problem, size_t i)
{
    const struct batch_result *result = &batch->result[i];
    const struct batch_note *note = &batch->note[i];
    enum failure_kind failure = failure_kind(batch, i);
    char name[17];
    int worker = failure ? batch->error[i].worker : note->stamp.worker;

    snprintf(name, sizeof name, "%s", problem->name);
    for (char *c = name; *c; c++)
        *c = iscntrl((unsigned char)*c) ? '?' : *c;
    printf("%-16s", name);
    if (note->rows > 0 || note->columns > 0)
        printf(" %6d %6d %7d ", note->rows, note->columns, note->nonzeros);
    else
        printf(" %6s %6s %7s ", "-", "-", "-");
    printf("%-12s", failure ? failure_word(failure) : lp_status_name(result->status));
    if (result->status == LP_OPTIMAL)
        printf(" %18.9e", result->optimum);
    else
        printf(" %18s", "-");
    if (problem->published)
        printf(" %18.9e", problem->optimum);
    else
        printf(" %18s", "-");
    if (problem->published && result->status == LP_OPTIMAL)
        printf(" %8.1e", batch_difference(problem, result));
    else
        printf(" %8s", "-");
    if (note->stamp.end > 0)
        printf(" %8.3f", note->stamp.end - note->stamp.start);
    else
        printf(" %8s", failure == FAILURE_TIME ? "cut" : "-");
    printf(" %6d%s\n", worker, result->integers > 0 ? "  relaxed" : "");
}

void table_print(const struct batch *batch, const struct problems *problems)
{
    size_t optimal = 0;
    double busy = 0;

    printf("%-16s %6s %6s %7s %-12s %18s %18s %8s %8s %6s\n", "problem", "rows", "cols", "nonzero", "status",
           "optimum", "published", "rel.diff", "seconds", "worker");
    for (size_t i = 0; i < problems->count; i++) {
        print_line(batch, &problems->item[i], i);
        optimal += batch->result[i].status == LP_OPTIMAL;
        if (batch->note[i].stamp.end > 0)
            busy += batch->note[i].stamp.end - batch->note[i].stamp.start;
    }
    printf("%zu problems: %zu optimal, %zu failed, %zu otherwise; %.1f s on %d %s (%.1f s of solving)\n",
           problems->count, optimal, batch->failures, problems->count - optimal - batch->failures,
           batch->wall, batch->plan.workers, batch->plan.workers == 1 ? "worker" : "workers", busy);
}

void table_print_failures(const struct batch *batch, const struct problems *problems)
{
    char story[768];

    for (size_t i = 0; i < problems->count; i++) {
        enum failure_kind failure = failure_kind(batch, i);

        if (failure == FAILURE_NONE)
            continue;
        printf("  %-12s ", failure_word(failure));
        print_clean(problems->item[i].name);
        fputs(": ", stdout);
        print_clean(failure_story(batch, i, story, sizeof story));
        putchar('\n');
    }
}
