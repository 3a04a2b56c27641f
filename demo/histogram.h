/* histogram.h - how values are spread. */
#ifndef DEMO_HISTOGRAM_H
#define DEMO_HISTOGRAM_H

#include <stddef.h>
#include <stdio.h>

enum { HISTOGRAM_BINS = 64 };

struct histogram {
    double low, width; /* bin b holds values from low + b * width on; 0 as width: all values are equal */
    int bins;
    size_t count[HISTOGRAM_BINS];
    size_t highest; /* the largest count */
    size_t total;
    double least, most, mean, deviation;
};

/* Of `total` values (at least one), in about `bins` bins whose edges are round numbers. */
void histogram_make(struct histogram *out, const double *value, size_t total, int bins);

/* The bin a value falls into, or -1. */
int histogram_bin(const struct histogram *histogram, double value);

/* Print it to a terminal; the bin of `mark` is pointed out with `mark_text`. */
void histogram_print(FILE *out, const struct histogram *histogram, double mark, const char *mark_text);

#endif
