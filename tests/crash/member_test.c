/*
 * member_test.c - members at every point where they may die: while they start a process, wait for one, free one;
 * while they attach, and while they end; and while they recover someone who had children of his own.
 *
 * What one of them had started must be gone after its death, with its slot and its object: heap_world.h counts
 * slots and blocks.
 */
#include "crash/heap_world.h"
#include "harness.h"

#include "family/hooks.h"
#include "family/journal.h"
#include "family/units.h"
#include "process/process_shared.h"

#include "kin/error.h"
#include "kin/process.h"
#include "kin/start_method.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SIZE 48
#define PATIENCE 10.0 /* seconds */
#define CODE 7

/* What a test has besides the world; shared too. */
struct scene {
    struct heap_world *world;
    kin_process *volatile process; /* the child */
    _Atomic int32_t pid;           /* the victim's, where that is the child */
    _Atomic uint32_t over;
    _Atomic uint32_t taken_away; /* the slot that the victim was to have */
};

static struct scene *scene;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void found_family(void)
{
    test_init();
    kin_free(kin_malloc(16)); /* the tracer looks at the heap's tables: it needs its view of them */
    scene = mmap(NULL, sizeof(*scene), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(scene, MAP_FAILED);
}

/* ---- children -------------------------------------------------------------------------------- */

static int stay(void *arg)
{
    (void)arg;
    while (pause())
        continue;
    return 0;
}

static int end(void *arg)
{
    (void)arg;
    return CODE;
}

static int stay_until_released(void *arg)
{
    struct heap_world *world = *(struct heap_world **)arg;
    while (!atomic_load(&world->release))
        usleep(200);
    return 0;
}

static kin_process *start(kin_process_fn fn)
{
    kin_process *process = kin_process_start(fn, NULL, 0, NULL);
    if (!process)
        abort();
    return process;
}

static void await_end(kin_process *process)
{
    struct pollfd sentinel = {.fd = kin_process_sentinel(process), .events = POLLIN};
    if (poll(&sentinel, 1, (int)(PATIENCE * 1e3)) != 1)
        abort();
}

/* ---- victims that have children -------------------------------------------------------------- */

static void run_start(void *arg)
{
    (void)arg;
    scene->process = kin_process_start(stay, "an argument", 12, NULL);
}

static void run_spawn(void *arg)
{
    (void)arg;
    scene->process =
        kin_process_start(stay, "an argument", 12, KIN_PROCESS_OPTIONS(.start_method = KIN_START_SPAWN));
}

static void have_template(void *arg)
{
    heap_be_member(arg);
    if (kin_forkserver_prepare(NULL, NULL, 0, PATIENCE) != 0)
        abort();
}

static void run_by_forkserver(void *arg)
{
    (void)arg;
    scene->process =
        kin_process_start(stay, "an argument", 12, KIN_PROCESS_OPTIONS(.start_method = KIN_START_FORKSERVER));
}

static void free_child_after(void *arg)
{
    if (!scene->process || !kin_process_is_alive(scene->process))
        _exit(5);
    kin_process_free(scene->process);
    heap_after(arg);
}

/* With one child already: the second one brings the guardian's thread. */
static void have_child(void *arg)
{
    heap_be_member(arg);
    start(stay);
}

static void watch_object(struct heap_world *world, kin_process *process)
{
    scene->process = process;
    world->object = process;
    world->object_size = sizeof(*process);
}

static void have_ended_child(void *arg)
{
    heap_be_member(arg);
    watch_object(arg, start(end));
    await_end(scene->process);
}

static void have_living_child(void *arg)
{
    heap_be_member(arg);
    watch_object(arg, start(stay));
}

static void run_join(void *arg)
{
    (void)arg;
    if (kin_process_join(scene->process, PATIENCE) != 0)
        abort();
}

static void run_free(void *arg)
{
    (void)arg;
    kin_process_free(scene->process);
}

static void child_had_ended_after(void *arg)
{
    kin_end how;
    if (kin_process_end(scene->process, &how) != 0 || how.how != KIN_END_EXITED || how.exit_code != CODE)
        _exit(6);
    kin_process_free(scene->process);
    heap_after(arg);
}

/* ---- what others do meanwhile ---------------------------------------------------------------- */

static void start_and_end_a_child(struct heap_world *world)
{
    kin_process *process = kin_process_start(end, NULL, 0, NULL);
    if (!process || kin_process_join(process, PATIENCE) != 0)
        world->fault = "others cannot start a process";
    kin_process_free(process);
}

/* Whoever has the pointer may ask; the victim lives, so its child's object is there. */
static void ask_for_the_child(struct heap_world *world)
{
    kin_end how;
    if (kin_process_join(scene->process, 0) == 0 &&
        (kin_process_end(scene->process, &how) != 0 || how.how != KIN_END_EXITED || how.exit_code != CODE))
        world->fault = "others are told another end of the child";
}

/* ---- starting -------------------------------------------------------------------------------- */

static void process_is_forked(void)
{
    heap_survive((struct heap_plan){.name = "process start (fork)",
                                    .size = SIZE,
                                    .found = found_family,
                                    .settle_in = start_and_end_a_child,
                                    .prepare = heap_be_member,
                                    .run = run_start,
                                    .work = start_and_end_a_child,
                                    .after = free_child_after,
                                    .others_dead = 2});
}

static void process_is_spawned(void)
{
    heap_survive((struct heap_plan){.name = "process start (spawn)",
                                    .size = SIZE,
                                    .found = found_family,
                                    .settle_in = start_and_end_a_child,
                                    .prepare = heap_be_member,
                                    .run = run_spawn,
                                    .work = start_and_end_a_child,
                                    .after = free_child_after,
                                    .others_dead = 2,
                                    .points = 12});
}

static void process_is_forked_by_a_template(void)
{
    heap_survive((struct heap_plan){.name = "process start (forkserver)",
                                    .size = SIZE,
                                    .found = found_family,
                                    .settle_in = start_and_end_a_child,
                                    .prepare = have_template,
                                    .run = run_by_forkserver,
                                    .work = start_and_end_a_child,
                                    .after = free_child_after,
                                    .others_dead = 3,
                                    .points = 12});
}

static void second_process_is_started(void)
{
    heap_survive((struct heap_plan){.name = "start of a second process",
                                    .size = SIZE,
                                    .found = found_family,
                                    .settle_in = start_and_end_a_child,
                                    .prepare = have_child,
                                    .run = run_start,
                                    .after = free_child_after,
                                    .others_dead = 2});
}

/* ---- settling -------------------------------------------------------------------------------- */

static void process_is_joined(void)
{
    heap_survive((struct heap_plan){.name = "process join",
                                    .size = SIZE,
                                    .found = found_family,
                                    .settle_in = start_and_end_a_child,
                                    .prepare = have_ended_child,
                                    .run = run_join,
                                    .work = ask_for_the_child,
                                    .after = child_had_ended_after,
                                    .others_dead = 1});
}

static void process_is_freed(void)
{
    heap_survive((struct heap_plan){.name = "process free",
                                    .size = SIZE,
                                    .found = found_family,
                                    .settle_in = start_and_end_a_child,
                                    .prepare = have_living_child,
                                    .run = run_free,
                                    .others_dead = 1});
}

/* ---- attaching ------------------------------------------------------------------------------- */

/* A starter by itself, which can die without the survivor: claims a slot for the victim, and waits for its end. */
static void claim_for_victim(struct heap_world *world, int told)
{
    struct kin__member *member;
    heap_be_member(world);
    world->dead = world->victim;
    if (kin__member_claim(&member) != 0)
        abort();
    kin__member_starting(member);
    world->victim = kin__member_id(member);
    if (write(told, "!", 1) != 1)
        abort();
    while (!atomic_load(&world->release))
        usleep(100);
    kill(getpid(), SIGKILL);
}

static void slot_is_claimed(struct heap_world *world)
{
    int pipes[2];
    char byte;
    if (pipe(pipes) != 0)
        abort();
    pid_t pid = fork();
    if (pid == 0)
        claim_for_victim(world, pipes[1]);
    close(pipes[1]);
    if (pid < 0 || read(pipes[0], &byte, 1) != 1)
        abort();
    close(pipes[0]);
    atomic_store(&scene->taken_away, 0);
    atomic_store(&scene->pid, pid);
}

static void run_attach(void *arg)
{
    struct heap_world *world = arg;
    kin__member_forked();
    world->got = NULL;
    atomic_store(&scene->over, kin__member_attach(world->victim) == 0 ? 1 : 2);
}

/* Refused only if the starter had died. */
static void use_heap_if_attached(void *arg)
{
    struct heap_world *world = arg;
    if (atomic_load(&scene->over) == 1 && atomic_load(&scene->taken_away))
        _exit(8);
    if (atomic_load(&scene->over) == 1)
        heap_after(arg);
    else if (!atomic_load(&world->release))
        _exit(7);
}

/* The starter dies, its claim is taken back, and somebody else has the slot. */
static void slot_gets_another_user(struct heap_world *world)
{
    int status;
    atomic_store(&world->release, 1);
    if (waitpid(atomic_load(&scene->pid), &status, 0) != atomic_load(&scene->pid))
        return; /* it was so already */
    kin__member_recover(world->dead);
    atomic_store(&scene->taken_away, kin__member_find(world->victim) == NULL);
    start_and_end_a_child(world);
}

static void reap_starter(struct heap_world *world, const struct step_end *how)
{
    (void)world, (void)how;
    waitpid(atomic_load(&scene->pid), NULL, 0);
}

static void member_attaches(void)
{
    heap_survive((struct heap_plan){.name = "member attach",
                                    .size = SIZE,
                                    .found = found_family,
                                    .settle_in = start_and_end_a_child,
                                    .arrange = slot_is_claimed,
                                    .run = run_attach,
                                    .work = slot_gets_another_user,
                                    .after = use_heap_if_attached,
                                    .settle = reap_starter,
                                    .others_dead = 2});
}

/* ---- ending ---------------------------------------------------------------------------------- */

/* The body of a child that the tracer is to have: it stands until then. */
static int end_under_trace(void *arg)
{
    struct heap_world *world = scene->world = *(struct heap_world **)arg;
    heap_be_member(world);
    world->arena = kin_arena_new();
    if (!world->arena || !kin_arena_malloc(world->arena, 1000))
        return 1;
    atomic_store(&scene->pid, getpid());
    while (!atomic_load(&world->release))
        continue;
    return CODE;
}

static int end_under_trace_with_a_child(void *arg)
{
    if (!kin_process_start(stay, NULL, 0, KIN_PROCESS_OPTIONS(.daemon = true)))
        return 1;
    return end_under_trace(arg);
}

static void child_to_trace(struct heap_world *world, kin_process_fn fn)
{
    atomic_store(&scene->pid, 0);
    atomic_store(&scene->over, 0);
    kin_process *process = kin_process_start(fn, &world, sizeof(world), NULL);
    if (!process)
        abort();
    watch_object(world, process);
}

static void lonely_child_to_trace(struct heap_world *world)
{
    child_to_trace(world, end_under_trace);
}

static void child_with_a_child_to_trace(struct heap_world *world)
{
    child_to_trace(world, end_under_trace_with_a_child);
}

static bool seize_child(void *arg, struct step_victim *victim)
{
    struct heap_world *world = arg;
    for (double deadline = now() + PATIENCE; !atomic_load(&scene->pid); usleep(100))
        if (now() > deadline)
            return false;
    pid_t pid = atomic_load(&scene->pid);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof(one), &one); /* 14 us a step, instead of 63 */
    sched_setaffinity(pid, sizeof(one), &one);
    if (!step_seize(victim, pid, &scene->over))
        return false;
    atomic_store(&world->release, 1);
    return true;
}

static void end_is_told(struct heap_world *world, const struct step_end *how)
{
    kin_end is;
    if (kin_process_join(scene->process, PATIENCE) != 0 || kin_process_end(scene->process, &is) != 0)
        world->fault = "the victim cannot be joined";
    else if (how->died ? is.how != KIN_END_SIGNALED || is.signal != SIGKILL
                       : is.how != KIN_END_EXITED || is.exit_code != CODE)
        world->fault = "the victim's end is told wrongly";
    kin_process_free(scene->process);
}

static void member_ends(void)
{
    heap_survive((struct heap_plan){.name = "member's normal end",
                                    .size = SIZE,
                                    .found = found_family,
                                    .settle_in = start_and_end_a_child,
                                    .arrange = lonely_child_to_trace,
                                    .start = seize_child,
                                    .ends = true,
                                    .settle = end_is_told});
}

static void member_ends_with_a_daemon(void)
{
    heap_survive((struct heap_plan){.name = "normal end of a member with a daemon",
                                    .size = SIZE,
                                    .found = found_family,
                                    .settle_in = start_and_end_a_child,
                                    .arrange = child_with_a_child_to_trace,
                                    .start = seize_child,
                                    .ends = true,
                                    .settle = end_is_told,
                                    .others_dead = 1});
}

/* ---- recovery -------------------------------------------------------------------------------- */

/* A member dies that had an arena, blocks, half a transaction; a child that has ended and was not joined, one
 * that ends with it, one that lives on, a claim of a slot. */
static void die_as_a_parent(struct heap_world *world)
{
    struct kin__member *member;
    bool cold;
    enum kin__out_of out_of;
    heap_be_member(world);
    world->dead = world->victim;
    await_end(start(end));
    start(stay);
    world->arena = kin_arena_new();
    world->second = kin_arena_new();
    if (!kin_process_start(stay_until_released, &world, sizeof(world),
                           KIN_PROCESS_OPTIONS(.detached = true)) ||
        !world->arena || !kin_arena_malloc(world->arena, 5000) || !world->second ||
        !kin_arena_malloc(world->second, 50000) || kin__member_claim(&member) != 0)
        abort();
    for (int i = 0; i < 10; i++)
        world->held[world->held_count++] = heap_new_block(world, world->size);
    kin__journal_begin();
    if (!kin__units_take(2, 1, KIN__UNIT_HELD, &cold, &out_of))
        abort();
    kill(getpid(), SIGKILL);
}

static void dead_parent(struct heap_world *world)
{
    pid_t pid = fork();
    if (pid == 0)
        die_as_a_parent(world);
    int status;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        abort();
    world->victim = 0;
}

static void run_recovery(void *arg)
{
    struct heap_world *world = arg;
    kin__member_recover(world->dead);
}

static void recover_too(struct heap_world *world)
{
    kin__member_recover(world->dead);
}

static void parent_is_recovered(void)
{
    heap_survive((struct heap_plan){.name = "recovery of a parent",
                                    .size = SIZE,
                                    .found = found_family,
                                    .settle_in = start_and_end_a_child,
                                    .arrange = dead_parent,
                                    .prepare = heap_be_member,
                                    .run = run_recovery,
                                    .work = recover_too,
                                    .others_dead = 3,
                                    .points = 8});
}

static const struct test tests[] = {
    {"process_is_forked", process_is_forked, 600, 0},
    {"process_is_spawned", process_is_spawned, 1800, 0},
    {"process_is_forked_by_a_template", process_is_forked_by_a_template, 900, 0},
    {"second_process_is_started", second_process_is_started, 600, 0},
    {"process_is_joined", process_is_joined, 600, 0},
    {"process_is_freed", process_is_freed, 600, 0},
    {"member_attaches", member_attaches, 600, 0},
    {"member_ends", member_ends, 600, 0},
    {"member_ends_with_a_daemon", member_ends_with_a_daemon, 600, 0},
    /* 676 points, 2,250 victims: 34 minutes on a busy machine */
    {"parent_is_recovered", parent_is_recovered, 3600, 0},
};
TEST_MAIN("crash_member", tests)
