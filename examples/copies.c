/*
 * copies.c - whose variable is it? Beside it, copies.py. Run it with KIN_START_METHOD=fork and =spawn.
 *
 * A process has its own copy of every variable of the program. A copy that nobody changes cannot be told
 * from the original; one that somebody changes differs from then on. What lies in kin's heap is there once.
 *
 * Under fork the copy is made when the process starts, with the values of that moment. Under spawn the
 * program starts afresh: variables have the values they were born with, and what is to be shared is passed.
 */
#include <kin.h>

#include <stdio.h>
#include <stdlib.h>

static int unchanged = 1;
static int changed = 1;

static void show(const char *who, const int *shared)
{
    printf("%s: unchanged %d, changed %d, in the heap %d\n", who, unchanged, changed, *shared);
}

/* `shared` is the very pointer that the parent has: the heap lies at one address in all processes. */
static int body(void *arg)
{
    int *shared = arg;
    show("child, as it finds them", shared);
    changed = 300;
    *shared = 300;
    show("child, changed by it", shared);
    return 0;
}

static void die(const char *what)
{
    fprintf(stderr, "copies: %s: %s\n", what, kin_error_message());
    exit(1);
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        die("start");
    int *shared = kin_malloc(sizeof *shared);
    if (!shared)
        die("memory");
    *shared = 1;
    show("parent, at first", shared);
    changed = 20;
    *shared = 20;
    show("parent, changed by it", shared);

    /*
     * start_shared hands over a pointer into the heap, and refuses any other: kin_process_start(body, &changed,
     * sizeof changed, NULL) would have handed over a copy of the value.
     */
    kin_process *child = kin_process_start_shared(body, shared, NULL);
    if (!child || kin_process_join(child, KIN_FOREVER))
        die("child");
    kin_process_free(child);
    show("parent, after the child", shared);

    child = kin_process_start_shared(body, &changed, NULL);
    printf("a pointer to a variable of the parent is %s\n",
           !child && kin_error_code() == KIN_ENOTSHARED ? "refused" : "taken");
    kin_free(shared);
    return 0;
}
