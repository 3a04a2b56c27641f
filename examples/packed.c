/*
 * packed.c - a message that other languages can read. Beside it, packed.py.
 *
 * A child packs its result as CBOR and gives the block to the queue; the parent reads what it wants of it.
 */
#include <kin.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SPEEDS 4

static void die(const char *what)
{
    fprintf(stderr, "packed: %s: %s\n", what, kin_error_message());
    exit(1);
}

static int measure(void *arg)
{
    kin_queue **results = arg;
    const double speeds[SPEEDS] = {1.5, 2.25, -0.5, 8};
    void *message;
    size_t size;
    kin_pack *pack = kin_pack_new();
    if (!pack)
        return kin_error_code();
    kin_pack_map(pack, 3);
    kin_pack_string(pack, "mill");
    kin_pack_string(pack, "B\xc3\xa4renbach");
    kin_pack_string(pack, "run");
    kin_pack_int(pack, 17);
    kin_pack_string(pack, "speeds");
    kin_pack_array(pack, KIN_FLOAT64, speeds, SPEEDS);
    int error =
        kin_pack_end(pack, &message, &size); /* the first error of all these calls, if there was one */
    if (!error)
        error = kin_queue_give(*results, message, size, KIN_FOREVER);
    kin_pack_free(pack);
    return error;
}

/* What is not asked for is passed over: the writer may add to it. */
static void report(const kin_message *message)
{
    const char *mill;
    int64_t run;
    double speeds[100], sum = 0;
    size_t length, count = 0;
    kin_unpack *unpack = kin_unpack_new(message->data, message->size);
    if (!unpack || kin_unpack_map(unpack, NULL) || kin_unpack_find(unpack, "mill") ||
        kin_unpack_string(unpack, &mill, &length) || kin_unpack_find(unpack, "run") ||
        kin_unpack_int(unpack, &run) || kin_unpack_find(unpack, "speeds") ||
        kin_unpack_array(unpack, KIN_FLOAT64, speeds, 100, &count))
        die("read");
    for (size_t i = 0; i < count; i++)
        sum += speeds[i];
    printf("%zu bytes: %.*s, run %" PRId64 ", %zu speeds, sum %.2f\n", message->size, (int)length, mill, run,
           count, sum);
    kin_unpack_free(unpack);
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        die("start");
    kin_queue *results = kin_queue_new(NULL);
    if (!results)
        die("queue");
    kin_process *child = kin_process_start(measure, &results, sizeof results, NULL);
    kin_message message;
    if (!child || kin_queue_take(results, &message, 10))
        die("result");
    report(&message);
    kin_free(message.data);
    if (kin_process_join(child, KIN_FOREVER))
        die("join");
    kin_process_free(child);
    return kin_queue_free(results);
}
