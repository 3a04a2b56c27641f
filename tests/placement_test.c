/* placement_test.c - which CPUs workers run on, and how many threads they and their libraries may have. */
#include "harness.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kin.h"
#include "os/os.h"
#include "pool/placement.h"

#define TOP (test_time_left() - 0.5)

/* ---- how many there are ----------------------------------------------------------------------- */

static void be_bound_to_one_cpu(void)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
}

static void cpus_are_those_of_the_affinity(void)
{
    cpu_set_t all;
    ck_assert_int_eq(sched_getaffinity(0, sizeof all, &all), 0);
    ck_assert_int_le(kin__os_cpu_count(), CPU_COUNT(&all));
    be_bound_to_one_cpu();
    ck_assert_int_eq(kin__os_cpu_count(), 1);
    test_init();
    ck_assert_int_eq(kin_cpu_count(), 1);
    kin_pool *pool = kin_pool_new(NULL);
    ck_assert_int_eq(kin_pool_workers(pool), 1);
    kin_pool_free(pool);
}

static void write_under(const char *directory, const char *name, const char *text)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    for (char *slash = path; (slash = strchr(slash + 1, '/'));) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "we");
    ck_assert_msg(file != NULL, "%s", path);
    fprintf(file, "%s\n", text);
    fclose(file);
}

/* Of this process's cgroup, in its own view of the machine. False: it is in none of that version. */
static bool set_quota(bool unified, const char *quota, const char *both)
{
    FILE *file = fopen("/proc/thread-self/cgroup", "re");
    char line[400], directory[500];
    bool found = false;
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        const char *path = strrchr(line, ':');
        if (!path ||
            !(unified ? strncmp(line, "0::", 3) == 0 : strstr(line, ":cpu:") || strstr(line, ":cpu,")))
            continue;
        found = true;
        snprintf(directory, sizeof directory, "/sys/fs/cgroup%s%.390s", unified ? "" : "/cpu", path + 1);
        if (unified)
            write_under(directory, "cpu.max", both);
        else
            write_under(directory, "cpu.cfs_quota_us", quota);
        if (!unified)
            write_under(directory, "cpu.cfs_period_us", "100000");
    }
    if (file)
        fclose(file);
    return found;
}

static void cpus_are_bounded_by_the_cgroups_quota(void)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/sys/fs/cgroup", "tmpfs", 0, NULL) != 0)
        test_skip("no file system may be mounted here");
    int all = kin__os_cpu_count(), judged = 0;
    for (int unified = 0; unified < 2; unified++) {
        if (!set_quota(unified, "50000", "50000 100000"))
            continue;
        judged++;
        ck_assert_int_eq(kin__os_cpu_count(), 1); /* half a CPU is one worker */
        set_quota(unified, "150000", "150000 100000");
        ck_assert_int_eq(kin__os_cpu_count(), all < 2 ? all : 2);
        set_quota(unified, "-1", "max 100000");
        ck_assert_int_eq(kin__os_cpu_count(), all);
    }
    if (!judged)
        test_skip("this process is in no cgroup of CPUs");
}

/* ---- the order, on machines made of files ----------------------------------------------------- */

static char root[64];

static void write_file(int cpu, const char *name, const char *text)
{
    char path[200];
    snprintf(path, sizeof path, "%s/cpu%d/%s", root, cpu, name);
    for (char *slash = path + strlen(root); (slash = strchr(slash + 1, '/'));) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    fprintf(file, "%s\n", text);
    fclose(file);
}

static void remove_machine(void)
{
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", root);
    if (system(command) != 0) /* NOLINT: a name of our own */
        perror(root);
}

/* Two packages of two caches of two cores of two threads: numbered like Intel's, so that the second threads come last, and
 * the packages are called 3 and 7. */
static void make_machine(void)
{
    snprintf(root, sizeof root, "/tmp/kin-cpus-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
    atexit(remove_machine);
    for (int cpu = 0; cpu < 16; cpu++) {
        int core = cpu % 8;
        char text[32];
        write_file(cpu, "topology/physical_package_id", core / 4 ? "7" : "3");
        snprintf(text, sizeof text, "%d,%d", core, core + 8);
        write_file(cpu, "topology/core_cpus_list", text);
        write_file(cpu, "cache/index0/level", "1");
        write_file(cpu, "cache/index0/shared_cpu_list", text);
        write_file(cpu, "cache/index3/level", "3");
        snprintf(text, sizeof text, "%d-%d,%d-%d", core / 2 * 2, core / 2 * 2 + 1, core / 2 * 2 + 8,
                 core / 2 * 2 + 9);
        write_file(cpu, "cache/index3/shared_cpu_list", text);
    }
}

static void expect_order(int pin, size_t count, size_t threads, const char *expected)
{
    struct kin__cpu cpus[16];
    int order[16];
    char text[100] = "";
    for (size_t i = 0; i < count; i++)
        cpus[i] = (struct kin__cpu){.number = (int)(count - 1 - i)}; /* in any order */
    kin__os_topology(root, cpus, count);
    size_t groups = kin__place_order(pin, cpus, count, threads, order);
    ck_assert_uint_eq(groups, count / threads ? count / threads : 1);
    for (size_t i = 0; i < groups * threads; i++)
        sprintf(text + strlen(text), "%s%d", i == 0 ? "" : i % threads ? "+" : " ", order[i]);
    ck_assert_str_eq(text, expected);
}

static void compact_fills_cores_then_caches_then_packages(void)
{
    make_machine();
    expect_order(KIN_PIN_COMPACT, 16, 1, "0 8 1 9 2 10 3 11 4 12 5 13 6 14 7 15");
    expect_order(KIN_PIN_COMPACT, 16, 2, "0+8 1+9 2+10 3+11 4+12 5+13 6+14 7+15");
    expect_order(KIN_PIN_COMPACT, 16, 4, "0+8+1+9 2+10+3+11 4+12+5+13 6+14+7+15");
}

static void spread_goes_to_other_packages_first(void)
{
    make_machine();
    expect_order(KIN_PIN_SPREAD, 16, 1, "0 4 2 6 1 5 3 7 8 12 10 14 9 13 11 15");
    expect_order(KIN_PIN_SPREAD, 16, 4, "0+8+1+9 4+12+5+13 2+10+3+11 6+14+7+15");
    expect_order(KIN_PIN_SPREAD, 8, 1, "0 4 2 6 1 5 3 7"); /* without the second threads */
}

static void more_threads_than_cpus_go_round(void)
{
    make_machine();
    expect_order(KIN_PIN_COMPACT, 2, 3, "0+1+0");
    expect_order(KIN_PIN_SPREAD, 3, 2, "0+1");
}

static void machine_that_tells_nothing_is_taken_in_order(void)
{
    snprintf(root, sizeof root, "/nonexistent");
    expect_order(KIN_PIN_COMPACT, 4, 1, "0 1 2 3");
    expect_order(KIN_PIN_SPREAD, 4, 1, "0 1 2 3");
}

/* ---- workers --------------------------------------------------------------------------------- */

struct seen {
    int cpus, first, affinity, running;
    char omp[8], openblas[8], mkl[8], kin[8];
};

static void copy(char to[8], const char *variable)
{
    snprintf(to, 8, "%s", getenv(variable) ? getenv(variable) : "none");
}

static int look(kin_task *task, const int *unused, struct seen *seen)
{
    (void)unused;
    (void)task;
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    seen->affinity = CPU_COUNT(&set);
    seen->cpus = kin_cpu_count();
    while (seen->first < CPU_SETSIZE && !CPU_ISSET((size_t)seen->first, &set))
        seen->first++;
    seen->running = sched_getcpu();
    copy(seen->omp, "OMP_NUM_THREADS");
    copy(seen->openblas, "OPENBLAS_NUM_THREADS");
    copy(seen->mkl, "MKL_NUM_THREADS");
    copy(seen->kin, "KIN_CPUS");
    return 0;
}

/* What a worker of a pool of one sees. */
static struct seen seen_by(kin_pool_options options)
{
    int unused = 0;
    struct seen seen = {0};
    options.size = sizeof options;
    options.workers = options.workers ? options.workers : 1;
    options.start_method = test_method();
    kin_pool *pool = kin_pool_new(&options);
    ck_assert_msg(pool != NULL, "%s", kin_error_message());
    ck_assert_msg(kin_map(pool, look, &unused, &seen, 1) == 0, "%s", kin_error_message());
    kin_pool_free(pool);
    return seen;
}

static void threads_are_the_workers_share(void)
{
    unsetenv("OMP_NUM_THREADS");
    setenv("KIN_CPUS", "12", 1);
    test_init();
    int count = kin_cpu_count(), all = kin__os_cpu_count();
    ck_assert_int_eq(count, all < 12 ? all : 12);
    char text[8];
    for (int workers = 1; workers <= 3; workers++) {
        int share = count / workers > 1 ? count / workers : 1;
        struct seen seen = seen_by((kin_pool_options){.workers = workers});
        snprintf(text, sizeof text, "%d", share);
        ck_assert_int_eq(seen.cpus, share);
        ck_assert_str_eq(seen.omp, text);
        ck_assert_str_eq(seen.openblas, text);
        ck_assert_str_eq(seen.mkl, text);
        ck_assert_str_eq(seen.kin, text);
    }
    ck_assert_int_eq(kin_cpu_count(), count); /* the maker is as it was */
    ck_assert_ptr_null(getenv("OMP_NUM_THREADS"));
}

static void what_is_less_already_stays(void)
{
    setenv("OMP_NUM_THREADS", "1", 1);
    setenv("MKL_NUM_THREADS", "64", 1);
    test_init();
    char text[8];
    snprintf(text, sizeof text, "%d", kin_cpu_count());
    struct seen seen = seen_by((kin_pool_options){0});
    ck_assert_str_eq(seen.omp, "1");
    ck_assert_str_eq(seen.mkl, text);
    seen = seen_by((kin_pool_options){.threads = 7});
    ck_assert_str_eq(seen.omp, "7");
    ck_assert_str_eq(seen.mkl, "7");
    ck_assert_str_eq(seen.kin, "7");
    seen = seen_by((kin_pool_options){.threads = KIN_THREADS_ANY});
    ck_assert_str_eq(seen.omp, "1");
    ck_assert_str_eq(seen.mkl, "64");
    ck_assert_str_eq(seen.kin, "none");
}

static int inner_workers(kin_task *task, const int *unused, int *workers)
{
    (void)unused;
    kin_pool *pool = kin_pool_new(NULL);
    if (!pool)
        return kin_task_fail(task, "%s", kin_error_message());
    *workers = kin_pool_workers(pool);
    kin_pool_free(pool);
    return 0;
}

static void pools_in_tasks_share_the_budget(void)
{
    test_init();
    int unused[8] = {0}, workers[8], count = kin_cpu_count();
    for (int outer = 1; outer <= count && outer <= 8; outer++) {
        kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = outer, .start_method = test_method()));
        ck_assert_msg(kin_map(pool, inner_workers, unused, workers, (size_t)outer) == 0, "%s",
                      kin_error_message());
        for (int i = 0; i < outer; i++)
            ck_assert_int_eq(workers[i], count / outer);
        kin_pool_free(pool);
    }
}

static void workers_run_where_they_are_pinned(void)
{
    test_init();
    struct kin__cpu cpus[64];
    size_t count = kin__os_cpus(cpus, 64);
    ck_assert_uint_gt(count, 0);
    int last = cpus[(count < 64 ? count : 64) - 1].number, all = kin__os_cpu_count();
    struct seen seen =
        seen_by((kin_pool_options){.pin = KIN_PIN_EXPLICIT, .cpus = &last, .cpu_count = 1, .threads = 1});
    ck_assert_int_eq(seen.affinity, 1);
    ck_assert_int_eq(seen.first, last);
    ck_assert_int_eq(seen.running, last);
    ck_assert_int_eq(seen.cpus, 1);
    for (int pin = KIN_PIN_COMPACT; pin <= KIN_PIN_SPREAD; pin++) {
        kin__os_topology(KIN__OS_TOPOLOGY, cpus, count < 64 ? count : 64);
        seen = seen_by((kin_pool_options){.pin = pin, .threads = 1});
        ck_assert_int_eq(seen.affinity, 1);
        ck_assert_int_eq(seen.running, cpus[0].number);
        seen = seen_by((kin_pool_options){.pin = pin}); /* one worker: all CPUs */
        ck_assert_int_eq(seen.affinity, kin_cpu_count() < (int)count ? kin_cpu_count() : (int)count);
    }
    seen = seen_by((kin_pool_options){0});
    ck_assert_uint_eq((size_t)seen.affinity, count);
    ck_assert_int_eq(kin__os_cpu_count(), all);
}

static int die_once(kin_task *task, const int *unused, struct seen *seen)
{
    if (kin_task_attempt(task) == 0)
        abort();
    return look(task, unused, seen);
}

static void replaced_worker_is_pinned_as_the_one_before(void)
{
    test_init();
    struct kin__cpu cpus[64];
    size_t count = kin__os_cpus(cpus, 64);
    int last = cpus[(count < 64 ? count : 64) - 1].number, unused = 0;
    struct seen seen = {0};
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 1, .pin = KIN_PIN_EXPLICIT, .cpus = &last,
                                                   .cpu_count = 1, .start_method = test_method()));
    ck_assert_msg(kin_pool_map(pool, (kin_task_fn)die_once,
                               KIN_MAP_ARGS(.in = &unused, .in_size = sizeof unused, .out = &seen,
                                            .out_size = sizeof seen, .count = 1, .retries = 1)) == 0,
                  "%s", kin_error_message());
    ck_assert_int_eq(seen.affinity, 1);
    ck_assert_int_eq(seen.running, last);
    kin_pool_free(pool);
}

static void expect_none(kin_pool_options options, const char *why)
{
    options.size = sizeof options;
    ck_assert_ptr_null(kin_pool_new(&options));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    ck_assert_msg(strstr(kin_error_message(), why) != NULL, "%s", kin_error_message());
}

static void what_cannot_be_is_refused(void)
{
    test_init();
    int minus = -1, far = 60000, unused = 0;
    struct seen seen;
    expect_none((kin_pool_options){.pin = 9}, "enum kin_pin");
    expect_none((kin_pool_options){.pin = KIN_PIN_EXPLICIT}, "no CPUs are given");
    expect_none((kin_pool_options){.pin = KIN_PIN_EXPLICIT, .cpus = &minus, .cpu_count = 1}, "CPU -1");
    expect_none((kin_pool_options){.pin = KIN_PIN_COMPACT, .cpus = &far, .cpu_count = 1},
                "not KIN_PIN_EXPLICIT");
    expect_none((kin_pool_options){.cpu_count = 1}, "not KIN_PIN_EXPLICIT");
    expect_none((kin_pool_options){.threads = -2}, "-2 threads");
    /* One that is not there shows in the worker. */
    kin_pool *pool =
        kin_pool_new(KIN_POOL_OPTIONS(.workers = 1, .pin = KIN_PIN_EXPLICIT, .cpus = &far, .cpu_count = 1));
    ck_assert_msg(pool != NULL, "%s", kin_error_message());
    ck_assert_int_eq(kin_map(pool, look, &unused, &seen, 1), KIN_EINVAL);
    ck_assert_msg(strstr(kin_error_message(), "cannot pin a process to CPU 60000") != NULL, "%s",
                  kin_error_message());
    kin_pool_free(pool);
}

static int open_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void each_worker_costs_its_maker_one_descriptor(void)
{
    test_init();
    enum { WORKERS = 40 };
    int unused[WORKERS] = {0}, before = open_descriptors();
    struct seen seen[WORKERS];
    memset(seen, 0, sizeof seen);
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = WORKERS));
    ck_assert_msg(pool != NULL && kin_map(pool, look, unused, seen, WORKERS) == 0, "%s", kin_error_message());
    ck_assert_int_le(open_descriptors(), before + WORKERS + 8);
    kin_pool_free(pool);
}

/* A library with threads that a forked worker finds loaded has read its environment long ago. */
static int (*omp_get_max_threads)(void);

static int ask_openmp(kin_task *task, const int *unused, int *threads)
{
    (void)task;
    (void)unused;
    *threads = omp_get_max_threads();
    return 0;
}

static void loaded_openmp_is_told(void)
{
    void *library = dlopen("libgomp.so.1", RTLD_LAZY | RTLD_LOCAL);
    if (!library)
        test_skip("libgomp is not installed");
    *(void **)&omp_get_max_threads = dlsym(library, "omp_get_max_threads");
    void (*omp_set_num_threads)(int);
    *(void **)&omp_set_num_threads = dlsym(library, "omp_set_num_threads");
    omp_set_num_threads(9);
    test_init();
    int unused = 0, threads = 0;
    for (int wanted = 1; wanted <= 3; wanted++) {
        kin_pool *pool =
            kin_pool_new(KIN_POOL_OPTIONS(.workers = 1, .threads = wanted, .start_method = KIN_START_FORK));
        ck_assert_msg(kin_map(pool, ask_openmp, &unused, &threads, 1) == 0, "%s", kin_error_message());
        ck_assert_int_eq(threads, wanted);
        kin_pool_free(pool);
    }
    ck_assert_int_eq(omp_get_max_threads(), 9);
}

static const struct test tests[] = {
    {"cpus_are_those_of_the_affinity", cpus_are_those_of_the_affinity, 10, TEST_NOT_VALGRIND},
    {"cpus_are_bounded_by_the_cgroups_quota", cpus_are_bounded_by_the_cgroups_quota, 5, 0},
    {"compact_fills_cores_then_caches_then_packages", compact_fills_cores_then_caches_then_packages, 5, 0},
    {"spread_goes_to_other_packages_first", spread_goes_to_other_packages_first, 5, 0},
    {"more_threads_than_cpus_go_round", more_threads_than_cpus_go_round, 5, 0},
    {"machine_that_tells_nothing_is_taken_in_order", machine_that_tells_nothing_is_taken_in_order, 5, 0},
    {"threads_are_the_workers_share", threads_are_the_workers_share, 20, TEST_EACH_METHOD},
    {"what_is_less_already_stays", what_is_less_already_stays, 20, TEST_EACH_METHOD},
    {"pools_in_tasks_share_the_budget", pools_in_tasks_share_the_budget, 20, TEST_EACH_METHOD},
    {"workers_run_where_they_are_pinned", workers_run_where_they_are_pinned, 30, TEST_EACH_METHOD},
    {"replaced_worker_is_pinned_as_the_one_before", replaced_worker_is_pinned_as_the_one_before, 20,
     TEST_EACH_METHOD},
    {"what_cannot_be_is_refused", what_cannot_be_is_refused, 20, TEST_NOT_VALGRIND},
    {"each_worker_costs_its_maker_one_descriptor", each_worker_costs_its_maker_one_descriptor, 20,
     TEST_NOT_VALGRIND},
    {"loaded_openmp_is_told", loaded_openmp_is_told, 20,
     TEST_NOT_VALGRIND | TEST_KEEPS_DESCRIPTORS}, /* libgomp's */
};
TEST_MAIN("placement", tests)
