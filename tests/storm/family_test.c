/*
 * family_test.c - whole families killed: the parent alone, or everything at once.
 *
 * Each family is founded by a process of its own, which maps over a pool without end. The test is the
 * subreaper of all of them: it sees every process that outlives its parent, and waits until there is none.
 * The region has no name and goes with its last process, so once none is left nothing is.
 */
#include "harness.h"
#include "storm/killer.h"

#include "kin/heap.h"
#include "kin/pool.h"
#include "kin/process.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ITEMS 200
#define GONE_LIMIT 5.0 /* seconds in which all descendants of the dead must be gone */
#define TREE_LIMIT 20.0

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Shared by the test and its families. */
struct stage {
    _Atomic uint32_t maps;      /* done by the family */
    _Atomic uint32_t processes; /* of it that are at work, grandchildren included */
};

static struct stage *stage;

static int spin(kin_task *task, const uint64_t *in, uint64_t *out)
{
    (void)task;
    uint64_t x = *in;
    for (int i = 0; i < 3000; i++)
        x = x * UINT64_C(6364136223846793005) + 1;
    *out = x | 1;
    return 0;
}

static int grandchild(void *arg)
{
    (void)arg;
    atomic_fetch_add(&stage->processes, 1);
    while (pause())
        ;
    return 0;
}

/* A child that has a child of its own: who notices that it is an orphan when both parents die? */
static int child(void *arg)
{
    (void)arg;
    kin_process *process = kin_process_start(grandchild, NULL, 0, NULL);
    child_assert(process);
    atomic_fetch_add(&stage->processes, 1);
    while (pause())
        ;
    return 0;
}

static _Noreturn void found_family_and_map(void)
{
    test_init();
    static uint64_t in[ITEMS];
    uint64_t *out = kin_malloc(sizeof(in));
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 3));
    child_assert(pool && out && kin_process_start(child, NULL, 0, NULL));
    for (;;) {
        child_assert(kin_map(pool, spin, in, out, ITEMS) == 0);
        child_assert(kin_malloc(1000)); /* never freed: it has to go with the family */
        atomic_fetch_add(&stage->maps, 1);
    }
}

/* Wait for all children and orphans of the dead; false if some are still there. */
static bool all_gone(void)
{
    for (double deadline = now() + GONE_LIMIT; now() < deadline; usleep(500)) {
        pid_t pid;
        while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
            ;
        if (pid < 0 && errno == ECHILD)
            return true;
    }
    return false;
}

static void print_left(void)
{
    pid_t left[64];
    size_t count = children_of(getpid(), left, 64);
    for (size_t i = 0; i < count && i < 64; i++)
        fprintf(stderr, "# left: process %d\n", (int)left[i]);
}

/* One family, killed after `maps` maps and some more. */
static void kill_family(bool everything, uint32_t maps, uint32_t *seed)
{
    memset(stage, 0, sizeof(*stage));
    pid_t founder = fork();
    ck_assert_int_ge(founder, 0);
    if (founder == 0) {
        setpgid(0, 0);
        found_family_and_map();
    }
    setpgid(founder, founder);
    double deadline = now() + TREE_LIMIT;
    while (atomic_load(&stage->maps) < maps || atomic_load(&stage->processes) < (maps ? 2u : 0u)) {
        ck_assert_msg(now() < deadline, "a family does not get to work: %u maps, %u processes",
                      atomic_load(&stage->maps), atomic_load(&stage->processes));
        ck_assert_int_eq(waitpid(founder, NULL, WNOHANG), 0);
        usleep(200);
    }
    usleep(random_next(seed) % 5000);
    ck_assert_int_eq(kill(everything ? -founder : founder, SIGKILL), 0);
    if (!all_gone()) {
        print_left();
        ck_abort_msg("processes are left after their parent was killed");
    }
}

static void start(void)
{
    stage = mmap(NULL, sizeof(*stage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(stage, MAP_FAILED);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
}

static void family_of_a_killed_parent_is_gone(void)
{
    start();
    uint32_t seed = 777, rounds = test_long() ? 300 : 15;
    for (uint32_t i = 0; i < rounds; i++)
        kill_family(false, i % 4, &seed); /* 0: while it still starts */
    printf("# %u parents killed\n", rounds);
}

static void family_killed_as_a_whole_is_gone(void)
{
    start();
    uint32_t seed = 999, rounds = test_long() ? 300 : 15;
    for (uint32_t i = 0; i < rounds; i++)
        kill_family(true, i % 4, &seed);
    printf("# %u families killed\n", rounds);
}

static const struct test tests[] = {
    {"family_of_a_killed_parent_is_gone", family_of_a_killed_parent_is_gone, 120, 0},
    {"family_killed_as_a_whole_is_gone", family_killed_as_a_whole_is_gone, 120, 0},
};
TEST_MAIN("storm_family", tests)
