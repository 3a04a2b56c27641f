/*
 * sweep.c - act two: one model, thousands of scenarios.
 *
 * A result must not depend on which worker found it, nor on what that worker did before. So a task
 * does not solve the worker's model: it copies it (glp_copy_prob; the copy has no factorization and
 * no iteration count yet), changes the copy by its scenario, sets the starting basis, and solves
 * that. What GLPK does then is a function of these inputs alone.
 */
#include "sweep.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "killer.h"
#include "progress.h"

/* ---- the model: worker-local state ----------------------------------------------------------- */

struct model {
    glp_prob *pristine; /* as read and scaled; never solved */
    glp_prob *work;     /* the task's copy */
    struct lp_words words;
};

struct model_arg {
    const char *path; /* in the heap: valid in a worker of any start method */
};

static int model_load(void **state, const void *arg)
{
    const char *path = ((const struct model_arg *)arg)->path;
    struct model *model = calloc(1, sizeof *model);

    if (!model)
        return kin_error_set(KIN_ENOMEM, "no memory for the model");
    /* A solve takes and gives back some MiB. Keep them, rather than fault them in for each (a tenth faster). */
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    model->pristine = lp_read(path, &model->words);
    if (!model->pristine) {
        kin_error_set(KIN_EFAILED, "cannot read \"%s\": %s", path, model->words.text);
        free(model);
        return KIN_EFAILED;
    }
    lp_listen(&model->words);
    glp_scale_prob(model->pristine, GLP_SF_AUTO);
    model->work = glp_create_prob();
    *state = model;
    return 0;
}

static void model_unload(void *state)
{
    struct model *model = state;

    glp_delete_prob(model->work);
    glp_delete_prob(model->pristine);
    glp_free_env();
    free(model);
}

/* ---- scenarios ------------------------------------------------------------------------------- */

/* splitmix64's finalizer: a bijection whose output bits all depend on all input bits. */
static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/*
 * A factor from 1 - size to 1 + size. Counter-based: the n-th number of a key is computed from the two,
 * not drawn from a stream, so it is the same whoever asks and in whatever order.
 */
static double factor(const struct scenario *scenario, uint64_t n)
{
    double unit = (double)(mix(mix(scenario->key) ^ mix(n)) >> 11) * 0x1p-53;

    return 1 + scenario->size * (2 * unit - 1);
}

static void perturb(glp_prob *lp, const struct scenario *scenario)
{
    int rows = glp_get_num_rows(lp), columns = glp_get_num_cols(lp);

    if (scenario->size == 0)
        return;
    for (int i = 1; i <= rows; i++) {
        double f = factor(scenario, (uint64_t)i);

        if (glp_get_row_type(lp, i) != GLP_FR)
            glp_set_row_bnds(lp, i, glp_get_row_type(lp, i), f * glp_get_row_lb(lp, i),
                             f * glp_get_row_ub(lp, i));
    }
    for (int j = 1; j <= columns; j++)
        glp_set_obj_coef(lp, j, glp_get_obj_coef(lp, j) * factor(scenario, UINT64_C(1) << 32 | (uint64_t)j));
}

static size_t basis_variables(const struct basis *basis)
{
    return (size_t)basis->rows + (size_t)basis->columns;
}

static void basis_set(glp_prob *lp, const struct basis *basis)
{
    for (int i = 1; i <= basis->rows; i++)
        glp_set_row_stat(lp, i, basis->status[i - 1]);
    for (int j = 1; j <= basis->columns; j++)
        glp_set_col_stat(lp, j, basis->status[basis->rows + j - 1]);
}

/* The basis of `lp`, in memory that goes with the task's result; NULL: no memory. */
static struct basis *basis_get(glp_prob *lp, kin_task *task)
{
    int rows = glp_get_num_rows(lp), columns = glp_get_num_cols(lp);
    struct basis *basis = kin_task_malloc(task, sizeof *basis + (size_t)rows + (size_t)columns);

    if (!basis)
        return NULL;
    basis->rows = rows;
    basis->columns = columns;
    for (int i = 1; i <= rows; i++)
        basis->status[i - 1] = (unsigned char)glp_get_row_stat(lp, i);
    for (int j = 1; j <= columns; j++)
        basis->status[rows + j - 1] = (unsigned char)glp_get_col_stat(lp, j);
    return basis;
}

/* ---- tasks ----------------------------------------------------------------------------------- */

struct context {
    struct board *board;
    struct stamp *stamp;
};

static int solve_scenario(kin_task *task, const void *input, void *output)
{
    const struct context *context = kin_task_context(task);
    const struct scenario *in = input;
    struct scenario_result *out = output;
    struct model *model = kin_task_state(task);
    int attempt = kin_task_attempt(task);
    struct stamp *stamp = &context->stamp[kin_task_index(task) * SWEEP_ATTEMPTS];

    stamp += attempt < SWEEP_ATTEMPTS ? attempt : SWEEP_ATTEMPTS - 1;
    board_enter(context->board, task, stamp);
    glp_copy_prob(model->work, model->pristine, GLP_OFF);
    perturb(model->work, in);
    basis_set(model->work, in->start);
    out->status = (int)lp_resolve(model->work);
    out->optimum = out->status == LP_OPTIMAL ? glp_get_obj_val(model->work) : 0;
    out->iterations = glp_get_it_cnt(model->work);
    out->basis = basis_get(model->work, task);
    board_leave(context->board, task, stamp);
    return out->basis ? 0 : kin_error_code();
}

/* The basis that all scenarios start from: the optimal one of the model as it is. */
static int solve_start(kin_task *task, const void *input, void *output)
{
    struct model *model = kin_task_state(task);
    const struct basis **out = output;

    (void)input;
    glp_copy_prob(model->work, model->pristine, GLP_OFF);
    glp_adv_basis(model->work, 0);
    if (lp_resolve(model->work) != LP_OPTIMAL)
        return kin_task_fail(task, "the model has no optimum before any change");
    *out = basis_get(model->work, task);
    return *out ? 0 : kin_error_code();
}

/* ---- runs ------------------------------------------------------------------------------------ */

/* A task whose worker died is tried again so often: only one that kills its worker itself fails. */
static const int retries = 10;

static kin_pool *model_pool(const struct sweep *sweep, const char *title, int workers)
{
    struct model_arg arg = {.path = sweep->model};

    return kin_pool_new(KIN_POOL_OPTIONS(.workers = workers, .name = title, .initializer = model_load,
                                         .finalizer = model_unload, .init_arg = &arg,
                                         .init_arg_size = sizeof arg));
}

/* The starting basis, by one worker: if GLPK should abort over this model, the demo does not. */
static int find_start(struct sweep *sweep, const struct basis **out)
{
    const struct basis **found = kin_calloc(1, sizeof *found);
    kin_pool *pool = model_pool(sweep, "model", 1);
    int err = kin_error_code();

    if (found && pool) {
        err = kin_pool_map(pool, solve_start,
                           KIN_MAP_ARGS(.out = found, .out_size = sizeof *found, .count = 1, .time_limit = 60,
                                        .retries = retries, .results = &sweep->start_arena));
        *out = *found;
    }
    kin_pool_free(pool);
    kin_free(found);
    return err;
}

int sweep_prepare(struct sweep *out, const char *path, size_t count, double size, uint64_t seed)
{
    const struct basis *start = NULL;
    int err;

    *out = (struct sweep){.count = count};
    out->model = kin_strdup(path);
    out->scenario = kin_calloc(count, sizeof *out->scenario);
    if (!out->model || !out->scenario)
        return kin_error_code();
    err = find_start(out, &start);
    if (!start)
        return err;
    out->rows = start->rows;
    out->columns = start->columns;
    for (size_t i = 0; i < count; i++)
        out->scenario[i] = (struct scenario){.key = mix(seed) + i, .size = i == 0 ? 0 : size, .start = start};
    return 0;
}

void sweep_free(struct sweep *sweep)
{
    kin_free((void *)sweep->model);
    kin_free(sweep->scenario);
    kin_arena_free(sweep->start_arena);
    *sweep = (struct sweep){0};
}

/* FNV-1a, 64 bits. */
static uint64_t digest_add(uint64_t digest, const void *bytes, size_t size)
{
    const unsigned char *byte = bytes;

    for (size_t i = 0; i < size; i++)
        digest = (digest ^ byte[i]) * UINT64_C(0x100000001b3);
    return digest;
}

static const uint64_t digest_start = UINT64_C(0xcbf29ce484222325);

static uint64_t digest_basis(uint64_t digest, const struct basis *basis)
{
    return digest_add(digest, basis->status, basis_variables(basis));
}

/* Over every bit of every result, in the scenarios' order; a failed one counts as zeroes. */
static uint64_t digest_of(const struct scenario_result *result, size_t count)
{
    uint64_t digest = digest_start;

    for (size_t i = 0; i < count; i++) {
        digest = digest_add(digest, &result[i].optimum, sizeof result[i].optimum);
        digest = digest_add(digest, &result[i].status, sizeof result[i].status);
        digest = digest_add(digest, &result[i].iterations, sizeof result[i].iterations);
        if (result[i].basis)
            digest = digest_basis(digest, result[i].basis);
    }
    return digest;
}

/* Kills come evenly over the run. */
static int map_scenarios(struct sweep_run *run, const struct sweep *sweep, kin_pool *pool,
                         struct context *context)
{
    const struct sweep_plan *plan = &run->plan;
    kin_task_error error = {0};
    int err;

    if (plan->kills > 0) {
        run->killer = killer_start(context->board, plan->kills, sweep->count / ((size_t)plan->kills + 1), 0);
        if (!run->killer)
            return kin_error_code();
    }
    run->began = clock_now();
    err =
        kin_pool_map(pool, solve_scenario,
                     KIN_MAP_ARGS(.in = sweep->scenario, .in_size = sizeof *sweep->scenario,
                                  .out = run->result, .out_size = sizeof *run->result, .count = sweep->count,
                                  .context = context, .retries = retries, .on_failure = KIN_COLLECT,
                                  .progress = progress_show, .progress_arg = &run->deaths, .errors = &error,
                                  .errors_capacity = 1, .failures = &run->failures, .results = &run->arena));
    run->wall = clock_now() - run->began;
    killer_stop(run->killer);
    run->failure = error.error;
    if (run->failures > 0 && map_came_through(err))
        return 0;
    return err ? err : map_finish(pool);
}

int sweep_run(struct sweep_run *out, const struct sweep *sweep, const struct sweep_plan *plan)
{
    struct context *context = kin_calloc(1, sizeof *context);
    kin_pool *pool = NULL;
    int err = KIN_ENOMEM;

    *out = (struct sweep_run){.plan = *plan};
    out->result = kin_calloc(sweep->count, sizeof *out->result);
    out->stamp = kin_calloc(sweep->count * SWEEP_ATTEMPTS, sizeof *out->stamp);
    if (context && out->result && out->stamp) {
        context->stamp = out->stamp;
        context->board = board_new(plan->workers);
        pool = model_pool(sweep, plan->title, plan->workers);
        err = context->board && pool ? map_scenarios(out, sweep, pool, context) : kin_error_code();
        if (err == 0)
            out->digest = digest_of(out->result, sweep->count);
        kin_pool_free(pool);
        kin_free(context->board);
    }
    kin_free(context);
    return err;
}

void sweep_run_free(struct sweep_run *run)
{
    killer_free(run->killer);
    kin_free(run->result);
    kin_free(run->stamp);
    kin_arena_free(run->arena);
    *run = (struct sweep_run){0};
}

/* ---- comparison ------------------------------------------------------------------------------ */

static bool same_basis(const struct basis *a, const struct basis *b)
{
    if (!a || !b)
        return a == b;
    return a->rows == b->rows && a->columns == b->columns &&
           memcmp(a->status, b->status, basis_variables(a)) == 0;
}

size_t sweep_first_difference(const struct sweep_run *a, const struct sweep_run *b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct scenario_result *p = &a->result[i], *q = &b->result[i];

        if (!lp_same(p->optimum, q->optimum) || p->status != q->status || p->iterations != q->iterations ||
            !same_basis(p->basis, q->basis))
            return i;
    }
    return count;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

size_t sweep_distinct_bases(const struct sweep_run *run, size_t count)
{
    uint64_t *digest = calloc(count, sizeof *digest);
    size_t optimal = 0, distinct = 0;

    if (!digest)
        return 0;
    for (size_t i = 0; i < count; i++)
        if (run->result[i].status == LP_OPTIMAL)
            digest[optimal++] = digest_basis(digest_start, run->result[i].basis);
    qsort(digest, optimal, sizeof *digest, by_value);
    for (size_t i = 0; i < optimal; i++)
        distinct += i == 0 || digest[i] != digest[i - 1];
    free(digest);
    return distinct;
}
