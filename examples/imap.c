/*
 * imap.c - lazy input and results one by one: imap, imap_unordered; map_async. Beside it, imap.py.
 *
 *   Python                                     here
 *   ----------------------------------------   ---------------------------------------------------------
 *   for x in pool.imap(f, generator()):        imap = kin_pool_imap(pool, f, KIN_IMAP_ARGS(.input = next, ...));
 *                                              while ((error = kin_imap_next(imap, &x, ...)) == 0)
 *   pool.imap_unordered(f, generator())        KIN_IMAP_ARGS(.unordered = true, ...)
 *   pool.map_async(f, numbers).get()           kin_result_get(kin_pool_map_async(pool, f, ...), ...)
 *
 * Python draws the whole input at once, however long; here there is a window, so an endless one will do.
 */
#include <kin.h>

#include <stdio.h>
#include <stdlib.h>

static int collatz_steps(kin_task *task, const void *in, void *out)
{
    long n = *(const long *)in, steps = 0;
    (void)task;
    for (; n != 1; steps++)
        n = n % 2 ? 3 * n + 1 : n / 2;
    *(long *)out = steps;
    return 0;
}

static void die(const char *what)
{
    fprintf(stderr, "imap: %s: %s\n", what, kin_error_message());
    exit(1);
}

/* The input: called in kin_imap_next, when there is room in the window. */
static int next_number(void *arg, void *in)
{
    long *last = arg;
    *(long *)in = ++*last;
    return 1; /* there is always one more */
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        die("start");
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 2));
    if (!pool)
        die("pool");

    /* The first number that takes more than 120 steps, out of all there are. */
    long last = 0, steps = 0;
    size_t index;
    kin_imap *imap = kin_pool_imap(pool, collatz_steps,
                                   KIN_IMAP_ARGS(.input = next_number, .input_arg = &last,
                                                 .in_size = sizeof last, .out_size = sizeof steps));
    if (!imap)
        die("imap");
    do {
        if (kin_imap_next(imap, &steps, &index, KIN_FOREVER))
            die("next");
    } while (steps <= 120);
    printf("%zu takes %ld steps\n", index + 1, steps);
    kin_imap_free(imap);

    /* As they are finished: the order may differ, the sum does not. */
    long numbers[1000], sum = 0;
    for (long i = 0; i < 1000; i++)
        numbers[i] = i + 1;
    imap = kin_pool_imap(pool, collatz_steps,
                         KIN_IMAP_ARGS(.in = numbers, .in_size = sizeof *numbers, .count = 1000,
                                       .out_size = sizeof steps, .unordered = true, .chunk = 10));
    if (!imap)
        die("imap");
    int error;
    while ((error = kin_imap_next(imap, &steps, NULL, KIN_FOREVER)) == 0)
        sum += steps;
    if (error != KIN_ECLOSED) /* the end of the input */
        die("next");
    printf("the first 1000 numbers take %ld steps in all\n", sum);
    kin_imap_free(imap);

    /* A map that is not waited for. */
    long all[1000];
    kin_result *result = kin_pool_map_async(
        pool, collatz_steps,
        KIN_MAP_ARGS(.in = numbers, .in_size = sizeof *numbers, .out_size = sizeof *all, .count = 1000));
    if (!result)
        die("map");
    if (kin_result_get(result, all, sizeof all, KIN_FOREVER))
        die("get");
    printf("ready: %d; 27 takes %ld steps\n", kin_result_ready(result), all[26]);
    kin_result_free(result);

    if (kin_pool_finish(pool, KIN_FOREVER))
        die("finish");
    kin_pool_free(pool);
    return 0;
}
