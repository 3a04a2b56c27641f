/* runner.c - see runner.h. */
#include "runner.h"
#include "work.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Answers go here: stdout as it was before anything that a contestant starts could write to it. */
static FILE *answers;

void bench_fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fprintf(answers, "error ");
    vfprintf(answers, format, args);
    fprintf(answers, "\n");
    va_end(args);
    fflush(answers);
    exit(1);
}

void bench_tasks_fill(uint32_t *in, uint64_t *out, const struct bench_request *request)
{
    if (request->count > BENCH_MOST_TASKS)
        bench_fail("%zu tasks are too many", request->count);
    for (size_t i = 0; i < request->count; i++)
        in[i] = request->links;
    memset(out, 0, request->count * sizeof *out);
}

void bench_tasks_check(const uint64_t *out, const struct bench_request *request)
{
    uint64_t right = bench_work(request->links);

    for (size_t i = 0; i < request->count; i++)
        if (out[i] != right)
            bench_fail("task %zu of %zu gave a wrong result", i, request->count);
}

void bench_array_fill(double *numbers, size_t length, size_t index)
{
    for (size_t i = 0; i < length; i++)
        numbers[i] = (double)(index + 1);
}

void bench_sums_check(const double *sums)
{
    for (size_t i = 0; i < BENCH_ARRAYS; i++)
        if (sums[i] != (double)(i + 1) * (double)BENCH_ARRAY_LENGTH)
            bench_fail("the sum of array %zu is wrong: %g", i, sums[i]);
}

const char *bench_set;

static bool takes_part(const char *sets, const char *set)
{
    size_t length = strlen(sets);

    return length && sets[length - 1] == '*' ? !strncmp(sets, set, length - 1) : !strcmp(sets, set);
}

static const struct bench_contestant *find(const struct bench_contestant *contestants, size_t count,
                                           const char *set, const char *who)
{
    for (size_t i = 0; i < count; i++)
        if (takes_part(contestants[i].set, set) && !strcmp(contestants[i].who, who))
            return &contestants[i];
    return NULL;
}

int bench_serve(int argc, char **argv, const struct bench_contestant *contestants, size_t count)
{
    const struct bench_contestant *one;
    struct bench_request request;
    char line[128];

    answers = stdout;
    if (argc != 3)
        bench_fail("usage: %s SET WHO", argv[0]);
    one = find(contestants, count, argv[1], argv[2]);
    if (!one)
        bench_fail("no contestant \"%s\" for \"%s\"", argv[2], argv[1]);
    bench_set = argv[1];
    if (one->open)
        one->open(argv[2]);
    fprintf(answers, "ready\n");
    fflush(answers);
    while (fgets(line, sizeof line, stdin)) {
        double seconds;

        if (sscanf(line, "run %39s %zu %u %zu", request.name, &request.count, &request.links,
                   &request.repeats) != 4)
            bench_fail("not understood: %s", line);
        seconds = one->run(&request);
        fprintf(answers, "ok %.9g\n", seconds);
        fflush(answers);
    }
    if (one->close)
        one->close();
    return 0;
}

double bench_round_trips(double (*one_trip)(void), const struct bench_request *request)
{
    /* OpenMP's threads spin for some milliseconds, kin's and glibc's for less. */
    const struct timespec rest = {.tv_nsec = 2000000};
    bool asleep = !strcmp(request->name, "round-trip-asleep") || !strcmp(request->name, "queue-wake");
    double took = 0;

    for (size_t i = 0; i < request->repeats; i++) {
        if (asleep)
            nanosleep(&rest, NULL);
        took += one_trip();
    }
    return took;
}
