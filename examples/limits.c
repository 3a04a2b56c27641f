/*
 * limits.c - a process may have limits of its own. Without a twin: Python's Process has none.
 *
 * The same job three times: it is small enough, it takes too much memory, it never ends.
 */
#include <kin.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SMALL, HUNGRY, ENDLESS };

/* As libraries do that are out of memory. */
static void *need(size_t size)
{
    void *block = calloc(1, size);
    if (!block)
        abort();
    return block;
}

static int solve(void *arg)
{
    void **chain = NULL;
    switch (*(int *)arg) {
    case HUNGRY:
        for (;;) {
            void **block = need(1 << 20);
            *block = chain;
            chain = block;
        }
    case ENDLESS:
        for (;;)
            pause();
    default:
        return 0;
    }
}

static void die(const char *what)
{
    fprintf(stderr, "limits: %s: %s\n", what, kin_error_message());
    exit(1);
}

static void try(const char *name, int how)
{
    kin_end end;
    char text[200];
    kin_error error;
    kin_process *process = kin_process_start(
        solve, &how, sizeof how,
        KIN_PROCESS_OPTIONS(.name = name,
                            .limits = {.memory = {.hard = 1e8}, .wall_time = {.soft = 0.2, .hard = 10}}));
    if (!process || kin_process_join(process, KIN_FOREVER))
        die(name);
    if (kin_process_end(process, &end) || kin_process_error(process, &error))
        die(name);
    printf("%s: %s, %s\n", name, kin_end_text(&end, text, sizeof text), kin_error_name(error.code));
    kin_process_free(process);
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        die("start");
    try("small", SMALL);
    try("hungry", HUNGRY);
    try("endless", ENDLESS);
    return 0;
}
