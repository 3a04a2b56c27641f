/*
 * crash.c - how a process ended, in full. Without a twin: Python says "exitcode -11".
 *
 * Each child dies in another way; its parent says of what, where, and who called whom.
 */
#include <kin.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct matrix {
    int rows, columns;
    double *cells;
};

static double trace(const struct matrix *matrix)
{
    double sum = 0;
    for (int i = 0; i < matrix->rows; i++)
        sum += matrix->cells[i * matrix->columns + i]; /* NOLINT: it is meant to crash */
    return sum;
}

static int forgot_to_allocate(void *arg)
{
    struct matrix matrix = {.rows = *(int *)arg, .columns = *(int *)arg, .cells = NULL};
    return trace(&matrix) > 0;
}

static int gave_up(void *arg)
{
    (void)arg;
    abort();
}

static int exited(void *arg)
{
    exit(*(int *)arg);
}

static void die(const char *what)
{
    fprintf(stderr, "crash: %s: %s\n", what, kin_error_message());
    exit(1);
}

/* The last thing a process has to say. Its name is its function's, which stands in the backtrace. */
static void watch(const char *name, kin_process_fn body)
{
    int three = 3;
    kin_end end;
    char how[200], frames[4000];
    kin_process *process = kin_process_start(body, &three, sizeof three, KIN_PROCESS_OPTIONS(.name = name));
    if (!process || kin_process_join(process, KIN_FOREVER))
        die(name);
    if (kin_process_end(process, &end) || kin_process_backtrace(process, frames, sizeof frames))
        die(name);
    printf("%s: %s\n", name, kin_end_text(&end, how, sizeof how));
    if (strstr(frames, name))
        printf("%s: its backtrace says where\n", name);
    kin_process_free(process);
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        die("start");
    watch("forgot_to_allocate", forgot_to_allocate);
    watch("gave_up", gave_up);
    watch("exited", exited);
    return 0;
}
