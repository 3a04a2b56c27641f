/* pool/collect.c - what a window leaves: failures for the caller, zeroed outputs, results. */
#include "pool/map.h"

#include "base/failure.h"
#include "process/printed.h"

#include <stdlib.h>
#include <string.h>

/* All failures known of, by index. */
struct found {
    size_t index;
    int worker;
    const struct kin__note *note;   /* either */
    const struct kin__death *death; /* or */
};

static int by_index(const void *left, const void *right)
{
    const struct found *a = left, *b = right;
    return (a->index > b->index) - (a->index < b->index);
}

static size_t count_known(const struct kin__map *map)
{
    size_t count = 0;
    for (int i = 0; i < map->pool->workers; i++)
        for (const struct kin__note *note = atomic_load(&map->pool->seats[i].first); note; note = note->next)
            count++;
    for (const struct kin__death *death = map->deaths; death; death = death->next)
        count++;
    return count;
}

static size_t list_known(const struct kin__map *map, struct found *list)
{
    size_t count = 0;
    for (int i = 0; i < map->pool->workers; i++)
        for (const struct kin__note *note = atomic_load(&map->pool->seats[i].first); note; note = note->next)
            list[count++] = (struct found){.index = note->index, .worker = i, .note = note};
    for (const struct kin__death *death = map->deaths; death; death = death->next)
        list[count++] =
            (struct found){.index = death->error.index, .worker = death->error.worker, .death = death};
    qsort(list, count, sizeof *list, by_index);
    return count;
}

/* Of the tasks' function, looked up once. */
static const char *name_of(struct kin__map *map)
{
    if (!map->name[0])
        kin__function_name(&map->pool->job.function, map->name, sizeof map->name);
    return map->name;
}

static void tell(struct kin__map *map, size_t index, const struct found *found, kin_task_error *out)
{
    memset(out, 0, sizeof *out);
    if (found && found->death) {
        *out = found->death->error;
    } else if (found) {
        out->worker = found->worker;
        out->pid = found->note->pid;
        out->attempts = found->note->attempt + 1;
        out->result = found->note->result;
        out->cause = found->note->cause;
        out->error = found->note->error;
        if (found->note->output) {
            memcpy(out->output, found->note->output, sizeof out->output);
            out->output[sizeof out->output - 1] = '\0';
            size_t length = strnlen(out->error.message, sizeof out->error.message - 1);
            kin__printed_quote(out->output, out->error.message + length, sizeof out->error.message - length);
        }
    } else {
        out->worker = -1;
        out->cause = KIN_CAUSE_RETURNED;
        kin__error_fill(&out->error, KIN_EFAILED, "task %zu failed; there was no memory left to note why",
                        map->before + index);
    }
    out->index = map->before + index;
    memcpy(out->function, name_of(map), sizeof out->function);
}

/* One failure: to the caller's array while there is room; the first of all is kept for the return value. */
static void report(struct kin__map *map, size_t index, const struct found *found, size_t already)
{
    kin_task_error error;
    bool wanted = already < map->args.errors_capacity;
    if (!wanted && map->first.code)
        return;
    tell(map, index, found, &error);
    if (wanted)
        map->args.errors[already] = error;
    if (!map->first.code)
        map->first = error.error;
}

static void collect_failures(struct kin__map *map, size_t already)
{
    size_t known = count_known(map);
    struct found *list = known ? malloc(known * sizeof *list) : NULL;
    known = list ? list_known(map, list) : 0;
    const unsigned char *status = map->pool->job.status;
    for (size_t i = 0; i < map->window; i++) {
        if (KIN__STATUS(status[i]) != KIN__FAILED)
            continue;
        struct found key = {.index = i};
        report(map, i, list ? bsearch(&key, list, known, sizeof key, by_index) : NULL, already++);
    }
    free(list);
}

static void drop_notes(struct kin__map *map)
{
    for (int i = 0; i < map->pool->workers; i++) {
        struct kin__seat *seat = &map->pool->seats[i];
        atomic_store(&seat->first, NULL);
        kin_arena *notes = seat->notes;
        seat->notes = NULL;
        kin_arena_free(notes);
    }
    for (struct kin__death *death = map->deaths, *next; death; death = next) {
        next = death->next;
        free(death);
    }
    map->deaths = NULL;
}

static bool all_done(const struct kin__map *map)
{
    if (map->stopping || map->outcome)
        return false;
    for (int i = 0; i < map->pool->workers; i++)
        if (atomic_load(&map->pool->seats[i].failed))
            return false;
    return map->local->deaths == 0;
}

void kin__collect_window(struct kin__map *map)
{
    if (all_done(map)) {
        map->finished += map->window;
        return;
    }
    struct kin__job *job = &map->pool->job;
    size_t failed = 0;
    for (size_t i = 0; i < map->window; i++) {
        map->finished += KIN__STATUS(job->status[i]) != KIN__PENDING;
        if (KIN__STATUS(job->status[i]) == KIN__DONE)
            continue;
        failed += KIN__STATUS(job->status[i]) == KIN__FAILED;
        if (job->out)
            memset(job->out + i * job->out_size, 0, job->out_size);
    }
    size_t already = map->args.failures ? *map->args.failures : 0;
    if (failed)
        collect_failures(map, already);
    map->failures = already + failed;
    if (map->args.failures)
        *map->args.failures = map->failures;
    drop_notes(map);
}

void kin__collect_results(struct kin__map *map)
{
    kin_arena *all = NULL;
    for (int i = 0; i < map->pool->workers; i++) {
        struct kin__seat *seat = &map->pool->seats[i];
        kin_arena *results = seat->results;
        seat->results = NULL;
        seat->mark = 0;
        if (results && all)
            kin__arena_merge(all, results);
        else if (results)
            all = results;
    }
    if (map->args.results) {
        *map->args.results = all;
        return;
    }
    if (all && map->local->kept)
        kin__arena_merge(map->local->kept, all);
    else if (all)
        map->local->kept = all;
}
