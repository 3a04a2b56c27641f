/* kin_commands.c - many short commands, two at a time, by a pool whose tasks each start one and wait for it. */
#include "run_kin.h"
#include "work.h"

#include <kin.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

static kin_pool *pool;

void kin_commands_open(const char *who)
{
    (void)who;
    pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 2));
    if (!pool)
        bench_fail("%s", kin_error_message());
}

static int run_command(kin_task *task, size_t index, void *context)
{
    char name[] = "true", *arguments[] = {name, NULL};
    pid_t pid;
    int status;

    (void)index;
    (void)context;
    if (posix_spawnp(&pid, "true", NULL, NULL, arguments, environ) != 0 || waitpid(pid, &status, 0) != pid)
        return kin_task_fail(task, "cannot run true");
    return status;
}

double kin_commands_run(const struct bench_request *request)
{
    double start = bench_now();

    if (kin_pool_for(pool, run_command, KIN_MAP_ARGS(.count = request->repeats)) != 0)
        bench_fail("%s", kin_error_message());
    return bench_now() - start;
}

void kin_commands_close(void)
{
    kin_pool_free(pool);
}
