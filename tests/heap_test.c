/*
 * heap_test.c - the shared heap: what each call promises, in one process, between processes, and when they die.
 *
 * Children are made by a plain fork(), so that the heap is tested by itself; they take their member slots at
 * their first call, and kin__members_sweep() recovers them.
 */
#include "heap_common.h"

#include "family/region.h"
#include "family/span.h"
#include "kin.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Run a function in a forked child, which must end well. */
static void in_child(void (*body)(void *), void *arg)
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        body(arg);
        _exit(0);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    kin__members_sweep();
}

/* Shared by the processes of a test, and no part of the heap. */
static void *shared(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(memory, MAP_FAILED);
    return memory;
}

/* A generator of its own for each process: reproducible. */
struct dice {
    uint64_t state;
};

static uint32_t roll(struct dice *dice, uint32_t sides)
{
    dice->state = dice->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((dice->state >> 33) % sides);
}

static size_t some_size(struct dice *dice)
{
    switch (roll(dice, 16)) {
    case 0:
        return roll(dice, 300000);
    case 1:
    case 2:
        return roll(dice, 33000);
    default:
        return roll(dice, 600);
    }
}

/* ---- the calls ------------------------------------------------------------------------------- */

static void classes_fit_their_sizes(void)
{
    for (size_t size = 0; size <= KIN__SMALL_MAX; size++) {
        unsigned class = kin__class_of(size);
        if (kin__classes[class].size < size || (class && kin__classes[class - 1].size >= size))
            ck_abort_msg("%zu bytes go to class %u", size, class);
    }
    for (unsigned i = 0; i < KIN__CLASSES; i++) {
        const struct kin__class *class = &kin__classes[i];
        ck_assert_uint_ge(class->blocks, 8);
        ck_assert_uint_le(class->words, KIN__SPAN_WORDS);
        for (uint64_t offset = 0; offset < (uint64_t) class->units * KIN__UNIT; offset++)
            ck_assert_uint_eq((offset * class->reciprocal) >> 40, offset / class->size);
    }
}

static void calls_before_init_say_so(void)
{
    ck_assert_ptr_null(kin_malloc(1));
    expect_error(KIN_ENOINIT, "kin_init");
    ck_assert_ptr_null(kin_calloc(1, 1));
    ck_assert_ptr_null(kin_realloc(NULL, 1));
    ck_assert_ptr_null(kin_strdup("x"));
    ck_assert_ptr_null(kin_arena_new());
    kin_heap_stats none = {.size = sizeof none};
    ck_assert_int_eq(kin_heap_get_stats(&none), KIN_ENOINIT);
    ck_assert_int_eq(kin_heap_trim(NULL), KIN_ENOINIT);
    int local;
    ck_assert(!kin_is_shared(&local) && !kin_is_shared(NULL));
    ck_assert_uint_eq(kin_usable_size(&local), 0);
    kin_free(NULL);
    kin_free(&local);
    expect_error(KIN_ENOINIT, "kin_init");
}

static void blocks_are_apart_aligned_and_large_enough(void)
{
    begin();
    enum { COUNT = 3000 };
    static unsigned char *block[COUNT];
    static size_t sizes[COUNT];
    struct dice dice = {1};
    for (int i = 0; i < COUNT; i++) {
        sizes[i] = i < 300 ? (size_t)i : some_size(&dice);
        block[i] = kin_malloc(sizes[i]);
        ck_assert_ptr_nonnull(block[i]);
        ck_assert_uint_eq((uintptr_t)block[i] % 16, 0);
        ck_assert_uint_ge(kin_usable_size(block[i]), sizes[i]);
        ck_assert(kin_is_shared(block[i]));
        memset(block[i], i & 255, kin_usable_size(block[i]));
    }
    for (int i = 0; i < COUNT; i++) {
        ck_assert(all_are(block[i], sizes[i], i & 255));
        kin_free(block[i]);
        ck_assert_uint_eq(kin_usable_size(block[i]), 0);
    }
    check_heap();
    ck_assert_uint_eq(in_use(), 0);
}

static void freed_block_is_used_again(void)
{
    begin();
    void *first = kin_malloc(64);
    size_t used = stats().used;
    for (int i = 0; i < 100000; i++) {
        kin_free(first);
        first = kin_malloc(64);
        if (!first)
            ck_abort_msg("%s", kin_error_message());
    }
    ck_assert_uint_eq(stats().used, used);
    ck_assert_uint_eq(in_use(), 1);
}

static void zeroed_memory_is_zero_even_if_used_before(void)
{
    begin();
    static const size_t sizes[] = {1, 16, 100, 5000, 32768, 32769, 200000, 3000000};
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            unsigned char *block = kin_calloc(1, sizes[i]);
            ck_assert(all_are(block, sizes[i], 0));
            memset(block, 0xaa, kin_usable_size(block));
            kin_free(block);
        }
    ck_assert_ptr_null(kin_calloc(SIZE_MAX / 2, 3));
    expect_error(KIN_EINVAL, "overflows");
    void *none = kin_calloc(0, 7);
    ck_assert_ptr_nonnull(none);
    kin_free(none);
}

static void zero_bytes_give_unique_pointers(void)
{
    begin();
    void *a = kin_malloc(0), *b = kin_malloc(0), *c = kin_realloc(NULL, 0);
    ck_assert(a && b && c && a != b && b != c && a != c);
    a = kin_realloc(a, 0);
    ck_assert_ptr_nonnull(a);
    ck_assert_uint_eq(in_use(), 3);
    kin_free(a);
    kin_free(b);
    kin_free(c);
}

static void resizing_keeps_contents(void)
{
    begin();
    struct dice dice = {2};
    unsigned char *block = NULL;
    size_t has = 0;
    for (int i = 0; i < 3000; i++) {
        size_t size = some_size(&dice);
        block = kin_realloc(block, size);
        ck_assert_ptr_nonnull(block);
        size_t at = 0;
        while (at < has && at < size && block[at] == ((at * 7) & 255))
            at++;
        ck_assert_uint_eq(at, has < size ? has : size);
        for (at = 0; at < size; at++)
            block[at] = (unsigned char)(at * 7);
        has = size;
        ck_assert_uint_eq(in_use(), 1);
    }
    kin_free(block);
    check_heap();
}

static void large_block_shrinks_in_place_and_gives_units_back(void)
{
    begin();
    char *block = kin_malloc(8 << 20);
    block[99999] = 7;
    ck_assert_ptr_eq(kin_realloc(block, 100000), block);
    ck_assert_int_eq(block[99999], 7);
    ck_assert_uint_eq(kin_usable_size(block), 2 * KIN__UNIT);
    ck_assert_uint_eq(stats().large_bytes, 2 * KIN__UNIT);
    check_heap();
    kin_free(block);
    check_heap();
}

static void failed_resize_leaves_the_block(void)
{
    begin();
    char *block = kin_strdup("still here");
    ck_assert_ptr_null(kin_realloc(block, SIZE_MAX));
    expect_error(KIN_ENOMEM, "cannot allocate");
    ck_assert_str_eq(block, "still here");
    int local;
    ck_assert_ptr_null(kin_realloc(&local, 5));
    expect_error(KIN_EINVAL, "not a block");
    kin_free(block);
    ck_assert_ptr_null(kin_realloc(block, 5));
    expect_error(KIN_EINVAL, "not a block");
}

static void alignment_is_kept(void)
{
    begin();
    static const size_t sizes[] = {0, 1, 100, 4097, 33000, 70000, 3 << 20};
    void *block[31][7];
    unsigned last = kin__region_size > (size_t)32 << 30 ? 30 : 22; /* under valgrind regions are small */
    for (unsigned log = 0; log <= last; log++)
        for (size_t i = 0; i < 7; i++) {
            size_t alignment = (size_t)1 << log;
            block[log][i] = kin_aligned_alloc(alignment, sizes[i]);
            ck_assert_msg(block[log][i] != NULL, "%s", kin_error_message());
            ck_assert_uint_eq((uintptr_t)block[log][i] % alignment, 0);
            ck_assert_uint_ge(kin_usable_size(block[log][i]), sizes[i]);
            memset(block[log][i], 1, sizes[i]);
        }
    check_heap();
    for (unsigned log = 0; log <= last; log++)
        for (size_t i = 0; i < 7; i++)
            kin_free(block[log][i]);
    check_heap();
    ck_assert_uint_eq(in_use(), 0);
    ck_assert_ptr_null(kin_aligned_alloc(0, 1));
    expect_error(KIN_EINVAL, "power of two");
    ck_assert_ptr_null(kin_aligned_alloc(48, 1));
    ck_assert_ptr_null(kin_aligned_alloc((size_t)1 << 31, 1));
    expect_error(KIN_EINVAL, "1 GiB");
}

static void strings_are_copied(void)
{
    begin();
    char *copy = kin_strdup("a string");
    ck_assert_str_eq(copy, "a string");
    ck_assert(kin_is_shared(copy));
    kin_free(copy);
    ck_assert_ptr_null(kin_strdup(NULL));
    expect_error(KIN_EINVAL, "NULL");
}

static void must_refuse(void *pointer, const char *why)
{
    kin_error_clear();
    kin_free(pointer);
    expect_error(KIN_EINVAL, why);
    char text[32];
    snprintf(text, sizeof text, "%p", pointer);
    expect_error(KIN_EINVAL, text);
    check_heap();
}

static void bad_frees_are_told_and_do_no_harm(void)
{
    begin();
    kin_log_set_level(KIN_LOG_OFF);
    int local;
    char *small = kin_malloc(200), *big = kin_malloc(20000), *large = kin_malloc(200000);
    must_refuse(&local, "not memory of the shared heap");
    must_refuse((void *)8, "not memory of the shared heap");
    must_refuse((void *)-8, "not memory of the shared heap");
    must_refuse(kin__region, "not memory of the shared heap");
    must_refuse((char *)kin__region + kin__region_size - 8, "not memory of the shared heap");
    must_refuse(kin__heap(), "not memory of the shared heap");
    must_refuse(small + 1, "not the start");
    must_refuse(small + 16, "not the start");
    must_refuse(big + 16, "not the start");
    must_refuse(big + 65536, "not the start");
    must_refuse(large + 16, "not the start");
    must_refuse(large + 65536, "not the start");
    must_refuse(large + 196608, "not the start");
    must_refuse(kin__unit_address(1) + 65520, "not the start"); /* what is left after a span's last block */
    must_refuse(small + ((uintptr_t)small % KIN__UNIT < 32768 ? 448 : -448), "free already");
    must_refuse(large + ((size_t)8 << 20), "not the start");
    kin_free(small);
    kin_free(big);
    kin_free(large);
    must_refuse(small, "free already");
    must_refuse(big, "free already");
    must_refuse(large, "free already");
    ck_assert_uint_eq(in_use(), 0);
}

static void free_and_free_again(void *block)
{
    kin_log_set_level(KIN_LOG_OFF);
    kin_free(block);
    child_assert(kin_error_code() == 0);
    kin_free(block);
    child_assert(kin_error_code() == KIN_EINVAL);
}

static void double_free_in_another_process_is_told(void)
{
    begin();
    kin_log_set_level(KIN_LOG_OFF);
    void *keep = kin_malloc(64), *block = kin_malloc(64), *large = kin_malloc(100000);
    in_child(free_and_free_again, block);
    in_child(free_and_free_again, large);
    must_refuse(block, "free already");
    must_refuse(large, "free already");
    check_heap();
    ck_assert_uint_eq(in_use(), 1);
    kin_free(keep);
}

/* ---- against a model ------------------------------------------------------------------------- */

enum { MODEL = 4000 };

struct model {
    unsigned char *block[MODEL];
    size_t size[MODEL];
};

static void verify(const struct model *model, int i)
{
    const unsigned char *block = model->block[i];
    size_t size = model->size[i];
    for (size_t at = 0; at < size; at += size < 64 ? 1 : size / 64)
        child_assert(block[at] == (unsigned char)(i + at));
}

static void fill(struct model *model, int i, size_t size)
{
    model->size[i] = size;
    for (size_t at = 0; at < size; at += size < 64 ? 1 : size / 64)
        model->block[i][at] = (unsigned char)(i + at);
}

static void step(struct model *model, struct dice *dice)
{
    int i = (int)roll(dice, MODEL);
    if (!model->block[i]) {
        size_t size = some_size(dice);
        model->block[i] = roll(dice, 4) ? kin_malloc(size) : kin_calloc(1, size);
        child_assert(model->block[i]);
        fill(model, i, size);
        return;
    }
    verify(model, i);
    if (roll(dice, 4)) {
        kin_free(model->block[i]);
        model->block[i] = NULL;
        return;
    }
    size_t size = some_size(dice), had = model->size[i];
    model->block[i] = kin_realloc(model->block[i], size);
    child_assert(model->block[i]);
    if (size < had)
        return fill(model, i, size); /* its samples lie elsewhere */
    verify(model, i);
    fill(model, i, size);
}

static void random_work_agrees_with_a_model(void)
{
    begin();
    static struct model model;
    struct dice dice = {3};
    int rounds = test_long() ? 100 : 5;
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < 20000; i++)
            step(&model, &dice);
        check_heap();
        size_t expected = 0;
        for (int i = 0; i < MODEL; i++)
            expected += model.block[i] != NULL;
        ck_assert_uint_eq(in_use(), expected);
    }
    for (int i = 0; i < MODEL; i++)
        kin_free(model.block[i]);
    check_heap();
    ck_assert_uint_eq(in_use(), 0);
}

/* ---- between processes ----------------------------------------------------------------------- */

/* One slot has one owner at a time: whoever swaps the pointer out. */
struct exchange {
    unsigned char *_Atomic slot[512];
};

static void swap_blocks(struct exchange *exchange, uint64_t seed, int count)
{
    struct dice dice = {seed};
    for (int i = 0; i < count; i++) {
        size_t size = some_size(&dice) + 16;
        unsigned char *mine = kin_malloc(size);
        child_assert(mine);
        memcpy(mine, &size, sizeof size);
        mine[size - 1] = (unsigned char)size;
        unsigned char *theirs = atomic_exchange(&exchange->slot[roll(&dice, 512)], mine);
        if (!theirs)
            continue;
        memcpy(&size, theirs, sizeof size);
        child_assert(kin_usable_size(theirs) >= size);
        child_assert(theirs[size - 1] == (unsigned char)size);
        kin_free(theirs);
    }
}

static void drain(struct exchange *exchange)
{
    for (int i = 0; i < 512; i++)
        kin_free(atomic_exchange(&exchange->slot[i], NULL));
}

static void processes_free_each_others_blocks(void)
{
    begin();
    struct exchange *exchange = shared(sizeof *exchange);
    int count = test_long() ? 1000000 : 40000;
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        swap_blocks(exchange, 11, count);
        kin__thread_leave();
        _exit(0);
    }
    swap_blocks(exchange, 12, count);
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    kin__members_sweep();
    check_heap();
    drain(exchange);
    check_heap();
    ck_assert_uint_eq(in_use(), 0);
    ck_assert_uint_eq(stats().possibly_lost, 0);
}

static void read_list(void *arg)
{
    struct node {
        struct node *next;
        int value;
    } *node = arg;
    int expected = 999;
    for (; node; node = node->next)
        child_assert(node->value == expected--);
    child_assert(expected == -1);
}

static void pointers_mean_the_same_in_a_child(void)
{
    begin();
    struct node {
        struct node *next;
        int value;
    } *list = NULL;
    for (int i = 0; i < 1000; i++) {
        struct node *node = kin_malloc(sizeof *node);
        *node = (struct node){list, i};
        list = node;
    }
    in_child(read_list, list);
}

static void leave_blocks(void *arg)
{
    char **out = arg;
    for (int i = 0; i < 100; i++)
        out[i] = kin_strdup("from a child");
}

static void blocks_outlive_their_maker(void)
{
    begin();
    char **out = shared(100 * sizeof *out);
    in_child(leave_blocks, out);
    check_heap();
    ck_assert_uint_eq(stats().deaths, 1);
    ck_assert_uint_eq(in_use(), 100);
    for (int i = 0; i < 100; i++) {
        ck_assert_str_eq(out[i], "from a child");
        kin_free(out[i]);
    }
    check_heap();
    ck_assert_uint_eq(in_use(), 0);
    ck_assert_uint_eq(stats().possibly_lost, 1); /* the last one: nobody knows whether it was noted */
    ck_assert_uint_eq(stats().last_lost, (uintptr_t)out[99]);
}

/* ---- deaths ---------------------------------------------------------------------------------- */

static void work_until_killed(struct model *model, uint64_t seed, _Atomic bool *at_work)
{
    struct dice dice = {seed};
    kin_free(kin_malloc(1));
    *at_work = true;
    for (;;) {
        int i = (int)roll(&dice, MODEL);
        unsigned char *block = model->block[i];
        if (block) {
            model->block[i] = NULL; /* first: the survivor frees what is noted */
            kin_free(block);
        } else {
            model->block[i] = kin_malloc(some_size(&dice));
        }
    }
}

static void kill_after(pid_t pid, _Atomic bool *at_work, uint32_t ns)
{
    while (!*at_work && test_time_left() > 0)
        sched_yield();
    struct timespec pause = {0, (long)ns};
    nanosleep(&pause, NULL);
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

static void killed_children_leave_the_heap_whole(void)
{
    begin();
    struct model *model = shared(sizeof *model);
    _Atomic bool *at_work = shared(sizeof *at_work);
    struct dice dice = {5};
    unsigned deaths = test_long() ? 5000 : 300;
    for (unsigned i = 0; i < deaths; i++) {
        *at_work = false;
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0)
            work_until_killed(model, i, at_work);
        kill_after(pid, at_work, roll(&dice, 3000000));
        kin__members_sweep();
        check_heap();
        for (int at = 0; at < MODEL; at += 1 + (int)(i % 3)) { /* its successors free the others */
            kin_free(model->block[at]);
            model->block[at] = NULL;
        }
    }
    for (int at = 0; at < MODEL; at++)
        kin_free(model->block[at]);
    check_heap();
    kin_heap_stats now = stats();
    printf("# %u deaths: %zu blocks stayed behind, %llu may have\n", deaths, in_use(),
           (unsigned long long)now.possibly_lost);
    ck_assert_uint_eq(now.deaths, deaths);
    ck_assert_uint_le(in_use(), deaths);
}

static void ended_child_gives_its_spans_back(void)
{
    begin();
    char **out = shared(100 * sizeof *out);
    for (int i = 0; i < 200; i++) {
        in_child(leave_blocks, out);
        for (int at = 0; at < 100; at++)
            kin_free(out[at]);
    }
    check_heap();
    ck_assert_uint_eq(in_use(), 0);
    ck_assert_uint_eq(stats().deaths, 200);
    ck_assert_uint_le(stats().spans, 3);
    ck_assert_uint_le(kin__heap()->threads_top, 4);
}

static const struct test tests[] = {
    {"classes_fit_their_sizes", classes_fit_their_sizes, 20, 0},
    {"calls_before_init_say_so", calls_before_init_say_so, 5, 0},
    {"blocks_are_apart_aligned_and_large_enough", blocks_are_apart_aligned_and_large_enough, 10, 0},
    {"freed_block_is_used_again", freed_block_is_used_again, 5, 0},
    {"zeroed_memory_is_zero_even_if_used_before", zeroed_memory_is_zero_even_if_used_before, 10, 0},
    {"zero_bytes_give_unique_pointers", zero_bytes_give_unique_pointers, 5, 0},
    {"resizing_keeps_contents", resizing_keeps_contents, 20, 0},
    {"large_block_shrinks_in_place_and_gives_units_back", large_block_shrinks_in_place_and_gives_units_back,
     5, 0},
    {"failed_resize_leaves_the_block", failed_resize_leaves_the_block, 5, 0},
    {"alignment_is_kept", alignment_is_kept, 10, 0},
    {"strings_are_copied", strings_are_copied, 5, 0},
    {"bad_frees_are_told_and_do_no_harm", bad_frees_are_told_and_do_no_harm, 5, 0},
    {"double_free_in_another_process_is_told", double_free_in_another_process_is_told, 5, 0},
    {"random_work_agrees_with_a_model", random_work_agrees_with_a_model, 30, 0},
    {"processes_free_each_others_blocks", processes_free_each_others_blocks, 30, 0},
    {"pointers_mean_the_same_in_a_child", pointers_mean_the_same_in_a_child, 5, 0},
    {"blocks_outlive_their_maker", blocks_outlive_their_maker, 5, TEST_NOT_VALGRIND},
    {"killed_children_leave_the_heap_whole", killed_children_leave_the_heap_whole, 60, TEST_NOT_VALGRIND},
    {"ended_child_gives_its_spans_back", ended_child_gives_its_spans_back, 20, TEST_NOT_VALGRIND},
};
TEST_MAIN("heap", tests)
