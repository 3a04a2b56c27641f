/* frozen_test.c - kin/frozen.h: read by all in place, written by nobody; memory does not grow with the workers. */
#include "harness.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "family/heap.h"
#include "family/shelf.h"
#include "kin.h"

#define TOP (test_time_left() - 0.5)
#define MIB ((size_t)1 << 20)

static size_t used(void)
{
    kin_heap_stats stats = {.size = sizeof stats};
    ck_assert_int_eq(kin_heap_get_stats(&stats), 0);
    return stats.used;
}

static void all_is_well(void)
{
    ck_assert_msg(kin__heap_check() == 0, "%s", kin_error_message());
}

static void copy_is_read_by_all(void)
{
    test_init();
    char text[] = "hello";
    const char *frozen = kin_frozen_copy(text, sizeof text);
    ck_assert_msg(frozen != NULL, "%s", kin_error_message());
    text[0] = 'j';
    ck_assert_str_eq(frozen, "hello");
    ck_assert(kin_is_shared(frozen));
    ck_assert_uint_eq(kin_frozen_size(frozen), sizeof text);
    ck_assert_uint_eq(kin_frozen_size(frozen + 1), 0);
    ck_assert_uint_eq((uintptr_t)frozen % 65536, 0);
    kin_frozen_free(frozen);
    ck_assert_uint_eq(kin_frozen_size(frozen), 0);
    kin_error_clear();
    kin_frozen_free(frozen);
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    kin_frozen_free(NULL);
    all_is_well();
}

struct node {
    const struct node *next;
    int number;
};

static int read_list(void *arg)
{
    int sum = 0;
    for (const struct node *node = *(const struct node *const *)arg; node; node = node->next)
        sum += node->number;
    return sum;
}

static void list_with_pointers_is_filled_in_place(void)
{
    test_init();
    kin_frozen *frozen = kin_frozen_new(10 * sizeof(struct node));
    ck_assert_msg(frozen != NULL, "%s", kin_error_message());
    struct node *here = kin_frozen_buf(frozen);
    const struct node *there = kin_frozen_at(frozen);
    for (int i = 0; i < 10; i++)
        here[i] = (struct node){i < 9 ? &there[i + 1] : NULL, i};
    const struct node *list = kin_frozen_seal(frozen);
    ck_assert_ptr_eq(list, there);
    kin_process *process =
        kin_process_start(read_list, &list, sizeof list, KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    kin_end end;
    ck_assert_int_eq(kin_process_end(process, &end), 0);
    ck_assert_int_eq(end.exit_code, 45);
    kin_process_free(process);
    kin_frozen_free(list);
    all_is_well();
}

/* ---- stray writes ---------------------------------------------------------------------------- */

/* A worker that was there before the data was: nobody has told it. */
static int write_there(kin_task *task, char *const *in, int *out)
{
    if (kin_task_index(task) % 2 == 0)
        **in = 'x';
    *out = (unsigned char)**in;
    return 0;
}

static void stray_write_ends_its_writer_alone(void)
{
    test_init();
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 2, .start_method = test_method()));
    ck_assert_msg(pool != NULL, "%s", kin_error_message());
    size_t size = 3 * 65536 + 100;
    kin_frozen *frozen = kin_frozen_new(size);
    memset(kin_frozen_buf(frozen), 'a', size);
    char *data = (char *)(uintptr_t)kin_frozen_seal(frozen);
    char *in[8];
    for (int i = 0; i < 8; i++)
        in[i] = data + (size_t)i * size / 8;
    int out[8];
    kin_task_error errors[8];
    size_t failures;
    int code = kin_pool_map(pool, (kin_task_fn)write_there,
                            KIN_MAP_ARGS(.in = in, .in_size = sizeof *in, .out = out, .out_size = sizeof *out,
                                         .count = 8, .on_failure = KIN_COLLECT, .errors = errors,
                                         .errors_capacity = 8, .failures = &failures));
    ck_assert_int_eq(code, KIN_EDIED);
    ck_assert_uint_eq(failures, 4);
    for (size_t i = 0; i < failures; i++) {
        ck_assert_int_eq(errors[i].end.signal, SIGSEGV);
        ck_assert_int_eq(errors[i].end.fault, KIN_FAULT_FROZEN);
        ck_assert_ptr_eq(errors[i].end.fault_address, in[errors[i].index]);
        ck_assert_ptr_nonnull(strstr(errors[i].error.message, "frozen data, which nobody may write"));
    }
    for (size_t i = 0; i < size; i++)
        ck_assert_int_eq(data[i], 'a');
    kin_pool_free(pool);
    kin_frozen_free(data);
    all_is_well();
}

static void founder_cannot_write_either(void)
{
    test_init();
    volatile char *data = (volatile char *)(uintptr_t)kin_frozen_copy("hello", 6);
    ck_assert_ptr_nonnull((void *)data);
    pid_t child = fork(); /* as a plain fork has the same maps, it may stand for the founder */
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        data[0] = 'j';
        _exit(0);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    ck_assert_int_eq(data[0], 'h');
}

static int writes_where_its_parent_fills(void *arg)
{
    **(volatile char **)arg = 'x';
    return 0;
}

static void what_is_being_filled_is_the_makers_alone(void)
{
    test_init();
    kin_frozen *frozen = kin_frozen_new(100);
    char *buf = kin_frozen_buf(frozen);
    kin_process *process = kin_process_start(writes_where_its_parent_fills, &buf, sizeof buf, NULL);
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    kin_end end;
    ck_assert_int_eq(kin_process_end(process, &end), 0);
    ck_assert_int_eq(end.how, KIN_END_SIGNALED);
    kin_process_free(process);
    ck_assert_int_eq(buf[0], 0);
    kin_frozen_drop(frozen);
    all_is_well();
}

static int seals_its_parents(void *arg)
{
    kin_frozen *frozen = *(kin_frozen **)arg;
    child_assert(!kin_frozen_seal(frozen) && kin_error_code() == KIN_EPERM);
    kin_frozen_drop(frozen);
    return 0;
}

static void child_cannot_seal_its_parents(void)
{
    test_init();
    kin_frozen *frozen = kin_frozen_new(100);
    kin_process *process = kin_process_start(seals_its_parents, &frozen, sizeof frozen,
                                             KIN_PROCESS_OPTIONS(.start_method = KIN_START_FORK));
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    kin_end end;
    ck_assert_int_eq(kin_process_end(process, &end), 0);
    ck_assert_int_eq(end.exit_code, 0);
    kin_process_free(process);
    const void *sealed = kin_frozen_seal(frozen);
    ck_assert_ptr_nonnull(sealed);
    kin_frozen_free(sealed);
}

static int makes_one(void *arg)
{
    (void)arg;
    child_assert(!kin_frozen_new(100) && kin_error_code() == KIN_EPERM);
    return 0;
}

static void sealed_process_makes_none(void)
{
    test_init();
    kin_process *process = kin_process_start(
        makes_one, NULL, 0, KIN_PROCESS_OPTIONS(.sealed = true, .start_method = test_method()));
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    kin_end end;
    ck_assert_int_eq(kin_process_end(process, &end), 0);
    ck_assert_int_eq(end.exit_code, 0);
    kin_process_free(process);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void memory_comes_back(void)
{
    test_init();
    size_t before = used();
    for (int round = 0; round < 50; round++) {
        kin_frozen *frozen = kin_frozen_new(20 * MIB);
        ck_assert_msg(frozen != NULL, "%s", kin_error_message());
        ck_assert_uint_ge(used(), before + 20 * MIB);
        unsigned char *buf = kin_frozen_buf(frozen);
        for (size_t i = 0; i < 20 * MIB; i += 4096)
            ck_assert_int_eq(buf[i], 0); /* fresh, although there was something before */
        memset(buf, 0xff, 20 * MIB);
        if (round % 2)
            kin_frozen_drop(frozen);
        else
            kin_frozen_free(kin_frozen_seal(frozen));
        ck_assert_uint_eq(used(), before);
    }
    all_is_well();
}

static void too_much_is_an_error(void)
{
    kin_init_options options = {.size = sizeof options, .heap_limit = 32 * MIB};
    ck_assert_int_eq(kin_init_with(&test_argc, &test_argv, &options), 0);
    ck_assert_ptr_null(kin_frozen_new(40 * MIB));
    ck_assert_int_eq(kin_error_code(), KIN_ENOMEM);
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "KIN_HEAP_LIMIT"));
    ck_assert_ptr_null(kin_frozen_new((size_t)1 << 50));
    ck_assert_int_eq(kin_error_code(), KIN_ENOMEM);
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "KIN_REGION_SIZE"));
    ck_assert_ptr_null(kin_frozen_new(0));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    ck_assert_ptr_null(kin_frozen_copy(NULL, 10));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    ck_assert_ptr_null(kin_frozen_seal(NULL));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    /* What the heap keeps warm is given up for it. */
    kin_free(kin_malloc(20 * MIB));
    const void *frozen = kin_frozen_seal(kin_frozen_new(20 * MIB));
    ck_assert_msg(frozen != NULL, "%s", kin_error_message());
    kin_frozen_free(frozen);
    all_is_well();
}

static void there_may_be_many(void)
{
    test_init();
    static const char *all[KIN__BOOKS];
    for (unsigned i = 0; i < KIN__BOOKS - 1; i++) {
        all[i] = kin_frozen_copy(&i, sizeof i);
        ck_assert_msg(all[i] != NULL, "%s", kin_error_message());
    }
    ck_assert_ptr_null(kin_frozen_copy("x", 1));
    ck_assert_int_eq(kin_error_code(), KIN_ELIMIT);
    all_is_well();
    for (unsigned i = 0; i < KIN__BOOKS - 1; i += 2)
        kin_frozen_free(all[i]);
    all_is_well();
    for (unsigned i = 0; i < KIN__BOOKS - 1; i += 2) /* into the gaps */
        ck_assert_ptr_nonnull(all[i] = kin_frozen_copy(&i, sizeof i));
    for (unsigned i = 0; i < KIN__BOOKS - 1; i++) {
        ck_assert_uint_eq(*(const unsigned *)all[i], i);
        kin_frozen_free(all[i]);
    }
    all_is_well();
}

static int dies_while_it_fills(void *arg)
{
    (void)arg;
    kin_frozen *frozen = kin_frozen_new(10 * MIB);
    child_assert(frozen != NULL);
    memset(kin_frozen_buf(frozen), 1, 10 * MIB);
    child_assert(kin_frozen_copy("sealed", 7) != NULL);
    kill(getpid(), SIGKILL);
    return 0;
}

static void death_takes_what_is_not_sealed(void)
{
    test_init();
    size_t before = used();
    kin_process *process =
        kin_process_start(dies_while_it_fills, NULL, 0, KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    kin_process_free(process);
    ck_assert_uint_lt(used(), before + MIB);
    all_is_well();
    const char *sealed = (const char *)(kin__region_base + kin__region->shelf);
    if (kin_frozen_size(sealed) != 7) /* it lies behind what was being filled */
        sealed += 10 * MIB;
    ck_assert_uint_eq(kin_frozen_size(sealed), 7);
    ck_assert_str_eq(sealed, "sealed");
    kin_frozen_free(sealed);
}

/* Proportional memory of a process in bytes: what it shares with others counts for each by its part. */
static size_t pss(void)
{
    FILE *file = fopen("/proc/self/smaps_rollup", "re");
    char line[256];
    size_t kib = 0;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "Pss: %zu", &kib) == 1)
            break;
    if (file)
        fclose(file);
    return kib * 1024;
}

struct reading {
    const unsigned char *data;
    size_t size;
    _Atomic int readers, measured;
    int all;
    size_t pss[16];
};

/* Read all of it, wait for the others to have done so, and measure. */
static int read_and_measure(kin_task *task, size_t index, struct reading *reading)
{
    unsigned sum = 0;
    for (size_t i = 0; i < reading->size; i += 64)
        sum += reading->data[i];
    if (sum != reading->size / 64)
        return kin_task_fail(task, "the sum is %u", sum);
    atomic_fetch_add(&reading->readers, 1);
    while (atomic_load(&reading->readers) < reading->all)
        usleep(1000);
    reading->pss[index] = pss();
    atomic_fetch_add(&reading->measured, 1);
    while (atomic_load(&reading->measured) < reading->all)
        usleep(1000);
    return 0;
}

/* The family's memory with so many workers that have read the data. */
static size_t memory_with(int workers, const unsigned char *data, size_t size)
{
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = workers, .start_method = test_method()));
    ck_assert_msg(pool != NULL, "%s", kin_error_message());
    struct reading *reading = kin_calloc(1, sizeof *reading);
    reading->data = data;
    reading->size = size;
    reading->all = workers;
    ck_assert_msg(kin_pool_for(pool, (kin_for_fn)read_and_measure,
                               KIN_MAP_ARGS(.context = reading, .count = (size_t)workers, .chunk = 1)) == 0,
                  "%s", kin_error_message());
    size_t sum = pss();
    for (int i = 0; i < workers; i++)
        sum += reading->pss[i];
    kin_free(reading);
    kin_pool_free(pool);
    return sum;
}

static void memory_does_not_grow_with_the_workers(void)
{
    test_init();
    if (pss() == 0)
        test_skip("no /proc/self/smaps_rollup");
    size_t size = 64 * MIB;
    kin_frozen *frozen = kin_frozen_new(size);
    memset(kin_frozen_buf(frozen), 1, size);
    const unsigned char *data = kin_frozen_seal(frozen);
    size_t one = memory_with(1, data, size), eight = memory_with(8, data, size);
    ck_assert_uint_gt(one, size);
    /* Seven workers more, each with its own stack and tables, and not a copy of the data. */
    ck_assert_msg(eight < one + 7 * 3 * MIB, "with 1 worker %zu MiB, with 8 %zu", one / MIB, eight / MIB);
    kin_frozen_free(data);
}

static int sum_up(kin_task *task, const int *in, long *out)
{
    (void)task;
    *out = *in;
    return 0;
}

static void frozen_array_is_input_of_a_map_in_place(void)
{
    test_init();
    enum { COUNT = 100000 };
    kin_frozen *frozen = kin_frozen_new(COUNT * sizeof(int));
    int *fill = kin_frozen_buf(frozen);
    for (int i = 0; i < COUNT; i++)
        fill[i] = i;
    const int *in = kin_frozen_seal(frozen);
    long *out = calloc(COUNT, sizeof *out);
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 2));
    ck_assert_msg(kin_map(pool, sum_up, in, out, COUNT) == 0, "%s", kin_error_message());
    for (int i = 0; i < COUNT; i++)
        ck_assert_int_eq(out[i], i);
    kin_pool_free(pool);
    free(out);
    kin_frozen_free(in);
}

static const struct test tests[] = {
    {"copy_is_read_by_all", copy_is_read_by_all, 5, 0},
    {"list_with_pointers_is_filled_in_place", list_with_pointers_is_filled_in_place, 10, TEST_EACH_METHOD},
    /* AddressSanitizer: the faults are its own */
    {"stray_write_ends_its_writer_alone", stray_write_ends_its_writer_alone, 30, TEST_EACH_METHOD},
    {"founder_cannot_write_either", founder_cannot_write_either, 10, TEST_NOT_VALGRIND},
    {"what_is_being_filled_is_the_makers_alone", what_is_being_filled_is_the_makers_alone, 10,
     TEST_NOT_VALGRIND},
    {"child_cannot_seal_its_parents", child_cannot_seal_its_parents, 10,
     TEST_NOT_VALGRIND | TEST_NOT_ASAN}, /* the child's copy of the handle counts as leaked there */
    {"sealed_process_makes_none", sealed_process_makes_none, 10, TEST_EACH_METHOD},
    {"memory_comes_back", memory_comes_back, 20, 0},
    {"too_much_is_an_error", too_much_is_an_error, 10, 0},
    {"there_may_be_many", there_may_be_many, 20, 0},
    {"death_takes_what_is_not_sealed", death_takes_what_is_not_sealed, 20, TEST_EACH_METHOD},
    {"memory_does_not_grow_with_the_workers", memory_does_not_grow_with_the_workers, 40,
     TEST_EACH_METHOD | TEST_NOT_ASAN}, /* shadow memory */
    {"frozen_array_is_input_of_a_map_in_place", frozen_array_is_input_of_a_map_in_place, 10,
     TEST_NOT_VALGRIND},
};
TEST_MAIN("frozen", tests)
