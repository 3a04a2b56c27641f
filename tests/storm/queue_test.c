/*
 * queue_test.c - a queue under load while those that put and get are killed at random, thousands of times.
 *
 * Four producers number their messages; a message is filled with a pattern of its producer and number, small or large, and goes
 * in by put, put_many, as a block or in an arena. Four consumers note what they got. A killer (killer.h) kills any of the eight,
 * the founder starts another one in its place. In a ledger stands, for each message, whether its put was begun, whether it
 * returned, and how often it was got: once, but for what a dead consumer had in its hands.
 */
#include "harness.h"
#include "storm/killer.h"

#include <kin.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SIDE 4            /* producers, and as many consumers */
#define BATCH 4           /* of put_many and get_many */
#define MAXSIZE 48        /* so that both sides wait now and then */
#define LARGE_WORDS 5000u /* more than goes through the ring */
#define STANDS_STILL 30.0 /* seconds */
#define BEGUN 1u
#define RETURNED 2u
#define GOT 4u

enum way { PUT, PUT_MANY, GIVE, GIVE_ARENA, WAYS };

struct ledger {
    kin_queue *queue;
    _Atomic uint32_t stop;
    _Atomic uint32_t next[SIDE]; /* numbers below have been begun */
    _Atomic uint32_t torn, disorder, failed;
    _Atomic uint64_t got;
    uint32_t numbers; /* for each producer */
    _Atomic uint8_t state[];
};

struct job {
    struct ledger *ledger;
    uint32_t index; /* producer, or SIDE + consumer */
};

static _Atomic uint8_t *state_of(struct ledger *ledger, uint32_t producer, uint32_t number)
{
    return &ledger->state[(size_t)producer * ledger->numbers + number];
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- messages -------------------------------------------------------------------------------- */

static uint32_t words_of(uint32_t number)
{
    uint32_t kind = number / BATCH % 32;
    return kind == 31 ? LARGE_WORDS : kind % 4 == 3 ? 150 : 2 + kind % 4 * 5;
}

static enum way way_of(uint32_t number)
{
    uint32_t kind = number / BATCH % 32;
    return kind % 8 == 5 ? GIVE_ARENA : kind % 8 == 6 ? GIVE : kind % 8 == 1 ? PUT_MANY : PUT;
}

static uint64_t word_of(uint32_t producer, uint32_t number, uint32_t i)
{
    return i ? (((uint64_t)producer << 32 | number) + i) * UINT64_C(0x9e3779b97f4a7c15)
             : (uint64_t)producer << 32 | number;
}

static void fill(uint64_t *message, uint32_t producer, uint32_t number)
{
    for (uint32_t i = 0; i < words_of(number); i++)
        message[i] = word_of(producer, number, i);
}

/* ---- producers ------------------------------------------------------------------------------- */

static int hand_over(struct job *job, uint32_t number, uint64_t *buffer)
{
    kin_queue *queue = job->ledger->queue;
    size_t size = words_of(number) * sizeof *buffer;
    if (way_of(number) == PUT) {
        fill(buffer, job->index, number);
        return kin_queue_put(queue, buffer, size, KIN_FOREVER);
    }
    if (way_of(number) == PUT_MANY) {
        for (uint32_t i = 0; i < BATCH; i++)
            fill(buffer + i * words_of(number), job->index, number + i);
        return kin_queue_put_many(queue, buffer, size, BATCH, NULL, KIN_FOREVER);
    }
    kin_arena *arena = way_of(number) == GIVE_ARENA ? kin_arena_new() : NULL;
    uint64_t *block = arena ? kin_arena_malloc(arena, size) : kin_malloc(size);
    if (!block)
        return kin_error_code();
    fill(block, job->index, number);
    return arena ? kin_queue_give_arena(queue, arena, block, KIN_FOREVER)
                 : kin_queue_give(queue, block, size, KIN_FOREVER);
}

static int produce(void *arg)
{
    static uint64_t buffer[LARGE_WORDS * BATCH];
    struct job *job = arg;
    struct ledger *ledger = job->ledger;
    /* What the one before had begun may be in or not: this one begins behind it, at a whole batch. */
    uint32_t number = (atomic_load(&ledger->next[job->index]) + BATCH - 1) / BATCH * BATCH;
    while (!atomic_load(&ledger->stop)) {
        if (number + BATCH >= ledger->numbers) {
            usleep(1000);
            continue;
        }
        uint32_t count = way_of(number) == PUT_MANY ? BATCH : 1;
        atomic_store(&ledger->next[job->index], number + count);
        for (uint32_t i = 0; i < count; i++)
            atomic_fetch_or(state_of(ledger, job->index, number + i), BEGUN);
        int error = hand_over(job, number, buffer);
        if (error) {
            atomic_fetch_add(&ledger->failed, 1);
            fprintf(stderr, "producer %u: %s\n", job->index, kin_error_message());
            return error;
        }
        for (uint32_t i = 0; i < count; i++)
            atomic_fetch_or(state_of(ledger, job->index, number + i), RETURNED);
        number += count;
    }
    return 0;
}

/* ---- consumers ------------------------------------------------------------------------------- */

static void note(struct ledger *ledger, const uint64_t *message, size_t size, uint32_t *last)
{
    uint32_t producer = (uint32_t)(message[0] >> 32), number = (uint32_t)message[0];
    bool whole =
        producer < SIDE && number < ledger->numbers && (!size || size == words_of(number) * sizeof *message);
    for (uint32_t i = 0; whole && i < words_of(number); i++)
        whole = message[i] == word_of(producer, number, i);
    if (!whole) {
        atomic_fetch_add(&ledger->torn, 1);
        return;
    }
    if (last[producer] && number < last[producer])
        atomic_fetch_add(&ledger->disorder, 1);
    last[producer] = number + 1;
    atomic_fetch_add(state_of(ledger, producer, number), GOT);
    atomic_fetch_add(&ledger->got, 1);
}

static int take(struct ledger *ledger, uint32_t *last)
{
    kin_message message;
    int error = kin_queue_take(ledger->queue, &message, KIN_FOREVER);
    if (error)
        return error;
    note(ledger, message.data, message.size, last);
    if (message.arena)
        kin_arena_free(message.arena);
    else
        kin_free(message.data);
    return 0;
}

static int get(struct ledger *ledger, uint64_t *buffer, uint32_t *last)
{
    size_t size;
    int error = kin_queue_get(ledger->queue, buffer, LARGE_WORDS * sizeof *buffer, &size, KIN_FOREVER);
    if (!error)
        note(ledger, buffer, size, last);
    return error;
}

static int get_many(struct ledger *ledger, uint64_t *buffer, uint32_t *last)
{
    const size_t words = 2;
    size_t got = 0;
    int error = kin_queue_get_many(ledger->queue, buffer, words * sizeof *buffer, BATCH, &got, KIN_FOREVER);
    for (size_t i = 0; i < got; i++)
        note(ledger, buffer + i * words, words * sizeof *buffer, last);
    return error;
}

static int consume(void *arg)
{
    static uint64_t buffer[LARGE_WORDS];
    struct job *job = arg;
    uint32_t last[SIDE] = {0};
    int error = 0;
    for (unsigned turn = 0; !error; turn++) {
        error = turn % 3 == 0   ? take(job->ledger, last)
                : turn % 3 == 1 ? get(job->ledger, buffer, last)
                                : get_many(job->ledger, buffer, last);
        if (error == KIN_EINVAL) /* an arena, or another size */
            error = take(job->ledger, last);
    }
    if (error == KIN_ECLOSED)
        return 0;
    atomic_fetch_add(&job->ledger->failed, 1);
    fprintf(stderr, "consumer %u: %s\n", job->index - SIDE, kin_error_message());
    return error;
}

/* ---- the founder ----------------------------------------------------------------------------- */

struct storm {
    struct killer *killer;
    struct ledger *ledger;
    kin_process *process[2 * SIDE];
    uint32_t deaths[2]; /* of producers, of consumers */
    kin_heap_stats before;
};

static void heap_stats(kin_heap_stats *stats)
{
    *stats = (kin_heap_stats){.size = sizeof *stats};
    ck_assert_int_eq(kin_heap_get_stats(stats), 0);
}

static void start(struct storm *storm, uint32_t index)
{
    struct job job = {storm->ledger, index};
    storm->process[index] = kin_process_start(index < SIDE ? produce : consume, &job, sizeof job, NULL);
    ck_assert_msg(storm->process[index] != NULL, "%s", kin_error_message());
}

/* Whoever was killed has somebody in its place. */
static void look_after(struct storm *storm)
{
    for (uint32_t i = 0; i < 2 * SIDE; i++) {
        kin_end end;
        if (kin_process_join(storm->process[i], 0) != 0)
            continue;
        ck_assert_int_eq(kin_process_end(storm->process[i], &end), 0);
        ck_assert_msg(end.how == KIN_END_SIGNALED && end.signal == 9, "member %u ended by itself: %s", i,
                      kin_error_message());
        kin_process_free(storm->process[i]);
        storm->deaths[i >= SIDE]++;
        start(storm, i);
    }
}

/* Wait for an end of its own; one that was killed just before is not replaced. */
static void await_end(struct storm *storm, uint32_t i)
{
    kin_end end;
    ck_assert_msg(kin_process_join(storm->process[i], STANDS_STILL) == 0, "member %u hangs: %s", i,
                  kin_error_message());
    ck_assert_int_eq(kin_process_end(storm->process[i], &end), 0);
    if (end.how == KIN_END_SIGNALED)
        storm->deaths[i >= SIDE]++;
    else
        ck_assert_msg(end.how == KIN_END_EXITED && end.exit_code == 0, "member %u failed", i);
    kin_process_free(storm->process[i]);
}

/* The killer counts who was dying already too: deaths are what is wanted. */
static void rage(struct storm *storm, uint32_t deaths)
{
    uint64_t got = 0;
    double moved = now();
    atomic_store(&storm->killer->parent, getpid());
    while (storm->deaths[0] + storm->deaths[1] < deaths) {
        look_after(storm);
        if (atomic_load(&storm->ledger->got) != got)
            moved = now();
        got = atomic_load(&storm->ledger->got);
        ck_assert_msg(now() - moved < STANDS_STILL, "nobody gets anything after %u deaths",
                      storm->deaths[0] + storm->deaths[1]);
        usleep(200);
    }
}

static void end_all(struct storm *storm)
{
    uint32_t kills = killer_stop(storm->killer);
    usleep(1000);
    look_after(storm);
    atomic_store(&storm->ledger->stop, 1);
    for (uint32_t i = 0; i < SIDE; i++)
        await_end(storm, i);
    ck_assert_int_eq(kin_queue_close(storm->ledger->queue), 0);
    for (uint32_t i = SIDE; i < 2 * SIDE; i++)
        await_end(storm, i);
    ck_assert_msg(storm->deaths[0] + storm->deaths[1] <= kills, "%u and %u deaths, %u kills",
                  storm->deaths[0], storm->deaths[1], kills);
    /* Consumers that were killed in the last moment may have left something. */
    uint32_t last[SIDE] = {0};
    int error;
    while ((error = take(storm->ledger, last)) == 0)
        continue;
    ck_assert_msg(error == KIN_ECLOSED, "%s", kin_error_message());
}

static void account(struct storm *storm)
{
    struct ledger *ledger = storm->ledger;
    uint64_t put = 0, lost = 0, late = 0, never = 0;
    for (uint32_t p = 0; p < SIDE; p++)
        for (uint32_t i = 0; i < atomic_load(&ledger->next[p]); i++) {
            uint8_t state = *state_of(ledger, p, i);
            ck_assert_msg(state / GOT <= 1, "message %u of producer %u was got %u times", i, p, state / GOT);
            put += state & RETURNED ? 1 : 0;
            lost += state & RETURNED && !(state / GOT);
            late += !(state & RETURNED) && state / GOT;
            never += state & BEGUN && !(state & RETURNED) && !(state / GOT);
        }
    printf("# storm: %u producers and %u consumers killed, %llu messages put, %llu got, %llu lost in the "
           "hands of the dead; of those that were being put %llu went in, %llu did not\n",
           storm->deaths[0], storm->deaths[1], (unsigned long long)put,
           (unsigned long long)atomic_load(&ledger->got), (unsigned long long)lost, (unsigned long long)late,
           (unsigned long long)never);
    ck_assert_uint_eq(atomic_load(&ledger->torn), 0);
    ck_assert_uint_eq(atomic_load(&ledger->disorder), 0);
    ck_assert_uint_eq(atomic_load(&ledger->failed), 0);
    ck_assert_uint_le(lost, (uint64_t)storm->deaths[1] * BATCH);
    ck_assert_uint_le(late + never, (uint64_t)storm->deaths[0] * BATCH);
    ck_assert_uint_gt(put, 1000);
}

/* What is left is what the dead had in their hands as plain blocks, a producer before, a consumer after. */
static void count_what_is_left(struct storm *storm)
{
    kin_heap_stats after;
    uint64_t deaths = storm->deaths[0] + storm->deaths[1];
    ck_assert_msg(kin_queue_free(storm->ledger->queue) == 0, "%s", kin_error_message());
    kin_free(storm->ledger);
    heap_stats(&after);
    printf("# storm: %zu blocks and %zu arenas left\n",
           after.small_blocks + after.large_blocks - storm->before.small_blocks - storm->before.large_blocks,
           after.arenas - storm->before.arenas);
    ck_assert_uint_eq(after.arenas, storm->before.arenas);
    ck_assert_uint_le(after.small_blocks + after.large_blocks,
                      storm->before.small_blocks + storm->before.large_blocks + deaths);
}

static void every_message_is_accounted_for_whoever_is_killed(void)
{
    struct storm storm = {.killer = killer_start(1500, 2463534242)};
    test_init();
    heap_stats(&storm.before);
    uint32_t numbers = test_long() ? 1u << 25 : 1u << 21;
    storm.ledger = kin_calloc(1, sizeof *storm.ledger + (size_t)SIDE * numbers);
    ck_assert_msg(storm.ledger != NULL, "%s", kin_error_message());
    storm.ledger->numbers = numbers;
    storm.ledger->queue = kin_queue_new(KIN_QUEUE_OPTIONS(.maxsize = MAXSIZE));
    ck_assert_msg(storm.ledger->queue != NULL, "%s", kin_error_message());
    for (uint32_t i = 0; i < 2 * SIDE; i++)
        start(&storm, i);
    rage(&storm, test_long() ? 10000 : 300);
    end_all(&storm);
    account(&storm);
    count_what_is_left(&storm);
}

static const struct test tests[] = {
    {"every_message_is_accounted_for_whoever_is_killed", every_message_is_accounted_for_whoever_is_killed,
     900, 0},
};
TEST_MAIN("storm_queue", tests)
