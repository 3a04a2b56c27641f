/*
 * sealed_test.c - sealed processes and workers: what they may write, what they may not, and what still works there.
 */
#include "harness.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "family/guard.h"
#include "family/heap.h"
#include "family/sealed.h"
#include "kin.h"

#define TOP (test_time_left() - 0.5)

static void put(char *to, const char *text)
{
    memcpy(to, text, strlen(text) + 1);
}

static kin_process *start_sealed(kin_process_fn fn, const void *arg, size_t size)
{
    kin_process *process =
        kin_process_start(fn, arg, size, KIN_PROCESS_OPTIONS(.start_method = test_method(), .sealed = true));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    return process;
}

static kin_end ended(kin_process *process, kin_error *error)
{
    kin_end end;
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    ck_assert_int_eq(kin_process_end(process, &end), 0);
    ck_assert_int_eq(kin_process_error(process, error), 0);
    kin_process_free(process);
    return end;
}

static void must_end_well(kin_process_fn fn, const void *arg, size_t size)
{
    kin_error error;
    char text[256];
    kin_end end = ended(start_sealed(fn, arg, size), &error);
    ck_assert_msg(end.how == KIN_END_EXITED && end.exit_code == 0, "%s, %s",
                  kin_end_text(&end, text, sizeof text), error.message);
    ck_assert_msg(kin__heap_check() == 0, "%s", kin_error_message());
}

static int scribble(void *arg)
{
    *(volatile char *)*(void **)arg = 1;
    return 0;
}

static void must_be_sealed(void *address, int fault)
{
    kin_error error;
    char text[256];
    kin_end end = ended(start_sealed(scribble, &address, sizeof address), &error);
    ck_assert_msg(end.how == KIN_END_SIGNALED && end.signal == SIGSEGV && end.fault == fault,
                  "%p: fault %d, %s", address, end.fault, kin_end_text(&end, text, sizeof text));
    ck_assert_ptr_eq(end.fault_address, address);
}

/* Every page that holds something, and one after another of those that do not. */
static void no_write_reaches_what_is_others(void)
{
    test_init();
    char *small = kin_malloc(100), *large = kin_calloc(1, 1 << 20);
    kin_arena *arena = kin_arena_new();
    char *in_arena = kin_arena_strdup(arena, "untouched");
    put(small, "untouched");
    must_be_sealed(small, KIN_FAULT_SEALED);
    must_be_sealed(large + (1 << 19), KIN_FAULT_SEALED);
    must_be_sealed(in_arena, KIN_FAULT_SEALED);
    must_be_sealed(arena, KIN_FAULT_SEALED);
    must_be_sealed(kin_current_process(), KIN_FAULT_SEALED);
    struct kin__part parts[KIN__PARTS];
    kin__parts(parts);
    for (size_t i = 0; i < KIN__PARTS; i++) {
        int fault = i == KIN__PARTS - 1 ? KIN_FAULT_FROZEN : KIN_FAULT_SEALED;
        must_be_sealed(kin__region_at(parts[i].from), fault);
        must_be_sealed(kin__region_at((parts[i].from + parts[i].to) / 2), fault);
        must_be_sealed(kin__region_at(parts[i].to - 1), fault);
        must_be_sealed(kin__region_at(parts[i].to), KIN_FAULT_GUARD);
    }
    ck_assert_str_eq(small, "untouched");
    ck_assert_str_eq(in_arena, "untouched");
    ck_assert_msg(kin__heap_check() == 0, "%s", kin_error_message());
    kin_arena_free(arena);
    kin_free(small);
    kin_free(large);
}

/* ---- what works ------------------------------------------------------------------------------- */

static int allocate_and_free(void *arg)
{
    char *argument = arg;
    child_assert(strcmp(argument, "mine to write") == 0);
    argument[0] = 'M';
    char *blocks[200];
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 200; i++) {
            size_t size = i * i * 7;
            blocks[i] = kin_malloc(size);
            child_assert(blocks[i] != NULL && ((uintptr_t)blocks[i] & 15) == 0);
            child_assert(kin_usable_size(blocks[i]) >= size);
            memset(blocks[i], (int)i, size);
        }
        for (size_t i = 0; i < 200; i++) {
            for (size_t k = 0; k < i * i * 7; k += 97)
                child_assert(blocks[i][k] == (char)i);
            kin_free(blocks[i]);
        }
    }
    unsigned char *zeros = kin_calloc(100, 10);
    for (int i = 0; i < 1000; i++)
        child_assert(zeros[i] == 0);
    char *aligned = kin_aligned_alloc(4096, 100);
    child_assert(((uintptr_t)aligned & 4095) == 0);
    kin_free(aligned);
    char *grown = kin_realloc(kin_strdup("grows"), 100000);
    child_assert(strcmp(grown, "grows") == 0);
    memset(grown, 1, 100000);
    child_assert(kin_process_pid(kin_current_process()) == (int)getpid());
    child_assert(kin_is_shared(grown) && kin_parent_process() != NULL);
    return 0;
}

static void heap_of_its_own_works(void)
{
    test_init();
    kin_heap_stats before = {.size = sizeof before}, after = before;
    kin_free(kin_malloc(10));
    kin_heap_get_stats(&before);
    must_end_well(allocate_and_free, "mine to write", sizeof "mine to write");
    kin_heap_get_stats(&after);
    ck_assert_uint_eq(before.arenas, after.arenas);
    ck_assert_uint_eq(before.large_blocks, after.large_blocks);
}

static int refuse(void *arg)
{
    void *others = *(void **)arg;
    kin_log_set_level(KIN_LOG_OFF);
    kin_free(others);
    child_assert(kin_error_code() == KIN_EPERM && strstr(kin_error_message(), "sealed"));
    child_assert(kin_realloc(others, 5000) == NULL && kin_error_code() == KIN_EPERM);
    char *twice = kin_malloc(50);
    kin_free(twice);
    kin_error_clear();
    kin_free(twice);
    child_assert(kin_error_code() == KIN_EINVAL && strstr(kin_error_message(), "free already"));
    child_assert(kin_process_start(scribble, NULL, 0, NULL) == NULL && kin_error_code() == KIN_EPERM);
    child_assert(kin_pool_new(NULL) == NULL && kin_error_code() == KIN_EPERM);
    return 0;
}

static void what_it_cannot_do_is_an_error(void)
{
    test_init();
    char *block = kin_malloc(100);
    put(block, "untouched");
    must_end_well(refuse, &block, sizeof(block));
    ck_assert_str_eq(block, "untouched");
    kin_free(block);
}

/* ---- arenas ----------------------------------------------------------------------------------- */

static int give_and_write_again(void *arg)
{
    kin_arena *arena = kin_arena_new();
    char *text = kin_arena_strdup(arena, "made by a sealed process");
    child_assert(text != NULL);
    for (int i = 0; i < 50; i++)
        memset(kin_arena_malloc(arena, (size_t)i * 5000), i, (size_t)i * 5000);
    text[0] = 'M';
    child_assert(kin_arena_give(arena, NULL) == 0);
    /* What was handed over is the receiver's alone; where it lies is told by the address of this fault. */
    (void)arg;
    text[0] = 'X';
    return 0;
}

static void arena_that_was_given_is_closed(void)
{
    test_init();
    kin_error error;
    kin_end end = ended(start_sealed(give_and_write_again, NULL, 0), &error);
    ck_assert_msg(end.how == KIN_END_SIGNALED && end.fault == KIN_FAULT_SEALED, "%s", error.message);
    ck_assert_str_eq(end.fault_address, "Made by a sealed process");
    ck_assert_msg(kin__heap_check() == 0, "%s", kin_error_message());
    kin_arena *arena = (kin_arena *)(uintptr_t)kin__heap()->family_arenas;
    ck_assert_int_eq(kin_arena_take(arena), 0);
    char *mine = kin_arena_malloc(arena, 100);
    memset(mine, 5, 100);
    kin_arena_free(arena);
    ck_assert_msg(kin__heap_check() == 0, "%s", kin_error_message());
}

static int write_to_what_kin_keeps_of_an_arena(void *arg)
{
    kin_arena *arena = kin_arena_new();
    char *bytes = kin_arena_malloc(arena, 100);
    (void)arg;
    bytes[-1] = 1;
    return 0;
}

static void header_of_an_arenas_chunk_is_closed(void)
{
    test_init();
    kin_error error;
    kin_end end = ended(start_sealed(write_to_what_kin_keeps_of_an_arena, NULL, 0), &error);
    ck_assert_msg(end.how == KIN_END_SIGNALED && end.fault == KIN_FAULT_SEALED, "%s", error.message);
    ck_assert_msg(kin__heap_check() == 0, "%s", kin_error_message());
}

static int own_and_wait(void *arg)
{
    int *ends = arg;
    kin_arena *arena = kin_arena_new();
    char byte;
    child_assert(kin_arena_malloc(arena, 100) != NULL);
    child_assert(write(ends[1], &arena, sizeof(arena)) == sizeof(arena));
    child_assert(read(ends[2], &byte, 1) == 1);
    return 0;
}

static void arena_of_a_sealed_process_is_not_taken(void)
{
    test_init();
    int ends[4];
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(pipe(ends + 2), 0);
    kin_process *process = start_sealed(own_and_wait, ends, sizeof ends);
    kin_arena *arena;
    ck_assert_int_eq(read(ends[0], &arena, sizeof(arena)), sizeof(arena));
    kin_log_set_level(KIN_LOG_OFF);
    ck_assert_int_eq(kin_arena_take(arena), KIN_EPERM);
    ck_assert_int_eq(kin_arena_give(arena, NULL), KIN_EPERM);
    kin_arena_free(arena);
    ck_assert_int_eq(kin_error_code(), KIN_EPERM);
    ck_assert_int_eq(write(ends[3], "", 1), 1);
    kin_error error;
    kin_end end = ended(process, &error);
    ck_assert_msg(end.how == KIN_END_EXITED && end.exit_code == 0, "%s", error.message);
    for (int i = 0; i < 4; i++)
        close(ends[i]);
}

/* ---- pools ------------------------------------------------------------------------------------ */

struct answer {
    int square;
    char *text;
};

static kin_pool *new_pool(int workers)
{
    kin_pool *pool =
        kin_pool_new(KIN_POOL_OPTIONS(.workers = workers, .start_method = test_method(), .sealed = true));
    ck_assert_msg(pool != NULL, "%s", kin_error_message());
    return pool;
}

static int answer(kin_task *task, const int *in, struct answer *out)
{
    out->square = *in * *in;
    out->text = kin_task_malloc(task, 40);
    if (!out->text)
        return -1;
    snprintf(out->text, 40, "the square of %d", *in);
    if (*in % 10 == 3)
        return kin_task_fail(task, "%d is not liked", *in);
    if (*in % 100 == 57) /* a stray write: over the input */
        *(volatile int *)(uintptr_t)in = 0;
    return 0;
}

#define ITEMS 1000

static void results_come_back_from_sealed_workers(void)
{
    test_init();
    kin_pool *pool = new_pool(2);
    int *in = kin_malloc(ITEMS * sizeof(*in));
    struct answer *out = kin_calloc(ITEMS, sizeof(*out));
    for (int i = 0; i < ITEMS; i++)
        in[i] = i;
    for (int round = 0; round < 3; round++) {
        kin_arena *results = NULL;
        size_t failures = 0;
        static kin_task_error errors[ITEMS];
        int error = kin_pool_map(pool, (kin_task_fn)answer,
                                 KIN_MAP_ARGS(.in = in, .in_size = sizeof(*in), .out = out, .count = ITEMS,
                                              .out_size = sizeof(*out), .on_failure = KIN_COLLECT,
                                              .results = &results, .failures = &failures, .errors = errors,
                                              .errors_capacity = ITEMS));
        ck_assert_int_eq(error, KIN_EFAILED);
        ck_assert_uint_eq(failures, ITEMS / 10 + ITEMS / 100);
        for (int i = 0; i < ITEMS; i++) {
            char text[40];
            snprintf(text, sizeof text, "the square of %d", i);
            bool good = i % 10 != 3 && i % 100 != 57;
            ck_assert_int_eq(in[i], i);
            ck_assert_int_eq(out[i].square, good ? i * i : 0);
            if (good)
                ck_assert_str_eq(out[i].text, text);
        }
        for (size_t i = 0; i < failures; i++)
            if (errors[i].index % 100 == 57)
                ck_assert_msg(errors[i].end.fault == KIN_FAULT_SEALED, "%s", errors[i].error.message);
        ck_assert_msg(kin__heap_check() == 0, "%s", kin_error_message());
        memset(kin_arena_malloc(results, 1000), 1, 1000);
        kin_arena_free(results);
    }
    ck_assert_int_eq(kin_pool_finish(pool, TOP), 0);
    kin_pool_free(pool);
    kin_free(in);
    kin_free(out);
}

/* The last map's results: to be written to when they are the caller's. */
static int write_to_results_of_before(kin_task *task, const int *in, char **out)
{
    static char *volatile before;
    if (*in == 1 && before)
        before[0] = 'X';
    *out = before = kin_task_malloc(task, 10);
    return 0;
}

static void results_are_closed_when_they_are_handed_over(void)
{
    test_init();
    kin_pool *pool = new_pool(1);
    int in[] = {0};
    char *out[] = {NULL};
    kin_arena *results = NULL;
    kin_map_args args = {.size = sizeof args,
                         .in = in,
                         .in_size = sizeof(*in),
                         .out = (void *)out,
                         .out_size = sizeof(*out),
                         .count = 1,
                         .results = &results};
    ck_assert_int_eq(kin_pool_map(pool, (kin_task_fn)write_to_results_of_before, &args), 0);
    ck_assert_ptr_nonnull(results);
    put(out[0], "mine");
    char *mine = out[0];
    kin_arena *others = NULL;
    args.results = &others;
    in[0] = 1;
    ck_assert_int_eq(kin_pool_map(pool, (kin_task_fn)write_to_results_of_before, &args), KIN_EDIED);
    ck_assert_str_eq(mine, "mine");
    kin_arena_free(results);
    kin_arena_free(others);
    kin_pool_free(pool);
}

/* ---- ends and forks --------------------------------------------------------------------------- */

static int fork_and_use(void *arg)
{
    char *mine = kin_malloc(100);
    child_assert(mine != NULL);
    put(mine, "the parent's");
    pid_t pid = fork();
    child_assert(pid >= 0);
    if (pid == 0) { /* it is a member of its own, and sealed */
        char *own = kin_malloc(100);
        child_assert(own != NULL && own != mine);
        put(own, "the child's");
        kin_free(own);
        kin_log_set_level(KIN_LOG_OFF);
        kin_free(mine);
        child_assert(kin_error_code() == KIN_EPERM);
        signal(SIGSEGV, SIG_DFL);
        if (arg)
            mine[0] = 'X';
        _exit(0);
    }
    int status;
    child_assert(waitpid(pid, &status, 0) == pid);
    child_assert(arg ? WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV : status == 0);
    child_assert(strcmp(mine, "the parent's") == 0);
    return 0;
}

static void fork_of_a_sealed_process_is_sealed(void)
{
    test_init();
    must_end_well(fork_and_use, NULL, 0);
    must_end_well(fork_and_use, "", 1);
}

static int fail_with_story(void *arg)
{
    (void)arg;
    kin_error_set(KIN_EFAILED, "the story of a sealed process");
    return 9;
}

static void end_is_told_in_full(void)
{
    test_init();
    kin_error error;
    kin_end end = ended(start_sealed(fail_with_story, NULL, 0), &error);
    ck_assert_int_eq(end.exit_code, 9);
    ck_assert_str_eq(error.message, "the story of a sealed process");
}

static int allocate_until_killed(void *arg)
{
    for (unsigned seed = *(unsigned *)arg;;) {
        seed = seed * 1103515245u + 12345u;
        kin_arena *arena = kin_arena_new();
        for (unsigned i = 0; arena && i < (seed >> 16) % 8; i++)
            if (!kin_arena_malloc(arena, (seed >> 8) % 100000))
                return 1;
        if (seed & 1 << 20)
            kin_arena_free(arena);
        void *block = kin_malloc((seed >> 4) % 5000);
        if (seed & 1 << 21)
            kin_free(block);
        if ((seed >> 22) % 8 == 0)
            kill(getpid(), SIGKILL);
    }
}

static void nothing_is_left_of_those_killed(void)
{
    test_init();
    kin_free(kin_malloc(10));
    kin_heap_stats before = {.size = sizeof before}, after = before;
    kin_heap_get_stats(&before);
    unsigned count = test_long() ? 3000 : 100;
    for (unsigned i = 0; i < count; i++) {
        unsigned seed = i * 7919;
        kin_error error;
        kin_end end = ended(start_sealed(allocate_until_killed, &seed, sizeof seed), &error);
        ck_assert_int_eq(end.signal, SIGKILL);
    }
    kin_heap_get_stats(&after);
    ck_assert_uint_eq(before.arenas, after.arenas);
    ck_assert_uint_eq(before.large_blocks, after.large_blocks);
    ck_assert_msg(kin__heap_check() == 0, "%s", kin_error_message());
}

static const struct test tests[] = {
    {"no_write_reaches_what_is_others", no_write_reaches_what_is_others, 30, TEST_EACH_METHOD},
    {"heap_of_its_own_works", heap_of_its_own_works, 10, TEST_EACH_METHOD},
    {"what_it_cannot_do_is_an_error", what_it_cannot_do_is_an_error, 10, TEST_EACH_METHOD},
    {"arena_that_was_given_is_closed", arena_that_was_given_is_closed, 10, TEST_EACH_METHOD},
    {"header_of_an_arenas_chunk_is_closed", header_of_an_arenas_chunk_is_closed, 10, TEST_EACH_METHOD},
    {"arena_of_a_sealed_process_is_not_taken", arena_of_a_sealed_process_is_not_taken, 10, TEST_NOT_VALGRIND},
    {"results_come_back_from_sealed_workers", results_come_back_from_sealed_workers, 30, TEST_EACH_METHOD},
    {"results_are_closed_when_they_are_handed_over", results_are_closed_when_they_are_handed_over, 10,
     TEST_EACH_METHOD},
    {"fork_of_a_sealed_process_is_sealed", fork_of_a_sealed_process_is_sealed, 10, TEST_EACH_METHOD},
    {"end_is_told_in_full", end_is_told_in_full, 10, TEST_EACH_METHOD},
    {"nothing_is_left_of_those_killed", nothing_is_left_of_those_killed, 60, TEST_EACH_METHOD},
};
TEST_MAIN("sealed", tests)
