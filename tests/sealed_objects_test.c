/*
 * sealed_objects_test.c - what others synchronise and talk with, used by a sealed process: it may read, and every call that would
 * write is an error that says so, never a crash.
 */
#include "harness.h"

#include <kin.h>

#include <string.h>

struct world {
    kin_lock *lock;
    kin_rlock *rlock;
    kin_semaphore *signal, *owned;
    kin_event *event;
    kin_condition *condition;
    kin_barrier *barrier;
    kin_value *value, *raw;
    kin_array *array, *string;
    kin_queue *queue, *redelivering, *counted;
    kin_broadcast *broadcast;
    kin_reader *reader;
    void *block;
};

static struct world new_world(void)
{
    struct world world = {
        .lock = kin_lock_new(NULL),
        .rlock = kin_rlock_new(NULL),
        .signal = kin_semaphore_new(1, NULL),
        .owned = kin_semaphore_new(1, KIN_SEMAPHORE_OPTIONS(.owned = true)),
        .event = kin_event_new(NULL),
        .condition = kin_condition_new(NULL, NULL),
        .barrier = kin_barrier_new(1, NULL),
        .value = kin_value_new(KIN_INT, 0, NULL, NULL),
        .raw = kin_value_new(KIN_INT, 0, NULL, KIN_VALUE_OPTIONS(.unlocked = true)),
        .array = kin_array_new(KIN_DOUBLE, 0, 4, NULL, KIN_ARRAY_OPTIONS(.unlocked = true)),
        .string = kin_array_new(KIN_CHAR, 0, 8, NULL, KIN_ARRAY_OPTIONS(.unlocked = true)),
        .queue = kin_queue_new(NULL),
        .redelivering = kin_queue_new(KIN_QUEUE_OPTIONS(.redeliver = true)),
        .counted = kin_queue_new(KIN_QUEUE_OPTIONS(.producers = 1)),
        .broadcast = kin_broadcast_new(NULL),
        .block = kin_malloc(64),
    };
    world.reader = kin_broadcast_join(world.broadcast, 0);
    ck_assert(world.lock && world.rlock && world.signal && world.owned && world.event && world.condition &&
              world.barrier && world.value && world.raw && world.array && world.string && world.queue &&
              world.redelivering && world.counted && world.broadcast && world.reader && world.block);
    return world;
}

static void free_world(const struct world *world)
{
    kin_free(world->block);
    ck_assert_int_eq(kin_reader_leave(world->reader), 0);
    ck_assert_int_eq(kin_broadcast_free(world->broadcast), 0);
    ck_assert_int_eq(kin_queue_free(world->queue), 0);
    ck_assert_int_eq(kin_queue_free(world->redelivering), 0);
    ck_assert_int_eq(kin_queue_free(world->counted), 0);
    ck_assert_int_eq(kin_value_free(world->value), 0);
    ck_assert_int_eq(kin_value_free(world->raw), 0);
    ck_assert_int_eq(kin_array_free(world->array), 0);
    ck_assert_int_eq(kin_array_free(world->string), 0);
    ck_assert_int_eq(kin_barrier_free(world->barrier), 0);
    ck_assert_int_eq(kin_condition_free(world->condition), 0);
    ck_assert_int_eq(kin_event_free(world->event), 0);
    ck_assert_int_eq(kin_semaphore_free(world->signal), 0);
    ck_assert_int_eq(kin_semaphore_free(world->owned), 0);
    ck_assert_int_eq(kin_lock_free(world->lock), 0);
    ck_assert_int_eq(kin_rlock_free(world->rlock), 0);
}

static void in_a_sealed_process(kin_process_fn body)
{
    test_init();
    struct world world = new_world();
    kin_end end;
    char text[256];
    kin_process *process = kin_process_start(
        body, &world, sizeof world, KIN_PROCESS_OPTIONS(.start_method = test_method(), .sealed = true));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    ck_assert_int_eq(kin_process_join(process, test_time_left() - 0.5), 0);
    ck_assert_int_eq(kin_process_end(process, &end), 0);
    ck_assert_msg(end.how == KIN_END_EXITED && end.exit_code == 0, "%s",
                  kin_end_text(&end, text, sizeof text));
    kin_process_free(process);
    free_world(&world);
}

/* KIN_EPERM, and the reason. */
#define refused(call) \
    child_assert((call) == KIN_EPERM && strstr(kin_error_message(), "this process is sealed"))
#define not_made(call) \
    child_assert(!(call) && kin_error_code() == KIN_EPERM && strstr(kin_error_message(), "is sealed"))

static int use_locks(void *arg)
{
    const struct world *world = arg;
    refused(kin_lock_acquire(world->lock, 0));
    refused(kin_lock_acquire(world->lock, KIN_FOREVER));
    refused(kin_lock_release(world->lock));
    refused(kin_lock_free(world->lock));
    refused(kin_rlock_acquire(world->rlock, 1));
    refused(kin_rlock_release(world->rlock));
    refused(kin_rlock_free(world->rlock));
    refused(kin_semaphore_acquire(world->signal, 0));
    refused(kin_semaphore_release(world->signal));
    refused(kin_semaphore_free(world->signal));
    refused(kin_semaphore_acquire(world->owned, KIN_FOREVER));
    refused(kin_semaphore_release(world->owned));
    refused(kin_event_set(world->event));
    refused(kin_event_clear(world->event));
    refused(kin_event_wait(world->event, 0));
    refused(kin_event_free(world->event));
    refused(kin_condition_acquire(world->condition, 0));
    refused(kin_condition_release(world->condition));
    refused(kin_condition_wait(world->condition, 0));
    refused(kin_condition_notify(world->condition, 1));
    refused(kin_condition_notify_all(world->condition));
    refused(kin_condition_free(world->condition));
    refused(kin_barrier_wait(world->barrier, 0, NULL));
    refused(kin_barrier_reset(world->barrier));
    refused(kin_barrier_abort(world->barrier));
    refused(kin_barrier_free(world->barrier));
    not_made(kin_lock_new(NULL));
    not_made(kin_rlock_new(NULL));
    not_made(kin_semaphore_new(1, NULL));
    not_made(kin_event_new(NULL));
    not_made(kin_condition_new(NULL, NULL));
    not_made(kin_barrier_new(1, NULL));
    return 0;
}

static int look_at_locks(void *arg)
{
    const struct world *world = arg;
    child_assert(!kin_lock_is_locked(world->lock) && !kin_rlock_is_locked(world->rlock));
    child_assert(kin_semaphore_value(world->signal) == 1 && kin_semaphore_value(world->owned) == 1);
    child_assert(!kin_event_is_set(world->event));
    child_assert(kin_barrier_parties(world->barrier) == 1 && !kin_barrier_is_broken(world->barrier));
    child_assert(kin_queue_size(world->queue) == 0 && kin_queue_empty(world->queue));
    child_assert(!kin_queue_full(world->queue) && !kin_queue_closed(world->queue));
    for (size_t i = 0; i < 3; i++) {
        kin_queue *queues[] = {world->queue, world->redelivering, world->counted};
        kin_waitable item = {.object = queues[i]};
        refused(kin_wait(&item, 1, NULL, 1));
    }
    child_assert(kin_broadcast_readers(world->broadcast) == 1 && kin_reader_lost(world->reader) == 0);
    return 0;
}

static int use_values(void *arg)
{
    const struct world *world = arg;
    int number = 7;
    double real = 0.5;
    refused(kin_value_get(world->value, &number, sizeof number)); /* it would take the lock */
    refused(kin_value_set(world->value, &number, sizeof number));
    refused(kin_value_fetch_add(world->value, 1, NULL));
    refused(kin_value_acquire(world->value, 0));
    refused(kin_value_release(world->value));
    refused(kin_value_free(world->value));
    refused(kin_value_set(world->raw, &number, sizeof number));
    refused(kin_value_fetch_add(world->raw, 1, NULL));
    refused(kin_array_set(world->array, 0, &real, sizeof real));
    refused(kin_array_set_slice(world->array, (kin_slice){0, 1}, &real, sizeof real));
    refused(kin_array_fetch_add_double(world->array, 0, 1.5, NULL));
    refused(kin_array_set_string(world->string, "abc"));
    refused(kin_array_free(world->array));
    child_assert(kin_value_get(world->raw, &number, sizeof number) == 0 && number == 0);
    child_assert(kin_array_get(world->array, 3, &real, sizeof real) == 0 && real == 0);
    not_made(kin_value_new(KIN_INT, 0, NULL, NULL));
    not_made(kin_array_new(KIN_INT, 0, 3, NULL, NULL));
    return 0;
}

static int use_queues(void *arg)
{
    const struct world *world = arg;
    static char large[100000];
    char buffer[8];
    size_t done;
    kin_message message;
    kin_arena *arena = kin_arena_new();
    refused(kin_queue_put(world->queue, "x", 1, 0));
    refused(kin_queue_put(world->queue, large, sizeof large, KIN_FOREVER));
    refused(kin_queue_put_many(world->queue, "xx", 1, 2, &done, 0));
    refused(kin_queue_give(world->queue, world->block, 64, 0));
    refused(kin_queue_give_arena(world->queue, arena, NULL, 0));
    refused(kin_queue_get(world->queue, buffer, sizeof buffer, NULL, KIN_FOREVER));
    refused(kin_queue_get_many(world->queue, buffer, 1, 2, &done, 0));
    refused(kin_queue_take(world->queue, &message, 0));
    refused(kin_queue_close(world->queue));
    refused(kin_queue_free(world->queue));
    refused(kin_queue_get(world->redelivering, buffer, sizeof buffer, NULL, 0));
    refused(kin_queue_task_done(world->redelivering));
    refused(kin_queue_join(world->redelivering, NULL, 0));
    child_assert(kin_queue_deliveries(world->redelivering) == 0 && kin_error_code() == KIN_EPERM);
    refused(kin_queue_done(world->counted));
    refused(kin_queue_add_producer(world->counted, kin_current_process()));
    refused(kin_broadcast_write(world->broadcast, "x", 1, 0));
    refused(kin_broadcast_give(world->broadcast, world->block, 64, 0));
    refused(kin_broadcast_close(world->broadcast));
    refused(kin_broadcast_free(world->broadcast));
    refused(kin_broadcast_set_writer(world->broadcast, kin_current_process()));
    refused(kin_reader_read(world->reader, buffer, sizeof buffer, NULL, 0));
    refused(kin_reader_pass(world->reader));
    refused(kin_reader_leave(world->reader));
    not_made(kin_broadcast_join(world->broadcast, 0));
    not_made(kin_queue_new(NULL));
    not_made(kin_broadcast_new(NULL));
    kin_arena_free(arena);
    return 0;
}

static void locks_are_refused_in_a_sealed_process(void)
{
    in_a_sealed_process(use_locks);
}

static void sealed_process_can_look_at_objects(void)
{
    in_a_sealed_process(look_at_locks);
}

static void values_can_only_be_read_in_a_sealed_process(void)
{
    in_a_sealed_process(use_values);
}

static void queues_are_refused_in_a_sealed_process(void)
{
    in_a_sealed_process(use_queues);
}

static const struct test tests[] = {
    {"locks_are_refused_in_a_sealed_process", locks_are_refused_in_a_sealed_process, 30, TEST_EACH_METHOD},
    {"sealed_process_can_look_at_objects", sealed_process_can_look_at_objects, 30, TEST_EACH_METHOD},
    {"values_can_only_be_read_in_a_sealed_process", values_can_only_be_read_in_a_sealed_process, 30,
     TEST_EACH_METHOD},
    {"queues_are_refused_in_a_sealed_process", queues_are_refused_in_a_sealed_process, 30, TEST_EACH_METHOD},
};
TEST_MAIN("sealed_objects", tests)
