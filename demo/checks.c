/* checks.c - what the demo expects of each part. */
#include "checks.h"

#include <math.h>

#include "failure.h"
#include "killer.h"

/* Only the time limit may cost a result; anything else that failed is named. */
static void expect_no_failures(struct story *story)
{
    const struct batch *batch = &story->batch;
    size_t cut = 0, lost = 0;
    char text[768];

    for (size_t i = 0; i < story->problems.count; i++) {
        enum failure_kind failure = failure_kind(batch, i);

        if (failure == FAILURE_TIME) {
            cut++;
        } else if (failure != FAILURE_NONE) {
            lost++;
            verdict_expect(&story->verdict, false, "%s is solved: %.180s", story->problems.item[i].name,
                           failure_story(batch, i, text, sizeof text));
        }
    }
    if (lost == 0)
        verdict_expect(&story->verdict, cut < story->problems.count,
                       "the batch misses nothing but what the time limit cut: %zu of %zu", cut,
                       story->problems.count);
}

static void expect_published(struct story *story)
{
    size_t agree = 0, differ = 0;
    double worst = 0;

    for (size_t i = 0; i < story->problems.count; i++) {
        const struct problem *problem = &story->problems.item[i];
        const struct batch_result *result = &story->batch.result[i];

        if (!problem->published || result->status == LP_NONE)
            continue;
        double difference = batch_difference(problem, result);
        if (result->status == LP_OPTIMAL && difference <= problem->tolerance) {
            agree++;
            if (problem->tolerance <= 1e-5)
                worst = fmax(worst, difference);
            continue;
        }
        differ++;
        verdict_expect(&story->verdict, false, "%s has the published optimum %.9e: %s, %.9e", problem->name,
                       problem->optimum, lp_status_name(result->status), result->optimum);
    }
    if (agree > 0)
        verdict_expect(
            &story->verdict, differ == 0,
            "%zu optima agree with the published ones to 1e-5 (pilot 2e-5); largest difference %.1e", agree,
            worst);
}

/* Whether two runs found the same, bit for bit, wherever both found something. Returns the number compared. */
static size_t compare(const struct story *story, const struct batch *a, const struct batch *b, size_t *differ)
{
    size_t compared = 0;

    *differ = 0;
    for (size_t i = 0; i < story->problems.count; i++) {
        const struct batch_result *p = &a->result[i], *q = &b->result[i];

        if (p->status == LP_NONE || q->status == LP_NONE)
            continue;
        compared++;
        *differ += p->status != q->status || !lp_same(p->optimum, q->optimum);
    }
    return compared;
}

void checks_batch(struct story *story)
{
    size_t differ, compared;

    expect_no_failures(story);
    expect_published(story);
    if (!story->baseline.result)
        return;
    compared = compare(story, &story->batch, &story->baseline, &differ);
    verdict_expect(&story->verdict, differ == 0, "one worker finds the same %zu results, bit for bit",
                   compared);
}

/* Each failure must have one of the causes that were arranged. */
void checks_faults(struct story *story)
{
    const struct batch *faults = &story->faults;
    size_t count[FAILURE_OWN + 1] = {0};
    size_t differ, compared, strange = 0;
    int kills = killer_count(faults->killer);

    for (size_t i = 0; i < story->problems.count; i++) {
        enum failure_kind failure = failure_kind(faults, i);

        count[failure]++;
        /* A file that cannot be read has been told about in the calm batch. */
        strange += failure == FAILURE_DIED ||
                   (failure == FAILURE_OWN && failure_kind(&story->batch, i) != FAILURE_OWN);
    }
    verdict_expect(&story->verdict, strange == 0 && count[FAILURE_KILLED] <= (size_t)kills,
                   "with faults, tasks fail of nothing else: %zu of memory, %zu killed, %zu of time",
                   count[FAILURE_MEMORY], count[FAILURE_KILLED], count[FAILURE_TIME]);
    compared = compare(story, &story->batch, faults, &differ);
    verdict_expect(&story->verdict, differ == 0,
                   "with faults, the other %zu results are those of the calm batch, bit for bit", compared);
    if (kills == 0)
        return;
    const struct kill_note *note = killer_note(faults->killer, 0);
    bool told = false;
    for (size_t i = 0; i < story->problems.count; i++)
        told |= failure_kind(faults, i) == FAILURE_KILLED && faults->error[i].pid == note->pid;
    /* The victim may have got to the end of its task while the signal was on its way. */
    verdict_expect(&story->verdict, told || count[FAILURE_KILLED] == 0,
                   "the failure of the killed worker names process %d and SIGKILL", note->pid);
}

static void expect_same(struct story *story, int run)
{
    const struct sweep_run *first = &story->run[0], *other = &story->run[run];
    size_t at = sweep_first_difference(first, other, story->sweep.count);

    if (at < story->sweep.count)
        verdict_expect(&story->verdict, false,
                       "sweep \"%s\" equals \"%s\": scenario %zu differs, %.17g and %.17g", other->plan.title,
                       first->plan.title, at, other->result[at].optimum, first->result[at].optimum);
    else
        verdict_expect(&story->verdict, other->digest == first->digest,
                       "sweep \"%s\" equals \"%s\", bit for bit: digest %016llx", other->plan.title,
                       first->plan.title, (unsigned long long)other->digest);
}

/* The unperturbed scenario against what is published, or else against the batch. */
static void expect_nominal(struct story *story)
{
    const struct problem *model = story->model;
    const struct batch_result *batch = &story->batch.result[model - story->problems.item];
    double reference = model->published ? model->optimum : batch->optimum;
    double difference = fabs(story->nominal - reference) / (reference == 0 ? 1 : fabs(reference));

    if (!model->published && batch->status != LP_OPTIMAL)
        return;
    verdict_expect(&story->verdict, difference <= model->tolerance,
                   "the unperturbed scenario has the %s optimum of %s: %.9e, difference %.1e",
                   model->published ? "published" : "batch's", model->name, story->nominal, difference);
}

void checks_sweep(struct story *story)
{
    for (int r = 0; r < story->runs; r++) {
        const struct sweep_run *run = &story->run[r];

        if (run->failures > 0)
            verdict_expect(&story->verdict, false, "sweep \"%s\" loses no scenario: %zu, the first: %.150s",
                           run->plan.title, run->failures, run->failure.message);
        /* A sweep of a tiny model may be over before the killer has looked at it. */
        if (run->plan.kills > 0 && (killer_count(run->killer) > 0 || run->wall > 1))
            verdict_expect(&story->verdict, killer_count(run->killer) > 0,
                           "workers are killed in the middle of a sweep: %d", killer_count(run->killer));
        if (r > 0)
            expect_same(story, r);
    }
    expect_nominal(story);
}
