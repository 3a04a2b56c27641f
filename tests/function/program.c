/*
 * function/program.c - a program of its own for function_test, linked in several ways (stripped, at a fixed
 * address, without a build id).
 *
 *     program [PLUGIN]
 *
 * Spawns a child that runs a static function of this program, or the function of a plug-in which is loaded
 * here only after kin_init, so not in the child. Its exit code is this program's.
 */
#include "kin.h"

#include <dlfcn.h>
#include <stdio.h>

static int forty_two(void *arg)
{
    return arg ? 1 : 42;
}

typedef kin_process_fn (*finder)(void);

static kin_process_fn function_of(const char *plugin)
{
    void *handle = dlopen(plugin, RTLD_NOW | RTLD_LOCAL);
    finder find = handle ? (finder)dlsym(handle, "plugin_function") : NULL;
    return find ? find() : NULL;
}

int main(int argc, char **argv)
{
    int error = kin_init(&argc, &argv);
    kin_process_fn function = argc > 1 ? function_of(argv[1]) : forty_two;
    kin_process *child = NULL;
    kin_end end = {0};
    if (!error)
        child = kin_process_start(function, NULL, 0, KIN_PROCESS_OPTIONS(.start_method = KIN_START_SPAWN));
    if (child)
        error = kin_process_join(child, 20);
    if (!child || error || kin_process_end(child, &end) != 0 || end.how != KIN_END_EXITED) {
        fprintf(stderr, "program: %s\n", kin_error_message());
        return 1;
    }
    kin_process_free(child);
    return end.exit_code;
}
