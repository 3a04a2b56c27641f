/*
 * manager_test.c - calls through shared memory, at every point where their client may die: the server goes on, others' calls too, and
 * nothing that the dead one held is left.
 */
#include "crash/stepper.h"
#include "harness.h"
#include "manager/near.h"

#include <kin.h>

#include <poll.h>
#include <stdio.h>
#include <string.h>

#define PATIENCE 5.0 /* seconds */

struct scene {
    kin_manager *manager;
    kin_proxy *dict, *lock;
    int (*call)(void);
    volatile int result;
    char fault[300];
};

static struct scene *scene; /* shared */

static const char *fault(const char *what)
{
    snprintf(scene->fault, sizeof scene->fault, "%s: %s", what, kin_error_message());
    return scene->fault;
}

static int set(void)
{
    return kin_proxy_set(scene->dict, kin_any_text("of the victim"), kin_any_int(1));
}

static int acquire_and_release(void)
{
    int error = kin_proxy_acquire(scene->lock, KIN_FOREVER);
    if (error && error != KIN_EOWNERDIED)
        return error;
    return kin_proxy_release(scene->lock);
}

static int make_and_free(void)
{
    kin_proxy *list = kin_proxy_new(scene->manager, "list", NULL, 0);
    if (!list)
        return kin_error_code();
    kin_proxy_free(list);
    return 0;
}

/* It is connected, and has its slot. */
static void prepare(void *world)
{
    (void)world;
    for (int i = 0; i < 2; i++)
        scene->result = set();
}

static void run(void *world)
{
    (void)world;
    scene->result = scene->call();
}

static void after(void *world)
{
    (void)world;
    child_assert(scene->result == 0);
}

static void others(void *world)
{
    (void)world;
    kin_any value;
    int error = kin_proxy_set(scene->dict, kin_any_text("of others"), kin_any_int(2));
    if (error || kin_proxy_get(scene->dict, kin_any_text("of others"), &value) || value.integer != 2)
        fault("a call of another");
}

static size_t watch(void *world, struct step_area *areas)
{
    (void)world;
    struct kin__near *near = scene->manager->near;
    areas[0] = (struct step_area){near->pending, sizeof near->pending};
    areas[1] = (struct step_area){&near->asleep, sizeof near->asleep};
    for (unsigned i = 0; i < 4; i++)
        areas[2 + i] = (struct step_area){&near->slot[i], 64};
    return 6;
}

static const char *check(void *world, const struct step_end *end)
{
    kin_manager_counts counts;
    double until = kin__os_now() + PATIENCE - 1;
    (void)end;
    if (scene->fault[0])
        return scene->fault;
    others(world);
    do { /* the server has seen who is gone */
        if (kin_manager_counts_get(scene->manager, &counts))
            return fault("counts");
        if (counts.clients == 2 && counts.objects == 2 && !counts.held && !counts.waiting) {
            int error = acquire_and_release();
            return error ? fault("the lock") : scene->fault[0] ? scene->fault : NULL;
        }
        poll(NULL, 0, 1);
    } while (kin__os_now() < until);
    snprintf(scene->fault, sizeof scene->fault, "left: %zu clients, %zu objects, %zu held, %zu waiting",
             counts.clients, counts.objects, counts.held, counts.waiting);
    return scene->fault;
}

static void survive(const char *name, int (*call)(void))
{
    test_init();
    scene = kin_calloc(1, sizeof *scene);
    ck_assert_ptr_nonnull(scene);
    scene->manager = kin_manager_start(NULL);
    scene->dict = kin_proxy_new(scene->manager, "dict", NULL, 0);
    scene->lock = kin_proxy_new(scene->manager, "Lock", NULL, 0);
    scene->call = call;
    ck_assert_msg(scene->dict && scene->lock, "%s", kin_error_message());
    step_must_survive(&(struct step_operation){.name = name,
                                               .prepare = prepare,
                                               .run = run,
                                               .after = after,
                                               .watch = watch,
                                               .others = others,
                                               .check = check},
                      test_long() ? 0 : 12);
    kin_proxy_free(scene->dict);
    kin_proxy_free(scene->lock);
    kin_manager_free(scene->manager);
    kin_free(scene);
}

static void caller_dies_in_a_call(void)
{
    survive("set", set);
}

static void caller_dies_with_a_lock(void)
{
    survive("acquire and release", acquire_and_release);
}

static void caller_dies_with_an_object(void)
{
    survive("create and free", make_and_free);
}

/* ---- who made a manager dies as it frees that ------------------------------------------------------ */

struct ending {
    kin_manager *manager, *others;
    struct kin__near *near;
    char fault[300];
};

static struct ending *ending; /* shared */

static void make_one(void *world)
{
    (void)world;
    ending->manager = kin_manager_start(NULL);
    child_assert(ending->manager != NULL && kin_manager_shutdown(ending->manager, PATIENCE) == 0);
    ending->near = ending->manager->near;
}

static void free_one(void *world)
{
    (void)world;
    kin_manager_free(ending->manager);
}

static void call_another(void *world)
{
    (void)world;
    kin_manager_counts counts;
    if (kin_manager_counts_get(ending->others, &counts))
        snprintf(ending->fault, sizeof ending->fault, "a call of another: %s", kin_error_message());
}

static size_t watch_what_is_freed(void *world, struct step_area *areas)
{
    (void)world;
    areas[0] = (struct step_area){ending->manager, sizeof *ending->manager};
    areas[1] = (struct step_area){kin__heap(), sizeof(struct kin__heap)};
    return 2;
}

/* As long as it is a manager, members go on to call through its slots. */
static const char *judge_what_is_left(void *world, const struct step_end *end)
{
    (void)world;
    bool is = kin__object_is(ending->manager, KIN__MANAGER_MAGIC);
    bool in_use = kin_usable_size(ending->near) >= sizeof *ending->near;
    if (is && !in_use)
        snprintf(ending->fault, sizeof ending->fault, "it is a manager still, and its slots are free");
    if (!end->died && (is || in_use))
        snprintf(ending->fault, sizeof ending->fault, "it returned, and has not freed all");
    if (in_use)
        kin_free(ending->near);
    return ending->fault[0] ? ending->fault : NULL;
}

static void maker_dies_as_it_frees_it(void)
{
    test_init();
    ending = kin_calloc(1, sizeof *ending);
    ck_assert_ptr_nonnull(ending);
    ending->others = kin_manager_start(NULL);
    ck_assert_msg(ending->others != NULL, "%s", kin_error_message());
    step_must_survive(&(struct step_operation){.name = "free",
                                               .prepare = make_one,
                                               .run = free_one,
                                               .watch = watch_what_is_freed,
                                               .others = call_another,
                                               .check = judge_what_is_left},
                      test_long() ? 0 : 4);
    kin_manager_free(ending->others);
    kin_free(ending);
}

static const struct test tests[] = {
    {"maker_dies_as_it_frees_it", maker_dies_as_it_frees_it, 600, TEST_NOT_VALGRIND},
    {"caller_dies_in_a_call", caller_dies_in_a_call, 120, TEST_NOT_VALGRIND},
    {"caller_dies_with_a_lock", caller_dies_with_a_lock, 120, TEST_NOT_VALGRIND},
    {"caller_dies_with_an_object", caller_dies_with_an_object, 120, TEST_NOT_VALGRIND},
};

TEST_MAIN("crash_manager", tests)
