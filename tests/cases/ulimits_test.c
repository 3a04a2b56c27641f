/* ulimits_test.c - founders under the limits that shells and batch schedulers set: ulimit -v, -f, -n, -u. */
#include "cases/common.h"

#include "kin.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#define MIB ((size_t)1 << 20)

static void limit(int which, size_t soft)
{
    struct rlimit now;
    ck_assert_int_eq(getrlimit((__rlimit_resource_t)which, &now), 0);
    now.rlim_cur = now.rlim_max = soft;
    ck_assert_int_eq(setrlimit((__rlimit_resource_t)which, &now), 0);
}

static int use_the_heap(void *arg)
{
    unsigned char *block = kin_calloc(1, 8 * MIB);
    child_assert(block && block[8 * MIB - 1] == 0);
    kin_free(block);
    return arg != NULL;
}

static size_t heap_limit(void)
{
    kin_heap_stats stats = {.size = sizeof stats};
    ck_assert_int_eq(kin_heap_get_stats(&stats), 0);
    return stats.limit;
}

static void *do_nothing(void *arg)
{
    return arg;
}

/* The family takes what fits, and leaves the program half of its address space: for threads, malloc, children. */
static void under_ulimit_v_the_region_is_what_fits(void)
{
    limit(RLIMIT_AS, 4096 * MIB);
    test_init();
    ck_assert_uint_le(heap_limit(), 2048 * MIB);
    ck_assert_uint_ge(heap_limit(), 256 * MIB);
    exits_with(start(use_the_heap, NULL, 0), 0);
    kin_process *two[] = {start(use_the_heap, NULL, 0), start(use_the_heap, NULL, 0)}; /* with a guardian */
    exits_with(two[0], 0);
    exits_with(two[1], 0);
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, do_nothing, NULL), 0);
    pthread_join(thread, NULL);
    void *private = malloc(512 * MIB);
    ck_assert_ptr_nonnull(private);
    free(private);
}

static void under_a_small_ulimit_v_init_says_so(void)
{
    limit(RLIMIT_AS, 300 * MIB);
    ck_assert_int_eq(kin_init(&test_argc, &test_argv), KIN_ENOMEM);
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "ulimit -v"));
}

/* What grows a file beyond the limit is killed by SIGXFSZ: the region never does. */
static void under_ulimit_f_the_region_is_what_fits(void)
{
    limit(RLIMIT_FSIZE, 512 * MIB);
    test_init();
    ck_assert_uint_le(heap_limit(), 512 * MIB);
    exits_with(start(use_the_heap, NULL, 0), 0);
    size_t got = 0;
    for (char *block; (block = kin_malloc(16 * MIB)); got += 16 * MIB)
        *block = 1;
    ck_assert_uint_ge(got, 256 * MIB);
    ck_assert(kin_error_code() == KIN_ENOMEM || kin_error_code() == KIN_EMEMLIMIT);
}

static void under_a_small_ulimit_f_init_says_so(void)
{
    limit(RLIMIT_FSIZE, 10 * MIB);
    ck_assert_int_eq(kin_init(&test_argc, &test_argv), KIN_ENOMEM);
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "ulimit -f"));
}

static int sleep_for_ever(void *arg)
{
    (void)arg;
    for (;;)
        pause();
    return 0;
}

enum { MOST = 200 };

/* As many as can be; the number. What is refused leaves nothing, and one that ends makes room for another. */
static int start_to_the_limit(const char *expected, int error)
{
    static kin_process *all[MOST];
    int count = 0;
    while (count < MOST && (all[count] = kin_process_start(
                                sleep_for_ever, NULL, 0, KIN_PROCESS_OPTIONS(.start_method = test_method()))))
        count++;
    ck_assert_int_lt(count, MOST);
    ck_assert_int_eq(kin_error_code(), KIN_ESYSTEM);
    ck_assert_msg(strstr(kin_error_message(), expected) && strstr(kin_error_message(), strerror(error)), "%s",
                  kin_error_message());
    size_t descriptors = open_descriptors(), alive;
    for (int i = 0; i < 20; i++)
        ck_assert_ptr_null(
            kin_process_start(use_the_heap, NULL, 0, KIN_PROCESS_OPTIONS(.start_method = test_method())));
    ck_assert_uint_eq(open_descriptors(), descriptors);
    ck_assert_int_eq(kin_active_children(NULL, 0, &alive), 0);
    ck_assert_uint_eq(alive, (size_t)count);
    kin_process_free(all[--count]);
    kin_process_free(all[--count]);
    exits_with(start(use_the_heap, NULL, 0), 0);
    for (int i = 0; i < count; i++)
        kin_process_free(all[i]);
    return count;
}

static void under_ulimit_n_a_start_fails_with_a_text(void)
{
    test_init();
    size_t own = open_descriptors();
    limit(RLIMIT_NOFILE, 60);
    int count = start_to_the_limit("process", EMFILE);
    ck_assert_int_ge(count, 60 - (int)own - 10); /* one each, and a few for the guardian and the moment */
}

/* Root is not bound by it. */
static void under_ulimit_u_a_start_fails_with_a_text(void)
{
    const uid_t nobodys = 64999;
    if (getuid() == 0 && (setgid(nobodys) != 0 || setuid(nobodys) != 0))
        test_skip("this user may not become another one");
    test_init();
    limit(RLIMIT_NPROC, 30); /* the guardian is one, too */
    test_surroundings_changed();
    int count = start_to_the_limit("process", EAGAIN);
    ck_assert_int_ge(count, 20);
}

static const struct test tests[] = {
    /* AddressSanitizer needs all of the address space. */
    {"under_ulimit_v_the_region_is_what_fits", under_ulimit_v_the_region_is_what_fits, 10,
     TEST_EACH_METHOD | TEST_NOT_ASAN},
    {"under_a_small_ulimit_v_init_says_so", under_a_small_ulimit_v_init_says_so, 10,
     TEST_NOT_VALGRIND | TEST_NOT_ASAN},
    {"under_ulimit_f_the_region_is_what_fits", under_ulimit_f_the_region_is_what_fits, 10, TEST_EACH_METHOD},
    {"under_a_small_ulimit_f_init_says_so", under_a_small_ulimit_f_init_says_so, 10, TEST_NOT_VALGRIND},
    {"under_ulimit_n_a_start_fails_with_a_text", under_ulimit_n_a_start_fails_with_a_text, 20,
     TEST_EACH_METHOD},
    {"under_ulimit_u_a_start_fails_with_a_text", under_ulimit_u_a_start_fails_with_a_text, 20,
     TEST_EACH_METHOD},
};
TEST_MAIN("cases_ulimits", tests)
