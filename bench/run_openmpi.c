/*
 * run_openmpi.c - the runner of a master with two workers by MPI: rank 0 hands a task to whoever sends a result, one in flight at
 * each, as one writes it by hand.
 *
 * Started as any other runner it becomes `mpirun` with three of itself.
 */
#include "runner.h"
#include "work.h"

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORKERS = 2, TASK = 1, RESULT = 2, STOP = 3 };

struct task {
    uint64_t index;
    uint32_t links, unused;
};

struct result {
    uint64_t index, value;
};

static uint32_t *in;
static uint64_t *out;

static void work_off(void)
{
    for (;;) {
        struct task task;
        MPI_Status status;

        MPI_Recv(&task, sizeof task, MPI_BYTE, 0, MPI_ANY_TAG, MPI_COMM_WORLD, &status);
        if (status.MPI_TAG == STOP)
            return;
        struct result result = {task.index, bench_work(task.links)};
        MPI_Send(&result, sizeof result, MPI_BYTE, 0, RESULT, MPI_COMM_WORLD);
    }
}

static void send_task(int rank, size_t index)
{
    struct task task = {.index = index, .links = in[index]};

    MPI_Send(&task, sizeof task, MPI_BYTE, rank, TASK, MPI_COMM_WORLD);
}

static void map(size_t count)
{
    size_t sent = 0;

    for (int rank = 1; rank <= WORKERS && sent < count; rank++)
        send_task(rank, sent++);
    for (size_t done = 0; done < count; done++) {
        struct result result;
        MPI_Status status;

        MPI_Recv(&result, sizeof result, MPI_BYTE, MPI_ANY_SOURCE, RESULT, MPI_COMM_WORLD, &status);
        if (sent < count)
            send_task(status.MPI_SOURCE, sent++);
        out[result.index] = result.value;
    }
}

static void open_master(const char *who)
{
    (void)who;
    in = malloc(BENCH_MOST_TASKS * sizeof *in);
    out = malloc(BENCH_MOST_TASKS * sizeof *out);
    if (!in || !out)
        bench_fail("out of memory");
}

static double run(const struct bench_request *request)
{
    double start;
    double took;

    bench_tasks_fill(in, out, request);
    start = bench_now();
    for (size_t repeat = 0; repeat < request->repeats; repeat++)
        map(request->count);
    took = bench_now() - start;
    bench_tasks_check(out, request);
    return took;
}

static int become_mpirun(char **argv)
{
    char self[4096];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);

    if (length > 0) {
        self[length] = 0;
        execlp("mpirun", "mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-np", "3",
               self, argv[1], argv[2], (char *)NULL);
    }
    printf("error cannot run mpirun\n");
    return 1;
}

int main(int argc, char **argv)
{
    static const struct bench_contestant contestants[] = {
        {"metg-map", "openmpi", open_master, run, NULL},
        {"tasks-empty", "openmpi", open_master, run, NULL},
        {"metg-apply", "openmpi", open_master, run, NULL},
        {"tasks-apply", "openmpi", open_master, run, NULL},
    };
    int rank, code = 0;

    if (argc == 3 && !getenv("OMPI_COMM_WORLD_SIZE"))
        return become_mpirun(argv);
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (rank == 0) {
        code = bench_serve(argc, argv, contestants, sizeof contestants / sizeof *contestants);
        for (int worker = 1; worker <= WORKERS; worker++)
            MPI_Send(&(struct task){0}, sizeof(struct task), MPI_BYTE, worker, STOP, MPI_COMM_WORLD);
    } else {
        work_off();
    }
    MPI_Finalize();
    return code;
}
