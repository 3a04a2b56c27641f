/*
 * kin-demo - real linear programs on all cores, by workers that may be killed without harm.
 *
 * Act one solves a directory of problems, each a task, then does so again under faults. Act two solves
 * thousands of scenarios of one model, three times: by one worker, by all, by all while workers are
 * being killed; the results are the same to the last bit. `kin-demo --help` tells the rest.
 */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "checks.h"
#include "killer.h"
#include "report.h"
#include "story.h"
#include "table.h"

/* Exit codes. */
enum { EXIT_AS_EXPECTED = 0, EXIT_NOT_AS_EXPECTED = 1, EXIT_NOT_STARTED = 2, EXIT_INTERRUPTED = 130 };

static void headline(const char *text)
{
    printf(isatty(STDOUT_FILENO) ? "\n\033[1m%s\033[0m\n" : "\n%s\n", text);
    fflush(stdout);
}

/* ---- act one --------------------------------------------------------------------------------- */

static int act_one(struct story *story)
{
    const struct options *options = &story->options;
    struct batch_plan plan = {.title = "batch", .workers = story->workers, .time_limit = options->time_limit};
    int err;

    headline("Act one: the batch");
    err = batch_run(&story->batch, &story->problems, &plan);
    if (err)
        return err;
    table_print(&story->batch, &story->problems);
    table_print_failures(&story->batch, &story->problems);
    if (options->baseline && story->workers > 1) {
        plan.title = "one worker";
        plan.workers = 1;
        err = batch_run(&story->baseline, &story->problems, &plan);
        if (err)
            return err;
        printf("one worker: %.1f s; %d workers are %.2f times as fast\n", story->baseline.wall,
               story->workers, story->baseline.wall / story->batch.wall);
    }
    checks_batch(story);
    return 0;
}

static int act_one_with_faults(struct story *story)
{
    const struct options *options = &story->options;
    struct batch_plan plan = {.title = "faults",
                              .workers = story->workers,
                              .time_limit = options->time_limit,
                              .memory_limit = options->memory_limit_mib << 20,
                              .kill_one = true};
    int err;

    headline("The same batch, with faults");
    printf("Each task may take %zu MiB; another process kills one worker in mid-run.\n",
           options->memory_limit_mib);
    fflush(stdout);
    err = batch_run(&story->faults, &story->problems, &plan);
    if (err)
        return err;
    if (killer_count(story->faults.killer) > 0) {
        const struct kill_note *note = killer_note(story->faults.killer, 0);

        printf("The killer sent SIGKILL to worker %d, process %d, after %.2f s.\n", note->worker, note->pid,
               note->when - story->faults.began);
    } else {
        puts("The killer found no worker that was in a task for long enough.");
    }
    printf("%zu of %zu tasks failed:\n", story->faults.failures, story->problems.count);
    table_print_failures(&story->faults, &story->problems);
    checks_faults(story);
    return 0;
}

/* ---- act two --------------------------------------------------------------------------------- */

/* The model of the sweep: the one named, or else that whose time comes nearest to 3 ms. */
static const struct problem *choose_model(const struct story *story)
{
    const struct problem *named = problems_find(&story->problems, story->options.model), *best = NULL;
    double best_ratio = 0;

    if (named || story->options.model_given)
        return named;
    for (size_t i = 0; i < story->problems.count; i++) {
        const struct stamp *stamp = &story->batch.note[i].stamp;
        double ratio = stamp->end > 0 ? (stamp->end - stamp->start) / 0.003 : 0;

        if (story->batch.result[i].status != LP_OPTIMAL || ratio <= 0)
            continue;
        ratio = ratio > 1 ? 1 / ratio : ratio;
        if (ratio > best_ratio) {
            best_ratio = ratio;
            best = &story->problems.item[i];
        }
    }
    return best;
}

static int run_sweep(struct story *story, const struct sweep_plan *plan)
{
    struct sweep_run *run = &story->run[story->runs++];
    int err = sweep_run(run, &story->sweep, plan);

    if (err)
        return err;
    printf("  %-26s %7.2f s  %6.0f scenarios/s  killed %3d  failed %3zu  digest %016llx\n", plan->title,
           run->wall, (double)story->sweep.count / run->wall, killer_count(run->killer), run->failures,
           (unsigned long long)run->digest);
    fflush(stdout);
    return 0;
}

static void spread_of_optima(struct story *story)
{
    double *optimum = calloc(story->sweep.count, sizeof *optimum);
    size_t count = 0, infeasible = 0, unbounded = 0;

    if (!optimum)
        return;
    for (size_t i = 0; i < story->sweep.count; i++) {
        const struct scenario_result *result = &story->run[0].result[i];

        if (result->status == LP_OPTIMAL)
            optimum[count++] = result->optimum;
        infeasible += result->status == LP_INFEASIBLE;
        unbounded += result->status == LP_UNBOUNDED;
    }
    story->nominal = story->run[0].result[0].optimum;
    if (count > 0) {
        struct histogram coarse;

        histogram_make(&coarse, optimum, count, 24);
        histogram_print(stdout, &coarse, story->nominal, "unperturbed");
        histogram_make(&story->histogram, optimum, count, 56);
    }
    printf("  %zu different bases are optimal for some scenario",
           sweep_distinct_bases(&story->run[0], story->sweep.count));
    if (count < story->sweep.count)
        printf("; %zu scenarios are infeasible, %zu unbounded, %zu undecided", infeasible, unbounded,
               story->sweep.count - count - infeasible - unbounded);
    putchar('\n');
    free(optimum);
}

static int act_two(struct story *story)
{
    const struct options *options = &story->options;
    int kills = options->kills;
    struct sweep_plan plan[STORY_RUNS] = {
        {"1 worker", 1, 0}, {"1 worker again", story->workers, 0}, {"", story->workers, 0}};
    int err;

    headline("Act two: the sweep");
    err = sweep_prepare(&story->sweep, story->model->path, options->scenarios, options->perturbation,
                        options->seed);
    if (err == KIN_EINTR)
        return err;
    if (err) {
        /* The first act has its report all the same. */
        verdict_expect(&story->verdict, false, "the sweep starts from %s: %.150s", story->model->name,
                       kin_error_message());
        return 0;
    }
    printf("%zu scenarios of %s (%d rows, %d columns), costs and right-hand sides changed by up to %g %%\n",
           options->scenarios, story->model->name, story->sweep.rows, story->sweep.columns,
           options->perturbation * 100);
    /* A short sweep would be over before so many could die. */
    if ((size_t)kills > options->scenarios / 20)
        kills = (int)(options->scenarios / 20);
    if (story->workers > 1)
        snprintf(plan[1].title, sizeof plan[1].title, "%d workers", story->workers);
    snprintf(plan[2].title, sizeof plan[2].title, "%d %s, being killed", story->workers,
             story->workers == 1 ? "worker" : "workers");
    plan[2].kills = kills;
    for (int r = 0; r < STORY_RUNS; r++) {
        if (r == 2 && (!options->faults || kills == 0))
            break;
        err = run_sweep(story, &plan[r]);
        if (err)
            return err;
    }
    spread_of_optima(story);
    checks_sweep(story);
    return 0;
}

/* ---- the play -------------------------------------------------------------------------------- */

/* 0, or a KIN_E code with its story. */
static int play(struct story *story)
{
    int err = act_one(story);

    if (err == 0 && story->options.faults)
        err = act_one_with_faults(story);
    if (err || !story->options.sweep)
        return err;
    story->model = choose_model(story);
    if (!story->model) {
        puts("\nno sweep: no problem of the batch has an optimum");
        return 0;
    }
    return act_two(story);
}

/* The exit code of a run that went through. */
static int conclude(struct story *story, int report)
{
    int code = story->verdict.failed > 0 ? EXIT_NOT_AS_EXPECTED : EXIT_AS_EXPECTED;

    headline("What was expected");
    verdict_print(&story->verdict);
    if (report >= 0) {
        if (report_write(report, story->options.report, story))
            printf("report: %s\n", story->options.report);
        else
            code = EXIT_NOT_AS_EXPECTED;
    }
    return code;
}

static void clear(struct story *story)
{
    for (int r = 0; r < story->runs; r++)
        sweep_run_free(&story->run[r]);
    sweep_free(&story->sweep);
    batch_free(&story->faults);
    batch_free(&story->baseline);
    batch_free(&story->batch);
    verdict_free(&story->verdict);
    problems_free(&story->problems);
}

int main(int argc, char **argv)
{
    static struct story story;
    const struct rlimit no_core = {0};
    int report = -1, code, err;

    err = kin_init(&argc, &argv);
    if (err) {
        fprintf(stderr, "kin-demo: %s\n", kin_error_message());
        return EXIT_NOT_STARTED;
    }
    setlocale(LC_CTYPE, ""); /* no more than that: GLPK reads and writes numbers in the C locale */
    code = options_parse(argc, argv, &story.options);
    if (code != OPTIONS_GO)
        return code;
    setrlimit(RLIMIT_CORE, &no_core); /* aborts are part of the play, and nobody wants their cores */
    story.workers = story.options.workers > 0 ? story.options.workers : kin_cpu_count();
    if (!problems_load(&story.problems, story.options.directory))
        return EXIT_NOT_STARTED;
    if (story.options.model_given && !problems_find(&story.problems, story.options.model)) {
        fprintf(stderr, "kin-demo: no problem \"%s\" in \"%s\"\n", story.options.model,
                story.options.directory);
        problems_free(&story.problems);
        return EXIT_NOT_STARTED;
    }
    if (story.options.report && (report = report_open(story.options.report)) < 0) {
        problems_free(&story.problems);
        return EXIT_NOT_STARTED;
    }
    printf("%zu problems in %s, %zu with a published optimum; %d %s on %d %s\n", story.problems.count,
           story.options.directory, story.problems.published, story.workers,
           story.workers == 1 ? "worker" : "workers", kin_cpu_count(), kin_cpu_count() == 1 ? "CPU" : "CPUs");
    err = play(&story);
    if (err == 0) {
        code = conclude(&story, report);
    } else {
        fprintf(stderr, "kin-demo: %s\n", kin_error_code() ? kin_error_message() : kin_strerror(err));
        report_discard(report, story.options.report);
        code = err == KIN_EINTR ? EXIT_INTERRUPTED : EXIT_NOT_AS_EXPECTED;
    }
    clear(&story);
    return code;
}
