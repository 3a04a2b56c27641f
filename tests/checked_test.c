/*
 * checked_test.c - KIN_CHECK=heap: each misuse of a block is told, with who made and who freed it, and does no harm.
 */
#include "heap_common.h"

#include "kin.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* What was logged since begin_checked(), line after line. */
static char told[16384];

static void listen(int level, const char *message, void *arg)
{
    (void)arg;
    size_t used = strlen(told);
    if (level >= KIN_LOG_WARNING)
        snprintf(told + used, sizeof told - used, "%s\n", message);
}

static void begin_checked(void)
{
    setenv("KIN_CHECK", "heap", 1);
    begin();
    kin_log_set_callback(listen, NULL);
}

/* This is in the thread's record and in the log; forget both. */
static void expect_report(int code, const char *text)
{
    expect_error(code, text);
    ck_assert_msg(strstr(told, text) != NULL, "not logged: \"%s\", but: %s", text, told);
    told[0] = '\0';
    kin_error_clear();
}

static void expect_silence(void)
{
    ck_assert_msg(told[0] == '\0', "%s", told);
    ck_assert_int_eq(kin_error_code(), 0);
}

/* As much is freed as a quarantine holds, so that what was freed before leaves it. */
static void flush_quarantine(void)
{
    for (int i = 0; i < 1100; i++)
        kin_free(kin_malloc(1));
}

static void *in_child(void *(*body)(void *), void *arg)
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        _exit(body(arg) != NULL);
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    kin__members_sweep();
    return (void *)(intptr_t)status;
}

/* ---- what is right passes -------------------------------------------------------------------- */

static void right_use_is_not_reported(void)
{
    begin_checked();
    static unsigned char *blocks[400];
    uint32_t seed = 5;
    for (int i = 0; i < 20000; i++) {
        seed = seed * 1664525u + 1013904223u;
        unsigned char **place = &blocks[seed >> 8 & 255];
        size_t size = seed >> 20 ? (seed >> 16) % 700 : 100000;
        if (*place && seed & 1 << 30)
            *place = kin_realloc(*place, size);
        else {
            kin_free(*place);
            *place = kin_malloc(size);
        }
        ck_assert_ptr_nonnull(*place);
        ck_assert_uint_eq(kin_usable_size(*place), size);
        memset(*place, i, size);
    }
    for (int i = 0; i < 400; i++)
        kin_free(blocks[i]);
    check_heap();
    expect_silence();
}

static void calls_promise_the_same_as_without(void)
{
    begin_checked();
    for (size_t alignment = 1; alignment <= (size_t)1 << 21; alignment *= 2)
        for (size_t size = 0; size < 100000; size = size * 5 + 3) {
            unsigned char *block = kin_aligned_alloc(alignment, size);
            ck_assert_uint_eq((uintptr_t)block % alignment, 0);
            ck_assert_uint_eq((uintptr_t)block % 16, 0);
            memset(block, 1, size);
            kin_free(block);
        }
    unsigned char *zero = kin_calloc(100, 100);
    ck_assert(all_are(zero, 10000, 0));
    zero[9999] = 1;
    zero = kin_realloc(zero, 20000);
    ck_assert(all_are(zero, 9999, 0) && zero[9999] == 1);
    char *copy = kin_strdup("copy");
    ck_assert_str_eq(copy, "copy");
    expect_silence();
    ck_assert_ptr_null(kin_malloc(SIZE_MAX));
    expect_error(KIN_ENOMEM, "cannot allocate");
    ck_assert_ptr_null(kin_malloc(SIZE_MAX - 100));
    kin_free(zero);
    kin_free(copy);
    check_heap();
}

static void new_memory_is_filled(void)
{
    begin_checked();
    unsigned char *block = kin_malloc(1000);
    ck_assert(all_are(block, 1000, 0xcd));
    kin_free(block);
}

static void what_rests_is_freed_before_memory_runs_out(void)
{
    setenv("KIN_HEAP_LIMIT", "24M", 1);
    begin_checked();
    for (int i = 0; i < 50; i++) {
        void *block = kin_malloc((size_t)9 << 20);
        ck_assert_msg(block != NULL, "%s", kin_error_message());
        kin_free(block);
    }
    check_heap();
}

/* ---- misuse ---------------------------------------------------------------------------------- */

static void double_free_is_told_with_its_history(void)
{
    begin_checked();
    char *block = kin_malloc(100), who[100];
    kin_free(block);
    expect_silence();
    kin_free(block);
    snprintf(who, sizeof who, "made by process %d, thread %d, at ", (int)getpid(), (int)getpid());
    ck_assert_msg(strstr(told, who) != NULL, "no \"%s\" in: %s", who, told);
    ck_assert_msg(strstr(told, "freed by process") && strstr(told, "made at: ") && strstr(told, "freed at: "),
                  "%s", told);
    expect_report(KIN_EINVAL, "it is free already, a block of 100 bytes");
    flush_quarantine();
    kin_free(block); /* its memory has been given back meanwhile */
    expect_report(KIN_EINVAL, "it is free already");
    check_heap();
}

static void block_freed_by_another_process_names_it(void)
{
    begin_checked();
    char *block = kin_malloc(100), who[100];
    pid_t pid = fork();
    if (pid == 0) {
        kin_free(block);
        pause();
    }
    while (kin_usable_size(block)) /* that is another process's doing */
        usleep(1000);
    kin_free(block);
    snprintf(who, sizeof who, "freed by process %d", (int)pid);
    expect_report(KIN_EINVAL, who);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    kin__members_sweep();
    check_heap(); /* what the dead one kept in quarantine is free */
    ck_assert_uint_eq(in_use() <= 2, true);
}

static void wrong_pointers_are_told_apart(void)
{
    begin_checked();
    char *block = kin_malloc(100), *large = kin_malloc(1000000);
    int local;
    kin_free(block + 16);
    expect_report(KIN_EINVAL, "but at offset 16 of one of 100 bytes");
    kin_free(large + 500000);
    expect_report(KIN_EINVAL, "but at offset 500000 of one of 1000000 bytes");
    kin_free(&local);
    expect_report(KIN_EINVAL, "it is not memory of the shared heap");
    ck_assert_ptr_null(kin_realloc(block + 1, 200));
    expect_report(KIN_EINVAL, "cannot change the size of");
    ck_assert_uint_eq(kin_usable_size(block + 16), 0);
    kin_arena *arena = kin_arena_new();
    kin_free(kin_arena_malloc(arena, 10000));
    expect_report(KIN_EINVAL, "it is not the start of a block");
    kin_arena_free(arena);
    kin_free(large);
    kin_free(block);
    expect_silence();
    check_heap();
}

static void overrun_is_told_when_the_block_is_freed(void)
{
    begin_checked();
    size_t sizes[] = {0, 1, 24, 100, 4000, 40000, 200000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *block = kin_malloc(sizes[i]), text[100];
        block[sizes[i]] = 0;
        block[sizes[i] + 7] = 0;
        kin_free(block);
        snprintf(text, sizeof text, "was written to beyond its end: 8 bytes from offset %zu; made by",
                 sizes[i]);
        expect_report(KIN_EDAMAGED, text);
        block = kin_malloc(sizes[i]);
        block[-1] = 0;
        kin_free(block);
        expect_report(KIN_EDAMAGED, "was written to before its start: 1 bytes from offset -1; made by");
    }
    check_heap();
}

static void large_overrun_does_not_break_the_heap(void)
{
    begin_checked();
    char *first = kin_malloc(100), *second = kin_malloc(100);
    char *low = first < second ? first : second, *high = first < second ? second : first;
    memset(low, 'x', (size_t)(high - low) + 50); /* over what is kept before the other block */
    kin_free(low);
    expect_report(KIN_EDAMAGED, "beyond its end");
    kin_free(high);
    expect_report(KIN_EINVAL, "what is kept before the block was overwritten");
    ck_assert_ptr_null(kin_realloc(high, 1000));
    flush_quarantine();
    check_heap();
}

static void write_after_free_is_told_when_memory_is_used_again(void)
{
    begin_checked();
    char *block = kin_malloc(100);
    kin_free(block);
    ck_assert(all_are((unsigned char *)block, 100, 0xdd));
    block[40] = 'x';
    expect_silence();
    flush_quarantine();
    ck_assert(strstr(told, "made by") && strstr(told, "freed by"));
    expect_report(KIN_EDAMAGED, "was written to after it was freed: 1 bytes from offset 40");
    check_heap();
}

static void freed_record_that_is_overwritten_is_told(void)
{
    begin_checked();
    char *block = kin_malloc(1000);
    kin_free(block);
    memset(block - 256, 'x', 1256);
    flush_quarantine();
    ck_assert_msg(strstr(told, "what is kept about a block that was freed was overwritten"), "%s", told);
    check_heap();
}

static void *touch(void *large)
{
    ((volatile char *)large)[200000] = 1;
    return large;
}

static void large_block_cannot_be_touched_after_free(void)
{
    begin_checked();
    char *large = kin_malloc(1000000);
    kin_free(large);
    /* In the process that freed it a touch is a fault; a child starts anew, and sees the pattern. */
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL);
        touch(large);
        _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    for (int i = 0; i < 4; i++) {
        large = kin_malloc(9000000); /* the memory can be used again */
        memset(large, 1, 9000000);
        kin_free(large);
    }
    expect_silence();
    check_heap();
}

static void *use_what_parent_freed(void *arg)
{
    static char *mine[40];
    void *volatile *large = arg;
    ck_assert_ptr_nonnull(kin_malloc(1)); /* from here on it is a member */
    ck_assert_int_eq(((volatile unsigned char *)*large)[200000], 0xdd);
    for (int i = 0; i < 40; i++) {
        mine[i] = kin_malloc(500000);
        memset(mine[i], 1, 500000);
    }
    for (int i = 0; i < 40; i++)
        kin_free(mine[i]);
    return NULL;
}

static void child_may_use_what_its_parent_may_not(void)
{
    begin_checked();
    void *large = kin_malloc(1000000);
    kin_free(large);
    ck_assert_ptr_null(in_child(use_what_parent_freed, &large));
    check_heap();
}

static void *make_and_free(void *arg)
{
    for (int i = 0; i < 100; i++)
        kin_free(kin_malloc(64));
    return arg;
}

static void thread_that_ends_leaves_nothing_in_quarantine(void)
{
    begin_checked();
    size_t before = in_use();
    for (int i = 0; i < 5; i++) {
        pthread_t thread;
        ck_assert_int_eq(pthread_create(&thread, NULL, make_and_free, NULL), 0);
        pthread_join(thread, NULL);
        check_heap();
    }
    ck_assert_uint_eq(in_use(), before);
}

static int misuse_in_process(void *arg)
{
    char *block = kin_malloc(32);
    kin_free(block);
    block[3] = 1; /* told at the end of the process */
    (void)arg;
    return 0;
}

static void end_of_a_process_looks_at_what_rests(void)
{
    begin_checked();
    char path[] = "/tmp/kin-checked-XXXXXX", line[2000] = "";
    int file = mkstemp(path), saved = dup(STDERR_FILENO);
    kin_log_set_callback(NULL, NULL);
    dup2(file, STDERR_FILENO);
    test_surroundings_changed();
    kin_process *process =
        kin_process_start(misuse_in_process, NULL, 0, KIN_PROCESS_OPTIONS(.start_method = test_method()));
    int error = kin_process_join(process, KIN_FOREVER);
    dup2(saved, STDERR_FILENO);
    ck_assert_int_eq(error, 0);
    kin_process_free(process);
    ck_assert_int_gt(pread(file, line, sizeof line - 1, 0), 0);
    ck_assert_msg(strstr(line, "the block of 32 bytes") && strstr(line, "after it was freed"), "%s", line);
    close(file);
    close(saved);
    unlink(path);
}

static int allocate_until_killed(void *arg)
{
    while (!arg) {
        char *small = kin_malloc(50); /* one at a time: the one that its death may leave behind */
        small = kin_realloc(small, 500);
        kin_free(small);
        kin_free(kin_malloc(100000));
    }
    return 0;
}

static void deaths_leave_at_most_a_block_behind(void)
{
    begin_checked();
    const int deaths = test_long() ? 300 : 30;
    flush_quarantine();
    size_t before = in_use();
    for (int i = 0; i < deaths; i++) {
        kin_process *process = kin_process_start(allocate_until_killed, NULL, 0, NULL);
        ck_assert_ptr_nonnull(process);
        usleep(500 + (unsigned)(i * 7919 % 3000));
        kin_process_kill(process);
        ck_assert_int_eq(kin_process_join(process, KIN_FOREVER), 0);
        kin_process_free(process);
        check_heap();
    }
    flush_quarantine();
    ck_assert_msg(in_use() <= before + (size_t)deaths, "%zu blocks more", in_use() - before);
    ck_assert_msg(told[0] == '\0', "%s", told);
}

/* Its own object is no block of the user's: who recovers it frees it all the same. */
static void plain_fork_leaves_nothing_of_its_own(void)
{
    begin_checked();
    size_t before = in_use();
    pid_t pid = fork();
    if (pid == 0)
        _exit(kin_current_process() ? 0 : 1);
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(kin__members_sweep(), 0);
    expect_silence();
    ck_assert_int_eq(in_use(), before);
    check_heap();
}

static void unknown_checks_are_refused(void)
{
    setenv("KIN_CHECK", "heap,rubbish", 1);
    ck_assert_int_eq(kin_init(&test_argc, &test_argv), KIN_EINVAL);
    expect_error(KIN_EINVAL, "it must be heap, pointers or heap,pointers");
}

static const struct test tests[] = {
    {"right_use_is_not_reported", right_use_is_not_reported, 10, 0},
    {"calls_promise_the_same_as_without", calls_promise_the_same_as_without, 10, 0},
    {"new_memory_is_filled", new_memory_is_filled, 5, 0},
    {"what_rests_is_freed_before_memory_runs_out", what_rests_is_freed_before_memory_runs_out, 10, 0},
    {"double_free_is_told_with_its_history", double_free_is_told_with_its_history, 5, 0},
    {"block_freed_by_another_process_names_it", block_freed_by_another_process_names_it, 10,
     TEST_NOT_VALGRIND},
    {"wrong_pointers_are_told_apart", wrong_pointers_are_told_apart, 5, 0},
    {"overrun_is_told_when_the_block_is_freed", overrun_is_told_when_the_block_is_freed, 5, 0},
    {"large_overrun_does_not_break_the_heap", large_overrun_does_not_break_the_heap, 5, 0},
    {"write_after_free_is_told_when_memory_is_used_again", write_after_free_is_told_when_memory_is_used_again,
     5, 0},
    {"freed_record_that_is_overwritten_is_told", freed_record_that_is_overwritten_is_told, 5, 0},
    {"large_block_cannot_be_touched_after_free", large_block_cannot_be_touched_after_free, 10, 0},
    {"child_may_use_what_its_parent_may_not", child_may_use_what_its_parent_may_not, 10, TEST_NOT_VALGRIND},
    {"thread_that_ends_leaves_nothing_in_quarantine", thread_that_ends_leaves_nothing_in_quarantine, 10, 0},
    {"end_of_a_process_looks_at_what_rests", end_of_a_process_looks_at_what_rests, 20, TEST_EACH_METHOD},
    {"deaths_leave_at_most_a_block_behind", deaths_leave_at_most_a_block_behind, 60, TEST_NOT_VALGRIND},
    {"plain_fork_leaves_nothing_of_its_own", plain_fork_leaves_nothing_of_its_own, 10, TEST_NOT_VALGRIND},
    {"unknown_checks_are_refused", unknown_checks_are_refused, 5, 0},
};
TEST_MAIN("checked", tests)
