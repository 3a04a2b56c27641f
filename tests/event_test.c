/* event_test.c - kin/event.h. What CPython's _TestEvent tests is marked so. */
#include "sync_common.h"

#include "sync/wait.h"

#include <stdio.h>

static struct world *world_with_event(void)
{
    struct world *world = new_world();
    world->event = kin_event_new(NULL);
    ck_assert_msg(world->event != NULL, "%s", kin_error_message());
    return world;
}

static void is_described(const kin_event *event, const char *how)
{
    char text[KIN_DESCRIPTION], expected[KIN_DESCRIPTION];
    snprintf(expected, sizeof expected, "event \"e\" at %p, %s", (const void *)event, how);
    ck_assert_str_eq(kin_describe(event, text, sizeof text), expected);
}

/* test_repr */
static void description_tells_whether_it_is_set(void)
{
    test_init();
    kin_event *event = kin_event_new(KIN_EVENT_OPTIONS(.name = "e"));
    is_described(event, "unset");
    ck_assert_int_eq(kin_event_set(event), 0);
    is_described(event, "set");
    ck_assert_int_eq(kin_event_clear(event), 0);
    is_described(event, "unset");
    ck_assert_int_eq(kin_event_free(event), 0);
}

static int set_it(void *arg)
{
    struct world *world = arg;
    child_assert(!kin_event_is_set(world->event));
    await(&world->step, 1);
    child_assert(kin_event_set(world->event) == 0);
    return 0;
}

/* test_event */
static void event_is_set_by_another_process(void)
{
    struct world *world = world_with_event();
    ck_assert(!kin_event_is_set(world->event));
    ck_assert_int_eq(kin_event_wait(world->event, 0), KIN_ETIMEDOUT);
    ck_assert_int_eq(kin_event_wait(world->event, 0.02), KIN_ETIMEDOUT);
    ck_assert_int_eq(kin_event_set(world->event), 0);
    ck_assert(kin_event_is_set(world->event));
    ck_assert_int_eq(kin_event_wait(world->event, 0), 0);
    ck_assert_int_eq(kin_event_wait(world->event, KIN_FOREVER), 0);
    ck_assert_int_eq(kin_event_clear(world->event), 0);
    kin_process *process = start(set_it, world);
    atomic_store(&world->step, 1);
    ck_assert_int_eq(kin_event_wait(world->event, TOP), 0);
    join(process);
    free_world(world);
}

static int wait_for_it(void *arg)
{
    struct world *world = arg;
    atomic_fetch_add(&world->sleeping, 1);
    child_assert(kin_event_wait(world->event, KIN_FOREVER) == 0);
    return 0;
}

static void all_who_wait_go_on(void)
{
    struct world *world = world_with_event();
    kin_process *processes[4];
    for (int i = 0; i < 4; i++)
        processes[i] = start(wait_for_it, world);
    await(&world->sleeping, 4);
    ck_assert_int_eq(kin_process_kill(processes[0]), 0);
    ck_assert_int_eq(kin_event_set(world->event), 0);
    kin_process_free(processes[0]);
    for (int i = 1; i < 4; i++)
        join(processes[i]);
    free_world(world);
}

static void *wait_in_thread(void *arg)
{
    struct world *world = arg;
    atomic_fetch_add(&world->sleeping, 1);
    return kin_event_wait(world->event, TOP) ? arg : NULL;
}

static void misuse_is_told(void)
{
    struct world *world = world_with_event();
    ck_assert_int_eq(kin_event_set(NULL), KIN_EINVAL);
    ck_assert_int_eq(kin_event_wait(world->event, -1), KIN_EINVAL);
    ck_assert_int_eq(kin_event_wait((kin_event *)world, 0), KIN_EINVAL);
    pthread_t thread;
    void *failed;
    ck_assert_int_eq(pthread_create(&thread, NULL, wait_in_thread, world), 0);
    await(&world->sleeping, 1);
    while (kin__waits_none(world->event) == 0)
        usleep(200);
    ck_assert_int_eq(kin_event_free(world->event), KIN_EBUSY);
    ck_assert_int_eq(kin_event_set(world->event), 0);
    ck_assert_int_eq(pthread_join(thread, &failed), 0);
    ck_assert_ptr_null(failed);
    free_world(world);
}

static const struct test tests[] = {
    {"description_tells_whether_it_is_set", description_tells_whether_it_is_set, 5, 0},
    {"event_is_set_by_another_process", event_is_set_by_another_process, 10, TEST_EACH_METHOD},
    {"all_who_wait_go_on", all_who_wait_go_on, 10, TEST_EACH_METHOD},
    {"misuse_is_told", misuse_is_told, 5, 0},
};
TEST_MAIN("event", tests)
