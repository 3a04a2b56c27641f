/* pool/progress.c - the ready-made progress bar. */
#include "kin/progress.h"

#include "base/screen.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PLAIN_PERIOD 10.0

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
    double rate = progress->elapsed > 0 ? (double)progress->done / progress->elapsed : 0;
    int length = snprintf(out, size, "%zu/%zu  %.4g/s  %s %s", progress->done, progress->total, rate,
                          progress->finished ? "in" : "left", progress->finished ? elapsed : remaining);
    if (progress->failed && length > 0 && (size_t)length < size)
        length += snprintf(out + length, size - (size_t)length, "  %zu failed", progress->failed);
    if (progress->deaths && length > 0 && (size_t)length < size)
        length += snprintf(out + length, size - (size_t)length, "  %zu worker%s died", progress->deaths,
                           progress->deaths == 1 ? "" : "s");
    return length;
}

static int terminal_width(void)
{
    struct winsize window;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col >= 20 ? window.ws_col : 80;
}

static void draw_bar(const kin_progress *progress)
{
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    char text[160], line[1024];
    int length = describe(progress, text, sizeof text);
    int width = terminal_width() - length - (int)strlen(progress->name) - 6;
    if (width > 50)
        width = 50;
    size_t at = (size_t)snprintf(line, sizeof line, "%s ", progress->name);
    if (width >= 5) {
        double part = progress->total ? (double)progress->done / (double)progress->total : 1;
        int steps = (int)(part * width * 8);
        at += (size_t)snprintf(line + at, sizeof line - at, "▕");
        for (int i = 0; i < width && at < sizeof line - 300; i++) {
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
    (void)arg;
    if (!progress)
        return 0;
    if (isatty(STDERR_FILENO)) {
        draw_bar(progress);
        return 0;
    }
    if (progress->elapsed < told)
        told = 0; /* another map */
    if (!progress->finished && progress->elapsed - told < PLAIN_PERIOD)
        return 0;
    told = progress->finished ? 0 : progress->elapsed;
    char text[160];
    describe(progress, text, sizeof text);
    fprintf(stderr, "%s: %s\n", progress->name, text);
    return 0;
}
