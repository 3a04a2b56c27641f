/* user.c - a program of somebody who has installed kin: compiled as C and as C++ by tests/install_test. */
#include <kin.h>
#include <stdio.h>
#include <string.h>

static int square(kin_task *task, const int *in, int *out)
{
    *out = *in * *in;
    return *in < 0 ? kin_task_fail(task, "%d is negative", *in) : 0;
}

int main(int argc, char **argv)
{
    static int in[100], out[100];
    long sum = 0;
    if (kin_init(&argc, &argv)) {
        fprintf(stderr, "%s\n", kin_error_message());
        return 1;
    }
    for (int i = 0; i < 100; i++)
        in[i] = i;

    kin_pool_options options; /* in both languages: in C alone, KIN_POOL_OPTIONS(.workers = 2) would do */
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.workers = 2;
    kin_pool *pool = kin_pool_new(&options);
    if (!pool || kin_map(pool, square, in, out, 100)) {
        fprintf(stderr, "%s\n", kin_error_message());
        return 1;
    }
    for (int i = 0; i < 100; i++)
        sum += out[i];

    in[7] = -7;
    int err = kin_map(pool, square, in, out, 100);
    printf("%s: %ld, %s: %s\n", kin_version(), sum, kin_error_name(err),
           strstr(kin_error_message(), "-7 is negative") ? "-7 is negative" : kin_error_message());
    kin_pool_free(pool);
    return 0;
}
