/* pool/task.c - one task: what its function may ask, and what becomes of its outcome. */
#include "pool/task.h"

#include "base/failure.h"
#include "family/sealed.h"
#include "os/os.h"
#include "pool/hand.h"
#include "process/printed.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define OUTPUT_PATIENCE 2.0 /* seconds: the maker may be short of CPU, or stopped */
#define OUTPUT_PAUSE_NS 20000

size_t kin_task_index(const kin_task *task)
{
    if (task->passes)
        return task->passes_index;
    return task->record ? task->index : task->job->base + task->index;
}

void *kin_task_context(const kin_task *task)
{
    if (task->passes)
        return task->passes_context;
    return task->record ? task->record->context : task->job->context;
}

void *kin_task_state(const kin_task *task)
{
    return task->state;
}

int kin_task_worker(const kin_task *task)
{
    return task->worker;
}

int kin_task_attempt(const kin_task *task)
{
    return task->attempt;
}

void kin__task_as(struct kin_task *task, size_t index, void *context)
{
    task->passes = true;
    task->passes_index = index;
    task->passes_context = context;
    task->draws = false;
}

bool kin__task_has_failed(const struct kin_task *task)
{
    return task->failed;
}

bool kin_task_stopping(const kin_task *task)
{
    if (task->record) {
        uint64_t state = kin__record_state(task->record);
        return atomic_load_explicit(&task->seat->told, memory_order_relaxed) == task->ref ||
               atomic_load_explicit(&task->record->asked, memory_order_relaxed) ||
               KIN__WORK(state) != KIN__WORK_RUNNING || !kin__ref_is_of(task->ref, state);
    }
    const struct kin__hand *hand = kin__hand_here();
    if (hand && atomic_load_explicit(&hand->pool->stop, memory_order_relaxed))
        return true;
    double limit = task->job->soft_time_limit;
    return limit > 0 && (double)(kin__os_now_ns() - task->began) * 1e-9 >= limit;
}

kin_random *kin_task_random(kin_task *task)
{
    if (!task->draws)
        kin_random_start(&task->random, task->record ? task->record->seed : task->job->seed,
                         kin_task_index(task));
    task->draws = true;
    return &task->random;
}

void *kin_task_malloc(kin_task *task, size_t size)
{
    struct kin__seat *seat = task->seat;
    if (task->record)
        return kin__record_malloc(kin__own(task->record), task->maker, size);
    if (task->job->journaled) {
        kin__fail(KIN_ENOTSUP,
                  "task %zu cannot have memory that goes with its results: its map keeps a journal",
                  kin_task_index(task));
        return NULL;
    }
    if (!seat->results) {
        seat->results = kin__arena_new_for(task->maker);
        if (!seat->results)
            return NULL;
    }
    if (!task->allocated)
        seat->mark = kin__arena_mark(seat->results);
    task->allocated = true;
    return kin_arena_malloc(seat->results, size);
}

int kin_task_fail(kin_task *task, const char *format, ...)
{
    char text[sizeof((kin_error *)0)->message];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    task->failed = true;
    return kin__fail(KIN_EFAILED, "%s", text);
}

/* What it printed is on its way to the maker, who keeps it: a moment. */
void kin__task_output(const kin_task *task, char output[KIN_TASK_OUTPUT])
{
    uint64_t so_far = kin__printed_so_far(task->captured), taken;
    double deadline = kin__os_deadline(OUTPUT_PATIENCE);
    for (;;) {
        kin__printed_tail(task->captured, task->seat->printed, output, KIN_TASK_OUTPUT, &taken);
        if (taken >= so_far || kin__os_left(deadline) <= 0)
            return;
        nanosleep(&(struct timespec){.tv_nsec = OUTPUT_PAUSE_NS}, NULL);
    }
}

static char *note_output(const kin_task *task)
{
    char *common = kin_arena_malloc(task->seat->notes, KIN_TASK_OUTPUT);
    if (common)
        kin__task_output(task, kin__own(common));
    return common;
}

/* A note that cannot be made (no memory) is no reason to lose the failure: the status byte tells it. */
static void note_failure(kin_task *task, int cause, int result, bool has_story)
{
    struct kin__seat *seat = task->seat;
    if (!seat->notes)
        seat->notes = kin__arena_new_for(task->maker);
    struct kin__note *note = seat->notes ? kin_arena_malloc(seat->notes, sizeof *note) : NULL;
    if (!note)
        return;
    struct kin__note *common = note;
    note = kin__own(note);
    note->index = task->index;
    note->cause = cause;
    note->result = result;
    note->attempt = task->attempt;
    note->pid = (int)getpid();
    note->output = task->captured ? note_output(task) : NULL;
    if (has_story)
        kin_error_get(&note->error);
    else
        kin__error_fill(&note->error, KIN_EFAILED, "the task's function returned %d", result);
    note->next = atomic_load_explicit(&seat->first, memory_order_relaxed);
    /* Release: partner is the supervisor's acquire when it collects; a death before it loses the note only. */
    atomic_store_explicit(&seat->first, common, memory_order_release);
}

static unsigned char *status_of(const kin_task *task)
{
    return kin__own(&task->job->status[task->index]);
}

static void count(_Atomic uint64_t *counter)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

/* It is to be tried again: pending, as if nobody had. */
static bool again(kin_task *task, int cause)
{
    const struct kin__job *job = task->job;
    if (task->attempt >= job->retries || !(job->retry_on >> cause & 1))
        return false;
    if (job->out)
        memset(kin__own(job->out + task->index * job->out_size), 0, job->out_size);
    atomic_store(&task->pool->again, 1);
    atomic_signal_fence(memory_order_seq_cst); /* before the status: else nobody would look for it */
    *status_of(task) = (unsigned char)(KIN__PENDING | (unsigned)(task->attempt + 1) << 2);
    return true;
}

/* False: it is not the end, as it is to be tried again. */
static bool fail(kin_task *task, int result, bool has_story)
{
    struct kin__seat *seat = task->seat;
    kin_error story; /* rolling back may record failures of its own */
    if (has_story)
        kin_error_get(&story);
    if (task->allocated)
        kin__arena_rollback(seat->results, seat->mark);
    int cause = has_story && task->job->memory_limit && story.code == KIN_EMEMLIMIT ? KIN_CAUSE_MEMORY_LIMIT
                                                                                    : KIN_CAUSE_RETURNED;
    if (again(task, cause))
        return false;
    if (has_story)
        kin__fail_with(&story);
    note_failure(task, cause, result, has_story);
    atomic_signal_fence(
        memory_order_seq_cst); /* the note before the status: a death between leaves it pending */
    *status_of(task) = KIN__FAILED;
    count(&seat->failed);
    return true;
}

bool kin__task_prepare(struct kin_task *task)
{
    const struct kin__job *job = task->job;
    if (!kin__is_sealed() || !job->out || !job->out_size)
        return true;
    task->out = malloc(job->out_size);
    if (!task->out)
        kin__fail(KIN_ENOMEM, "could not get %zu bytes of private memory for outputs", job->out_size);
    return task->out;
}

void kin__task_end(struct kin_task *task)
{
    free(task->out);
    task->out = NULL;
}

/* Where the task's function writes: in a sealed worker not where the output goes, which may only be read there. */
static void *out_of(const kin_task *task)
{
    const struct kin__job *job = task->job;
    if (!job->out)
        return NULL;
    unsigned char *out = job->out + task->index * job->out_size;
    return task->out ? memcpy(task->out, out, job->out_size) : out;
}

bool kin__task_run(struct kin_task *task, void (*function)(void), size_t index)
{
    struct kin__job *job = task->job;
    struct kin__seat *seat = task->seat;
    task->index = index;
    task->attempt = (int)KIN__ATTEMPTS(job->status[index]);
    task->failed = task->allocated = task->draws = task->passes = false;
    unsigned serial = kin__error_serial;
    if (task->captured)
        seat->printed = kin__printed_so_far(task->captured);
    if (job->soft_time_limit > 0)
        task->began = kin__os_now_ns();
    if (job->cpu_limited)
        atomic_store(&seat->cpu_began, kin__os_cpu_time_ns(0));
    atomic_store_explicit(&seat->current, index + 1, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst); /* before the item: whoever dies in it has said so */
    int result;
    if (job->is_for)
        result = ((kin_for_fn)function)(task, job->base + index, job->context);
    else
        result = ((kin_task_fn)function)(task, job->in ? job->in + index * job->in_size : NULL, out_of(task));
    bool done = result == 0 && !task->failed;
    if (done) {
        if (task->out && job->out)
            memcpy(kin__own(job->out + index * job->out_size), task->out, job->out_size);
        if (task->allocated)
            seat->mark = kin__arena_mark(seat->results);
        /* Out and mark before the status byte. Partner: the acquire of who writes a journal meanwhile. */
        __atomic_store_n(status_of(task), KIN__DONE, __ATOMIC_RELEASE);
    } else if (!fail(task, result, kin__error_serial != serial)) {
        return true;
    }
    count(&seat->done);
    return done;
}
