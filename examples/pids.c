/*
 * pids.c - what runs in which process. Beside it, pids.py.
 *
 *     pids [fork|spawn|forkserver]
 *
 * What stands before kin_init is what stands outside of `if __name__ == "__main__":` in Python. Under fork it
 * runs once, in the parent: children begin as its copies, in the middle of things. Under spawn each child is
 * the program started afresh: it runs what stands before kin_init, and kin_init then runs the child's
 * function and does not return. So what is there should be cheap, and must not start processes. Under forkserver it
 * runs once more, in a process that is kept as a template: children begin as copies of that one. (Python's import the
 * main module each, as under spawn.)
 */
#include <kin.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int body(void *arg)
{
    printf("the child's function: process %d, whose parent is %d\n", (int)getpid(),
           kin_process_pid(kin_parent_process()));
    (void)arg;
    return 0;
}

static void die(const char *what)
{
    fprintf(stderr, "pids: %s: %s\n", what, kin_error_message());
    exit(1);
}

int main(int argc, char **argv)
{
    printf("top of the program: process %d\n", (int)getpid());
    if (kin_init(&argc, &argv))
        die("start");
    printf("past the guard: process %d\n", (int)getpid());

    int method = KIN_START_DEFAULT; /* what KIN_START_METHOD in the environment says, else fork */
    if (argc > 1)
        method = kin_start_method_by_name(argv[1]);
    if (method < 0 || kin_set_start_method(method))
        die("start method");

    for (int i = 0; i < 2; i++) {
        kin_process *child = kin_process_start(body, NULL, 0, NULL);
        if (!child || kin_process_join(child, KIN_FOREVER))
            die("child");
        kin_process_free(child);
    }
    printf("at the end: process %d\n", (int)getpid());
    return 0;
}
