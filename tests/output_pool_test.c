/* output_pool_test.c - what tasks print: prefixed, captured with their failures, in whole lines beside a bar. */
#include "output_common.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

static kin_pool *new_pool(int workers, int output)
{
    kin_pool *pool = kin_pool_new(
        KIN_POOL_OPTIONS(.name = "p", .workers = workers, .output = output, .start_method = test_method()));
    ck_assert_msg(pool != NULL, "%s", kin_error_message());
    return pool;
}

static void finish(kin_pool *pool)
{
    ck_assert_int_eq(kin_pool_finish(pool, TOP), 0);
    kin_pool_free(pool);
}

static int print_item(kin_task *task, const int *in, int *out)
{
    (void)task;
    printf("item %d\n", *in);
    *out = *in;
    return 0;
}

static void count_items(char *text, const char *prefix, int items)
{
    char *rest;
    int seen[1000] = {0}, number;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        ck_assert_msg(strncmp(line, prefix, strlen(prefix)) == 0, "%s", line);
        char *at = strstr(line, "item ");
        ck_assert_msg(at && sscanf(at, "item %d", &number) == 1 && number >= 0 && number < items, "%s", line);
        seen[number]++;
    }
    for (int i = 0; i < items; i++)
        ck_assert_msg(seen[i] == 1, "item %d came %d times", i, seen[i]);
}

/* ---- what a map has printed ---------------------------------------------------------------------- */

static void what_tasks_print_is_told_when_the_map_returns(void)
{
    test_init();
    static const int outputs[] = {KIN_OUTPUT_DEFAULT, KIN_OUTPUT_PASS, KIN_OUTPUT_LINES, KIN_OUTPUT_PREFIX};
    static int in[1000], out[1000];
    for (int i = 0; i < 1000; i++)
        in[i] = i;
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++) {
        int file = new_file();
        redirect_to(file, file);
        kin_pool *pool = new_pool(3, outputs[i]);
        int error = kin_map(pool, print_item, in, out, 1000);
        off_t then = lseek(file, 0, SEEK_END);
        kin_pool_free(pool); /* by SIGKILL */
        redirect_back();
        ck_assert_int_eq(error, 0);
        ck_assert_int_eq(then, lseek(file, 0, SEEK_END));
        char *text = text_of(file);
        if (outputs[i] <=
            KIN_OUTPUT_PASS) /* blocks of each, in any order: lines may be torn, bytes not lost */
            ck_assert_uint_eq(strlen(text), 10 * 7 + 90 * 8 + 900 * 9);
        else
            count_items(text, outputs[i] == KIN_OUTPUT_PREFIX ? "[p/" : "item ", 1000);
        free(text);
    }
}

/* ---- failures ------------------------------------------------------------------------------------ */

enum { FINE, FAILS, DIES, DIES_IN_A_SHELL, SILENT };

static int print_and_fail(kin_task *task, const int *in, int *out)
{
    *out = 0;
    if (*in == SILENT)
        return kin_task_fail(task, "silent");
    printf("begin of %d\n", *in);
    fprintf(stderr, "trouble in %d", *in);
    switch (*in) {
    case FAILS:
        return kin_task_fail(task, "no luck");
    case DIES:
        raise(SIGKILL);
        break;
    case DIES_IN_A_SHELL:
        child_assert(system("echo ' says the shell' >&2; kill -9 $PPID") >= 0);
        break;
    default:
        break;
    }
    return 0;
}

static void failure_tells_what_its_task_printed(void)
{
    test_init();
    int in[] = {FINE, FAILS, FINE, DIES, DIES_IN_A_SHELL, FINE, SILENT, FINE}, out[8];
    kin_task_error errors[8];
    size_t failures = 0;
    kin_pool *pool = new_pool(1, KIN_OUTPUT_CAPTURE);
    int error = kin_pool_map(pool, (kin_task_fn)print_and_fail,
                             KIN_MAP_ARGS(.in = in, .in_size = sizeof *in, .out = out,
                                          .out_size = sizeof *out, .count = 8, .on_failure = KIN_COLLECT,
                                          .errors = errors, .errors_capacity = 8, .failures = &failures));
    ck_assert_int_eq(error, KIN_EFAILED);
    ck_assert_msg(strcmp(kin_error_message(), "no luck; it last printed \"trouble in 1\"") == 0, "%s",
                  kin_error_message());
    ck_assert_uint_eq(failures, 4);
    ck_assert_str_eq(errors[0].output, "begin of 1\ntrouble in 1");
    ck_assert_str_eq(errors[1].output, "begin of 2\ntrouble in 2");
    ck_assert_int_eq(errors[1].end.signal, SIGKILL);
    ck_assert_msg(strstr(errors[1].error.message, "; it last printed \"trouble in 2\"") != NULL, "%s",
                  errors[1].error.message);
    ck_assert_str_eq(errors[2].output, "begin of 3\ntrouble in 3 says the shell\n");
    ck_assert_str_eq(errors[3].output, "");
    ck_assert_str_eq(errors[3].error.message, "silent");
    finish(pool);
}

static int print_much_and_fail(kin_task *task, size_t index, void *context)
{
    (void)context;
    for (int i = 0; i < 2000; i++)
        printf("task %zu line %d\n", index, i);
    return kin_task_fail(task, "enough");
}

static void of_much_output_the_end_is_told(void)
{
    test_init();
    kin_task_error errors[20];
    size_t failures = 0;
    kin_pool *pool = new_pool(2, KIN_OUTPUT_CAPTURE);
    ck_assert_int_eq(kin_pool_for(pool, print_much_and_fail,
                                  KIN_MAP_ARGS(.count = 20, .on_failure = KIN_COLLECT, .errors = errors,
                                               .errors_capacity = 20, .failures = &failures)),
                     KIN_EFAILED);
    ck_assert_uint_eq(failures, 20);
    for (size_t i = 0; i < 20; i++) {
        char last[64];
        snprintf(last, sizeof last, "task %zu line 1999\n", i);
        size_t length = strlen(errors[i].output);
        ck_assert_uint_gt(length, KIN_TASK_OUTPUT - 64);
        ck_assert_str_eq(errors[i].output + length - strlen(last), last);
        ck_assert_int_eq(strncmp(errors[i].output, "task ", 5), 0); /* from the beginning of a line on */
    }
    finish(pool);
}

static void captured_output_of_sealed_workers(void)
{
    test_init();
    int in[] = {FAILS, DIES}, out[2];
    kin_task_error errors[2];
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 1, .sealed = true, .output = KIN_OUTPUT_CAPTURE,
                                                   .start_method = test_method()));
    ck_assert_ptr_nonnull(pool);
    ck_assert_int_eq(kin_pool_map(pool, (kin_task_fn)print_and_fail,
                                  KIN_MAP_ARGS(.in = in, .in_size = sizeof *in, .out = out,
                                               .out_size = sizeof *out, .count = 2, .on_failure = KIN_COLLECT,
                                               .errors = errors, .errors_capacity = 2)),
                     KIN_EFAILED);
    ck_assert_str_eq(errors[0].output, "begin of 1\ntrouble in 1");
    ck_assert_str_eq(errors[1].output, "begin of 2\ntrouble in 2");
    finish(pool);
}

static void mode_that_is_none_is_refused(void)
{
    test_init();
    ck_assert_ptr_null(kin_pool_new(KIN_POOL_OPTIONS(.output = 100)));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
}

/* ---- a terminal ---------------------------------------------------------------------------------- */

#define ROWS_MAX 4000
#define COLUMNS 120
#define ROW_BYTES 512

/* What a terminal shows: enough of one for a bar and lines. */
struct screen {
    int master;
    int rows, column;
    char row[ROWS_MAX][ROW_BYTES + 1];
    int escape; /* of ESC [ K: how much has come */
    int bars;   /* how often a bar was drawn */
};

static void show(struct screen *screen, char c)
{
    char *row = screen->row[screen->rows];
    if (c == '\033' || screen->escape) {
        screen->escape = c == '\033' ? 1 : c == '[' ? 2 : 0;
        if (c == 'K')
            memset(row + screen->column, 0, sizeof screen->row[0] - (size_t)screen->column);
        ck_assert_msg(c == '\033' || c == '[' || c == 'K', "ESC %c", c);
    } else if (c == '\r') {
        screen->bars += strncmp(row, "p ", 2) == 0;
        screen->column = 0;
    } else if (c == '\n') {
        ck_assert_int_lt(++screen->rows, ROWS_MAX);
    } else if (screen->column < ROW_BYTES) {
        row[screen->column++] = c;
    }
}

static void *watch(void *arg)
{
    struct screen *screen = arg;
    char bytes[4096];
    for (ssize_t count; (count = read(screen->master, bytes, sizeof bytes)) > 0;)
        for (ssize_t i = 0; i < count; i++)
            show(screen, bytes[i]);
    return NULL; /* EIO: nobody has it open any more */
}

static int open_terminal(struct screen *screen)
{
    screen->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ge(screen->master, 0);
    ck_assert_int_eq(grantpt(screen->master) | unlockpt(screen->master), 0);
    int terminal = open(ptsname(screen->master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ge(terminal, 0);
    struct winsize size = {.ws_row = 24, .ws_col = COLUMNS};
    ck_assert_int_eq(ioctl(terminal, TIOCSWINSZ, &size), 0);
    return terminal;
}

static int print_slowly(kin_task *task, size_t index, void *context)
{
    (void)context;
    if (index % 2)
        printf("item %zu\n", index);
    else
        for (const char *at = "item "; *at; at++)
            child_assert(write(STDERR_FILENO, at, 1) == 1); /* as a stream without buffer does */
    if (index % 2 == 0)
        fprintf(stderr, "%zu\n", index);
    usleep(2000);
    if (index % 50 == 0)
        kin_log(KIN_LOG_WARNING, "item %d is logged", 200 + (int)(index / 50));
    return kin_task_attempt(task);
}

static int bar_and_log(const kin_progress *progress, void *arg)
{
    int *calls = arg;
    if (++*calls % 3 == 0 && !progress->finished)
        kin_log(KIN_LOG_WARNING, "the caller says so");
    return kin_progress_bar(progress, NULL);
}

static void lines_are_not_torn_by_a_bar(void)
{
    test_init();
    static const int outputs[] = {KIN_OUTPUT_DEFAULT, KIN_OUTPUT_LINES, KIN_OUTPUT_PREFIX};
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++) {
        static struct screen screen;
        memset(&screen, 0, sizeof screen);
        pthread_t watcher;
        int terminal = open_terminal(&screen), calls = 0;
        redirect_to(terminal, terminal);
        kin_pool *pool = new_pool(4, outputs[i]); /* before the thread: it forks */
        ck_assert_int_eq(pthread_create(&watcher, NULL, watch, &screen), 0);
        int error = kin_pool_for(pool, print_slowly,
                                 KIN_MAP_ARGS(.count = 200, .progress = bar_and_log, .progress_arg = &calls));
        int closed = kin_pool_finish(pool, TOP);
        kin_pool_free(pool);
        redirect_back();
        close(terminal);
        test_surroundings_changed(); /* a template has it open */
        pthread_join(watcher, NULL);
        close(screen.master);
        ck_assert_int_eq(error, 0);
        ck_assert_int_eq(closed, 0);
        int seen[210] = {0}, bars = 0;
        for (int row = 0; row < screen.rows; row++) {
            int number, at = 0;
            char *line = screen.row[row];
            if (outputs[i] == KIN_OUTPUT_PREFIX && *line == '[')
                line = strchr(line, ' ') + 1;
            if (strncmp(line, "kin: [", 6) == 0 && strstr(line, "the caller says so"))
                continue;
            if (strncmp(line, "p ", 2) == 0) {
                ck_assert_msg(strstr(line, "200/200") != NULL, "%s", line); /* of all bars the last is left */
                bars++;
                continue;
            }
            const char *item = strncmp(line, "kin: [", 6) == 0 ? strstr(line, "item ") : line;
            ck_assert_msg(item && sscanf(item, "item %d%n", &number, &at) == 1 && number >= 0 && number < 210,
                          "\"%s\"", screen.row[row]);
            ck_assert_msg(strcmp(item + at, item == line ? "" : " is logged") == 0, "\"%s\"",
                          screen.row[row]);
            seen[number]++;
        }
        ck_assert_int_eq(bars, 1);
        ck_assert_int_gt(screen.bars, 3);
        for (int item = 0; item < 204; item++)
            ck_assert_msg(seen[item] == 1, "item %d came %d times", item, seen[item]);
    }
}

static int tell_terminals(kin_task *task, size_t index, void *context)
{
    (void)task;
    ((int *)context)[index] = isatty(STDOUT_FILENO) * 2 + isatty(STDERR_FILENO);
    return 0;
}

static void only_what_goes_to_a_terminal_is_relayed_by_default(void)
{
    test_init();
    static struct screen screen;
    struct stat here, there;
    int terminal = open_terminal(&screen), file = new_file();
    int *answers = kin_calloc(1, sizeof *answers);
    ck_assert_ptr_nonnull(answers);
    redirect_to(file, terminal);
    kin_pool *pool = new_pool(1, KIN_OUTPUT_DEFAULT);
    int error = kin_for(pool, tell_terminals, (void *)answers, 1), first = *answers;
    finish(pool);
    pool = new_pool(1, KIN_OUTPUT_PASS);
    error = error ? error : kin_for(pool, tell_terminals, (void *)answers, 1);
    finish(pool);
    redirect_back();
    ck_assert_int_eq(error, 0);
    ck_assert_int_eq(first, 0);
    ck_assert_int_eq(*answers, 1);
    ck_assert_int_eq(fstat(file, &here) | fstat(terminal, &there), 0);
    kin_free(answers);
    close(terminal);
    close(screen.master);
    close(file);
}

static const struct test tests[] = {
    {"what_tasks_print_is_told_when_the_map_returns", what_tasks_print_is_told_when_the_map_returns, 30,
     TEST_EACH_METHOD},
    {"failure_tells_what_its_task_printed", failure_tells_what_its_task_printed, 30, TEST_EACH_METHOD},
    {"of_much_output_the_end_is_told", of_much_output_the_end_is_told, 30, TEST_EACH_METHOD},
    {"captured_output_of_sealed_workers", captured_output_of_sealed_workers, 30, TEST_EACH_METHOD},
    {"mode_that_is_none_is_refused", mode_that_is_none_is_refused, 10, TEST_NOT_VALGRIND},
    {"lines_are_not_torn_by_a_bar", lines_are_not_torn_by_a_bar, 30, TEST_EACH_METHOD},
    {"only_what_goes_to_a_terminal_is_relayed_by_default", only_what_goes_to_a_terminal_is_relayed_by_default,
     30, TEST_EACH_METHOD},
};
TEST_MAIN("output of pools", tests)
