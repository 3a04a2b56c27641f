/*
 * pool/resume.c - see resume.h.
 *
 * The supervisor writes, so that workers have no part in it, and only one process has to be right about the file's end. It looks
 * about ten times a second for items that have become done (a status byte that is not yet among those saved), and notes them in
 * runs. Where the file cannot be written (a full disk) the map goes on, each look tries again, and the map's result tells.
 */
#include "pool/resume.h"

#include "base/failure.h"
#include "base/hash.h"
#include "base/log.h"
#include "os/os.h"
#include "pool/journal_file.h"

#include <stdlib.h>
#include <string.h>

#define SAVE_PERIOD 0.1

struct kin__resume {
    struct kin__journal_file file;
    unsigned char *saved; /* of the window: 1 for each item that is in the file, or in its buffer */
    double next;
    int error; /* of the last try to write */
    kin_error story;
};

/* What tells the job from others, beside numbers and sizes. */
static uint64_t job_of(const kin_map_args *args)
{
    uint64_t hash = args->job  ? kin__hash(1, args->job, strlen(args->job))
                    : args->in ? kin__hash(2, args->in, args->count * args->in_size)
                               : 3;
    if (args->context_size && !args->job)
        hash = kin__hash(hash, args->context, args->context_size);
    return kin__hash(args->seed, &hash, sizeof hash);
}

static int open_file(struct kin__map *map)
{
    const kin_map_args *args = &map->args;
    struct kin__resume *resume = map->resume;
    struct kin__journal_header header = {
        .count = args->count, .in_size = args->in_size, .out_size = args->out_size, .job = job_of(args)};
    size_t window = args->count < KIN__WINDOW ? args->count : KIN__WINDOW;
    resume->file.fd = -1;
    resume->saved = malloc(window);
    if (!resume->saved)
        return kin__fail(KIN_ENOMEM, "could not open journal \"%s\": out of private memory", args->journal);
    if (!args->seed) /* so that what is left is done with the same random numbers as it would have been */
        map->pool->job.seed = header.job;
    return kin__journal_open(&resume->file, args->journal, &header);
}

static void release(struct kin__map *map)
{
    kin__journal_close(&map->resume->file);
    free(map->resume->saved);
    free(map->resume);
    map->resume = NULL;
}

int kin__resume_open(struct kin__map *map)
{
    if (!map->args.journal)
        return 0;
    map->resume = calloc(1, sizeof *map->resume);
    if (!map->resume)
        return kin__fail(KIN_ENOMEM, "could not open journal \"%s\": out of private memory",
                         map->args.journal);
    int error = open_file(map);
    if (error) {
        release(map);
        return error;
    }
    map->pool->job.journaled = true;
    if (map->args.resumed)
        *map->args.resumed = map->resume->file.done;
    return 0;
}

/* Items of a run that lie in the window. */
static int take(struct kin__map *map, const struct kin__journal_run *run)
{
    struct kin__job *job = &map->pool->job;
    uint64_t from = run->first > map->before ? run->first : map->before;
    uint64_t end = run->first + run->items, window_end = map->before + map->window;
    if (end > window_end)
        end = window_end;
    if (from >= end)
        return 0;
    size_t at = (size_t)(from - map->before), items = (size_t)(end - from);
    int error = kin__journal_load(&map->resume->file, run, from, items,
                                  job->out ? job->out + at * job->out_size : NULL);
    if (error)
        return error;
    memset(job->status + at, KIN__DONE, items);
    memset(map->resume->saved + at, 1, items);
    map->resumed += items;
    return 0;
}

bool kin__resume_window(struct kin__map *map)
{
    if (!map->resume)
        return false;
    const struct kin__journal_file *file = &map->resume->file;
    map->resumed = 0;
    memset(map->resume->saved, 0, map->window);
    for (size_t i = 0; i < file->run_count; i++)
        if (take(map, &file->runs[i]) != 0) {
            kin__map_break(map);
            break;
        }
    return map->resumed != 0;
}

/* Acquire: partner is the release of kin__task_run, after the output. */
static bool is_new(const struct kin__map *map, size_t i)
{
    return !map->resume->saved[i] &&
           KIN__STATUS(__atomic_load_n(&map->pool->job.status[i], __ATOMIC_ACQUIRE)) == KIN__DONE;
}

/* From item `at` on: how many in a row are new. */
static size_t run_at(const struct kin__map *map, size_t at)
{
    uint64_t most = kin__journal_most(&map->resume->file);
    size_t items = 0;
    while (items < most && at + items < map->window && is_new(map, at + items))
        items++;
    return items;
}

static int note_new(struct kin__map *map)
{
    const struct kin__job *job = &map->pool->job;
    struct kin__resume *resume = map->resume;
    for (size_t at = 0; at < map->window; at++) {
        size_t items = run_at(map, at);
        if (!items)
            continue;
        int error = kin__journal_note(&resume->file, map->before + at, items,
                                      job->out ? job->out + at * job->out_size : NULL);
        if (error)
            return error;
        memset(resume->saved + at, 1, items);
        at += items - 1;
    }
    return kin__journal_flush(&resume->file);
}

void kin__resume_save(struct kin__map *map, bool all)
{
    struct kin__resume *resume = map->resume;
    double now = resume ? kin__os_now() : 0;
    if (!resume || (!all && now < resume->next))
        return;
    resume->next = now + SAVE_PERIOD;
    kin_error before;
    kin_error_get(&before); /* of the map: what happens here is told at its end */
    int error = note_new(map);
    if (error && !resume->error)
        kin_log(KIN_LOG_ERROR, "%s; the map goes on, and tries again", kin_error_message());
    if (error)
        kin_error_get(&resume->story);
    resume->error = error;
    kin__fail_with(&before);
}

int kin__resume_close(struct kin__map *map)
{
    struct kin__resume *resume = map->resume;
    if (!resume)
        return 0;
    int error = resume->error;
    if (error)
        kin__fail_with(&resume->story);
    else
        error = kin__journal_sync(&resume->file);
    release(map);
    return error;
}
