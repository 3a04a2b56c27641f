/* sync_common.h - what the tests of semaphores, events, conditions and barriers share. */
#ifndef KIN_TESTS_SYNC_COMMON_H
#define KIN_TESTS_SYNC_COMMON_H

#include "harness.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "kin.h"

#define TOP (test_time_left() - 0.5)

/* In the heap: all that a test and its children share. */
struct world {
    kin_lock *lock;
    kin_rlock *rlock;
    kin_semaphore *semaphore;
    kin_condition *condition;
    kin_event *event;
    kin_barrier *barrier;
    _Atomic uint32_t sleeping, awake, step, failed;
    _Atomic int32_t value;
    int32_t rounds;
    uint32_t order[16];
};

static inline struct world *new_world(void)
{
    test_init();
    struct world *world = kin_calloc(1, sizeof *world);
    ck_assert_ptr_nonnull(world);
    return world;
}

static inline void free_world(struct world *world)
{
    ck_assert_int_eq(kin_semaphore_free(world->semaphore), 0);
    ck_assert_int_eq(kin_condition_free(world->condition), 0);
    ck_assert_int_eq(kin_lock_free(world->lock), 0);
    ck_assert_int_eq(kin_rlock_free(world->rlock), 0);
    ck_assert_int_eq(kin_event_free(world->event), 0);
    ck_assert_int_eq(kin_barrier_free(world->barrier), 0);
    kin_free(world);
}

static inline kin_process *start(kin_process_fn fn, struct world *world)
{
    kin_process *process =
        kin_process_start_shared(fn, world, KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    return process;
}

static inline void join(kin_process *process)
{
    kin_end end;
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    ck_assert_int_eq(kin_process_end(process, &end), 0);
    ck_assert_msg(end.how == KIN_END_EXITED && end.exit_code == 0, "exit code %d, signal %d", end.exit_code,
                  end.signal);
    kin_process_free(process);
}

static inline void await(const _Atomic uint32_t *word, uint32_t value)
{
    while (atomic_load(word) < value)
        usleep(200);
}

#endif
