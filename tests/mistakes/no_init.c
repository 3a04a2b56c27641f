/* kin_init is missing. */
#include <kin.h>

#include <stdio.h>

int main(void)
{
    kin_pool *pool = kin_pool_new(NULL);
    if (!pool)
        return fprintf(stderr, "%s\n", kin_error_message()), 1;
    kin_pool_free(pool);
}
