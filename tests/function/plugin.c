/* function/plugin.c - a plug-in for function_test, built several times: with another VALUE it is another
 * build. */
#include <stddef.h>

static int value(void *arg)
{
    return arg ? -1 : VALUE;
}

typedef int (*body)(void *);

/* How a host gets at the function, which has no name outside. */
__attribute__((visibility("default"))) body plugin_function(void);

body plugin_function(void)
{
    return value;
}
