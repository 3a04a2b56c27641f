/*
 * manager_pool.c - a Pool in a manager: workers of the server's, and who asks them may be on another machine. Beside it, manager_pool.py.
 */
#include <kin.h>

#include <stdio.h>
#include <stdlib.h>

#define NUMBERS 10

static void die(const char *what)
{
    fprintf(stderr, "manager_pool: %s: %s\n", what, kin_error_message());
    exit(1);
}

/* Runs in a worker: arguments come from the call, and what it returns goes there. */
static int square(kin_call *call)
{
    int64_t number;
    int error = kin_call_int(call, 0, &number);
    return error ? error : kin_call_return(call, kin_any_int(number * number));
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        die("start");
    kin_manager *manager = kin_manager_start(NULL);
    kin_proxy *pool = kin_proxy_new(manager, "Pool", (kin_any[]){KIN_ANY(2)}, 1);
    if (!pool)
        die("pool");
    kin_any value, numbers[NUMBERS], squares[NUMBERS];
    if (kin_proxy_apply(pool, kin_any_function(square), (kin_any[]){KIN_ANY(7)}, 1, &value))
        die("apply");
    printf("7 squared is %d\n", (int)value.integer);

    for (int i = 0; i < NUMBERS; i++)
        numbers[i] = KIN_ANY(i);
    if (kin_proxy_map(pool, kin_any_function(square), numbers, NUMBERS, squares))
        die("map");
    for (int i = 0; i < NUMBERS; i++)
        printf("%d%c", (int)squares[i].integer, i + 1 < NUMBERS ? ' ' : '\n');

    kin_proxy *iterator = kin_proxy_imap(pool, kin_any_function(square), numbers, 3, false);
    if (!iterator)
        die("imap");
    while (kin_proxy_next(iterator, &value, KIN_FOREVER) == 0)
        printf("next: %d\n", (int)value.integer);
    kin_proxy_free(iterator);

    if (kin_proxy_apply(pool, kin_any_function(square), (kin_any[]){KIN_ANY("seven")}, 1, &value))
        printf("that is no number\n"); /* kin_error_message() says which argument, of what, and where */
    if (kin_proxy_close(pool) || kin_proxy_join(pool, KIN_FOREVER))
        die("join");
    kin_proxy_free(pool);
    kin_manager_free(manager);
    return 0;
}
