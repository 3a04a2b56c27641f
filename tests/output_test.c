/* output_test.c - what processes print: passed, in whole lines, prefixed, captured; however they end. */
#include "output_common.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* ---- modes --------------------------------------------------------------------------------------- */

static int greet(void *arg)
{
    (void)arg;
    printf("first\nsec");
    printf("ond\n");
    fprintf(stderr, "third\n");
    return 0;
}

static void expect_from_greet(int output, const char *expected)
{
    int file = new_file();
    redirect_to(file, file);
    kin_process *process = start_printing(greet, NULL, 0, "p", output);
    int error = kin_process_join(process, TOP);
    write(STDOUT_FILENO, "end\n", 4); /* comes behind */
    redirect_back();
    kin_process_free(process);
    char *text = text_of(file);
    ck_assert_int_eq(error, 0);
    ck_assert_str_eq(text, expected);
    free(text);
}

static void lines_come_as_they_are(void)
{
    test_init();
    expect_from_greet(KIN_OUTPUT_LINES, "first\nsecond\nthird\nend\n");
}

static void each_line_has_its_prefix(void)
{
    test_init();
    expect_from_greet(KIN_OUTPUT_PREFIX, "[p] first\n[p] second\n[p] third\nend\n");
}

static void captured_output_is_not_printed(void)
{
    test_init();
    expect_from_greet(KIN_OUTPUT_CAPTURE, "end\n");
}

/* Stderr first: stdout, a file, is written at its end. */
static void passed_output_goes_where_the_starters_goes(void)
{
    test_init();
    expect_from_greet(KIN_OUTPUT_PASS, "third\nfirst\nsecond\nend\n");
    expect_from_greet(KIN_OUTPUT_DEFAULT, "third\nfirst\nsecond\nend\n");
}

static void stdout_and_stderr_stay_apart(void)
{
    test_init();
    int out = new_file(), err = new_file();
    redirect_to(out, err);
    kin_process *process = start_printing(greet, NULL, 0, "p", KIN_OUTPUT_PREFIX);
    int error = kin_process_join(process, TOP);
    redirect_back();
    kin_process_free(process);
    char *printed = text_of(out), *told = text_of(err);
    ck_assert_int_eq(error, 0);
    ck_assert_str_eq(printed, "[p] first\n[p] second\n");
    ck_assert_str_eq(told, "[p] third\n");
    free(printed);
    free(told);
}

static void what_was_captured_can_be_asked_for(void)
{
    test_init();
    char text[64], cut[10];
    size_t printed = 0;
    kin_process *process = start_printing(greet, NULL, 0, "p", KIN_OUTPUT_CAPTURE);
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    ck_assert_int_eq(kin_process_output(process, text, sizeof text, &printed), 0);
    ck_assert_str_eq(text, "first\nsecond\nthird\n");
    ck_assert_uint_eq(printed, strlen(text));
    ck_assert_int_eq(kin_process_output(process, cut, sizeof cut, NULL), 0);
    ck_assert_str_eq(cut, "third\n"); /* from the beginning of a line on */
    ck_assert_int_eq(kin_process_output(process, cut, 0, NULL), KIN_EINVAL);
    ck_assert_int_eq(kin_process_output(process, NULL, 10, NULL), KIN_EINVAL);
    ck_assert_int_eq(kin_process_output(NULL, text, 10, NULL), KIN_EINVAL);
    kin_process_free(process);
    process = start_printing(greet, NULL, 0, "p", KIN_OUTPUT_DEFAULT);
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    ck_assert_int_eq(kin_process_output(process, text, sizeof text, &printed), 0);
    ck_assert_str_eq(text, "");
    ck_assert_uint_eq(printed, 0);
    kin_process_free(process);
}

static void what_cannot_be_is_refused(void)
{
    test_init();
    for (int i = 0; i < 2; i++) {
        int output = i ? 5 : -1;
        ck_assert_ptr_null(kin_process_start(greet, NULL, 0, KIN_PROCESS_OPTIONS(.output = output)));
        ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
        ck_assert_ptr_nonnull(strstr(kin_error_message(), i ? "output 5" : "output -1"));
    }
    ck_assert_ptr_null(kin_process_start(greet, NULL, 0,
                                         KIN_PROCESS_OPTIONS(.output = KIN_OUTPUT_PREFIX, .detached = true)));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "detached"));
}

/* ---- ends ---------------------------------------------------------------------------------------- */

enum { RETURN, EXIT, QUICK_EXIT, CRASH, ABORT, KILLED, TERMINATED, EXEC, ENDS };

static int *volatile nowhere = (int *)8;

static int print_and_end(void *arg)
{
    printf("whole\nhalf");
    switch (*(int *)arg) {
    case RETURN:
        return 3;
    case EXIT:
        exit(3);
    case QUICK_EXIT:
        _exit(3);
    case CRASH:
        *(volatile int *)nowhere = 1;
        break;
    case ABORT:
        abort();
    case KILLED:
        raise(SIGKILL);
        break;
    case TERMINATED:
        raise(SIGTERM);
        break;
    default:
        fflush(stdout);
        execl("/bin/sh", "sh", "-c", "echo ' by another'; exit 3", (char *)NULL);
    }
    return 0;
}

/* What stdio held at the end is lost where nobody could write it out. */
static bool keeps_half(int end)
{
    return end == RETURN || end == EXIT || end == CRASH || end == ABORT || end == EXEC;
}

static void whatever_the_end_no_line_is_lost(void)
{
    test_init();
    for (int output = KIN_OUTPUT_PASS; output <= KIN_OUTPUT_CAPTURE; output++)
        for (int end = 0; end < ENDS; end++) {
            int file = new_file();
            char kept[64] = "", expected[64];
            redirect_to(file, file);
            kin_process *process = start_printing(print_and_end, &end, sizeof end, "p", output);
            int error = kin_process_join(process, TOP);
            redirect_back();
            if (output == KIN_OUTPUT_CAPTURE)
                ck_assert_int_eq(kin_process_output(process, kept, sizeof kept, NULL), 0);
            kin_process_free(process);
            char *text = text_of(file);
            ck_assert_int_eq(error, 0);
            const char *prefix = output == KIN_OUTPUT_PREFIX ? "[p] " : "";
            const char *line_end = output == KIN_OUTPUT_LINES || output == KIN_OUTPUT_PREFIX ? "\n" : "";
            if (keeps_half(end))
                snprintf(expected, sizeof expected, "%swhole\n%shalf%s", prefix, prefix,
                         end == EXEC ? " by another\n" : line_end);
            else /* passed, a file's stdout is written in blocks */
                snprintf(expected, sizeof expected, "%s%s", output == KIN_OUTPUT_PASS ? "" : prefix,
                         output == KIN_OUTPUT_PASS ? "" : "whole\n");
            ck_assert_msg(strcmp(output == KIN_OUTPUT_CAPTURE ? kept : text, expected) == 0,
                          "output %d, end %d: \"%s\" and \"%s\"", output, end, text, kept);
            free(text);
        }
}

static void failure_tells_what_was_printed_last(void)
{
    test_init();
    int end = CRASH;
    kin_error error;
    kin_process *process = start_printing(print_and_end, &end, sizeof end, "p", KIN_OUTPUT_CAPTURE);
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    ck_assert_int_eq(kin_process_error(process, &error), 0);
    ck_assert_int_eq(error.code, KIN_EDIED);
    ck_assert_msg(strstr(error.message, "; it last printed \"half\"") != NULL, "%s", error.message);
    kin_process_free(process);
    end = RETURN;
    process = start_printing(print_and_end, &end, sizeof end, "p", KIN_OUTPUT_CAPTURE);
    ck_assert_int_eq(kin_process_error(process, &error), 0);
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    ck_assert_int_eq(kin_process_error(process, &error), 0);
    ck_assert_int_eq(error.code, KIN_EFAILED);
    ck_assert_int_eq(error.pid, kin_process_pid(process));
    ck_assert_msg(strstr(error.message, "ended with exit code 3; it last printed \"half\"") != NULL, "%s",
                  error.message);
    kin_process_free(process);
}

/* ---- nothing twice ------------------------------------------------------------------------------- */

static int print_name(void *arg)
{
    printf("%s\n", (const char *)arg);
    return 0;
}

static void nothing_is_printed_twice(void)
{
    test_init();
    for (int output = KIN_OUTPUT_PASS; output <= KIN_OUTPUT_PREFIX; output++) {
        int file = new_file();
        redirect_to(file, file);
        setvbuf(stdout, NULL, _IOFBF, BUFSIZ);
        printf("parent, ");
        kin_process *process = start_printing(print_name, "child", 6, "p", output);
        int error = kin_process_join(process, TOP);
        printf("parent\n");
        redirect_back();
        kin_process_free(process);
        char *text = text_of(file);
        ck_assert_int_eq(error, 0);
        ck_assert_str_eq(text, output == KIN_OUTPUT_PREFIX ? "parent, [p] child\nparent\n"
                                                           : "parent, child\nparent\n");
        free(text);
    }
}

/* ---- many at once -------------------------------------------------------------------------------- */

#define MEMBERS 16
#define LINES 1000
#define LONG_LINE 300

struct printer {
    int number;
    int way; /* 0: stdio, 1: character by character, 2: write(2) */
};

static int print_many(void *arg)
{
    const struct printer *printer = arg;
    char line[LONG_LINE];
    for (int i = 0; i < LINES; i++) {
        int length =
            snprintf(line, sizeof line, "member %d line %d %.*s.\n", printer->number, i, i % 200,
                     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
        if (printer->way == 0)
            fputs(line, stdout);
        else if (printer->way == 1 && i < 100)
            for (int k = 0; k < length; k++)
                child_assert(write(STDOUT_FILENO, &line[k], 1) == 1);
        else
            child_assert(write(STDOUT_FILENO, line, (size_t)length) == length);
    }
    return 0;
}

/* Each line is one that a member printed, whole, and each member's come in order. */
static void check_lines(char *text, const char *format)
{
    int next[MEMBERS] = {0};
    char *rest;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        int prefix = -1, member = -1, number = -1, at = 0;
        if (strchr(format, '['))
            ck_assert_msg(sscanf(line, "[m%d] member %d line %d %n", &prefix, &member, &number, &at) == 3 &&
                              prefix == member,
                          "%s", line);
        else
            ck_assert_msg(sscanf(line, "member %d line %d %n", &member, &number, &at) == 2, "%s", line);
        ck_assert_msg(member >= 0 && member < MEMBERS && number == next[member], "%s", line);
        next[member]++;
        size_t length = strspn(line + at, "x");
        ck_assert_msg((int)length == number % 200 && strcmp(line + at + length, ".") == 0, "%s", line);
    }
    for (int i = 0; i < MEMBERS; i++)
        ck_assert_int_eq(next[i], LINES);
}

static void lines_of_many_are_never_torn(void)
{
    test_init();
    for (int output = KIN_OUTPUT_LINES; output <= KIN_OUTPUT_PREFIX; output++) {
        kin_process *processes[MEMBERS];
        int file = new_file(), error = 0;
        redirect_to(file, file);
        for (int i = 0; i < MEMBERS; i++) {
            struct printer printer = {.number = i, .way = i % 3};
            char name[8];
            snprintf(name, sizeof name, "m%d", i);
            processes[i] = start_printing(print_many, &printer, sizeof printer, name, output);
        }
        for (int i = 0; i < MEMBERS; i++)
            error = error ? error : kin_process_join(processes[i], TOP);
        redirect_back();
        for (int i = 0; i < MEMBERS; i++)
            kin_process_free(processes[i]);
        ck_assert_int_eq(error, 0);
        char *text = text_of(file);
        check_lines(text, output == KIN_OUTPUT_PREFIX ? "[" : "");
        free(text);
    }
}

/* ---- unusual bytes ------------------------------------------------------------------------------- */

#define HUGE_LINE 200000

static int print_huge(void *arg)
{
    (void)arg;
    for (int i = 0; i < HUGE_LINE; i++)
        putchar('a' + i % 26);
    putchar('\n');
    return 0;
}

static void huge_line_is_cut_into_pieces(void)
{
    test_init();
    int file = new_file();
    redirect_to(file, file);
    kin_process *process = start_printing(print_huge, NULL, 0, "p", KIN_OUTPUT_PREFIX);
    int error = kin_process_join(process, TOP);
    redirect_back();
    kin_process_free(process);
    ck_assert_int_eq(error, 0);
    char *text = text_of(file), *rest;
    int at = 0, pieces = 0;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), pieces++) {
        ck_assert_int_eq(strncmp(line, "[p] ", 4), 0);
        for (line += 4; *line; line++, at++)
            ck_assert_int_eq(*line, 'a' + at % 26);
    }
    ck_assert_int_eq(at, HUGE_LINE);
    ck_assert_int_eq(pieces, HUGE_LINE / 65535 + 1);
    free(text);
}

static int print_binary(void *arg)
{
    (void)arg;
    unsigned char bytes[256];
    for (int i = 0; i < 256; i++)
        bytes[i] = (unsigned char)(255 - i); /* the newline is not the last */
    for (int i = 0; i < 20; i++)
        fwrite(bytes, 1, sizeof bytes, stdout);
    return 0;
}

static void binary_output_comes_byte_by_byte(void)
{
    test_init();
    int file = new_file();
    redirect_to(file, file);
    kin_process *process = start_printing(print_binary, NULL, 0, "p", KIN_OUTPUT_LINES);
    int error = kin_process_join(process, TOP);
    redirect_back();
    kin_process_free(process);
    ck_assert_int_eq(error, 0);
    ck_assert_int_eq(lseek(file, 0, SEEK_END), 20 * 256 + 1); /* the last line's end */
    char *text = text_of(file);
    for (int i = 0; i < 20 * 256; i++)
        ck_assert_int_eq((unsigned char)text[i], 255 - i % 256);
    free(text);
}

/* ---- what it starts ------------------------------------------------------------------------------ */

static int run_programs(void *arg)
{
    (void)arg;
    printf("before\n");
    child_assert(system("echo from a shell; echo and its stderr >&2") == 0);
    printf("after\n");
    return 0;
}

static void what_programs_print_belongs_to_it(void)
{
    test_init();
    int file = new_file();
    redirect_to(file, file);
    kin_process *process = start_printing(run_programs, NULL, 0, "p", KIN_OUTPUT_PREFIX);
    int error = kin_process_join(process, TOP);
    redirect_back();
    kin_process_free(process);
    char *text = text_of(file);
    ck_assert_int_eq(error, 0);
    ck_assert_str_eq(text, "[p] before\n[p] from a shell\n[p] and its stderr\n[p] after\n");
    free(text);
}

static int start_another(void *arg)
{
    kin_process *process = kin_process_start(
        greet, NULL, 0,
        KIN_PROCESS_OPTIONS(.name = "q", .output = KIN_OUTPUT_PREFIX, .start_method = *(int *)arg));
    child_assert(process && kin_process_join(process, KIN_FOREVER) == 0);
    kin_process_free(process);
    return 0;
}

static void prefixes_nest(void)
{
    test_init();
    int file = new_file(), method = test_method();
    redirect_to(file, file);
    kin_process *process = start_printing(start_another, &method, sizeof method, "p", KIN_OUTPUT_PREFIX);
    int error = kin_process_join(process, TOP);
    redirect_back();
    kin_process_free(process);
    char *text = text_of(file);
    ck_assert_int_eq(error, 0);
    ck_assert_str_eq(text, "[p] [q] first\n[p] [q] second\n[p] [q] third\n");
    free(text);
}

static const struct test tests[] = {
    {"lines_come_as_they_are", lines_come_as_they_are, 20, TEST_EACH_METHOD},
    {"each_line_has_its_prefix", each_line_has_its_prefix, 20, TEST_EACH_METHOD},
    {"captured_output_is_not_printed", captured_output_is_not_printed, 20, TEST_EACH_METHOD},
    {"passed_output_goes_where_the_starters_goes", passed_output_goes_where_the_starters_goes, 20,
     TEST_EACH_METHOD},
    {"stdout_and_stderr_stay_apart", stdout_and_stderr_stay_apart, 20, TEST_EACH_METHOD},
    {"what_was_captured_can_be_asked_for", what_was_captured_can_be_asked_for, 20, TEST_EACH_METHOD},
    {"what_cannot_be_is_refused", what_cannot_be_is_refused, 20, TEST_NOT_VALGRIND},
    {"whatever_the_end_no_line_is_lost", whatever_the_end_no_line_is_lost, 60, TEST_EACH_METHOD},
    {"failure_tells_what_was_printed_last", failure_tells_what_was_printed_last, 20, TEST_EACH_METHOD},
    {"nothing_is_printed_twice", nothing_is_printed_twice, 20, TEST_EACH_METHOD},
    {"lines_of_many_are_never_torn", lines_of_many_are_never_torn, 60, TEST_EACH_METHOD},
    {"huge_line_is_cut_into_pieces", huge_line_is_cut_into_pieces, 20, TEST_EACH_METHOD},
    {"binary_output_comes_byte_by_byte", binary_output_comes_byte_by_byte, 20, TEST_EACH_METHOD},
    {"what_programs_print_belongs_to_it", what_programs_print_belongs_to_it, 20, TEST_EACH_METHOD},
    {"prefixes_nest", prefixes_nest, 20, TEST_EACH_METHOD},
};
TEST_MAIN("output", tests)
