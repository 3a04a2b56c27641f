/* The child is handed the address of a variable on the caller's stack. */
#include <kin.h>

#include <stdio.h>

struct sum {
    int from, to, result;
};

static int add(void *arg)
{
    struct sum *sum = arg;
    for (int i = sum->from; i <= sum->to; i++)
        sum->result += i;
    return 0;
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        return 1;
    struct sum sum = {.from = 1, .to = 100};
    kin_process *child = kin_process_start_shared(add, &sum, NULL);
    if (!child)
        return fprintf(stderr, "%s\n", kin_error_message()), 1;
    kin_process_join(child, KIN_FOREVER);
    printf("%d\n", sum.result);
}
