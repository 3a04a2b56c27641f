/* A task says on stdout why it will fail. */
#include <kin.h>

#include <stdio.h>
#include <stdlib.h>

static int check(kin_task *task, const double *in, double *out)
{
    int row = (int)kin_task_index(task);
    printf("row %d: pivot %g\n", row, *in);
    if (*in == 0)
        abort();
    *out = 1 / *in;
    return 0;
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        return 1;
    double in[] = {4, 2, 0, 1}, out[4];
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 1, .output = KIN_OUTPUT_CAPTURE));
    if (!pool || kin_map(pool, check, in, out, 4))
        fprintf(stderr, "%s\n", kin_error_message());
    kin_pool_free(pool);
}
