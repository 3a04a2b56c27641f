/* bare.c - starting a process without kin: fork and waitpid, posix_spawn and waitpid. */
#include "run_c.h"
#include "work.h"

#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void wait_for(pid_t pid)
{
    int status;

    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        bench_fail("the child failed");
}

double bare_fork_run(const struct bench_request *request)
{
    double start = bench_now();

    for (size_t i = 0; i < request->repeats; i++) {
        pid_t pid = fork();

        if (pid < 0)
            bench_fail("no fork");
        if (pid == 0)
            _exit(0);
        wait_for(pid);
    }
    return bench_now() - start;
}

static void *gibibyte;

void bare_fork_1gib_open(const char *who)
{
    (void)who;
    gibibyte = malloc(BENCH_GIBIBYTE);
    if (!gibibyte)
        bench_fail("no memory");
    memset(gibibyte, 1, BENCH_GIBIBYTE);
}

void bare_fork_1gib_close(void)
{
    free(gibibyte);
}

double bare_spawn_run(const struct bench_request *request)
{
    /* This program again, which leaves main at once: as large as what kin spawns, and as quick to end. */
    char program[] = "run_c";
    char nothing[] = "nothing";
    char *const arguments[] = {program, nothing, NULL};
    double start = bench_now();

    for (size_t i = 0; i < request->repeats; i++) {
        pid_t pid;

        if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, arguments, environ))
            bench_fail("no posix_spawn");
        wait_for(pid);
    }
    return bench_now() - start;
}
