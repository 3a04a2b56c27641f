/* pool/costs.c - see costs.h. */
#include "pool/costs.h"

#include "base/failure.h"

#include <math.h>
#include <stdlib.h>

static int longest_first(const void *left, const void *right)
{
    const struct kin__costly *a = left, *b = right;
    if (a->cost != b->cost)
        return a->cost < b->cost ? 1 : -1;
    return (a->number > b->number) - (a->number < b->number);
}

void kin__costs_sort(struct kin__costly *list, size_t count)
{
    qsort(list, count, sizeof *list, longest_first);
}

int kin__costs_check(const double *costs, size_t count)
{
    for (size_t i = 0; costs && i < count; i++)
        if (!(costs[i] >= 0) || isinf(costs[i]))
            return kin__fail(KIN_EINVAL, "cannot map: the cost of item %zu is %g: it is 0 or more", i,
                             costs[i]);
    return 0;
}
