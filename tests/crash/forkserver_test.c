/*
 * forkserver_test.c - a template at every point where it may die while it makes a child: its process words and system
 * calls. Whoever asked for the child gets one, once, from this template or from another, and nothing else is left.
 *
 * What happens when the one that asks dies is told in member_test.c.
 */
#include "crash/stepper.h"
#include "harness.h"

#include "process/forkserver.h"

#include "kin/error.h"
#include "kin/heap.h"
#include "kin/log.h"
#include "kin/process.h"
#include "kin/start_method.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CODE 7
#define POINTS_MAX 300
#define PATIENCE 30.0

struct scene {
    _Atomic int32_t template;            /* its pid */
    struct kin__template *_Atomic words; /* through which it is asked */
    _Atomic uint32_t ready, go;          /* of the one that asks */
    _Atomic uint32_t may_end;
    _Atomic uint32_t children; /* that have run */
};

static struct scene *scene;

static int note_template(void *arg)
{
    struct scene *its = *(struct scene **)arg; /* the template is a fresh image: it knows no `scene` */
    atomic_store(&its->words,
                 (struct kin__template *)(void *)((char *)arg - offsetof(struct kin__template, arg)));
    atomic_store(&its->template, (int32_t)getpid());
    return 0;
}

static int run_once(void *arg)
{
    atomic_fetch_add(&(*(struct scene **)arg)->children, 1);
    return CODE;
}

static void start_one(void)
{
    kin_process *process = kin_process_start(run_once, &scene, sizeof scene,
                                             KIN_PROCESS_OPTIONS(.start_method = KIN_START_FORKSERVER));
    if (!process)
        fprintf(stderr, "%s\n", kin_error_message());
    child_assert(process != NULL);
    kin_end end;
    child_assert(kin_process_join(process, PATIENCE) == 0 && kin_process_end(process, &end) == 0);
    child_assert(end.how == KIN_END_EXITED && end.exit_code == CODE);
    kin_process_free(process);
}

/* Who asks: a member by itself, whose template is to die. */
_Noreturn static void ask(void)
{
    kin_heap_stats before = {.size = sizeof before}, after = {.size = sizeof after};
    child_assert(kin_forkserver_prepare(note_template, &scene, sizeof scene, PATIENCE) == 0);
    start_one(); /* so that all that a start needs is there */
    kin_heap_get_stats(&before);
    atomic_store(&scene->ready, 1);
    while (!atomic_load(&scene->go))
        usleep(200);
    start_one();
    child_assert(atomic_load(&scene->children) == 2);
    while (!atomic_load(&scene->may_end))
        usleep(200);
    start_one();                                   /* whatever has become of the template */
    child_assert(waitpid(-1, NULL, WNOHANG) == 0); /* no zombie; the template lives */
    kin_heap_get_stats(&after);
    child_assert(after.small_blocks <= before.small_blocks + (after.possibly_lost - before.possibly_lost));
    exit(0);
}

static bool is_answered(uint32_t asked_before)
{
    const struct kin__template *words = atomic_load(&scene->words);
    uint32_t asked = atomic_load(&words->asked);
    return asked != asked_before && atomic_load(&words->answered) == asked;
}

/* The template is killed at its point number `point`; false: it had done its work before that. */
static bool kill_template_at(unsigned point, char *where, size_t size)
{
    struct step_victim victim;
    memset(scene, 0, sizeof *scene);
    pid_t asker = fork();
    ck_assert_int_ge(asker, 0);
    if (asker == 0)
        ask();
    while (!atomic_load(&scene->ready)) {
        ck_assert_int_eq(waitpid(asker, NULL, WNOHANG), 0);
        usleep(200);
    }
    ck_assert(step_seize(&victim, atomic_load(&scene->template), &scene->may_end));
    struct kin__template *words = atomic_load(&scene->words);
    uint32_t asked = atomic_load(&words->asked);
    struct step_area area = {.at = words, .size = sizeof *words};
    step_watch(&victim, &area, 1);
    atomic_store(&scene->go, 1);
    bool done = false;
    snprintf(where, size, "its beginning");
    for (unsigned i = 0; i < point && !done; i++) {
        enum step_stop stop = step_next(&victim);
        step_describe(&victim, stop, where, size);
        ck_assert_msg(stop != STEP_FAULT, "%s", victim.fault);
        done = stop == STEP_BLOCKED && is_answered(asked);
    }
    step_kill(&victim);
    atomic_store(&scene->may_end, 1);
    int status;
    ck_assert_int_eq(waitpid(asker, &status, 0), asker);
    ck_assert_msg(status == 0, "killed at point %u, %s: status %#x", point, where, (unsigned)status);
    return !done;
}

static void template_dies_while_it_makes_a_child(void)
{
    const char *why;
    char where[200];
    if (!step_possible(&why))
        test_skip(why);
    test_init();
    kin_log_set_level(KIN_LOG_ERROR);
    scene = kin_calloc(1, sizeof *scene);
    unsigned point = 0;
    while (point < POINTS_MAX && kill_template_at(point, where, sizeof where))
        point++;
    ck_assert_uint_lt(point, POINTS_MAX);
    ck_assert_uint_gt(point, 8); /* the stores of pid and answer, and the calls between them, at least */
    printf("# %u points at which the template was killed\n", point);
}

static const struct test tests[] = {
    {"template_dies_while_it_makes_a_child", template_dies_while_it_makes_a_child, 300, TEST_NOT_VALGRIND},
};
TEST_MAIN("crash_forkserver", tests)
