/*
 * connection_test.c - processes that send through one end of a pipe, several at a time, are killed at random moments. What
 * their parent receives is whole and in each one's order, and of what they had under way nothing is left.
 */
#include "connection_common.h"

#include <signal.h>
#include <stdlib.h>

#include "family/heap.h"
#include "message/transit.h"
#include "storm/killer.h"

#define SENDERS 2
#define SHORT_KILLS 40u
#define LONG_KILLS 4000u
#define LARGE 70000u /* by reference */

struct message {
    uint32_t sender, number, size;
};

struct sender {
    kin_connection *connection;
    uint32_t number;
};

static uint32_t size_of(uint32_t number)
{
    return number % 5 == 0 ? LARGE : (uint32_t)sizeof(struct message) + number % 500;
}

/* As fast as it can, until it is killed. */
static int send_on(void *arg)
{
    const struct sender *sender = arg;
    static unsigned char bytes[LARGE];
    for (uint32_t number = 0;; number++) {
        struct message head = {sender->number, number, size_of(number)};
        memset(bytes, (int)(number & 0xff), head.size);
        memcpy(bytes, &head, sizeof head);
        if (kin_connection_send(sender->connection, bytes, head.size, 30))
            return 1;
    }
}

static kin_process *start_sender(kin_connection *connection, uint32_t number)
{
    struct sender sender = {connection, number};
    kin_process *process = kin_process_start(send_on, &sender, sizeof sender, NULL);
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    return process;
}

/* A message, checked; false: there is none for that time. */
static bool receive(kin_connection *connection, uint32_t *next, double timeout)
{
    static unsigned char bytes[LARGE];
    struct message head;
    size_t size;
    int error = kin_connection_recv(connection, bytes, sizeof bytes, &size, timeout);
    if (error == KIN_ETIMEDOUT)
        return false;
    ck_assert_msg(error == 0, "%s", kin_error_message());
    memcpy(&head, bytes, sizeof head);
    ck_assert_uint_eq(head.size, size);
    ck_assert_uint_eq(head.size, size_of(head.number));
    if (head.number != next[head.sender])
        ck_abort_msg("%u came in place of %u", head.number, next[head.sender]);
    next[head.sender]++;
    for (size_t i = sizeof head; i < size; i++)
        if (bytes[i] != (head.number & 0xff))
            ck_abort_msg("message %u is torn", head.number);
    return true;
}

static void senders_are_killed(void)
{
    uint32_t kills = test_long() ? LONG_KILLS : SHORT_KILLS, random = 1, received = 0;
    kin_connection *ends[2];
    kin_process *processes[SENDERS];
    uint32_t *next = calloc(kills + SENDERS, sizeof *next);
    test_init();
    ck_assert_int_eq(kin_pipe(ends, false), 0);
    for (uint32_t i = 0; i < SENDERS; i++)
        processes[i] = start_sender(ends[1], i);
    for (uint32_t kill = 0; kill < kills; kill++) {
        uint32_t victim = random_next(&random) % SENDERS;
        for (uint32_t i = random_next(&random) % 200; i > 0; i--)
            received += receive(ends[0], next, 20);
        ck_assert_int_eq(kin_process_kill(processes[victim]), 0);
        ck_assert_int_eq(kin_process_join(processes[victim], 20), 0);
        kin_process_free(processes[victim]);
        processes[victim] = start_sender(ends[1], SENDERS + kill);
    }
    for (int i = 0; i < SENDERS; i++) {
        ck_assert_int_eq(kin_process_kill(processes[i]), 0);
        while (receive(ends[0], next, 0))
            received++;
        ck_assert_int_eq(kin_process_join(processes[i], 20), 0);
        kin_process_free(processes[i]);
    }
    while (receive(ends[0], next, 0.1))
        received++;
    size_t bytes;
    while (kin__transit_used(&bytes) > 0 && test_time_left() > 1) {
        kin__transit_sweep();
        usleep(1000);
    }
    ck_assert_uint_eq(kin__transit_used(&bytes), 0);
    ck_assert_int_eq(kin__heap_check(), 0);
    ck_assert_int_eq(kin_connection_close(ends[0]), 0);
    ck_assert_int_eq(kin_connection_close(ends[1]), 0);
    fprintf(stderr, "# %u messages received, %u senders killed\n", received, kills + SENDERS);
    free(next);
}

static const struct test tests[] = {
    {"senders_are_killed", senders_are_killed, 1200, 0},
};
TEST_MAIN("storm_connection", tests)
