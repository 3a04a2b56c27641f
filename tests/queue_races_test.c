/*
 * queue_races_test.c - what befalls a queue when members stop in the middle of a call, end with what others gave them, or use what
 * is not theirs.
 */
#include "harness.h"
#include "message/broadcast_shared.h"
#include "message/queue_shared.h"

#include <kin.h>

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct world {
    kin_queue *queue, *answers;
    kin_broadcast *broadcast;
    kin_reader *reader;
};

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static kin_process *start(kin_process_fn body, struct world *world)
{
    kin_process *process =
        kin_process_start(body, world, sizeof *world, KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    return process;
}

static void join(kin_process *process)
{
    kin_end end;
    ck_assert_int_eq(kin_process_join(process, KIN_FOREVER), 0);
    ck_assert_int_eq(kin_process_end(process, &end), 0);
    ck_assert(end.how == KIN_END_EXITED && end.exit_code == 0);
    kin_process_free(process);
}

static int put(kin_queue *queue, int value)
{
    return kin_queue_put(queue, &value, sizeof value, 20);
}

static int get(kin_queue *queue, int *value)
{
    return kin_queue_get(queue, value, sizeof *value, NULL, 20);
}

static void put_many(kin_queue *queue, int count)
{
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(put(queue, i), 0);
}

/* ---- counting -------------------------------------------------------------------------------- */

static int finish_five(void *arg)
{
    const struct world *world = arg;
    for (int i = 0; i < 5; i++)
        child_assert(kin_queue_task_done(world->queue) == 0);
    return 0;
}

static int finish_what_comes(void *arg)
{
    const struct world *world = arg;
    for (int value; get(world->queue, &value) == 0;)
        child_assert(kin_queue_task_done(world->queue) == 0);
    return kin_error_code() == KIN_ECLOSED ? 0 : 1;
}

/* In Python too, anybody may say that a message is done. */
static void message_that_another_member_finishes_stays_done_when_that_one_ends(void)
{
    test_init();
    struct world world = {kin_queue_new(KIN_QUEUE_OPTIONS(.joinable = true)), NULL, NULL, NULL};
    int value;
    put_many(world.queue, 5);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(get(world.queue, &value), 0);
    join(start(finish_five, &world));
    ck_assert_msg(kin_queue_join(world.queue, NULL, 5) == 0, "%s", kin_error_message());
    /* And the figures of those that have ended are nobody's: its slot is another's now. */
    put_many(world.queue, 3);
    ck_assert_int_eq(kin_queue_close(world.queue), 0);
    join(start(finish_what_comes, &world));
    ck_assert_msg(kin_queue_join(world.queue, NULL, 5) == 0, "%s", kin_error_message());
    ck_assert_int_eq(kin_queue_task_done(world.queue), KIN_EINVAL);
    ck_assert_int_eq(kin_queue_free(world.queue), 0);
}

static int pass_on_and_die(void *arg)
{
    const struct world *world = arg;
    int value;
    for (int i = 0; i < 3; i++)
        child_assert(get(world->queue, &value) == 0 && put(world->answers, value) == 0);
    raise(SIGKILL);
    return 1;
}

static void start_one_that_passes_on_and_dies(struct world *world)
{
    kin_process *process = start(pass_on_and_die, world);
    ck_assert_int_eq(kin_process_join(process, 20), 0);
    kin_process_free(process);
}

static void what_a_dead_member_had_passed_on_can_be_finished(void)
{
    test_init();
    struct world world = {kin_queue_new(KIN_QUEUE_OPTIONS(.joinable = true)), kin_queue_new(NULL), NULL,
                          NULL};
    size_t lost = 0;
    int value;
    put_many(world.queue, 5);
    start_one_that_passes_on_and_dies(&world);
    ck_assert_int_eq(kin_queue_join(world.queue, &lost, 0), KIN_ETIMEDOUT); /* two are in the queue */
    for (int i = 0; i < 3; i++)
        ck_assert(get(world.answers, &value) == 0 && value == i && kin_queue_task_done(world.queue) == 0);
    ck_assert_int_eq(kin_queue_join(world.queue, &lost, 0), KIN_ETIMEDOUT);
    for (int i = 0; i < 2; i++)
        ck_assert(get(world.queue, &value) == 0 && kin_queue_task_done(world.queue) == 0);
    ck_assert_msg(kin_queue_join(world.queue, &lost, 5) == 0 && lost == 0, "%s", kin_error_message());
    ck_assert_int_eq(kin_queue_task_done(world.queue), KIN_EINVAL);
    ck_assert_int_eq(kin_queue_free(world.queue), 0);
    ck_assert_int_eq(kin_queue_free(world.answers), 0);
}

static void what_a_dead_member_had_is_lost_once(void)
{
    test_init();
    struct world world = {kin_queue_new(KIN_QUEUE_OPTIONS(.joinable = true)), kin_queue_new(NULL), NULL,
                          NULL};
    size_t lost = 0;
    for (unsigned round = 1; round <= 3; round++) {
        put_many(world.queue, 3);
        start_one_that_passes_on_and_dies(&world);
        ck_assert_int_eq(kin_queue_join(world.queue, &lost, 5), KIN_ELOST);
        ck_assert_uint_eq(lost, 3);
        ck_assert_int_eq(kin_queue_join(world.queue, &lost, 5), 0);
        ck_assert_int_eq(kin_queue_task_done(world.queue), KIN_EINVAL); /* it was told as lost */
    }
    ck_assert_int_eq(kin_queue_free(world.queue), 0);
    ck_assert_int_eq(kin_queue_free(world.answers), 0);
}

/* ---- redelivery ------------------------------------------------------------------------------ */

static void *get_one_and_end(void *queue)
{
    int value;
    return get(queue, &value) == 0 && value == 0 ? queue : NULL;
}

static void what_an_ended_thread_had_comes_before_what_is_new(void)
{
    test_init();
    kin_queue *queue = kin_queue_new(KIN_QUEUE_OPTIONS(.redeliver = true));
    pthread_t thread;
    void *got;
    int value;
    put_many(queue, 3);
    ck_assert_int_eq(pthread_create(&thread, NULL, get_one_and_end, queue), 0);
    ck_assert_int_eq(pthread_join(thread, &got), 0);
    ck_assert_ptr_eq(got, queue);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(get(queue, &value), 0);
        ck_assert_int_eq(value, i);
        ck_assert_int_eq(kin_queue_task_done(queue), 0);
    }
    ck_assert_int_eq(kin_queue_free(queue), 0);
}

/* ---- stopped members ------------------------------------------------------------------------- */

enum side { PUT_GATE, GET_GATE, WRITE_GATE };

/* A member that is stopped in the middle of a call. */
static pid_t stopped_at(struct world *world, enum side side)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct kin__patience patience = {.timeout = 20};
        int error = side == PUT_GATE   ? kin__queue_put_gate(world->queue, kin__self_id(), &patience)
                    : side == GET_GATE ? kin__queue_get_gate(world->queue, kin__self_id(), &patience)
                                       : kin__broadcast_gate(world->broadcast, kin__self_id(), &patience);
        if (!error)
            raise(SIGSTOP);
        _exit(error ? 1 : 0);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
    ck_assert(WIFSTOPPED(status));
    return pid;
}

static void end_stopped(pid_t pid)
{
    int status;
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
}

/* It ends with that error, after some `limit` seconds. */
#define must_end(call, error, limit)                                                                   \
    do {                                                                                               \
        double before = seconds();                                                                     \
        ck_assert_msg((call) == (error), "%s: %s", #call, kin_error_message());                        \
        ck_assert_msg(seconds() - before >= (limit) && seconds() - before < (limit) + 3, "%s", #call); \
    } while (0)

#define PATIENCE 0.3

static void calls_of_a_queue_end_though_a_member_is_stopped_in_a_put(void)
{
    test_init();
    struct world world = {.queue = kin_queue_new(KIN_QUEUE_OPTIONS(.producers = 2, .joinable = true))};
    int value = 1;
    ck_assert_int_eq(put(world.queue, 1), 0);
    kin__gate_patience = PATIENCE;
    pid_t pid = stopped_at(&world, PUT_GATE);
    must_end(kin_queue_put(world.queue, &value, sizeof value, PATIENCE), KIN_ETIMEDOUT, PATIENCE);
    must_end(kin_queue_put(world.queue, &value, sizeof value, 0), KIN_ETIMEDOUT, 0.1);
    must_end(kin_queue_close(world.queue), KIN_ETIMEDOUT, PATIENCE);
    must_end(kin_queue_done(world.queue), KIN_ETIMEDOUT, PATIENCE);
    must_end(kin_queue_free(world.queue), KIN_EBUSY, 0.1);
    must_end(kin_queue_get(world.queue, &value, sizeof value, NULL, PATIENCE), 0, 0);
    must_end(kin_queue_task_done(world.queue), 0, 0);
    must_end(kin_queue_join(world.queue, NULL, PATIENCE), 0, 0);
    must_end(kin_queue_get(world.queue, &value, sizeof value, NULL, PATIENCE), KIN_ETIMEDOUT, PATIENCE);
    end_stopped(pid);
    ck_assert_int_eq(kin_queue_done(world.queue), 0);
    ck_assert_int_eq(kin_queue_close(world.queue), 0);
    ck_assert_int_eq(kin_queue_free(world.queue), 0);
}

static void calls_of_a_queue_end_though_a_member_is_stopped_in_a_get(void)
{
    test_init();
    struct world world = {.queue = kin_queue_new(KIN_QUEUE_OPTIONS(.redeliver = true))};
    int value = 1;
    put_many(world.queue, 2);
    ck_assert_int_eq(get(world.queue, &value), 0);
    kin__gate_patience = PATIENCE;
    pid_t pid = stopped_at(&world, GET_GATE);
    must_end(kin_queue_get(world.queue, &value, sizeof value, NULL, PATIENCE), KIN_ETIMEDOUT, PATIENCE);
    must_end(kin_queue_get(world.queue, &value, sizeof value, NULL, 0), KIN_ETIMEDOUT, 0.1);
    must_end(kin_queue_task_done(world.queue), KIN_ETIMEDOUT, PATIENCE);
    must_end(kin_queue_join(world.queue, NULL, PATIENCE), KIN_ETIMEDOUT, PATIENCE);
    must_end(kin_queue_deliveries(world.queue), 0, PATIENCE);
    must_end(kin_queue_free(world.queue), KIN_EBUSY, 0.1);
    must_end(kin_queue_put(world.queue, &value, sizeof value, PATIENCE), 0, 0);
    must_end(kin_queue_close(world.queue), 0, 0);
    end_stopped(pid);
    ck_assert_int_eq(kin_queue_task_done(world.queue), 0);
    ck_assert_int_eq(kin_queue_free(world.queue), 0);
}

static void calls_of_a_broadcast_end_though_a_member_is_stopped_in_a_write(void)
{
    test_init();
    struct world world = {.broadcast = kin_broadcast_new(NULL)};
    world.reader = kin_broadcast_join(world.broadcast, 0);
    char byte;
    ck_assert_int_eq(kin_broadcast_write(world.broadcast, "1", 1, 0), 0);
    kin__gate_patience = PATIENCE;
    pid_t pid = stopped_at(&world, WRITE_GATE);
    must_end(kin_broadcast_write(world.broadcast, "2", 1, PATIENCE), KIN_ETIMEDOUT, PATIENCE);
    must_end(kin_broadcast_close(world.broadcast), KIN_ETIMEDOUT, PATIENCE);
    must_end(kin_broadcast_free(world.broadcast), KIN_EBUSY, 0.1);
    must_end(kin_broadcast_join(world.broadcast, PATIENCE) != NULL, 0, PATIENCE);
    must_end(kin_reader_read(world.reader, &byte, 1, NULL, PATIENCE), 0, 0);
    must_end(kin_reader_read(world.reader, &byte, 1, NULL, PATIENCE), KIN_ETIMEDOUT, PATIENCE);
    must_end(kin_reader_leave(world.reader), 0, 0);
    end_stopped(pid);
    ck_assert_int_eq(kin_broadcast_close(world.broadcast), 0);
    ck_assert_int_eq(kin_broadcast_free(world.broadcast), 0);
}

/* ---- readers --------------------------------------------------------------------------------- */

static int use_anothers_reader(void *arg)
{
    const struct world *world = arg;
    const void *data;
    char byte;
    child_assert(kin_reader_read(world->reader, &byte, 1, NULL, 0) == KIN_EPERM);
    child_assert(kin_reader_look(world->reader, &data, NULL, 0) == KIN_EPERM);
    child_assert(kin_reader_pass(world->reader) == KIN_EPERM);
    child_assert(kin_reader_leave(world->reader) == KIN_EPERM);
    return 0;
}

/* Its position would keep nothing from being written over, once its member has ended. */
static void reader_is_its_members_own(void)
{
    test_init();
    struct world world = {.broadcast = kin_broadcast_new(NULL)};
    char byte;
    world.reader = kin_broadcast_join(world.broadcast, 0);
    ck_assert_int_eq(kin_broadcast_write(world.broadcast, "1", 1, 0), 0);
    join(start(use_anothers_reader, &world));
    ck_assert_int_eq(kin_reader_read(world.reader, &byte, 1, NULL, 0), 0);
    ck_assert_int_eq(kin_reader_leave(world.reader), 0);
    ck_assert_int_eq(kin_broadcast_free(world.broadcast), 0);
}

static const struct test tests[] = {
    {"message_that_another_member_finishes_stays_done_when_that_one_ends",
     message_that_another_member_finishes_stays_done_when_that_one_ends, 30, TEST_EACH_METHOD},
    {"what_a_dead_member_had_passed_on_can_be_finished", what_a_dead_member_had_passed_on_can_be_finished, 60,
     TEST_NOT_VALGRIND},
    {"what_a_dead_member_had_is_lost_once", what_a_dead_member_had_is_lost_once, 60, TEST_NOT_VALGRIND},
    {"what_an_ended_thread_had_comes_before_what_is_new", what_an_ended_thread_had_comes_before_what_is_new,
     20, 0},
    {"calls_of_a_queue_end_though_a_member_is_stopped_in_a_put",
     calls_of_a_queue_end_though_a_member_is_stopped_in_a_put, 60, TEST_NOT_VALGRIND},
    {"calls_of_a_queue_end_though_a_member_is_stopped_in_a_get",
     calls_of_a_queue_end_though_a_member_is_stopped_in_a_get, 60, TEST_NOT_VALGRIND},
    {"calls_of_a_broadcast_end_though_a_member_is_stopped_in_a_write",
     calls_of_a_broadcast_end_though_a_member_is_stopped_in_a_write, 60, TEST_NOT_VALGRIND},
    {"reader_is_its_members_own", reader_is_its_members_own, 30, TEST_EACH_METHOD},
};
TEST_MAIN("queue_races", tests)
