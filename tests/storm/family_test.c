/*
 * family_test.c - whole families killed: the parent alone, or everything at once.
 *
 * Each family is founded by a process of its own, which maps over a pool without end, while children of it start
 * children by fork and by spawn. The test is the subreaper of all of them: it sees every process that outlives its
 * parent, and waits until there is none. Then it looks for what else they might have left: files where programs put
 * such things, named IPC objects, memory of the machine.
 */
#include "harness.h"
#include "leftovers.h"
#include "storm/killer.h"

#include "kin/heap.h"
#include "kin/pool.h"
#include "kin/process.h"

#include <dirent.h>
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
#define FAMILY_MAX 256             /* processes of one */
#define TOUCHED ((size_t)32 << 20) /* bytes of the heap that a family has in use when it is killed */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Shared by the test and its families. */
struct stage {
    _Atomic uint32_t maps;      /* done by the family */
    _Atomic uint32_t dying;     /* it is being killed */
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

static int end_at_once(void *arg)
{
    return arg != NULL;
}

/* Somebody is always being started, by each method. */
static int start_children(void *arg)
{
    (void)arg;
    atomic_fetch_add(&stage->processes, 1);
    for (int i = 0;; i++) {
        int method = i % 4 == 3 ? KIN_START_SPAWN : i % 4 == 1 ? KIN_START_FORKSERVER : KIN_START_FORK;
        kin_process *process =
            kin_process_start(end_at_once, NULL, 0, KIN_PROCESS_OPTIONS(.start_method = method));
        /* Its template may have been killed, time and again. */
        child_assert(process || (method == KIN_START_FORKSERVER && kin_error_code() == KIN_EDIED));
        if (process)
            child_assert(kin_process_join(process, KIN_FOREVER) == 0);
        kin_process_free(process);
    }
}

static _Noreturn void found_family_and_map(void)
{
    test_init();
    void *memory = kin_malloc(TOUCHED);
    child_assert(memory);
    memset(memory, 1, TOUCHED);
    static uint64_t in[ITEMS];
    uint64_t *out = kin_malloc(sizeof(in));
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 3));
    child_assert(pool && out && kin_process_start(child, NULL, 0, NULL) &&
                 kin_process_start(start_children, NULL, 0, NULL));
    for (;;) {
        child_assert(kin_map(pool, spin, in, out, ITEMS) == 0 || atomic_load(&stage->dying));
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

/* All of the tree below a process, itself included. */
static size_t tree_of(pid_t root, pid_t *out)
{
    size_t count = 1;
    out[0] = root;
    for (size_t i = 0; i < count && count < FAMILY_MAX; i++) {
        size_t more = children_of(out[i], out + count, FAMILY_MAX - count);
        count += more < FAMILY_MAX - count ? more : FAMILY_MAX - count;
    }
    return count;
}

/* As someone would who sees them in ps: one after the other, in no order. */
static void kill_everything(pid_t founder, uint32_t *seed)
{
    pid_t tree[FAMILY_MAX];
    for (size_t left = tree_of(founder, tree); left > 0; left--) {
        size_t next = random_next(seed) % left;
        kill_below(founder, tree[next]);
        tree[next] = tree[left - 1];
    }
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
    atomic_store(&stage->dying, 1);
    if (everything)
        kill_everything(founder, seed);
    else
        ck_assert_int_eq(kill(founder, SIGKILL), 0);
    if (!all_gone()) {
        print_left();
        ck_abort_msg("processes are left after their parent was killed");
    }
}

/* ---- what else there may be ------------------------------------------------------------------ */

static const char *const places[] = {"/tmp", "/var/tmp", "/run"};
#define PLACES (sizeof(places) / sizeof(places[0]))

struct trace {
    struct names names; /* in /dev/shm and of IPC objects */
    size_t files[PLACES];
    size_t shared_kib; /* memory of the machine */
};

static size_t count_files(const char *path)
{
    size_t count = 0;
    DIR *dir = opendir(path);
    while (dir && readdir(dir))
        count++;
    if (dir)
        closedir(dir);
    return count;
}

static size_t shared_memory_kib(void)
{
    char line[200];
    size_t kib = 0;
    FILE *file = fopen("/proc/meminfo", "re");
    while (file && fgets(line, sizeof(line), file) && sscanf(line, "Shmem: %zu", &kib) != 1)
        continue;
    if (file)
        fclose(file);
    return kib;
}

static struct trace look(void)
{
    struct trace trace = {.shared_kib = shared_memory_kib()};
    leftovers_list_names(&trace.names);
    for (size_t i = 0; i < PLACES; i++)
        trace.files[i] = count_files(places[i]);
    return trace;
}

/* Others use the machine too: wait for a moment when no more is in use than before and what they may use. */
static void no_memory_is_left(size_t before_kib, size_t families)
{
    size_t room = families * (TOUCHED >> 10) / 4, now_kib;
    double deadline = now() + GONE_LIMIT;
    while ((now_kib = shared_memory_kib()) > before_kib + room) {
        ck_assert_msg(now() < deadline, "%zu MiB of shared memory are left by %zu families",
                      (now_kib - before_kib) >> 10, families);
        usleep(10000);
    }
}

static void no_trace_is_left(struct trace *before, bool alone, size_t families)
{
    static struct report report;
    struct trace after = look();
    ck_assert_msg(leftovers_new_names(&before->names, &after.names, &report) == 0, "%s", report.text);
    for (size_t i = 0; alone && i < PLACES; i++)
        ck_assert_msg(after.files[i] == before->files[i], "files are left in %s", places[i]);
    no_memory_is_left(before->shared_kib, families);
}

/* ---- the tests ------------------------------------------------------------------------------- */

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

static void family_killed_as_a_whole_leaves_no_trace(void)
{
    start();
    uint32_t seed = 999, rounds = test_long() ? 500 : 20;
    bool alone = leftovers_isolate_files(places, PLACES);
    struct trace before = look();
    for (uint32_t i = 0; i < rounds; i++)
        kill_family(true, i % 4, &seed);
    no_trace_is_left(&before, alone, rounds);
    printf("# %u families killed, with files %s\n", rounds,
           alone ? "looked for" : "not looked for (no root)");
}

static const struct test tests[] = {
    {"family_of_a_killed_parent_is_gone", family_of_a_killed_parent_is_gone, 120, 0},
    {"family_killed_as_a_whole_leaves_no_trace", family_killed_as_a_whole_leaves_no_trace, 300, 0},
};
TEST_MAIN("storm_family", tests)
