/*
 * connection_test.c - large messages through pipes at every point where who sends, receives or sweeps may die. After each death a message is
 * there whole or not at all, and no block and no slot is left.
 *
 * The pipe is the tracer's, so survivor and victims have both its ends: what they do is one matter, who has the ends another.
 */
#include "crash/heap_world.h"
#include "harness.h"

#include "family/heap.h"
#include "family/region.h"
#include "message/connection_private.h"
#include "message/transit.h"

#include "kin/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LARGE 33000 /* a block; the copy is stepped through byte by byte */
#define WATCHED 200 /* bytes of the table: its head, and the first slots */
#define SWEEPS 2000 /* what was in a socket is closed by the kernel when it gets to it */

static kin_connection *ends[2];
static int sent, got; /* by the survivor */

static const char *filled(int number)
{
    static char messages[3][LARGE];
    if (!messages[number][0]) /* once: it is a step for each byte */
        memset(messages[number], 'a' + number, LARGE);
    return messages[number];
}

static bool is_whole(const char *message, size_t size)
{
    return size == LARGE && *message >= 'a' && *message <= 'c' && memcmp(message, message + 1, size - 1) == 0;
}

/* ---- arranging ------------------------------------------------------------------------------- */

static void found_with_pipe(void)
{
    heap_found_family();
    kin__packet_most = 32768;
    ck_assert_msg(kin_pipe(ends, true) == 0, "%s", kin_error_message());
}

static void receive_all(struct heap_world *world)
{
    static char buffer[LARGE];
    size_t size;
    int error;
    while ((error = kin_connection_recv(ends[1], buffer, sizeof buffer, &size, 0)) == 0) {
        got++;
        if (!is_whole(buffer, size))
            heap_wrong(world, "a message is torn");
    }
    if (error != KIN_ETIMEDOUT)
        heap_wrong(world, "could not receive");
}

static void send_one(struct heap_world *world, int number)
{
    if (kin_connection_send(ends[0], filled(number), LARGE, 1))
        heap_wrong(world, "could not send");
    sent++;
}

/* The table is there before anything is counted. */
static void use_once(struct heap_world *world)
{
    send_one(world, 0);
    receive_all(world);
}

static void have_pipe(struct heap_world *world)
{
    sent = got = 0;
    world->object = (void *)(uintptr_t)kin__region->transit;
    world->object_size = WATCHED;
    receive_all(world);
    got = 0;
}

static void send_to_victim(void *arg)
{
    send_one(arg, 0);
}

static void send_and_receive(struct heap_world *world)
{
    send_one(world, 1);
    receive_all(world);
}

/* A block under way that nobody can receive. */
static void leave_orphan(void *arg)
{
    struct kin__ticket ticket;
    if (kin__transit_reserve(0, LARGE, 0, &ticket) || kin__transit_copy(&ticket, filled(0), LARGE))
        heap_wrong(arg, "could not leave a block");
    else
        kin__transit_sent(&ticket);
}

/* ---- victims --------------------------------------------------------------------------------- */

static void be_sender(void *arg)
{
    heap_be_member(arg);
    filled(2);
}

static void be_giver(void *arg)
{
    struct heap_world *world = arg;
    heap_be_member(arg);
    world->given = kin_malloc(LARGE);
    heap_must(world->given != NULL);
    memset(world->given, 'c', LARGE);
}

static void run_send(void *arg)
{
    static char message[LARGE];
    (void)arg;
    heap_must(kin_connection_send(ends[0], message, 0, 1) == 0);
}

static void run_send_large(void *arg)
{
    (void)arg;
    heap_must(kin_connection_send(ends[0], filled(2), LARGE, 1) == 0);
}

static void run_give(void *arg)
{
    struct heap_world *world = arg;
    heap_must(kin_connection_give(ends[0], world->given, LARGE, 1) == 0);
}

/* Others may have been faster. */
static void run_receive(void *arg)
{
    static char buffer[LARGE];
    (void)arg;
    int error = kin_connection_recv(ends[1], buffer, sizeof buffer, NULL, 0);
    heap_must(error == KIN_ETIMEDOUT || (error == 0 && is_whole(buffer, LARGE)));
}

static void run_take(void *arg)
{
    kin_message message;
    (void)arg;
    int error = kin_connection_take(ends[1], &message, 0);
    heap_must(error == KIN_ETIMEDOUT || (error == 0 && is_whole(message.data, message.size)));
    if (!error)
        kin_free(message.data);
}

static void run_sweep(void *arg)
{
    (void)arg;
    kin__transit_sweep();
}

/* ---- the survivor ---------------------------------------------------------------------------- */

static void nothing_is_under_way(struct heap_world *world)
{
    size_t bytes;
    for (int i = 0; i < SWEEPS && kin__transit_used(&bytes) > 0; i++) {
        kin__transit_sweep();
        if (kin__transit_used(&bytes) > 0)
            usleep(500);
    }
    if (kin__transit_used(&bytes) > 0)
        heap_wrong(world, "a slot is left");
}

static void settle_send(struct heap_world *world, const struct step_end *end)
{
    static char buffer[LARGE];
    size_t size;
    while (kin_connection_recv(ends[1], buffer, sizeof buffer, &size, 0) == 0) {
        got++;
        if (size && !is_whole(buffer, size))
            heap_wrong(world, "a message is torn");
    }
    if (got < sent + !end->died || got > sent + 1)
        heap_wrong(world, "a message is lost, or came twice");
    nothing_is_under_way(world);
}

static void settle_receive(struct heap_world *world, const struct step_end *end)
{
    (void)end;
    receive_all(world);
    if (got < sent - 1 || got > sent)
        heap_wrong(world, "a message is lost, or came twice");
    nothing_is_under_way(world);
}

/* The block that was given is the pipe's or still there: it is freed once. */
static void settle_give(struct heap_world *world, const struct step_end *end)
{
    kin_message message;
    bool came = false;
    while (kin_connection_take(ends[1], &message, 0) == 0) {
        got++;
        if (!is_whole(message.data, message.size))
            heap_wrong(world, "a message is torn");
        came = came || message.data == world->given;
        kin_free(message.data);
    }
    if (got < sent + !end->died || got > sent + 1)
        heap_wrong(world, "a message is lost, or came twice");
    nothing_is_under_way(world);
    if (world->given && got == sent && !came && kin_usable_size(world->given))
        kin_free(world->given);
    world->given = NULL;
}

static void settle_sweep(struct heap_world *world, const struct step_end *end)
{
    (void)end;
    receive_all(world);
    if (got != sent)
        heap_wrong(world, "a message is lost, or came twice");
    nothing_is_under_way(world);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void survive(struct heap_plan plan)
{
    plan.size = 48;
    plan.found = found_with_pipe;
    plan.settle_in = use_once;
    plan.arrange = have_pipe;
    heap_survive(plan);
    kin_connection_close(ends[0]);
    kin_connection_close(ends[1]);
}

static void send_survives(void)
{
    survive((struct heap_plan){
        .name = "connection_send", .prepare = be_sender, .run = run_send, .settle = settle_send});
}

static void send_of_a_block_survives(void)
{
    survive((struct heap_plan){.name = "connection_send of a block",
                               .prepare = be_sender,
                               .run = run_send_large,
                               .work = send_and_receive,
                               .settle = settle_send,
                               .points = 4}); /* a long way to each */
}

static void give_survives(void)
{
    survive((struct heap_plan){
        .name = "connection_give", .prepare = be_giver, .run = run_give, .settle = settle_give});
}

static void recv_of_a_block_survives(void)
{
    survive((struct heap_plan){.name = "connection_recv of a block",
                               .prepare = heap_be_member,
                               .ready = send_to_victim,
                               .run = run_receive,
                               .work = send_and_receive,
                               .settle = settle_receive,
                               .points = 3});
}

static void take_survives(void)
{
    survive((struct heap_plan){.name = "connection_take",
                               .prepare = heap_be_member,
                               .ready = send_to_victim,
                               .run = run_take,
                               .work = send_and_receive,
                               .settle = settle_receive,
                               .points = 12});
}

static void sweep_survives(void)
{
    survive((struct heap_plan){.name = "transit_sweep",
                               .prepare = heap_be_member,
                               .ready = leave_orphan,
                               .run = run_sweep,
                               .work = send_and_receive,
                               .settle = settle_sweep,
                               .points = 15});
}

/* In a socket it has a token, and so it has here, when its buffer was too small. */
static void sweep_leaves_what_can_be_received(void)
{
    static char buffer[LARGE];
    size_t bytes;
    found_with_pipe();
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(kin_connection_send(ends[0], filled(i), LARGE, 1), 0);
        kin__transit_sweep();
    }
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(kin_connection_recv(ends[1], buffer, 1, NULL, 0), KIN_ETOOLARGE);
        kin__transit_sweep();
        ck_assert_int_eq(kin_connection_recv(ends[1], buffer, LARGE, NULL, 0), 0);
        ck_assert_mem_eq(buffer, filled(i), LARGE);
    }
    ck_assert_uint_eq(kin__transit_used(&bytes), 0);
    ck_assert_int_eq(kin__heap_check(), 0);
    kin_connection_close(ends[0]);
    kin_connection_close(ends[1]);
}

static const struct test tests[] = {
    {"send_survives", send_survives, 600, 0},
    {"send_of_a_block_survives", send_of_a_block_survives, 600, 0},
    {"give_survives", give_survives, 600, 0},
    {"recv_of_a_block_survives", recv_of_a_block_survives, 600, 0},
    {"take_survives", take_survives, 600, 0},
    {"sweep_survives", sweep_survives, 600, 0},
    {"sweep_leaves_what_can_be_received", sweep_leaves_what_can_be_received, 10, 0},
};
TEST_MAIN("crash_connection", tests)
