/* kin_streams.c - messages through a kin_queue, one at a time and many, and through a kin_broadcast; blocks handed over; a sleeper woken. */
#include "run_kin.h"
#include "streams.h"
#include "work.h"

#include <kin.h>

#include <string.h>

static kin_queue *queue;

static void check(int error)
{
    if (error)
        bench_fail("%s", kin_error_message());
}

static void open_queue(const struct bench_stream *stream)
{
    queue = kin_queue_new(KIN_QUEUE_OPTIONS(.maxsize = stream->depth));
    if (!queue)
        bench_fail("%s", kin_error_message());
}

static void produce(const struct bench_stream *stream, int index, uint64_t first, size_t count, bool many)
{
    static char *messages;
    size_t size = stream->size;

    (void)index;
    messages = messages ? messages : bench_messages(stream, many ? BENCH_MANY : 1);
    for (size_t i = 0, batch; i < count; i += batch) {
        batch = !many ? 1 : count - i < BENCH_MANY ? count - i : BENCH_MANY;
        for (size_t j = 0; j < batch; j++) {
            uint64_t number = first + i + j;

            memcpy(messages + j * size, &number, sizeof number);
        }
        check(many ? kin_queue_put_many(queue, messages, size, batch, NULL, KIN_FOREVER)
                   : kin_queue_put(queue, messages, size, KIN_FOREVER));
    }
}

static uint64_t consume(const struct bench_stream *stream, int index, size_t count, bool many)
{
    static char *messages;
    size_t size = stream->size;
    uint64_t sum = 0;

    (void)index;
    messages = messages ? messages : bench_messages(stream, many ? BENCH_MANY : 1);
    for (size_t i = 0, got = 1; i < count; i += got) {
        size_t most = count - i < BENCH_MANY ? count - i : BENCH_MANY;

        check(many ? kin_queue_get_many(queue, messages, size, most, &got, KIN_FOREVER)
                   : kin_queue_get(queue, messages, size, NULL, KIN_FOREVER));
        for (size_t j = 0; j < got; j++) {
            uint64_t number;

            memcpy(&number, messages + j * size, sizeof number);
            sum += number;
        }
    }
    return sum;
}

static void close_queue(const struct bench_stream *stream)
{
    (void)stream;
    kin_queue_free(queue);
}

static const struct bench_transport kin_transport = {open_queue, NULL, produce, consume, close_queue};

void kin_stream_open(const char *who)
{
    (void)who;
    bench_stream_open(&kin_transport);
}

/* ---- broadcast ------------------------------------------------------------------------------- */

static kin_broadcast *broadcast;
static kin_reader *reader;

static void open_broadcast(const struct bench_stream *stream)
{
    broadcast = kin_broadcast_new(KIN_BROADCAST_OPTIONS(.capacity = stream->depth * stream->size));
    if (!broadcast)
        bench_fail("%s", kin_error_message());
}

static void join_broadcast(const struct bench_stream *stream, bool producer, int index)
{
    (void)stream;
    (void)index;
    if (!producer && !(reader = kin_broadcast_join(broadcast, KIN_FOREVER)))
        bench_fail("%s", kin_error_message());
}

static void write_all(const struct bench_stream *stream, int index, uint64_t first, size_t count, bool many)
{
    static char *message;

    (void)index;
    (void)many;
    message = message ? message : bench_messages(stream, 1);
    for (size_t i = 0; i < count; i++) {
        uint64_t number = first + i;

        memcpy(message, &number, sizeof number);
        check(kin_broadcast_write(broadcast, message, stream->size, KIN_FOREVER));
    }
}

static uint64_t read_all(const struct bench_stream *stream, int index, size_t count, bool many)
{
    static char *message;
    uint64_t sum = 0;

    (void)index;
    (void)many;
    message = message ? message : bench_messages(stream, 1);
    for (size_t i = 0; i < count; i++) {
        uint64_t number;

        check(kin_reader_read(reader, message, stream->size, NULL, KIN_FOREVER));
        memcpy(&number, message, sizeof number);
        sum += number;
    }
    return sum;
}

/* Its readers and its writer have been killed. */
static void close_broadcast(const struct bench_stream *stream)
{
    (void)stream;
    kin_broadcast_free(broadcast);
}

static const struct bench_transport broadcast_transport = {open_broadcast, join_broadcast, write_all,
                                                           read_all, close_broadcast};

void kin_broadcast_open(const char *who)
{
    (void)who;
    bench_stream_open(&broadcast_transport);
}

/* ---- queue-give, queue-wake: to another process and back ------------------------------------- */

static kin_queue *there, *back;
static kin_process *partner;
static char *block;
static size_t block_size;

static int echo(void *argument)
{
    kin_queue **queues = argument;
    kin_message message;
    int error;

    while ((error = kin_queue_take(queues[0], &message, KIN_FOREVER)) == 0) {
        *(volatile char *)message.data += 1;
        if ((error = kin_queue_give(queues[1], message.data, message.size, KIN_FOREVER)) != 0)
            return error;
    }
    return error == KIN_ECLOSED ? 0 : error;
}

void kin_echo_open(const char *who)
{
    kin_queue *queues[2] = {there = kin_queue_new(NULL), back = kin_queue_new(NULL)};

    (void)who;
    if (!there || !back || !(partner = kin_process_start(echo, queues, sizeof queues, NULL)))
        bench_fail("%s", kin_error_message());
}

static double one_trip(void)
{
    kin_message message;
    double start = bench_now();

    check(kin_queue_give(there, block, block_size, KIN_FOREVER));
    check(kin_queue_take(back, &message, KIN_FOREVER));
    block = message.data;
    return bench_now() - start;
}

double kin_echo_run(const struct bench_request *request)
{
    size_t size = request->count ? request->count : 8;

    if (size != block_size) {
        kin_free(block);
        block = kin_malloc(block_size = size);
        if (!block)
            bench_fail("%s", kin_error_message());
        one_trip();
    }
    return bench_round_trips(one_trip, request);
}

void kin_echo_close(void)
{
    check(kin_queue_close(there));
    check(kin_process_join(partner, KIN_FOREVER));
    kin_process_free(partner);
    kin_free(block);
    kin_queue_free(there);
    kin_queue_free(back);
}
