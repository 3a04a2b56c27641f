/*
 * broadcast_test.c - broadcasts at every point where who writes, reads, joins or leaves may die. After each death a reader that lives
 * gets every message once, in order and whole, but perhaps the one that was just being written; and no block is left. Who
 * sleeps meanwhile, the victim or a thread of the survivor, does not look again by itself (W1 of sync/wait.h): each wake must arrive.
 */
#include "crash/heap_world.h"
#include "harness.h"

#include "family/heap.h"
#include "message/broadcast_shared.h"

#include "kin/error.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LARGE 33000 /* a block; the copy is stepped through byte by byte */
#define READERS 3
#define CAPACITY 4096

static kin_reader *survivors; /* the survivor's own; in the victim: the victim's */
static int next;              /* that it has to get */

static kin_broadcast *broadcast_of(struct heap_world *world)
{
    return (kin_broadcast *)(uintptr_t)world->object;
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
        heap_wrong(world, "a message is torn");
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
        heap_wrong(world, "no broadcast");
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

static void be_writer(void *arg)
{
    heap_be_member(arg);
    heap_must(write_number(broadcast_of(arg), 0) && write_number(broadcast_of(arg), 1));
    filled(2);
    filled(3);
}

static void fill_ring(void *arg)
{
    heap_be_member(arg);
    for (int i = 0; i < 200; i++)
        heap_must(write_number(broadcast_of(arg), i % 2 ? 1 : 0));
    filled(3);
}

/* As many large ones as are kept, and more: each one that is given makes another go. */
static char *to_give;

static void give_large(void *arg)
{
    heap_must(kin_broadcast_give(broadcast_of(arg), to_give, LARGE, 1) == 0);
}

static void have_large(void)
{
    to_give = kin_malloc(LARGE);
    heap_must(to_give != NULL);
    memset(to_give, 1, LARGE);
}

static void be_giver(void *arg)
{
    heap_be_member(arg);
    for (int i = 0; i < 2; i++) {
        have_large();
        give_large(arg);
    }
    have_large();
}

static void run_write(void *arg)
{
    heap_must(write_number(broadcast_of(arg), 2));
}

static void run_write_large(void *arg)
{
    heap_must(write_number(broadcast_of(arg), 3));
}

static void be_reader(void *arg)
{
    heap_be_member(arg);
    survivors = kin_broadcast_join(broadcast_of(arg), 1);
    heap_must(survivors != NULL);
}

static void run_read(void *arg)
{
    static char message[LARGE];
    (void)arg;
    for (int i = 0; i < 2; i++)
        heap_must(kin_reader_read(survivors, message, sizeof message, NULL, 0) == 0 && message[0] == i);
}

static void run_join(void *arg)
{
    heap_must(kin_broadcast_join(broadcast_of(arg), 1) != NULL);
}

static void run_leave(void *arg)
{
    (void)arg;
    heap_must(kin_reader_leave(survivors) == 0);
}

/* ---- the survivor ---------------------------------------------------------------------------- */

static void read_two(void *arg)
{
    struct heap_world *world = arg;
    for (int number; next < 2; next++)
        if (!read_number(world, &number) || number != next)
            heap_wrong(world, "what the victim has written is not there");
}

static void write_two(void *arg)
{
    struct heap_world *world = arg;
    if (!write_number(broadcast_of(world), 0) || !write_number(broadcast_of(world), 1))
        heap_wrong(world, "could not write");
}

static void write_more(struct heap_world *world)
{
    if (!write_number(broadcast_of(world), 2))
        heap_wrong(world, "could not write meanwhile");
}

/* With the gate mended everything is as it should be; then it goes. */
static void end_broadcast(struct heap_world *world)
{
    kin_broadcast *broadcast = broadcast_of(world);
    kin_reader *other = kin_broadcast_join(broadcast, 1);
    if (!other)
        heap_wrong(world, "could not join");
    const char *broken = kin__broadcast_broken(broadcast);
    if (broken)
        heap_wrong(world, broken);
    if (kin_broadcast_readers(broadcast) != 2)
        heap_wrong(world, "a dead reader is counted");
    if (kin_reader_leave(other) || kin_reader_leave(survivors) || kin_broadcast_free(broadcast))
        heap_wrong(world, "could not free the broadcast");
    world->object = NULL;
}

static void writer_is_gone(struct heap_world *world, const struct step_end *end, int last)
{
    int number, error;
    bool has = read_number(world, &number);
    if (has ? number != last : !end->died)
        heap_wrong(world, "what was written last is not there");
    error = kin_reader_read(survivors, NULL, 0, NULL, 1);
    if (error != KIN_ECLOSED)
        heap_wrong(world, "who reads is not told of the end");
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
        heap_wrong(world, "it has missed none");
    while ((error = kin_reader_read(survivors, message, sizeof message, &size, 0)) == 0) {
        if (size != size_of(message[0]) || memcmp(message, message + 1, size - 1) != 0)
            heap_wrong(world, "a message is torn");
        count++;
    }
    size_t all = kin_reader_lost(survivors) + (size_t)count;
    if (error != KIN_ECLOSED || all < 200 || all > 201)
        heap_wrong(world, "the count of what it has missed is wrong");
    end_broadcast(world);
}

/* One given block was dropped for the last: it has missed one at least. */
static void given_block_is_dropped(struct heap_world *world, const struct step_end *end)
{
    (void)end;
    static char message[LARGE];
    int error;
    while ((error = kin_reader_read(survivors, message, sizeof message, NULL, 0)) == 0 || error == KIN_ELOST)
        continue;
    if (error != KIN_ECLOSED)
        heap_wrong(world, "who reads is not told of the end");
    end_broadcast(world);
}

/* Whatever the victim was at as a reader. */
static void others_read_all(struct heap_world *world, const struct step_end *end)
{
    (void)end;
    int number;
    for (next = 0; read_number(world, &number); next++)
        if (number != (next < 2 ? next : 2))
            heap_wrong(world, "not what was written");
    for (int i = 0; i < 300; i++) { /* the dead one is in nobody's way */
        if (!write_number(broadcast_of(world), i % 2))
            heap_wrong(world, "a dead reader is in the way");
        if (!read_number(world, &number) || number != i % 2)
            heap_wrong(world, "what was written after the death is not there");
    }
    end_broadcast(world);
}

/* ---- who sleeps ------------------------------------------------------------------------------ */

#define EVEN 112 /* bytes: with its head a record of 128, so that the ring is full without a SKIP */
#define FULL (CAPACITY / 128)
#define PATIENCE 5.0

static int written; /* numbers, by the survivor; as many as the victim has written before it began */
static int got;     /* the next that the survivor's reader is to get */

static struct {
    pthread_t thread;
    struct kin__thread *_Atomic slot;
    _Atomic int tid;
    bool used;
    int error;
    struct heap_world *world;
} sleeper;
static _Atomic uint32_t *done; /* shared: it sleeps no more */

static int write_even(kin_broadcast *broadcast, int number, double timeout)
{
    char message[EVEN];
    memset(message, number, sizeof message);
    return kin_broadcast_write(broadcast, message, sizeof message, timeout);
}

/* The next one: whole, and the one that it should be. */
static int read_even(struct heap_world *world, double timeout)
{
    char message[EVEN];
    size_t size;
    int error = kin_reader_read(survivors, message, sizeof message, &size, timeout);
    if (error)
        return error;
    if (size != EVEN || memcmp(message, message + 1, size - 1) != 0)
        heap_wrong(world, "a message is torn");
    if (message[0] != (char)got++)
        heap_wrong(world, "a message is missing, or came twice");
    return 0;
}

static void begin_sleeper(void)
{
    atomic_store(&sleeper.tid, gettid());
    atomic_store(&sleeper.slot, kin__thread_self());
}

static void *write_one_more(void *arg)
{
    (void)arg;
    begin_sleeper();
    sleeper.error = write_even(broadcast_of(sleeper.world), written, KIN_FOREVER);
    atomic_store(done, 1);
    return NULL;
}

static void *read_one_more(void *arg)
{
    (void)arg;
    begin_sleeper();
    sleeper.error = read_even(sleeper.world, KIN_FOREVER);
    atomic_store(done, 1);
    return NULL;
}

/* In the futex already: a wake before that would be lost, without W1. */
static bool is_asleep(void)
{
    const struct kin__thread *slot = atomic_load(&sleeper.slot);
    return slot && atomic_load(&slot->waits.object) && step_asleep(atomic_load(&sleeper.tid));
}

static void start_sleeper(struct heap_world *world, void *(*body)(void *))
{
    sleeper.world = world;
    atomic_store(&sleeper.slot, NULL);
    atomic_store(done, 0);
    heap_must(pthread_create(&sleeper.thread, NULL, body, NULL) == 0);
    sleeper.used = true;
    for (double deadline = kin__os_deadline(PATIENCE); !is_asleep(); usleep(20))
        if (kin__os_left(deadline) <= 0 || atomic_load(done)) {
            heap_wrong(world, "nobody sleeps");
            return;
        }
}

/* What it was told. */
static int end_sleeper(struct heap_world *world)
{
    for (double deadline = kin__os_deadline(PATIENCE); sleeper.used && !atomic_load(done); usleep(20))
        if (kin__os_left(deadline) <= 0) {
            heap_wrong(world, "who slept is not woken");
            return KIN_ETIMEDOUT;
        }
    if (sleeper.used)
        pthread_join(sleeper.thread, NULL);
    sleeper.used = false;
    return sleeper.error;
}

/* A victim that goes on does not end before it: its end would wake everybody. */
static void await_sleeper(void *arg)
{
    for (double deadline = kin__os_deadline(PATIENCE); !atomic_load(done); usleep(20))
        if (kin__os_left(deadline) <= 0) {
            fprintf(stderr, "who slept is not woken by what the victim has done\n");
            abort();
        }
    heap_after(arg);
}

static void be_alone(struct heap_world *world)
{
    have(world, KIN_SLOW_WAIT);
    written = got = 0;
}

/* Everybody's room is used up by what the survivor's reader has not read. */
static void be_writer_without_room(void *arg)
{
    heap_be_member(arg);
    for (int i = 0; i < FULL; i++)
        heap_must(write_even(broadcast_of(arg), i, 0) == 0);
    heap_must(write_even(broadcast_of(arg), FULL, 0) == KIN_ETIMEDOUT);
    kin_error_clear();
}

static void run_write_without_room(void *arg)
{
    heap_must(write_even(broadcast_of(arg), FULL, KIN_FOREVER) == 0);
}

static void make_room(struct heap_world *world)
{
    if (got < FULL && read_even(world, 0))
        heap_wrong(world, "what was written is not there");
}

/* All that was written before is there; then that one, or not; then the end. */
static void last_one_is_in_or_not(struct heap_world *world, const struct step_end *end)
{
    int error;
    while (got < FULL && read_even(world, 0) == 0)
        continue;
    if (got < FULL)
        heap_wrong(world, "what was written before is not there");
    error = read_even(world, 0);
    if (error && !end->died)
        heap_wrong(world, "what was written last is not there");
    if (read_even(world, PATIENCE) != KIN_ECLOSED)
        heap_wrong(world, "who reads is not told of the end");
    end_broadcast(world);
}

/* The victim's reader alone is in the way of a thread that writes. */
static void sleep_for_room(void *arg)
{
    struct heap_world *world = arg;
    while (written < FULL && write_even(broadcast_of(world), written, 0) == 0 && read_even(world, 0) == 0)
        written++;
    if (written < FULL)
        heap_wrong(world, "no room at the beginning");
    start_sleeper(world, write_one_more);
}

static void run_read_one(void *arg)
{
    static char message[EVEN];
    (void)arg;
    heap_must(kin_reader_read(survivors, message, sizeof message, NULL, 0) == 0 && message[0] == 0);
}

/* Whatever became of the victim, it is in nobody's way, and who slept has written. */
static void who_slept_has_written(struct heap_world *world, const struct step_end *end)
{
    (void)end;
    if (end_sleeper(world))
        heap_wrong(world, "who slept for room could not write");
    if (read_even(world, 0))
        heap_wrong(world, "what it has written is not there");
    end_broadcast(world);
}

static void sleep_for_a_message(void *arg)
{
    start_sleeper(arg, read_one_more);
}

static void be_writer_with_nothing_yet(void *arg)
{
    heap_be_member(arg);
    atomic_store(&broadcast_of(arg)->writer, kin__self_id());
}

static void run_write_even(void *arg)
{
    heap_must(write_even(broadcast_of(arg), 0, 0) == 0);
}

static void run_close(void *arg)
{
    heap_must(kin_broadcast_close(broadcast_of(arg)) == 0);
}

static void who_slept_has_read(struct heap_world *world, const struct step_end *end)
{
    int error = end_sleeper(world);
    if (error && !(end->died && error == KIN_ECLOSED))
        heap_wrong(world, "who slept for a message did not get it");
    end_broadcast(world);
}

static void who_slept_is_told_of_the_end(struct heap_world *world, const struct step_end *end)
{
    (void)end;
    if (end_sleeper(world) != KIN_ECLOSED)
        heap_wrong(world, "who slept for a message is not told of the end");
    end_broadcast(world);
}

static void run_await_one(void *arg)
{
    static char message[EVEN];
    (void)arg;
    heap_must(kin_reader_read(survivors, message, sizeof message, NULL, KIN_FOREVER) == 0 && message[0] == 0);
}

static void write_one(struct heap_world *world)
{
    if (written < FULL / 2 && write_even(broadcast_of(world), written++, 0))
        heap_wrong(world, "could not write");
}

static void others_have_read_all(struct heap_world *world, const struct step_end *end)
{
    (void)end;
    while (got < written)
        if (read_even(world, 0)) {
            heap_wrong(world, "what was written is not there");
            break;
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

static void survive_without_looking_again(struct heap_plan plan)
{
    kin__look_again = INFINITY;
    done = mmap(NULL, sizeof *done, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(done, MAP_FAILED);
    plan.size = 48;
    plan.arrange = be_alone;
    heap_survive(plan);
}

static void write_that_sleeps_for_room_survives(void)
{
    survive_without_looking_again((struct heap_plan){.name = "broadcast_write that sleeps for room",
                                                     .prepare = be_writer_without_room,
                                                     .run = run_write_without_room,
                                                     .work = make_room,
                                                     .settle = last_one_is_in_or_not});
}

static void read_that_wakes_who_writes_survives(void)
{
    survive_without_looking_again((struct heap_plan){.name = "reader_read that wakes who writes",
                                                     .prepare = be_reader,
                                                     .ready = sleep_for_room,
                                                     .run = run_read_one,
                                                     .after = await_sleeper,
                                                     .settle = who_slept_has_written});
}

static void leave_that_wakes_who_writes_survives(void)
{
    survive_without_looking_again((struct heap_plan){.name = "reader_leave that wakes who writes",
                                                     .prepare = be_reader,
                                                     .ready = sleep_for_room,
                                                     .run = run_leave,
                                                     .after = await_sleeper,
                                                     .settle = who_slept_has_written});
}

static void write_that_wakes_who_reads_survives(void)
{
    survive_without_looking_again((struct heap_plan){.name = "broadcast_write that wakes who reads",
                                                     .prepare = be_writer_with_nothing_yet,
                                                     .ready = sleep_for_a_message,
                                                     .run = run_write_even,
                                                     .after = await_sleeper,
                                                     .settle = who_slept_has_read});
}

static void close_that_wakes_who_reads_survives(void)
{
    survive_without_looking_again((struct heap_plan){.name = "broadcast_close that wakes who reads",
                                                     .prepare = be_writer_with_nothing_yet,
                                                     .ready = sleep_for_a_message,
                                                     .run = run_close,
                                                     .after = await_sleeper,
                                                     .settle = who_slept_is_told_of_the_end});
}

static void read_that_sleeps_survives(void)
{
    survive_without_looking_again((struct heap_plan){.name = "reader_read that sleeps",
                                                     .prepare = be_reader,
                                                     .run = run_await_one,
                                                     .work = write_one,
                                                     .settle = others_have_read_all});
}

static void drop_of_a_given_block_survives(void)
{
    heap_survive((struct heap_plan){.name = "broadcast_give, where a given block is dropped",
                                    .size = 48,
                                    .arrange = have_one_that_drops,
                                    .prepare = be_giver,
                                    .run = give_large,
                                    .settle = given_block_is_dropped});
}

static const struct test tests[] = {
    {"drop_of_a_given_block_survives", drop_of_a_given_block_survives, 600, 0},
    {"write_survives", write_survives, 600, 0},
    {"write_of_a_block_survives", write_of_a_block_survives, 600, 0},
    {"write_that_drops_survives", write_that_drops_survives, 600, 0},
    {"read_survives", read_survives, 600, 0},
    {"join_survives", join_survives, 600, 0},
    {"leave_survives", leave_survives, 600, 0},
    {"write_that_sleeps_for_room_survives", write_that_sleeps_for_room_survives, 600, 0},
    {"read_that_wakes_who_writes_survives", read_that_wakes_who_writes_survives, 600, 0},
    {"leave_that_wakes_who_writes_survives", leave_that_wakes_who_writes_survives, 600, 0},
    {"write_that_wakes_who_reads_survives", write_that_wakes_who_reads_survives, 600, 0},
    {"close_that_wakes_who_reads_survives", close_that_wakes_who_reads_survives, 600, 0},
    {"read_that_sleeps_survives", read_that_sleeps_survives, 600, 0},
};
TEST_MAIN("crash_broadcast", tests)
