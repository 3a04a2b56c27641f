/* lp.c - linear programs by GLPK. */
#include "lp.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* GLPK's terminal hook: it gets whole lines or pieces of them. Non-zero: do not print. */
static int hear(void *info, const char *said)
{
    struct lp_words *words = info;
    size_t have, length = strcspn(said, "\n");

    /* What abort() is preceded by names a line of GLPK; the line before it is the reason. */
    if (strncmp(said, "Error detected in file", 22) == 0)
        return 1;
    if (length > 0) {
        if (words->complete)
            words->text[0] = '\0';
        have = strlen(words->text);
        if (length > sizeof words->text - 1 - have)
            length = sizeof words->text - 1 - have;
        memcpy(words->text + have, said, length);
        words->text[have + length] = '\0';
        words->complete = false;
    }
    if (strchr(said, '\n'))
        words->complete = true;
    return 1;
}

void lp_listen(struct lp_words *words)
{
    words->text[0] = '\0';
    words->complete = false;
    glp_term_hook(hear, words);
}

/* "dir/a.mps:7: text" becomes "line 7: text". */
static void drop_path(struct lp_words *words, const char *path)
{
    size_t length = strlen(path);
    char rest[sizeof words->text];

    if (strncmp(words->text, path, length) != 0 || words->text[length] != ':')
        return;
    memcpy(rest, words->text + length + 1, strlen(words->text + length + 1) + 1);
    snprintf(words->text, sizeof words->text, "line %.*s", (int)sizeof words->text - 6, rest);
}

glp_prob *lp_read(const char *path, struct lp_words *words)
{
    struct lp_words first;
    glp_prob *lp = glp_create_prob();

    lp_listen(words);
    if (glp_read_mps(lp, GLP_MPS_DECK, NULL, path) == 0)
        return lp;
    /* Fixed format is the stricter one, and its complaint is the one to tell if free format fails too. */
    drop_path(words, path);
    first = *words;
    if (glp_read_mps(lp, GLP_MPS_FILE, NULL, path) == 0)
        return lp;
    *words = first;
    glp_delete_prob(lp);
    return NULL;
}

static enum lp_status status_of(const glp_prob *lp)
{
    switch (glp_get_status((glp_prob *)lp)) {
    case GLP_OPT:
        return LP_OPTIMAL;
    case GLP_NOFEAS:
        return LP_INFEASIBLE;
    case GLP_UNBND:
        return LP_UNBOUNDED;
    default:
        return LP_UNDECIDED;
    }
}

enum lp_status lp_solve(glp_prob *lp)
{
    glp_smcp parameters;

    glp_init_smcp(&parameters);
    parameters.msg_lev = GLP_MSG_OFF;
    parameters.presolve = GLP_ON;
    switch (glp_simplex(lp, &parameters)) {
    case 0:
        return status_of(lp);
    case GLP_ENOPFS:
        return LP_INFEASIBLE;
    case GLP_ENODFS:
        return LP_UNBOUNDED;
    default:
        return LP_UNDECIDED;
    }
}

enum lp_status lp_resolve(glp_prob *lp)
{
    glp_smcp parameters;
    int failed;

    glp_init_smcp(&parameters);
    parameters.msg_lev = GLP_MSG_OFF;
    failed = glp_simplex(lp, &parameters);
    if (failed) {
        /* The starting basis is singular with these numbers, or the method got stuck: once from scratch. */
        glp_std_basis(lp);
        glp_adv_basis(lp, 0);
        failed = glp_simplex(lp, &parameters);
    }
    return failed ? LP_UNDECIDED : status_of(lp);
}

const char *lp_status_name(enum lp_status status)
{
    static const char *const names[] = {"failed", "optimal", "infeasible", "unbounded", "undecided"};

    return names[status];
}

bool lp_same(double a, double b)
{
    uint64_t p, q;

    memcpy(&p, &a, sizeof p);
    memcpy(&q, &b, sizeof q);
    return p == q;
}
