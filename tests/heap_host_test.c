/*
 * heap_host_test.c - the heap in programs that fork with threads, cancel them, close descriptors they do not know,
 * or have no memory to give back.
 */
#include "heap_common.h"

#include "family/region.h"
#include "family/span.h"
#include "family/thread.h"
#include "family/units.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void *shared(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(memory, MAP_FAILED);
    return memory;
}

static void end_well(pid_t pid)
{
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    kin__members_sweep();
}

/* ---- fork ------------------------------------------------------------------------------------ */

static void *use_heap(void *arg)
{
    kin_free(kin_malloc(16));
    return arg;
}

static void run_thread(void *(*body)(void *))
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, body, NULL) || pthread_join(thread, NULL))
        abort();
}

/* Blocks that nobody else may have meanwhile: how many were written to all the same. */
static long broken_blocks(uint32_t tag)
{
    long broken = 0;
    for (int round = 0; round < 20000; round++) {
        volatile uint32_t *blocks[8];
        for (int i = 0; i < 8; i++) {
            blocks[i] = kin_malloc(64);
            blocks[i][0] = blocks[i][15] = tag;
        }
        for (int i = 0; i < 8; i++) {
            broken += blocks[i][0] != tag || blocks[i][15] != tag;
            kin_free((void *)blocks[i]);
        }
    }
    return broken;
}

/* In the child another thread than the one that forked is the first to call kin. */
static void fork_and_share(pid_t (*fork_by)(void))
{
    begin();
    kin_free(kin_malloc(64));
    pid_t pid = fork_by();
    if (pid == 0) {
        run_thread(use_heap);
        _exit(broken_blocks(2) ? 1 : 0);
    }
    ck_assert_int_eq(broken_blocks(1), 0);
    end_well(pid);
    check_heap();
    ck_assert_uint_eq(in_use(), 0);
}

static void child_whose_other_thread_is_first_has_slots_of_its_own(void)
{
    fork_and_share(fork);
}

static void the_same_after_fork_without_handlers(void)
{
    fork_and_share(_Fork);
}

static void child_that_leaves_by_pthread_exit_keeps_its_parents_slot_whole(void)
{
    begin();
    kin_free(kin_malloc(64));
    const struct kin__thread *mine = kin__thread_mine;
    kin__id owner = mine->owner;
    pid_t pid = fork();
    if (pid == 0) {
        run_thread(use_heap);
        pthread_exit(NULL);
    }
    end_well(pid);
    ck_assert_uint_eq(mine->owner, owner);
    ck_assert_int_eq(broken_blocks(1), 0);
    check_heap();
}

/* ---- cancelled threads ----------------------------------------------------------------------- */

static void *allocate_cancelled(void *size)
{
    kin_free(kin_malloc(16));
    pthread_cancel(pthread_self());
    kin_free(kin_malloc((size_t)(uintptr_t)size));
    kin_free((void *)(uintptr_t)1); /* refused, with a line in the log */
    pthread_testcancel();
    return NULL;
}

static void cancelled_thread_leaves_the_heap_whole(void)
{
    begin();
    kin_log_set_level(KIN_LOG_OFF);
    size_t sizes[] = {64, 5000, 30000, 1 << 20, 200 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        pthread_t thread;
        void *result;
        ck_assert_int_eq(pthread_create(&thread, NULL, allocate_cancelled, (void *)sizes[i]), 0);
        ck_assert_int_eq(pthread_join(thread, &result), 0);
        ck_assert_ptr_eq(result, PTHREAD_CANCELED);
        check_heap();
        ck_assert_uint_eq(in_use(), 0);
    }
}

/* Its thread ends in the middle of an operation, as if it were cancelled there. */
static void *end_with_open_block(void *arg)
{
    if (!kin__heap_open(100, NULL))
        abort();
    return arg;
}

static void thread_that_ends_in_a_call_leaves_nothing(void)
{
    begin();
    run_thread(end_with_open_block);
    check_heap();
    ck_assert_uint_eq(in_use(), 0);
}

/* ---- a descriptor that is the program's by now ----------------------------------------------- */

/* Close kin's descriptor; a file of `size` bytes 'x' takes its number. */
static int take_descriptor(size_t size)
{
    char name[] = "/tmp/kin-host-XXXXXX";
    close(kin__region_fd);
    int fd = mkstemp(name);
    unlink(name);
    if (fd != kin__region_fd) {
        ck_assert_int_eq(dup2(fd, kin__region_fd), kin__region_fd);
        close(fd);
    }
    char *bytes = malloc(size);
    memset(bytes, 'x', size);
    ck_assert_int_eq(write(kin__region_fd, bytes, size), (ssize_t)size);
    free(bytes);
    return kin__region_fd;
}

static bool only_x(int fd, size_t size)
{
    unsigned char *bytes = malloc(size);
    bool good = pread(fd, bytes, size, 0) == (ssize_t)size && all_are(bytes, size, 'x');
    free(bytes);
    return good;
}

static void closed_descriptor_harms_neither_heap_nor_file(void)
{
    begin();
    const size_t size = (size_t)24 << 20;
    unsigned char *block = kin_malloc(8 << 20);
    memset(block, 1, 8 << 20);
    int fd = take_descriptor(size);
    kin_free(block);
    size_t trimmed;
    ck_assert_int_eq(kin_heap_trim(&trimmed), 0);
    ck_assert_uint_ge(trimmed, 8 << 20);
    block = kin_calloc(1, 12 << 20); /* Linux before 5.14 cannot get memory without the descriptor */
    if (!block)
        expect_error(KIN_ESYSTEM, "has closed kin's descriptor");
    else
        ck_assert(all_are(block, 12 << 20, 0));
    kin_free(block);
    ck_assert(only_x(fd, size));
    struct stat about;
    ck_assert_int_eq(fstat(fd, &about), 0);
    ck_assert_int_eq(about.st_size, (off_t)size);
    ck_assert_ptr_null(kin_process_start(NULL, NULL, 0, NULL));
    check_heap();
}

static int nothing(void *arg)
{
    return arg != NULL;
}

static void closed_descriptor_is_told_when_spawning(void)
{
    begin();
    take_descriptor(10);
    ck_assert_ptr_null(
        kin_process_start(nothing, NULL, 0, KIN_PROCESS_OPTIONS(.start_method = KIN_START_SPAWN)));
    expect_error(KIN_ESYSTEM, "has closed kin's descriptor");
}

/* Pages that are locked into memory cannot be given back by address. */
static void memory_that_cannot_be_given_back_is_zeroed_when_asked(void)
{
    begin();
    kin_log_set_level(KIN_LOG_OFF);
    const size_t size = (size_t)1 << 20;
    unsigned char *block = kin_malloc(size);
    memset(block, 1, size);
    if (mlock(block, size))
        test_skip("no page may be locked into memory here");
    take_descriptor(10);
    kin_free(block);
    size_t trimmed, warm = stats().warm;
    ck_assert_int_eq(kin_heap_trim(&trimmed), 0);
    ck_assert_uint_eq(trimmed, 0);
    ck_assert_uint_eq(stats().warm, warm); /* it still counts */
    check_heap();
    for (int i = 0; i < 20; i++) {
        block = kin_calloc(1, size);
        ck_assert(all_are(block, size, 0));
    }
    check_heap();
}

/* ---- the rest -------------------------------------------------------------------------------- */

static void small_region_is_told_as_such(void)
{
    kin_init_options options = {.size = sizeof options, .region_size = (size_t)100 << 20};
    ck_assert_int_eq(kin_init_with(NULL, NULL, &options), KIN_EINVAL);
    expect_error(KIN_EINVAL, "it must be at least 256 MiB");
}

static void shrinking_that_fails_to_move_records_nothing(void)
{
    begin();
    char *block = kin_malloc(30000), *kept = kin_malloc(16);
    kin__thread_set_quota(0);
    while (kin_malloc(16)) /* what lies in the thread's spans may still be had */
        ;
    kin_error_clear();
    ck_assert_ptr_eq(kin_realloc(block, 16), block);
    ck_assert_int_eq(kin_error_code(), 0);
    kin_free(kept);
    kin_free(block);
}

/* A span is taken from its list in a transaction that is not made true, and freed in meanwhile. */
static void span_freed_in_while_it_was_being_taken_is_given_back(void)
{
    begin();
    enum { SIZE = 16384 };
    void **blocks = shared(4096);
    pid_t pid = fork();
    if (pid == 0) {
        /* A span of another size class, of which one block is left when its owner leaves it. */
        blocks[0] = kin_malloc(SIZE);
        kin__thread_leave();
        _exit(0);
    }
    end_well(pid);
    unsigned class = kin__class_of(SIZE);
    uint32_t unit = kin__heap()->partial[class];
    ck_assert_uint_ne(unit, 0);
    pid = fork();
    if (pid == 0) {
        struct kin__thread *thread = kin__thread_self();
        kin__journal_begin(); /* as change_span does */
        kin__list_remove(&kin__heap()->partial[class], unit);
        kin__journal_set32(&kin__span_at(unit)->listed, 0);
        kin__journal_set32(&kin__span_at(unit)->owner, thread->index);
        kin__journal_set32(&thread->cache[class].span, unit);
        *(pid_t *)(blocks + 1) = getpid();
        for (;;)
            pause();
    }
    while (*(volatile pid_t *)(blocks + 1) != pid)
        usleep(1000);
    kin_free(blocks[0]);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    kin__members_sweep();
    check_heap();
    ck_assert_uint_eq(in_use(), 0);
}

static const struct test tests[] = {
    {"child_whose_other_thread_is_first_has_slots_of_its_own",
     child_whose_other_thread_is_first_has_slots_of_its_own, 20, TEST_NOT_VALGRIND},
    {"the_same_after_fork_without_handlers", the_same_after_fork_without_handlers, 20, TEST_NOT_VALGRIND},
    /* A main thread that leaves by pthread_exit has LeakSanitizer report what Check keeps on its stack. */
    {"child_that_leaves_by_pthread_exit_keeps_its_parents_slot_whole",
     child_that_leaves_by_pthread_exit_keeps_its_parents_slot_whole, 20, TEST_NOT_VALGRIND | TEST_NOT_ASAN},
    {"cancelled_thread_leaves_the_heap_whole", cancelled_thread_leaves_the_heap_whole, 20, 0},
    {"thread_that_ends_in_a_call_leaves_nothing", thread_that_ends_in_a_call_leaves_nothing, 5, 0},
    /* It is closed on purpose, and another opened in its place. */
    {"closed_descriptor_harms_neither_heap_nor_file", closed_descriptor_harms_neither_heap_nor_file, 20,
     TEST_KEEPS_DESCRIPTORS | TEST_NOT_VALGRIND},
    {"closed_descriptor_is_told_when_spawning", closed_descriptor_is_told_when_spawning, 5,
     TEST_KEEPS_DESCRIPTORS},
    /* AddressSanitizer makes mlock do nothing. */
    {"memory_that_cannot_be_given_back_is_zeroed_when_asked",
     memory_that_cannot_be_given_back_is_zeroed_when_asked, 20,
     TEST_KEEPS_DESCRIPTORS | TEST_NOT_VALGRIND | TEST_NOT_ASAN},
    {"small_region_is_told_as_such", small_region_is_told_as_such, 5, 0},
    {"shrinking_that_fails_to_move_records_nothing", shrinking_that_fails_to_move_records_nothing, 5, 0},
    {"span_freed_in_while_it_was_being_taken_is_given_back",
     span_freed_in_while_it_was_being_taken_is_given_back, 10, TEST_NOT_VALGRIND},
};
TEST_MAIN("heap_host", tests)
