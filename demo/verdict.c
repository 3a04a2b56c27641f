/* verdict.c - what is expected of a run, and whether it held. */
#include "verdict.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

bool verdict_expect(struct verdict *verdict, bool held, const char *format, ...)
{
    struct expectation *grown = realloc(verdict->item, (verdict->count + 1) * sizeof *grown);
    va_list arguments;

    if (!grown) {
        /* Nowhere to write it down: count it as failed, so that the run is not taken for good. */
        verdict->failed++;
        return held;
    }
    verdict->item = grown;
    grown += verdict->count++;
    grown->held = held;
    va_start(arguments, format);
    vsnprintf(grown->text, sizeof grown->text, format, arguments);
    va_end(arguments);
    /* Names of files and what they hold come from outside: none of them may steer the terminal. */
    for (char *c = grown->text; *c; c++)
        if (iscntrl((unsigned char)*c))
            *c = '?';
    verdict->failed += !held;
    return held;
}

void verdict_print(const struct verdict *verdict)
{
    for (size_t i = 0; i < verdict->count; i++)
        printf("  %s  %s\n", verdict->item[i].held ? "ok " : "NOT", verdict->item[i].text);
    if (verdict->failed == 0)
        printf("all %zu expectations hold\n", verdict->count);
    else
        printf("%zu of %zu expectations do NOT hold\n", verdict->failed, verdict->count);
}

void verdict_free(struct verdict *verdict)
{
    free(verdict->item);
    *verdict = (struct verdict){0};
}
