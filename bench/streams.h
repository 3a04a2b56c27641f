/*
 * streams.h - messages from producers to consumers, over any transport: the cases queue-P-C-SIZE, queue-many-P-C-SIZE,
 * pipe-P-C-SIZE, and broadcast-1-C-SIZE, where each consumer gets each message (told is how many were sent).
 *
 * A runner has a process for each producer and each consumer, started before anything is measured; placed by the kernel. A run
 * is timed from its start to the last process's end. Each message is written by its producer (its first word is its
 * number) and copied out by its consumer; the sum of those words is checked.
 */
#ifndef BENCH_STREAMS_H
#define BENCH_STREAMS_H

#include "runner.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { BENCH_MANY = 64, BENCH_MOST_SIDE = 2 };

struct bench_stream {
    size_t size; /* of a message, bytes */
    int producers;
    int consumers;
    size_t depth; /* messages that a bounded transport has room for */
    bool to_all;  /* each consumer gets each message */
};

struct bench_transport {
    void (*open)(const struct bench_stream *stream); /* before the processes start */
    void (*begin)(const struct bench_stream *stream, bool producer, int index); /* in each; or NULL */
    /* Send `count` messages, numbered from `first` on; receive so many, and return the sum of their numbers. */
    void (*produce)(const struct bench_stream *stream, int index, uint64_t first, size_t count, bool many);
    uint64_t (*consume)(const struct bench_stream *stream, int index, size_t count, bool many);
    void (*close)(const struct bench_stream *stream); /* after they have ended; or NULL */
};

/* The open, run and close of a contestant. */
void bench_stream_open(const struct bench_transport *transport);
double bench_stream_run(const struct bench_request *request);
void bench_stream_close(void);

/* Zeroed memory for `count` messages, for the rest of the process's life. */
void *bench_messages(const struct bench_stream *stream, size_t count);

/* A name of this runner's own. */
void bench_stream_name(char name[64], const char *prefix, int index);

#ifdef __cplusplus
}
#endif
#endif
