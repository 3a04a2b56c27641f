/*
 * redeliver_test.c - queues that deliver again, at every point where who gets or finishes may die: what is not done comes
 * again, in order and whole, what is done does not, and no block is left.
 */
#include "crash/heap_world.h"
#include "harness.h"

#include "family/heap.h"
#include "message/queue_shared.h"

#include "kin/error.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LARGE 33000 /* a block */
#define COUNT 3

static kin_queue *queue_of(struct heap_world *world)
{
    return (kin_queue *)(uintptr_t)world->object;
}

static size_t size_of(int number)
{
    return number == 1 ? LARGE : 64;
}

/* The next one: whole. -1: none. */
static int get(kin_queue *queue)
{
    static char message[LARGE];
    size_t size;
    if (kin_queue_get(queue, message, sizeof message, &size, 0))
        return -1;
    bool whole = size == size_of(message[0]) && memcmp(message, message + 1, size - 1) == 0;
    return whole ? message[0] : -2;
}

static void have(struct heap_world *world)
{
    static char message[LARGE];
    kin_queue *queue = kin_queue_new(KIN_QUEUE_OPTIONS(.redeliver = true));
    world->object = queue;
    world->object_size = sizeof *queue + 1024;
    for (int i = 0; queue && i < COUNT; i++) {
        memset(message, i, size_of(i));
        if (kin_queue_put(queue, message, size_of(i), 0))
            heap_wrong(world, "could not put");
    }
}

/* The same in blocks that are the queue's from then on. */
static void have_given(struct heap_world *world)
{
    kin_queue *queue = kin_queue_new(KIN_QUEUE_OPTIONS(.redeliver = true));
    world->object = queue;
    world->object_size = sizeof *queue + 1024;
    for (int i = 0; queue && i < COUNT; i++) {
        void *block = kin_malloc(size_of(i));
        memset(block, i, size_of(i));
        if (kin_queue_give(queue, block, size_of(i), 0))
            heap_wrong(world, "could not give");
    }
}

static _Atomic int got, may_end;

static void *get_two(void *queue)
{
    int first = get(queue), second = get(queue);
    atomic_store(&got, 1);
    while (!atomic_load(&may_end))
        usleep(100);
    return first == 0 && second == 1 ? queue : NULL;
}

/* A thread that has ended had the first two. */
static void have_abandoned(struct heap_world *world)
{
    pthread_t thread;
    void *well = NULL;
    have(world);
    atomic_store(&got, 0);
    atomic_store(&may_end, 0);
    if (pthread_create(&thread, NULL, get_two, queue_of(world)))
        abort();
    while (!atomic_load(&got))
        usleep(100);
    int last = get(queue_of(world));
    if (last != 2 || kin_queue_task_done(queue_of(world)))
        heap_wrong(world, "the last one was not got");
    atomic_store(&may_end, 1);
    if (pthread_join(thread, &well) || !well)
        heap_wrong(world, "the first two were not got");
}

/* Three arenas, each with its number at its root. */
static void have_arenas(struct heap_world *world)
{
    kin_queue *queue = kin_queue_new(KIN_QUEUE_OPTIONS(.redeliver = true));
    world->object = queue;
    world->object_size = sizeof *queue + 1024;
    for (int i = 0; queue && i < COUNT; i++) {
        kin_arena *arena = kin_arena_new();
        int *root = kin_arena_malloc(arena, 64);
        *root = i;
        if (kin_queue_give_arena(queue, arena, root, 0))
            heap_wrong(world, "could not give");
    }
}

static int take(kin_queue *queue)
{
    kin_message message;
    if (kin_queue_take(queue, &message, 0))
        return -1;
    return message.arena ? -2 : *(int *)message.data;
}

static int (*next)(kin_queue *queue) = get;

/* ---- victims --------------------------------------------------------------------------------- */

static void run_get(void *arg)
{
    for (int i = 0; i < 2; i++)
        heap_must(get(queue_of(arg)) == i);
}

static void have_all(void *arg)
{
    heap_be_member(arg);
    for (int i = 0; i < COUNT; i++)
        heap_must(get(queue_of(arg)) == i);
}

static void have_all_arenas(void *arg)
{
    heap_be_member(arg);
    for (int i = 0; i < COUNT; i++)
        heap_must(take(queue_of(arg)) == i);
}

static void run_take(void *arg)
{
    kin_message message;
    for (int i = 0; i < 2; i++) {
        heap_must(kin_queue_take(queue_of(arg), &message, 0) == 0 && message.size == size_of(i) &&
                  *(char *)message.data == i);
        kin_free(message.data);
    }
}

static void run_done(void *arg)
{
    for (int i = 0; i < 2; i++)
        heap_must(kin_queue_task_done(queue_of(arg)) == 0);
}

/* ---- the survivor ---------------------------------------------------------------------------- */

/* From `first` to `last` come, and are finished. */
static void rest_comes(struct heap_world *world, int first, int last, unsigned most)
{
    kin_queue *queue = queue_of(world);
    for (int i = first; i <= last; i++) {
        int number = next(queue);
        unsigned times = kin_queue_deliveries(queue);
        if (number != i)
            heap_wrong(world, "not the next in order");
        if (times < 1 || times > most)
            heap_wrong(world, "the number of deliveries is wrong");
        if (kin_queue_task_done(queue))
            heap_wrong(world, "could not finish it");
    }
    if (next(queue) != -1 || kin_queue_join(queue, NULL, 0))
        heap_wrong(world, "something is left");
    if (queue->kept || queue->offered || atomic_load(&queue->floor) != atomic_load(&queue->tail))
        heap_wrong(world, "Q3, R2");
    if (kin_queue_free(queue))
        heap_wrong(world, "could not free the queue");
    world->object = NULL;
}

static void all_come(struct heap_world *world, const struct step_end *end)
{
    (void)end;
    rest_comes(world, 0, COUNT - 1, 2);
}

static void both_come_again(struct heap_world *world, const struct step_end *end)
{
    (void)end;
    rest_comes(world, 0, 1, 3);
}

static void what_is_not_done_comes(struct heap_world *world, const struct step_end *end)
{
    kin_queue *queue = queue_of(world);
    kin__queue_get_gate(queue, kin__self_id(), &(struct kin__patience){.timeout = 1}); /* mends it */
    kin__gate_release(&queue->get);
    uint32_t done = kin__point_count(atomic_load(&queue->floor));
    if (!end->died && done != 2)
        heap_wrong(world, "it was done");
    rest_comes(world, (int)done, COUNT - 1, 2);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void get_survives(void)
{
    heap_survive((struct heap_plan){.name = "queue_get, to be delivered again",
                                    .size = 48,
                                    .arrange = have,
                                    .prepare = heap_be_member,
                                    .run = run_get,
                                    .settle = all_come});
}

static void get_of_what_comes_again_survives(void)
{
    heap_survive((struct heap_plan){.name = "queue_get, delivered again",
                                    .size = 48,
                                    .arrange = have_abandoned,
                                    .prepare = heap_be_member,
                                    .run = run_get,
                                    .settle = both_come_again});
}

static void take_survives(void)
{
    heap_survive((struct heap_plan){.name = "queue_take, to be delivered again",
                                    .size = 48,
                                    .arrange = have,
                                    .prepare = heap_be_member,
                                    .run = run_take,
                                    .settle = all_come,
                                    .points = 12});
}

static void task_done_of_arenas_survives(void)
{
    next = take;
    heap_survive((struct heap_plan){.name = "queue_task_done, arenas",
                                    .size = 48,
                                    .arrange = have_arenas,
                                    .prepare = have_all_arenas,
                                    .run = run_done,
                                    .settle = what_is_not_done_comes});
}

static void task_done_survives(void)
{
    heap_survive((struct heap_plan){.name = "queue_task_done",
                                    .size = 48,
                                    .arrange = have,
                                    .prepare = have_all,
                                    .run = run_done,
                                    .settle = what_is_not_done_comes,
                                    .points = 100}); /* all */
}

static void done_with_given_blocks_survives(void)
{
    heap_survive((struct heap_plan){.name = "queue_task_done, given blocks",
                                    .size = 48,
                                    .arrange = have_given,
                                    .prepare = have_all,
                                    .run = run_done,
                                    .settle = what_is_not_done_comes,
                                    .points = 60});
}

static const struct test tests[] = {
    {"done_with_given_blocks_survives", done_with_given_blocks_survives, 600, 0},
    {"get_survives", get_survives, 600, 0},
    {"get_of_what_comes_again_survives", get_of_what_comes_again_survives, 600, 0},
    {"take_survives", take_survives, 600, 0},
    {"task_done_survives", task_done_survives, 600, 0},
    {"task_done_of_arenas_survives", task_done_of_arenas_survives, 600, 0},
};
TEST_MAIN("crash_redeliver", tests)
