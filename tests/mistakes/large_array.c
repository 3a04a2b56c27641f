/* A task keeps a large array on its stack. */
#include <kin.h>

#include <stdio.h>

static int fill(kin_task *task, const int *in, double *out)
{
    (void)task;
    double grid[2000][2000]; /* 32 MB */
    for (int i = 0; i < 2000; i++)
        for (int j = 0; j < 2000; j++)
            grid[i][j] = i * *in + j;
    *out = grid[1999][1999];
    return 0;
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        return 1;
    int in[] = {1, 2};
    double out[2];
    kin_pool *pool = kin_pool_new(NULL);
    if (!pool || kin_map(pool, fill, in, out, 2))
        return fprintf(stderr, "%s\n", kin_error_message()), 1;
    kin_pool_free(pool);
}
