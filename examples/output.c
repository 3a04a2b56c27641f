/* What processes print: in lines behind a prefix, or captured, for whoever wants to know why one failed. */
#include <kin.h>

#include <stdio.h>
#include <stdlib.h>

static int count(void *arg)
{
    int to = *(int *)arg;
    for (int i = 1; i <= to; i++)
        printf("%d of %d\n", i, to);
    return 0;
}

static int solve(void *arg)
{
    (void)arg;
    printf("row 1: pivot 2\n");
    fprintf(stderr, "row 2: pivot 0, the matrix is singular\n");
    exit(3);
}

static kin_process *start(kin_process_fn fn, int arg, const char *name, int output)
{
    kin_process *process =
        kin_process_start(fn, &arg, sizeof arg, KIN_PROCESS_OPTIONS(.name = name, .output = output));
    if (!process) {
        fprintf(stderr, "%s\n", kin_error_message());
        exit(1);
    }
    return process;
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv)) {
        fprintf(stderr, "%s\n", kin_error_message());
        return 1;
    }
    static const char *const names[] = {"anna", "bert"};
    for (int i = 0; i < 2; i++) {
        kin_process *process = start(count, i + 2, names[i], KIN_OUTPUT_PREFIX);
        if (kin_process_join(process, KIN_FOREVER)) /* and all that it has printed is told */
            return 1;
        kin_process_free(process);
    }
    char text[1000];
    kin_end end;
    kin_process *solver = start(solve, 0, "solver", KIN_OUTPUT_CAPTURE);
    if (kin_process_join(solver, KIN_FOREVER) || kin_process_end(solver, &end) ||
        kin_process_output(solver, text, sizeof text, NULL))
        return 1;
    printf("%s ended with exit code %d. It had printed:\n%s", kin_process_name(solver), end.exit_code, text);
    kin_process_free(solver);
    return 0;
}
