/* run_parallel.c - the runner of GNU parallel. */
#include "run_c.h"

int main(int argc, char **argv)
{
    static const struct bench_contestant contestants[] = {
        {"commands", "parallel", commands_open, commands_run, NULL}};

    return bench_serve(argc, argv, contestants, 1);
}
