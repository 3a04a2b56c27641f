/* lock_test.c - kin/lock.h and kin/rlock.h. What CPython's _TestLock tests is marked so. */
#include "harness.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kin.h"

#define TOP (test_time_left() - 0.5)

/* What a child and its parent share. */
struct world {
    kin_lock *lock;
    kin_rlock *rlock;
    _Atomic uint32_t step;
    uint64_t counters[2];
    int method;
    int result;
};

static struct world *new_world(const kin_lock_options *options)
{
    test_init();
    struct world *world = kin_calloc(1, sizeof *world);
    ck_assert_ptr_nonnull(world);
    world->lock = kin_lock_new(options);
    world->rlock = kin_rlock_new(KIN_RLOCK_OPTIONS(.name = "r"));
    ck_assert_msg(world->lock && world->rlock, "%s", kin_error_message());
    return world;
}

static void free_world(struct world *world)
{
    ck_assert_int_eq(kin_lock_free(world->lock), 0);
    ck_assert_int_eq(kin_rlock_free(world->rlock), 0);
    kin_free(world);
}

static kin_process *start(kin_process_fn fn, struct world *world)
{
    kin_process *process =
        kin_process_start_shared(fn, world, KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    return process;
}

static void join(kin_process *process)
{
    kin_end end;
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    ck_assert_int_eq(kin_process_end(process, &end), 0);
    ck_assert_msg(end.how == KIN_END_EXITED && end.exit_code == 0, "exit code %d, signal %d", end.exit_code,
                  end.signal);
    kin_process_free(process);
}

static void await_step(struct world *world, uint32_t step)
{
    while (atomic_load(&world->step) < step)
        usleep(200);
}

/* ---- CPython, _TestLock ---------------------------------------------------------------------- */

static int try_both(void *arg)
{
    struct world *world = arg;
    child_assert(kin_lock_acquire(world->lock, 0) == KIN_ETIMEDOUT);
    child_assert(kin_rlock_acquire(world->rlock, 0.01) == KIN_ETIMEDOUT);
    child_assert(kin_rlock_release(world->rlock) == KIN_EPERM);
    return 0;
}

/* test_lock; and the same of another process, under each method */
static void lock_is_held_by_one_at_a_time(void)
{
    struct world *world = new_world(NULL);
    ck_assert_int_eq(kin_lock_acquire(world->lock, KIN_FOREVER), 0);
    ck_assert_int_eq(kin_rlock_acquire(world->rlock, KIN_FOREVER), 0);
    ck_assert_int_eq(kin_lock_acquire(world->lock, 0), KIN_ETIMEDOUT);
    join(start(try_both, world));
    ck_assert_int_eq(kin_lock_release(world->lock), 0);
    ck_assert_int_eq(kin_rlock_release(world->rlock), 0);
    ck_assert_int_eq(kin_lock_release(world->lock), KIN_EINVAL);
    free_world(world);
}

/* test_rlock, test_lock_context */
static void rlock_is_released_as_often_as_acquired(void)
{
    struct world *world = new_world(NULL);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(kin_rlock_acquire(world->rlock, KIN_FOREVER), 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(kin_lock_acquire(world->lock, 0), 0);
        join(start(try_both, world));
        ck_assert_int_eq(kin_lock_release(world->lock), 0);
        ck_assert_int_eq(kin_rlock_release(world->rlock), 0);
    }
    ck_assert_int_eq(kin_rlock_release(world->rlock), KIN_EINVAL);
    free_world(world);
}

/* ---- between processes ----------------------------------------------------------------------- */

#define TURNS 2000

static int count_up(void *arg)
{
    struct world *world = arg;
    for (int i = 0; i < TURNS; i++) {
        child_assert(kin_lock_acquire(world->lock, KIN_FOREVER) == 0);
        child_assert(world->counters[0] == world->counters[1]);
        world->counters[0]++;
        if (i % 100 == 0)
            usleep(10);
        world->counters[1]++;
        child_assert(kin_lock_release(world->lock) == 0);
    }
    return 0;
}

static void lock_excludes(void)
{
    struct world *world = new_world(NULL);
    kin_process *processes[3];
    for (int i = 0; i < 3; i++)
        processes[i] = start(count_up, world);
    for (int i = 0; i < 3; i++)
        join(processes[i]);
    ck_assert_uint_eq(world->counters[0], 3 * TURNS);
    free_world(world);
}

static int release_it(void *arg)
{
    struct world *world = arg;
    world->result = kin_lock_release(world->lock);
    return 0;
}

static void lock_is_released_by_another_process(void)
{
    struct world *world = new_world(NULL);
    ck_assert_int_eq(kin_lock_acquire(world->lock, 0), 0);
    join(start(release_it, world));
    ck_assert_int_eq(world->result, 0);
    ck_assert_int_eq(kin_lock_acquire(world->lock, 0), 0);
    ck_assert_int_eq(kin_lock_release(world->lock), 0);
    free_world(world);
}

static void owner_checked_lock_is_not(void)
{
    struct world *world = new_world(KIN_LOCK_OPTIONS(.owner_checked = true, .name = "mine"));
    ck_assert_int_eq(kin_lock_release(world->lock), KIN_EINVAL);
    ck_assert_int_eq(kin_lock_acquire(world->lock, 0), 0);
    join(start(release_it, world));
    ck_assert_int_eq(world->result, KIN_EPERM);
    ck_assert_int_eq(kin_lock_acquire(world->lock, 0.01), KIN_ETIMEDOUT);
    ck_assert_int_eq(kin_lock_release(world->lock), 0);
    free_world(world);
}

static int see_it_locked(void *arg)
{
    struct world *world = arg;
    child_assert(kin_lock_is_locked(world->lock) && kin_rlock_is_locked(world->rlock));
    return 0;
}

static void lock_tells_whether_it_is_held(void)
{
    struct world *world = new_world(NULL);
    ck_assert(!kin_lock_is_locked(world->lock) && !kin_rlock_is_locked(world->rlock));
    ck_assert_int_eq(kin_lock_acquire(world->lock, 0), 0);
    ck_assert_int_eq(kin_rlock_acquire(world->rlock, 0), 0);
    ck_assert_int_eq(kin_rlock_acquire(world->rlock, 0), 0);
    join(start(see_it_locked, world));
    ck_assert_int_eq(kin_rlock_release(world->rlock), 0);
    ck_assert(kin_lock_is_locked(world->lock) && kin_rlock_is_locked(world->rlock));
    ck_assert_int_eq(kin_lock_release(world->lock), 0);
    ck_assert_int_eq(kin_rlock_release(world->rlock), 0);
    ck_assert(!kin_lock_is_locked(world->lock) && !kin_rlock_is_locked(world->rlock));
    ck_assert(!kin_lock_is_locked(NULL) && !kin_rlock_is_locked(NULL));
    free_world(world);
}

/* ---- deaths ---------------------------------------------------------------------------------- */

static int die_holding(void *arg)
{
    struct world *world = arg;
    child_assert(kin_lock_acquire(world->lock, KIN_FOREVER) == 0);
    child_assert(kin_rlock_acquire(world->rlock, KIN_FOREVER) == 0);
    child_assert(kin_rlock_acquire(world->rlock, KIN_FOREVER) == 0);
    atomic_store(&world->step, 1);
    for (;;)
        pause();
}

static void next_owner_of_the_deads_lock_is_told(void)
{
    struct world *world = new_world(NULL);
    for (int i = 0; i < 3; i++) {
        atomic_store(&world->step, 0);
        kin_process *process = start(die_holding, world);
        await_step(world, 1);
        ck_assert_int_eq(kin_lock_acquire(world->lock, 0), KIN_ETIMEDOUT);
        ck_assert_int_eq(kin_process_kill(process), 0);
        ck_assert_int_eq(kin_lock_acquire(world->lock, TOP), KIN_EOWNERDIED);
        ck_assert_int_eq(kin_rlock_acquire(world->rlock, TOP), KIN_EOWNERDIED);
        ck_assert_int_eq(kin_lock_release(world->lock), 0);
        ck_assert_int_eq(kin_rlock_release(world->rlock), 0);
        ck_assert_int_eq(kin_rlock_release(world->rlock), KIN_EINVAL);
        ck_assert_int_eq(kin_lock_acquire(world->lock, 0), 0);
        ck_assert_int_eq(kin_lock_release(world->lock), 0);
        kin_process_free(process);
    }
    free_world(world);
}

static int wait_for_it(void *arg)
{
    struct world *world = arg;
    atomic_fetch_add(&world->step, 1);
    int result = kin_lock_acquire(world->lock, KIN_FOREVER);
    child_assert(result == 0 || result == KIN_EOWNERDIED);
    if (result)
        world->counters[0]++;
    world->counters[1]++;
    child_assert(kin_lock_release(world->lock) == 0);
    return 0;
}

static void one_of_those_who_wait_is_told(void)
{
    struct world *world = new_world(NULL);
    kin_process *owner = start(die_holding, world);
    await_step(world, 1);
    kin_process *waiters[3];
    for (int i = 0; i < 3; i++)
        waiters[i] = start(wait_for_it, world);
    await_step(world, 4);
    ck_assert_int_eq(kin_process_kill(owner), 0);
    for (int i = 0; i < 3; i++)
        join(waiters[i]);
    ck_assert_uint_eq(world->counters[0], 1);
    ck_assert_uint_eq(world->counters[1], 3);
    kin_process_free(owner);
    ck_assert_int_eq(kin_rlock_acquire(world->rlock, 0), KIN_EOWNERDIED);
    ck_assert_int_eq(kin_rlock_release(world->rlock), 0);
    free_world(world);
}

/* Whether a process is asleep, or stopped. */
static bool is_in_state(pid_t pid, char wanted)
{
    char path[40], text[300] = "";
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    if (file) {
        text[fread(text, 1, sizeof(text) - 1, file)] = 0;
        fclose(file);
    }
    const char *end = strrchr(text, ')');
    return end && end[1] == ' ' && end[2] == wanted;
}

/* The owner is dead, which nobody has noticed, and who waits is stopped: the lock is nobody's, and in use. */
static void lock_that_somebody_waits_for_is_not_freed(void)
{
    struct world *world = new_world(KIN_LOCK_OPTIONS(.name = "wanted"));
    kin_process *owner = start(die_holding, world);
    await_step(world, 1);
    kin_process *waiter = start(wait_for_it, world);
    await_step(world, 2);
    while (!is_in_state(kin_process_pid(waiter), 'S') || kin_lock_free(world->lock) != KIN_EBUSY ||
           !strstr(kin_error_message(), "held by"))
        usleep(200);
    ck_assert_int_eq(kill(kin_process_pid(waiter), SIGSTOP), 0);
    while (!is_in_state(kin_process_pid(waiter), 'T'))
        usleep(200);
    ck_assert_int_eq(kin_process_kill(owner), 0);
    ck_assert_int_eq(kin_process_join(owner, TOP), 0);
    ck_assert_int_eq(kin_lock_free(world->lock), KIN_EBUSY);
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "cannot free lock \"wanted\""));
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "waits for it"));
    ck_assert_int_eq(kill(kin_process_pid(waiter), SIGCONT), 0);
    join(waiter);
    ck_assert_uint_eq(world->counters[0], 1);
    kin_process_free(owner);
    ck_assert_int_eq(kin_rlock_acquire(world->rlock, 0), KIN_EOWNERDIED);
    ck_assert_int_eq(kin_rlock_release(world->rlock), 0);
    free_world(world);
}

static void *hold_and_end(void *arg)
{
    struct world *world = arg;
    return kin_lock_acquire(world->lock, 0) ? arg : NULL;
}

static void lock_of_a_thread_that_ended_is_the_deads(void)
{
    struct world *world = new_world(NULL);
    pthread_t thread;
    void *failed;
    ck_assert_int_eq(pthread_create(&thread, NULL, hold_and_end, world), 0);
    ck_assert_int_eq(pthread_join(thread, &failed), 0);
    ck_assert_ptr_null(failed);
    ck_assert_int_eq(kin_lock_acquire(world->lock, 0), KIN_EOWNERDIED);
    ck_assert_int_eq(kin_lock_release(world->lock), 0);
    free_world(world);
}

static void *hold_again_and_end(void *arg)
{
    struct world *world = arg;
    world->result = kin_rlock_acquire(world->rlock, 0);
    return NULL;
}

/* The second thread gets the first one's slot. */
static void deads_name_is_not_given_again(void)
{
    struct world *world = new_world(NULL);
    for (int i = 0; i < 5; i++) {
        pthread_t thread;
        ck_assert_int_eq(pthread_create(&thread, NULL, hold_again_and_end, world), 0);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        ck_assert_int_eq(world->result, i ? KIN_EOWNERDIED : 0);
    }
    free_world(world);
}

/* ---- threads, misuse ------------------------------------------------------------------------- */

static void *count_in_thread(void *arg)
{
    struct world *world = arg;
    for (int i = 0; i < TURNS; i++) {
        if (kin_rlock_acquire(world->rlock, KIN_FOREVER) || kin_rlock_acquire(world->rlock, 0))
            return arg;
        world->counters[0]++;
        for (int k = 0; k < 2; k++)
            if (kin_rlock_release(world->rlock))
                return arg;
        if (kin_lock_acquire(world->lock, KIN_FOREVER))
            return arg;
        world->counters[1]++;
        if (kin_lock_release(world->lock))
            return arg;
    }
    return NULL;
}

static void threads_exclude_each_other(void)
{
    struct world *world = new_world(NULL);
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, count_in_thread, world), 0);
    for (int i = 0; i < 2; i++) {
        void *failed;
        ck_assert_int_eq(pthread_join(threads[i], &failed), 0);
        ck_assert_ptr_null(failed);
    }
    ck_assert_uint_eq(world->counters[0], 2 * TURNS);
    ck_assert_uint_eq(world->counters[1], 2 * TURNS);
    free_world(world);
}

static void deadlock_with_oneself_is_told(void)
{
    struct world *world = new_world(KIN_LOCK_OPTIONS(.name = "twice"));
    ck_assert_int_eq(kin_lock_acquire(world->lock, KIN_FOREVER), 0);
    ck_assert_int_eq(kin_lock_acquire(world->lock, KIN_FOREVER), KIN_EDEADLK);
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "lock \"twice\""));
    ck_assert_int_eq(kin_lock_acquire(world->lock, 0.01), KIN_ETIMEDOUT);
    ck_assert_int_eq(kin_lock_release(world->lock), 0);
    free_world(world);
}

static void misuse_is_told(void)
{
    struct world *world = new_world(NULL);
    int here = 0;
    ck_assert_int_eq(kin_lock_acquire(NULL, 0), KIN_EINVAL);
    ck_assert_int_eq(kin_lock_acquire((kin_lock *)&here, 0), KIN_EINVAL);
    ck_assert_int_eq(kin_lock_acquire((kin_lock *)world->rlock, 0), KIN_EINVAL);
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "is not a lock but a rlock"));
    ck_assert_int_eq(kin_lock_acquire(world->lock, -1), KIN_EINVAL);
    ck_assert_int_eq(kin_rlock_acquire(world->rlock, NAN), KIN_EINVAL);
    ck_assert_int_eq(kin_rlock_release((kin_rlock *)world->lock), KIN_EINVAL);
    ck_assert_int_eq(kin_lock_acquire(world->lock, 0), 0);
    ck_assert_int_eq(kin_rlock_acquire(world->rlock, 0), 0);
    ck_assert_int_eq(kin_lock_free(world->lock), KIN_EBUSY);
    ck_assert_int_eq(kin_rlock_free(world->rlock), KIN_EBUSY);
    ck_assert_int_eq(kin_lock_release(world->lock), 0);
    ck_assert_int_eq(kin_rlock_release(world->rlock), 0);
    kin_lock *lock = world->lock;
    ck_assert_int_eq(kin_lock_free(lock), 0);
    ck_assert_int_eq(kin_lock_acquire(lock, 0), KIN_EINVAL);
    ck_assert_int_eq(kin_lock_free(NULL), 0);
    ck_assert_int_eq(kin_rlock_free(NULL), 0);
    world->lock = NULL;
    free_world(world);
}

static void lock_needs_a_family(void)
{
    ck_assert_ptr_null(kin_lock_new(NULL));
    ck_assert_int_eq(kin_error_code(), KIN_ENOINIT);
}

static const struct test tests[] = {
    {"lock_needs_a_family", lock_needs_a_family, 5, 0},
    {"lock_is_held_by_one_at_a_time", lock_is_held_by_one_at_a_time, 10, TEST_EACH_METHOD},
    {"rlock_is_released_as_often_as_acquired", rlock_is_released_as_often_as_acquired, 10, TEST_EACH_METHOD},
    {"lock_excludes", lock_excludes, 20, TEST_EACH_METHOD},
    {"lock_is_released_by_another_process", lock_is_released_by_another_process, 10, TEST_EACH_METHOD},
    {"owner_checked_lock_is_not", owner_checked_lock_is_not, 10, TEST_EACH_METHOD},
    {"lock_tells_whether_it_is_held", lock_tells_whether_it_is_held, 10, TEST_EACH_METHOD},
    {"lock_that_somebody_waits_for_is_not_freed", lock_that_somebody_waits_for_is_not_freed, 10,
     TEST_EACH_METHOD},
    {"next_owner_of_the_deads_lock_is_told", next_owner_of_the_deads_lock_is_told, 10, TEST_EACH_METHOD},
    {"one_of_those_who_wait_is_told", one_of_those_who_wait_is_told, 10, TEST_EACH_METHOD},
    {"lock_of_a_thread_that_ended_is_the_deads", lock_of_a_thread_that_ended_is_the_deads, 5, 0},
    {"deads_name_is_not_given_again", deads_name_is_not_given_again, 5, 0},
    {"threads_exclude_each_other", threads_exclude_each_other, 20, 0},
    {"deadlock_with_oneself_is_told", deadlock_with_oneself_is_told, 5, 0},
    {"misuse_is_told", misuse_is_told, 5, 0},
};
TEST_MAIN("lock", tests)
