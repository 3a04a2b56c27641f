/* What ends_test loads: a library whose functions crash. Built with -O2, whatever the rest is built with. */
#include <signal.h>
#include <stdlib.h>

int crash_in_plugin(int *where);

__attribute__((noinline, no_sanitize("address", "undefined"))) static int deep_in_plugin(volatile int *where)
{
    return *where + 1;
}

__attribute__((visibility("default"))) int crash_in_plugin(int *where)
{
    return deep_in_plugin(where) + 2;
}

static volatile int result;

/* While it runs, the loader's lock is held. */
__attribute__((constructor)) static void crash_while_loading(void)
{
    if (getenv("KIN_TEST_CRASH_WHILE_LOADING"))
        result = raise(SIGSEGV); /* not the last thing it does: that would be a jump, without a frame */
}
