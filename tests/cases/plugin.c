/* plugin.c - a plug-in that uses kin, of programs that do not know it. With kin's shared library, or with a copy of kin
 * of its own inside. */
#include "kin.h"

#include <string.h>

__attribute__((visibility("default"))) int plugin_work(char *said, int size);
__attribute__((visibility("default"))) const void *plugin_heap(void);

static int add(void *arg)
{
    *(int *)arg += 1;
    return 0;
}

static int twice(kin_task *task, const int *in, int *out)
{
    (void)task;
    *out = 2 * *in;
    return 0;
}

static int map(void)
{
    int in[20], out[20];
    for (int i = 0; i < 20; i++)
        in[i] = i;
    kin_pool *pool = kin_pool_new(NULL);
    int error = pool ? kin_map(pool, twice, in, out, 20) : kin_error_code();
    if (!error && out[19] != 38)
        error = 1;
    kin_pool_free(pool);
    return error;
}

/* Children beside each other, and a pool; then what cannot be: a new image of a program whose main knows nothing. */
static int work(void)
{
    int error = kin_init(NULL, NULL);
    int *sum = error ? NULL : kin_calloc(1, sizeof *sum);
    if (!sum)
        return error ? error : 2;
    for (int i = 0; i < 5 && !error; i++) {
        kin_process *two[] = {kin_process_start_shared(add, sum, NULL), NULL};
        two[1] = kin_process_start_shared(add, NULL, KIN_PROCESS_OPTIONS(.start_method = KIN_START_SPAWN));
        error = !two[0] ? kin_error_code() : two[1] ? 3 : kin_process_join(two[0], 30);
        kin_process_free(two[0]);
    }
    if (!error && *sum != 5)
        error = 4;
    kin_free(sum);
    return error ? error : map();
}

int plugin_work(char *said, int size)
{
    int error = work();
    strncpy(said, error ? kin_error_message() : "", (size_t)size - 1);
    return error;
}

/* Some block: whether two plug-ins share a heap. */
const void *plugin_heap(void)
{
    static void *block;
    if (!block)
        block = kin_malloc(1);
    return block;
}
