/* table.h - the batch in the terminal. */
#ifndef DEMO_TABLE_H
#define DEMO_TABLE_H

#include "batch.h"

/* A line for each problem, and totals. */
void table_print(const struct batch *batch, const struct problems *problems);

/* A line or two for each failure. */
void table_print_failures(const struct batch *batch, const struct problems *problems);

#endif
