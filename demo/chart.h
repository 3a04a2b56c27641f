/* chart.h - pictures for the report: timelines and histograms as inline SVG. */
#ifndef DEMO_CHART_H
#define DEMO_CHART_H

#include <stdio.h>

#include "histogram.h"

/* What a bar stands for: its class in the style sheet is span-NAME. */
enum span_kind { SPAN_DONE = 0, SPAN_AGAIN, SPAN_TIME, SPAN_MEMORY, SPAN_KILLED, SPAN_FAILED, SPAN_KINDS };

struct span {
    int lane; /* the worker */
    enum span_kind kind;
    double start, end;
    char label[64];
};

struct chart {
    struct span *span;
    size_t count;
    int lanes;
    double from, to; /* what is shown */
    double zero;     /* what the axis counts from */
    const char *title;
};

/* Sort the spans by lane and start; give those without an end one: the next one's start in the lane. */
void chart_sort(struct chart *chart);

/* Text for HTML, with &, < and the like escaped, and control characters replaced. */
void chart_text(FILE *out, const char *text);

/* A lane for each worker. Bars that would be narrower than a pixel are drawn together. */
void chart_timeline(FILE *out, const struct chart *chart);

/* The colours that a timeline uses, and what they mean. */
void chart_legend(FILE *out, const struct chart *chart);

/* A histogram, with the bin of `mark` pointed out. */
void chart_histogram(FILE *out, const struct histogram *histogram, double mark, const char *mark_text);

/* Horizontal bars: `value` seconds each. */
void chart_bars(FILE *out, const char *const *name, const double *value, int count);

#endif
