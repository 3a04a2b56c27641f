/* pool/story.c - the sentence about a task whose worker died of it. */
#include "pool/burial.h"

#include "base/failure.h"
#include "process/crash.h"
#include "process/limits.h"
#include "process/process_shared.h"

#include <errno.h>
#include <signal.h>

static bool read_report(const kin_process *process, size_t limit, struct kin__crash *report)
{
    return limit && kin__crash_read(process, 0, report) && report->error_number == ENOMEM;
}

bool kin__died_of_memory_limit(const kin_process *process, size_t limit)
{
    struct kin__crash report;
    return read_report(process, limit, &report);
}

int kin__death_cause(const kin_process *process, size_t memory_limit, const kin_end *end)
{
    if (kin__died_of_memory_limit(process, memory_limit))
        return KIN_CAUSE_MEMORY_LIMIT;
    if (end->out_of_memory)
        return KIN_CAUSE_OUT_OF_MEMORY;
    return end->how == KIN_END_EXITED ? KIN_CAUSE_EXITED : KIN_CAUSE_SIGNALED;
}

static void tell_memory(const struct kin__death_facts *facts, const struct kin__crash *report,
                        const char *how, kin_task_error *error)
{
    uint64_t before = facts->data_ready;
    double used = report->private_data > before ? (double)(report->private_data - before) : 0;
    error->cause = KIN_CAUSE_MEMORY_LIMIT;
    kin__error_fill(&error->error, KIN_EMEMLIMIT,
                    "%s could not get memory: it used %.1f MiB of its limit of %.1f MiB when its worker (pid "
                    "%d) died of %s",
                    facts->what, used / 0x1p20, (double)facts->memory_limit / 0x1p20, error->pid, how);
}

static void tell_death(const struct kin__death_facts *facts, const char *how, kin_task_error *error)
{
    const kin_process *process = facts->process;
    char limit[96] = "", where[240];
    int code = kin__limits_story(process->limited, &error->end, limit, sizeof limit);
    if (error->end.how == KIN_END_EXITED && !code) {
        error->cause = KIN_CAUSE_EXITED;
        kin__error_fill(&error->error, KIN_EDIED,
                        "%s ended its worker (pid %d) with exit code %d, by exit() or the like: a task "
                        "returns, or fails by kin_task_fail",
                        facts->what, error->pid, error->end.exit_code);
        return;
    }
    error->cause = code == KIN_EMEMLIMIT              ? KIN_CAUSE_MEMORY_LIMIT
                   : code                             ? KIN_CAUSE_TIME_LIMIT
                   : error->end.out_of_memory         ? KIN_CAUSE_OUT_OF_MEMORY
                   : error->end.how == KIN_END_EXITED ? KIN_CAUSE_EXITED
                                                      : KIN_CAUSE_SIGNALED;
    kin__error_fill(&error->error, code ? code : KIN_EDIED,
                    "%s was running when its worker (pid %d) died of %s%s%s%s", facts->what, error->pid, how,
                    limit, kin__crash_where(process, where, sizeof where),
                    error->attempts > 1 ? "; it was the last of its attempts" : "");
}

void kin__death_story(const struct kin__death_facts *facts, kin_task_error *error)
{
    struct kin__crash report;
    char how[200];
    if (!facts->process) {
        error->cause = KIN_CAUSE_EXITED;
        kin__error_fill(
            &error->error, KIN_EDIED,
            "%s ended its worker, a thread, by pthread_exit() or the like: a task returns, or fails by "
            "kin_task_fail",
            facts->what);
        return;
    }
    kin_end_text(&error->end, how, sizeof how);
    if (facts->time_limit > 0) {
        error->cause = KIN_CAUSE_TIME_LIMIT;
        kin__error_fill(&error->error, KIN_ETIMELIMIT,
                        "%s ran longer than its limit of %g s: its worker (pid %d) was killed", facts->what,
                        facts->time_limit, error->pid);
    } else if (facts->cpu_limit > 0) {
        error->cause = KIN_CAUSE_CPU_LIMIT;
        kin__error_fill(&error->error, KIN_ETIMELIMIT,
                        "%s took more than its limit of %g s of CPU time: its worker (pid %d) was killed",
                        facts->what, facts->cpu_limit, error->pid);
    } else if (read_report(facts->process, facts->memory_limit, &report)) {
        tell_memory(facts, &report, how, error);
    } else {
        tell_death(facts, how, error);
    }
}
