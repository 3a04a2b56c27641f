/*
 * filtered_test.c - system calls that are not to be had. Old seccomp filters, of containers above all, answer EPERM
 * for calls that they do not know, where an old kernel says ENOSYS: both mean "absent".
 */
#include "cases/common.h"

#include "family/region.h"
#include "kin.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

/* From here on `call` fails with `error`; if `flag` is not 0, only with that bit in its argument `number`. */
static void refuse(long call, int error, unsigned number, unsigned flag)
{
    const unsigned argument = (unsigned)offsetof(struct seccomp_data, args[0]) + 8 * number;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument),
        flag ? (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, flag, 0, 1)
             : (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JA, 0, 0, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        test_skip("no seccomp filter may be set here");
}

static int use_the_heap(void *arg)
{
    void *small = kin_malloc(64), *large = kin_calloc(1, 1 << 20);
    child_assert(small && large);
    kin_free(small);
    kin_free(large);
    return arg != NULL;
}

static int twice(kin_task *task, const int *in, int *out)
{
    (void)task;
    *out = 2 * *in;
    return 0;
}

/* Children one after another, beside each other, below each other's heap, and in a pool. */
static void everything_works(void)
{
    test_init();
    exits_with(start(use_the_heap, NULL, 0), 0);
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

static const int absent[] = {EPERM, ENOSYS};

/* In processes of their own, as no filter is ever taken off again. */
static void without(const long *calls, size_t count, unsigned number, unsigned flag, void (*body)(void))
{
    for (size_t i = 0; i < 2 * count; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            refuse(calls[i / 2], absent[i % 2], number, flag);
            body();
            exit(0);
        }
        ended_well(pid);
    }
}

/* All later than Linux 5.3 but the first, and none of them one that kin cannot do without. */
static void new_calls_can_be_done_without(void)
{
    static const long calls[] = {
        SYS_statx,
        SYS_close_range,
        SYS_openat2,
        SYS_faccessat2,
        SYS_pidfd_getfd,
        SYS_epoll_pwait2,
        SYS_process_madvise,
        SYS_membarrier,

        SYS_memfd_secret,
#ifdef SYS_futex_waitv
        SYS_futex_waitv,
#endif
#ifdef SYS_process_mrelease
        SYS_process_mrelease,
#endif
    };
    without(calls, sizeof calls / sizeof *calls, 0, 0, everything_works);
}

#define ROUNDS 50

/* A word into one of three queues after another, as soon as the last one is back. */
static int answer_from_all(void *arg)
{
    kin_queue **queues = arg;
    int word;
    for (int i = 0; i < ROUNDS; i++) {
        child_assert(kin_queue_put(queues[i % 3], &i, sizeof i, KIN_FOREVER) == 0);
        child_assert(kin_queue_get(queues[3], &word, sizeof word, NULL, 20) == 0 && word == i);
    }
    return 0;
}

/* Of three queues, which is what futex_waitv is for; and beside a connection, where a thread does it. */
static void several_queues_are_waited_for(void)
{
    test_init();
    kin_connection *ends[2];
    kin_queue *queues[4];
    ck_assert_int_eq(kin_pipe(ends, true), 0);
    for (int i = 0; i < 4; i++)
        ck_assert_ptr_nonnull(queues[i] = kin_queue_new(NULL));
    kin_process *process = start(answer_from_all, queues, sizeof queues);
    for (int i = 0; i < ROUNDS; i++) {
        kin_waitable items[] = {
            {.object = queues[0]}, {.object = queues[1]}, {.object = queues[2]}, {.object = ends[0]}};
        size_t ready = 0;
        int word = -1;
        ck_assert_msg(kin_wait(items, 3 + (size_t)(i % 2), &ready, test_time_left()) == 0, "%s",
                      kin_error_message());
        ck_assert(ready == 1 && items[i % 3].ready);
        ck_assert_int_eq(kin_queue_get(queues[i % 3], &word, sizeof word, NULL, 0), 0);
        ck_assert_int_eq(word, i);
        ck_assert_int_eq(kin_queue_put(queues[3], &word, sizeof word, 0), 0);
    }
    exits_with(process, 0);
    kin_waitable none[] = {{.object = queues[0]}, {.object = queues[1]}};
    ck_assert_int_eq(kin_wait(none, 2, NULL, 0.02), KIN_ETIMEDOUT);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(kin_queue_free(queues[i]), 0);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(kin_connection_close(ends[i]), 0);
}

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

static void without_futex_waitv_several_queues_are_waited_for(void)
{
    static const long calls[] = {SYS_futex_waitv};
    without(calls, 1, 0, 0, several_queues_are_waited_for);
}

static void without_the_new_flag_of_memfds_all_works(void)
{
    static const long calls[] = {SYS_memfd_create};
    without(calls, 1, 1, MFD_NOEXEC_SEAL, everything_works);
}

/* The C library takes only ENOSYS for "absent": by EPERM it has neither threads nor posix_spawn left. */
static void forks_work_without_threads(void)
{
    kin_log_set_level(KIN_LOG_ERROR); /* there is no guardian: told as a warning */
    test_init();
    for (int i = 0; i < 5; i++) {
        kin_process *two[2];
        for (int j = 0; j < 2; j++) {
            two[j] =
                kin_process_start(use_the_heap, NULL, 0, KIN_PROCESS_OPTIONS(.start_method = KIN_START_FORK));
            ck_assert_msg(two[j] != NULL, "%s", kin_error_message());
        }
        exits_with(two[0], 0);
        exits_with(two[1], 0);
    }
    size_t descriptors = open_descriptors();
    ck_assert_ptr_null(
        kin_process_start(use_the_heap, NULL, 0, KIN_PROCESS_OPTIONS(.start_method = KIN_START_SPAWN)));
    ck_assert_int_eq(kin_error_code(), KIN_ESYSTEM);
    ck_assert_ptr_null(kin_pool_new(NULL));
    ck_assert_int_eq(kin_error_code(), KIN_ESYSTEM);
    ck_assert_uint_eq(open_descriptors(), descriptors);
}

static void without_clone3_processes_start(void)
{
    const int errors[] = {EPERM, ENOSYS};
    for (int i = 0; i < 2; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            refuse(SYS_clone3, errors[i], 0, 0);
            errors[i] == EPERM ? forks_work_without_threads() : everything_works();
            exit(0);
        }
        ended_well(pid);
    }
}

static void init_says_so(void)
{
    ck_assert_int_eq(kin_init(&test_argc, &test_argv), KIN_ESYSTEM);
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "shared memory"));
}

static void without_memfds_init_says_so(void)
{
    static const long calls[] = {SYS_memfd_create};
    without(calls, 1, 0, 0, init_says_so);
}

/* Nobody may cut the region short under the others, which would be SIGBUS for all. */
static void region_cannot_be_shrunk(void)
{
    test_init();
    ck_assert_int_eq(ftruncate(kin__region_fd, 4096), -1);
    ck_assert_int_eq(errno, EPERM);
    exits_with(start(use_the_heap, NULL, 0), 0);
}

/* And nothing is left of what could not be watched. */
static void start_says_so(void)
{
    test_init();
    size_t descriptors = 0;
    for (int i = 0; i < 10; i++) {
        ck_assert_ptr_null(
            kin_process_start(use_the_heap, NULL, 0, KIN_PROCESS_OPTIONS(.start_method = test_method())));
        ck_assert_int_eq(kin_error_code(), KIN_ESYSTEM);
        ck_assert_msg(strstr(kin_error_message(), "pidfd_open") != NULL, "%s", kin_error_message());
        if (i == 0)
            descriptors = open_descriptors(); /* the first start may open one that is kept */
    }
    ck_assert_uint_eq(open_descriptors(), descriptors);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
    kin_free(kin_malloc(100000));
}

static void without_pidfds_a_start_says_so(void)
{
    static const long calls[] = {SYS_pidfd_open};
    without(calls, 1, 0, 0, start_says_so);
}

static const struct test tests[] = {
    {"new_calls_can_be_done_without", new_calls_can_be_done_without, 60, TEST_EACH_METHOD},
    {"without_the_new_flag_of_memfds_all_works", without_the_new_flag_of_memfds_all_works, 20,
     TEST_EACH_METHOD},
    {"without_futex_waitv_several_queues_are_waited_for", without_futex_waitv_several_queues_are_waited_for,
     20, TEST_EACH_METHOD},
    {"without_clone3_processes_start", without_clone3_processes_start, 20, TEST_EACH_METHOD},
    {"region_cannot_be_shrunk", region_cannot_be_shrunk, 10, TEST_EACH_METHOD},
    {"without_memfds_init_says_so", without_memfds_init_says_so, 10, TEST_EACH_METHOD},
    {"without_pidfds_a_start_says_so", without_pidfds_a_start_says_so, 10, TEST_EACH_METHOD},
};
TEST_MAIN("cases_filtered", tests)
