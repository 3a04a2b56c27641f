/* pool/progress.c - the ready-made progress bar. */
#include "kin/progress.h"

#include "base/failure.h"
#include "base/screen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PLAIN_PERIOD 10.0
#define LEAST_BAR 10

static void time_text(double seconds, char *out, size_t size)
{
    if (seconds < 0)
        snprintf(out, size, "--");
    else if (seconds < 9.95)
        snprintf(out, size, "%.1f s", seconds);
    else if (seconds < 600)
        snprintf(out, size, "%.0f s", seconds);
    else if (seconds < 36000)
        snprintf(out, size, "%.0f min", seconds / 60);
    else
        snprintf(out, size, "%.1f h", seconds / 3600);
}

static int describe(const kin_progress *progress, char *out, size_t size)
{
    char remaining[24], elapsed[24];
    time_text(progress->remaining, remaining, sizeof remaining);
    time_text(progress->elapsed, elapsed, sizeof elapsed);
    int length =
        snprintf(out, size, "%zu/%zu  %.4g/s  %s %s", progress->done, progress->total, progress->rate,
                 progress->finished ? "in" : "left", progress->finished ? elapsed : remaining);
    if (progress->failed && length > 0 && (size_t)length < size)
        length += snprintf(out + length, size - (size_t)length, "  %zu failed", progress->failed);
    if (progress->deaths && length > 0 && (size_t)length < size)
        length += snprintf(out + length, size - (size_t)length, "  %zu worker%s died", progress->deaths,
                           progress->deaths == 1 ? "" : "s");
    return length;
}

/* Those that run a task, the one that has been at it for longest first. How many. */
struct busy {
    int worker;
    kin_progress_state state;
};

static int by_seconds(const void *left, const void *right)
{
    const struct busy *a = left, *b = right;
    if (a->state.seconds != b->state.seconds)
        return a->state.seconds < b->state.seconds ? 1 : -1;
    return a->worker - b->worker;
}

static size_t list_busy(const kin_progress *progress, struct busy **out)
{
    size_t count = 0;
    struct busy *list = progress->finished ? NULL : malloc((size_t)progress->seats * sizeof *list);
    for (int i = 0; list && i < progress->seats; i++) {
        list[count] = (struct busy){.worker = i, .state = {.size = sizeof list->state}};
        if (kin_progress_worker(progress, i, &list[count].state) == 0 && list[count].state.running)
            count++;
    }
    if (list)
        qsort(list, count, sizeof *list, by_seconds);
    *out = list;
    return count;
}

/* As many workers as there is room for: "  0: #12 3.4 s  1: #40 0.2 s". */
static int describe_workers(const kin_progress *progress, char *out, size_t size, int room)
{
    struct busy *list;
    size_t count = list_busy(progress, &list);
    int length = 0;
    for (size_t i = 0; i < count; i++) {
        char one[80], seconds[24];
        time_text(list[i].state.seconds, seconds, sizeof seconds);
        int more = snprintf(one, sizeof one, "  %d: #%zu %s", list[i].worker, list[i].state.index, seconds);
        if (length + more > room || (size_t)length + (size_t)more >= size)
            break;
        memcpy(out + length, one, (size_t)more + 1);
        length += more;
    }
    free(list);
    return length;
}

static void print_workers(const kin_progress *progress)
{
    struct busy *list;
    size_t count = list_busy(progress, &list);
    for (size_t i = 0; i < count; i++) {
        char seconds[24];
        time_text(list[i].state.seconds, seconds, sizeof seconds);
        fprintf(stderr, "%s: worker %d (process %d): task %zu for %s, %zu done\n", progress->name,
                list[i].worker, list[i].state.pid, list[i].state.index, seconds, list[i].state.done);
    }
    free(list);
}

static int terminal_width(void)
{
    struct winsize window;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col >= 20 ? window.ws_col : 80;
}

static void draw_bar(const kin_progress *progress, bool workers)
{
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    char text[600], line[1600];
    int length = describe(progress, text, sizeof text),
        room = terminal_width() - (int)strlen(progress->name) - 6;
    if (workers)
        length += describe_workers(progress, text + length, sizeof text - (size_t)length,
                                   room - length - LEAST_BAR);
    int width = terminal_width() - length - (int)strlen(progress->name) - 6;
    if (width > 50)
        width = 50;
    size_t at = (size_t)snprintf(line, sizeof line, "%s ", progress->name);
    if (width >= 5) {
        double part = progress->total ? (double)progress->done / (double)progress->total : 1;
        int steps = (int)(part * width * 8);
        at += (size_t)snprintf(line + at, sizeof line - at, "▕");
        for (int i = 0; i < width && at < sizeof line - sizeof text - 100; i++) {
            int here = steps - i * 8;
            const char *block = here >= 8 ? "█" : here > 0 ? eighths[here] : " ";
            at += (size_t)snprintf(line + at, sizeof line - at, "%s", block);
        }
        at += (size_t)snprintf(line + at, sizeof line - at, "▏ ");
    }
    at += (size_t)snprintf(line + at, sizeof line - at, "%s", text);
    kin__screen_bar(line, at < sizeof line ? at : sizeof line - 1, progress->finished);
}

int kin_progress_bar(const kin_progress *progress, void *arg)
{
    static _Thread_local double told;
    kin_progress_options options = {0};
    if (!progress || kin__options_read(&options, sizeof options, arg, "progress options") != 0 || options.off)
        return 0;
    if (isatty(STDERR_FILENO)) {
        draw_bar(progress, options.workers);
        return 0;
    }
    if (progress->elapsed < told)
        told = 0; /* another map */
    double period = options.plain_period > 0 ? options.plain_period : PLAIN_PERIOD;
    if (!progress->finished && progress->elapsed - told < period)
        return 0;
    told = progress->finished ? 0 : progress->elapsed;
    char text[160];
    describe(progress, text, sizeof text);
    fprintf(stderr, "%s: %s\n", progress->name, text);
    if (options.workers)
        print_workers(progress);
    return 0;
}
