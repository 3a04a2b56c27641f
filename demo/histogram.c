/* histogram.c - how values are spread. */
#include "histogram.h"

#include <langinfo.h>
#include <math.h>
#include <string.h>

/* The smallest of 1, 2, 5 times a power of ten that is not below `width`. */
static double round_width(double width)
{
    static const double steps[] = {1, 2, 5};
    double power = pow(10, floor(log10(width)));

    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (steps[i] * power >= width)
            return steps[i] * power;
    return 10 * power;
}

void histogram_make(struct histogram *out, const double *value, size_t total, int bins)
{
    double sum = 0, squares = 0;

    *out = (struct histogram){.total = total, .least = value[0], .most = value[0], .bins = 1};
    for (size_t i = 0; i < total; i++) {
        out->least = fmin(out->least, value[i]);
        out->most = fmax(out->most, value[i]);
        sum += value[i];
    }
    out->mean = sum / (double)total;
    for (size_t i = 0; i < total; i++)
        squares += (value[i] - out->mean) * (value[i] - out->mean);
    out->deviation = sqrt(squares / (double)total);
    out->low = out->least;
    if (out->most - out->least > 1e-12 * fabs(out->most)) {
        out->width = round_width((out->most - out->least) / (bins - 2));
        out->low = floor(out->least / out->width) * out->width;
        out->bins = (int)floor((out->most - out->low) / out->width) + 1;
    }
    for (size_t i = 0; i < total; i++) {
        size_t *count = &out->count[histogram_bin(out, value[i])];

        *count += 1;
        out->highest = *count > out->highest ? *count : out->highest;
    }
}

int histogram_bin(const struct histogram *histogram, double value)
{
    if (!(value >= histogram->low))
        return -1;
    if (histogram->width == 0)
        return value <= histogram->most ? 0 : -1;
    double bin = floor((value - histogram->low) / histogram->width);
    return bin < histogram->bins ? (int)bin : -1;
}

void histogram_print(FILE *out, const struct histogram *histogram, double mark, const char *mark_text)
{
    const char *block = strcmp(nl_langinfo(CODESET), "UTF-8") == 0 ? "\u2588" : "#";
    int digits = 6;

    if (histogram->width > 0)
        digits = (int)fmax(0, -floor(log10(histogram->width)));
    for (int b = 0; b < histogram->bins; b++) {
        size_t length = (histogram->count[b] * 52 + histogram->highest - 1) / histogram->highest;

        fprintf(out, "  %14.*f  ", digits, histogram->low + b * histogram->width);
        for (size_t i = 0; i < length; i++)
            fputs(block, out);
        if (histogram->count[b] > 0)
            fprintf(out, " %zu", histogram->count[b]);
        if (histogram_bin(histogram, mark) == b)
            fprintf(out, "  <- %s", mark_text);
        fputc('\n', out);
    }
    fprintf(out, "  %zu optima from %.10g to %.10g, mean %.10g, standard deviation %.4g\n", histogram->total,
            histogram->least, histogram->most, histogram->mean, histogram->deviation);
}
