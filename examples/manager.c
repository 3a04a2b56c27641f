/*
 * manager.c - objects that live in a server process, and processes that work on them through proxies. Beside it, manager.py.
 *
 * The third way of sharing, after shared memory and inheritance: slower, but what is shared may be of any shape, and whoever
 * knows address and key may come, from another machine too.
 */
#include <kin.h>

#include <stdio.h>
#include <stdlib.h>

#define WORKERS 4

static void die(const char *what)
{
    fprintf(stderr, "manager: %s: %s\n", what, kin_error_message());
    exit(1);
}

struct job {
    kin_proxy *squares;
    int number;
};

static int worker(void *arg)
{
    const struct job *job = arg;
    return kin_proxy_set(job->squares, KIN_ANY(job->number), KIN_ANY(job->number * job->number));
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        die("start");
    kin_manager *manager = kin_manager_start(NULL);
    kin_proxy *squares = kin_proxy_new(manager, "dict", NULL, 0);
    if (!squares)
        die("manager");
    kin_process *workers[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        struct job job = {.squares = squares, .number = i};
        if (!(workers[i] = kin_process_start(worker, &job, sizeof job, NULL)))
            die("process");
    }
    for (int i = 0; i < WORKERS; i++) {
        if (kin_process_join(workers[i], KIN_FOREVER))
            die("join");
        kin_process_free(workers[i]);
    }
    for (int i = 0; i < WORKERS; i++) {
        kin_any square;
        if (kin_proxy_get(squares, KIN_ANY(i), &square))
            die("get");
        printf("%d squared is %d\n", i, (int)square.integer);
    }
    kin_any nothing;
    if (kin_proxy_get(squares, KIN_ANY(WORKERS), &nothing) == KIN_ENOTFOUND)
        printf("there is no key %d\n", WORKERS);
    kin_proxy_free(squares);
    kin_manager_free(manager);
    return 0;
}
