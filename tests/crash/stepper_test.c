/*
 * stepper_test.c - the crash harness finds what it is made to find.
 *
 * Toy operations in a few words of shared memory, each in a right and in a wrong order of stores: the right
 * ones have to survive at every point, in the wrong ones the stepper has to find the fault.
 */
#include "crash/stepper.h"
#include "harness.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NODES 4
#define PATIENCE 0.5 /* what a toy's survivor may take: those that hang are to be found hanging soon */

#define PREPARATIONS 8

struct world {
    volatile uint64_t pair[2][2];  /* two versions of a pair of equal numbers ... */
    volatile uint64_t current;     /* ... and which one counts */
    pthread_mutex_t mutex;         /* robust */
    volatile uint64_t left, right; /* equal, under the lock */
    _Atomic uint32_t word;         /* a lock of the naked kind: 1 held, 2 held with a sleeper */
    _Atomic uint64_t head;         /* a stack of nodes: number + 1, and a tag above bit 32 */
    _Atomic uint32_t next[NODES];
    _Atomic uint32_t victims_node; /* number + 1 that the victim took */
    _Atomic uint32_t others_node;
    volatile uint64_t calls;
    volatile uint64_t preparations[PREPARATIONS], prepared;
    volatile uint64_t kept; /* prepared, by one that died */
};

static void need_stepper(void)
{
    const char *why;
    if (!step_possible(&why))
        test_skip(why);
}

static struct world *new_world(void)
{
    struct world *world =
        mmap(NULL, sizeof(*world), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(world, MAP_FAILED);
    pthread_mutexattr_t how;
    pthread_mutexattr_init(&how);
    pthread_mutexattr_setpshared(&how, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&how, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&world->mutex, &how);
    return world;
}

static size_t watch_world(void *arg, struct step_area *areas)
{
    areas[0] = (struct step_area){arg, sizeof(struct world)};
    return 1;
}

static struct step_result result_of(struct step_operation operation)
{
    need_stepper();
    operation.world = new_world();
    operation.watch = watch_world;
    struct step_result result = step_through(&operation, 0, PATIENCE);
    printf("# %s: %u points, %u victims%s%s\n", operation.name, result.points, result.tried,
           result.failed ? "; " : "", result.fault);
    return result;
}

static void must_find(struct step_result result, const char *where, const char *what)
{
    ck_assert_msg(result.failed, "the fault was not found");
    ck_assert_msg(strstr(result.fault, where) && strstr(result.fault, what), "found something else: %s",
                  result.fault);
}

/* ---- a pair, published ----------------------------------------------------------------------- */

static void publish_last(void *arg)
{
    struct world *world = arg;
    uint64_t spare = 1 - world->current, value = world->pair[0][0] + world->pair[1][0] + 1;
    world->pair[spare][0] = value;
    world->pair[spare][1] = value;
    world->current = spare;
}

static void publish_first(void *arg)
{
    struct world *world = arg;
    uint64_t spare = 1 - world->current, value = world->pair[0][0] + world->pair[1][0] + 1;
    world->current = spare;
    world->pair[spare][0] = value;
    world->pair[spare][1] = value;
}

static void read_pair(void *arg)
{
    struct world *world = arg;
    world->calls++;
}

static const char *check_pair(void *arg, const struct step_end *end)
{
    struct world *world = arg;
    (void)end;
    return world->pair[world->current][0] == world->pair[world->current][1] ? NULL : "the pair is torn";
}

static void prepared_and_then_published_survives(void)
{
    struct step_result result = result_of((struct step_operation){
        .name = "publish last", .run = publish_last, .others = read_pair, .check = check_pair});
    ck_assert_msg(!result.failed, "%s", result.fault);
    ck_assert_uint_eq(result.points, 3);
    /* One to count. The two places of the pair take turns, so there are 5 points; two of each case find none that is new. */
    ck_assert_uint_eq(result.tried, 1 + 4 * (5 + 2));
}

static void published_before_prepared_is_found(void)
{
    must_find(result_of((struct step_operation){
                  .name = "publish first", .run = publish_first, .others = read_pair, .check = check_pair}),
              "killed at point 2", "torn");
}

/* The first victim that gets so far leaves the preparations to all others, whose operation is shorter by them. */
static void prepare_once_and_tear(void *arg)
{
    struct world *world = arg;
    for (uint64_t i = 0; !world->prepared && i < PREPARATIONS; i++)
        world->preparations[i]++;
    world->prepared = 1;
    world->left++;
    world->right++;
}

static void forget_preparations_of_the_living(void *arg)
{
    struct world *world = arg;
    if (!world->kept)
        world->prepared = 0;
}

static const char *check_words(void *arg, const struct step_end *end)
{
    struct world *world = arg;
    if (end->died && world->prepared)
        world->kept = 1;
    return world->left == world->right ? NULL : "the words differ";
}

static void way_that_is_shorter_after_a_death_is_gone_to_its_end(void)
{
    must_find(result_of((struct step_operation){.name = "prepared once",
                                                .arrange = forget_preparations_of_the_living,
                                                .run = prepare_once_and_tear,
                                                .others = read_pair,
                                                .check = check_words}),
              "killed at point 1", "the words differ");
}

/* ---- two words under a lock ------------------------------------------------------------------ */

static void change_under_mutex(void *arg)
{
    struct world *world = arg;
    if (pthread_mutex_lock(&world->mutex) == EOWNERDEAD) {
        world->right = world->left; /* the repair: left is written first */
        pthread_mutex_consistent(&world->mutex);
    }
    world->left++;
    world->right++;
    pthread_mutex_unlock(&world->mutex);
}

static void futex(_Atomic uint32_t *word, int what, uint32_t value)
{
    syscall(SYS_futex, word, what, value, NULL, NULL, 0);
}

static void lock_word(struct world *world)
{
    uint32_t seen = 0;
    if (atomic_compare_exchange_strong(&world->word, &seen, 1))
        return;
    while (atomic_exchange(&world->word, 2) != 0)
        futex(&world->word, FUTEX_WAIT, 2);
}

static void change_under_naked_lock(void *arg)
{
    struct world *world = arg;
    lock_word(world);
    world->left++;
    world->right++;
    if (atomic_exchange(&world->word, 0) == 2)
        futex(&world->word, FUTEX_WAKE, 1);
}

static void change_and_skip_the_wake(void *arg)
{
    struct world *world = arg;
    lock_word(world);
    world->left++;
    world->right++;
    atomic_store(&world->word, 0);
}

static const char *check_under_mutex(void *arg, const struct step_end *end)
{
    struct world *world = arg;
    (void)end;
    change_under_mutex(arg);
    return world->left == world->right ? NULL : "left and right differ";
}

static const char *check_under_naked_lock(void *arg, const struct step_end *end)
{
    struct world *world = arg;
    (void)end;
    change_under_naked_lock(arg);
    return world->left == world->right ? NULL : "left and right differ";
}

/* A stand-in for a check that a death cannot disturb: only those who went on are looked at. */
static const char *check_if_gone_on(void *arg, const struct step_end *end)
{
    struct world *world = arg;
    if (end->died)
        world->word = 0;
    return NULL;
}

static void robust_lock_with_repair_survives(void)
{
    struct step_result result = result_of((struct step_operation){.name = "robust lock",
                                                                  .run = change_under_mutex,
                                                                  .others = change_under_mutex,
                                                                  .check = check_under_mutex});
    ck_assert_msg(!result.failed, "%s", result.fault);
    ck_assert_uint_ge(result.points, 4);
}

static void lock_that_dies_with_its_owner_is_found(void)
{
    must_find(result_of((struct step_operation){.name = "naked lock",
                                                .run = change_under_naked_lock,
                                                .others = change_under_naked_lock,
                                                .check = check_under_naked_lock}),
              "killed at point 1", "the survivor hangs");
}

static void skipped_wake_is_found(void)
{
    must_find(result_of((struct step_operation){.name = "skipped wake",
                                                .run = change_and_skip_the_wake,
                                                .others = change_under_naked_lock,
                                                .check = check_if_gone_on}),
              "after others had worked", "still waits");
}

/* ---- asleep in a system call ----------------------------------------------------------------- */

static void hold_mutex(void *arg)
{
    struct world *world = arg;
    pthread_mutex_lock(&world->mutex);
    world->calls = 1;
}

static void let_go_of_mutex(void *arg)
{
    struct world *world = arg;
    if (world->calls) {
        world->calls = 0;
        pthread_mutex_unlock(&world->mutex);
    }
}

static const char *check_after_sleep(void *arg, const struct step_end *end)
{
    let_go_of_mutex(arg);
    return check_under_mutex(arg, end);
}

static void victim_is_killed_while_asleep_and_others_lead_it_past(void)
{
    struct step_result result = result_of((struct step_operation){.name = "waits for a lock",
                                                                  .arrange = hold_mutex,
                                                                  .run = change_under_mutex,
                                                                  .others = let_go_of_mutex,
                                                                  .check = check_after_sleep});
    ck_assert_msg(!result.failed, "%s", result.fault);
    ck_assert_uint_eq(result.sleeps, 1);
    ck_assert_uint_ge(result.syscalls, 1);
}

/* ---- a stack: the case where the victim goes on ---------------------------------------------- */

static void fill_stack(void *arg)
{
    struct world *world = arg;
    world->head = NODES;
    for (uint32_t i = 0; i < NODES; i++)
        world->next[i] = i;
    world->victims_node = world->others_node = 0;
}

static uint32_t pop(struct world *world, uint64_t tag_step)
{
    for (;;) {
        uint64_t head = world->head;
        uint32_t node = (uint32_t)head;
        if (!node)
            return 0;
        uint64_t changed = ((head & ~UINT64_C(0xffffffff)) + tag_step) | world->next[node - 1];
        if (atomic_compare_exchange_strong(&world->head, &head, changed))
            return node;
    }
}

static void push(struct world *world, uint32_t node, uint64_t tag_step)
{
    uint64_t head = world->head, changed;
    do {
        world->next[node - 1] = (uint32_t)head;
        changed = ((head & ~UINT64_C(0xffffffff)) + tag_step) | node;
    } while (!atomic_compare_exchange_strong(&world->head, &head, changed));
}

#define TAG (UINT64_C(1) << 32)

static void pop_with_tag(void *arg)
{
    struct world *world = arg;
    world->victims_node = pop(world, TAG);
}

static void pop_without_tag(void *arg)
{
    struct world *world = arg;
    world->victims_node = pop(world, 0);
}

/* Take two, and give the first back: the head looks as before, what stands below it has changed. */
static void others_pop(struct world *world, uint64_t tag_step)
{
    uint32_t first = pop(world, tag_step);
    world->others_node = pop(world, tag_step);
    push(world, first, tag_step);
}

static void others_pop_with_tag(void *arg)
{
    others_pop(arg, TAG);
}

static void others_pop_without_tag(void *arg)
{
    others_pop(arg, 0);
}

/* Each node is in the stack once, or taken by one of the two; a victim that died may have lost one. */
static const char *check_stack(void *arg, const struct step_end *end)
{
    struct world *world = arg;
    unsigned seen[NODES + 1] = {0}, total = 0;
    for (uint32_t node = (uint32_t)world->head; node; node = world->next[node - 1])
        if (++seen[node] > 1)
            return "a node is in the stack twice";
    seen[world->victims_node] += world->victims_node != 0;
    seen[world->others_node] += world->others_node != 0;
    for (int i = 1; i <= NODES; i++) {
        if (seen[i] > 1)
            return "a node is used twice";
        total += seen[i];
    }
    return total >= NODES - (end->died ? 1u : 0u) ? NULL : "a node is lost";
}

static void tagged_stack_survives(void)
{
    struct step_result result = result_of((struct step_operation){.name = "tagged stack",
                                                                  .arrange = fill_stack,
                                                                  .run = pop_with_tag,
                                                                  .others = others_pop_with_tag,
                                                                  .check = check_stack});
    ck_assert_msg(!result.failed, "%s", result.fault);
}

static void aba_is_found(void)
{
    must_find(result_of((struct step_operation){.name = "untagged stack",
                                                .arrange = fill_stack,
                                                .run = pop_without_tag,
                                                .others = others_pop_without_tag,
                                                .check = check_stack}),
              "just before it at point 1", "twice");
}

/* ---- victims that go wrong by themselves ----------------------------------------------------- */

static void crash(void *arg)
{
    struct world *world = arg;
    world->calls++;
    /* It is to crash. */
    /* cppcheck-suppress nullPointer */
    *(volatile int *)(uintptr_t)(world->left & 8) = 1;
}

static void never_end(void *arg)
{
    struct world *world = arg;
    while (!world->left)
        ;
}

static void victim_that_crashes_is_a_fault(void)
{
    must_find(result_of((struct step_operation){
                  .name = "crash", .run = crash, .others = read_pair, .check = check_pair}),
              "at point 1", "signal 11");
}

static void victim_that_never_ends_is_a_fault(void)
{
    must_find(result_of((struct step_operation){
                  .name = "endless", .run = never_end, .others = read_pair, .check = check_pair}),
              "at point 0", "does not end");
}

static const struct test tests[] = {
    {"prepared_and_then_published_survives", prepared_and_then_published_survives, 10, 0},
    {"published_before_prepared_is_found", published_before_prepared_is_found, 10, 0},
    {"way_that_is_shorter_after_a_death_is_gone_to_its_end",
     way_that_is_shorter_after_a_death_is_gone_to_its_end, 20, 0},
    {"robust_lock_with_repair_survives", robust_lock_with_repair_survives, 20, 0},
    {"lock_that_dies_with_its_owner_is_found", lock_that_dies_with_its_owner_is_found, 20, 0},
    {"skipped_wake_is_found", skipped_wake_is_found, 20, 0},
    {"victim_is_killed_while_asleep_and_others_lead_it_past",
     victim_is_killed_while_asleep_and_others_lead_it_past, 20, 0},
    {"tagged_stack_survives", tagged_stack_survives, 10, 0},
    {"aba_is_found", aba_is_found, 10, 0},
    {"victim_that_crashes_is_a_fault", victim_that_crashes_is_a_fault, 10, 0},
    {"victim_that_never_ends_is_a_fault", victim_that_never_ends_is_a_fault, 200, TEST_LONG_ONLY},
};
TEST_MAIN("stepper", tests)
