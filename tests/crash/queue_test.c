/*
 * queue_test.c - queues at every point where somebody who uses one may die.
 *
 * Messages are numbered, the survivor's from 0, the victim's from VICTIMS on, and filled with a pattern of their number. After
 * each end of a victim the survivor gets all that is there: each message once, whole and in order, none missing but what the
 * dead one had in its hands. heap_world.h counts the blocks and arenas: none may be left.
 */
#include "crash/heap_world.h"
#include "harness.h"
#include "message/queue_shared.h"

#include <kin.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MESSAGES 80 /* of the survivor, at most; and of the victim */
#define VICTIMS MESSAGES
#define SIZE 48 /* blocks that the others allocate */
#define WATCHED_RING 256
#define PATIENCE 8.0
#define NOT_BACK 1000 /* the victim's call has not returned */
#define FRESH 400     /* more than the spans have that the messages lie in */
#define SIZE_MOST (KIN__INLINE_MAX + 512)

enum form { COPIED, GIVEN, ARENA };

struct plan {
    const char *name;
    enum form form;
    kin_queue_options options;
    size_t size;     /* of messages */
    unsigned before; /* messages that are in the queue already */
    void (*prepare)(void);
    int (*run)(void);
    void (*others)(struct heap_world *);
    unsigned puts, gets; /* by the victim's call, at most */
    int result;          /* what it returns if all goes well */
    bool keeps_blocks;   /* what the victim takes is a block of its own */
    bool slow;           /* many instructions: fewer points are tried */
};

struct scene {
    kin_queue *queue;
    unsigned put, done;              /* by the survivor */
    unsigned got[2 * MESSAGES];      /* how often, by whoever lived to tell */
    unsigned in_hands[2 * MESSAGES]; /* of these, by the victim */
    void *block[2 * MESSAGES];       /* that a message was given as */
    unsigned next[2];                /* lowest number that may come: of the survivor's, of the victim's */
    volatile int result;
    volatile bool torn;
};

static struct scene *scene; /* shared */
static const struct plan *plan;
static uint64_t buffer[MESSAGES][SIZE_MOST / 8]; /* of the victim, of the survivor: each its own */

static void fault(struct heap_world *world, const char *what)
{
    if (!world->fault) {
        snprintf(world->text, sizeof world->text, "%s", what);
        world->fault = world->text;
    }
}

/* ---- messages -------------------------------------------------------------------------------- */

static uint64_t word_of(unsigned number, size_t i)
{
    return i ? (number + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ i : number;
}

static void *fill(void *message, unsigned number, size_t size)
{
    uint64_t *words = message;
    for (size_t i = 0; i < size / 8; i++)
        words[i] = word_of(number, i);
    return message;
}

/* Its number, or 2 * MESSAGES if it is none. */
static unsigned number_of(const void *message, size_t size)
{
    const uint64_t *words = message;
    if (!words || size != plan->size || words[0] >= 2 * MESSAGES)
        return 2 * MESSAGES;
    unsigned number = (unsigned)words[0];
    for (size_t i = 0; i < size / 8; i++)
        if (words[i] != word_of(number, i))
            return 2 * MESSAGES;
    return number;
}

static int put(unsigned number, double timeout)
{
    if (plan->form == COPIED)
        return kin_queue_put(scene->queue, fill(buffer[0], number, plan->size), plan->size, timeout);
    kin_arena *arena = plan->form == ARENA ? kin_arena_new() : NULL;
    void *block = plan->form == ARENA ? kin_arena_malloc(arena, plan->size) : kin_malloc(plan->size);
    if (!block)
        abort();
    fill(block, number, plan->size);
    scene->block[number] = block;
    return arena ? kin_queue_give_arena(scene->queue, arena, block, timeout)
                 : kin_queue_give(scene->queue, block, plan->size, timeout);
}

/* The survivor puts one more. */
static void put_one(struct heap_world *world)
{
    if (scene->put == MESSAGES)
        return;
    if (put(scene->put, KIN_FOREVER) != 0)
        fault(world, kin_error_message());
    scene->put++;
}

static void note(struct heap_world *world, unsigned number)
{
    bool victims = number >= VICTIMS;
    if (number == 2 * MESSAGES) {
        fault(world, "a message is torn");
        return;
    }
    if (number < scene->next[victims])
        fault(world, "a message came twice, or out of order");
    scene->next[victims] = number + 1;
    scene->got[number]++;
}

/* The survivor gets one, and says that it is done with it. */
static int receive(struct heap_world *world, double timeout)
{
    size_t size = 0;
    kin_message message = {0};
    int error = plan->form == ARENA ? kin_queue_take(scene->queue, &message, timeout)
                                    : kin_queue_get(scene->queue, buffer[1], SIZE_MOST, &size, timeout);
    if (error)
        return error;
    if (plan->form == ARENA) {
        note(world, number_of(message.data, plan->size));
        kin_arena_free(message.arena);
    } else {
        note(world, number_of(buffer[1], size));
    }
    if (plan->options.joinable) {
        if (kin_queue_task_done(scene->queue) != 0)
            fault(world, kin_error_message());
        scene->done++;
    }
    return 0;
}

/* ---- what the others do ------------------------------------------------------------------------ */

/* There is one more than the victim will get. */
static void receive_if_there_is(struct heap_world *world)
{
    if (kin_queue_size(scene->queue) > plan->gets && receive(world, KIN_FOREVER) != 0)
        fault(world, kin_error_message());
}

static void put_and_get(struct heap_world *world)
{
    put_one(world);
    receive_if_there_is(world);
}

static void only_get(struct heap_world *world)
{
    receive_if_there_is(world);
}

static void close_it(struct heap_world *world)
{
    if (kin_queue_close(scene->queue) != 0)
        fault(world, kin_error_message());
}

/* ---- the victim -------------------------------------------------------------------------------- */

static void keep(const void *message, size_t size)
{
    unsigned number = number_of(message, size);
    if (number == 2 * MESSAGES)
        scene->torn = true;
    else
        scene->in_hands[number]++;
}

static void fill_many(void)
{
    for (unsigned i = 0; i < plan->puts; i++)
        fill((char *)buffer[0] + i * plan->size, VICTIMS + i, plan->size);
}

static int run_put(void)
{
    return kin_queue_put(scene->queue, buffer[0], plan->size, KIN_FOREVER);
}

static int run_try_put(void)
{
    return kin_queue_put(scene->queue, buffer[0], plan->size, 0);
}

static int run_put_many(void)
{
    size_t done = 0;
    int error = kin_queue_put_many(scene->queue, buffer[0], plan->size, plan->puts, &done, KIN_FOREVER);
    return error;
}

static void *own_block;
static kin_arena *own_arena;

static void make_block(void)
{
    own_block = scene->block[VICTIMS] = fill(kin_malloc(plan->size), VICTIMS, plan->size);
}

static void make_arena(void)
{
    own_arena = kin_arena_new();
    own_block = fill(kin_arena_malloc(own_arena, plan->size), VICTIMS, plan->size);
}

static int run_give(void)
{
    return kin_queue_give(scene->queue, own_block, plan->size, KIN_FOREVER);
}

static int run_give_arena(void)
{
    return kin_queue_give_arena(scene->queue, own_arena, own_block, KIN_FOREVER);
}

static int run_get(void)
{
    size_t size = 0;
    int error = kin_queue_get(scene->queue, buffer[0], SIZE_MOST, &size, KIN_FOREVER);
    if (!error)
        keep(buffer[0], size);
    return error;
}

static int run_take(void)
{
    kin_message message;
    int error = kin_queue_take(scene->queue, &message, KIN_FOREVER);
    if (error)
        return error;
    if (!message.arena)
        scene->block[number_of(message.data, message.size)] = message.data;
    keep(message.data, message.arena ? plan->size : message.size);
    return 0;
}

static int run_get_many(void)
{
    size_t done = 0;
    int error = kin_queue_get_many(scene->queue, buffer[0], plan->size, plan->gets, &done, KIN_FOREVER);
    for (size_t i = 0; i < done; i++)
        keep((char *)buffer[0] + i * plan->size, plan->size);
    return error;
}

static int run_close(void)
{
    return kin_queue_close(scene->queue);
}

static void get_one(void)
{
    if (run_get() != 0)
        abort();
}

static int run_task_done(void)
{
    return kin_queue_task_done(scene->queue);
}

static int run_join(void)
{
    size_t lost;
    return kin_queue_join(scene->queue, &lost, KIN_FOREVER);
}

static void put_as_producer(void)
{
    fill_many();
    if (run_put() != 0)
        abort();
}

static int run_done(void)
{
    return kin_queue_done(scene->queue);
}

static void prepare(void *world)
{
    heap_be_member(world);
    if (plan->prepare)
        plan->prepare();
}

static void run(void *world)
{
    (void)world;
    scene->result = plan->run();
}

/* ---- around it --------------------------------------------------------------------------------- */

static void found(void)
{
    test_init();
    kin_free(kin_malloc(16)); /* the tracer looks at the heap's tables: it needs its view of them */
    scene = mmap(NULL, sizeof *scene, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(scene, MAP_FAILED);
}

static void arrange(struct heap_world *world)
{
    kin_queue_options options = plan->options;
    memset(scene, 0, sizeof *scene);
    options.size = sizeof options;
    scene->queue = kin_queue_new(&options);
    scene->next[1] = VICTIMS;
    scene->result = NOT_BACK;
    if (!scene->queue)
        abort();
    for (unsigned i = 0; i < plan->before; i++)
        put_one(world);
    world->object = scene->queue;
    world->object_size = sizeof *scene->queue + WATCHED_RING;
}

/* All that is in the queue, then one more there and back: it can be used. */
static void drain(struct heap_world *world)
{
    int error;
    while ((error = receive(world, 0)) == 0)
        continue;
    if (error != KIN_ETIMEDOUT && error != KIN_ECLOSED)
        fault(world, kin_error_message());
    if (kin_queue_size(scene->queue) != 0 || !kin_queue_empty(scene->queue))
        fault(world, "nothing is left in the queue, and it says that it is not empty");
    if (kin_queue_closed(scene->queue) || (plan->options.producers && scene->result == NOT_BACK))
        return;
    put_one(world);
    if (receive(world, PATIENCE) != 0)
        fault(world, kin_error_message());
}

/* How often a message was got, by the victim too. What is not got and was given is somebody's: not lost to the heap. */
static unsigned times(unsigned number)
{
    return scene->got[number] + scene->in_hands[number];
}

static void free_block_of(unsigned number)
{
    void *block = scene->block[number];
    if (plan->form != ARENA && block && kin_usable_size(block))
        kin_free(block);
}

static void judge_survivors(struct heap_world *world, unsigned in_hands)
{
    unsigned missing = 0;
    for (unsigned i = 0; i < scene->put; i++) {
        if (times(i) > 1)
            fault(world, "a message was got twice");
        missing += times(i) == 0;
        if (plan->keeps_blocks && scene->got[i] == 0)
            free_block_of(i);
    }
    if (missing > in_hands) {
        snprintf(world->text, sizeof world->text, "%u messages of the survivor are lost, %u may be", missing,
                 in_hands);
        world->fault = world->text;
    }
}

/* A beginning of what the victim was to put is in, all of it if its call returned. */
static void judge_victims(struct heap_world *world)
{
    unsigned in = 0;
    while (in < plan->puts && times(VICTIMS + in) == 1)
        in++;
    for (unsigned i = in; i < plan->puts; i++) {
        if (times(VICTIMS + i) != 0)
            fault(world, "a message of the victim is missing before another, or came twice");
        else if (plan->form == GIVEN)
            free_block_of(VICTIMS + i);
    }
    if (scene->result == 0 && in != plan->puts)
        fault(world, "the victim's put returned, and the message is not in the queue");
}

/* What the victim had got counts as lost, unless it had said that it was done with it. */
static void judge_join(struct heap_world *world)
{
    size_t lost = 0;
    unsigned in = scene->put, least;
    for (unsigned i = 0; i < plan->puts; i++)
        in += times(VICTIMS + i);
    unsigned most = in - scene->done;
    bool said = plan->run == run_task_done;
    if (said && scene->result == 0)
        most--;
    least = said && most && scene->result == NOT_BACK ? most - 1 : most;
    int error = kin_queue_join(scene->queue, &lost, PATIENCE);
    if (error != (lost ? KIN_ELOST : 0))
        fault(world, kin_error_message());
    if (lost < least || lost > most) {
        snprintf(world->text, sizeof world->text, "%zu messages are told as lost, it were %u to %u", lost,
                 least, most);
        world->fault = world->text;
    }
    if (kin_queue_join(scene->queue, &lost, PATIENCE) != 0 || lost)
        fault(world, "what was lost is told twice");
}

/* The survivor is the last producer: when it is done too, the queue closes. */
static void judge_producers(struct heap_world *world)
{
    if (scene->result == NOT_BACK && plan->run != run_done)
        return; /* it may have died before it was known as one */
    if (kin_queue_done(scene->queue) != 0)
        fault(world, kin_error_message());
    if (receive(world, PATIENCE) != KIN_ECLOSED)
        fault(world, "all producers are done or dead, and the queue is not closed");
}

/* Blocks like those of the messages and of rings, with something else in them: what was freed and is in use still is torn by it. */
static void write_over_what_is_free(bool free)
{
    static void *blocks[FRESH];
    for (unsigned i = 0; i < FRESH; i++) {
        if (free) {
            kin_free(blocks[i]);
            continue;
        }
        size_t size = i < 3 ? KIN__INLINE_MAX + 64 : plan->size > KIN__INLINE_MAX ? SIZE : plan->size;
        blocks[i] = kin_malloc(size);
        if (!blocks[i])
            abort();
        memset(blocks[i], 0xee, size);
    }
}

static void settle(struct heap_world *world, const struct step_end *end)
{
    size_t size; /* a look that takes nothing: whoever makes it mends what a dead one left at the get gate */
    if (kin_queue_get(scene->queue, NULL, 0, &size, 0) == 0)
        fault(world, "a message went into a buffer of 0 bytes");
    write_over_what_is_free(false);
    if (scene->torn)
        fault(world, "the victim got a torn message");
    if (!end->died && scene->result != plan->result) {
        snprintf(world->text, sizeof world->text, "the victim's call returned %d", scene->result);
        world->fault = world->text;
    }
    if (plan->run == run_close && scene->result == 0 && !kin_queue_closed(scene->queue))
        fault(world, "it was closed, and is not");
    drain(world);
    write_over_what_is_free(true);
    judge_survivors(world, end->died && scene->result == NOT_BACK ? plan->gets : 0);
    judge_victims(world);
    if (plan->options.joinable)
        judge_join(world);
    if (plan->options.producers)
        judge_producers(world);
    if (kin_queue_close(scene->queue) != 0 || receive(world, PATIENCE) != KIN_ECLOSED ||
        kin_queue_put(scene->queue, "late", 4, PATIENCE) != KIN_ECLOSED)
        fault(world, "a closed queue can be used");
    if (kin_queue_free(scene->queue) != 0)
        fault(world, kin_error_message());
}

static void survive(const struct plan *what)
{
    plan = what;
    heap_survive((struct heap_plan){.name = what->name,
                                    .size = SIZE,
                                    .found = found,
                                    .arrange = arrange,
                                    .prepare = prepare,
                                    .run = run,
                                    .work = what->others,
                                    .settle = settle,
                                    .points = what->slow ? 5 : 16,
                                    .long_points = what->slow ? 60 : 0});
}

/* ---- putting ----------------------------------------------------------------------------------- */

static void inline_message_is_put(void)
{
    survive(&(struct plan){.name = "put, inline",
                           .size = 24,
                           .before = 1,
                           .prepare = fill_many,
                           .run = run_put,
                           .others = put_and_get,
                           .puts = 1});
}

static void large_message_is_put(void)
{
    survive(&(struct plan){.name = "put, by a block",
                           .slow = true,
                           .size = KIN__INLINE_MAX + 64,
                           .before = 1,
                           .prepare = fill_many,
                           .run = run_put,
                           .others = put_and_get,
                           .puts = 1});
}

static void many_messages_are_put(void)
{
    survive(&(struct plan){.name = "put many",
                           .slow = true,
                           .size = 1800, /* two batches, and past the ring's end */
                           .before = 4,
                           .prepare = fill_many,
                           .run = run_put_many,
                           .others = put_and_get,
                           .puts = 6});
}

static void message_is_put_when_there_is_room(void)
{
    survive(&(struct plan){.name = "blocked put",
                           .options = {.maxsize = 1},
                           .size = 24,
                           .before = 1,
                           .prepare = fill_many,
                           .run = run_put,
                           .others = only_get,
                           .puts = 1});
}

static void ring_grows(void)
{
    survive(&(struct plan){.name = "growth of the ring",
                           .slow = true,
                           .size = 1800,
                           .before = 9,
                           .prepare = fill_many,
                           .run = run_try_put,
                           .others = put_and_get,
                           .puts = 1});
}

static void ring_that_has_grown_grows_again(void)
{
    survive(&(struct plan){.name = "second growth of the ring",
                           .slow = true,
                           .size = 1800,
                           .before = 18,
                           .prepare = fill_many,
                           .run = run_try_put,
                           .others = put_and_get,
                           .puts = 1});
}

static void block_is_given(void)
{
    survive(&(struct plan){.name = "give",
                           .form = GIVEN,
                           .size = 208,
                           .before = 1,
                           .prepare = make_block,
                           .run = run_give,
                           .others = put_and_get,
                           .puts = 1});
}

static void arena_is_given(void)
{
    survive(&(struct plan){.name = "give, an arena",
                           .form = ARENA,
                           .size = 208,
                           .before = 1,
                           .prepare = make_arena,
                           .run = run_give_arena,
                           .others = put_and_get,
                           .puts = 1});
}

/* ---- getting ----------------------------------------------------------------------------------- */

static void inline_message_is_got(void)
{
    survive(&(struct plan){
        .name = "get, inline", .size = 24, .before = 2, .run = run_get, .others = put_and_get, .gets = 1});
}

static void large_message_is_got(void)
{
    survive(&(struct plan){.name = "get, from a block",
                           .slow = true,
                           .size = KIN__INLINE_MAX + 64,
                           .before = 2,
                           .run = run_get,
                           .others = put_and_get,
                           .gets = 1});
}

static void small_given_block_is_got(void)
{
    survive(&(struct plan){.name = "get, from a small block that was given",
                           .form = GIVEN,
                           .size = 208,
                           .before = 2,
                           .run = run_get,
                           .others = put_and_get,
                           .gets = 1});
}

static void large_given_block_is_got(void)
{
    survive(&(struct plan){.name = "get, from a large block that was given",
                           .slow = true,
                           .form = GIVEN,
                           .size = KIN__INLINE_MAX + 64,
                           .before = 2,
                           .run = run_get,
                           .others = put_and_get,
                           .gets = 1});
}

static void many_messages_are_got(void)
{
    survive(&(struct plan){
        .name = "get many", .size = 24, .before = 7, .run = run_get_many, .others = put_and_get, .gets = 5});
}

static void message_is_awaited(void)
{
    survive(&(struct plan){"blocked get", .size = 24, .run = run_get, .others = put_and_get, .gets = 1});
}

static void message_that_never_comes_is_awaited(void)
{
    survive(&(struct plan){.name = "get that a close ends",
                           .size = 24,
                           .run = run_get,
                           .others = close_it,
                           .result = KIN_ECLOSED});
}

static void inline_message_is_taken(void)
{
    survive(&(struct plan){.name = "take, inline",
                           .size = 208,
                           .before = 2,
                           .run = run_take,
                           .others = put_and_get,
                           .gets = 1,
                           .keeps_blocks = true});
}

static void large_message_is_taken(void)
{
    survive(&(struct plan){.name = "take, a copy",
                           .slow = true,
                           .size = KIN__INLINE_MAX + 64,
                           .before = 2,
                           .run = run_take,
                           .others = put_and_get,
                           .gets = 1,
                           .keeps_blocks = true});
}

static void given_block_is_taken(void)
{
    survive(&(struct plan){.name = "take, a block that was given",
                           .form = GIVEN,
                           .size = 208,
                           .before = 2,
                           .run = run_take,
                           .others = put_and_get,
                           .gets = 1,
                           .keeps_blocks = true});
}

static void arena_is_taken(void)
{
    survive(&(struct plan){.name = "take, an arena",
                           .form = ARENA,
                           .options = {.joinable = true},
                           .size = 208,
                           .before = 2,
                           .run = run_take,
                           .others = put_and_get,
                           .gets = 1});
}

/* ---- counting, ending -------------------------------------------------------------------------- */

static void message_is_got_from_a_joinable_queue(void)
{
    survive(&(struct plan){.name = "get, joinable",
                           .options = {.joinable = true},
                           .size = 24,
                           .before = 2,
                           .run = run_get,
                           .others = put_and_get,
                           .gets = 1});
}

static void task_is_done(void)
{
    survive(&(struct plan){.name = "task done",
                           .options = {.joinable = true},
                           .size = 24,
                           .before = 2,
                           .prepare = get_one,
                           .run = run_task_done,
                           .others = put_and_get});
}

static void queue_is_joined(void)
{
    survive(&(struct plan){.name = "join",
                           .options = {.joinable = true},
                           .size = 24,
                           .before = 1,
                           .run = run_join,
                           .others = only_get});
}

static void queue_is_closed(void)
{
    survive(&(struct plan){.name = "close", .size = 24, .before = 2, .run = run_close, .others = only_get});
}

static void first_message_of_a_producer_is_put(void)
{
    survive(&(struct plan){.name = "first put of a counted producer",
                           .options = {.producers = 2},
                           .size = 24,
                           .before = 1,
                           .prepare = fill_many,
                           .run = run_put,
                           .others = put_and_get,
                           .puts = 1});
}

static void producer_is_done(void)
{
    survive(&(struct plan){.name = "done of a producer",
                           .options = {.producers = 2},
                           .size = 24,
                           .before = 1,
                           .prepare = put_as_producer,
                           .run = run_done,
                           .others = put_and_get,
                           .puts = 1});
}

static const struct test tests[] = {
    {"inline_message_is_put", inline_message_is_put, 600, 0},
    {"large_message_is_put", large_message_is_put, 1200, 0},
    {"many_messages_are_put", many_messages_are_put, 1200, 0},
    {"message_is_put_when_there_is_room", message_is_put_when_there_is_room, 600, 0},
    {"ring_grows", ring_grows, 1200, 0},
    {"ring_that_has_grown_grows_again", ring_that_has_grown_grows_again, 1200, 0},
    {"block_is_given", block_is_given, 600, 0},
    {"arena_is_given", arena_is_given, 600, 0},
    {"inline_message_is_got", inline_message_is_got, 600, 0},
    {"large_message_is_got", large_message_is_got, 1200, 0},
    {"small_given_block_is_got", small_given_block_is_got, 600, 0},
    {"large_given_block_is_got", large_given_block_is_got, 1200, 0},
    {"many_messages_are_got", many_messages_are_got, 600, 0},
    {"message_is_awaited", message_is_awaited, 600, 0},
    {"message_that_never_comes_is_awaited", message_that_never_comes_is_awaited, 600, 0},
    {"inline_message_is_taken", inline_message_is_taken, 600, 0},
    {"large_message_is_taken", large_message_is_taken, 1200, 0},
    {"given_block_is_taken", given_block_is_taken, 600, 0},
    {"arena_is_taken", arena_is_taken, 600, 0},
    {"message_is_got_from_a_joinable_queue", message_is_got_from_a_joinable_queue, 600, 0},
    {"task_is_done", task_is_done, 600, 0},
    {"queue_is_joined", queue_is_joined, 600, 0},
    {"queue_is_closed", queue_is_closed, 600, 0},
    {"first_message_of_a_producer_is_put", first_message_of_a_producer_is_put, 600, 0},
    {"producer_is_done", producer_is_done, 600, 0},
};
TEST_MAIN("crash_queue", tests)
