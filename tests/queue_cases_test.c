/*
 * queue_cases_test.c - what CPython's test classes ask of Queue, JoinableQueue and SimpleQueue, told again in C
 * (tests/cpython/queue.tsv). Beyond them, queue_test.c.
 */
#include "harness.h"

#include <kin.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct world {
    kin_queue *queue;
    kin_event *start, *go_on;
};

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static struct world new_world(const kin_queue_options *options)
{
    struct world world = {kin_queue_new(options), kin_event_new(NULL), kin_event_new(NULL)};
    ck_assert_msg(world.queue && world.start && world.go_on, "%s", kin_error_message());
    return world;
}

static void end_world(struct world *world)
{
    ck_assert_msg(kin_queue_free(world->queue) == 0, "%s", kin_error_message());
    ck_assert_int_eq(kin_event_free(world->start), 0);
    ck_assert_int_eq(kin_event_free(world->go_on), 0);
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

static int put(kin_queue *queue, int value, double timeout)
{
    return kin_queue_put(queue, &value, sizeof value, timeout);
}

static int get(kin_queue *queue, double timeout)
{
    int value = -1;
    return kin_queue_get(queue, &value, sizeof value, NULL, timeout) ? -1 : value;
}

/* It fails with KIN_ETIMEDOUT, after that long: earlier is wrong, and later a sign of a busy machine. */
static void put_times_out(kin_queue *queue, double timeout)
{
    double before = seconds();
    ck_assert_int_eq(put(queue, 7, timeout), KIN_ETIMEDOUT);
    ck_assert_double_ge(seconds() - before, timeout);
}

static void get_times_out(kin_queue *queue, double timeout)
{
    double before = seconds();
    int value;
    ck_assert_int_eq(kin_queue_get(queue, &value, sizeof value, NULL, timeout), KIN_ETIMEDOUT);
    ck_assert_double_ge(seconds() - before, timeout);
}

/* ---- _TestQueue ------------------------------------------------------------------------------ */

static int get_six(void *arg)
{
    const struct world *world = arg;
    child_assert(kin_event_wait(world->start, 20) == 0);
    for (int i = 1; i <= 6; i++)
        child_assert(get(world->queue, 20) == i);
    return kin_event_set(world->go_on);
}

static void put_waits_only_as_long_as_it_is_told(void)
{
    test_init();
    struct world world = new_world(KIN_QUEUE_OPTIONS(.maxsize = 6));
    kin_process *process = start(get_six, &world);
    ck_assert(kin_queue_empty(world.queue) && !kin_queue_full(world.queue));
    for (int i = 1; i <= 6; i++)
        ck_assert_int_eq(put(world.queue, i, i % 2 ? KIN_FOREVER : 0), 0);
    ck_assert(!kin_queue_empty(world.queue) && kin_queue_full(world.queue));
    put_times_out(world.queue, 0);
    put_times_out(world.queue, 0.3);
    put_times_out(world.queue, 0);
    put_times_out(world.queue, 0.5);
    ck_assert_int_eq(kin_event_set(world.start), 0);
    ck_assert_int_eq(kin_event_wait(world.go_on, 20), 0);
    ck_assert(kin_queue_empty(world.queue) && !kin_queue_full(world.queue));
    join(process);
    end_world(&world);
}

static int put_four(void *arg)
{
    const struct world *world = arg;
    child_assert(kin_event_wait(world->start, 20) == 0);
    for (int i = 2; i <= 5; i++)
        child_assert(put(world->queue, i, KIN_FOREVER) == 0);
    return kin_event_set(world->go_on);
}

static void get_waits_only_as_long_as_it_is_told(void)
{
    test_init();
    struct world world = new_world(NULL);
    kin_process *process = start(put_four, &world);
    ck_assert(kin_queue_empty(world.queue));
    ck_assert_int_eq(kin_event_set(world.start), 0);
    ck_assert_int_eq(kin_event_wait(world.go_on, 20), 0);
    ck_assert(!kin_queue_empty(world.queue)); /* at once: nothing is in a feeder thread still */
    ck_assert_int_eq(get(world.queue, KIN_FOREVER), 2);
    ck_assert_int_eq(get(world.queue, KIN_FOREVER), 3);
    ck_assert_int_eq(get(world.queue, 1), 4);
    ck_assert_int_eq(get(world.queue, 0), 5);
    ck_assert(kin_queue_empty(world.queue));
    get_times_out(world.queue, 0);
    get_times_out(world.queue, 0.3);
    get_times_out(world.queue, 0);
    get_times_out(world.queue, 0.5);
    join(process);
    end_world(&world);
}

static int put_ten_more(void *arg)
{
    const struct world *world = arg;
    for (int i = 10; i < 20; i++)
        child_assert(put(world->queue, i, KIN_FOREVER) == 0);
    return 0;
}

static void child_puts_into_a_queue_that_its_parent_has_used(void)
{
    test_init();
    struct world world = new_world(NULL);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(put(world.queue, i, KIN_FOREVER), 0);
    kin_process *process = start(put_ten_more, &world);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(get(world.queue, 20), i);
    get_times_out(world.queue, 0);
    join(process);
    end_world(&world);
}

static void size_counts_what_is_in_the_queue(void)
{
    test_init();
    struct world world = new_world(NULL);
    ck_assert_uint_eq(kin_queue_size(world.queue), 0);
    ck_assert_int_eq(put(world.queue, 1, 0), 0);
    ck_assert_uint_eq(kin_queue_size(world.queue), 1);
    ck_assert_int_eq(put(world.queue, 5, 0), 0);
    ck_assert_uint_eq(kin_queue_size(world.queue), 2);
    ck_assert_int_eq(get(world.queue, 0), 1);
    ck_assert_uint_eq(kin_queue_size(world.queue), 1);
    ck_assert_int_eq(get(world.queue, 0), 5);
    ck_assert_uint_eq(kin_queue_size(world.queue), 0);
    end_world(&world);
}

static int finish_until_told_to_end(void *arg)
{
    const struct world *world = arg;
    for (int value; (value = get(world->queue, 20)) != 0;) {
        child_assert(value > 0);
        usleep(100000);
        child_assert(kin_queue_task_done(world->queue) == 0);
    }
    return 0;
}

static void join_waits_for_all_that_four_workers_do(void)
{
    test_init();
    struct world world = new_world(KIN_QUEUE_OPTIONS(.joinable = true));
    kin_process *workers[4];
    for (int i = 0; i < 4; i++)
        workers[i] = start(finish_until_told_to_end, &world);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(put(world.queue, 1 + i, KIN_FOREVER), 0);
    ck_assert_msg(kin_queue_join(world.queue, NULL, 30) == 0, "%s", kin_error_message());
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(put(world.queue, 0, KIN_FOREVER), 0);
    for (int i = 0; i < 4; i++)
        join(workers[i]);
    end_world(&world);
}

/* CPython's imports a module that makes a queue and gets from it while the import holds its lock, which the feeder thread needed
 * too. What is like an import here is a constructor, before main: there kin says what is missing, and nothing hangs. */
static int before_main;

__attribute__((constructor)) static void queue_before_main(void)
{
    before_main = kin_queue_new(NULL) ? 0 : kin_error_code();
}

static void queue_before_start_up_is_refused_and_hangs_nobody(void)
{
    ck_assert_int_eq(before_main, KIN_ENOINIT);
    test_init();
    struct world world = new_world(NULL);
    ck_assert_int_eq(kin_queue_put(world.queue, "knock knock", 12, 0), 0);
    char text[12];
    ck_assert_int_eq(kin_queue_get(world.queue, text, sizeof text, NULL, 3), 0);
    ck_assert_str_eq(text, "knock knock");
    end_world(&world);
}

static void get_from_an_empty_queue_times_out(void)
{
    test_init();
    struct world world = new_world(NULL);
    get_times_out(world.queue, 0.2);
    end_world(&world);
}

/* What Python learns in a feeder thread, and prints: that the message cannot be sent. Here put says so, and the queue is as it
 * was. */
static void message_that_cannot_be_put_is_an_error_of_put(void)
{
    test_init();
    struct world world = new_world(KIN_QUEUE_OPTIONS(.maxsize = 1));
    int private = 0;
    ck_assert_int_eq(kin_queue_give(world.queue, &private, sizeof private, 0), KIN_ENOTSHARED);
    ck_assert_int_eq(kin_queue_put(world.queue, NULL, 8, 0), KIN_EINVAL);
    ck_assert_uint_eq(kin_queue_size(world.queue), 0);
    ck_assert_int_eq(put(world.queue, 1, 0), 0);
    ck_assert_uint_eq(kin_queue_size(world.queue), 1);
    ck_assert_int_eq(get(world.queue, 20), 1);
    ck_assert(kin_queue_empty(world.queue));
    end_world(&world);
}

/* Python's hook for such errors is the caller's own error handling here: it has the message still. */
static void who_could_not_put_a_message_has_it_still(void)
{
    test_init();
    struct world world = new_world(NULL);
    char *block = kin_malloc(8);
    memcpy(block, "message", 8);
    ck_assert_int_eq(kin_queue_give(world.queue, block, 9000, 0), KIN_EINVAL);
    ck_assert_str_eq(block, "message");
    kin_error error;
    kin_error_get(&error);
    ck_assert_int_eq(error.code, KIN_EINVAL);
    ck_assert_int_eq(kin_queue_give(world.queue, block, 8, 0), 0);
    char back[8];
    ck_assert_int_eq(kin_queue_get(world.queue, back, sizeof back, NULL, 20), 0);
    ck_assert_str_eq(back, "message");
    end_world(&world);
}

static void closed_queues_say_so(void)
{
    test_init();
    for (int joinable = 0; joinable < 2; joinable++) {
        struct world world = new_world(KIN_QUEUE_OPTIONS(.joinable = joinable));
        int value;
        ck_assert_int_eq(kin_queue_close(world.queue), 0);
        ck_assert_int_eq(put(world.queue, 1, KIN_FOREVER), KIN_ECLOSED);
        ck_assert_ptr_nonnull(strstr(kin_error_message(), "is closed"));
        ck_assert_int_eq(kin_queue_get(world.queue, &value, sizeof value, NULL, KIN_FOREVER), KIN_ECLOSED);
        ck_assert_ptr_nonnull(strstr(kin_error_message(), "is closed"));
        end_world(&world);
    }
}

/* ---- TestSimpleQueue ------------------------------------------------------------------------- */

static int put_whether_it_is_empty(void *arg)
{
    const struct world *world = arg;
    child_assert(kin_event_wait(world->start, 20) == 0);
    child_assert(put(world->queue, kin_queue_empty(world->queue), KIN_FOREVER) == 0);
    child_assert(put(world->queue, kin_queue_empty(world->queue), KIN_FOREVER) == 0);
    return kin_event_set(world->go_on);
}

static void empty_is_true_in_every_process(void)
{
    test_init();
    struct world world = new_world(NULL);
    kin_process *process = start(put_whether_it_is_empty, &world);
    ck_assert(kin_queue_empty(world.queue));
    ck_assert_int_eq(kin_event_set(world.start), 0);
    ck_assert_int_eq(kin_event_wait(world.go_on, 20), 0);
    ck_assert(!kin_queue_empty(world.queue));
    ck_assert_int_eq(get(world.queue, KIN_FOREVER), 1);
    ck_assert_int_eq(get(world.queue, KIN_FOREVER), 0);
    ck_assert(kin_queue_empty(world.queue));
    join(process);
    end_world(&world);
}

static void closing_twice_is_no_error(void)
{
    test_init();
    struct world world = new_world(NULL);
    ck_assert_int_eq(kin_queue_close(world.queue), 0);
    ck_assert_int_eq(kin_queue_close(world.queue), 0);
    ck_assert(kin_queue_closed(world.queue));
    end_world(&world);
}

static const struct test tests[] = {
    {"put_waits_only_as_long_as_it_is_told", put_waits_only_as_long_as_it_is_told, 30, TEST_EACH_METHOD},
    {"get_waits_only_as_long_as_it_is_told", get_waits_only_as_long_as_it_is_told, 30, TEST_EACH_METHOD},
    {"child_puts_into_a_queue_that_its_parent_has_used", child_puts_into_a_queue_that_its_parent_has_used, 30,
     TEST_EACH_METHOD},
    {"size_counts_what_is_in_the_queue", size_counts_what_is_in_the_queue, 20, 0},
    {"join_waits_for_all_that_four_workers_do", join_waits_for_all_that_four_workers_do, 60,
     TEST_EACH_METHOD},
    {"queue_before_start_up_is_refused_and_hangs_nobody", queue_before_start_up_is_refused_and_hangs_nobody,
     20, 0},
    {"get_from_an_empty_queue_times_out", get_from_an_empty_queue_times_out, 20, 0},
    {"message_that_cannot_be_put_is_an_error_of_put", message_that_cannot_be_put_is_an_error_of_put, 20, 0},
    {"who_could_not_put_a_message_has_it_still", who_could_not_put_a_message_has_it_still, 20, 0},
    {"closed_queues_say_so", closed_queues_say_so, 20, 0},
    {"empty_is_true_in_every_process", empty_is_true_in_every_process, 30, TEST_EACH_METHOD},
    {"closing_twice_is_no_error", closing_twice_is_no_error, 20, 0},
};
TEST_MAIN("queue_cases", tests)
