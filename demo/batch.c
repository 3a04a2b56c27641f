/*
 * batch.c - act one: a directory of problems, each a task.
 *
 * Large files come first: they are the long tasks, and one that starts last is waited for alone.
 */
#include "batch.h"

#include <math.h>
#include <stdlib.h>

#include "killer.h"
#include "progress.h"

/* A task's input. The path lies in the heap: workers of the spawn method have no copy of main's memory. */
struct item {
    const char *path;
    size_t problem;
};

struct context {
    struct board *board;
    struct batch_note *note;
};

/* Until a task has run for so long, the killer lets it be. */
static const double kill_after = 0.02;

static int solve_problem(kin_task *task, const void *input, void *output)
{
    const struct context *context = kin_task_context(task);
    const struct item *in = input;
    struct batch_result *out = output;
    struct batch_note *note = &context->note[in->problem];
    glp_prob *lp;

    board_enter(context->board, task, &note->stamp);
    lp = lp_read(in->path, &note->words);
    if (!lp) {
        board_leave(context->board, task, &note->stamp);
        return kin_task_fail(task, "cannot read \"%s\": %s", in->path, note->words.text);
    }
    note->rows = glp_get_num_rows(lp);
    note->columns = glp_get_num_cols(lp);
    note->nonzeros = glp_get_num_nz(lp);
    out->integers = glp_get_num_int(lp);
    lp_listen(&note->words);
    out->status = lp_solve(lp);
    out->optimum = glp_get_obj_val(lp);
    glp_delete_prob(lp);
    glp_free_env(); /* all memory goes back, so that the next task's limit counts that task only */
    board_leave(context->board, task, &note->stamp);
    return 0;
}

static int by_size(const void *a, const void *b)
{
    const struct problem *p = *(const struct problem *const *)a, *q = *(const struct problem *const *)b;

    if (p->bytes != q->bytes)
        return p->bytes > q->bytes ? -1 : 1;
    return p < q ? -1 : 1;
}

/* The tasks, longest first, in the heap; NULL: no memory. */
static struct item *make_items(const struct problems *problems)
{
    const struct problem **order = malloc(problems->count * sizeof *order);
    struct item *item = kin_calloc(problems->count, sizeof *item);

    if (!order || !item)
        goto fail;
    for (size_t i = 0; i < problems->count; i++)
        order[i] = &problems->item[i];
    qsort(order, problems->count, sizeof *order, by_size);
    for (size_t i = 0; i < problems->count; i++) {
        item[i].path = kin_strdup(order[i]->path);
        item[i].problem = (size_t)(order[i] - problems->item);
        if (!item[i].path)
            goto fail;
    }
    free(order);
    return item;
fail:
    for (size_t i = 0; item && i < problems->count; i++)
        kin_free((void *)item[i].path);
    kin_free(item);
    free(order);
    return NULL;
}

/* Results and failures come in the tasks' order; file them in the problems'. */
static void file_results(struct batch *batch, const struct item *item, size_t count,
                         const struct batch_result *result, const kin_task_error *error)
{
    for (size_t i = 0; i < count; i++)
        batch->result[item[i].problem] = result[i];
    for (size_t i = 0; i < batch->failures; i++)
        batch->error[item[error[i].index].problem] = error[i];
}

static int map_items(struct batch *batch, struct item *item, size_t count, struct context *context)
{
    const struct batch_plan *plan = &batch->plan;
    struct batch_result *result = kin_calloc(count, sizeof *result);
    kin_task_error *error = calloc(count, sizeof *error);
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = plan->workers, .name = plan->title));
    int err;

    if (result && error && pool && plan->kill_one)
        batch->killer = killer_start(context->board, 1, 1, kill_after);
    if (!result || !error || !pool || (plan->kill_one && !batch->killer)) {
        err = kin_error_code();
    } else {
        batch->began = clock_now();
        err = kin_pool_map(pool, solve_problem,
                           KIN_MAP_ARGS(.in = item, .in_size = sizeof *item, .out = result,
                                        .out_size = sizeof *result, .count = count, .context = context,
                                        .time_limit = plan->time_limit, .memory_limit = plan->memory_limit,
                                        .chunk = 1, .on_failure = KIN_COLLECT, .progress = progress_show,
                                        .progress_arg = &batch->deaths, .errors = error,
                                        .errors_capacity = count, .failures = &batch->failures));
        batch->wall = clock_now() - batch->began;
        killer_stop(batch->killer);
        if (map_came_through(err)) {
            file_results(batch, item, count, result, error);
            err = map_finish(pool);
        }
    }
    kin_pool_free(pool);
    kin_free(result);
    free(error);
    return err;
}

int batch_run(struct batch *out, const struct problems *problems, const struct batch_plan *plan)
{
    size_t count = problems->count;
    struct context *context = kin_calloc(1, sizeof *context);
    struct item *item = make_items(problems);
    int err = KIN_ENOMEM;

    *out = (struct batch){.plan = *plan};
    out->result = calloc(count, sizeof *out->result);
    out->error = calloc(count, sizeof *out->error);
    out->note = kin_calloc(count, sizeof *out->note);
    if (context && item && out->result && out->error && out->note) {
        context->board = board_new(plan->workers);
        context->note = out->note;
        if (context->board)
            err = map_items(out, item, count, context);
        kin_free(context->board);
    }
    for (size_t i = 0; item && i < count; i++)
        kin_free((void *)item[i].path);
    kin_free(item);
    kin_free(context);
    return err;
}

void batch_free(struct batch *batch)
{
    killer_free(batch->killer);
    free(batch->result);
    free(batch->error);
    kin_free(batch->note);
    *batch = (struct batch){0};
}

double batch_difference(const struct problem *problem, const struct batch_result *result)
{
    double difference = fabs(result->optimum - problem->optimum);

    return problem->optimum == 0 ? difference : difference / fabs(problem->optimum);
}
