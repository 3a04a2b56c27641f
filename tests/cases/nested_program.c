/* nested_program.c - what nested_test's members, and debuggers, run: a program that founds a family of its own. */
#include "kin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int add(void *arg)
{
    int *sum = arg;
    int *block = kin_malloc(100000);
    if (!block)
        return 1;
    *block = *sum;
    *sum = *block + 1;
    kin_free(block);
    return 0;
}

static int twice(kin_task *task, const int *in, int *out)
{
    (void)task;
    *out = 2 * *in;
    return 0;
}

static int fail(const char *what)
{
    fprintf(stderr, "nested: %s: %s\n", what, kin_error_message());
    return 1;
}

static int start_and_join(void)
{
    int *sum = kin_calloc(1, sizeof *sum);
    if (!sum)
        return fail("malloc");
    for (int i = 0; i < 3; i++) {
        kin_process *process = kin_process_start_shared(add, sum, NULL);
        if (!process || kin_process_join(process, 60) != 0)
            return fail("process");
        kin_process_free(process);
    }
    if (*sum != 3)
        return fail("sum");
    kin_free(sum);
    return 0;
}

static int map(void)
{
    int in[50], out[50];
    for (int i = 0; i < 50; i++)
        in[i] = i;
    kin_pool *pool = kin_pool_new(NULL);
    if (!pool || kin_map(pool, twice, in, out, 50) != 0 || out[49] != 98)
        return fail("map");
    kin_pool_free(pool);
    return 0;
}

static int sleep_for_ever(void *arg)
{
    (void)arg;
    for (;;)
        pause();
    return 0;
}

/* Tell the pids of founder and child, and stay. */
static int stay(void)
{
    const kin_process *process = kin_process_start(sleep_for_ever, NULL, 0, NULL);
    if (!process)
        return fail("process");
    printf("%d %d\n", (int)getpid(), kin_process_pid(process));
    fflush(stdout);
    return sleep_for_ever(NULL);
}

/* A new image of this program will come to main and not call kin_init: it can start nobody, so there is no chain. */
static int be_forgotten(void)
{
    kin_end end;
    kin_error story;
    setenv("KIN_TEST_FORGET", "1", 1);
    kin_process *process =
        kin_process_start(add, NULL, 0, KIN_PROCESS_OPTIONS(.start_method = KIN_START_SPAWN));
    if (!process || kin_process_join(process, 60) != 0 || kin_process_end(process, &end) != 0 ||
        kin_process_error(process, &story) != 0)
        return fail("process");
    printf("%d %d %s\n", end.exit_code, story.code == KIN_ENOTSUP, story.message);
    kin_process_free(process);
    return 0;
}

static int start_without_init(void)
{
    for (int i = 0; i < 3; i++)
        if (kin_process_start(add, NULL, 0, NULL) || kin_error_code() != KIN_ENOINIT)
            return 1;
    fprintf(stderr, "nested: %s\n", kin_error_message());
    return 5;
}

int main(int argc, char **argv)
{
    if (getenv("KIN_TEST_FORGET"))
        return start_without_init();
    if (kin_init(&argc, &argv) != 0)
        return fail("init");
    if (kin_parent_process())
        return fail("this program has a parent in a family");
    if (argc > 1 && strcmp(argv[1], "stay") == 0)
        return stay();
    if (argc > 1 && strcmp(argv[1], "forget") == 0)
        return be_forgotten();
    if (argc > 1 && strcmp(argv[1], "heap") == 0) { /* under valgrind no processes can be started */
        void *block = kin_malloc(100);
        kin_free(block);
        return block ? 0 : fail("malloc");
    }
    if (start_and_join() != 0 || map() != 0)
        return 1;
    puts("nested: good");
    return 0;
}
