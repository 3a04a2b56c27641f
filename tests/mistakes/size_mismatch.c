/* The task takes double, the arrays are of float. */
#include <kin.h>

#include <stdio.h>

static int halve(kin_task *task, const double *in, double *out)
{
    (void)task;
    *out = *in / 2;
    return 0;
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        return 1;
    float in[100] = {1, 2, 3}, out[100];
    kin_pool *pool = kin_pool_new(NULL);
    if (!pool || kin_map(pool, halve, in, out, 100))
        return fprintf(stderr, "%s\n", kin_error_message()), 1;
    kin_pool_free(pool);
}
