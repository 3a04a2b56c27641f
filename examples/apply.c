/*
 * apply.c - one task at a time: apply, apply_async, and what goes wrong with them. Beside it, apply.py.
 *
 *   Python                                     here
 *   ----------------------------------------   ---------------------------------------------------------
 *   pool.apply(power, (2, 10))                 kin_pool_apply(pool, power, KIN_APPLY_ARGS(...))
 *   result = pool.apply_async(power, ...)      result = kin_pool_apply_async(pool, power, KIN_APPLY_ARGS(...))
 *   result.get(timeout)                        kin_result_get(result, &out, sizeof out, timeout)
 *   result.ready(), result.successful()        kin_result_ready(result), kin_result_successful(result)
 *   (an error nobody reads is lost)            kin_pool_finish() tells the first one that nobody has read
 *
 * apply waits for each task before the next begins: one worker at a time has something to do. For a batch use a map.
 */
#include <kin.h>

#include <stdio.h>
#include <stdlib.h>

struct power {
    int base, exponent;
};

static int power(kin_task *task, const void *in, void *out)
{
    const struct power *p = in;
    long result = 1;
    if (p->exponent < 0)
        return kin_task_fail(task, "the exponent is %d", p->exponent);
    for (int i = 0; i < p->exponent; i++)
        result *= p->base;
    *(long *)out = result;
    return 0;
}

static void die(const char *what)
{
    fprintf(stderr, "apply: %s: %s\n", what, kin_error_message());
    exit(1);
}

static kin_result *submit(kin_pool *pool, int base, int exponent)
{
    struct power in = {base, exponent}; /* copied: it may go when the call returns */
    kin_result *result = kin_pool_apply_async(
        pool, power, KIN_APPLY_ARGS(.in = &in, .in_size = sizeof in, .out_size = sizeof(long)));
    if (!result)
        die("submit");
    return result;
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        die("start");
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 2));
    if (!pool)
        die("pool");

    /* apply: submit and wait. */
    struct power in = {2, 10};
    long out;
    if (kin_pool_apply(pool, power,
                       KIN_APPLY_ARGS(.in = &in, .in_size = sizeof in, .out = &out, .out_size = sizeof out)))
        die("apply");
    printf("2 to the power of 10 is %ld\n", out);

    /* apply_async: submit all, then collect in the order of submission. */
    enum { TASKS = 5 };
    kin_result *results[TASKS];
    for (int i = 0; i < TASKS; i++)
        results[i] = submit(pool, i + 1, 3);
    for (int i = 0; i < TASKS; i++) {
        if (kin_result_get(results[i], &out, sizeof out, KIN_FOREVER))
            die("get");
        printf("%d to the power of 3 is %ld\n", i + 1, out);
        kin_result_free(results[i]);
    }

    /* An error comes out where the result is asked for. */
    kin_result *wrong = submit(pool, 2, -1);
    if (kin_result_get(wrong, &out, sizeof out, KIN_FOREVER) == KIN_EFAILED)
        printf("get: %s\n", kin_error_message());
    printf("ready: %d, successful: %d\n", kin_result_ready(wrong), kin_result_successful(wrong));
    kin_result_free(wrong);

    /* One that nobody asks for is told at the end. In Python it is lost, unless there is an error_callback. */
    kin_result *unread = submit(pool, 2, -2);
    if (kin_pool_finish(pool, KIN_FOREVER) == KIN_EFAILED)
        printf("nobody read: %s\n", kin_error_message());
    kin_result_free(unread);
    kin_pool_free(pool);
    return 0;
}
