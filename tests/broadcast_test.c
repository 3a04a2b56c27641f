/* broadcast_test.c - kin/broadcast.h: each reader gets every message; slow ones, dead ones, all that come and go. */
#include "harness.h"
#include "message/broadcast_shared.h"

#include <kin.h>

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static kin_broadcast *new_broadcast(const kin_broadcast_options *options)
{
    kin_broadcast *broadcast = kin_broadcast_new(options);
    ck_assert_msg(broadcast != NULL, "%s", kin_error_message());
    return broadcast;
}

static void free_broadcast(kin_broadcast *broadcast)
{
    ck_assert_msg(!kin__broadcast_broken(broadcast), "%s", kin__broadcast_broken(broadcast));
    ck_assert_msg(kin_broadcast_free(broadcast) == 0, "%s", kin_error_message());
}

static kin_reader *join_as_reader(kin_broadcast *broadcast)
{
    kin_reader *reader = kin_broadcast_join(broadcast, 20);
    ck_assert_msg(reader != NULL, "%s", kin_error_message());
    return reader;
}

static void write_int(kin_broadcast *broadcast, int value)
{
    ck_assert_msg(kin_broadcast_write(broadcast, &value, sizeof value, 20) == 0, "%s", kin_error_message());
}

static int read_int(kin_reader *reader)
{
    int value = -1;
    size_t size;
    ck_assert_msg(kin_reader_read(reader, &value, sizeof value, &size, 20) == 0, "%s", kin_error_message());
    ck_assert_uint_eq(size, sizeof value);
    return value;
}

static kin_process *start(kin_process_fn body, void *arg, size_t size)
{
    kin_process *process =
        kin_process_start(body, arg, size, KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    return process;
}

static void wait_for_end(kin_process *process, bool well)
{
    kin_end end;
    ck_assert_int_eq(kin_process_join(process, 60), 0);
    ck_assert_int_eq(kin_process_end(process, &end), 0);
    ck_assert_msg(!well || (end.how == KIN_END_EXITED && end.exit_code == 0), "exit code %d", end.exit_code);
    kin_process_free(process);
}

static size_t large_blocks(void)
{
    kin_heap_stats stats = {.size = sizeof stats};
    ck_assert_int_eq(kin_heap_get_stats(&stats), 0);
    return stats.large_blocks;
}

/* ---- one process ----------------------------------------------------------------------------- */

static void each_reader_gets_what_is_written_after_it_joined(void)
{
    test_init();
    kin_broadcast *broadcast = new_broadcast(NULL);
    int value;
    write_int(broadcast, 0);
    kin_reader *one = join_as_reader(broadcast);
    write_int(broadcast, 1);
    kin_reader *two = join_as_reader(broadcast);
    ck_assert_uint_eq(kin_broadcast_readers(broadcast), 2);
    write_int(broadcast, 2);
    ck_assert_int_eq(read_int(one), 1);
    ck_assert_int_eq(read_int(one), 2);
    ck_assert_int_eq(read_int(two), 2);
    ck_assert_int_eq(kin_reader_read(one, &value, sizeof value, NULL, 0), KIN_ETIMEDOUT);
    ck_assert_int_eq(kin_reader_read(one, &value, sizeof value, NULL, 0.05), KIN_ETIMEDOUT);
    write_int(broadcast, 3);
    ck_assert_int_eq(kin_broadcast_free(broadcast), KIN_EBUSY);
    ck_assert_int_eq(kin_reader_leave(one), 0);
    ck_assert_int_eq(kin_reader_leave(one), KIN_EINVAL);
    ck_assert_int_eq(kin_broadcast_close(broadcast), 0);
    ck_assert_int_eq(kin_broadcast_close(broadcast), 0);
    ck_assert_int_eq(kin_broadcast_write(broadcast, &value, sizeof value, 0), KIN_ECLOSED);
    ck_assert_int_eq(read_int(two), 3);
    ck_assert_int_eq(kin_reader_read(two, &value, sizeof value, NULL, KIN_FOREVER), KIN_ECLOSED);
    ck_assert_int_eq(kin_reader_leave(two), 0);
    free_broadcast(broadcast);
}

static void misuse_of_broadcasts_is_told(void)
{
    test_init();
    int value = 0;
    kin_broadcast *broadcast = new_broadcast(KIN_BROADCAST_OPTIONS(.readers = 1, .name = "news"));
    ck_assert_ptr_null(kin_broadcast_new(KIN_BROADCAST_OPTIONS(.readers = -1)));
    ck_assert_ptr_null(kin_broadcast_new(KIN_BROADCAST_OPTIONS(.slow = (kin_slow)7)));
    ck_assert_int_eq(kin_broadcast_write(NULL, &value, sizeof value, 0), KIN_EINVAL);
    ck_assert_int_eq(kin_broadcast_write((kin_broadcast *)&value, &value, sizeof value, 0), KIN_EINVAL);
    ck_assert_int_eq(kin_broadcast_write(broadcast, NULL, 4, 0), KIN_EINVAL);
    ck_assert_int_eq(kin_broadcast_write(broadcast, &value, sizeof value, -1), KIN_EINVAL);
    ck_assert_int_eq(kin_broadcast_give(broadcast, &value, sizeof value, 0), KIN_ENOTSHARED);
    ck_assert_int_eq(kin_reader_read((kin_reader *)broadcast, &value, sizeof value, NULL, 0), KIN_EINVAL);
    kin_reader *reader = join_as_reader(broadcast);
    ck_assert_ptr_null(kin_broadcast_join(broadcast, 0));
    ck_assert_int_eq(kin_error_code(), KIN_ELIMIT);
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "broadcast \"news\""));
    ck_assert_int_eq(kin_reader_read(reader, NULL, 4, NULL, 0), KIN_EINVAL);
    ck_assert_int_eq(kin_reader_leave(reader), 0);
    free_broadcast(broadcast);
}

static void messages_of_all_sizes_reach_all(void)
{
    static const size_t sizes[] = {0, 1, 7, 8, 9, 4000, 8192, 8193, 32768, 32769, 100000, 1 << 20};
    enum { COUNT = sizeof sizes / sizeof *sizes };
    test_init();
    kin_broadcast *broadcast = new_broadcast(KIN_BROADCAST_OPTIONS(.capacity = 65536));
    kin_reader *readers[2] = {join_as_reader(broadcast), join_as_reader(broadcast)};
    unsigned char *message = malloc((1 << 20) + COUNT), *back = malloc(1 << 20);
    for (size_t i = 0; i < (1 << 20) + COUNT; i++)
        message[i] = (unsigned char)(i * 31 >> 3);
    for (int round = 0; round < 40; round++)
        for (int i = 0; i < COUNT; i++) {
            ck_assert_msg(kin_broadcast_write(broadcast, message + i, sizes[i], 10) == 0, "%s",
                          kin_error_message());
            for (int r = 0; r < 2; r++) {
                size_t size = 1;
                const void *data;
                if (sizes[i]) {
                    ck_assert_int_eq(kin_reader_read(readers[r], back, sizes[i] - 1, &size, 0),
                                     KIN_ETOOLARGE);
                    ck_assert_uint_eq(size, sizes[i]);
                }
                ck_assert_int_eq(kin_reader_look(readers[r], &data, &size, 0), 0);
                ck_assert_uint_eq(size, sizes[i]);
                ck_assert(memcmp(data, message + i, size) == 0);
                if (r) {
                    ck_assert_int_eq(kin_reader_pass(readers[r]), 0);
                } else {
                    ck_assert_int_eq(kin_reader_read(readers[r], back, 1 << 20, &size, 0), 0);
                    ck_assert(size == sizes[i] && memcmp(back, message + i, size) == 0);
                }
            }
        }
    ck_assert_uint_le(large_blocks(), 2); /* the broadcast's own, and the last message's */
    char *block = kin_malloc(50000);
    memset(block, 5, 50000);
    ck_assert_int_eq(kin_broadcast_give(broadcast, block, 50000, 0), 0);
    ck_assert_int_eq(kin_reader_read(readers[0], back, 1 << 20, NULL, 0), 0);
    ck_assert(memcmp(back, block, 50000) == 0);
    for (int r = 0; r < 2; r++)
        ck_assert_int_eq(kin_reader_leave(readers[r]), 0);
    free(message);
    free(back);
    free_broadcast(broadcast);
    ck_assert_uint_eq(large_blocks(), 0);
}

static void writer_waits_for_the_slowest_only_as_long_as_it_is_told(void)
{
    test_init();
    kin_broadcast *broadcast = new_broadcast(KIN_BROADCAST_OPTIONS(.capacity = 4096));
    kin_reader *slow = join_as_reader(broadcast), *quick = join_as_reader(broadcast);
    int written = 0, error;
    while ((error = kin_broadcast_write(broadcast, &written, sizeof written, 0)) == 0) {
        ck_assert_int_eq(read_int(quick), written);
        written++;
    }
    ck_assert_int_eq(error, KIN_ETIMEDOUT);
    ck_assert_int_ge(written, 100);
    ck_assert_int_eq(kin_broadcast_write(broadcast, &written, sizeof written, 0.1), KIN_ETIMEDOUT);
    ck_assert_int_eq(read_int(slow), 0);
    write_int(broadcast, written);
    ck_assert_int_eq(read_int(quick), written++);
    ck_assert_int_eq(kin_broadcast_write(broadcast, &written, sizeof written, 0), KIN_ETIMEDOUT);
    ck_assert_int_eq(kin_reader_leave(slow), 0);
    for (int i = 0; i < 1000; i++) {
        write_int(broadcast, i);
        ck_assert_int_eq(read_int(quick), i);
    }
    ck_assert_int_eq(kin_reader_leave(quick), 0);
    free_broadcast(broadcast);
}

static void slow_reader_misses_the_oldest_and_is_told(void)
{
    test_init();
    kin_broadcast *broadcast = new_broadcast(KIN_BROADCAST_OPTIONS(.capacity = 4096, .slow = KIN_SLOW_DROP));
    kin_reader *reader = join_as_reader(broadcast);
    const void *data;
    int value;
    ck_assert_int_eq(kin_reader_look(reader, &data, NULL, 0), KIN_EINVAL);
    for (int i = 0; i < 5000; i++)
        ck_assert_int_eq(kin_broadcast_write(broadcast, &i, sizeof i, 0), 0);
    ck_assert_int_eq(kin_reader_read(reader, &value, sizeof value, NULL, 0), KIN_ELOST);
    size_t lost = kin_reader_lost(reader);
    ck_assert(lost > 4000 && lost < 5000);
    for (int i = (int)lost; i < 5000; i++)
        ck_assert_int_eq(read_int(reader), i);
    ck_assert_int_eq(kin_reader_read(reader, &value, sizeof value, NULL, 0), KIN_ETIMEDOUT);
    ck_assert_uint_eq(kin_reader_lost(reader), lost);
    ck_assert_int_eq(kin_reader_leave(reader), 0);
    free_broadcast(broadcast);
}

static void slow_reader_is_cut_off_and_may_join_anew(void)
{
    test_init();
    kin_broadcast *broadcast = new_broadcast(KIN_BROADCAST_OPTIONS(.capacity = 4096, .slow = KIN_SLOW_CUT));
    kin_reader *slow = join_as_reader(broadcast), *quick = join_as_reader(broadcast);
    int value;
    for (int i = 0; i < 5000; i++) {
        ck_assert_int_eq(kin_broadcast_write(broadcast, &i, sizeof i, 0), 0);
        ck_assert_int_eq(read_int(quick), i);
    }
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(kin_reader_read(slow, &value, sizeof value, NULL, 0), KIN_ELOST);
    ck_assert_int_eq(kin_reader_leave(slow), 0);
    slow = join_as_reader(broadcast);
    write_int(broadcast, 7);
    ck_assert_int_eq(read_int(slow), 7);
    ck_assert_int_eq(read_int(quick), 7);
    ck_assert_int_eq(kin_reader_leave(slow), 0);
    ck_assert_int_eq(kin_reader_leave(quick), 0);
    free_broadcast(broadcast);
}

/* ---- several processes ----------------------------------------------------------------------- */

struct world {
    kin_broadcast *broadcast;
    kin_queue *ready;
    uint64_t count;
};

#define LARGE 40000

static size_t size_of(uint64_t number)
{
    return number % 100 == 99 ? LARGE : 8 + number % 60;
}

static void fill(char *message, uint64_t number)
{
    size_t size = size_of(number);
    memset(message, (int)(number & 255), size);
    memcpy(message, &number, sizeof number);
}

static bool is_right(const char *message, size_t size, uint64_t number)
{
    static _Thread_local char right[LARGE];
    fill(right, number);
    return size == size_of(number) && memcmp(message, right, size) == 0;
}

static int read_all(void *arg)
{
    const struct world *world = arg;
    static char buffer[LARGE];
    kin_reader *reader = kin_broadcast_join(world->broadcast, 20);
    child_assert(reader && kin_queue_put(world->ready, "", 1, 20) == 0);
    for (uint64_t number = 0; number < world->count; number++) {
        size_t size;
        child_assert(kin_reader_read(reader, buffer, sizeof buffer, &size, 20) == 0);
        child_assert(is_right(buffer, size, number));
    }
    child_assert(kin_reader_read(reader, buffer, sizeof buffer, NULL, 20) == KIN_ECLOSED);
    return kin_reader_leave(reader);
}

static void write_numbers(kin_broadcast *broadcast, uint64_t from, uint64_t to)
{
    static char message[LARGE];
    for (uint64_t i = from; i < to; i++) {
        fill(message, i);
        ck_assert_msg(kin_broadcast_write(broadcast, message, size_of(i), 20) == 0, "%s",
                      kin_error_message());
    }
}

static struct world new_world(const kin_broadcast_options *options, uint64_t count)
{
    return (struct world){new_broadcast(options), kin_queue_new(NULL), count};
}

static void await_ready(const struct world *world, int count)
{
    char byte[1];
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(kin_queue_get(world->ready, byte, 1, NULL, 20), 0);
}

static void all_readers_get_all_in_order(void)
{
    test_init();
    struct world world = new_world(KIN_BROADCAST_OPTIONS(.capacity = 100000), test_long() ? 200000 : 20000);
    kin_process *processes[3];
    for (int i = 0; i < 3; i++)
        processes[i] = start(read_all, &world, sizeof world);
    await_ready(&world, 3);
    write_numbers(world.broadcast, 0, world.count);
    ck_assert_int_eq(kin_broadcast_close(world.broadcast), 0);
    for (int i = 0; i < 3; i++)
        wait_for_end(processes[i], true);
    free_broadcast(world.broadcast);
    ck_assert_int_eq(kin_queue_free(world.ready), 0);
    ck_assert_uint_eq(large_blocks(), 0);
}

static int read_for_ever(void *arg)
{
    const struct world *world = arg;
    static char buffer[LARGE];
    kin_reader *reader = kin_broadcast_join(world->broadcast, 20);
    child_assert(reader && kin_queue_put(world->ready, "", 1, 20) == 0);
    uint64_t next = 0;
    for (bool anything = true;;) { /* may come, as at the beginning */
        size_t size;
        int error = kin_reader_read(reader, buffer, sizeof buffer, &size, 20);
        if (error == KIN_ELOST && world->broadcast->slow == KIN_SLOW_DROP) {
            anything = true;
            continue;
        }
        if (error)
            return error == KIN_ECLOSED ? 0 : error;
        uint64_t number;
        memcpy(&number, buffer, sizeof number);
        child_assert(is_right(buffer, size, number) && (anything || number == next));
        next = number + 1;
        anything = false;
    }
}

/* Readers come and are killed all the time; one that stays gets all. Nobody waits for the dead, and no block stays. */
static void storm(const kin_broadcast_options *options)
{
    test_init();
    struct world world = new_world(options, 0);
    kin_process *readers[3], *stays = start(read_for_ever, &world, sizeof world);
    unsigned seed = (unsigned)getpid();
    for (int i = 0; i < 3; i++)
        readers[i] = start(read_for_ever, &world, sizeof world);
    await_ready(&world, 4);
    uint64_t number = 0;
    for (int round = 0; round < (test_long() ? 1000 : 60); round++) {
        uint64_t more = (uint64_t)rand_r(&seed) % 500;
        write_numbers(world.broadcast, number, number + more);
        number += more;
        int which = rand_r(&seed) % 3;
        ck_assert_int_eq(kin_process_kill(readers[which]), 0);
        more = (uint64_t)rand_r(&seed) % 500;
        write_numbers(world.broadcast, number, number + more);
        number += more;
        wait_for_end(readers[which], false);
        readers[which] = start(read_for_ever, &world, sizeof world);
    }
    ck_assert_int_eq(kin_broadcast_close(world.broadcast), 0);
    for (int i = 0; i < 3; i++)
        wait_for_end(readers[i], true);
    wait_for_end(stays, true);
    free_broadcast(world.broadcast);
    ck_assert_int_eq(kin_queue_free(world.ready), 0);
    ck_assert_uint_eq(large_blocks(), 0);
}

static void killed_readers_keep_nobody_waiting_and_leave_nothing(void)
{
    storm(KIN_BROADCAST_OPTIONS(.capacity = 100000, .readers = 4));
}

static void killed_readers_of_one_that_drops_leave_nothing(void)
{
    storm(KIN_BROADCAST_OPTIONS(.capacity = 100000, .readers = 4, .slow = KIN_SLOW_DROP));
}

static int join_and_sleep(void *arg)
{
    const struct world *world = arg;
    child_assert(kin_broadcast_join(world->broadcast, 20) && kin_queue_put(world->ready, "", 1, 20) == 0);
    for (;;)
        pause();
}

static void *kill_soon(void *process)
{
    usleep(100000);
    kin_process_kill(process);
    return NULL;
}

/* The writer sleeps for its sake, without limit. */
static void death_of_the_slowest_reader_lets_the_writer_go_on(void)
{
    test_init();
    struct world world = new_world(KIN_BROADCAST_OPTIONS(.capacity = 4096, .readers = 1), 0);
    kin_process *process = start(join_and_sleep, &world, sizeof world);
    pthread_t thread;
    await_ready(&world, 1);
    ck_assert_int_eq(pthread_create(&thread, NULL, kill_soon, process), 0);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(kin_broadcast_write(world.broadcast, &i, sizeof i, KIN_FOREVER), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_uint_eq(kin_broadcast_readers(world.broadcast), 0);
    kin_reader *reader = join_as_reader(world.broadcast); /* in its slot */
    ck_assert_int_eq(kin_reader_leave(reader), 0);
    wait_for_end(process, false);
    free_broadcast(world.broadcast);
    ck_assert_int_eq(kin_queue_free(world.ready), 0);
}

static int write_some_and_die(void *arg)
{
    const struct world *world = arg;
    char byte[1];
    static char message[LARGE];
    child_assert(kin_queue_get(world->ready, byte, 1, NULL, 20) == 0);
    for (uint64_t i = 0; i < world->count; i++) {
        fill(message, i);
        child_assert(kin_broadcast_write(world->broadcast, message, size_of(i), 20) == 0);
    }
    kill(getpid(), SIGKILL);
    return 0;
}

static void readers_of_a_dead_writer_get_the_rest_and_are_told(void)
{
    test_init();
    for (uint64_t count = 0; count <= 500; count += 250) { /* named, it may die before it has written */
        struct world world = new_world(NULL, count);
        static char buffer[LARGE];
        kin_process *process = start(write_some_and_die, &world, sizeof world);
        ck_assert_int_eq(kin_broadcast_set_writer(world.broadcast, process), 0);
        ck_assert_int_eq(kin_broadcast_write(world.broadcast, "", 1, 0), KIN_EPERM);
        kin_reader *reader = join_as_reader(world.broadcast);
        ck_assert_int_eq(kin_queue_put(world.ready, "", 1, 20), 0);
        for (uint64_t i = 0; i < count; i++) {
            size_t size;
            ck_assert_msg(kin_reader_read(reader, buffer, sizeof buffer, &size, 20) == 0, "%s",
                          kin_error_message());
            ck_assert(is_right(buffer, size, i));
        }
        ck_assert_int_eq(kin_reader_read(reader, buffer, sizeof buffer, NULL, KIN_FOREVER), KIN_ECLOSED);
        ck_assert_int_eq(kin_broadcast_write(world.broadcast, "", 1, 0), KIN_EPERM);
        ck_assert_int_eq(kin_reader_leave(reader), 0);
        wait_for_end(process, false);
        free_broadcast(world.broadcast);
        ck_assert_int_eq(kin_queue_free(world.ready), 0);
    }
    ck_assert_uint_eq(large_blocks(), 0);
}

/* ---- threads, over one mapping --------------------------------------------------------------- */

static void *read_in_thread(void *arg)
{
    struct world *world = arg;
    static _Thread_local char buffer[LARGE];
    kin_reader *reader = kin_broadcast_join(world->broadcast, 20);
    if (!reader || kin_queue_put(world->ready, "", 1, 20))
        return NULL;
    for (uint64_t number = 0; number < world->count; number++) {
        size_t size;
        if (kin_reader_read(reader, buffer, LARGE, &size, 20) || !is_right(buffer, size, number))
            return NULL;
    }
    return kin_reader_leave(reader) ? NULL : world;
}

static void threads_read_side_by_side(void)
{
    test_init();
    struct world world = new_world(KIN_BROADCAST_OPTIONS(.capacity = 100000), test_long() ? 100000 : 10000);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, read_in_thread, &world), 0);
    await_ready(&world, 3);
    write_numbers(world.broadcast, 0, world.count);
    for (int i = 0; i < 3; i++) {
        void *result;
        ck_assert_int_eq(pthread_join(threads[i], &result), 0);
        ck_assert_ptr_nonnull(result);
    }
    free_broadcast(world.broadcast);
    ck_assert_int_eq(kin_queue_free(world.ready), 0);
}

static const struct test tests[] = {
    {"each_reader_gets_what_is_written_after_it_joined", each_reader_gets_what_is_written_after_it_joined, 20,
     0},
    {"misuse_of_broadcasts_is_told", misuse_of_broadcasts_is_told, 20, 0},
    {"messages_of_all_sizes_reach_all", messages_of_all_sizes_reach_all, 60, 0},
    {"writer_waits_for_the_slowest_only_as_long_as_it_is_told",
     writer_waits_for_the_slowest_only_as_long_as_it_is_told, 20, 0},
    {"slow_reader_misses_the_oldest_and_is_told", slow_reader_misses_the_oldest_and_is_told, 20, 0},
    {"slow_reader_is_cut_off_and_may_join_anew", slow_reader_is_cut_off_and_may_join_anew, 20, 0},
    {"threads_read_side_by_side", threads_read_side_by_side, 120, TEST_NOT_VALGRIND}, /* they spin */
    {"all_readers_get_all_in_order", all_readers_get_all_in_order, 120, TEST_EACH_METHOD},
    {"killed_readers_keep_nobody_waiting_and_leave_nothing",
     killed_readers_keep_nobody_waiting_and_leave_nothing, 300, TEST_EACH_METHOD},
    {"killed_readers_of_one_that_drops_leave_nothing", killed_readers_of_one_that_drops_leave_nothing, 300,
     TEST_EACH_METHOD},
    {"death_of_the_slowest_reader_lets_the_writer_go_on", death_of_the_slowest_reader_lets_the_writer_go_on,
     30, TEST_EACH_METHOD},
    {"readers_of_a_dead_writer_get_the_rest_and_are_told", readers_of_a_dead_writer_get_the_rest_and_are_told,
     60, TEST_EACH_METHOD},
};
TEST_MAIN("broadcast", tests)
