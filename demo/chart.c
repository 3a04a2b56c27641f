/* chart.c - pictures for the report: timelines and histograms as inline SVG. */
#include "chart.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Units of the view box; the page scales them to its width. */
enum { WIDTH = 1000, GUTTER = 74, LANE = 30, BAR = 22, AXIS = 34, PLOT = WIDTH - GUTTER - 10 };

static const char *const kind_class[SPAN_KINDS] = {"done", "again", "time", "memory", "killed", "failed"};
static const char *const kind_text[SPAN_KINDS] = {"done",
                                                  "tried again after a kill",
                                                  "cut at the time limit",
                                                  "ended at the memory limit",
                                                  "killed from outside",
                                                  "failed"};

void chart_text(FILE *out, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            fputc(iscntrl((unsigned char)*text) ? '?' : *text, out);
        }
    }
}

static int by_lane_and_start(const void *a, const void *b)
{
    const struct span *p = a, *q = b;

    if (p->lane != q->lane)
        return p->lane < q->lane ? -1 : 1;
    return (p->start > q->start) - (p->start < q->start);
}

void chart_sort(struct chart *chart)
{
    qsort(chart->span, chart->count, sizeof *chart->span, by_lane_and_start);
    for (size_t i = 0; i < chart->count; i++) {
        struct span *span = &chart->span[i];
        bool last = i + 1 == chart->count || span[1].lane != span->lane;

        if (span->end == 0)
            span->end = last ? chart->to : span[1].start;
    }
}

/* The step between ticks: 1, 2 or 5 times a power of ten, for about eight of them. */
static double tick_step(double range)
{
    double power = pow(10, floor(log10(range / 8)));

    for (int i = 0; i < 3; i++) {
        double step = power * (const double[]){1, 2, 5}[i];

        if (range / step <= 9)
            return step;
    }
    return 10 * power;
}

static void time_axis(FILE *out, const struct chart *chart, double y)
{
    double range = chart->to - chart->from, step = tick_step(range);
    int digits = (int)fmax(0, -floor(log10(step) + 1e-9));
    double first = ceil((chart->from - chart->zero) / step - 1e-9);

    for (int i = 0; i < 12; i++) {
        double t = (first + i) * step, x = GUTTER + (t + chart->zero - chart->from) / range * PLOT;

        if (x > GUTTER + PLOT + 0.5)
            break;
        fprintf(out, "<path class='grid' d='M%.1f 4V%.1f'/>", x, y);
        fprintf(out, "<text class='tick' x='%.1f' y='%.1f'>%.*f s</text>", x, y + 16, digits, t);
    }
}

/* One bar with its tooltip, and its name if there is room for it. */
static void draw_bar(FILE *out, const struct span *span, double x, double width, double y)
{
    fprintf(out, "<rect class='span-%s' x='%.2f' y='%.1f' width='%.2f' height='%d' rx='2'><title>",
            kind_class[span->kind], x, y, width, BAR);
    chart_text(out, span->label);
    fprintf(out, ", %.1f ms (%s)</title></rect>", (span->end - span->start) * 1e3, kind_text[span->kind]);
    if (width > 7.5 * (double)strlen(span->label) + 6) {
        fprintf(out, "<text class='label' x='%.2f' y='%.1f'>", x + 4, y + 15.5);
        chart_text(out, span->label);
        fputs("</text>", out);
    }
}

/*
 * Runs of short bars of one kind become one path, in which gaps that could not be seen are closed: a
 * picture of 5,000 tasks stays small.
 */
struct merge {
    bool open;
    enum span_kind kind;
    double x, end;
};

static void flush_merge(FILE *out, struct merge *merge, double y)
{
    if (merge->open)
        fprintf(out, "<rect class='span-%s plain' x='%.2f' y='%.1f' width='%.2f' height='%d'/>",
                kind_class[merge->kind], merge->x, y, fmax(merge->end - merge->x, 0.4), BAR);
    merge->open = false;
}

static void add_to_merge(FILE *out, struct merge *merge, const struct span *span, double x, double width,
                         double y)
{
    if (merge->open && (merge->kind != span->kind || x > merge->end + 0.5))
        flush_merge(out, merge, y);
    if (!merge->open)
        *merge = (struct merge){.open = true, .kind = span->kind, .x = x};
    merge->end = x + width;
}

static void draw_lane(FILE *out, const struct chart *chart, int lane, double y)
{
    double scale = PLOT / (chart->to - chart->from);
    struct merge merge = {0};

    fprintf(out, "<text class='lane' x='0' y='%.1f'>worker %d</text>", y + 15.5, lane);
    for (size_t i = 0; i < chart->count; i++) {
        const struct span *span = &chart->span[i];
        double start = fmax(span->start, chart->from), end = fmin(span->end, chart->to);
        double x = GUTTER + (start - chart->from) * scale, width = (end - start) * scale;

        if (span->lane != lane || end <= start)
            continue;
        if (width < 1.5 && span->kind <= SPAN_AGAIN) {
            add_to_merge(out, &merge, span, x, width, y);
            continue;
        }
        flush_merge(out, &merge, y);
        draw_bar(out, span, x, fmax(width, 2), y);
    }
    flush_merge(out, &merge, y);
    /* Kills stay visible however short their task was. */
    for (size_t i = 0; i < chart->count; i++) {
        const struct span *span = &chart->span[i];
        double x = GUTTER + (span->end - chart->from) * scale;

        if (span->lane == lane && span->kind == SPAN_KILLED && span->end >= chart->from &&
            span->end <= chart->to)
            fprintf(out,
                    "<path class='kill' d='M%.2f %.1fv%d'/><path class='killhead' d='M%.2f %.1fl-4 -6h8z'/>",
                    x, y - 3, BAR + 6, x, y + 2);
    }
}

void chart_timeline(FILE *out, const struct chart *chart)
{
    int height = chart->lanes * LANE + AXIS;

    if (chart->to <= chart->from)
        return;
    fprintf(out, "<svg class='chart' viewBox='0 0 %d %d' role='img'><title>", WIDTH, height);
    chart_text(out, chart->title);
    fputs("</title>", out);
    time_axis(out, chart, chart->lanes * LANE + 8);
    for (int lane = 0; lane < chart->lanes; lane++)
        draw_lane(out, chart, lane, lane * LANE + 8);
    fputs("</svg>\n", out);
}

void chart_legend(FILE *out, const struct chart *chart)
{
    bool used[SPAN_KINDS] = {false};

    for (size_t i = 0; i < chart->count; i++)
        used[chart->span[i].kind] = true;
    fputs("<p class='legend'>", out);
    for (int kind = 0; kind < SPAN_KINDS; kind++)
        if (used[kind])
            fprintf(out, "<span><i class='box-%s'></i>%s</span>", kind_class[kind], kind_text[kind]);
    fputs("</p>\n", out);
}

static void histogram_axis(FILE *out, const struct histogram *histogram, double base)
{
    double range = histogram->bins * histogram->width;

    if (range == 0) {
        fprintf(out, "<text class='tick' x='%d' y='%.1f'>%.8g</text>", GUTTER + PLOT / 2, base + 18,
                histogram->low);
        return;
    }
    double step = tick_step(range), first = ceil(histogram->low / step - 1e-9);
    int digits = (int)fmax(0, -floor(log10(step) + 1e-9));
    for (int i = 0; i < 12 && (first + i) * step <= histogram->low + range * (1 + 1e-9); i++)
        fprintf(out, "<text class='tick' x='%.1f' y='%.1f'>%.*f</text>",
                GUTTER + ((first + i) * step - histogram->low) / range * PLOT, base + 18, digits,
                (first + i) * step);
}

void chart_histogram(FILE *out, const struct histogram *histogram, double mark, const char *mark_text)
{
    const double base = 260, top = 30;
    double bar = (double)PLOT / histogram->bins;
    double step = fmax(1, tick_step((double)histogram->highest * 2));

    fprintf(out, "<svg class='chart' viewBox='0 0 %d 290' role='img'><title>Histogram of the optima</title>",
            WIDTH);
    for (double n = 0; n <= (double)histogram->highest; n += step) {
        double y = base - (base - top) * n / (double)histogram->highest;

        fprintf(out, "<path class='grid' d='M%d %.1fH%d'/>", GUTTER, y, GUTTER + PLOT);
        fprintf(out, "<text class='count' x='%d' y='%.1f'>%.0f</text>", GUTTER - 8, y + 4, n);
    }
    for (int b = 0; b < histogram->bins; b++) {
        double height = (base - top) * (double)histogram->count[b] / (double)histogram->highest;

        fprintf(out,
                "<rect class='span-done' x='%.2f' y='%.2f' width='%.2f' height='%.2f' rx='2'><title>"
                "%zu from %.8g to %.8g</title></rect>",
                GUTTER + b * bar + 1, base - height, fmax(bar - 2, 0.5), height, histogram->count[b],
                histogram->low + b * histogram->width, histogram->low + (b + 1) * histogram->width);
    }
    histogram_axis(out, histogram, base);
    if (histogram_bin(histogram, mark) >= 0) {
        double at = histogram->width > 0 ? (mark - histogram->low) / histogram->width * bar : bar / 2;

        fprintf(out, "<path class='mark' d='M%.2f %.1fV%.1f'/><text class='marktext' x='%.2f' y='%.1f'>",
                GUTTER + at, top - 6, base, GUTTER + at, top - 12);
        chart_text(out, mark_text);
        fputs("</text>", out);
    }
    fputs("</svg>\n", out);
}

void chart_bars(FILE *out, const char *const *name, const double *value, int count)
{
    double highest = 0;

    for (int i = 0; i < count; i++)
        highest = fmax(highest, value[i]);
    fprintf(out, "<svg class='chart' viewBox='0 0 %d %d' role='img'><title>Times</title>", WIDTH,
            count * LANE + 8);
    for (int i = 0; i < count; i++) {
        double width = highest > 0 ? (WIDTH - 260 - 150) * value[i] / highest : 0;
        double y = i * LANE + 4;

        fprintf(out, "<text class='lane' x='0' y='%.1f'>", y + 15.5);
        chart_text(out, name[i]);
        fprintf(out, "</text><rect class='span-done' x='260' y='%.1f' width='%.1f' height='%d' rx='2'/>", y,
                fmax(width, 1), BAR);
        fprintf(out, "<text class='lane' x='%.1f' y='%.1f'>%.2f s", 260 + width + 8, y + 15.5, value[i]);
        if (i > 0 && value[i] > 0)
            fprintf(out, "  (%.2f times as fast)", value[0] / value[i]);
        fputs("</text>", out);
    }
    fputs("</svg>\n", out);
}
