/* stopped_heap_test.c - a member is stopped (SIGSTOP) while it holds the heap's lock: calls with a timeout keep to it. */
#include "container_common.h"
#include "family/heap.h"
#include "family/journal.h"
#include "os/os.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#define MIB ((size_t)1 << 20)
#define SLACK 0.6 /* seconds beyond the timeout, on a busy machine: 0.1 are the promise */

/* Where kin_malloc and its like are: in a transaction. */
static int stop_in_the_heap(void *arg)
{
    struct world *shared = arg;
    usleep((useconds_t)atomic_load(&shared->value));
    kin__journal_begin();
    atomic_store(&shared->step, 1);
    raise(SIGSTOP);
    kin__journal_end();
    await(&shared->step, 2);
    return 0;
}

static struct world *world;
static kin_process *stopped;

static void stop_one_in(int microseconds)
{
    atomic_store(&world->step, 0);
    atomic_store(&world->value, microseconds);
    stopped = start(stop_in_the_heap, world);
}

static void stop_one(void)
{
    char state = 0;
    stop_one_in(0);
    await(&world->step, 1);
    while (state != 'T')
        state = kin__os_process_state(kin_process_pid(stopped));
}

static void let_it_go_on(void)
{
    ck_assert_int_eq(kill(kin_process_pid(stopped), SIGCONT), 0);
    atomic_store(&world->step, 2);
    join(stopped);
}

static void kill_it(void)
{
    ck_assert_int_eq(kin_process_kill(stopped), 0);
    ck_assert_int_eq(kin_process_join(stopped, TOP), 0);
    kin_process_free(stopped);
}

static char *large;

static void begin(void)
{
    world = new_world();
    large = calloc(1, 4 * MIB);
    ck_assert_ptr_nonnull(large);
}

static void end(size_t blocks)
{
    (void)kin__heap_reach(TOP);                               /* what is late goes */
    while (blocks_in_use() != blocks && test_time_left() > 1) /* who has ended is recovered soon */
        usleep(1000);
    ck_assert_uint_eq(blocks_in_use(), blocks);
    ck_assert_msg(kin__heap_check() == 0, "%s", kin_error_message());
    kin_free(world);
    free(large);
}

/* It ends with KIN_ETIMEDOUT, after the timeout and not much later. */
#define IN_TIME(call, timeout)                                                         \
    do {                                                                               \
        double in_time_from = kin__os_now();                                           \
        ck_assert_int_eq((call), KIN_ETIMEDOUT);                                       \
        double took = kin__os_now() - in_time_from;                                    \
        ck_assert_msg(took >= (timeout)-0.01 && took < (timeout) + SLACK, "%g", took); \
    } while (0)

static void put_keeps_to_its_timeout(void)
{
    begin();
    kin_queue *queue = kin_queue_new(NULL);
    ck_assert_int_eq(kin_queue_put(queue, large, 8, TOP), 0); /* this thread is known to the queue */
    size_t blocks = blocks_in_use();
    stop_one();
    IN_TIME(kin_queue_put(queue, large, MIB, 0.3), 0.3);
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "(stopped?)"));
    IN_TIME(kin_queue_put(queue, large, MIB, 0), 0);
    ck_assert_uint_eq(kin_queue_size(queue), 1);
    ck_assert_int_eq(kin_queue_put(queue, large, 100, 0), 0); /* small ones need nothing of the heap */
    let_it_go_on();
    ck_assert_int_eq(kin_queue_put(queue, large, MIB, TOP), 0);
    ck_assert_uint_eq(kin_queue_size(queue), 3);
    size_t size;
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(kin_queue_get(queue, large, 4 * MIB, &size, TOP), 0);
    ck_assert_uint_eq(size, MIB);
    ck_assert_uint_eq(blocks_in_use(), blocks);
    ck_assert_int_eq(kin_queue_free(queue), 0);
    end(blocks - 1);
}

/* It had its block before, and waits for room: that it cannot free it in time is no reason to stay. */
static void put_that_waits_for_room_leaves_its_block_late(void)
{
    begin();
    kin_queue *queue = kin_queue_new(KIN_QUEUE_OPTIONS(.maxsize = 1));
    ck_assert_int_eq(kin_queue_put(queue, "x", 1, TOP), 0);
    size_t blocks = blocks_in_use();
    stop_one_in(300000);
    IN_TIME(kin_queue_put(queue, large, MIB, 1.0), 1.0);
    ck_assert_uint_eq(atomic_load(&world->step), 1);
    ck_assert_uint_ne(kin__thread_mine->late, 0);
    IN_TIME(kin_queue_put(queue, large, MIB, 0.2), 0.2); /* there is one late already */
    let_it_go_on();
    IN_TIME(kin_queue_put(queue, large, MIB, 0), 0); /* it is full */
    ck_assert_uint_eq(kin__thread_mine->late, 0);
    ck_assert_uint_eq(blocks_in_use(), blocks);
    ck_assert_int_eq(kin_queue_free(queue), 0);
    end(blocks - 1);
}

static void get_has_the_message_at_once(void)
{
    begin();
    size_t size, blocks = blocks_in_use();
    kin_queue *queue = kin_queue_new(NULL);
    for (int i = 0; i < 3; i++) {
        large[0] = (char)i;
        ck_assert_int_eq(kin_queue_put(queue, large, MIB, TOP), 0);
    }
    stop_one();
    double began = kin__os_now();
    ck_assert_int_eq(kin_queue_get(queue, large, MIB, &size, 5), 0);
    ck_assert_double_lt(kin__os_now() - began, SLACK);
    ck_assert_int_eq(large[0], 0);
    IN_TIME(kin_queue_get(queue, large, MIB, &size, 0.3), 0.3); /* it stays: there is one late */
    ck_assert_uint_eq(kin_queue_size(queue), 2);
    let_it_go_on();
    for (int i = 1; i < 3; i++) {
        ck_assert_int_eq(kin_queue_get(queue, large, MIB, &size, TOP), 0);
        ck_assert_int_eq(large[0], i);
    }
    ck_assert_int_eq(kin_queue_free(queue), 0);
    end(blocks);
}

static void write_keeps_to_its_timeout(void)
{
    begin();
    size_t size, blocks = blocks_in_use();
    kin_broadcast *broadcast = kin_broadcast_new(NULL);
    kin_reader *reader = kin_broadcast_join(broadcast, TOP);
    ck_assert_ptr_nonnull(reader);
    large[0] = 1;
    ck_assert_int_eq(kin_broadcast_write(broadcast, large, MIB, TOP), 0);
    stop_one();
    IN_TIME(kin_broadcast_write(broadcast, large, MIB, 0.3), 0.3);
    ck_assert_int_eq(kin_reader_read(reader, large, MIB, &size, 0), 0);
    ck_assert_int_eq(kin_broadcast_write(broadcast, large, 100, 0.3), 0); /* what was read goes later */
    let_it_go_on();
    large[0] = 2;
    ck_assert_int_eq(kin_broadcast_write(broadcast, large, MIB, TOP), 0);
    ck_assert_int_eq(kin_reader_read(reader, large, MIB, &size, 0), 0);
    ck_assert_uint_eq(size, 100);
    ck_assert_int_eq(kin_reader_read(reader, large, MIB, &size, 0), 0);
    ck_assert_int_eq(large[0], 2);
    ck_assert_int_eq(kin_reader_leave(reader), 0);
    ck_assert_int_eq(kin_broadcast_free(broadcast), 0);
    end(blocks);
}

static void large_message_goes_through_a_pipe_meanwhile(void)
{
    begin();
    kin_connection *ends[2];
    size_t size;
    ck_assert_int_eq(kin_pipe(ends, true), 0);
    large[5] = 5;
    ck_assert_int_eq(kin_connection_send(ends[0], large, MIB, TOP), 0);
    ck_assert_int_eq(kin_connection_recv(ends[1], large, MIB, &size, TOP), 0);
    size_t blocks = blocks_in_use();
    ck_assert_int_eq(kin_connection_send(ends[0], large, MIB, TOP), 0); /* as a block */
    stop_one();
    IN_TIME(kin_connection_recv(ends[1], large, MIB, &size, 0.3), 0.3);
    ck_assert_int_eq(kin_connection_send(ends[0], large, MIB, 1), 0); /* as a file */
    let_it_go_on();
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(kin_connection_recv(ends[1], large, MIB, &size, TOP), 0);
        ck_assert(size == MIB && large[5] == 5);
    }
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(kin_connection_close(ends[i]), 0);
    end(blocks);
}

static int leave_one_late(void *arg)
{
    kin_queue *queue = arg;
    child_assert(kin_queue_put(queue, "x", 1, 5) == 0);
    char *message = calloc(1, MIB);
    atomic_store(&world->sleeping, 1);
    child_assert(message && kin_queue_put(queue, message, MIB, 1) == KIN_ETIMEDOUT);
    child_assert(kin__thread_mine->late);
    atomic_store(&world->awake, 1);
    await(&world->awake, 2);
    free(message);
    return 0;
}

/* With the thread that ends, and with the process that is killed. */
static void what_is_late_goes_with_who_left_it(void)
{
    for (int killed = 0; killed < 2; killed++) {
        begin();
        kin_queue *queue = kin_queue_new(KIN_QUEUE_OPTIONS(.maxsize = 1));
        kin_process *process = kin_process_start_shared(leave_one_late, queue, NULL);
        ck_assert_ptr_nonnull(process);
        await(&world->sleeping, 1);
        usleep(100000);
        stop_one();
        await(&world->awake, 1);
        let_it_go_on();
        if (killed)
            ck_assert_int_eq(kin_process_kill(process), 0);
        else
            atomic_store(&world->awake, 2);
        ck_assert_int_eq(kin_process_join(process, TOP), 0);
        kin_process_free(process);
        size_t blocks = blocks_in_use();
        kin_heap_stats stats = {.size = sizeof stats};
        ck_assert_int_eq(kin_heap_get_stats(&stats), 0);
        ck_assert_uint_eq(stats.large_blocks, 0);
        ck_assert_int_eq(kin_queue_free(queue), 0);
        end(blocks - 1);
    }
}

/* Nobody is told of a deadline where who was stopped dies: its transaction is undone. */
static void put_goes_on_when_the_stopped_one_is_killed(void)
{
    begin();
    kin_queue *queue = kin_queue_new(NULL);
    ck_assert_int_eq(kin_queue_put(queue, large, 8, TOP), 0);
    stop_one();
    IN_TIME(kin_queue_put(queue, large, MIB, 0.1), 0.1);
    kill_it();
    ck_assert_int_eq(kin_queue_put(queue, large, MIB, TOP), 0);
    ck_assert_int_eq(kin_queue_free(queue), 0);
    end(blocks_in_use());
}

static const struct test tests[] = {
    {"put_keeps_to_its_timeout", put_keeps_to_its_timeout, 20, 0},
    {"put_that_waits_for_room_leaves_its_block_late", put_that_waits_for_room_leaves_its_block_late, 20, 0},
    {"get_has_the_message_at_once", get_has_the_message_at_once, 20, 0},
    {"write_keeps_to_its_timeout", write_keeps_to_its_timeout, 20, 0},
    {"large_message_goes_through_a_pipe_meanwhile", large_message_goes_through_a_pipe_meanwhile, 20, 0},
    {"what_is_late_goes_with_who_left_it", what_is_late_goes_with_who_left_it, 30, 0},
    {"put_goes_on_when_the_stopped_one_is_killed", put_goes_on_when_the_stopped_one_is_killed, 20, 0},
};
TEST_MAIN("stopped_heap", tests)
