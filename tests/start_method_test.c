/* start_method_test.c - kin/start_method.h: templates and what is prepared in them, their deaths; default methods. What is true
 * of children under each method is tested where it is told of, by TEST_EACH_METHOD. */
#include "harness.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kin.h"

#define TOP (test_time_left() - 0.5)
#define FORKSERVER KIN_PROCESS_OPTIONS(.start_method = KIN_START_FORKSERVER)

/* What all see. */
struct board {
    _Atomic int templates; /* that have been prepared */
    _Atomic int template;  /* the last one's pid */
    _Atomic int ended_in_order;
    _Atomic int pid, parent;
    _Atomic int stop;
    pthread_mutex_t mutex;
};

static struct board *board;
static struct board *prepared_with; /* in the template, and in what is forked from it */
static int loaded;
static int loaded_by; /* pid */

static void begin(void)
{
    test_init();
    board = kin_calloc(1, sizeof *board);
    ck_assert_ptr_nonnull(board);
}

static void note_end(void)
{
    if (loaded_by == (int)getpid())
        atomic_fetch_add(&prepared_with->ended_in_order, 1);
}

static int load(void *arg)
{
    prepared_with = *(struct board **)arg;
    loaded = 42;
    loaded_by = (int)getpid();
    atomic_store(&prepared_with->template, (int)getpid());
    atomic_fetch_add(&prepared_with->templates, 1);
    atexit(note_end);
    return 0;
}

static void prepare(void)
{
    int error = kin_forkserver_prepare(load, &board, sizeof board, TOP);
    ck_assert_msg(error == 0, "%s", kin_error_message());
}

static kin_process *start(kin_process_fn fn, void *shared)
{
    kin_process *process = kin_process_start_shared(fn, shared, FORKSERVER);
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    return process;
}

static void exits_with(kin_process *process, int code)
{
    kin_end end;
    char text[200];
    ck_assert_msg(kin_process_join(process, TOP) == 0, "%s", kin_error_message());
    ck_assert_int_eq(kin_process_end(process, &end), 0);
    ck_assert_msg(end.how == KIN_END_EXITED && end.exit_code == code, "%s",
                  kin_end_text(&end, text, sizeof text));
    kin_process_free(process);
}

static void run(kin_process_fn fn, int code)
{
    exits_with(start(fn, board), code);
}

/* Until it is gone, or a zombie. */
static void await_end_of(int pid)
{
    char path[64], text[256];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    for (;; usleep(1000)) {
        FILE *file = fopen(path, "re");
        bool over = !file || !fgets(text, sizeof text, file) || strstr(text, ") Z ");
        if (file)
            fclose(file);
        if (over)
            return;
        ck_assert_msg(TOP > 0, "process %d is still there", pid);
    }
}

/* ---- what is prepared ---------------------------------------------------------------------------- */

static int return_loaded(void *arg)
{
    (void)arg;
    return loaded;
}

static int return_loaded_of_mine(void *arg)
{
    child_assert(prepared_with == arg);
    loaded++; /* the next one's is the template's again */
    return loaded;
}

static void state_is_loaded_once_for_all_children(void)
{
    begin();
    run(return_loaded, 0);
    prepare();
    for (int i = 0; i < 5; i++)
        run(return_loaded_of_mine, 43);
    ck_assert_int_eq(atomic_load(&board->templates), 1);
    ck_assert_int_eq(loaded, 0); /* it is none of ours */
}

static int sleep_until_told(void *arg)
{
    while (!atomic_load(&((struct board *)arg)->stop))
        usleep(1000);
    return loaded;
}

static void another_preparation_makes_another_template(void)
{
    begin();
    prepare();
    int first = atomic_load(&board->template);
    kin_process *child = start(sleep_until_told, board);
    prepare();
    ck_assert_int_ne(atomic_load(&board->template), first);
    await_end_of(first);
    ck_assert_int_eq(kill(first, 0), -1); /* waited for, too */
    run(return_loaded, 42);
    ck_assert_int_eq(kin_forkserver_prepare(NULL, NULL, 0, TOP), 0);
    run(return_loaded, 0);
    ck_assert(kin_process_is_alive(child)); /* the first one's */
    atomic_store(&board->stop, 1);
    exits_with(child, 42);
}

static void *wait_for_ever(void *arg)
{
    for (;;)
        pause();
    return arg;
}

enum way { RETURN, RECORD, CRASH, EXIT, THREAD, HANG };

static int fail_to_load(void *arg)
{
    pthread_t thread;
    switch (*(enum way *)arg) {
    case RETURN:
        return 256;
    case RECORD:
        return kin_error_set(-1234, "no data in \"%s\"", "/nowhere");
    case CRASH:
        raise(SIGSEGV);
        return 0;
    case EXIT:
        exit(0);
    case THREAD:
        return pthread_create(&thread, NULL, wait_for_ever, NULL);
    default:
        wait_for_ever(NULL);
        return 0;
    }
}

static void failure_to_prepare_is_told_and_changes_nothing(void)
{
    static const struct {
        enum way way;
        int code;
        const char *text;
    } ways[] = {
        {RETURN, KIN_EFAILED, "returned 256"},
        {RECORD, -1234, "no data in \"/nowhere\""},
        {CRASH, KIN_EDIED, "SIGSEGV"},
        {EXIT, KIN_EFAILED, "exit code 0"},
        {THREAD, KIN_ENOTSUP, "1 thread running"},
        {HANG, KIN_ETIMEDOUT, "not ready after 0.3"},
    };
    begin();
    prepare();
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        double patience = ways[i].way == HANG ? 0.3 : TOP;
        int error = kin_forkserver_prepare(fail_to_load, &ways[i].way, sizeof ways[i].way, patience);
        ck_assert_msg(error == ways[i].code && strstr(kin_error_message(), ways[i].text), "%d: %s", error,
                      kin_error_message());
        run(return_loaded, 42);
    }
    ck_assert_int_eq(atomic_load(&board->templates), 1);
}

static void misuse_is_told(void)
{
    begin();
    ck_assert_int_eq(kin_forkserver_prepare(load, NULL, 4, 1), KIN_EINVAL);
    ck_assert_int_eq(kin_forkserver_prepare(NULL, &board, sizeof board, 1), KIN_EINVAL);
    ck_assert_int_eq(kin_forkserver_prepare(load, &board, sizeof board, -1), KIN_EINVAL);
    ck_assert_int_eq(kin_forkserver_prepare(load, &board, SIZE_MAX / 2, 1), KIN_EINVAL);
    ck_assert_int_eq(kin_set_start_method(4), KIN_EINVAL);
    ck_assert_int_eq(kin_set_start_method(-1), KIN_EINVAL);
    ck_assert_int_eq(kin_start_method_by_name("teleport"), KIN_EINVAL);
    ck_assert_int_eq(kin_start_method_by_name(NULL), KIN_EINVAL);
    ck_assert_int_eq(kin_all_start_methods(NULL, 1, NULL), KIN_EINVAL);
}

static void it_needs_kin_init_with_arguments(void)
{
    size_t count;
    int method = 0;
    ck_assert_int_eq(kin_get_start_method(), KIN_ENOINIT);
    ck_assert_int_eq(kin_set_start_method(KIN_START_SPAWN), KIN_ENOINIT);
    ck_assert_int_eq(kin_forkserver_prepare(NULL, NULL, 0, 1), KIN_ENOINIT);
    ck_assert_int_eq(kin_init(NULL, NULL), 0);
    ck_assert_ptr_null(kin_process_start(return_loaded, NULL, 0, FORKSERVER));
    ck_assert_int_eq(kin_error_code(), KIN_ENOTSUP);
    ck_assert_int_eq(kin_forkserver_prepare(NULL, NULL, 0, 1), KIN_ENOTSUP);
    ck_assert_int_eq(kin_set_start_method(KIN_START_FORKSERVER), KIN_ENOTSUP);
    ck_assert_int_eq(kin_all_start_methods(&method, 1, &count), 0);
    ck_assert(count == 1 && method == KIN_START_FORK);
}

/* ---- whose the children are ---------------------------------------------------------------------- */

static int tell_parent(void *arg)
{
    struct board *its = arg;
    atomic_store(&its->parent, (int)getppid());
    atomic_store(&its->pid, (int)getpid());
    child_assert(kin_process_pid(kin_parent_process()) == (int)getppid());
    return 5;
}

static void children_are_the_starters(void)
{
    begin();
    kin_process *process = start(tell_parent, board);
    siginfo_t info = {0};
    ck_assert_int_eq(waitid(P_PID, (id_t)kin_process_pid(process), &info, WEXITED | WNOWAIT), 0);
    ck_assert_int_eq(info.si_status, 5);
    ck_assert_int_eq(info.si_code, CLD_EXITED);
    exits_with(process, 5);
    ck_assert_int_eq(atomic_load(&board->parent), (int)getpid());
}

static void *in_a_thread(void *arg)
{
    return arg;
}

/* What libc keeps of a thread must be the child's own, or a lock that it dies with would be stuck. */
static int use_libc_and_die_with_a_lock(void *arg)
{
    struct board *its = arg;
    pthread_mutexattr_t how;
    pthread_mutex_t own;
    pthread_t thread;
    int *tid = NULL;
    child_assert(prctl(PR_GET_TID_ADDRESS, &tid, 0, 0, 0) != 0 || *tid == (int)syscall(SYS_gettid));
    pthread_mutexattr_init(&how);
    pthread_mutexattr_settype(&how, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(&own, &how);
    child_assert(pthread_mutex_lock(&own) == 0);
    child_assert(pthread_mutex_lock(&own) == EDEADLK);
    child_assert(pthread_mutex_unlock(&own) == 0);
    child_assert(pthread_create(&thread, NULL, in_a_thread, NULL) == 0 && pthread_join(thread, NULL) == 0);
    child_assert(pthread_kill(pthread_self(), 0) == 0);
    child_assert(pthread_mutex_lock(&its->mutex) == 0);
    raise(SIGKILL);
    return 0;
}

static void lock_of_a_child_that_dies_is_passed_on(void)
{
    begin();
    pthread_mutexattr_t how;
    pthread_mutexattr_init(&how);
    pthread_mutexattr_setpshared(&how, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&how, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&board->mutex, &how);
    for (int i = 0; i < 20; i++) {
        kin_process *process = start(use_libc_and_die_with_a_lock, board);
        kin_end end;
        ck_assert_int_eq(kin_process_join(process, TOP), 0);
        kin_process_end(process, &end);
        ck_assert_int_eq(end.signal, SIGKILL);
        kin_process_free(process);
        ck_assert_int_eq(pthread_mutex_trylock(&board->mutex), EOWNERDEAD);
        pthread_mutex_consistent(&board->mutex);
        pthread_mutex_unlock(&board->mutex);
    }
}

static void template_is_no_child_for_the_program(void)
{
    size_t count;
    begin();
    prepare();
    ck_assert_int_eq(kin_active_children(NULL, 0, &count), 0);
    ck_assert_uint_eq(count, 0);
    kin_process *found, *child = start(sleep_until_told, board);
    ck_assert_int_eq(kin_active_children(&found, 1, &count), 0);
    ck_assert(count == 1 && found == child);
    atomic_store(&board->stop, 1);
    exits_with(child, 42);
}

static int start_another(void *arg)
{
    kin_process *below = kin_process_start_shared(return_loaded, arg, FORKSERVER);
    child_assert(below && kin_process_join(below, 20) == 0);
    kin_end end;
    kin_process_end(below, &end);
    kin_process_free(below);
    return end.exit_code;
}

static void children_have_templates_of_their_own(void)
{
    begin();
    prepare();
    run(start_another, 42);
    ck_assert_int_eq(atomic_load(&board->templates), 2);
    kin_process *forked =
        kin_process_start_shared(start_another, board, KIN_PROCESS_OPTIONS(.start_method = KIN_START_FORK));
    exits_with(forked, 42);
    ck_assert_int_eq(atomic_load(&board->templates), 3);
    kin_process *spawned =
        kin_process_start_shared(start_another, board, KIN_PROCESS_OPTIONS(.start_method = KIN_START_SPAWN));
    exits_with(spawned, 0);
    ck_assert_int_eq(atomic_load(&board->templates), 3);
}

static void plain_fork_has_a_template_of_its_own(void)
{
    begin();
    prepare();
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        run(tell_parent, 5);
        child_assert(atomic_load(&board->parent) == (int)getpid());
        exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(atomic_load(&board->templates), 2);
    run(return_loaded, 42);
    ck_assert_int_eq(atomic_load(&board->templates), 2);
}

#define THREADS 4
#define EACH 25

static void *start_many(void *arg)
{
    for (int i = 0; i < EACH; i++) {
        kin_process *process = kin_process_start_shared(return_loaded, arg, FORKSERVER);
        kin_end end;
        if (!process || kin_process_join(process, 20) != 0 || kin_process_end(process, &end) != 0 ||
            end.exit_code != 42)
            return NULL;
        kin_process_free(process);
    }
    return arg;
}

static int start_many_in_threads(void *arg)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        child_assert(pthread_create(&threads[i], NULL, start_many, arg) == 0);
    for (int i = 0; i < THREADS; i++) {
        void *result;
        pthread_join(threads[i], &result);
        child_assert(result == arg);
    }
    return 0;
}

static void members_and_their_threads_start_at_once(void)
{
    begin();
    prepare();
    kin_process *members[] = {start(start_many_in_threads, board), start(start_many_in_threads, board)};
    start_many_in_threads(board);
    exits_with(members[0], 0);
    exits_with(members[1], 0);
}

/* ---- deaths -------------------------------------------------------------------------------------- */

static int count_warnings;

static void count_warning(int level, const char *text, void *unused)
{
    (void)unused;
    if (level <= KIN_LOG_WARNING && strstr(text, "fork"))
        count_warnings++;
}

static void template_that_was_killed_is_replaced(void)
{
    begin();
    kin_log_set_callback(count_warning, NULL);
    prepare();
    for (int i = 1; i <= 5; i++) {
        int pid = atomic_load(&board->template);
        kill(pid, SIGKILL);
        if (i % 2)
            await_end_of(pid);
        run(return_loaded, 42);
        ck_assert_int_eq(atomic_load(&board->templates), i + 1);
        ck_assert_int_eq(count_warnings, i);
        ck_assert_int_eq(kill(pid, 0), -1); /* and waited for */
    }
}

static void template_that_is_stopped_is_replaced(void)
{
    begin();
    prepare();
    int pid = atomic_load(&board->template);
    kill(pid, SIGSTOP);
    run(return_loaded, 42); /* after 10 s */
    ck_assert_int_ne(atomic_load(&board->template), pid);
    ck_assert_int_eq(kill(pid, 0), -1);
}

static void *kill_templates(void *unused)
{
    unsigned seed = 7;
    while (!atomic_load(&board->stop)) {
        kill(atomic_load(&board->template), SIGKILL);
        usleep((useconds_t)(rand_r(&seed) % 4000));
    }
    return unused;
}

/* Each start makes one child or is told as failed; nothing of it stays. */
static void templates_are_killed_while_they_make_children(void)
{
    begin();
    kin_log_set_level(KIN_LOG_ERROR);
    prepare();
    run(return_loaded, 42);
    kin_heap_stats before = {.size = sizeof before}, after = {.size = sizeof after};
    kin_heap_get_stats(&before);
    pthread_t killer;
    size_t count;
    int failed = 0, rounds = test_long() ? 3000 : 150;
    ck_assert_int_eq(pthread_create(&killer, NULL, kill_templates, NULL), 0);
    for (int i = 0; i < rounds; i++) {
        kin_process *process = kin_process_start_shared(return_loaded, board, FORKSERVER);
        if (process)
            exits_with(process, 42);
        else
            failed++;
        ck_assert_msg(process || kin_error_code() == KIN_EDIED, "%s", kin_error_message());
    }
    atomic_store(&board->stop, 1);
    pthread_join(killer, NULL);
    run(return_loaded, 42);
    printf("# %d starts, %d templates, %d starts told as failed\n", rounds, atomic_load(&board->templates),
           failed);
    ck_assert_int_eq(kin_active_children(NULL, 0, &count), 0);
    ck_assert_uint_eq(count, 0);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), 0); /* no zombie; the last template lives */
    kin_heap_get_stats(&after);
    /* One killed while it allocates may leave a block, which is counted. */
    ck_assert_uint_le(after.small_blocks, before.small_blocks + (after.possibly_lost - before.possibly_lost));
}

static int have_a_template_and_wait(void *arg)
{
    struct board *its = arg;
    child_assert(kin_forkserver_prepare(load, &its, sizeof its, 20) == 0);
    kin_process *below = kin_process_start_shared(sleep_until_told, arg, FORKSERVER);
    child_assert(below != NULL);
    atomic_store(&its->pid, kin_process_pid(below));
    wait_for_ever(NULL);
    return 0;
}

static void template_and_children_end_with_a_killed_member(void)
{
    begin();
    kin_process *member = start(have_a_template_and_wait, board);
    while (!atomic_load(&board->pid))
        usleep(1000);
    kin_process_kill(member);
    ck_assert_int_eq(kin_process_join(member, TOP), 0);
    await_end_of(atomic_load(&board->template));
    await_end_of(atomic_load(&board->pid));
    kin_process_free(member);
}

static int have_a_template_and_return(void *arg)
{
    struct board *its = arg;
    child_assert(kin_forkserver_prepare(load, &its, sizeof its, 20) == 0);
    return 0;
}

static void template_ends_in_order_with_its_process(void)
{
    begin();
    prepare();
    prepare(); /* the first one ends */
    ck_assert_int_eq(atomic_load(&board->ended_in_order), 1);
    exits_with(start(have_a_template_and_return, board), 0);
    ck_assert_int_eq(atomic_load(&board->ended_in_order), 2);
    await_end_of(atomic_load(&board->template));
}

/* A pool's workers are replaced by whoever watches them, which a template's end must not stop. */
static int double_it(kin_task *task, const void *item, void *result)
{
    const int *in = item;
    int *out = result;
    (void)task;
    *out = *in * 2 + loaded;
    return *in == 3 && !atomic_exchange(&prepared_with->stop, 1) ? raise(SIGKILL) : 0;
}

static void pool_works_though_its_template_is_killed(void)
{
    begin();
    kin_log_set_level(KIN_LOG_ERROR);
    prepare();
    for (int i = 0; i < 10; i++) {
        int pid = atomic_load(&board->template), in[] = {1, 2, 3, 4, 5}, out[5];
        kill(pid, SIGKILL);
        await_end_of(pid);
        atomic_store(&board->stop, 0);
        kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 1, .start_method = KIN_START_FORKSERVER));
        ck_assert_msg(pool != NULL, "%s", kin_error_message());
        kill(atomic_load(&board->template), SIGKILL);
        int error = kin_pool_map(pool, double_it,
                                 KIN_MAP_ARGS(.in = in, .in_size = sizeof *in, .out = out,
                                              .out_size = sizeof *out, .count = 5, .retries = 1));
        ck_assert_msg(error == 0, "%s", kin_error_message());
        ck_assert_int_eq(out[4], 52);
        ck_assert_int_eq(kin_pool_finish(pool, TOP), 0);
        kin_pool_free(pool);
    }
}

static int hang_to_load(void *arg)
{
    atomic_store(&(*(struct board **)arg)->pid, (int)getpid());
    wait_for_ever(NULL);
    return 0;
}

static void *prepare_for_ever(void *arg)
{
    return kin_forkserver_prepare(hang_to_load, &arg, sizeof arg, KIN_FOREVER) ? arg : NULL;
}

static int exit_while_it_prepares(void *arg)
{
    pthread_t thread;
    child_assert(pthread_create(&thread, NULL, prepare_for_ever, arg) == 0);
    while (!atomic_load(&((struct board *)arg)->pid))
        usleep(1000);
    return 3;
}

static void process_can_end_while_it_prepares(void)
{
    begin();
    exits_with(start(exit_while_it_prepares, board), 3);
    await_end_of(atomic_load(&board->pid));
}

static int detach_one(void *arg)
{
    struct board *its = arg;
    kin_process *below = kin_process_start_shared(
        sleep_until_told, arg, KIN_PROCESS_OPTIONS(.start_method = KIN_START_FORKSERVER, .detached = true));
    child_assert(below != NULL);
    atomic_store(&its->pid, kin_process_pid(below));
    raise(SIGKILL);
    return 0;
}

static void detached_child_outlives_starter_and_template(void)
{
    begin();
    kin_process *member = start(detach_one, board);
    ck_assert_int_eq(kin_process_join(member, TOP), 0);
    int pid = atomic_load(&board->pid);
    ck_assert_int_ne(pid, 0);
    ck_assert_int_eq(kin_process_join(member, 0), 0);
    usleep(20000);
    ck_assert_int_eq(kill(pid, 0), 0);
    atomic_store(&board->stop, 1);
    await_end_of(pid);
    kin_process_free(member);
}

static void interrupt_is_for_children_not_for_the_template(void)
{
    begin();
    prepare();
    kin_process *child = start(sleep_until_told, board);
    kill(atomic_load(&board->template), SIGINT);
    kill(kin_process_pid(child), SIGINT);
    kin_end end;
    ck_assert_int_eq(kin_process_join(child, TOP), 0);
    kin_process_end(child, &end);
    ck_assert_int_eq(end.signal, SIGINT);
    kin_process_free(child);
    run(return_loaded, 42);
    ck_assert_int_eq(atomic_load(&board->templates), 1);
}

/* ---- default methods ----------------------------------------------------------------------------- */

static int return_default(void *arg)
{
    (void)arg;
    return kin_get_start_method();
}

static void default_is_the_processes_and_goes_to_its_children(void)
{
    begin();
    ck_assert_int_eq(kin_get_start_method(), KIN_START_FORK);
    for (int method = KIN_START_FORK; method <= KIN_START_FORKSERVER; method++) {
        ck_assert_int_eq(kin_set_start_method(method), 0);
        ck_assert_int_eq(kin_get_start_method(), method);
        kin_process *process = kin_process_start(return_default, NULL, 0, NULL);
        ck_assert_ptr_nonnull(process);
        exits_with(process, method);
        exits_with(start(return_default, NULL), method);
    }
    ck_assert_int_eq(kin_set_start_method(KIN_START_DEFAULT), 0);
    ck_assert_int_eq(kin_get_start_method(), KIN_START_FORK);
}

static void methods_are_listed_and_named(void)
{
    begin();
    int all[5];
    size_t count;
    ck_assert_int_eq(kin_set_start_method(KIN_START_SPAWN), 0);
    ck_assert_int_eq(kin_all_start_methods(all, 5, &count), 0);
    ck_assert_uint_eq(count, 3);
    ck_assert(all[0] == KIN_START_SPAWN && all[1] == KIN_START_FORK && all[2] == KIN_START_FORKSERVER);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(kin_start_method_by_name(kin_start_method_name(all[i])), all[i]);
    ck_assert_ptr_null(kin_start_method_name(KIN_START_DEFAULT));
    ck_assert_ptr_null(kin_start_method_name(99));
}

static void environment_names_the_method(void)
{
    setenv("KIN_START_METHOD", "forkserver", 1);
    test_init();
    ck_assert_int_eq(kin_get_start_method(), KIN_START_FORKSERVER);
    exits_with(kin_process_start(return_default, NULL, 0, NULL), KIN_START_FORKSERVER);
}

static kin_process *by(int method)
{
    kin_process *process =
        kin_process_start(return_loaded, NULL, 0, KIN_PROCESS_OPTIONS(.start_method = method));
    ck_assert_ptr_nonnull(process);
    return process;
}

static void fork_beside_threads_is_told_once(void)
{
    begin();
    kin_log_set_callback(count_warning, NULL);
    kin_process *two[] = {by(KIN_START_FORK), by(KIN_START_FORK)}; /* with the guardian, which is kin's */
    exits_with(two[0], 0);
    exits_with(two[1], 0);
    exits_with(by(KIN_START_FORK), 0);
    ck_assert_int_eq(count_warnings, 0);
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_ever, NULL), 0);
    exits_with(by(KIN_START_SPAWN), 0);
    exits_with(by(KIN_START_FORKSERVER), 0);
    ck_assert_int_eq(count_warnings, 0);
    for (int i = 0; i < 3; i++) {
        exits_with(by(KIN_START_FORK), 0);
        ck_assert_int_eq(count_warnings, 1);
    }
    pthread_cancel(thread);
    pthread_join(thread, NULL);
}

/* Those that keep descriptors have a template only in the end. */
static const struct test tests[] = {
    {"state_is_loaded_once_for_all_children", state_is_loaded_once_for_all_children, 20, TEST_BY_FORKSERVER},
    {"another_preparation_makes_another_template", another_preparation_makes_another_template, 20,
     TEST_BY_FORKSERVER},
    {"failure_to_prepare_is_told_and_changes_nothing", failure_to_prepare_is_told_and_changes_nothing, 20,
     TEST_BY_FORKSERVER},
    {"misuse_is_told", misuse_is_told, 10, 0},
    {"it_needs_kin_init_with_arguments", it_needs_kin_init_with_arguments, 10, TEST_KEEPS_DESCRIPTORS},
    {"children_are_the_starters", children_are_the_starters, 20, TEST_BY_FORKSERVER},
    {"lock_of_a_child_that_dies_is_passed_on", lock_of_a_child_that_dies_is_passed_on, 20,
     TEST_BY_FORKSERVER},
    {"template_is_no_child_for_the_program", template_is_no_child_for_the_program, 20, TEST_BY_FORKSERVER},
    {"children_have_templates_of_their_own", children_have_templates_of_their_own, 20, TEST_BY_FORKSERVER},
    {"plain_fork_has_a_template_of_its_own", plain_fork_has_a_template_of_its_own, 20, TEST_BY_FORKSERVER},
    {"members_and_their_threads_start_at_once", members_and_their_threads_start_at_once, 60,
     TEST_BY_FORKSERVER},
    {"template_that_was_killed_is_replaced", template_that_was_killed_is_replaced, 20, TEST_BY_FORKSERVER},
    {"template_that_is_stopped_is_replaced", template_that_is_stopped_is_replaced, 40,
     TEST_BY_FORKSERVER | TEST_LONG_ONLY},
    {"templates_are_killed_while_they_make_children", templates_are_killed_while_they_make_children, 120,
     TEST_BY_FORKSERVER},
    {"template_and_children_end_with_a_killed_member", template_and_children_end_with_a_killed_member, 20,
     TEST_BY_FORKSERVER},
    {"template_ends_in_order_with_its_process", template_ends_in_order_with_its_process, 20,
     TEST_BY_FORKSERVER},
    {"pool_works_though_its_template_is_killed", pool_works_though_its_template_is_killed, 30,
     TEST_BY_FORKSERVER},
    {"process_can_end_while_it_prepares", process_can_end_while_it_prepares, 20, TEST_BY_FORKSERVER},
    {"detached_child_outlives_starter_and_template", detached_child_outlives_starter_and_template, 20,
     TEST_BY_FORKSERVER},
    {"interrupt_is_for_children_not_for_the_template", interrupt_is_for_children_not_for_the_template, 20,
     TEST_BY_FORKSERVER},
    {"default_is_the_processes_and_goes_to_its_children", default_is_the_processes_and_goes_to_its_children,
     20, TEST_NOT_VALGRIND | TEST_KEEPS_DESCRIPTORS},
    {"methods_are_listed_and_named", methods_are_listed_and_named, 10, 0},
    {"environment_names_the_method", environment_names_the_method, 10,
     TEST_NOT_VALGRIND | TEST_KEEPS_DESCRIPTORS},
    {"fork_beside_threads_is_told_once", fork_beside_threads_is_told_once, 20,
     TEST_NOT_VALGRIND | TEST_KEEPS_DESCRIPTORS},
};
TEST_MAIN("start_method", tests)
