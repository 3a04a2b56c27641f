/* pool/costs.h - in which order tasks are begun whose costs are known: longest first (Graham, Bounds on Multiprocessing Timing
 * Anomalies, 1969: at most 4/3 of the optimum). */
#ifndef KIN_POOL_COSTS_H
#define KIN_POOL_COSTS_H

#include <stddef.h>

/* One of what is to be put in order. */
struct kin__costly {
    double cost;
    size_t number;
};

/* Highest cost first; of equal ones the lowest number. */
void kin__costs_sort(struct kin__costly *list, size_t count);

/* Each is 0 or more, and finite. */
int kin__costs_check(const double *costs, size_t count);

#endif
