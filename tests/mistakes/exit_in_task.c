/* A task that cannot go on calls exit, as a program would. */
#include <kin.h>

#include <stdio.h>
#include <stdlib.h>

static int root(kin_task *task, const double *in, double *out)
{
    (void)task;
    if (*in < 0)
        exit(2);
    *out = *in / 2;
    return 0;
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        return 1;
    double in[] = {4, 9, -1, 16}, out[4];
    kin_pool *pool = kin_pool_new(NULL);
    if (!pool || kin_map(pool, root, in, out, 4))
        return fprintf(stderr, "%s\n", kin_error_message()), 1;
    kin_pool_free(pool);
}
