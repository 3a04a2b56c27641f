/* resume.c - a long job is broken off and run again: its journal has what was done, and only the rest is done. */
#include <kin.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TASKS = 10 };

/* What another run of the program would change: whether task 6 works by now. */
struct program {
    int broken;
};

static int square(kin_task *task, const int *in, int *out)
{
    const struct program *program = kin_task_context(task);
    if (program->broken && *in == 6)
        return kin_task_fail(task, "cannot do %d yet", *in);
    *out = *in * *in;
    return 0;
}

static int run(kin_pool *pool, const char *journal, struct program *program)
{
    int in[TASKS], out[TASKS] = {0};
    for (int i = 0; i < TASKS; i++)
        in[i] = i;
    size_t done, failures;
    int error = kin_pool_map(
        pool, (kin_task_fn)square,
        KIN_MAP_ARGS(.in = in, .in_size = sizeof *in, .out = out, .out_size = sizeof *out, .count = TASKS,
                     .context = program, .context_size = sizeof *program, .on_failure = KIN_COLLECT,
                     .failures = &failures, .journal = journal, .job = "squares", .resumed = &done));
    printf("%zu were done, %zu run, %zu failed:", done, TASKS - done, failures);
    for (int i = 0; i < TASKS; i++)
        printf(" %d", out[i]);
    printf("\n");
    return error;
}

int main(int argc, char **argv)
{
    char journal[] = "/tmp/kin-resume-XXXXXX";
    struct program program = {.broken = 1};
    if (kin_init(&argc, &argv))
        return fprintf(stderr, "%s\n", kin_error_message()), 1;
    int fd = mkstemp(journal); /* a program would name it after the job, and find it again */
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 2));
    if (fd < 0 || !pool)
        return fprintf(stderr, "%s\n", kin_error_message()), 1;
    close(fd);
    if (run(pool, journal, &program))
        printf("first run: %s\n", kin_error_message());
    program.broken = 0;
    int error = run(pool, journal, &program);
    if (!error)
        error = run(pool, journal, &program);
    unlink(journal);
    kin_pool_free(pool);
    return error != 0;
}
