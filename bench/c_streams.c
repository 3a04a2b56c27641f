/* c_streams.c - messages over what the kernel and the C library have: pipes, POSIX message queues; and a bare ring. */
#include "run_c.h"
#include "streams.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mqueue.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- pipe: one for all, as long as writes are atomic; for larger messages one for each pair ---- */

static int pipes[BENCH_MOST_SIDE][2];

static int pipe_of(const struct bench_stream *stream, int index)
{
    return stream->size > PIPE_BUF || stream->to_all ? index : 0;
}

static void pipe_open(const struct bench_stream *stream)
{
    (void)stream;
    for (int i = 0; i < BENCH_MOST_SIDE; i++)
        if (pipe(pipes[i]))
            bench_fail("no pipe: %s", strerror(errno));
}

static void write_whole(int fd, const char *message, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t written = write(fd, message + done, size - done);

        if (written < 0)
            bench_fail("no write: %s", strerror(errno));
        done += (size_t)written;
    }
}

static void pipe_produce(const struct bench_stream *stream, int index, uint64_t first, size_t count,
                         bool many)
{
    static char *message;
    int fd = pipes[pipe_of(stream, index)][1];

    (void)many;
    message = message ? message : bench_messages(stream, 1);
    for (size_t i = 0; i < count; i++) {
        uint64_t number = first + i;

        memcpy(message, &number, sizeof number);
        write_whole(fd, message, stream->size);
    }
}

static uint64_t pipe_consume(const struct bench_stream *stream, int index, size_t count, bool many)
{
    static char *message;
    int fd = pipes[pipe_of(stream, index)][0];
    uint64_t sum = 0;

    (void)many;
    message = message ? message : bench_messages(stream, 1);
    for (size_t i = 0; i < count; i++) {
        uint64_t number;

        for (size_t done = 0; done < stream->size;) {
            ssize_t got = read(fd, message + done, stream->size - done);

            if (got <= 0)
                bench_fail("no read: %s", strerror(errno));
            done += (size_t)got;
        }
        memcpy(&number, message, sizeof number);
        sum += number;
    }
    return sum;
}

static const struct bench_transport pipe_transport = {pipe_open, NULL, pipe_produce, pipe_consume, NULL};

/* A broadcast: a pipe for each reader, and the writer writes to each. */
static void pipe_to_all(const struct bench_stream *stream, int index, uint64_t first, size_t count, bool many)
{
    static char *message;

    (void)index;
    (void)many;
    message = message ? message : bench_messages(stream, 1);
    for (size_t i = 0; i < count; i++) {
        uint64_t number = first + i;

        memcpy(message, &number, sizeof number);
        for (int k = 0; k < stream->consumers; k++)
            write_whole(pipes[k][1], message, stream->size);
    }
}

static const struct bench_transport all_pipes_transport = {pipe_open, NULL, pipe_to_all, pipe_consume, NULL};

void c_broadcast_open(const char *who)
{
    (void)who;
    bench_stream_open(&all_pipes_transport);
}

/* ---- mqueue: as deep as everybody may make them ---- */

static mqd_t mqueue;

static void mqueue_open(const struct bench_stream *stream)
{
    struct mq_attr attributes = {.mq_maxmsg = 10, .mq_msgsize = (long)stream->size};
    char name[64];

    bench_stream_name(name, "/queue", 0);
    mqueue = mq_open(name, O_CREAT | O_EXCL | O_RDWR, 0600, &attributes);
    if (mqueue == (mqd_t)-1)
        bench_fail("no message queue: %s", strerror(errno));
    mq_unlink(name);
}

static void mqueue_produce(const struct bench_stream *stream, int index, uint64_t first, size_t count,
                           bool many)
{
    static char *message;

    (void)index;
    (void)many;
    message = message ? message : bench_messages(stream, 1);
    for (size_t i = 0; i < count; i++) {
        uint64_t number = first + i;

        memcpy(message, &number, sizeof number);
        if (mq_send(mqueue, message, stream->size, 0))
            bench_fail("no send: %s", strerror(errno));
    }
}

static uint64_t mqueue_consume(const struct bench_stream *stream, int index, size_t count, bool many)
{
    static char *message;
    uint64_t sum = 0;

    (void)index;
    (void)many;
    message = message ? message : bench_messages(stream, 1);
    for (size_t i = 0; i < count; i++) {
        uint64_t number;

        if (mq_receive(mqueue, message, stream->size, NULL) != (ssize_t)stream->size)
            bench_fail("no message: %s", strerror(errno));
        memcpy(&number, message, sizeof number);
        sum += number;
    }
    return sum;
}

static const struct bench_transport mqueue_transport = {mqueue_open, NULL, mqueue_produce, mqueue_consume,
                                                        NULL};

/* ---- ring: the limit, what two processes can do that only spin, one of each; it stands for no library ---- */

struct ring {
    _Alignas(128) _Atomic uint64_t tail;
    _Alignas(128) _Atomic uint64_t head;
    _Alignas(128) char messages[];
};

static struct ring *ring;

static void ring_open(const struct bench_stream *stream)
{
    ring = mmap(NULL, sizeof *ring + stream->depth * stream->size, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (ring == MAP_FAILED)
        bench_fail("no memory");
}

static void pause_turns(int turns)
{
    while (turns--)
        __builtin_ia32_pause();
}

static void ring_produce(const struct bench_stream *stream, int index, uint64_t first, size_t count,
                         bool many)
{
    static char *message;
    uint64_t tail = atomic_load(&ring->tail), head = atomic_load(&ring->head), told = tail;

    (void)index;
    message = message ? message : bench_messages(stream, 1);
    for (size_t i = 0; i < count; i++, tail++) {
        uint64_t number = first + i;

        while (tail - head == stream->depth) {
            atomic_store_explicit(&ring->tail, told = tail, memory_order_release);
            pause_turns(1);
            head = atomic_load_explicit(&ring->head, memory_order_acquire);
        }
        memcpy(message, &number, sizeof number);
        memcpy(ring->messages + tail % stream->depth * stream->size, message, stream->size);
        if (!many || tail - told >= BENCH_MANY)
            atomic_store_explicit(&ring->tail, (told = tail) + 1, memory_order_release);
    }
    atomic_store_explicit(&ring->tail, tail, memory_order_release);
}

/* One by one it looks again at once, as who is to have each message as soon as it is there; with many, after a pause. */
static uint64_t ring_consume(const struct bench_stream *stream, int index, size_t count, bool many)
{
    static char *message;
    uint64_t head = atomic_load(&ring->head), tail = head, sum = 0;

    (void)index;
    message = message ? message : bench_messages(stream, 1);
    for (size_t i = 0; i < count; i++, head++) {
        uint64_t number;

        while (head == tail) {
            atomic_store_explicit(&ring->head, head, memory_order_release);
            if (many)
                pause_turns(BENCH_MANY);
            tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
        }
        memcpy(message, ring->messages + head % stream->depth * stream->size, stream->size);
        memcpy(&number, message, sizeof number);
        sum += number;
        if (!many || head % BENCH_MANY == 0)
            atomic_store_explicit(&ring->head, head + 1, memory_order_release);
    }
    atomic_store_explicit(&ring->head, head, memory_order_release);
    return sum;
}

static const struct bench_transport ring_transport = {ring_open, NULL, ring_produce, ring_consume, NULL};

void c_stream_open(const char *who)
{
    bench_stream_open(!strcmp(who, "pipe")     ? &pipe_transport
                      : !strcmp(who, "mqueue") ? &mqueue_transport
                                               : &ring_transport);
}
