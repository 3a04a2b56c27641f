/*
 * lp.h - linear programs by GLPK.
 *
 * GLPK ends the process by abort() when it finds no memory or an error in itself, and no limit on time
 * or memory holds everywhere in it. That is why each solve runs in a worker process.
 */
#ifndef DEMO_LP_H
#define DEMO_LP_H

#include <glpk.h>
#include <stdbool.h>

/* Status of a solve; 0 is left for tasks that failed, whose output kin zeroes. */
enum lp_status { LP_NONE = 0, LP_OPTIMAL, LP_INFEASIBLE, LP_UNBOUNDED, LP_UNDECIDED };

/*
 * The last line GLPK had to say. It lies in the shared heap, so the last words before an abort() are
 * still there when the worker is not.
 */
struct lp_words {
    bool complete; /* the line has ended: the next text starts another */
    char text[160];
};

/* Send what GLPK of this process says to `words` from now on, instead of to the terminal. */
void lp_listen(struct lp_words *words);

/*
 * Read an MPS file, fixed or free, plain or gzip-compressed. NULL: cannot be read; `words` says why.
 * Integer columns are read as continuous: what is solved is the relaxation.
 */
glp_prob *lp_read(const char *path, struct lp_words *words);

/* Solve from scratch by the simplex method with presolver. */
enum lp_status lp_solve(glp_prob *lp);

/* Solve from the basis that is set in `lp`, without presolver, so that the optimal basis is there after. */
enum lp_status lp_resolve(glp_prob *lp);

/* "optimal", ... */
const char *lp_status_name(enum lp_status status);

/* Whether two optima are the same to the last bit. */
bool lp_same(double a, double b);

#endif
