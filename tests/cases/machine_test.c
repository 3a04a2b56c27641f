/* machine_test.c - machines that are not as usual: nothing may be written, there is no /dev/shm, little memory for the
 * cgroup, core dumps are on. */
#include "cases/common.h"

#include "family/region.h"
#include "kin.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define MIB ((size_t)1 << 20)

static int use_the_heap(void *arg)
{
    unsigned char *block = kin_calloc(1, MIB);
    child_assert(block && block[MIB - 1] == 0);
    kin_free(block);
    return arg != NULL;
}

static int twice(kin_task *task, const int *in, int *out)
{
    (void)task;
    *out = 2 * *in;
    return 0;
}

static void everything_works(void)
{
    test_init();
    kin_process *two[] = {start(use_the_heap, NULL, 0), start(use_the_heap, NULL, 0)};
    exits_with(two[0], 0);
    exits_with(two[1], 0);
    int in[100], out[100];
    for (int i = 0; i < 100; i++)
        in[i] = i;
    kin_pool *pool = kin_pool_new(NULL);
    ck_assert_msg(pool != NULL, "%s", kin_error_message());
    ck_assert_msg(kin_map(pool, twice, in, out, 100) == 0, "%s", kin_error_message());
    ck_assert_int_eq(out[99], 198);
    kin_pool_free(pool);
}

/* ---- file systems ---- */

static void own_mounts(void)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        test_skip("no mount namespace may be made here");
}

static bool can_write(const char *directory)
{
    char path[100];
    snprintf(path, sizeof path, "%s/kin-case-%d", directory, (int)getpid());
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd >= 0) {
        close(fd);
        unlink(path);
    }
    return fd >= 0;
}

static void nothing_can_be_written(void)
{
    own_mounts();
    const char *const places[] = {"/", "/tmp", "/var/tmp", "/dev/shm", "/run"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        mount(places[i], places[i], NULL, MS_BIND | MS_REC, NULL); /* what is no mount yet becomes one */
        mount(NULL, places[i], NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL);
    }
    if (chdir("/") != 0 || can_write(".") || can_write("/tmp") || can_write("/dev/shm"))
        test_skip("/ cannot be made read-only here");
    everything_works();
}

static void there_is_no_dev_shm(void)
{
    own_mounts();
    while (umount2("/dev/shm", MNT_DETACH) == 0)
        continue;
    mount("none", "/dev", "tmpfs", 0, "size=64k"); /* with only what a program must have */
    if (mknod("/dev/null", S_IFCHR | 0666, makedev(1, 3)) != 0 || access("/dev/shm", F_OK) == 0)
        test_skip("/dev/shm cannot be taken away here");
    everything_works();
}

static void there_is_no_dev_null(void)
{
    own_mounts();
    mount("none", "/dev", "tmpfs", 0, "size=64k");
    if (access("/dev/null", F_OK) == 0)
        test_skip("/dev cannot be emptied here");
    test_init();
    exits_with(start(use_the_heap, NULL, 0), 0);
}

/* ---- a small memory cgroup ---- */

/* The directory of this process's own memory cgroup. */
static bool own_cgroup(char *out, size_t size)
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    char line[300];
    bool found = false;
    while (file && !found && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *path = strstr(line, ":memory:");
        if (path)
            snprintf(out, size, "/sys/fs/cgroup/memory%s", path + 8);
        else if (strncmp(line, "0::", 3) == 0)
            snprintf(out, size, "/sys/fs/cgroup%s", line + 3);
        else
            continue;
        char probe[400];
        snprintf(probe, sizeof probe, "%.350s/%s", out, path ? "memory.limit_in_bytes" : "memory.max");
        found = access(probe, W_OK) == 0;
    }
    if (file)
        fclose(file);
    return found;
}

static bool put(const char *directory, const char *name, const char *text)
{
    char path[500];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool good = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    close(fd);
    return good;
}

/* Take what there is, and touch it: the end is an error, and nobody is killed. Half of 128 MiB is what is promised. */
static void fill_the_heap(void)
{
    test_init();
    size_t got = 0;
    for (char *block; (block = kin_malloc(4 * MIB)); got += 4 * MIB)
        memset(block, 1, 4 * MIB);
    ck_assert(kin_error_code() == KIN_ENOMEM || kin_error_code() == KIN_EMEMLIMIT);
    ck_assert_uint_ge(got, 30 * MIB);
    ck_assert_uint_le(got, 70 * MIB);
    exits_with(start(use_the_heap, NULL, 0), 0);
}

static void in_a_small_cgroup_memory_ends_by_an_error(void)
{
    char above[360], inside[420], pid[16];
    if (!own_cgroup(above, sizeof above))
        test_skip("there is no memory cgroup");
    snprintf(inside, sizeof inside, "%s/kin-case-%d", above, (int)getpid());
    if (mkdir(inside, 0700) != 0)
        test_skip("cgroups cannot be made here");
    bool limited =
        put(inside, "memory.max", "134217728") || put(inside, "memory.limit_in_bytes", "134217728");
    int status = 0;
    pid_t child = limited ? fork() : 0;
    if (limited && child == 0) {
        snprintf(pid, sizeof pid, "%d", (int)getpid());
        if (!put(inside, "cgroup.procs", pid))
            _exit(100);
        fill_the_heap();
        exit(0);
    }
    if (limited)
        waitpid(child, &status, 0);
    for (int i = 0; i < 100 && rmdir(inside) != 0; i++)
        usleep(10000);
    if (!limited || status == 100 << 8)
        test_skip("memory cannot be limited by a cgroup here");
    ck_assert_int_eq(status, 0);
}

/* Of caller and workers, the kernel is to kill a worker: it is replaced. */
static int read_score(void)
{
    int score = -9999;
    FILE *file = fopen("/proc/self/oom_score_adj", "re");
    if (file && fscanf(file, "%d", &score) != 1)
        score = -9999;
    if (file)
        fclose(file);
    return score;
}

static int tell_score(kin_task *task, const int *in, int *out)
{
    (void)task;
    (void)in;
    *out = read_score();
    return 0;
}

static void workers_are_killed_before_their_caller(void)
{
    test_init();
    int in[10] = {0}, out[10], own = read_score();
    kin_pool *pool = kin_pool_new(NULL);
    ck_assert_msg(kin_map(pool, tell_score, in, out, 10) == 0, "%s", kin_error_message());
    kin_pool_free(pool);
    ck_assert_int_ge(own, -1000);
    for (int i = 0; i < 10; i++)
        ck_assert_int_gt(out[i], own < 1000 ? own : 999);
    ck_assert_int_eq(read_score(), own);
}

/* ---- core dumps ---- */

static void only_here(char *directory)
{
    char pattern[200] = "";
    FILE *file = fopen("/proc/sys/kernel/core_pattern", "re");
    if (!file || !fgets(pattern, sizeof pattern, file) || strchr("|/", pattern[0]))
        test_skip("core dumps do not go to the current directory here (core_pattern)");
    fclose(file);
    ck_assert_ptr_nonnull(mkdtemp(directory));
    ck_assert_int_eq(chdir(directory), 0);
    struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    if (setrlimit(RLIMIT_CORE, &all) != 0)
        test_skip("core dumps cannot be allowed here");
}

static int crash(void *arg)
{
    volatile int *nowhere = arg;
    return *nowhere; // cppcheck-suppress nullPointer
}

/* Bytes on the disk of all files here, which are removed; the number of files. */
static int sizes_here(size_t *bytes)
{
    DIR *here = opendir(".");
    ck_assert_ptr_nonnull(here);
    struct stat about;
    int count = 0;
    *bytes = 0;
    for (struct dirent *entry; (entry = readdir(here));)
        if (entry->d_name[0] != '.' && stat(entry->d_name, &about) == 0) {
            *bytes += (size_t)about.st_blocks * 512;
            ck_assert_uint_le((size_t)about.st_size, 1000 * MIB); /* of the map it would be 1 TiB */
            unlink(entry->d_name);
            count++;
        }
    closedir(here);
    return count;
}

static size_t shared_memory(void)
{
    struct stat about;
    ck_assert_int_eq(fstat(kin__region_fd, &about), 0);
    return (size_t)about.st_blocks * 512;
}

/* Neither the holes of the region, which the dump would fill, nor what is in it: 64 MiB of data here. */
static void core_dumps_leave_the_region_out(void)
{
    char directory[] = "/tmp/kin-core-XXXXXX";
    test_init();
    only_here(directory);
    test_surroundings_changed();
    memset(kin_malloc(64 * MIB), 1, 64 * MIB);
    size_t before = shared_memory(), bytes;
    kin_process *process = start(crash, NULL, 0);
    kin_end end = finish(process);
    ck_assert_int_eq(end.signal, SIGSEGV);
    int files = sizes_here(&bytes);
    ck_assert(chdir("/") == 0 && rmdir(directory) == 0);
    ck_assert(end.core_dumped);
    ck_assert_int_eq(files, 1);
    ck_assert_uint_le(bytes, 32 * MIB);
    ck_assert_uint_le(shared_memory(), before + 4 * MIB); /* what the process itself was made of */
}

static const struct test tests[] = {
    {"nothing_can_be_written", nothing_can_be_written, 20, TEST_EACH_METHOD},
    {"there_is_no_dev_shm", there_is_no_dev_shm, 20, TEST_EACH_METHOD},
    {"there_is_no_dev_null", there_is_no_dev_null, 20, TEST_NOT_VALGRIND},
    /* AddressSanitizer's own memory is more than there is. */
    {"in_a_small_cgroup_memory_ends_by_an_error", in_a_small_cgroup_memory_ends_by_an_error, 30,
     TEST_EACH_METHOD | TEST_NOT_ASAN},
    {"workers_are_killed_before_their_caller", workers_are_killed_before_their_caller, 20, TEST_EACH_METHOD},
    /* AddressSanitizer forbids core dumps. */
    {"core_dumps_leave_the_region_out", core_dumps_leave_the_region_out, 30,
     TEST_EACH_METHOD | TEST_NOT_ASAN},
};
TEST_MAIN("cases_machine", tests)
