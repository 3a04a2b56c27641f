/* A variable is changed when the workers have their copies of it. */
#include <kin.h>

#include <stdio.h>

static int scale = 2;

static int multiply(kin_task *task, const int *in, int *out)
{
    (void)task;
    *out = *in * scale;
    return 0;
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        return 1;
    int in[] = {1, 2, 3}, out[3];
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 1));
    scale = 100;
    if (!pool || kin_map(pool, multiply, in, out, 3))
        return fprintf(stderr, "%s\n", kin_error_message()), 1;
    printf("%d %d %d, not %d %d %d\n", out[0], out[1], out[2], scale, 2 * scale, 3 * scale);
    kin_pool_free(pool);
}
