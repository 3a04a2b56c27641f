/* wait_test.c - kin/wait.h. What CPython's TestWait tests is marked so. */
#include "connection_common.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + 1e-9 * (double)at.tv_nsec;
}

static kin_process *start_with(kin_process_fn fn, const void *arg, size_t size)
{
    kin_process *process =
        kin_process_start(fn, arg, size, KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    return process;
}

static void join(kin_process *process)
{
    kin_end end;
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    ck_assert_int_eq(kin_process_end(process, &end), 0);
    ck_assert_int_eq(end.exit_code, 0);
    kin_process_free(process);
}

/* ---- as in CPython --------------------------------------------------------------------------- */

#define CHILDREN 4
#define EACH 10

struct writer {
    kin_connection *connection;
    char address[100]; /* or */
    bool slow;
    uint32_t number;
};

struct numbered {
    uint32_t writer, message;
};

static int write_ten(void *arg)
{
    const struct writer *writer = arg;
    kin_connection *connection =
        writer->connection ? writer->connection : kin_client(writer->address, NULL, 10);
    child_assert(connection);
    for (uint32_t i = 0; i < EACH; i++) {
        struct numbered text = {writer->number, i};
        if (writer->slow)
            usleep((writer->number * 7919 + i * 104729) % 20000);
        child_assert(kin_connection_send(connection, &text, sizeof text, 10) == 0);
    }
    return 0;
}

/* All that four children write; each comes in its order, and then its end. */
static void read_all(kin_connection *readers[CHILDREN])
{
    uint32_t next[CHILDREN] = {0};
    size_t open = CHILDREN;
    kin_waitable items[CHILDREN] = {{0}};
    for (size_t i = 0; i < CHILDREN; i++)
        items[i].object = readers[i];
    while (open) {
        size_t ready = 0, seen = 0;
        ck_assert_msg(kin_wait(items, open, &ready, TOP) == 0, "%s", kin_error_message());
        for (size_t i = 0; i < open; i++)
            seen += items[i].ready;
        ck_assert_uint_eq(seen, ready);
        ck_assert_uint_gt(ready, 0);
        for (size_t i = open; i-- > 0;) {
            struct numbered got;
            kin_connection *reader = (kin_connection *)items[i].object;
            if (!items[i].ready)
                continue;
            int error = kin_connection_recv(reader, &got, sizeof got, NULL, 0);
            if (error == KIN_ECLOSED) {
                ck_assert_int_eq(kin_connection_close(reader), 0);
                items[i] = items[--open];
            } else {
                ck_assert_msg(error == 0, "%s", kin_error_message());
                ck_assert_uint_eq(got.message, next[got.writer]++);
            }
        }
    }
    for (int i = 0; i < CHILDREN; i++)
        ck_assert_uint_eq(next[i], EACH);
}

static void write_by_pipes(bool slow)
{
    kin_connection *readers[CHILDREN], *ends[2];
    kin_process *children[CHILDREN];
    test_init();
    for (uint32_t i = 0; i < CHILDREN; i++) {
        ck_assert_int_eq(kin_pipe(ends, false), 0);
        struct writer writer = {.connection = ends[1], .slow = slow, .number = i};
        children[i] = start_with(write_ten, &writer, sizeof writer);
        ck_assert_int_eq(kin_connection_close(ends[1]), 0);
        readers[i] = ends[0];
    }
    read_all(readers);
    for (int i = 0; i < CHILDREN; i++)
        join(children[i]);
}

static void write_by_sockets(bool slow)
{
    kin_connection *readers[CHILDREN];
    kin_process *children[CHILDREN];
    test_init();
    kin_listener *listener = kin_listener_new("127.0.0.1:0", KIN_LISTENER_OPTIONS(.no_key = true));
    ck_assert_ptr_nonnull(listener);
    for (uint32_t i = 0; i < CHILDREN; i++) {
        struct writer writer = {.slow = slow, .number = i};
        snprintf(writer.address, sizeof writer.address, "%s", kin_listener_address(listener));
        children[i] = start_with(write_ten, &writer, sizeof writer);
    }
    for (int i = 0; i < CHILDREN; i++)
        ck_assert_ptr_nonnull(readers[i] = kin_listener_accept(listener, TOP));
    ck_assert_int_eq(kin_listener_close(listener), 0);
    read_all(readers);
    for (int i = 0; i < CHILDREN; i++)
        join(children[i]);
}

static void all_that_children_write_is_read(void)
{
    write_by_pipes(false);
}

static void all_that_slow_children_write_is_read(void)
{
    write_by_pipes(true);
}

static void all_that_comes_by_sockets_is_read(void)
{
    write_by_sockets(false);
}

static void all_that_comes_slowly_by_sockets_is_read(void)
{
    write_by_sockets(true);
}

static void wait_ends_when_its_time_is_over(void)
{
    test_init();
    struct ends ends = pair(PIPE);
    kin_waitable items[] = {{.object = ends.own}, {.object = ends.other}};
    size_t ready = 7;
    double start = now();
    ck_assert_int_eq(kin_wait(items, 2, &ready, 0.2), KIN_ETIMEDOUT);
    ck_assert_uint_eq(ready, 0);
    ck_assert_double_ge(now() - start, 0.2);
    send_ok(ends.other, "x", 1);
    ck_assert_int_eq(kin_wait(items, 2, &ready, TOP), 0);
    ck_assert_uint_eq(ready, 1);
    ck_assert(items[0].ready && !items[1].ready);
    close_both(ends);
}

struct sleeper {
    kin_semaphore *semaphore;
    double seconds;
};

static int tell_and_sleep(void *arg)
{
    const struct sleeper *sleeper = arg;
    child_assert(kin_semaphore_release(sleeper->semaphore) == 0);
    usleep((useconds_t)(sleeper->seconds * 1e6));
    return 0;
}

static void processes_and_connections_are_waited_for_at_once(void)
{
    test_init();
    struct ends ends = pair(PIPE);
    kin_semaphore *semaphore = kin_semaphore_new(0, NULL);
    struct sleeper sleeper = {semaphore, 0.3};
    kin_process *process = start_with(tell_and_sleep, &sleeper, sizeof sleeper);
    kin_waitable items[] = {{.object = ends.own}, {.object = process}, {.object = ends.other}};
    size_t ready;
    ck_assert_int_eq(kin_semaphore_acquire(semaphore, TOP), 0);
    double start = now();
    ck_assert_int_eq(kin_wait(items, 3, &ready, TOP), 0);
    ck_assert_double_ge(now() - start, 0.1);
    ck_assert(ready == 1 && items[1].ready);
    send_ok(ends.own, "x", 1);
    ck_assert_int_eq(kin_wait(items, 3, &ready, TOP), 0);
    ck_assert(ready == 2 && items[1].ready && items[2].ready);
    send_ok(ends.other, "x", 1);
    ck_assert_int_eq(kin_wait(items, 3, &ready, TOP), 0);
    ck_assert_uint_eq(ready, 3);
    join(process);
    ck_assert_int_eq(kin_semaphore_free(semaphore), 0);
    close_both(ends);
}

/* Python takes a negative timeout for none. */
static void negative_timeout_is_refused_at_once(void)
{
    test_init();
    struct ends ends = pair(PIPE);
    kin_waitable item = {.object = ends.own};
    ck_assert_int_eq(kin_wait(&item, 1, NULL, -1), KIN_EINVAL);
    ck_assert(!item.ready);
    close_both(ends);
}

/* ---- queues ---------------------------------------------------------------------------------- */

struct putter {
    kin_queue *queue;
    kin_connection *connection;
    useconds_t pause;
    bool die;
};

static int put_later(void *arg)
{
    const struct putter *putter = arg;
    usleep(putter->pause);
    if (putter->die)
        kill(getpid(), SIGKILL);
    if (putter->queue)
        child_assert(kin_queue_put(putter->queue, "x", 1, 10) == 0);
    else
        child_assert(kin_connection_send(putter->connection, "x", 1, 10) == 0);
    return 0;
}

static void queue_wakes_who_waits(const kin_waitable *others, size_t count)
{
    kin_waitable items[4];
    size_t ready;
    char byte;
    kin_queue *queue = kin_queue_new(NULL);
    memcpy(items + 1, others, count * sizeof *others);
    items[0] = (kin_waitable){.object = queue};
    struct putter putter = {.queue = queue, .pause = 20000};
    kin_process *process = start_with(put_later, &putter, sizeof putter);
    double start = now();
    ck_assert_msg(kin_wait(items, count + 1, &ready, TOP) == 0, "%s", kin_error_message());
    ck_assert_double_lt(now() - start, TOP);
    ck_assert(ready == 1 && items[0].ready);
    ck_assert_int_eq(kin_queue_get(queue, &byte, 1, NULL, 0), 0);
    join(process);
    ck_assert_int_eq(kin_queue_free(queue), 0);
}

static void queues_wake_who_waits_for_them_and_others(void)
{
    test_init();
    struct ends ends = pair(PIPE);
    kin_queue *other = kin_queue_new(NULL);
    kin_waitable others[] = {{.object = other}, {.object = ends.own}, {.fd = kin_connection_fd(ends.other)}};
    queue_wakes_who_waits(others, 0);
    queue_wakes_who_waits(others, 1);
    queue_wakes_who_waits(others + 1, 2);
    queue_wakes_who_waits(others, 3);
    ck_assert_int_eq(kin_queue_free(other), 0);
    close_both(ends);
}

static void connection_wakes_who_waits_for_queues_too(void)
{
    test_init();
    struct ends ends = pair(PIPE);
    kin_queue *queue = kin_queue_new(NULL);
    struct putter putter = {.connection = ends.other, .pause = 20000};
    kin_process *process = start_with(put_later, &putter, sizeof putter);
    kin_waitable items[] = {{.object = queue}, {.object = ends.own}, {.object = process}};
    size_t ready;
    ck_assert_int_eq(kin_wait(items, 2, &ready, TOP), 0);
    ck_assert(ready == 1 && items[1].ready);
    recv_text(ends.own, "x");
    items[1] = items[2];
    ck_assert_int_eq(kin_wait(items, 2, &ready, TOP), 0);
    ck_assert(ready == 1 && items[1].ready);
    ck_assert_int_eq(kin_wait(items, 1, &ready, 0.02), KIN_ETIMEDOUT);
    join(process);
    ck_assert_int_eq(kin_queue_free(queue), 0);
    close_both(ends);
}

static void closed_queues_and_dead_producers_are_noticed(void)
{
    test_init();
    struct ends ends = pair(PIPE);
    for (int mixed = 0; mixed < 2; mixed++) {
        kin_queue *queue = kin_queue_new(KIN_QUEUE_OPTIONS(.producers = 1));
        struct putter putter = {.queue = queue, .pause = 20000, .die = true};
        kin_process *process = start_with(put_later, &putter, sizeof putter);
        kin_waitable items[] = {{.object = queue}, {.object = ends.own}};
        size_t ready;
        ck_assert_int_eq(kin_queue_add_producer(queue, process), 0);
        ck_assert_msg(kin_wait(items, 1 + (size_t)mixed, &ready, TOP) == 0, "%s", kin_error_message());
        ck_assert(items[0].ready);
        ck_assert_int_eq(kin_queue_get(queue, NULL, 0, NULL, 0), KIN_ECLOSED);
        ck_assert_int_eq(kin_process_join(process, TOP), 0);
        kin_process_free(process);
        ck_assert_int_eq(kin_queue_free(queue), 0);
        queue = kin_queue_new(NULL);
        ck_assert_int_eq(kin_queue_close(queue), 0);
        items[0].object = queue;
        ck_assert_int_eq(kin_wait(items, 1 + (size_t)mixed, &ready, TOP), 0);
        ck_assert(items[0].ready);
        ck_assert_int_eq(kin_queue_free(queue), 0);
    }
    close_both(ends);
}

/* Two threads wait at the queue, one of them only looks: the message reaches the other one. */
struct pair_of_waiters {
    kin_queue *queue;
    _Atomic int got, looks, stop;
};

static void *get_one(void *arg)
{
    struct pair_of_waiters *pair = arg;
    char byte;
    while (!atomic_load(&pair->stop))
        if (kin_queue_get(pair->queue, &byte, 1, NULL, 0.01) == 0)
            atomic_fetch_add(&pair->got, 1);
    return NULL;
}

static void *look_only(void *arg)
{
    struct pair_of_waiters *pair = arg;
    while (!atomic_load(&pair->stop)) {
        kin_waitable item = {.object = pair->queue};
        if (kin_wait(&item, 1, NULL, 0.01) == 0)
            atomic_fetch_add(&pair->looks, 1);
    }
    return NULL;
}

static void looking_takes_no_wake_from_others(void)
{
    struct pair_of_waiters pair = {0};
    pthread_t threads[2];
    test_init();
    pair.queue = kin_queue_new(NULL);
    ck_assert_int_eq(pthread_create(&threads[0], NULL, get_one, &pair), 0);
    ck_assert_int_eq(pthread_create(&threads[1], NULL, look_only, &pair), 0);
    for (int i = 1; i <= 300; i++) {
        ck_assert_int_eq(kin_queue_put(pair.queue, "x", 1, TOP), 0);
        while (atomic_load(&pair.got) < i)
            usleep(50);
    }
    atomic_store(&pair.stop, 1);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(pair.got, 300);
    ck_assert_int_eq(kin_queue_free(pair.queue), 0);
}

/* ---- others ---------------------------------------------------------------------------------- */

static void listener_and_descriptors_are_waited_for(void)
{
    int fds[2];
    size_t ready;
    test_init();
    kin_listener *listener = kin_listener_new(NULL, NULL);
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    kin_waitable items[] = {{.object = listener}, {.fd = fds[0]}, {.fd = fds[1], .write = true}};
    ck_assert_int_eq(kin_wait(items, 3, &ready, TOP), 0);
    ck_assert(ready == 1 && items[2].ready);
    ck_assert_int_eq(kin_wait(items, 2, &ready, 0), KIN_ETIMEDOUT);
    kin_connection *client = kin_client(kin_listener_address(listener), NULL, TOP);
    ck_assert_int_eq(kin_wait(items, 2, &ready, TOP), 0);
    ck_assert(ready == 1 && items[0].ready);
    kin_connection *accepted = kin_listener_accept(listener, 0);
    ck_assert_ptr_nonnull(accepted);
    kin_waitable writable = {.object = client, .write = true};
    ck_assert_int_eq(kin_wait(&writable, 1, &ready, 0), 0);
    close(fds[1]);
    ck_assert_int_eq(kin_wait(items, 2, &ready, TOP), 0);
    ck_assert(ready == 1 && items[1].ready);
    close(fds[0]);
    kin_connection_close(client);
    kin_connection_close(accepted);
    kin_listener_close(listener);
}

static void message_that_was_left_counts(void)
{
    size_t ready;
    test_init();
    for (int kind = PIPE; kind <= STREAM; kind++) {
        struct ends ends = pair((enum kind)kind);
        kin_waitable item = {.object = ends.other};
        send_ok(ends.own, "large", 5);
        ck_assert_int_eq(kin_connection_recv(ends.other, NULL, 0, NULL, TOP), KIN_ETOOLARGE);
        ck_assert_int_eq(kin_wait(&item, 1, &ready, 0), 0);
        recv_text(ends.other, "large");
        ck_assert_int_eq(kin_wait(&item, 1, &ready, 0), KIN_ETIMEDOUT);
        close_both(ends);
    }
}

static int wait_for_another(void *arg)
{
    kin_waitable item = {.object = *(kin_process **)arg};
    child_assert(kin_wait(&item, 1, NULL, 0) == KIN_ETIMEDOUT);
    child_assert(kin_process_kill(*(kin_process **)arg) == 0);
    child_assert(kin_wait(&item, 1, NULL, 10) == 0 && item.ready);
    return 0;
}

static int sit(void *arg)
{
    (void)arg;
    pause();
    return 0;
}

static void anyones_process_is_waited_for(void)
{
    test_init();
    kin_process *victim = start_with(sit, NULL, 0);
    join(start_with(wait_for_another, &victim, sizeof victim));
    kin_waitable item = {.object = victim};
    ck_assert_int_eq(kin_wait(&item, 1, NULL, TOP), 0);
    ck_assert_int_eq(kin_process_join(victim, TOP), 0);
    kin_process_free(victim);
}

static void what_cannot_be_waited_for_is_told(void)
{
    int fds[2], number = 0;
    kin_connection *ends[2];
    kin_waitable item = {.fd = -1};
    ck_assert_int_eq(kin_wait(&item, 1, NULL, 0), KIN_ENOINIT);
    test_init();
    ck_assert_int_eq(kin_wait(&item, 1, NULL, 0), KIN_EINVAL);
    ck_assert_int_eq(kin_wait(NULL, 1, NULL, 0), KIN_EINVAL);
    ck_assert_int_eq(kin_wait(NULL, 0, NULL, 0.01), KIN_ETIMEDOUT);
    item.object = &number;
    ck_assert_int_eq(kin_wait(&item, 1, NULL, 0), KIN_EINVAL);
    ck_assert_int_eq(kin_pipe(ends, false), 0);
    item.object = ends[1];
    ck_assert_int_eq(kin_wait(&item, 1, NULL, 0), KIN_EPERM);
    kin_lock *lock = kin_lock_new(NULL);
    item.object = lock;
    ck_assert_int_eq(kin_wait(&item, 1, NULL, 0), KIN_EINVAL);
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    close(fds[0]);
    item = (kin_waitable){.fd = fds[0]};
    ck_assert_int_eq(kin_wait(&item, 1, NULL, 0), KIN_EINVAL);
    close(fds[1]);
    kin_lock_free(lock);
    kin_connection_close(ends[0]);
    kin_connection_close(ends[1]);
}

#define MANY 200

static void many_are_waited_for(void)
{
    static kin_waitable items[MANY];
    static kin_queue *queues[MANY];
    size_t ready;
    test_init();
    for (int i = 0; i < MANY; i++)
        items[i].object = queues[i] = kin_queue_new(NULL);
    ck_assert_int_eq(kin_wait(items, MANY, &ready, 0.01), KIN_ETIMEDOUT);
    for (int i = 0; i < MANY; i += 33) {
        struct putter putter = {.queue = queues[i], .pause = 2000};
        kin_process *process = start_with(put_later, &putter, sizeof putter);
        ck_assert_int_eq(kin_wait(items, MANY, &ready, TOP), 0);
        ck_assert(ready == 1 && items[i].ready);
        char byte;
        ck_assert_int_eq(kin_queue_get(queues[i], &byte, 1, NULL, 0), 0);
        join(process);
    }
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(kin_queue_free(queues[i]), 0);
}

struct two_queues {
    kin_waitable items[2];
    size_t ready;
    int error;
};

static void *wait_for_two(void *arg)
{
    struct two_queues *two = arg;
    two->error = kin_wait(two->items, 2, &two->ready, TOP);
    return NULL;
}

/* What was the second one's memory may be another's by then, and is not written to. */
static void queue_that_is_waited_for_is_in_use(void)
{
    test_init();
    kin_queue *first = kin_queue_new(NULL), *second = kin_queue_new(NULL);
    struct two_queues two = {.items = {{.object = first}, {.object = second}}};
    kin_waiter waiter;
    size_t waiters = 0, size = kin_usable_size(second);
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_two, &two), 0);
    while (waiters != 1)
        ck_assert_int_eq(kin_waits_get(&waiter, 1, &waiters), 0);
    ck_assert_ptr_eq(waiter.object, first);
    ck_assert_int_eq(kin_queue_free(first), KIN_EBUSY);
    ck_assert_msg(kin_queue_free(second) == 0, "%s", kin_error_message());
    unsigned char *reused = kin_aligned_alloc(128, size);
    ck_assert_ptr_eq(reused, second);
    memset(reused, 0, size);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(two.error, 0);
    ck_assert_uint_eq(two.ready, 1);
    ck_assert(!two.items[0].ready && two.items[1].ready);
    for (size_t i = 0; i < size; i++)
        ck_assert_uint_eq(reused[i], 0);
    kin_free(reused);
    ck_assert_int_eq(kin_queue_free(first), 0);
}

static const struct test tests[] = {
    {"all_that_children_write_is_read", all_that_children_write_is_read, 20, TEST_EACH_METHOD},
    {"all_that_slow_children_write_is_read", all_that_slow_children_write_is_read, 20, TEST_EACH_METHOD},
    {"all_that_comes_by_sockets_is_read", all_that_comes_by_sockets_is_read, 20, TEST_EACH_METHOD},
    {"all_that_comes_slowly_by_sockets_is_read", all_that_comes_slowly_by_sockets_is_read, 20,
     TEST_EACH_METHOD},
    {"wait_ends_when_its_time_is_over", wait_ends_when_its_time_is_over, 10, 0},
    {"processes_and_connections_are_waited_for_at_once", processes_and_connections_are_waited_for_at_once, 20,
     TEST_EACH_METHOD},
    {"negative_timeout_is_refused_at_once", negative_timeout_is_refused_at_once, 5, 0},
    {"queues_wake_who_waits_for_them_and_others", queues_wake_who_waits_for_them_and_others, 20,
     TEST_EACH_METHOD},
    {"connection_wakes_who_waits_for_queues_too", connection_wakes_who_waits_for_queues_too, 20,
     TEST_EACH_METHOD},
    {"closed_queues_and_dead_producers_are_noticed", closed_queues_and_dead_producers_are_noticed, 20,
     TEST_EACH_METHOD},
    {"looking_takes_no_wake_from_others", looking_takes_no_wake_from_others, 20, 0},
    {"listener_and_descriptors_are_waited_for", listener_and_descriptors_are_waited_for, 10, 0},
    {"message_that_was_left_counts", message_that_was_left_counts, 5, 0},
    {"anyones_process_is_waited_for", anyones_process_is_waited_for, 20, TEST_EACH_METHOD},
    {"what_cannot_be_waited_for_is_told", what_cannot_be_waited_for_is_told, 5, 0},
    {"queue_that_is_waited_for_is_in_use", queue_that_is_waited_for_is_in_use, 20, 0},
    {"many_are_waited_for", many_are_waited_for, 20, TEST_NOT_VALGRIND},
};
TEST_MAIN("wait", tests)
