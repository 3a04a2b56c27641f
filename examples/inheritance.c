/*
 * inheritance.c - the third way to share: what the parent has, its children inherit. Beside it,
 * inheritance.py.
 *
 *   Python                                     here
 *   ----------------------------------------   ---------------------------------------------------------
 *   a global made before the start:            the same, under fork: each child has its own copy
 *   each child has its own copy
 *   Array("i", 8), inherited: shared           kin_calloc(8, sizeof(int)): any memory of kin's heap is
 *                                              shared, at one address in all processes
 *   Value, with a lock in it                   an atomic in the heap
 *   a list or a tree must be pickled, or       just pointers: a structure that a child builds in the
 *   live in a Manager's process                heap, its parent walks
 */
#include <kin.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { COUNT = 8, CHILDREN = 2 };

/* Private memory: made before the children are, so that each has a copy of it. */
static const char *names[COUNT];

/* Shared memory: the pointers are copied, what they point to is one and the same. */
static int *squares;
static atomic_int *done;

/* A list in the heap, which children make longer. */
struct link {
    struct link *next;
    int number;
};
static struct link **list;

static void die(const char *what)
{
    fprintf(stderr, "inheritance: %s: %s\n", what, kin_error_message());
    exit(1);
}

/* Each child fills its half of the shared array, and appends to the list. Nothing but its number is passed. */
static int fill(void *arg)
{
    int child = *(const int *)arg;
    for (int i = child * COUNT / CHILDREN; i < (child + 1) * COUNT / CHILDREN; i++)
        squares[i] = i * i;
    atomic_fetch_add(done, 1);

    struct link *link = kin_malloc(sizeof *link);
    if (!link)
        return 1; /* the parent gets the code, and the whole story by kin_process_error() */
    link->number = 100 * child;
    link->next = *list;
    *list = link; /* the children run one after another here, else this needs a lock */

    printf("child %d: inherited %d names, the last is %s\n", child, COUNT, names[COUNT - 1]);
    names[COUNT - 1] = "changed by a child"; /* its own copy only */
    return 0;
}

static void run_child(int number)
{
    /* This is about fork, whatever KIN_START_METHOD says: a spawned child starts with fresh globals, and gets
     * shared memory by kin_process_start_shared (see copies.c). */
    kin_process *child =
        kin_process_start(fill, &number, sizeof number, KIN_PROCESS_OPTIONS(.start_method = KIN_START_FORK));
    kin_end end;
    kin_error error;
    if (!child || kin_process_join(child, KIN_FOREVER) || kin_process_end(child, &end))
        die("child");
    if ((end.how != KIN_END_EXITED || end.exit_code != 0) && kin_process_error(child, &error) == 0) {
        fprintf(stderr, "inheritance: child %d failed: %s\n", number, error.message);
        exit(1);
    }
    kin_process_free(child);
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        die("start");

    static const char *const words[COUNT] = {"zero", "one", "two", "three", "four", "five", "six", "seven"};
    for (int i = 0; i < COUNT; i++)
        names[i] = words[i];
    squares = kin_calloc(COUNT, sizeof *squares);
    done = kin_calloc(1, sizeof *done);
    list = kin_calloc(1, sizeof *list);
    if (!squares || !done || !list)
        die("memory");

    for (int child = 0; child < CHILDREN; child++)
        run_child(child);

    printf("parent: %d children are done\n", atomic_load(done));
    for (int i = 0; i < COUNT; i++)
        printf("parent: the square of %s is %d\n", names[i], squares[i]);
    for (struct link *link = *list, *next; link; link = next) {
        printf("parent: a child left %d\n", link->number);
        next = link->next;
        kin_free(link); /* any process may free what another has allocated */
    }
    kin_free(list);
    kin_free(done);
    kin_free(squares);
    return 0;
}
