/*
 * late_test.c - what a thread cannot give back in time (family/heap.h, kin__heap_make), at every point where its owner may die: while the
 * heap's lock is another's, and once it can be had again. Afterwards no block is in use, and no run without an owner.
 */
#include "crash/heap_world.h"
#include "family/heap.h"
#include "family/journal.h"
#include "family/run.h"
#include "family/span.h"
#include "harness.h"
#include "os/os.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define LARGE ((size_t)KIN__SMALL_MAX + 1)

static void *block; /* the victim's */

static void be_member_with_made_block(void *arg)
{
    heap_be_member(arg);
    block = kin__heap_make(LARGE, kin__os_deadline(1));
    heap_must(block != NULL);
}

static void be_member_with_open_block(void *arg)
{
    heap_be_member(arg);
    block = kin__heap_open(LARGE, NULL);
    heap_must(block != NULL);
}

/* As kin__heap_make leaves it whose time is up when it has the memory. */
static void be_member_with_late_run(void *arg)
{
    bool zero;
    heap_be_member(arg);
    uint32_t unit = kin__run_acquire(kin__thread_mine, 1, 1, LARGE, &zero);
    heap_must(unit != 0);
    kin__poke(&kin__thread_mine->late, (uint64_t)(uintptr_t)kin__unit_address(unit) | KIN__INTENT_RUN);
    kin__intend(kin__thread_mine, KIN__INTENT_NONE, NULL);
}

static void be_member_with_late_block(void *arg)
{
    be_member_with_made_block(arg);
    kin__poke(&kin__thread_mine->late, (uint64_t)(uintptr_t)block | KIN__INTENT_LARGE);
    kin__poke(&kin__thread_mine->moved, 0);
}

/* In the end it waits for the lock, and what is late goes: the survivor lets go of it when it sees that. */
static void run_unmake(void *arg)
{
    (void)arg;
    kin__heap_unmake();
    heap_must(kin__heap_reach(KIN_FOREVER));
}

static void run_drop_soon(void *arg)
{
    (void)arg;
    kin__heap_drop_soon(block);
    heap_must(kin__heap_reach(KIN_FOREVER));
}

static void run_make_and_unmake(void *arg)
{
    (void)arg;
    if (kin__heap_make(LARGE, kin__os_deadline(0.01)))
        kin__heap_unmake();
    else
        heap_must(kin_error_code() == KIN_ETIMEDOUT);
    heap_must(kin__heap_reach(KIN_FOREVER));
}

static void run_reach(void *arg)
{
    (void)arg;
    heap_must(kin__heap_reach(KIN_FOREVER));
}

static void survives(const char *name, void (*prepare)(void *), void (*ready)(void *), void (*run)(void *))
{
    heap_survive((struct heap_plan){
        .name = name, .size = 48, .prepare = prepare, .ready = ready, .run = run, .points = 8});
}

/* Somebody dies with a block that is late, and that its `moved` names still. */
static void somebody_dead(struct heap_world *world)
{
    pid_t pid = fork();
    if (pid == 0) {
        be_member_with_made_block(world);
        kin__poke(&kin__thread_mine->late, (uint64_t)(uintptr_t)block | KIN__INTENT_LARGE);
        world->victim = 0;
        world->dead = kin__self_id();
        kill(getpid(), SIGKILL);
    }
    int status;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        abort();
}

static void run_recovery(void *arg)
{
    struct heap_world *world = arg;
    kin__member_recover(world->dead);
}

/* Others take what was given back at once: given back twice, it would be theirs. */
static void block_of_two_names_is_given_back_once(void)
{
    heap_survive((struct heap_plan){.name = "recovery of a block with two names",
                                    .size = 48,
                                    .others_size = LARGE,
                                    .arrange = somebody_dead,
                                    .prepare = heap_be_member,
                                    .run = run_recovery,
                                    .points = 20});
}

static void unmake_while_the_lock_is_anothers(void)
{
    survives("unmake, late", be_member_with_made_block, heap_hold_journal, run_unmake);
}

static void unmake_at_once(void)
{
    survives("unmake", be_member_with_made_block, NULL, run_unmake);
}

static void drop_while_the_lock_is_anothers(void)
{
    survives("drop, late", be_member_with_open_block, heap_hold_journal, run_drop_soon);
}

static void drop_at_once(void)
{
    survives("drop", be_member_with_open_block, NULL, run_drop_soon);
}

static void make_while_the_lock_is_anothers(void)
{
    survives("make, in vain", heap_be_member, heap_hold_journal, run_make_and_unmake);
}

static void make_at_once(void)
{
    survives("make", heap_be_member, NULL, run_make_and_unmake);
}

static void late_run_is_given_back(void)
{
    survives("give a late run back", be_member_with_late_run, NULL, run_reach);
}

static void late_block_is_given_back(void)
{
    survives("give a late block back", be_member_with_late_block, NULL, run_reach);
}

static void late_block_is_given_back_by_the_next_make(void)
{
    survives("make, with one that is late", be_member_with_late_block, NULL, run_make_and_unmake);
}

static const struct test tests[] = {
    {"unmake_while_the_lock_is_anothers", unmake_while_the_lock_is_anothers, 600, 0},
    {"unmake_at_once", unmake_at_once, 600, 0},
    {"drop_while_the_lock_is_anothers", drop_while_the_lock_is_anothers, 600, 0},
    {"drop_at_once", drop_at_once, 600, 0},
    {"make_while_the_lock_is_anothers", make_while_the_lock_is_anothers, 600, 0},
    {"make_at_once", make_at_once, 600, 0},
    {"late_run_is_given_back", late_run_is_given_back, 600, 0},
    {"late_block_is_given_back", late_block_is_given_back, 600, 0},
    {"late_block_is_given_back_by_the_next_make", late_block_is_given_back_by_the_next_make, 600, 0},
    {"block_of_two_names_is_given_back_once", block_of_two_names_is_given_back_once, 600, 0},
};
TEST_MAIN("crash_late", tests)
