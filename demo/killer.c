/* killer.c - kill -9 from outside. */
#include "killer.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

#include "kin/heap.h"
#include "kin/process.h"

/*
 *   field    written by   rule                           when the writer dies there
 *   ------   ----------   ----------------------------   ------------------------------------
 *   stop     founder      0 to 1 only                    the killer ends with its parent
 *   count    killer       after note[count] is whole     the last kill may be missing from it
 *   rest     founder      before the killer starts       -
 */
struct killer {
    kin_process *process;
    struct board *board;
    int kills;
    size_t spacing;
    double after;
    _Atomic int stop;
    _Atomic int count;
    struct kill_note note[];
};

/*
 * A worker that was killed stays on the board as busy until its successor starts a task: the dead are
 * passed over. (Process ids are given out in a cycle of 32,768 or more: no stranger gets one of them
 * in the meantime.)
 */
static bool killed_before(const struct killer *killer, int pid)
{
    for (int k = 0; k < atomic_load(&killer->count); k++)
        if (killer->note[k].pid == pid)
            return true;
    return false;
}

/* Kill the worker at one seat if it is in a task for long enough. */
static bool strike(struct killer *killer, int worker)
{
    struct seat *seat = &killer->board->seat[worker];
    double since = atomic_load(&seat->since);
    struct kill_note *note = &killer->note[atomic_load(&killer->count)];

    *note = (struct kill_note){.pid = atomic_load(&seat->pid),
                               .worker = worker,
                               .item = atomic_load(&seat->item),
                               .attempt = atomic_load(&seat->attempt)};
    if (since == 0 || note->pid <= 1 || killed_before(killer, note->pid))
        return false;
    note->when = clock_now();
    if (note->when - since < killer->after || atomic_load(&seat->since) != since)
        return false;
    if (kill((pid_t)note->pid, SIGKILL) != 0)
        return false;
    atomic_fetch_add(&killer->count, 1);
    return true;
}

static int run(void *arg)
{
    struct killer *killer = arg;
    const struct timespec pause = {.tv_nsec = 200000};

    for (int k = 0, worker = 0; k < killer->kills && !atomic_load(&killer->stop);) {
        if (atomic_load(&killer->board->finished) >= (size_t)(k + 1) * killer->spacing &&
            strike(killer, worker))
            k++;
        worker = (worker + 1) % killer->board->seats;
        nanosleep(&pause, NULL);
    }
    return 0;
}

struct killer *killer_start(struct board *board, int kills, size_t spacing, double after)
{
    struct killer *killer = kin_calloc(1, sizeof *killer + (size_t)kills * sizeof killer->note[0]);

    if (!killer)
        return NULL;
    killer->board = board;
    killer->kills = kills;
    killer->spacing = spacing;
    killer->after = after;
    killer->process =
        kin_process_start_shared(run, killer, KIN_PROCESS_OPTIONS(.name = "killer", .daemon = true));
    if (!killer->process) {
        kin_free(killer);
        return NULL;
    }
    return killer;
}

void killer_stop(struct killer *killer)
{
    if (!killer)
        return;
    atomic_store(&killer->stop, 1);
    if (kin_process_join(killer->process, 10) != 0)
        kin_process_kill(killer->process);
}

int killer_count(const struct killer *killer)
{
    return killer ? atomic_load(&killer->count) : 0;
}

const struct kill_note *killer_note(const struct killer *killer, int k)
{
    return &killer->note[k];
}

void killer_free(struct killer *killer)
{
    if (!killer)
        return;
    kin_process_free(killer->process);
    kin_free(killer);
}
