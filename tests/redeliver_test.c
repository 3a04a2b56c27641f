/* redeliver_test.c - kin/queue.h with .redeliver: what a dead consumer had got comes again. */
#include "harness.h"

#include "family/heap.h"
#include "message/queue_shared.h"

#include <kin.h>

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static kin_queue *new_queue(size_t maxsize)
{
    kin_queue *queue = kin_queue_new(KIN_QUEUE_OPTIONS(.maxsize = maxsize, .redeliver = true));
    ck_assert_msg(queue != NULL, "%s", kin_error_message());
    return queue;
}

static void free_queue(kin_queue *queue)
{
    ck_assert_msg(kin_queue_free(queue) == 0, "%s", kin_error_message());
}

static void put(kin_queue *queue, int value)
{
    ck_assert_msg(kin_queue_put(queue, &value, sizeof value, 20) == 0, "%s", kin_error_message());
}

static int get(kin_queue *queue)
{
    int value = -1;
    ck_assert_msg(kin_queue_get(queue, &value, sizeof value, NULL, 20) == 0, "%s", kin_error_message());
    return value;
}

static void done(kin_queue *queue)
{
    ck_assert_msg(kin_queue_task_done(queue) == 0, "%s", kin_error_message());
}

static kin_process *start(kin_process_fn body, void *arg, size_t size)
{
    kin_process *process =
        kin_process_start(body, arg, size, KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    return process;
}

static void wait_for_end(kin_process *process)
{
    ck_assert_int_eq(kin_process_join(process, 20), 0);
    kin_process_free(process);
}

/* ---- one process ----------------------------------------------------------------------------- */

static void messages_are_kept_until_they_are_done(void)
{
    test_init();
    kin_queue *queue = new_queue(0);
    ck_assert_uint_eq(kin_queue_deliveries(queue), 0);
    ck_assert_int_eq(kin_queue_task_done(queue), KIN_EINVAL);
    ck_assert_int_eq(kin_queue_join(queue, NULL, 0), 0);
    for (int i = 0; i < 3; i++)
        put(queue, i);
    ck_assert_int_eq(get(queue), 0);
    ck_assert_int_eq(get(queue), 1);
    ck_assert_uint_eq(kin_queue_deliveries(queue), 1);
    ck_assert_uint_eq(kin_queue_size(queue), 1);
    done(queue);
    done(queue);
    ck_assert_int_eq(kin_queue_task_done(queue), KIN_EINVAL);
    ck_assert_int_eq(kin_queue_join(queue, NULL, 0.05), KIN_ETIMEDOUT);
    ck_assert_int_eq(get(queue), 2);
    ck_assert_int_eq(kin_queue_join(queue, NULL, 0.05), KIN_ETIMEDOUT);
    done(queue);
    ck_assert_int_eq(kin_queue_join(queue, NULL, 0), 0);
    free_queue(queue);
}

static kin_heap_stats stats_now(void)
{
    kin_heap_stats stats = {.size = sizeof stats};
    ck_assert_int_eq(kin_heap_get_stats(&stats), 0);
    return stats;
}

static size_t blocks_in_use(void)
{
    kin_heap_stats stats = stats_now();
    return stats.small_blocks + stats.large_blocks;
}

/* Small, large, given: each as a block of the taker's own, and what the queue keeps goes when it is done. */
static void what_is_taken_is_a_copy(void)
{
    test_init();
    kin_queue *queue = new_queue(0);
    kin_message message;
    static char large[60000];
    memset(large, 9, sizeof large);
    size_t before = blocks_in_use();
    put(queue, 1);
    ck_assert_int_eq(kin_queue_put(queue, large, sizeof large, 0), 0);
    void *block = kin_malloc(500);
    memset(block, 9, 500);
    ck_assert_int_eq(kin_queue_give(queue, block, 500, 0), 0);
    ck_assert_int_eq(kin_queue_put(queue, "", 0, 0), 0);
    const size_t sizes[] = {sizeof(int), sizeof large, 500, 0};
    for (int i = 0; i < 4; i++) {
        ck_assert_msg(kin_queue_take(queue, &message, 0) == 0, "%s", kin_error_message());
        ck_assert(message.size == sizes[i] && message.arena == NULL && message.data != block);
        ck_assert(i == 0 ? *(int *)message.data == 1 : memcmp(message.data, large, sizes[i]) == 0);
        kin_free(message.data);
        ck_assert_uint_eq(kin_queue_deliveries(queue), 1);
        done(queue);
    }
    ck_assert_int_eq(kin_queue_join(queue, NULL, 0), 0);
    ck_assert_uint_eq(blocks_in_use(), before);
    free_queue(queue);
}

static void give_arena(kin_queue *queue, int value)
{
    kin_arena *arena = kin_arena_new();
    int *root = kin_arena_malloc(arena, 5000);
    *root = value;
    ck_assert_msg(kin_queue_give_arena(queue, arena, root, 0) == 0, "%s", kin_error_message());
}

static int take_lent(kin_queue *queue)
{
    kin_message message;
    if (kin_queue_take(queue, &message, 20) || message.arena || message.size || !kin_is_shared(message.data))
        return -1;
    return *(int *)message.data;
}

static void arena_is_lent_until_it_is_done(void)
{
    test_init();
    kin_queue *queue = new_queue(0);
    int value;
    size_t count;
    for (int i = 0; i < 3; i++)
        give_arena(queue, i);
    ck_assert_int_eq(kin_queue_get(queue, &value, sizeof value, NULL, 0), KIN_EINVAL);
    ck_assert_int_eq(kin_queue_get_many(queue, &value, sizeof value, 1, &count, 0), KIN_EINVAL);
    ck_assert_int_eq(take_lent(queue), 0);
    ck_assert_int_eq(take_lent(queue), 1);
    ck_assert_uint_eq(stats_now().arenas, 3);
    done(queue);
    done(queue);
    ck_assert_uint_eq(stats_now().arenas, 1);
    ck_assert_int_eq(take_lent(queue), 2);
    give_arena(queue, 3);
    ck_assert_int_eq(kin_queue_join(queue, NULL, 0), KIN_ETIMEDOUT);
    free_queue(queue); /* with one that is lent, and one that is not */
    ck_assert_uint_eq(stats_now().arenas, 0);
}

static int take_two_finish_one_and_die(void *arg)
{
    kin_queue *queue = *(kin_queue **)arg;
    child_assert(take_lent(queue) == 0);
    child_assert(take_lent(queue) == 1);
    child_assert(kin_queue_task_done(queue) == 0);
    kill(getpid(), SIGKILL);
    return 0;
}

static void arena_that_a_dead_consumer_had_is_lent_to_the_next(void)
{
    test_init();
    kin_queue *queue = new_queue(0);
    for (int i = 0; i < 3; i++)
        give_arena(queue, i);
    wait_for_end(start(take_two_finish_one_and_die, &queue, sizeof queue));
    ck_assert_int_eq(take_lent(queue), 1);
    ck_assert_uint_eq(kin_queue_deliveries(queue), 2);
    done(queue);
    ck_assert_int_eq(take_lent(queue), 2);
    done(queue);
    ck_assert_int_eq(kin_queue_join(queue, NULL, 0), 0);
    ck_assert_uint_eq(stats_now().arenas, 0);
    free_queue(queue);
}

static void blocks_are_kept_until_they_are_done(void)
{
    test_init();
    kin_queue *queue = new_queue(0);
    put(queue, 1);
    char *block = kin_malloc(60000), *back = malloc(60000), *other = malloc(60000);
    memset(block, 7, 60000);
    memset(other, 8, 60000);
    ck_assert_int_eq(kin_queue_give(queue, block, 60000, 0), 0);
    ck_assert_int_eq(kin_queue_put(queue, other, 60000, 0), 0);
    ck_assert_int_eq(kin_queue_put(queue, other, 60000, 0), 0);
    ck_assert_int_eq(get(queue), 1);
    size_t size;
    ck_assert_int_eq(kin_queue_get(queue, back, 10, &size, 0), KIN_ETOOLARGE);
    ck_assert_uint_eq(size, 60000);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(kin_queue_get(queue, back, 60000, NULL, 0), 0);
        ck_assert_int_eq(back[59999], 7 + i);
    }
    for (int i = 0; i < 3; i++)
        done(queue);
    free(back);
    free(other);
    kin_heap_stats stats = {.size = sizeof stats};
    ck_assert_int_eq(kin_heap_get_stats(&stats), 0);
    ck_assert_uint_le(stats.large_blocks, 1); /* the last copy, in the queue */
    free_queue(queue);
    ck_assert_int_eq(kin_heap_get_stats(&stats), 0);
    ck_assert_uint_eq(stats.large_blocks, 0);
}

static size_t size_of(int i)
{
    static const size_t sizes[] = {0, 1, 8, 9, 100, 5000, 16384, 32768, 32769, 50000};
    return sizes[(size_t)i % (sizeof sizes / sizeof *sizes)];
}

/* The ring grows and wraps while the first one is had still. */
static void all_sizes_go_through_behind_one_that_is_not_done(void)
{
    enum { COUNT = 1000, BEHIND = 40 };
    test_init();
    kin_queue *queue = new_queue(0);
    unsigned char *message = malloc(1 << 16), *back = malloc(1 << 16);
    for (size_t i = 0; i < (1 << 16); i++)
        message[i] = (unsigned char)(i * 31 >> 3);
    for (int i = 0; i < COUNT + BEHIND; i++) {
        if (i < COUNT)
            ck_assert_msg(kin_queue_put(queue, message + i, size_of(i), 10) == 0, "%s", kin_error_message());
        int j = i - BEHIND;
        size_t size;
        if (j < 0)
            continue;
        ck_assert_int_eq(kin_queue_get(queue, back, 1 << 16, &size, 10), 0);
        ck_assert_uint_eq(size, size_of(j));
        ck_assert(memcmp(back, message + j, size) == 0);
        if (j > 500)
            done(queue);
    }
    for (int i = 0; i <= 500; i++)
        done(queue);
    ck_assert_int_eq(kin_queue_join(queue, NULL, 0), 0);
    free(message);
    free(back);
    free_queue(queue);
}

static void many_come_one_by_one(void)
{
    test_init();
    kin_queue *queue = new_queue(0);
    uint64_t in[100], out[100];
    for (size_t i = 0; i < 100; i++)
        in[i] = i;
    size_t count;
    ck_assert_int_eq(kin_queue_put_many(queue, in, sizeof *in, 100, NULL, 0), 0);
    ck_assert_int_eq(kin_queue_get_many(queue, out, sizeof *out, 200, &count, 0), 0);
    ck_assert_uint_eq(count, 100);
    ck_assert(memcmp(in, out, sizeof in) == 0);
    put(queue, 1);
    ck_assert_int_eq(kin_queue_get_many(queue, out, sizeof *out, 1, &count, 0), KIN_EINVAL);
    ck_assert_int_eq(get(queue), 1);
    for (int i = 0; i < 101; i++)
        done(queue);
    free_queue(queue);
}

static void *get_two(void *queue)
{
    ck_assert_int_eq(get(queue), 0);
    ck_assert_int_eq(get(queue), 1);
    done(queue);
    return NULL;
}

static void what_an_ended_thread_had_comes_again(void)
{
    test_init();
    kin_queue *queue = new_queue(0);
    for (int i = 0; i < 3; i++)
        put(queue, i);
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, get_two, queue), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(get(queue), 1); /* before what is new */
    ck_assert_int_eq(get(queue), 2);
    done(queue);
    done(queue);
    ck_assert_int_eq(kin_queue_join(queue, NULL, 0), 0);
    free_queue(queue);
}

/* ---- deaths ---------------------------------------------------------------------------------- */

static int get_four_finish_one_and_die(void *arg)
{
    kin_queue *queue = *(kin_queue **)arg;
    int value;
    for (int i = 0; i < 4; i++)
        child_assert(kin_queue_get(queue, &value, sizeof value, NULL, 20) == 0);
    child_assert(kin_queue_task_done(queue) == 0);
    kill(getpid(), SIGKILL);
    return 0;
}

static void what_a_dead_consumer_had_comes_again_in_front_and_in_order(void)
{
    test_init();
    kin_queue *queue = new_queue(0);
    for (int i = 0; i < 6; i++)
        put(queue, i);
    wait_for_end(start(get_four_finish_one_and_die, &queue, sizeof queue));
    static const int order[] = {1, 2, 3, 4, 5};
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(get(queue), order[i]);
        ck_assert_uint_eq(kin_queue_deliveries(queue), i < 3 ? 2 : 1);
        if (i % 2)
            done(queue);
    }
    for (int i = 0; i < 3; i++)
        done(queue);
    ck_assert_int_eq(kin_queue_join(queue, NULL, 0), 0);
    free_queue(queue);
}

static void message_that_kills_tells_how_often(void)
{
    test_init();
    kin_queue *queue = new_queue(0);
    for (int i = 0; i < 4; i++)
        put(queue, i);
    for (int i = 0; i < 3; i++) {
        put(queue, 4 + i);
        wait_for_end(start(get_four_finish_one_and_die, &queue, sizeof queue));
    }
    ck_assert_int_eq(get(queue), 3);
    ck_assert_uint_eq(kin_queue_deliveries(queue), 4);
    free_queue(queue);
}

struct pair {
    kin_queue *queue, *ready;
};

static int get_one_and_hang(void *arg)
{
    const struct pair *pair = arg;
    int value;
    child_assert(kin_queue_get(pair->queue, &value, sizeof value, NULL, 20) == 0);
    child_assert(kin_queue_put(pair->ready, &value, sizeof value, 20) == 0);
    for (;;)
        pause();
}

static void *kill_soon(void *process)
{
    usleep(100000);
    kin_process_kill(process);
    return NULL;
}

/* It is closed, and empty; but what another has may come back. Who waits for that is woken by the death. */
static void closed_queue_waits_for_what_others_have(void)
{
    test_init();
    struct pair pair = {new_queue(0), new_queue(0)};
    put(pair.queue, 5);
    ck_assert_int_eq(kin_queue_close(pair.queue), 0);
    kin_process *process = start(get_one_and_hang, &pair, sizeof pair);
    ck_assert_int_eq(get(pair.ready), 5);
    int value;
    ck_assert_int_eq(kin_queue_get(pair.queue, &value, sizeof value, NULL, 0.05), KIN_ETIMEDOUT);
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, kill_soon, process), 0);
    ck_assert_int_eq(get(pair.queue), 5);
    ck_assert_uint_eq(kin_queue_deliveries(pair.queue), 2);
    ck_assert_int_eq(kin_queue_get(pair.queue, &value, sizeof value, NULL, 20), KIN_ECLOSED);
    done(pair.queue);
    ck_assert_int_eq(kin_queue_join(pair.queue, NULL, 0), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    wait_for_end(process);
    free_queue(pair.queue);
    free_queue(pair.ready);
}

/* ---- a storm --------------------------------------------------------------------------------- */

#define ITEMS 3000

struct work {
    kin_queue *queue;
    _Atomic uint32_t *times; /* each item was worked on */
    _Atomic uint32_t *finished;
};

static int work(void *arg)
{
    struct work *work = arg;
    static char buffer[40000];
    for (;;) {
        size_t size;
        int item, error = kin_queue_get(work->queue, buffer, sizeof buffer, &size, 20);
        if (error)
            return error == KIN_ECLOSED ? 0 : error;
        memcpy(&item, buffer, sizeof item);
        child_assert(memcmp(buffer + size - sizeof item, &item, sizeof item) == 0);
        work->times[item]++;
        child_assert(kin_queue_task_done(work->queue) == 0);
        work->finished[item]++;
    }
}

static void *put_all(void *queue)
{
    static char message[40000];
    for (int i = 0; i < ITEMS; i++) {
        size_t size = i % 50 ? 8 : sizeof message;
        memcpy(message, &i, sizeof i);
        memcpy(message + size - sizeof i, &i, sizeof i);
        if (kin_queue_put(queue, message, size, KIN_FOREVER))
            return NULL;
    }
    return kin_queue_close(queue) ? NULL : queue;
}

static void no_item_is_left_out_in_a_storm_of_deaths(void)
{
    enum { WORKERS = 3 };
    test_init();
    struct work shared = {new_queue(50), kin_calloc(ITEMS, 4), kin_calloc(ITEMS, 4)};
    kin_process *workers[WORKERS] = {0};
    unsigned seed = (unsigned)getpid(), deaths = 0;
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, put_all, shared.queue), 0);
    for (int i = 0; i < WORKERS; i++)
        workers[i] = start(work, &shared, sizeof shared);
    while (kin_queue_join(shared.queue, NULL, 0.002) == KIN_ETIMEDOUT || !kin_queue_closed(shared.queue)) {
        int which = rand_r(&seed) % WORKERS;
        if (deaths == (test_long() ? 1000u : 60u))
            continue;
        kin_process_kill(workers[which]);
        wait_for_end(workers[which]);
        workers[which] = start(work, &shared, sizeof shared);
        deaths++;
    }
    void *put;
    ck_assert_int_eq(pthread_join(thread, &put), 0);
    ck_assert_ptr_eq(put, shared.queue);
    for (int i = 0; i < WORKERS; i++)
        wait_for_end(workers[i]);
    unsigned twice = 0;
    for (int i = 0; i < ITEMS; i++) {
        ck_assert_uint_ge(shared.times[i], 1);
        ck_assert_uint_le(shared.finished[i], 1); /* what was done did not come again */
        twice += shared.times[i] - 1;
    }
    ck_assert_uint_le(twice, deaths);
    kin_free((void *)shared.times);
    kin_free((void *)shared.finished);
    free_queue(shared.queue);
}

struct ending {
    kin_queue *queue;
    kin_event *got, *go;
    struct kin__thread *slot;
};

static void *get_and_stay(void *arg)
{
    struct ending *ending = arg;
    int value = -1;
    if (kin_queue_get(ending->queue, &value, sizeof value, NULL, 20) == 0)
        ending->slot = kin__thread_mine;
    kin_event_set(ending->got);
    return kin_event_wait(ending->go, 20) == 0 ? arg : NULL;
}

/* In retire() (family/thread.c) a thread's slot is nobody's a moment before it is counted as ended, and is its own again if that is
 * undone. A consumer that looks just then gets what it has found. */
static void message_of_a_thread_that_is_ending_is_got_once(void)
{
    test_init();
    struct ending ending = {.queue = new_queue(0), .got = kin_event_new(NULL), .go = kin_event_new(NULL)};
    kin_queue *queue = ending.queue;
    struct kin__patience patience = {.timeout = 20};
    pthread_t thread;
    int value = -1;
    void *went;
    put(queue, 1);
    ck_assert_int_eq(pthread_create(&thread, NULL, get_and_stay, &ending), 0);
    ck_assert_int_eq(kin_event_wait(ending.got, 20), 0);
    ck_assert_ptr_nonnull(ending.slot);
    ck_assert_int_eq(kin_queue_get(queue, &value, sizeof value, NULL, 0), KIN_ETIMEDOUT);

    ck_assert_int_eq(kin__queue_get_gate(queue, kin__self_id(), &patience), 0);
    kin__id owner = ending.slot->owner;
    kin__poke(&ending.slot->owner, 0);
    ck_assert(kin__redeliver_pending(queue));
    put(queue, 2);
    kin__poke(&ending.slot->owner, owner);
    ck_assert_int_eq(kin__redeliver_get(queue, &value, sizeof value, NULL, false), 0);
    ck_assert_int_eq(value, 1);
    ck_assert_int_eq(get(queue), 2);
    ck_assert_int_eq(kin_queue_get(queue, &value, sizeof value, NULL, 0), KIN_ETIMEDOUT);
    ck_assert_uint_eq(kin_queue_size(queue), 0);

    ck_assert_int_eq(kin_event_set(ending.go), 0);
    ck_assert_int_eq(pthread_join(thread, &went), 0);
    ck_assert_ptr_eq(went, &ending);
    free_queue(queue);
    ck_assert_int_eq(kin_event_free(ending.got), 0);
    ck_assert_int_eq(kin_event_free(ending.go), 0);
}

static const struct test tests[] = {
    {"messages_are_kept_until_they_are_done", messages_are_kept_until_they_are_done, 20, 0},
    {"blocks_are_kept_until_they_are_done", blocks_are_kept_until_they_are_done, 20, 0},
    {"what_is_taken_is_a_copy", what_is_taken_is_a_copy, 20, 0},
    {"arena_is_lent_until_it_is_done", arena_is_lent_until_it_is_done, 20, 0},
    {"arena_that_a_dead_consumer_had_is_lent_to_the_next", arena_that_a_dead_consumer_had_is_lent_to_the_next,
     30, TEST_EACH_METHOD},
    {"all_sizes_go_through_behind_one_that_is_not_done", all_sizes_go_through_behind_one_that_is_not_done, 30,
     0},
    {"many_come_one_by_one", many_come_one_by_one, 20, 0},
    {"message_of_a_thread_that_is_ending_is_got_once", message_of_a_thread_that_is_ending_is_got_once, 20, 0},
    {"what_an_ended_thread_had_comes_again", what_an_ended_thread_had_comes_again, 20, 0},
    {"what_a_dead_consumer_had_comes_again_in_front_and_in_order",
     what_a_dead_consumer_had_comes_again_in_front_and_in_order, 30, TEST_EACH_METHOD},
    {"message_that_kills_tells_how_often", message_that_kills_tells_how_often, 30, TEST_EACH_METHOD},
    {"closed_queue_waits_for_what_others_have", closed_queue_waits_for_what_others_have, 30,
     TEST_EACH_METHOD},
    {"no_item_is_left_out_in_a_storm_of_deaths", no_item_is_left_out_in_a_storm_of_deaths, 300,
     TEST_EACH_METHOD},
};
TEST_MAIN("redeliver", tests)
