/* queue_test.c - kin/queue.h: what CPython's _TestQueue asks for, then what it cannot: hand-overs, deaths, many at once. */
#include "harness.h"
#include "message/queue_shared.h"

#include <kin.h>

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static kin_queue *new_queue(size_t maxsize)
{
    kin_queue *queue = kin_queue_new(KIN_QUEUE_OPTIONS(.maxsize = maxsize));
    ck_assert_msg(queue != NULL, "%s", kin_error_message());
    return queue;
}

static kin_process *start(kin_process_fn body, kin_queue **queues, size_t count)
{
    kin_process *process = kin_process_start(body, queues, count * sizeof *queues,
                                             KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    return process;
}

static void join(kin_process *process)
{
    kin_end end;
    kin_error error;
    ck_assert_int_eq(kin_process_join(process, KIN_FOREVER), 0);
    ck_assert_int_eq(kin_process_end(process, &end), 0);
    ck_assert_int_eq(kin_process_error(process, &error), 0);
    ck_assert_msg(end.how == KIN_END_EXITED && end.exit_code == 0, "exit code %d: %s", end.exit_code,
                  error.message);
    kin_process_free(process);
}

static void put_int(kin_queue *queue, int value)
{
    ck_assert_msg(kin_queue_put(queue, &value, sizeof value, KIN_FOREVER) == 0, "%s", kin_error_message());
}

static int get_int(kin_queue *queue)
{
    int value = -1;
    size_t size = 0;
    ck_assert_msg(kin_queue_get(queue, &value, sizeof value, &size, 20) == 0, "%s", kin_error_message());
    ck_assert_uint_eq(size, sizeof value);
    return value;
}

static void free_queue(kin_queue *queue)
{
    ck_assert_msg(kin_queue_free(queue) == 0, "%s", kin_error_message());
}

/* ---- one process (CPython: test_qsize, test_timeout, test_put of maxsize, empty and full) ------ */

static void messages_come_out_as_they_went_in(void)
{
    test_init();
    kin_queue *queue = new_queue(0);
    for (int i = 0; i < 100; i++)
        put_int(queue, i);
    ck_assert_uint_eq(kin_queue_size(queue), 100);
    ck_assert(!kin_queue_empty(queue) && !kin_queue_full(queue));
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(get_int(queue), i);
    ck_assert(kin_queue_empty(queue));
    free_queue(queue);
}

static void full_and_empty_queues_time_out(void)
{
    test_init();
    kin_queue *queue = new_queue(3);
    int value = 7;
    double before = seconds();
    ck_assert_int_eq(kin_queue_get(queue, &value, sizeof value, NULL, 0), KIN_ETIMEDOUT);
    ck_assert_int_eq(kin_queue_get(queue, &value, sizeof value, NULL, 0.1), KIN_ETIMEDOUT);
    ck_assert(seconds() - before >= 0.1);
    for (int i = 0; i < 3; i++)
        put_int(queue, i);
    ck_assert(kin_queue_full(queue));
    before = seconds();
    ck_assert_int_eq(kin_queue_put(queue, &value, sizeof value, 0), KIN_ETIMEDOUT);
    ck_assert_int_eq(kin_queue_put(queue, &value, sizeof value, 0.1), KIN_ETIMEDOUT);
    ck_assert(seconds() - before >= 0.1);
    ck_assert_uint_eq(kin_queue_size(queue), 3);
    ck_assert_int_eq(get_int(queue), 0);
    put_int(queue, 3);
    for (int i = 1; i < 4; i++)
        ck_assert_int_eq(get_int(queue), i);
    free_queue(queue);
}

/* Of sizes around all the borders: of words, of the ring, of blocks; in a ring that has to grow under them. */
static void messages_of_all_sizes_are_whole(void)
{
    static const size_t sizes[] = {0,     1,     7,     8,     9,     63,    64,    100,    4096,
                                   16376, 16384, 30000, 32767, 32768, 32769, 70000, 1 << 20};
    enum { COUNT = sizeof sizes / sizeof *sizes, ROUNDS = 3 };
    test_init();
    kin_queue *queue = new_queue(0);
    unsigned char *message = malloc(1 << 20), *back = malloc(1 << 20);
    for (size_t i = 0; i < (1 << 20); i++)
        message[i] = (unsigned char)(i * 31 >> 3);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < COUNT; i++)
            ck_assert_msg(
                kin_queue_put(queue, message + i, sizes[i] - (i && sizes[i] > 1000 ? (size_t)i : 0), 10) == 0,
                "%s", kin_error_message());
        for (int i = 0; i < COUNT; i++) {
            size_t wanted = sizes[i] - (i && sizes[i] > 1000 ? (size_t)i : 0), size = 1;
            if (wanted) {
                ck_assert_int_eq(kin_queue_get(queue, back, wanted - 1, &size, 10), KIN_ETOOLARGE);
                ck_assert_uint_eq(size, wanted);
            }
            ck_assert_int_eq(kin_queue_get(queue, back, wanted, &size, 10), 0);
            ck_assert_uint_eq(size, wanted);
            ck_assert(memcmp(back, message + i, wanted) == 0);
        }
    }
    free(message);
    free(back);
    free_queue(queue);
}

static void misuse_is_told(void)
{
    test_init();
    char *block = kin_malloc(10);
    int value = 0;
    ck_assert_int_eq(kin_queue_put(NULL, &value, sizeof value, 0), KIN_EINVAL);
    ck_assert_int_eq(kin_queue_put((kin_queue *)&value, &value, sizeof value, 0), KIN_EINVAL);
    ck_assert_int_eq(kin_queue_get((kin_queue *)block, &value, sizeof value, NULL, 0), KIN_EINVAL);
    kin_queue *queue = new_queue(0);
    ck_assert_int_eq(kin_queue_put(queue, NULL, 1, 0), KIN_EINVAL);
    ck_assert_int_eq(kin_queue_put(queue, &value, sizeof value, -1), KIN_EINVAL);
    ck_assert_int_eq(kin_queue_put(queue, &value, KIN_MESSAGE_MAX + 1, 0), KIN_EINVAL);
    ck_assert_int_eq(kin_queue_give(queue, &value, sizeof value, 0), KIN_ENOTSHARED);
    ck_assert_int_eq(kin_queue_give(queue, block + 1, 1, 0), KIN_EINVAL);
    ck_assert_int_eq(kin_queue_give(queue, block, 1 << 20, 0), KIN_EINVAL);
    ck_assert_int_eq(kin_queue_task_done(queue), KIN_EINVAL);
    ck_assert_int_eq(kin_queue_join(queue, NULL, 0), KIN_EINVAL);
    ck_assert_int_eq(kin_queue_done(queue), KIN_EINVAL);
    ck_assert_int_eq(kin_queue_put(queue, &value, sizeof value, 0), 0);
    for (size_t size = KIN_MESSAGE_MAX + 1; size; size = size == SIZE_MAX - 7 ? 0 : SIZE_MAX - 7)
        ck_assert_int_eq(kin_queue_get_many(queue, &value, size, 1, NULL, 0), KIN_EINVAL);
    ck_assert_int_eq(get_int(queue), value);
    ck_assert_ptr_null(kin_queue_new(KIN_QUEUE_OPTIONS(.maxsize = (size_t)1 << 40)));
    ck_assert_ptr_null(kin_queue_new(KIN_QUEUE_OPTIONS(.producers = -1)));
    kin_free(block);
    free_queue(queue);
    ck_assert_int_eq(kin_queue_put(queue, &value, sizeof value, 0), KIN_EINVAL);
}

static void closed_queue_drains_then_says_so(void)
{
    test_init();
    kin_queue *queue = new_queue(0);
    int value;
    put_int(queue, 1);
    put_int(queue, 2);
    ck_assert_int_eq(kin_queue_close(queue), 0);
    ck_assert_int_eq(kin_queue_close(queue), 0);
    ck_assert_int_eq(kin_queue_put(queue, &value, sizeof value, KIN_FOREVER), KIN_ECLOSED);
    ck_assert_int_eq(get_int(queue), 1);
    ck_assert_int_eq(get_int(queue), 2);
    ck_assert_int_eq(kin_queue_get(queue, &value, sizeof value, NULL, KIN_FOREVER), KIN_ECLOSED);
    ck_assert(kin_queue_closed(queue));
    free_queue(queue);
}

static void many_go_in_and_out_at_once(void)
{
    enum { COUNT = 5000 };
    static uint64_t in[COUNT], out[COUNT];
    test_init();
    kin_queue *queue = new_queue(0);
    size_t done, got = 0;
    for (size_t i = 0; i < COUNT; i++)
        in[i] = i * i;
    ck_assert_int_eq(kin_queue_put_many(queue, in, sizeof *in, COUNT, &done, 10), 0);
    ck_assert_uint_eq(done, COUNT);
    ck_assert_uint_eq(kin_queue_size(queue), COUNT);
    while (got < COUNT) {
        ck_assert_int_eq(kin_queue_get_many(queue, out + got, sizeof *out, COUNT - got, &done, 0), 0);
        ck_assert_uint_ge(done, 1);
        got += done;
    }
    ck_assert(memcmp(in, out, sizeof in) == 0);
    ck_assert_int_eq(kin_queue_get_many(queue, out, sizeof *out, 1, &done, 0), KIN_ETIMEDOUT);
    put_int(queue, 5);
    ck_assert_int_eq(kin_queue_get_many(queue, out, sizeof *out, 1, &done, 0), KIN_EINVAL);
    ck_assert_uint_eq(done, 0);
    ck_assert_int_eq(get_int(queue), 5);
    free_queue(queue);
    queue = new_queue(10);
    ck_assert_int_eq(kin_queue_put_many(queue, in, sizeof *in, 20, &done, 0), KIN_ETIMEDOUT);
    ck_assert_uint_eq(done, 10);
    free_queue(queue);
}

/* ---- in use ------------------------------------------------------------------------------------ */

static void *get_one(void *queue)
{
    int value = -1;
    return kin_queue_get(queue, &value, sizeof value, NULL, 20) == 0 && value == 1 ? queue : NULL;
}

static void await_sleeper(const kin_queue *queue)
{
    while (!kin__waits_none(queue))
        usleep(1000);
}

static void queue_that_somebody_waits_for_is_not_freed(void)
{
    test_init();
    kin_queue *queue = kin_queue_new(KIN_QUEUE_OPTIONS(.name = "letters"));
    pthread_t thread;
    void *got;
    ck_assert_int_eq(pthread_create(&thread, NULL, get_one, queue), 0);
    await_sleeper(queue);
    ck_assert_int_eq(kin_queue_free(queue), KIN_EBUSY);
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "queue \"letters\""));
    put_int(queue, 1);
    ck_assert_int_eq(pthread_join(thread, &got), 0);
    ck_assert_ptr_eq(got, queue);
    free_queue(queue);
}

static _Atomic bool ready;

/* As soon as somebody waits for it. */
static void *let_go(void *arg)
{
    kin_queue *queue = arg;
    ready = true;
    while (!atomic_load(&queue->put.sleepers.asleep))
        kin__os_pause();
    kin__gate_release(&queue->put);
    return queue;
}

/* Somebody is in the middle of a put, and was preempted there: that is no reason to say "full". */
static void try_waits_for_who_is_just_putting(void)
{
    test_init();
    kin_queue *queue = new_queue(0);
    pthread_t thread;
    int value = 3;
    ck_assert_int_eq(kin__queue_put_gate(queue, kin__self_id(), &(struct kin__patience){.timeout = 0}), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, let_go, queue), 0);
    while (!ready)
        kin__os_pause();
    ck_assert_msg(kin_queue_put(queue, &value, sizeof value, 0) == 0, "%s", kin_error_message());
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(kin__queue_put_gate(queue, kin__self_id(), &(struct kin__patience){.timeout = 0}), 0);
    ck_assert_int_eq(kin_queue_put(queue, &value, sizeof value, 0), KIN_ETIMEDOUT); /* it is stopped, then */
    kin__gate_release(&queue->put);
    ck_assert_int_eq(get_int(queue), 3);
    free_queue(queue);
}

/* ---- handing over ------------------------------------------------------------------------------ */

static void all_pairs_of_put_and_give_with_get_and_take(void)
{
    test_init();
    kin_queue *queue = new_queue(0);
    kin_message message;
    char text[40];
    for (size_t size = 6; size <= 60000; size += 59994) { /* in the ring, and as a block */
        char *given = kin_calloc(1, size), *private = calloc(1, size), *back = malloc(size);
        memcpy(given, "given", 6);
        memcpy(private, "copie", 6);
        size_t is = 0;
        ck_assert_int_eq(kin_queue_put(queue, private, size, 0), 0);
        ck_assert_int_eq(kin_queue_get(queue, back, size, &is, 0), 0);
        ck_assert_str_eq(back, "copie");
        ck_assert_int_eq(kin_queue_put(queue, private, size, 0), 0);
        ck_assert_int_eq(kin_queue_take(queue, &message, 0), 0);
        ck_assert_str_eq(message.data, "copie");
        ck_assert_uint_eq(message.size, size);
        ck_assert_ptr_null(message.arena);
        kin_free(message.data);
        ck_assert_int_eq(kin_queue_give(queue, given, size, 0), 0);
        ck_assert_int_eq(kin_queue_take(queue, &message, 0), 0);
        ck_assert_ptr_eq(message.data, given);
        ck_assert_int_eq(kin_queue_give(queue, given, size, 0), 0);
        ck_assert_int_eq(kin_queue_get(queue, back, 1, &is, 0), KIN_ETOOLARGE);
        ck_assert_int_eq(kin_queue_get(queue, back, size, &is, 0), 0);
        ck_assert_str_eq(back, "given");
        free(private);
        free(back);
    }
    ck_assert_int_eq(kin_queue_get(queue, text, sizeof text, NULL, 0), KIN_ETIMEDOUT);
    free_queue(queue);
}

struct node {
    struct node *next;
    int value;
};

static int make_list(void *arg)
{
    kin_queue *queue = *(kin_queue **)arg;
    kin_arena *arena = kin_arena_new();
    struct node *list = NULL;
    for (int i = 0; i < 1000; i++) {
        struct node *node = kin_arena_malloc(arena, sizeof *node);
        *node = (struct node){.next = list, .value = i};
        list = node;
    }
    return kin_queue_give_arena(queue, arena, list, 10);
}

static void tree_of_blocks_crosses_by_one_call(void)
{
    test_init();
    kin_queue *queue = new_queue(0);
    kin_process *process = start(make_list, &queue, 1);
    kin_message message;
    int value, count = 0;
    ck_assert_msg(kin_queue_take(queue, &message, 20) == 0, "%s", kin_error_message());
    join(process);
    ck_assert_ptr_nonnull(message.arena);
    for (struct node *node = message.data; node; node = node->next)
        ck_assert_int_eq(node->value, 999 - count++);
    ck_assert_int_eq(count, 1000);
    ck_assert_int_eq(kin_queue_give_arena(queue, message.arena, message.data, 0), 0);
    ck_assert_int_eq(kin_queue_give_arena(queue, message.arena, message.data, 0), KIN_EPERM);
    ck_assert_int_eq(kin_queue_get(queue, &value, sizeof value, NULL, 0), KIN_EINVAL);
    free_queue(queue); /* and the arena with it */
    kin_heap_stats stats = {.size = sizeof stats};
    ck_assert_int_eq(kin_heap_get_stats(&stats), 0);
    ck_assert_uint_eq(stats.arenas, 0);
}

/* ---- several processes --------------------------------------------------------------------------- */

static int produce(void *arg)
{
    kin_queue *queue = *(kin_queue **)arg;
    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t message[2] = {(uint64_t)getpid(), i};
        if (kin_queue_put(queue, message, i % 2 ? sizeof message : sizeof message - 1, 20))
            return kin_error_code();
    }
    return 0;
}

/* Order per producer; and each message once. */
static void consume(kin_queue *queue, int producers)
{
    uint64_t pids[2] = {0}, next[2] = {0};
    for (int i = 0; i < producers * 20000; i++) {
        uint64_t message[2] = {0};
        size_t size;
        ck_assert_msg(kin_queue_get(queue, message, sizeof message, &size, 20) == 0, "%s",
                      kin_error_message());
        int who = pids[0] == message[0] ? 0 : 1;
        if (!pids[0])
            who = 0;
        pids[who] = message[0];
        ck_assert_uint_eq(size, next[who] % 2 ? sizeof message : sizeof message - 1);
        ck_assert_uint_eq(message[1], next[who]++);
    }
}

static void producers_are_heard_in_their_order(void)
{
    test_init();
    kin_queue *queue = new_queue(100);
    kin_process *one = start(produce, &queue, 1), *two = start(produce, &queue, 1);
    consume(queue, 2);
    join(one);
    join(two);
    free_queue(queue);
}

#define SHARE 125
#define CONSUMERS 4

struct turns {
    kin_queue *queue;
    _Atomic int *got; /* by each consumer */
    int me;
};

static int take_turns(void *arg)
{
    struct turns *turns = arg;
    int value, error;
    while ((error = kin_queue_get(turns->queue, &value, sizeof value, NULL, 20)) == 0) {
        atomic_fetch_add(&turns->got[turns->me], 1);
        usleep(100); /* it works on it: meanwhile it is another's turn */
    }
    child_assert(error == KIN_ECLOSED);
    return 0;
}

static bool all_have_their_share(_Atomic int *got)
{
    for (int i = 0; i < CONSUMERS; i++)
        if (atomic_load(&got[i]) < SHARE)
            return false;
    return true;
}

/* None starves: each has its share before all have got 40 times that, however the machine lets them run. */
static void consumers_get_their_share(void)
{
    test_init();
    struct turns turns = {new_queue(10), kin_calloc(CONSUMERS, sizeof(_Atomic int)), 0};
    kin_process *processes[CONSUMERS];
    int puts = 0, sum = 0;
    for (; turns.me < CONSUMERS; turns.me++)
        processes[turns.me] = kin_process_start(take_turns, &turns, sizeof turns,
                                                KIN_PROCESS_OPTIONS(.start_method = test_method()));
    for (int i = 0; i < CONSUMERS; i++) { /* all are there */
        ck_assert_msg(processes[i] != NULL, "%s", kin_error_message());
        while (atomic_load(&turns.got[i]) == 0)
            put_int(turns.queue, puts++);
    }
    for (int most = puts + 40 * CONSUMERS * SHARE; puts < most && !all_have_their_share(turns.got); puts++)
        put_int(turns.queue, puts);
    for (int i = 0; i < CONSUMERS; i++)
        ck_assert_msg(atomic_load(&turns.got[i]) >= SHARE, "one has got %d of %d", atomic_load(&turns.got[i]),
                      puts);
    ck_assert_int_eq(kin_queue_close(turns.queue), 0);
    for (int i = 0; i < CONSUMERS; i++)
        join(processes[i]);
    for (int i = 0; i < CONSUMERS; i++)
        sum += atomic_load(&turns.got[i]);
    ck_assert_int_eq(sum, puts);
    kin_free((void *)turns.got);
    free_queue(turns.queue);
}

static int echo(void *arg)
{
    kin_queue **queues = arg;
    for (;;) {
        kin_queue *reply;
        int error = kin_queue_get(queues[0], &reply, sizeof reply, NULL, 20);
        if (error)
            return error == KIN_ECLOSED ? 0 : error;
        int value = 42;
        if (kin_queue_put(reply, &value, sizeof value, 20))
            return kin_error_code();
    }
}

/* Python refuses that: "Queue objects should only be shared between processes through inheritance". */
static void queue_goes_through_a_queue(void)
{
    test_init();
    kin_queue *queue = new_queue(0);
    kin_process *process = start(echo, &queue, 1);
    for (int i = 0; i < 50; i++) {
        kin_queue *reply = new_queue(0);
        ck_assert_int_eq(kin_queue_put(queue, &reply, sizeof reply, 20), 0);
        ck_assert_int_eq(get_int(reply), 42);
        free_queue(reply);
    }
    ck_assert_int_eq(kin_queue_close(queue), 0);
    join(process);
    free_queue(queue);
}

/* ---- joinable (CPython: test_task_done) ------------------------------------------------------------ */

static int work(void *arg)
{
    kin_queue *queue = *(kin_queue **)arg;
    int value, error;
    while ((error = kin_queue_get(queue, &value, sizeof value, NULL, 20)) == 0)
        if (kin_queue_task_done(queue))
            return kin_error_code();
    return error == KIN_ECLOSED ? 0 : error;
}

static void join_waits_for_every_task_done(void)
{
    test_init();
    kin_queue *queue = kin_queue_new(KIN_QUEUE_OPTIONS(.joinable = true));
    ck_assert_int_eq(kin_queue_join(queue, NULL, 0), 0);
    ck_assert_int_eq(kin_queue_task_done(queue), KIN_EINVAL);
    kin_process *workers[2] = {start(work, &queue, 1), start(work, &queue, 1)};
    for (int i = 0; i < 2000; i++)
        put_int(queue, i);
    size_t lost = 1;
    ck_assert_msg(kin_queue_join(queue, &lost, 30) == 0, "%s", kin_error_message());
    ck_assert_uint_eq(lost, 0);
    ck_assert(kin_queue_empty(queue));
    put_int(queue, 0);
    ck_assert_int_eq(kin_queue_join(queue, NULL, 30), 0);
    ck_assert_int_eq(kin_queue_close(queue), 0);
    join(workers[0]);
    join(workers[1]);
    free_queue(queue);
}

static int take_three_finish_one(void *arg)
{
    kin_queue *queue = *(kin_queue **)arg;
    int value;
    for (int i = 0; i < 3; i++)
        child_assert(kin_queue_get(queue, &value, sizeof value, NULL, 20) == 0);
    child_assert(kin_queue_task_done(queue) == 0);
    kill(getpid(), SIGKILL);
    return 0;
}

static void what_a_dead_consumer_had_is_told_as_lost(void)
{
    test_init();
    kin_queue *queue = kin_queue_new(KIN_QUEUE_OPTIONS(.joinable = true));
    for (int i = 0; i < 4; i++)
        put_int(queue, i);
    kin_process *process = start(take_three_finish_one, &queue, 1);
    ck_assert_int_eq(kin_process_join(process, 20), 0);
    kin_process_free(process);
    ck_assert_int_eq(kin_queue_join(queue, NULL, 0.05), KIN_ETIMEDOUT); /* one is in the queue */
    ck_assert_int_eq(get_int(queue), 3);
    ck_assert_int_eq(kin_queue_task_done(queue), 0);
    size_t lost = 0;
    ck_assert_int_eq(kin_queue_join(queue, &lost, 20), KIN_ELOST);
    ck_assert_uint_eq(lost, 2);
    ck_assert_int_eq(kin_queue_join(queue, &lost, 20), 0);
    free_queue(queue);
}

/* ---- counted producers ------------------------------------------------------------------------------ */

static int put_and_be_done(void *arg)
{
    kin_queue *queue = *(kin_queue **)arg;
    int value = 1;
    child_assert(kin_queue_put(queue, &value, sizeof value, 20) == 0);
    child_assert(kin_queue_done(queue) == 0);
    child_assert(kin_queue_put(queue, &value, sizeof value, 20) == KIN_ECLOSED);
    return 0;
}

static int put_and_die(void *arg)
{
    kin_queue *queue = *(kin_queue **)arg;
    int value = 1;
    child_assert(kin_queue_put(queue, &value, sizeof value, 20) == 0);
    kill(getpid(), SIGKILL);
    return 0;
}

static int die(void *arg)
{
    (void)arg;
    kill(getpid(), SIGKILL);
    return 0;
}

static void queue_closes_when_all_producers_are_done_or_dead(void)
{
    test_init();
    kin_queue *queue = kin_queue_new(KIN_QUEUE_OPTIONS(.producers = 3));
    kin_process *processes[3] = {start(put_and_be_done, &queue, 1), start(put_and_die, &queue, 1),
                                 start(die, &queue, 1)};
    ck_assert_msg(kin_queue_add_producer(queue, processes[2]) == 0, "%s", kin_error_message());
    int value;
    ck_assert_int_eq(get_int(queue), 1);
    ck_assert_int_eq(get_int(queue), 1);
    ck_assert_int_eq(kin_queue_get(queue, &value, sizeof value, NULL, 20), KIN_ECLOSED);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(kin_process_join(processes[i], 20), 0);
        kin_process_free(processes[i]);
    }
    free_queue(queue);
}

struct in_order {
    kin_queue *queue;
    kin_event *first, *go;
};

static int put_twice(void *arg)
{
    const struct in_order *shared = arg;
    int value = 1;
    child_assert(kin_queue_put(shared->queue, &value, sizeof value, 20) == 0);
    child_assert(kin_event_set(shared->first) == 0);
    child_assert(kin_event_wait(shared->go, 20) == 0);
    child_assert(kin_queue_put(shared->queue, &value, sizeof value, 20) == 0);
    return 0;
}

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* The one that has ended left its slot to one that lives, and is a producer. */
static void producer_that_has_ended_long_ago_is_counted_beside_others(void)
{
    test_init();
    struct in_order shared = {kin_queue_new(KIN_QUEUE_OPTIONS(.producers = 2)), kin_event_new(NULL),
                              kin_event_new(NULL)};
    kin_process *ended = start(do_nothing, &shared.queue, 1);
    ck_assert_int_eq(kin_process_join(ended, 20), 0);
    kin_process *alive = kin_process_start(put_twice, &shared, sizeof shared,
                                           KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_int_eq(kin_event_wait(shared.first, 20), 0);
    ck_assert_int_eq(kin_queue_add_producer(shared.queue, ended), 0);
    ck_assert_int_eq(get_int(shared.queue), 1);
    ck_assert(!kin_queue_closed(shared.queue));
    ck_assert_int_eq(kin_event_set(shared.go), 0);
    ck_assert_int_eq(get_int(shared.queue), 1);
    int value;
    ck_assert_int_eq(kin_queue_get(shared.queue, &value, sizeof value, NULL, 20), KIN_ECLOSED);
    join(alive);
    kin_process_free(ended);
    free_queue(shared.queue);
    ck_assert_int_eq(kin_event_free(shared.first), 0);
    ck_assert_int_eq(kin_event_free(shared.go), 0);
}

/* ---- deaths ------------------------------------------------------------------------------------------- */

static int put_for_ever(void *arg)
{
    kin_queue *queue = *(kin_queue **)arg;
    static char large[50000];
    for (uint64_t i = 0;; i++) {
        memcpy(large, &i, sizeof i);
        memcpy(large + sizeof large - sizeof i, &i, sizeof i);
        if (kin_queue_put(queue, large, i % 64 ? sizeof i : sizeof large, KIN_FOREVER))
            return kin_error_code();
    }
}

/* Messages of a killed producer: whole, in order, none left out; the queue goes on. */
static void killed_producers_leave_a_working_queue(void)
{
    test_init();
    kin_queue *queue = new_queue(50);
    static char buffer[50000];
    for (int round = 0; round < (test_long() ? 400 : 40); round++) {
        kin_process *process = start(put_for_ever, &queue, 1);
        uint64_t next = 0;
        for (int i = 0; i < 20 + round * 7 % 200; i++, next++) {
            size_t size;
            uint64_t first, last;
            ck_assert_msg(kin_queue_get(queue, buffer, sizeof buffer, &size, 20) == 0, "%s",
                          kin_error_message());
            memcpy(&first, buffer, sizeof first);
            memcpy(&last, buffer + size - sizeof last, sizeof last);
            ck_assert_uint_eq(first, next);
            ck_assert_uint_eq(last, next);
        }
        ck_assert_int_eq(kin_process_kill(process), 0);
        ck_assert_int_eq(kin_process_join(process, 20), 0);
        kin_process_free(process);
        size_t size;
        for (int error = 0; !error; next++) {
            uint64_t first = next;
            error = kin_queue_get(queue, buffer, sizeof buffer, &size, 0);
            ck_assert_msg(!error || error == KIN_ETIMEDOUT, "%s", kin_error_message());
            if (!error)
                memcpy(&first, buffer, sizeof first);
            ck_assert_uint_eq(first, next);
        }
    }
    kin_heap_stats stats = {.size = sizeof stats};
    ck_assert_int_eq(kin_heap_get_stats(&stats), 0);
    ck_assert_uint_le(stats.large_blocks, 2); /* the ring, if it has grown */
    free_queue(queue);
}

static int get_for_ever(void *arg)
{
    kin_queue **queues = arg;
    static char buffer[50000];
    size_t size;
    for (;;) {
        int error = kin_queue_get(queues[0], buffer, sizeof buffer, &size, KIN_FOREVER);
        if (error)
            return error;
    }
}

/* Of each killed consumer at most one message is lost, and none comes twice. */
static void killed_consumers_leave_a_working_queue(void)
{
    test_init();
    kin_queue *queue = new_queue(20);
    static char large[50000];
    uint64_t next = 0;
    for (int round = 0; round < (test_long() ? 400 : 40); round++) {
        kin_process *process = start(get_for_ever, &queue, 1);
        for (int i = 0; i < 50 + round * 13 % 300; i++, next++) {
            memcpy(large, &next, sizeof next);
            ck_assert_msg(kin_queue_put(queue, large, next % 16 ? sizeof next : sizeof large, 20) == 0, "%s",
                          kin_error_message());
        }
        uint64_t size = kin_queue_size(queue), first, expected = 0;
        (void)size;
        ck_assert_int_eq(kin_process_kill(process), 0);
        ck_assert_int_eq(kin_process_join(process, 20), 0);
        kin_process_free(process);
        while (kin_queue_get(queue, large, sizeof large, NULL, 0) == 0) {
            memcpy(&first, large, sizeof first);
            ck_assert(!expected || first == expected);
            expected = first + 1;
        }
        ck_assert(!expected || expected == next);
    }
    kin_heap_stats stats = {.size = sizeof stats};
    ck_assert_int_eq(kin_heap_get_stats(&stats), 0);
    ck_assert_uint_le(stats.large_blocks, 2);
    free_queue(queue);
}

static const struct test tests[] = {
    {"messages_come_out_as_they_went_in", messages_come_out_as_they_went_in, 20, 0},
    {"full_and_empty_queues_time_out", full_and_empty_queues_time_out, 20, 0},
    {"messages_of_all_sizes_are_whole", messages_of_all_sizes_are_whole, 20, 0},
    {"misuse_is_told", misuse_is_told, 20, 0},
    {"closed_queue_drains_then_says_so", closed_queue_drains_then_says_so, 20, 0},
    {"many_go_in_and_out_at_once", many_go_in_and_out_at_once, 20, 0},
    {"queue_that_somebody_waits_for_is_not_freed", queue_that_somebody_waits_for_is_not_freed, 30, 0},
    {"try_waits_for_who_is_just_putting", try_waits_for_who_is_just_putting, 20, 0},
    {"all_pairs_of_put_and_give_with_get_and_take", all_pairs_of_put_and_give_with_get_and_take, 20, 0},
    {"tree_of_blocks_crosses_by_one_call", tree_of_blocks_crosses_by_one_call, 30,
     TEST_EACH_METHOD | TEST_NOT_VALGRIND},
    {"producers_are_heard_in_their_order", producers_are_heard_in_their_order, 60,
     TEST_EACH_METHOD | TEST_NOT_VALGRIND},
    {"consumers_get_their_share", consumers_get_their_share, 60, TEST_EACH_METHOD | TEST_NOT_VALGRIND},
    {"queue_goes_through_a_queue", queue_goes_through_a_queue, 30, TEST_EACH_METHOD | TEST_NOT_VALGRIND},
    {"join_waits_for_every_task_done", join_waits_for_every_task_done, 60,
     TEST_EACH_METHOD | TEST_NOT_VALGRIND},
    {"what_a_dead_consumer_had_is_told_as_lost", what_a_dead_consumer_had_is_told_as_lost, 30,
     TEST_EACH_METHOD | TEST_NOT_VALGRIND},
    {"queue_closes_when_all_producers_are_done_or_dead", queue_closes_when_all_producers_are_done_or_dead, 30,
     TEST_EACH_METHOD | TEST_NOT_VALGRIND},
    {"producer_that_has_ended_long_ago_is_counted_beside_others",
     producer_that_has_ended_long_ago_is_counted_beside_others, 30, TEST_EACH_METHOD | TEST_NOT_VALGRIND},
    {"killed_producers_leave_a_working_queue", killed_producers_leave_a_working_queue, 120,
     TEST_EACH_METHOD | TEST_NOT_VALGRIND},
    {"killed_consumers_leave_a_working_queue", killed_consumers_leave_a_working_queue, 120,
     TEST_EACH_METHOD | TEST_NOT_VALGRIND},
};
TEST_MAIN("queue", tests)
