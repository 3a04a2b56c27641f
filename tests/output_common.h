/* output_common.h - a test's own stdout and stderr in a file or a pipe, to see what comes there. */
#ifndef KIN_TESTS_OUTPUT_COMMON_H
#define KIN_TESTS_OUTPUT_COMMON_H

#include "harness.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kin.h"

#define TOP (test_time_left() - 0.5)

static int stdout_before = -1, stderr_before = -1;

#ifdef __SANITIZE_ADDRESS__
/* Asked at exit. The child of a fork has the relay's thread on LeakSanitizer's list, which is kept over a fork
 * (google/sanitizers, issue 1479), and would say so on the very stderr that is compared here. */
__attribute__((visibility("default"))) int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return stdout_before >= 0;
}
#endif

/* From here on both lead to `out` and `err`. */
static inline void redirect_to(int out, int err)
{
    fflush(stdout);
    if (stdout_before < 0) {
        stdout_before = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10);
        stderr_before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    }
    ck_assert_int_eq(dup2(out, STDOUT_FILENO), STDOUT_FILENO);
    ck_assert_int_eq(dup2(err, STDERR_FILENO), STDERR_FILENO);
    test_surroundings_changed();
}

/* Before anything that may fail: what tells of it goes where it belongs. */
static inline void redirect_back(void)
{
    fflush(stdout);
    dup2(stdout_before, STDOUT_FILENO);
    dup2(stderr_before, STDERR_FILENO);
    close(stdout_before);
    close(stderr_before);
    stdout_before = stderr_before = -1;
}

/* An unnamed file that several append to. */
static inline int new_file(void)
{
    int fd = memfd_create("output", MFD_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fcntl(fd, F_SETFL, O_APPEND), 0);
    return fd;
}

/* All of it, NUL-terminated, to be freed; the file is closed. */
static inline char *text_of(int fd)
{
    off_t size = lseek(fd, 0, SEEK_END);
    ck_assert_int_ge(size, 0);
    char *text = malloc((size_t)size + 1);
    ck_assert_ptr_nonnull(text);
    ck_assert_int_eq(pread(fd, text, (size_t)size, 0), size);
    text[size] = '\0';
    close(fd);
    return text;
}

static inline kin_process *start_printing(kin_process_fn fn, const void *arg, size_t size, const char *name,
                                          int output)
{
    kin_process *process = kin_process_start(
        fn, arg, size, KIN_PROCESS_OPTIONS(.name = name, .output = output, .start_method = test_method()));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    return process;
}

#endif
