/* ends_test.c - how a process ended: kin_process_end, kin_process_error, kin_end_text. */
#include "ends_common.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "family/region.h"
#include "family/units.h"

/* ---- what an address points at --------------------------------------------------------------------- */

KEPT NOT_LOOKED_AT static int scribble(volatile int *where)
{
    *where = 1;
    return *where;
}

static void null_pointer_is_told(void)
{
    test_init();
    struct story story;
    int *where = NULL;
    tell(touch_it, &where, sizeof where, &story);
    says(&story, SIGSEGV, KIN_FAULT_NULL, "at 0x0: a null pointer");
    where += 4;
    tell(touch_it, &where, sizeof where, &story);
    says(&story, SIGSEGV, KIN_FAULT_NULL, "at 0x10: a null pointer");
    ck_assert_ptr_eq(story.end.fault_address, where);
}

static void unmapped_and_impossible_addresses_are_told(void)
{
    test_init();
    struct story story;
    uintptr_t where = 0x123456789000;
    tell(touch_it, &where, sizeof where, &story);
    says(&story, SIGSEGV, KIN_FAULT_UNMAPPED, "at 0x123456789000: nothing is mapped there");
#ifdef __x86_64__
    where = 0x8234567890000000;
    tell(touch_it, &where, sizeof where, &story);
    says(&story, SIGSEGV, KIN_FAULT_IMPOSSIBLE, "an address that cannot be");
#endif
}

static int touch_own(void *arg)
{
    static const int constant = 1;
    int protection = *(int *)arg;
    if (protection == PROT_READ)
        return scribble((int *)(uintptr_t)&constant);
    void *page = mmap(NULL, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (protection == PROT_NONE)
        return touch(page);
    int (*function)(void) = (int (*)(void))page;
    return function() + 1;
}

static void own_memory_that_is_protected_is_told(void)
{
    test_init();
    struct story story;
    int protection = PROT_READ;
    tell(touch_own, &protection, sizeof protection, &story);
    says(&story, SIGSEGV, KIN_FAULT_READ_ONLY, "memory that may be read only (ends_test)");
    protection = PROT_NONE;
    tell(touch_own, &protection, sizeof protection, &story);
    says(&story, SIGSEGV, KIN_FAULT_NO_ACCESS, "memory that it has no access to");
    protection = PROT_READ | PROT_WRITE; /* a jump to what is no code */
    tell(touch_own, &protection, sizeof protection, &story);
    says(&story, SIGSEGV, KIN_FAULT_NO_ACCESS, "memory that it has no access to");
    names(&story, "touch_own");
}

static int touch_beyond_a_file(void *arg)
{
    (void)arg;
    char path[] = "/tmp/kin-ends-XXXXXX";
    int fd = mkstemp(path);
    unlink(path);
    return touch(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0)) + 1;
}

static void a_file_that_is_too_short_is_told(void)
{
    test_init();
    struct story story;
    tell(touch_beyond_a_file, NULL, 0, &story);
    says(&story, SIGBUS, KIN_FAULT_NO_PAGE, "no memory behind it (kin-ends-");
}

/* ---- memory of others ---- */

static void private_memory_of_the_parent_is_told(void)
{
    test_init();
    struct story story;
    int *_Atomic *where = kin_calloc(1, sizeof *where);
    kin_process *child = start_waiting(where);
    /* Made after the child was, so that it is not there. */
    atomic_store(where, mmap((void *)0x310000000000, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    finish(child, &story);
    char words[64];
    snprintf(words, sizeof words, "private memory of process %d", (int)getpid());
    says(&story, SIGSEGV, KIN_FAULT_PRIVATE, words);
    ck_assert_int_eq(story.end.fault_pid, (int)getpid());
    if (test_method() == KIN_START_SPAWN) {
        atomic_store(where, (int *)__builtin_frame_address(0));
        child = start_waiting(where);
        finish(child, &story);
        says(&story, SIGSEGV, KIN_FAULT_PRIVATE, "(its stack)");
    }
    kin_free((void *)where);
}

static int lend_private_memory(void *arg)
{
    int *_Atomic *where = arg;
    atomic_store(where, mmap((void *)0x320000000000, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    for (;;)
        pause();
    return 0;
}

static void private_memory_of_a_sibling_is_told(void)
{
    test_init();
    struct story story;
    int *_Atomic *where = kin_calloc(1, sizeof *where);
    kin_process *victim = start_waiting(where);
    kin_process *lender = kin_process_start_shared(lend_private_memory, (void *)where,
                                                   KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_ptr_nonnull(lender);
    finish(victim, &story);
    says(&story, SIGSEGV, KIN_FAULT_PRIVATE, "private memory of process");
    ck_assert_int_eq(story.end.fault_pid, kin_process_pid(lender));
    kin_process_free(lender);
    kin_free((void *)where);
}

/* ---- shared memory ---- */

struct shared {
    char *where;
    int protection;
};

static int protect_and_scribble(void *arg)
{
    const struct shared *shared = arg;
    char *page = (char *)((uintptr_t)shared->where & ~(uintptr_t)4095);
    child_assert(mprotect(page, 4096, shared->protection) == 0);
    return scribble((int *)(void *)page) + 1;
}

static void protected_shared_memory_is_told(void)
{
    test_init();
    struct story story;
    size_t large = (size_t)4 << 20;
    char *block = kin_malloc(large);
    ck_assert_ptr_nonnull(block);
    struct shared shared = {block + large / 2, PROT_READ};
    tell(protect_and_scribble, &shared, sizeof shared, &story);
    says(&story, SIGSEGV, KIN_FAULT_SEALED, "shared memory that it may not write");
    shared.protection = PROT_NONE;
    tell(protect_and_scribble, &shared, sizeof shared, &story);
    says(&story, SIGSEGV, KIN_FAULT_GUARD, "a guard of the shared memory");
    kin_free(block);
    tell(protect_and_scribble, &shared, sizeof shared, &story);
    says(&story, SIGSEGV, KIN_FAULT_FREE, "free memory of the heap");
    shared.where = kin__unit_address(kin__heap()->units - 1);
    tell(protect_and_scribble, &shared, sizeof shared, &story);
    says(&story, SIGSEGV, KIN_FAULT_UNUSED, "shared memory that is not in use");
}

/* ---- stacks ---- */

KEPT NOT_LOOKED_AT static int recurse(volatile int depth)
{
    volatile char room[2000];
    room[0] = (char)depth;
    return depth < 0 ? 0 : recurse(depth + 1) + room[0]; /* it never is */
}

KEPT NOT_LOOKED_AT static int huge_array(int at)
{
    volatile char room[64 << 20];
    room[at] = 1;
    return room[at] + at;
}

static int overflow(void *arg)
{
    return *(int *)arg ? huge_array(*(int *)arg) : recurse(0);
}

static void overflow_of_the_stack_is_told(void)
{
    test_init();
    struct story story;
    for (int at = 0; at < 100000; at += 50000) {
        tell(overflow, &at, sizeof at, &story);
        says(&story, SIGSEGV, KIN_FAULT_STACK, "beyond the end of its stack");
        names(&story, at ? "huge_array" : "recurse");
    }
}

static void *overflow_in_thread(void *arg)
{
    return recurse(0) ? arg : NULL;
}

static int overflow_elsewhere(void *arg)
{
    pthread_t thread;
    (void)arg;
    pthread_create(&thread, NULL, overflow_in_thread, NULL);
    pthread_join(thread, NULL);
    return 0;
}

/* As documented: there is no other stack for a handler. */
static void overflow_of_another_threads_stack_ends_the_process(void)
{
    test_init();
    struct story story;
    tell(overflow_elsewhere, NULL, 0, &story);
    says(&story, SIGSEGV, KIN_FAULT_NONE, "signal 11 (SIGSEGV)");
    ck_assert_str_eq(story.backtrace, "");
}

/* ---- other signals ---- */

KEPT NOT_LOOKED_AT static int divide(volatile int *by)
{
    return 1000 / *by; /* NOLINT(clang-analyzer-core.DivideZero): it is what is tested */
}

KEPT static int by_signal(void *arg)
{
    volatile int zero = 0;
    switch (*(int *)arg) {
    case SIGFPE:
        return divide(&zero) + 1;
    case SIGILL:
        __builtin_trap();
    case SIGABRT:
        abort();
    default:
        return raise(*(int *)arg) + 1;
    }
}

static void each_signal_is_told_with_who_raised_it(void)
{
    test_init();
    struct story story;
    static const int signals[] = {SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, SIGSEGV, SIGBUS};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        tell(by_signal, &signals[i], sizeof signals[i], &story);
        says(&story, signals[i], KIN_FAULT_NONE, "signal ");
        names(&story, "by_signal");
        ck_assert_ptr_nonnull(strstr(story.error.message, "in by_signal")
                                  ?: strstr(story.error.message, "in divide"));
        ck_assert_int_eq(story.end.sender, 0);
#ifdef __x86_64__
        if (signals[i] == SIGFPE)
            ck_assert_ptr_nonnull(strstr(story.text, "division by zero"));
#endif
    }
}

static void signals_that_are_no_crash_leave_no_backtrace(void)
{
    test_init();
    struct story story;
    static const int signals[] = {SIGKILL, SIGTERM, SIGUSR1};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        tell(by_signal, &signals[i], sizeof signals[i], &story);
        says(&story, signals[i], KIN_FAULT_NONE, "signal ");
        ck_assert_str_eq(story.backtrace, "");
        ck_assert(!story.end.out_of_memory);
    }
}

static int wait_for_ever(void *arg)
{
    atomic_store((_Atomic int *)arg, 1);
    for (;;)
        pause();
    return 0;
}

static void who_sent_a_crash_signal_is_told(void)
{
    test_init();
    struct story story;
    _Atomic int *ready = kin_calloc(1, sizeof *ready);
    kin_process *process = kin_process_start_shared(wait_for_ever, (void *)ready,
                                                    KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_ptr_nonnull(process);
    while (!atomic_load(ready))
        usleep(500);
    kill(kin_process_pid(process), SIGSEGV);
    finish(process, &story);
    char words[64];
    snprintf(words, sizeof words, "sent by process %d", (int)getpid());
    says(&story, SIGSEGV, KIN_FAULT_NONE, words);
    ck_assert_int_eq(story.end.sender, (int)getpid());
    names(&story, "wait_for_ever");
    kin_free((void *)ready);
}

/* ---- status, core, memory ---- */

static int return_its_argument(void *arg)
{
    return *(int *)arg;
}

static void every_exit_code_is_told_though_the_status_is_stolen(void)
{
    test_init();
    struct story story;
    for (int code = 0; code < 256; code++) {
        signal(SIGCHLD, code % 2 ? SIG_IGN : SIG_DFL);
        kin_process *process = start(return_its_argument, &code, sizeof code);
        if (code % 2 == 0)
            ck_assert_int_eq(waitpid(-1, NULL, 0), kin_process_pid(process));
        finish(process, &story);
        ck_assert_int_eq(story.end.how, KIN_END_EXITED);
        ck_assert_int_eq(story.end.exit_code, code);
    }
}

static void a_crash_is_told_though_the_status_is_stolen(void)
{
    test_init();
    struct story story;
    int *where = NULL;
    signal(SIGCHLD, SIG_IGN);
    tell(touch_it, &where, sizeof where, &story);
    says(&story, SIGSEGV, KIN_FAULT_NULL, "a null pointer");
    names(&story, "touch_it");
    signal(SIGCHLD, SIG_DFL);
    kin_process *process = start(touch_it, &where, sizeof where);
    ck_assert_int_eq(waitpid(-1, NULL, 0), kin_process_pid(process));
    finish(process, &story);
    says(&story, SIGSEGV, KIN_FAULT_NULL, "a null pointer");
    int number = SIGKILL;
    process = start(by_signal, &number, sizeof number);
    ck_assert_int_eq(waitpid(-1, NULL, 0), kin_process_pid(process));
    finish(process, &story);
    ck_assert_int_eq(story.end.how, KIN_END_UNKNOWN);
    ck_assert_str_eq(story.text, "unknown, reaped by the program");
}

static int abort_with_core(void *arg)
{
    child_assert(chdir(arg) == 0);
    struct rlimit most = {(rlim_t)64 << 20, (rlim_t)64 << 20};
    setrlimit(RLIMIT_CORE, &most); /* refused: no core, for nobody */
    abort();
}

static void remove_all(const char *directory)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    ck_assert_int_eq(system(command), 0);
}

/* As of a process without kin: where cores go is the machine's affair. */
static void the_core_dump_is_told_as_the_kernel_tells_it(void)
{
    test_init();
    struct story story;
    char directory[] = "/tmp/kin-ends-XXXXXX";
    int status;
    ck_assert_ptr_nonnull(mkdtemp(directory));
    pid_t pid = fork();
    if (pid == 0)
        abort_with_core(directory);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    tell(abort_with_core, directory, sizeof directory, &story);
    remove_all(directory);
    says(&story, SIGABRT, KIN_FAULT_NONE, WCOREDUMP(status) ? "(SIGABRT, core dumped)" : "(SIGABRT)");
    ck_assert_int_eq(story.end.core_dumped, WCOREDUMP(status) != 0);
    names(&story, "abort_with_core");
}

/* ---- out of memory ---- */

static bool put_text(const char *directory, const char *file, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", directory, file);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return done;
}

/* This process's memory cgroup (v1 or v2). */
static bool own_cgroup(char *out, size_t size)
{
    char line[300];
    bool found = false;
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file && !found && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *memory = strstr(line, ":memory:");
        if (memory)
            snprintf(out, size, "/sys/fs/cgroup/memory%s", memory + 8);
        else if (strncmp(line, "0::", 3) == 0)
            snprintf(out, size, "/sys/fs/cgroup%s", line + 3);
        found = memory ||
                (strncmp(line, "0::", 3) == 0 && access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0);
    }
    if (file)
        fclose(file);
    return found;
}

static int eat_memory(void *arg)
{
    size_t size = (size_t) * (int *)arg << 20;
    put_text("/proc/self", "oom_score_adj", "1000"); /* this one, not its parent */
    char *food = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    child_assert(food != MAP_FAILED);
    for (size_t at = 0; at < size; at += 4096)
        ((volatile char *)food)[at] = 1;
    return 0;
}

static void out_of_memory_is_told_only_if_the_cgroup_says_so(void)
{
    char above[400], inside[460], pid[16];
    if (!own_cgroup(above, sizeof above))
        test_skip("there is no memory cgroup");
    snprintf(inside, sizeof inside, "%s/kin-ends-%d", above, (int)getpid());
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    if (mkdir(inside, 0700) != 0)
        test_skip("cgroups cannot be made here");
    bool limited = (put_text(inside, "memory.max", "67108864") ||
                    put_text(inside, "memory.limit_in_bytes", "67108864")) &&
                   put_text(inside, "cgroup.procs", pid);
    struct story eaten, killed, again;
    int mib = 400, number = SIGKILL;
    if (limited) {
        test_init();
        tell(by_signal, &number, sizeof number, &killed);
        tell(eat_memory, &mib, sizeof mib, &eaten);
        tell(by_signal, &number, sizeof number, &again);
        put_text(above, "cgroup.procs", pid);
    }
    rmdir(inside);
    if (!limited)
        test_skip("memory cannot be limited by a cgroup here");
    says(&killed, SIGKILL, KIN_FAULT_NONE, "signal 9 (SIGKILL)");
    ck_assert(!killed.end.out_of_memory);
    says(&eaten, SIGKILL, KIN_FAULT_NONE, "signal 9 (SIGKILL), out of memory");
    ck_assert(eaten.end.out_of_memory);
    ck_assert(!again.end.out_of_memory);
}

/* Not under AddressSanitizer: it has other stacks, other cores (none), and needs more memory. */
static const struct test tests[] = {
    {"null_pointer_is_told", null_pointer_is_told, 10, TEST_EACH_METHOD},
    {"unmapped_and_impossible_addresses_are_told", unmapped_and_impossible_addresses_are_told, 10,
     TEST_EACH_METHOD},
    {"own_memory_that_is_protected_is_told", own_memory_that_is_protected_is_told, 10, TEST_EACH_METHOD},
    {"a_file_that_is_too_short_is_told", a_file_that_is_too_short_is_told, 10, TEST_EACH_METHOD},
    {"private_memory_of_the_parent_is_told", private_memory_of_the_parent_is_told, 10, TEST_EACH_METHOD},
    {"private_memory_of_a_sibling_is_told", private_memory_of_a_sibling_is_told, 10, TEST_EACH_METHOD},
    {"protected_shared_memory_is_told", protected_shared_memory_is_told, 10, TEST_EACH_METHOD},
    {"overflow_of_the_stack_is_told", overflow_of_the_stack_is_told, 20, TEST_EACH_METHOD | TEST_NOT_ASAN},
    {"overflow_of_another_threads_stack_ends_the_process", overflow_of_another_threads_stack_ends_the_process,
     20, TEST_EACH_METHOD | TEST_NOT_ASAN},
    {"each_signal_is_told_with_who_raised_it", each_signal_is_told_with_who_raised_it, 20, TEST_EACH_METHOD},
    {"signals_that_are_no_crash_leave_no_backtrace", signals_that_are_no_crash_leave_no_backtrace, 10,
     TEST_EACH_METHOD},
    {"who_sent_a_crash_signal_is_told", who_sent_a_crash_signal_is_told, 10, TEST_EACH_METHOD},
    {"every_exit_code_is_told_though_the_status_is_stolen",
     every_exit_code_is_told_though_the_status_is_stolen, 60, TEST_EACH_METHOD},
    {"a_crash_is_told_though_the_status_is_stolen", a_crash_is_told_though_the_status_is_stolen, 10,
     TEST_EACH_METHOD},
    {"the_core_dump_is_told_as_the_kernel_tells_it", the_core_dump_is_told_as_the_kernel_tells_it, 30,
     TEST_EACH_METHOD | TEST_NOT_ASAN},
    {"out_of_memory_is_told_only_if_the_cgroup_says_so", out_of_memory_is_told_only_if_the_cgroup_says_so, 30,
     TEST_NOT_VALGRIND | TEST_NOT_ASAN},
};

TEST_MAIN("ends", tests)
