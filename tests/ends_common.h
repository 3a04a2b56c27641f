/* ends_common.h - what ends_test and backtrace_test share: children that crash, and all that is told of it. */
#ifndef KIN_TESTS_ENDS_COMMON_H
#define KIN_TESTS_ENDS_COMMON_H

#include "harness.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kin.h"

#define TOP (test_time_left() - 0.5)
#define NOT_LOOKED_AT __attribute__((no_sanitize("address", "undefined")))
#define KEPT __attribute__((noinline))

static kin_process *start(kin_process_fn fn, const void *arg, size_t size)
{
    kin_process *process =
        kin_process_start(fn, arg, size, KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    return process;
}

/* All that is told of one end. */
struct story {
    kin_end end;
    kin_error error;
    char text[256];
    char backtrace[8192];
};

static void finish(kin_process *process, struct story *story)
{
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    ck_assert_int_eq(kin_process_end(process, &story->end), 0);
    ck_assert_int_eq(kin_process_error(process, &story->error), 0);
    ck_assert_int_eq(kin_process_backtrace(process, story->backtrace, sizeof story->backtrace), 0);
    kin_end_text(&story->end, story->text, sizeof story->text);
    if (story->error.code && story->end.how != KIN_END_EXITED)
        ck_assert_msg(strstr(story->error.message, story->text), "\"%s\" is not in \"%s\"", story->text,
                      story->error.message);
    kin_process_free(process);
}

static void tell(kin_process_fn fn, const void *arg, size_t size, struct story *story)
{
    finish(start(fn, arg, size), story);
}

static void says(const struct story *story, int number, int fault, const char *words)
{
    ck_assert_msg(story->end.how == KIN_END_SIGNALED && story->end.signal == number, "%s", story->text);
    ck_assert_msg(story->end.fault == fault, "fault %d: %s", story->end.fault, story->text);
    ck_assert_msg(strstr(story->text, words), "\"%s\" is not in \"%s\"", words, story->text);
    ck_assert_int_eq(story->error.code, KIN_EDIED);
}

static void names(const struct story *story, const char *function)
{
    char with_blank[80];
    snprintf(with_blank, sizeof with_blank, " %s ", function);
    ck_assert_msg(strstr(story->backtrace, with_blank), "%s is not in\n%s", function, story->backtrace);
}

static int *volatile nowhere; /* NULL, which compilers and linters are not to see */

KEPT NOT_LOOKED_AT static int touch(volatile int *where)
{
    return *where + 1;
}

KEPT static int touch_it(void *where)
{
    return touch(*(int **)where) + 1;
}

static int touch_when_told(void *arg)
{
    int *_Atomic *where = arg;
    while (!atomic_load(where))
        usleep(500);
    return touch(atomic_load(where)) + 1;
}

static kin_process *start_waiting(int *_Atomic *where)
{
    kin_process *process = kin_process_start_shared(touch_when_told, (void *)where,
                                                    KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    return process;
}

#endif
