/* progress_test.c - kin/progress.h: what workers are doing, when asked; the bar and the plain lines; a map that is resumed. */
#include "harness.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kin.h"

enum { TASKS = 12 };

/* Let go on by the progress function, so that no test has to guess how long something takes. */
struct gate {
    _Atomic int open;
    _Atomic int pids[2];
};

static int pass_gate(kin_task *task, size_t index, struct gate *gate)
{
    if (index < 2)
        atomic_store(&gate->pids[index], (int)getpid());
    while (index < 2 && !atomic_load(&gate->open))
        usleep(1000);
    return index == 7 ? kin_task_fail(task, "seven") : 0;
}

struct asked {
    struct gate *gate;
    kin_progress_options *bar;
    bool seen, told_wrong;
    size_t done, failed;
};

/* Tasks 0 and 1 hang: wait until both have been seen for a quarter of a second, then let them go. */
static int ask(const kin_progress *progress, void *arg)
{
    struct asked *asked = arg;
    kin_progress_bar(progress, asked->bar);
    int hanging = 0;
    asked->done = asked->failed = 0;
    for (int i = 0; i < progress->seats; i++) {
        kin_progress_state state = {.size = sizeof state};
        if (kin_progress_worker(progress, i, &state) != 0)
            asked->told_wrong = true;
        asked->done += state.done;
        asked->failed += state.failed;
        if (!state.running || state.index > 1)
            continue;
        hanging += state.seconds > 0.25;
        asked->told_wrong |=
            state.pid != atomic_load(&asked->gate->pids[state.index]) || state.seconds > progress->elapsed;
    }
    if (hanging == 2) {
        asked->seen = true;
        atomic_store(&asked->gate->open, 1);
    }
    kin_progress_state state = {.size = sizeof state};
    asked->told_wrong |= kin_progress_worker(progress, progress->seats, &state) != KIN_EINVAL;
    asked->told_wrong |= kin_progress_worker(progress, -1, &state) != KIN_EINVAL;
    asked->told_wrong |= kin_progress_worker(progress, 0, NULL) != KIN_EINVAL;
    return 0;
}

static void run(struct asked *asked)
{
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 2, .name = "p", .start_method = test_method()));
    ck_assert_msg(pool != NULL, "%s", kin_error_message());
    asked->gate = kin_calloc(1, sizeof *asked->gate);
    ck_assert_int_eq(
        kin_pool_for(pool, (kin_for_fn)pass_gate,
                     KIN_MAP_ARGS(.context = asked->gate, .count = TASKS, .chunk = 1, .progress = ask,
                                  .progress_arg = asked, .on_failure = KIN_COLLECT)),
        KIN_EFAILED);
    ck_assert(asked->seen);
    ck_assert(!asked->told_wrong);
    ck_assert_uint_eq(asked->done, TASKS);
    ck_assert_uint_eq(asked->failed, 1);
    kin_free(asked->gate);
    kin_pool_free(pool);
}

static void workers_states_are_told_when_asked(void)
{
    test_init();
    run(&(struct asked){.bar = KIN_PROGRESS_OPTIONS(.off = true)});
    kin_progress_state state = {.size = sizeof state};
    ck_assert_int_eq(kin_progress_worker(NULL, 0, &state), KIN_EINVAL);
}

/* What the map says on stderr meanwhile, which is that descriptor. */
static void run_with_stderr(int fd, struct asked *asked)
{
    int before = dup(STDERR_FILENO);
    ck_assert_int_ge(dup2(fd, STDERR_FILENO), 0);
    run(asked);
    ck_assert_int_ge(dup2(before, STDERR_FILENO), 0);
    close(before);
}

static char said[100000];

static void run_with_file(kin_progress_options *bar)
{
    char path[] = "/tmp/kin-progress-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    unlink(path);
    run_with_stderr(fd, &(struct asked){.bar = bar});
    ssize_t length = pread(fd, said, sizeof said - 1, 0);
    ck_assert_int_ge(length, 0);
    said[length] = '\0';
    close(fd);
}

static void plain_lines_tell_workers_when_asked(void)
{
    test_init();
    run_with_file(KIN_PROGRESS_OPTIONS(.workers = true, .plain_period = 0.1));
    ck_assert_msg(strstr(said, "p: worker 0 (process ") != NULL, "%s", said);
    ck_assert_msg(strstr(said, "): task 1 for 0.") != NULL, "%s", said);
    ck_assert_msg(strstr(said, "p: 12/12  ") != NULL && strstr(said, "  1 failed\n") != NULL, "%s", said);
    ck_assert_msg(strchr(said, '\r') == NULL && strchr(said, '\033') == NULL, "%s", said);
    run_with_file(KIN_PROGRESS_OPTIONS(.plain_period = 0.1));
    ck_assert_msg(strstr(said, "worker") == NULL && strstr(said, "p: 0/12  ") != NULL, "%s", said);
}

static void off_says_nothing(void)
{
    test_init();
    run_with_file(KIN_PROGRESS_OPTIONS(.off = true, .workers = true, .plain_period = 0.01));
    ck_assert_str_eq(said, "");
}

static void bar_tells_workers_as_far_as_there_is_room(void)
{
    test_init();
    for (unsigned short columns = 60; columns <= 120; columns += 60) {
        struct winsize size = {.ws_col = columns, .ws_row = 24};
        int master, slave;
        ck_assert_int_eq(openpty(&master, &slave, NULL, NULL, &size), 0);
        run_with_stderr(slave, &(struct asked){.bar = KIN_PROGRESS_OPTIONS(.workers = true)});
        size_t length = 0;
        struct pollfd readable = {.fd = master, .events = POLLIN};
        while (length < sizeof said - 1 && poll(&readable, 1, 0) == 1 && readable.revents & POLLIN)
            length += (size_t)read(master, said + length, sizeof said - 1 - length);
        said[length] = '\0';
        close(slave);
        close(master);
        bool first = strstr(said, ": #0 0.") != NULL, second = strstr(said, ": #1 0.") != NULL;
        ck_assert_msg(columns == 120
                          ? first && second
                          : !(first && second && strstr(said, "  0: #0") && strstr(said, "  1: #1")),
                      "%d columns: %s", columns, said);
        ck_assert_msg(strstr(said, "12/12") != NULL, "%s", said);
    }
}

static int fail_at_five(kin_task *task, size_t index, void *context)
{
    (void)task;
    (void)context;
    return index == 5;
}

static int keep(const kin_progress *progress, void *arg)
{
    kin_progress *last = arg;
    if (progress->finished)
        *last = *progress;
    return 0;
}

static void resumed_tasks_are_told_and_count_for_no_rate(void)
{
    char path[] = "/tmp/kin-progress-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    test_init();
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 1));
    kin_progress last = {0};
    const kin_map_args *args = KIN_MAP_ARGS(.count = 10, .journal = path, .progress = keep,
                                            .progress_arg = &last, .on_failure = KIN_COLLECT);
    ck_assert_int_eq(kin_pool_for(pool, fail_at_five, args), KIN_EFAILED);
    ck_assert_uint_eq(last.resumed, 0);
    ck_assert_uint_eq(last.done, 10);
    ck_assert_int_eq(kin_pool_for(pool, fail_at_five, args), KIN_EFAILED);
    ck_assert_uint_eq(last.resumed, 9);
    ck_assert_uint_eq(last.done, 10);
    ck_assert_uint_eq(last.failed, 1);
    ck_assert_double_lt(last.rate, 1.01 / last.elapsed);
    kin_pool_free(pool);
    unlink(path);
}

static const struct test tests[] = {
    {"workers_states_are_told_when_asked", workers_states_are_told_when_asked, 20, TEST_EACH_METHOD},
    {"plain_lines_tell_workers_when_asked", plain_lines_tell_workers_when_asked, 20, TEST_NOT_VALGRIND},
    {"off_says_nothing", off_says_nothing, 20, TEST_NOT_VALGRIND},
    {"bar_tells_workers_as_far_as_there_is_room", bar_tells_workers_as_far_as_there_is_room, 20,
     TEST_NOT_VALGRIND},
    {"resumed_tasks_are_told_and_count_for_no_rate", resumed_tasks_are_told_and_count_for_no_rate, 20,
     TEST_NOT_VALGRIND},
};
TEST_MAIN("progress", tests)
