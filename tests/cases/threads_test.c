/* threads_test.c - main threads that end before their process, and forks amid busy threads. */
#include "cases/common.h"

#include "kin.h"

#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

struct board {
    _Atomic int main_is_gone, may_end, pid;
    _Atomic int result;
    int code;
};

static struct board *new_board(int code)
{
    struct board *board = kin_calloc(1, sizeof *board);
    ck_assert_ptr_nonnull(board);
    board->code = code;
    return board;
}

static size_t arenas(void)
{
    kin_heap_stats stats = {.size = sizeof stats};
    ck_assert_int_eq(kin_heap_get_stats(&stats), 0);
    return stats.arenas;
}

/* ---- pthread_exit in main ---- */

static int do_nothing(void *arg)
{
    return arg != NULL;
}

static bool a_child_serves(void)
{
    kin_process *child = kin_process_start(do_nothing, NULL, 0, NULL);
    bool good = child && kin_process_join(child, 10) == 0;
    kin_process_free(child);
    return good;
}

/* Of the main thread only the leader of a zombie group is left. */
static void wait_for_main_threads_end(void)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)getpid());
    for (bool zombie = false; !zombie; usleep(500)) {
        char text[128] = "";
        FILE *file = fopen(path, "re");
        zombie = !file || !fgets(text, sizeof text, file) || strstr(text, ") Z ");
        if (file)
            fclose(file);
    }
}

static void *go_on_without_main(void *arg)
{
    struct board *board = arg;
    wait_for_main_threads_end();
    void *block = kin_malloc(100000);
    child_assert(block != NULL);
    kin_free(block);
    child_assert(a_child_serves());
    atomic_store(&board->main_is_gone, 1);
    while (!atomic_load(&board->may_end))
        usleep(500);
    if (board->code)
        exit(board->code);
    return NULL; /* the last thread: the process ends with exit code 0 */
}

/* LeakSanitizer asks (sanitizer/lsan_interface.h): with its stack gone, what Check keeps there seems lost. */
int __lsan_is_turned_off(void) __attribute__((visibility("default")));
static int main_has_left;

int __lsan_is_turned_off(void)
{
    return main_has_left;
}

static int leave_by_pthread_exit(void *arg)
{
    struct board *board = *(struct board **)arg;
    kin_arena *arena = kin_arena_new();
    pthread_t thread;
    child_assert(arena && kin_arena_malloc(arena, 100));
    child_assert(pthread_create(&thread, NULL, go_on_without_main, board) == 0);
    main_has_left = 1;
    pthread_exit(NULL);
    return 99;
}

static void check_member_without_main_thread(int code)
{
    test_init();
    struct board *board = new_board(code);
    kin_process *process = start(leave_by_pthread_exit, &board, sizeof board);
    wait_for(&board->main_is_gone);
    exits_with(start(do_nothing, NULL, 0), 0);
    ck_assert(kin_process_is_alive(process));
    ck_assert_int_eq(kin_process_join(process, 0.15), KIN_ETIMEDOUT); /* a waiter looks each 0.1 s */
    ck_assert_uint_eq(arenas(), 1);
    atomic_store(&board->may_end, 1);
    exits_with(process, code);
    ck_assert_uint_eq(arenas(), 0);
}

static void member_lives_on_without_its_main_thread(void)
{
    check_member_without_main_thread(0);
}

static void member_without_main_thread_exits_with_its_code(void)
{
    check_member_without_main_thread(7);
}

static void member_without_main_thread_can_be_killed(void)
{
    test_init();
    struct board *board = new_board(0);
    kin_process *process = start(leave_by_pthread_exit, &board, sizeof board);
    wait_for(&board->main_is_gone);
    kin_process_kill(process);
    ck_assert_int_eq(finish(process).signal, SIGKILL);
    ck_assert_uint_eq(arenas(), 0);
}

static int leave_alone(void *arg)
{
    (void)arg;
    main_has_left = 1;
    pthread_exit(NULL);
    return 99;
}

static void member_whose_only_thread_leaves_ends_with_code_0(void)
{
    test_init();
    exits_with(start(leave_alone, NULL, 0), 0);
}

static void founder_goes_on_without_its_main_thread(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        test_init();
        struct board *board = new_board(7);
        atomic_store(&board->may_end, 1);
        leave_by_pthread_exit(&board);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 7 << 8);
}

/* ---- forks amid busy threads ---- */

static _Atomic bool stop;
static _Atomic int at_work;
static FILE *from_pipe;

static void *read_line(void *arg)
{
    char line[100];
    atomic_fetch_add(&at_work, 1);
    return fgets(line, sizeof line, arg); /* holds the stream's lock all the time */
}

static void *use_private_heap(void *arg)
{
    atomic_fetch_add(&at_work, 1);
    while (!atomic_load(&stop))
        for (size_t size = 16; size < 300000; size *= 3)
            free(malloc(size));
    return arg;
}

/* Large blocks: each is taken and given back under the lock of the heap. */
static void *use_shared_heap(void *arg)
{
    atomic_fetch_add(&at_work, 1);
    while (!atomic_load(&stop)) {
        kin_free(kin_malloc(64));
        kin_free(kin_malloc(100000));
    }
    return arg;
}

static int use_everything(void *arg)
{
    for (int i = 0; i < 20; i++) {
        free(malloc(100000));
        void *small = kin_malloc(64), *large = kin_malloc(100000);
        child_assert(small && large);
        kin_free(small);
        kin_free(large);
    }
    fprintf(stderr, "%s", "");
    child_assert(fflush(NULL) == 0);
    return arg != NULL;
}

static pthread_t busy[3];
static int to_reader[2];

static void start_busy_threads(void)
{
    void *(*bodies[])(void *) = {read_line, use_private_heap, use_shared_heap};
    ck_assert_int_eq(pipe(to_reader), 0);
    from_pipe = fdopen(to_reader[0], "r");
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&busy[i], NULL, bodies[i], from_pipe), 0);
    while (atomic_load(&at_work) < 3)
        usleep(500);
    while (ftrylockfile(from_pipe) == 0) { /* until the reader has it */
        funlockfile(from_pipe);
        usleep(500);
    }
}

static void end_busy_threads(void)
{
    atomic_store(&stop, true);
    ck_assert_int_eq(write(to_reader[1], "\n", 1), 1);
    for (int i = 0; i < 3; i++)
        pthread_join(busy[i], NULL);
    fclose(from_pipe);
    close(to_reader[1]);
}

static void processes_start_amid_busy_threads(void)
{
    test_init();
    start_busy_threads();
    for (int i = 0; i < 100; i++)
        exits_with(start(use_everything, NULL, 0), 0);
    end_busy_threads();
}

static _Atomic bool looks;

static int pass_over(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)info, (void)size, (void)arg;
    return 0;
}

/* Has the loader's lock most of the time; it is not free in a child that was forked then. */
static void *look_at_modules(void *arg)
{
    while (atomic_load(&looks))
        dl_iterate_phdr(pass_over, NULL);
    return arg;
}

static int die(kin_task *task, const void *in, void *out)
{
    (void)task, (void)in, (void)out;
    return raise(SIGKILL);
}

static int add_one(kin_task *task, const void *in, void *out)
{
    (void)task;
    *(int *)out = *(const int *)in + 1;
    return 0;
}

static int submit_one(kin_task *task, const void *in, void *out)
{
    return kin_pool_apply(
        kin_task_context(task), add_one,
        KIN_APPLY_ARGS(.in = in, .in_size = sizeof(int), .out = out, .out_size = sizeof(int)));
}

/* A pool of the task's own, whose workers are forked again. */
static int add_by_a_pool_of_its_own(kin_task *task, const void *in, void *out)
{
    (void)task;
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 1, .start_method = KIN_START_FORK));
    if (!pool)
        return kin_error_code();
    int error = kin_pool_apply(
        pool, add_one, KIN_APPLY_ARGS(.in = in, .in_size = sizeof(int), .out = out, .out_size = sizeof(int)));
    kin_pool_free(pool);
    return error;
}

static void pools_in_tasks_start_while_a_thread_has_the_loaders_lock(void)
{
    test_init();
    pthread_t looker;
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 1, .start_method = KIN_START_FORK));
    atomic_store(&looks, true);
    ck_assert_int_eq(pthread_create(&looker, NULL, look_at_modules, NULL), 0);
    for (int i = 0; i < 20; i++) {
        int out = 0;
        ck_assert_int_eq(kin_pool_apply(pool, die, NULL),
                         KIN_EDIED); /* the next worker is forked beside the looker */
        ck_assert_msg(kin_pool_apply(pool, add_by_a_pool_of_its_own,
                                     KIN_APPLY_ARGS(.in = &i, .in_size = sizeof i, .out = &out,
                                                    .out_size = sizeof out)) == 0,
                      "%s", kin_error_message());
        ck_assert_int_eq(out, i + 1);
    }
    atomic_store(&looks, false);
    pthread_join(looker, NULL);
    kin_pool_free(pool);
}

static void workers_start_while_a_thread_has_the_loaders_lock(void)
{
    test_init();
    pthread_t looker;
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 1, .start_method = KIN_START_FORK));
    atomic_store(&looks, true);
    ck_assert_int_eq(pthread_create(&looker, NULL, look_at_modules, NULL), 0);
    for (int i = 0; i < 20; i++) {
        int out = 0;
        ck_assert_int_eq(kin_pool_apply(pool, die, NULL), KIN_EDIED);
        ck_assert_int_eq(kin_pool_apply(pool, submit_one,
                                        KIN_APPLY_ARGS(.in = &i, .in_size = sizeof i, .out = &out,
                                                       .out_size = sizeof out, .context = pool)),
                         0);
        ck_assert_int_eq(out, i + 1);
    }
    atomic_store(&looks, false);
    pthread_join(looker, NULL);
    kin_pool_free(pool);
}

static void fork_amid_busy_threads(pid_t (*by)(void))
{
    test_init();
    start_busy_threads();
    for (int i = 0; i < 100; i++) {
        pid_t pid = by();
        if (pid == 0) {
            kin_free(kin_malloc(100000));
            void *small = kin_malloc(64);
            _exit(!small || !a_child_serves());
        }
        ended_well(pid);
    }
    end_busy_threads();
}

static void plain_forks_amid_busy_threads_serve(void)
{
    fork_amid_busy_threads(fork);
}

/* ---- a stopped member ---- */

static int hold_a_lock(void *arg)
{
    kin_lock *lock = *(kin_lock **)arg;
    child_assert(kin_lock_acquire(lock, KIN_FOREVER) == 0);
    raise(SIGSTOP);
    return 0;
}

static void stopped_member_delays_nobody_past_a_timeout(void)
{
    test_init();
    kin_lock *lock = kin_lock_new(NULL);
    ck_assert_ptr_nonnull(lock);
    kin_process *process = start(hold_a_lock, &lock, sizeof lock);
    int status, pid = kin_process_pid(process);
    ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
    ck_assert(WIFSTOPPED(status));
    ck_assert_int_eq(kin_lock_acquire(lock, 0.1), KIN_ETIMEDOUT);
    ck_assert_int_eq(kin_process_join(process, 0.1), KIN_ETIMEDOUT);
    kin_free(kin_malloc(100000));
    exits_with(start(do_nothing, NULL, 0), 0);
    kin_process_kill(process);
    ck_assert_int_eq(finish(process).signal, SIGKILL);
    ck_assert_int_eq(kin_lock_acquire(lock, TOP), KIN_EOWNERDIED);
    ck_assert_int_eq(kin_lock_release(lock), 0);
    ck_assert_int_eq(kin_lock_free(lock), 0);
}

/* ---- children at the end of a member ---- */

static int sleep_then_tell(void *arg)
{
    struct board *board = *(struct board **)arg;
    while (!atomic_load(&board->may_end))
        usleep(500);
    atomic_store(&board->result, 77);
    return 0;
}

static int sleep_for_ever(void *arg)
{
    struct board *board = *(struct board **)arg;
    atomic_store(&board->pid, (int)getpid());
    for (;;)
        pause();
    return 0;
}

static int return_while_children_run(void *arg)
{
    struct board *board = *(struct board **)arg;
    const kin_process *daemon =
        kin_process_start(sleep_for_ever, arg, sizeof board, KIN_PROCESS_OPTIONS(.daemon = true));
    child_assert(daemon != NULL);
    child_assert(kin_process_start(sleep_then_tell, arg, sizeof board, NULL));
    while (!atomic_load(&board->pid))
        usleep(500);
    atomic_store(&board->may_end, 1);
    if (board->code)
        exit(board->code);
    return 0;
}

static void member_that_ends_joins_children_and_ends_daemons(void)
{
    test_init();
    for (int code = 0; code < 6; code += 5) {
        struct board *board = new_board(code);
        exits_with(start(return_while_children_run, &board, sizeof board), code);
        ck_assert_int_eq(board->result, 77);
        ck_assert(is_gone(board->pid));
    }
}

static const struct test tests[] = {
    /* LeakSanitizer takes what lay on the stack of a main thread that has ended for leaks: none of these with it. */
    {"member_lives_on_without_its_main_thread", member_lives_on_without_its_main_thread, 10,
     TEST_EACH_METHOD},
    {"member_without_main_thread_exits_with_its_code", member_without_main_thread_exits_with_its_code, 10,
     TEST_EACH_METHOD},
    {"member_without_main_thread_can_be_killed", member_without_main_thread_can_be_killed, 10,
     TEST_EACH_METHOD},
    {"member_whose_only_thread_leaves_ends_with_code_0", member_whose_only_thread_leaves_ends_with_code_0, 10,
     TEST_EACH_METHOD},
    {"founder_goes_on_without_its_main_thread", founder_goes_on_without_its_main_thread, 10,
     TEST_NOT_VALGRIND},
    {"pools_in_tasks_start_while_a_thread_has_the_loaders_lock",
     pools_in_tasks_start_while_a_thread_has_the_loaders_lock, 60, TEST_NOT_VALGRIND},
    {"workers_start_while_a_thread_has_the_loaders_lock", workers_start_while_a_thread_has_the_loaders_lock,
     60, 0},
    {"processes_start_amid_busy_threads", processes_start_amid_busy_threads, 30, TEST_EACH_METHOD},
    {"plain_forks_amid_busy_threads_serve", plain_forks_amid_busy_threads_serve, 30, TEST_NOT_VALGRIND},
    {"stopped_member_delays_nobody_past_a_timeout", stopped_member_delays_nobody_past_a_timeout, 10,
     TEST_EACH_METHOD},
    {"member_that_ends_joins_children_and_ends_daemons", member_that_ends_joins_children_and_ends_daemons, 10,
     TEST_EACH_METHOD},
};
TEST_MAIN("cases_threads", tests)
