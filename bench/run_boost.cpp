/* run_boost.cpp - messages over boost::interprocess::message_queue. */
#include "streams.h"

#include <boost/interprocess/ipc/message_queue.hpp>

#include <cstring>

using boost::interprocess::message_queue;

static message_queue *queue;

static void open_queue(const struct bench_stream *stream)
{
    char name[64];

    bench_stream_name(name, "queue", 0);
    queue = new message_queue(boost::interprocess::create_only, name, stream->depth, stream->size);
    message_queue::remove(name);
}

static void produce(const struct bench_stream *stream, int, uint64_t first, size_t count, bool)
{
    static char *message = (char *)bench_messages(stream, 1);

    for (size_t i = 0; i < count; i++) {
        uint64_t number = first + i;

        memcpy(message, &number, sizeof number);
        queue->send(message, stream->size, 0);
    }
}

static uint64_t consume(const struct bench_stream *stream, int, size_t count, bool)
{
    static char *message = (char *)bench_messages(stream, 1);
    uint64_t sum = 0;

    for (size_t i = 0; i < count; i++) {
        message_queue::size_type size;
        unsigned priority;
        uint64_t number;

        queue->receive(message, stream->size, size, priority);
        memcpy(&number, message, sizeof number);
        sum += number;
    }
    return sum;
}

static const struct bench_transport transport = {open_queue, nullptr, produce, consume, nullptr};
static void open_stream(const char *)
{
    try {
        bench_stream_open(&transport);
    } catch (const std::exception &error) {
        bench_fail("boost: %s", error.what());
    }
}

int main(int argc, char **argv)
{
    static const struct bench_contestant contestant = {"queue-*", "boost", open_stream, bench_stream_run,
                                                       bench_stream_close};

    return bench_serve(argc, argv, &contestant, 1);
}
