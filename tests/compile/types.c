/* types.c - what kin_map and kin_for accept, and with one of the macros below what they must not. */
#include "kin.h"

struct in {
    double x;
};
struct out {
    double y;
};

static int work(kin_task *task, const struct in *in, struct out *out)
{
    (void)task;
    out->y = in->x;
    return 0;
}

static int step(kin_task *task, size_t index, struct out *context)
{
    (void)task;
    context->y += (double)index;
    return 0;
}

int kin_test_of_types(kin_pool *pool);

int kin_test_of_types(kin_pool *pool)
{
    static struct in in[10];
    static struct out out[10];
    struct in *in_pointer = in;
    const struct in *in_const = in;
    int err = kin_map(pool, work, in, out, 10);
    err |= kin_map(pool, work, in_pointer, out, 10);
    err |= kin_map(pool, work, in_const, out, 10);
    err |= kin_for(pool, step, out, 10);
#ifdef WRONG_INPUT
    static int other[10];
    err |= kin_map(pool, work, other, out, 10);
#endif
#ifdef WRONG_OUTPUT
    static int other[10];
    err |= kin_map(pool, work, in, other, 10);
#endif
#ifdef WRONG_CONTEXT
    err |= kin_for(pool, step, in, 10);
#endif
#ifdef VOID_ARRAY
    void *nothing = in;
    err |= kin_map(pool, work, nothing, out, 10);
#endif
    return err;
}
