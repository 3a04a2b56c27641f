/* trace.c - what tasks leave in the shared heap while they run. */
#include "trace.h"

#include <time.h>
#include <unistd.h>

#include "kin/heap.h"

double clock_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

struct board *board_new(int workers)
{
    size_t size = sizeof(struct board) + (size_t)workers * sizeof(struct seat);
    struct board *board = kin_aligned_alloc(alignof(struct board), size);

    if (!board)
        return NULL;
    atomic_init(&board->finished, 0);
    board->seats = workers;
    for (int w = 0; w < workers; w++) {
        atomic_init(&board->seat[w].since, 0.0);
        atomic_init(&board->seat[w].pid, 0);
        atomic_init(&board->seat[w].item, 0);
        atomic_init(&board->seat[w].attempt, 0);
    }
    return board;
}

void board_enter(struct board *board, const kin_task *task, struct stamp *stamp)
{
    struct seat *seat = &board->seat[kin_task_worker(task)];
    double now = clock_now();

    stamp->worker = kin_task_worker(task);
    stamp->pid = (int)getpid();
    stamp->end = 0;
    stamp->start = now;
    atomic_store(&seat->pid, stamp->pid);
    atomic_store(&seat->item, (int)kin_task_index(task));
    atomic_store(&seat->attempt, kin_task_attempt(task));
    atomic_store(&seat->since, now); /* last: whoever sees it set sees the rest */
}

void board_leave(struct board *board, const kin_task *task, struct stamp *stamp)
{
    atomic_store(&board->seat[kin_task_worker(task)].since, 0.0);
    stamp->end = clock_now();
    atomic_fetch_add(&board->finished, 1);
}
