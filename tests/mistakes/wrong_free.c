/* A block of kin's heap is given to free(), and one of malloc to kin_free(). */
#include <kin.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        return 1;
    char *mine = malloc(100), *shared = kin_malloc(100);
    if (!mine || !shared)
        return 1;
    strcpy(mine, "mine");
    strcpy(shared, "shared");
    kin_free(mine);
    printf("%s\n", shared);
    free(shared);
}
