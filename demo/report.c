/*
 * report.c - the run as one HTML file: styles and pictures inside, nothing from the network.
 */
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "chart.h"
#include "failure.h"
#include "killer.h"

static const char style[] =
    "<style>\n"
    ":root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--fg:#1c2430;--soft:#5b6676;--line:#e1e5eb;"
    "--done:#3b74d9;--again:#0f9d8a;--time:#d98a0b;--memory:#8a5be0;--killed:#d4323c;--failed:#7a8494;"
    "--good:#14803c;--bad:#c2222d;--ontask:#fff}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#12161c;--card:#1a2028;--fg:#e5e9ef;--soft:#98a3b3;"
    "--line:#2c3540;--done:#4f86e6;--again:#22b8a3;--time:#e0a02c;--memory:#a582f0;--killed:#f0565f;"
    "--failed:#8b95a5;--good:#4cc27a;--bad:#ff6b74;--ontask:#0d1117}}\n"
    "*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--fg);"
    "font:15px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,'Liberation Sans',sans-serif}\n"
    "main{max-width:1120px;margin:0 auto;padding:28px 20px 60px}h1{font-size:28px;margin:0 0 2px}"
    "h2{font-size:20px;margin:38px 0 6px}h3{font-size:15px;margin:22px 0 6px}p{margin:6px 0 10px}"
    ".soft{color:var(--soft)}\n"
    ".card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:16px 18px;"
    "margin:12px 0;overflow-x:auto}.card>h3:first-child{margin-top:0}\n"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(165px,1fr));gap:12px;margin:18px 0}"
    ".tile{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 16px}"
    ".tile b{display:block;font-size:25px;line-height:1.25;font-variant-numeric:tabular-nums}"
    ".tile span{color:var(--soft);font-size:13px}\n"
    ".verdict{border-left:5px solid var(--good);font-weight:600}.verdict.bad{border-left-color:var(--bad)}"
    ".verdict ul{list-style:none;margin:8px 0 0;padding:0;font-weight:400}"
    ".yes::before{content:'\\2713';color:var(--good);font-weight:700;margin-right:9px}"
    ".no::before{content:'\\2717';color:var(--bad);font-weight:700;margin-right:9px}\n"
    "table{border-collapse:collapse;width:100%;font-size:13.5px;font-variant-numeric:tabular-nums}"
    "th,td{padding:4px 10px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}"
    "th{color:var(--soft);font-weight:600;position:sticky;top:0;background:var(--card)}"
    "td.l,th.l{text-align:left}td.wrap{white-space:normal;text-align:left}"
    ".tall{max-height:520px;overflow:auto}.tag{border-radius:4px;padding:1px 7px;color:var(--ontask);"
    "font-size:12.5px}summary{cursor:pointer;font-weight:600}code{font-size:13px}\n"
    ".chart{display:block;width:100%;min-width:640px;height:auto;margin:4px 0}"
    ".chart text{font-size:13px;fill:var(--fg)}.chart .tick{fill:var(--soft);font-size:12px;"
    "text-anchor:middle}.chart .count{fill:var(--soft);font-size:12px;text-anchor:end}"
    ".chart .label{fill:var(--ontask);font-size:12px;pointer-events:none}.chart .marktext{"
    "text-anchor:middle;fill:var(--killed);font-weight:600}"
    ".grid{stroke:var(--line);stroke-width:1;fill:none}.kill,.mark{stroke:var(--killed);stroke-width:1.6;"
    "fill:none}.mark{stroke-dasharray:5 3}.killhead{fill:var(--killed)}\n"
    ".chart rect{stroke:var(--card);stroke-width:.8}.chart rect.plain{stroke:none}"
    ".span-done{fill:var(--done)}.span-again{fill:var(--again)}.span-time{fill:var(--time)}"
    ".span-memory{fill:var(--memory)}.span-killed{fill:var(--killed)}.span-failed{fill:var(--failed)}\n"
    ".box-done{background:var(--done)}.box-again{background:var(--again)}.box-time{background:var(--time)}"
    ".box-memory{background:var(--memory)}.box-killed{background:var(--killed)}"
    ".box-failed{background:var(--failed)}.legend{font-size:13px;color:var(--soft)}"
    ".legend i{display:inline-block;width:12px;height:12px;border-radius:3px;margin:0 6px -1px 0}"
    ".legend span{margin-right:18px;white-space:nowrap}\n"
    "</style>\n";

/* ---- act one --------------------------------------------------------------------------------- */

/* A failure's colour: box-NAME in the style sheet. */
static const char *const failure_class[] = {"", "time", "memory", "killed", "failed", "failed"};

static enum span_kind batch_span_kind(enum failure_kind failure)
{
    static const enum span_kind kinds[] = {SPAN_DONE,   SPAN_TIME,   SPAN_MEMORY,
                                           SPAN_KILLED, SPAN_FAILED, SPAN_FAILED};

    return kinds[failure];
}

/* When a task ended that did not get to its end; 0: not known. */
static double batch_end(const struct batch *batch, size_t problem, enum failure_kind failure)
{
    const struct batch_note *note = &batch->note[problem];

    if (failure == FAILURE_KILLED && killer_count(batch->killer) > 0 &&
        killer_note(batch->killer, 0)->pid == note->stamp.pid)
        return killer_note(batch->killer, 0)->when;
    if (batch->error[problem].seconds > 0)
        return note->stamp.start + batch->error[problem].seconds;
    return 0;
}

static void batch_timeline(FILE *out, const struct story *story, const struct batch *batch, const char *title)
{
    struct chart chart = {.lanes = batch->plan.workers,
                          .from = batch->began,
                          .zero = batch->began,
                          .to = batch->began + batch->wall,
                          .title = title};

    chart.span = calloc(story->problems.count, sizeof *chart.span);
    if (!chart.span)
        return;
    for (size_t i = 0; i < story->problems.count; i++) {
        const struct stamp *stamp = &batch->note[i].stamp;
        enum failure_kind failure = failure_kind(batch, i);
        struct span *span = &chart.span[chart.count];

        if (stamp->start == 0)
            continue;
        *span = (struct span){.lane = stamp->worker, .kind = batch_span_kind(failure), .start = stamp->start};
        span->end = stamp->end > 0 ? stamp->end : batch_end(batch, i, failure);
        snprintf(span->label, sizeof span->label, "%s", story->problems.item[i].name);
        chart.count++;
    }
    chart_sort(&chart);
    chart_timeline(out, &chart);
    chart_legend(out, &chart);
    free(chart.span);
}

static void batch_row(FILE *out, const struct batch *batch, const struct problem *problem, size_t i)
{
    const struct batch_result *result = &batch->result[i];
    const struct batch_note *note = &batch->note[i];
    enum failure_kind failure = failure_kind(batch, i);

    fputs("<tr><td class='l'>", out);
    chart_text(out, problem->name);
    if (note->rows > 0 || note->columns > 0)
        fprintf(out, "</td><td>%d</td><td>%d</td><td>%d</td>", note->rows, note->columns, note->nonzeros);
    else
        fputs("</td><td></td><td></td><td></td>", out);
    if (failure)
        fprintf(out, "<td class='l'><span class='tag box-%s'>%s</span></td>", failure_class[failure],
                failure_word(failure));
    else
        fprintf(out, "<td class='l'>%s%s</td>", lp_status_name(result->status),
                result->integers > 0 ? " (relaxed)" : "");
    if (result->status == LP_OPTIMAL)
        fprintf(out, "<td>%.9e</td>", result->optimum);
    else
        fputs("<td></td>", out);
    if (problem->published)
        fprintf(out, "<td>%.9e</td>", problem->optimum);
    else
        fputs("<td></td>", out);
    if (problem->published && result->status == LP_OPTIMAL)
        fprintf(out, "<td>%.1e</td>", batch_difference(problem, result));
    else
        fputs("<td></td>", out);
    if (note->stamp.end > 0)
        fprintf(out, "<td>%.1f</td>", (note->stamp.end - note->stamp.start) * 1e3);
    else
        fputs("<td></td>", out);
    fprintf(out, "<td>%d</td></tr>\n", failure ? batch->error[i].worker : note->stamp.worker);
}

static void batch_table(FILE *out, const struct story *story)
{
    fputs("<div class='card'><details open><summary>All problems</summary><div class='tall'><table><tr>"
          "<th class='l'>problem</th><th>rows</th><th>columns</th><th>nonzeros</th><th class='l'>status</th>"
          "<th>optimum</th><th>published</th><th>rel. difference</th><th>ms</th><th>worker</th></tr>\n",
          out);
    for (size_t i = 0; i < story->problems.count; i++)
        batch_row(out, &story->batch, &story->problems.item[i], i);
    fputs("</table></div></details></div>\n", out);
}

static void failure_card(FILE *out, const struct story *story, const struct batch *batch, const char *title)
{
    char text[768];

    if (batch->failures == 0)
        return;
    fprintf(out, "<div class='card'><h3>%s</h3>", title);
    fputs("<table><tr><th class='l'>problem</th><th class='l'>failure</th><th class='l'>what the task's "
          "error says"
          "</th></tr>\n",
          out);
    for (size_t i = 0; i < story->problems.count; i++) {
        enum failure_kind failure = failure_kind(batch, i);

        if (failure == FAILURE_NONE)
            continue;
        fputs("<tr><td class='l'>", out);
        chart_text(out, story->problems.item[i].name);
        fprintf(out, "</td><td class='l'><span class='tag box-%s'>%s</span></td><td class='wrap'>",
                failure_class[failure], failure_word(failure));
        chart_text(out, failure_story(batch, i, text, sizeof text));
        fputs("</td></tr>\n", out);
    }
    fputs("</table></div>\n", out);
}

static void act_one(FILE *out, const struct story *story)
{
    const struct batch *batch = &story->batch;

    fputs(
        "<h2>Act one: the batch</h2><p class='soft'>Each problem is a task; largest files first. A task that "
        "runs beyond the wall-time limit is ended by killing its worker, which is replaced.</p>\n",
        out);
    fprintf(out, "<div class='card'><h3>Which worker did what when</h3>");
    batch_timeline(out, story, batch, "The batch on all workers");
    fputs("</div>\n", out);
    if (story->baseline.result) {
        char name[64];
        const char *const names[] = {"1 worker", name};

        snprintf(name, sizeof name, "%d workers", batch->plan.workers);
        fputs("<div class='card'><h3>Speed-up against one worker</h3>", out);
        chart_bars(out, names, (const double[]){story->baseline.wall, batch->wall}, 2);
        fputs("</div>\n", out);
    }
    failure_card(out, story, batch, "What did not come back");
    batch_table(out, story);
    if (!story->faults.result)
        return;
    fprintf(
        out,
        "<h3>The same batch, with faults</h3><p class='soft'>Each task may take %zu MiB; where that is not "
        "enough, GLPK calls abort(). Another process sends SIGKILL to one worker in mid-run. Only the tasks "
        "concerned fail.</p><div class='card'>",
        story->options.memory_limit_mib);
    batch_timeline(out, story, &story->faults, "The batch with faults");
    fputs("</div>\n", out);
    failure_card(out, story, &story->faults, "What failed, and of what");
}

/* ---- act two --------------------------------------------------------------------------------- */

static const struct kill_note *kill_of(const struct sweep_run *run, int pid)
{
    for (int k = 0; k < killer_count(run->killer); k++)
        if (killer_note(run->killer, k)->pid == pid)
            return killer_note(run->killer, k);
    return NULL;
}

static void sweep_spans(struct chart *chart, const struct sweep_run *run, size_t count)
{
    for (size_t i = 0; i < count * SWEEP_ATTEMPTS; i++) {
        const struct stamp *stamp = &run->stamp[i];
        struct span *span = &chart->span[chart->count];
        const struct kill_note *kill;

        if (stamp->start == 0)
            continue;
        *span = (struct span){.lane = stamp->worker, .start = stamp->start, .end = stamp->end};
        span->kind = i % SWEEP_ATTEMPTS > 0 ? SPAN_AGAIN : SPAN_DONE;
        if (stamp->end == 0) {
            kill = kill_of(run, stamp->pid);
            span->kind = SPAN_KILLED;
            span->end = kill ? kill->when : 0;
        }
        snprintf(span->label, sizeof span->label, "%zu", i / SWEEP_ATTEMPTS);
        chart->count++;
    }
    chart_sort(chart);
}

/* The stamp of the attempt that got to its end, if that is not the first one; else NULL. */
static const struct stamp *second_try(const struct sweep_run *run, int scenario)
{
    const struct stamp *stamp = &run->stamp[(size_t)scenario * SWEEP_ATTEMPTS];

    for (int attempt = 1; attempt < SWEEP_ATTEMPTS; attempt++)
        if (stamp[attempt].end > 0)
            return &stamp[attempt];
    return NULL;
}

/* A window of time around the first kill, in which single tasks can be seen. */
static void sweep_zoom(FILE *out, const struct sweep_run *run, struct chart *chart)
{
    const struct kill_note *kill = killer_note(run->killer, 0);
    const struct stamp *again = second_try(run, kill->item);
    double task = run->wall * run->plan.workers / (double)(chart->count + 1);

    chart->from = kill->when - 8 * task > run->began ? kill->when - 8 * task : run->began;
    chart->to = chart->from + 24 * task;
    chart->title = "A closer look at the first kill";
    fprintf(out, "<h3>A closer look at the first kill</h3><p class='soft'>Process %d died in scenario %d",
            kill->pid, kill->item);
    if (again)
        fprintf(out, ", which worker %d solved at %.3f s", again->worker, again->end - run->began);
    fputs(".</p>", out);
    chart_timeline(out, chart);
    chart_legend(out, chart);
}

static void sweep_timeline(FILE *out, const struct story *story, const struct sweep_run *run)
{
    struct chart chart = {.lanes = run->plan.workers,
                          .from = run->began,
                          .zero = run->began,
                          .to = run->began + run->wall,
                          .title = run->plan.title};

    chart.span = calloc(story->sweep.count * SWEEP_ATTEMPTS, sizeof *chart.span);
    if (!chart.span)
        return;
    sweep_spans(&chart, run, story->sweep.count);
    fprintf(out, "<h3>%s</h3>", run->plan.title);
    chart_timeline(out, &chart);
    if (killer_count(run->killer) > 0)
        sweep_zoom(out, run, &chart);
    free(chart.span);
}

static void sweep_table(FILE *out, const struct story *story)
{
    fputs("<div class='card'><h3>Three runs, one result</h3><table><tr><th class='l'>run</th><th>workers</th>"
          "<th>seconds</th><th>scenarios/s</th><th>speed-up</th><th>killed</th><th>replaced</th>"
          "<th class='l'>digest of all results</th></tr>\n",
          out);
    for (int r = 0; r < story->runs; r++) {
        const struct sweep_run *run = &story->run[r];

        fprintf(out,
                "<tr><td class='l'>%s</td><td>%d</td><td>%.2f</td><td>%.0f</td><td>%.2f</td><td>%d</td>"
                "<td>%zu</td><td class='l'><code>%016llx</code></td></tr>\n",
                run->plan.title, run->plan.workers, run->wall, (double)story->sweep.count / run->wall,
                story->run[0].wall / run->wall, killer_count(run->killer), run->deaths,
                (unsigned long long)run->digest);
    }
    fputs("</table></div>\n", out);
}

static void act_two(FILE *out, const struct story *story)
{
    fputs("<h2>Act two: the sweep</h2><p class='soft'>", out);
    fprintf(out, "%zu scenarios of <b>", story->sweep.count);
    chart_text(out, story->model->name);
    fprintf(
        out,
        "</b> (%d rows, %d columns): each right-hand side and each cost is changed by up to %g %%. Each "
        "worker loads the model once into a glp_prob of its own, which cannot be sent; scenarios, starting "
        "basis and resulting bases are plain pointers into the shared heap. %zu different bases are "
        "optimal for some scenario.</p>\n",
        story->sweep.rows, story->sweep.columns, story->options.perturbation * 100,
        sweep_distinct_bases(&story->run[0], story->sweep.count));
    if (story->histogram.total > 0) {
        fprintf(out, "<div class='card'><h3>Optima of %zu scenarios</h3>", story->histogram.total);
        chart_histogram(out, &story->histogram, story->nominal, "unperturbed");
        fprintf(out, "<p class='soft'>From %.10g to %.10g, mean %.10g, standard deviation %.4g.</p></div>\n",
                story->histogram.least, story->histogram.most, story->histogram.mean,
                story->histogram.deviation);
    }
    sweep_table(out, story);
    fputs("<div class='card'>", out);
    for (int r = 0; r < story->runs; r++)
        sweep_timeline(out, story, &story->run[r]);
    fputs("</div>\n", out);
}

/* ---- the page -------------------------------------------------------------------------------- */

static void tile(FILE *out, const char *number, const char *text)
{
    fprintf(out, "<div class='tile'><b>%s</b><span>%s</span></div>", number, text);
}

static void tiles(FILE *out, const struct story *story)
{
    char text[64];
    size_t optimal = 0;
    int kills = killer_count(story->faults.killer);

    for (size_t i = 0; i < story->problems.count; i++)
        optimal += story->batch.result[i].status == LP_OPTIMAL;
    for (int r = 0; r < story->runs; r++)
        kills += killer_count(story->run[r].killer);
    fputs("<div class='tiles'>", out);
    snprintf(text, sizeof text, "%zu of %zu", optimal, story->problems.count);
    tile(out, text, "problems solved to their optimum");
    snprintf(text, sizeof text, "%.1f s", story->batch.wall);
    tile(out, text, "for the batch");
    if (story->runs > 1) {
        snprintf(text, sizeof text, "%zu", story->sweep.count);
        tile(out, text, "scenarios of one model, in each run");
        snprintf(text, sizeof text, "%.2f times", story->run[0].wall / story->run[1].wall);
        tile(out, text, "as fast as one worker (sweep)");
    }
    snprintf(text, sizeof text, "%d", kills);
    tile(out, text, "workers killed from outside");
    fputs("</div>\n", out);
}

static void verdict_card(FILE *out, const struct verdict *verdict)
{
    fprintf(out, "<div class='card verdict%s'>", verdict->failed > 0 ? " bad" : "");
    if (verdict->failed > 0)
        fprintf(out, "%zu of %zu expectations do not hold", verdict->failed, verdict->count);
    else
        fprintf(out, "All %zu expectations hold", verdict->count);
    fputs("<ul>", out);
    for (size_t i = 0; i < verdict->count; i++) {
        fprintf(out, "<li class='%s'>", verdict->item[i].held ? "yes" : "no");
        chart_text(out, verdict->item[i].text);
        fputs("</li>", out);
    }
    fputs("</ul></div>\n", out);
}

static void page(FILE *out, const struct story *story)
{
    char date[64];
    time_t now = time(NULL);

    strftime(date, sizeof date, "%Y-%m-%d %H:%M", localtime(&now));
    fputs("<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
          "<meta name='viewport' content='width=device-width,initial-scale=1'>"
          "<title>kin: linear programs on all cores</title>\n",
          out);
    fputs(style, out);
    fputs("</head><body><main><h1>Linear programs on all cores</h1><p class='soft'>", out);
    fprintf(out, "%zu problems of ", story->problems.count);
    chart_text(out, story->options.directory);
    fprintf(out, ", solved by GLPK %s in %d worker processes of kin %s; %d CPUs; %s</p>\n", glp_version(),
            story->workers, kin_version(), kin_cpu_count(), date);
    tiles(out, story);
    verdict_card(out, &story->verdict);
    act_one(out, story);
    if (story->runs > 0)
        act_two(out, story);
    fputs("</main></body></html>\n", out);
}

int report_open(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);

    if (fd < 0)
        fprintf(stderr, "kin-demo: could not open the report \"%s\": %s\n", path, strerror(errno));
    return fd;
}

bool report_write(int fd, const char *path, const struct story *story)
{
    /* What is not a regular file has no length to cut: /dev/stdout, a pipe. */
    FILE *out = ftruncate(fd, 0) == 0 || errno == EINVAL ? fdopen(fd, "w") : NULL;
    bool good = out != NULL;

    if (out) {
        page(out, story);
        good = !ferror(out);
        good = fclose(out) == 0 && good;
    } else {
        close(fd);
    }
    if (!good)
        fprintf(stderr, "kin-demo: could not write the report \"%s\": %s\n", path, strerror(errno));
    return good;
}

void report_discard(int fd, const char *path)
{
    struct stat status;

    if (fd < 0)
        return;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size == 0)
        unlink(path);
    close(fd);
}
