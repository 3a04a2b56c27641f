/* shared_memory_test.c - kin/shared_memory.h, beside Debian's Python. What CPython's _TestSharedMemory tests is marked so. */
#include "sync_common.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define PYTHON "/usr/bin/python3"

static kin_shared_memory *make(const char *name, size_t bytes)
{
    kin_shared_memory *memory = kin_shared_memory_create(name, bytes, NULL);
    ck_assert_msg(memory != NULL, "%s", kin_error_message());
    return memory;
}

static kin_shared_memory *attach(const char *name)
{
    kin_shared_memory *memory = kin_shared_memory_attach(name);
    ck_assert_msg(memory != NULL, "%s", kin_error_message());
    return memory;
}

static void is_gone(const char *name)
{
    ck_assert_ptr_null(kin_shared_memory_attach(name));
    ck_assert_int_eq(kin_error_code(), KIN_ENOTFOUND);
}

/* test_shared_memory_basics */
static void name_is_made_attached_to_and_unlinked(void)
{
    kin_shared_memory *memory = make("basics", 513);
    ck_assert_str_eq(kin_shared_memory_name(memory), "basics");
    ck_assert_uint_eq(kin_shared_memory_size(memory), 513);
    ck_assert(kin_shared_memory_is_new(memory));
    char *bytes = kin_shared_memory_buf(memory);
    for (int i = 0; i < 513; i++)
        ck_assert_int_eq(bytes[i], 0);
    bytes[0] = 42;
    kin_shared_memory *also = attach("/basics");
    ck_assert_int_eq(*(char *)kin_shared_memory_buf(also), 42);
    ck_assert_uint_eq(kin_shared_memory_size(also), 513);
    kin_shared_memory_close(also);
    ck_assert_ptr_null(kin_shared_memory_create("basics", 513, NULL));
    ck_assert_int_eq(kin_error_code(), KIN_EBUSY);
    also = kin_shared_memory_create("basics", 20 * 513, KIN_SHARED_MEMORY_OPTIONS(.attach = true));
    ck_assert_uint_eq(kin_shared_memory_size(also), 513);
    ck_assert(!kin_shared_memory_is_new(also));
    kin_shared_memory_close(also);
    is_gone("not there");
    ck_assert_int_eq(kin_shared_memory_unlink("basics"), 0);
    ck_assert_int_eq(kin_shared_memory_unlink("basics"), KIN_ENOTFOUND);
    bytes[512] = 1; /* the name is gone, the memory is not */
    kin_shared_memory_close(memory);
}

/* test_shared_memory_recreate */
static void made_up_names_differ(void)
{
    kin_shared_memory *memory[50];
    for (int i = 0; i < 50; i++) {
        memory[i] = kin_shared_memory_create(NULL, 1, NULL);
        ck_assert_ptr_nonnull(memory[i]);
        for (int k = 0; k < i; k++)
            ck_assert_str_ne(kin_shared_memory_name(memory[i]), kin_shared_memory_name(memory[k]));
    }
    for (int i = 0; i < 50; i++) {
        ck_assert_int_eq(kin_shared_memory_unlink(kin_shared_memory_name(memory[i])), 0);
        kin_shared_memory_close(memory[i]);
    }
}

/* test_invalid_shared_memory_cration */
static void what_cannot_be_made_is_told(void)
{
    static const char *const names[] = {"", "/", "a/b", ".", ".."};
    ck_assert_ptr_null(kin_shared_memory_create("none", 0, NULL));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    ck_assert_ptr_null(kin_shared_memory_create("none", (size_t)-1, NULL));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    ck_assert_ptr_null(kin_shared_memory_attach(NULL));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        ck_assert_ptr_null(kin_shared_memory_create(names[i], 1, NULL));
        ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    }
    char name[300];
    memset(name, 'x', sizeof name);
    name[255] = '\0';
    ck_assert_ptr_null(kin_shared_memory_create(name, 1, NULL));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    name[254] = '\0';
    kin_shared_memory_close(make(name, 1));
    ck_assert_int_eq(kin_shared_memory_unlink(name), 0);
    ck_assert_ptr_null(kin_shared_memory_create("large", (size_t)1 << 60, NULL));
    ck_assert_int_eq(kin_error_code(), KIN_ENOMEM);
}

/* test_shared_memory_pickle_unpickle */
static void handles_of_one_name_are_one_memory(void)
{
    kin_shared_memory *one = make("one", 512), *other = attach(kin_shared_memory_name(one));
    char *here = kin_shared_memory_buf(one), *there = kin_shared_memory_buf(other);
    memcpy(here, "pickle", 7);
    ck_assert_mem_eq(there, "pickle", 6);
    memcpy(there, "oldval", 7);
    ck_assert_mem_eq(here, "oldval", 6);
    kin_shared_memory_close(one);
    kin_shared_memory_close(other);
    ck_assert_int_eq(kin_shared_memory_unlink("one"), 0);
}

/* test_shared_memory_pickle_unpickle_dead_object */
static void unlinked_name_is_attached_to_no_more(void)
{
    kin_shared_memory *memory = make("dead", 512);
    kin_shared_memory_close(memory);
    ck_assert_int_eq(kin_shared_memory_unlink("dead"), 0);
    is_gone("dead");
}

static int write_howdy(void *arg)
{
    kin_shared_memory *memory = kin_shared_memory_attach(arg);
    child_assert(memory);
    memcpy(kin_shared_memory_buf(memory), "howdy", 5);
    kin_shared_memory_close(memory);
    return 0;
}

/* test_shared_memory_across_processes */
static void child_attaches_by_name(void)
{
    test_init();
    kin_shared_memory *memory = make("across", 512);
    kin_process *process =
        kin_process_start(write_howdy, "across", 7, KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    join(process);
    ck_assert_mem_eq(kin_shared_memory_buf(memory), "howdy", 5);
    ck_assert_int_eq(kin_shared_memory_unlink("across"), 0);
    kin_shared_memory_close(memory);
}

/* ---- who has died ---------------------------------------------------------------------------- */

static int make_and_stay(void *arg)
{
    struct world *world = arg;
    char name[32];
    for (int i = 0; i < 5; i++) {
        snprintf(name, sizeof name, "left-%d", i);
        child_assert(kin_shared_memory_create(name, (size_t)32 << i, NULL));
    }
    atomic_store(&world->step, 1);
    pause();
    return 0;
}

/* test_shared_memory_SharedMemoryManager_basics, where a manager's end takes its names away */
static void names_of_the_dead_are_swept(void)
{
    struct world *world = new_world();
    kin_process *process = start(make_and_stay, world);
    size_t swept = 9;
    await(&world->step, 1);
    kin_shared_memory *mine = attach("left-3");
    ck_assert_int_eq(kin_shared_memory_sweep(&swept), 0);
    ck_assert_uint_eq(swept, 0);
    ck_assert_int_eq(kin_process_kill(process), 0);
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    kin_process_free(process);
    kin_shared_memory *again = make("left-1", 7); /* takes the name at once */
    ck_assert_int_eq(kin_shared_memory_sweep(&swept), 0);
    ck_assert_uint_eq(swept, 3);
    is_gone("left-0");
    kin_shared_memory_close(attach("left-3"));
    ck_assert_int_eq(kin_shared_memory_unlink("left-1"), 0);
    ck_assert_int_eq(kin_shared_memory_unlink("left-3"), 0);
    kin_shared_memory_close(mine);
    kin_shared_memory_close(again);
    kin_free(world);
}

static void kill_and_reap(pid_t pid)
{
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

/* A process that does something, tells so through the pipe, and stays. */
static pid_t child_that(void (*act)(void))
{
    int ends[2];
    char byte;
    ck_assert_int_eq(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        act();
        if (write(ends[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(ends[1]);
    ck_assert_int_eq(read(ends[0], &byte, 1), 1);
    close(ends[0]);
    return pid;
}

static void make_two(void)
{
    child_assert(kin_shared_memory_create("ended", 10, NULL));
    child_assert(kin_shared_memory_create("kept", 10, KIN_SHARED_MEMORY_OPTIONS(.keep = true)));
}

/* test_shared_memory_cleaned_after_process_termination */
static void next_program_sweeps_what_the_killed_left(void)
{
    pid_t pid = child_that(make_two);
    kill_and_reap(pid);
    ck_assert_int_eq(access("/dev/shm/ended", F_OK), 0);
    test_init();
    ck_assert_int_ne(access("/dev/shm/ended", F_OK), 0);
    ck_assert_int_eq(kin_shared_memory_unlink("kept"), 0);
}

/* As a program without kin does it: the descriptor is closed, the map stays. */
static void map_plainly(void)
{
    int fd = shm_open("/strange", O_RDWR, 0);
    child_assert(fd >= 0);
    child_assert(mmap(NULL, 10, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED);
    close(fd);
}

static void name_that_a_stranger_uses_is_not_swept(void)
{
    size_t swept = 9;
    kin_shared_memory *memory = make("strange", 10);
    pid_t pid = child_that(map_plainly); /* it has our handle, too */
    kill_and_reap(pid);
    kin_shared_memory_close(memory);
    pid = child_that(map_plainly);
    ck_assert_int_eq(kin_shared_memory_sweep(&swept), 0);
    ck_assert_uint_eq(swept, 0);
    ck_assert_ptr_null(kin_shared_memory_create("strange", 10, NULL));
    ck_assert_int_eq(kin_error_code(), KIN_EBUSY);
    kill_and_reap(pid);
    ck_assert_int_eq(kin_shared_memory_sweep(&swept), 0);
    ck_assert_uint_eq(swept, 1);
}

static void file_that_kin_did_not_make_is_not_swept(void)
{
    size_t swept = 9;
    int fd = open("/dev/shm/other", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
    ck_assert_int_eq(kin_shared_memory_sweep(&swept), 0);
    ck_assert_uint_eq(swept, 0);
    ck_assert_ptr_null(kin_shared_memory_attach("other"));
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "it has 0 bytes"));
    ck_assert_int_eq(kin_shared_memory_unlink("other"), 0);
}

/* ---- odd machines ---------------------------------------------------------------------------- */

static void in_a_namespace_of_its_own(void (*act)(void))
{
    pid_t pid = fork();
    int status = 0;
    if (pid == 0) {
        if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, "") < 0)
            _exit(77);
        act();
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        test_skip("this user may not mount");
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
}

static void fill_a_small_one(void)
{
    child_assert(mount("small", "/dev/shm", "tmpfs", 0, "size=1m") == 0);
    child_assert(!kin_shared_memory_create("full", 2 << 20, NULL));
    child_assert(kin_error_code() == KIN_ENOMEM && strstr(kin_error_message(), "/dev/shm has"));
    child_assert(access("/dev/shm/full", F_OK) < 0);
    int fd = open("/dev/shm/holes", O_RDWR | O_CREAT | O_CLOEXEC, 0600); /* as Python makes them */
    child_assert(fd >= 0 && ftruncate(fd, 2 << 20) == 0);
    child_assert(!kin_shared_memory_attach("holes") && kin_error_code() == KIN_ENOMEM);
    child_assert(ftruncate(fd, 100000) == 0);
    kin_shared_memory *memory = kin_shared_memory_attach("holes");
    child_assert(memory && kin_shared_memory_size(memory) == 100000);
    memset(kin_shared_memory_buf(memory), 1, 100000);
}

static void full_is_an_error(void)
{
    in_a_namespace_of_its_own(fill_a_small_one);
}

static void take_it_away(void)
{
    child_assert(mount("empty", "/dev", "tmpfs", 0, "") == 0);
    child_assert(!kin_shared_memory_create("none", 1, NULL) && kin_error_code() == KIN_ESYSTEM);
    child_assert(strstr(kin_error_message(), "there is no /dev/shm"));
    child_assert(kin_shared_memory_sweep(NULL) == 0);
}

static void missing_directory_is_told(void)
{
    in_a_namespace_of_its_own(take_it_away);
}

static void do_without_proc(void)
{
    child_assert(mount("empty", "/proc", "tmpfs", 0, "") == 0);
    kin_shared_memory *memory = kin_shared_memory_create("plain", 100, NULL);
    child_assert(memory);
    child_assert(!kin_shared_memory_create("plain", 100, NULL) && kin_error_code() == KIN_EBUSY);
    child_assert(kin_shared_memory_unlink("plain") == 0);
    kin_shared_memory_close(memory);
}

static void without_proc_it_works_too(void)
{
    in_a_namespace_of_its_own(do_without_proc);
}

/* ---- Python ---------------------------------------------------------------------------------- */

static void python(const char *program)
{
    char command[2000];
    snprintf(command, sizeof command,
             PYTHON " -c 'from multiprocessing import shared_memory, resource_tracker\n%s'", program);
    ck_assert_int_eq(system(command), 0);
}

static void python_and_kin_attach_to_each_others(void)
{
    if (access(PYTHON, X_OK) != 0)
        test_skip("there is no " PYTHON);
    kin_shared_memory *memory = make("ours", 100);
    memcpy(kin_shared_memory_buf(memory), "from kin", 8);
    python("m = shared_memory.SharedMemory(\"ours\")\n"
           "resource_tracker.unregister(\"/ours\", \"shared_memory\")\n"
           "assert m.size == 100 and bytes(m.buf[:8]) == b\"from kin\"\n"
           "m.buf[:8] = b\"from py.\"\n"
           "m.close()\n");
    ck_assert_mem_eq(kin_shared_memory_buf(memory), "from py.", 8);
    kin_shared_memory_close(attach("ours")); /* it is still there */
    ck_assert_int_eq(kin_shared_memory_unlink("ours"), 0);
    kin_shared_memory_close(memory);

    python("m = shared_memory.SharedMemory(\"theirs\", create=True, size=70)\n"
           "resource_tracker.unregister(\"/theirs\", \"shared_memory\")\n"
           "m.buf[:5] = b\"hello\"\n"
           "m.close()\n");
    size_t swept = 9;
    ck_assert_int_eq(kin_shared_memory_sweep(&swept), 0);
    ck_assert_uint_eq(swept, 0);
    memory = attach("theirs");
    ck_assert_uint_eq(kin_shared_memory_size(memory), 70);
    ck_assert_mem_eq(kin_shared_memory_buf(memory), "hello", 5);
    python("m = shared_memory.SharedMemory(\"theirs\")\n"
           "m.unlink()\n"
           "m.close()\n");
    is_gone("theirs");
    kin_shared_memory_close(memory);
}

/* ---- many at once ---------------------------------------------------------------------------- */

struct race {
    _Atomic uint32_t round, won, done;
};

static void make_it_dead(void)
{
    child_assert(kin_shared_memory_create("raced", 64, NULL));
}

static void one_of_many_gets_a_dead_name(void)
{
    struct race *race = mmap(NULL, sizeof *race, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (uint32_t round = 1; round <= (test_long() ? 200 : 20); round++) {
        kill_and_reap(child_that(make_it_dead));
        atomic_store(&race->won, 0);
        atomic_store(&race->done, 0);
        pid_t pids[4];
        for (int i = 0; i < 4; i++)
            if ((pids[i] = fork()) == 0) {
                await(&race->round, round);
                kin_shared_memory *memory = kin_shared_memory_create("raced", 64, NULL);
                child_assert(memory || kin_error_code() == KIN_EBUSY);
                atomic_fetch_add(&race->won, memory != NULL);
                atomic_fetch_add(&race->done, 1);
                await(&race->done, 4); /* it has users until all have tried */
                _exit(0);
            }
        atomic_store(&race->round, round);
        for (int i = 0; i < 4; i++) {
            int status;
            ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
            ck_assert_int_eq(status, 0);
        }
        ck_assert_uint_eq(atomic_load(&race->won), 1);
        size_t swept;
        ck_assert_int_eq(kin_shared_memory_sweep(&swept), 0);
        ck_assert_uint_eq(swept, 1);
    }
    munmap(race, sizeof *race);
}

/* Everything on four names, for ever. What is attached to is whole. */
static void do_anything(unsigned seed)
{
    kin_shared_memory *mine[4] = {NULL};
    char name[16];
    for (;;) {
        int i = rand_r(&seed) % 4;
        snprintf(name, sizeof name, "storm-%d", i);
        size_t size = 4096u * (unsigned)(i + 1) + 1;
        switch (rand_r(&seed) % 6) {
        case 0:
        case 1:
            if (!mine[i] && (mine[i] = kin_shared_memory_create(name, size, NULL)))
                *(int *)kin_shared_memory_buf(mine[i]) = i;
            child_assert(mine[i] || kin_error_code() == KIN_EBUSY);
            break;
        case 2:
            if (!mine[i] && (mine[i] = kin_shared_memory_attach(name)))
                child_assert(kin_shared_memory_size(mine[i]) == size);
            child_assert(mine[i] || kin_error_code() == KIN_ENOTFOUND);
            break;
        case 3:
            if (mine[i])
                ((volatile char *)kin_shared_memory_buf(mine[i]))[size - 1] = 1;
            kin_shared_memory_close(mine[i]);
            mine[i] = NULL;
            break;
        case 4:
            if (rand_r(&seed) % 4 == 0) {
                int error = kin_shared_memory_unlink(name);
                child_assert(error == 0 || error == KIN_ENOTFOUND);
            }
            break;
        default:
            kin_shared_memory_sweep(NULL);
        }
    }
}

static pid_t start_one(unsigned seed)
{
    pid_t pid = fork();
    if (pid == 0)
        do_anything(seed);
    return pid;
}

static void whoever_is_killed_nothing_in_use_is_taken_and_nothing_stays(void)
{
    kin_shared_memory *held = make("held", 100);
    pid_t pids[4];
    unsigned seed = (unsigned)getpid();
    for (int i = 0; i < 4; i++)
        pids[i] = start_one(seed++);
    for (int kills = test_long() ? 3000 : 200; kills > 0; kills--) {
        usleep((useconds_t)(rand_r(&seed) % 3000));
        int i = kills % 4, status;
        kill(pids[i], SIGKILL);
        ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
        ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "status %x", (unsigned)status);
        pids[i] = start_one(seed++);
        ck_assert_int_eq(access("/dev/shm/held", F_OK), 0);
    }
    for (int i = 0; i < 4; i++)
        kill_and_reap(pids[i]);
    kin_shared_memory_close(held);                      /* children had it, too */
    ck_assert_int_eq(kin_shared_memory_sweep(NULL), 0); /* and what is left, the harness tells */
    is_gone("held");
}

static const struct test tests[] = {
    {"name_is_made_attached_to_and_unlinked", name_is_made_attached_to_and_unlinked, 5, 0},
    {"made_up_names_differ", made_up_names_differ, 5, 0},
    {"what_cannot_be_made_is_told", what_cannot_be_made_is_told, 5, 0},
    {"handles_of_one_name_are_one_memory", handles_of_one_name_are_one_memory, 5, 0},
    {"unlinked_name_is_attached_to_no_more", unlinked_name_is_attached_to_no_more, 5, 0},
    {"child_attaches_by_name", child_attaches_by_name, 10, TEST_EACH_METHOD},
    {"names_of_the_dead_are_swept", names_of_the_dead_are_swept, 10, TEST_EACH_METHOD},
    {"next_program_sweeps_what_the_killed_left", next_program_sweeps_what_the_killed_left, 10, 0},
    {"name_that_a_stranger_uses_is_not_swept", name_that_a_stranger_uses_is_not_swept, 10, 0},
    {"file_that_kin_did_not_make_is_not_swept", file_that_kin_did_not_make_is_not_swept, 10, 0},
    {"full_is_an_error", full_is_an_error, 10, 0},
    {"missing_directory_is_told", missing_directory_is_told, 10, 0},
    {"without_proc_it_works_too", without_proc_it_works_too, 10, 0},
    {"python_and_kin_attach_to_each_others", python_and_kin_attach_to_each_others, 30, 0},
    {"one_of_many_gets_a_dead_name", one_of_many_gets_a_dead_name, 120, 0},
    {"whoever_is_killed_nothing_in_use_is_taken_and_nothing_stays",
     whoever_is_killed_nothing_in_use_is_taken_and_nothing_stays, 300, 0},
};
TEST_MAIN("shared_memory", tests)
