/*
 * free_test.c - objects that are freed by who has got what a call made visible, while that call has not returned yet: at each
 * point of it. Either the object is not freed (KIN_EBUSY), or the call touches it no more: what lies in its memory by then stays
 * as it is.
 */
#include "crash/heap_world.h"
#include "harness.h"

#include <kin.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BLOCKS 8 /* of the object's size, one of them where it lay */

struct plan {
    const char *name;
    size_t watched;
    void *(*make)(void);
    void (*call)(void);   /* the victim's */
    bool (*taken)(void);  /* the survivor has got what the call makes visible */
    int (*free)(void *);  /* by the survivor, who has got it */
    void (*before)(void); /* the victim, at full speed */
    uint64_t filling;     /* what the memory is used for afterwards */
};

struct scene {
    void *object, *second;
    bool taken, freed;
    uint64_t *block[BLOCKS];
    size_t words;
};

static struct scene *scene; /* shared */
static const struct plan *plan;

static void fault(struct heap_world *world, const char *what)
{
    if (world->fault)
        return;
    snprintf(world->text, sizeof world->text, "%s: %.140s", what, kin_error_message());
    world->fault = world->text;
}

static void must(bool well)
{
    if (!well) {
        fprintf(stderr, "%s\n", kin_error_message());
        abort();
    }
}

/* ---- calls ----------------------------------------------------------------------------------- */

static void *make_queue(void)
{
    return kin_queue_new(NULL);
}

static void *make_joinable(void)
{
    kin_queue *queue = kin_queue_new(KIN_QUEUE_OPTIONS(.joinable = true));
    must(kin_queue_put(queue, "1", 1, 0) == 0);
    return queue;
}

static void *make_redelivering(void)
{
    kin_queue *queue = kin_queue_new(KIN_QUEUE_OPTIONS(.redeliver = true));
    must(kin_queue_put(queue, "1", 1, 0) == 0);
    return queue;
}

static void *make_awaited_semaphore(void)
{
    kin_semaphore *semaphore = kin_semaphore_new(0, NULL);
    must(kin_semaphore_acquire(semaphore, 1e-4) == KIN_ETIMEDOUT);
    return semaphore;
}

static void *make_event(void)
{
    kin_event *event = kin_event_new(NULL);
    must(kin_event_wait(event, 1e-4) == KIN_ETIMEDOUT);
    return event;
}

static void *make_broadcast(void)
{
    kin_broadcast *broadcast = kin_broadcast_new(NULL);
    scene->second = kin_broadcast_join(broadcast, 0);
    return broadcast;
}

static void *make_dict(void)
{
    kin_dict *dict = kin_dict_new(KIN_DICT_OPTIONS(.stripes = 1));
    must(kin_dict_set(dict, kin_any_int(1), kin_any_int(1)) == 0);
    return dict;
}

static void *make_list(void)
{
    kin_list *list = kin_list_new(NULL);
    must(kin_list_append(list, kin_any_int(1)) == 0);
    return list;
}

static void set_key(void)
{
    must(kin_dict_set(scene->object, kin_any_text("done"), kin_any_int(1)) == 0);
}

static bool key_is_set(void)
{
    bool there;
    return kin_dict_contains(scene->object, kin_any_text("done"), &there) == 0 && there;
}

static void delete_key(void)
{
    must(kin_dict_delete(scene->object, kin_any_int(1)) == 0);
}

static bool key_is_deleted(void)
{
    bool there;
    return kin_dict_contains(scene->object, kin_any_int(1), &there) == 0 && !there;
}

static void append(void)
{
    must(kin_list_append(scene->object, kin_any_int(2)) == 0);
}

static bool is_appended(void)
{
    return kin_list_length(scene->object) == 2;
}

static int free_dict(void *dict)
{
    return kin_dict_free(dict);
}

static int free_list(void *list)
{
    return kin_list_free(list);
}

static void put(void)
{
    must(kin_queue_put(scene->object, "1", 1, 0) == 0);
}

static bool was_put(void)
{
    char byte;
    return kin_queue_get(scene->object, &byte, 1, NULL, 0) == 0;
}

static void get(void)
{
    char byte;
    must(kin_queue_get(scene->object, &byte, 1, NULL, 0) == 0);
}

static void finish(void)
{
    must(kin_queue_task_done(scene->object) == 0);
}

static bool is_finished(void)
{
    return kin_queue_join(scene->object, NULL, 0) == 0;
}

static void close_it(void)
{
    must(kin_queue_close(scene->object) == 0);
}

static bool is_closed(void)
{
    char byte;
    return kin_queue_get(scene->object, &byte, 1, NULL, 0) == KIN_ECLOSED;
}

static void release(void)
{
    must(kin_semaphore_release(scene->object) == 0);
}

static bool is_released(void)
{
    return kin_semaphore_acquire(scene->object, 0) == 0;
}

static void set(void)
{
    must(kin_event_set(scene->object) == 0);
}

static bool is_set(void)
{
    return kin_event_wait(scene->object, 0) == 0;
}

static void write_it(void)
{
    must(kin_broadcast_write(scene->object, "1", 1, 0) == 0);
}

static bool is_written(void)
{
    char byte;
    return kin_reader_read(scene->second, &byte, 1, NULL, 0) == 0;
}

static void close_broadcast(void)
{
    must(kin_broadcast_close(scene->object) == 0);
}

static bool broadcast_is_closed(void)
{
    char byte;
    return kin_reader_read(scene->second, &byte, 1, NULL, 0) == KIN_ECLOSED;
}

static int free_queue(void *queue)
{
    return kin_queue_free(queue);
}

static int free_semaphore(void *semaphore)
{
    return kin_semaphore_free(semaphore);
}

static int free_event(void *event)
{
    return kin_event_free(event);
}

static int free_broadcast(void *broadcast)
{
    (void)kin_reader_leave(scene->second);
    scene->second = NULL;
    return kin_broadcast_free(broadcast);
}

/* ---- around them ----------------------------------------------------------------------------- */

static void found(void)
{
    test_init();
    kin_free(kin_malloc(16));
    scene = mmap(NULL, sizeof *scene, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(scene, MAP_FAILED);
}

static void arrange(struct heap_world *world)
{
    memset(scene, 0, sizeof *scene);
    scene->object = plan->make();
    must(scene->object != NULL);
    scene->words = kin_usable_size(scene->object) / 8;
    world->object = scene->object;
    world->object_size = plan->watched;
}

static void prepare(void *world)
{
    heap_be_member(world);
    if (plan->before)
        plan->before();
}

static void run(void *world)
{
    (void)world;
    plan->call();
}

static void try_to_free(struct heap_world *world)
{
    if (scene->freed)
        return;
    scene->taken = scene->taken || plan->taken();
    if (!scene->taken)
        return;
    int error = plan->free(scene->object);
    if (error && error != KIN_EBUSY)
        fault(world, "could not be freed");
    scene->freed = !error;
    for (int i = 0; scene->freed && i < BLOCKS; i++) {
        scene->block[i] = kin_malloc(scene->words * 8);
        for (size_t k = 0; scene->block[i] && k < scene->words; k++)
            scene->block[i][k] = plan->filling;
    }
}

static void settle(struct heap_world *world, const struct step_end *end)
{
    for (int i = 0; i < BLOCKS && scene->block[i]; i++) {
        for (size_t k = 0; k < scene->words; k++)
            if (scene->block[i][k] != plan->filling)
                fault(world, "memory that was freed is written to");
        kin_free(scene->block[i]);
        scene->block[i] = NULL;
    }
    scene->taken = scene->taken || end->died;
    if (!scene->freed)
        try_to_free(world);
    if (!scene->freed)
        fault(world, "it cannot be freed though nobody is in a call of it");
    for (int i = 0; i < BLOCKS; i++)
        kin_free(scene->block[i]);
    world->object = NULL;
}

static void survive(const struct plan *what)
{
    plan = what;
    heap_survive((struct heap_plan){.name = what->name,
                                    .size = 48,
                                    .found = found,
                                    .arrange = arrange,
                                    .prepare = prepare,
                                    .run = run,
                                    .work = try_to_free,
                                    .settle = settle});
}

#define ONES UINT64_C(0x0000000100000001)

static void queue_is_freed_after_a_put(void)
{
    survive(&(struct plan){"freed after put", 640, make_queue, put, was_put, free_queue, NULL, ONES});
}

static void queue_is_freed_after_the_last_task_is_done(void)
{
    survive(&(struct plan){"freed after task_done", 640, make_joinable, finish, is_finished, free_queue, get,
                           ONES});
}

static void queue_is_freed_after_the_last_redelivered_task_is_done(void)
{
    survive(&(struct plan){"freed after task_done, redelivered", 640, make_redelivering, finish, is_finished,
                           free_queue, get, ONES});
}

static void queue_is_freed_after_a_close(void)
{
    survive(
        &(struct plan){"freed after close", 640, make_queue, close_it, is_closed, free_queue, NULL, ONES});
}

static void semaphore_is_freed_after_a_release(void)
{
    survive(&(struct plan){"semaphore freed after release", 64, make_awaited_semaphore, release, is_released,
                           free_semaphore, NULL, 3});
}

static void event_is_freed_after_a_set(void)
{
    survive(&(struct plan){"event freed after set", 64, make_event, set, is_set, free_event, NULL, ONES});
}

static void broadcast_is_freed_after_a_write(void)
{
    survive(&(struct plan){"freed after write", 640, make_broadcast, write_it, is_written, free_broadcast,
                           NULL, ONES});
}

static void broadcast_is_freed_after_a_close(void)
{
    survive(&(struct plan){"broadcast freed after close", 640, make_broadcast, close_broadcast,
                           broadcast_is_closed, free_broadcast, NULL, ONES});
}

static void dict_is_freed_after_a_set(void)
{
    survive(
        &(struct plan){"dict freed after set", 640, make_dict, set_key, key_is_set, free_dict, NULL, ONES});
}

static void dict_is_freed_after_a_delete(void)
{
    survive(&(struct plan){"dict freed after delete", 640, make_dict, delete_key, key_is_deleted, free_dict,
                           NULL, ONES});
}

static void list_is_freed_after_an_append(void)
{
    survive(&(struct plan){"list freed after append", 256, make_list, append, is_appended, free_list, NULL,
                           ONES});
}

static const struct test tests[] = {
    {"dict_is_freed_after_a_set", dict_is_freed_after_a_set, 600, 0},
    {"dict_is_freed_after_a_delete", dict_is_freed_after_a_delete, 600, 0},
    {"list_is_freed_after_an_append", list_is_freed_after_an_append, 600, 0},
    {"queue_is_freed_after_a_put", queue_is_freed_after_a_put, 600, 0},
    {"queue_is_freed_after_the_last_task_is_done", queue_is_freed_after_the_last_task_is_done, 600, 0},
    {"queue_is_freed_after_the_last_redelivered_task_is_done",
     queue_is_freed_after_the_last_redelivered_task_is_done, 600, 0},
    {"queue_is_freed_after_a_close", queue_is_freed_after_a_close, 600, 0},
    {"semaphore_is_freed_after_a_release", semaphore_is_freed_after_a_release, 600, 0},
    {"event_is_freed_after_a_set", event_is_freed_after_a_set, 600, 0},
    {"broadcast_is_freed_after_a_write", broadcast_is_freed_after_a_write, 600, 0},
    {"broadcast_is_freed_after_a_close", broadcast_is_freed_after_a_close, 600, 0},
};
TEST_MAIN("crash_free", tests)
