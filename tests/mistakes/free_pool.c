/* The workers count what they did, and write it down at their end. The pool is freed, not finished. */
#include <kin.h>

#include <stdio.h>
#include <stdlib.h>

static int begin(void **state, const void *arg)
{
    (void)arg;
    *state = calloc(1, sizeof(long));
    return *state ? 0 : 1;
}

static void write_down(void *state)
{
    FILE *file = fopen("/dev/null", "a");
    if (file) {
        fprintf(file, "%ld tasks\n", *(long *)state);
        fclose(file);
    }
    free(state);
}

static int work(kin_task *task, const int *in, int *out)
{
    long *count = kin_task_state(task);
    *count += 1;
    *out = *in;
    return 0;
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        return 1;
    int in[100] = {0}, out[100];
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.initializer = begin, .finalizer = write_down));
    if (!pool || kin_map(pool, work, in, out, 100))
        return fprintf(stderr, "%s\n", kin_error_message()), 1;
    kin_pool_free(pool);
}
