/*
 * guards_test.c - who writes past a table of the family, or in front of it, dies of it alone, and is told so.
 */
#include "harness.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "family/guard.h"
#include "family/heap.h"
#include "family/region.h"
#include "kin.h"

#define TOP (test_time_left() - 0.5)
#define UNITS_OF_A_STEP \
    ((size_t)64 << 20) /* the unit table gets memory for that much of the heap at a time */

static uint64_t edges[2 * KIN__PARTS];
static const char *owners[2 * KIN__PARTS];

/* The first byte behind each part, and the last one in front of each but the first. */
static size_t list_edges(void)
{
    struct kin__part parts[KIN__PARTS];
    size_t count = 0;
    kin__parts(parts);
    for (size_t i = 0; i < KIN__PARTS; i++) {
        edges[count] = parts[i].to;
        owners[count++] = parts[i].name;
        if (i == 0)
            continue;
        ck_assert_uint_gt(parts[i].from, parts[i - 1].to);
        edges[count] = parts[i].from - 1;
        owners[count++] = parts[i].name;
    }
    return count;
}

static int scribble(void *arg)
{
    *(volatile char *)kin__region_at(*(uint64_t *)arg) = 1;
    return 0;
}

static int let_child_scribble(void *arg)
{
    kin_end end;
    kin_process *child = kin_process_start(scribble, arg, sizeof(uint64_t), NULL);
    child_assert(child != NULL);
    child_assert(kin_process_join(child, 10) == 0);
    child_assert(kin_process_end(child, &end) == 0);
    child_assert(end.how == KIN_END_SIGNALED && end.signal == SIGSEGV && end.fault == KIN_FAULT_GUARD);
    kin_process_free(child);
    return 0;
}

static void run(kin_process_fn fn, uint64_t at, kin_end *end, kin_error *error)
{
    kin_process *process =
        kin_process_start(fn, &at, sizeof at, KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    ck_assert_int_eq(kin_process_end(process, end), 0);
    ck_assert_int_eq(kin_process_error(process, error), 0);
    kin_process_free(process);
}

static void all_is_well(void)
{
    ck_assert_msg(kin__heap_check() == 0, "%s", kin_error_message());
    void *block = kin_malloc(100);
    ck_assert_ptr_nonnull(block);
    kin_free(block);
}

static void must_be_told(uint64_t at, const char *owner)
{
    kin_end end;
    kin_error error;
    char words[80], text[256];
    run(scribble, at, &end, &error);
    kin_end_text(&end, text, sizeof text);
    snprintf(words, sizeof words, "a guard page of the family's %s", owner);
    ck_assert_msg(end.how == KIN_END_SIGNALED && end.signal == SIGSEGV, "%s", text);
    ck_assert_msg(end.fault == KIN_FAULT_GUARD, "0x%llx: fault %d", (unsigned long long)at, end.fault);
    ck_assert_str_eq(end.fault_name, owner);
    ck_assert_ptr_eq(end.fault_address, kin__region_at(at));
    ck_assert_msg(strstr(text, words), "\"%s\" is not in \"%s\"", words, text);
    ck_assert_msg(strstr(error.message, words), "\"%s\" is not in \"%s\"", words, error.message);
}

static void write_beside_a_table_ends_its_writer_alone(void)
{
    test_init();
    size_t count = list_edges();
    for (size_t i = 0; i < count; i++) {
        must_be_told(edges[i], owners[i]);
        all_is_well();
    }
}

static void guards_hold_in_a_childs_child(void)
{
    test_init();
    size_t count = list_edges();
    for (size_t i = 0; i < count; i++) {
        kin_end end;
        kin_error error;
        run(let_child_scribble, edges[i], &end, &error);
        ck_assert_msg(end.how == KIN_END_EXITED && end.exit_code == 0, "%s", error.message);
    }
    all_is_well();
}

static void plain_fork_dies_of_it_too(void)
{
    test_init();
    size_t count = list_edges();
    for (size_t i = 0; i < count; i++) {
        int status;
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
            signal(SIGSEGV, SIG_DFL);
            _exit(scribble(&edges[i]));
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "%s: status %x", owners[i], status);
    }
    all_is_well();
}

static _Atomic uintptr_t caught;

static void note_and_end(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    caught = (uintptr_t)info->si_addr;
    _exit(caught == (uintptr_t)kin__region_at(edges[0]) ? 0 : 1);
}

static void founder_has_guards(void)
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        child_assert(kin_init(&test_argc, &test_argv) == 0);
        list_edges();
        struct sigaction action = {.sa_sigaction = note_and_end, .sa_flags = SA_SIGINFO};
        sigaction(SIGSEGV, &action, NULL);
        scribble(&edges[0]);
        _exit(2);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
}

static void *use_heap(void *meet)
{
    kin_free(kin_malloc(10));
    pthread_barrier_wait(meet);
    return NULL;
}

static void guards_hold_when_tables_have_grown(void)
{
    test_init();
    pthread_t threads[20];
    pthread_barrier_t meet;
    pthread_barrier_init(&meet, NULL, 20);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, use_heap, &meet), 0);
    for (int i = 0; i < 20; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&meet);
    uint32_t had = kin__heap()->tabled;
    void *large = kin_malloc(2 * UNITS_OF_A_STEP), *small = kin_malloc(3000);
    ck_assert_ptr_nonnull(large);
    ck_assert_ptr_nonnull(small);
    ck_assert_uint_gt(kin__heap()->tabled, had);
    size_t count = list_edges();
    for (size_t i = 0; i < count; i++)
        must_be_told(edges[i], owners[i]);
    kin_free(large);
    kin_free(small);
    all_is_well();
}

/* There a forked child takes back what its parent had forbidden itself in the heap, and must leave the guards. */
static void guards_hold_under_kin_check(void)
{
    setenv("KIN_CHECK", "heap", 1);
    test_init();
    size_t count = list_edges();
    for (size_t i = 0; i < count; i++)
        must_be_told(edges[i], owners[i]);
}

static void middle_of_a_guard_is_the_nearer_tables(void)
{
    test_init();
    struct kin__part parts[KIN__PARTS];
    kin__parts(parts);
    uintptr_t base = (uintptr_t)kin__region_at(0);
    for (size_t i = 0; i + 1 < KIN__PARTS; i++) {
        uint64_t middle = (parts[i].to + parts[i + 1].from) / 2;
        ck_assert_str_eq(kin__guard_of(base + middle - 1), parts[i].name);
        ck_assert_str_eq(kin__guard_of(base + middle + 1), parts[i + 1].name);
        ck_assert_ptr_null(kin__guard_of(base + parts[i].from));
        ck_assert_ptr_null(kin__guard_of(base + parts[i].to - 1));
    }
    ck_assert_str_eq(kin__guard_of(base + kin__region->size - 1), "frozen data");
    ck_assert_ptr_null(kin__guard_of(base - 1));
    ck_assert_ptr_null(kin__guard_of(base + kin__region->size));
}

static const struct test tests[] = {
    {"write_beside_a_table_ends_its_writer_alone", write_beside_a_table_ends_its_writer_alone, 20,
     TEST_EACH_METHOD},
    {"guards_hold_in_a_childs_child", guards_hold_in_a_childs_child, 20, TEST_EACH_METHOD},
    /* AddressSanitizer, UndefinedBehaviorSanitizer: the fault is theirs */
    {"plain_fork_dies_of_it_too", plain_fork_dies_of_it_too, 10, TEST_NOT_VALGRIND | TEST_NOT_ASAN},
    {"founder_has_guards", founder_has_guards, 10, TEST_NOT_VALGRIND},
    {"guards_hold_when_tables_have_grown", guards_hold_when_tables_have_grown, 30, TEST_EACH_METHOD},
    {"guards_hold_under_kin_check", guards_hold_under_kin_check, 20, TEST_EACH_METHOD},
    {"middle_of_a_guard_is_the_nearer_tables", middle_of_a_guard_is_the_nearer_tables, 5, 0},
};
TEST_MAIN("guards", tests)
