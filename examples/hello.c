#include <kin.h>
#include <stdio.h>

static int square(kin_task *task, const int *in, int *out)
{
    *out = *in * *in;
    return *in < 0 ? kin_task_fail(task, "%d is negative", *in) : 0;
}

int main(int argc, char **argv)
{
    int in[4] = {1, 2, 3, 4}, out[4];
    kin_pool *pool = kin_init(&argc, &argv) ? NULL : kin_pool_new(NULL); /* a worker for each CPU */
    if (!pool || kin_map(pool, square, in, out, 4))
        return fprintf(stderr, "%s\n", kin_error_message()), 1;
    printf("%d %d %d %d\n", out[0], out[1], out[2], out[3]);
    kin_pool_free(pool);
}
