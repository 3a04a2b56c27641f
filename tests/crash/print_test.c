/*
 * print_test.c - a process that prints, killed at every point of it: before, in and after each of its system calls. What
 * had left it is told, once and in whole lines, and nothing else is.
 */
#include "crash/stepper.h"
#include "output_common.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#define POINTS_MAX 100
#define WRITES 5

struct scene {
    _Atomic uint32_t ready, go, over;
};

static struct scene *scene;

static int print_all(void *arg)
{
    struct scene *its = *(struct scene **)arg;
    printf("begin\n"); /* so that all that printing needs is there */
    atomic_store(&its->ready, 1);
    while (!atomic_load(&its->go))
        continue;
    printf("one\n");
    printf("two, ");
    printf("three\n");
    child_assert(write(STDOUT_FILENO, "fo", 2) == 2);
    child_assert(write(STDOUT_FILENO, "ur\n", 3) == 3);
    fputs("five\n", stderr);
    printf("lost");
    atomic_store(&its->over, 1);
    for (;;)
        pause();
}

/* What is there after so many writes. */
static const char *const texts[] = {
    "begin\n",
    "begin\none\n",
    "begin\none\ntwo, three\n",
    "begin\none\ntwo, three\nfo\n",
    "begin\none\ntwo, three\nfour\n",
    "begin\none\ntwo, three\nfour\nfive\n",
    "begin\none\ntwo, three\nfour\nfive\n",
};

/* What was told, without prefixes. */
static char *told(kin_process *process, int file, int output)
{
    char *text = text_of(file);
    if (output == KIN_OUTPUT_CAPTURE) {
        ck_assert_str_eq(text, "");
        free(text);
        text = calloc(1, 200);
        ck_assert_ptr_nonnull(text);
        ck_assert_int_eq(kin_process_output(process, text, 199, NULL), 0);
        size_t length = strlen(text);
        if (length && text[length - 1] != '\n')
            text[length] = '\n'; /* captured as it is, without an end of its own */
        return text;
    }
    char *to = text;
    for (char *line = text, *next; *line; line = next) {
        next = strchr(line, '\n');
        ck_assert_msg(next != NULL && strncmp(line, "[p] ", 4) == 0, "%s", text);
        next++;
        memmove(to, line + 4, (size_t)(next - line) - 4);
        to += next - line - 4;
    }
    *to = '\0';
    return text;
}

/* False: it had done all before that point. */
static bool kill_at(unsigned point, int output, unsigned *points)
{
    struct step_victim victim;
    char where[200] = "its beginning";
    int file = new_file(), writes = 0;
    memset(scene, 0, sizeof *scene);
    redirect_to(file, file);
    kin_process *process = kin_process_start(print_all, &scene, sizeof scene,
                                             KIN_PROCESS_OPTIONS(.name = "p", .output = output));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    while (!atomic_load(&scene->ready))
        usleep(200);
    ck_assert(step_seize(&victim, kin_process_pid(process), &scene->over));
    step_watch(&victim, NULL, 0);
    atomic_store(&scene->go, 1);
    bool done = false;
    for (unsigned i = 0; i < point && !done; i++) {
        enum step_stop stop = step_next(&victim);
        step_describe(&victim, stop, where, sizeof where);
        ck_assert_msg(stop != STEP_FAULT, "%s", victim.fault);
        writes += stop == STEP_EXIT && victim.syscall_number == SYS_write;
        done = stop == STEP_OVER || stop == STEP_BLOCKED;
        *points = i;
    }
    step_kill(&victim);
    int error = kin_process_join(process, TOP);
    redirect_back();
    ck_assert_int_eq(error, 0);
    char *text = told(process, file, output);
    kin_process_free(process);
    ck_assert_msg(strcmp(text, texts[writes]) == 0 || strcmp(text, texts[writes + 1]) == 0,
                  "killed at point %u, %s, after %d writes: \"%s\"", point, where, writes, text);
    free(text);
    ck_assert(!done || writes == WRITES);
    return !done;
}

static void whoever_prints_is_killed_at_every_point(void)
{
    const char *why;
    if (!step_possible(&why))
        test_skip(why);
    test_init();
    scene = kin_calloc(1, sizeof *scene);
    ck_assert_ptr_nonnull(scene);
    for (int output = KIN_OUTPUT_PREFIX; output <= KIN_OUTPUT_CAPTURE; output++) {
        unsigned point = 0, points = 0;
        while (point < POINTS_MAX && kill_at(point, output, &points))
            point++;
        ck_assert_uint_lt(point, POINTS_MAX);
        ck_assert_uint_ge(points, 2 * WRITES);
        printf("# %u points at which it was killed\n", points);
    }
}

static const struct test tests[] = {
    {"whoever_prints_is_killed_at_every_point", whoever_prints_is_killed_at_every_point, 120,
     TEST_NOT_VALGRIND},
};
TEST_MAIN("crash_print", tests)
