/*
 * broadcast_test.c - broadcasts at every point where who writes, reads, joins or leaves may die. After each death a reader that lives
 * gets every message once, in order and whole, but perhaps the one that was just being written; and no block is left.
 */
#include "crash/heap_world.h"
#include "harness.h"

#include "family/heap.h"
#include "message/broadcast_shared.h"

#include "kin/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LARGE 33000 /* a block; the copy is stepped through byte by byte */
#define READERS 3
#define CAPACITY 4096

static kin_reader *survivors; /* the survivor's own; in the victim: the victim's */
static int next;              /* that it has to get */

static kin_broadcast *broadcast_of(struct heap_world *world)
{
    return (kin_broadcast *)(uintptr_t)world->object;
}

static void wrong(struct heap_world *world, const char *what)
{
    if (world->fault)
        return;
    snprintf(world->text, sizeof world->text, "%s: %.150s", what, kin_error_message());
    world->fault = world->text;
}

/* Of each number the size is known, and the bytes. */
static size_t size_of(int number)
{
    return number % 2 ? LARGE : 64;
}

static const char *filled(int number)
{
    static char messages[4][LARGE];
    if (messages[number][0] != number || messages[number][1] != number)
        memset(messages[number], number, LARGE);
    return messages[number];
}

static bool write_number(kin_broadcast *broadcast, int number)
{
    return kin_broadcast_write(broadcast, filled(number), size_of(number), 1) == 0;
}

/* The next one, if there is one: whole. */
static bool read_number(struct heap_world *world, int *number)
{
    static char message[LARGE];
    size_t size;
    if (kin_reader_read(survivors, message, sizeof message, &size, 0))
        return false;
    *number = (unsigned char)message[0];
    if (size != size_of(*number) || memcmp(message, message + 1, size - 1) != 0)
        wrong(world, "a message is torn");
    return true;
}

static void have(struct heap_world *world, kin_slow slow)
{
    kin_broadcast *broadcast =
        kin_broadcast_new(KIN_BROADCAST_OPTIONS(.capacity = CAPACITY, .readers = READERS, .slow = slow));
    world->object = broadcast;
    world->object_size = sizeof *broadcast + READERS * sizeof(struct kin_reader) + CAPACITY;
    survivors = broadcast ? kin_broadcast_join(broadcast, 1) : NULL;
    next = 0;
    if (!survivors)
        wrong(world, "no broadcast");
    else
        memset(broadcast->ring, 0, broadcast->bytes); /* nothing is there from the victim before */
}

static void have_one(struct heap_world *world)
{
    have(world, KIN_SLOW_WAIT);
}

static void have_one_that_drops(struct heap_world *world)
{
    have(world, KIN_SLOW_DROP);
}

static void have_one_with_messages(struct heap_world *world)
{
    have(world, KIN_SLOW_WAIT);
}

/* ---- victims --------------------------------------------------------------------------------- */

static void must(bool well)
{
    if (!well) {
        fprintf(stderr, "the victim: %s\n", kin_error_message());
        abort();
    }
}

static void be_writer(void *arg)
{
    heap_be_member(arg);
    must(write_number(broadcast_of(arg), 0) && write_number(broadcast_of(arg), 1));
    filled(2);
    filled(3);
}

static void fill_ring(void *arg)
{
    heap_be_member(arg);
    for (int i = 0; i < 200; i++)
        must(write_number(broadcast_of(arg), i % 2 ? 1 : 0));
    filled(3);
}

static void run_write(void *arg)
{
    must(write_number(broadcast_of(arg), 2));
}

static void run_write_large(void *arg)
{
    must(write_number(broadcast_of(arg), 3));
}

static void be_reader(void *arg)
{
    heap_be_member(arg);
    survivors = kin_broadcast_join(broadcast_of(arg), 1);
    must(survivors != NULL);
}

static void run_read(void *arg)
{
    static char message[LARGE];
    (void)arg;
    for (int i = 0; i < 2; i++)
        must(kin_reader_read(survivors, message, sizeof message, NULL, 0) == 0 && message[0] == i);
}

static void run_join(void *arg)
{
    must(kin_broadcast_join(broadcast_of(arg), 1) != NULL);
}

static void run_leave(void *arg)
{
    (void)arg;
    must(kin_reader_leave(survivors) == 0);
}

/* ---- the survivor ---------------------------------------------------------------------------- */

static void read_two(void *arg)
{
    struct heap_world *world = arg;
    for (int number; next < 2; next++)
        if (!read_number(world, &number) || number != next)
            wrong(world, "what the victim has written is not there");
}

static void write_two(void *arg)
{
    struct heap_world *world = arg;
    if (!write_number(broadcast_of(world), 0) || !write_number(broadcast_of(world), 1))
        wrong(world, "could not write");
}

static void write_more(struct heap_world *world)
{
    if (!write_number(broadcast_of(world), 2))
        wrong(world, "could not write meanwhile");
}

/* With the gate mended everything is as it should be; then it goes. */
static void end_broadcast(struct heap_world *world)
{
    kin_broadcast *broadcast = broadcast_of(world);
    kin_reader *other = kin_broadcast_join(broadcast, 1);
    if (!other)
        wrong(world, "could not join");
    const char *broken = kin__broadcast_broken(broadcast);
    if (broken)
        wrong(world, broken);
    if (kin_broadcast_readers(broadcast) != 2)
        wrong(world, "a dead reader is counted");
    if (kin_reader_leave(other) || kin_reader_leave(survivors) || kin_broadcast_free(broadcast))
        wrong(world, "could not free the broadcast");
    world->object = NULL;
}

static void writer_is_gone(struct heap_world *world, const struct step_end *end, int last)
{
    int number, error;
    bool has = read_number(world, &number);
    if (has ? number != last : !end->died)
        wrong(world, "what was written last is not there");
    error = kin_reader_read(survivors, NULL, 0, NULL, 1);
    if (error != KIN_ECLOSED)
        wrong(world, "who reads is not told of the end");
    end_broadcast(world);
}

static void small_one_is_in_or_not(struct heap_world *world, const struct step_end *end)
{
    writer_is_gone(world, end, 2);
}

static void large_one_is_in_or_not(struct heap_world *world, const struct step_end *end)
{
    writer_is_gone(world, end, 3);
}

/* It has missed some; the rest comes, at most one of them new. */
static void what_is_kept_can_be_read(struct heap_world *world, const struct step_end *end)
{
    (void)end;
    static char message[LARGE];
    size_t size;
    int error = kin_reader_read(survivors, message, sizeof message, &size, 0), count = 0;
    if (error != KIN_ELOST)
        wrong(world, "it has missed none");
    while ((error = kin_reader_read(survivors, message, sizeof message, &size, 0)) == 0) {
        if (size != size_of(message[0]) || memcmp(message, message + 1, size - 1) != 0)
            wrong(world, "a message is torn");
        count++;
    }
    size_t all = kin_reader_lost(survivors) + (size_t)count;
    if (error != KIN_ECLOSED || all < 200 || all > 201)
        wrong(world, "the count of what it has missed is wrong");
    end_broadcast(world);
}

/* Whatever the victim was at as a reader. */
static void others_read_all(struct heap_world *world, const struct step_end *end)
{
    (void)end;
    int number;
    for (next = 0; read_number(world, &number); next++)
        if (number != (next < 2 ? next : 2))
            wrong(world, "not what was written");
    for (int i = 0; i < 300; i++) { /* the dead one is in nobody's way */
        if (!write_number(broadcast_of(world), i % 2))
            wrong(world, "a dead reader is in the way");
        if (!read_number(world, &number) || number != i % 2)
            wrong(world, "what was written after the death is not there");
    }
    end_broadcast(world);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void write_survives(void)
{
    heap_survive((struct heap_plan){.name = "broadcast_write",
                                    .size = 48,
                                    .arrange = have_one,
                                    .prepare = be_writer,
                                    .ready = read_two,
                                    .run = run_write,
                                    .settle = small_one_is_in_or_not});
}

static void write_of_a_block_survives(void)
{
    heap_survive((struct heap_plan){.name = "broadcast_write of a block",
                                    .size = 48,
                                    .arrange = have_one,
                                    .prepare = be_writer,
                                    .ready = read_two,
                                    .run = run_write_large,
                                    .settle = large_one_is_in_or_not});
}

static void write_that_drops_survives(void)
{
    heap_survive((struct heap_plan){.name = "broadcast_write that drops",
                                    .size = 48,
                                    .arrange = have_one_that_drops,
                                    .prepare = fill_ring,
                                    .run = run_write_large,
                                    .settle = what_is_kept_can_be_read,
                                    .points = 10}); /* a long way to each */
}

static void read_survives(void)
{
    heap_survive((struct heap_plan){.name = "reader_read",
                                    .size = 48,
                                    .arrange = have_one_with_messages,
                                    .prepare = be_reader,
                                    .ready = write_two,
                                    .run = run_read,
                                    .work = write_more,
                                    .settle = others_read_all});
}

static void join_survives(void)
{
    heap_survive((struct heap_plan){.name = "broadcast_join",
                                    .size = 48,
                                    .arrange = have_one,
                                    .prepare = heap_be_member,
                                    .ready = write_two,
                                    .run = run_join,
                                    .settle = others_read_all});
}

static void leave_survives(void)
{
    heap_survive((struct heap_plan){.name = "reader_leave",
                                    .size = 48,
                                    .arrange = have_one,
                                    .prepare = be_reader,
                                    .ready = write_two,
                                    .run = run_leave,
                                    .settle = others_read_all});
}

static const struct test tests[] = {
    {"write_survives", write_survives, 600, 0},
    {"write_of_a_block_survives", write_of_a_block_survives, 600, 0},
    {"write_that_drops_survives", write_that_drops_survives, 600, 0},
    {"read_survives", read_survives, 600, 0},
    {"join_survives", join_survives, 600, 0},
    {"leave_survives", leave_survives, 600, 0},
};
TEST_MAIN("crash_broadcast", tests)
